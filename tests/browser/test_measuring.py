"""Explorables of measuring as a person uses them: arrow keys, the mouse, buttons."""

import re

import pytest
from steps import FIRST_RUN_MS, cell_with, run_all, wait_for_panel, wait_until, write_notebook

SETUP = """
import holoviews as hv
import panel as pn
import axonlab as al
pn.extension(inline=True)
hv.extension("bokeh", inline=True, logo=False)
"""


@pytest.fixture(scope="module")
def notebook(page, lab, lab_folder):
    """Run a notebook with two explorables in JupyterLab, where nothing else can be reached."""
    page.route(re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda route: route.abort())
    cells = [SETUP, "al.widgets.FibreShapeExplorer()", "al.widgets.PowerExplorer()"]
    write_notebook(lab_folder / "notebooks" / "measuring.ipynb", cells)
    run_all(page, f"{lab}/measuring.ipynb")
    last = cell_with(page, "PowerExplorer").locator(".bk-Figure").nth(2)
    last.wait_for(timeout=FIRST_RUN_MS)
    wait_for_panel(page)
    return page


def told(cell):
    """Return what an explorable says, and what its g-ratios or numbers are."""
    return cell.get_by_role("status").inner_text()


def spread(sentence):
    """Return how far the four g-ratios that are told lie apart."""
    values = [float(value) for value in re.findall(r"0\.\d{3}", sentence)[:4]]
    return max(values) - min(values)


def test_arrow_keys_change_the_fibre(notebook):
    """From an ellipse to a circle: picture and dots follow, and the definitions agree."""
    page, cell = notebook, cell_with(notebook, "FibreShapeExplorer")
    picture, dots = (cell.locator(".bk-Figure").nth(i) for i in range(2))
    before = told(cell), picture.screenshot(), dots.screenshot()
    sliders = cell.get_by_role("slider")
    assert sliders.count() == 5
    sliders.nth(0).press("Home")
    assert spread(before[0]) > 0.1
    wait_until(lambda: spread(told(cell)) < 0.01, page)
    wait_until(lambda: picture.screenshot() != before[1], page)
    wait_until(lambda: dots.screenshot() != before[2], page)


def test_the_mouse_moves_a_slider_and_presses_a_button(notebook):
    """A drag bends the fibre; a button draws a definition over it."""
    page, cell = notebook, cell_with(notebook, "FibreShapeExplorer")
    picture = cell.locator(".bk-Figure").first
    before = told(cell)
    handle = cell.get_by_role("slider").nth(1)
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + box["height"] / 2, steps=6)
    page.mouse.up()
    wait_until(lambda: told(cell) != before, page)
    page.wait_for_timeout(1500)
    shown = picture.screenshot()
    cell.get_by_role("button", name="minor axis").click()
    wait_until(lambda: picture.screenshot() != shown, page)


def test_power_follows(notebook):
    """More animals per group: the sentence and the curves change."""
    page, cell = notebook, cell_with(notebook, "PowerExplorer")
    curves = cell.locator(".bk-Figure").nth(1)
    curves.scroll_into_view_if_needed()
    before, shown = told(cell), curves.screenshot()
    cell.get_by_role("slider").first.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    wait_until(lambda: told(cell) != before, page)
    wait_until(lambda: curves.screenshot() != shown, page)
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
