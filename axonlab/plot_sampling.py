"""HoloViews elements of fields of view and of worse images: returned, never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
import pandas as pd

from axonlab.phantom import Phantom
from axonlab.plot import grey, overlay
from axonlab.plot_measuring import (
    COUNTED,
    INCLUDING,
    INK,
    LEFT_OUT,
    PICTURE_PX,
    PLOT_PX,
    STRIKING,
    finished,
    places,
    rgb,
)
from axonlab.sampling import RULES, Field, counted

if TYPE_CHECKING:  # it imports torch, which drawing does not need
    from axonlab.image_trial import Trial

RULE_COLOURS = dict(zip(RULES, ("#e69f00", "#cc79a7", "#0072b2"), strict=True))
"""Of rules of counting."""


def field_picture(tissue: Phantom, field: Field, rule: str, *, context: float = 5.0) -> hv.Overlay:
    """Return a field of view and what is around it: fibres that a rule counts, and the others.

    Parameters
    ----------
    tissue : Phantom
    field : Field
    rule : str
        One of `axonlab.sampling.RULES`.
    context : float
        Width of what is shown around the field, in µm.
    """
    size = tissue.micrograph.pixel_size
    margin = round(context / size)
    rows, columns = (
        slice(max(part.start - margin, 0), part.stop + margin) for part in field.window
    )
    fibres, axons = tissue.fibres[rows, columns], tissue.axons[rows, columns]
    table = counted(tissue, field)
    chosen = np.isin(fibres, table.index[table[rule]])
    seen = np.isin(fibres, table.index) & ~chosen
    shown = np.repeat(grey(tissue.micrograph.pixels[rows, columns])[..., None], 3, axis=2)
    for mask, colour in ((chosen, COUNTED), (seen, LEFT_OUT)):
        for part, opacity in ((mask & (axons == 0), 0.45), (mask & (axons > 0), 0.85)):
            mixed = (1 - opacity) * shown[part] + opacity * rgb(colour)
            shown[part] = mixed.astype(np.uint8)
    height, width = np.array(fibres.shape) * size
    left, top = columns.start * size, rows.start * size
    x, y, side = field.left * size, field.top * size, field.side * size
    corners = (
        [(x, y + side), (x, y), (x + side, y)],
        [(x, y + side), (x + side, y + side), (x + side, y)],
    )
    is_frame = rule == RULES[2]
    looks = (STRIKING, "solid"), (INCLUDING, "dashed") if is_frame else (STRIKING, "solid")
    # HoloViews counts rows from the bottom
    picture = hv.RGB(shown[::-1], bounds=(left, top, left + width, top + height), kdims=["x", "y"])
    edges = [
        hv.Path([line], ["x", "y"]).opts(color=colour, line_width=4, line_dash=dash)
        for line, (colour, dash) in zip(corners, looks, strict=True)
    ]
    return finished(
        [picture, *edges],
        title=f"blue: {int(table[rule].sum())} counted; orange: {int((~table[rule]).sum())} not",
        xlim=(left, left + width),
        ylim=(top, top + height),
        invert_yaxis=True,
        xlabel="x (µm)",
        ylabel="y (µm)",
        frame_width=PICTURE_PX,
        frame_height=PICTURE_PX,
    )


def rule_dots(
    counts: pd.DataFrame, true: pd.Series, errors: pd.DataFrame, column: str
) -> hv.Overlay:
    """Return how far fields are from the truth by each rule, and all of them together.

    Parameters
    ----------
    counts, true, errors
        From `count_fields`, `truth` and `compare_rules` of `axonlab.sampling`.
    column : {"density_per_mm2", "axon_diameter_um"}
    """
    quantity = column.removesuffix("_per_mm2").removesuffix("_um")
    drawn: list[hv.Element] = [_zero_line()]
    for place, rule in places(RULES):
        values = counts.loc[counts["rule"] == rule, column].dropna()
        error = 100 * (values / true[column] - 1)
        aside = np.linspace(-0.22, 0.22, len(error)) if len(error) > 1 else np.zeros(len(error))
        dots = hv.Points((error, place + aside), ["error", "row"])
        drawn.append(dots.opts(color=RULE_COLOURS[rule], size=5, alpha=0.45))
        mean = hv.Points([(errors.loc[rule, quantity], place)], ["error", "row"])
        drawn.append(mean.opts(color=RULE_COLOURS[rule], size=14, marker="diamond", line_color=INK))
    words = ", ".join(f"{round(errors.loc[rule, quantity]):+d} %" for rule in RULES)
    return finished(
        drawn,
        yticks=places(RULES),
        ylim=(-len(RULES) + 0.5, 0.5),
        xlim=(-80, 80) if quantity == "density" else (-40, 40),
        xlabel=f"error of {quantity.replace('_', ' ')} (%)",
        ylabel="",
        title=f"{quantity.replace('_', ' ')}: {words}".replace("-", "−"),
        frame_width=PLOT_PX,
        frame_height=130,
    )


def trial_picture(trial: Trial) -> hv.Overlay:
    """Return a phantom with the classes that a model found over it."""
    micrograph = trial.phantom.micrograph
    height, width = micrograph.shape_um
    drawn = overlay(micrograph, trial.labels)
    bare = np.repeat(grey(micrograph.pixels)[..., None], 3, axis=2)
    # half with, half without: both are to be seen
    middle = bare.shape[1] // 2
    shown = np.concatenate([bare[:, :middle], drawn[:, middle:]], axis=1)
    picture = hv.RGB(shown[::-1], bounds=(0, 0, width, height), kdims=["x", "y"])
    return finished(
        [picture],
        title="left: the image; right: with what was found",
        xlim=(0, width),
        ylim=(0, height),
        invert_yaxis=True,
        xlabel="x (µm)",
        ylabel="y (µm)",
        frame_width=PICTURE_PX,
        frame_height=round(PICTURE_PX * height / width),
    )


def trial_scores(tried: pd.DataFrame) -> hv.Overlay:
    """Return the error of the mean g-ratio over the Dice of myelin, for all that was tried.

    Parameters
    ----------
    tried : DataFrame
        From `axonlab.image_trial.try_conditions`, the current one last; it stands out.
    """
    last = tried.iloc[[-1]]
    columns = ["dice_myelin", "g_error"]
    return finished(
        [
            hv.HLine(0).opts(color=INK, line_width=1),
            hv.Points(tried, columns, [("blur_um", "blur (µm)"), "noise", "dice_axon"]).opts(
                color="blur_um",
                cmap="cividis",
                clim=(0, 0.6),
                colorbar=True,
                colorbar_opts={"background_fill_alpha": 0}
                | dict.fromkeys(("title_text_color", "major_label_text_color"), INK),
                size=9,
                line_color=INK,
                tools=["hover"],
            ),
            hv.Points(last, columns).opts(
                fill_alpha=0, color=STRIKING, line_color=STRIKING, size=18, line_width=3
            ),
        ],
        title="each dot a try; the ring is the picture's",
        xlabel="Dice of myelin",
        ylabel="error of the mean g-ratio",
        xlim=(0.3, 1.0),
        ylim=(-0.2, 0.2),
        frame_width=PLOT_PX,
        frame_height=260,
    )


def _zero_line() -> hv.VLine:
    return hv.VLine(0).opts(color=INK, line_dash="dashed", line_width=1.5)
