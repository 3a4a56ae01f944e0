"""Images larger than memory: OME-Zarr 0.5, in tiles that are written apart, with coarser levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray
from zarr.codecs import BloscCodec

from axonlab.micrograph import check_pixel_size

Region = tuple[slice, slice]

VERSION = "0.5"

CHUNK = 512
"""Largest side of a chunk, which is read whole; a tile is a shard of many."""

SMALLEST_LEVEL = 512
"""Levels are added until the image is no larger than this."""

_COMPRESSED = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")


def create_image(
    path: str | Path,
    shape: tuple[int, int],
    dtype: DTypeLike,
    *,
    pixel_size: float,
    tile: int,
    name: str = "image",
) -> Any:
    """Make an empty OME-Zarr image with all its levels, and return the finest.

    Parameters
    ----------
    path : path
        Of a folder that does not exist yet, or is empty.
    shape : pair of int
        Rows and columns.
    dtype : dtype
    pixel_size : float
        In µm.
    tile : int
        Side of the squares that are written at once, each by one process.
    name : str

    Returns
    -------
    zarr.Array
        ``0``; what was not written is 0. Fill the others by `write_level`.

    Raises
    ------
    FileExistsError
        If there is anything at `path`.
    """
    path = Path(path)
    if path.exists() and any(path.iterdir()):
        raise FileExistsError(f"{path} is there already. Choose another place, or move it away.")
    return _create(path, shape, dtype, pixel_size=pixel_size, tile=tile, name=name, ome={})


def create_labels(
    image: str | Path,
    name: str,
    shape: tuple[int, int],
    dtype: DTypeLike,
    *,
    pixel_size: float,
    tile: int,
    colours: Mapping[int, str] | None = None,
) -> Any:
    """Make an empty label image within an OME-Zarr image, ``labels/NAME``, and return its finest.

    Parameters
    ----------
    image : path
        Of the OME-Zarr; it is made where there is none, and may hold no image, just labels.
    name, shape, dtype, pixel_size, tile
        As for `create_image`. Labels of this name that are there are replaced.
    colours : mapping of int to str, optional
        Of labels, such as ``"#e69f00"``.
    """
    group = zarr.open_group(image, mode="a", zarr_format=3)
    labels = group.require_group("labels")
    known: Any = labels.attrs.get("ome", {})
    labels.attrs["ome"] = {"version": VERSION, "labels": sorted({*known.get("labels", []), name})}
    about: dict[str, Any] = {"source": {"image": "../../"}}
    if colours:
        rgba = {i: [*bytes.fromhex(colour[1:]), 255] for i, colour in colours.items()}
        about["colors"] = [{"label-value": i, "rgba": value} for i, value in rgba.items()]
    return _create(
        Path(image) / "labels" / name,
        shape,
        dtype,
        pixel_size=pixel_size,
        tile=tile,
        name=name,
        ome={"image-label": about},
    )


def open_levels(path: str | Path, mode: str = "r") -> list[Any]:
    """Return the arrays of an OME-Zarr image or label image of axonlab, the finest first."""
    group: Any = zarr.open_group(path, mode=mode)  # type: ignore[arg-type]
    ome = group.attrs["ome"]
    # of an image, what is not stored was not seen; of labels, it is background
    config = {"write_empty_chunks": "image-label" not in ome}
    levels = ome["multiscales"][0]["datasets"]
    return [group[level["path"]].with_config(config) for level in levels]


def tiles(shape: tuple[int, int], tile: int) -> list[Region]:
    """Return the squares of an image, row by row; those at the end are smaller.

    Examples
    --------
    >>> tiles((4, 3), 2)[1]
    (slice(0, 2, None), slice(2, 3, None))
    """
    rows, columns = (
        [slice(start, min(start + tile, length)) for start in range(0, length, tile)]
        for length in shape
    )
    return list(product(rows, columns))


def write_level(path: str | Path, level: int, region: Region) -> None:
    """Write a part of a coarser level from the next finer one.

    Pixels of an image are means of up to four; of labels, the one at the upper left.

    Parameters
    ----------
    path : path
        Of an OME-Zarr image or label image.
    level : int
        From 1.
    region : pair of slice
        In pixels of this level, a tile of it.
    """
    finer, array = open_levels(path, "r+")[level - 1 : level + 1]
    rows, columns = (slice(2 * s.start, 2 * s.stop) for s in region)
    fine = np.asarray(finer[rows, columns])
    is_label = "image-label" in zarr.open_group(path, mode="r").attrs["ome"]  # type: ignore[operator]
    array[region] = fine[::2, ::2] if is_label else _halve(fine)


def _halve(plane: NDArray[Any]) -> NDArray[Any]:
    """Return means of 2 × 2 pixels, of fewer at the end."""
    even = np.pad(plane, [(0, n % 2) for n in plane.shape], mode="edge").astype(np.float32)
    mean = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    return (
        mean.astype(plane.dtype) if plane.dtype.kind == "f" else np.rint(mean).astype(plane.dtype)
    )


def level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the shapes of all levels, each half as large as the one before.

    Examples
    --------
    >>> level_shapes((2000, 1001))
    [(2000, 1001), (1000, 501), (500, 251)]
    """
    shapes = [shape]
    while max(shapes[-1]) > SMALLEST_LEVEL:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


def _create(
    path: Path,
    shape: tuple[int, int],
    dtype: DTypeLike,
    *,
    pixel_size: float,
    tile: int,
    name: str,
    ome: Mapping[str, Any],
) -> Any:
    pixel_size = check_pixel_size(pixel_size, name)
    group = zarr.open_group(path, mode="w", zarr_format=3)
    shapes = level_shapes(shape)
    chunk, shard = _chunks(tile)
    for level, level_shape in enumerate(shapes):
        group.create_array(
            str(level),
            shape=level_shape,
            dtype=np.dtype(dtype),
            chunks=(chunk, chunk),
            shards=(shard, shard) if shard > chunk else None,
            compressors=_COMPRESSED,
            fill_value=0,
            dimension_names=("y", "x"),
        )
    steps = [2**level for level in range(len(shapes))]
    # means of images lie midway between the pixels they are of, labels are not moved
    moved = [0 if "image-label" in ome else (step - 1) / 2 for step in steps]
    datasets = [
        {"path": str(level), "coordinateTransformations": _placed(pixel_size, step, move)}
        for level, (step, move) in enumerate(zip(steps, moved, strict=True))
    ]
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    multiscale: Any = {"name": name, "axes": axes, "datasets": datasets, "type": "mean"}
    group.attrs["ome"] = {"version": VERSION, "multiscales": [multiscale], **ome}
    return open_levels(path, "r+")[0]


def _placed(pixel_size: float, step: int, moved: float) -> Sequence[Mapping[str, Any]]:
    scale = {"type": "scale", "scale": [step * pixel_size] * 2}
    shift = {"type": "translation", "translation": [moved * pixel_size] * 2}
    return [scale, shift]


def _chunks(tile: int) -> tuple[int, int]:
    """Return the sides of chunks and of the shard that a tile is."""
    pieces = next((n for n in range(-(-tile // CHUNK), tile + 1) if tile % n == 0), 1)
    return (tile // pieces, tile) if tile // pieces >= CHUNK // 4 else (tile, tile)
