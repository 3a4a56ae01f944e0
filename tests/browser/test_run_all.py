"""Every notebook as a class opens it: "Run all" in JupyterLab leaves no error and no gap."""

import re
from pathlib import Path

import nbformat
import pytest
from quick import QUICK
from steps import FIRST_RUN_MS, run_all, wait_for_cells, wait_until

ELSEWHERE = ("00_tour", "02_train")  # tests of their own look at all of their cells
EVERY = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
NOTEBOOKS = [path for path in EVERY if path.stem not in ELSEWHERE]
BROKEN = re.compile(r"Error displaying widget|Error creating widget|Loading widget|not be loaded")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_run_all(path, page, lab, lab_folder):
    """All cells run to the end; no output is an error, a warning, a broken widget or picture."""
    content = nbformat.read(path, as_version=4)
    (parameters,) = [c for c in content.cells if "parameters" in c.metadata.get("tags", [])]
    given = QUICK.get(path.stem, {})
    parameters.source += "".join(f"\n{name} = {value!r}" for name, value in given.items())
    nbformat.write(content, lab_folder / "notebooks" / f"all_{path.name}")
    run_all(page, f"{lab}/all_{path.name}")
    wait_for_cells(page, 3 * FIRST_RUN_MS // 1000)
    cells = page.locator(".jp-CodeCell")
    for n in range(cells.count()):
        check_outputs(cells.nth(n), page)


def check_outputs(cell, page):
    """Look at what a cell shows, as it comes into sight."""
    cell.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    complaints = cell.locator(".jp-OutputArea-output[data-mime-type*='stderr']")
    assert complaints.all_inner_texts() == []  # errors are of this type, too
    outputs = cell.locator(".jp-OutputArea-output")
    wait_until(lambda: not BROKEN.search(" ".join(outputs.all_inner_texts())), page)
    empty = "all => all.filter(image => image.complete && !image.naturalWidth).length"
    assert outputs.locator("img").evaluate_all(empty) == 0
