"""How good a model is on images of known truth, next to another one, and under hard conditions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from axonlab import calibration, score
from axonlab.bootstrap import mean_interval
from axonlab.micrograph import Micrograph, intensity_range
from axonlab.models import Model, load_model
from axonlab.pairs import ALL_ANIMALS, Pair, listed, read_pair, short_names
from axonlab.segment import segment


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model makes of images whose truth is known.

    Parameters
    ----------
    model : str
        Its name.
    classes : list of str
        What it tells apart.
    pairs : list of Pair
    images : DataFrame
        One row per pair, in their order: `image`, `animal`, Dice per class (`dice_axon`, …) and
        `mean_dice`, that of all classes but the first. A class that neither is there nor was
        found has NaN.
    confusions : list of DataFrame
        One per pair, pixels of each true class (rows) by found class.
    labels : list of (H, W) uint8 array
        What was found, one per pair. Probabilities are not kept.
    reliability : DataFrame
        Of all labelled pixels, from `axonlab.calibration.reliability`.
    sample : DataFrame
        Pixels to fit a temperature on, from `axonlab.calibration.sample_pixels`, with `animal`;
        their probabilities are those at temperature 1, whatever the card says.
    """

    model: str
    classes: list[str]
    pairs: list[Pair] = field(repr=False)
    images: pd.DataFrame = field(repr=False)
    confusions: list[pd.DataFrame] = field(repr=False)
    labels: list[NDArray[np.uint8]] = field(repr=False)
    reliability: pd.DataFrame = field(repr=False)
    sample: pd.DataFrame = field(repr=False)

    @property
    def confusion(self) -> pd.DataFrame:
        """Pixels of each true class (rows) by found class, of all images together."""
        return _total(self.confusions)

    @property
    def dice(self) -> pd.DataFrame:
        """Dice of each class (columns) by animal and of "all", pooled over their pixels."""
        rows = {}
        for animal, group in self.images.groupby("animal"):
            rows[animal] = score.dice(_total([self.confusions[i] for i in group.index]))
        rows[ALL_ANIMALS] = score.dice(self.confusion)
        return pd.DataFrame(rows).T.rename_axis("animal")

    @cached_property
    def calibration(self) -> dict[str, Any]:
        """What a model card says of calibration: plain numbers.

        `temperature` is fitted on all animals and takes the place of that on the card. The
        expected calibration error of the model as it is, `ece`, is that of all labelled pixels.
        The one at the new temperature, `ece_scaled`, is that of animals which the temperature has
        not seen, or None where there is only one.
        """
        animals = sorted(set(self.images["animal"]))
        scaled = None
        if len(animals) > 1:
            table = calibration.left_out_reliability(self.sample, self.classes)
            scaled = calibration.expected_calibration_error(table)
        return {
            "temperature": calibration.fit_temperature(self.sample, self.classes),
            "ece": calibration.expected_calibration_error(self.reliability),
            "ece_scaled": scaled,
            "animals": animals,
        }


def evaluate(model: str | Path | Model, pairs: Iterable[Pair]) -> Evaluation:
    """Segment whole images at their own pixel size and compare them with their masks.

    Classes that the model does not tell apart count as its first one, as in its training.

    Parameters
    ----------
    model : str, path or Model
    pairs : iterable of Pair
        From `axonlab.pairs.find_pairs`, of animals the model was not trained on. It is gone
        through once: ``fastprogress.progress_bar(pairs)`` shows how far it is.

    Returns
    -------
    Evaluation

    Raises
    ------
    OSError, ValueError
        If there is no pair, or one that cannot be read; the message names it.
    """
    model = model if isinstance(model, Model) else load_model(model)
    classes = model.card.classes
    done: list[Pair] = []
    rows, confusions, labels, tables, samples = [], [], [], [], []
    for pair in pairs:
        micrograph, truth = read_pair(pair)
        truth = score.merge_classes(truth, classes)
        result = segment(micrograph, model)
        counts = _confusion(result.labels, truth, classes)
        sample = calibration.sample_pixels(result.probabilities, truth, classes)
        sample = calibration.scale(sample, classes, 1 / model.card.temperature)
        done.append(pair)
        rows.append({"image": micrograph.name, "animal": pair.animal} | _dice_columns(counts))
        confusions.append(counts)
        labels.append(result.labels)
        tables.append(calibration.reliability(result.probabilities, truth, classes))
        samples.append(sample.assign(animal=pair.animal))
    if not done:
        raise ValueError("No pairs to evaluate on: expected at least one, from find_pairs(folder).")
    return Evaluation(
        model.card.name,
        classes,
        done,
        pd.DataFrame(rows),
        confusions,
        labels,
        _total(tables),
        pd.concat(samples, ignore_index=True),
    )


