"""How fast a micrograph is segmented, and what share of the machine's peak that is.

The peak is measured beside it: a large matrix product in the same arithmetic.
"""

import resource
import statistics
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

import axonlab as al

REPEATS = 5


def median_seconds(function):
    """Return the median time of a call."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    """Print times, throughput and peak memory."""
    name = al.samples.at_hand()[0]
    micrograph = al.samples.load(name)
    assert al.segment  # its import is not part of the measurement
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    al.segment.segment(micrograph, "sem")
    first = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    whole = median_seconds(lambda: al.segment.segment(micrograph, "sem"))

    model = al.models.load_model("sem")
    shape = al.micrograph.shape_at(
        micrograph.pixels.shape, micrograph.pixel_size, model.card.pixel_size
    )
    pixels = al.micrograph.resize(micrograph.pixels, shape)
    network = median_seconds(lambda: al.segment.predict(model.network, pixels))
    flops = flops_of(model.network, shape)

    dtype = al.models.fast_dtype("cpu")
    square = torch.randn(4096, 4096).to(dtype)
    product = median_seconds(lambda: square @ square)
    peak_rate = 2 * 4096**3 / product

    mpx = micrograph.pixels.size / 1e6
    print(f"{name}: {mpx:.2f} Mpx, {shape[0] * shape[1] / 1e6:.2f} Mpx for the network, {dtype}")
    print(f"end to end, model loading included: first {first:.2f} s, median {whole:.2f} s")
    print(f"  {mpx / whole:.2f} Mpx/s of the image; network alone {network:.2f} s")
    print(f"network: {flops / 1e9:.0f} GFLOP, {flops / network / 1e12:.2f} TFLOP/s")
    print(
        f"matrix product: {peak_rate / 1e12:.2f} TFLOP/s; share {flops / network / peak_rate:.0%}"
    )
    print(f"peak memory: {peak / 2**20:.2f} GiB ({memory_before / 2**20:.2f} after the imports)")


def flops_of(network, shape):
    """Return the floating-point operations of one pass over an image, without halos."""
    height, width = (-(-n // s) * s for n, s in zip(shape, network.stride, strict=True))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, height, width))
    return counter.get_total_flops()


if __name__ == "__main__":
    main()
