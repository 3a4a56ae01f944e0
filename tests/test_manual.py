"""Measurements of other programs: the same fibres, whoever measured them and in what unit."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonlab import io, phantom
from axonlab.agreement import compare, join, match_by_position
from axonlab.manual import read_measurements
from axonlab.measure import measure_fibres

SIZE = 0.1

AXONDEEPSEG = (
    ",x0 (px),y0 (px),gratio,axon_area (um^2),axon_perimeter (um),myelin_area (um^2),"
    "axon_diam (um),myelin_thickness (um),axonmyelin_area (um^2),axonmyelin_perimeter (um),"
    "solidity,eccentricity,orientation,image_border_touching\n"
    "0,20.0,10.0,0.5,3.14159265,6.4,9.42477796,2.0,1.0,12.5663706,12.9,0.98,0.3,1.2,False\n"
    "1,50.0,40.0,,0.78539816,3.2,,1.0,,,,0.97,0.5,0.1,True\n"
)
MYELTRACER = (
    "Number,Axon Diameter,Inner Diameter,Outer Diameter,g-ratio,\n"
    "1,2.0,2.2,4.0,0.55,\n2,1.0,1.0,1.25,0.8,\n3,0.7,,,,\n"
    "\nComplete,Incomplete,Unmyelinated Axons,Percent Myelinated\n2,1,4,33.33%\n"
)
AIMSEG = (
    " \tLabel\tAxon Area (squared {unit})\tInner Region Area (squared {unit})\t"
    "Fibre Area (squared {unit})\tAxon Diameter ({unit})\tInner Region Diameter ({unit})\t"
    "Fibre Diameter ({unit})\tMyelin g-ratio\tAxon g-ratio\tEdge\n"
    "1\t001\t3.14159265\t3.8013\t12.5663706\t2.0\t2.2\t4.0\t0.55\t0.5\t0\n"
    "2\t004\t0\t0.8\t1.2\t0\t1.0\t1.25\t0.8\t0\t1\n"
)
IMAGEJ = (
    " \tLabel\tArea\tMean\tX\tY\tPerim.\tMajor\tMinor\tAngle\tCirc.\tMinFeret\tSolidity\n"
    "1\ta.tif\t12.566371\t99\t2.0\t1.0\t12.9\t4.1\t3.9\t10\t0.95\t3.8\t0.99\n"
    "2\ta.tif\t3.1415927\t99\t2.1\t1.1\t6.4\t2.1\t1.9\t10\t0.95\t1.8\t0.98\n"
    "3\ta.tif\t0.7853982\t99\t5.0\t4.0\t3.2\t1.1\t0.9\t10\t0.95\t0.8\t0.97\n"
    "4\ta.tif\t1.2271846\t99\t5.0\t4.1\t4.0\t1.3\t1.2\t10\t0.95\t1.1\t0.98\n"
)


def test_axondeepseg() -> None:
    """Positions in pixels and areas in um^2 become ours; an axon without myelin has no g."""
    table = read_measurements(AXONDEEPSEG, pixel_size=SIZE)
    assert table["fibre_id"].tolist() == [1, 2]
    first = table.iloc[0]
    assert first[["centroid_y_um", "centroid_x_um"]].tolist() == [1, 2]
    assert first["axon_diameter_um"] == 2
    assert first["fibre_diameter_um"] == pytest.approx(4)
    assert first["axon_solidity"] == 0.98
    assert table["touches_border"].tolist() == [False, True]
    assert table.loc[1, ["g_ratio", "myelin_thickness_um", "fibre_diameter_um"]].isna().all()


def test_axondeepseg_by_ellipses() -> None:
    """Diameters that are no circle's are minor axes; those of circles follow from the areas."""
    text = AXONDEEPSEG.replace(",2.0,1.0,12.56", ",1.5,1.2,12.56").replace(",1.0,,,,", ",0.8,,,,")
    first = read_measurements(text, pixel_size=SIZE).iloc[0]
    assert first["axon_minor_axis_um"] == 1.5
    assert first["g_ratio_minor_axis"] == 0.5
    assert first["axon_diameter_um"] == pytest.approx(2)
    assert first["myelin_thickness_um"] == pytest.approx(1)
    assert first["g_ratio"] == pytest.approx(0.5)


@pytest.mark.parametrize(("unit", "pixel_size", "factor"), [("um", None, 1), ("px", SIZE, SIZE)])
def test_myeltracer(unit: str, pixel_size: float | None, factor: float) -> None:
    """Its g is that of the inner edge of the myelin; totals below the fibres are no fibres."""
    table = read_measurements(MYELTRACER, unit=unit, pixel_size=pixel_size)
    assert table["fibre_id"].tolist() == [1, 2, 3]
    assert table["axon_diameter_um"].to_numpy() == pytest.approx(np.array([2, 1, 0.7]) * factor)
    assert table["fibre_diameter_um"][:2].to_numpy() == pytest.approx(np.array([4, 1.25]) * factor)
    assert table["g_ratio_inner"][:2].tolist() == [0.55, 0.8]
    assert table["g_ratio"][:2].tolist() == [0.5, 0.8]
    assert table.loc[2, ["g_ratio", "g_ratio_inner"]].isna().all()


