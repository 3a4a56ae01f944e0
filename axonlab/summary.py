"""Summaries of the fibres of fields and of their regions, made from sums that can be added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from skimage.draw import polygon2mask

from axonlab.micrograph import CLASSES, check_pixel_size, check_plane

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

_NEEDED = [
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
) -> pd.DataFrame:
    """Summarise the fibres of every region of a field, such as a tract.

    Parameters
    ----------
    fibres, labels, pixel_size
        As for `summarise`.
    regions : (H, W) integer array, or mapping of str to (N, 2) array
        An id for every pixel, 0 for those in no region; or polygons by name, whose corners are
        x, y in µm from the centre of the first pixel, as in figures and in the table.

    Returns
    -------
    DataFrame
        One row per region: `region`, its id or name, and the columns of `quantities`.

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
    of the field this is right on average: what two sides leave out, the other two bring in.
    """
    return quantities(region_sums(fibres, labels, regions, pixel_size=pixel_size))


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
    everywhere = np.ones(labels.shape, np.uint8)
    sums = _sums(fibres, labels, everywhere, 1, pixel_size)
    return {name: float(values[0]) for name, values in sums.items()}


def region_sums(
    fibres: pd.DataFrame,
    labels: NDArray[np.uint8],
    regions: NDArray[np.integer] | Mapping[str, ArrayLike],
    *,
    pixel_size: float,
) -> pd.DataFrame:
    """Return the sums of `field_sums` for every region, see `summarise_regions`."""
    pixel_size = check_pixel_size(pixel_size, "labels")
    mask, names = _region_mask(regions, labels.shape, pixel_size)
    return pd.DataFrame({"region": names, **_sums(fibres, labels, mask, len(names), pixel_size)})


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


def _sums(
    fibres: pd.DataFrame,
    labels: NDArray[np.uint8],
    mask: NDArray[np.integer],
    n: int,
    pixel_size: float,
) -> dict[str, NDArray[np.float64]]:
    """Return the sums of `field_sums`, each for the regions 1 to n of a mask."""
    pixel_size = check_pixel_size(pixel_size, "labels")
    check_plane(labels, "labels")
    check_columns(fibres, _NEEDED, "the table of measure_fibres")
    check_fibres_once(fibres)

    def total(region: NDArray[np.integer], values: ArrayLike | None = None) -> NDArray[np.float64]:
        return np.bincount(region.ravel(), values, minlength=n + 1)[1:].astype(np.float64)

    def area(pixels: NDArray[np.integer]) -> NDArray[np.float64]:
        return total(pixels) * pixel_size**2

    y, x = np.rint(fibres[["centroid_y_um", "centroid_x_um"]].to_numpy().T / pixel_size).astype(int)
    if len(fibres) and (y.max() >= labels.shape[0] or x.max() >= labels.shape[1]):
        raise ValueError(
            f"A fibre at row {y.max()}, column {x.max()} is not in labels of shape {labels.shape}: "
            f"take table and labels of the same image, and its pixel size (given: {pixel_size} µm)."
        )
    region = mask[y, x]
    myelinated, in_frame = fibres["is_myelinated"], fibres["in_counting_frame"]
    complete = myelinated & ~fibres["touches_border"]
    bare = (fibres["axon_area_um2"] > 0) & ~myelinated
    return {
        "field_area_um2": area(mask),
        "frame_area_um2": area(mask[1:, 1:]),
        "axon_area_um2": area(mask[labels == CLASSES["axon"]]),
        "bare_area_um2": area(mask[labels == CLASSES["unmyelinated axon"]]),
        "myelin_area_um2": area(mask[labels == CLASSES["myelin"]]),
        "n_fibres": total(region[myelinated]),
        "n_counted": total(region[myelinated & in_frame]),
        "n_complete": total(region[complete]),
        "n_unmyelinated": total(region[bare]),
        "n_unmyelinated_counted": total(region[bare & in_frame]),
        **{f"sum_{name}": total(region[complete], fibres.loc[complete, name]) for name in MEASURES},
    }


def _region_mask(
    regions: NDArray[np.integer] | Mapping[str, ArrayLike],
    shape: tuple[int, ...],
    pixel_size: float,
) -> tuple[NDArray[np.intp], list[Any]]:
    """Return a mask of regions numbered from 1 without gaps, and their ids or names."""
    if isinstance(regions, Mapping):
        return _draw_regions(regions, shape, pixel_size), list(regions)
    if regions.shape != shape or regions.dtype.kind not in "iu" or regions.min() < 0:
        raise ValueError(
            f"regions of shape {regions.shape} and type {regions.dtype} from {regions.min()}: "
            f"expected whole ids from 0 in the shape of the labels, {shape}."
        )
    numbers, ids = pd.factorize(regions.ravel(), sort=True)
    names = list(ids)
    numbers = numbers.reshape(shape)
    return (numbers, names[1:]) if names[0] == 0 else (numbers + 1, names)


def _draw_regions(
    polygons: Mapping[str, ArrayLike], shape: tuple[int, ...], pixel_size: float
) -> NDArray[np.intp]:
    mask = np.zeros(shape, np.intp)
    for number, (name, corners) in enumerate(polygons.items(), 1):
        yx = np.asarray(corners, float).reshape(-1, 2)[:, ::-1] / pixel_size
        inside = polygon2mask(shape, yx)  # type: ignore[no-untyped-call]
        if not inside.any():
            raise ValueError(f"Region {name!r} holds no pixel: its corners are x, y in µm.")
        if mask[inside].any():
            other = list(polygons)[mask[inside].max() - 1]
            raise ValueError(f"Regions {other!r} and {name!r} overlap: a fibre can be of one only.")
        mask[inside] = number
    return mask


def _row(
    quantity: str, unit: str, value: float, n: float = np.nan, **spread: float
) -> dict[str, object]:
    return {"quantity": quantity, "unit": unit, "value": float(value), "n": n, **spread}
