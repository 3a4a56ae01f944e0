"""Segmentation: tiles change nothing, grids fit, the same tissue gives the same answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from axonlab import segment
from axonlab.micrograph import CLASSES, Micrograph, at_model_scale, resize
from axonlab.models import Model, ModelCard, UNet, ensemble, save_model
from axonlab.segment import classify, predict

pytestmark = pytest.mark.usefixtures("one_thread")

FEATURES = (3, 4, 5)
CLASS_NAMES = ["background", "myelin", "axon"]
CARD = ModelCard("tiny", CLASS_NAMES, 0.1, {"class": "UNet", "n_classes": 3, "features": FEATURES})


def random_network(seed: int, *, strides: tuple[tuple[int, int], ...] | None = None) -> UNet:
    """Return a U-Net with random weights and as random statistics in its batch norms."""
    torch.manual_seed(seed)
    network = UNet(3, features=FEATURES, strides=strides)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.2, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    nn.init.normal_(network.head.weight, std=2)
    return network.eval()


def random_pixels(shape: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    """Return normalised noise with some structure, so that the classes vary."""
    coarse = np.random.default_rng(seed).random((4, 5), np.float32)
    return resize(coarse, shape) + np.random.default_rng(seed).random(shape, np.float32) / 2


@pytest.fixture(scope="module", autouse=True)
def _float32() -> object:
    """Compute in float32 on any machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "fast_dtype", lambda device: torch.float32)
        yield


@pytest.fixture(scope="module")
def model() -> Model:
    """Return a model with random weights."""
    return Model(random_network(3), CARD, "0" * 64)


def test_filler_is_background(model: Model) -> None:
    """What no tile of a mosaic shows holds no fibre, and the provenance tells its share."""
    stitched = np.pad(random_pixels((60, 80)), ((0, 0), (0, 80)))
    result = segment.segment(Micrograph(stitched, 0.1), model)
    assert not result.labels[:, 80:].any() and result.labels[:, :80].any()
    assert (result.probabilities[0, :, 80:] == 1).all()
    assert np.allclose(result.probabilities.sum(0), 1, atol=1e-3)
    assert result.provenance["blank_share"] == 0.5


# --- predict


@settings(max_examples=20)
@given(
    tile=st.integers(6, 60),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    seed=st.integers(0, 5),
    strides=st.sampled_from([None, ((2, 4), (2, 1)), ((3, 2), (1, 2))]),
)
def test_tiled_equals_untiled(
    tile: int, shape: tuple[int, int], seed: int, strides: tuple[tuple[int, int], ...] | None
) -> None:
    """Neither the size of the tiles nor where they fall changes the result."""
    network, pixels = random_network(seed, strides=strides), random_pixels(shape, seed)
    whole = predict(network, pixels, tile=1000)
    tiled = predict(network, pixels, tile=tile)
    assert whole.shape == (3, *shape)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-6)
    first, second = np.sort(whole, axis=0)[[-1, -2]]
    clear = first - second > 2e-6  # ties may fall either way
    assert np.array_equal(tiled.argmax(0)[clear], whole.argmax(0)[clear])


