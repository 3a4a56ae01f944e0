"""Whether a model is right as often as it says, and the temperature that makes it so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from axonlab.micrograph import CLASSES, UNLABELLED, classify
from axonlab.score import merge_classes

BINS = 15
"""Of confidence, as Guo et al. (2017) have them."""

SAMPLE_PIXELS = 50_000
"""Pixels of an image that a sample holds: some 0.8 MB at three classes."""

TEMPERATURES = (0.05, 20.0)
"""Between which a temperature is sought: a model without a fault would get colder for ever."""

_SMALLEST = float(np.finfo(np.float32).tiny)
"""Stands for the probabilities that float32 has rounded to 0."""


def reliability(
    probabilities: NDArray[np.float32], truth: NDArray[np.uint8], classes: Sequence[str]
) -> pd.DataFrame:
    """Count how often the most probable class is right, by how probable it is.

    Pixels that `truth` leaves unlabelled do not count; what is true but not among `classes`
    counts as the first of them. The tables are sums: those of several images can be added.

    Parameters
    ----------
    probabilities : (n_classes, H, W) float32 array
        In the order of `classes`.
    truth : (H, W) uint8 array
        Class ids.
    classes : sequence of str

    Returns
    -------
    DataFrame
        One row per bin of confidence, empty ones included: `pixels`, `confidence` (the sum of the
        probabilities of the chosen classes) and `correct` (pixels).

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> probabilities = np.array([[[0.75, 0.75, 0.75, 0.75]], [[0.25, 0.25, 0.25, 0.25]]])
    >>> table = reliability(probabilities, np.array([[0, 0, 0, 2]]), ["background", "axon"])
    >>> table[table["pixels"] > 0].to_dict("records")
    [{'pixels': 4, 'confidence': 3.0, 'correct': 3}]
    """
    _check_shapes(probabilities, truth)
    confidence = probabilities.max(0)
    correct = classify(probabilities, list(classes)) == merge_classes(truth, classes)
    position = np.ceil(confidence * BINS).astype(np.int8).clip(1, BINS) - 1
    position[truth == UNLABELLED] = BINS
    position, confidence = position.ravel(), confidence.ravel()
    columns = {
        "pixels": np.bincount(position, minlength=BINS + 1),
        "confidence": np.bincount(position, confidence, minlength=BINS + 1),
        "correct": np.bincount(position[correct.ravel()], minlength=BINS + 1),
    }
    return pd.DataFrame(
        {name: sums[:BINS] for name, sums in columns.items()}, index=confidence_bins()
    )


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Return by how much confidence and accuracy differ in the mean over all pixels.

    Parameters
    ----------
    table : DataFrame
        From `reliability`, or a sum of such tables.

    Returns
    -------
    float
        0 (calibrated) to 1; NaN without any pixel.

    Notes
    -----
    The gap of every bin counts by its pixels; of the most probable class alone. Naeini, Cooper &
    Hauskrecht 2015, doi:10.1609/aaai.v29i1.9602; Guo et al. 2017, arXiv:1706.04599.

    Examples
    --------
    >>> table = pd.DataFrame({"pixels": [4], "confidence": [3.6], "correct": [3]})
    >>> round(expected_calibration_error(table), 3)
    0.15
    """
    pixels = table["pixels"].sum()
    gaps = (table["confidence"] - table["correct"]).abs().sum()
    return float(gaps / pixels) if pixels else np.nan


