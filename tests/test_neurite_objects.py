"""Neurites from affinities and boundaries: against slow code that follows the definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from axonlab import neurite_objects as neurites
from axonlab import objects
from axonlab.neurite_objects import NEAREST, BoundaryWatershed, MeanAffinity, MutexWatershed
from axonlab.region_graph import ends

FAR = (*NEAREST, (-2, 0, 0), (0, -3, 0), (0, 0, -3), (-1, 2, 0))


def same_voxels(one, other):
    """Tell whether two numberings are the same up to the order of the ids; 0 is 0 in both."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return (
        len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
        and ((one == 0) == (other == 0)).all()
    )


def cells(shape=(20, 40, 44), n=12, seed=0):
    """Return cells of known truth: the nearest of n points, of voxels four times as deep."""
    points = np.random.default_rng(seed).uniform(0, 1, (n, 3)) * shape
    at = np.stack(np.indices(shape), -1)[..., None, :]
    squared = (((at - points) * (4, 1, 1)) ** 2).sum(-1)
    return squared.argmin(-1).astype(np.int32) + 1


def affinities_of(truth, offsets, noise=0.0, seed=0):
    """Return affinities as a network might predict them; random where a partner is outside."""
    rng = np.random.default_rng(seed)
    found = rng.random((len(offsets), *truth.shape)).astype(np.float32)
    for affinity, offset in zip(found, offsets, strict=True):
        here, there = ends(truth.shape, offset)
        same = (truth[here] == truth[there]).astype(np.float32)
        clouds = ndimage.gaussian_filter(rng.standard_normal(same.shape), 1)
        affinity[here] = np.clip(same * 0.9 + 0.05 + noise * clouds / clouds.std(), 0, 1)
    return found


def boundaries_of(truth):
    """Return the blurred boundaries of cells."""
    wall = ndimage.maximum_filter(truth, 3) != ndimage.minimum_filter(truth, 3)
    return ndimage.gaussian_filter(wall.astype(np.float32), 0.5)


def brute_mutex(affinities, offsets, biases):
    """Take one edge after the other, strongest first, with sets of voxels and of enemies."""
    shape, edges = affinities.shape[1:], []
    for k, offset in enumerate(offsets):
        for at in np.ndindex(*shape):
            to = tuple(np.add(at, offset))
            if all(0 <= i < n for i, n in zip(to, shape, strict=True)):
                edges.append((float(affinities[(k, *at)]) + biases[k], at, to))
    group = {at: {at} for at in np.ndindex(*shape)}
    apart = set()
    for weight, one, other in sorted(edges, key=lambda edge: -abs(edge[0])):
        mine, theirs = group[one], group[other]
        if mine is theirs:
            continue
        enemies = any((a, b) in apart for a in mine for b in theirs)
        if weight <= 0:
            apart |= {(one, other), (other, one)}
        elif not enemies:
            mine |= theirs
            for at in theirs:
                group[at] = mine
    found, n = np.zeros(shape, int), 0
    for at in np.ndindex(*shape):
        if len(group[at]) > 1 and not found[at]:
            n += 1
            for voxel in group[at]:
                found[voxel] = n
    return found


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)),
    st.integers(0, 10**6),
    st.sampled_from([-0.3, -0.5, (-0.4, -0.4, -0.4, -1, -1, -1, -0.7)]),
)
def test_mutex_watershed_is_that_of_its_definition(shape, seed, biases):
    """Random affinities give what taking edge after edge gives, on volumes of any shape."""
    affinities = np.random.default_rng(seed).random((len(FAR), *shape))
    found = neurites.label_neurites(affinities, MutexWatershed(FAR, biases))
    each = np.broadcast_to(biases, len(FAR))
    assert same_voxels(found, brute_mutex(affinities, FAR, each))


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([1, 5]))
def test_what_lies_outside_has_no_influence(seed, min_voxels):
    """Affinities to partners outside of the volume may be anything."""
    rng = np.random.default_rng(seed)
    affinities = rng.random((len(FAR), 3, 4, 5))
    other = rng.random(affinities.shape)
    for values, offset in zip(affinities, FAR, strict=True):
        here, _ = ends(values.shape, offset)
        other[FAR.index(offset)][here] = values[here]
    for recipe in MutexWatershed(FAR), MeanAffinity(FAR):
        one, two = (
            neurites.label_neurites(each, recipe, min_voxels=min_voxels)
            for each in (affinities, other)
        )
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("recipe", [MutexWatershed(FAR), MeanAffinity(FAR)])
def test_cells_of_known_truth(recipe):
    """Noisy affinities tell every cell; ids run from 1 in the order of first voxels."""
    truth = cells()
    found = objects.label_neurites(affinities_of(truth, FAR, noise=0.1), recipe, min_voxels=50)
    assert found.dtype == np.int32
    ids, first = np.unique(found, return_index=True)
    assert ids[ids > 0].tolist() == list(range(1, found.max() + 1))
    assert (np.diff(first[ids > 0]) > 0).all()
    agree = sum(np.bincount(found[truth == cell]).max() for cell in np.unique(truth))
    assert agree > 0.97 * truth.size
    assert found.max() == truth.max()


