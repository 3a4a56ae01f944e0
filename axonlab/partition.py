"""Classes and objects of an image, in step: who changes the classes changes the objects."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import line as line_pixels

from axonlab.micrograph import CLASSES
from axonlab.objects import Box, label_fibres

Objects = NDArray[np.int32]
Pixel = tuple[int, int]
Planes = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Change:
    """What leads from one state of a `Partition` to another, and from that one back."""

    parts: list[_Part]
    boxes: dict[int, Box | None]
    """Of the fibres that differ, in the state it leads to; None for those that are not there."""
    merged: frozenset[int]

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        return sum(part.size for part in self.parts) + 1000 * len(self.boxes)


class Partition:
    """The class of every pixel, and the fibres that follow from it; fibres keep their ids.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Class ids.
    axons, fibres : (H, W) int32 array
        Their objects. None of the arrays is copied.
    pixel_size, min_axon_diameter : float
        In µm, see `axonlab.objects.label_fibres`.
    merged : collection of int
        Fibres that were merged by hand: several objects of the labels.
    next_id : int
        Id for the next new fibre; an id is never used twice.

    Notes
    -----
    Shared myelin goes to the axon that reaches it first, over pixels that are that axon's own. So
    a change passes from fibre to fibre where they touch: fibres that hold or touch a changed pixel
    are labelled anew together with those beside them, and if one of the latter changes, it has
    moved as well and the window grows, until the change is enclosed by fibres that stay what they
    were.
    """

    def __init__(
        self,
        labels: NDArray[np.uint8],
        axons: Objects,
        fibres: Objects,
        *,
        pixel_size: float,
        min_axon_diameter: float,
        merged: Collection[int] = (),
        next_id: int = 1,
    ) -> None:
        self.labels, self.axons, self.fibres = labels, axons, fibres
        self.pixel_size, self.min_axon_diameter = pixel_size, min_axon_diameter
        self.boxes = _boxes(fibres)
        self.merged = frozenset(merged)
        self.next_id = max([next_id - 1, *self.boxes]) + 1
        self._unsettled: list[tuple[Box, set[int]]] = []
        self._forget()

    def write(self, window: Box, classes: NDArray[np.uint8]) -> None:
        """Give a window other classes; the objects follow with `settle`."""
        differs = classes != self.labels[window]
        if differs.any():
            spot = shift(bounds(differs), window)
            around = grow(spot, 1, self.labels.shape)
            changed = self.labels[around].copy()
            self._put(window, (classes, self.axons[window], self.fibres[window]))
            near = ndimage.binary_dilation(changed != self.labels[around])
            self._unsettled.append((spot, ids_in(self.fibres[around][near])))

    def paint(self, fibre_id: int, *, axon: str, myelin: str) -> None:
        """Give the two parts of a fibre other classes."""
        box = self.boxes[fibre_id]
        classes = self.labels[box].copy()
        is_fibre, is_axon = self.fibres[box] == fibre_id, self.axons[box] == fibre_id
        classes[is_fibre & ~is_axon] = CLASSES[myelin]
        classes[is_axon] = CLASSES[axon]
        self.write(box, classes)

    def cut(self, fibre_id: int, start: Pixel, end: Pixel) -> None:
        """Turn the pixels of a fibre on a line into background; what was merged falls apart."""
        box = self.boxes[fibre_id]
        classes = self.labels[box].copy()
        classes[_line(start, end, box) & (self.fibres[box] == fibre_id)] = CLASSES["background"]
        self.merged = self.merged - {fibre_id}
        self._unsettled.append((box, {fibre_id}))
        self.write(box, classes)

    def merge(self, ids: Sequence[int]) -> int:
        """Make fibres one, with the first id; return of how many pieces its axon is."""
        for i in ids[1:]:
            window = self.boxes[i]
            axons, fibres = (
                np.where(objects[window] == i, np.int32(ids[0]), objects[window])
                for objects in (self.axons, self.fibres)
            )
            self._put(window, (self.labels[window], axons, fibres))
            self._place({ids[0]: hull([self.boxes[ids[0]], window]), i: None})
        self.merged = (self.merged - set(ids)) | {ids[0]}
        _, n_pieces = ndimage.label(self.axons[self.boxes[ids[0]]] == ids[0])
        return int(n_pieces)

    def settle(self) -> None:
        """Let the objects follow the classes."""
        while self._unsettled:
            spot, moved = self._unsettled.pop(0)
            window, axons, fibres = self._relabel(spot, moved & self.boxes.keys())
            ids = _differing(self.fibres[window], fibres) | _differing(self.axons[window], axons)
            self._put(window, (self.labels[window], axons, fibres))
            found = _boxes(np.where(self._among(fibres, ids), fibres, 0))
            self._place({i: shift(found[i], window) if i in found else None for i in ids})
            self.next_id = max(self.next_id, *(i + 1 for i in ids), 1)
        self.merged = self.merged.intersection(self.boxes)

    @property
    def touched(self) -> set[int]:
        """Ids of the fibres that differ from those of the last `take`."""
        return set(self._places)

    def take(self) -> Change:
        """Return what takes back all that was done since it was last asked for."""
        change = Change(self._parts, self._places, self._were_merged)
        self._unsettled.clear()
        self._forget()
        return change

    def exchange(self, change: Change) -> Change:
        """Apply a change, and return what takes it back."""
        for part in change.parts:
            part.apply(self._planes)
        self._place(change.boxes)
        back = Change(change.parts, self._places, self._were_merged)
        self.merged = change.merged
        self._forget()
        return back

    def _forget(self) -> None:
        self._parts: list[_Part] = []
        self._places: dict[int, Box | None] = {}
        self._were_merged = self.merged

    @property
    def _planes(self) -> Planes:
        return self.labels, self.axons, self.fibres

    def _put(self, window: Box, planes: Planes) -> None:
        """Write a window of all arrays, and keep what takes it back."""
        part = _Part.between(window, [plane[window] for plane in self._planes], planes)
        if part:
            part.apply(self._planes)
            self._parts.append(part)

    def _place(self, boxes: dict[int, Box | None]) -> None:
        """Note where fibres are now, and keep where they were."""
        for i, box in boxes.items():
            self._places.setdefault(i, self.boxes.pop(i, None))
            self.boxes.pop(i, None)
            if box:
                self.boxes[i] = box

    def _relabel(self, spot: Box, moved: set[int]) -> tuple[Box, Objects, Objects]:
        """Return a window around a spot, and its objects as they follow from the classes."""
        while True:
            window, inner = self._surroundings(spot, moved)
            before = self.fibres[window]
            is_inner = self._among(before, inner)
            classes = np.where(is_inner | (before == 0), self.labels[window], np.uint8(0))
            axons, fibres = label_fibres(
                classes, pixel_size=self.pixel_size, min_axon_diameter=self.min_axon_diameter
            )
            names = self._names(axons, self.axons[window])
            axons, fibres = names[axons], names[fibres]

            spread = (inner - moved) & _differing(before, fibres)
            is_own = self._among(fibres, moved) | (fibres >= self.next_id)
            is_free = (before == 0) | self._among(before, moved)
            if spread:
                moved = moved | spread
            elif _reaches_out(is_own & (before == 0), window, self.labels.shape):
                spot = window
            else:
                new_axons = np.where(is_free, np.where(is_own, axons, 0), self.axons[window])
                return window, new_axons, np.where(is_free, np.where(is_own, fibres, 0), before)

    def _surroundings(self, spot: Box, moved: set[int]) -> tuple[Box, set[int]]:
        """Return the fibres that moved and those beside them, and a window that holds them all."""
        shape = self.fibres.shape
        core = hull([spot, *(self.boxes[i] for i in moved)])
        inner = moved | ids_in(self.fibres[grow(core, 1, shape)])
        return grow(hull([core, *(self.boxes[i] for i in inner)]), 1, shape), inner

    def _names(self, axons: Objects, former: Objects) -> Objects:
        """Return the id of every newly labelled axon: of the former one it overlaps most.

        Of several axons that overlap a former one, the one that overlaps it most takes its id.
        """
        names = np.zeros(int(axons.max()) + 1, np.int32)
        both = (axons > 0) & (former > 0)
        pairs, overlap = np.unique(
            axons[both].astype(np.int64) * self.next_id + former[both], return_counts=True
        )
        taken: set[int] = set()
        for pair in pairs[np.argsort(-overlap, kind="stable")].tolist():
            axon, name = divmod(pair, self.next_id)
            if names[axon] == 0 and (name not in taken or name in self.merged):
                names[axon] = name
                taken.add(name)
        new = np.flatnonzero(names[1:] == 0) + 1
        names[new] = np.arange(self.next_id, self.next_id + len(new), dtype=np.int32)
        return names

    def _among(self, objects: Objects, ids: Collection[int]) -> NDArray[np.bool_]:
        """Tell which pixels belong to some of the objects."""
        wanted = np.zeros(max(self.next_id, int(objects.max()) + 1), bool)
        wanted[list(ids)] = True
        return wanted[objects]


@dataclass(frozen=True)
class _Part:
    """Where two states of a rectangle of pixels differ."""

    box: Box
    packed: list[bytes] = field(repr=False)  # the bits that differ, plane by plane

    @classmethod
    def between(cls, window: Box, before: Planes, after: Planes) -> _Part | None:
        """Return how two states of a window differ, if they do."""
        bits = [a ^ b for a, b in zip(before, after, strict=True)]
        differs = np.logical_or.reduce([plane != 0 for plane in bits])
        if not differs.any():
            return None
        inner = bounds(differs)
        return cls(shift(inner, window), [zlib.compress(b[inner].tobytes(), 1) for b in bits])

    @property
    def size(self) -> int:
        return sum(len(bits) for bits in self.packed)

    def apply(self, planes: Planes) -> None:
        """Lead the arrays of the whole image from either state to the other."""
        for plane, packed in zip(planes, self.packed, strict=True):
            view = plane[self.box]
            view ^= np.frombuffer(zlib.decompress(packed), plane.dtype).reshape(view.shape)


def hull(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around some boxes."""
    rows, columns = zip(*boxes, strict=True)
    return (
        slice(min(r.start for r in rows), max(r.stop for r in rows)),
        slice(min(c.start for c in columns), max(c.stop for c in columns)),
    )


