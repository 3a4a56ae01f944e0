"""How fast fibres are found and measured, in how much memory, and beside what others need.

Masks of the size and density that AxonDeepSeg's times are known for, made from those of `rat-sem`
when AXONLAB_DATA holds them and from a phantom otherwise. Seconds are those of the processor, which
other work on the machine lengthens less. Read the ratios: seconds of different machines are not
comparable, and the ratio to scikit-image alone is of one run on one.
"""

from functools import partial
from time import process_time

import numpy as np
from skimage.measure import regionprops_table
from timing import at_least, peak_gb, verdict
from timing import median_seconds as median_of_clock

import axonlab as al

PIXELS, AXONS = 61e6, 10_728
AXONDEEPSEG, ITS_MEASURING = 87, 55 * 87 / 95.8
"""Processor seconds of AxonDeepSeg 5 for that many pixels and axons (95.8 by the clock): all its
morphometry, and of it the measuring, without dividing the myelin (55 by the clock)."""

median_seconds = partial(median_of_clock, repeats=3, clock=process_time)

SAME_COLUMNS = (
    "label",
    "area",
    "centroid",
    "bbox",
    "equivalent_diameter_area",
    "eccentricity",
    "orientation",
    "perimeter_crofton",
    "solidity",
)


def main():
    """Print a row for the whole masks and one for a quarter of them, then the verdicts."""
    name = al.samples.at_hand()[0]
    labels, size = al.samples.load_labels(name), al.samples.load(name).pixel_size
    whole = enlarged(labels, size)
    held = peak_gb()
    print(f"{name}, {size} µm\n   Mpx  fibres  label s  measure s  Mpx/s")
    label_s, measure_s, _, _ = timed(whole, size)
    memory = (peak_gb() - held) * 1e9 / whole.size + whole.itemsize
    height, width = whole.shape
    quarter = whole[: height // 2, : width // 2]
    quarter_label_s, quarter_measure_s, axons, fibres = timed(quarter, size)
    theirs, _ = median_seconds(
        lambda: [regionprops_table(image, properties=SAME_COLUMNS) for image in (axons, fibres)],
        repeats=1,
    )
    total, quarter_total = label_s + measure_s, quarter_label_s + quarter_measure_s
    at_least("AxonDeepSeg's morphometry over ours, both steps", AXONDEEPSEG / total, 15, "×")
    at_least("its measuring over measure_fibres", ITS_MEASURING / measure_s, 50, "×")
    at_least("skimage.regionprops over measure_fibres", theirs / quarter_measure_s, 10, "×")
    verdict("cost per area, whole over a quarter", total / quarter_total / 4, 1.3, "×")
    verdict("peak memory, labels included", memory, 25, "bytes per pixel")
    one_label_s, one_measure_s, _, _ = timed(labels, size)
    verdict("fibres of one image", one_label_s + one_measure_s, 0.3, "s")
    drawing, _ = median_seconds(lambda: al.phantom.nerve((2000, 2000)))
    verdict("phantom of 2000 × 2000 px", drawing, 10, "s")


def enlarged(labels, size):
    """Return labels scaled to the density of axons of the published masks, mirrored to their size.

    Rows and columns are taken, none are made: where a mask is denser already, it stays as it is.
    """
    axons, _ = al.objects.label_fibres(labels, pixel_size=size)
    step = max(1, np.sqrt(AXONS / PIXELS / (axons.max() / labels.size)))
    scaled = labels[
        np.ix_(*(np.arange(0, length - 1, step).round().astype(int) for length in labels.shape))
    ]
    aspect = labels.shape[0] / labels.shape[1]
    shape = round(np.sqrt(PIXELS * aspect)), round(np.sqrt(PIXELS / aspect))
    padding = [(0, full - part) for full, part in zip(shape, scaled.shape, strict=True)]
    return np.pad(scaled, padding, mode="symmetric")


def timed(labels, size):
    """Print and return the seconds of both steps, and return the objects."""
    label_s, (axons, fibres) = median_seconds(
        lambda: al.objects.label_fibres(labels, pixel_size=size)
    )
    measure_s, table = median_seconds(
        lambda: al.measure.measure_fibres(axons, fibres, pixel_size=size)
    )
    mpx = labels.size / 1e6
    speed = mpx / (label_s + measure_s)
    print(f"{mpx:6.1f} {len(table):7d} {label_s:8.3f} {measure_s:10.3f} {speed:6.1f}", flush=True)
    return label_s, measure_s, axons, fibres


if __name__ == "__main__":
    main()
