"""Object scores: the counts and matches are those of masks compared one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from axonlab.object_scores import match_objects, object_scores

Objects = NDArray[np.int32]
IOUS = [0.0, 0.25, 0.5, 0.75]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Objects, Objects]:
    """Draw two object images of one shape, with few ids so that they overlap."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    image = arrays(np.int32, shape, elements=st.integers(0, 4))
    return draw(image), draw(image)


def slow_matches(found: Objects, truth: Objects, min_iou: float) -> list[tuple[int, int, float]]:
    """Compare all pairs of masks, and take the best pair again and again."""
    ious = {}
    for i in set(found[found > 0].tolist()):
        for j in set(truth[truth > 0].tolist()):
            a, b = found == i, truth == j
            ious[i, j] = (a & b).sum() / (a | b).sum()
    matches = []
    while ious and max(ious.values()) > min_iou:
        best = max(ious, key=lambda pair: (ious[pair], -pair[0], -pair[1]))
        matches.append((*best, ious[best]))
        ious = {p: v for p, v in ious.items() if p[0] != best[0] and p[1] != best[1]}
    return sorted(matches)


@settings(max_examples=150)
@given(pairs(), st.sampled_from(IOUS))
def test_matches_against_pairs_of_masks(images: tuple[Objects, Objects], min_iou: float) -> None:
    """The pairs and their IoU are those of masks compared one by one."""
    matches = match_objects(*images, min_iou=min_iou)
    assert list(matches.columns) == ["found_id", "truth_id", "iou"]
    assert list(matches.itertuples(index=False, name=None)) == slow_matches(*images, min_iou)


@settings(max_examples=100)
@given(pairs())
def test_scores_against_pairs_of_masks(images: tuple[Objects, Objects]) -> None:
    """Counts and qualities follow their definitions."""
    found, truth = images
    ids = [set(objects[objects > 0].tolist()) for objects in images]
    ious = [iou for *_, iou in slow_matches(found, truth, 0.5)]
    true, wrong, missed = len(ious), len(ids[0]) - len(ious), len(ids[1]) - len(ious)
    scores = object_scores(found, truth)
    counts = scores[["true_positives", "false_positives", "false_negatives"]]
    assert counts.tolist() == [true, wrong, missed]
    quality = sum(ious) / (true + wrong / 2 + missed / 2) if ids[0] or ids[1] else np.nan
    np.testing.assert_allclose(scores["panoptic_quality"], quality)
    np.testing.assert_allclose(
        scores["panoptic_quality"],
        scores["segmentation_quality"] * scores["f1"] if true else quality,
    )
    for name, (held_in, held), (ours, theirs) in (
        ("merged", (found, truth), ids),
        ("split", (truth, found), ids[::-1]),
    ):
        several = 0
        for i in ours:
            inside = [(held_in[held == j] == i).mean() > 0.5 for j in theirs]
            several += sum(inside) > 1
        assert scores[name] == several


@settings(max_examples=60)
@given(pairs(), st.permutations(range(1, 5)), st.sampled_from([np.int64, np.uint16, np.int32]))
def test_other_ids_change_nothing(
    images: tuple[Objects, Objects], order: list[int], dtype: type
) -> None:
    """Permuting ids, or storing them in another type, leaves the scores and renames the matches."""
    found, truth = images
    names = np.array([0, *order])
    renamed = (10 * names)[found].astype(dtype)
    pd.testing.assert_series_equal(object_scores(renamed, truth), object_scores(found, truth))
    matches = match_objects(found, truth)
    matches["found_id"] = 10 * names[matches["found_id"]]
    pd.testing.assert_frame_equal(
        match_objects(renamed, truth), matches.sort_values("found_id", ignore_index=True)
    )


@settings(max_examples=40)
@given(pairs(), st.integers(2, 4))
def test_the_grid_does_not_matter(images: tuple[Objects, Objects], times: int) -> None:
    """Images enlarged, transposed or exchanged have the same scores."""
    found, truth = images
    scores = object_scores(found, truth)
    large = [np.kron(objects, np.ones((times, times), np.int32)) for objects in images]
    pd.testing.assert_series_equal(object_scores(*large), scores)
    pd.testing.assert_series_equal(object_scores(found.T, truth.T), scores)
    exchanged = {"false_positives": "false_negatives", "precision": "recall", "merged": "split"}
    exchanged |= {there: here for here, there in exchanged.items()}
    pd.testing.assert_series_equal(
        object_scores(truth, found).rename(exchanged)[scores.index], scores
    )


def test_an_object_is_itself() -> None:
    """The same image twice is perfect."""
    objects = np.arange(12).reshape(3, 4)
    scores = object_scores(objects, objects)
    assert scores["true_positives"] == 11
    assert (scores[["precision", "recall", "f1", "panoptic_quality"]] == 1).all()
    assert (match_objects(objects, objects)["iou"] == 1).all()


def test_half_is_not_enough() -> None:
    """At an IoU of exactly one half two objects could claim the same partner: neither gets it."""
    truth, found = np.array([[1, 1]]), np.array([[1, 2]])
    assert match_objects(found, truth).empty
    assert object_scores(found, truth)["true_positives"] == 0
    assert len(match_objects(found, truth, min_iou=0.49)) == 1


def test_nothing_there_or_nothing_found() -> None:
    """Empty images score 0 against objects, and NaN against each other."""
    nothing, objects = np.zeros((2, 3), int), np.array([[1, 0, 2], [1, 0, 2]])
    both = object_scores(nothing, nothing)
    assert (both[["true_positives", "false_positives", "false_negatives"]] == 0).all()
    assert both[["precision", "recall", "f1", "panoptic_quality"]].isna().all()
    for found, truth, undefined in (
        (nothing, objects, "precision"),
        (objects, nothing, "recall"),
    ):
        scores = object_scores(found, truth)
        assert scores["f1"] == scores["panoptic_quality"] == 0
        assert np.isnan(scores[undefined])
        assert match_objects(found, truth).empty


def test_more_objects_than_16_bits() -> None:
    """70,000 objects are matched one to one, in whatever order they are numbered."""
    truth = np.zeros((2 * 280, 2 * 250), np.int32)
    truth[::2, ::2] = np.arange(1, 70_001).reshape(280, 250)
    found = np.where(truth, 70_001 - truth, 0)
    matches = match_objects(found, truth)
    assert len(matches) == 70_000
    assert (matches["found_id"] + matches["truth_id"] == 70_001).all()


@pytest.mark.parametrize(
    ("found", "truth", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), "same image at the same size"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), "found: expected whole ids"),
        (np.zeros((2, 3), int), np.full((2, 3), -1), "truth: expected whole ids"),
        (np.zeros((2, 3, 4), int), np.zeros((2, 3), int), "one plane"),
        (np.zeros((0, 3), int), np.zeros((0, 3), int), "no pixels"),
    ],
)
def test_errors(found: Objects, truth: Objects, message: str) -> None:
    """Images that cannot be compared are refused."""
    with pytest.raises(ValueError, match=message):
        match_objects(found, truth)
    with pytest.raises(ValueError, match=message):
        object_scores(found, truth)


@pytest.mark.parametrize("iou", [-0.1, 1.0, float("nan")])
def test_an_absurd_threshold(iou: float) -> None:
    """An IoU that every or no pair exceeds is refused."""
    objects = np.ones((2, 2), int)
    with pytest.raises(ValueError, match="union"):
        match_objects(objects, objects, min_iou=iou)
