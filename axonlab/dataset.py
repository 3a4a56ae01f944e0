"""What is wrong with a data set, told before a network is trained on it."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.examine import Facts, class_counts, examine, inside_out, is_whole
from axonlab.io import read_image, read_labels
from axonlab.micrograph import CLASSES, Micrograph, check_pixel_size, shape_at
from axonlab.overlap import Overlaps
from axonlab.pairs import Pair, listed, short_names

KINDS = {
    "unreadable": ("severe", "Export the file again, do what it asks for, or leave the pair out."),
    "shape": ("severe", "Export the mask at full size, or take the mask of this image."),
    "unlabelled": ("severe", "Label some of it, or leave the pair out."),
    "empty": ("severe", "Leave it out if fibres are visible; if there are none, it may stay."),
    "inside out": ("severe", "Look at the mask; say what its values mean, values=..."),
    "axon size": ("severe", "Correct the pixel size of the image; it is in µm (100 nm is 0.1)."),
    "missing class": ("severe", "Label it, take it out of the classes, or choose other animals."),
    "leak": ("severe", "Keep one of the two, or count both as one animal: animals={...}."),
    "no validation": ("severe", "Correct valid_animals: they are the animals of the pairs."),
    "no training": ("severe", "Keep fewer animals for validation."),
    "copy": ("warning", "Keep one of the two: it counts twice, and must not be split."),
    "overlap": ("warning", "Keep both on one side of training and validation, as one animal."),
    "contrast": ("warning", "Look at these masks, or train one model for each kind of image."),
    "axon sizes": ("warning", "Check the pixel sizes of these images."),
    "resampled": ("warning", "Train at a pixel size closer to that of the images."),
    "class in some": ("warning", "If it is visible in the others, label it there, too."),
    "rare class": ("warning", "Label more of it; its score will be poor and uncertain."),
    "doubtful file": ("warning", "Say what is right, or export the file again, unsmoothed."),
    "one image": ("warning", "Label a second animal: a score on the same tissue proves little."),
    "one animal": ("warning", "Label a second animal: a score on the same one proves little."),
    "pixel sizes": ("note", "All are resampled to one pixel size; correct it where it is wrong."),
    "grey depths": ("note", "Each image is normalised by itself: nothing to do."),
    "small": ("note", "They are mirrored to the size of the squares that training cuts."),
    "touching": ("note", "A background line one pixel wide between them teaches to separate them."),
    "other class": ("note", "It counts as the first class; add it to the classes to learn it."),
}
"""Names of all findings, with their severity and what to do."""

SEVERITIES = ("severe", "warning", "note")
"""From what spoils a training to what is good to know."""

SQUARE = 384
"""Side in pixels of the squares that `data.axon_block` cuts from images by default."""

AXON_DIAMETER_UM = (0.1, 20.0)
"""A median diameter of myelinated axons outside is taken for a wrong pixel size."""

_MAX_DIAMETER_RATIO = 5.0  # of one image to the median of all
_MAX_ENLARGED, _MAX_SHRUNK = 2.0, 4.0  # beyond, resampling invents detail or destroys it
_MAX_SIZE_RATIO = 1.5  # of the coarsest to the finest pixels
_RARE = 0.01  # share of the labelled pixels


class _Found(NamedTuple):
    name: str
    file: str
    finding: str


def check_dataset(
    pairs: Sequence[Pair],
    *,
    pixel_size: float,
    classes: Sequence[str] = ("background", "myelin", "axon"),
    valid_animals: Collection[str] = (),
) -> pd.DataFrame:
    """Find what would spoil a training, without training.

    Parameters
    ----------
    pairs : sequence of Pair
    pixel_size : float
        In µm, at which the network works.
    classes : sequence of str
        What it tells apart.
    valid_animals : collection of str
        Animals whose images are for validation; if none are given, nothing is said of the split.

    Returns
    -------
    DataFrame
        One row per finding, severe ones first: ``severity`` (of `SEVERITIES`), ``name`` (of
        `KINDS`), ``file`` (within the folder that all pairs share; empty if it is about all of
        them), ``finding`` and ``suggestion``. Files that cannot be read are findings, too, and
        the others are still checked.

    Raises
    ------
    ValueError
        If there are no pairs, a class is unknown or the pixel size is absurd.

    Notes
    -----
    Copies and overlaps are found by their exact pixels, also mirrored and turned, see
    `axonlab.overlap.Overlaps`. Masks of which less than 95 % is labelled are taken for scribbles:
    nothing is said of fibres in them.
    """
    _check_arguments(pairs, pixel_size, classes)
    names, seen = short_names(pairs), Overlaps()
    facts: list[Facts] = []
    found: list[_Found] = []
    for pair, name in zip(pairs, names, strict=True):
        read, problems = _read(pair, name)
        found += problems
        if read:
            micrograph, labels = read
            is_valid = pair.animal in valid_animals
            new = examine(name, pair.animal, is_valid, micrograph, labels)
            found += _check_mask(new, labels)
            found += _check_copies(new, facts, seen.add(name, micrograph.pixels))
            facts.append(new)
    found += _check_split(pairs, valid_animals)
    if facts:
        found += [*_check_classes(facts, classes), *_check_scale(facts, pixel_size)]
        found += [*_check_diameters(facts), *_check_looks(facts), *_check_touching(facts)]
    return _table(found)


def class_balance(pairs: Sequence[Pair]) -> pd.DataFrame:
    """Return how much of each image is labelled as what.

    Returns
    -------
    DataFrame
        One row per image that can be read: ``image``, ``animal``, the ``labelled`` share of its
        pixels, and the share of these of every class.
    """
    rows = []
    for pair, name in zip(pairs, short_names(pairs), strict=True):
        read, _ = _read(pair, name)
        if read:
            counts = class_counts(read[1])
            n_labelled = sum(counts.values())
            shares = {c: n / n_labelled if n_labelled else np.nan for c, n in counts.items()}
            labelled = n_labelled / read[1].size
            rows.append({"image": name, "animal": pair.animal, "labelled": labelled} | shares)
    return pd.DataFrame(rows, columns=["image", "animal", "labelled", *CLASSES])


def refuse(findings: pd.DataFrame, allow: Collection[str] = ()) -> None:
    """Raise ValueError if there are severe findings, but for those whose names are allowed.

    Parameters
    ----------
    findings : DataFrame
        From `check_dataset`.
    allow : collection of str
        Names of findings that are no obstacle, for example ``["empty"]``.
    """
    unknown = sorted(set(allow) - set(KINDS))
    if unknown:
        raise ValueError(f"No findings are called {unknown}; their names are {list(KINDS)}.")
    severe = findings[(findings["severity"] == "severe") & ~findings["name"].isin(list(allow))]
    if len(severe):
        listing = "".join(
            f"\n- {row.name_}: {row.file}{': ' if row.file else ''}{row.finding} {row.suggestion}"
            for row in severe.rename(columns={"name": "name_"}).itertuples()
        )
        raise ValueError(
            f"{len(severe)} severe findings in the data set:{listing}\nCorrect them, or allow "
            f"those you know to be harmless by name: allow={sorted(set(severe['name']))}."
        )


def _check_arguments(pairs: Sequence[Pair], pixel_size: float, classes: Sequence[str]) -> None:
    check_pixel_size(pixel_size, "the network")
    if not pairs:
        raise ValueError("No pairs of image and mask to check. Pass those of find_pairs.")
    unknown = [name for name in classes if name not in CLASSES]
    if unknown:
        raise ValueError(f"Unknown classes {unknown}, known are {list(CLASSES)}.")


def _read(
    pair: Pair, name: str
) -> tuple[tuple[Micrograph, NDArray[np.uint8]] | None, list[_Found]]:
    """Return an image and its labels if they can be had, and what was met on the way."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            micrograph = read_image(pair.image)
            labels = read_labels(*pair.masks, values=pair.values)
        except (OSError, ValueError) as error:
            return None, [_Found("unreadable", name, str(error))]
    found = [_Found("doubtful file", name, str(w.message)) for w in told]
    if labels.shape != micrograph.pixels.shape:
        text = f"a mask of shape {labels.shape} for an image of shape {micrograph.pixels.shape}."
        return None, [*found, _Found("shape", name, text)]
    return (micrograph, labels), found


