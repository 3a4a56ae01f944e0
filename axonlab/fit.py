"""A fastai learner is fitted in a thread: it can be stopped, goes on later, leaves a model file."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from fastai.callback.core import Callback
from fastai.data.block import DataBlock
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.torch_core import set_seed
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import nn

from axonlab import machine
from axonlab.autosave import digest
from axonlab.job import Job
from axonlab.learn import Checkpoint, StopWhen
from axonlab.models import ModelCard, save_model
from axonlab.volume import Volume


class Fit:
    """The training of one network, kept after every epoch.

    In its folder it keeps ``checkpoint.pt``, from which it goes on another day, and leaves
    ``model.safetensors``: the weights of the last step, or where it was stopped, those of its best
    epoch.

    Parameters
    ----------
    make_learner : callable
        Returns a learner whose network is fresh, the same one at every call.
    card : ModelCard
        Of the model that is to be, without what only the training can tell.
    folder : path
    epochs : int
        May be more than those a checkpoint was made for.
    learning_rate : float
        The highest of the cycle.
    recipe : dict
        What else the training depends on, as JSON knows it. Another recipe does not go on with
        this checkpoint.
    seed : int
    digests : dict of str to str
        Of the data, by their names: a training does not go on with other data.

    Attributes
    ----------
    job : Job
        Start, stop and wait for the training here; `axonlab.widgets.JobWidget` shows it.

    Raises
    ------
    ValueError
        If the folder holds another training, or a model that is of none.
    """

    def __init__(
        self,
        make_learner: Callable[[], Learner],
        card: ModelCard,
        folder: str | Path,
        *,
        epochs: int,
        learning_rate: float,
        recipe: dict[str, Any],
        seed: int = 0,
        digests: dict[str, str],
    ) -> None:
        self.make_learner = make_learner
        self.card = card
        self.folder = Path(folder)
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.job: Job[Path] = Job(self._train)
        everything = recipe | {"learning_rate": learning_rate, "seed": seed}
        self.checkpoint = Checkpoint(self.folder / "checkpoint.pt", everything, seed)
        self.checkpoint.digests = digests
        if self.checkpoint.path.exists():
            self.checkpoint.read()
        elif self.model_file.exists():
            raise ValueError(
                f"{self.model_file} is there, but no training to go on with. Choose another "
                "folder, or move the file."
            )

    @property
    def model_file(self) -> Path:
        """The model that the training leaves."""
        return self.folder / "model.safetensors"

    @property
    def history(self) -> pd.DataFrame:
        """Losses and Dice on the validation images, one row per epoch."""
        return pd.DataFrame(self.checkpoint.history)

    def go_on(self) -> Job[Path]:
        """Train what has not been trained yet; ``await`` what is returned for the model file.

        A training that runs goes on, one that was stopped by hand is left as it is.
        """
        if not self.job.running and not self.job.stopping.is_set():
            self.job.start()
        return self.job

    def _train(self, job: Job[Path]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone_in(self.folder):
            job.report(0, 0, "preparing")
            learner = self.make_learner()
            steps = self.epochs * len(learner.dls.train)
            learner.add_cbs([self.checkpoint, StopWhen(job.stopping), Steps(job, steps)])
            is_begun = self.checkpoint.path.exists()
            done = self.checkpoint.restore(learner) if is_begun else 0
            if done < self.epochs:
                with learner.no_bar(), learner.no_logging():
                    learner.fit_one_cycle(self.epochs, self.learning_rate, start_epoch=done)
            return self._save(learner)

    def _save(self, learner: Learner) -> Path:
        done = len(self.checkpoint.history)
        if not done:
            raise RuntimeError("Stopped before the first epoch was over: nothing is kept.")
        kept = "the last step"
        if done < self.epochs:
            self.checkpoint.restore_best(learner)
            kept = self.checkpoint.best_text
        training = self.checkpoint.recipe | {
            "epochs": done,
            "steps": done * len(learner.dls.train),
            "minutes": round(self.checkpoint.seconds / 60, 1),
            "machine": this_machine(),
            "weights": kept,
            "curve": self.history.round(4).to_dict("list"),
        }
        card = replace(self.card, training=self.card.training | training)
        save_model(self.model_file, learner.model, card, overwrite=True)
        return self.model_file


class Tuned(Protocol):
    """What `fit_volume` must be told of a training; all the rest belongs to its recipe."""

    batch: int
    epochs: int
    learning_rate: float
    seed: int


def fit_volume(
    volume: Volume,
    truth: NDArray[np.generic],
    settings: Tuned,
    block: DataBlock,
    learner: Callable[[DataLoaders, nn.Module], Learner],
    card: ModelCard,
    folder: str | Path,
) -> Fit:
    """Prepare a training on patches of a volume and its truth.

    Parameters
    ----------
    volume : Volume
    truth : (Z, Y, X) array
    settings : dataclass
    block : DataBlock
        Makes patches of the pair of volume and truth.
    learner : callable
        Makes a learner of the patches and a fresh network.
    card : ModelCard
    folder : path

    Raises
    ------
    ValueError
        If there are fewer patches than a batch takes, or the folder holds another training.
    """
    dls = block.dataloaders(
        (volume, truth),
        bs=settings.batch,
        val_bs=1,
        num_workers=0,
        device=machine.device(),  # fastai's own choice can be Apple's, which nothing else is on
    )
    if not len(dls.train):
        raise ValueError(
            f"{volume.name}: {len(dls.train_ds)} patches, fewer than a batch of {settings.batch}. "
            "Take more patches, or a smaller batch."
        )

    def make_learner() -> Learner:
        set_seed(settings.seed, reproducible=True)
        return learner(dls, card.build())

    recipe = asdict(settings) | {"volume": volume.name}  # type: ignore[call-overload]
    rate = recipe.pop("learning_rate")
    epochs, seed = recipe.pop("epochs"), recipe.pop("seed")
    return Fit(
        make_learner,
        card,
        folder,
        epochs=epochs,
        learning_rate=rate,
        recipe=recipe,
        seed=seed,
        digests={volume.name: digest(volume.pixels), f"truth of {volume.name}": digest(truth)},
    )


class Steps(Callback):
    """Tell a job how many of its batches are done."""

    order = 65  # after the checkpoint

    def __init__(self, job: Job[Any], total: int) -> None:
        self.job = job
        self.total = total

    def after_batch(self) -> None:
        """Tell it of a batch that was trained on."""
        if self.training:
            done = self.epoch * self.n_iter + self.iter + 1
            self.job.report(done, self.total, f"step {done} of {self.total}")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder, or raise RuntimeError where one is at work."""
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise RuntimeError(
            f"Another training is running in {folder}. Stop it, or restart the kernel where its "
            "Stop button is gone (every epoch is kept), or choose another name."
        ) from error


def this_machine() -> str:
    """Return on what a training runs, for the model card."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {machine.device()}"
