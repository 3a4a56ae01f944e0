"""HoloViews elements of neurites in a volume: sections, and cuts across them. Axes in µm."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import Literal

import holoviews as hv
import holoviews.plotting.bokeh
import numpy as np
from bokeh.models import CustomJS, WheelZoomTool
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from axonlab.micrograph import intensity_range, normalise
from axonlab.neurite_mesh import Mesh
from axonlab.plot_cells import COLOURS as ALL_COLOURS
from axonlab.plot_cells import outlines
from axonlab.plot_fibres import SELECTED
from axonlab.volume import Volume, check_same_shape

COLOURS = tuple(colour for colour in ALL_COLOURS if colour != SELECTED)
"""Of neurites, one after the other: safe for the colour-blind, and none that of a chosen one's
outline. Outlines tell neighbours of one colour apart."""

OPACITY, FAINT, STRONG = 0.3, 0.12, 0.6
"""Of the colours within the outlines: as long as none is chosen, of the others, of the chosen."""

FRAME_PX, TALLEST_PX = 420, 640
"""Longer side of a section on the screen, and height of a cut across the sections, at most."""

LINE = SEED = "#ffffff"
"""Of where one cut goes through the other, and of the seeds that a neurite is split from."""

_INK = "#7a7a7a"  # of axes: read on white as on black
_RGB = np.array([list(bytes.fromhex(colour[1:])) for colour in COLOURS], np.uint8)
_SELECTED = np.array(list(bytes.fromhex(SELECTED[1:])), np.uint8)
_OUTLINE_PX = 2

Axis = Literal["z", "y"]
"""Across which a cut is made: a section is a cut at one z, and shows x and y."""

Voxel = tuple[int, int, int]
Instances = NDArray[np.integer]

# the range of x is that of both cuts: what it spans says how much of the other axis is seen
_KEEP_PROPORTIONS = """
const half = (x.end - x.start) * height / width / 2, middle = (v.start + v.end) / 2;
v.setv({start: middle + half, end: middle - half});
"""


def sections(
    volume: Volume,
    instances: Instances,
    *,
    z: int | None = None,
    y: int | None = None,
    chosen: Collection[int] = (),
) -> hv.Layout:
    """Return a section and a cut across all sections, side by side, with their neurites in colour.

    Both are drawn at one scale and move together along x; lines show where the one cuts the other.

    Parameters
    ----------
    volume : Volume
    instances : (Z, Y, X) integer array
        Ids of the neurites, 0 is none and stays grey.
    z, y : int, optional
        Number of the section, and row of the cut; the middle ones by default.
    chosen : collection of int
        Ids of neurites that are to stand out.

    Raises
    ------
    ValueError
        If the shapes differ, or there is no such section or row.
    """
    cuts = Cuts(volume)
    check_same_shape(volume, instances)
    at = {
        axis: _inside(volume, axis, number) for axis, number in zip(("z", "y"), (z, y), strict=True)
    }
    return hv.Layout(
        [
            cuts.picture(instances, axis, at[axis], chosen) * cuts.line(axis, at[other])
            for axis, other in (("z", "y"), ("y", "z"))
        ]
    ).opts(**LAYOUT)


LAYOUT = {"toolbar": "left", "merge_tools": True}


class Cuts:
    """Draws sections of a volume, and cuts across them, under their neurites.

    Voxels keep their proportions, on the screen as in tissue; µm are counted from the centre of
    the first voxel, z and y downwards.

    Parameters
    ----------
    volume : Volume
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        depth, height, width = volume.pixels.shape
        self._range = intensity_range(volume.pixels.reshape(depth * height, width))

    def draw(
        self, instances: Instances, axis: Axis, number: int, chosen: Collection[int] = ()
    ) -> NDArray[np.uint8]:
        """Return a cut in colour, whose pixels are squares as nearly as whole numbers allow.

        Parameters
        ----------
        instances : (Z, Y, X) integer array
        axis : {"z", "y"}
        number : int
            Of the section or the row.
        chosen : collection of int
            Ids of neurites that are to stand out; the others are faint then.

        Returns
        -------
        (H, W, 3) uint8 array
        """
        height, width = self._size(axis)
        repeats = max(1, round(height / width)), max(1, round(width / height))
        at = _at(axis, number)
        pixels = normalise(self.volume.pixels[at], *self._range).clip(0, 1) * 255
        return _coloured(
            _repeated(pixels.astype(np.uint8), repeats),
            _repeated(instances[at], repeats),
            chosen,
        )

    def picture(
        self, instances: Instances, axis: Axis, number: int, chosen: Collection[int] = ()
    ) -> hv.RGB:
        """Return a cut as an element, see `draw`."""
        drawn = self.draw(instances, axis, number, chosen)
        v, kind = ("y", "section") if axis == "z" else ("z", "row")
        last = self.volume.pixels.shape["zy".index(axis)] - 1
        width, height = self._frame(axis)
        left, top, right, bottom = self._bounds(axis)
        # HoloViews counts rows from the bottom
        return hv.RGB(drawn[::-1], bounds=(left, top, right, bottom), kdims=["x", v]).opts(
            # the proportions are kept here: HoloViews mistakes them where y points down
            frame_width=width,
            frame_height=height,
            xlim=(left, right),
            ylim=(top, bottom),
            invert_yaxis=True,
            xlabel="x (µm)",
            ylabel=f"{v} (µm)",
            title=f"{kind} {number} of 0 to {last}",
            active_tools=["wheel_zoom"],
            default_tools=["pan", "wheel_zoom", "reset"],
            backend_opts={"toolbar.logo": None},
            hooks=[_finish],
        )

    def line(self, axis: Axis, number: int) -> hv.HLine:
        """Return where the other cut, of some number, goes through a cut."""
        place = number * self._size(axis)[0]
        return hv.HLine(place).opts(
            color=LINE, line_width=2, line_dash="dashed", apply_ranges=False
        )

    def dots(self, axis: Axis, voxels: Sequence[Voxel]) -> hv.Points:
        """Return voxels as dots over a cut, even if they lie before or behind it."""
        sizes = self.volume.voxel_size
        v = 1 if axis == "z" else 0
        places = [(voxel[2] * sizes[2], voxel[v] * sizes[v]) for voxel in voxels]
        return hv.Points(places, ["x", "yz"[1 - v]]).opts(
            color=SEED, line_color="#000000", size=9, apply_ranges=False
        )

    def voxel(self, axis: Axis, number: int, x: float, v: float) -> Voxel | None:
        """Return the voxel at a place of a cut, in µm; None beside the volume."""
        height, width = self._size(axis)
        row, column = round(v / height), round(x / width)
        place = (number, row, column) if axis == "z" else (row, number, column)
        inside = all(0 <= i < n for i, n in zip(place, self.volume.pixels.shape, strict=True))
        return place if inside else None

    def _size(self, axis: Axis) -> tuple[float, float]:
        """Return height and width of a voxel in a cut, in µm."""
        z, y, x = self.volume.voxel_size
        return (y, x) if axis == "z" else (z, x)

    def _span(self, axis: Axis) -> tuple[float, float]:
        """Return width and height of a cut, in µm."""
        depth, rows, columns = self.volume.pixels.shape
        height, width = self._size(axis)
        return columns * width, (rows if axis == "z" else depth) * height

    def _bounds(self, axis: Axis) -> tuple[float, float, float, float]:
        (width, height), (high, wide) = self._span(axis), self._size(axis)
        return -wide / 2, -high / 2, width - wide / 2, height - high / 2

    def _frame(self, axis: Axis) -> tuple[int, int]:
        """Return width and height of the frame of a cut: both cuts have one scale."""
        (width, height), (_, depth) = self._span("z"), self._span("y")
        um = max(width / FRAME_PX, height / FRAME_PX, depth / TALLEST_PX)
        across, down = (max(1, round(side / um)) for side in self._span(axis))
        return across, down


