"""What the mouse does on a figure, for the image as for the plots."""

from __future__ import annotations

from collections.abc import Callable

import holoviews as hv
import numpy as np
from holoviews import streams
from numpy.typing import NDArray

from axonlab.explore import Exploration


def brush(
    figure: hv.Element | hv.DynamicMap,
    exploration: Exploration,
    columns: tuple[str, str],
    *,
    on_click: Callable[[float, float], None],
) -> None:
    """Let a box or a lasso on a figure pick fibres, and a click do what is asked.

    Parameters
    ----------
    figure : Element or DynamicMap
    exploration : Exploration
    columns : pair of str
        Of the table, along x and y of the figure.
    on_click : callable
        Takes x and y.
    """

    # streams tell None when a figure is drawn anew
    def clicked(x: float | None, y: float | None) -> None:
        if x is not None and y is not None:
            on_click(x, y)

    def boxed(bounds: tuple[float, float, float, float] | None) -> None:
        if bounds is not None:
            exploration.pick(exploration.in_box(columns, bounds))

    def lassoed(geometry: NDArray[np.float64] | None) -> None:
        if geometry is not None:
            exploration.pick(exploration.in_lasso(columns, geometry))

    streams.Tap(source=figure).add_subscriber(clicked)
    streams.BoundsXY(source=figure).add_subscriber(boxed)
    streams.Lasso(source=figure).add_subscriber(lassoed)
