"""The pixel classifier of 2012: what a pixel is, told from the square window around it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNELS = {95: (4, 5, 4, 4), 65: (4, 4, 5)}
"""Sides of the convolutions, each before a 2×2 maximum, by the side of the window: the published
N4, and a smaller network that sees half the area."""

FOVEA_SIGMA_PX, FOVEA_REACH_PX = 2.0, 4
"""Blur of what lies around the fovea: standard deviation and reach of its Gaussian."""


class WindowNet(nn.Module):
    """Classify pixels by the windows around them, one by one or a whole image at once.

    `classify_windows` is the network as it was published: convolutions and maxima that halve the
    side, then a fully connected layer. Called as a module, it gives the same numbers for every
    pixel of an image, some 500 times faster, since windows that overlap share what is computed.
    Beyond its border the image is mirrored.

    Parameters
    ----------
    n_classes : int
    in_channels : int
    window : int
        Side of the window, 95 or 65.
    maps : int
        Of every convolution.
    hidden : int
        Units of the fully connected layer.
    foveated : bool
        Blur what lies around the centre of the window.

    Attributes
    ----------
    window : int
        Side of the window in pixels; with fovea, that of the blur's reach included.
    stride, halo : tuple of int
        As in `axonlab.networks.UNet`.

    Raises
    ------
    ValueError
        If there is no network for such a window.

    Notes
    -----
    Window 95 is N4 of Cireşan, Giusti, Gambardella & Schmidhuber 2012 (NIPS 25, 2843–2851): 4×4,
    5×5, 4×4 and 4×4 convolutions of 48 maps, 200 units. For a whole image, each maximum is taken
    at every pixel, and the image is cut into the four that one of every two pixels form along each
    axis: on these the next layer is an ordinary convolution (Giusti et al. 2013, arXiv:1302.1700).
    It is the network with all its layers dilated by 1, 2, 4, 8 and 16.

    As published, foveation blurs each window the more the farther from its centre, so that windows
    share nothing. Here the outermost inputs of the fully connected layer come from the blurred
    image, and those within from the sharp one: the two images are computed once for all windows.
    Sampling that is coarser away from the centre has no such form, and is left out.
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int = 1,
        window: int = 95,
        maps: int = 48,
        hidden: int = 200,
        foveated: bool = False,
    ) -> None:
        super().__init__()
        if window not in KERNELS:
            raise ValueError(f"WindowNet: a window of {window}, expected one of {[*KERNELS]}.")
        side = window
        for kernel in KERNELS[window]:
            side = (side - kernel + 1) // 2
        inputs = [in_channels] + [maps] * (len(KERNELS[window]) - 1)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n, maps, kernel) for n, kernel in zip(inputs, KERNELS[window], strict=True)
        )
        self.hidden = nn.Conv2d(maps, hidden, side)  # on a window it is fully connected
        self.head = nn.Conv2d(hidden, n_classes, 1)
        for layer in (*self.convolutions, self.hidden):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.foveated = foveated
        self._margin = window - 1
        self.window = window + 2 * FOVEA_REACH_PX * foveated
        self.stride = (1, 1)
        self.halo = (self.window // 2, self.window // 2)

    def forward(self, x: Tensor, context: int = 0) -> Tensor:
        """Return logits (n, n_classes, H, W), less the context, for images.

        Parameters
        ----------
        x : (n, channels, H, W) tensor
        context : int
            Width of the border of the images that is only context, at most the halo. What is
            missing of the halo is mirrored.
        """
        x = _mirror(x, self.halo[0] - context)
        if not self.foveated:
            return self._all_windows(x, self.hidden)
        return self._all_windows(_sharp_and_blurred(x), self._decide_foveated)

    def classify_windows(self, windows: Tensor) -> Tensor:
        """Return logits (n, n_classes) of the central pixels of windows.

        Parameters
        ----------
        windows : (n, channels, window, window) tensor
        """
        if windows.shape[-2:] != (self.window, self.window):
            raise ValueError(
                f"Windows of {tuple(windows.shape[-2:])} pixels: expected {self.window} by "
                f"{self.window}, the `window` of the network."
            )
        x = _sharp_and_blurred(windows) if self.foveated else windows
        for convolution in self.convolutions:
            x = functional.relu(functional.max_pool2d(convolution(x), 2))
        x = self._decide_foveated(x) if self.foveated else self.hidden(x)
        return self.head(functional.relu(x))[..., 0, 0]

    def _decide_foveated(self, maps: Tensor) -> Tensor:
        """Apply the fully connected layer to sharp maps, but its outermost weights to blurred."""
        weight, bias = self.hidden.weight, self.hidden.bias
        is_within = torch.zeros_like(weight)
        is_within[..., 1:-1, 1:-1] = 1
        within = functional.conv2d(maps[::2], weight * is_within, bias)
        return within + functional.conv2d(maps[1::2], weight * (1 - is_within))

    def _all_windows(self, x: Tensor, decide: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the logits of all windows that lie within images, in their order."""
        first, *others = self.convolutions
        block = 2 ** len(self.convolutions)
        height, width = (n - self._margin for n in x.shape[-2:])
        # makes the parts of an image equally large; what it adds is cut off at the end
        x = functional.pad(x, (0, -width % block, 0, -height % block))
        logits = []
        for part in _parts(first(x)):  # one after another: less memory, and a fifth faster
            part = functional.relu(part)
            for convolution in others:
                part = functional.relu(torch.cat(_parts(convolution(part))))
            logits.append(_join(self.head(functional.relu(decide(part))), len(others)))
        return _join(torch.cat(logits), 1)[..., :height, :width]


def _parts(x: Tensor) -> list[Tensor]:
    """Take the maximum of every 2×2 pixels, and part them: the pixels of one part touch nowhere."""
    x = torch.maximum(x[:, :, :-1], x[:, :, 1:])
    x = torch.maximum(x[..., :-1], x[..., 1:])
    return [x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]


def _join(x: Tensor, times: int) -> Tensor:
    """Put together what was parted so many times."""
    for _ in range(times):
        n, channels, height, width = x.shape
        x = x.reshape(2, 2, n // 4, channels, height, width).permute(2, 3, 4, 0, 5, 1)
        x = x.reshape(n // 4, channels, 2 * height, 2 * width)
    return x


def _mirror(x: Tensor, margin: int) -> Tensor:
    """Mirror images at their outermost pixels, as often as it takes."""
    for axis in (2, 3):
        last = x.shape[axis] - 1
        place = torch.arange(-margin, last + 1 + margin, device=x.device).abs() % max(2 * last, 1)
        x = x.index_select(axis, torch.minimum(place, 2 * last - place))
    return x


def _sharp_and_blurred(x: Tensor) -> Tensor:
    """Return each image and its blur, one after the other, as far as the blur has all it needs."""
    offsets = torch.arange(-FOVEA_REACH_PX, FOVEA_REACH_PX + 1, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / FOVEA_SIGMA_PX) ** 2)
    kernel = (kernel / kernel.sum()).to(x.dtype).reshape(1, 1, 1, -1)
    blurred = functional.conv2d(x.flatten(0, 1)[:, None], kernel)
    blurred = functional.conv2d(blurred, kernel.mT)[:, 0].unflatten(0, x.shape[:2])
    inside = slice(FOVEA_REACH_PX, -FOVEA_REACH_PX)
    return torch.stack([x[..., inside, inside], blurred], 1).flatten(0, 1)
