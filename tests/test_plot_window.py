"""What of a large image is drawn on the screen: the right pixels, at the right place."""

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonlab import phantom, plot_window
from axonlab.micrograph import Micrograph
from axonlab.plot_window import Pyramid, outline, window_of

hv.extension("bokeh")


@pytest.fixture(scope="module")
def nerve():
    """Return a small phantom."""
    return phantom.nerve((150, 200), seed=3)


def test_without_a_range_all_is_shown():
    """The window of no range is the image, its longer side as long as the frame."""
    window = window_of((100, 400), 0.5)
    assert window.bounds == (-0.25, -0.25, 199.75, 49.75)
    assert window.shape == (plot_window.SCREEN_PIXELS // 4, plot_window.SCREEN_PIXELS)


@pytest.mark.parametrize(
    "away", [(500, 600), (-20, -10), (7, 7), (np.nan, 3)], ids=["after", "before", "empty", "nan"]
)
def test_a_range_off_the_image_shows_all(away):
    """What has no pixel of the image is answered with the whole image, not with an error."""
    assert window_of((100, 100), 0.5, away, away).bounds == window_of((100, 100), 0.5).bounds


def test_a_window_beyond_the_edge_keeps_its_scale():
    """Half a window off the image has half the pixels: outlines stay as thick as elsewhere."""
    inside = window_of((100, 100), 1.0, (10, 30), (10, 30))
    beyond = window_of((100, 100), 1.0, (-10.5, 9.5), (10, 30))
    assert beyond.left == -0.5
    assert beyond.shape[1] == inside.shape[1] // 2


@given(
    left=st.floats(0, 60), top=st.floats(0, 40), side=st.floats(0.5, 30), size=st.floats(0.01, 3)
)
def test_cut_takes_the_pixel_under_each_point(left, top, side, size):
    """Every pixel of the screen shows the pixel of the image that its centre lies in."""
    plane = np.arange(50 * 70).reshape(50, 70)
    x, y = ((start * size, (start + side) * size) for start in (left, top))
    window = window_of(plane.shape, size, x, y)
    shown = window.cut(plane)
    assert shown.shape == window.shape
    for row, column in ((0, 0), (window.shape[0] // 2, window.shape[1] // 3), (-1, -1)):
        at_y, at_x = (
            first + (last - first) * ((place % n) + 0.5) / n
            for first, last, place, n in (
                (window.top, window.bottom, row, window.shape[0]),
                (window.left, window.right, column, window.shape[1]),
            )
        )
        wanted = np.floor([at_y / size + 0.5, at_x / size + 0.5])
        found = np.array(divmod(shown[row, column], 70))
        assert np.abs(found - wanted).max() <= (1 if _is_on_edge(at_y, at_x, size) else 0)


def _is_on_edge(y, x, size):
    """Tell whether a point lies between two pixels, where rounding decides."""
    return any(abs((at / size + 0.5) % 1 - 0.5) > 0.4999 for at in (y, x))


def test_pyramid_shows_large_and_small_alike():
    """A gradient of 3000 columns is that gradient at any zoom, from any level."""
    pixels = np.tile(np.linspace(0, 1, 3000, dtype=np.float32), (2000, 1))
    pyramid = Pyramid(Micrograph(pixels, 1.0))
    assert [level.shape for level in pyramid.levels] == [(2000, 3000), (1000, 1500), (500, 750)]
    for x in ((0, 2999), (1000, 2000), (1500, 1520)):
        window = window_of(pixels.shape, 1.0, x, (0, 1999))
        shown = pyramid.picture(window)
        assert shown.shape == window.shape
        columns = window.left + (np.arange(shown.shape[1]) + 0.5) * (
            (window.right - window.left) / shown.shape[1]
        )
        wanted = 255 * ((columns / 2999 - 0.01) / 0.98).clip(0, 1)  # a per cent clipped
        assert np.abs(shown[len(shown) // 2] - wanted).max() < 3


def test_outline_parts_touching_fibres():
    """Where two fibres touch, both have their outline; at the edge of the image there is none."""
    ids = np.repeat([[1, 1, 1, 2, 2, 2]], 5, axis=0)
    assert np.array_equal(outline(ids)[2], [False, False, True, True, False, False])


def test_coloured_outlines_have_the_values_of_their_fibres(nerve):
    """Each outline holds the value of its own fibre; those not to be shown have none."""
    values = pd.Series({2: 0.5, 3: 0.7})
    window = window_of(nerve.fibres.shape, 0.1)
    drawn = plot_window.coloured_outlines(nerve.fibres, window, values, "g").dimension_values(
        2, flat=False
    )
    ids = window.cut(nerve.fibres)
    assert set(np.unique(drawn[~np.isnan(drawn)])) == {np.float32(0.5), np.float32(0.7)}
    assert set(ids[drawn == np.float32(0.7)]) == {3}


@pytest.mark.parametrize("values", [{}, {1: np.nan}, {1: 0.5}, {10**6: 0.5}])
def test_any_values_can_be_coloured(nerve, values):
    """None, unknown, all alike, and those of a fibre that is not in the window."""
    drawn = plot_window.coloured_outlines(
        nerve.fibres, window_of((150, 200), 0.1), pd.Series(values, dtype=float), "g"
    )
    assert hv.renderer("bokeh").get_plot(drawn)


def test_highlight_is_around_the_selected_only(nerve):
    """Nothing is drawn elsewhere; ids that are not there do no harm."""
    window = window_of(nerve.fibres.shape, 0.1)
    drawn = plot_window.highlight(nerve.fibres, window, [4, 10**6])
    opaque = drawn.dimension_values("A", flat=False) > 0
    assert set(window.cut(nerve.fibres)[opaque]) == {4}
    assert not plot_window.highlight(nerve.fibres, window, []).dimension_values("A").any()


def test_layers_lie_over_their_pixel():
    """A fibre of one pixel in row 1, column 2 is drawn at y = 1, x = 2 pixels."""
    ids = np.zeros((4, 6), np.int32)
    ids[1, 2] = 1
    window = window_of(ids.shape, 0.5)
    frame = plot_window.highlight(ids, window, [1]).dframe()
    drawn = frame[frame["A"] > 0]
    assert (drawn["x"].min(), drawn["x"].max()) == pytest.approx((0.75, 1.25), abs=0.01)
    assert (drawn["y"].min(), drawn["y"].max()) == pytest.approx((0.25, 0.75), abs=0.01)
