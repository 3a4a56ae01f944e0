"""What is wrong with a data set, with the pictures of it, and what to train in spite of."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

import ipywidgets
import pandas as pd
from numpy.typing import NDArray

from axonlab import plot
from axonlab.dataset import SEVERITIES, class_balance
from axonlab.io import read_image, read_labels
from axonlab.micrograph import CLASS_COLOURS, CLASSES, UNLABELLED, check_fits, resize, resize_labels
from axonlab.pairs import Pair, short_names
from axonlab.widgets.job import plural
from axonlab.widgets.picture import png

SIGNS = {"severe": "✖", "warning": "▲", "note": "●"}
"""Of the severities, so that their colours are not needed."""

SIDE = 420
"""Of a picture, at most, in pixels."""

_LOOK = """<style>
.axonlab-doctor .widget-html-content { line-height: 1.4; }
.axonlab-doctor-row { border-top: 1px solid var(--jp-border-color2, #ccc); padding: 3px 0; }
.axonlab-doctor-cells { display: grid; grid-template-columns: 2fr 3fr 3fr; gap: 0 1.2em; }
.axonlab-doctor-cells > * { overflow-wrap: anywhere; }
.axonlab-severe { color: var(--jp-error-color1, #d32f2f); }
.axonlab-warning { color: var(--jp-warn-color1, #f57c00); }
.axonlab-note { color: var(--jp-info-color1, #0097a7); }
.axonlab-pictures { display: flex; flex-wrap: wrap; gap: 1em; }
.axonlab-pictures figure { margin: 0; max-width: 420px; overflow-wrap: anywhere; }
.axonlab-balance { display: grid; grid-template-columns: fit-content(26em) 220px auto;
  gap: 2px 1em; align-items: center; justify-content: start; max-height: 16em; overflow: auto; }
.axonlab-bar { display: flex; height: 12px; border: 1px solid var(--jp-border-color1, #888); }
.axonlab-legend { margin: 4px 0; }
.axonlab-legend :first-child { margin-left: 0; }
.axonlab-swatch { display: inline-block; width: 10px; height: 10px; margin: 0 4px 0 12px;
  border: 1px solid var(--jp-border-color1, #888); }
</style>"""


class DoctorWidget(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Read the findings, look at the files they are about, and allow those known to be harmless.

    Parameters
    ----------
    pairs : sequence of Pair
    findings : DataFrame
        From `axonlab.dataset.check_dataset` of these pairs.
    allow : list of str
        Names of severe findings to train in spite of. The checkboxes change this list itself,
        which the next cell hands to `axonlab.dataset.refuse`.
    """

    def __init__(self, pairs: Sequence[Pair], findings: pd.DataFrame, allow: list[str]) -> None:
        self._pairs = dict(zip(short_names(pairs), pairs, strict=True))
        self._findings = list(findings.itertuples(index=False))
        self._allow = allow
        self.looks = [self._look_button(row) for row in self._findings]
        self._rows = [_row(*both) for both in zip(self._findings, self.looks, strict=True)]
        self.severity = _filter(findings)
        self.severity.observe(lambda change: self._show(change["new"]), "value")
        self.rows = ipywidgets.VBox()
        self.picture = ipywidgets.HTML()
        self.allowed = [self._checkbox(name, n) for name, n in _severe(findings).items()]
        summary = ipywidgets.HTML(_LOOK + f'<p role="status">{_summary(findings, len(pairs))}</p>')
        balance = ipywidgets.HTML(_balance(class_balance(pairs)))
        boxes = ipywidgets.Box(self.allowed, layout={"flex_flow": "row wrap", "margin": "6px 0"})
        found = [self.severity, _head(), self.rows, boxes, self.picture]
        super().__init__([summary, *(found if self._findings else []), balance])
        self.add_class("axonlab-doctor")
        self._show("")
        if self._findings:
            self._look(self._findings[0], self.looks[0])

    def _look_button(self, row: Any) -> ipywidgets.Button:
        about = f"of {row.file}" if row.file else "of the whole data set"
        button = ipywidgets.Button(
            description=row.name,
            tooltip=f"Look at the finding {row.name} {about}",
            layout={"width": "120px", "flex": "none"},
        )
        button.on_click(partial(self._look, row))
        return button

    def _look(self, row: Any, button: ipywidgets.Button) -> None:
        """Show the pictures that a finding is about, and mark its row."""
        for other in self.looks:
            other.button_style = "info" if other is button else ""
        shown = [(name, pair) for name, pair in self._pairs.items() if _names(row, name)]
        figures = "".join(_figure(name, pair) for name, pair in shown)
        self.picture.value = (
            f'<section aria-live="polite" aria-label="Pictures of the finding">'
            f"<p><b>{escape(row.name)}</b>: {escape(row.finding)}</p>"
            f'<div class="axonlab-pictures">{figures}</div>'
            "</section>"
        )

    def _show(self, severity: str) -> None:
        """Show the findings of a severity, or all."""
        rows = zip(self._findings, self._rows, strict=True)
        self.rows.children = [row for found, row in rows if severity in ("", found.severity)]

    def _checkbox(self, name: str, n: int) -> ipywidgets.Checkbox:
        box = ipywidgets.Checkbox(
            name in self._allow,
            description=f"train in spite of “{name}” ({plural(n, 'finding')})",
            indent=False,
            layout={"width": "max-content", "margin": "2px 24px 2px 0"},
        )
        box.observe(lambda change: self._keep(name, change["new"]), "value")
        return box

    def _keep(self, name: str, is_allowed: bool) -> None:
        if is_allowed and name not in self._allow:
            self._allow.append(name)
        elif not is_allowed:
            self._allow[:] = [other for other in self._allow if other != name]


def _severe(findings: pd.DataFrame) -> dict[str, int]:
    """Return how many findings there are of every severe name."""
    names = findings.loc[findings["severity"] == "severe", "name"].tolist()
    return {name: names.count(name) for name in dict.fromkeys(names)}


def _summary(findings: pd.DataFrame, n_images: int) -> str:
    images = plural(n_images, "image")
    if findings.empty:
        return f"✔ {images} checked, and nothing found that speaks against training."
    counts = [(severity, (findings["severity"] == severity).sum()) for severity in SEVERITIES]
    nouns = {"severe": "severe finding"}
    told = ", ".join(f"{_sign(s)} {plural(n, nouns.get(s, s))}" for s, n in counts if n)
    return f"{told} in {images}."


def _sign(severity: str) -> str:
    return f'<span class="axonlab-{severity}" aria-hidden="true">{SIGNS[severity]}</span>'


def _filter(findings: pd.DataFrame) -> ipywidgets.ToggleButtons:
    counts = findings["severity"].value_counts()
    options = [(f"all ({len(findings)})", "")]
    options += [(f"{SIGNS[s]} {s} ({counts[s]})", s) for s in SEVERITIES if s in counts]
    return ipywidgets.ToggleButtons(
        options=options, value="", tooltips=[f"Show {label}" for label, _ in options],
        style={"button_width": "max-content"},
    )  # fmt: skip


def _head() -> ipywidgets.HBox:
    cells = _cells("<b>file</b>", "<b>finding</b>", "<b>what to do</b>")
    return _line(
        "<b>severity</b>", ipywidgets.HTML("<b>name</b>", layout={"width": "120px"}), cells
    )


def _row(row: Any, look: ipywidgets.Button) -> ipywidgets.HBox:
    cells = _cells(escape(row.file) or "all", escape(row.finding), escape(row.suggestion))
    return _line(f"{_sign(row.severity)} {row.severity}", look, cells)


def _cells(*texts: str) -> str:
    inner = "".join(f"<span>{text}</span>" for text in texts)
    return f'<div class="axonlab-doctor-cells">{inner}</div>'


def _line(severity: str, name: ipywidgets.DOMWidget, cells: str) -> ipywidgets.HBox:
    line = ipywidgets.HBox(
        [
            ipywidgets.HTML(severity, layout={"width": "80px", "flex": "none"}),
            name,
            ipywidgets.HTML(cells, layout={"flex": "1 1 auto", "margin": "2px 2px 2px 16px"}),
        ]
    )
    line.add_class("axonlab-doctor-row")
    return line


def _names(row: Any, name: str) -> bool:
    """Tell whether a finding names an image: as its file, or one of them, or beside it."""
    return _words(name) in _words(row.file) or _words(name) in _words(row.finding)


def _words(text: str) -> str:
    """Return a text between blanks, without what separates file names in it."""
    return " " + re.sub("[,;.]? ", " ", f"{text} ")


def _figure(name: str, pair: Pair) -> str:
    """Return the picture of a pair, its mask over it, as far as they can be read."""
    picture, told = "", ""
    with warnings.catch_warnings(action="ignore"):  # they are among the findings
        try:
            micrograph = read_image(pair.image, pixel_size=1)  # only pixels are looked at
            pixels = _small(micrograph.pixels, resize)
            picture = png(plot.grey(pixels), f"{name} without a mask")
            labels = read_labels(*pair.masks, values=pair.values)
            check_fits(labels, micrograph)
            mixed = plot.overlay(replace(micrograph, pixels=pixels), _small(labels, resize_labels))
            picture = png(mixed, f"{name} with its mask in colour")
            if (labels == UNLABELLED).any():
                told = "; where it is grey, nothing is labelled"
        except (OSError, ValueError) as error:
            told = f'<br><span class="axonlab-severe">✖</span> {escape(str(error))}'
    return f"<figure>{picture}<figcaption>{escape(name)}{told}</figcaption></figure>"


def _small(plane: NDArray[Any], resample: Callable[..., NDArray[Any]]) -> NDArray[Any]:
    """Return a plane shrunk to at most `SIDE` rows and columns."""
    shrink = max(1.0, max(plane.shape) / SIDE)
    return resample(plane, tuple(max(1, round(n / shrink)) for n in plane.shape))


def _legend() -> str:
    swatches = "".join(
        f'<span class="axonlab-swatch" style="background: {CLASS_COLOURS[i]}"></span>{name}'
        for name, i in CLASSES.items()
    )
    return f'<p class="axonlab-legend">{swatches}</p>'


def _balance(table: pd.DataFrame) -> str:
    """Return a bar for every image that can be read: how much of it is which class."""
    if table.empty:
        return ""
    bars = "".join(_bar(row) for row in table.to_dict("records"))
    return (
        f"<p><b>Classes of what is labelled</b></p>{_legend()}"
        f'<div class="axonlab-balance" tabindex="0" role="group" aria-label="Classes by image">'
        f"{bars}</div>"
    )


def _bar(row: dict[Any, Any]) -> str:
    present = [name for name in CLASSES if row[name] > 0]
    told = ", ".join(f"{name} {row[name]:.1%}" for name in present) or "nothing"
    parts = "".join(
        f'<span style="width: {row[name]:.2%}; background: {CLASS_COLOURS[CLASSES[name]]}"></span>'
        for name in present
    )
    image = escape(row["image"])
    return (
        f'<span>{image}</span><span class="axonlab-bar" role="img" title="{told}" '
        f'aria-label="{image}: {told}">{parts}</span><span>{row["labelled"]:.0%} labelled</span>'
    )
