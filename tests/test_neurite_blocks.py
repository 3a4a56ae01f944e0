"""Neurites made block by block against those of the whole, and what is done again."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from test_neurite_objects import affinities_of, boundaries_of, cells, same_voxels

from axonlab.neurite_blocks import Blocks, label_blocks, match_pieces
from axonlab.neurite_objects import (
    NEAREST,
    BoundaryWatershed,
    MeanAffinity,
    MutexWatershed,
    label_neurites,
)
from axonlab.neurite_scores import seam_scores

FAR = (*NEAREST, (-2, 0, 0), (0, -5, 0), (0, 0, -5))
SMALL = {"block": (10, 20, 22), "context": (4, 8, 8)}


@settings(max_examples=20)
@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(2, 5)] * 3),
    st.tuples(*[st.integers(1, 4)] * 3),
)
def test_blocks_cover_the_volume_once(shape, size, context):
    """Every voxel is of one block; windows hold it and are kept apart; faces are in both."""
    blocks = Blocks(shape, size, context)
    counted = np.zeros(shape, int)
    counts = np.max(blocks.tiles, axis=0) + 1
    kept = np.zeros(counts * blocks.slot_size, int)
    for tile in blocks.tiles:
        counted[blocks.core(tile)] += 1
        window = blocks.window(tile)
        kept[blocks.slot(tile, window)] += 1
        assert kept[blocks.slot(tile, window)].shape == counted[window].shape
        for axis in range(3):
            after = tuple(i + (k == axis) for k, i in enumerate(tile))
            if after in blocks.tiles:
                face = blocks.face(tile, axis)
                for other in blocks.window(tile), blocks.window(after):
                    for f, w in zip(face, other, strict=True):
                        assert w.start <= f.start < f.stop <= w.stop
    assert (counted == 1).all()
    assert kept.max() == 1


@pytest.mark.parametrize("recipe", [MutexWatershed(FAR), MeanAffinity(FAR)])
def test_equal_to_the_whole(recipe, tmp_path):
    """Where a prediction leaves no doubt, blocks give the neurites of the whole."""
    truth = cells()
    affinities = affinities_of(truth, FAR, noise=0.02)
    whole = label_neurites(affinities, recipe)
    found = label_blocks(affinities, tmp_path / "out", recipe, **SMALL)[:]
    assert found.dtype == np.int32
    assert set(np.unique(found)) - {0} == set(range(1, found.max() + 1))
    scores = seam_scores(found, whole, SMALL["block"])
    assert scores["adapted_rand_error"] < 0.002
    assert scores["face_split"] < 0.01
    assert scores["face_merge"] < 0.01


def test_one_block_is_the_whole(tmp_path):
    """A block as large as the volume gives what one call gives, boundaries as well."""
    boundaries = boundaries_of(cells((10, 30, 30), n=5))
    recipe = BoundaryWatershed()
    found = label_blocks(boundaries, tmp_path / "out", recipe, block=(10, 30, 30))[:]
    assert same_voxels(found, label_neurites(boundaries, recipe))


def test_noise_stays_close_to_the_whole(tmp_path):
    """With noise, what blocks and the whole disagree on is little."""
    truth = cells((20, 60, 60), n=15, seed=1)
    affinities = affinities_of(truth, FAR, noise=0.2)
    recipe = MutexWatershed(FAR)
    whole = label_neurites(affinities, recipe, min_voxels=30)
    found = label_blocks(zarr.array(affinities), tmp_path / "out", recipe, min_voxels=30, **SMALL)[
        :
    ]
    assert seam_scores(found, whole, SMALL["block"])["adapted_rand_error"] < 0.02


@pytest.mark.parametrize("after", [0, 3, 8, 14])
def test_killed_and_resumed(after, tmp_path):
    """Stopped at any time, the same call goes on and gives what an undisturbed one gives."""
    affinities = affinities_of(cells((10, 30, 30), n=6), FAR, noise=0.1)
    numbers = {"block": (10, 16, 16), "context": (2, 6, 6)}
    recipe = MutexWatershed(FAR)
    expected = label_blocks(affinities, tmp_path / "whole", recipe, **numbers)[:]
    calls = []

    def stop(progress):
        calls.append(progress)
        if len(calls) > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label_blocks(affinities, tmp_path / "out", recipe, tell=stop, **numbers)
    found = [p.done for p in calls if p.stage == "segmented"][-1]
    news = []
    again = label_blocks(affinities, tmp_path / "out", recipe, tell=news.append, **numbers)
    np.testing.assert_array_equal(again[:], expected)
    assert next(p.done for p in news) >= found


def test_another_recipe_is_done_anew(tmp_path):
    """What a changed number makes invalid is done again, what it does not is not."""
    truth = cells((6, 24, 24), n=4)
    affinities = affinities_of(truth, FAR, noise=0.2)
    numbers = {"block": (6, 12, 24), "context": (0, 4, 0)}
    label_blocks(affinities, tmp_path, MeanAffinity(FAR), **numbers)
    for recipe in MeanAffinity(FAR, threshold=0.7), MutexWatershed(FAR):
        found = label_blocks(affinities, tmp_path, recipe, **numbers)[:]
        other = label_blocks(affinities, tmp_path / "other" / repr(recipe)[:5], recipe, **numbers)
        np.testing.assert_array_equal(found, other[:])
    told = []
    label_blocks(affinities, tmp_path, MutexWatershed(FAR), tell=told.append, **numbers)
    assert all(progress.new == 0 for progress in told)


def test_both_branches_go_on():
    """A neurite whose two branches cross a face is one, though the next block sees two."""
    one = np.zeros((1, 9, 4), np.int32)
    other = one.copy()
    one[0, 1:3], one[0, 6:8] = 1, 1
    other[0, 1:3], other[0, 6:8] = 4, 5
    assert match_pieces(one, other).tolist() == [[1, 1], [4, 5]]


def test_merged_in_one_block_only():
    """What the one block merges at a face and the other does not is joined with the best only."""
    one = np.int32([[[1, 1, 1, 2, 2]]])
    other = np.int32([[[7, 7, 7, 7, 7]]])
    assert match_pieces(one, other).tolist() == [[1], [7]]
    assert match_pieces(other, np.zeros_like(other)).shape == (2, 0)


def test_what_cannot_be(tmp_path):
    """Blocks, contexts and outputs that make no sense are refused before anything is done."""
    affinities = np.ones((3, 4, 8, 8), np.float32)
    recipe = MutexWatershed(NEAREST)
    with pytest.raises(ValueError, match=r"context is \(0, 0, 4\), expected at least 1"):
        label_blocks(affinities, tmp_path / "a", recipe, block=(4, 4, 8), context=(0, 0, 4))
    with pytest.raises(ValueError, match="expected three numbers of voxels"):
        label_blocks(affinities, tmp_path / "a", recipe, block=(0, 4, 8), context=(1, 1, 1))
    with pytest.raises(ValueError, match="affinities of 3 offsets, MutexWatershed was given 6"):
        label_blocks(affinities, tmp_path / "a", MutexWatershed(FAR))
    assert not (tmp_path / "a").exists()
    label_blocks(affinities, tmp_path / "a", recipe, block=(4, 4, 8), context=(1, 2, 1))
    with pytest.raises(ValueError, match="was begun with"):
        label_blocks(affinities, tmp_path / "a", recipe, block=(4, 8, 8), context=(1, 2, 1))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").touch()
    with pytest.raises(ValueError, match="holds no neurites of blocks"):
        label_blocks(affinities, tmp_path / "b", recipe)
    nan = np.full((3, 4, 8, 8), np.nan)
    with pytest.raises(ValueError, match="from nan to nan"):
        label_blocks(nan, tmp_path / "c", recipe)
