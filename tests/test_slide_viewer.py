"""The viewer of slides without a browser: what is read, what is painted, what is kept."""

import json
import shutil

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import LocalStore

from axonlab import io, omezarr, phantom, plot_slide, slide, slide_view
from axonlab.micrograph import CLASS_COLOURS, CLASSES
from axonlab.plot_fibres import SELECTED
from axonlab.plot_slide import Cells, Look, Plane, SlidePainter, edges, fibre_colours
from axonlab.plot_window import window_of
from axonlab.slide_view import SlideView, read_regions
from axonlab.widgets import SlideViewer

hv.extension("bokeh")
pn.extension()

TRIANGLE = [[1, 1], [10, 1], [10, 20]]


@pytest.fixture(scope="module")
def nerve():
    """Return a small phantom."""
    return phantom.nerve((150, 200), seed=3)


@pytest.fixture(scope="module")
def measured(nerve, tmp_path_factory):
    """Make a slide of labels alone, and measure it."""
    path = tmp_path_factory.mktemp("measured") / "s"
    slide.segment_slide(nerve.labels, path, model=None, pixel_size=0.1, tile=128)
    slide.measure_slide(path)
    return path


@pytest.fixture
def labelled(measured, tmp_path):
    """Return a copy of it, to draw regions on."""
    return shutil.copytree(measured, tmp_path / "s")


