"""Files in and out: every value survives, every bad file gets one clear error."""

from __future__ import annotations

import errno
import gc
import io
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from axonlab.formats import read_extent, read_plane
from axonlab.io import (
    CLASSES,
    UNLABELLED,
    read_image,
    read_labels,
    read_objects,
    run_folder,
    write_bytes,
    write_image,
    write_json,
    write_labels,
    write_masks,
    write_objects,
    write_table,
)

pytestmark = pytest.mark.filterwarnings("error")

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)

RNG = np.random.default_rng(7)
BYTES = RNG.integers(0, 256, (37, 53), np.uint8)
WORDS = RNG.integers(0, 65536, (37, 53), np.uint16)
FLOATS = RNG.normal(size=(37, 53)).astype(np.float32)
RGB = RNG.integers(0, 256, (37, 53, 3), np.uint8)
RGB16 = RNG.integers(0, 65536, (37, 53, 3), np.uint16)
IDS = np.array([0, 1, 2, 3, 255], np.uint8)

LABELS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.sampled_from(IDS.tolist()),
)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Return what ITU-R BT.601 says a colour's grey is."""
    return rgb[..., :3].astype(float) @ [0.299, 0.587, 0.114]


def with_alpha(array: np.ndarray) -> np.ndarray:
    """Append an alpha channel that must not show."""
    colours = array if array.ndim == 3 else array[..., None]
    alpha = RNG.integers(0, 255, (*array.shape[:2], 1)).astype(array.dtype)
    return np.concatenate([colours, alpha], -1)


def png(array: np.ndarray) -> bytes:
    """Encode a PNG of any depth."""
    return imagecodecs.png_encode(np.ascontiguousarray(array))


