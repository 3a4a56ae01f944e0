"""A training from pairs of image and mask to a model file, which can be stopped and resumed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from fastai.callback.schedule import valley
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.torch_core import set_seed
from numpy.typing import NDArray
from torch import nn

from axonlab import machine
from axonlab.data import ReadClasses, ReadPixels, axon_block, images_need, read_anew
from axonlab.estimate import Need, check_memory, memory_need, step_need
from axonlab.fit import Steps, alone_in, this_machine
from axonlab.io import write_table
from axonlab.job import Job
from axonlab.learn import Checkpoint, StopWhen, axon_learner, transfer
from axonlab.losses import LOSSES
from axonlab.micrograph import CLASSES, UNLABELLED, classify
from axonlab.models import ModelCard, architecture, load_model, save_model
from axonlab.pairs import Pair
from axonlab.pretrained import resnet_unet
from axonlab.segment import predict
from axonlab.settings import IMAGENET, Settings

LR_STEPS = 60
"""Batches on which the learning rate is searched."""

SHOWN = 256
"""Side in pixels of the patch whose prediction is watched during a training."""

_NO_NEW_RECIPE = ("epochs", "patience")  # a training may go on with more of these
_ELSEWHERE = ("classes", "pixel_size", "valid_animals", "size")  # told by other names in the card


@dataclass(frozen=True)
class Watched:
    """A fixed patch of an image, and what the network makes of it.

    Parameters
    ----------
    name : str
        Of the image.
    pixels : (h, w) float32 array
        Normalised.
    truth, labels : (h, w) uint8 array
        Class ids.
    """

    name: str
    pixels: NDArray[np.float32]
    truth: NDArray[np.uint8]
    labels: NDArray[np.uint8]


class Training:
    """A training that runs in a thread, tells how it goes, and leaves a model file.

    In its folder it keeps ``checkpoint.pt``, from which the same training goes on another day, if
    its images and masks are still the same, and leaves ``model.safetensors`` and ``curve.csv``. A
    training that ran to its end leaves the weights of its last step, for which nothing was chosen;
    one that was stopped, or lost its patience, leaves those of its best epoch on the validation
    images.

    Parameters
    ----------
    pairs : sequence of Pair
        From `axonlab.pairs.find_pairs`.
    settings : Settings
        May be replaced while nothing runs.
    folder : path
        Its name becomes that of the model.
    about : dict, optional
        ``description``, ``licence`` and ``citation`` for the model card.
    overwrite : bool
        Begin anew where a training of this folder could go on.

    Attributes
    ----------
    job : Job
        Start, stop and wait for the training here; `axonlab.widgets.TrainWidget` shows it.
    losses : list of float
        Of every batch of the present run.
    watched : Watched or None
        A fixed patch of the first validation image (else training image), after the last epoch.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        settings: Settings,
        folder: str | Path,
        *,
        about: dict[str, str] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.pairs = list(pairs)
        self.folder = Path(folder)
        self.about = about or {}
        self.overwrite = overwrite
        self.job: Job[Path] = Job(self._train)
        self._trained: Settings | None = None
        self._alone = threading.Lock()  # training and search share patches and random numbers
        self.settings = settings

    @property
    def settings(self) -> Settings:
        """What the next run will use."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        if self.job.running:
            raise RuntimeError("A training is running: stop it before you change its settings.")
        self._settings = settings
        self.losses: list[float] = []
        self.watched: Watched | None = None
        for derived in ("dls", "card", "need"):
            self.__dict__.pop(derived, None)
        recipe = {k: v for k, v in asdict(settings).items() if k not in _NO_NEW_RECIPE}
        recipe["valid_animals"] = sorted(settings.valid_animals)
        recipe["images"] = [pair.image.name for pair in self.pairs]
        path = self.folder / "checkpoint.pt"
        self.checkpoint = Checkpoint(path, recipe, settings.seed, settings.patience)
        with suppress(ValueError):  # `check` raises it, once it matters
            self._find_checkpoint()

    @property
    def model_file(self) -> Path:
        """The model that the training leaves."""
        return self.folder / "model.safetensors"

    @property
    def history(self) -> pd.DataFrame:
        """Losses and Dice on the validation images, one row per epoch."""
        return pd.DataFrame(self.checkpoint.history)

    @property
    def epochs_done(self) -> int:
        """How many epochs the checkpoint holds."""
        return len(self.checkpoint.history)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be trained."""
        return self.epochs_done >= self.settings.epochs or self.checkpoint.is_out_of_patience

    @property
    def steps_per_epoch(self) -> int:
        """How many batches the training patches fill."""
        return len(self._split(False)) * self.settings.patches_per_image // self.settings.batch

    @property
    def seconds(self) -> float:
        """About how long it will take to train what is still to be trained."""
        epochs = 0 if self.is_over else self.settings.epochs - self.epochs_done
        return self.need.seconds * self.steps_per_epoch * epochs

    @cached_property
    def card(self) -> ModelCard:
        """The model card, while nothing is known of scores."""
        settings = self.settings
        training = {
            "images": len(self._split(False)),
            "animals": sorted({pair.animal for pair in self._split(False)}),
            "left_out": list(settings.valid_animals),
            "machine": this_machine(),
        }
        training |= {k: v for k, v in asdict(settings).items() if k not in _ELSEWHERE}
        network = architecture(settings.size, len(settings.classes))
        if settings.start_from not in ("", IMAGENET):
            start = load_model(settings.start_from).card
            training["start_from"] = start.name  # a path tells of somebody's disk, not of a model
            network = start.architecture | {"n_classes": len(settings.classes)}
        if network["class"] == "Ensemble":
            raise ValueError(
                f"start_from: {settings.start_from!r} is an ensemble, which is not trained as a "
                "whole. Take one of its members."
            )
        return ModelCard(
            self.folder.name,
            list(settings.classes),
            settings.pixel_size,
            network,
            training=training,
            **self.about,
        )

    @cached_property
    def dls(self) -> DataLoaders:
        """The patches, for training and for validation."""
        settings = self.settings
        block = axon_block(
            classes=settings.classes,
            pixel_size=settings.pixel_size,
            valid_animals=settings.valid_animals,
            patch=settings.patch,
            patches_per_image=settings.patches_per_image,
            grey_variation=settings.grey_variation,
        )
        set_seed(settings.seed, reproducible=True)
        return block.dataloaders(
            self.pairs,
            bs=settings.batch,
            val_bs=1,
            num_workers=0,
            device=machine.device(),  # fastai's own choice can be Apple's, which nothing else is on
        )

    @cached_property
    def need(self) -> Need:
        """What a step takes of memory and of operations."""
        return step_need(self.card.build, self.settings.batch, self.settings.patch)

    @property
    def memory(self) -> float:
        """About how many bytes it will take, beyond what the process has now."""
        return memory_need(*self._sizes)

    def check(self) -> None:
        """Find out whether the training could start.

        Raises
        ------
        ValueError
            If it has no patches, its folder holds another training, or an image cannot be read.
        MemoryError
            If it would not fit.
        """
        if not self._split(False):
            raise ValueError(
                f"No image to train on: of the animals {sorted({p.animal for p in self.pairs})}, "
                f"{list(self.settings.valid_animals)} are for validation. Choose fewer."
            )
        if not self.steps_per_epoch:
            raise ValueError(
                f"{len(self._split(False))} images give {self.settings.patches_per_image} patches "
                f"each, fewer than a batch of {self.settings.batch}. Take more patches_per_image, "
                "or a smaller batch."
            )
        self._find_checkpoint()
        check_memory(*self._sizes)

    def preview(self, n: int = 4) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Draw patches as training sees them: cut, warped and varied in grey.

        Returns
        -------
        pixels : (n, patch, patch) float32 array
        labels : (n, patch, patch) uint8 array
            Class ids.
        """
        pixels, labels = self.dls.train.one_batch()
        return pixels[:n, 0].cpu().numpy(), self.class_ids(labels[:n].cpu().numpy())

    def class_ids(self, positions: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Return the class ids of positions in the network's classes; 255 stays."""
        table = np.full(256, UNLABELLED, np.uint8)
        table[: len(self.settings.classes)] = [CLASSES[name] for name in self.settings.classes]
        return table[positions]

    def find_learning_rate(self, job: Job[Any]) -> tuple[pd.DataFrame, float]:
        """Try ever higher learning rates on a network that is thrown away.

        Parameters
        ----------
        job : Job
            Whose `stop` ends the search; what was found so far is returned.

        Returns
        -------
        table : DataFrame
            ``learning_rate`` and the smoothed ``loss`` it gave.
        suggestion : float
            From the longest valley of the loss; that of the settings if it was stopped too early
            to tell.

        Notes
        -----
        Smith 2017, arXiv:1506.01186, as fastai does it.
        """
        with self._alone, TemporaryDirectory() as folder:
            learner = self._learner([StopWhen(job.stopping), Steps(job, LR_STEPS)])
            learner.path = Path(folder)  # where fastai keeps the weights meanwhile
            with learner.no_bar(), learner.no_logging():
                learner.lr_find(num_it=LR_STEPS, show_plot=False, suggest_funcs=None)
        tried = zip(learner.recorder.lrs, map(float, learner.recorder.losses), strict=False)
        table = pd.DataFrame(tried, columns=["learning_rate", "loss"])
        clear = table[LR_STEPS // 10 : -5].dropna()  # without the ends, as fastai does
        if clear.empty:
            return table, self.settings.learning_rate
        return table, valley(*(clear[name].tolist() for name in clear), LR_STEPS)[0]

    def go_on(self) -> Job[Path]:
        """Train what has not been trained yet; ``await`` what is returned for the model file.

        A training that runs goes on, one that was stopped by hand is left as it is.
        """
        if not self.job.running and (self._trained != self.settings or self.job.error):
            self.job.start()
        return self.job

    def complete(self) -> Path:
        """Train what has not been trained yet, wait for the end, and return the model file.

        Raises
        ------
        Exception
            What ended the training before its time.
        """
        return self.go_on().wait()

    @property
    def _sizes(self) -> tuple[Callable[[], nn.Module], int, int, tuple[int, int]]:
        """What the memory depends on."""
        build, settings = self.card.build, self.settings
        return build, settings.batch, settings.patch, images_need(self.pairs, settings.pixel_size)

    def _split(self, is_valid: bool) -> list[Pair]:
        return [p for p in self.pairs if (p.animal in self.settings.valid_animals) == is_valid]

    def _find_checkpoint(self) -> None:
        if self.checkpoint.path.exists() and not self.overwrite:
            self.checkpoint.read()
        elif self.model_file.exists() and not self.overwrite:
            raise ValueError(
                f"{self.model_file} is there, but no training to go on with. Choose another name, "
                "or overwrite=True."
            )

    def _read(self, job: Job[Any]) -> dict[str, str]:
        """Read all images and masks as they are now, and return digests of them by name."""
        digests = {}
        for n, pair in enumerate(self.pairs):
            if job.stopping.is_set():
                raise RuntimeError("Stopped while the images were read: all is as it was before.")
            job.report(0, 0, f"reading image {n + 1} of {len(self.pairs)}")
            digests |= read_anew(pair, self.settings.pixel_size)
        return digests

    def _learner(self, callbacks: Sequence[Callback]) -> Learner:
        set_seed(self.settings.seed, reproducible=True)
        network, start = self.card.build(), self.settings.start_from
        if start == IMAGENET:
            network = resnet_unet(len(self.card.classes), pretrained=True)
        elif start:
            transfer(load_model(start), network, self.card.classes)
        return axon_learner(
            self.dls,
            network,
            classes=self.card.classes,
            loss=LOSSES[self.settings.loss](),
            cbs=callbacks,
        )

    def _train(self, job: Job[Path]) -> Path:
        self.check()
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone_in(self.folder), self._alone:
            return self._fit(job)

    def _fit(self, job: Job[Path]) -> Path:
        self._trained = settings = self.settings
        self.losses = []
        steps = Steps(job, settings.epochs * len(self.dls.train))  # makes them before reading
        self.checkpoint.digests = self._read(job)
        learner = self._learner([self.checkpoint, StopWhen(job.stopping), _Watch(self), steps])
        resume = self.checkpoint.path.exists() and not self.overwrite
        done = self.checkpoint.restore(learner) if resume else 0
        if not self.is_over:
            try:
                with learner.no_bar(), learner.no_logging():
                    learner.fit_one_cycle(settings.epochs, settings.learning_rate, start_epoch=done)
            finally:  # from its first epoch on it would be this training that is lost
                self.overwrite = self.overwrite and not self.epochs_done
        if not self.epochs_done:
            raise RuntimeError("Stopped before the first epoch was over: nothing is kept.")
        is_whole = self.epochs_done >= settings.epochs
        return self._save(learner, is_whole)

    def _save(self, learner: Learner, is_whole: bool) -> Path:
        kept = "the last step"
        if not is_whole:
            self.checkpoint.restore_best(learner)
            kept = self.checkpoint.best_text
        training = self.card.training | {
            "steps": self.epochs_done * self.steps_per_epoch,
            "minutes": round(self.checkpoint.seconds / 60, 1),
            "weights": kept,
            "curve": self.history.round(4).to_dict("list"),
        }
        card = replace(self.card, training=training, **self._known_of(learner.model))
        save_model(self.model_file, learner.model, card, overwrite=True)
        write_table(self.folder / "curve.csv", self.history, overwrite=True)
        return self.model_file

    def _known_of(self, network: nn.Module) -> dict[str, Any]:
        """Return what is on the card of the file before, if it holds the same weights."""
        try:
            before = load_model(self.model_file)
        except (OSError, ValueError):
            return {}
        found, weights = before.network.state_dict(), network.state_dict()
        if found.keys() != weights.keys():
            return {}
        if not all(torch.equal(found[name], weights[name].cpu()) for name in found):
            return {}
        return {"scores": before.card.scores, "temperature": before.card.temperature}


class _Watch(Callback):
    """Keep the loss of every batch, and look at a fixed patch after every epoch."""

    order = 62  # after the checkpoint, before the job tells its views

    def __init__(self, training: Training) -> None:
        self.owner = training
        pair = (training._split(True) or training._split(False))[0]
        settings = training.settings
        pixels = np.asarray(ReadPixels(settings.pixel_size).encodes(pair))[0]
        found = np.asarray(ReadClasses(settings.pixel_size, settings.classes).encodes(pair))
        centre = tuple(slice(max(0, (n - SHOWN) // 2), (n + SHOWN) // 2) for n in pixels.shape)
        self.image = pair.image.name
        self.pixels = pixels[centre]
        self.truth = training.class_ids(found[centre])

    def after_batch(self) -> None:
        if self.training:
            self.owner.losses.append(float(self.loss.detach()))

    def after_epoch(self) -> None:
        if self.epoch + 1 != self.owner.epochs_done:  # passed over: done before an interruption
            return
        probabilities = predict(self.model, self.pixels)
        labels = classify(probabilities, self.owner.card.classes)
        self.owner.watched = Watched(self.image, self.pixels, self.truth, labels)
