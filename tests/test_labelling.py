"""A labelling in progress: what it holds and takes back is what a list of whole arrays would."""

from __future__ import annotations

import threading
import time
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from axonlab.labelling import HISTORY, KEEP, Labelling, Patch, compress, decompress
from axonlab.micrograph import CLASSES, UNLABELLED, Micrograph

pytestmark = pytest.mark.filterwarnings("error")

IDS = [*CLASSES.values(), UNLABELLED]
SHAPE = (6, 9)
BLANK = Micrograph(np.zeros(SHAPE), pixel_size=0.1, name="nerve")

patient = settings(max_examples=60)


def masks(shape: tuple[int, int] = SHAPE) -> st.SearchStrategy[np.ndarray]:
    """Draw class ids for a whole image."""
    return hnp.arrays(np.uint8, shape, elements=st.sampled_from(IDS))


@st.composite
def patches(draw: st.DrawFn, shape: tuple[int, int] = SHAPE) -> Patch:
    """Draw a patch that lies inside the image; some of its pixels stay as they are."""
    row, column = (draw(st.integers(0, n - 1)) for n in shape)
    height, width = (draw(st.integers(1, n - i)) for n, i in zip(shape, (row, column), strict=True))
    values = st.sampled_from([*IDS, KEEP])
    return Patch(row, column, draw(hnp.arrays(np.uint8, (height, width), elements=values)))


def painted(labels: np.ndarray, patch: Patch) -> np.ndarray:
    """Return labels with a patch written into them, pixel by pixel."""
    labels = labels.copy()
    for (row, column), value in np.ndenumerate(patch.values):
        if value != KEEP:
            labels[patch.row + row, patch.column + column] = value
    return labels


def dot(row: int, column: int, value: int) -> Patch:
    """Return a patch of one pixel."""
    return Patch(row, column, np.array([[value]], np.uint8))


