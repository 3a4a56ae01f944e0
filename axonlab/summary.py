"""Summaries of the fibres of fields and of their regions, made from sums that can be added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from axonlab.micrograph import CLASSES, check_pixel_size, check_plane
from axonlab.regions import Regions, Whole, drawn_regions

MEASURES = {
    "axon_diameter_um": "axon diameter",
    "fibre_diameter_um": "fibre diameter",
    "myelin_thickness_um": "myelin thickness",
    "g_ratio": "g-ratio by area",
}
"""The columns of `axonlab.measure.measure_fibres` whose means are told, and what they are."""

SUMS = [
    "field_area_um2",
    "frame_area_um2",
    "axon_area_um2",
    "bare_area_um2",
    "myelin_area_um2",
    "n_fibres",
    "n_counted",
    "n_complete",
    "n_unmyelinated",
    "n_unmyelinated_counted",
    *(f"sum_{name}" for name in MEASURES),
]
"""What `field_sums` returns."""

COUNTED = ("drawn", "field", "frame", "axon", "bare", "myelin")
"""The pixels that `count_pixels` counts: of a region as it was drawn, and as far as it was seen."""

NEEDED = [
    "fibre_id",
    *MEASURES,
    "centroid_y_um",
    "centroid_x_um",
    "axon_area_um2",
    "myelin_area_um2",
    "is_myelinated",
    "touches_border",
    "in_counting_frame",
]
"""The columns of `axonlab.measure.measure_fibres` that sums are made of."""


def summarise(
    fibres: pd.DataFrame, labels: NDArray[np.uint8], *, pixel_size: float
) -> pd.DataFrame:
    r"""Summarise the fibres of one field.

    Parameters
    ----------
    fibres : DataFrame
        From `axonlab.measure.measure_fibres`.
    labels : (H, W) uint8 array
        The class ids that the fibres were found in.
    pixel_size : float
        In µm.

    Returns
    -------
    DataFrame
        One row per quantity: `quantity`, `unit`, `value`, the number `n` of fibres it rests on
        (missing for areas of classes) and, for distributions, whose `value` is the mean, `sd`,
        `median`, `q25` and `q75`.

    Raises
    ------
    ValueError
        If the table lacks a column or has a fibre twice, or the pixel size is absurd.

    Notes
    -----
    Density rests on the counting frame. It leaves out what begins in the first row or column,
    so the frame is one row and one column smaller than the field. Beside it stand the two that are
    often told: the count of all fibres is too high, since some are only partly there, and that of
    the complete ones too low. Volume fractions are areas of classes over the area of the field,
    whether or not they became part of a fibre; the aggregate g-ratio is
    :math:`1/\sqrt{1 + MVF/AVF}` (Stikov et al. 2015, doi:10.1016/j.neuroimage.2015.05.023), with
    the AVF of class axon. Distributions rest on myelinated fibres that do not touch the border.
    """
    sums = field_sums(fibres, labels, pixel_size=pixel_size)
    whole = quantities(pd.DataFrame([sums])).iloc[0]
    n_fibres, complete = sums["n_fibres"], sums["n_complete"]
    lost_axon = sums["axon_area_um2"] + sums["bare_area_um2"] - fibres["axon_area_um2"].sum()
    lost_myelin = sums["myelin_area_um2"] - fibres["myelin_area_um2"].sum()
    frame, every, fewer = (whole[f"density{which}_per_mm2"] for which in ("", "_all", "_complete"))
    n_bare, n_bare_counted = sums["n_unmyelinated"], sums["n_unmyelinated_counted"]
    rows = [
        _row("field area", "um2", sums["field_area_um2"]),
        _row("myelinated fibres", "", n_fibres, n_fibres),
        _row("of these touching the border", "", n_fibres - complete),
        _row("axons without myelin", "", n_bare),
        _row("axon area in no fibre", "um2", lost_axon),
        _row("myelin area in no fibre", "um2", lost_myelin),
        _row("density of myelinated fibres, counting frame", "1/mm2", frame, sums["n_counted"]),
        _row("density of all myelinated fibres, too high", "1/mm2", every, n_fibres),
        _row("density of complete myelinated fibres, too low", "1/mm2", fewer, complete),
        _row(
            "density of axons without myelin, counting frame",
            "1/mm2",
            whole["unmyelinated_density_per_mm2"],
            n_bare_counted,
        ),
        _row("axon volume fraction (AVF)", "", whole["axon_volume_fraction"]),
        _row("unmyelinated axon volume fraction", "", whole["unmyelinated_axon_volume_fraction"]),
        _row("myelin volume fraction (MVF)", "", whole["myelin_volume_fraction"]),
        _row("aggregate g-ratio", "", whole["aggregate_g_ratio"]),
    ]
    measured = fibres[fibres["is_myelinated"] & ~fibres["touches_border"]]
    for column, quantity in MEASURES.items():
        values = measured[column]
        quartiles = values.quantile([0.25, 0.5, 0.75]).tolist()
        spread = dict(zip(("q25", "median", "q75"), quartiles, strict=True))
        unit = "um" if column.endswith("_um") else ""
        rows.append(_row(quantity, unit, values.mean(), len(values), sd=values.std(), **spread))
    return pd.DataFrame(rows).astype({"n": "Int64"})


def summarise_regions(
    fibres: pd.DataFrame,
    labels: NDArray[np.uint8],
    regions: NDArray[np.integer] | Mapping[str, ArrayLike],
    *,
    pixel_size: float,
    blank: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Summarise the fibres of every region of a field, such as a tract.

    Parameters
    ----------
    fibres, labels, pixel_size
        As for `summarise`.
    regions : (H, W) integer array, or mapping of str to (N, 2) array
        An id for every pixel, 0 for those in no region; or polygons by name, whose corners are
        x, y in µm from the centre of the first pixel, as in figures and in the table.
    blank : (H, W) bool array, optional
        Pixels in which nothing was seen: they are no area of any region or class.

    Returns
    -------
    DataFrame
        One row per region: `region`, its id or name, `blank_area_um2`, which is in no other
        area, and the columns of `quantities`.

    Raises
    ------
    ValueError
        If the regions have another shape than the labels, overlap or hold no pixel, the table
        lacks a column or has a fibre twice, or the pixel size is absurd.

    Notes
    -----
    A fibre is of the region in which its centre lies: each is counted once, in one region. Those
    in the counting frame, over the area that the region has within the frame, give its density;
    where a region is the whole field, that is the density of the field. Where it reaches the edge
    of the field this is right on average: what two sides leave out, the other two bring in. Where
    blank area cuts fibres there is no such frame: what is left of each counts for one.
    """
    return quantities(region_sums(fibres, labels, regions, pixel_size=pixel_size, blank=blank))


