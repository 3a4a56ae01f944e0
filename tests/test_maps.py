"""Maps and summaries of slides: against brute force, and against the slide in memory."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from axonlab import maps, phantom
from axonlab.measure import measure_fibres
from axonlab.micrograph import CLASSES
from axonlab.omezarr import create_labels
from axonlab.summary import field_sums, summarise_regions

SHAPE, PIXEL_SIZE = (500, 600), 0.1
TILES = (128, 256, 1024)

Labels = NDArray[np.uint8]
Slide = tuple[pd.DataFrame, Labels, NDArray[np.bool_], dict[int, Path]]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    """Return table, classes and blank area of a slide, and its results in tiles of some sizes."""
    one = phantom.nerve(SHAPE, seed=2, modality="sem", unmyelinated_fraction=0.2)
    blank = np.zeros(SHAPE, bool)
    blank[90:330, 200:430], blank[:50, :40] = True, True
    gone = np.unique(one.fibres[blank])
    fibres, axons, labels = (
        np.where(np.isin(one.fibres, gone), 0, a) for a in (one.fibres, one.axons, one.labels)
    )
    labels[100:110, 210:240] = CLASSES["myelin"]  # what was found where nothing was seen
    table = measure_fibres(axons, fibres, pixel_size=PIXEL_SIZE)
    folder = tmp_path_factory.mktemp("slides")
    return table, labels, blank, {n: write(folder / str(n), table, labels, blank, n) for n in TILES}


def write(path: Path, table: pd.DataFrame, labels: Labels, blank: Any, tile: int) -> Path:
    """Write the results of a slide; its table in two parts, the second one first."""
    for name, plane in (("classes", labels), ("blank", blank)):
        if plane is not None:
            about: Any = {"pixel_size": PIXEL_SIZE, "tile": tile}
            create_labels(path, name, SHAPE, np.uint8, **about)[:] = plane
    parts = path / "tables" / "fibres.parquet"
    parts.mkdir(parents=True)
    half = len(table) // 2
    table[half:].to_parquet(parts / "part-00000.parquet")
    table[:half].to_parquet(parts / "part-00001.parquet")
    return path


# --- maps


def brute_force(table: pd.DataFrame, labels: Labels, blank: Any, cell: float) -> pd.DataFrame:
    """Return the maps, cell by cell and pixel by pixel."""
    edge = np.floor((np.arange(max(SHAPE)) + 0.5) * PIXEL_SIZE / cell)
    rows, columns = np.meshgrid(edge[: SHAPE[0]], edge[: SHAPE[1]], indexing="ij")
    y, x = (
        np.array([edge[round(v / PIXEL_SIZE)] for v in table[f"centroid_{axis}_um"]])
        for axis in "yx"
    )
    found = []
    for row in range(int(rows.max()) + 1):
        for column in range(int(columns.max()) + 1):
            inside = (rows == row) & (columns == column)
            seen = inside & ~blank
            in_frame = seen.copy()
            in_frame[0], in_frame[:, 0] = False, False
            here = table[(y == row) & (x == column) & table["is_myelinated"]]
            whole = here[~here["touches_border"]]
            share = [(labels[seen] == CLASSES[name]).sum() for name in ("axon", "myelin")]
            avf, mvf = np.divide(share, seen.sum()) if seen.any() else (np.nan, np.nan)
            known = seen.sum() * PIXEL_SIZE**2 >= 0.5 * cell**2
            told = known and len(whole) >= 5
            per_mm2 = 1e6 / in_frame.sum() / PIXEL_SIZE**2 if in_frame.any() else np.nan
            found.append(
                {
                    "row": row,
                    "column": column,
                    "centre_y_um": (row + 0.5) * cell - PIXEL_SIZE / 2,
                    "centre_x_um": (column + 0.5) * cell - PIXEL_SIZE / 2,
                    "blank_area_um2": (inside & blank).sum() * PIXEL_SIZE**2,
                    "field_area_um2": seen.sum() * PIXEL_SIZE**2,
                    "n_fibres": len(here),
                    "density_per_mm2": here["in_counting_frame"].sum() * per_mm2 if known else None,
                    "axon_volume_fraction": avf if known else None,
                    "myelin_volume_fraction": mvf if known else None,
                    "aggregate_g_ratio": np.sqrt(1 / (1 + mvf / avf)) if known else None,
                    "g_ratio": whole["g_ratio"].mean() if told else None,
                    "axon_diameter_um": whole["axon_diameter_um"].mean() if told else None,
                }
            )
    return pd.DataFrame(found).astype({"n_fibres": int})


@pytest.mark.parametrize("cell", [7.3, 12.5, 100.0])
def test_maps_by_brute_force(slide: Slide, cell: float) -> None:
    """In memory and in tiles, with what was not seen, and unknown where little was."""
    table, labels, blank, outputs = slide
    wanted = brute_force(table, labels, blank, cell)
    found = maps.fibre_maps(table, labels, pixel_size=PIXEL_SIZE, cell=cell, blank=blank)
    pd.testing.assert_frame_equal(
        found[wanted.columns], wanted.astype(found.dtypes[wanted.columns])
    )
    assert (found["cell_um"] == cell).all()
    if cell < 10:
        assert found["density_per_mm2"].isna().any() and found["g_ratio"].notna().any()
        assert (found["g_ratio"].isna() > found["density_per_mm2"].isna()).any()
    for output in outputs.values():
        pd.testing.assert_frame_equal(maps.map_slide(output, cell=cell), found, check_exact=True)


@given(st.floats(2, 80))
@settings(max_examples=15)
def test_cells_add_up_to_the_field(slide: Slide, cell: float) -> None:
    """Counts, areas and means weighted by what they are of are those of the field."""
    table, labels, _, _ = slide
    whole = field_sums(table, labels, pixel_size=PIXEL_SIZE)
    known: Any = {"min_seen": 0, "min_fibres": 0}
    found = maps.fibre_maps(table, labels, pixel_size=PIXEL_SIZE, cell=cell, **known)
    for name in ("n_fibres", "n_complete", "n_unmyelinated", "field_area_um2"):
        assert found[name].sum() == pytest.approx(whole[name])
    area = found["field_area_um2"]
    assert (found["axon_volume_fraction"] * area).sum() == pytest.approx(whole["axon_area_um2"])
    assert (found["myelin_volume_fraction"] * area).sum() == pytest.approx(whole["myelin_area_um2"])
    sums = (found["g_ratio"] * found["n_complete"]).sum()
    assert sums == pytest.approx(whole["sum_g_ratio"])
    assert found["blank_area_um2"].sum() == 0


def test_one_cell_is_the_field(slide: Slide) -> None:
    """A cell that holds the whole field has its numbers."""
    table, labels, blank, _ = slide
    everywhere = np.ones(SHAPE, int)
    about: Any = {"pixel_size": PIXEL_SIZE, "blank": blank}
    whole = summarise_regions(table, labels, everywhere, **about)
    found = maps.fibre_maps(table, labels, cell=60, **about)
    assert len(found) == 1
    columns = [name for name in whole if name != "region"]
    pd.testing.assert_frame_equal(found[columns], whole[columns], check_exact=True)


def test_maps_of_no_fibres(slide: Slide) -> None:
    """A density of 0 where something was seen, and no means."""
    table, labels, blank, _ = slide
    found = maps.fibre_maps(table[:0], labels, pixel_size=PIXEL_SIZE, cell=10, blank=blank)
    assert set(found["density_per_mm2"].dropna()) == {0.0}
    assert found["density_per_mm2"].isna().any()
    assert found["g_ratio"].isna().all()


def test_bad_maps(slide: Slide) -> None:
    """Cells smaller than pixels, and tables of something else, are refused."""
    table, labels, _, outputs = slide
    with pytest.raises(ValueError, match=r"Cells of 0\.01 µm for pixels of 0\.1 µm"):
        maps.fibre_maps(table, labels, pixel_size=PIXEL_SIZE, cell=0.01)
    with pytest.raises(ValueError, match="Cells of -5 µm"):
        maps.map_slide(outputs[128], cell=-5)
    with pytest.raises(ValueError, match=r"lacks the columns \['g_ratio'\]"):
        maps.fibre_maps(table.drop(columns="g_ratio"), labels, pixel_size=PIXEL_SIZE, cell=9)
    with pytest.raises(ValueError, match=r"blank of shape \(9, 9\)"):
        blank = np.zeros((9, 9), bool)
        maps.fibre_maps(table, labels, pixel_size=PIXEL_SIZE, cell=9, blank=blank)
    with pytest.raises(ValueError, match="of the same image"):
        maps.fibre_maps(table, labels[:99], pixel_size=PIXEL_SIZE, cell=9)


# --- summaries of a slide


@st.composite
def strips(draw: st.DrawFn) -> dict[str, Any]:
    """Return polygons side by side: some share a side, some reach out of the slide."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, corners = draw(st.integers(2, 5)), draw(st.integers(2, 12))
    y = np.linspace(-3, 55, corners)
    x = np.sort(rng.uniform(-5, 65, (n, corners)), axis=0)
    x[:, 0] = np.linspace(5, 50, n)
    sides = [np.stack([side, y], axis=1) for side in x]
    return {f"strip {i}": np.r_[a, b[::-1]] for i, (a, b) in enumerate(pairwise(sides))}


