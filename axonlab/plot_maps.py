"""HoloViews elements of maps of fibres: returned, never shown. Axes in µm."""

from __future__ import annotations

from collections.abc import Sequence

import holoviews as hv
import holoviews.plotting.bokeh
import numpy as np
import pandas as pd

from axonlab.maps import QUANTITIES
from axonlab.summary import check_columns

SHOWN = (
    "density_per_mm2",
    "axon_diameter_um",
    "g_ratio",
    "axon_volume_fraction",
    "myelin_volume_fraction",
    "aggregate_g_ratio",
)
"""Columns of `axonlab.maps.fibre_maps` that are drawn side by side."""

UNKNOWN = "rgba(0, 0, 0, 0)"
"""Of cells of which too little is known: what lies below them is seen."""

FRAME_PX = 300
"""Width of a map among others."""

_PLACES = ["row", "column", "cell_um", "centre_y_um", "centre_x_um"]
_WHOLE = ("field_area_um2", "n_fibres", "n_complete", "n_unmyelinated")
_FROM_ZERO = (*_WHOLE, "density_per_mm2", "unmyelinated_density_per_mm2")


def fibre_map(maps: pd.DataFrame, column: str) -> hv.Image:
    """Return one quantity in all cells of a grid, nothing where too little is known.

    Parameters
    ----------
    maps : DataFrame
        From `axonlab.maps.fibre_maps` or `axonlab.maps.map_slide`.
    column : str
        One of `axonlab.maps.QUANTITIES`.

    Raises
    ------
    ValueError
        If there is no such quantity, or the table lacks a column.
    """
    if column not in QUANTITIES:
        raise ValueError(f"There is no map of {column!r}: choose one of {', '.join(QUANTITIES)}.")
    check_columns(maps, [*_PLACES, "n_fibres", column], "the table of fibre_maps")
    words, unit = QUANTITIES[column]
    label = f"{words} ({unit})" if unit else words
    values, fibres = _plane(maps, column), _plane(maps, "n_fibres")
    half = maps["cell_um"].iloc[0] / 2
    left, top = maps["centre_x_um"].min() - half, maps["centre_y_um"].min() - half
    right, bottom = maps["centre_x_um"].max() + half, maps["centre_y_um"].max() + half
    # dimensions of one name would share their range, and HoloViews would look for that of nothing
    span = _range(values, column)
    vdims = [hv.Dimension(f"map_{column}", label=label, range=span), hv.Dimension("fibres")]
    return hv.Image(
        np.stack([values, fibres], axis=-1)[::-1],  # HoloViews counts rows from the bottom
        bounds=(left, top, right, bottom),
        kdims=["x", "y"],
        vdims=vdims,
    ).opts(
        cmap="cividis",
        clim=span,
        clipping_colors={"NaN": UNKNOWN},
        colorbar=True,
        clabel="",  # the title tells it; beside the bar it would be over the figures
        cformatter="%d" if column in _FROM_ZERO else "%.2f",
        aspect="equal",
        invert_yaxis=True,
        xlabel="x (µm)",
        ylabel="y (µm)",
        title=label,
        tools=["hover"],
    )


def fibre_maps(maps: pd.DataFrame, columns: Sequence[str] = SHOWN) -> hv.Layout:
    """Return several quantities side by side, as `fibre_map` draws each; they move together."""
    drawn = [fibre_map(maps, column).opts(frame_width=FRAME_PX) for column in columns]
    return hv.Layout(drawn).cols(2)


def _plane(maps: pd.DataFrame, column: str) -> np.ndarray:
    """Return a quantity as it lies on the field, NaN where there is no cell."""
    plane = np.full((maps["row"].max() + 1, maps["column"].max() + 1), np.nan)
    plane[maps["row"], maps["column"]] = maps[column]
    return plane


def _range(values: np.ndarray, column: str) -> tuple[float, float]:
    """Return what the colours reach from and to: from 0 what is counted."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low = 0.0 if column in _FROM_ZERO else float(known.min())
    return low, max(float(known.max()), low + 1e-9)
