"""Keys that are pressed over a figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import param
from panel.custom import JSComponent


class Keys(JSComponent):  # type: ignore[misc]  # panel has no types
    """Listen for keys in the column that this is put into; it shows nothing.

    Parameters
    ----------
    on_key : callable
        Takes the name of a key, as browsers have it: ``"ArrowLeft"``.
    label : str
        What the keys do, for screen readers.
    """

    label = param.String()

    _esm = Path(__file__).with_name("keys.js").read_text("utf-8")

    def __init__(self, on_key: Callable[[str], None], label: str) -> None:
        super().__init__(width=1, height=1, margin=0, label=label)
        self._on_key = on_key

    def _handle_msg(self, key: str) -> None:
        self._on_key(key)
