"""From classes to things: every axon with the myelin that is its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from axonlab.micrograph import CLASSES, check_pixel_size, check_plane

Box = tuple[slice, slice]


def label_fibres(
    labels: NDArray[np.uint8], *, pixel_size: float, min_axon_diameter: float = 0.0
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

    Returns
    -------
    axons, fibres : (H, W) int32 array
        0 is background, ids run from 1 without gaps and are the same in both: first the axons of
        class 2 in the order of their uppermost pixels, then unmyelinated ones. A fibre is its
        axon and its myelin; myelin that touches no axon is background in both.

    Raises
    ------
    ValueError
        If `labels` is not one plane or the pixel size is absurd.

    Notes
    -----
    Pixels belong together when they share an edge, so that a background line one pixel wide
    separates two fibres even where it runs diagonally. Where several axons share one piece of
    myelin, it is divided by a watershed on the distance from the axons.
    """
    check_plane(labels, "labels")
    check_pixel_size(pixel_size, "labels")
    min_pixels = np.pi / 4 * (min_axon_diameter / pixel_size) ** 2
    axons, n_axons = _components(labels == CLASSES["axon"], min_pixels)
    fibres = _grow_into_myelin(axons, n_axons, labels == CLASSES["myelin"])

    bare, n_bare = _components(labels == CLASSES["unmyelinated axon"], min_pixels)
    if n_bare:
        bare[bare > 0] += n_axons
        axons += bare
        fibres += bare
    return axons, fibres


def _components(mask: NDArray[np.bool_], min_pixels: float) -> tuple[NDArray[np.int32], int]:
    """Number the edge-connected components of a mask that are large enough."""
    objects, n = ndimage.label(mask, output=np.int32)
    if min_pixels <= 1:
        return objects, n
    kept = np.bincount(objects[mask], minlength=n + 1) >= min_pixels
    kept[0] = False
    ids = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return ids[objects], int(kept.sum())


def _grow_into_myelin(
    axons: NDArray[np.int32], n_axons: int, myelin: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Return axons with their myelin."""
    is_axon = axons > 0
    pieces, n_pieces = ndimage.label(is_axon | myelin, output=np.int32)
    piece_of_axon = np.zeros(n_axons + 1, np.int32)
    piece_of_axon[axons[is_axon]] = pieces[is_axon]
    n_axons_in = np.bincount(piece_of_axon[1:], minlength=n_pieces + 1)
    # Most pieces hold one axon and are its fibre; only the others need the slower watershed.
    owner = np.zeros(n_pieces + 1, np.int32)
    owner[piece_of_axon[1:]] = np.arange(1, n_axons + 1, dtype=np.int32)
    owner[n_axons_in != 1] = 0
    fibres: NDArray[np.int32] = owner[pieces]
    shared = np.flatnonzero(n_axons_in > 1)
    boxes: list[Box] = ndimage.find_objects(pieces) if shared.size else []
    for piece in shared:
        box = boxes[piece - 1]
        inside = pieces[box] == piece
        seeds = np.where(inside, axons[box], 0)
        distance = ndimage.distance_transform_edt(seeds == 0)
        grown = watershed(distance, seeds, mask=inside)  # type: ignore[no-untyped-call]
        fibres[box][inside] = grown[inside]
    return fibres
