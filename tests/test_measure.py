"""Measurements: every number against brute force, closed forms and the literature's formulas."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage, special
from skimage.measure import perimeter_crofton, regionprops

from axonlab import phantom, runs
from axonlab.measure import Parts, measure_fibres, merge_sums, object_sums, tabulate
from axonlab.omezarr import tiles as tiles_of

PLACES = ["centroid_y_um", "centroid_x_um", "axon_centroid_y_um", "axon_centroid_x_um"]
LENGTHS = [
    "axon_diameter_um",
    "fibre_diameter_um",
    "myelin_thickness_um",
    "axon_minor_axis_um",
    "axon_major_axis_um",
    "fibre_minor_axis_um",
    "fibre_major_axis_um",
    "axon_perimeter_um",
    "fibre_perimeter_um",
    "axon_min_feret_um",
    "fibre_min_feret_um",
    "neighbour_distance_um",
]
AREAS = ["axon_area_um2", "fibre_area_um2", "myelin_area_um2"]
RATIOS = ["g_ratio", "g_ratio_minor_axis", "g_ratio_perimeter", "g_ratio_min_feret"]
SHAPES = [
    f"{name}_{shape}"
    for name in ("axon", "fibre")
    for shape in ("eccentricity", "circularity", "solidity")
]
ANGLES = ["axon_orientation_deg", "fibre_orientation_deg"]
BOX = ["top_px", "left_px", "bottom_px", "right_px"]
FLAGS = ["is_myelinated", "touches_border", "in_counting_frame"]

Mask = NDArray[np.bool_]
Objects = NDArray[np.int32]
Draw = Callable[[tuple[int, int], tuple[float, float], float], Mask]


@st.composite
def objects(draw: st.DrawFn) -> tuple[Objects, Objects]:
    """Draw fibres of any shape, in any number of pieces, and axons within some of them."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    fibres = draw(arrays(np.int32, shape, elements=st.sampled_from([0, 0, 1, 2, 7, 10**9])))
    inside = draw(arrays(np.bool_, shape))
    return np.where(inside, fibres, 0), fibres


# --- brute force


def crossings(mask: Mask) -> tuple[int, int]:
    """Count by walking along every row and column, and along every diagonal."""
    padded = np.pad(mask, 2).astype(int)
    straight = np.abs(np.diff(padded, axis=0)).sum() + np.abs(np.diff(padded, axis=1)).sum()
    diagonal = 0
    for array in (padded, padded[::-1]):
        for k in range(-len(array) + 1, array.shape[1]):
            diagonal += np.abs(np.diff(np.diagonal(array, k))).sum()
    return int(straight), int(diagonal)


def perimeter(mask: Mask) -> float:
    """Integrate crossings over four directions: half the sum of count, spacing and angle."""
    straight, diagonal = crossings(mask)
    return 0.5 * (straight * 1 + diagonal / np.sqrt(2)) * np.pi / 4


def ellipse_of(mask: Mask) -> dict[str, float]:
    """Return the ellipse with the second moments of unit squares."""
    y, x = np.nonzero(mask)
    moments = np.cov(np.stack([-y, x]), bias=True) + np.eye(2) / 12
    (minor, major), vectors = np.linalg.eigh(moments)
    up, right = vectors[:, 1]
    is_round = np.isclose(minor, major)
    return {
        "minor_axis_um": 4 * np.sqrt(minor),
        "major_axis_um": 4 * np.sqrt(major),
        "eccentricity": np.sqrt(1 - minor / major),
        "orientation_deg": np.nan if is_round else np.degrees(np.arctan2(up, right)) % 180,
    }


def convex_area(mask: Mask) -> int:
    """Count the pixels that see pixels of the object all around, without a gap of over 180°."""
    inside = np.argwhere(mask)
    n = 0
    for point in np.ndindex(mask.shape):
        angles = np.sort(np.arctan2(*(inside - point).T))
        gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
        n += mask[point] or gaps.max() <= np.pi + 1e-9
    return n


