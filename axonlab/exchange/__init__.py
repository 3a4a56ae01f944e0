"""Labels that others made, and labels for others: one door to every format."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from axonlab.exchange import dialects, painting
from axonlab.exchange.cellpose import read_cellpose, write_cellpose
from axonlab.exchange.dialects import Found, RefusedError
from axonlab.exchange.polygons import Shape
from axonlab.formats import encode_tiff, existing
from axonlab.io import (
    read_labels,
    read_objects,
    write_bytes,
    write_image,
    write_json,
    write_labels,
    write_masks,
    write_objects,
)
from axonlab.micrograph import (
    CLASS_COLOURS,
    CLASSES,
    UNLABELLED,
    Micrograph,
    check_fits,
    check_labels,
)

__all__ = ["FORMATS", "read", "write", "write_bids", "write_fibres"]

FORMATS = {
    "imagej": (".zip", ".roi"),
    "geojson": (".geojson", ".json"),
    "coco": (".json",),
    "labelme": (".json",),
    "cellpose": ("_seg.npy",),
    "objects": (".tif", ".tiff"),
    "labels": (".png", ".tif", ".tiff"),
    "axondeepseg": ("_seg-axonmyelin.png",),
}
"""What can be written, and how the names of such files end."""

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(
    path: str | Path,
    shape: tuple[int, int],
    *,
    image: str | None = None,
    names: Mapping[str, str] | None = None,
    default: str | None = None,
) -> NDArray[np.uint8]:
    """Read labels that another program wrote; the content decides which, not the suffix.

    Understood are ImageJ's ``.roi`` and ``.zip`` of ROIs, GeoJSON of QuPath, COCO and LabelMe
    JSON, Cellpose's ``_seg.npy``, object images (label TIFF) and the masks of `io.read_labels`.

    Parameters
    ----------
    path : path
    shape : pair of int
        Rows and columns of the image that was labelled: ``micrograph.pixels.shape``.
    image : str, optional
        File name of the image, where a COCO file describes several.
    names : mapping of str to str, optional
        Classes by the names that the file has for them, ``{"Axon inside": "axon"}``. Our own
        names are known, in any case, plural, or with a number behind. "unlabelled" is a class
        here, and so is QuPath's ``Ignore*``.
    default : str, optional
        The class of objects that have none, ``"axon"``: those of Cellpose and of object images,
        ROIs without a name.

    Returns
    -------
    (H, W) uint8 array
        0 background, 1 myelin, 2 axon, 3 unmyelinated axon, 255 unlabelled. What no object covers
        is background: to leave it unlabelled, draw a rectangle named "unlabelled" around it.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If the file is damaged, of another image or not understood, or a class is not known.

    Warns
    -----
    UserWarning
        If something is left out: lines and points, what lies beyond the image, objects without
        a pixel of their own.

    Notes
    -----
    Coordinates are those of pixel corners: pixel (row, column) covers x from column to column + 1,
    and is inside an outline if its centre is.

    Where objects overlap, axons lie on myelin and myelin on background, in whatever order they
    were drawn, so that a sheath drawn as a disc does not hide its axon. Of two objects of one
    class the later one wins.

    Two axons that touch would become one: between them the larger one gives a line of background
    one pixel wide. Pixels belong together when they share an edge, as in `objects.label_fibres`.
    Touching sheaths stay as they are; `objects.label_fibres` divides them among their axons.
    """
    path = existing(path)
    shape = int(shape[0]), int(shape[1])
    known = painting.vocabulary(names or {})
    nameless = None if default is None else painting.target(default)
    try:
        if _is_mask(path, nameless):
            labels = _read_mask(path, shape)
            notes: list[str] = []
        else:
            objects, class_of, notes = _read_objects(path, shape, image, known, nameless)
            painting.separate(objects, class_of)
            notes += painting.missing(objects, class_of)
            labels = class_of[objects]
    except RefusedError as error:
        raise ValueError(f"{path}: {error}") from None
    for note in notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    return labels


def write(
    path: str | Path,
    labels: NDArray[np.uint8],
    *,
    format: str | None = None,  # noqa: A002  (what else would one call it)
    image: str | None = None,
    pixel_size: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Write labels for another program; `read` gives them back to the pixel.

    Parameters
    ----------
    path : path
        Its end tells the format, where only one has it: ``.zip`` or ``.roi`` (one object) for
        ImageJ, ``.geojson`` for QuPath, ``_seg.npy`` for Cellpose, ``_seg-axonmyelin.png`` for
        AxonDeepSeg, ``.png`` for class ids.
    labels : (H, W) uint8 array
        Class ids. Every edge-connected piece of a class becomes an object, in outlines that
        follow the edges of its pixels and keep its holes. Unlabelled pixels become objects of a
        class "unlabelled" where the format has classes.
    format : str, optional
        One of `FORMATS`; needed for ``.json`` ("coco", "labelme") and ``.tif`` ("objects" for
        an object image, "labels" for class ids).
    image : str, optional
        File name of the image; needed for "coco", "labelme" and "cellpose", which look for it
        beside the labels.
    pixel_size : float, optional
        In µm; needed for "objects", which carry it.
    overwrite : bool

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If the format is unclear or could not hold the labels without loss.
    """
    check_labels(labels, str(path))
    format = _format(path, format)  # noqa: A001
    if format == "labels":
        return write_labels(path, labels, overwrite=overwrite)
    if format == "axondeepseg":
        stem = str(path)[: -len(FORMATS[format][0])]
        return write_masks(stem, labels, overwrite=overwrite)[0]
    if format in ("coco", "labelme", "cellpose") and not image:
        raise ValueError(f'{path}: {format} names the image. Pass image="NAME.png".')
    objects, classes = painting.objects_of(labels)
    if format in ("cellpose", "objects"):
        _check_one_class(classes, path)
    if format == "objects":
        if pixel_size is None:
            raise ValueError(f"{path}: an object image has a pixel size. Pass pixel_size=... (µm).")
        return write_objects(path, objects, pixel_size=pixel_size, overwrite=overwrite)
    single = Path(path).suffix.lower() == ".roi"
    if single and len(classes) != 2:
        raise ValueError(f"{path}: {len(classes) - 1} objects, a .roi holds one. Write a .zip.")
    if format == "imagej":
        content = dialects.write_imagej(objects, classes, single=single)
    elif format == "geojson":
        content = dialects.write_geojson(objects, classes)
    elif format == "coco":
        content = dialects.write_coco(objects, classes, image=str(image))
    elif format == "labelme":
        content = dialects.write_labelme(objects, classes, image=str(image))
    else:
        content = write_cellpose(objects, CLASS_COLOURS[int(classes[-1])], image=str(image))
    return write_bytes(path, content, overwrite=overwrite)


