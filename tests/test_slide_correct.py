"""Corrected slides are what the whole corrected image would give, and only that is done anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tissue import tissue

from axonlab import omezarr, phantom, slide, slide_correct, slide_plan, slide_tiles
from axonlab.io import read_labels
from axonlab.labelling import Patch
from axonlab.measure import measure_fibres, neighbour_distance
from axonlab.objects import label_fibres
from axonlab.relabel import Planes, relabel
from axonlab.slide_correct import Crop, open_crop, write_crop
from axonlab.stages import Progress

Labels = NDArray[np.uint8]
SIZE = 0.1
TILE = 40


def rings(n_rows: int = 6, n_columns: int = 7) -> Labels:
    """Draw fibres on a grid, none of which touches another; there are 20 pixels from row to row."""
    ring = np.zeros((20, 20), np.uint8)
    ring[4:16, 4:16] = 1
    ring[7:13, 7:13] = 2
    return np.tile(ring, (n_rows, n_columns))


def make(
    labels: Labels, output: Path, *, min_axon_diameter: float = 0.0, tile: int = TILE
) -> pd.DataFrame:
    """Make a slide and measure it."""
    slide.segment_slide(
        labels,
        output,
        model=None,
        pixel_size=SIZE,
        tile=tile,
        min_axon_diameter=min_axon_diameter,
    )
    return slide.measure_slide(output)


def read(output: Path, name: str) -> NDArray[Any]:
    """Return a label image of a slide."""
    return np.asarray(omezarr.open_levels(output / "labels" / name)[0])


def planes(output: Path) -> Planes:
    """Return all label images of a slide."""
    return Planes(*(read(output, name) for name in Planes._fields))


def edit(rng: np.random.Generator, labels: Labels) -> Labels:
    """Return labels with some others somewhere."""
    edited = labels.copy()
    height, width = (int(rng.integers(1, n + 1)) for n in labels.shape)
    y, x = (
        int(rng.integers(n - m + 1)) for n, m in zip(labels.shape, (height, width), strict=True)
    )
    part = edited[y : y + height, x : x + width]
    kind = rng.integers(3)
    if kind == 0:
        part[:] = tissue(int(rng.integers(10**6)))[:height, :width]
    elif kind == 1:
        part[:] = rng.integers(4)
    else:
        drawn = rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), part.shape)
        part[:] = np.where(rng.random(part.shape) < 0.05, drawn, part)
    return edited


def check_numbers(now: Planes, *, min_axon_diameter: float = 0.0) -> dict[int, int]:
    """Compare objects with those of the whole in memory; return its id for each of their ids."""
    expected = label_fibres(now.classes, pixel_size=SIZE, min_axon_diameter=min_axon_diameter)
    ours, theirs = (np.stack(both).ravel() for both in ((now.axons, now.fibres), expected))
    pairs = np.unique(np.stack([ours, theirs]), axis=1)
    names = dict(pairs.T.tolist())
    assert len(names) == pairs.shape[1] == len(set(names.values()))
    assert names.pop(0, 0) == 0
    return names


def check_ids(before: Planes, after: Planes, entry: dict[str, Any]) -> None:
    """Test that fibres keep their ids, and that the entry tells which do not."""
    was, now = (set(np.unique(p.fibres)) - {0} for p in (before, after))
    assert set(entry["new"]) == now - was
    assert set(entry["gone"]) == was - now
    assert all(i > before.fibres.max() for i in entry["new"])
    for i in was - set(entry["gone"]) - set(entry["changed"]):
        np.testing.assert_array_equal(before.fibres == i, after.fibres == i)
        np.testing.assert_array_equal(before.axons == i, after.axons == i)
    for i in was:  # an axon that stays keeps its id, whatever becomes of its myelin
        is_axon = before.axons == i
        ids = np.unique(after.axons[is_axon])
        if len(ids) == 1 and ids[0] and (after.axons == ids[0]).sum() == is_axon.sum():
            assert ids[0] == i


def check_table(output: Path, now: Planes, names: dict[int, int]) -> None:
    """Compare the table with that of the whole in memory."""
    table = slide.read_table(output)
    expected = label_fibres(
        now.classes,
        pixel_size=SIZE,
        min_axon_diameter=slide.read_manifest(output)["min_axon_diameter_um"],
    )
    in_memory = measure_fibres(*expected, pixel_size=SIZE)
    renamed = table.assign(fibre_id=table["fibre_id"].map(names)).sort_values("fibre_id")
    pd.testing.assert_frame_equal(
        renamed.reset_index(drop=True), in_memory, check_dtype=False, rtol=1e-9
    )
    assert slide.read_manifest(output)["fibres"] == len(table)


def paint(crop: Crop, labels: Labels) -> None:
    """Paint a crop as a whole."""
    crop.labelling.replace(labels)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return where to put a slide."""
    return tmp_path / "slide.ome.zarr"


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make reach and margins small beside the images of these tests."""
    monkeypatch.setattr(slide_tiles, "WAVES", 8)
    monkeypatch.setattr(slide_correct, "MARGIN", 4)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    margin=st.integers(2, 40),
    diameter=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_relabelled_as_a_whole(seed: int, margin: int, diameter: float) -> None:
    """A window that is large enough shows what the whole would be; others tell that they do not."""
    rng, classes = np.random.default_rng(seed), tissue(seed, (120, 150))
    before = Planes(classes, *label_fibres(classes, pixel_size=SIZE, min_axon_diameter=diameter))
    corrected = edit(rng, classes[30:70, 40:90])
    whole = classes.copy()
    whole[30:70, 40:90] = corrected
    after = None
    while after is None:
        rows, columns = (
            slice(max(a - margin, 0), min(b + margin, n))
            for a, b, n in ((30, 70, 120), (40, 90, 150))
        )
        after = relabel(
            before.cut((rows, columns)),
            whole[rows, columns],
            ((rows.start == 0, rows.stop == 120), (columns.start == 0, columns.stop == 150)),
            min_pixels=np.pi / 4 * (diameter / SIZE) ** 2,
            next_id=int(before.fibres.max()) + 1,
        )
        margin *= 2
    now = Planes(whole, before.axons.copy(), before.fibres.copy())
    now.axons[rows, columns], now.fibres[rows, columns] = after.axons, after.fibres
    check_numbers(now, min_axon_diameter=diameter)


@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    tile=st.integers(40, 130),
    diameter=st.sampled_from([0.0, 1.0]),
)
def test_corrected_as_a_whole(
    tmp_path_factory: pytest.TempPathFactory, seed: int, tile: int, diameter: float
) -> None:
    """After corrections, objects and table are those of the whole corrected slide."""
    output, rng = tmp_path_factory.mktemp("slide") / "a.zarr", np.random.default_rng(seed)
    make(tissue(seed, (120, 150)), output, min_axon_diameter=diameter, tile=tile)
    for _ in range(2):
        before = planes(output)
        y, x = int(rng.integers(80)), int(rng.integers(100))
        crop = open_crop(output, slice(y, y + 40), slice(x, x + 50))
        paint(crop, edit(rng, crop.labelling.labels))
        corrected = before.classes.copy()
        corrected[crop.box] = crop.labelling.labels
        entry = write_crop(output, crop)
        crop.labelling.close()
        after = planes(output)
        np.testing.assert_array_equal(after.classes, corrected)
        names = check_numbers(after, min_axon_diameter=diameter)
        check_ids(before, after, entry)
        check_table(output, after, names)


def test_fibre_deleted_and_drawn(output: Path) -> None:
    """A fibre can be taken away, another be painted, and the manifest tells both."""
    table = make(rings(), output)
    crop = open_crop(output, slice(20, 60), slice(20, 60))  # fibres 9, 10, 16 and 17
    labels = crop.labelling.labels.copy()
    labels[:20, :20] = 0
    labels[16:22, 16:22] = 3
    paint(crop, labels)
    entry = write_crop(output, crop)
    assert (entry["gone"], entry["new"], entry["changed"]) == ([9], [43], [])
    assert (entry["rows"], entry["columns"], entry["number"]) == ([20, 60], [20, 60], 1)
    assert entry["pixels"] == 12**2 + 6**2
    assert slide.read_manifest(output)["corrections"] == [entry]
    after = slide.read_table(output)
    same = after[after["fibre_id"] != 43].drop(columns="neighbour_distance_um")
    before = table[table["fibre_id"] != 9].drop(columns="neighbour_distance_um")
    pd.testing.assert_frame_equal(same.reset_index(drop=True), before.reset_index(drop=True))
    np.testing.assert_array_equal(after["neighbour_distance_um"], neighbour_distance(after))


def test_ids_are_never_used_twice(output: Path) -> None:
    """A new fibre does not get the id of one that was taken away."""
    make(rings(2, 3), output)
    crop = open_crop(output, slice(20, 40), slice(40, 60))
    drawn = crop.labelling.labels.copy()
    paint(crop, np.zeros_like(drawn))
    assert write_crop(output, crop)["gone"] == [6]
    paint(crop, drawn)
    assert write_crop(output, crop)["new"] == [7]


def test_fibre_in_parts(output: Path) -> None:
    """Of the parts of a cut axon the largest keeps the id; joined, all have it again."""
    make(rings(2, 3), output)
    crop = open_crop(output, slice(0, 20), slice(0, 20))
    whole = crop.labelling.labels.copy()
    parted = whole.copy()
    parted[9] = 0
    paint(crop, parted)
    entry = write_crop(output, crop)
    assert (entry["changed"], entry["new"], entry["gone"]) == ([1], [7], [])
    assert read(output, "axons")[11, 10] == 1  # three rows below the cut, two above
    paint(crop, whole)
    entry = write_crop(output, crop)
    assert (entry["changed"], entry["new"], entry["gone"]) == ([1], [], [7])


def test_only_touched_tiles(output: Path) -> None:
    """Tiles beside a correction are neither measured again nor written."""
    make(rings(), output)  # 3 × 4 tiles
    before = {path: path.stat().st_mtime_ns for path in sorted((output / "labels").rglob("c/*/*"))}
    told: list[Progress] = []
    crop = open_crop(output, slice(40, 60), slice(80, 100))  # begins where a tile does
    paint(crop, np.zeros((20, 20), np.uint8))
    write_crop(output, crop, tell=told.append)
    assert {progress.stage for progress in told} == {"measure"}
    assert told[-1].new == 1  # the fibre is four pixels from the edge of its tile
    after = {path: path.stat().st_mtime_ns for path in before}
    written = {"/".join(p.parts[-4:]) for p, at in after.items() if at != before[p]}
    assert written == {"0/c/1/2"}
    paint(crop, np.full((20, 20), 2, np.uint8))
    write_crop(output, crop, tell=told.append)
    assert told[-1].new == 4  # neighbours see the first row and column of the tile


def test_coarser_levels(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All levels show the correction."""
    monkeypatch.setattr(omezarr, "SMALLEST_LEVEL", 30)
    make(rings(4, 4), output, tile=50)
    crop = open_crop(output, slice(13, 71), slice(21, 79))
    paint(crop, edit(np.random.default_rng(5), crop.labelling.labels))
    write_crop(output, crop)
    for name in Planes._fields:
        finest, *coarser = omezarr.open_levels(output / "labels" / name)
        assert len(coarser) == 2
        for level, array in enumerate(coarser, start=1):
            np.testing.assert_array_equal(array[:], finest[:: 2**level, :: 2**level])


