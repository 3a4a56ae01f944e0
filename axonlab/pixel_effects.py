"""What a wrong pixel size, and what coarse pixels, do to measurements of fibres."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.measure import measure_fibres
from axonlab.micrograph import check_pixel_size
from axonlab.phantom import Phantom

CLAIMS = {
    "diameter": ("axon_diameter_um", 1),
    "area": ("axon_area_um2", 2),
    "g-ratio": ("g_ratio", 0),
}
"""Columns that show how a wrong pixel size is felt, and the power of it that they go with."""

COMPARED = ("axon_diameter_um", "g_ratio", "g_ratio_min_feret", "g_ratio_perimeter")
"""Columns that coarse pixels are judged by."""


def claim(fibres: pd.DataFrame, factor: float) -> pd.Series[float]:
    """Return by which factor means are wrong if the pixel size is.

    Parameters
    ----------
    fibres : DataFrame
        From `axonlab.measure.measure_fibres`, with the right pixel size.
    factor : float
        Claimed pixel size over the right one.

    Returns
    -------
    Series
        Claimed over right ``"diameter"``, ``"area"``, ``"density"`` and ``"g-ratio"``.

    Notes
    -----
    Lengths go with the pixel size s, areas with s², numbers per area with 1/s², ratios of lengths
    not at all: no g-ratio gives a wrong pixel size away.

    Examples
    --------
    >>> fibres = pd.DataFrame({"axon_diameter_um": [1.0], "axon_area_um2": [0.8], "g_ratio": [0.7]})
    >>> claim(fibres, 1.1).round(3).to_dict()
    {'diameter': 1.1, 'area': 1.21, 'g-ratio': 1.0, 'density': 0.826}
    """
    factor = check_pixel_size(factor, "the claim")
    means = {name: fibres[column].mean() for name, (column, _) in CLAIMS.items()}
    claimed = {
        name: (fibres[column] * factor**power).mean() for name, (column, power) in CLAIMS.items()
    }
    ratios = {name: float(claimed[name] / means[name]) for name in CLAIMS}
    return pd.Series(ratios | {"density": factor**-2})


def coarsen(objects: NDArray[np.int32], factor: float) -> NDArray[np.int32]:
    """Return masks as they would be on pixels that are `factor` times as large.

    Each coarse pixel takes what is at its centre; ids stay.

    Raises
    ------
    ValueError
        If the pixels would be smaller, or so large that none is left.

    Examples
    --------
    >>> coarsen(np.array([[1, 1, 2, 2, 2, 2]] * 3, np.int32), 3)
    array([[1, 2]], dtype=int32)
    """
    if not 1 <= factor <= min(objects.shape):
        raise ValueError(
            f"factor is {factor:g}, expected 1 to {min(objects.shape)} for masks of shape "
            f"{objects.shape}: pixels can only be made larger here."
        )
    rows, columns = (
        ((np.arange(int(length / factor + 1e-9)) + 0.5) * factor).astype(int)
        for length in objects.shape
    )
    return np.ascontiguousarray(objects[np.ix_(rows, columns)])


def coarse_fibres(phantom: Phantom, pixel_size: float) -> pd.DataFrame:
    """Measure the fibres of a phantom on larger pixels, beside the truth.

    Parameters
    ----------
    phantom : Phantom
    pixel_size : float
        In µm, not smaller than that of the phantom.

    Returns
    -------
    DataFrame
        One row per complete myelinated fibre of the phantom, indexed by `fibre_id`:
        `true_axon_diameter_um`; `is_lost`, where no axon or no myelin is left; and for each column
        of `COMPARED` the error, in µm or as a difference of g-ratios, NaN where it is lost. Truth
        is what the phantom's own pixels measure, by the same definition.
    """
    fine = phantom.micrograph.pixel_size
    right = measure_fibres(phantom.axons, phantom.fibres, pixel_size=fine).set_index("fibre_id")
    right = right[right["is_myelinated"] & ~right["touches_border"]]
    masks = (coarsen(objects, pixel_size / fine) for objects in (phantom.axons, phantom.fibres))
    found = measure_fibres(*masks, pixel_size=pixel_size).set_index("fibre_id").reindex(right.index)
    is_lost = found["g_ratio"].isna()
    errors = {name: (found[name] - right[name]).where(~is_lost) for name in COMPARED}
    return pd.DataFrame(
        {"true_axon_diameter_um": right["axon_diameter_um"], "is_lost": is_lost, **errors}
    )


def by_size(coarse: pd.DataFrame, column: str, edges: list[float]) -> pd.DataFrame:
    """Return errors and losses by the true diameter of the axon.

    Parameters
    ----------
    coarse : DataFrame
        From `coarse_fibres`.
    column : str
        One of `COMPARED`.
    edges : list of float
        Of the classes of axon diameter, in µm.

    Returns
    -------
    DataFrame
        One row per class that has fibres: `fibres`, `lost`, and `mean` and `sd` of the error.
    """
    classes = pd.cut(coarse["true_axon_diameter_um"], edges)
    grouped = coarse.groupby(classes, observed=True)
    table = pd.DataFrame(
        {
            "fibres": grouped.size(),
            "lost": grouped["is_lost"].sum(),
            "mean": grouped[column].mean(),
            "sd": grouped[column].std(),
        }
    )
    return table.rename_axis("axon diameter (µm)")
