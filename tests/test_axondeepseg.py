"""AxonDeepSeg's table: its names and order, and numbers by its definitions."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from skimage.measure import regionprops

from axonlab import phantom
from axonlab.axondeepseg import to_axondeepseg
from axonlab.manual import read_measurements
from axonlab.measure import measure_fibres

COLUMNS = [
    "x0 (px)",
    "y0 (px)",
    "gratio",
    "axon_area (um^2)",
    "axon_perimeter (um)",
    "myelin_area (um^2)",
    "axon_diam (um)",
    "myelin_thickness (um)",
    "axonmyelin_area (um^2)",
    "axonmyelin_perimeter (um)",
    "solidity",
    "eccentricity",
    "orientation",
    "image_border_touching",
    "bbox_min_y",
    "bbox_min_x",
    "bbox_max_y",
    "bbox_max_x",
]
"""As its file of parameters orders them; those behind the tenth as they are computed."""


def measured(seed: int) -> tuple[phantom.Phantom, pd.DataFrame]:
    """Return a phantom and its fibres in AxonDeepSeg's columns."""
    one = phantom.nerve((600, 700), seed=seed)
    size = one.micrograph.pixel_size
    return one, to_axondeepseg(
        measure_fibres(one.axons, one.fibres, pixel_size=size), pixel_size=size
    )


def test_columns() -> None:
    """Names, order and kinds of the columns are those of its files."""
    _, table = measured(0)
    assert list(table) == COLUMNS
    assert table["image_border_touching"].dtype == bool
    assert (table.filter(like="bbox").dtypes == np.int64).all()
    text = io.StringIO(table.to_csv())
    pd.testing.assert_frame_equal(pd.read_csv(text, index_col=0), table)


def test_definitions() -> None:
    """Its formulas on scikit-image's regions give the same numbers, the two hulls nearly so."""
    one, table = measured(1)
    size = one.micrograph.pixel_size
    axons, fibres = regionprops(one.axons), {r.label: r for r in regionprops(one.fibres)}
    assert len(table) == len(axons)
    for axon, (_, row) in zip(axons, table.iterrows(), strict=True):
        fibre = fibres[axon.label]
        y, x = axon.centroid
        diameter = axon.equivalent_diameter_area * size
        thickness = size * (fibre.equivalent_diameter_area - axon.equivalent_diameter_area) / 2
        assert (row["x0 (px)"], row["y0 (px)"]) == pytest.approx((x, y))
        assert row["axon_diam (um)"] == pytest.approx(diameter)
        assert row["axon_area (um^2)"] == pytest.approx(axon.area * size**2)
        assert row["axonmyelin_area (um^2)"] == pytest.approx(fibre.area * size**2)
        assert row["myelin_area (um^2)"] == pytest.approx((fibre.area - axon.area) * size**2)
        assert row["myelin_thickness (um)"] == pytest.approx(thickness)
        if thickness:
            assert row["gratio"] == pytest.approx(diameter / 2 / (diameter / 2 + thickness))
        else:
            assert np.isnan(row["gratio"])
        box = row[["bbox_min_y", "bbox_min_x", "bbox_max_y", "bbox_max_x"]]
        assert tuple(box) == fibre.bbox
        touches = 0 in fibre.bbox[:2] or fibre.bbox[2] == 600 or fibre.bbox[3] == 700
        assert row["image_border_touching"] == touches
        away = (row["orientation"] - axon.orientation) % np.pi
        assert np.isnan(row["orientation"]) or min(away, np.pi - away) < 1e-6
        assert row["eccentricity"] == pytest.approx(axon.eccentricity, abs=0.05)
        assert row["solidity"] >= axon.solidity
        if axon.area > 100:  # what is smaller has neither hull nor outline to speak of
            assert row["solidity"] <= axon.solidity + 0.12
            assert row["axon_perimeter (um)"] == pytest.approx(axon.perimeter * size, rel=0.1)


def test_a_fibre_without_axon_has_no_row() -> None:
    """There is a row for every axon, and none for myelin without one."""
    fibres = np.kron(np.array([[1, 0, 2]], np.int32), np.ones((9, 9), np.int32))
    axons = np.where(fibres == 2, fibres, 0)
    table = measure_fibres(axons, fibres, pixel_size=0.1)
    assert to_axondeepseg(table, pixel_size=0.1)["x0 (px)"].tolist() == pytest.approx([22])
    assert list(to_axondeepseg(table[:0], pixel_size=0.1)) == COLUMNS


def test_bad_input() -> None:
    """Other tables, ids twice and absurd pixel sizes are refused."""
    one = np.ones((3, 3), int)
    table = measure_fibres(one, one, pixel_size=0.1)
    with pytest.raises(ValueError, match=r"lacks the columns \['axon_solidity'\]"):
        to_axondeepseg(table.drop(columns="axon_solidity"), pixel_size=0.1)
    with pytest.raises(ValueError, match=r"twice \(ids \[1\]"):
        to_axondeepseg(pd.concat([table, table]), pixel_size=0.1)
    with pytest.raises(ValueError, match="outside"):
        to_axondeepseg(table, pixel_size=-0.1)


def test_what_is_written_is_read_again() -> None:
    """A table in AxonDeepSeg's columns is understood by the reader of manual measurements."""
    one = phantom.nerve((200, 200), seed=5)
    fibres = measure_fibres(one.axons, one.fibres, pixel_size=0.1)
    fibres = fibres[fibres["is_myelinated"]]  # of the others both say so in their own ways
    theirs = to_axondeepseg(fibres, pixel_size=0.1)
    again = read_measurements(theirs.to_csv(), pixel_size=0.1)
    for column in ("axon_area_um2", "axon_diameter_um", "myelin_thickness_um", "fibre_area_um2"):
        np.testing.assert_allclose(again[column], fibres[column], rtol=1e-6)
