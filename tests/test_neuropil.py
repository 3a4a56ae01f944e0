"""Phantom sections of neuropil: what their truth promises."""

import numpy as np
import pytest

from axonlab import cells, neuropil, phantom
from axonlab.volume import check_truth


@pytest.fixture(scope="module")
def sections():
    """Return a stack of four sections."""
    return phantom.membranes((4, 150, 170), seed=3)


def test_the_truth_is_exact(sections):
    """Ids run from 1 to n; in a section every cell is one 4-connected piece, apart from others."""
    assert sections.volume.pixels.shape == sections.interior.shape == sections.cells.shape
    assert set(np.unique(sections.cells)) == set(range(sections.cells.max() + 1))
    assert ((sections.cells > 0) == sections.interior).all()
    for interior, ids in zip(sections.interior, sections.cells, strict=True):
        pieces = cells.pieces(interior)
        pairs = np.unique(np.stack([ids[interior], pieces[interior]]), axis=1)
        assert pairs.shape[1] == pieces.max() == len(np.unique(pairs[0]))
        assert np.bincount(pieces.ravel())[1:].min() >= 40


def test_it_looks_like_neuropil(sections):
    """Membranes are dark and a fifth to a third of the area, values are whole greys."""
    pixels, interior = sections.volume.pixels, sections.interior
    check_truth(sections.volume, interior)
    assert 0.65 < interior.mean() < 0.85
    assert pixels[interior].mean() > pixels[~interior].mean() + 30
    assert pixels.min() >= 0 and pixels.max() <= 255 and (pixels == np.rint(pixels)).all()
    assert sections.volume.voxel_size == (0.05, 0.004, 0.004)
    depth_of_dark = (pixels < 100) & interior  # mitochondria are why a threshold will not do
    assert 0.002 < depth_of_dark.mean() < 0.1


def test_cells_change_slowly(sections):
    """Most of a section is the same cell in the next one, less in the one after it."""
    ids = sections.cells
    same = [(ids[0] == ids[i])[(ids[0] > 0) & (ids[i] > 0)].mean() for i in (1, 3)]
    assert 0.97 > same[0] > 0.75 and same[1] < same[0] - 0.05


def test_the_seed_decides():
    """The same seed gives the same phantom, another one another."""
    one, again = (neuropil.membranes((2, 50, 60), seed=1) for _ in range(2))
    assert (one.volume.pixels == again.volume.pixels).all() and (one.cells == again.cells).all()
    assert (one.cells != neuropil.membranes((2, 50, 60), seed=2).cells).any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 300), (9, 20, 20)])
def test_any_shape(shape):
    """Small and lengthy stacks are drawn, too."""
    assert neuropil.membranes(shape).cells.shape == shape


@pytest.mark.parametrize("shape", [(100, 100), (0, 10, 10)])
def test_shapes_that_cannot_be(shape):
    """A plane is no stack."""
    with pytest.raises(ValueError, match="expected three positive numbers"):
        neuropil.membranes(shape)
