"""The viewer of slides as a person sees it: zoom, click, draw a region."""

import re

import pytest
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
from axonlab.widgets.slide.picture import REGION

IMPORTS = """
import holoviews as hv
import panel as pn
import axonlab as al
pn.extension(inline=True)
hv.extension("bokeh", inline=True, logo=False)
"""
SETUP = """
nerve = al.phantom.nerve((700, 900), seed=3)
pixels, size = nerve.micrograph.pixels, nerve.micrograph.pixel_size
al.slide.segment_slide(pixels, "slide.zarr", model="sem", pixel_size=size, tile=512)
al.slide.measure_slide("slide.zarr")
viewer = al.widgets.SlideViewer("slide.zarr")
"""
# a value, since what is printed gets lost while the kernel answers the viewer
STATE = """
row, fibres = viewer.selected, al.omezarr.open_levels("slide.zarr/labels/fibres")[0]
here = [] if row is None else [round(row[f"axon_centroid_{a}_um"] / size) for a in "yx"]
is_right = bool(here) and int(fibres[tuple(here)]) == row["fibre_id"]
seen = viewer.view.columns.stop - viewer.view.columns.start
f"{is_right} {seen < 800} {[len(c) for c in viewer.regions.values()]} {viewer.crop is not None}"
"""


@pytest.fixture(scope="module")
def notebook(page, lab, lab_folder):
    """Run a notebook with a viewer in JupyterLab, where nothing but it can be reached."""
    page.route(re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda route: route.abort())
    write_notebook(lab_folder / "notebooks" / "slide.ipynb", [IMPORTS, f"{SETUP}viewer", STATE])
    run_all(page, f"{lab}/slide.ipynb")
    cell_with(page, "SlideViewer").locator(".bk-Figure").first.wait_for(timeout=FIRST_RUN_MS)
    wait_for_panel(page)
    return page


def places(figure):
    """Return a function from shares of a figure to places on the page."""
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    return lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_slide_viewer_in_jupyterlab(notebook):
    """The wheel zooms, a click tells a fibre's row, clicks draw a region, keys choose fibres."""
    page, figure = notebook, notebook.locator(".bk-Figure").first
    at = places(figure)
    page.mouse.move(*at(0.5, 0.5))
    for _ in range(3):
        page.mouse.wheel(0, -120)
        page.wait_for_timeout(300)
    page.wait_for_timeout(1000)

    title = page.get_by_text(re.compile(r"^Fibre \d+$"))
    before = count_colour(figure, SELECTED)
    # wherever the fibres are, one of these places is on one
    for share in (0.5, 0.45, 0.55, 0.4, 0.6, 0.35, 0.65):
        page.mouse.click(*at(share, 0.5))
        page.wait_for_timeout(1500)
        if title.count():
            break
    wait_until(lambda: count_colour(figure, SELECTED) > before + 30, page)
    page.get_by_text("touches border").wait_for()

    page.get_by_role("button", name="Draw a region").click()
    page.get_by_text("Click on the corners").wait_for()
    at = places(figure)  # the page has scrolled to the button
    for corner in ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)):
        page.mouse.click(*at(*corner))
        page.wait_for_timeout(600)
    page.get_by_role("button", name="Close region").click()
    page.get_by_text("Region 'region 1' saved to").wait_for()
    wait_until(lambda: count_colour(figure, REGION) > 300, page)

    page.get_by_role("button", name="Open this view for labelling").click()
    page.get_by_text("are taken for labelling").wait_for()
    printer = cell_with(page, "is_right")
    printer.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    wait_until(lambda: "True True [4] True" in printer.inner_text(), page)

    cells = page.locator(".jp-CodeCell").count()
    chosen = title.inner_text()
    page.mouse.click(*places(figure)(0.02, 0.98))  # beside the frame: the keys go to the figure
    page.keyboard.press("n")
    wait_until(lambda: title.count() and title.inner_text() != chosen, page)
    page.keyboard.press("a")  # JupyterLab's own key for a new cell
    page.wait_for_timeout(500)
    assert page.locator(".jp-CodeCell").count() == cells
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
