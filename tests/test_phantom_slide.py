"""Phantom slides: the truth beside them is the truth in their pixels, and nothing shows a seam."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from numpy.typing import NDArray
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from scipy.ndimage import maximum_filter

from axonlab import periodic
from axonlab.appearance import APPEARANCES
from axonlab.blank import blank_area
from axonlab.io import read_image
from axonlab.measure import measure_fibres
from axonlab.objects import label_fibres
from axonlab.omezarr import level_shapes, open_levels
from axonlab.phantom import TISSUES, TRACTS, nerve, read_tracts, write_slide
from axonlab.summary import summarise_regions

SHAPE = (1100, 1500)
PIXEL_SIZE = 0.2


class Slide:
    """What there is in the files of a slide."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pixels = open_levels(path)[0][:]
        self.classes, self.axons, self.fibres = (
            open_levels(path / "labels" / name)[0][:] for name in ("classes", "axons", "fibres")
        )
        self.table = pd.read_parquet(path / "tables" / "truth.parquet").set_index("fibre_id")
        self.period = dict(zarr.open_group(path).attrs)["phantom"]["period_px"]

    def counts(self, objects: NDArray[np.int32]) -> pd.Series:
        """Count the pixels of every fibre in the table."""
        ids, counts = np.unique(objects, return_counts=True)
        return pd.Series(counts, ids).reindex(self.table.index, fill_value=0)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    """Return a slide on which the tissue repeats a few times in both directions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(periodic, "PERIOD", 431)
        path = tmp_path_factory.mktemp("slide") / "slide.ome.zarr"
        return Slide(write_slide(path, shape=SHAPE, pixel_size=PIXEL_SIZE, tile=512, seed=4))


@pytest.fixture(scope="module")
def with_blank(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    """Return a small slide with a blank corner, smaller than the period."""
    path = tmp_path_factory.mktemp("blank") / "slide.zarr"
    options: Any = {"shape": (300, 400), "pixel_size": PIXEL_SIZE, "seed": 1}
    return Slide(write_slide(path, has_blank=True, tile=512, **options))


def test_tissue_repeats(slide: Slide) -> None:
    """The slide holds several periods, the same fibres under other ids."""
    rows, columns = slide.period
    assert 2 * rows < SHAPE[0]
    assert 3 * columns < SHAPE[1]
    here, there = slide.fibres[:rows, :columns], slide.fibres[rows : 2 * rows, :columns]
    # The border between two tracts is slanted.
    same = np.s_[:, :300]
    np.testing.assert_array_equal(here[same] > 0, there[same] > 0)
    inside = np.setdiff1d(here[same], here[[0, -1]])
    assert not np.isin(inside[inside > 0], there).any()


@pytest.mark.parametrize("name", ["slide", "with_blank"])
def test_arrays_agree(name: str, request: pytest.FixtureRequest) -> None:
    """Classes, axons, fibres and table tell the same story."""
    slide: Slide = request.getfixturevalue(name)
    classes, axons, fibres = slide.classes, slide.axons, slide.fibres
    assert [array.dtype.name for array in (slide.pixels, classes)] == ["uint8"] * 2
    assert [array.dtype.name for array in (axons, fibres)] == ["int32"] * 2
    np.testing.assert_array_equal(np.unique(fibres[fibres > 0]), np.sort(slide.table.index))
    np.testing.assert_array_equal(axons[axons > 0], fibres[axons > 0])
    np.testing.assert_array_equal(classes, np.select([axons > 0, fibres > 0], [2, 1], 0))


@pytest.mark.parametrize("name", ["slide", "with_blank"])
def test_areas_match_pixels(name: str, request: pytest.FixtureRequest) -> None:
    """Fibres and axons have their true areas in pixels, also where two periods meet."""
    slide: Slide = request.getfixturevalue(name)
    whole = ~slide.table.touches_border
    for objects, column in ((slide.fibres, "fibre"), (slide.axons, "axon")):
        true = slide.table[f"{column}_area_um2"][whole] / PIXEL_SIZE**2
        counted = slide.counts(objects)[whole]
        boundary = 2 * np.sqrt(np.pi * true)
        assert (np.abs(counted - true) <= 1.2 * np.sqrt(boundary) + 1).all()
        assert abs(counted.sum() - true.sum()) < np.sqrt(boundary.sum())


def test_centroids_match_pixels(slide: Slide) -> None:
    """True centroids are those of the pixels, counted from the centre of the slide's first."""
    found = measure_fibres(slide.axons, slide.fibres, pixel_size=PIXEL_SIZE).set_index("fibre_id")
    true = slide.table.loc[found.index]
    np.testing.assert_array_equal(found.touches_border, true.touches_border)
    whole = ~true.touches_border
    for axis in "yx":
        error = found[f"centroid_{axis}_um"] - true[f"centroid_{axis}_um"]
        assert error[whole].abs().max() < 0.5 * PIXEL_SIZE
        assert abs(error[whole].mean()) < 0.05 * PIXEL_SIZE


