"""Networks for the membranes of cells: fastai blocks over stacks of sections, and a learner."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.core import Callback
from fastai.data.block import DataBlock, TransformBlock
from fastai.data.core import DataLoaders
from fastai.data.transforms import FuncSplitter
from fastai.learner import Learner
from fastai.vision.augment import RandTransform
from fastai.vision.core import TensorImageBW, TensorMask
from fastcore.foundation import L
from fasttransform import Transform
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from axonlab.augment import random_grid, random_intensity, sample
from axonlab.data import MARGIN, RandomPatch
from axonlab.learn import Autocast, ClassDice
from axonlab.losses import BoundaryWeighted
from axonlab.micrograph import MEMBRANE_CLASSES, UNLABELLED, intensity_range, normalise
from axonlab.volume import Volume, check_truth
from axonlab.window_net import WindowNet


@dataclass(frozen=True, eq=False)
class Section:
    """One section, ready for patches.

    Parameters
    ----------
    pixels : (H, W) float32 array
        Normalised by the section's own percentiles, and mirrored beyond its border.
    classes : (H, W) uint8 array
        0 membrane, 1 interior, 255 beyond the border.
    is_valid : bool
        Whether it is for validation.
    """

    pixels: NDArray[np.float32]
    classes: NDArray[np.uint8]
    is_valid: bool


def membrane_block(
    *,
    valid: Collection[int],
    patch: int = 128,
    patches_per_section: int = 16,
    valid_patch: int = 512,
    context: int = 0,
    elastic: bool = False,
    grey_variation: float = 0.5,
) -> DataBlock:
    """Return the DataBlock for training on a pair of volume and truth.

    Training sees random patches in random orientations; validation sees the centre of each of its
    sections, unchanged. The truth is a (Z, Y, X) bool array, False on membranes: see
    `axonlab.volume.check_truth`, which is asked first.

    Parameters
    ----------
    valid : collection of int
        Sections for validation, from 0. Neighbouring sections are alike: leave out a block.
    patch, valid_patch : int
        Sides of the patches in pixels.
    patches_per_section : int
        In an epoch.
    context : int
        Width of a border that the network sees around a patch, without a label. For `WindowNet`
        its halo: each pixel of a patch is then a window of the section, as if they were trained
        one by one. 0 for a U-Net.
    elastic : bool
        Also turn by any angle, zoom and warp; otherwise mirror and turn by right angles only.
    grey_variation : float
        How strongly grey values are varied, see `axonlab.augment.random_intensity`; 0 is not.

    Examples
    --------
    ``membrane_block(valid=range(20, 24)).dataloaders((volume, interior), bs=8)``
    """

    def sections(source: tuple[Volume, NDArray[np.bool_]]) -> list[Section]:
        volume, interior = source
        check_truth(volume, interior)
        depth = len(interior)
        outside = sorted(set(valid) - set(range(depth)))
        if outside or len(set(valid)) == depth:
            raise ValueError(
                f"{volume.name}: sections {sorted(valid)} for validation of {depth} in all, which "
                f"are 0 to {depth - 1}. Choose some of them, and leave some to train on."
            )
        planes = zip(volume.pixels, interior, strict=True)
        found = [_section(*both, context, z in valid) for z, both in enumerate(planes)]
        return [s for s in found for _ in range(1 if s.is_valid else patches_per_section)]

    side = round(patch * MARGIN) if elastic else patch
    return DataBlock(
        blocks=(
            TransformBlock(type_tfms=Transform(_pixels)),
            TransformBlock(type_tfms=Transform(_classes)),
        ),
        get_items=sections,
        splitter=FuncSplitter(lambda section: section.is_valid),
        item_tfms=RandomPatch(side + 2 * context, valid_patch + 2 * context),
        batch_tfms=Vary(patch, context, elastic, grey_variation),
    )


def membrane_learner(
    dls: DataLoaders,
    network: nn.Module | None = None,
    *,
    balanced: bool = True,
    border: float = 0.0,
    **kwargs: Any,
) -> Learner:
    """Return a learner that trains a network to tell membrane from interior.

    Trained on patches, a `WindowNet` learns from all windows around their pixels, at some 1/500 of
    the cost of training on these windows one by one. Of rates for `fit_one_cycle`, 1e-3 suits N4
    on two patches of 128 pixels a batch, and 5e-3 a U-Net on four of 192.

    Parameters
    ----------
    dls : DataLoaders
        From `membrane_block`.
    network : Module, optional
        With two outputs; it is trained itself, not a copy. By default N4, a fresh `WindowNet`;
        make the block with ``context=network.halo[0]`` for it.
    balanced : bool
        Let membrane and interior count the same, as published: many membranes that are found, but
        too many; `axonlab.posterior.fit_posterior` makes probabilities of what comes out.
        Otherwise each pixel counts the same.
    border : float
        How many times more pixels near a border of membrane and interior count.
    **kwargs
        For `fastai.learner.Learner`.
    """
    return Learner(
        dls,
        network or WindowNet(len(MEMBRANE_CLASSES)),
        loss_func=MembraneLoss(balanced, border),
        metrics=[ClassDice(i, name) for i, name in enumerate(MEMBRANE_CLASSES)],
        cbs=[ChannelsLast(), Autocast(), GivenContext(), *L(kwargs.pop("cbs", None))],
        **kwargs,
    )


def median(probability: NDArray[np.float32], radius: int = 2) -> NDArray[np.float32]:
    """Replace every pixel by the median of a disc around it, section by section.

    Parameters
    ----------
    probability : (H, W) or (Z, H, W) array
    radius : int
        In pixels; 2 as published by Cireşan et al. 2012.

    Returns
    -------
    Array of the same shape
        Beyond its border a section is mirrored.
    """
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = y**2 + x**2 <= radius**2
    footprint = disc.reshape((1,) * (probability.ndim - 2) + disc.shape)
    smooth: NDArray[np.float32] = ndimage.median_filter(probability, footprint=footprint)
    return smooth


class MembraneLoss(BoundaryWeighted):
    """Cross-entropy in which classes can count the same, and pixels near a border more.

    Parameters
    ----------
    balanced : bool
        Whether all classes that a batch holds count the same.
    border : float
        How many times more a pixel near a border counts, see `axonlab.losses.BoundaryWeighted`.
    """

    def __init__(self, balanced: bool = True, border: float = 0.0) -> None:
        super().__init__(extra=border)
        self.balanced = balanced

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of (n, classes, H, W) logits against (n, H, W) class numbers."""
        logits, target = logits.as_subclass(Tensor).float(), target.as_subclass(Tensor).long()
        entropy = functional.cross_entropy(
            logits, target, ignore_index=UNLABELLED, reduction="none"
        )
        weights = self.weights(target) * (target != UNLABELLED)
        if self.balanced:
            for position in range(logits.shape[1]):
                of_class = target == position
                weights = torch.where(of_class, weights / weights[of_class].sum(), weights)
        return (weights * entropy).sum() / weights.sum().clamp(min=1e-12)


