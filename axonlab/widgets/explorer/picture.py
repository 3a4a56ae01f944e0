"""The image: fibres coloured by a measure, outlines of those selected, clicks and zoom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import holoviews as hv
import pandas as pd
import panel as pn
import param
from bokeh.models import Range1d
from holoviews import streams

from axonlab import plot_fibres, plot_window
from axonlab.explore import CENTRES, Exploration
from axonlab.micrograph import Micrograph
from axonlab.plot_fibres import label_of
from axonlab.widgets.explorer.brush import brush

Range = tuple[float, float] | None

CONTEXT = 4
"""Side of what `FibrePicture.zoom` shows, in diameters of the largest selected fibre."""


class FibrePicture(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Click on a fibre, or draw a box or lasso around some, to select them.

    Only the window that is on the screen is drawn, at the resolution of the screen.

    Parameters
    ----------
    micrograph : Micrograph
    exploration : Exploration

    Attributes
    ----------
    measure : str
        Column that the fibres are coloured by.
    line : list of (float, float)
        Ends of the line that splits a fibre, as far as they are clicked: x and y in µm.
    """

    measure = param.Selector()
    line = param.List([])

    def __init__(self, micrograph: Micrograph, exploration: Exploration) -> None:
        columns = plot_fibres.measures(exploration.correction.table)
        super().__init__()
        self.param.measure.objects = {label_of(column): column for column in columns}
        self.measure = exploration.g_ratio
        self._exploration = exploration
        self._micrograph = micrograph
        self._pyramid = plot_window.Pyramid(micrograph)
        self._on_line: Callable[[list[tuple[float, float]]], None] | None = None
        self._window_seen = streams.RangeXY()
        self._axes: list[tuple[Range1d, Range1d]] = []  # one pair wherever the picture is shown
        self._view = pn.pane.HoloViews(self._draw(), linked_axes=False)

    def ask_line(self, on_line: Callable[[list[tuple[float, float]]], None] | None) -> None:
        """Take the next two clicks for the ends of a line, (x, y) in µm; None takes it back."""
        self.line = []
        self._on_line = on_line

    def zoom(self, rows: pd.DataFrame) -> None:
        """Show fibres with some of what is around them, or all of the image if there are none."""
        if rows.empty:
            left, top, right, bottom = self._window().bounds
            self._show((left, right), (top, bottom))
            return
        margin = CONTEXT / 2 * rows["fibre_diameter_um"].max()
        ends = [(rows[c].min() - margin, rows[c].max() + margin) for c in CENTRES]
        half = max(high - low for low, high in ends) / 2
        x, y = ((low + high) / 2 for low, high in ends)
        self._show((x - half, x + half), (y - half, y + half))

    def _show(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Move the axes, which HoloViews leaves to the mouse."""
        for x_range, y_range in self._axes:
            x_range.update(start=x[0], end=x[1])
            y_range.update(start=y[1], end=y[0])  # y points down
        self._window_seen.event(x_range=x, y_range=y)
        pn.io.push_notebook(self._view)

    def _window(self, x_range: Range = None, y_range: Range = None) -> plot_window.Window:
        shape, size = self._micrograph.pixels.shape, self._micrograph.pixel_size
        return plot_window.window_of(shape, size, x_range, y_range)

    def _draw(self) -> hv.Overlay:
        """Return base, window, outlines, those of the selection, discs to hover, and the line."""
        base = self._base()
        self._window_seen.source = base
        window = self._window_seen
        # not the table itself, of which HoloViews would make a hash every time
        shown = streams.Params(self._exploration, ["revision"])
        chosen = streams.Params(self._exploration, ["revision", "selection"])
        brush(base, self._exploration, CENTRES, on_click=self._tapped)
        return hv.Overlay(
            [
                base,
                hv.DynamicMap(self._detail, streams=[window]),
                hv.DynamicMap(
                    self._outlines, streams=[window, shown, streams.Params(self, ["measure"])]
                ),
                hv.DynamicMap(self._highlight, streams=[window, chosen]),
                hv.DynamicMap(self._discs, streams=[shown]),
                hv.DynamicMap(plot_fibres.line_ends, streams=[streams.Params(self, ["line"])]),
            ]
        ).collate()

    def _base(self) -> hv.Image:
        """Return the whole image, which spans the axes and answers the mouse."""
        whole = self._window()
        height, width = whole.shape
        return plot_window.picture(self._pyramid, whole).opts(
            apply_ranges=True,
            frame_width=width,
            frame_height=height,
            data_aspect=1,
            invert_yaxis=True,
            xlabel="x (µm)",
            ylabel="y (µm)",
            active_tools=["wheel_zoom"],
            default_tools=["pan", "wheel_zoom", "box_zoom", "reset"],
            tools=["tap", "box_select", "lasso_select"],
            hooks=[self._keep_axes],
        )

    def _keep_axes(self, plot: Any, element: hv.Image) -> None:
        self._axes.append((plot.handles["x_range"], plot.handles["y_range"]))

    def _detail(self, x_range: Range, y_range: Range) -> hv.Image:
        return plot_window.picture(self._pyramid, self._window(x_range, y_range))

    def _outlines(self, x_range: Range, y_range: Range, revision: int, measure: str) -> hv.Image:
        fibres, window = self._exploration.correction.fibres, self._window(x_range, y_range)
        values = self._exploration.shown.set_index("fibre_id")[measure]
        return plot_window.coloured_outlines(fibres, window, values, label_of(measure))

    def _highlight(
        self, x_range: Range, y_range: Range, revision: int, selection: list[int]
    ) -> hv.RGB:
        fibres, window = self._exploration.correction.fibres, self._window(x_range, y_range)
        return plot_window.highlight(fibres, window, selection)

    def _discs(self, revision: int) -> hv.Points:
        return plot_fibres.discs(self._exploration.shown)

    def _tapped(self, x: float, y: float) -> None:
        if self._on_line is None:
            self._exploration.pick(self._exploration.at(x, y))
            return
        self.line = [*self.line, (x, y)]
        if len(self.line) == 2:
            line, on_line = self.line, self._on_line
            self.ask_line(None)
            on_line(line)

    def __panel__(self) -> pn.pane.HoloViews:
        return self._view