def pillow(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode with Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(array: np.ndarray, **options: Any) -> bytes:
    """Encode a TIFF."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def jpeg(array: np.ndarray, **options: Any) -> bytes:
    """Encode a JPEG with next to no loss."""
    return imagecodecs.jpeg8_encode(array, level=100, **options)


def ome_zarr(
    path: Path,
    array: np.ndarray,
    axes: str,
    *,
    version: str = "0.5",
    unit: str | None = "micrometer",
    size: float = 0.1,
    chunks: int = 16,
) -> Path:
    """Write an OME-Zarr image, by the letter of its specification."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    level = group.create_array(
        "s0",
        shape=array.shape,
        dtype=array.dtype,
        chunks=tuple(chunks if a in "yx" else 1 for a in axes),
    )
    if array.size:
        level[...] = array
    kinds = {"t": "time", "c": "channel"}
    space = {} if unit is None else {"unit": unit}
    described = [
        {"name": a, "type": kinds.get(a, "space"), **({} if a in kinds else space)} for a in axes
    ]
    scale = [size if a in "yx" else 1.0 for a in axes]
    transforms = [{"type": "scale", "scale": scale}]
    scales = [
        {"axes": described, "datasets": [{"path": "s0", "coordinateTransformations": transforms}]}
    ]
    if version == "0.4":
        group.attrs["multiscales"] = [{**scales[0], "version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": scales}
    return path


def palette_png(indices: np.ndarray, colours: list[int]) -> bytes:
    """Encode an indexed-colour PNG."""
    image = Image.fromarray(indices)
    image.putpalette(colours)
    return pillow(image)


FORMATS: dict[str, tuple[str, bytes, np.ndarray]] = {
    "png grey": ("a.png", png(BYTES), BYTES),
    "png grey alpha": ("a.png", png(with_alpha(BYTES)), BYTES),
    "png rgb": ("a.png", png(RGB), luminance(RGB)),
    "png rgba": ("a.png", png(with_alpha(RGB)), luminance(RGB)),
    "png 16": ("a.png", png(WORDS), WORDS),
    "png 16 alpha": ("a.png", png(with_alpha(WORDS)), WORDS),
    "png 16 rgb": ("a.png", png(RGB16), luminance(RGB16)),
    "png 16 rgba": ("a.png", png(with_alpha(RGB16)), luminance(RGB16)),
    "png 1 bit": ("a.png", pillow(Image.fromarray(BYTES > 99)), (BYTES > 99) * 255),
    "png palette": (
        "a.png",
        palette_png(BYTES % 3, [0, 0, 0, 100, 200, 50, 255, 255, 255]),
        luminance(np.array([[0, 0, 0], [100, 200, 50], [255] * 3]))[BYTES % 3],
    ),
    "png suffix in capitals": ("a.PNG", png(BYTES), BYTES),
    "png called tif": ("a.tif", png(BYTES), BYTES),
    "tif": ("a.tif", tiff(BYTES), BYTES),
    "tif 16": ("a.tif", tiff(WORDS), WORDS),
    "tif 16 big-endian": ("a.tif", tiff(WORDS, byteorder=">"), WORDS),
    "tif int16": ("a.tif", tiff(WORDS.view(np.int16)), WORDS.view(np.int16)),
    "tif float": ("a.tiff", tiff(FLOATS), FLOATS),
    "tif float64": ("a.tiff", tiff(FLOATS.astype(float)), FLOATS),
    "tif 1 bit": ("a.tif", pillow(Image.fromarray(BYTES > 99), "TIFF"), BYTES > 99),
    "tif deflate": ("a.tif", tiff(WORDS, compression="zlib", predictor=True), WORDS),
    "tif lzw strips": ("a.tif", tiff(WORDS, compression="lzw", rowsperstrip=5), WORDS),
    "tif tiles": ("a.tif", tiff(WORDS, tile=(16, 32), compression="zlib"), WORDS),
    "tif rgb": ("a.tif", tiff(RGB, photometric="rgb"), luminance(RGB)),
    "tif rgba": (
        "a.tif",
        tiff(with_alpha(RGB), photometric="rgb", extrasamples=["unassalpha"]),
        luminance(RGB),
    ),
    "tif grey alpha": (
        "a.tif",
        tiff(
            with_alpha(WORDS),
            photometric="minisblack",
            planarconfig="contig",
            extrasamples=["unassalpha"],
        ),
        WORDS,
    ),
    "tif 16 rgb planar": (
        "a.tif",
        tiff(np.moveaxis(RGB16, -1, 0), photometric="rgb", planarconfig="separate"),
        luminance(RGB16),
    ),
    "tif rgb tiles": ("a.tif", tiff(RGB, photometric="rgb", tile=(16, 16)), luminance(RGB)),
    "tif min is white": ("a.tif", tiff(BYTES, photometric="miniswhite"), 255 - BYTES),
    "tif palette": (
        "a.tif",
        tiff(BYTES, photometric="palette", colormap=np.full((3, 256), 7 * 257, np.uint16)),
        np.full(BYTES.shape, 7),
    ),
    "bigtiff": ("a.tif", tiff(WORDS, bigtiff=True), WORDS),
    "ome-tif": ("a.ome.tif", tiff(WORDS, ome=True, metadata={"axes": "YX"}), WORDS),
    "ome-tif singletons": (
        "a.ome.tif",
        tiff(WORDS[None, None, None], ome=True, metadata={"axes": "TCZYX"}),
        WORDS,
    ),
    "imagej": ("a.tif", tiff(WORDS, imagej=True), WORDS),
    "jpeg": ("a.jpg", jpeg(BYTES), imagecodecs.jpeg8_decode(jpeg(BYTES))),
    "jpeg rgb": ("a.jpeg", jpeg(RGB), luminance(imagecodecs.jpeg8_decode(jpeg(RGB)))),
    "jpeg with a tail": ("a.jpg", jpeg(BYTES) + bytes(99), imagecodecs.jpeg8_decode(jpeg(BYTES))),
}


@pytest.fixture(params=FORMATS)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Return a file of each format and the grey values in it."""
    name, content, expected = FORMATS[request.param]
    (tmp_path / name).write_bytes(content)
    return tmp_path / name, expected


# Reading images


def test_every_format_keeps_its_values(sample: tuple[Path, np.ndarray]) -> None:
    """Grey values of every depth arrive unscaled and unclipped, colours as luminance."""
    path, expected = sample
    micrograph = read_image(path, pixel_size=0.1)
    assert micrograph.pixels.dtype == np.float32
    np.testing.assert_allclose(micrograph.pixels, expected, rtol=1e-6, atol=1e-6)


def test_every_format_reads_regions(sample: tuple[Path, np.ndarray]) -> None:
    """A region holds what the whole image holds there."""
    path, expected = sample
    region = np.s_[11:30, 20:]
    pixels = read_image(path, pixel_size=0.1, region=region).pixels
    np.testing.assert_allclose(pixels, expected[region], rtol=1e-6, atol=1e-6)


def test_every_format_refuses_a_region_outside(sample: tuple[Path, np.ndarray]) -> None:
    """A region without pixels is an error that names the file."""
    path, _ = sample
    with pytest.raises(ValueError, match=r"found no pixels .*Check the region") as error:
        read_image(path, pixel_size=0.1, region=np.s_[500:600, :])
    assert str(path) in str(error.value)


def test_no_file_stays_open(sample: tuple[Path, np.ndarray]) -> None:
    """Reading leaves nothing to the garbage collector to close."""
    path, _ = sample
    gc.collect()  # what other tests have left open is not this one's
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_image(path, pixel_size=0.1)
        gc.collect()
    assert [w for w in caught if issubclass(w.category, ResourceWarning)] == []
    path.rename(path.with_name("moved"))


def test_grey_stored_as_colour_keeps_its_values(tmp_path: Path) -> None:
    """A grey image saved as RGB is the same image."""
    (tmp_path / "a.png").write_bytes(png(np.stack([WORDS] * 3, -1)))
    pixels = read_image(tmp_path / "a.png", pixel_size=0.1).pixels
    np.testing.assert_allclose(pixels, WORDS, rtol=1e-6)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pyramids_are_read_at_full_resolution(tmp_path: Path, compression: str | None) -> None:
    """Of a pyramidal OME-TIFF the finest level is read."""
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        options: dict[str, Any] = {"tile": (16, 16), "compression": compression}
        file.write(WORDS, subifds=1, metadata={"axes": "YX"}, **options)
        file.write(WORDS[::2, ::2], subfiletype=1, **options)
    pixels = read_image(tmp_path / "a.ome.tif", pixel_size=0.1).pixels
    np.testing.assert_array_equal(pixels, WORDS)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["yx", "zyx", "cyx", "tczyx"])
@pytest.mark.parametrize("array", [BYTES, WORDS, FLOATS], ids=str)
def test_ome_zarr_is_read(tmp_path: Path, version: str, axes: str, array: np.ndarray) -> None:
    """OME-Zarr of both versions is read, axes of length 1 and all."""
    stored = array.reshape((1,) * (len(axes) - 2) + array.shape)
    path = ome_zarr(tmp_path / "a.ome.zarr", stored, axes, version=version)
    micrograph = read_image(path)
    np.testing.assert_array_equal(micrograph.pixels, array)
    assert (micrograph.pixel_size, micrograph.name) == (0.1, "a")
    part = read_image(path, region=np.s_[5:20, 30:40]).pixels
    np.testing.assert_array_equal(part, array[5:20, 30:40])


def test_ome_zarr_in_colour(tmp_path: Path) -> None:
    """Three channels of an OME-Zarr are red, green and blue."""
    path = ome_zarr(tmp_path / "a.zarr", np.moveaxis(RGB, -1, 0), "cyx")
    np.testing.assert_allclose(read_image(path).pixels, luminance(RGB), rtol=1e-6)


# Reading no more than needed


@pytest.mark.parametrize(
    "content",
    [
        png(BYTES), png(RGB16), jpeg(RGB), tiff(WORDS, tile=(16, 16), compression="zlib"),
        tiff(RGB, planarconfig="contig"), tiff(BYTES, compression="zlib"),
    ],
)  # fmt: skip
def test_the_extent_of_an_image(tmp_path: Path, content: bytes) -> None:
    """Rows and columns are those of its pixels, which need not be whole."""
    path = tmp_path / "a"
    path.write_bytes(content)
    assert read_extent(path) == ((37, 53), [])
    if not content.startswith(b"II"):
        path.write_bytes(content[: len(content) // 2])
        assert read_extent(path) == ((37, 53), [])


def test_the_extent_with_its_pixel_size(tmp_path: Path) -> None:
    """As the tags of a TIFF and the metadata of an OME-Zarr tell; what is no image is named."""
    assert read_extent(ome_zarr(tmp_path / "a.zarr", WORDS, "yx")) == ((37, 53), [0.1, 0.1])
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(WORDS, resolution=(5e4, 5e4), resolutionunit="CENTIMETER"))
    assert read_extent(path) == ((37, 53), pytest.approx([0.2, 0.2]))
    path.write_bytes(png(BYTES)[:20])
    with pytest.raises(ValueError, match=r"a\.tif: .*damaged or cut short"):
        read_extent(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_extent(tmp_path / "b.tif")


def spoil(content: bytes, start: int, length: int) -> bytes:
    """Overwrite a piece of a file."""
    return content[:start] + b"\xff" * length + content[start + length :]


@pytest.mark.parametrize("layout", [{"tile": (16, 16)}, {"rowsperstrip": 16}], ids=str)
def test_tiff_region_reads_only_its_chunks(tmp_path: Path, layout: dict[str, Any]) -> None:
    """Damage outside the region is not met; the whole image cannot be read."""
    path = tmp_path / "a.tif"
    content = tiff(WORDS, compression="zlib", **layout)
    with tifffile.TiffFile(io.BytesIO(content)) as tif:
        page = tif.pages.first
        place = page.dataoffsets[-1], page.databytecounts[-1]
    path.write_bytes(spoil(content, *place))
    pixels = read_image(path, pixel_size=0.1, region=np.s_[3:20, 4:31]).pixels
    np.testing.assert_array_equal(pixels, WORDS[3:20, 4:31])
    with pytest.raises(ValueError, match=r"a\.tif: .*damaged.*export it again"):
        read_image(path, pixel_size=0.1)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_region_reads_only_its_chunks(tmp_path: Path, version: str) -> None:
    """Damage outside the region is not met; the whole image cannot be read."""
    path = ome_zarr(tmp_path / "a.zarr", WORDS, "yx", version=version)
    chunk = path / "s0" / ("2.3" if version == "0.4" else "c/2/3")
    chunk.write_bytes(spoil(chunk.read_bytes(), 0, 30))
    pixels = read_image(path, region=np.s_[3:20, 4:31]).pixels
    np.testing.assert_array_equal(pixels, WORDS[3:20, 4:31])
    with pytest.raises(ValueError, match=r"a\.zarr: .*damaged.*export it again"):
        read_image(path)


def test_uncompressed_tiff_is_mapped(tmp_path: Path) -> None:
    """An uncompressed TIFF, one huge strip as a rule, is memory-mapped rather than read."""
    (tmp_path / "a.tif").write_bytes(tiff(WORDS))
    array: Any = read_plane(tmp_path / "a.tif", np.s_[3:5, :]).array
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    assert isinstance(array, np.memmap)


def test_pixels_outlive_the_file(tmp_path: Path) -> None:
    """Pixels are a copy: overwriting the file does not change them."""
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(FLOATS))
    pixels = read_image(path, pixel_size=0.1).pixels
    path.write_bytes(bytes(path.stat().st_size))
    np.testing.assert_array_equal(pixels, FLOATS)
    pixels[0, 0] = 1


# Pixel sizes of images


def test_the_caller_wins(tmp_path: Path) -> None:
    """The caller's pixel size is used without a word, whatever the files say."""
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(BYTES, resolution=(1e4, 2e4), resolutionunit="CENTIMETER"))
    (tmp_path / "a.json").write_text("nonsense")
    micrograph = read_image(path, pixel_size=0.3)
    assert (micrograph.pixel_size, micrograph.pixel_size_source) == (0.3, "caller")


