"""Statistics of two measurements: published examples, brute-force oracles, symmetries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats

from axonlab.paired import bland_altman, deming, icc

JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
).T
"""Four judges rate six targets: table 2 of Shrout & Fleiss 1979."""

Pairs = tuple[NDArray[np.float64], NDArray[np.float64]]


@st.composite
def pairs(draw: st.DrawFn) -> Pairs:
    """Draw two noisy measurements of the same sizes."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(4, 60))
    true = rng.uniform(1, 10, n)
    return true + rng.normal(0.2, 0.5, n), 1.1 * true + rng.normal(0, 0.5, n)


# --- Bland and Altman


def test_bias_and_limits_in_closed_form() -> None:
    """Differences −1, 0, 1 and 2 have mean 0.5 and variance 5/3; the rest follows by formula."""
    b = np.array([10.0, 11, 13, 12])
    found = bland_altman(b + np.array([-1, 0, 1, 2]), b)
    sd, t = np.sqrt(5 / 3), stats.t.ppf(0.975, 3)
    assert found["n"] == 4
    assert found["bias"] == pytest.approx(0.5)
    assert found["sd"] == pytest.approx(sd)
    assert found["bias_high"] == pytest.approx(0.5 + t * sd / 2)
    assert found["upper"] == pytest.approx(0.5 + 1.959964 * sd)
    margin = t * sd * np.sqrt(1 / 4 + 1.959964**2 / 6)
    assert found["lower_low"] == pytest.approx(0.5 - 1.959964 * sd - margin)
    assert found["upper_low"] == pytest.approx(found["upper"] - margin)


def test_intervals_cover_what_they_should() -> None:
    """In 19 of 20 samples the intervals hold the true bias, limit and slope."""
    rng, n_samples = np.random.default_rng(0), 800
    held = np.zeros(3)
    for _ in range(n_samples):
        true = rng.normal(5, 2, 40)
        found = bland_altman(true + rng.normal(0.3, 0.2, 40), true + rng.normal(0, 0.2, 40))
        sd = 0.2 * np.sqrt(2)
        for i, (name, value) in enumerate(
            {"bias": 0.3, "upper": 0.3 + 1.96 * sd, "slope": 0.0}.items()
        ):
            held[i] += found[f"{name}_low"] < value < found[f"{name}_high"]
    assert (np.abs(held / n_samples - 0.95) < 0.025).all()


def test_a_proportional_bias_is_seen() -> None:
    """One measurement 10 % above the other gives a slope of 0.1 over 1.05, without doubt."""
    b = np.arange(1.0, 20)
    found = bland_altman(1.1 * b, b)
    assert found["slope"] == pytest.approx(0.1 / 1.05)
    assert found["slope_low"] == pytest.approx(found["slope_high"])


@given(pairs())
def test_swapping_flips_the_sign(measured: Pairs) -> None:
    """What is above seen from the one is below seen from the other."""
    a, b = measured
    there, back = bland_altman(a, b), bland_altman(b, a)
    for name, opposite in (
        ("bias", "bias"),
        ("lower", "upper"),
        ("upper_low", "lower_high"),
        ("slope_low", "slope_high"),
    ):
        assert there[name] == pytest.approx(-back[opposite], abs=1e-9)
    assert there["sd"] == pytest.approx(back["sd"])


@given(pairs(), st.floats(0.01, 100))
def test_the_unit_does_not_matter(measured: Pairs, scale: float) -> None:
    """In other units biases, limits and intercepts scale; slopes and correlations stay."""
    a, b = measured
    for statistic, scaled, kept in (
        (bland_altman, ["bias", "lower_low", "upper", "sd"], ["slope", "slope_high"]),
        (deming, ["intercept", "intercept_low"], ["slope", "slope_low"]),
    ):
        one, other = statistic(a, b), statistic(scale * a, scale * b)
        assert other[scaled].to_numpy() == pytest.approx(scale * one[scaled].to_numpy(), rel=1e-6)
        assert other[kept].to_numpy() == pytest.approx(one[kept].to_numpy(), rel=1e-6)
    assert icc(scale * a, scale * b).to_numpy() == pytest.approx(icc(a, b).to_numpy(), rel=1e-6)


