"""Explorables of measuring: they start at an answer, and sliders lead to what they say."""

import subprocess
import sys

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from bokeh.plotting import figure as Figure  # noqa: N812

from axonlab import image_trial, models, phantom, plot_power, widgets
from axonlab.cross_section import G_RATIOS, draw_fibre, g_ratios
from axonlab.power import Design, power, power_table
from axonlab.sampling import RULES

hv.extension("bokeh")


@pytest.fixture(scope="module")
def explorables():
    """Return one of each kind but that of images, which needs a model."""
    tissue = phantom.nerve((350, 350), pixel_size=0.2, seed=3)
    fine = phantom.nerve((300, 300), pixel_size=0.08, seed=4)
    made = [
        widgets.FibreShapeExplorer(),
        widgets.CutExplorer(),
        widgets.FrameExplorer(tissue),
        widgets.PixelExplorer(fine),
        widgets.PowerExplorer(),
    ]
    return {type(one).__name__: one for one in made}


def drawn(widget):
    """Return the figures as they are sent to the browser, and follow the sliders there."""
    return list(widget.__panel__().get_root().select({"type": Figure}))


@pytest.mark.parametrize(
    ("name", "move"),
    [
        ("FibreShapeExplorer", {"elongation": 3.5}),
        ("CutExplorer", {"angle": 60}),
        ("FrameExplorer", {"side": 30}),
        ("PixelExplorer", {"pixel_size": 0.5}),
        ("PowerExplorer", {"animals": 12}),
    ],
)
def test_it_starts_at_an_answer_and_follows(explorables, name, move):
    """Figures, sentence and result change with a slider; each slider has a label."""
    widget = explorables[name]
    figures, told = drawn(widget), widget.tell()
    assert figures
    assert told in widget.status.object.replace("&#x27;", "'") and 'role="status"' in repr(
        widget.status.object
    )
    assert all(control.label for control in widget.controls.values())
    for figure in figures:
        assert figure.background_fill_color is None and figure.title.text
        assert all(axis.axis_label_text_color == "#7a7a7a" for axis in figure.axis)
    widget.param.update(**move)
    assert widget.tell() != told and widget.tell() in widget.status.object
    assert all(figure.title.text for figure in figures)
    assert name in repr(widget) and "=" in repr(widget)


def test_the_shape_explorer_shows_the_package(explorables):
    """Its numbers are those of the pure functions."""
    widget = widgets.FibreShapeExplorer(elongation=1.0, off_centre=0.5)
    assert np.ptp(g_ratios(widget.result.row)) < 0.01
    widget.bend = 0.6
    expected = g_ratios(draw_fibre(widget.shape).row)
    assert g_ratios(widget.result.row).equals(expected)
    figures = drawn(widget)
    for definition in G_RATIOS:
        widget.instead = definition
        assert any(figure.title.text.startswith("black: ") for figure in figures)


def test_the_rule_that_is_shown_changes_picture_and_words(explorables):
    """Nothing is counted anew for it."""
    widget = explorables["FrameExplorer"]
    known = widget.result
    picture = next(one for one in drawn(widget) if one.title.text.startswith("blue"))
    assert picture.y_range.start > picture.y_range.end  # rows run downwards
    for rule in RULES:
        widget.rule = rule
        assert rule in widget.tell() and widget.result is known
        counted, left_out = (int(word) for word in picture.title.text.split() if word.isdigit())
        assert counted > 0 and (left_out == 0) == (rule == RULES[0])
    for number in (1, 30):
        widget.number = number


def test_power_is_drawn_as_it_is():
    """The figure for print has a line per number of animals."""
    table = power_table(Design(), [3, 6], [10, 100])
    axes = plot_power.power_figure(table, "a title").axes[0]
    assert [line.get_label() for line in axes.lines[:2]] == [
        "3 animals per group",
        "6 animals per group",
    ]
    assert axes.lines[1].get_ydata()[1] == pytest.approx(power(Design(6, 100)))


def test_images_are_tried_and_kept():
    """A slider segments anew; what was tried stays."""
    model = models.load_model("sem")
    tried = pd.DataFrame([image_trial.look_through(0.3, 4, model=model, shape=(96, 96)).scores])
    widget = widgets.ImageQualityExplorer(model, tried)
    assert len(widget.tried) == 2
    widget.noise = 60
    assert len(widget.tried) == 3 and widget.result.scores["noise"] == 60
    assert "Dice" in widget.tell() and len(drawn(widget)) == 2


def test_no_torch_but_for_images():
    """The other explorables are there without it."""
    code = "import sys; import axonlab.widgets.measuring; print('torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


def test_axes_follow(explorables):
    """A larger field and more animals are seen as a whole."""
    frame, numbers = explorables["FrameExplorer"], explorables["PowerExplorer"]
    frame.param.update(side=14, number=1)
    numbers.animals = 5
    picture = next(one for one in drawn(frame) if one.title.text.startswith("blue"))
    experiment = next(one for one in drawn(numbers) if one.title.text.startswith("one experiment"))
    before, end = picture.x_range.end - picture.x_range.start, experiment.x_range.end
    frame.side, numbers.animals = 28, 9
    width = picture.x_range.end - picture.x_range.start
    assert width == pytest.approx(before + 14, abs=0.5)
    assert experiment.x_range.end == pytest.approx(end + 8)
    assert picture.y_range.start > picture.y_range.end
