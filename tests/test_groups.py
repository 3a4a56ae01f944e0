"""Groups of animals: pooling, spread over animals, and differences with their intervals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from axonlab.bootstrap import difference_interval, mean_interval
from axonlab.groups import QUANTITIES, by_animal, by_group, by_image, compare_groups
from axonlab.summary import SUMS


def image(
    name: str, animal: str, group: str, *, area: float = 1e6, n: float = 100, g: float = 0.7
) -> dict[str, object]:
    """Return the sums of a field with `n` fibres of one g-ratio, a third of it axons."""
    sums = dict.fromkeys(SUMS, 0.0)
    sums |= {"field_area_um2": area, "frame_area_um2": area, "axon_area_um2": area / 3}
    sums |= {"myelin_area_um2": area / 3 * (1 / g**2 - 1), "sum_g_ratio": n * g}
    sums |= dict.fromkeys(["n_fibres", "n_counted", "n_complete"], n)
    return {"image": name, "animal": animal, "group": group, **sums}


@pytest.fixture
def animals() -> pd.DataFrame:
    """Return eight animals of two groups, whose g-ratios differ by 0.05."""
    rng = np.random.default_rng(1)
    rows = []
    for group, mean in (("naive", 0.7), ("injured", 0.75)):
        for i, g in enumerate(rng.normal(mean, 0.01, 8)):
            rows += [image(f"{k}", f"{group}-{i}", group, g=g) for k in (1, 2)]
    return by_animal(pd.DataFrame(rows))


def test_images_of_an_animal_are_pooled() -> None:
    """Large images and those with many fibres count for more: sums are divided, not averaged."""
    images = pd.DataFrame(
        [image("1", "a", "x", area=3e6, n=300, g=0.6), image("2", "a", "x", n=500, g=0.8)]
    )
    row = by_animal(images).iloc[0]
    assert row["images"] == 2
    assert row["density_per_mm2"] == pytest.approx(200)
    assert row["g_ratio"] == pytest.approx((300 * 0.6 + 500 * 0.8) / 800)
    assert row["axon_volume_fraction"] == pytest.approx(1 / 3)
    assert row["n_fibres"] == 800
    single = by_image(images)
    assert single["density_per_mm2"].tolist() == pytest.approx([100, 500])
    assert single["aggregate_g_ratio"].tolist() == pytest.approx([0.6, 0.8])
    assert single["image"].tolist() == ["1", "2"]


def test_animals_are_what_counts(animals: pd.DataFrame) -> None:
    """Mean, deviation and interval of a group are those of its animals' values."""
    table = by_group(animals).set_index(["group", "quantity"])
    values = animals.loc[animals["group"] == "naive", "g_ratio"]
    row = table.loc[("naive", "g_ratio")]
    assert row["animals"] == 8
    assert row["mean"] == pytest.approx(values.mean())
    assert row["sd"] == pytest.approx(values.std(ddof=1))
    assert row["sem"] == pytest.approx(stats.sem(values))
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high))
    assert set(animals) >= set(QUANTITIES)


def test_more_images_make_no_more_animals(animals: pd.DataFrame) -> None:
    """Each image taken twice, under another name, changes no interval."""
    images = pd.DataFrame([image("1", f"{i}", "x", g=0.6 + i / 50) for i in range(4)])
    again = pd.concat([images, images.assign(image="2")])
    one, other = by_group(by_animal(images)), by_group(by_animal(again))
    pd.testing.assert_frame_equal(one, other)


def test_regions_stay_apart() -> None:
    """With regions there is a row for each, in every table."""
    rows = [
        image("1", f"{group}{i}", group, g=0.6 + 0.1 * (region == "b") + 0.01 * i)
        | {"region": region}
        for group in ("x", "y")
        for i in range(3)
        for region in ("a", "b")
    ]
    animals = by_animal(pd.DataFrame(rows))
    assert len(animals) == 12
    groups = by_group(animals).set_index(["group", "region", "quantity"])["mean"]
    assert groups[("x", "a", "g_ratio")] == pytest.approx(0.61)
    assert groups[("x", "b", "g_ratio")] == pytest.approx(0.71)
    differences = compare_groups(animals, reference="x")
    assert differences["region"].unique().tolist() == ["a", "b"]
    assert differences["difference"].fillna(0).abs().max() < 1e-9


