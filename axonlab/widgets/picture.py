"""Pictures as HTML that widgets show: they follow the theme, and say in words what they show."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

INK = "#010203"
"""What is drawn in it takes the colour that text has in the theme."""

_FITTING = "max-width: 100%; height: auto"  # into narrow windows


def png(pixels: NDArray[np.uint8], description: str, width: int | None = None) -> str:
    """Return an image of grey or RGB pixels.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8 array
    description : str
        For those who do not see it.
    width : int, optional
        On the screen, in pixels; its own by default.
    """
    content = io.BytesIO()
    # grain does not get smaller by more effort, which would take four times as long
    Image.fromarray(pixels).save(content, "png", compress_level=1)
    data = base64.b64encode(content.getvalue()).decode()
    size, sharp = (
        ("", "") if width is None else (f'width="{width}" ', "; image-rendering: pixelated")
    )
    style = f'{size}style="{_FITTING}{sharp}"'
    return f'<img src="data:image/png;base64,{data}" alt="{escape(description)}" {style}>'


def contact_sheet(files: Mapping[str, Path], *, side: int = 260) -> str:
    """Return small copies of pictures beside each other, with their captions.

    Parameters
    ----------
    files : mapping of str to Path
        By caption.
    side : int
        Of a copy, at most, in pixels.
    """
    figures = [_small_figure(caption, path, side) for caption, path in files.items()]
    look = "display: flex; flex-wrap: wrap; gap: 1em; max-height: 40em; overflow: auto"
    return f'<div style="{look}" tabindex="0">{"".join(figures)}</div>'


def _small_figure(caption: str, path: Path, side: int) -> str:
    with Image.open(path) as picture:
        picture.thumbnail((side, side))
        shown = png(np.asarray(picture), caption)
    text = f'<figcaption style="overflow-wrap: anywhere">{escape(caption)}</figcaption>'
    return f'<figure style="margin: 0; max-width: {side}px">{shown}{text}</figure>'


def svg(figure: Figure, description: str) -> str:
    """Return a drawing whose `INK` has the colour of text, on no ground."""
    content = io.StringIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    drawing = re.sub(r"^.*?(?=<svg )", "", content.getvalue(), flags=re.DOTALL)
    label = f'role="img" aria-label="{escape(description)}" style="{_FITTING}"'
    return drawing.replace("<svg ", f"<svg {label} ", 1).replace(INK, "currentColor")


def axes(figure: Figure, n: int, **subplots: object) -> list[object]:
    """Return axes in `INK`, without a frame."""
    made = list(np.atleast_1d(figure.subplots(1, n, **subplots)))
    for one in made:
        one.tick_params(colors=INK, labelsize=8)
        one.xaxis.label.set_color(INK)
        one.yaxis.label.set_color(INK)
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(INK)
    return made
