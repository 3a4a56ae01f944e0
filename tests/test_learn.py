"""Learning: the metric counts what it says, training trains, and goes on where it ended."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.torch_core import set_seed

from axonlab import learn
from axonlab.data import axon_block, find_pairs
from axonlab.learn import Checkpoint, ClassDice, axon_learner
from axonlab.micrograph import UNLABELLED
from axonlab.models import UNet

pytestmark = pytest.mark.usefixtures("one_thread")

FEATURES = (4, 8)
RandomBatch = Callable[[int, float], tuple[torch.Tensor, torch.Tensor]]
CLASS_NAMES = ["background", "myelin", "axon"]
RECIPE = {"classes": CLASS_NAMES, "learning_rate": 1e-2, "animals": ("sub-a", "sub-b")}


# --- the metric


def test_dice_is_pooled_over_batches(random_batch: RandomBatch) -> None:
    """Dice of a class counts pixels of all batches together, unlabelled ones not at all."""
    batches = [random_batch(seed, 0.2) for seed in range(4)]
    logits = torch.cat([batch[0] for batch in batches]).argmax(1).numpy()
    target = torch.cat([batch[1] for batch in batches]).numpy()
    for position, name in enumerate(CLASS_NAMES):
        metric = ClassDice(position, name)
        for _ in range(2):  # a metric is used again every epoch
            metric.reset()
            for x, y in batches:
                metric.accumulate(SimpleNamespace(pred=x, y=y))
        labelled = target != UNLABELLED
        a, b = (logits == position) & labelled, (target == position) & labelled
        assert metric.value == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        assert metric.name == f"dice_{name}"


def test_dice_of_a_class_that_is_nowhere() -> None:
    """There is no Dice to tell, and the column has no blank in its name."""
    metric = ClassDice(2, "unmyelinated axon")
    metric.reset()
    logits = torch.zeros(1, 3, 2, 2)
    metric.accumulate(SimpleNamespace(pred=logits, y=torch.zeros(1, 2, 2)))
    assert metric.value is None
    assert metric.name == "dice_unmyelinated_axon"


# --- learners


@pytest.fixture
def dls(bids: Path) -> DataLoaders:
    """Return small patches of the small data set."""
    set_seed(0)
    block = axon_block(
        pixel_size=0.2, valid_animals=["sub-b"], patch=32, patches_per_image=6, valid_patch=48
    )
    return block.dataloaders(find_pairs(bids), bs=8, num_workers=0, device="cpu")


def learner(dls: DataLoaders, **kwargs: Any) -> Any:
    """Return a learner without a progress bar."""
    result = axon_learner(dls, UNet(3, features=FEATURES), **kwargs)
    result.remove_cb(result.progress)
    return result


def quiet_fit(learn: Any, *args: Any, **kwargs: Any) -> None:
    """Train without a table on the screen."""
    with learn.no_logging():
        learn.fit_one_cycle(*args, **kwargs)


def test_the_loss_falls(dls: DataLoaders, tmp_path: Path) -> None:
    """A tiny network learns a tiny set in a few steps; its history has a row per epoch."""
    keep = Checkpoint(tmp_path / "checkpoint.pt", RECIPE)
    quiet_fit(learner(dls), 6, 2e-2, cbs=keep)
    table = pd.DataFrame(keep.history)
    assert list(table.columns) == [
        "epoch",
        "train_loss",
        "valid_loss",
        "dice_background",
        "dice_myelin",
        "dice_axon",
    ]
    assert table["epoch"].tolist() == list(range(6))
    assert set(table.dtypes[1:]) == {np.dtype(float)}
    assert table["valid_loss"].iloc[-1] < 0.8 * table["valid_loss"].iloc[0]
    assert table["train_loss"].iloc[-1] < 0.8 * table["train_loss"].iloc[0]
    assert table.filter(like="dice").apply(lambda dice: dice.between(0, 1)).all(axis=None)


def test_the_seed_repeats_a_training(bids: Path) -> None:
    """The same seed gives the same weights."""
    weights = []
    for _ in range(2):
        set_seed(1, reproducible=True)
        block = axon_block(
            pixel_size=0.2, valid_animals=["sub-b"], patch=32, patches_per_image=2, valid_patch=32
        )
        dls = block.dataloaders(find_pairs(bids), bs=4, num_workers=0, device="cpu")
        learner_ = learner(dls)
        quiet_fit(learner_, 1)
        weights.append(learner_.model.head.weight.detach().clone())
    assert torch.equal(*weights)


class Die(Callback):
    """Interrupt a training, between two batches or two epochs."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.when = (epoch, batch)

    def before_batch(self) -> None:
        """Interrupt when it is time."""
        if (self.epoch, self.iter) == self.when and self.training:
            raise KeyboardInterrupt