def min_feret(mask: Mask) -> float:
    """Return the smallest shadow of the corners of the pixels, in every direction they have."""
    corners = np.argwhere(ndimage.binary_dilation(np.pad(mask, 1), np.ones((2, 2)), origin=-1))
    reach = np.arange(-max(mask.shape), max(mask.shape) + 1)
    directions = np.array([d for d in product(reach, reach) if any(d)])
    shadows = np.ptp(corners @ directions.T, axis=0) / np.hypot(*directions.T)
    return float(shadows.min())


def slow_columns(mask: Mask) -> dict[str, float]:
    """Measure one object at 1 µm a pixel."""
    area, length = int(mask.sum()), perimeter(mask)
    return ellipse_of(mask) | {
        "perimeter_um": length,
        "circularity": 4 * np.pi * area / length**2,
        "min_feret_um": min_feret(mask),
        "solidity": area / convex_area(mask),
    }


def slow_row(axon: Mask, fibre: Mask) -> dict[str, Any]:
    """Measure one fibre at 1 µm a pixel."""
    row: dict[str, Any] = {}
    for name, mask in (("axon", axon), ("fibre", fibre)):
        row[f"{name}_area_um2"] = float(mask.sum())
        row[f"{name}_diameter_um"] = 2 * np.sqrt(mask.sum() / np.pi)
        columns = slow_columns(mask) if mask.any() else dict.fromkeys(slow_columns(fibre), np.nan)
        row |= {f"{name}_{column}": value for column, value in columns.items()}
        prefix = "axon_" if name == "axon" else ""
        centroid = np.argwhere(mask).mean(0) if mask.any() else (np.nan, np.nan)
        row[f"{prefix}centroid_y_um"], row[f"{prefix}centroid_x_um"] = centroid
    row["myelin_area_um2"] = float((fibre & ~axon).sum())
    row["myelin_thickness_um"] = (row["fibre_diameter_um"] - row["axon_diameter_um"]) / 2
    myelinated = bool(axon.any() and (fibre & ~axon).any())
    row["is_myelinated"] = myelinated
    quantities = ("diameter", "minor_axis", "perimeter", "min_feret")
    for name, quantity in zip(RATIOS, quantities, strict=True):
        ratio = row[f"axon_{quantity}_um"] / row[f"fibre_{quantity}_um"]
        row[name] = ratio if myelinated else np.nan
    edges = (fibre[0], fibre[:, 0], fibre[-1], fibre[:, -1])
    row["touches_border"] = any(edge.any() for edge in edges)
    row["in_counting_frame"] = bool(axon.any()) and not (axon[0].any() or axon[:, 0].any())
    (rows, columns) = ndimage.find_objects(fibre.astype(int))[0]
    box = (rows.start, columns.start, rows.stop, columns.stop)
    return row | dict(zip(BOX, box, strict=True))


@settings(max_examples=60)
@given(pair=objects(), strip=st.sampled_from([1, 7, 30, 1 << 20]))
def test_every_column_against_brute_force(pair: tuple[Objects, Objects], strip: int) -> None:
    """Every measurement of every object is that of its pixels, however the image is read."""
    axons, fibres = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "STRIP_PIXELS", strip)
        table = measure_fibres(axons, fibres, pixel_size=1)
    ids = np.unique(fibres[fibres > 0])
    assert table["fibre_id"].tolist() == ids.tolist()
    for i, (_, found) in zip(ids, table.iterrows(), strict=True):
        wanted = slow_row(axons == i, fibres == i)
        assert set(wanted) == set(table.columns) - {"fibre_id", "neighbour_distance_um"}
        for column, value in wanted.items():
            assert found[column] == close(column, value), column
    centres = table[["centroid_y_um", "centroid_x_um"]].to_numpy()
    for place, distance in zip(centres, table["neighbour_distance_um"], strict=True):
        others = np.delete(
            np.hypot(*(centres - place).T), np.where((centres == place).all(1))[0][:1]
        )
        assert distance == pytest.approx(
            others.min(initial=np.inf) if len(others) else np.nan, nan_ok=True
        )


