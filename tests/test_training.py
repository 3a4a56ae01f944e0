"""Trainings: started, stopped, killed, resumed and refused, they leave what they say they leave."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from axonlab import data, io, machine, networks, training
from axonlab.data import axon_block, images_need
from axonlab.estimate import step_need
from axonlab.job import Job
from axonlab.learn import ClassDice
from axonlab.micrograph import CLASSES, UNLABELLED
from axonlab.models import load_model, save_model
from axonlab.pairs import find_pairs
from axonlab.training import LR_STEPS, Settings, Training

pytestmark = pytest.mark.usefixtures("one_thread", "tiny")

STEPS = 4  # of an epoch: 4 images of 2 patches in batches of 2
SETTINGS = Settings(
    pixel_size=0.2,
    valid_animals=["sub-b"],
    size="tiny",
    epochs=3,
    patches_per_image=2,
    batch=2,
    patch=32,
    learning_rate=1e-2,
)
LEFT = ["checkpoint.pt", "curve.csv", "model.safetensors"]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer a tiny network, and validate on what the small images hold."""
    monkeypatch.setitem(networks.SIZES, "tiny", (4, 8))
    monkeypatch.setattr(training, "axon_block", partial(axon_block, valid_patch=64))


@pytest.fixture
def make(bids: Path, tmp_path: Path) -> Callable[..., Training]:
    """Return a function that makes a training, as in a notebook started anew."""

    def make_training(name: str = "mine", **changes: Any) -> Training:
        options = {k: changes.pop(k) for k in ("about", "overwrite") if k in changes}
        settings = replace(SETTINGS, **changes)
        return Training(find_pairs(bids), settings, tmp_path / "runs" / name, **options)

    return make_training


def files(made: Training) -> list[str]:
    """Return what a training has left in its folder."""
    return sorted(path.name for path in made.folder.glob("[!.]*"))


def weights(made: Training | Path) -> dict[str, torch.Tensor]:
    """Return the weights of the model that a training left."""
    path = made if isinstance(made, Path) else made.model_file
    return dict(load_model(path).network.state_dict())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Tell whether two networks are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def stop_at(made: Training, step: int) -> None:
    """Have a training stopped as soon as it has done so many steps."""

    def look() -> None:
        if made.job.done == step and made.job.running and not made.job.stopping.is_set():
            made.job.stop()

    made.job.listeners.append(look)


def run_and_stop(made: Training, step: int) -> None:
    """Run a training up to a step."""
    stop_at(made, step)
    made.job.start()
    made.job.wait()
    made.job.listeners.clear()


def score(monkeypatch: pytest.MonkeyPatch, made: Training, dice: list[float]) -> None:
    """Make it look as if the epochs had these Dice."""
    monkeypatch.setattr(ClassDice, "value", property(lambda _: dice[made.epochs_done]))


def keep_epochs(made: Training) -> dict[int, dict[str, torch.Tensor]]:
    """Keep the weights after every epoch, which the checkpoint holds while the next one runs."""
    kept: dict[int, dict[str, torch.Tensor]] = {}

    def look() -> None:
        if made.epochs_done and made.epochs_done - 1 not in kept:
            kept[made.epochs_done - 1] = torch.load(made.checkpoint.path)["model"]

    made.job.listeners.append(look)
    return kept


@pytest.fixture
def whole(make: Callable[..., Training]) -> Training:
    """Return a training that was left alone from its beginning to its end."""
    made = make("whole")
    made.complete()
    return made


# --- from beginning to end


