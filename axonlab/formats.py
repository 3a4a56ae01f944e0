"""How pixels lie in PNG, JPEG, TIFF, OME-TIFF and OME-Zarr: one plane in or out."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin

from axonlab import machine
from axonlab.micrograph import check_plane
from axonlab.pixelsize import ome_zarr_pixel_sizes, tiff_pixel_sizes
from axonlab.plane import (
    EMPTY,
    WHOLE,
    Place,
    Plane,
    RefusedError,
    Region,
    as_it_is,
    plane_of,
    plane_of_zarr,
)

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_RGB = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
_PNG_PALETTE = 3  # colour type, byte 25 of every PNG
_PNG_SAMPLES = {2: 3, _PNG_PALETTE: 3, 4: 2, 6: 4}  # by colour type


class Stored(NamedTuple):
    """What an image file holds."""

    array: NDArray[Any]
    """(H, W), or (H, W, samples) with two to four samples: grey + alpha, RGB or RGBA."""

    pixel_sizes: list[float]
    """Height and width of a pixel in µm, empty where the file does not say."""

    comment: str
    """TIFF description, or comment of a PNG with a palette."""


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
    plane = open_plane(path, as_stored=as_stored)
    with closing(plane), blaming(path):
        array = plane.read(region)
    check_plane(array if array.ndim != 3 else array[..., 0], str(path))
    return Stored(array, plane.pixel_sizes, plane.comment)


def open_plane(path: Path, *, as_stored: bool = False) -> Plane:
    """Open one plane of an image in any format, to read parts of it; close it in the end.

    Parameters
    ----------
    path, as_stored
        As for `read_plane`.

    Raises
    ------
    ValueError
        If there is no single plane to be had, or if the image cannot be read in parts and as a
        whole would not fit in memory. The message names the file.
    """
    opener = _open_zarr if path.is_dir() else _opener_of_file(path)
    with blaming(path):
        plane = opener(path, as_stored)
    return plane


def read_extent(path: Path) -> tuple[tuple[int, int], list[float]]:
    """Return rows and columns of an image and the pixel sizes (µm) in its file, without its pixels.

    Only a compressed TIFF of a single piece has to be decoded for it.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, ValueError
        If there is no such image, or no single plane of pixels to be had. The message names it.
    """
    opener = _open_zarr if existing(path).is_dir() else _opener_of_file(path)
    with blaming(path):
        if opener in _HEADERS:
            with _HEADERS[opener](path) as image:
                return (image.height, image.width), []
        with closing(opener(path, False)) as plane:
            return plane.shape, plane.pixel_sizes


@contextmanager
def blaming(path: Path | str) -> Iterator[None]:
    """Name the file in whatever goes wrong."""
    try:
        yield
    except RefusedError as error:
        raise ValueError(f"{path}: {error}") from None
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # on damaged files decoders raise what they like
        raise ValueError(
            f"{path}: could not be read, the file is probably damaged or cut short "
            f"({type(error).__name__}: {error}). Copy or export it again."
        ) from error


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


def _opener_of_file(path: Path) -> Callable[[Path, bool], Plane]:
    with path.open("rb") as file:
        magic = file.read(8)
    if magic.startswith(_TIFF):
        return _open_tiff
    if magic == _PNG:
        return _open_png
    if magic.startswith(_JPEG):
        return _open_jpeg
    found = f"it begins with {magic!r}" if magic else "it is empty"
    raise ValueError(
        f"{path}: not an image that axonlab reads ({found}). Copy it again, or export it as "
        "PNG, JPEG, TIFF, OME-TIFF or OME-Zarr; renaming a file does not convert it."
    )


def _open_png(path: Path, as_stored: bool) -> Plane:
    content = path.read_bytes()
    width, height, depth, kind = struct.unpack(">IIBB", content[16:26])
    _check_memory(width * height * _PNG_SAMPLES.get(kind, 1) * max(depth // 8, 1))
    comment = ""
    if as_stored and kind == _PNG_PALETTE:
        with PngImagePlugin.PngImageFile(path) as image:
            comment = str(image.info.get("Comment", ""))
            palette = np.array(image.getpalette()).reshape(-1, 3)
            if (palette != palette[:, :1]).any():
                return plane_of(np.asarray(image), comment=comment)
    return plane_of(imagecodecs.png_decode(content), comment=comment)


def _open_jpeg(path: Path, as_stored: bool) -> Plane:
    content = path.read_bytes()
    if content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN):  # the decoder would fill up with grey
        raise RefusedError("the JPEG is cut short: its end is missing. Copy or export it again.")
    _check_memory(_jpeg_size(content))
    array = imagecodecs.jpeg8_decode(content)
    if array.ndim == 3 and array.shape[-1] == 4:
        raise RefusedError("a JPEG in printing colours (CMYK). Export it again as grey or RGB.")
    return plane_of(array)


_HEADERS: dict[Callable[[Path, bool], Plane], Callable[[Path], Image.Image]] = {
    _open_png: PngImagePlugin.PngImageFile,
    _open_jpeg: JpegImagePlugin.JpegImageFile,
}
"""What reads how large an image is, of formats that are decoded as a whole."""


def _jpeg_size(content: bytes) -> int:
    """Return how many bytes a JPEG takes when it is decoded, 0 if it does not say."""
    place = 2
    while place + 10 <= len(content) and content[place] == 0xFF:
        marker, length = struct.unpack(">BH", content[place + 1 : place + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # "start of frame"
            depth, height, width, samples = struct.unpack(">BHHB", content[place + 4 : place + 10])
            return int(width * height * samples * -(-depth // 8))
        place += 2 + length
    return 0


def _check_memory(needed: int) -> None:
    """Refuse an image that can only be read as a whole, and would then not fit."""
    free = machine.memory_free()
    if needed > free:
        raise RefusedError(
            f"it cannot be read in parts, and as a whole needs {needed / 1e9:.1f} GB of memory, of "
            f"which {free / 1e9:.1f} GB are free. Export it as tiled TIFF or as OME-Zarr."
        )


def _open_tiff(path: Path, as_stored: bool) -> Plane:
    with ExitStack() as files:
        tif = files.enter_context(tifffile.TiffFile(path))
        series = tif.series[0]
        page = tif.pages.first
        axes = str(series.axes)
        if 0 in series.shape:
            raise RefusedError(f"found no pixels (shape {series.shape}). Export it again.")
        if _is_cut_short(tif):
            raise RefusedError("the TIFF is cut short or damaged. Copy or export it again.")
        if page.samplesperpixel > 2 and page.photometric not in _RGB:
            raise RefusedError(
                f"{page.samplesperpixel} samples per pixel that are not RGB but "
                f"{tifffile.PHOTOMETRIC(page.photometric).name}. Export it again as grey or RGB."
            )
        about: dict[str, Any] = {
            "pixel_sizes": tiff_pixel_sizes(tif),
            "comment": page.description,
            "show": as_it_is if as_stored else _shown_as(page),
        }
        if page.compression not in tifffile.TIFF.DECOMPRESSORS:
            raise RefusedError(
                f"its compression {page.compression} is unknown. Export it again, compressed by "
                "deflate (ZIP), LZW or JPEG."
            )
        if series.dataoffset is not None and series.keyframe.is_memmappable:
            array: Any = series.asarray(level=0, out="memmap")
        else:
            store = series.aszarr(level=0)
            files.callback(store.close)
            array = zarr.open_array(store, mode="r")
            if all(c >= n for c, n in zip(array.chunks, array.shape, strict=True)):
                _check_memory(array.nbytes)
                array = array[...]
            else:
                about |= {"chunks": array.chunks, **_chunks_of_tiff(series.pages[0], axes)}
        return replace(plane_of(array, axes, **about), close=files.pop_all().close)


def _shown_as(page: tifffile.TiffPage) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return what makes greys or colours of the numbers in a page."""
    colours = page.colormap
    if colours is not None:
        return lambda array: np.moveaxis(colours[:, array] >> 8, 0, -1).astype(np.uint8)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        return lambda array: ~array if array.dtype.kind in "bu" else -array
    return as_it_is


