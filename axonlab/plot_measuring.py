"""HoloViews elements of what makes measurements differ: returned, never shown. Units on axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import holoviews as hv
import holoviews.plotting.bokeh
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.cross_section import G_RATIOS, CrossSection, diameters, g_ratios
from axonlab.phantom import Phantom
from axonlab.pixel_effects import coarsen
from axonlab.plot_fibres import AXON, FIBRE, label_of

INK = "#7a7a7a"
"""Of axes and letters: read on white as on black."""

COLOURS = dict(zip(G_RATIOS, ("#0072b2", "#e69f00", "#009e73", "#cc79a7"), strict=True))
"""Of definitions of a diameter; of the palette of Okabe & Ito (2008), like all here."""

COUNTED, LEFT_OUT, STRIKING, INCLUDING = "#0072b2", "#e69f00", "#d55e00", "#009e73"
"""Of fibres that a rule counts and that it does not, and of the edges of the counting frame."""

PICTURE_PX, PLOT_PX = 360, 300
"""Sides of pictures, and widths of plots, on the screen."""


LETTERS = {"text_color": INK, "text_font_size": "9pt"}
"""Look of words in a figure."""


def fibre_picture(section: CrossSection, definition: str = "", *, half: float = 6.0) -> hv.Overlay:
    """Return a fibre, and over it what a definition puts in its place.

    Parameters
    ----------
    section : CrossSection
    definition : str
        One of `axonlab.cross_section.G_RATIOS`; nothing is put over it by default.
    half : float
        Half the width of what is shown, in µm; its height is two thirds of it.
    """
    parts = (("fibre", FIBRE), ("axon", AXON))
    drawn = [
        hv.Polygons([section.outline(part)], ["x", "y"]).opts(
            fill_color=colour, line_color=INK, line_width=1
        )
        for part, colour in parts
    ]
    lines = (
        [line for part, _ in parts for line in (section.equivalent(part, definition))]
        if definition
        else []
    )
    # white under black is seen on any ground
    drawn += [
        hv.Path(lines, ["x", "y"]).opts(color=colour, line_width=width)
        for colour, width in (("#ffffff", 5), ("#000000", 2.5))
    ]
    title = f"black: {_INSTEAD[definition]}" if definition else "myelin orange, axon blue"
    return finished(
        drawn,
        title=title,
        xlim=(-half, half),
        ylim=(-half * 2 / 3, half * 2 / 3),
        xlabel="x (µm)",
        ylabel="y (µm)",
        frame_width=420,
        frame_height=280,
    )


_INSTEAD = {
    "area": "circles of the same area",
    "minor axis": "ellipses of the same moments",
    "smallest Feret": "the nearest parallel lines around",
    "perimeter": "circles of the same perimeter",
}


def g_ratio_dots(section: CrossSection, round_g_ratio: float | None = None) -> hv.Overlay:
    """Return the g-ratios of a fibre as one row of dots for each definition.

    Parameters
    ----------
    section : CrossSection
    round_g_ratio : float, optional
        Where a dashed line is drawn: what a circle would have.
    """
    values = g_ratios(section.row)
    spread = values.max() - values.min()
    return _rows(
        values,
        COLOURS,
        line=round_g_ratio,
        xlim=(0.3, 1.0),
        xlabel="g-ratio",
        title=f"largest minus smallest: {spread:.2f}",
    )


def diameter_dots(section: CrossSection, true_diameter: float) -> hv.Overlay:
    """Return the axon's diameters by definition as rows of dots; a dashed line is the true one."""
    values = diameters(section.row)
    return _rows(
        values,
        COLOURS,
        line=true_diameter,
        xlim=(0, 3.2 * true_diameter),
        xlabel="axon diameter (µm)",
        title=f"dashed: the true {true_diameter:g} µm",
    )


