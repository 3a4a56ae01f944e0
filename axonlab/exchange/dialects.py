"""How other programs write outlines down: ImageJ, QuPath, COCO and LabelMe."""

from __future__ import annotations

import base64
import io
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import roifile
from numpy.typing import NDArray
from scipy import ndimage

from axonlab.exchange.polygons import (
    Box,
    Patch,
    Points,
    Shape,
    fill,
    fill_ellipse,
    fill_runs,
    runs,
    trace,
)
from axonlab.micrograph import CLASS_COLOURS, CLASSES, UNLABELLED

NAMES = {number: name for name, number in CLASSES.items()} | {UNLABELLED: "unlabelled"}
"""What the classes are called in the files we write."""

MAX_COORDINATE = 1e7
"""In pixels; no image has a place beyond."""

_ROI_BYTES_PER_PIXEL = 32  # a pixel has four corners of eight bytes
_ROI_BYTES_SPARE = 2**26
_AREAS = (roifile.ROI_TYPE.POLYGON, roifile.ROI_TYPE.FREEHAND, roifile.ROI_TYPE.TRACED)
_OVERLAYS = (roifile.ROI_SUBTYPE.TEXT, roifile.ROI_SUBTYPE.ARROW, roifile.ROI_SUBTYPE.IMAGE)
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0  # of java.awt.geom.PathIterator


class RefusedError(Exception):
    """A file that is sound but not what was asked for."""


class Drawn(NamedTuple):
    """One object as a file describes it."""

    name: str
    """Its class as the file calls it; empty where it says none."""

    extent: tuple[float, float, float, float]
    """Least x, y and greatest x, y."""

    parts: tuple[Callable[[Shape], Patch], ...]
    """Each gives the pixels of a part, for the shape of the image."""


class Found(NamedTuple):
    """What a file holds."""

    drawn: list[Drawn]
    skipped: list[str]
    """Kinds of the things that have no area, such as lines and points."""


def read_imagej(content: bytes, shape: Shape) -> Found:
    """Read a ``.roi`` or a ``.zip`` of them."""
    drawn, skipped = [], []
    for member in [content] if content.startswith(b"Iout") else _unzip(content, shape):
        roi = roifile.ImagejRoi.frombytes(member)
        if roi.composite:
            paths: Any = roi.coordinates(multi=True)
            drawn.append(_outlined(roi.name, [paths]))
        elif roi.roitype in (roifile.ROI_TYPE.RECT, roifile.ROI_TYPE.OVAL) and (
            roi.subtype not in _OVERLAYS
        ):
            drawn.append(_roi_box(roi))
        elif roi.roitype in _AREAS:
            drawn.append(_outlined(roi.name, [[np.asarray(roi.coordinates())]]))
        else:
            skipped.append(roi.roitype.name.lower())
    return Found(drawn, skipped)


def write_imagej(
    objects: NDArray[np.int32],
    classes: NDArray[np.uint8],
    numbers: Sequence[str] = (),
    *,
    single: bool = False,
) -> bytes:
    """Encode a ``.zip`` of ROIs, or the `single` one there is as ``.roi``.

    They are called by their class and number: that in `objects`, or else what `numbers` has there.
    """
    rois = [
        _roi(rings, int(classes[n]), numbers[n] if numbers else f"{n:05d}")
        for n, rings in trace(objects).items()
    ]
    if single:
        return rois[0].tobytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for roi in rois:
            archive.writestr(f"{roi.name}.roi", roi.tobytes())
    return buffer.getvalue()


