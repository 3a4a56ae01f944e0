"""One fibre whose shape is known exactly: what the definitions of a diameter make of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.measure import find_contours

from axonlab.measure import measure_fibres

Floats = NDArray[np.float64]

G_RATIOS = {
    "area": "g_ratio",
    "minor axis": "g_ratio_minor_axis",
    "smallest Feret": "g_ratio_min_feret",
    "perimeter": "g_ratio_perimeter",
}
"""Columns of `axonlab.measure.measure_fibres` that are g-ratios, by what they rest on."""

_DIAMETERS = {
    "area": "diameter_um",
    "minor axis": "minor_axis_um",
    "smallest Feret": "min_feret_um",
    "perimeter": "perimeter_um",
}

WAVES = 5
"""Bulges of an irregular outline."""

_CORNERS = 720
_INSET = 0.2  # of pixels: so far within the outline is, on average, the nearest centre of a pixel


@dataclass(frozen=True)
class FibreShape:
    """A cross section of a fibre; its axon has one area, whatever its shape.

    Parameters
    ----------
    axon_diameter : float
        Of the circle that has the area of the axon, in µm.
    thickness : float
        Of the sheath, in µm, the same all around as long as the axon is in its middle.
    elongation : float
        Length over width of the ellipse that the axon begins as, at least 1.
    bend : float
        By how much of half its length the axon's ends are bent to one side.
    irregularity : float
        Height of the `WAVES` bulges of the axon's outline, as a share of its radius.
    off_centre : float
        How far the axon lies from the middle of its sheath, across its length, as a share of the
        thickness: at 1 it would touch the outer outline.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    axon_diameter: float = 4.0
    thickness: float = 1.0
    elongation: float = 1.0
    bend: float = 0.0
    irregularity: float = 0.0
    off_centre: float = 0.0

    def __post_init__(self) -> None:
        _check("axon_diameter", self.axon_diameter, self.axon_diameter > 0, "more than 0 µm")
        _check("thickness", self.thickness, self.thickness > 0, "more than 0 µm")
        _check("elongation", self.elongation, self.elongation >= 1, "1 or more")
        _check("bend", self.bend, 0 <= self.bend <= 1, "0 to 1")
        _check("irregularity", self.irregularity, 0 <= self.irregularity <= 0.3, "0 to 0.3")
        _check("off_centre", self.off_centre, 0 <= self.off_centre < 1, "0 to below 1")

    @property
    def round_g_ratio(self) -> float:
        """g-ratio of the round fibre with an axon of this area and a sheath of this thickness."""
        return self.axon_diameter / (self.axon_diameter + 2 * self.thickness)

    @property
    def sheath(self) -> tuple[float, float]:
        """The smallest and the largest thickness of the sheath, in µm."""
        change = self.off_centre * self.thickness
        return self.thickness - change, self.thickness + change

    def axon_outline(self) -> Floats:
        r"""Return the outline of the axon in the middle of its sheath, as (n, 2) x and y in µm.

        Notes
        -----
        An ellipse of half axes :math:`r\sqrt e` and :math:`r/\sqrt e`, its radii multiplied by
        :math:`(1 + w\cos 5\theta)/\sqrt{1 + w^2/2}`, then sheared by
        :math:`y + b\,(x^2/a - a/4)` with :math:`a = r\sqrt e`. Neither changes the area.
        """
        angle = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
        radius = self.axon_diameter / 2
        wave = 1 + self.irregularity * np.cos(WAVES * angle)
        wave /= np.sqrt(1 + self.irregularity**2 / 2)
        long = radius * np.sqrt(self.elongation)
        x = long * wave * np.cos(angle)
        y = radius / np.sqrt(self.elongation) * wave * np.sin(angle)
        return np.column_stack([x, y + self.bend * (x**2 / long - long / 4)])


