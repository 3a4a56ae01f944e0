"""Objects of a class become class ids, and class ids objects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from axonlab.exchange.dialects import NAMES, Drawn, RefusedError, some
from axonlab.exchange.polygons import Shape
from axonlab.micrograph import CLASSES, UNLABELLED

_KNOWN = {
    "background": CLASSES["background"],
    "myelin": CLASSES["myelin"],
    "myelinsheath": CLASSES["myelin"],
    "axon": CLASSES["axon"],
    "unmyelinatedaxon": CLASSES["unmyelinated axon"],
    "uaxon": CLASSES["unmyelinated axon"],
    "unlabelled": UNLABELLED,
    "unlabeled": UNLABELLED,
    "ignore": UNLABELLED,  # QuPath's Ignore*
}
_TARGETS = {**CLASSES, "unlabelled": UNLABELLED}
_PAINTED = (UNLABELLED, *CLASSES.values())  # what comes later lies above
_NAMELESS = re.compile(r"[\W\d_]*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_CLASS = '{} objects have no class. Say what they are, for example default="axon".'
_OVERHANG = 1.0  # pixels; programs let outlines end on either side of the border


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def vocabulary(names: Mapping[str, str]) -> dict[str, int]:
    """Return class ids by our names and spellings, and by those of the caller."""
    return _KNOWN | {_key(name): target(ours) for name, ours in names.items()}


def target(name: str) -> int:
    """Return the id of a class by our name."""
    if name not in _TARGETS:
        raise ValueError(f"Unknown class {name!r}, known are {list(_TARGETS)}.")
    return _TARGETS[name]


def classes_of(drawn: list[Drawn], known: dict[str, int], nameless: int | None) -> list[int]:
    """Return the class of every object."""
    counts = Counter(one.name for one in drawn)
    ids = {name: _class_id(name, known, nameless) for name in counts}
    unknown = [name for name, class_id in ids.items() if class_id is None]
    silent = sum(counts[name] for name in unknown if _NAMELESS.fullmatch(name))
    named = [name for name in unknown if not _NAMELESS.fullmatch(name)]
    if named:
        raise RefusedError(
            f"found the classes {some(named)}, known are {list(_TARGETS)}. Say what they mean: "
            f'names={{{named[0]!r}: "axon"}}; what is of no interest is "background".'
        )
    if silent:
        raise RefusedError(_NO_CLASS.format(silent))
    return [class_id for one in drawn if (class_id := ids[one.name]) is not None]


def _class_id(name: str, known: dict[str, int], nameless: int | None) -> int | None:
    key = _key(name)
    stem = key.rstrip("0123456789")
    for spelling in (key, stem, stem.removesuffix("s")):
        if spelling in known:
            return known[spelling]
    return nameless if _NAMELESS.fullmatch(name) else None


def check_places(drawn: list[Drawn], shape: Shape) -> list[str]:
    """Refuse objects outside the image; return a note on those that reach beyond it."""
    extents = np.array([one.extent for one in drawn], np.float64).reshape(-1, 4)
    low, high, size = extents[:, :2], extents[:, 2:], np.array(shape[::-1])
    outside = np.flatnonzero(((high < 0) | (low > size)).any(axis=1))
    if outside.size:
        x, y = low[outside[0]]
        raise RefusedError(
            f"{outside.size} of {len(drawn)} objects lie outside an image of shape {shape}, one at "
            f"row {y:g}, column {x:g}. Pass the shape (rows, columns) of the image that was "
            "labelled, at the size it had."
        )
    beyond = ((low < -_OVERHANG) | (high > size + _OVERHANG)).any(axis=1).sum()
    if not beyond:
        return []
    return [
        f"{beyond} of {len(drawn)} objects reach beyond an image of shape {shape} and are cut "
        "there. Check that they belong to this image."
    ]


def paint(
    drawn: list[Drawn], classes: list[int], shape: Shape
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return an object image and the class of every object."""
    order = sorted(range(len(drawn)), key=lambda i: _PAINTED.index(classes[i]))
    objects = np.zeros(shape, np.int32)
    for number, i in enumerate(order, 1):
        for part in drawn[i].parts:
            box, mask = part(shape)
            objects[box][mask] = number
    return objects, np.array([0, *(classes[i] for i in order)], np.uint8)


