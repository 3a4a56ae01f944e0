"""Neurites of a volume in two linked cuts: click one to see it through the stack; correct them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from typing import Any

import holoviews as hv
import panel as pn
import param
from holoviews import streams

from axonlab.io import run_folder
from axonlab.neurite_correct import NeuriteCorrection
from axonlab.neurite_mesh import meshes
from axonlab.plot_neurites import LAYOUT, Axis, Cuts, Voxel
from axonlab.volume import Volume, check_same_shape
from axonlab.widgets.explorer.look import CHOSEN, button
from axonlab.widgets.job import plural
from axonlab.widgets.scene import NeuriteScene
from axonlab.widgets.slide.keys import Keys

_TEXT = {"color": "var(--jp-ui-font-color1, inherit)", "min-height": "1.5em"}
_TITLES = {"z": "section", "y": "cut across the sections"}
_ROWS = 12  # of the table of those that are chosen

KEYS = (
    "neurites: up and down arrow change the section, left and right arrow the row of the cut, "
    "Escape ends a split or clears the selection"
)


class NeuriteExplorer(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Look through a volume along two axes; click on neurites to follow, merge and split them.

    Over the figure, the up and down arrows change the section, the left and right arrows the row
    that is cut; sliders do the same. The wheel zooms both cuts along x.

    Parameters
    ----------
    volume : Volume
    correction : NeuriteCorrection
        Its neurites, which the buttons change.
    run : str
        Name of the folder in ``runs/`` that corrections are saved to.

    Attributes
    ----------
    z, y : int
        Section and row that are shown, from 0.
    selection : list of int
        Ids of the chosen neurites, for the cells that follow.
    correction : NeuriteCorrection

    Raises
    ------
    ValueError
        If volume and neurites differ in shape.
    """

    z = param.Integer()
    y = param.Integer()
    selection = param.List([])
    seeds = param.List([])
    _revision = param.Integer(0)

    def __init__(
        self, volume: Volume, correction: NeuriteCorrection, *, run: str = "neurites"
    ) -> None:
        check_same_shape(volume, correction.instances)
        depth, height, _ = volume.pixels.shape
        super().__init__(z=depth // 2, y=height // 2)
        self.param.z.bounds, self.param.y.bounds = (0, depth - 1), (0, height - 1)
        self.correction = correction
        self._run = run
        self._cuts = Cuts(volume)
        self.status = pn.pane.HTML(styles=_TEXT)
        self.details = pn.pane.HTML(styles=_TEXT, width=330)
        self._make_controls()
        self._keys = Keys(self._key, KEYS)
        self._view = pn.pane.HoloViews(self._draw(), linked_axes=False)
        correction.listeners.append(self._changed)
        self.param.watch(self._describe, ["selection", "_revision"])
        self.param.watch(self._show_solid, ["selection", "_revision"])
        self._describe()

    def _make_controls(self) -> None:
        self.z_slider = _slider(self.param.z, "section (z)")
        self.y_slider = _slider(self.param.y, "row of the cut (y)")
        self.mode = pn.widgets.RadioButtonGroup(
            label="what a click does",
            options={"a click selects": "select", "adds or removes": "add"},
            value="select",
            stylesheets=[CHOSEN],
        )
        self.clear = button("Clear selection", lambda: self.param.update(selection=[]))
        self.merge = button("Merge", self._merge)
        self.split = pn.widgets.Toggle(label="Split by two clicks", stylesheets=[CHOSEN])
        self.split.param.watch(lambda event: self._ask_seeds(event.new), "value")
        self.undo = button("↶ Undo", lambda: self._step(self.correction.undo, "Undone"))
        self.redo = button("↷ Redo", lambda: self._step(self.correction.redo, "Done again"))
        self.save = button("Save corrections", self._save)
        self.solid = pn.widgets.Toggle(label="Show in 3D", stylesheets=[CHOSEN])
        self.solid.param.watch(self._show_solid, "value")
        self.scene = NeuriteScene()
        self.scene.visible = False

    # ---- drawing

    def _draw(self) -> hv.Layout:
        """Return both cuts, which have the x axis in common."""
        section, cut = self._layers("z", self._section), self._layers("y", self._cut)
        return hv.Layout([section, cut]).opts(**LAYOUT)

    def _layers(self, axis: Axis, picture: Callable[..., hv.RGB]) -> hv.Overlay:
        other = "y" if axis == "z" else "z"
        # it spans the axes, answers the mouse, and stays below what changes
        base = self._picture(axis, getattr(self, axis), []).opts(title=_TITLES[axis])
        streams.Tap(source=base).add_subscriber(
            lambda x, y: self._tapped(axis, x, y)  # y is how the stream calls it, whatever it is
        )
        shown = streams.Params(self, [axis, "selection", "_revision"])
        return hv.Overlay(
            [
                base,
                hv.DynamicMap(picture, streams=[shown]),
                hv.DynamicMap(
                    lambda **at: self._cuts.line(axis, at[other]),
                    streams=[streams.Params(self, [other])],
                ),
                hv.DynamicMap(
                    lambda seeds: self._cuts.dots(axis, seeds),
                    streams=[streams.Params(self, ["seeds"])],
                ),
            ]
        ).collate()

    def _section(self, z: int, selection: list[int], _revision: int) -> hv.RGB:
        return self._picture("z", z, selection).opts(apply_ranges=False)

    def _cut(self, y: int, selection: list[int], _revision: int) -> hv.RGB:
        return self._picture("y", y, selection).opts(apply_ranges=False)

    def _picture(self, axis: Axis, number: int, selection: list[int]) -> hv.RGB:
        return self._cuts.picture(self.correction.instances, axis, number, selection)

    def _changed(self) -> None:
        self._revision += 1

    def _show_solid(self, *events: param.parameterized.Event) -> None:
        """Show the chosen neurites in three dimensions, if that is wanted: it takes a moment."""
        is_wanted = self.solid.value and bool(self.selection)
        if is_wanted:
            correction = self.correction
            self.scene.show(
                meshes(correction.instances, self.selection, voxel_size=correction.voxel_size)
            )
        self.scene.visible = is_wanted

    # ---- what the mouse and the keys do

    # streams tell None when a figure is drawn anew
    def _tapped(self, axis: Axis, x: float | None, v: float | None) -> None:
        if x is None or v is None:
            return
        voxel = self._cuts.voxel(axis, getattr(self, axis), x, v)
        neurite_id = 0 if voxel is None else int(self.correction.instances[voxel])
        if self.split.value and voxel is not None:
            self._add_seed(voxel, neurite_id)
        elif self.mode.value == "select":
            self.selection = [neurite_id] if neurite_id else []
        elif neurite_id:
            self.selection = sorted({neurite_id} ^ set(self.selection))

    def _key(self, key: str) -> None:
        steps = {
            "ArrowUp": ("z", -1),
            "ArrowDown": ("z", 1),
            "ArrowLeft": ("y", -1),
            "ArrowRight": ("y", 1),
        }
        if key in steps:
            axis, by = steps[key]
            low, high = self.param[axis].bounds
            self.param.update({axis: min(max(getattr(self, axis) + by, low), high)})
        elif key == "Escape" and self.split.value:
            self.split.value = False
        elif key == "Escape":
            self.selection = []

    # ---- edits

    def _ask_seeds(self, is_wanted: bool) -> None:
        self.seeds = []
        if is_wanted:
            self.tell(
                f"Click on two places of neurite {self.selection[0]} that are to be apart, in any "
                "section or cut."
            )

    def _add_seed(self, voxel: Voxel, neurite_id: int) -> None:
        [chosen] = self.selection
        if neurite_id != chosen:
            self.tell(f"This is not neurite {chosen}: click within it.", failed=True)
            return
        self.seeds = [*self.seeds, voxel]
        if len(self.seeds) == 2:
            seeds = self.seeds
            self.split.value = False
            self._edit(lambda: self.correction.split(chosen, seeds), f"Neurite {chosen} split")

    def _merge(self) -> None:
        done = f"{plural(len(self.selection), 'neurite')} merged"
        self._edit(lambda: self.correction.merge(self.selection), done)

    def _edit(self, edit: Callable[[], list[int]], done: str) -> None:
        """Do an edit, select what it leads to, draw once, and tell what became of it."""
        try:
            with param.parameterized.batch_call_watchers(self):
                self.selection = ids = edit()
        except ValueError as error:
            self.tell(str(error), failed=True)
            return
        self.tell(f"{done}: {', '.join(map(str, ids))}.")

    def _step(self, step: Callable[[], bool], done: str) -> None:
        with param.parameterized.batch_call_watchers(self):
            if not step():
                return
            ids = self.correction.trail[-1]["neurite_ids"]
            there = set(self.correction.ids)
            self.selection = [i for i in ids if i in there]
        self.tell(f"{done}: {', '.join(map(str, self.selection))}.")

    def _save(self) -> None:
        try:
            folder = self.correction.save(
                self.correction.folder or run_folder(self._run) / "corrected"
            )
        except (OSError, ValueError) as error:
            self.tell(str(error), failed=True)
            return
        self.tell(f"Neurites and the trail of corrections saved to {folder}.")

    # ---- what is told

    def tell(self, sentence: str, *, failed: bool = False) -> None:
        """Say what became of something, in the line that screen readers follow."""
        sign = '<b style="color: #d55e00">✖</b> ' if failed else ""
        self.status.object = f'<span role="status">{sign}{html.escape(sentence)}</span>'

    def _describe(self, *events: param.parameterized.Event) -> None:
        """Tell how large the chosen neurites are; buttons that can do nothing cannot be pressed."""
        n = len(self.selection)
        self.merge.disabled = n < 2
        self.split.disabled = n != 1
        if n != 1 and self.split.value:
            self.split.value = False
        self.clear.disabled = n == 0
        self.undo.disabled = not self.correction.can_undo
        self.redo.disabled = not self.correction.can_redo
        if n == 0:
            there = plural(len(self.correction.ids), "neurite")
            self.details.object = f"{there}. Click on one to follow it through the stack."
            return
        rows = "".join(self._row(i) for i in self.selection[:_ROWS])
        more = f"<p>and {n - _ROWS} more</p>" if n > _ROWS else ""
        head = _cells("th", ("neurite", "voxels", "µm³", "sections"))
        self.details.object = (
            f'<table aria-label="Chosen neurites" style="text-align: right; border-spacing: 0">'
            f"<tr>{head}</tr>{rows}</table>{more}"
        )

    def _row(self, neurite_id: int) -> str:
        one = self.correction.neurite(neurite_id)
        values = (one.neurite_id, f"{one.voxels:,}", f"{one.volume_um3:.3g}", one.sections)
        return f"<tr>{_cells('td', values)}</tr>"

    def __repr__(self, *_: Any) -> str:
        chosen = ", ".join(map(str, self.selection)) or "none"
        return (
            f"NeuriteExplorer({self._cuts.volume.name}: {len(self.correction.ids)} neurites; "
            f"section {self.z}, row {self.y}; chosen: {chosen})"
        )

    def __panel__(self) -> pn.Column:
        choose = [self.z_slider, self.y_slider, self.mode, self.clear, self.solid]
        edits = [self.merge, self.split, self.undo, self.redo, self.save]
        return pn.Column(
            pn.FlexBox(*choose, align_items="end"),
            pn.FlexBox(pn.Column(self._keys, self._view), pn.Column(self.details, self.scene)),
            pn.FlexBox(*edits, align_items="end"),
            self.status,
        )


def _cells(tag: str, values: Iterable[object]) -> str:
    return "".join(f'<{tag} style="padding-left: 1em">{value}</{tag}>' for value in values)


def _slider(parameter: param.Integer, label: str) -> pn.widgets.IntSlider:
    start, end = parameter.bounds
    return pn.widgets.IntSlider.from_param(
        parameter, label=label, start=start, end=max(end, start + 1), disabled=start == end
    )
