"""Small data sets of synthetic nerves with one fault in each, to learn on how faults show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonlab.appearance import APPEARANCES
from axonlab.micrograph import CLASSES, Micrograph
from axonlab.phantom import Phantom, nerve

ANIMALS = tuple(f"sub-{number:02d}" for number in range(1, 7))
"""Of every data set, one image each."""

VALID_ANIMALS = ANIMALS[-2:]
"""Kept for validation where a data set is split."""

SHAPE = (240, 320)
"""Rows and columns of every image."""

PIXEL_SIZE = 0.1
"""In µm, of all images but those whose pixel sizes are the matter."""

CLAIMED = ((0.08, 0.16), (0.16, 0.08))
"""True and claimed pixel size in µm of the image that claims a wrong one."""

HONEST = (0.08, 0.09, 0.11, 0.13, 0.16)
"""Pixel sizes in µm of the others: what is claimed wrongly is right elsewhere."""

G_RATIOS = (0.58, 0.6, 0.62, 0.64)
"""Of usual nerves."""

THIN_MYELIN = 0.8
"""g-ratio of the one healthy image with as much axon as the one whose classes are swapped."""

CUT_SHARE = (0.45, 0.65)
"""Share of the pixels that are brighter than 255 in what is cut to 8 bits."""

SHIFTS = tuple((a, b) for a in (-3, 3) for b in (-1, 0, 1))
"""Of a mask in pixels, along one axis and the other."""

POOR_BLUR_UM = (0.42, 0.55)
"""Blur of the image that a model finds hard although its mask is right."""

_MARGIN = 4  # pixels drawn around an image, to shift its mask within: no edge is left bare
_SEED_LIMIT = 2**32


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Specimen:
    """One image of a data set, as it is to be written."""

    animal: str
    micrograph: Micrograph
    labels: NDArray[np.uint8]


def draw(fault: str, seed: int) -> list[Specimen]:
    """Draw a data set in which one animal's image or mask has a fault.

    Parameters
    ----------
    fault : str
        One of `FAULTS`.
    seed : int
        The same seed gives the same data set; `faulty_animal` tells which animal it is.

    Returns
    -------
    list of Specimen
        One for each of `ANIMALS`, in their order.

    Raises
    ------
    ValueError
        If there is no such fault, or the seed is not a whole number from 0.
    """
    _, rng = _streams(fault, seed)
    return FAULTS[fault](ANIMALS.index(faulty_animal(fault, seed)), rng)


def faulty_animal(fault: str, seed: int) -> str:
    """Return the animal whose image or mask is faulty, without drawing anything.

    Raises
    ------
    ValueError
        If there is no such fault, or the seed is not a whole number from 0.

    Examples
    --------
    >>> faulty_animal("shift", seed=7) in ANIMALS
    True
    """
    choice, _ = _streams(fault, seed)
    return str(choice.choice(candidates(fault)))


def candidates(fault: str) -> tuple[str, ...]:
    """Return the animals that the fault may be in.

    Those for validation are not the leaked ones, and where one mask or image is looked at after
    the other, the first one is in order.
    """
    if fault == "leak":
        return ANIMALS[: -len(VALID_ANIMALS)]
    return ANIMALS[1:] if fault in ("swap", "clip") else ANIMALS


def check_seed(seed: int) -> int:
    """Return a seed, or raise ValueError unless it is a whole number from 0."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _SEED_LIMIT:
        raise ValueError(
            f"seed is {seed!r}, expected a whole number from 0 to {_SEED_LIMIT - 1}, such as your "
            "birthday: 2404."
        )
    return seed


def _streams(fault: str, seed: int) -> list[np.random.Generator]:
    """Return random numbers for the choice of an animal, and others for all the rest."""
    if fault not in FAULTS:
        raise ValueError(f"No fault {fault!r}, there are {list(FAULTS)}.")
    return np.random.default_rng([check_seed(seed), list(FAULTS).index(fault)]).spawn(2)


