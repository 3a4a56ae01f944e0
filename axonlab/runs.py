"""Objects as horizontal runs of their pixels, and the sums over the pixels of each object.

There are some hundred times fewer runs than pixels: the image is read once, and all that is
measured is made from its runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

STRIP_PIXELS = 1 << 20
"""Size of the strips that are read one after another: their arrays stay in the cache."""

Ints = NDArray[np.int64]

_ADDED = ["area", "y", "x", "yy", "xy", "xx", "crossings_straight", "crossings_diagonal"]
_SMALLEST = ["top", "left"]
_LARGEST = ["bottom", "right"]


class Runs(NamedTuple):
    """Pixels of one object side by side in a row, ordered by row and column.

    Parameters
    ----------
    ids : (N,) array
        Of the objects, in ascending order.
    owner : (R,) array
        Place in `ids` of the object of each run.
    row, first, last : (R,) array
        Where each run lies; `last` is its last column, not the one behind it.
    """

    ids: NDArray[np.integer]
    owner: NDArray[np.intp]
    row: Ints
    first: Ints
    last: Ints


def find_runs(objects: NDArray[np.integer], *, origin: tuple[int, int] = (0, 0)) -> Runs:
    """Return the runs of all objects of an image.

    Parameters
    ----------
    objects : (H, W) integer array
        0 is background.
    origin : pair of int
        Row and column of the first pixel in the larger image that this is a tile of.

    Examples
    --------
    >>> runs = find_runs(np.array([[7, 7, 0, 7], [0, 4, 4, 4]]))
    >>> runs.ids.tolist(), runs.owner.tolist(), runs.first.tolist(), runs.last.tolist()
    ([4, 7], [1, 1, 0], [0, 3, 1], [1, 3, 3])
    """
    if not objects.size:
        nothing = np.zeros(0, np.int64)
        return Runs(np.zeros(0, objects.dtype), nothing, nothing, nothing, nothing)
    rows = max(1, STRIP_PIXELS // objects.shape[1])
    strips = [_strip_runs(objects[top : top + rows], top) for top in range(0, len(objects), rows)]
    row, first, last, id_of_run = (np.concatenate(part) for part in zip(*strips, strict=True))
    ids, owner = np.unique(id_of_run, return_inverse=True)
    return Runs(ids, owner, row + origin[0], first + origin[1], last + origin[1])


def object_sums(objects: NDArray[np.integer], *, origin: tuple[int, int] = (0, 0)) -> pd.DataFrame:
    """Return what adds up over the pixels of each object of an image.

    Parameters
    ----------
    objects : (H, W) integer array
        0 is background, and so is what lies beyond the image.
    origin : pair of int
        Row and column of the first pixel in the larger image that this is a tile of.

    Returns
    -------
    DataFrame
        Indexed by id, in pixels: `area`; sums of the coordinates (`y`, `x`) and of their products
        (`yy`, `xy`, `xx`); crossings of the outline with rows and columns
        (`crossings_straight`) and with both diagonals (`crossings_diagonal`); first and last row
        and column (`top`, `left`, `bottom`, `right`).
    """
    return sum_runs(find_runs(objects, origin=origin))


def merge_sums(parts: Iterable[pd.DataFrame], shared: Iterable[pd.DataFrame] = ()) -> pd.DataFrame:
    """Add up the sums of parts of the same objects.

    Parameters
    ----------
    parts, shared : iterable of DataFrame
        From `object_sums`. Tiles must overlap by one pixel, for an outline does not end where a
        tile does; what two of them have in common is counted twice and belongs into `shared`,
        which is taken off again. (A pixel of four tiles lies in two pairs of overlaps: its sums
        are one more part.)

    Examples
    --------
    >>> objects = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    >>> left = object_sums(objects[:, :3])
    >>> right = object_sums(objects[:, 2:], origin=(0, 2))
    >>> overlap = object_sums(objects[:, 2:3], origin=(0, 2))
    >>> merge_sums([left, right], [overlap]).equals(object_sums(objects))
    True
    """
    taken_off = [part.assign(**-part[_ADDED]) for part in shared]
    how = dict.fromkeys(_ADDED, "sum") | dict.fromkeys(_SMALLEST, "min")
    together = pd.concat([*parts, *taken_off]).groupby(level=0)
    return together.agg(how | dict.fromkeys(_LARGEST, "max"))


def tile_sums(
    objects: NDArray[np.integer], shape: tuple[int, int], *, origin: tuple[int, int]
) -> pd.DataFrame:
    """Return what a tile adds to the sums of the objects of an image.

    Parameters
    ----------
    objects : (H, W) integer array
        The tile, and one row and one column more where the image goes on below and to the right.
    shape : pair of int
        Of the tile itself.
    origin : pair of int
        Row and column of its first pixel.

    Returns
    -------
    DataFrame
        `merge_sums` of those of all tiles is `object_sums` of the image.

    Examples
    --------
    >>> objects = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    >>> left = tile_sums(objects[:, :3], (2, 2), origin=(0, 0))
    >>> right = tile_sums(objects[:, 2:], (2, 2), origin=(0, 2))
    >>> merge_sums([left, right]).equals(object_sums(objects))
    True
    """
    (height, width), (top, left) = shape, origin
    whole, below = object_sums(objects, origin=origin), objects[height:]
    beside = object_sums(objects[:, width:], origin=(top, left + width))
    shared = [object_sums(below, origin=(top + height, left)), beside]
    corner = object_sums(below[:, width:], origin=(top + height, left + width))
    return merge_sums([whole, corner], shared)


def merge_runs(parts: Iterable[Runs]) -> Runs:
    """Return the runs of parts of the same objects as those of one image."""
    ids, owner, row, first, last = zip(*parts, strict=True)
    id_of_run = np.concatenate([i[o] for i, o in zip(ids, owner, strict=True)])
    rows, firsts, lasts = (np.concatenate(places) for places in (row, first, last))
    order = np.lexsort((firsts, rows))
    together, owners = np.unique(id_of_run[order], return_inverse=True)
    return Runs(together, owners, rows[order], firsts[order], lasts[order])


def sum_runs(runs: Runs) -> pd.DataFrame:
    """Return the table of `object_sums` from the runs of an image."""
    ids, owner, y, first, last = runs
    total = partial(_total, owner, n=len(ids))
    length = last - first + 1
    sum_x = (first + last) * length // 2
    area = total(length)
    straight, diagonal = _neighbours(runs)
    sums = {
        "area": area,
        "y": total(y * length),
        "x": total(sum_x),
        "yy": total(y * y * length),
        "xy": total(y * sum_x),
        "xx": total(_sum_of_squares(last) - _sum_of_squares(first - 1)),
        # Each pixel has two sides per direction; a neighbour of the same object hides one of each.
        "crossings_straight": 4 * area - 2 * straight,
        "crossings_diagonal": 4 * area - 2 * diagonal,
        "top": _extreme(np.minimum, owner, y, len(ids)),
        "left": _extreme(np.minimum, owner, first, len(ids)),
        "bottom": _extreme(np.maximum, owner, y, len(ids)),
        "right": _extreme(np.maximum, owner, last, len(ids)),
    }
    return pd.DataFrame(sums, index=ids)


def _strip_runs(strip: NDArray[np.integer], top: int) -> tuple[NDArray[np.integer], ...]:
    """Return row, first and last column and id of all runs of some rows."""
    width = strip.shape[1]
    starts = np.ones(strip.shape, bool)
    np.not_equal(strip[:, 1:], strip[:, :-1], out=starts[:, 1:])
    begin = np.flatnonzero(starts)
    end = np.append(begin[1:], strip.size) - 1
    ids = strip.ravel()[begin]
    begin, end, ids = begin[ids != 0], end[ids != 0], ids[ids != 0]
    row = begin // width
    return row + top, begin - row * width, end - row * width, ids


def _neighbours(runs: Runs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count per object the pairs of its pixels that share an edge, and those that share a corner.

    Notes
    -----
    All rows are laid out one behind the other, with a gap, so that places grow with the runs:
    those of a row that lie above a run, or a column beside it, follow each other.
    """
    ids, owner, row, first, last = runs
    stride = int(last.max(initial=0)) + 3
    begin = row * stride + first
    end = begin + last - first + 1
    above = np.searchsorted(end + stride + 1, begin, side="right")
    n_above = np.searchsorted(begin + stride - 1, end, side="left") - above
    lower = np.repeat(np.arange(len(row)), n_above)
    upper = np.arange(len(lower)) + np.repeat(above - np.cumsum(n_above) + n_above, n_above)
    same = owner[lower] == owner[upper]
    lower, upper = lower[same], upper[same]

    def overlaps(shift: int) -> NDArray[np.float64]:
        place = stride + shift
        length = np.minimum(end[lower], end[upper] + place)
        length -= np.maximum(begin[lower], begin[upper] + place)
        return _total(owner[lower], np.maximum(length, 0), n=len(ids))

    within = _total(owner, last - first, n=len(ids))
    return within + overlaps(0), overlaps(-1) + overlaps(1)


def _total(owner: NDArray[np.intp], values: Ints, *, n: int) -> NDArray[np.float64]:
    """Return the sum of the values of each owner; whole numbers, exact below 2^53."""
    return np.bincount(owner, values, minlength=n).astype(np.float64)


def _extreme(ufunc: np.ufunc, group: NDArray[np.intp], values: Ints, n: int) -> Ints:
    start = np.iinfo(np.int64).max if ufunc is np.minimum else np.iinfo(np.int64).min
    result = np.full(n, start, np.int64)
    ufunc.at(result, group, values)
    return result


def _sum_of_squares(n: Ints) -> Ints:
    """Return 0² + 1² + … + n²."""
    return n * (n + 1) * (2 * n + 1) // 6