class AgainstArrays(RuleBasedStateMachine):
    """Edits in any order, against a list of whole arrays."""

    @initialize(start=st.none() | masks())
    def begin(self, start: np.ndarray | None) -> None:
        """Begin with labels, or with none."""
        self.labelling = Labelling(BLANK, start)
        self.past: list[np.ndarray] = []
        self.now = np.full(SHAPE, UNLABELLED, np.uint8) if start is None else start.copy()
        self.future: list[np.ndarray] = []
        self.start = self.now
        self.mirror = self.now.copy()
        self.told = 0
        self.labelling.listeners.append(self.hear)

    def hear(self, patch: Patch) -> None:
        """Follow the labels as a browser does: from packed patches alone."""
        self.mirror = painted(self.mirror, Patch.unpack(*patch.pack(), self.mirror.shape))
        self.told += 1
        assert np.array_equal(self.mirror, self.labelling.labels), "told before it was done"

    def expect(self, after: np.ndarray, changed: bool) -> None:
        """Take an edit into the model."""
        assert changed == (not np.array_equal(after, self.now))
        if changed:
            self.past.append(self.now)
            self.now, self.future = after, []

    @rule(patch=patches())
    def apply(self, patch: Patch) -> None:
        """Paint."""
        self.expect(painted(self.now, patch), self.labelling.apply(patch))

    @rule(labels=masks())
    def replace(self, labels: np.ndarray) -> None:
        """Give all pixels new labels."""
        self.expect(labels.copy(), self.labelling.replace(labels))

    @rule()
    def replace_by_the_same(self) -> None:
        """Give all pixels the labels they have."""
        assert not self.labelling.replace(self.labelling.labels)

    @rule(
        suggestion=masks(),
        classes=st.lists(st.sampled_from(list(CLASSES)), unique=True),
        only_unlabelled=st.booleans(),
    )
    def accept(self, suggestion: np.ndarray, classes: list[str], only_unlabelled: bool) -> None:
        """Take classes of a suggestion over."""
        after = self.now.copy()
        for place, value in np.ndenumerate(suggestion):
            wanted = value in [CLASSES[name] for name in classes]
            if wanted and (after[place] == UNLABELLED or not only_unlabelled):
                after[place] = value
        changed = self.labelling.accept(suggestion, classes, only_unlabelled=only_unlabelled)
        self.expect(after, changed)

    @rule()
    def undo(self) -> None:
        """Take back."""
        assert self.labelling.undo() == bool(self.past)
        if self.past:
            self.future.append(self.now)
            self.now = self.past.pop()

    @rule()
    def redo(self) -> None:
        """Do again."""
        assert self.labelling.redo() == bool(self.future)
        if self.future:
            self.past.append(self.now)
            self.now = self.future.pop()

    @precondition(lambda self: self.past)
    @rule()
    def undo_all_and_redo_all(self) -> None:
        """Walk the whole history to its beginning, and forth again."""
        steps = 0
        while self.labelling.undo():
            steps += 1
        assert steps == len(self.past)
        np.testing.assert_array_equal(self.labelling.labels, self.start)
        redone = 0
        while self.labelling.redo():
            redone += 1
        assert redone == steps + len(self.future)
        for _ in self.future:
            self.labelling.undo()

    @rule(row=st.integers(-3, 9), column=st.integers(-3, 12), value=st.integers(0, 255))
    def spoil(self, row: int, column: int, value: int) -> None:
        """Paint something that may not be; whatever is refused leaves no trace."""
        inside = 0 <= row < SHAPE[0] and 0 <= column < SHAPE[1]
        if inside and value in (*IDS, KEEP):
            return
        told = self.told
        with pytest.raises(ValueError, match="patch"):
            self.labelling.apply(dot(row, column, value))
        assert self.told == told

    @invariant()
    def agrees(self) -> None:
        """Everything that can be seen is as in the model."""
        np.testing.assert_array_equal(self.labelling.labels, self.now)
        np.testing.assert_array_equal(self.mirror, self.now)
        assert self.labelling.can_undo == bool(self.past)
        assert self.labelling.can_redo == bool(self.future)
        names = {**CLASSES, "unlabelled": UNLABELLED}
        expected = {name: int((self.now == i).sum()) for name, i in names.items()}
        assert self.labelling.counts == expected


TestAgainstArrays = AgainstArrays.TestCase
TestAgainstArrays.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow],
)


# What a labelling begins with


def test_nothing_is_labelled_at_first() -> None:
    """Without labels, every pixel is unlabelled."""
    labelling = Labelling(BLANK)
    np.testing.assert_array_equal(labelling.labels, np.full(SHAPE, UNLABELLED))
    assert labelling.labels.dtype == np.uint8
    assert labelling.counts == {**dict.fromkeys(CLASSES, 0), "unlabelled": 54}
    assert not (labelling.can_undo or labelling.can_redo)
    assert not (labelling.undo() or labelling.redo())


def test_labels_given_are_copied() -> None:
    """Neither side changes the other's array."""
    mine = np.zeros(SHAPE, np.uint8)
    labelling = Labelling(BLANK, mine)
    mine[0, 0] = 3
    assert labelling.labels[0, 0] == 0
    labelling.apply(dot(1, 1, 2))
    assert mine[1, 1] == 0


def test_arrays_handed_in_are_copied() -> None:
    """A patch or mask changed after it was handed in changes neither labels nor history."""
    labelling = Labelling(BLANK, np.zeros(SHAPE, np.uint8))
    patch, mask = dot(0, 0, 2), np.full(SHAPE, 1, np.uint8)
    labelling.apply(patch)
    labelling.replace(mask)
    patch.values[:] = 3
    mask[:] = 3
    np.testing.assert_array_equal(labelling.labels, np.full(SHAPE, 1))
    labelling.undo()
    assert labelling.counts["axon"] == 1
    labelling.redo()
    np.testing.assert_array_equal(labelling.labels, np.full(SHAPE, 1))


