"""Warping: a slow one that follows the definitions, and cases by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from axonlab.membrane_scores import THRESHOLDS
from axonlab.warping import splits_and_mergers, warp, warping_error

Array = NDArray[Any]
SQUARE = np.ones((3, 3), bool)
EDGES = ((-1, 0), (1, 0), (0, -1), (0, 1))


@st.composite
def sections(draw: st.DrawFn) -> tuple[Array, Array]:
    """Draw a truth and probabilities, many of them equally sure."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 8)))
    steps = draw(arrays(np.int8, shape, elements=st.integers(0, 10)))
    truth = draw(arrays(bool, shape))
    truth[0, 0] = True
    return truth, (steps / 10).astype(np.float32)


def topology(interior: Array) -> tuple[int, int]:
    """Return the numbers of cells and of pieces of membrane, outside among them."""
    rimmed = np.pad(interior, 1)
    return ndimage.label(rimmed)[1], ndimage.label(~rimmed, SQUARE)[1]


def is_simple(interior: Array, y: int, x: int) -> bool:
    """Tell whether the flip of a pixel changes nothing but places: what is around it decides."""
    around = np.pad(interior, 1)[y : y + 3, x : x + 3].copy()
    around[1, 1] = False
    parts, _ = ndimage.label(around)
    beside = {parts[1 + dy, 1 + dx] for dy, dx in EDGES} - {0}
    around[1, 1] = True
    return len(beside) == 1 == ndimage.label(~around, SQUARE)[1]


def slow_warp(truth: Array, probability: Array, threshold: float) -> Array:
    """Visit all pixels that differ, again and again."""
    warped, proposal = truth.copy(), probability > threshold
    while True:
        visited = [tuple(pixel) for pixel in np.argwhere(warped != proposal)]
        visited.sort(key=lambda pixel: -abs(probability[pixel] - threshold))
        simple = 0
        for y, x in visited:
            if is_simple(warped, y, x):
                warped[y, x] ^= True
                simple += 1
        if not simple:
            return warped


def slow_splits_and_mergers(warped: Array, proposal: Array) -> tuple[int, int]:
    """Flip each pixel alone in the whole section, and count what that does."""
    splits, merges = np.zeros((2, *warped.shape), bool)
    cells = ndimage.label(warped)[0]
    for y, x in np.argwhere(warped != proposal):
        flipped = warped.copy()
        flipped[y, x] ^= True
        after = ndimage.label(flipped)[0]
        if warped[y, x]:
            splits[y, x] = len(np.unique(after[(cells == cells[y, x]) & flipped])) > 1
        else:
            merges[y, x] = len(np.unique(cells[(after == after[y, x]) & warped])) > 1
    parts = ndimage.label(warped & ~splits)[0]
    return costs(splits, parts, None), costs(merges, cells, SQUARE)


def costs(mask: Array, ids: Array, structure: Array | None) -> int:
    """Count the things beside each group of pixels, less one."""
    groups, n = ndimage.label(mask, structure)
    beside = [np.unique(ids[ndimage.binary_dilation(groups == i + 1)]) for i in range(n)]
    return sum(np.count_nonzero(found) - 1 for found in beside)


@settings(max_examples=150)
@given(sections(), st.sampled_from(THRESHOLDS))
def test_warp(section: tuple[Array, Array], threshold: float) -> None:
    """Pixels are flipped in the order and to the end of the definition; topology stays."""
    truth, probability = section
    warped = warp(truth, probability, threshold)
    np.testing.assert_array_equal(warped, slow_warp(truth, probability, threshold))
    assert topology(warped) == topology(truth)
    proposal = probability > threshold
    assert not any(is_simple(warped, y, x) for y, x in np.argwhere(warped != proposal))


@settings(max_examples=150)
@given(sections(), st.booleans())
def test_splits_and_mergers(section: tuple[Array, Array], warped_first: bool) -> None:
    """Pixels are what their flip does to the whole section."""
    truth, probability = section
    proposal = probability > 0.5
    warped = warp(truth, probability, 0.5) if warped_first else truth
    expected = slow_splits_and_mergers(warped, proposal)
    assert splits_and_mergers(warped, proposal) == expected