# --- intraclass correlation


def test_the_published_example() -> None:
    """Shrout & Fleiss 1979, table 4: 0.29 and 0.71; six targets leave them wide open."""
    found = icc(*JUDGES)
    assert found["icc"].round(2).tolist() == [0.29, 0.71]
    assert found.loc["ICC(2,1)", ["low", "high"]].round(2).tolist() == [0.02, 0.76]
    assert found.loc["ICC(3,1)", ["low", "high"]].round(2).tolist() == [0.34, 0.95]


def test_icc_intervals_cover_what_they_should() -> None:
    """Between raters without an offset both intervals hold the true 0.8 in 19 of 20 samples."""
    rng, n_samples = np.random.default_rng(2), 600
    held = np.zeros(2)
    for _ in range(n_samples):
        true = rng.normal(0, 2, 25)
        found = icc(true + rng.normal(0, 1, 25), true + rng.normal(0, 1, 25))
        held += (found["low"] < 0.8) & (found["high"] > 0.8)
    assert (np.abs(held / n_samples - 0.95) < 0.025).all()


def test_icc_by_analysis_of_variance() -> None:
    """ICC(3,1) of two raters is the covariance over the mean of the variances."""
    rng = np.random.default_rng(1)
    a = rng.normal(5, 1, 30)
    b = a + rng.normal(0.5, 0.3, 30)
    covariance = np.cov(a, b)
    found = icc(a, b)["icc"]
    assert found["ICC(3,1)"] == pytest.approx(covariance[0, 1] / np.diag(covariance).mean())
    assert found["ICC(2,1)"] < found["ICC(3,1)"]


def test_perfect_agreement() -> None:
    """The same numbers twice correlate perfectly; an offset lowers absolute agreement alone."""
    a = np.array([1.0, 2, 4, 8])
    assert icc(a, a).to_numpy() == pytest.approx(1)
    found = icc(a, a + 3)
    assert found.loc["ICC(3,1)"].to_numpy() == pytest.approx(1)
    assert found.loc["ICC(2,1)", "icc"] < 0.8


def test_nothing_varies() -> None:
    """Where all fibres are alike there is no correlation: NaN, and no warning."""
    assert icc(np.ones(5), np.ones(5)).isna().all(axis=None)
    assert np.isnan(bland_altman(np.ones(5), np.ones(5))["slope"])
    assert deming(np.ones(5), np.ones(5)).drop("n").isna().all()


@given(st.integers(0, 1000), st.permutations(range(4)))
def test_order_does_not_matter(seed: int, order: list[int]) -> None:
    """Neither the order of the raters nor that of the things changes anything."""
    things = np.random.default_rng(seed).permutation(6)
    shuffled = JUDGES[order][:, things]
    assert icc(*shuffled).to_numpy() == pytest.approx(icc(*JUDGES).to_numpy())


# --- Deming


@given(pairs())
def test_total_least_squares(measured: Pairs) -> None:
    """With equal errors the line is the first principal axis."""
    a, b = measured
    centred = np.column_stack([b - b.mean(), a - a.mean()])
    axis = np.linalg.svd(centred)[2][0]
    found = deming(a, b)
    assert found["slope"] == pytest.approx(axis[1] / axis[0])
    assert found["intercept"] == pytest.approx(a.mean() - found["slope"] * b.mean())


