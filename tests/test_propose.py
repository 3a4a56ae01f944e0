"""Proposals: what a few strokes tell about the rest, and where the next are worth most."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from axonlab import phantom, propose
from axonlab.micrograph import CLASSES, UNLABELLED, Micrograph, classify
from axonlab.propose import Proposal, classify_pixels, uncertainty, where_next
from axonlab.score import class_scores

Labels = NDArray[np.uint8]
SHAPE = (240, 300)


def strokes(truth: Labels, *, n: int = 8, length: int = 15, seed: int = 0) -> Labels:
    """Return short strokes, three pixels thick, at `n` random places of every class."""
    rng = np.random.default_rng(seed)
    labels = np.full_like(truth, UNLABELLED)
    for i in np.unique(truth):
        places = np.argwhere(truth == i)
        for y, x in places[rng.choice(len(places), n)]:
            line = (slice(max(y - 1, 0), y + 2), slice(x, x + length))
            labels[line] = np.where(truth[line] == i, i, labels[line])
    return labels


@pytest.fixture(scope="module", params=["sem", "tem"])
def nerve(request: pytest.FixtureRequest) -> phantom.Phantom:
    """Return a phantom, of three classes or of four."""
    return phantom.nerve(SHAPE, modality=request.param, seed=5)


@pytest.fixture(scope="module")
def proposal(nerve: phantom.Phantom) -> Proposal:
    """Return what strokes make of the phantom."""
    return classify_pixels(nerve.micrograph, strokes(nerve.labels))


# --- classify_pixels


def test_strokes_tell_the_rest(nerve: phantom.Phantom, proposal: Proposal) -> None:
    """Every class is found far better than by chance, on pixels nobody has labelled."""
    rest = np.where(strokes(nerve.labels) == UNLABELLED, nerve.labels, UNLABELLED)
    shuffled = np.random.default_rng(0).permutation(nerve.labels.ravel()).reshape(SHAPE)
    found, chance = (class_scores(labels, rest)["dice"] for labels in (proposal.labels, shuffled))
    assert (found > chance + 0.2).all()
    assert found["myelin"] > 0.8


def test_what_is_proposed_fits_together(nerve: phantom.Phantom, proposal: Proposal) -> None:
    """Probabilities sum to 1, labels are the most probable class, and strokes stay."""
    labels = strokes(nerve.labels)
    assert proposal.classes == [name for name, i in CLASSES.items() if (labels == i).any()]
    assert proposal.probabilities.shape == (len(proposal.classes), *SHAPE)
    assert (proposal.probabilities.dtype, proposal.labels.dtype) == (np.float32, np.uint8)
    np.testing.assert_allclose(proposal.probabilities.sum(0), 1, atol=1e-5)
    drawn = labels != UNLABELLED
    assert np.array_equal(proposal.labels[drawn], labels[drawn])
    most_probable = classify(proposal.probabilities, proposal.classes)
    assert np.array_equal(proposal.labels[~drawn], most_probable[~drawn])


def test_same_strokes_same_proposal(nerve: phantom.Phantom, proposal: Proposal) -> None:
    """Nothing is left to chance, nor to the order in which cores finish."""
    again = classify_pixels(nerve.micrograph, strokes(nerve.labels))
    assert np.array_equal(again.probabilities, proposal.probabilities)


def test_bands_change_nothing(
    nerve: phantom.Phantom, proposal: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much is classified at once has no influence on the result."""
    monkeypatch.setattr(propose, "BAND_PX", 1777)
    again = classify_pixels(nerve.micrograph, strokes(nerve.labels))
    assert np.array_equal(again.probabilities, proposal.probabilities)


def test_brightness_and_contrast_change_little(nerve: phantom.Phantom, proposal: Proposal) -> None:
    """Grey values in other units lead to the same proposal."""
    other = Micrograph(nerve.micrograph.pixels * 200 + 1000, nerve.micrograph.pixel_size)
    again = classify_pixels(other, strokes(nerve.labels))
    assert (again.labels == proposal.labels).mean() > 0.99