@dataclass(frozen=True)
class CrossSection:
    """Masks of one fibre, with the id 1.

    Parameters
    ----------
    axons, fibres : (H, W) int32 array
    pixel_size : float
        In µm.
    """

    axons: NDArray[np.int32]
    fibres: NDArray[np.int32]
    pixel_size: float

    @cached_property
    def row(self) -> pd.Series[float]:
        """The row of `axonlab.measure.measure_fibres`."""
        return measure_fibres(self.axons, self.fibres, pixel_size=self.pixel_size).iloc[0]

    def outline(self, part: str) -> Floats:
        """Return the outline of the ``"axon"`` or the ``"fibre"``, x and y from the middle, µm."""
        objects = self.axons if part == "axon" else self.fibres
        padded = np.pad(objects, 1).astype(np.float32)
        contours = find_contours(padded, 0.5)  # type: ignore[no-untyped-call]
        return self._from_middle(max(contours, key=len)[:, ::-1] - 1)

    def equivalent(self, part: str, definition: str) -> list[Floats]:
        """Return what a definition replaces the outline by, as lines, x and y in µm.

        Parameters
        ----------
        part : {"axon", "fibre"}
        definition : str
            One of `G_RATIOS`: a circle of the same area or perimeter, the ellipse of the same
            second moments, or the two parallel lines of the smallest Feret diameter.
        """
        row = self.row
        own = "axon_" if part == "axon" else ""  # the fibre has no prefix
        middle = row[[f"{own}centroid_x_um", f"{own}centroid_y_um"]].to_numpy(np.float64)
        centre = self._from_middle(np.asarray(middle / self.pixel_size, np.float64))
        if definition == "smallest Feret":
            return _narrowest(self.outline(part))
        minor = major = row[f"{part}_{_DIAMETERS[definition]}"]
        turn = 0.0
        if definition == "perimeter":
            minor = major = minor / np.pi
        elif definition == "minor axis":
            major = row[f"{part}_major_axis_um"]
            turn = np.nan_to_num(row[f"{part}_orientation_deg"])
        return [centre + _ellipse(major / 2, minor / 2, turn)]

    def _from_middle(self, places: Floats) -> Floats:
        """Turn columns and rows into µm from the middle of the field, y upwards."""
        height, width = self.axons.shape
        middle = np.array([width - 1, height - 1]) / 2
        moved: Floats = (places - middle) * self.pixel_size * [1, -1]
        return moved


def draw_fibre(shape: FibreShape, *, pixel_size: float = 0.03) -> CrossSection:
    r"""Draw a fibre into pixels.

    Parameters
    ----------
    shape : FibreShape
    pixel_size : float
        In µm.

    Notes
    -----
    The fibre is all that is no farther from the axon than the sheath is thick, so that of a convex
    axon of area A and perimeter P it has the area :math:`A + Pt + \pi t^2`, the perimeter
    :math:`P + 2\pi t` and Feret diameters larger by 2t (Steiner). Then the axon is moved.

    Examples
    --------
    >>> round_one = draw_fibre(FibreShape(axon_diameter=4, thickness=1)).row
    >>> round_one[list(G_RATIOS.values())].astype(float).round(2).tolist()
    [0.67, 0.67, 0.67, 0.67]
    """
    outline = shape.axon_outline()
    reach = np.abs(outline).max(0) + shape.thickness
    half = np.ceil(reach / pixel_size).astype(int) + 2
    height, width = 2 * half[::-1] + 1
    rows, columns = half[1] - outline[:, 1] / pixel_size, half[0] + outline[:, 0] / pixel_size
    corners = np.column_stack([rows, columns])
    axon = polygon2mask((height, width), corners)  # type: ignore[no-untyped-call]
    distance = ndimage.distance_transform_edt(~axon)
    fibre = distance <= shape.thickness / pixel_size + _INSET
    move = round(shape.off_centre * shape.thickness / pixel_size)
    axon = np.roll(axon, move, axis=0) & fibre
    return CrossSection(axon.astype(np.int32), fibre.astype(np.int32), pixel_size)


