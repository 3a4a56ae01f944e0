"""One row per fibre, and summaries. Every measurement is made from sums over pixels.

Sums of the pieces of an object are the sums of the object: tables of parts (strips of an image,
tiles of a slide) are added, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.micrograph import CLASSES, check_pixel_size, check_plane

STRIP_PIXELS = 1 << 20
"""Size of the strips that are measured one after another: their arrays stay in the cache."""

_ADDED = ["area", "y", "x", "yy", "xy", "xx", "crossings_straight", "crossings_diagonal"]
_SMALLEST = ["top", "left"]
_LARGEST = ["bottom", "right"]


def measure_fibres(
    axons: NDArray[np.int32], fibres: NDArray[np.int32], *, pixel_size: float
) -> pd.DataFrame:
    r"""Measure every fibre.

    Parameters
    ----------
    axons, fibres : (H, W) integer array
        Object ids as `axonlab.objects.label_fibres` returns them: 0 is background, an axon has
        the id of its fibre and lies within it.
    pixel_size : float
        In µm.

    Returns
    -------
    DataFrame
        One row per fibre, ordered by id.

        - `fibre_id`
        - `centroid_y_um`, `centroid_x_um`: of the fibre, from the centre of the first pixel
        - `axon_area_um2`, `fibre_area_um2`, `myelin_area_um2`
        - `axon_diameter_um`, `fibre_diameter_um`: of the circle of the same area
        - `myelin_thickness_um`: half their difference
        - `g_ratio`: their ratio; NaN where there is no myelin
        - `axon_minor_axis_um`, `axon_major_axis_um`, `fibre_minor_axis_um`,
          `fibre_major_axis_um`: of the ellipse with the same second moments
        - `g_ratio_minor_axis`: ratio of the minor axes
        - `axon_perimeter_um`, `fibre_perimeter_um`; `g_ratio_perimeter`, their ratio
          (unreliable below a radius of about 8 pixels)
        - `is_myelinated`, `touches_border`
        - `in_counting_frame`: false where the axon touches the upper or left edge, see Notes

    Raises
    ------
    ValueError
        If the arrays differ in shape, hold negative ids or other than whole numbers, or an axon
        reaches out of its fibre.

    Notes
    -----
    Equivalent diameter :math:`d = \sqrt{4A/\pi}`. Second moments count each pixel as a square
    (1/12 pixel² per axis). Perimeters by the Cauchy–Crofton formula in four directions: crossings
    of the outline with rows, columns and diagonals, times the spacing of these lines, times π/8.
    Counting frame: Gundersen 1977, doi:10.1111/j.1365-2818.1977.tb00062.x; a field that counts
    what touches two of its sides and not what touches the other two counts without bias.

    Examples
    --------
    >>> fibres = np.zeros((7, 7), np.int32)
    >>> fibres[1:6, 1:6] = 1
    >>> axons = np.zeros_like(fibres)
    >>> axons[2:5, 2:5] = 1
    >>> measure_fibres(axons, fibres, pixel_size=0.1)[["axon_area_um2", "g_ratio"]].round(3)
       axon_area_um2  g_ratio
    0           0.09      0.6
    """
    pixel_size = check_pixel_size(pixel_size, "axons and fibres")
    _check_objects(axons, fibres)
    fibre = _in_um(object_sums(fibres), pixel_size)
    axon = _in_um(object_sums(axons), pixel_size).reindex(fibre.index)
    axon["area"] = axon["area"].fillna(0.0)
    is_myelinated = (axon["area"] > 0) & (fibre["area"] > axon["area"])
    axon_diameter = np.sqrt(4 / np.pi * axon["area"])
    fibre_diameter = np.sqrt(4 / np.pi * fibre["area"])
    height, width = fibres.shape
    touches_first = (fibre["top"] == 0) | (fibre["left"] == 0)
    touches_last = (fibre["bottom"] == height - 1) | (fibre["right"] == width - 1)
    # Counted are axons: of a fibre at the edge the sheath alone may be seen, and is no fibre then.
    axon_touches_first = (axon["top"] == 0) | (axon["left"] == 0)
    return pd.DataFrame(
        {
            "fibre_id": fibre.index,
            "centroid_y_um": fibre["centroid_y"],
            "centroid_x_um": fibre["centroid_x"],
            "axon_area_um2": axon["area"],
            "fibre_area_um2": fibre["area"],
            "myelin_area_um2": fibre["area"] - axon["area"],
            "axon_diameter_um": axon_diameter,
            "fibre_diameter_um": fibre_diameter,
            "myelin_thickness_um": (fibre_diameter - axon_diameter) / 2,
            "g_ratio": (axon_diameter / fibre_diameter).where(is_myelinated),
            "axon_minor_axis_um": axon["minor_axis"],
            "axon_major_axis_um": axon["major_axis"],
            "fibre_minor_axis_um": fibre["minor_axis"],
            "fibre_major_axis_um": fibre["major_axis"],
            "g_ratio_minor_axis": (axon["minor_axis"] / fibre["minor_axis"]).where(is_myelinated),
            "axon_perimeter_um": axon["perimeter"],
            "fibre_perimeter_um": fibre["perimeter"],
            "g_ratio_perimeter": (axon["perimeter"] / fibre["perimeter"]).where(is_myelinated),
            "is_myelinated": is_myelinated,
            "touches_border": touches_first | touches_last,
            "in_counting_frame": (axon["area"] > 0) & ~axon_touches_first,
        }
    ).reset_index(drop=True)


def summarise(
    fibres: pd.DataFrame, labels: NDArray[np.uint8], *, pixel_size: float
) -> pd.DataFrame:
    r"""Summarise the fibres of one field.

    Parameters
    ----------
    fibres : DataFrame
        From `measure_fibres`.
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

    Notes
    -----
    Density rests on the counting frame. It leaves out what begins in the first row or column,
    so the frame is one row and one column smaller than the field. Volume fractions are areas of
    classes over the area of the field, whether or not they became part of a fibre; the aggregate
    g-ratio is :math:`1/\sqrt{1 + MVF/AVF}` (Stikov et al. 2015,
    doi:10.1016/j.neuroimage.2015.05.023), with the AVF of class axon. Distributions rest on
    myelinated fibres that do not touch the border.
    """
    pixel_size = check_pixel_size(pixel_size, "labels")
    height, width = labels.shape
    frame_mm2 = (height - 1) * (width - 1) * (pixel_size / 1e3) ** 2
    area = np.bincount(labels.ravel(), minlength=256) * pixel_size**2
    field = labels.size * pixel_size**2
    myelin, axon, bare = (area[CLASSES[c]] for c in ("myelin", "axon", "unmyelinated axon"))

    has_axon = fibres["axon_area_um2"] > 0
    myelinated = fibres[fibres["is_myelinated"]]
    complete = myelinated[~myelinated["touches_border"]]
    counted = int(myelinated["in_counting_frame"].sum())
    density = counted / frame_mm2 if frame_mm2 else np.nan
    rows = [
        _row("field area", "um2", field),
        _row("myelinated fibres", "", len(myelinated), len(myelinated)),
        _row("of these touching the border", "", len(myelinated) - len(complete)),
        _row("axons without myelin", "", (has_axon & ~fibres["is_myelinated"]).sum()),
        _row("axon area in no fibre", "um2", axon + bare - fibres["axon_area_um2"].sum()),
        _row("myelin area in no fibre", "um2", myelin - fibres["myelin_area_um2"].sum()),
        _row("density of myelinated fibres, counting frame", "1/mm2", density, counted),
        _row("axon volume fraction (AVF)", "", axon / field),
        _row("unmyelinated axon volume fraction", "", bare / field),
        _row("myelin volume fraction (MVF)", "", myelin / field),
        _row("aggregate g-ratio", "", 1 / np.sqrt(1 + myelin / axon) if axon else np.nan),
    ]
    for quantity, unit, column in (
        ("axon diameter", "um", "axon_diameter_um"),
        ("fibre diameter", "um", "fibre_diameter_um"),
        ("myelin thickness", "um", "myelin_thickness_um"),
        ("g-ratio by area", "", "g_ratio"),
    ):
        values = complete[column]
        quartiles = values.quantile([0.25, 0.5, 0.75]).tolist()
        spread = dict(zip(("q25", "median", "q75"), quartiles, strict=True))
        rows.append(_row(quantity, unit, values.mean(), len(values), sd=values.std(), **spread))
    return pd.DataFrame(rows).astype({"n": "Int64"})


def object_sums(objects: NDArray[np.integer]) -> pd.DataFrame:
    """Return what adds up over the pixels of each object of an image.

    Parameters
    ----------
    objects : (H, W) integer array
        0 is background.

    Returns
    -------
    DataFrame
        Indexed by id, in pixels: `area`; sums of the coordinates (`y`, `x`) and of their products
        (`yy`, `xy`, `xx`); crossings of the outline with rows and columns
        (`crossings_straight`) and with both diagonals (`crossings_diagonal`); first and last row
        and column (`top`, `left`, `bottom`, `right`).
    """
    rows = max(1, STRIP_PIXELS // objects.shape[1])
    strips = [_strip_sums(objects, top, rows) for top in range(0, len(objects), rows)]
    return merge_sums(strips)


def merge_sums(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Add up the sums of parts of the same objects."""
    how = dict.fromkeys(_ADDED, "sum") | dict.fromkeys(_SMALLEST, "min")
    return pd.concat(parts).groupby(level=0).agg(how | dict.fromkeys(_LARGEST, "max"))


