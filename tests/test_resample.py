"""Parts of a resampled plane are those of the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonlab.micrograph import resize, resize_labels
from axonlab.resample import Resampling, resize_part

LENGTHS = st.integers(1, 40)


@given(shape=st.tuples(LENGTHS, LENGTHS), new=st.tuples(LENGTHS, LENGTHS), data=st.data())
def test_part_equals_whole(
    shape: tuple[int, int], new: tuple[int, int], data: st.DataObject
) -> None:
    """A part made of the pixels it needs is that of the plane resampled as a whole."""
    whole = np.random.default_rng(0).random(shape, np.float32)
    axes = [Resampling(n, m) for n, m in zip(shape, new, strict=True)]
    starts = [data.draw(st.integers(0, m - 1)) for m in new]
    wanted = tuple(
        slice(start, data.draw(st.integers(start + 1, m)), data.draw(st.integers(1, 3)))
        for start, m in zip(starts, new, strict=True)
    )
    needed = tuple(axis.needs(part) for axis, part in zip(axes, wanted, strict=True))
    part = resize_part(whole[needed], needed, wanted, *axes)
    np.testing.assert_allclose(part, resize(whole, new)[wanted], rtol=0, atol=2e-7)


@pytest.mark.parametrize("new", [7, 33, 100, 130, 250])
def test_pieces_side_by_side(new: int) -> None:
    """The pieces of an axis cover the result once, also where they are smaller than its pixels."""
    axis = Resampling(100, new)
    covered = [axis.covered_by(slice(start, start + 5)) for start in range(0, 100, 5)]
    places = np.concatenate([np.arange(part.start, part.stop) for part in covered])
    assert places.tolist() == list(range(new))


@given(n=LENGTHS, new=LENGTHS)
def test_nearest(n: int, new: int) -> None:
    """The nearest pixel is that of resized labels."""
    whole = np.arange(n, dtype=np.uint8)[:, None]
    expected = resize_labels(whole, (new, 1))[:, 0]
    np.testing.assert_array_equal(whole[Resampling(n, new).nearest(np.arange(new)), 0], expected)
