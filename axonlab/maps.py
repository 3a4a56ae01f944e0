"""Where in a field or a slide the fibres are how: maps on a grid, and summaries of tracts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import ArrayLike, NDArray

from axonlab.literature import CITATIONS, OF_TRACTS, OPTIMA, USUAL_G_RATIO
from axonlab.micrograph import check_pixel_size, check_plane
from axonlab.omezarr import Region, open_levels, tiles
from axonlab.pixelsize import ome_zarr_pixel_sizes
from axonlab.regions import Grid, Regions, Whole, drawn_regions
from axonlab.summary import (
    COUNTED,
    MEASURES,
    NEEDED,
    add_up,
    centre_pixels,
    check_columns,
    count_pixels,
    quantities,
    sums_of,
)

MIN_SEEN = 0.5
"""Share of a cell that must have been seen: of less, a density is mostly chance."""

MIN_FIBRES = 5
"""Complete fibres in a cell from which their mean is told."""

QUANTITIES = {
    "field_area_um2": ("area seen", "µm²"),
    "n_fibres": ("myelinated fibres", ""),
    "n_complete": ("of these not touching the border", ""),
    "n_unmyelinated": ("axons without myelin", ""),
    "density_per_mm2": ("density of myelinated fibres", "1/mm²"),
    "unmyelinated_density_per_mm2": ("density of axons without myelin", "1/mm²"),
    "axon_volume_fraction": ("axon volume fraction (AVF)", ""),
    "unmyelinated_axon_volume_fraction": ("unmyelinated axon volume fraction", ""),
    "myelin_volume_fraction": ("myelin volume fraction (MVF)", ""),
    "aggregate_g_ratio": ("aggregate g-ratio", ""),
    "axon_diameter_um": ("mean axon diameter", "µm"),
    "fibre_diameter_um": ("mean fibre diameter", "µm"),
    "myelin_thickness_um": ("mean myelin thickness", "µm"),
    "g_ratio": ("mean g-ratio, by area", ""),
}
"""Columns of `axonlab.summary.quantities` in words, and their units."""

_NUMBERS = ["n_fibres", "n_complete", "n_unmyelinated"]

_TOLD_BY_TRACT = [
    "density_per_mm2",
    "unmyelinated_density_per_mm2",
    "axon_diameter_um",
    "fibre_diameter_um",
    "myelin_thickness_um",
]

_Counted = tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.intp]]


def fibre_maps(
    fibres: pd.DataFrame,
    labels: NDArray[np.uint8],
    *,
    pixel_size: float,
    cell: float,
    blank: NDArray[np.bool_] | None = None,
    min_seen: float = MIN_SEEN,
    min_fibres: int = MIN_FIBRES,
) -> pd.DataFrame:
    """Summarise the fibres of every cell of a grid over a field.

    Parameters
    ----------
    fibres : DataFrame
        From `axonlab.measure.measure_fibres`.
    labels : (H, W) uint8 array
        The class ids that the fibres were found in.
    pixel_size : float
        In µm.
    cell : float
        Side of the square cells in µm. They begin at the upper left corner of the field.
    blank : (H, W) bool array, optional
        Pixels in which nothing was seen: they are no area of any cell.
    min_seen : float
        Share of a whole cell that must have been seen; less of it has neither densities,
        fractions nor means.
    min_fibres : int
        Complete myelinated fibres that a cell must have; those with fewer have no means.

    Returns
    -------
    DataFrame
        One row per cell, row by row: `row` and `column` from 0, `cell_um`, its centre
        `centre_y_um`, `centre_x_um` from the centre of the first pixel, `blank_area_um2` and the
        columns of `axonlab.summary.quantities`: `field_area_um2` is what was seen. NaN is what
        too little was seen for.

    Raises
    ------
    ValueError
        If a cell is smaller than a pixel or there are more than `axonlab.regions.MAX_CELLS`, the
        table lacks a column, has a fibre twice or is of another field, or the pixel size is
        absurd.

    Notes
    -----
    A cell is a region, see `axonlab.summary.summarise_regions`: a fibre counts in the cell in
    which its centre lies, a pixel of axon or myelin where it is. Counts and areas of all cells add
    up to those of the field. Of n fibres the density is known to about 1/√n of it. By the counting
    frame, which is unbiased for the field as a whole, cells along its upper and left side have too
    few fibres and those along the other two too many: by the radius of a fibre over `cell`.

    Examples
    --------
    >>> from axonlab.measure import measure_fibres
    >>> from axonlab.phantom import nerve
    >>> one = nerve((300, 400))
    >>> table = measure_fibres(one.axons, one.fibres, pixel_size=0.1)
    >>> maps = fibre_maps(table, one.labels, pixel_size=0.1, cell=20)
    >>> maps[["row", "column", "n_fibres", "density_per_mm2"]].round()
       row  column  n_fibres  density_per_mm2
    0    0       0        39          80806.0
    1    0       1        49         118090.0
    2    1       0        27         125628.0
    3    1       1        20         100000.0
    """
    pixel_size = check_pixel_size(pixel_size, "labels")
    check_plane(labels, "labels")
    height, width = labels.shape
    grid = Grid((height, width), pixel_size, cell)
    sums = sums_of(fibres, labels, grid, pixel_size=pixel_size, blank=blank)
    return _maps(sums, grid, min_seen, min_fibres)


def map_slide(
    output: str | Path,
    *,
    cell: float,
    min_seen: float = MIN_SEEN,
    min_fibres: int = MIN_FIBRES,
    client: Any = None,
) -> pd.DataFrame:
    """Return the `fibre_maps` of a slide that was segmented and measured, read tile by tile.

    Parameters
    ----------
    output : path
        Of the slide's results.
    cell, min_seen, min_fibres
        As for `fibre_maps`.
    client : distributed.Client, optional
        Of the cluster that is to count; it must see the same files.

    Raises
    ------
    FileNotFoundError
        If the slide has no classes or no table of fibres.
    ValueError
        As for `fibre_maps`.
    """
    grid = Grid(*_size(output), cell)
    return _maps(_slide_sums(output, grid, client), grid, min_seen, min_fibres)


def summarise_slide(
    output: str | Path,
    regions: Mapping[str, ArrayLike] | NDArray[np.integer] | None = None,
    *,
    names: Mapping[int, str] | None = None,
    client: Any = None,
) -> pd.DataFrame:
    """Summarise the fibres of every region of a slide that was segmented and measured.

    The numbers are those of `axonlab.summary.summarise_regions` for the slide as a whole; it is
    read tile by tile.

    Parameters
    ----------
    output : path
        Of the slide's results.
    regions : mapping of str to (N, 2) array, or (h, w) integer array, optional
        Polygons by name, whose corners are x, y in µm from the centre of the first pixel; or an
        id for every pixel, 0 for those in no region, of the slide at any coarser level: see
        `axonlab.regions.Mask`. Without it, the slide is one region called "whole".
    names : mapping of int to str, optional
        Of the ids of a mask; those left out are no regions then, such as 255, which is unlabelled
        in what was drawn in the label widget.
    client : distributed.Client, optional
        Of the cluster that is to count; it must see the same files.

    Returns
    -------
    DataFrame
        One row per region: `region`, its id or name, `blank_area_um2` and the columns of
        `axonlab.summary.quantities`. Where nothing was seen is in no other area than
        `blank_area_um2`: densities and fractions are of what was seen.

    Raises
    ------
    FileNotFoundError
        If the slide has no classes or no table of fibres.
    ValueError
        If polygons overlap or lie outside the slide, a mask does not fit it, or the table is not
        of this slide.
    """
    drawn: Regions = Whole()
    if regions is not None:
        drawn = drawn_regions(regions, *_size(output), names)
    return quantities(_slide_sums(output, drawn, client))


def tract_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Return what was found in every region side by side, and what the literature says.

    Parameters
    ----------
    summary : DataFrame
        From `summarise_slide` or `axonlab.summary.summarise_regions`.

    Returns
    -------
    DataFrame
        One row per quantity, by its name and unit; one column per region, then `literature` and
        `citation`, empty where there is nothing to cite. They are to be read beside the numbers,
        which they do not change.

    Raises
    ------
    ValueError
        If the summary lacks a column, or two regions are of one name.

    Examples
    --------
    >>> summary = pd.DataFrame({"region": ["left"], "g_ratio": [0.7]})
    >>> table = tract_table(summary.reindex(columns=["region", *QUANTITIES]))
    >>> table.loc["density of myelinated fibres (1/mm²)", "citation"]
    'Saliani et al. 2017, Front Neuroanat 11:129, doi:10.3389/fnana.2017.00129'
    """
    check_columns(summary, ["region", *QUANTITIES], "the table of summarise_slide")
    regions = summary["region"]
    if regions.duplicated().any():
        raise ValueError(
            f"Regions {regions[regions.duplicated()].tolist()} are there twice: make a table for "
            "each slide."
        )
    table = summary.set_index("region")[list(QUANTITIES)].astype(float).T
    table.index = pd.Index([_in_words(name) for name in QUANTITIES], name="quantity")
    table.columns.name = None
    said = [_literature(name) for name in QUANTITIES]
    return table.assign(
        literature=[text for text, _ in said],
        citation=["; ".join(f"{who}, {CITATIONS[who]}" for who in cited) for _, cited in said],
    )


