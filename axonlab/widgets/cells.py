"""Choose the threshold and h that make cells of probabilities, with the cells and scores live."""

from __future__ import annotations

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from axonlab import plot, score
from axonlab.cells import label_cells, pieces
from axonlab.plot_cells import cell_picture
from axonlab.widgets.job import plural
from axonlab.widgets.picture import png

_LINE = {"style": {"description_width": "7em"}, "layout": {"width": "420px"}}
_SLIDER = {"min": 0, "max": 1, "step": 0.01, "readout_format": ".2f"} | _LINE

_LOOK = """<style>
.axonlab-cells .widget-html-content { line-height: 1.4; }
.axonlab-cells-pictures { display: flex; flex-wrap: wrap; gap: 6px; }
.axonlab-cells td { padding: 0 1.4em 0 0; font-variant-numeric: tabular-nums; }
</style>"""


class CellWidget(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Move threshold and h, and see the cells; with a truth, also how well they agree with it.

    Sliders are moved with the mouse or the arrow keys. The cells that follow read
    `threshold` and `h`, which hold from the start.

    Parameters
    ----------
    pixels : (Y, X) or (Z, Y, X) float32 array
        Grey values of a section or a stack.
    probability : float array
        That a pixel is interior, of the same shape, from 0 to 1.
    truth : bool or integer array, optional
        True in cells and False on membranes, or ids of cells; of the same shape.
    threshold, h : float
        To begin with, see `axonlab.objects.label_cells`.

    Attributes
    ----------
    threshold, h : float
    section : int
        That is shown, from 0.
    cells : (Y, X) int32 array
        Of the section that is shown.
    scores : dict of str to float
        From `axonlab.score.partition_scores` of that section; empty where there is no true cell.

    Raises
    ------
    ValueError
        If the shapes differ, or the probability leaves its range.
    """

    def __init__(
        self,
        pixels: NDArray[np.float32],
        probability: NDArray[np.floating],
        truth: NDArray[np.bool_] | NDArray[np.integer] | None = None,
        *,
        threshold: float = 0.5,
        h: float = 0.1,
    ) -> None:
        given = {"probability": probability} | ({} if truth is None else {"truth": truth})
        for name, array in given.items():
            if array.shape != pixels.shape:
                raise ValueError(
                    f"{name} of shape {array.shape} for pixels of {pixels.shape}: all must show "
                    "the same sections at the same size."
                )
        is_stack = pixels.ndim == 3
        self._pixels = pixels if is_stack else pixels[None]
        self._probability = probability if is_stack else probability[None]
        self._truth = truth if is_stack or truth is None else truth[None]
        self.threshold_slider = ipywidgets.FloatSlider(
            threshold, description="threshold", tooltip="Probability above it is cell", **_SLIDER
        )
        self.h_slider = ipywidgets.FloatSlider(
            h, description="h", tooltip="Small values cut at every doubt, 1 cuts nowhere", **_SLIDER
        )
        self.section_slider = ipywidgets.IntSlider(
            0, 0, len(self._pixels) - 1, description="section", **_LINE
        )
        self.told, self.picture = ipywidgets.HTML(), ipywidgets.HTML()
        sliders = [self.threshold_slider, self.h_slider]
        if is_stack:
            sliders.insert(0, self.section_slider)
        super().__init__([ipywidgets.HTML(_LOOK), *sliders, self.told, self.picture])
        self.add_class("axonlab-cells")
        self.threshold_slider.observe(lambda change: self._show(), "value")
        self.h_slider.observe(lambda change: self._show(), "value")
        self.section_slider.observe(lambda change: self._choose_section(), "value")
        self._choose_section()

    @property
    def threshold(self) -> float:
        """Probability above which pixels are interior."""
        return float(self.threshold_slider.value)

    @property
    def h(self) -> float:
        """How far the probability falls between two cells of one piece."""
        return float(self.h_slider.value)

    @property
    def section(self) -> int:
        """Number of the section that is shown."""
        return int(self.section_slider.value)

    def _choose_section(self) -> None:
        """Take what does not change with threshold and h, and show the cells."""
        self._bare = png(plot.grey(self._pixels[self.section]), "The section without cells")
        if self._truth is not None:
            truth = self._truth[self.section]
            self._true_cells = pieces(truth) if truth.dtype == bool else truth
        self._is_scored = self._truth is not None and bool(self._true_cells.any())
        self._show()

    def _show(self) -> None:
        self.cells = label_cells(
            self._probability[self.section], threshold=self.threshold, h=self.h
        )
        self.scores = (
            score.partition_scores(self.cells, self._true_cells) if self._is_scored else {}
        )
        found = plural(int(self.cells.max()), "cell")
        self.told.value = f'<div role="status">{found}{_scores(self.scores)}</div>'
        drawn = cell_picture(self._pixels[self.section], self.cells)
        alone = png(drawn, f"The section with its {found} in colour")
        self.picture.value = f'<div class="axonlab-cells-pictures">{alone}{self._bare}</div>'


def _scores(scores: dict[str, float]) -> str:
    """Return the scores as a row of a table, nothing where there are none."""
    if not scores:
        return ""
    shown = {
        "Rand F": 1 - scores["adapted_rand_error"],
        "VOI split": scores["voi_split"],
        "VOI merge": scores["voi_merge"],
    }
    cells = "".join(f"<td>{name} <b>{value:.3f}</b></td>" for name, value in shown.items())
    return f'<table aria-label="Agreement with the truth"><tr>{cells}</tr></table>'
