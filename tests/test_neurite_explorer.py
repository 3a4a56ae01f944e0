"""The explorer of neurites without a browser: what follows what, and what the buttons do."""

import base64

import holoviews as hv
import numpy as np
import panel as pn
import pytest
from bokeh.models import ColumnDataSource

from axonlab import phantom
from axonlab.neurite_correct import NeuriteCorrection
from axonlab.neurite_mesh import meshes
from axonlab.plot_neurites import colour
from axonlab.widgets import NeuriteExplorer, NeuriteScene

hv.extension("bokeh")
pn.extension()


@pytest.fixture(scope="module")
def drawn():
    """Return a small phantom without defects."""
    return phantom.neurites((8, 60, 70), defects=0, seed=3)


@pytest.fixture
def explorer(drawn, tmp_path, monkeypatch):
    """Return an explorer of the phantom, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    correction = NeuriteCorrection(drawn.instances, voxel_size=drawn.volume.voxel_size)
    return NeuriteExplorer(drawn.volume, correction)


def click(explorer, voxel, axis="z"):
    """Move the cut to a voxel and click on it."""
    z, y, x = (i * size for i, size in zip(voxel, explorer._cuts.volume.voxel_size, strict=True))
    setattr(explorer, axis, voxel["zy".index(axis)])
    explorer._tapped(axis, x, y if axis == "z" else z)


def voxels(explorer, neurite_id):
    """Return the voxels of a neurite."""
    return [tuple(map(int, at)) for at in np.argwhere(explorer.correction.instances == neurite_id)]


def largest(explorer):
    """Return the id of the largest neurite."""
    ids = explorer.correction.ids
    return max(ids, key=lambda i: explorer.correction.neurite(i).voxels)


def pictures(root):
    """Return the four pictures: of section and cut, a base and what changes."""
    sources = [
        s.data["image"][0] for s in root.select({"type": ColumnDataSource}) if "image" in s.data
    ]
    assert len(sources) == 4
    return [np.array(image) for image in sources]


def test_it_starts_in_the_middle(explorer):
    """Before anything is touched the middle is shown, with neurites, and the count is told."""
    assert (explorer.z, explorer.y, explorer.selection) == (4, 30, [])
    assert f"{len(explorer.correction.ids)} neurites" in explorer.details.object
    assert explorer.merge.disabled and explorer.split.disabled and explorer.undo.disabled
    assert "section 4, row 30" in repr(explorer)


def test_a_click_highlights_in_both_cuts(explorer):
    """Both pictures change, its size is told; a click beside neurites clears the selection."""
    root = explorer.__panel__().get_root()
    before = pictures(root)
    i = largest(explorer)
    at = next(at for at in voxels(explorer, i) if at[0] == 4)
    click(explorer, at)
    assert explorer.selection == [i]
    changed = [(a != b).any() for a, b in zip(before, pictures(root), strict=True)]
    assert sum(changed) == 2
    told = explorer.correction.neurite(i)
    for value in (f"{told.voxels:,}", f"{told.volume_um3:.3g}", f">{told.sections}</td>"):
        assert value in explorer.details.object
    click(explorer, voxels(explorer, 0)[0])
    assert explorer.selection == []


def test_both_cuts_are_clicked_alike(explorer):
    """A voxel is the same in a section and in a cut across the sections."""
    i = largest(explorer)
    for axis in "zy":
        click(explorer, voxels(explorer, i)[5], axis)
        assert explorer.selection == [i]
        explorer.clear.clicks += 1
    explorer._tapped("z", -1.0, 0.0)
    explorer._tapped("z", None, None)
    assert explorer.selection == []


def test_several_are_chosen(explorer):
    """In the other mode clicks add, and remove what was added; membrane changes nothing."""
    explorer.mode.value = "add"
    one, other = explorer.correction.ids[:2]
    for i in (one, other, 0):
        click(explorer, voxels(explorer, i)[0])
    assert explorer.selection == [one, other] and not explorer.merge.disabled
    click(explorer, voxels(explorer, one)[0])
    assert explorer.selection == [other] and explorer.merge.disabled


def test_sliders_and_keys_move_the_cuts(explorer, drawn):
    """Arrows move by one and stop at the ends; the sliders follow and lead."""
    explorer._key("ArrowUp")
    explorer._key("ArrowRight")
    assert (explorer.z_slider.value, explorer.y_slider.value) == (3, 31)
    explorer.z_slider.value = 7
    explorer._key("ArrowDown")
    assert explorer.z == 7
    explorer.selection = [1]
    explorer._key("Escape")
    assert explorer.selection == []


def test_merge_and_undo(explorer, drawn):
    """Two become one, which is chosen and told; undo brings both back, redo merges again."""
    one, other = explorer.correction.ids[2:4]
    explorer.selection = [one, other]
    explorer.merge.clicks += 1
    assert explorer.selection == [one] and "2 neurites merged" in explorer.status.object
    explorer.undo.clicks += 1
    assert explorer.selection == [one, other] and explorer.undo.disabled
    assert (explorer.correction.instances == drawn.instances).all()
    explorer.redo.clicks += 1
    assert explorer.selection == [one]


def test_split_by_two_clicks(explorer):
    """Two clicks within it, in any cut, part it; both parts are chosen."""
    i = largest(explorer)
    explorer.selection = [i]
    explorer.split.value = True
    assert f"neurite {i}" in explorer.status.object
    first, *_, last = voxels(explorer, i)
    click(explorer, first)
    assert explorer.seeds == [first]
    click(explorer, voxels(explorer, 0)[0])
    assert "✖" in explorer.status.object and explorer.seeds == [first]
    click(explorer, last, "y")
    assert len(explorer.selection) == 2 and not explorer.split.value and explorer.seeds == []
    parts = explorer.correction.instances
    assert {int(parts[first]), int(parts[last])} == set(explorer.selection)
    click(explorer, first)  # clicks select again
    assert len(explorer.selection) == 1


def test_a_split_that_is_left(explorer):
    """Escape, or another selection, ends it; the same place twice is told."""
    i = largest(explorer)
    explorer.selection = [i]
    at = voxels(explorer, i)[0]
    explorer.split.value = True
    click(explorer, at)
    click(explorer, at)
    assert "✖" in explorer.status.object and not explorer.correction.can_undo
    explorer.split.value = True
    explorer._key("Escape")
    assert not explorer.split.value and explorer.selection == [i]
    explorer.split.value = True
    explorer.selection = []
    assert not explorer.split.value


def test_in_three_dimensions(explorer):
    """The chosen ones are shown if it is wanted, and follow the selection and the edits."""
    explorer.selection = explorer.correction.ids[:2]
    assert not explorer.scene.visible and not explorer.scene.surfaces
    explorer.solid.value = True
    assert explorer.scene.visible and len(explorer.scene.surfaces) == 2
    explorer.merge.clicks += 1
    assert len(explorer.scene.surfaces) == 1
    explorer.selection = []
    assert not explorer.scene.visible


def test_the_scene_tells_what_it_shows(explorer):
    """Colours are those of the sections, and a browser without WebGL gets a picture."""
    ids = explorer.correction.ids[:2]
    size = explorer.correction.voxel_size
    scene = NeuriteScene(meshes(explorer.correction.instances, ids, voxel_size=size))
    assert [part["colour"] for part in scene.surfaces] == [colour(i) for i in ids]
    assert f"{ids[0]}, {ids[1]}" in scene.told and scene.still == ""
    faces = np.frombuffer(base64.b64decode(scene.surfaces[0]["faces"]), "<u4")
    assert len(faces) % 3 == 0 and len(faces) > 100
    scene._handle_msg("no WebGL")
    assert scene.still.startswith("<img") and f"{ids[0]}, {ids[1]}" in scene.still
    scene.show([])
    assert scene.still == "" and scene.surfaces == []


def test_saving(explorer, tmp_path):
    """Neurites and trail go to the run folder, which is told; what others wrote stays."""
    explorer.save.clicks += 1
    folder = tmp_path / "runs" / "neurites" / "corrected"
    assert str(folder) in explorer.status.object
    opened = NeuriteCorrection.open(folder)
    assert (opened.instances == explorer.correction.instances).all()
    (folder / "corrections.jsonl").write_text("mine")
    explorer.save.clicks += 1
    assert "✖" in explorer.status.object


def test_one_section_and_no_neurite(drawn):
    """A single section, and a volume without neurites, can be looked at."""
    volume = phantom.neurites((1, 40, 40), seed=1).volume
    correction = NeuriteCorrection(np.zeros((1, 40, 40), int), voxel_size=volume.voxel_size)
    explorer = NeuriteExplorer(volume, correction)
    assert explorer.__panel__().get_root() and explorer.z_slider.disabled
    explorer._tapped("y", 0.05, 0.0)
    assert explorer.selection == []
    with pytest.raises(ValueError, match=r"shape \(1, 40, 40\)"):
        NeuriteExplorer(drawn.volume, correction)
