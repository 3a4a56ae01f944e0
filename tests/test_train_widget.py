"""The widget of a training without a browser: what is chosen, refused, suggested and begun."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from axonlab import networks, training
from axonlab.data import axon_block
from axonlab.pairs import find_pairs
from axonlab.training import Settings, Training
from axonlab.widgets import TrainWidget

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def widget(bids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainWidget:
    """Return the widget of a training that takes a second."""
    monkeypatch.setitem(networks.SIZES, "tiny", (4, 8))
    monkeypatch.setattr(training, "axon_block", partial(axon_block, valid_patch=64))
    settings = Settings(
        pixel_size=0.2, valid_animals=["sub-b"], size="tiny", epochs=1, patches_per_image=2,
        batch=2, patch=64,
    )  # fmt: skip
    return TrainWidget(Training(find_pairs(bids), settings, tmp_path / "mine"))


def finish(widget: TrainWidget) -> None:
    """Wait for the training."""
    widget.training.job.wait()


def test_what_is_refused_stays_refused(widget: TrainWidget) -> None:
    """Another field does not make a training possible whose settings are not those on show."""
    widget.fields["patch"].value = 100
    assert "patch: 100 given" in widget.needs.value
    widget.fields["epochs"].value = 2
    assert "patch: 100 given" in widget.needs.value
    assert widget.start.disabled
    assert widget.search.disabled
    assert widget.preview.disabled
    widget.fields["patch"].value = 96
    assert "2 epochs of 4 steps" in widget.needs.value
    assert not widget.start.disabled
    assert not widget.preview.disabled
    assert (widget.training.settings.patch, widget.training.settings.epochs) == (96, 2)


def test_two_fields_that_need_each_other(widget: TrainWidget) -> None:
    """Weights that fit another network only are taken once that network is chosen, too."""
    widget.fields["start_from"].value = training.IMAGENET
    assert "for networks of size" in widget.needs.value
    widget.fields["epochs"].value = 3
    assert widget.start.disabled
    widget.fields["size"].value = "resnet18"
    assert widget.training.settings.size == "resnet18"
    assert widget.training.settings.start_from == training.IMAGENET
    assert widget.training.settings.epochs == 3
    assert not widget.start.disabled


def test_one_epoch(widget: TrainWidget) -> None:
    """Numbers and nouns agree."""
    assert "1 epoch of 4 steps will take" in widget.needs.value


def test_a_search_that_is_stopped_suggests_nothing(widget: TrainWidget) -> None:
    """It says that it was stopped; a rate that nobody found is not offered."""
    widget.searching.listeners.insert(0, lambda: widget.searching.stopping.set())
    widget.search.click()
    widget.searching.wait()
    assert widget.suggestion.layout.display == "none"
    assert widget.extra.value == ""
    assert "Stopped at step" in widget.search_progress.state.value
    assert widget.search_progress.layout.display == ""


def test_a_suggestion_is_used(widget: TrainWidget) -> None:
    """What was found goes to the field and the settings."""
    widget.search.click()
    widget.searching.wait()
    assert "e-" not in widget.extra.value.partition("<svg")[0]
    widget.suggestion.click()
    rate = widget.training.settings.learning_rate
    assert rate == widget.fields["learning_rate"].value != 2e-3


def test_beginning_anew(widget: TrainWidget) -> None:
    """The first click asks, the second does it; never what cannot start."""
    widget.start.click()
    finish(widget)
    widget.fields["valid_animals"].value = ("sub-a", "sub-b", "sub-c")
    for _ in range(2):
        widget.anew.click()
    assert "No image to train on" in widget.needs.value
    assert not widget.training.overwrite
    widget.fields["valid_animals"].value = ("sub-b",)
    widget.anew.click()
    assert not widget.training.job.running
    assert "lost" in widget.anew.description
    widget.anew.click()
    finish(widget)
    assert len(widget.training.losses) == 4


def test_a_preview_that_cannot_be(widget: TrainWidget) -> None:
    """It says why there are no patches."""
    widget.fields["valid_animals"].value = ("sub-a", "sub-b", "sub-c")
    widget.preview.click()
    assert "✖" in widget.extra.value


def test_nothing_begins_twice(widget: TrainWidget) -> None:
    """A second click that was on its way does nothing."""
    widget.search.click()
    widget._search()
    widget._start()
    assert not widget.training.job.running
    widget.searching.stop()
    widget.searching.wait()
    assert not widget.start.disabled


def test_curves_show_training_and_whole_epochs(widget: TrainWidget) -> None:
    """The loss of the training is drawn as soon as there is an epoch; ticks are whole epochs."""
    widget.start.click()
    finish(widget)
    for drawn in ('id="training"', 'id="validation"', "<!-- 1 -->", "after 1 epoch,"):
        assert drawn in widget.curves.value
    assert "<!-- 0.2 -->" not in widget.curves.value.partition("<!-- loss -->")[0]


def test_a_click_on_stop_that_comes_late(widget: TrainWidget) -> None:
    """What has ended was not stopped."""
    widget.training.complete()
    widget.progress.stop.click()
    widget.progress.show()
    assert "Ended at step 4 of 4." in widget.progress.state.value


def test_fields_are_locked_while_another_cell_trains(widget: TrainWidget) -> None:
    """The notebook starts the training as well, and nothing can be changed meanwhile."""
    made = widget.training
    controls: Callable[[], set[bool]] = lambda: {  # noqa: E731
        control.disabled for control in (widget.start, widget.anew, *widget.fields.values())
    }
    seen: list[set[bool]] = []
    made.job.listeners.append(lambda: made.job.running and seen.append(controls()))
    made.complete()
    assert seen and all(disabled == {True} for disabled in seen)
    assert not widget.fields["epochs"].disabled
    assert "Nothing is left to be trained" in widget.needs.value


def test_other_widgets_need_no_torch() -> None:
    """To label, or to look, nobody waits for it."""
    code = "from axonlab.widgets import LabelWidget, Gallery; import sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert modules.returncode == 0
    assert not {"torch", "fastai"} & set(modules.stdout.split())
