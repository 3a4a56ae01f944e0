"""The plot beside the image: scatter, distribution or density, brushed like the image."""

from __future__ import annotations

import holoviews as hv
import pandas as pd
import panel as pn
import param
from holoviews import streams

from axonlab import plot_fibres
from axonlab.explore import Exploration
from axonlab.micrograph import Micrograph
from axonlab.plot_fibres import label_of
from axonlab.widgets.explorer.brush import brush
from axonlab.widgets.explorer.look import CHOSEN

FRAME = {"frame_width": 330, "frame_height": 330}

REACH = 0.04
"""How far from a dot a click may be, as a share of the plot."""


class FibrePlots(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Click on dots, or draw a box or lasso around some, to select fibres.

    Parameters
    ----------
    micrograph : Micrograph
    exploration : Exploration
    groups : Series, optional
        Name of the group of each fibre, indexed by ``fibre_id``.

    Attributes
    ----------
    view : {"g-ratio", "diameters", "distribution", "density"}
    measure : str
        Column whose distribution is drawn.
    """

    view = param.Selector(objects=["g-ratio", "diameters", "distribution", "density"])
    measure = param.Selector()

    def __init__(
        self,
        micrograph: Micrograph,
        exploration: Exploration,
        groups: pd.Series[str] | None = None,
    ) -> None:
        columns = plot_fibres.measures(exploration.correction.table)
        super().__init__()
        self.param.measure.objects = {label_of(column): column for column in columns}
        self.measure = "fibre_diameter_um"
        self._micrograph = micrograph
        self._exploration = exploration
        self._groups = groups
        self._pane = pn.pane.HoloViews(linked_axes=False)
        self._measure = pn.widgets.Select.from_param(
            self.param.measure, label="distribution of", width=220
        )
        self.param.watch(self._redraw, ["view", "measure"])
        exploration.param.watch(self._redraw, ["g_ratio"])
        exploration.param.watch(self._refresh, ["shown", "selection"])
        self._redraw()

    def _redraw(self, *events: param.parameterized.Event) -> None:
        drawn = {
            "g-ratio": self._g_ratios,
            "diameters": self._diameters,
            "distribution": self._distribution,
            "density": self._density,
        }
        self._measure.visible = self.view == "distribution"
        self._pane.object = drawn[self.view]()

    def _refresh(self, *events: param.parameterized.Event) -> None:
        """Draw anew what cannot be updated in place."""
        if self.view in ("distribution", "density"):
            self._redraw()

    def _g_ratios(self) -> hv.Overlay:
        column = self._exploration.g_ratio
        return self._scatter(
            plot_fibres.g_ratio_bands(self._largest()), column, highest=1, legend="bottom_right"
        )

    def _diameters(self) -> hv.Overlay:
        largest = self._largest()
        bands = plot_fibres.diameter_bands(largest)
        return self._scatter(bands, "axon_diameter_um", highest=largest, legend="top_left")

    def _largest(self) -> float:
        return plot_fibres.diameter_span(self._exploration.correction.table)

    def _scatter(
        self, bands: hv.Overlay, column: str, *, highest: float, legend: str
    ) -> hv.Overlay:
        """Return dots that follow the filters, under those that follow the selection."""
        state = self._exploration
        columns = ("fibre_diameter_um", column)
        sides = self._largest(), highest

        def dots(revision: int) -> hv.Points:
            return plot_fibres.scatter(state.shown[["fibre_id", *columns]], *columns)

        def chosen(revision: int, selection: list[int]) -> hv.Points:
            return plot_fibres.selected_dots(
                state.shown_and_selected[["fibre_id", *columns]], *columns
            )

        below = hv.DynamicMap(dots, streams=[streams.Params(state, ["revision"])])
        above = hv.DynamicMap(chosen, streams=[streams.Params(state, ["revision", "selection"])])

        def nearest(x: float, y: float) -> None:
            reach = REACH * sides[0], REACH * sides[1]
            state.pick(state.nearest(columns, (x, y), reach))

        brush(below, state, columns, on_click=nearest)
        return (bands * below * above).opts(
            **FRAME,
            xlim=(0, sides[0]),
            ylim=(0, sides[1]),
            legend_position=legend,
            legend_opts={"background_fill_alpha": 0.6, "border_line_alpha": 0, "padding": 2},
            default_tools=["pan", "wheel_zoom", "box_zoom", "reset"],
            backend_opts={"toolbar.logo": None},
            active_tools=["box_select"],
        )

    def _distribution(self) -> hv.Layout:
        """Return histogram and cumulative distribution of the groups and of the selection."""
        state, column = self._exploration, self.measure
        groups = {"shown": state.shown}
        if self._groups is not None:
            of = self._groups.reindex(state.shown["fibre_id"]).to_numpy()
            groups = dict(tuple(state.shown.groupby(of)))
        edges = plot_fibres.bins(state.correction.table, column)
        selected = state.shown_and_selected
        part = plot_fibres.selected_part(selected, len(state.shown), column, edges=edges)
        upper = plot_fibres.distribution(groups, column, edges=edges) * part
        if state.selection:
            groups["selected"] = selected
        lower = plot_fibres.ecdf(groups, column).opts(legend_position="bottom_right")
        upper.opts(show_legend=False)
        for drawn in (upper, lower):
            drawn.opts(frame_width=FRAME["frame_width"], frame_height=140)
        return (upper + lower).cols(1)

    def _density(self) -> hv.Image:
        return plot_fibres.density_map(self._exploration.shown, self._micrograph).opts(
            frame_width=FRAME["frame_width"], default_tools=["pan", "wheel_zoom", "reset"]
        )

    def __panel__(self) -> pn.Column:
        views = pn.widgets.RadioButtonGroup.from_param(
            self.param.view, label="plot", stylesheets=[CHOSEN]
        )
        return pn.Column(views, self._measure, self._pane)
