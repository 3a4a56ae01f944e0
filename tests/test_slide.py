"""Slides give what the whole image in memory gives, whatever the tiles, workers and accidents."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from distributed import Client, LocalCluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tissue import tissue

from axonlab import models, omezarr, phantom, slide, slide_tiles, stages
from axonlab.io import read_image
from axonlab.measure import measure_fibres
from axonlab.micrograph import Micrograph
from axonlab.objects import label_fibres
from axonlab.segment import segment
from axonlab.stages import Progress

Labels = NDArray[np.uint8]
SIZE = 0.1


def read(output: Path, name: str) -> NDArray[Any]:
    """Return a label image of a slide."""
    return np.asarray(omezarr.open_levels(output / "labels" / name)[0])


def check(output: Path, labels: Labels, *, min_axon_diameter: float = 0.0) -> None:
    """Compare a slide with the same in memory."""
    expected = label_fibres(labels, pixel_size=SIZE, min_axon_diameter=min_axon_diameter)
    for name, objects in zip(("axons", "fibres"), expected, strict=True):
        np.testing.assert_array_equal(read(output, name), objects, err_msg=name)
    table = slide.measure_slide(output)
    in_memory = measure_fibres(*expected, pixel_size=SIZE)
    pd.testing.assert_frame_equal(table, in_memory, check_dtype=False, rtol=1e-9)
    pd.testing.assert_frame_equal(slide.read_table(output), table)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return where to put a slide."""
    return tmp_path / "slide.ome.zarr"


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a small network that nobody has trained."""
    import torch

    torch.manual_seed(0)
    classes = ["background", "myelin", "axon"]
    architecture = {"class": "UNet", "n_classes": 3, "features": [8, 8, 8]}
    card = models.ModelCard("small", classes, SIZE, architecture)
    return models.save_model(
        tmp_path_factory.mktemp("model") / "small.safetensors", card.build(), card
    )


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    tile=st.integers(25, 130),
    waves=st.integers(2, 32),
    diameter=st.sampled_from([0.0, 1.0]),
)
def test_equal_to_memory(
    tmp_path_factory: pytest.TempPathFactory, seed: int, tile: int, waves: int, diameter: float
) -> None:
    """Objects and table are those of the whole image."""
    output, labels = tmp_path_factory.mktemp("slide") / "a.zarr", tissue(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slide_tiles, "WAVES", waves)
        slide.segment_slide(
            labels,
            output,
            model=None,
            pixel_size=SIZE,
            tile=tile,
            min_axon_diameter=diameter,
        )
    check(output, labels, min_axon_diameter=diameter)


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_any_number_of_workers(output: Path, n_workers: int) -> None:
    """Workers of a cluster give the same as this process."""
    labels = tissue(1)
    cluster = LocalCluster(
        n_workers=n_workers, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        slide.segment_slide(labels, output, model=None, pixel_size=SIZE, tile=40, client=client)
        slide.measure_slide(output, client=client)
    check(output, labels)


def test_no_axon(output: Path) -> None:
    """A slide without fibres has an empty table."""
    slide.segment_slide(np.ones((50, 60), np.uint8), output, model=None, pixel_size=SIZE, tile=32)
    table = slide.measure_slide(output)
    assert table.empty
    assert "g_ratio" in slide.read_table(output)


def test_many_fibres(output: Path) -> None:
    """There may be more fibres than 16 bits can tell apart."""
    labels = np.zeros((600, 600), np.uint8)
    labels[::2, ::2] = 2
    slide.segment_slide(labels, output, model=None, pixel_size=SIZE, tile=256)
    assert read(output, "fibres").max() == 300 * 300
    np.testing.assert_array_equal(read(output, "axons"), label_fibres(labels, pixel_size=SIZE)[0])


@pytest.mark.parametrize(("pixel_size", "tile"), [(SIZE, 64), (SIZE, 150), (0.04, 90), (0.23, 70)])
def test_prediction_equals_whole(
    output: Path, small_model: Path, pixel_size: float, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Classes, blank area and range of greys are those of the whole image, at any scale."""
    monkeypatch.setattr("axonlab.micrograph.SAMPLED_PIXELS", 3000)
    pixels = phantom.nerve((210, 260), pixel_size=SIZE, seed=4).micrograph.pixels.copy()
    pixels[:60, 130:] = 0  # as around a stitched field
    pixels[140:, :50] = 0
    micrograph = Micrograph(pixels, pixel_size)
    whole = segment(micrograph, small_model)
    assert 0.1 < micrograph.blank.mean() < 0.5
    slide.segment_slide(pixels, output, model=small_model, pixel_size=pixel_size, tile=tile)
    np.testing.assert_array_equal(read(output, "blank"), micrograph.blank)
    manifest = slide.read_manifest(output)
    assert manifest["grey_values_mapped_to_0_and_1"] == pytest.approx(
        whole.provenance["grey_values_mapped_to_0_and_1"], rel=1e-6
    )
    # the convolutions of tiles of another shape may be rounded in another way
    assert np.mean(read(output, "classes") != whole.labels) < 1e-4


