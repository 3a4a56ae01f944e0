"""Regions of a field: polygons, masks and grids, drawn window by window however large it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]

MAX_CELLS = 1_000_000
"""Of a grid: of more, the sums alone would fill the memory."""


class Regions(Protocol):
    """Parts of a field, none of which overlap."""

    @property
    def names(self) -> Sequence[Any]:
        """What the regions 1, 2, … are called."""

    def window(self, rows: slice, columns: slice) -> NDArray[np.integer]:
        """Return the number of the region of every pixel of a window, 0 where there is none."""


class Whole:
    """One region: all of the field."""

    names: ClassVar[Sequence[Any]] = ["whole"]

    def window(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """Return 1 for every pixel of a window."""
        return np.ones((rows.stop - rows.start, columns.stop - columns.start), np.uint8)


@dataclass(frozen=True, eq=False)
class Polygons:
    """Regions drawn as polygons.

    Parameters
    ----------
    corners : mapping of str to (N, 2) array
        By name: x, y in µm from the centre of the first pixel, as in figures and tables.
    shape : pair of int
        Rows and columns of the field.
    pixel_size : float
        In µm.

    Raises
    ------
    ValueError
        If one lies outside the field or, once it is drawn, overlaps with another.

    Notes
    -----
    A pixel is of a polygon if its centre is, by the even-odd rule; of centres on its outline those
    on the left and the upper side are. So polygons that share a side share no pixel and leave out
    none, and a window shows what the whole field would show there.
    """

    corners: Mapping[str, ArrayLike]
    shape: tuple[int, int]
    pixel_size: float
    _xy: list[Floats] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        xy = [
            np.asarray(corners, float).reshape(-1, 2) / self.pixel_size
            for corners in self.corners.values()
        ]
        object.__setattr__(self, "_xy", xy)
        for name, corners in zip(self.names, xy, strict=True):
            self._check(name, corners)

    @property
    def names(self) -> Sequence[Any]:
        """Names of the polygons."""
        return list(self.corners)

    def window(self, rows: slice, columns: slice) -> Numbers:
        """Return the number of the polygon of every pixel of a window, 0 where there is none."""
        numbers = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.intp)
        for number, xy in enumerate(self._xy, 1):
            box = _within(_bounds(xy), (rows, columns))
            part = numbers[tuple(slice(s.start - f.start, s.stop - f.start) for s, f in box)]
            if not part.size:
                continue
            inside = _fill(xy, *(s for s, _ in box))
            if part[inside].any():
                other = self.names[part[inside].max() - 1]
                raise ValueError(
                    f"Regions {other!r} and {self.names[number - 1]!r} overlap: a fibre can be of "
                    "one only."
                )
            part[inside] = number
        return numbers

    def _check(self, name: str, xy: Floats) -> None:
        if not np.isfinite(xy).all():
            raise ValueError(f"Region {name!r} has corners that are no numbers: give x, y in µm.")
        whole = tuple(slice(0, n) for n in self.shape)
        if any(s.stop <= s.start for s, _ in _within(_bounds(xy), whole)):
            height, width = (n * self.pixel_size for n in self.shape)
            raise ValueError(
                f"Region {name!r} holds no pixel of a field that is {width:g} µm wide and "
                f"{height:g} µm high: give its corners as x, y in µm."
            )


@dataclass(frozen=True, eq=False)
class Mask:
    """Regions drawn as a mask, which may be smaller than the field.

    Parameters
    ----------
    ids : (h, w) integer array
        0 is no region. In the shape of a coarser level of the slide (half, a quarter … of its
        sides, rounded up) a pixel stands for the 2 × 2, 4 × 4 … that it was made of; in any other
        shape the mask is stretched over the field, nearest neighbours.
    shape : pair of int
        Rows and columns of the field.
    called : mapping of int to str, optional
        What the ids are called, several alike if they are one region; ids left out are no regions.
        Without it all but 0 are.

    Raises
    ------
    ValueError
        If the mask holds other than whole ids from 0, does not fit the field or lacks an id that
        was called something.
    """

    ids: NDArray[np.integer]
    shape: tuple[int, int]
    called: Mapping[int, Any] | None = None
    names: Sequence[Any] = field(init=False)
    _numbers: Numbers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.ids.dtype.kind not in "iu" or not self.ids.size or self.ids.min() < 0:
            first = self.ids.min() if self.ids.size else "none"
            raise ValueError(
                f"regions of shape {self.ids.shape} and type {self.ids.dtype} from {first}: "
                "expected whole ids from 0."
            )
        if not _fits(self.ids.shape, self.shape):
            raise ValueError(
                f"regions of shape {self.ids.shape} do not fit a field of {self.shape}: draw them "
                "on the whole field, at any coarser level of it."
            )
        numbers, ids = pd.factorize(self.ids.ravel(), sort=True)
        called = self.called or {int(i): int(i) for i in ids if i}
        missing = sorted(set(called) - set(ids.tolist()))
        if missing:
            raise ValueError(
                f"The mask has no pixel of the ids {missing}; it has {ids[:20].tolist()}."
            )
        names = list(dict.fromkeys(called.values()))
        number_of = {name: number for number, name in enumerate(names, 1)}
        new = np.zeros(len(ids), np.intp)
        new[np.searchsorted(ids, list(called))] = [number_of[name] for name in called.values()]
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "_numbers", new[numbers].reshape(self.ids.shape))

    def window(self, rows: slice, columns: slice) -> Numbers:
        """Return the number of the region of every pixel of a window, 0 where there is none."""
        is_whole = self.ids.shape == self.shape
        at = (rows, columns) if is_whole else np.ix_(self._at(rows, 0), self._at(columns, 1))
        drawn: Numbers = self._numbers[at]
        return drawn

    def _at(self, pixels: slice, axis: int) -> Numbers:
        """Return the rows or columns of the mask over those of the field."""
        places: Numbers = np.arange(pixels.start, pixels.stop)
        step = 2
        while step < max(self.shape):
            if tuple(-(-n // step) for n in self.shape) == self.ids.shape:
                return places // step
            step *= 2
        small, large = self.ids.shape[axis], self.shape[axis]
        centres: Numbers = (2 * places + 1) * small // (2 * large)
        return centres


@dataclass(frozen=True, eq=False)
class Grid:
    """Square cells side by side from the upper left corner, those at the end as far as it goes.

    Parameters
    ----------
    shape : pair of int
        Rows and columns of the field.
    pixel_size : float
        In µm.
    cell : float
        Side of a cell in µm.

    Raises
    ------
    ValueError
        If a cell is smaller than a pixel, or the cells are more than `MAX_CELLS`.
    """

    shape: tuple[int, int]
    pixel_size: float
    cell: float

    def __post_init__(self) -> None:
        if not self.pixel_size <= self.cell < np.inf:
            raise ValueError(
                f"Cells of {self.cell} µm for pixels of {self.pixel_size} µm: expected a side in "
                "µm, of many pixels."
            )
        if np.prod(self.cells, dtype=float) > MAX_CELLS:
            raise ValueError(
                f"Cells of {self.cell} µm are {self.cells[0]} × {self.cells[1]} on this field, "
                f"more than {MAX_CELLS:,}: give a larger cell, in µm."
            )

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        rows, columns = (int(self._at(slice(n - 1, n))[0]) + 1 for n in self.shape)
        return rows, columns

    @property
    def names(self) -> Sequence[Any]:
        """Numbers of the cells, row by row from 0."""
        return range(self.cells[0] * self.cells[1])

    def window(self, rows: slice, columns: slice) -> Numbers:
        """Return the number of the cell of every pixel of a window, from 1."""
        return self._at(rows)[:, None] * self.cells[1] + self._at(columns) + 1

    def _at(self, pixels: slice) -> Numbers:
        """Return in which row or column of cells the centres of pixels lie."""
        centres = np.arange(pixels.start, pixels.stop) + 0.5
        return np.floor(centres * self.pixel_size / self.cell).astype(np.intp)


def drawn_regions(
    regions: NDArray[np.integer] | Mapping[str, ArrayLike],
    shape: tuple[int, int],
    pixel_size: float,
    called: Mapping[int, str] | None = None,
) -> Regions:
    """Return `Polygons` of a mapping, or a `Mask` of an array and what its ids are called.

    Raises
    ------
    ValueError
        If polygons are to be called something else than they are, or as for either.
    """
    if not isinstance(regions, Mapping):
        return Mask(np.asarray(regions), shape, called)
    if called is not None:
        raise ValueError("Polygons have names: names=… is for the ids of a mask.")
    return Polygons(regions, shape, pixel_size)


def _fits(small: tuple[int, ...], large: tuple[int, int]) -> bool:
    """Tell whether a shape is that of another, divided and rounded somehow."""
    if len(small) != 2 or any(a > b for a, b in zip(small, large, strict=True)):
        return False
    least = max(b / (a + 1) for a, b in zip(small, large, strict=True))
    most = min(b / (a - 1) if a > 1 else np.inf for a, b in zip(small, large, strict=True))
    return bool(least < most)


def _bounds(xy: Floats) -> tuple[slice, slice]:
    """Return the rows and columns whose centres may lie in a polygon."""
    if not len(xy):
        return slice(0, 0), slice(0, 0)
    low, high = np.ceil(xy.min(axis=0)), np.ceil(xy.max(axis=0))
    columns, rows = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return rows, columns


def _within(box: tuple[slice, ...], frame: tuple[slice, ...]) -> list[tuple[slice, slice]]:
    """Return the part of a box that lies in a frame, axis by axis, each beside that frame."""
    return [
        (slice(max(s.start, f.start), max(f.start, min(s.stop, f.stop))), f)
        for s, f in zip(box, frame, strict=True)
    ]


def _fill(xy: Floats, rows: slice, columns: slice) -> NDArray[np.bool_]:
    """Return which pixels of a window lie in a polygon, whose corners are in pixels."""
    ends = np.stack([xy, np.roll(xy, -1, axis=0)], axis=1)
    # from top to bottom, so that a side is the same line for the polygons on both sides of it
    turned = ends[:, 0, 1] > ends[:, 1, 1]
    ends[turned] = ends[turned, ::-1]
    (x0, y0), (x1, y1) = ends[:, 0].T, ends[:, 1].T
    first = np.clip(np.ceil(y0), rows.start, rows.stop).astype(np.intp)
    n = np.clip(np.ceil(y1), rows.start, rows.stop).astype(np.intp) - first
    side = np.repeat(np.arange(len(xy)), n)
    row = np.arange(len(side)) - np.repeat(np.cumsum(n) - n, n) + first[side]
    share = (row - y0[side]) / (y1 - y0)[side]
    x = x0[side] + share * (x1 - x0)[side]
    column = np.clip(np.ceil(x), columns.start, columns.stop).astype(np.intp)
    crossings = np.zeros((rows.stop - rows.start, columns.stop - columns.start + 1), np.uint8)
    np.add.at(crossings, (row - rows.start, column - columns.start), 1)
    # they may pass 255, but are odd or even all the same
    inside: NDArray[np.bool_] = np.cumsum(crossings, axis=1, dtype=np.uint8)[:, :-1] % 2 == 1
    return inside
