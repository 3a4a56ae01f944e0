"""How fast N4 classifies a section, all pixels at once and window by window, side by side.

The loop takes windows of the same section in batches. It is timed in float32, as the two forms are
compared in the tests, and in the arithmetic that `predict` uses; always on the same threads. Of
its batches the fastest counts. At once, a section takes 1/481 of the operations (1/556 without its
mirrored border): of like arithmetic, a ratio beyond that is due to memory.
"""

import numpy as np
import torch
from timing import at_least, median_seconds, peak_gb, verdict

import axonlab as al

SIDE, BATCHES = 512, (16, 64, 256)


def main():
    """Print the times per pixel and their ratios."""
    torch.manual_seed(0)
    network = al.models.WindowNet(2).eval()
    section = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    before = peak_gb()
    whole, _ = median_seconds(lambda: al.segment.predict(network, section), repeats=3)
    peak = peak_gb() - before
    dtype = al.models.fast_dtype("cpu")
    print(f"{torch.get_num_threads()} threads; `predict`: {whole:.2f} s a section, {dtype}")
    alike, best = {}, {}
    for kind in dict.fromkeys((torch.float32, dtype)):
        ready = network.to(kind, memory_format=torch.channels_last)
        x = torch.from_numpy(section)[None, None].to(kind)
        with torch.inference_mode():
            dense, _ = median_seconds(lambda ready=ready, x=x: ready(x), repeats=3)
        loops = {n: per_window(ready, x, n) for n in BATCHES}
        for n, seconds in loops.items():
            print(
                f"{kind}: {1e6 * dense / SIDE**2:.2f} µs a pixel at once, {1e6 * seconds:.0f} µs "
                f"by window in batches of {n}: {seconds / (dense / SIDE**2):.0f} times faster"
            )
        best[kind] = min(loops.values())
        alike[kind] = best[kind] / (dense / SIDE**2)
    verdict("a section of 512 × 512 by `predict`", whole, 5, "s")
    verdict("peak memory of it", peak, 1, "GB")
    plain = best[torch.float32] / (whole / SIDE**2)
    at_least("`predict` over the loop in float32", plain, 500, "×")
    for kind, ratio in alike.items():
        at_least(f"at once over the loop, {kind} for both", ratio, 500, "×")


def per_window(network, x, n):
    """Return the seconds a window takes in batches of `n`, its cutting included."""
    side, rng = network.window, np.random.default_rng(1)
    corners = rng.integers(0, SIDE - side, (n, 2)).tolist()

    def classify():
        windows = torch.cat([x[..., i : i + side, j : j + side] for i, j in corners])
        return network.classify_windows(windows.contiguous(memory_format=torch.channels_last))

    with torch.inference_mode():
        seconds, _ = median_seconds(classify, repeats=max(3, 256 // n))
    return seconds / n


if __name__ == "__main__":
    main()
