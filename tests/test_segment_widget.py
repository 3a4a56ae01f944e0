"""The widget of a folder run without a browser: what is chosen, tried, refused and begun."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from axonlab import io
from axonlab.batch import FolderRun, Settings
from axonlab.widgets import SegmentWidget

pytestmark = pytest.mark.usefixtures("one_thread")

FIRST, SECOND = "sub-a_sample-1_SEM", "sub-a_sample-2_SEM"


@pytest.fixture
def widget(bids: Path, random_models: list[Path], tmp_path: Path) -> SegmentWidget:
    """Return the widget of a run over six small images, once it has looked at the first."""
    made = SegmentWidget(FolderRun(bids, Settings(random_models[0]), tmp_path / "runs"))
    return looked(made)


def looked(widget: SegmentWidget) -> SegmentWidget:
    """Wait for the crop, or for what stands in its place."""
    while True:
        with suppress(ValueError, InterruptedError):
            widget.looking.wait()
        if not widget.looking.running:
            return widget


def finish(widget: SegmentWidget) -> None:
    """Wait for the run."""
    widget.run.job.wait()


def test_it_starts_at_a_useful_answer(widget: SegmentWidget) -> None:
    """A crop of the first image, all images in the table, and a button to start."""
    assert f"{FIRST}, pixels of 0.2 µm (" in widget.crop.value
    assert "as random 1 sees it at 0.2 µm: " in widget.crop.value
    assert "data:image/png" in widget.crop.value
    assert widget.table.value.count("○&nbsp;waiting") == 6
    assert "6 of 6 images are to be segmented" in widget.needs.value
    assert widget.start.description == "Start" and not widget.start.disabled
    assert widget.pixel_size.value == ""
    assert widget.looked.value == ""


def test_choices_go_to_the_run(widget: SegmentWidget, random_models: list[Path]) -> None:
    """Model, orientations and smallest axon; each is looked at."""
    widget.model.value = str(random_models[1])
    widget.augment.value = True
    widget.min_diameter.value = 0.5
    assert widget.run.settings == Settings(str(random_models[1]), {}, True, 0.5)
    assert "as random 2 sees it" in looked(widget).crop.value


def test_a_pixel_size_is_of_one_image(widget: SegmentWidget) -> None:
    """It is shown where it belongs, can be taken for all, and taken back."""
    widget.pixel_size.value = "0,25"
    assert widget.run.settings.pixel_sizes == {FIRST: 0.25}
    assert f"{FIRST}, pixels of 0.25 µm (caller)" in looked(widget).crop.value
    widget.image.value = SECOND
    assert widget.pixel_size.value == ""
    assert f"{SECOND}, pixels of 0.2 µm" in looked(widget).crop.value
    widget.image.value = FIRST
    assert widget.pixel_size.value == "0.25"
    widget.for_all.click()
    assert widget.run.settings.pixel_sizes == dict.fromkeys(widget.run.images, 0.25)
    widget.pixel_size.value = ""
    assert FIRST not in widget.run.settings.pixel_sizes
    assert len(widget.run.settings.pixel_sizes) == 5
    widget.for_all.click()
    assert widget.run.settings.pixel_sizes == {}
    looked(widget)


@pytest.mark.parametrize("text", ["large", "-1", "200000"])
def test_what_is_refused_stays_refused(widget: SegmentWidget, text: str) -> None:
    """Another field does not make a run possible whose settings are not those on show."""
    widget.pixel_size.value = text
    assert "✖" in widget.needs.value and widget.start.disabled
    widget.min_diameter.value = 0.5
    assert "✖" in widget.needs.value and widget.start.disabled
    assert widget.run.settings == Settings(widget.run.settings.model)
    widget.image.value = SECOND  # the wrong size is not on show any more
    assert not widget.start.disabled
    assert widget.run.settings.min_axon_diameter == 0.5
    looked(widget)


def test_an_unknown_model(widget: SegmentWidget) -> None:
    """The name is told, and the right one makes it possible again."""
    before = widget.model.value
    widget.model.value = "none"
    assert "No model &#x27;none&#x27;" in widget.needs.value and widget.start.disabled
    widget.model.value = before
    assert not widget.start.disabled
    looked(widget)


def test_the_crop_is_moved(widget: SegmentWidget) -> None:
    """The image is smaller than a crop, which then shows all of it; the sliders follow."""
    widget.down.value = 0.9
    assert looked(widget).down.value == 0.0
    assert f"{FIRST}, pixels" in widget.crop.value


def test_many_moves_at_once(widget: SegmentWidget) -> None:
    """Only the last one counts."""
    for name in [*widget.run.images, SECOND]:
        widget.image.value = name
    assert f"{SECOND}, pixels" in looked(widget).crop.value
    assert widget.looking.error is None


def test_an_image_that_cannot_be_seen(
    bids: Path, random_models: list[Path], tmp_path: Path
) -> None:
    """The crop's place says why; the others can be looked at, and the run goes on without it."""
    (bids / "sub-a/micr" / f"{FIRST}.json").unlink()
    made = looked(SegmentWidget(FolderRun(bids, Settings(random_models[0]), tmp_path / "runs")))
    assert "no pixel size found" in made.crop.value and 'role="alert"' in made.crop.value
    made.start.click()
    finish(made)
    assert made.table.value.count("✔&nbsp;done") == 5
    assert made.table.value.count("✖&nbsp;failed") == 1
    assert "no pixel size found" in made.table.value
    assert made.start.description == "Resume" and not made.start.disabled
    made.image.value = SECOND
    assert f"{SECOND}, pixels" in looked(made).crop.value
    assert "✖&nbsp;failed" in made.table.value  # looking changes nothing
    made.image.value = FIRST
    made.pixel_size.value = "0.2"
    made.start.click()
    finish(made)
    assert "nothing is left to do" in made.needs.value and made.start.disabled
    looked(made)


