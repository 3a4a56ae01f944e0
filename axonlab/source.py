"""Images of any size, of which parts are read: what cannot be read is told, the rest goes on."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import weakref
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray

from axonlab.formats import blaming, existing, open_plane
from axonlab.micrograph import check_labels, check_pixel_size
from axonlab.pixelsize import find_pixel_size, image_stem
from axonlab.plane import EMPTY, Plane, Region, grey, plane_of, plane_of_zarr, zarr_folder

HOLES = "holes"
"""Attribute, within ``axonlab``, of an OME-Zarr: its `Hole`, as `as_records` writes them."""

_ENDS = 1 << 16
"""Bytes at either end of a file by which it is known again."""

_BAND = 1 << 24
"""Pixels of an array that are read at once for its digest."""


class Hole(NamedTuple):
    """A part of an image that could not be read, and is 0."""

    region: Region
    """Rows and columns, in pixels of the whole image."""

    reason: str


@dataclass(eq=False)
class Source:
    """A plane of grey values, or of class ids, of any size, of which parts are read.

    It can be pickled: a path is opened again where it is used, an array travels along. Files are
    opened when they are needed, and closed by `close`, by ``with``, or when the source is
    forgotten.

    Parameters
    ----------
    origin : Path or array
        NumPy, Zarr or dask.
    as_labels : bool
        Whether it holds class ids.
    name : str
    shape : pair of int
        Rows and columns.
    dtype : dtype
        Of what is read: uint8 and uint16 as stored, float32 for all else; uint8 for class ids.
    block : pair of int
        Rows and columns of the chunks, tiles or strips, which are read as a whole; (1, 1) where
        any pixel can be had alone.
    pixel_size : float
        In µm.
    pixel_size_source : str
        Where the pixel size comes from.
    known_holes : list of Hole
        Those that a conversion found.
    """

    origin: Any
    as_labels: bool
    name: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    block: tuple[int, int]
    pixel_size: float
    pixel_size_source: str
    known_holes: list[Hole]

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._plane: Plane | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("_lock", "_plane", "_let_go")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.__post_init__()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; reading opens them again."""
        with self._lock:
            if self._plane is not None:
                self._let_go()
                self._plane = None

    def read(self, region: Region) -> tuple[NDArray[Any], list[Hole]]:
        """Read a part.

        Parameters
        ----------
        region : pair of slice
            Rows and columns, ``numpy.s_[100:300, :]``.

        Returns
        -------
        pixels : (h, w) array
            Of `dtype`. Alpha is dropped, colours become luminance, values are not rescaled.
        holes : list of Hole
            The parts of the region that could not be read: chunks that are damaged, and of images
            also chunks that are not stored (empty or lost, nobody can tell) and values that are
            NaN or infinite. They are 0. Their union does not depend on how regions are chosen.

        Raises
        ------
        ValueError
            If the region holds no pixels, or something other than class ids where these are asked
            for.
        OSError, MemoryError
            If the machine fails, rather than the file.
        """
        plane = self._opened()
        region = self._within(region)
        pixels = np.zeros([s.stop - s.start for s in region], self.dtype)
        holes = _lacking(plane, region, ignored=EMPTY if self.as_labels else "")
        for part, array in self._sound_parts(plane, region, holes):
            pixels[_seen_from(region, part)] = self._values(array, part)
        for hole in holes:
            pixels[_seen_from(region, hole.region)] = 0
        if holes and isinstance(self.origin, Path):
            existing(self.origin)  # a disk that is gone is no hole
        if self.dtype.kind == "f":
            bad = ~np.isfinite(pixels)
            pixels[bad] = 0
            holes += [Hole(_moved(r, region), "NaN or infinite") for r in _rectangles(bad)]
        known = [Hole(_common(h.region, region), h.reason) for h in self.known_holes]
        return pixels, holes + [h for h in known if all(s.start < s.stop for s in h.region)]

    @property
    def fingerprint(self) -> str:
        """A digest that changes with the data.

        Of an array it is that of all values; of a Zarr in a folder, of the names, sizes and times
        of its chunks; of another file, of its size, time and both ends.
        """
        folder = self._folder()
        if folder is not None:
            return _digest_of_folder(folder)
        if isinstance(self.origin, Path):
            return _digest_of_file(self.origin)
        plane, (height, width) = self._opened(), self.shape
        step = max(_BAND // width // plane.block[0], 1) * plane.block[0]
        digest = hashlib.sha256(f"{self.shape} {plane.array.dtype}".encode())
        for top in range(0, height, step):
            band = slice(top, min(top + step, height)), slice(0, width)
            digest.update(np.ascontiguousarray(plane.read(band)).data)
        return digest.hexdigest()

    def _folder(self) -> Path | None:
        array = self._opened().array
        return zarr_folder(array) if isinstance(array, zarr.Array) else None

    def _opened(self) -> Plane:
        with self._lock:
            if self._plane is None:
                self._keep(_open(self.origin, self.as_labels))
            assert self._plane is not None
            return self._plane

    def _keep(self, plane: Plane) -> None:
        self._plane = plane
        self._let_go = weakref.finalize(self, plane.close)

    def _within(self, region: Region) -> Region:
        rows, columns = (slice(*s.indices(n)[:2]) for s, n in zip(region, self.shape, strict=True))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise ValueError(
                f"{self.name}: found no pixels in the region {region}, the image has "
                f"{self.shape[0]} rows and {self.shape[1]} columns. Check the region asked for."
            )
        return rows, columns

    def _sound_parts(
        self, plane: Plane, region: Region, holes: list[Hole]
    ) -> Iterable[tuple[Region, NDArray[Any]]]:
        """Yield the parts of a region that can be read, and add the others to the holes."""
        try:
            whole = plane.read(region)
        except Exception as error:  # on damaged files decoders raise what they like
            self._check_damage(plane, error)
        else:
            yield region, whole
            return
        lost = [hole.region for hole in holes]
        for part, places in plane.blocks(region):
            if part in lost:
                continue
            try:
                array = plane.read(part)
            except Exception as error:
                self._check_damage(plane, error)
                assert plane.name is not None  # else the error was raised again
                names = " or ".join(dict.fromkeys(map(plane.name, places)))
                about = f"damaged ({type(error).__name__}: {error})"
                holes.append(Hole(part, f"{names}: {about}"))
            else:
                yield part, array

    def _check_damage(self, plane: Plane, error: Exception) -> None:
        """Raise the error again unless it says that a chunk is damaged."""
        is_of_machine = isinstance(error, OSError) and error.errno not in (None, errno.EIO)
        is_of_machine |= isinstance(error, MemoryError | ImportError) or self._plane is not plane
        if is_of_machine or plane.name is None:
            raise error

    def _values(self, array: NDArray[Any], part: Region) -> NDArray[Any]:
        values = grey(array)
        if not self.as_labels:
            return values
        rows, columns = part
        place = f"{self.name}, rows {rows.start} to {rows.stop}, columns {columns.start} to "
        place += f"{columns.stop}"
        labels = values.astype(np.uint8)
        if (labels != values).any():
            raise ValueError(
                f"{place}: values from {values.min()} to {values.max()}, expected class ids of at "
                "most 255. Pass the mask of classes, not of objects."
            )
        try:
            check_labels(labels, place)
        except ValueError as error:
            raise ValueError(
                f"{error} A mask of other values, such as 0, 127 and 255, is read by "
                "axonlab.io.read_labels: pass the array that it returns."
            ) from None
        return labels


def open_source(source: Any, *, pixel_size: float | None = None, as_labels: bool = False) -> Source:
    """Open an image of any size, of which parts are then read.

    Parameters
    ----------
    source : path or array
        OME-Zarr 0.4 or 0.5, of which the finest level of the first image is read, or a label
        image within one (``slide.zarr/labels/classes``); a Zarr array of two dimensions; TIFF,
        OME-TIFF or BigTIFF in tiles or strips; PNG and JPEG, which are decoded as a whole. Or an
        array: NumPy, Zarr or dask, of shape (H, W) or, for colours, (H, W, samples).
    pixel_size : float, optional
        In µm. Wins over everything the files say, see `axonlab.io.read_image`. Arrays need it.
    as_labels : bool
        The values are class ids (0 to 3, 255 for unlabelled), and are checked when they are read.

    Returns
    -------
    Source

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such image.
    ValueError
        If it cannot be read, has several planes, would not fit in memory where it must, has no
        pixel size, or one that is not square.
    TypeError
        If it is neither a path nor an array.

    Examples
    --------
    >>> source = open_source(np.arange(12, dtype=np.uint8).reshape(3, 4), pixel_size=0.1)
    >>> source.read(np.s_[1:, :2])
    (array([[4, 5],
           [8, 9]], dtype=uint8), [])
    """
    is_path = isinstance(source, str | os.PathLike)
    if not (is_path or (hasattr(source, "shape") and hasattr(source, "dtype"))):
        raise TypeError(f"A {type(source).__name__}: expected the path of an image, or an array.")
    origin = existing(source).absolute() if is_path else source
    name = image_stem(origin) if is_path else "array"
    with ExitStack() as stack:
        plane = _open(origin, as_labels)
        stack.callback(plane.close)
        one = grey(plane.zero())
        if as_labels and (one.dtype.kind not in "biu" or plane.zero().shape[2:] > (2,)):
            raise ValueError(
                f"{source if is_path else name}: found colours or values of type {one.dtype}, "
                "expected a mask with one class id per pixel. Export the mask itself."
            )
        if pixel_size is not None:
            size, said = check_pixel_size(pixel_size, str(origin) if is_path else name), "caller"
        elif is_path:
            size, said = find_pixel_size(origin, plane.pixel_sizes)
        else:
            raise ValueError("An array has no pixel size: pass pixel_size=... (µm per pixel).")
        opened = Source(
            origin,
            as_labels,
            name,
            plane.shape,
            np.dtype(np.uint8) if as_labels else _dtype_read(one.dtype),
            plane.block,
            size,
            said,
            from_records(plane.attributes.get("axonlab", {}).get(HOLES, [])),
        )
        opened._keep(plane)
        stack.pop_all()
    return opened


def join_holes(holes: Iterable[Hole]) -> list[Hole]:
    """Join the holes of one reason that make up rectangles, as those that tiles cut apart.

    Returns
    -------
    list of Hole
        From top to bottom; together they cover what they covered before.

    Examples
    --------
    >>> join_holes([Hole(np.s_[0:4, 2:5], "gone"), Hole(np.s_[0:4, 5:9], "gone")])
    [Hole(region=(slice(0, 4, None), slice(2, 9, None)), reason='gone')]
    """
    found = list(holes)
    for along, across in ((1, 0), (0, 1)):
        joined: list[Hole] = []
        for hole in sorted(found, key=lambda h: (h.reason, *_ends(h, across), *_ends(h, along))):
            last = joined[-1] if joined else hole
            line, before = hole.region[along], last.region[along]
            is_next = last.reason == hole.reason and last.region[across] == hole.region[across]
            if joined and is_next and line.start <= before.stop:
                longer = slice(before.start, max(before.stop, line.stop))
                region = (hole.region[0], longer) if along else (longer, hole.region[1])
                joined[-1] = Hole(region, hole.reason)
            else:
                joined.append(hole)
        found = joined
    return sorted(found, key=lambda hole: (*_ends(hole, 0), *_ends(hole, 1), hole.reason))


def as_records(holes: Iterable[Hole]) -> list[dict[str, Any]]:
    """Return holes as JSON holds them: ``rows`` and ``columns`` from and to, and ``reason``."""
    return [{"rows": [*_ends(h, 0)], "columns": [*_ends(h, 1)], "reason": h.reason} for h in holes]


def from_records(records: Iterable[dict[str, Any]]) -> list[Hole]:
    """Return what `as_records` made JSON of."""
    return [Hole((slice(*r["rows"]), slice(*r["columns"])), r["reason"]) for r in records]


def _ends(hole: Hole, axis: int) -> tuple[int, int]:
    return hole.region[axis].start, hole.region[axis].stop


def _open(origin: Any, as_labels: bool) -> Plane:
    if isinstance(origin, Path):
        return open_plane(origin, as_stored=as_labels)
    with blaming("array"):
        if isinstance(origin, zarr.Array):
            return plane_of_zarr(origin)
        chunks = tuple(sizes[0] for sizes in getattr(origin, "chunks", ()))  # of dask
        return plane_of(origin, chunks=chunks)


def _dtype_read(stored: np.dtype[Any]) -> np.dtype[Any]:
    native = stored.newbyteorder("=")
    return native if native in (np.uint8, np.uint16) else np.dtype(np.float32)


def _lacking(plane: Plane, region: Region, ignored: str) -> list[Hole]:
    """Return what is known to be missing before it is read."""
    holes = []
    if plane.name is not None:
        for part, places in plane.blocks(region):
            lacks = [(place, plane.lack(place)) for place in places]
            place, why = next(((p, w) for p, w in lacks if w not in ("", ignored)), (None, ""))
            if place is not None:
                holes.append(Hole(part, f"{plane.name(place)}: {why}"))
    return holes


def _common(one: Region, other: Region) -> Region:
    rows, columns = (
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return rows, columns


def _seen_from(region: Region, part: Region) -> Region:
    """Return where a part lies in a region."""
    rows, columns = (
        slice(p.start - r.start, p.stop - r.start) for p, r in zip(part, region, strict=True)
    )
    return rows, columns


def _moved(part: Region, region: Region) -> Region:
    """Return where in the image a part of a region lies."""
    rows, columns = (
        slice(p.start + r.start, p.stop + r.start) for p, r in zip(part, region, strict=True)
    )
    return rows, columns


def _rectangles(mask: NDArray[np.bool_]) -> list[Region]:
    """Return rectangles that cover exactly what is true: runs that repeat from row to row."""
    if not mask.any():
        return []
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).view(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]
    order = np.lexsort((rows, stops, starts))
    runs = np.stack((starts, stops, rows))[:, order]
    repeats = (np.diff(runs) == [[0], [0], [1]]).all(0)
    first = np.flatnonzero(np.concatenate(([True], ~repeats)))
    last = np.append(first[1:], runs.shape[1]) - 1
    tops, bottoms = runs[2, first].tolist(), (runs[2, last] + 1).tolist()
    lefts, rights = runs[0, first].tolist(), runs[1, first].tolist()
    corners = zip(tops, bottoms, lefts, rights, strict=True)
    return [(slice(a, b), slice(c, d)) for a, b, c, d in corners]


def _digest_of_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(place, name)
            about = path.stat()
            inside = path.relative_to(folder).as_posix()
            digest.update(f"{inside} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _digest_of_file(path: Path) -> str:
    about = path.stat()
    digest = hashlib.sha256(f"{about.st_size} {about.st_mtime_ns}\n".encode())
    with path.open("rb") as file:
        digest.update(file.read(_ENDS))
        file.seek(max(about.st_size - _ENDS, 0))
        digest.update(file.read(_ENDS))
    return digest.hexdigest()
