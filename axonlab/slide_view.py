"""What of a slide is looked at: the part that is seen, the chosen fibre, regions drawn on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import param
from numpy.typing import ArrayLike, NDArray

from axonlab.io import write_json
from axonlab.omezarr import open_levels
from axonlab.slide import read_manifest

Range = tuple[float, float]
Regions = dict[str, NDArray[np.float64]]

MAX_CROP = 2048
"""Rows or columns that are opened for labelling at once."""


class View(NamedTuple):
    """The part of a slide that is seen.

    Parameters
    ----------
    x, y : pair of float
        In µm from the centre of the first pixel, y pointing down.
    rows, columns : slice
        The pixels that are seen, wholly or in part.
    """

    x: Range
    y: Range
    rows: slice
    columns: slice


class SlideView(param.Parameterized):
    """A slide with its table, the part of it that is seen, a chosen fibre and regions.

    Nothing of the slide is kept in memory but columns of its table that were asked for.

    Parameters
    ----------
    output : path
        From `axonlab.slide.segment_slide`.

    Attributes
    ----------
    output : Path
    manifest : dict
    fibre_id : int
        The chosen fibre; 0 for none.
    x_range, y_range : pair of float or None
        What is seen, in µm; None for all of the slide.
    crop : pair of slice or None
        Rows and columns that were asked for by `take_crop`.
    revision : int
        Changes when `refresh` finds other fibres on disk.
    drawn : int
        Changes whenever `regions` does.

    Raises
    ------
    FileNotFoundError
        If there is no slide at `output`.
    ValueError
        If its regions cannot be read.
    """

    fibre_id = param.Integer(0)
    x_range = param.Parameter(None)
    y_range = param.Parameter(None)
    crop = param.Parameter(None)
    revision = param.Integer(0)
    drawn = param.Integer(0)

    def __init__(self, output: str | Path) -> None:
        super().__init__()
        self.output = Path(output)
        self._regions = read_regions(output)
        self._all_saved = True
        self._read()

    def _read(self) -> None:
        self.manifest = read_manifest(self.output)
        self.shape: tuple[int, int] = tuple(self.manifest["shape"])
        self.pixel_size: float = self.manifest["pixel_size_um"]
        self._fibres = open_levels(self.output / "labels" / "fibres")[0]
        self._columns: dict[str, pd.Series[Any]] = {}
        self._row: pd.Series[Any] | None = None  # of the fibre that was chosen last

    def refresh(self) -> None:
        """Read anew what has changed on disk, such as after a correction."""
        self._read()
        if self.fibre_id and self.selected is None:
            self.fibre_id = 0
        self.revision += 1

    # ---- fibres

    @property
    def is_measured(self) -> bool:
        """Whether there is a table of the fibres."""
        return self._table.is_dir()

    @property
    def _table(self) -> Path:
        return self.output / "tables" / "fibres.parquet"

    def table_of(self, fibre_id: int) -> pd.DataFrame:
        """Return the row of a fibre, or none; of fibre 0, the columns that there are."""
        if not self.is_measured:
            return pd.DataFrame({"fibre_id": []})
        return pd.read_parquet(self._table, filters=[("fibre_id", "==", fibre_id)])

    def values(self, column: str) -> pd.Series[Any]:
        """Return a column of the table by fibre id, ascending.

        Raises
        ------
        FileNotFoundError
            If the slide is not measured yet.
        """
        if not self.is_measured:
            raise FileNotFoundError(
                f"{self.output} is not measured yet. Call axonlab.slide.measure_slide first."
            )
        if column not in self._columns:
            table = pd.read_parquet(self._table, columns=list({"fibre_id": 0, column: 0}))
            ids = pd.Index(table["fibre_id"], name=None)
            self._columns[column] = table[column].set_axis(ids).sort_index()
        return self._columns[column]

    @property
    def selected(self) -> pd.Series[Any] | None:
        """The chosen fibre's row of the table, or its id alone where nothing is measured."""
        if not self.fibre_id:
            return None
        if not self.is_measured:
            return pd.Series({"fibre_id": self.fibre_id}, name=self.fibre_id)
        if self._row is None or self._row.name != self.fibre_id:
            rows = self.table_of(self.fibre_id)
            self._row = None if rows.empty else rows.iloc[0].rename(self.fibre_id)
        return None if self._row is None else self._row.copy()

    def at(self, x: float, y: float) -> int:
        """Return the id of the fibre over a point in µm, 0 beside all fibres: one pixel is read."""
        row, column = round(y / self.pixel_size), round(x / self.pixel_size)
        if not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            return 0
        return int(self._fibres[row, column])

    def step(self, by: int) -> int:
        """Choose the fibre that comes so many after the chosen one, in the order of ids.

        Without a chosen one it begins with the first that has its centre in the part that is seen.
        After the last comes the first. Returns the id: 0 if there is no fibre in the table.
        """
        ids = self.values("fibre_id").to_numpy()
        if len(ids) == 0:
            self.fibre_id = 0
        elif self.fibre_id:
            place = int(np.searchsorted(ids, self.fibre_id))
            # where the chosen one is no longer there, the next has its place
            is_gone = place == len(ids) or ids[place] != self.fibre_id
            self.fibre_id = int(ids[(place + by - (is_gone and by > 0)) % len(ids)])
        else:
            seen, inside = self.view, np.ones(len(ids), bool)
            for column, ends in (("centroid_x_um", seen.x), ("centroid_y_um", seen.y)):
                inside &= self.values(column).between(*ends).to_numpy()
            self.fibre_id = int(ids[inside.argmax()])
        return self.fibre_id

    # ---- the part that is seen

    @property
    def view(self) -> View:
        """The part of the slide that is seen."""
        (x, columns), (y, rows) = (
            _seen(wanted, n, self.pixel_size)
            for wanted, n in ((self.x_range, self.shape[1]), (self.y_range, self.shape[0]))
        )
        return View(x, y, rows, columns)

    def take_crop(self) -> tuple[slice, slice]:
        """Put the rows and columns that are seen into `crop`, for labelling, and return them.

        Raises
        ------
        ValueError
            If they are more than `MAX_CROP`.
        """
        seen = self.view
        sides = [side.stop - side.start for side in (seen.rows, seen.columns)]
        if max(sides) > MAX_CROP:
            raise ValueError(
                f"{sides[0]} rows and {sides[1]} columns are seen, and {MAX_CROP} can be labelled "
                "at once. Zoom in."
            )
        self.crop = seen.rows, seen.columns
        return seen.rows, seen.columns

    # ---- regions

    @property
    def regions(self) -> Regions:
        """Corners of regions by name, (N, 2) x and y in µm; they are also in `regions_path`.

        Assign another mapping to replace them; what is changed in this copy has no effect.
        """
        return {name: corners.copy() for name, corners in self._regions.items()}

    @regions.setter
    def regions(self, regions: Mapping[str, ArrayLike]) -> None:
        self._change(lambda _: check_regions(regions))

    def add_region(self, name: str, corners: ArrayLike) -> None:
        """Add a region, or replace the one of this name.

        Parameters
        ----------
        name : str
        corners : (N, 2) array
            x and y in µm, at least three.

        Raises
        ------
        ValueError
            If there are fewer corners, or no name.
        OSError
            If it cannot be saved; the region is in `regions` all the same.
        """
        added = check_regions({name: corners})
        self._change(lambda there: {**there, **added})

    def remove_region(self, name: str) -> None:
        """Remove a region."""
        self._change(lambda there: {n: c for n, c in there.items() if n != name})

    def _change(self, change: Callable[[Regions], Regions]) -> None:
        # from what is on disk, so that two viewers do not undo each other's work
        self._regions = change(read_regions(self.output) if self._all_saved else self._regions)
        self._all_saved = False
        self.drawn += 1
        write_regions(self.output, self._regions)
        self._all_saved = True


