"""Partition scores: those of pairs of pixels looked at one by one, and published numbers."""

from __future__ import annotations

import gzip
from math import log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage.measure import label
from skimage.metrics import adapted_rand_error, contingency_table, variation_of_information

import axonlab as al
from axonlab.partition_scores import partition_scores

Objects = NDArray[np.integer]
Pair = tuple[Objects, Objects]


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """Draw two partitions of a plane or a volume, with few ids; the truth is not empty."""
    shape = draw(st.sampled_from([(1, 1), (1, 6), (4, 5), (2, 3, 4)]))
    image = arrays(np.int32, shape, elements=st.integers(0, 3))
    segmentation, truth = draw(image), draw(image)
    truth.flat[draw(st.integers(0, truth.size - 1))] = 1
    return segmentation, truth


def own_ids(segmentation: Objects) -> Objects:
    """Give every zero an id of its own."""
    alone = segmentation.max() + 1 + np.arange(segmentation.size).reshape(segmentation.shape)
    return np.where(segmentation, segmentation, alone)


def slow_scores(segmentation: Objects, truth: Objects) -> dict[str, float]:
    """Look at all pairs of pixels, and at the chances of all pairs of ids."""
    found, true = own_ids(segmentation)[truth > 0].tolist(), truth[truth > 0].tolist()
    n = len(true)
    both = sum(found[k] == found[m] and true[k] == true[m] for k in range(n) for m in range(n))
    precision = both / sum(found[k] == found[m] for k in range(n) for m in range(n))
    recall = both / sum(true[k] == true[m] for k in range(n) for m in range(n))
    split = merge = 0.0
    for pair in set(zip(found, true, strict=True)):
        shared = sum(other == pair for other in zip(found, true, strict=True)) / n
        split -= shared * log2(shared / (true.count(pair[1]) / n))
        merge -= shared * log2(shared / (found.count(pair[0]) / n))
    return {
        "adapted_rand_error": 1 - 2 * precision * recall / (precision + recall),
        "precision": precision,
        "recall": recall,
        "voi_split": split,
        "voi_merge": merge,
    }


@settings(max_examples=150)
@given(pairs())
def test_against_pairs_of_pixels(images: Pair) -> None:
    """All scores follow their definitions."""
    assert partition_scores(*images) == pytest.approx(slow_scores(*images), abs=1e-12)


@settings(max_examples=100)
@given(pairs())
def test_against_skimage(images: Pair) -> None:
    """With ids for zeros, entropies are skimage's; so are pairs, which it counts without i = i."""
    segmentation, truth = own_ids(images[0]), images[1]
    scores = partition_scores(*images)
    split, merge = variation_of_information(truth, segmentation, ignore_labels=[0])
    assert scores["voi_split"] == pytest.approx(split, abs=1e-12)
    assert scores["voi_merge"] == pytest.approx(merge, abs=1e-12)
    table = contingency_table(truth, segmentation, ignore_labels=[0], sparse_type="array")
    squares = [float((part**2).sum()) for part in (table.data, table.sum(0), table.sum(1))]
    assert scores["precision"] == pytest.approx(squares[0] / squares[1])
    assert scores["recall"] == pytest.approx(squares[0] / squares[2])


def test_skimage_on_many_pixels() -> None:
    """On images the pairs of a pixel with itself hardly matter; precision is recall there."""
    rng = np.random.default_rng(0)
    truth = np.kron(rng.integers(0, 9, (8, 8)), np.ones((20, 20), int))
    segmentation = np.where(rng.random(truth.shape) < 0.05, 0, np.roll(truth, 3, 1))
    scores = partition_scores(segmentation, truth)
    error, precision, recall = adapted_rand_error(truth, own_ids(segmentation))
    names = ("adapted_rand_error", "recall", "precision")
    assert [scores[name] for name in names] == pytest.approx([error, precision, recall], abs=1e-3)
    trap, _, _ = adapted_rand_error(truth, segmentation)
    assert abs(trap - error) > 1e-3


@settings(max_examples=60)
@given(pairs(), st.permutations(range(1, 4)), st.sampled_from([np.uint8, np.uint64, np.int64]))
def test_other_ids_change_nothing(images: Pair, order: list[int], dtype: type) -> None:
    """Permuted ids, huge ids and other types give the same scores."""
    largest = np.iinfo(dtype).max
    names = np.array([0, *(largest - 7 * i for i in order)], dtype)
    expected = pytest.approx(partition_scores(*images), abs=1e-12)
    segmentation, truth = images
    assert partition_scores(names[segmentation], truth) == expected
    assert partition_scores(segmentation, names[truth]) == expected


