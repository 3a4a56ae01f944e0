"""Agreement of a result with a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.membrane_scores import pixel_error, rand_error, v_info, v_rand
from axonlab.micrograph import CLASSES, UNLABELLED
from axonlab.partition_scores import partition_scores
from axonlab.warping import warping_error

__all__ = [
    "class_scores",
    "confusion",
    "dice",
    "dice_column",
    "membrane_table",
    "merge_classes",
    "partition_scores",
    "pixel_error",
    "rand_error",
    "rater_agreement",
    "v_info",
    "v_rand",
    "warping_error",
]


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


def confusion(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> pd.DataFrame:
    """Count which class was found where which class truly is.

    Pixels that `truth` leaves unlabelled do not count. Tables of several images can be added.

    Parameters
    ----------
    labels, truth : (H, W) uint8 array
        Class ids.

    Returns
    -------
    DataFrame
        Pixels: a row for every true class and a column for every found one, of the classes that
        occur in either image. Where `labels` say nothing, a column "unlabelled" comes last.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> truth = np.array([[0, 0, 2, 2]], np.uint8)
    >>> labels = np.array([[0, 2, 2, 2]], np.uint8)
    >>> confusion(labels, truth)
    found       background  axon
    truth
    background           1     1
    axon                 0     2
    """
    counts = _confusion(truth, labels)
    counts[UNLABELLED] = 0
    shown = {n: i for n, i in CLASSES.items() if counts[i].any() or counts[:, i].any()}
    silent = {"unlabelled": UNLABELLED} if counts[:, UNLABELLED].any() else {}
    found = shown | silent
    return pd.DataFrame(
        counts[list(shown.values())][:, list(found.values())],
        index=pd.Index(list(shown), name="truth", dtype=str),
        columns=pd.Index(list(found), name="found", dtype=str),
    )


def dice(confusion: pd.DataFrame) -> pd.Series[float]:
    """Return the Dice of every class of a confusion table, of one image or of a sum of tables.

    Parameters
    ----------
    confusion : DataFrame
        From `confusion`.

    Returns
    -------
    Series
        0 to 1 by class; NaN for a class that neither is there nor was found.

    Examples
    --------
    >>> truth = np.array([[0, 0, 2, 2]], np.uint8)
    >>> dice(confusion(np.array([[0, 2, 2, 2]], np.uint8), truth)).round(3).to_dict()
    {'background': 0.667, 'axon': 0.8}
    """
    classes = confusion.index
    common = np.diag(confusion[classes])
    total = confusion.sum(axis="columns").to_numpy() + confusion[classes].sum().to_numpy()
    with np.errstate(invalid="ignore"):
        shares = 2 * common / total
    return pd.Series(shares, index=classes.rename("class"), name="dice")


def dice_column(class_name: str) -> str:
    """Return how tables name the Dice of a class.

    Examples
    --------
    >>> dice_column("unmyelinated axon")
    'dice_unmyelinated_axon'
    """
    return f"dice_{class_name.replace(' ', '_')}"


def merge_classes(truth: NDArray[np.uint8], classes: Sequence[str]) -> NDArray[np.uint8]:
    """Return labels as a model of some classes can give them: all others count as its first.

    Parameters
    ----------
    truth : (H, W) uint8 array
        Class ids.
    classes : sequence of str
        What the model tells apart, as it was trained by `axonlab.data`.

    Examples
    --------
    >>> merge_classes(np.array([[0, 1, 2, 3, 255]], np.uint8), ["background", "axon"])
    array([[  0,   0,   2,   0, 255]], dtype=uint8)
    """
    kept = [UNLABELLED, *(CLASSES[name] for name in classes)]
    table = np.full(256, CLASSES[classes[0]], np.uint8)
    table[kept] = kept
    merged: NDArray[np.uint8] = table[truth]
    return merged


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


def membrane_table(
    maps: Mapping[str, NDArray[np.floating]], truth: NDArray[np.bool_]
) -> pd.DataFrame:
    """Return all these scores of several maps of the same sections.

    Parameters
    ----------
    maps : mapping of str to (Y, X) or (Z, Y, X) float array
        Probabilities of interior, by what made them.
    truth : bool array of the same shape
        True in the interior of cells.

    Returns
    -------
    DataFrame
        One row per map, one column per score: errors first.
    """
    scores = (pixel_error, rand_error, warping_error, v_rand, v_info)
    rows = {name: {of.__name__: of(map_, truth) for of in scores} for name, map_ in maps.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


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
