"""Corrections of neurites: merged and split by their ids, taken back, and all of it recorded."""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from axonlab.bundle import read_bundle, write_bundle
from axonlab.io import write_bytes
from axonlab.micrograph import check_pixel_size
from axonlab.volume import AXES

HISTORY_BYTES = 256 << 20
"""Memory for the edits that can be taken back; the masks in it are compressed."""

MANIFEST = "corrections.json"
FORMAT = "axonlab neurite corrections 1"

Box = tuple[slice, slice, slice]
Voxel = tuple[int, int, int]
Instances = NDArray[np.int32]


class Neurite(NamedTuple):
    """What a click on a neurite tells."""

    neurite_id: int
    voxels: int
    volume_um3: float
    sections: int
    """How many of them it is seen in."""


class NeuriteCorrection:
    """The neurites of a volume while they are corrected: the one truth behind all views of them.

    Parameters
    ----------
    instances : (Z, Y, X) integer array
        Ids of the neurites, 0 is none; they are copied.
    voxel_size : triple of float
        Distance of sections, height and width of a voxel, in µm.
    who : str
        Who makes the corrections; stands in the trail.
    folder : path, optional
        Where `save` writes.

    Raises
    ------
    ValueError
        If the instances are no volume of ids from 0 to the number of voxels, or the voxel size is
        absurd.

    Notes
    -----
    An edit touches the boxes around its neurites, and nothing else: it takes as long in a large
    volume as in a small one.

    Examples
    --------
    >>> instances = np.array([[[1, 1, 0, 2, 2, 2, 3]]])
    >>> correction = NeuriteCorrection(instances, voxel_size=(0.05, 0.01, 0.01), who="Ada")
    >>> correction.merge([2, 3])
    [2]
    >>> correction.instances
    array([[[1, 1, 0, 2, 2, 2, 2]]], dtype=int32)
    >>> correction.split(2, [(0, 0, 3), (0, 0, 6)])
    [2, 4]
    >>> correction.undo(), correction.undo()
    (True, True)
    >>> correction.neurite(3)
    Neurite(neurite_id=3, voxels=1, volume_um3=5e-06, sections=1)
    >>> [(entry["who"], entry["what"]) for entry in correction.trail]
    [('Ada', 'merge'), ('Ada', 'split'), ('Ada', 'undo'), ('Ada', 'undo')]
    """

    def __init__(
        self,
        instances: NDArray[np.integer[Any]],
        *,
        voxel_size: tuple[float, float, float],
        who: str = "",
        folder: str | Path | None = None,
    ) -> None:
        _check_instances(instances)
        if len(voxel_size) != 3:
            raise ValueError(
                f"voxel_size is {voxel_size}, expected three numbers in µm: distance of sections, "
                "height and width of a voxel."
            )
        z, y, x = (check_pixel_size(size, "voxel_size") for size in voxel_size)
        self.voxel_size = (z, y, x)
        self.who = who
        self.folder = None if folder is None else Path(folder)
        self._instances = np.array(instances, np.int32, order="C")
        self._read_boxes()
        self._next_id = max(self._boxes, default=0) + 1
        self._trail: list[dict[str, Any]] = []
        self._done: deque[_Edit] = deque()
        self._undone: deque[_Edit] = deque()
        self._known: dict[Path, dict[str, str]] = {}
        self.listeners: list[Callable[[], None]] = []
        """Called without arguments after every change."""

    def _read_boxes(self) -> None:
        """Find where every neurite is, once: what is asked later looks there alone."""
        boxes = ndimage.find_objects(self._instances)
        self._boxes: dict[int, Box] = {i: box for i, box in enumerate(boxes, 1) if box is not None}
        voxels = np.bincount(self._instances.reshape(-1))
        self._voxels = {i: int(voxels[i]) for i in self._boxes}

    @property
    def instances(self) -> Instances:
        """Ids of the neurites as they are now, (Z, Y, X) int32: cannot be written to."""
        view = self._instances.view()
        view.flags.writeable = False
        return view

    @property
    def ids(self) -> list[int]:
        """Ids of all neurites, in order."""
        return sorted(self._boxes)

    @property
    def trail(self) -> list[dict[str, Any]]:
        """Every edit, undo and redo: `when` (ISO, UTC), `who`, `what`, `neurite_ids`, `details`."""
        return list(self._trail)

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to do again."""
        return bool(self._undone)

    def neurite(self, neurite_id: int) -> Neurite:
        """Return how large a neurite is.

        Raises
        ------
        ValueError
            If there is no such neurite.
        """
        [i] = self._check([neurite_id])
        sections = (self._instances[self._boxes[i]] == i).any(axis=(1, 2))
        voxels = self._voxels[i]
        volume = float(voxels * np.prod(self.voxel_size))
        return Neurite(i, voxels, volume, int(sections.sum()))

    def mask(self, neurite_id: int) -> tuple[Box, NDArray[np.bool_]]:
        """Return the box around a neurite, and which voxels of the box are of it.

        Raises
        ------
        ValueError
            If there is no such neurite.
        """
        [i] = self._check([neurite_id])
        box = self._boxes[i]
        return box, self._instances[box] == i

    def merge(self, ids: Iterable[int]) -> list[int]:
        """Make several neurites one, with the smallest of their ids.

        Returns
        -------
        list of int
            This id. All edits return the ids they lead to.

        Raises
        ------
        ValueError
            If there are no such neurites, or fewer than two.
        """
        kept, *others = self._check(ids)
        if not others:
            raise ValueError(f"Only neurite {kept} to merge: give two ids or more.")
        moves = [_Move.of(*self.mask(i), i, kept) for i in others]
        self._edit("merge", [kept, *others], {}, moves)
        return [kept]

    def split(self, neurite_id: int, seeds: Sequence[Voxel]) -> list[int]:
        """Part a neurite where it is thinnest between some of its voxels.

        The largest part keeps the id, and what is reached from no seed.

        Parameters
        ----------
        neurite_id : int
        seeds : sequence of triple of int
            Section, row and column of voxels of the neurite, one for every part.

        Raises
        ------
        ValueError
            If there is no such neurite, fewer than two seeds, or one is beside it.

        Notes
        -----
        The parts are those of a watershed of the distance to the border of the neurite, in µm,
        from the seeds: they meet in the necks between them.
        """
        [i] = self._check([neurite_id])
        places = [(int(z), int(y), int(x)) for z, y, x in seeds]
        self._check_seeds(i, places)
        # one voxel more: where the neurite ends within the volume, that is its border
        box = _grown(self._boxes[i], self._instances.shape)
        is_neurite = self._instances[box] == i
        depth = ndimage.distance_transform_edt(is_neurite, sampling=self.voxel_size)
        markers = np.zeros(is_neurite.shape, np.int32)
        for n, place in enumerate(places, 1):
            markers[tuple(k - side.start for k, side in zip(place, box, strict=True))] = n
        parts = watershed(-depth, markers, mask=is_neurite)  # type: ignore[no-untyped-call]
        largest = int(np.bincount(parts.reshape(-1))[1:].argmax()) + 1
        moves: list[_Move] = []
        ids = [i]
        for n in range(1, len(places) + 1):
            if n != largest:
                new = self._next_id + len(moves)
                moves.append(_Move.of(box, parts == n, i, new))
                ids.append(new)
        self._next_id += len(moves)
        self._edit("split", [i], {"seeds": [list(place) for place in places], "parts": ids}, moves)
        return ids

    def undo(self) -> bool:
        """Take the last edit back; return whether there was one."""
        return self._step("undo", self._done, self._undone)

    def redo(self) -> bool:
        """Do the edit taken back last again; return whether there was one."""
        return self._step("redo", self._undone, self._done)

    def save(self, folder: str | Path | None = None, *, overwrite: bool = False) -> Path:
        """Write neurites and trail, both or none.

        Parameters
        ----------
        folder : path, optional
            Gets ``neurites.ome.tif``, the trail ``corrections.jsonl``, and ``corrections.json``,
            which holds them together by their hashes. By default the folder that the correction
            was made with or opened from.
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
            "voxel_size_um": self.voxel_size,
            "next_id": self._next_id,
        }
        known = self._known.get(target.resolve(), {})
        self._known[target.resolve()] = write_bundle(
            target, MANIFEST, content, self._write, known=known, overwrite=overwrite
        )
        self.folder = target
        return target

    @classmethod
    def open(cls, folder: str | Path, *, who: str = "") -> NeuriteCorrection:
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
        instances = tifffile.imread(folder / "neurites.ome.tif")
        instances = instances.reshape((-1, *instances.shape[-2:]))  # one section has lost an axis
        size = content["voxel_size_um"]
        correction = cls(instances, voxel_size=tuple(size), who=who, folder=folder)
        correction._next_id = content["next_id"]
        lines = (folder / "corrections.jsonl").read_text("utf-8").splitlines()
        correction._trail = [json.loads(line) for line in lines]
        correction._known = {folder.resolve(): hashes}
        return correction

    def _write(self, folder: Path) -> None:
        z, y, x = self.voxel_size
        tifffile.imwrite(
            folder / "neurites.ome.tif",
            self._instances,
            compression="zlib",
            photometric="minisblack",
            metadata={
                "axes": "ZYX",
                **{"PhysicalSizeZ": z, "PhysicalSizeY": y, "PhysicalSizeX": x},
                **{f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"},
            },
        )
        lines = (json.dumps(entry, ensure_ascii=False) + "\n" for entry in self._trail)
        write_bytes(folder / "corrections.jsonl", "".join(lines).encode())

    def _edit(self, what: str, ids: list[int], details: dict[str, Any], moves: list[_Move]) -> None:
        """Do an edit that can be taken back."""
        edit = _Edit(len(self._trail), moves)
        self._apply(moves)
        self._done.append(edit)
        while sum(edit.size for edit in self._done) > HISTORY_BYTES and len(self._done) > 1:
            self._done.popleft()
        self._undone.clear()
        self._note(what, ids, details)

    def _step(self, what: str, edits: deque[_Edit], others: deque[_Edit]) -> bool:
        """Exchange the state there is for that of an edit, and hand the edit over."""
        if not edits:
            return False
        edit = edits.pop()
        back = [move.back() for move in reversed(edit.moves)]
        self._apply(back)
        others.append(_Edit(edit.entry, back))
        ids = {i for move in back for i in (move.before, move.after)}
        self._note(what, sorted(ids), {"entry": edit.entry})
        return True

    def _apply(self, moves: list[_Move]) -> None:
        for move in moves:
            self._instances[move.box][move.mask()] = move.after
            boxes = [self._boxes[move.after]] if move.after in self._boxes else []
            self._boxes[move.after] = _hull([*boxes, move.box])
            self._voxels[move.after] = self._voxels.get(move.after, 0) + move.voxels
            self._voxels[move.before] -= move.voxels
        for i in {move.before for move in moves} | {move.after for move in moves}:
            self._shrink(i)

    def _shrink(self, i: int) -> None:
        """Let the box of a neurite fit it again; forget a neurite of which nothing is left."""
        if self._voxels[i] == 0:
            del self._voxels[i], self._boxes[i]
            return
        box = self._boxes[i]
        [inner] = ndimage.find_objects((self._instances[box] == i).view(np.uint8))
        self._boxes[i] = _shifted(inner, box)

    def _note(self, what: str, ids: list[int], details: dict[str, Any]) -> None:
        """Add an entry to the trail, and tell all listeners."""
        self._trail.append(
            {
                "when": _clock(),
                "who": self.who,
                "what": what,
                "neurite_ids": ids,
                "details": details,
            }
        )
        for listener in tuple(self.listeners):
            listener()

    def _check(self, ids: Iterable[int]) -> list[int]:
        """Return ids in order, or raise ValueError unless they are those of neurites."""
        wanted = sorted({int(i) for i in ids})
        unknown = [i for i in wanted if i not in self._boxes]
        if unknown or not wanted:
            raise ValueError(
                f"Neurites {unknown or wanted} are not among the {len(self._boxes)} there are: "
                "give ids of the instances, which are above 0."
            )
        return wanted

    def _check_seeds(self, i: int, seeds: list[Voxel]) -> None:
        if len(set(seeds)) < 2:
            raise ValueError(
                f"{len(set(seeds))} seeds to split neurite {i} from: give two voxels of it or "
                f"more, one for every part ({', '.join(AXES)})."
            )
        shape = self._instances.shape
        for seed in seeds:
            inside = all(0 <= k < n for k, n in zip(seed, shape, strict=True))
            there = int(self._instances[seed]) if inside else None
            if there != i:
                where = "outside of the volume" if there is None else f"of {there or 'no neurite'}"
                raise ValueError(
                    f"The seed {seed} is {where}: give voxels of neurite {i} ({', '.join(AXES)})."
                )


@dataclass(frozen=True)
class _Move:
    """Voxels that go from one neurite to another."""

    box: Box
    packed: bytes = field(repr=False)
    voxels: int
    before: int
    after: int

    @classmethod
    def of(cls, box: Box, mask: NDArray[np.bool_], before: int, after: int) -> _Move:
        """Return the move of the voxels of a box that are in a mask."""
        [inner] = ndimage.find_objects(mask.view(np.uint8))
        mask = mask[inner]
        packed = zlib.compress(np.packbits(mask).tobytes(), 1)
        return cls(_shifted(inner, box), packed, int(np.count_nonzero(mask)), before, after)

    def mask(self) -> NDArray[np.bool_]:
        """Return which voxels of the box move."""
        shape = [side.stop - side.start for side in self.box]
        bits = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        return np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).view(bool)

    def back(self) -> _Move:
        """Return the move that takes this one back."""
        return _Move(self.box, self.packed, self.voxels, self.after, self.before)


