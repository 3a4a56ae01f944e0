"""Agreement of a map of membranes with the truth, as the ISBI 2012 challenge measured it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from axonlab.partition_scores import Contingency

THRESHOLDS = tuple(i / 10 for i in range(11))
"""At which a probability is cut, as in the challenge: 0 to 1 in steps of 0.1."""

INVERTED = 0.25
"""Share of pairs, one pixel of the interior and one of membrane, in which the former is the more
probable interior, below which one of both arrays is taken for inverted: chance gives a half."""

MIN_INVERTED = 50
"""Pixels of either class below which nothing is called inverted: chance might have done it."""

_LEVELS = 1024  # of probability, told apart when looking for inverted labels

Mask = NDArray[np.bool_]
Probability = NDArray[np.floating]


def pixel_error(
    probability: Probability, truth: NDArray[Any], *, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """Return 1 less the best F-score of interior pixels.

    Parameters
    ----------
    probability : (Y, X) or (Z, Y, X) float array
        Of interior, from 0 to 1.
    truth : bool array of the same shape
        Where interior truly is. Masks of 0 and 1 or of 0 and 255 are taken as well.
    thresholds : sequence of float
        What is more probable than one of them is interior, what is exactly as probable is not.

    Returns
    -------
    float
        0 is perfect.

    Raises
    ------
    ValueError
        If the shapes differ; if the probability is not from 0 to 1 everywhere; if `truth` has
        other than two values or a section without interior; if one of both seems inverted; if a
        threshold is not from 0 to 1.

    Notes
    -----
    F = 2 TP / (2 TP + FP + FN) of every section; its mean over sections at each threshold; the
    largest of these. One threshold serves all sections, in all scores here. The challenge's own
    program sums TP, FP and FN over sections first: on equally good sections that is the same.

    Numbers of the challenge are of its secret test labels, and those of other sections cannot be
    compared with them.

    Examples
    --------
    >>> truth = np.array([[True, True, False, True]])
    >>> pixel_error(np.array([[0.9, 0.8, 0.2, 0.7]]), truth)
    0.0
    >>> round(pixel_error(np.array([[0.9, 0.8, 0.8, 0.7]]), truth), 3)
    0.143
    """
    return 1 - _best(probability, truth, thresholds, lambda cells: cells, _pixel_f)


def rand_error(
    probability: Probability, truth: NDArray[Any], *, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    r"""Return 1 less the best F-score of pairs of pixels that are in one cell.

    Parameters
    ----------
    probability : (Y, X) or (Z, Y, X) float array
        Of interior, from 0 to 1.
    truth : bool array of the same shape
        Where interior truly is, see `pixel_error`.
    thresholds : sequence of float
        See `pixel_error`.

    Returns
    -------
    float
        0 is perfect.

    Raises
    ------
    ValueError
        As `pixel_error`.

    Notes
    -----
    Cells are 4-connected components of the interior of a section: a diagonal line of membrane one
    pixel wide separates them. Pixels of true membrane do not count, and every pixel taken for
    membrane within a true cell is a cell of its own. Precision and recall are those of
    `axonlab.partition_scores`, F their harmonic mean: averaged over sections, then the largest of
    all thresholds. Borders are not thinned: `v_rand` does that, and is the fairer score.

    Examples
    --------
    >>> truth = np.array([[1, 1, 0, 1, 1]], bool)
    >>> rand_error(truth.astype(float), truth)
    0.0
    >>> round(rand_error(np.ones(truth.shape), truth), 3)  # both cells in one
    0.333
    """
    return 1 - _best(probability, truth, thresholds, _cells, _rand_f)


def v_rand(
    probability: Probability, truth: NDArray[Any], *, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """Return the Rand score after thinning of borders, V_rand(thin).

    Parameters
    ----------
    probability : (Y, X) or (Z, Y, X) float array
        Of interior, from 0 to 1.
    truth : bool array of the same shape
        Where interior truly is, see `pixel_error`.
    thresholds : sequence of float
        See `pixel_error`.

    Returns
    -------
    float
        1 is perfect.

    Raises
    ------
    ValueError
        As `pixel_error`.

    Notes
    -----
    As `rand_error`, but the borders that were found are thinned first: cells grow over the
    membrane, all equally fast, until a line one pixel wide is left between them (a watershed of
    the distance to the cells in steps over edges). Pixels of true membrane do not count; on the
    line every pixel is a cell of its own. The mean over sections, the largest of all thresholds:
    Arganda-Carreras et al. 2015, doi:10.3389/fnana.2015.00142, with alpha = 0.5.

    Examples
    --------
    >>> truth = np.array([[1, 1, 0, 0, 0, 1, 1]], bool)
    >>> v_rand(np.array([[1, 0, 0, 0, 0, 0, 1]]), truth)  # thick membrane costs nothing
    1.0
    """
    return _best(probability, truth, thresholds, _thinned, _rand_f)


def v_info(
    probability: Probability, truth: NDArray[Any], *, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """Return the information theoretic score after thinning of borders, V_info(thin).

    Parameters
    ----------
    probability : (Y, X) or (Z, Y, X) float array
        Of interior, from 0 to 1.
    truth : bool array of the same shape
        Where interior truly is, see `pixel_error`.
    thresholds : sequence of float
        See `pixel_error`.

    Returns
    -------
    float
        1 is perfect.

    Raises
    ------
    ValueError
        As `pixel_error`.

    Notes
    -----
    Borders are thinned as in `v_rand`. The score of a section is 2I / (H(S) + H(T)): the mutual
    information of found and true cells over the mean of their entropies; 1 where both are one
    single cell. The mean over sections, the largest of all thresholds: Arganda-Carreras et al.
    2015, doi:10.3389/fnana.2015.00142, with alpha = 0.5.

    Examples
    --------
    >>> truth = np.array([[1, 1, 0, 1, 1]], bool)
    >>> v_info(np.ones(truth.shape), truth, thresholds=[0.5])  # both cells in one
    0.0
    """
    return _best(probability, truth, thresholds, _thinned, _information_f)


def checked(
    probability: Probability, truth: NDArray[Any], thresholds: Sequence[float]
) -> tuple[Probability, Mask, list[float]]:
    """Return stacks of sections and the thresholds, after looking whether they can be compared.

    Parameters
    ----------
    probability, truth, thresholds
        See `pixel_error`.

    Returns
    -------
    probability : (Z, Y, X) float array
    truth : (Z, Y, X) bool array
    thresholds : list of float

    Raises
    ------
    ValueError
        As `pixel_error`.
    """
    probability, truth = np.asarray(probability), np.asarray(truth)
    if probability.shape != truth.shape:
        raise ValueError(
            f"A probability of shape {probability.shape} against a truth of {truth.shape}: both "
            "must show the same sections at the same size."
        )
    if truth.ndim not in (2, 3) or not truth.size:
        raise ValueError(
            f"Shape {truth.shape}: expected (rows, columns) or (sections, rows, columns), with "
            "pixels in it."
        )
    values = _checked_probability(probability)
    interior = _checked_truth(truth)
    if truth.ndim == 2:
        values, interior = values[np.newaxis], interior[np.newaxis]
    empty = np.flatnonzero(~interior.any((1, 2)))
    if empty.size:
        raise ValueError(
            f"truth has no interior in section {empty[0]}: there is no cell to be found. Leave "
            "out what nobody labelled."
        )
    _check_not_inverted(values, interior)
    wanted = [float(threshold) for threshold in thresholds]
    if not wanted or not all(0 <= threshold <= 1 for threshold in wanted):
        raise ValueError(f"thresholds: {wanted}, expected some from 0 to 1.")
    return values, interior, wanted


def _checked_probability(probability: NDArray[Any]) -> Probability:
    """Return a probability as floating point numbers that are one."""
    low, high = float(probability.min()), float(probability.max())
    if not (low >= 0 and high <= 1):  # NaN fails, too
        raise ValueError(
            f"A probability from {low:.4g} to {high:.4g}: expected 0 to 1 without NaN. Divide "
            "grey values of 8 bits by 255; logits need a softmax."
        )
    if np.issubdtype(probability.dtype, np.floating):
        return probability
    return probability.astype(np.float32)


def _checked_truth(truth: NDArray[Any]) -> Mask:
    """Return masks as truth values."""
    if truth.dtype == bool:
        return truth
    found = np.unique(truth)
    if not (set(found.tolist()) <= {0, 1} or set(found.tolist()) <= {0, 255}):
        shown = ", ".join(str(value) for value in found[:6]) + ("…" if len(found) > 6 else "")
        raise ValueError(
            f"truth holds the values {shown}: expected True where interior is, or masks of 0 "
            "(membrane) and 1 or 255 (interior). Say which values are interior, as in labels == 2."
        )
    return truth > 0


def _check_not_inverted(probability: Probability, truth: Mask) -> None:
    """Raise a ValueError if membrane is more probable to be interior than interior is."""
    levels = (probability * (_LEVELS - 1)).astype(np.int16)
    inside = np.bincount(levels[truth], minlength=_LEVELS)
    outside = np.bincount(levels[~truth], minlength=_LEVELS)
    n_inside, n_outside = int(inside.sum()), int(outside.sum())
    if min(n_inside, n_outside) < MIN_INVERTED:
        return
    below = np.cumsum(outside) - outside / 2
    share = float(inside @ below / (n_inside * n_outside))
    if share >= INVERTED:
        return
    # Membranes are thin: where most is said to be membrane, it is the other way round.
    if n_inside < n_outside:
        guess = f"Only {n_inside / truth.size:.0%} of truth are interior: give ~truth."
    else:
        guess = "Truth is mostly interior, as it should be: give 1 - probability."
    raise ValueError(
        "Labels or probability seem inverted: interior has the higher probability in only "
        f"{share:.0%} of the pairs of one true interior pixel and one of membrane, where chance "
        f"gives 50%. Expected the probability of interior, and True for interior. {guess}"
    )


def _best(
    probability: Probability,
    truth: NDArray[Any],
    thresholds: Sequence[float],
    find: Callable[[Mask], NDArray[Any]],
    score: Callable[[NDArray[Any], NDArray[Any]], float],
) -> float:
    """Return the best mean over sections that a threshold gives.

    Parameters
    ----------
    probability, truth, thresholds
        See `pixel_error`.
    find : function
        Makes of the interior found in a section what is scored; for the truth, it is its cells.
    score : function
        Of what was found in a section, and the true cells; 1 is perfect.
    """
    sections, true_sections, wanted = checked(probability, truth, thresholds)
    totals = np.zeros(len(wanted))
    for section, interior in zip(sections, true_sections, strict=True):
        cells = _cells(interior)
        totals += [score(find(section > threshold), cells) for threshold in wanted]
    return float(totals.max() / len(sections))


def _cells(interior: Mask) -> NDArray[np.int32]:
    """Number the cells of a section: pixels that share an edge are in one."""
    cells: NDArray[np.int32] = ndimage.label(interior, output=np.int32)[0]
    return cells


def _thinned(interior: Mask) -> NDArray[np.int32]:
    """Number the cells of a section, grown until one pixel is between them."""
    cells = _cells(interior)
    if not cells.any():
        return cells
    # On a plane all cells flood their surroundings step by step, in turns.
    plane = np.zeros(cells.shape, np.uint8)
    grown = watershed(plane, cells, watershed_line=True)  # type: ignore[no-untyped-call]
    # A few pixels were flooded through others that became a line later: they are on their own.
    return _cells(grown > 0)


def _pixel_f(interior: Mask, cells: NDArray[np.int32]) -> float:
    truth = cells > 0
    both = np.count_nonzero(interior & truth)
    return 2 * both / (np.count_nonzero(interior) + np.count_nonzero(truth))


def _rand_f(found: NDArray[np.int32], cells: NDArray[np.int32]) -> float:
    return Contingency.of(found, cells).rand_f()


def _information_f(found: NDArray[np.int32], cells: NDArray[np.int32]) -> float:
    return Contingency.of(found, cells).information_f()
