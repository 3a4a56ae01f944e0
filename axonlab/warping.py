"""Warping error of membranes: what is wrong even if borders may be moved."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from axonlab.membrane_scores import THRESHOLDS, Mask, Probability, checked

_SQUARE = np.ones((3, 3), bool)
# Places of the 8 neighbours, row by row: the first is opposite to the last, and so on.
_NEIGHBOURS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))
_BY_EDGE = [i for i, (y, x) in enumerate(_NEIGHBOURS) if y == 0 or x == 0]


def warping_error(
    probability: Probability, truth: NDArray[Any], *, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """Return the splits and mergers of cells that moving borders does not mend, per pixel.

    Parameters
    ----------
    probability : (Y, X) or (Z, Y, X) float array
        Of interior, from 0 to 1.
    truth : bool array of the same shape
        Where interior truly is, see `axonlab.membrane_scores.pixel_error`.
    thresholds : sequence of float
        What is more probable than one of them is interior.

    Returns
    -------
    float
        Splits and mergers of all sections over pixels of all sections, at the threshold with the
        fewest. 0 is perfect. Thresholds that leave a section without any interior do not count;
        NaN if none is left.

    Raises
    ------
    ValueError
        As `axonlab.membrane_scores.pixel_error`.

    Notes
    -----
    The "minimum splits and mergers" form of Jain et al. 2010, doi:10.1109/CVPR.2010.5539950:
    the truth is warped onto the proposal by `warp`, and what then still differs is counted by
    `splits_and_mergers`. Cells that vanish cost nothing: without any interior the error would be
    0, so the challenge stopped at 0.9. Its script counted the pixels of splits and mergers, which
    gives larger numbers than counting these.

    Examples
    --------
    >>> truth = np.ones((5, 9), bool)
    >>> truth[:, 4] = False
    >>> warping_error(np.roll(truth, 1, axis=1).astype(float), truth)  # a border moved
    0.0
    >>> hole = truth.astype(float)
    >>> hole[2, 4] = 1
    >>> warping_error(hole, truth) == 1 / truth.size  # one merger
    True
    """
    sections, true_sections, wanted = checked(probability, truth, thresholds)
    # Where nothing is left of a section there is nothing to split or to merge.
    lowest = sections.max((1, 2)).min()
    errors = [
        sum(
            sum(splits_and_mergers(warp(interior, section, threshold), section > threshold))
            for section, interior in zip(sections, true_sections, strict=True)
        )
        for threshold in wanted
        if lowest > threshold
    ]
    return min(errors) / true_sections.size if errors else np.nan


def warp(truth: Mask, probability: Probability, threshold: float) -> Mask:
    """Return a section of the truth with its borders moved towards a proposal as far as they go.

    Parameters
    ----------
    truth : (Y, X) bool array
        Where interior truly is.
    probability : (Y, X) float array
        Of interior.
    threshold : float
        What is more probable is interior in the proposal.

    Returns
    -------
    (Y, X) bool array
        As many cells as in the truth, with as many holes.

    Notes
    -----
    Pixels that differ from the proposal are visited in the order of abs(probability - threshold),
    the surest first, equal ones row by row. One that is simple is flipped: one whose flip neither
    joins, parts, adds nor removes a cell (4-connected) or a piece of membrane (8-connected), which
    its 8 neighbours tell. Pixels left over are visited again until none is flipped any more.
    Outside of the section is membrane.

    Examples
    --------
    >>> truth = np.array([[1, 1, 0, 1, 1, 1]], bool)
    >>> warp(truth, np.array([[0.9, 0.9, 0.8, 0.1, 0.7, 0.1]]), 0.5).astype(int)
    array([[1, 1, 1, 0, 1, 0]])
    """
    height, width = truth.shape
    warped = np.pad(truth, 1)
    codes = _codes(warped)
    rows, columns = np.nonzero(truth != (probability > threshold))
    sureness = np.abs(probability[rows, columns] - threshold)
    order = np.argsort(-sureness, kind="stable")
    places = (rows[order] + 1) * (width + 2) + columns[order] + 1
    left = _flip(places.tolist(), codes, width + 2)
    flipped = np.ones(len(places), bool)
    flipped[np.isin(places, left)] = False
    warped.reshape(-1)[places[flipped]] ^= True
    return warped[1 : height + 1, 1 : width + 1]


def splits_and_mergers(warped: Mask, proposal: Mask) -> tuple[int, int]:
    """Count the differences of a warped truth and a proposal that split or merge cells.

    Parameters
    ----------
    warped, proposal : (Y, X) bool array
        Where interior is; `warped` from `warp`.

    Returns
    -------
    splits, mergers : int

    Notes
    -----
    Each pixel that differs is looked at alone. Membrane that should be interior merges cells if
    pixels of several cells share an edge with it. Interior that should be membrane splits its cell
    if the cell would fall apart without it. What adds or removes a cell or a hole is neither, as a
    ring of membrane within a cell that touches no other.

    Pixels of one kind that touch (by edges or corners where they are membrane, by edges where
    they are interior) are counted once: as one less than the number of cells that they merge, or
    of the parts that they hold together. A hole between two cells is one merger however long it
    is, but nobody merges all cells at the price of one.

    Examples
    --------
    >>> proposal = np.array([[1, 1, 0, 1, 1, 1, 1]], bool)
    >>> splits_and_mergers(np.ones((1, 7), bool), proposal)
    (1, 0)
    >>> splits_and_mergers(proposal, np.ones((1, 7), bool))
    (0, 1)
    """
    differs = np.pad(warped != proposal, 1)
    if not differs.any():
        return 0, 0
    rimmed = np.pad(warped, 1)
    cells, _ = ndimage.label(rimmed)
    pieces, _ = ndimage.label(~rimmed, _SQUARE)
    places = np.flatnonzero(differs)
    around = places[:, np.newaxis] + _steps(rimmed.shape[1])
    is_interior = rimmed.reshape(-1)[places]
    beside = around[:, _BY_EDGE]
    merges = ~is_interior & (_n_ids(cells.reshape(-1)[beside]) > 1)
    # Two pieces of membrane beside a pixel that are one further off enclose a part of its cell.
    n_pieces = _tables().n_pieces[np.frombuffer(_codes(rimmed), np.uint8)[places]]
    splits = is_interior & (n_pieces > _n_ids(pieces.reshape(-1)[around]))
    rimmed.reshape(-1)[places[splits]] = False
    parts, _ = ndimage.label(rimmed)
    return (
        _n_separated(places[splits], parts, beside[splits], None),
        _n_separated(places[merges], cells, beside[merges], _SQUARE),
    )


class _Tables(NamedTuple):
    """What the 8 neighbours of a pixel tell, by a number with a bit for each that is interior."""

    is_simple: list[bool]
    n_pieces: NDArray[np.intp]
    """Pieces of membrane among the neighbours, 8-connected."""


@cache
def _tables() -> _Tables:
    is_simple, n_pieces = [], []
    for code in range(256):
        around = np.zeros((3, 3), bool)
        for i, (y, x) in enumerate(_NEIGHBOURS):
            around[1 + y, 1 + x] = code >> i & 1
        parts, _ = ndimage.label(around)
        beside = {int(parts[1 + y, 1 + x]) for y, x in (_NEIGHBOURS[i] for i in _BY_EDGE)} - {0}
        around[1, 1] = True  # so that the pixel itself joins no membrane
        _, n = ndimage.label(~around, _SQUARE)
        is_simple.append(len(beside) == n == 1)
        n_pieces.append(n)
    return _Tables(is_simple, np.array(n_pieces))


def _steps(width: int) -> NDArray[np.intp]:
    """Return how far the neighbours of a pixel are in a flat image."""
    return np.array([y * width + x for y, x in _NEIGHBOURS])


def _codes(interior: Mask) -> bytearray:
    """Return for every pixel which of its neighbours are interior, for `_tables`; 0 at the rim."""
    height, width = interior.shape
    codes = np.zeros(interior.shape, np.uint8)
    for i, (y, x) in enumerate(_NEIGHBOURS):
        neighbour = interior[1 + y : height - 1 + y, 1 + x : width - 1 + x]
        codes[1:-1, 1:-1] |= neighbour.astype(np.uint8) << i
    return bytearray(codes.tobytes())


def _flip(places: list[int], codes: bytearray, width: int) -> list[int]:
    """Flip pixels that are simple, again and again, and return those that never were.

    A flip shows in the codes of the neighbours only: one flipped is not visited again. Written
    out, for these are the only lines that run once for every pixel.
    """
    is_simple = _tables().is_simple
    above, below = -width, width
    before = -1
    left = places
    while len(left) != before:
        before = len(left)
        visited, left = left, []
        for place in visited:
            if is_simple[codes[place]]:
                codes[place + above - 1] ^= 128
                codes[place + above] ^= 64
                codes[place + above + 1] ^= 32
                codes[place - 1] ^= 16
                codes[place + 1] ^= 8
                codes[place + below - 1] ^= 4
                codes[place + below] ^= 2
                codes[place + below + 1] ^= 1
            else:
                left.append(place)
    return left


def _n_ids(ids: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return how many different ids each row holds, 0 not counted."""
    ordered = np.sort(ids, axis=1)
    is_new = np.diff(ordered, axis=1, prepend=0) > 0
    return np.asarray(np.count_nonzero(is_new, axis=1))


def _n_separated(
    places: NDArray[np.intp],
    ids: NDArray[np.int32],
    beside: NDArray[np.intp],
    structure: Mask | None,
) -> int:
    """Return how many things lie beside the groups of pixels that touch, less one for each group.

    Parameters
    ----------
    places : (n,) int array
        Of the pixels, in the flat image.
    ids : (H, W) int array
        Of the things.
    beside : (n, 4) int array
        Places of the neighbours.
    structure : (3, 3) bool array, optional
        Which pixels touch; those that share an edge without it.
    """
    if not places.size:
        return 0
    mask = np.zeros(ids.shape, bool)
    mask.reshape(-1)[places] = True
    groups, n_groups = ndimage.label(mask, structure)
    near = ids.reshape(-1)[beside]
    pairs = np.stack([np.broadcast_to(groups.reshape(-1)[places, None], near.shape), near], -1)
    n_pairs = len(np.unique(pairs[near > 0], axis=0))
    return n_pairs - int(n_groups)
