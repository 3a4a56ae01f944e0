"""The explorer without a browser: what follows what, what the buttons do and what is saved."""

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import param
import pytest
from bokeh.models import ColumnDataSource

from axonlab import phantom
from axonlab.correct import Correction
from axonlab.micrograph import CLASSES
from axonlab.widgets import FibreExplorer

hv.extension("bokeh")
pn.extension("tabulator")


@pytest.fixture(scope="module")
def nerve():
    """Return a small phantom."""
    return phantom.nerve((150, 200), seed=3)


@pytest.fixture
def explorer(nerve, tmp_path, monkeypatch):
    """Return an explorer of the phantom, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    correction = Correction(nerve.labels, pixel_size=0.1, min_axon_diameter=0.3)
    doubtful = pd.DataFrame({"fibre_id": [5, 3], "reason": ["it has a hole", "it is small"]})
    return FibreExplorer(nerve.micrograph, correction, doubtful=doubtful)


def columns_of(root, name):
    """Return the data of all sources that have a column."""
    sources = root.select({"type": ColumnDataSource})
    return [source.data[name] for source in sources if name in source.data]


def told(explorer):
    """Return what the explorer says."""
    return explorer.status.object


def test_selection_reaches_all_views(explorer):
    """One selection is marked in the table, drawn in the image and over the dots."""
    root = explorer.__panel__().get_root()
    explorer.exploration.pick([3, 5])
    shown = explorer.exploration.shown["fibre_id"].tolist()
    assert [shown[i] for i in explorer.table.table.selection] == [3, 5]
    assert "<b>2</b> selected" in explorer.count.object
    assert 2 in [len(dots) for dots in columns_of(root, "fibre_diameter_um")]
    coloured = [image for image in columns_of(root, "image") if image[0].dtype == np.uint32]
    assert any(image[0].any() for image in coloured)
    explorer.clear.clicks += 1
    assert explorer.table.table.selection == []


def test_row_selects_fibre(explorer):
    """Rows chosen in the table are selected, and the table turns to where a fibre is."""
    explorer.table.table.selection = [2, 0]
    assert explorer.exploration.selection == explorer.exploration.shown["fibre_id"][[0, 2]].tolist()
    explorer.exploration.pick(explorer.exploration.shown["fibre_id"].iloc[[20]])
    assert explorer.table.table.page == 3


def test_hidden_fibres_stay_selected(explorer):
    """A filter takes rows from the table, not fibres from the selection."""
    explorer.exploration.pick([3, 5])
    explorer.exploration.filters = {"fibre_diameter_um": (1000, np.inf)}
    assert explorer.exploration.selection == [3, 5]
    assert len(explorer.table.table.value) == 0


def test_click_in_the_image(explorer):
    """The fibre under the pointer is selected; beside all fibres, none."""
    row = explorer.exploration.correction.table.iloc[10]
    explorer.picture._tapped(row["centroid_x_um"], row["centroid_y_um"])
    assert explorer.exploration.selection == [row["fibre_id"]]


def test_sliders_filter(explorer):
    """A slider away from its end filters; at its ends it lets fibres without a value pass."""
    slider = explorer.filters.sliders["fibre_diameter_um"]
    slide(slider, (2.0, slider.end))
    assert explorer.exploration.filters == {"fibre_diameter_um": (2.0, np.inf)}
    assert explorer.exploration.shown["fibre_diameter_um"].min() >= 2
    slide(slider, (slider.start, slider.end))
    assert explorer.exploration.filters == {}


def slide(slider, value):
    """Move a slider as the mouse does, and let it go."""
    slider.value = value
    with param.edit_constant(slider):
        slider.value_throttled = value


def test_definition_of_g_changes_everywhere(explorer):
    """Table, slider and scatter plot change to the chosen definition."""
    slide(explorer.filters.g_ratio, (0.0, 0.6))
    explorer.g_ratio.value = "g_ratio_perimeter"
    assert "g-ratio (by perimeter)" in explorer.table.table.value
    assert explorer.filters.g_ratio.label == "g-ratio (by perimeter)"
    assert explorer.exploration.filters == {"g_ratio_perimeter": (-np.inf, 0.6)}
    root = explorer.plots.__panel__().get_root()
    assert columns_of(root, "g_ratio_perimeter")


@pytest.mark.parametrize("view", ["g-ratio", "diameters", "distribution", "density"])
def test_every_plot_follows_the_selection(explorer, view):
    """Each of the plots can be drawn before and after a selection."""
    explorer.plots.view = view
    assert explorer.plots.__panel__().get_root()
    explorer.exploration.pick([3, 5])
    assert explorer.plots.__panel__().get_root()


def test_groups_are_drawn_apart(nerve):
    """Distributions of named groups; a fibre of no group is in none."""
    correction = Correction(nerve.labels, pixel_size=0.1)
    groups = pd.Series({1: "dorsal", 2: "dorsal", 3: "ventral"})
    explorer = FibreExplorer(nerve.micrograph, correction, groups=groups)
    explorer.plots.view = "distribution"
    _, lower = explorer.plots._distribution()
    assert lower.keys() == ["dorsal (n = 2)", "ventral (n = 1)"]


def test_delete_and_undo(explorer):
    """The fibre leaves table and masks and comes back; it is said what was done."""
    correction = explorer.exploration.correction
    before = correction.fibres.copy()
    explorer.exploration.pick([5])
    explorer.editor.delete.clicks += 1
    assert not (correction.fibres == 5).any()
    assert 5 not in explorer.table.table.value["fibre id"].tolist()
    assert "Fibre 5 deleted." in told(explorer)
    explorer.editor.undo.clicks += 1
    assert np.array_equal(correction.fibres, before)
    assert 5 in explorer.table.table.value["fibre id"].tolist()
    assert "Undone: fibre 5 as before." in told(explorer)
    assert explorer.exploration.selection == [5]
    explorer.editor.redo.clicks += 1
    assert not (correction.fibres == 5).any()


def test_merge_selects_the_whole(explorer):
    """Two fibres become one, which is selected."""
    explorer.exploration.pick([3, 5])
    explorer.editor.merge.clicks += 1
    assert explorer.exploration.selection == [3]
    assert "2 fibres merged." in told(explorer)


def test_split_by_two_clicks(explorer):
    """The line between two clicks parts the axon; both parts are selected."""
    table = explorer.exploration.correction.table
    row = table[~table["touches_border"]].nlargest(1, "axon_diameter_um").iloc[0]
    explorer.exploration.pick([row["fibre_id"]])
    explorer.editor.split.value = True
    assert "both ends" in told(explorer)
    x, y, reach = row["centroid_x_um"], row["centroid_y_um"], row["fibre_diameter_um"]
    explorer.picture._tapped(x, y - reach)
    assert len(explorer.picture.line) == 1
    explorer.picture._tapped(x, y + reach)
    assert len(explorer.exploration.selection) == 2
    assert not explorer.editor.split.value and not explorer.picture.line
    explorer.picture._tapped(x, y - reach)  # clicks select again


def test_a_line_beside_the_axon_is_told(explorer):
    """What cannot be done is said in the status line, and changes nothing."""
    explorer.exploration.pick([5])
    explorer.editor.split.value = True
    for _ in range(2):
        explorer.picture._tapped(0.0, 0.0)
    assert "✖" in told(explorer) and "axon" in told(explorer)
    assert not explorer.exploration.correction.can_undo


def test_change_class(explorer):
    """An axon without its myelin is unmyelinated."""
    explorer.exploration.pick([5])
    explorer.editor.to.value = "unmyelinated axon"
    explorer.editor.change.clicks += 1
    correction = explorer.exploration.correction
    assert (correction.labels[correction.fibres == 5] == CLASSES["unmyelinated axon"]).all()


def test_buttons_wait_until_they_can_do_something(explorer):
    """Merging needs two fibres, splitting one, undoing an edit."""
    editor = explorer.editor
    for ids, wanted in (([], (1, 1, 1)), ([3], (0, 1, 0)), ([3, 5], (0, 0, 1))):
        explorer.exploration.pick(ids)
        assert (editor.delete.disabled, editor.merge.disabled, editor.split.disabled) == wanted
    assert editor.undo.disabled
    editor.delete.clicks += 1
    assert not editor.undo.disabled and editor.redo.disabled


def test_doubtful_fibres_one_after_another(explorer):
    """Each is selected, shown large, and its reason told."""
    explorer.__panel__().get_root()
    explorer.next.clicks += 1
    assert explorer.exploration.selection == [5]
    assert "Fibre 5: it has a hole." in told(explorer)
    x_range, _ = explorer.picture._axes[-1]
    row = explorer.exploration.selected.iloc[0]
    assert x_range.start < row["centroid_x_um"] < x_range.end
    assert x_range.end - x_range.start < 10 * row["fibre_diameter_um"]


def test_saving(explorer, tmp_path):
    """Selection, figures and corrections go to the run folder; the path is told."""
    folder = tmp_path / "runs" / "morphometry"
    explorer.saver.selection.clicks += 1
    assert "Nothing is selected" in told(explorer)
    explorer.exploration.pick([3, 5])
    explorer.saver.selection.clicks += 1
    assert pd.read_csv(folder / "selection.csv")["fibre_id"].tolist() == [3, 5]
    assert str(folder) in told(explorer)
    explorer.saver.figures.clicks += 1
    assert {path.suffix for path in folder.glob("figure.*")} == {".svg", ".pdf", ".png"}
    explorer.saver.corrections.clicks += 1
    assert (folder / "corrected" / "fibres.csv").exists()


def test_nothing_is_replaced_unasked(explorer, tmp_path):
    """A file of before stays, which is told, unless the box is ticked."""
    path = tmp_path / "runs" / "morphometry" / "selection.csv"
    explorer.exploration.pick([3, 5])
    explorer.saver.selection.clicks += 1
    explorer.exploration.pick([3])
    explorer.saver.selection.clicks += 1
    assert "✖" in told(explorer) and len(pd.read_csv(path)) == 2
    explorer.saver.replace.value = True
    explorer.saver.selection.clicks += 1
    assert len(pd.read_csv(path)) == 1


def test_masks_of_another_image(nerve):
    """Masks that do not fit are an error that names both shapes."""
    correction = Correction(nerve.labels[:-1], pixel_size=0.1)
    with pytest.raises(ValueError, match=r"\(150, 200\).*\(149, 200\)"):
        FibreExplorer(nerve.micrograph, correction)


@pytest.mark.parametrize("value", [0, 2])
def test_no_fibre_or_one(nerve, value):
    """An image without fibres, or with one axon without myelin, can be looked at."""
    labels = np.zeros((150, 200), np.uint8)
    labels[50:60, 50:60] = value
    explorer = FibreExplorer(nerve.micrograph, Correction(labels, pixel_size=0.1))
    for view in explorer.plots.param.view.objects:
        explorer.plots.view = view
        assert explorer.__panel__().get_root()
    explorer.picture._tapped(5.5, 5.5)
    assert len(explorer.exploration.selection) == (value > 0)
