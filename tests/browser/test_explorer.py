"""The explorer as a person sees it: brush, click, delete and undo with the mouse."""

import re

import pytest
from steps import (
    FIRST_RUN_MS,
    cell_with,
    count_colour,
    run_all,
    served,
    wait_for_panel,
    wait_until,
    write_notebook,
)

from axonlab.plot_window import SELECTED

IMPORTS = """
import holoviews as hv
import pandas as pd
import panel as pn
import axonlab as al
pn.extension("tabulator", inline=True)
hv.extension("bokeh", inline=True, logo=False)
"""
SETUP = """
nerve = al.phantom.nerve((400, 500), seed=3)
correction = al.correct.Correction(nerve.labels, pixel_size=0.1, min_axon_diameter=0.3)
doubtful = pd.DataFrame({"fibre_id": [7], "reason": ["it has a hole"]})
explorer = al.widgets.FibreExplorer(nerve.micrograph, correction, doubtful=doubtful)
"""
# a value, since what is printed gets lost while the kernel answers the explorer
STATE = """
are_in_step = sorted(set(correction.fibres.ravel()) - {0}) == list(correction.table.fibre_id)
[are_in_step, [entry["what"] for entry in correction.trail], explorer.exploration.selection]
"""

LARGEST_FIBRE = (("x", 0.61, "width"), ("y", 0.33, "height"))
"""Where it is in the figure."""


@pytest.fixture(scope="module")
def notebook(page, lab, lab_folder):
    """Run a notebook with an explorer in JupyterLab."""
    cells = [IMPORTS, f"{SETUP}explorer", STATE]
    write_notebook(lab_folder / "notebooks" / "explorer.ipynb", cells)
    run_all(page, f"{lab}/explorer.ipynb")
    cell_with(page, "FibreExplorer").locator(".bk-Figure").nth(1).wait_for(timeout=FIRST_RUN_MS)
    wait_for_panel(page)
    return page


@pytest.fixture(scope="module")
def app(page, tmp_path_factory):
    """Serve the same explorer as an app, and open it where nothing but the app can be reached."""
    path = tmp_path_factory.mktemp("app") / "explorer.py"
    path.write_text(f"{IMPORTS}{SETUP}explorer.servable()\n")
    with served(path) as address:
        other = page.context.browser.new_page(viewport={"width": 1200, "height": 1100})
        asked = []
        other.route(re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda route: asked.append(route))
        other.goto(address)
        other.locator(".bk-Figure").nth(1).wait_for(timeout=FIRST_RUN_MS)
        other.wait_for_timeout(2000)
        assert not asked
        yield other
        other.close()


def numbers(page):
    """Return how many fibres are selected, shown, and there."""
    told = page.get_by_text(re.compile(r"selected · ")).first.inner_text()
    return tuple(map(int, re.findall(r"\d+", told)))


def brush(page, figure):
    """Draw a box over the middle of a plot."""
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    x, y = box["x"] + 0.35 * box["width"], box["y"] + 0.1 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.3 * box["width"], y + 0.4 * box["height"], steps=8)
    page.mouse.up()


def explore(page):
    """Brush, click, delete and undo; all views follow."""
    picture, scatter = (page.locator(".bk-Figure").nth(i) for i in range(2))
    n = numbers(page)[2]
    assert numbers(page) == (0, n, n) and n > 50

    before = count_colour(picture, SELECTED)
    brush(page, scatter)
    wait_until(lambda: numbers(page)[0] > 1, page)
    wait_until(lambda: count_colour(picture, SELECTED) > before + 200, page)

    page.get_by_role("button", name="Clear selection").click()
    wait_until(lambda: numbers(page)[0] == 0, page)
    rows = page.locator(".tabulator-row.tabulator-selected")
    wait_until(lambda: rows.count() == 0, page)
    box = picture.bounding_box()
    page.mouse.click(*(box[a] + share * box[side] for a, share, side in LARGEST_FIBRE))
    wait_until(lambda: rows.count() == 1, page)
    fibre_id = rows.locator("[tabulator-field='fibre id']").inner_text()

    page.get_by_role("button", name="Delete", exact=True).click()
    wait_until(lambda: numbers(page) == (0, n - 1, n - 1), page)
    page.get_by_text(f"Fibre {fibre_id} deleted.").wait_for()
    page.get_by_role("button", name="↶ Undo", exact=True).click()
    wait_until(lambda: numbers(page)[1:] == (n, n), page)

    page.get_by_role("button", name="Next doubtful").click()
    page.get_by_text("Fibre 7: it has a hole.").wait_for()
    wait_until(lambda: count_colour(picture, SELECTED) > before + 200, page)


def test_explore_in_jupyterlab(notebook):
    """The explorer answers the mouse, and the kernel's masks and table follow."""
    explore(notebook)
    printer = cell_with(notebook, "are_in_step")
    printer.locator(".cm-content").click()
    notebook.keyboard.press("Control+Enter")
    wait_until(lambda: "[True, ['delete', 'undo'], [7]]" in printer.inner_text(), notebook)
    assert notebook.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0


def test_explore_the_served_app(app):
    """The same without Jupyter, and without a network."""
    explore(app)


def test_plots_change_by_keyboard(app):
    """Tab and Enter reach the views of the plot."""
    app.get_by_role("button", name="diameters").focus()
    app.keyboard.press("Enter")
    app.keyboard.press("Tab")
    app.keyboard.press("Enter")
    app.get_by_label("distribution of").wait_for()
