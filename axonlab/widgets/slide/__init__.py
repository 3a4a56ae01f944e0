"""A slide of any size: look at it, find the numbers of a fibre, draw regions, take out a crop."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import panel as pn
import param
from numpy.typing import ArrayLike, NDArray

from axonlab import plot_fibres, plot_slide
from axonlab.micrograph import CLASS_COLOURS, CLASSES
from axonlab.plot_fibres import label_of
from axonlab.plot_slide import Colours
from axonlab.slide_view import SlideView, View
from axonlab.widgets.explorer.look import CHOSEN, button
from axonlab.widgets.slide.picture import PAN, ZOOM, SlidePicture
from axonlab.widgets.slide.regions import RegionEditor

_INK = "var(--jp-ui-font-color1, inherit)"
_TEXT = {"color": _INK, "min-height": "1.5em"}

TOLD = [
    "fibre_diameter_um",
    "axon_diameter_um",
    "myelin_thickness_um",
    "axon_area_um2",
    "myelin_area_um2",
    "centroid_x_um",
    "centroid_y_um",
    "is_myelinated",
    "touches_border",
]
"""Of the chosen fibre, with its g-ratios; `SlideViewer.selected` has all."""


class SlideViewer(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Pan, zoom and click in a slide of any size; draw regions; take out a crop.

    Only what is seen is read, at the resolution of the screen. Over the picture, arrow keys move,
    plus and minus zoom, ``n`` and ``p`` choose the next and previous fibre, ``z`` zooms to it.

    Parameters
    ----------
    output : path
        From `axonlab.slide.segment_slide`; without `axonlab.slide.measure_slide` there are no
        numbers of fibres.
    maps : DataFrame, optional
        Values on a grid, from `axonlab.maps.map_slide`: one can be laid over the slide.
    on_crop : callable, optional
        Called with rows and columns, two slices, when what is seen is to be labelled.

    Attributes
    ----------
    slide : SlideView
        What the figure and the buttons read and write.

    Raises
    ------
    FileNotFoundError
        If there is no slide at `output`.

    Notes
    -----
    `selected`, `view`, `crop` and `regions` are plain objects for the cells that follow. Regions
    are saved with the slide whenever they change, in ``run/regions.json``.
    """

    def __init__(
        self,
        output: str | Path,
        *,
        maps: pd.DataFrame | None = None,
        on_crop: Callable[[slice, slice], Any] | None = None,
    ) -> None:
        super().__init__()
        self.slide = SlideView(output)
        self._on_crop = on_crop
        self.picture = SlidePicture(self.slide, maps, self._key)
        self.status = pn.pane.HTML(styles=_TEXT)
        self.details = pn.pane.HTML(styles=_TEXT, width=290)
        self.legend = pn.pane.HTML(styles=_TEXT)
        self.region_editor = RegionEditor(self.slide, self.picture, self.tell)
        self.picture.on_tap = self._tapped
        self._make_controls()
        self.slide.param.watch(self._describe, ["fibre_id", "revision"])
        self.picture.param.watch(self._explain, ["colour", "map", "fibres"])
        self._describe()
        self._explain()
        if not self.slide.is_measured:
            self.tell(_unmeasured(self.slide))

    def _make_controls(self) -> None:
        picture, slide = self.picture, self.slide
        self.image = pn.widgets.Checkbox.from_param(picture.param.image, label="image")
        self.image.disabled = slide.manifest["holds"] != "image"
        self.fibres = pn.widgets.RadioButtonGroup.from_param(
            picture.param.fibres, label="fibres", stylesheets=[CHOSEN]
        )
        self.colour = pn.widgets.Select.from_param(
            picture.param.colour, label="colour of the fibres", width=170
        )
        self.opacity = pn.widgets.FloatSlider.from_param(
            picture.param.opacity, label="opacity of the filling", step=0.05, width=170
        )
        self.map = pn.widgets.Select.from_param(picture.param.map, label="map", width=170)
        self.map_opacity = pn.widgets.FloatSlider.from_param(
            picture.param.map_opacity, label="opacity of the map", step=0.05, width=170
        )
        self.map.visible = self.map_opacity.visible = len(picture.param.map.objects) > 1
        self.previous = button("◀ Previous fibre", lambda: self._step(-1))
        self.next = button("Next fibre ▶", lambda: self._step(1))
        self.closer = button("Zoom to fibre", lambda: picture.show_fibre(closely=True))
        self.whole = button("Whole slide", picture.show_all)
        self.zoom_in = button("+", lambda: picture.zoom(1 / ZOOM))
        self.zoom_out = button("−", lambda: picture.zoom(ZOOM))
        self.open = button("Open this view for labelling", self._open)

    # ---- plain objects

    @property
    def selected(self) -> pd.Series[Any] | None:
        """The row of the fibre that was clicked, its id alone if nothing is measured, or None."""
        return self.slide.selected

    @property
    def view(self) -> View:
        """What is seen: `x` and `y` in µm, `rows` and `columns` of pixels."""
        return self.slide.view

    @property
    def crop(self) -> tuple[slice, slice] | None:
        """Rows and columns that were opened for labelling last."""
        return self.slide.crop

    @property
    def regions(self) -> dict[str, NDArray[np.float64]]:
        """Corners of regions by name, (N, 2) x and y in µm, for `axonlab.maps.summarise_slide`."""
        return self.slide.regions

    @regions.setter
    def regions(self, regions: Mapping[str, ArrayLike]) -> None:
        self.slide.regions = regions

    def refresh(self) -> None:
        """Show what has changed on disk, such as after a correction."""
        self.slide.refresh()

    # ---- what the mouse and the keys do

    def _tapped(self, x: float, y: float) -> None:
        if self.region_editor.draw.value:
            self.region_editor.corner(x, y)
            return
        self.slide.fibre_id = self.slide.at(x, y)
        cells = self.picture.cells
        value = np.nan if cells is None else cells.at(x, y, self.slide.pixel_size)
        if cells is not None and np.isfinite(value):
            self.tell(f"{cells.colours.label} here: {_number(value)}")

    def _step(self, by: int) -> None:
        try:
            self.slide.step(by)
        except FileNotFoundError as error:
            self.tell(str(error), failed=True)
            return
        self.picture.show_fibre(closely=False)

    def _open(self) -> None:
        try:
            rows, columns = self.slide.take_crop()
        except ValueError as error:
            self.tell(str(error), failed=True)
            return
        self.tell(
            f"Rows {rows.start} to {rows.stop} and columns {columns.start} to {columns.stop} are "
            "taken for labelling."
        )
        if self._on_crop is not None:
            self._on_crop(rows, columns)

    def _key(self, key: str) -> None:
        editor, picture = self.region_editor, self.picture
        actions: dict[str, Callable[[], Any]] = {
            "ArrowLeft": lambda: picture.pan(-PAN, 0),
            "ArrowRight": lambda: picture.pan(PAN, 0),
            "ArrowUp": lambda: picture.pan(0, -PAN),
            "ArrowDown": lambda: picture.pan(0, PAN),
            "+": lambda: picture.zoom(1 / ZOOM),
            "=": lambda: picture.zoom(1 / ZOOM),  # plus without Shift on many keyboards
            "-": lambda: picture.zoom(ZOOM),
            "n": lambda: self._step(1),
            "p": lambda: self._step(-1),
            "z": lambda: picture.show_fibre(closely=True),
            "Enter": editor.finish,
            "Backspace": editor.undo,
            "Escape": editor.cancel,
        }
        if key in actions:
            actions[key]()

    # ---- what is told

    def tell(self, sentence: str, *, failed: bool = False) -> None:
        """Say what became of something, in the line that screen readers follow."""
        sign = '<b style="color: #d55e00">✖</b> ' if failed else ""
        self.status.object = f'<span role="status">{sign}{html.escape(sentence)}</span>'

    def _describe(self, *events: param.parameterized.Event) -> None:
        row = self.slide.selected
        self.closer.disabled = row is None or not self.slide.is_measured
        self.previous.disabled = self.next.disabled = not self.slide.is_measured
        if row is None:
            self.details.object = "Click on a fibre for its measurements."
            return
        columns = [c for c in TOLD if c in row]
        columns[3:3] = plot_fibres.g_ratios(row.to_frame().T)
        lines = "".join(
            f"<tr><td>{html.escape(label_of(c))}</td>"
            f'<td style="text-align: right; padding-left: 1em">{_shown(row[c])}</td></tr>'
            for c in columns
        )
        note = "" if self.slide.is_measured else f"<p>{html.escape(_unmeasured(self.slide))}</p>"
        title = f"<b>Fibre {int(row['fibre_id'])}</b>"
        self.details.object = f'{title}<table style="border-spacing: 0">{lines}</table>{note}'

    def _explain(self, *events: param.parameterized.Event) -> None:
        """Say what the colours mean."""
        parts = []
        if self.picture.fibres != "hidden":
            colours = self.picture.colours
            parts.append(_classes() if colours is None else _scale(colours))
        if self.picture.cells is not None:
            parts.append(_scale(self.picture.cells.colours))
        self.legend.object = " &emsp; ".join(parts)

    def __repr__(self, *_: Any) -> str:
        seen = self.view
        return (
            f"SlideViewer({plot_slide.caption(self.slide)}; seen: rows {seen.rows.start} to "
            f"{seen.rows.stop}, columns {seen.columns.start} to {seen.columns.stop}; "
            f"fibre chosen: {self.slide.fibre_id or 'none'}; {len(self.regions)} regions)"
        )

    def __panel__(self) -> pn.Column:
        layers = [self.image, self.fibres, self.colour, self.opacity, self.map, self.map_opacity]
        moves = [self.whole, self.zoom_out, self.zoom_in]
        choose = [self.previous, self.next, self.closer, *moves, self.open]
        return pn.Column(
            pn.pane.HTML(html.escape(plot_slide.caption(self.slide)), styles=_TEXT),
            pn.FlexBox(*layers, align_items="end"),
            self.legend,
            pn.FlexBox(self.picture, self.details),
            pn.FlexBox(*choose, align_items="end"),
            self.region_editor,
            self.status,
        )


def _unmeasured(slide: SlideView) -> str:
    return f"{slide.output} is not measured yet: axonlab.slide.measure_slide makes the numbers."


def _shown(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return str(value)
    return "–" if pd.isna(value) else f"{value:.3f}"


def _classes() -> str:
    return " ".join(
        f'<span style="color: {CLASS_COLOURS[i]}">■</span> {name}'
        for name, i in CLASSES.items()
        if i
    )


def _scale(colours: Colours) -> str:
    steps = ", ".join(colours.palette[::15])
    bar = (
        "display: inline-block; width: 140px; height: 12px; vertical-align: middle; "
        f"background: linear-gradient(to right, {steps})"
    )
    return (
        f"{html.escape(colours.label)}: {_number(colours.low)} "
        f'<span style="{bar}"></span> {_number(colours.high)}'
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
