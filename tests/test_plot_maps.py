"""Figures of maps: what is drawn where, and how it is labelled."""

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from bokeh.models import Axis, ColorBar, HoverTool, LinearColorMapper, Title

from axonlab import maps, measure, phantom, plot_maps

hv.extension("bokeh")

CELL = 5.0


@pytest.fixture(scope="module")
def table():
    """Return the maps of a small phantom, half of a cell of which was not seen."""
    one = phantom.nerve((150, 200), seed=3)
    size = one.micrograph.pixel_size
    fibres = measure.measure_fibres(one.axons, one.fibres, pixel_size=size)
    blank = np.zeros(one.labels.shape, bool)
    blank[50:90, 100:150] = True
    about = {"pixel_size": size, "cell": CELL, "min_fibres": 1}
    return maps.fibre_maps(fibres, one.labels, blank=blank, **about)


def drawn(figure):
    """Return the Bokeh figure of an element."""
    return hv.renderer("bokeh").get_plot(figure).state


def test_cells_lie_where_they_are(table):
    """Every cell has its value at its centre, in µm, with y pointing down."""
    image = plot_maps.fibre_map(table, "axon_volume_fraction")
    for _, cell in table.iterrows():
        value = image[cell["centre_x_um"], cell["centre_y_um"]]["map_axon_volume_fraction"]
        assert value == pytest.approx(cell["axon_volume_fraction"], nan_ok=True)
    assert image.bounds.lbrt() == pytest.approx((-0.05, -0.05, 19.95, 14.95))
    assert drawn(image).y_range.start > drawn(image).y_range.end


def test_maps_say_what_they_show_in_which_unit(table):
    """Axes and title have units; the colours are safe and their scale is there."""
    figure = drawn(plot_maps.fibre_map(table, "density_per_mm2"))
    labels = {axis.axis_label for axis in figure.select({"type": Axis})}
    assert {"x (µm)", "y (µm)"} <= labels
    assert figure.select_one({"type": Title}).text == "density of myelinated fibres (1/mm²)"
    mapper = figure.select_one({"type": ColorBar}).color_mapper
    assert mapper.low == 0 and mapper.high == table["density_per_mm2"].max()
    assert mapper.palette[0].lower().startswith("#00") and len(mapper.palette) > 100
    assert any("fibres" in str(tool.tooltips) for tool in figure.select({"type": HoverTool}))


def test_unknown_cells_are_transparent(table):
    """A cell of which too little was seen has no colour."""
    assert table["density_per_mm2"].isna().any()
    figure = drawn(plot_maps.fibre_map(table, "density_per_mm2"))
    mappers = figure.select({"type": LinearColorMapper})
    assert {mapper.nan_color for mapper in mappers} == {plot_maps.UNKNOWN}


@pytest.mark.parametrize("column", maps.QUANTITIES)
def test_every_quantity_has_a_map(table, column):
    """Also where nothing is known of any cell."""
    assert drawn(plot_maps.fibre_map(table, column))
    assert drawn(plot_maps.fibre_map(table.assign(**{column: np.nan}), column))


def test_maps_side_by_side(table):
    """Those that are asked for, in their order, each with a scale of its own."""
    layout = plot_maps.fibre_maps(table)
    assert len(layout) == len(plot_maps.SHOWN)
    bars = drawn(layout).select({"type": ColorBar})
    assert len({(bar.color_mapper.low, bar.color_mapper.high) for bar in bars}) == len(layout)


def test_bad_maps(table):
    """A quantity that is none, and a table of something else, are refused."""
    with pytest.raises(ValueError, match="no map of 'nonsense': choose one of field_area_um2"):
        plot_maps.fibre_map(table, "nonsense")
    with pytest.raises(ValueError, match="lacks the columns"):
        plot_maps.fibre_map(pd.DataFrame({"row": [0]}), "g_ratio")
