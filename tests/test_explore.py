"""Selecting and filtering fibres, without any figure."""

import numpy as np
import pandas as pd
import pytest

from axonlab import phantom
from axonlab.correct import Correction
from axonlab.explore import CENTRES, Exploration

DIAMETERS = ("fibre_diameter_um", "axon_diameter_um")


@pytest.fixture
def correction():
    """Return the correctable fibres of a small phantom."""
    nerve = phantom.nerve((150, 200), seed=3)
    return Correction(nerve.labels, pixel_size=nerve.micrograph.pixel_size, min_axon_diameter=0.3)


@pytest.fixture
def exploration(correction):
    """Return an exploration of all fibres."""
    return Exploration(correction)


def ids_where(exploration, condition):
    """Return the ids of the fibres for which a query of the table is true."""
    return exploration.correction.table.query(condition)["fibre_id"].tolist()


def test_at_first_all_is_shown_and_nothing_selected(exploration):
    """There is no filter that nobody asked for."""
    assert exploration.shown.equals(exploration.correction.table)
    assert exploration.selection == [] and exploration.selected.empty


def test_filters_leave_out(exploration):
    """Filters add up; a range without an end has no end; without a value a fibre does not pass."""
    exploration.filters = {"fibre_diameter_um": (2, np.inf), "g_ratio": (0.5, 0.7)}
    wanted = ids_where(exploration, "fibre_diameter_um >= 2 and 0.5 <= g_ratio <= 0.7")
    assert exploration.shown["fibre_id"].tolist() == wanted
    exploration.complete_only = True
    assert not exploration.shown["touches_border"].any()
    exploration.param.update(filters={}, complete_only=False)
    assert exploration.shown.equals(exploration.correction.table)


def test_a_box_selects_what_lies_in_it(exploration):
    """Whatever corner it was drawn from, and only what is shown."""
    wanted = ids_where(exploration, "2 <= fibre_diameter_um <= 3 and 1 <= axon_diameter_um <= 2")
    assert wanted
    assert exploration.in_box(DIAMETERS, (2, 1, 3, 2)) == wanted
    assert exploration.in_box(DIAMETERS, (3, 2, 2, 1)) == wanted
    exploration.complete_only = True
    assert exploration.in_box(DIAMETERS, (2, 1, 3, 2)) != wanted


def test_a_lasso_selects_what_lies_in_it(exploration):
    """A lasso in the shape of a box selects what the box does."""
    corners = np.array([[2, 1], [3, 1], [3, 2], [2, 2]])
    assert exploration.in_lasso(DIAMETERS, corners) == exploration.in_box(DIAMETERS, (2, 1, 3, 2))


def test_a_point_of_the_image_is_its_fibre(exploration):
    """Every pixel of a fibre leads to it; background and what lies outside lead to none."""
    fibres = exploration.correction.fibres
    for row, column in ((0, 0), (75, 100), (149, 199), (40, 160), (90, 20)):
        wanted = [i for i in [int(fibres[row, column])] if i]
        assert exploration.at(0.1 * column + 0.04, 0.1 * row - 0.04) == wanted
    assert exploration.at(-5, 3) == exploration.at(3, 500) == []


def test_a_point_of_a_hidden_fibre_is_none(exploration):
    """What the filters leave out cannot be clicked on."""
    row = exploration.correction.table.query("touches_border").iloc[0]
    fibres = exploration.correction.fibres
    y, x = (0.1 * places[0] for places in np.nonzero(fibres == row["fibre_id"]))
    assert exploration.at(x, y) == [row["fibre_id"]]
    exploration.complete_only = True
    assert exploration.at(x, y) == []


def test_nearest_dot_in_reach(exploration):
    """A click beside a dot finds it, a click far from all dots finds none."""
    row = exploration.shown.iloc[5]
    x, y = row[list(DIAMETERS)] + [0.001, -0.001]
    assert exploration.nearest(DIAMETERS, (x, y), (0.01, 0.01)) == [row["fibre_id"]]
    assert exploration.nearest(DIAMETERS, (50, 50), (1, 1)) == []
    exploration.filters = {"fibre_diameter_um": (1000, np.inf)}
    assert exploration.nearest(DIAMETERS, (x, y), (1, 1)) == []


def test_modes_of_picking(exploration):
    """Select replaces, add adds, remove takes away; ids that do not exist are none."""
    exploration.pick([3, 5])
    exploration.mode = "add"
    exploration.pick([4, 3, 10**6])
    assert exploration.selection == [3, 4, 5]
    exploration.mode = "remove"
    exploration.pick([4])
    assert exploration.selection == [3, 5]
    exploration.mode = "select"
    exploration.pick([])
    assert exploration.selection == []


def test_selected_are_rows(exploration):
    """The rows of the selection are those of the table, whether or not the filters hide them."""
    exploration.pick([3, 5])
    exploration.filters = {"fibre_diameter_um": (1000, np.inf)}
    assert exploration.selected["fibre_id"].tolist() == [3, 5]


def test_deleted_fibres_leave_the_selection(exploration, correction):
    """What is shown and selected follows the corrections, and comes back by undo."""
    exploration.pick([3, 5])
    correction.delete([3])
    assert exploration.selection == [5]
    assert 3 not in set(exploration.shown["fibre_id"])
    correction.undo()
    assert exploration.shown.equals(correction.table)


def test_all_follows_at_once(exploration, correction):
    """Whoever watches never sees a selected fibre that does not exist any more."""
    exploration.pick([3, 5])
    exploration.param.watch(
        lambda *events: seen.append(set(exploration.selection) <= set(exploration.shown.fibre_id)),
        ["shown", "selection"],
    )
    seen = []
    correction.delete([5])
    assert seen == [True]


def test_queue_of_doubtful_fibres(correction):
    """It goes on after what was deleted, begins again, and names reasons."""
    doubtful = pd.DataFrame({"fibre_id": [5, 3, 10**6, 7], "reason": ["a", "b", "c", "d"]})
    exploration = Exploration(correction, doubtful=doubtful)
    assert exploration.select_next_doubtful() == "a" and exploration.selection == [5]
    correction.delete([5])
    assert exploration.select_next_doubtful() == "b" and exploration.selection == [3]
    assert exploration.select_next_doubtful() == "d"
    assert exploration.select_next_doubtful() == "b"


def test_an_empty_queue(exploration):
    """Nothing doubtful: nothing happens to the selection."""
    exploration.pick([4])
    assert exploration.select_next_doubtful() == ""
    assert exploration.selection == [4]


def test_an_image_without_fibres():
    """Nothing can be picked, and nothing fails."""
    exploration = Exploration(Correction(np.zeros((20, 20), np.uint8), pixel_size=0.1))
    exploration.filters = {"g_ratio": (0, 0.5)}
    assert exploration.in_box(CENTRES, (0, 0, 1, 1)) == exploration.at(1, 1) == []
    assert exploration.in_lasso(CENTRES, np.array([[0, 0], [1, 0], [1, 1]])) == []
    assert exploration.nearest(CENTRES, (0, 0), (1, 1)) == []
