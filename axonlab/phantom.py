"""Synthetic micrographs of nerve cross sections whose exact truth is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.appearance import APPEARANCES, FAR, Appearance, Scene, render
from axonlab.micrograph import CLASSES, Micrograph, check_pixel_size
from axonlab.packing import DIRECTIONS, N_CORNERS, Outlines, Tissue, area, centroids, grow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TISSUES = {
    "sem": (0.1, Tissue(1.8, 1.0, 0.63, 0.70, 0.0)),
    "tem": (0.01, Tissue(0.42, 0.22, 0.71, 0.84, 0.65)),
    "bright field": (0.1, Tissue(3.2, 1.6, 0.58, 0.70, 0.0)),
}
"""Pixel size in µm and tissue that are usual with each modality: white matter of rat spinal
cord, of mouse corpus callosum, and a peripheral nerve of the mouse."""


@dataclass(frozen=True)
class Phantom:
    """A synthetic micrograph and the truth it was drawn from.

    Parameters
    ----------
    micrograph : Micrograph
        The image, in whole grey values from 0 to 255.
    labels : (H, W) uint8 array
        Class of every pixel, with the ids of `axonlab.micrograph.CLASSES`.
    axons : (H, W) int32 array
        Id of the axon over every pixel, 0 elsewhere.
    fibres : (H, W) int32 array
        Id of the fibre over every pixel, 0 elsewhere; an axon has the id of its fibre, and an
        unmyelinated axon is its own fibre. Ids run from 1 to n. Of a fibre that the edge of
        the image cuts, the sheath alone may be seen.
    table : DataFrame
        One row per fibre, of the complete fibre even where the image cuts it: ``fibre_id``,
        ``centroid_y_um``, ``centroid_x_um``, ``axon_area_um2``, ``fibre_area_um2``,
        ``axon_diameter_um``, ``fibre_diameter_um``, ``myelin_thickness_um``, ``g_ratio`` (NaN
        when unmyelinated), ``touches_border``, ``is_myelinated``. The centroid is the
        fibre's, and its origin is the centre of the first pixel.
    """

    micrograph: Micrograph
    labels: NDArray[np.uint8] = field(repr=False)
    axons: NDArray[np.int32] = field(repr=False)
    fibres: NDArray[np.int32] = field(repr=False)
    table: pd.DataFrame = field(repr=False)


def nerve(
    shape: tuple[int, int] = (1000, 1000),
    *,
    pixel_size: float | None = None,
    modality: str = "sem",
    seed: int = 0,
    mean_diameter: float | None = None,
    diameter_sd: float | None = None,
    g_ratio: float | None = None,
    fibre_fraction: float | None = None,
    unmyelinated_fraction: float | None = None,
    appearance: Appearance | None = None,
) -> Phantom:
    """Draw a nerve cross section with exact truth.

    Fibres do not overlap, many touch, and the edges of the field cut some. What is left out
    of the arguments takes the value usual with the modality (see `TISSUES`).

    Parameters
    ----------
    shape : pair of int
        Rows and columns of the image.
    pixel_size : float, optional
        In µm.
    modality : {"sem", "tem", "bright field"}
        Scanning electron microscopy (bright myelin), transmission electron microscopy or
        bright field of osmium-stained tissue (both dark myelin).
    seed : int
        The same seed and arguments give the same phantom; geometry and appearance have
        streams of their own, so that a changed appearance leaves the fibres where they are.
    mean_diameter, diameter_sd : float, optional
        Mean and standard deviation, in µm, of the log-normal distribution of the diameters of
        myelinated axons, which is cut at 2.5 standard deviations of the logarithm on both
        sides. A mean alone brings a standard deviation in proportion. Unmyelinated axons are
        `axonlab.packing.UNMYELINATED_SIZE` times as large.
    g_ratio : float, optional
        g-ratio of an axon of the mean diameter; it rises with the diameter.
    fibre_fraction : float, optional
        Share of the tissue's area asked for fibres and unmyelinated axons. Where they press
        each other they do not find all the room and come out smaller: of 0.7 asked about 0.68
        are reached, of 0.84 about 0.77.
    unmyelinated_fraction : float, optional
        Share of unmyelinated axons among all axons, by number.
    appearance : Appearance, optional
        Grey values, textures, blur and noise; by default ``APPEARANCES[modality]``.

    Returns
    -------
    Phantom

    Raises
    ------
    ValueError
        If the modality is unknown, a number is out of its range, or the axons would be too
        small for the pixels.

    Notes
    -----
    Discs are pushed apart until hardly any overlap. The outline of fibre i is then the smooth
    minimum of a bumpy ellipse ``a(theta)`` and of the straight borders, at distance ``d_ij``
    and with normal ``n_ij``, between its cell and those of its neighbours in the power
    diagram of the discs::

        r(theta) ** -p = a(theta) ** -p + sum_j (max(0, n_ij . u(theta)) / d_ij) ** p

    so that it never leaves its cell, and is flat where two fibres meet; corners are cut off it
    by the mean of r over the angles around. The axon's outline is
    ``r(theta) * exp(-t * w(theta))``, with t chosen for the g-ratio. Both are polygons of
    `N_CORNERS` corners on these curves: areas and centroids in the table are theirs, by the
    shoelace formula. Diameters are those of circles of the same area;
    ``g = sqrt(axon area / fibre area)``; the thickness of the myelin is half the difference
    of the diameters. ``logit(g)`` is linear in the logarithm of the drawn axon diameter, with
    normal scatter.

    Examples
    --------
    >>> phantom = nerve((200, 300), seed=1)
    >>> phantom.micrograph.shape_um
    (20.0, 30.0)
    >>> bool(phantom.table.g_ratio.between(0, 1).all())
    True
    """
    if modality not in TISSUES:
        raise ValueError(
            f"modality {modality!r} is unknown, expected one of {', '.join(map(repr, TISSUES))}. "
            "Choose the nearest and pass your own appearance=... to change its look."
        )
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape is {shape}, expected two positive numbers: rows, columns.")
    usual_size, usual = TISSUES[modality]
    size = check_pixel_size(usual_size if pixel_size is None else pixel_size, "phantom")
    if mean_diameter is not None and diameter_sd is None:
        diameter_sd = usual.diameter_sd * mean_diameter / usual.mean_diameter
    given = {
        "mean_diameter": mean_diameter,
        "diameter_sd": diameter_sd,
        "g_ratio": g_ratio,
        "fibre_fraction": fibre_fraction,
        "unmyelinated_fraction": unmyelinated_fraction,
    }
    tissue = replace(usual, **{name: value for name, value in given.items() if value is not None})
    if tissue.mean_diameter < 5 * size:
        raise ValueError(
            f"axons of mean_diameter {tissue.mean_diameter:g} µm have fewer than 5 pixels of "
            f"{size:g} µm across. Take a smaller pixel_size or larger axons."
        )
    geometry, look = np.random.default_rng(seed).spawn(2)
    outlines = grow(shape, size, tissue, geometry)
    scene, seen = _rasterise(outlines, shape, size)
    pixels = render(scene, appearance or APPEARANCES[modality], look)
    micrograph = Micrograph(pixels, pixel_size=size, name=f"phantom {modality} {seed}")
    table = _tabulate(outlines, seen, scene.fibres, size)
    return Phantom(micrograph, scene.labels, scene.axons, scene.fibres, table)


def _rasterise(outlines: Outlines, shape: tuple[int, int], pixel_size: float) -> tuple[Scene, Ints]:
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


def _tabulate(
    outlines: Outlines, seen: Ints, fibres: NDArray[np.int32], pixel_size: float
) -> pd.DataFrame:
    """Measure the polygons of the fibres that were drawn."""
    outer, bare = outlines.outer[seen], outlines.is_unmyelinated[seen]
    fibre_area = area(outer) * pixel_size**2
    axon_area = area(outlines.inner[seen]) * pixel_size**2
    centres = (outlines.centres[seen] + centroids(outer)) * pixel_size
    axon_diameter, fibre_diameter = 2 * np.sqrt(np.stack([axon_area, fibre_area]) / np.pi)
    edge = np.concatenate([fibres[0], fibres[-1], fibres[:, 0], fibres[:, -1]])
    ids = np.arange(1, len(seen) + 1)
    return pd.DataFrame(
        {
            "fibre_id": ids,
            "centroid_y_um": centres[:, 0],
            "centroid_x_um": centres[:, 1],
            "axon_area_um2": axon_area,
            "fibre_area_um2": fibre_area,
            "axon_diameter_um": axon_diameter,
            "fibre_diameter_um": fibre_diameter,
            "myelin_thickness_um": (fibre_diameter - axon_diameter) / 2,
            "g_ratio": np.where(bare, np.nan, axon_diameter / fibre_diameter),
            "touches_border": np.isin(ids, edge),
            "is_myelinated": ~bare,
        }
    )
