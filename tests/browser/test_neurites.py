"""The explorer of neurites as a person sees it: click, keys, merge, split and undo."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from steps import (
    FIRST_RUN_MS,
    cell_with,
    count_colour,
    run_all,
    wait_for_panel,
    wait_until,
    write_notebook,
)

from axonlab.plot_fibres import SELECTED

IMPORTS = """
import holoviews as hv
import panel as pn
import axonlab as al
pn.extension(inline=True)
hv.extension("bokeh", inline=True, logo=False)
"""
SETUP = """
drawn = al.phantom.neurites((24, 128, 128), defects=0, seed=1)
correction = al.neurite_correct.NeuriteCorrection(
    drawn.instances, voxel_size=drawn.volume.voxel_size
)
explorer = al.widgets.NeuriteExplorer(drawn.volume, correction)
"""
# a value, since what is printed gets lost while the kernel answers the explorer
STATE = """
is_as_before = bool((correction.instances == drawn.instances).all())
[is_as_before, [entry["what"] for entry in correction.trail], len(explorer.selection)]
"""

WITHIN, ASIDE = (0.55, 0.61), (0.42, 0.68)
"""Two places of one neurite, in shares of the figure."""


@pytest.fixture(scope="module")
def notebook(page, lab, lab_folder):
    """Run a notebook with an explorer in JupyterLab, where nothing but it can be reached."""
    page.route(re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda route: route.abort())
    cells = [IMPORTS, f"{SETUP}explorer", STATE]
    write_notebook(lab_folder / "notebooks" / "neurites.ipynb", cells)
    run_all(page, f"{lab}/neurites.ipynb")
    cell_with(page, "NeuriteExplorer").locator(".bk-Figure").nth(1).wait_for(timeout=FIRST_RUN_MS)
    wait_for_panel(page)
    return page


def press(page, figure, x, y):
    """Click on a place of a figure, in shares of it."""
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def coloured(locator):
    """Count the pixels that are not grey in what an element shows."""
    picture = Image.open(io.BytesIO(locator.screenshot())).convert("RGB")
    return int((np.ptp(np.asarray(picture).astype(int), axis=-1) > 40).sum())


def test_neurites_in_jupyterlab(notebook):
    """A click is seen in both cuts, keys change the section, edits are made and taken back."""
    page = notebook
    section, cut = (page.locator(".bk-Figure").nth(i) for i in range(2))
    table = page.get_by_label("Chosen neurites")
    before = count_colour(section, SELECTED), count_colour(cut, SELECTED)

    press(page, section, *WITHIN)
    table.wait_for()
    wait_until(lambda: count_colour(section, SELECTED) > before[0] + 100, page)
    wait_until(lambda: count_colour(cut, SELECTED) > before[1] + 100, page)

    shown = section.screenshot()
    page.keyboard.press("ArrowDown")  # the click has given the figure the keys
    wait_until(lambda: section.screenshot() != shown, page)
    page.get_by_text("section (z): 13").wait_for()

    page.get_by_role("button", name="Show in 3D").click()
    scene = page.get_by_label(re.compile("^neurites in three dimensions: "))
    scene.first.wait_for()
    wait_until(lambda: coloured(scene.first) > 2000, page)
    shown = scene.first.screenshot()
    if scene.first.locator("canvas").count():  # otherwise there is no WebGL, but a picture
        box = scene.first.bounding_box()
        page.mouse.move(box["x"] + 200, box["y"] + 200)
        page.mouse.down()
        page.mouse.move(box["x"] + 260, box["y"] + 230, steps=4)
        page.mouse.up()
        wait_until(lambda: scene.first.screenshot() != shown, page)
    page.get_by_role("button", name="Show in 3D").click()
    scene.first.wait_for(state="hidden")

    chosen = table.inner_text()
    page.get_by_role("button", name="Split by two clicks").click()
    page.get_by_text("Click on two places of neurite").wait_for()
    press(page, section, *WITHIN)
    page.wait_for_timeout(1000)
    press(page, section, *ASIDE)
    page.get_by_text(re.compile(r"^Neurite \d+ split: ")).wait_for()
    wait_until(lambda: table.get_by_role("row").count() == 3, page)

    page.get_by_role("button", name="Merge", exact=True).click()
    page.get_by_text("2 neurites merged").wait_for()
    wait_until(lambda: table.inner_text() == chosen, page)
    for _ in range(2):
        page.get_by_role("button", name="↶ Undo", exact=True).click()
        page.wait_for_timeout(1000)
    page.get_by_text("Undone").wait_for()

    printer = cell_with(page, "is_as_before")
    printer.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    state = "[True, ['split', 'merge', 'undo', 'undo'], 1]"
    wait_until(lambda: state in printer.inner_text(), page)
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
