"""The shape of objects: the ellipse of the same moments, and the convex hull."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.runs import Ints, Runs

ROUND = 1e-9
"""Share of its moments by which an object must be longer than wide to have a direction."""


def ellipses(sums: pd.DataFrame) -> pd.DataFrame:
    r"""Return centre and ellipse of each object, from its moments.

    Parameters
    ----------
    sums : DataFrame
        From `axonlab.runs.object_sums`.

    Returns
    -------
    DataFrame
        Indexed by id, lengths in pixels: `y`, `x`; `minor_axis` and `major_axis` of the ellipse
        with the same second moments; its `eccentricity`; `orientation_deg`, the angle of the major
        axis, counter-clockwise as seen from the horizontal, from 0 to below 180°. It is NaN where
        no axis is the longer one.

    Notes
    -----
    Each pixel counts as a square, not as a point: 1/12 pixel² per axis. With the central moments
    :math:`\mu` over the area, the axes are
    :math:`4\sqrt{(\mu_{yy}+\mu_{xx})/2 \pm \sqrt{((\mu_{yy}-\mu_{xx})/2)^2+\mu_{xy}^2}}`.
    """
    area = sums["area"]
    # about the pixel next to the centre: whole numbers still, and nothing is lost far away
    near_y, near_x = np.rint(sums["y"] / area), np.rint(sums["x"] / area)
    y, x = (sums["y"] - near_y * area) / area, (sums["x"] - near_x * area) / area
    about_y = sums["yy"] - near_y * (2 * sums["y"] - near_y * area)
    about_x = sums["xx"] - near_x * (2 * sums["x"] - near_x * area)
    about_xy = sums["xy"] - near_y * sums["x"] - near_x * (sums["y"] - near_y * area)
    yy, xx = about_y / area - y**2 + 1 / 12, about_x / area - x**2 + 1 / 12
    xy = about_xy / area - y * x
    mean, half_range = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    minor, major = np.maximum(mean - half_range, 0), mean + half_range
    angle = np.degrees(np.arctan2(-2 * xy, xx - yy) / 2) % 180  # rows run downwards
    return pd.DataFrame(
        {
            "y": y + near_y,
            "x": x + near_x,
            "minor_axis": 4 * np.sqrt(minor),
            "major_axis": 4 * np.sqrt(major),
            "eccentricity": np.sqrt(1 - minor / major),
            "orientation_deg": angle.where(angle < 180, 0.0).where(half_range > ROUND * mean),
        }
    )


def hulls(runs: Runs) -> pd.DataFrame:
    """Return what the convex hull of each object measures.

    Parameters
    ----------
    runs : Runs
        From `axonlab.runs.find_runs`; those of several tiles together, ordered by row, do as well.

    Returns
    -------
    DataFrame
        Indexed by id, in pixels: `convex_area`, the number of pixels whose centres lie in the
        convex hull of the centres of the object's pixels; `min_feret`, the smallest distance of
        two parallel lines that hold the squares of its pixels between them.

    Notes
    -----
    Lattice points in a polygon by Pick's theorem. The narrowest pair of parallel lines lies on an
    edge of the hull (Freeman & Shapira 1975, doi:10.1145/360881.360919). That of the squares is
    the hull of the centres plus one square: it has the same edges and four upright ones, and is
    wider by the square's own width.

    Examples
    --------
    >>> from axonlab.runs import find_runs
    >>> hulls(find_runs(np.array([[1, 0, 2, 2], [1, 0, 2, 2], [1, 1, 0, 0]])))
       convex_area  min_feret
    1          4.0        2.0
    2          4.0        2.0
    """
    edges = _hull_edges(runs)
    n = len(runs.ids)
    cross = edges.x * (edges.y + edges.dy) - (edges.x + edges.dx) * edges.y
    area = np.abs(np.bincount(edges.owner, cross, minlength=n)) / 2
    on_outline = np.bincount(edges.owner, np.gcd(edges.dx, edges.dy), minlength=n)
    return pd.DataFrame(
        {"convex_area": area + on_outline / 2 + 1, "min_feret": _min_feret(edges, n)},
        index=runs.ids,
    )


def corner_runs(runs: Runs) -> Runs:
    """Return the pixels at the corners of the convex hull of each object, as runs of one pixel.

    `hulls` of them are those of all runs; where objects are cut into tiles, it is enough to keep
    the corners of their pieces.

    Examples
    --------
    >>> from axonlab.runs import find_runs
    >>> corner_runs(find_runs(np.array([[0, 1, 1, 1, 0], [1, 1, 1, 1, 1]]))).first.tolist()
    [1, 3, 0, 4]
    """
    owner, y, first, last = _row_ends(runs)
    left, right = _left_hulls(owner, y, first), _left_hulls(owner, y, -last)
    owners, rows, columns = (np.concatenate(pair) for pair in zip(left, right, strict=True))
    columns[len(left[0]) :] *= -1
    order = np.lexsort((columns, rows))
    return Runs(runs.ids, owners[order], rows[order], columns[order], columns[order])


class _Edges(NamedTuple):
    """Edges of convex hulls, ordered by object and counter-clockwise as seen from its top left.

    Starts `y`, `x` count from the top left of the object's hull.
    """

    owner: NDArray[np.intp]
    y: Ints
    x: Ints
    dy: Ints
    dx: Ints


def _hull_edges(runs: Runs) -> _Edges:
    """Return the edges of the convex hulls of the centres of the objects' pixels."""
    owner, y, first, last = _row_ends(runs)
    n = len(runs.ids)
    top, left = np.full(n, np.iinfo(np.int64).max), np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(top, owner, y)
    np.minimum.at(left, owner, first)
    y = y - top[owner]
    # The right side is the left side in a mirror: both are done as one.
    chain, y, x = _left_hulls(
        np.concatenate([owner, owner + n]),
        np.concatenate([y, y]),
        np.concatenate([first - left[owner], left[owner] - last]),
    )
    half = int(np.searchsorted(chain, n))
    owner = np.concatenate([chain[:half], chain[half:][::-1] - n])
    y = np.concatenate([y[:half], y[half:][::-1]])
    x = np.concatenate([x[:half], -x[half:][::-1]])
    order = np.argsort(owner, kind="stable")
    owner, y, x = owner[order], y[order], x[order]
    is_last = np.append(owner[1:] != owner[:-1], True)[: len(owner)]
    follower = np.arange(len(owner)) + 1
    follower[is_last] = np.flatnonzero(np.append(True, is_last[:-1]))[: is_last.sum()]
    edges = _Edges(owner, y, x, y[follower] - y, x[follower] - x)
    has_length = (edges.dy != 0) | (edges.dx != 0)
    return _Edges(*(part[has_length] for part in edges))


