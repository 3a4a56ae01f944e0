"""HoloViews elements of maps of membranes and of the networks that make them."""

from __future__ import annotations

from collections.abc import Mapping

import holoviews as hv
import holoviews.plotting.bokeh
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.calibration import expected_calibration_error
from axonlab.micrograph import Micrograph
from axonlab.plot import uncertainty
from axonlab.plot_cells import COLOURS

_DASHES = ("solid", "dashed", "dotted", "dotdash")
_COLOURS = ("#000000", *(COLOURS[i] for i in (4, 5, 2, 0, 6)))  # the darker ones: lines are thin


def interior_map(micrograph: Micrograph, probability: NDArray[np.float32], label: str) -> hv.Image:
    """Return how probable interior is in grey: 0 (membrane) is black, 1 is white.

    Parameters
    ----------
    micrograph : Micrograph
        The section.
    probability : (H, W) float or bool array
    label : str
        Title of the map.
    """
    shown = np.asarray(probability, np.float32)
    return uncertainty(micrograph, shown, label).opts(cmap="gray", clim=(0, 1), colorbar=False)


def learning_curves(
    histories: Mapping[str, pd.DataFrame],
    score: tuple[str, str] = ("dice_membrane", "Dice of membranes"),
) -> hv.Overlay:
    """Return how a score on what is kept for validation grew in several trainings.

    Parameters
    ----------
    histories : mapping of str to DataFrame
        As `axonlab.fit.Fit.history`, by the name of the network.
    score : pair of str
        Its column, and what to call it.
    """
    curves = []
    for n, (name, history) in enumerate(histories.items()):
        line = _line(n)
        shown = history.assign(epoch=history["epoch"] + 1)  # they are counted from 1
        axes = ["epoch", score]
        curves.append(hv.Curve(shown, *axes, label=name).opts(**line))
        curves.append(hv.Points(shown, axes).opts(color=line["color"], size=5))
    return hv.Overlay(curves).opts(
        ylim=(0, 1), xlabel="epochs", frame_width=420, frame_height=240, legend_position="right"
    )


def reliability(tables: Mapping[str, pd.DataFrame]) -> hv.Overlay:
    """Return how often interior is there by how probable it is called, for several maps at once.

    On the grey line a probability means what it says; the legend has the expected calibration
    errors.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        From `axonlab.posterior.posterior_reliability`, by the name of the map.
    """
    curves = [hv.Curve([(0, 0), (1, 1)], "said", "found", label="ideal").opts(color="#808080")]
    for n, (name, table) in enumerate(tables.items()):
        filled = table[table["pixels"] > 0]
        said, found = (filled[of] / filled["pixels"] for of in ("confidence", "correct"))
        label = f"{name}: {expected_calibration_error(table):.1%}"
        curves.append(hv.Curve((said, found), "said", "found", label=label).opts(**_line(n)))
    return hv.Overlay(curves).opts(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="probability of interior",
        ylabel="share that is interior",
        frame_width=320,
        frame_height=320,
        legend_position="right",
        title="calibration of the interior",
    )


def _line(n: int) -> dict[str, object]:
    return {
        "color": _COLOURS[n % len(_COLOURS)],
        "line_dash": _DASHES[n % len(_DASHES)],
        "line_width": 2,
    }
