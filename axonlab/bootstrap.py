"""Intervals of confidence by resampling animals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_ANIMALS = 3
"""Below, differences between animals say nothing about animals in general."""

RESAMPLINGS = 10_000
"""Of the animals, for an interval of confidence."""


def mean_interval(values: NDArray[np.float64], *, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the mean of some animals.

    Parameters
    ----------
    values : (N,) array
        One per animal.
    seed : int
        Of the resampling.

    Returns
    -------
    low, high : float
        NaN of fewer than `MIN_ANIMALS`.

    Notes
    -----
    Percentiles of the means of as many animals, drawn with replacement (Efron & Tibshirani 1993).
    Of fewer than ten animals the interval is rather too narrow.

    Examples
    --------
    >>> mean_interval(np.array([0.75, 0.75, 0.75]))
    (0.75, 0.75)
    """
    return _percentiles(values, _means(values, np.random.default_rng(seed)))


def difference_interval(
    values: NDArray[np.float64], reference: NDArray[np.float64], *, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two means, each of other animals.

    Parameters
    ----------
    values, reference : (N,), (M,) array
        One per animal. Animals are drawn within their group; see `mean_interval`.
    seed : int
        Of the resampling.

    Returns
    -------
    low, high : float
        Of ``values.mean() - reference.mean()``; NaN if one has fewer than `MIN_ANIMALS`.

    Examples
    --------
    >>> difference_interval(np.full(3, 0.75), np.full(4, 0.5))
    (0.25, 0.25)
    """
    rng = np.random.default_rng(seed)
    fewer = min(values, reference, key=len)
    return _percentiles(fewer, _means(values, rng) - _means(reference, rng))


def _means(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the means of as many values, drawn again and again."""
    if not len(values):
        return np.full(RESAMPLINGS, np.nan)
    drawn: NDArray[np.float64] = rng.choice(values, (RESAMPLINGS, len(values))).mean(1)
    return drawn


def _percentiles(values: NDArray[np.float64], drawn: NDArray[np.float64]) -> tuple[float, float]:
    if len(values) < MIN_ANIMALS:
        return np.nan, np.nan
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)
