"""Choose how a folder of micrographs is segmented, try it on a crop, and run it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets
import pandas as pd

from axonlab import plot
from axonlab.batch import AT_WORK, DONE, FAILED, WAITING, FolderRun
from axonlab.job import Job
from axonlab.models import names
from axonlab.preview import SIDE, Crop, Place
from axonlab.widgets.form import button
from axonlab.widgets.job import JobWidget, plural
from axonlab.widgets.picture import png

SECONDS = 1.0
"""Shortest time between two drawings of the table of images."""

SIGNS = {WAITING: "○", AT_WORK: "◐", DONE: "✔", FAILED: "✖"}
"""Of the states of an image, so that colours are not needed."""

_COLUMNS = {
    "fibres": ("fibres", "{:d}"),
    "pixel_size_um": ("pixel size (µm)", "{:.4g}"),
    "uncertainty_bits": ("uncertainty (bits)", "{:.2f}"),
    "seconds": ("seconds", "{:.1f}"),
}

_FIELD = {
    "style": {"description_width": "11em"},
    "layout": {"width": "340px"},
    "continuous_update": False,
}
_SLIDER = {"min": 0, "max": 1, "step": 0.05, "readout": False} | _FIELD

_LOOK = """<style>
.axonlab-segment .widget-html-content { line-height: 1.4; }
.axonlab-doubt { color: var(--jp-warn-color0, #b35900); max-width: 60em; }
.axonlab-failed { color: var(--jp-error-color1, #d32f2f); }
.axonlab-status { max-height: 22em; overflow: auto; }
.axonlab-status table { border-collapse: collapse; }
.axonlab-status th, .axonlab-status td { padding: 2px 14px 2px 0; vertical-align: top;
  text-align: left; border-top: 1px solid var(--jp-border-color2, #ccc); }
.axonlab-status .axonlab-number { text-align: right; font-variant-numeric: tabular-nums; }
.axonlab-status th, .axonlab-status td:first-child { white-space: nowrap; }
.axonlab-status td:last-child { overflow-wrap: anywhere; min-width: 16em; }
</style>"""


class SegmentWidget(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Choose model and pixel sizes, look at a crop as the model sees it, and segment all images.

    Every choice goes to `run` at once. The crop is first where the image shows most, and can be
    moved; below it stands what speaks against the pixel size. The run goes on when the page is
    closed, and can be stopped and resumed.

    Parameters
    ----------
    run : FolderRun
    """

    def __init__(self, run: FolderRun) -> None:
        self.run = run
        settings = run.settings
        self.model = ipywidgets.Combobox(
            value=str(settings.model), options=names(), description="model", **_FIELD
        )
        self.augment = ipywidgets.Checkbox(
            settings.test_time_augmentation,
            description="mean of 8 orientations (8 × the time)",
            tooltip="Test-time augmentation: the model sees the image mirrored and turned, too",
            indent=False,
            layout={"width": "max-content", "margin": "2px 2px 2px 24px"},
        )
        self.min_diameter = ipywidgets.BoundedFloatText(
            settings.min_axon_diameter, step=0.1, description="smallest axon (µm)", **_FIELD
        )
        self.image = ipywidgets.Dropdown(
            options=list(run.images),
            description="image",
            style=_FIELD["style"],
            layout=_FIELD["layout"],
        )
        self.pixel_size = ipywidgets.Text(
            placeholder="as its files say", description="pixel size (µm)", **_FIELD
        )
        self.for_all = button(
            "For all images", "copy", lambda: self._use_for(list(self.run.images))
        )
        self.down, self.across = (
            ipywidgets.FloatSlider(0.5, description=f"move {way}", **_SLIDER)
            for way in ("down", "across")
        )
        self.looked, self.crop, self.needs, self.table = (ipywidgets.HTML() for _ in range(4))
        self.start = button("Start", "play", self._start, button_style="primary")
        self.replace = button("", "refresh", self._replace)
        self.progress = JobWidget(run.job)
        self.looking: Job[Crop] = Job(self._look)
        rows = [
            [self.model, self.min_diameter, self.augment],
            [self.image, self.pixel_size, self.for_all],
            [self.down, self.across, self.looked],
            [self.crop],
            [self.needs],
            [self.start, self.replace],
        ]
        boxes = [ipywidgets.Box(row, layout={"flex_flow": "row wrap"}) for row in rows]
        super().__init__([ipywidgets.HTML(_LOOK), *boxes, self.progress, self.table])
        self.add_class("axonlab-segment")
        self._place: Place | None = None  # where the image shows most
        self._refused: dict[str, Any] = {}  # what the fields show and the settings do not
        self._is_following = False  # fields that show another image are not edited
        self._wants_look = False
        self._starting = threading.Lock()
        self._drawn = 0.0
        self._observe()
        self._choose_image()
        self._show()

    def _observe(self) -> None:
        fields = {
            "model": self.model,
            "test_time_augmentation": self.augment,
            "min_axon_diameter": self.min_diameter,
        }
        for name, field in fields.items():
            field.observe(lambda change, name=name: self._change({name: change["new"]}), "value")
        self.pixel_size.observe(lambda change: self._use_for([self.image.value]), "value")
        self.image.observe(lambda change: self._choose_image(), "value")
        for slider in (self.down, self.across):
            slider.observe(lambda change: self._move(), "value")
        self.run.job.listeners.append(self._follow)
        self.looking.listeners.append(self._follow_look)

    # --- choices

    def _change(self, changes: dict[str, Any]) -> None:
        self._refused |= changes
        try:
            self.run.settings = replace(self.run.settings, **self._refused)
        except (ValueError, OSError, RuntimeError) as error:
            self._refuse(error)
            return
        self._refused.clear()
        self._show()
        self._look_again()

    def _use_for(self, images: list[str]) -> None:
        """Take the pixel size in the field for some images; an empty one is that of the files."""
        if self._is_following:
            return
        text = self.pixel_size.value.strip().replace(",", ".")
        sizes = {n: size for n, size in self.run.settings.pixel_sizes.items() if n not in images}
        if text:  # what is no number is refused as a size
            sizes |= dict.fromkeys(images, pd.to_numeric(text, errors="coerce"))
        self._change({"pixel_sizes": sizes})

    def _choose_image(self) -> None:
        """Look where the image shows most."""
        size = self.run.settings.pixel_sizes.get(self.image.value)
        self._place = None
        with self._following():
            self.pixel_size.value = "" if size is None else f"{size:g}"
        if self._refused.pop("pixel_sizes", None):  # which is not in the field any more
            self._change({})
        else:
            self._look_again()

    def _move(self) -> None:
        if not self._is_following:
            self._place = self.down.value, self.across.value
            self._look_again()

    @contextmanager
    def _following(self) -> Iterator[None]:
        self._is_following = True
        yield
        self._is_following = False

    # --- the crop

    def _look_again(self) -> None:
        """Segment the crop, once that of before is given up."""
        self._wants_look = True
        self.looking.stop()
        self._start_look()

    def _start_look(self) -> None:
        with self._starting:  # this thread, or that of a look that has just ended
            if self._wants_look and not self.looking.running:
                self._wants_look = False
                self.looking.start()

    def _look(self, job: Job[Crop]) -> Crop:
        return self.run.preview(self.image.value, self._place, job)

    def _follow_look(self) -> None:
        job = self.looking
        if job.running:
            share = f", {job.done:.0%}" if job.total else ""
            self.looked.value = f'<span role="status">Preview: {escape(job.text)}{share} …</span>'
            return
        if self._wants_look:
            self._start_look()
            return
        self.looked.value = ""
        if job.error:
            self.crop.value = _alert(job.error)
            return
        crop = job.wait()
        with self._following():
            self.down.value, self.across.value = crop.place
        self.crop.value = _picture(crop, self.run.model.card.name)

    # --- the run

    def _start(self) -> None:
        if not self.run.job.running:  # else a second click was on its way
            self.run.job.start()
            self._show()

    def _replace(self) -> None:
        if self.replace.description.startswith("Replace"):
            self.replace.description = "Really? They are lost"
            return
        self.run.overwrite = True
        self._show()
        if not self.start.disabled:
            self._start()

    def _follow(self) -> None:
        now, running = time.monotonic(), self.run.job.running
        if running != self.model.disabled:  # it has begun, perhaps by another cell, or ended
            self._show()
        elif now - self._drawn > SECONDS:
            self._draw_table()

    def _show(self) -> None:
        """Lock the controls while images are segmented; else tell what is to be done."""
        run, busy = self.run, self.run.job.running
        for control in (self.model, self.min_diameter, self.augment, self.pixel_size, self.for_all):
            control.disabled = busy
        self._draw_table()
        self.replace.layout.display = "none"
        self.start.disabled = busy
        if busy:
            return
        status = run.status
        left = int((status["state"] != DONE).sum())
        self.start.description = "Start" if left == len(status) else "Resume"
        self.start.disabled = not left
        what = f"{left} of {plural(len(status), 'image')} are to be segmented"
        text = what if left else f"{plural(len(status), 'image')} segmented: nothing is left to do"
        self.needs.value = f'<span role="status">{text}, in {escape(str(run.folder))}.</span>'
        try:
            run.check()
        except ValueError as error:
            self._refuse(error)
            self.replace.description = "Replace results …"
            self.replace.layout.display = "" if not run.overwrite else "none"

    def _refuse(self, error: Exception) -> None:
        self.needs.value = _alert(error)
        self.start.disabled = True

    def _draw_table(self) -> None:
        self._drawn = time.monotonic()
        self.table.value = _table(self.run.status)


def _alert(error: BaseException) -> str:
    return f'<b role="alert">✖ {escape(str(error))}</b>'


def _picture(crop: Crop, model: str) -> str:
    """Return a crop without and with its classes, and what is known of it."""
    seen = crop.micrograph
    found = plural(len(crop.fibres), "fibre")
    if crop.fibre_diameter > 0:
        found += f", {crop.fibre_diameter:.2g} µm thick (median of the complete ones)"
    text = (
        f"{seen.name}, pixels of {crop.pixel_size:.4g} µm ({crop.pixel_size_source}), as {model} "
        f"sees it at {seen.pixel_size:g} µm: {found}"
    )
    doubt = (
        f'<p class="axonlab-doubt" role="alert">▲ {escape(crop.doubt)}</p>' if crop.doubt else ""
    )
    pictures = png(plot.grey(seen.pixels), text, width=SIDE) + png(
        plot.overlay(seen, crop.labels), "The same with its classes", width=SIDE
    )
    look = "display: flex; flex-wrap: wrap; gap: 6px"
    return f'<p>{escape(text)}.</p><div style="{look}">{pictures}</div>{doubt}'


def _table(status: pd.DataFrame) -> str:
    """Return the status of the images as HTML."""
    heads = "".join(f"<th>{label}</th>" for label, _ in _COLUMNS.values())
    rows = "".join(_line(row) for row in status.to_dict("records"))
    return (
        '<div class="axonlab-status" tabindex="0"><table aria-label="Images"><thead><tr>'
        f"<th>image</th><th>state</th>{heads}<th>remark</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _line(row: dict[Any, Any]) -> str:
    numbers = "".join(
        f'<td class="axonlab-number">{"" if pd.isna(row[name]) else form.format(row[name])}</td>'
        for name, (_, form) in _COLUMNS.items()
    )
    state = f'<td class="axonlab-{row["state"]}">{SIGNS[row["state"]]}&nbsp;{row["state"]}</td>'
    remark = f"▲ {row['remark']}" if row["remark"] and row["state"] == DONE else row["remark"]
    return f"<tr><td>{escape(row['image'])}</td>{state}{numbers}<td>{escape(remark)}</td></tr>"
