"""A form of drop-down lists over a plain object, and buttons that act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import ipywidgets


class Form(ipywidgets.HBox):  # type: ignore[misc]  # ipywidgets has no types
    """One drop-down list per setting; a choice is written to the settings at once.

    Parameters
    ----------
    settings : SimpleNamespace
        Holds the useful answer to begin with. The cells that follow read this object and need
        no widget.
    **options : sequence of str
        What can be chosen, by the name of the setting; its present value can be, in any case.

    Examples
    --------
    >>> settings = SimpleNamespace(model="sem")
    >>> form = Form(settings, model=["sem", "tem"])
    >>> form.children[0].value = "tem"
    >>> settings.model
    'tem'
    """

    def __init__(self, settings: SimpleNamespace, **options: Sequence[str]) -> None:
        super().__init__([_drop_down(settings, name, options[name]) for name in options])


def _drop_down(settings: SimpleNamespace, name: str, options: Sequence[str]) -> ipywidgets.Dropdown:
    def keep(change: dict[str, Any]) -> None:
        setattr(settings, name, change["new"])

    value = getattr(settings, name)
    choices = list(dict.fromkeys([value, *options]))
    drop_down = ipywidgets.Dropdown(options=choices, value=value, description=name)
    drop_down.observe(keep, "value")
    return drop_down


def button(label: str, icon: str, act: Callable[[], None], **look: Any) -> ipywidgets.Button:
    """Return a button as wide as its label; a click on it calls `act`."""
    look = {"layout": {"width": "max-content"}} | look
    button = ipywidgets.Button(description=label, icon=icon, **look)
    button.on_click(lambda _: act())
    return button
