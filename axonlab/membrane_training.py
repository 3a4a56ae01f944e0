"""The two networks for membranes, from a volume to a model file and back to probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonlab.fit import Fit, fit_volume
from axonlab.membranes import membrane_block, membrane_learner
from axonlab.micrograph import MEMBRANE_CLASSES
from axonlab.models import SIZES, Model, ModelCard, load_model
from axonlab.segment import segment
from axonlab.volume import Volume
from axonlab.window_net import WindowNet

NETWORKS: dict[str, dict[str, Any]] = {
    "N4": {"class": "WindowNet"},
    "N4 65": {"class": "WindowNet", "window": 65},
    "N4 fovea": {"class": "WindowNet", "foveated": True},
    "U-Net": {"class": "UNet", "features": list(SIZES["small"])},
}
"""Architectures by the names that the notebook uses."""


@dataclass(frozen=True)
class MembraneSettings:
    """What can be tuned of a training on membranes.

    Parameters
    ----------
    network : str
        One of `NETWORKS`.
    valid : sequence of int
        Sections kept for validation, from 0.
    epochs, patches_per_section, batch, patch : int
        In an epoch every section for training gives `patches_per_section` random patches of
        `patch` pixels a side; `batch` of them make a step.
    learning_rate : float
        The highest of the cycle.
    elastic : bool
        Turn by any angle and warp patches; otherwise mirror and turn them by right angles.
    border : float
        How many times more pixels near a border of membrane and interior count.
    seed : int
        Of weights and patches: members of an ensemble differ in it.

    Raises
    ------
    ValueError
        If there is no such network, or not one step in an epoch.
    """

    network: str = "U-Net"
    valid: Sequence[int] = ()
    epochs: int = 5
    patches_per_section: int = 8
    batch: int = 4
    patch: int = 192
    learning_rate: float = 5e-3
    elastic: bool = False
    border: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "valid", sorted(self.valid))  # as JSON knows it
        if self.network not in NETWORKS:
            raise ValueError(f"No network {self.network!r}, there are {', '.join(NETWORKS)}.")
        for name in ("epochs", "patches_per_section", "batch", "patch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} given, expected 1 or more.")


def membrane_fit(
    volume: Volume, interior: NDArray[np.bool_], settings: MembraneSettings, folder: str | Path
) -> Fit:
    """Prepare the training of a network that tells membrane from interior.

    Parameters
    ----------
    volume : Volume
        Of square pixels.
    interior : (Z, Y, X) bool array
        Its truth: False on membranes.
    settings : MembraneSettings
    folder : path
        For the checkpoint and the model, which takes its name.

    Returns
    -------
    Fit
        Which begins, or goes on, with ``await fit.go_on()``.

    Raises
    ------
    ValueError
        If volume and truth do not belong together, no section is left for training, or the folder
        holds another training.

    Notes
    -----
    Labels of both classes count the same, as published by Cireşan et al. 2012; what that does to
    probabilities, `axonlab.posterior.fit_posterior` takes back.
    """
    architecture = NETWORKS[settings.network] | {"n_classes": len(MEMBRANE_CLASSES)}
    card = ModelCard(
        Path(folder).name,
        list(MEMBRANE_CLASSES),
        volume.section(0).pixel_size,
        architecture,
        description=f"Membranes of cells, trained on {volume.name}",
        training={"volume": volume.name},
    )
    network = card.build()
    block = membrane_block(
        valid=settings.valid,
        patch=settings.patch,
        patches_per_section=settings.patches_per_section,
        context=network.halo[0] if isinstance(network, WindowNet) else 0,
        elastic=settings.elastic,
    )
    learner = partial(membrane_learner, border=settings.border)
    return fit_volume(volume, interior, settings, block, learner, card, folder)


def predict_interior(
    volume: Volume,
    model: str | Path | Model,
    sections: Iterable[int] | None = None,
    *,
    test_time_augmentation: bool = False,
) -> NDArray[np.float32]:
    """Return how probable it is that a pixel is interior and not membrane, section by section.

    Parameters
    ----------
    volume : Volume
        Of square pixels; its sections are resampled to the pixel size of the model and back.
    model : str, path or Model
        Of `membrane_fit`.
    sections : iterable of int, optional
        Which ones, from 0; all by default.
    test_time_augmentation : bool
        Take the mean over the eight orientations of a section; takes eight times as long.

    Returns
    -------
    (n, Y, X) float32 array

    Raises
    ------
    ValueError
        If the model is of other classes, or there is no such section.
    """
    if not isinstance(model, Model):
        model = load_model(model)
    if model.card.classes != list(MEMBRANE_CLASSES):
        raise ValueError(
            f"The model {model.card.name!r} tells {', '.join(model.card.classes)} apart, expected "
            f"{' and '.join(MEMBRANE_CLASSES)}. Take one that was trained on membranes."
        )
    position = list(MEMBRANE_CLASSES).index("interior")
    numbers = range(len(volume.pixels)) if sections is None else sections
    planes = [
        segment(
            volume.section(z), model, test_time_augmentation=test_time_augmentation
        ).probabilities[position]
        for z in numbers
    ]
    return np.stack(planes)