def regions_path(output: str | Path) -> Path:
    """Return where the regions of a slide are kept."""
    return Path(output, "run", "regions.json")


def read_regions(output: str | Path) -> Regions:
    """Return the regions that were drawn on a slide: corners by name, (N, 2) x and y in µm.

    Raises
    ------
    ValueError
        If the file is not of regions.
    """
    path = regions_path(output)
    if not path.exists():
        return {}
    try:
        return check_regions(json.loads(path.read_text("utf-8"))["regions_um"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} holds no regions ({error}). Correct it, or move it away to begin anew."
        ) from error


def write_regions(output: str | Path, regions: Mapping[str, ArrayLike]) -> Path:
    """Keep the regions of a slide with it, in place of those that are there."""
    corners = {name: xy.tolist() for name, xy in check_regions(regions).items()}
    return write_json(regions_path(output), {"regions_um": corners}, overwrite=True)


def check_regions(regions: Mapping[str, ArrayLike]) -> Regions:
    """Return regions as arrays.

    Raises
    ------
    ValueError
        If one has no name, fewer than three corners, or corners that are not x, y.

    Examples
    --------
    >>> check_regions({"left": [[0, 0], [4, 0], [4, 6]]})["left"].shape
    (3, 2)
    """
    checked = {}
    for name, corners in regions.items():
        if not str(name).strip():
            raise ValueError("A region has no name. Give it one.")
        xy = np.asarray(corners, float)
        if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) < 3 or not np.isfinite(xy).all():
            raise ValueError(
                f"Region {name!r} has corners of shape {xy.shape}, expected three or more of x, y "
                "in µm. Draw it again."
            )
        checked[str(name)] = xy
    return checked


def _seen(wanted: Range | None, n_pixels: int, pixel_size: float) -> tuple[Range, slice]:
    """Return what of a range lies on the slide, and the pixels there; of no range, all."""
    ends = -pixel_size / 2, (n_pixels - 0.5) * pixel_size
    low, high = sorted(wanted) if wanted and np.isfinite(wanted).all() else ends
    low, high = max(low, ends[0]), min(high, ends[1])
    if low >= high:
        low, high = ends
    # rounding must not add a pixel of which nothing is seen
    first, last = low / pixel_size + 0.5 + 1e-6, high / pixel_size + 0.5 - 1e-6
    return (low, high), slice(int(first), min(int(last) + 1, n_pixels))
