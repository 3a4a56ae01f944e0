"""An image in any format, of any size, as OME-Zarr 0.5."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import zarr
from filelock import FileLock, Timeout

from axonlab import omezarr
from axonlab.plane import Region
from axonlab.source import HOLES, Hole, Source, as_records, join_holes, open_source

MAX_BYTES = 1 << 27
"""Of an image that are read at once, unless a single tile is more."""


def convert(
    source: Any,
    path: str | Path,
    *,
    pixel_size: float | None = None,
    tile: int = 2048,
    tell: Callable[[float], None] | None = None,
) -> list[Hole]:
    """Write an image as OME-Zarr 0.5 with all its levels, tile by tile.

    Memory is bounded by the tile and, for images in strips, by `MAX_BYTES`; only PNG and JPEG,
    and TIFF of one compressed strip, have to be decoded as a whole. The pixel size, and the parts
    that could not be read, are written into the OME-Zarr: `axonlab.source.open_source` tells them
    again.

    Parameters
    ----------
    source : path or array
        What `axonlab.source.open_source` takes.
    path : path
        Of the OME-Zarr, such as ``slide.ome.zarr``; nothing may be there. Until all is done its
        name ends in ``.part``; what is left of a conversion that was killed is replaced.
    pixel_size : float, optional
        In µm. Wins over everything the files say.
    tile : int
        Side of the squares that are written at once.
    tell : callable, optional
        Called with the share that is done; what it raises ends the work, and leaves nothing.

    Returns
    -------
    list of Hole
        Parts that could not be read, and are 0.

    Raises
    ------
    FileExistsError
        If there is anything at `path`, or another process is making it.
    ValueError, FileNotFoundError, IsADirectoryError
        As `axonlab.source.open_source` does.
    OSError
        If the disk is full. Nothing is left behind.

    Notes
    -----
    Grey values are written as they are read: uint8 and uint16 as stored, all else as float32.
    """
    if tile < 1:
        raise ValueError(f"A tile of {tile} pixels: expected at least 1.")
    with open_source(source, pixel_size=pixel_size) as opened, _whole_or_not(Path(path)) as part:
        holes = _write(opened, part, tile, tell or (lambda share: None))
    return holes


def _write(source: Source, path: Path, tile: int, tell: Callable[[float], None]) -> list[Hole]:
    """Write all levels, and return the holes."""
    image = omezarr.create_image(
        path, source.shape, source.dtype, pixel_size=source.pixel_size, tile=tile, name=source.name
    )
    levels = omezarr.open_levels(path)
    done, total = 0, sum(level.size for level in levels)
    holes: list[Hole] = []
    for rows, columns in _bands(source, tile):
        pixels, found = source.read((rows, columns))
        holes += found
        for left in range(0, pixels.shape[1], tile):
            piece = pixels[:, left : left + tile]
            start = columns.start + left
            image[rows, start : start + piece.shape[1]] = piece
            done += piece.size
            tell(done / total)
    holes = join_holes(holes)
    zarr.open_group(path, mode="r+").attrs["axonlab"] = {
        "converted_by": version("axonlab"),
        "pixel_size_source": source.pixel_size_source,
        HOLES: as_records(holes),
    }
    for number, level in enumerate(levels[1:], start=1):
        for region in omezarr.tiles(level.shape, tile):
            omezarr.write_level(path, number, region)
            done += (region[0].stop - region[0].start) * (region[1].stop - region[1].start)
            tell(done / total)
    return holes


def _bands(source: Source, tile: int) -> Iterator[Region]:
    """Yield rows of tiles that are read at once: of strips, a tile would decode all columns."""
    height, width = source.shape
    fit = MAX_BYTES // (tile * tile * source.dtype.itemsize)
    wanted = -(-min(source.block[1], width) // tile)
    length = tile * max(1, min(fit, wanted))
    for top in range(0, height, tile):
        for left in range(0, width, length):
            yield slice(top, min(top + tile, height)), slice(left, min(left + length, width))


@contextmanager
def _whole_or_not(path: Path) -> Iterator[Path]:
    """Give a folder that takes the name `path` in the end, or is deleted if anything is raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FileExistsError(
            f"{path} is being made by another process. Wait for it, or choose another place."
        ) from None
    try:
        if path.exists():
            raise FileExistsError(
                f"{path} is there already. Choose another place, or move it away."
            )
        if part.exists():
            shutil.rmtree(part)
        try:
            yield part
            part.rename(path)
        except BaseException as error:
            shutil.rmtree(part, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(
                    error.errno,
                    f"{os.strerror(error.errno)}: what was written has been deleted. Make room, or "
                    "choose a place on another disk",
                    str(path),
                ) from error
            raise
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)