def test_a_training(make: Callable[..., Training]) -> None:
    """It runs to its end and leaves a model that can be used, its curve and its checkpoint."""
    made = make()
    made.job.start()
    assert made.job.wait() == made.model_file
    assert files(made) == LEFT
    assert made.epochs_done == len(made.history) == 3
    assert (made.job.done, made.job.total) == (3 * STEPS, 3 * STEPS)
    assert len(made.losses) == 3 * STEPS
    assert np.isfinite(made.losses).all()
    curve = pd.read_csv(made.folder / "curve.csv")
    pd.testing.assert_frame_equal(curve, made.history)
    means = np.reshape(made.losses, (3, STEPS)).mean(axis=1)
    np.testing.assert_allclose(made.history["train_loss"], means)
    model = load_model(made.model_file)
    assert model.card.name == "mine"
    assert model.card.classes == ["background", "myelin", "axon"]
    last = torch.load(made.checkpoint.path)["model"]
    assert same(weights(made), last)


def test_the_watched_patch(make: Callable[..., Training], whole: Training) -> None:
    """It is the middle of the first validation image, as the network of the last epoch sees it."""
    watched = whole.watched
    assert watched is not None
    assert watched.name == "sub-b_sample-1_SEM.png"
    assert watched.pixels.shape == watched.truth.shape == watched.labels.shape == (60, 72)
    assert {*np.unique(watched.truth)} <= {0, 1, 2}
    assert make().watched is None