@pytest.mark.parametrize("seed", range(2))
def test_tiled_equals_untiled_in_bfloat16(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 tiles differ by roundings at most, and so do bfloat16 and float32."""
    network, pixels = random_network(seed), random_pixels((75, 90), seed)
    exact = predict(network, pixels)
    monkeypatch.setattr(segment, "fast_dtype", lambda device: torch.bfloat16)
    whole, tiled = predict(network, pixels), predict(network, pixels, tile=20)
    assert np.abs(tiled - whole).max() < 0.02
    assert (tiled.argmax(0) == whole.argmax(0)).mean() > 0.995
    assert np.abs(whole - exact).mean() < 0.02


def test_predict_is_the_network() -> None:
    """Where nothing is padded, probabilities are the softmax of the network itself."""
    network, pixels = random_network(1), random_pixels((40, 24))
    with torch.inference_mode():
        wanted = network(torch.from_numpy(pixels)[None, None])[0].softmax(0).numpy()
    np.testing.assert_allclose(predict(network, pixels), wanted, rtol=0, atol=2e-6)


def test_folding_batch_norm_changes_nothing() -> None:
    """The folded network is another one, without batch norms, that computes the same."""
    network = random_network(2).train()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    folded = segment.fold_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert network.training
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in state.items())
    x = torch.rand(2, 1, 16, 24)
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), network.eval()(x), rtol=1e-5, atol=1e-5)


def test_predict_leaves_the_network_alone() -> None:
    """A network in training can be asked for a prediction between two steps."""
    network = random_network(2).train()
    network.head.weight.grad = torch.ones_like(network.head.weight)
    predict(network, random_pixels((9, 9)))
    assert network.training
    assert network.head.weight.grad is not None
    assert network.head.weight.is_contiguous()


def test_views_and_other_floats_are_read_right() -> None:
    """A turned view or float64 pixels give what a float32 copy gives."""
    network, pixels = random_network(0), random_pixels((30, 41))
    view = pixels[::-1].T
    wanted = predict(network, np.ascontiguousarray(view))
    assert np.array_equal(predict(network, view), wanted)
    assert np.array_equal(predict(network, view.astype(np.float64)), wanted)


@pytest.mark.parametrize("tile", [0, -1])
def test_impossible_tiles_are_refused(tile: int) -> None:
    """A tile holds at least a pixel."""
    with pytest.raises(ValueError, match="expected at least 1"):
        predict(random_network(0), random_pixels((9, 9)), tile=tile)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_temperature_divides_the_logits(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hot probabilities are roots of the cold ones, made to sum to 1; classes stay."""
    monkeypatch.setattr(segment, "fast_dtype", lambda device: dtype)
    network, pixels = random_network(1), random_pixels((40, 24))
    cold, hot = predict(network, pixels), predict(network, pixels, temperature=2.5)
    wanted = cold ** (1 / 2.5)
    np.testing.assert_allclose(hot, wanted / wanted.sum(0), rtol=0, atol=1e-5)
    assert np.array_equal(cold.argmax(0), hot.argmax(0))


@pytest.mark.parametrize("temperature", [0, -1, np.nan, np.inf])
def test_impossible_temperatures_are_refused(temperature: float) -> None:
    """A temperature is a positive number."""
    with pytest.raises(ValueError, match="a temperature of"):
        predict(random_network(0), random_pixels((9, 9)), temperature=temperature)


# --- ensembles


def ensemble_of(*networks: UNet) -> Model:
    """Return an ensemble of networks."""
    models = [Model(network, card_of(network), "") for network in networks]
    return ensemble(models, "ensemble")


def card_of(network: UNet) -> ModelCard:
    """Return a card for a network."""
    strides = [list(step) for step in network.steps]
    return replace(CARD, architecture=CARD.architecture | {"strides": strides})


def sure_network(position: int) -> UNet:
    """Return a network that is sure of one class, everywhere."""
    network = UNet(3, features=FEATURES)
    with torch.no_grad():
        for weights in network.parameters():
            weights.zero_()
        network.head.bias[position] = 100
    return network.eval()


@pytest.mark.parametrize("tile", [6, 20, 41])
def test_tiled_ensemble_equals_untiled(tile: int) -> None:
    """Tiles change nothing for members of different strides, either."""
    members = [random_network(i, strides=s) for i, s in enumerate([None, ((3, 2), (1, 2))])]
    joined, pixels = ensemble_of(*members), random_pixels((75, 90))
    whole, tiled = predict(joined.network, pixels), predict(joined.network, pixels, tile=tile)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-6)