@pytest.mark.parametrize("when", [(1, 0), (2, 1)], ids=["between epochs", "in an epoch"])
def test_a_resumed_training_equals_an_uninterrupted_one(
    dls: DataLoaders, tmp_path: Path, when: tuple[int, int]
) -> None:
    """The same weights and the same history, whatever was drawn at random in between."""
    whole, part = (Checkpoint(tmp_path / f"{n}.pt", RECIPE, seed=3) for n in ("whole", "part"))
    set_seed(0)
    uninterrupted = learner(dls)
    quiet_fit(uninterrupted, 4, 1e-2, cbs=whole)
    set_seed(0)
    with pytest.raises(KeyboardInterrupt):
        quiet_fit(learner(dls), 4, 1e-2, cbs=[part, Die(*when)])

    set_seed(99)
    again = Checkpoint(part.path, RECIPE, seed=3)
    resumed = learner(dls)
    done = again.restore(resumed)
    assert done == when[0]
    quiet_fit(resumed, 4, 1e-2, cbs=again, start_epoch=done)
    assert again.history == whole.history
    pairs = zip(uninterrupted.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_the_optimiser_goes_where_the_network_is(dls: DataLoaders, tmp_path: Path) -> None:
    """Also to another device: fastai would leave its moments on the CPU and fail at a step."""
    path = tmp_path / "checkpoint.pt"
    quiet_fit(learner(dls), 1, cbs=Checkpoint(path, RECIPE))
    resumed = learner(dls)
    dls.device = torch.device("meta")
    Checkpoint(path, RECIPE).restore(resumed)
    moments = [v for state in resumed.opt.state.values() for v in state.values()]
    devices = {v.device.type for v in moments if isinstance(v, torch.Tensor)}
    assert devices == {"meta"}


def test_another_recipe_cannot_go_on(dls: DataLoaders, tmp_path: Path) -> None:
    """The error names what differs, and what to do."""
    path = tmp_path / "checkpoint.pt"
    quiet_fit(learner(dls), 1, cbs=Checkpoint(path, RECIPE))
    other = Checkpoint(path, RECIPE | {"learning_rate": 2e-2})
    with pytest.raises(ValueError, match=r"learning_rate: 0.01 there, 0.02 here.*another name"):
        other.restore(learner(dls))


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps({"recipe": "{}"})])
def test_damaged_checkpoints_are_refused(dls: DataLoaders, tmp_path: Path, content: bytes) -> None:
    """Cut, foreign or incomplete files are a clear error."""
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged or no checkpoint.*Delete it"):
        Checkpoint(path, RECIPE).restore(learner(dls))


def test_checkpoints_run_no_code(dls: DataLoaders, tmp_path: Path) -> None:
    """A file that would run code when unpickled is refused before it does."""
    path, mark = tmp_path / "checkpoint.pt", tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (mark,)

    torch.save({"recipe": Evil()}, path)
    with pytest.raises(ValueError, match="damaged or no checkpoint"):
        Checkpoint(path, RECIPE).restore(learner(dls))
    assert not mark.exists()


def test_searching_the_learning_rate_saves_nothing(dls: DataLoaders, tmp_path: Path) -> None:
    """The wild weights of `lr_find` do not replace those of a training."""
    path = tmp_path / "checkpoint.pt"
    learner_ = learner(dls, cbs=Checkpoint(path, RECIPE), path=tmp_path)
    with learner_.no_logging():
        learner_.lr_find(num_it=8, show_plot=False)
    assert not path.exists()
    quiet_fit(learner_, 1)
    assert path.exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_arithmetic_of_training(
    dls: DataLoaders, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forward pass takes the fast type, loss and weights stay float32, nothing lingers."""
    monkeypatch.setattr(learn, "fast_dtype", lambda device: dtype)
    seen = []

    class Look(Callback):
        def after_loss(self) -> None:
            weights = self.model.head.weight
            seen.append((weights.dtype, self.pred.dtype, self.loss.dtype))

    quiet_fit(learner(dls, cbs=[Look()]), 1)
    assert set(seen) == {(torch.float32, dtype, torch.float32)}
    assert not torch.is_autocast_enabled("cpu")
