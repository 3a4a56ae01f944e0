"""HoloViews elements of micrographs and their fibres: returned, never shown. Axes in µm."""

from __future__ import annotations

import math

import holoviews as hv
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from axonlab.micrograph import (
    CLASS_COLOURS,
    CLASSES,
    Micrograph,
    intensity_range,
    normalise,
)

OPACITY = 0.4
"""Of the classes over the image."""

DISPLAY_PIXELS = 4_000_000
"""Larger images are thinned before they are sent to the browser."""

_COLOURS = np.zeros((256, 3), np.uint8)
for _id, _colour in CLASS_COLOURS.items():
    _COLOURS[_id] = list(bytes.fromhex(_colour[1:]))

AXON, FIBRE = CLASS_COLOURS[CLASSES["axon"]], CLASS_COLOURS[CLASSES["myelin"]]


def image(micrograph: Micrograph) -> hv.Image:
    """Return the micrograph in grey, its darkest and brightest per cent clipped."""
    return hv.Image(_rows_up(_grey(micrograph)), bounds=_bounds(micrograph), kdims=["x", "y"]).opts(
        cmap="gray",
        clim=(0, 255),
        aspect="equal",
        invert_yaxis=True,
        xlabel="x (µm)",
        ylabel="y (µm)",
        title=micrograph.name,
    )


def classes(micrograph: Micrograph, labels: NDArray[np.uint8]) -> hv.RGB:
    """Return the classes of a micrograph in colour, nothing where there is background."""
    alpha = np.where(labels == CLASSES["background"], 0, 255).astype(np.uint8)
    coloured = np.dstack([_COLOURS[labels], alpha])
    return hv.RGB(_rows_up(coloured), bounds=_bounds(micrograph), kdims=["x", "y"]).opts(
        alpha=OPACITY, invert_yaxis=True
    )


def overlay(micrograph: Micrograph, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the micrograph with its classes in colour, as (H, W, 3) uint8 for a PNG."""
    share = np.where(labels == CLASSES["background"], 0, OPACITY).astype(np.float32)[..., None]
    mixed = (1 - share) * _grey(micrograph)[..., None] + share * _COLOURS[labels]
    return mixed.round().astype(np.uint8)


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


def g_ratio_scatter(fibres: pd.DataFrame) -> hv.Points:
    """Return the g-ratio of every myelinated fibre against its *fibre* diameter.

    Against the axon diameter, which is part of the ratio, chance alone makes a slope.
    """
    myelinated = fibres[fibres["is_myelinated"]]
    return hv.Points(myelinated, ["fibre_diameter_um", "g_ratio"]).opts(
        xlabel="fibre diameter (µm)",
        ylabel="g-ratio (by area)",
        ylim=(0, 1),
        color=AXON,
        size=5,
        tools=["hover"],
        title="g-ratio against fibre diameter",
    )


def histogram(fibres: pd.DataFrame, column: str, label: str) -> hv.Histogram:
    """Return how many fibres have which value of a column."""
    known = hv.Dataset(fibres[fibres[column].notna()], kdims=list(fibres.columns))
    return hv.operation.histogram(known, dimension=column, num_bins=30).opts(
        xlabel=label, ylabel="fibres", color=AXON
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


def _grey(micrograph: Micrograph) -> NDArray[np.uint8]:
    pixels = normalise(micrograph.pixels, *intensity_range(micrograph.pixels))
    return (pixels.clip(0, 1) * 255).astype(np.uint8)


def _rows_up(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return rows from the bottom up, as HoloViews counts them, thinned to what a screen shows."""
    step = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / DISPLAY_PIXELS))
    return pixels[::step, ::step][::-1]


def _bounds(micrograph: Micrograph) -> tuple[float, float, float, float]:
    """Return left, bottom, right, top in µm: 0 is the centre of the first pixel, y points down."""
    height, width = micrograph.shape_um
    half = micrograph.pixel_size / 2
    return -half, -half, width - half, height - half