def _strip_sums(objects: NDArray[np.integer], top: int, rows: int) -> pd.DataFrame:
    """Return the sums over some rows; crossings with the row above belong to the lower one."""
    strip = objects[top : top + rows]
    row, first, last, run_ids = _runs(strip)
    ids, run_of = np.unique(run_ids, return_inverse=True)

    def total(per_run: NDArray[np.number]) -> NDArray[np.float64]:
        # whole numbers: exact below 2^53
        return np.bincount(run_of, per_run, minlength=len(ids)).astype(np.float64)

    y = row + top
    length = last - first + 1
    sum_x = (first + last) * length // 2
    sums = {
        "area": total(length),
        "y": total(y * length),
        "x": total(sum_x),
        "yy": total(y * y * length),
        "xy": total(y * sum_x),
        "xx": total(_sum_of_squares(last) - _sum_of_squares(first - 1)),
        "crossings_straight": total(np.full(len(row), 2)),
        "crossings_diagonal": np.zeros(len(ids)),
        "top": _extreme(np.minimum, run_of, y, len(ids)),
        "left": _extreme(np.minimum, run_of, first, len(ids)),
        "bottom": _extreme(np.maximum, run_of, y, len(ids)),
        "right": _extreme(np.maximum, run_of, last, len(ids)),
    }
    table = pd.DataFrame(sums, index=ids)
    for column, found in _crossings(objects, top, rows):
        crossed, count = np.unique(found, return_counts=True)
        # an object may end with the row above: then it is counted here without any pixel
        table = table.reindex(table.index.union(crossed))
        table.loc[crossed, column] = table.loc[crossed, column].fillna(0) + count
    fill = dict.fromkeys(_ADDED, 0) | dict.fromkeys(_SMALLEST, np.inf)
    return table.fillna(fill | dict.fromkeys(_LARGEST, -np.inf))