def close(column: str, value: float) -> Any:
    """Return what a measurement must be like; of angles, 180° is 0°."""
    if column in ANGLES and value > 180 - 1e-6:
        value -= 180
    return pytest.approx(value, rel=1e-9, abs=1e-6 if column in ANGLES else 1e-9, nan_ok=True)


@settings(max_examples=60)
@given(objects())
def test_sums_against_brute_force(pair: tuple[Objects, Objects]) -> None:
    """Sums, crossings and bounding boxes are counted right."""
    sums = object_sums(pair[1])
    for i in np.unique(pair[1][pair[1] > 0]):
        mask = pair[1] == i
        y, x = np.nonzero(mask)
        straight, diagonal = crossings(mask)
        assert sums.loc[i].to_dict() == {
            "area": len(y),
            "y": y.sum(),
            "x": x.sum(),
            "yy": (y * y).sum(),
            "xy": (x * y).sum(),
            "xx": (x * x).sum(),
            "crossings_straight": straight,
            "crossings_diagonal": diagonal,
            "top": y.min(),
            "left": x.min(),
            "bottom": y.max(),
            "right": x.max(),
        }


@settings(max_examples=40)
@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_scikit_image_agrees(mask: Mask) -> None:
    """Perimeters are those of scikit-image; its axes take pixels for points, ours for squares."""
    if not mask.any():
        mask[0, 0] = True
    row = measure_fibres(mask.astype(int), mask.astype(int), pixel_size=1).iloc[0]
    padded = np.pad(mask, 1)
    assert row["fibre_perimeter_um"] == pytest.approx(perimeter_crofton(padded, directions=4))
    region = regionprops(padded.astype(int))[0]
    for ours, theirs in (("minor", region.axis_minor_length), ("major", region.axis_major_length)):
        of_squares = np.sqrt(theirs**2 + 16 / 12)
        assert row[f"fibre_{ours}_axis_um"] == pytest.approx(of_squares, abs=1e-6)
    assert row["fibre_diameter_um"] == pytest.approx(region.equivalent_diameter_area)


@settings(max_examples=60)
@given(pair=objects(), data=st.data())
def test_tiles_change_nothing(pair: tuple[Objects, Objects], data: st.DataObject) -> None:
    """The sums of four tiles, less those of what they share, are those of the image."""
    image = pair[1]
    y, x = (data.draw(st.integers(0, n - 1)) for n in image.shape)

    def sums(rows: slice, columns: slice) -> pd.DataFrame:
        return object_sums(image[rows, columns], origin=(rows.start, columns.start))

    def both(at: int, length: int) -> tuple[slice, slice]:
        return slice(0, at + 1), slice(at, length)

    rows, columns = both(y, image.shape[0]), both(x, image.shape[1])
    tiles = [sums(*tile) for tile in product(rows, columns)]
    seam_y, seam_x = slice(y, y + 1), slice(x, x + 1)
    shared = [sums(seam_y, c) for c in columns] + [sums(r, seam_x) for r in rows]
    merged = merge_sums([*tiles, sums(seam_y, seam_x)], shared)
    pd.testing.assert_frame_equal(merged, object_sums(image), check_dtype=False)


@settings(max_examples=25)
@given(pair=objects(), tile=st.integers(1, 7))
def test_table_of_tiles(pair: tuple[Objects, Objects], tile: int) -> None:
    """Measured in tiles, fibres have the very same table as in one piece."""
    joined = []
    for image in pair:
        parts = []
        for rows, columns in tiles_of(image.shape, tile):
            shape = rows.stop - rows.start, columns.stop - columns.start
            window = image[rows.start : rows.stop + 1, columns.start : columns.stop + 1]
            parts.append(Parts.in_tile(window, shape, origin=(rows.start, columns.start)))
        joined.append(Parts.join(parts))
    table = tabulate(*joined, pair[1].shape, pixel_size=0.1)
    pd.testing.assert_frame_equal(table, measure_fibres(*pair, pixel_size=0.1), check_dtype=False)


