"""A labelling in a folder: whatever breaks, no edit is lost and no file of others is touched."""

from __future__ import annotations

import base64
import errno
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axonlab import autosave
from axonlab.autosave import SavedLabelling, open_labelling
from axonlab.io import read_labels, write_labels
from axonlab.labelling import Patch
from axonlab.micrograph import CLASSES, UNLABELLED, Micrograph

pytestmark = pytest.mark.filterwarnings("error")

SHAPE = (8, 12)
NERVE = Micrograph(np.arange(96.0).reshape(SHAPE), pixel_size=0.1, name="nerve")
OTHER = Micrograph(np.ones(SHAPE), pixel_size=0.1, name="other nerve")
THEIRS = np.arange(96, dtype=np.uint8).reshape(SHAPE) % 3

STEPS = [
    Patch(0, 0, np.full((2, 3), 2, np.uint8)),
    Patch(3, 4, np.array([[1, 254, 3]], np.uint8)),
    Patch(6, 0, np.full((2, 12), 0, np.uint8)),
]


class Crash(BaseException):
    """The kernel dies here."""


def crash(labelling: SavedLabelling) -> None:
    """End a labelling as a killed kernel does: nothing more is written, the lock goes."""
    labelling._stop_timer()
    labelling.listeners.clear()
    labelling._journal._file.close()
    labelling._lock_file.release()
    autosave._OPEN.pop(labelling.folder, None)


def reopen(labelling: SavedLabelling) -> SavedLabelling:
    """Crash, and open the folder again."""
    crash(labelling)
    return open_labelling(labelling.micrograph, labelling.folder)


def painted(labels: np.ndarray, *steps: Patch) -> np.ndarray:
    """Return labels after some patches."""
    labels = labels.copy()
    for patch in steps:
        np.copyto(labels[patch.box], patch.values, where=patch.values != 254)
    return labels


def dot(row: int, column: int, value: int) -> Patch:
    """Return a patch of one pixel."""
    return Patch(row, column, np.array([[value]], np.uint8))


def undo_all(labelling: SavedLabelling) -> np.ndarray:
    """Take everything back and return what is left."""
    while labelling.undo():
        pass
    return labelling.labels.copy()


def put_theirs(path: Path, labels: np.ndarray = THEIRS) -> bytes:
    """Write a mask as somebody else does, a while later; return the file's content."""
    write_labels(path, labels, overwrite=True)
    later = time.time() + 60
    os.utime(path, (later, later))
    return path.read_bytes()


def kept_aside(folder: Path) -> list[Path]:
    """Return the journals kept aside."""
    return sorted(folder.glob("journal.damaged-*"))


BLANK = np.full(SHAPE, UNLABELLED, np.uint8)


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep timers from firing unasked, and leave no folder open to the next test."""
    monkeypatch.setattr(autosave, "PAUSE_S", 1000.0)
    yield
    monkeypatch.undo()
    for labelling in list(autosave._OPEN.values()):
        crash(labelling)
    gc.collect()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Name a folder that is not there yet."""
    return tmp_path / "runs" / "nerve" / "01_labels"


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the page cache, where hundreds of folders are opened."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


# Begin, go on


def test_a_new_folder_holds_everything_at_once(folder: Path) -> None:
    """From the first moment there are a mask, a journal and the image's identity."""
    labelling = open_labelling(NERVE, folder)
    np.testing.assert_array_equal(read_labels(folder / "labels.png"), BLANK)
    assert json.loads((folder / "image.json").read_text())["image"] == "nerve"
    assert (folder / "journal.jsonl").read_bytes().count(b"\n") == 1
    assert labelling.status.kind == "saved"
    assert not labelling.can_undo


def test_it_begins_with_labels_given_and_leaves_their_file_alone(
    tmp_path: Path, folder: Path
) -> None:
    """A mask to begin with is copied: neither its file nor the array is ever written to."""
    original = tmp_path / "mask.png"
    write_labels(original, THEIRS)
    content, stat = original.read_bytes(), original.stat()
    given_labels = read_labels(original)
    labelling = open_labelling(NERVE, folder, labels=given_labels)
    np.testing.assert_array_equal(labelling.labels, THEIRS)
    for step in STEPS:
        labelling.apply(step)
    labelling.save()
    labelling = reopen(labelling)
    labelling.apply(dot(4, 4, 3))
    labelling.close()
    assert original.read_bytes() == content
    assert original.stat().st_mtime_ns == stat.st_mtime_ns
    np.testing.assert_array_equal(given_labels, THEIRS)
    np.testing.assert_array_equal(
        read_labels(folder / "labels.png"), painted(THEIRS, *STEPS, dot(4, 4, 3))
    )


def test_labels_given_do_not_replace_those_in_the_folder(folder: Path) -> None:
    """Running a cell again with the same ``labels=`` goes on where it was left."""
    open_labelling(NERVE, folder, labels=THEIRS).apply(STEPS[0])
    labelling = open_labelling(NERVE, folder, labels=THEIRS)
    np.testing.assert_array_equal(labelling.labels, painted(THEIRS, STEPS[0]))
    crash(labelling)
    labelling = open_labelling(NERVE, folder, labels=THEIRS)
    np.testing.assert_array_equal(labelling.labels, painted(THEIRS, STEPS[0]))


