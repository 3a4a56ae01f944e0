"""Neurites of growing volumes: voxels per second and memory of prediction, recipes and blocks.

Affinities are those of random cells, disturbed as a network might. Every number is taken in a
process of its own. Run: ``python tests/benchmarks/bench_neurites.py [SIDE ...]``.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import subprocess
import sys
import tempfile
import time

import numpy as np
from scipy import ndimage
from timing import peak_gb

import axonlab as al

SIDES = [48, 96, 144]
OFFSETS = tuple(
    tuple(-step * (k == axis) for k in range(3)) for step in (1, 5, 12) for axis in range(3)
)
CELL = 24**3
"""Voxels in a cell, about."""


def recipes():
    """Return all recipes by name."""
    return {
        "mutex watershed": al.objects.MutexWatershed(OFFSETS),
        "mean affinity": al.objects.MeanAffinity(OFFSETS),
        "boundary watershed": al.objects.BoundaryWatershed(),
    }


def affinities(side):
    """Return affinities of random cells, and these cells."""
    rng = np.random.default_rng(0)
    seeds = np.zeros((side,) * 3, np.int32)
    points = rng.integers(0, side, (3, max(4, side**3 // CELL)))
    seeds[tuple(points)] = np.arange(1, points.shape[1] + 1)
    nearest = ndimage.distance_transform_edt(
        seeds == 0, return_distances=False, return_indices=True
    )
    truth = seeds[tuple(nearest)]
    found = np.zeros((len(OFFSETS), *truth.shape), np.float32)
    for affinity, offset in zip(found, OFFSETS, strict=True):
        here, there = al.region_graph.ends(truth.shape, offset)
        clouds = ndimage.gaussian_filter(rng.standard_normal(truth.shape, np.float32), 1)
        score = 8 * (truth[here] == truth[there]) - 4 + 1.5 * (clouds / clouds.std())[here]
        affinity[here] = 1 / (1 + np.exp(-score))
    return found, truth


def measure(name, side, blocks):
    """Print what one recipe takes on one volume, in this process."""
    predicted, truth = affinities(side)
    recipe = recipes()[name]
    if not recipe.offsets:
        walls = ndimage.maximum_filter(truth, 3) != ndimage.minimum_filter(truth, 3)
        predicted = ndimage.gaussian_filter(walls.astype(np.float32), 1)
    before = peak_gb()
    start = time.perf_counter()
    if blocks:
        with tempfile.TemporaryDirectory() as folder:
            numbers = {"block": (side // 2,) * 3, "context": (12,) * 3, "min_voxels": 50}
            found = al.neurite_blocks.label_blocks(predicted, folder, recipe, **numbers)[:]
    else:
        found = al.objects.label_neurites(predicted, recipe, min_voxels=50)
    seconds = time.perf_counter() - start
    error = al.score.partition_scores(found, truth)["adapted_rand_error"]
    print(
        f"{name:18} {'2×2×2' if blocks else 'whole':6} {side:4}³ {seconds:8.1f} s "
        f"{truth.size / seconds / 1e6:6.3f} Mvoxel/s  {peak_gb() - before:5.2f} GB more  "
        f"{1e9 * (peak_gb() - before) / truth.size:6.0f} B/voxel  error {error:.3f}",
        flush=True,
    )


def predict(side):
    """Print what the prediction of affinities by the default network takes, in this process."""
    card = al.models.ModelCard(
        "speed",
        [al.affinities.channel_name(offset) for offset in OFFSETS],
        0.01,
        {"class": "UNet", "n_classes": 9, "features": [8, 24, 64, 128], "strides": [[2, 2, 2]] * 3},
    )
    model = al.models.Model(card.build(), card, "")
    pixels = np.random.default_rng(0).random((side,) * 3, np.float32)
    before = peak_gb()
    start = time.perf_counter()
    al.volume_predict.predict_affinities(model, pixels)
    seconds = time.perf_counter() - start
    print(
        f"{'prediction':18} {'whole':6} {side:4}³ {seconds:8.1f} s "
        f"{pixels.size / seconds / 1e6:6.3f} Mvoxel/s  {peak_gb() - before:5.2f} GB more",
        flush=True,
    )


def main():
    """Measure prediction, and every recipe, on every volume."""
    for side in map(int, sys.argv[1:] or SIDES):
        subprocess.run([sys.executable, __file__, "predict", str(side)], check=True)
    for name in recipes():
        for side in map(int, sys.argv[1:] or SIDES):
            for blocks in "", "blocks":
                subprocess.run(
                    [sys.executable, __file__, "one", name, str(side), blocks], check=True
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        measure(sys.argv[2], int(sys.argv[3]), bool(sys.argv[4]))
    elif sys.argv[1:2] == ["predict"]:
        predict(int(sys.argv[2]))
    else:
        main()
