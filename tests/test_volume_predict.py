"""Prediction of volumes: tiles change nothing, and neighbours are those of the section."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from axonlab.networks import UNet
from axonlab.volume_predict import predict_affinities, predict_boundaries

pytestmark = pytest.mark.usefixtures("one_thread")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Let the network compute in float32, where tiles differ by rounding only."""
    monkeypatch.setattr("axonlab.volume_predict.fast_dtype", lambda device: torch.float32)


def lively(network):
    """Return a network whose batch norms are no identities."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.mark.parametrize("residual", [False, True])
def test_tiles_change_nothing(residual):
    """A volume whose sides are no multiples of the strides, in tiles and as a whole."""
    network = UNet(4, features=(3, 4), strides=[(1, 2, 2)], residual=residual)
    pixels = RNG.random((5, 21, 18), dtype=np.float32)
    whole = predict_affinities(lively(network), pixels)
    shares = []
    tiled = predict_affinities(network, pixels, tile=(2, 7, 9), tell=shares.append)
    assert whole.shape == (4, 5, 21, 18) and 0 < whole.min() < whole.max() < 1
    np.testing.assert_allclose(tiled, whole, atol=1e-6)
    assert shares == sorted(shares) and shares[-1] == 1 and len(shares) == 3 * 3 * 2
    padded = np.pad(pixels, [(0, 0), (0, 1), (0, 0)], mode="symmetric")
    with torch.inference_mode():
        plain = network(torch.from_numpy(padded)[None, None]).sigmoid()[0, :, :, :21].numpy()
    np.testing.assert_allclose(whole, plain, atol=1e-6)


@pytest.mark.parametrize("n_sections", [1, 3])
def test_each_section_is_seen_with_its_neighbours(n_sections):
    """Channels are the sections around, mirrored at the ends; rows and columns are filled up."""
    network = lively(UNet(1, n_sections, features=(3, 4)))
    pixels = RNG.random((4, 13, 10), dtype=np.float32)
    found = predict_boundaries(network, pixels)
    reach = n_sections // 2
    around = np.pad(pixels, [(reach, reach), (0, 1), (0, 0)], mode="reflect")
    around[:, -1] = around[:, -2]  # filled up by what is beside it
    for z in range(4):
        with torch.inference_mode():
            plain = network(torch.from_numpy(around[z : z + n_sections])[None]).sigmoid()
        np.testing.assert_allclose(found[z], plain[0, 0, :13].numpy(), atol=1e-6)


def test_sixteen_variants_have_no_upper_side():
    """Their mean of a turned or flipped volume is the turned or flipped mean."""
    network = lively(UNet(1, 3, features=(3, 4)))
    pixels = RNG.random((4, 12, 12), dtype=np.float32)
    found = predict_boundaries(network, pixels, test_time_augmentation=True)
    for way in (lambda a: a[::-1], lambda a: a.swapaxes(1, 2), lambda a: np.rot90(a, 1, (1, 2))):
        turned = predict_boundaries(network, way(pixels).copy(), test_time_augmentation=True)
        np.testing.assert_allclose(turned, way(found), atol=1e-6)
    assert np.abs(found - predict_boundaries(network, pixels)).max() > 1e-4


def test_no_volume():
    """A section is told what is missing."""
    network = UNet(3, features=(2, 3), strides=[(1, 2, 2)])
    for pixels in (np.zeros((4, 4), np.float32), np.zeros((0, 4, 4), np.float32)):
        with pytest.raises(ValueError, match="expected a volume"):
            predict_affinities(network, pixels)
