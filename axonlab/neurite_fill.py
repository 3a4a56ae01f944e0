"""Voxels of a volume that are of no object join what is beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from axonlab.region_graph import Offset, ends

_AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]

Objects = NDArray[np.int32]


def fill_lines(objects: Objects) -> Objects:
    """Give voxels of no object the most frequent id around them, section by section.

    Parameters
    ----------
    objects : (Z, Y, X) int32 array
        Sections without any object stay without.

    Examples
    --------
    >>> fill_lines(np.int32([[[1, 0, 2, 2], [1, 0, 2, 2], [1, 1, 0, 2]]]))[0]
    array([[1, 1, 2, 2],
           [1, 1, 2, 2],
           [1, 1, 2, 2]], dtype=int32)
    """
    rimmed = np.pad(objects, ((0, 0), (1, 1), (1, 1)))
    z, y, x = np.nonzero(objects == 0)
    while len(z):
        around = np.stack([rimmed[z, y + 1 + dy, x + 1 + dx] for dy, dx in _AROUND], axis=1)
        found = _modes(around)
        has = found > 0
        if not has.any():
            break
        rimmed[z[has], y[has] + 1, x[has] + 1] = found[has]
        z, y, x = z[~has], y[~has], x[~has]
    return rimmed[:, 1:-1, 1:-1].copy()


def fill_alone(
    objects: Objects, affinities: NDArray[np.floating], offsets: Sequence[Offset]
) -> Objects:
    """Let voxels of no object join the one beside them that they have the highest affinity with.

    Those beside an object do so first, then those beside them.

    Parameters
    ----------
    objects : (Z, Y, X) int32 array
        Where there is none at all, it stays so.
    affinities : (n_offsets, Z, Y, X) float array
    offsets : sequence of triple of int

    Examples
    --------
    >>> affinities = np.float32([[[[0, 0.2, 0.1, 0.1, 0.3]]]])
    >>> fill_alone(np.int32([[[1, 0, 0, 0, 2]]]), affinities, [(0, 0, -1)])
    array([[[1, 1, 1, 2, 2]]], dtype=int32)
    """
    shape = objects.shape
    filled = objects.reshape(-1).copy()
    alone = np.flatnonzero(filled == 0)
    number = np.full(filled.size, -1)
    number[alone] = np.arange(len(alone))
    places = np.arange(filled.size).reshape(shape)
    # of each voxel alone, who is beside it in either direction of every offset, and how near
    beside = np.zeros((len(alone), 2 * len(offsets)), np.int64)
    strength = np.full(beside.shape, -np.inf, np.float32)
    for k, (affinity, offset) in enumerate(zip(affinities, offsets, strict=True)):
        here, there = ends(shape, offset)
        for column, (one, other) in enumerate(((here, there), (there, here)), start=2 * k):
            row = number[places[one]]
            beside[row[row >= 0], column] = places[other][row >= 0]
            strength[row[row >= 0], column] = affinity[here][row >= 0]
    while len(alone):
        joined = np.where((filled[beside] > 0) & np.isfinite(strength), strength, -np.inf)
        best = joined.argmax(axis=1)
        rows = np.arange(len(alone))
        has = np.isfinite(joined[rows, best])
        if not has.any():
            break
        filled[alone[has]] = filled[beside[rows, best]][has]
        alone, beside, strength = alone[~has], beside[~has], strength[~has]
    return filled.reshape(shape)


def _modes(values: Objects) -> Objects:
    """Return the most frequent value of each row that is not 0, the smallest of several."""
    values = np.sort(values, axis=1)
    best, most = np.zeros((2, len(values)), np.int32)
    run = np.zeros(len(values), np.int32)
    for k, value in enumerate(values.T):
        same = value == values[:, k - 1] if k else np.zeros(len(values), bool)
        run = np.where(same, run + 1, 1).astype(np.int32)
        better = (value > 0) & (run > most)
        best[better], most[better] = value[better], run[better]
    return best