def test_ensemble_in_bfloat16_is_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members compute in bfloat16; their mean is taken in float32."""
    network, pixels = (
        ensemble_of(random_network(0), random_network(1)).network,
        random_pixels((40, 48)),
    )
    exact = predict(network, pixels)
    np.testing.assert_allclose(exact.sum(0), 1, atol=1e-5)
    monkeypatch.setattr(segment, "fast_dtype", lambda device: torch.bfloat16)
    rough = predict(network, pixels)
    np.testing.assert_allclose(rough.sum(0), 1, atol=1e-5)
    assert np.abs(rough - exact).mean() < 0.02


# --- all orientations


def reverse(array: NDArray[np.float32], mirrored: bool, turns: int) -> NDArray[np.float32]:
    """Turn and mirror the last two axes, one step after the other."""
    for _ in range(4 - turns):
        array = array.swapaxes(-1, -2)[..., ::-1, :]
    return array.swapaxes(-1, -2) if mirrored else array


@pytest.mark.parametrize("shape", [(40, 48), (37, 61)])
def test_turned_predictions_are_the_mean_of_all_orientations(shape: tuple[int, int]) -> None:
    """Eight different ones, each brought back pixel by pixel."""
    network, pixels = random_network(4), random_pixels(shape)
    seen = []
    for mirrored in (False, True):
        for turns in range(4):
            turned = np.rot90(pixels.T if mirrored else pixels, turns)
            np.testing.assert_array_equal(reverse(turned, mirrored, turns), pixels)
            seen.append(reverse(predict(network, turned), mirrored, turns))
    assert all(np.abs(a - b).max() > 0.01 for i, a in enumerate(seen) for b in seen[:i])
    found = segment.predict_turned(network, pixels)
    np.testing.assert_allclose(found, np.mean(seen, axis=0), atol=1e-6)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, np.rot90, np.transpose])
def test_turned_predictions_turn_with_the_image(
    turn: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> None:
    """Which side is up makes no difference any more."""
    network, pixels = random_network(5), random_pixels((33, 58))
    whole = segment.predict_turned(network, pixels)
    turned = segment.predict_turned(network, turn(pixels))
    np.testing.assert_allclose(turned, [turn(plane) for plane in whole], atol=1e-6)


def test_a_network_without_orientation_says_the_same() -> None:
    """Where the answer depends on the pixel alone, eight answers are one."""
    torch.manual_seed(0)
    network = nn.Conv2d(1, 3, kernel_size=1)
    network.halo = (0, 0)
    pixels = random_pixels((20, 31))
    np.testing.assert_allclose(
        segment.predict_turned(network, pixels), predict(network, pixels), atol=1e-6
    )


def test_orientations_in_a_segmentation(model: Model) -> None:
    """The option is used, told, and keeps the grid."""
    micrograph = Micrograph(random_pixels((50, 71)), 0.13)
    plain = segment.segment(micrograph, model)
    turned = segment.segment(micrograph, model, test_time_augmentation=True)
    assert turned.probabilities.shape == plain.probabilities.shape
    assert np.abs(turned.probabilities - plain.probabilities).max() > 0.01
    assert turned.provenance["test_time_augmentation"]
    assert not plain.provenance["test_time_augmentation"]
    # a mean of several answers is no surer than these
    assert (
        segment.entropy(turned.probabilities).mean() > segment.entropy(plain.probabilities).mean()
    )


@pytest.mark.parametrize(("augment", "n"), [(False, 6), (True, 48)])
def test_progress_is_told_and_can_end_the_work(model: Model, augment: bool, n: int) -> None:
    """After every tile, evenly up to 1; what the listener raises comes out."""
    micrograph, shares = Micrograph(random_pixels((40, 60)), 0.1), list[float]()
    segment.segment(micrograph, model, tile=20, test_time_augmentation=augment, tell=shares.append)
    np.testing.assert_allclose(shares, np.arange(1, n + 1) / n)

    def stop(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        segment.segment(micrograph, model, test_time_augmentation=augment, tell=stop)


def test_what_does_not_fit_into_memory(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pixel size ten times too large would take a hundred times the memory: told at once."""
    monkeypatch.setattr("axonlab.machine.memory_free", lambda: 2_000_000)
    pixels = random_pixels((100, 100))
    segment.segment(Micrograph(pixels, 0.1), model)
    with pytest.raises(MemoryError, match=r"1 million pixels.*Check the pixel size \(1 µm\)"):
        segment.segment(Micrograph(pixels, 1.0), model)


# --- how unsure a model is


@given(seed=st.integers(0, 99), n=st.integers(2, 4))
def test_entropy_against_its_formula(seed: int, n: int) -> None:
    """In bits, from 0 to the logarithm of the number of classes."""
    p = np.random.default_rng(seed).dirichlet(np.ones(n), (5, 6)).transpose(2, 0, 1)
    found = segment.entropy(p.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, -(p * np.log2(p)).sum(0), atol=1e-5)
    same = np.full((n, 1, 1), 1 / n, np.float32)
    assert segment.entropy(same) == pytest.approx(np.log2(n), abs=1e-6)
    assert segment.entropy(np.eye(n, 1, dtype=np.float32)[..., None]) == 0


def test_disagreement_against_its_formula() -> None:
    """Entropy of the mean of the probabilities minus the mean of their entropies, in bits."""
    members, pixels = [random_network(seed) for seed in range(3)], random_pixels((40, 48))
    micrograph = Micrograph(pixels, 0.1)
    grey = at_model_scale(micrograph, 0.1)[0]
    p = np.stack([predict(network, grey) for network in members]).astype(np.float64)

    def entropies(q: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return -(q * np.log2(np.maximum(q, 1e-300))).sum(axis)

    wanted = entropies(p.mean(0), 0) - entropies(p, 1).mean(0)
    found = segment.disagreement(micrograph, ensemble_of(*members))
    assert found.dtype == np.float32
    assert wanted.max() > 0.1
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("answers", "bits"), [((1, 1), 0), ((0, 1), 1), ((0, 1, 2), np.log2(3)), ((0, 0, 1, 1), 1)]
)
def test_disagreement_of_sure_members(answers: tuple[int, ...], bits: float) -> None:
    """Nothing where all say the same; all there is to say where each says something else."""
    joined = ensemble_of(*map(sure_network, answers))
    found = segment.disagreement(Micrograph(random_pixels((20, 30)), 0.1), joined)
    np.testing.assert_allclose(found, bits, atol=1e-6)


