"""Training in JupyterLab: watched, stopped, resumed, and gone on with after a kernel restart."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from steps import FIRST_RUN_MS, cell_with, wait_until, write_notebook

from axonlab import pairs, samples, training

SETTINGS = {"size": "small", "epochs": 4, "patches_per_image": 16, "patch": 96, "seed": 5}

CELLS = [
    f"""
import torch
import axonlab as al
torch.set_num_threads(1)
pairs = al.pairs.find_pairs(al.samples.fetch("phantoms"))
settings = al.training.Settings(valid_animals=["sub-tem1"], **{SETTINGS})
mine = al.training.Training(pairs, settings, al.io.run_folder("NAME"))
al.widgets.TrainWidget(mine)
""",
    """
print("left", (await mine.go_on()).name, "of", mine.epochs_done)
""",
]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, request):
    """Return the weights of the same training without a browser, and without an interruption."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = training.Settings(valid_animals=["sub-tem1"], **SETTINGS)
    found = pairs.find_pairs(samples.fetch("phantoms"))
    path = training.Training(found, settings, tmp_path_factory.mktemp("run") / "mine").complete()
    torch.set_num_threads(threads)
    return load_file(path)


@pytest.fixture
def opened(page, lab, lab_folder, request):
    """Open a notebook with the widget, and run its first cell; yield its page and its run."""
    name = request.node.name
    cells = [cell.replace("NAME", name) for cell in CELLS]
    write_notebook(lab_folder / "notebooks" / f"{name}.ipynb", cells)
    page.goto(f"{lab}/{name}.ipynb?reset")
    page.locator(".jp-Notebook").wait_for(timeout=FIRST_RUN_MS)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=FIRST_RUN_MS)
    run_cell(page, "TrainWidget")
    page.get_by_text("will take about").wait_for(timeout=FIRST_RUN_MS)
    return page, lab_folder / "runs" / name


def run_cell(page, source):
    """Run one cell."""
    cell_with(page, source).click()
    page.keyboard.press("Shift+Enter")


def button(page, text):
    """Return a button of the widget."""
    return page.locator(".jupyter-button", has_text=text)


def status(page):
    """Return what the widget says of the training."""
    return page.locator("[role=status]").last.inner_text()


def check_same(path, expected):
    """Compare the weights in a model file."""
    found = load_file(path)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_stop_and_resume(opened, uninterrupted):
    """A click stops within a batch, also while a cell waits; resumed, nothing is different."""
    page, run = opened
    button(page, "Start").click()
    wait_until(lambda: (run / "checkpoint.pt").exists(), page, 120)
    run_cell(page, "go_on()")
    wait_until(lambda: "step" in status(page), page)
    button(page, "Stop").last.click()
    wait_until(lambda: status(page).startswith("Stopped at step"), page, 10)
    cell_with(page, "go_on()").get_by_text("left model.safetensors of").wait_for()
    assert page.locator("svg[aria-label^='Loss and Dice after']").count() == 1
    assert page.locator("img[alt^='sub-tem1_TEM.png, its labels']").count() == 1

    button(page, "Resume after epoch").click()
    wait_until(lambda: status(page).startswith("Ended at step 48 of 48"), page, 240)
    assert button(page, "Resume after epoch 4").is_disabled()
    check_same(run / "model.safetensors", uninterrupted)


def test_stop_while_a_cell_waits_for_what_it_started(opened):
    """The button answers although the kernel is busy, also in a page that was loaded again."""
    page, run = opened
    run_cell(page, "go_on()")
    wait_until(lambda: (run / "checkpoint.pt").exists(), page, 120)
    page.keyboard.press("Control+s")
    page.get_by_text("Saving completed").wait_for()
    page.reload()
    button(page, "Stop").last.wait_for(timeout=FIRST_RUN_MS)
    wait_until(lambda: "step" in status(page), page)
    button(page, "Stop").last.click()
    wait_until(lambda: status(page).startswith("Stopped at step"), page, 10)
    assert (run / "model.safetensors").exists()


def test_kernel_restart_loses_no_whole_epoch(opened, uninterrupted):
    """After the kernel was restarted in mid-epoch, running the cells again goes on."""
    page, run = opened
    button(page, "Start").click()
    wait_until(lambda: (run / "checkpoint.pt").exists(), page, 120)
    page.get_by_text("Kernel", exact=True).first.click()
    page.get_by_text("Restart Kernel…", exact=True).click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=FIRST_RUN_MS)
    assert not (run / "model.safetensors").exists()
    run_cell(page, "TrainWidget")
    button(page, "Resume after epoch").wait_for(timeout=FIRST_RUN_MS)
    run_cell(page, "go_on()")
    cell_with(page, "go_on()").get_by_text("left model.safetensors of 4").wait_for(timeout=240_000)
    check_same(run / "model.safetensors", uninterrupted)