def write_fibres(
    path: str | Path,
    axons: NDArray[np.int32],
    fibres: NDArray[np.int32],
    *,
    overwrite: bool = False,
) -> Path:
    """Write measured fibres for QuPath or ImageJ, called by their `fibre_id` in the table.

    Every axon is an object and so is its myelin, of which `write` would make one object where
    sheaths touch.

    Parameters
    ----------
    path : path
        ``.geojson`` for QuPath, ``.zip`` of ROIs for ImageJ.
    axons, fibres : (H, W) int32 array
        Object ids, as from `axonlab.objects.label_fibres`.
    overwrite : bool

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If the suffix is another one, or the images differ in shape.
    """
    writers: dict[str, Any] = {".geojson": dialects.write_geojson, ".zip": dialects.write_imagej}
    write_as = writers.get(Path(path).suffix.lower())
    if write_as is None:
        raise ValueError(
            f"{path}: fibres are written as .geojson (QuPath) or .zip (ImageJ). For an object "
            "image use axonlab.io.write_objects."
        )
    if axons.shape != fibres.shape:
        raise ValueError(
            f"{path}: axons of shape {axons.shape} and fibres of {fibres.shape}: both must show "
            "the same image at the same size."
        )
    return write_bytes(path, write_as(*painting.pieces_of(axons, fibres)), overwrite=overwrite)