def test_merged_sums() -> None:
    """Parts of an object that lie apart add up."""
    one = object_sums(np.array([[5, 5, 0], [0, 5, 3]]))
    other = object_sums(np.array([[0, 5, 0]]), origin=(7, 1))
    both = merge_sums([one, other])
    assert both.index.tolist() == [3, 5]
    assert both.loc[5, "area"] == 4
    assert both.loc[5, ["top", "left", "bottom", "right"]].tolist() == [0, 0, 7, 2]
    pd.testing.assert_series_equal(both.loc[3], one.loc[3])


# --- properties


@settings(max_examples=40)
@given(pair=objects(), data=st.data())
def test_renumbering_permutes_rows(pair: tuple[Objects, Objects], data: st.DataObject) -> None:
    """Ids are names: other ids give the same rows in another order."""
    axons, fibres = pair
    ids = np.unique(fibres[fibres > 0])
    new = np.array(data.draw(st.permutations([3, 17, 70_000, 2**31 - 1])))[: len(ids)]
    renumbered = [np.zeros_like(fibres), np.zeros_like(fibres)]
    for old, i in zip(ids, new, strict=True):
        renumbered[0][axons == old], renumbered[1][fibres == old] = i, i
    table = measure_fibres(axons, fibres, pixel_size=0.1)
    other = measure_fibres(*renumbered, pixel_size=0.1).set_index("fibre_id").loc[new]
    pd.testing.assert_frame_equal(
        table.drop(columns="fibre_id"), other.reset_index(drop=True), rtol=1e-12
    )


