"""How fast a few strokes become a proposal, and how much memory that takes.

Strokes are drawn at random from the labels of `rat-sem` when AXONLAB_DATA holds them, from those
of a phantom otherwise; images are enlarged by mirroring. Read the ratios: machines are noisy,
seconds are not comparable between them.
"""

import numpy as np
from timing import median_seconds, peak_gb, verdict

import axonlab as al
from axonlab import propose

SHAPES = ((550, 750), (1100, 1500), (4000, 4000))
STROKES, LENGTH_PX = 10, 60


def main():
    """Print one row per size, then the verdicts."""
    name = al.samples.at_hand()[0]
    micrograph, labels = al.samples.load(name), al.samples.load_labels(name)
    imports = peak_gb()
    print(
        f"{name}, {imports:.2f} GB before\n   Mpx  features s  strokes s  mask s  next s  peak GB"
    )
    whole, next_crop, peak = {}, {}, {}
    for shape in SHAPES:
        missing = [(0, max(n - m, 0)) for n, m in zip(shape, labels.shape, strict=True)]
        crop = tuple(slice(n) for n in shape)
        large, truth = (np.pad(a, missing, "symmetric")[crop] for a in (micrograph.pixels, labels))
        large = al.micrograph.Micrograph(large, micrograph.pixel_size)
        strokes = draw(truth)
        seen, _ = al.micrograph.at_model_scale(
            large, large.pixel_size * max(1, np.sqrt(truth.size / propose.MAX_PIXELS))
        )
        features, _ = median_seconds(lambda seen=seen: propose._features(seen), repeats=3)
        whole[shape], proposal = median_seconds(
            lambda m=large, s=strokes: propose.classify_pixels(m, s), repeats=3
        )
        peak[shape] = peak_gb()
        mask, _ = median_seconds(lambda m=large, t=truth: propose.classify_pixels(m, t), repeats=1)
        doubt = propose.uncertainty(proposal.probabilities)
        next_crop[shape], _ = median_seconds(
            lambda d=doubt, s=strokes: propose.where_next(d, s, size=(512, 512))
        )
        print(
            f"{truth.size / 1e6:6.1f} {features:11.2f} {whole[shape]:10.2f} {mask:7.2f} "
            f"{next_crop[shape]:7.3f} {peak[shape]:8.2f}",
            flush=True,
        )
    small, usual, huge = SHAPES
    verdict("proposal for 1100 × 1500 px", whole[usual], 10, "s")
    verdict("proposal for 4000 × 4000 px", whole[huge], 15, "s")
    verdict(
        "cost per area, 1100 × 1500 px over a quarter", whole[usual] / whole[small] / 4, 1.5, "×"
    )
    verdict("where next, 4000 × 4000 px", next_crop[huge], 0.5, "s")
    verdict("memory beyond the imports, 1100 × 1500 px", peak[usual] - imports, 0.6, "GB")


def draw(truth):
    """Return short horizontal strokes, three pixels thick, on every class."""
    rng = np.random.default_rng(0)
    labels = np.full_like(truth, al.micrograph.UNLABELLED)
    for i in al.micrograph.CLASSES.values():
        places = np.argwhere(truth == i)
        for y, x in places[rng.permutation(len(places))[:STROKES]]:
            line = (slice(max(y - 1, 0), y + 2), slice(x, x + LENGTH_PX))
            labels[line] = np.where(truth[line] == i, i, labels[line])
    return labels


if __name__ == "__main__":
    main()
