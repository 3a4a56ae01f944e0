"""Files in and out. Every reader checks what it reads, every writer is atomic."""

from __future__ import annotations

import json
import os
import re
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from axonlab.formats import (
    encode_indexed_png,
    encode_tiff,
    existing,
    read_plane,
)
from axonlab.micrograph import (
    CLASS_COLOURS,
    CLASSES,
    UNLABELLED,
    Micrograph,
    check_finite,
    check_labels,
    check_pixel_size,
    check_plane,
)
from axonlab.pixelsize import find_pixel_size, image_stem
from axonlab.plane import WHOLE, Region, grey

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CLASSES",
    "UNLABELLED",
    "Micrograph",
    "read_image",
    "read_labels",
    "read_objects",
    "run_folder",
    "write_bytes",
    "write_image",
    "write_json",
    "write_labels",
    "write_masks",
    "write_objects",
    "write_table",
]

MAX_STRAY_SHARE = 1e-3
"""Share of pixels with meaningless values that a mask may hold; they become unlabelled."""

LABEL_TAG = "axonlab class ids"
"""Comment in the files that `write_labels` writes: their values are class ids."""

_MASK_SUFFIXES = {"axon": "axon", "myelin": "myelin", "uaxon": "unmyelinated axon"}
_AXONDEEPSEG_VALUES = {0: 0, 126: 1, 127: 1, 128: 1, 255: 2}


def read_image(
    path: str | Path, *, pixel_size: float | None = None, region: Region = WHOLE
) -> Micrograph:
    """Read a micrograph as grey values with a pixel size.

    Parameters
    ----------
    path : path
        PNG, JPEG, TIFF, OME-TIFF or an OME-Zarr folder; grey, grey + alpha, RGB or RGBA; 8-bit,
        16-bit or float. Alpha is dropped, colours become luminance, values are not rescaled.
        Three channels of an OME-Zarr are taken for RGB.
    pixel_size : float, optional
        In µm. Wins over everything the files say. Otherwise, in this order: BIDS sidecar
        ``<name>.json``, ``pixel_size_in_micrometer.txt`` in the same folder, OME, ImageJ or
        per-centimetre TIFF tags. Print resolutions (dots per inch) are not believed.
    region : pair of slice, optional
        Rows and columns to read, ``numpy.s_[100:300, :]``. From TIFF and OME-Zarr only the
        chunks that hold them are read.

    Returns
    -------
    Micrograph

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such image.
    ValueError
        If the file is damaged or not an image, has no pixels, several planes or NaN, or has no
        believable pixel size. The message names the file and what to do.
    """
    path = existing(path)
    stored = read_plane(path, region)
    pixels = grey(stored.array).astype(np.float32)
    check_finite(pixels, str(path))
    if pixel_size is not None:
        size, source = check_pixel_size(pixel_size, str(path)), "caller"
    else:
        size, source = find_pixel_size(path, stored.pixel_sizes)
    return Micrograph(pixels, size, image_stem(path), source)


def read_labels(
    path: str | Path, *others: str | Path, values: Mapping[int, str] | None = None
) -> NDArray[np.uint8]:
    """Read one mask, or several masks of one image, as class ids.

    Understood are class ids as `write_labels` writes them; AxonDeepSeg's 0 background, 127
    (126–128) myelin, 255 axon; and its separate masks, recognised by ``_seg-axon``,
    ``_seg-myelin`` or ``_seg-uaxon`` in the file name.

    Parameters
    ----------
    path, *others : path
        Masks of one image. Where they overlap, the later one wins. Of images with a palette the
        indices are read, unless the palette is grey.
    values : mapping of int to str, optional
        What the values mean in a mask that follows another convention, for example
        ``{255: "myelin"}``. Values it does not name are taken for errors; 0 is background.

    Returns
    -------
    (H, W) uint8 array
        0 background, 1 myelin, 2 axon, 3 unmyelinated axon, 255 unlabelled.

    Raises
    ------
    ValueError
        If the values are not understood or the masks differ in shape.

    Warns
    -----
    UserWarning
        If up to 0.1 % of the pixels hold meaningless values: these are returned as unlabelled.
    """
    labels = _read_mask(existing(path), values)
    for other in others:
        mask = _read_mask(existing(other), values)
        if mask.shape != labels.shape:
            raise ValueError(
                f"{other}: a mask of shape {mask.shape}, but {path} has {labels.shape}. "
                "Masks of one image must have its shape."
            )
        np.copyto(labels, mask, where=(mask != CLASSES["background"]))
    return labels


def read_objects(path: str | Path) -> NDArray[np.int32]:
    """Read an object image: 0 is background, every other number one object.

    Returns
    -------
    (H, W) int32 array

    Raises
    ------
    ValueError
        If the file holds anything but one plane of whole numbers from 0 to 2³¹ − 1.
    """
    path = existing(path)
    array, _ = _read_whole_numbers(path)
    _check_ids(array, str(path))
    return array.astype(np.int32)