def _chunks_of_tiff(page: Any, axes: str) -> dict[str, Any]:
    """Return how the strips or tiles of a page are called, and which of them are not there."""
    in_page = [i for i, axis in enumerate(axes) if axis in "YXS"]
    at_y, at_x = axes.index("Y"), axes.index("X")
    is_tiled = page.keyframe.is_tiled

    def name(place: Place) -> str:
        return f"tile {place[at_y]}, {place[at_x]}" if is_tiled else f"strip {place[at_y]}"

    def lack(place: Place) -> str:
        i = int(np.ravel_multi_index([place[k] for k in in_page], page.chunked))
        if i >= min(len(page.dataoffsets), len(page.databytecounts)):
            return EMPTY
        start, length = page.dataoffsets[i], page.databytecounts[i]
        if not (start and length):
            return EMPTY
        return "cut off" if start + length > page.parent.filehandle.size else ""

    return {"name": name, "lack": lack}


def _is_cut_short(tif: tifffile.TiffFile) -> bool:
    """Tell whether pixels are missing that tifffile would take for 0 without a word."""
    page = tif.pages.first
    if not (page.dataoffsets and page.databytecounts):
        return True
    end = int(np.add(page.dataoffsets, page.databytecounts).max())
    return page.compression == tifffile.COMPRESSION.NONE and end > tif.filehandle.size


def _open_zarr(path: Path, as_stored: bool) -> Plane:
    found = zarr.open(path, mode="r")
    if isinstance(found, zarr.Array) and found.ndim == 2:
        return plane_of_zarr(found)
    attributes: dict[str, Any] = found.attrs.asdict()
    scales = attributes.get("ome", attributes).get("multiscales")
    if not scales or not isinstance(found, zarr.Group):
        raise RefusedError(
            "a Zarr without the metadata of an OME-Zarr image ('multiscales'). Pass the path of "
            "the image itself, which may lie inside this folder, or export it as OME-Zarr."
        )
    array: Any = found[scales[0]["datasets"][0]["path"]]
    axes = "".join(str(axis["name"]) for axis in scales[0]["axes"]).upper()
    if "C" in axes and array.shape[axes.index("C")] == 3:
        axes = axes.replace("C", "S")
    sizes = ome_zarr_pixel_sizes(scales[0])
    return plane_of_zarr(array, axes, pixel_sizes=sizes, attributes=attributes)
