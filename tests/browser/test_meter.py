"""The meter of memory in JupyterLab: it is read, follows by itself, and warns in time."""

import pytest
from steps import FIRST_RUN_MS, cell_with, run_all, wait_until, write_notebook

SETUP = """
import axonlab as al
seen = []
al.machine.memory_limit = lambda: 2_000_000_000
al.machine.memory_free = lambda: seen.append(0) or (800_000_000 if len(seen) < 4 else 100_000_000)
al.widgets.Meter()
"""


@pytest.fixture(scope="module")
def notebook(page, lab, lab_folder):
    """Run a notebook with the meter in JupyterLab."""
    write_notebook(lab_folder / "notebooks" / "meter.ipynb", [SETUP])
    run_all(page, f"{lab}/meter.ipynb")
    cell_with(page, "Meter").get_by_text("of 2.0 GB").wait_for(timeout=FIRST_RUN_MS)
    return page


def test_it_follows_without_a_cell_being_run(notebook):
    """A bar with a label, text beside it, and a warning when memory is scarce."""
    output = cell_with(notebook, "Meter").locator(".jp-OutputArea-output")
    assert output.get_by_text("memory", exact=True).is_visible()
    wait_until(lambda: "1.9 of 2.0 GB" in output.inner_text(), notebook)
    alert = output.get_by_role("alert")
    assert "shut down other kernels" in alert.inner_text()
    bar, text = (output.locator(kind) for kind in (".progress", ".widget-html"))
    places = bar.bounding_box(), text.first.bounding_box()
    assert places[1]["x"] >= places[0]["x"] + places[0]["width"]
    assert abs(places[1]["y"] - places[0]["y"]) < 20