def _in_words(column: str) -> str:
    words, unit = QUANTITIES[column]
    return f"{words} ({unit})" if unit else words


def _literature(column: str) -> tuple[str, list[str]]:
    """Return what the literature says of a quantity, and who says so."""
    if column == "g_ratio":
        usual = "{:g} to {:g} usual".format(*USUAL_G_RATIO)
        who = [name for name in CITATIONS if any(name in optimum for optimum in OPTIMA)]
        return "; ".join([usual, *OPTIMA]), who
    if column in _TOLD_BY_TRACT:
        return "spinal cord by tract: see citation", [OF_TRACTS]
    return "", []


def _maps(sums: pd.DataFrame, grid: Grid, min_seen: float, min_fibres: int) -> pd.DataFrame:
    """Return cells with their places and quantities, but for those that too little is known of."""
    row, column = np.divmod(sums["region"].to_numpy(), grid.cells[1])
    corner = -grid.pixel_size / 2
    places = {
        "row": row,
        "column": column,
        "cell_um": float(grid.cell),
        "centre_y_um": corner + (row + 0.5) * grid.cell,
        "centre_x_um": corner + (column + 0.5) * grid.cell,
    }
    found = quantities(sums.drop(columns="region"))
    areas = ["blank_area_um2", "field_area_um2"]
    is_seen = found["field_area_um2"] >= min_seen * grid.cell**2
    for name in found.columns.difference([*areas, *_NUMBERS]):
        enough = is_seen & (found["n_complete"] >= min_fibres) if name in MEASURES else is_seen
        found[name] = found[name].where(enough)
    return pd.concat([pd.DataFrame(places, index=found.index), found], axis=1)


