"""The U-Net on a ResNet-18 that fastai builds, with or without weights learned on ImageNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = 0.449, 0.226
"""Of ImageNet's grey values on a scale of 0 to 1: the means over its three channels."""

SKIPS = (2, 4, 5, 6)
"""Layers of the encoder after which the resolution is halved."""


class ResNetUNet(nn.Module):
    """fastai's `DynamicUnet` on a ResNet-18: 31 million parameters, one input channel.

    The input is normalised as for every model, percentiles of the image to 0 and 1; ImageNet's
    mean and standard deviation are applied here, since fastai leaves them out for one channel.

    Parameters
    ----------
    n_classes : int

    Attributes
    ----------
    stride, halo : tuple of int
        As in `axonlab.models.UNet`.

    Notes
    -----
    fastai builds the layers; they are called here one by one, without the hooks by which fastai
    hands activations on: those keep the last batch in memory, and a network that holds one can be
    neither copied nor exported.
    """

    stride = (32, 32)
    halo = (352, 352)

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        from fastai.vision.learner import create_unet_model  # slow to import
        from torchvision.models import resnet18

        unet = create_unet_model(resnet18, n_classes, (64, 64), pretrained=False, n_in=1)
        unet.sfs.remove()
        encoder, norm, relu, middle, *up, enlarge, _resize, _merge, merged, head, _ = unet.layers
        for block in up:
            block.hook = None
        self.encoder = encoder
        self.middle = nn.Sequential(norm, relu, *middle)
        self.up = nn.ModuleList(up)
        self.enlarge = enlarge
        self.head = nn.Sequential(merged, *head)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes, H, W) for images (batch, 1, H, W)."""
        grey = (x - IMAGENET_MEAN) / IMAGENET_STD
        skips = []
        x = grey
        for i, layer in enumerate(self.encoder):
            x = layer(x)
            if i in SKIPS:
                skips.append(x)
        x = self.middle(x)
        for block in self.up:
            skip = skips.pop()
            x = block.relu(torch.cat([block.shuf(x), block.bn(skip)], dim=1))
            x = block.conv2(block.conv1(x))
        return self.head(torch.cat([self.enlarge(x), grey], dim=1))


def resnet_unet(n_classes: int, *, pretrained: bool = False) -> ResNetUNet:
    """Return a fresh network, on request with an encoder that has learned on ImageNet.

    Parameters
    ----------
    n_classes : int
    pretrained : bool
        Fetch the weights of the encoder (45 MB, once; torch keeps them in its own cache).

    Raises
    ------
    ConnectionError
        If the weights are not on this machine and cannot be fetched.
    """
    network = ResNetUNet(n_classes)
    if pretrained:
        network.encoder.load_state_dict(_imagenet_encoder().state_dict())
    return network


def _imagenet_encoder() -> nn.Module:
    """Return ResNet-18 without its head; the three colours of its first layer are summed."""
    from fastai.vision.learner import create_body
    from torchvision.models import ResNet18_Weights, resnet18

    source = ResNet18_Weights.DEFAULT
    try:
        weights = source.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except OSError as error:
        raise ConnectionError(
            f"The pretrained weights at {source.url} cannot be fetched ({error}). Connect to the "
            "network for this one step, copy the file to torch's cache "
            f"({torch.hub.get_dir()}/checkpoints), or take pretrained=False."
        ) from error
    network = resnet18()
    network.load_state_dict(weights)
    return create_body(network, n_in=1, pretrained=True, cut=-2)
