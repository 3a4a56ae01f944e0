"""A slide as pictures: of any part of it, only as many pixels are read as the screen has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh
import numpy as np
import pandas as pd
from bokeh.palettes import Cividis256, Viridis256
from numpy.typing import NDArray
from PIL import Image

from axonlab.micrograph import CLASS_COLOURS, CLASSES, normalise
from axonlab.omezarr import open_levels
from axonlab.plot import OPACITY
from axonlab.plot_fibres import SELECTED, label_of
from axonlab.plot_window import Window, colour_range, coloured, window_of
from axonlab.slide_view import SlideView

FRAME = 640
"""Longer side of the frame that a slide is drawn in."""

MAX_PIXELS = 1_500_000
"""Read of any plane at once."""

BARE = 100
"""Grey of a slide without an image: bright and dark colours are seen on it."""

OUTLINED_UM = 0.2
"""Where a pixel of the screen is larger, outlines would cover all there is: fibres are filled."""

SEEN_PX = 12
"""A chosen fibre that is smaller on the screen gets a ring."""

STYLES = ("outlines", "filled", "hidden")
"""How fibres are drawn."""

_CLASSES = np.full((256, 3), 255, np.uint8)
for _id, _colour in CLASS_COLOURS.items():
    _CLASSES[_id] = list(bytes.fromhex(_colour[1:]))
_IS_FIBRE = np.isin(np.arange(256), [i for i in CLASSES.values() if i])
_SELECTED = np.array(list(bytes.fromhex(SELECTED[1:])), np.uint8)


class Plane:
    """An image or labels of a slide at halved and halved resolutions.

    Parameters
    ----------
    path : path
        Of an OME-Zarr image or label image.
    """

    def __init__(self, path: str | Path) -> None:
        self.levels = open_levels(path)

    def level_of(self, window: Window) -> int:
        """Return the level whose pixels are about as large as those of the screen."""
        left, top, right, bottom = window.edges()
        shrink = (right - left) / window.shape[1]
        level = min(max(0, round(math.log2(max(shrink, 1)))), len(self.levels) - 1)
        while (right - left) * (bottom - top) / 4**level > MAX_PIXELS and (
            level < len(self.levels) - 1
        ):
            level += 1
        return level

    def labels(self, window: Window) -> NDArray[Any]:
        """Return the window of labels in the shape of the screen, by nearest neighbour."""
        level = self.level_of(window)
        array, step = self.levels[level], 2**level
        left, top, right, bottom = window.edges()
        rows, columns = (
            _nearest(first, last, n, step, size)
            for first, last, n, size in zip(
                (top, left), (bottom, right), window.shape, array.shape, strict=True
            )
        )
        part = array[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return np.asarray(part)[np.ix_(rows - rows[0], columns - columns[0])]

    def image(self, window: Window, grey_range: tuple[float, float]) -> NDArray[np.uint8]:
        """Return the window of an image in the shape of the screen, the range as 0 to 255."""
        level = self.level_of(window)
        array, step = self.levels[level], 2**level
        left, top, right, bottom = (edge / step for edge in window.edges())
        rows, columns = (
            slice(max(0, math.floor(first) - 1), min(math.ceil(last) + 1, size))
            for first, last, size in zip((top, left), (bottom, right), array.shape, strict=True)
        )
        part = normalise(np.asarray(array[rows, columns], np.float32), *grey_range)
        shown = Image.fromarray((part.clip(0, 1) * 255).astype(np.uint8))
        # the last pixel of a coarser level may be of fewer pixels than the others
        right, bottom = min(right, array.shape[1]), min(bottom, array.shape[0])
        x, y = columns.start, rows.start
        box = (left - x, top - y, right - x, bottom - y)
        return np.asarray(shown.resize(window.shape[::-1], Image.Resampling.BILINEAR, box=box))


def _nearest(first: float, last: float, n: int, step: int, size: int) -> NDArray[np.intp]:
    """Return which labels of a level are nearest to the centres of n pixels of the screen.

    Label j of a level is that of pixel ``j * step`` of the finest.
    """
    centres = first + (np.arange(n) + 0.5) * (last - first) / n - 0.5
    return np.floor(centres / step + 0.5).astype(np.intp).clip(0, size - 1)


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Colours:
    """Colours of fibres by id, or of cells of a grid.

    Parameters
    ----------
    label : str
        What they stand for, with its unit.
    low, high : float
        What the ends of the scale stand for.
    palette : sequence of str
    rgb : (..., 3) uint8 array
    known : (...) bool array
        Which have a colour.
    """

    label: str
    low: float
    high: float
    palette: tuple[str, ...]
    rgb: NDArray[np.uint8]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]], label: str, palette: tuple[str, ...]) -> Colours:
        """Return the colours of some values; NaN has none."""
        low, high = colour_range(pd.Series(values.ravel()))
        known = np.isfinite(values)
        place = (np.where(known, values, low) - low) / (high - low) * (len(palette) - 1)
        table = np.array([list(bytes.fromhex(colour[1:7])) for colour in palette], np.uint8)
        chosen = table[place.round().clip(0, len(palette) - 1).astype(np.intp)]
        return cls(label, low, high, palette, chosen, known)


def fibre_colours(values: pd.Series[Any], column: str) -> Colours:
    """Return the colours of fibres by the values of a column, indexed by id."""
    of_id = np.full(int(values.index.max() if len(values) else 0) + 1, np.nan)
    of_id[values.index] = values
    return Colours.of(of_id, label_of(column), Viridis256)


def map_label(column: str) -> str:
    """Return what a column of a map holds, in words and with its unit."""
    return label_of(column).replace("mm2", "mm²")


@dataclass(frozen=True, eq=False)
class Cells:
    """A map: a value for each cell of a grid over the slide.

    Parameters
    ----------
    colours : Colours
        Of (rows, columns) cells.
    values : (rows, columns) array
    cell : float
        Side of the cells, the first of which begins at the upper left corner, in µm.
    """

    colours: Colours
    values: NDArray[np.float64]
    cell: float

    @classmethod
    def of(cls, maps: pd.DataFrame, column: str) -> Cells:
        """Return the map of a column.

        Parameters
        ----------
        maps : DataFrame
            One row for each cell: `row` and `column` from 0, `cell_um` and values, as
            `axonlab.maps.map_slide` returns them.
        column : str
        """
        values = np.full((maps["row"].max() + 1, maps["column"].max() + 1), np.nan)
        values[maps["row"], maps["column"]] = maps[column]
        return cls(
            Colours.of(values, map_label(column), Cividis256),
            values,
            float(maps["cell_um"].iloc[0]),
        )

    def places(self, window: Window) -> tuple[Any, ...]:
        """Return the row and column of the cell at each pixel of the screen, for indexing."""
        return np.ix_(
            *(
                ((first + (np.arange(n) + 0.5) * (last - first) / n) / self.cell)
                .astype(np.intp)
                .clip(0, size - 1)
                for first, last, n, size in zip(
                    (window.top + window.pixel_size / 2, window.left + window.pixel_size / 2),
                    (window.bottom + window.pixel_size / 2, window.right + window.pixel_size / 2),
                    window.shape,
                    self.values.shape,
                    strict=True,
                )
            )
        )

    def at(self, x: float, y: float, pixel_size: float) -> float:
        """Return the value of the cell over a point in µm, NaN beside the grid."""
        row, column = (math.floor((place + pixel_size / 2) / self.cell) for place in (y, x))
        inside = 0 <= row < self.values.shape[0] and 0 <= column < self.values.shape[1]
        return float(self.values[row, column]) if inside else math.nan


@dataclass(frozen=True, eq=False)
class Look:
    """What is drawn of a slide, and how.

    Parameters
    ----------
    image : bool
    fibres : {"outlines", "filled", "hidden"}
    colours : Colours, optional
        Of fibres by id; by default they have the colours of their classes.
    opacity : float
        Of filled fibres, and of all where they are too small to be outlined.
    cells : Cells, optional
        A map over the fibres.
    cells_opacity : float
    selected : int
        Id of the fibre that is outlined.
    ring : (float, float, float), optional
        x and y of its centre and its diameter, in µm: where that is too small to be seen, a ring
        is drawn about it.
    """

    image: bool = True
    fibres: str = "outlines"
    colours: Colours | None = None
    opacity: float = OPACITY
    cells: Cells | None = None
    cells_opacity: float = OPACITY
    selected: int = 0
    ring: tuple[float, float, float] | None = None


class SlidePainter:
    """Paints windows of a slide, and reads no more of it than is painted.

    Parameters
    ----------
    slide : SlideView
    """

    def __init__(self, slide: SlideView) -> None:
        self.slide = slide
        labels = slide.output / "labels"
        self.classes, self.fibres = (Plane(labels / name) for name in ("classes", "fibres"))
        self.pixels = Plane(slide.output) if slide.manifest["holds"] == "image" else None
        self._read: dict[str, tuple[Window, NDArray[Any]]] = {}

    def forget(self) -> None:
        """Read anew what is painted next: it has changed on disk."""
        self._read.clear()

    def window(
        self, x_range: tuple[float, float] | None = None, y_range: tuple[float, float] | None = None
    ) -> Window:
        """Return the window of a range of x and y in µm; of none, that of the whole slide."""
        size = self.slide.pixel_size
        return window_of(self.slide.shape, size, x_range, y_range, frame=FRAME)

    def ids(self, window: Window) -> NDArray[np.int32]:
        """Return the ids of fibres in a window, in the shape of the screen."""
        return self._once("fibres", window)

    def _once(self, name: str, window: Window) -> NDArray[Any]:
        """Read a plane, unless the same part of it was read last."""
        known = self._read.get(name)
        if known is None or known[0] != window:
            if name == "pixels":
                low, high = self.slide.manifest["grey_values_mapped_to_0_and_1"]
                part = self.pixels.image(window, (low, high))  # type: ignore[union-attr]
            else:
                part = getattr(self, name).labels(window)
            known = self._read[name] = window, part
        return known[1]

    def paint(self, window: Window, look: Look) -> NDArray[np.uint8]:
        """Return a window as (h, w, 3) in the shape of the screen."""
        drawn = np.full((*window.shape, 3), BARE, np.uint8)
        if look.image and self.pixels is not None:
            drawn[:] = self._once("pixels", window)[..., None]
        if look.fibres != "hidden":
            self._paint_fibres(drawn, window, look)
        if look.cells is not None:
            places, colours = look.cells.places(window), look.cells.colours
            _blend(drawn, colours.known[places], colours.rgb[places], look.cells_opacity)
        if look.selected:
            chosen = (self._once("fibres", window) == look.selected).view(np.uint8)
            drawn[edges(chosen, 3) & chosen.view(bool)] = _SELECTED
        if look.ring is not None:
            _draw_ring(drawn, window, look.ring)
        return drawn

    def _paint_fibres(self, drawn: NDArray[np.uint8], window: Window, look: Look) -> None:
        um = (window.right - window.left) / window.shape[1]
        outlined = look.fibres == "outlines" and um < OUTLINED_UM
        opacity = 1.0 if outlined else look.opacity
        if look.colours is None:
            classes = self._once("classes", window)
            where = _IS_FIBRE[classes]
            if outlined:
                # axon and myelin of a fibre are told apart, and fibres that touch
                parts = self._once("fibres", window) * len(CLASSES) + classes
                where &= edges(parts, 2 if um < OUTLINED_UM / 3 else 1)
            _blend(drawn, where, _CLASSES[classes], opacity)
            return
        ids = self._once("fibres", window)
        ids = np.where(ids < len(look.colours.known), ids, 0)  # later ones are not measured yet
        where = look.colours.known[ids]
        if outlined:
            where &= edges(ids, 2)
        _blend(drawn, where, look.colours.rgb[ids], opacity)


def edges(ids: NDArray[np.integer[Any]], thickness: int = 1) -> NDArray[np.bool_]:
    """Return where ids differ from those beside, above or below, as far as `thickness` away.

    It is `axonlab.plot_window.outline` without diagonals, in a fraction of its time.

    Examples
    --------
    >>> edges(np.array([[1, 1, 1, 2, 2, 2]])).astype(int)
    array([[0, 0, 1, 1, 0, 0]])
    """
    differs = np.zeros(ids.shape, bool)
    for step in range(1, thickness + 1):
        for a, b in ((ids, differs), (ids.T, differs.T)):  # views
            is_other = a[step:] != a[:-step]
            b[step:] |= is_other
            b[:-step] |= is_other
    return differs


def _draw_ring(drawn: NDArray[np.uint8], window: Window, ring: tuple[float, float, float]) -> None:
    """Draw a ring about what is too small to be seen, in place."""
    x, y, diameter = ring
    per_um = window.shape[1] / (window.right - window.left)
    if diameter * per_um >= SEEN_PX:
        return
    row, column = (y - window.top) * per_um, (x - window.left) * per_um
    top, left = (max(0, int(place) - SEEN_PX) for place in (row, column))
    part = drawn[top : max(0, int(row) + SEEN_PX), left : max(0, int(column) + SEEN_PX)]
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    distance = np.hypot(rows + 0.5 + top - row, columns + 0.5 + left - column)
    part[abs(distance - SEEN_PX + 3) < 1.5] = _SELECTED


def _blend(
    drawn: NDArray[np.uint8], where: NDArray[np.bool_], rgb: NDArray[np.uint8], opacity: float
) -> None:
    """Lay colours over a picture, in place."""
    if opacity == 1:
        np.copyto(drawn, rgb, where=where[..., None])
        return
    share = round(256 * opacity)
    mixed = (drawn.astype(np.uint16) * (256 - share) + rgb.astype(np.uint16) * share) >> 8
    np.copyto(drawn, mixed.astype(np.uint8), where=where[..., None])


def picture(drawn: NDArray[np.uint8], window: Window) -> hv.RGB:
    """Return a painted window at its place in the slide."""
    shown = hv.RGB(drawn[::-1], bounds=window.bounds, kdims=["x", "y"])  # rows from the bottom
    return shown.opts(apply_ranges=False)


def overview(output: str | Path, layer: str = "classes") -> hv.Overlay:
    """Return the whole of a slide as a still picture with axes in µm and a caption.

    Parameters
    ----------
    output : path
        From `axonlab.slide.segment_slide`.
    layer : str
        ``"image"``, ``"classes"``, or a column of the table that fibres are coloured by.

    Raises
    ------
    ValueError
        If there is no such column.
    FileNotFoundError
        If the slide is not there, or is not measured and a column is asked for.
    """
    slide = SlideView(output)
    painter = SlidePainter(slide)
    window = painter.window()
    look = Look(fibres="filled" if layer == "classes" else "hidden", opacity=0.6)
    height, width = window.shape
    whole = picture(painter.paint(window, look), window).opts(
        apply_ranges=True,
        frame_width=width,
        frame_height=height,
        invert_yaxis=True,
        xlabel="x (µm)",
        ylabel="y (µm)",
    )
    over = [] if layer in ("image", "classes") else [_coloured(painter, window, layer)]
    title = caption(slide).replace("{", "{{").replace("}", "}}")  # HoloViews fills in fields
    return hv.Overlay([whole, *over]).opts(title=title)


def _coloured(painter: SlidePainter, window: Window, column: str) -> hv.Image:
    """Return fibres in a window in the colours of a column, with the scale of these."""
    slide = painter.slide
    if slide.is_measured and column not in slide.table_of(0):
        raise ValueError(f"The table of {slide.output} has no column {column!r} to colour by.")
    values = slide.values(column)
    of_id = np.full(int(max(values.index, default=0)) + 1, np.nan, np.float32)
    of_id[values.index] = values
    ids = painter.ids(window)
    shown = np.where(ids < len(of_id), of_id[ids.clip(0, len(of_id) - 1)], np.nan)
    return coloured(shown, window, values, label_of(column))


def caption(slide: SlideView) -> str:
    """Return what a slide is, in a line."""
    height, width = slide.shape
    n = slide.manifest.get("fibres")
    fibres = "" if n is None else f", {n:,} fibres"
    return (
        f"{slide.manifest['source']}: {height:,} × {width:,} px "
        f"at {slide.pixel_size:.3g} µm{fibres}"
    )
