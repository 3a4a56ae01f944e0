"""Corrections of a segmentation: masks, objects and table change together, and all is recorded."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.bundle import read_bundle, write_bundle
from axonlab.io import (
    read_labels,
    read_objects,
    write_bytes,
    write_labels,
    write_objects,
    write_table,
)
from axonlab.measure import measure_fibres, neighbour_distance
from axonlab.micrograph import CLASSES, check_labels
from axonlab.objects import Box, label_fibres
from axonlab.partition import Change, Objects, Partition, ids_in
from axonlab.remeasure import measure_some

HISTORY_BYTES = 256 << 20
"""Memory for the edits that can be taken back; one of a single fibre takes some kilobytes."""

LEAST_MARGIN = 24
"""Pixels around a fibre that one wants to see of its surroundings, however small it is."""

Point = tuple[float, float]

MANIFEST = "corrections.json"
FORMAT = "axonlab corrections 1"


class Correction:
    """The objects of an image while they are corrected: the one truth behind all views of them.

    Labels, axons, fibres and table are always in step: to label the fibres of `labels` anew gives
    `axons` and `fibres` up to their numbers, to measure them anew gives `table`. Only fibres that
    were merged by hand are several objects of the labels; `merged` names them.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Class ids, 255 for unlabelled; they are copied.
    pixel_size : float
        In µm.
    min_axon_diameter : float
        In µm, see `axonlab.objects.label_fibres`.
    who : str
        Who makes the corrections; stands in the audit trail.
    folder : path, optional
        Where `save` writes.

    Raises
    ------
    ValueError
        If the labels hold unknown ids or the pixel size is absurd.

    Examples
    --------
    >>> labels = np.array([[1, 1, 1, 0, 1, 1], [1, 2, 1, 0, 2, 1], [1, 1, 1, 0, 1, 1]], np.uint8)
    >>> correction = Correction(labels, pixel_size=0.1, who="Ada")
    >>> correction.delete([1])
    []
    >>> correction.table["fibre_id"].tolist()
    [2]
    >>> correction.labels[1]
    array([0, 0, 0, 0, 2, 1], dtype=uint8)
    >>> correction.undo()
    True
    >>> [(entry["who"], entry["what"]) for entry in correction.trail]
    [('Ada', 'delete'), ('Ada', 'undo')]
    """

    def __init__(
        self,
        labels: NDArray[np.uint8],
        *,
        pixel_size: float,
        min_axon_diameter: float = 0.0,
        who: str = "",
        folder: str | Path | None = None,
    ) -> None:
        check_labels(labels, "labels")
        partition = Partition(
            labels.copy(),
            *label_fibres(labels, pixel_size=pixel_size, min_axon_diameter=min_axon_diameter),
            pixel_size=pixel_size,
            min_axon_diameter=min_axon_diameter,
        )
        self._begin(partition, who, folder)
        self._trail: list[dict[str, Any]] = []
        self.origin = hashlib.sha256(partition.labels.tobytes()).hexdigest()
        self._known: dict[Path, dict[str, str]] = {}

    def _begin(self, partition: Partition, who: str, folder: str | Path | None) -> None:
        self.who = who
        self.folder = None if folder is None else Path(folder)
        self._now = partition
        self._table = measure_fibres(
            partition.axons, partition.fibres, pixel_size=partition.pixel_size
        )
        self._done: deque[_Edit] = deque()
        self._undone: deque[_Edit] = deque()
        self.listeners: list[Callable[[], None]] = []
        """Called without arguments after every change."""
        self.saved = 0
        """How many entries of the trail are in the folder."""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Class ids as they are now, (H, W) uint8: a view that cannot be written to."""
        return _read_only(self._now.labels)

    @property
    def axons(self) -> Objects:
        """Ids of the axons, (H, W) int32: a view that cannot be written to."""
        return _read_only(self._now.axons)

    @property
    def fibres(self) -> Objects:
        """Ids of the fibres, (H, W) int32: a view that cannot be written to."""
        return _read_only(self._now.fibres)

    @property
    def table(self) -> pd.DataFrame:
        """One row per fibre, ordered by id, as of `measure_fibres`: a copy."""
        return self._table.copy()

    @property
    def trail(self) -> list[dict[str, Any]]:
        """Every edit, undo and redo: `when` (ISO, UTC), `who`, `what`, `fibre_ids`, `details`."""
        return list(self._trail)

    @property
    def merged(self) -> frozenset[int]:
        """Fibres that were merged by hand."""
        return self._now.merged

    @property
    def pixel_size(self) -> float:
        """Pixel size in µm."""
        return self._now.pixel_size

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to do again."""
        return bool(self._undone)

    def delete(self, ids: int | Iterable[int]) -> list[int]:
        """Turn fibres, axons and myelin, into background.

        Returns
        -------
        list of int
            What is left of them: nothing. All edits return the ids they lead to.

        Raises
        ------
        ValueError
            If there are no such fibres.
        """
        with self._editing("delete", ids, {}) as fibre_ids:
            for i in fibre_ids:
                self._now.paint(i, axon="background", myelin="background")
        return []

    def change_class(self, ids: int | Iterable[int], name: str) -> list[int]:
        """Give the axons of fibres another class.

        Parameters
        ----------
        ids : int or iterable of int
        name : str
            One of `axonlab.micrograph.CLASSES`. An ``axon`` takes the myelin around it; of an
            ``unmyelinated axon`` the myelin becomes background; ``background`` deletes; what
            becomes ``myelin`` goes to the neighbours, as where a sheath was taken for an axon.

        Raises
        ------
        ValueError
            If there are no such fibres or no such class.
        """
        if name not in CLASSES:
            raise ValueError(f"No class {name!r}; known are {', '.join(CLASSES)}.")
        myelin = "myelin" if name in ("axon", "myelin") else "background"
        next_id = self._now.next_id
        with self._editing("change_class", ids, {"class": name}) as fibre_ids:
            for i in fibre_ids:
                self._now.paint(i, axon=name, myelin=myelin)
        return self._what_became_of(fibre_ids, next_id)

    def merge(self, ids: Iterable[int]) -> list[int]:
        """Make several fibres one, with the smallest of their ids.

        The classes stay as they are: axons that do not touch remain parts of one axon, and the
        trail says how many. To close the gap, `redraw` it.

        Raises
        ------
        ValueError
            If there are no such fibres, or fewer than two.
        """
        details: dict[str, Any] = {}
        with self._editing("merge", ids, details) as fibre_ids:
            if len(fibre_ids) < 2:
                raise ValueError(f"Only fibre {fibre_ids[0]} to merge: give two ids or more.")
            details["axon_parts"] = self._now.merge(fibre_ids)
        return fibre_ids[:1]

    def split(self, fibre_id: int, start: Point, end: Point) -> list[int]:
        """Cut a fibre along a line, which becomes background one pixel wide.

        Every part of the axon gets the myelin next to it; the largest keeps the id. A fibre that
        was merged falls into its parts.

        Parameters
        ----------
        fibre_id : int
        start, end : pair of float
            Row and column of the ends of the line, in pixels.

        Raises
        ------
        ValueError
            If there is no such fibre, or the line does not part its axon.
        """
        ends = [(round(float(y)), round(float(x))) for y, x in (start, end)]
        next_id = self._now.next_id
        with self._editing("split", fibre_id, {"line": ends}) as [i]:
            self._now.cut(i, *ends)
            self._now.settle()
            if len(parts := self._what_became_of([i], next_id)) < 2:
                raise ValueError(
                    f"The line from {ends[0]} to {ends[1]} does not part the axon of fibre {i} "
                    "into two that are large enough. Draw it from one side of the axon to the "
                    "other (rows, columns in pixels)."
                )
        return parts

    def redraw(self, rows: slice, columns: slice, labels: NDArray[np.uint8]) -> list[int]:
        """Replace the classes of a window, for example by those of a `LabelWidget` on its crop.

        Fibres keep the id of the former one that they overlap most.

        Parameters
        ----------
        rows, columns : slice
            The window.
        labels : (h, w) uint8 array
            Its class ids.

        Returns
        -------
        list of int
            The fibres in the window.

        Raises
        ------
        ValueError
            If the labels hold unknown ids or have another shape than the window.
        """
        check_labels(labels, "labels of the window")
        window = self._window(rows, columns)
        shape = self._now.labels[window].shape
        if labels.shape != shape:
            raise ValueError(
                f"Labels of shape {labels.shape} for a window of shape {shape}: pass one class id "
                "per pixel of the window."
            )
        place = {"rows": _ends(window[0]), "columns": _ends(window[1])}
        with self._editing("redraw", None, place):
            self._now.write(window, labels)
        return sorted(ids_in(self._now.fibres[window]))

    def around(self, fibre_id: int) -> Box:
        """Return the window of a fibre and its surroundings, to redraw it in.

        Raises
        ------
        ValueError
            If there is no such fibre.
        """
        [i] = self._check(fibre_id)
        [row] = self._table[self._table["fibre_id"] == i].to_dict("records")
        box = []
        sides = zip(("top", "left"), ("bottom", "right"), self.labels.shape, strict=True)
        for first, last, length in sides:
            start, stop = int(row[f"{first}_px"]), int(row[f"{last}_px"])
            margin = max((stop - start) // 2, LEAST_MARGIN)
            box.append(slice(max(0, start - margin), min(length, stop + margin)))
        return box[0], box[1]

    def undo(self) -> bool:
        """Take the last edit back; return whether there was one."""
        return self._step("undo", self._done, self._undone)

    def redo(self) -> bool:
        """Do the edit taken back last again; return whether there was one."""
        return self._step("redo", self._undone, self._done)

    def save(self, folder: str | Path | None = None, *, overwrite: bool = False) -> Path:
        """Write masks, objects, table and audit trail, all of them or none.

        Parameters
        ----------
        folder : path, optional
            Gets ``labels.png``, ``axons.tif``, ``fibres.tif``, ``fibres.csv``, the trail
            ``corrections.jsonl``, and ``corrections.json``, which holds them together by their
            hashes. By default the folder that the correction was made with or opened from.
        overwrite : bool
            Replace files of these names that were not saved by this correction.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        FileExistsError
            If the folder holds other results and `overwrite` is false.
        ValueError
            If there is no folder.
        """
        target = self.folder if folder is None else Path(folder)
        if target is None:
            raise ValueError("No folder to save in: pass one.")
        content = {
            "format": FORMAT,
            "saved": _clock(),
            "started_from_labels_sha256": self.origin,
            "pixel_size_um": self.pixel_size,
            "min_axon_diameter_um": self._now.min_axon_diameter,
            "merged": sorted(self.merged),
            "next_id": self._now.next_id,
        }
        known = self._known.get(target.resolve(), {})
        self._known[target.resolve()] = write_bundle(
            target, MANIFEST, content, self._write, known=known, overwrite=overwrite
        )
        self.folder = target
        self.saved = len(self._trail)
        return target

    @classmethod
    def open(cls, folder: str | Path, *, who: str = "") -> Correction:
        """Go on with a correction that was saved.

        The trail goes on, too; what was done before can no longer be taken back by `undo`.

        Raises
        ------
        FileNotFoundError
            If nothing was saved there.
        ValueError
            If a file is missing, damaged, or was changed by something else.
        """
        folder = Path(folder)
        content, hashes = read_bundle(folder, MANIFEST)
        if content.get("format") != FORMAT:
            raise ValueError(
                f"{folder / MANIFEST}: format {content.get('format')!r} where {FORMAT!r} was "
                "expected. Open it with the version of axonlab that it was saved by."
            )
        correction = cls.__new__(cls)
        partition = Partition(
            read_labels(folder / "labels.png"),
            read_objects(folder / "axons.tif"),
            read_objects(folder / "fibres.tif"),
            pixel_size=content["pixel_size_um"],
            min_axon_diameter=content["min_axon_diameter_um"],
            merged=content["merged"],
            next_id=content["next_id"],
        )
        correction._begin(partition, who, folder)
        lines = (folder / "corrections.jsonl").read_text("utf-8").splitlines()
        correction._trail = [json.loads(line) for line in lines]
        correction.saved = len(correction._trail)
        correction.origin = content["started_from_labels_sha256"]
        correction._known = {folder.resolve(): hashes}
        return correction

    def _write(self, folder: Path) -> None:
        write_labels(folder / "labels.png", self.labels)
        write_objects(folder / "axons.tif", self.axons, pixel_size=self.pixel_size)
        write_objects(folder / "fibres.tif", self.fibres, pixel_size=self.pixel_size)
        write_table(folder / "fibres.csv", self.table)
        lines = (json.dumps(entry, ensure_ascii=False) + "\n" for entry in self._trail)
        write_bytes(folder / "corrections.jsonl", "".join(lines).encode())

    @contextmanager
    def _editing(
        self, what: str, ids: int | Iterable[int] | None, details: dict[str, Any]
    ) -> Iterator[list[int]]:
        """Make what is done in the block one edit, or leave all as it was if it fails."""
        fibre_ids = [] if ids is None else self._check(ids)
        now = self._now
        try:
            yield fibre_ids
            now.settle()
            rows = self._measure(now.touched & now.boxes.keys())
        except BaseException:
            now.exchange(now.take())
            raise
        change = now.take()
        if not change.parts:
            return
        edit = _Edit(len(self._trail), change, self._replace_rows(change.boxes, rows))
        self._done.append(edit)
        while sum(edit.change.size for edit in self._done) > HISTORY_BYTES:
            self._done.popleft()
        self._undone.clear()
        touched = sorted(change.boxes)
        self._note(what, fibre_ids or touched, {**details, "touched": touched})

    def _step(self, what: str, edits: deque[_Edit], others: deque[_Edit]) -> bool:
        """Exchange the state there is for that of an edit, and hand the edit over."""
        if not edits:
            return False
        edit = edits.pop()
        change = self._now.exchange(edit.change)
        others.append(_Edit(edit.entry, change, self._replace_rows(change.boxes, edit.rows)))
        self._note(what, sorted(change.boxes), {"entry": edit.entry})
        return True

    def _what_became_of(self, ids: list[int], next_id: int) -> list[int]:
        """Return those of the fibres that are still there, and the new ones."""
        return [i for i in (*ids, *range(next_id, self._now.next_id)) if i in self._now.boxes]

    def _measure(self, ids: set[int]) -> pd.DataFrame:
        now = self._now
        if not ids:
            return self._table[:0]
        return measure_some(now.axons, now.fibres, now.boxes, ids, pixel_size=now.pixel_size)

    def _replace_rows(self, ids: Iterable[int], rows: pd.DataFrame) -> pd.DataFrame:
        """Put rows in the place of those of some fibres, which are returned."""
        is_old = self._table["fibre_id"].isin(list(ids))
        old, left = self._table[is_old], self._table[~is_old]
        parts = [part for part in (left, rows) if len(part)] or [left]
        table = pd.concat(parts).sort_values("fibre_id", ignore_index=True)
        self._table = table.assign(neighbour_distance_um=neighbour_distance(table))
        return old

    def _note(self, what: str, fibre_ids: list[int], details: dict[str, Any]) -> None:
        """Add an entry to the trail, and tell all listeners, even if one cannot write it down."""
        self._trail.append(
            {
                "when": _clock(),
                "who": self.who,
                "what": what,
                "fibre_ids": fibre_ids,
                "details": details,
            }
        )
        errors = []
        for listener in tuple(self.listeners):
            try:
                listener()
            except OSError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _check(self, ids: int | Iterable[int]) -> list[int]:
        """Return ids in order, or raise ValueError unless they are those of fibres."""
        given = [ids] if isinstance(ids, int | np.integer) else ids
        wanted = sorted({int(i) for i in given})
        unknown = [i for i in wanted if i not in self._now.boxes]
        if unknown or not wanted:
            raise ValueError(
                f"Fibres {unknown or wanted} are not among the {len(self._now.boxes)} there are: "
                "give ids of the column fibre_id of the table."
            )
        return wanted

    def _window(self, rows: slice, columns: slice) -> Box:
        """Return slices with both ends, or raise ValueError if they are no window of the image."""
        shape = self._now.labels.shape
        (top, bottom, y), (left, right, x) = rows.indices(shape[0]), columns.indices(shape[1])
        if (y, x) != (1, 1) or top >= bottom or left >= right:
            raise ValueError(
                f"{rows} and {columns} are no window of an image of shape {shape}: give slices "
                "without a step that hold some of its pixels."
            )
        return slice(top, bottom), slice(left, right)


class _Edit(NamedTuple):
    """What takes an edit back (or, once it was taken back, does it again)."""

    entry: int  # of the audit trail
    change: Change
    rows: pd.DataFrame


def _clock() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _ends(side: slice) -> list[int]:
    return [side.start, side.stop]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
