"""Scores of neurites: tables of methods, by block and at seams, and the choice of a recipe."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label
from test_neurite_objects import affinities_of, cells

from axonlab.neurite_objects import NEAREST, MeanAffinity, label_neurites
from axonlab.neurite_scores import best_recipe, neurite_table, neurite_table_by_block, seam_scores
from axonlab.partition_scores import partition_scores


def test_methods_beside_each_other():
    """Each row is what the scores of its method are; dust counts, but not among neurites alone."""
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 5, (2, 4, 6, 7))
    table = neurite_table({"noise": found, "truth": truth, "nothing": 0 * truth}, truth)
    for name, value in partition_scores(found, truth).items():
        assert table.loc["noise", name] == value
    both = (found > 0) & (truth > 0)
    within = partition_scores(found[None, None, both], truth[None, None, both])
    assert table.loc["noise", "error_within"] == pytest.approx(within["adapted_rand_error"])
    assert (table.loc["truth", ["adapted_rand_error", "error_within"]] == 0).all()
    assert np.isnan(table.loc["nothing", "error_within"])


def test_blocks_are_judged_apart():
    """Blocks cover the volume once; what hangs together elsewhere is two things in a block."""
    truth = np.zeros((3, 5, 7), int)
    truth[:, :, 1], truth[:, :, 3], truth[2, :, 1:4] = 9, 9, 9  # joined in the last section
    found = np.where(truth, 4, 0)
    table = neurite_table_by_block(found, truth, (3, 1, 2))
    assert table[["z", "x"]].values.tolist() == [
        [f"{z} to {z + 1}", x] for z in range(3) for x in ("0 to 4", "4 to 7")[:1]
    ]
    assert (table["adapted_rand_error"] == 0).all()
    assert label(truth[:1], connectivity=1).max() == 2
    one_thing = neurite_table_by_block(np.ones_like(found), truth, (3, 1, 1))
    assert one_thing["precision"].tolist() == [0.5, 0.5, 1]


def test_best_recipe():
    """The threshold with the lowest error is taken, and all that were tried are told."""
    truth = cells((8, 30, 30), n=6)
    affinities = affinities_of(truth, NEAREST, noise=0.25)
    tried = [MeanAffinity(threshold=threshold) for threshold in (0.1, 0.5, 0.95)]
    recipe, table = best_recipe(affinities, truth, tried, min_voxels=5)
    assert len(table) == 3 and table.index[0] == "threshold 0.1, smoothing 1.0"
    errors = [
        partition_scores(label_neurites(affinities, one, min_voxels=5), truth)["adapted_rand_error"]
        for one in tried
    ]
    assert table["adapted_rand_error"].tolist() == errors
    assert recipe == tried[int(np.argmin(errors))]
    with pytest.raises(ValueError, match="at least one"):
        best_recipe(affinities, truth, [])


def test_seams_of_random_partitions():
    """Shares at faces are those of counting pair by pair."""
    rng = np.random.default_rng(0)
    whole, stitched = rng.integers(0, 4, (2, 4, 5, 6))
    pairs = [
        (at, tuple(np.add(at, step)))
        for at in np.ndindex(4, 5, 6)
        for axis, step in enumerate(np.eye(3, dtype=int))
        if (at[axis] + 1) % 2 == 0 and at[axis] + 1 < whole.shape[axis]
    ]
    known = [(a, b) for a, b in pairs if whole[a] and whole[b]]
    joined = {p: stitched[p[0]] == stitched[p[1]] > 0 for p in known}
    same = [p for p in known if whole[p[0]] == whole[p[1]]]
    differ = [p for p in known if whole[p[0]] != whole[p[1]]]
    scores = seam_scores(stitched, whole, (2, 2, 2))
    assert np.isclose(scores["face_split"], np.mean([not joined[p] for p in same]))
    assert np.isclose(scores["face_merge"], np.mean([joined[p] for p in differ]))
