"""From a few labelled pixels to a proposal for the whole image, and where to label next."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr
from skimage.feature import multiscale_basic_features
from skimage.morphology import reconstruction
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.utils.parallel import Parallel, delayed

from axonlab.micrograph import CLASSES, UNLABELLED, Micrograph, at_model_scale, classify, resize

MAX_PIXELS = 2_000_000
"""Larger images are seen at a lower resolution, which bounds time and memory."""

PIXELS_PER_CLASS = 10_000
"""Of more labelled pixels a class is learnt from a random choice: neighbours tell little new."""

SCALES_PX = (1, 2, 4, 8)
"""Sigmas of the features. Wider ones learn where the strokes lie, not what is there."""

N_TREES = 32
"""Of the forest. Twice as many take twice as long, and find next to nothing more."""

BAND_PX = 100_000
"""Classified at once by one core: bounds the memory."""


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Proposal:
    """What a few labelled pixels make of a whole micrograph.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Class ids: as they were where there was a label, the most probable class elsewhere.
    probabilities : (n_classes, H, W) float32 array
        In the order of `classes`; they sum to 1.
    classes : list of str
        The classes that were labelled.
    """

    labels: NDArray[np.uint8] = field(repr=False)
    probabilities: NDArray[np.float32] = field(repr=False)
    classes: list[str]


def classify_pixels(micrograph: Micrograph, labels: NDArray[np.uint8]) -> Proposal:
    """Learn from the labelled pixels of a micrograph and classify all of them.

    Nothing is known beforehand: every class wanted needs a few strokes, on what differs within it
    and beside what it is mistaken for. The same input gives the same result.

    Parameters
    ----------
    micrograph : Micrograph
    labels : (H, W) uint8 array
        Class ids, 255 where nobody has labelled.

    Returns
    -------
    Proposal

    Raises
    ------
    ValueError
        If fewer than two classes are labelled, an id is no class, or the shapes differ.

    Notes
    -----
    Features of a pixel are grey value, gradient and the eigenvalues of the Hessian at the scales
    `SCALES_PX` (as in Arganda-Carreras et al. 2017, doi:10.1093/bioinformatics/btx180), and
    how deep it lies in a basin that is closed all around, dark or bright: a sheath closes in its
    axon. The classifier is a forest of extremely randomised trees (Geurts et al. 2006,
    doi:10.1007/s10994-006-6226-1) in which all classes weigh the same. Of images beyond
    `MAX_PIXELS` the probabilities are those of a smaller copy, interpolated.
    """
    _check_same_shape(labels, "labels", micrograph.pixels, micrograph.name)
    classes = _labelled_classes(labels, micrograph.name)
    shrink = max(1.0, math.sqrt(micrograph.pixels.size / MAX_PIXELS))
    pixels, _ = at_model_scale(micrograph, micrograph.pixel_size * shrink)
    coarse = _learn(pixels, labels, classes)
    probabilities = np.empty((len(classes), *labels.shape), np.float32)
    for i, plane in enumerate(coarse):
        probabilities[i] = resize(plane, labels.shape)
    proposed = classify(probabilities, classes)
    return Proposal(np.where(labels == UNLABELLED, proposed, labels), probabilities, classes)


def uncertainty(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how undecided the probabilities of every pixel are, from 0 to 1.

    Parameters
    ----------
    probabilities : (n_classes, H, W) float32 array
        From `classify_pixels` or a model; they sum to 1.

    Returns
    -------
    (H, W) float32 array
        0 where one class is certain, 1 where all are equally probable.

    Notes
    -----
    ``-sum_k p_k log p_k / log n``, the entropy of Shannon (1948,
    doi:10.1002/j.1538-7305.1948.tb01338.x) as a share of the largest of n classes.

    Examples
    --------
    >>> uncertainty(np.array([[[1, 0.5, 0.9]], [[0, 0.5, 0.1]]], np.float32)).round(3)
    array([[0.   , 1.   , 0.469]], dtype=float32)
    """
    largest = np.log(max(len(probabilities), 2))  # one class alone is certain
    total = np.zeros(probabilities.shape[1:], np.float32)
    for plane in probabilities:
        total += entr(plane)
    return (total / np.float32(largest)).clip(0, 1)  # rounding


def where_next(
    uncertainty: NDArray[np.float32], labels: NDArray[np.uint8], *, size: tuple[int, int]
) -> tuple[slice, slice]:
    """Return the crop whose labels are worth most: where much is undecided and not yet labelled.

    Parameters
    ----------
    uncertainty : (H, W) float32 array
        From `uncertainty`.
    labels : (H, W) uint8 array
        What is labelled already, 255 elsewhere. Labelled pixels count as certain; of an image
        that is labelled all over, as a predicted one is, all pixels count.
    size : pair of int
        Rows and columns of the crop in pixels, at most those of the image.

    Returns
    -------
    rows, columns : slice
        The crop with the highest mean, the topmost and then leftmost of equals.

    Raises
    ------
    ValueError
        If the shapes differ or the size is not positive.

    Examples
    --------
    >>> doubt = np.array([[0, 0.2, 0.9, 0.3]], np.float32)
    >>> where_next(doubt, np.full((1, 4), 255, np.uint8), size=(1, 2))
    (slice(0, 1, None), slice(2, 4, None))
    """
    _check_same_shape(labels, "labels", uncertainty, "uncertainty")
    if min(size) < 1:
        raise ValueError(f"size is {size}, expected two positive numbers of pixels: rows, columns.")
    height, width = (min(n, length) for n, length in zip(size, labels.shape, strict=True))
    # whole numbers: equal crops have exactly equal sums
    sums = np.rint(uncertainty * np.float32(2**20)).astype(np.int64)
    if (labels == UNLABELLED).any():
        sums[labels != UNLABELLED] = 0
    sums = _sliding_sums(_sliding_sums(sums, height).T, width).T
    top, left = (int(i) for i in np.unravel_index(sums.argmax(), sums.shape))
    return slice(top, top + height), slice(left, left + width)


