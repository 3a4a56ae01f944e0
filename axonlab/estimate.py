"""What a training will need, told before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from axonlab import machine
from axonlab.models import UNet, fast_dtype

FIXED_BYTES = 120e6
"""Patches, loss and what the allocator keeps: measured on the default network."""

BYTES_PER_WEIGHT = 16
"""Of float32: the weight, its gradient and the two moments of Adam."""


@dataclass(frozen=True)
class Need:
    """What one step of a training takes, the forward and the backward pass together.

    Parameters
    ----------
    memory : float
        Peak in bytes, beyond what the process has before.
    operations : float
        Floating-point operations.
    """

    memory: float
    operations: float

    @property
    def seconds(self) -> float:
        """Time at the pace that a small network reaches here; twice as much is possible."""
        return self.operations / _pace()


def step_need(build: Callable[[], nn.Module], batch: int, patch: int) -> Need:
    """Count what a training step needs, without memory and without computing anything.

    Parameters
    ----------
    build : callable
        Returns the network.
    batch, patch : int
        Patches in a batch, and their side in pixels.
    """
    saved = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal saved
        saved += tensor.numel()
        return tensor

    with torch.device("meta"), FlopCounterMode(display=False) as forward:
        network = build()
        with saved_tensors_hooks(count, lambda tensor: tensor):
            network(torch.empty(batch, 1, patch, patch))
    n_weights = sum(p.numel() for p in network.parameters())
    memory = saved * _dtype().itemsize + n_weights * BYTES_PER_WEIGHT + FIXED_BYTES
    return Need(memory, 3 * forward.get_total_flops())  # a backward pass costs two forward ones


def memory_need(
    build: Callable[[], nn.Module], batch: int, patch: int, images: tuple[int, int]
) -> float:
    """Return the memory in bytes that a training takes at its peak.

    Parameters
    ----------
    build, batch, patch
        As for `step_need`. A GPU has memory of its own for a step, which is not looked at.
    images : pair of int
        What `axonlab.data.images_need` returns.
    """
    kept, reading = images
    return kept + max(reading, _step_memory(build, batch, patch))


def check_memory(
    build: Callable[[], nn.Module], batch: int, patch: int, images: tuple[int, int]
) -> None:
    """Find out whether a training fits into the memory of this machine.

    Parameters
    ----------
    build, batch, patch, images
        As for `memory_need`.

    Raises
    ------
    MemoryError
        If it does not; the message tells what takes the memory, and a smaller batch or patch with
        which it fits, if there is one.
    """
    free, need = machine.memory_free(), memory_need(build, batch, patch, images)
    if need <= free:
        return
    sizes = [(max(2, batch >> n), patch) for n in range(1, batch.bit_length())]
    sizes += [(2, smaller) for smaller in (128, 64) if smaller < patch]
    needs = ((size, memory_need(build, *size, images)) for size in sizes)
    advice = (
        f"a batch of {size[0]} and patches of {size[1]} pixels ({_gigabytes(memory)}), "
        for size, memory in needs
        if memory <= free
    )
    (kept, reading), step = images, _step_memory(build, batch, patch)
    work = "a step" if step > reading else "reading the largest one"
    raise MemoryError(
        f"The training needs about {_gigabytes(need)}, but {_gigabytes(free)} of "
        f"{_gigabytes(machine.memory_limit())} are free: {_gigabytes(kept)} for its images, which "
        f"stay in memory, and {_gigabytes(need - kept)} for {work}. Take {next(advice, '')}"
        "a smaller network, fewer or smaller images, or close other notebooks."
    )


def _step_memory(build: Callable[[], nn.Module], batch: int, patch: int) -> float:
    return 0 if machine.device() == "cuda" else step_need(build, batch, patch).memory


@cache
def _pace() -> float:
    """Return floating-point operations a second of training, measured once on a small network."""
    features, batch, patch = (32, 64, 128), 2, 128
    place = {"device": machine.device(), "memory_format": torch.channels_last}
    network = UNet(2, features=features).to(**place)
    pixels = torch.rand(batch, 1, patch, patch).to(**place)
    seconds = []
    for _ in range(3):  # the first ones set up the kernels
        start = time.perf_counter()
        with torch.autocast(machine.device(), _dtype(), enabled=_dtype() != torch.float):
            loss = network(pixels).float().square().mean()
        loss.backward()
        loss.item()  # waits for a GPU
        seconds.append(time.perf_counter() - start)
    need = step_need(lambda: UNet(2, features=features), batch, patch)
    return need.operations / min(seconds)


def _dtype() -> torch.dtype:
    return fast_dtype(machine.device())


def _gigabytes(n: float) -> str:
    return f"{n / 1e9:.1f} GB"
