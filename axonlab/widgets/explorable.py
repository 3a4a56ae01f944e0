"""What widgets have in common in which sliders change a result, and figures and a sentence show it.

A slider is a parameter of the class; a result is made by a pure function, and drawn by others.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import holoviews as hv
import panel as pn
import param
from holoviews import streams

from axonlab.widgets.explorer.look import CHOSEN

TEXT = {"color": "var(--jp-ui-font-color1, inherit)", "min-height": "1.5em"}

WAIT_S = 0.03
"""From a slider that moves to what follows, at least: moves in between are one."""

Draw = Callable[[Any], hv.Overlay]
"""Takes a result, returns a figure."""


class Explorable(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Sliders beside figures of what follows from them, with a sentence that says it in words.

    A subclass has a parameter per slider, whose label has the unit, and the methods `compute`,
    which returns the result of them, `figures`, the functions that draw one, and `tell`.

    `result` is what the sliders lead to, from the start.
    """

    title: ClassVar[str] = ""

    at_release: ClassVar[Sequence[str]] = ()
    """Sliders that are heard when they are let go of, for what follows takes a while."""

    _revision = param.Integer(0)

    def __init__(self, **start: Any) -> None:
        super().__init__(**start)
        self.status = pn.pane.HTML(styles=TEXT, sizing_mode="stretch_width")
        known = set(self.param) - {"name"}
        own = [name for name in type(self).__dict__ if name in known]  # in their order
        self.controls = {name: self._control(name) for name in own}
        self._is_stale, self._is_waiting = True, False
        self._follow()
        self.param.watch(self._changed, own)

    def compute(self) -> Any:
        """Return what follows from the parameters."""
        raise NotImplementedError

    def figures(self) -> list[list[Draw]]:
        """Return the functions that draw a result, by columns."""
        raise NotImplementedError

    def tell(self) -> str:
        """Return in a sentence what the result says."""
        raise NotImplementedError

    def _pane(self, draw: Draw) -> pn.pane.HoloViews:
        changed = streams.Params(self, ["_revision"])
        drawn = hv.DynamicMap(lambda _revision: draw(self.result), streams=[changed])
        return pn.pane.HoloViews(drawn, linked_axes=False)

    def _control(self, name: str) -> pn.widgets.Widget:
        parameter = self.param[name]
        if isinstance(parameter, param.Selector):
            return pn.widgets.RadioButtonGroup.from_param(
                parameter, label=parameter.label, stylesheets=[CHOSEN], orientation="vertical"
            )
        look = {"label": parameter.label, "width": 260, "throttled": name in self.at_release}
        if isinstance(parameter, param.Integer):
            return pn.widgets.IntSlider.from_param(parameter, **look)
        _, _, decimals = f"{parameter.step:g}".partition(".")
        shown = "0." + "0" * len(decimals) if decimals else "0"
        return pn.widgets.FloatSlider.from_param(parameter, format=shown, **look)

    @property
    def result(self) -> Any:
        """What the sliders lead to."""
        if self._is_stale:
            self._result, self._is_stale = self.compute(), False
        return self._result

    def _changed(self, *events: param.parameterized.Event) -> None:
        """Follow when all that has been heard so far is taken in: drawing is slower than a hand."""
        self._is_stale = True
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None or pn.state.curdoc is not None:  # a script, or an app that is served
            self._follow()
        elif not self._is_waiting:
            self._is_waiting = True
            loop.call_later(WAIT_S, self._follow)

    def _follow(self) -> None:
        self._is_waiting = False
        self.status.object = f'<span role="status">{html.escape(self.tell())}</span>'
        self._revision += 1  # a result may be the same, and drawn in another way

    def __repr__(self, *_: Any) -> str:
        at = ", ".join(f"{name}={getattr(self, name)}" for name in self.controls)
        return f"{type(self).__name__}({at}: {self.tell()})"

    def __panel__(self) -> pn.Column:
        heading = pn.pane.HTML(f"<b>{html.escape(self.title)}</b>", styles=TEXT)
        controls = pn.Column(*self._labelled(), width=290)
        # anew for each place that it is shown in: a map that was drawn begins at what it has kept
        figures = [pn.Column(*map(self._pane, column)) for column in self.figures()]
        return pn.Column(heading, pn.FlexBox(controls, *figures), self.status)

    def _labelled(self) -> list[pn.viewable.Viewable]:
        """Return the controls; buttons have their label above them, as sliders do."""
        shown: list[pn.viewable.Viewable] = []
        for name, control in self.controls.items():
            if isinstance(control, pn.widgets.RadioButtonGroup):
                text = html.escape(self.param[name].label)
                shown.append(pn.pane.HTML(text, styles=TEXT, margin=(5, 10, 0, 10)))
            shown.append(control)
        return shown
