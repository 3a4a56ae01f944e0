"""Paint, correct and keep the labels of a micrograph in the notebook."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
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
_SCRIPTS = ("raster.js", "store.js", "picture.js", "hand.js", "controls.js", "view.js")


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
    hides the labels, Ctrl+Z and Ctrl+Shift+Z undo and redo.
    """

    _esm = "\n".join((_HERE / name).read_text("utf-8") for name in _SCRIPTS)
    _css = (_HERE / "label.css").read_text("utf-8")

    def __init__(self, labelling: Labelling, *, models: Sequence[str] = ()) -> None:
        super().__init__()
        self.labelling = labelling
        self.sources = [SCRIBBLES, *models]
        self._suggested: NDArray[np.uint8] | None = None
        self._uncertainty: NDArray[np.float32] | None = None
        self._job: Thread | None = None
        self._actions: dict[str, Callable[..., None]] = {
            "hello": self._start,
            "edit": self._edit,
            "undo": lambda _: self.labelling.undo(),
            "redo": lambda _: self.labelling.redo(),
            "save": lambda message: self.labelling.save(overwrite=message.get("overwrite", False)),
            "theirs": lambda _: self.labelling.take_theirs(),
            "suggest": lambda message: self._ask(message["source"], self._offer),
            "where": self._where,
            "accept": self._accept,
            "dismiss": lambda _: self._show_suggestion(None),
        }
        labelling.listeners.append(self._show_patch)
        if isinstance(labelling, SavedLabelling):
            labelling.status_listeners.append(self._show_status)
        self.on_msg(self._receive)

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
        except (ValueError, OSError) as error:
            kind = "refused" if message["kind"] == "edit" else "failed"
            self.send({"kind": kind, "page": message["page"], "text": str(error)})

    def _start(self, message: dict[str, Any]) -> None:
        micrograph = self.labelling.micrograph
        height, width = micrograph.pixels.shape
        with self.labelling.lock:
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
            }
            self.send(about, [compress(plane) for plane in planes])

    def _edit(self, message: dict[str, Any], packed: memoryview) -> None:
        self.labelling.apply(Patch.unpack(message, packed, self.labelling.labels.shape))
        self.send(self._state() | {"page": message["page"], "edit": message["edit"]})

    def _accept(self, message: dict[str, Any]) -> None:
        if self._suggested is not None:
            names = [name for name, i in CLASSES.items() if i in message["classes"]]
            self.labelling.accept(self._suggested, names, only_unlabelled=message["keep"])

    def _where(self, message: dict[str, Any]) -> None:
        if self._uncertainty is None:
            self._ask(message["source"], self._offer_and_look)
        else:
            self._look()

    # ---- suggestions, made in a thread: the strokes of the meantime are kept

    def _ask(self, source: str, answer: Callable[[Any], None]) -> None:
        if self._job is None or not self._job.is_alive():
            self._job = Thread(target=self._suggest, args=(source, answer), daemon=True)
            self._job.start()

    def _suggest(self, source: str, answer: Callable[[Any], None]) -> None:
        self.send({"kind": "busy", "text": f"suggesting from {source} …"})
        try:
            if source == SCRIBBLES:
                with self.labelling.lock:
                    labels = self.labelling.labels.copy()
                answer(al.propose.classify_pixels(self.labelling.micrograph, labels))
            else:
                answer(al.segment.segment(self.labelling.micrograph, source))
        except Exception as error:  # nobody else would see what a thread raises
            self.send({"kind": "failed", "text": f"No suggestion from {source}: {error}"})
        finally:
            self.send({"kind": "busy", "text": ""})

    def _offer(self, suggestion: Any) -> None:
        self._uncertainty = al.propose.uncertainty(suggestion.probabilities)
        self._show_suggestion(suggestion.labels)

    def _offer_and_look(self, suggestion: Any) -> None:
        self._offer(suggestion)
        self._look()

    def _look(self) -> None:
        assert self._uncertainty is not None
        labels = self.labelling.labels
        rows, columns = al.propose.where_next(self._uncertainty, labels, size=(CROP, CROP))
        self._uncertainty[rows, columns] = 0  # the next time, somewhere else
        height, width = rows.stop - rows.start, columns.stop - columns.start
        place = {"row": rows.start, "column": columns.start, "height": height, "width": width}
        self.send({"kind": "look"} | {name: int(n) for name, n in place.items()})

    # ---- what the browser is told

    def _show_suggestion(self, labels: NDArray[np.uint8] | None) -> None:
        self._suggested = labels
        self.send({"kind": "suggestion"}, [] if labels is None else [compress(labels)])

    def _show_patch(self, patch: Patch) -> None:
        place, packed = patch.pack()
        self.send({"kind": "patch"} | place, [packed])
        self.send(self._state())

    def _show_status(self, status: Status) -> None:
        self.send({"kind": "status", "status": status.kind, "text": status.text})

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