def test_labels_may_lie_in_memory_in_any_order() -> None:
    """Arrays that are transposed, reversed or not to be written to are read all the same."""
    labels = np.arange(54, dtype=np.uint8).reshape(SHAPE) % 4
    for array in (np.asfortranarray(labels), labels[::-1, ::-1][::-1, ::-1], labels.view()):
        array.flags.writeable = False
        labelling = Labelling(BLANK, array)
        np.testing.assert_array_equal(labelling.labels, labels)
        assert labelling.apply(Patch(0, 0, np.asfortranarray(3 - labels)))
        np.testing.assert_array_equal(labelling.labels, 3 - labels)
        labelling.undo()
        labelling.redo()
        np.testing.assert_array_equal(labelling.labels, 3 - labels)


def test_labels_are_read_only_and_current() -> None:
    """The view shows later edits and cannot be written to, whatever its owner tries."""
    labelling = Labelling(BLANK)
    view = labelling.labels
    labelling.apply(dot(2, 3, 1))
    assert view[2, 3] == 1
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        view[:2] += 1
    labelling.apply(dot(0, 0, 1))


@pytest.mark.parametrize("shape", [(9, 6), (5, 9), (6, 10), (12, 18), (1, 1)])
@pytest.mark.parametrize("method", ["begin", "replace", "accept"])
def test_labels_of_another_shape_are_refused(shape: tuple[int, int], method: str) -> None:
    """The error names the image and both shapes, and says what to do."""
    labelling = Labelling(BLANK)
    labels = np.ones(shape, np.uint8)
    with pytest.raises(ValueError, match=r"nerve: .*same size.*export") as error:
        {
            "begin": lambda: Labelling(BLANK, labels),
            "replace": lambda: labelling.replace(labels),
            "accept": lambda: labelling.accept(labels, ["myelin"]),
        }[method]()
    assert str(shape) in str(error.value)
    assert str(SHAPE) in str(error.value)
    assert labelling.counts["unlabelled"] == 54
    assert not labelling.can_undo


NO_LABELS = {
    "unknown id": np.full(SHAPE, 4, np.uint8),
    "the id that keeps": np.full(SHAPE, KEEP, np.uint8),
    "probabilities": np.full(SHAPE, 0.5, np.float32),
    "wide integers": np.ones(SHAPE, np.int64),
    "booleans": np.ones(SHAPE, bool),
    "a line": np.ones(9, np.uint8),
    "colours": np.ones((*SHAPE, 3), np.uint8),
    "nothing": np.ones((0, 9), np.uint8),
}


@pytest.mark.parametrize("what", NO_LABELS)
@pytest.mark.parametrize("method", ["begin", "replace", "accept"])
def test_what_are_no_labels_is_refused(what: str, method: str) -> None:
    """Other types and ids than those of labels are refused, and change nothing."""
    labelling = Labelling(BLANK)
    with pytest.raises(ValueError, match=r"nerve: .*(expected|found no pixels)"):
        {
            "begin": lambda: Labelling(BLANK, NO_LABELS[what]),
            "replace": lambda: labelling.replace(NO_LABELS[what]),
            "accept": lambda: labelling.accept(NO_LABELS[what], ["myelin"]),
        }[method]()
    assert labelling.counts["unlabelled"] == 54
    assert not labelling.can_undo


# Suggestions


