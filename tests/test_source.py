"""Sources: every part of every kind of image is what the whole holds, and damage is a hole."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from axonlab import formats, io, machine, omezarr
from axonlab.source import Hole, _rectangles, as_records, from_records, join_holes, open_source

pytestmark = pytest.mark.filterwarnings("error")

RNG = np.random.default_rng(3)
SHAPE = (67, 93)
BYTES = RNG.integers(1, 256, SHAPE, np.uint8)
WORDS = RNG.integers(1, 65536, SHAPE, np.uint16)
FLOATS = RNG.normal(size=SHAPE).astype(np.float32)
RGB = RNG.integers(1, 256, (*SHAPE, 3), np.uint8)
RGBA = RNG.integers(1, 256, (*SHAPE, 4), np.uint8)
LABELS = RNG.choice(np.array([0, 1, 2, 3, 255], np.uint8), SHAPE)
WHOLE = np.s_[:, :]

Write = Callable[[Path], Path]


def tiff(array: np.ndarray, **options: Any) -> Write:
    """Return what writes a TIFF."""

    def write(folder: Path) -> Path:
        tifffile.imwrite(folder / "a.tif", array, **options)
        return folder / "a.tif"

    return write


def coded(name: str, encode: Callable[[np.ndarray], bytes], array: np.ndarray) -> Write:
    """Return what writes a PNG or JPEG."""

    def write(folder: Path) -> Path:
        (folder / name).write_bytes(encode(np.ascontiguousarray(array)))
        return folder / name

    return write


def plain(array: np.ndarray, version: int = 3, **options: Any) -> Write:
    """Return what writes a Zarr array without any metadata."""

    def write(folder: Path) -> Path:
        made = zarr.create_array(
            folder / "a.zarr",
            shape=array.shape,
            dtype=array.dtype,
            zarr_format=version,
            **{"chunks": (16, 32), **options},
        )
        made[...] = array
        return folder / "a.zarr"

    return write


def ome(array: np.ndarray, version: int = 3, axes: str = "yx", **options: Any) -> Write:
    """Return what writes an OME-Zarr, 0.4 or 0.5, of pixels of 0.1 µm."""

    def write(folder: Path) -> Path:
        group = zarr.open_group(folder / "a.ome.zarr", mode="w", zarr_format=version)
        chunks = tuple({"y": 16, "x": 32}.get(axis, 1) for axis in axes)
        level = group.create_array(
            "s0", shape=array.shape, dtype=array.dtype, **{"chunks": chunks, **options}
        )
        level[...] = array
        units = [{"unit": "micrometer"} if axis in "yx" else {} for axis in axes]
        named = [{"name": axis, **unit} for axis, unit in zip(axes, units, strict=True)]
        scale = [{"type": "scale", "scale": [0.1 if a in "yx" else 1.0 for a in axes]}]
        about = {"axes": named, "datasets": [{"path": "s0", "coordinateTransformations": scale}]}
        if version == 2:
            group.attrs["multiscales"] = [{"version": "0.4", **about}]
        else:
            group.attrs["ome"] = {"version": "0.5", "multiscales": [about]}
        return folder / "a.ome.zarr"

    return write


SHARDED = {"chunks": (8, 16), "shards": (32, 32)}
FLIPPED = np.moveaxis(RGB, -1, 0)

KINDS: dict[str, Write] = {
    "png": coded("a.png", imagecodecs.png_encode, BYTES),
    "png 16": coded("a.png", imagecodecs.png_encode, WORDS),
    "png rgba": coded("a.png", imagecodecs.png_encode, RGBA),
    "jpeg": coded("a.jpg", imagecodecs.jpeg8_encode, BYTES),
    "jpeg rgb": coded("a.jpg", imagecodecs.jpeg8_encode, RGB),
    "tif, mapped": tiff(WORDS),
    "tif, one strip": tiff(BYTES, compression="zlib", rowsperstrip=67),
    "tif, strips": tiff(WORDS, compression="zlib", rowsperstrip=7, predictor=True),
    "tif, tiles": tiff(BYTES, compression="zlib", tile=(16, 32)),
    "tif, tiles, white is 0": tiff(
        BYTES, compression="zlib", tile=(16, 32), photometric="miniswhite"
    ),
    "tif, palette": tiff(
        BYTES, photometric="palette", colormap=RNG.integers(0, 65536, (3, 256), np.uint16)
    ),
    "tif rgb, tiles": tiff(RGB, compression="zlib", tile=(16, 32), photometric="rgb"),
    "tif rgb, planes": tiff(
        FLIPPED, photometric="rgb", planarconfig="separate", compression="zlib", rowsperstrip=7
    ),
    "tif float, tiles": tiff(FLOATS, compression="zlib", tile=(16, 32)),
    "tif float64, big-endian": tiff(FLOATS.astype(float), byteorder=">", rowsperstrip=5),
    "tif 16, big-endian": tiff(WORDS, byteorder=">", rowsperstrip=5),
    "tif int16": tiff(WORDS.view(np.int16), rowsperstrip=5, compression="lzw"),
    "bigtiff": tiff(WORDS, bigtiff=True, tile=(16, 32), compression="zstd"),
    "ome-tiff": tiff(
        WORDS[None, None, None],
        ome=True,
        metadata={"axes": "TCZYX"},
        tile=(16, 32),
        compression="zlib",
    ),
    "zarr 2": plain(WORDS, 2),
    "zarr 3": plain(FLOATS),
    "zarr, sharded": plain(BYTES, **SHARDED),
    "ome-zarr 0.4": ome(BYTES, 2),
    "ome-zarr 0.5": ome(WORDS, 3),
    "ome-zarr, five axes": ome(WORDS[None, None, None], 2, "tczyx"),
    "ome-zarr, colours": ome(FLIPPED, 3, "cyx"),
    "ome-zarr, sharded": ome(BYTES, **SHARDED),
}


@pytest.fixture(params=KINDS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return an image of each kind."""
    return KINDS[request.param](tmp_path)


