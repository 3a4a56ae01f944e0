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
    constant = ndimage.maximum_filter(pixels, WINDOW) == ndimage.minimum_filter(pixels, WINDOW)
    areas, n = ndimage.label(constant, output=np.int32)
    if not n:
        return np.zeros(pixels.shape, bool)
    outline, straight = np.zeros((2, n + 1))
    for turned in (areas, areas.T):
        for inner, outer in ((turned[1:], turned[:-1]), (turned[:-1], turned[1:])):
            edges = (inner != outer) & (inner > 0)
            outline += np.bincount(inner[edges], minlength=n + 1)
            straight += np.bincount(inner[_in_long_runs(edges)], minlength=n + 1)
    is_blank = straight >= MIN_STRAIGHT_SHARE * outline
    is_blank[0] = False
    blank: NDArray[np.bool_] = ndimage.maximum_filter(is_blank[areas], WINDOW)
    return _without_seams(blank)


def _without_seams(blank: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close what is narrower than `WINDOW` between blank areas, or one of them and the border."""
    framed = np.pad(blank, WINDOW, constant_values=True)
    closed = ndimage.minimum_filter(ndimage.maximum_filter(framed, WINDOW), WINDOW)
    inside = slice(WINDOW, -WINDOW)
    return np.asarray(closed[inside, inside])


def _in_long_runs(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the edges that lie in a row of at least `STRAIGHT` of them."""
    opened = ndimage.minimum_filter1d(edges.view(np.uint8), STRAIGHT, axis=1, mode="constant")
    # the even window reaches one further to the left: mirrored, it gives the run back
    grown = ndimage.maximum_filter1d(opened, STRAIGHT, axis=1, mode="constant", origin=-1)
    return np.asarray(grown.view(bool) & edges)
