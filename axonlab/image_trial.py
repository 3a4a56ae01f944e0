"""What blur and noise of the microscope cost a trained model: Dice, and error of the g-ratio."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.appearance import APPEARANCES
from axonlab.measure import measure_fibres
from axonlab.models import Model, load_model
from axonlab.objects import label_fibres
from axonlab.phantom import Phantom, nerve
from axonlab.plot_fibres import complete_fibres
from axonlab.score import class_scores
from axonlab.segment import segment

SHAPE = (224, 224)
"""Of the phantoms: small, so that a try takes a second on one core."""


@dataclass(frozen=True)
class Trial:
    """A phantom as a worse microscope shows it, and what a model makes of it.

    Parameters
    ----------
    phantom : Phantom
    labels : (H, W) uint8 array
        Class ids that the model found.
    scores : dict of str to float
        `blur_um` and `noise`; `dice_axon` and `dice_myelin`; `g_ratio` and `true_g_ratio`, means by
        area over complete fibres; `g_error`, their difference; `fibres` and `true_fibres`, numbers
        of complete ones.
    """

    phantom: Phantom
    labels: NDArray[np.uint8] = field(repr=False)
    scores: dict[str, float]


def look_through(
    blur_um: float = APPEARANCES["sem"].blur_um,
    noise: float = APPEARANCES["sem"].read_noise,
    *,
    model: str | Path | Model = "sem",
    seed: int = 1,
    shape: tuple[int, int] = SHAPE,
) -> Trial:
    """Draw a phantom with some blur and noise, and segment it.

    Parameters
    ----------
    blur_um : float
        Standard deviation of the point spread function, in µm.
    noise : float
        SD of the noise of the detector, in grey values from 0 to 255.
    model : str, path or Model
        For scanning electron micrographs. A loaded one saves time.
    seed : int
        Of the phantom: the same fibres for every blur and noise.
    shape : pair of int
        Rows and columns, at 0.1 µm per pixel.

    Raises
    ------
    ValueError
        If blur or noise is negative.
    """
    for name, value in (("blur_um", blur_um), ("noise", noise)):
        if not value >= 0:
            raise ValueError(f"{name} is {value:g}, expected 0 or more.")
    look = replace(APPEARANCES["sem"], blur_um=blur_um, read_noise=noise)
    phantom = nerve(shape, seed=seed, appearance=look)
    size = phantom.micrograph.pixel_size
    labels = segment(phantom.micrograph, model).labels
    dice = class_scores(labels, phantom.labels)["dice"]
    found = measure_fibres(*label_fibres(labels, pixel_size=size), pixel_size=size)
    true = measure_fibres(phantom.axons, phantom.fibres, pixel_size=size)
    found, true = complete_fibres(found), complete_fibres(true)
    scores = {
        "blur_um": blur_um,
        "noise": noise,
        "dice_axon": float(dice.get("axon", 0.0)),
        "dice_myelin": float(dice.get("myelin", 0.0)),
        "g_ratio": float(found["g_ratio"].mean()),
        "true_g_ratio": float(true["g_ratio"].mean()),
        "g_error": float(found["g_ratio"].mean() - true["g_ratio"].mean()),
        "fibres": float(len(found)),
        "true_fibres": float(len(true)),
    }
    return Trial(phantom, labels, scores)


def try_conditions(
    conditions: Iterable[tuple[float, float]], *, model: str | Path | Model = "sem", seed: int = 1
) -> pd.DataFrame:
    """Return the scores of `look_through` for pairs of blur and noise, one row each."""
    loaded = model if isinstance(model, Model) else load_model(model)
    trials = (look_through(blur, noise, model=loaded, seed=seed) for blur, noise in conditions)
    return pd.DataFrame([trial.scores for trial in trials])
