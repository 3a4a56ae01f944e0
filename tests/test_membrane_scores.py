"""Scores of membranes against slow ones that follow the definitions, and by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import axonlab as al
from axonlab.membrane_scores import THRESHOLDS, _thinned, pixel_error, rand_error, v_info, v_rand
from axonlab.partition_scores import partition_scores

Array = NDArray[Any]
ERRORS = ("pixel_error", "rand_error", "warping_error")
VALUES = ("v_rand", "v_info")


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Array, Array]:
    """Draw probabilities in steps, so that some are as large as thresholds, and a truth."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 7)))
    steps = draw(arrays(np.int8, shape, elements=st.integers(0, 20)))
    truth = draw(arrays(bool, shape))
    truth[:, 0, 0] = True
    return steps / 20, truth


def slow_cells(interior: Array) -> Array:
    """Number the 4-connected components by filling one after another."""
    cells = np.zeros(interior.shape, int)
    for start in zip(*np.nonzero(interior), strict=True):
        if cells[start]:
            continue
        number, waiting = cells.max() + 1, [start]
        while waiting:
            y, x = waiting.pop()
            inside = 0 <= y < cells.shape[0] and 0 <= x < cells.shape[1]
            if inside and interior[y, x] and not cells[y, x]:
                cells[y, x] = number
                waiting += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return cells


def slow_best(stack: tuple[Array, Array], score: Callable[[Array, Array], float]) -> float:
    """Return the best mean over sections."""
    return max(
        np.mean([score(p > threshold, t) for p, t in zip(*stack, strict=True)])
        for threshold in THRESHOLDS
    )


@settings(max_examples=40)
@given(stacks())
def test_pixel_error(stack: tuple[Array, Array]) -> None:
    """It is that of pixels counted one by one."""

    def f(found: Array, truth: Array) -> float:
        pairs = list(zip(found.flat, truth.flat, strict=True))
        right, extra, missed = (pairs.count(p) for p in ((1, 1), (1, 0), (0, 1)))
        return 2 * right / (2 * right + extra + missed)

    assert pixel_error(*stack) == pytest.approx(1 - slow_best(stack, f))


@settings(max_examples=40)
@given(stacks())
def test_rand_error(stack: tuple[Array, Array]) -> None:
    """It is the F-score of the partition into 4-connected cells."""

    def f(found: Array, truth: Array) -> float:
        scores = partition_scores(slow_cells(found), slow_cells(truth))
        return 1 - scores["adapted_rand_error"]

    assert rand_error(*stack) == pytest.approx(1 - slow_best(stack, f))


@settings(max_examples=40)
@given(stacks())
def test_v_scores(stack: tuple[Array, Array]) -> None:
    """They are F-scores of pairs and of information, of cells whose borders are thin."""

    def rand(found: Array, truth: Array) -> float:
        return 1 - partition_scores(_thinned(found), slow_cells(truth))["adapted_rand_error"]

    def information(found: Array, truth: Array) -> float:
        cells, scores = slow_cells(truth), partition_scores(_thinned(found), slow_cells(truth))
        shares = np.unique(cells[cells > 0], return_counts=True)[1] / (cells > 0).sum()
        bits = -(shares * np.log2(shares)).sum()
        shared = bits - scores["voi_merge"]
        total = bits + scores["voi_split"] + shared
        return 2 * shared / total if total > 1e-12 else 1.0

    assert v_rand(*stack) == pytest.approx(slow_best(stack, rand))
    assert v_info(*stack) == pytest.approx(slow_best(stack, information), abs=1e-9)


@settings(max_examples=60)
@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_thin_borders(interior: Array) -> None:
    """Cells grow and keep apart, and nothing thicker than a line is left around them."""
    cells, thinned = slow_cells(interior), _thinned(interior)
    grown = [np.unique(thinned[cells == number]) for number in range(1, cells.max() + 1)]
    assert all(ids.size == 1 and ids[0] > 0 for ids in grown)
    assert len({int(ids[0]) for ids in grown}) == cells.max()
    np.testing.assert_array_equal(thinned > 0, slow_cells(thinned > 0) > 0)
    assert slow_cells(thinned > 0).max() == thinned.max()
    if cells.max() == 1:
        assert thinned.all()


