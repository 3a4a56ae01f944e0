"""Agreement of measurements of the same fibres: which belong together, and how they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from axonlab import phantom, samples
from axonlab.agreement import (
    MEASURES,
    agreement_by_bin,
    bland_altman,
    compare,
    compare_definitions,
    compare_summaries,
    join,
    match_by_overlap,
    match_by_position,
)
from axonlab.measure import measure_fibres, summarise
from axonlab.objects import label_fibres


def at(*places: tuple[float, float], first: int = 1) -> pd.DataFrame:
    """Return a table of fibres at these places (y, x)."""
    y, x = np.array(places, float).reshape(-1, 2).T
    ids = np.arange(first, first + len(places))
    return pd.DataFrame({"fibre_id": ids, "centroid_y_um": y, "centroid_x_um": x})


def ids(pairs: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the pairs as tuples."""
    return list(zip(pairs["fibre_id"], pairs["other_id"], strict=True))


# --- which fibres belong together


def test_nearest_fibres_are_pairs() -> None:
    """Every fibre finds the one beside it, whatever the order of the other table."""
    pairs = match_by_position(
        at((0, 0), (0, 10), (10, 0)), at((10, 1), (0, 0.5), (0, 10), first=11), max_distance_um=2
    )
    assert ids(pairs) == [(1, 12), (2, 13), (3, 11)]
    assert pairs["distance_um"].tolist() == [0.5, 0, 1]


def test_a_missing_partner_is_not_replaced() -> None:
    """A fibre whose partner is missing stays alone: its neighbour's pair is not given away."""
    pairs = match_by_position(at((0, 0), (0, 3)), at((0, 2.8)), max_distance_um=5)
    assert ids(pairs) == [(2, 1)]


def test_what_is_too_far_is_no_pair() -> None:
    """Mutual nearest neighbours are no pair beyond the distance, and are one at it."""
    ours, manual = at((0, 0), (0, 50)), at((0, 1), (0, 60))
    assert ids(match_by_position(ours, manual, max_distance_um=1)) == [(1, 1)]


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40))
def test_mutual_neighbours_by_brute_force(seed: int, n: int, m: int) -> None:
    """Pairs are those whose distance is least in its row and its column."""
    rng = np.random.default_rng(seed)
    one, other = rng.uniform(0, 10, (n, 2)), rng.uniform(0, 10, (m, 2))
    distance = cdist(one, other)
    is_least = (distance == distance.min(1, keepdims=True)) & (distance == distance.min(0))
    pairs = match_by_position(at(*one), at(*other), max_distance_um=100)
    assert ids(pairs) == [(i + 1, j + 1) for i, j in np.argwhere(is_least)]
    back = match_by_position(at(*other), at(*one), max_distance_um=100)
    assert sorted(ids(pairs)) == sorted((b, a) for a, b in ids(back))


def test_fibres_without_a_position_are_left_out() -> None:
    """NaN in either coordinate is no position; without any fibre there is no pair."""
    ours = at((np.nan, 0), (5, 5), (0, np.nan))
    assert ids(match_by_position(ours, at((0, 0), (5, 5)), max_distance_um=1)) == [(2, 2)]
    assert match_by_position(at(), ours, max_distance_um=1).empty
    assert list(match_by_position(at(), at(), max_distance_um=1)) == [
        "fibre_id",
        "other_id",
        "distance_um",
    ]


def test_positions_in_pixels_are_noticed() -> None:
    """Where nothing at all matches, the message shows the fields of both."""
    with pytest.raises(ValueError, match=r"spans y 1–2 and x 1–2 µm.* y 100–200 and .*right way"):
        match_by_position(at((1, 1), (2, 2)), at((100, 100), (200, 200)), max_distance_um=1)