def angle_curves(by_angle: pd.DataFrame, quantity: str, angle: float) -> hv.Overlay:
    """Return what definitions make of an oblique cut, over the angle.

    Parameters
    ----------
    by_angle : DataFrame
        From `axonlab.cross_section.by_angle`.
    quantity : {"diameter", "g_ratio"}
    angle : float
        Where a vertical line is drawn, in degrees.
    """
    table = by_angle[quantity]
    widths = dict(zip(G_RATIOS, (6, 5, 2.5, 2), strict=True))  # what is hidden shows beside
    drawn: list[hv.Element] = [hv.VLine(angle).opts(color=INK, line_dash="dashed", line_width=1)]
    drawn += [
        hv.Curve((table.index, table[name]), "angle", quantity, label=name).opts(
            color=COLOURS[name], line_width=widths[name]
        )
        for name in table
    ]
    is_g = quantity == "g_ratio"
    return finished(
        drawn,
        xlabel="angle of the cut (°)",
        ylabel="g-ratio" if is_g else "axon diameter, measured / true",
        ylim=(0.2, 1.0) if is_g else (0.5, 3.0),
        xlim=(0, float(table.index.max())),
        title="g-ratio" if is_g else "axon diameter",
        legend_position="bottom_left" if is_g else "top_left",
        frame_width=PLOT_PX,
        frame_height=250,
    )


def claim_curves(factor: float) -> hv.Overlay:
    """Return by which factor measurements are wrong, over how wrong the pixel size is."""
    wrong = np.linspace(0.5, 1.5, 41)
    powers = {"density": -2, "g-ratio": 0, "diameter": 1, "area": 2}
    colours = dict(zip(powers, ("#cc79a7", "#009e73", "#0072b2", "#e69f00"), strict=True))
    drawn: list[hv.Element] = [hv.VLine(factor).opts(color=INK, line_dash="dashed", line_width=1)]
    for name, exponent in powers.items():
        label = f"{name} × {factor**exponent:.2f}"
        line = hv.Curve((wrong, wrong**exponent), "claimed", "measured", label=label)
        drawn.append(line.opts(color=colours[name], line_width=3))
    return finished(
        drawn,
        xlabel="claimed / right pixel size",
        ylabel="measured / right value",
        xlim=(0.5, 1.5),
        ylim=(0, 4),
        legend_position="top_right",
        title=f"a pixel size {100 * (factor - 1):+.0f} % wrong".replace("-", "−"),
        frame_width=PLOT_PX,
        frame_height=260,
    )


def coarse_errors(coarse: pd.DataFrame, column: str) -> hv.Overlay:
    """Return the errors that coarse pixels make, over the true diameter of the axon.

    Parameters
    ----------
    coarse : DataFrame
        From `axonlab.pixel_effects.coarse_fibres`.
    column : str
        One of `axonlab.pixel_effects.COMPARED`.
    """
    is_lost = coarse["is_lost"]
    x = coarse["true_axon_diameter_um"]
    limit = 0.5 if column.startswith("g_ratio") else 0.8
    kept = hv.Points((x[~is_lost], coarse.loc[~is_lost, column].clip(-limit, limit)), ["x", "y"])
    lost = hv.Points((x[is_lost], np.full(int(is_lost.sum()), -0.95 * limit)), ["x", "y"])
    spread = coarse[column].std()
    unit = "" if column.startswith("g_ratio") else " µm"
    return finished(
        [
            hv.HLine(0).opts(color=INK, line_width=1),
            kept.opts(color=COUNTED, size=6, alpha=0.7),
            lost.opts(color=STRIKING, size=10, marker="x", line_width=3),
        ],
        title=f"SD of the error {spread:.3f}{unit}; {int(is_lost.sum())} of {len(coarse)} lost (×)",
        xlabel="true axon diameter (µm)",
        ylabel=f"error of {label_of(column)}",
        xlim=(0, float(np.ceil(x.max()))),
        ylim=(-limit, limit),
        frame_width=PLOT_PX + 40,
        frame_height=260,
    )


