"""Corrections: after any of them masks, objects and table are what a fresh start would give."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scipy import ndimage

from axonlab import correct, remeasure
from axonlab.correct import Correction
from axonlab.io import read_labels, read_objects, write_labels
from axonlab.measure import measure_fibres
from axonlab.micrograph import CLASSES, UNLABELLED
from axonlab.objects import label_fibres
from axonlab.phantom import nerve

Labels = np.ndarray

TWO = """
.......................
.1111111.......1111111.
.1222221.......1222221.
.1222221.......1222221.
.1222221.......1222221.
.1111111.......1111111.
.......................
.......................
.333...................
.333...................
"""
SHARED = """
...............
.1111111111111.
.1222211122221.
.1222211122221.
.1222211122221.
.1111111111111.
...............
"""


def picture(text: str) -> Labels:
    """Return class ids from digits; a dot is background."""
    return np.array([[int(c) for c in row.replace(".", "0")] for row in text.split()], np.uint8)


def two(**kwargs: Any) -> Correction:
    """Return two fibres apart (1 and 2) and an unmyelinated axon (3)."""
    return Correction(picture(TWO), pixel_size=0.5, **kwargs)


def check(correction: Correction, min_axon_diameter: float = 0.0) -> None:
    """Check that masks, objects and table are in step."""
    size = correction.pixel_size
    axons, fibres = label_fibres(
        correction.labels, pixel_size=size, min_axon_diameter=min_axon_diameter
    )
    ids = np.zeros(axons.max() + 1, np.int32)
    ids[axons[axons > 0]] = correction.axons[axons > 0]
    assert (ids[1:] > 0).all()
    assert np.array_equal(ids[axons], correction.axons)
    assert np.array_equal(ids[fibres], correction.fibres)
    several = np.flatnonzero(np.bincount(ids[1:]) > 1).tolist() if len(ids) > 1 else []
    assert set(several) <= correction.merged
    table = measure_fibres(correction.axons, correction.fibres, pixel_size=size)
    pd.testing.assert_frame_equal(correction.table, table, rtol=1e-9, atol=1e-9)


def state(correction: Correction) -> tuple[Any, ...]:
    """Return a copy of everything that an undo brings back."""
    arrays = (correction.labels, correction.axons, correction.fibres)
    merged = frozenset(correction.merged)
    return *(array.copy() for array in arrays), correction.table.copy(), merged


def is_same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Tell whether two states are the same to the bit."""
    pd.testing.assert_frame_equal(one[3], other[3], check_exact=True)
    arrays = all(np.array_equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
    return arrays and one[4] == other[4]


@cache
def crowd(modality: str, seed: int) -> Labels:
    """Return a phantom in which most fibres share their sheaths with others."""
    return nerve((140, 150), modality=modality, fibre_fraction=0.85, seed=seed).labels


def drawn(seed: int) -> Labels:
    """Return coarse random classes with some noise: anything that a model could come up with."""
    rng = np.random.default_rng(seed)
    shape, cell = rng.integers(1, 90, 2), rng.integers(2, 13)
    share = rng.dirichlet([1, 2, 0.5, 0.5, 0.1])
    coarse = rng.choice([*CLASSES.values(), UNLABELLED], shape // cell + 1, p=share)
    labels = np.kron(coarse, np.ones((cell, cell)))[: shape[0], : shape[1]]
    noise = rng.choice([0, 1, 2], shape)
    return np.where(rng.random(shape) < 0.05, noise, labels).astype(np.uint8)


class AgainstAFreshStart(RuleBasedStateMachine):
    """Edits in any order: masks and table as by a fresh start, undone as by copies."""

    @initialize(
        labels=st.builds(crowd, st.sampled_from(["sem", "tem"]), st.integers(0, 2))
        | st.builds(drawn, st.integers(0, 10_000)),
        smallest=st.sampled_from([0.0, 2.3]),
    )
    def begin(self, labels: Labels, smallest: float) -> None:
        """Begin with a crowded phantom, or with noise."""
        self.smallest = smallest
        self.now = Correction(labels, pixel_size=1.0, min_axon_diameter=smallest)
        self.past = [state(self.now)]
        self.future: list[tuple[Any, ...]] = []
        self.told = 0
        self.now.listeners.append(self.hear)

    def hear(self) -> None:
        """Count what listeners are told."""
        self.told += 1

    def do(self, edit: Callable[..., Any], *args: Any) -> None:
        """Make an edit; one that is refused leaves everything as it was."""
        entries = len(self.now.trail)
        try:
            edit(*args)
        except ValueError:
            assert is_same(state(self.now), self.past[-1])
            assert len(self.now.trail) == entries
        if len(self.now.trail) > entries:
            self.past.append(state(self.now))
            self.future.clear()

    def one(self, data: st.DataObject) -> int:
        """Draw a fibre; 0 if there is none."""
        ids = self.now.table["fibre_id"].tolist()
        return data.draw(st.sampled_from(ids)) if ids else 0

    @rule(data=st.data(), n=st.integers(1, 3))
    def delete(self, data: st.DataObject, n: int) -> None:
        """Delete some fibres."""
        self.do(self.now.delete, [self.one(data) for _ in range(n)])

    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        """Merge two fibres."""
        self.do(self.now.merge, [self.one(data), self.one(data)])

    @rule(data=st.data(), name=st.sampled_from(list(CLASSES)))
    def change_class(self, data: st.DataObject, name: str) -> None:
        """Give a fibre another class."""
        self.do(self.now.change_class, self.one(data), name)

    @rule(data=st.data(), turn=st.floats(0, 3.14), aside=st.floats(-3, 3))
    def split(self, data: st.DataObject, turn: float, aside: float) -> None:
        """Cut a fibre near its centre."""
        i = self.one(data)
        centre = ndimage.center_of_mass(self.now.fibres == i) if i else (0.0, 0.0)
        direction = np.array([np.sin(turn), np.cos(turn)])
        middle = np.array(centre) + aside * direction[::-1]
        self.do(self.now.split, i, middle - 60 * direction, middle + 60 * direction)

    @rule(data=st.data())
    def redraw(self, data: st.DataObject) -> None:
        """Draw some boxes of any class into a window."""
        height, width = self.now.labels.shape
        top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
        rows, columns = slice(top, min(top + 30, height)), slice(left, min(left + 30, width))
        labels = self.now.labels[rows, columns].copy()
        side = st.integers(0, 29)
        for _ in range(data.draw(st.integers(1, 3))):
            y, x, h, w = (data.draw(side) for _ in range(4))
            value = data.draw(st.sampled_from([*CLASSES.values(), UNLABELLED]))
            labels[y : y + h, x : x + w] = value
        self.do(self.now.redraw, rows, columns, labels)

    @rule()
    def undo(self) -> None:
        """Take an edit back."""
        assert self.now.can_undo == self.now.undo() == (len(self.past) > 1)
        if len(self.past) > 1:
            self.future.append(self.past.pop())

    @precondition(lambda self: self.future)
    @rule()
    def redo(self) -> None:
        """Do an edit again."""
        assert self.now.can_redo and self.now.redo()
        self.past.append(self.future.pop())

    @invariant()
    def in_step(self) -> None:
        """Everything is as by a fresh start, and as it was."""
        check(self.now, self.smallest)
        assert is_same(state(self.now), self.past[-1])
        assert self.told == len(self.now.trail)

    def teardown(self) -> None:
        """Undo everything."""
        if hasattr(self, "now"):
            while self.now.undo():
                pass
            assert is_same(state(self.now), self.past[0])


AgainstAFreshStart.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=10,
    suppress_health_check=list(HealthCheck),
)
TestAgainstAFreshStart = AgainstAFreshStart.TestCase


def test_it_begins_with_label_fibres() -> None:
    """Objects and table are those of the labels, which are copied."""
    labels = picture(TWO)
    correction = Correction(labels, pixel_size=0.5)
    check(correction)
    labels[:] = 0
    check(correction)
    assert correction.table["fibre_id"].tolist() == [1, 2, 3]
    assert correction.trail == [] and not correction.can_undo and not correction.can_redo


@pytest.mark.parametrize("name", ["labels", "axons", "fibres"])
def test_arrays_are_not_written_to_from_outside(name: str) -> None:
    """Nobody gets masks and table out of step by writing into an array."""
    with pytest.raises(ValueError, match="read-only"):
        getattr(two(), name)[0, 0] = 1


def test_delete_leaves_background() -> None:
    """Axon and myelin go, the others stay to the pixel."""
    correction = two()
    before = correction.fibres.copy()
    assert correction.delete(1) == []
    assert np.array_equal(correction.fibres, np.where(before == 1, 0, before))
    assert (correction.labels[before == 1] == CLASSES["background"]).all()
    check(correction)


def test_delete_all() -> None:
    """What is left is an empty table with all its columns."""
    correction = two()
    columns = correction.table.columns
    correction.delete(correction.table["fibre_id"])
    assert not correction.labels.any() and not correction.fibres.any()
    assert len(correction.table) == 0 and list(correction.table.columns) == list(columns)
    check(correction)
    correction.undo()
    check(correction)


def test_deleted_from_a_shared_sheath() -> None:
    """Its part of the sheath goes with it."""
    correction = Correction(picture(SHARED), pixel_size=0.1)
    correction.delete(2)
    assert (correction.fibres[1:6, 1:7] == 1).all() and not correction.fibres[:, 9:].any()
    check(correction)


def test_merge_keeps_the_smallest_id() -> None:
    """One row is left, with the area of both; the trail says that the axon is in two parts."""
    correction = two()
    area = correction.table["fibre_area_um2"]
    assert correction.merge([2, 1]) == [1]
    row = correction.table.iloc[0]
    assert row["fibre_id"] == 1 and row["fibre_area_um2"] == area[0] + area[1]
    assert correction.trail[-1]["details"]["axon_parts"] == 2
    assert correction.merged == {1}
    check(correction)


def test_merged_fibres_stay_merged() -> None:
    """What is done beside a merged fibre does not make it fall apart."""
    correction = Correction(crowd("sem", 0), pixel_size=0.1)
    ids = correction.table["fibre_id"].tolist()
    correction.merge(ids[3:5])
    for i in ids[5:12]:
        correction.delete(i)
    assert correction.merged == {ids[3]} and ids[4] not in correction.table["fibre_id"].tolist()
    check(correction)


def test_split_parts_a_merged_fibre() -> None:
    """A line through the gap, or anywhere, makes it what it was."""
    correction = two()
    before = correction.fibres.copy()
    correction.merge([1, 2])
    assert correction.split(1, (0, 11), (9, 11)) == [1, 4]
    assert np.array_equal(correction.fibres, np.where(before == 2, 4, before))
    assert correction.merged == frozenset()
    check(correction)
    correction.undo()
    assert correction.merged == frozenset({1})
    check(correction)


@pytest.mark.parametrize("line", [((0, 4), (6, 4)), ((6.2, 3.8), (-9, 4)), ((2, 1), (5, 7))])
def test_split(line: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """A line from side to side makes two fibres of one, each with the myelin on its side."""
    correction = two()
    before = correction.fibres == 1
    assert correction.split(1, *line) == [1, 4]
    is_cut = before & (correction.labels == 0)
    assert np.array_equal(np.isin(correction.fibres, [1, 4]), before & ~is_cut)
    _, n_pieces = ndimage.label(np.isin(correction.fibres, [1, 4]))
    assert n_pieces == 2
    assert 3 <= is_cut.sum() <= 7
    check(correction)


def test_split_between_the_ends_of_the_line_by_distance() -> None:
    """Where the line does not reach, myelin goes to the nearest part of the axon."""
    correction = two()
    assert correction.split(1, (2, 4), (4, 4)) == [1, 4]
    assert (correction.labels[[1, 5], 4] == CLASSES["myelin"]).all()
    assert (correction.fibres[1:6, 1:4] == 1).all() and (correction.fibres[1:6, 5:8] == 4).all()
    check(correction)


@pytest.mark.parametrize(
    "line", [((0, 0), (0, 20)), ((0, 4), (3, 4)), ((3, 4), (3, 4)), ((90, 90), (80, 70))]
)
def test_a_line_that_does_not_part(line: tuple[tuple[int, int], tuple[int, int]]) -> None:
    """Beside the fibre, too short, a point, out of the image: nothing happens, and why."""
    correction = two()
    before = state(correction)
    with pytest.raises(ValueError, match="does not part the axon of fibre 1"):
        correction.split(1, *line)
    assert is_same(before, state(correction)) and correction.trail == []


def test_a_part_below_the_smallest_diameter_is_none() -> None:
    """What the line cuts off must be an axon."""
    correction = two(min_axon_diameter=1.0)
    with pytest.raises(ValueError, match="large enough"):
        correction.split(1, (1, 6), (5, 6))
    assert correction.split(1, (0, 4), (6, 4)) == [1, 4]
    check(correction, min_axon_diameter=1.0)


def test_change_class() -> None:
    """An unmyelinated axon has no sheath; back again it has the myelin that it touches."""
    correction = two()
    assert correction.change_class(1, "unmyelinated axon") == [1]
    row = correction.table.iloc[0]
    assert row["fibre_area_um2"] == row["axon_area_um2"] and not row["is_myelinated"]
    assert correction.change_class([1, 3], "axon") == [1, 3]
    assert not (correction.labels == CLASSES["unmyelinated axon"]).any()
    check(correction)


def test_a_sheath_taken_for_an_axon() -> None:
    """What becomes myelin goes to the neighbour."""
    correction = Correction(picture(SHARED), pixel_size=0.1)
    assert correction.change_class(2, "myelin") == []
    assert (correction.fibres[1:6, 1:14] == 1).all()
    check(correction)


def test_background_is_as_good_as_deleted() -> None:
    """Two ways lead to the same."""
    one, other = two(), two()
    one.delete([1, 3])
    assert other.change_class([1, 3], "background") == []
    assert is_same(state(one), state(other))


def test_redraw_keeps_ids_by_overlap() -> None:
    """A line of myelin through an axon: the larger part keeps the id, the other gets a new one."""
    correction = two()
    labels = correction.labels[0:7, 0:9].copy()
    labels[:, 3] = CLASSES["myelin"]
    labels[[0, 6], 3] = 0
    assert correction.redraw(slice(0, 7), slice(0, 9), labels) == [1, 4]
    assert (correction.axons[2:5, 4:7] == 1).all() and (correction.axons[2:5, 2] == 4).all()
    check(correction)


def test_redraw_joins() -> None:
    """A bridge of axon makes two fibres one."""
    correction = Correction(picture(SHARED), pixel_size=0.1)
    bridge = np.full((1, 3), CLASSES["axon"], np.uint8)
    assert correction.redraw(slice(3, 4), slice(6, 9), bridge) == [1]
    assert correction.table["fibre_id"].tolist() == [1] and correction.merged == frozenset()
    check(correction)


def test_redraw_of_an_empty_image() -> None:
    """The first fibre is drawn, in an image that has none."""
    correction = Correction(np.zeros((9, 9), np.uint8), pixel_size=0.1)
    assert correction.redraw(slice(None), slice(2, 7), picture(TWO)[:9, :5]) == [1, 2]
    check(correction)
    correction.undo()
    assert len(correction.table) == 0


def test_a_new_axon_takes_the_myelin_it_touches() -> None:
    """Myelin that was nobody's reaches far out of the window."""
    labels = np.zeros((60, 60), np.uint8)
    labels[5:50, 5] = labels[50, 5:55] = CLASSES["myelin"]
    correction = Correction(labels, pixel_size=0.1)
    assert correction.redraw(slice(4, 5), slice(5, 6), np.array([[2]], np.uint8)) == [1]
    assert correction.table["myelin_area_um2"].tolist() == [pytest.approx(95 * 0.01)]
    check(correction)


def test_what_changes_nothing_is_no_edit() -> None:
    """Neither the trail nor the history hold it."""
    correction = two()
    correction.change_class(3, "unmyelinated axon")
    correction.redraw(slice(0, 5), slice(0, 5), correction.labels[:5, :5])
    assert correction.trail == [] and not correction.undo() and not correction.redo()


def test_ids_are_never_used_twice() -> None:
    """An id in the trail means one fibre, also after an undo."""
    correction = two()
    assert correction.split(1, (0, 4), (6, 4)) == [1, 4]
    correction.undo()
    assert correction.split(1, (3, 0), (3, 9)) == [1, 5]


def test_the_trail_only_grows() -> None:
    """Who, what, when and which: an undo is an entry, too."""
    correction = two(who="Ada")
    correction.delete([2, 1])
    correction.who = "Ben"
    correction.undo()
    correction.split(np.int64(1), (0, 4), (6, np.int64(4)))
    assert [(e["who"], e["what"], e["fibre_ids"]) for e in correction.trail] == [
        ("Ada", "delete", [1, 2]),
        ("Ben", "undo", [1, 2]),
        ("Ben", "split", [1]),
    ]
    assert correction.trail[1]["details"] == {"entry": 0}
    assert correction.trail[2]["details"] == {"line": [(0, 4), (6, 4)], "touched": [1, 4]}
    assert all(pd.Timestamp(entry["when"]).tzname() == "UTC" for entry in correction.trail)
    correction.trail.clear()
    assert len(correction.trail) == 3


def test_history_is_kept_within_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest edits are forgotten, not the newest."""
    correction = two()
    monkeypatch.setattr(correct, "HISTORY_BYTES", 3000)
    for i in (1, 2, 3):
        correction.delete(i)
    while correction.undo():
        pass
    assert correction.table["fibre_id"].tolist() == [2, 3]


def test_only_fibres_that_were_touched_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small windows are measured, and no others labelled than those around."""
    correction = Correction(np.tile(picture(TWO), (40, 20)), pixel_size=0.1)
    sizes: list[int] = []

    def measured(axons: Any, fibres: Any, **kwargs: Any) -> pd.DataFrame:
        sizes.append(fibres.size)
        return measure_fibres(axons, fibres, **kwargs)

    monkeypatch.setattr("axonlab.remeasure.measure_fibres", measured)
    i = int(correction.fibres[203, 210])
    correction.split(i, (200, 211), (210, 211))
    assert sizes and max(sizes) < 200
    check(correction)


def test_fibres_far_apart_are_measured_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """How they are put together does not change what is measured."""
    monkeypatch.setattr(remeasure, "TILE", 10)
    correction = two()
    correction.change_class([1, 2, 3], "axon")
    correction.change_class([3, 2, 1], "unmyelinated axon")
    check(correction)


def test_the_table_is_a_copy() -> None:
    """Who changes it changes his own."""
    correction = two()
    table = correction.table
    table["g_ratio"] = 0.0
    check(correction)


def test_a_real_mask(data_folder: Path) -> None:
    """Masks drawn by hand, in which fibres touch, are corrected in step."""
    [path, *_] = sorted(data_folder.glob("rat-sem/**/*axonmyelin-manual.png"))
    labels = read_labels(path)[:500, :500]
    correction = Correction(labels, pixel_size=0.1, min_axon_diameter=0.4)
    before = state(correction)
    for i in correction.table["fibre_id"][::7]:
        correction.delete(i)
    check(correction, min_axon_diameter=0.4)
    while correction.undo():
        pass
    assert is_same(before, state(correction))


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda c: c.delete(9), r"Fibres \[9\] are not among the 3"),
        (lambda c: c.delete([]), r"Fibres \[\]"),
        (lambda c: c.delete([1, -1]), r"Fibres \[-1\]"),
        (lambda c: c.merge([1]), "two ids or more"),
        (lambda c: c.merge([1, 1]), "two ids or more"),
        (lambda c: c.merge([1, 7]), r"Fibres \[7\]"),
        (lambda c: c.split(0, (0, 0), (9, 9)), r"Fibres \[0\]"),
        (lambda c: c.change_class(1, "neuron"), "'neuron'.*unmyelinated axon"),
        (lambda c: c.redraw(slice(0, 2), slice(0, 2), np.zeros((3, 2), np.uint8)), r"\(3, 2\)"),
        (lambda c: c.redraw(slice(0, 1), slice(0, 1), np.array([[7]], np.uint8)), r"\[7\]"),
        (lambda c: c.redraw(slice(50, 60), slice(0, 1), np.zeros((1, 1), np.uint8)), "no window"),
        (lambda c: c.redraw(slice(0, 9, 2), slice(0, 1), np.zeros((5, 1), np.uint8)), "no window"),
        (lambda c: c.save(), "No folder"),
    ],
)
def test_bad_input(edit: Callable[[Correction], object], problem: str) -> None:
    """An edit that makes no sense says why, and changes nothing."""
    correction = two()
    before = state(correction)
    with pytest.raises(ValueError, match=problem):
        edit(correction)
    assert is_same(before, state(correction)) and correction.trail == []