def colour(neurite_id: int) -> str:
    """Return the colour of a neurite, in sections as in three dimensions."""
    return COLOURS[(neurite_id - 1) % len(COLOURS)]


def mesh_figure(meshes: Sequence[Mesh]) -> Figure:
    """Return a still picture of neurites in three dimensions, seen from the side, axes in µm.

    The first section is at the top. `axonlab.widgets.NeuriteScene` is one that can be turned.

    Parameters
    ----------
    meshes : sequence of Mesh
        From `axonlab.neurite_mesh.meshes`; none is an error.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    if not meshes:
        raise ValueError("No neurites to draw: give at least one.")
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(projection="3d")
    # from the left and from above, where z is low
    light = LightSource(azdeg=225, altdeg=-40)
    for mesh in meshes:
        axes.add_collection3d(
            Poly3DCollection(
                mesh.vertices[mesh.faces],
                facecolors=colour(mesh.neurite_id),
                shade=True,
                lightsource=light,
            )
        )
    places = np.concatenate([mesh.vertices for mesh in meshes])
    low, high = places.min(axis=0), places.max(axis=0)
    axes.set(
        xlim=(low[0], high[0]),
        ylim=(high[1], low[1]),
        zlim=(high[2], low[2]),
        xlabel="x (µm)",
        ylabel="y (µm)",
        zlabel="z (µm)",
    )
    axes.set_box_aspect(high - low, zoom=0.85)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((0, 0, 0, 0))
        axis.label.set_color(_INK)
        axis.line.set_color(_INK)
    axes.tick_params(colors=_INK, labelsize=7)
    return figure


def mesh_picture(meshes: Sequence[Mesh]) -> NDArray[np.uint8]:
    """Return what `mesh_figure` draws as (H, W, 4) uint8 for a PNG, on no ground."""
    content = io.BytesIO()
    mesh_figure(meshes).savefig(content, format="png", dpi=96, transparent=True)
    return np.asarray(Image.open(content).convert("RGBA"))


def _coloured(
    shown: NDArray[np.uint8], ids: Instances, chosen: Collection[int]
) -> NDArray[np.uint8]:
    """Mix the colours of neurites with what is under them, in whole numbers: it is done often."""
    shares = np.zeros(ids.shape, np.uint16)
    is_neurite = ids > 0
    is_chosen = np.isin(ids, [i for i in chosen if i > 0])
    shares[is_neurite] = round(256 * (FAINT if len(chosen) else OPACITY))
    shares[outlines(ids)] = 128 if len(chosen) else 256
    shares[is_chosen] = round(256 * STRONG)
    colours = _RGB[(ids - 1) % len(_RGB)].astype(np.uint16)
    share = shares[..., None]
    mixed = (shown[..., None].astype(np.uint16) * (256 - share) + colours * share) >> 8
    drawn = mixed.astype(np.uint8)
    if is_chosen.any():
        own = np.where(is_chosen, ids, 0)
        inner = ndimage.minimum_filter(own, 2 * _OUTLINE_PX + 1, mode="nearest")
        outer = ndimage.maximum_filter(own, 2 * _OUTLINE_PX + 1, mode="nearest")
        drawn[is_chosen & (inner != outer)] = _SELECTED
    return drawn


def _repeated(plane: NDArray[np.generic], times: tuple[int, int]) -> NDArray[np.generic]:
    return plane.repeat(times[0], axis=0).repeat(times[1], axis=1)


def _at(axis: Axis, number: int) -> tuple[slice | int, ...]:
    return (number,) if axis == "z" else (slice(None), number)


def _inside(volume: Volume, axis: Axis, number: int | None) -> int:
    n = volume.pixels.shape["zy".index(axis)]
    if number is None:
        return n // 2
    if not 0 <= number < n:
        kind = "section" if axis == "z" else "row"
        raise ValueError(f"{volume.name}: no {kind} {number}, there are 0 to {n - 1}.")
    return number


def _finish(plot: hv.plotting.bokeh.RGBPlot, element: hv.RGB) -> None:
    """Let the axes be read in light and dark, and voxels keep their proportions when zoomed."""
    figure, x, v = plot.state, plot.handles["x_range"], plot.handles["y_range"]
    known = x.js_property_callbacks.get("change:start", [])
    if any(callback.name == v.id for callback in known):
        return  # hooks are called whenever something is drawn
    size = {"width": figure.frame_width, "height": figure.frame_height}
    keep = CustomJS(args={"x": x, "v": v, **size}, code=_KEEP_PROPORTIONS, name=v.id)
    x.js_on_change("start", keep)
    x.js_on_change("end", keep)
    figure.sizing_mode = None  # the frame has a size; Bokeh warns if the figure has none, too
    figure.select_one(WheelZoomTool).zoom_on_axis = False
    figure.background_fill_color = figure.border_fill_color = None  # as light as what is around
    figure.outline_line_color = _INK
    figure.title.text_color = _INK
    for axis in figure.axis:
        axis.axis_label_text_color = axis.major_label_text_color = _INK
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = _INK
