"""Which fibres are doubtful, and why: nothing is dropped, a person looks at the worst first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from axonlab.micrograph import CLASSES, check_pixel_size

MIN_HOLE = 0.01
"""Share of the area of an axon or fibre; a smaller hole moves its diameter by less than 0.5 %."""

THIN = 0.5
"""Share of the thickness of a sheath: where other fibres are nearer to the axon than that, the
myelin between the two is too little for two sheaths."""

MAX_SHARED = 0.1
"""Share of a fibre's outline that may be so thin."""

MIN_RELATIVE_DIAMETER = 0.25
"""Of an axon, to the median of its class in the image."""

MIN_SOLIDITY = 0.85
"""Share of its convex hull that an axon fills."""

MAX_OPENING = 0.25
"""Share of an axon's outline that may lie on something else than its own myelin."""

# They are chosen so that few fibres of manual masks are flagged: of 7700 in `rat-sem` and
# `mouse-tem` 1 % each by MAX_SHARED and MIN_SOLIDITY, 0.5 % by MIN_RELATIVE_DIAMETER, 1 fibre by
# MIN_HOLE and none by MAX_OPENING.

DOUBT = {
    "is_fragment": 0.99,
    "g_is_implausible": 0.86,
    "shares_sheath": 0.61,
    "is_c_shaped": 0.58,
    "has_hole": 0.55,
}
"""By flag, the share of fibres that were wrong: those without a manual fibre of an intersection
over union above 0.5, among 8400 that the models `sem` and `tem` found in `rat-sem` and `mouse-tem`.

14 % of the fibres had a flag. Of these 80 % were wrong, of the others 6 %."""

REASONS = {
    "is_fragment": "fragment",
    "g_is_implausible": "implausible g-ratio or open sheath",
    "shares_sheath": "shared sheath",
    "is_c_shaped": "C-shaped axon",
    "has_hole": "hole",
}
"""What a flag is called in the queue. To touch the border is no fault."""

Objects = NDArray[np.int32]

_NEIGHBOURS = (
    (np.s_[:-1], np.s_[1:]),
    (np.s_[1:], np.s_[:-1]),
    (np.s_[:, :-1], np.s_[:, 1:]),
    (np.s_[:, 1:], np.s_[:, :-1]),
)
_NEEDED = ["fibre_id", "axon_diameter_um", "axon_solidity", "g_ratio", "touches_border"]


def check_fibres(
    labels: NDArray[np.uint8],
    axons: Objects,
    fibres: Objects,
    table: pd.DataFrame,
) -> pd.DataFrame:
    """Flag the fibres that someone should look at.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Class ids.
    axons, fibres : (H, W) int32 array
        Object ids, from `axonlab.objects.label_fibres`.
    table : DataFrame
        Of these fibres, or of some of them, from `axonlab.measure.measure_fibres`.

    Returns
    -------
    DataFrame
        One row per fibre of the table, indexed by `fibre_id`, of bool:

        - `has_hole`: axon or fibre encloses something that is not its own (`MIN_HOLE`)
        - `shares_sheath`: the myelin to another axon is too thin for two (`MAX_SHARED`)
        - `is_fragment`: far thinner than others of its class (`MIN_RELATIVE_DIAMETER`), and not
          because the edge of the image cuts it
        - `is_c_shaped`: the axon is far from convex (`MIN_SOLIDITY`)
        - `g_is_implausible`: not between 0 and 1, though the axon is not of the class
          "unmyelinated axon", or no myelin on one side (`MAX_OPENING`)
        - `touches_border`

    Raises
    ------
    ValueError
        If shapes differ, the table lacks columns, or has fibres that are not in the image.
    """
    ids = _check(labels, axons, fibres, table)
    n = int(fibres.max())
    hole = np.maximum(_enclosed(axons, n), _enclosed(fibres, n))[ids]
    is_bare = np.bincount(axons[labels == CLASSES["unmyelinated axon"]], minlength=n + 1)[ids] > 0
    diameter = table["axon_diameter_um"].to_numpy()
    usual = pd.Series(diameter).groupby(is_bare).transform("median").to_numpy()
    touches_border = table["touches_border"].to_numpy(bool)
    g = table["g_ratio"].to_numpy()
    has_g = (g > 0) & (g < 1)
    flags = {
        "has_hole": hole > MIN_HOLE,
        "shares_sheath": _shared(axons, fibres, n)[ids] > MAX_SHARED,
        "is_fragment": (diameter < MIN_RELATIVE_DIAMETER * usual) & ~touches_border,
        "is_c_shaped": table["axon_solidity"].to_numpy() < MIN_SOLIDITY,
        "g_is_implausible": ~is_bare & (~has_g | (_opening(axons, fibres, n)[ids] > MAX_OPENING)),
        "touches_border": touches_border,
    }
    return pd.DataFrame(flags, index=pd.Index(ids, name="fibre_id"))