def test_only_labelled_classes_are_proposed(nerve: phantom.Phantom) -> None:
    """Of two classes with strokes both keep their ids, and the others do not occur."""
    labels = strokes(nerve.labels)
    labels[~np.isin(labels, (CLASSES["background"], CLASSES["axon"]))] = UNLABELLED
    proposal = classify_pixels(nerve.micrograph, labels)
    assert proposal.classes == ["background", "axon"]
    assert np.unique(proposal.labels).tolist() == [0, 2]
    assert (proposal.labels[nerve.labels == 2] == 2).mean() > 0.6


def test_a_whole_mask_is_thinned(nerve: phantom.Phantom, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forest learns from at most so many pixels of a class, all of them labelled so."""
    monkeypatch.setattr(propose, "PIXELS_PER_CLASS", 100)
    classes = [name for name, i in CLASSES.items() if (nerve.labels == i).any()]
    rows, columns = propose._chosen(nerve.labels, classes)
    found, counts = np.unique(nerve.labels[rows, columns], return_counts=True)
    assert found.tolist() == [CLASSES[name] for name in classes]
    assert (counts == 100).all()
    assert len(set(zip(rows, columns, strict=True))) == len(rows)


def test_large_images_are_seen_smaller(
    nerve: phantom.Phantom, proposal: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a size the features are of a smaller copy; the result has the size of the image."""
    sizes = []
    features = propose._features
    monkeypatch.setattr(propose, "MAX_PIXELS", 30_000)
    monkeypatch.setattr(propose, "_features", lambda px: sizes.append(px.size) or features(px))
    smaller = classify_pixels(nerve.micrograph, strokes(nerve.labels))
    assert sizes == [pytest.approx(30_000, rel=0.02)]
    assert smaller.probabilities.shape == proposal.probabilities.shape
    np.testing.assert_allclose(smaller.probabilities.sum(0), 1, atol=1e-5)
    assert (smaller.labels == proposal.labels).mean() > 0.75


def test_closed_basins(disc) -> None:  # type: ignore[no-untyped-def]
    """The inside of a ring is as deep as the ring is high; an open one drains."""
    ring = disc((30, 30), (15, 15), 10) & ~disc((30, 30), (15, 15), 6)
    pixels = np.where(ring, 3, 1).astype(np.float32)
    assert (propose._basin_depth(pixels) == 2 * disc((30, 30), (15, 15), 6)).all()
    pixels[:15, 15] = 1
    assert (propose._basin_depth(pixels) == 0).all()


@pytest.mark.parametrize("shape", [(2, 2), (5, 3)])
def test_tiny_images(shape: tuple[int, int]) -> None:
    """An image smaller than the features still gets a proposal."""
    pixels = np.arange(np.prod(shape)).reshape(shape)
    labels = np.full(shape, UNLABELLED, np.uint8)
    labels.flat[[0, -1]] = 1, 2
    proposal = classify_pixels(Micrograph(pixels, 0.1), labels)
    assert proposal.probabilities.shape == (2, *shape)


def test_something_to_learn_is_needed() -> None:
    """No stroke, strokes of one class, unknown ids or another image: the error says what to do."""
    micrograph = Micrograph(np.zeros((4, 5)), 0.1, "slide 7")
    nothing = np.full((4, 5), UNLABELLED, np.uint8)
    with pytest.raises(ValueError, match=r"slide 7: labelled are \[\].*strokes on each"):
        classify_pixels(micrograph, nothing)
    one, unknown = nothing.copy(), nothing.copy()
    one[0], unknown[0] = 1, 127
    with pytest.raises(ValueError, match=r"labelled are \['myelin'\].*at least two"):
        classify_pixels(micrograph, one)
    with pytest.raises(ValueError, match=r"ids \[127\].*read_labels"):
        classify_pixels(micrograph, unknown)
    with pytest.raises(ValueError, match=r"\(5, 4\).*slide 7 of \(4, 5\)"):
        classify_pixels(micrograph, one.T)


# --- uncertainty


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_uncertainty_from_certain_to_undecided(n: int) -> None:
    """One class alone is certain; among equals nothing is known."""
    certain, equal = np.zeros((n, 1, 2), np.float32), np.full((n, 1, 2), 1 / n, np.float32)
    certain[-1] = 1
    assert uncertainty(certain).tolist() == [[0, 0]]
    assert uncertainty(equal) == pytest.approx(0 if n == 1 else 1)
    assert uncertainty(equal).dtype == np.float32


def test_uncertainty_is_entropy() -> None:
    """The values are those of the definition."""
    p = np.random.default_rng(0).dirichlet((1, 1, 1), (3, 4)).transpose(2, 0, 1)
    wanted = -(p * np.log(p)).sum(0) / np.log(3)
    np.testing.assert_allclose(uncertainty(p.astype(np.float32)), wanted, rtol=1e-5)


def test_doubt_is_where_the_mistakes_are(nerve: phantom.Phantom, proposal: Proposal) -> None:
    """Pixels that turn out wrong were less certain."""
    wrong = proposal.labels != nerve.labels
    doubt = uncertainty(proposal.probabilities)
    assert doubt[wrong].mean() > doubt[~wrong].mean() + 0.1


# --- where_next


@settings(max_examples=150)
@given(st.data())
def test_where_next_against_every_crop(data: st.DataObject) -> None:
    """No crop has more, and of equals the first in reading order is taken."""
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    doubt = data.draw(arrays(np.uint8, shape, elements=st.integers(0, 4))) / np.float32(4)
    labels = data.draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 2, UNLABELLED])))
    size = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    height, width = (min(pair) for pair in zip(size, shape, strict=True))
    counted = doubt * (labels == UNLABELLED) if (labels == UNLABELLED).any() else doubt
    best, wanted = -1.0, (0, 0)
    for top, left in np.ndindex(shape[0] - height + 1, shape[1] - width + 1):
        mean = counted[top : top + height, left : left + width].mean(dtype=float)
        if mean > best:
            best, wanted = mean, (top, left)
    rows, columns = where_next(doubt.astype(np.float32), labels, size=size)
    assert (rows.start, columns.start) == wanted
    assert (rows.stop - rows.start, columns.stop - columns.start) == (height, width)