def read_all(source: Any) -> tuple[np.ndarray, list[Hole]]:
    """Return all of a source."""
    pixels, holes = source.read(WHOLE)
    return pixels, join_holes(holes)


def covered(holes: list[Hole], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return where holes are."""
    mask = np.zeros(shape, bool)
    for hole in holes:
        mask[hole.region] = True
    return mask


# Sound images


def test_every_kind_is_read_as_an_image(path: Path) -> None:
    """All of it, and odd parts of it, are exactly what `read_image` returns."""
    expected = io.read_image(path, pixel_size=0.1).pixels
    with open_source(path, pixel_size=0.1) as source:
        assert source.shape == SHAPE
        assert (source.name, source.pixel_size, source.pixel_size_source) == ("a", 0.1, "caller")
        for region in (WHOLE, np.s_[5:66, 31:33], np.s_[66:, :1], np.s_[:16, 64:90], np.s_[3:4, :]):
            pixels, holes = source.read(region)
            assert holes == []
            assert pixels.dtype == source.dtype
            np.testing.assert_array_equal(pixels, expected[region])
        assert 1 <= source.block[0] <= 67
        assert 1 <= source.block[1] <= 93


@pytest.mark.parametrize(
    ("kind", "dtype", "block"),
    [
        ("png", np.uint8, (1, 1)),
        ("tif, mapped", np.uint16, (1, 1)),
        ("tif, strips", np.uint16, (7, 93)),
        ("tif 16, big-endian", np.uint16, (1, 1)),
        ("tif rgb, planes", np.float32, (7, 93)),
        ("tif, palette", np.float32, (1, 1)),
        ("tif int16", np.float32, (5, 93)),
        ("ome-tiff", np.uint16, (16, 32)),
        ("ome-zarr, colours", np.float32, (16, 32)),
        ("ome-zarr, sharded", np.uint8, (8, 16)),
    ],
)
def test_types_and_blocks(tmp_path: Path, kind: str, dtype: type, block: tuple[int, int]) -> None:
    """Bytes and words stay what they are; blocks are what is stored together."""
    with open_source(KINDS[kind](tmp_path), pixel_size=0.1) as source:
        assert (source.dtype, source.block) == (dtype, block)


def test_pickled_sources_open_again(path: Path) -> None:
    """What a worker gets reads the same, wherever the worker runs, and files are closed."""
    with warnings.catch_warnings(action="ignore"):
        gc.collect()  # what other tests have left open shall not be told here
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = open_source(path, pixel_size=0.1)
        expected = read_all(source)[0]
        content = pickle.dumps(source)
        assert len(content) < 2000
        print_before = source.fingerprint
        source.close()
        with open_source(path, pixel_size=0.1):
            pass
        again = pickle.loads(content)
        np.testing.assert_array_equal(read_all(again)[0], expected)
        assert again.fingerprint == print_before
        assert (again.shape, again.dtype, again.pixel_size) == (SHAPE, source.dtype, 0.1)
        np.testing.assert_array_equal(read_all(source)[0], expected)
        del again, source
        gc.collect()
    assert [w for w in caught if issubclass(w.category, ResourceWarning)] == []


ARRAYS = {
    "bytes": BYTES,
    "rgb": RGB,
    "strided": WORDS[::-1, ::2],
    "int64": WORDS.astype(np.int64),
    "dask": da.from_array(WORDS, chunks=(20, 30)),
    "zarr": zarr.array(WORDS, chunks=(20, 30)),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_are_sources(kind: str) -> None:
    """Arrays of every kind are read, pickled and told apart by their values."""
    array = ARRAYS[kind]
    with open_source(array, pixel_size=0.2) as source:
        plane = np.asarray(array)
        expected = plane @ [0.299, 0.587, 0.114] if plane.ndim == 3 else plane
        pixels, holes = source.read(np.s_[7:50, 11:40])
        np.testing.assert_allclose(pixels, expected[7:50, 11:40], rtol=1e-6)
        assert (holes, source.name, source.pixel_size) == ([], "array", 0.2)
        again = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(again.read(np.s_[7:50, 11:40])[0], pixels)
        assert again.fingerprint == source.fingerprint
        other = plane.copy()
        other[30, 20] ^= 1
        assert open_source(other, pixel_size=0.2).fingerprint != source.fingerprint
        assert open_source(plane.copy(), pixel_size=0.2).fingerprint == source.fingerprint


def test_what_is_read_is_a_copy() -> None:
    """Changing what was read changes no source."""
    array = BYTES.copy()
    open_source(array, pixel_size=0.1).read(WHOLE)[0][:] = 0
    np.testing.assert_array_equal(array, BYTES)


def test_the_finest_level_of_axonlabs_own(tmp_path: Path) -> None:
    """What `omezarr` writes is read, images and labels."""
    image = omezarr.create_image(tmp_path / "a.zarr", SHAPE, np.uint16, pixel_size=0.3, tile=64)
    image[...] = WORDS
    labels = omezarr.create_labels(
        tmp_path / "a.zarr", "classes", SHAPE, np.uint8, pixel_size=0.3, tile=64
    )
    labels[...] = LABELS
    with open_source(tmp_path / "a.zarr") as source:
        assert (source.pixel_size, source.pixel_size_source) == (0.3, "tags of the image file")
        np.testing.assert_array_equal(read_all(source)[0], WORDS)
    with open_source(tmp_path / "a.zarr" / "labels" / "classes", as_labels=True) as source:
        assert (source.pixel_size, source.name) == (0.3, "classes")
        np.testing.assert_array_equal(read_all(source)[0], LABELS)


def test_images_beyond_two_to_the_31(tmp_path: Path) -> None:
    """Places beyond 2³¹ pixels are found."""
    shape = (60_000, 70_000)
    image = zarr.create_array(
        tmp_path / "a.zarr", shape=shape, chunks=(5000, 5000), dtype=np.uint8, fill_value=7
    )
    image[59_000:, 69_000:] = 9
    with open_source(tmp_path / "a.zarr", pixel_size=0.1) as source:
        pixels, holes = source.read(np.s_[59_998:, 69_997:])
        assert (pixels.shape, pixels.min(), holes) == ((2, 3), 9, [])
        _, holes = source.read(np.s_[54_999:55_001, 69_999:])
        assert holes == [Hole(np.s_[54_999:55_000, 69_999:70_000], "c/10/13: not stored")]


# Labels


@pytest.mark.parametrize(
    "write",
    [
        tiff(LABELS, compression="zlib", tile=(16, 32)),
        plain(LABELS, 2),
        plain(LABELS.astype(np.int32), **SHARDED),
        coded("a.png", imagecodecs.png_encode, LABELS),
        lambda folder: io.write_labels(folder / "a.png", LABELS),
        lambda folder: io.write_labels(folder / "a.tif", LABELS),
    ],
)
def test_labels_are_read_as_stored(tmp_path: Path, write: Write) -> None:
    """Class ids come out, whatever their type and colours."""
    with open_source(write(tmp_path), pixel_size=0.1, as_labels=True) as source:
        pixels, holes = source.read(np.s_[3:, 5:80])
        assert (source.dtype, holes) == (np.uint8, [])
        np.testing.assert_array_equal(pixels, LABELS[3:, 5:80])


def test_what_no_labels_hold_is_refused(tmp_path: Path) -> None:
    """Other values are named with their place, colours and fractions at once."""
    masks = np.where(LABELS == 1, 127, LABELS).astype(np.uint8)
    source = open_source(masks, pixel_size=0.1, as_labels=True)
    with pytest.raises(
        ValueError, match=r"array, rows 3 to 67, .*unknown ids \[127\].*read_labels"
    ):
        source.read(np.s_[3:, :])
    source = open_source(WORDS, pixel_size=0.1, as_labels=True)
    with pytest.raises(ValueError, match=r"values from \d+ to \d+, expected class ids"):
        source.read(WHOLE)
    for array in (FLOATS, RGB):
        with pytest.raises(ValueError, match="Export the mask itself"):
            open_source(array, pixel_size=0.1, as_labels=True)


def test_labels_may_leave_chunks_out(tmp_path: Path) -> None:
    """Chunks of background are not stored, and are no holes."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[40:, 50:] = 2
    with open_source(plain(labels)(tmp_path), pixel_size=0.1, as_labels=True) as source:
        pixels, holes = source.read(WHOLE)
    assert holes == []
    np.testing.assert_array_equal(pixels, labels)


@pytest.mark.parametrize("options", [{}, SHARDED])
def test_labels_that_are_lost(tmp_path: Path, options: dict[str, Any]) -> None:
    """Chunks of labels that are damaged, or of which only the name is left, are holes."""
    path = plain(LABELS, **options)(tmp_path)
    (path / "c/0/0").write_bytes(b"")
    (path / "c/1/1").write_bytes(b"\7" * 300)
    with open_source(path, pixel_size=0.1, as_labels=True) as source:
        pixels, holes = read_all(source)
    assert [h.reason.split(" (")[0] for h in holes] == ["c/0/0: an empty file", "c/1/1: damaged"]
    expected = np.where(covered(holes), 0, LABELS)
    np.testing.assert_array_equal(pixels, expected)


# Damage


def chunk_file(path: Path, key: str) -> Path:
    """Return the file of a chunk, of a plain Zarr or of an OME-Zarr."""
    return next(p for p in (path / key, path / "s0" / key) if p.exists())


ZARRS = {
    "zarr 2": (plain(BYTES, 2), "1.2", np.s_[16:32, 64:93]),
    "zarr 3": (plain(FLOATS), "c/4/0", np.s_[64:67, 0:32]),
    "ome-zarr 0.4": (ome(WORDS, 2), "0.0", np.s_[0:16, 0:32]),
    "ome-zarr 0.5": (ome(WORDS, 3), "c/2/1", np.s_[32:48, 32:64]),
    "colours": (ome(FLIPPED, 3, "cyx"), "c/1/2/1", np.s_[32:48, 32:64]),
    "sharded": (ome(BYTES, **SHARDED), "c/1/1", np.s_[32:64, 32:64]),
}


@pytest.mark.parametrize("damage", ["missing", "spoilt", "cut", "empty"])
@pytest.mark.parametrize("kind", ZARRS)
def test_a_chunk_is_a_hole(tmp_path: Path, kind: str, damage: str) -> None:
    """Missing and damaged chunks are named, are 0, and all the rest is read."""
    write, key, place = ZARRS[kind]
    path = write(tmp_path)
    expected = io.read_image(path, pixel_size=0.1).pixels
    with open_source(path, pixel_size=0.1) as source:
        before = source.fingerprint
    chunk = chunk_file(path, key)
    content = chunk.read_bytes()
    if damage == "missing":
        chunk.unlink()
    else:
        chunk.write_bytes(
            {"spoilt": b"\x07" * len(content), "cut": content[:9], "empty": b""}[damage]
        )
    expected[place] = 0
    with open_source(path, pixel_size=0.1) as source:
        assert source.fingerprint != before
        pixels, holes = read_all(source)
        np.testing.assert_array_equal(pixels, expected)
        (hole,) = holes
        prefix = "s0/" if (path / "s0").exists() else ""
        assert hole.region == place
        said = {"missing": "not stored", "empty": "an empty file"}.get(damage, "damaged (")
        assert f"{prefix}{key}" in hole.reason
        assert f": {said}" in hole.reason
        check_regions(source, expected, place)


def check_regions(source: Any, expected: np.ndarray, place: tuple[slice, slice]) -> None:
    """Check that holes are the same however the image is cut."""
    mask = np.zeros(SHAPE, bool)
    mask[place] = True
    holes = []
    for region in omezarr.tiles(SHAPE, 23):
        pixels, found = source.read(region)
        np.testing.assert_array_equal(pixels, expected[region])
        np.testing.assert_array_equal(covered(found)[region], mask[region])
        holes += found
    np.testing.assert_array_equal(covered(join_holes(holes)), mask)
    assert len(join_holes(holes)) == 1


def test_a_chunk_missing_in_a_shard(tmp_path: Path) -> None:
    """Parts of a shard that are empty are holes like chunks that are no files."""
    array = BYTES.copy()
    array[8:16, 16:32] = 0
    for i, where in enumerate(["start", "end"]):
        (tmp_path / where).mkdir()
        shards = zarr.codecs.ShardingCodec(
            chunk_shape=(8, 16), codecs=[zarr.codecs.BytesCodec()], index_location=where
        )
        image = zarr.create_array(
            tmp_path / where / "a.zarr",
            shape=SHAPE,
            dtype=np.uint8,
            chunks=(32, 32),
            serializer=shards,
            compressors=None,
        )
        image[...] = array
        with open_source(tmp_path / where / "a.zarr", pixel_size=0.1 + i) as source:
            pixels, holes = source.read(np.s_[3:, 5:])
        np.testing.assert_array_equal(pixels, array[3:, 5:])
        assert holes == [Hole(np.s_[8:16, 16:32], "c/0/0: not stored")]


def test_a_shard_with_a_damaged_chunk(tmp_path: Path) -> None:
    """Of a shard, the chunks that are sound are read."""
    path = plain(BYTES, **SHARDED)(tmp_path)
    shard = path / "c/0/1"
    content = bytearray(shard.read_bytes())
    index = np.frombuffer(content[-8 * 16 - 4 : -4], "<u8").reshape(4, 2, 2)
    start, length = index[2, 1]
    content[start : start + length] = b"\x05" * int(length)
    shard.write_bytes(bytes(content))
    expected = BYTES.copy()
    expected[16:24, 48:64] = 0
    with open_source(path, pixel_size=0.1) as source:
        pixels, (hole,) = read_all(source)
        check_regions(source, expected.astype(np.float32), hole.region)
    np.testing.assert_array_equal(pixels, expected)
    assert hole.region == np.s_[16:24, 48:64]
    assert hole.reason.startswith("c/0/1: damaged (")


def test_fill_values_are_no_pixels(tmp_path: Path) -> None:
    """What is not stored is 0, whatever the fill value."""
    path = plain(FLOATS, fill_value=np.nan)(tmp_path)
    (path / "c/1/1").unlink()
    with open_source(path, pixel_size=0.1) as source:
        pixels, holes = source.read(WHOLE)
    assert holes == [Hole(np.s_[16:32, 32:64], "c/1/1: not stored")]
    assert not pixels[16:32, 32:64].any()


def place_in_file(path: Path, index: int) -> tuple[int, int]:
    """Return where in a TIFF a strip or tile lies, and its length."""
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        return page.dataoffsets[index], page.databytecounts[index]


TIFFS = {
    "tiles": (tiff(BYTES, compression="zlib", tile=(16, 32)), 5, np.s_[16:32, 64:93], "tile 1, 2"),
    "strips": (tiff(WORDS, compression="zlib", rowsperstrip=7), 9, np.s_[63:67, 0:93], "strip 9"),
    "jpeg tiles": (
        tiff(BYTES, compression="jpeg", tile=(16, 32)),
        0,
        np.s_[0:16, 0:32],
        "tile 0, 0",
    ),
    "planes": (
        tiff(
            FLIPPED, photometric="rgb", planarconfig="separate", compression="zstd", tile=(16, 32)
        ),
        19,
        np.s_[16:32, 32:64],
        "tile 1, 1",
    ),
    "zstd": (tiff(FLOATS, compression="zstd", tile=(32, 32)), 4, np.s_[32:64, 32:64], "tile 1, 1"),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_a_spoilt_tile_is_a_hole(tmp_path: Path, kind: str) -> None:
    """Garbage in a strip or tile is named, is 0, and all the rest is read."""
    write, index, place, name = TIFFS[kind]
    path = write(tmp_path)
    expected = io.read_image(path, pixel_size=0.1).pixels
    start, length = place_in_file(path, index)
    content = bytearray(path.read_bytes())
    content[start : start + length] = b"\x07" * length
    path.write_bytes(bytes(content))
    expected[place] = 0
    with open_source(path, pixel_size=0.1) as source:
        pixels, (hole,) = read_all(source)
        np.testing.assert_array_equal(pixels, expected)
        assert hole.region == place
        assert hole.reason.startswith(f"{name}: damaged (")
        check_regions(source, expected, place)


def test_a_tiff_that_is_cut_short(tmp_path: Path) -> None:
    """Compressed tiles beyond the end of the file are holes, those before are read."""
    path = TIFFS["tiles"][0](tmp_path)
    start, _ = place_in_file(path, 12)
    path.write_bytes(path.read_bytes()[: start + 3])
    with open_source(path, pixel_size=0.1) as source:
        pixels, holes = read_all(source)
    np.testing.assert_array_equal(pixels[:64], BYTES[:64])
    assert not pixels[64:].any()
    assert [h.reason for h in holes] == [f"tile 4, {i}: cut off" for i in range(3)]


def test_a_tiff_with_tiles_left_out(tmp_path: Path) -> None:
    """Tiles that a sparse TIFF does not hold are holes."""
    tiles = (b"" if i % 3 == 0 else imagecodecs.zlib_encode(BYTES[:16, :32]) for i in range(15))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, tiles, shape=SHAPE, dtype=np.uint8, tile=(16, 32), compression="zlib")
    with open_source(path, pixel_size=0.1) as source:
        pixels, holes = read_all(source)
    assert [h.region for h in holes] == [np.s_[a : min(a + 16, 67), 0:32] for a in range(0, 67, 16)]
    assert not pixels[covered(holes)].any()
    np.testing.assert_array_equal(pixels[16:32, 32:64], BYTES[:16, :32])


@pytest.mark.parametrize("write", [tiff, plain])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_a_hole(tmp_path: Path, write: Callable[..., Write], value: float) -> None:
    """Pixels that are no numbers are holes of exactly their shape."""
    array = FLOATS.copy()
    array[10:40, 20:33] = array[12, 50] = array[40:50, 25:33] = value
    with open_source(write(array)(tmp_path), pixel_size=0.1) as source:
        pixels, holes = source.read(WHOLE)
        np.testing.assert_array_equal(covered(holes), ~np.isfinite(array))
        np.testing.assert_array_equal(pixels, np.where(np.isfinite(array), array, 0))
        assert {h.reason for h in holes} == {"NaN or infinite"}
        assert len(holes) == 3
        _, part = source.read(np.s_[12:13, 30:])
        assert [h.region for h in part] == [np.s_[12:13, 30:33], np.s_[12:13, 50:51]]


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_rectangles_cover_what_is_true(mask: np.ndarray) -> None:
    """Every pixel that is true lies in one rectangle, no other does."""
    count = np.zeros(mask.shape, int)
    for region in _rectangles(mask):
        count[region] += 1
    np.testing.assert_array_equal(count, mask)


@given(mask=hnp.arrays(bool, (9, 13)), tile=st.integers(1, 14))
def test_joined_holes_cover_the_same(mask: np.ndarray, tile: int) -> None:
    """Joining changes nothing but how many there are, and a rectangle becomes one again."""
    holes = [
        Hole(
            (
                slice(r.start + a.start, r.start + a.stop),
                slice(c.start + b.start, c.start + b.stop),
            ),
            "x",
        )
        for r, c in omezarr.tiles(mask.shape, tile)
        for a, b in _rectangles(mask[r, c])
    ]
    joined = join_holes(holes)
    np.testing.assert_array_equal(covered(joined, mask.shape), mask)
    assert len(joined) <= len(holes)
    assert len(join_holes([Hole(region, "y") for region in omezarr.tiles((9, 13), tile)])) == 1
    assert from_records(as_records(joined)) == joined


def test_holes_of_other_reasons_stay_apart() -> None:
    """What is joined has one reason."""
    holes = [Hole(np.s_[0:4, 0:4], "a"), Hole(np.s_[0:4, 4:8], "b")]
    assert join_holes(holes) == holes


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    data=st.data(), kind=st.sampled_from(["tif, strips", "tif, tiles", "zarr 2", "zarr, sharded"])
)
def test_damage_anywhere_raises_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    """Whichever bytes are wrong, the image is refused by name, or read with no other error."""
    path = KINDS[kind](tmp_path_factory.mktemp("spoilt"))
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    file = data.draw(st.sampled_from(files))
    content = bytearray(file.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + data.draw(st.integers(1, 30))] = b"\xff" * 5
    file.write_bytes(bytes(content))
    with warnings.catch_warnings(action="ignore"):
        try:
            with open_source(path, pixel_size=0.1) as source:
                pixels, holes = source.read(np.s_[: source.shape[0], :93])
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
        else:
            assert not pixels[covered(holes, pixels.shape)].any()


