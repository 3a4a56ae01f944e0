"""How many fibres and how many animals are enough: power of a comparison of two groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

ALPHA = 0.05
"""Of two-sided tests."""

MEAN_G = 0.70
"""Mean g-ratio of the first group; it has no influence on power."""

MOST_ANIMALS = 200
"""Where the search for enough animals ends."""


@dataclass(frozen=True)
class Design:
    """A comparison of two groups, and how much their g-ratios scatter.

    Parameters
    ----------
    animals : int
        Per group, at least 2.
    fibres : int
        Per animal, at least 1.
    effect : float
        True difference of the mean g-ratios of the groups.
    between : float
        SD of the true means of animals of one group.
    within : float
        SD of the fibres of one animal.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    animals: int = 5
    fibres: int = 100
    effect: float = 0.02
    between: float = 0.015
    within: float = 0.07

    def __post_init__(self) -> None:
        for name, low in (("animals", 2), ("fibres", 1), ("between", 0), ("within", 0)):
            value = getattr(self, name)
            if not value >= low:
                raise ValueError(f"{name} is {value:g}, expected {low} or more.")
        if not self.between + self.within > 0:
            raise ValueError("between and within are 0: where nothing scatters, nothing is tested.")

    @property
    def sd_of_animal(self) -> float:
        """SD of the measured means of animals: sqrt(between² + within²/fibres)."""
        return float(np.sqrt(self.between**2 + self.within**2 / self.fibres))


def power(design: Design) -> float:
    r"""Return the power of a t test on the means of animals.

    Returns
    -------
    float
        Probability that the true effect is found significant at `ALPHA`.

    Notes
    -----
    The statistic has a noncentral t distribution with 2n - 2 degrees of freedom and noncentrality
    :math:`\delta/\sqrt{2(\sigma_b^2 + \sigma_w^2/m)/n}`, for n animals per group and m fibres per
    animal (Cohen 1988, Statistical Power Analysis for the Behavioral Sciences). With ever more
    fibres, :math:`\sigma_w^2/m` vanishes and :math:`\sigma_b^2` stays.

    Examples
    --------
    >>> round(power(Design(animals=64, fibres=1, effect=0.5, between=0, within=1)), 3)
    0.801
    """
    return float(_power(design, design.animals, design.fibres))


def simulate(design: Design, *, experiments: int = 2000, seed: int = 0) -> pd.DataFrame:
    r"""Repeat the experiment many times, and count how often a difference is called significant.

    Parameters
    ----------
    design : Design
    experiments : int
        With the effect, and as many without.
    seed : int

    Returns
    -------
    DataFrame
        Indexed by what is taken for n, ``"animals"`` and ``"fibres"``: `found`, the share of
        experiments in which the effect is found, and `false_alarms`, the share of those without an
        effect in which one is found: it should be `ALPHA`.

    Notes
    -----
    Fibres are normal about the mean of their animal, so that their mean and their sum of squares
    are drawn at once: :math:`\bar x \sim N(\mu, \sigma_w^2/m)` and
    :math:`SS \sim \sigma_w^2\chi^2_{m-1}`. A t test with pooled variance is made of the means of
    the animals, and another one of all fibres as if each were an independent observation, which
    they are not (Lazic 2010, doi:10.1186/1471-2202-11-5).
    """
    rng = np.random.default_rng(seed)
    n, m = design.animals, design.fibres
    shares: dict[str, list[float]] = {"animals": [], "fibres": []}
    for effect in (design.effect, 0.0):
        means = rng.normal(0, design.sd_of_animal, (2, experiments, n))
        means[1] += effect
        inner = design.within**2 * rng.chisquare(max(m - 1, 1), (2, experiments, n)) * (m > 1)
        difference = means[1].mean(-1) - means[0].mean(-1)
        between = means.var(-1, ddof=1).sum(0) * (n - 1)
        of_animals = (difference, between, n)
        of_fibres = (difference, inner.sum((0, 2)) + m * between, n * m)
        for name, (d, squares, k) in (("animals", of_animals), ("fibres", of_fibres)):
            t = d / np.sqrt(squares / (2 * k - 2) * 2 / k)
            p = 2 * stats.t.sf(np.abs(t), 2 * k - 2)
            shares[name].append(float((p < ALPHA).mean()))
    return pd.DataFrame(shares, index=["found", "false_alarms"]).T.rename_axis("n is")


def draw_experiment(design: Design, *, seed: int = 0) -> pd.DataFrame:
    """Draw one experiment.

    Returns
    -------
    DataFrame
        One row per fibre: `group` (``"first"`` and ``"second"``), `animal` (numbered through both
        groups, from 1) and `g_ratio`.
    """
    rng = np.random.default_rng(seed)
    n, m = design.animals, design.fibres
    true = MEAN_G + design.between * rng.standard_normal(2 * n)
    true[n:] += design.effect
    fibres = np.repeat(true, m) + design.within * rng.standard_normal(2 * n * m)
    return pd.DataFrame(
        {
            "group": np.repeat(["first", "second"], n * m),
            "animal": np.repeat(np.arange(1, 2 * n + 1), m),
            "g_ratio": fibres,
        }
    )


def power_table(design: Design, animals: Iterable[int], fibres: Iterable[int]) -> pd.DataFrame:
    """Return the power for numbers of animals (rows) and of fibres per animal (columns)."""
    rows, columns = pd.Index(animals), pd.Index(fibres)
    found = _power(design, rows.to_numpy()[:, None], columns.to_numpy())
    return pd.DataFrame(
        found,
        index=rows.rename("animals per group"),
        columns=columns.rename("fibres per animal"),
    )


def animals_needed(design: Design, *, wanted: float = 0.8) -> int | None:
    """Return the smallest number of animals per group that gives a power, with these fibres.

    Returns
    -------
    int or None
        None where `MOST_ANIMALS` are too few.

    Examples
    --------
    >>> animals_needed(Design(fibres=100)), animals_needed(Design(fibres=10_000))
    (12, 10)
    """
    numbers = np.arange(2, MOST_ANIMALS + 1)
    enough = numbers[_power(design, numbers, design.fibres) >= wanted]
    return int(enough[0]) if len(enough) else None


def _power(design: Design, animals: ArrayLike, fibres: ArrayLike) -> NDArray[np.float64]:
    """Return the power of a design with other numbers of animals and of fibres."""
    n, m = np.asarray(animals), np.asarray(fibres)
    df = 2 * n - 2
    shift = design.effect / np.sqrt((design.between**2 + design.within**2 / m) * 2 / n)
    limit = stats.t.ppf(1 - ALPHA / 2, df)
    # beyond some shift SciPy's tail is not a number: all is found then
    upper = np.where(shift > 30, 1.0, stats.nct.sf(limit, df, np.minimum(shift, 30)))
    lower = stats.nct.cdf(-limit, df, np.minimum(shift, 30))
    return np.asarray(upper + np.nan_to_num(lower), np.float64)