def _check_mask(new: Facts, labels: NDArray[np.uint8]) -> Iterator[_Found]:
    """Find what a mask alone tells."""
    if not any(new.counts.values()):
        yield _Found("unlabelled", new.file, "no pixel of the mask is labelled.")
    elif new.counts["background"] == sum(new.counts.values()):
        yield _Found("empty", new.file, "the mask holds nothing but background.")
    elif is_whole(labels):
        problem = inside_out(labels)
        if problem:
            yield _Found("inside out", new.file, problem)


def _check_copies(
    new: Facts, before: Iterable[Facts], shares: dict[str, float]
) -> Iterator[_Found]:
    """Find earlier images that show the same pixels as a new one."""
    for old in before:
        if old.digest != new.digest and old.file not in shares:
            continue
        is_copy = old.digest == new.digest
        name = "copy" if is_copy else "overlap"
        text = "the same pixels as" if is_copy else f"{shares[old.file]:.0%} or more shared with"
        text += f" {old.file}"
        if old.animal != new.animal:
            text += f", although one is of {old.animal}, the other of {new.animal}"
        if old.is_valid != new.is_valid:
            name, text = "leak", f"{text}; one is for training, the other for validation"
        yield _Found(name, new.file, f"{text}.")


def _check_split(pairs: Sequence[Pair], valid_animals: Collection[str]) -> Iterator[_Found]:
    animals = {pair.animal for pair in pairs}
    missing = sorted(set(valid_animals) - animals)
    if missing:
        text = f"no image is of the validation animals {missing}; there are {sorted(animals)}."
        yield _Found("no validation", "", text)
    if animals <= set(valid_animals):
        yield _Found("no training", "", f"all animals, {sorted(animals)}, are for validation.")
    if len(pairs) == 1:
        yield _Found("one image", "", "there is one image only.")
    elif len(animals) == 1:
        yield _Found("one animal", "", f"all images are of {pairs[0].animal}.")