# Errors of the machine, and others


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(errno.ESTALE, "stale"), OSError(errno.EMFILE, "")]
)
def test_errors_of_the_machine_are_no_holes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Where memory or the network fail, nothing is recorded as a hole."""

    def fail(*_: object) -> None:
        raise error

    with open_source(plain(BYTES)(tmp_path), pixel_size=0.1) as source:
        monkeypatch.setattr("axonlab.plane.Plane.read", fail)
        with pytest.raises(type(error)):
            source.read(WHOLE)


def test_a_bad_sector_is_a_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that the disk cannot read is one that cannot be read."""
    with open_source(plain(BYTES)(tmp_path), pixel_size=0.1) as source:
        get = zarr.storage.LocalStore.get

        async def fail(self: Any, key: str, *others: Any, **more: Any) -> Any:
            if key.endswith("c/1/1"):
                raise OSError(errno.EIO, "Input/output error")
            return await get(self, key, *others, **more)

        monkeypatch.setattr(zarr.storage.LocalStore, "get", fail)
        pixels, (hole,) = source.read(WHOLE)
    assert hole.region == np.s_[16:32, 32:64]
    assert "c/1/1: damaged (OSError" in hole.reason
    np.testing.assert_array_equal(pixels[32:], BYTES[32:])


def test_a_disk_that_is_gone_is_no_hole(tmp_path: Path) -> None:
    """An image that vanishes is an error, not one large hole."""
    path = plain(BYTES)(tmp_path)
    with open_source(path, pixel_size=0.1) as source:
        path.rename(tmp_path / "moved.zarr")
        with pytest.raises(FileNotFoundError, match="no such file"):
            source.read(WHOLE)