def test_a_doubt_is_shown(tmp_path: Path, random_models: list[Path]) -> None:
    """Beside the crop, and after the run in the table."""
    path = io.write_image(tmp_path / "<b>.png", (io.np.indices((90, 90)).sum(0) % 99).astype("u1"))
    run = FolderRun(path, Settings(random_models[0], {"<b>": 0.2}), tmp_path / "runs")
    made = looked(SegmentWidget(run))
    assert "▲ No complete fibre was found at 0.2 µm" in made.crop.value
    assert "<b>" not in made.crop.value and "<b>" not in made.table.value
    made.start.click()
    finish(made)
    assert "▲ No complete fibre" in made.table.value


def test_controls_are_locked_while_another_cell_segments(widget: SegmentWidget) -> None:
    """The notebook starts the run as well, and nothing can be changed meanwhile."""
    run = widget.run
    seen: list[set[bool]] = []
    controls = (widget.start, widget.model, widget.augment, widget.pixel_size, widget.for_all)
    run.job.listeners.append(
        lambda: run.job.running and seen.append({control.disabled for control in controls})
    )
    run.complete()
    assert seen and all(disabled == {True} for disabled in seen)
    assert not widget.model.disabled
    assert "6 images segmented: nothing is left to do" in widget.needs.value
    assert widget.table.value.count("✔&nbsp;done") == 6


def test_results_of_other_settings(widget: SegmentWidget, random_models: list[Path]) -> None:
    """They are in the way; two clicks replace them."""
    widget.start.click()
    finish(widget)
    assert widget.replace.layout.display == "none"
    widget.model.value = str(random_models[1])
    assert "of other settings" in widget.needs.value and widget.start.disabled
    assert widget.replace.layout.display == ""
    widget.replace.click()
    assert not widget.run.job.running and "lost" in widget.replace.description
    widget.replace.click()
    finish(widget)
    assert "nothing is left to do" in widget.needs.value
    assert widget.replace.layout.display == "none"
    looked(widget)
