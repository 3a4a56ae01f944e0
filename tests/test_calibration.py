"""Calibration: bins are counted right, and a known temperature is found again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from axonlab import calibration
from axonlab.calibration import (
    BINS,
    expected_calibration_error,
    fit_temperature,
    left_out_reliability,
    reliability,
    sample_pixels,
    sample_reliability,
    scale,
)
from axonlab.micrograph import CLASSES, UNLABELLED

NAMES = ["background", "myelin", "axon"]
Source = tuple[NDArray[np.float32], NDArray[np.uint8]]


def source(temperature: float, shape: tuple[int, int] = (150, 200), seed: int = 0) -> Source:
    """Return truth drawn from probabilities, and these as a model says that many times too hot."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (3, *shape))
    true = np.exp(logits) / np.exp(logits).sum(0)
    truth = (rng.random(shape) > true.cumsum(0)).sum(0).clip(0, 2).astype(np.uint8)
    said = np.exp(logits * temperature)
    return (said / said.sum(0)).astype(np.float32), truth


def slow_reliability(probabilities: NDArray[np.float32], truth: NDArray[np.uint8]) -> pd.DataFrame:
    """Count pixel by pixel."""
    rows = np.zeros((BINS, 3))
    for place in np.ndindex(truth.shape):
        if truth[place] == UNLABELLED:
            continue
        best = int(probabilities[:, *place].argmax())
        confidence = float(probabilities[:, *place].max())
        bin_number = next(i for i in range(BINS) if confidence * BINS <= i + 1 or i == BINS - 1)
        true = NAMES.index("background") if truth[place] == 3 else truth[place]
        rows[bin_number] += 1, confidence, best == true
    return pd.DataFrame(rows, columns=["pixels", "confidence", "correct"])


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 6))
def test_reliability_against_a_loop(seed: int, height: int, width: int) -> None:
    """All sums agree with those of a loop, with unlabelled and unknown classes in the truth."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet((0.5, 0.5, 0.5), (height, width)).astype(np.float32)
    probabilities = np.moveaxis(probabilities, -1, 0)
    truth = rng.choice([*CLASSES.values(), UNLABELLED], (height, width)).astype(np.uint8)
    table = reliability(probabilities, truth, NAMES)
    wanted = slow_reliability(probabilities, truth)
    np.testing.assert_allclose(table.to_numpy(float), wanted.to_numpy(), rtol=1e-6)


def test_reliability_adds_up() -> None:
    """The tables of two halves add up to that of the whole."""
    probabilities, truth = source(1)
    halves = [reliability(probabilities[:, i::2], truth[i::2], NAMES) for i in range(2)]
    whole = reliability(probabilities, truth, NAMES)
    pd.testing.assert_frame_equal(halves[0] + halves[1], whole)


def test_certainty_is_in_the_last_bin() -> None:
    """Probabilities of 1, also such as interpolation makes them a little larger, are counted."""
    probabilities = np.array([[[1, 1.0000001]], [[0, 0]]], np.float32)
    table = reliability(probabilities, np.zeros((1, 2), np.uint8), NAMES[:2])
    assert table["pixels"].iloc[-1] == 2
    assert table.index[-1].right == 1


def test_error_is_known() -> None:
    """A calibrated source has none but chance, one always wrong that of its confidence."""
    assert expected_calibration_error(reliability(*source(1), NAMES)) < 0.01
    assert expected_calibration_error(reliability(*source(3), NAMES)) > 0.1
    sure = np.stack([np.full((2, 2), 0.8), np.full((2, 2), 0.2)]).astype(np.float32)
    table = reliability(sure, np.ones((2, 2), np.uint8), NAMES[:2])
    assert expected_calibration_error(table) == pytest.approx(0.8)


def test_error_of_nothing_is_unknown() -> None:
    """Where nobody has labelled there is no error."""
    probabilities, truth = source(1, (3, 3))
    table = reliability(probabilities, np.full_like(truth, UNLABELLED), NAMES)
    assert table["pixels"].sum() == 0
    assert np.isnan(expected_calibration_error(table))


@settings(max_examples=12)
@given(st.floats(0.3, 4))
def test_temperature_is_found_again(temperature: float) -> None:
    """Logits that are so many times too large have that temperature, and scaled by it none."""
    sample = sample_pixels(*source(temperature), NAMES)
    found = fit_temperature(sample, NAMES)
    assert found == pytest.approx(temperature, rel=0.06)
    scaled = scale(sample, NAMES, found)
    np.testing.assert_allclose(scaled[NAMES].sum(axis="columns"), 1)
    assert fit_temperature(scaled, NAMES) == pytest.approx(1, rel=1e-3)
    assert expected_calibration_error(sample_reliability(scaled, NAMES)) < 0.01


def test_temperatures_multiply() -> None:
    """A model scaled by 2 already needs half as much: the factor is relative to its card."""
    sample = sample_pixels(*source(3), NAMES)
    half = fit_temperature(scale(sample, NAMES, 2), NAMES)
    assert 2 * half == pytest.approx(fit_temperature(sample, NAMES), rel=1e-3)


def test_temperature_stays_within_bounds() -> None:
    """A model never wrong gets as cold as may be, one always wrong as hot; 0 is no obstacle."""
    sure = np.array([[[1, 1]], [[0, 0]]], np.float32)
    wrong = sample_pixels(sure, np.ones((1, 2), np.uint8), NAMES[:2])
    right = wrong.assign(background=0.6, myelin=0.4, truth=0)
    coldest, hottest = calibration.TEMPERATURES
    assert fit_temperature(right, NAMES[:2]) == pytest.approx(coldest, rel=0.01)
    assert fit_temperature(wrong, NAMES[:2]) == pytest.approx(hottest, rel=0.01)


def test_temperature_needs_pixels() -> None:
    """Without any label the answer is what to do."""
    probabilities, truth = source(1, (3, 3))
    sample = sample_pixels(probabilities, np.full_like(truth, UNLABELLED), NAMES)
    with pytest.raises(ValueError, match=r"No labelled pixel.*Label some"):
        fit_temperature(sample, NAMES)


def test_sample_is_bounded_and_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pixel is drawn twice or without a label, and each keeps its probabilities."""
    monkeypatch.setattr(calibration, "SAMPLE_PIXELS", 100)
    probabilities, truth = source(1, (20, 30))
    truth[:10] = UNLABELLED
    sample = sample_pixels(probabilities, truth, NAMES)
    assert len(sample) == 100
    pd.testing.assert_frame_equal(sample, sample_pixels(probabilities, truth, NAMES))
    drawn = {tuple(row) for row in sample[NAMES].to_numpy()}
    there = {
        tuple(p): t
        for p, t in zip(probabilities[:, 10:].reshape(3, -1).T, truth[10:].flat, strict=True)
    }
    assert len(drawn) == 100 and drawn <= set(there)
    assert all(there[tuple(row[:3])] == row[3] for row in sample.to_numpy(np.float32))


def test_left_out_animals_are_judged_by_the_others() -> None:
    """Animals that need other temperatures show that one does not suit a new one."""
    alike = [sample_pixels(*source(3, seed=i), NAMES).assign(animal=str(i)) for i in range(3)]
    other = sample_pixels(*source(0.4, seed=9), NAMES).assign(animal="other")
    table = left_out_reliability(pd.concat(alike), NAMES)
    assert table["pixels"].sum() == sum(map(len, alike))
    assert expected_calibration_error(table) < 0.01
    mixed = left_out_reliability(pd.concat([alike[0], other]), NAMES)
    assert expected_calibration_error(mixed) > 0.1
    with pytest.raises(ValueError, match=r"1 animals.*at least 2"):
        left_out_reliability(alike[0], NAMES)


def test_shapes_must_agree() -> None:
    """Labels of another image are refused."""
    probabilities, truth = source(1, (3, 4))
    for function in (reliability, sample_pixels):
        with pytest.raises(ValueError, match=r"\(3, 3, 4\).*\(4, 3\).*same image"):
            function(probabilities, truth.T, NAMES)
