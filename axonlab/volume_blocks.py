"""fastai blocks for the neurons of a volume: patches, their targets, and how both are varied."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
import torch
from fastai.data.block import DataBlock, TransformBlock
from fastai.data.transforms import FuncSplitter
from fastai.vision.augment import RandTransform
from fastai.vision.core import TensorImageBW, TensorMask
from fasttransform import Transform
from numpy.typing import NDArray
from torch import Tensor

from axonlab.affinities import NEAREST, affinity_targets, boundary_targets, check_offsets
from axonlab.augment import random_intensity
from axonlab.neurites import DEFECTS
from axonlab.volume import AXES, Volume, check_same_shape, normalise_sections, small_ids

SLIP_PX = 12
"""By how many pixels at most a section is put beside its place, along each axis."""

CONTRASTS = (0.2, 0.7)
"""Of dark sections, as a share of the usual one."""

Source = tuple[Volume, NDArray[np.integer[Any]]]
Slab = slice | tuple[slice, ...]
Shape = tuple[int, int, int]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Part:
    """Part of a volume, ready for patches.

    Parameters
    ----------
    pixels : (Z, Y, X) float32 array
        Of normalised sections.
    truth : (Z, Y, X) integer array
        Instances, or boundaries.
    voxel_size : triple of float
        Patches are turned so that only axes of equal voxels change places.
    is_valid : bool
        Whether it is a patch for validation, and not what patches are cut from.
    """

    pixels: NDArray[np.float32]
    truth: NDArray[np.integer[Any]]
    voxel_size: tuple[float, float, float]
    is_valid: bool


def volume_block(
    *,
    valid: Slab | None,
    offsets: Sequence[Sequence[int]] = NEAREST,
    patch: Shape = (16, 96, 96),
    patches: int = 128,
    valid_patches: int = 8,
    defects: float = 0.05,
    grey_variation: float = 0.5,
) -> DataBlock:
    """Return the DataBlock for training on affinities, from a pair of volume and instances.

    Training sees random patches (1, Z, Y, X), mirrored and turned at random as voxels allow, with
    targets (n_offsets, Z, Y, X): see `axonlab.affinities.affinity_targets`, which is applied
    to the patch as the network sees it. Validation sees patches of its own slab, unchanged.

    Parameters
    ----------
    valid : slice, tuple of slice or None
        The slab for validation, cut along one axis: ``np.s_[140:]`` are sections from 140 on,
        ``np.s_[:, :, 200:]`` columns from 200 on. None trains on everything.
    offsets : sequence of triple of int
        Of the affinities, in voxels.
    patch : triple of int
        Sections, rows and columns of a patch; multiples of the strides of the network.
    patches, valid_patches : int
        In an epoch; those for validation are spread evenly, and may be fewer if the slab is small.
    defects : float
        Share of sections that are made dark, blank or misaligned in training; the truth goes on
        through the first two, and is displaced with misaligned ones. 0 suits volumes that were
        not cut into sections.
    grey_variation : float
        How strongly grey values are varied, see `axonlab.augment.random_intensity`; 0 is not.

    Raises
    ------
    ValueError
        If the offsets are not as they should be; with a source, if volume and instances do not
        belong together, hold no neuron, or are smaller than a patch.

    Examples
    --------
    ``volume_block(valid=np.s_[140:]).dataloaders((volume, instances), bs=2)``
    """
    steps = check_offsets(offsets)

    def parts(source: Source) -> list[Part]:
        volume, instances = source
        truth = check_instances(volume, instances)
        return _parts(volume, truth, volume.voxel_size, valid, patch, (patches, valid_patches))

    def targets(truth: Array) -> Array:
        return affinity_targets(truth, steps)

    return _block(parts, RandomBox(patch, lambda x: x[None], targets, defects), grey_variation)


def section_block(
    *,
    valid: Slab | None,
    sections: int = 3,
    thickness: float = 2.0,
    across_sections: int = 1,
    patch: int = 192,
    patches: int = 128,
    valid_patches: int = 16,
    defects: float = 0.05,
    grey_variation: float = 0.5,
) -> DataBlock:
    """Return the DataBlock for training on boundaries of a section seen with its neighbours.

    Patches (sections, Y, X) have the boundaries of the middle section, (1, Y, X), for a target: a
    network in two dimensions with `sections` input channels and one output.

    Parameters
    ----------
    valid : slice, tuple of slice or None
        As for `volume_block`.
    sections : int
        How many the network sees, an odd number.
    thickness, across_sections : float, int
        See `axonlab.affinities.boundary_targets`, which is applied to the whole volume.
    patch : int
        Side in pixels.
    patches, valid_patches, defects, grey_variation : int, int, float, float
        As for `volume_block`.

    Raises
    ------
    ValueError
        If the number of sections is even; and as for `volume_block`.

    Notes
    -----
    Zeng, Wu & Ji 2017, doi:10.1093/bioinformatics/btx188, with 1, 3 and 5 sections.
    """
    if sections < 1 or sections % 2 == 0:
        raise ValueError(f"sections is {sections}, expected 1, 3 or another odd number.")
    box = (sections, patch, patch)

    def parts(source: Source) -> list[Part]:
        volume, instances = source
        truth = boundary_targets(check_instances(volume, instances), thickness, across_sections)
        size = (math.inf, *volume.voxel_size[1:])  # sections stay sections
        return _parts(volume, truth, size, valid, box, (patches, valid_patches))

    def targets(truth: Array) -> Array:
        return truth[sections // 2, None]

    return _block(parts, RandomBox(box, lambda x: x, targets, defects), grey_variation)


class RandomBox(RandTransform):
    """Cut the same box from pixels and truth, make targets of it; for training, vary both.

    Boxes are cut anywhere, mirrored and turned so that only voxels of equal size change places,
    and some of their sections are spoilt. For validation nothing is changed.

    Parameters
    ----------
    patch : triple of int
    channels, targets : callable
        Make input channels of the pixels of a box, and targets of its truth.
    defects : float
        Share of sections that are spoilt.
    """

    order = 1
    split_idx = None  # for training and validation

    def __init__(
        self,
        patch: Shape,
        channels: Callable[[Array], Array],
        targets: Callable[[Array], Array],
        defects: float,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.channels = channels
        self.targets = targets
        self.defects = defects

    def before_call(self, b: tuple[Tensor, Tensor], split_idx: int) -> None:
        """Draw what happens to both pixels and truth."""
        self.do = True
        shape = tuple(b[0].shape)
        self.axes, self.mirrored, self.faults = (0, 1, 2), (), {}
        if not split_idx:
            turns = _turns(shape, self.patch, b[0].voxel_size)
            self.axes = turns[_draw(len(turns))]
            self.mirrored = tuple(axis for axis in range(3) if _draw(2))
        # axis axes[i] of the volume becomes axis i of the patch
        self.side = [self.patch[self.axes.index(axis)] for axis in range(3)]
        self.corner = [_draw(n - side + 1) for n, side in zip(shape, self.side, strict=True)]
        if not split_idx:
            spoilt = torch.nonzero(torch.rand(self.side[0]) < self.defects).flatten().tolist()
            self.faults = {z: DEFECTS[_draw(len(DEFECTS))] for z in spoilt}
        self.slips = {
            z: [
                min(max(low + _draw(2 * SLIP_PX + 1) - SLIP_PX, 0), n - side)
                for low, n, side in zip(self.corner[1:], shape[1:], self.side[1:], strict=True)
            ]
            for z, kind in self.faults.items()
            if kind == "misaligned"
        }
        low, high = CONTRASTS
        self.contrasts = {
            z: 0.0 if kind == "missing" else low + (high - low) * float(torch.rand(()))
            for z, kind in self.faults.items()
            if kind != "misaligned"
        }

    def encodes(self, x: TensorImageBW) -> TensorImageBW:
        """Return the channels of the box."""
        box = self._cut(x)
        for z, contrast in self.contrasts.items():
            box[z] *= contrast
        return TensorImageBW(torch.from_numpy(self.channels(self._turned(box)).copy()))

    def encodes(self, x: TensorMask) -> TensorMask:  # noqa: F811  (fastai dispatches on the type)
        """Return the targets of the box."""
        return TensorMask(torch.from_numpy(self.targets(self._turned(self._cut(x))).copy()))

    def _cut(self, x: Tensor) -> Array:
        whole = np.asarray(x)
        box = whole[tuple(slice(a, a + n) for a, n in zip(self.corner, self.side, strict=True))]
        box = box.copy()
        _, height, width = self.side
        for z, (y, x0) in self.slips.items():
            box[z] = whole[self.corner[0] + z, y : y + height, x0 : x0 + width]
        return box

    def _turned(self, box: Array) -> Array:
        return np.flip(box.transpose(self.axes), self.mirrored)


class VaryGrey(RandTransform):
    """Vary the grey values of patches, those of all sections alike, for training."""

    split_idx = 0

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def encodes(self, x: TensorImageBW) -> TensorImageBW:
        """Vary a batch."""
        sections = x.as_subclass(Tensor).reshape(len(x), -1, *x.shape[-2:])
        return TensorImageBW(random_intensity(sections, self.strength).reshape(x.shape))


def check_instances(volume: Volume, instances: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Return the neurons of a volume as int32 ids, or raise ValueError if they are not its own.

    Parameters
    ----------
    volume : Volume
    instances : (Z, Y, X) integer array
        0 is no neuron, and what is negative unknown.
    """
    check_same_shape(volume, instances)
    if instances.dtype.kind not in "iu":
        raise ValueError(
            f"{volume.name}: instances of type {instances.dtype}, expected integer ids. Number the "
            "neurons first; masks of membranes are for axonlab.membranes.membrane_block."
        )
    highest = int(instances.max())
    if highest < 1:
        raise ValueError(
            f"{volume.name}: the instances hold no neuron: their highest id is {highest}. Check "
            "what was read."
        )
    return small_ids(instances)


