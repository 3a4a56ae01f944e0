"""The label widget as a person uses it: in JupyterLab, with mouse and keyboard, to the pixel."""

import json
import re
import time
from itertools import pairwise

import numpy as np
import pytest
from steps import FIRST_RUN_MS, run_all, wait_until, write_notebook

from axonlab import io
from axonlab.autosave import replay
from axonlab.labelling import Labelling
from axonlab.micrograph import UNLABELLED, Micrograph

HEIGHT, WIDTH = 120, 160
MYELIN, AXON = 1, 2
CELLS = (
    """
import numpy as np
import axonlab as al
pixels = np.random.default_rng(0).normal(100, 20, (120, 160))
micrograph = al.micrograph.Micrograph(pixels, pixel_size=0.1, name="noise")
labelling = al.autosave.open_labelling(micrograph, "runs/browser/01_labels")
al.widgets.LabelWidget(labelling)
""",
    "al.widgets.LabelWidget(labelling)  # the second view",
    "# from Python",
)


@pytest.fixture(scope="module")
def notebook(lab_folder):
    """Write a notebook with two views of one small labelling."""
    write_notebook(lab_folder / "notebooks" / "label.ipynb", CELLS)
    return "label.ipynb"


@pytest.fixture(scope="module")
def opened(page, lab, notebook):
    """Run the notebook once."""
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    run_all(page, f"{lab}/{notebook}")
    page.locator(".axonlab-stage").nth(1).wait_for(timeout=FIRST_RUN_MS)
    return page


@pytest.fixture
def bench(opened, lab_folder):
    """Return the first view, with nothing labelled and the whole picture shown."""
    bench = Bench(opened, lab_folder / "notebooks/runs/browser/01_labels")
    bench.stage.scroll_into_view_if_needed()
    bench.fit()
    bench.choose("Eraser")
    bench.press("99 times ]")
    bench.drag((0, 30), (WIDTH, 30), (WIDTH, 90), (0, 90))
    bench.wait_for(np.full((HEIGHT, WIDTH), UNLABELLED))
    bench.set_size(9)
    bench.choose("Brush")
    bench.press("2")
    yield bench
    assert opened.faults == []


class Bench:
    """One view of the labelling, moved in pixels of the image."""

    def __init__(self, page, folder, number=0):
        self.page, self.folder = page, folder
        self.root = page.locator(".axonlab-label").nth(number)
        self.stage = self.root.locator(".axonlab-stage")

    def fit(self):
        """Show the whole picture."""
        self.root.get_by_role("button", name="Fit").click()
        box = self.stage.bounding_box()
        self.scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)
        self.left = (WIDTH - box["width"] / self.scale) / 2
        self.top = (HEIGHT - box["height"] / self.scale) / 2

    def at(self, x, y):
        """Return where a position of the image is on the page."""
        box = self.stage.bounding_box()
        return box["x"] + (x - self.left) * self.scale, box["y"] + (y - self.top) * self.scale

    def drag(self, *points):
        """Draw with the mouse from point to point."""
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point))
        self.page.mouse.up()

    def click(self, x, y, **how):
        """Click on a position of the image."""
        self.page.mouse.click(*self.at(x, y), **how)

    def choose(self, name):
        """Choose a tool or class by its button."""
        self.root.locator(".axonlab-button", has_text=name).first.click()

    def press(self, keys):
        """Press a key on the picture; ``7 times x`` presses it that often."""
        times = re.fullmatch(r"(\d+) times (.+)", keys)
        for _ in range(int(times[1]) if times else 1):
            self.stage.press(times[2] if times else keys)

    def set_size(self, diameter):
        """Set the diameter of the brush."""
        self.root.get_by_label("size").fill(str(diameter))

    def run_python(self, code):
        """Run code in the last cell, and come back to the picture."""
        self.page.locator(".jp-CodeCell", has_text="# from Python").locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(f"# from Python\n{code}")
        self.page.keyboard.press("Control+Enter")
        self.stage.scroll_into_view_if_needed()
        self.stage.focus()

    def kept(self):
        """Return the labels as they are on disk: the mask and its journal."""
        micrograph = Micrograph(np.zeros((HEIGHT, WIDTH)), pixel_size=0.1)
        labelling = Labelling(micrograph, io.read_labels(self.folder / "labels.png"))
        problem = replay(self.folder / "journal.jsonl", labelling)
        return None if problem else labelling.labels

    def wait_for(self, expected, seconds=10):
        """Wait until the labels on disk are the expected ones, pixel for pixel."""

        def equal():
            kept = self.kept()
            return kept is not None and np.array_equal(kept, expected)

        try:
            wait_until(equal, self.page, seconds)
        except AssertionError:
            kept = self.kept()
            different = np.argwhere(kept != expected)
            raise AssertionError(
                f"{len(different)} pixels differ, the first at {different[:3].tolist()}: "
                f"{kept[tuple(different[0])]}, not {expected[tuple(different[0])]}"
            ) from None


