"""Synthetic volumes of neurites that branch and run through sections, with exact truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

from axonlab.cells import pieces
from axonlab.neuropil import Plane, clouds, draw
from axonlab.volume import AXES, Volume

VOXEL_SIZE_UM = (0.03, 0.006, 0.006)
"""Distance of sections, height and width of a voxel, as in SNEMI3D."""

NEURITE_UM = 0.25
"""Usual distance of the middle lines of neighbouring neurites."""

MEMBRANE_UM = 0.03
"""Thickness of what is labelled membrane between two neurites, with its stain."""

DEFECTS = ("dark", "missing", "misaligned")
"""What can be wrong with a section: little contrast, nothing on it, or it lies beside its place."""

COARSEST_UM = 0.015
"""Larger pixels do not show membranes."""

_BRANCHING = 0.2  # share of the knots of a neurite at which it may branch
_LONGEST = 12  # knots of a neurite
_CALIBRES = 0.3  # how unequal neurites are in thickness, as a share of the squared distance
_WARPS = ((0.2, 0.9), (0.045, 0.22))  # borders are bent by so much over so far, per NEURITE_UM
_JITTER_UM, _SLIP_UM = 0.004, (0.05, 0.1)  # of usual sections, and of misaligned ones
_SPECK_UM2 = 0.0012  # smaller pieces of a section are drawn as membrane
_BLOCK_PX = 8  # so near to each other, pixels have the same candidates
_CANDIDATES = 20  # nearest knots among which the borders of a pixel are looked for
_FAR_PX = 1e3  # from a border that is not near

Grid = NDArray[np.float32]
Knots = tuple[NDArray[np.float64], NDArray[np.int32]]


@dataclass(frozen=True)
class Neurites:
    """A synthetic volume and the truth it was drawn from.

    Parameters
    ----------
    volume : Volume
        Whole grey values from 0 to 255; membranes are dark.
    instances : (Z, Y, X) int32 array
        Id of the neurite over every voxel; 0 is membrane. Ids run from 1 to n. Each neurite is one
        piece, whose voxels touch by their faces where sections are in place, and has membrane
        around it in every section.
    defects : dict
        What is wrong with a section, one of `DEFECTS`, by its number from 0. The truth goes on
        through dark and missing sections, and is displaced with misaligned ones.
    """

    volume: Volume
    instances: NDArray[np.int32] = field(repr=False)
    defects: dict[int, str] = field(default_factory=dict)


def neurites(
    shape: tuple[int, int, int] = (24, 256, 256),
    *,
    voxel_size: tuple[float, float, float] = VOXEL_SIZE_UM,
    defects: float = 0.05,
    seed: int = 0,
) -> Neurites:
    """Draw a volume of neurites with exact truth.

    Neurites run in all directions, branch, are of unequal thickness and have bent borders; in some
    there are mitochondria, whose outlines are as dark as membranes. Sections are a little displaced
    against each other.

    Parameters
    ----------
    shape : triple of int
        Sections, rows and columns.
    voxel_size : triple of float
        Distance of sections, height and width of a voxel, in µm. Pixels are squares of at most
        `COARSEST_UM`.
    defects : float
        Share of the sections with one of `DEFECTS`, from 0 to 1.
    seed : int
        The same seed and arguments give the same phantom; with other defects, neurites stay where
        they are.

    Returns
    -------
    Neurites

    Raises
    ------
    ValueError
        If shape, voxel size or share of defects cannot be.

    Notes
    -----
    Neurites are trees of knots: random points, of which neighbours are linked where they lie in the
    direction that both have drawn. A voxel is of the neurite whose nearest knot is the nearest, in
    a power diagram in coordinates bent by smooth noise, and membrane when it is nearer than half of
    `MEMBRANE_UM` to another neurite, measured within the section.

    Examples
    --------
    >>> phantom = neurites((5, 60, 80), seed=1)
    >>> phantom.instances.shape
    (5, 60, 80)
    """
    _check(shape, voxel_size, defects)
    geometry, look, faults = np.random.default_rng(seed).spawn(3)
    pixel = voxel_size[1]
    step, membrane = voxel_size[0] / pixel, MEMBRANE_UM / pixel
    found = _choose_defects(shape[0], defects, faults)
    knots = _knots(shape, step, NEURITE_UM / pixel, geometry)
    at = _bent(shape, step, NEURITE_UM / pixel, geometry)
    shift = _displacements(shape[0], found, pixel, geometry, faults)
    at += shift[..., None, None]
    owner, depth = _diagram(at, knots, step)
    found_pieces = pieces(depth > membrane / 2)
    is_speck = np.bincount(found_pieces.reshape(-1)) < _SPECK_UM2 / pixel**2
    hidden = is_speck[found_pieces]
    depth[hidden] = np.minimum(depth[hidden], membrane / 2)
    found_pieces[hidden] = 0
    instances = _join(found_pieces, owner, shift.round())
    pixels = draw(instances, depth, look, step=step, membrane=membrane)
    _spoil(pixels, found)
    return Neurites(Volume(pixels, voxel_size, f"phantom neurites {seed}"), instances, found)


def _check(
    shape: tuple[int, int, int], voxel_size: tuple[float, float, float], defects: float
) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape is {shape}, expected three positive numbers: {', '.join(AXES)}.")
    if len(voxel_size) != 3 or min(voxel_size) <= 0 or voxel_size[1] != voxel_size[2]:
        raise ValueError(
            f"voxel_size is {voxel_size}, expected three numbers in µm: distance of sections, "
            "height and width of a voxel, of which the last two are equal."
        )
    if voxel_size[1] > COARSEST_UM:
        raise ValueError(
            f"voxel_size is {voxel_size}: pixels of {voxel_size[1]:g} µm do not show membranes of "
            f"{MEMBRANE_UM:g} µm. Take {COARSEST_UM:g} µm or less."
        )
    if not 0 <= defects <= 1:
        raise ValueError(f"defects is {defects:g}, expected a share of sections from 0 to 1.")


def _choose_defects(depth: int, share: float, rng: np.random.Generator) -> dict[int, str]:
    is_faulty = rng.random(depth) < share
    kinds = rng.integers(len(DEFECTS), size=depth)
    return {int(z): DEFECTS[kinds[z]] for z in np.flatnonzero(is_faulty)}


def _knots(
    shape: tuple[int, int, int], step: float, apart: float, rng: np.random.Generator
) -> Knots:
    """Return the knots of neurites: where they are, with what they lack in weight; and whose."""
    margin = 2 * apart
    box = np.array([shape[0] * step, *shape[1:]]) + 2 * margin
    points = rng.uniform(0, box, (max(2, int(box.prod() / apart**3)), 3)) - margin
    links = _links(points, apart, rng)
    graph = sparse.coo_array((np.ones(len(links)), links.T), [len(points)] * 2)
    _, tree = sparse.csgraph.connected_components(graph, directed=False)
    first, second = points[links.T]
    between = [first + share * (second - first) for share in (1 / 3, 2 / 3)]
    owner = np.concatenate([tree, tree[links[:, 0]], tree[links[:, 0]]]).astype(np.int32)
    # Power distances are distances in four dimensions; small weights make thin neurites.
    lift = apart * np.sqrt(rng.uniform(0, _CALIBRES, len(points)))
    return np.column_stack([np.concatenate([points, *between]), lift[owner]]), owner + 1


def _links(
    points: NDArray[np.float64], apart: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Link points to trees: (n, 2) positions of those that follow each other."""
    pairs = cKDTree(points).query_pairs(1.5 * apart, output_type="ndarray")
    heading = rng.standard_normal(points.shape)
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    way = points[pairs[:, 1]] - points[pairs[:, 0]]
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    straight = sum(np.abs((way * heading[pairs[:, end]]).sum(1)) for end in (0, 1))
    room = np.where(rng.random(len(points)) < _BRANCHING, 3, 2).tolist()
    tree, size = list(range(len(points))), [1] * len(points)
    links = []
    for one, other in pairs[np.argsort(-straight, kind="stable")].tolist():
        low, high = _root(tree, one), _root(tree, other)
        if room[one] and room[other] and low != high and size[low] + size[high] <= _LONGEST:
            tree[low] = high
            size[high] += size[low]
            room[one] -= 1
            room[other] -= 1
            links.append((one, other))
    return np.array(links, np.int64).reshape(-1, 2)