def _runs(strip: NDArray[np.integer]) -> tuple[NDArray[np.int64], ...]:
    """Return row, first and last column and id of all horizontal runs of one object."""
    width = strip.shape[1]
    starts = np.ones(strip.shape, bool)
    np.not_equal(strip[:, 1:], strip[:, :-1], out=starts[:, 1:])
    begin = np.flatnonzero(starts)
    end = np.append(begin[1:], strip.size) - 1
    ids = strip.ravel()[begin]
    begin, end, ids = begin[ids != 0], end[ids != 0], ids[ids != 0]
    row = begin // width
    return row, begin - row * width, end - row * width, ids


def _crossings(
    objects: NDArray[np.integer], top: int, rows: int
) -> Iterator[tuple[str, NDArray[np.integer]]]:
    """Yield, column by column of the table, the ids on either side of every crossing."""
    height, width = objects.shape
    last = top + rows >= height  # what lies beyond the image is background
    block = np.zeros((min(rows, height - top) + 1 + last, width + 2), objects.dtype)
    inner = objects[max(top - 1, 0) : top + rows]
    block[(top == 0) : (top == 0) + len(inner), 1:-1] = inner
    upper, lower = block[:-1], block[1:]
    for column, a, b in (
        ("crossings_straight", upper, lower),
        ("crossings_diagonal", upper[:, :-1], lower[:, 1:]),
        ("crossings_diagonal", upper[:, 1:], lower[:, :-1]),
    ):
        differ = a != b
        both = np.concatenate([a[differ], b[differ]])
        yield column, both[both != 0]


