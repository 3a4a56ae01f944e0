"""A real JupyterLab and a real browser; skipped where there is no Chromium."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from steps import CHROMIUM, CHROMIUM_FLAGS, jupyterlab, stop_kernels

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory):
    """Return the folder that JupyterLab serves, with copies of the notebooks."""
    root = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, root / "notebooks", ignore=shutil.ignore_patterns(".*"))
    return root


@pytest.fixture(scope="session")
def lab(lab_folder):
    """Start JupyterLab; yield the address of its notebooks."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with jupyterlab(lab_folder) as address:
        yield address


@pytest.fixture(scope="module")
def page(lab):
    """Open an empty page in headless Chromium; what runs behind it ends with it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        yield page
        stop_kernels(page, lab)
        browser.close()
