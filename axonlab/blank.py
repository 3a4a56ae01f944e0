"""Where a micrograph shows nothing: the filler around a stitched field, and other blank paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

WINDOW = 9
"""Side in pixels of the squares that are exactly one grey value all over."""

STRAIGHT = 32
"""Length in pixels from which a piece of outline counts as straight."""

MIN_STRAIGHT_SHARE = 0.5
"""Share of its outline that is straight, from which a constant area is filler."""


def blank_area(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find the areas of exactly one grey value whose outline is straight.

    Programs that stitch tiles fill what no tile covers with one value, mostly black. Such filler
    is made of rectangles; dark lumens and saturated myelin may be as constant, but are round.

    Parameters
    ----------
    pixels : (H, W) float32 array
        As they were stored: resampled or lossily compressed filler is constant no more.

    Returns
    -------
    (H, W) bool array

    Notes
    -----
    Squares of side `WINDOW` that hold one value are joined over their edges. A joined area is
    blank if of its outline within the image at least `MIN_STRAIGHT_SHARE` lies in horizontal or
    vertical pieces of at least `STRAIGHT` pixels. What is left beside it, or between it and the
    border, and is narrower than `WINDOW`, is no tile either, but a seam. The cost is linear in the
    number of pixels.

    Examples
    --------
    >>> stitched = np.random.default_rng(0).normal(100, 9, (60, 80)).astype(np.float32)
    >>> stitched[:20, 30:] = 0
    >>> int(blank_area(stitched).sum()) == 20 * 50
    True
    """
    constant = constant_squares(pixels)
    areas, n = ndimage.label(constant, output=np.int32)
    if not n:
        return np.zeros(pixels.shape, bool)
    is_blank = is_filler(*outlines(constant, areas, n))
    return spread(np.append(False, is_blank)[areas], ((True, True), (True, True)))


def constant_squares(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which pixels are the centres of squares of side `WINDOW` that hold one value."""
    highest: NDArray[np.float32] = ndimage.maximum_filter(pixels, WINDOW)
    lowest: NDArray[np.float32] = ndimage.minimum_filter(pixels, WINDOW)
    return np.equal(highest, lowest)


def outlines(
    constant: NDArray[np.bool_], areas: NDArray[np.int32], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Measure the outlines of joined squares.

    Parameters
    ----------
    constant : (H, W) bool array
    areas : (H, W) int32 array
        Their numbers; 0 where they shall not be counted, such as around a tile, which must be
        known as far as `STRAIGHT`.
    n : int

    Returns
    -------
    outline, straight : (n,) array
        Edges of pixels that are the outline of each area within the image, and how many of them
        lie in straight pieces of at least `STRAIGHT`.
    """
    counts = np.zeros((2, n + 1), np.int64)
    for inside, ids in ((constant, areas), (constant.T, areas.T)):
        for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:])):
            edges = inside[here] & ~inside[there]
            counts[0] += np.bincount(ids[here][edges], minlength=n + 1)
            counts[1] += np.bincount(ids[here][_in_long_runs(edges)], minlength=n + 1)
    outline, straight = counts[:, 1:]
    return outline, straight


def is_filler(outline: NDArray[np.int64], straight: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which areas are filler, from what `outlines` returns for the whole of them."""
    return straight >= MIN_STRAIGHT_SHARE * outline


def spread(
    filler: NDArray[np.bool_], ends: tuple[tuple[bool, bool], tuple[bool, bool]]
) -> NDArray[np.bool_]:
    """Return the blank area from the centres of the squares that it is made of.

    What is narrower than `WINDOW` between blank areas, or one of them and the border, is closed.

    Parameters
    ----------
    filler : (H, W) bool array
        Of an image, or of a part of it; what is nearer than 2 `WINDOW` to where it is cut off is
        not right then.
    ends : pair of pair of bool
        Whether the image ends above and below, and to the left and to the right.
    """
    blank = ndimage.maximum_filter(filler, WINDOW)
    rim = [[WINDOW * end for end in pair] for pair in ends]
    framed = np.pad(blank, rim, constant_values=True)
    closed = ndimage.minimum_filter(ndimage.maximum_filter(framed, WINDOW), WINDOW)
    inside = tuple(
        slice(before, length - after)
        for (before, after), length in zip(rim, closed.shape, strict=True)
    )
    return np.asarray(closed[inside])


def _in_long_runs(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the edges that lie in a row of at least `STRAIGHT` of them."""
    opened = ndimage.minimum_filter1d(edges.view(np.uint8), STRAIGHT, axis=1, mode="constant")
    # the even window reaches one further to the left: mirrored, it gives the run back
    grown = ndimage.maximum_filter1d(opened, STRAIGHT, axis=1, mode="constant", origin=-1)
    return np.asarray(grown.view(bool) & edges)