@pytest.mark.parametrize("region", [np.s_[5:5, :], np.s_[80:90, :], np.s_[:, 93:]])
def test_regions_outside_are_refused(region: tuple[slice, slice]) -> None:
    """A region without pixels is an error that tells the size."""
    with pytest.raises(ValueError, match=r"found no pixels .* 67 rows and 93 columns.*Check"):
        open_source(BYTES, pixel_size=0.1).read(region)


def test_pixel_sizes_are_never_guessed(tmp_path: Path) -> None:
    """The caller wins; none, and one that is not square, are errors; a sidecar counts."""
    with pytest.raises(ValueError, match=r"array has no pixel size: pass pixel_size=\.\.\."):
        open_source(BYTES)
    path = KINDS["tif, tiles"](tmp_path)
    with pytest.raises(ValueError, match=r"no pixel size found\. Pass pixel_size=\.\.\."):
        open_source(path)
    io.write_json(tmp_path / "a.json", {"PixelSize": [0.4, 0.4]})
    with open_source(path) as source:
        assert (source.pixel_size, source.pixel_size_source) == (0.4, "a.json")
    io.write_json(tmp_path / "a.json", {"PixelSize": [0.4, 0.5]}, overwrite=True)
    with pytest.raises(ValueError, match="not square"):
        open_source(path)
    with open_source(path, pixel_size=0.2) as source:
        assert source.pixel_size == 0.2
    with pytest.raises(ValueError, match="outside"):
        open_source(path, pixel_size=0)
    (tmp_path / "a.json").unlink()
    with open_source(ome(BYTES)(tmp_path)) as source:
        assert source.pixel_size == 0.1