def sample_pixels(
    probabilities: NDArray[np.float32], truth: NDArray[np.uint8], classes: Sequence[str]
) -> pd.DataFrame:
    """Draw labelled pixels of an image, always the same ones, to fit a temperature on.

    `SAMPLE_PIXELS` at most, so that samples of many images fit into memory; in the pool of them,
    images of any size then weigh the same.

    Parameters
    ----------
    probabilities : (n_classes, H, W) float32 array
        In the order of `classes`.
    truth : (H, W) uint8 array
        Class ids; what is not among `classes` counts as the first of them.
    classes : sequence of str

    Returns
    -------
    DataFrame
        One row per pixel: the probability of each class, by its name, and the id `truth`.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    _check_shapes(probabilities, truth)
    labelled = np.flatnonzero(truth != UNLABELLED)
    if len(labelled) > SAMPLE_PIXELS:
        labelled = np.random.default_rng(0).choice(labelled, SAMPLE_PIXELS, replace=False)
    drawn = probabilities.reshape(len(classes), -1)[:, labelled]
    table = pd.DataFrame(drawn.T, columns=list(classes))
    table["truth"] = merge_classes(truth.ravel()[labelled], classes)
    return table


def fit_temperature(sample: pd.DataFrame, classes: Sequence[str]) -> float:
    """Return the temperature at which a model is most believable on some pixels.

    Above 1 the model is too sure of itself, below too unsure. The most probable class of a pixel
    stays the same at any temperature.

    Parameters
    ----------
    sample : DataFrame
        From `sample_pixels`, or several of these in one.
    classes : sequence of str

    Returns
    -------
    float
        Within `TEMPERATURES`. It multiplies the temperature that the probabilities were made with.

    Raises
    ------
    ValueError
        If the sample is empty.

    Notes
    -----
    Logits are divided by the temperature that minimises the negative log-likelihood (Guo et al.
    2017, arXiv:1706.04599). Log-probabilities serve as well: they are logits but for a constant.

    On the pixels it was fitted on, a model looks better calibrated than it is: their calibration
    error is no longer one to report. `left_out_reliability` gives one that is.
    """
    if sample.empty:
        raise ValueError(
            "No labelled pixel to fit a temperature on: expected at least one. Label some pixels "
            "of the validation images."
        )
    logs = _log_probabilities(sample, classes)
    ids = np.array([CLASSES[name] for name in classes])
    true = logs[np.arange(len(sample)), (sample["truth"].to_numpy()[:, None] == ids).argmax(1)]

    def loss(log_temperature: float) -> float:
        cold = float(np.exp(-log_temperature))
        return float((logsumexp(logs * cold, axis=1) - true * cold).mean())

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


def scale(sample: pd.DataFrame, classes: Sequence[str], temperature: float) -> pd.DataFrame:
    """Return a sample with the probabilities that another temperature gives."""
    logs = _log_probabilities(sample, classes) / temperature
    scaled = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    return sample.assign(**dict(zip(classes, scaled.T, strict=True)))


def left_out_reliability(sample: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return the reliability of a model with a temperature that has not seen the same animal.

    Each animal is scaled by the temperature fitted on the others, so that the calibration error
    of the table is honest about a new animal. The temperature to use is fitted on all of them.

    Parameters
    ----------
    sample : DataFrame
        Of several images, from `sample_pixels`, with a column `animal`.
    classes : sequence of str

    Returns
    -------
    DataFrame
        As `reliability` gives it.

    Raises
    ------
    ValueError
        If there are fewer than two animals.
    """
    animals = sample["animal"].unique()
    if len(animals) < 2:
        raise ValueError(
            f"Pixels of {len(animals)} animals: to leave one out, expected at least 2. With one "
            "animal there is no honest calibration error after scaling."
        )
    tables = []
    for animal in animals:
        is_left_out = sample["animal"] == animal
        temperature = fit_temperature(sample[~is_left_out], classes)
        tables.append(sample_reliability(scale(sample[is_left_out], classes, temperature), classes))
    return sum(tables[1:], tables[0])


def sample_reliability(sample: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return the `reliability` of the pixels of a sample."""
    probabilities = sample[list(classes)].to_numpy().T
    return reliability(probabilities, sample["truth"].to_numpy(np.uint8), classes)


def confidence_bins() -> pd.IntervalIndex:
    """Return the bins of confidence that the rows of `reliability` are."""
    return pd.IntervalIndex.from_breaks(np.linspace(0, 1, BINS + 1).round(3), name="bin")


def _log_probabilities(sample: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.float64]:
    """Return (n, n_classes) logits, but for a constant."""
    probabilities = sample[list(classes)].to_numpy(np.float64)
    logs: NDArray[np.float64] = np.log(probabilities.clip(_SMALLEST))
    return logs


def _check_shapes(probabilities: NDArray[np.float32], truth: NDArray[np.uint8]) -> None:
    if probabilities.shape[1:] != truth.shape:
        raise ValueError(
            f"Probabilities of shape {probabilities.shape} for labels of {truth.shape}: expected "
            "(n_classes, H, W) and (H, W) of the same image at the same size."
        )
