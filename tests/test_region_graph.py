"""Regions that touch and what they become, against counting and joining one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from axonlab.region_graph import ends, merge_regions, region_graph

OFFSETS = [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 2, -1)]


def drawn(seed, shape=(3, 4, 5), n=7):
    """Return random regions, 0 among them, and random affinities."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, n, shape), rng.random((len(OFFSETS), *shape))


def brute_graph(regions, affinities, offsets):
    """Return the affinities of every pair of regions, voxel by voxel."""
    found = {}
    for k, offset in enumerate(offsets):
        for at in np.ndindex(*regions.shape):
            to = tuple(np.add(at, offset))
            if all(0 <= i < n for i, n in zip(to, regions.shape, strict=True)):
                pair = tuple(sorted((int(regions[at]), int(regions[to]))))
                if pair[0] > 0 and pair[0] != pair[1]:
                    found.setdefault(pair, []).append(affinities[(k, *at)])
    return found


def brute_merge(graph, voxels, threshold, min_voxels):
    """Join the pair of groups of highest mean affinity, all means from scratch each time."""
    groups = {i: {i} for i in range(1, len(voxels))}
    while True:
        best = None
        for one in groups:
            for other in groups:
                between = [
                    value
                    for (a, b), values in graph.items()
                    for value in values
                    if (a in groups[one] and b in groups[other])
                    or (b in groups[one] and a in groups[other])
                ]
                if one >= other or not between:
                    continue
                smallest = min(sum(voxels[i] for i in groups[g]) for g in (one, other))
                if np.mean(between) > threshold or smallest < min_voxels:
                    best = max(best or (-1,), (np.mean(between), one, other))
        if best is None:
            return list(groups.values())
        groups[best[1]] |= groups.pop(best[2])


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_graph_is_that_of_counting(seed):
    """Sums and counts are those of going from voxel to voxel."""
    regions, affinities = drawn(seed)
    graph = region_graph(regions, affinities, OFFSETS)
    expected = brute_graph(regions, affinities, OFFSETS)
    assert [tuple(pair) for pair in graph.pairs.tolist()] == sorted(expected)
    for pair, total, count in zip(graph.pairs.tolist(), graph.sums, graph.counts, strict=True):
        assert count == len(expected[tuple(pair)])
        assert np.isclose(total, sum(expected[tuple(pair)]))


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.5, 0.6, 1]), st.sampled_from([1, 9, 20]))
def test_groups_are_those_of_joining_one_by_one(seed, threshold, min_voxels):
    """Groups are those of average linkage with all means computed anew at each step."""
    regions, affinities = drawn(seed)
    voxels = np.bincount(regions.ravel(), minlength=7)
    found = merge_regions(
        region_graph(regions, affinities, OFFSETS),
        voxels,
        threshold=threshold,
        min_voxels=min_voxels,
    )
    graph = brute_graph(regions, affinities, OFFSETS)
    for group in brute_merge(graph, voxels, threshold, min_voxels):
        assert len({int(found[i]) for i in group}) == 1
    assert len(set(found[1:].tolist())) == len(brute_merge(graph, voxels, threshold, min_voxels))


def test_offsets_longer_than_the_volume():
    """What leads out of the volume from everywhere links nothing."""
    for offset in (-7, 0, 0), (0, 7, 0):
        here, there = ends((5, 5, 5), offset)
        assert np.zeros((5, 5, 5))[here].size == np.zeros((5, 5, 5))[there].size == 0
    graph = region_graph(np.ones((5, 5, 5), int), np.ones((1, 5, 5, 5)), [(-7, 0, 0)])
    assert graph.pairs.shape == (0, 2)
    assert merge_regions(graph, np.array([0, 125]), threshold=0.5).tolist() == [0, 1]
