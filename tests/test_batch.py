"""A folder run: nothing is done twice, nothing is half done, and one bad image stops no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from axonlab import batch, io, results
from axonlab.batch import FolderRun, Settings
from axonlab.job import Job
from axonlab.objects import label_fibres
from axonlab.pairs import find_images

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def images(bids: Path) -> Path:
    """Return a folder of six small images with masks, which are not images."""
    return bids


@pytest.fixture
def make(images: Path, random_models: list[Path], tmp_path: Path) -> Callable[..., FolderRun]:
    """Return a function that makes a run of them."""

    def run(*, overwrite: bool = False, **settings: object) -> FolderRun:
        made = Settings(**{"model": random_models[0]} | settings)  # type: ignore[arg-type]
        return FolderRun(images, made, tmp_path / "runs", overwrite=overwrite)

    return run


def written(run: FolderRun) -> dict[str, int]:
    """Return when the provenance of every image was written."""
    paths = sorted(run.folder.glob("*/provenance.json"))
    return {path.parent.name: path.stat().st_mtime_ns for path in paths}


def states(run: FolderRun) -> list[str]:
    """Return the states of the images."""
    return run.status["state"].tolist()


def stop_at(run: FolderRun, done: float) -> None:
    """Let a run be stopped once so much of it is done."""

    def look() -> None:
        is_there = run.job.total and run.job.done >= done
        if is_there and not run.job.stopping.is_set():
            run.job.stop()

    run.job.listeners.append(look)


def test_a_run(make: Callable[..., FolderRun], random_models: list[Path]) -> None:
    """Every image has its folder with files that agree, and a row in the table."""
    run = make(min_axon_diameter=0.5)
    assert states(run) == ["waiting"] * 6
    assert list(run.images) == [f"sub-{a}_sample-{n}_SEM" for a in "abc" for n in (1, 2)]
    status = run.complete()
    assert states(run) == ["done"] * 6
    assert (status["pixel_size_um"] == 0.2).all()
    for name, n in zip(status["image"], status["fibres"], strict=True):
        folder = run.folder / name
        assert sorted(p.name for p in folder.iterdir()) == sorted(results.PRODUCTS)
        table = pd.read_csv(folder / "fibres.csv")
        labels = io.read_labels(folder / "labels.png")
        axons, fibres = (io.read_objects(folder / f"{what}.tif") for what in ("axons", "fibres"))
        for found, wanted in zip(
            (axons, fibres),
            label_fibres(labels, pixel_size=0.2, min_axon_diameter=0.5),
            strict=True,
        ):
            np.testing.assert_array_equal(found, wanted)
        assert len(table) == n == fibres.max()
        uncertainty = io.read_image(folder / "uncertainty.tif")
        assert uncertainty.pixel_size == pytest.approx(0.2)
        assert uncertainty.pixels.min() >= 0 and uncertainty.pixels.max() <= np.log2(3) + 1e-3
        means = [uncertainty.pixels[fibres == i].mean() for i in table["fibre_id"]]
        np.testing.assert_allclose(table["uncertainty_bits"], means, atol=0.01)
        provenance = json.loads((folder / "provenance.json").read_text("utf-8"))
        assert provenance["image"] == name and provenance["file"] == f"{name}.png"
        assert provenance["model_sha256"] == run.model.sha256
        assert provenance["pixels_sha256"] == run.read(name).sha256
        assert provenance["min_axon_diameter_um"] == 0.5
    assert not list(run.folder.glob(".*.*"))


def test_nothing_is_done_twice(make: Callable[..., FolderRun]) -> None:
    """Another run finds all finished, at once and after it has looked at the images."""
    made = make()
    status = made.complete()
    before = written(made)
    again = make()
    pd.testing.assert_frame_equal(again.status, status)
    again.complete()
    assert written(again) == before
    assert again.job.text == "all is finished"


def test_stop_and_resume(make: Callable[..., FolderRun]) -> None:
    """What was finished stays as it is, what was at work is begun again."""
    made = make()
    stop_at(made, 2)
    made.complete()
    assert states(made) == ["done"] * 2 + ["waiting"] * 4
    before = written(made)
    assert len(before) == 2
    assert made.go_on() is made.job and not made.job.running  # by hand: left as it is
    other = make()
    assert states(other) == states(made)
    other.complete()
    assert states(other) == ["done"] * 6
    assert before.items() <= written(other).items()


def test_stop_between_tiles(
    make: Callable[..., FolderRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop need not wait for the end of a large image."""
    monkeypatch.setattr(batch.segment, "__kwdefaults__", batch.segment.__kwdefaults__ | {"tile": 8})
    made, shares = make(), set[float]()
    made.job.listeners.append(lambda: shares.add(made.job.done))
    stop_at(made, 0.5)
    made.complete()
    assert states(made) == ["waiting"] * 6
    assert len(shares) > 10 and max(shares) < 0.6