def _check_classes(facts: Sequence[Facts], classes: Sequence[str]) -> Iterator[_Found]:
    training = [f for f in facts if not f.is_valid] or facts
    total = sum(sum(f.counts.values()) for f in training)
    for name in CLASSES:
        without = [f.file for f in facts if not f.counts[name]]
        n = sum(f.counts[name] for f in training)
        if name not in classes:
            if len(without) < len(facts):
                holders = [f.file for f in facts if f.counts[name]]
                text = f"{name} is labelled, but not among the classes."
                yield _Found("other class", listed(holders), text)
        elif not n:
            yield _Found("missing class", "", f"no training image holds {name}.")
        else:
            if without:
                text = f"{len(without)} of {len(facts)} images hold no {name}."
                yield _Found("class in some", listed(without), text)
            if n < _RARE * total:
                text = f"{name} is {n / total:.2%} of what is labelled for training."
                yield _Found("rare class", "", text)


def _check_scale(facts: Sequence[Facts], pixel_size: float) -> Iterator[_Found]:
    """Find what resampling to the pixel size of the network would do."""
    sizes = [f.pixel_size for f in facts]
    if max(sizes) > _MAX_SIZE_RATIO * min(sizes):
        text = f"pixels of {min(sizes):g} to {max(sizes):g} µm."
        yield _Found("pixel sizes", "", text)
    for is_far, what in (
        ([s > _MAX_ENLARGED * pixel_size for s in sizes], "enlarged"),
        ([s * _MAX_SHRUNK < pixel_size for s in sizes], "shrunk"),
    ):
        far = [f for f, is_one in zip(facts, is_far, strict=True) if is_one]
        if far:
            worst = max(max(f.pixel_size / pixel_size, pixel_size / f.pixel_size) for f in far)
            text = f"{what} up to {worst:.3g} times to {pixel_size:g} µm per pixel."
            yield _Found("resampled", listed(f.file for f in far), text)
    small = [f.file for f in facts if min(shape_at(f.shape, f.pixel_size, pixel_size)) < SQUARE]
    if small:
        text = f"{len(small)} of {len(facts)} images have fewer than {SQUARE} rows or columns"
        yield _Found("small", listed(small), f"{text} at {pixel_size:g} µm per pixel.")


def _check_diameters(facts: Sequence[Facts]) -> Iterator[_Found]:
    low, high = AXON_DIAMETER_UM
    known = [f for f in facts if not np.isnan(f.diameter)]
    for f in known:
        text = f"its axons have a median diameter of {f.diameter:.3g} µm at {f.pixel_size:g} µm "
        others = [o.diameter for o in known if o is not f]
        usual = float(np.median(others)) if others else f.diameter
        if not low <= f.diameter <= high:
            text += f"per pixel, expected {low:g} to {high:g} µm."
            yield _Found("axon size", f.file, text)
        elif max(f.diameter / usual, usual / f.diameter) > _MAX_DIAMETER_RATIO:
            yield _Found("axon sizes", f.file, f"{text}per pixel, in the others {usual:.3g} µm.")


def _check_looks(facts: Sequence[Facts]) -> Iterator[_Found]:
    """Find images that look unlike the others."""
    depths = {f.depth for f in facts}
    if len(depths) > 1:
        counts = {d: sum(f.depth == d for f in facts) for d in sorted(depths)}
        text = ", ".join(f"{n} images of {depth}" for depth, n in counts.items())
        yield _Found("grey depths", "", f"{text}.")
    bright = [f.file for f in facts if f.contrast > 0]
    dark = [f.file for f in facts if f.contrast < 0]
    if bright and dark:
        fewer, look = min((bright, "brighter"), (dark, "darker"), key=lambda pair: len(pair[0]))
        text = (
            f"myelin is {look} than axons in {len(fewer)} of {len(bright) + len(dark)} images, "
            "in the others it is not."
        )
        yield _Found("contrast", listed(fewer), text)


def _check_touching(facts: Sequence[Facts]) -> Iterator[_Found]:
    n, total = sum(f.n_touching for f in facts), sum(f.n_axons for f in facts)
    if n:
        files = listed(f.file for f in facts if f.n_touching)
        yield _Found("touching", files, f"{n} of {total} axons share their myelin with another.")


def _table(found: Iterable[_Found]) -> pd.DataFrame:
    rows = [(KINDS[f.name][0], f.name, f.file, f.finding, KINDS[f.name][1]) for f in found]
    rows.sort(key=lambda row: (SEVERITIES.index(row[0]), list(KINDS).index(row[1])))
    return pd.DataFrame(rows, columns=["severity", "name", "file", "finding", "suggestion"])