class GivenContext(Callback):
    """Tell a `WindowNet` how much of its images is context: they are larger than their labels."""

    def before_batch(self) -> None:
        """Hand the width of the context to the network."""
        excess = self.x.shape[-1] - self.y.shape[-1]
        if isinstance(self.model, WindowNet):
            self.learn.xb = (*self.xb, excess // 2)
        elif excess:
            raise ValueError(
                f"Patches with a context of {excess // 2} pixels for a "
                f"{type(self.model).__name__}, which gives a label to every pixel. Make the block "
                "with context=0."
            )


class Vary(RandTransform):
    """Turn or warp patches and vary their grey values, for training; cut the labels to theirs."""

    split_idx = None  # for training and validation

    def __init__(self, patch: int, context: int, elastic: bool, grey_variation: float) -> None:
        super().__init__()
        self.size = patch + 2 * context
        self.context = context
        self.elastic = elastic
        self.grey_variation = grey_variation

    def before_call(self, b: tuple[Tensor, Tensor], split_idx: int) -> None:
        """Draw what happens to both the image and its labels."""
        self.do, self.training = True, not split_idx
        n, side = len(b[0]), b[0].shape[-1]
        if self.elastic and self.training:
            self.grid = random_grid(n, side, self.size, b[0].device)
        else:
            self.turns = torch.randint(4, (n,)).tolist()
            self.mirrored = torch.randint(2, (n,)).tolist()

    def encodes(self, x: TensorImageBW) -> TensorImageBW:
        """Turn or warp images."""
        if not self.training:
            return x
        x = x.as_subclass(Tensor)
        x = sample(x, self.grid, "bilinear") if self.elastic else self._turn(x)
        return TensorImageBW(random_intensity(x, self.grey_variation) if self.grey_variation else x)

    def encodes(self, x: TensorMask) -> TensorMask:  # noqa: F811  (fastai dispatches on the type)
        """Turn or warp labels likewise."""
        y = x.as_subclass(Tensor)
        if self.training and self.elastic:
            y = sample(y[:, None].float(), self.grid, "nearest")[:, 0]
        elif self.training:
            y = self._turn(y)
        inside = slice(self.context, y.shape[-1] - self.context)
        return TensorMask(y[..., inside, inside].long())

    def _turn(self, x: Tensor) -> Tensor:
        turned = [torch.rot90(one, k, (-2, -1)) for one, k in zip(x, self.turns, strict=True)]
        pairs = zip(turned, self.mirrored, strict=True)
        return torch.stack([one.flip(-1) if mirrored else one for one, mirrored in pairs])


def _section(
    grey: NDArray[np.float32], interior: NDArray[np.bool_], context: int, is_valid: bool
) -> Section:
    pixels = normalise(grey, *intensity_range(grey))
    return Section(
        np.pad(pixels, context, mode="reflect"),
        np.pad(interior.astype(np.uint8), context, constant_values=UNLABELLED),
        is_valid,
    )


def _pixels(section: Section) -> TensorImageBW:
    return TensorImageBW(torch.from_numpy(section.pixels)[None])


def _classes(section: Section) -> TensorMask:
    return TensorMask(torch.from_numpy(section.classes))