def test_table_has_the_columns_of_a_phantom(slide: Slide) -> None:
    """The table is that of a phantom, and the tracts."""
    columns = [*nerve((60, 60)).table.columns, "tract"]
    assert [slide.table.index.name, *slide.table.columns] == columns
    assert slide.table.index.is_unique
    assert set(slide.table.tract) == set(TRACTS)


def test_tracts_differ(slide: Slide) -> None:
    """Each tract has the tissue it is named after, and each fibre lies in its tract."""
    table = slide.table.reset_index()
    found = measure_fibres(slide.axons, slide.fibres, pixel_size=PIXEL_SIZE)
    summary = summarise_regions(
        found, slide.classes, read_tracts(slide.path), pixel_size=PIXEL_SIZE
    ).set_index("region")
    means = table[~table.touches_border].groupby("tract")[["axon_diameter_um", "g_ratio"]].mean()
    assert list(summary.index) == list(TRACTS)
    assert (means.loc[list(TRACTS)].diff().dropna() > 0).all(axis=None)
    np.testing.assert_allclose(
        summary.axon_diameter_um, means.axon_diameter_um[summary.index], rtol=0.02
    )


def test_no_fibre_crosses_tracts(slide: Slide) -> None:
    """All pixels of a fibre lie in its tract."""
    y, x = np.nonzero(slide.fibres)
    tract = slide.table.tract[slide.fibres[y, x]].to_numpy()
    for name, corners in read_tracts(slide.path).items():
        (top_left, _), (top_right, _), (bottom_right, bottom), (bottom_left, top) = (
            np.array(corners) / PIXEL_SIZE
        )
        way = (y[tract == name] + 0.5) / (SHAPE[0])
        left = top_left + way * (bottom_left - top_left)
        right = top_right + way * (bottom_right - top_right)
        assert bottom == top == SHAPE[0] - 0.5
        assert (x[tract == name] >= left).all()
        assert (x[tract == name] <= right).all()


def steps(pixels: NDArray[np.uint8], axis: int) -> NDArray[np.float64]:
    """Return the mean size of the step from each row (or column) to the next one."""
    difference = np.abs(np.diff(pixels.astype(float), axis=axis))
    return np.asarray(difference.mean(axis=1 - axis))


@pytest.mark.parametrize("axis", [0, 1])
def test_no_seams(slide: Slide, axis: int) -> None:
    """Steps over the borders of periods, blocks and tiles are as large as elsewhere."""
    found = steps(slide.pixels, axis)
    at = [n - 1 for side in (slide.period[axis], 256) for n in range(side, SHAPE[axis], side)]
    elsewhere = np.delete(found, at)
    assert len(at) > 5
    assert np.abs(found[at] - elsewhere.mean()).max() < 4 * elsewhere.std()
    assert abs(found[at].mean() - elsewhere.mean()) < 3 * elsewhere.std() / np.sqrt(len(at))