def _block(
    parts: Callable[[Source], list[Part]], cut: RandomBox, grey_variation: float
) -> DataBlock:
    return DataBlock(
        blocks=(
            TransformBlock(type_tfms=Transform(_pixels)),
            TransformBlock(type_tfms=Transform(_truth)),
        ),
        get_items=parts,
        splitter=FuncSplitter(lambda part: part.is_valid),
        item_tfms=cut,
        batch_tfms=VaryGrey(grey_variation) if grey_variation else None,
    )


def _parts(
    volume: Volume,
    truth: NDArray[np.integer[Any]],
    size: tuple[float, float, float],
    valid: Slab | None,
    patch: Shape,
    patches: tuple[int, int],
) -> list[Part]:
    """Return what training patches are cut from, as often as they are, and those for validation."""
    before, slab, after = _slabs(volume, valid)
    pixels = normalise_sections(volume)
    places = [at for at in (before, after) if _fits(truth[at].shape, patch)]
    if not places or not (valid is None or _fits(truth[slab].shape, patch)):
        raise ValueError(
            f"{volume.name}: of {truth.shape} voxels ({', '.join(AXES)}), {truth[slab].shape} for "
            f"validation, which leaves no room for patches of {patch} in both it and the rest. "
            "Take smaller patches, or another slab."
        )
    sizes = np.array([truth[at].size for at in places])
    shares = np.diff(np.round(np.cumsum(sizes) / sizes.sum() * patches[0]).astype(int), prepend=0)
    found = []
    for at, n in zip(places, shares.tolist(), strict=True):
        found += [Part(pixels[at], truth[at], size, False)] * n
    starts = [range(0, n - p + 1, p) for n, p in zip(truth[slab].shape, patch, strict=True)]
    corners = list(product(*starts))
    chosen = np.linspace(0, len(corners) - 1, min(patches[1], len(corners))).round().astype(int)
    for i in chosen.tolist():
        at = tuple(slice(c, c + p) for c, p in zip(corners[i], patch, strict=True))
        found.append(Part(pixels[slab][at], truth[slab][at], size, True))
    return found