def test_the_card_tells_the_truth(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was made of and how; the weights of the last step, or of the best epoch."""
    about = {"description": "rings", "licence": "MIT", "citation": "us"}
    made = make(about=about, patience=2, loss="Tversky", seed=5, epochs=4)
    made.complete()
    card = load_model(made.model_file).card
    assert {name: getattr(card, name) for name in about} == about
    assert card.pixel_size == 0.2
    facts = card.training
    assert facts["images"] == 4
    assert facts["animals"] == ["sub-a", "sub-c"]
    assert facts["left_out"] == ["sub-b"]
    told = asdict(made.settings)
    assert {k: facts[k] for k in told if k in facts} == {k: told[k] for k in told if k in facts}
    assert {"loss", "seed", "batch", "patch", "learning_rate", "patience"} <= set(facts)
    assert facts["steps"] == made.epochs_done * STEPS
    assert facts["curve"]["epoch"] == list(range(made.epochs_done))
    assert facts["minutes"] >= 0

    stopped = make("stopped")
    score(monkeypatch, stopped, [0.3, 0.8, 0.5])
    run_and_stop(stopped, 2 * STEPS + 1)
    facts = load_model(stopped.model_file).card.training
    assert facts["steps"] == 2 * STEPS
    assert facts["weights"].startswith("epoch 2, the best")
    stopped.job.start()
    stopped.job.wait()
    assert load_model(stopped.model_file).card.training["weights"] == "the last step"


def test_the_card_of_a_network_that_was_there(
    make: Callable[..., Training], whole: Training
) -> None:
    """A model to start from brings its network: no other size is told of it."""
    made = make("more", start_from=str(whole.model_file), size="default")
    assert made.card.architecture["features"] == [4, 8]
    assert made.card.training["start_from"] == "whole"
    assert "size" not in made.card.training


def test_seeds(make: Callable[..., Training], whole: Training) -> None:
    """The same one gives the same weights, another one others."""
    again, other = make("again"), make("other", seed=1)
    for made in (again, other):
        made.complete()
    assert same(weights(again), weights(whole))
    assert not same(weights(other), weights(whole))


@pytest.mark.parametrize("loss", training.LOSSES)
def test_every_loss_falls(make: Callable[..., Training], loss: str) -> None:
    """Whatever is chosen, the tiny set is learned."""
    made = make(loss=loss, epochs=5, learning_rate=3e-2)
    made.complete()
    assert made.history["train_loss"].iloc[-1] < 0.9 * made.history["train_loss"].iloc[0]


def test_a_training_without_validation(make: Callable[..., Training]) -> None:
    """All images are trained on; stopped, it leaves the last epoch, since none is known best."""
    made = make(valid_animals=[])
    run_and_stop(made, 2 * (6 * 2 // 2) + 1)
    assert made.card.training["images"] == 6
    assert same(weights(made), torch.load(made.checkpoint.path)["model"])
    assert made.history["valid_loss"].isna().all()
    assert made.watched is not None
    told = load_model(made.model_file).card.training["weights"]
    assert told == "epoch 2, the last whole one"


# --- stopped


def test_stop_in_an_epoch(make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends before the next batch, and leaves the weights of the best epoch."""
    made = make(epochs=5)
    score(monkeypatch, made, [0.2, 0.9, 0.5, 0.6, 0.7])
    kept = keep_epochs(made)
    run_and_stop(made, 3 * STEPS + 2)
    assert made.job.done == len(made.losses) == 3 * STEPS + 2
    assert made.epochs_done == 3
    assert files(made) == LEFT
    assert same(weights(made), kept[1])
    assert not same(weights(made), kept[2])


def test_stop_in_a_validation(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next image is not looked at any more, and the epoch does not count."""
    made, looked = make(), []
    original = ClassDice.accumulate
    score(monkeypatch, made, [0.5, 0.9, 0.0])

    def accumulate(self: ClassDice, learn: Any) -> None:
        original(self, learn)
        looked.append(made.epochs_done)
        if made.epochs_done == 2:
            made.job.stop()

    monkeypatch.setattr(ClassDice, "accumulate", accumulate)
    kept = keep_epochs(made)
    made.job.start()
    made.job.wait()
    assert [looked.count(epoch) for epoch in range(3)] == [6, 6, 3]  # classes, two images or one
    assert made.epochs_done == 2
    assert same(weights(made), kept[1])


def test_stop_before_the_first_epoch_is_over(
    make: Callable[..., Training], whole: Training
) -> None:
    """Nothing is kept, which is said; started again, it is as if nothing had been."""
    made = make()
    with pytest.raises(RuntimeError, match="Stopped before the first epoch was over: nothing is"):
        run_and_stop(made, 2)
    made.job.listeners.clear()
    assert files(made) == [] or files(made) == []
    made.job.start()
    made.job.wait()
    assert same(weights(made), weights(whole))


def test_patience(make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends when no epoch has been better for a while, with the best; and stays ended."""
    made = make(epochs=9, patience=2)
    dice, looked = [0.3, 0.8, 0.7, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2], []
    score(monkeypatch, made, dice)
    show = training._Watch.after_epoch
    monkeypatch.setattr(
        training._Watch, "after_epoch", lambda self: (looked.append(self.epoch), show(self))
    )
    kept = keep_epochs(made)
    made.complete()
    assert made.epochs_done == 4
    assert same(weights(made), kept[1])
    assert looked == [0, 1, 2, 3]

    again = make(epochs=9, patience=2)  # all cells are run again
    score(monkeypatch, again, dice)
    again.complete()
    assert again.epochs_done == 4
    assert same(weights(again), kept[1])

    more = make(epochs=9, patience=3)
    score(monkeypatch, more, dice)
    more.complete()
    assert more.epochs_done == 5


# --- resumed


@pytest.mark.parametrize(
    ("step", "epochs"),
    [(STEPS + 1, 1), (2 * STEPS, 1), (2 * STEPS + 3, 2)],
    ids=["early", "before a validation", "late"],
)
def test_resumed_equals_uninterrupted(
    make: Callable[..., Training], whole: Training, step: int, epochs: int
) -> None:
    """After a stop anywhere, and in a new kernel: the same weights, the same curve."""
    stopped = make()
    run_and_stop(stopped, step)
    torch.rand(7)
    made = make()
    assert made.epochs_done == epochs
    pd.testing.assert_frame_equal(made.history, stopped.history)
    made.complete()
    assert same(weights(made), weights(whole))
    pd.testing.assert_frame_equal(made.history, whole.history)
    assert len(made.losses) == (3 - epochs) * STEPS


CRASH = """
import os, signal, sys
from functools import partial
import torch
torch.set_num_threads(1)
from axonlab import networks, training
from axonlab.data import axon_block, images_need
from axonlab.pairs import find_pairs
networks.SIZES["tiny"] = (4, 8)
training.axon_block = partial(axon_block, valid_patch=64)
settings = training.Settings(**eval(sys.argv[3]))
made = training.Training(find_pairs(sys.argv[1]), settings, sys.argv[2])
def look():
    if made.job.done == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
made.job.listeners.append(look)
made.complete()
"""


def test_a_killed_kernel(
    bids: Path, make: Callable[..., Training], whole: Training, tmp_path: Path
) -> None:
    """Even a process that was killed in an epoch goes on as if nothing had happened."""
    made = make()
    arguments = [str(bids), str(made.folder), repr(asdict(SETTINGS)), str(STEPS + 2)]
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CRASH, *arguments], check=False, timeout=120
    )
    assert ended.returncode == -signal.SIGKILL
    assert files(made) == ["checkpoint.pt"]
    made = make()
    assert made.epochs_done == 1
    made.complete()
    assert same(weights(made), weights(whole))
    pd.testing.assert_frame_equal(made.history, whole.history)


