"""How pixels lie in PNG, JPEG, TIFF, OME-TIFF and OME-Zarr: one plane in or out."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from axonlab.micrograph import check_plane
from axonlab.pixelsize import ome_zarr_pixel_sizes, tiff_pixel_sizes

Region = tuple[slice, slice]
WHOLE: Region = (slice(None), slice(None))

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_RGB = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
_PNG_PALETTE = 3  # colour type, byte 25 of every PNG


class Stored(NamedTuple):
    """What an image file holds."""

    array: NDArray[Any]
    """(H, W), or (H, W, samples) with two to four samples: grey + alpha, RGB or RGBA."""

    pixel_sizes: list[float]
    """Height and width of a pixel in µm, empty where the file does not say."""

    comment: str
    """TIFF description, or comment of a PNG with a palette."""


class _RefusedError(Exception):
    """A file that is sound but not what was asked for, or seen to be cut short."""


def existing(path: str | Path) -> Path:
    """Return the path of an image that exists.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If it does not, or is a folder other than a Zarr.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file. Check its name and folder ({path.absolute().parent})."
        )
    if path.is_dir() and not any((path / n).exists() for n in ("zarr.json", ".zgroup", ".zarray")):
        raise IsADirectoryError(
            f"{path}: a folder. Pass the path of one image file, or of an OME-Zarr image."
        )
    return path


def read_plane(path: Path, region: Region = WHOLE, *, as_stored: bool = False) -> Stored:
    """Read one plane of an image in any format; the content decides, not the suffix.

    Parameters
    ----------
    path : Path
        Of a file, or of the folder of an OME-Zarr.
    region : pair of slice
        Rows and columns. From TIFF and OME-Zarr only the chunks that hold them are read.
    as_stored : bool
        Return the numbers in the file, as is right for a mask, rather than the greys or colours
        that a palette or an inverted scale (TIFF "min is white") makes of them. A PNG palette
        of greys is applied in any case: programs that shrink PNGs replace greys by it.

    Raises
    ------
    ValueError
        If there is no single plane of pixels to be had. The message names the file.
    """
    reader = _read_ome_zarr if path.is_dir() else _reader_of_file(path)
    try:
        stored = reader(path, region, as_stored)
    except _RefusedError as error:
        raise ValueError(f"{path}: {error}") from None
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # on damaged files decoders raise what they like
        raise ValueError(
            f"{path}: could not be read, the file is probably damaged or cut short "
            f"({type(error).__name__}: {error}). Copy or export it again."
        ) from error
    check_plane(stored.array if stored.array.ndim != 3 else stored.array[..., 0], str(path))
    return stored


def encode_indexed_png(
    indices: NDArray[np.uint8], colours: Mapping[int, str], *, comment: str
) -> bytes:
    """Return a PNG whose pixel values are `indices`, shown in `colours` such as ``"#e69f00"``."""
    palette = np.zeros((256, 3), np.uint8)
    for index, colour in colours.items():
        palette[index] = list(bytes.fromhex(colour[1:]))
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    tag = PngImagePlugin.PngInfo()
    tag.add_text("Comment", comment)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=tag)
    return buffer.getvalue()


def encode_tiff(
    array: NDArray[Any], *, comment: str | None = None, pixel_size: float | None = None
) -> bytes:
    """Return a compressed TIFF, with a pixel size in µm or none."""
    per_cm = None if pixel_size is None else (1e4 / pixel_size, 1e4 / pixel_size)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        array,
        compression="zlib",
        metadata=None,
        description=comment,
        resolution=per_cm,
        resolutionunit=None if per_cm is None else "CENTIMETER",
    )
    return buffer.getvalue()


def _reader_of_file(path: Path) -> Callable[[Path, Region, bool], Stored]:
    with path.open("rb") as file:
        magic = file.read(8)
    if magic.startswith(_TIFF):
        return _read_tiff
    if magic == _PNG:
        return _read_png
    if magic.startswith(_JPEG):
        return _read_jpeg
    found = f"it begins with {magic!r}" if magic else "it is empty"
    raise ValueError(
        f"{path}: not an image that axonlab reads ({found}). Copy it again, or export it as "
        "PNG, JPEG, TIFF, OME-TIFF or OME-Zarr; renaming a file does not convert it."
    )