def _slabs(volume: Volume, valid: Slab | None) -> tuple[tuple[slice, ...], ...]:
    """Return where the voxels before, in and after a slab are."""
    shape = volume.pixels.shape
    if valid is None:
        return (), (slice(0),), (slice(0),)
    given = valid if isinstance(valid, tuple) else (valid,)
    cuts = [*given, *[slice(None)] * (3 - len(given))]
    bounds = [cut.indices(n)[:2] for cut, n in zip(cuts, shape, strict=False)]
    axes = [axis for axis, both in enumerate(bounds) if both != (0, shape[axis])]
    if len(cuts) != 3 or len(axes) != 1 or any(cut.step not in (None, 1) for cut in cuts):
        raise ValueError(
            f"{volume.name}: valid is {valid} of {shape} voxels ({', '.join(AXES)}), expected a "
            "slab cut along one axis, such as np.s_[20:] or np.s_[:, 200:], with some left to "
            "train on."
        )
    (axis,) = axes
    low, high = bounds[axis]
    every = [slice(None)] * axis
    return tuple((*every, slice(*ends)) for ends in ((0, low), (low, max(low, high)), (high, None)))


def _fits(shape: tuple[int, ...], patch: Shape) -> bool:
    return all(n >= side for n, side in zip(shape, patch, strict=True))


def _turns(
    shape: tuple[int, ...], patch: Shape, voxel_size: tuple[float, float, float]
) -> list[tuple[int, ...]]:
    """Return the orders of axes in which a patch can be cut."""
    return [
        axes
        for axes in permutations(range(3))
        if all(voxel_size[axis] == size for axis, size in zip(axes, voxel_size, strict=True))
        and all(shape[axis] >= n for axis, n in zip(axes, patch, strict=True))
    ]


def _draw(n: int) -> int:
    return int(torch.randint(n, ()))


def _pixels(part: Part) -> TensorImageBW:
    return TensorImageBW(torch.from_numpy(part.pixels), voxel_size=part.voxel_size)


def _truth(part: Part) -> TensorMask:
    return TensorMask(torch.from_numpy(part.truth))