def blank():
    """Return labels in which nothing is labelled."""
    return np.full((HEIGHT, WIDTH), UNLABELLED, np.uint8)


def stroke(points, diameter):
    """Return the pixels whose centre a brush covers on its way through the centres of pixels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    covered = np.zeros((HEIGHT, WIDTH), bool)
    centres = np.floor(np.array(points)) + 0.5
    for (x0, y0), (x1, y1) in pairwise(centres):
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / (length or 1)
        along = along.clip(0, 1)
        distance = np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        covered |= distance <= diameter / 2 + 1e-9
    return covered


def test_brush_and_eraser(bench):
    """A stroke covers what its disc covers; the eraser makes it unlabelled again."""
    way = [(20.5, 30.5), (90.5, 50.5), (60.5, 100.5)]
    bench.drag(*way)
    expected = blank()
    expected[stroke(way, 9)] = AXON
    bench.wait_for(expected)
    bench.press("e")
    bench.set_size(5)
    cut = [(40.5, 20.5), (70.5, 70.5)]
    bench.drag(*cut)
    expected[stroke(cut, 5)] = UNLABELLED
    bench.wait_for(expected)


def test_class_and_size_by_key(bench):
    """Number keys choose the class, brackets the size; JupyterLab keeps its cells."""
    n_cells = bench.page.locator(".jp-Cell").count()
    bench.press("1")
    bench.press("2 times ]")
    bench.press("[")
    size = int(bench.root.get_by_label("size").input_value())
    assert size > 9
    bench.drag((50.5, 50.5), (50.5, 50.5))
    expected = blank()
    expected[stroke([(50.5, 50.5)] * 2, size)] = MYELIN
    bench.wait_for(expected)
    for key in "aabbxxmydd":  # JupyterLab's own, in command mode
        bench.press(key)
    assert bench.page.locator(".jp-Cell").count() == n_cells


def test_fill_takes_a_connected_area(bench):
    """Filling inside a closed outline stays inside."""
    outline = [(30.5, 30.5), (110.5, 30.5), (110.5, 90.5), (30.5, 90.5), (30.5, 30.5)]
    bench.press("1")
    bench.set_size(3)
    bench.drag(*outline)
    bench.press("g")
    bench.press("2")
    bench.click(70.5, 60.5)
    expected = blank()
    expected[stroke(outline, 3)] = MYELIN
    expected[32:89, 32:109] = AXON
    bench.wait_for(expected)


def test_polygon_and_lasso(bench):
    """Both cover the pixels whose centre they hold."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    triangle = (x < 80) & (y > 20) & ((y - 20) * 60 < (x - 20) * 40)
    expected = blank()
    expected[triangle] = AXON
    bench.press("p")
    for point in ((20, 20), (80, 20), (80, 60), (120, 110)):
        bench.click(*point)
    bench.press("Backspace")
    bench.press("Enter")
    bench.wait_for(expected)
    bench.press("Control+z")
    bench.wait_for(blank())
    bench.click(20, 20)
    bench.click(80, 20)
    bench.press("h")  # one may pan between corners
    bench.press("p")
    bench.click(80, 60, click_count=2)
    bench.wait_for(expected)
    bench.press("l")
    bench.press("1")
    bench.drag((90, 70), (140, 70), (140, 100), (90, 100))
    expected[70:100, 90:140] = MYELIN
    bench.wait_for(expected)


