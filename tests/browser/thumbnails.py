"""Draw the pictures of the README: what each notebook shows, run in JupyterLab: `make thumbnails`.

Run: ``python tests/browser/thumbnails.py [NOTEBOOK ...]``, by default for all of them.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops
from playwright.sync_api import sync_playwright
from steps import CHROMIUM, CHROMIUM_FLAGS, cell_with, jupyterlab, run_all, wait_for_cells

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SHOWN = {
    "00_tour": "fibre_figure",
    "01_label": "LabelWidget",
    "02_train": "widgets.Gallery",
    "03_segment": "contact_sheet",
    "04_morphometry": "FibreExplorer",
    "05_slide": "SlideViewer",
    "06_membranes": "CellWidget",
    "07_neurites": "NeuriteScene",
    "08_measuring_well": "FibreShapeExplorer",
    "09_exercises": "hv.Layout(tiles)",
}
"""The cell of each notebook whose output is its picture."""

SIZE = 400, 260
HOUR = 3600
PROMPT_PX = 80


def thumbnail(page, name, address):
    """Run a notebook and return the picture of it."""
    run_all(page, f"{address}/{name}.ipynb")
    wait_for_cells(page, HOUR)
    output = cell_with(page, SHOWN[name]).first.locator(".jp-Cell-outputArea")
    output.scroll_into_view_if_needed()
    page.wait_for_timeout(4000)
    picture = Image.open(io.BytesIO(output.screenshot())).convert("RGB")
    # what is at the top, without prompt and margins, in the proportions of all thumbnails
    picture = picture.crop((PROMPT_PX, 0, *picture.size))
    white = Image.new("RGB", picture.size, "white")
    picture = picture.crop(ImageChops.difference(picture, white).getbbox())
    width, height = picture.size
    picture = picture.crop((0, 0, width, min(height, width * SIZE[1] // SIZE[0])))
    picture.thumbnail(SIZE, Image.Resampling.LANCZOS)
    return picture.quantize(128)


def main():
    """Draw them."""
    if CHROMIUM is None:
        sys.exit("No Chromium on this machine: install Debian's package chromium, or Chrome.")
    (NOTEBOOKS / "thumbnails").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = Path(folder)
        ignored = shutil.ignore_patterns(".*", "runs")
        shutil.copytree(NOTEBOOKS, root / "notebooks", ignore=ignored)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        with jupyterlab(root) as address:
            for name in sys.argv[1:] or SHOWN:
                page = browser.new_page(viewport={"width": 1300, "height": 1000})
                thumbnail(page, name, address).save(NOTEBOOKS / "thumbnails" / f"{name}.png")
                print(name, flush=True)
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
