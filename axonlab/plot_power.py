"""HoloViews elements of the power of comparisons of animals: returned, never shown."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from axonlab.plot_measuring import COUNTED, INK, LETTERS, PLOT_PX, STRIKING, finished
from axonlab.power import Design, power_table

GROUP_COLOURS = ("#0072b2", "#e69f00")
"""Of two groups of animals."""

WANTED_POWER = 0.8
"""That a study is usually planned for."""

_RING = {"color": STRIKING, "fill_alpha": 0, "line_color": STRIKING, "size": 14, "line_width": 3}


def _wanted() -> hv.HLine:
    return hv.HLine(WANTED_POWER).opts(color=INK, line_dash="dashed", line_width=1)


def experiment_dots(fibres: pd.DataFrame) -> hv.Overlay:
    """Return the fibres of one experiment as faint dots, and the means of its animals.

    Parameters
    ----------
    fibres : DataFrame
        From `axonlab.power.draw_experiment`. Of each animal 60 fibres are drawn at most.
    """
    few = fibres.groupby("animal").head(60)
    aside = np.tile(np.linspace(-0.3, 0.3, 60), len(few) // 60 + 1)[: len(few)]
    few = few.assign(place=few["animal"] + aside)
    means = fibres.groupby(["group", "animal"], sort=False)["g_ratio"].mean().reset_index()
    drawn: list[hv.Element] = []
    for group, colour in zip(means["group"].unique(), GROUP_COLOURS, strict=True):
        dots = hv.Points(few[few["group"] == group], ["place", "g_ratio"])
        drawn.append(dots.opts(color=colour, size=3, alpha=0.35))
    for group, colour in zip(means["group"].unique(), GROUP_COLOURS, strict=True):
        own = means[means["group"] == group]
        drawn.append(
            hv.Points(own, ["animal", "g_ratio"], label=f"{group} group, means").opts(
                color=colour, size=11, marker="diamond", line_color="#000000"
            )
        )
    n = int(means["animal"].max())
    return finished(
        drawn,
        title="one experiment: dots fibres, diamonds animals",
        xlabel="animal",
        ylabel="g-ratio",
        xlim=(0.4, n + 0.6),
        ylim=(0.45, 0.95),
        show_legend=False,
        frame_width=PLOT_PX,
        frame_height=260,
    )


FIBRES_SHOWN = tuple(int(m) for m in np.unique(np.logspace(0, 4, 33).round()))
"""Numbers of fibres per animal along the axis of `power_by_fibres`."""


def power_by_fibres(design: Design, found: float) -> hv.Overlay:
    """Return the power over the number of fibres, with some numbers of animals.

    Parameters
    ----------
    design : Design
    found : float
        Share of simulated experiments of this design that found the effect: the ring.
    """
    several = sorted({3, 6, 12, 24, design.animals})
    table = power_table(design, several, FIBRES_SHOWN)
    drawn: list[hv.Element] = []
    for n, row in table.iterrows():
        is_own = n == design.animals
        curve = hv.Curve((table.columns, row), "fibres", "power").opts(
            color=STRIKING if is_own else COUNTED,
            line_width=3 if is_own else 1.5,
            line_dash="solid" if is_own else "dotted",
        )
        drawn.append(curve)
    ends = pd.DataFrame({"x": 1.2e4, "y": table.iloc[:, -1], "text": [f"n = {n}" for n in several]})
    drawn.append(hv.Labels(ends, ["x", "y"], "text").opts(**LETTERS, text_align="left"))
    drawn.append(hv.Points([(design.fibres, found)]).opts(**_RING))
    return finished(
        [*drawn, _wanted()],
        title="more fibres: a ceiling for every n of animals",
        xlabel="fibres per animal",
        ylabel="power",
        logx=True,
        xlim=(1, 6e4),
        ylim=(0, 1.02),
        xticks=[1, 10, 100, 1000, 10_000],
        frame_width=PLOT_PX,
        frame_height=260,
    )


def power_by_animals(design: Design, found: float) -> hv.Overlay:
    """Return the power over the number of animals, with these fibres and with ever more.

    Parameters
    ----------
    design : Design
    found : float
        As for `power_by_fibres`.
    """
    animals = np.arange(2, 31)
    looks = {
        f"{design.fibres} fibres per animal": (design.fibres, STRIKING, "solid", 3),
        "10 fibres": (10, COUNTED, "dotted", 2),
        "all the fibres there are": (10**7, COUNTED, "dashed", 2),
    }
    table = power_table(design, animals, [m for m, *_ in looks.values()])
    drawn: list[hv.Element] = []
    for i, (label, (_, colour, dash, width)) in enumerate(looks.items()):
        curve = hv.Curve((animals, table.iloc[:, i]), "animals", "power", label=label)
        drawn.append(curve.opts(color=colour, line_dash=dash, line_width=width))
    drawn.append(hv.Points([(design.animals, found)]).opts(**_RING))
    return finished(
        [*drawn, _wanted()],
        title="more animals: all the way up",
        xlabel="animals per group",
        ylabel="power",
        xlim=(2, 30),
        ylim=(0, 1.02),
        legend_position="bottom_right",
        frame_width=PLOT_PX,
        frame_height=260,
    )


def power_figure(table: pd.DataFrame, title: str) -> Figure:
    """Return power over fibres per animal as a figure for print, one line per number of animals.

    Parameters
    ----------
    table : DataFrame
        From `axonlab.power.power_table`.
    title : str
    """
    figure = Figure(figsize=(3.5, 2.8), layout="constrained")
    axes = figure.subplots()
    greys = np.linspace(0.75, 0.0, len(table))
    for (n, row), shade in zip(table.iterrows(), greys, strict=True):
        axes.plot(table.columns, row, color=str(shade), label=f"{n} animals per group")
    axes.axhline(WANTED_POWER, color=STRIKING, linestyle="dashed", linewidth=0.8)
    axes.set(xscale="log", ylim=(0, 1), xlabel="fibres per animal", ylabel="power")
    axes.set_title(title, fontsize=8)
    axes.legend(frameon=False, fontsize=7)
    return figure
