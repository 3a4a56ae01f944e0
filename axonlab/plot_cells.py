"""Pictures of cells over their section, for PNGs: filled in colours, with outlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from axonlab.plot import grey

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Of the cells, one after the other: the palette of Okabe & Ito (2008), safe for the colour-blind.
Outlines tell neighbours of one colour apart."""

OPACITY = 0.3
"""Of the colours within the outlines."""

_RGB = np.array([list(bytes.fromhex(colour[1:])) for colour in COLOURS], np.uint8)


def cell_picture(pixels: NDArray[np.float32], cells: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return a section with its cells in colour and their outlines, as (H, W, 3) uint8 for a PNG.

    Parameters
    ----------
    pixels : (H, W) float32 array
        Grey values.
    cells : (H, W) int32 array
        Ids, 0 is membrane, which stays grey.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if pixels.shape != cells.shape:
        raise ValueError(
            f"cells of shape {cells.shape} over a section of {pixels.shape}: both must show the "
            "same section at the same size."
        )
    colours = _RGB[(cells - 1) % len(_RGB)]
    shown = np.repeat(grey(pixels)[..., None], 3, axis=2)
    # in whole numbers, for it is drawn at every step of a slider
    opacity = round(256 * OPACITY)
    mixed = (shown.astype(np.uint16) * (256 - opacity) + colours.astype(np.uint16) * opacity) >> 8
    np.copyto(shown, mixed.astype(np.uint8), where=(cells > 0)[..., None])
    np.copyto(shown, colours, where=outlines(cells)[..., None])
    return shown


def outlines(cells: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell which pixels of cells touch another cell or membrane by an edge.

    Examples
    --------
    >>> outlines(np.array([[1, 1, 1, 2], [1, 1, 1, 2]])).astype(int)
    array([[0, 0, 1, 1],
           [0, 0, 1, 1]])
    """
    differ: NDArray[np.bool_] = np.zeros(cells.shape, bool)
    for here, there in (np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]):
        change = cells[here] != cells[there]
        differ[here] |= change
        differ[there] |= change
    return differ & (cells > 0)
