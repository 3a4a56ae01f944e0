"""Files in and out. Every reader checks what it reads, every writer is atomic."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from axonlab.micrograph import (
    CLASS_COLOURS,
    CLASSES,
    UNLABELLED,
    Micrograph,
    check_pixel_size,
    check_plane,
)
from axonlab.pixelsize import find_pixel_size, ome_zarr_pixel_sizes, tiff_pixel_sizes

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

Region = tuple[slice, slice]
WHOLE: Region = (slice(None), slice(None))

MAX_STRAY_SHARE = 1e-3
"""Share of pixels with meaningless values that a mask may hold; they become unlabelled."""

_LABEL_TAG = "axonlab class ids"
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
    path = _existing(path)
    pixels, tagged = _read_grey(path, region)
    if pixel_size is not None:
        size, source = check_pixel_size(pixel_size, str(path)), "caller"
    else:
        size, source = find_pixel_size(path, tagged)
    return Micrograph(pixels, size, _stem(path), source)


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
        Masks of one image. Where they overlap, the later one wins.
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
    labels = _read_mask(_existing(path), values)
    for other in others:
        mask = _read_mask(_existing(other), values)
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
    path = _existing(path)
    array = _read_whole_numbers(path)
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.int32).max):
        raise ValueError(
            f"{path}: object ids from {array.min()} to {array.max()}, expected 0 to 2**31 - 1."
        )
    return array.astype(np.int32)


def run_folder(name: str) -> Path:
    """Return ``runs/<name>``, where a notebook leaves its products.

    It lies beside the folder ``notebooks``, whether the notebook runs in JupyterLab (which starts
    it in its own folder) or from the project's root; elsewhere, in the current folder.
    """
    here = Path.cwd()
    return (here.parent if here.name == "notebooks" else here) / "runs" / name


def write_labels(
    path: str | Path, labels: NDArray[np.uint8], *, overwrite: bool = False
) -> Path:
    """Write class ids to an indexed-colour ``.png`` or a ``.tif``.

    Pixel values are the class ids; the palette lets any viewer show them in colour.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If `labels` holds unknown ids, or the suffix is neither .png nor .tif(f).
    """
    _check_classes(labels, str(path))
    if Path(path).suffix.lower() in (".tif", ".tiff"):
        return write_bytes(path, _tiff(labels, description=_LABEL_TAG), overwrite=overwrite)
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path}: labels are written as .png or .tif.")
    image = Image.fromarray(labels)
    palette = np.zeros((256, 3), np.uint8)
    for value, colour in CLASS_COLOURS.items():
        palette[value] = list(bytes.fromhex(colour[1:]))
    image.putpalette(palette.tobytes())
    tag = PngImagePlugin.PngInfo()
    tag.add_text("Comment", _LABEL_TAG)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=tag)
    return write_bytes(path, buffer.getvalue(), overwrite=overwrite)


def write_masks(
    stem: str | Path, labels: NDArray[np.uint8], *, overwrite: bool = False
) -> list[Path]:
    """Write class ids as AxonDeepSeg's masks beside each other.

    Parameters
    ----------
    stem : path
        ``folder/image`` gives ``folder/image_seg-axonmyelin.png`` (0, 127 and 255) and one
        0/255 mask each for axon, myelin and, if there are any, unmyelinated axons.
    labels : (H, W) uint8 array

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        If some pixels are unlabelled, which these masks cannot express.
    """
    _check_classes(labels, str(stem))
    missing = int((labels == UNLABELLED).sum())
    if missing:
        raise ValueError(
            f"{stem}: {missing} pixels are unlabelled, which 0/127/255 masks cannot express. "
            "Label them, or keep class ids with write_labels."
        )
    both = np.array([0, 127, 255, 0], np.uint8)[labels]
    masks = {"axonmyelin": both}
    for suffix, name in _MASK_SUFFIXES.items():
        mask = labels == CLASSES[name]
        if suffix != "uaxon" or mask.any():
            masks[suffix] = mask.astype(np.uint8) * np.uint8(255)
    paths = {suffix: Path(f"{stem}_seg-{suffix}.png") for suffix in masks}
    for target in paths.values():
        _check_target(target, overwrite)
    return [write_image(paths[s], mask, overwrite=overwrite) for s, mask in masks.items()]


def write_objects(
    path: str | Path, objects: NDArray[np.int32], *, pixel_size: float, overwrite: bool = False
) -> Path:
    """Write an object image as a compressed 32-bit TIFF that carries its pixel size (µm)."""
    check_plane(objects, str(path))
    content = _tiff(objects.astype(np.int32), pixel_size=check_pixel_size(pixel_size, str(path)))
    return write_bytes(path, content, overwrite=overwrite)


def write_image(path: str | Path, pixels: NDArray[np.uint8], *, overwrite: bool = False) -> Path:
    """Write 8-bit grey (H, W) or RGB (H, W, 3) pixels to a PNG."""
    return write_bytes(path, imagecodecs.png_encode(pixels), overwrite=overwrite)


def write_table(path: str | Path, table: pd.DataFrame, *, overwrite: bool = False) -> Path:
    """Write a table to CSV, without its index."""
    return write_bytes(path, table.to_csv(index=False).encode(), overwrite=overwrite)


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
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files only their owner can read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _check_target(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Pass overwrite=True to replace it.")


def _stem(path: Path) -> str:
    return re.sub(r"\.ome$", "", path.stem)


def _read_grey(path: Path, region: Region) -> tuple[NDArray[np.float32], list[float]]:
    """Return grey pixels and the pixel height and width (µm) that the file itself states."""
    array, tagged = _read_array(path, region)
    if array.ndim == 2 or array.shape[-1] <= 2:
        grey = array if array.ndim == 2 else array[..., 0]
    else:
        # ITU-R BT.601; the weights sum to 1, so that grey stored as RGB keeps its values
        grey = array[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return grey.astype(np.float32), tagged


def _read_whole_numbers(path: Path) -> NDArray[np.int64]:
    array, _ = _read_array(path, WHOLE)
    if array.ndim == 3:
        colours = array[..., : 3 if array.shape[-1] >= 3 else 1]
        if (colours != colours[..., :1]).any():
            raise ValueError(
                f"{path}: a colour picture, expected a mask with one number per pixel. "
                "Export the mask itself, not an overlay."
            )
        array = colours[..., 0]
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        raise ValueError(f"{path}: a mask with fractions or NaN, expected whole numbers.")
    return array.astype(np.int64)


def _read_mask(path: Path, values: Mapping[int, str] | None) -> NDArray[np.uint8]:
    is_tagged, array = _read_indexed_png(path)
    if array is None:
        array = _read_whole_numbers(path)
    found, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    meaning = _mask_values(path, {int(v) for v in found}, is_tagged, values)
    known = np.array([int(v) in meaning for v in found])
    stray = int(counts[~known].sum())
    if stray > MAX_STRAY_SHARE * array.size:
        listed = ", ".join(f"{v} ({n} px)" for v, n in list(zip(found, counts, strict=True))[:12])
        raise ValueError(
            f"{path}: found the values {listed}; expected only {sorted(meaning)}. "
            "Say what the values mean, for example values={255: 'myelin'}; a mask that was "
            "resampled or saved as JPEG must be exported again without smoothing."
        )
    if stray:
        warnings.warn(
            f"{path}: {stray} pixels hold the meaningless values {found[~known].tolist()} and "
            "are read as unlabelled.",
            stacklevel=3,
        )
    table = np.array([meaning.get(int(v), UNLABELLED) for v in found], np.uint8)
    return table[inverse].reshape(array.shape)


def _mask_values(
    path: Path, found: set[int], is_tagged: bool, values: Mapping[int, str] | None
) -> dict[int, int]:
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
    if is_tagged or found & {1, 2, 3}:
        return {i: i for i in (*CLASSES.values(), UNLABELLED)}
    return _AXONDEEPSEG_VALUES


def _check_classes(labels: NDArray[np.uint8], name: str) -> None:
    check_plane(labels, name)
    unknown = set(np.unique(labels).tolist()) - {*CLASSES.values(), UNLABELLED}
    if unknown or labels.dtype != np.uint8:
        raise ValueError(
            f"{name}: labels of type {labels.dtype} with unknown ids {sorted(unknown)}; expected "
            f"uint8 with {CLASSES} and {UNLABELLED} for unlabelled."
        )


def _tiff(
    array: NDArray[Any], *, description: str | None = None, pixel_size: float | None = None
) -> bytes:
    buffer = io.BytesIO()
    resolution = {}
    if pixel_size is not None:
        per_cm = 1e4 / pixel_size
        resolution = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        buffer, array, compression="zlib", metadata=None, description=description, **resolution
    )
    return buffer.getvalue()