def _leaked(faulty: int, rng: np.random.Generator) -> list[Specimen]:
    """Let one animal for training show half of what one for validation shows."""
    usual = [_specimen(animal, _drawn(rng)) for animal in ANIMALS]
    twin = ANIMALS.index(str(rng.choice(VALID_ANIMALS)))
    height, width = SHAPE
    both = _drawn(rng, shape=(height, width + width // 2))
    for i, left in ((faulty, 0), (twin, width // 2)):
        usual[i] = _crop(_specimen(ANIMALS[i], both), 0, left)
    return usual


def _missized(faulty: int, rng: np.random.Generator) -> list[Specimen]:
    """Let one sidecar claim pixels twice or half as large as they are."""
    sizes = rng.permutation(HONEST).tolist()
    true, claimed = CLAIMED[rng.integers(len(CLAIMED))]
    sizes.insert(faulty, true)
    drawn = [
        _specimen(animal, _drawn(rng, pixel_size=size))
        for animal, size in zip(ANIMALS, sizes, strict=True)
    ]
    wrong = replace(drawn[faulty].micrograph, pixel_size=claimed)
    drawn[faulty] = replace(drawn[faulty], micrograph=wrong)
    return drawn


def _swapped(faulty: int, rng: np.random.Generator) -> list[Specimen]:
    """Exchange axon and myelin in one mask; in another one myelin is thin, and nothing wrong."""
    thin = _another(faulty, rng)
    ratios = rng.choice(G_RATIOS, len(ANIMALS))
    ratios[thin] = THIN_MYELIN
    drawn = [
        _specimen(animal, _drawn(rng, g_ratio=float(ratio)))
        for animal, ratio in zip(ANIMALS, ratios, strict=True)
    ]
    exchanged = np.arange(256, dtype=np.uint8)
    exchanged[[CLASSES["axon"], CLASSES["myelin"]]] = CLASSES["myelin"], CLASSES["axon"]
    drawn[faulty] = replace(drawn[faulty], labels=exchanged[drawn[faulty].labels])
    return drawn


def _cut(faulty: int, rng: np.random.Generator) -> list[Specimen]:
    """Cut one 16-bit image to 8 bits; two others have 8 bits in order, one of them pale."""
    honest, pale = rng.permutation([i for i in range(len(ANIMALS)) if i != faulty])[:2]
    drawn = []
    for i, animal in enumerate(ANIMALS):
        specimen = _specimen(animal, _drawn(rng))
        pixels = specimen.micrograph.pixels
        if i == pale:
            pixels = np.round(pixels * 0.3) + 90
        elif i != honest:
            gain = rng.uniform(60, 200)
            pixels = np.round(pixels * gain + rng.uniform(0, gain, pixels.shape))
        if i == faulty:
            middle = np.quantile(pixels, 1 - rng.uniform(*CUT_SHARE))
            pixels = np.round(pixels * (255 / middle)).clip(0, 255)
        drawn.append(replace(specimen, micrograph=replace(specimen.micrograph, pixels=pixels)))
    return drawn


def _shifted(faulty: int, rng: np.random.Generator) -> list[Specimen]:
    """Lay one mask a few pixels beside its image; another image is poor, and its mask is right."""
    poor = _another(faulty, rng)
    blur = float(rng.uniform(*POOR_BLUR_UM))
    dimmed = replace(APPEARANCES["sem"], blur_um=blur, counts=25, read_noise=16)
    shift = rng.permutation(SHIFTS[rng.integers(len(SHIFTS))])
    height, width = SHAPE
    drawn = []
    for i, animal in enumerate(ANIMALS):
        shape = (height + 2 * _MARGIN, width + 2 * _MARGIN)
        look = dimmed if i == poor else None
        whole = _specimen(animal, _drawn(rng, shape=shape, appearance=look))
        specimen = _crop(whole, _MARGIN, _MARGIN)
        if i == faulty:
            beside = _crop(whole, *(_MARGIN + int(step) for step in shift))
            specimen = replace(specimen, labels=beside.labels)
        drawn.append(specimen)
    return drawn


FAULTS: dict[str, Callable[[int, np.random.Generator], list[Specimen]]] = {
    "leak": _leaked,
    "size": _missized,
    "swap": _swapped,
    "clip": _cut,
    "shift": _shifted,
}
"""From easy to hard to find, and how a data set with each is drawn."""


def _another(faulty: int, rng: np.random.Generator) -> int:
    """Return the number of an animal that looks suspicious, and is not."""
    return int(rng.choice([i for i in range(len(ANIMALS)) if i != faulty]))


def _drawn(
    rng: np.random.Generator,
    *,
    shape: tuple[int, int] = SHAPE,
    pixel_size: float = PIXEL_SIZE,
    **options: Any,
) -> Phantom:
    seed = int(rng.integers(_SEED_LIMIT))
    return nerve(shape, pixel_size=pixel_size, seed=seed, **options)


def _specimen(animal: str, drawn: Phantom) -> Specimen:
    return Specimen(animal, replace(drawn.micrograph, name=f"{animal}_SEM"), drawn.labels)


def _crop(whole: Specimen, top: int, left: int) -> Specimen:
    """Return a field of the usual shape."""
    window = slice(top, top + SHAPE[0]), slice(left, left + SHAPE[1])
    pixels = whole.micrograph.pixels[window]
    micrograph = replace(whole.micrograph, pixels=pixels)
    return Specimen(whole.animal, micrograph, whole.labels[window])
