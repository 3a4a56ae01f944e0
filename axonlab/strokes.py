"""Labels made by hand and kept as the strokes they are: places and classes, no image data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonlab.exchange import write_bids
from axonlab.io import write_json
from axonlab.micrograph import CLASSES, UNLABELLED, Micrograph

PURPOSES = ("train", "check")
"""What strokes are for: those to check with are never trained on."""

_ROUNDING = 1e-9  # as the brush of the label widget


@dataclass(frozen=True)
class Stroke:
    """One stroke of the brush, as the label widget paints it.

    Parameters
    ----------
    class_name : str
    purpose : {"train", "check"}
    radius : float
        Of the brush, in pixels.
    points : tuple of (x, y)
        Where the brush went, in pixels from the outer corner of the first pixel of the crop: the
        pixel in column c covers x from c to c + 1.
    """

    class_name: str
    purpose: str
    radius: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Scribbles:
    """Strokes on a crop of an image.

    Parameters
    ----------
    image : str
        Path of the image within its data set.
    rows, columns : slice
        The crop.
    strokes : tuple of Stroke
        In the order they were drawn: what comes later lies above.
    """

    image: str
    rows: slice
    columns: slice
    strokes: tuple[Stroke, ...]


def read_strokes(path: str | Path) -> Scribbles:
    """Read strokes from JSON.

    Parameters
    ----------
    path : path
        Of ``{"image": …, "crop": {"row", "column", "height", "width"}, "strokes": [{"class",
        "for", "radius_px", "points": [[x, y], …]}, …]}``.

    Raises
    ------
    ValueError
        If something is missing or of the wrong kind, a class or purpose is unknown, the crop
        begins outside the image, or a point lies outside the crop.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        row, column, height, width = (
            int(content["crop"][key]) for key in ("row", "column", "height", "width")
        )
        strokes = tuple(
            Stroke(
                str(one["class"]),
                str(one["for"]),
                float(one["radius_px"]),
                tuple((float(x), float(y)) for x, y in one["points"]),
            )
            for one in content["strokes"]
        )
        image = str(content["image"])
        if min(row, column) < 0:
            raise ValueError(f"the crop begins at row {row} and column {column}")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: no strokes ({type(error).__name__}: {error}). Expected JSON with image, "
            "crop and strokes, as in data_samples/strokes."
        ) from error
    for number, stroke in enumerate(strokes, start=1):
        _check(stroke, f"{path}, stroke {number}", height, width)
    return Scribbles(image, slice(row, row + height), slice(column, column + width), strokes)


def paint(
    scribbles: Scribbles, shape: tuple[int, int], *, purpose: str = "train"
) -> NDArray[np.uint8]:
    """Paint the strokes for one purpose into the labels of their image.

    Parameters
    ----------
    scribbles : Scribbles
    shape : pair of int
        Rows and columns of the whole image.
    purpose : {"train", "check"}

    Returns
    -------
    (H, W) uint8 array
        Class ids, 255 where there is no stroke.

    Raises
    ------
    ValueError
        If the crop reaches out of the image, or the purpose is unknown.

    Notes
    -----
    A pixel belongs to a stroke when its centre lies within the radius of the line between two
    points, as for the brush of the label widget.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"Purpose {purpose!r} is unknown, expected one of {PURPOSES}.")
    rows, columns = scribbles.rows, scribbles.columns
    if rows.stop > shape[0] or columns.stop > shape[1]:
        raise ValueError(
            f"Strokes on rows to {rows.stop} and columns to {columns.stop} of an image of shape "
            f"{shape}: they belong to another image, {scribbles.image}."
        )
    labels = np.full(shape, UNLABELLED, np.uint8)
    for stroke in scribbles.strokes:
        if stroke.purpose == purpose:
            _draw(labels[rows, columns], stroke)
    return labels


def write_pairs(folder: str | Path, micrograph: Micrograph, scribbles: Scribbles) -> Path:
    """Write an image with its strokes as the data set that `data.find_pairs` reads.

    Parameters
    ----------
    folder : path
        What it holds of this image is replaced.
    micrograph : Micrograph
        The whole image, so that it is normalised as a whole.
    scribbles : Scribbles

    Returns
    -------
    Path
        The folder. In it the image stands twice, as the "animals" ``sub-train`` and ``sub-check``,
        each with the strokes for that purpose: what is checked is one image, not another animal.
    """
    for purpose in PURPOSES:
        labels = paint(scribbles, micrograph.pixels.shape, purpose=purpose)
        image = write_bids(folder, micrograph, labels, animal=purpose, overwrite=True)
        sidecar = image.with_suffix(".json")
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        content["PixelSizeSource"] = micrograph.pixel_size_source
        write_json(sidecar, content, overwrite=True)
    return Path(folder)


def _draw(labels: NDArray[np.uint8], stroke: Stroke) -> None:
    """Give the pixels under a stroke its class, in place."""
    ends = [*stroke.points[1:], stroke.points[-1]]
    for start, end in zip(stroke.points, ends, strict=True):
        (left, top), (right, bottom) = np.sort([start, end], axis=0)
        reach = stroke.radius + 1
        y0, x0 = max(int(top - reach), 0), max(int(left - reach), 0)
        box = labels[y0 : int(bottom + reach) + 1, x0 : int(right + reach) + 1]
        y, x = np.ogrid[y0 : y0 + box.shape[0], x0 : x0 + box.shape[1]]
        near = _distance(x + 0.5, y + 0.5, start, end) <= stroke.radius + _ROUNDING
        box[near] = CLASSES[stroke.class_name]


def _distance(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    start: Sequence[float],
    end: Sequence[float],
) -> NDArray[np.float64]:
    """Return how far points are from a line between two others."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy or 1)
    along = along.clip(0, 1)
    distance: NDArray[np.float64] = np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)
    return distance


def _check(stroke: Stroke, name: str, height: int, width: int) -> None:
    if stroke.class_name not in CLASSES or stroke.purpose not in PURPOSES:
        raise ValueError(
            f"{name}: class {stroke.class_name!r} for {stroke.purpose!r}; expected one of "
            f"{list(CLASSES)} for one of {PURPOSES}."
        )
    outside = [p for p in stroke.points if not (0 <= p[0] <= width and 0 <= p[1] <= height)]
    if outside or not stroke.points or not 0 < stroke.radius < np.inf:
        raise ValueError(
            f"{name}: radius {stroke.radius:g}, {len(stroke.points)} points, of which {outside} "
            f"lie outside the crop of {height}×{width} pixels. Expected a positive radius and "
            "points (x, y) within."
        )