def test_differences(animals: pd.DataFrame) -> None:
    """The interval holds the true difference, leaves out 0, and is that of the t-test, nearly."""
    found = compare_groups(animals, reference="naive").set_index("quantity").loc["g_ratio"]
    ours, theirs = (
        animals.loc[animals["group"] == group, "g_ratio"] for group in ("injured", "naive")
    )
    assert found["group"] == "injured"
    assert found["difference"] == pytest.approx(ours.mean() - theirs.mean())
    assert 0 < found["low"] < 0.05 < found["high"]
    wanted = stats.ttest_ind(ours, theirs).confidence_interval(0.95)
    assert found["high"] - found["low"] == pytest.approx(wanted.high - wanted.low, rel=0.25)
    back = compare_groups(animals, reference="injured").set_index("quantity").loc["g_ratio"]
    assert back["difference"] == pytest.approx(-found["difference"])


def test_the_seed_decides(animals: pd.DataFrame) -> None:
    """The same seed gives the same interval, another one nearly the same."""
    one, again, other = (compare_groups(animals, reference="naive", seed=s) for s in (0, 0, 1))
    pd.testing.assert_frame_equal(one, again)
    assert not one["low"].equals(other["low"])
    row = one["quantity"] == "g_ratio"
    assert other.loc[row, "low"].item() == pytest.approx(one.loc[row, "low"].item(), abs=1e-3)


def test_intervals_cover_the_truth() -> None:
    """Of intervals from twelve animals each, about 95 % hold the true difference."""
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = difference_interval(rng.normal(1, 1, 12), rng.normal(0, 1, 12), seed=seed)
        hits += low <= 1 <= high
    assert 0.88 < hits / 200 < 0.98


def test_two_animals_have_no_interval(animals: pd.DataFrame) -> None:
    """Fewer than three animals have a difference, but no interval, and a warning says so."""
    few = animals[
        (animals["group"] == "naive") | animals["animal"].isin(["injured-0", "injured-1"])
    ]
    with pytest.warns(UserWarning, match=r"Fewer than 3 animals in \{'injured': 2\}"):
        found = compare_groups(few, reference="naive").set_index("quantity").loc["g_ratio"]
    assert np.isfinite(found["difference"])
    assert np.isnan(found["low"])
    assert by_group(few).set_index(["group", "quantity"])["low"].isna()[("injured", "g_ratio")]
    assert np.isnan(mean_interval(np.array([1.0, 2.0]))[0])


def test_an_animal_without_fibres() -> None:
    """An animal in which nothing was found has a density of 0, and no part in the mean g."""
    images = pd.DataFrame([image("1", a, "x", n=n) for a, n in (("a", 9), ("b", 0), ("c", 9))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = by_group(by_animal(images)).set_index("quantity")
    assert table.loc["density_per_mm2", "animals"] == 3
    assert table.loc["g_ratio", "animals"] == 2
    assert table.loc["g_ratio", "mean"] == pytest.approx(0.7)


def test_bad_tables(animals: pd.DataFrame) -> None:
    """Missing names and columns, images twice and animals in two groups are refused."""
    images = pd.DataFrame([image("1", "a", "x"), image("2", "a", "x")])
    with pytest.raises(ValueError, match=r"lacks the columns \['animal'\]"):
        by_animal(images.drop(columns="animal"))
    with pytest.raises(ValueError, match=r"lacks the columns \['n_fibres'\]"):
        by_image(images.drop(columns="n_fibres"))
    with pytest.raises(ValueError, match="1 of 2 images have no name"):
        by_animal(images.assign(animal=["a", None]))
    with pytest.raises(ValueError, match=r"twice: \['1'\]"):
        by_animal(images.assign(image="1"))
    with pytest.raises(ValueError, match="expected 'sham' and another one"):
        compare_groups(animals, reference="sham")
    with pytest.raises(ValueError, match=r"\['same'\] … are in more than one group"):
        compare_groups(animals.assign(animal="same"), reference="naive")
    with pytest.raises(ValueError, match="by_animal"):
        by_group(images)
