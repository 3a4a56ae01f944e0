"""Agreement of a result with a reference."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.micrograph import CLASSES, UNLABELLED


def class_scores(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> pd.DataFrame:
    """Compare two label images class by class.

    Pixels that `truth` leaves unlabelled do not count.

    Parameters
    ----------
    labels, truth : (H, W) uint8 array
        Class ids.

    Returns
    -------
    DataFrame
        One row per class that occurs in either image, indexed by class name: `dice`,
        `precision`, `recall` (0 to 1) and `truth_pixels`.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Dice = 2|A∩B| / (|A| + |B|); Dice 1945, doi:10.2307/1932409.

    Examples
    --------
    >>> truth = np.array([[0, 1, 2, 2]], np.uint8)
    >>> labels = np.array([[0, 1, 1, 2]], np.uint8)
    >>> class_scores(labels, truth)["dice"].round(3).to_dict()
    {'background': 1.0, 'myelin': 0.667, 'axon': 0.667}
    """
    confusion = _confusion(labels, truth)[:, np.arange(256) != UNLABELLED]
    rows = {}
    for name, i in CLASSES.items():
        common, found, true = confusion[i, i], confusion[i].sum(), confusion[:, i].sum()
        if found or true:
            rows[name] = {
                "dice": 2 * common / (found + true),
                "precision": common / found if found else np.nan,
                "recall": common / true if true else np.nan,
                "truth_pixels": true,
            }
    columns = ["dice", "precision", "recall", "truth_pixels"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("class")


def rater_agreement(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> pd.DataFrame:
    """Compare the labels of two people, or of one person twice: neither is the truth.

    Pixels that either left unlabelled do not count.

    Parameters
    ----------
    first, second : (H, W) uint8 array
        Class ids.

    Returns
    -------
    DataFrame
        One row per class that occurs in either image, indexed by class name, and one named "all":
        `dice` (0 to 1), `kappa` (1 is perfect, 0 what chance gives), `first_pixels` and
        `second_pixels`. Of all classes together `dice` is the share of pixels that agree.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Cohen's kappa is ``(p - e) / (1 - e)``: p is the share of pixels that agree and e the share
    that would by chance, if both kept how often they use each class; Cohen 1960,
    doi:10.1177/001316446002000104. That of a class is between it and the rest. It is NaN when
    both give all pixels one class: chance would agree as well.

    Examples
    --------
    >>> first = np.array([[0, 0, 1, 2]], np.uint8)
    >>> second = np.array([[0, 1, 1, 255]], np.uint8)
    >>> rater_agreement(first, second)["kappa"].round(3).to_dict()
    {'background': 0.4, 'myelin': 0.4, 'all': 0.4}
    """
    labelled = np.arange(256) != UNLABELLED
    confusion = _confusion(first, second)[labelled][:, labelled]
    total = confusion.sum()
    rows = {}
    for name, i in CLASSES.items():
        common, one, other = confusion[i, i], confusion[i].sum(), confusion[:, i].sum()
        if one or other:
            rest = total - one - other + common
            rows[name] = {
                "dice": 2 * common / (one + other),
                "kappa": _kappa(np.array([[common, one - common], [other - common, rest]])),
                "first_pixels": one,
                "second_pixels": other,
            }
    if rows:
        rows["all"] = {
            "dice": confusion.trace() / total,
            "kappa": _kappa(confusion),
            "first_pixels": total,
            "second_pixels": total,
        }
    columns = ["dice", "kappa", "first_pixels", "second_pixels"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("class")


def _confusion(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return how many pixels have each pair of ids, as (256, 256): rows are ids in `first`."""
    if first.shape != second.shape:
        raise ValueError(
            f"Labels of shape {first.shape} against others of {second.shape}: "
            "both must show the same image at the same size."
        )
    pairs = first.ravel() * np.intp(256) + second.ravel()
    return np.bincount(pairs, minlength=256**2).reshape(256, 256)


def _kappa(confusion: NDArray[np.intp]) -> float:
    """Return Cohen's kappa of a square confusion matrix."""
    shares = confusion / confusion.sum()
    by_chance = shares.sum(0) @ shares.sum(1)
    return float((shares.trace() - by_chance) / (1 - by_chance)) if by_chance < 1 else np.nan
