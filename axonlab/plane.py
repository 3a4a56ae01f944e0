"""One plane of an array of any kind, of which parts are read."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

Region = tuple[slice, slice]
Place = tuple[int, ...]
WHOLE: Region = (slice(None), slice(None))

EMPTY = "not stored"
"""Of a chunk: it holds nothing but the fill value, or is lost."""


class RefusedError(Exception):
    """A file that is sound but not what was asked for, or seen to be cut short."""


def as_it_is(array: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers as they are stored."""
    return array


@dataclass(frozen=True, eq=False)
class Plane:
    """One plane of an image, any part of which can be read until it is closed.

    Parameters
    ----------
    array : array
        NumPy, Zarr or dask; of a Zarr or a TIFF only the chunks that are asked for are read.
    axes : str
        Of the array: Y and X, S for samples; others have length 1.
    pixel_sizes : list of float
        Height and width of a pixel in µm, empty where the file does not say.
    comment : str
        TIFF description, or comment of a PNG with a palette.
    show : callable
        Makes greys or colours of the numbers in the file.
    chunks : tuple of int
        Shape of what is stored together; ones where any pixel can be had alone.
    name : callable, optional
        Names the chunk at a place, counted in chunks along each axis of the array.
    lack : callable
        Says why the chunk at a place cannot be read, "" if nothing is known against it; `EMPTY`
        where it is not stored, which of labels is a way to say that all of it is background.
    attributes : mapping
        Of an OME-Zarr.
    close : callable
        Lets the file go.
    """

    array: Any
    axes: str
    pixel_sizes: list[float] = field(default_factory=list)
    comment: str = ""
    show: Callable[[NDArray[Any]], NDArray[Any]] = as_it_is
    chunks: tuple[int, ...] = ()
    name: Callable[[Place], str] | None = None
    lack: Callable[[Place], str] = lambda place: ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    close: Callable[[], object] = lambda: None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._y_x(self.array.shape)

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of what is stored together."""
        return self._y_x(self.chunks) if self.chunks else (1, 1)

    def read(self, region: Region = WHOLE) -> NDArray[Any]:
        """Return a part as (H, W), or (H, W, samples)."""
        index = [
            region["YX".index(a)] if a in "YX" else slice(None) if a == "S" else 0
            for a in self.axes
        ]
        return self._arranged(np.asarray(self.array[tuple(index)]))

    def zero(self) -> NDArray[Any]:
        """Return a pixel of the number 0 as it would be read, (1, 1) or (1, 1, samples)."""
        lengths = zip(self.axes, self.array.shape, strict=True)
        kept = [n if axis == "S" else 1 for axis, n in lengths if axis in "YXS"]
        return self._arranged(np.zeros(kept, self.array.dtype))

    def blocks(self, region: Region) -> Iterator[tuple[Region, list[Place]]]:
        """Yield the chunks in a region: their parts of it, and their places, one per sample."""
        (height, width), (rows, columns) = self.block, region
        samples = [range(-(-n // c)) for n, c in zip(self.array.shape, self.chunks, strict=True)]
        for row in range(rows.start // height, -(-rows.stop // height)):
            for column in range(columns.start // width, -(-columns.stop // width)):
                at = {"Y": [row], "X": [column]}
                places = product(*(at.get(a, n) for a, n in zip(self.axes, samples, strict=True)))
                top, left = row * height, column * width
                part = (
                    slice(max(top, rows.start), min(top + height, rows.stop)),
                    slice(max(left, columns.start), min(left + width, columns.stop)),
                )
                yield part, list(places)

    def _y_x(self, values: Sequence[int]) -> tuple[int, int]:
        return values[self.axes.index("Y")], values[self.axes.index("X")]

    def _arranged(self, array: NDArray[Any]) -> NDArray[Any]:
        samples_first = "".join(axis for axis in self.axes if axis in "YXS") == "SYX"
        return self.show(np.moveaxis(array, 0, -1) if samples_first else array)


def plane_of(array: Any, axes: str | None = None, **about: Any) -> Plane:
    """Return the only plane of an array of any kind.

    Parameters
    ----------
    array : array
        NumPy, Zarr or dask.
    axes : str, optional
        As letters; without them rows and columns, and samples of colours last.
    **about
        What else to say of the plane.

    Raises
    ------
    RefusedError
        If the array holds several planes, or no pixels.
    """
    shape = array.shape
    if axes is None:
        axes = "YXS" if len(shape) == 3 and shape[-1] <= 4 else "ZCYX"[-max(len(shape), 2) :]
    if len(axes) != len(shape) or 0 in shape:
        raise RefusedError(
            f"found no pixels (shape {shape}). Export it again."
            if 0 in shape
            else f"an array of shape {shape}, expected one plane (rows, columns)."
        )
    for axis, length in zip(axes, shape, strict=True):
        if length > (4 if axis == "S" else 1) and axis not in "YX":
            raise RefusedError(
                f"{length} planes along axis {axis} (shape {shape}), expected one plane. "
                "Save the section or channel you want as an image of its own."
            )
    return Plane(array, axes, **about)


def plane_of_zarr(array: zarr.Array[Any], axes: str | None = None, **about: Any) -> Plane:
    """Return the only plane of a Zarr array, with the names of its chunks; see `plane_of`."""
    shard = array.shards or array.chunks
    pieces = [s // c for s, c in zip(shard, array.chunks, strict=True)]
    folder = zarr_folder(array)

    def key(place: Place) -> str:
        shards = tuple(i // n for i, n in zip(place, pieces, strict=True))
        return array.metadata.encode_chunk_key(shards)

    def name(place: Place) -> str:
        return f"{array.path}/{key(place)}".lstrip("/")

    def lack(place: Place) -> str:
        file = None if folder is None else folder / key(place)
        if file is None:
            return ""
        if not file.is_file():
            return EMPTY
        if not file.stat().st_size:
            return "an empty file"
        within = tuple(i % n for i, n in zip(place, pieces, strict=True))
        is_empty = array.shards is not None and _lacks_piece(array, file, pieces, within)
        return EMPTY if is_empty else ""

    return plane_of(array, axes, chunks=array.chunks, name=name, lack=lack, **about)


def zarr_folder(array: zarr.Array[Any]) -> Path | None:
    """Return the folder in which the chunks of an array are files; None if it has none."""
    store = array.store
    return Path(store.root, array.path) if isinstance(store, LocalStore) else None


def _lacks_piece(array: zarr.Array[Any], shard: Path, pieces: list[int], within: Place) -> bool:
    """Tell whether the index of a shard says that it does not hold one of its chunks."""
    metadata: Any = array.metadata
    codec = metadata.codecs[0]
    index = [type(c).__name__ for c in codec.index_codecs]
    if index not in (["BytesCodec"], ["BytesCodec", "Crc32cCodec"]):
        return False  # such an index is compressed; nobody does that
    entry = 16 * int(np.ravel_multi_index(within, pieces))
    size = 16 * math.prod(pieces) + 4 * (len(index) - 1)
    if shard.stat().st_size < size:
        return False  # damaged, as reading it tells
    is_last = codec.index_location.value == "end"
    with shard.open("rb") as file:
        file.seek(entry - size if is_last else entry, os.SEEK_END if is_last else os.SEEK_SET)
        return file.read(16) == b"\xff" * 16


def grey(array: NDArray[Any]) -> NDArray[Any]:
    """Return the greys of (H, W) or (H, W, samples): float32 of colours, else as stored."""
    if array.ndim == 3 and array.shape[-1] > 2:
        # ITU-R BT.601; the weights sum to 1, so that grey stored as RGB keeps its values. One after
        # the other: what a matrix product rounds depends on the shape, here on the region.
        red, green, blue = (array[..., i].astype(np.float32) for i in range(3))
        weighted = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
        return np.asarray(weighted)
    return array if array.ndim == 2 else array[..., 0]
