"""Uncertainty from several segmentations: closed forms, and phantoms with known errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from axonlab import phantom
from axonlab.measure import measure_fibres
from axonlab.micrograph import CLASSES
from axonlab.objects import label_fibres
from axonlab.spread import measure_members, spread_by_fibre, spread_by_group
from axonlab.summary import MEASURES

Labels = NDArray[np.uint8]
Draw = Callable[[tuple[int, int], tuple[float, float], float], NDArray[np.bool_]]
SHAPE = (120, 300)


@pytest.fixture
def rings(disc: Draw) -> Callable[..., Labels]:
    """Return a function that draws rings of given inner and outer radii in a row."""

    def draw(*radii: tuple[float, float]) -> Labels:
        labels = np.zeros(SHAPE, np.uint8)
        for i, (inner, outer) in enumerate(radii):
            labels[disc(SHAPE, (60, 50 + 90 * i), outer)] = CLASSES["myelin"]
            labels[disc(SHAPE, (60, 50 + 90 * i), inner)] = CLASSES["axon"]
        return labels

    return draw


def test_the_same_segmentation_measures_the_same() -> None:
    """Members that equal the reported segmentation have its numbers, and no spread."""
    one = phantom.nerve((400, 500), seed=3)
    size = one.micrograph.pixel_size
    labels = one.labels.copy()
    labels[(one.fibres == 0) & (labels == CLASSES["myelin"])] = 0
    table = measure_fibres(one.axons, one.fibres, pixel_size=size)
    members = measure_members(one.fibres, [labels, labels], pixel_size=size)
    assert members["member"].tolist() == [0] * len(table) + [1] * len(table)
    measured = members[members["member"] == 1].reset_index(drop=True)
    has_axon = table["axon_area_um2"] > 0  # of some at the border the sheath alone is seen
    for column in MEASURES:
        wanted = table[column].where(has_axon)
        np.testing.assert_allclose(measured[column], wanted, atol=1e-12, err_msg=column)
    spread = spread_by_fibre(members)
    assert (spread.filter(like="sd").fillna(0) == 0).all(axis=None)
    assert spread["found"].tolist() == has_axon.tolist()


def test_spread_of_known_members(rings: Callable[..., Labels]) -> None:
    """Outlines that are off by two pixels give the deviations of these radii."""
    _, fibres = label_fibres(rings((20, 30), (15, 25)), pixel_size=0.1)
    drawn = [rings((inner, 30), (15, 25)) for inner in (18, 20, 22)]
    spread = spread_by_fibre(measure_members(fibres, iter(drawn), pixel_size=0.1))
    assert spread.index.tolist() == [1, 2]
    first = spread.loc[1]
    assert first["axon_diameter_sd_um"] == pytest.approx(np.std([3.6, 4, 4.4], ddof=1), abs=0.02)
    assert first["fibre_diameter_sd_um"] == 0
    assert first["myelin_thickness_sd_um"] == pytest.approx(first["axon_diameter_sd_um"] / 2)
    assert first["g_ratio_sd"] == pytest.approx(np.std([18, 20, 22], ddof=1) / 30, abs=0.005)
    assert (spread.loc[2].drop("found") == 0).all()


def test_a_thicker_sheath_is_seen(rings: Callable[..., Labels]) -> None:
    """A member's fibre may reach beyond the reported one, but not into its neighbour."""
    labels = rings((20, 30), (20, 30), (20, 30))
    labels[:, :90][labels[:, :90] == 0] = CLASSES["myelin"]  # all that is left of the first
    _, fibres = label_fibres(rings((20, 30), (20, 30), (20, 30)), pixel_size=0.1)
    table = measure_members(fibres, [labels, rings((20, 34), (20, 30), (20, 30))], pixel_size=0.1)
    first = table[table["fibre_id"] == 1].set_index("member")
    assert first.loc[1, "fibre_diameter_um"] == pytest.approx(6.8, abs=0.03)
    assert 7 < first.loc[0, "fibre_diameter_um"] < 9.1  # no further than a quarter of 6 µm
    others = table[table["fibre_id"] > 1]
    assert others["fibre_diameter_um"].tolist() == pytest.approx([6, 6, 6, 6], abs=0.03)


