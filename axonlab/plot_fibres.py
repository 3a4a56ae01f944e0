"""HoloViews elements of fibres and their measurements: returned, never shown. Units on all axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle

import holoviews as hv
import holoviews.plotting.bokeh
import numpy as np
import pandas as pd
from bokeh.models import HoverTool
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from axonlab.literature import OPTIMA, USUAL_G_RATIO
from axonlab.micrograph import CLASS_COLOURS, CLASSES, Micrograph
from axonlab.plot import bounds, image

AXON, FIBRE = CLASS_COLOURS[CLASSES["axon"]], CLASS_COLOURS[CLASSES["myelin"]]

SELECTED = "#d55e00"
"""Of what is selected, in every figure: Okabe & Ito's vermilion, which no class has."""

GROUP_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442", "#000000"]
"""Of groups, in their order: Okabe & Ito's without the colour of the selection."""

DENSITY_TILES = 12
"""Along the longer side of a field."""

BINS = 40

SHARE = "share of fibres"

MOST_STEPS = 500
"""Of a cumulative distribution: more are not seen."""

_UNITS = {"um": "µm", "um2": "µm²", "deg": "°", "px": "px"}
_LINE = "#808080"
_NOT_MEASURES = ("fibre_id", "centroid", "g_ratio", "_px")


def label_of(column: str) -> str:
    """Return what a column of a table of fibres holds, in words and with its unit.

    Examples
    --------
    >>> label_of("myelin_area_um2"), label_of("g_ratio"), label_of("g_ratio_min_feret")
    ('myelin area (µm²)', 'g-ratio (by area)', 'g-ratio (by min Feret)')
    """
    if column.startswith("g_ratio"):
        return f"g-ratio (by {_words(column.removeprefix('g_ratio')) or 'area'})"
    *words, last = _words(column).split()
    if words and last in _UNITS:
        return f"{' '.join(words)} ({_UNITS[last]})"
    return " ".join([*words, last])


def _words(column: str) -> str:
    return column.replace("_", " ").replace("feret", "Feret").strip()


def g_ratios(table: pd.DataFrame) -> list[str]:
    """Return the columns of a table that are g-ratios, by whatever definition."""
    return [column for column in table if str(column).startswith("g_ratio")]


def measures(table: pd.DataFrame) -> list[str]:
    """Return the columns of a table to colour fibres by, or to see the distribution of."""
    numbers = table.select_dtypes("number").columns
    other = [column for column in numbers if not any(part in column for part in _NOT_MEASURES)]
    return [*g_ratios(table), *other]


def outlines(objects: NDArray[np.int32], *, pixel_size: float) -> dict[int, NDArray[np.float64]]:
    """Return the outer outline of every object, by id.

    Parameters
    ----------
    objects : (H, W) int32 array
    pixel_size : float
        In µm.

    Returns
    -------
    dict of int to (n, 2) array
        x and y in µm, for `holoviews.Path`.
    """
    found = {}
    for i, box in enumerate(ndimage.find_objects(objects), start=1):
        if box is None:
            continue
        contours = find_contours(np.pad(objects[box] == i, 1).astype(np.float32), 0.5)
        corner = np.array([box[0].start - 1, box[1].start - 1])  # the padding is one pixel wide
        found[i] = (max(contours, key=len) + corner)[:, ::-1] * pixel_size
    return found


def complete_fibres(fibres: pd.DataFrame) -> pd.DataFrame:
    """Return the myelinated fibres that the border does not cut: those whose shape is known."""
    return fibres[fibres["is_myelinated"] & ~fibres["touches_border"]]


def discs(shown: pd.DataFrame) -> hv.Points:
    """Return an invisible disc over each fibre that tells its measurements to the pointer."""
    columns = [
        "fibre_id",
        "fibre_diameter_um",
        "axon_diameter_um",
        "myelin_thickness_um",
        "g_ratio",
    ]
    told = shown[["centroid_x_um", "centroid_y_um", *columns]].assign(
        radius=shown["fibre_diameter_um"] / 2
    )
    return hv.Points(told, ["centroid_x_um", "centroid_y_um"], [*columns, "radius"]).opts(
        radius="radius", alpha=0, hover_alpha=0, apply_ranges=False, tools=[_hover(columns)]
    )


def line_ends(line: list[tuple[float, float]]) -> hv.Points:
    """Return the ends of a line, x and y in µm, as crosses."""
    return hv.Points(line, ["x", "y"]).opts(
        color=SELECTED, marker="x", size=12, line_width=3, apply_ranges=False
    )