def test_noise_does_not_repeat(slide: Slide) -> None:
    """Copies of the same tissue differ by noise, shading and charging."""
    rows, _ = slide.period
    first, second = slide.pixels[:rows, :300], slide.pixels[rows : 2 * rows, :300]
    difference = first.astype(float) - second
    assert 5 < difference.std() < 25
    noise = difference - difference.mean(axis=1, keepdims=True)
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.02


def test_looks_like_a_phantom(slide: Slide) -> None:
    """Each class has the brightness and the spread that it has in a phantom of one field."""
    field = nerve((700, 700), pixel_size=PIXEL_SIZE, seed=4)
    for number in range(3):
        here = slide.pixels[slide.classes == number]
        there = field.micrograph.pixels[field.labels == number]
        assert here.mean() == pytest.approx(there.mean(), abs=7)
        assert here.std() == pytest.approx(there.std(), rel=0.15)


def test_left_out_fibres_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off the fibres a slide without noise is that of a slide without fibres."""
    monkeypatch.setattr(periodic, "PERIOD", 431)
    look = replace(APPEARANCES["sem"], counts=1e9, read_noise=0, stripes=0, shading=0)
    dense = TISSUES["sem"][1]
    drawn = [
        periodic.lay_out(
            (600, 900), [tissue] * 3, look, pixel_size=PIXEL_SIZE, has_blank=True, seed=0
        ).draw(np.s_[0:600, 0:900])
        for tissue in (dense, replace(dense, fibre_fraction=1e-6))
    ]
    (seen, _, fibres), (expected, _, few) = drawn
    off = maximum_filter((fibres > 0) | (few > 0), 11) == 0
    off[[0, -1]] = off[:, [0, -1]] = False  # fibres beyond the edge shine in
    assert len(np.unique(fibres)) > 20 * len(np.unique(few))
    assert off.mean() > 0.06
    assert np.abs(seen[off].astype(int) - expected[off]).max() <= 1


@pytest.mark.parametrize("tile", [100, 1024])
def test_tiles_make_no_difference(with_blank: Slide, tile: int, tmp_path: Path) -> None:
    """A slide is the same to the last bit whatever the tile, and the seed makes another."""
    options: Any = {"shape": (300, 400), "pixel_size": PIXEL_SIZE, "has_blank": True}
    other = Slide(write_slide(tmp_path / "other.zarr", tile=tile, seed=1, **options))
    for name in ("pixels", "classes", "axons", "fibres"):
        np.testing.assert_array_equal(getattr(with_blank, name), getattr(other, name))
    pd.testing.assert_frame_equal(with_blank.table, other.table)


def test_blank_corner(with_blank: Slide) -> None:
    """The corner is exactly 0, found as blank, and cuts no fibre."""
    blank = blank_area(with_blank.pixels.astype(np.float32))
    expected = np.zeros((300, 400), bool)
    expected[300 - 300 // 8 :, 400 - 400 // 8 :] = True
    np.testing.assert_array_equal(blank, expected)
    assert not with_blank.pixels[expected].any()
    assert not with_blank.fibres[expected].any()


def test_fibres_are_found_in_the_classes(slide: Slide) -> None:
    """`label_fibres` gives back most fibres of the truth, one to one."""
    crop = np.s_[300:1000, 200:1200]
    axons, _ = label_fibres(slide.classes[crop], pixel_size=PIXEL_SIZE)
    true = slide.axons[crop]
    pairs = pd.DataFrame({"true": true[axons > 0], "found": axons[axons > 0]}).drop_duplicates()
    once = ~pairs.true.duplicated(keep=False) & ~pairs.found.duplicated(keep=False)
    assert (pairs.true > 0).all()
    assert once.sum() > 0.98 * len(np.unique(true[true > 0]))


def test_other_programs_read_it(slide: Slide) -> None:
    """The reader of ome-zarr finds the image and the labels, in all their levels."""
    nodes = list(Reader(parse_url(slide.path))())
    found = {node.zarr.basename(): node for node in nodes}
    levels = level_shapes(SHAPE)
    assert len(levels) > 1
    for name in ("slide.ome.zarr", "classes", "axons", "fibres"):
        assert [level.shape for level in found[name].data] == levels
    np.testing.assert_array_equal(found["fibres"].data[0].compute(), slide.fibres)
    np.testing.assert_array_equal(found["fibres"].data[1].compute(), slide.fibres[::2, ::2])


def test_read_image(slide: Slide) -> None:
    """`read_image` finds the pixels and their size."""
    image = read_image(slide.path)
    assert image.pixel_size == pytest.approx(PIXEL_SIZE)
    np.testing.assert_array_equal(image.pixels, slide.pixels)


@pytest.mark.parametrize(
    ("modality", "shape", "size"), [("tem", (40, 300), 0.03), ("bright field", (1, 1), None)]
)
def test_other_modalities(
    modality: str, shape: tuple[int, int], size: float | None, tmp_path: Path
) -> None:
    """Slides of every look and any shape can be written; axons without myelin are there in TEM."""
    options: Any = {"modality": modality, "shape": shape, "pixel_size": size}
    slide = Slide(write_slide(tmp_path / "slide.zarr", **options))
    assert slide.pixels.shape == shape
    np.testing.assert_array_equal(
        np.unique(slide.fibres[slide.fibres > 0]), np.sort(slide.table.index)
    )
    bare = slide.table.index[~slide.table.is_myelinated]
    assert (len(bare) > 0) == (modality == "tem")
    np.testing.assert_array_equal(slide.classes == 3, np.isin(slide.fibres, bare))
    assert slide.table.g_ratio[bare].isna().all()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """What is there stays."""
    path = tmp_path / "slide.zarr"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"slide\.zarr is there already"):
        write_slide(path, shape=(50, 50))
    assert path.read_text() == "mine"


def test_interrupted_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slide appears when it is complete, and what a crash left is no obstacle."""
    path = tmp_path / "slide.zarr"
    options: Any = {"shape": (300, 100), "pixel_size": PIXEL_SIZE, "tile": 128}
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if it had been killed
        patch.setattr("axonlab.phantom.write_level", fail)
        patch.setattr("axonlab.omezarr.SMALLEST_LEVEL", 128)
        with pytest.raises(OSError, match="disk is full"):
            write_slide(path, **options)
    assert [found.name for found in tmp_path.iterdir()] == ["slide.zarr.part"]
    with monkeypatch.context() as patch:
        patch.setattr("axonlab.periodic.Layout.draw", fail)
        with pytest.raises(OSError, match="disk is full"):
            write_slide(path, **options)
    assert list(tmp_path.iterdir()) == []
    write_slide(path, **options)
    assert [found.name for found in tmp_path.iterdir()] == ["slide.zarr"]


def fail(*_: object) -> None:
    """Raise as a full disk does."""
    raise OSError("disk is full")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modality": "confocal"}, "modality 'confocal' is unknown, expected one of 'sem'"),
        ({"shape": (0, 5)}, r"shape is \(0, 5\), expected two positive"),
        ({"shape": (5,)}, "expected two positive"),
        ({"pixel_size": 1000}, "outside"),
        ({"pixel_size": 0.5}, "fewer than 5 pixels"),
        ({"pixel_size": 0.01}, r"at most 666\. Take a pixel_size of 0\.0208 µm or more"),
        ({"tile": 0}, "tile is 0, expected"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A bad argument is named with what was expected, and nothing is written."""
    with pytest.raises(ValueError, match=message):
        write_slide(tmp_path / "slide.zarr", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_more_fibres_than_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slide with more fibres than an id can count is refused before anything is written."""
    monkeypatch.setattr(periodic, "PERIOD", 431)
    with pytest.raises(ValueError, match="need more ids than int32"):
        write_slide(tmp_path / "slide.zarr", shape=(2**21, 2**21), pixel_size=PIXEL_SIZE)
    assert list(tmp_path.iterdir()) == []
