"""Agreement of found objects with true ones: which is which, and how well they are separated."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.micrograph import check_objects

Objects = NDArray[np.integer]


def object_scores(found: Objects, truth: Objects, *, iou: float = 0.5) -> pd.Series[float]:
    r"""Compare the objects of two images.

    Parameters
    ----------
    found, truth : (H, W) integer array
        Object ids, 0 is background. Ids of the two images have nothing to do with each other.
    iou : float
        A found object is a true one if their intersection over union is larger.

    Returns
    -------
    Series
        - `true_positives`, `false_positives`, `false_negatives`: numbers of objects
        - `precision`, `recall`, `f1`: shares of objects; NaN where there are none
        - `segmentation_quality`: mean intersection over union of the true positives
        - `panoptic_quality`: `segmentation_quality` times `f1`
        - `merged`: found objects that hold several true ones
        - `split`: true objects that hold several found ones

    Raises
    ------
    ValueError
        If the images differ in shape or hold other than whole numbers from 0, or `iou` is none.

    Notes
    -----
    Panoptic quality is :math:`\sum \mathrm{IoU} / (TP + FP/2 + FN/2)`, the sum being over the
    true positives; Kirillov et al. 2019, arXiv:1801.00868, who ask for more than 0.5. An object
    holds another when more than half of the other's pixels lie in it.

    Examples
    --------
    >>> truth = np.array([[1, 1, 1, 0, 2, 2, 2, 2]])
    >>> found = np.array([[1, 1, 0, 0, 2, 2, 3, 3]])
    >>> object_scores(found, truth)[["true_positives", "f1", "split"]].round(3).to_dict()
    {'true_positives': 1.0, 'f1': 0.4, 'split': 1.0}
    """
    overlaps = _overlaps(found, truth)
    matches = _match(overlaps, iou)
    n_found, n_truth = overlaps["found_id"].nunique(), overlaps["truth_id"].nunique()
    n = len(matches)
    return pd.Series(
        {
            "true_positives": n,
            "false_positives": n_found - n,
            "false_negatives": n_truth - n,
            "precision": _share(n, n_found),
            "recall": _share(n, n_truth),
            "f1": _share(2 * n, n_found + n_truth),
            "segmentation_quality": matches["iou"].mean(),
            "panoptic_quality": _share(2 * matches["iou"].sum(), n_found + n_truth),
            "merged": _n_holding_several(overlaps, "found", "truth"),
            "split": _n_holding_several(overlaps, "truth", "found"),
        },
        dtype=float,
    )


def match_objects(found: Objects, truth: Objects, *, min_iou: float = 0.5) -> pd.DataFrame:
    """Find which objects of two images are the same.

    Parameters
    ----------
    found, truth : (H, W) integer array
        Object ids, 0 is background.
    min_iou : float
        Objects match when their intersection over union is larger.

    Returns
    -------
    DataFrame
        One row per pair, ordered by `found_id`: `found_id`, `truth_id` and `iou`. No object is in
        two pairs.

    Raises
    ------
    ValueError
        If the images differ in shape or hold other than whole numbers from 0, or `min_iou` is
        none of 0 ≤ `min_iou` < 1.

    Notes
    -----
    From 0.5 on no object can have two partners. Below, pairs are taken greedily, the largest
    intersection over union first. Time grows linearly with the number of pixels.

    Examples
    --------
    >>> truth = np.array([[7, 7, 7, 0, 9]])
    >>> found = np.array([[1, 1, 0, 0, 2]])
    >>> match_objects(found, truth).round(3)
       found_id  truth_id    iou
    0         1         7  0.667
    1         2         9  1.000
    """
    return _match(_overlaps(found, truth), min_iou)


def _overlaps(found: Objects, truth: Objects) -> pd.DataFrame:
    """Return every pair of ids that share pixels, background among them, and how many.

    One row per pair: `found_id`, `truth_id` (missing for background), `pixels`, and the areas
    `found_pixels` and `truth_pixels` of both objects.
    """
    check_objects(found, "found")
    check_objects(truth, "truth")
    if found.shape != truth.shape:
        raise ValueError(
            f"Objects of shape {found.shape} against true ones of {truth.shape}: both must show "
            "the same image at the same size."
        )
    a, b = found.ravel(), truth.ravel()
    # Objects are wide: what is grouped are runs of pixels of one pair of ids, not pixels.
    starts = np.append(0, 1 + np.flatnonzero((a[1:] != a[:-1]) | (b[1:] != b[:-1])))
    runs = {
        "found_id": a[starts],
        "truth_id": b[starts],
        "pixels": np.diff(starts, append=a.size),
    }
    ids = ["found_id", "truth_id"]
    overlaps = pd.DataFrame(runs).groupby(ids, as_index=False).sum()
    for one in ("found", "truth"):
        overlaps[f"{one}_pixels"] = overlaps.groupby(f"{one}_id")["pixels"].transform("sum")
    overlaps[ids] = overlaps[ids].astype("Int64").where(overlaps[ids] > 0)
    return overlaps


def _match(overlaps: pd.DataFrame, min_iou: float) -> pd.DataFrame:
    """Return the pairs that match, the best first come first served."""
    if not 0 <= min_iou < 1:
        raise ValueError(
            f"Intersection over union of {min_iou}: expected at least 0, so that objects that "
            "overlap at all match, and less than 1."
        )
    pairs = overlaps.dropna().astype({"found_id": np.int64, "truth_id": np.int64})
    union = pairs["found_pixels"] + pairs["truth_pixels"] - pairs["pixels"]
    pairs = pairs.assign(iou=pairs["pixels"] / union)[["found_id", "truth_id", "iou"]]
    left = pairs[pairs["iou"] > min_iou].sort_values("iou", ascending=False, kind="stable")
    matches = left.iloc[:0]
    while len(left):
        best = left[~left.duplicated("found_id") & ~left.duplicated("truth_id")]
        matches = pd.concat([matches, best])
        taken = left["found_id"].isin(best["found_id"]) | left["truth_id"].isin(best["truth_id"])
        left = left[~taken]
    return matches.sort_values("found_id", ignore_index=True)


def _n_holding_several(overlaps: pd.DataFrame, holder: str, held: str) -> int:
    """Count the objects of one image that hold several of the other."""
    is_held = overlaps["pixels"] > overlaps[f"{held}_pixels"] / 2
    both = overlaps[is_held].dropna()
    return int((both.groupby(f"{holder}_id").size() > 1).sum())


def _share(part: float, whole: float) -> float:
    return part / whole if whole else np.nan