def test_image_name_has_no_suffix(tmp_path: Path) -> None:
    """A micrograph is called like its file, without suffixes but with the dots of its name."""
    for name in ("a.b.png", "a.b.ome.tif"):
        (tmp_path / name).write_bytes(png(BYTES))
        assert read_image(tmp_path / name, pixel_size=0.1).name == "a.b"


TAGGED = {
    "centimetre": {"resolution": (2e5, 2e5), "resolutionunit": "CENTIMETER"},
    "ImageJ": {"imagej": True, "resolution": (20, 20), "metadata": {"unit": "micron"}},
    "OME": {
        "ome": True,
        "metadata": {
            "axes": "YX",
            **{f"PhysicalSize{a}": 50 for a in "XY"},
            **{f"PhysicalSize{a}Unit": "nm" for a in "XY"},
        },
    },
}


@pytest.mark.parametrize("tags", TAGGED)
def test_tags_give_the_pixel_size(tmp_path: Path, tags: str) -> None:
    """Metric tags of a TIFF are believed, and named as the source."""
    (tmp_path / "a.tif").write_bytes(tiff(BYTES, **TAGGED[tags]))
    micrograph = read_image(tmp_path / "a.tif")
    assert micrograph.pixel_size == pytest.approx(0.05)
    assert micrograph.pixel_size_source == "tags of the image file"


