"""The U-Net on a ResNet-18: fastai's own, with a known reach, and no pickles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from fastai.vision.learner import create_unet_model
from torch import nn
from torchvision.models import resnet18

from axonlab import segment
from axonlab.models import ModelCard, architecture, load_model, save_model
from axonlab.pretrained import IMAGENET_MEAN, IMAGENET_STD, ResNetUNet, resnet_unet
from axonlab.segment import predict

CLASSES = ["background", "myelin", "axon"]
CARD = ModelCard("resnet", CLASSES, 0.1, architecture("resnet18", 3))


@pytest.fixture(scope="module")
def network() -> ResNetUNet:
    """Return a network with random weights and statistics."""
    torch.manual_seed(0)
    network = ResNetUNet(3).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network


def test_computes_what_fastai_computes(network: ResNetUNet) -> None:
    """With the same weights, fastai's network gives the same for input normalised by hand."""
    original = create_unet_model(resnet18, 3, (64, 64), pretrained=False, n_in=1).eval()
    weights = zip(original.state_dict(), network.state_dict().values(), strict=True)
    original.load_state_dict(dict(weights))
    x = torch.rand(2, 1, 96, 64)
    with torch.inference_mode():
        wanted = original((x - IMAGENET_MEAN) / IMAGENET_STD).as_subclass(torch.Tensor)
        torch.testing.assert_close(network(x), wanted)
    assert sum(p.numel() for p in network.parameters()) == 31_099_770


def test_halo_against_brute_force() -> None:
    """Gradients show which inputs reach an aligned block: all within the halo, which is tight."""
    network = linear(ResNetUNet(1))
    step, halo = network.stride[1], network.halo[1]  # every kernel is square
    x = torch.ones(1, 1, 32, 2 * halo + 3 * step, requires_grad=True)
    first = halo + step
    network(x).narrow(3, first, step).sum().backward()
    assert x.grad is not None
    reached = torch.nonzero(x.grad.abs().sum((0, 1, 2))).flatten()
    context = max(first - int(reached.min()), int(reached.max()) - (first + step - 1))
    assert halo - step < context <= halo


def linear(network: ResNetUNet) -> ResNetUNet:
    """Make every path through a network count: no path is cut by a maximum or a sign."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(parent, name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d):
                setattr(parent, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
    with torch.no_grad():
        for weights in network.parameters():
            weights.fill_(1 / max(weights[0].numel(), 1))
    return network.eval().requires_grad_(False)


def test_tiled_equals_untiled(network: ResNetUNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles change nothing where some of them see less than the whole image."""
    monkeypatch.setattr(segment, "fast_dtype", lambda device: torch.float32)
    pixels = np.random.default_rng(0).random((30, 930), np.float32)
    whole, tiled = predict(network, pixels), predict(network, pixels, tile=480)
    assert whole.std() > 0.01
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


def test_round_trip_and_prediction_in_training(network: ResNetUNet, tmp_path: Path) -> None:
    """A file brings the network back; it predicts between two steps of a training, too."""
    path = save_model(tmp_path / "m.safetensors", network, CARD)
    loaded = load_model(path).network
    x = torch.rand(1, 1, 64, 32)
    with torch.inference_mode():
        assert torch.equal(loaded(x), network(x))
    loaded.train()(x.repeat(2, 1, 1, 1)).sum().backward()
    predict(loaded, np.zeros((9, 9), np.float32))
    assert loaded.training


def test_cards_cannot_ask_for_the_network(tmp_path: Path) -> None:
    """Whether anything is fetched is up to the caller: a card has no say in it."""
    card = ModelCard("x", CLASSES, 0.1, architecture("resnet18", 3) | {"pretrained": True})
    path = save_model(tmp_path / "m.safetensors", nn.Conv2d(1, 1, 1), card)
    with pytest.raises(ValueError, match="unexpected keyword argument 'pretrained'"):
        load_model(path)


def test_pretrained_encoder_sums_the_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grey image gives what the colour network gives for the image as grey colours."""
    torch.manual_seed(0)
    original = resnet18().eval()
    asked = {}

    def fetch(url: str, **options: object) -> dict[str, torch.Tensor]:
        asked.update(options)
        return original.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    encoder = resnet_unet(3, pretrained=True).encoder.eval()
    x = torch.rand(1, 1, 64, 64)
    colour_encoder = nn.Sequential(*list(original.children())[:-2])
    with torch.inference_mode():
        torch.testing.assert_close(encoder(x), colour_encoder(x.repeat(1, 3, 1, 1)))
    assert asked["check_hash"] is True
    assert asked["weights_only"] is True


def test_without_a_network_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address, the reason and the way out are told."""

    def fetch(url: str, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    with pytest.raises(ConnectionError, match=r"resnet18.*no route to host.*pretrained=False"):
        resnet_unet(3, pretrained=True)


def test_fastai_is_imported_late() -> None:
    """Neither models nor segmentation need fastai to be imported."""
    code = "import sys, axonlab.segment, axonlab.pretrained; assert 'fastai' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