def _check_same_shape(
    array: NDArray[np.generic], name: str, other: NDArray[np.generic], other_name: str
) -> None:
    if array.shape != other.shape:
        raise ValueError(
            f"{name} of shape {array.shape} for {other_name} of {other.shape}: "
            "both must show the same image at the same size."
        )


def _labelled_classes(labels: NDArray[np.uint8], name: str) -> list[str]:
    """Return the classes that are labelled, by their ids, or raise ValueError if too few are."""
    ids = set(np.unique(labels).tolist()) - {UNLABELLED}
    if not ids <= set(CLASSES.values()):
        raise ValueError(
            f"{name}: the labels hold the ids {sorted(ids)}, expected those of {CLASSES}, and "
            f"{UNLABELLED} where nobody has labelled. Read masks with axonlab.io.read_labels."
        )
    classes = [known for known, i in CLASSES.items() if i in ids]
    if len(classes) < 2:
        raise ValueError(
            f"{name}: labelled are {classes}, expected at least two classes. "
            "Draw a few strokes on each, background too."
        )
    return classes


def _sliding_sums(values: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the sums of every n neighbouring rows."""
    totals = np.pad(np.cumsum(values, axis=0), ((1, 0), (0, 0)))
    return totals[n:] - totals[:-n]


def _learn(
    pixels: NDArray[np.float32], labels: NDArray[np.uint8], classes: list[str]
) -> NDArray[np.float32]:
    """Return the probabilities of all pixels, which may be fewer than the labels over them."""
    features = _features(pixels)
    rows, columns = _chosen(labels, classes)
    height, width = pixels.shape
    seen = features[rows * height // labels.shape[0], columns * width // labels.shape[1]]
    forest = ExtraTreesClassifier(
        N_TREES, min_samples_leaf=10, class_weight="balanced", n_jobs=-1, random_state=0
    )
    forest.fit(seen, labels[rows, columns])
    return _probabilities(forest, features)


def _features(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what is known about each pixel and its surroundings, as (H, W, n_features)."""
    features = np.empty((*pixels.shape, 4 * len(SCALES_PX) + 2), np.float32)
    for i, sigma in enumerate(SCALES_PX):  # one by one: all at once need twice the memory
        features[..., 4 * i : 4 * i + 4] = multiscale_basic_features(  # type: ignore[no-untyped-call]
            pixels, sigma_min=sigma, sigma_max=sigma, num_sigma=1
        )
    height, width = pixels.shape
    half = resize(pixels, (-(-height // 2), -(-width // 2)))  # a quarter of the time
    features[..., -2] = resize(_basin_depth(half), pixels.shape)
    features[..., -1] = resize(_basin_depth(-half), pixels.shape)
    return features


def _basin_depth(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far a pixel lies below the level at which it would drain to the border."""
    filled = np.full_like(pixels, pixels.max())
    filled[[0, -1]], filled[:, [0, -1]] = pixels[[0, -1]], pixels[:, [0, -1]]
    full = reconstruction(filled, pixels, method="erosion")  # type: ignore[no-untyped-call]
    return np.asarray(full - pixels, np.float32)


def _chosen(
    labels: NDArray[np.uint8], classes: list[str]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the labelled pixels to learn from."""
    rng = np.random.default_rng(0)
    chosen = []
    for name in classes:
        places = np.flatnonzero(labels == CLASSES[name])
        if len(places) > PIXELS_PER_CLASS:
            places = rng.choice(places, PIXELS_PER_CLASS, replace=False)
        chosen.append(places)
    rows, columns = np.unravel_index(np.concatenate(chosen), labels.shape)
    return rows, columns


def _probabilities(
    forest: ExtraTreesClassifier, features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the probabilities of all pixels as (n_classes, H, W)."""
    table = features.reshape(-1, features.shape[-1])
    # each band by one core: threads that add up the trees of one band do so in any order
    forest.set_params(n_jobs=1)
    bands = [table[start : start + BAND_PX] for start in range(0, len(table), BAND_PX)]
    parts = Parallel(n_jobs=-1, require="sharedmem")(
        delayed(lambda band: forest.predict_proba(band).astype(np.float32))(band) for band in bands
    )
    return np.concatenate(parts).T.reshape(-1, *features.shape[:2])
