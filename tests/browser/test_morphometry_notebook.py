"""The notebook of morphometry as a person sees it, in JupyterLab and as an app."""

import json
import re

import pytest
from steps import FIRST_RUN_MS, cell_with, run_all, served, wait_for_panel, wait_until


def count(page):
    """Return how many fibres there are."""
    told = page.get_by_text(re.compile(r"selected · ")).first.inner_text()
    return int(re.findall(r"\d+", told)[-1])


def delete_and_undo(page):
    """Delete the fibre of a row of the table, and take it back."""
    page.locator(".bk-Figure").nth(1).wait_for(timeout=FIRST_RUN_MS)
    page.wait_for_timeout(2000)
    n = count(page)
    row = page.locator(".tabulator-row").nth(2)
    row.scroll_into_view_if_needed()
    row.click()
    page.get_by_role("button", name="Delete", exact=True).click()
    wait_until(lambda: count(page) == n - 1, page)
    page.get_by_role("button", name="↶ Undo", exact=True).click()
    wait_until(lambda: count(page) == n, page)


@pytest.fixture(scope="module")
def notebook(page, lab):
    """Run all cells of the notebook."""
    run_all(page, f"{lab}/04_morphometry.ipynb")
    wait_for_panel(page)
    return page


def test_corrections_reach_masks_table_and_trail(notebook, lab_folder):
    """What is done by mouse is written by the next cell, and by whom and when."""
    cell_with(notebook, "widgets.FibreExplorer(").scroll_into_view_if_needed()
    delete_and_undo(notebook)
    keep = cell_with(notebook, "correction.save(kept)")
    keep.locator(".jp-InputArea-editor").click()
    notebook.keyboard.press("Shift+Enter")
    keep.get_by_text("undo", exact=True).wait_for(timeout=FIRST_RUN_MS)
    path = lab_folder / "runs/morphometry/sub-sem1_SEM/corrected/corrections.jsonl"
    trail = [json.loads(line)["what"] for line in path.read_text().splitlines()]
    assert trail == ["delete", "undo"]


def test_all_is_drawn(notebook):
    """No error, no widget or figure that could not be shown."""
    for source in ("widgets.LabelWidget(drawing)", "al.plot_agreement", "publish.save"):
        cell_with(notebook, source).first.scroll_into_view_if_needed()
        for broken in ("Error displaying widget", "Loading widget", "BokehJS failed"):
            assert notebook.get_by_text(broken).count() == 0, f"{source}: {broken}"
    cell_with(notebook, "widgets.LabelWidget(drawing)").locator("canvas").first.wait_for()


def test_the_app(notebook, lab_folder, monkeypatch):
    """The same notebook, served: the explorer alone, which answers."""
    monkeypatch.chdir(lab_folder)
    monkeypatch.setenv("AXONLAB_CACHE", str(lab_folder / "cache"))
    monkeypatch.delenv("AXONLAB_DATA", raising=False)
    app = notebook.context.browser.new_page(viewport={"width": 1200, "height": 1100})
    with served(lab_folder / "notebooks/04_morphometry.ipynb") as address:
        app.goto(address, timeout=FIRST_RUN_MS)
        delete_and_undo(app)
    app.close()
