"""Prediction of volumes: tiles change nothing, and neighbours are those of the section."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr

from axonlab.affinities import NEAREST, channel_name, offsets_of
from axonlab.models import Model, ModelCard
from axonlab.networks import UNet
from axonlab.neurite_blocks import label_blocks
from axonlab.objects import MutexWatershed
from axonlab.volume import Volume, normalise_sections
from axonlab.volume_predict import predict_affinities, predict_blocks, predict_boundaries

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


@pytest.fixture
def model():
    """Return a model of affinities that has learnt nothing."""
    network = lively(UNet(4, features=(3, 4), strides=[(1, 2, 2)]))
    offsets = [*NEAREST, (0, -4, 0)]
    about = {"class": "UNet", "n_classes": 4, "features": [3, 4], "strides": [[1, 2, 2]]}
    card = ModelCard("affine", [channel_name(o) for o in offsets], 0.01, about)
    return Model(network, card, "")


def test_blocks_on_disk_are_the_whole(model, tmp_path):
    """Tiles that were predicted one by one, stopped and gone on with, are those of the whole."""
    volume = Volume(RNG.random((5, 21, 18)) * 1000, (0.01,) * 3)
    whole = predict_affinities(model.network, normalise_sections(volume))
    told = []

    def stop(progress):
        told.append(progress)
        if progress.stage == "predicted" and progress.done == 4:
            raise KeyboardInterrupt

    numbers = {"tile": (2, 7, 9)}
    source = zarr.array(volume.pixels)
    with pytest.raises(KeyboardInterrupt):
        predict_blocks(model, source, tmp_path / "out", tell=stop, **numbers)
    again = []
    found = predict_blocks(model, source, tmp_path / "out", tell=again.append, **numbers)
    assert [p.new for p in again if p.stage == "predicted"][-1] == 3 * 3 * 2 - 4
    assert found.dtype == np.float16
    np.testing.assert_allclose(found[:], whole, atol=1e-3)
    with pytest.raises(ValueError, match="was begun with"):
        predict_blocks(model, source, tmp_path / "out")
    assert predict_blocks(model, source, tmp_path / "out", **numbers).attrs.asdict()


def test_other_greys_and_models_are_predicted_anew(model, tmp_path):
    """What is kept is of the same volume and the same weights; neurites follow."""
    pixels = RNG.random((4, 12, 12), dtype=np.float32)
    first = predict_blocks(model, pixels, tmp_path / "a", tile=(4, 6, 12))
    recipe = MutexWatershed(offsets_of(model.card.classes))
    numbers = {"block": (4, 6, 12), "context": (1, 2, 1)}
    label_blocks(first, tmp_path / "b", recipe, **numbers)
    other = predict_blocks(model, pixels[::-1].copy(), tmp_path / "a", tile=(4, 6, 12))
    expected = predict_affinities(
        model.network, normalise_sections(Volume(pixels[::-1], (0.01,) * 3))
    )
    np.testing.assert_allclose(other[:], expected, atol=1e-3)
    told = []
    label_blocks(other, tmp_path / "b", recipe, tell=told.append, **numbers)
    assert max(p.new for p in told if p.stage == "segmented") == 2
    before = other[:]
    torch.nn.init.normal_(model.network.head.weight)
    changed = predict_blocks(model, pixels, tmp_path / "a", tile=(4, 6, 12))
    assert np.abs(changed[:] - before).max() > 0.01


def test_nothing_to_predict(model, tmp_path):
    """A section, and a model of classes, are told before a file is written."""
    with pytest.raises(ValueError, match="expected a volume"):
        predict_blocks(model, np.zeros((4, 4)), tmp_path / "out")
    card = ModelCard("flat", ["boundary"], 0.01, {"class": "UNet", "n_classes": 1})
    with pytest.raises(ValueError, match="are no affinities"):
        predict_blocks(replace(model, card=card), np.zeros((4, 4, 4)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_volume():
    """A section is told what is missing."""
    network = UNet(3, features=(2, 3), strides=[(1, 2, 2)])
    for pixels in (np.zeros((4, 4), np.float32), np.zeros((0, 4, 4), np.float32)):
        with pytest.raises(ValueError, match="expected a volume"):
            predict_affinities(network, pixels)