class InterruptionError(Exception):
    """Ends the work after some tiles, and counts how many were done by stage."""

    def __init__(self, after: int = 10**9) -> None:
        self.left = after
        self.new: Counter[str] = Counter()

    def __call__(self, progress: Progress) -> None:  # noqa: D102
        self.new[progress.stage] = progress.new
        self.left -= progress.new > 0
        if self.left < 0:
            raise self


def test_goes_on_where_it_was_stopped(output: Path) -> None:
    """What is finished is not done again, and the result is the same."""
    labels = tissue(2)
    told = {"model": None, "pixel_size": SIZE, "tile": 40}
    n_tiles = len(omezarr.tiles(labels.shape, 40))
    stops = [InterruptionError(after=5), InterruptionError(after=14), InterruptionError(after=20)]
    for stop in stops:
        with pytest.raises(InterruptionError):
            slide.segment_slide(labels, output, **told, tell=stop)
    with pytest.raises(FileNotFoundError, match="segmented to its end"):
        slide.measure_slide(output)
    last = InterruptionError()
    slide.segment_slide(labels, output, **told, tell=last)
    check(output, labels)
    assert last.new["read"] == last.new["axons"] == 0 < last.new["fibres"]
    again = InterruptionError()
    slide.segment_slide(labels, output, **told, tell=again)
    assert sum(again.new.values()) == 0
    assert 0 < sum(stop.new["read"] for stop in stops) <= n_tiles


def test_changed_parameter(output: Path) -> None:
    """Another diameter makes objects anew, but neither reads nor finds axons again."""
    labels = tissue(3)
    told = {"model": None, "pixel_size": SIZE, "tile": 64}
    slide.segment_slide(labels, output, **told)
    before = slide.measure_slide(output)
    counts = InterruptionError()
    slide.segment_slide(labels, output, **told, min_axon_diameter=1.0, tell=counts)
    assert counts.new["read"] == counts.new["axons"] == counts.new["classes level 1"] == 0
    assert counts.new["fibres"] == len(omezarr.tiles(labels.shape, 64))
    check(output, labels, min_axon_diameter=1.0)
    assert len(slide.read_table(output)) < len(before)


def test_begun_anew(output: Path) -> None:
    """Without resume nothing of before is left but what was drawn by hand."""
    told = {"model": None, "pixel_size": SIZE, "tile": 64}
    slide.segment_slide(tissue(4), output, **told)
    (output / "run" / "regions.json").write_text("drawn by hand")
    slide.segment_slide(tissue(5), output, **told, resume=False)
    check(output, tissue(5))
    assert (output / "run" / "regions.json").read_text() == "drawn by hand"
    assert sorted(path.name for path in output.parent.iterdir()) == [output.name]


