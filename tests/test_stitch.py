"""Components that are joined across tiles are those of the whole plane."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from axonlab.omezarr import tiles
from axonlab.stitch import Join, Sides, first_pixels, join, label


def joined(mask: np.ndarray, tile: int) -> tuple[np.ndarray, Join]:
    """Label a mask tile by tile; whole components are numbered by their first pixels."""
    counts: dict[tuple[int, int], int] = {}
    sides: dict[tuple[int, int], Sides] = {}
    first: dict[tuple[int, int], np.ndarray] = {}
    labels = np.zeros(mask.shape, np.int32)
    regions = {(r.start // tile, c.start // tile): (r, c) for r, c in tiles(mask.shape, tile)}
    for key, region in regions.items():
        labels[region], counts[key], sides[key] = label(mask[region])
        y, x = np.unravel_index(first_pixels(labels[region], counts[key]), mask[region].shape)
        first[key] = (y + region[0].start) * mask.shape[1] + x + region[1].start
    whole = join(counts, sides)
    places = np.full(whole.n, mask.size)
    for key in regions:
        np.minimum.at(places, whole.of(key), first[key])
    ids = np.empty(whole.n, int)
    ids[np.argsort(places)] = np.arange(1, whole.n + 1)
    for key, region in regions.items():
        labels[region] = np.concatenate([[0], ids[whole.of(key)]])[labels[region]]
    return labels, whole


@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    tile=st.integers(1, 12),
    density=st.floats(0, 1),
    seed=st.integers(0, 5),
)
def test_equal_to_whole(shape: tuple[int, int], tile: int, density: float, seed: int) -> None:
    """Components and their numbers are those of the plane in one piece, whatever the tile."""
    mask = np.random.default_rng(seed).random(shape) < density
    labels, whole = joined(mask, tile)
    expected, n = ndimage.label(mask)
    assert whole.n == n
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("tile", [3, 5, 64])
def test_spiral(tile: int) -> None:
    """One component that enters every tile many times is one."""
    mask = np.zeros((41, 41), bool)
    for k in range(0, 20, 2):
        mask[k, max(k - 2, 0) : 41 - k] = mask[k : 41 - k, 40 - k] = True
        mask[40 - k, k : 41 - k] = mask[k + 2 : 41 - k, k] = True
    assert ndimage.label(mask)[1] == 1
    assert joined(mask, tile)[1].n == 1