def _size(output: str | Path) -> tuple[tuple[int, int], float]:
    """Return rows and columns of a slide, and its pixel size in µm."""
    path = Path(output) / "labels" / "classes"
    if not path.exists():
        raise FileNotFoundError(f"{output} has no labels/classes: segment the slide first.")
    height, width = open_levels(path)[0].shape
    ome: Any = zarr.open_group(path, mode="r").attrs["ome"]
    return (height, width), ome_zarr_pixel_sizes(ome["multiscales"][0])[0]


def _slide_sums(output: str | Path, regions: Regions, client: Any) -> pd.DataFrame:
    """Return the sums of every region of a slide."""
    (height, width), pixel_size = _size(output)
    output = Path(output).absolute()
    fibres = _read_fibres(output)
    y, x = centre_pixels(fibres, (height, width), pixel_size)

    classes = open_levels(output / "labels" / "classes")[0]
    tile = (classes.shards or classes.chunks)[0]
    boxes = tiles((height, width), tile)
    of_tile = y // tile * -(-width // tile) + x // tile
    order = np.argsort(of_tile, kind="stable")
    parts = np.split(order, np.searchsorted(of_tile[order], np.arange(1, len(boxes))))
    counts = np.zeros((len(COUNTED), len(regions.names)), np.int64)
    region = np.zeros(len(fibres), np.intp)
    centres = ((y[part], x[part]) for part in parts)
    for part, counted in zip(parts, _each(client, output, regions, boxes, centres), strict=True):
        present, pixels, region[part] = counted
        counts[:, present] += pixels
    return add_up(fibres, region, counts, names=regions.names, pixel_size=pixel_size)


def _each(
    client: Any,
    output: Path,
    regions: Regions,
    boxes: list[Region],
    centres: Iterable[tuple[NDArray[np.intp], NDArray[np.intp]]],
) -> Iterator[_Counted]:
    """Yield what was counted in each tile, in their order."""
    count = partial(_count_tile, output)
    if client is None:
        yield from map(count, repeat(regions), boxes, centres)
        return
    shared = client.scatter(regions, broadcast=True)
    futures = client.map(count, [shared] * len(boxes), boxes, list(centres), pure=False)
    for future in futures:
        yield future.result()


def _count_tile(
    output: Path,
    regions: Regions,
    box: Region,
    centres: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> _Counted:
    """Return the regions of a tile, what is in each, and of which the fibres are."""
    rows, columns = box
    labels = np.asarray(open_levels(output / "labels" / "classes")[0][box])
    blank = None
    if (output / "labels" / "blank").exists():
        blank = np.asarray(open_levels(output / "labels" / "blank")[0][box]) > 0
    mask = regions.window(rows, columns)
    y, x = centres
    at = (rows.start, columns.start)
    counts = count_pixels(labels, mask, len(regions.names), blank=blank, at=at)
    present = np.flatnonzero(counts[0])  # of a fine grid, few cells
    of_fibres = mask[y - rows.start, x - columns.start].astype(np.intp)
    return present, counts[:, present], of_fibres


def _read_fibres(output: Path) -> pd.DataFrame:
    """Return what sums are made of from the table of a slide, ordered by id."""
    parts = sorted((output / "tables" / "fibres.parquet").glob("*.parquet"))
    if not parts:
        raise FileNotFoundError(f"{output} has no tables/fibres.parquet: measure the slide first.")
    tables = []
    for part in parts:
        table = pd.read_parquet(part)
        check_columns(table, NEEDED, f"the table of measure_slide in {part}")
        tables.append(table[NEEDED])
    return pd.concat(tables).sort_values("fibre_id", kind="stable", ignore_index=True)