def _extreme(
    ufunc: np.ufunc, group: NDArray[np.intp], values: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    result = np.full(n, np.inf if ufunc is np.minimum else -np.inf)
    ufunc.at(result, group, values)
    return result


def _sum_of_squares(n: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0² + 1² + … + n²."""
    return n * (n + 1) * (2 * n + 1) // 6


def _in_um(sums: pd.DataFrame, pixel_size: float) -> pd.DataFrame:
    """Turn sums over pixels into measurements in µm; first and last rows stay in pixels."""
    area = sums["area"]
    y, x = sums["y"] / area, sums["x"] / area
    # variances of the pixels' squares, not of their centres
    yy = sums["yy"] / area - y**2 + 1 / 12
    xx = sums["xx"] / area - x**2 + 1 / 12
    xy = sums["xy"] / area - x * y
    mean, half_range = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    crossings = sums["crossings_straight"] + sums["crossings_diagonal"] / np.sqrt(2)
    return sums[_SMALLEST + _LARGEST].assign(
        area=area * pixel_size**2,
        centroid_y=y * pixel_size,
        centroid_x=x * pixel_size,
        minor_axis=4 * np.sqrt(np.maximum(mean - half_range, 0)) * pixel_size,
        major_axis=4 * np.sqrt(mean + half_range) * pixel_size,
        perimeter=np.pi / 8 * crossings * pixel_size,
    )


def _row(
    quantity: str, unit: str, value: float, n: float = np.nan, **spread: float
) -> dict[str, object]:
    return {"quantity": quantity, "unit": unit, "value": float(value), "n": n, **spread}


def _check_objects(axons: NDArray[np.integer], fibres: NDArray[np.integer]) -> None:
    for name, objects in (("axons", axons), ("fibres", fibres)):
        check_plane(objects, name)
        if objects.dtype.kind not in "iu" or objects.min() < 0:
            raise ValueError(
                f"{name}: expected whole ids from 0, got {objects.dtype} from {objects.min()}."
            )
    if axons.shape != fibres.shape:
        raise ValueError(
            f"axons of shape {axons.shape} and fibres of {fibres.shape}: both must show the same "
            "image at the same size."
        )
    outside = (axons != fibres) & (axons != 0)
    if outside.any():
        raise ValueError(
            f"{int(outside.sum())} pixels of axons lie outside the fibre of the same id "
            f"(ids {np.unique(axons[outside])[:5].tolist()} …). A fibre is its axon and its "
            "myelin: use the pair of images that label_fibres returns."
        )
