"""The doctor's widget in JupyterLab: with the keyboard a finding is looked at, and allowed."""

import pytest
from steps import FIRST_RUN_MS, cell_with, run_all, wait_until, write_notebook

CELLS = [
    """
import shutil
from pathlib import Path
import axonlab as al
shutil.copytree(al.samples.fetch("phantoms"), "bad", dirs_exist_ok=True)
pairs = al.pairs.find_pairs("bad")
pairs[0].image.write_bytes(pairs[0].image.read_bytes()[:3000])
findings = al.dataset.check_dataset(pairs, pixel_size=0.1)
allow = []
al.widgets.DoctorWidget(pairs, findings, allow)
""",
    """
al.dataset.refuse(findings, allow)
print("let through in spite of", allow)
""",
]


@pytest.fixture(scope="module")
def opened(page, lab, lab_folder):
    """Run the notebook once; its second cell refuses the data."""
    write_notebook(lab_folder / "notebooks" / "doctor.ipynb", CELLS)
    run_all(page, f"{lab}/doctor.ipynb")
    page.get_by_text("Correct them, or allow").first.wait_for(timeout=FIRST_RUN_MS)
    return page


def test_with_the_keyboard(opened):
    """A finding is chosen by Enter and its picture shown; a box ticked lets the next cell pass."""
    widget = cell_with(opened, "DoctorWidget").locator(".axonlab-doctor").first
    widget.scroll_into_view_if_needed()
    assert widget.locator("figure img").count() == 0  # the first finding: it cannot be read
    others = widget.locator(".axonlab-doctor-row button:not(:text-is('unreadable'))")
    shown = widget.get_by_role("region", name="Pictures of the finding")
    told = shown.inner_text()
    others.first.focus()
    opened.keyboard.press("Enter")
    wait_until(lambda: shown.inner_text() != told, opened)

    widget.get_by_role("checkbox", name="unreadable").focus()
    opened.keyboard.press("Space")
    cell_with(opened, "refuse(").locator(".jp-InputArea-editor").click()
    opened.keyboard.press("Shift+Enter")
    opened.get_by_text("let through in spite of ['unreadable']").wait_for(timeout=FIRST_RUN_MS)


def test_the_filter(opened):
    """With the mouse: only findings of one severity are listed."""
    widget = cell_with(opened, "DoctorWidget").locator(".axonlab-doctor").first
    rows = widget.locator(".axonlab-doctor-row:has(button)")
    n = rows.count()
    widget.get_by_role("button", name="severe (1)").click()
    wait_until(lambda: rows.count() == 1 < n, opened)
    widget.get_by_role("button", name="all").click()
    wait_until(lambda: rows.count() == n, opened)
