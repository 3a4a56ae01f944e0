"""From a selection to the redrawn explorer: 10,000 fibres on an image of 60 megapixels.

.venv/bin/python tests/benchmarks/bench_explore.py
"""

import time

import holoviews as hv
import numpy as np
import panel as pn
from timing import median_seconds, peak_gb, verdict

from axonlab.correct import Correction
from axonlab.micrograph import CLASSES, Micrograph
from axonlab.widgets import FibreExplorer

SIDE, PITCH = 100, 77
"""Fibres along each side of the image, and pixels from one to the next: 59 megapixels."""

TARGET_S = 0.5


def main():
    """Print what selecting, zooming, filtering and correcting take, up to the Bokeh document."""
    hv.extension("bokeh")
    pn.extension("tabulator")
    labels = rings()
    noise = np.random.default_rng(0).normal(0, 10, labels.shape).astype(np.float32)
    micrograph = Micrograph(noise + 60 * (labels == CLASSES["myelin"]), 0.1, name="rings")
    start = time.perf_counter()
    correction = Correction(labels, pixel_size=0.1)
    print(f"{len(correction.table)} fibres found and measured: {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    explorer = FibreExplorer(micrograph, correction)
    explorer.__panel__().get_root()
    print(f"explorer opened: {time.perf_counter() - start:.1f} s, {peak_gb():.1f} GB at most")

    state = explorer.exploration
    boxes = ((0, 0, x, 1) for x in np.linspace(3.5, 5.5, 20))
    columns = ("fibre_diameter_um", "g_ratio")
    brushed, _ = median_seconds(lambda: state.pick(state.in_box(columns, next(boxes))))
    centres = state.shown[["centroid_x_um", "centroid_y_um"]].itertuples(index=False)
    clicked, _ = median_seconds(lambda: state.pick(state.at(*next(centres))))
    ids = iter(state.shown["fibre_id"].tolist())

    def zoom():
        state.selection = [next(ids)]
        explorer.picture.zoom(state.selected)

    zoomed, _ = median_seconds(zoom)
    lows = iter(np.linspace(3, 4, 20))
    filtered, _ = median_seconds(
        lambda: state.param.update(filters={"fibre_diameter_um": (next(lows), np.inf)})
    )
    state.filters = {}
    deleted, _ = median_seconds(lambda: correction.delete([next(ids)]))
    undone, _ = median_seconds(correction.undo)
    verdict("box in the scatter to redraw", brushed, TARGET_S, "s")
    verdict("click in the image to redraw", clicked, TARGET_S, "s")
    verdict("zoom to a fibre", zoomed, TARGET_S, "s")
    verdict("filter by a slider", filtered, TARGET_S, "s")
    verdict("delete a fibre", deleted, TARGET_S, "s")
    verdict("undo", undone, TARGET_S, "s")


def rings():
    """Return an image full of round fibres of many sizes, as class ids."""
    radii = np.random.default_rng(1).uniform(15, 36, (SIDE, SIDE))
    y, x = np.mgrid[:PITCH, :PITCH] - PITCH // 2
    distance = np.hypot(y, x)
    labels = np.zeros((SIDE * PITCH, SIDE * PITCH), np.uint8)
    for (row, column), radius in np.ndenumerate(radii):
        cell = labels[row * PITCH : (row + 1) * PITCH, column * PITCH : (column + 1) * PITCH]
        cell[distance < radius] = CLASSES["myelin"]
        cell[distance < (0.5 + 0.004 * radius) * radius] = CLASSES["axon"]
    return labels


if __name__ == "__main__":
    main()