@settings(max_examples=30)
@given(sections())
def test_warping_error(section: tuple[Array, Array]) -> None:
    """It is the least of all thresholds that leave something."""
    truth, probability = section
    errors = [
        sum(slow_splits_and_mergers(slow_warp(truth, probability, t), probability > t))
        for t in THRESHOLDS
        if (probability > t).any()
    ]
    expected = min(errors) / truth.size if errors else np.nan
    assert warping_error(probability, truth) == pytest.approx(expected, nan_ok=True)


def two_cells() -> Array:
    """Return cells to the left and right of a membrane three pixels wide."""
    truth = np.ones((20, 31), bool)
    truth[:, 14:17] = False
    return truth


def cost(proposal: Array, truth: Array) -> int:
    """Return the number of errors of a proposal without doubts."""
    return round(warping_error(proposal.astype(np.float32), truth) * truth.size)


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
def test_a_moved_border(shift: int) -> None:
    """Borders may be elsewhere, thinner or thicker, and bent."""
    truth = two_cells()
    assert cost(np.roll(truth, shift, axis=1), truth) == 0
    bent = np.stack([np.roll(row, round(3 * np.sin(y / 3))) for y, row in enumerate(truth)])
    assert cost(bent, truth) == 0
    assert cost(ndimage.binary_erosion(truth, border_value=1), truth) == 0
    assert cost(ndimage.binary_dilation(truth), truth) == 0


@pytest.mark.parametrize("length", [1, 5, 20])
def test_a_hole_in_a_membrane(length: int) -> None:
    """It is one merger, however long it is; two are two."""
    truth, proposal = two_cells(), two_cells()
    proposal[:length, 14:17] = True
    assert cost(proposal, truth) == 1
    assert splits_and_mergers(warp(truth, proposal * 1.0, 0.5), proposal) == (0, 1)
    if length < 20:
        proposal[-3:, 14:17] = True
        assert cost(proposal, truth) == (2 if length < 17 else 1)


@pytest.mark.parametrize("thick", [1, 2, 5])
def test_a_split(thick: int) -> None:
    """A wall across a cell is one split, however thick it is; two are two."""
    truth, proposal = two_cells(), two_cells()
    proposal[8 : 8 + thick, :14] = False
    assert cost(proposal, truth) == 1
    assert splits_and_mergers(warp(truth, proposal * 1.0, 0.5), proposal) == (1, 0)
    proposal[14 : 14 + thick, 17:] = False
    assert cost(proposal, truth) == 2


def test_what_is_neither() -> None:
    """Organelles, lost and added cells, and dead ends of membranes cost nothing."""
    truth, proposal = two_cells(), two_cells()
    proposal[5:9, 4:8] = False  # an organelle
    proposal[12, :9] = False  # a dead end
    assert cost(proposal, truth) == 0
    with_small = two_cells()
    with_small[8:11, 15] = True  # a cell within the membrane
    assert cost(two_cells(), with_small) == 0
    assert cost(with_small, two_cells()) == 0


def test_all_interior() -> None:
    """All cells in one cost one less than there are; nothing at all is no score."""
    truth = np.kron(np.ones((3, 3), bool), np.pad(np.ones((6, 6), bool), 1))
    assert cost(np.ones_like(truth), truth) == 8
    assert np.isnan(warping_error(np.zeros(truth.shape), truth))
    assert np.isnan(warping_error(np.full(truth.shape, 0.5), truth, thresholds=[0.5]))


def test_the_surest_pixels_move_first() -> None:
    """A wall that may be cut at either of two places is cut where the proposal is surer."""
    truth = np.ones((3, 9), bool)
    probability = np.ones((3, 9))
    probability[:, 4] = [0.1, 0.4, 0.2]
    warped = warp(truth, probability, 0.5)
    np.testing.assert_array_equal(warped[:, 4], [False, True, False])
    assert splits_and_mergers(warped, probability > 0.5) == (1, 0)


def test_sections_add_up() -> None:
    """A stack has the errors of all sections, over all pixels."""
    truth = two_cells()
    holed = truth.copy()
    holed[3, 14:17] = True
    stack = np.stack([truth, holed, holed]).astype(float)
    error = warping_error(stack, np.stack([truth] * 3))
    assert error == pytest.approx(2 / 3 / truth.size)
