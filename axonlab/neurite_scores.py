"""Neurites judged: methods beside each other, block by block, at seams; the recipe that suits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.neurite_objects import Floats, Objects, Recipe, label_neurites
from axonlab.partition_scores import partition_scores
from axonlab.region_graph import pieces


def neurite_table(
    segmentations: Mapping[str, NDArray[np.integer[Any]]], truth: NDArray[np.integer[Any]]
) -> pd.DataFrame:
    """Judge several segmentations of one volume.

    Parameters
    ----------
    segmentations : mapping of str to (Z, Y, X) integer array
        Ids by the name of the method.
    truth : (Z, Y, X) integer array
        0 does not count.

    Returns
    -------
    DataFrame
        A row for each method: what `axonlab.partition_scores.partition_scores` says, and
        `error_within`, the adapted Rand error of those voxels alone that both call a neurite:
        what is dust, or membrane that the truth has none of, has no influence on it. It is NaN
        where there are none.

    Raises
    ------
    ValueError
        As `partition_scores` does.

    Examples
    --------
    >>> truth = np.array([[[1, 1, 1, 2, 2, 2]]])
    >>> table = neurite_table({"gaps": np.array([[[1, 1, 0, 0, 2, 2]]])}, truth)
    >>> table["error_within"].item(), table["adapted_rand_error"].round(2).item()
    (0.0, 0.29)
    """
    rows = {}
    for method, ids in segmentations.items():
        scores = partition_scores(ids, truth)
        both = np.where(ids > 0, truth, 0)
        scores["error_within"] = (
            partition_scores(ids, both)["adapted_rand_error"] if both.any() else np.nan
        )
        rows[method] = scores
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def neurite_table_by_block(
    segmentation: NDArray[np.integer[Any]],
    truth: NDArray[np.integer[Any]],
    parts: tuple[int, int, int] = (2, 2, 2),
) -> pd.DataFrame:
    """Judge a segmentation in each block of a volume: scores move with the block.

    Parameters
    ----------
    segmentation, truth : (Z, Y, X) integer array
    parts : triple of int
        Blocks along each axis.

    Returns
    -------
    DataFrame
        As `neurite_table`, a row for each block with any truth, by its `z`, `y` and `x`: first
        voxel and the one after the last.

    Notes
    -----
    What hangs together (by faces) only outside of a block is several things in it, in the truth
    as in the segmentation.
    """
    edges = [
        np.linspace(0, n, k + 1).round().astype(int)
        for n, k in zip(truth.shape, parts, strict=True)
    ]
    sides = [list(zip(e[:-1].tolist(), e[1:].tolist(), strict=True)) for e in edges]
    rows = []
    for place in product(*sides):
        block = tuple(slice(*ends) for ends in place)
        if truth[block].any():
            ids, true = (pieces(part[block]) for part in (segmentation, truth))
            at = {axis: f"{a} to {b}" for axis, (a, b) in zip("zyx", place, strict=True)}
            rows.append(at | neurite_table({"": ids}, true).iloc[0].to_dict())
    return pd.DataFrame(rows)


def best_recipe(
    prediction: Floats,
    truth: NDArray[np.integer[Any]],
    recipes: Iterable[Recipe],
    *,
    min_voxels: int = 1,
) -> tuple[Recipe, pd.DataFrame]:
    """Choose the recipe whose neurites have the lowest adapted Rand error.

    Parameters
    ----------
    prediction : array
        As for `axonlab.neurite_objects.label_neurites`, of a part that judges nothing later.
    truth : (Z, Y, X) integer array
    recipes : iterable of Recipe
        Such as one with several thresholds.
    min_voxels : int

    Returns
    -------
    recipe : Recipe
    table : DataFrame
        As `neurite_table`, a row for each recipe that was tried, by its numbers.

    Raises
    ------
    ValueError
        If there are no recipes; and as `label_neurites` and `partition_scores` do.
    """
    tried = list(recipes)
    if not tried:
        raise ValueError("No recipes to choose from: give at least one.")
    rows = [
        neurite_table({"": label_neurites(prediction, recipe, min_voxels=min_voxels)}, truth)
        for recipe in tried
    ]
    names = [
        ", ".join(f"{key} {value}" for key, value in vars(recipe).items() if key != "offsets")
        for recipe in tried
    ]
    table = pd.concat(rows).set_axis(pd.Index(names, name="recipe"))
    return tried[int(np.argmin(table["adapted_rand_error"]))], table


def seam_scores(stitched: Objects, whole: Objects, block: tuple[int, int, int]) -> dict[str, float]:
    """Compare neurites made block by block with those of the volume in one piece.

    Parameters
    ----------
    stitched, whole : (Z, Y, X) integer array
        Ids, made by the same recipe from the same prediction.
    block : triple of int
        Size of the blocks.

    Returns
    -------
    dict of str to float
        What `axonlab.partition_scores.partition_scores` says, with the whole as the truth, and

        - `face_split`: of the pairs of voxels that face each other across a face between blocks
          and are of one neurite in the whole, the share that is not in the stitched one
        - `face_merge`: of those that are of two neurites in the whole, the share that is of one
          in the stitched one

        both NaN where there are no such pairs.

    Raises
    ------
    ValueError
        As `partition_scores` does.

    Examples
    --------
    >>> whole = np.array([[[1, 1, 1, 1], [2, 2, 3, 3]]])
    >>> stitched = np.array([[[1, 1, 4, 4], [2, 2, 2, 2]]])
    >>> scores = seam_scores(stitched, whole, (1, 2, 2))
    >>> scores["face_split"], scores["face_merge"]
    (1.0, 1.0)
    """
    scores = partition_scores(stitched, whole)
    split = merged = together = apart = 0
    for axis, size in enumerate(block):
        after = np.arange(size, whole.shape[axis], size)
        one, other, mine, theirs = (
            np.take(ids, places, axis) for ids in (whole, stitched) for places in (after - 1, after)
        )
        known = (one > 0) & (other > 0)
        are_one = (mine == theirs) & (mine > 0)
        together += int(np.count_nonzero(known & (one == other)))
        apart += int(np.count_nonzero(known & (one != other)))
        split += int(np.count_nonzero(known & (one == other) & ~are_one))
        merged += int(np.count_nonzero(known & (one != other) & are_one))
    return scores | {
        "face_split": float(split / together) if together else np.nan,
        "face_merge": float(merged / apart) if apart else np.nan,
    }