class _Edit(NamedTuple):
    """What was done, to be taken back or done again."""

    entry: int  # of the trail
    moves: list[_Move]

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        return sum(len(move.packed) for move in self.moves)


def _check_instances(instances: NDArray[Any]) -> None:
    if instances.ndim != 3 or instances.size == 0 or instances.dtype.kind not in "iu":
        raise ValueError(
            f"instances of shape {instances.shape} and type {instances.dtype}, expected whole "
            f"numbers for a volume ({', '.join(AXES)})."
        )
    low, high = int(instances.min()), int(instances.max())
    if low < 0 or high > instances.size:
        raise ValueError(
            f"instances hold ids from {low} to {high} for {instances.size} voxels, expected 0 for "
            "none and small numbers. Number them anew: "
            "skimage.segmentation.relabel_sequential(instances)[0]."
        )


def _hull(boxes: Sequence[Box]) -> Box:
    z, y, x = (
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*boxes, strict=True)
    )
    return z, y, x


def _grown(box: Box, shape: tuple[int, ...]) -> Box:
    z, y, x = (
        slice(max(side.start - 1, 0), min(side.stop + 1, n))
        for side, n in zip(box, shape, strict=True)
    )
    return z, y, x


def _shifted(inner: Sequence[slice], box: Box) -> Box:
    z, y, x = (
        slice(one.start + side.start, one.stop + side.start)
        for one, side in zip(inner, box, strict=True)
    )
    return z, y, x


def _clock() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
