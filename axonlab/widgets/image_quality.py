"""Blur and noise, what a trained model makes of them, and what that does to the g-ratio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import param

from axonlab.image_trial import Trial, look_through
from axonlab.models import Model, load_model
from axonlab.plot_sampling import trial_picture, trial_scores
from axonlab.widgets.explorable import Draw, Explorable


class ImageQualityExplorer(Explorable):
    """A phantom through a worse and worse microscope, segmented at each step.

    Parameters
    ----------
    model : str, path or Model
        For scanning electron micrographs.
    tried : DataFrame, optional
        From `axonlab.image_trial.try_conditions`: what is known already.
    blur_um, noise : float
        See `axonlab.image_trial.look_through`.

    Attributes
    ----------
    result : axonlab.image_trial.Trial
    tried : DataFrame
        One row for each try, the last one last.
    """

    title = "Blur and noise, Dice and g-ratio"
    at_release = ("blur_um", "noise")

    blur_um = param.Number(0.12, bounds=(0.04, 0.6), step=0.02, label="blur (σ, µm)")
    noise = param.Number(4, bounds=(0, 100), step=4, label="noise (SD, grey values of 255)")

    def __init__(
        self, model: str | Path | Model = "sem", tried: pd.DataFrame | None = None, **start: Any
    ) -> None:
        self.model = model if isinstance(model, Model) else load_model(model)
        self.tried = pd.DataFrame() if tried is None else tried
        super().__init__(**start)

    def compute(self) -> Trial:
        """Return what the model makes of the image, and keep its scores."""
        trial = look_through(self.blur_um, self.noise, model=self.model)
        self.tried = pd.concat([self.tried, pd.DataFrame([trial.scores])], ignore_index=True)
        return trial

    def figures(self) -> list[list[Draw]]:
        """Return the image, and the scores of all tries."""
        return [[trial_picture], [lambda trial: trial_scores(self.tried)]]

    def tell(self) -> str:
        """Return the scores in words."""
        scores = self.result.scores
        return (
            f"Dice {scores['dice_axon']:.2f} of axons and {scores['dice_myelin']:.2f} of myelin; "
            f"mean g-ratio {scores['g_ratio']:.3f} where {scores['true_g_ratio']:.3f} is true; "
            f"{scores['fibres']:.0f} complete fibres found of {scores['true_fibres']:.0f}."
        )