def test_scissors_separate_two_fibres(bench):
    """A cut is a line of background one pixel wide, and only through what is labelled."""
    from scipy import ndimage

    bench.press("l")
    bench.drag((40, 40), (120, 40), (120, 80), (40, 80))
    expected = blank()
    expected[40:80, 40:120] = AXON
    bench.wait_for(expected)
    bench.press("x")
    bench.drag((60.5, 30.5), (95.5, 90.5))
    wait_until(lambda: (bench.kept() == 0).any(), bench.page)
    kept = bench.kept()
    cut = kept == 0
    assert (kept[~cut] == expected[~cut]).all() and (expected[cut] == AXON).all()
    either_side = ndimage.label(kept == AXON, structure=np.ones((3, 3)))[1]
    assert either_side == 2
    # one pixel wide, joined over edges: as many pixels as steps
    rows, columns = np.nonzero(cut)
    assert cut.sum() == np.ptp(rows) + np.ptp(columns) + 1


def test_pick_takes_the_class_under_the_pointer(bench):
    """After picking myelin, the brush paints myelin."""
    bench.press("1")
    bench.drag((30.5, 30.5), (30.5, 30.5))
    bench.press("3")
    bench.press("i")
    bench.click(30.5, 30.5)
    bench.press("b")
    bench.drag((100.5, 60.5), (100.5, 60.5))
    expected = blank()
    for point in ((30.5, 30.5), (100.5, 60.5)):
        expected[stroke([point] * 2, 9)] = MYELIN
    bench.wait_for(expected)


def test_undo_and_redo(bench):
    """Ctrl+Z and Ctrl+Shift+Z walk through the edits, as do the buttons."""
    states = [blank()]
    for row in (20.5, 50.5, 80.5):
        bench.drag((20.5, row), (120.5, row))
        states.append(states[-1].copy())
        states[-1][stroke([(20.5, row), (120.5, row)], 9)] = AXON
    bench.wait_for(states[3])
    for n in (2, 1):
        bench.press("Control+z")
        bench.wait_for(states[n])
    bench.root.get_by_role("button", name="Undo").click()
    bench.wait_for(states[0])
    bench.press("Control+Shift+z")
    bench.root.get_by_role("button", name="Redo").click()
    bench.wait_for(states[2])


def test_edits_faster_than_the_kernel(bench):
    """Strokes and undo sent without waiting end in the same labels everywhere."""
    expected = blank()
    for i in range(12):
        row = 5.5 + 9 * i
        bench.drag((10.5, row), (150.5, row))
        if i % 3 == 2:
            bench.page.keyboard.press("Control+z")
        else:
            expected[stroke([(10.5, row), (150.5, row)], 9)] = AXON
    bench.wait_for(expected)


def test_zoom_and_pan_then_draw(bench):
    """Coordinates are right at any zoom; the pixel under the pointer stays there."""
    bench.click(80.5, 60.5)  # focus: the wheel scrolls the notebook before
    bench.press("Control+z")
    px, py = bench.at(100, 40)
    bench.page.mouse.move(px, py)
    bench.page.mouse.wheel(0, -240)
    bench.page.mouse.wheel(0, -240)
    bench.page.wait_for_timeout(300)
    bench.left = 100 - (100 - bench.left) / 4
    bench.top = 40 - (40 - bench.top) / 4
    bench.scale *= 4
    bench.set_size(1)
    bench.click(100.5, 40.5)
    bench.press("h")
    bench.drag((100, 40), (95, 45))
    bench.left += 5
    bench.top -= 5
    bench.press("b")
    bench.click(97.5, 45.5)
    expected = blank()
    expected[40, 100] = expected[45, 97] = AXON
    bench.wait_for(expected)