def review_queue(table: pd.DataFrame, flags: pd.DataFrame) -> pd.DataFrame:
    """Put the doubtful fibres in the order in which to look at them.

    Parameters
    ----------
    table : DataFrame
        From `axonlab.measure.measure_fibres`.
    flags : DataFrame
        From `check_fibres`.

    Returns
    -------
    DataFrame
        One row per doubtful fibre, most doubtful first, among equals the largest first:
        `fibre_id`, `reason`, and `score` from 0 to 1.

    Notes
    -----
    The score is the largest `DOUBT` of its flags: reasons go together too often to be added.

    Examples
    --------
    >>> table = pd.DataFrame({"fibre_id": [1, 2, 3], "fibre_area_um2": [1.0, 2.0, 3.0]})
    >>> flags = pd.DataFrame(False, index=table["fibre_id"], columns=[*DOUBT, "touches_border"])
    >>> flags.loc[1, ["has_hole", "is_c_shaped"]] = flags.loc[2, "has_hole"] = True
    >>> review_queue(table, flags)["reason"].to_list()
    ['C-shaped axon, hole', 'hole']
    """
    score = np.zeros(len(flags))
    reason = np.full(len(flags), "", object)
    for flag, words in REASONS.items():
        raised = flags[flag].to_numpy()
        score[raised] = np.maximum(score[raised], DOUBT[flag])
        reason[raised] += np.where(reason[raised] == "", "", ", ") + words
    queue = pd.DataFrame(
        {
            "fibre_id": flags.index,
            "reason": reason.astype(str),
            "score": score,
            "area": table.set_index("fibre_id")["fibre_area_um2"].reindex(flags.index).to_numpy(),
        }
    )
    queue = queue[queue["score"] > 0].sort_values(
        ["score", "area", "fibre_id"], ascending=[False, False, True], ignore_index=True
    )
    return queue.drop(columns="area")


def myelin_without_axon(
    labels: NDArray[np.uint8], fibres: Objects, *, pixel_size: float
) -> pd.Series[float]:
    """Count the pieces of myelin that belong to no fibre: folds, debris, axons that were missed.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Class ids.
    fibres : (H, W) int32 array
        Object ids.
    pixel_size : float
        In µm.

    Returns
    -------
    Series
        `count` of pieces, and their `area_um2`.

    Examples
    --------
    >>> labels = np.array([[1, 2, 1, 0, 1, 0, 1, 1]], np.uint8)
    >>> fibres = np.array([[1, 1, 1, 0, 0, 0, 0, 0]])
    >>> myelin_without_axon(labels, fibres, pixel_size=1).to_dict()
    {'count': 2.0, 'area_um2': 3.0}
    """
    pixel_size = check_pixel_size(pixel_size, "labels")
    _check_shapes(labels, fibres)
    alone = (labels == CLASSES["myelin"]) & (fibres == 0)
    count = ndimage.label(alone, output=np.int32)[1]
    area = np.count_nonzero(alone) * pixel_size**2
    return pd.Series({"count": count, "area_um2": area}, dtype=float)