def test_opening_twice_gives_the_same_object(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the folder is spelled, there is one labelling of it; a new pixel size is taken."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    for name in (folder, str(folder), "runs/nerve/../nerve/01_labels", tmp_path / "link"):
        assert open_labelling(NERVE, name) is labelling
    corrected = Micrograph(NERVE.pixels, pixel_size=0.2, name="nerve")
    assert open_labelling(corrected, folder).micrograph.pixel_size == 0.2
    assert labelling.can_undo


def test_an_image_of_the_same_values_in_another_shape_is_another_image(folder: Path) -> None:
    """Two empty images of as many pixels are not the same image."""
    first, second = (Micrograph(np.zeros(shape), pixel_size=0.1) for shape in ((3, 4), (4, 3)))
    labelling = open_labelling(first, folder)
    with pytest.raises(ValueError, match=r"\(4, 3\)|not of this"):
        open_labelling(second, folder)
    assert labelling.micrograph.pixels.shape == labelling.labels.shape


def test_a_labelling_forgotten_is_not_lost(folder: Path) -> None:
    """A labelling whose last name was deleted is there again when the folder is opened."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    labelling._stop_timer()
    del labelling
    for _ in range(2):
        again = open_labelling(NERVE, folder)
        np.testing.assert_array_equal(again.labels, painted(BLANK, STEPS[0]))
        assert again.can_undo
        del again


def test_a_labelling_forgotten_leaves_no_file_open(folder: Path) -> None:
    """Nobody closes a labelling whose cell is run again: its journal closes with it."""
    gc.collect()  # what others have left
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_labelling(NERVE, folder)
        gc.collect()
    assert [w for w in caught if issubclass(w.category, ResourceWarning)] == []


# Crashes


def test_after_a_crash_nothing_is_missing(folder: Path) -> None:
    """Edits that were in the journal only are made again, and can be taken back one by one."""
    labelling = open_labelling(NERVE, folder, labels=THEIRS)
    for step in STEPS:
        assert labelling.apply(step)
        assert labelling.status.kind == "journal"
    np.testing.assert_array_equal(read_labels(folder / "labels.png"), THEIRS)
    labelling = reopen(labelling)
    assert kept_aside(folder) == []
    for number in (3, 2, 1):
        np.testing.assert_array_equal(labelling.labels, painted(THEIRS, *STEPS[:number]))
        assert labelling.undo()
    np.testing.assert_array_equal(labelling.labels, THEIRS)
    assert not labelling.undo()
    assert labelling.redo()
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, painted(THEIRS, STEPS[0]))


def test_undo_redo_and_whole_masks_survive_a_crash(folder: Path) -> None:
    """Every way of changing labels goes to the journal."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    labelling.apply(STEPS[1])
    labelling.undo()
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, STEPS[0]))
    labelling.accept(THEIRS, ["myelin"])
    expected = labelling.labels.copy()
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, expected)
    labelling.replace(THEIRS)
    labelling.undo()
    labelling.redo()
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, THEIRS)


def test_edits_follow_on_the_last_mask(folder: Path) -> None:
    """After a save, a crash costs nothing either; what is older than the mask stays done."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    assert labelling.save().kind == "saved"
    saved = labelling.labels.copy()
    labelling.apply(STEPS[1])
    labelling.apply(STEPS[2])
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, *STEPS))
    np.testing.assert_array_equal(undo_all(labelling), saved)


def test_masks_may_return_to_what_they_were(folder: Path) -> None:
    """Saving the same labels again and again confuses no crash after it."""
    labelling = open_labelling(NERVE, folder, labels=THEIRS)
    for _ in range(2):
        labelling.apply(STEPS[0])
        labelling.save()
        labelling.undo()
        labelling.save()
    labelling.apply(STEPS[1])
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, painted(THEIRS, STEPS[1]))
    assert labelling.undo()
    assert not labelling.undo()
    np.testing.assert_array_equal(labelling.labels, THEIRS)


def test_crash_between_marker_and_mask(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the journal announces a mask that was never written, the one before counts."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    labelling.save()
    labelling.apply(STEPS[1])
    with monkeypatch.context() as patch:
        patch.setattr(autosave, "write_labels", raiser(Crash()))
        with pytest.raises(Crash):
            labelling.save()
    assert b"mask" in (folder / "journal.jsonl").read_bytes().splitlines()[-1]
    copy = shutil.copytree(folder, folder.with_name("copy"))
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, *STEPS[:2]))
    np.testing.assert_array_equal(undo_all(labelling), painted(BLANK, STEPS[0]))
    # the same where the mask was written as the last thing
    write_labels(copy / "labels.png", painted(BLANK, *STEPS[:2]), overwrite=True)
    labelling = open_labelling(NERVE, copy)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, *STEPS[:2]))
    assert not labelling.can_undo


def test_edits_after_a_mask_that_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits go on although no mask can be written; the journal alone restores them."""
    labelling = open_labelling(NERVE, folder)
    with monkeypatch.context() as patch:
        patch.setattr(autosave, "write_labels", raiser(OSError(errno.EROFS, "read-only")))
        for step in STEPS:
            labelling.apply(step)
            assert labelling.save().kind == "failed"
            assert "read-only" in labelling.status.text
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, *STEPS))
    np.testing.assert_array_equal(undo_all(labelling), BLANK)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("write", ["write_json", "write_labels", "write_bytes"])
def test_crash_while_opening(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write: str, moment: str
) -> None:
    """A crash at any moment of opening loses nothing, and blames nobody for changed files."""
    labelling = open_labelling(NERVE, folder)
    for step in STEPS:
        labelling.apply(step)
    crash(labelling)
    really = getattr(autosave, write)

    def fatal(*args: Any, **options: Any) -> None:
        if moment == "after":
            really(*args, **options)
        raise Crash

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(autosave, write, fatal)
        open_labelling(NERVE, folder)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        labelling = open_labelling(NERVE, folder)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, *STEPS))
    assert [str(w.message) for w in told] == []


