"""One fibre: its measures against closed forms of ellipses, parallel curves and cylinders."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ellipe

from axonlab.cross_section import (
    G_RATIOS,
    FibreShape,
    by_angle,
    by_elongation,
    cut_fibre,
    diameters,
    draw_fibre,
    g_ratios,
)


def perimeter_of_ellipse(a, b):
    """Return the perimeter of an ellipse of half axes a >= b."""
    return 4 * a * ellipe(1 - (b / a) ** 2)


def test_a_circle_has_one_g_ratio():
    """All four definitions give d / (d + 2t)."""
    shape = FibreShape(axon_diameter=4, thickness=1)
    assert shape.round_g_ratio == pytest.approx(2 / 3)
    found = g_ratios(draw_fibre(shape).row)
    assert list(found.index) == list(G_RATIOS)
    assert found.to_numpy() == pytest.approx(2 / 3, abs=0.004)


@pytest.mark.parametrize("elongation", [1.5, 2.5, 4.0])
def test_an_ellipse_in_a_parallel_sheath(elongation):
    """Steiner: area A + Pt + pi t^2, perimeter P + 2 pi t, Feret w + 2t."""
    thickness = 0.8
    a, b = 2 * np.sqrt(elongation), 2 / np.sqrt(elongation)
    area, perimeter = np.pi * a * b, perimeter_of_ellipse(a, b)
    outer = area + perimeter * thickness + np.pi * thickness**2
    row = draw_fibre(FibreShape(thickness=thickness, elongation=elongation)).row
    assert row["axon_area_um2"] == pytest.approx(area, rel=0.005)
    assert row["fibre_area_um2"] == pytest.approx(outer, rel=0.005)
    found = g_ratios(row)
    assert found["area"] == pytest.approx(np.sqrt(area / outer), abs=0.004)
    assert found["smallest Feret"] == pytest.approx(b / (b + thickness), abs=0.01)
    by_perimeter = perimeter / (perimeter + 2 * np.pi * thickness)
    assert found["perimeter"] == pytest.approx(by_perimeter, abs=0.01)
    assert row["axon_minor_axis_um"] == pytest.approx(2 * b, rel=0.005)
    # moments of a parallel curve: numerically, from its own outline
    assert found["minor axis"] == pytest.approx(_minor_axis_ratio(a, b, thickness), abs=0.004)


def _minor_axis_ratio(a, b, thickness):
    angle = np.linspace(0, 2 * np.pi, 20_001)
    x, y = a * np.cos(angle), b * np.sin(angle)
    length = np.hypot(b * np.cos(angle), a * np.sin(angle))
    x, y = x + thickness * b * np.cos(angle) / length, y + thickness * a * np.sin(angle) / length
    cross = x[:-1] * y[1:] - x[1:] * y[:-1]
    area = cross.sum() / 2
    second = ((y[:-1] ** 2 + y[:-1] * y[1:] + y[1:] ** 2) * cross).sum() / 12 / area
    return 2 * b / (4 * np.sqrt(second))


@settings(max_examples=15)
@given(st.floats(1, 4), st.floats(0, 0.8), st.floats(0, 0.2))
def test_the_area_of_the_axon_stays(elongation, bend, irregularity):
    """Neither elongation nor bend nor bulges change it, by the shoelace formula or in pixels."""
    shape = FibreShape(elongation=elongation, bend=bend, irregularity=irregularity)
    x, y = shape.axon_outline().T
    area = 0.5 * np.abs(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    assert area == pytest.approx(np.pi * 4, rel=1e-3)
    assert draw_fibre(shape).row["axon_area_um2"] == pytest.approx(np.pi * 4, rel=0.01)


def test_off_centre_changes_no_g_ratio():
    """Where the axon lies in its sheath is seen in the thinnest place, and in no definition."""
    shapes = [FibreShape(elongation=2, bend=0.3, off_centre=share) for share in (0, 0.9)]
    centred, aside = (draw_fibre(shape).row for shape in shapes)
    assert g_ratios(aside).to_numpy() == pytest.approx(g_ratios(centred).to_numpy(), abs=1e-9)
    assert abs(aside["axon_centroid_y_um"] - aside["centroid_y_um"]) > 0.8
    assert shapes[1].sheath == pytest.approx((0.1, 1.9))


def test_definitions_part_for_bulges():
    """A wavy outline is longer, at the same area."""
    found = g_ratios(draw_fibre(FibreShape(irregularity=0.2)).row)
    assert found["perimeter"] > found["area"] + 0.05


@pytest.mark.parametrize("definition", G_RATIOS)
def test_what_a_definition_puts_in_place_has_its_measure(definition):
    """Circles and ellipses have the area or perimeter, lines the distance, that is measured."""
    section = draw_fibre(FibreShape(elongation=2, bend=0.4, off_centre=0.5))
    lines = section.equivalent("fibre", definition)
    wanted = diameters(section.row, "fibre")[definition]
    if definition == "smallest Feret":
        (first, other) = lines
        along = (first[1] - first[0]) / np.linalg.norm(first[1] - first[0])
        between = other[0] - first[0]
        distance = abs(along[0] * between[1] - along[1] * between[0])
        assert distance == pytest.approx(wanted, rel=0.02)
    else:
        [line] = lines
        assert np.hypot(*(line - line[:-1].mean(0)).T).min() == pytest.approx(wanted / 2, rel=0.01)
        outline = section.outline("fibre")
        assert np.abs(line.mean(0) - outline.mean(0)).max() < 0.5


@pytest.mark.parametrize("angle", [0, 30, 60])
def test_an_oblique_cut_through_a_surface(angle):
    """Minor axis and Feret keep the diameter, area has it over sqrt(cos), all keep g."""
    row = cut_fibre(2.0, 0.7, angle=angle, pixel_size=0.02).row
    found, long = diameters(row), 1 / np.cos(np.radians(angle))
    assert found["area"] == pytest.approx(2 * np.sqrt(long), rel=0.01)
    assert found["minor axis"] == pytest.approx(2, rel=0.01)
    assert found["smallest Feret"] == pytest.approx(2, rel=0.02)
    assert found["perimeter"] == pytest.approx(perimeter_of_ellipse(long, 1) / np.pi, rel=0.02)
    assert g_ratios(row).to_numpy() == pytest.approx(0.7, abs=0.012)


def test_a_thick_section_adds_myelin():
    """Fibre: the union of ellipses between; axon: the lens that the outer two have in common."""
    angle, section = 50, 0.6
    shift, long = section * np.tan(np.radians(angle)), 1 / np.cos(np.radians(angle))
    row = cut_fibre(2.0, 0.7, angle=angle, section=section, pixel_size=0.02).row
    outer = 1 / 0.7
    union = np.pi * outer**2 * long + 2 * outer * shift
    half = shift / 2 / long  # of circles, after the ellipse is pressed into one
    lens = long * (2 * np.arccos(half) - 2 * half * np.sqrt(1 - half**2))
    assert row["fibre_area_um2"] == pytest.approx(union, rel=0.005)
    assert row["axon_area_um2"] == pytest.approx(lens, rel=0.005)


def test_tables():
    """One row per elongation or angle, one column per definition."""
    table = by_elongation(FibreShape(), [1, 3], pixel_size=0.06)
    assert list(table.index) == [1, 3] and list(table) == list(G_RATIOS)
    assert np.ptp(table.loc[1]) < 0.02 < np.ptp(table.loc[3])
    cuts = by_angle([0, 60], pixel_size=0.06)
    assert cuts["diameter"].loc[60, "area"] == pytest.approx(np.sqrt(2), rel=0.03)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"elongation": 0.5}, "elongation is 0.5, expected 1 or more"),
        ({"thickness": 0}, "thickness is 0, expected more than 0 µm"),
        ({"off_centre": 1}, "off_centre is 1"),
        ({"bend": -1}, "bend is -1"),
        ({"irregularity": 0.9}, "irregularity is 0.9"),
    ],
)
def test_shapes_that_cannot_be(wrong, told):
    """What is out of range is told, with what was expected."""
    with pytest.raises(ValueError, match=told):
        FibreShape(**wrong)
    with pytest.raises(ValueError, match="angle is 90, expected 0 to 80 degrees"):
        cut_fibre(angle=90)
