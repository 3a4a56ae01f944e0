"""Cells between membranes: what is one, what is cut, and what cannot be told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction

from axonlab import cells, objects

CROSS = ndimage.generate_binary_structure(2, 1)

PROBABILITIES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.integers(0, 8).map(lambda n: n / 8),
)


def brute_pieces(interior):
    """Number the pieces of a section by flooding from one pixel after the other."""
    found, n = np.zeros(interior.shape, int), 0
    for start in np.argwhere(interior):
        if found[tuple(start)]:
            continue
        n += 1
        stack = [tuple(start)]
        while stack:
            y, x = stack.pop()
            inside = 0 <= y < interior.shape[0] and 0 <= x < interior.shape[1]
            if inside and interior[y, x] and not found[y, x]:
                found[y, x] = n
                stack += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return found


def brute_n_maxima(probability, threshold, h):
    """Count the maxima of the h-maxima transform of every piece by itself."""
    smooth = ndimage.gaussian_filter(probability, cells.SMOOTHING_PX, output=np.float32)
    n = 0
    for piece in range(1, brute_pieces(probability > threshold).max() + 1):
        inside = brute_pieces(probability > threshold) == piece
        height = np.pad(np.where(inside, smooth, -9).astype(float), 1, constant_values=-9)
        hills = reconstruction(height - h, height, footprint=CROSS)
        n += ndimage.label(local_maxima(hills, connectivity=1))[1]
    return n


def voronoi(shape=(160, 180), n=25, width=3.0, seed=0):
    """Return cells of known truth: nearest of n points, less what is near to a border."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (n, 2)) * shape
    at = np.stack(np.mgrid[: shape[0], : shape[1]], -1)[:, :, None]
    squared = np.sort(((at - points) ** 2).sum(-1), axis=-1)
    gap = np.sqrt(squared[..., 1]) - np.sqrt(squared[..., 0])
    return cells.pieces(gap > 2 * width)


def seen(truth, blur=1.5, noise=0.12, seed=0):
    """Return the truth as a network might see it: blurred, with gaps in the membranes."""
    rng = np.random.default_rng(seed)
    clouds = ndimage.gaussian_filter(rng.standard_normal(truth.shape), 2)
    probability = ndimage.gaussian_filter((truth > 0).astype(float), blur)
    return np.clip(probability + noise * clouds / clouds.std(), 0, 1)