def _root(tree: list[int], knot: int) -> int:
    while tree[knot] != knot:
        tree[knot] = tree[tree[knot]]  # the way is shorter next time
        knot = tree[knot]
    return knot


def _bent(shape: tuple[int, int, int], step: float, apart: float, rng: np.random.Generator) -> Grid:
    """Return y and x, bent by smooth noise, of the pixels of all sections."""
    at = np.empty((2, *shape), np.float32)
    for line, axis in zip(np.ogrid[: shape[1], : shape[2]], at, strict=True):
        axis[:] = line
        for strength, size in _WARPS:
            axis += np.float32(strength * apart) * clouds(shape, size * apart, rng, step)
    return at


def _displacements(
    depth: int,
    defects: dict[int, str],
    pixel: float,
    rng: np.random.Generator,
    faults: np.random.Generator,
) -> Grid:
    """Return by how many pixels sections are beside their place, (2, Z)."""
    shift = rng.normal(0, _JITTER_UM / pixel, (2, depth))
    angle, length = faults.uniform(0, 2 * np.pi, depth), faults.uniform(*_SLIP_UM, depth) / pixel
    slips = [z for z, kind in defects.items() if kind == "misaligned"]
    shift[:, slips] += (length * [np.sin(angle), np.cos(angle)])[:, slips]
    return shift.astype(np.float32)


