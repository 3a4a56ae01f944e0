"""The widget of cells as a person uses it: arrow keys and the mouse change cells and scores."""

import pytest
from steps import FIRST_RUN_MS, cell_with, run_all, wait_until, write_notebook

SETUP = """
import numpy as np
from scipy import ndimage
import axonlab as al
drawn = al.phantom.membranes((2, 128, 160), seed=2)
clouds = ndimage.gaussian_filter(np.random.default_rng(0).random(drawn.interior.shape), 2)
soft = ndimage.gaussian_filter(drawn.interior.astype(float), (0, 1.5, 1.5))
probability = np.clip(0.8 * soft + clouds - 0.4, 0, 1)
widget = al.widgets.CellWidget(drawn.volume.pixels, probability, drawn.interior)
"""


@pytest.fixture(scope="module")
def notebook(page, lab, lab_folder):
    """Run a notebook with the widget in JupyterLab."""
    write_notebook(lab_folder / "notebooks" / "cells.ipynb", [f"{SETUP}widget"])
    run_all(page, f"{lab}/cells.ipynb")
    cell_with(page, "CellWidget").locator(".axonlab-cells img").first.wait_for(timeout=FIRST_RUN_MS)
    return page


def test_sliders_change_cells_and_scores(notebook):
    """An arrow key moves h, a drag the threshold: pictures and scores follow."""
    widget = cell_with(notebook, "CellWidget").locator(".axonlab-cells")
    handles = widget.get_by_role("slider")
    assert handles.count() == 3  # section, threshold, h

    def seen():
        pictures = [image.get_attribute("src") for image in widget.locator("img").all()]
        return pictures, widget.inner_text()

    before = seen()
    assert "cells" in before[1] and "Rand F" in before[1]
    handles.nth(2).focus()
    for _ in range(10):
        notebook.keyboard.press("ArrowLeft")
    wait_until(lambda: seen()[0] != before[0] and "0.00" in seen()[1], notebook)
    before = seen()
    box = handles.nth(1).bounding_box()
    notebook.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    notebook.mouse.down()
    notebook.mouse.move(box["x"] + 80, box["y"] + box["height"] / 2, steps=4)
    notebook.mouse.up()
    wait_until(lambda: seen()[0] != before[0] and seen()[1] != before[1], notebook)
    before = seen()
    handles.nth(0).focus()
    notebook.keyboard.press("ArrowRight")
    wait_until(lambda: seen()[0] != before[0], notebook)
