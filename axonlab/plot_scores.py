"""HoloViews elements of how good a model is: returned, never shown."""

from __future__ import annotations

import holoviews as hv
import holoviews.plotting.bokeh
import numpy as np
import pandas as pd

from axonlab.calibration import expected_calibration_error
from axonlab.micrograph import CLASS_COLOURS, CLASSES

WHITE_TO_BLUE = ["#ffffff", "#d6ecf9", "#aedaf2", "#85c7ee", CLASS_COLOURS[CLASSES["axon"]]]
"""Light enough for black figures anywhere in it."""

ROW_PX = 18
"""Height of an image in a list of images."""

ROWS = 6
"""Height of a list of images at least, in images: legend and tools have their room."""

CHANGE_LABELS = {
    "pixel size": "error of the claimed pixel size (%)",
    "blur": "Gaussian blur (σ in px of the model)",
    "noise": "white noise (sd in % of the grey range)",
}
"""Axes of `robustness`."""

_LINE = "#808080"


def confusion(table: pd.DataFrame) -> hv.Overlay:
    """Return which share of every true class was found as what.

    Parameters
    ----------
    table : DataFrame
        Pixels, from `axonlab.score.confusion` or a sum of such tables.
    """
    cells = table.iloc[::-1].melt(ignore_index=False, value_name="pixels").reset_index()
    cells["share"] = cells["pixels"] / cells.groupby("truth")["pixels"].transform("sum")
    cells["text"] = cells["share"].map("{:.1%}".format).replace("nan%", "–")
    squares = hv.HeatMap(cells, ["found", "truth"], ["share", "pixels"]).opts(
        cmap=WHITE_TO_BLUE,
        clim=(0, 1),
        tools=["hover"],
        xlabel="found",
        ylabel="truth",
        frame_width=90 * len(table.columns),
        frame_height=60 * len(table),
        title="what each true class was found as",
    )
    figures = hv.Labels(cells, ["found", "truth"], "text").opts(
        text_color="black", text_font_size="11pt"
    )
    return squares * figures


def reliability(table: pd.DataFrame) -> hv.Layout:
    """Return how often a model is right by how sure it is, over how many pixels that is.

    Bins without pixels are left out. On the dashed line it is right as often as it says; below it,
    it is too sure of itself.

    Parameters
    ----------
    table : DataFrame
        From `axonlab.calibration.reliability`, or a sum of such tables.
    """
    filled = table[table["pixels"] > 0]
    points = pd.DataFrame(
        {
            "confidence": filled["confidence"] / filled["pixels"],
            "accuracy": filled["correct"] / filled["pixels"],
            "pixels": filled["pixels"],
        }
    )
    error = expected_calibration_error(table)
    colour = CLASS_COLOURS[CLASSES["myelin"]]
    measured = hv.Curve(points, "confidence", "accuracy").opts(color=colour, line_width=2)
    dots = hv.Points(points, ["confidence", "accuracy"], "pixels").opts(
        color=colour, size=7, tools=["hover"]
    )
    ideal = hv.Curve([(0, 0), (1, 1)], "confidence", "accuracy").opts(
        color=_LINE, line_dash="dashed"
    )
    upper = (ideal * measured * dots).opts(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="confidence of the most probable class",
        ylabel="share that is right",
        frame_width=300,
        frame_height=300,
        title=f"expected calibration error {error:.1%}",
    )
    shares = table["pixels"] / max(table["pixels"].sum(), 1)
    edges = [table.index[0].left, *table.index.right]
    lower = hv.Histogram((edges, shares.to_numpy()), kdims="confidence", vdims="share").opts(
        color=colour,
        xlim=(0, 1),
        xlabel="confidence of the most probable class",
        ylabel="share of pixels",
        frame_width=300,
        frame_height=80,
    )
    return (upper + lower).opts(shared_axes=False).cols(1)


