"""Progress and a stop button for work in a thread."""

from __future__ import annotations

import time
from html import escape
from typing import Any

import ipywidgets

from axonlab.job import Job

SECONDS = 0.25
"""Shortest time between two looks at a job: a browser need not be told of every batch."""


class JobWidget(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Show how far a job is, and stop it.

    Parameters
    ----------
    job : Job
        Runs on when the widget is closed.
    """

    def __init__(self, job: Job[Any]) -> None:
        self.job = job
        self.bar = ipywidgets.FloatProgress(max=1, layout={"width": "320px"})
        self.stop = ipywidgets.Button(description="Stop", icon="stop", layout={"width": "90px"})
        self.stop.on_click(lambda _: job.stop())
        self.state = ipywidgets.HTML()
        super().__init__([ipywidgets.HBox([self.stop, self.bar]), self.state])
        self._told = 0.0
        job.listeners.append(self._follow)
        self.show()

    def show(self) -> None:
        """Bring the widget up to date."""
        job = self.job
        self.stop.disabled = not job.running or job.stopping.is_set()
        self.bar.value = job.done / job.total if job.total else 0
        self.bar.bar_style = "danger" if job.error else "" if job.running else "success"
        self.state.value = f'<span role="status">{escape(self._state())}</span>'

    def _state(self) -> str:
        job = self.job
        if job.error:
            return f"Ended: {job.error}"
        if not job.running:
            ended = "Stopped" if job.stopping.is_set() else "Ended"
            return job.text and (f"{ended} at {job.text}." if job.total else f"{ended}.")
        if job.stopping.is_set():
            return "Stopping …"
        left = "" if job.seconds_left is None else f", {duration(job.seconds_left)} left"
        return f"{job.text}{left}"

    def _follow(self) -> None:
        now = time.monotonic()
        if now - self._told > SECONDS or not self.job.running or self.job.stopping.is_set():
            self._told = now
            self.show()


def duration(seconds: float) -> str:
    """Return a time for people.

    Examples
    --------
    >>> duration(40), duration(130), duration(4000)
    ('40 s', '2 min', '1 h 7 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def plural(n: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> plural(1, "step"), plural(2, "step")
    ('1 step', '2 steps')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"