@pytest.mark.parametrize("ratio", [0.25, 1.0, 4.0])
def test_the_line_is_the_nearest(ratio: float) -> None:
    """No other slope has less weighted squared distance from the points."""
    rng = np.random.default_rng(3)
    b = rng.uniform(1, 9, 25)
    a = 0.5 + 1.3 * b + rng.normal(0, 1, 25)

    def distance(line: NDArray[np.float64]) -> float:
        return float(((a - line[0] - line[1] * b) ** 2).sum() / (ratio + line[1] ** 2))

    found = deming(a, b, error_ratio=ratio)
    best = optimize.minimize(distance, [0, 1], tol=1e-10).x
    assert found[["intercept", "slope"]].to_numpy() == pytest.approx(best, rel=1e-4)


@given(pairs(), st.floats(0.1, 10))
def test_the_line_does_not_depend_on_who_is_first(measured: Pairs, ratio: float) -> None:
    """Seen from the other axis the slope is the reciprocal, which least squares does not give."""
    a, b = measured
    there = deming(a, b, error_ratio=ratio)["slope"]
    back = deming(b, a, error_ratio=1 / ratio)["slope"]
    assert there * back == pytest.approx(1)


def test_jackknife_by_leaving_out() -> None:
    """The intervals are those from lines through all points but one."""
    rng = np.random.default_rng(4)
    b = rng.uniform(1, 9, 12)
    a = b + rng.normal(0, 0.5, 12)
    found = deming(a, b, error_ratio=2)
    for name in ("slope", "intercept"):
        without = [deming(np.delete(a, i), np.delete(b, i), error_ratio=2)[name] for i in range(12)]
        pseudo = 12 * found[name] - 11 * np.array(without)
        margin = stats.t.ppf(0.975, 10) * pseudo.std(ddof=1) / np.sqrt(12)
        assert found[f"{name}_low"] == pytest.approx(pseudo.mean() - margin)
        assert found[f"{name}_high"] == pytest.approx(pseudo.mean() + margin)


def test_noise_in_the_reference_does_not_flatten_the_line() -> None:
    """With errors on both sides Deming finds the true slope, least squares less."""
    rng = np.random.default_rng(5)
    true = rng.normal(5, 1, 4000)
    a, b = true + rng.normal(0, 0.5, 4000), true + rng.normal(0, 0.5, 4000)
    found = deming(a, b)
    assert found["slope_low"] < 1 < found["slope_high"]
    assert np.polyfit(b, a, 1)[0] < 0.85


# --- what cannot be compared


def test_missing_numbers_are_left_out() -> None:
    """Pairs with NaN or infinity do not count, and n tells."""
    a, b = [1, 2, np.nan, 4, 5], [1, 2, 3, 3, np.inf]
    assert bland_altman(a, b)["n"] == 3
    assert bland_altman(a, b)["bias"] == pytest.approx(1 / 3)
    assert deming(a, b)["n"] == 3
    assert icc(a, b).equals(icc([1, 2, 4], [1, 2, 3]))


ERRORS: dict[str, tuple[Any, str]] = {
    "one pair": (lambda: bland_altman([1], [1]), "1 of 1 fibres have all the numbers"),
    "nothing": (lambda: icc([], []), "0 of 0"),
    "only NaN": (lambda: deming([np.nan] * 9, range(9)), "0 of 9"),
    "other lengths": (lambda: bland_altman([1, 2, 3], [1, 2]), r"\[\(3,\), \(2,\)\]"),
    "tables": (lambda: bland_altman(np.ones((3, 2)), np.ones((3, 2))), "one number per fibre"),
    "one rater": (lambda: icc([1, 2, 3]), "1 raters"),
    "ratio 0": (lambda: deming([1, 2, 3], [1, 2, 3], error_ratio=0), "error_ratio is 0"),
    "ratio NaN": (lambda: deming([1, 2, 3], [1, 2, 3], error_ratio=np.nan), "error_ratio is nan"),
}


@pytest.mark.parametrize(("call", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_errors(call: Any, message: str) -> None:
    """What was given, what was expected and what to do is told."""
    with pytest.raises(ValueError, match=message):
        call()
