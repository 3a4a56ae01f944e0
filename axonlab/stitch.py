"""Components of a plane that is labelled tile by tile, joined across the borders of the tiles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]
Labels = NDArray[np.int32]
Tile = tuple[int, ...]
"""Row and column of a tile among the tiles; of a block of a volume, its section before them."""


class Sides(NamedTuple):
    """Labels along the four sides of a tile."""

    top: Labels
    bottom: Labels
    left: Labels
    right: Labels


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Join:
    """Which components of all tiles are one.

    Parameters
    ----------
    n : int
        Number of whole components.
    whole : (M,) array
        Whole component, from 0, of every component of a tile; those of the first tile come first.
    first : mapping of tile to int
        Place in `whole` of the first component of a tile.
    """

    n: int
    whole: Ints
    first: dict[Tile, int]
    _counts: dict[Tile, int]

    def of(self, tile: Tile) -> Ints:
        """Return the whole component of each label of a tile from 1, in this order."""
        start = self.first[tile]
        return self.whole[start : start + self._counts[tile]]


def label(mask: NDArray[np.bool_]) -> tuple[Labels, int, Sides]:
    """Number the components of a tile, and tell which of them reach its sides.

    Parameters
    ----------
    mask : (h, w) bool array

    Returns
    -------
    labels : (h, w) int32 array
        From 1; pixels belong together when they share an edge.
    n : int
    sides : Sides
    """
    labels, n = ndimage.label(mask, output=np.int32)
    return labels, n, Sides(labels[0], labels[-1], labels[:, 0], labels[:, -1])


def first_pixels(labels: Labels, n: int) -> NDArray[np.intp]:
    """Return the place in the flat tile of the first pixel of each label from 1 to n.

    Examples
    --------
    >>> first_pixels(np.int32([[0, 2], [1, 2]]), 2).tolist()
    [2, 1]
    """
    flat = labels.reshape(-1)
    places = np.flatnonzero(flat)[::-1]
    first = np.zeros(n + 1, np.intp)
    first[flat[places]] = places  # of several values for one place the last one stays
    return first[1:]


def join(counts: dict[Tile, int], sides: dict[Tile, Sides]) -> Join:
    """Join the components of tiles that touch across a border.

    Parameters
    ----------
    counts : mapping of tile to int
        Number of components of each tile.
    sides : mapping of tile to Sides
        Of the same tiles, in which labels count from 1 in each tile.

    Returns
    -------
    Join

    Notes
    -----
    The components of the tiles are the nodes of a graph, with an edge where two of them share the
    edge of a pixel: its connected components are the whole ones.
    """
    touch = []
    for (row, column), own in sides.items():
        for mine, other, side in (
            (own.bottom, (row + 1, column), "top"),
            (own.right, (row, column + 1), "left"),
        ):
            if other not in sides:
                continue
            theirs: Labels = getattr(sides[other], side)
            touching = (mine > 0) & (theirs > 0)
            both = np.unique(np.stack([mine[touching], theirs[touching]]).astype(np.int64), axis=1)
            touch.append(((row, column), other, both))
    return join_pairs(counts, touch)


def join_pairs(counts: dict[Tile, int], touch: Iterable[tuple[Tile, Tile, Ints]]) -> Join:
    """Join components of tiles that are known to be one.

    Parameters
    ----------
    counts : mapping of tile to int
        Number of components of each tile.
    touch : iterable of (tile, tile, (2, m) int64 array)
        Labels of the one and of the other tile, from 1, that are one component.

    Examples
    --------
    >>> join_pairs({(0, 0): 2, (0, 1): 1}, [((0, 0), (0, 1), np.array([[2], [1]]))]).whole
    array([0, 1, 1])
    """
    starts = np.cumsum([0, *counts.values()])
    first = {tile: int(start) for tile, start in zip(counts, starts[:-1], strict=True)}
    pairs = [np.zeros((2, 0), np.int64)]
    for tile, other, both in touch:
        pairs.append(both - 1 + np.array([[first[tile]], [first[other]]]))
    n = int(starts[-1])
    one, other_one = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(one), bool), (one, other_one)), shape=(n, n))
    n_whole, whole = connected_components(graph, directed=False)
    return Join(int(n_whole), whole.astype(np.int64), first, counts)
