"""How long it takes to score 30 sections of 512 × 512 pixels at 11 thresholds, by all measures.

The truth is that of `isbi2012` when AXONLAB_DATA holds it, and cells of random points otherwise;
the probability is the truth, blurred and disturbed until some 4% of the pixels are wrong.
"""

import os
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from timing import verdict

import axonlab as al

SECTIONS, SIDE = 30, 512
SCORES = ("pixel_error", "rand_error", "v_rand", "v_info", "warping_error")


def main():
    """Print the seconds of each score, and of all beside their target."""
    truth = true_sections()
    probability = disturbed(truth)
    wrong = ((probability > 0.5) != truth).mean()
    print(f"{SECTIONS} sections, {wrong:.1%} of the pixels wrong\nscore          seconds  value")
    total = 0
    for name in SCORES:
        start = time.perf_counter()
        value = getattr(al.score, name)(probability, truth)
        seconds = time.perf_counter() - start
        total += seconds
        print(f"{name:14} {seconds:7.1f}  {value:.4g}", flush=True)
    verdict("all scores of 30 sections at 11 thresholds", total, 120, "s")
    volume = np.arange(250**3).reshape(250, 250, 250) // 9 % 30_000
    start = time.perf_counter()
    al.score.partition_scores(volume, volume // 50)
    verdict("partition scores of 250³ voxels", time.perf_counter() - start, 10, "s")


def true_sections():
    """Return where interior is."""
    folder = Path(os.environ.get("AXONLAB_DATA", "")) / "isbi2012/data/membrane/train/label"
    files = sorted(folder.glob("*.png"))
    masks = [np.asarray(Image.open(file)) > 0 for file in files] or [random_cells()]
    return np.stack([masks[i % len(masks)] for i in range(SECTIONS)])


def random_cells():
    """Return cells around random points, with membranes between them."""
    points = np.random.default_rng(0).uniform(0, SIDE, (2, 150)).astype(int)
    seeds = np.zeros((SIDE, SIDE), int)
    seeds[tuple(points)] = np.arange(1, 151)
    _, (rows, columns) = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    nearest = seeds[rows, columns]
    return ndimage.maximum_filter(nearest, 5) == ndimage.minimum_filter(nearest, 5)


def disturbed(truth):
    """Return a probability such as a fair network gives."""
    rng = np.random.default_rng(0)
    sections = [
        ndimage.gaussian_filter(section.astype(np.float32), 1.5)
        + 1.8 * ndimage.gaussian_filter(rng.normal(0, 1, section.shape), 3)
        for section in truth
    ]
    return np.clip(sections, 0, 1).astype(np.float32)


if __name__ == "__main__":
    main()