def test_a_new_folder_survives_a_crash_while_it_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first opening that was cut off at any write is begun again."""
    for number, write in enumerate(("write_json", "write_labels", "write_bytes")):
        place = folder / str(number)
        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr(autosave, write, raiser(Crash()))
            open_labelling(NERVE, place, labels=THEIRS)
        labelling = open_labelling(NERVE, place, labels=THEIRS)
        np.testing.assert_array_equal(labelling.labels, THEIRS)


KILLED = """
import os, signal, sys
import numpy as np
from axonlab.autosave import open_labelling
from axonlab.labelling import Patch
from axonlab.micrograph import Micrograph
nerve = Micrograph(np.arange(96.0).reshape(8, 12), pixel_size=0.1, name="nerve")
try:
    labelling = open_labelling(nerve, sys.argv[1])
except BlockingIOError as error:
    print("blocked:", error)
    raise SystemExit
labelling.apply(Patch(5, 5, np.full((1, 2), 3, np.uint8)))
print("open", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def start(folder: Path) -> subprocess.Popen[str]:
    """Open a folder in another process, which paints and waits there."""
    command = [sys.executable, "-c", KILLED, str(folder)]
    return subprocess.Popen(command, stdin=-1, stdout=-1, text=True)


def test_one_kernel_at_a_time_and_a_killed_one_loses_nothing(folder: Path) -> None:
    """Another process is told who has the folder; it can have it after a close, or a kill."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    said, _ = start(folder).communicate()
    assert said.startswith(f"blocked: {folder} is open in another kernel. Shut that kernel down")
    assert "close()" in said
    assert labelling.apply(STEPS[1])
    assert labelling.status.kind == "journal"
    labelling.close()
    there = start(folder)
    assert there.stdout is not None
    assert there.stdout.readline() == "open\n"
    content = (folder / "journal.jsonl").read_bytes()
    with pytest.raises(BlockingIOError, match=r"open in another kernel.*choose another folder"):
        open_labelling(NERVE, folder)
    assert (folder / "journal.jsonl").read_bytes() == content
    there.communicate("die\n")
    assert there.returncode < 0
    labelling = open_labelling(NERVE, folder)
    expected = painted(BLANK, *STEPS[:2], Patch(5, 5, np.full((1, 2), 3, np.uint8)))
    np.testing.assert_array_equal(labelling.labels, expected)
    assert labelling.undo()


@st.composite
def acts(draw: st.DrawFn) -> list[Any]:
    """Draw what people and machines do to a labelling."""
    ids = st.sampled_from([*CLASSES.values(), UNLABELLED, 254])
    row, column = st.integers(0, SHAPE[0] - 2), st.integers(0, SHAPE[1] - 2)
    size = st.integers(1, 2)
    patch = st.builds(
        lambda r, c, h, w, i: Patch(r, c, np.full((h, w), i, np.uint8)),
        row,
        column,
        size,
        size,
        ids,
    )
    words = ["undo", "undo", "redo", "save", "fail to save", "fail to write", "close", "crash"]
    return draw(st.lists(st.one_of(patch, patch, st.sampled_from(words)), max_size=25))


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=acts())
@pytest.mark.usefixtures("no_fsync")
def test_any_session_survives_a_crash(acts: list[Any]) -> None:
    """After any edits, saves, failures and restarts, a crash brings the same labels back."""
    with tempfile.TemporaryDirectory() as name:
        labelling = open_labelling(NERVE, name)
        for act in [*acts, "crash"]:
            before = labelling.labels.copy()
            mask = read_labels(labelling.path)
            if isinstance(act, Patch):
                labelling.apply(act)
            elif act == "fail to save":
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(autosave, "write_labels", raiser(OSError(errno.ENOSPC, "full")))
                    assert labelling.save().kind == "failed"
            elif act == "fail to write":
                with full_disk(labelling, "takes a part"):
                    labelling.apply(dot(0, 0, 1))
                    labelling.apply(dot(0, 1, 1))
                labelling.apply(dot(0, 0, 2))
            elif act == "close":
                labelling.close()
                labelling = open_labelling(NERVE, name)
                np.testing.assert_array_equal(labelling.labels, before)
            elif act == "crash":
                labelling = reopen(labelling)
                np.testing.assert_array_equal(labelling.labels, before)
                truth = Micrograph(NERVE.pixels, pixel_size=0.1)
                assert labelling.counts == autosave.Labelling(truth, before).counts
            else:
                getattr(labelling, act)()
        np.testing.assert_array_equal(undo_all(labelling), mask)
        crash(labelling)


# Damaged journals


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("saved", [False, True])
def test_a_torn_end_costs_only_what_was_torn(tmp_path: Path, saved: bool) -> None:
    """Cut at whatever byte: every edit whose line is whole is there, without a word."""
    folder = tmp_path / "whole"
    labelling = open_labelling(NERVE, folder)
    if saved:
        labelling.apply(dot(7, 7, 1))
        labelling.save()
    base, header = labelling.labels.copy(), len((folder / "journal.jsonl").read_bytes())
    for step in STEPS:
        labelling.apply(step)
    crash(labelling)
    content = (folder / "journal.jsonl").read_bytes()
    for cut in range(header, len(content) + 1):
        torn = shutil.copytree(folder, tmp_path / str(cut))
        (torn / "journal.jsonl").write_bytes(content[:cut])
        whole = content[header:cut].count(b"\n")
        labelling = open_labelling(NERVE, torn)
        expected = painted(base, *STEPS[:whole])
        np.testing.assert_array_equal(labelling.labels, expected)
        assert kept_aside(torn) == []
        if cut % 16 == 0:
            labelling.apply(dot(5, 5, 3))
            labelling = reopen(labelling)
            np.testing.assert_array_equal(labelling.labels, painted(expected, dot(5, 5, 3)))
        np.testing.assert_array_equal(undo_all(labelling), base if cut % 16 else expected)
        crash(labelling)


@pytest.mark.usefixtures("no_fsync")
def test_a_torn_beginning_never_raises(tmp_path: Path) -> None:
    """A journal without its first line is kept aside, and the mask beside it is taken."""
    folder = tmp_path / "whole"
    labelling = open_labelling(NERVE, folder, labels=THEIRS)
    labelling.apply(STEPS[0])
    crash(labelling)
    content = (folder / "journal.jsonl").read_bytes()
    for cut in (0, 1, 40, content.index(b"\n")):
        torn = shutil.copytree(folder, tmp_path / str(cut))
        (torn / "journal.jsonl").write_bytes(content[:cut])
        with pytest.warns(UserWarning, match="does not follow"):
            labelling = open_labelling(NERVE, torn)
        np.testing.assert_array_equal(labelling.labels, THEIRS)
        assert kept_aside(torn)[0].read_bytes() == content[:cut]


def test_crash_in_the_middle_of_a_write(folder: Path) -> None:
    """A kernel that dies while it writes several lines leaves those that are whole."""
    labelling = open_labelling(NERVE, folder)
    with full_disk(labelling, "takes a part"):
        for step in STEPS:
            labelling.apply(step)
    labelling = reopen(labelling)
    states = [painted(BLANK, *STEPS[:number]) for number in range(4)]
    assert any(np.array_equal(labelling.labels, state) for state in states)
    assert kept_aside(folder) == []


def spoil_pixels(line: bytes) -> bytes:
    """Damage the packed pixels of an entry, and nothing else."""
    entry = json.loads(line)
    packed = bytearray(base64.b64decode(entry["values"]))
    packed[-1] ^= 0xFF
    return json.dumps(entry | {"values": base64.b64encode(packed).decode()}).encode()


def with_entry(**changes: Any) -> Callable[[bytes], bytes]:
    """Return a function that changes the numbers of an entry."""
    return lambda line: json.dumps(json.loads(line) | changes).encode()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda line: b"",
    "zeros, as after a power cut": lambda line: bytes(len(line)),
    "noise": lambda line: bytes(range(128, 255)),
    "half": lambda line: line[: len(line) // 2],
    "first byte": lambda line: b"x" + line[1:],
    "last byte": lambda line: line[:-1] + b"x",
    "carriage return within": lambda line: line.replace(b", ", b",\r{", 1),
    "a list": lambda line: b"[1, 2]",
    "a number": lambda line: b"7",
    "a word": lambda line: b'"mask"',
    "nothing in it": lambda line: b"{}",
    "null": lambda line: b"null",
    "pixels damaged": spoil_pixels,
    "pixels not base64": with_entry(values="~~~"),
    "pixels not ASCII": with_entry(values="µm"),
    "pixels a number": with_entry(values=3),
    "pixels null": with_entry(values=None),
    "outside the image": with_entry(row=100),
    "negative": with_entry(row=-1),
    "too wide": with_entry(width=13),
    "height null": with_entry(height=None),
    "height infinite": with_entry(height=float("inf")),
    "height astronomic": with_entry(height=10**30),
    "row infinite": with_entry(row=float("inf")),
    "nested too deeply": lambda line: b"[" * 200_000,
}


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_costs_that_edit_only(folder: Path, damage: str) -> None:
    """All other edits are restored; the warning names the line, the journal is kept aside."""
    labelling = open_labelling(NERVE, folder, labels=THEIRS)
    for step in STEPS:
        labelling.apply(step)
    crash(labelling)
    path = folder / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[2] = DAMAGE[damage](lines[2])
    path.write_bytes(b"\n".join(lines))
    with pytest.warns(UserWarning, match=r"lines \[3\] are damaged") as told:
        labelling = open_labelling(NERVE, folder)
    expected = painted(THEIRS, STEPS[0], STEPS[2])
    np.testing.assert_array_equal(labelling.labels, expected)
    (aside,) = kept_aside(folder)
    assert aside.read_bytes() == b"\n".join(lines)
    assert str(aside) in str(told[0].message)
    assert Path(told[0].filename) == Path(__file__), "the warning points at the caller"
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, expected)


@pytest.mark.parametrize("how", ["crash", "warnings are errors"])
def test_what_a_damaged_journal_gave_is_not_lost_while_opening(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """An opening cut off before the mask is written leaves the good lines to the next one."""
    labelling = open_labelling(NERVE, folder)
    for step in STEPS:
        labelling.apply(step)
    crash(labelling)
    path = folder / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[2] = b"damaged"
    path.write_bytes(b"\n".join(lines))
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore" if how == "crash" else "error")
        if how == "crash":
            patch.setattr(autosave, "write_labels", raiser(Crash()))
        with suppress(Crash, UserWarning):
            open_labelling(NERVE, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labelling = open_labelling(NERVE, folder)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, STEPS[0], STEPS[2]))


def test_a_damaged_marker_is_told(folder: Path) -> None:
    """Where the line of the mask itself is damaged, the edits after it are kept aside, at least."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    labelling.save()
    labelling.apply(STEPS[1])
    crash(labelling)
    path = folder / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[2] = b"damaged"
    path.write_bytes(b"\n".join(lines))
    with pytest.warns(UserWarning, match=r"kept as .*journal\.damaged-"):
        labelling = open_labelling(NERVE, folder)
    np.testing.assert_array_equal(
        labelling.labels[STEPS[0].box], painted(BLANK, STEPS[0])[STEPS[0].box]
    )
    assert kept_aside(folder)[0].read_bytes() == b"\n".join(lines)


def test_journals_kept_aside_are_all_kept(folder: Path) -> None:
    """Several damaged journals within one second do not replace each other."""
    for number in range(3):
        crash(open_labelling(NERVE, folder))
        (folder / "journal.jsonl").write_text(f"damaged {number}\n")
        with pytest.warns(UserWarning, match="kept as"):
            crash(open_labelling(NERVE, folder))
    assert {path.read_text() for path in kept_aside(folder)} == {
        f"damaged {number}\n" for number in range(3)
    }


# Somebody else's masks


def test_somebody_elses_mask_is_not_overwritten(folder: Path) -> None:
    """A mask changed by others while open is a conflict; theirs stays until we decide."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    theirs = put_theirs(labelling.path)
    for _ in range(2):
        status = labelling.save()
        assert status.kind == "conflict"
        assert str(labelling.path) in status.text
        assert "changed by somebody else" in status.text
        assert labelling.path.read_bytes() == theirs
    labelling.apply(STEPS[1])
    assert labelling.save(overwrite=True).kind == "saved"
    (kept,) = folder.glob("labels.theirs-*.png")
    assert kept.read_bytes() == theirs
    ours = painted(BLANK, *STEPS[:2])
    np.testing.assert_array_equal(read_labels(labelling.path), ours)
    assert labelling.save().kind == "saved"
    put_theirs(labelling.path, THEIRS[:, ::-1].copy())
    labelling.save(overwrite=True)
    assert len(list(folder.glob("labels.theirs-*.png"))) == 2
    assert kept.read_bytes() == theirs
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, ours)


def test_theirs_is_taken_and_can_be_taken_back(folder: Path) -> None:
    """Taking their mask is an edit like any other."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    put_theirs(labelling.path)
    assert labelling.save().kind == "conflict"
    assert labelling.take_theirs().kind == "saved"
    np.testing.assert_array_equal(labelling.labels, THEIRS)
    np.testing.assert_array_equal(read_labels(labelling.path), THEIRS)
    labelling.undo()
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, STEPS[0]))
    assert labelling.save().kind == "saved"
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, STEPS[0]))


