"""Power against published tables, a normal approximation, and brute force."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from axonlab import power as module
from axonlab.power import ALPHA, Design, animals_needed, draw_experiment, power, simulate

PLAIN = Design(fibres=1, between=0, within=1)


@pytest.mark.parametrize(
    ("effect", "animals", "published"), [(0.5, 64, 0.80), (0.8, 26, 0.81), (0.2, 394, 0.80)]
)
def test_published_power(effect, animals, published):
    """Two-sample t tests in the tables of Cohen (1988)."""
    design = replace(PLAIN, effect=effect, animals=animals)
    assert power(design) == pytest.approx(published, abs=0.006)


def test_many_animals_are_normal():
    """For large n the t test is a z test."""
    design = Design(animals=200, fibres=50, effect=0.004)
    shift = design.effect / (design.sd_of_animal * np.sqrt(2 / 200))
    limit = stats.norm.ppf(1 - ALPHA / 2)
    expected = stats.norm.sf(limit - shift) + stats.norm.cdf(-limit - shift)
    assert power(design) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("design", [Design(), Design(3, 10), Design(12, 300, effect=0.015)])
def test_simulation_agrees_with_the_formula(design):
    """With animals as n the power is the formula's, and alarms are as many as allowed."""
    found = simulate(design, experiments=8000, seed=1).loc["animals"]
    assert found["found"] == pytest.approx(power(design), abs=0.02)
    assert found["false_alarms"] == pytest.approx(ALPHA, abs=0.01)


def test_simulation_is_that_of_single_fibres():
    """Means and sums of squares drawn at once give the shares of tests on all fibres."""
    design = Design(animals=4, fibres=12)
    hits = {"animals": 0, "fibres": 0}
    n = 1000
    for seed in range(n):
        table = draw_experiment(replace(design, effect=0), seed=seed)
        first, second = (table[table["group"] == name] for name in ("first", "second"))
        means = [part.groupby("animal")["g_ratio"].mean() for part in (first, second)]
        hits["animals"] += stats.ttest_ind(*means).pvalue < ALPHA
        hits["fibres"] += stats.ttest_ind(first["g_ratio"], second["g_ratio"]).pvalue < ALPHA
    found = simulate(design, experiments=8000)["false_alarms"]
    for name in hits:
        assert hits[name] / n == pytest.approx(found[name], abs=0.035)


def test_animals_count_and_not_fibres():
    """Power stops short of 1 for ever more fibres; false alarms rise with them."""
    few, many = Design(animals=4, fibres=10**7), Design(animals=40, fibres=10)
    assert power(few) == pytest.approx(power(replace(few, fibres=10**9)), abs=1e-4)
    assert power(few) < 0.5 < power(many)
    alarms = [simulate(Design(fibres=m)).loc["fibres", "false_alarms"] for m in (10, 100, 1000)]
    assert alarms[0] < alarms[1] < alarms[2] and alarms[2] > 0.5
    # without differences between animals fibres would be independent
    same = simulate(Design(between=0), experiments=8000).loc["fibres", "false_alarms"]
    assert same == pytest.approx(ALPHA, abs=0.01)


def test_no_effect_is_found_as_often_as_allowed():
    """And an effect that is large against all spread is always found."""
    assert power(Design(effect=0)) == pytest.approx(ALPHA)
    assert power(Design(effect=5, animals=30)) == pytest.approx(1)
    assert power(Design(effect=-0.02)) == pytest.approx(power(Design(effect=0.02)))


def test_table_and_need():
    """Rows and columns are designs; enough is the first that reaches it."""
    table = module.power_table(Design(), [3, 9], [10, 500])
    assert table.loc[9, 500] == pytest.approx(power(Design(animals=9, fibres=500)))
    n = animals_needed(Design())
    assert power(Design(animals=n)) >= 0.8 > power(Design(animals=n - 1))
    assert animals_needed(Design(effect=1e-4)) is None


def test_an_experiment_has_the_spreads_asked_for():
    """Many animals with many fibres."""
    table = draw_experiment(Design(animals=400, fibres=200, effect=0.05), seed=2)
    means = table.groupby(["group", "animal"])["g_ratio"].mean()
    assert means["second"].mean() - means["first"].mean() == pytest.approx(0.05, abs=0.004)
    assert means["first"].std() == pytest.approx(Design(fibres=200).sd_of_animal, rel=0.1)
    assert table.groupby("animal")["g_ratio"].std().mean() == pytest.approx(0.07, rel=0.02)


@pytest.mark.parametrize("wrong", [{"animals": 1}, {"fibres": 0}, {"between": -1}])
def test_designs_that_cannot_be(wrong):
    """What is out of range is told."""
    [name] = wrong
    with pytest.raises(ValueError, match=f"{name} is .*, expected"):
        Design(**wrong)
    with pytest.raises(ValueError, match="nothing scatters"):
        Design(between=0, within=0)