def test_position_and_overlap_agree() -> None:
    """Fibres of a phantom and of its shifted copy are paired alike by both."""
    nerve = phantom.nerve((300, 400), modality="sem", seed=5)
    size = nerve.micrograph.pixel_size
    shuffled = np.random.default_rng(0).permutation(nerve.fibres.max()) + 1
    new_ids = np.append(0, shuffled).astype(np.int32)
    fibres, axons = (np.roll(new_ids[o], 1, 1) for o in (nerve.fibres, nerve.axons))
    fibres[:, 0] = axons[:, 0] = 0
    ours = measure_fibres(nerve.axons, nerve.fibres, pixel_size=size)
    other = measure_fibres(axons, fibres, pixel_size=size)
    by_overlap = match_by_overlap(nerve.fibres, fibres)
    by_position = match_by_position(ours, other, max_distance_um=0.5)
    assert len(by_overlap) > 0.9 * len(ours)
    assert set(ids(by_overlap)) <= set(ids(by_position))
    assert (by_overlap["other_id"] == new_ids[by_overlap["fibre_id"]]).all()
    joined = join(ours, other, by_overlap)
    inside = ~joined["touches_border"] & ~joined["touches_border_other"]
    assert joined.loc[inside, "g_ratio"].equals(joined.loc[inside, "g_ratio_other"])


# --- measurements side by side


def measured(n: int = 200, seed: int = 0) -> pd.DataFrame:
    """Return pairs of fibres: the first table reads 0.1 µm more and scatters by 0.05 µm."""
    rng = np.random.default_rng(seed)
    axon, sheath = rng.uniform(1, 5, n), rng.uniform(0.3, 1, n)
    tables = []
    for offset in (0.1, 0.0):
        inner = axon + offset + rng.normal(0, 0.05, n)
        outer = inner + 2 * sheath
        tables.append(
            pd.DataFrame(
                {
                    "fibre_id": np.arange(n),
                    "axon_diameter_um": inner,
                    "fibre_diameter_um": outer,
                    "myelin_thickness_um": sheath + rng.normal(0, 0.01, n),
                    "g_ratio": inner / outer,
                }
            )
        )
    pairs = pd.DataFrame({"fibre_id": range(n), "other_id": range(n), "iou": 1.0})
    return join(*tables, pairs)


def test_join_puts_columns_side_by_side() -> None:
    """Rows follow the pairs; columns of the other table end in _other, nearness comes last."""
    pairs = pd.DataFrame({"fibre_id": [2, 1], "other_id": [7, 9], "distance_um": [0.5, 0.1]})
    ours = pd.DataFrame({"fibre_id": [1, 2, 3], "g_ratio": [0.1, 0.2, 0.3]})
    manual = pd.DataFrame({"fibre_id": [9, 7], "g_ratio": [0.9, 0.7]})
    joined = join(ours, manual, pairs)
    assert joined.to_dict("list") == {
        "fibre_id": [2, 1],
        "g_ratio": [0.2, 0.1],
        "fibre_id_other": [7, 9],
        "g_ratio_other": [0.7, 0.9],
        "distance_um": [0.5, 0.1],
    }


def test_comparison_tells_the_offset() -> None:
    """The offset that was put in comes out, in µm and per cent, with slope 1."""
    table = compare(measured())
    row = table.loc["axon_diameter_um"]
    assert row["bias"] == pytest.approx(0.1, abs=0.01)
    assert row["bias_low"] < row["bias"] < row["bias_high"]
    assert row["bias_percent"] == pytest.approx(100 * row["bias"] / row["mean_other"])
    assert row["mean"] - row["mean_other"] == pytest.approx(row["bias"])
    assert row["slope"] == pytest.approx(1, abs=0.02)
    assert row["intercept"] == pytest.approx(0.1, abs=0.05)
    assert row["icc_low"] < row["icc"] < row["icc_high"]
    assert abs(table.loc["myelin_thickness_um", "bias"]) < 0.003
    assert list(table.index) == list(MEASURES)
    assert (table["n"] == 200).all()
    assert table["n"].dtype == int


