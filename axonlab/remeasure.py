"""Some fibres of an image, measured apart as if the whole image were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.measure import measure_fibres
from axonlab.objects import Box
from axonlab.partition import grow, hull

TILE = 1024
"""Fibres that begin in the same square of so many pixels are measured together."""

_FROM_FIRST_ROW = {"um": ["centroid_y_um", "axon_centroid_y_um"], "px": ["top_px", "bottom_px"]}
_FROM_FIRST_COLUMN = {"um": ["centroid_x_um", "axon_centroid_x_um"], "px": ["left_px", "right_px"]}


def measure_some(
    axons: NDArray[np.int32],
    fibres: NDArray[np.int32],
    boxes: Mapping[int, Box],
    ids: Iterable[int],
    *,
    pixel_size: float,
) -> pd.DataFrame:
    """Measure some fibres, at a cost that does not depend on the size of the image.

    Parameters
    ----------
    axons, fibres : (H, W) int32 array
        Object ids as for `axonlab.measure.measure_fibres`.
    boxes : mapping of int to pair of slice
        Where to find the fibres.
    ids : iterable of int
        Those to measure, at least one.
    pixel_size : float
        In µm.

    Returns
    -------
    DataFrame
        Their rows in the table of all fibres, but for `neighbour_distance_um`, which rests on
        others.

    Examples
    --------
    >>> fibres = np.zeros((9, 9), np.int32)
    >>> fibres[1:3, 1:3], fibres[5:9, 4:6] = 1, 2
    >>> boxes = {2: (slice(5, 9), slice(4, 6))}
    >>> some = measure_some(fibres, fibres, boxes, [2], pixel_size=1.0)
    >>> some[["fibre_id", "centroid_y_um", "left_px", "touches_border"]]
       fibre_id  centroid_y_um  left_px  touches_border
    0         2            6.5        4            True
    """
    tiles: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i in ids:
        rows, columns = boxes[i]
        tiles[rows.start // TILE, columns.start // TILE].append(i)
    return pd.concat(
        _measure_together(axons, fibres, hull(boxes[i] for i in tile), tile, pixel_size)
        for tile in tiles.values()
    )


def _measure_together(
    axons: NDArray[np.int32],
    fibres: NDArray[np.int32],
    box: Box,
    ids: list[int],
    pixel_size: float,
) -> pd.DataFrame:
    # One pixel more than they need, but not beyond the image: so a fibre touches a side of the
    # window just when it touches that of the image.
    window = grow(box, 1, fibres.shape)
    is_wanted = np.isin(fibres[window], ids)
    cut = (np.where(is_wanted, objects[window], 0) for objects in (axons, fibres))
    table = measure_fibres(*cut, pixel_size=pixel_size)
    for columns, side in zip((_FROM_FIRST_ROW, _FROM_FIRST_COLUMN), window, strict=True):
        table[columns["um"]] += side.start * pixel_size
        table[columns["px"]] += side.start
    return table
