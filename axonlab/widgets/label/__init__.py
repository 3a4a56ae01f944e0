"""Paint, correct and keep the labels of a micrograph in the notebook."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import anywidget
import imagecodecs
import numpy as np
from numpy.typing import NDArray

import axonlab as al
from axonlab import plot
from axonlab.autosave import SavedLabelling, Status
from axonlab.labelling import Labelling, Patch, compress
from axonlab.micrograph import (
    BACKGROUND_LABELLED,
    CLASS_COLOURS,
    CLASSES,
    Micrograph,
    resize,
    resize_labels,
    shape_at,
)

CROP = 256
"""Side in pixels of the crop to label next."""

STATIC_PIXELS = 1000
"""Longer side of the picture that stands where no JavaScript runs."""

SCRIBBLES = "my scribbles"
"""Source of suggestions that learns from the labels themselves."""

_COLOURS = CLASS_COLOURS | {CLASSES["background"]: BACKGROUND_LABELLED}

_HERE = Path(__file__).parent
_SCRIPTS = (
    "raster.js",
    "store.js",
    "picture.js",
    "hand.js",
    "controls.js",
    "input.js",
    "view.js",
)


class LabelWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget has no types
    """Label a micrograph with brush, fill, polygon, lasso and scissors.

    The labels are in `labelling`, whose every view shows the same; the cells that follow read
    ``labelling.labels``.

    Parameters
    ----------
    labelling : Labelling
        From `axonlab.autosave.open_labelling`, so that nothing is lost.
    models : sequence of str
        Models to ask for suggestions, by name or path, beside the scribbles themselves.

    Notes
    -----
    Keys, while the widget has the focus: 0–3 the class, B brush, E eraser, G fill, P polygon,
    L lasso, X scissors, I pick, H pan, [ and ] the size of the brush, + − F the zoom, V shows and
    hides the labels, Ctrl+Z and Ctrl+Shift+Z undo and redo; on the picture arrows move the tool,
    Space presses it, Enter closes a polygon, Backspace takes a corner and Escape the stroke back.

    Where no JavaScript runs stands a picture of the labels as they were when the cell ran.
    """

    _esm = "\n".join((_HERE / name).read_text("utf-8") for name in _SCRIPTS)
    _css = (_HERE / "label.css").read_text("utf-8")

    def __init__(self, labelling: Labelling, *, models: Sequence[str] = ()) -> None:
        super().__init__()
        self.labelling = labelling
        self.sources = [SCRIBBLES, *models]
        self._pages: set[str] = set()  # where somebody looks; without one nothing is sent
        self._suggested: NDArray[np.uint8] | None = None
        self._uncertainty: NDArray[np.float32] | None = None
        self._source = ""  # of the suggestion
        self._busy = ""
        self._actions: dict[str, Callable[[dict[str, Any]], object]] = {
            "hello": self._start,
            "sleep": lambda message: self._pages.discard(message["page"]),
            "undo": lambda _: self.labelling.undo(),
            "redo": lambda _: self.labelling.redo(),
            "save": lambda message: self.labelling.save(overwrite=message.get("overwrite", False)),
            "theirs": lambda _: self.labelling.take_theirs(),
            "suggest": lambda message: self._ask(message["source"], self._suggest),
            "where": lambda message: self._ask(message["source"], self._look),
            "accept": self._accept,
            "dismiss": lambda _: self._show_suggestion(None),
        }
        labelling.listeners.append(self._show_patch)
        if isinstance(labelling, SavedLabelling):
            labelling.status_listeners.append(self._show_status)
        self.on_msg(self._receive)

    def close(self) -> None:
        """Take the widget off the page; the labelling stays as it is."""
        with suppress(ValueError):  # closed before
            self.labelling.listeners.remove(self._show_patch)
            if isinstance(self.labelling, SavedLabelling):
                self.labelling.status_listeners.remove(self._show_status)
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        picture = imagecodecs.png_encode(_picture(self.labelling))
        data["image/png"] = base64.b64encode(picture).decode("ascii")
        return data, metadata

    # ---- what the browser sends

    def _receive(self, _: Any, message: dict[str, Any], buffers: list[memoryview]) -> None:
        try:
            if message["kind"] == "edit":
                self._edit(message, buffers[0])
            else:
                self._actions[message["kind"]](message)
        except Exception as error:  # nobody sees what is raised here
            kind = "refused" if message["kind"] == "edit" else "failed"
            told = {"kind": kind, "page": message["page"], "edit": message.get("edit")}
            self.send(told | {"text": str(error)})

    def _start(self, message: dict[str, Any]) -> None:
        micrograph = self.labelling.micrograph
        height, width = micrograph.pixels.shape
        with self.labelling.lock:
            self._pages.add(message["page"])
            planes = [plot.grey(micrograph.pixels), self.labelling.labels]
            if self._suggested is not None:
                planes.append(self._suggested)
            about = {
                "kind": "start",
                "page": message["page"],
                "name": micrograph.name,
                "pixel_size": micrograph.pixel_size,
                "height": height,
                "width": width,
                "classes": [
                    {"id": i, "name": name, "colour": _COLOURS[i]} for name, i in CLASSES.items()
                ],
                "sources": self.sources,
                "state": self._state(),
                "status": self._status(),
                "busy": self._busy,
            }
            self.send(about, [compress(plane) for plane in planes])

    def _edit(self, message: dict[str, Any], packed: memoryview) -> None:
        patch = Patch.unpack(message, packed, self.labelling.labels.shape)
        with self.labelling.lock:  # nobody else's patch may come between an edit and its receipt
            self.labelling.apply(patch)
            self.send(self._state() | {"page": message["page"], "edit": message["edit"]})

    def _accept(self, message: dict[str, Any]) -> None:
        if self._suggested is None:
            return
        names = [name for name, i in CLASSES.items() if i in message["classes"]]
        only_unlabelled = message["only_unlabelled"]
        self.labelling.accept(self._suggested, names, only_unlabelled=only_unlabelled)
        if len(names) == len(CLASSES):
            self._show_suggestion(None)

    # ---- suggestions, made in a thread: the strokes of the meantime are kept

    def _ask(self, source: str, job: Callable[[str], None]) -> None:
        if not self._busy:
            self._show_busy(f"suggesting from {source} …")
            Thread(target=self._work, args=(job, source), daemon=True).start()

    def _work(self, job: Callable[[str], None], source: str) -> None:
        try:
            job(source)
        except Exception as error:  # nobody sees what a thread raises
            self.send({"kind": "failed", "text": f"No suggestion from {source}: {error}"})
        finally:
            self._show_busy("")

    def _suggest(self, source: str) -> None:
        micrograph = self.labelling.micrograph
        if source == SCRIBBLES:
            suggestion: Any = al.propose.classify_pixels(micrograph, self._labels())
        else:
            suggestion = al.segment.segment(micrograph, source)
        self._uncertainty = al.propose.uncertainty(suggestion.probabilities)
        self._source = source
        self._show_suggestion(suggestion.labels)

    def _look(self, source: str) -> None:
        if self._uncertainty is None or self._source != source:
            self._suggest(source)
        doubt = self._uncertainty
        assert doubt is not None
        rows, columns = al.propose.where_next(doubt, self._labels(), size=(CROP, CROP))
        if not doubt[rows, columns].any():
            raise ValueError("there is no doubt left anywhere. Press Suggest for a new one.")
        doubt[rows, columns] = 0  # the next time, somewhere else
        height, width = rows.stop - rows.start, columns.stop - columns.start
        place = {"row": rows.start, "column": columns.start, "height": height, "width": width}
        self.send({"kind": "look"} | place)

    def _labels(self) -> NDArray[np.uint8]:
        with self.labelling.lock:
            return self.labelling.labels.copy()

    # ---- what the browser is told

    def _show_suggestion(self, labels: NDArray[np.uint8] | None) -> None:
        with self.labelling.lock:  # a page that starts now must not miss it
            self._suggested = labels
            self.send({"kind": "suggestion"}, [] if labels is None else [compress(labels)])

    def _show_patch(self, patch: Patch) -> None:
        if self._pages:
            place, packed = patch.pack()
            self.send({"kind": "patch"} | place, [packed])
            self.send(self._state())

    def _show_status(self, status: Status) -> None:
        self.send({"kind": "status", "status": status.kind, "text": status.text})

    def _show_busy(self, text: str) -> None:
        self._busy = text
        self.send({"kind": "busy", "text": text})

    def _state(self) -> dict[str, Any]:
        labelling = self.labelling
        return {
            "kind": "state",
            "counts": labelling.counts,
            "can_undo": labelling.can_undo,
            "can_redo": labelling.can_redo,
        }

    def _status(self) -> dict[str, str] | None:
        if not isinstance(self.labelling, SavedLabelling):
            return None
        status = self.labelling.status
        return {"status": status.kind, "text": status.text}


def _picture(labelling: Labelling) -> NDArray[np.uint8]:
    """Return the labels over the image, (h, w, 3) uint8, small enough to stay in a notebook."""
    micrograph = labelling.micrograph
    size = micrograph.pixel_size * max(1.0, max(micrograph.pixels.shape) / STATIC_PIXELS)
    shape = shape_at(micrograph.pixels.shape, micrograph.pixel_size, size)
    small = Micrograph(resize(micrograph.pixels, shape), size, micrograph.name)
    return plot.overlay(small, resize_labels(labelling.labels.copy(), shape))
