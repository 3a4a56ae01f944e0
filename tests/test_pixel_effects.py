"""A wrong pixel size, and coarse pixels, against exact scaling and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axonlab import phantom, pixel_effects
from axonlab.measure import measure_fibres


@pytest.fixture(scope="module")
def fine():
    """Return a phantom with small pixels."""
    return phantom.nerve((300, 300), pixel_size=0.08, seed=4)


@settings(max_examples=10)
@given(st.floats(0.3, 3))
def test_a_wrong_pixel_size_scales(fine, factor):
    """It is the same as measuring with the wrong one: lengths x s, areas x s², g x 1."""
    tables = [measure_fibres(fine.axons, fine.fibres, pixel_size=0.08 * s) for s in (1.0, factor)]
    right, wrong = (table[table["is_myelinated"]] for table in tables)
    found = pixel_effects.claim(right, factor)
    columns = {"diameter": "axon_diameter_um", "area": "axon_area_um2", "g-ratio": "g_ratio"}
    for name, column in columns.items():
        assert found[name] == pytest.approx(wrong[column].mean() / right[column].mean())
    assert found["diameter"] == pytest.approx(factor)
    assert found["area"] == pytest.approx(factor**2)
    assert found["g-ratio"] == pytest.approx(1) and found["density"] == pytest.approx(factor**-2)


def test_coarse_pixels_take_what_is_at_their_centre():
    """As by brute force, for factors that are no whole numbers, too."""
    objects = np.random.default_rng(0).integers(0, 9, (23, 31)).astype(np.int32)
    for factor in (1, 2, 2.5, 3.7):
        coarse = pixel_effects.coarsen(objects, factor)
        assert coarse.shape == tuple(int(n / factor) for n in objects.shape)
        for (row, column), value in np.ndenumerate(coarse):
            assert value == objects[int((row + 0.5) * factor), int((column + 0.5) * factor)]
    assert (pixel_effects.coarsen(objects, 1) == objects).all()
    with pytest.raises(ValueError, match=r"factor is 0.5, expected 1 to 23"):
        pixel_effects.coarsen(objects, 0.5)


def test_small_fibres_lose_first(fine):
    """Own pixels err by nothing; the coarser, the more, and thin axons more than thick ones."""
    none = pixel_effects.coarse_fibres(fine, 0.08)
    assert not none["is_lost"].any() and (none["g_ratio"] == 0).all()
    some, more = (pixel_effects.coarse_fibres(fine, size) for size in (0.24, 0.8))
    assert some["axon_diameter_um"].std() < more["axon_diameter_um"].std()
    assert more["is_lost"].sum() > some["is_lost"].sum()
    assert more["g_ratio"].isna().sum() == more["is_lost"].sum()
    table = pixel_effects.by_size(more, "g_ratio", [0, 1.5, 10])
    assert table["fibres"].sum() == len(more) and table["lost"].iloc[0] >= table["lost"].iloc[1]
    spread = pixel_effects.by_size(some, "g_ratio", [0, 1.5, 10])["sd"]
    assert spread.iloc[0] > spread.iloc[1]
