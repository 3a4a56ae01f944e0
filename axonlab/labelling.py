"""A labelling in progress: the class of every pixel, and every edit that can be taken back."""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonlab.micrograph import CLASSES, UNLABELLED, Micrograph, check_fits

KEEP = 254
"""In the values of a patch: this pixel stays as it is."""

HISTORY = 500
"""Edits that can be taken back; kept compressed, some hundred bytes a stroke."""


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Patch:
    """New class ids for a rectangle of pixels: what travels between browser, history and journal.

    Parameters
    ----------
    row, column : int
        Upper left pixel of the rectangle.
    values : (h, w) uint8 array
        Class ids, 255 for unlabelled, and `KEEP` where a pixel stays as it is.

    Examples
    --------
    >>> patch = Patch(3, 5, np.array([[2, KEEP]], np.uint8))
    >>> Patch.unpack(*patch.pack(), shape=(4, 7)).values
    array([[  2, 254]], dtype=uint8)
    """

    row: int
    column: int
    values: NDArray[np.uint8] = field(repr=False)

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.dtype != np.uint8:
            raise ValueError(
                f"A patch of type {self.values.dtype} and shape {self.values.shape}; expected "
                "uint8 class ids in rows and columns."
            )

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the rectangle."""
        height, width = self.values.shape
        return slice(self.row, self.row + height), slice(self.column, self.column + width)

    def pack(self) -> tuple[dict[str, int], bytes]:
        """Return where the patch lies, and its values compressed by zlib."""
        height, width = self.values.shape
        place = {"row": self.row, "column": self.column, "height": height, "width": width}
        return place, compress(self.values)

    @classmethod
    def unpack(
        cls, place: Mapping[str, Any], packed: bytes | memoryview, shape: tuple[int, int]
    ) -> Patch:
        """Return the patch that `pack` packed.

        Parameters
        ----------
        place : mapping
            `row`, `column`, `height` and `width`.
        packed : bytes
        shape : pair of int
            Of the image; a patch that reaches out of it is refused before it is unpacked.

        Raises
        ------
        ValueError
            If the numbers are missing or absurd, or the bytes are not that many pixels.
        """
        try:
            row, column, height, width = (
                int(place[name]) for name in ("row", "column", "height", "width")
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"A patch without a place in the image: {place}.") from error
        _check_inside(row, column, height, width, shape)
        return cls(row, column, decompress(packed, (height, width)))


def compress(values: NDArray[np.uint8]) -> bytes:
    """Return pixels row by row, compressed by zlib; fast rather than small."""
    return zlib.compress(np.ascontiguousarray(values).tobytes(), level=1)


def decompress(packed: bytes | memoryview, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the pixels that `compress` compressed.

    Raises
    ------
    ValueError
        If the bytes are damaged or do not hold as many pixels as `shape` says.
    """
    size = shape[0] * shape[1]
    try:
        # never more than the shape asks for, whatever the bytes would unfold to
        content = zlib.decompressobj().decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(f"Damaged pixels: {error}.") from error
    if len(content) != size:
        raise ValueError(f"Damaged pixels: {len(content)} where {shape[0]}×{shape[1]} belong.")
    return np.frombuffer(content, np.uint8).reshape(shape)