def test_an_edit_that_breaks_off_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if measuring fails, masks and table are in step."""
    correction = two()
    before = state(correction)
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(correct, "measure_some", _fail)
        correction.merge([1, 2])
    assert is_same(before, state(correction))
    correction.delete(1)
    check(correction)


def _fail(*_: object, **__: object) -> None:
    raise MemoryError


FILES = {"labels.png", "axons.tif", "fibres.tif", "fibres.csv", "corrections.jsonl"}


def edited(**kwargs: Any) -> Correction:
    """Return a correction with a merger and a split."""
    correction = two(who="Ada", **kwargs)
    correction.merge([1, 3])
    correction.split(2, (0, 18), (6, 18))
    return correction


def on_disk(folder: Path) -> tuple[Any, ...]:
    """Return what others read from a folder."""
    trail = (folder / "corrections.jsonl").read_text().splitlines()
    return (
        read_labels(folder / "labels.png"),
        read_objects(folder / "axons.tif"),
        read_objects(folder / "fibres.tif"),
        pd.read_csv(folder / "fibres.csv"),
        [json.loads(line) for line in trail],
    )


def test_save_and_open(tmp_path: Path) -> None:
    """All is there again, and goes on; what others read is the same."""
    saved = edited(min_axon_diameter=0.7, folder=tmp_path / "a")
    assert saved.save() == tmp_path / "a"
    assert {path.name for path in saved.folder.iterdir()} == FILES | {"corrections.json"}
    opened = Correction.open(tmp_path / "a", who="Ben")
    assert is_same(state(saved), state(opened))
    assert opened.trail == json.loads(json.dumps(saved.trail))
    labels, axons, fibres, table, trail = on_disk(tmp_path / "a")
    pd.testing.assert_frame_equal(saved.table, table, check_dtype=False)
    assert is_same(state(saved), (labels, axons, fibres, saved.table, saved.merged))
    assert trail == opened.trail

    assert opened.split(1, (6, 0), (6, 9)) == [1, 5]
    opened.save()
    check(opened, min_axon_diameter=0.7)
    assert [entry["who"] for entry in Correction.open(tmp_path / "a").trail] == ["Ada"] * 2 + [
        "Ben"
    ]
    assert not (tmp_path / "a" / ".saved").exists()


def test_save_of_nothing(tmp_path: Path) -> None:
    """An image without fibres is saved and opened, too."""
    empty = Correction(np.zeros((3, 4), np.uint8), pixel_size=0.1)
    empty.save(tmp_path)
    assert is_same(state(empty), state(Correction.open(tmp_path)))


def test_nothing_of_others_is_overwritten_unasked(tmp_path: Path) -> None:
    """A mask that lies there stays, unless somebody says otherwise."""
    theirs = write_labels(tmp_path / "labels.png", picture(SHARED)).read_bytes()
    correction = two()
    with pytest.raises(FileExistsError, match=r"labels.png .* overwrite=True"):
        correction.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.png"]
    assert (tmp_path / "labels.png").read_bytes() == theirs
    correction.save(tmp_path, overwrite=True)
    correction.delete(1)
    correction.save(tmp_path)
    with pytest.raises(FileExistsError):
        two().save(tmp_path)
    assert is_same(state(correction), state(Correction.open(tmp_path)))


@pytest.mark.parametrize("name", sorted(FILES))
def test_files_out_of_step_are_told(tmp_path: Path, name: str) -> None:
    """A file that something else has changed or deleted is named, and what to do."""
    edited().save(tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    with pytest.raises(ValueError, match=rf"{name} changed since.*begin anew"):
        Correction.open(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=rf"{name} missing"):
        Correction.open(tmp_path)
    path.write_bytes(content)
    Correction.open(tmp_path)


def test_open_says_what_is_wrong(tmp_path: Path) -> None:
    """No corrections, damaged ones, those of another version."""
    with pytest.raises(FileNotFoundError, match="nothing was saved there"):
        Correction.open(tmp_path)
    with pytest.raises(FileNotFoundError):
        Correction.open(tmp_path / "nowhere")
    (tmp_path / "corrections.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        Correction.open(tmp_path)
    (tmp_path / "corrections.json").write_text('{"sha256": {}}')
    with pytest.raises(ValueError, match="format None"):
        Correction.open(tmp_path)


def test_the_window_around_a_fibre() -> None:
    """It holds the fibre and what surrounds it, as far as there is an image."""
    labels = np.zeros((200, 300), np.uint8)
    labels[2:12, 20:100] = 1
    labels[4:10, 22:98] = 2
    correction = Correction(labels, pixel_size=0.1)
    assert correction.around(1) == (slice(0, 36), slice(0, 140))
    with pytest.raises(ValueError, match="7"):
        correction.around(7)
