"""One row per fibre. Every measurement is made from sums over pixels, and from convex hulls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree

from axonlab.micrograph import check_objects, check_pixel_size
from axonlab.runs import (
    Runs,
    find_runs,
    merge_runs,
    merge_sums,
    object_sums,
    sum_runs,
    tile_sums,
)
from axonlab.shape import corner_runs, ellipses, hulls
from axonlab.summary import summarise

__all__ = ["measure_fibres", "merge_sums", "neighbour_distance", "object_sums", "summarise"]


def measure_fibres(
    axons: NDArray[np.int32], fibres: NDArray[np.int32], *, pixel_size: float
) -> pd.DataFrame:
    r"""Measure every fibre.

    Parameters
    ----------
    axons, fibres : (H, W) integer array
        Object ids as `axonlab.objects.label_fibres` returns them: 0 is background, an axon has
        the id of its fibre and lies within it.
    pixel_size : float
        In µm.

    Returns
    -------
    DataFrame
        One row per fibre, ordered by id. What an axon would measure is NaN where there is none,
        and every g-ratio where there is no myelin.

        - `fibre_id`
        - `centroid_y_um`, `centroid_x_um`, `axon_centroid_y_um`, `axon_centroid_x_um`: of the
          fibre and of its axon, from the centre of the first pixel
        - `axon_area_um2`, `fibre_area_um2`, `myelin_area_um2`
        - `axon_diameter_um`, `fibre_diameter_um`: of the circle of the same area; `g_ratio`,
          their ratio; `myelin_thickness_um`, half their difference
        - `axon_minor_axis_um`, `axon_major_axis_um`, `fibre_minor_axis_um`,
          `fibre_major_axis_um`: of the ellipse with the same second moments;
          `g_ratio_minor_axis`, ratio of the minor axes
        - `axon_eccentricity`, `fibre_eccentricity`: of this ellipse; `axon_orientation_deg`,
          `fibre_orientation_deg`: of its major axis, counter-clockwise from the horizontal, from
          0 to below 180°; NaN of what is as wide as long
        - `axon_perimeter_um`, `fibre_perimeter_um`; `g_ratio_perimeter`, their ratio
          (unreliable below a radius of about 8 pixels)
        - `axon_circularity`, `fibre_circularity`: 1 for a disc, but for some per cent that the
          perimeter is off
        - `axon_min_feret_um`, `fibre_min_feret_um`: smallest distance of two parallel lines that
          hold the object between them; `g_ratio_min_feret`, their ratio
        - `axon_solidity`, `fibre_solidity`: share that the object fills of its convex hull
        - `neighbour_distance_um`: from the centre of the fibre to that of the nearest other one
        - `top_px`, `left_px`, `bottom_px`, `right_px`: first row and column of the fibre, and
          those behind its last
        - `is_myelinated`, `touches_border`
        - `in_counting_frame`: false where the axon touches the upper or left edge, see Notes

    Raises
    ------
    ValueError
        If the arrays differ in shape, hold negative ids or other than whole numbers, or an axon
        reaches out of its fibre.

    Notes
    -----
    What is axon and what is myelin is what the masks say: the inner tongue is of the axon if it
    was labelled so.

    Equivalent diameter :math:`d = \sqrt{4A/\pi}`, circularity :math:`4\pi A/P^2`. Second moments
    count each pixel as a square (1/12 pixel² per axis), and so does the Feret diameter: that of an
    upright rectangle is its shorter side. Solidity counts the pixels whose centres lie in the
    convex hull of the object's own, and is 1 for a rasterised disc. Perimeters by the
    Cauchy–Crofton formula in four directions: crossings of the outline with rows, columns and
    diagonals, times the spacing of these lines, times π/8.
    Counting frame: Gundersen 1977, doi:10.1111/j.1365-2818.1977.tb00062.x; a field that counts
    what touches two of its sides and not what touches the other two counts without bias.

    Examples
    --------
    >>> fibres = np.zeros((7, 7), np.int32)
    >>> fibres[1:6, 1:6] = 1
    >>> axons = np.zeros_like(fibres)
    >>> axons[2:5, 2:5] = 1
    >>> measure_fibres(axons, fibres, pixel_size=0.1)[["axon_area_um2", "g_ratio"]].round(3)
       axon_area_um2  g_ratio
    0           0.09      0.6
    """
    pixel_size = check_pixel_size(pixel_size, "axons and fibres")
    _check_objects(axons, fibres)
    axon, fibre = (Parts.of(find_runs(objects)) for objects in (axons, fibres))
    return tabulate(axon, fibre, fibres.shape, pixel_size=pixel_size)


class Parts(NamedTuple):
    """What is known of some objects, or of the parts of them that are in a tile."""

    sums: pd.DataFrame
    """From `axonlab.runs.object_sums`."""

    corners: Runs
    """Pixels among which the corners of their convex hulls are, see `axonlab.shape.corner_runs`."""

    @classmethod
    def of(cls, runs: Runs) -> Parts:
        """Return those of whole objects."""
        return cls(sum_runs(runs), corner_runs(runs))

    @classmethod
    def in_tile(
        cls, objects: NDArray[np.integer], shape: tuple[int, int], *, origin: tuple[int, int]
    ) -> Parts:
        """Return those of the objects in a tile.

        Parameters
        ----------
        objects : (H, W) integer array
            The tile, and one row and one column more where the image goes on below and to the
            right.
        shape : pair of int
            Of the tile itself.
        origin : pair of int
            Row and column of its first pixel.
        """
        inside = find_runs(objects[: shape[0], : shape[1]], origin=origin)
        return cls(tile_sums(objects, shape, origin=origin), corner_runs(inside))

    @classmethod
    def join(cls, parts: Iterable[Parts]) -> Parts:
        """Return those of objects from all their parts."""
        sums, corners = zip(*parts, strict=True)
        runs = merge_runs(corners)
        return cls(merge_sums(sums).loc[runs.ids], runs)


def tabulate(
    axon_parts: Parts, fibre_parts: Parts, shape: tuple[int, int], *, pixel_size: float
) -> pd.DataFrame:
    """Return the table of `measure_fibres` of axons and fibres in an image of a shape."""
    fibre = _measure(fibre_parts, pixel_size)
    axon = _measure(axon_parts, pixel_size).reindex(fibre.index)
    axon[["area", "diameter"]] = axon[["area", "diameter"]].fillna(0.0)
    is_myelinated = (axon["area"] > 0) & (fibre["area"] > axon["area"])
    height, width = shape
    touches_first = (fibre["top"] == 0) | (fibre["left"] == 0)
    touches_last = (fibre["bottom"] == height) | (fibre["right"] == width)
    # Counted are axons: of a fibre at the edge the sheath alone may be seen, and is no fibre then.
    axon_touches_first = (axon["top"] == 0) | (axon["left"] == 0)

    def of_both(quantity: str, unit: str = "") -> dict[str, pd.Series]:
        both = (("axon", axon), ("fibre", fibre))
        return {f"{name}_{quantity}{unit}": table[quantity] for name, table in both}

    def ratio(quantity: str) -> pd.Series:
        return (axon[quantity] / fibre[quantity]).where(is_myelinated)

    table = pd.DataFrame(
        {
            "fibre_id": fibre.index,
            "centroid_y_um": fibre["y"],
            "centroid_x_um": fibre["x"],
            "axon_centroid_y_um": axon["y"],
            "axon_centroid_x_um": axon["x"],
            **of_both("area", "_um2"),
            "myelin_area_um2": fibre["area"] - axon["area"],
            **of_both("diameter", "_um"),
            "myelin_thickness_um": (fibre["diameter"] - axon["diameter"]) / 2,
            "g_ratio": ratio("diameter"),
            **of_both("minor_axis", "_um"),
            **of_both("major_axis", "_um"),
            "g_ratio_minor_axis": ratio("minor_axis"),
            **of_both("eccentricity"),
            **of_both("orientation_deg"),
            **of_both("perimeter", "_um"),
            "g_ratio_perimeter": ratio("perimeter"),
            **of_both("circularity"),
            **of_both("min_feret", "_um"),
            "g_ratio_min_feret": ratio("min_feret"),
            **of_both("solidity"),
            **{f"{side}_px": fibre[side] for side in ("top", "left", "bottom", "right")},
            "is_myelinated": is_myelinated,
            "touches_border": touches_first | touches_last,
            "in_counting_frame": (axon["area"] > 0) & ~axon_touches_first,
        }
    ).reset_index(drop=True)
    return table.assign(neighbour_distance_um=neighbour_distance(table))


def neighbour_distance(fibres: pd.DataFrame) -> pd.Series:
    """Return how far from the centre of each fibre that of the nearest other one is, in µm.

    Parameters
    ----------
    fibres : DataFrame
        With `centroid_y_um` and `centroid_x_um`.

    Returns
    -------
    Series
        Of the same index; NaN where there is no other fibre.

    Examples
    --------
    >>> row = pd.DataFrame({"centroid_y_um": [0.0, 0, 0], "centroid_x_um": [0.0, 2, 5]})
    >>> neighbour_distance(row).tolist()
    [2.0, 2.0, 3.0]
    """
    centres = fibres[["centroid_y_um", "centroid_x_um"]].to_numpy(float)
    if len(centres) < 2:
        return pd.Series(np.nan, fibres.index)
    distance, _ = KDTree(centres).query(centres, k=2)
    return pd.Series(distance[:, 1], fibres.index)


def _measure(parts: Parts, pixel_size: float) -> pd.DataFrame:
    """Measure objects in µm, but for their bounding boxes, which stay in pixels."""
    sums, hull = parts.sums, hulls(parts.corners)
    table = ellipses(sums)
    lengths = ["y", "x", "minor_axis", "major_axis"]
    table[lengths] *= pixel_size
    crossings = sums["crossings_straight"] + sums["crossings_diagonal"] / np.sqrt(2)
    area, perimeter = sums["area"], np.pi / 8 * crossings
    return table.assign(
        area=area * pixel_size**2,
        diameter=np.sqrt(4 / np.pi * area) * pixel_size,
        perimeter=perimeter * pixel_size,
        circularity=4 * np.pi * area / perimeter**2,
        min_feret=hull["min_feret"] * pixel_size,
        solidity=area / hull["convex_area"],
        top=sums["top"],
        left=sums["left"],
        bottom=sums["bottom"] + 1,
        right=sums["right"] + 1,
    )


def _check_objects(axons: NDArray[np.integer], fibres: NDArray[np.integer]) -> None:
    for name, objects in (("axons", axons), ("fibres", fibres)):
        check_objects(objects, name)
    if axons.shape != fibres.shape:
        raise ValueError(
            f"axons of shape {axons.shape} and fibres of {fibres.shape}: both must show the same "
            "image at the same size."
        )
    outside = (axons != fibres) & (axons != 0)
    if outside.any():
        raise ValueError(
            f"{int(outside.sum())} pixels of axons lie outside the fibre of the same id "
            f"(ids {np.unique(axons[outside])[:5].tolist()} …). A fibre is its axon and its "
            "myelin: use the pair of images that label_fibres returns."
        )
