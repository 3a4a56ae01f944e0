"""How fast fibres are found and measured, and whether the cost grows linearly.

Real masks of `rat-sem` when AXONLAB_DATA holds them, those of a phantom otherwise; enlarged by
mirroring. Read the ratios: machines are noisy, seconds are not comparable between them.
"""

import resource
import statistics
import time

import numpy as np
from skimage.measure import regionprops_table

import axonlab as al

REPEATS = 5


def mirrored(labels, n):
    """Return n × n copies of a label image, each mirrored against its neighbours."""
    height, width = labels.shape
    return np.pad(labels, ((0, (n - 1) * height), (0, (n - 1) * width)), mode="symmetric")


def seconds(function, *args, repeats=REPEATS, **kwargs):
    """Return the median time of a call, and its result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function(*args, **kwargs)
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def main():
    """Print one row per size."""
    name = al.samples.at_hand()[0]
    labels, size = al.samples.load_labels(name), al.samples.load(name).pixel_size
    print(f"{name}, {size} µm")
    print(f"{'Mpx':>6} {'fibres':>7} {'label s':>8} {'measure s':>9} {'s/Mpx':>7} {'Mpx/s':>6}")
    for n in (1, 2, 4, 6):
        large = mirrored(labels, n)
        repeats = REPEATS if n < 4 else 3
        found, objects = seconds(al.objects.label_fibres, large, pixel_size=size, repeats=repeats)
        measured, table = seconds(
            al.measure.measure_fibres, *objects, pixel_size=size, repeats=repeats
        )
        mpx = large.size / 1e6
        total = found + measured
        print(
            f"{mpx:6.1f} {len(table):7d} {found:8.3f} {measured:9.3f} {total / mpx:7.3f} "
            f"{mpx / total:6.1f}"
        )
        if n == 1:
            whole = ("label", "area", "centroid", "bbox", "perimeter_crofton", "inertia_tensor")
            theirs = sum(seconds(regionprops_table, o, properties=whole)[0] for o in objects)
            print(f"       skimage.regionprops_table for the same sums: {theirs / measured:.0f}×")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of the process: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