def read_geojson(content: Any) -> Found:
    """Read features as QuPath writes them, nested or not."""
    drawn, skipped = [], []
    top = content if isinstance(content, list) else content.get("features", [content])
    waiting: list[Any] = top[::-1]
    while waiting:
        feature = waiting.pop()
        if feature.get("type") != "Feature":
            raise RefusedError("JSON that is neither GeoJSON features, COCO nor LabelMe.")
        properties = feature.get("properties") or {}
        waiting += properties.get("childObjects", [])[::-1]
        geometry = feature.get("geometry") or {"type": "nothing"}
        kind = geometry["type"]
        if kind in ("Polygon", "MultiPolygon"):
            coordinates = geometry["coordinates"]
            parts = [coordinates] if kind == "Polygon" else coordinates
            rings = [[np.array(ring, np.float64)[:, :2] for ring in part] for part in parts]
            drawn.append(_outlined(_qupath_class(properties), rings))
        elif properties.get("objectType") != "root":
            skipped.append(kind)
    return Found(drawn, skipped)


def write_geojson(
    objects: NDArray[np.int32], classes: NDArray[np.uint8], numbers: Sequence[str] = ()
) -> bytes:
    """Encode a FeatureCollection of annotations, called by `numbers` if there are any."""
    features = []
    for number, rings in trace(objects).items():
        class_id = int(classes[number])
        colour = list(bytes.fromhex(CLASS_COLOURS[class_id][1:]))
        closed = [[*ring.tolist(), ring[0].tolist()] for ring in rings]
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": closed},
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": NAMES[class_id], "color": colour},
                }
                | ({"name": numbers[number]} if numbers else {}),
            }
        )
    return _json({"type": "FeatureCollection", "features": features})


def read_coco(content: Any, shape: Shape, image: str | None) -> Found:
    """Read the instances of one image: polygons, run lengths as lists or as strings."""
    images = {str(entry["file_name"]): entry for entry in content["images"]}
    if image is None and len(images) == 1:
        image = next(iter(images))
    if image not in images:
        raise RefusedError(
            f"labels of {len(images)} images, {some(images)}, and image={image!r} is not one of "
            "them. Pass the file name of yours as image=..."
        )
    entry = images[image]
    _check_size(entry.get("height"), entry.get("width"), shape)
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    drawn, skipped = [], []
    for annotation in content["annotations"]:
        if annotation["image_id"] != entry["id"]:
            continue
        name = names[annotation["category_id"]]
        outline = annotation.get("segmentation")
        if not outline:
            skipped.append("box without outline")
        elif isinstance(outline, dict):
            drawn.append(_run_lengths(name, outline, shape))
        else:
            parts = [[np.array(part, np.float64).reshape(-1, 2)] for part in outline]
            drawn.append(_outlined(name, parts))
    return Found(drawn, skipped)


def write_coco(objects: NDArray[np.int32], classes: NDArray[np.uint8], *, image: str) -> bytes:
    """Encode instances as uncompressed run lengths: COCO's polygons have no holes."""
    height, width = objects.shape
    annotations = []
    for number, box, mask in _masks(objects):
        counts = runs(box, mask, (height, width)).tolist()
        annotations.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": int(classes[number]),
                "segmentation": {"size": [height, width], "counts": counts},
                "area": int(mask.sum()),
                "bbox": [box[1].start, box[0].start, mask.shape[1], mask.shape[0]],
                "iscrowd": 0,
            }
        )
    used = sorted({CLASSES["axon"], CLASSES["myelin"], *classes[1:].tolist()})
    content = {
        "images": [{"id": 1, "file_name": image, "height": height, "width": width}],
        "categories": [{"id": i, "name": NAMES[i], "supercategory": "nerve"} for i in used],
        "annotations": annotations,
    }
    return _json(content)


def read_labelme(content: Any, shape: Shape) -> Found:
    """Read polygons, rectangles, circles and masks; shapes of one group are one object."""
    _check_size(content.get("imageHeight"), content.get("imageWidth"), shape)
    groups: dict[Any, Drawn] = {}
    skipped = []
    for number, entry in enumerate(content["shapes"]):
        drawn = _labelme_shape(entry, shape)
        if drawn is None:
            skipped.append(str(entry["shape_type"]))
            continue
        group = entry.get("group_id")
        key = (drawn.name, group) if group is not None else number
        groups[key] = _joined(groups[key], drawn) if key in groups else drawn
    return Found(list(groups.values()), skipped)


