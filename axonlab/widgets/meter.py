"""How much of the memory is used, all the time."""

from __future__ import annotations

import threading

import ipywidgets

from axonlab import machine

SECONDS = 2.0
"""Between two looks."""

NEARLY_FULL = 0.9
"""Share of the memory from which on a warning stands beside the bar: the kernel ends at 1."""

_WARNING = (
    '<b role="alert">▲ Nearly full, and a full memory ends the kernel: shut down other kernels, or '
    "take a smaller image, tile or batch.</b>"
)


class Meter(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Show the memory that is used, of what a machine, a container or Binder allows.

    It looks again every two seconds, until it is closed or the kernel ends. Used is what others
    under the same limit use, too.

    Attributes
    ----------
    used, limit : int
        Bytes, at the last look.
    """

    def __init__(self) -> None:
        self.bar = ipywidgets.FloatProgress(
            max=1, description="memory", layout={"width": "320px"}, tooltip="Memory that is used"
        )
        self.text, self.warning = ipywidgets.HTML(), ipywidgets.HTML()
        super().__init__([ipywidgets.HBox([self.bar, self.text]), self.warning])
        self._closed = threading.Event()
        self.look()
        self._thread = threading.Thread(target=self._keep_looking, name="meter", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Look at the memory now."""
        self.limit = machine.memory_limit()
        self.used = self.limit - machine.memory_free()
        share = self.used / self.limit
        is_full = share >= NEARLY_FULL
        self.bar.value = round(share, 2)
        self.bar.bar_style = "danger" if is_full else ""
        self.text.value = f"{self.used / 1e9:.1f} of {self.limit / 1e9:.1f} GB"
        self.warning.value = _WARNING if is_full else ""

    def close(self) -> None:
        """Stop looking, and take it from the page."""
        self._closed.set()
        super().close()

    def _keep_looking(self) -> None:
        while not self._closed.wait(SECONDS):
            self.look()