def _diagram(at: Grid, knots: Knots, step: float) -> tuple[NDArray[np.int32], Plane]:
    """Return whose every voxel is, and the pixels to the border of the next neurite."""
    shape = at.shape[1:]
    missing = [(0, -n % _BLOCK_PX) for n in shape[1:]]
    at = np.pad(at, [(0, 0), (0, 0), *missing], mode="edge")
    owner, depth = np.empty(shape, np.int32), np.empty(shape, np.float32)
    tree = cKDTree(knots[0])
    for sections in _slabs(shape[0], max(1, int(_BLOCK_PX / step))):
        whose, far = _block_diagram(at[:, sections], sections.start * step, step, tree, knots[1])
        owner[sections] = whose[:, : shape[1], : shape[2]]
        depth[sections] = far[:, : shape[1], : shape[2]]
    return owner, depth


def _slabs(depth: int, thickness: int) -> Iterator[slice]:
    for start in range(0, depth, thickness):
        yield slice(start, min(start + thickness, depth))


def _block_diagram(
    at: Grid, start: float, step: float, tree: cKDTree, owner: NDArray[np.int32]
) -> tuple[NDArray[np.int32], Plane]:
    """Do as `_diagram` for a slab as thick as a block is wide.

    The candidates of a block are the knots nearest to its middle.
    """
    _, thickness, height, width = at.shape
    z = (start + step * np.arange(thickness, dtype=np.float32)).reshape(-1, 1, 1, 1)
    y, x = at
    half = _BLOCK_PX // 2
    middle = at[:, thickness // 2, half::_BLOCK_PX, half::_BLOCK_PX]
    nodes = np.stack([np.full_like(middle[0], z.mean()), *middle, np.zeros_like(middle[0])], -1)
    k = min(_CANDIDATES, tree.n)
    _, near = tree.query(nodes, k=k)  # (rows, columns of blocks, k)
    knot_z, knot_y, knot_x, lift = np.asarray(tree.data, np.float32)[near].transpose(3, 2, 0, 1)
    whose = owner[near].transpose(2, 0, 1)

    blocks = (thickness, height // _BLOCK_PX, _BLOCK_PX, width // _BLOCK_PX, _BLOCK_PX)
    y, x = y.reshape(blocks), x.reshape(blocks)
    first, second = np.full(blocks, np.inf, np.float32), np.full(blocks, np.inf, np.float32)
    nearest, next_one = np.zeros(blocks, np.uint8), np.zeros(blocks, np.uint8)
    own = np.zeros(blocks, np.int32)
    for j in range(k):
        beyond = (z[..., 0] - knot_z[j]) ** 2 + lift[j] ** 2
        distance = np.square(y - knot_y[j][:, None, :, None])
        distance += np.square(x - knot_x[j][:, None, :, None])
        distance += beyond[:, :, None, :, None]
        candidate = np.broadcast_to(whose[j][:, None, :, None], blocks)
        closer = distance < first
        # who is not the nearest any more, or never was, may be the nearest of the others
        rest = np.where(closer, first, distance)
        better = (candidate != own) & (rest < second)
        np.copyto(second, rest, where=better)
        np.copyto(next_one, np.where(closer, nearest, np.uint8(j)), where=better)
        np.copyto(first, distance, where=closer)
        np.copyto(nearest, np.uint8(j), where=closer)
        np.copyto(own, candidate, where=closer)
    rows, columns = np.ogrid[: blocks[1], : blocks[3]]
    place = (rows[:, None, :, None], columns[:, None, :, None])
    between = [c[(nearest, *place)] - c[(next_one, *place)] for c in (knot_z, knot_y, knot_x)]
    within = between[1] ** 2 + between[2] ** 2
    # distances are those within the section, but slanting borders do not become too broad
    apart = np.sqrt(np.maximum(within, (within + between[0] ** 2) / 4))
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = (second - first) / (2 * apart)
    depth[~np.isfinite(second)] = _FAR_PX
    shape = (thickness, height, width)
    return own.reshape(shape), np.minimum(depth, np.float32(_FAR_PX)).reshape(shape)


def _join(pieces: NDArray[np.int32], owner: NDArray[np.int32], shift: Grid) -> NDArray[np.int32]:
    """Number neurites: pieces of sections, and those of the same owner over and under them.

    Sections are looked at without their displacement, a shift (2, Z) in whole pixels.
    """
    aligned, whose = pieces.copy(), owner.copy()
    for z in np.flatnonzero(shift.any(axis=0)):
        for plane in (aligned[z], whose[z]):
            plane[:] = ndimage.shift(plane, shift[:, z], order=0)
    above, below = aligned[:-1], aligned[1:]
    touch = (above > 0) & (below > 0) & (whose[:-1] == whose[1:])
    above, below = above[touch], below[touch]
    is_new = np.append(True, (above[1:] != above[:-1]) | (below[1:] != below[:-1]))[: above.size]
    pairs = above[is_new], below[is_new]
    n = int(pieces.max()) + 1
    graph = sparse.coo_array((np.ones(pairs[0].size, bool), pairs), (n, n))
    _, neurite = sparse.csgraph.connected_components(graph, directed=False)
    used = np.flatnonzero(np.bincount(pieces.reshape(-1), minlength=n))
    used = used[used > 0]
    ids = np.zeros(n, np.int32)
    ids[used] = np.unique(neurite[used], return_inverse=True)[1] + 1
    return np.asarray(ids[pieces])


def _spoil(pixels: NDArray[np.float32], defects: dict[int, str]) -> None:
    """Draw dark and missing sections, in place."""
    for z, kind in defects.items():
        if kind == "missing":
            pixels[z] = 0
        elif kind == "dark":
            pixels[z] = np.rint(0.3 * pixels[z])