def _opening(axons: Objects, fibres: Objects, n: int) -> NDArray[np.float64]:
    """Return, by id, what share of an axon's outline lies on something else than its fibre.

    It is counted in edges of pixels; those on the edge of the image are not seen.
    """
    outline, bare = np.zeros((2, n + 1))
    for here, there in _NEIGHBOURS:
        ends = axons[here] != axons[there]
        own, other = axons[here][ends], fibres[there][ends]
        outline += np.bincount(own, minlength=n + 1)
        bare += np.bincount(own[own != other], minlength=n + 1)
    return bare / np.maximum(outline, 1)


def _shared(axons: Objects, fibres: Objects, n: int) -> NDArray[np.float64]:
    """Return, by id, what share of a fibre's outline lies on others within `THIN` of its sheath."""
    outline, contact, rim = np.zeros((3, *fibres.shape), bool)
    is_sheath = (fibres > 0) & (axons == 0)
    for here, there in _NEIGHBOURS:
        ends = fibres[here] != fibres[there]
        outline[here] |= ends & (fibres[here] > 0)
        contact[here] |= ends & is_sheath[here] & is_sheath[there]
        rim[here] |= (axons[here] != axons[there]) & (axons[here] > 0)
    if not contact.any():
        return np.zeros(n + 1)
    # Between sheaths the border runs midway: the nearest of all axons is a pixel's own.
    distance, _ = KDTree(np.argwhere(rim)).query(np.argwhere(contact))
    radius, inner = (
        np.sqrt(np.bincount(objects.ravel(), minlength=n + 1) / np.pi)
        for objects in (fibres, axons)
    )
    ids = fibres[contact]
    thin = np.bincount(ids[distance < THIN * (radius - inner)[ids]], minlength=n + 1)
    return thin / np.maximum(np.bincount(fibres[outline], minlength=n + 1), 1)


def _enclosed(objects: Objects, n: int) -> NDArray[np.float64]:
    """Return, by id, the area of an object's holes over its own.

    A hole is a piece of what is in no object, joined by edges or corners, that meets this object
    and nothing else.
    """
    gaps, n_gaps = ndimage.label(objects == 0, np.ones((3, 3)), output=np.int32)
    lowest = np.full(n_gaps + 1, n + 1, np.int32)
    highest = np.zeros(n_gaps + 1, np.int32)
    for gap, neighbour in _sides_of(gaps, objects):
        np.minimum.at(lowest, gap, neighbour)
        np.maximum.at(highest, gap, neighbour)
    for edge in (gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]):
        highest[edge] = n + 2  # open to the world beyond the image
    pixels = np.bincount(gaps.ravel(), minlength=n_gaps + 1)
    is_hole = lowest == highest
    holes = np.bincount(lowest[is_hole], pixels[is_hole], minlength=n + 1)
    area = np.bincount(objects.ravel(), minlength=n + 1)
    return np.asarray(holes / np.maximum(area, 1))


def _sides_of(gaps: Objects, objects: Objects) -> Iterator[tuple[Objects, Objects]]:
    """Yield the gap on one side and the object on the other of all edges between them."""
    for here, there in _NEIGHBOURS:
        meet = (gaps[here] > 0) & (objects[there] > 0)
        yield gaps[here][meet], objects[there][meet]


def _check(
    labels: NDArray[np.uint8],
    axons: Objects,
    fibres: Objects,
    table: pd.DataFrame,
) -> NDArray[np.int64]:
    """Return the ids of the table."""
    _check_shapes(labels, axons, fibres)
    missing = [column for column in _NEEDED if column not in table]
    if missing:
        raise ValueError(
            f"The table lacks {', '.join(missing)}: expected one of measure_fibres, it has "
            f"{', '.join(map(str, table.columns))}."
        )
    ids = table["fibre_id"].to_numpy(np.int64)
    if ids.size and not 0 < ids.min() <= ids.max() <= fibres.max():
        raise ValueError(
            f"The table has fibres {ids.min()} to {ids.max()}, the image 1 to {fibres.max()}: "
            "they are out of step. Measure these fibres again."
        )
    return ids


def _check_shapes(labels: NDArray[np.uint8], *objects: Objects) -> None:
    for image in objects:
        if image.shape != labels.shape:
            raise ValueError(
                f"Labels of shape {labels.shape} and objects of {image.shape}: all must show the "
                "same image at the same size."
            )
