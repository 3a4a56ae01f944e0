"""Figures for print: millimetres and points, text that stays text, in SVG, PDF and PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from axonlab.io import write_bytes
from axonlab.literature import OPTIMA, USUAL_G_RATIO
from axonlab.micrograph import Micrograph
from axonlab.plot_fibres import (
    AXON,
    GROUP_COLOURS,
    bins,
    diameter_span,
    label_of,
)
from axonlab.plot_window import Pyramid, colour_range, outlined, window_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_MM = 180
"""Of two columns of a journal."""

HEIGHT_MM = 150

DPI = 300

IMAGE_PIXELS = 900
"""Longer side of the image in the figure: as many as `DPI` needs."""

STYLE = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 6,
    "lines.linewidth": 1,
    "svg.fonttype": "none",  # text, not outlines of its letters
    "pdf.fonttype": 42,
    "savefig.dpi": DPI,
}
SUFFIXES = (".svg", ".pdf", ".png")
SCALE_BARS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def fibre_figure(
    micrograph: Micrograph,
    objects: NDArray[np.int32],
    fibres: pd.DataFrame,
    *,
    g_ratio: str = "g_ratio",
) -> Figure:
    """Return image with outlines by g-ratio, both scatter plots and the distribution of diameters.

    Parameters
    ----------
    micrograph : Micrograph
    objects : (H, W) int32 array
        Ids of the fibres of the whole image.
    fibres : DataFrame
        Rows of the fibres to be drawn, from `axonlab.measure.measure_fibres`.
    g_ratio : str
        Column of the definition to use.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_MM / 25.4, HEIGHT_MM / 25.4), layout="constrained")
        panels = figure.subplots(2, 2)
        _draw_image(panels[0, 0], micrograph, objects, fibres.set_index("fibre_id")[g_ratio])
        _draw_g_ratios(panels[0, 1], fibres, g_ratio)
        _draw_diameters(panels[1, 0], fibres)
        _draw_distribution(panels[1, 1], fibres)
        for axes, letter in zip(panels.flat, "abcd", strict=True):
            axes.set_title(letter, loc="left", fontweight="bold")
    return figure


def save(path: str | Path, figure: Figure, *, overwrite: bool = False) -> Path:
    """Write a figure, at 300 dpi where it is made of pixels.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If the suffix is not .svg, .pdf or .png.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: figures are written as {', '.join(SUFFIXES)}.")
    content = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(content, format=suffix[1:])
    return write_bytes(path, content.getvalue(), overwrite=overwrite)


def _draw_image(
    axes: Axes, micrograph: Micrograph, objects: NDArray[np.int32], values: pd.Series[float]
) -> None:
    window = window_of(micrograph.pixels.shape, micrograph.pixel_size, frame=IMAGE_PIXELS)
    left, top, right, bottom = window.bounds
    extent = (left, right, bottom, top)
    axes.imshow(Pyramid(micrograph).picture(window), cmap="gray", vmin=0, vmax=255, extent=extent)
    low, high = colour_range(values)
    edges = outlined(objects, window, values)
    look = {"cmap": "viridis", "vmin": low, "vmax": high, "interpolation": "nearest"}
    drawn = axes.imshow(edges, extent=extent, **look)
    label = label_of(str(values.name))
    axes.figure.colorbar(drawn, ax=axes, label=label, shrink=0.8, extend="both")
    _draw_scale_bar(axes, right - left, bottom)
    axes.axis("off")


def _draw_scale_bar(axes: Axes, width: float, bottom: float) -> None:
    length = max([bar for bar in SCALE_BARS_UM if bar <= width / 4], default=SCALE_BARS_UM[0])
    axes.plot([0, length], [bottom + 0.04 * width] * 2, color="black", linewidth=2, clip_on=False)
    axes.text(length / 2, bottom + 0.06 * width, f"{length} µm", ha="center", va="top")


def _draw_g_ratios(axes: Axes, fibres: pd.DataFrame, g_ratio: str) -> None:
    ends = np.array([0, diameter_span(fibres)])
    _draw_bands(axes, ends, np.ones(2))
    _draw_dots(axes, fibres, g_ratio)
    axes.set(xlim=ends, ylim=(0, 1))
    axes.legend(loc="lower right")


def _draw_diameters(axes: Axes, fibres: pd.DataFrame) -> None:
    ends = np.array([0, diameter_span(fibres)])
    _draw_bands(axes, ends, ends)
    _draw_dots(axes, fibres, "axon_diameter_um")
    axes.set(xlim=ends, ylim=ends)


def _draw_bands(axes: Axes, x: NDArray[np.float64], per_g: NDArray[np.float64]) -> None:
    low, high = USUAL_G_RATIO
    label = f"g-ratio {low:g} to {high:g}: usual"
    axes.fill_between(x, low * per_g, high * per_g, color="0.5", alpha=0.2, lw=0, label=label)
    for (name, g), dashes in zip(OPTIMA.items(), ("--", ":"), strict=True):
        axes.plot(x, g * per_g, dashes, color="0.4", label=name)


def _draw_dots(axes: Axes, fibres: pd.DataFrame, y: str) -> None:
    x = "fibre_diameter_um"
    # many thousand dots as pixels: as shapes they make files of megabytes
    axes.scatter(fibres[x], fibres[y], s=4, color=AXON, linewidths=0, rasterized=len(fibres) > 2000)
    axes.set(xlabel=label_of(x), ylabel=label_of(y))


def _draw_distribution(axes: Axes, fibres: pd.DataFrame) -> None:
    columns = ("axon_diameter_um", "fibre_diameter_um")
    for column, style, colour in zip(columns, ("-", "--"), GROUP_COLOURS, strict=False):
        edges = bins(fibres, column)
        counts, _ = np.histogram(fibres[column], edges)
        axes.stairs(
            counts / max(len(fibres), 1), edges, ls=style, color=colour, label=label_of(column)
        )
    axes.set(xlabel="diameter (µm)", ylabel=f"share of {len(fibres)} fibres")
    axes.legend(loc="upper right")