def write_labelme(objects: NDArray[np.int32], classes: NDArray[np.uint8], *, image: str) -> bytes:
    """Encode shapes of type "mask" (LabelMe 5.3 and newer): its polygons have no holes."""
    shapes: list[dict[str, Any]] = []
    for number, box, mask in _masks(objects):
        corners = [[box[1].start, box[0].start], [box[1].stop - 1, box[0].stop - 1]]
        png = imagecodecs.png_encode(np.ascontiguousarray(mask, np.uint8))
        shapes.append(
            {
                "label": NAMES[int(classes[number])],
                "points": corners,
                "group_id": None,
                "description": "",
                "shape_type": "mask",
                "flags": {},
                "mask": base64.b64encode(png).decode(),
            }
        )
    content = {
        "version": "5.3.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": objects.shape[0],
        "imageWidth": objects.shape[1],
    }
    return _json(content)


def _unzip(content: bytes, shape: Shape) -> Iterable[bytes]:
    """Return the ROIs in an archive that does not grow beyond what the image could need."""
    limit = _ROI_BYTES_SPARE + _ROI_BYTES_PER_PIXEL * shape[0] * shape[1]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [m for m in archive.infolist() if m.filename.lower().endswith(".roi")]
        if sum(member.file_size for member in members) > limit:
            raise RefusedError(
                f"unpacks to more than {limit} bytes, too much for an image {shape}."
            )
        if len(members) < len(archive.infolist()) and not members:
            raise RefusedError("a .zip without ROIs. Save the ROI Manager's list as .zip.")
        for member in members:
            yield archive.read(member)


def _roi(rings: list[NDArray[np.int64]], class_id: int, number: str) -> roifile.ImagejRoi:
    roi = roifile.ImagejRoi.frompoints(rings[0], name=f"{NAMES[class_id]}-{number}")
    roi.roitype = roifile.ROI_TYPE.TRACED
    roi.stroke_color = bytes.fromhex("ff" + CLASS_COLOURS[class_id][1:])
    if len(rings) > 1:  # only a composite, which is a rectangle with a path, has holes
        roi.roitype = roifile.ROI_TYPE.RECT
        roi.n_coordinates = 0
        roi.integer_coordinates = roi.subpixel_coordinates = None
        roi.multi_coordinates = np.concatenate([_path(ring) for ring in rings])
        roi.shape_roi_size = len(roi.multi_coordinates)
    return roi


def _roi_box(roi: roifile.ImagejRoi) -> Drawn:
    """Return a rectangle or an ellipse in a rectangle."""
    left, top, right, bottom = map(float, (roi.left, roi.top, roi.right, roi.bottom))
    if roi.subpixelrect:
        left, top, right, bottom = roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd
    if roi.roitype == roifile.ROI_TYPE.RECT:
        return _outlined(roi.name, [[_rectangle(left, top, right, bottom)]])
    radii = (right - left) / 2, (bottom - top) / 2
    return _ellipse(roi.name, (left + radii[0], top + radii[1]), radii)


def _path(ring: Points) -> NDArray[np.float32]:
    """Return a closed ring as a path of ImageJ: command, x, y for every point."""
    steps = np.column_stack([np.full(len(ring), _LINE), ring]).astype(np.float32)
    steps[0, 0] = _MOVE
    return np.append(steps, np.float32(_CLOSE))


def _qupath_class(properties: dict[str, Any]) -> str:
    classification = properties.get("classification") or {}
    return str(classification.get("name") or ": ".join(classification.get("names", [])))


def _run_lengths(name: str, outline: dict[str, Any], shape: Shape) -> Drawn:
    height, width = outline["size"]
    _check_size(height, width, shape)
    counts = outline["counts"]
    if isinstance(counts, str):
        counts = _uncompressed(counts)
    lengths = np.array(counts, np.int64)
    size = shape[0] * shape[1]  # a longer run could make the sum wrap around
    if ((lengths < 0) | (lengths > size)).any() or lengths.sum() != size:
        raise RefusedError(f"run lengths that do not sum to the pixels of an image {shape}.")
    return Drawn(name, (0, 0, shape[1], shape[0]), (partial(fill_runs, lengths),))


