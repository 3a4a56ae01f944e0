"""Statistics of two measurements of the same things, neither of them free of errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

MIN_PAIRS = 3
"""Fewer leave no degree of freedom to the slopes."""

CONFIDENCE = 0.95
"""Of every interval and both limits of agreement."""

Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))


def bland_altman(a: ArrayLike, b: ArrayLike) -> pd.Series[float]:
    r"""Return bias and limits of agreement of two measurements of the same things.

    Parameters
    ----------
    a, b : (n,) array
        Pairs with a number missing are left out.

    Returns
    -------
    Series
        `n`; `bias`, the mean of a − b, and `sd`; the limits of agreement `lower` and `upper`,
        between which 95 % of the differences lie; `slope`, by which the difference grows with the
        mean of both. `bias_low`, `bias_high`, `lower_low`, …, `slope_high` are 95 % confidence
        intervals: a bias is proportional where that of the slope leaves out 0.

    Raises
    ------
    ValueError
        If the lengths differ, or there are fewer than three pairs.

    Notes
    -----
    Limits are bias ± 1.96 sd. The standard errors are :math:`s/\sqrt n` of the bias and
    :math:`s\sqrt{1/n + 1.96^2/(2(n-1))}` of a limit, the intervals Student's with n − 1 degrees
    of freedom (Bland & Altman 1999, doi:10.1177/096228029900800204). They hold for independent
    differences: fibres of one image are not quite that.

    Examples
    --------
    >>> bland_altman([2, 3, 4], [1, 3, 2])[["n", "bias", "sd"]].to_dict()
    {'n': 3.0, 'bias': 1.0, 'sd': 1.0}
    """
    first, second = complete(a, b, name="bland_altman")
    difference, mean = first - second, (first + second) / 2
    n, bias, sd = len(difference), float(difference.mean()), float(difference.std(ddof=1))
    t = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    of_bias = t * sd / np.sqrt(n)
    of_limit = t * sd * np.sqrt(1 / n + Z**2 / (2 * (n - 1)))
    slope, of_slope = np.nan, np.nan
    if np.ptp(mean):
        line = stats.linregress(mean, difference)
        slope, of_slope = line.slope, line.stderr * stats.t.ppf((1 + CONFIDENCE) / 2, n - 2)
    intervals = (
        ("bias", bias, of_bias),
        ("lower", bias - Z * sd, of_limit),
        ("upper", bias + Z * sd, of_limit),
        ("slope", slope, of_slope),
    )
    found: dict[str, float] = {"n": n, "sd": sd}
    for name, value, margin in intervals:
        found |= {name: value, f"{name}_low": value - margin, f"{name}_high": value + margin}
    return pd.Series(found, dtype=float)


def icc(*raters: ArrayLike) -> pd.DataFrame:
    """Return the intraclass correlation of single measurements by two or more raters.

    Parameters
    ----------
    *raters : (n,) array
        Of the same things in the same order. Things with a number missing are left out.

    Returns
    -------
    DataFrame
        Two rows, with `icc` and the 95 % interval from `low` to `high`. "ICC(2,1)": absolute
        agreement with any other rater; a constant offset lowers it. "ICC(3,1)": consistency of
        these very raters; an offset does not count.

    Raises
    ------
    ValueError
        If there is one rater, the lengths differ, or there are fewer than three things.

    Notes
    -----
    Mean squares of a two-way analysis of variance; Shrout & Fleiss 1979,
    doi:10.1037/0033-2909.86.2.420, and McGraw & Wong 1996, doi:10.1037/1082-989X.1.1.30, whose
    ICC(A,1) and ICC(C,1) these are.

    Examples
    --------
    >>> icc([1, 2, 3, 4], [2, 3, 4, 5])["icc"].round(3).to_dict()
    {'ICC(2,1)': 0.769, 'ICC(3,1)': 1.0}
    """
    if len(raters) < 2:
        raise ValueError(f"{len(raters)} raters: agreement is between two or more. Pass each one.")
    ratings = np.column_stack(complete(*raters, name="icc"))
    n, k = ratings.shape
    rows, columns = ratings.mean(1), ratings.mean(0)
    residual = ratings - rows[:, None] - columns + ratings.mean()
    between = k * rows.var(ddof=1)
    judges = n * columns.var(ddof=1)
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        table = [
            _icc_agreement(n, k, between, judges, error),
            _icc_consistency(n, k, between, error),
        ]
    names = pd.Index(["ICC(2,1)", "ICC(3,1)"], name="icc_type")
    return pd.DataFrame(table, index=names, columns=["icc", "low", "high"])


def deming(a: ArrayLike, b: ArrayLike, *, error_ratio: float = 1.0) -> pd.Series[float]:
    r"""Return the line ``a = intercept + slope × b`` when both measurements have errors.

    Parameters
    ----------
    a, b : (n,) array
        Pairs with a number missing are left out.
    error_ratio : float
        Variance of the errors of `a` over that of the errors of `b`; at 1 the line has the least
        squared distance from the points.

    Returns
    -------
    Series
        `n`, `slope`, `intercept` and their 95 % intervals, `slope_low`, …, `intercept_high`.
        Where a and b do not vary together there is no line, and all are NaN.

    Raises
    ------
    ValueError
        If the lengths differ, there are fewer than three pairs or the ratio is not positive.

    Notes
    -----
    :math:`(s_{aa} - δs_{bb} + \sqrt{(s_{aa} - δs_{bb})^2 + 4δs_{ab}^2}) / 2s_{ab}` with the error
    ratio δ. Intervals by the jackknife with n − 2 degrees of freedom; Linnet 1993,
    doi:10.1093/clinchem/39.3.424. A least-squares line, which takes b for free of errors, is too
    flat.

    Examples
    --------
    >>> deming([3, 5, 7, 9], [1, 2, 3, 4])[["slope", "intercept"]].round(6).to_dict()
    {'slope': 2.0, 'intercept': 1.0}
    """
    if not (np.isfinite(error_ratio) and error_ratio > 0):
        raise ValueError(f"error_ratio is {error_ratio!r}, expected a number above 0.")
    y, x = complete(a, b, name="deming")
    n = len(x)
    dx, dy = x - x.mean(), y - y.mean()
    whole = float(_deming_slope(dx @ dx, dy @ dy, dx @ dy, error_ratio))
    # sums of squares without one point: those of all, less its part
    part = n / (n - 1)
    slopes = _deming_slope(
        dx @ dx - part * dx**2, dy @ dy - part * dy**2, dx @ dy - part * dx * dy, error_ratio
    )
    intercepts = (n * y.mean() - y) / (n - 1) - slopes * (n * x.mean() - x) / (n - 1)
    t = stats.t.ppf((1 + CONFIDENCE) / 2, n - 2)
    found: dict[str, float] = {"n": n}
    for name, value, without in (
        ("slope", whole, slopes),
        ("intercept", y.mean() - whole * x.mean(), intercepts),
    ):
        pseudo = n * value - (n - 1) * without
        middle, margin = pseudo.mean(), t * pseudo.std(ddof=1) / np.sqrt(n)
        found |= {name: value, f"{name}_low": middle - margin, f"{name}_high": middle + margin}
    return pd.Series(found, dtype=float)


def complete(
    *measured: ArrayLike, name: str, least: int = MIN_PAIRS
) -> tuple[NDArray[np.float64], ...]:
    """Return measurements of those things that have all of them."""
    arrays = [np.asarray(values, float) for values in measured]
    lengths = [array.shape for array in arrays]
    if len(set(lengths)) > 1 or arrays[0].ndim != 1:
        raise ValueError(
            f"{name}: measurements of shapes {lengths}, expected columns of one length, one number "
            "per fibre and measurement."
        )
    finite: NDArray[np.bool_] = np.all(np.isfinite(arrays), axis=0)
    if finite.sum() < least:
        raise ValueError(
            f"{name}: {int(finite.sum())} of {len(finite)} fibres have all the numbers, expected "
            f"at least {least}. Match more fibres, or choose measurements that both tables have."
        )
    return tuple(array[finite] for array in arrays)


def _deming_slope(
    xx: NDArray[np.float64], yy: NDArray[np.float64], xy: NDArray[np.float64], ratio: float
) -> NDArray[np.float64]:
    """Return the slope from sums of squares and of products."""
    half = (yy - ratio * xx) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (half + np.hypot(half, np.sqrt(ratio) * xy)) / xy
    return np.where(np.isfinite(slope), slope, np.nan)


def _icc_agreement(
    n: int, k: int, between: float, judges: float, error: float
) -> tuple[float, float, float]:
    """Return ICC(2,1) and its interval from mean squares."""
    others = k * judges + (k * n - k - n) * error
    value = (between - error) / (between + (k - 1) * error + k * (judges - error) / n)
    part = n * (1 + (k - 1) * value) - k * value
    weight = (n - 1) * (k * value * judges) ** 2 + (part * error) ** 2
    square = (k * value * judges + part * error) ** 2
    freedom = (k - 1) * (n - 1) * (square / weight if weight else 1.0)
    to_low = stats.f.ppf((1 + CONFIDENCE) / 2, n - 1, freedom)
    to_high = stats.f.ppf((1 + CONFIDENCE) / 2, freedom, n - 1)
    low = n * (between - to_low * error) / (to_low * others + n * between)
    high = n * (to_high * between - error) / (others + n * to_high * between)
    return value, low, high


def _icc_consistency(n: int, k: int, between: float, error: float) -> tuple[float, float, float]:
    """Return ICC(3,1) and its interval from mean squares."""
    first, second = n - 1, (n - 1) * (k - 1)
    to_low = stats.f.ppf((1 + CONFIDENCE) / 2, first, second)
    to_high = stats.f.ppf((1 + CONFIDENCE) / 2, second, first)
    value, low, high = (
        (between - factor * error) / (between + (k - 1) * factor * error)
        for factor in (1.0, to_low, 1 / to_high)
    )
    return value, low, high
