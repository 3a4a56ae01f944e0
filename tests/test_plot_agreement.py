"""Figures of agreement: every number is drawn where it belongs, and named."""

import holoviews as hv
import numpy as np
import pytest
from bokeh.models import Axis, Span, Title

from axonlab import plot_agreement
from axonlab.paired import bland_altman, deming

hv.extension("bokeh")

QUANTITY = "axon diameter (µm)"


def titles(figure):
    """Return the titles that say something."""
    return [title for title in drawn(figure).select({"type": Title}) if title.text]


@pytest.fixture
def pair():
    """Return two measurements, of which the last fibre has but one."""
    b = np.linspace(1, 5, 20)
    a = 1.1 * b + np.random.default_rng(0).normal(0, 0.1, 20)
    return np.append(a, 9), np.append(b, np.nan)


def drawn(figure):
    """Return the Bokeh model of a figure."""
    return hv.renderer("bokeh").get_plot(figure).state


def test_differences_show_bias_and_limits(pair):
    """Lines lie at 0, the bias and the limits, bands at their intervals, points over the means."""
    figure, found = plot_agreement.differences(*pair, QUANTITY), bland_altman(*pair)
    lines = sorted(span.location for span in drawn(figure).select({"type": Span}))
    assert lines == pytest.approx(sorted([0, *found[["bias", "lower", "upper"]]]))
    bands = sorted(tuple(e.data) for e in figure if isinstance(e, hv.HSpan))
    expected = [
        (found[f"{name}_low"], found[f"{name}_high"]) for name in ("bias", "lower", "upper")
    ]
    assert bands == sorted(expected)
    points = figure.Points.I.dframe()
    a, b = (values[:-1] for values in pair)
    assert points["mean"].to_numpy() == pytest.approx((a + b) / 2)
    assert points["difference"].to_numpy() == pytest.approx(a - b)


def test_differences_are_named(pair):
    """Axes have names and units, the title the numbers; all lies within the frame."""
    state = drawn(plot_agreement.differences(*pair, QUANTITY, names=("sem", "Ann")))
    assert {axis.axis_label for axis in state.select({"type": Axis})} == {
        "mean of sem and Ann: axon diameter (µm)",
        "sem − Ann: axon diameter (µm)",
    }
    (title,) = (t.text for t in titles(plot_agreement.differences(*pair, QUANTITY)))
    assert "n = 20" in title
    found = bland_altman(*pair)
    assert f"bias {found['bias']:.3g} (" in title
    (negative,) = (t.text for t in titles(plot_agreement.differences(*pair[::-1], QUANTITY)))
    assert f"bias −{found['bias']:.3g} (" in negative
    assert state.y_range.start < found["lower_low"]
    assert state.y_range.end > found["upper_high"]


def test_regression_shows_both_lines(pair):
    """The line of identity is the diagonal, Deming's has its slope; both axes are alike."""
    figure, line = plot_agreement.regression(*pair, QUANTITY), deming(*pair)
    curves = {curve.label: curve.dframe() for curve in figure if isinstance(curve, hv.Curve)}
    assert (curves["identity"]["x"] == curves["identity"]["y"]).all()
    fitted = curves["Deming regression"]
    slope = np.diff(fitted["y"]) / np.diff(fitted["x"])
    assert slope == pytest.approx(line["slope"])
    state = drawn(figure)
    assert (state.x_range.start, state.x_range.end) == (state.y_range.start, state.y_range.end)
    assert {axis.axis_label for axis in state.select({"type": Axis})} == {
        "manual: axon diameter (µm)",
        "ours: axon diameter (µm)",
    }


def test_fibres_that_are_all_alike():
    """Nothing varies, nothing fails: there is no line, and the bias is 0."""
    for figure in (plot_agreement.differences, plot_agreement.regression):
        drawn(figure(np.ones(4), np.ones(4), QUANTITY))


def test_too_few_pairs():
    """The quantity is named where it cannot be compared."""
    with pytest.raises(ValueError, match=r"axon diameter \(µm\): 1 of 1 fibres"):
        plot_agreement.differences([1], [2], QUANTITY)