@settings(max_examples=40)
@given(pair=objects(), s=st.floats(0.01, 50))
def test_pixel_size_scales(pair: tuple[Objects, Objects], s: float) -> None:
    """Lengths grow with the pixel size, areas with its square, ratios and flags not at all."""
    one, other = measure_fibres(*pair, pixel_size=1), measure_fibres(*pair, pixel_size=s)
    same = [*RATIOS, *SHAPES, *ANGLES]
    assert {*PLACES, *LENGTHS, *AREAS, *same, *BOX, *FLAGS, "fibre_id"} == set(one.columns)
    lengths = [*PLACES, *LENGTHS]
    np.testing.assert_allclose(other[lengths], one[lengths] * s, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(other[AREAS], one[AREAS] * s**2, rtol=1e-9)
    np.testing.assert_allclose(other[same], one[same], rtol=1e-9)
    whole = [*BOX, *FLAGS, "fibre_id"]
    pd.testing.assert_frame_equal(other[whole], one[whole])


@settings(max_examples=30)
@given(objects())
def test_turned_views(pair: tuple[Objects, Objects]) -> None:
    """A transposed view exchanges y and x; a mirrored one keeps sizes and mirrors angles."""
    table = measure_fibres(*pair, pixel_size=1)
    turned = measure_fibres(pair[0].T, pair[1].T, pixel_size=1)
    places = [column for column in [*PLACES, *BOX] if column in table]
    swap = dict(zip(places, (places[i] for i in (1, 0, 3, 2, 5, 4, 7, 6)), strict=True))
    upright = table.rename(columns=swap)[table.columns].drop(columns=ANGLES)
    pd.testing.assert_frame_equal(turned.drop(columns=ANGLES), upright, rtol=1e-9)
    mirrored = measure_fibres(pair[0][::-1], pair[1][::-1], pixel_size=1)
    sizes = [*LENGTHS, *AREAS, *RATIOS, *SHAPES]
    pd.testing.assert_frame_equal(mirrored[sizes], table[sizes], rtol=1e-9)
    for other, angle in ((turned, 90 - table[ANGLES]), (mirrored, -table[ANGLES])):
        away = (other[ANGLES] - angle + 90) % 180 - 90
        np.testing.assert_array_equal(other[ANGLES].isna(), angle.isna())
        assert (away.abs().fillna(0) < 1e-6).all(axis=None)


def test_huge_sparse_ids_take_no_memory() -> None:
    """Memory goes with the number of objects, not with their ids."""
    fibres = np.zeros((400, 400), np.int32)
    fibres[10:50, 10:50], fibres[100:140, 100:140] = 10**9, 2**31 - 1
    axons = np.where(ndimage.binary_erosion(fibres > 0, iterations=5), fibres, 0)
    tracemalloc.start()
    table = measure_fibres(axons, fibres, pixel_size=0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert table["fibre_id"].tolist() == [10**9, 2**31 - 1]
    assert table["g_ratio"].tolist() == pytest.approx([30 / 40] * 2)
    assert peak < 20e6


def test_memory_goes_with_the_outlines() -> None:
    """Beside the two images, measuring holds some bytes per pixel."""
    tile = np.pad(np.ones((60, 60), np.int32), 20)
    fibres = np.kron(np.arange(1, 401, dtype=np.int32).reshape(20, 20), tile)
    axons = np.where(ndimage.binary_erosion(fibres > 0, iterations=9), fibres, 0)
    tracemalloc.start()
    measure_fibres(axons, fibres, pixel_size=0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * fibres.size


def test_far_from_the_origin_nothing_is_lost() -> None:
    """Moments of an object at the far end of a wide image are those near the origin."""
    near = np.zeros((12, 12), np.int32)
    near[2:9, 3:7], near[5, 8] = 1, 1
    far = np.zeros((12, 200_000), np.int32)
    far[:, -12:] = near
    one, other = (measure_fibres(a, a, pixel_size=1) for a in (near, far))
    columns = [*LENGTHS, *AREAS, *SHAPES, *ANGLES]
    np.testing.assert_allclose(other[columns], one[columns], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint32, np.int64])
def test_other_whole_numbers(dtype: type) -> None:
    """Object images as other programs write them give the same numbers."""
    fibres = np.kron(np.array([[0, 1], [2, 0]]), np.ones((200, 200), int))
    wanted = measure_fibres(fibres, fibres, pixel_size=0.1)
    found = measure_fibres(fibres.astype(dtype), fibres, pixel_size=0.1)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


# --- closed forms


@settings(max_examples=30)
@given(
    radius=st.floats(20, 60),
    ratio=st.floats(0.4, 0.9),
    y=st.floats(70, 71),
    x=st.floats(70, 71),
)
def test_annulus(disc: Draw, radius: float, ratio: float, y: float, x: float) -> None:
    """A ring has the areas, diameters, axes, perimeters and g of its circles."""
    fibres, axons = (disc((142, 142), (y, x), r).astype(int) for r in (radius, ratio * radius))
    row = measure_fibres(axons, fibres, pixel_size=0.1).iloc[0]
    for name, r in (("axon", 0.1 * ratio * radius), ("fibre", 0.1 * radius)):
        assert row[f"{name}_diameter_um"] == pytest.approx(2 * r, abs=0.05)
        assert row[f"{name}_minor_axis_um"] == pytest.approx(2 * r, abs=0.08)
        assert row[f"{name}_major_axis_um"] == pytest.approx(2 * r, abs=0.08)
        assert row[f"{name}_area_um2"] == pytest.approx(np.pi * r**2, abs=2 * np.pi * r * 0.025)
        assert row[f"{name}_perimeter_um"] == pytest.approx(2 * np.pi * r, rel=0.04)
    assert row["myelin_thickness_um"] == pytest.approx(0.1 * (1 - ratio) * radius, abs=0.04)
    assert row["g_ratio"] == pytest.approx(ratio, abs=0.015)
    assert row["g_ratio_minor_axis"] == pytest.approx(ratio, abs=0.02)
    # two perimeters of four directions each, whose errors may add up
    assert row["g_ratio_perimeter"] == pytest.approx(ratio, rel=0.08)
    assert row["centroid_y_um"] == pytest.approx(0.1 * y, abs=0.02)
    assert row["centroid_x_um"] == pytest.approx(0.1 * x, abs=0.02)
    assert not row["touches_border"]


SEMI_MINOR, SHEATH = 80, 40
"""Of the ellipses below, in pixels: the sheath is half as thick as the axon's smaller semi-axis."""


def ellipse(shape: tuple[int, int], semi_axes: tuple[float, float], angle: float) -> Mask:
    """Rasterise an ellipse in the middle of an image, turned by an angle in degrees."""
    y, x = np.indices(shape) - np.reshape(shape, (2, 1, 1)) // 2
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    u, v = x * cos + y * sin, y * cos - x * sin
    return (u / semi_axes[0]) ** 2 + (v / semi_axes[1]) ** 2 <= 1


def ellipse_perimeter(semi_major: float, semi_minor: float) -> float:
    """Return the perimeter of an ellipse by the complete elliptic integral."""
    return 4 * semi_major * float(special.ellipe(1 - (semi_minor / semi_major) ** 2))


@pytest.mark.parametrize(
    ("aspect", "by_area", "by_perimeter", "by_minor_axis"),
    [
        (1, 0.666, 0.666, 0.666),
        (1.5, 0.707, 0.718, 0.667),
        (2, 0.730, 0.758, 0.667),
        (3, 0.756, 0.819, 0.667),
    ],
)
@pytest.mark.parametrize("angle", [0, 30])
def test_the_definition_moves_the_number(
    aspect: float, by_area: float, by_perimeter: float, by_minor_axis: float, angle: float
) -> None:
    """One axon and sheath, three definitions: an ellipse in one with longer semi-axes."""
    semi_axes = (aspect * SEMI_MINOR, SEMI_MINOR)
    shape = 2 * (int(2 * semi_axes[0] + 2 * SHEATH + 4),)
    axon = ellipse(shape, semi_axes, angle)
    fibre = ellipse(shape, (semi_axes[0] + SHEATH, semi_axes[1] + SHEATH), angle)
    row = measure_fibres(axon.astype(int), fibre.astype(int), pixel_size=0.01).iloc[0]
    assert row["g_ratio"] == pytest.approx(by_area, abs=0.003)
    assert row["g_ratio_perimeter"] == pytest.approx(by_perimeter, abs=0.008)
    assert row["g_ratio_minor_axis"] == pytest.approx(by_minor_axis, abs=0.003)


@pytest.mark.parametrize("aspect", [1, 1.5, 2, 3])
@pytest.mark.parametrize("angle", [0, 30])
def test_a_sheath_of_the_same_thickness_all_round(aspect: float, angle: float) -> None:
    """Steiner's formulas give area and perimeter of all points within a distance of an ellipse."""
    a, b, t = aspect * SEMI_MINOR, SEMI_MINOR, SHEATH
    axon = ellipse(2 * (int(2 * a + 2 * t + 4),), (a, b), angle)
    fibre = ndimage.distance_transform_edt(~axon) <= t
    row = measure_fibres(axon.astype(int), fibre.astype(int), pixel_size=0.01).iloc[0]
    area, length = np.pi * a * b, ellipse_perimeter(a, b)
    g = np.sqrt(area / (area + length * t + np.pi * t**2))
    assert row["g_ratio"] == pytest.approx(g, abs=0.003)
    assert row["g_ratio_perimeter"] == pytest.approx(length / (length + 2 * np.pi * t), abs=0.008)
    assert row["g_ratio_minor_axis"] == pytest.approx(b / (b + t), abs=0.015)


# --- odd fibres


def test_unmyelinated_axons_have_no_g() -> None:
    """An axon that is its own fibre is measured, without g and with no myelin."""
    axons = np.zeros((5, 5), int)
    axons[1:4, 1:4] = 1
    row = measure_fibres(axons, axons, pixel_size=0.1).iloc[0]
    assert row[RATIOS].isna().all()
    assert row["axon_diameter_um"] == row["fibre_diameter_um"] > 0
    assert row["myelin_area_um2"] == row["myelin_thickness_um"] == 0
    assert not row["is_myelinated"]


def test_myelin_without_an_axon_is_kept() -> None:
    """A fibre without axon has a row, without g and without what an axon would measure."""
    fibres = np.array([[0, 0, 0], [0, 4, 0], [0, 0, 0]])
    row = measure_fibres(np.zeros_like(fibres), fibres, pixel_size=0.1).iloc[0]
    assert row["fibre_id"] == 4
    assert row["axon_area_um2"] == 0
    assert row[["axon_minor_axis_um", "axon_perimeter_um", *RATIOS]].isna().all()
    assert row["fibre_area_um2"] == pytest.approx(0.01)
    assert not row["is_myelinated"]


def test_empty_image() -> None:
    """No fibres give no rows, but all columns with their types."""
    nothing = np.zeros((5, 6), np.int32)
    table = measure_fibres(nothing, nothing, pixel_size=0.1)
    something = measure_fibres(nothing + 1, nothing + 1, pixel_size=0.1)
    assert len(table) == 0
    assert table.dtypes.to_dict() == something.dtypes.to_dict()
    assert set(table[FLAGS].dtypes) == {np.dtype(bool)}
    assert set(table[[*LENGTHS, *AREAS, *RATIOS]].dtypes) == {np.dtype(float)}


BLANK = np.zeros((4, 5), np.int32)
ERRORS: dict[str, tuple[Any, Any, float, str]] = {
    "other shapes": (BLANK, BLANK.T, 0.1, r"\(4, 5\) and fibres of \(5, 4\)"),
    "volumes": (BLANK[None], BLANK[None], 0.1, "one plane"),
    "no pixels": (BLANK[:0], BLANK[:0], 0.1, "no pixels"),
    "negative axons": (BLANK - 1, BLANK, 0.1, "axons: expected whole ids from 0"),
    "negative fibres": (BLANK, BLANK - 1, 0.1, "fibres: expected whole ids from 0"),
    "floats": (BLANK, BLANK.astype(float), 0.1, "got float64"),
    "masks": (BLANK > 0, BLANK, 0.1, "got bool"),
    "an axon outside": (BLANK + 1, BLANK, 0.1, "20 pixels of axons lie outside"),
    "an axon in another fibre": (BLANK + 1, BLANK + 2, 0.1, r"\(ids \[1\]"),
    "pixel size 0": (BLANK, BLANK, 0, "outside"),
    "pixel size below 0": (BLANK, BLANK, -0.1, "outside"),
    "pixel size in nm": (BLANK, BLANK, 130.0, "outside"),
    "pixel size NaN": (BLANK, BLANK, np.nan, "outside"),
}


@pytest.mark.parametrize(
    ("axons", "fibres", "pixel_size", "message"), ERRORS.values(), ids=ERRORS.keys()
)
def test_errors(axons: Any, fibres: Any, pixel_size: float, message: str) -> None:
    """Images that make no pair and absurd pixel sizes are refused."""
    with pytest.raises(ValueError, match=message):
        measure_fibres(axons, fibres, pixel_size=pixel_size)


@pytest.mark.parametrize("modality", ["sem", "tem", "bright field"])
def test_fibres_of_phantoms_are_measured_to_a_pixel(modality: str) -> None:
    """Diameters and g-ratios of complete fibres are the true ones, to the pixel's accuracy."""
    nerve = phantom.nerve((500, 600), modality=modality, seed=4)
    size = nerve.micrograph.pixel_size
    table = measure_fibres(nerve.axons, nerve.fibres, pixel_size=size).set_index("fibre_id")
    truth = nerve.table.set_index("fibre_id")
    truth = truth[~truth["touches_border"]]
    found = table.loc[truth.index]
    for column in ("axon_diameter_um", "fibre_diameter_um"):
        error = (found[column] - truth[column]) / size
        assert error.abs().max() < 1
        assert abs(error.mean()) < 0.1
    error = (found["g_ratio"] - truth["g_ratio"]).abs()
    bare = ~truth["is_myelinated"]
    assert found.loc[bare, "g_ratio"].isna().all()
    assert (error[~bare] < 2 * size / truth.loc[~bare, "fibre_diameter_um"]).all()
