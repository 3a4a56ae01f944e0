"""A trained network over a volume: affinities, or boundaries of sections with their neighbours."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from axonlab import machine
from axonlab.models import fast_dtype
from axonlab.segment import ORIENTATIONS, Tell, fold_batch_norm, window

TILE = (96, 192, 192)
"""Sections, rows and columns of a tile: with what a network of four levels sees around it, some
3 GB of memory."""


def predict_affinities(
    network: nn.Module,
    pixels: NDArray[np.float32],
    *,
    tile: tuple[int, int, int] = TILE,
    tell: Tell = lambda share: None,
) -> NDArray[np.float32]:
    """Return the affinities that a network gives to the voxels of a volume.

    Parameters
    ----------
    network : Module
        An `axonlab.networks.UNet` in three dimensions from `axonlab.volume_learn.volume_learner`.
    pixels : (Z, Y, X) float32 array
        From `axonlab.volume.normalise_sections`, as in training.
    tile : triple of int
        Sections, rows and columns of what is predicted at once, rounded up to multiples of the
        network's strides. It bounds memory and has no influence on the result.
    tell : callable, optional
        Called after every tile with the share that is done; what it raises ends the work.

    Returns
    -------
    (n_offsets, Z, Y, X) float32 array
        From 0 to 1, in the order of the offsets that the network was trained on.

    Raises
    ------
    ValueError
        If the pixels are no volume.

    Notes
    -----
    Tiles are seen with all the context that can influence them, see `axonlab.segment.predict`.
    """
    if pixels.ndim != 3 or pixels.size == 0:
        raise ValueError(
            f"Pixels of shape {pixels.shape}: expected a volume (sections, rows, columns)."
        )
    see, stride, halo = _ready(network)
    steps = [-(-side // step) * step for side, step in zip(tile, stride, strict=True)]
    margins = [(0, -n % step) for n, step in zip(pixels.shape, stride, strict=True)]
    padded = np.pad(pixels, margins, mode="symmetric")
    corners = list(product(*(range(0, n, s) for n, s in zip(pixels.shape, steps, strict=True))))
    result: NDArray[np.float32] | None = None
    for done, corner in enumerate(corners, start=1):
        cuts = [
            window(*cut) for cut in zip(corner, steps, halo, padded.shape, strict=True)
        ]  # of each axis what is seen, and the tile in that
        seen, inner = zip(*cuts, strict=True)
        part = see(padded[seen][None])[(slice(None), *inner)]
        if result is None:
            result = np.empty((len(part), *pixels.shape), np.float32)
        here = tuple(slice(a, a + n) for a, n in zip(corner, steps, strict=True))
        shape = result[(slice(None), *here)].shape
        result[(slice(None), *here)] = part[tuple(slice(n) for n in shape)]
        tell(done / len(corners))
    assert result is not None
    return result


def predict_boundaries(
    network: nn.Module,
    pixels: NDArray[np.float32],
    *,
    test_time_augmentation: bool = False,
    tell: Tell = lambda share: None,
) -> NDArray[np.float32]:
    """Return how probable boundaries are, section by section, each seen with its neighbours.

    Parameters
    ----------
    network : Module
        An `axonlab.networks.UNet` in two dimensions that was trained on
        `axonlab.volume_blocks.section_block`; as many input channels as it sees sections.
    pixels : (Z, Y, X) float32 array
        From `axonlab.volume.normalise_sections`, as in training.
    test_time_augmentation : bool
        Take the mean over 16 variants: the eight orientations of sections, seen from above and
        from below. Takes 16 times as long.
    tell : callable, optional
        Called after every section with the share that is done; what it raises ends the work.

    Returns
    -------
    (Z, Y, X) float32 array
        From 0 to 1. Beyond the first and the last section the volume is mirrored.

    Notes
    -----
    The variants are those of Zeng, Wu & Ji 2017, doi:10.1093/bioinformatics/btx188.
    """
    see, stride, _ = _ready(network)
    n_sections = next(network.parameters()).shape[1]
    variants = [(*way, flip) for way in ORIENTATIONS for flip in (1, -1)]
    if not test_time_augmentation:
        variants = variants[:1]
    reach = n_sections // 2
    margins = [(reach, reach), *((0, 0) for _ in range(2))]
    mirrored = np.pad(pixels, margins, mode="reflect" if len(pixels) > reach else "symmetric")
    result = np.zeros(pixels.shape, np.float32)
    for z, section in enumerate(result):
        for transposed, turns, flip in variants:
            view = mirrored[z : z + n_sections][::flip]
            view = view.swapaxes(1, 2) if transposed else view
            seen = _whole(see, np.rot90(view, turns, (1, 2)), stride)[0]
            seen = np.rot90(seen, -turns)
            section += (seen.T if transposed else seen) / len(variants)
        tell((z + 1) / len(pixels))
    return result


def _whole(
    see: Callable[[NDArray[Any]], NDArray[np.float32]],
    view: NDArray[np.float32],
    stride: tuple[int, ...],
) -> NDArray[np.float32]:
    """Predict a section as a whole, filled up to multiples of the strides."""
    _, height, width = view.shape
    fill = [(0, 0), (0, -height % stride[0]), (0, -width % stride[1])]
    return see(np.pad(view, fill, mode="symmetric"))[:, :height, :width]


def _ready(
    network: nn.Module,
) -> tuple[Callable[[NDArray[Any]], NDArray[np.float32]], tuple[int, ...], tuple[int, ...]]:
    """Return a function from channels to probabilities, and stride and halo of a network."""
    device = machine.device()
    dtype = fast_dtype(device)
    folded = fold_batch_norm(network).to(device, dtype)

    def see(channels: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            x: Tensor = torch.from_numpy(np.ascontiguousarray(channels))[None].to(device, dtype)
            probabilities: NDArray[np.float32] = folded(x)[0].float().sigmoid().cpu().numpy()
        return probabilities

    return see, network.stride, network.halo
