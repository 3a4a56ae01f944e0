"""Summaries of a field: fractions, densities and distributions against what was drawn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from axonlab import phantom
from axonlab.measure import measure_fibres, summarise
from axonlab.micrograph import CLASSES
from axonlab.objects import label_fibres
from axonlab.summary import SUMS, field_sums, region_sums, summarise_regions

Mask = NDArray[np.bool_]
Draw = Callable[[tuple[int, int], tuple[float, float], float], Mask]


def values(summary: pd.DataFrame) -> dict[str, float]:
    """Return the values by quantity."""
    return dict(zip(summary["quantity"], summary["value"], strict=True))


def test_summary(disc: Draw) -> None:
    """Fractions rest on classes, distributions on complete fibres, and what is lost is told."""
    shape = (100, 200)
    labels = np.zeros(shape, np.uint8)
    for x, outer, inner in ((30, 20, 12), (80, 15, 10), (130, 12, 9), (200, 18, 12)):
        labels[disc(shape, (50, x), outer)] = CLASSES["myelin"]
        labels[disc(shape, (50, x), inner)] = CLASSES["axon"]
    labels[5:8, 5:8] = CLASSES["unmyelinated axon"]
    labels[90:95, 50:60] = CLASSES["myelin"]  # that lost its axon
    labels[20, 20] = CLASSES["axon"]  # a speck
    axons, fibres = label_fibres(labels, pixel_size=0.1, min_axon_diameter=0.2)
    table = measure_fibres(axons, fibres, pixel_size=0.1)
    summary = summarise(table, labels, pixel_size=0.1)
    found, n = values(summary), dict(zip(summary["quantity"], summary["n"], strict=True))
    assert found["field area"] == pytest.approx(200)
    assert found["myelinated fibres"] == 4
    assert found["of these touching the border"] == 1
    assert found["axons without myelin"] == 1
    assert found["myelin area in no fibre"] == pytest.approx(0.5)
    assert found["axon area in no fibre"] == pytest.approx(0.01)
    frame_mm2 = (shape[0] - 1) * (shape[1] - 1) * 0.1**2 / 1e6
    assert found["density of myelinated fibres, counting frame"] == pytest.approx(4 / frame_mm2)
    avf = (labels == CLASSES["axon"]).mean()
    mvf = (labels == CLASSES["myelin"]).mean()
    bare = (labels == CLASSES["unmyelinated axon"]).mean()
    assert found["axon volume fraction (AVF)"] == pytest.approx(avf)
    assert found["myelin volume fraction (MVF)"] == pytest.approx(mvf)
    assert found["unmyelinated axon volume fraction"] == pytest.approx(bare)
    assert found["aggregate g-ratio"] == pytest.approx(np.sqrt(1 / (1 + mvf / avf)))
    complete = table[table["is_myelinated"] & ~table["touches_border"]]
    row = summary.set_index("quantity").loc["g-ratio by area"]
    assert row["n"] == len(complete) == n["axon diameter"] == 3
    assert row["value"] == pytest.approx(complete["g_ratio"].mean())
    assert row["sd"] == pytest.approx(complete["g_ratio"].std(ddof=1))
    assert row["median"] == pytest.approx(complete["g_ratio"].median())
    assert row["q25"] == pytest.approx(np.quantile(complete["g_ratio"], 0.25))
    assert row["q75"] == pytest.approx(np.quantile(complete["g_ratio"], 0.75))


@pytest.mark.parametrize("n", [0, 1])
def test_summary_of_few_fibres(n: int) -> None:
    """None or one fibre give NaN where there is nothing to tell, and no warning."""
    labels = np.zeros((9, 9), np.uint8)
    labels[2:7, 2:7] = n * CLASSES["myelin"]
    labels[3:6, 3:6] = n * CLASSES["axon"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = measure_fibres(*label_fibres(labels, pixel_size=1), pixel_size=1)
        summary = summarise(table, labels, pixel_size=1)
    found = values(summary)
    assert found["myelinated fibres"] == n
    assert found["axon volume fraction (AVF)"] == pytest.approx(n * 9 / 81)
    assert found["aggregate g-ratio"] == pytest.approx(0.6 if n else np.nan, nan_ok=True)
    assert np.isnan(found["g-ratio by area"]) == (n == 0)
    assert summary["sd"].isna().all()


def test_the_counting_frame_is_unbiased(disc: Draw) -> None:
    """Over many small fields the frame gives the density of the plane; other rules do not."""
    rng, side, n_fields = np.random.default_rng(2), 200, 8
    whole = side * n_fields
    plane = np.zeros((whole, whole), np.uint8)
    n = 0
    for _ in range(4000):
        radius = rng.uniform(7, 20)
        y, x = rng.integers(22, whole - 22, 2)
        patch = plane[y - 21 : y + 22, x - 21 : x + 22]
        room = disc((43, 43), (21, 21), radius + 1)
        if not patch[room].any():
            n += 1
            patch[disc((43, 43), (21, 21), radius)] = CLASSES["myelin"]
            patch[disc((43, 43), (21, 21), 0.6 * radius)] = CLASSES["axon"]
    counts = {"in the frame": 0.0, "all": 0, "complete": 0}
    for top, left in product(range(0, whole, side), repeat=2):
        labels = plane[top : top + side, left : left + side]
        table = measure_fibres(*label_fibres(labels, pixel_size=0.1), pixel_size=0.1)
        summary = values(summarise(table, labels, pixel_size=0.1))
        density = summary["density of myelinated fibres, counting frame"]
        counts["in the frame"] += density * (side / 1e4) ** 2
        counts["all"] += len(table)
        counts["complete"] += int((~table["touches_border"]).sum())
    # the fields tile the plane and no disc reaches over its edge: ideally each counts once
    assert counts["in the frame"] == pytest.approx(n, rel=0.015)
    assert counts["all"] > 1.08 * n
    assert counts["complete"] < 0.85 * n


def test_densities_beside_the_frame(disc: Draw) -> None:
    """The naive densities stand beside that of the frame, one above and one below it."""
    labels = np.zeros((100, 200), np.uint8)
    for y, x in ((50, 2), (50, 60), (50, 120), (50, 197)):
        labels[disc(labels.shape, (y, x), 15)] = CLASSES["myelin"]
        labels[disc(labels.shape, (y, x), 9)] = CLASSES["axon"]
    table = measure_fibres(*label_fibres(labels, pixel_size=1), pixel_size=1)
    found = values(summarise(table, labels, pixel_size=1))
    assert found["density of myelinated fibres, counting frame"] == pytest.approx(3e6 / 99 / 199)
    assert found["density of all myelinated fibres, too high"] == pytest.approx(4e6 / 20_000)
    assert found["density of complete myelinated fibres, too low"] == pytest.approx(2e6 / 20_000)


# --- regions


@pytest.fixture(scope="module")
def field() -> tuple[pd.DataFrame, NDArray[np.uint8], float]:
    """Return fibres, labels and pixel size of a phantom."""
    one = phantom.nerve((500, 600), seed=2)
    size = one.micrograph.pixel_size
    return measure_fibres(one.axons, one.fibres, pixel_size=size), one.labels, size


Field = tuple[pd.DataFrame, NDArray[np.uint8], float]


def test_one_region_is_the_field(field: Field) -> None:
    """A region that is the whole field has the numbers of the field."""
    fibres, labels, size = field
    found = summarise_regions(fibres, labels, np.full(labels.shape, 9), pixel_size=size)
    whole = values(summarise(fibres, labels, pixel_size=size))
    assert found["region"].tolist() == [9]
    for column, quantity in (
        ("density_per_mm2", "density of myelinated fibres, counting frame"),
        ("density_all_per_mm2", "density of all myelinated fibres, too high"),
        ("unmyelinated_density_per_mm2", "density of axons without myelin, counting frame"),
        ("axon_volume_fraction", "axon volume fraction (AVF)"),
        ("aggregate_g_ratio", "aggregate g-ratio"),
        ("g_ratio", "g-ratio by area"),
        ("myelin_thickness_um", "myelin thickness"),
    ):
        assert found.loc[0, column] == pytest.approx(whole[quantity])


def test_regions_add_up_to_the_field(field: Field) -> None:
    """Every pixel and every fibre is in one region: their sums are those of the field."""
    fibres, labels, size = field
    rng = np.random.default_rng(0)
    regions = np.kron(rng.permutation([3, 5, 10**9, 7]).reshape(2, 2), np.ones((250, 300), int))
    parts = region_sums(fibres, labels, regions, pixel_size=size)
    assert parts["region"].tolist() == [3, 5, 7, 10**9]
    assert parts[SUMS].sum().to_dict() == pytest.approx(field_sums(fibres, labels, pixel_size=size))


def test_polygons(field: Field) -> None:
    """Polygons in µm hold what a mask of the same pixels holds; what is in none is left out."""
    fibres, labels, size = field
    regions = np.zeros(labels.shape, int)
    regions[100:400, 50:200], regions[100:400, 300:550] = 1, 2
    edges = {"left": (50, 200), "right": (300, 550)}
    polygons = {
        name: (np.array([(a, 100), (b, 100), (b, 400), (a, 400)]) - 0.5) * size
        for name, (a, b) in edges.items()
    }
    drawn = summarise_regions(fibres, labels, polygons, pixel_size=size)
    masked = summarise_regions(fibres, labels, regions, pixel_size=size)
    assert drawn["region"].tolist() == ["left", "right"]
    pd.testing.assert_frame_equal(drawn.drop(columns="region"), masked.drop(columns="region"))
    assert drawn["n_fibres"].sum() < fibres["is_myelinated"].sum()


def test_a_region_without_fibres(field: Field) -> None:
    """A region may be empty of fibres: it has a density of 0, and no mean."""
    fibres, labels, size = field
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = summarise_regions(fibres[:0], labels, np.ones_like(labels), pixel_size=size)
    assert found.loc[0, "density_per_mm2"] == 0
    assert np.isnan(found.loc[0, "g_ratio"])


SQUARE = [(0, 0), (9, 0), (9, 9), (0, 9)]


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        (np.ones((3, 3), int), r"shape \(3, 3\)"),
        (-np.ones((500, 600), int), "from -1"),
        (np.ones((500, 600)), "float64"),
        ({"a": SQUARE, "b": SQUARE}, "'a' and 'b' overlap"),
        ({"a": [(1e6, 1e6), (1e6, 2e6), (2e6, 2e6)]}, "'a' holds no pixel"),
    ],
)
def test_bad_regions(field: Field, regions: Any, message: str) -> None:
    """Regions of another image, overlapping ones and empty ones are refused."""
    fibres, labels, size = field
    with pytest.raises(ValueError, match=message):
        summarise_regions(fibres, labels, regions, pixel_size=size)


def test_bad_tables(field: Field) -> None:
    """A table without its columns, of several images or of another one is refused."""
    fibres, labels, size = field
    with pytest.raises(ValueError, match=r"lacks the columns \['g_ratio'\].*measure_fibres"):
        summarise(fibres.drop(columns="g_ratio"), labels, pixel_size=size)
    with pytest.raises(ValueError, match=r"fibres twice \(ids \[1"):
        summarise(pd.concat([fibres, fibres]), labels, pixel_size=size)
    with pytest.raises(ValueError, match="take table and labels of the same image"):
        summarise(fibres, labels[:50, :50], pixel_size=size)
    for bad in (np.nan, -1, 0):
        with pytest.raises(ValueError, match="outside"):
            summarise(fibres, labels, pixel_size=bad)
