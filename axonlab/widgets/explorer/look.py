"""What the parts of the explorer share: buttons, what is chosen of them, and names of fibres."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn

Tell = Callable[..., None]
"""Takes a sentence for the reader, and ``failed=True`` if it is an error."""

CHOSEN = """
.bk-btn.bk-active, .bk-btn.bk-active:hover {
  background-color: #0072b2 !important; color: #ffffff !important;
}
.bk-btn:focus-visible { outline: 2px dotted #808080; outline-offset: 1px; }
"""
"""What is chosen is seen in light and in dark."""


def named(ids: list[int]) -> str:
    """Return what to call some fibres in a sentence."""
    return f"fibre {ids[0]}" if len(ids) == 1 else f"{len(ids)} fibres"


def button(label: str, on_click: Callable[[], None]) -> pn.widgets.Button:
    """Return a button that calls something without arguments."""
    button = pn.widgets.Button(label=label)
    button.on_click(lambda event: on_click())
    return button
