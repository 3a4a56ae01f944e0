"""What a training will need: counted as it is then taken, and for nothing."""

from __future__ import annotations

import warnings
from functools import partial

import psutil
import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from axonlab import estimate, machine, segment
from axonlab.estimate import (
    BYTES_PER_WEIGHT,
    FIXED_BYTES,
    Need,
    check_prediction,
    choose_tile,
    prediction_need,
    step_need,
)
from axonlab.models import UNet
from axonlab.window_net import WindowNet

pytestmark = pytest.mark.usefixtures("one_thread")

FEATURES = (8, 16, 24)
build = partial(UNet, 3, features=FEATURES)


def activations(need: Need) -> float:
    """Return the memory that grows with the patches."""
    n_weights = sum(weights.numel() for weights in build().parameters())
    return need.memory - FIXED_BYTES - BYTES_PER_WEIGHT * n_weights


def test_needs_grow_with_batch_and_patch() -> None:
    """Both grow with the number of pixels, but for the weights."""
    one, twice, larger = (step_need(build, *size) for size in ((2, 64), (4, 64), (2, 128)))
    n_weights = sum(w.numel() for w in build().parameters())
    weights = estimate._dtype().itemsize * n_weights  # bytes of those kept beside
    assert activations(twice) == pytest.approx(2 * activations(one), abs=2 * weights)
    assert activations(larger) == pytest.approx(4 * activations(one), abs=6 * weights)
    assert twice.operations == 2 * one.operations
    assert larger.operations == 4 * one.operations


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_of_a_real_pass(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a forward pass really keeps for the backward one is told, to within a tenth."""
    monkeypatch.setattr(estimate, "_dtype", lambda: dtype)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    network, alive = build(), []
    with (
        torch.autocast("cpu", dtype, enabled=dtype != torch.float),
        saved_tensors_hooks(lambda t: alive.append(t) or keep(t), lambda t: t),
    ):
        network(torch.rand(4, 1, 64, 64))
    expected = activations(step_need(build, 4, 64))
    assert 0.95 * sum(kept.values()) < expected < 1.1 * sum(kept.values())


def test_operations_of_a_convolution() -> None:
    """A multiplication and an addition per weight and pixel, thrice: forward, and twice back."""
    need = step_need(lambda: torch.nn.Conv2d(1, 5, 3, padding=1, bias=False), 2, 32)
    assert need.operations == 3 * 2 * (2 * 32 * 32 * 5 * 9)


def test_an_absurd_step_takes_nothing() -> None:
    """To count what would not fit into any machine takes neither memory nor chance."""
    process, chance = psutil.Process(), torch.get_rng_state()
    step_need(build, 2, 64)
    before = process.memory_info().rss
    need = step_need(lambda: UNet(3), 4096, 8192)
    assert need.memory > 1e14
    assert process.memory_info().rss - before < 50e6
    assert torch.equal(torch.get_rng_state(), chance)


def test_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of the operations at this machine's pace, which is measured."""
    assert 1e6 < estimate._pace() < 1e16
    monkeypatch.setattr(estimate, "_pace", lambda: 50.0)
    assert Need(memory=0, operations=200).seconds == 4


# --- prediction

LARGE = (4000, 4000)


def free(monkeypatch: pytest.MonkeyPatch, memory: float) -> None:
    """Let this machine have so many bytes left, and no graphics card."""
    monkeypatch.setattr(machine, "memory_free", lambda: memory)
    monkeypatch.setattr(machine, "memory_limit", lambda: 2_000_000_000)
    monkeypatch.setattr(machine, "device", lambda: "cpu")


@pytest.mark.parametrize(
    ("network", "widest", "result"),
    [
        (UNet(3, features=FEATURES), 8, 3),
        (UNet(5, features=FEATURES, strides=[(1, 2, 2), (2, 2, 2)]), 8, 5),
        (WindowNet(2, maps=48), 48, 2),  # which adds a margin as wide as its window
    ],
)
def test_maps_of_a_network(network: torch.nn.Module, widest: float, result: float) -> None:
    """The largest map is told per pixel, whatever the network adds around the image."""
    assert estimate._maps(network) == (pytest.approx(widest), result)


def test_a_network_is_left_as_it_is() -> None:
    """Looking at it changes neither its mode nor its statistics."""
    network = build().train()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    prediction_need(network, LARGE, (256, 256))
    assert network.training
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())


def test_smaller_tiles_need_less() -> None:
    """Until the halo is most of what is seen; an image smaller than a tile is one tile."""
    tiles = [(side, side) for side in (768, 384, 192, 96)]
    needs = [prediction_need(build(), LARGE, tile) for tile in tiles]
    assert needs == sorted(needs, reverse=True)
    small = [prediction_need(build(), (80, 80), tile) for tile in tiles]
    assert len(set(small)) == 1


def test_the_largest_tile_that_fits_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning is needed then."""
    need = prediction_need(build(), LARGE, (384, 384))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for memory, side in ((1e12, 768), (need, 384), (need - 1, 192)):
            free(monkeypatch, memory)
            assert choose_tile(build(), LARGE, (768, 768)) == (side, side)


def test_no_tile_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest is taken, and a warning says what to do."""
    free(monkeypatch, 1e8)
    told = r"0\.[2-9] GB even with the smallest tile, of 96 pixels, but 0\.1 GB of 2\.0 GB are free"
    with pytest.warns(UserWarning, match=told):
        assert choose_tile(build(), (90, 90), (768, 768)) == (96, 96)


def test_a_tile_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not changed, but a warning names one that fits."""
    free(monkeypatch, prediction_need(build(), LARGE, (384, 384)))
    check_prediction(build(), LARGE, (384, 384))
    with pytest.warns(UserWarning, match=r"tiles of 768 pixels needs about .* Take tile=384 \("):
        check_prediction(build(), LARGE, (768, 768))
    free(monkeypatch, 0)
    with pytest.warns(UserWarning, match="Take a smaller network or image"):
        check_prediction(build(), LARGE, (768, 768))


def test_a_tile_of_a_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named as it is given."""
    network = UNet(2, features=FEATURES, strides=[(1, 2, 2), (2, 2, 2)])
    shape = (100, 900, 900)
    free(monkeypatch, prediction_need(network, shape, (48, 96, 96)))
    with pytest.warns(UserWarning, match=r"Take tile=\(48, 96, 96\)"):
        check_prediction(network, shape, (96, 192, 192))
    assert choose_tile(network, shape, (96, 192, 192)) == (48, 96, 96)


def test_memory_of_a_graphics_card_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free elsewhere says nothing of it."""
    free(monkeypatch, 0)
    monkeypatch.setattr(machine, "device", lambda: "cuda")
    assert choose_tile(build(), LARGE, (768, 768)) == (768, 768)
    check_prediction(build(), LARGE, (768, 768))


def test_scarce_memory_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prediction takes smaller tiles, and its result is the same."""
    torch.manual_seed(0)
    network, shares = build().eval(), []
    pixels = torch.rand(200, 230).numpy()
    whole = segment.predict(network, pixels)
    free(monkeypatch, prediction_need(network, pixels.shape, (96, 96)) + 1000)
    tiled = segment.predict(network, pixels, tell=shares.append)
    assert len(shares) == 9
    assert abs(tiled - whole).max() < (1e-6 if estimate._dtype() == torch.float else 0.02)