def test_other_source(output: Path) -> None:
    """A slide is not mixed with another one."""
    slide.segment_slide(tissue(4), output, model=None, pixel_size=SIZE, tile=64)
    for other, change in (
        (tissue(5), {}),
        (tissue(4), {"pixel_size": 0.2}),
        (tissue(4), {"tile": 50}),
    ):
        told = {"model": None, "pixel_size": SIZE, "tile": 64} | change
        with pytest.raises(ValueError, match=r"was begun with .* resume=False"):
            slide.segment_slide(other, output, **told)
    check(output, tissue(4))


def test_foreign_output(tmp_path: Path) -> None:
    """What is no slide is left alone, also without resume."""
    (tmp_path / "thesis.txt").write_text("all my work")
    for resume in (True, False):
        with pytest.raises(FileExistsError, match="no slide that segment_slide has made"):
            slide.segment_slide(tissue(4), tmp_path, model=None, pixel_size=SIZE, resume=resume)
    assert (tmp_path / "thesis.txt").read_text() == "all my work"


def test_absurd_scale(output: Path, small_model: Path) -> None:
    """A model for another magnification is refused before anything is written."""
    with pytest.raises(ValueError, match="too far from"):
        slide.segment_slide(tissue(1), output, model=small_model, pixel_size=9.0)
    assert not output.exists()


