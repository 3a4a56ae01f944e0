"""A micrograph under its classes, with an opacity slider and a switch per class."""

from __future__ import annotations

from functools import reduce
from operator import mul

import numpy as np
import panel as pn
from numpy.typing import NDArray

from axonlab import plot
from axonlab.micrograph import CLASS_COLOURS, CLASSES, Micrograph


class OverlayView(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Look at labels over their micrograph; pan and zoom with the mouse.

    Parameters
    ----------
    micrograph : Micrograph
    labels : (H, W) uint8 array
        Class ids.
    """

    def __init__(self, micrograph: Micrograph, labels: NDArray[np.uint8]) -> None:
        super().__init__()
        shown = [n for n, i in CLASSES.items() if i and (labels == i).any()]
        self.opacity = pn.widgets.FloatSlider(
            label="opacity", value=plot.OPACITY, start=0, end=1, step=0.05, width=200
        )
        self.shown = pn.widgets.CheckButtonGroup(label="classes", options=shown, value=shown)
        layers = [
            plot.classes(micrograph, np.where(labels == CLASSES[n], labels, 0)).apply.opts(
                alpha=pn.bind(self._alpha, n, self.opacity, self.shown)
            )
            for n in shown
        ]
        picture = reduce(mul, layers, plot.image(micrograph).opts(frame_width=700))
        legend = " ".join(
            f'<span style="color:{CLASS_COLOURS[CLASSES[n]]}">■</span> {n}' for n in shown
        )
        controls = pn.Row(self.opacity, self.shown, pn.pane.HTML(legend))
        self._view = pn.Column(controls, picture)

    @staticmethod
    def _alpha(name: str, opacity: float, shown: list[str]) -> float:
        return opacity if name in shown else 0.0

    def __panel__(self) -> pn.Column:
        return self._view
