"""Conversion: what comes out holds what went in, whole or not at all, in little memory."""

from __future__ import annotations

import errno
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from axonlab import convert as module
from axonlab import io, omezarr
from axonlab.convert import convert
from axonlab.source import Hole, open_source

pytestmark = pytest.mark.filterwarnings("error")

RNG = np.random.default_rng(5)
SHAPE = (700, 1100)
BYTES = RNG.integers(0, 16, SHAPE, np.uint8)
WORDS = RNG.integers(0, 65536, SHAPE, np.uint16)
FLOATS = RNG.normal(size=SHAPE).astype(np.float32)
RGB = RNG.integers(0, 256, (*SHAPE, 3), np.uint8)

TIFFS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "bigtiff": (WORDS, {"bigtiff": True, "tile": (256, 256), "compression": "zlib"}),
    "strips": (BYTES, {"compression": "lzw", "rowsperstrip": 16}),
    "mapped": (BYTES, {}),
    "float": (FLOATS, {"tile": (128, 128), "compression": "zstd"}),
    "rgb": (RGB, {"photometric": "rgb", "tile": (128, 128), "compression": "zlib"}),
    "ome": (WORDS[None, None], {"ome": True, "metadata": {"axes": "CZYX"}, "tile": (64, 64)}),
}


def write_tiff(path: Path, array: np.ndarray = WORDS, **options: Any) -> Path:
    """Write a TIFF."""
    tifffile.imwrite(path, array, **options)
    return path


