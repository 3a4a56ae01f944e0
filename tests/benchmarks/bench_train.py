"""How fast the default network trains, what of a step its patches take, and in what memory."""

import time
from tempfile import TemporaryDirectory

from timing import peak_gb, verdict

import axonlab as al
from axonlab.training import Settings, Training

STEPS = 20


def main():
    """Print steps a second, the share of the patches, a fine-tuning and the peak memory."""
    pairs = al.pairs.find_pairs(al.samples.fetch("phantoms"))
    animals = [pair.animal for pair in pairs]
    with TemporaryDirectory() as folder:
        imports = peak_gb()
        default = Settings(valid_animals=animals[-1:], epochs=1, patches_per_image=16)
        Training(pairs, default, f"{folder}/default").complete()
        peak = peak_gb()

        wide = Settings(valid_animals=animals[-1:], epochs=1, patches_per_image=64, batch=8)
        training = Training(pairs, wide, f"{folder}/wide")
        patches = seconds_of_patches(training)
        training.complete()
        step = training.checkpoint.seconds / training.steps_per_epoch

        fine = Settings(
            valid_animals=animals[-1:], epochs=1, patches_per_image=134, start_from="sem"
        )
        tuned = Training(pairs, fine, f"{folder}/fine")
        start = time.perf_counter()
        tuned.complete()
        minutes = (time.perf_counter() - start) / 60
    print(f"8 patches of 256² a step: {1 / step:.2f} steps/s, {8 / step:.1f} patches/s")
    print(f"estimated {training.need.seconds:.2f} s a step, found {step:.2f} s with the validation")
    verdict("share of the patches in a step", 100 * patches / step, 15, "%")
    verdict(f"fine-tuning of {tuned.steps_per_epoch} steps from sem, in all", minutes, 3, "min")
    verdict(f"peak memory of the default settings, {imports:.2f} of it imports", peak, 1.5, "GB")


def seconds_of_patches(training):
    """Return how long it takes to cut, warp and vary the patches of a step."""
    batches = iter(training.dls.train)
    next(batches)
    start = time.perf_counter()
    for _ in range(STEPS):
        next(batches)
    return (time.perf_counter() - start) / STEPS


if __name__ == "__main__":
    main()
