"""A labelling that lives in a folder: every edit is on disk before the next one is made."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
import time
import warnings
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary, finalize

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from axonlab.io import read_labels, write_bytes, write_json, write_labels
from axonlab.labelling import Labelling, Patch
from axonlab.micrograph import Micrograph

PAUSE_S = 2.0
"""Seconds without an edit after which the labels are written as a whole."""

_OPEN: WeakValueDictionary[Path, SavedLabelling] = WeakValueDictionary()


class Status(NamedTuple):
    """How safe the labels are."""

    kind: str
    """``journal`` (a crash would not hurt), ``saved`` (the mask, too), ``failed``, ``conflict``."""

    text: str
    """For people: what happened and what to do."""


def open_labelling(
    micrograph: Micrograph, folder: str | Path, *, labels: NDArray[np.uint8] | None = None
) -> SavedLabelling:
    """Begin a labelling in a folder, or go on with the one that is there.

    Opening a folder twice in one kernel gives the same object, with its history.

    Parameters
    ----------
    micrograph : Micrograph
    folder : path
        ``runs/<name>/01_labels``: of this labelling alone. It gets ``labels.png`` (class ids),
        ``journal.jsonl`` (the edits since) and ``image.json`` (which image it belongs to).
    labels : (H, W) uint8 array, optional
        Class ids to begin with where the folder holds none yet.

    Returns
    -------
    SavedLabelling

    Raises
    ------
    ValueError
        If the folder holds labels of another image or a mask that was not made here, or `labels`
        do not fit the image.
    BlockingIOError
        If another kernel has the folder open.
    OSError
        If the folder cannot be written to.

    Warns
    -----
    UserWarning
        If the journal was damaged; what could be read is restored, the rest kept aside.
    """
    folder = Path(folder).resolve()
    labelling = _OPEN.get(folder)
    if labelling is None:
        labelling = _OPEN[folder] = SavedLabelling(micrograph, folder, labels)
    else:
        check_image(labelling.path, micrograph)
        labelling.micrograph = micrograph  # the pixel size may have been corrected
        write_json(folder / "image.json", _identity(micrograph), overwrite=True)
    return labelling


class SavedLabelling(Labelling):
    """A labelling whose edits go to a journal at once, and to ``labels.png`` after a pause.

    A crash of the kernel or the machine costs the stroke in progress. What cannot be written stays
    in memory, is told to `status_listeners`, and is written with the next edit or `save`.
    Use `open_labelling`.
    """

    def __init__(
        self, micrograph: Micrograph, folder: Path, labels: NDArray[np.uint8] | None
    ) -> None:
        self.folder = folder
        self.path = folder / "labels.png"
        self._journal_path = folder / "journal.jsonl"
        self.status_listeners: list[Callable[[Status], None]] = []
        """Called with every new `Status`, after a pause from a thread of its own."""
        self._timer: threading.Timer | None = None
        self._mine: Path | None = None  # our labels, while somebody else's are in their place
        self._saving = threading.RLock()  # who is told of a save may save
        self._is_open = True
        self._lock_file = _lock(folder)
        try:
            if self.path.exists():
                check_image(self.path, micrograph)
                labels = read_labels(self.path)
            super().__init__(micrograph, labels)
            problem = self._restore()
            self._write_all()
            if problem:
                warnings.warn(problem, stacklevel=3)
            self._begin()
        except BaseException:
            self._lock_file.release()
            raise
        self.listeners.append(self._keep)

    def save(self, *, overwrite: bool = False) -> Status:
        """Write ``labels.png`` now.

        Parameters
        ----------
        overwrite : bool
            Replace a ``labels.png`` that somebody else has changed meanwhile; theirs is kept
            beside it as ``labels.theirs-<time>.png``.

        Returns
        -------
        Status
            ``conflict`` if somebody else has changed the file and `overwrite` is false.
        """
        with self._saving:
            if self._is_open:
                self._tell(self._save(overwrite))
            return self.status

    def take_theirs(self) -> Status:
        """Replace the labels by those somebody else has written to the folder; can be undone.

        Raises
        ------
        ValueError
            If their file is no mask of this image.
        """
        with self._saving:
            signature, theirs = _signature(self.path), read_labels(self.path)
            self.replace(theirs)
            self._signature, self._digest = signature, digest(theirs)
            return self.save()

    def close(self) -> None:
        """Save, and let another kernel open the folder; edits made later are not kept.

        Raises
        ------
        OSError
            If the labels could not be written: the labelling then stays open.
        """
        with self._saving, self.lock:
            if not self._is_open:
                return
            if self.save().kind == "failed":
                raise OSError(self.status.text)
            self._is_open = False
            self._stop_timer()
            self._journal.close()
            self._lock_file.release()
            _OPEN.pop(self.folder, None)

    def _restore(self) -> str:
        """Make the edits that the journal holds beyond the mask; they can be undone.

        Returns what was wrong with the journal.
        """
        path = self._journal_path
        problem = replay(path, self) if path.exists() else ""
        if problem:
            aside = write_bytes(_dated(path, "damaged"), path.read_bytes())
            problem += f" The journal is kept as {aside}."
        return problem

    def _write_all(self) -> None:
        """Write the labels as they are; cut off at any moment, journal and mask still fit."""
        write_json(self.folder / "image.json", _identity(self.micrograph), overwrite=True)
        before = self._journal_path.read_bytes() if self._journal_path.exists() else b""
        whole = before[: before.rfind(b"\n") + 1]
        write_bytes(self._journal_path, whole + _mark(self.labels), overwrite=True)
        write_labels(self.path, self.labels, overwrite=True)

    def _begin(self) -> None:
        """Begin an empty journal that follows on the mask just written."""
        self._remember(self.labels)
        self._journal = Journal(self._journal_path, self.labels)
        self.status = Status("saved", f"saved {_clock()}")

    def _keep(self, patch: Patch) -> None:
        if not self._is_open:
            text = f"Not kept: {self.folder} was closed. Run the cell that opens it again."
            return self._tell(Status("failed", text))
        place, packed = patch.pack()
        entry = place | {"values": base64.b64encode(packed).decode("ascii")}
        try:
            self._journal.append(_line(entry))
            if self.status.kind != "conflict":
                self._tell(Status("journal", f"stroke kept {_clock()}"))
        except OSError as error:
            self._tell(_failed(self.folder, error))
        self._stop_timer()
        self._timer = threading.Timer(PAUSE_S, self.save)
        self._timer.daemon = True
        self._timer.start()

    def _save(self, overwrite: bool) -> Status:
        try:
            if self._journal.is_gone():  # somebody has deleted the folder
                with self.lock:
                    self._journal.close()
                    self._write_all()
                    self._begin()
                return self.status
            with self.lock:
                labels = self.labels.copy()
            if self._is_theirs():
                if not overwrite:
                    return self._conflict(labels)
                write_bytes(_dated(self.path, "theirs"), self.path.read_bytes())
            with self.lock:
                labels = self.labels.copy()
                self._journal.append(_mark(labels))
            write_labels(self.path, labels, overwrite=True)
            self._remember(labels)
        except OSError as error:
            return _failed(self.folder, error)
        return Status("saved", f"saved {_clock()}")

    def _is_theirs(self) -> bool:
        """Tell whether the mask on disk is another than the one written last."""
        if not self.path.exists() or _signature(self.path) == self._signature:
            return False
        try:
            there = digest(read_labels(self.path))
        except ValueError:
            return True
        if there == self._digest:  # touched, by a backup or a share
            self._signature = _signature(self.path)
        return there != self._digest

    def _conflict(self, labels: NDArray[np.uint8]) -> Status:
        """Write our labels beside theirs, until somebody decides."""
        self._mine = self._mine or _dated(self.path, "mine")
        write_labels(self._mine, labels, overwrite=True)
        return Status(
            "conflict",
            f"{self.path} was changed by somebody else; yours are in {self._mine.name}. Keep "
            "yours (theirs stays beside it) or take theirs (can be undone)?",
        )

    def _remember(self, labels: NDArray[np.uint8]) -> None:
        """Note what the mask on disk is now: ours."""
        self._signature, self._digest = _signature(self.path), digest(labels)
        if self._mine:
            self._mine.unlink(missing_ok=True)
            self._mine = None

    def _tell(self, status: Status) -> None:
        self.status = status
        for listener in tuple(self.status_listeners):
            listener(status)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()


class Journal:
    """A file of one JSON line per edit, each safely on disk before `append` returns.

    Parameters
    ----------
    path : path
        Written anew.
    labels : (H, W) uint8 array
        What the mask on disk holds; the edits follow on it.
    """

    def __init__(self, path: Path, labels: NDArray[np.uint8]) -> None:
        write_bytes(path, _mark(labels), overwrite=True)
        self._path = path
        self._file = path.open("r+b", buffering=0)
        # who forgets a labelling does not close it; at the end of Python, a save may still come
        finalize(self, self._file.close).atexit = False
        self._end = self._file.seek(0, os.SEEK_END)
        self._waiting = b""

    def append(self, line: bytes) -> None:
        """Write a line, and those that could not be written before.

        Raises
        ------
        OSError
            If the disk is full, or the file closed or gone; the line waits for the next call.
        """
        self._waiting += line
        if self.is_gone():
            raise OSError("its journal was closed or deleted")
        # a write that failed half-way has left its beginning there
        self._file.truncate(self._end)
        self._file.seek(self._end)
        if self._file.write(self._waiting) != len(self._waiting):
            raise OSError("the disk took only a part; it may be full")
        os.fsync(self._file.fileno())
        self._end += len(self._waiting)
        self._waiting = b""

    def is_gone(self) -> bool:
        """Tell whether nobody could find what is written: the file was closed, moved or deleted."""
        if self._file.closed or not self._path.exists():
            return True
        return not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def replay(path: Path, labelling: Labelling) -> str:
    """Make the edits of a journal that follow on the labels as they are.

    Every edit says what its pixels become, so a damaged line costs that edit and no other.

    Returns
    -------
    str
        What was wrong with the journal; empty if nothing was, or only the last line is torn, as
        a crash leaves it.
    """
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line end is torn
    mask = digest(labelling.labels).encode()
    starts = [number for number, line in enumerate(lines, start=1) if mask in line]
    if not starts:
        return f"{path} does not follow on the mask beside it, which was changed since."
    damaged = []
    for number, line in enumerate(lines[starts[-1] :], start=starts[-1] + 1):
        try:
            entry = json.loads(line)
            if not (isinstance(entry, dict) and "mask" in entry):
                packed = base64.b64decode(entry["values"], validate=True)
                labelling.apply(Patch.unpack(entry, packed, labelling.labels.shape))
        except (ValueError, KeyError, TypeError, RecursionError):
            damaged.append(number)
    if damaged:
        return f"{path}: the edits in lines {damaged} are damaged and lost, all others restored."
    return ""


def digest(array: NDArray[np.generic]) -> str:
    """Return the SHA-256 of labels or grey values."""
    return hashlib.sha256(array.tobytes()).hexdigest()


def _lock(folder: Path) -> FileLock:
    """Return the lock that this process now holds on a folder; it ends with the process."""
    lock = FileLock(folder / ".lock", timeout=0, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise BlockingIOError(
            f"{folder} is open in another kernel. Shut that kernel down (or call close() on the "
            "labelling there), or choose another folder."
        ) from error
    except OSError as error:
        raise OSError(
            f"{folder}: no labels can be kept there ({error}). Choose a folder that can be "
            "written to."
        ) from error
    return lock


def _identity(micrograph: Micrograph) -> dict[str, Any]:
    return {
        "image": micrograph.name,
        "shape": list(micrograph.pixels.shape),
        "pixel_size_um": micrograph.pixel_size,
        "pixels_sha256": micrograph.sha256,
    }


def check_image(path: Path, micrograph: Micrograph) -> None:
    """Raise ValueError unless a mask was made here, and of this image."""
    try:
        there = json.loads(path.with_name("image.json").read_text("utf-8"))
        known, name = (there["shape"], there["pixels_sha256"]), there["image"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} was not made by a labelling: it is left alone. Choose another folder, and "
            "pass this mask as labels=read_labels(...) to begin with it."
        ) from error
    own = _identity(micrograph)
    if known != (own["shape"], own["pixels_sha256"]):
        raise ValueError(
            f"{path.parent} holds labels of {name!r}, not of this {micrograph.name!r} (or the "
            "image was changed since). Choose another folder for this image."
        )


def _failed(folder: Path, error: OSError) -> Status:
    return Status(
        "failed",
        f"Not saved in {folder}: {error}. Your strokes stay in memory and go to disk with the "
        "next stroke or Save: free some space, or make the folder writable again.",
    )


def _signature(path: Path) -> tuple[int, int, int]:
    """Return what tells a file from one that was written later."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _dated(path: Path, what: str) -> Path:
    """Return a name beside a file that is not taken: ``labels.theirs-20260131-235959.png``."""
    stem = f"{path.stem}.{what}-{time.strftime('%Y%m%d-%H%M%S')}"
    numbers = chain([""], (f"-{n}" for n in count(2)))
    names = (path.with_name(f"{stem}{number}{path.suffix}") for number in numbers)
    return next(name for name in names if not name.exists())


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _mark(labels: NDArray[np.uint8]) -> bytes:
    """Return the line of a journal after which the edits follow on a mask of these labels."""
    return _line({"format": "axonlab journal 1", "mask": digest(labels)})


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry).encode() + b"\n"
