"""fastai learners, with the metrics and callbacks they need."""

from __future__ import annotations

import io
import json
import pickle
import random
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import fastai.callback.schedule  # noqa: F401  (gives Learner its fit_one_cycle and lr_find)
import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.core import Callback, CancelFitException
from fastai.data.core import DataLoaders
from fastai.learner import Learner, Metric
from fastai.torch_core import set_seed, to_device
from fastcore.foundation import L
from torch import nn

from axonlab.io import write_bytes
from axonlab.losses import CrossEntropyDice
from axonlab.micrograph import UNLABELLED
from axonlab.models import Model, UNet, fast_dtype
from axonlab.score import dice_column


def axon_learner(
    dls: DataLoaders,
    network: nn.Module | None = None,
    *,
    classes: Sequence[str] = ("background", "myelin", "axon"),
    loss: nn.Module | None = None,
    **kwargs: Any,
) -> Learner:
    """Return a learner that trains a network to tell the classes of a nerve section apart.

    Parameters
    ----------
    dls : DataLoaders
        From `axonlab.data.axon_block` with the same `classes`.
    network : Module, optional
        With an output for every class; it is trained itself, not a copy. By default a fresh
        `axonlab.models.UNet`.
    classes : sequence of str
    loss : Module, optional
        One of `axonlab.losses`; by default cross-entropy with Dice.
    **kwargs
        For `fastai.learner.Learner`.
    """
    return Learner(
        dls,
        network or UNet(len(classes)),
        loss_func=loss or CrossEntropyDice(),
        metrics=[ClassDice(i, name) for i, name in enumerate(classes)],
        cbs=[ChannelsLast(), Autocast(), *L(kwargs.pop("cbs", None))],
        **kwargs,
    )


def transfer(start: Model, network: nn.Module, classes: Sequence[str]) -> None:
    """Give a network the weights of a trained one, for other classes as far as they are known.

    Parameters
    ----------
    start : Model
    network : Module
        Of the same architecture, but for the number of its classes; changed in place.
    classes : sequence of str
        What it tells apart. Those that `start` does not know keep their random weights.
    """
    known, fresh = start.card.classes, network.state_dict()
    weights = start.network.state_dict()
    for name in list(weights)[-2:]:  # weights and biases of the last layer, a row per class
        rows = fresh[name].clone()
        for position, wanted in enumerate(classes):
            if wanted in known:
                rows[position] = weights[name][known.index(wanted)]
        weights[name] = rows
    network.load_state_dict(weights)


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
        return dice_column(self.class_name)


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


# what a damaged or foreign checkpoint makes its reader raise
_DAMAGE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
)


class StopWhen(Callback):
    """End a training before its next batch, once an event is set.

    Parameters
    ----------
    event : threading.Event
    """

    order = 5

    def __init__(self, event: Event) -> None:
        self.event = event

    def before_batch(self) -> None:
        """Look at the event."""
        if self.event.is_set():
            raise CancelFitException


