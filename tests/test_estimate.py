"""What a training will need: counted as it is then taken, and for nothing."""

from __future__ import annotations

from functools import partial

import psutil
import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from axonlab import estimate
from axonlab.estimate import BYTES_PER_WEIGHT, FIXED_BYTES, Need, step_need
from axonlab.models import UNet

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
    weights = 2 * sum(w.numel() for w in build().parameters())  # bytes of those kept beside
    assert activations(twice) == pytest.approx(2 * activations(one), abs=2 * weights)
    assert activations(larger) == pytest.approx(4 * activations(one), abs=6 * weights)
    assert twice.operations == 2 * one.operations
    assert larger.operations == 4 * one.operations


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_of_a_real_pass(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a forward pass really keeps for the backward one fits in, without much to spare."""
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
    assert sum(kept.values()) < expected < 1.6 * sum(kept.values())


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