def test_disk_full(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk stops the work with advice, and it goes on after."""
    labels, left = tissue(6), [30]

    def write_bytes(path: Path, content: bytes, **kwargs: Any) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(path, content, **kwargs)

    original = stages.write_bytes
    monkeypatch.setattr(stages, "write_bytes", write_bytes)
    with pytest.raises(OSError, match=r"is full\. Make room and call again"):
        slide.segment_slide(labels, output, model=None, pixel_size=SIZE, tile=40)
    monkeypatch.undo()
    slide.segment_slide(labels, output, model=None, pixel_size=SIZE, tile=40)
    check(output, labels)


def test_killed(output: Path, tmp_path: Path) -> None:
    """Killed without warning, it goes on with what was finished."""
    labels = tissue(7)
    np.save(tmp_path / "labels.npy", labels)
    script = f"""
        import os, signal
        import numpy as np
        from axonlab import slide

        def tell(progress):
            if progress.stage == "numbered" and progress.new == 4:
                os.kill(os.getpid(), signal.SIGKILL)

        labels = np.load({str(tmp_path / "labels.npy")!r})
        slide.segment_slide(
            labels, {str(output)!r}, model=None, pixel_size={SIZE}, tile=40, tell=tell
        )
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert killed.returncode == -signal.SIGKILL
    records = {path: path.stat().st_mtime_ns for path in output.glob("run/*/*.npz")}
    assert len(records) > 20
    slide.segment_slide(labels, output, model=None, pixel_size=SIZE, tile=40)
    assert all(path.stat().st_mtime_ns == time for path, time in records.items())
    check(output, labels)


@pytest.fixture
def two_processes() -> Iterator[Client]:
    """Start two workers that are processes."""
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        yield client


@pytest.mark.filterwarnings("ignore")  # what distributed says of a worker that was killed
def test_killed_worker(output: Path, two_processes: Client) -> None:
    """When a worker is killed, others do its tiles."""
    labels = tissue(8)
    pids = list(two_processes.run(os.getpid).values())

    def tell(progress: Progress) -> None:
        if progress.stage == "axons" and progress.new == 3 and pids:
            os.kill(pids.pop(), signal.SIGKILL)

    slide.segment_slide(
        labels, output, model=None, pixel_size=SIZE, tile=30, client=two_processes, tell=tell
    )
    assert len(pids) == 1
    check(output, labels)


def test_job(output: Path) -> None:
    """The job of a notebook tells how far it is, stops and goes on."""
    labels = tissue(9)
    job = slide.slide_job(labels, output, model=None, pixel_size=SIZE, tile=30)
    texts: list[str] = []

    def listen() -> None:
        texts.append(job.text)
        if "axons" in job.text and job.done == 3 and not job.stopping.is_set():
            job.stop()

    job.listeners.append(listen)
    job.start()
    with pytest.raises(InterruptedError, match="start again"):
        job.wait()
    job.listeners.clear()
    job.start()
    assert len(job.wait()) == len(slide.read_table(output))
    assert any("tiles/s" in text for text in texts)
    check(output, labels)


def test_holes(output: Path, small_model: Path, tmp_path: Path) -> None:
    """What cannot be read is blank and told; the rest is as it would be."""
    whole, damaged = (
        phantom.write_slide(tmp_path / f"{name}.ome.zarr", shape=(200, 260), tile=64)
        for name in ("whole", "damaged")
    )
    (damaged / "0" / "c" / "0" / "2").unlink()
    (damaged / "0" / "c" / "2" / "1").write_bytes(b"no longer a chunk")
    slide.segment_slide(damaged, output, model=small_model, tile=100)
    holes = slide.read_manifest(output)["holes"]
    assert [(hole["rows"], hole["columns"]) for hole in holes] == [
        ([0, 64], [128, 192]),
        ([128, 192], [64, 128]),
    ]
    assert all("c/0/2" in holes[0][key] or "c/2/1" in holes[1][key] for key in ["reason"])
    blank = read(output, "blank") == 1
    for hole in holes:
        assert blank[slice(*hole["rows"]), slice(*hole["columns"])].all()
    assert not read(output, "classes")[blank].any()
    expected = read_image(whole).pixels.copy()
    for hole in holes:
        expected[slice(*hole["rows"]), slice(*hole["columns"])] = 0
    np.testing.assert_array_equal(omezarr.open_levels(output)[0][:], expected)


def test_other_programs_read_it(output: Path, small_model: Path) -> None:
    """The result is plain OME-Zarr: image and labels, with levels and pixel sizes."""
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    pixels = phantom.nerve((700, 800), pixel_size=SIZE, seed=1).micrograph.pixels.astype(np.uint8)
    slide.segment_slide(pixels, output, model=small_model, pixel_size=SIZE, tile=400)
    assert read_image(output).pixel_size == pytest.approx(SIZE)
    for name in ("classes", "axons", "fibres", "blank"):
        found = Reader(parse_url(str(output / "labels" / name)))()
        node = next(n for n in found if n.metadata.get("name") == name)
        assert [level.shape for level in node.data] == omezarr.level_shapes((700, 800))
        np.testing.assert_array_equal(node.data[0], read(output, name))
        np.testing.assert_array_equal(node.data[1], read(output, name)[::2, ::2])


def test_filler_of_a_phantom_is_no_hole(output: Path, tmp_path: Path, small_model: Path) -> None:
    """Chunks that are 0 all over are there, and blank because they are filler."""
    drawn = phantom.write_slide(tmp_path / "a.ome.zarr", shape=(800, 800), tile=50, has_blank=True)
    slide.segment_slide(drawn, output, model=small_model, tile=400)
    assert slide.read_manifest(output)["holes"] == []
    np.testing.assert_array_equal(read(output, "blank"), read_image(drawn).blank)


def test_no_pixel_size(output: Path, tmp_path: Path) -> None:
    """A pixel size is never guessed."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 40), np.uint8))
    with pytest.raises(ValueError, match="no pixel size"):
        slide.segment_slide(tmp_path / "a.tif", output, model="sem")
    assert not output.exists()


def test_stopped_cluster_writes_no_more(output: Path) -> None:
    """When the work is stopped, tiles that are at work are waited for; others do not begin."""
    labels = tissue(10)
    told = {"model": None, "pixel_size": SIZE, "tile": 30}
    cluster = LocalCluster(
        n_workers=4, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        with pytest.raises(InterruptionError):
            slide.segment_slide(
                labels, output, **told, client=client, tell=InterruptionError(after=30)
            )
        records = sorted(output.glob("run/*/*.npz"))
        slide.segment_slide(labels, output, **told, client=client, min_axon_diameter=1.0)
    assert set(records) & set(output.glob("run/axons/*.npz"))
    check(output, labels, min_axon_diameter=1.0)


def test_late_tile(tmp_path: Path) -> None:
    """A tile of a stage that was begun anew meanwhile is not believed."""
    old = stages.Stage(tmp_path, "axons", diameter=1)
    stages.Stage(tmp_path, "axons", diameter=2)
    with pytest.raises(RuntimeError, match="begun anew"):
        stages._finish(old.folder / "0_0.npz", old.key, dict, ())
    assert not list(tmp_path.glob("*/*.npz"))


def test_two_at_a_time(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a slide is worked on, another process is told to wait."""
    monkeypatch.setattr(slide.slide_plan, "WAIT_SECONDS", 0.1)
    told = {"model": None, "pixel_size": SIZE, "tile": 64}
    errors: list[BaseException] = []

    def meanwhile(progress: Progress) -> None:
        if progress.stage == "axons" and not errors:
            other = threading.Thread(target=attempt)
            other.start()
            other.join()

    def attempt() -> None:
        try:
            slide.segment_slide(tissue(1), output, **told)
        except BaseException as error:
            errors.append(error)

    slide.segment_slide(tissue(1), output, **told, tell=meanwhile)
    assert isinstance(errors[0], BlockingIOError) and "Another process" in str(errors[0])
    check(output, tissue(1))


def test_cut_off_while_it_is_made(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off while the arrays are made, the former slide stays, and the same call goes on."""
    told = {"model": None, "pixel_size": SIZE, "tile": 64}
    slide.segment_slide(tissue(4), output, **told)
    with monkeypatch.context() as patch:
        patch.setattr(slide, "write_json", lambda *a, **k: (_ for _ in ()).throw(OSError("cut")))
        with pytest.raises(OSError, match="cut"):
            slide.segment_slide(tissue(5), output, **told, resume=False)
    check(output, tissue(4))
    slide.segment_slide(tissue(5), output, **told, resume=False)
    check(output, tissue(5))
    assert [path.name for path in output.parent.iterdir()] == [output.name]


@pytest.mark.parametrize(
    "wrong", [{"tile": 0}, {"tile": 64.0}, {"min_axon_diameter": -1}, {"min_axon_diameter": np.nan}]
)
def test_absurd_numbers(output: Path, wrong: dict[str, Any]) -> None:
    """Numbers that cannot be are refused before anything is written."""
    with pytest.raises(ValueError, match="expected a"):
        slide.segment_slide(tissue(1), output, model=None, pixel_size=SIZE, **wrong)
    assert not output.exists()


def test_table_in_parts(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of many files is read as one."""
    monkeypatch.setattr(slide, "PART_ROWS", 10)
    slide.segment_slide(tissue(1), output, model=None, pixel_size=SIZE, tile=64)
    table = slide.measure_slide(output)
    assert len(list((output / slide_tiles.TABLE).iterdir())) > 1
    pd.testing.assert_frame_equal(slide.read_table(output), table)


def test_holes_of_labels(output: Path, tmp_path: Path) -> None:
    """Where class ids cannot be read, nothing was seen."""
    labels = tissue(1)
    stored = omezarr.create_labels(
        tmp_path / "a.zarr", "classes", labels.shape, np.uint8, pixel_size=SIZE, tile=40
    )
    stored[:] = labels
    (tmp_path / "a.zarr/labels/classes/0/c/1/0").write_bytes(b"no chunk")
    slide.segment_slide(tmp_path / "a.zarr/labels/classes", output, model=None, tile=32)
    expected = np.zeros(labels.shape, np.uint8)
    expected[40:80, :40] = 1
    np.testing.assert_array_equal(read(output, "blank"), expected)


def test_elsewhere(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is that of the folder the call was made in."""
    monkeypatch.chdir(output.parent)

    def leave(progress: Progress) -> None:
        monkeypatch.chdir("/")

    relative = Path(output.name)
    slide.segment_slide(tissue(1), relative, model=None, pixel_size=SIZE, tile=64, tell=leave)
    check(output, tissue(1))