class Checkpoint(Callback):
    """Keep a training after every epoch, so that it can go on another day, or after a crash.

    A training that went on ends with the same weights as one that was never interrupted: all that
    is random is drawn anew from the seed and the number of the epoch.

    Parameters
    ----------
    path : path
        Replaced as a whole after every epoch.
    recipe : dict
        What the training depends on, as JSON knows it; another recipe cannot go on with this
        file.
    seed : int
    patience : int
        End the training after so many epochs without a better one; 0 is never.

    Attributes
    ----------
    history : list of dict
        Losses and metrics of every epoch so far, also of those before an interruption.
    seconds : float
        What they took.
    digests : dict of str to str
        Of all the data, by names, to be set before `restore`: of other data it does not go on.
    best_epoch : int
        That with the highest mean Dice of the classes beyond the first, on the validation images.
    """

    order = 60  # after the recorder has summed the epoch up

    def __init__(
        self, path: Path, recipe: dict[str, Any], seed: int = 0, patience: int = 0
    ) -> None:
        self.path = path
        self.recipe = json.loads(json.dumps(recipe))
        self.seed = seed
        self.patience = patience
        self.history: list[dict[str, float | None]] = []
        self.seconds = 0.0
        self.digests: dict[str, str] = {}
        self._best: dict[str, Any] = {}

    @property
    def best_epoch(self) -> int:
        """The earliest of the best epochs so far; the last where there are no such images."""
        if self.history[-1]["valid_loss"] is None:
            return len(self.history) - 1
        dice = [
            [v or 0 for name, v in row.items() if name.startswith("dice")][1:]
            for row in self.history
        ]
        return max(range(len(dice)), key=lambda epoch: sum(dice[epoch]))

    @property
    def best_text(self) -> str:
        """Which weights those of the best epoch are, for the model card."""
        is_chosen = self.history[-1]["valid_loss"] is not None
        why = "the best on the validation images" if is_chosen else "the last whole one"
        return f"epoch {self.best_epoch + 1}, {why}"

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the last `patience` epochs were no better than one before."""
        if not self.patience or not self.history:
            return False
        return len(self.history) - 1 - self.best_epoch >= self.patience

    def read(self) -> dict[str, Any]:
        """Take over the history of the file, and return all that is in it.

        Raises
        ------
        ValueError
            If the file belongs to another recipe, or is no checkpoint.
        """
        try:
            # weights_only: plain data and tensors, no code of whoever made the file
            state = torch.load(self.path, weights_only=True, map_location="cpu")
            recipe, history = (json.loads(state[name]) for name in ("recipe", "history"))
            seconds, _ = float(state["seconds"]), state["best"].items()
        except _DAMAGE as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"{self.path} is damaged or no checkpoint of axonlab ({reason}). Delete it to "
                "begin anew."
            ) from error
        different = [k for k in {**recipe, **self.recipe} if recipe.get(k) != self.recipe.get(k)]
        if different:
            listed = "; ".join(
                f"{k}: {recipe.get(k)} there, {self.recipe.get(k)} here" for k in different
            )
            raise ValueError(
                f"{self.path} belongs to another training ({listed}). Go on with its settings, "
                "choose another name, or begin anew: with overwrite=True, or where that cannot be "
                "given, by deleting this file."
            )
        self.history, self.seconds, self._best = history, seconds, state["best"]
        return state

    def restore(self, learn: Learner) -> int:
        """Give a learner the weights and the optimiser of the file; return the epochs done.

        Raises
        ------
        ValueError
            As `read` does, and if the data are not those that the training was begun with.
        """
        state = self.read()
        # by their order, as a folder may have moved; older files do not tell
        before = state.get("digests", self.digests.values())
        now = zip(self.digests.items(), before, strict=False)
        changed = [name for (name, digest), old in now if digest != old]
        if changed:
            raise ValueError(
                f"{self.path} was begun with other data; changed since then: {', '.join(changed)}. "
                "Put back what was there to go on. To train on it as it is now, choose another "
                "name, where start_from can be the model of this training, or begin anew: with "
                "overwrite=True, or where that cannot be given, by deleting this file."
            )
        learn.create_opt()
        learn.model.load_state_dict(state["model"])
        learn.opt.load_state_dict(to_device(state["optimiser"], learn.dls.device))
        return len(self.history)

    def restore_best(self, learn: Learner) -> None:
        """Give a learner the weights of the best epoch."""
        learn.model.load_state_dict(self._best)

    def before_fit(self) -> None:
        """Stand aside while the learning rate is searched: its weights are thrown away."""
        self.run = not hasattr(self.learn, "lr_finder")

    def before_epoch(self) -> None:
        """End the training when patience is over; draw what is random from seed and epoch."""
        if self.is_out_of_patience:
            raise CancelFitException
        seed = 1000 * self.seed + self.epoch  # neighbouring seeds must not see the same patches
        set_seed(seed, reproducible=True)
        self.dls.train.rng = random.Random(seed)
        self._start = time.monotonic()

    def before_train(self) -> None:
        """Begin the mean loss of the epoch: fastai's is smoothed over epochs, and breaks."""
        self.losses: list[float] = []

    def after_batch(self) -> None:
        """Add a batch to it."""
        if self.training:
            self.losses.append(float(self.loss.detach()))

    def after_epoch(self) -> None:
        """Replace the file of the epoch before."""
        if self.epoch < len(self.history):  # passed over: done before an interruption
            return
        names = self.recorder.metric_names[1:-1]  # without the epoch and the time
        row = dict(zip(names, self.recorder.values[-1], strict=True))
        row = {name: None if value is None else float(value) for name, value in row.items()}
        row["train_loss"] = sum(self.losses) / max(len(self.losses), 1)
        self.history.append({"epoch": self.epoch, **row})
        self.seconds += time.monotonic() - self._start
        if self.best_epoch == self.epoch:
            self._best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self._write()

    def _write(self) -> None:
        optimiser = self.opt.state_dict()
        state = {
            "recipe": json.dumps(self.recipe),
            "history": json.dumps(self.history),
            "seconds": self.seconds,
            "digests": list(self.digests.values()),
            "model": self.model.state_dict(),
            "best": self._best,
            "optimiser": {
                "state": list(optimiser["state"]),
                # NumPy's numbers are no plain data to torch
                "hypers": [
                    {k: float(v) for k, v in hyper.items()} for hyper in optimiser["hypers"]
                ],
            },
        }
        content = io.BytesIO()
        torch.save(state, content)
        write_bytes(self.path, content.getvalue(), overwrite=True)