def test_unmyelinated_axons_do_not_count_for_g() -> None:
    """A g missing on one side leaves that pair out of g, and of nothing else."""
    joined = measured()
    joined.loc[:49, "g_ratio_other"] = np.nan
    assert compare(joined)["n"].to_dict() == dict.fromkeys(MEASURES, 200) | {"g_ratio": 150}


def test_bins_add_up() -> None:
    """Each bin is what one gets from its fibres alone; a fibre on an edge is in the upper bin."""
    joined = measured()
    a, b = joined["axon_diameter_um"], joined["axon_diameter_um_other"]
    table = agreement_by_bin(a, b, (a + b) / 2, edges=[0, 2, 4, 8, 20])
    assert table["n"].sum() == 200
    chosen = ((a + b) / 2 >= 2) & ((a + b) / 2 < 4)
    expected = bland_altman(a[chosen], b[chosen])
    row = table.iloc[1]
    assert row[["n", "bias", "sd", "lower", "upper"]].to_numpy() == pytest.approx(
        expected[["n", "bias", "sd", "lower", "upper"]].to_numpy()
    )
    assert table.iloc[3].drop("n").isna().all()
    assert agreement_by_bin([1], [1], [2], edges=[1, 2, 3])["n"].tolist() == [0, 1]


def test_the_definition_that_was_measured_by_hand_agrees_best() -> None:
    """A person who measures the short axis agrees with the short axis, not with the circle."""
    rng = np.random.default_rng(6)
    short = rng.uniform(1, 4, 80)
    long = short * rng.uniform(1, 2.5, 80)
    joined = pd.DataFrame(
        {
            "axon_diameter_um": np.sqrt(short * long),
            "axon_minor_axis_um": short,
            "axon_major_axis_um": long,
            "axon_line_um_other": short + rng.normal(0, 0.1, 80),
        }
    )
    columns = list(joined)[:3]
    joined.loc[0, "axon_major_axis_um"] = np.nan
    table = compare_definitions(joined, "axon_line_um_other", columns=columns)
    assert list(table.index) == ["axon_minor_axis_um", "axon_diameter_um", "axon_major_axis_um"]
    assert (table["n"] == 79).all()
    assert table["rms"].is_monotonic_increasing
    mean_square = table["bias"] ** 2 + table["sd"] ** 2 * 78 / 79
    assert table["rms"].to_numpy() == pytest.approx(np.sqrt(mean_square))


def test_summaries_differ_by_what_only_one_saw() -> None:
    """Two fields are compared quantity by quantity; nothing is divided by 0."""
    ours = pd.DataFrame({"quantity": ["g", "density", "x"], "unit": "", "value": [0.6, 12, 1]})
    manual = pd.DataFrame({"quantity": ["density", "g"], "unit": "", "value": [10, 0.0], "n": 1})
    table = compare_summaries(ours, manual).set_index("quantity")
    assert list(table.index) == ["g", "density"]
    assert table["difference"].tolist() == [0.6, 2]
    assert table.loc["density", "difference_percent"] == pytest.approx(20)
    assert np.isnan(table.loc["g", "difference_percent"])


# --- a real micrograph: the model against its manual masks


Field = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def rat8(data_folder: Path, one_thread: None) -> Field:
    """Return the matched complete fibres of sub-rat8, and how the summaries of the field differ.

    The model was trained without this animal, but it was watched while it was trained.
    """
    from axonlab.segment import segment

    micrograph, truth = samples.load("rat-sem"), samples.load_labels("rat-sem")
    images, tables, summaries = [], [], []
    for labels in (segment(micrograph, "sem").labels, truth):
        axons, fibres = label_fibres(
            labels, pixel_size=micrograph.pixel_size, min_axon_diameter=0.3
        )
        images.append(fibres)
        tables.append(measure_fibres(axons, fibres, pixel_size=micrograph.pixel_size))
        summaries.append(summarise(tables[-1], labels, pixel_size=micrograph.pixel_size))
    joined = join(*tables, match_by_overlap(*images))
    complete = ~joined["touches_border"] & ~joined["touches_border_other"]
    return joined[complete], compare_summaries(*summaries)


