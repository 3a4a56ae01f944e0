"""Patches of volumes: what belongs together stays so, and targets fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from axonlab.affinities import NEAREST, affinity_targets, boundary_targets
from axonlab.volume import Volume, normalise_sections
from axonlab.volume_blocks import (
    check_instances,
    section_block,
    volume_block,
)

Source = tuple[Volume, np.ndarray]
ISOTROPIC, FLAT = (0.01, 0.01, 0.01), (0.03, 0.01, 0.01)
OFFSETS = [*NEAREST, (0, -4, 0)]

pytestmark = pytest.mark.usefixtures("one_thread")


def numbered(voxel_size: tuple[float, float, float] = FLAT) -> Source:
    """Return a volume in which grey values and ids say where a voxel is, sections in order."""
    places = np.arange(12 * 13 * 14).reshape(12, 13, 14)
    return Volume(places, voxel_size, "places"), places + 1


def whereabouts(truth: Tensor) -> np.ndarray:
    """Return the places (..., 3) that ids of `numbered` stand for."""
    return np.stack(np.unravel_index(np.asarray(truth) - 1, (12, 13, 14)), -1)


def boxes(source: Source, n: int, **changes: object) -> list[tuple[Tensor, np.ndarray]]:
    """Return n training patches: pixels, and the places that their voxels are from."""
    settings = {"valid": np.s_[8:], "patch": (4, 6, 7), "defects": 0.0, "patches": n}
    block = volume_block(**(settings | changes))
    dls = block.dataloaders(source, bs=1, num_workers=0)
    cut = dls.train.after_item.fs[0]
    cut.targets = lambda truth: truth  # the ids themselves
    found = [dls.train.after_item(item) for item in dls.train_ds]
    return [(x.as_subclass(Tensor), whereabouts(y)) for x, y in found]


@pytest.mark.parametrize("voxel_size", [FLAT, ISOTROPIC, (0.03, 0.01, 0.02)])
def test_patches_are_mirrored_and_turned_boxes(voxel_size: tuple[float, float, float]) -> None:
    """Steps along the axes of a patch are steps of 1 along axes of equal voxels of the volume."""
    torch.manual_seed(0)
    source = numbered(voxel_size)
    pixels = normalise_sections(source[0])
    seen = set()
    for x, places in boxes(source, 200):
        assert x.shape == (1, 4, 6, 7) and places.shape == (4, 6, 7, 3)
        np.testing.assert_array_equal(x[0], pixels[tuple(np.moveaxis(places, -1, 0))])
        steps = [np.diff(places, axis=axis).reshape(-1, 3) for axis in range(3)]
        assert all((step == step[0]).all() and np.abs(step[0]).sum() == 1 for step in steps)
        seen.add(tuple(tuple(step[0].tolist()) for step in steps))
        for axis, step in enumerate(steps):
            assert voxel_size[int(np.flatnonzero(step[0])[0])] == voxel_size[axis]
        assert places[..., 0].max() < 8  # never of the slab for validation
    assert len(seen) == {FLAT: 16, ISOTROPIC: 48}.get(voxel_size, 8)


def test_targets_are_those_of_the_patch_as_it_is_seen() -> None:
    """Affinities are of the turned ids: of different ones all are 0, without a partner unknown."""
    torch.manual_seed(0)
    volume, _ = numbered()
    instances = np.ones((12, 13, 14), int)
    block = volume_block(valid=np.s_[8:], patch=(4, 6, 7), offsets=OFFSETS)
    x, y = block.dataloaders((volume, instances), bs=3, num_workers=0).train.one_batch()
    assert x.shape == (3, 1, 4, 6, 7) and x.dtype == torch.float32
    expected = affinity_targets(np.ones((4, 6, 7), int), OFFSETS)
    assert (y.as_subclass(Tensor) == torch.from_numpy(expected)).all()


def test_validation_is_unchanged_and_apart() -> None:
    """Patches for validation lie beside each other in their slab, as they are, every time."""
    source = numbered()
    pixels = normalise_sections(source[0])
    block = volume_block(valid=np.s_[:, 6:], patch=(4, 3, 7), valid_patches=9, defects=1.0)
    dls = block.dataloaders(source, bs=1, num_workers=0)
    first, again = ([y.as_subclass(Tensor) for _, y in dls.valid] for _ in range(2))
    assert len(first) == 9  # of 3 · 2 · 2
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
    dls.valid.after_item.fs[0].targets = lambda truth: truth
    corners = set()
    for x, ids in map(dls.valid.after_item, dls.valid_ds):
        places = whereabouts(ids)
        corner = places[0, 0, 0]
        assert (places == np.stack(np.indices((4, 3, 7)), -1) + corner).all()
        np.testing.assert_array_equal(x[0], pixels[tuple(np.moveaxis(places, -1, 0))])
        assert (corner % [4, 3, 7] == 0).all() and corner[1] >= 6
        corners.add(tuple(corner.tolist()))
    assert len(corners) == 9


@pytest.mark.parametrize("valid", [np.s_[4:], np.s_[4:8], np.s_[:8], np.s_[:, :, 7:], np.s_[-4:]])
def test_all_of_the_rest_is_trained_on(valid: object) -> None:
    """Patches come from what is before and what is after the slab, in proportion."""
    torch.manual_seed(0)
    source = numbered()
    is_valid = np.zeros((12, 13, 14), bool)
    is_valid[valid] = True
    found = np.zeros(is_valid.shape, int)
    for _, places in boxes(source, 90, valid=valid, patch=(3, 5, 5)):
        np.add.at(found, tuple(np.moveaxis(places, -1, 0)), 1)
    assert not found[is_valid].any()
    assert (found[~is_valid] > 0).mean() > 0.7


def test_spoilt_sections() -> None:
    """Of spoilt sections some are blank, some dark and some beside their place, truth and all."""
    torch.manual_seed(0)
    source = numbered()
    pixels = normalise_sections(source[0])
    kinds = set()
    for x, places in boxes(source, 60, defects=0.5, patch=(4, 5, 5)):
        for z, plane in enumerate(places):
            usual = pixels[tuple(np.moveaxis(plane, -1, 0))]
            moved = np.ptp(places[..., 1].min((1, 2))) + np.ptp(places[..., 2].min((1, 2))) > 0
            same = np.allclose(x[0, z], usual)
            if not x[0, z].any() and usual.any():
                kinds.add("missing")
            elif not same:
                factor = float(x[0, z].max() / usual.max())
                np.testing.assert_allclose(x[0, z], factor * usual, atol=1e-5)
                assert 0.2 <= factor <= 0.7
                kinds.add("dark")
            elif moved:
                kinds.add("misaligned")
    assert kinds == {"missing", "dark", "misaligned"}


def test_grey_values_vary_but_targets_do_not() -> None:
    """Patches of a batch differ in grey, and all sections of one by the same levels."""
    torch.manual_seed(0)
    volume = Volume(np.tile([0.0, 1.0, 2.0, 3.0], (8, 8, 2)), FLAT, "ramps")
    block = volume_block(valid=np.s_[4:], patch=(4, 8, 8), defects=0.0, patches=8)
    dls = block.dataloaders((volume, np.ones((8, 8, 8), int)), bs=8, num_workers=0)
    x = dls.train.one_batch()[0].as_subclass(Tensor)
    levels = x.mean((1, 3, 4))
    assert levels.mean(1).std() > 0.02 and levels.std(1).max() < 0.05
    valid = next(iter(dls.valid))[0]
    np.testing.assert_array_equal(valid[0, 0], normalise_sections(volume)[4:])


@pytest.mark.parametrize("sections", [1, 3, 5])
def test_sections_with_their_neighbours(sections: int) -> None:
    """Neighbouring sections are the channels, and the target is the middle one's boundary."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    instances = np.kron(rng.integers(1, 4, (12, 5, 5)), np.ones((1, 4, 4), int))
    volume = Volume(rng.permutation(instances.size).reshape(instances.shape), ISOTROPIC, "noise")
    boundary = boundary_targets(instances, 3.0, 1)
    pixels = normalise_sections(volume).ravel()
    order = np.argsort(pixels)
    block = section_block(
        valid=np.s_[7:], sections=sections, thickness=3.0, patch=8, defects=0.0, grey_variation=0
    )
    dls = block.dataloaders((volume, instances), bs=8, num_workers=0)
    for batch, depths in ((dls.train.one_batch(), range(7)), (next(iter(dls.valid)), range(7, 12))):
        x, y = (np.asarray(part) for part in batch)
        assert x.shape[1:] == (sections, 8, 8) and y.shape[1:] == (1, 8, 8)
        place = order[np.searchsorted(pixels[order], x)]
        np.testing.assert_array_equal(pixels[place], x)
        depth = place // 400
        assert set(np.unique(depth)) <= set(depths)
        # now and then two pixels of the volume are of the same grey
        assert sections == 1 or (np.abs(np.diff(depth, axis=1)) == 1).mean() > 0.99
        assert (boundary.ravel()[place[:, sections // 2, None]] == y).mean() > 0.99


# --- what is refused


def test_slabs_that_cannot_be() -> None:
    """A slab is cut along one axis, and leaves room for patches on both sides of the split."""
    wrong = [
        np.s_[:],
        np.s_[2:4, 3:5],
        np.s_[12:],
        np.s_[:, :, ::2],
        (slice(4), *[slice(None)] * 3),
    ]
    for valid in wrong:
        with pytest.raises(ValueError, match=r"slab cut along one axis|no room"):
            boxes(numbered(), 1, valid=valid)
    for settings in ({"patch": (4, 14, 7)}, {"valid": np.s_[10:]}, {"valid": np.s_[3:]}):
        with pytest.raises(ValueError, match=r"no room for patches of \(4, "):
            boxes(numbered(), 1, **settings)


def test_instances_that_do_not_fit() -> None:
    """Instances of another shape, no ids and no neurons are told before anything is trained."""
    volume, instances = numbered()
    for wrong, words in (
        (instances[1:], "same sections"),
        (instances > 5, "expected integer ids"),
        (instances * 0, "hold no neuron"),
    ):
        with pytest.raises(ValueError, match=words):
            boxes((volume, wrong), 1)


def test_huge_ids_become_small_ones() -> None:
    """Ids of 64 bits keep apart what they keep apart; 0 stays 0 and what is unknown is -1."""
    volume = Volume(np.zeros((1, 1, 5)), FLAT)
    for ids, expected in (
        (np.array([0, 2**63 + 5, 7, 2**63 + 4, 7], np.uint64), [0, 3, 1, 2, 1]),
        (np.array([0, -(2**40), 2**40, 3, -1]), [0, -1, 2, 1, -1]),
        (np.array([0, -(2**40), 4, 3, -7]), [0, -1, 4, 3, -1]),
        (np.array([0, 200, 4, 3, 7], np.uint8), [0, 200, 4, 3, 7]),
    ):
        found = check_instances(volume, ids.reshape(1, 1, 5))
        assert found.dtype == np.int32 and found.ravel().tolist() == expected


def test_even_sections() -> None:
    """Without a middle there is nothing to predict."""
    for sections in (0, 2, -1):
        with pytest.raises(ValueError, match="another odd number"):
            section_block(valid=np.s_[8:], sections=sections)