@pytest.mark.parametrize("in_new_kernel", [True, False])
def test_a_mask_that_was_edited(
    make: Callable[..., Training], whole: Training, in_new_kernel: bool
) -> None:
    """It is named and nothing is touched; as it was before, the training goes on."""
    made = make()
    run_and_stop(made, STEPS + 1)
    mask, before = made.pairs[1].masks[0], made.checkpoint.path.read_bytes()
    labels = io.read_labels(mask)
    io.write_labels(mask, np.where(labels == 2, 1, labels).astype(np.uint8), overwrite=True)
    if in_new_kernel:
        made = make()
    made.job.start()
    with pytest.raises(ValueError, match=r"changed since then: [^,]*\.png\. Put back") as error:
        made.job.wait()
    assert str(mask) in str(error.value)
    assert made.checkpoint.path.read_bytes() == before

    other = make("other", start_from=str(made.model_file), epochs=1)
    assert other.complete().is_file()
    io.write_labels(mask, labels, overwrite=True)
    made.complete()
    assert same(weights(made), weights(whole))


def test_all_that_can_change(make: Callable[..., Training]) -> None:
    """Image, pixel size and animal are told apart; a file that is written again is the same."""
    made = make(epochs=1)
    made.complete()
    image, pixels = made.pairs[2].image, io.read_image(made.pairs[2].image).pixels.astype(np.uint8)
    Image.fromarray(pixels).save(image, compress_level=0)
    make(epochs=1).complete()
    Image.fromarray(255 - pixels).save(image)
    io.write_json(
        made.pairs[0].image.with_suffix(".json"), {"PixelSize": [0.21] * 2}, overwrite=True
    )
    other = make(epochs=1)
    other.pairs[5] = replace(other.pairs[5], animal="sub-a")
    with pytest.raises(ValueError, match="changed since then") as error:
        other.complete()
    listed = str(error.value).partition("then: ")[2].partition(". Put")[0].split(", ")
    assert listed == [
        f"the pixel size of {made.pairs[0].image}",
        f"{image}",
        f"the animal of {made.pairs[5].image}",
    ]


def test_a_checkpoint_of_before(make: Callable[..., Training], whole: Training) -> None:
    """One that does not tell what it was begun with goes on."""
    state = torch.load(whole.checkpoint.path)
    del state["digests"]
    torch.save(state, whole.checkpoint.path)
    assert make("whole", epochs=4).complete().is_file()


def test_stop_while_images_are_read(make: Callable[..., Training], whole: Training) -> None:
    """The next one is not read any more; started again, it is as if nothing had been."""
    made = make()
    made.job.listeners.append(lambda: "2 of 6" in made.job.text and made.job.stop())
    made.job.start()
    with pytest.raises(RuntimeError, match="Stopped while the images were read"):
        made.job.wait()
    assert made.job.text == "reading image 2 of 6"
    assert files(made) == []
    made.job.listeners.clear()
    made.complete()
    assert same(weights(made), weights(whole))


