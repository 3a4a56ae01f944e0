"""Scores: the counts are those of sets of pixels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from axonlab import score
from axonlab.micrograph import CLASSES, UNLABELLED
from axonlab.score import class_scores, confusion, dice, merge_classes, rater_agreement

Labels = NDArray[np.uint8]
COLUMNS = ["dice", "precision", "recall", "truth_pixels"]
SHAPE = st.tuples(st.integers(1, 6), st.integers(1, 6))


@st.composite
def pairs(draw: st.DrawFn, *, unlabelled: bool = True) -> tuple[Labels, Labels]:
    """Draw two label images of one shape."""
    ids = [*CLASSES.values(), UNLABELLED] if unlabelled else list(CLASSES.values())
    shape = draw(SHAPE)
    image = arrays(np.uint8, shape, elements=st.sampled_from(ids))
    return draw(image), draw(image)


def slow_scores(labels: Labels, truth: Labels) -> dict[str, tuple[float, float, float, int]]:
    """Compare sets of pixels."""
    counted = set(np.ndindex(truth.shape)) - {p for p in np.ndindex(truth.shape) if truth[p] == 255}
    rows = {}
    for name, i in CLASSES.items():
        a = {p for p in counted if labels[p] == i}
        b = {p for p in counted if truth[p] == i}
        if a or b:
            common = len(a & b)
            rows[name] = (
                2 * common / (len(a) + len(b)),
                common / len(a) if a else np.nan,
                common / len(b) if b else np.nan,
                len(b),
            )
    return rows


@settings(max_examples=80)
@given(pairs())
def test_scores_against_sets(pair: tuple[Labels, Labels]) -> None:
    """All columns agree with sets of pixels, 255 in either image included."""
    table = class_scores(*pair)
    wanted = slow_scores(*pair)
    assert list(table.columns) == COLUMNS
    assert table.index.name == "class"
    assert list(table.index) == list(wanted)
    for name, row in wanted.items():
        np.testing.assert_allclose(table.loc[name].astype(float), row)


@settings(max_examples=40)
@given(pairs(unlabelled=False))
def test_dice_is_symmetric(pair: tuple[Labels, Labels]) -> None:
    """Exchanging the images keeps Dice and exchanges precision and recall."""
    one, other = class_scores(*pair), class_scores(*pair[::-1])
    pd.testing.assert_series_equal(one["dice"], other["dice"])
    pd.testing.assert_series_equal(one["precision"], other["recall"], check_names=False)


def test_perfect() -> None:
    """An image agrees with itself."""
    labels = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], np.uint8)
    table = class_scores(labels, labels)
    assert (table[["dice", "precision", "recall"]] == 1).all(axis=None)
    assert (table["truth_pixels"] == 2).all()


def test_disjoint() -> None:
    """Where nothing agrees Dice is 0, and what was never found or never there has no ratio."""
    table = class_scores(np.full((2, 2), 1, np.uint8), np.full((2, 2), 2, np.uint8))
    assert table["dice"].tolist() == [0, 0]
    assert table["precision"].to_dict() == pytest.approx({"myelin": 0, "axon": np.nan}, nan_ok=True)
    assert table["recall"].to_dict() == pytest.approx({"myelin": np.nan, "axon": 0}, nan_ok=True)


def test_unlabelled_truth_does_not_count() -> None:
    """Nothing is right or wrong where nobody labelled."""
    truth = np.array([[2, 2, 0, UNLABELLED, UNLABELLED]], np.uint8)
    labels = np.array([[2, 2, 0, 2, 1]], np.uint8)
    table = class_scores(labels, truth)
    assert list(table.index) == ["background", "axon"]
    assert (table["dice"] == 1).all()


def test_unlabelled_result_is_a_miss() -> None:
    """A result that says nothing misses what is there."""
    table = class_scores(np.array([[2, UNLABELLED]], np.uint8), np.array([[2, 2]], np.uint8))
    assert table.loc["axon"].tolist() == pytest.approx([2 / 3, 1, 0.5, 2])


def test_nothing_to_compare() -> None:
    """A reference without any label gives an empty table with all columns."""
    table = class_scores(np.zeros((2, 2), np.uint8), np.full((2, 2), UNLABELLED, np.uint8))
    assert table.empty
    assert list(table.columns) == COLUMNS
    assert table.index.name == "class"


def test_views_and_big_images() -> None:
    """Turned views are compared pixel by pixel; counts go beyond 16 bits."""
    labels = np.random.default_rng(0).integers(0, 4, (300, 400), np.uint8)
    table = class_scores(labels[::-1].T, np.ascontiguousarray(labels[::-1].T))
    assert (table["dice"] == 1).all()
    assert table["truth_pixels"].sum() == labels.size


def test_shapes_must_agree() -> None:
    """Images of other shapes are refused, also where they would broadcast."""
    for shape in ((3, 2), (1, 3), (6,)):
        with pytest.raises(ValueError, match=r"\(2, 3\).*same size"):
            class_scores(np.zeros((2, 3), np.uint8), np.zeros(shape, np.uint8))


# --- confusion


@settings(max_examples=80)
@given(pairs())
def test_confusion_counts_pairs_of_pixels(pair: tuple[Labels, Labels]) -> None:
    """Every labelled pixel is in the cell of its true and its found class, and nowhere else."""
    labels, truth = pair
    table = confusion(labels, truth)
    names = {**CLASSES, "unlabelled": UNLABELLED}
    counted = truth != UNLABELLED
    assert table.to_numpy().sum() == counted.sum()
    for true in table.index:
        for found in table.columns:
            both = (truth == names[true]) & (labels == names[found])
            assert table.loc[true, found] == both.sum()
    assert list(table.index) == [n for n in table.columns if n != "unlabelled"]
    occur = {*truth[counted].tolist(), *labels[counted].tolist()}
    assert {names[n] for n in table.columns} == occur


@settings(max_examples=80)
@given(pairs())
def test_dice_of_a_confusion_is_that_of_the_images(pair: tuple[Labels, Labels]) -> None:
    """Both ways to the Dice agree."""
    wanted = class_scores(*pair)["dice"]
    np.testing.assert_allclose(dice(confusion(*pair)), wanted.astype(float))


@settings(max_examples=40)
@given(pairs(), pairs())
def test_confusions_add_up(one: tuple[Labels, Labels], other: tuple[Labels, Labels]) -> None:
    """The sum of the tables of two images is the table of both at once."""
    both = confusion(
        *(np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(one, other, strict=True))
    )
    total = confusion(*one).add(confusion(*other), fill_value=0).fillna(0)
    assert total.loc[both.index, both.columns].astype(int).equals(both)


def test_dice_of_a_class_that_is_nowhere() -> None:
    """Nothing there and nothing found has no Dice."""
    table = confusion(np.array([[0]], np.uint8), np.array([[0]], np.uint8))
    names = ["background", "axon"]
    values = dice(table.reindex(index=names, columns=names, fill_value=0))
    assert values.to_dict() == pytest.approx({"background": 1, "axon": np.nan}, nan_ok=True)


def test_merged_classes_are_those_of_the_training() -> None:
    """What a model does not tell apart counts as its first class, as `axonlab.data` has it."""
    from axonlab.data import ReadClasses

    truth = np.array([*CLASSES.values(), UNLABELLED], np.uint8)
    for classes in (["background", "myelin"], ["axon", "background"], list(CLASSES)):
        positions = ReadClasses(0.1, classes).table[truth]
        ids = np.array([CLASSES[name] for name in classes] + [UNLABELLED] * 256)
        assert merge_classes(truth, classes).tolist() == ids[positions].tolist()


# --- raters


def slow_agreement(first: Labels, second: Labels) -> dict[str, tuple[float, float, int, int]]:
    """Compare the pixels that both have labelled, kappa by scikit-learn."""
    both = (first != UNLABELLED) & (second != UNLABELLED)
    a, b = first[both], second[both]
    rows = {}
    for name, i in CLASSES.items():
        one, other = a == i, b == i
        if one.any() or other.any():
            dice = 2 * (one & other).sum() / (one.sum() + other.sum())
            rows[name] = (dice, slow_kappa(one, other), one.sum(), other.sum())
    if rows:
        rows["all"] = ((a == b).mean(), slow_kappa(a, b), a.size, a.size)
    return rows


def slow_kappa(first: NDArray[np.generic], second: NDArray[np.generic]) -> float:
    """Return kappa by scikit-learn, which warns where there is only one class."""
    if len(np.union1d(first, second)) == 1:
        return np.nan
    return float(cohen_kappa_score(first, second))


@settings(max_examples=80)
@given(pairs())
def test_agreement_against_scikit_learn(pair: tuple[Labels, Labels]) -> None:
    """All columns agree with counts of pixels and with the kappa of scikit-learn."""
    table = rater_agreement(*pair)
    wanted = slow_agreement(*pair)
    assert list(table.columns) == ["dice", "kappa", "first_pixels", "second_pixels"]
    assert table.index.name == "class"
    assert list(table.index) == list(wanted)
    for name, row in wanted.items():
        np.testing.assert_allclose(table.loc[name].astype(float), row, atol=1e-12)


@settings(max_examples=40)
@given(pairs())
def test_agreement_knows_no_truth(pair: tuple[Labels, Labels]) -> None:
    """Exchanging the raters exchanges their pixels and nothing else."""
    one, other = rater_agreement(*pair), rater_agreement(*pair[::-1])
    swapped = {"first_pixels": "second_pixels", "second_pixels": "first_pixels"}
    pd.testing.assert_frame_equal(one, other.rename(columns=swapped)[list(one.columns)])


def test_kappa_of_chance_is_zero() -> None:
    """Raters who know nothing of each other agree as chance does, however often they agree."""
    first, second = np.random.default_rng(0).choice([0, 1], (2, 1000, 1000), p=[0.9, 0.1])
    table = rater_agreement(first.astype(np.uint8), second.astype(np.uint8))
    assert table.loc["all", "dice"] > 0.8
    assert table["kappa"].abs().max() < 0.01


def test_agreement_needs_one_shape() -> None:
    """Label images of other shapes are refused."""
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(1, 3\).*same size"):
        rater_agreement(np.zeros((2, 3), np.uint8), np.zeros((1, 3), np.uint8))


def test_all_scores_of_several_maps():
    """One row per map, with the numbers that the scores give one by one."""
    truth = np.ones((2, 24, 24), bool)
    truth[:, 11:13] = False
    maps = {"perfect": truth.astype(float), "noisy": np.where(truth, 0.7, 0.4)}
    maps["noisy"][:, 4:8, 11] = 0.1
    table = score.membrane_table(maps, truth)
    assert list(table.index) == ["perfect", "noisy"] and table.index.name == "method"
    assert list(table) == ["pixel_error", "rand_error", "warping_error", "v_rand", "v_info"]
    assert table.loc["perfect"].tolist() == pytest.approx([0, 0, 0, 1, 1])
    for name, value in table.loc["noisy"].items():
        assert value == getattr(score, name)(maps["noisy"], truth)
