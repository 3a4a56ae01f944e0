"""Figures of membranes: values and labels are those that were given."""

import holoviews as hv
import numpy as np
import pandas as pd
import pytest

from axonlab import plot_membranes
from axonlab.micrograph import Micrograph
from axonlab.posterior import posterior_reliability


def rendered(element):
    """Let Bokeh draw it: options that do not exist fail here."""
    return hv.renderer("bokeh").get_plot(element).state


def test_interior_is_bright_and_where_it_is():
    """White is 1 and black 0, whatever the section holds; rows go downwards."""
    section = Micrograph(np.zeros((20, 30)), 0.004, "a section")
    probability = np.full((20, 30), 0.4, np.float32)
    probability[0, 0] = 0.9
    shown = plot_membranes.interior_map(section, probability, "N4")
    assert rendered(shown).title.text == "N4"
    assert shown[0.0, 0.0] == pytest.approx(0.9) and shown[0.0, 0.076] == pytest.approx(0.4)
    assert shown.opts.get().kwargs["clim"] == (0, 1)


def test_curves_of_several_networks():
    """Every network has a line of its own that the legend names; epochs count from 1."""
    history = pd.DataFrame({"epoch": [0, 1], "dice_membrane": [0.2, 0.6]})
    drawn = plot_membranes.learning_curves({"N4": history, "U-Net": history + 0})
    curves = [part for part in drawn if isinstance(part, hv.Curve)]
    assert [curve.label for curve in curves] == ["N4", "U-Net"]
    assert curves[0].dimension_values("epoch").tolist() == [1, 2]
    looks = [curve.opts.get().kwargs for curve in curves]
    assert looks[0]["color"] != looks[1]["color"] and looks[0]["line_dash"] != looks[1]["line_dash"]
    assert rendered(drawn).xaxis.axis_label == "epochs"


def test_reliability_tells_the_errors():
    """A map that says 0.8 where half is interior is 30 % off, and the curve is there."""
    truth = np.arange(100) % 2 == 0
    said = {"bold": np.full(100, 0.8), "honest": np.full(100, 0.5)}
    tables = {name: posterior_reliability(p, truth) for name, p in said.items()}
    drawn = plot_membranes.reliability(tables)
    assert [curve.label for curve in drawn] == ["ideal", "bold: 30.0%", "honest: 0.0%"]
    bold = list(drawn)[1]
    assert bold.dimension_values("said").tolist() == pytest.approx([0.8])
    assert bold.dimension_values("found").tolist() == pytest.approx([0.5])
    assert rendered(drawn).yaxis.axis_label == "share that is interior"
