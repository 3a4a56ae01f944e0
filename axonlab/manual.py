"""Measurements that people made by hand or with other programs, in our columns and units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from axonlab.micrograph import check_pixel_size
from axonlab.tables import parse_table, read_table

LENGTH, AREA, NUMBER = 1, 2, 0
"""Powers of a length that a column may be in."""

DIALECTS: dict[str, dict[str, tuple[str, int]]] = {
    "axonlab": {},
    "axondeepseg": {
        "x0": ("centroid_x_um", LENGTH),
        "y0": ("centroid_y_um", LENGTH),
        "gratio": ("g_ratio", NUMBER),
        "axon_area": ("axon_area_um2", AREA),
        "axon_perimeter": ("axon_perimeter_um", LENGTH),
        "axon_diam": ("axon_diameter_um", LENGTH),
        "myelin_area": ("myelin_area_um2", AREA),
        "myelin_thickness": ("myelin_thickness_um", LENGTH),
        "axonmyelin_area": ("fibre_area_um2", AREA),
        "axonmyelin_perimeter": ("fibre_perimeter_um", LENGTH),
        "solidity": ("axon_solidity", NUMBER),
        "eccentricity": ("axon_eccentricity", NUMBER),
        "image_border_touching": ("touches_border", NUMBER),
    },
    "myeltracer": {
        "number": ("fibre_id", NUMBER),
        "axon area": ("axon_area_um2", AREA),
        "inner area": ("inner_area_um2", AREA),
        "outer area": ("fibre_area_um2", AREA),
        "axon perimeter": ("axon_perimeter_um", LENGTH),
        "inner perimeter": ("inner_perimeter_um", LENGTH),
        "outer perimeter": ("fibre_perimeter_um", LENGTH),
        "axon diameter": ("axon_diameter_um", LENGTH),
        "inner diameter": ("inner_diameter_um", LENGTH),
        "outer diameter": ("fibre_diameter_um", LENGTH),
        "g-ratio": ("g_ratio_inner", NUMBER),
    },
    "aimseg": {
        "label": ("fibre_id", NUMBER),
        "axon area": ("axon_area_um2", AREA),
        "inner region area": ("inner_area_um2", AREA),
        "fibre area": ("fibre_area_um2", AREA),
        "axon diameter": ("axon_diameter_um", LENGTH),
        "inner region diameter": ("inner_diameter_um", LENGTH),
        "fibre diameter": ("fibre_diameter_um", LENGTH),
        "myelin g-ratio": ("g_ratio_inner", NUMBER),
        "axon g-ratio": ("g_ratio", NUMBER),
        "edge": ("touches_border", NUMBER),
    },
    "imagej": {
        "area": ("area_um2", AREA),
        "perim.": ("perimeter_um", LENGTH),
        "x": ("centroid_x_um", LENGTH),
        "y": ("centroid_y_um", LENGTH),
        "major": ("major_axis_um", LENGTH),
        "minor": ("minor_axis_um", LENGTH),
        "minferet": ("min_feret_um", LENGTH),
        "length": ("line_um", LENGTH),
        "circ.": ("circularity", NUMBER),
        "solidity": ("solidity", NUMBER),
    },
}
"""Headings of other programs, without their units and in small letters, and what they mean."""

IMAGEJ = {
    "imagej axons": "each row is an axon",
    "imagej fibres": "each row is a fibre, axon and myelin",
    "imagej pairs": "rows come in twos, axon and fibre in either order",
}
"""What the rows of a results table of ImageJ or Fiji may be; the table does not tell."""

UNITS = {
    1e-3: ("nm", "nanometer", "nanometers"),
    1.0: ("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers"),
    1e3: ("mm", "millimeter", "millimeters"),
}
"""What a unit is in µm, by its spellings."""

PIXELS = ("px", "pixel", "pixels")

PLAUSIBLE_UM = (0.02, 500.0)
"""Median diameters outside are taken for mistakes of the unit: axons have 0.1 to 100 µm."""

_HEADING = re.compile(r"(?P<name>.*?)\s*(?:\((?P<unit>[^()]*)\))?")


@dataclass(frozen=True)
class _Scale:
    """How to get from the numbers of a table to µm."""

    unit: str | None
    pixel_size: float | None

    def factor(self, heading: str, written: str | None) -> float:
        """Return what a length of 1 under a heading is in µm."""
        unit = written or self.unit
        if unit is None:
            raise ValueError(
                f"Column {heading!r} names no unit. Pass unit='um' ('nm', 'mm'), or unit='px' with "
                "pixel_size=... (µm)."
            )
        plain = re.sub(r"\^?[2²]$", "", unit.strip().lower().removeprefix("squared")).strip()
        if plain in PIXELS:
            if self.pixel_size is None:
                raise ValueError(
                    f"Column {heading!r} is in pixels. Pass pixel_size=..., that of the image they "
                    "were measured in, in µm."
                )
            return check_pixel_size(self.pixel_size, heading)
        factor = next((f for f, spellings in UNITS.items() if plain in spellings), None)
        if factor is None:
            raise ValueError(
                f"Column {heading!r} is in {unit!r}, known are nm, um, mm and px. Convert it."
            )
        return factor


def read_measurements(
    path_or_text: str | Path,
    *,
    pixel_size: float | None = None,
    unit: str | None = None,
    dialect: str | None = None,
) -> pd.DataFrame:
    r"""Read what others measured, with our names and in µm.

    Understood are tables of AxonDeepSeg (morphometrics), MyelTracer (area_calculations), AimSeg
    (Results.tsv), ImageJ and Fiji (Results), and those with headings as `measure_fibres` has
    them, such as a list of one's own with ``axon_diameter_um``.

    Parameters
    ----------
    path_or_text : path or str
        A CSV, TSV, Excel or Parquet file; text of several lines is taken for the table itself,
        as pasted from a spreadsheet.
    pixel_size : float, optional
        In µm, of the image that was measured; needed where something is in pixels, as the
        positions of AxonDeepSeg.
    unit : str, optional
        Of the numbers whose heading names none: "nm", "um", "mm" or "px". MyelTracer and
        ImageJ name none.
    dialect : str, optional
        "axonlab", "axondeepseg", "myeltracer" or "aimseg"; by default the headings tell. ImageJ
        does not tell what was outlined and needs it: "imagej axons", "imagej fibres" or, where
        axon and fibre take turns, "imagej pairs".

    Returns
    -------
    DataFrame
        One row per fibre, `fibre_id` first: the number in the table if it has one, otherwise from
        1 in its order. `inner_…` and `g_ratio_inner` are of the inner edge of the myelin, which
        is the axon with its inner tongue; `axon_line_um` is a line drawn by hand. Diameters of
        circles, `myelin_thickness_um` and `g_ratio` are added where areas or diameters give
        them. `centroid_…` are where the fibre is; AxonDeepSeg tells where its axon is. Columns of
        another meaning are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the headings are not understood, a unit or the pixel size is missing, numbers are no
        numbers or negative, or diameters are absurd in the unit.
    ImportError
        If the package for Excel or Parquet is not installed.

    Notes
    -----
    Positions count from the centre of the first pixel here, from its corner in ImageJ: they agree
    to half a pixel. An AxonDeepSeg diameter that is not that of the circle of the same area is
    the minor axis of an ellipse, its other mode, and is called so.

    Examples
    --------
    >>> text = "Number,Axon Diameter,Outer Diameter,\n1,800,1000,\n2,450,900,"
    >>> read_measurements(text, unit="nm")[["axon_diameter_um", "g_ratio"]]
       axon_diameter_um  g_ratio
    0              0.80      0.8
    1              0.45      0.5
    """
    name, table = _table(path_or_text)
    dialect = _dialect(table, dialect, name)
    if dialect == "axonlab":
        found = table.copy()
    else:
        scale = _Scale(unit, pixel_size)
        found = _translated(table, dialect.split()[0], scale, name)
    if dialect == "axondeepseg":
        found = _told_by_ellipses(found)
    elif dialect == "imagej pairs":
        found = _paired(found, name)
    elif dialect != "axonlab":  # no outline has no area: 0 is one that is missing, or a line
        found = found.replace({c: {0: np.nan} for c in _sizes(found)})
    if dialect in ("imagej axons", "imagej fibres"):
        found = _of(dialect.removeprefix("imagej ").removesuffix("s"), found)
    found = _derived(found)
    _check(found, name)
    return _numbered(found, name)


def _table(path_or_text: str | Path) -> tuple[str, pd.DataFrame]:
    """Return a name for messages, and the table as it stands."""
    if isinstance(path_or_text, str) and "\n" in path_or_text.strip():
        return "pasted text", parse_table(path_or_text)
    return str(path_or_text), read_table(path_or_text)


def _dialect(table: pd.DataFrame, told: str | None, name: str) -> str:
    """Return whose table it is, as told or by the headings."""
    known = [*(d for d in DIALECTS if d != "imagej"), *IMAGEJ]
    if told is not None:
        if told not in known:
            raise ValueError(f"dialect is {told!r}, expected one of {', '.join(known)}.")
        return told
    if any(str(column).endswith(("_um", "_um2")) or column == "g_ratio" for column in table):
        return "axonlab"
    headings = {_split(column)[0] for column in table}
    counts = {d: len(headings & set(columns)) for d, columns in DIALECTS.items()}
    best = max(counts, key=lambda dialect: counts[dialect])
    if not counts[best]:
        raise ValueError(
            f"{name}: none of the columns {', '.join(map(repr, table))} is known. Name them as "
            "axonlab does, axon_diameter_um, fibre_diameter_um, g_ratio, centroid_y_um, …; known "
            f"are also the headings of {', '.join(d for d in DIALECTS if d != 'axonlab')}."
        )
    if best == "imagej":
        options = "; ".join(f"dialect={key!r} if {text}" for key, text in IMAGEJ.items())
        raise ValueError(
            f"{name}: a table of ImageJ does not say what was outlined. Pass {options}."
        )
    return best


def _translated(table: pd.DataFrame, dialect: str, scale: _Scale, name: str) -> pd.DataFrame:
    """Return the columns that a dialect knows, under our names and in µm."""
    meanings = DIALECTS[dialect]
    if dialect == "myeltracer":  # totals follow below the fibres
        number = next((c for c in table if _split(c)[0] == "number"), None)
        if number is not None:
            is_fibre = pd.to_numeric(table[number], errors="coerce").notna()
            table = table[is_fibre.astype(int).cumprod() == 1]
    found = {}
    for heading in map(str, table):
        plain, written = _split(heading)
        if plain in meanings:
            column, power = meanings[plain]
            values = _numbers(table[heading], name)
            found[column] = values * scale.factor(heading, written) ** power if power else values
    if not any(power for column, power in meanings.values() if column in found):
        raise ValueError(
            f"{name}: no length or area of {dialect} among the columns "
            f"{', '.join(map(repr, table))}. Expected some of "
            f"{', '.join(heading for heading, (_, power) in meanings.items() if power)}."
        )
    return pd.DataFrame(found).reset_index(drop=True)


def _split(heading: object) -> tuple[str, str | None]:
    """Return the name and the unit of a heading such as "Fibre Area (squared µm)"."""
    match = _HEADING.fullmatch(" ".join(str(heading).split()))
    assert match is not None
    return match["name"].lower(), match["unit"]


def _numbers(values: pd.Series[float], name: str) -> pd.Series[float]:
    """Return a column as numbers."""
    if values.dtype == object or pd.api.types.is_string_dtype(values):
        as_text = values.astype(str).replace({"True": "1", "False": "0"})
        numbers = pd.to_numeric(as_text, errors="coerce")
        wrong = values[numbers.isna() & values.notna()]
        if len(wrong):
            raise ValueError(
                f"{name}: {wrong.iloc[0]!r} in column {values.name!r} is no number. Remove it, or "
                "leave the cell empty."
            )
        values = numbers
    return values.astype(float)


def _told_by_ellipses(found: pd.DataFrame) -> pd.DataFrame:
    """Return a table of AxonDeepSeg with minor axes of ellipses called what they are."""
    if not {"axon_diameter_um", "axon_area_um2"} <= set(found):
        return found
    circle = _circle(found["axon_area_um2"])
    is_circle = np.isclose(found["axon_diameter_um"], circle, rtol=0.01, equal_nan=True)
    if is_circle.mean() > 0.5:
        return found
    names = {"axon_diameter_um": "axon_minor_axis_um", "g_ratio": "g_ratio_minor_axis"}
    return found.rename(columns=names).drop(columns="myelin_thickness_um", errors="ignore")


def _of(what: str, found: pd.DataFrame) -> pd.DataFrame:
    """Return measurements of outlines as those of axons or of fibres."""
    return found.rename(columns=lambda c: c if c.startswith("centroid") else f"{what}_{c}")


def _paired(found: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return fibres of which every two rows are axon and fibre; the larger one is the fibre."""
    if "area_um2" not in found or len(found) % 2:
        raise ValueError(
            f"{name}: {len(found)} rows with columns {', '.join(map(str, found))}; pairs need an "
            "even number of rows with an Area each. Measure the areas, and look for an outline "
            "without its partner."
        )
    areas = found["area_um2"].to_numpy().reshape(-1, 2)
    first = np.arange(0, len(found), 2)
    fibre = found.iloc[first + areas.argmax(1)].reset_index(drop=True)
    axon = found.iloc[first + areas.argmin(1)].reset_index(drop=True)
    place = ["centroid_y_um", "centroid_x_um"]
    if set(place) <= set(found):
        apart = np.hypot(*(axon[place] - fibre[place]).to_numpy().T)
        strangers = np.flatnonzero(apart > _circle(fibre["area_um2"]) / 2)
        if len(strangers):
            raise ValueError(
                f"{name}: rows {2 * strangers[0] + 1} and {2 * strangers[0] + 2} lie apart and are "
                "not the outlines of one fibre. An outline before them may lack its partner."
            )
    axon = axon.drop(columns=place, errors="ignore")
    return pd.concat([_of("fibre", fibre), _of("axon", axon)], axis="columns")