def test_a_broken_image_and_one_without_pixel_size(
    make: Callable[..., FolderRun], images: Path
) -> None:
    """They are reported with the way out, and the rest goes on; later they alone are done."""
    (images / "sub-a/micr/sub-a_sample-2_SEM.png").write_bytes(b"no image")
    (images / "sub-b/micr/sub-b_sample-1_SEM.json").unlink()
    made = make()
    status = made.complete().set_index("image")
    failed = status[status["state"] == "failed"]
    assert failed.index.tolist() == ["sub-a_sample-2_SEM", "sub-b_sample-1_SEM"]
    assert "not an image" in failed.loc["sub-a_sample-2_SEM", "remark"]
    assert "no pixel size found" in failed.loc["sub-b_sample-1_SEM", "remark"]
    assert (status["state"] == "done").sum() == 4
    before = written(made)
    sized = make(pixel_sizes={"sub-b_sample-1_SEM": 0.25})
    status = sized.complete().set_index("image")
    assert status["state"].value_counts().to_dict() == {"done": 5, "failed": 1}
    assert status.loc["sub-b_sample-1_SEM", "pixel_size_um"] == 0.25
    assert before.items() <= written(sized).items()


def test_an_image_that_needs_too_much_memory(
    make: Callable[..., FolderRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that does not fit is one of the reported ones; the kernel lives on."""
    monkeypatch.setattr("axonlab.machine.memory_free", lambda: 300_000)
    status = make(pixel_sizes={"sub-a_sample-1_SEM": 2.0}).complete()
    assert status["state"].tolist() == ["failed"] + ["done"] * 5
    assert "Check the pixel size (2 µm)" in status["remark"][0]


@pytest.mark.parametrize("change", ["model", "test_time_augmentation", "min_axon_diameter"])
def test_other_settings_are_refused(
    make: Callable[..., FolderRun], random_models: list[Path], change: str
) -> None:
    """Results of another kind are not mixed with these, nor replaced without a word."""
    first = make()
    first.complete()
    before = written(first)
    values = {"model": random_models[1], "test_time_augmentation": True, "min_axon_diameter": 0.7}
    other = make(**{change: values[change]})
    with pytest.raises(ValueError, match=r"of other settings: sub-a_sample-1_SEM.*overwrite=True"):
        other.complete()
    assert written(other) == before
    other = make(overwrite=True, **{change: values[change]})
    other.complete()
    assert states(other) == ["done"] * 6
    assert all(written(other)[name] > time for name, time in before.items())
    again = make(overwrite=True, **{change: values[change]})
    kept = written(again)
    again.complete()
    assert written(again) == kept  # overwriting is no reason to do the same again


def test_an_image_that_has_changed(make: Callable[..., FolderRun], images: Path) -> None:
    """Its result is of other grey values: reported, or replaced by overwrite."""
    make().complete()
    path = images / "sub-c/micr/sub-c_sample-1_SEM.png"
    io.write_image(path, np.full((50, 60), 7, np.uint8), overwrite=True)
    status = make().complete().set_index("image")
    assert status.loc["sub-c_sample-1_SEM", "state"] == "failed"
    assert "The image has changed" in status.loc["sub-c_sample-1_SEM", "remark"]
    run = make(overwrite=True)
    before = written(run)
    run.complete()
    assert states(run) == ["done"] * 6
    changed = {name for name, time in written(run).items() if before[name] != time}
    assert changed == {"sub-c_sample-1_SEM"}


def test_corrections_are_never_replaced(
    make: Callable[..., FolderRun], random_models: list[Path]
) -> None:
    """Whatever somebody has added to a result, it stays; the same settings still go on."""
    made = make()
    made.complete()
    (made.folder / "sub-a_sample-1_SEM" / "corrections.jsonl").write_text("{}")
    other = make(model=random_models[1], overwrite=True)
    with pytest.raises(ValueError, match=r"corrections\.jsonl in sub-a_sample-1_SEM"):
        other.complete()
    assert states(make()) == ["done"] * 6


def test_a_crash_while_writing(
    make: Callable[..., FolderRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves what was there before, whole or nothing; the next run does the rest."""
    write, calls = results.write_image, []

    def fail(*args: object, **options: object) -> Path:
        calls.append(args)
        if len(calls) == 2:
            raise OSError("No space left on device")
        return write(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(results, "write_image", fail)
    made = make()
    with pytest.raises(OSError, match="No space left"):
        made.complete()
    assert states(made) == ["done"] + ["waiting"] * 5
    assert [path.name for path in made.folder.iterdir() if path.is_dir()] == ["sub-a_sample-1_SEM"]
    made.complete()  # an error is no stop by hand
    assert states(made) == ["done"] * 6


@pytest.mark.parametrize("missing", ["provenance.json", "fibres.csv", "labels.png"])
def test_half_a_result_is_none(make: Callable[..., FolderRun], missing: str) -> None:
    """Where a file was deleted, the image is not finished."""
    made = make()
    made.complete()
    (made.folder / "sub-b_sample-2_SEM" / missing).unlink()
    again = make(overwrite=True)
    assert states(again).count("waiting") == 1
    again.complete()
    assert states(again) == ["done"] * 6


def test_what_a_kill_leaves_is_cleared(make: Callable[..., FolderRun]) -> None:
    """Hidden folders of a write that never ended are no obstacle."""
    made = make()
    left = made.folder / ".sub-a_sample-1_SEM.part"
    left.mkdir(parents=True)
    (left / "labels.png").write_bytes(b"half")
    made.complete()
    assert states(made) == ["done"] * 6 and not left.exists()


def test_two_runs_at_once(make: Callable[..., FolderRun]) -> None:
    """The second one is refused, and the first one goes on."""
    made, other = make(), make()
    errors: list[BaseException | None] = []

    def look() -> None:
        if made.job.done >= 1 and not errors:
            other.job.start()
            while other.job.running:
                pass
            errors.append(other.job.error)

    made.job.listeners.append(look)
    made.complete()
    assert "Another run is at work in" in str(errors[0])
    assert states(made) == ["done"] * 6
    assert other.complete()["state"].tolist() == ["done"] * 6


def test_settings_stay_while_it_runs(make: Callable[..., FolderRun]) -> None:
    """They can be replaced before and after."""
    made = make()
    errors: list[str] = []

    def change() -> None:
        if made.job.total and not errors:
            try:
                made.settings = Settings()
            except RuntimeError as error:
                errors.append(str(error))

    made.job.listeners.append(change)
    made.complete()
    assert "stop that before you change settings" in errors[0]


def test_names(images: Path, random_models: list[Path], tmp_path: Path) -> None:
    """Images of one name are told apart by their folders, or refused; results are no images."""
    picture = images / "sub-a/micr/sub-a_sample-1_SEM.png"
    for where in ("left/1.png", "right/1.png", "right/2.png"):
        (tmp_path / "mine" / where).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, tmp_path / "mine" / where)
    sizes = dict.fromkeys(("left_1", "right_1", "2"), 0.2)
    settings = Settings(random_models[0], sizes)
    run = FolderRun(tmp_path / "mine", settings, tmp_path / "mine" / "runs")
    assert list(run.images) == ["left_1", "right_1", "2"]
    run.complete()
    assert list(FolderRun(tmp_path / "mine", settings, run.folder).images) == [*run.images]
    shutil.copy(picture, tmp_path / "mine/right/2.jpg")
    with pytest.raises(ValueError, match=r"Several images have one name.*2\.jpg"):
        FolderRun(tmp_path / "mine", settings, run.folder)


def test_one_image(images: Path, random_models: list[Path], tmp_path: Path) -> None:
    """A path of one file is a run of one image."""
    path = images / "sub-a/micr/sub-a_sample-1_SEM.png"
    run = FolderRun(path, Settings(random_models[0]), tmp_path / "runs")
    assert run.complete()["state"].tolist() == ["done"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pixel_sizes": {"x": 0.1}}, "no image is called x; there are sub-a_sample-1_SEM"),
        ({"pixel_sizes": {"sub-a_sample-1_SEM": -1}}, "a pixel size of -1 µm"),
        ({"min_axon_diameter": -1}, "expected a length in µm"),
        ({"min_axon_diameter": float("nan")}, "expected a length in µm"),
        ({"model": "none"}, "No model 'none'"),
    ],
)
def test_impossible_settings(
    make: Callable[..., FolderRun], settings: dict[str, object], message: str
) -> None:
    """They are refused before anything starts, with the way out."""
    with pytest.raises((ValueError, OSError), match=message):
        make(**settings)


def test_nothing_to_segment(random_models: list[Path], tmp_path: Path) -> None:
    """No folder, an empty one, no files."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no images found"):
        FolderRun(tmp_path / "empty", Settings(random_models[0]), tmp_path / "runs")
    with pytest.raises(ValueError, match="No images given"):
        FolderRun([], Settings(random_models[0]), tmp_path / "runs")
    run = FolderRun(tmp_path / "none", Settings(random_models[0]), tmp_path / "runs")
    assert "no such file" in run.complete()["remark"][0]


def test_an_image_without_fibres(random_models: list[Path], tmp_path: Path) -> None:
    """A flat image leaves an empty table, and a remark on its pixel size."""
    path = io.write_image(tmp_path / "flat.png", np.full((40, 50), 9, np.uint8))
    run = FolderRun(path, Settings(random_models[0], {"flat": 0.2}), tmp_path / "runs")
    (row,) = run.complete().to_dict("records")
    assert (row["state"], row["fibres"]) == ("done", 0)
    assert "No complete fibre was found at 0.2 µm per pixel" in row["remark"]
    assert pd.read_csv(tmp_path / "runs/flat/fibres.csv").empty


def test_what_to_look_at_first(make: Callable[..., FolderRun]) -> None:
    """The queue of a result is made of its files, and tells more of each fibre."""
    run = make()
    run.complete()
    for name in run.images:
        table = pd.read_csv(run.folder / name / "fibres.csv").set_index("fibre_id")
        queue = results.review(run.folder / name)
        assert queue["score"].is_monotonic_decreasing and queue["fibre_id"].is_unique
        assert set(queue["fibre_id"]) <= set(table.index)
        wanted = table.loc[queue["fibre_id"], "uncertainty_bits"].to_numpy()
        np.testing.assert_array_equal(queue["uncertainty_bits"], wanted)


def test_the_preview_can_be_stopped(make: Callable[..., FolderRun]) -> None:
    """A stop between tiles ends it, and nothing is written."""
    run = make()
    job: Job[object] = Job(lambda job: run.preview("sub-a_sample-1_SEM", None, job))
    job.listeners.append(lambda: job.stopping.is_set() or job.stop())
    job.start()
    with pytest.raises(InterruptedError):
        job.wait()
    assert not run.folder.exists()


def test_only_some_files(bids: Path, random_models: list[Path], tmp_path: Path) -> None:
    """Those that a pattern names; one that names none is an error which says what there is."""
    images = find_images(bids)
    settings = Settings(str(random_models[0]))
    run = FolderRun(bids, settings, tmp_path / "out", only=f"{images[0].stem}*")
    assert list(run.images.values()) == [images[0]]
    with pytest.raises(ValueError, match=rf"none of {images[0].name}.* is called '\*.xyz'"):
        FolderRun(bids, settings, tmp_path / "out", only="*.xyz")