def test_more_epochs_later(make: Callable[..., Training], whole: Training) -> None:
    """In the same kernel and in another one, what is trained is trained on."""
    whole.settings = replace(whole.settings, epochs=4)
    whole.complete()
    assert len(whole.losses) == STEPS
    assert whole.epochs_done == 4
    other = make("whole", epochs=6)
    assert other.epochs_done == 4
    other.complete()
    assert len(other.losses) == 2 * STEPS
    assert other.history["epoch"].tolist() == list(range(6))
    assert other.job.done == other.job.total == 6 * STEPS


def test_nothing_left_to_train(make: Callable[..., Training], whole: Training) -> None:
    """All cells run again: no step is made, and the same model is left."""
    before = weights(whole)
    again = make("whole")
    assert again.seconds == 0
    assert again.complete() == whole.model_file
    assert again.losses == []
    assert same(weights(again), before)


def test_scores_stay_with_the_weights(make: Callable[..., Training]) -> None:
    """A finished training that is completed once more keeps what was found out about its model."""
    made = make()
    model = load_model(made.complete())
    known = {"scores": {"dice": {"all": {"axon": 0.9}}}, "temperature": 1.5}
    save_model(made.model_file, model.network, replace(model.card, **known), overwrite=True)
    make(about={"licence": "MIT"}).complete()
    card = load_model(made.model_file).card
    assert (card.scores, card.temperature, card.licence) == (*known.values(), "MIT")
    make(epochs=4).complete()
    card = load_model(made.model_file).card
    assert (card.scores, card.temperature) == ({}, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.5}, "learning_rate: 0.01 there, 0.5 here"),
        ({"batch": 4, "seed": 7}, "batch: 2 there, 4 here; seed: 0 there, 7 here"),
        ({"valid_animals": ["sub-a"]}, r"valid_animals: \['sub-b'\] there, \['sub-a'\] here"),
    ],
)
def test_another_recipe(
    make: Callable[..., Training], changes: dict[str, Any], message: str
) -> None:
    """A training with other settings is refused, with what they were; nothing is touched."""
    first = make(epochs=1)
    first.complete()
    before = [path.read_bytes() for path in sorted(first.folder.iterdir())]
    other = make(epochs=1, **changes)
    assert other.epochs_done == 0
    with pytest.raises(ValueError, match=message):
        other.check()
    with pytest.raises(ValueError, match="choose another name"):
        other.complete()
    assert [path.read_bytes() for path in sorted(first.folder.iterdir())] == before
    other.settings = first.settings
    other.check()
    assert other.epochs_done == 1


def test_a_model_without_a_checkpoint(make: Callable[..., Training]) -> None:
    """A model whose checkpoint was cleared away is not written over in silence."""
    first = make(epochs=1)
    first.complete()
    first.checkpoint.path.unlink()
    with pytest.raises(ValueError, match=r"no training to go on with.*overwrite=True"):
        make(epochs=1).complete()
    make(epochs=1, overwrite=True).complete()


def test_overwriting(make: Callable[..., Training], whole: Training) -> None:
    """It begins anew, whatever the settings; and only once."""
    make("whole", epochs=1, seed=8, overwrite=True).complete()
    made = make("whole", overwrite=True)
    assert made.epochs_done == 0
    run_and_stop(made, STEPS + 1)
    assert len(made.losses) == STEPS + 1
    made.job.start()
    made.job.wait()
    assert len(made.losses) == 2 * STEPS
    assert same(weights(made), weights(make("fresh").complete()))


@pytest.mark.parametrize("seed", [0, 9])
def test_overwriting_that_is_stopped_at_once(
    make: Callable[..., Training], whole: Training, seed: int
) -> None:
    """The training that was to be begun anew is not gone on with instead."""
    expected = weights(make("fresh", seed=seed).complete())
    made = make("whole", seed=seed, overwrite=True)
    with pytest.raises(RuntimeError, match="Stopped before the first epoch"):
        run_and_stop(made, 1)
    made.job.listeners.clear()
    made.complete()
    assert len(made.losses) == 3 * STEPS
    assert same(weights(made), expected)


