"""How fast fibres are found and measured, and whether the cost grows linearly.

Real masks of `rat-sem` when AXONLAB_DATA holds them, those of a phantom otherwise; enlarged by
mirroring. Read the ratios: machines are noisy, seconds are not comparable between them.
"""

import numpy as np
from skimage.measure import regionprops_table
from timing import median_seconds, peak_gb, verdict

import axonlab as al

SIZES = (1, 2, 4, 6)
SAME_SUMS = ("label", "area", "centroid", "bbox", "perimeter_crofton", "inertia_tensor")


def main():
    """Print one row per size, then the verdicts."""
    name = al.samples.at_hand()[0]
    labels, size = al.samples.load_labels(name), al.samples.load(name).pixel_size
    print(f"{name}, {size} µm\n   Mpx  fibres  label s  measure s  Mpx/s")
    totals = {}
    for n in SIZES:
        height, width = labels.shape
        large = np.pad(labels, ((0, (n - 1) * height), (0, (n - 1) * width)), mode="symmetric")
        found, (axons, fibres) = median_seconds(
            lambda large=large: al.objects.label_fibres(large, pixel_size=size)
        )
        measured, table = median_seconds(
            lambda a=axons, f=fibres: al.measure.measure_fibres(a, f, pixel_size=size)
        )
        totals[n] = found + measured
        mpx = large.size / 1e6
        print(
            f"{mpx:6.1f} {len(table):7d} {found:8.3f} {measured:10.3f} {mpx / totals[n]:6.1f}",
            flush=True,
        )
        if n == 1:
            theirs, _ = median_seconds(
                lambda a=axons, f=fibres: [
                    regionprops_table(objects, properties=SAME_SUMS) for objects in (a, f)
                ]
            )
            print(f"       skimage.regionprops_table, same sums: {theirs / measured:.1f}× as long")
    drawing, _ = median_seconds(lambda: al.phantom.nerve((2000, 2000)), repeats=3)
    verdict("fibres of one image", totals[1], 0.3, "s")
    verdict("fibres of 6 × 6 images", totals[6], 10, "s")
    verdict("cost per area, 6 × 6 images over one", totals[6] / totals[1] / 36, 1.5, "×")
    verdict("phantom of 2000 × 2000 px", drawing, 10, "s")
    print(f"peak memory of the process: {peak_gb():.2f} GB")


if __name__ == "__main__":
    main()