@given(strips(), st.sampled_from(TILES))
@settings(max_examples=25)
def test_polygons_in_tiles_are_those_in_memory(slide: Slide, polygons: Any, tile: int) -> None:
    """The summaries are the same to the last bit, whatever the tiles."""
    table, labels, blank, outputs = slide
    about: Any = {"pixel_size": PIXEL_SIZE, "blank": blank}
    wanted = summarise_regions(table, labels, polygons, **about)
    found = maps.summarise_slide(outputs[tile], polygons)
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


@given(
    st.sampled_from([1, 2, 4, 8, 100]),
    st.integers(1, 5),
    st.integers(0, 99),
    st.sampled_from(TILES),
)
@settings(max_examples=20)
def test_masks_in_tiles_are_those_in_memory(
    slide: Slide, step: int, n: int, seed: int, tile: int
) -> None:
    """A mask of a coarser level is the same mask drawn on the whole slide."""
    table, labels, blank, outputs = slide
    coarse = np.random.default_rng(seed).integers(0, n + 1, [-(-side // step) for side in SHAPE])
    coarse.flat[0] = 1
    fine = np.kron(coarse, np.ones((step, step), int))[: SHAPE[0], : SHAPE[1]]
    wanted = summarise_regions(table, labels, fine, pixel_size=PIXEL_SIZE, blank=blank)
    found = maps.summarise_slide(outputs[tile], coarse)
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    names = {int(i): f"tract {i}" for i in wanted["region"]}
    named = maps.summarise_slide(outputs[tile], coarse, names=names)
    assert named["region"].tolist() == list(names.values())


@pytest.mark.parametrize("tile", TILES)
def test_the_whole_slide(slide: Slide, tile: int) -> None:
    """Without regions the slide is one, and what was not seen is no area of it."""
    table, labels, blank, outputs = slide
    about: Any = {"pixel_size": PIXEL_SIZE, "blank": blank}
    wanted = summarise_regions(table, labels, np.ones(SHAPE, int), **about)
    found = maps.summarise_slide(outputs[tile])
    assert found["region"].tolist() == ["whole"]
    columns = [name for name in wanted if name != "region"]
    pd.testing.assert_frame_equal(found[columns], wanted[columns], check_exact=True)
    row = found.iloc[0]
    assert row["blank_area_um2"] == pytest.approx(blank.sum() * PIXEL_SIZE**2)
    assert row["field_area_um2"] == pytest.approx((~blank).sum() * PIXEL_SIZE**2)
    myelin = (labels[~blank] == CLASSES["myelin"]).mean()
    assert row["myelin_volume_fraction"] == pytest.approx(myelin)


def test_a_slide_seen_all_over(slide: Slide, tmp_path: Path) -> None:
    """Where there is no image of the blank area, there is none."""
    table, labels, _, _ = slide
    output = write(tmp_path / "seen", table, labels, None, 256)
    wanted = summarise_regions(table, labels, np.ones(SHAPE, int), pixel_size=PIXEL_SIZE)
    found = maps.summarise_slide(output, np.ones((5, 6), np.uint8))
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def test_on_a_cluster(slide: Slide) -> None:
    """Workers give what this process gives."""
    distributed = pytest.importorskip("distributed")
    _, _, _, outputs = slide
    polygons = {"a": [(0, 0), (60, 0), (0, 50)], "b": [(60, 0), (60, 50), (0, 50)]}
    with distributed.Client(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as client:
        summary = maps.summarise_slide(outputs[128], polygons, client=client)
        found = maps.map_slide(outputs[128], cell=9, client=client)
    wanted = maps.summarise_slide(outputs[128], polygons)
    pd.testing.assert_frame_equal(summary, wanted, check_exact=True)
    pd.testing.assert_frame_equal(found, maps.map_slide(outputs[128], cell=9), check_exact=True)


BOX = [(5, 5), (15, 5), (15, 15), (5, 15)]


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        (np.ones((30, 30), int), r"do not fit a field of \(500, 600\)"),
        ({"a": BOX, "b": np.add(BOX, 4)}, "'a' and 'b' overlap"),
        ({"a": np.add(BOX, 70)}, "'a' holds no pixel of a field that is 60 µm wide and 50"),
        ({"a": [(5.02, 5.02), (5.04, 5.02), (5.04, 5.04)]}, "'a' holds no pixel"),
    ],
)
def test_bad_regions_of_a_slide(slide: Slide, regions: Any, message: str) -> None:
    """Regions that overlap, lie outside, hold nothing or are of another slide are refused."""
    with pytest.raises(ValueError, match=message):
        maps.summarise_slide(slide[-1][128], regions)


def test_slides_without_results(slide: Slide, tmp_path: Path) -> None:
    """What is missing is named, with the step that makes it."""
    table, labels, blank, _ = slide
    with pytest.raises(FileNotFoundError, match="segment the slide first"):
        maps.summarise_slide(tmp_path / "nothing")
    output = write(tmp_path / "short", table.drop(columns="g_ratio"), labels, blank, 256)
    with pytest.raises(ValueError, match=r"lacks the columns \['g_ratio'\].*part-00000"):
        maps.summarise_slide(output)
    for part in (output / "tables" / "fibres.parquet").iterdir():
        part.unlink()
    with pytest.raises(FileNotFoundError, match="measure the slide first"):
        maps.summarise_slide(output)


# --- tracts


def test_tracts_stand_beside_the_literature(slide: Slide) -> None:
    """One column per region, numbers unchanged, and every citation is one of those on record."""
    summary = maps.summarise_slide(slide[-1][256], {"left": BOX, "right": np.add(BOX, 25)})
    table = maps.tract_table(summary)
    assert list(table) == ["left", "right", "literature", "citation"]
    assert table["right"].tolist() == summary.loc[1, list(maps.QUANTITIES)].tolist()
    row = table.loc["mean g-ratio, by area"]
    for text in ("0.6 to 0.8 usual", "PNS, 0.60 (Rushton 1951)", "CNS, 0.77 (Chomiak & Hu 2009)"):
        assert text in row["literature"]
    assert "doi:10.1371/journal.pone.0007754" in row["citation"]
    diameter = table.loc["mean axon diameter (µm)", "citation"]
    assert diameter.startswith("Saliani et al. 2017, Front Neuroanat 11:129")
    assert table.loc["myelin volume fraction (MVF)", ["literature", "citation"]].tolist() == [
        "",
        "",
    ]


def test_bad_tract_tables(slide: Slide) -> None:
    """A table of something else, and regions of one name, are refused."""
    summary = maps.summarise_slide(slide[-1][1024])
    with pytest.raises(ValueError, match=r"lacks the columns \['n_complete'\]"):
        maps.tract_table(summary.drop(columns="n_complete"))
    with pytest.raises(ValueError, match=r"Regions \['whole'\] are there twice"):
        maps.tract_table(pd.concat([summary, summary]))
