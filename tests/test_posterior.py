"""Posteriors: they never fall, mend what they are for, and are the best of their kind."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from axonlab.calibration import expected_calibration_error
from axonlab.posterior import POSTERIORS, Posterior, fit_posterior, posterior_reliability


def biased(n: int = 40_000, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return scores that a balanced training would give where 80 % are of the class: too low."""
    rng = np.random.default_rng(seed)
    posterior = rng.beta(2, 0.5, n)
    odds = posterior / (1 - posterior + 1e-9) / 4
    return (odds / (1 + odds)).astype(np.float32), rng.random(n) < posterior


@pytest.mark.parametrize(("kind", "left"), [("cubic", 0.03), ("isotonic", 0.012)])
def test_posteriors_mend_what_a_balanced_training_does(kind: str, left: float) -> None:
    """Scores that are too low become probabilities, on other pixels than those of the fit."""
    scores, truth = biased()
    fitted = fit_posterior(scores, truth, kind)
    others, other_truth = biased(seed=1)
    before = expected_calibration_error(posterior_reliability(others, other_truth))
    after = expected_calibration_error(posterior_reliability(fitted(others), other_truth))
    assert before > 0.12
    assert after < left


def test_posterior_of_a_temperature() -> None:
    """Scores of logits that are three times too large need a temperature of 3."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 50_000)
    truth = rng.random(50_000) < 1 / (1 + np.exp(-logits))
    scores = 1 / (1 + np.exp(-3 * logits))
    fitted = fit_posterior(scores, truth, "temperature")
    assert fitted.numbers[0] == pytest.approx(3, rel=0.05)
    assert expected_calibration_error(posterior_reliability(fitted(scores), truth)) < 0.01


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(POSTERIORS))
def test_posteriors_never_fall_and_are_plain_numbers(seed: int, kind: str) -> None:
    """Of any scores the map rises from 0 to 1 at most, and JSON gives it back the same."""
    rng = np.random.default_rng(seed)
    scores = rng.random((2, 30)) ** rng.uniform(0.2, 4)
    truth = rng.random((2, 30)) < rng.random((2, 30)) * scores[::-1]
    truth[0, :2] = True, False
    fitted = fit_posterior(scores, truth, kind)
    grid = np.linspace(0, 1, 777)
    found = fitted(grid)
    assert found.dtype == np.float32
    assert (np.diff(found) >= -1e-6).all() and found[0] >= 0 and found[-1] <= 1
    assert fitted(scores).shape == scores.shape
    again = Posterior(**json.loads(json.dumps(asdict(fitted))))
    assert again == fitted
    np.testing.assert_array_equal(again(grid), found)


@pytest.mark.parametrize("seed", range(6))
def test_cubic_is_the_best_that_never_falls(seed: int) -> None:
    """A linear programme's worth of constraints on a fine grid finds no better one."""
    rng = np.random.default_rng(seed)
    x = rng.random(300)
    wave = 0.5 + 0.5 * np.sin(rng.uniform(2, 9) * x + rng.uniform(0, 6))
    y = rng.random(300) < wave
    a, b, c, d = fit_posterior(x, y).numbers
    powers = x[:, None] ** np.arange(4)

    def squares(coefficients: NDArray[np.float64]) -> float:
        return float(((powers @ coefficients - y) ** 2).mean())

    grid = np.linspace(0, 1, 201)[:, None]
    slopes = np.hstack([0 * grid, 1 + 0 * grid, 2 * grid, 3 * grid**2])
    best = minimize(
        squares,
        [0.5, 0.1, 0, 0],
        constraints={"type": "ineq", "fun": lambda k: slopes @ k, "jac": lambda k: slopes},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert (slopes @ [a, b, c, d]).min() > -1e-7
    assert squares(np.array([a, b, c, d])) <= best.fun + 1e-5


def test_isotonic_against_pooled_neighbours() -> None:
    """Where the share of truth falls, neighbours are pooled; between scores it is a line."""
    scores = np.array([0.1, 0.2, 0.2, 0.3, 0.9])
    truth = np.array([False, True, True, False, True])
    fitted = fit_posterior(scores, truth, "isotonic")
    expected = [0, 0, 2 / 3, 2 / 3, 1, 1]
    np.testing.assert_allclose(fitted(np.array([0, 0.1, 0.2, 0.3, 0.9, 1])), expected, atol=1e-6)
    assert fitted(np.array([0.15]))[0] == pytest.approx(1 / 3)


def test_posteriors_refuse_what_they_cannot_use() -> None:
    """One class, other shapes, logits, and unknown or falling maps are told."""
    scores, truth = biased(10)
    with pytest.raises(ValueError, match="of one class"):
        fit_posterior(scores, np.ones(10, bool))
    with pytest.raises(ValueError, match=r"\(10,\).*\(9,\)"):
        fit_posterior(scores, truth[:9])
    for wrong in (scores - 1, scores * 9, np.full(10, np.nan)):
        with pytest.raises(ValueError, match="from 0 to 1"):
            fit_posterior(wrong, truth)
        with pytest.raises(ValueError, match="from 0 to 1"):
            posterior_reliability(wrong, truth)
    with pytest.raises(ValueError, match="expected one of"):
        fit_posterior(scores, truth, "sigmoid")
    for kind, numbers in [
        ("sigmoid", [1]),
        ("cubic", [1, -1, 0, 0]),
        ("cubic", [0, 1]),
        ("isotonic", [0, 1, 0.5, 0.2]),
        ("isotonic", [1, 0, 0.2, 0.5]),
        ("isotonic", []),
        ("temperature", [0]),
        ("temperature", [np.nan]),
    ]:
        with pytest.raises(ValueError, match="posterior"):
            Posterior(kind, numbers)
