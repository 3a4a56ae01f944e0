"""Prediction of volumes: tiles change nothing, and neighbours are those of the section."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr

from axonlab import estimate
from axonlab.affinities import BOUNDARY, NEAREST, channel_name, offsets_of, pair_slices
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


def affine(network):
    """Return a model whose network tells four affinities."""
    offsets = [*NEAREST, (0, -4, 0)]
    about = {"class": "UNet", "n_classes": 4, "features": [3, 4], "strides": [[1, 2, 2]]}
    about["residual"] = True
    card = ModelCard("affine", [channel_name(o) for o in offsets], 0.01, about)
    return Model(network, card, "")


def bounding(network):
    """Return a model whose network tells boundaries."""
    return Model(
        network, ModelCard("flat", [BOUNDARY], 0.01, {"class": "UNet", "n_classes": 1}), ""
    )


@pytest.fixture
def model():
    """Return a model of affinities that has learnt nothing."""
    return affine(lively(UNet(4, features=(3, 4), strides=[(1, 2, 2)], residual=True)))


@pytest.mark.parametrize("residual", [False, True])
def test_tiles_change_nothing(residual):
    """A volume whose sides are no multiples of the strides, in tiles and as a whole."""
    network = UNet(4, features=(3, 4), strides=[(1, 2, 2)], residual=residual)
    pixels = RNG.random((5, 21, 18), dtype=np.float32)
    model = affine(lively(network))
    whole = predict_affinities(model, pixels)
    shares = []
    tiled = predict_affinities(model, pixels, tile=(2, 7, 9), tell=shares.append)
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
    found = predict_boundaries(bounding(network), pixels)
    reach = n_sections // 2
    around = np.pad(pixels, [(reach, reach), (0, 1), (0, 0)], mode="reflect")
    around[:, -1] = around[:, -2]  # filled up by what is beside it
    for z in range(4):
        with torch.inference_mode():
            plain = network(torch.from_numpy(around[z : z + n_sections])[None]).sigmoid()
        np.testing.assert_allclose(found[z], plain[0, 0, :13].numpy(), atol=1e-6)


def test_sixteen_variants_have_no_upper_side():
    """Their mean of a turned or flipped volume is the turned or flipped mean."""
    model = bounding(lively(UNet(1, 3, features=(3, 4))))
    pixels = RNG.random((4, 12, 12), dtype=np.float32)
    found = predict_boundaries(model, pixels, test_time_augmentation=True)
    for way in (lambda a: a[::-1], lambda a: a.swapaxes(1, 2), lambda a: np.rot90(a, 1, (1, 2))):
        turned = predict_boundaries(model, way(pixels).copy(), test_time_augmentation=True)
        np.testing.assert_allclose(turned, way(found), atol=1e-6)
    assert np.abs(found - predict_boundaries(model, pixels)).max() > 1e-4


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (1, 40, 2)])
def test_volumes_smaller_than_what_a_voxel_sees(model, shape):
    """They are filled up by what is beside them, as larger ones are at their ends."""
    pixels = RNG.random(shape, dtype=np.float32)
    for turned in (False, True):
        found = predict_affinities(model, pixels, test_time_augmentation=turned)
        assert found.shape == (4, *shape) and np.isfinite(found).all()
    flat = bounding(lively(UNet(1, 3, features=(3, 4))))
    assert np.isfinite(predict_boundaries(flat, pixels, test_time_augmentation=True)).all()


def test_mirror_images_have_no_side(model):
    """Of a mirrored volume the mean over mirror images is the mirrored one, pair by pair."""
    pixels = RNG.random((5, 21, 18), dtype=np.float32)
    offsets = offsets_of(model.card.classes)
    found = predict_affinities(model, pixels, test_time_augmentation=True)
    assert np.abs(found - predict_affinities(model, pixels)).max() > 1e-4
    for way in [(0,), (2,), (0, 1, 2)]:
        mirrored = predict_affinities(
            model, np.flip(pixels, way).copy(), test_time_augmentation=True
        )
        back = np.flip(mirrored, [axis + 1 for axis in way])
        for k, offset in enumerate(offsets):
            here, there = pair_slices(offset)
            is_turned = any(offset[axis] for axis in way)
            expected = back[k][there] if is_turned else back[k][here]
            np.testing.assert_allclose(found[k][here], expected, atol=1e-6)


def test_mirror_images_of_what_lies_askew(model):
    """A partner that lies elsewhere in a mirror image is not asked there."""
    askew = [*NEAREST, (0, -4, 3)]
    card = replace(model.card, classes=[channel_name(offset) for offset in askew])
    pixels = RNG.random((4, 12, 12), dtype=np.float32)
    model = replace(model, card=card)
    found = predict_affinities(model, pixels, test_time_augmentation=True)[3]
    plain = predict_affinities(model, pixels)[3]
    deep = np.flip(predict_affinities(model, pixels[::-1].copy())[3], 0)
    across, both = (
        np.flip(predict_affinities(model, np.flip(pixels, way).copy())[3], way)
        for way in ((1, 2), (0, 1, 2))
    )
    here, there = pair_slices(askew[3])
    expected = (plain[here] + deep[here] + across[there] + both[there]) / 4
    np.testing.assert_allclose(found[here], expected, atol=1e-6)


def test_blocks_on_disk_are_the_whole(model, tmp_path):
    """Tiles that were predicted one by one, stopped and gone on with, are those of the whole."""
    volume = Volume(RNG.random((5, 21, 18)) * 1000, (0.01,) * 3)
    whole = predict_affinities(model, normalise_sections(volume))
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
    expected = predict_affinities(model, normalise_sections(Volume(pixels[::-1], (0.01,) * 3)))
    np.testing.assert_allclose(other[:], expected, atol=1e-3)
    told = []
    label_blocks(other, tmp_path / "b", recipe, tell=told.append, **numbers)
    assert max(p.new for p in told if p.stage == "segmented") == 2
    before = other[:]
    torch.nn.init.normal_(model.network.head.weight)
    changed = predict_blocks(model, pixels, tmp_path / "a", tile=(4, 6, 12))
    assert np.abs(changed[:] - before).max() > 0.01


def test_mirrored_greys_are_other_greys(model, tmp_path):
    """A volume whose sections have the same range of greys, elsewhere in them, is another one."""
    pixels = RNG.random((4, 12, 12), dtype=np.float32)
    before = predict_blocks(model, pixels, tmp_path / "a", tile=(4, 6, 12))[:]
    told = []
    mirrored = np.flip(pixels, 2).copy()
    found = predict_blocks(model, mirrored, tmp_path / "a", tile=(4, 6, 12), tell=told.append)
    assert max(p.new for p in told if p.stage == "predicted") == 2
    assert np.abs(found[:] - before).max() > 0.01


def test_blocks_that_do_not_fit_into_memory(model, tmp_path, monkeypatch):
    """What is seen around a tile counts, too."""
    network, shape, tile = model.network, (40, 200, 200), (8, 64, 64)
    around = [min(n, t + 2 * h) for n, t, h in zip(shape, tile, network.halo, strict=True)]
    assert around != list(tile)
    need = estimate.prediction_need(network, tile, tile)
    monkeypatch.setattr("axonlab.machine.memory_free", lambda: need + 1000)
    monkeypatch.setattr("axonlab.volume_predict.begin", lambda *_: 1 / 0)  # no further
    with (
        pytest.warns(UserWarning, match=r"in tiles of \(8, 64, 64\)"),
        pytest.raises(ZeroDivisionError),
    ):
        predict_blocks(model, np.zeros(shape, np.float32), tmp_path / "a", tile=tile)


def test_nothing_to_predict(model, tmp_path):
    """A section, and a model of classes, are told before a file is written."""
    with pytest.raises(ValueError, match="expected a volume"):
        predict_blocks(model, np.zeros((4, 4)), tmp_path / "out")
    flat = bounding(model.network)
    with pytest.raises(ValueError, match="tells no boundaries"):
        predict_boundaries(model, np.zeros((4, 4, 4), np.float32))
    with pytest.raises(ValueError, match="are no affinities"):
        predict_blocks(flat, np.zeros((4, 4, 4)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_volume(model):
    """A section is told what is missing."""
    for pixels in (np.zeros((4, 4), np.float32), np.zeros((0, 4, 4), np.float32)):
        with pytest.raises(ValueError, match="expected a volume"):
            predict_affinities(model, pixels)