def _derived(found: pd.DataFrame) -> pd.DataFrame:
    """Return the table with what follows from its areas and diameters."""
    added = {}
    for what in ("axon", "inner", "fibre"):
        if f"{what}_area_um2" in found and f"{what}_diameter_um" not in found:
            added[f"{what}_diameter_um"] = _circle(found[f"{what}_area_um2"])
    found = found.assign(**added)
    if {"axon_diameter_um", "fibre_diameter_um"} <= set(found):
        axon, fibre = found["axon_diameter_um"], found["fibre_diameter_um"]
        if "g_ratio" not in found:
            found = found.assign(g_ratio=(axon / fibre).where(fibre > axon))
        if "myelin_thickness_um" not in found:
            found = found.assign(myelin_thickness_um=(fibre - axon) / 2)
    return found


def _circle(area: pd.Series[float]) -> pd.Series[float]:
    """Return the diameters of circles."""
    return (4 / np.pi * area) ** 0.5


def _sizes(found: pd.DataFrame) -> list[str]:
    """Return the columns that hold lengths and areas."""
    names = map(str, found)
    return [c for c in names if c.endswith(("_um", "_um2")) and "centroid" not in c]


def _check(found: pd.DataFrame, name: str) -> None:
    """Raise ValueError for lengths below 0, and for diameters that no axon has."""
    for column in _sizes(found):
        values = _numbers(found[column], name)
        if (values < 0).any() and column != "myelin_thickness_um":
            raise ValueError(f"{name}: {column} goes down to {values.min():g}, expected 0 or more.")
        low, high = PLAUSIBLE_UM
        middle = values[values > 0].median()
        if column.endswith(("_diameter_um", "_line_um")) and not low <= middle <= high:
            if np.isnan(middle):
                continue
            raise ValueError(
                f"{name}: half of {column} are above {middle:g} µm, expected {low:g} to {high:g}. "
                "Say in which unit the table is: unit='nm', or unit='px' with pixel_size=... (µm)."
            )


def _numbered(found: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table with `fibre_id` in front, as numbered in it or from 1."""
    if "touches_border" in found:  # where it is not known, better not to rely on it
        found["touches_border"] = found["touches_border"].fillna(True).astype(bool)
    ids = np.arange(1.0, len(found) + 1)
    if "fibre_id" in found:
        ids = _numbers(found.pop("fibre_id"), name).to_numpy()
        if not (ids == np.round(ids)).all():
            raise ValueError(
                f"{name}: some numbers of fibres are missing or fractions. Number all, or leave "
                "out that column."
            )
    found.insert(0, "fibre_id", ids.astype(int))
    return found