@pytest.mark.parametrize(
    ("unit", "pixel_size", "factor"),
    [("micron", None, 1), ("µm", None, 1), ("\u03bcm", None, 1), ("pixel", SIZE, SIZE)],
)
def test_aimseg(unit: str, pixel_size: float | None, factor: float) -> None:
    """The unit is in its headings; 0 means that there is no such outline."""
    table = read_measurements(AIMSEG.format(unit=unit), pixel_size=pixel_size)
    assert table["fibre_id"].tolist() == [1, 4]
    assert table["fibre_diameter_um"].to_numpy() == pytest.approx(np.array([4, 1.25]) * factor)
    assert table["inner_area_um2"].to_numpy() == pytest.approx(np.array([3.8013, 0.8]) * factor**2)
    assert table.loc[0, ["g_ratio", "g_ratio_inner"]].tolist() == [0.5, 0.55]
    assert table.loc[1, ["axon_diameter_um", "axon_area_um2", "myelin_thickness_um"]].isna().all()
    assert table["touches_border"].tolist() == [False, True]


def test_imagej_pairs() -> None:
    """Of two rows the larger outline is the fibre, in whatever order they were drawn."""
    table = read_measurements(IMAGEJ, unit="um", dialect="imagej pairs")
    assert table["fibre_id"].tolist() == [1, 2]
    assert table["g_ratio"].to_numpy() == pytest.approx([0.5, 0.8], rel=1e-6)
    assert table["centroid_y_um"].tolist() == [1.0, 4.1]
    assert table["axon_minor_axis_um"].tolist() == [1.9, 0.9]
    assert table["fibre_min_feret_um"].tolist() == [3.8, 1.1]
    assert not any("Mean" in column for column in table)


@pytest.mark.parametrize("what", ["axon", "fibre"])
def test_imagej_outlines_and_lines(what: str) -> None:
    """All rows are axons, or fibres; a straight line has a length alone, in pixels here."""
    table = read_measurements(IMAGEJ, unit="um", dialect=f"imagej {what}s")
    assert len(table) == 4
    assert table[f"{what}_diameter_um"].iloc[1] == pytest.approx(2)
    assert table[f"{what}_perimeter_um"].iloc[2] == 3.2
    lines = read_measurements(
        " ,Area,Angle,Length\n1,0,10,20\n2,0,0,30",
        unit="px",
        pixel_size=SIZE,
        dialect=f"imagej {what}s",
    )
    assert lines[f"{what}_line_um"].tolist() == [2, 3]
    assert lines[f"{what}_diameter_um"].isna().all()


def test_a_list_of_ones_own() -> None:
    """Headings named as ours are taken as they are, with whatever stands beside them."""
    table = read_measurements("who;axon_diameter_um;fibre_diameter_um\nme;1,5;2,5\nme;2;4")
    assert list(table) == [
        "fibre_id",
        "who",
        "axon_diameter_um",
        "fibre_diameter_um",
        "g_ratio",
        "myelin_thickness_um",
    ]
    assert table["g_ratio"].tolist() == [0.6, 0.5]


# --- the fibres of a phantom, as each program would tell of them


@pytest.fixture(scope="module")
def ours() -> pd.DataFrame:
    """Return the measured fibres of a phantom."""
    nerve = phantom.nerve((300, 400), modality="sem", seed=7)
    table = measure_fibres(nerve.axons, nerve.fibres, pixel_size=SIZE)
    return table[table["is_myelinated"]]


def as_axondeepseg(table: pd.DataFrame) -> str:
    """Write a table as AxonDeepSeg does."""
    return pd.DataFrame(
        {
            "x0 (px)": table["centroid_x_um"] / SIZE,
            "y0 (px)": table["centroid_y_um"] / SIZE,
            "gratio": table["g_ratio"],
            "axon_area (um^2)": table["axon_area_um2"],
            "axon_diam (um)": table["axon_diameter_um"],
            "myelin_thickness (um)": table["myelin_thickness_um"],
            "axonmyelin_area (um^2)": table["fibre_area_um2"],
        }
    ).to_csv()


def as_imagej(table: pd.DataFrame) -> str:
    """Write a table as ImageJ does for outlines of fibre and axon in turn, in nm."""
    rows = [
        {
            "Area": row[f"{what}_area_um2"] * 1e6,
            "X": row["centroid_x_um"] * 1e3,
            "Y": row["centroid_y_um"] * 1e3,
        }
        for _, row in table.iterrows()
        for what in ("fibre", "axon")
    ]
    return pd.DataFrame(rows).to_csv(sep="\t")