def test_painting_by_keyboard(bench):
    """Arrows move the tool, Space presses it."""
    bench.page.mouse.move(5, 5)
    bench.set_size(1)
    bench.stage.focus()
    bench.press("ArrowRight")
    bench.page.keyboard.down(" ")
    bench.press("10 times ArrowRight")
    bench.page.keyboard.up(" ")
    expected = blank()
    expected[60, 81:92] = AXON  # from the middle, one step right
    bench.wait_for(expected)


def test_other_classes_are_kept_on_demand(bench):
    """With the switch on, the brush paints over background and what is unlabelled only."""
    bench.drag((30.5, 60.5), (60.5, 60.5))
    bench.press("1")
    bench.root.get_by_text("keep other classes").click()
    bench.drag((50.5, 60.5), (90.5, 60.5))
    bench.root.get_by_text("keep other classes").click()
    expected = blank()
    expected[stroke([(50.5, 60.5), (90.5, 60.5)], 9)] = MYELIN
    expected[stroke([(30.5, 60.5), (60.5, 60.5)], 9)] = AXON
    bench.wait_for(expected)


def test_escape_takes_the_stroke_in_progress_back(bench):
    """Nothing of it is kept."""
    bench.page.mouse.move(*bench.at(20, 20))
    bench.page.mouse.down()
    bench.page.mouse.move(*bench.at(100, 100))
    bench.page.keyboard.press("Escape")
    bench.page.mouse.up()
    bench.drag((50.5, 20.5), (50.5, 20.5))
    expected = blank()
    expected[stroke([(50.5, 20.5)] * 2, 9)] = AXON
    bench.wait_for(expected)


def test_two_views_show_the_same(bench):
    """What is painted in one view is seen in the other, and both edit one truth."""
    other = Bench(bench.page, bench.folder, number=1)
    bench.drag((30.5, 60.5), (130.5, 60.5))
    other.stage.scroll_into_view_if_needed()
    other.fit()
    other.press("i")
    other.click(80.5, 60.5)  # the axon painted in the first view
    other.press("e")
    other.set_size(9)
    other.drag((80.5, 20.5), (80.5, 100.5))
    expected = blank()
    expected[stroke([(30.5, 60.5), (130.5, 60.5)], 9)] = AXON
    expected[stroke([(80.5, 20.5), (80.5, 100.5)], 9)] = UNLABELLED
    other.wait_for(expected)
    assert other.root.locator("input[value='2'][type=radio]").is_checked()
    bench.stage.scroll_into_view_if_needed()
    bench.press("Control+z")  # takes back what the other view did
    expected[stroke([(30.5, 60.5), (130.5, 60.5)], 9)] = AXON
    bench.wait_for(expected)


def test_meter_counts_what_is_labelled(bench):
    """Shares of the classes follow the labels."""
    bench.press("l")
    bench.drag((0, 0), (80, 0), (80, 120), (0, 120))
    share = bench.root.locator(".axonlab-button", has_text="2 axon").locator(".axonlab-share")
    wait_until(lambda: share.inner_text() == "50 %", bench.page)


def test_a_newer_file_of_somebody_else_is_not_overwritten(bench):
    """The widget asks; theirs is kept beside ours."""
    bench.drag((30.5, 60.5), (60.5, 60.5))
    expected = blank()
    expected[stroke([(30.5, 60.5), (60.5, 60.5)], 9)] = AXON
    bench.wait_for(expected)
    note = bench.root.locator(".axonlab-note")
    wait_until(lambda: "saved" in note.inner_text(), bench.page)
    theirs = np.full((HEIGHT, WIDTH), MYELIN, np.uint8)
    time.sleep(0.05)
    io.write_labels(bench.folder / "labels.png", theirs, overwrite=True)
    bench.root.get_by_role("button", name="Save").click()
    alert = bench.root.get_by_role("alert")
    alert.get_by_text("somebody else").wait_for()
    assert (io.read_labels(bench.folder / "labels.png") == theirs).all()
    alert.get_by_role("button", name="Keep mine").click()
    wait_until(lambda: not alert.inner_text(), bench.page)
    assert (io.read_labels(bench.folder / "labels.png") == expected).all()
    (kept,) = bench.folder.glob("labels.theirs-*.png")
    assert (io.read_labels(kept) == theirs).all()
    kept.unlink()


