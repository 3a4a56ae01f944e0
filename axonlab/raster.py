"""Outlines drawn into pixels, and their sizes in a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.appearance import FAR, Scene
from axonlab.micrograph import CLASSES
from axonlab.packing import DIRECTIONS, N_CORNERS, Outlines, area, centroids

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def rasterise(outlines: Outlines, shape: tuple[int, int], pixel_size: float) -> tuple[Scene, Ints]:
    """Draw the fibres that cover a pixel's centre; return their rows in `outlines` too."""
    labels = np.zeros(shape, dtype=np.uint8)
    axons, fibres = np.zeros((2, *shape), dtype=np.int32)
    depth, axon_depth = np.full((2, *shape), -FAR, dtype=np.float32)
    seen: list[int] = []
    for row in range(len(outlines.centres)):
        window, offsets = _window(outlines.centres[row], outlines.outer[row], shape)
        if offsets[0].size == 0 or offsets[1].size == 0:
            continue
        sector = _sectors(*offsets)
        outer = _depth(outlines.outer[row], *offsets, sector)
        inside = outer > 0
        if not inside.any():
            continue
        seen.append(row)
        bare = outlines.is_unmyelinated[row]
        inner = outer if bare else _depth(outlines.inner[row], *offsets, sector)
        fibres[window][inside] = len(seen)
        axons[window][inner > 0] = len(seen)
        labels[window][inside] = CLASSES["myelin"]
        labels[window][inner > 0] = CLASSES["unmyelinated axon" if bare else "axon"]
        np.maximum(depth[window], outer, out=depth[window])
        np.maximum(axon_depth[window], inner, out=axon_depth[window])
    return Scene(labels, axons, fibres, depth, axon_depth, pixel_size), np.array(seen, np.int64)


def _window(
    centre: Floats, corners: Floats, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[Floats, Floats]]:
    """Return the pixels around a fibre, and their rows and columns from its centre."""
    reach = centre[:, None] + corners * DIRECTIONS
    low = np.maximum(np.floor(reach.min(axis=1)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(reach.max(axis=1)).astype(int) + 3, shape)
    high = np.maximum(high, low)
    y = np.arange(low[0], high[0])[:, None] - centre[0]
    x = np.arange(low[1], high[1])[None, :] - centre[1]
    return (slice(low[0], high[0]), slice(low[1], high[1])), (y, x)


def _sectors(y: Floats, x: Floats) -> Ints:
    """Return between which two corners the direction of every pixel lies."""
    turns = np.arctan2(y.astype(np.float32), x.astype(np.float32)) * (N_CORNERS / (2 * np.pi))
    return np.floor(turns).astype(np.int64) % N_CORNERS


def _depth(corners: Floats, y: Floats, x: Floats, sector: Ints) -> NDArray[np.float32]:
    """Return how far pixels lie inside the polygon's side in their sector."""
    start = corners * DIRECTIONS
    side = np.roll(start, -1, axis=1) - start
    normal = np.stack([-side[1], side[0]]) / np.hypot(*side)
    offset = (normal * start).sum(axis=0)
    return np.asarray(offset[sector] - normal[0][sector] * y - normal[1][sector] * x, np.float32)


def tabulate(outlines: Outlines, pixel_size: float) -> pd.DataFrame:
    """Measure polygons, one row each: the table of a `Phantom` in which none touches a border."""
    fibre_area = area(outlines.outer) * pixel_size**2
    axon_area = area(outlines.inner) * pixel_size**2
    centres = (outlines.centres + centroids(outlines.outer)) * pixel_size
    axon_diameter, fibre_diameter = 2 * np.sqrt(np.stack([axon_area, fibre_area]) / np.pi)
    bare = outlines.is_unmyelinated
    return pd.DataFrame(
        {
            "fibre_id": np.arange(1, len(bare) + 1),
            "centroid_y_um": centres[:, 0],
            "centroid_x_um": centres[:, 1],
            "axon_area_um2": axon_area,
            "fibre_area_um2": fibre_area,
            "axon_diameter_um": axon_diameter,
            "fibre_diameter_um": fibre_diameter,
            "myelin_thickness_um": (fibre_diameter - axon_diameter) / 2,
            "g_ratio": np.where(bare, np.nan, axon_diameter / fibre_diameter),
            "touches_border": False,
            "is_myelinated": ~bare,
        }
    )
