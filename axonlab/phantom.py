"""Synthetic micrographs of nerve cross sections whose exact truth is known."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from axonlab.appearance import APPEARANCES, Appearance, render
from axonlab.micrograph import CLASS_COLOURS, CLASSES, Micrograph, check_pixel_size
from axonlab.neurites import neurites as neurites
from axonlab.neuropil import membranes as membranes
from axonlab.omezarr import (
    Region,
    create_image,
    create_labels,
    level_shapes,
    tiles,
    write_level,
)
from axonlab.packing import Tissue, grow
from axonlab.periodic import Layout, lay_out
from axonlab.raster import rasterise, tabulate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TISSUES = {
    "sem": (0.1, Tissue(1.8, 1.0, 0.63, 0.70, 0.0)),
    "tem": (0.01, Tissue(0.42, 0.22, 0.71, 0.84, 0.65)),
    "bright field": (0.1, Tissue(3.2, 1.6, 0.58, 0.70, 0.0)),
}
"""Pixel size in µm and tissue that are usual with each modality: white matter of rat spinal
cord, of mouse corpus callosum, and a peripheral nerve of the mouse."""


TRACTS = {"fine": (0.7, -0.04), "medium": (1.0, 0.0), "coarse": (1.4, 0.04)}
"""Tracts of a slide, from left to right: how many times larger the axons are than usual with the
modality, and what is added to the g-ratio."""

AT_ONCE = 2
"""Tiles that are drawn and written at the same time: more take memory, and little less time."""


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
    size, usual = _usual(modality, shape, pixel_size)
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
    _check_visible(tissue, size)
    geometry, look = np.random.default_rng(seed).spawn(2)
    outlines = grow(shape, size, tissue, geometry)
    scene, seen = rasterise(outlines, shape, size)
    pixels = render(scene, appearance or APPEARANCES[modality], look)
    micrograph = Micrograph(pixels, pixel_size=size, name=f"phantom {modality} {seed}")
    fibres = scene.fibres
    edge = np.concatenate([fibres[0], fibres[-1], fibres[:, 0], fibres[:, -1]])
    table = tabulate(outlines.take(seen), size)
    table["touches_border"] = table.fibre_id.isin(edge)
    return Phantom(micrograph, scene.labels, scene.axons, scene.fibres, table)


def write_slide(
    path: str | Path,
    *,
    shape: tuple[int, int] = (4000, 4000),
    seed: int = 0,
    pixel_size: float | None = None,
    tile: int = 2048,
    modality: str = "sem",
    has_blank: bool = False,
) -> Path:
    """Write a slide of any size as OME-Zarr, tile by tile, with exact truth.

    Three tracts lie side by side, from the left those of `TRACTS`: the first has small axons
    with thick myelin, the last large axons with thin myelin. Memory does not grow with the slide.

    Parameters
    ----------
    path : path
        Of a folder that does not exist yet.
    shape : pair of int
        Rows and columns.
    seed : int
        The same seed, shape, pixel size and modality give the same slide, whatever the `tile`.
    pixel_size : float, optional
        In µm; by default the one usual with the modality, 0.1 for ``"sem"``.
    tile : int
        Side of the squares that are written at once. Multiples of `axonlab.periodic.BLOCK`
        are fastest.
    modality : {"sem", "tem", "bright field"}
        As for `nerve`.
    has_blank : bool
        Whether the corner at the lower right, an eighth of the height and of the width, is
        filler of exactly 0, as in stitched mosaics.

    Returns
    -------
    Path
        The slide: the image (uint8) in all its levels, ``labels/classes`` (uint8),
        ``labels/axons`` and ``labels/fibres`` (int32). The ids are those of the truth, unique
        over the slide, but with gaps. ``tables/truth.parquet`` is a folder of files that
        `pandas.read_parquet` reads as one table: the columns of `Phantom.table`, in which the
        origin is the centre of the slide's first pixel, and ``tract``. See also `read_tracts`.

    Raises
    ------
    FileExistsError
        If there is anything at `path`.
    ValueError
        If the shape, the pixel size, the tile or the modality cannot be.

    Notes
    -----
    The tissue of a tract repeats after `axonlab.periodic.PERIOD` rows and columns, or after those
    of the slide where it is smaller and the largest fibres have room: a fibre that leaves a period
    on one side comes in on the other, so that there is no seam. Shading, charging and noise
    do not repeat; a pixel's noise is normal, with the variance of the quanta and the detector.
    Fibres that would cross the border of a tract or of the blank corner are left out whole.

    With n fibres in the period of a tract, the fibre i (from 0) whose centre lies in the period of
    row r and column c (from -1, for what reaches in from beyond the slide) has the id
    ``1 + n * ((r + 1) * C + c + 1) + i``, where C is the number of columns of periods, plus
    the number of ids of the tracts before.

    The slide is written under the name ``<path>.part`` and renamed when it is complete; what an
    interrupted call left there is replaced.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} is there already. Choose another place, or move it away.")
    size, usual = _usual(modality, shape, pixel_size)
    if tile < 1:
        raise ValueError(f"tile is {tile}, expected a positive number of pixels, such as 2048.")
    tissues = [
        replace(
            usual,
            mean_diameter=usual.mean_diameter * larger,
            diameter_sd=usual.diameter_sd * larger,
            g_ratio=usual.g_ratio + thinner,
        )
        for larger, thinner in TRACTS.values()
    ]
    for tissue in tissues:
        _check_visible(tissue, size)
    look = APPEARANCES[modality]
    layout = lay_out(shape, tissues, look, pixel_size=size, has_blank=has_blank, seed=seed)
    if layout.n_ids > np.iinfo(np.int32).max:
        raise ValueError(f"shape is {shape}: its fibres need more ids than int32 has.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        _write_planes(part, layout, tile, name=f"phantom {modality} {seed}")
        _write_truth(part, layout)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return path


def read_tracts(path: str | Path) -> dict[str, list[list[float]]]:
    """Return the tracts of a slide that `write_slide` wrote.

    Returns
    -------
    dict of str to list
        Corners of polygons by name, x, y in µm from the centre of the first pixel, as
        `axonlab.summary.summarise_regions` takes them.
    """
    about: Any = zarr.open_group(path, mode="r").attrs["phantom"]
    return dict(about["tracts"])


def _usual(modality: str, shape: tuple[int, int], pixel_size: float | None) -> tuple[float, Tissue]:
    """Return the pixel size and the usual tissue, or raise ValueError."""
    if modality not in TISSUES:
        raise ValueError(
            f"modality {modality!r} is unknown, expected one of {', '.join(map(repr, TISSUES))}. "
            "Choose the one that looks most like yours."
        )
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape is {shape}, expected two positive numbers: rows, columns.")
    usual_size, usual = TISSUES[modality]
    return check_pixel_size(usual_size if pixel_size is None else pixel_size, "phantom"), usual


def _check_visible(tissue: Tissue, pixel_size: float) -> None:
    """Raise ValueError when axons have too few pixels."""
    if tissue.mean_diameter < 5 * pixel_size:
        raise ValueError(
            f"axons of mean_diameter {tissue.mean_diameter:g} µm have fewer than 5 pixels of "
            f"{pixel_size:g} µm across. Take a smaller pixel_size or larger axons."
        )


def _write_planes(path: Path, layout: Layout, tile: int, name: str) -> None:
    """Write the image and the labels of a slide, and their coarser levels."""
    options: Any = {"pixel_size": layout.pixel_size, "tile": tile}
    image = create_image(path, layout.shape, np.uint8, **options, name=name)
    classes = create_labels(
        path, "classes", layout.shape, np.uint8, **options, colours=CLASS_COLOURS
    )
    axons, fibres = (
        create_labels(path, kind, layout.shape, np.int32, **options) for kind in ("axons", "fibres")
    )

    def write(region: Region) -> None:
        image[region], labels, ids = layout.draw(region)
        classes[region], fibres[region] = labels, ids
        axons[region] = np.where(labels == CLASSES["myelin"], 0, ids)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(write, tiles(layout.shape, tile)))
    planes = [path, *(path / "labels" / kind for kind in ("classes", "axons", "fibres"))]
    for level, level_shape in enumerate(level_shapes(layout.shape)[1:], start=1):
        for plane, region in product(planes, tiles(level_shape, tile)):
            write_level(plane, level, region)


def _write_truth(path: Path, layout: Layout) -> None:
    """Write the tracts and the table of the fibres."""
    names = list(TRACTS)
    folder = path / "tables" / "truth.parquet"
    folder.mkdir(parents=True)
    for number, table in enumerate(layout.tables()):
        named = table.assign(tract=np.array(names, object)[table.tract])
        named.to_parquet(folder / f"part-{number:05d}.parquet", index=False)
    corners = [(tract[:, ::-1] * layout.pixel_size).tolist() for tract in layout.tracts()]
    zarr.open_group(path, mode="r+").attrs["phantom"] = {
        "seed": layout.seed,
        "period_px": layout.period.tolist(),
        "tracts": dict(zip(names, corners, strict=True)),
    }