@pytest.mark.parametrize("unit", ["nanometer", "micrometer"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_gives_the_pixel_size(tmp_path: Path, version: str, unit: str) -> None:
    """Units of an OME-Zarr are heeded."""
    size = {"nanometer": 4.93, "micrometer": 0.00493}[unit]
    stored = BYTES[None, None, None]
    path = ome_zarr(tmp_path / "a.zarr", stored, "tczyx", version=version, unit=unit, size=size)
    assert read_image(path).pixel_size == pytest.approx(0.00493)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tif", tiff(BYTES, resolution=(72, 72), resolutionunit="INCH")),
        ("a.tif", tiff(BYTES)),
        ("a.png", pillow(Image.fromarray(BYTES), dpi=(72, 72))),
        ("a.jpg", pillow(Image.fromarray(BYTES), "JPEG", dpi=(300, 300))),
    ],
)
def test_without_a_pixel_size_nothing_is_guessed(tmp_path: Path, name: str, content: bytes) -> None:
    """Print resolutions are no pixel sizes: the error says how to give one."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: no pixel size found. Pass pixel_size="):
        read_image(tmp_path / name)


def test_oblong_tags_are_an_error(tmp_path: Path) -> None:
    """Pixels that are not square are refused unless the caller says their size."""
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(BYTES, resolution=(1e5, 2e5), resolutionunit="CENTIMETER"))
    with pytest.raises(ValueError, match=r"a\.tif: .*0\.05 × 0\.1 µm are not square.*pixel_size="):
        read_image(path)
    assert read_image(path, pixel_size=0.1).pixel_size == 0.1


@pytest.mark.parametrize("size", [0, 5e-4, 4930, float("nan")])
def test_absurd_pixel_sizes_are_refused(tmp_path: Path, size: float) -> None:
    """Also the caller can mistake the unit; the error names the file."""
    (tmp_path / "a.png").write_bytes(png(BYTES))
    with pytest.raises(ValueError, match=r"a\.png: .*outside 0\.001 to 100 µm.*Sizes are given"):
        read_image(tmp_path / "a.png", pixel_size=size)


def test_contradicting_pixel_sizes_warn_the_caller(tmp_path: Path) -> None:
    """A sidecar that contradicts the tags gives a warning, at the line that reads."""
    (tmp_path / "a.tif").write_bytes(tiff(BYTES, **TAGGED["centimetre"]))
    (tmp_path / "a.json").write_text('{"PixelSize": [0.1, 0.1], "PixelSizeUnits": "um"}')
    with pytest.warns(UserWarning, match=r"a\.tif: a\.json says 0\.1.*0\.05 µm") as caught:
        assert read_image(tmp_path / "a.tif").pixel_size == 0.1
    assert caught[0].filename == __file__


# Bad input

READERS: dict[str, Callable[[Path], object]] = {
    "image": lambda path: read_image(path, pixel_size=0.1),
    "labels": read_labels,
    "objects": read_objects,
}

BAD: dict[str, tuple[str, bytes, str, str]] = {
    "empty": ("a.png", b"", "it is empty", "Copy it again"),
    "text": ("a.png", b"x,y\n1,2\n", "begins with b'x,y", "export it as PNG"),
    "text like TIFF": ("a.tif", b"II. Results", "begins with b'II. Resu", "export it as PNG"),
    "gif": ("a.gif", pillow(Image.fromarray(BYTES), "GIF"), "begins with b'GIF", "export it as"),
    "cut PNG": ("a.png", png(WORDS)[:1500], "cut short", "export it again"),
    "PNG without pixels": ("a.png", png(WORDS)[:8], "cut short", "export it again"),
    "cut indexed PNG": (
        "a.png",
        palette_png(BYTES, list(range(200)) + [0] * 568)[:1500],
        "cut short",
        "export it again",
    ),
    "cut JPEG": ("a.jpg", jpeg(BYTES)[:-60], "cut short", "export it again"),
    "cut progressive JPEG": (
        "a.jpg",
        pillow(Image.fromarray(BYTES), "JPEG", progressive=True)[:-60],
        "cut short",
        "export it again",
    ),
    "JPEG without pixels": ("a.jpg", jpeg(BYTES)[:200], "cut short", "export it again"),
    "CMYK JPEG": (
        "a.jpg",
        pillow(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
        "CMYK",
        "Export it again as grey or RGB",
    ),
    "cut TIFF": ("a.tif", tiff(WORDS)[:-60], "cut short", "export it again"),
    "cut TIFF tiles": (
        "a.tif",
        tiff(WORDS, tile=(16, 16), compression="zlib")[:-60],
        "cut short",
        "export it again",
    ),
    "TIFF cut before its offsets": (
        "a.tif",
        tiff(WORDS, tile=(16, 16), compression="zlib", metadata=None)[:200],
        "cut short",
        "export it again",
    ),
    "TIFF cut to look like a smaller last tile": (
        "a.tif",
        tiff(RGB, photometric="rgb", tile=(16, 16))[: -16 * 16 * 3 + 5 * 5 * 3],
        "cut short",
        "export it again",
    ),
    "TIFF without pages": ("a.tif", tiff(WORDS)[:8], "cut short", "export it again"),
    "stack": ("a.tif", tiff(np.stack([WORDS] * 5)), "5 planes", "Save the section or channel"),
    "two channels": (
        "a.ome.tif",
        tiff(np.stack([WORDS] * 2), ome=True, metadata={"axes": "CYX"}),
        "2 planes along axis C",
        "Save the section or channel",
    ),
    "five samples": (
        "a.tif",
        tiff(
            np.stack([BYTES] * 5, -1),
            photometric="rgb",
            planarconfig="contig",
            extrasamples=["unspecified"] * 2,
        ),
        "5 planes along axis S",
        "Save the section or channel",
    ),
    "CMYK TIFF": (
        "a.tif",
        tiff(with_alpha(RGB), photometric="separated"),
        "4 samples per pixel that are not RGB but SEPARATED",
        "Export it again as grey or RGB",
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("bad", BAD)
def test_bad_files_get_one_clear_error(tmp_path: Path, bad: str, reader: str) -> None:
    """Every reader names the file, what was found and what to do."""
    name, content, found, advice = BAD[bad]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(found)) as error:
        READERS[reader](path)
    assert type(error.value) is ValueError
    assert str(error.value).startswith(f"{path}: ")
    assert advice in str(error.value)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("reader", READERS)
def test_missing_files_and_folders(tmp_path: Path, reader: str) -> None:
    """A missing file and a folder have errors of their own type."""
    with pytest.raises(
        FileNotFoundError, match=r"gone\.png: no such file. Check its name"
    ) as error:
        READERS[reader](tmp_path / "gone.png")
    assert str(tmp_path) in str(error.value)
    with pytest.raises(IsADirectoryError, match=r"a folder\. Pass the path of one image") as other:
        READERS[reader](tmp_path)
    assert str(tmp_path) in str(other.value)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_bad_ome_zarr(tmp_path: Path, version: str, reader: str) -> None:
    """An OME-Zarr without pixels, with planes or without metadata is refused by name."""
    empty = ome_zarr(tmp_path / "empty.zarr", WORDS[:0], "yx", version=version)
    with pytest.raises(ValueError, match=r"empty\.zarr: found no pixels \(shape \(0, 53\)\)"):
        READERS[reader](empty)
    stack = ome_zarr(tmp_path / "b.zarr", np.stack([WORDS] * 2), "cyx", version=version)
    with pytest.raises(ValueError, match=r"b\.zarr: 2 planes along axis C .*Save the section"):
        READERS[reader](stack)
    bare = tmp_path / "bare.zarr"
    zarr.open_group(bare, mode="w", zarr_format=2 if version == "0.4" else 3)
    with pytest.raises(ValueError, match=r"bare\.zarr: a Zarr without .*Pass the path of the im"):
        READERS[reader](bare)
    with pytest.raises(ValueError, match=r"s0: a Zarr without .*Pass the path of the image"):
        READERS[reader](stack / "s0")
    broken = ome_zarr(tmp_path / "broken.zarr", WORDS, "yx", version=version)
    metadata = next(broken.glob("s0/*zarr*"))
    metadata.write_text(metadata.read_text()[:-20])
    with pytest.raises(ValueError, match=r"broken\.zarr: .*damaged.*export it again"):
        READERS[reader](broken)


def test_empty_tiff(tmp_path: Path) -> None:
    """A TIFF of no pixels is refused by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile says that it is not standard
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((0, 5), np.uint8))
    with pytest.raises(ValueError, match=r"a\.tif: found no pixels.*Export it again"):
        read_image(tmp_path / "a.tif", pixel_size=0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_nan_pixels(tmp_path: Path, value: float, compression: str | None) -> None:
    """NaN and infinite pixels are refused by file name, in images and masks."""
    pixels = FLOATS.copy()
    pixels[3, 4] = value
    (tmp_path / "a.tif").write_bytes(tiff(pixels, compression=compression))
    with pytest.raises(ValueError, match=r"a\.tif: 1 of 1961 pixels are NaN.*numpy.nan_to_num"):
        read_image(tmp_path / "a.tif", pixel_size=0.1)
    for reader in (read_labels, read_objects):
        with pytest.raises(ValueError, match=r"a\.tif: fractions or NaN in a mask.*Export"):
            reader(tmp_path / "a.tif")


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), MemoryError()])
def test_errors_of_the_machine_are_not_blamed_on_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A file that may not be read, or is larger than memory, is not called damaged."""
    (tmp_path / "a.png").write_bytes(png(BYTES))

    def fail(_: bytes) -> None:
        raise error

    monkeypatch.setattr(imagecodecs, "png_decode", fail)
    with pytest.raises(type(error)):
        read_image(tmp_path / "a.png", pixel_size=0.1)


CUT = ["png 16", "png palette", "jpeg", "tif", "tif tiles", "tif rgb tiles", "tif lzw strips"]


@same_folder
@given(data=st.data(), kind=st.sampled_from(CUT))
def test_no_cut_goes_unnoticed(tmp_path: Path, data: st.DataObject, kind: str) -> None:
    """Wherever a file is cut, its pixels are all there or there is an error that names it."""
    name, content, expected = FORMATS[kind]
    (tmp_path / name).write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    try:
        pixels = read_image(tmp_path / name, pixel_size=0.1).pixels
    except ValueError as error:
        assert str(error).startswith(f"{tmp_path / name}: ")
    else:
        np.testing.assert_allclose(pixels, expected, rtol=1e-6)


@same_folder
@given(data=st.data(), kind=st.sampled_from(["png 16", "png palette", "jpeg"]))
@pytest.mark.parametrize("reader", ["image", "labels"])
def test_damage_raises_nothing_else(
    tmp_path: Path, data: st.DataObject, kind: str, reader: str
) -> None:
    """Whichever byte of a file is wrong, no other error than ours comes out."""
    name, content, _ = FORMATS[kind]
    place = data.draw(st.integers(0, len(content) - 1))
    (tmp_path / name).write_bytes(spoil(content, place, data.draw(st.integers(1, 4))))
    try:
        with warnings.catch_warnings(action="ignore"):
            READERS[reader](tmp_path / name)
    except ValueError as error:
        assert str(error).startswith(f"{tmp_path / name}: ")


# Reading labels


def save_mask(path: Path, array: np.ndarray) -> Path:
    """Write a mask as someone else's program would."""
    path.write_bytes(tiff(array) if path.suffix == ".tif" else png(array))
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    ("name", "stored", "expected"),
    [
        ("a", [0, 127, 255], [0, 1, 2]),
        ("a", [126, 128, 255], [1, 1, 2]),
        ("a_seg-axonmyelin-manual", [0, 127, 255], [0, 1, 2]),
        ("a_seg-axon-manual", [0, 255, 255], [0, 2, 2]),
        ("a_seg-axon", [0, 1, 1], [0, 2, 2]),
        ("a_seg-myelin-manual", [0, 255, 255], [0, 1, 1]),
        ("a_seg-uaxon-manual", [0, 255, 255], [0, 3, 3]),
        ("a_seg-uaxon", [0, 0, 0], [0, 0, 0]),
        ("a", [0, 1, 2], [0, 1, 2]),
        ("a", [3, 2, 255], [3, 2, 255]),
        ("a", [0, 0, 0], [0, 0, 0]),
    ],
)
def test_mask_conventions(
    tmp_path: Path, suffix: str, name: str, stored: list[int], expected: list[int]
) -> None:
    """AxonDeepSeg's values, its separate masks and class ids are told apart."""
    path = save_mask(tmp_path / f"{name}{suffix}", np.array([stored], np.uint8))
    labels = read_labels(path)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [expected]


