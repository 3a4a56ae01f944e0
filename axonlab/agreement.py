"""How well two measurements of the same fibres agree: by hand and by machine, or by two people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from axonlab.object_scores import match_objects
from axonlab.paired import Z, bland_altman, complete, deming, icc

__all__ = [
    "MEASURES",
    "OTHER",
    "agreement_by_bin",
    "bland_altman",
    "compare",
    "compare_definitions",
    "compare_summaries",
    "deming",
    "icc",
    "join",
    "match_by_overlap",
    "match_by_position",
]

MEASURES = ("axon_diameter_um", "fibre_diameter_um", "myelin_thickness_um", "g_ratio")
"""What `compare` compares where nothing else is asked for."""

OTHER = "_other"
"""Ends the columns of the second table once both are joined."""

_POSITION = ["centroid_y_um", "centroid_x_um"]


def match_by_position(
    table: pd.DataFrame, other: pd.DataFrame, *, max_distance_um: float
) -> pd.DataFrame:
    """Pair the fibres of two tables that are each other's nearest.

    Parameters
    ----------
    table, other : DataFrame
        With `fibre_id`, `centroid_y_um` and `centroid_x_um`, of the same field.
    max_distance_um : float
        Between two that may be the same, in µm: half the diameter of the smaller fibres is safe.

    Returns
    -------
    DataFrame
        One row per pair, in the order of `table`: `fibre_id`, `other_id`, `distance_um`. Fibres
        without a partner, or without a position, are left out.

    Raises
    ------
    ValueError
        If columns are missing, ids are not unique, the distance is not positive, or both tables
        hold fibres and none of them match, as when one position is in pixels.

    Notes
    -----
    Mutual nearest neighbours and not the assignment of the least total distance: that one pairs a
    fibre whose partner is missing with somebody else's, and by this moves other pairs. Here a pair
    depends on its surroundings alone, and what is in doubt stays without a partner.

    Examples
    --------
    >>> ours = pd.DataFrame({"fibre_id": [1, 2], "centroid_y_um": [0, 9], "centroid_x_um": [0, 9]})
    >>> manual = ours.assign(fibre_id=[7, 8], centroid_x_um=[30, 8.5])
    >>> match_by_position(ours, manual, max_distance_um=1)
       fibre_id  other_id  distance_um
    0         2         8          0.5
    """
    if not max_distance_um > 0:
        raise ValueError(f"max_distance_um is {max_distance_um!r}, expected more than 0 µm.")
    first, second = (_located(t, name) for t, name in ((table, "table"), (other, "other")))
    if first.empty or second.empty:
        return pd.DataFrame(columns=["fibre_id", "other_id", "distance_um"])
    here, there = first[_POSITION].to_numpy(float), second[_POSITION].to_numpy(float)
    distance, nearest = cKDTree(there).query(here)
    _, nearest_back = cKDTree(here).query(there)
    is_pair = (nearest_back[nearest] == np.arange(len(here))) & (distance <= max_distance_um)
    if not is_pair.any():
        raise ValueError(
            f"No two fibres lie within {max_distance_um:g} µm of each other: the first table spans "
            f"{_span(here)}, the second {_span(there)}. Both must show the same field in µm, with "
            "y and x the right way round: give the pixel size when reading, or a larger "
            "max_distance_um."
        )
    return pd.DataFrame(
        {
            "fibre_id": first["fibre_id"].to_numpy()[is_pair],
            "other_id": second["fibre_id"].to_numpy()[nearest[is_pair]],
            "distance_um": distance[is_pair],
        }
    )


def match_by_overlap(
    fibres: NDArray[np.int32], other: NDArray[np.int32], *, min_iou: float = 0.5
) -> pd.DataFrame:
    """Pair the fibres of two object images that cover the same pixels.

    Parameters
    ----------
    fibres, other : (H, W) int32 array
        Object ids, 0 is background.
    min_iou : float
        Intersection over union above which two are the same.

    Returns
    -------
    DataFrame
        One row per pair: `fibre_id`, `other_id`, `iou`.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    pairs = match_objects(fibres, other, min_iou=min_iou)
    return pairs.rename(columns={"found_id": "fibre_id", "truth_id": "other_id"})