def test_theirs_must_fit(folder: Path) -> None:
    """A mask of another size, or none at all, cannot be taken, and stays where it is."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    theirs = put_theirs(labelling.path, np.zeros((5, 5), np.uint8))
    with pytest.raises(ValueError, match=r"\(5, 5\).*\(8, 12\)"):
        labelling.take_theirs()
    labelling.path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"labels\.png"):
        labelling.take_theirs()
    labelling.path.write_bytes(theirs)
    assert labelling.save().kind == "conflict"
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, STEPS[0]))
    assert labelling.path.read_bytes() == theirs
    assert labelling.save(overwrite=True).kind == "saved"
    assert next(folder.glob("labels.theirs-*.png")).read_bytes() == theirs


def test_a_mask_that_was_deleted_is_written_again(folder: Path) -> None:
    """No file is no conflict."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    labelling.path.unlink()
    assert labelling.save().kind == "saved"
    np.testing.assert_array_equal(read_labels(labelling.path), labelling.labels)


@pytest.mark.parametrize("error", [Crash(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("write", ["write_labels", "Journal.append"])
def test_keeping_ours_cut_off_leaves_a_mask(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write: str, error: BaseException
) -> None:
    """If ours cannot be written over theirs, theirs is still there, under its name."""
    labelling = open_labelling(NERVE, folder, labels=np.zeros(SHAPE, np.uint8))
    theirs = put_theirs(labelling.path)
    with monkeypatch.context() as patch, suppress(Crash):
        patch.setattr(f"axonlab.autosave.{write}", raiser(error))
        labelling.save(overwrite=True)
    assert labelling.path.exists()
    assert labelling.path.read_bytes() == theirs


@pytest.mark.parametrize("end", [crash, SavedLabelling.close])
def test_a_mask_changed_while_closed_is_taken(
    folder: Path, end: Callable[[SavedLabelling], None]
) -> None:
    """Theirs counts; edits that do not follow on it are kept aside, with a warning."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    end(labelling)
    journal = (folder / "journal.jsonl").read_bytes()
    put_theirs(labelling.path)
    with pytest.warns(UserWarning, match=r"does not follow on the mask.*kept as"):
        labelling = open_labelling(NERVE, folder)
    np.testing.assert_array_equal(labelling.labels, THEIRS)
    assert not labelling.can_undo
    assert [path.read_bytes() for path in kept_aside(folder)] == [journal]
    assert labelling.save().kind == "saved"
    labelling.apply(STEPS[1])
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, painted(THEIRS, STEPS[1]))


def test_an_unsolved_conflict_loses_nothing_on_close(folder: Path) -> None:
    """Who closes without a decision finds theirs again, and the own edits aside."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    theirs = put_theirs(labelling.path)
    labelling.close()
    assert labelling.path.read_bytes() == theirs
    with pytest.warns(UserWarning, match="kept as"):
        labelling = open_labelling(NERVE, folder)
    np.testing.assert_array_equal(labelling.labels, THEIRS)
    (aside,) = kept_aside(folder)
    entry = json.loads(aside.read_bytes().splitlines()[1])
    values = Patch.unpack(entry, base64.b64decode(entry["values"]), THEIRS.shape).values
    np.testing.assert_array_equal(values, STEPS[0].values)


def test_ours_lie_beside_theirs_until_somebody_decides(folder: Path) -> None:
    """During a conflict our labels are in a mask of their own, also after a crash."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    put_theirs(labelling.path)
    assert labelling.save().kind == "conflict"
    labelling.apply(STEPS[1])
    assert labelling.save().kind == "conflict"
    (mine,) = folder.glob("labels.mine-*.png")
    assert mine.name in labelling.status.text
    np.testing.assert_array_equal(read_labels(mine), painted(BLANK, *STEPS[:2]))
    crash(labelling)
    with pytest.warns(UserWarning, match="kept as"):
        labelling = open_labelling(NERVE, folder)
    np.testing.assert_array_equal(read_labels(mine), painted(BLANK, *STEPS[:2]))


@pytest.mark.parametrize("decide", ["ours", "theirs"])
def test_a_decision_tidies_up(folder: Path, decide: str) -> None:
    """Once decided, the mask beside theirs is of no use."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    put_theirs(labelling.path)
    labelling.save()
    status = labelling.save(overwrite=True) if decide == "ours" else labelling.take_theirs()
    assert status.kind == "saved"
    assert not list(folder.glob("labels.mine-*.png"))


def test_a_mask_that_was_only_touched_is_no_conflict(folder: Path) -> None:
    """Backups and shares change times, not labels."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    labelling.save()
    os.utime(labelling.path, (1, 1))
    labelling.apply(STEPS[1])
    assert labelling.save().kind == "saved"


def test_a_moved_folder_is_noticed(folder: Path, tmp_path: Path) -> None:
    """The labels go to a folder made anew at the old place, not half to either."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    folder.rename(tmp_path / "moved")
    labelling.apply(STEPS[1])
    assert labelling.status.kind == "failed"
    assert labelling.save().kind == "saved"
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, *STEPS[:2]))


def test_a_corrected_pixel_size_is_written(folder: Path) -> None:
    """Who opens the folder again with the right pixel size finds it there."""
    labelling = open_labelling(NERVE, folder)
    assert open_labelling(replace(NERVE, pixel_size=0.2), folder) is labelling
    assert labelling.micrograph.pixel_size == 0.2
    assert json.loads((folder / "image.json").read_text())["pixel_size_um"] == 0.2


def test_a_mask_of_another_shape_is_refused(folder: Path) -> None:
    """The error names both shapes; nothing is touched, and the folder is not left locked."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    good = labelling.path.read_bytes()
    crash(labelling)
    wrong = put_theirs(labelling.path, np.zeros((4, 6), np.uint8))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for _ in range(2):
        with pytest.raises(ValueError, match=r"\(4, 6\).*\(8, 12\).*export"):
            open_labelling(NERVE, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert labelling.path.read_bytes() == wrong
    labelling.path.write_bytes(good)
    labelling = open_labelling(NERVE, folder)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, STEPS[0]))


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_broken_mask_is_refused(folder: Path, content: bytes | None) -> None:
    """An unreadable mask is an error that names the file, and stays for whoever can mend it."""
    labelling = open_labelling(NERVE, folder, labels=THEIRS)
    labelling.apply(STEPS[0])
    good = labelling.path.read_bytes()
    crash(labelling)
    content = good[: len(good) // 2] if content is None else content
    labelling.path.write_bytes(content)
    journal = (folder / "journal.jsonl").read_bytes()
    with pytest.raises(ValueError, match=r"labels\.png"):
        open_labelling(NERVE, folder)
    assert labelling.path.read_bytes() == content
    assert (folder / "journal.jsonl").read_bytes() == journal
    labelling.path.write_bytes(good)
    np.testing.assert_array_equal(open_labelling(NERVE, folder).labels, painted(THEIRS, STEPS[0]))


@pytest.mark.parametrize(
    "identity", [None, "", "no JSON", "[]", "3", "{}", '{"image": "nerve"}', b"\xff\xfe"]
)
def test_a_mask_not_made_here_is_refused(folder: Path, identity: str | bytes | None) -> None:
    """A ``labels.png`` without the identity of its image is not ours to write to."""
    folder.mkdir(parents=True)
    theirs = put_theirs(folder / "labels.png")
    if identity is not None:
        content = identity if isinstance(identity, bytes) else identity.encode()
        (folder / "image.json").write_bytes(content)
    for labels in (None, BLANK):
        with pytest.raises(ValueError, match=r"left alone.*labels=read_labels"):
            open_labelling(NERVE, folder, labels=labels)
    assert (folder / "labels.png").read_bytes() == theirs
    assert {path.name for path in folder.iterdir()} <= {"labels.png", "image.json", ".lock"}


def test_labels_of_another_image_are_refused(folder: Path) -> None:
    """The error names both images, whether the folder is open or not; nothing is changed."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    with pytest.raises(ValueError, match=r"'nerve', not of this 'other nerve'.*another folder"):
        open_labelling(OTHER, folder)
    assert labelling.micrograph is NERVE
    crash(labelling)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"'nerve', not of this 'other nerve'"):
        open_labelling(OTHER, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    np.testing.assert_array_equal(open_labelling(NERVE, folder).labels, painted(BLANK, STEPS[0]))


def test_names_in_any_script_are_read_back_in_any_locale(folder: Path) -> None:
    """The image's name is UTF-8 on disk, whatever the locale makes of it."""
    micrograph = Micrograph(NERVE.pixels, pixel_size=0.1, name="坐骨神経 µ")
    crash(open_labelling(micrograph, folder))
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder)],
        input="\n",
        env={**os.environ, **plain},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "open\n", result.stderr


