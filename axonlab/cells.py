"""Cells from the probability that a pixel lies inside of one: thresholds, necks and watersheds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

SMOOTHING_PX = 1.0
"""Standard deviation of the Gaussian, in pixels, behind which necks are looked for."""

_OUTSIDE = -1.0  # below every probability


def label_cells(
    probability: NDArray[np.floating],
    *,
    threshold: float = 0.5,
    h: float = 0.1,
    min_pixels: int = 20,
) -> NDArray[np.int32]:
    """Number the cells between membranes, section by section.

    Parameters
    ----------
    probability : (H, W) or (Z, H, W) float array
        That a pixel is interior and not membrane, from 0 to 1.
    threshold : float
        Pixels above it are interior, the others membrane. From 0 to 1.
    h : float
        How far the probability must fall between two parts of one piece of interior for them to be
        two cells: small values cut at every doubt, 1 cuts nowhere. From 0 to 1.
    min_pixels : int
        Cells of fewer pixels are taken for specks and become membrane.

    Returns
    -------
    (H, W) or (Z, H, W) int32 array
        0 is membrane; ids run from 1 without gaps, through all sections: none is in two of them.

    Raises
    ------
    ValueError
        If the probability is no section or stack, or leaves the range from 0 to 1, or a number is
        out of its range.

    Notes
    -----
    Pixels belong together when they share an edge. A piece of interior is cut where a membrane has
    a gap: the smoothed probability p (`SMOOTHING_PX`) is lower there. A watershed on -p gives every
    regional maximum of p a basin. Two basins are one cell when the lower of their maxima rises by
    less than h above the highest pass between them; passes are taken from the highest to the
    lowest, and basins that are joined count as one. So many cells are left as the h-maxima
    transform of p within the pieces has maxima (Soille 2003, chapter 6). Cells of a larger h are
    unions of those of a smaller one, up to specks; `h` = 1 gives the pieces themselves.

    Examples
    --------
    >>> probability = np.array([[1, 1, 0, 1], [1, 1, 0, 1]])
    >>> label_cells(probability, min_pixels=1)
    array([[1, 1, 0, 2],
           [1, 1, 0, 2]], dtype=int32)
    """
    probability = np.asarray(probability)
    _check(probability, threshold, h, min_pixels)
    cells = np.zeros(probability.shape, np.int32)
    n = 0
    for found, section in zip(_sections(cells), _sections(probability), strict=True):
        found[:] = _label_section(section, threshold, h, min_pixels)
        found[found > 0] += n
        n = max(n, int(found.max()))
    return cells


def pieces(interior: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the 4-connected pieces of interior, section by section.

    What manual masks of membranes tell of cells, in the form that scores compare.

    Parameters
    ----------
    interior : (H, W) or (Z, H, W) bool array

    Returns
    -------
    (H, W) or (Z, H, W) int32 array
        0 is membrane; ids run from 1 without gaps, through all sections: none is in two of them.

    Raises
    ------
    ValueError
        If the array is no section or stack, or is not boolean.

    Examples
    --------
    >>> pieces(np.array([[True, False], [False, True]]))
    array([[1, 0],
           [0, 2]], dtype=int32)
    """
    interior = np.asarray(interior)
    if interior.dtype != bool:
        raise ValueError(
            f"interior: expected boolean, got {interior.dtype}. Compare a mask with the value of "
            "its interior, such as mask == 255, first."
        )
    _check_shape(interior, "interior")
    edges = np.zeros([3] * interior.ndim, bool)
    edges[(1,) * (interior.ndim - 2)] = ndimage.generate_binary_structure(2, 1)
    numbered, _ = ndimage.label(interior, edges, output=np.int32)
    return np.asarray(numbered)


def _label_section(
    probability: NDArray[np.floating], threshold: float, h: float, min_pixels: int
) -> NDArray[np.int32]:
    inside = probability > threshold
    smooth = ndimage.gaussian_filter(probability, SMOOTHING_PX, output=np.float32)
    height = np.where(inside, smooth, np.float32(_OUTSIDE))
    rimmed = np.pad(height, 1, constant_values=_OUTSIDE)  # even a constant image has a maximum so
    peaks = local_maxima(rimmed, connectivity=1)[1:-1, 1:-1]  # type: ignore[no-untyped-call]
    seeds, n = ndimage.label(peaks & inside, output=np.int32)
    basins = watershed(-height, seeds, mask=inside)  # type: ignore[no-untyped-call]
    cells = _join(basins, height, n, h)[basins]
    kept = np.bincount(cells.reshape(-1)) >= min_pixels
    kept[0] = False
    ids = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return np.asarray(ids[cells])


def _join(
    basins: NDArray[np.int32], height: NDArray[np.float32], n: int, h: float
) -> NDArray[np.intp]:
    """Return for each of n basins the one that stands for its cell; 0 for 0."""
    peaks = np.full(n + 1, np.float32(_OUTSIDE))
    np.maximum.at(peaks, basins.reshape(-1), height.reshape(-1))
    cell = list(range(n + 1))
    for one, other, level in _passes(basins, height):
        low, high = sorted((_stands_for(cell, one), _stands_for(cell, other)), key=peaks.item)
        if low != high and peaks[low] - level < h:
            cell[low] = high
    return np.array([_stands_for(cell, i) for i in range(n + 1)])


def _passes(
    basins: NDArray[np.int32], height: NDArray[np.float32]
) -> Iterator[tuple[int, int, float]]:
    """Yield the basins that touch, two by two, and the highest pass between them, highest first."""
    keys, levels = [], []
    n = int(basins.max()) + 1
    for here, there in (np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]):
        one, other = basins[here], basins[there]
        touch = np.flatnonzero((one != other) & (one > 0) & (other > 0))
        one, other = one.flat[touch].astype(np.int64), other.flat[touch].astype(np.int64)
        keys.append(np.minimum(one, other) * n + np.maximum(one, other))
        levels.append(np.minimum(height[here], height[there]).flat[touch])
    key, level = np.concatenate(keys), np.concatenate(levels)
    order = np.argsort(-level, kind="stable")
    _, first = np.unique(key[order], return_index=True)
    highest = order[np.sort(first)]
    ones, others = np.divmod(key[highest], n)
    yield from zip(ones.tolist(), others.tolist(), level[highest].tolist(), strict=True)


def _stands_for(cell: list[int], basin: int) -> int:
    while cell[basin] != basin:
        cell[basin] = cell[cell[basin]]  # the way is shorter next time
        basin = cell[basin]
    return basin


def _sections(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array if array.ndim == 3 else array[np.newaxis]


def _check(probability: NDArray[np.generic], threshold: float, h: float, min_pixels: int) -> None:
    _check_shape(probability, "probability")
    low, high = float(probability.min()), float(probability.max())
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(
            f"probability: found values from {low:g} to {high:g}, expected 0 to 1: how probable "
            "interior is. Divide 8-bit values by 255, and apply the softmax to scores."
        )
    for name, value in {"threshold": threshold, "h": h}.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value:g}, expected 0 to 1. 0.5 and 0.1 are usual.")
    if min_pixels < 1:
        raise ValueError(f"min_pixels is {min_pixels}, expected 1 or more; 1 keeps all cells.")


def _check_shape(array: NDArray[np.generic], name: str) -> None:
    if array.ndim not in (2, 3) or array.size == 0:
        raise ValueError(
            f"{name}: found an array of shape {array.shape}, expected a section (rows, columns) or "
            "a stack (sections, rows, columns). Take the plane of the class interior first."
        )
