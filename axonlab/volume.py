"""A volume: a stack of sections, or a cube, whose voxels have a known size, and its truth."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonlab.formats import existing, read_plane
from axonlab.micrograph import (
    Micrograph,
    check_finite,
    check_pixel_size,
    intensity_range,
    normalise,
)
from axonlab.plane import grey

AXES = ("sections", "rows", "columns")


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Volume:
    """Grey values of a volume of tissue, section after section.

    Parameters
    ----------
    pixels : (Z, Y, X) array
        Grey values in the units of the detector, kept as float32.
    voxel_size : triple of float
        Distance of sections, height and width of a voxel, in µm.
    name : str
        What to call the volume in tables and file names.

    Raises
    ------
    ValueError
        If the pixels are no finite, non-empty volume or the voxel size is absurd.

    Examples
    --------
    >>> Volume(np.zeros((2, 3, 4)), voxel_size=(0.05, 0.004, 0.004), name="blank")
    Volume(voxel_size=(0.05, 0.004, 0.004), name='blank')
    """

    pixels: NDArray[np.float32] = field(repr=False)
    voxel_size: tuple[float, float, float]
    name: str = "volume"

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels, dtype=np.float32)
        if pixels.ndim != 3 or pixels.size == 0:
            raise ValueError(
                f"{self.name}: found an array of shape {pixels.shape}, expected a volume "
                f"({', '.join(AXES)}). Put a section into one with pixels[None]."
            )
        check_finite(pixels, self.name)
        if len(self.voxel_size) != 3:
            raise ValueError(
                f"{self.name}: voxel_size is {self.voxel_size}, expected three numbers in µm: "
                "distance of sections, height and width of a voxel."
            )
        z, y, x = (check_pixel_size(size, self.name) for size in self.voxel_size)
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "voxel_size", (z, y, x))

    def section(self, number: int) -> Micrograph:
        """Return a section, counted from 0, as a micrograph.

        Raises
        ------
        ValueError
            If there is no such section, or its pixels are not square.
        """
        if not 0 <= number < len(self.pixels):
            raise ValueError(
                f"{self.name}: no section {number}, there are 0 to {len(self.pixels) - 1}."
            )
        _, height, width = self.voxel_size
        if height != width:
            raise ValueError(
                f"{self.name}: pixels of a section are {height:g} µm high and {width:g} µm wide, "
                "expected squares. Resample the volume first."
            )
        return Micrograph(self.pixels[number], height, f"{self.name} section {number}")


def read_stack(
    paths: Iterable[str | Path], *, voxel_size: tuple[float, float, float], name: str = "volume"
) -> Volume:
    """Read a volume whose sections are one image file each.

    Parameters
    ----------
    paths : iterable of path
        They are put in the order of the last number in their names: ``9.png`` is before
        ``10.png``.
    voxel_size : triple of float
        Distance of sections, height and width of a voxel, in µm.
    name : str

    Returns
    -------
    Volume
        Its first section is that of the lowest number.

    Raises
    ------
    FileNotFoundError
        If there are no files, or one does not exist.
    ValueError
        If a number is missing or comes twice, a file cannot be read, or shapes differ.
    """
    sections = {
        path: grey(read_plane(existing(path)).array) for path in number_sections(paths).values()
    }
    return Volume(_stacked(sections).astype(np.float32), voxel_size, name)


def read_interior(paths: Iterable[str | Path], *, membrane: int) -> NDArray[np.bool_]:
    """Read masks of membranes, one image file for each section.

    Parameters
    ----------
    paths : iterable of path
        As for `read_stack`.
    membrane : int
        Value that membranes have in the masks: 0 in those of ISBI 2012. Others have it the other
        way round.

    Returns
    -------
    (Z, Y, X) bool array
        True where it is interior, whatever the masks have there.

    Raises
    ------
    FileNotFoundError
        If there are no files, or one does not exist.
    ValueError
        If a number is missing or comes twice, a file cannot be read, shapes differ, or there are
        not two values, that of membranes and one more.
    """
    masks = {
        path: np.rint(grey(read_plane(existing(path), as_stored=True).array))
        for path in number_sections(paths).values()
    }
    values = np.unique(np.concatenate([np.unique(mask) for mask in masks.values()])).tolist()
    if membrane not in values or len(values) != 2:
        shown = ", ".join(f"{value:g}" for value in values[:10])
        raise ValueError(
            f"{next(iter(masks)).parent}: masks hold the values {shown}, expected two: {membrane} "
            "for membrane and one for interior. Take masks of membranes alone, saved without "
            "loss (PNG or TIFF, not JPEG), or give the value of membranes as membrane=..."
        )
    return np.asarray(_stacked(masks) != membrane)


def read_instances(path: str | Path) -> NDArray[np.int32]:
    """Read what neuron every voxel belongs to from an HDF5 file of supervoxels (fib25).

    Parameters
    ----------
    path : path
        Of a file, compressed or not (``.h5.gz``), with the data sets ``stack``, (Z, Y, X)
        supervoxels, and ``transforms``, (n, 2): every supervoxel and the body that it is of.

    Returns
    -------
    (Z, Y, X) int32 array
        Ids run from 1 without gaps in the order of the bodies, however large those are; 0 is
        body 0, which is none.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, lacks a data set, or a supervoxel is of no body or of two.
    """
    import h5py  # for this format alone

    path = existing(path)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        with h5py.File(io.BytesIO(content)) as file:
            stack, transforms = file["stack"][()], file["transforms"][()]
    except (OSError, EOFError, KeyError) as error:
        raise ValueError(
            f"{path}: could not be read ({error}). Expected HDF5 with the data sets stack and "
            "transforms; copy or download it again."
        ) from error
    return bodies_of(stack, transforms)


def bodies_of(
    supervoxels: NDArray[np.integer[Any]], transforms: NDArray[np.integer[Any]]
) -> NDArray[np.int32]:
    """Return the body of every voxel, numbered from 1 without gaps, see `read_instances`.

    Parameters
    ----------
    supervoxels : (Z, Y, X) integer array
    transforms : (n, 2) integer array
        Supervoxels and their bodies.

    Raises
    ------
    ValueError
        If a supervoxel is of no body or of two.

    Examples
    --------
    >>> bodies_of(np.array([[[0, 5, 7, 9]]]), np.array([[0, 0], [5, 2**40], [7, 3], [9, 2**40]]))
    array([[[0, 2, 1, 2]]], dtype=int32)
    """
    transforms = np.unique(transforms, axis=0)
    known, bodies = transforms.T
    twice = known[1:][known[1:] == known[:-1]]
    if twice.size:
        raise ValueError(f"Supervoxel {twice[0]} is of two bodies. Use the published table.")
    place = np.searchsorted(known, supervoxels).clip(max=known.size - 1)
    unknown = np.unique(supervoxels[known[place] != supervoxels])
    if unknown.size:
        raise ValueError(
            f"{unknown.size} supervoxels, such as {unknown[0]}, are of no body. Use the table that "
            "was published with them."
        )
    is_used = np.bincount(place.reshape(-1), minlength=known.size) > 0
    is_used &= bodies != 0
    ids = np.zeros(known.size, np.int32)
    ids[is_used] = np.unique(bodies[is_used], return_inverse=True)[1] + 1
    return np.asarray(ids[place])


def number_sections(paths: Iterable[str | Path]) -> dict[int, Path]:
    """Return files by the number of their section, which is the last one in their names.

    Parameters
    ----------
    paths : iterable of path

    Raises
    ------
    FileNotFoundError
        If there are none.
    ValueError
        If a name holds no number, a number comes twice, or one between them is missing: sections
        would not be where they seem to be.

    Examples
    --------
    >>> list(number_sections(["10.png", "9.png"]))
    [9, 10]
    """
    numbered: dict[int, Path] = {}
    for path in map(Path, paths):
        digits = re.findall(r"\d+", path.stem)
        if not digits:
            raise ValueError(f"{path}: the name holds no number, expected that of the section.")
        number = int(digits[-1])
        if number in numbered:
            raise ValueError(f"{path}: section {number} is {numbered[number].name}, too. Keep one.")
        numbered[number] = path
    if not numbered:
        raise FileNotFoundError("No sections: no file was given or found. Check the folder.")
    missing = sorted(set(range(min(numbered), max(numbered))) - set(numbered))
    if missing:
        raise ValueError(
            f"{numbered[min(numbered)].parent}: sections {_listed(missing)} are missing between "
            f"{min(numbered)} and {max(numbered)}. Add them, or choose sections without a gap."
        )
    return dict(sorted(numbered.items()))


def check_same_sections(images: Mapping[int, Path], masks: Mapping[int, Path]) -> None:
    """Raise ValueError unless every section has a mask and every mask its section.

    Parameters
    ----------
    images, masks : mapping of int to Path
        From `number_sections`.
    """
    for have, lack, name in (images, masks, "mask"), (masks, images, "image"):
        alone = sorted(set(have) - set(lack))
        if alone:
            raise ValueError(
                f"{have[alone[0]].parent}: {len(images)} sections and {len(masks)} masks; sections "
                f"{_listed(alone)} have no {name}. Add it, or leave these sections out."
            )


def normalise_sections(volume: Volume) -> NDArray[np.float32]:
    """Return grey values of which each section is normalised by its own percentiles.

    So networks for volumes see them, in training and after it: a section that is darker than the
    others, or blank, does not differ from them by its level.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    (Z, Y, X) float32 array
        See `axonlab.micrograph.normalise`.
    """
    return np.stack([normalise(plane, *intensity_range(plane)) for plane in volume.pixels])


def check_same_shape(volume: Volume, truth: NDArray[np.generic]) -> None:
    """Raise ValueError unless a truth is of the shape of its volume."""
    if truth.shape != volume.pixels.shape:
        raise ValueError(
            f"{volume.name}: truth of shape {truth.shape} for a volume of {volume.pixels.shape} "
            f"({', '.join(AXES)}). Both must hold the same sections at the same size."
        )


def check_truth(volume: Volume, truth: NDArray[np.bool_]) -> None:
    """Raise ValueError unless a truth is of the shape of its volume, and interior is interior.

    Parameters
    ----------
    volume : Volume
        Of electron microscopy with stained, dark membranes.
    truth : (Z, Y, X) bool array
        True where it is interior.

    Notes
    -----
    Interior is most of the tissue, and brighter than membranes. Where a mask says the opposite of
    both it is taken for inverted.
    """
    check_same_shape(volume, truth)
    if truth.dtype != bool:
        raise ValueError(
            f"{volume.name}: truth of type {truth.dtype}, expected boolean. Compare a mask with "
            "the value of its interior, such as mask == 255, first."
        )
    share = truth.mean()
    if 0 < share < 0.5 and volume.pixels[truth].mean() < volume.pixels[~truth].mean():
        raise ValueError(
            f"{volume.name}: what the truth calls interior is {share:.0%} of the pixels and darker "
            "than the rest, as membranes are: the mask is probably inverted. Pass ~truth, or the "
            "value of membranes in the masks as membrane=..."
        )


def _stacked(sections: dict[Path, NDArray[Any]]) -> NDArray[Any]:
    """Return planes as one array, or raise ValueError naming the first that has another shape."""
    first, shape = next((path, plane.shape) for path, plane in sections.items())
    for path, plane in sections.items():
        if plane.shape != shape:
            raise ValueError(
                f"{path}: a section of shape {plane.shape}, but {first.name} is of {shape}. All "
                "sections of a stack must have the same size and be aligned."
            )
    return np.stack(list(sections.values()))


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return f"{shown} and {len(numbers) - 8} more" if len(numbers) > 8 else shown