def field_sums(
    fibres: pd.DataFrame, labels: NDArray[np.uint8], *, pixel_size: float
) -> dict[str, float]:
    """Return what can be added over fields: counts, areas and sums of measures.

    Parameters
    ----------
    fibres, labels, pixel_size
        As for `summarise`.

    Returns
    -------
    dict
        Areas in µm²: `field_area_um2`, `frame_area_um2` and those of the classes
        (`axon_area_um2`, `bare_area_um2`, `myelin_area_um2`). Numbers of myelinated fibres:
        `n_fibres`, `n_counted` in the frame, `n_complete` that do not touch the border; of axons
        without myelin: `n_unmyelinated`, `n_unmyelinated_counted`. Sums over complete fibres:
        `sum_axon_diameter_um` and so on, one per `MEASURES`.
    """
    pixel_size = check_pixel_size(pixel_size, "labels")
    check_plane(labels, "labels")
    sums = sums_of(fibres, labels, Whole(), pixel_size=pixel_size)
    return {name: float(sums[name].iloc[0]) for name in SUMS}


def region_sums(
    fibres: pd.DataFrame,
    labels: NDArray[np.uint8],
    regions: NDArray[np.integer] | Mapping[str, ArrayLike],
    *,
    pixel_size: float,
    blank: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return the sums of `field_sums` for every region, see `summarise_regions`."""
    pixel_size = check_pixel_size(pixel_size, "labels")
    check_plane(labels, "labels")
    height, width = labels.shape
    if isinstance(regions, np.ndarray):
        _check_shape(regions, labels, "regions")
    drawn = drawn_regions(regions, (height, width), pixel_size)
    return sums_of(fibres, labels, drawn, pixel_size=pixel_size, blank=blank)


def sums_of(
    fibres: pd.DataFrame,
    labels: NDArray[np.uint8],
    regions: Regions,
    *,
    pixel_size: float,
    blank: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return the sums of `field_sums` for drawn regions; `region_sums` draws them."""
    if blank is not None:
        _check_shape(blank, labels, "blank")
    y, x = centre_pixels(fibres, labels.shape, pixel_size)
    mask = regions.window(*(slice(0, n) for n in labels.shape))
    counts = count_pixels(labels, mask, len(regions.names), blank=blank)
    return add_up(fibres, mask[y, x], counts, names=regions.names, pixel_size=pixel_size)


def quantities(sums: pd.DataFrame) -> pd.DataFrame:
    """Return densities, fractions and means from sums of fields or of regions.

    Parameters
    ----------
    sums : DataFrame
        With the columns of `field_sums`; others are kept in front.

    Returns
    -------
    DataFrame
        One row per row: `field_area_um2`; the numbers `n_fibres` and `n_complete` of myelinated
        fibres and `n_unmyelinated` of axons without myelin; `density_per_mm2` by counting frame,
        beside it `density_all_per_mm2`, too high, and `density_complete_per_mm2`, too low;
        `unmyelinated_density_per_mm2`; `axon_volume_fraction`,
        `unmyelinated_axon_volume_fraction`, `myelin_volume_fraction`, `aggregate_g_ratio`; the
        means of complete fibres by the names of `MEASURES`. NaN where there is nothing to tell.
    """
    field, frame = sums["field_area_um2"], sums["frame_area_um2"]
    axon, bare, myelin = (sums[f"{name}_area_um2"] for name in ("axon", "bare", "myelin"))
    per_mm2 = 1e6
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "density_per_mm2": per_mm2 * sums["n_counted"] / frame,
            "density_all_per_mm2": per_mm2 * sums["n_fibres"] / field,
            "density_complete_per_mm2": per_mm2 * sums["n_complete"] / field,
            "unmyelinated_density_per_mm2": per_mm2 * sums["n_unmyelinated_counted"] / frame,
            "axon_volume_fraction": axon / field,
            "unmyelinated_axon_volume_fraction": bare / field,
            "myelin_volume_fraction": myelin / field,
            "aggregate_g_ratio": np.sqrt(axon / (axon + myelin)).where(axon > 0),
            **{name: sums[f"sum_{name}"] / sums["n_complete"] for name in MEASURES},
        }
    names = [column for column in sums if column not in SUMS]
    numbers = {
        name: sums[name].astype(int) for name in ("n_fibres", "n_complete", "n_unmyelinated")
    }
    return sums[names].assign(field_area_um2=field, **numbers, **found)


