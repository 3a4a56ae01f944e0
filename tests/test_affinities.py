"""Targets for networks: each voxel against its partners, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axonlab.affinities import (
    NEAREST,
    affinity_targets,
    boundary_targets,
    check_offsets,
    pair_slices,
)

OFFSETS = [*NEAREST, (-2, 0, 0), (0, -3, 0), (0, -1, 2), (-1, 3, -3), (0, 0, -9)]
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))


def ids(shape: tuple[int, ...], seed: int, low: int = -1) -> np.ndarray:
    """Return random instances of 3 neurons, some voxels of none and, from -1, some unknown."""
    return np.random.default_rng(seed).integers(low, 4, shape)


@settings(max_examples=60)
@given(SHAPES, st.integers(0, 1000), st.sampled_from(OFFSETS))
def test_affinities_against_a_loop(
    shape: tuple[int, int, int], seed: int, offset: tuple[int, int, int]
) -> None:
    """Voxel by voxel: its own id and that of its partner decide."""
    instances = ids(shape, seed)
    (found,) = affinity_targets(instances, [offset])
    for at in np.ndindex(shape):
        partner = tuple(np.add(at, offset))
        is_inside = all(0 <= p < n for p, n in zip(partner, shape, strict=True))
        if not is_inside or instances[at] < 0 or instances[partner] < 0:
            expected = 255
        else:
            expected = int(instances[at] == instances[partner] != 0)
        assert found[at] == expected


def test_affinities_of_huge_and_of_unsigned_ids() -> None:
    """Ids of 64 bits do not run into each other, nor do unsigned ones become negative."""
    instances = np.array([[[2**63 + 1, 2**63 + 1, 2**63 + 2, 1]]], np.uint64)
    assert affinity_targets(instances, [(0, 0, -1)])[0, 0, 0].tolist() == [255, 1, 0, 0]
    assert affinity_targets(instances.astype(np.int64) - 2**62, NEAREST).shape == (3, 1, 1, 4)


def test_mirrored_targets_are_those_of_mirrored_instances() -> None:
    """An offset of a volume is the mirrored offset, of the partner, of the mirrored volume."""
    instances = ids((3, 5, 6), 0, low=0)
    before = affinity_targets(instances, [(0, -2, 0)])[0]
    after = affinity_targets(instances[:, ::-1], [(0, -2, 0)])[0][:, ::-1]
    assert (before[:, 2:] == after[:, :-2]).all()


@settings(max_examples=60)
@given(
    SHAPES,
    st.integers(0, 1000),
    st.sampled_from([0, 1, 1.5, 2, 3, 4.5]),
    st.sampled_from([0, 1, 2]),
)
def test_boundaries_against_a_loop(
    shape: tuple[int, int, int], seed: int, thickness: float, across: int
) -> None:
    """Voxel by voxel: is another neuron near in the section, or in the next ones at its place."""
    instances = ids(shape, seed)
    found = boundary_targets(instances, thickness, across)
    places = np.stack(np.indices(shape), -1)
    for at in np.ndindex(shape):
        if instances[at] < 0:
            assert found[at] == 255
            continue
        dz, dy, dx = np.moveaxis(places - at, -1, 0)
        near = (dz == 0) & (np.hypot(dy, dx) - 0.5 < thickness / 2)
        near |= (dy == 0) & (dx == 0) & (np.abs(dz) <= across)
        others = instances[near & (instances > 0) & (instances != instances[at])]
        assert found[at] == int(instances[at] == 0 or others.size > 0)


def test_boundaries_of_two_cubes() -> None:
    """A boundary is as thick as it was asked for, on both sides alike."""
    instances = np.repeat([1, 2], 10)[None, None].repeat(5, 1)
    for thickness in (2, 4, 6):
        assert boundary_targets(instances, thickness).sum() == 5 * thickness
    stacked = np.ones((6, 4, 4), int)
    stacked[3:] = 2
    assert (boundary_targets(stacked).any((1, 2)) == [0, 0, 1, 1, 0, 0]).all()
    assert not boundary_targets(stacked, across_sections=0).any()


@pytest.mark.parametrize("offset", OFFSETS)
def test_pairs(offset: tuple[int, int, int]) -> None:
    """Slices meet voxels that are an offset apart, also where it is longer than the volume."""
    here, there = (np.stack(np.indices((4, 7, 8)), -1)[at] for at in pair_slices(offset))
    assert (there - here == offset).all() and here.shape[:3] == there.shape[:3]
    assert here[..., 0].size == max(0, 4 + offset[0]) * (7 - abs(offset[1])) * max(
        0, 8 - abs(offset[2])
    )


@pytest.mark.parametrize(
    "wrong", [[], [(0, 0)], [(0, 0, 0)], [(1, 0, 0)], [(0, -0.5, 0)], 2 * [(-1, 0, 0)]]
)
def test_offsets_that_cannot_be(wrong: list[tuple[float, ...]]) -> None:
    """Offsets lead backwards, by whole voxels, and come once."""
    with pytest.raises(ValueError, match="expected"):
        check_offsets(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("targets", [boundary_targets, lambda i: affinity_targets(i, NEAREST)])
def test_instances_that_cannot_be(targets) -> None:
    """Planes, empty volumes and probabilities are no instances."""
    for wrong, words in ((np.ones((3, 4), int), "volume"), (np.ones((0, 3, 4), int), "volume")):
        with pytest.raises(ValueError, match=words):
            targets(wrong)
    with pytest.raises(ValueError, match="integer ids, got float64"):
        targets(np.ones((2, 3, 4)))


def test_numbers_that_cannot_be() -> None:
    """Boundaries are not negative."""
    for wrong in ({"thickness": -1}, {"across_sections": -1}, {"thickness": np.nan}):
        with pytest.raises(ValueError, match="expected 0 or more"):
            boundary_targets(np.ones((1, 2, 3), int), **wrong)