# Full and read-only disks


def raiser(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises."""

    def fail(*args: Any, **options: Any) -> Any:
        raise error

    return fail


class FullDisk:
    """A file on a disk that is full."""

    def __init__(self, file: Any, how: str) -> None:
        self.file = file
        self.how = how

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def truncate(self, size: int) -> int:
        """Cut the file, if the disk can still be written to."""
        if self.how == "cannot be cut":
            raise OSError(errno.EROFS, "Read-only file system")
        return self.file.truncate(size)

    def write(self, content: bytes) -> int:
        """Write nothing, or a part, or everything before the disk notices."""
        if self.how == "takes a part":
            return self.file.write(content[: len(content) // 2])
        if self.how == "takes a part and fails":
            self.file.write(content[: len(content) // 2])
        if self.how != "fails when asked":
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(content)


@contextmanager
def full_disk(labelling: SavedLabelling, how: str) -> Iterator[None]:
    """Let the disk below a journal be full for a while."""
    journal = labelling._journal
    file = journal._file
    with pytest.MonkeyPatch.context() as patch:
        if how == "fails when asked":
            patch.setattr(os, "fsync", raiser(OSError(errno.ENOSPC, "No space left on device")))
        patch.setattr(autosave, "write_labels", raiser(OSError(errno.ENOSPC, "No space left")))
        patch.setattr(journal, "_file", FullDisk(file, how))
        yield


FAILURES = ["refuses", "takes a part", "takes a part and fails", "fails when asked"]
FAILURES += ["cannot be cut"]


@pytest.mark.parametrize("then", ["edit", "undo", "save", "close"])
@pytest.mark.parametrize("how", FAILURES)
def test_a_full_disk_loses_nothing(folder: Path, how: str, then: str) -> None:
    """Edits stay in memory, people are told, and the next write that works takes them all."""
    labelling = open_labelling(NERVE, folder)
    told: list[autosave.Status] = []
    labelling.status_listeners.append(told.append)
    labelling.apply(STEPS[0])
    with full_disk(labelling, how):
        for number in (1, 2):
            assert labelling.apply(STEPS[number])
            assert labelling.status.kind == "failed"
            np.testing.assert_array_equal(labelling.labels, painted(BLANK, *STEPS[: number + 1]))
        assert labelling.save().kind == "failed"
    assert [status.kind for status in told] == ["journal", "failed", "failed", "failed"]
    assert str(folder) in told[1].text
    assert "stay in memory" in told[1].text
    assert "free some space, or make the folder writable" in told[1].text
    if then == "edit":
        labelling.apply(dot(4, 0, 1))
        assert labelling.status.kind == "journal"
    elif then == "undo":
        labelling.undo()
        assert labelling.status.kind == "journal"
    elif then == "save":
        assert labelling.save().kind == "saved"
    expected = labelling.labels.copy()
    if then == "close":
        labelling.close()
        labelling = open_labelling(NERVE, folder)
    else:
        labelling = reopen(labelling)
        if then != "save":
            np.testing.assert_array_equal(undo_all(labelling), BLANK)
            labelling = reopen(labelling)
            np.testing.assert_array_equal(labelling.labels, BLANK)
            return
    np.testing.assert_array_equal(labelling.labels, expected)


@pytest.mark.parametrize("how", FAILURES)
def test_a_crash_on_a_full_disk_keeps_what_was_on_it(folder: Path, how: str) -> None:
    """What was safe before the disk was full is safe, and the journal is whole or torn."""
    labelling = open_labelling(NERVE, folder)
    labelling.apply(STEPS[0])
    with full_disk(labelling, how):
        labelling.apply(STEPS[1])
        labelling.apply(STEPS[2])
    labelling = reopen(labelling)
    states = [painted(BLANK, *STEPS[:number]) for number in (1, 2, 3)]
    assert any(np.array_equal(labelling.labels, state) for state in states)
    assert kept_aside(folder) == []


def test_closing_on_a_full_disk_can_be_tried_again(folder: Path) -> None:
    """What waits for the disk does not go with a close that could not write it."""
    labelling = open_labelling(NERVE, folder)
    with full_disk(labelling, "refuses"):
        labelling.apply(STEPS[0])
        with suppress(OSError):
            labelling.close()
    with suppress(ValueError):
        labelling.close()
    labelling = open_labelling(NERVE, folder)
    np.testing.assert_array_equal(labelling.labels, painted(BLANK, STEPS[0]))


def test_a_folder_that_vanished_is_not_called_safe(folder: Path) -> None:
    """Where the journal is gone from the disk, no edit is said to be kept in it."""
    labelling = open_labelling(NERVE, folder)
    shutil.rmtree(folder)
    labelling.apply(STEPS[0])
    crash(labelling)
    if labelling.status.kind == "journal":
        again = open_labelling(NERVE, folder)
        np.testing.assert_array_equal(again.labels, labelling.labels)


def test_a_folder_that_vanished_is_made_anew(folder: Path) -> None:
    """What is saved into a folder that was deleted meanwhile can be opened again."""
    labelling = open_labelling(NERVE, folder)
    shutil.rmtree(folder)
    labelling.apply(STEPS[0])
    assert labelling.save().kind == "saved"
    crash(labelling)
    again = open_labelling(NERVE, folder)
    np.testing.assert_array_equal(again.labels, labelling.labels)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """A file in the way is an error that names it, and is left alone."""
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"file.*no labels can be kept there.*Choose a folder"):
            open_labelling(NERVE, folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_written_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only folder is an error that says so; later it can be opened."""
    read_only = OSError(errno.EROFS, "Read-only file system")
    with monkeypatch.context() as patch:
        patch.setattr(autosave.FileLock, "acquire", raiser(read_only))
        with pytest.raises(OSError, match=r"01_labels.*Read-only file system.*Choose a folder"):
            open_labelling(NERVE, folder)
    for write in ("write_json", "write_labels", "write_bytes"):
        with monkeypatch.context() as patch:
            patch.setattr(autosave, write, raiser(read_only))
            with pytest.raises(OSError, match="Read-only file system"):
                open_labelling(NERVE, folder)
    open_labelling(NERVE, folder)


# Saving by itself, and closing


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for another thread."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_the_mask_is_written_after_a_pause(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some time after the last edit the mask is on disk, and people are told."""
    monkeypatch.setattr(autosave, "PAUSE_S", 0.05)
    labelling = open_labelling(NERVE, folder)
    told: list[str] = []
    labelling.status_listeners.append(lambda status: told.append(status.kind))
    for number, step in enumerate(STEPS, start=1):
        labelling.apply(step)
        wait_until(lambda: labelling.status.kind == "saved")
        np.testing.assert_array_equal(read_labels(labelling.path), painted(BLANK, *STEPS[:number]))
    assert told == ["journal", "saved"] * 3
    theirs = put_theirs(labelling.path)
    labelling.undo()
    wait_until(lambda: labelling.status.kind == "conflict")
    assert labelling.path.read_bytes() == theirs


def test_only_the_last_edit_starts_a_pause(folder: Path) -> None:
    """While edits follow each other, at most one thread waits to save."""
    labelling = open_labelling(NERVE, folder)
    before = threading.active_count()
    for number in range(30):
        labelling.apply(dot(0, 0, number % 3))
    wait_until(lambda: threading.active_count() <= before + 1)
    labelling._stop_timer()
    wait_until(lambda: threading.active_count() <= before)


def test_painting_while_it_saves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits made while the mask is written, by several threads, are neither lost nor doubled."""
    monkeypatch.setattr(autosave, "PAUSE_S", 0.001)
    labelling = open_labelling(NERVE, folder)
    problems: list[BaseException] = []

    def paint(row: int) -> None:
        try:
            for number in range(40):
                labelling.apply(Patch(row, number % 12, np.full((2, 1), number % 4, np.uint8)))
                if number % 8 == 7:
                    labelling.save()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=paint, args=(row,)) for row in (0, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    monkeypatch.setattr(autosave, "PAUSE_S", 1000.0)
    wait_until(lambda: labelling.status.kind == "saved")
    labelling.apply(dot(7, 7, 3))
    expected = labelling.labels.copy()
    labelling = reopen(labelling)
    np.testing.assert_array_equal(labelling.labels, expected)
    assert labelling.undo()


def test_closing_saves(folder: Path) -> None:
    """After a close the mask holds everything, and opening gives a new labelling."""
    labelling = open_labelling(NERVE, folder)
    for step in STEPS:
        labelling.apply(step)
    before = threading.active_count()
    labelling.close()
    np.testing.assert_array_equal(read_labels(labelling.path), painted(BLANK, *STEPS))
    wait_until(lambda: threading.active_count() < before)
    again = open_labelling(NERVE, folder)
    assert again is not labelling
    assert not again.can_undo
    assert list(folder.glob(".*.part")) == []


def test_closing_twice_is_harmless(folder: Path) -> None:
    """A cell that closes may run twice; the second time touches nothing."""
    labelling = open_labelling(NERVE, folder)
    labelling.close()
    again = open_labelling(NERVE, folder)
    labelling.close()
    assert open_labelling(NERVE, folder) is again


def test_saving_after_closing_touches_nothing(folder: Path) -> None:
    """A save that comes late, such as a timer's, neither fails nor writes into a closed folder."""
    labelling = open_labelling(NERVE, folder)
    labelling.close()
    content, stat = labelling.path.read_bytes(), labelling.path.stat()
    labelling.save()
    assert labelling.path.read_bytes() == content
    assert labelling.path.stat().st_mtime_ns == stat.st_mtime_ns


def test_edits_after_closing_are_not_called_safe(folder: Path) -> None:
    """An edit to a closed labelling is refused, or at least not said to be on disk."""
    labelling = open_labelling(NERVE, folder)
    labelling.close()
    try:
        labelling.apply(STEPS[0])
    except (ValueError, OSError):
        return
    assert labelling.status.kind == "failed"


def test_a_stroke_on_a_large_image_writes_little(folder: Path) -> None:
    """The journal grows by the stroke, not by the image."""
    micrograph = Micrograph(np.zeros((2000, 2000), np.float32), pixel_size=0.1)
    labelling = open_labelling(micrograph, folder)
    path = folder / "journal.jsonl"
    size, mask = path.stat().st_size, labelling.path.stat()
    y, x = np.ogrid[:80, :80]
    disc = np.where((y - 40) ** 2 + (x - 40) ** 2 < 1600, 2, 254).astype(np.uint8)
    for number in range(10):
        labelling.apply(Patch(150 * number, 150 * number, disc))
        labelling.undo()
    assert path.stat().st_size - size < 20 * 3000
    assert labelling.path.stat() == mask
