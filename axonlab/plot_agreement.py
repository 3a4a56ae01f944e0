"""HoloViews elements of how two measurements of the same fibres agree: returned, never shown."""

from __future__ import annotations

import holoviews as hv
import holoviews.plotting.bokeh
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from axonlab.paired import bland_altman, complete, deming

POINTS, BIAS, LIMITS = "#0072b2", "#000000", "#d55e00"
"""Colours of fibres, of the bias or the line through them, and of the limits: Okabe & Ito's."""

BAND_OPACITY = 0.15
"""Of the intervals of confidence."""

SIDE_PX = 340
"""Height of a figure, and width of a square one."""

_IDEAL = "#808080"


def differences(
    a: ArrayLike, b: ArrayLike, quantity: str, *, names: tuple[str, str] = ("ours", "manual")
) -> hv.Overlay:
    """Return the difference of two measurements over their mean, as Bland & Altman draw it.

    Lines are the bias (solid) and the limits of agreement (dashed), bands their 95 % intervals.

    Parameters
    ----------
    a, b : (n,) array
        Two measurements of the same fibres.
    quantity : str
        What they are, with the unit: "axon diameter (µm)".
    names : pair of str
        What to call the measurements.

    Raises
    ------
    ValueError
        If the lengths differ, or there are fewer than three pairs.
    """
    first, second = complete(a, b, name=quantity)
    found = bland_altman(first, second)
    drawn = [hv.HLine(0).opts(color=_IDEAL, line_width=1)]
    for name, colour, dash in (
        ("bias", BIAS, "solid"),
        ("lower", LIMITS, "dashed"),
        ("upper", LIMITS, "dashed"),
    ):
        low, high = found[f"{name}_low"], found[f"{name}_high"]
        drawn += [
            hv.HSpan(low, high).opts(color=colour, alpha=BAND_OPACITY),
            hv.HLine(found[name]).opts(color=colour, line_dash=dash, line_width=2),
        ]
    points = hv.Points(
        ((first + second) / 2, first - second), [("mean", "mean"), ("difference", "difference")]
    ).opts(color=POINTS, size=5, alpha=0.6, tools=["hover"])
    reach = [found["lower_low"], found["upper_high"], *(first - second), 0]
    margin = 0.05 * (max(reach) - min(reach)) or 1
    return hv.Overlay([*drawn, points]).opts(
        xlabel=f"mean of {names[0]} and {names[1]}: {quantity}",
        ylabel=f"{names[0]} − {names[1]}: {quantity}",
        ylim=(min(reach) - margin, max(reach) + margin),
        frame_width=round(1.4 * SIDE_PX),
        frame_height=SIDE_PX,
        title=f"bias {_with_interval(found, 'bias')}, limits {_number(found['lower'])} to "
        f"{_number(found['upper'])}, n = {len(first)}",
    )


def regression(
    a: ArrayLike, b: ArrayLike, quantity: str, *, names: tuple[str, str] = ("ours", "manual")
) -> hv.Overlay:
    """Return one measurement over the other with the line of identity and that of Deming.

    Parameters
    ----------
    a, b : (n,) array
        Two measurements of the same fibres.
    quantity : str
        What they are, with the unit: "axon diameter (µm)".
    names : pair of str
        What to call the measurements.

    Raises
    ------
    ValueError
        If the lengths differ, or there are fewer than three pairs.
    """
    first, second = complete(a, b, name=quantity)
    line = deming(first, second)
    ends = np.array([min(first.min(), second.min()), max(first.max(), second.max())])
    margin = 0.03 * (ends[1] - ends[0]) or 1
    lines = [
        hv.Curve((ends, ends), "x", "y", label="identity").opts(color=_IDEAL, line_dash="dashed"),
        hv.Points((second, first), ["x", "y"], label="fibres").opts(
            color=POINTS, size=5, alpha=0.6, tools=["hover"]
        ),
        hv.Curve(
            (ends, line["intercept"] + line["slope"] * ends), "x", "y", label="Deming regression"
        ).opts(color=LIMITS, line_width=2),
    ]
    limits = (ends[0] - margin, ends[1] + margin)
    return hv.Overlay(lines).opts(
        xlabel=f"{names[1]}: {quantity}",
        ylabel=f"{names[0]}: {quantity}",
        xlim=limits,
        ylim=limits,
        frame_width=SIDE_PX,
        frame_height=SIDE_PX,
        legend_position="bottom_right",
        title=f"slope {_with_interval(line, 'slope')}",
    )


def _with_interval(found: pd.Series[float], name: str) -> str:
    value, low, high = (_number(found[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value} ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
