"""From classes to things: every axon with the myelin that is its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import count, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import relabel_sequential, watershed

from axonlab.cells import label_cells as label_cells
from axonlab.micrograph import CLASSES, check_pixel_size, check_plane
from axonlab.neurite_objects import BoundaryWatershed as BoundaryWatershed
from axonlab.neurite_objects import MeanAffinity as MeanAffinity
from axonlab.neurite_objects import MutexWatershed as MutexWatershed
from axonlab.neurite_objects import label_neurites as label_neurites

MAX_NECK = 0.7
"""Width of a neck, relative to the narrower of the two parts it joins, that separates axons.

It raises F1 of the unmyelinated axons that the model `tem` finds in `mouse-tem` from 0.79 to 0.84;
from 0.6 to 0.85 it makes no difference of 0.01. Of 738 axons of the manual masks it cuts 8, as
does a value of 0.3."""

MIN_PART_RADIUS = 5
"""In pixels, of the largest disc within a part: outlines of smaller ones have necks by chance."""

_MANY_BROKEN_LINES = 1 / 20  # of the rows or columns of an object; a convex one has none
_GROUP = 1 << 15  # pixels that waves start from at once, more where they are of one piece

FREE = -1
"""In place of an id: myelin that several axons may get."""

Box = tuple[slice, slice]
Wave = NDArray[np.integer]
"""A column per pixel: its place in the flat image, rows and columns from its start, its id."""


def label_fibres(
    labels: NDArray[np.uint8],
    *,
    pixel_size: float,
    min_axon_diameter: float = 0.0,
    separate: Collection[str] = ("unmyelinated axon",),
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number the axons and give each the myelin that belongs to it.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Class ids.
    pixel_size : float
        In µm.
    min_axon_diameter : float
        Equivalent diameter in µm below which an axon is taken for a speck and left out, with its
        myelin. By default nothing is left out.
    separate : collection of {"axon", "unmyelinated axon"}
        Classes whose axons are cut at necks: where two touch, they are one piece of the mask.
        Myelin keeps axons apart, so that cutting "axon" gains nothing (see Notes); objects that
        were drawn one by one need no cutting at all: ``separate=()``.

    Returns
    -------
    axons, fibres : (H, W) int32 array
        0 is background, ids run from 1 without gaps and are the same in both: first the axons of
        class 2 in the order of their uppermost pixels, then unmyelinated ones; what is cut off an
        axon comes after the others of its class. A fibre is its axon and its myelin; myelin that
        touches no axon is background in both.

    Raises
    ------
    ValueError
        If `labels` is not one plane, the pixel size is absurd, or `separate` names another class.

    Notes
    -----
    Pixels belong together when they share an edge, so that a background line one pixel wide
    separates two fibres even where it runs diagonally. What an axon encloses is not added to it;
    `axonlab.validity` flags such holes.

    Myelin that several axons share goes to the nearest axon that it hangs together with: the
    border runs midway between the axons.

    Axons are cut by a watershed on the distance d to the outline. Its seeds are the maxima of
    log d that rise by -log `MAX_NECK` above the pass to a higher one, so that a neck counts
    relative to what it joins, and elongated or curved axons, which have none, stay whole.
    Of 8600 objects of class "axon" that models found in `mouse-tem` and `rat-sem`, 13 were several
    axons; cutting would free 1 of them and break 7 axons.
    """
    check_plane(labels, "labels")
    check_pixel_size(pixel_size, "labels")
    unknown = sorted(set(separate) - {"axon", "unmyelinated axon"})
    if unknown:
        raise ValueError(f"separate: {unknown} cannot be, expected axon or unmyelinated axon.")
    min_pixels = np.pi / 4 * (min_axon_diameter / pixel_size) ** 2
    axons, n_axons = _axons(labels, "axon", separate, min_pixels)
    fibres = _grow_into_myelin(axons, n_axons, labels == CLASSES["myelin"])

    bare, n_bare = _axons(labels, "unmyelinated axon", separate, min_pixels)
    if n_bare:
        bare[bare > 0] += n_axons
        axons += bare
        fibres += bare
    return axons, fibres