def test_labels_from_python_arrive_and_can_be_undone(bench):
    """A fresh prediction replaces the labels in every view; what was painted comes back."""
    bench.drag((30.5, 60.5), (130.5, 60.5))
    painted = blank()
    painted[stroke([(30.5, 60.5), (130.5, 60.5)], 9)] = AXON
    bench.wait_for(painted)
    bench.run_python("labelling.replace(np.full((120, 160), 1, np.uint8))")
    bench.wait_for(np.full((HEIGHT, WIDTH), MYELIN))
    for number in (0, 1):
        view = bench.page.locator(".axonlab-label").nth(number)
        share = view.locator(".axonlab-button", has_text="1 myelin").locator(".axonlab-share")
        wait_until(lambda share=share: share.inner_text() == "100 %", bench.page)
    bench.press("Control+z")
    bench.wait_for(painted)


def test_strokes_while_a_cell_runs(bench):
    """A busy kernel gets them when it is done; until then the widget says that they wait."""
    # JupyterLab and ipykernel may handle messages beside a running cell: the lock stops them, too
    bench.run_python("import time\nwith labelling.lock: time.sleep(8)")
    bench.drag((30.5, 60.5), (130.5, 60.5))
    bench.root.get_by_role("alert").get_by_text("edits wait here and are not saved (1)").wait_for(
        timeout=7_000
    )
    expected = blank()
    expected[stroke([(30.5, 60.5), (130.5, 60.5)], 9)] = AXON
    bench.wait_for(expected)
    wait_until(lambda: not bench.root.get_by_role("alert").inner_text(), bench.page)


def test_suggestion_is_accepted_by_class(bench):
    """Strokes become a suggestion; what is accepted fills what nobody labelled, in one edit."""
    bench.drag((30.5, 20.5), (30.5, 100.5))
    bench.root.get_by_role("button", name="Suggest").click()
    bench.root.get_by_role("alert").get_by_text("at least two classes").wait_for()
    bench.stage.focus()
    bench.press("1")
    bench.drag((130.5, 20.5), (130.5, 100.5))
    painted = blank()
    painted[stroke([(30.5, 20.5), (30.5, 100.5)], 9)] = AXON
    painted[stroke([(130.5, 20.5), (130.5, 100.5)], 9)] = MYELIN
    bench.wait_for(painted)
    bench.root.get_by_role("button", name="Suggest").click()
    accept = bench.root.get_by_role("group", name="Accept")
    accept.wait_for(timeout=60_000)
    accept.get_by_role("button", name="axon", exact=True).click()
    wait_until(lambda: (bench.kept() != painted).any(), bench.page)
    assert not bench.root.get_by_role("alert").inner_text()
    changed = bench.kept() != painted
    assert (bench.kept()[changed] == AXON).all() and (painted[changed] == UNLABELLED).all()
    bench.press("Control+z")
    bench.wait_for(painted)
    before = bench.stage.screenshot()
    bench.root.get_by_role("button", name="Where next?").click()
    wait_until(lambda: bench.stage.screenshot() != before, bench.page)
    accept.get_by_role("button", name="Dismiss").click()
    accept.wait_for(state="hidden")


