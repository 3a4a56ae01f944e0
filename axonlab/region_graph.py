"""Regions of a volume that touch, how strongly, and which of them are one after all."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

Offset = tuple[int, int, int]
Box = tuple[slice, slice, slice]


class RegionGraph(NamedTuple):
    """Which regions touch, and the affinities of the voxels by which they do.

    Parameters
    ----------
    pairs : (m, 2) int64 array
        Ids, the smaller one first, in ascending order.
    sums : (m,) float64 array
        Of the affinities between the two.
    counts : (m,) int64 array
        Of these affinities.
    """

    pairs: NDArray[np.int64]
    sums: NDArray[np.float64]
    counts: NDArray[np.int64]


def ends(shape: tuple[int, ...], offset: Offset) -> tuple[Box, Box]:
    """Return where the voxels are whose partners lie inside of a volume, and these partners.

    Parameters
    ----------
    shape : triple of int
    offset : triple of int
        From a voxel to its partner.

    Examples
    --------
    >>> ends((4, 5, 6), (-1, 0, 2))[0]
    (slice(1, 4, None), slice(0, 5, None), slice(0, 4, None))
    """
    here, there = (
        [
            slice(min(n, max(0, -step)), max(0, n - max(0, step)))
            for step, n in zip(steps, shape, strict=True)
        ]
        for steps in (offset, [-step for step in offset])
    )
    return (here[0], here[1], here[2]), (there[0], there[1], there[2])


def region_graph(
    regions: NDArray[np.integer], affinities: NDArray[np.floating], offsets: Sequence[Offset]
) -> RegionGraph:
    """Sum the affinities between regions.

    Parameters
    ----------
    regions : (Z, Y, X) integer array
        Ids; 0 is no region.
    affinities : (n_offsets, Z, Y, X) float array
    offsets : sequence of triple of int
        Of the affinities. Those of a voxel whose partner lies outside do not count.

    Returns
    -------
    RegionGraph

    Examples
    --------
    >>> regions = np.array([[[1, 1, 2], [1, 2, 2]]])
    >>> affinities = np.array([[[[0, 0.9, 0.3], [0, 0.5, 0.9]]]])
    >>> graph = region_graph(regions, affinities, [(0, 0, -1)])
    >>> graph.pairs.tolist(), graph.sums.tolist(), graph.counts.tolist()
    ([[1, 2]], [0.8], [2])
    """
    n = int(regions.max(initial=0)) + 1
    keys: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    sums: list[NDArray[np.float64]] = [np.zeros(0)]
    counts: list[NDArray[np.integer]] = [np.zeros(0, np.int64)]
    for affinity, offset in zip(affinities, offsets, strict=True):
        here, there = ends(regions.shape, offset)
        one, other = regions[here], regions[there]
        touch = np.nonzero((one != other) & (one > 0) & (other > 0))
        low, high = np.sort([one[touch], other[touch]], axis=0).astype(np.int64)
        key, place = np.unique(low * n + high, return_inverse=True)
        keys.append(key)
        sums.append(np.bincount(place, affinity[here][touch], len(key)).astype(np.float64))
        counts.append(np.bincount(place, minlength=len(key)))
    key, place = np.unique(np.concatenate(keys), return_inverse=True)
    return RegionGraph(
        np.stack(np.divmod(key, n), axis=1),
        np.bincount(place, np.concatenate(sums), len(key)).astype(np.float64),
        np.bincount(place, np.concatenate(counts), len(key)).astype(np.int64),
    )


def merge_regions(
    graph: RegionGraph, voxels: NDArray[np.integer], *, threshold: float, min_voxels: int = 1
) -> NDArray[np.int64]:
    """Join regions by their mean affinity, the highest first.

    Parameters
    ----------
    graph : RegionGraph
    voxels : (n + 1,) integer array
        Number of voxels of each id.
    threshold : float
        Two regions are joined while their mean affinity is above it.
    min_voxels : int
        Regions of fewer voxels are joined whatever the threshold is: to the neighbour they have
        the highest mean affinity with.

    Returns
    -------
    (n + 1,) int64 array
        For each id the smallest one of its group.

    Notes
    -----
    The mean affinity of two groups is that of all affinities between them, so that it is updated
    whenever two are joined. It never rises above those that were joined before: one pass through a
    queue is enough. (Average linkage; Lee et al. 2017, arXiv 1706.00120.)

    Examples
    --------
    >>> graph = RegionGraph(np.array([[1, 2], [2, 3]]), np.array([1.8, 0.2]), np.array([2, 1]))
    >>> merge_regions(graph, np.array([0, 9, 9, 9]), threshold=0.5).tolist()
    [0, 1, 1, 3]
    >>> merge_regions(graph, np.array([0, 9, 9, 1]), threshold=0.5, min_voxels=2).tolist()
    [0, 1, 1, 1]
    """
    size: list[int] = voxels.tolist()
    group = list(range(len(size)))
    near: list[dict[int, tuple[float, int]]] = [{} for _ in size]
    queue = []
    for (one, other), total, count in zip(
        graph.pairs.tolist(), graph.sums.tolist(), graph.counts.tolist(), strict=True
    ):
        near[one][other] = near[other][one] = total, count
        queue.append((-total / count, one, other))
    heapq.heapify(queue)
    while queue:
        mean, one, other = heapq.heappop(queue)
        edge = near[one].get(other)
        if edge is None or -edge[0] / edge[1] != mean:
            continue  # one of the two has been joined to a third since
        if -mean <= threshold and min(size[one], size[other]) >= min_voxels:
            continue
        if len(near[one]) < len(near[other]):
            one, other = other, one  # what has fewer neighbours is moved
        group[other] = one
        size[one] += size[other]
        del near[one][other], near[other][one]
        for third, (total, count) in near[other].items():
            del near[third][other]
            before = near[one].get(third, (0.0, 0))
            total, count = total + before[0], count + before[1]
            near[one][third] = near[third][one] = total, count
            heapq.heappush(queue, (-total / count, min(one, third), max(one, third)))
        near[other] = {}
    ids = np.array(group)
    while (ids[ids] != ids).any():
        ids = ids[ids]
    smallest = np.arange(len(ids))
    np.minimum.at(smallest, ids, np.arange(len(ids)))
    return np.asarray(smallest[ids], np.int64)


def pieces(objects: NDArray[np.integer]) -> NDArray[np.int32]:
    """Number the pieces of equal ids that hang together by faces; 0 stays.

    Examples
    --------
    >>> pieces(np.array([[[7, 7, 0, 7, 3]]]))
    array([[[1, 1, 0, 2, 3]]], dtype=int32)
    """
    found = label(objects, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    return np.asarray(found, np.int32)