def test_what_is_no_source(tmp_path: Path) -> None:
    """Stacks, files that are none, folders and other things are refused by name."""
    for array in (np.zeros((5, 6, 7)), np.zeros(5), np.zeros((2, 5, 6, 3)), np.zeros((0, 5))):
        with pytest.raises(ValueError, match=r"array: .*shape"):
            open_source(array, pixel_size=0.1)
    with pytest.raises(ValueError, match="2 planes along axis C"):
        open_source(ome(np.stack([BYTES] * 2), 3, "cyx")(tmp_path))
    with pytest.raises(TypeError, match="A list: expected the path"):
        open_source([[1]], pixel_size=0.1)
    with pytest.raises(FileNotFoundError, match="no such file"):
        open_source(tmp_path / "gone.tif")
    with pytest.raises(IsADirectoryError, match="a folder"):
        open_source(tmp_path)
    (tmp_path / "a.txt").write_text("some words")
    with pytest.raises(ValueError, match=r"a\.txt: not an image"):
        open_source(str(tmp_path / "a.txt"))


def test_unknown_compression(tmp_path: Path) -> None:
    """A TIFF that nobody here can decode is refused at once, and not read as holes."""
    path = KINDS["tif, tiles"](tmp_path)
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags["Compression"].overwrite(60123)
    with pytest.raises(ValueError, match=r"its compression 60123 is unknown.*Export it again"):
        open_source(path, pixel_size=0.1)


