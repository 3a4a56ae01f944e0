"""Cuts through a volume: their colours, places and proportions."""

import holoviews as hv
import numpy as np
import pytest

from axonlab import phantom
from axonlab.neurite_mesh import meshes
from axonlab.plot_fibres import SELECTED
from axonlab.plot_neurites import COLOURS, Cuts, mesh_picture, sections
from axonlab.volume import Volume

SIZE = (0.03, 0.01, 0.01)


def rgb(colour):
    """Return a colour as three numbers."""
    return list(bytes.fromhex(colour[1:]))


@pytest.fixture
def blocks():
    """Return a grey volume with two neurites side by side and nothing below them."""
    instances = np.zeros((4, 20, 30), np.int64)
    instances[:, :15, :15], instances[:, :15, 15:] = 1, 2
    pixels = np.random.default_rng(0).random(instances.shape)
    return Volume(pixels, SIZE, "blocks"), instances


def test_colours(blocks):
    """Neurites are tinted within outlines in their colour; what is none stays grey."""
    volume, instances = blocks
    drawn = Cuts(volume).draw(instances, "z", 1)
    assert drawn.shape == (20, 30, 3) and drawn.dtype == np.uint8
    assert (np.ptp(drawn[16:].astype(int), axis=-1) == 0).all()
    assert drawn[5, 14].tolist() == rgb(COLOURS[0]) and drawn[5, 15].tolist() == rgb(COLOURS[1])
    assert np.ptp(drawn[5, 5].astype(int)) > 20 and drawn[5, 5].tolist() != rgb(COLOURS[0])
    assert SELECTED not in COLOURS


def test_the_chosen_stands_out(blocks):
    """Its outline has the colour of what is chosen, as wide from all sides; others are fainter."""
    volume, instances = blocks
    cuts = Cuts(volume)
    plain, chosen = cuts.draw(instances, "z", 1), cuts.draw(instances, "z", 1, [2])
    is_line = (chosen == rgb(SELECTED)).all(-1)
    assert is_line.any() and (instances[1][is_line] == 2).all()
    assert is_line[5, 15:17].all() and is_line[13:15, 20].all() and not is_line[5, 17:].any()
    other, own = (np.ptp(chosen[5, x].astype(int)) for x in (5, 25))
    assert other < np.ptp(plain[5, 5].astype(int)) and own > np.ptp(plain[5, 25].astype(int))


def test_proportions(blocks):
    """A cut across the sections has square pixels, one scale with the section, and true µm."""
    volume, instances = blocks
    assert Cuts(volume).draw(instances, "y", 3).shape == (12, 30, 3)
    section, cut = (part.get(0) for part in sections(volume, instances))
    opts = [hv.Store.lookup_options("bokeh", part, "plot").kwargs for part in (section, cut)]
    for one, height, part in zip(opts, (0.2, 0.12), (section, cut), strict=True):
        assert one["frame_height"] / one["frame_width"] == pytest.approx(height / 0.3, rel=0.01)
        low, high = one["ylim"]
        assert high - low == pytest.approx(height) and part.range(1) == pytest.approx((low, high))
    assert opts[0]["frame_width"] == opts[1]["frame_width"]


def test_places(blocks):
    """A place on a cut is the voxel that is drawn there; beside the volume there is none."""
    volume, instances = blocks
    instances = np.arange(instances.size).reshape(instances.shape)
    cuts = Cuts(volume)
    assert cuts.voxel("z", 2, 0.104, 0.196) is None
    assert cuts.voxel("z", 2, 0.104, 0.186) == (2, 19, 10)
    assert cuts.voxel("y", 7, -0.004, 0.046) == (2, 7, 0)
    assert cuts.voxel("y", 7, -0.006, 0.046) is None
    dots = [cuts.dots(axis, [(2, 7, 5)]) for axis in "zy"]
    places = [[float(dot.dimension_values(i)[0]) for i in (0, 1)] for dot in dots]
    assert places == [[0.05, pytest.approx(0.07)], [0.05, pytest.approx(0.06)]]
    assert [dot.kdims[1].name for dot in dots] == ["y", "z"]


def test_rows_run_downwards():
    """The first section is at the top of a cut, and the first row at the top of a section."""
    pixels = np.zeros((4, 5, 6))
    pixels[0], pixels[:, 0] = 1, 1
    cuts = Cuts(Volume(pixels, SIZE))
    none = np.zeros(pixels.shape, int)
    for axis, last in (("z", 0.04), ("y", 0.09)):
        drawn = cuts.picture(none, axis, 2)
        assert drawn[0.02, 0.0, "R"] == 255 and drawn[0.02, last, "R"] == 0


def test_both_cuts_share_x():
    """Bokeh draws both, with one range of x, and each keeps its proportions when zoomed."""
    drawn = phantom.neurites((6, 40, 50), seed=1)
    layout = sections(drawn.volume, drawn.instances, z=2, chosen=[1])
    plot = hv.renderer("bokeh").get_plot(layout)
    figures = [one.handles["plot"] for one in plot.traverse(None, [hv.plotting.bokeh.OverlayPlot])]
    assert len(figures) == 2
    x, other = (figure.x_range for figure in figures)
    assert x is other and figures[0].y_range is not figures[1].y_range
    names = {callback.name for callback in x.js_property_callbacks["change:start"]}
    assert names == {figure.y_range.id for figure in figures}
    assert figures[0].title.text == "section 2 of 0 to 5"


def test_a_still_picture():
    """Neurites are drawn in their colours on no ground; without any there is no picture."""
    drawn = phantom.neurites((6, 40, 50), seed=1)
    found = meshes(drawn.instances, [1, 2], voxel_size=drawn.volume.voxel_size)
    picture = mesh_picture(found)
    assert picture.shape[2] == 4 and picture.dtype == np.uint8 and (picture[0, 0, 3]) == 0
    is_drawn = picture[..., 3] == 255
    hues = picture[is_drawn][:, :3].astype(int)
    assert (hues[:, 0] > hues[:, 2] + 60).any()  # the first is orange
    assert (hues[:, 2] > hues[:, 0] + 60).any()  # the second blue
    with pytest.raises(ValueError, match="at least one"):
        mesh_picture([])


def test_what_does_not_fit(blocks):
    """Other shapes, and numbers that are not there, are told."""
    volume, instances = blocks
    with pytest.raises(ValueError, match=r"shape \(3, 20, 30\)"):
        sections(volume, instances[1:])
    with pytest.raises(ValueError, match="no section 4, there are 0 to 3"):
        sections(volume, instances, z=4)
    with pytest.raises(ValueError, match="no row -1"):
        sections(volume, instances, y=-1)
