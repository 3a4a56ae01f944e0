"""At which scale a model can work on images whose pixel size nobody knows, or is in doubt.

A working scale is not a physical pixel size. It says how much an image is enlarged or shrunk
before a network sees it, as the pixel size (µm) the image is *claimed* to have; any claim at which
the fibres look as large as those the network learnt from will do. What is measured at it is in
pixels, until somebody who knows the microscope, or the tissue, confirms a pixel size.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.blank import blank_area
from axonlab.io import read_image
from axonlab.measure import measure_fibres
from axonlab.micrograph import UNLABELLED, Micrograph
from axonlab.models import Model, load_model
from axonlab.objects import label_fibres
from axonlab.propose import where_next
from axonlab.segment import segment

FACTORS = tuple(2.0 ** (n / 2) for n in range(-4, 3))
"""Claimed pixel sizes that are tried, over that of the model: a quarter to twice."""

CROP = 512
"""Side in pixels of the square of an image that is tried."""

PLAUSIBLE_G = (0.4, 0.9)
"""g-ratios between which a fibre counts as found; specks and holes in myelin lie outside."""

WORKABLE = 0.9
"""A scale is workable that finds at least so much of what the best one finds."""

DIAMETERS_UM = (0.2, 20.0)
"""Between which median fibre diameters lie: the thinnest axons with myelin measure 0.2 µm (Waxman
& Bennett 1972, doi:10.1038/newbio238217a0), the thickest fibres of a nerve 20 µm (Hursh 1939,
doi:10.1152/ajplegacy.1939.127.1.131)."""

LEARNT_DIAMETER_UM = {"sem": 3.0, "tem": 0.6}
"""Median fibre diameter of what the models that come with axonlab learnt from, in its manual masks
(by image 2.1 to 3.8 and 0.5 to 0.8)."""

FAMILIAR = 1.75
"""How much larger or smaller than that fibres may be before something seems to be wrong. Of the
crops of 13 images of `rat-sem` and `mouse-tem` none is doubted at its true pixel size, 25 of 26 are
at a quarter of it or four times it, 15 of 26 at half or twice: such mistakes can look plausible."""

SOURCE = "working scale, not a physical size"
"""What the provenance says of a claimed pixel size."""


def read_at_scale(path: str | Path, *, pixel_size: float) -> Micrograph:
    """Read an image of unknown pixel size at a working scale.

    Parameters
    ----------
    path : path
    pixel_size : float
        Claimed, in µm. The provenance of what is made of the image calls it a working scale.
    """
    return replace(read_image(path, pixel_size=pixel_size), pixel_size_source=SOURCE)


def try_scales(
    pixels: NDArray[np.float32],
    model: str | Path | Model = "sem",
    *,
    factors: tuple[float, ...] = FACTORS,
) -> pd.DataFrame:
    """Segment the part of an image that shows most at several claimed pixel sizes.

    Parameters
    ----------
    pixels : (H, W) float32 array
        Grey values of the whole image.
    model : str, path or Model
    factors : tuple of float
        Claimed pixel sizes over that of the model.

    Returns
    -------
    DataFrame
        One row per claim:

        - `pixel_size_um`: as claimed
        - `fibres`: complete ones of a plausible g-ratio (by area)
        - `axon_diameter_px`, `fibre_diameter_px`: their medians, in pixels of the image
        - `fibre_diameter_um`: the latter if the claim were true: how large the network sees them
        - `fibre_share`: of the area tried that they cover
        - `confidence`: mean probability of the most probable class
        - `is_workable`: whether `fibre_share` is at least `WORKABLE` times the largest

    Notes
    -----
    Diameters are those of circles of the same area. All claims are tried on the same square, of
    `CROP` pixels a side and the steepest grey values. The largest claim, which enlarges it most,
    takes half of the time.
    """
    model = model if isinstance(model, Model) else load_model(model)
    tried = pixels[liveliest(pixels, CROP)]
    claims = [model.card.pixel_size * factor for factor in factors]
    table = pd.DataFrame([_row(Micrograph(tried, claim), model) for claim in claims])
    return table.assign(is_workable=table["fibre_share"] >= WORKABLE * table["fibre_share"].max())


def suggest_scale(scales: pd.DataFrame, *, learnt_diameter: float) -> pd.Series:
    """Return the workable row at which fibres look most like those the model learnt from.

    It is a proposal: look at it, then pass its `pixel_size_um`, or another, on.

    Parameters
    ----------
    scales : DataFrame
        From `try_scales`.
    learnt_diameter : float
        Median fibre diameter in µm of what the model learnt from; 3 for ``"sem"`` (2.1 to 3.8 by
        image, in the manual masks of its rat spinal cords).

    Raises
    ------
    ValueError
        If no fibre was found at any scale.

    Notes
    -----
    The row whose `fibre_diameter_um` has the smallest ratio to `learnt_diameter`, up or down,
    among those that are workable.
    """
    found = scales[scales["is_workable"] & (scales["fibres"] > 0)]
    if found.empty:
        raise ValueError(
            f"No complete fibre was found at claimed pixel sizes of "
            f"{scales['pixel_size_um'].min():g} to {scales['pixel_size_um'].max():g} µm. Try "
            "other factors, or a model for this kind of image."
        )
    ratio = np.log(found["fibre_diameter_um"] / learnt_diameter).abs()
    nearest: pd.Series[Any] = found.loc[ratio.idxmin()]
    return nearest


def plausible_fibres(fibres: pd.DataFrame) -> pd.DataFrame:
    """Return the complete fibres of a g-ratio within `PLAUSIBLE_G`."""
    return fibres[~fibres["touches_border"] & fibres["g_ratio"].between(*PLAUSIBLE_G)]


def doubt_pixel_size(
    fibres: pd.DataFrame, *, pixel_size: float, learnt_diameter: float | None = None
) -> str:
    """Return what speaks against a pixel size, by the fibres that a model has found at it.

    Nothing is applied: the pixel size may be right, and the tissue unlike what the model knows.

    Parameters
    ----------
    fibres : DataFrame
        From `axonlab.measure.measure_fibres`, at this pixel size.
    pixel_size : float
        In µm.
    learnt_diameter : float, optional
        Median fibre diameter in µm of what the model learnt from, see `LEARNT_DIAMETER_UM`.

    Returns
    -------
    str
        What was found, and at which pixel size it would be plausible; empty if nothing is
        implausible. What was found may itself be wrong where the pixel size is: `try_scales` is
        the better guide to another one.

    Notes
    -----
    Judged is the median diameter of the complete fibres of a g-ratio within `PLAUSIBLE_G`. It is
    to lie within `DIAMETERS_UM`, and within a factor `FAMILIAR` of `learnt_diameter`.
    """
    found = plausible_fibres(fibres)
    at = f"at {pixel_size:g} µm per pixel"
    if found.empty:
        return f"No complete fibre was found {at}: is this the pixel size of the image?"
    diameter = found["fibre_diameter_um"].median()
    if learnt_diameter is None:
        low, high = DIAMETERS_UM
        known = f"in nerves it is {low:g} to {high:g} µm"
        right = f"{pixel_size * low / diameter:.2g} to {pixel_size * high / diameter:.2g}"
    else:
        low, high = learnt_diameter / FAMILIAR, learnt_diameter * FAMILIAR
        known = f"the model learnt from fibres of {learnt_diameter:g} µm"
        right = f"about {pixel_size * learnt_diameter / diameter:.2g}"
    if low <= diameter <= high:
        return ""
    return (
        f"The complete fibres found {at} ({len(found)}) have a median diameter of "
        f"{diameter:.2g} µm; {known}. They would measure that at {right} µm per pixel; if the "
        "pixel size is right, take another model."
    )


def liveliest(pixels: NDArray[np.float32], side: int) -> tuple[slice, slice]:
    """Return the square with the steepest grey values: nerve, rather than what surrounds it.

    Parameters
    ----------
    pixels : (H, W) float32 array
    side : int
        Of the square, in pixels; the square is cut to the image.
    """
    steepness = np.hypot(*np.gradient(pixels))
    steepness[blank_area(pixels)] = 0
    steepness /= max(steepness.max(), np.finfo(np.float32).tiny)
    return where_next(steepness, np.full(pixels.shape, UNLABELLED, np.uint8), size=(side, side))


def _row(micrograph: Micrograph, model: Model) -> dict[str, float]:
    """Return what a model finds in a micrograph of a claimed pixel size."""
    result = segment(micrograph, model)
    objects = label_fibres(result.labels, pixel_size=micrograph.pixel_size)
    table = measure_fibres(*objects, pixel_size=1)  # in pixels
    fibres = plausible_fibres(table)
    diameter = fibres["fibre_diameter_um"].median()
    return {
        "pixel_size_um": micrograph.pixel_size,
        "fibres": len(fibres),
        "axon_diameter_px": fibres["axon_diameter_um"].median(),
        "fibre_diameter_px": diameter,
        "fibre_diameter_um": diameter * micrograph.pixel_size,
        "fibre_share": fibres["fibre_area_um2"].sum() / result.labels.size,
        "confidence": float(result.probabilities.max(0).mean()),
    }