# --- complete


def test_completing_twice(make: Callable[..., Training]) -> None:
    """What is done is done; a training that runs is waited for."""
    made = make()
    made.job.start()
    assert made.complete() == made.model_file
    starts = made.job.listeners
    starts.append(lambda: pytest.fail("it was started again"))
    assert made.complete() == made.model_file


def test_completing_what_was_stopped(make: Callable[..., Training]) -> None:
    """What somebody stopped by hand stays stopped, until the settings change."""
    made = make()
    run_and_stop(made, STEPS + 1)
    before = weights(made)
    made.complete()
    assert made.epochs_done == 1
    assert same(weights(made), before)
    made.settings = replace(made.settings, epochs=4)
    made.complete()
    assert made.epochs_done == 4


def test_two_trainings_in_one_folder(make: Callable[..., Training]) -> None:
    """As when a cell is run again: the second one is refused, and the first one goes on."""
    made, other = make(), make()
    errors: list[BaseException | None] = []

    def look() -> None:
        if made.job.done == 1 and not errors:
            other.job.start()
            while other.job.running:
                pass
            errors.append(other.job.error)

    made.job.listeners.append(look)
    made.complete()
    assert "Another training is running in" in str(errors[0])
    assert made.epochs_done == 3
    assert other.complete() == made.model_file


def test_a_training_waits_for_a_search(make: Callable[..., Training], whole: Training) -> None:
    """They would draw from the same patches and the same random numbers."""
    made = make()
    search = Job(made.find_learning_rate)
    begun: list[float] = []

    def look() -> None:
        if search.done == 2 and not begun:
            begun.append(search.done)
            made.job.start()

    search.listeners.append(look)
    made.job.listeners.append(lambda: made.job.done == 1 and begun.append(search.done))
    search.start()
    search.wait()
    made.job.wait()
    assert begun == [2, search.done]
    assert same(weights(made), weights(whole))


