"""What networks are taught of the neurons of a volume: affinities of voxels, and boundaries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonlab.micrograph import UNLABELLED

NEAREST = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
"""Offsets to the voxel before along each axis, with which every list of offsets begins."""

BOUNDARY = "boundary"
"""What a model card calls the channel of boundaries."""

Offset = tuple[int, int, int]
Slices = tuple[slice, ...]


def affinity_targets(
    instances: NDArray[np.integer[Any]], offsets: Sequence[Sequence[int]]
) -> NDArray[np.uint8]:
    """Tell of every voxel whether those at given offsets from it are of the same neuron.

    Parameters
    ----------
    instances : (Z, Y, X) integer array
        Ids of neurons; 0 is none, such as membrane, and belongs to nothing, itself included. What
        is negative is unknown.
    offsets : sequence of triple of int
        (dz, dy, dx) in voxels, see `check_offsets`.

    Returns
    -------
    (n_offsets, Z, Y, X) uint8 array
        At [k, v] whether voxel v and voxel v + offsets[k] are of the same neuron, 1, or not, 0;
        255 where one of them is unknown or outside the volume.

    Raises
    ------
    ValueError
        If the instances are no volume of ids, or the offsets are not as they should be.

    Examples
    --------
    >>> affinity_targets(np.array([[[1, 1, 2, 0, 0]]]), [(0, 0, -1), (0, 0, -2)])[:, 0, 0]
    array([[255,   1,   0,   0,   0],
           [255, 255,   0,   0,   0]], dtype=uint8)
    """
    _check_instances(instances)
    steps = check_offsets(offsets)
    targets = np.full((len(steps), *instances.shape), UNLABELLED, np.uint8)
    is_unknown = instances < 0
    for target, step in zip(targets, steps, strict=True):
        here, there = pair_slices(step)
        target[here] = (instances[here] == instances[there]) & (instances[here] > 0)
        target[here][is_unknown[here] | is_unknown[there]] = UNLABELLED
    return targets


def boundary_targets(
    instances: NDArray[np.integer[Any]], thickness: float = 2.0, across_sections: int = 1
) -> NDArray[np.uint8]:
    """Tell of every voxel whether it is of the boundary between neurons.

    Parameters
    ----------
    instances : (Z, Y, X) integer array
        Ids of neurons; 0 is none, such as membrane, and is boundary. What is negative is unknown.
    thickness : float
        Thickness of the boundary between two neurons that touch within a section, in pixels. 0 adds
        none to what is 0 in the instances.
    across_sections : int
        A pixel is of the boundary, too, where in one of so many sections before or after another
        neuron lies at its place; 0 looks at sections one by one.

    Returns
    -------
    (Z, Y, X) uint8 array
        1 boundary, 0 inside of a neuron, 255 unknown.

    Raises
    ------
    ValueError
        If the instances are no volume of ids, or a number is negative.

    Notes
    -----
    Pixels of two neurons are of their boundary when their centres are nearer than half the
    thickness and half a pixel: 1 is too thin for a boundary that is the same from both sides, 2
    takes a pixel on each side. Neurons that move between sections have a boundary as broad as they
    move: a watershed in three dimensions does not leak there (Zeng, Wu & Ji 2017,
    doi:10.1093/bioinformatics/btx188).

    Examples
    --------
    >>> boundary_targets(np.array([[[1, 1, 1, 2, 2, 0, 2]]]))
    array([[[0, 0, 1, 1, 0, 1, 0]]], dtype=uint8)
    """
    _check_instances(instances)
    for name, value in {"thickness": thickness, "across_sections": across_sections}.items():
        if not value >= 0:
            raise ValueError(f"{name} is {value:g}, expected 0 or more.")
    is_boundary = instances == 0
    for step in [*_disc(thickness / 2 + 0.5), *((-n, 0, 0) for n in range(1, across_sections + 1))]:
        here, there = pair_slices(step)
        one, other = instances[here], instances[there]
        differ = (one != other) & (one > 0) & (other > 0)
        is_boundary[here] |= differ
        is_boundary[there] |= differ
    return np.where(instances < 0, np.uint8(UNLABELLED), is_boundary.astype(np.uint8))


def check_offsets(offsets: Sequence[Sequence[int]]) -> list[Offset]:
    """Return offsets of affinities as a list of triples.

    The first three are `NEAREST`, those after them are longer: the partner of a voxel lies before
    it, so that every pair of voxels comes once.

    Raises
    ------
    ValueError
        If there are none, one is not three whole numbers, or one does not lead backwards.
    """
    steps = [tuple(offset) for offset in offsets]
    for step in steps:
        if len(step) != 3 or any(n != int(n) for n in step) or not step < (0, 0, 0):
            raise ValueError(
                f"offset {step}: expected three whole numbers (sections, rows, columns) of which "
                "the first that is not 0 is negative, such as (-1, 0, 0) for the section before."
            )
    if not steps or len(set(steps)) < len(steps):
        raise ValueError(f"offsets {steps}: expected one or more, each of them once.")
    return [(int(z), int(y), int(x)) for z, y, x in steps]


def channel_name(offset: Sequence[int]) -> str:
    """Return how a model card calls the affinity at an offset.

    Examples
    --------
    >>> channel_name((-1, 0, 12))
    'affinity -1 0 12'
    """
    return " ".join(["affinity", *map(str, offset)])


def offsets_of(names: Sequence[str]) -> list[Offset]:
    """Return the offsets of the channels of a model, see `channel_name`.

    Raises
    ------
    ValueError
        If one is no affinity.

    Examples
    --------
    >>> offsets_of(["affinity -1 0 0", "affinity 0 -5 0"])
    [(-1, 0, 0), (0, -5, 0)]
    """
    found = [re.fullmatch(r"affinity (-?\d+) (-?\d+) (-?\d+)", name) for name in names]
    if not all(found):
        raise ValueError(f"{list(names)} are no affinities, expected names like 'affinity -1 0 0'.")
    return check_offsets([tuple(map(int, match.groups())) for match in found if match])


def pair_slices(offset: Sequence[int]) -> tuple[Slices, Slices]:
    """Return where in a volume voxels that have a partner lie, and where these partners lie.

    Examples
    --------
    >>> here, there = pair_slices((-1, 0, 2))
    >>> pairs = np.arange(8).reshape(2, 1, 4)
    >>> pairs[here], pairs[there]
    (array([[[4, 5]]]), array([[[2, 3]]]))
    """
    here = tuple(slice(max(0, -n), -n if n > 0 else None) for n in offset)
    there = tuple(slice(max(0, n), n if n < 0 else None) for n in offset)
    return here, there


def _disc(radius: float) -> Iterator[Offset]:
    """Yield the steps within a section that are shorter than a radius, one of each two opposite."""
    reach = range(-int(radius), int(radius) + 1)
    for y, x in product(reach, reach):
        if (y, x) < (0, 0) and y * y + x * x < radius * radius:
            yield 0, y, x


def _check_instances(instances: NDArray[np.generic]) -> None:
    if instances.ndim != 3 or instances.size == 0:
        raise ValueError(
            f"instances: found an array of shape {instances.shape}, expected a volume (sections, "
            "rows, columns). Put a section into one with instances[None]."
        )
    if instances.dtype.kind not in "iu":
        raise ValueError(
            f"instances: expected integer ids, got {instances.dtype}. Number the neurons first."
        )
