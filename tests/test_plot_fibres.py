"""Figures of fibres: what is drawn where, and how it is labelled."""

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from bokeh.models import Axis, LegendItem

from axonlab import measure, objects, phantom, plot_fibres
from axonlab.micrograph import Micrograph

hv.extension("bokeh")


@pytest.fixture(scope="module")
def nerve():
    """Return a small phantom."""
    return phantom.nerve((150, 200), seed=3)


@pytest.fixture(scope="module")
def table(nerve):
    """Return the measurements of the phantom's true objects."""
    size = nerve.micrograph.pixel_size
    return measure.measure_fibres(nerve.axons, nerve.fibres, pixel_size=size)


def drawn(figure):
    """Return the Bokeh figure of an element."""
    return hv.renderer("bokeh").get_plot(figure).state


def test_outlines_enclose_their_objects():
    """The outline of a square of 4 × 4 pixels of 0.5 µm runs around it."""
    square = np.zeros((10, 10), np.int32)
    square[2:6, 3:7] = 7
    (x, y) = plot_fibres.outlines(square, pixel_size=0.5)[7].T
    assert (x.min(), x.max(), y.min(), y.max()) == (1.25, 3.25, 0.75, 2.75)


def test_figure_labels_have_units(nerve, table):
    """Every axis says what it shows, and in which unit."""
    figure = plot_fibres.fibre_figure(nerve.micrograph, nerve.axons, table)
    labels = {axis.axis_label for axis in drawn(figure).select({"type": Axis})}
    assert {"x (µm)", "y (µm)", "fibre diameter (µm)", "g-ratio (by area)"} <= labels
    assert "axon diameter (µm)" in labels


@pytest.mark.parametrize("value", [0, 2])
def test_figure_without_fibres(value):
    """No fibre at all, or an axon without myelin, still gives a figure."""
    labels = np.zeros((20, 20), np.uint8)
    labels[5:9, 5:9] = value
    axons, fibres = objects.label_fibres(labels, pixel_size=0.1)
    table = measure.measure_fibres(axons, fibres, pixel_size=0.1)
    figure = plot_fibres.fibre_figure(Micrograph(np.zeros((20, 20)), 0.1), axons, table)
    assert drawn(figure)


def test_every_measure_is_named_with_its_unit(table):
    """Lengths, areas and angles have theirs; g-ratios name their definition."""
    labels = {column: plot_fibres.label_of(column) for column in plot_fibres.measures(table)}
    assert all("(µm)" in label for column, label in labels.items() if column.endswith("_um"))
    assert all("(µm²)" in label for column, label in labels.items() if column.endswith("_um2"))
    assert labels["g_ratio_minor_axis"] == "g-ratio (by minor axis)"
    assert not any("centroid" in column or "_px" in column for column in labels)
    assert "fibre_id" not in labels and "is_myelinated" not in labels


@pytest.mark.parametrize(
    ("bands", "slope"), [(plot_fibres.g_ratio_bands, 0), (plot_fibres.diameter_bands, 1)]
)
def test_literature_is_cited_where_it_is_drawn(bands, slope):
    """The legend names the papers, and the lines are at their g-ratios."""
    overlay = bands(10.0)
    shown = {item.label.value for item in drawn(overlay).select({"type": LegendItem})}
    assert any("Rushton 1951" in label for label in shown)
    assert any("Chomiak & Hu 2009" in label for label in shown)
    ends = [curve.dimension_values(1)[-1] for curve in overlay if type(curve) is hv.Curve]
    assert ends == pytest.approx([0.6 * 10**slope, 0.77 * 10**slope])


def test_scatter_leaves_out_what_has_no_value(table):
    """A fibre without myelin has no g-ratio, and no dot."""
    some = table.assign(g_ratio=table["g_ratio"].where(table["fibre_id"] > 5))
    dots = plot_fibres.scatter(some, "fibre_diameter_um", "g_ratio")
    assert len(dots) == some["g_ratio"].notna().sum() < len(some)


def test_shares_of_a_distribution_add_up_to_one(table):
    """Each group on its own, however many fibres it has."""
    groups = {"all": table, "some": table[:7]}
    edges = plot_fibres.bins(table, "fibre_diameter_um")
    for curve in plot_fibres.distribution(groups, "fibre_diameter_um", edges=edges):
        assert curve.dimension_values(1).sum() == pytest.approx(1)


def test_selected_part_lies_below_the_distribution(table):
    """The selection of all fibres is the distribution; of none, nothing."""
    edges = plot_fibres.bins(table, "fibre_diameter_um")
    whole = plot_fibres.distribution({"all": table}, "fibre_diameter_um", edges=edges).last
    for selected, share in ((table, 1), (table[:0], 0)):
        part = plot_fibres.selected_part(selected, len(table), "fibre_diameter_um", edges=edges)
        wanted = share * whole.dimension_values(1)[:-1]
        assert np.allclose(part.dimension_values(1), wanted)


def test_ecdf_is_that_of_the_values(table):
    """At every drawn value, the share of fibres up to it; the number of fibres is told."""
    overlay = plot_fibres.ecdf({"all": table}, "axon_diameter_um")
    values, shares = (overlay.last.dimension_values(i) for i in (0, 1))
    for value, share in zip(values[1:], shares[1:], strict=True):
        assert (table["axon_diameter_um"] <= value).mean() >= share - 1e-9
        assert (table["axon_diameter_um"] < value).mean() < share
    assert overlay.keys() == [f"all (n = {len(table)})"]


def test_distributions_of_nothing(table):
    """A group without fibres, and no fibre at all, still give figures."""
    for groups in ({"all": table, "none": table[:0]}, {"none": table[:0]}):
        edges = plot_fibres.bins(groups["none"], "fibre_diameter_um")
        upper = plot_fibres.distribution(groups, "fibre_diameter_um", edges=edges)
        assert drawn(upper + plot_fibres.ecdf(groups, "fibre_diameter_um"))


def test_density_adds_up_to_all_fibres(nerve, table):
    """The density of the tiles, times their area, is the number of fibres."""
    density = plot_fibres.density_map(table, nerve.micrograph)
    height, width = nerve.micrograph.shape_um
    per_mm2 = density.dimension_values(2)
    assert per_mm2.mean() * height * width / 1e6 == pytest.approx(len(table))
    assert density.vdims[0].label == "fibres per mm²"


def test_density_lies_where_the_fibres_are():
    """One fibre at the top left makes one tile dense: that one."""
    table = pd.DataFrame({"centroid_x_um": [1.0], "centroid_y_um": [2.0]})
    density = plot_fibres.density_map(table, Micrograph(np.zeros((100, 120)), 1.0)).dframe()
    dense = density.loc[density["density"].idxmax()]
    assert (dense["x"], dense["y"]) == pytest.approx((4.5, 4.5), abs=0.6)
    assert (density["density"] > 0).sum() == 1


def test_discs_tell_what_they_are(table):
    """Every fibre can be hovered over as far as it reaches."""
    discs = plot_fibres.discs(table)
    assert np.allclose(discs.dimension_values("radius"), table["fibre_diameter_um"] / 2)
    hover = next(tool for tool in drawn(discs).tools if type(tool).__name__ == "HoverTool")
    assert ("fibre diameter (µm)", "@fibre_diameter_um{0.000}") in hover.tooltips