def pool(evaluations: Iterable[Evaluation]) -> Evaluation:
    """Return evaluations of different images as one, such as those of a cross-validation.

    Parameters
    ----------
    evaluations : iterable of Evaluation
        Of models for the same classes.

    Raises
    ------
    ValueError
        If there are none, their classes differ, or an image is in several of them.
    """
    parts = list(evaluations)
    if not parts:
        raise ValueError("No evaluations to pool: keep animals for validation, or leave some out.")
    if any(part.classes != parts[0].classes for part in parts):
        raise ValueError(f"Models for different classes: {[part.classes for part in parts]}.")
    counts = Counter(pair.image for part in parts for pair in part.pairs)
    twice = [image for image, n in counts.items() if n > 1]
    if twice:
        raise ValueError(
            f"Images that were evaluated several times: {listed(twice)}. Each would count as "
            "often: let every animal be of one group that is left out."
        )
    return Evaluation(
        " + ".join(dict.fromkeys(part.model for part in parts)),
        parts[0].classes,
        [pair for part in parts for pair in part.pairs],
        pd.concat([part.images for part in parts], ignore_index=True),
        [table for part in parts for table in part.confusions],
        [labels for part in parts for labels in part.labels],
        _total([part.reliability for part in parts]),
        pd.concat([part.sample for part in parts], ignore_index=True),
    )


def compare(first: Evaluation, second: Evaluation) -> pd.DataFrame:
    """Return how two models differ on the same images.

    Parameters
    ----------
    first, second : Evaluation
        Of the same pairs in the same order.

    Returns
    -------
    DataFrame
        One row per image and class that both models tell apart: `image`, `animal`, `class`, the
        Dice of the `first` and the `second`, and their `difference`, second - first. Where one
        knows more classes than the other, their first ones are not the same and are left out.

    Raises
    ------
    ValueError
        If the images are not the same, or no class is.
    """
    if first.pairs != second.pairs:
        raise ValueError(
            f"{first.model!r} was evaluated on {len(first.pairs)} pairs, {second.model!r} on "
            f"{len(second.pairs)} that are not the same or in another order. Evaluate both on "
            "one list of pairs."
        )
    shared = [name for name in first.classes if name in second.classes]
    if set(first.classes) != set(second.classes):
        rest = {first.classes[0], second.classes[0]}  # holds what the other tells apart
        shared = [name for name in shared if name not in rest]
    if not shared:
        raise ValueError(
            f"{first.model!r} tells {first.classes} apart, {second.model!r} {second.classes}: "
            "there is no class to compare."
        )
    tables = []
    for name in shared:
        table = first.images[["image", "animal"]].assign(**{"class": name})
        table["first"] = first.images[score.dice_column(name)]
        table["second"] = second.images[score.dice_column(name)]
        tables.append(table)
    both = pd.concat(tables, ignore_index=True)
    return both.assign(difference=both["second"] - both["first"])


