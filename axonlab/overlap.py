"""Micrographs that show the same pixels: copies, crops, and mirrored or turned ones of these."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

BLOCK = 16
"""Side in pixels of the blocks that are looked for."""

STRIDE = 32
"""Distance in pixels of the blocks remembered of an image; the others it shares are found too."""

MIN_BLOCKS = 4
"""Blocks in common that make an overlap: fewer may be a scale bar burnt into both images."""

_MIN_VALUES = 16  # different grey values in a block: flat ones look the same everywhere
_ROWS = 512  # searched at once, so that large images need no more memory than small ones
_ROW_FACTOR, _COLUMN_FACTOR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)

Hashes = NDArray[np.uint64]


class Overlaps:
    """Images seen so far, of which every new one is told what it shares with them.

    Notes
    -----
    Of each image blocks on a grid are remembered by a polynomial hash, as they are, mirrored and
    turned by right angles. In a new image they are looked for at every position. An overlap of
    `MIN_BLOCKS` whole blocks, at least a square of 80 pixels, is found if its pixels are exactly
    the same; resampled or compressed copies are not.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._blocks = pd.DataFrame({"hash": np.zeros(0, np.uint64), "image": np.zeros(0, int)})

    def add(self, name: str, pixels: NDArray[np.float32]) -> dict[str, float]:
        """Remember an image, and return what share of it shows what earlier ones show.

        Parameters
        ----------
        name : str
        pixels : (H, W) float32 array

        Returns
        -------
        dict of str to float
            By the names of earlier images; the smaller of the two images is the whole.
        """
        hashes = _grid_hashes(pixels)
        found = self._find(pixels)
        number = len(self._names)
        self._names.append(name)
        blocks = pd.DataFrame({"hash": hashes.ravel(), "image": number, "size": pixels.size})
        blocks["block"] = np.tile(np.arange(hashes.shape[1]), len(hashes))
        self._blocks = pd.concat([self._blocks, blocks], ignore_index=True).sort_values("hash")
        return found

    def _find(self, pixels: NDArray[np.float32]) -> dict[str, float]:
        """Return the share that the blocks of each earlier image take of the smaller image."""
        known = self._blocks["hash"].to_numpy()
        if not known.size:
            return {}
        hits: list[Hashes] = []
        for top in range(0, pixels.shape[0], _ROWS):
            hashes = _hashes(pixels[top : top + _ROWS + BLOCK - 1]).ravel()
            places = np.searchsorted(known, hashes).clip(max=known.size - 1)
            hits.append(hashes[known[places] == hashes])
        shared = self._blocks[self._blocks["hash"].isin(np.unique(np.concatenate(hits)))]
        shared = shared.drop_duplicates(["image", "block"])
        found = {}
        for number, blocks in shared.groupby("image"):
            if len(blocks) >= MIN_BLOCKS:
                whole = min(pixels.size, int(blocks["size"].iloc[0]))
                found[self._names[int(str(number))]] = min(1.0, len(blocks) * STRIDE**2 / whole)
        return found


def _hashes(pixels: NDArray[np.float32]) -> Hashes:
    """Return the hash of the block at every position, empty where none fits."""
    if min(pixels.shape) < BLOCK:
        return np.zeros((0, 0), np.uint64)
    bits = np.ascontiguousarray(pixels).view(np.uint32).astype(np.uint64)
    bits ^= bits >> np.uint64(15)  # grey values differ in the upper bits of a float only
    rows = _polynomial(bits, _COLUMN_FACTOR)
    return _polynomial(rows.T, _ROW_FACTOR).T


def _polynomial(numbers: Hashes, factor: np.uint64) -> Hashes:
    """Return the polynomial of every `BLOCK` numbers in a row, modulo 2⁶⁴."""
    length = numbers.shape[1] - BLOCK + 1
    total = np.zeros((numbers.shape[0], length), np.uint64)
    for shift in range(BLOCK):
        total *= factor
        total += numbers[:, shift : shift + length]
    return total


def _grid_hashes(pixels: NDArray[np.float32]) -> Hashes:
    """Return the hashes of the blocks on the grid that are not flat, one row per orientation."""
    if min(pixels.shape) < BLOCK:
        return np.zeros((8, 0), np.uint64)
    blocks = sliding_window_view(pixels, (BLOCK, BLOCK))[::STRIDE, ::STRIDE]
    blocks = blocks.reshape(-1, BLOCK, BLOCK)
    ordered = np.sort(blocks.reshape(len(blocks), -1), axis=1)
    blocks = blocks[(np.diff(ordered, axis=1) > 0).sum(1) >= _MIN_VALUES - 1]
    turned = [np.rot90(blocks, k, axes=(1, 2)) for k in range(4)]
    oriented = [*turned, *(block.transpose(0, 2, 1) for block in turned)]
    if not len(blocks):
        return np.zeros((8, 0), np.uint64)
    return np.stack([_hashes_of(each) for each in oriented])


def _hashes_of(blocks: NDArray[np.float32]) -> Hashes:
    """Return the hash of each of n blocks."""
    column = _hashes(np.ascontiguousarray(blocks).reshape(-1, BLOCK))
    return column[::BLOCK, 0]