@pytest.mark.parametrize(("value", "name", "class_id"), [(255, "axon", 2), (1, "myelin", 1)])
def test_mask_of_one_value(tmp_path: Path, value: int, name: str, class_id: int) -> None:
    """A mask of one class that nothing names is read with a warning how to name it."""
    path = save_mask(tmp_path / "x_mask.tif", np.array([[0, value]], np.uint8))
    with pytest.warns(UserWarning, match=rf"read as {name}.*values={{{value}: 'myelin'}}"):
        assert read_labels(path).tolist() == [[0, class_id]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_labels(path, values={value: "myelin"}).tolist() == [[0, 1]]


CLASS_VALUES = np.array([0, 127, 255], np.uint8)[BYTES // 86]


@pytest.mark.parametrize(
    "array",
    [
        with_alpha(CLASS_VALUES),
        np.stack([CLASS_VALUES] * 3, -1),
        with_alpha(np.stack([CLASS_VALUES] * 3, -1)),
        CLASS_VALUES.astype(np.uint16),
    ],
    ids=["LA", "RGB", "RGBA", "16 bit"],
)
def test_masks_in_any_depth(tmp_path: Path, array: np.ndarray) -> None:
    """A mask saved with alpha, in colour or in 16 bits is the same mask."""
    np.testing.assert_array_equal(read_labels(save_mask(tmp_path / "a.png", array)), BYTES // 86)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint32])
def test_masks_of_any_number_type(tmp_path: Path, dtype: type) -> None:
    """Whole numbers count as such, whatever they are stored as."""
    path = save_mask(tmp_path / "a.tif", np.array([[0, 127, 255]]).astype(dtype))
    assert read_labels(path).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_one_bit_masks(tmp_path: Path, kind: str) -> None:
    """A mask of one bit a pixel, named by its class, is that class where it is set."""
    path = tmp_path / f"a_seg-myelin.{kind[:3].lower()}"
    path.write_bytes(pillow(Image.fromarray(BYTES > 99), kind))
    np.testing.assert_array_equal(read_labels(path), (BYTES > 99) * CLASSES["myelin"])


def test_masks_are_read_as_stored(tmp_path: Path) -> None:
    """An inverted grey scale or a palette changes how a mask looks, not what it says."""
    mask = (BYTES > 99).astype(np.uint8) * 255
    inverted, coloured = tmp_path / "a_seg-axon.tif", tmp_path / "b_seg-axon.tif"
    inverted.write_bytes(tiff(mask, photometric="miniswhite"))
    np.testing.assert_array_equal(read_labels(inverted), (BYTES > 99) * 2)
    colours = np.zeros((3, 256), np.uint16)
    coloured.write_bytes(tiff(mask, photometric="palette", colormap=colours))
    np.testing.assert_array_equal(read_labels(coloured), (BYTES > 99) * 2)


def test_indexed_masks_of_others(tmp_path: Path) -> None:
    """Indices of a colour palette are class ids; a palette of greys is only a way to save space."""
    indices = np.array([[0, 1, 2]], np.uint8)
    (tmp_path / "a.png").write_bytes(palette_png(indices, [0, 0, 0, 255, 0, 0, 0, 0, 255]))
    assert read_labels(tmp_path / "a.png").tolist() == [[0, 1, 2]]
    (tmp_path / "b.png").write_bytes(palette_png(indices, [255, 255, 255, 0, 0, 0, 127, 127, 127]))
    assert read_labels(tmp_path / "b.png").tolist() == [[2, 0, 1]]


def test_labels_from_ome_zarr(tmp_path: Path) -> None:
    """Masks can lie in an OME-Zarr too."""
    path = ome_zarr(tmp_path / "a.zarr", np.array([[0, 127, 255]], np.uint8), "yx")
    assert read_labels(path).tolist() == [[0, 1, 2]]


def test_several_masks_of_one_image(tmp_path: Path) -> None:
    """Masks are laid over each other, the later one wins where they overlap."""
    both = save_mask(tmp_path / "a_seg-axonmyelin.png", np.array([[0, 127, 255, 255]], np.uint8))
    uaxon = save_mask(tmp_path / "a_seg-uaxon.png", np.array([[255, 0, 0, 255]], np.uint8))
    assert read_labels(both, uaxon).tolist() == [[3, 1, 2, 3]]
    assert read_labels(uaxon, both).tolist() == [[3, 1, 2, 2]]


def test_the_caller_says_what_values_mean(tmp_path: Path) -> None:
    """With `values` any convention can be read, and class names are checked."""
    path = save_mask(tmp_path / "a.tif", np.array([[0, 7, 300]], np.uint16))
    meaning = {7: "myelin", 300: "unmyelinated axon"}
    assert read_labels(path, values=meaning).tolist() == [[0, 1, 3]]
    with pytest.raises(ValueError, match=r"Unknown classes \['dendrite'\].*known are.*'axon'"):
        read_labels(path, values={7: "dendrite"})


def test_masks_of_different_shape(tmp_path: Path) -> None:
    """Masks of one image that differ in shape are refused with both shapes."""
    one = save_mask(tmp_path / "a_seg-axon.png", np.zeros((4, 5), np.uint8))
    two = save_mask(tmp_path / "a_seg-myelin.png", np.zeros((5, 4), np.uint8))
    with pytest.raises(
        ValueError, match=r"myelin\.png: .*\(5, 4\).*axon\.png has \(4, 5\)\. Masks"
    ):
        read_labels(one, two)


def test_unexpected_values(tmp_path: Path) -> None:
    """A mask of unexpected values is refused with the values, their numbers and what to do."""
    path = save_mask(tmp_path / "a.png", np.array([[0, 0, 90, 255]], np.uint8))
    with pytest.raises(ValueError, match=r"a\.png: .*0 \(2 px\), 90 \(1 px\).*Say what.*values=\{"):
        read_labels(path)


def test_micrograph_passed_as_mask(tmp_path: Path) -> None:
    """A grey picture is no mask, and the message stays short."""
    path = save_mask(tmp_path / "a.png", BYTES)
    with pytest.raises(ValueError, match=r"a\.png: found the values .*, …; expected") as error:
        read_labels(path)
    assert len(str(error.value)) < 600


def test_overlay_passed_as_mask(tmp_path: Path) -> None:
    """A picture in colours is no mask."""
    path = save_mask(tmp_path / "a.png", RGB)
    for reader in (read_labels, read_objects):
        with pytest.raises(ValueError, match=r"a\.png: a colour picture.*Export the mask itself"):
            reader(path)


def test_few_strays_are_unlabelled(tmp_path: Path) -> None:
    """Few meaningless pixels warn, at the line that reads, and become unlabelled."""
    mask = np.zeros((100, 100), np.uint8)
    mask[50:] = 255
    mask[0, :10] = [1, 2, 3, 9, 100, 129, 130, 200, 233, 254]
    path = save_mask(tmp_path / "a.png", mask)
    with pytest.warns(
        UserWarning, match=r"a\.png: 10 pixels .* 1, 2, 3, 9, .*unlabelled"
    ) as caught:
        labels = read_labels(path)
    assert caught[0].filename == __file__
    assert (labels[0, :10] == UNLABELLED).all()
    np.testing.assert_array_equal(np.bincount(labels.ravel())[[0, 2, 255]], [4990, 5000, 10])
    mask[0, 10] = 77
    with pytest.raises(ValueError, match=r"a\.png: found the values"):
        read_labels(save_mask(path, mask))


# Reading objects


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.array([[-1, 5]], np.int32), "from -1 to 5.*Renumber"),
        (np.array([[0, 2**31]], np.uint32), "from 0 to 2147483648.*Renumber"),
        (np.array([[0.5, 1]], np.float32), "fractions or NaN in a mask.*Export"),
    ],
)
def test_bad_object_ids(tmp_path: Path, array: np.ndarray, found: str) -> None:
    """Ids that are negative, too large or fractions are refused."""
    path = save_mask(tmp_path / "a.tif", array)
    with pytest.raises(ValueError, match=rf"a\.tif: .*{found}"):
        read_objects(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32])