def renumbered(
    objects: NDArray[np.integer[Any]], shape: Shape, nameless: int | None
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return objects numbered from 1 without gaps, and their class."""
    check_shape(objects, shape)
    ids = np.unique(objects)
    if ids[0] < 0:
        raise RefusedError(f"object ids from {ids[0]}, expected 0 for background and up.")
    ids = ids[ids > 0]
    if nameless is None:
        raise RefusedError(_NO_CLASS.format(len(ids)))
    numbers = np.searchsorted(ids, objects, side="right").astype(np.int32)
    return numbers, np.array([0] + [nameless] * len(ids), np.uint8)


def separate(objects: NDArray[np.int32], class_of: NDArray[np.uint8]) -> None:
    """Take from the larger of two axons that touch the pixels where they do, in place.

    Examples
    --------
    >>> objects = np.array([[1, 1, 1, 2, 2]], np.int32)
    >>> separate(objects, np.array([0, 2, 2], np.uint8))
    >>> objects
    array([[1, 1, 0, 2, 2]], dtype=int32)
    """
    sizes = np.bincount(objects.ravel())
    is_axon = np.isin(class_of, [CLASSES["axon"], CLASSES["unmyelinated axon"]])
    for one, other in ((objects[:-1], objects[1:]), (objects[:, :-1], objects[:, 1:])):
        row, column = np.nonzero(one != other)
        a, b = one[row, column], other[row, column]
        touch = is_axon[a] & (class_of[a] == class_of[b])
        row, column, a, b = row[touch], column[touch], a[touch], b[touch]
        gives = sizes[a] >= sizes[b]
        one[row[gives], column[gives]] = 0
        other[row[~gives], column[~gives]] = 0


def missing(objects: NDArray[np.int32], class_of: NDArray[np.uint8]) -> list[str]:
    """Return a note on objects of which nothing is left."""
    is_gone = np.bincount(objects.ravel(), minlength=len(class_of)) == 0
    gone = class_of[1:][is_gone[1:]]
    gone = gone[(gone != CLASSES["background"]) & (gone != UNLABELLED)]
    if not gone.size:
        return []
    kinds = ", ".join(f"{n} × {NAMES[kind]}" for kind, n in Counter(gone.tolist()).items())
    return [
        f"nothing is left of {kinds}: they hold no centre of a pixel, or lie under others. If they "
        "matter, move them apart where they were drawn."
    ]


def check_shape(array: NDArray[Any], shape: Shape) -> None:
    """Refuse labels that have not the shape of the image."""
    if array.shape != shape:
        raise RefusedError(
            f"labels of shape {array.shape} for an image of shape {shape}. Pass the shape of the "
            "image that was labelled, and the labels that belong to it."
        )


def objects_of(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Number the edge-connected pieces of every class; return them and their classes."""
    objects = np.zeros(labels.shape, np.int32)
    classes = [0]
    for class_id in (*list(CLASSES.values())[1:], UNLABELLED):
        mask = labels == class_id
        pieces, n = ndimage.label(mask, output=np.int32)
        np.add(objects, pieces + np.int32(len(classes) - 1), out=objects, where=mask)
        classes += [class_id] * n
    return objects, np.array(classes, np.uint8)


def pieces_of(
    axons: NDArray[np.int32], fibres: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.uint8], list[str]]:
    """Number the connected pieces of every axon and of its myelin.

    Returns
    -------
    objects : (H, W) int32 array
    classes : (N + 1,) uint8 array
    numbers : list of str
        What each piece is called: the id of its fibre, and which piece it is after the first.
    """
    inner = measure.label(axons, connectivity=1)  # type: ignore[no-untyped-call]
    outer = measure.label(np.where(axons == 0, fibres, 0), connectivity=1)  # type: ignore[no-untyped-call]
    n_inner = int(inner.max())
    objects = np.where(inner > 0, inner, outer + n_inner * (outer > 0)).astype(np.int32)
    fibre_of = np.zeros(int(objects.max()) + 1, np.int32)
    fibre_of[objects] = fibres
    classes = np.full(len(fibre_of), CLASSES["myelin"], np.uint8)
    has_myelin = np.isin(fibre_of, fibre_of[n_inner + 1 :])
    classes[: n_inner + 1] = CLASSES["unmyelinated axon"]
    classes[: n_inner + 1][has_myelin[: n_inner + 1]] = CLASSES["axon"]
    classes[0] = CLASSES["background"]
    seen: Counter[tuple[int, int]] = Counter()
    numbers = []
    for piece in zip(fibre_of.tolist(), classes.tolist(), strict=True):
        seen[piece] += 1
        numbers.append(f"{piece[0]:05d}" + (f"-{seen[piece]}" if seen[piece] > 1 else ""))
    return objects, classes, numbers