@pytest.mark.parametrize("program", ["axondeepseg", "imagej", "axonlab"])
def test_programs_agree(program: str, ours: pd.DataFrame, tmp_path: Path) -> None:
    """The same fibres, told by three programs, are matched by position and agree in everything."""
    if program == "axonlab":
        path = io.write_table(tmp_path / "fibres.csv", ours)
        manual = read_measurements(path)
        pd.testing.assert_frame_equal(manual, ours.reset_index(drop=True), check_dtype=False)
    elif program == "imagej":
        manual = read_measurements(as_imagej(ours), unit="nm", dialect="imagej pairs")
    else:
        manual = read_measurements(as_axondeepseg(ours), pixel_size=SIZE)
    shuffled = manual.sample(frac=1, random_state=0)
    pairs = match_by_position(ours, shuffled, max_distance_um=0.2)
    assert len(pairs) == len(ours) > 20
    table = compare(join(ours, shuffled, pairs))
    assert (table["bias"].abs() < 1e-9).all()
    assert table["icc"].to_numpy() == pytest.approx(1)


def test_excel_and_parquet(ours: pd.DataFrame, tmp_path: Path) -> None:
    """AxonDeepSeg's Excel files are read like its CSV."""
    pytest.importorskip("openpyxl")
    text = as_axondeepseg(ours)
    path = tmp_path / "image_axon_morphometrics.xlsx"
    pd.read_csv(StringIO(text)).to_excel(path, index=False)
    found, expected = (read_measurements(what, pixel_size=SIZE) for what in (path, text))
    pd.testing.assert_frame_equal(found, expected)


@given(st.floats(0.01, 0.5), st.lists(st.floats(10, 100), min_size=1, max_size=9))
def test_the_pixel_size_scales(pixel_size: float, diameters: list[float]) -> None:
    """Lengths in pixels scale with the pixel size, and g does not."""
    lines = [f"{i},{d!r},{1.5 * d!r}" for i, d in enumerate(diameters, 1)]
    text = "\n".join(["Number,Axon Diameter,Outer Diameter", *lines])
    table = read_measurements(text, unit="px", pixel_size=pixel_size)
    expected = np.array(diameters) * pixel_size
    assert table["axon_diameter_um"].to_numpy() == pytest.approx(expected)
    assert table["g_ratio"].to_numpy() == pytest.approx(1 / 1.5)


# --- what cannot be understood


ERRORS = {
    "no unit": (MYELTRACER, {}, "'Axon Diameter' names no unit. Pass unit='um'"),
    "pixels of unknown size": (AXONDEEPSEG, {}, r"'x0 \(px\)' is in pixels. Pass pixel_size"),
    "px without pixel size": (MYELTRACER, {"unit": "px"}, "is in pixels. Pass pixel_size"),
    "absurd pixel size": (AXONDEEPSEG, {"pixel_size": -1}, "outside 0.001 to 100"),
    "another unit": (AIMSEG.format(unit="inch"), {}, "is in 'squared inch', known are nm, um"),
    "another unit told": (MYELTRACER, {"unit": "feet"}, "is in 'feet'"),
    "nm taken for um": (
        MYELTRACER.replace(".", "").replace("1,20,", "1,20000,").replace("2,10,", "2,9000,"),
        {"unit": "um"},
        "expected 0.02 to 500. Say in which unit",
    ),
    "mm taken for um": (
        "axon_diameter_um\n0.002\n0.003",
        {},
        "pasted text: half of axon_diameter_um are above 0.0025 µm",
    ),
    "unknown columns": ("a,b\n1,2", {}, "none of the columns 'a', 'b' is known. Name them as"),
    "only numbers of fibres": ("Number\n1", {"unit": "um"}, "no length or area of myeltracer"),
    "another dialect": (MYELTRACER, {"dialect": "matlab"}, "dialect is 'matlab', expected one of"),
    "the wrong dialect": (MYELTRACER, {"dialect": "axondeepseg"}, "no length or area of axondeeps"),
    "imagej, of what": (IMAGEJ, {"unit": "um"}, "Pass dialect='imagej axons' if each row is an"),
    "half a pair": (
        IMAGEJ[: IMAGEJ.index("4\ta")],
        {"unit": "um", "dialect": "imagej pairs"},
        "3 rows with columns .*; pairs need an even number",
    ),
    "pairs out of step": (
        IMAGEJ.replace("5.0\t4.1", "9.0\t9.0"),
        {"unit": "um", "dialect": "imagej pairs"},
        "rows 3 and 4 lie apart",
    ),
    "text among numbers": (
        MYELTRACER.replace("1,2.0,", "1,two,"),
        {"unit": "um"},
        "'two' in column 'Axon Diameter' is no number",
    ),
    "below 0": ("axon_diameter_um\n-1\n2", {}, "goes down to -1"),
    "numbers in fractions": ("fibre_id,axon_diameter_um\n1.5,2", {}, "missing or fractions"),
}


@pytest.mark.parametrize(("text", "told", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_errors(text: str, told: dict[str, object], message: str) -> None:
    """What is missing is asked for, and nothing is guessed."""
    with pytest.raises(ValueError, match=message):
        read_measurements(text, **told)  # type: ignore[arg-type]


def test_a_file_that_is_not_there() -> None:
    """One line of text is a path."""
    with pytest.raises(FileNotFoundError, match=r"manual\.csv"):
        read_measurements("manual.csv")
