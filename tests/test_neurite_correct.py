"""Corrections of neurites: what changes, what does not, and what is on disk."""

import json
from itertools import pairwise

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from axonlab import phantom
from axonlab.neurite_correct import NeuriteCorrection

SIZE = (0.05, 0.01, 0.01)


@pytest.fixture(scope="module")
def drawn():
    """Return a small phantom, whose neurites are true."""
    return phantom.neurites((10, 60, 70), seed=3)


@pytest.fixture
def correction(drawn):
    """Return its correction."""
    return NeuriteCorrection(drawn.instances, voxel_size=SIZE, who="Ada")


def dumbbell():
    """Return two balls joined by a thin neck along x, in coarse sections, beside another."""
    z, y, x = np.mgrid[:9, :41, :81].astype(float)
    balls = [(z - 4) ** 2 * 25 + (y - 20) ** 2 + (x - c) ** 2 < 15**2 for c in (20, 60)]
    neck = (abs(z - 4) < 1) & (abs(y - 20) < 3) & (abs(x - 40) < 25)
    instances = (balls[0] | balls[1] | neck).astype(np.int32)
    instances[:, :3] = 2
    return instances


def in_step(correction):
    """Tell whether boxes and counts are those that a new start would find."""
    anew = NeuriteCorrection(correction.instances, voxel_size=SIZE)
    return anew._boxes == correction._boxes and anew._voxels == correction._voxels


def test_merge_changes_ids_alone(correction, drawn):
    """Merged neurites have the smallest id; all others stay what they were."""
    ids = correction.ids[1:4]
    assert correction.merge(reversed(ids)) == ids[:1]
    merged = np.isin(drawn.instances, ids)
    assert (correction.instances == np.where(merged, ids[0], drawn.instances)).all()
    assert correction.ids == [i for i in np.unique(drawn.instances)[1:] if i not in ids[1:]]
    assert in_step(correction)


def test_what_a_neurite_is(correction, drawn):
    """Voxels, volume and sections are those of the mask, and the box holds all of it."""
    for i in correction.ids:
        mask = drawn.instances == i
        told = correction.neurite(i)
        assert told.voxels == mask.sum() and told.sections == mask.any((1, 2)).sum()
        assert told.volume_um3 == pytest.approx(mask.sum() * 0.05 * 0.01 * 0.01)
        box, part = correction.mask(i)
        assert part.sum() == mask.sum() and mask[box].sum() == mask.sum()


def test_split_in_the_neck():
    """Balls part in the neck between them, wherever in them the seeds are; the other stays."""
    instances = dumbbell()
    correction = NeuriteCorrection(instances, voxel_size=SIZE)
    left, right = correction.split(1, [(4, 15, 12), (3, 27, 63)])
    assert (left, right) == (1, 3)
    parts = correction.instances
    assert (parts == np.where(instances == 1, parts, instances)).all()
    # the largest keeps the id, which is as large as the other
    sides = [parts[4, 20, 20], parts[4, 20, 60]]
    assert sorted(sides) == [1, 3]
    x = np.arange(81)
    assert (parts[:, 3:, x < 34][instances[:, 3:, x < 34] == 1] == sides[0]).all()
    assert (parts[:, 3:, x > 46][instances[:, 3:, x > 46] == 1] == sides[1]).all()
    assert in_step(correction)


def test_split_by_three_seeds_and_what_none_reaches():
    """Every seed gets a part, the largest keeps the id, and so does a piece without a seed."""
    instances = np.zeros((2, 3, 40), np.int32)
    instances[:, 1, :30], instances[1, 1, 34:] = 5, 5
    correction = NeuriteCorrection(instances, voxel_size=SIZE)
    seeds = [(0, 1, 1), (0, 1, 20), (1, 1, 29)]
    ids = correction.split(5, seeds)
    assert ids == [5, 6, 7]
    assert sorted(int(correction.instances[seed]) for seed in seeds) == [5, 6, 7]
    assert (correction.instances[1, 1, 34:] == 5).all()
    counts = np.bincount(correction.instances.reshape(-1))
    assert counts[5:].sum() == (instances == 5).sum()
    assert in_step(correction)