def stop_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int) -> None:
    """Let a function fail at one of its calls, once."""
    original: Callable[..., Any] = getattr(owner, name)
    calls: Iterator[int] = iter(range(1, 10**6))

    def stopping(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, stopping)


@pytest.mark.parametrize(
    ("owner", "name", "call", "next_call"),
    [
        (slide_plan.omezarr, "open_levels", 1, "open"),
        (slide_plan.omezarr, "open_levels", 2, "measure"),
        (slide_plan.omezarr, "open_levels", 3, "write"),
        (slide_plan, "write_json", 1, "measure"),
        (slide_correct, "write_json", 1, "write"),
        (slide_tiles, "measure_tile", 2, "measure"),
        (slide, "_write_table", 1, "open"),
    ],
)
def test_cut_off(
    output: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int, next_call: str
) -> None:
    """A correction that was cut off is made to its end by whatever is called next."""
    make(rings(3, 3), output)
    crop = open_crop(output, slice(10, 50), slice(10, 50))
    paint(crop, edit(np.random.default_rng(1), crop.labelling.labels))
    painted = crop.labelling.labels.copy()
    with monkeypatch.context() as patch:
        stop_at(patch, owner, name, call)
        with pytest.raises(KeyboardInterrupt):
            write_crop(output, crop)
    assert not (output / slide_tiles.TABLE).exists()  # nobody takes the old one for right
    crop.labelling.close()
    if next_call != "measure":
        crop = open_crop(output, crop.rows, crop.columns)
        np.testing.assert_array_equal(crop.labelling.labels, painted)
    if next_call == "write":
        write_crop(output, crop)
    else:
        slide.measure_slide(output)
    after = planes(output)
    np.testing.assert_array_equal(after.classes[crop.box], painted)
    check_table(output, after, check_numbers(after))
    assert [c["number"] for c in slide.read_manifest(output)["corrections"]] == [1]
    assert not list((output / "run" / "corrections").glob("*.npz"))