def selected_dots(fibres: pd.DataFrame, x: str, y: str) -> hv.Points:
    """Return the selected fibres as rings around their dots in a scatter plot."""
    return hv.Points(fibres.dropna(subset=[x, y]), [x, y]).opts(
        color=SELECTED, fill_alpha=0.5, size=8, line_color=SELECTED, apply_ranges=False
    )


def _hover(columns: list[str]) -> HoverTool:
    formats = [(label_of(c), f"@{c}" if c == "fibre_id" else f"@{c}{{0.000}}") for c in columns]
    return HoverTool(tooltips=formats)


def scatter(fibres: pd.DataFrame, x: str, y: str) -> hv.Points:
    """Return one dot for each fibre that has values in two columns, to be brushed."""
    return hv.Points(fibres.dropna(subset=[x, y]), [x, y]).opts(
        xlabel=label_of(x),
        ylabel=label_of(y),
        color=AXON,
        size=5,
        nonselection_alpha=1.0,  # what is selected is drawn on top
        tools=[_hover(["fibre_id", x, y]), "tap", "box_select", "lasso_select"],
    )


def g_ratio_scatter(fibres: pd.DataFrame) -> hv.Points:
    """Return the g-ratio of every complete myelinated fibre against its *fibre* diameter.

    Against the axon diameter, which is part of the ratio, chance alone makes a slope.
    """
    dots = scatter(complete_fibres(fibres), "fibre_diameter_um", "g_ratio")
    return dots.opts(ylim=(0, 1), title="g-ratio against fibre diameter")


def diameter_span(fibres: pd.DataFrame) -> float:
    """Return where an axis of fibre diameters may end, in µm: a little after the largest."""
    return 1.05 * float(fibres["fibre_diameter_um"].max()) if len(fibres) else 1.0


def g_ratio_bands(largest: float) -> hv.Overlay:
    """Return what the literature says of the g-ratio, up to the largest fibre diameter in µm."""
    ends = [0, largest]
    low, high = USUAL_G_RATIO
    usual = hv.Area((ends, [low] * 2, [high] * 2), vdims=["low", "high"], label=_usual())
    lines = [hv.Curve((ends, [g, g]), label=label) for label, g in OPTIMA.items()]
    return _bands(usual, lines)


def diameter_bands(largest: float) -> hv.Overlay:
    """Return the same as `g_ratio_bands`, for axon against fibre diameter."""
    ends = np.array([0, largest])
    low, high = USUAL_G_RATIO
    usual = hv.Area((ends, low * ends, high * ends), vdims=["low", "high"], label=_usual())
    lines = [hv.Curve((ends, g * ends), label=label) for label, g in OPTIMA.items()]
    return _bands(usual, lines)


def _usual() -> str:
    return "g-ratio {:g} to {:g}: usual".format(*USUAL_G_RATIO)


def _bands(usual: hv.Area, lines: list[hv.Curve]) -> hv.Overlay:
    dashes = zip(lines, ("dashed", "dotted"), strict=True)
    drawn = [line.opts(color=_LINE, line_width=2, line_dash=dash) for line, dash in dashes]
    return hv.Overlay([usual.opts(color=_LINE, alpha=0.2, line_alpha=0), *drawn])


def histogram(fibres: pd.DataFrame, column: str, label: str) -> hv.Histogram:
    """Return how many complete myelinated fibres have which value of a column."""
    complete = hv.Dataset(complete_fibres(fibres), kdims=list(fibres.columns))
    return hv.operation.histogram(complete, dimension=column, num_bins=30).opts(
        xlabel=label, ylabel="fibres", color=AXON
    )


def distribution(
    groups: Mapping[str, pd.DataFrame], column: str, *, edges: NDArray[np.float64]
) -> hv.NdOverlay:
    """Return which share of the fibres of each group has which value of a column.

    Parameters
    ----------
    groups : mapping of str to DataFrame
        Tables of fibres, by what to call them.
    column : str
    edges : (n + 1,) array
        Of the bins, from `bins`.
    """
    drawn = {}
    for name, values, colour in _values(groups, column):
        counts, _ = np.histogram(values, edges)
        share = counts / max(len(values), 1)
        # a line, since bars of several groups hide each other
        steps = hv.Curve((edges, np.append(share, 0)), label_of(column), SHARE)
        drawn[name] = steps.opts(color=colour, line_width=2, interpolation="steps-post")
    return _grouped(drawn)


def selected_part(
    selected: pd.DataFrame, n_shown: int, column: str, *, edges: NDArray[np.float64]
) -> hv.Histogram:
    """Return the part of a `distribution` of so many fibres that is selected."""
    counts, _ = np.histogram(selected[column].dropna(), edges)
    share = counts / max(n_shown, 1)
    bars = hv.Histogram((edges, share), kdims=[label_of(column)], vdims=[SHARE])
    return bars.opts(color=SELECTED, line_alpha=0)