def test_training_runs_where_everything_else_does(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on a device that fastai finds and that is not measured, counted or told of here."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("fastai.torch_core._has_mps", lambda: True)
    assert torch.device(make().dls.device).type == "cpu"


def test_completing_after_an_error(
    make: Callable[..., Training], whole: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised, and the next attempt goes on where it came."""
    made = make()
    write = made.checkpoint._write

    def fail() -> None:
        if made.epochs_done == 2:
            raise OSError("disk full")
        write()

    made.checkpoint._write = fail
    with pytest.raises(OSError, match="disk full"):
        made.complete()
    made.checkpoint._write = write
    made.complete()
    assert len(made.losses) == 2 * STEPS
    assert same(weights(made), weights(whole))


# --- settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs: 0 given, expected 1 or more"),
        ({"patches_per_image": 0}, "patches_per_image: 0 given"),
        ({"batch": 1}, "batch: 1 given, expected 2 or more"),
        ({"patch": 16}, "patch: 16 given, expected 32 or more"),
        ({"patch": 100}, "patch: 100 given, expected a multiple of 32"),
        ({"patience": -1}, "patience: -1 given"),
        ({"learning_rate": 0}, "learning_rate: 0, expected between 0 and 1"),
        ({"learning_rate": 1}, "learning_rate: 1, expected"),
        ({"learning_rate": float("nan")}, "learning_rate: nan, expected"),
        ({"loss": "Dise"}, "loss: 'Dise' is unknown, there are .'cross-entropy"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    """They are refused at once, with what was expected."""
    with pytest.raises(ValueError, match=message):
        Settings(**changes)


def test_settings_stay_while_it_runs(make: Callable[..., Training]) -> None:
    """They cannot be replaced in the middle, and can be after the end."""
    made = make()
    seen: list[Exception] = []

    def look() -> None:
        if made.job.done == 1 and not seen:
            try:
                made.settings = replace(SETTINGS, seed=4)
            except RuntimeError as error:
                seen.append(error)

    made.job.listeners.append(look)
    made.job.start()
    made.job.wait()
    assert "stop it before you change" in str(seen[0])
    assert made.settings == SETTINGS
    made.settings = replace(SETTINGS, epochs=5)
    assert made.epochs_done == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid_animals": ["sub-a", "sub-b", "sub-c"]}, "No image to train on"),
        ({"batch": 16}, "4 images give 2 patches each, fewer than a batch of 16"),
        ({"size": "huge"}, "No network of size 'huge'"),
        ({"classes": ["background", "axom"]}, "unknown classes .'axom'"),
        ({"valid_animals": ["sub-b", "sub-x"]}, r"No image of the validation animals.*sub-x"),
    ],
)
def test_trainings_that_cannot_start(
    make: Callable[..., Training], changes: dict[str, Any], message: str
) -> None:
    """The reason is raised by whoever waits, and nothing is left behind."""
    made = make(**changes)
    with pytest.raises(ValueError, match=message):
        made.complete()
    assert files(made) == []


# --- memory


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"batch": 64, "patch": 256}, (8, 256)),
        ({"batch": 64, "patch": 256}, (2, 128)),
        ({"batch": 3, "patch": 256}, (2, 256)),
        ({"batch": 6, "patch": 320}, (2, 64)),
        ({"batch": 8, "patch": 64}, (4, 64)),
        ({"batch": 8, "patch": 32}, (2, 32)),
    ],
)
def test_what_does_not_fit(
    make: Callable[..., Training],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, int],
    fits: tuple[int, int],
) -> None:
    """It is refused before it starts, with a smaller setting that does fit."""
    made = make(**changes, patches_per_image=64)
    kept, _ = images_need(made.pairs, made.settings.pixel_size)
    free = kept + step_need(made.card.build, *fits).memory + 1
    monkeypatch.setattr(machine, "device", lambda: "cpu")
    monkeypatch.setattr(machine, "memory_free", lambda: free)
    with pytest.raises(MemoryError, match="a smaller network") as error:
        made.check()
    found = re.search(r"a batch of (\d+) and patches of (\d+) pixels", str(error.value))
    assert found is not None
    batch, patch = map(int, found.groups())
    assert (batch, patch) == fits
    made.settings = replace(made.settings, batch=batch, patch=patch)
    made.check()


def test_what_does_not_fit_at_all(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is advised that would not fit either."""
    made = make()
    monkeypatch.setattr(machine, "device", lambda: "cpu")
    monkeypatch.setattr(machine, "memory_free", lambda: 10**6)
    with pytest.raises(MemoryError, match="close other notebooks") as error:
        made.check()
    assert "batch" not in str(error.value)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_images_that_do_not_fit(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """They stay in memory and are named; where they are there already, only a step is to fit."""
    monkeypatch.setattr(data, "BYTES_KEPT", 100)
    made = make(pixel_size=0.02)
    images = 6 * 600 * 720 * 100
    on_cpu = made.need.memory
    assert made.memory == images + on_cpu
    step = on_cpu if device == "cpu" else 0  # a GPU has memory of its own
    monkeypatch.setattr(machine, "device", lambda: device)
    monkeypatch.setattr(machine, "memory_free", lambda: step + images / 2)
    with pytest.raises(MemoryError, match=r"0\.3 GB for its images, which stay in memory, and"):
        made.check()
    made.settings = replace(made.settings, pixel_size=0.2)
    made.check()
    made.settings = replace(made.settings, pixel_size=0.02)
    monkeypatch.setattr(data, "_kept", {(pair, 0.02): () for pair in made.pairs})
    made.check()


# --- models to start from


def test_starting_from_a_model(make: Callable[..., Training], whole: Training) -> None:
    """With next to no learning its weights stay what they were."""
    made = make("more", start_from=str(whole.model_file), learning_rate=1e-9, epochs=1)
    made.complete()
    before, after = (load_model(m.model_file).network for m in (whole, made))
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_starting_from_other_classes(make: Callable[..., Training], whole: Training) -> None:
    """Classes that both know keep their outputs, in the new order; others begin at random."""
    wanted = ["background", "axon", "unmyelinated axon"]
    options = {"learning_rate": 1e-9, "epochs": 1, "classes": wanted}
    made = make("more", start_from=str(whole.model_file), **options)
    fresh = make("fresh", **options)
    for one in (made, fresh):
        one.complete()
    before, after, random = (weights(m) for m in (whole, made, fresh))
    for name in ("head.weight", "head.bias"):
        close = partial(torch.testing.assert_close, rtol=0, atol=1e-6)
        close(after[name][0], before[name][0])
        close(after[name][1], before[name][2])
        close(after[name][2], random[name][2])
    torch.testing.assert_close(
        after["down.0.0.weight"], before["down.0.0.weight"], rtol=0, atol=1e-6
    )


# --- the learning rate


def test_finding_a_learning_rate(make: Callable[..., Training], whole: Training) -> None:
    """A table and a suggestion; the training after it is as if it had not been."""
    made = make()
    search = Job(made.find_learning_rate)
    search.start()
    table, suggestion = search.wait()
    assert list(table.columns) == ["learning_rate", "loss"]
    assert 10 < len(table) <= LR_STEPS
    assert table["learning_rate"].is_monotonic_increasing
    assert table["learning_rate"].iloc[0] <= suggestion <= table["learning_rate"].iloc[-1]
    assert search.total == LR_STEPS
    assert (made.epochs_done, made.losses, made.watched) == (0, [], None)
    assert files(made) == []
    made.complete()
    assert same(weights(made), weights(whole))


@pytest.mark.parametrize("step", [1, 8, 30])
def test_a_search_that_is_stopped(make: Callable[..., Training], step: int) -> None:
    """What was found so far is returned; too early to tell, the learning rate stays."""
    made = make()
    search = Job(made.find_learning_rate)
    search.listeners.append(lambda: search.done == step and search.stopping.set())
    search.start()
    table, suggestion = search.wait()
    assert len(table) == step
    if step < 10:
        assert suggestion == made.settings.learning_rate
    else:
        assert table["learning_rate"].iloc[0] <= suggestion <= table["learning_rate"].iloc[-1]


# --- what can be looked at before


def test_the_preview(make: Callable[..., Training]) -> None:
    """Patches as training sees them, with class ids, whatever their order in the network."""
    made = make(classes=["axon", "background"], batch=4)
    pixels, labels = made.preview(3)
    assert pixels.shape == labels.shape == (3, 32, 32)
    assert (pixels.dtype, labels.dtype) == (np.float32, np.uint8)
    ids = {CLASSES["axon"], CLASSES["background"], UNLABELLED}
    assert {CLASSES["axon"]} < {*np.unique(labels)} <= ids


def test_class_ids(make: Callable[..., Training]) -> None:
    """Positions in the network's classes become ids; unlabelled pixels stay so."""
    made = make(classes=["axon", "background", "unmyelinated axon"])
    found = made.class_ids(np.array([[0, 1], [2, UNLABELLED]]))
    assert found.tolist() == [[2, 0], [3, UNLABELLED]]


def test_needs(make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of the epochs that are left, and follows the settings."""
    made = make()
    assert made.steps_per_epoch == STEPS
    whole_time = made.seconds
    made.settings = replace(SETTINGS, epochs=6)
    assert made.seconds == pytest.approx(2 * whole_time)
    run_and_stop(made, 4 * STEPS + 1)
    assert made.seconds == pytest.approx(2 / 3 * whole_time)
    made.settings = replace(SETTINGS, patch=64)
    assert made.need.memory > make("other").need.memory