def test_equal_crops_do_not_depend_on_rounding() -> None:
    """Even of values that have no exact sum the first of equal crops is taken."""
    doubt = np.full((200, 300), 0.1, np.float32)
    unlabelled = np.full(doubt.shape, UNLABELLED, np.uint8)
    assert where_next(doubt, unlabelled, size=(32, 32)) == (slice(0, 32), slice(0, 32))


def test_what_is_labelled_need_not_be_shown_again() -> None:
    """Having labelled the crop, the next one is elsewhere."""
    spots = np.zeros((60, 80))
    spots[20, 20], spots[40, 60] = 1, 0.8
    doubt = ndimage.gaussian_filter(spots, 3).astype(np.float32)
    labels = np.full(doubt.shape, UNLABELLED, np.uint8)
    first = where_next(doubt, labels, size=(15, 15))
    labels[first] = 0
    rows, columns = where_next(doubt, labels, size=(15, 15))
    assert (first[0].start < 20 < first[0].stop) and (first[1].start < 20 < first[1].stop)
    assert (rows.start < 40 < rows.stop) and (columns.start < 60 < columns.stop)


def test_where_next_refuses_what_does_not_fit() -> None:
    """Other shapes and empty crops are errors."""
    doubt, labels = np.zeros((4, 5), np.float32), np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match="same size"):
        where_next(doubt, labels.T, size=(2, 2))
    with pytest.raises(ValueError, match=r"size is \(0, 2\)"):
        where_next(doubt, labels, size=(0, 2))
