"""Volumes and the neurons in them, read from files: stacks, folders of sections, supervoxels."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from axonlab.formats import blaming, existing, read_plane
from axonlab.pixelsize import tiff_voxel_sizes
from axonlab.volume import AXES, Volume, number_sections, read_stack, small_ids

IMAGES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
"""Suffixes of what is a section in a folder."""


def read_volume(path: str | Path, *, voxel_size: Sequence[float] = ()) -> Volume:
    """Read a volume from a TIFF stack, or from a folder of sections.

    Parameters
    ----------
    path : path
        Of a TIFF or OME-TIFF whose pages are sections, or of a folder with one image for each,
        see `axonlab.volume.read_stack`.
    voxel_size : triple of float, optional
        Distance of sections, height and width of a voxel, in µm. It comes before what an OME-TIFF
        says of itself.

    Returns
    -------
    Volume

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or the folder holds no sections.
    ValueError
        If the voxel size is neither given nor told by the file, the file is damaged, or is no
        stack of sections.
    """
    path = Path(path)
    told: list[float] = []
    if path.is_dir():
        pixels = read_stack(_sections(path), voxel_size=(1, 1, 1)).pixels
    else:
        pixels, told = _read_tiff(path)
    size = tuple(voxel_size or told)
    if not size:
        raise ValueError(
            f"{path}: how large a voxel is was neither given nor told by the file. Pass "
            "voxel_size=(distance of sections, height, width) in µm, such as (0.03, 0.006, 0.006)."
        )
    return Volume(pixels, size, path.stem)  # type: ignore[arg-type]  # it checks


def read_instances(path: str | Path) -> NDArray[np.int32]:
    """Read the neuron of every voxel from a TIFF stack, a folder of sections, or supervoxels.

    Parameters
    ----------
    path : path
        As for `read_volume`, with ids instead of grey values; or an HDF5 file, see
        `read_supervoxels`.

    Returns
    -------
    (Z, Y, X) int32 array
        0 is no neuron, what is negative unknown. Ids too large for int32 are renumbered.

    Raises
    ------
    FileNotFoundError
        As for `read_volume`.
    ValueError
        If the file is damaged, or holds something else than whole ids.
    """
    path = Path(path)
    if path.suffix in (".h5", ".gz"):
        return read_supervoxels(path)
    if path.is_dir():
        planes = [read_plane(section, as_stored=True).array for section in _sections(path)]
        if len({plane.shape for plane in planes}) > 1:
            raise ValueError(f"{path}: sections of several shapes. All must be of one size.")
        ids = np.stack(planes)
    else:
        ids, _ = _read_tiff(path)
    if ids.ndim != 3 or ids.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: found {ids.dtype} of shape {ids.shape}, expected whole ids ({', '.join(AXES)}"
            "). Save ids as 16 or 32-bit integers, not as colours."
        )
    return small_ids(ids)


def read_supervoxels(path: str | Path) -> NDArray[np.int32]:
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
    """Return the body of every voxel, numbered from 1 without gaps, see `read_supervoxels`.

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


def _sections(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    return list(number_sections(found).values())


def _read_tiff(path: Path) -> tuple[NDArray[Any], list[float]]:
    """Return the pages of a TIFF, and how large a voxel is where it tells so."""
    with blaming(path), tifffile.TiffFile(existing(path)) as tif:
        series = tif.series[0]
        axes, told = series.axes, tiff_voxel_sizes(tif)
        if len(axes) != 3 or axes[1:] != "YX":
            raise ValueError(
                f"{path}: axes {axes}, expected a stack of grey sections: one axis, then rows (Y) "
                "and columns (X). Save one channel and one time point, sections first."
            )
        return series.asarray(), told