def join(table: pd.DataFrame, other: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the measurements of matched fibres side by side.

    Parameters
    ----------
    table, other : DataFrame
        With `fibre_id`.
    pairs : DataFrame
        From `match_by_position` or `match_by_overlap`.

    Returns
    -------
    DataFrame
        One row per pair: the columns of `table`, then those of `other` with "_other" behind, then
        how near they are (`distance_um` or `iou`).

    Raises
    ------
    ValueError
        If ids are missing or not unique.
    """
    first, second = _by_id(table, "table"), _by_id(other, "other")
    nearness = pairs.columns.difference(["fibre_id", "other_id"])
    return pd.concat(
        [
            first.loc[pairs["fibre_id"]].reset_index(),
            second.loc[pairs["other_id"]].reset_index().add_suffix(OTHER),
            pairs[nearness].reset_index(drop=True),
        ],
        axis="columns",
    )


def compare(joined: pd.DataFrame, columns: Iterable[str] = MEASURES) -> pd.DataFrame:
    """Return how two measurements of the same fibres agree, for several quantities.

    Parameters
    ----------
    joined : DataFrame
        From `join`.
    columns : iterable of str
        Quantities that both tables have.

    Returns
    -------
    DataFrame
        Indexed by quantity: the `mean` and `mean_other` of `n` fibres; `bias`, the mean of first
        − other, with its interval and `bias_percent` of `mean_other`; the limits of agreement
        `lower` and `upper`; `icc`, ICC(2,1), with `icc_low` and `icc_high`; the `slope` and
        `intercept` of the Deming regression of the first on the other.

    Raises
    ------
    ValueError
        If a column is missing, or fewer than three pairs have both numbers.
    """
    rows = {}
    for column in columns:
        a, b = _columns(joined, [column, column + OTHER], "joined").to_numpy(float).T
        rows[column] = _row(*complete(a, b, name=column))
    return _counted(pd.DataFrame(rows).T.rename_axis("quantity"))


def compare_definitions(
    joined: pd.DataFrame, reference: str, *, columns: Sequence[str]
) -> pd.DataFrame:
    """Return which of several definitions agrees best with a reference, the best one first.

    A diameter may be that of the circle of the same area, an axis, a Feret diameter, …; a person
    with a ruler measures one of them.

    Parameters
    ----------
    joined : DataFrame
        From `join`.
    reference : str
        Column of the reference, ``"axon_line_um_other"``.
    columns : sequence of str
        Those to compare with it, in the same unit.

    Returns
    -------
    DataFrame
        Indexed by column, as from `compare`, with the root mean square difference `rms` by which
        it is sorted. All rest on the same fibres: those that have all the numbers.

    Raises
    ------
    ValueError
        If a column is missing, or fewer than three fibres have all the numbers.

    Notes
    -----
    The mean square difference is bias² + scatter²: it punishes both, and in the unit of the
    reference. A definition that is off by a known factor may still be the most precise one: look
    at `slope` and `sd`, too.
    """
    used = _columns(joined, [reference, *columns], "joined").astype(float)
    values = complete(*used.to_numpy().T, name=reference)
    rows = {
        column: _row(a, values[0]) | {"rms": float(np.sqrt(np.mean((a - values[0]) ** 2)))}
        for column, a in zip(columns, values[1:], strict=True)
    }
    table = pd.DataFrame(rows).T.rename_axis("definition").sort_values("rms", kind="stable")
    return _counted(table)


def compare_summaries(summary: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return how much two summaries of one field differ: also by what only one of them saw.

    Matched fibres tell how well the same fibres are measured. Fibres that were missed or made up
    have no partner, and move densities and means of the field all the same.

    Parameters
    ----------
    summary, other : DataFrame
        From `axonlab.measure.summarise`.

    Returns
    -------
    DataFrame
        One row per quantity of both: `quantity`, `unit`, `value`, `value_other`, their
        `difference`, and `difference_percent` of the other, NaN where that is 0.

    Raises
    ------
    ValueError
        If columns are missing, or the summaries have no quantity in common.
    """
    columns = ["quantity", "unit", "value"]
    first, second = _columns(summary, columns, "summary"), _columns(other, columns, "other")
    both = first.merge(second, on=columns[:2], suffixes=("", OTHER))
    if both.empty:
        raise ValueError(
            "The summaries have no quantity in common. Pass two tables from summarise."
        )
    difference = both["value"] - both["value" + OTHER]
    share = difference / both["value" + OTHER].replace(0, np.nan)
    return both.assign(difference=difference, difference_percent=100 * share)


def agreement_by_bin(
    a: ArrayLike, b: ArrayLike, by: ArrayLike, *, edges: Sequence[float]
) -> pd.DataFrame:
    """Return how two measurements agree in fibres of different size.

    Parameters
    ----------
    a, b : (n,) array
        Two measurements of the same fibres.
    by : (n,) array
        What to bin by. Take the mean of both diameters: binned by one of two noisy numbers, the
        other one falls behind in the highest bins and ahead in the lowest, agreement or not.
    edges : sequence of float
        Increasing edges of the bins; the lower edge belongs to the bin.

    Returns
    -------
    DataFrame
        Indexed by interval: `n`, `mean`, `mean_other`, `bias`, `bias_percent`, `sd`, `lower`,
        `upper`. What needs more fibres than there are is NaN.

    Raises
    ------
    ValueError
        If the lengths differ, or the edges do not increase.

    Examples
    --------
    >>> agreement_by_bin([1, 2, 7], [1, 1, 5], by=[1, 1.5, 6], edges=[0, 5, 10])[["n", "bias"]]
              n  bias
    bin
    [0, 5)    2   0.5
    [5, 10)   1   2.0
    """
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges are {list(edges)}, expected two or more that increase.")
    first, second, size = complete(a, b, by, name="agreement_by_bin", least=0)
    bins = pd.Series(pd.cut(size, list(edges), right=False), name="bin")
    values = pd.DataFrame({"first": first, "other": second, "difference": first - second})
    groups = values.groupby(bins, observed=False)
    means, sd = groups.mean(), groups["difference"].std()
    bias = means["difference"]
    return pd.DataFrame(
        {
            "n": groups.size(),
            "mean": means["first"],
            "mean_other": means["other"],
            "bias": bias,
            "bias_percent": 100 * bias / means["other"],
            "sd": sd,
            "lower": bias - Z * sd,
            "upper": bias + Z * sd,
        }
    )


def _row(a: NDArray[np.float64], b: NDArray[np.float64]) -> dict[str, float]:
    """Return what `compare` tells about one quantity."""
    limits, line = bland_altman(a, b), deming(a, b)
    value, low, high = icc(a, b).to_numpy()[0]
    shown = ["n", "bias", "bias_low", "bias_high", "sd", "lower", "upper"]
    return {
        "mean": float(a.mean()),
        "mean_other": float(b.mean()),
        **dict(zip(shown, limits[shown].tolist(), strict=True)),
        "bias_percent": 100 * limits["bias"] / b.mean() if b.mean() else np.nan,
        "icc": value,
        "icc_low": low,
        "icc_high": high,
        "slope": line["slope"],
        "intercept": line["intercept"],
    }


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of numbers with its `n` in front and whole."""
    return table[["n", *table.columns.drop("n")]].astype({"n": int})


def _located(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the fibres whose position is known."""
    _by_id(table, name)
    found = _columns(table, ["fibre_id", *_POSITION], name)
    is_located: NDArray[np.bool_] = np.isfinite(found[_POSITION].to_numpy(float)).all(axis=1)
    return found.loc[is_located]


def _by_id(table: pd.DataFrame, name: str) -> pd.DataFrame:
    ids = _columns(table, ["fibre_id"], name)["fibre_id"]
    if not ids.is_unique:
        twice = ids[ids.duplicated()].unique()[:5].tolist()
        raise ValueError(
            f"{name}: the ids {twice} … stand for several fibres each. Number the fibres, and take "
            "one image at a time."
        )
    indexed: pd.DataFrame = table.set_index("fibre_id")
    return indexed


def _columns(table: pd.DataFrame, columns: list[str], name: str) -> pd.DataFrame:
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(
            f"{name}: no column {', '.join(missing)}; there are {', '.join(map(str, table))}."
        )
    chosen: pd.DataFrame = table[columns]
    return chosen


def _span(positions: NDArray[np.float64]) -> str:
    (top, left), (bottom, right) = positions.min(0), positions.max(0)
    return f"y {top:.4g}–{bottom:.4g} and x {left:.4g}–{right:.4g} µm"
