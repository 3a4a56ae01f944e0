"""Synthetic sections of neuropil under the electron microscope, with exact truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from axonlab.cells import pieces
from axonlab.volume import Volume

VOXEL_SIZE_UM = (0.05, 0.004, 0.004)
"""Distance of sections, height and width of a pixel, as in ISBI 2012."""

CELL_PX = 45.0
"""Usual distance of the centres of neighbouring cells in a section."""

STEP_PX = 8.0
"""From a section to the next, cells change as they do over so many pixels within one."""

MEMBRANE_PX = 6.0
"""Thickness of what is labelled membrane between two cells: both bilayers and their stain."""

_WARPS_PX = ((9.0, 40.0), (2.0, 10.0))  # by how much borders are bent, and over what distance
_SPECK_PX = 40  # smaller pieces of a section are drawn as membrane
_NEIGHBOURS = 5  # the border of a cell is with one of so many nearest centres
_MITOCHONDRION_PX = (7.0, 15.0)
_PER_MITOCHONDRION = 4000  # voxels that have room for one
_GREYS = {"interior": 150.0, "membrane": 55.0, "mitochondrion": 85.0}

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Sections:
    """A synthetic stack and the truth it was drawn from.

    Parameters
    ----------
    volume : Volume
        Whole grey values from 0 to 255; membranes are dark.
    interior : (Z, Y, X) bool array
        Where there is no membrane.
    cells : (Z, Y, X) int32 array
        Id of the cell over every voxel, the same in all sections; 0 is membrane. Ids run from 1 to
        n.
    """

    volume: Volume
    interior: NDArray[np.bool_] = field(repr=False)
    cells: NDArray[np.int32] = field(repr=False)


def membranes(shape: tuple[int, int, int] = (4, 256, 256), *, seed: int = 0) -> Sections:
    """Draw sections of neuropil with exact truth.

    Cells are of unequal size, have bent borders and change slowly from section to section. In some
    there are mitochondria, whose outlines are as dark as membranes.

    Parameters
    ----------
    shape : triple of int
        Sections, rows and columns.
    seed : int
        The same seed and shape give the same phantom.

    Returns
    -------
    Sections

    Raises
    ------
    ValueError
        If the shape cannot be.

    Notes
    -----
    Cells are those of a power diagram of random centres in three dimensions, in coordinates bent by
    smooth noise; a voxel is membrane when it is nearer than half of `MEMBRANE_PX` to the border
    between two cells, measured within the section in these coordinates.

    Examples
    --------
    >>> phantom = membranes((2, 60, 80), seed=1)
    >>> bool((phantom.cells[phantom.interior] > 0).all())
    True
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"shape is {shape}, expected three positive numbers: sections, rows, columns."
        )
    geometry, look = np.random.default_rng(seed).spawn(2)
    nearest, depth = _diagram(shape, geometry)
    found = pieces(depth > MEMBRANE_PX / 2)
    is_speck = np.bincount(found.reshape(-1))[found] < _SPECK_PX
    depth[is_speck] = np.minimum(depth[is_speck], MEMBRANE_PX / 2)
    cells = np.where(depth > MEMBRANE_PX / 2, nearest + 1, 0)
    _, numbered = np.unique(np.append(0, cells), return_inverse=True)  # 0 is always there
    cells = numbered[1:].reshape(shape).astype(np.int32)
    pixels = draw(cells, depth, look)
    return Sections(Volume(pixels, VOXEL_SIZE_UM, f"phantom membranes {seed}"), cells > 0, cells)


