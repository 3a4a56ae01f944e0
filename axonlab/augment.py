"""Random variation of training patches: geometry and grey values, on batches of tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

SCALES = (0.75, 1.33)
"""Zoom: covers fibre sizes of other species and an error of the pixel size."""

ELASTIC_PX, ELASTIC_KNOTS = 4.0, 6
"""Standard deviation of the elastic displacement, and its control points along a side."""


def random_grid(n: int, size: int, patch: int, device: torch.device) -> Tensor:
    """Draw where the pixels of `n` patches lie in squares of side `size`.

    Flips, any rotation, zoom within `SCALES`, a shift as far as the square allows and a smooth
    elastic warp.

    Returns
    -------
    (n, patch, patch, 2) tensor
        x and y from −1 to 1, as `torch.nn.functional.grid_sample` wants them.
    """
    angle = 2 * math.pi * torch.rand(n, device=device)
    low, high = (math.log(s) for s in SCALES)
    scale = torch.exp(low + (high - low) * torch.rand(n, device=device)) * (patch / size)
    flip = torch.randint(0, 2, (n,), device=device) * 2 - 1
    cos, sin = scale * angle.cos(), scale * angle.sin()
    room = (1 - cos.abs() - sin.abs()).clamp(min=0)
    shift = room[:, None] * (2 * torch.rand(n, 2, device=device) - 1)
    rows = [torch.stack([cos * flip, -sin, shift[:, 0]], 1)]
    rows += [torch.stack([sin * flip, cos, shift[:, 1]], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), [n, 1, patch, patch], align_corners=False)
    knots = torch.randn(n, 2, ELASTIC_KNOTS, ELASTIC_KNOTS, device=device)
    warp = functional.interpolate(knots, (patch, patch), mode="bicubic", align_corners=True)
    return grid + warp.permute(0, 2, 3, 1) * (2 * ELASTIC_PX / size)


def sample(x: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Read (n, channels, H, W) at the points of a grid; what lies outside is mirrored."""
    return functional.grid_sample(
        x.as_subclass(Tensor), grid, mode=mode, padding_mode="reflection", align_corners=False
    )


def random_intensity(x: Tensor, strength: float = 1.0) -> Tensor:
    """Vary gamma, contrast, brightness, blur and noise of normalised images.

    Parameters
    ----------
    x : (n, channels, H, W) tensor
        Channels, such as sections, are varied alike.
    strength : float
        Of all but the blur; 0 is none. Where grey values tell classes apart, little is better.
    """

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(x), 1, 1, 1, device=x.device)

    gamma, contrast, brightness, noise = (strength * k for k in (0.5, 0.3, 0.2, 0.12))
    x = x.clamp(min=0) ** torch.exp(draw(-gamma, gamma))
    x = x * draw(1 - contrast, 1 + contrast) + draw(-brightness, brightness)
    x = torch.where(draw(0, 1) < 0.3, _blur(x, sigma=0.5 + torch.rand(()).item()), x)
    return x + draw(0, noise) * torch.randn_like(x)


def _blur(x: Tensor, sigma: float) -> Tensor:
    radius = math.ceil(2 * sigma)
    offsets = torch.arange(-radius, radius + 1, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).reshape(1, 1, 1, -1)
    planes = x.reshape(-1, 1, *x.shape[-2:])
    for k, pad in ((kernel, (radius, radius, 0, 0)), (kernel.mT, (0, 0, radius, radius))):
        planes = functional.conv2d(functional.pad(planes, pad, mode="reflect"), k)
    return planes.reshape(x.shape)