def ecdf(groups: Mapping[str, pd.DataFrame], column: str) -> hv.NdOverlay:
    """Return which share of the fibres of each group has at most a value of a column."""
    drawn = {}
    for name, values, colour in _values(groups, column):
        share = np.linspace(0, 1, min(len(values), MOST_STEPS) + 1)
        steps = np.quantile(values, share, method="inverted_cdf") if len(values) else [np.nan]
        curve = hv.Curve((steps, share), label_of(column), "cumulative share")
        drawn[name] = curve.opts(color=colour, line_width=2, interpolation="steps-post")
    return _grouped(drawn)


def bins(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """Return the edges of `BINS` bins that hold all values of a column."""
    return np.histogram_bin_edges(table[column].dropna(), BINS)


def _values(
    groups: Mapping[str, pd.DataFrame], column: str
) -> Iterator[tuple[str, NDArray[np.float64], str]]:
    """Yield name, known values and colour of every group."""
    for (name, table), colour in zip(groups.items(), cycle(GROUP_COLOURS), strict=False):
        known = table[column].dropna().to_numpy(float)
        yield f"{name} (n = {len(known)})", known, SELECTED if name == "selected" else colour


def _grouped(drawn: dict[str, hv.Curve]) -> hv.NdOverlay:
    return hv.NdOverlay(drawn, kdims="group", sort=False)


def density_map(fibres: pd.DataFrame, micrograph: Micrograph) -> hv.Image:
    """Return how many fibres there are per mm² in each part of a field, by their centres."""
    height, width = micrograph.shape_um
    tile = max(height, width) / DENSITY_TILES
    shape = max(1, round(height / tile)), max(1, round(width / tile))
    left, bottom, right, top = bounds(micrograph)
    counts, _, _ = np.histogram2d(
        fibres["centroid_y_um"],
        fibres["centroid_x_um"],
        bins=shape,
        range=[[bottom, top], [left, right]],
    )
    per_mm2 = counts / (height / shape[0] * width / shape[1] / 1e6)
    label = "fibres per mm²"
    vdims = [("density", label)]
    return hv.Image(per_mm2[::-1], bounds=(left, bottom, right, top), vdims=vdims).opts(
        cmap="cividis",
        clim=(0, max(float(per_mm2.max()), 1.0)),
        colorbar=True,
        colorbar_position="bottom",
        colorbar_opts={"title": label, "height": 10},
        cformatter="%d",
        cticks=5,
        aspect="equal",
        invert_yaxis=True,
        xlabel="x (µm)",
        ylabel="y (µm)",
        tools=["hover"],
    )


def fibre_figure(
    micrograph: Micrograph, objects: NDArray[np.int32], fibres: pd.DataFrame
) -> hv.Layout:
    """Return image with outlines, g-ratio scatter and diameter histogram, linked.

    A selection by box or lasso in one plot shows the same fibres in the others.

    Parameters
    ----------
    micrograph : Micrograph
    objects : (H, W) int32 array
        Whose outlines to draw: axons or fibres.
    fibres : DataFrame
        From `axonlab.measure.measure_fibres`.
    """
    outline = outlines(objects, pixel_size=micrograph.pixel_size)
    linked = hv.link_selections.instance(unselected_alpha=0.1)
    table = hv.Dataset(fibres)

    def selected(selection_expr: hv.dim | None) -> hv.Path:
        chosen = table.select(selection_expr) if selection_expr else table
        ids = chosen.dimension_values("fibre_id") if len(fibres) else []
        return hv.Path([outline[i] for i in ids if i in outline], ["x", "y"]).opts(
            color=FIBRE, line_width=1.5
        )

    centres = hv.Points(fibres, ["centroid_x_um", "centroid_y_um"]).opts(
        color=AXON, size=4, tools=["hover", "box_select", "lasso_select"]
    )
    picture = image(micrograph).opts(frame_width=520) * hv.DynamicMap(
        selected, streams=[linked.param.selection_expr]
    )
    diameters = histogram(fibres, "axon_diameter_um", "axon diameter (µm)")
    ratios = histogram(fibres, "g_ratio", "g-ratio (by area)")
    return (
        (
            (picture * linked(centres)).opts(show_legend=False)
            + linked(g_ratio_scatter(fibres)).opts(frame_width=300, frame_height=300)
            + linked(diameters).opts(frame_width=520, frame_height=140)
            + linked(ratios).opts(frame_width=300, frame_height=140)
        )
        .opts(shared_axes=False)
        .cols(2)
    )
