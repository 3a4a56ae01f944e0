"""The part of a large image that is on the screen, at the resolution of the screen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from axonlab.micrograph import Micrograph, resize
from axonlab.plot import grey
from axonlab.plot_fibres import SELECTED

SCREEN_PIXELS = 480
"""Longer side of the frame that a window is drawn in."""


@dataclass(frozen=True)
class Window:
    """A rectangle of an image and the pixels of the screen that show it.

    Parameters
    ----------
    left, top, right, bottom : float
        Edges in µm from the centre of the first pixel of the image, y pointing down.
    shape : pair of int
        Rows and columns on the screen.
    pixel_size : float
        Of the image, in µm.
    """

    left: float
    top: float
    right: float
    bottom: float
    shape: tuple[int, int]
    pixel_size: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, lowest y, right and highest y, as HoloViews wants them."""
        return self.left, self.top, self.right, self.bottom

    def edges(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom in pixels from the corner of the image."""
        left, top, right, bottom = (edge / self.pixel_size + 0.5 for edge in self.bounds)
        return left, top, right, bottom

    def cut(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return what of a plane of the image is in the window, by nearest neighbour."""
        left, top, right, bottom = self.edges()
        rows, columns = (
            (first + (np.arange(n) + 0.5) * (last - first) / n).astype(int).clip(0, size - 1)
            for first, last, n, size in zip(
                (top, left), (bottom, right), self.shape, plane.shape, strict=True
            )
        )
        return plane[np.ix_(rows, columns)]


def window_of(
    shape: tuple[int, int],
    pixel_size: float,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    *,
    frame: int = SCREEN_PIXELS,
) -> Window:
    """Return the window that shows a range of x and y.

    Parameters
    ----------
    shape : pair of int
        Rows and columns of the image.
    pixel_size : float
        In µm.
    x_range, y_range : pair of float, optional
        In µm, in any order; by default, and where they miss the image, all of it.
    frame : int
        Rows or columns of the frame that the window is drawn in, whichever are more.

    Examples
    --------
    >>> window_of((100, 200), 0.5).bounds
    (-0.25, -0.25, 99.75, 49.75)
    >>> window_of((100, 200), 0.5, (10, 20), (90, 10)).bounds
    (10, 10, 20, 49.75)
    """
    x, y = (
        _Side(wanted, n, pixel_size) for wanted, n in ((x_range, shape[1]), (y_range, shape[0]))
    )
    per_um = frame / max(x.wanted, y.wanted)
    rows, columns = (max(1, round((side.last - side.first) * per_um)) for side in (y, x))
    return Window(x.first, y.first, x.last, y.last, (rows, columns), pixel_size)


class _Side:
    """What of a range lies within an image, and how long all of it is."""

    def __init__(
        self, wanted: tuple[float, float] | None, n_pixels: int, pixel_size: float
    ) -> None:
        first, last = -pixel_size / 2, (n_pixels - 0.5) * pixel_size
        low, high = sorted(wanted) if wanted and np.isfinite(wanted).all() else (first, last)
        if high <= first or low >= last or low == high:
            low, high = first, last
        self.first, self.last = max(low, first), min(high, last)
        self.wanted = high - low


class Pyramid:
    """A micrograph in 8 bits at halved and halved resolutions: any window is soon drawn.

    Parameters
    ----------
    micrograph : Micrograph
    """

    def __init__(self, micrograph: Micrograph) -> None:
        self.levels = [grey(micrograph.pixels)]
        while max(self.levels[-1].shape) > 2 * SCREEN_PIXELS:
            height, width = self.levels[-1].shape
            halved = resize(self.levels[-1], (max(1, height // 2), max(1, width // 2)))
            self.levels.append(halved.round().astype(np.uint8))

    def picture(self, window: Window) -> NDArray[np.uint8]:
        """Return the window as grey values from 0 to 255, in the shape of the screen."""
        left, top, right, bottom = window.edges()
        shrink = (right - left) / window.shape[1]
        level = self.levels[min(len(self.levels) - 1, max(0, int(np.log2(max(shrink, 1)))))]
        down, across = (n / full for n, full in zip(level.shape, self.levels[0].shape, strict=True))
        box = (left * across, top * down, right * across, bottom * down)
        size = window.shape[::-1]
        picture = Image.fromarray(level).resize(size, Image.Resampling.BILINEAR, box=box)
        return np.asarray(picture)


def outline(ids: NDArray[np.int32], thickness: int = 1) -> NDArray[np.bool_]:
    """Return where objects border on another or on nothing.

    Parameters
    ----------
    ids : (h, w) int32 array
        0 is background.
    thickness : int
        Of the outline, in pixels; it lies within its object.

    Examples
    --------
    >>> outline(np.pad(np.full((3, 3), 7), 1)).astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 1, 1, 1, 0],
           [0, 1, 0, 1, 0],
           [0, 1, 1, 1, 0],
           [0, 0, 0, 0, 0]])
    """
    size = 2 * thickness + 1
    differs = ndimage.maximum_filter(ids, size) != ndimage.minimum_filter(ids, size)
    return differs & (ids != 0)


def picture(pyramid: Pyramid, window: Window) -> hv.Image:
    """Return the window of a micrograph in grey."""
    shown = pyramid.picture(window)[::-1]  # HoloViews counts rows from the bottom
    return hv.Image(shown, bounds=window.bounds, kdims=["x", "y"], vdims=["grey"]).opts(
        cmap="gray", clim=(0, 255), apply_ranges=False
    )


def outlined(
    objects: NDArray[np.int32], window: Window, values: pd.Series[float]
) -> NDArray[np.float32]:
    """Return the value of each fibre on its outline in a window, and NaN elsewhere."""
    ids = window.cut(objects)
    value_of = np.full(int(max([ids.max(), *values.index])) + 1, np.nan, np.float32)
    value_of[values.index] = values
    return np.where(outline(ids, 2), value_of[ids], np.float32(np.nan))


def colour_range(values: pd.Series[float]) -> tuple[float, float]:
    """Return what the ends of a colour scale stand for: the middle 96 % of the values."""
    known = values.dropna()
    low, high = map(float, np.percentile(known, (2, 98)) if len(known) else (0, 1))
    return low, high if high > low else low + 1e-6


def coloured_outlines(
    objects: NDArray[np.int32], window: Window, values: pd.Series[float], label: str
) -> hv.Image:
    """Return the outlines of the fibres in a window, each in the colour of its value.

    Parameters
    ----------
    objects : (H, W) int32 array
        Ids of the fibres of the whole image.
    window : Window
    values : Series
        Of the fibres to be shown, indexed by id.
    label : str
        What they are, with their unit.
    """
    return coloured(outlined(objects, window, values), window, values, label)


def coloured(
    shown: NDArray[np.float32], window: Window, values: pd.Series[float], label: str
) -> hv.Image:
    """Return pixels in a window in the colours of what they show, with the scale of these.

    Parameters
    ----------
    shown : (h, w) float32 array
        NaN where there is nothing to show.
    window, values, label
        As for `coloured_outlines`.
    """
    low, high = colour_range(values)
    # a dimension of its own, as the picture below has another range
    vdims = [hv.Dimension(("value", label), range=(low, high))]
    return hv.Image(shown[::-1], bounds=window.bounds, kdims=["x", "y"], vdims=vdims).opts(
        cmap="viridis",
        clim=(low, high),
        colorbar=True,
        colorbar_position="bottom",
        colorbar_opts={"title": label, "height": 10},
        hooks=[partial(_name_colours, label)],
        apply_ranges=False,
    )


def _name_colours(label: str, plot: Any, element: hv.Image) -> None:
    """Name what the colours mean, which HoloViews does once and for all."""
    plot.handles["colorbar"].title = label


def highlight(objects: NDArray[np.int32], window: Window, ids: list[int]) -> hv.RGB:
    """Return thick outlines of some fibres in a window, and nothing else."""
    part = window.cut(objects)
    wanted = np.zeros(max([int(part.max()), *ids]) + 1, bool)
    wanted[ids] = True
    wanted[0] = False
    drawn = np.zeros((*window.shape, 4), np.uint8)
    drawn[outline(part, 3) & wanted[part]] = *bytes.fromhex(SELECTED[1:]), 255
    return hv.RGB(drawn[::-1], bounds=window.bounds, kdims=["x", "y"]).opts(apply_ranges=False)