def test_objects_of_any_type(tmp_path: Path, dtype: type) -> None:
    """Object images of other programs become int32."""
    objects = np.array([[0, 7, 200]]).astype(dtype)
    read = read_objects(save_mask(tmp_path / "a.tif", objects))
    assert read.dtype == np.int32
    np.testing.assert_array_equal(read, objects)


# Writing


@same_folder
@given(labels=LABELS, suffix=st.sampled_from([".png", ".tif", ".tiff", ".PNG"]))
def test_labels_come_back(tmp_path: Path, labels: np.ndarray, suffix: str) -> None:
    """Any labels written are read back as they were, even where only 0 and 255 occur."""
    path = write_labels(tmp_path / f"a{suffix}", labels, overwrite=True)
    np.testing.assert_array_equal(read_labels(path), labels)


@same_folder
@given(labels=LABELS)
def test_label_png_holds_ids(tmp_path: Path, labels: np.ndarray) -> None:
    """The indices of a label PNG are the class ids, and viewers show them in distinct colours."""
    path = write_labels(tmp_path / "a.png", labels, overwrite=True)
    with Image.open(path) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), labels)
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) == len(np.unique(labels))


@same_folder
@given(labels=LABELS)
def test_label_tiff_holds_ids(tmp_path: Path, labels: np.ndarray) -> None:
    """The values of a label TIFF are the class ids, for any other program too."""
    path = write_labels(tmp_path / "a.tif", labels, overwrite=True)
    np.testing.assert_array_equal(tifffile.imread(path).reshape(labels.shape), labels)