def coarse_picture(phantom: Phantom, pixel_size: float, *, side: float = 14.0) -> hv.Overlay:
    """Return the classes of a corner of a phantom, as pixels of a size show them."""
    factor = pixel_size / phantom.micrograph.pixel_size
    n = round(side / phantom.micrograph.pixel_size)
    masks = (phantom.axons[:n, :n], phantom.fibres[:n, :n])
    axons, fibres = (coarsen(objects, factor) for objects in masks)
    shown = np.full((*fibres.shape, 3), 30, np.uint8)
    for mask, colour in ((fibres > 0, FIBRE), (axons > 0, AXON)):
        shown[mask] = rgb(colour)
    height, width = np.array(fibres.shape) * pixel_size
    picture = hv.RGB(shown[::-1], bounds=(0, 0, width, height), kdims=["x", "y"])
    return finished(
        [picture],
        title=f"pixels of {pixel_size:g} µm",
        xlim=(0, side),
        ylim=(0, side),
        invert_yaxis=True,
        xlabel="x (µm)",
        ylabel="y (µm)",
        frame_width=260,
        frame_height=260,
    )


def places(names: Sequence[str]) -> list[tuple[int, str]]:
    """Return the rows of a dot plot, from the top."""
    return [(-i, name) for i, name in enumerate(names)]


def _rows(
    values: pd.Series, colours: Mapping[str, str], line: float | None, **options: object
) -> hv.Overlay:
    """Return one dot per row, its value beside it."""
    names = list(values.index)
    drawn: list[hv.Element] = []
    if line is not None:
        drawn.append(hv.VLine(line).opts(color=INK, line_dash="dashed", line_width=1.5))
    shown = pd.DataFrame(
        {
            "value": values.to_numpy(),
            "row": [place for place, _ in places(names)],
            "colour": [colours[name] for name in names],
            "text": [f"{value:.2f}" for value in values],
        }
    )
    drawn.append(
        hv.Points(shown, ["value", "row"], "colour").opts(color="colour", size=14, line_color=INK)
    )
    shown = shown.assign(row=shown["row"] + 0.36)
    drawn.append(hv.Labels(shown, ["value", "row"], "text").opts(**LETTERS))
    return finished(
        drawn,
        **{
            "yticks": places(names),
            "ylim": (-len(names) + 0.4, 0.7),
            "ylabel": "",
            "frame_width": PLOT_PX,
            "frame_height": 200,
            "show_legend": False,
        }
        | options,
    )


def finished(drawn: Sequence[hv.Element], **options: object) -> hv.Overlay:
    """Return elements as one figure that can be read in light and dark."""
    usual = {"toolbar": None, "hooks": [_ink, _reach], "shared_axes": False}
    return hv.Overlay(list(drawn)).opts(**usual | options)


def _reach(plot: holoviews.plotting.bokeh.OverlayPlot, element: hv.Overlay) -> None:
    """Let axes reach as far as this frame says, which HoloViews asks the first one only."""
    options = hv.Store.lookup_options("bokeh", element, "plot").kwargs
    for axis, name in ((plot.state.x_range, "xlim"), (plot.state.y_range, "ylim")):
        if name in options:
            ends = options[name]
            is_down = name == "ylim" and options.get("invert_yaxis", False)
            axis.start, axis.end = reversed(ends) if is_down else ends


def _ink(plot: holoviews.plotting.bokeh.OverlayPlot, element: hv.Overlay) -> None:
    """Let axes, title and legend be read in light and dark."""
    figure = plot.state
    figure.frame_align = False  # beside others it would move in its own, and be cut off
    figure.sizing_mode = None  # the frame has a size; Bokeh warns if the figure has none, too
    figure.background_fill_color = figure.border_fill_color = None  # as light as what is around
    figure.outline_line_color = INK
    figure.title.text_color = INK
    figure.title.text_font_size = "10pt"
    for axis in figure.axis:
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = INK
    for legend in figure.legend:
        legend.background_fill_alpha = legend.border_line_alpha = 0
        legend.label_text_color = INK
        legend.label_text_font_size = "8pt"


def rgb(colour: str) -> NDArray[np.uint8]:
    """Return ``#rrggbb`` as three numbers."""
    return np.array(list(bytes.fromhex(colour[1:])), np.uint8)