def test_members_that_do_not_find_a_fibre(rings: Callable[..., Labels]) -> None:
    """What a member does not see is not measured, and the share that saw it is told."""
    _, fibres = label_fibres(rings((20, 30), (15, 25)), pixel_size=0.1)
    blind = np.zeros(SHAPE, np.uint8)
    bare = np.where(rings((20, 30), (15, 25)) == CLASSES["axon"], CLASSES["axon"], 0)
    members = [rings((20, 30), (15, 25)), blind, bare.astype(np.uint8), rings((20, 30))]
    table = measure_members(fibres, members, pixel_size=0.1)
    spread = spread_by_fibre(table)
    assert spread["found"].tolist() == [0.75, 0.5]
    assert table.loc[table["member"] == 1, list(MEASURES)].isna().all(axis=None)
    row = table[(table["member"] == 2) & (table["fibre_id"] == 1)].iloc[0]
    assert np.isnan(row["g_ratio"])
    assert row["axon_diameter_um"] == pytest.approx(4, abs=0.03)


def test_no_fibres_and_one_member(rings: Callable[..., Labels]) -> None:
    """Without fibres there are no rows; one member has no spread; neither warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing = measure_members(np.zeros(SHAPE, np.int32), [rings((9, 12))], pixel_size=1)
        assert spread_by_fibre(nothing).empty
        _, fibres = label_fibres(rings((20, 30)), pixel_size=1)
        single = spread_by_fibre(measure_members(fibres, [rings((20, 30))], pixel_size=1))
    assert single["g_ratio_sd"].isna().all()


def test_errors_of_all_fibres_alike_do_not_average_out() -> None:
    """The deviation of a group's mean is that of its members, however many fibres there are."""
    rng = np.random.default_rng(0)
    offsets = np.array([-0.02, 0.0, 0.02])
    rows = [
        {"animal": f"{group}{animal}", "group": group, "member": member, "g_ratio": g + offset}
        for group, mean in (("x", 0.6), ("y", 0.7))
        for animal, level in enumerate(rng.normal(mean, 0.03, 5))
        for g in rng.normal(level, 0.05, 200)
        for member, offset in enumerate(offsets)
    ]
    table = pd.DataFrame(rows).assign(**dict.fromkeys(list(MEASURES)[:3], 1.0))
    found = spread_by_group(table).set_index(["group", "quantity"]).loc[("y", "g_ratio")]
    own = table[table["group"] == "y"].groupby("animal")["g_ratio"].mean()
    assert (found["animals"], found["members"]) == (5, 3)
    assert found["mean"] == pytest.approx(own.mean())
    assert found["sd_members"] == pytest.approx(0.02)
    assert found["sem_animals"] == pytest.approx(own.sem())
    assert found["standard_error"] == pytest.approx(np.hypot(own.sem(), 0.02))


def test_errors_of_each_fibre_do_average_out() -> None:
    """Errors that fibres do not share leave little in the mean of many."""
    one = phantom.nerve((500, 600), seed=1)
    size = one.micrograph.pixel_size
    rng = np.random.default_rng(0)
    grown = ndimage.grey_dilation(one.axons, 3)
    members = []
    for _ in range(6):
        thinner = rng.random(one.axons.max() + 1) < 0.5
        gains = thinner[grown] & (one.labels == CLASSES["myelin"]) & (grown == one.fibres)
        members.append(np.where(gains, CLASSES["axon"], one.labels).astype(np.uint8))
    table = measure_members(one.fibres, members, pixel_size=size)
    by_fibre = spread_by_fibre(table)["g_ratio_sd"].mean()
    group = spread_by_group(table.assign(animal="a", group="x")).set_index("quantity")
    n = table["fibre_id"].nunique()
    assert group.loc["g_ratio", "sd_members"] < 3 * by_fibre / np.sqrt(n)


def test_bad_input(rings: Callable[..., Labels]) -> None:
    """Segmentations of another size, absurd pixel sizes and other tables are refused."""
    _, fibres = label_fibres(rings((20, 30)), pixel_size=1)
    with pytest.raises(ValueError, match=r"Member 1 has shape \(300, 120\)"):
        measure_members(fibres, [rings((20, 30)), rings((20, 30)).T], pixel_size=1)
    with pytest.raises(ValueError, match="outside"):
        measure_members(fibres, [rings((20, 30))], pixel_size=np.nan)
    with pytest.raises(ValueError, match=r"lacks the columns \['member'.*measure_members"):
        spread_by_fibre(pd.DataFrame({"fibre_id": [1]}))
    with pytest.raises(ValueError, match=r"lacks the columns \['animal'"):
        spread_by_group(measure_members(fibres, [rings((20, 30))], pixel_size=1))