def check_columns(table: pd.DataFrame, needed: Iterable[str], expected: str) -> None:
    """Raise ValueError unless a table has these columns; say what was expected."""
    missing = [column for column in needed if column not in table]
    if missing:
        raise ValueError(
            f"The table lacks the columns {missing}; it has {list(table)}. Expected {expected}."
        )


def check_fibres_once(fibres: pd.DataFrame) -> None:
    """Raise ValueError if a table of fibres has an id twice."""
    is_twice = fibres["fibre_id"].duplicated()
    if is_twice.any():
        raise ValueError(
            f"The table has fibres twice (ids {fibres['fibre_id'][is_twice][:5].tolist()} …): of "
            "several images, treat one at a time."
        )


def count_pixels(
    labels: NDArray[np.uint8],
    mask: NDArray[np.integer],
    n: int,
    *,
    blank: NDArray[np.bool_] | None = None,
    at: tuple[int, int] = (0, 0),
) -> NDArray[np.int64]:
    """Count the pixels of the regions 1 to n of a field, or of a window of it: counts add up.

    Parameters
    ----------
    labels : (h, w) uint8 array
        Class ids of the window.
    mask : (h, w) integer array
        Regions by number, 0 is none.
    n : int
    blank : (h, w) bool array, optional
        Pixels in which nothing was seen.
    at : pair of int
        Row and column of the field at which the window begins. The counting frame leaves out the
        first of each.

    Returns
    -------
    (6, n) int64 array
        Of the `COUNTED` pixels; all but those drawn are without the blank ones.
    """
    seen = mask if blank is None else np.where(blank, 0, mask)
    in_frame = seen[tuple(slice(int(start == 0), None) for start in at)]
    classes = [labels == CLASSES[name] for name in ("axon", "unmyelinated axon", "myelin")]
    counted = [mask, seen, in_frame, *(seen[is_class] for is_class in classes)]
    return np.stack([np.bincount(part.ravel(), minlength=n + 1)[1:] for part in counted])


