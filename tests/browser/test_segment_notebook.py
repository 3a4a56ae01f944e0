"""The segmenting notebook as a person sees it: run, look at crops, stop and resume by clicks."""

import nbformat
import pytest
from steps import FIRST_RUN_MS, cell_with, run_all, wait_until

SHOWN = {
    "widgets.SegmentWidget": "img[alt*='as sem sees it at 0.1 µm']",
    "contact_sheet": "figure img >> nth=3",
    "plot.uncertainty": ".bk-Figure",
    "nlargest": "table",
}
"""What is seen in each cell."""


@pytest.fixture(scope="module")
def notebook(page, lab, lab_folder):
    """Run all cells of the notebook, once, in a folder of results of its own."""
    path = lab_folder / "notebooks" / "03_segment.ipynb"
    content = nbformat.read(path, as_version=4)
    (parameters,) = [c for c in content.cells if "parameters" in c.metadata.get("tags", [])]
    parameters.source += '\nrun, only = "clicked", "*"'
    copied = path.with_name("03_segment_clicked.ipynb")
    nbformat.write(content, copied)
    run_all(page, f"{lab}/{copied.name}")
    cell_with(page, "nlargest").locator("table").wait_for(timeout=FIRST_RUN_MS)
    return page


@pytest.fixture
def widget(notebook):
    """Return the widget."""
    found = cell_with(notebook, "widgets.SegmentWidget").first
    found.scroll_into_view_if_needed()
    return found


def button(widget, text):
    """Return a button of the widget."""
    return widget.locator(".jupyter-button", has_text=text)


def enter(widget, label, value):
    """Type a value into a field of the widget."""
    field = widget.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Enter")


def picture(widget):
    """Return what the crop shows, in words and in pixels."""
    found = widget.locator("img[alt*='sees it at']")
    return found.get_attribute("alt"), found.get_attribute("src")


def test_no_cell_complains(notebook):
    """No error, no warning, no widget that could not be shown; every picture is there."""
    prompts = notebook.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()
    assert prompts == [f"[{n}]:" for n in range(1, len(prompts) + 1)]  # none after an error has run
    for source, seen in SHOWN.items():
        cell = cell_with(notebook, source).first
        cell.scroll_into_view_if_needed()
        cell.locator(seen).first.wait_for()
        assert notebook.locator("[data-mime-type*='stderr']").all_inner_texts() == []
        for broken in ("Error displaying widget", "Loading widget", "BokehJS failed"):
            assert notebook.get_by_text(broken).count() == 0, f"{source}: {broken}"


def test_every_image_is_in_the_table(widget):
    """With its state, and with what speaks against a pixel size."""
    rows = widget.get_by_role("table").locator("tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == [
        "sub-bf1_BF",
        "sub-sem1_SEM",
        "sub-sem2_SEM",
        "sub-tem1_TEM",
    ]
    assert all("✔" in row for row in rows)
    assert ["▲" in row for row in rows] == [False, False, False, True]
    widget.get_by_text("4 images segmented: nothing is left to do").wait_for()


def test_another_image_and_another_place(widget, notebook):
    """Chosen by mouse and keyboard, seen at the resolution of the model, with a warning."""
    widget.get_by_label("image", exact=True).select_option("sub-sem1_SEM")
    wait_until(lambda: picture(widget)[0].startswith("sub-sem1_SEM, pixels of 0.1 µm"), notebook)
    before = picture(widget)
    slider = widget.locator(".widget-slider .noUi-handle").first
    slider.focus()
    notebook.keyboard.press("End")
    wait_until(lambda: picture(widget)[1] != before[1], notebook)

    enter(widget, "pixel size (µm)", "0.02")
    doubt = widget.locator(".axonlab-doubt")
    doubt.wait_for()
    for told in ("▲", "0.02 µm per pixel", "They would measure that at"):
        assert told in doubt.inner_text()
    enter(widget, "pixel size (µm)", "")
    wait_until(lambda: "pixels of 0.1 µm" in picture(widget)[0], notebook)
    widget.get_by_text("nothing is left to do").wait_for()

    enter(widget, "pixel size (µm)", "small")
    widget.get_by_role("alert").get_by_text("Sizes are given in µm").wait_for()
    enter(widget, "pixel size (µm)", "")
    widget.get_by_text("nothing is left to do").wait_for()


def test_stop_and_resume_by_clicks(widget, notebook, lab_folder):
    """Other settings replace what is there only after two clicks; a stop is soon answered."""
    results = lab_folder / "runs" / "clicked"
    widget.get_by_label("mean of 8 orientations").check()
    widget.get_by_role("alert").get_by_text("of other settings").wait_for()
    assert button(widget, "Resume").or_(button(widget, "Start")).is_disabled()
    button(widget, "Replace results").click()
    button(widget, "Really?").click()
    progress = widget.locator("[role=status]").last
    wait_until(lambda: progress.inner_text().startswith("image 1 of 4"), notebook)
    button(widget, "Stop").click()
    wait_until(lambda: progress.inner_text().startswith("Stopped at image"), notebook, 20)
    before = {path: path.stat().st_mtime_ns for path in results.glob("*/provenance.json")}
    assert len(before) == 4  # nothing was lost, nothing is half

    # the cell of the notebook goes on as well, and leaves the button usable meanwhile
    button(widget, "Start").or_(button(widget, "Resume")).click()
    wait_until(lambda: "image 2 of 4" in progress.inner_text(), notebook, 120)
    cell_with(notebook, "go_on()").first.click()
    notebook.keyboard.press("Shift+Enter")
    notebook.wait_for_timeout(500)
    button(widget, "Stop").click()
    wait_until(lambda: progress.inner_text().startswith("Stopped at image"), notebook, 20)
    done = widget.get_by_role("table").get_by_text("✔").count()
    assert 1 <= done < 4
    button(widget, "Resume").click()
    widget.get_by_text("4 images segmented: nothing is left to do").wait_for(timeout=240_000)
    assert all(path.stat().st_mtime_ns > time for path, time in before.items())
