"""Learners for networks of affinities and boundaries: the loss, the scores, what they refuse."""

from __future__ import annotations

from typing import Any

import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastcore.foundation import L
from torch import Tensor, nn
from torch.nn import functional

from axonlab.learn import Autocast, ClassDice
from axonlab.micrograph import UNLABELLED

RAREST = 0.02
"""Share below which voxels of a target do not count more yet, the rarer they are."""


def volume_learner(
    dls: DataLoaders, network: nn.Module, *, balanced: bool = True, **kwargs: Any
) -> Learner:
    """Return a learner that trains a network on affinities or boundaries.

    Parameters
    ----------
    dls : DataLoaders
        From `axonlab.volume_blocks.volume_block`, or from its `section_block`.
    network : Module
        With an output for every offset, or one for boundaries; it is trained itself, not a copy.
        An `axonlab.networks.UNet` whose strides are those of `axonlab.networks.anisotropic_strides`
        for the former; in two dimensions for the latter.
    balanced : bool
        Let what is of the same neuron and what is not, or boundary and interior, count the same,
        see `BalancedEntropy`. Otherwise each voxel counts the same.
    **kwargs
        For `fastai.learner.Learner`.
    """
    is_flat = any(isinstance(layer, nn.Conv2d) for layer in network.modules())
    names = {0: "interior", 1: "boundary"} if is_flat else {1: "together", 0: "apart"}
    return Learner(
        dls,
        network,
        loss_func=BalancedEntropy(balanced),
        metrics=[TargetDice(value, name) for value, name in names.items()],
        cbs=[
            ChannelsLast() if is_flat else ChannelsLast3d(),
            Autocast(),
            Fits(),
            *L(kwargs.pop("cbs", None)),
        ],
        **kwargs,
    )


class BalancedEntropy(nn.Module):
    """Binary cross-entropy of known voxels, in which both answers can count the same.

    Parameters
    ----------
    balanced : bool
        Whether in every channel of a batch both answers count the same, unless one of them is
        rarer than `RAREST`; and all channels count the same.
    """

    def __init__(self, balanced: bool = True) -> None:
        super().__init__()
        self.balanced = balanced

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of (n, channels, …) logits against 0, 1 and, for unknown, 255."""
        logits, target = logits.as_subclass(Tensor).float(), target.as_subclass(Tensor)
        if logits.shape != target.shape:
            raise ValueError(
                f"The network gives {tuple(logits.shape)} for targets {tuple(target.shape)} (n, "
                "channels, …). Make it with an output for every offset, or one for boundaries."
            )
        entropy = functional.binary_cross_entropy_with_logits(
            logits, (target == 1).float(), reduction="none"
        )
        weights = (target != UNLABELLED).float()
        if self.balanced:
            axes = [axis for axis in range(target.ndim) if axis != 1]
            known = weights.sum(axes, keepdim=True).clamp(min=1)
            for answer in (0, 1):
                is_answer = target == answer
                share = (is_answer.sum(axes, keepdim=True) / known).clamp(min=RAREST)
                weights = torch.where(is_answer, 1 / (share * known), weights)
        return (weights * entropy).sum() / weights.sum().clamp(min=1e-12)


class TargetDice(ClassDice):
    """Dice of one answer, pooled over all known voxels of the validation set and all channels."""

    def accumulate(self, learn: Learner) -> None:
        """Add a batch."""
        target = learn.y.as_subclass(Tensor)
        is_one = learn.pred.as_subclass(Tensor) > 0
        predicted = (is_one == bool(self.position)) & (target != UNLABELLED)
        truth = target == self.position
        self.common += int((predicted & truth).sum())
        self.total += int(predicted.sum() + truth.sum())


class ChannelsLast3d(Callback):
    """Keep the channels of a voxel together, as fastai's `ChannelsLast` does those of a pixel.

    Notes
    -----
    A step takes 40 % less time on processors, measured in float32 with 8 channels and more.
    """

    order = -1

    def before_fit(self) -> None:
        """Lay out the weights so; what they make of a batch follows them."""
        self.learn.model.to(memory_format=torch.channels_last_3d)


class Fits(Callback):
    """Refuse patches whose sides are no multiples of the strides of the network, or too thin.

    Notes
    -----
    Of convolutions over two sections, which deep levels make of thin patches, torch 2.15 gave wrong
    gradients on processors in bfloat16: not finite, or huge, and different from run to run.
    """

    def before_batch(self) -> None:
        """Look at the batch."""
        stride = self.model.stride
        sides = tuple(self.x.shape[2:])
        if len(sides) != len(stride) or any(n % s for n, s in zip(sides, stride, strict=True)):
            raise ValueError(
                f"Patches of {sides} for a network whose strides are {stride}. Take a patch whose "
                "sides are multiples of them, of as many dimensions as the network has."
            )
        if len(sides) == 3 and stride[0] > 1 and sides[0] < 3 * stride[0]:
            raise ValueError(
                f"Patches of {sides[0]} sections for a network that pools {stride[0]} into one: "
                "its deepest level would see fewer than three. Take patches of at least 3 times "
                "the stride."
            )