@pytest.mark.parametrize("kind", ["png", "png rgba", "jpeg", "jpeg rgb", "tif, one strip"])
def test_what_does_not_fit_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Images that are decoded as a whole are refused before, when that would not fit."""
    path = KINDS[kind](tmp_path)
    samples = {"png rgba": 4, "jpeg rgb": 3}.get(kind, 1)
    monkeypatch.setattr(machine, "memory_free", lambda: 67 * 93 * samples - 1)
    for reader in (open_source, io.read_image):
        with pytest.raises(ValueError, match=r"cannot be read in parts.*Export it as tiled TIFF"):
            reader(path, pixel_size=0.1)
    monkeypatch.setattr(machine, "memory_free", lambda: 67 * 93 * samples)
    formats.read_plane(path)


@pytest.mark.parametrize("kind", ["tif, tiles", "ome-zarr 0.5", "png"])
def test_fingerprints(tmp_path: Path, kind: str) -> None:
    """A file that is written again is another one, a chunk alone suffices."""
    path = KINDS[kind](tmp_path)
    source = open_source(path, pixel_size=0.1)
    before = source.fingerprint
    assert re.fullmatch("[0-9a-f]{64}", before)
    assert open_source(str(path), pixel_size=0.2).fingerprint == before
    file = path if path.is_file() else path / "s0/c/1/1"
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert source.fingerprint != before
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert source.fingerprint == before
    file.write_bytes(file.read_bytes() + b"\0")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert source.fingerprint != before


@pytest.mark.parametrize("name", ["rat-sem", "mouse-tem"])
def test_real_images(data_folder: Path, name: str) -> None:
    """Parts of real images are those of the whole."""
    path = sorted((data_folder / name).glob("sub-*/**/*_?EM.*[gf]"))[0]
    whole = io.read_image(path)
    with open_source(path) as source:
        pixels, holes = source.read(np.s_[100:333, 17:])
    np.testing.assert_array_equal(pixels, whole.pixels[100:333, 17:])
    assert (source.pixel_size, holes) == (whole.pixel_size, [])