def summarise(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return the mean difference of two models per class, and how sure it is.

    Parameters
    ----------
    comparison : DataFrame
        From `compare`.

    Returns
    -------
    DataFrame
        By class: the mean `difference`, its 95 % interval from `low` to `high`, and the numbers of
        `animals` and `images` it is from.

    Notes
    -----
    Images of one animal resemble each other, so animals are what is counted: the mean is that of
    the animals' means, and the interval that of `axonlab.bootstrap.mean_interval`.
    """
    known = comparison.dropna(subset="difference")
    rows = {}
    for name, table in known.groupby("class", sort=False):
        means = table.groupby("animal")["difference"].mean().to_numpy()
        low, high = mean_interval(means)
        rows[name] = {
            "difference": means.mean(),
            "low": low,
            "high": high,
            "animals": len(means),
            "images": len(table),
        }
    columns = ["difference", "low", "high", "animals", "images"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("class")


def robustness(model: str | Path | Model, pairs: Iterable[Pair]) -> pd.DataFrame:
    """Return how the Dice of a model moves with errors and noise that real images have.

    Parameters
    ----------
    model : str, path or Model
    pairs : iterable of Pair
        Each is segmented some ten times.

    Returns
    -------
    DataFrame
        One row per `change`, `amount` and `class` with the `dice`, pooled over all images. The
        changes are those of `CHANGES`.

    Raises
    ------
    OSError, ValueError
        If a pair cannot be read; the message names it.
    """
    model = model if isinstance(model, Model) else load_model(model)
    classes = model.card.classes
    totals: dict[tuple[str, float], pd.DataFrame] = {}
    for pair in pairs:
        micrograph, truth = read_pair(pair)
        truth = score.merge_classes(truth, classes)
        unchanged = _confusion(segment(micrograph, model).labels, truth, classes)
        for name, (change, amounts) in CHANGES.items():
            for amount in amounts:
                counts = unchanged
                if amount:
                    changed = change(micrograph, amount, model.card.pixel_size)
                    counts = _confusion(segment(changed, model).labels, truth, classes)
                totals[name, amount] = totals.get((name, amount), 0) + counts
    rows = [
        {"change": name, "amount": amount, "class": class_name, "dice": dice}
        for (name, amount), counts in totals.items()
        for class_name, dice in score.dice(counts).items()
    ]
    return pd.DataFrame(rows, columns=["change", "amount", "class", "dice"])


def card_scores(evaluation: Evaluation, hard: pd.DataFrame) -> dict[str, Any]:
    """Return what a model card tells of an evaluation, in plain numbers.

    Parameters
    ----------
    evaluation : Evaluation
    hard : DataFrame
        From `robustness`.

    Returns
    -------
    dict
        `calibration`; Dice by class in `dice` (by animal, and of "all"), `images` and
        `hard_conditions`.
    """
    images = evaluation.images
    change = hard["change"] + hard["amount"].map(" {:+g}".format)
    conditions = hard.assign(change=change).pivot_table("dice", "change", "class", sort=False)
    names = images["animal"] + "/" + images["image"]
    paths = images["animal"] + "/" + short_names(evaluation.pairs)
    images = images.filter(like="dice").set_index(paths.where(names.duplicated(keep=False), names))
    return {
        "calibration": evaluation.calibration,
        "dice": evaluation.dice.round(4).to_dict("index"),
        "images": images.round(4).to_dict("index"),
        "hard_conditions": conditions.round(4).to_dict("index"),
    }


def _misjudge(micrograph: Micrograph, share: float, model_pixel_size: float) -> Micrograph:
    """Return a micrograph that claims pixels larger by a share than they are."""
    return replace(micrograph, pixel_size=micrograph.pixel_size * (1 + share))


def _blur(micrograph: Micrograph, sigma: float, model_pixel_size: float) -> Micrograph:
    """Return a micrograph blurred by a Gaussian of `sigma` pixels of the model."""
    own_sigma = sigma * model_pixel_size / micrograph.pixel_size
    return replace(micrograph, pixels=ndimage.gaussian_filter(micrograph.pixels, own_sigma))


def _add_noise(micrograph: Micrograph, share: float, model_pixel_size: float) -> Micrograph:
    """Return a micrograph with white noise whose deviation is a share of its grey range."""
    low, high = intensity_range(micrograph.pixels)
    noise = np.random.default_rng(0).standard_normal(micrograph.pixels.shape, np.float32)
    return replace(micrograph, pixels=micrograph.pixels + share * (high - low) * noise)


Change = Callable[[Micrograph, float, float], Micrograph]

CHANGES: dict[str, tuple[Change, tuple[float, ...]]] = {
    "pixel size": (_misjudge, (-0.2, -0.1, 0.0, 0.1, 0.2)),
    "blur": (_blur, (0.0, 1.0, 2.0)),
    "noise": (_add_noise, (0.0, 0.05, 0.1)),
}
"""What `robustness` does to images, and how much of it: the error of the claimed pixel size as a
share, the sigma of a Gaussian blur in pixels of the model, and the standard deviation of white
noise per pixel of the image as a share of its grey range (1st to 99th percentile)."""


def _confusion(
    labels: NDArray[np.uint8], truth: NDArray[np.uint8], classes: list[str]
) -> pd.DataFrame:
    """Return the confusion table of all classes of a model, so that tables can be added."""
    return score.confusion(labels, truth).reindex(index=classes, columns=classes, fill_value=0)


def _total(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return sum(tables[1:], tables[0])


def _dice_columns(counts: pd.DataFrame) -> dict[str, float]:
    """Return the Dice of an image per class, and the mean of all classes but the first."""
    dice = score.dice(counts)
    columns = {score.dice_column(name): float(value) for name, value in dice.items()}
    return columns | {"mean_dice": float(dice.iloc[1:].mean())}
