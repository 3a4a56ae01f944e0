"""The tour as a person sees it: run in JupyterLab, choose, slide, select with the mouse."""

import re

import pytest
from steps import FIRST_RUN_MS, cell_with, count_colour, run_all, wait_for_panel, wait_until

from axonlab import plot_fibres


@pytest.fixture(scope="module")
def tour(page, lab):
    """Open the tour and run all its cells, once."""
    run_all(page, f"{lab}/00_tour.ipynb")
    cell_with(page, "iterdir()").get_by_text("provenance.json").last.wait_for(timeout=FIRST_RUN_MS)
    wait_for_panel(page)
    return page


def test_tour_in_jupyterlab(tour):
    """All cells run without error, figures are drawn, and a selection links the plots."""
    assert tour.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert tour.locator(".jp-OutputArea-output[data-mime-type*='stderr']").count() == 0

    form = cell_with(tour, "widgets.Form")
    form.scroll_into_view_if_needed()
    assert form.locator("select").first.input_value()

    figure = cell_with(tour, "fibre_figure")
    figure.scroll_into_view_if_needed()
    figure.locator("canvas").first.wait_for()
    tour.wait_for_timeout(2000)  # until it is drawn
    before = count_colour(figure, plot_fibres.AXON)
    figure.locator("[title='Box Select']").first.click()
    scatter = figure.locator(".bk-Figure").nth(1)
    box = scatter.bounding_box()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.2 * box["height"]
    tour.mouse.move(x, y)
    tour.mouse.down()
    tour.mouse.move(x + 0.4 * box["width"], y + 0.5 * box["height"], steps=8)
    tour.mouse.up()
    # what is not selected fades in all plots
    wait_until(lambda: count_colour(figure, plot_fibres.AXON) < 0.8 * before, tour)


def test_overlay_switch_hides_a_class(tour):
    """Switching a class off in the overlay changes the picture."""
    overlay = cell_with(tour, "OverlayView")
    overlay.scroll_into_view_if_needed()
    picture = overlay.locator(".bk-Figure").first
    picture.wait_for()
    tour.wait_for_timeout(2000)
    before = picture.screenshot()
    overlay.get_by_role("button", name=re.compile("axon")).click()
    wait_until(lambda: picture.screenshot() != before, tour)