def test_full_disk_is_told_and_nothing_lost(bench):
    """What cannot be written stays in memory, and is written as soon as it can be."""
    bench.drag((30.5, 20.5), (130.5, 20.5))
    expected = blank()
    expected[stroke([(30.5, 20.5), (130.5, 20.5)], 9)] = AXON
    bench.wait_for(expected)
    limit = "import resource as r; full = r.getrlimit(r.RLIMIT_FSIZE); "
    limit += "r.setrlimit(r.RLIMIT_FSIZE, (100, full[1]))"
    bench.run_python(limit)
    bench.drag((30.5, 60.5), (130.5, 60.5))
    alert = bench.root.get_by_role("alert")
    alert.get_by_text("Not saved").wait_for()
    bench.wait_for(expected)
    bench.run_python("r.setrlimit(r.RLIMIT_FSIZE, full)")
    bench.root.get_by_role("button", name="Save").click()
    expected[stroke([(30.5, 60.5), (130.5, 60.5)], 9)] = AXON
    bench.wait_for(expected)
    wait_until(lambda: not alert.inner_text(), bench.page)


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_text_can_be_read_in_both_themes(bench, theme):
    """Text stands out from its ground by at least 4.5 : 1, as WCAG 2 asks."""
    page = bench.page
    page.get_by_text("Settings", exact=True).first.click()
    page.get_by_text("Theme", exact=True).first.hover()
    page.get_by_text(theme, exact=True).click()
    page.wait_for_timeout(1500)
    for selector in (".axonlab-button", ".axonlab-note", ".axonlab-share"):
        colours = bench.root.locator(selector).first.evaluate(
            """node => {
                const colour = getComputedStyle(node).color;
                const ground = () => getComputedStyle(node).backgroundColor;
                while (ground() === "rgba(0, 0, 0, 0)") node = node.parentElement;
                return [colour, ground()];
            }"""
        )
        front, back = (luminance(colour) for colour in colours)
        assert (max(front, back) + 0.05) / (min(front, back) + 0.05) >= 4.5, (selector, colours)


def luminance(colour):
    """Return the relative luminance of ``rgb(r, g, b)``; what is transparent counts as on white."""
    r, g, b, alpha = ([float(n) for n in re.findall(r"[\d.]+", colour)] + [1.0])[:4]
    mixed = [alpha * n / 255 + (1 - alpha) * (1.0 if r < 128 else 0.07) for n in (r, g, b)]
    linear = [n / 12.92 if n <= 0.04045 else ((n + 0.055) / 1.055) ** 2.4 for n in mixed]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_reload_and_kernel_restart_bring_all_back(bench, lab, lab_folder, notebook):
    """A reloaded page shows the labels at once; after a restart, running the cell does."""
    page = bench.page
    bench.drag((30.5, 60.5), (130.5, 60.5))
    expected = blank()
    expected[stroke([(30.5, 60.5), (130.5, 60.5)], 9)] = AXON
    bench.wait_for(expected)
    page.keyboard.press("Control+s")  # JupyterLab's own, with the focus on the picture
    saved = lab_folder / "notebooks" / notebook
    wait_until(lambda: "image/png" in saved.read_text(), page)
    page.goto(f"{lab}/{notebook}")
    # JupyterLab may leave out what it does not show: attached is enough
    bench.stage.wait_for(state="attached", timeout=FIRST_RUN_MS)
    bench.stage.scroll_into_view_if_needed()
    bench.fit()
    bench.press("i")
    bench.click(80.5, 60.5)
    bench.press("b")
    bench.set_size(3)
    bench.drag((80.5, 100.5), (80.5, 100.5))
    expected[stroke([(80.5, 100.5)] * 2, 3)] = AXON
    bench.wait_for(expected)

    page.get_by_text("Kernel", exact=True).first.click()
    page.get_by_text("Restart Kernel…", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    bench.root.get_by_role("alert").get_by_text("kernel has stopped").wait_for(timeout=30_000)
    page.get_by_text("Run", exact=True).first.click()
    page.get_by_text("Run All Cells", exact=True).click()
    alive = page.locator(".axonlab-stage:not(.axonlab-closed)").first
    alive.wait_for(state="attached", timeout=FIRST_RUN_MS)
    bench.wait_for(expected)
    bench.stage.scroll_into_view_if_needed()
    bench.fit()
    bench.set_size(3)
    bench.drag((80.5, 20.5), (80.5, 20.5))
    expected[stroke([(80.5, 20.5)] * 2, 3)] = AXON
    bench.wait_for(expected)
    assert json.loads((bench.folder / "image.json").read_text())["image"] == "noise"
