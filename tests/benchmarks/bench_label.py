"""From mouse-up in the browser to the NumPy array in the kernel, over JupyterLab on loopback.

.venv/bin/python tests/benchmarks/bench_label.py
"""

import json
import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))
from steps import (
    CHROMIUM,
    CHROMIUM_FLAGS,
    FIRST_RUN_MS,
    cell_with,
    jupyterlab,
    run_all,
    wait_until,
    write_notebook,
)

TARGET_MS = 50
STROKES = 30
SETUP = """
import json, time
import axonlab as al
phantom = al.phantom.nerve({shape}, seed=1)
labelling = al.autosave.open_labelling(phantom.micrograph, "runs/{name}")
arrived = []
labelling.listeners.insert(0, lambda patch: arrived.append(1000 * time.time()))
al.widgets.LabelWidget(labelling)
"""
# times of mouse-up, and of the frames drawn while the mouse moved
CLOCK = """
window.lifted = []; window.frames = [];
document.addEventListener("pointerup", () => window.lifted.push(Date.now()), true);
const tick = (t) => { window.frames.push(t); requestAnimationFrame(tick); };
requestAnimationFrame(tick);
"""


def main():
    """Print the delay of strokes on a usual and on a large image."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "notebooks").mkdir()
        with jupyterlab(folder) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
            for shape in ((1100, 1500), (4000, 4000)):
                page = browser.new_page(viewport={"width": 1500, "height": 1100})
                measure(page, address, folder / "notebooks", shape)
            browser.close()


def measure(page, address, notebooks, shape):
    """Draw strokes on a phantom of one shape, and print when they arrived."""
    name = f"{shape[0]}x{shape[1]}"
    cells = [SETUP.format(shape=shape, name=name), 'print("arrived", json.dumps(arrived))']
    write_notebook(notebooks / f"{name}.ipynb", cells)
    run_all(page, f"{address}/{name}.ipynb")
    stage = page.locator(".axonlab-stage")
    stage.wait_for(timeout=FIRST_RUN_MS)
    page.wait_for_timeout(2000)
    page.evaluate(CLOCK)
    box = stage.bounding_box()
    for i in range(STROKES):
        x, y = box["x"] + 0.3 * box["width"], box["y"] + (0.1 + 0.8 * i / STROKES) * box["height"]
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 0.3 * box["width"], y + 20, steps=15)
        page.mouse.up()
        page.wait_for_timeout(150)
    lifted, frames = page.evaluate("[window.lifted, window.frames]")
    printer = cell_with(page, "json.dumps")
    printer.click()
    page.keyboard.press("Shift+Enter")
    output = printer.locator(".jp-OutputArea-output").last
    wait_until(lambda: len(json.loads(output.inner_text()[7:] or "[]")) >= STROKES, page)
    arrived = json.loads(output.inner_text()[7:])
    delays = sorted(a - b for a, b in zip(arrived[:STROKES], lifted[:STROKES], strict=True))
    steps = sorted(b - a for a, b in pairwise(frames))
    median, worst = statistics.median(delays), delays[int(0.95 * len(delays))]
    verdict = "reached" if worst <= TARGET_MS else "missed"
    print(
        f"{name}: mouse-up to NumPy {median:.0f} ms median, {worst:.0f} ms at 95 % "
        f"(target {TARGET_MS} ms: {verdict}); "
        f"frames at 95 %: {steps[int(0.95 * len(steps))]:.0f} ms"
    )


if __name__ == "__main__":
    main()