def write_bids(
    folder: str | Path,
    micrograph: Micrograph,
    labels: NDArray[np.uint8],
    *,
    animal: str,
    overwrite: bool = False,
) -> Path:
    """Add an image and its labels to a BIDS microscopy data set, which `data.find_pairs` reads.

    Parameters
    ----------
    folder : path
        Of the data set; made if need be.
    micrograph : Micrograph
        Its name becomes that of the files. Its values stay as they are: in an 8-bit PNG or a
        16-bit TIFF if they are whole and fit, otherwise in a float TIFF.
    labels : (H, W) uint8 array
        Class ids. Written as AxonDeepSeg's 0, 127 and 255, with unmyelinated axons in a mask of
        their own; if some pixels are unlabelled, as the class ids they are.
    animal : str
        ``"rat8"`` or ``"sub-rat8"``: letters and digits. Data are split by animal for training.
    overwrite : bool

    Returns
    -------
    Path
        Of the image, ``folder/sub-rat8/micr/NAME.png`` or ``.tif``.

    Raises
    ------
    FileExistsError
        If one of the files exists and `overwrite` is false.
    ValueError
        If the labels do not fit the image, or a name cannot be that of a file.
    """
    check_fits(labels, micrograph)
    animal = animal.removeprefix("sub-")
    if not re.fullmatch("[A-Za-z0-9]+", animal) or not re.fullmatch(r"[\w-]+", micrograph.name):
        raise ValueError(
            f"animal {animal!r}, image {micrograph.name!r}: BIDS allows letters and digits for an "
            "animal, and _ and - besides for an image. Rename the image by "
            'dataclasses.replace(micrograph, name="...").'
        )
    folder = Path(folder)
    place = Path(f"sub-{animal}") / "micr" / micrograph.name
    stem = folder / place
    masks = f"{folder / 'derivatives' / 'labels' / place}_seg-"
    both, uaxon = (Path(f"{masks}{kind}-manual.png") for kind in ("axonmyelin", "uaxon"))
    sidecar, *images = (Path(f"{stem}{end}") for end in (".json", ".png", ".tif", ".tiff"))
    taken = [path for path in (*images, sidecar, both, uaxon) if path.exists()]
    if taken and not overwrite:
        raise FileExistsError(f"{taken[0]} exists. Pass overwrite=True to replace it.")

    is_bare = labels == CLASSES["unmyelinated axon"]
    if (labels == UNLABELLED).any():
        write_labels(both, labels, overwrite=True)
    else:
        write_image(both, np.array([0, 127, 255, 0], np.uint8)[labels], overwrite=True)
        if is_bare.any():
            taken.append(uaxon)
    if uaxon in taken:  # an old one must not contradict
        write_image(uaxon, is_bare.astype(np.uint8) * np.uint8(255), overwrite=True)
    size = [micrograph.pixel_size] * 2
    write_json(sidecar, {"PixelSize": size, "PixelSizeUnits": "um"}, overwrite=True)
    suffix, content = _encoded(micrograph)
    image = write_bytes(f"{stem}{suffix}", content, overwrite=True)
    for other in {*images} - {image}:  # the image would be there twice
        other.unlink(missing_ok=True)
    return image


def _is_mask(path: Path, nameless: int | None) -> bool:
    """Tell whether a file is a picture whose values are classes rather than objects."""
    with path.open("rb") as file:
        is_picture = file.read(4).startswith(_PICTURES)
    return is_picture and (nameless is None or "_seg-" in path.name)


def _read_mask(path: Path, shape: Shape) -> NDArray[np.uint8]:
    try:
        labels = read_labels(path)
    except ValueError as error:
        raise ValueError(
            f"{error} If every number is an object, say what they are: default='axon'."
        ) from None
    painting.check_shape(labels, shape)
    return labels