def halved(plane: np.ndarray) -> np.ndarray:
    """Return means of two by two, by brute force; the edge is repeated."""
    height, width = (-(-n // 2) for n in plane.shape)
    rows = np.minimum(np.arange(2 * height), plane.shape[0] - 1)
    columns = np.minimum(np.arange(2 * width), plane.shape[1] - 1)
    full = plane[rows][:, columns].astype(np.float64)
    mean = full.reshape(height, 2, width, 2).mean((1, 3))
    return mean if plane.dtype.kind == "f" else np.rint(mean)


@pytest.mark.parametrize("kind", TIFFS)
def test_values_and_pixel_size_are_kept(tmp_path: Path, kind: str) -> None:
    """The OME-Zarr holds exactly what is read of the image, at every level."""
    array, options = TIFFS[kind]
    path = write_tiff(
        tmp_path / "a.ome.tif" if kind == "ome" else tmp_path / "a.tif", array, **options
    )
    told: list[float] = []
    made = tmp_path / "new folder" / "a.ome.zarr"
    assert convert(path, made, pixel_size=0.13, tile=256, tell=told.append) == []
    expected = io.read_image(path, pixel_size=0.13)
    image = io.read_image(made)
    assert (image.pixel_size, image.name) == (0.13, "a")
    np.testing.assert_array_equal(image.pixels, expected.pixels)
    levels = [np.asarray(level[...]) for level in omezarr.open_levels(made)]
    assert levels[0].dtype == (array.dtype if array.dtype.kind == "u" and kind != "rgb" else "f4")
    assert [level.shape for level in levels] == omezarr.level_shapes(SHAPE)
    for fine, coarse in pairwise(levels):
        np.testing.assert_allclose(coarse, halved(fine), rtol=1e-6, atol=1e-6)
    assert told == sorted(told)
    assert told[-1] == 1
    assert len(told) > 15
    assert sorted(p.name for p in tmp_path.rglob("*.*") if made not in p.parents) == sorted(
        [path.name, made.name]
    )
    with open_source(made) as source:
        assert source.read(np.s_[:, :])[1] == []


@settings(max_examples=8)
@given(tile=st.integers(90, 900), fit=st.integers(1, 1 << 21))
def test_any_tile_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, tile: int, fit: int
) -> None:
    """Neither the tile nor the memory allowed changes a pixel of any level."""
    folder = tmp_path_factory.mktemp("tiles")
    path = write_tiff(folder / "a.tif", BYTES, compression="zlib", rowsperstrip=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_BYTES", fit)
        convert(path, folder / "a.zarr", pixel_size=0.1, tile=tile)
    expected = BYTES
    for level in omezarr.open_levels(folder / "a.zarr"):
        np.testing.assert_array_equal(level[...], expected)
        expected = halved(expected).astype(np.uint8)


def test_png_and_arrays(tmp_path: Path) -> None:
    """Whatever is a source can be converted; a pixel size beside the file is found."""
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(BYTES))
    io.write_json(tmp_path / "a.json", {"PixelSize": [200, 200], "PixelSizeUnits": "nm"})
    convert(tmp_path / "a.png", tmp_path / "a.zarr")
    convert(BYTES, tmp_path / "b.zarr", pixel_size=0.2)
    convert(tmp_path / "a.zarr", tmp_path / "c.zarr")
    for name in "abc":
        image = io.read_image(tmp_path / f"{name}.zarr")
        assert image.pixel_size == 0.2
        np.testing.assert_array_equal(image.pixels, BYTES)


def test_black_is_stored(tmp_path: Path) -> None:
    """Filler of 0 was seen: it is no hole of what was converted."""
    array = BYTES.copy()
    array[:, 300:] = 0
    convert(array, tmp_path / "a.zarr", pixel_size=0.1, tile=256)
    with open_source(tmp_path / "a.zarr") as source:
        pixels, holes = source.read(np.s_[:, :])
    np.testing.assert_array_equal(pixels, array)
    assert holes == []


def test_holes_are_told_and_stay_holes(tmp_path: Path) -> None:
    """Holes are returned, each once, and told again of the OME-Zarr; all else is converted."""
    path = write_tiff(tmp_path / "a.tif", FLOATS, compression="zlib", tile=(128, 256))
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        start, length = page.dataoffsets[7], page.databytecounts[7]
    content = bytearray(path.read_bytes())
    content[start : start + length] = b"\7" * length
    path.write_bytes(bytes(content))
    (hole,) = convert(path, tmp_path / "a.zarr", pixel_size=0.1, tile=100)
    assert hole.region == np.s_[128:256, 512:768]
    assert hole.reason.startswith("tile 1, 2: damaged (")
    expected = FLOATS.copy()
    expected[hole.region] = 0
    with open_source(tmp_path / "a.zarr") as source:
        pixels, holes = source.read(np.s_[:, :])
        np.testing.assert_array_equal(pixels, expected)
        assert holes == [hole]
        assert source.read(np.s_[:200, 700:])[1] == [Hole(np.s_[128:200, 700:768], hole.reason)]
        assert source.read(np.s_[:128, :])[1] == []
    assert convert(tmp_path / "a.zarr", tmp_path / "b.zarr") == [hole]


def left_in(folder: Path) -> list[str]:
    """Return the names of what is in a folder."""
    return sorted(p.name for p in folder.iterdir())


class StoppedError(Exception):
    """What a Stop button raises."""


@pytest.mark.parametrize("error", [StoppedError, KeyboardInterrupt])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 1.0])
def test_stopping_leaves_nothing(tmp_path: Path, error: type[BaseException], share: float) -> None:
    """What `tell` raises ends the work and comes out, whenever it does."""

    def tell(done: float) -> None:
        if done >= share:
            raise error

    with pytest.raises(error):
        convert(BYTES, tmp_path / "a.zarr", pixel_size=0.1, tile=256, tell=tell)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("after", [0, 2, 9, 13])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """When the disk is full the error says what to do, and what was written is gone."""
    write, count = zarr.storage.LocalStore.set, 0

    async def fail(self: Any, key: str, *others: Any, **more: Any) -> None:
        nonlocal count
        count += "c/" in key
        if count > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        await write(self, key, *others, **more)

    monkeypatch.setattr(zarr.storage.LocalStore, "set", fail)
    with pytest.raises(OSError, match=r"No space left.*deleted\. Make room.*a\.zarr") as caught:
        convert(BYTES, tmp_path / "a.zarr", pixel_size=0.1, tile=256)
    assert caught.value.errno == errno.ENOSPC
    assert left_in(tmp_path) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Whatever is at the path stays; another conversion at work is not disturbed."""
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "b.zarr").write_text("mine")
    for name in ("a.zarr", "b.zarr"):
        with pytest.raises(FileExistsError, match=r"is there already\. Choose another place"):
            convert(BYTES, tmp_path / name, pixel_size=0.1)
    assert left_in(tmp_path) == ["a.zarr", "b.zarr"]
    with (
        FileLock(tmp_path / ".c.zarr.lock"),
        pytest.raises(FileExistsError, match="being made by another process"),
    ):
        convert(BYTES, tmp_path / "c.zarr", pixel_size=0.1)
    assert not (tmp_path / "c.zarr.part").exists()


def test_what_a_killed_conversion_left_is_replaced(tmp_path: Path) -> None:
    """A folder that a killed process left is no obstacle, and nothing of it stays."""
    (tmp_path / "a.zarr.part" / "9").mkdir(parents=True)
    (tmp_path / "a.zarr.part" / "zarr.json").write_text("{")
    (tmp_path / ".a.zarr.lock").touch()
    convert(BYTES, tmp_path / "a.zarr", pixel_size=0.1)
    assert left_in(tmp_path) == ["a.zarr"]
    assert not (tmp_path / "a.zarr" / "9").exists()
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.zarr").pixels, BYTES)


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    """No pixel size, one that is not square, and several planes are refused; nothing is left."""
    bare = write_tiff(tmp_path / "bare.tif")
    about = {"axes": "YX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2}
    oblong = write_tiff(tmp_path / "oblong.ome.tif", ome=True, metadata=about)
    stack = write_tiff(tmp_path / "stack.tif", np.stack([BYTES] * 5))
    cut = tmp_path / "cut.tif"
    cut.write_bytes(bare.read_bytes()[:-60])
    before = left_in(tmp_path)
    for path, said in [
        (bare, r"no pixel size found\. Pass pixel_size=\.\.\."),
        (oblong, r"pixels of 0\.2 × 0\.1 µm are not square"),
        (stack, r"5 planes along axis .*Save the section"),
        (cut, "cut short"),
        (tmp_path / "gone.tif", "no such file"),
    ]:
        with pytest.raises((ValueError, FileNotFoundError), match=said):
            convert(path, tmp_path / "a.zarr")
    with pytest.raises(ValueError, match="A tile of 0 pixels"):
        convert(BYTES, tmp_path / "a.zarr", pixel_size=0.1, tile=0)
    assert left_in(tmp_path) == before


MEASURED = """
import re, sys
from pathlib import Path
from axonlab.convert import convert

def kilobytes(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

convert(sys.argv[1], sys.argv[2] + ".small", pixel_size=0.1)  # imports, and starts threads
before = kilobytes("VmRSS")
convert(sys.argv[3], sys.argv[2], pixel_size=0.1, tile=1024)
sys.stdout.write(str(1024 * (kilobytes("VmHWM") - before)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory where Linux has it")
def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    """The peak for 64 million pixels in compressed strips is far below the image as float32."""
    strip = imagecodecs.zlib_encode(RNG.integers(0, 16, (16, 8000), np.uint8))
    big = tmp_path / "big.tif"
    tifffile.imwrite(
        big, (strip for _ in range(500)), shape=(8000, 8000), dtype=np.uint8, rowsperstrip=16,
        compression="zlib", bigtiff=True,
    )  # fmt: skip
    small = write_tiff(tmp_path / "small.tif", BYTES, compression="zlib", rowsperstrip=16)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, small, tmp_path / "out.zarr", big],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 0.5 * 4 * 8000**2
    assert omezarr.open_levels(tmp_path / "out.zarr")[0].shape == (8000, 8000)