def per_image(images: pd.DataFrame) -> hv.Overlay:
    """Return the Dice of every class in every image, by animal, the worst image on top.

    Parameters
    ----------
    images : DataFrame
        The `images` of an `axonlab.evaluate.Evaluation`.
    """
    ordered = images.sort_values(["animal", "mean_dice"], kind="stable")
    ticks, rows = [], []
    for animal, group in ordered.groupby("animal"):
        ticks.append((-len(ticks), f"{animal}:"))
        for name, index in zip(group["image"], group.index, strict=True):
            rows.append((index, -len(ticks)))
            ticks.append((-len(ticks), str(name)))
    placed = ordered.assign(row=pd.Series(dict(rows)))
    columns = [c for c in images if c.startswith("dice_")]
    dots = [
        hv.Points(placed, [(column, "Dice"), "row"], ["image", "animal"], label=name).opts(
            color=CLASS_COLOURS[CLASSES[name]], size=8, tools=["hover"]
        )
        for column, name in ((c, c.removeprefix("dice_").replace("_", " ")) for c in columns)
    ]
    return hv.Overlay(dots).opts(
        xlabel="Dice",
        ylabel="",
        yticks=ticks,
        ylim=(-len(ticks) + 0.5, 0.5),
        xlim=(min(0.5, float(images[columns].min(axis=None))) - 0.02, 1.02),
        show_grid=True,
        frame_width=420,
        frame_height=ROW_PX * max(len(ticks), ROWS),
        legend_position="right",
        toolbar="above",
        title="Dice of each image, by animal",
    )


def paired(
    comparison: pd.DataFrame,
    summary: pd.DataFrame,
    *,
    names: tuple[str, str] = ("the first", "the second"),
) -> hv.Overlay:
    """Return by how much a second model is better than a first one: above 0 it is.

    Small dots are images, a column of them an animal; the diamond is the mean of the animals, its
    bar the 95 % interval, where there are enough of them.

    Parameters
    ----------
    comparison : DataFrame
        From `axonlab.evaluate.compare`.
    summary : DataFrame
        Of it, from `axonlab.evaluate.summarise`.
    names : pair of str
        What to call the models.
    """
    animals = sorted(set(comparison["animal"]))
    aside = dict(zip(animals, np.linspace(-0.25, 0.25, len(animals) + 2)[1:-1], strict=True))
    drawn = [hv.HLine(0).opts(color=_LINE, line_width=1)]
    for place, (name, row) in enumerate(summary.iterrows()):
        table = comparison[comparison["class"] == name]
        table = table.assign(place=place + table["animal"].map(aside))
        colour = CLASS_COLOURS[CLASSES[str(name)]]
        drawn.append(
            hv.Points(table, ["place", "difference"], ["image", "animal"]).opts(
                color=colour, size=5, alpha=0.7, tools=["hover"]
            )
        )
        mean, middle = row["difference"], place + 0.38
        if np.isfinite(row["low"]):
            bar = (middle, mean, mean - row["low"], row["high"] - mean)
            drawn.append(hv.ErrorBars([bar], vdims=["difference", "below", "above"]))
        drawn.append(hv.Points([(middle, mean)]).opts(color=colour, marker="diamond", size=12))
    shown = pd.concat([comparison["difference"], summary["low"], summary["high"]])
    low, high = min(0.0, float(shown.min())), max(0.0, float(shown.max()))
    margin = 0.05 * (high - low) or 0.05
    return hv.Overlay(drawn).opts(
        xticks=list(enumerate(map(str, summary.index))),
        xlim=(-0.5, len(summary) - 0.4),
        xlabel="",
        ylabel=f"Dice of {names[1]} − {names[0]}",
        ylim=(low - margin, high + margin),
        frame_width=140 * len(summary),
        frame_height=260,
        title=f"differences in the same images of {len(animals)} animal{'s' * (len(animals) != 1)}",
    )


def robustness(table: pd.DataFrame) -> hv.Layout:
    """Return how the Dice of each class moves with each change.

    Parameters
    ----------
    table : DataFrame
        From `axonlab.evaluate.robustness`.
    """
    low = float(table["dice"].min()) - 0.02
    panels = []
    for change, rows in table.groupby("change", sort=False):
        in_percent = "%" in CHANGE_LABELS[change]
        rows = rows.assign(amount=rows["amount"] * (100 if in_percent else 1))
        start, end = rows["amount"].min(), rows["amount"].max()
        margin = 0.05 * (end - start)
        curves = []
        for name, curve in rows.groupby("class", sort=False):
            colour = CLASS_COLOURS[CLASSES[name]]
            line = hv.Curve(curve, "amount", "dice", label=name).opts(color=colour)
            curves += [line, hv.Points(curve, ["amount", "dice"]).opts(color=colour, size=6)]
        panels.append(
            hv.Overlay(curves).opts(
                xlabel=CHANGE_LABELS[change],
                ylabel="Dice",
                xticks=sorted(set(rows["amount"])),
                xlim=(start - margin, end + margin),
                ylim=(low, 1),
                frame_width=230,
                frame_height=220,
                show_legend=change == "noise",
                legend_position="right",
            )
        )
    return hv.Layout(panels).opts(shared_axes=False).cols(len(panels))