def test_accept_takes_the_named_classes() -> None:
    """Only the classes named are taken over, and by default only where nothing was labelled."""
    labels = np.array([[255, 255, 255, 2, 0]], np.uint8)
    suggestion = np.array([[1, 2, 255, 1, 1]], np.uint8)
    labelling = Labelling(Micrograph(np.zeros((1, 5)), pixel_size=1), labels)
    assert labelling.accept(suggestion, ["myelin"])
    assert labelling.labels.tolist() == [[1, 255, 255, 2, 0]]
    assert not labelling.accept(suggestion, ["myelin"])
    assert labelling.accept(suggestion, ["myelin", "axon"], only_unlabelled=False)
    assert labelling.labels.tolist() == [[1, 2, 255, 1, 1]]
    assert not labelling.accept(suggestion, [], only_unlabelled=False)
    assert labelling.undo()
    assert labelling.undo()
    assert labelling.labels.tolist() == labels.tolist()


def test_accept_names_an_unknown_class() -> None:
    """A class that does not exist is called by its name, beside those that do."""
    with pytest.raises(ValueError, match=r"dendrite"):
        Labelling(BLANK).accept(np.zeros(SHAPE, np.uint8), ["dendrite"])


# Patches

ROOMY = (1000, 1000)
"""An image that all these patches lie in."""


@patient
@given(patch=patches())
def test_packing_keeps_a_patch(patch: Patch) -> None:
    """What is packed comes back, from bytes and from a buffer of a message."""
    place, packed = patch.pack()
    for content in (packed, memoryview(packed)):
        same = Patch.unpack(place, content, ROOMY)
        assert (same.row, same.column) == (patch.row, patch.column)
        assert same.values.dtype == np.uint8
        np.testing.assert_array_equal(same.values, patch.values)
    assert {type(number) for number in place.values()} == {int}


def test_patches_packed_elsewhere_are_understood() -> None:
    """Any zlib stream of the pixels will do, row by row as browsers send them."""
    place = {"row": 1, "column": 2, "height": 2, "width": 3, "more": "is ignored"}
    for level in range(10):
        patch = Patch.unpack(place, zlib.compress(bytes([0, 1, 2, 3, 254, 255]), level), ROOMY)
        assert patch.values.tolist() == [[0, 1, 2], [3, 254, 255]]


def test_every_truncation_is_noticed() -> None:
    """Of a cut stream, no pixel is believed that is not there."""
    values = np.random.default_rng(0).choice(np.array(IDS, np.uint8), (40, 50))
    packed = compress(values)
    for length in range(len(packed)):
        try:
            read = decompress(packed[:length], values.shape)
        except ValueError as error:
            assert "Damaged pixels" in str(error)
        else:
            np.testing.assert_array_equal(read, values)


