"""What a training or a prediction will need, told before it starts."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from axonlab import machine
from axonlab.models import UNet, fast_dtype

FIXED_BYTES = 160e6
"""Patches, loss and what the allocator keeps: measured on the default network."""

BYTES_PER_WEIGHT = 16
"""Of float32: the weight, its gradient and the two moments of Adam."""

MAPS = 8
"""How often the largest map of a network is in memory in prediction: some 7 times for the maps that
are needed at once, and once more for what convolutions lay beside them."""

PREDICTION_BYTES = 200e6
"""What prediction takes however small the tile. With this and `MAPS` the peaks of `sem` and `tem`,
and of a network of volumes, were told to within a fifth, for tiles of 192 to 768 pixels."""

SMALLEST_TILE = 64
"""Side in pixels: smaller tiles save little, since the halo around them stays."""


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
    from torch.utils.flop_counter import FlopCounterMode  # takes a second, prediction does without

    saved: dict[int, torch.UntypedStorage] = {}  # once each: two layers may keep the same map

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage._cdata] = storage
        return tensor

    with torch.device("meta"), FlopCounterMode(display=False) as forward:
        network = build()
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            network(torch.empty(batch, 1, patch, patch))
    n_weights = sum(p.numel() for p in network.parameters())
    n_saved = sum(storage.nbytes() for storage in saved.values()) / torch.float.itemsize
    memory = n_saved * _dtype().itemsize + n_weights * BYTES_PER_WEIGHT + FIXED_BYTES
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


def prediction_need(network: nn.Module, shape: Sequence[int], tile: Sequence[int]) -> float:
    """Return the memory in bytes that prediction takes at its peak, its result included.

    Parameters
    ----------
    network : Module
        One of `axonlab.networks`: it knows its stride and its halo.
    shape, tile : sequence of int
        Of the image or volume, and of what is predicted at once, in pixels.
    """
    widest, n_channels = _maps(network)
    return _prediction_need(network, shape, tile, widest, n_channels)


def choose_tile(
    network: nn.Module, shape: Sequence[int], largest: Sequence[int]
) -> tuple[int, ...]:
    """Return a tile for which the memory of this machine is enough, and warn where none is.

    Parameters
    ----------
    network, shape
        As for `prediction_need`.
    largest : sequence of int
        The tile to take if there is memory for it; otherwise its half is tried, and so on. A GPU
        has memory of its own, which is not looked at.
    """
    tiles = _halves(largest)
    if machine.device() == "cuda":
        return tiles[0]
    free, (widest, n_channels) = machine.memory_free(), _maps(network)
    for tile in tiles:
        need = _prediction_need(network, shape, tile, widest, n_channels)
        if need <= free:
            return tile
    warnings.warn(
        f"Prediction needs about {_gigabytes(need)} even with the smallest tile, of {_side(tile)} "
        f"pixels, but {_gigabytes(free)} of {_gigabytes(machine.memory_limit())} are free. Close "
        "other notebooks, cut the image, or take a smaller network.",
        stacklevel=3,
    )
    return tile


def check_prediction(network: nn.Module, shape: Sequence[int], tile: Sequence[int]) -> None:
    """Warn if a tile takes more memory than is free, and name the one that fits.

    Parameters
    ----------
    network, shape, tile
        As for `prediction_need`.
    """
    if machine.device() == "cuda":
        return
    free, (widest, n_channels) = machine.memory_free(), _maps(network)
    needs = [
        (each, _prediction_need(network, shape, each, widest, n_channels)) for each in _halves(tile)
    ]
    (_, need), *smaller = needs
    if need <= free:
        return
    advice = (f"tile={_side(each)} ({_gigabytes(n)})" for each, n in smaller if n <= free)
    warnings.warn(
        f"Prediction in tiles of {_side(tile)} pixels needs about {_gigabytes(need)}, but "
        f"{_gigabytes(free)} of {_gigabytes(machine.memory_limit())} are free. Take "
        f"{next(advice, 'a smaller network or image')}, or close other notebooks.",
        stacklevel=3,
    )


def _prediction_need(
    network: nn.Module,
    shape: Sequence[int],
    tile: Sequence[int],
    widest: float,
    n_channels: float,
) -> float:
    seen = tile_pixels = pixels = 1
    for length, side, step, halo in zip(shape, tile, network.stride, network.halo, strict=True):
        full, whole = -(-side // step) * step, -(-length // step) * step
        seen *= min(full + 2 * halo, whole)
        tile_pixels *= min(full, length)
        pixels *= length
    own = next(network.parameters()).dtype.itemsize
    results = 4 * n_channels * (pixels + 2 * tile_pixels)  # float32, logits and their softmax too
    return MAPS * widest * seen * own + results + PREDICTION_BYTES


def _maps(network: nn.Module) -> tuple[float, float]:
    """Return how many numbers there are per pixel in the largest map, and in the result."""
    tried = copy.deepcopy(network).eval()
    numbers: list[int] = []
    for module in tried.modules():
        module.register_forward_hook(lambda _, __, output: numbers.append(output.numel()))
    weights, axes = next(tried.parameters()), len(network.stride)

    def side_of(n: float) -> float:
        return float(n ** (1 / axes))

    sides, largest = [], []
    for times in (1, 2):  # two sizes, whose difference is without the margins that a network adds
        shape = [times * (max(2 * step, 16) // step * step) for step in network.stride]
        pixels = torch.zeros(1, weights.shape[1], *shape, dtype=weights.dtype).to(weights.device)
        numbers.clear()
        with torch.inference_mode():
            result = tried(pixels).numel() / math.prod(shape)
        sides.append(side_of(math.prod(shape)))
        largest.append(side_of(max(numbers)))
    return ((largest[1] - largest[0]) / (sides[1] - sides[0])) ** axes, result


def _halves(tile: Sequence[int]) -> list[tuple[int, ...]]:
    """Return a tile and what is left of it when it is halved, down to `SMALLEST_TILE`."""
    halves = [tuple(tile)]
    while max(halves[-1]) >= 2 * SMALLEST_TILE:
        halves.append(tuple(max(1, side // 2) for side in halves[-1]))
    return halves


def _side(tile: Sequence[int]) -> str:
    """Return a tile as it is given to a prediction: a number in images, a triple in volumes."""
    return str(tile[0] if len(tile) == 2 else tuple(tile))


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