def test_a_split_and_a_merger() -> None:
    """A split costs recall and VOI split only, a merger precision and VOI merge only."""
    truth = np.repeat([[1, 2]], 8, axis=1)
    split = partition_scores(np.repeat([[1, 1, 2, 2, 3, 3, 3, 3]], 2, axis=1), truth)
    assert split["precision"] == 1
    assert split["recall"] == 0.75
    assert (split["voi_split"], split["voi_merge"]) == (0.5, 0)
    merged = partition_scores(np.ones_like(truth), truth)
    assert (merged["precision"], merged["recall"]) == (0.5, 1)
    assert (merged["voi_split"], merged["voi_merge"]) == (0, 1)
    assert merged["adapted_rand_error"] == pytest.approx(1 / 3)


def test_what_is_perfect() -> None:
    """A partition is itself; what it says where nothing is true does not count."""
    truth = np.array([[[1, 1, 0], [2, 2, 0]]])
    perfect = {"adapted_rand_error": 0, "precision": 1, "recall": 1, "voi_split": 0, "voi_merge": 0}
    assert partition_scores(truth + (truth == 0) * 7, truth) == pytest.approx(perfect)


def test_nothing_found() -> None:
    """Dust merges nothing: one share in n is recalled."""
    truth = np.ones((4, 4), int)
    scores = partition_scores(np.zeros_like(truth), truth)
    assert (scores["precision"], scores["recall"]) == (1, 1 / 16)
    assert (scores["voi_split"], scores["voi_merge"]) == (4, 0)


@pytest.mark.parametrize(
    ("segmentation", "truth", "message"),
    [
        (np.ones((2, 3), int), np.ones((3, 2), int), "same at the same size"),
        (np.ones((2, 3)), np.ones((2, 3), int), "segmentation of float64: expected whole ids"),
        (np.ones((2, 3), int), np.ones((2, 3), bool), "truth of bool.*ndimage.label"),
        (np.ones((2, 3), int), np.full((2, 3), -1), "truth of int.*from 0"),
        (np.ones((2, 3), int), np.zeros((2, 3), int), "nothing to compare"),
        (np.ones(3, int), np.ones(3, int), r"\(rows, columns\)"),
        (np.ones((0, 3), int), np.ones((0, 3), int), "with pixels"),
    ],
)
def test_errors(segmentation: Objects, truth: Objects, message: str) -> None:
    """What cannot be compared is refused."""
    with pytest.raises(ValueError, match=message):
        partition_scores(segmentation, truth)


@pytest.fixture(scope="module")
def fib25(data_folder: Path) -> Pair:
    """Return the published segmentation of a cube of fly brain, and the true neurons."""
    labels = data_folder / "fib25/training_sample2/groundtruth.h5.gz"
    result = data_folder / "fib25-ffn/results/fib25/sample-training2.npz"
    if not (labels.is_file() and result.is_file()):
        pytest.skip("AXONLAB_DATA holds no fib25 or no fib25-ffn")
    # Both tables of the HDF5 file lie in one piece: 250³ supervoxels, and the body of each.
    content = gzip.decompress(labels.read_bytes())
    supervoxels = np.frombuffer(content, "<i4", 250**3, 2144).reshape(250, 250, 250)
    bodies = np.frombuffer(content, "<i8", 2 * 21_317, 62_502_144).reshape(-1, 2)
    table = np.zeros(bodies[:, 0].max() + 1, np.int64)
    table[bodies[:, 0]] = bodies[:, 1]
    with np.load(result) as arrays:
        return arrays["segmentation"], table[supervoxels]


def test_published_volume(fib25: Pair) -> None:
    """Flood-filling networks have the published error on the whole cube."""
    scores = al.score.partition_scores(*fib25)
    assert scores["adapted_rand_error"] == pytest.approx(0.0973, abs=5e-4)


@pytest.mark.parametrize(
    ("block", "error"),
    [(np.s_[166:], 0.0699), (np.s_[:, 125:], 0.0528), (np.s_[..., 125:], 0.0705)],
)
def test_published_blocks(fib25: Pair, block: tuple[slice, ...], error: float) -> None:
    """So they have on blocks, in which what hangs together only outside is several things."""
    segmentation, truth = (label(part[block], connectivity=1) for part in fib25)
    scores = partition_scores(segmentation, truth)
    assert scores["adapted_rand_error"] == pytest.approx(error, abs=5e-4)