def run_folder(name: str) -> Path:
    """Return ``runs/<name>``, where a notebook leaves its products.

    It lies beside the folder ``notebooks``, whether the notebook runs in JupyterLab (which starts
    it in its own folder) or from the project's root; elsewhere, in the current folder.
    """
    here = Path.cwd()
    return (here.parent if here.name == "notebooks" else here) / "runs" / name


def write_labels(path: str | Path, labels: NDArray[np.uint8], *, overwrite: bool = False) -> Path:
    """Write class ids to an indexed-colour ``.png`` or a ``.tif``.

    Pixel values are the class ids; the palette lets any viewer show them in colour.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If `labels` holds unknown ids, or the suffix is neither .png nor .tif(f).
    """
    check_labels(labels, str(path))
    if Path(path).suffix.lower() in (".tif", ".tiff"):
        return write_bytes(path, encode_tiff(labels, comment=LABEL_TAG), overwrite=overwrite)
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path}: labels are written as .png or .tif. Change the suffix.")
    content = encode_indexed_png(labels, CLASS_COLOURS, comment=LABEL_TAG)
    return write_bytes(path, content, overwrite=overwrite)


def write_masks(
    stem: str | Path, labels: NDArray[np.uint8], *, overwrite: bool = False
) -> list[Path]:
    """Write class ids as AxonDeepSeg's masks beside each other.

    `read_labels` gives them back from the files for ``axonmyelin`` and ``uaxon``, in that order.

    Parameters
    ----------
    stem : path
        ``folder/image`` gives ``folder/image_seg-axonmyelin.png`` (0, 127 and 255) and one
        0/255 mask each for axon, myelin and, if there are any or the file exists already,
        unmyelinated axons.
    labels : (H, W) uint8 array

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        If some pixels are unlabelled, which these masks cannot express.
    """
    check_labels(labels, str(stem))
    missing = int((labels == UNLABELLED).sum())
    if missing:
        raise ValueError(
            f"{stem}: {missing} pixels are unlabelled, which 0/127/255 masks cannot express. "
            "Label them, or keep class ids with write_labels."
        )
    both = np.array([0, 127, 255, 0], np.uint8)[labels]
    masks = {_mask_path(stem, "axonmyelin"): both}
    for suffix, name in _MASK_SUFFIXES.items():
        target = _mask_path(stem, suffix)
        mask = labels == CLASSES[name]
        if suffix != "uaxon" or mask.any() or target.exists():
            masks[target] = mask.astype(np.uint8) * np.uint8(255)
    for target in masks:
        _check_target(target, overwrite)
    return [write_image(target, mask, overwrite=overwrite) for target, mask in masks.items()]


def write_objects(
    path: str | Path, objects: NDArray[np.int32], *, pixel_size: float, overwrite: bool = False
) -> Path:
    """Write an object image as a compressed 32-bit TIFF that carries its pixel size (µm).

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If `objects` is not a plane of whole numbers from 0 to 2³¹ − 1, the pixel size is absurd
        or the suffix is not .tif(f).
    """
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"{path}: objects are written as .tif. Change the suffix.")
    check_plane(objects, str(path))
    _check_ids(objects, str(path))
    size = check_pixel_size(pixel_size, str(path))
    content = encode_tiff(objects.astype(np.int32), pixel_size=size)
    return write_bytes(path, content, overwrite=overwrite)


def write_image(path: str | Path, pixels: NDArray[np.uint8], *, overwrite: bool = False) -> Path:
    """Write 8-bit grey (H, W) or RGB (H, W, 3) pixels to a PNG.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If `pixels` is something else, or the suffix is not .png.
    """
    is_plane = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] == 3)
    if pixels.dtype != np.uint8 or not is_plane or pixels.size == 0:
        raise ValueError(
            f"{path}: pixels of type {pixels.dtype} and shape {pixels.shape}. Pass uint8 of shape "
            "(H, W) or (H, W, 3)."
        )
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path}: images are written as .png. Change the suffix.")
    content = bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    return write_bytes(path, content, overwrite=overwrite)


def write_table(path: str | Path, table: pd.DataFrame, *, overwrite: bool = False) -> Path:
    """Write a table without its index to ``.csv``, ``.parquet`` or ``.xlsx``.

    The last two need ``pip install axonlab[tables]``.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If the suffix is another one.
    ImportError
        If the package for it is not installed; the message says which.
    """
    from axonlab.tables import encode_table  # needs pandas, which reading images does without

    _check_target(Path(path), overwrite)
    return write_bytes(path, encode_table(table, str(path)), overwrite=overwrite)