@same_folder
@given(labels=LABELS)
def test_masks_come_back(tmp_path: Path, labels: np.ndarray) -> None:
    """AxonDeepSeg's masks together say what the labels said, and each says its own class."""
    labels = np.where(labels == UNLABELLED, 0, labels).astype(np.uint8)
    paths = write_masks(tmp_path / "a", labels, overwrite=True)
    both, axon, myelin, *uaxon = paths
    assert [p.name for p in paths] == [
        f"a_seg-{s}.png" for s in ("axonmyelin", "axon", "myelin", "uaxon")[: len(paths)]
    ]
    np.testing.assert_array_equal(read_labels(both, *uaxon), labels)
    np.testing.assert_array_equal(read_labels(axon, myelin, *uaxon), labels)
    values = {int(v) for p in paths for v in np.unique(imagecodecs.imread(p))}
    assert values <= {0, 127, 255}


def test_no_mask_of_old_labels_survives(tmp_path: Path) -> None:
    """New masks without unmyelinated axons do not leave an old mask of them beside."""
    write_masks(tmp_path / "a", np.array([[0, 1, 2, 3]], np.uint8))
    *_, uaxon = write_masks(tmp_path / "a", np.array([[0, 1, 2, 0]], np.uint8), overwrite=True)
    assert uaxon.name == "a_seg-uaxon.png"
    assert not read_labels(uaxon).any()


def test_masks_cannot_say_unlabelled(tmp_path: Path) -> None:
    """Unlabelled pixels are refused, with a way out, and nothing is written."""
    with pytest.raises(ValueError, match=r"a: 1 pixels are unlabelled.*write_labels"):
        write_masks(tmp_path / "a", IDS[None])
    assert not list(tmp_path.iterdir())


def test_masks_are_not_half_overwritten(tmp_path: Path) -> None:
    """One mask that exists keeps the others from being written."""
    (tmp_path / "a_seg-myelin.png").touch()
    with pytest.raises(FileExistsError, match=r"a_seg-myelin\.png exists\. Pass overwrite=True"):
        write_masks(tmp_path / "a", np.zeros((2, 2), np.uint8))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[0, 4]], np.uint8), r"unknown ids \[4\]; expected uint8"),
        (np.array([[0, 1]]), "labels of type int64 .*expected uint8"),
        (np.zeros((2, 3, 4), np.uint8), r"\(2, 3, 4\), expected one plane"),
        (np.zeros((0, 4), np.uint8), "no pixels"),
    ],
)
@pytest.mark.parametrize("write", [write_labels, write_masks])
def test_bad_labels_are_not_written(
    tmp_path: Path, write: Callable[..., object], labels: np.ndarray, message: str
) -> None:
    """Labels that could not be read again are refused before a file is touched."""
    with pytest.raises(ValueError, match=rf"a\.png: .*{message}"):
        write(tmp_path / "a.png", labels)
    assert not list(tmp_path.iterdir())


@same_folder
@given(
    objects=hnp.arrays(
        np.int32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, 2**31 - 1),
    ),
    size=st.floats(0.001, 9.99),
)
def test_objects_come_back(tmp_path: Path, objects: np.ndarray, size: float) -> None:
    """More than 65,535 objects survive, and their pixel size is in the file."""
    path = write_objects(tmp_path / "a.tif", objects, pixel_size=size, overwrite=True)
    np.testing.assert_array_equal(read_objects(path), objects)
    assert read_image(path).pixel_size == pytest.approx(size, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "objects", "size", "message"),
    [
        ("a.tif", np.array([[-1]]), 0.1, "from -1 to -1.*Renumber"),
        ("a.tif", np.array([[2**31]]), 0.1, "2147483648.*Renumber"),
        ("a.tif", np.array([[0.5]]), 0.1, "float64. Pass whole numbers"),
        ("a.tif", np.array([1]), 0.1, "expected one plane"),
        ("a.tif", np.array([[1]]), 0, "outside"),
        ("a.png", np.array([[1]]), 0.1, "Change the suffix"),
    ],
)
def test_bad_objects_are_not_written(
    tmp_path: Path, name: str, objects: np.ndarray, size: float, message: str
) -> None:
    """Objects that would change on the way are refused before a file is touched."""
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        write_objects(tmp_path / name, objects, pixel_size=size)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pixels", [BYTES, RGB, BYTES[::-2, ::3], np.asfortranarray(RGB)])
def test_images_come_back(tmp_path: Path, pixels: np.ndarray) -> None:
    """A picture is read by others as it was written, whatever its memory layout."""
    with Image.open(write_image(tmp_path / "a.png", pixels)) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize(
    ("name", "pixels", "message"),
    [
        ("a.png", FLOATS, "float32.*Pass uint8"),
        ("a.png", with_alpha(BYTES), "(37, 53, 2).*Pass uint8"),
        ("a.png", BYTES[:0], "(0, 53).*Pass uint8"),
        ("a.jpg", BYTES, "Change the suffix"),
    ],
)
def test_bad_pictures_are_not_written(
    tmp_path: Path, name: str, pixels: np.ndarray, message: str
) -> None:
    """Pictures that PNG would not hold as they are are refused by name."""
    with pytest.raises(ValueError, match=f"{name}: ") as error:
        write_image(tmp_path / name, pixels)
    for part in message.split(".*"):
        assert part in str(error.value)
    assert not list(tmp_path.iterdir())


def test_labels_need_a_known_suffix(tmp_path: Path) -> None:
    """Labels are never written with loss."""
    with pytest.raises(ValueError, match=r"a\.jpg: labels are written as \.png or \.tif\. Change"):
        write_labels(tmp_path / "a.jpg", IDS[None])


def test_table_comes_back(tmp_path: Path) -> None:
    """A table is read back as it was, without an index."""
    table = pd.DataFrame({"axon_diameter_um": [0.1, 1 / 3], "note": ["é", "a,b"]})
    path = write_table(tmp_path / "deep" / "er" / "a.csv", table)
    pd.testing.assert_frame_equal(pd.read_csv(path), table)


def test_json_comes_back(tmp_path: Path) -> None:
    """A mapping is read back as it was, and is legible."""
    content = {"unit": "µm", "sizes": [0.1, 2], "more": {"a": None}}
    path = write_json(tmp_path / "a.json", content)
    assert json.loads(path.read_text(encoding="utf-8")) == content
    assert '  "unit": "µm"' in path.read_text(encoding="utf-8")