def test_boundaries_of_known_truth():
    """Boundaries tell every cell, and lines between basins are filled."""
    truth = cells((16, 48, 48), n=6)
    recipe = BoundaryWatershed(h=0.15, smoothing=(0.5, 1, 1))
    found = neurites.label_neurites(boundaries_of(truth), recipe)
    assert (found > 0).all()
    agree = sum(np.bincount(found[truth == cell]).max() for cell in np.unique(truth))
    assert agree > 0.85 * truth.size


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.15, 0.3]))
def test_as_many_as_h_minima(seed, h):
    """There are as many neurites as valleys that are left when all are filled by h."""
    rng = np.random.default_rng(seed)
    boundaries = ndimage.gaussian_filter(rng.random((4, 9, 10)), 1).astype(np.float32)
    boundaries = (boundaries - boundaries.min()) / np.ptp(boundaries)
    found = neurites.label_neurites(boundaries, BoundaryWatershed(h=h, smoothing=0))
    assert found.max() == brute_n_minima(boundaries, h)


def brute_n_minima(height, h):
    """Count components below each level that are no less than h deep and hold no such other."""
    n = 0
    raised = height.astype(float) + h
    while True:  # reconstruction by erosion, step by step
        lower = np.maximum(ndimage.grey_erosion(raised, footprint=CROSS, mode="nearest"), height)
        if (lower == raised).all():
            break
        raised = lower
    for level in np.unique(raised):
        flat, m = ndimage.label(raised == level)
        for i in range(1, m + 1):
            rim = ndimage.binary_dilation(flat == i) & (flat != i)
            n += bool((raised[rim] > level).all())
    return n


CROSS = ndimage.generate_binary_structure(3, 1)


def test_specks_join_their_neighbour():
    """A speck goes where its affinity is highest; what touches nothing becomes 0."""
    affinities = np.zeros((3, 1, 1, 9), np.float32)
    affinities[2, 0, 0] = [0, 0.9, 0.9, 0.2, 0.4, 0.9, 0.9, 0.9, 0.9]  # 012 3 45678
    recipe = MutexWatershed(NEAREST)
    found = neurites.label_neurites(affinities, recipe)
    assert found.ravel().tolist() == [1, 1, 1, 0, 2, 2, 2, 2, 2]
    graph = MeanAffinity(threshold=0.5, smoothing=0)
    found = neurites.label_neurites(affinities, graph)
    assert found.ravel().tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 2]
    affinities[2, 0, 0, 4:6] = [0.9, 0.4]  # 012 34 5678
    assert neurites.label_neurites(affinities, recipe).max() == 3
    found = neurites.label_neurites(affinities, recipe, min_voxels=3)
    assert found.ravel().tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 2]
    alone = np.ones((1, 2, 2), np.float32)
    assert not neurites.label_neurites(alone, BoundaryWatershed(), min_voxels=9).any()


@pytest.mark.parametrize("recipe", [MutexWatershed(FAR), MeanAffinity(FAR), BoundaryWatershed()])
def test_a_single_voxel(recipe):
    """The smallest volume has a result, whatever the recipe."""
    shape = (len(FAR), 1, 1, 1) if recipe.offsets else (1, 1, 1)
    assert neurites.label_neurites(np.ones(shape, np.float32), recipe).shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("prediction", "recipe", "message"),
    [
        (np.zeros((3, 0, 4, 4)), MutexWatershed(NEAREST), r"\(3, 0, 4, 4\).*at least one voxel"),
        (np.zeros((4, 4, 4)), MutexWatershed(NEAREST), r"takes affinities \(offsets, Z, Y, X\)"),
        (np.zeros((3, 4, 4, 4)), BoundaryWatershed(), r"takes boundaries \(Z, Y, X\)"),
        (np.zeros((4, 2, 2, 2)), MeanAffinity(), "affinities of 4 offsets, MeanAffinity was .* 3"),
        (np.full((3, 2, 2, 2), 255), MeanAffinity(), "values from 255 to 255, expected.*255"),
        (np.full((3, 2, 2, 2), -0.1), MutexWatershed(NEAREST), "from -0.1 to -0.1"),
        (np.full((2, 2, 2), np.nan), BoundaryWatershed(), "from nan to nan.*NaN comes from"),
    ],
)
def test_predictions_that_cannot_be(prediction, recipe, message):
    """What is no prediction is refused, with what would be."""
    with pytest.raises(ValueError, match=message):
        neurites.label_neurites(prediction, recipe)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MutexWatershed(()), r"offsets are \(\), expected steps"),
        (lambda: MutexWatershed(((0, 0, 0),)), r"none of them \(0, 0, 0\)"),
        (lambda: MutexWatershed(((0, -1),)), "expected steps"),
        (lambda: MutexWatershed(((0, 0.5, 1),)), "whole voxels"),
        (lambda: MutexWatershed(NEAREST, (-0.5, -0.5)), "one for each of the 3 offsets"),
        (lambda: MutexWatershed(NEAREST, 0.5), "from -1 to 0"),
        (lambda: MeanAffinity(NEAREST[:2]), "nearest ones of all three axes"),
        (lambda: MeanAffinity(threshold=2), "threshold is 2, expected 0 to 1"),
        (lambda: BoundaryWatershed(h=np.nan), "h is nan"),
        (lambda: BoundaryWatershed(smoothing=(1, 1)), "or three for sections"),
        (lambda: MeanAffinity(smoothing=-1), "of at least 0"),
    ],
)
def test_recipes_that_cannot_be(make, message):
    """A recipe that makes no sense is refused when it is made."""
    with pytest.raises(ValueError, match=message):
        make()


def test_min_voxels_of_none():
    """No neurite has fewer voxels than one."""
    with pytest.raises(ValueError, match="min_voxels is 0"):
        neurites.label_neurites(np.ones((2, 2, 2)), BoundaryWatershed(), min_voxels=0)
