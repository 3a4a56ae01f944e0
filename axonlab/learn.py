"""fastai learners, with the losses, metrics and callbacks they need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastai.callback.schedule  # noqa: F401  (gives Learner its fit_one_cycle and lr_find)
import pandas as pd
import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner, Metric
from fastcore.foundation import L
from torch import Tensor, nn
from torch.nn import functional

from axonlab.micrograph import UNLABELLED
from axonlab.models import FEATURES, ModelCard, UNet, fast_dtype, save_model


def axon_learner(
    dls: DataLoaders,
    *,
    classes: Sequence[str] = ("background", "myelin", "axon"),
    features: Sequence[int] = FEATURES,
    **kwargs: Any,
) -> Learner:
    """Return a learner that trains a U-Net to tell the classes of a nerve section apart.

    Parameters
    ----------
    dls : DataLoaders
        From `axonlab.data.axon_block` with the same `classes`.
    classes : sequence of str
    features : sequence of int
        Channels per level of the U-Net.
    **kwargs
        For `fastai.learner.Learner`.
    """
    return Learner(
        dls,
        UNet(len(classes), features=features),
        loss_func=CrossEntropyDice(),
        metrics=[ClassDice(i, name) for i, name in enumerate(classes)],
        cbs=[ChannelsLast(), Autocast(), *L(kwargs.pop("cbs", None))],
        **kwargs,
    )


class CrossEntropyDice(nn.Module):
    """Mean cross-entropy plus one minus the mean soft Dice of the classes.

    Pixels of class 255 (unlabelled) have no influence. Soft Dice is taken over the whole batch;
    classes that no labelled pixel of the batch has are left out of its mean.

    Notes
    -----
    Milletari, Navab & Ahmadi 2016, arXiv:1606.04797.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of (n, classes, …) logits against (n, …) class numbers."""
        logits, target = logits.as_subclass(Tensor).float(), target.as_subclass(Tensor).long()
        labelled = target != UNLABELLED
        if not labelled.any():
            return logits.sum() * 0  # keeps the graph: such a batch teaches nothing
        # (pixels, classes): only what is labelled takes part from here on
        logits, target = logits.movedim(1, -1)[labelled], target[labelled]
        truth = functional.one_hot(target, logits.shape[1]).float()
        present = truth.any(0)
        truth, predicted = truth[:, present], logits.softmax(1)[:, present]
        dice = 2 * (predicted * truth).sum(0) / (predicted.sum(0) + truth.sum(0))
        return functional.cross_entropy(logits, target) + 1 - dice.mean()


class ClassDice(Metric):
    """Dice of one class, pooled over all labelled pixels of the validation set."""

    def __init__(self, position: int, class_name: str) -> None:
        self.position = position
        self.class_name = class_name

    def reset(self) -> None:
        """Forget all batches."""
        self.common = self.total = 0

    def accumulate(self, learn: Learner) -> None:
        """Add a batch."""
        labelled = learn.y != UNLABELLED
        predicted = (learn.pred.argmax(1) == self.position) & labelled
        truth = learn.y == self.position
        self.common += int((predicted & truth).sum())
        self.total += int(predicted.sum() + truth.sum())

    @property
    def value(self) -> float | None:
        """Dice so far, None where the class occurs nowhere."""
        return 2 * self.common / self.total if self.total else None

    @property
    def name(self) -> str:
        """Column name in fastai's log."""
        return f"dice_{self.class_name.replace(' ', '_')}"


class Autocast(Callback):
    """Run the forward pass in bfloat16 where the machine computes it fast.

    fastai's own `MixedPrecision` knows CUDA only.
    """

    order = 10

    def before_batch(self) -> None:
        """Enter autocast."""
        device = torch.device(self.dls.device).type
        self.context = torch.autocast(device, fast_dtype(device), fast_dtype(device) != torch.float)
        self.context.__enter__()

    def after_pred(self) -> None:
        """Leave it: loss and gradients of the weights are float32."""
        self.context.__exit__(None, None, None)


class SaveEveryEpoch(Callback):
    """Write the model to one file after every epoch: a crash costs an epoch, not the training."""

    def __init__(self, path: Path, card: ModelCard) -> None:
        self.path = path
        self.card = card

    def before_fit(self) -> None:
        """Stand aside while the learning rate is searched: its weights are thrown away."""
        self.run = not hasattr(self.learn, "lr_finder")

    def after_epoch(self) -> None:
        """Replace the file of the epoch before."""
        save_model(self.path, self.model, self.card, overwrite=True)


def history(learn: Learner) -> pd.DataFrame:
    """Return losses and metrics of a finished training, one row per epoch."""
    names = learn.recorder.metric_names[1:-1]  # without the epoch and the time
    table = pd.DataFrame(learn.recorder.values, columns=list(names), dtype=float)
    return table.rename_axis("epoch").reset_index()