class Labelling:
    """The labels of a micrograph while they are made: the one truth behind all views of them.

    Parameters
    ----------
    micrograph : Micrograph
    labels : (H, W) uint8 array, optional
        Class ids to begin with, 255 for unlabelled; they are copied. By default nothing is
        labelled.

    Raises
    ------
    ValueError
        If the labels have another shape than the image, or hold unknown ids.

    Examples
    --------
    >>> blank = Micrograph(np.zeros((2, 3)), pixel_size=0.1)
    >>> labelling = Labelling(blank)
    >>> labelling.apply(Patch(0, 0, np.full((2, 2), 2, np.uint8)))
    True
    >>> labelling.labels
    array([[  2,   2, 255],
           [  2,   2, 255]], dtype=uint8)
    >>> labelling.undo()
    True
    >>> labelling.counts["axon"]
    0
    """

    def __init__(self, micrograph: Micrograph, labels: NDArray[np.uint8] | None = None) -> None:
        shape = micrograph.pixels.shape
        if labels is None:
            labels = np.full(shape, UNLABELLED, np.uint8)
        check_fits(labels, micrograph)
        self.micrograph = micrograph
        self.listeners: list[Callable[[Patch], None]] = []
        """Called with every change, after it was made."""
        self.lock = threading.RLock()
        """Held while labels change; whoever reads them from another thread takes it, too."""
        self._labels = labels.copy()
        self._counts = _count(self._labels)
        self._done: _Edits = deque(maxlen=HISTORY)
        self._undone: _Edits = deque()

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Class ids as they are now, (H, W) uint8: a view that cannot be written to."""
        view = self._labels.view()
        view.flags.writeable = False
        return view

    @property
    def counts(self) -> dict[str, int]:
        """Pixels of every class and of ``unlabelled``."""
        names = {**CLASSES, "unlabelled": UNLABELLED}
        return {name: int(self._counts[i]) for name, i in names.items()}

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to do again."""
        return bool(self._undone)

    def apply(self, patch: Patch) -> bool:
        """Write a patch into the labels, so that it can be taken back.

        Returns
        -------
        bool
            Whether any pixel changed; if none did, nothing is told and nothing remembered.

        Raises
        ------
        ValueError
            If the patch reaches out of the image or holds unknown ids. Nothing is changed.
        """
        with self.lock:
            self._check(patch)
            now = self._labels[patch.box]
            changed = (patch.values != KEEP) & (patch.values != now)
            if not changed.any():
                return False
            before = Patch(patch.row, patch.column, np.where(changed, now, np.uint8(KEEP)))
            self._done.append((before.pack(), patch.pack()))
            self._undone.clear()
            self._write(patch)
            return True

    def replace(self, labels: NDArray[np.uint8]) -> bool:
        """Give all pixels new labels, for example those of a fresh prediction, in one edit.

        Returns
        -------
        bool
            Whether any pixel changed.

        Raises
        ------
        ValueError
            If the labels have another shape than the image, or hold unknown ids.
        """
        check_fits(labels, self.micrograph)
        with self.lock:
            changed = labels != self._labels
            rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
            if not rows.size:
                return False
            box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            values = np.where(changed[box], labels[box], np.uint8(KEEP))
            return self.apply(Patch(int(rows[0]), int(columns[0]), values))

    def accept(
        self, suggestion: NDArray[np.uint8], classes: Sequence[str], *, only_unlabelled: bool = True
    ) -> bool:
        """Take some classes of a suggestion over, in one edit.

        Parameters
        ----------
        suggestion : (H, W) uint8 array
            Class ids.
        classes : sequence of str
            Which of them to take over.
        only_unlabelled : bool
            Leave every pixel alone that has a label.

        Returns
        -------
        bool
            Whether any pixel changed.

        Raises
        ------
        ValueError
            If the suggestion does not fit the image, or a class is unknown.
        """
        check_fits(suggestion, self.micrograph)
        unknown = sorted(set(classes) - set(CLASSES))
        if unknown:
            raise ValueError(f"Unknown classes {unknown}, known are {list(CLASSES)}.")
        with self.lock:
            taken = np.isin(suggestion, [CLASSES[name] for name in classes])
            if only_unlabelled:
                taken &= self._labels == UNLABELLED
            return self.replace(np.where(taken, suggestion, self._labels))

    def undo(self) -> bool:
        """Take the last edit back; return whether there was one."""
        return self._step(self._done, self._undone, 0)

    def redo(self) -> bool:
        """Do the edit taken back last again; return whether there was one."""
        return self._step(self._undone, self._done, 1)

    def _step(self, edits: _Edits, others: _Edits, which: int) -> bool:
        """Write the state before (0) or after (1) the last of some edits, and hand it over."""
        with self.lock:
            if not edits:
                return False
            edit = edits.pop()
            others.append(edit)
            self._write(Patch.unpack(*edit[which], self._labels.shape))
            return True

    def _write(self, patch: Patch) -> None:
        now = self._labels[patch.box]
        written = patch.values != KEEP
        self._counts += _count(patch.values[written]) - _count(now[written])
        np.copyto(now, patch.values, where=written)
        for listener in tuple(self.listeners):
            listener(patch)

    def _check(self, patch: Patch) -> None:
        height, width = patch.values.shape
        _check_inside(patch.row, patch.column, height, width, self._labels.shape)
        known = np.isin(patch.values, [*CLASSES.values(), UNLABELLED, KEEP])
        if not known.all():
            raise ValueError(
                f"A patch with the unknown class ids {np.unique(patch.values[~known]).tolist()}; "
                f"expected {CLASSES}, {UNLABELLED} for unlabelled or {KEEP} for no change."
            )


_Packed = tuple[dict[str, int], bytes]
_Edits = deque[tuple[_Packed, _Packed]]  # before, after


def _check_inside(row: int, column: int, height: int, width: int, shape: tuple[int, int]) -> None:
    fits = row + height <= shape[0] and column + width <= shape[1]
    if min(row, column) < 0 or min(height, width) < 1 or not fits:
        raise ValueError(
            f"A patch of {height}×{width} pixels at row {row}, column {column} in an image of "
            f"shape {shape}: it must lie inside."
        )


def _count(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bincount(values.ravel(), minlength=256)
