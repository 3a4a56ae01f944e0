"""Corrections of a slide, written down before they are made: what is cut off is made up for."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from axonlab import omezarr
from axonlab.io import write_bytes, write_json
from axonlab.objects import Box
from axonlab.partition import grow
from axonlab.relabel import Planes
from axonlab.slide_tiles import TABLE
from axonlab.stages import Stage

WAIT_SECONDS = 5
"""For another process that corrects the slide; that takes no longer, mostly."""


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Plan:
    """What a correction makes of a part of a slide.

    Parameters
    ----------
    box : pair of slice
    before, after : Planes
        Of the box.
    entry : mapping
        For the manifest; ``number`` counts the corrections of the slide from 1.
    fibres : int
        How many the slide has afterwards.
    """

    box: Box
    before: Planes = field(repr=False)
    after: Planes = field(repr=False)
    entry: Mapping[str, Any]
    fibres: int

    def write(self, output: Path) -> None:
        """Write the plan beside the slide; from then on `finish` makes the correction."""
        rows, columns = self.box
        numbers = [rows.start, rows.stop, columns.start, columns.stop, self.fibres]
        planes = {
            f"{when}_{name}": plane
            for when in ("before", "after")
            for name, plane in getattr(self, when)._asdict().items()
        }
        entry = np.array(json.dumps(self.entry))
        buffer = io.BytesIO()
        np.savez_compressed(buffer, numbers=np.array(numbers), entry=entry, **planes)
        write_bytes(_folder(output) / f"{self.entry['number']}.npz", buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read what `write` has written."""
        with np.load(path, allow_pickle=False) as there:
            top, bottom, left, right, fibres = there["numbers"].tolist()
            before, after = (
                Planes(*(there[f"{when}_{name}"] for name in Planes._fields))
                for when in ("before", "after")
            )
            entry = json.loads(str(there["entry"]))
        return cls((slice(top, bottom), slice(left, right)), before, after, entry, fibres)

    def apply(self, output: Path) -> None:
        """Make the correction; cut off at any moment, the same call makes the rest of it."""
        path = output / "run" / "manifest.json"
        manifest = json.loads(path.read_text("utf-8"))
        _forget_table(output / TABLE)
        shape, tile = tuple(manifest["shape"]), manifest["tile"]
        changed = self.before.differ(self.after)
        measured = Stage(output / "run", "measure", fibres=manifest["fibres_key"])
        objects = changed[1] | changed[2]
        # a tile is measured with a row and a column of those that follow
        near = grow(self.box, 1, shape)
        measured.forget(
            place
            for place, (rows, columns) in _tiles(near, tile)
            if self._cut(objects, (_longer(rows), _longer(columns))).any()
        )
        for name, differs in zip(Planes._fields, changed, strict=True):
            plane, folder = getattr(self.after, name), output / "labels" / name
            parts = [part for _, part in _tiles(self.box, tile) if self._cut(differs, part).any()]
            finest, *coarser = omezarr.open_levels(folder, "r+")
            for part in parts:
                finest[part] = self._cut(plane, part)
            for level in range(1, len(coarser) + 1):
                for part in parts:
                    omezarr.write_level(folder, level, _coarse(part, level))
        known = manifest.get("corrections", [])
        if len(known) < self.entry["number"]:
            now = {"fibres": self.fibres, "corrections": [*known, self.entry]}
            write_json(path, manifest | now, overwrite=True)

    def _cut(self, plane: NDArray[Any], part: Box) -> NDArray[Any]:
        """Return what a plane of the box shows of a part of the slide."""
        rows, columns = (
            slice(max(p.start - b.start, 0), max(min(p.stop, b.stop) - b.start, 0))
            for p, b in zip(part, self.box, strict=True)
        )
        return plane[rows, columns]


@contextmanager
def locked(output: str | Path) -> Iterator[None]:
    """Let nobody else write to the slide; the lock ends with the process.

    Raises
    ------
    BlockingIOError
        If another process works on it.
    """
    lock = FileLock(Path(output, "run", ".lock"), timeout=WAIT_SECONDS, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(
            f"Another process works on {output}: wait for it to end, or stop it, and call again."
        ) from None
    try:
        yield
    finally:
        lock.release()


def finish(output: str | Path) -> None:
    """Make the corrections that were written down but not made to their end."""
    if _folder(Path(output)).is_dir():
        with locked(output):
            for path in _plans(output):
                Plan.read(path).apply(Path(output))
                path.unlink()


def is_corrected(output: str | Path, asked: Mapping[str, Any]) -> bool:
    """Tell whether a slide has corrections, which stay where nothing else is asked for.

    Parameters
    ----------
    output : path
    asked : mapping
        What the manifest says of a slide that is made in the same way.

    Raises
    ------
    ValueError
        If something else is asked for.
    """
    path = Path(output, "run", "manifest.json")
    manifest = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if not (manifest.get("corrections") or _plans(output)):
        return False
    other = [name for name, value in asked.items() if manifest.get(name) != value]
    if other:
        told = [f"{name} {manifest.get(name)}, and {asked[name]} is given now" for name in other]
        raise ValueError(
            f"{output} has corrections by hand, which would be lost: it was made with "
            f"{'; '.join(told)}. Choose another output, or begin anew with resume=False."
        )
    return True


def _folder(output: Path) -> Path:
    return output / "run" / "corrections"


def _plans(output: str | Path) -> list[Path]:
    return sorted(_folder(Path(output)).glob("*.npz"))


def _tiles(box: Box, tile: int) -> Iterator[tuple[tuple[int, int], Box]]:
    """Yield the tiles that a box reaches into, and what they have of it."""
    rows, columns = (range(side.start // tile, (side.stop - 1) // tile + 1) for side in box)
    for row in rows:
        for column in columns:
            part = tuple(
                slice(max(place * tile, side.start), min((place + 1) * tile, side.stop))
                for place, side in zip((row, column), box, strict=True)
            )
            yield (row, column), (part[0], part[1])


def _longer(side: slice) -> slice:
    return slice(side.start, side.stop + 1)


def _coarse(part: Box, level: int) -> Box:
    """Return where a part of the slide is at a coarser level."""
    rows, columns = (slice(s.start >> level, ((s.stop - 1) >> level) + 1) for s in part)
    return rows, columns


def _forget_table(folder: Path) -> None:
    """Remove the table at once, as no part of it may be taken for the whole."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if folder.is_dir():
        folder.rename(part)
        shutil.rmtree(part)
