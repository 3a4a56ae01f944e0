"""The table of the fibres that are shown; the selected ones are marked in it."""

from __future__ import annotations

import pandas as pd
import panel as pn
import param
from bokeh.models.widgets.tables import NumberFormatter

from axonlab import plot_fibres
from axonlab.explore import Exploration
from axonlab.plot_fibres import label_of

ROWS = 8
"""Of a page."""

MEASURES = ["fibre_id", "fibre_diameter_um", "axon_diameter_um", "myelin_thickness_um"]
TRUTHS = {"touches_border": "at border"}

_LOOK = """
.tabulator, .tabulator .tabulator-header, .tabulator .tabulator-header .tabulator-col,
.tabulator .tabulator-footer, .tabulator .tabulator-row, .tabulator .tabulator-row:hover,
.tabulator .tabulator-tableholder, .tabulator .tabulator-tableholder .tabulator-table,
.tabulator .tabulator-footer .tabulator-page {
  background-color: transparent !important; color: var(--jp-ui-font-color1, inherit);
}
.tabulator .tabulator-row.tabulator-selected, .tabulator .tabulator-row.tabulator-selected:hover {
  background-color: #0072b2 !important; color: #ffffff;
}
.tabulator .tabulator-footer .tabulator-page.active {
  color: var(--jp-ui-font-color1, inherit) !important; text-decoration: underline;
}
"""
"""In light and in dark; the selection as blue as a chosen button."""


class FibreTable(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Click on a row to select its fibre; with Ctrl or Shift, select several.

    Parameters
    ----------
    exploration : Exploration
    """

    def __init__(self, exploration: Exploration) -> None:
        super().__init__()
        self._exploration = exploration
        columns = [*MEASURES, *plot_fibres.g_ratios(exploration.correction.table), *TRUTHS]
        self.table = pn.widgets.Tabulator(
            self._rows(),
            show_index=False,
            disabled=True,
            pagination="remote",
            page_size=ROWS,
            selectable=True,
            layout="fit_data_stretch",
            sizing_mode="stretch_width",
            theme="simple",
            stylesheets=[_LOOK],
            formatters={_title(column): _formatter(column) for column in columns},
            text_align={_title(c): "center" if c in TRUTHS else "right" for c in columns},
        )
        exploration.param.watch(self._refill, ["shown", "g_ratio"])
        exploration.param.watch(self._mark, ["shown", "selection"])
        self.table.param.watch(self._pick, "selection")

    def _rows(self) -> pd.DataFrame:
        columns = [*MEASURES, self._exploration.g_ratio, *TRUTHS]
        rows = self._exploration.shown[columns].reset_index(drop=True)
        return rows.rename(columns=_title)

    def _refill(self, *events: param.parameterized.Event) -> None:
        self.table.param.update(value=self._rows(), selection=[])

    def _places(self) -> list[int]:
        """Return the rows of the selected fibres."""
        ids = self._exploration.shown["fibre_id"]
        return ids.isin(self._exploration.selection).to_numpy().nonzero()[0].tolist()

    def _mark(self, *events: param.parameterized.Event) -> None:
        places = self._places()
        if places:
            self.table.page = places[0] // ROWS + 1
        self.table.selection = places

    def _pick(self, event: param.parameterized.Event) -> None:
        if sorted(event.new) != self._places():
            ids = self._exploration.shown["fibre_id"].iloc[event.new]
            self._exploration.selection = sorted(ids.tolist())

    def __panel__(self) -> pn.widgets.Tabulator:
        return self.table


def _title(column: str) -> str:
    return TRUTHS.get(column) or label_of(column)


def _formatter(column: str) -> object:
    if column in TRUTHS:
        return {"type": "tickCross", "crossElement": False}
    return NumberFormatter(format="0" if column == "fibre_id" else "0.000")
