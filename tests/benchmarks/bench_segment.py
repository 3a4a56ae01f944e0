"""How fast a micrograph is segmented, and what share of the machine's peak that is.

The peak is measured beside it: a large matrix product in the same arithmetic.
"""

import torch
from timing import median_seconds, peak_gb, verdict
from torch.utils.flop_counter import FlopCounterMode

import axonlab as al


def main():
    """Print times, throughput and peak memory."""
    name = al.samples.at_hand()[0]
    micrograph = al.samples.load(name)
    assert al.segment  # its import is not part of the measurement
    imports = peak_gb()
    first, _ = median_seconds(lambda: al.segment.segment(micrograph, "sem"), repeats=1)
    peak = peak_gb()
    whole, _ = median_seconds(lambda: al.segment.segment(micrograph, "sem"))

    model = al.models.load_model("sem")
    pixels, _ = al.micrograph.at_model_scale(micrograph, model.card.pixel_size)
    network, _ = median_seconds(lambda: al.segment.predict(model.network, pixels))
    rate = flops_of(model.network, pixels.shape) / network
    dtype = al.models.fast_dtype("cpu")
    square = torch.randn(4096, 4096).to(dtype)
    product, _ = median_seconds(lambda: square @ square)
    peak_rate = 2 * 4096**3 / product

    mpx = micrograph.pixels.size / 1e6
    print(f"{name}: {mpx:.2f} Mpx, {pixels.size / 1e6:.2f} Mpx for the network, {dtype}")
    print(f"whole: {mpx / whole:.2f} Mpx/s; network alone {network:.2f} s")
    print(f"network: {rate / 1e12:.2f} TFLOP/s, matrix product: {peak_rate / 1e12:.2f} TFLOP/s")
    print(f"share of the peak: {rate / peak_rate:.0%}")
    verdict("end to end, model loading included, first", first, 2, "s")
    verdict("end to end, model loading included, median", whole, 2, "s")
    verdict(f"peak memory, {imports:.2f} of it the imports", peak, 1.2, "GB")


def flops_of(network, shape):
    """Return the floating-point operations of one pass over an image, without halos."""
    height, width = (-(-n // s) * s for n, s in zip(shape, network.stride, strict=True))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, height, width))
    return counter.get_total_flops()


if __name__ == "__main__":
    main()