def test_matched_fibres_of_rat8_agree(rat8: Field) -> None:
    """Diameters and thickness of the same fibres are within 9.5 %, and g within 0.01 on average.

    9.5 % is what Moiseev, Hu & Li 2019 (PMC6420354) found for diameter and thickness.
    """
    table = compare(rat8[0])
    assert (table["n"] > 180).all()
    assert (table["bias_percent"].abs() < 5).all()
    assert abs(table.loc["g_ratio", "bias"]) < 0.01
    assert (table.loc[["axon_diameter_um", "fibre_diameter_um"], "icc_low"] > 0.98).all()
    assert table.loc["myelin_thickness_um", "icc_low"] > 0.9


def test_fibres_without_a_partner_move_the_field(rat8: Field) -> None:
    """What only one of them saw differs more than what both measured, density most of all."""
    joined, summaries = rat8
    table = summaries.set_index("quantity")["difference_percent"].abs()
    density = table["density of myelinated fibres, counting frame"]
    assert compare(joined)["bias_percent"].abs().max() < density < 25
    assert table["axon diameter"] < 9.5
    assert table["myelin thickness"] < 9.5
    assert table["aggregate g-ratio"] < 3


# --- what cannot be compared


SAME_ID = at((0, 0), (1, 1)).assign(fibre_id=4)
ERRORS: dict[str, tuple[Any, str]] = {
    "distance 0": (
        lambda: match_by_position(at((0, 0)), at((0, 0)), max_distance_um=0),
        "max_distance_um is 0",
    ),
    "distance NaN": (
        lambda: match_by_position(at((0, 0)), at((0, 0)), max_distance_um=np.nan),
        "max_distance_um is nan",
    ),
    "no position": (
        lambda: match_by_position(at((0, 0)), at((0, 0))[["fibre_id"]], max_distance_um=1),
        "other: no column centroid_y_um, centroid_x_um; there are fibre_id",
    ),
    "one id twice": (
        lambda: match_by_position(SAME_ID, at((0, 0)), max_distance_um=1),
        r"table: the ids \[4\]",
    ),
    "other shapes": (
        lambda: match_by_overlap(np.zeros((2, 3), np.int32), np.zeros((3, 2), np.int32)),
        r"\(2, 3\)",
    ),
    "no pair": (lambda: compare(measured().iloc[:0]), "axon_diameter_um: 0 of 0 fibres"),
    "two pairs": (lambda: compare(measured().iloc[:2]), "2 of 2 fibres have all"),
    "no such column": (lambda: compare(measured(), ["axon_area_um2"]), "no column axon_area_um2"),
    "no such reference": (
        lambda: compare_definitions(measured(), "by_hand", columns=["g_ratio"]),
        "no column by_hand",
    ),
    "other summaries": (
        lambda: compare_summaries(*(measured()[["g_ratio"]],) * 2),
        "no column quantity, unit, value; there are g_ratio",
    ),
    "nothing in common": (
        lambda: compare_summaries(
            pd.DataFrame({"quantity": ["g"], "unit": "", "value": 1}),
            pd.DataFrame({"quantity": ["g"], "unit": "um", "value": 1}),
        ),
        "no quantity in common",
    ),
    "one edge": (lambda: agreement_by_bin([1], [1], [1], edges=[3]), r"edges are \[3\]"),
    "edges fall": (lambda: agreement_by_bin([1], [1], [1], edges=[3, 2]), "that increase"),
    "by of other length": (lambda: agreement_by_bin([1], [1], [1, 2], edges=[1, 2]), "shapes"),
}


@pytest.mark.parametrize(("call", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_errors(call: Any, message: str) -> None:
    """What was given, what was expected and what to do is told."""
    with pytest.raises(ValueError, match=message):
        call()