def centre_pixels(
    fibres: pd.DataFrame, shape: tuple[int, ...], pixel_size: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the pixels in which the centres of fibres lie.

    Raises
    ------
    ValueError
        If the table lacks a column, has a fibre twice or is of another field.
    """
    check_columns(fibres, NEEDED, "the table of measure_fibres")
    check_fibres_once(fibres)
    y, x = np.rint(fibres[["centroid_y_um", "centroid_x_um"]].to_numpy().T / pixel_size).astype(int)
    if len(fibres) and (y.max() >= shape[0] or x.max() >= shape[1]):
        raise ValueError(
            f"A fibre at row {y.max()}, column {x.max()} is not in labels of shape {shape}: "
            f"take table and labels of the same image, and its pixel size (given: {pixel_size} µm)."
        )
    return y, x


def add_up(
    fibres: pd.DataFrame,
    region: NDArray[np.integer],
    counts: NDArray[np.int64],
    *,
    names: Sequence[Any],
    pixel_size: float,
) -> pd.DataFrame:
    """Return the sums of `field_sums` by region, from what was counted window by window.

    Parameters
    ----------
    fibres : DataFrame
    region : (n_fibres,) integer array
        In which region the centre of each fibre lies, by number, 0 for none.
    counts : (6, n) array
        From `count_pixels`.
    names : sequence
        Of the regions.
    pixel_size : float
        In µm.

    Returns
    -------
    DataFrame
        One row per region: `region`, `blank_area_um2` and the columns of `field_sums`.

    Raises
    ------
    ValueError
        If a region holds no pixel.
    """
    for name, drawn in zip(names, counts[0], strict=True):
        if not drawn:
            raise ValueError(f"Region {name!r} holds no pixel: it is too small, or none is left.")

    def total(some: NDArray[np.integer], values: ArrayLike | None = None) -> NDArray[np.float64]:
        return np.bincount(some, values, minlength=len(names) + 1)[1:].astype(np.float64)

    myelinated, in_frame = fibres["is_myelinated"], fibres["in_counting_frame"]
    complete = myelinated & ~fibres["touches_border"]
    bare = (fibres["axon_area_um2"] > 0) & ~myelinated
    blank, *areas = np.stack([counts[0] - counts[1], *counts[1:]]) * pixel_size**2
    return pd.DataFrame(
        {
            "region": names,
            "blank_area_um2": blank,
            **{f"{name}_area_um2": area for name, area in zip(COUNTED[1:], areas, strict=True)},
            "n_fibres": total(region[myelinated]),
            "n_counted": total(region[myelinated & in_frame]),
            "n_complete": total(region[complete]),
            "n_unmyelinated": total(region[bare]),
            "n_unmyelinated_counted": total(region[bare & in_frame]),
            **{
                f"sum_{name}": total(region[complete], fibres.loc[complete, name])
                for name in MEASURES
            },
        }
    )


def _check_shape(plane: NDArray[np.generic], labels: NDArray[np.uint8], name: str) -> None:
    if plane.shape != labels.shape:
        raise ValueError(
            f"{name} of shape {plane.shape}: expected one value for every pixel of the labels, of "
            f"shape {labels.shape}."
        )


def _row(
    quantity: str, unit: str, value: float, n: float = np.nan, **spread: float
) -> dict[str, object]:
    return {"quantity": quantity, "unit": unit, "value": float(value), "n": n, **spread}
