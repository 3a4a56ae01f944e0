"""Figures of scores: every number of a table is drawn where it belongs, and named."""

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from bokeh.models import Axis, LegendItem, Title

from axonlab import evaluate, plot_scores
from axonlab.calibration import reliability
from axonlab.score import confusion

hv.extension("bokeh")


def drawn(figure):
    """Return the Bokeh model of a figure."""
    return hv.renderer("bokeh").get_plot(figure).state


def axis_labels(figure):
    """Return what its axes are called."""
    return {axis.axis_label for axis in drawn(figure).select({"type": Axis})}


def test_confusion_shows_shares_of_the_truth():
    """Each row is shared out over what was found in it; the first class is on top."""
    truth = np.array([[0, 0, 0, 0, 2, 2]], np.uint8)
    figure = plot_scores.confusion(confusion(np.array([[0, 0, 0, 1, 2, 2]], np.uint8), truth))
    cells = figure.HeatMap.I.dframe().set_index(["truth", "found"])
    assert cells["share"]["background", "background"] == 0.75
    assert cells["pixels"]["background", "myelin"] == 1
    texts = figure.Labels.I.dframe().set_index(["truth", "found"])["text"]
    assert texts["axon", "axon"] == "100.0%"
    assert texts["background", "myelin"] == "25.0%"
    assert texts["myelin", "axon"] == "–"
    assert drawn(figure).y_range.factors == ["axon", "myelin", "background"]
    assert drawn(figure).x_range.factors == ["background", "myelin", "axon"]


def test_reliability_draws_means_of_bins():
    """A bin of confidence 0.75 that is right half the time is at (0.75, 0.5)."""
    probabilities = np.full((2, 1, 4), [[[0.75]], [[0.25]]], np.float32)
    table = reliability(probabilities, np.array([[0, 0, 2, 2]], np.uint8), ["background", "axon"])
    upper, lower = plot_scores.reliability(table)
    assert upper.Points.I.dframe().to_numpy().tolist() == [[0.75, 0.5, 4]]
    assert lower.dframe()["share"].sum() == 1
    titles = {title.text for title in drawn(upper).select({"type": Title})}
    assert "expected calibration error 25.0%" in titles
    assert axis_labels(lower) == {"confidence of the most probable class", "share of pixels"}


def images():
    """Return the table of three images of two animals."""
    return pd.DataFrame(
        {
            "image": ["one", "two", "three"],
            "animal": ["b", "a", "b"],
            "dice_background": [0.9, 0.9, 0.9],
            "dice_unmyelinated_axon": [0.7, np.nan, 0.2],
            "mean_dice": [0.7, np.nan, 0.2],
        }
    )


def test_images_are_listed_by_animal():
    """Animals head their images, the worst of these first; every class has its name and place."""
    figure = plot_scores.per_image(images())
    state = drawn(figure)
    (axis,) = state.left
    places = axis.major_label_overrides
    rows = [places[place] for place in sorted(places, reverse=True)]
    assert rows == ["a:", "two", "b:", "three", "one"]
    legend = {item.label.value for item in state.select({"type": LegendItem})}
    assert legend == {"background", "unmyelinated axon"}
    dots = figure.Points.Unmyelinated_axon.dframe().set_index("image")
    assert dots["dice_unmyelinated_axon"].dropna().to_dict() == {"one": 0.7, "three": 0.2}
    assert state.x_range.start < 0.2


def test_few_images_leave_room_for_the_legend():
    """The figure of one image is as high as its legend and its tools."""
    figure = plot_scores.per_image(images().iloc[:1])
    assert drawn(figure).frame_height >= 5 * plot_scores.ROW_PX


def test_paired_differences_have_their_mean_and_interval():
    """All images are drawn, the mean of animals beside them, the interval where there is one."""
    rows = [(f"i{i}", f"a{i}", name, i / 10) for i in range(3) for name in ("myelin", "axon")]
    table = pd.DataFrame(rows, columns=["image", "animal", "class", "difference"])
    figure = plot_scores.paired(table, evaluate.summarise(table))
    assert sum(len(points) for points in figure.Points) == 6 + 2
    assert len(list(figure.ErrorBars)) == 2
    assert drawn(figure)
    few = table[table["animal"] != "a2"]
    figure = plot_scores.paired(few, evaluate.summarise(few))
    assert not any(isinstance(layer, hv.ErrorBars) for layer in figure)
    assert "Dice of the second − the first" in axis_labels(figure)
    figure = plot_scores.paired(few, evaluate.summarise(few), names=("sem", "mine"))
    assert "Dice of mine − sem" in axis_labels(figure)


@pytest.mark.parametrize("sign", [1, -1])
def test_paired_differences_show_where_zero_is(sign):
    """Whether a model is better or worse is seen, however much it is."""
    table = pd.DataFrame(
        {"image": ["i", "j"], "animal": ["a", "b"], "class": "axon", "difference": 0.0}
    ).assign(difference=[0.8 * sign, 0.9 * sign])
    y = drawn(plot_scores.paired(table, evaluate.summarise(table))).y_range
    assert y.start < min(0, 0.9 * sign) < max(0, 0.9 * sign) < y.end


def test_robustness_draws_every_change():
    """Each change has its axis with its unit, every class its curve; shares are in per cent."""
    rows = [
        (change, amount, name, 0.9 - abs(amount) / 10)
        for change, (_, amounts) in evaluate.CHANGES.items()
        for amount in amounts
        for name in ("myelin", "axon")
    ]
    table = pd.DataFrame(rows, columns=["change", "amount", "class", "dice"])
    figure = plot_scores.robustness(table)
    assert set(plot_scores.CHANGE_LABELS.values()) <= axis_labels(figure)
    first = next(iter(figure)).Curve.Axon.dframe()
    assert first["amount"].tolist() == pytest.approx([-20, -10, 0, 10, 20])
    legend = {item.label.value for item in drawn(figure).select({"type": LegendItem})}
    assert legend == {"myelin", "axon"}


def test_every_change_can_be_drawn():
    """What is measured has an axis."""
    assert set(plot_scores.CHANGE_LABELS) == set(evaluate.CHANGES)
