"""The training widget without a browser: what its fields change, and when they can be changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from axonlab import networks
from axonlab.pairs import find_pairs
from axonlab.training import Settings, Training
from axonlab.widgets import TrainWidget

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = Settings(
    pixel_size=0.2, valid_animals=["sub-b"], size="tiny", epochs=1, patches_per_image=2, patch=32
)


@pytest.fixture
def made(bids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    """Return a training of a tiny network."""
    monkeypatch.setitem(networks.SIZES, "tiny", (4, 8))
    return Training(find_pairs(bids), SETTINGS, tmp_path / "runs" / "mine")


def test_a_choice_that_needs_another_one_is_kept(made: Training) -> None:
    """What a field shows is what is trained, in whatever order the fields are filled in."""
    widget = TrainWidget(made)
    widget.fields["start_from"].value = "imagenet"
    assert "is for networks of size" in widget.needs.value
    assert widget.start.disabled
    widget.fields["epochs"].value = 3
    assert widget.start.disabled
    widget.fields["size"].value = "resnet18"
    assert made.settings == replace(SETTINGS, start_from="imagenet", size="resnet18", epochs=3)
    assert not widget.start.disabled


def test_fields_are_locked_while_another_cell_trains(made: Training) -> None:
    """The notebook starts the training as well, and nothing can be changed meanwhile."""
    widget = TrainWidget(made)
    controls: Callable[[], set[bool]] = lambda: {  # noqa: E731
        control.disabled for control in (widget.start, widget.anew, *widget.fields.values())
    }
    seen: list[set[bool]] = []
    made.job.listeners.append(lambda: made.job.running and seen.append(controls()))
    made.complete()
    assert seen and all(disabled == {True} for disabled in seen)
    assert not widget.fields["epochs"].disabled
    assert "Nothing is left to be trained" in widget.needs.value


def test_patches_that_cannot_be_shown(made: Training) -> None:
    """The reason is told where it is looked for."""
    widget = TrainWidget(made)
    widget.fields["valid_animals"].value = ("sub-a", "sub-b", "sub-c")
    widget.preview.click()
    assert "none is left to train on" in widget.extra.value


def test_other_widgets_need_no_torch() -> None:
    """To label, or to look, nobody waits for it."""
    code = "from axonlab.widgets import LabelWidget, Gallery; import sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert modules.returncode == 0
    assert not {"torch", "fastai"} & set(modules.stdout.split())