OBJECTS = np.array([[0, 70000]], np.int32)
WRITERS: dict[str, Callable[..., object]] = {
    "a.bin": lambda p, **k: write_bytes(p, b"new", **k),
    "a.json": lambda p, **k: write_json(p, {"new": 1}, **k),
    "a.csv": lambda p, **k: write_table(p, pd.DataFrame({"new": [1]}), **k),
    "a.png": lambda p, **k: write_image(p, BYTES, **k),
    "labels.png": lambda p, **k: write_labels(p, IDS[None], **k),
    "labels.tif": lambda p, **k: write_labels(p, IDS[None], **k),
    "objects.tif": lambda p, **k: write_objects(p, OBJECTS, pixel_size=0.1, **k),
    "a_seg-axonmyelin.png": lambda p, **k: write_masks(p.with_name("a"), BYTES % 3, **k),
}


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_is_overwritten_unasked(tmp_path: Path, name: str) -> None:
    """A file that exists stays, unless overwriting is asked for."""
    path = tmp_path / name
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError, match=f"{name} exists. Pass overwrite=True"):
        WRITERS[name](path)
    assert path.read_bytes() == b"old"
    WRITERS[name](path, overwrite=True)
    assert path.read_bytes() != b"old"


@pytest.mark.parametrize("step", ["replace", "fsync"])
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_failed_writes_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, step: str, *, exists: bool
) -> None:
    """When the disk is full the old file stays and no temporary file is left."""
    path = tmp_path / name
    if exists:
        path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        WRITERS[name](path, overwrite=True)
    assert list(tmp_path.iterdir()) == ([path] if exists else [])
    assert not exists or path.read_bytes() == b"old"


def test_an_interrupt_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping the kernel while it writes leaves no temporary file either."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "a", b"new")
    assert not list(tmp_path.iterdir())


def test_unwritable_content_leaves_no_trace(tmp_path: Path) -> None:
    """Content that cannot be encoded fails before the old file is touched."""
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()}, overwrite=True)
    assert (tmp_path / "a.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    """A file written is as readable for others as any other file of the user."""
    (tmp_path / "usual").touch()
    written = write_bytes(tmp_path / "a", b"new")
    assert written.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_run_folder_lies_beside_the_notebooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products land in one place, whether a notebook runs in its folder or in the root."""
    (tmp_path / "notebooks").mkdir()
    for folder in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(folder)
        assert run_folder("tour") == tmp_path / "runs" / "tour"


def test_import_is_cheap() -> None:
    """Importing io does not import what reading a file does not need."""
    code = "import sys, axonlab.io; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    heavy = {"torch", "fastai", "pandas", "matplotlib", "scipy", "skimage", "dask", "holoviews"}
    assert heavy & set(result.stdout.split()) == set()


# Real data


@pytest.fixture(scope="module")
def data() -> Path:
    """Return the folder of public data sets."""
    if "AXONLAB_DATA" not in os.environ:
        pytest.skip("AXONLAB_DATA does not name the folder of real data")
    return Path(os.environ["AXONLAB_DATA"])


@pytest.mark.parametrize(("name", "images"), [("rat-sem", 9), ("mouse-tem", 17)])
def test_real_images_have_the_pixel_size_of_their_sidecar(
    data: Path, name: str, images: int
) -> None:
    """The images of both BIDS data sets are read with the pixel size published for them."""
    paths = sorted((data / name).glob("sub-*/micr/*.png"))
    assert len(paths) >= images
    for path in paths:
        animal, *_, kind = path.stem.split("_")
        own, common = path.with_suffix(".json"), path.with_name(f"{animal}_{kind}.json")
        sidecar = own if own.exists() else common
        published = json.loads(sidecar.read_text())["PixelSize"]
        micrograph = read_image(path, region=np.s_[:9, :9])
        assert [micrograph.pixel_size] * 2 == published
        assert micrograph.pixel_size_source == sidecar.name


def test_real_mask_with_strays(data: Path) -> None:
    """The mask of sub-rat2 has nine pixels of 130 and 233: they are read as unlabelled."""
    folder = data / "rat-sem" / "derivatives" / "labels" / "sub-rat2" / "micr"
    path = next(folder.glob("*_seg-axonmyelin-manual.png"))
    with pytest.warns(UserWarning, match=r"9 pixels .*130, 233.* unlabelled"):
        labels = read_labels(path)
    stored = imagecodecs.imread(path)
    assert (labels == UNLABELLED).sum() == 9
    np.testing.assert_array_equal(labels == CLASSES["myelin"], stored == 128)
    np.testing.assert_array_equal(labels == CLASSES["axon"], stored == 255)


@pytest.mark.filterwarnings("ignore:.*meaningless")
def test_real_masks_agree(data: Path) -> None:
    """Separate masks say the same as the joint one, but for a few pixels."""
    joint = sorted(data.glob("*/derivatives/labels/sub-*/micr/*_seg-axonmyelin-manual.png"))
    assert len(joint) >= 20
    for path in joint[::4]:
        axon, myelin = (Path(str(path).replace("axonmyelin", c)) for c in ("axon", "myelin"))
        assert (read_labels(path) != read_labels(myelin, axon)).mean() < 0.01


@pytest.mark.parametrize(
    ("image", "samples"), [("sub-370_sample-0003", 2), ("sub-372_sample-0003", 3)]
)
def test_real_masks_with_samples(data: Path, image: str, samples: int) -> None:
    """Masks that were published with alpha or in colour are read like the grey ones."""
    folder = data / "mouse-tem" / "derivatives" / "labels" / image.split("_")[0] / "micr"
    path = next(folder.glob(f"{image}*_seg-uaxon-manual.png"))
    stored = imagecodecs.imread(path)
    assert stored.shape == (600, 600, samples)
    labels = read_labels(path)
    np.testing.assert_array_equal(labels, (stored[..., 0] == 255) * CLASSES["unmyelinated axon"])
    assert labels.any()


def test_real_tiff_needs_a_pixel_size(data: Path) -> None:
    """A raw section of drosophila-vnc carries no pixel size and is read with the caller's."""
    path = sorted((data / "drosophila-vnc").rglob("raw/*.tif"))[0]
    with pytest.raises(ValueError, match=r"no pixel size found\. Pass pixel_size="):
        read_image(path)
    micrograph = read_image(path, pixel_size=0.0046)
    assert micrograph.pixels.shape == (1024, 1024)
    np.testing.assert_array_equal(micrograph.pixels, tifffile.imread(path))
