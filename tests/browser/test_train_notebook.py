"""The training notebook as a person sees it: all cells run, every widget is there and answers."""

import nbformat
import pytest
from steps import cell_with, run_all, wait_for_panel, wait_until

SMALL = """
pixel_size = 0.2
tuned = {"size": "small", "epochs": 2, "patches_per_image": 4, "batch": 2, "patch": 64}
few_images, fine_tuning = [1], {"steps": 2, "batch": 2}
"""

WIDGETS = {
    "widgets.DoctorWidget": ".axonlab-doctor",
    "widgets.TrainWidget": "svg[aria-label^='Loss and Dice after 2 epochs']",
    "display(widgets.JobWidget(fold.job))": "[role=status]",
    "widgets.Gallery": ".bk-btn",
    "display(widgets.JobWidget(tuning.job))": "[role=status]",
}
"""What is seen of each widget, by the cell it is in."""

FIGURES = [
    "plot.learning_curve",
    "plot_scores.per_image",
    "plot_scores.confusion",
    "plot_scores.reliability",
    "plot_scores.robustness",
    "plot_scores.paired",
    "plot.uncertainty",
    "plot.disagreement",
]


@pytest.fixture(scope="module")
def notebook(page, lab, lab_folder):
    """Run all cells of the notebook with small parameters, once."""
    path = lab_folder / "notebooks" / "02_train.ipynb"
    content = nbformat.read(path, as_version=4)
    (parameters,) = [c for c in content.cells if "parameters" in c.metadata.get("tags", [])]
    parameters.source += SMALL
    small = path.with_name("02_train_small.ipynb")
    nbformat.write(content, small)
    run_all(page, f"{lab}/{small.name}")
    wait_for_panel(page)
    return page


def test_no_cell_complains(notebook):
    """No error, no warning, no widget that could not be shown."""
    complaints = notebook.locator(".jp-OutputArea-output[data-mime-type*='stderr']")
    for source in [*WIDGETS, *FIGURES]:
        cell_with(notebook, source).first.scroll_into_view_if_needed()
        assert complaints.all_inner_texts() == []  # errors are of this type, too
        for broken in ("Error displaying widget", "Loading widget", "BokehJS failed"):
            assert notebook.get_by_text(broken).count() == 0, f"{source}: {broken}"


def test_widgets_and_figures_are_there(notebook):
    """Each one is drawn in its cell."""
    for source, seen in WIDGETS.items():
        cell = cell_with(notebook, source).first
        cell.scroll_into_view_if_needed()
        cell.locator(seen).first.wait_for()
    for source in FIGURES:
        cell = cell_with(notebook, source).first
        cell.scroll_into_view_if_needed()
        cell.locator(".bk-Figure").first.wait_for()


def test_settings_change_what_is_told(notebook):
    """More epochs go on; what cannot be is refused, and stays refused."""
    widget = cell_with(notebook, "widgets.TrainWidget").first
    widget.scroll_into_view_if_needed()
    start = widget.locator(".jupyter-button", has_text="Resume after epoch 2")
    assert start.is_disabled()
    enter(widget, "epochs", 3)
    widget.get_by_text("1 epoch of 6 steps will take about").wait_for()
    assert start.is_enabled()
    enter(widget, "patch (px)", 100)
    widget.get_by_role("alert").get_by_text("expected a multiple of 32").wait_for()
    enter(widget, "epochs", 2)
    notebook.wait_for_timeout(500)
    assert widget.get_by_role("alert").is_visible()
    assert start.is_disabled()
    enter(widget, "patch (px)", 64)
    widget.get_by_text("Nothing is left to be trained").wait_for()


def enter(widget, label, value):
    """Type a value into a field of the widget."""
    field = widget.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Enter")


def test_a_click_and_a_key_open_another_image(notebook):
    """The title tells which image of the gallery is open."""
    gallery = cell_with(notebook, "widgets.Gallery").first
    gallery.scroll_into_view_if_needed()
    images = gallery.locator(".bk-btn")
    title = gallery.locator("b")
    first, second = (image.inner_text().split("\n")[0] for image in images.all())
    assert title.inner_text().startswith(first)
    images.nth(1).click()
    wait_until(lambda: title.inner_text().startswith(second), notebook)
    images.nth(0).focus()
    notebook.keyboard.press("Enter")
    wait_until(lambda: title.inner_text().startswith(first), notebook)
