"""Summaries of the fibres of a field."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.micrograph import CLASSES, check_pixel_size


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


def _row(
    quantity: str, unit: str, value: float, n: float = np.nan, **spread: float
) -> dict[str, object]:
    return {"quantity": quantity, "unit": unit, "value": float(value), "n": n, **spread}
