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
    if labels.shape != truth.shape:
        raise ValueError(
            f"Labels of shape {labels.shape} against a reference of {truth.shape}: "
            "both must show the same image at the same size."
        )
    counts = np.bincount(labels.ravel() * np.intp(256) + truth.ravel(), minlength=256**2)
    confusion = counts.reshape(256, 256)[:, np.arange(256) != UNLABELLED]
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
