"""Filling of what is of no object, against code that goes voxel by voxel."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from axonlab.affinities import NEAREST
from axonlab.neurite_fill import fill_alone, fill_lines


def brute_fill(objects_):
    """Fill voxel by voxel, round by round."""
    while True:
        before = objects_.copy()
        for z, y, x in np.argwhere(before == 0):
            around = before[z, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            counts = np.bincount(around[around > 0])
            objects_[z, y, x] = counts.argmax() if counts.size else 0
        if (before == objects_).all():
            return objects_


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.1, 0.95))
def test_fill_is_that_of_voxel_by_voxel(seed, empty):
    """Each round gives lines the most frequent id around; a section of none stays empty."""
    rng = np.random.default_rng(seed)
    drawn = np.where(rng.random((3, 6, 7)) < empty, 0, rng.integers(1, 5, (3, 6, 7)))
    drawn[1] = 0
    drawn = drawn.astype(np.int32)
    np.testing.assert_array_equal(fill_lines(drawn), brute_fill(drawn.copy()))


def brute_join(objects, affinities):
    """Join voxel by voxel, round by round, the neighbour of the highest affinity."""
    while True:
        before = objects.copy()
        for at in np.argwhere(before == 0):
            best = -1.0
            for k, offset in enumerate(NEAREST):
                for to, holder in ((at + offset, at), (at - offset, at - offset)):
                    inside = ((to >= 0) & (to < before.shape)).all()
                    if inside and before[tuple(to)] and affinities[(k, *holder)] > best:
                        best = affinities[(k, *holder)]
                        objects[tuple(at)] = before[tuple(to)]
        if (before == objects).all():
            return objects


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.1, 1.0))
def test_voxels_alone_join_who_they_have_most_in_common_with(seed, empty):
    """Round by round, over affinities in both directions; an empty volume stays empty."""
    rng = np.random.default_rng(seed)
    shape = (3, 5, 6)
    drawn = np.where(rng.random(shape) < empty, 0, rng.integers(1, 5, shape)).astype(np.int32)
    affinities = rng.random((3, *shape)).astype(np.float32)
    before = drawn.copy()
    found = fill_alone(drawn, affinities, NEAREST)
    np.testing.assert_array_equal(drawn, before)
    np.testing.assert_array_equal(found, brute_join(drawn.copy(), affinities))