@pytest.fixture
def viewer(labelled):
    """Return a viewer of it."""
    return SlideViewer(labelled)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Make a slide with an image, of 1500 × 1900 pixels in chunks of 128, without a table.

    Fibre 1 + i is the square i of 20 × 20 pixels; the image is a gradient.
    """
    path = tmp_path_factory.mktemp("large") / "s"
    shape, kwargs = (1500, 1900), {"pixel_size": 0.5, "tile": 128}
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    fibres = (rows // 20 * 95 + columns // 20 + 1).astype(np.int32)
    omezarr.create_image(path, shape, np.uint8, **kwargs)
    _fill(path, (columns * 255 / 1899).astype(np.uint8))
    for name, plane in (("classes", np.full(shape, 2, np.uint8)), ("fibres", fibres)):
        omezarr.create_labels(path, name, shape, plane.dtype, **kwargs)
        _fill(path / "labels" / name, plane)
    about = {"shape": list(shape), "pixel_size_um": 0.5, "holds": "image", "fibres": 7125}
    greys = {"grey_values_mapped_to_0_and_1": [0, 255], "source": "gradient"}
    io.write_json(path / "run" / "manifest.json", about | greys)
    return path


def _fill(path, plane):
    levels = omezarr.open_levels(path, "r+")
    levels[0][:] = plane
    for level, array in enumerate(levels[1:], start=1):
        omezarr.write_level(path, level, tuple(slice(0, n) for n in array.shape))


def table_of(output):
    """Return the table of a slide by id."""
    return slide.read_table(output).set_index("fibre_id", drop=False)


# ---- reading


sides = st.tuples(st.floats(0, 700), st.floats(1, 900))


@settings(max_examples=40)
@given(x=sides, y=sides, frame=st.sampled_from([50, 200, 640]))
def test_level_fits_the_screen(large, x, y, frame):
    """Pixels that are read are about as large as those of the screen, and never too many."""
    plane = Plane(large / "labels" / "fibres")
    x, y = ((low, low + length) for low, length in (x, y))
    window = window_of((1500, 1900), 0.5, x, y, frame=frame)
    level = plane.level_of(window)
    shrink = (window.right - window.left) / 0.5 / window.shape[1]
    if 0 < level < len(plane.levels) - 1:
        assert 0.7 < shrink / 2**level < 1.45
    n_read = (window.right - window.left) * (window.bottom - window.top) / (0.5 * 2**level) ** 2
    assert n_read <= max(plot_slide.MAX_PIXELS, plane.levels[-1].size)


@settings(max_examples=40)
@given(x=sides, y=sides)
def test_labels_are_those_nearest(large, x, y):
    """Each pixel of the screen shows the fibre there, at most half a pixel of the level aside."""
    plane = Plane(large / "labels" / "fibres")
    x, y = ((low, low + length) for low, length in (x, y))
    window = window_of((1500, 1900), 0.5, x, y, frame=100)
    shown, step = plane.labels(window), 2 ** plane.level_of(window)
    assert shown.shape == window.shape
    left, top, right, bottom = window.edges()
    for ids, first, last, of_id in (
        (shown[0], left, right, lambda i: (i - 1) % 95),
        (shown[:, 0], top, bottom, lambda i: (i - 1) // 95),
    ):
        centres = first + (np.arange(len(ids)) + 0.5) * (last - first) / len(ids)
        squares = of_id(ids)
        beside = np.maximum(20 * squares - centres, centres - 20 * (squares + 1))
        inside = np.maximum(beside, 0)
        # at the end of the slide there is no label nearer
        assert inside[:-1].max(initial=0) <= step / 2 + 0.5 and inside[-1] <= step + 0.5


def test_gradient_is_shown_at_every_zoom(large):
    """The image is in its place, from whatever level it is taken."""
    plane = Plane(large)
    for x in ((0, 949), (100, 500), (300, 310)):
        window = window_of((1500, 1900), 0.5, x, (0, 700), frame=200)
        shown = plane.image(window, (0, 255))
        assert shown.shape == window.shape
        n = shown.shape[1]
        centres = window.left + (np.arange(n) + 0.5) * (window.right - window.left) / n
        wanted = centres / 0.5 * 255 / 1899
        assert np.abs(shown[len(shown) // 2] - wanted)[1:-1].max() < 2.5


@pytest.fixture
def chunks_read(monkeypatch):
    """Return the keys of chunks that were read, as they are."""
    keys, get = [], LocalStore.get

    async def counted(self, key, *args, **kwargs):
        if "/c/" in key:
            keys.append(key)
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "get", counted)
    return keys


def test_only_chunks_in_view_are_read(large, chunks_read):
    """A view within one chunk reads that chunk of each layer; the same view again reads none."""
    painter = SlidePainter(SlideView(large))
    window = painter.window((70, 100), (70, 100))  # pixels 140 to 200: in chunk 1, 1 of level 0
    painter.paint(window, Look())
    assert sorted(chunks_read) == ["0/c/1/1", "0/c/1/1", "0/c/1/1"]
    painter.paint(window, Look(fibres="filled", opacity=0.3))
    assert len(chunks_read) == 3
    painter.forget()
    painter.paint(window, Look(fibres="hidden"))
    assert len(chunks_read) == 4


def test_whole_slide_is_read_coarse(large, chunks_read):
    """Of the whole slide the finest level is not touched."""
    painter = SlidePainter(SlideView(large))
    painter.paint(painter.window(), Look())
    assert chunks_read and {key.split("/")[0] for key in chunks_read} <= {"1", "2"}


def test_tap_reads_one_chunk(large, chunks_read):
    """The fibre under the pointer is found without reading more than where it is."""
    view = SlideView(large)
    assert view.at(300.0, 200.0) == 400 // 20 * 95 + 600 // 20 + 1
    assert chunks_read == ["0/c/3/4"]


# ---- painting


def test_classes_have_their_colours(viewer, nerve):
    """Filled and opaque, each pixel has the colour of its class."""
    painter = viewer.picture._painter
    window = painter.window()
    drawn = painter.paint(window, Look(fibres="filled", opacity=1))
    classes = window.cut(nerve.labels)
    for name in ("myelin", "axon"):
        colour = list(bytes.fromhex(CLASS_COLOURS[CLASSES[name]][1:]))
        assert (drawn[classes == CLASSES[name]] == colour).all()
    assert (drawn[classes == 0] == plot_slide.BARE).all()


def test_fibres_have_the_colours_of_their_values(viewer):
    """Fibres of one value have one colour; of those without, and without a row, none."""
    painter = viewer.picture._painter
    window = painter.window()
    ids = painter.ids(window)
    colours = fibre_colours(pd.Series({2: 0.5, 3: 0.9, 4: np.nan}), "g_ratio")
    drawn = painter.paint(window, Look(fibres="filled", opacity=1, colours=colours))
    bare = (drawn == plot_slide.BARE).all(axis=-1)
    assert set(ids[~bare]) == {2, 3}
    assert len(np.unique(drawn[ids == 2], axis=0)) == len(np.unique(drawn[ids == 3], axis=0)) == 1


def test_selected_fibre_is_outlined(viewer):
    """Its outline lies in the fibre; where it is too small to be seen, a ring is about it."""
    painter = viewer.picture._painter
    window, red = painter.window(), list(bytes.fromhex(SELECTED[1:]))
    drawn = painter.paint(window, Look(fibres="hidden", selected=5))
    assert set(painter.ids(window)[(drawn == red).all(axis=-1)]) == {5}
    drawn = painter.paint(window, Look(fibres="hidden", ring=(10.0, 5.0, 0.1)))
    rows, columns = np.nonzero((drawn == red).all(axis=-1))
    um = (window.right - window.left) / window.shape[1]
    assert len(rows) > 50
    assert (columns.mean() * um, rows.mean() * um) == pytest.approx((10.05, 5.05), abs=2 * um)
    at_edge = painter.paint(window, Look(fibres="hidden", ring=(-500.0, 0.0, 0.1)))
    assert not (at_edge == red).all(axis=-1).any()


def test_outlines_are_filled_where_too_small(large):
    """Far out, outlines would hide the image: it shines through instead."""
    painter = SlidePainter(SlideView(large))
    window = painter.window()
    outlined = painter.paint(window, Look(fibres="outlines"))
    assert np.array_equal(outlined, painter.paint(window, Look(fibres="filled")))
    close = painter.window((100, 130), (100, 130))
    assert not np.array_equal(
        painter.paint(close, Look(fibres="outlines")), painter.paint(close, Look(fibres="filled"))
    )


def test_edges_are_those_of_a_slow_search():
    """A pixel is at an edge if another id is straight beside it, near enough."""
    ids = np.random.default_rng(0).integers(0, 2, (12, 15))
    for thickness in (1, 2, 3):
        wanted = np.zeros(ids.shape, bool)
        for row, column in np.ndindex(ids.shape):
            for step in range(-thickness, thickness + 1):
                for r, c in ((row + step, column), (row, column + step)):
                    if 0 <= r < 12 and 0 <= c < 15:
                        wanted[row, column] |= ids[r, c] != ids[row, column]
        assert np.array_equal(edges(ids, thickness), wanted)


def test_map_lies_over_its_cells(labelled):
    """A cell has its colour in its place; one without a value shows what is below."""
    maps = pd.DataFrame(
        {"row": [0, 0, 1, 1], "column": [0, 1, 0, 1], "cell_um": 10.0, "n": [1.0, 2, 3, np.nan]}
    )
    viewer = SlideViewer(labelled, maps=maps)
    assert list(viewer.picture.param.map.objects) == ["", "n"]
    cells = Cells.of(maps, "n")
    painter = viewer.picture._painter
    window = painter.window()
    drawn = painter.paint(window, Look(fibres="hidden", cells=cells, cells_opacity=1))
    um = (window.right - window.left) / window.shape[1]
    colours = [drawn[int(y / um), int(x / um)] for y in (2, 12) for x in (2, 18)]
    assert len(np.unique(colours, axis=0)) == 4
    assert (colours[3] == plot_slide.BARE).all()
    assert np.isnan(cells.at(-1, 0, 0.1)) and cells.at(9.9, 10.0, 0.1) == 3
    viewer.picture.map = "n"
    viewer.picture._tapped(2.0, 12.0)
    assert "n here: 3" in viewer.status.object


# ---- fibres


def test_tap_finds_the_fibre(viewer, nerve):
    """Whatever is clicked, the id is that of the array and the row that of the table."""
    fibres = omezarr.open_levels(viewer.slide.output / "labels" / "fibres")[0][:]
    table = table_of(viewer.slide.output)
    for row, column in np.random.default_rng(0).integers(0, (150, 200), (40, 2)):
        viewer.picture._tapped(column * 0.1 + 0.03, row * 0.1 - 0.03)
        assert viewer.slide.fibre_id == fibres[row, column]
        if fibres[row, column]:
            pd.testing.assert_series_equal(
                viewer.selected, table.loc[fibres[row, column]], check_names=False
            )
            assert f"<b>Fibre {fibres[row, column]}</b>" in viewer.details.object
        else:
            assert viewer.selected is None
    for x, y in ((-1, 5), (5, 99), (20.0, 5)):
        viewer.picture._tapped(x, y)
        assert viewer.selected is None


def test_next_and_previous(viewer):
    """They follow the ids, round and round; the picture moves to where the fibre is."""
    ids = table_of(viewer.slide.output)["fibre_id"].tolist()
    viewer.next.clicks += 1
    assert viewer.slide.fibre_id == ids[0]
    viewer.previous.clicks += 1
    assert viewer.slide.fibre_id == ids[-1]
    viewer._key("n")
    assert viewer.slide.fibre_id == ids[0]
    viewer._key("z")
    row, seen = viewer.selected, viewer.view
    assert seen.x[0] < row["centroid_x_um"] < seen.x[1]
    viewer.slide.fibre_id = ids[-2]
    viewer._key("n")
    row, seen = viewer.selected, viewer.view
    assert seen.x[0] < row["centroid_x_um"] < seen.x[1]
    assert seen.y[0] < row["centroid_y_um"] < seen.y[1]


def test_first_fibre_is_one_that_is_seen(viewer):
    """Without a chosen fibre, the next is one of those in view."""
    row = table_of(viewer.slide.output).iloc[30]
    x, y = row["centroid_x_um"], row["centroid_y_um"]
    viewer.picture.show((x - 1, x + 1), (y - 1, y + 1))
    viewer.next.clicks += 1
    seen = viewer.view
    assert seen.x[0] <= viewer.selected["centroid_x_um"] <= seen.x[1]


def test_keys_move_and_zoom(viewer):
    """Arrows move by a quarter of what is seen, plus and minus keep the centre."""
    viewer.picture.show((5, 9), (4, 7))
    viewer._key("ArrowRight")
    viewer._key("ArrowUp")
    assert viewer.slide.x_range == pytest.approx((6, 10))
    assert viewer.slide.y_range == pytest.approx((3.25, 6.25))
    viewer._key("+")
    viewer._key("-")
    assert viewer.slide.x_range == pytest.approx((6, 10))
    viewer._key("F5")  # not one of its keys
    viewer.whole.clicks += 1
    assert viewer.view[2:] == np.s_[0:150, 0:200]


def test_stepping_where_a_fibre_is_gone(viewer):
    """After a fibre that is not in the table comes the next, before it the one before."""
    ids = table_of(viewer.slide.output)["fibre_id"].tolist()
    for by, wanted in ((1, 7), (-1, 5)):
        viewer.slide.fibre_id = 6
        viewer.slide._columns["fibre_id"] = pd.Series({i: i for i in ids if i != 6})
        assert viewer.slide.step(by) == wanted


# ---- what is seen


@given(
    start=st.floats(-30, 40), length=st.floats(0.01, 60), size=st.sampled_from([0.05, 0.1, 0.37])
)
def test_pixels_of_a_view(start, length, size):
    """Rows and columns are those pixels of which some is seen; off the slide, all."""
    (low, high), pixels = slide_view._seen((start, start + length), 100, size)
    edges_um = (np.arange(101) - 0.5) * size
    shown = (edges_um[1:] > low + 1e-4 * size) & (edges_um[:-1] < high - 1e-4 * size)
    assert np.array_equal(np.flatnonzero(shown), np.arange(100)[pixels])


@pytest.mark.parametrize("away", [(300.0, 400.0), (np.nan, 2.0), None])
def test_a_view_off_the_slide_is_all_of_it(away):
    """What shows nothing of the slide is answered with all of it."""
    ends, pixels = slide_view._seen(away, 100, 0.1)
    assert ends == pytest.approx((-0.05, 9.95)) and pixels == slice(0, 100)


def test_crop_is_what_is_seen(labelled, monkeypatch):
    """The button hands over rows and columns, unless they are too many."""
    taken = []
    viewer = SlideViewer(labelled, on_crop=lambda *crop: taken.append(crop))
    monkeypatch.setattr(slide_view, "MAX_CROP", 100)
    viewer.open.clicks += 1
    assert viewer.crop is None and not taken
    assert "✖" in viewer.status.object and "Zoom in" in viewer.status.object
    viewer.picture.show((2.0, 6.0), (1.0, 4.0))
    viewer.open.clicks += 1
    assert viewer.crop == taken[0] == (viewer.view.rows, viewer.view.columns)
    assert viewer.crop == np.s_[10:41, 20:61]
    assert "rows 10 to 41, columns 20 to 61" in repr(viewer)


def test_the_frame_keeps_its_proportions(tmp_path):
    """A strip of tissue has a frame in which it can be seen; its pixels are square."""
    strip = phantom.nerve((40, 400), seed=1)
    slide.segment_slide(strip.labels, tmp_path / "s", model=None, pixel_size=0.1, tile=512)
    viewer = SlideViewer(tmp_path / "s")
    viewer.__panel__().get_root()
    (x_range, y_range), (width, height) = viewer.picture._axes[-1], viewer.picture._frame()
    assert height == 260
    for _ in range(2):
        um = [(x_range.end - x_range.start) / width, (y_range.start - y_range.end) / height]
        assert um[0] == pytest.approx(um[1]) and um[0] > 0
        viewer.picture.show((3.0, 4.0), (1.0, 3.0))


# ---- regions


def test_regions_are_kept_with_the_slide(viewer):
    """What is drawn is on disk at once, and there for the next viewer."""
    viewer.region_editor.draw.value = True
    for x, y in (*TRIANGLE, (3, 3)):
        viewer.picture._tapped(x, y)
    assert viewer.slide.fibre_id == 0  # clicks draw
    viewer._key("Backspace")
    viewer.region_editor.title.value = "left"
    viewer._key("Enter")
    assert np.array_equal(viewer.regions["left"], TRIANGLE)
    assert not viewer.region_editor.draw.value and not viewer.picture.corners
    other = SlideViewer(viewer.slide.output)
    assert np.array_equal(other.regions["left"], TRIANGLE)
    assert other.region_editor.which.options == ["left"]


def test_lasso_draws_and_button_removes(viewer):
    """Freehand regions get names of their own; one can be removed."""
    for _ in range(2):
        viewer.picture._lassoed(np.array(TRIANGLE))
    assert list(viewer.regions) == ["region 1", "region 2"]
    viewer.region_editor.which.value = "region 1"
    viewer.region_editor.remove.clicks += 1
    assert list(read_regions(viewer.slide.output)) == ["region 2"]
    viewer.picture._lassoed(None)  # when the figure is drawn anew


def test_unfinished_region_is_dropped(viewer):
    """Two corners are no region, and Escape forgets them."""
    viewer.region_editor.draw.value = True
    for x, y in TRIANGLE[:2]:
        viewer.picture._tapped(x, y)
    viewer._key("Enter")
    assert not viewer.regions and viewer.region_editor.close.disabled
    viewer._key("Escape")
    assert viewer.picture.corners == [] and not viewer.region_editor.draw.value


def test_names_of_regions_are_not_taken_twice(viewer):
    """Drawing over a name is refused; nothing is lost."""
    viewer.regions = {"left": TRIANGLE}
    viewer.region_editor.title.value = "left"
    viewer.picture._lassoed(np.array(TRIANGLE)[::-1])
    assert "✖" in viewer.status.object
    assert np.array_equal(viewer.regions["left"], TRIANGLE)


def test_two_viewers_keep_both_regions(labelled):
    """What one draws does not undo what the other has drawn."""
    one, other = SlideView(labelled), SlideView(labelled)
    one.add_region("a", TRIANGLE)
    other.add_region("b", TRIANGLE)
    assert list(read_regions(labelled)) == ["a", "b"] == list(other.regions)


def test_region_that_cannot_be_saved_stays(viewer, monkeypatch):
    """A full disk is told, the region is not lost, and the next save has it."""

    def full(*args, **kwargs):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(slide_view, "write_json", full)
        viewer.picture._lassoed(np.array(TRIANGLE))
    assert "Not saved: no space left" in viewer.status.object
    assert list(viewer.regions) == ["region 1"] and not read_regions(viewer.slide.output)
    viewer.picture._lassoed(np.array(TRIANGLE))
    assert list(read_regions(viewer.slide.output)) == ["region 1", "region 2"]


@pytest.mark.parametrize("text", ["", "[1]", '{"regions_um": {"a": [[1, 2]]}}', '{"a": 1}'])
def test_broken_regions_are_not_replaced(labelled, text):
    """A file that cannot be read is an error that names it, and stays."""
    path = slide_view.regions_path(labelled)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"regions\.json holds no regions"):
        SlideViewer(labelled)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "regions", [{"": TRIANGLE}, {"a": TRIANGLE[:2]}, {"a": [1, 2, 3]}, {"a": [[np.nan, 1]] * 3}]
)
def test_what_is_no_region(viewer, regions):
    """Regions need a name and three corners; those of before stay."""
    viewer.regions = {"left": TRIANGLE}
    with pytest.raises(ValueError, match=r"Draw it again|Give it one"):
        viewer.regions = regions
    assert list(viewer.regions) == ["left"] == list(read_regions(viewer.slide.output))


def test_regions_file_is_plain(viewer):
    """Others can read what was drawn."""
    viewer.regions = {"left": TRIANGLE}
    written = json.loads(slide_view.regions_path(viewer.slide.output).read_text("utf-8"))
    assert written == {"regions_um": {"left": TRIANGLE}}
    viewer.regions["left"][:] = 0  # a copy
    assert np.array_equal(viewer.regions["left"], TRIANGLE)


# ---- slides of all kinds


def test_unmeasured_slide(nerve, tmp_path):
    """It can be looked at; that there are no numbers is said, and the id is there."""
    slide.segment_slide(nerve.labels, tmp_path / "s", model=None, pixel_size=0.1, tile=256)
    viewer = SlideViewer(tmp_path / "s")
    assert viewer.__panel__().get_root()
    assert "not measured yet" in viewer.status.object
    assert list(viewer.picture.param.colour.objects) == ["class"]
    assert viewer.next.disabled and viewer.closer.disabled and viewer.image.disabled
    row, column = np.argwhere(nerve.fibres)[0]
    viewer.picture._tapped(column * 0.1, row * 0.1)
    assert viewer.selected.to_dict() == {"fibre_id": viewer.slide.fibre_id}
    assert "not measured yet" in viewer.details.object
    viewer._key("n")
    viewer._key("z")
    assert "measure_slide first" in viewer.status.object
    slide.measure_slide(tmp_path / "s")
    viewer.refresh()
    assert "g_ratio" in viewer.picture.param.colour.objects and not viewer.next.disabled
    assert "fibre diameter" in viewer.details.object


def test_slide_with_an_image(large):
    """It is drawn in grey, and can be left out."""
    viewer = SlideViewer(large)
    painter = viewer.picture._painter
    window = painter.window()
    drawn = painter.paint(window, Look(fibres="hidden"))
    assert np.ptp(drawn[:, :, 0]) > 240 and not viewer.image.disabled
    assert (painter.paint(window, Look(image=False, fibres="hidden")) == plot_slide.BARE).all()


@pytest.mark.parametrize("look", [{"fibres": "filled"}, {"colour": "g_ratio"}, {"opacity": 0.9}])
def test_figure_follows_the_controls(viewer, look):
    """Whatever is chosen, the figure is drawn anew."""
    viewer.__panel__().get_root()
    before = viewer.picture._revision
    viewer.picture.param.update(**look)
    assert viewer.picture._revision > before
    assert hv.renderer("bokeh").get_plot(viewer.picture._detail(None, None, 0))
    assert ("g-ratio" if "colour" in look else "myelin") in viewer.legend.object


def test_slide_without_fibres(tmp_path):
    """An empty slide is no error."""
    slide.segment_slide(np.zeros((60, 70), np.uint8), tmp_path / "s", model=None, pixel_size=0.1)
    slide.measure_slide(tmp_path / "s")
    viewer = SlideViewer(tmp_path / "s")
    assert viewer.__panel__().get_root()
    viewer.next.clicks += 1
    viewer.picture.colour = "g_ratio"
    assert viewer.selected is None


def test_no_slide(tmp_path):
    """A folder that holds none is an error that says so."""
    with pytest.raises(FileNotFoundError, match="no slide"):
        SlideViewer(tmp_path)


@pytest.mark.parametrize("layer", ["image", "classes", "g_ratio", "axon_diameter_um"])
def test_overview(labelled, layer):
    """Every layer is drawn, with a caption that tells what it is."""
    drawn = plot_slide.overview(labelled, layer)
    figure = hv.renderer("bokeh").get_plot(drawn).state
    assert "150 × 200 px at 0.1 µm" in figure.title.text
    assert figure.y_range.start > figure.y_range.end  # y points down


def test_overview_of_what_is_not_there(labelled, large):
    """An unknown column, and a slide without a table, are errors that say what to do."""
    with pytest.raises(ValueError, match="no column 'size'"):
        plot_slide.overview(labelled, "size")
    with pytest.raises(FileNotFoundError, match="measure_slide first"):
        plot_slide.overview(large, "g_ratio")
