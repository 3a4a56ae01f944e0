"""The objects of a window of a larger image, after some of its classes were corrected."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from axonlab.micrograph import CLASSES
from axonlab.objects import Box, parts_between_necks, share_myelin
from axonlab.partition import ids_in

Mask = NDArray[np.bool_]
Objects = NDArray[np.int32]
Ends = tuple[tuple[bool, bool], tuple[bool, bool]]
"""Whether the image ends above and below the window, and to its left and right."""


class Planes(NamedTuple):
    """A window: class ids, and the objects that follow from those of the whole image."""

    classes: NDArray[np.uint8]
    axons: Objects
    fibres: Objects

    def cut(self, box: Box) -> Planes:
        """Return a part of the window."""
        return Planes(self.classes[box], self.axons[box], self.fibres[box])

    def differ(self, other: Planes) -> tuple[Mask, Mask, Mask]:
        """Tell where each of the planes differs from that of another state of the window."""
        return (
            self.classes != other.classes,
            self.axons != other.axons,
            self.fibres != other.fibres,
        )


def relabel(
    now: Planes, corrected: NDArray[np.uint8], ends: Ends, *, min_pixels: float, next_id: int
) -> Planes | None:
    """Return a window as it is after a correction, if the window shows all that the change reaches.

    Parameters
    ----------
    now : Planes
        Of shape (H, W); the objects are those of `axonlab.objects.label_fibres` up to their ids.
    corrected : (H, W) uint8 array
        Class ids.
    ends : pair of pair of bool
    min_pixels : float
        Number of pixels below which an axon is left out.
    next_id : int
        For the first new fibre.

    Returns
    -------
    Planes or None
        The objects are again those of the whole image up to ids. A fibre whose axon stays the
        same keeps its id; other axons get that of the former axon they overlap most, or else of
        the former fibre, each id once, and what is left over gets new ids. None if something that
        may be another reaches a side of the window where the image goes on: take a larger one.

    Notes
    -----
    An axon depends on nothing but the pixels of its class that hang together, so those at changed
    pixels are labelled anew.

    Myelin goes to the axon that reaches it first, over pixels that are that axon's own. So what a
    fibre gets depends on its own pixels and on the fibres beside it: fibres that hold or touch
    changed pixels are divided anew together with those beside them. If one of the latter comes
    out as another, it counts as changed as well, and all is done again. What is left in the end
    is enclosed by fibres that stay what they were, whose waves arrive where and when they did.

    Examples
    --------
    >>> classes = np.array([[1, 1, 1, 0, 1, 1], [1, 2, 1, 0, 2, 1], [1, 1, 1, 0, 1, 1]], np.uint8)
    >>> fibres = np.array([[1, 1, 1, 0, 2, 2]] * 3, np.int32)
    >>> now = Planes(classes, np.where(classes == 2, fibres, 0), fibres)
    >>> corrected = classes.copy()
    >>> corrected[1, 1] = 1
    >>> everywhere = ((True, True), (True, True))
    >>> relabel(now, corrected, everywhere, min_pixels=0, next_id=3).fibres[1]
    array([0, 0, 0, 0, 2, 2], dtype=int32)
    """
    axons = _axons(now, corrected, ends, min_pixels, next_id)
    fibres = None if axons is None else _fibres(now, corrected, axons, ends)
    if axons is None or fibres is None:
        return None
    is_bare = corrected == CLASSES["unmyelinated axon"]
    np.copyto(fibres, axons, where=is_bare)
    return Planes(corrected, axons, fibres)


def _axons(
    now: Planes, corrected: NDArray[np.uint8], ends: Ends, min_pixels: float, next_id: int
) -> Objects | None:
    """Return the axons, those at changed pixels labelled anew."""
    changed = now.classes != corrected
    near = ndimage.binary_dilation(changed)
    is_anew = changed.copy()
    anew, n = np.zeros(changed.shape, np.int32), 0
    for name in ("axon", "unmyelinated axon"):
        objects, _ = ndimage.label(corrected == CLASSES[name], output=np.int32)
        touched = sorted(ids_in(objects[near]))
        if _reaches_out(np.isin(objects, touched), ends):
            return None
        boxes = ndimage.find_objects(objects)
        for i in touched:
            box = boxes[i - 1]
            inside = objects[box] == i
            parts = inside.astype(np.int32) if name == "axon" else parts_between_necks(inside)
            area = np.bincount(parts[inside])[1:]
            kept = area >= min_pixels if min_pixels > 1 else area > 0
            numbers = np.where(kept, np.cumsum(kept) + n, 0)
            anew[box][inside] = numbers[parts[inside] - 1]
            is_anew[box][inside] = True
            n += int(kept.sum())
    stay = np.where(is_anew, np.int32(0), now.axons)
    names = _names(anew, n, now, ids_in(stay), next_id)
    return stay + names[anew]


def _names(
    anew: Objects, n: int, now: Planes, taken: Collection[int], next_id: int
) -> NDArray[np.int32]:
    """Return the id of every axon that was labelled anew, from 1 to `n`."""
    both = (anew > 0) & (now.fibres > 0)
    pairs, pair = np.unique(
        anew[both].astype(np.int64) * next_id + now.fibres[both], return_inverse=True
    )
    of_fibre = np.bincount(pair, minlength=len(pairs))
    of_axon = np.bincount(pair[now.axons[both] > 0], minlength=len(pairs))
    names = np.zeros(n + 1, np.int32)
    taken = set(taken)
    for at in np.lexsort((-of_fibre, -of_axon)).tolist():
        axon, name = divmod(int(pairs[at]), next_id)
        if names[axon] == 0 and name not in taken:
            names[axon] = name
            taken.add(name)
    new = np.flatnonzero(names[1:] == 0) + 1
    names[new] = np.arange(next_id, next_id + len(new), dtype=np.int32)
    return names


def _fibres(
    now: Planes, corrected: NDArray[np.uint8], axons: Objects, ends: Ends
) -> Objects | None:
    """Return the myelinated fibres; where myelin cannot be others' than before, they stay."""
    was_axon, is_axon = (
        np.where(classes == CLASSES["axon"], ids, np.int32(0))
        for classes, ids in ((now.classes, now.axons), (corrected, axons))
    )
    was = np.where(now.classes == CLASSES["unmyelinated axon"], np.int32(0), now.fibres)
    is_myelin = corrected == CLASSES["myelin"]
    changed = (was_axon != is_axon) | (is_myelin != (now.classes == CLASSES["myelin"]))
    near = ndimage.binary_dilation(changed)
    moved = ids_in(was[near]) | ids_in(is_axon[near])
    while True:
        near = ndimage.binary_dilation(changed | _among(was, moved))
        inner = moved | ids_in(was[near])
        is_inner = _among(was, inner)
        is_open = is_inner | (was == 0)
        starts = np.where(_among(is_axon, inner), is_axon, np.int32(0))
        fibres = share_myelin(starts, is_myelin & is_open)
        fibres[fibres < 0] = 0  # of no axon
        if _reaches_out(is_inner | ((fibres > 0) & (was == 0)), ends):
            return None
        differ = is_open & (fibres != was)
        more = (ids_in(was[differ]) | ids_in(fibres[differ])) - moved
        if not more:
            return np.where(is_open, fibres, was)
        moved |= more


def _among(objects: Objects, ids: Collection[int]) -> Mask:
    """Tell which pixels belong to some of the objects."""
    return np.isin(objects, list(ids))


def _reaches_out(mask: Mask, ends: Ends) -> bool:
    """Tell whether a mask touches a side of its window that is no side of the image."""
    sides = ((mask[0], mask[-1]), (mask[:, 0], mask[:, -1]))
    return any(
        bool(side.any()) and not end
        for pair, pair_ends in zip(sides, ends, strict=True)
        for side, end in zip(pair, pair_ends, strict=True)
    )