def _read_objects(
    path: Path, shape: Shape, image: str | None, known: dict[str, int], nameless: int | None
) -> tuple[NDArray[np.int32], NDArray[np.uint8], list[str]]:
    """Return an object image, the class of every object, and what must be told."""
    content = path.read_bytes()
    if content.startswith(_PICTURES):
        return *painting.renumbered(read_objects(path), shape, nameless), []
    try:
        if content.startswith(b"\x93NUMPY"):
            return *painting.renumbered(read_cellpose(content), shape, nameless), []
        found = _parse(content, shape, image)
        classes = painting.classes_of(found.drawn, known, nameless)
        notes = painting.check_places(found.drawn, shape)
        objects, class_of = painting.paint(found.drawn, classes, shape)
    except (RefusedError, MemoryError):
        raise
    except Exception as error:  # on damaged files parsers raise what they like
        raise RefusedError(
            "could not be read, the file is probably damaged or cut short "
            f"({type(error).__name__}: {error}). Copy or export it again."
        ) from error
    if found.skipped:
        kinds = ", ".join(f"{n} × {kind}" for kind, n in Counter(found.skipped).items())
        notes.append(f"left out what has no area: {kinds}.")
    return objects, class_of, notes


def _parse(content: bytes, shape: Shape, image: str | None) -> Found:
    """Return what is in a file of outlines."""
    if content.startswith((b"Iout", b"PK")):
        return dialects.read_imagej(content, shape)
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        begin = f"it begins with {content[:8]!r}" if content else "it is empty"
        raise RefusedError(
            f"not labels that axonlab reads ({begin}). Export ImageJ ROIs, GeoJSON, COCO or "
            "LabelMe JSON, Cellpose's _seg.npy, or an object image."
        )
    record: Any = json.loads(content.decode("utf-8-sig"))
    if "shapes" in record:
        return dialects.read_labelme(record, shape)
    if "annotations" in record and "images" in record:
        return dialects.read_coco(record, shape, image)
    return dialects.read_geojson(record)


def _format(path: str | Path, format: str | None) -> str:  # noqa: A002
    name = Path(path).name.lower()
    ends = {f: end for f, known in FORMATS.items() for end in known if name.endswith(end)}
    if format is None:
        longest = max(map(len, ends.values()), default=0)
        fitting = [f for f, end in ends.items() if len(end) == longest]
        if len(fitting) != 1:
            raise ValueError(
                f"{path}: the name could be that of {fitting or 'no format'}. Pass format=..., one "
                f"of {list(FORMATS)}."
            )
        return fitting[0]
    if format not in FORMATS:
        raise ValueError(f"Unknown format {format!r}, known are {list(FORMATS)}.")
    if format not in ends:
        raise ValueError(f"{path}: files of {format} end in {FORMATS[format]}. Change the name.")
    return format


def _check_one_class(classes: NDArray[np.uint8], path: str | Path) -> None:
    found = sorted({dialects.NAMES[i] for i in classes[1:].tolist()})
    if len(found) > 1 or "unlabelled" in found:
        raise ValueError(
            f"{path}: labels of {' and '.join(found)}, but object ids say no class. Keep one, for "
            'example numpy.where(labels == CLASSES["axon"], labels, 0).'
        )


def _encoded(micrograph: Micrograph) -> tuple[str, bytes]:
    """Return a suffix and a file that keeps every grey value."""
    pixels = micrograph.pixels
    is_whole = bool((pixels == np.round(pixels)).all()) and pixels.min() >= 0
    if is_whole and pixels.max() <= np.iinfo(np.uint8).max:
        return ".png", bytes(imagecodecs.png_encode(pixels.astype(np.uint8)))
    if is_whole and pixels.max() <= np.iinfo(np.uint16).max:
        pixels = pixels.astype(np.uint16)
    return ".tif", encode_tiff(pixels, pixel_size=micrograph.pixel_size)