def grow(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    """Return a box with a margin, as far as the image goes."""
    rows, columns = (
        slice(max(side.start - margin, 0), min(side.stop + margin, n))
        for side, n in zip(box, shape, strict=True)
    )
    return rows, columns


def ids_in(objects: NDArray[np.integer[Any]]) -> set[int]:
    """Return the ids of the objects in an array."""
    return set(np.unique(objects).tolist()) - {0}


def _line(start: Pixel, end: Pixel, box: Box) -> NDArray[np.bool_]:
    """Return the pixels of a line within a box."""
    y, x = line_pixels(*start, *end)  # type: ignore[no-untyped-call]
    rows, columns = box
    inside = (y >= rows.start) & (y < rows.stop) & (x >= columns.start) & (x < columns.stop)
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
    mask[y[inside] - rows.start, x[inside] - columns.start] = True
    return mask


def _differing(before: Objects, after: Objects) -> set[int]:
    """Return the ids of the objects that differ between two states."""
    differs = before != after
    return ids_in(before[differs]) | ids_in(after[differs])


def _boxes(objects: Objects) -> dict[int, Box]:
    """Return the bounding boxes of objects by their ids."""
    return {i: box for i, box in enumerate(ndimage.find_objects(objects), start=1) if box}


def bounds(mask: NDArray[np.bool_]) -> Box:
    """Return the bounding box of a mask that is not empty."""
    box: Box = ndimage.find_objects(mask.view(np.uint8))[0]
    return box


def shift(box: Box, window: Box) -> Box:
    """Return where a box of a window lies in the image."""
    rows, columns = (
        slice(side.start + frame.start, side.stop + frame.start)
        for side, frame in zip(box, window, strict=True)
    )
    return rows, columns


def _reaches_out(mask: NDArray[np.bool_], window: Box, shape: tuple[int, ...]) -> bool:
    """Tell whether a mask touches a side of its window that is no side of the image."""
    rows, columns = window
    return bool(
        (rows.start > 0 and mask[0].any())
        or (columns.start > 0 and mask[:, 0].any())
        or (rows.stop < shape[0] and mask[-1].any())
        or (columns.stop < shape[1] and mask[:, -1].any())
    )