def test_members_do_not_disagree_about_filler() -> None:
    """Where a stitched field shows nothing, there is nothing to label next."""
    pixels = random_pixels((80, 90))
    pixels[:40] = 0
    found = segment.disagreement(
        Micrograph(pixels, 0.1), ensemble_of(random_network(0), random_network(1))
    )
    assert (found[:36] == 0).all()
    assert found[44:].max() > 0.1
    assert found.dtype == np.float32


def test_members_that_are_unsure_alike_do_not_disagree() -> None:
    """What one network cannot tell is not what several networks dispute."""
    network = random_network(0)
    found = segment.disagreement(
        Micrograph(random_pixels((20, 30)), 0.1), ensemble_of(network, network)
    )
    np.testing.assert_allclose(found, 0, atol=1e-6)


@pytest.mark.parametrize("pixel_size", [0.03, 0.1, 0.45])
def test_disagreement_lies_on_the_grid_of_the_image(pixel_size: float, tmp_path: Path) -> None:
    """Whatever the pixel size, there is a value of at least 0 for every pixel; files serve, too."""
    joined = ensemble_of(random_network(0), random_network(1))
    path = save_model(tmp_path / "e.safetensors", joined.network, joined.card)
    found = segment.disagreement(Micrograph(random_pixels((37, 52)), pixel_size), path)
    assert found.shape == (37, 52)
    assert found.min() >= 0


def test_one_network_cannot_disagree(model: Model) -> None:
    """The error names the model and says how to get an ensemble."""
    with pytest.raises(ValueError, match=r"'tiny' is one network.*models\.ensemble"):
        segment.disagreement(Micrograph(random_pixels((20, 30)), 0.1), model)


# --- classify


def test_classify_maps_names_to_ids() -> None:
    """The position of a class in the model is not its id in a label image."""
    probabilities = np.zeros((2, 1, 3), np.float32)
    probabilities[0] = [[0.9, 0.4, 0.1]]
    probabilities[1] = 1 - probabilities[0]
    labels = classify(probabilities, ["background", "unmyelinated axon"])
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[0, 3, 3]]
    assert classify(probabilities, ["axon", "background"]).tolist() == [[2, 0, 0]]


# --- segment


@settings(max_examples=20)
@given(
    shape=st.sampled_from([(1, 1), (3, 5), (1, 40), (37, 52), (64, 33)]),
    pixel_size=st.sampled_from([0.03, 0.1, 0.137, 0.45]),
)
def test_results_lie_on_the_grid_of_the_image(
    model: Model, shape: tuple[int, int], pixel_size: float
) -> None:
    """Whatever the pixel size, labels and probabilities have the image's shape and fit."""
    result = segment.segment(Micrograph(random_pixels(shape), pixel_size), model)
    assert result.labels.shape == shape
    assert result.labels.dtype == np.uint8
    assert result.probabilities.shape == (3, *shape)
    assert result.probabilities.dtype == np.float32
    assert result.probabilities.min() >= 0
    np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-5)
    assert np.array_equal(result.labels, classify(result.probabilities, result.classes))


def test_result_stays_where_the_tissue_is() -> None:
    """A bright square is found in its place at pixel sizes other than the model's."""
    # a network that looks at single pixels: bright is axon
    network = UNet(2, features=(1, 1))
    with torch.no_grad():
        for weights in network.parameters():
            weights.zero_()
        for block in network.down[0], network.up[0]:
            for i in (0, 3):
                block[i].weight[0, 0, 1, 1] = 1
            for i in (1, 4):
                block[i].weight.fill_(1)
        network.head.weight[:, 0, 0, 0] = torch.tensor([-20.0, 20.0])
        network.head.bias[:] = torch.tensor([10.0, -10.0])
    card = ModelCard(
        "bright", ["background", "axon"], 0.1, {"class": "UNet", "n_classes": 2, "features": (1, 1)}
    )
    for pixel_size in (0.05, 0.1, 0.2):
        n = round(12.8 / pixel_size)
        y, x = (np.mgrid[:n, :n] + 0.5) * pixel_size
        square = (y > 2) & (y < 6) & (x > 7) & (x < 12)
        grain = 0.01 * np.random.default_rng(0).random(square.shape)  # without, it were filler
        seen = Micrograph(square + grain, pixel_size)
        result = segment.segment(seen, Model(network.eval(), card, ""))
        away_from_edges = np.abs(y - 2) > 0.25
        for distance in (y - 6, x - 7, x - 12):
            away_from_edges &= np.abs(distance) > 0.25
        truth = np.where(square, CLASSES["axon"], 0)
        assert np.array_equal(result.labels[away_from_edges], truth[away_from_edges])


