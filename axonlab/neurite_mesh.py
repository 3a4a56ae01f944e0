"""Surfaces of neurites in µm, to be seen in three dimensions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

SIDE = 64
"""Longest side of a neurite, in steps of its surface: more are not seen."""

LEVEL = 0.3
"""Share of a block of voxels that must be of a neurite: thin branches fill less than half of it."""

_SMOOTHING, _MARGIN = 0.7, 2  # in blocks


class Mesh(NamedTuple):
    """The surface of a neurite, in triangles."""

    neurite_id: int
    vertices: NDArray[np.float32]
    """(N, 3) x, y and z in µm from the centre of the first voxel."""

    normals: NDArray[np.float32]
    """(N, 3) directions out of the neurite."""

    faces: NDArray[np.int32]
    """(M, 3) vertices of each triangle, against the clock when seen from outside."""


def meshes(
    instances: NDArray[np.integer[Any]],
    ids: Iterable[int],
    *,
    voxel_size: tuple[float, float, float],
    side: int = SIDE,
) -> list[Mesh]:
    """Return the surfaces of some neurites, closed where the volume ends.

    Parameters
    ----------
    instances : (Z, Y, X) integer array
        Ids of the neurites, 0 is none.
    ids : iterable of int
    voxel_size : triple of float
        Distance of sections, height and width of a voxel, in µm.
    side : int
        Longest side of a neurite, in steps of its surface. Voxels of larger ones are taken
        together in blocks, as nearly cubes as voxels allow.

    Returns
    -------
    list of Mesh
        In the order of the ids.

    Raises
    ------
    ValueError
        If one of the neurites is not there.

    Examples
    --------
    >>> instances = np.zeros((10, 50, 50), int)
    >>> instances[2:7, 10:40, 10:40] = 7
    >>> [mesh] = meshes(instances, [7], voxel_size=(0.06, 0.01, 0.01))
    >>> np.ptp(mesh.vertices, axis=0).round(2)
    array([0.32, 0.32, 0.34], dtype=float32)
    """
    boxes = ndimage.find_objects(instances)
    drawn = []
    for i in ids:
        box = boxes[i - 1] if 0 < i <= len(boxes) else None
        if box is None:
            raise ValueError(f"No neurite {i}: give ids of the instances, which are above 0.")
        drawn.append(_mesh(i, instances[box] == i, [part.start for part in box], voxel_size, side))
    return drawn


def _mesh(
    neurite_id: int,
    mask: NDArray[np.bool_],
    start: list[int],
    voxel_size: tuple[float, float, float],
    side: int,
) -> Mesh:
    size = np.array(voxel_size)
    # blocks as nearly cubes as half the distance of sections allows: finer ones show its stairs
    edge = max((np.array(mask.shape) * size).max() / side, size.max() / 2)
    step = np.maximum(1, np.floor(edge / size + 1e-9)).astype(int)
    filled = np.pad(_filled(mask, step), _MARGIN)  # so that it is closed
    filled = ndimage.gaussian_filter(filled, _SMOOTHING, truncate=_MARGIN / _SMOOTHING)
    level = min(LEVEL, float(filled.max()) / 2)
    vertices, faces, normals, _ = marching_cubes(filled, level)  # type: ignore[no-untyped-call]
    # the middle of a block is that of its voxels
    places = ((vertices - _MARGIN) * step + (step - 1) / 2 + start) * size
    outwards = normals / (step * size)
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-12)
    return Mesh(
        neurite_id,
        np.ascontiguousarray(places[:, ::-1], np.float32),
        np.ascontiguousarray(outwards[:, ::-1], np.float32),
        np.ascontiguousarray(faces, np.int32),
    )


def _filled(mask: NDArray[np.bool_], step: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return which share of each block of voxels is of a neurite."""
    ends = [(0, -n % k) for n, k in zip(mask.shape, step, strict=True)]
    blocks = np.pad(mask, ends).astype(np.float32)
    for axis, k in enumerate(step):
        starts = np.arange(0, blocks.shape[axis], k)
        blocks = np.add.reduceat(blocks, starts, axis=axis)
    return np.asarray(blocks / step.prod(), np.float32)
