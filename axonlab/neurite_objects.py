"""Neurites from what a network says of a volume: three recipes, one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.morphology import local_minima, reconstruction
from skimage.segmentation import watershed

from axonlab.affinities import NEAREST
from axonlab.neurite_fill import fill_alone, fill_lines
from axonlab.region_graph import Offset, RegionGraph, ends, merge_regions, region_graph

_FACES = ndimage.generate_binary_structure(3, 1)

Objects = NDArray[np.int32]
Floats = NDArray[np.floating]


class Recipe(Protocol):
    """How neurites are made of a prediction."""

    @property
    def offsets(self) -> tuple[Offset, ...]:
        """Of the affinities that it takes; none where it takes boundaries."""

    def regions(self, prediction: Floats) -> Objects:
        """Return ids, not all of which need occur."""


@dataclass(frozen=True)
class MutexWatershed:
    """Neurites from affinities near and far, without a threshold.

    Parameters
    ----------
    offsets : sequence of triple of int
        Of the affinities: nearest ones that attract, and farther ones by which neurites that
        touch in one place only repel each other.
    biases : float or sequence of float
        Added to the affinities, one for all offsets or one for each, from -1 to 0. What is above 0
        then attracts, what is below repels; -1 lets an offset do nothing but repel.

    Raises
    ------
    ValueError
        If there are no offsets, one is no step, or a bias is out of its range.

    Notes
    -----
    Affinities are taken from the strongest to the weakest, whatever their sign. One that attracts
    joins the two objects, unless they repel each other; one that repels keeps them apart for good,
    unless they are one already (Wolf et al. 2018, doi:10.1007/978-3-030-01225-0_34). A voxel that
    stays alone is 0.

    It needs about 80 bytes for every affinity: larger volumes are taken block by block
    (`axonlab.neurite_blocks`).
    """

    offsets: tuple[Offset, ...]
    biases: float | tuple[float, ...] = -0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", _checked_offsets(self.offsets))
        biases = (self.biases,) if isinstance(self.biases, int | float) else tuple(self.biases)
        if len(biases) not in (1, len(self.offsets)) or not all(-1 <= bias <= 0 for bias in biases):
            raise ValueError(
                f"biases are {self.biases}, expected one number from -1 to 0, or one for each of "
                f"the {len(self.offsets)} offsets. -0.5 is usual."
            )
        object.__setattr__(self, "biases", biases if len(biases) > 1 else biases[0])

    def regions(self, affinities: Floats) -> Objects:
        """Return the objects, see `label_neurites`."""
        import mwatershed  # compiled, and for this recipe alone

        shape = affinities.shape[1:]
        biased = affinities + np.reshape(np.array(self.biases, np.float64), (-1, 1, 1, 1))
        fits = [all(abs(step) < n for step, n in zip(o, shape, strict=True)) for o in self.offsets]
        if not any(fits):
            return np.zeros(shape, np.int32)
        kept = [list(offset) for offset, fit in zip(self.offsets, fits, strict=True) if fit]
        found = _renumbered(mwatershed.agglom(biased[fits], kept))
        is_alone = np.bincount(found.reshape(-1)) == 1  # and is 0 by now, or not
        return np.where(is_alone[found], np.int32(0), found)


@dataclass(frozen=True)
class MeanAffinity:
    """Neurites from nearest affinities, by joining small fragments of them.

    Parameters
    ----------
    offsets : sequence of triple of int
        Of the affinities; those to the six nearest voxels are used, others are not.
    threshold : float
        Fragments are joined while their mean affinity is above it. From 0 to 1.
    smoothing : float or triple of float
        Standard deviation of the Gaussian, in voxels, behind which fragments are looked for: one
        for all axes or one for each. The more, the larger fragments are, and the faster it is.

    Raises
    ------
    ValueError
        If an axis has no nearest offset, or the threshold or smoothing is out of its range.

    Notes
    -----
    From every voxel it goes uphill on the mean affinity around a voxel, behind the Gaussian, but
    over affinities above the threshold only: a fragment is what leads to one summit, and no
    boundary is too thin for it. A voxel within a boundary, that has no affinity above the
    threshold, goes with its highest one; 0 is what has none at all.
    `axonlab.region_graph.merge_regions` joins fragments by their affinities as they were predicted.
    """

    offsets: tuple[Offset, ...] = NEAREST
    threshold: float = 0.5
    smoothing: float | tuple[float, float, float] = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", _checked_offsets(self.offsets))
        axes = {tuple(map(abs, offset)) for offset in self.offsets if sum(map(abs, offset)) == 1}
        if len(axes) < 3:
            raise ValueError(
                f"offsets are {self.offsets}, expected the nearest ones of all three axes among "
                f"them, such as {NEAREST}."
            )
        _check_share("threshold", self.threshold)
        _check_smoothing(self.smoothing)

    def regions(self, affinities: Floats) -> Objects:
        """Return the objects, see `label_neurites`."""
        near = [k for k, offset in enumerate(self.offsets) if sum(map(abs, offset)) == 1]
        affinities, offsets = affinities[near], [self.offsets[k] for k in near]
        fragments = fragments_of(
            affinities, offsets, threshold=self.threshold, smoothing=self.smoothing
        )
        graph = region_graph(fragments, affinities, offsets)
        voxels = np.bincount(fragments.reshape(-1))
        return _renumbered(merge_regions(graph, voxels, threshold=self.threshold)[fragments])


@dataclass(frozen=True)
class BoundaryWatershed:
    """Neurites from boundaries, as DeepEM3D makes them.

    Parameters
    ----------
    h : float
        How far the probability of a boundary must rise between two parts for them to be two
        neurites: small values cut at every doubt, 1 cuts nowhere. From 0 to 1.
    smoothing : float or triple of float
        Standard deviation of the Gaussian, in voxels: one for all axes or one for each. Give the
        first axis less where sections are thick.

    Raises
    ------
    ValueError
        If h or the smoothing is out of its range.

    Notes
    -----
    Smoothing, h-minima, a watershed from these in three dimensions, and a fill section by section
    of the lines between basins, which are voxels beside one of a smaller id: each gets the most
    frequent id of its eight neighbours in the section (of several the smallest), again and again
    until nothing is left (Zeng, Wu & Ji 2017, doi:10.1093/bioinformatics/btx188).
    """

    h: float = 0.15
    smoothing: float | tuple[float, float, float] = 1.0

    def __post_init__(self) -> None:
        _check_share("h", self.h)
        _check_smoothing(self.smoothing)

    @property
    def offsets(self) -> tuple[Offset, ...]:
        """None: it takes boundaries."""
        return ()

    def regions(self, boundaries: Floats) -> Objects:
        """Return the objects, see `label_neurites`."""
        smooth = ndimage.gaussian_filter(boundaries, self.smoothing, output=np.float32)
        raised = smooth + np.float32(self.h)
        valleys = reconstruction(raised, smooth, "erosion", _FACES)  # type: ignore[no-untyped-call]
        # even what is constant has a minimum within a rim
        rimmed = np.pad(valleys.astype(np.float32), 1, constant_values=np.inf)
        lowest = local_minima(rimmed, connectivity=1)  # type: ignore[no-untyped-call]
        seeds, _ = ndimage.label(lowest[1:-1, 1:-1, 1:-1], output=np.int32)
        basins = watershed(smooth, seeds)  # type: ignore[no-untyped-call]
        is_line = _lines(basins) & (seeds == 0)
        return fill_lines(np.where(is_line, 0, basins).astype(np.int32))


def label_neurites(prediction: Floats, recipe: Recipe, *, min_voxels: int = 1) -> Objects:
    """Number the neurites of a volume.

    Parameters
    ----------
    prediction : (n_offsets, Z, Y, X) or (Z, Y, X) float array
        Affinities, for `MutexWatershed` and `MeanAffinity`: how probable it is that a voxel v and
        the voxel v + offset are of one neurite; without influence where that lies outside. Or
        boundaries, for `BoundaryWatershed`: how probable it is that a voxel is boundary. From 0
        to 1.
    recipe : MutexWatershed, MeanAffinity or BoundaryWatershed
    min_voxels : int
        Neurites of fewer voxels join the neighbour that they have the highest mean affinity with
        (or the lowest mean boundary); those that touch none become 0. From 2
        on, voxels of no neurite are given one first, see `axonlab.neurite_fill.fill_alone`.

    Returns
    -------
    (Z, Y, X) int32 array
        Ids from 1 without gaps, in the order of their first voxels; 0 is no neurite.

    Raises
    ------
    ValueError
        If the prediction is empty, is not what the recipe takes, holds NaN or values beyond 0 to
        1, or `min_voxels` is below 1.

    Examples
    --------
    >>> affinities = np.ones((3, 1, 2, 4), np.float32)
    >>> affinities[2, :, :, 2] = 0  # nothing goes from the third column to the second
    >>> label_neurites(affinities, MutexWatershed(NEAREST))
    array([[[1, 1, 2, 2],
            [1, 1, 2, 2]]], dtype=int32)
    """
    prediction = np.asarray(prediction)
    check_prediction(prediction.shape, recipe)
    _check_values(prediction)
    if min_voxels < 1:
        raise ValueError(f"min_voxels is {min_voxels}, expected 1 or more; 1 keeps all neurites.")
    neurites = recipe.regions(prediction)
    if min_voxels > 1:
        neurites = _without_specks(neurites, prediction, recipe.offsets, min_voxels)
    return _in_order(neurites)


def check_prediction(shape: tuple[int, ...], recipe: Recipe) -> None:
    """Raise ValueError unless an array has the shape of what a recipe takes.

    Parameters
    ----------
    shape : tuple of int
    recipe : Recipe
    """
    n = len(recipe.offsets)
    name = type(recipe).__name__
    if len(shape) != (4 if n else 3) or 0 in shape:
        expected = "affinities (offsets, Z, Y, X)" if n else "boundaries (Z, Y, X)"
        raise ValueError(
            f"prediction: found an array of shape {shape}, {name} takes {expected} of at least one "
            "voxel. Take the right recipe, and leave out an axis of a batch."
        )
    if n and shape[0] != n:
        raise ValueError(
            f"prediction: found affinities of {shape[0]} offsets, {name} was given {n}. Give the "
            "offsets that the network was trained for, in their order."
        )


def fragments_of(
    affinities: Floats,
    offsets: Sequence[Offset],
    *,
    threshold: float,
    smoothing: float | tuple[float, float, float],
) -> Objects:
    """Let every voxel go uphill to where the affinities around are highest, see `MeanAffinity`.

    Parameters
    ----------
    affinities : (n_offsets, Z, Y, X) float array
    offsets : sequence of triple of int
    threshold : float
    smoothing : float or triple of float

    Returns
    -------
    (Z, Y, X) int32 array
        Ids.

    Examples
    --------
    >>> affinities = np.float32([[[[0, 0.9, 0.4, 0.8, 0.2, 0.1]]]])
    >>> fragments_of(affinities, [(0, 0, -1)], threshold=0.5, smoothing=0)
    array([[[1, 1, 2, 2, 2, 2]]], dtype=int32)
    """
    shape = affinities.shape[1:]
    places = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    height = _smoothed_mean(affinities, offsets, smoothing)
    top, to_top = height.copy(), places.copy()
    highest, to_highest = np.zeros(shape, np.float32), places.copy()
    is_weak = np.ones(shape, bool)
    ones, others = [], []
    for affinity, offset in zip(affinities, offsets, strict=True):
        here, there = ends(shape, offset)
        affinity = affinity[here]
        is_strong = affinity > threshold
        for side, partner in (here, there), (there, here):
            up = is_strong & (height[partner] > top[side])
            top[side][up], to_top[side][up] = height[partner][up], places[partner][up]
            more = affinity > highest[side]
            highest[side][more], to_highest[side][more] = affinity[more], places[partner][more]
            is_weak[side] &= ~is_strong
        level = is_strong & (height[here] == height[there])
        ones.append(places[here][level])
        others.append(places[there][level])
    leads_to = np.where(is_weak, to_highest, to_top)
    one = np.concatenate([*ones, places.reshape(-1)])
    other = np.concatenate([*others, leads_to.reshape(-1)])
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(places.size, places.size))
    n, found = connected_components(graph, directed=False)
    is_alone = np.bincount(found, minlength=n) == 1
    ids = np.where(is_alone, 0, np.cumsum(~is_alone)).astype(np.int32)
    return np.asarray(ids[found].reshape(shape))


def _smoothed_mean(
    affinities: Floats,
    offsets: Sequence[Offset],
    smoothing: float | tuple[float, float, float],
) -> NDArray[np.float32]:
    """Return the mean of all affinities that a voxel has part in, behind a Gaussian."""
    sums, counts = np.zeros((2, *affinities.shape[1:]), np.float32)
    for affinity, offset in zip(affinities, offsets, strict=True):
        here, there = ends(sums.shape, offset)
        for side in here, there:
            sums[side] += affinity[here]
            counts[side] += 1
    mean = sums / np.maximum(counts, 1)
    return np.asarray(ndimage.gaussian_filter(mean, smoothing), np.float32)


def _lines(basins: Objects) -> NDArray[np.bool_]:
    """Tell which voxels share a face with a basin of a smaller id."""
    lines = np.zeros(basins.shape, bool)
    for offset in NEAREST:
        here, there = ends(basins.shape, offset)
        lines[here] |= basins[here] > basins[there]
        lines[there] |= basins[there] > basins[here]
    return lines


def _without_specks(
    neurites: Objects, prediction: Floats, offsets: Sequence[Offset], min_voxels: int
) -> Objects:
    """Join what is small to what is beside it."""
    near = [k for k, offset in enumerate(offsets) if sum(map(abs, offset)) == 1]
    if near:
        nearest = [offsets[k] for k in near]
        neurites = fill_alone(neurites, prediction[near], nearest)
        graph = region_graph(neurites, prediction[near], nearest)
    elif offsets:
        graph = region_graph(neurites, prediction, offsets)
    else:
        graph = _graph_of_boundaries(neurites, prediction)
    voxels = np.bincount(neurites.reshape(-1))
    joined = merge_regions(graph, voxels, threshold=1, min_voxels=min_voxels)[neurites]
    is_large = np.bincount(joined.reshape(-1)) >= min_voxels
    return np.where(is_large[joined], joined, 0).astype(np.int32)


def _graph_of_boundaries(neurites: Objects, boundaries: Floats) -> RegionGraph:
    """Return what touches, by how little of a boundary the voxels are by which it does."""
    affinities = np.zeros((3, *boundaries.shape), np.float32)
    for affinity, offset in zip(affinities, NEAREST, strict=True):
        here, there = ends(boundaries.shape, offset)
        affinity[here] = 1 - np.maximum(boundaries[here], boundaries[there])
    return region_graph(neurites, affinities, NEAREST)


def _renumbered(regions: NDArray[np.integer]) -> Objects:
    """Return ids that run from 1 without gaps, in the order of those given; 0 stays."""
    occurs = np.zeros(int(regions.max(initial=0)) + 1, bool)
    occurs[regions] = True
    occurs[0] = False
    return np.asarray(np.where(occurs, np.cumsum(occurs), 0).astype(np.int32)[regions])


def _in_order(regions: Objects) -> Objects:
    """Return ids that run from 1 without gaps, in the order of their first voxels."""
    flat = _renumbered(regions).reshape(-1)
    first = np.zeros(int(flat.max(initial=0)) + 1, np.int64)
    first[flat[::-1]] = np.arange(len(flat) - 1, -1, -1)  # of several for one id the last stays
    ids = np.zeros(len(first), np.int32)
    ids[1 + np.argsort(first[1:])] = np.arange(1, len(first), dtype=np.int32)
    return np.asarray(ids[flat].reshape(regions.shape))


def _checked_offsets(offsets: Sequence[Sequence[int]]) -> tuple[Offset, ...]:
    steps = np.asarray(offsets)
    is_whole = np.issubdtype(steps.dtype, np.integer)
    if steps.ndim != 2 or steps.shape[1] != 3 or not is_whole or not steps.any(axis=1).all():
        raise ValueError(
            f"offsets are {offsets}, expected steps (dz, dy, dx) of whole voxels, one for each "
            f"affinity and none of them (0, 0, 0), such as {NEAREST}."
        )
    return tuple((dz, dy, dx) for dz, dy, dx in steps.tolist())


def _check_values(prediction: Floats) -> None:
    low, high = float(prediction.min()), float(prediction.max())
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(
            f"prediction: found values from {low:g} to {high:g}, expected probabilities from 0 to "
            "1. Divide 8-bit values by 255, and apply the sigmoid to scores; NaN comes from a "
            "network that did not train well, or from a grey range of 0."
        )


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value:g}, expected 0 to 1. Probabilities are compared to it.")


def _check_smoothing(smoothing: float | tuple[float, float, float]) -> None:
    sigmas = (smoothing,) if isinstance(smoothing, int | float) else smoothing
    if len(sigmas) not in (1, 3) or not all(0 <= sigma < np.inf for sigma in sigmas):
        raise ValueError(
            f"smoothing is {smoothing}, expected a number of voxels of at least 0, or three for "
            "sections, rows and columns."
        )
