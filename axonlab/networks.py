"""Networks: what turns normalised pixels into logits. No files, no training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from axonlab.pretrained import ResNetUNet
from axonlab.window_net import WindowNet

FEATURES = (16, 32, 64, 128, 192, 256)

SIZES = {"small": (16, 32, 64, 96, 128), "default": FEATURES, "wide": (32, 64, 128, 192, 256)}
"""Channels per level of the U-Nets that have a name: files of 4, 14 and 14 MB. The default one sees
twice as far as the others; the wide one takes three times its operations."""

MAX_LEVELS = 12
MAX_MEMBERS = 32
"""Limits that keep a foreign model card from taking time and memory before it is refused."""


def architecture(size: str, n_classes: int) -> dict[str, Any]:
    """Return the architecture of a model card for a network of a named size.

    Parameters
    ----------
    size : str
        One of `SIZES`, or "resnet18" for the U-Net on a ResNet-18 (`ResNetUNet`).
    n_classes : int

    Raises
    ------
    ValueError
        If there is no such size.

    Examples
    --------
    >>> architecture("small", 3)
    {'class': 'UNet', 'n_classes': 3, 'features': [16, 32, 64, 96, 128]}
    """
    if size == "resnet18":
        return {"class": "ResNetUNet", "n_classes": n_classes}
    if size not in SIZES:
        raise ValueError(f"No network of size {size!r}: expected one of {[*SIZES, 'resnet18']}.")
    return {"class": "UNet", "n_classes": n_classes, "features": list(SIZES[size])}


def build(architecture: Mapping[str, Any]) -> nn.Module:
    """Return the network that an architecture, ``{"class": …, …}``, describes."""
    arguments = {k: v for k, v in architecture.items() if k != "class"}
    return ARCHITECTURES[architecture["class"]](**arguments)


def anisotropic_strides(
    voxel_size: Sequence[float], levels: int
) -> tuple[tuple[int, int, int], ...]:
    """Return strides of a `UNet` in three dimensions that suit the shape of voxels.

    Parameters
    ----------
    voxel_size : triple of float
        Distance of sections, height and width of a voxel.
    levels : int
        Of the network; strides are one fewer.

    Returns
    -------
    tuple of triple of int
        2 along y and x; 2 along z too from where voxels are less than twice as long as wide.

    Examples
    --------
    >>> anisotropic_strides((0.03, 0.006, 0.006), levels=4)
    ((1, 2, 2), (1, 2, 2), (2, 2, 2))
    """
    z, y, x = voxel_size
    ratios = [z / max(y, x) / 2**level for level in range(levels - 1)]
    first = next((level for level, ratio in enumerate(ratios) if ratio < 2), len(ratios))
    return tuple((1 if level < first else 2, 2, 2) for level in range(levels - 1))


class UNet(nn.Module):
    """U-Net in two or three dimensions whose receptive field is known exactly.

    Every level has two convolutions with batch norm and ReLU; going down is max-pooling by the
    level's stride, coming up is a 1×1 convolution and nearest-neighbour repetition. All padding
    keeps the size, so an input whose sides are multiples of `stride` comes out unchanged in size.

    Parameters
    ----------
    n_classes : int
    in_channels : int
    features : sequence of int
        Channels per level, finest first.
    strides : sequence of sequence of int, optional
        Pooling step per axis between levels, one entry fewer than `features`; its length sets
        the number of dimensions. 2 along y and x by default. Along an axis that is not pooled
        below a level, that level's kernels are 1 wide: anisotropic volumes are mixed
        along z only where their voxels have become as long as they are wide.
    residual : bool
        Let the second convolution of every two add to what the first gives: no more weights, and
        the same reach.

    Attributes
    ----------
    stride : tuple of int
        Total pooling step per axis: tiles start at its multiples.
    halo : tuple of int
        Context per axis, in input pixels and a multiple of `stride`, beyond which nothing
        influences an aligned tile.

    Notes
    -----
    Ronneberger, Fischer & Brox 2015, arXiv:1505.04597; in three dimensions and residual as in Lee
    et al. 2017, arXiv:1706.00120.
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int = 1,
        features: Sequence[int] = FEATURES,
        strides: Sequence[Sequence[int]] | None = None,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if len(features) > MAX_LEVELS:
            raise ValueError(f"UNet: {len(features)} levels, expected at most {MAX_LEVELS}.")
        steps = [tuple(s) for s in strides or [(2, 2)] * (len(features) - 1)]
        axes = len(steps[0]) if steps else 0
        if axes not in (2, 3) or len(steps) != len(features) - 1:
            raise ValueError(
                f"UNet: {len(features)} levels need {len(features) - 1} strides of 2 or 3 axes "
                f"each, got {steps}."
            )
        self.steps = steps
        # the coarsest level convolves like the one above it
        self.kernels = [tuple(3 if s > 1 else 1 for s in step) for step in [*steps, steps[-1]]]
        conv = nn.Conv2d if axes == 2 else nn.Conv3d
        pool = nn.MaxPool2d if axes == 2 else nn.MaxPool3d

        inputs = [in_channels, *features[:-1]]
        self.down = nn.ModuleList(
            _two_convolutions(*io, k, residual)
            for *io, k in zip(inputs, features, self.kernels, strict=True)
        )
        self.pool = nn.ModuleList(pool(step) for step in steps)
        self.narrow = nn.ModuleList(conv(low, high, 1) for high, low in pairwise(features))
        self.up = nn.ModuleList(
            _two_convolutions(2 * f, f, k, residual)
            for f, k in zip(features[:-1], self.kernels[:-1], strict=True)
        )
        self.head = conv(features[0], n_classes, 1)

        self.stride = tuple(math.prod(s) for s in zip(*steps, strict=True))
        self.halo = tuple(self._axis_halo(axis) for axis in range(axes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes, …) for images (batch, in_channels, …)."""
        skips = []
        for down, pool in zip(self.down, self.pool, strict=False):
            x = down(x)
            skips.append(x)
            x = pool(x)
        x = self.down[-1](x)
        for i in reversed(range(len(skips))):
            x = _repeat(self.narrow[i](x), self.steps[i])
            x = self.up[i](torch.cat([skips[i], x], dim=1))
        return self.head(x)

    def _axis_halo(self, axis: int) -> int:
        """Follow an aligned block of outputs back to the interval of inputs it depends on."""
        reach = [2 * (kernel[axis] // 2) for kernel in self.kernels]  # of a level's two kernels

        def encoder_interval(level: int, low: int, high: int) -> tuple[int, int]:
            if level == len(self.steps):
                return low, high
            low, high = low - reach[level], high + reach[level]  # the decoder's kernels
            step = self.steps[level][axis]
            deep_low, deep_high = encoder_interval(level + 1, low // step, high // step)
            deep_low -= reach[level + 1]
            deep_high += reach[level + 1]
            return min(low, deep_low * step), max(high, deep_high * step + step - 1)

        stride = self.stride[axis]
        low, high = encoder_interval(0, 0, stride - 1)
        context = max(-low, high - (stride - 1)) + reach[0]
        return -(-context // stride) * stride


class Residual(nn.Sequential):
    """Two convolutions with batch norm and ReLU, the second of which adds to the first."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, after a ReLU."""
        convolve, norm, relu, convolve_again, norm_again, relu_again = self
        x = relu(norm(convolve(x)))
        return relu_again(x + norm_again(convolve_again(x)))


def _two_convolutions(
    inputs: int, outputs: int, kernel: tuple[int, ...], residual: bool
) -> nn.Sequential:
    conv = nn.Conv2d if len(kernel) == 2 else nn.Conv3d
    norm = nn.BatchNorm2d if len(kernel) == 2 else nn.BatchNorm3d
    padding = tuple(k // 2 for k in kernel)
    layers: list[nn.Module] = []
    for n in (inputs, outputs):
        layers += [
            conv(n, outputs, kernel, padding=padding, bias=False),  # type: ignore[arg-type]
            norm(outputs),
            nn.ReLU(inplace=True),
        ]
    return (Residual if residual else nn.Sequential)(*layers)


def _repeat(x: Tensor, step: tuple[int, ...]) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=[float(s) for s in step], mode="nearest")


class Ensemble(nn.Module):
    """Networks that vote: the mean of their probabilities.

    Parameters
    ----------
    n_classes : int
    members : sequence of dict
        The architecture of every member, ``{"class": "UNet", …}``.

    Attributes
    ----------
    members : ModuleList
    stride, halo : tuple of int
        As in `UNet`, enough for every member.

    Notes
    -----
    Lakshminarayanan, Pritzel & Blundell 2017, arXiv:1612.01474.
    """

    def __init__(self, n_classes: int, members: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        if not 2 <= len(members) <= MAX_MEMBERS:
            raise ValueError(f"Ensemble: {len(members)} members, expected 2 to {MAX_MEMBERS}.")
        if any(member["class"] == "Ensemble" for member in members):
            raise ValueError("Ensemble: a member is an ensemble itself; list its members instead.")
        outputs = [member["n_classes"] for member in members]
        if set(outputs) != {n_classes}:
            raise ValueError(f"Ensemble: members of {outputs} classes, expected {n_classes} each.")
        self.members = nn.ModuleList(build(member) for member in members)
        strides = [member.stride for member in self.members]
        self.stride = tuple(math.lcm(*steps) for steps in zip(*strides, strict=True))
        reach = [max(halos) for halos in zip(*(m.halo for m in self.members), strict=True)]
        self.halo = tuple(-(-h // s) * s for h, s in zip(reach, self.stride, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return the log of the mean probabilities, which are logits too, in float32."""
        logs = torch.stack([member(x).float().log_softmax(1) for member in self.members])
        return logs.logsumexp(0) - math.log(len(self.members))


ARCHITECTURES = {
    "UNet": UNet,
    "ResNetUNet": ResNetUNet,
    "WindowNet": WindowNet,
    "Ensemble": Ensemble,
}
