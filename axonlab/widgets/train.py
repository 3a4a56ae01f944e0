"""Tune, start, watch, stop and resume a training."""

from __future__ import annotations

import time
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from axonlab import machine, plot
from axonlab.job import Job
from axonlab.losses import LOSSES
from axonlab.micrograph import CLASS_COLOURS, CLASSES, Micrograph
from axonlab.models import SIZES, names
from axonlab.score import dice_column
from axonlab.training import IMAGENET, Training, Watched
from axonlab.widgets.form import button
from axonlab.widgets.job import JobWidget, duration, plural
from axonlab.widgets.picture import INK, axes, png, svg

SECONDS = 1.0
"""Shortest time between two drawings of the curves."""

SMOOTH = 15
"""Batches over which their loss is averaged in the drawing."""

PATCH_PX = 160
"""Side of a patch on the screen, at least."""

_FIELD = {"style": {"description_width": "10em"}, "layout": {"width": "320px"}}


class TrainWidget(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Choose the settings of a training, run it, and watch it learn.

    Every choice goes to `training` at once. What a run takes of time and memory is told before it
    starts; it runs in a thread, goes on when the page is closed, and can be stopped and resumed.

    Parameters
    ----------
    training : Training
    """

    def __init__(self, training: Training) -> None:
        self.training = training
        self.fields = _fields(training)
        self.needs = ipywidgets.HTML()
        self.start = button("Start", "play", self._start, button_style="primary")
        self.anew = button("Begin anew …", "refresh", self._begin_anew)
        self.search = button("Find learning rate", "search", self._search)
        self.preview = button("Show patches", "th", self._preview)
        self.suggestion = button("", "check", self._take_suggestion, layout={"display": "none"})
        self.progress = JobWidget(training.job)
        self.searching: Job[tuple[pd.DataFrame, float]] = Job(training.find_learning_rate)
        self.search_progress = JobWidget(self.searching)
        self.search_progress.layout.display = "none"
        self.curves, self.watched, self.extra = (ipywidgets.HTML() for _ in range(3))
        super().__init__(
            [
                ipywidgets.Box(list(self.fields.values()), layout={"flex_flow": "row wrap"}),
                self.needs,
                ipywidgets.Box(
                    [self.start, self.anew, self.search, self.suggestion, self.preview],
                    layout={"flex_flow": "row wrap"},
                ),
                self.search_progress,
                self.progress,
                self.curves,
                self.watched,
                self.extra,
            ]
        )
        self._drawn = 0.0
        self._refused: dict[str, Any] = {}  # what the fields show and the settings do not
        for name, field in self.fields.items():
            field.observe(lambda change, name=name: self._change(name, change["new"]), "value")
        training.job.listeners.append(self._follow)
        self.searching.listeners.append(self._follow_search)
        self._show_needs()
        self._draw()

    def _change(self, name: str, value: Any) -> None:
        self._refused[name] = value  # some are possible only together
        try:
            self.training.settings = replace(self.training.settings, **self._refused)
        except (ValueError, RuntimeError) as error:
            self._say_problem(error)
            for control in (self.start, self.anew, self.search, self.preview):
                control.disabled = True
            return
        self._refused.clear()
        self._show_needs()
        self._draw()

    def _show_needs(self) -> None:
        """Lock the controls while something runs; else tell what a run takes, or an obstacle."""
        training = self.training
        busy = self._is_busy
        for control in (self.search, self.preview, self.anew, *self.fields.values()):
            control.disabled = busy
        if busy:  # the checkpoint is not to be read again while it is written
            self.start.disabled = True
            return
        done, epochs = training.epochs_done, training.settings.epochs
        try:
            training.check()
        except (ValueError, MemoryError, OSError) as error:
            self._say_problem(error)
            obstacle = True
        else:
            need, free = training.memory / 1e9, machine.memory_free() / 1e9
            text = (
                f"{plural(epochs - done, 'epoch')} of {plural(training.steps_per_epoch, 'step')} "
                f"will take about {duration(training.seconds)} and {need:.1f} GB of memory; "
                f"{free:.1f} GB are free."
            )
            if training.is_over:
                text = "Nothing is left to be trained; with more epochs it goes on."
            self.needs.value = f'<span role="status">{text}</span>'
            obstacle = False
        self.start.description = f"Resume after epoch {done}" if done else "Start"
        self.start.disabled = obstacle or training.is_over or bool(self._refused)
        self.anew.layout.display = "" if self._can_begin_anew() else "none"
        self.anew.description = "Begin anew …"

    @property
    def _is_busy(self) -> bool:
        return self.training.job.running or self.searching.running

    def _can_begin_anew(self) -> bool:
        path = self.training.checkpoint.path
        return path.exists() or self.training.model_file.exists()

    def _say_problem(self, error: Exception) -> None:
        self.needs.value = f'<b role="alert">✖ {escape(str(error))}</b>'

    def _start(self) -> None:
        if self._is_busy:  # a second click was on its way
            return
        self.training.job.start()
        self._show_needs()

    def _begin_anew(self) -> None:
        if self.anew.description.startswith("Begin"):
            self.anew.description = "Really? What was trained is lost"
            return
        self.training.overwrite = True
        try:
            self.training.check()
        except (ValueError, MemoryError, OSError):
            self.training.overwrite = False
            self._show_needs()  # tells it
            return
        self.training.settings = self.training.settings  # forgets the history
        self._start()

    def _search(self) -> None:
        if self._is_busy:
            return
        self.extra.value, self.suggestion.layout.display = "", "none"
        self.search_progress.layout.display = ""
        self.searching.start()
        self._show_needs()

    def _follow_search(self) -> None:
        if self.searching.running:
            return
        self._show_needs()
        if not self.searching.error and not self.searching.stopping.is_set():
            self.search_progress.layout.display = "none"
            table, rate = self.searching.wait()
            self.extra.value = _rate_curve(table, rate)
            self._suggested = float(f"{rate:.1e}")
            self.suggestion.description = f"Use {self._suggested:g}"
            self.suggestion.layout.display = ""

    def _take_suggestion(self) -> None:
        self.fields["learning_rate"].value = self._suggested
        self.suggestion.layout.display = "none"

    def _preview(self) -> None:
        try:
            pixels, labels = self.training.preview()
        except (ValueError, OSError) as error:
            self.extra.value = f'<b role="alert">✖ {escape(str(error))}</b>'
            return
        size = self.training.settings.pixel_size
        rows = [
            np.hstack([np.dstack([plot.grey(p)] * 3) for p in pixels]),
            np.hstack(
                [plot.overlay(Micrograph(p, size), m) for p, m in zip(pixels, labels, strict=True)]
            ),
        ]
        description = "Patches as training sees them, and below with their labels"
        self.extra.value = f"<p>{description}.</p>" + png(
            np.vstack(rows), description, width=len(pixels) * max(PATCH_PX, pixels.shape[-1])
        )

    def _follow(self) -> None:
        now, job = time.monotonic(), self.training.job
        if now - self._drawn > SECONDS or not job.running:
            self._drawn = now
            self._draw()
        if job.running != self.anew.disabled:  # it has begun, perhaps by another cell, or ended
            self._show_needs()

    def _draw(self) -> None:
        training = self.training
        if training.losses or training.epochs_done:
            self.curves.value = _curves(training)
        else:
            self.curves.value = ""
        watched = training.watched
        self.watched.value = "" if watched is None else _comparison(watched, training)


def _fields(training: Training) -> dict[str, ipywidgets.ValueWidget]:
    """Return a field per setting that is tuned, by its name."""
    settings = training.settings
    animals = sorted({pair.animal for pair in training.pairs})
    known = dict.fromkeys([*names(), IMAGENET, settings.start_from or IMAGENET])
    starts = [("random weights", ""), *((name, name) for name in known)]

    def whole(label: str, name: str, low: int, high: int, step: int = 1) -> ipywidgets.ValueWidget:
        value = getattr(settings, name)
        return ipywidgets.BoundedIntText(
            value,
            min=low,
            max=high,
            step=step,
            description=label,
            continuous_update=False,
            **_FIELD,
        )

    def number(label: str, name: str) -> ipywidgets.ValueWidget:
        return ipywidgets.FloatText(getattr(settings, name), description=label, **_FIELD)

    def choice(label: str, name: str, options: Any) -> ipywidgets.ValueWidget:
        value = getattr(settings, name)
        return ipywidgets.Dropdown(options=options, value=value, description=label, **_FIELD)

    return {
        "size": choice("network", "size", [*SIZES, "resnet18"]),
        "start_from": choice("start from", "start_from", starts),
        "loss": choice("loss", "loss", list(LOSSES)),
        "epochs": whole("epochs", "epochs", 1, 10_000),
        "patches_per_image": whole("patches per image", "patches_per_image", 1, 10_000),
        "batch": whole("batch", "batch", 2, 256),
        "patch": whole("patch (px)", "patch", 32, 2048, 32),
        "learning_rate": number("learning rate", "learning_rate"),
        "grey_variation": number("grey variation", "grey_variation"),
        "patience": whole("patience (epochs)", "patience", 0, 10_000),
        "seed": whole("seed", "seed", 0, 2**31 - 1),
        "valid_animals": ipywidgets.SelectMultiple(
            options=animals,
            value=tuple(a for a in animals if a in settings.valid_animals),
            rows=min(5, len(animals)),
            description="validation",
            **_FIELD,
        ),
    }


def _curves(training: Training) -> str:
    """Return the loss of batches and epochs, and the Dice of epochs."""
    figure = Figure(figsize=(8.6, 2.5), layout="constrained")
    loss, dice = axes(figure, 2)
    history, losses = training.history, np.array(training.losses)
    if len(losses) >= SMOOTH:
        smooth = np.convolve(losses, np.ones(SMOOTH) / SMOOTH, "valid")
        last = training.job.done / training.steps_per_epoch
        steps = last - np.arange(len(smooth))[::-1] / training.steps_per_epoch
        loss.plot(steps, smooth, color=INK, linewidth=0.8, alpha=0.5)
    told = ""
    if len(history):
        epochs = history["epoch"] + 1
        for name, colour in (("training", INK), ("validation", "#d55e00")):
            values = history[f"{name[:5]}_loss"].astype(float)
            loss.plot(epochs, values, ".-", color=colour, label=name, gid=name)
        for name, colour in _dice_colours(training):
            values = history[dice_column(name)].astype(float)
            dice.plot(epochs, values, ".-", color=colour, label=name)
            told += f", {name} {values.iloc[-1]:.3f}"
    for one, label in ((loss, "loss"), (dice, "Dice")):
        one.set(xlabel="epochs", ylabel=label, xlim=(0, training.settings.epochs))
        one.xaxis.set_major_locator(MaxNLocator(integer=True))
        if one.has_data():
            one.legend(fontsize=8, labelcolor=INK, framealpha=0)
    dice.set_ylim(0, 1)
    return svg(figure, f"Loss and Dice after {plural(len(history), 'epoch')}{told}")


def _dice_colours(training: Training) -> list[tuple[str, str]]:
    colours = {name: CLASS_COLOURS[i] for name, i in CLASSES.items()} | {"background": INK}
    return [(name, colours[name]) for name in training.settings.classes]


def _rate_curve(table: pd.DataFrame, suggestion: float) -> str:
    figure = Figure(figsize=(4.3, 2.3), layout="constrained")
    (one,) = axes(figure, 1)
    one.plot(table["learning_rate"], table["loss"], color=INK)
    one.axvline(suggestion, color="#d55e00")
    one.set(xscale="log", xlabel="learning rate", ylabel="loss")
    text = f"The loss falls well at a learning rate of {float(f'{suggestion:.1e}'):g}"
    return f"<p>{text}.</p>" + svg(figure, text)


def _comparison(watched: Watched, training: Training) -> str:
    """Return image, truth and prediction beside each other."""
    micrograph = Micrograph(watched.pixels, training.settings.pixel_size)
    shown = [np.dstack([plot.grey(watched.pixels)] * 3)]
    shown += [plot.overlay(micrograph, labels) for labels in (watched.truth, watched.labels)]
    text = f"{watched.name}, its labels, and what the network sees after epoch "
    text += str(training.epochs_done)
    return f"<p>{escape(text)}.</p>" + png(np.hstack(shown), text, width=860)
