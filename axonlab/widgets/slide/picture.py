"""The slide itself: pan, zoom, click on a fibre, draw a region."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import param
from bokeh.models import BoxZoomTool, Range1d, WheelZoomTool
from holoviews import streams
from numpy.typing import NDArray

from axonlab import plot_fibres, plot_slide
from axonlab.plot_fibres import label_of
from axonlab.plot_slide import STYLES, Cells, Colours, Look, SlidePainter
from axonlab.plot_window import Window
from axonlab.slide_view import Range, SlideView
from axonlab.widgets.slide.keys import Keys

REGION = "#f0e442"
"""Of regions: Okabe & Ito's yellow, which no class has."""

_INK = "#7a7a7a"
"""Of axes: read on white as on black."""

SMALLEST_FRAME = 260
"""Of the shorter side, so that a strip of tissue can be zoomed into."""

CONTEXT = 4
"""Side of what is shown of a fibre that is zoomed to, in diameters of it."""

PAN, ZOOM = 0.25, 1.5
"""Of what is seen, at the press of a key."""

PLACES = ("row", "column", "cell_um", "centre_y_um", "centre_x_um")
"""Columns of a map that are not to be drawn."""

KEYS = (
    "slide: arrow keys move, plus and minus zoom, n and p choose the next and previous fibre, "
    "z zooms to it"
)

CLASSES = "class"


