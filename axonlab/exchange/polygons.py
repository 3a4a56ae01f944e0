"""Outlines along the edges of pixels, and the pixels inside any outline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int]
Box = tuple[slice, slice]
Patch = tuple[Box, NDArray[np.bool_]]
"""Where in the image a rectangle of pixels lies, and which of them are meant."""

Points = NDArray[np.number[Any]]
"""(N, 2) array of x, y in pixels from the outer corner of the first pixel."""

_EAST, _SOUTH, _WEST, _NORTH = range(4)
_BATCH = 10_000_000  # crossings held at once: a scribble must not fill the memory


def trace(objects: NDArray[np.int32]) -> dict[int, list[NDArray[np.int64]]]:
    """Return the outlines of objects: exactly the edges of their pixels.

    Parameters
    ----------
    objects : (H, W) int32 array
        0 is background; the pixels of one object are connected by their edges.

    Returns
    -------
    dict of int to list of (N, 2) int64 array
        For every object its outer ring, clockwise as seen, then one ring around each hole. Points
        are x, y of pixel corners, so that pixel (row, column) covers x from column to column + 1;
        the last point joins the first.

    Notes
    -----
    Every ring is simple: where pixels touch only at a corner, one ring turns away from the other,
    as the polygons of OGC and GeoJSON demand.

    Examples
    --------
    >>> trace(np.array([[0, 7], [7, 7]], np.int32))[7][0].tolist()
    [[1, 0], [2, 0], [2, 2], [0, 2], [0, 1], [1, 1]]
    """
    x, y, heading, ids, follower = _linked_edges(objects)
    before = np.empty_like(follower)
    before[follower] = np.arange(len(follower))
    is_corner = heading != heading[before]
    after = follower.tolist()
    rings: dict[int, list[NDArray[np.int64]]] = {}
    seen = bytearray(len(after))
    for begin, owner in enumerate(ids.tolist()):
        if seen[begin]:
            continue
        ring = []
        edge = begin
        while not seen[edge]:
            seen[edge] = True
            ring.append(edge)
            edge = after[edge]
        index = np.array(ring)
        index = index[is_corner[index]]
        # Edges are sorted by object and row, so the first ring met of an object is the outer one.
        rings.setdefault(owner, []).append(np.stack([x[index], y[index]], 1))
    return rings


def fill(rings: Sequence[Points], shape: Shape) -> Patch:
    """Return the pixels whose centres lie inside a polygon with holes.

    Parameters
    ----------
    rings : sequence of (N, 2) array
        x, y of vertices. A point inside an even number of rings is outside (even-odd rule), so
        outer rings, holes and islands may come in any order and direction.
    shape : pair of int
        Rows and columns of the image; the polygon is cut there.

    Returns
    -------
    box : pair of slice
        Rows and columns that hold the polygon.
    mask : array of bool
        Of the shape of the box.

    Notes
    -----
    Of two polygons with a common edge each pixel belongs to one. The cost is that of the box.
    """
    start = np.concatenate([np.asarray(ring, np.float64) for ring in rings])
    end = np.concatenate([np.roll(np.asarray(ring, np.float64), -1, axis=0) for ring in rings])
    # from top to bottom, so that neighbours compute the same crossings of their common edge
    is_upward = (end[:, 1] < start[:, 1])[:, None]
    top, bottom = np.where(is_upward, end, start), np.where(is_upward, start, end)
    first, last = (_first_centre(point[:, 1], shape[0]) for point in (top, bottom))
    is_crossed = last > first
    if not is_crossed.any():
        return _NOTHING
    top, bottom, first, last = (a[is_crossed] for a in (top, bottom, first, last))
    slope = (bottom[:, 0] - top[:, 0]) / (bottom[:, 1] - top[:, 1])
    columns = _first_centre(np.concatenate([top[:, 0], bottom[:, 0]]), shape[1])
    box = np.s_[first.min() : last.max(), columns.min() : columns.max()]
    toggles = _toggles(box[0], box[1])
    batches = 1 + int((last - first).sum()) // _BATCH
    for part in np.array_split(np.arange(len(first)), batches):
        edge, row = _count_up(first[part], last[part])
        x = top[part][edge, 0] + (row + 0.5 - top[part][edge, 1]) * slope[part][edge]
        column = _first_centre(x, shape[1]).clip(box[1].start, box[1].stop)
        np.add.at(toggles, (row - box[0].start, column - box[1].start), 1)
    return box, _between(toggles)


def fill_ellipse(centre: Sequence[float], radii: Sequence[float], shape: Shape) -> Patch:
    """Return the pixels whose centres lie inside an upright ellipse, both given as x, y."""
    if min(radii) <= 0:
        return _NOTHING
    low = np.subtract(centre, radii)
    high = np.add(centre, radii)
    columns, rows = (
        slice(*_first_centre(np.array([low[i], high[i]]), shape[1 - i]).tolist()) for i in (0, 1)
    )
    y, x = np.ogrid[rows, columns]
    distance = ((x + 0.5 - centre[0]) / radii[0]) ** 2 + ((y + 0.5 - centre[1]) / radii[1]) ** 2
    return (rows, columns), distance <= 1


def fill_runs(counts: NDArray[np.int64], shape: Shape) -> Patch:
    """Return the pixels of COCO's run lengths: columns first, zeros and ones in turn."""
    bounds = np.cumsum(counts)
    start, end = bounds[: len(bounds) // 2 * 2].reshape(-1, 2).T
    start, end = start[end > start], end[end > start]
    if not start.size:
        return _NOTHING
    height = shape[0]
    first, last = start // height, (end - 1) // height
    run, column = _count_up(first, last + 1)
    top = np.where(column == first[run], start[run] % height, 0)
    bottom = np.where(column == last[run], (end[run] - 1) % height + 1, height)
    box = np.s_[top.min() : bottom.max(), column.min() : column.max() + 1]
    toggles = _toggles(box[1], box[0])
    for row in (top, bottom):
        np.add.at(toggles, (column - box[1].start, row - box[0].start), 1)
    return box, _between(toggles).T


def runs(box: Box, mask: NDArray[np.bool_], shape: Shape) -> NDArray[np.int64]:
    """Return COCO's run lengths of the pixels in a box, the inverse of `fill_runs`.

    Examples
    --------
    >>> runs(np.s_[1:3, 0:1], np.ones((2, 1), bool), (3, 2)).tolist()
    [1, 2, 3]
    """
    changes = np.diff(np.pad(mask.T, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    column, row = np.nonzero(changes)
    bounds = (column + box[1].start) * shape[0] + row + box[0].start
    # a run that goes on in the next column ends and begins at the same place: no bound
    values, times = np.unique(bounds, return_counts=True)
    lengths: NDArray[np.int64] = np.diff(values[times == 1], prepend=0, append=shape[0] * shape[1])
    return lengths


_NOTHING: Patch = (np.s_[0:0, 0:0], np.zeros((0, 0), np.bool_))


def _linked_edges(objects: NDArray[np.int32]) -> tuple[NDArray[np.int64], ...]:
    """Return start x and y, heading, object and following edge of every edge around an object.

    Edges run clockwise, the object on their right, and are sorted by object, y and x.
    """
    padded = np.pad(objects, 1)
    sides = (
        (padded[:-1, 1:-1], padded[1:, 1:-1], (_WEST, _EAST)),
        (padded[1:-1, :-1], padded[1:-1, 1:], (_SOUTH, _NORTH)),
    )
    found = []
    for one, other, headings in sides:
        y, x = np.nonzero(one != other)
        for side, way in zip((one, other), headings, strict=True):
            ids = side[y, x]
            is_object = ids > 0
            start = x + (way == _WEST), y + (way == _NORTH), np.full(len(x), way), ids
            found.append(np.stack([part[is_object] for part in start]).astype(np.int64))
    x, y, heading, ids = np.concatenate(found, axis=1)
    stride = objects.shape[1] + 1
    place = (ids * (objects.shape[0] + 1) + y) * stride + x
    order = np.argsort(place, kind="stable")
    x, y, heading, ids, place = (a[order] for a in (x, y, heading, ids, place))
    goal = place + np.array([1, stride, -1, -stride])[heading]
    follower = np.searchsorted(place, goal)
    # Two edges leave a corner where pixels of an object touch only there: the left one is right.
    is_fork = np.append(place, -1)[follower + 1] == goal
    follower += is_fork & (heading[follower] != (heading - 1) % 4)
    return x, y, heading, ids, follower


def _first_centre(position: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Return the first pixel whose centre is not before a position, from 0 to `limit`."""
    return np.ceil(np.clip(position, 0, limit) - 0.5).astype(np.int64)


def _count_up(
    first: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers from `first` to before `end` of every range, and whose they are."""
    lengths = end - first
    owner = np.repeat(np.arange(len(first)), lengths)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths - first, lengths)


def _toggles(lines: slice, positions: slice) -> NDArray[np.uint8]:
    return np.zeros((lines.stop - lines.start, positions.stop - positions.start + 1), np.uint8)


def _between(toggles: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return what lies between an odd toggle of a line and the next one."""
    return (np.cumsum(toggles, axis=1, dtype=np.uint8)[:, :-1] & 1).astype(np.bool_)