@patient
@given(data=st.data(), patch=patches())
def test_flipped_bits_are_noticed(data: st.DataObject, patch: Patch) -> None:
    """A damaged stream is refused by its checksum, or what it holds is right."""
    place, packed = patch.pack()
    spoilt = bytearray(packed)
    spoilt[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = Patch.unpack(place, bytes(spoilt), ROOMY)
    except ValueError:
        return
    np.testing.assert_array_equal(read.values, patch.values)


@patient
@given(packed=st.binary(max_size=60))
def test_noise_is_no_patch(packed: bytes) -> None:
    """Whatever the bytes, the answer is a patch of the shape asked for, or a ValueError."""
    with pytest.raises(ValueError, match="Damaged pixels"):
        Patch.unpack({"row": 0, "column": 0, "height": 7, "width": 11}, packed, ROOMY)


def test_bombs_do_not_unfold() -> None:
    """A few bytes that would unfold to a gigabyte are refused before they do."""
    import tracemalloc

    squeezer = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    bomb = b"".join(squeezer.compress(zeros) for _ in range(256)) + squeezer.flush()
    tracemalloc.start()
    with pytest.raises(ValueError, match="Damaged pixels"):
        Patch.unpack({"row": 0, "column": 0, "height": 5, "width": 5}, bomb, ROOMY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(bomb) + 100_000


PLACES: dict[str, Any] = {
    "row missing": {"column": 0, "height": 1, "width": 1},
    "row empty": {"row": None, "column": 0, "height": 1, "width": 1},
    "row a word": {"row": "one", "column": 0, "height": 1, "width": 1},
    "row a list": {"row": [1], "column": 0, "height": 1, "width": 1},
    "row negative": {"row": -1, "column": 0, "height": 1, "width": 1},
    "column negative": {"row": 0, "column": -1, "height": 1, "width": 1},
    "no rows": {"row": 0, "column": 0, "height": 0, "width": 1},
    "no columns": {"row": 0, "column": 0, "height": 1, "width": 0},
    "both negative": {"row": 0, "column": 0, "height": -1, "width": -1},
    "too high": {"row": 0, "column": 0, "height": 2, "width": 1},
    "row NaN": {"row": float("nan"), "column": 0, "height": 1, "width": 1},
    "row infinite": {"row": float("inf"), "column": 0, "height": 1, "width": 1},
    "height infinite": {"row": 0, "column": 0, "height": float("inf"), "width": 1},
    "height astronomic": {"row": 0, "column": 0, "height": 10**30, "width": 1},
    "a list": [0, 0, 1, 1],
    "nothing": None,
}


@pytest.mark.parametrize("what", PLACES)
def test_absurd_places_are_refused(what: str) -> None:
    """Places that are missing or absurd are a ValueError, whatever they are."""
    with pytest.raises(ValueError, match=r"patch|Damaged pixels"):
        Patch.unpack(PLACES[what], zlib.compress(b"\0"), ROOMY)


REFUSED = {
    "above": dot(-1, 0, 1),
    "left": dot(0, -1, 1),
    "below": dot(6, 0, 1),
    "right": dot(0, 9, 1),
    "far below": dot(2**40, 0, 1),
    "across the upper border": Patch(-1, 0, np.ones((3, 3), np.uint8)),
    "across the lower border": Patch(4, 0, np.ones((3, 3), np.uint8)),
    "across the right border": Patch(0, 7, np.ones((3, 3), np.uint8)),
    "larger than the image": Patch(0, 0, np.ones((7, 10), np.uint8)),
    "kept pixels outside": Patch(5, 0, np.array([[1], [KEEP]], np.uint8)),
    "without rows": Patch(0, 0, np.ones((0, 3), np.uint8)),
    "without columns": Patch(0, 0, np.ones((3, 0), np.uint8)),
    "unknown id": dot(0, 0, 4),
    "one unknown id": Patch(0, 0, np.array([[1, 2, 77]], np.uint8)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_wrong_patches_are_refused_whole(what: str) -> None:
    """A wrong patch is a ValueError; labels, counts and history stay, and nobody is told."""
    start = np.arange(54, dtype=np.uint8).reshape(SHAPE) % 4
    labelling = Labelling(BLANK, start)
    labelling.apply(dot(3, 3, UNLABELLED))
    labelling.apply(dot(3, 4, UNLABELLED))
    labelling.undo()
    labels, counts = labelling.labels.copy(), labelling.counts
    told: list[Patch] = []
    labelling.listeners.append(told.append)
    with pytest.raises(ValueError, match="patch"):
        labelling.apply(REFUSED[what])
    np.testing.assert_array_equal(labelling.labels, labels)
    assert labelling.counts == counts
    assert told == []
    assert labelling.can_redo
    assert labelling.undo()
    assert not labelling.undo()
    np.testing.assert_array_equal(labelling.labels, start)


@pytest.mark.parametrize(
    "values",
    [[[1]], [[256]], [[1.0]], [[True]], np.ones(3, np.uint8), np.ones((2, 2, 3), np.uint8)],
    ids=["int64", "int64 beyond a byte", "floats", "booleans", "a line", "colours"],
)
def test_patches_of_something_else_are_refused(values: Any) -> None:
    """Values of another type or in other than two dimensions are no patch."""
    with pytest.raises(ValueError, match=r"A patch of type .* and shape .*; expected"):
        Patch(0, 0, np.array(values))


def test_refusals_say_what_and_where() -> None:
    """The error names the place of the patch, the shape of the image, or the ids."""
    labelling = Labelling(BLANK)
    with pytest.raises(ValueError, match=r"3×3 pixels at row 4, column 0 .*\(6, 9\).*inside"):
        labelling.apply(REFUSED["across the lower border"])
    with pytest.raises(ValueError, match=r"\[77\].*myelin.*255.*254"):
        labelling.apply(REFUSED["one unknown id"])


# The history


def test_two_hundred_edits_can_be_taken_back() -> None:
    """Every state on the way comes back, in both directions."""
    rng = np.random.default_rng(1)
    labelling = Labelling(BLANK)
    states = [labelling.labels.copy()]
    while len(states) < 201:
        row, column = rng.integers(0, 4), rng.integers(0, 6)
        values = rng.choice(np.array([*IDS, KEEP], np.uint8), (3, 3))
        if labelling.apply(Patch(int(row), int(column), values)):
            states.append(labelling.labels.copy())
    for state in states[-2::-1]:
        assert labelling.undo()
        np.testing.assert_array_equal(labelling.labels, state)
    assert not labelling.undo()
    for state in states[1:]:
        assert labelling.redo()
        np.testing.assert_array_equal(labelling.labels, state)
    assert not labelling.redo()


def test_the_history_is_bounded() -> None:
    """Of very many edits the last `HISTORY` can be taken back, and those done again."""
    labelling = Labelling(BLANK, np.zeros(SHAPE, np.uint8))
    for number in range(HISTORY + 30):
        assert labelling.apply(dot(0, 0, (number + 1) % 4))
    for _ in range(2):
        assert sum(iter(labelling.undo, False)) == HISTORY
        assert labelling.labels[0, 0] == 30 % 4
        assert sum(iter(labelling.redo, False)) == HISTORY
        assert labelling.labels[0, 0] == (HISTORY + 30) % 4


def test_history_of_a_large_image_is_small() -> None:
    """Five hundred strokes on a large image are remembered in a few megabytes."""
    import tracemalloc

    labelling = Labelling(Micrograph(np.zeros((1000, 1000)), pixel_size=0.1))
    y, x = np.ogrid[:60, :60]
    stroke = np.where((y - 30) ** 2 + (x - 30) ** 2 < 900, 0, KEEP).astype(np.uint8)
    tracemalloc.start()
    for number in range(100):
        values = np.where(stroke == KEEP, KEEP, number % 4).astype(np.uint8)
        labelling.apply(Patch(number, 5 * number, values))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 100 * 6000


def test_what_changes_nothing_is_not_remembered() -> None:
    """A patch of what is there already is no edit, and leaves what can be done again."""
    labelling = Labelling(BLANK, np.zeros(SHAPE, np.uint8))
    labelling.apply(dot(0, 0, 2))
    labelling.undo()
    told: list[Patch] = []
    labelling.listeners.append(told.append)
    assert not labelling.apply(Patch(0, 0, np.zeros((2, 2), np.uint8)))
    assert not labelling.apply(Patch(0, 0, np.full(SHAPE, KEEP, np.uint8)))
    assert told == []
    assert labelling.redo()
    assert labelling.labels[0, 0] == 2


def test_undo_leaves_pixels_alone_that_were_not_changed() -> None:
    """Undo tells only of pixels that the edit had changed, in the rectangle it had changed."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 2] = 2
    labelling = Labelling(BLANK, labels)
    told: list[Patch] = []
    labelling.listeners.append(told.append)
    labelling.apply(Patch(2, 2, np.array([[2, 2, KEEP]], np.uint8)))
    labelling.undo()
    assert told[1].values.tolist() == [[KEEP, 0, KEEP]]
    labelling.replace(np.where(np.arange(54).reshape(SHAPE) == 40, 1, labels).astype(np.uint8))
    assert (told[2].row, told[2].column, told[2].values.tolist()) == (4, 4, [[1]])


# Listeners


def test_listeners_hear_everything_in_order() -> None:
    """Every listener hears of every change after it was made, until it is taken off."""
    labelling = Labelling(BLANK, np.zeros(SHAPE, np.uint8))
    heard: list[tuple[str, int]] = []
    first = lambda patch: heard.append(("first", int(labelling.labels[0, 0])))  # noqa: E731
    second = lambda patch: heard.append(("second", int(labelling.labels[0, 0])))  # noqa: E731
    labelling.listeners += [first, second]
    labelling.apply(dot(0, 0, 1))
    labelling.undo()
    labelling.listeners.remove(first)
    labelling.redo()
    expected = [("first", 1), ("second", 1), ("first", 0), ("second", 0), ("second", 1)]
    assert heard == expected


def test_a_listener_may_take_itself_off() -> None:
    """A listener that leaves while it is told does not hide the news from the next."""
    labelling = Labelling(BLANK)
    heard: list[str] = []

    def leave(patch: Patch) -> None:
        heard.append("leaving")
        labelling.listeners.remove(leave)

    labelling.listeners += [leave, lambda patch: heard.append("staying")]
    labelling.apply(dot(0, 0, 1))
    labelling.apply(dot(0, 0, 2))
    assert heard == ["leaving", "staying", "staying"]


# Threads and size


def test_two_threads_lose_nothing() -> None:
    """Two threads that paint and take back at once leave labels, counts and history in step."""
    micrograph = Micrograph(np.zeros((40, 40)), pixel_size=0.1)
    labelling = Labelling(micrograph, np.zeros((40, 40), np.uint8))
    mirror = labelling.labels.copy()

    def follow(patch: Patch) -> None:
        box = mirror[patch.box]
        np.copyto(box, patch.values, where=patch.values != KEEP)

    labelling.listeners.append(follow)
    problems: list[BaseException] = []
    together = threading.Barrier(2)

    def paint(top: int) -> None:
        try:
            together.wait()
            for number in range(150):
                row, column = top + number % 16, number % 36
                labelling.apply(Patch(row, column, np.full((4, 4), number % 3 + 1, np.uint8)))
                if number % 10 == 9:
                    labelling.undo()
                    labelling.redo()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=paint, args=(top,)) for top in (0, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    np.testing.assert_array_equal(mirror, labelling.labels)
    names = {**CLASSES, "unlabelled": UNLABELLED}
    truth = {name: int((labelling.labels == i).sum()) for name, i in names.items()}
    assert labelling.counts == truth
    while labelling.undo():
        pass
    assert labelling.counts["background"] == 1600


def test_whoever_holds_the_lock_reads_in_peace() -> None:
    """While a reader holds the lock, another thread's edit waits."""
    labelling = Labelling(BLANK)
    thread = threading.Thread(target=labelling.apply, args=(dot(0, 0, 1),))
    with labelling.lock:
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()
        assert labelling.counts["myelin"] == 0
    thread.join(10)
    assert labelling.counts["myelin"] == 1


def test_a_stroke_costs_the_same_on_a_large_image() -> None:
    """A stroke and its undo take no more work where the image is ten thousand times larger."""

    def fastest(side: int) -> float:
        labelling = Labelling(
            Micrograph(np.zeros((side, side), np.float32), pixel_size=0.1),
            np.zeros((side, side), np.uint8),
        )
        strokes = [np.full((30, 30), i, np.uint8) for i in (1, 2)]
        times = []
        for number in range(40):
            start = time.perf_counter()
            labelling.apply(Patch(5, 5, strokes[number % 2]))
            labelling.undo()
            labelling.redo()
            times.append(time.perf_counter() - start)
        return min(times)

    # touching all of 16 million pixels would cost some hundred times more
    assert fastest(4000) < 10 * fastest(40)