def same_pixels(one, other):
    """Tell whether two numberings are the same up to the order of the ids."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_cells_of_known_truth():
    """Blurred and noisy membranes still tell every cell of a mosaic."""
    truth = voronoi()
    found = objects.label_cells(seen(truth))
    for cell in range(1, truth.max() + 1):
        inside = truth == cell
        if inside.sum() < 50:
            continue
        best = np.bincount(found[inside]).argmax()
        assert best > 0
        overlap = (inside & (found == best)).sum() / (inside | (found == best)).sum()
        assert overlap > 0.7


def test_a_gap_is_closed():
    """Where a membrane is faint for some pixels two cells stay two, up to a larger h."""
    probability = np.ones((40, 41))
    probability[:, 19:22] = 0.1
    probability[18:22, 19:22] = 0.7
    assert cells.label_cells(probability, h=0.1).max() == 2
    assert cells.label_cells(probability, h=0.9).max() == 1
    assert cells.label_cells(probability, threshold=0.8, h=0.9).max() == 2


def test_one_cell_everywhere_and_none():
    """An image without membranes is one cell, one of membranes has none."""
    assert (cells.label_cells(np.ones((30, 1)), min_pixels=1) == 1).all()
    assert (cells.label_cells(np.ones((30, 20))) == 1).all()
    assert (cells.label_cells(np.zeros((30, 20))) == 0).all()


def test_specks_are_left_out():
    """Cells of fewer pixels than asked become membrane; the others are numbered anew."""
    probability = np.zeros((20, 30))
    probability[2:4, 2:4] = 1
    probability[8:18, 8:18] = 1
    assert cells.label_cells(probability, min_pixels=4).max() == 2
    found = cells.label_cells(probability, min_pixels=5)
    assert (found == (np.indices(found.shape) >= 8).all(0) * (probability > 0)).all()


@settings(max_examples=60)
@given(PROBABILITIES, st.integers(0, 7), st.integers(0, 8))
def test_every_cell_is_one_piece(probability, threshold, h):
    """Ids run from 1 to n, each is 4-connected, and together they are what is above threshold."""
    found = cells.label_cells(probability, threshold=threshold / 8, h=h / 8, min_pixels=1)
    assert found.dtype == np.int32
    assert set(np.unique(found)) - {0} == set(range(1, found.max() + 1))
    assert ((found > 0) == (probability > threshold / 8)).all()
    assert all(brute_pieces(found == i).max() == 1 for i in range(1, found.max() + 1))


@settings(max_examples=40)
@given(PROBABILITIES, st.integers(0, 7), st.sampled_from([0.031, 0.071, 0.13, 0.27]))
def test_as_many_as_h_maxima(probability, threshold, h):
    """There are as many cells as the h-maxima transform has maxima."""
    found = cells.label_cells(probability, threshold=threshold / 8, h=h, min_pixels=1)
    assert found.max() == brute_n_maxima(probability, threshold / 8, h)


@settings(max_examples=40)
@given(PROBABILITIES, st.integers(0, 7), st.integers(0, 8), st.integers(0, 8))
def test_larger_h_joins(probability, threshold, one, other):
    """Cells of a larger h are unions of those of a smaller one."""
    fine, coarse = (
        cells.label_cells(probability, threshold=threshold / 8, h=h / 8, min_pixels=1)
        for h in sorted([one, other])
    )
    pairs = np.unique(np.stack([fine.ravel(), coarse.ravel()]), axis=1)
    assert (np.unique(pairs[0], return_counts=True)[1] == 1).all()


@settings(max_examples=40)
@given(PROBABILITIES, st.integers(0, 7), st.integers(0, 7))
def test_higher_threshold_shrinks(probability, one, other):
    """A higher threshold takes pixels from cells and adds none."""
    low, high = (
        cells.label_cells(probability, threshold=t / 8, min_pixels=1) > 0
        for t in sorted([one, other])
    )
    assert (high <= low).all()


@settings(max_examples=40)
@given(PROBABILITIES)
def test_without_cuts_cells_are_pieces(probability):
    """With h of 1 cells are the 4-connected pieces above the threshold."""
    found = cells.label_cells(probability, h=1, min_pixels=1)
    assert same_pixels(found, cells.pieces(probability > 0.5))
    assert same_pixels(found, brute_pieces(probability > 0.5))


def test_section_by_section():
    """A stack is its sections one by one, and no id is in two of them."""
    stack = np.stack([seen(voronoi(seed=i), seed=i) for i in range(3)])
    found = cells.label_cells(stack)
    assert set(np.unique(found)) == set(range(found.max() + 1))
    for i, section in enumerate(stack):
        assert same_pixels(found[i], cells.label_cells(section))
        assert not set(np.unique(found[i])) & set(np.unique(found[i + 1 :])) - {0}
    truth = cells.pieces(stack > 0.5)
    assert truth.max() == sum(cells.pieces(section > 0.5).max() for section in stack)


@pytest.mark.parametrize(
    ("probability", "options", "message"),
    [
        (np.zeros((2, 3, 4, 5)), {}, r"probability: found an array of shape \(2, 3, 4, 5\)"),
        (np.zeros((0, 4)), {}, r"shape \(0, 4\), expected a section"),
        (np.full((4, 4), 255), {}, "values from 255 to 255, expected 0 to 1.*255"),
        (np.full((4, 4), np.nan), {}, "values from nan to nan"),
        (np.zeros((4, 4)), {"threshold": 1.5}, "threshold is 1.5, expected 0 to 1"),
        (np.zeros((4, 4)), {"h": -0.1}, "h is -0.1, expected 0 to 1"),
        (np.zeros((4, 4)), {"min_pixels": 0}, "min_pixels is 0, expected 1 or more"),
    ],
)
def test_what_cannot_be(probability, options, message):
    """What makes no sense is refused, with what would."""
    with pytest.raises(ValueError, match=message):
        cells.label_cells(probability, **options)


def test_pieces_of_a_grey_mask():
    """A mask in grey values is no truth until it is compared with a value."""
    with pytest.raises(ValueError, match=r"expected boolean, got uint8.*mask == 255"):
        cells.pieces(np.full((3, 3), 255, np.uint8))
