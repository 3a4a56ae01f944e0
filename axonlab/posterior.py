"""Probabilities of two classes from the scores of a network: maps that never fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from axonlab.calibration import BINS, confidence_bins, fit_temperature
from axonlab.micrograph import CLASSES

SCORE_STEPS = 1000
"""Scores are rounded to so many steps for an isotonic fit: it keeps no more numbers than that."""

POSTERIORS = ("cubic", "isotonic", "temperature")


@dataclass(frozen=True)
class Posterior:
    """A map from the scores of two classes to probabilities that never falls.

    Plain numbers: ``dataclasses.asdict`` makes it JSON, ``Posterior(**content)`` makes it again.

    Parameters
    ----------
    kind : str
        One of `POSTERIORS`.
    numbers : sequence of float
        "cubic": the coefficients of 1, x, x² and x³. "isotonic": scores in their order, then as
        many probabilities. "temperature": by which logits are divided.

    Raises
    ------
    ValueError
        If the numbers are no such map.
    """

    kind: str
    numbers: Sequence[float]

    def __post_init__(self) -> None:
        numbers = tuple(float(number) for number in self.numbers)
        object.__setattr__(self, "numbers", numbers)
        if self.kind not in POSTERIORS:
            raise ValueError(f"No posterior {self.kind!r}: expected one of {POSTERIORS}.")
        probabilities = self(np.linspace(0, 1, SCORE_STEPS + 1)) if self._fits() else np.array([-1])
        if not (
            np.isfinite(probabilities).all()
            and np.diff(probabilities).min(initial=0) >= -1e-6
            and probabilities[0] >= 0
        ):
            raise ValueError(
                f"A posterior {self.kind!r} of {len(numbers)} numbers {numbers[:4]}… that is not a "
                "rising map from scores to probabilities. Fit it with `fit_posterior`."
            )

    def __call__(self, scores: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the probabilities of scores, in their shape; float32."""
        x = np.asarray(scores, np.float64)
        if self.kind == "cubic":
            a, b, c, d = self.numbers
            found = a + x * (b + x * (c + x * d))
        elif self.kind == "isotonic":
            half = len(self.numbers) // 2
            found = np.interp(x, self.numbers[:half], self.numbers[half:])
        else:
            found = expit(logit(x.clip(1e-37, 1 - 1e-7)) / self.numbers[0])
        return found.clip(0, 1).astype(np.float32)

    def _fits(self) -> bool:
        n = len(self.numbers)
        if self.kind == "isotonic":
            return (
                n >= 2 and n % 2 == 0 and bool(np.diff(self.numbers[: n // 2]).min(initial=1) > 0)
            )
        return n == 4 if self.kind == "cubic" else n == 1 and self.numbers[0] > 0


def fit_posterior(
    scores: NDArray[np.floating], truth: NDArray[np.bool_], kind: str = "cubic"
) -> Posterior:
    """Return what makes probabilities of the scores of a network for two classes.

    Fit it on training data, as published, or on data left out for it: the calibration error on
    the pixels it was fitted on flatters it.

    Parameters
    ----------
    scores : float array
        Of the class that `truth` means, for example what `axonlab.segment.predict` gives for the
        interior of cells; from 0 to 1.
    truth : bool array
        Of the same shape.
    kind : str
        "cubic": a polynomial of third degree that never falls (Cireşan et al. 2012). "isotonic":
        any steps that never fall (Zadrozny & Elkan 2002, doi:10.1145/775047.775151).
        "temperature": one number that leaves 0.5 where it is (Guo et al. 2017, arXiv:1706.04599).

    Returns
    -------
    Posterior

    Raises
    ------
    ValueError
        If the shapes differ, scores leave 0 to 1, or `truth` is all one class.

    Notes
    -----
    The cubic and the steps are those of least squares (of least Brier score) among all that never
    fall between 0 and 1; the cubic is cut off at 0 and 1.

    Examples
    --------
    >>> scores = np.linspace(0, 1, 1001)
    >>> fitted = fit_posterior(scores, scores > 0.5)
    >>> bool(fitted(np.array([0.1]))[0] < 0.1 < 0.9 < fitted(np.array([0.9]))[0])
    True
    """
    scores, truth = np.asarray(scores), np.asarray(truth)
    _check_scores(scores, truth)
    if kind not in POSTERIORS:
        raise ValueError(f"No posterior {kind!r}: expected one of {POSTERIORS}.")
    if truth.all() or not truth.any():
        raise ValueError(
            f"All {truth.size} pixels to fit a posterior on are of one class: expected both. Check "
            "the labels, or take more sections."
        )
    x, y = scores.ravel().astype(np.float64), truth.ravel()
    fit = {"cubic": _fit_cubic, "isotonic": _fit_isotonic, "temperature": _fit_sharpness}[kind]
    return Posterior(kind, fit(x, y).tolist())


def posterior_reliability(
    probability: NDArray[np.floating], truth: NDArray[np.bool_]
) -> pd.DataFrame:
    """Count how often a class is there, by how probable it is.

    Parameters
    ----------
    probability : float array
        Of the class that `truth` means, from 0 to 1.
    truth : bool array
        Of the same shape.

    Returns
    -------
    DataFrame
        As that of `reliability`, for `expected_calibration_error` too; its `confidence` is the sum
        of `probability`, which may be below 0.5, and `correct` counts where `truth` holds.

    Raises
    ------
    ValueError
        If the shapes differ, or probabilities leave 0 to 1.

    Examples
    --------
    >>> table = posterior_reliability(np.array([0.25, 0.25]), np.array([True, False]))
    >>> table[table["pixels"] > 0].to_dict("records")
    [{'pixels': 2, 'confidence': 0.5, 'correct': 1}]
    """
    probability, truth = np.asarray(probability), np.asarray(truth)
    _check_scores(probability, truth)
    position = np.ceil(probability.ravel() * BINS).astype(np.int8).clip(1, BINS) - 1
    columns = {
        "pixels": np.bincount(position, minlength=BINS),
        "confidence": np.bincount(position, probability.ravel(), minlength=BINS),
        "correct": np.bincount(position[truth.ravel()], minlength=BINS),
    }
    return pd.DataFrame(columns, index=confidence_bins())


def _fit_cubic(x: NDArray[np.float64], y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the coefficients of the cubic of least squares that never falls between 0 and 1.

    Its derivative is p (1 − x)² + 2 q x (1 − x) + r x², which is nowhere below 0 there just when
    p and r are not, and q is not below −√(p r): p = u², r = v², q = w − u v.
    """
    moments = np.array([(x**k).mean() for k in range(7)])
    squares = moments[np.add.outer(range(4), range(4))]
    products = np.array([(x**k)[y].sum() for k in range(4)]) / len(x)

    def coefficients(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        a, u, v, w = parameters
        p, q, r = u * u, w - u * v, v * v
        return np.array([a, p, q - p, (p - 2 * q + r) / 3])

    def loss(parameters: NDArray[np.float64]) -> float:
        c = coefficients(parameters)
        return float(c @ squares @ c - 2 * products @ c)

    limits = [(None, None), (0, None), (0, None), (0, None)]
    start = np.array([0.0, 1.0, 1.0, 2.0])  # the identity
    found = minimize(loss, start, bounds=limits, method="L-BFGS-B", tol=1e-13)
    return coefficients(found.x)


def _fit_isotonic(x: NDArray[np.float64], y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return scores, and the probabilities between which those of other scores lie."""
    step = np.rint(x * SCORE_STEPS).astype(np.int64)
    pixels, true = np.bincount(step), np.bincount(step, y)
    steps = np.flatnonzero(pixels)
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(
        steps / SCORE_STEPS, true[steps] / pixels[steps], pixels[steps]
    )
    return np.concatenate([fitted.X_thresholds_, fitted.y_thresholds_])


def _fit_sharpness(x: NDArray[np.float64], y: NDArray[np.bool_]) -> NDArray[np.float64]:
    sample = pd.DataFrame({"background": 1 - x, "axon": x})
    sample["truth"] = np.where(y, CLASSES["axon"], CLASSES["background"])
    return np.array([fit_temperature(sample, ["background", "axon"])])


def _check_scores(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> None:
    if scores.shape != truth.shape or truth.dtype != bool:
        raise ValueError(
            f"Scores of shape {scores.shape} for {truth.dtype} truth of {truth.shape}: expected "
            "as many, and bool, true where the class of the scores is."
        )
    # NaN compares as false
    if not (scores.size and scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(
            "Scores to calibrate must lie from 0 to 1, and there must be some: take probabilities, "
            "not logits or grey values."
        )
