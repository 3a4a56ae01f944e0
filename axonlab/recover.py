"""Corrections that a crash cannot take away: each is on disk before the next one is made."""

from __future__ import annotations

import base64
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonlab.autosave import Journal, digest
from axonlab.correct import Correction
from axonlab.labelling import compress, decompress


def open_correction(
    labels: NDArray[np.uint8],
    folder: str | Path,
    *,
    pixel_size: float,
    min_axon_diameter: float = 0.0,
    who: str = "",
) -> Correction:
    """Begin to correct a segmentation, or go on where it was left, or lost.

    Every edit is written at once to a journal, ``.FOLDER.edits.jsonl`` beside the folder; masks
    and table are written by `Correction.save`. What a crash, a restart or a closed page left in
    the journal is done again, and saved.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Class ids to begin with, where nothing was saved yet.
    folder : path
        Where `Correction.save` writes to.
    pixel_size, min_axon_diameter, who
        As for `axonlab.correct.Correction`.

    Raises
    ------
    ValueError
        If the journal does not follow on what is saved, or either is damaged.

    Warns
    -----
    UserWarning
        If what is saved began with other labels.
    """
    folder = Path(folder)
    try:
        correction = Correction.open(folder, who=who)
    except FileNotFoundError:  # nothing was saved yet
        correction = Correction(
            labels,
            pixel_size=pixel_size,
            min_axon_diameter=min_axon_diameter,
            who=who,
            folder=folder,
        )
    if correction.origin != digest(labels):
        warnings.warn(
            f"{folder} holds corrections of another segmentation of this image, and they are "
            "what you see. Choose another folder to correct this one.",
            stacklevel=2,
        )
    journal = folder.with_name(f".{folder.name}.edits.jsonl")
    if journal.exists() and _replay(journal, correction):
        correction.save()
    _Keeper(correction, journal)
    return correction


class _Keeper:
    """Listens to a correction and writes its edits down."""

    def __init__(self, correction: Correction, path: Path) -> None:
        self._correction = correction
        self._journal = Journal(path, correction.labels)
        self._written = len(correction.trail)
        correction.listeners.append(self._follow)

    def _follow(self) -> None:
        correction = self._correction
        for index in range(self._written, len(correction.trail)):
            entry = correction.trail[index]
            if entry["details"].get("entry", correction.saved) < correction.saved:
                # what was saved can be taken back here, but not by who opens it again
                correction.save()
            else:
                line = {"index": index, **entry, **self._drawn(entry)}
                self._write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            self._written = index + 1

    def _write(self, line: bytes) -> None:
        try:
            self._journal.append(line)
        except OSError as error:
            raise OSError(
                f"This was done, but is not kept on disk: {error}. If another page or kernel has "
                "opened the same corrections, save these to another folder."
            ) from error

    def _drawn(self, entry: dict[str, Any]) -> dict[str, str]:
        if entry["what"] != "redraw":
            return {}
        values = self._correction.labels[_window(entry)]
        return {"labels": base64.b64encode(compress(values)).decode()}


def _replay(path: Path, correction: Correction) -> bool:
    """Do the edits of a journal that were not saved; return whether there are any."""
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line end is torn
    who, done = correction.who, False
    try:
        started, *entries = map(json.loads, lines)
        if not correction.trail and started["mask"] != digest(correction.labels):
            raise ValueError("they are of another segmentation")
        for entry in entries:
            if entry["index"] >= len(correction.trail):
                correction.who = entry["who"]
                _do(entry, correction)
                done = True
                if len(correction.trail) != entry["index"] + 1:
                    raise ValueError(f"edit {entry['index']} does not follow on the one before")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} does not follow on the corrections beside it ({error}). Move it away to go on "
            "without the edits that it holds."
        ) from error
    correction.who = who
    return done


def _do(entry: dict[str, Any], correction: Correction) -> None:
    what, ids, details = entry["what"], entry["fibre_ids"], entry["details"]
    if what in ("undo", "redo"):
        getattr(correction, what)()
    elif what == "delete":
        correction.delete(ids)
    elif what == "merge":
        correction.merge(ids)
    elif what == "change_class":
        correction.change_class(ids, details["class"])
    elif what == "split":
        correction.split(ids[0], *details["line"])
    elif what == "redraw":
        rows, columns = _window(entry)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        packed = base64.b64decode(entry["labels"], validate=True)
        correction.redraw(rows, columns, decompress(packed, shape))
    else:
        raise ValueError(f"an edit of the unknown kind {what!r}")


def _window(entry: dict[str, Any]) -> tuple[slice, slice]:
    rows, columns = (slice(*entry["details"][side]) for side in ("rows", "columns"))
    return rows, columns