def test_the_line_is_halfway() -> None:
    """A straight border is thinned to its middle; stains within a cell are filled."""
    interior = np.ones((9, 11), bool)
    interior[:, 3:8] = False
    np.testing.assert_array_equal(_thinned(interior)[:, [0, 4, 5, 6, 10]], [[1, 1, 0, 2, 2]] * 9)
    stained = interior.copy()
    stained[4, 1] = False
    np.testing.assert_array_equal(_thinned(stained), _thinned(interior))


def grid(side: int = 24, thick: int = 3) -> Array:
    """Return four cells with membranes between them."""
    truth = np.ones((side, side), bool)
    middle = slice(side // 2 - thick // 2, side // 2 - thick // 2 + thick)
    truth[middle] = truth[:, middle] = False
    return truth


@pytest.mark.parametrize("stacked", [False, True])
def test_what_is_perfect(stacked: bool) -> None:
    """The truth itself has no error."""
    truth = np.stack([grid(), grid(thick=1)]) if stacked else grid()
    for name in ERRORS:
        assert getattr(al.score, name)(truth.astype(np.float32), truth) == pytest.approx(0)
    for name in VALUES:
        assert getattr(al.score, name)(truth.astype(np.float32), truth) == pytest.approx(1)


def test_thickness() -> None:
    """Thick borders cost pixels and pairs, but nothing after thinning."""
    thick, truth = grid(thick=7).astype(float), grid(thick=1)
    assert pixel_error(thick, truth) > 0.1
    assert rand_error(thick, truth) > 0.1
    assert v_rand(thick, truth) == pytest.approx(1)
    assert v_info(thick, truth) == pytest.approx(1)


def test_all_interior() -> None:
    """Right where it is true, and a merger of four equal cells otherwise."""
    ones = np.ones((24, 24))
    for truth, rand, info in ((ones > 0, 1, 1), (grid(thick=2), 0.4, 0)):
        assert 1 - rand_error(ones, truth) == pytest.approx(rand, abs=0.01)
        assert v_rand(ones, truth, thresholds=[0.5]) == pytest.approx(rand, abs=0.01)
        assert v_info(ones, truth, thresholds=[0.5]) == pytest.approx(info)
    truth = grid(thick=2)
    assert pixel_error(ones, truth) == pytest.approx(1 - 2 * truth.mean() / (1 + truth.mean()))
    assert al.score.warping_error(ones, truth) == 3 / truth.size


def test_sections_share_a_threshold() -> None:
    """The mean of sections is taken at one threshold, not of each section's best."""
    truth = grid()
    low, high = np.where(truth, 0.35, 0.05), np.where(truth, 0.95, 0.65)
    for score, perfect in ((pixel_error, 0), (v_rand, 1)):
        alone = [score(section, truth) for section in (low, high)]
        assert alone == pytest.approx([perfect, perfect])
        assert score(np.stack([low, high]), np.stack([truth, truth])) != pytest.approx(perfect)


def test_equal_is_not_more() -> None:
    """What is exactly as probable as the threshold is membrane, in single precision, too."""
    truth = np.array([[True, True]])
    for dtype in (np.float32, np.float64):
        probability = np.array([[0.3, 0.4]], dtype)
        assert pixel_error(probability, truth, thresholds=[0.3]) == pytest.approx(1 / 3)
        assert pixel_error(probability, truth, thresholds=[0.2]) == 0


@settings(max_examples=25)
@given(stacks(), st.integers(0, 7))
def test_turned_and_mirrored(stack: tuple[Array, Array], turn: int) -> None:
    """The grid has no direction, but for pixels halfway, which thinning gives to one side."""

    def turned(sections: Array) -> Array:
        sections = np.rot90(sections, turn % 4, axes=(1, 2))
        return sections[:, ::-1] if turn > 3 else sections

    for score in (pixel_error, rand_error):
        assert score(*map(turned, stack)) == pytest.approx(score(*stack))


@pytest.mark.parametrize("name", [*ERRORS, *VALUES])
def test_masks_are_taken(name: str) -> None:
    """Masks of 0 and 255 or 1 mean the same as truth values."""
    score, truth = getattr(al.score, name), grid()
    probability = np.where(np.roll(truth, 2, 0), 0.8, 0.3)
    for mask in (truth.astype(np.uint8), 255 * truth.astype(np.uint8), truth.astype(int)):
        assert score(probability, mask) == score(probability, truth)
    assert score(truth.astype(np.uint8), truth) == score(truth.astype(float), truth)


@pytest.mark.parametrize("name", [*ERRORS, *VALUES])
@pytest.mark.parametrize(
    ("probability", "truth", "message"),
    [
        (np.ones((2, 3)), np.ones((3, 2), bool), r"\(2, 3\) against a truth of \(3, 2\)"),
        (np.ones((2, 4, 4)), np.ones((3, 4, 4), bool), "same sections"),
        (np.ones((2, 4, 4)), np.ones((4, 4), bool), "same sections"),
        (np.ones(4), np.ones(4, bool), "expected .rows, columns"),
        (np.ones((0, 4)), np.ones((0, 4), bool), "with pixels"),
        (np.full((2, 3), 255), np.ones((2, 3), bool), "from 255 to 255: .*Divide"),
        (np.full((2, 3), -0.1), np.ones((2, 3), bool), "from -0.1"),
        (np.array([[0.5, np.nan]]), np.ones((1, 2), bool), "NaN"),
        (np.ones((1, 3)), np.array([[0, 1, 2]]), "values 0, 1, 2: .*labels == 2"),
        (np.ones((1, 3)), np.array([[0, 127, 255]]), "values 0, 127, 255"),
        (np.ones((1, 8)), np.arange(8)[np.newaxis], "values 0, 1, 2, 3, 4, 5…"),
        (np.ones((1, 2)), np.array([[0.5, 1]]), "values 0.5, 1.0"),
        (np.ones((2, 1, 2)), np.array([[[1, 1]], [[0, 0]]]) > 0, "no interior in section 1"),
    ],
)
def test_errors(name: str, probability: Array, truth: Array, message: str) -> None:
    """What cannot be compared is refused, and told."""
    with pytest.raises(ValueError, match=message):
        getattr(al.score, name)(probability, truth)


@pytest.mark.parametrize("thresholds", [[], [1.1], [-0.1, 0.5], [float("nan")]])
def test_absurd_thresholds(thresholds: list[float]) -> None:
    """Thresholds must be from 0 to 1."""
    for name in (*ERRORS, *VALUES):
        with pytest.raises(ValueError, match=r"thresholds: .*expected some from 0 to 1"):
            getattr(al.score, name)(np.ones((2, 2)), np.ones((2, 2), bool), thresholds=thresholds)


def test_inverted_labels() -> None:
    """Labels or probabilities the wrong way round are found, and it is said which."""
    truth = grid()
    blurred = ndimage.gaussian_filter(truth.astype(np.float32), 1)
    for score in (getattr(al.score, name) for name in (*ERRORS, *VALUES)):
        score(blurred, truth)
        with pytest.raises(ValueError, match=r"inverted: .* 50%.*truth are interior: give ~truth"):
            score(blurred, ~truth)
        with pytest.raises(ValueError, match=r"mostly interior.*: give 1 - probability"):
            score(1 - blurred, truth)
        with pytest.raises(ValueError, match="inverted"):
            score(0.1 + 0.01 * (1 - blurred), truth)  # however unsure it is


def test_poor_is_not_inverted() -> None:
    """Chance and small images are no reason to complain."""
    rng, truth = np.random.default_rng(0), grid()
    for name in (*ERRORS, *VALUES):
        score = getattr(al.score, name)
        score(rng.random(truth.shape), truth)
        score(np.full(truth.shape, 0.3), truth)
        score(np.array([[0.1, 0.9]]), np.array([[True, False]]))


def test_real_sections(data_folder: Path) -> None:
    """Blurred truth is good, the neighbouring section is not."""
    folder = data_folder / "isbi2012/data/membrane/train/label"
    if not folder.is_dir():
        pytest.skip("AXONLAB_DATA holds no isbi2012")
    masks = np.stack([np.asarray(Image.open(folder / f"{i}.png")) for i in (20, 21)])
    near, far = ndimage.gaussian_filter(masks / 255, (0, 1, 1)), masks[::-1] / 255
    scores = {
        name: [getattr(al.score, name)(one, masks, thresholds=[0.6]) for one in (near, far)]
        for name in (*ERRORS, *VALUES)
    }
    for name in ("pixel_error", "rand_error"):
        assert scores[name][0] < 0.1 < scores[name][1]
    for name in VALUES:
        assert scores[name][0] > 0.97 > scores[name][1]
    assert scores["warping_error"][0] < scores["warping_error"][1] / 5