def test_written_down_only(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is written down, a correction is nowhere but in its crop."""
    make(rings(3, 3), output)
    before = planes(output)
    crop = open_crop(output, slice(10, 50), slice(10, 50))
    paint(crop, np.zeros((40, 40), np.uint8))
    with monkeypatch.context() as patch:
        stop_at(patch, slide_plan, "write_bytes", 1)
        with pytest.raises(KeyboardInterrupt):
            write_crop(output, crop)
    slide.measure_slide(output)
    for plane, was in zip(planes(output), before, strict=True):
        np.testing.assert_array_equal(plane, was)
    assert not open_crop(output, crop.rows, crop.columns).labelling.labels.any()


def test_nothing_corrected(output: Path) -> None:
    """To write what was not changed is no correction."""
    table = make(rings(3, 3), output)
    crop = open_crop(output, slice(10, 50), slice(10, 50))
    entry = write_crop(output, crop)
    assert (entry["number"], entry["pixels"], entry["changed"]) == (0, 0, [])
    assert "corrections" not in slide.read_manifest(output)
    pd.testing.assert_frame_equal(slide.read_table(output), table)


def test_stale_crop(output: Path) -> None:
    """A crop is not written over what another one has changed; what was painted is kept."""
    make(rings(5, 2), output)
    one, other, apart = (
        open_crop(output, slice(start, start + 40), slice(0, 40)) for start in (0, 20, 60)
    )
    for crop in (one, other, apart):
        painted = crop.labelling.labels.copy()
        painted[20:40] = 0
        paint(crop, painted)
    write_crop(output, one)
    write_crop(output, apart)
    before = planes(output)
    with pytest.raises(ValueError, match="Open the crop anew"):
        write_crop(output, other)
    for plane, was in zip(planes(output), before, strict=True):
        np.testing.assert_array_equal(plane, was)
    kept = other.labelling.labels.copy()
    with pytest.warns(UserWarning, match="is kept as"):
        anew = open_crop(output, other.rows, other.columns)
    np.testing.assert_array_equal(anew.labelling.labels, before.classes[other.box])
    [aside] = (output / "run" / "crops").glob("20-60-0-40.*")
    np.testing.assert_array_equal(read_labels(aside / "labels.png"), kept)
    paint(anew, kept)
    assert write_crop(output, anew)["number"] == 3


def test_follows_the_slide(output: Path) -> None:
    """A crop that nobody has painted shows what others have corrected meanwhile."""
    make(rings(5, 2), output)
    one, other = (open_crop(output, slice(y, y + 40), slice(0, 40)) for y in (0, 20))
    paint(one, np.zeros((40, 40), np.uint8))
    write_crop(output, one)
    again = open_crop(output, other.rows, other.columns)
    assert again.labelling is other.labelling
    np.testing.assert_array_equal(again.labelling.labels, read(output, "classes")[20:60, :40])
    paint(again, np.zeros((40, 40), np.uint8))
    write_crop(output, again)


def test_edits_survive_a_crash(output: Path) -> None:
    """What was painted is there when the same crop is opened again."""
    make(rings(3, 3), output)
    crop = open_crop(output, slice(0, 30), slice(0, 30))
    crop.labelling.apply(Patch(2, 3, np.full((5, 6), 2, np.uint8)))
    folder, painted = crop.labelling.folder, crop.labelling.labels.copy()
    crop.labelling.close()
    assert output in folder.parents
    again = open_crop(output, slice(0, 30), slice(0, 30))
    assert again is not crop
    np.testing.assert_array_equal(again.labelling.labels, painted)


def test_image(output: Path, random_models: list[Path]) -> None:
    """A crop shows the image of the slide with its pixel size; what is blank stays blank."""
    pixels = phantom.nerve((90, 100), pixel_size=0.2, seed=1).micrograph.pixels.copy()
    pixels[:50] = 0
    slide.segment_slide(pixels, output, model=random_models[0], pixel_size=0.2, tile=64)
    blank = read(output, "blank")
    assert blank.any()
    crop = open_crop(output, slice(10, 70), slice(30, 90))
    micrograph = crop.labelling.micrograph
    np.testing.assert_array_equal(micrograph.pixels, pixels[10:70, 30:90])
    assert micrograph.pixel_size == 0.2
    assert "rows 10–70, columns 30–90" in micrograph.name
    paint(crop, np.full((60, 60), 3, np.uint8))
    write_crop(output, crop)
    np.testing.assert_array_equal(read(output, "blank"), blank)


def test_no_image(output: Path) -> None:
    """Where there are labels alone, the widget shows them on plain grey."""
    from axonlab.widgets import LabelWidget

    make(rings(1, 1), output)
    crop = open_crop(output, slice(5, 20), slice(0, 18))
    np.testing.assert_array_equal(crop.labelling.micrograph.pixels, np.full((15, 18), 0.5))
    assert "image/png" in LabelWidget(crop.labelling)._repr_mimebundle_()[0]


def test_segmented_again(output: Path) -> None:
    """A corrected slide stays as it is; another parameter would lose the corrections."""
    labels = rings(3, 3)
    make(labels, output)
    crop = open_crop(output, slice(0, 40), slice(0, 40))
    paint(crop, np.zeros((40, 40), np.uint8))
    entry = write_crop(output, crop)
    before, table = planes(output), slide.read_table(output)
    made = {"model": None, "pixel_size": SIZE, "tile": TILE}
    slide.segment_slide(labels, output, **made)
    for plane, was in zip(planes(output), before, strict=True):
        np.testing.assert_array_equal(plane, was)
    pd.testing.assert_frame_equal(slide.measure_slide(output), table)
    assert slide.read_manifest(output)["corrections"] == [entry]
    with pytest.raises(ValueError, match="corrections by hand, which would be lost"):
        slide.segment_slide(labels, output, **made, min_axon_diameter=1.0)
    with pytest.raises(ValueError, match="was begun with"):
        slide.segment_slide(labels[:-1], output, **made)
    assert slide.read_manifest(output)["corrections"] == [entry]
    crop.labelling.close()
    slide.segment_slide(labels, output, **made, resume=False)
    assert "corrections" not in slide.read_manifest(output)
    assert len(slide.measure_slide(output)) == 9


def test_another_model(output: Path, random_models: list[Path]) -> None:
    """A corrected slide is told from one of another model, be it of a file or not."""
    from axonlab.models import load_model

    pixels = phantom.nerve((90, 100), pixel_size=0.2, seed=1).micrograph.pixels
    loaded = load_model(random_models[0])
    unsaved = type(loaded)(loaded.network, loaded.card, sha256="")
    made = {"pixel_size": 0.2, "tile": 64}
    slide.segment_slide(pixels, output, model=unsaved, **made)
    crop = open_crop(output, slice(0, 40), slice(0, 40))
    paint(crop, np.full((40, 40), 3, np.uint8))
    entry = write_crop(output, crop)
    slide.segment_slide(pixels, output, model=unsaved, **made)
    assert slide.read_manifest(output)["corrections"] == [entry]
    with pytest.raises(ValueError, match="has corrections"):
        slide.segment_slide(pixels, output, model=random_models[1], **made)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (slice(0, 0), slice(0, 9)),
        (slice(0, 9, 2), slice(0, 9)),
        (slice(0, 9), slice(130, 141)),
        (slice(200, 210), slice(0, 9)),
    ],
)
def test_no_crop(output: Path, rows: slice, columns: slice) -> None:
    """What is no part of the slide is refused."""
    make(rings(2, 7), output)
    with pytest.raises(ValueError, match="no part of a slide of shape"):
        open_crop(output, rows, columns)


def test_large_crop(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crop that no browser could paint is refused."""
    monkeypatch.setattr(slide_correct, "MAX_CROP_PIXELS", 99)
    make(rings(1, 1), output)
    with pytest.raises(ValueError, match="Open a smaller crop"):
        open_crop(output, slice(0, 10), slice(0, 10))


def test_unfinished_slide(output: Path) -> None:
    """A slide must be segmented to its end."""

    def tell(progress: Progress) -> None:
        if progress.stage == "fibres":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        slide.segment_slide(rings(), output, model=None, pixel_size=SIZE, tile=TILE, tell=tell)
    for path in (output, output / "nothing"):
        with pytest.raises(FileNotFoundError, match="segmented to its end"):
            open_crop(path, slice(0, 9), slice(0, 9))


def test_wrong_shape(output: Path) -> None:
    """A crop whose labels are not of its place is refused."""
    make(rings(2, 7), output)
    crop = open_crop(output, slice(0, 20), slice(0, 20))
    with pytest.raises(ValueError, match="write a crop as open_crop has opened it"):
        write_crop(output, Crop(slice(0, 21), slice(0, 20), crop.labelling))
    paint(crop, np.zeros((20, 20), np.uint8))
    with pytest.raises(ValueError, match="Choose another folder"):
        write_crop(output, Crop(slice(1, 21), slice(0, 20), crop.labelling))


def test_folder_of_another_crop(output: Path, tmp_path: Path) -> None:
    """A folder belongs to one crop."""
    make(rings(2, 7), output)
    crop = open_crop(output, slice(0, 20), slice(0, 20), folder=tmp_path / "crop")
    assert crop.labelling.folder == tmp_path / "crop"
    with pytest.raises(ValueError, match="rows 0–20, columns 0–20, not of rows 20–40"):
        open_crop(output, slice(20, 40), slice(0, 20), folder=tmp_path / "crop")


def test_absurdly_large(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object without an end is told, and the slide stays as it is."""
    monkeypatch.setattr(slide_correct, "MAX_WINDOW_PIXELS", 2000)
    make(np.full((120, 130), 2, np.uint8), output)
    crop = open_crop(output, slice(50, 60), slice(50, 60))
    paint(crop, np.zeros((10, 10), np.uint8))
    with pytest.raises(ValueError, match="Things of this size are no fibres"):
        write_crop(output, crop)
    assert read(output, "classes").all()
    assert json.loads((crop.labelling.folder / "crop.json").read_text("utf-8"))["classes_sha256"]