def _row_ends(runs: Runs) -> tuple[Ints, Ints, Ints, Ints]:
    """Return owner, row and first and last column of each object in each of its rows."""
    order = np.argsort(runs.owner, kind="stable")
    owner, row, first, last = (part[order] for part in runs[1:])
    is_new = np.ones(len(owner), bool)
    is_new[1:] = (owner[1:] != owner[:-1]) | (row[1:] != row[:-1])
    begin = np.flatnonzero(is_new)
    end = np.append(begin[1:], len(owner))[: len(begin)] - 1
    return owner[begin], row[begin], first[begin], last[end]


def _left_hulls(chain: Ints, y: Ints, x: Ints) -> tuple[Ints, Ints, Ints]:
    """Return those points of each chain, ordered by y, that are on the left of its hull.

    Notes
    -----
    A point that is not left of the line between any two others of its chain is not on the hull:
    all such are left out at once, again and again. Objects of tissue need some ten rounds.
    """
    while True:
        is_inner = chain[2:] == chain[:-2]
        ahead = (x[1:-1] - x[:-2]) * (y[2:] - y[:-2]) >= (x[2:] - x[:-2]) * (y[1:-1] - y[:-2])
        keep = np.ones(len(y), bool)
        keep[1:-1] = ~(is_inner & ahead)
        if keep.all():
            return chain, y, x
        chain, y, x = chain[keep], y[keep], x[keep]


def _min_feret(edges: _Edges, n: int) -> NDArray[np.float64]:
    """Return the smallest width of `n` objects, of the squares of their pixels."""
    upright = np.ones((2, n))
    np.maximum.at(upright[0], edges.owner, edges.y + 1)
    np.maximum.at(upright[1], edges.owner, edges.x + 1)
    # Around a hull edges turn one way, so the corner opposite one is found by its direction.
    turn = np.arctan2(-edges.dy, edges.dx)
    opposite = np.where(turn > 0, turn - np.pi, turn + np.pi)
    lap = 8 * edges.owner  # more than a full turn apart
    corner = np.searchsorted(lap + turn, lap + opposite)
    is_past = corner == np.searchsorted(edges.owner, edges.owner, side="right")
    corner[is_past] = np.searchsorted(edges.owner, edges.owner[is_past])
    y, x = edges.y[corner] - edges.y, edges.x[corner] - edges.x
    length = np.hypot(edges.dy, edges.dx)
    width = (np.abs(x * edges.dy - y * edges.dx) + np.abs(edges.dy) + np.abs(edges.dx)) / length
    narrowest: NDArray[np.float64] = upright.min(0)
    np.minimum.at(narrowest, edges.owner, width)
    return narrowest
