"""A volume: a stack of sections, or a cube, whose voxels have a known size, and its truth."""

from __future__ import annotations

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


def small_ids(ids: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Return ids of neurons as int32, renumbered in their order where they are too large for it.

    Parameters
    ----------
    ids : integer array
        0 is no neuron, what is negative is unknown, and becomes -1.

    Examples
    --------
    >>> small_ids(np.array([0, 2**40, 5, -3, 5]))
    array([ 0,  2,  1, -1,  1], dtype=int32)
    """
    if ids.dtype.kind == "i":
        ids = np.maximum(ids, -1)
    if int(ids.max(initial=0)) <= np.iinfo(np.int32).max:
        return ids.astype(np.int32)
    known, place = np.unique(ids, return_inverse=True)
    numbers = np.where(known < 0, -1, np.cumsum(known > 0)).astype(np.int32)
    return np.asarray(numbers[place].reshape(ids.shape))


def check_same_shape(volume: Volume, truth: NDArray[np.generic]) -> None:
    """Raise ValueError unless a truth is of the shape of its volume."""
    shape = volume.pixels.shape
    if truth.shape != shape:
        is_turned = truth.ndim == 3 and truth.shape == shape[::-1]
        hint = " They seem to be in the order x, y, z: transpose it with truth.T." * is_turned
        raise ValueError(
            f"{volume.name}: truth of shape {truth.shape} for a volume of {shape} "
            f"({', '.join(AXES)}). Both must hold the same sections at the same size.{hint}"
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