def test_undo_and_redo_lead_there_and_back(correction, drawn):
    """Every state comes back exactly, in both directions, and an edit forgets what was undone."""
    big = max(correction.ids, key=lambda i: correction.neurite(i).voxels)
    states = [correction.instances.copy()]
    inside = np.argwhere(drawn.instances == big)
    correction.split(big, [tuple(inside[0]), tuple(inside[-1])])
    states.append(correction.instances.copy())
    correction.merge(correction.ids[-3:])
    states.append(correction.instances.copy())
    assert all((one != other).any() for one, other in pairwise(states))
    assert not correction.can_redo and not correction.redo()
    for state in states[-2::-1]:
        assert correction.undo() and (correction.instances == state).all() and in_step(correction)
    assert not correction.undo()
    for state in states[1:]:
        assert correction.redo() and (correction.instances == state).all() and in_step(correction)
    correction.undo()
    correction.merge(correction.ids[:2])
    assert not correction.can_redo


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_any_edits(seed):
    """Whatever is merged, split and taken back: no voxel is won or lost, and all comes back."""
    rng = np.random.default_rng(seed)
    instances = rng.integers(0, 6, (3, 5, 6))
    correction = NeuriteCorrection(instances, voxel_size=SIZE)
    for _ in range(6):
        kind = rng.integers(3)
        if kind == 0 and len(correction.ids) > 1:
            correction.merge(rng.choice(correction.ids, 2, replace=False))
        elif kind == 1:
            i = rng.choice(correction.ids)
            voxels = np.argwhere(correction.instances == i)
            if len(voxels) > 1:
                correction.split(i, rng.choice(voxels, 2, replace=False))
        else:
            correction.undo()
        assert ((correction.instances == 0) == (instances == 0)).all()
        assert in_step(correction)
    while correction.undo():
        pass
    assert (correction.instances == instances).all()


def test_save_and_open(correction, tmp_path):
    """Neurites, voxel size and trail come back; new ids go on after those once used."""
    big = max(correction.ids, key=lambda i: correction.neurite(i).voxels)
    inside = [tuple(place) for place in np.argwhere(correction.instances == big)[[0, -1]]]
    new = correction.split(big, inside)[1]
    correction.undo()
    correction.save(tmp_path / "out")
    opened = NeuriteCorrection.open(tmp_path / "out", who="Bob")
    assert (opened.instances == correction.instances).all() and opened.voxel_size == SIZE
    assert not opened.can_undo and opened.split(big, inside)[1] == new + 1
    assert [(e["who"], e["what"]) for e in opened.trail] == [
        ("Ada", "split"),
        ("Ada", "undo"),
        ("Bob", "split"),
    ]
    opened.save()  # what it has read it may replace
    lines = (tmp_path / "out" / "corrections.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == opened.trail
    with pytest.raises(FileExistsError, match="were changed since"):
        correction.save()
    with tifffile.TiffFile(tmp_path / "out" / "neurites.ome.tif") as file:
        assert 'PhysicalSizeZ="0.05"' in file.ome_metadata and file.series[0].axes == "ZYX"


def test_damaged_files_are_told(correction, tmp_path):
    """Files that are out of step are not opened, nor is another folder."""
    correction.save(tmp_path)
    (tmp_path / "corrections.jsonl").write_text("x")
    with pytest.raises(ValueError, match=r"corrections\.jsonl changed since"):
        NeuriteCorrection.open(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing was saved there"):
        NeuriteCorrection.open(tmp_path / "other")
    with pytest.raises(ValueError, match="No folder"):
        NeuriteCorrection(correction.instances, voxel_size=SIZE).save()


def test_one_section(tmp_path):
    """A volume of one section comes back as a volume."""
    one = NeuriteCorrection(np.ones((1, 4, 5), np.uint64), voxel_size=SIZE)
    assert NeuriteCorrection.open(one.save(tmp_path)).instances.shape == (1, 4, 5)


def test_what_cannot_be_done(correction):
    """What is asked wrongly is told, and changes nothing."""
    before, ids = correction.instances.copy(), correction.ids
    for edit, message in (
        (lambda: correction.merge([ids[0]]), "two ids or more"),
        (lambda: correction.merge([ids[0], 9999]), r"\[9999\] are not among"),
        (lambda: correction.merge([0, ids[0]]), r"\[0\] are not among"),
        (lambda: correction.split(ids[0], [(0, 0, 0)]), "1 seeds"),
        (lambda: correction.split(ids[0], [(0, 0, 0), (99, 0, 0)]), "outside|of "),
        (lambda: correction.neurite(9999), "9999"),
    ):
        with pytest.raises(ValueError, match=message):
            edit()
    assert (correction.instances == before).all() and not correction.trail
    with pytest.raises(ValueError, match="read-only"):
        correction.instances[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        (np.zeros((3, 4), int), r"shape \(3, 4\)"),
        (np.zeros((3, 4, 5)), "float64"),
        (np.zeros((0, 4, 5), int), "expected whole numbers"),
        (np.full((3, 4, 5), 2**40), "relabel_sequential"),
        (np.full((3, 4, 5), -1), "from -1"),
    ],
)
def test_no_volume_of_ids(instances, message):
    """What is no volume of ids is told, and huge ids with what to do."""
    with pytest.raises(ValueError, match=message):
        NeuriteCorrection(instances, voxel_size=SIZE)


def test_voxel_size_is_needed(drawn):
    """Two numbers are no voxel size."""
    with pytest.raises(ValueError, match="three numbers"):
        NeuriteCorrection(drawn.instances, voxel_size=(0.05, 0.01))
