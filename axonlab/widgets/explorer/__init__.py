"""Fibres in the image, in plots and in a table: what is selected in one is selected in all."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pandas as pd
import panel as pn
import param

from axonlab import plot_fibres
from axonlab.explore import Exploration
from axonlab.micrograph import Micrograph
from axonlab.plot_fibres import label_of
from axonlab.widgets.explorer.editor import FibreEditor
from axonlab.widgets.explorer.filters import FibreFilters
from axonlab.widgets.explorer.look import CHOSEN, named
from axonlab.widgets.explorer.picture import FibrePicture
from axonlab.widgets.explorer.plots import FibrePlots
from axonlab.widgets.explorer.saver import FibreSaver
from axonlab.widgets.explorer.table import FibreTable

if TYPE_CHECKING:
    from axonlab.correct import Correction

_TEXT = {"color": "var(--jp-ui-font-color1, inherit)", "min-height": "1.5em"}


class FibreExplorer(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Brush in a plot, see the fibres in the image, and back; filter, correct, save.

    Parameters
    ----------
    micrograph : Micrograph
    correction : Correction
        Masks and table of its fibres, which the buttons change.
    doubtful : DataFrame, optional
        What to look at first, from `axonlab.validity.review_queue`.
    groups : Series, optional
        Name of the group of each fibre, such as its tract, indexed by ``fibre_id``: distributions
        are drawn by group.
    run : str
        Name of the folder in ``runs/`` that files are saved to.

    Attributes
    ----------
    exploration : Exploration
        What is shown and selected, for the cells that follow.

    Raises
    ------
    ValueError
        If the micrograph and the masks differ in shape.
    """

    def __init__(
        self,
        micrograph: Micrograph,
        correction: Correction,
        *,
        doubtful: pd.DataFrame | None = None,
        groups: pd.Series[str] | None = None,
        run: str = "morphometry",
    ) -> None:
        if micrograph.pixels.shape != correction.labels.shape:
            raise ValueError(
                f"{micrograph.name} of shape {micrograph.pixels.shape}, masks of "
                f"{correction.labels.shape}: both must show the same image at the same size."
            )
        super().__init__()
        self.exploration = Exploration(correction, doubtful=doubtful)
        self.picture = FibrePicture(micrograph, self.exploration)
        self.plots = FibrePlots(micrograph, self.exploration, groups)
        self.table = FibreTable(self.exploration)
        self.filters = FibreFilters(self.exploration)
        self.editor = FibreEditor(self.exploration, self.picture, self.tell)
        self.saver = FibreSaver(micrograph, self.exploration, run, self.tell)
        self.status = pn.pane.HTML(styles=_TEXT)
        self.count = pn.pane.HTML(styles=_TEXT)
        self._make_controls()
        self.exploration.param.watch(self._count, ["shown", "selection"])
        self._count()

    def _make_controls(self) -> None:
        definitions = plot_fibres.g_ratios(self.exploration.correction.table)
        self.g_ratio = pn.widgets.Select.from_param(
            self.exploration.param.g_ratio,
            label="g-ratio used",
            options={label_of(column): column for column in definitions},
            width=160,
        )
        self.measure = pn.widgets.Select.from_param(
            self.picture.param.measure, label="colour of the fibres", width=160
        )
        self.mode = pn.widgets.RadioButtonGroup.from_param(
            self.exploration.param.mode,
            label="what a click does",
            options={"a click selects": "select", "adds": "add", "removes": "remove"},
            stylesheets=[CHOSEN],
        )
        self.next = pn.widgets.Button(
            label="Next doubtful", disabled=self.exploration.doubtful.empty
        )
        self.next.on_click(lambda event: self._show_next())
        self.zoom = pn.widgets.Button(label="Zoom to selection")
        self.zoom.on_click(lambda event: self.picture.zoom(self.exploration.selected))
        self.clear = pn.widgets.Button(label="Clear selection")
        self.clear.on_click(lambda event: self.exploration.param.update(selection=[]))

    def _show_next(self) -> None:
        reason = self.exploration.select_next_doubtful()
        if not reason:
            self.tell("None of the doubtful fibres is left.")
            return
        self.picture.zoom(self.exploration.selected)
        self.tell(f"{named(self.exploration.selection).capitalize()}: {reason}.")

    def tell(self, sentence: str, *, failed: bool = False) -> None:
        """Say what became of something, in the line that screen readers follow."""
        sign = '<b style="color: #d55e00">✖</b> ' if failed else ""
        self.status.object = f'<span role="status">{sign}{html.escape(sentence)}</span>'

    def _count(self, *events: param.parameterized.Event) -> None:
        state = self.exploration
        n, shown, chosen = len(state.correction.table), len(state.shown), len(state.selection)
        self.count.object = f"<b>{chosen}</b> selected · {shown} of {n} fibres shown"

    def __panel__(self) -> pn.Column:
        choose = pn.FlexBox(
            self.measure,
            self.g_ratio,
            self.mode,
            self.next,
            self.zoom,
            self.clear,
            align_items="end",
        )
        return pn.Column(
            choose,
            pn.Row(self.count, self.status),
            pn.FlexBox(self.picture, self.plots),
            self.editor,
            self.filters,
            self.table,
            self.saver,
        )