class SlidePicture(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """A slide of which only what is seen is read, at the resolution of the screen.

    Parameters
    ----------
    slide : SlideView
    maps : DataFrame, optional
        Values of cells, from `axonlab.maps.map_slide`.
    on_key : callable
        Takes the name of a key.

    Attributes
    ----------
    image : bool
        Whether the image is drawn.
    fibres : {"outlines", "filled", "hidden"}
    colour : str
        Column that fibres are coloured by, or "class".
    opacity : float
        Of filled fibres.
    map : str
        Column of `maps` that is drawn; none if empty.
    map_opacity : float
    corners : list of (float, float)
        Of the region that is being drawn, x and y in µm.
    """

    image = param.Boolean(True)
    fibres = param.Selector(objects=list(STYLES))
    colour = param.Selector(objects=[CLASSES])
    opacity = param.Number(0.4, bounds=(0, 1))
    map = param.Selector(objects=[""], default="")
    map_opacity = param.Number(0.4, bounds=(0, 1))
    corners = param.List([])
    _revision = param.Integer(0)

    def __init__(
        self, slide: SlideView, maps: pd.DataFrame | None, on_key: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._slide = slide
        self._maps = maps
        self._painter = SlidePainter(slide)
        self._offer()
        if maps is not None:
            numbers = maps.select_dtypes("number").columns
            columns = [column for column in numbers if column not in PLACES]
            self.param.map.objects = {
                "no map": "",
                **{plot_slide.map_label(c): c for c in columns},
            }
        self._colours: dict[str, Colours] = {}
        self._cells: dict[str, Cells] = {}
        self.on_tap: Callable[[float, float], None] = lambda x, y: None
        self.on_lasso: Callable[[NDArray[np.float64]], None] = lambda corners: None
        self._window_seen = streams.RangeXY()
        self._axes: list[tuple[Range1d, Range1d]] = []  # one pair wherever the picture is shown
        self._view = pn.pane.HoloViews(self._draw(), linked_axes=False)
        self._keys = Keys(on_key, KEYS)
        look = ["image", "fibres", "colour", "opacity", "map", "map_opacity"]
        self.param.watch(self._paint_anew, look)
        slide.param.watch(self._paint_anew, "fibre_id")
        slide.param.watch(self._read_anew, "revision")

    def _offer(self) -> None:
        """Offer the columns of the table to colour by."""
        slide = self._slide
        columns = plot_fibres.measures(slide.table_of(0)) if slide.is_measured else []
        self.param.colour.objects = {CLASSES: CLASSES, **{label_of(c): c for c in columns}}

    def _read_anew(self, *events: param.parameterized.Event) -> None:
        self._painter.forget()
        self._colours.clear()
        self._offer()
        self._paint_anew()

    def _paint_anew(self, *events: param.parameterized.Event) -> None:
        self._revision += 1

    # ---- colours

    @property
    def colours(self) -> Colours | None:
        """Colours of fibres by id; None if they have those of their classes."""
        if self.colour == CLASSES:
            return None
        if self.colour not in self._colours:
            values = self._slide.values(self.colour)
            self._colours[self.colour] = plot_slide.fibre_colours(values, self.colour)
        return self._colours[self.colour]

    @property
    def cells(self) -> Cells | None:
        """The map that is drawn."""
        if not self.map or self._maps is None:
            return None
        if self.map not in self._cells:
            self._cells[self.map] = Cells.of(self._maps, self.map)
        return self._cells[self.map]

    @property
    def look(self) -> Look:
        """What is drawn, and how."""
        return Look(
            self.image,
            self.fibres,
            self.colours,
            self.opacity,
            self.cells,
            self.map_opacity,
            self._slide.fibre_id,
            self._place(),
        )

    def _place(self) -> tuple[float, float, float] | None:
        """Return centre and diameter of the chosen fibre, in µm, if they are known."""
        row = self._slide.selected
        if row is None or "centroid_x_um" not in row:
            return None
        x, y, diameter = row[["centroid_x_um", "centroid_y_um", "fibre_diameter_um"]].astype(float)
        return x, y, diameter

    # ---- what is seen

    def show(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Show a range of x and y in µm, and as much beside it as the frame has room for."""
        x, y = self._fit(x, y)
        for x_range, y_range in self._axes:
            x_range.update(start=x[0], end=x[1])
            y_range.update(start=y[1], end=y[0])  # y points down
        self._window_seen.event(x_range=x, y_range=y)
        pn.io.push_notebook(self._view)

    def _fit(self, x: Range, y: Range) -> tuple[Range, Range]:
        """Widen a range of x or y to the proportions of the frame."""
        width, height = self._frame()
        um = max((x[1] - x[0]) / width, (y[1] - y[0]) / height)
        fitted = []
        for (low, high), n in ((x, width), (y, height)):
            centre, half = (low + high) / 2, n * um / 2
            fitted.append((centre - half, centre + half))
        return fitted[0], fitted[1]

    def _frame(self) -> tuple[int, int]:
        """Return width and height of the frame."""
        height, width = self._painter.window().shape
        return max(width, SMALLEST_FRAME), max(height, SMALLEST_FRAME)

    def _ends(self) -> tuple[Range, Range]:
        """Return what the axes span, which may be more than the slide."""
        seen = self._slide.view
        return self._slide.x_range or seen.x, self._slide.y_range or seen.y

    def pan(self, across: float, down: float) -> None:
        """Move by a share of what is seen."""
        x, y = (
            (low + share * (high - low), high + share * (high - low))
            for (low, high), share in zip(self._ends(), (across, down), strict=True)
        )
        self.show(x, y)

    def zoom(self, factor: float) -> None:
        """Show more of the slide, or less of it if the factor is below 1."""
        x, y = (
            ((low + high - factor * (high - low)) / 2, (low + high + factor * (high - low)) / 2)
            for low, high in self._ends()
        )
        self.show(x, y)

    def show_all(self) -> None:
        """Show the whole slide."""
        left, top, right, bottom = self._painter.window().bounds
        self.show((left, right), (top, bottom))

    def show_fibre(self, *, closely: bool) -> None:
        """Move to the chosen fibre if it is not seen; or show it large."""
        place = self._place()
        if place is None:
            return
        centre = place[:2]
        if closely:
            half = CONTEXT / 2 * place[2]
            x, y = ((c - half, c + half) for c in centre)
            self.show(x, y)
            return
        ends = self._ends()
        if not all(low <= c <= high for c, (low, high) in zip(centre, ends, strict=True)):
            x, y = (
                (c - (high - low) / 2, c + (high - low) / 2)
                for c, (low, high) in zip(centre, ends, strict=True)
            )
            self.show(x, y)

    # ---- drawing

    def _draw(self) -> hv.Overlay:
        """Return the slide in grey, what is seen of it in detail, and lines over it."""
        base = self._base()
        seen = self._window_seen
        seen.source = base
        seen.add_subscriber(self._follow)
        streams.Tap(source=base).add_subscriber(self._tapped)
        streams.Lasso(source=base).add_subscriber(self._lassoed)
        revision = streams.Params(self, ["_revision"])
        drawn = streams.Params(self._slide, ["drawn"])
        return hv.Overlay(
            [
                base,
                hv.DynamicMap(self._detail, streams=[seen, revision]),
                hv.DynamicMap(self._regions, streams=[drawn]),
                hv.DynamicMap(self._names, streams=[drawn]),
                hv.DynamicMap(self._line, streams=[streams.Params(self, ["corners"])]),
                hv.DynamicMap(self._dots, streams=[streams.Params(self, ["corners"])]),
            ]
        ).collate()

    def _base(self) -> hv.RGB:
        """Return the whole slide, which spans the axes, answers the mouse and is there at once."""
        whole = self._painter.window()
        left, top, right, bottom = whole.bounds
        x, y = self._fit((left, right), (top, bottom))
        width, height = self._frame()
        painted = self._painter.paint(whole, Look(fibres="hidden"))
        return plot_slide.picture(painted, whole).opts(
            apply_ranges=True,
            # the proportions are kept here: HoloViews mistakes them where y points down
            frame_width=width,
            frame_height=height,
            xlim=x,
            ylim=y,
            invert_yaxis=True,
            xlabel="x (µm)",
            ylabel="y (µm)",
            active_tools=["wheel_zoom"],
            default_tools=["pan", "wheel_zoom", "box_zoom", "reset"],
            tools=["lasso_select"],
            hooks=[self._keep_axes],
        )

    def _keep_axes(self, plot: Any, element: hv.RGB) -> None:
        self._axes.append((plot.handles["x_range"], plot.handles["y_range"]))
        figure = plot.state
        figure.select_one(WheelZoomTool).zoom_on_axis = False
        figure.select_one(BoxZoomTool).match_aspect = True
        figure.background_fill_color = figure.border_fill_color = None  # as light as what is around
        figure.outline_line_color = _INK
        for axis in figure.axis:
            axis.axis_label_text_color = axis.major_label_text_color = _INK
            axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = _INK

    def _window(self, x_range: Any, y_range: Any) -> Window:
        return self._painter.window(x_range, y_range)

    def _detail(self, x_range: Any, y_range: Any, _revision: int) -> hv.RGB:
        window = self._window(x_range, y_range)
        return plot_slide.picture(self._painter.paint(window, self.look), window)

    def _regions(self, drawn: int) -> hv.Path:
        lines = [np.vstack([xy, xy[:1]]) for xy in self._slide.regions.values()]
        return hv.Path(lines, ["x", "y"]).opts(color=REGION, line_width=3, apply_ranges=False)

    def _names(self, drawn: int) -> hv.Labels:
        places = [(*xy.mean(axis=0), name) for name, xy in self._slide.regions.items()]
        return hv.Labels(places, ["x", "y"], "name").opts(
            text_color="#000000",
            background_fill_color=REGION,
            padding=3,
            text_font_size="9pt",
            apply_ranges=False,
        )

    def _line(self, corners: list[tuple[float, float]]) -> hv.Path:
        line = [np.array(corners)] if len(corners) > 1 else []
        return hv.Path(line, ["x", "y"]).opts(
            color=REGION, line_width=3, line_dash="dashed", apply_ranges=False
        )

    def _dots(self, corners: list[tuple[float, float]]) -> hv.Points:
        return hv.Points(corners, ["x", "y"]).opts(
            color=REGION, line_color="#000000", size=9, apply_ranges=False
        )

    # ---- the mouse

    def _follow(self, x_range: Any, y_range: Any) -> None:
        known = x_range is not None and y_range is not None
        is_number = known and all(map(math.isfinite, (*x_range, *y_range)))
        if is_number:
            self._slide.param.update(x_range=tuple(x_range), y_range=tuple(y_range))

    # streams tell None when a figure is drawn anew
    def _tapped(self, x: float | None, y: float | None) -> None:
        if x is not None and y is not None:
            self.on_tap(x, y)

    def _lassoed(self, geometry: NDArray[np.float64] | None) -> None:
        if geometry is not None:
            self.on_lasso(np.asarray(geometry, float))

    def __panel__(self) -> pn.Column:
        return pn.Column(self._keys, self._view)