def write_json(path: str | Path, content: Mapping[str, Any], *, overwrite: bool = False) -> Path:
    """Write a mapping to an indented JSON file."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return write_bytes(path, text.encode(), overwrite=overwrite)


def write_bytes(path: str | Path, content: bytes, *, overwrite: bool = False) -> Path:
    """Write a file whole or not at all; folders on the way are made.

    The content goes to a temporary file in the same folder, which then takes the name: a crash
    leaves either the old file or the new one.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    """
    path = Path(path)
    _check_target(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def _check_target(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Pass overwrite=True to replace it.")


def _mask_path(stem: str | Path, suffix: str) -> Path:
    return Path(f"{stem}_seg-{suffix}.png")


def _read_whole_numbers(path: Path) -> tuple[NDArray[np.integer[Any]], str]:
    """Return the numbers in a mask and the comment in the file."""
    array, _, comment = read_plane(path, as_stored=True)
    if array.ndim == 3:
        colours = array[..., : 3 if array.shape[-1] >= 3 else 1]
        if (colours != colours[..., :1]).any():
            raise ValueError(
                f"{path}: a colour picture, expected a mask with one number per pixel. "
                "Export the mask itself, not an overlay."
            )
        array = colours[..., 0]
    if array.dtype.kind in "iu":
        return array, comment
    if not (np.isfinite(array).all() and (array == np.round(array)).all()):
        raise ValueError(
            f"{path}: fractions or NaN in a mask, expected whole numbers. Export class or object "
            "numbers, not probabilities."
        )
    return array.astype(np.int64), comment


def _read_mask(path: Path, values: Mapping[int, str] | None) -> NDArray[np.uint8]:
    array, comment = _read_whole_numbers(path)
    found, counts = np.unique(array, return_counts=True)
    # beside 255, a few 1, 2 or 3 are rather strays in a 0/255 mask than ids
    as_ids = counts[np.isin(found, [1, 2, 3])].sum()
    is_ids = comment == LABEL_TAG or found.max() <= 3 or as_ids > MAX_STRAY_SHARE * array.size
    meaning = _mask_values(path, is_ids, values)
    known = np.isin(found, list(meaning))
    stray = int(counts[~known].sum())
    if stray > MAX_STRAY_SHARE * array.size:
        listed = ", ".join(f"{v} ({n} px)" for v, n in zip(found[:12], counts[:12], strict=True))
        listed += ", …" if len(found) > 12 else ""
        raise ValueError(
            f"{path}: found the values {listed}; expected only {sorted(meaning)}. "
            "Say what the values mean, for example values={255: 'myelin'}; a mask that was "
            "resampled or saved as JPEG must be exported again without smoothing."
        )
    if stray:
        strays = found[~known]
        listed = ", ".join(map(str, strays[:12])) + (", …" if len(strays) > 12 else "")
        warnings.warn(
            f"{path}: {stray} pixels hold the meaningless values {listed} and are read as "
            "unlabelled.",
            stacklevel=3,
        )
    is_told = values is not None or comment == LABEL_TAG or "_seg-" in path.name
    if not is_told and found[-1] in (1, 255) and not found[:-1].any():
        class_name = next(name for name, i in CLASSES.items() if i == meaning[int(found[-1])])
        warnings.warn(
            f"{path}: one value besides background, {found[-1]}, which is read as {class_name}. "
            f"If it means something else, say so: values={{{found[-1]}: 'myelin'}}.",
            stacklevel=3,
        )
    labels = np.full(array.shape, UNLABELLED, np.uint8)
    for value, class_id in meaning.items():
        labels[array == value] = class_id
    return labels


def _mask_values(path: Path, is_ids: bool, values: Mapping[int, str] | None) -> dict[int, int]:
    """Return what each value of a mask means, as class ids."""
    if values is not None:
        unknown = sorted(set(values.values()) - set(CLASSES))
        if unknown:
            raise ValueError(f"Unknown classes {unknown} in values, known are {list(CLASSES)}.")
        return {0: 0, **{value: CLASSES[name] for value, name in values.items()}}
    one_class = re.search(r"_seg-(axon|myelin|uaxon)(?![a-z])", path.name)
    if one_class:
        class_id = CLASSES[_MASK_SUFFIXES[one_class[1]]]
        return {0: 0, 1: class_id, 255: class_id}
    if is_ids:
        return {i: i for i in (*CLASSES.values(), UNLABELLED)}
    return _AXONDEEPSEG_VALUES


def _check_ids(objects: NDArray[Any], name: str) -> None:
    if objects.dtype.kind not in "iu":
        raise ValueError(f"{name}: object ids of type {objects.dtype}. Pass whole numbers.")
    if objects.min() < 0 or objects.max() > np.iinfo(np.int32).max:
        raise ValueError(
            f"{name}: object ids from {objects.min()} to {objects.max()}, expected 0 to "
            "2**31 - 1. Renumber the objects, 0 is the background."
        )
