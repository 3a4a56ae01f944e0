"""Blur and noise of a phantom, and what the shipped model makes of it."""

import pytest

from axonlab import image_trial, models

SMALL = (128, 128)


@pytest.fixture(scope="module")
def model():
    """Return the shipped model."""
    return models.load_model("sem")


def test_a_trial_tells_dice_and_g_ratio(model):
    """The same fibres are looked at, worse and worse: Dice falls, the truth stays."""
    good, bad = (
        image_trial.look_through(*condition, model=model, shape=SMALL)
        for condition in ((0.12, 4), (0.6, 90))
    )
    assert (good.phantom.labels == bad.phantom.labels).all()
    assert good.scores["true_g_ratio"] == bad.scores["true_g_ratio"]
    assert good.scores["dice_axon"] > 0.85 and good.scores["dice_myelin"] > 0.7
    assert bad.scores["dice_myelin"] < good.scores["dice_myelin"]
    difference = good.scores["g_ratio"] - good.scores["true_g_ratio"]
    assert good.scores["g_error"] == pytest.approx(difference)
    assert good.labels.shape == SMALL


def test_conditions_that_cannot_be(model):
    """Neither blur nor noise is negative."""
    with pytest.raises(ValueError, match="noise is -1, expected 0 or more"):
        image_trial.look_through(noise=-1, model=model)
