"""Convex hulls and ellipses: against scikit-image, and against what figures are known to have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage.measure import regionprops
from skimage.morphology import convex_hull_image

from axonlab.measure import measure_fibres
from axonlab.runs import Runs, find_runs, object_sums
from axonlab.shape import ellipses, hulls

Mask = NDArray[np.bool_]
Draw = Callable[[tuple[int, int], tuple[float, float], float], Mask]


def hull(mask: Mask) -> pd.Series:
    """Return what the hull of one object measures."""
    return hulls(find_runs(mask.astype(np.int32))).loc[1]


@pytest.fixture(scope="module")
def blobs() -> list[Mask]:
    """Draw shapes with bays, arms and pieces, some hundred pixels each."""
    rng = np.random.default_rng(3)
    waves = rng.normal(size=(30, 2, 4))
    y, x = np.indices((48, 64)) / 20 - np.reshape([1.2, 1.6], (2, 1, 1))
    angle, radius = np.arctan2(y, x), np.hypot(y, x)
    turns = np.arange(4) + 1
    masks = [
        radius < 0.7 + 0.15 * (np.cos(angle[..., None] * turns + 9 * b) * a).sum(-1)
        for a, b in waves
    ]
    return [mask for mask in masks if mask.sum() > 50]


def test_scikit_image_counts_the_same_hull(blobs: list[Mask]) -> None:
    """The convex area is that of scikit-image for the centres of pixels, to the pixel."""
    for mask in blobs:
        assert hull(mask)["convex_area"] == convex_hull_image(mask, offset_coordinates=False).sum()


def test_solidity_of_scikit_image(blobs: list[Mask]) -> None:
    """Hulls about pixels' edges hold some more: solidity there is up to 5 % lower, never higher."""
    for mask in blobs:
        row = measure_fibres(mask.astype(int), mask.astype(int), pixel_size=1).iloc[0]
        theirs = regionprops(mask.astype(np.uint8))[0].solidity
        assert theirs <= row["axon_solidity"] <= theirs + 0.05


def test_orientation_and_eccentricity_of_scikit_image(blobs: list[Mask]) -> None:
    """Angles are scikit-image's, from the horizontal; eccentricity differs by pixels' own size."""
    for mask in blobs:
        row = ellipses(object_sums(mask.astype(int))).loc[1]
        region = regionprops(mask.astype(np.uint8))[0]
        away = (row["orientation_deg"] - 90 - np.degrees(region.orientation)) % 180
        assert min(away, 180 - away) < 1e-6
        assert row["eccentricity"] == pytest.approx(region.eccentricity, abs=0.01)


@settings(max_examples=50)
@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(2, 14))), st.data())
def test_hulls_of_tiles(mask: Mask, data: st.DataObject) -> None:
    """Runs that are cut by tiles have the same hull."""
    objects = mask.astype(np.int32)
    column = data.draw(st.integers(1, mask.shape[1] - 1))
    tiles = [find_runs(objects[:, :column]), find_runs(objects[:, column:], origin=(0, column))]
    order = np.argsort(np.concatenate([tile.row for tile in tiles]), kind="stable")
    parts = (
        np.concatenate(part)[order] for part in zip(*(tile[1:] for tile in tiles), strict=True)
    )
    together = Runs(np.unique(objects[mask]), *parts)
    pd.testing.assert_frame_equal(hulls(together), hulls(find_runs(objects)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (4, 7), (30, 2)])
def test_rectangle(shape: tuple[int, int]) -> None:
    """A rectangle is its own hull; its smallest diameter is its shorter side."""
    found = hull(np.pad(np.ones(shape, bool), 2))
    assert found["convex_area"] == np.prod(shape)
    assert found["min_feret"] == min(shape)
    ellipse = ellipses(object_sums(np.ones(shape, int))).loc[1]
    assert ellipse["minor_axis"] == pytest.approx(2 / np.sqrt(3) * min(shape))
    assert ellipse["major_axis"] == pytest.approx(2 / np.sqrt(3) * max(shape))
    assert ellipse["eccentricity"] == pytest.approx(np.sqrt(1 - (min(shape) / max(shape)) ** 2))
    wanted = np.nan if shape[0] == shape[1] else 90 * (shape[0] > shape[1])
    assert ellipse["orientation_deg"] == pytest.approx(wanted, nan_ok=True)


@settings(max_examples=30)
@given(radius=st.floats(15, 45), y=st.floats(50, 51), x=st.floats(50, 51))
def test_disc(disc: Draw, radius: float, y: float, x: float) -> None:
    """A rasterised disc is convex, and as wide in every direction as it is."""
    mask = disc((102, 102), (y, x), radius).astype(int)
    row = measure_fibres(mask, mask, pixel_size=1).iloc[0]
    assert row["axon_solidity"] == 1
    assert row["axon_min_feret_um"] == pytest.approx(2 * radius, abs=1)
    assert row["axon_circularity"] == pytest.approx(1, abs=0.08)
    assert row["axon_eccentricity"] < 0.25


@pytest.mark.parametrize("angle", [0, 20, 45, 90, 137])
def test_ellipse(angle: float) -> None:
    """An ellipse has the eccentricity, the direction and the smallest diameter it was given."""
    y, x = np.indices((181, 181)) - 90
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    mask = (((x * cos - y * sin) / 80) ** 2 + ((x * sin + y * cos) / 40) ** 2 <= 1).astype(int)
    row = measure_fibres(mask, mask, pixel_size=0.1).iloc[0]
    away = abs(row["axon_orientation_deg"] - angle)
    assert min(away, 180 - away) < 0.1
    assert row["axon_eccentricity"] == pytest.approx(np.sqrt(0.75), abs=1e-3)
    assert row["axon_solidity"] == 1
    assert row["axon_min_feret_um"] == pytest.approx(8, abs=0.11)


def test_a_ring_cut_open() -> None:
    """A C is much smaller than its hull, and its hull is that of the ring."""
    y, x = np.indices((61, 61)) - 30
    radius = np.hypot(y, x)
    ring = (radius <= 28) & (radius >= 22)
    bent = ring & ~((x > 0) & (abs(y) < 4))
    assert hull(bent)["convex_area"] == pytest.approx(np.pi * 28**2, rel=0.02)
    assert bent.sum() / hull(bent)["convex_area"] < 0.4
    assert hull(bent)["min_feret"] == pytest.approx(56, abs=2)


def test_a_spike_undoes_a_long_arc() -> None:
    """A point far out takes all corners of an arc off the hull, however many there are."""
    n = 60
    mask = np.zeros((n + 1, n * n + 1), bool)
    for row in range(n):
        mask[row, row * row :] = True
    mask[n, 0:2] = True
    found = hull(mask)
    assert found["convex_area"] == convex_hull_image(mask, offset_coordinates=False).sum()


def test_no_objects() -> None:
    """An empty image has no hulls and no ellipses."""
    nothing = np.zeros((3, 4), np.int32)
    assert hulls(find_runs(nothing)).empty
    assert ellipses(object_sums(nothing)).empty