@pytest.mark.parametrize(("gain", "offset"), [(1, 1000), (257, 0), (1 / 255, 0), (0.01, -3)])
def test_offset_and_gain_of_the_detector_change_nothing(
    model: Model, gain: float, offset: float
) -> None:
    """Grey values are taken relative to the image's own percentiles."""
    pixels = random_pixels((50, 60)) * 200
    plain = segment.segment(Micrograph(pixels, 0.17), model)
    other = segment.segment(Micrograph(pixels * gain + offset, 0.17), model)
    np.testing.assert_allclose(other.probabilities, plain.probabilities, atol=2e-3)
    assert (other.labels == plain.labels).mean() > 0.999


def test_percentiles_are_the_card_s(model: Model) -> None:
    """A model that was trained with other percentiles is served with those."""
    card = ModelCard(**{**vars(CARD), "percentiles": (10.0, 50.0)})
    micrograph = Micrograph(random_pixels((40, 50)), 0.1)
    result = segment.segment(micrograph, Model(model.network, card, ""))
    low, high = result.provenance["grey_values_mapped_to_0_and_1"]
    assert [low, high] == pytest.approx(np.percentile(micrograph.pixels, [10, 50]))
    wanted = predict(model.network, (micrograph.pixels - low) / (high - low))
    np.testing.assert_allclose(result.probabilities, wanted, atol=1e-5)


def test_temperature_is_the_card_s(model: Model) -> None:
    """A calibrated model is served at its temperature, and provenance tells it."""
    micrograph = Micrograph(random_pixels((40, 50)), 0.1)
    hot = Model(model.network, replace(CARD, temperature=3.0), "")
    result = segment.segment(micrograph, hot)
    assert result.provenance["temperature"] == 3
    wanted = predict(model.network, at_model_scale(micrograph, 0.1)[0], temperature=3)
    np.testing.assert_allclose(result.probabilities, wanted, atol=1e-6)
    assert segment.segment(micrograph, model).provenance["temperature"] == 1


def test_flat_image(model: Model) -> None:
    """An empty field is no error."""
    flat = Micrograph(np.full((20, 30), 7), 0.1)
    empty = Micrograph(np.zeros((20, 30)), 0.1)
    result = segment.segment(flat, model)
    assert np.isfinite(result.probabilities).all()
    assert np.array_equal(result.labels, segment.segment(empty, model).labels)


def test_tiles_do_not_show_in_a_segmentation(model: Model) -> None:
    """`tile` is passed on and has no influence."""
    micrograph = Micrograph(random_pixels((60, 80)), 0.1)
    whole, tiled = segment.segment(micrograph, model), segment.segment(micrograph, model, tile=16)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-6)


def test_provenance_tells_image_and_model(model: Model, tmp_path: Path) -> None:
    """Provenance goes into JSON and names the file the model came from by its hash."""
    path = save_model(tmp_path / "tiny.safetensors", model.network, CARD)
    micrograph = Micrograph(random_pixels((20, 30)), 0.2, "slide 7", "OME")
    result = segment.segment(micrograph, path)
    written = json.loads(json.dumps(result.provenance, allow_nan=False))
    assert written == result.provenance
    assert written["image"] == "slide 7"
    assert written["image_shape"] == [20, 30]
    assert written["pixel_size_um"] == 0.2
    assert written["pixel_size_source"] == "OME"
    assert written["model"] == "tiny"
    assert written["classes"] == result.classes == CLASS_NAMES
    assert len(written["model_sha256"]) == 64
    assert np.array_equal(result.labels, segment.segment(micrograph, model).labels)


def test_opinions_of_the_eight_orientations(model: Model) -> None:
    """One segmentation per orientation, turned back; a turned micrograph gives the same ones."""
    micrograph = Micrograph(np.random.default_rng(4).random((40, 56)), pixel_size=0.1)
    one = list(segment.opinions(micrograph, model))
    assert len(one) == 8
    assert all(labels.shape == (40, 56) for labels in one)
    np.testing.assert_array_equal(one[0], segment.segment(micrograph, model).labels)
    turned = replace(micrograph, pixels=np.rot90(micrograph.pixels))
    other = [np.rot90(labels, -1).copy() for labels in segment.opinions(turned, model)]
    assert sorted(a.tobytes() for a in one) == sorted(b.tobytes() for b in other)
