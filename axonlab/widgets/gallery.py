"""The images of an evaluation, the worst first: small ones to choose from, the chosen one large."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import param
from numpy.typing import NDArray
from PIL import Image

from axonlab import plot
from axonlab.micrograph import Micrograph, resize, resize_labels
from axonlab.pairs import read_pair
from axonlab.score import merge_classes

if TYPE_CHECKING:
    from axonlab.evaluate import Evaluation  # imports torch, which views do not need

THUMBNAIL_PX = 160
"""Longer side of a small image."""

GALLERY_PX = 480
"""Height of the gallery, which scrolls if there are more images."""

FRAME_PX = 300
"""Width of each view of the chosen image."""

NAMES = ("the model", "the truth")

_BUTTON = """
:host { margin: 4px; }
.bk-btn {
  width: 184px; height: 268px; padding: %dpx 6px 6px; white-space: pre-line; overflow: hidden;
  font-size: 12px; line-height: 1.3; overflow-wrap: anywhere; text-align: center;
  border: 3px solid transparent; vertical-align: top; display: block;
  background: url(data:image/png;base64,%s) no-repeat center %dpx;
  background-color: transparent; color: var(--jp-ui-font-color1, inherit);
}
.bk-btn:hover { border-color: #808080; background-color: transparent !important; }
.bk-btn:focus-visible { outline: 2px dotted #808080; outline-offset: 1px; }
"""
_CHOSEN = ".bk-btn, .bk-btn:hover { border-color: #0072b2; }"


class Gallery(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Look where a model and the truth differ; a click on a small image shows it large.

    The worst image is open at first. Images are read again from their files.

    Parameters
    ----------
    evaluation : Evaluation

    Attributes
    ----------
    selected : int
        Row of the chosen image in ``evaluation.images``.
    order : list of int
        All rows, the worst mean Dice first.
    """

    selected = param.Integer()

    def __init__(self, evaluation: Evaluation) -> None:
        order = evaluation.images["mean_dice"].sort_values(kind="stable").index.tolist()
        super().__init__(selected=order[0])
        self.order = order
        self._evaluation = evaluation
        self.thumbnails = {i: self._thumbnail(i) for i in order}
        self._title = pn.pane.HTML(styles={"color": "var(--jp-ui-font-color1, inherit)"})
        self._full = pn.pane.HoloViews(margin=(5, 10, 25, 10))  # the legend needs it
        self._show()
        self.param.watch(self._show, "selected")

    def _thumbnail(self, i: int) -> pn.widgets.Button:
        """Return a button with a small picture of an image."""
        picture = _small(*self._read(i))
        # height of the picture, and 16 px around it
        top = 8 + THUMBNAIL_PX - picture.shape[0]  # just above its caption
        style = _BUTTON % (THUMBNAIL_PX + 16, _png(picture), top)
        button = pn.widgets.Button(label=caption(self._evaluation.images.loc[i]))
        button.stylesheets = [style]
        button.on_click(lambda event: setattr(self, "selected", i))
        return button

    def _read(self, i: int) -> tuple[Micrograph, NDArray[np.uint8], NDArray[np.uint8]]:
        """Return an image, what was found in it and its truth."""
        micrograph, truth = read_pair(self._evaluation.pairs[i])
        return (
            micrograph,
            self._evaluation.labels[i],
            merge_classes(truth, self._evaluation.classes),
        )

    def _show(self, *events: param.parameterized.Event) -> None:
        for i, button in self.thumbnails.items():
            button.stylesheets = [button.stylesheets[0], *([_CHOSEN] if i == self.selected else [])]
        title = caption(self._evaluation.images.loc[self.selected]).replace("\n", " · ")
        self._title.object = f"<b>{html.escape(title)}</b>"
        self._full.object = views(*self._read(self.selected))

    def __panel__(self) -> pn.Column:
        small = pn.FlexBox(
            *self.thumbnails.values(), styles={"max-height": f"{GALLERY_PX}px", "overflow": "auto"}
        )
        return pn.Column(small, self._title, self._full)


def views(micrograph: Micrograph, labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> hv.Layout:
    """Return the truth, what was found and where they differ, side by side and zoomed as one."""
    differences = plot.disagreement(micrograph, labels, truth, names=NAMES)
    pictures = {
        NAMES[1]: plot.image(micrograph) * plot.classes(micrograph, truth),
        NAMES[0]: plot.image(micrograph) * plot.classes(micrograph, labels),
        "their differences": differences.opts(legend_opts={"orientation": "vertical"}),
    }
    shown = [picture.opts(title=name, frame_width=FRAME_PX) for name, picture in pictures.items()]
    return hv.Layout([shown[0], *(picture.opts(yaxis=None) for picture in shown[1:])])


def caption(row: pd.Series[float]) -> str:
    """Return the name, the animal and the Dice of an image."""
    dice = [
        f"{column.removeprefix('dice_').replace('_', ' ')}\N{NO-BREAK SPACE}{value:.3f}"
        for column, value in row.items()
        if str(column).startswith("dice_")
    ]
    return "\n".join([str(row["image"]), str(row["animal"]), f"Dice {' · '.join(dice)}"])


def _small(
    micrograph: Micrograph, labels: NDArray[np.uint8], truth: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    shrink = max(micrograph.pixels.shape) / THUMBNAIL_PX
    height, width = (max(1, round(n / shrink)) for n in micrograph.pixels.shape)
    shape = (height, width)
    small = Micrograph(resize(micrograph.pixels, shape), micrograph.pixel_size * shrink)
    return plot.disagreement_picture(
        small, resize_labels(labels, shape), resize_labels(truth, shape)
    )


def _png(picture: NDArray[np.uint8]) -> str:
    """Return a picture as PNG in base64, of few colours since it is small."""
    content = io.BytesIO()
    Image.fromarray(picture).quantize(64).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()