def _uncompressed(text: str) -> list[int]:
    """Return the run lengths in a string of COCO: five bits a letter, differences from the third.

    Notes
    -----
    After rleFrString in maskApi.c of the COCO API.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text.encode():
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def _labelme_shape(entry: dict[str, Any], shape: Shape) -> Drawn | None:
    """Return a shape, or None for those without an area."""
    name, kind = str(entry["label"]), entry.get("shape_type") or "polygon"
    points = np.array(entry["points"], np.float64).reshape(-1, 2)
    if kind in ("polygon", "oriented_rectangle"):
        return _outlined(name, [[points]])
    if kind == "rectangle":
        return _outlined(name, [[_rectangle(*points[0], *points[1])]])
    if kind == "circle":
        radius = math.dist(points[0], points[1])
        return _ellipse(name, points[0].tolist(), (radius, radius))
    if kind == "mask":
        return _labelme_mask(name, entry["mask"], points, shape)
    return None


def _labelme_mask(name: str, text: str, points: Points, shape: Shape) -> Drawn:
    png = base64.b64decode(text)
    width, height = (int.from_bytes(png[i : i + 4]) for i in (16, 20))  # where every PNG has them
    left, top = np.round(points[0]).astype(int).tolist()
    if min(left, top) < 0 or left + width > shape[1] or top + height > shape[0]:
        raise RefusedError(
            f"a mask of shape {(height, width)} at row {top}, column {left}, which is outside an "
            f"image of shape {shape}. Pass the shape of the image that was labelled."
        )
    mask = imagecodecs.png_decode(png)
    mask = (mask if mask.ndim == 2 else mask[..., 0]) > 0
    patch = np.s_[top : top + height, left : left + width], mask
    return Drawn(name, (left, top, left + width, top + height), (lambda _: patch,))


def _outlined(name: str, parts: Sequence[Sequence[Points]]) -> Drawn:
    """Return an object of one or more polygons, each a ring and its holes."""
    points = np.concatenate([ring for rings in parts for ring in rings])
    if not (np.abs(points) < MAX_COORDINATE).all():
        raise RefusedError("coordinates that are NaN, infinite or in no image. Export it again.")
    extent = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
    return Drawn(name, extent, tuple(partial(fill, rings) for rings in parts))


def _ellipse(name: str, centre: Sequence[float], radii: Sequence[float]) -> Drawn:
    (x, y), (rx, ry) = centre, radii
    corners = _outlined(name, [[_rectangle(x - rx, y - ry, x + rx, y + ry)]])
    return corners._replace(parts=(partial(fill_ellipse, centre, radii),))


def _rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def _joined(one: Drawn, other: Drawn) -> Drawn:
    least = map(min, one.extent[:2], other.extent[:2])
    greatest = map(max, one.extent[2:], other.extent[2:])
    return Drawn(one.name, (*least, *greatest), one.parts + other.parts)  # type: ignore[arg-type]


def _masks(objects: NDArray[np.int32]) -> Iterable[tuple[int, Box, NDArray[np.bool_]]]:
    for number, box in enumerate(ndimage.find_objects(objects), 1):
        yield number, box, objects[box] == number


def _check_size(height: int | None, width: int | None, shape: Shape) -> None:
    if (height or shape[0], width or shape[1]) != shape:
        raise RefusedError(
            f"labels of an image of {height} rows and {width} columns, but yours has {shape}. "
            "Pass the shape of the image that was labelled, and the labels that belong to it."
        )


def some(names: Iterable[str]) -> str:
    """Return the first names for a message."""
    listed = list(names)
    return ", ".join(map(repr, listed[:12])) + (", …" if len(listed) > 12 else "")


def _json(content: dict[str, Any]) -> bytes:
    # one line: an indented file has a line for every coordinate
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