def cut_fibre(
    axon_diameter: float = 2.0,
    g_ratio: float = 0.7,
    *,
    angle: float = 0.0,
    section: float = 0.0,
    pixel_size: float = 0.03,
) -> CrossSection:
    r"""Draw the cut through a fibre that is a cylinder, and oblique to the cut.

    Parameters
    ----------
    axon_diameter : float
        Of the cylinder, in µm.
    g_ratio : float
    angle : float
        Between the fibre and the normal of the section, in degrees: 0 is a perfect cross section.
    section : float
        Thickness of the section that is looked through, in µm; 0 is a surface.
    pixel_size : float
        In µm.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Notes
    -----
    The cut of a cylinder of radius r is an ellipse of half axes r and :math:`r/\cos\varphi`.
    Through a section of thickness h the cuts at top and bottom lie :math:`L = h\tan\varphi` apart.
    What is dark at any depth is seen as myelin: the fibre is the union of the ellipses between,
    of area :math:`\pi R^2/\cos\varphi + 2RL`, and the axon what they have in common.
    """
    _check("axon_diameter", axon_diameter, axon_diameter > 0, "more than 0 µm")
    _check("g_ratio", g_ratio, 0 < g_ratio < 1, "a ratio between 0 and 1")
    _check("angle", angle, 0 <= angle <= 80, "0 to 80 degrees")
    _check("section", section, section >= 0, "0 µm or more")
    lengthening = 1 / np.cos(np.radians(angle))
    half_shift = section * np.tan(np.radians(angle)) / 2
    inner, outer = axon_diameter / 2, axon_diameter / g_ratio / 2
    half_width = int(np.ceil((outer * lengthening + half_shift) / pixel_size)) + 2
    half_height = int(np.ceil(outer / pixel_size)) + 2
    y = np.arange(-half_height, half_height + 1)[:, None] * pixel_size
    x = np.abs(np.arange(-half_width, half_width + 1)) * pixel_size
    within = np.maximum(x - half_shift, 0)
    fibre = (within / (outer * lengthening)) ** 2 + (y / outer) ** 2 <= 1
    axon = ((x + half_shift) / (inner * lengthening)) ** 2 + (y / inner) ** 2 <= 1
    return CrossSection(axon.astype(np.int32), fibre.astype(np.int32), pixel_size)


def g_ratios(row: pd.Series[float]) -> pd.Series[float]:
    """Return the g-ratio of a measured fibre by definition, indexed by `G_RATIOS`."""
    return pd.Series({name: float(row[column]) for name, column in G_RATIOS.items()})


def diameters(row: pd.Series[float], part: str = "axon") -> pd.Series[float]:
    """Return the diameter of a measured axon or fibre by definition, in µm; P/π by perimeter."""
    found = {name: float(row[f"{part}_{column}"]) for name, column in _DIAMETERS.items()}
    return pd.Series(found | {"perimeter": found["perimeter"] / np.pi})


def by_elongation(
    shape: FibreShape, elongations: Iterable[float], *, pixel_size: float = 0.03
) -> pd.DataFrame:
    """Return the g-ratios of a fibre that is made longer and longer.

    Parameters
    ----------
    shape : FibreShape
    elongations : iterable of float
    pixel_size : float
        In µm.

    Returns
    -------
    DataFrame
        One row per elongation, one column per definition.
    """
    rows = {
        e: g_ratios(draw_fibre(replace(shape, elongation=e), pixel_size=pixel_size).row)
        for e in elongations
    }
    return pd.DataFrame(rows).T.rename_axis("elongation")


def by_angle(
    angles: Iterable[float],
    axon_diameter: float = 2.0,
    g_ratio: float = 0.7,
    *,
    section: float = 0.0,
    pixel_size: float = 0.03,
) -> pd.DataFrame:
    """Return what an oblique cut makes of a fibre, over the angle.

    Returns
    -------
    DataFrame
        One row per angle in degrees. Columns on two levels: ``"diameter"``, of the axon over its
        true one, and ``"g_ratio"``; under each the definitions.
    """
    rows = {}
    for angle in angles:
        cut = cut_fibre(
            axon_diameter, g_ratio, angle=angle, section=section, pixel_size=pixel_size
        ).row
        parts = {"diameter": diameters(cut) / axon_diameter, "g_ratio": g_ratios(cut)}
        rows[angle] = pd.concat(parts)
    return pd.DataFrame(rows).T.rename_axis("angle")


def _ellipse(long: float, short: float, turn: float) -> Floats:
    angle = np.linspace(0, 2 * np.pi, 181)
    x, y = long * np.cos(angle), short * np.sin(angle)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    return np.column_stack([cos * x - sin * y, sin * x + cos * y])


def _narrowest(outline: Floats) -> list[Floats]:
    """Return the two parallel lines, as long as the object, that are nearest to each other."""
    angle = np.radians(np.arange(180))
    normals = np.stack([np.cos(angle), np.sin(angle)])
    heights = outline @ normals
    widths = np.ptp(heights, axis=0)
    # upright and level ones first where many are as near, as around a circle
    best = int(np.argmin(widths.round(3) + np.where(np.arange(180) == 90, 0, 1e-6)))
    normal = normals[:, best]
    along = np.array([-normal[1], normal[0]])
    ends = np.array([(outline @ along).min(), (outline @ along).max()])
    span = ends[:, None] * along
    return [span + heights[:, best].min() * normal, span + heights[:, best].max() * normal]


def _check(name: str, value: float, is_right: bool, expected: str) -> None:
    if not is_right:
        raise ValueError(f"{name} is {value:g}, expected {expected}. Pass another {name}=...")