def _diagram(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[NDArray[np.intp], Plane]:
    """Return the nearest centre of every voxel, and the pixels to the border of its cell."""
    at = np.indices(shape, np.float32).reshape(3, -1)
    at[0] *= STEP_PX
    for axis, (strength, size) in product((1, 2), _WARPS_PX):
        at[axis] += strength * clouds(shape, size, rng).reshape(-1)
    margin = 2 * CELL_PX
    box = np.array([shape[0] * STEP_PX, shape[1], shape[2]]) + 2 * margin
    n = max(_NEIGHBOURS, int(box.prod() / CELL_PX**3))
    centres = rng.uniform(0, box, (n, 3)) - margin
    # Power distances are distances in four dimensions; small weights make small cells.
    lift = CELL_PX * np.sqrt(rng.uniform(0, 0.5, n))
    tree = cKDTree(np.column_stack([centres, lift]))
    distance, index = tree.query(np.append(at, np.zeros_like(at[:1]), axis=0).T, k=_NEIGHBOURS)
    between = centres[index[:, 1:]] - centres[index[:, :1]]
    # distances are those within the section, but slanting borders do not become too broad
    apart = np.maximum(np.hypot(*between[..., 1:].T).T, np.linalg.norm(between, axis=2) / 2)
    border = (distance[:, 1:] ** 2 - distance[:, :1] ** 2) / (2 * apart)
    return index[:, 0].reshape(shape), border.min(axis=1).reshape(shape).astype(np.float32)


def draw(
    cells: NDArray[np.int32],
    depth: Plane,
    rng: np.random.Generator,
    *,
    step: float = STEP_PX,
    membrane: float = MEMBRANE_PX,
) -> Plane:
    """Return whole grey values from 0 to 255, each section with its own stain and noise.

    Parameters
    ----------
    cells : (Z, Y, X) int32 array
        Ids; 0 is membrane.
    depth : (Z, Y, X) float32 array
        Pixels to the border between two cells.
    rng : Generator
    step : float
        Pixels from a section to the next.
    membrane : float
        Thickness of membranes in pixels; with it goes the size of mitochondria.
    """
    shape = cells.shape
    tone = rng.normal(0, 9, cells.max() + 1).astype(np.float32)[cells]
    image = _GREYS["interior"] + tone + 10 * clouds(shape, 12, rng, step)
    fine = rng.standard_normal(shape, dtype=np.float32)
    image += 60 * ndimage.gaussian_filter(fine, (0, 1.2, 1.2))  # microtubules, vesicles
    for at, shell in _mitochondria(cells, depth, rng, step, membrane):
        dark = np.where(shell > 0.8, _GREYS["membrane"], _GREYS["mitochondrion"])
        image[at] += np.clip((1.05 - shell) * 8, 0, 1) * (dark - image[at])
    stain = _GREYS["membrane"] + 15 * clouds(shape, 20, rng, step)
    line = np.exp(-np.square(depth / np.float32(membrane / 2.4)))
    image += line * (stain - image)
    image = ndimage.gaussian_filter(image, (0, 0.7, 0.7))
    level = rng.normal(0, 5, (shape[0], 1, 1))
    image += level + rng.normal(0, 10, shape)
    return np.asarray(np.rint(np.clip(image, 0, 255)), np.float32)


def _mitochondria(
    cells: NDArray[np.int32], depth: Plane, rng: np.random.Generator, step: float, membrane: float
) -> list[tuple[tuple[NDArray[np.intp], ...], Plane]]:
    """Return voxels of mitochondria, and where they are between centre (0) and outline (1)."""
    zoom = membrane / MEMBRANE_PX
    short, long = (zoom * size for size in _MITOCHONDRION_PX)
    room = _PER_MITOCHONDRION * zoom**3 * STEP_PX / step
    places = np.argwhere(depth > short + membrane / 2)
    found = []
    for place in rng.permutation(places)[: rng.poisson(len(places) / room)]:
        low = np.maximum(place - [int(long / step) + 1, int(long) + 2, int(long) + 2], 0)
        window = tuple(slice(a, 2 * p - a + 1) for a, p in zip(low, place, strict=True))
        z, y, x = (np.indices(cells[window].shape, np.float32).T + (low - place)).T
        turn = rng.uniform(0, np.pi)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        shell = np.sqrt((along / long) ** 2 + (across / short) ** 2 + (z * step / long) ** 2)
        own = (cells[window] == cells[tuple(place)]) & (shell < 1.05)
        at = tuple(a + b for a, b in zip(np.nonzero(own), low, strict=True))
        found.append((at, shell[own].astype(np.float32)))
    return found


def clouds(
    shape: tuple[int, ...], size: float, rng: np.random.Generator, step: float = STEP_PX
) -> Plane:
    """Return smooth noise of unit variance whose hills are `size` pixels wide.

    Parameters
    ----------
    shape : triple of int
    size : float
    rng : Generator
    step : float
        Pixels from a section to the next.
    """
    apart = max(1, int(size / 3))  # smooth noise needs no full grid
    steps = np.array([max(1, int(apart / step)), apart, apart])
    nodes = rng.standard_normal([n // s + 4 for n, s in zip(shape, steps, strict=True)])
    nodes = ndimage.gaussian_filter(nodes, size / steps / [step, 1, 1], mode="wrap")
    nodes /= nodes.std()
    cloud: Plane = nodes.astype(np.float32)
    for axis, (n, zoom) in enumerate(zip(shape, steps.tolist(), strict=True)):
        cloud = _stretched(cloud, axis, n, zoom)
    return cloud


def _stretched(nodes: Plane, axis: int, n: int, zoom: int) -> Plane:
    """Interpolate along an axis; of `zoom` values for each node, the first n are returned."""
    last = nodes.shape[axis] - 1
    place = np.arange(n) * (last / max(1, zoom * (last + 1) - 1))
    low = np.minimum(place.astype(int), last - 1)
    weight = np.zeros((n, last + 1), np.float32)
    weight[np.arange(n), low] = low + 1 - place
    weight[np.arange(n), low + 1] = place - low
    stretched: Plane = np.moveaxis(np.tensordot(weight, nodes, (1, axis)), 0, axis)
    return stretched