def _read_png(path: Path, region: Region, as_stored: bool) -> Stored:
    content = path.read_bytes()
    comment = ""
    if as_stored and content[25] == _PNG_PALETTE:
        with PngImagePlugin.PngImageFile(path) as image:
            comment = str(image.info.get("Comment", ""))
            palette = np.array(image.getpalette()).reshape(-1, 3)
            if (palette != palette[:, :1]).any():
                return Stored(np.asarray(image)[region], [], comment)
    return Stored(imagecodecs.png_decode(content)[region], [], comment)


def _read_jpeg(path: Path, region: Region, as_stored: bool) -> Stored:
    content = path.read_bytes()
    if content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN):  # the decoder would fill up with grey
        raise _RefusedError("the JPEG is cut short: its end is missing. Copy or export it again.")
    array = imagecodecs.jpeg8_decode(content)
    if array.ndim == 3 and array.shape[-1] == 4:
        raise _RefusedError("a JPEG in printing colours (CMYK). Export it again as grey or RGB.")
    return Stored(array[region], [], "")


def _read_tiff(path: Path, region: Region, as_stored: bool) -> Stored:
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        page = tif.pages.first
        axes = str(series.axes)
        if 0 in series.shape:
            raise _RefusedError(f"found no pixels (shape {series.shape}). Export it again.")
        if _is_cut_short(tif):
            raise _RefusedError("the TIFF is cut short or damaged. Copy or export it again.")
        if page.samplesperpixel > 2 and page.photometric not in _RGB:
            raise _RefusedError(
                f"{page.samplesperpixel} samples per pixel that are not RGB but "
                f"{tifffile.PHOTOMETRIC(page.photometric).name}. Export it again as grey or RGB."
            )
        if series.dataoffset is not None and series.keyframe.is_memmappable:
            array = _plane(series.asarray(level=0, out="memmap"), axes, region)
        else:
            store = series.aszarr(level=0)
            try:
                array = _plane(zarr.open_array(store, mode="r"), axes, region)
            finally:
                store.close()
        if not as_stored and page.colormap is not None:
            array = np.moveaxis(page.colormap[:, array] >> 8, 0, -1).astype(np.uint8)
        elif not as_stored and page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            array = ~array if array.dtype.kind in "bu" else -array
        return Stored(array, tiff_pixel_sizes(tif), page.description)


def _is_cut_short(tif: tifffile.TiffFile) -> bool:
    """Tell whether pixels are missing that tifffile would take for 0 without a word."""
    page = tif.pages.first
    if not (page.dataoffsets and page.databytecounts):
        return True
    end = int(np.add(page.dataoffsets, page.databytecounts).max())
    return page.compression == tifffile.COMPRESSION.NONE and end > tif.filehandle.size


def _read_ome_zarr(path: Path, region: Region, as_stored: bool) -> Stored:
    group = zarr.open(path, mode="r")
    attributes: dict[str, Any] = group.attrs.asdict()
    scales = attributes.get("ome", attributes).get("multiscales")
    if not scales or not isinstance(group, zarr.Group):
        raise _RefusedError(
            "a Zarr without the metadata of an OME-Zarr image ('multiscales'). Pass the path of "
            "the image itself, which may lie inside this folder, or export it as OME-Zarr."
        )
    array: Any = group[scales[0]["datasets"][0]["path"]]
    axes = "".join(str(axis["name"]) for axis in scales[0]["axes"]).upper()
    if "C" in axes and array.shape[axes.index("C")] == 3:
        axes = axes.replace("C", "S")
    return Stored(_plane(array, axes, region), ome_zarr_pixel_sizes(scales[0]), "")


def _plane(array: Any, axes: str, region: Region) -> NDArray[Any]:
    """Read one region of the only plane of a lazy array, samples last."""
    index: list[Any] = []
    kept = ""
    for axis, length in zip(axes, array.shape, strict=True):
        if axis in "YX":
            index.append(region["YX".index(axis)])
            kept += axis
        elif axis == "S" and length <= 4:
            index.append(slice(None))
            kept += axis
        elif length == 1:
            index.append(0)
        else:
            raise _RefusedError(
                f"{length} planes along axis {axis} (shape {array.shape}), expected one plane. "
                "Save the section or channel you want as an image of its own."
            )
    plane = np.asarray(array[tuple(index)])
    return np.moveaxis(plane, 0, -1) if kept == "SYX" else plane