def _axons(
    labels: NDArray[np.uint8], class_name: str, separate: Collection[str], min_pixels: float
) -> tuple[NDArray[np.int32], int]:
    """Number the axons of a class that are large enough."""
    mask = labels == CLASSES[class_name]
    objects, n = ndimage.label(mask, output=np.int32)
    if class_name in separate:
        n = _cut_necks(objects, n)
    if min_pixels <= 1:
        return objects, n
    kept = np.bincount(objects[mask], minlength=n + 1) >= min_pixels
    kept[0] = False
    ids = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return ids[objects], int(kept.sum())


def _cut_necks(objects: NDArray[np.int32], n: int) -> int:
    """Cut objects at their necks, in place; return how many there are then."""
    boxes: list[Box] = ndimage.find_objects(objects)
    for i, box in enumerate(boxes, start=1):
        parts = parts_between_necks(objects[box] == i)
        objects[box][parts > 1] = n - 1 + parts[parts > 1]
        n += int(parts.max()) - 1
    return n


def parts_between_necks(inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the parts of one object between its necks, see `label_fibres`.

    Parameters
    ----------
    inside : (h, w) bool array
        Its bounding box.

    Returns
    -------
    (h, w) int32 array
        From 1, 0 outside; 1 everywhere inside of what has no neck.
    """
    if min(inside.shape) <= 2 * MIN_PART_RADIUS or not _has_broken_lines(inside):
        return inside.astype(np.int32)
    parts = _parts(inside)
    return parts if parts.any() else inside.astype(np.int32)


def share_myelin(
    axons: NDArray[np.int32], myelin: NDArray[np.bool_], *, waves: int | None = None
) -> NDArray[np.int32]:
    """Let waves spread from axons over myelin, as in `label_fibres` but no further.

    Parameters
    ----------
    axons : (H, W) int32 array
        Ids, of a part of an image.
    myelin : (H, W) bool array
    waves : int, optional
        How often the waves go on by a pixel; without it, to the end. What lies further than twice
        as many pixels from what was cut off is as it would be in the whole image: to undo a
        decision, news of what is there would have to travel faster than a wave and against the
        order of the distances.

    Returns
    -------
    (H, W) int32 array
        Axons with their myelin; -1 is myelin that no wave has reached yet.
    """
    rimmed = np.zeros([n + 2 for n in axons.shape], np.int32)
    owner = rimmed[1:-1, 1:-1]
    np.copyto(owner, axons)
    owner[myelin] = FREE
    pieces, _ = ndimage.label(rimmed, output=np.int32)
    starts = np.flatnonzero(_beside_free(rimmed))
    _divide(rimmed, starts, pieces.reshape(-1)[starts], waves)
    return owner.copy()


def _has_broken_lines(inside: NDArray[np.bool_]) -> bool:
    """Tell whether many rows or columns leave the object and enter it again.

    Below a neck of `MAX_NECK` they do, whatever its direction; most axons need no further look.
    """
    for lines in (inside, inside.T):
        begins = np.count_nonzero(lines[:, 1:] > lines[:, :-1]) + np.count_nonzero(lines[:, 0])
        if begins > (1 + _MANY_BROKEN_LINES) * len(lines):
            return True
    return False


def _parts(inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the parts of an object between its necks."""
    padded = np.pad(inside, 1)
    depth = ndimage.distance_transform_edt(ndimage.binary_fill_holes(padded))  # vacuoles: no necks
    # At this floor no part that is narrower than it must be rises above a neck.
    height = np.log(np.maximum(depth, MAX_NECK * MIN_PART_RADIUS))
    hills = reconstruction(height + np.log(MAX_NECK), height)  # type: ignore[no-untyped-call]
    peaks = local_maxima(hills)  # type: ignore[no-untyped-call]
    seeds, _ = ndimage.label(peaks, np.ones((3, 3)))
    seeds, _, _ = relabel_sequential(seeds * padded)  # type: ignore[no-untyped-call]
    parts = watershed(-depth, seeds, mask=padded)  # type: ignore[no-untyped-call]
    return np.asarray(parts[1:-1, 1:-1], np.int32)


def _grow_into_myelin(
    axons: NDArray[np.int32], n_axons: int, myelin: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Return axons with their myelin."""
    is_axon = axons > 0
    pieces, n_pieces = ndimage.label(is_axon | myelin, output=np.int32)
    piece_of_axon = np.zeros(n_axons + 1, np.int32)
    piece_of_axon[axons[is_axon]] = pieces[is_axon]
    n_axons_in = np.bincount(piece_of_axon[1:], minlength=n_pieces + 1)
    # Most pieces hold one axon and are its fibre; the myelin of the others is divided.
    owner = np.zeros(n_pieces + 1, np.int32)
    owner[piece_of_axon[1:]] = np.arange(1, n_axons + 1, dtype=np.int32)
    owner[n_axons_in > 1] = FREE
    del myelin  # memory is dear
    rimmed = np.zeros([n + 2 for n in axons.shape], np.int32)
    fibres = rimmed[1:-1, 1:-1]
    for row, row_of_pieces in zip(fibres, pieces, strict=True):
        row[:] = owner[row_of_pieces]
    del pieces
    np.copyto(fibres, axons, where=is_axon)
    del is_axon
    if (n_axons_in > 1).any():
        starts = np.flatnonzero(_beside_free(rimmed))
        _divide(rimmed, starts, piece_of_axon[rimmed.reshape(-1)[starts]])
    return fibres.copy()


def _divide(
    owner: NDArray[np.int32],
    starts: NDArray[np.intp],
    pieces: NDArray[np.int32],
    waves: int | None = None,
) -> None:
    """Give every free pixel to the nearest axon that it hangs together with, in place.

    Waves start at pixels of axons that are `_beside_free` ones, of the pieces given. The rim of
    the image is not free, so that no wave leaves it.
    """
    flat = owner.reshape(-1)
    # Pieces have nothing to do with each other: some at a time, their pixels stay in the cache.
    order = np.argsort(pieces, kind="stable")
    _, first = np.unique(pieces[order], return_index=True)
    ends_group = np.diff(first // _GROUP) > 0
    for group in np.split(starts[order], first[1:][ends_group]):
        _spread(group, flat, owner.shape[1], waves)


def _spread(
    starts: NDArray[np.intp], flat: NDArray[np.int32], width: int, waves: int | None
) -> None:
    """Let waves spread from some pixels of axons over the free ones, which become theirs.

    The pixels of a wave know how many rows and columns they are from the pixel they started at,
    so that it is round; it enters free pixels by their edges, in the order of that distance.
    """
    farthest = width**2 + (flat.size // width) ** 2
    index = np.int32 if farthest <= np.iinfo(np.int32).max else np.int64
    nothing = np.zeros(len(starts), index)
    wave = np.stack([starts.astype(index), nothing, nothing, flat[starts]])
    waiting = wave[:, :0]
    for _ in count() if waves is None else range(waves):
        waiting = np.concatenate([waiting, *_steps(wave, flat, width)], axis=1)
        if not waiting.size:
            break
        squared = waiting[1] ** 2 + waiting[2] ** 2
        is_near = squared < (int(np.sqrt(squared.min())) + 1) ** 2
        near = np.flatnonzero(is_near)
        wave = _first_to_arrive(waiting.take(near, axis=1), squared[near], flat)
        waiting = waiting.take(np.flatnonzero(~is_near), axis=1)
        flat[wave[0]] = wave[3]


def _beside_free(owner: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell which pixels of axons have a free neighbour; the rim of the image holds none."""
    is_free = owner == FREE
    beside: NDArray[np.bool_] = np.zeros_like(is_free)
    for axis, step in product((0, 1), (-1, 1)):
        beside |= np.roll(is_free, step, axis)
    beside &= owner > 0
    return beside


def _steps(wave: Wave, flat: NDArray[np.int32], width: int) -> Iterator[Wave]:
    """Yield a wave one step on in each direction, where that is free; some pixels twice."""
    for step in ((-width, -1, 0), (-1, 0, -1), (1, 0, 1), (width, 1, 0)):
        onto_free = np.flatnonzero(flat[wave[0] + wave.dtype.type(step[0])] == FREE)
        yield wave.take(onto_free, axis=1) + np.array([[*step, 0]], wave.dtype).T


def _first_to_arrive(wave: Wave, squared: NDArray[np.integer], flat: NDArray[np.int32]) -> Wave:
    """Keep what still is free, and of every pixel of the wave only the nearest arrival."""
    free = np.flatnonzero(flat[wave[0]] == FREE)
    # Of several values that are written to one place the last one stays.
    wave = wave.take(free[np.argsort(-squared[free], kind="stable")], axis=1)
    mark = np.arange(FREE - wave.shape[1], FREE, dtype=np.int32)
    flat[wave[0]] = mark
    return wave.take(np.flatnonzero(flat[wave[0]] == mark), axis=1)
