"""What can be tuned of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from axonlab.data import PATCH
from axonlab.losses import LOSSES

IMAGENET = "imagenet"
"""Where a ResNet can start from."""


@dataclass(frozen=True)
class Settings:
    """What can be tuned of a training.

    Parameters
    ----------
    classes : sequence of str
        What the network tells apart; other classes count as the first one.
    pixel_size : float
        In µm, at which the network works.
    valid_animals : sequence of str
        Animals kept for validation: nothing is learned from them. With none, all images are
        trained on, and nothing is known of how well the model does on others.
    size : str
        Of the network, see `axonlab.models.SIZES`, or ``"resnet18"``.
    start_from : str
        Name or path of a model whose weights to begin with, instead of random ones; its network
        replaces `size`. ``"imagenet"`` fetches weights for ``"resnet18"`` from the network.
    loss : str
        One of `axonlab.losses.LOSSES`.
    epochs, patches_per_image, batch, patch : int
        In an epoch every training image gives `patches_per_image` random patches of `patch` pixels
        a side; `batch` of them make a step.
    grey_variation : float
        How strongly the grey values of patches are varied, 0 is not at all.
    learning_rate : float
        The highest of the cycle.
    patience : int
        End after so many epochs without a better one; 0 is never. The validation images then
        choose the epoch, so that their Dice is no longer that of unseen animals.
    seed : int
    """

    classes: Sequence[str] = ("background", "myelin", "axon")
    pixel_size: float = 0.1
    valid_animals: Sequence[str] = ()
    size: str = "default"
    start_from: str = ""
    loss: str = next(iter(LOSSES))
    epochs: int = 25
    patches_per_image: int = 32
    batch: int = 4
    patch: int = PATCH
    grey_variation: float = 1.0
    learning_rate: float = 2e-3
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        low = {
            "epochs": 1,
            "patches_per_image": 1,
            "batch": 2,
            "patch": 32,
            "patience": 0,
            "grey_variation": 0,
        }
        for name, least in low.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)} given, expected {least} or more.")
        if self.patch % 32:
            raise ValueError(f"patch: {self.patch} given, expected a multiple of 32.")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate: {self.learning_rate:g}, expected between 0 and 1.")
        if self.start_from == IMAGENET and self.size != "resnet18":
            raise ValueError(f"start_from: {IMAGENET!r} is for networks of size 'resnet18' only.")
        if self.loss not in LOSSES:
            raise ValueError(f"loss: {self.loss!r} is unknown, there are {list(LOSSES)}.")
