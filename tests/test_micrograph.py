"""Micrographs: finite pixels of a known size, and how they are prepared for a network."""

from __future__ import annotations

import hashlib
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from axonlab.micrograph import (
    CLASS_COLOURS,
    CLASSES,
    UNLABELLED,
    Micrograph,
    at_model_scale,
    check_pixel_size,
    intensity_range,
    normalise,
    resize,
    resize_labels,
    shape_at,
)

pytestmark = pytest.mark.filterwarnings("error")

SIDES = st.integers(1, 40)


def test_classes_have_distinct_ids_and_colours() -> None:
    """Every class has an id and a colour of its own, and none is the id of unlabelled pixels."""
    ids = {*CLASSES.values(), UNLABELLED}
    assert len(ids) == len(CLASSES) + 1
    assert set(CLASS_COLOURS) == ids
    assert len(set(CLASS_COLOURS.values())) == len(ids)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.float64])
def test_pixels_become_float32(dtype: type) -> None:
    """Pixels of any type keep their values as float32."""
    pixels = np.array([[0, 1], [1, 0]], dtype)
    micrograph = Micrograph(pixels, pixel_size=0.1)
    assert micrograph.pixels.dtype == np.float32
    np.testing.assert_array_equal(micrograph.pixels, pixels)


def test_micrograph_knows_its_field() -> None:
    """The field of view is rows and columns times the pixel size."""
    assert Micrograph(np.zeros((30, 40)), pixel_size=0.5).shape_um == (15, 20)


def test_micrograph_is_frozen_and_short() -> None:
    """A micrograph cannot be changed in place, and its text does not list its pixels."""
    micrograph = Micrograph(np.zeros((300, 400)), pixel_size=0.5, name="nerve")
    with pytest.raises(FrozenInstanceError):
        micrograph.pixel_size = 1.0  # type: ignore[misc]
    assert len(repr(micrograph)) < 100


@pytest.mark.parametrize(
    ("pixels", "found", "advice"),
    [
        (np.zeros((2, 3, 4)), r"\(2, 3, 4\)", "Choose a single section"),
        (np.zeros(3), r"\(3,\)", "expected one plane"),
        (np.zeros((0, 4)), r"\(0, 4\)", "export the image again"),
        (np.array([[0, np.nan]]), "1 of 2 pixels are NaN", "numpy.nan_to_num"),
        (np.array([[np.inf, -np.inf]]), "2 of 2 pixels", "numpy.nan_to_num"),
    ],
)
def test_bad_pixels_are_refused(pixels: np.ndarray, found: str, advice: str) -> None:
    """What is no finite plane is refused, naming the image, what was found and what to do."""
    with pytest.raises(ValueError, match=f"^nerve-7: .*{found}.*{advice}"):
        Micrograph(pixels, pixel_size=0.1, name="nerve-7")


@pytest.mark.parametrize("size", [0, -0.1, 0.0009, 100.1, np.inf, np.nan])
def test_absurd_pixel_sizes_are_refused(size: float) -> None:
    """A pixel below 1 nm or above 100 µm is a mistake of the unit and is refused."""
    with pytest.raises(ValueError, match=r"^nerve-7: .* is outside 0\.001 to 100 .*pixel_size="):
        Micrograph(np.zeros((2, 2)), pixel_size=size, name="nerve-7")


@pytest.mark.parametrize("size", [0.001, np.float32(0.5), 1, 100])
def test_pixel_sizes_in_range_become_floats(size: float) -> None:
    """Both ends of the range are allowed and any number becomes a float."""
    assert type(check_pixel_size(size, "nerve")) is float
    assert check_pixel_size(size, "nerve") == size


def test_intensity_range_is_the_percentiles() -> None:
    """In an image small enough to be looked at whole, the range is numpy's percentiles."""
    pixels = np.random.default_rng(0).normal(100, 20, (300, 200)).astype(np.float32)
    np.testing.assert_allclose(intensity_range(pixels), np.percentile(pixels, (1, 99)), rtol=1e-6)


def test_intensity_range_of_a_large_image_is_near() -> None:
    """A subset of a large image gives its percentiles to well below a grey level."""
    pixels = np.random.default_rng(0).normal(100, 20, (2000, 1500)).astype(np.float32)
    np.testing.assert_allclose(intensity_range(pixels), np.percentile(pixels, (1, 99)), atol=0.6)


def test_filler_does_not_count_for_the_range() -> None:
    """A stitched field looks the same to a network, however much black lies around it."""
    tissue = np.random.default_rng(0).normal(100, 9, (120, 160)).astype(np.float32)
    stitched = np.pad(tissue, ((80, 0), (0, 120)))
    alone, (low, high) = at_model_scale(Micrograph(tissue, 0.1), 0.1)
    framed, found = at_model_scale(Micrograph(stitched, 0.1), 0.1)
    assert found == pytest.approx((low, high), abs=0.1)
    np.testing.assert_allclose(framed[80:, :160], alone, atol=0.01)


def test_an_image_of_nothing_but_filler_is_flat() -> None:
    """Where all is blank, there is no range, and no error."""
    pixels, _ = at_model_scale(Micrograph(np.full((64, 64), 7), 0.1), 0.1)
    assert not pixels.any()


def test_absurd_resampling_is_refused() -> None:
    """Nanometres taken for micrometres would enlarge an image beyond all memory."""
    with pytest.raises(ValueError, match=r"dot: pixels of 20 µm are too far from the 0\.1 µm"):
        at_model_scale(Micrograph(np.zeros((4, 4)), 20, "dot"), 0.1)


def test_intensity_range_ignores_hot_pixels() -> None:
    """A few saturated pixels do not move the range."""
    pixels = np.random.default_rng(0).normal(100, 20, (300, 200)).astype(np.float32)
    hot = pixels.copy()
    hot[::60, ::60] = 65535
    np.testing.assert_allclose(intensity_range(hot), intensity_range(pixels), atol=1)


def test_normalise_maps_without_clipping() -> None:
    """Low becomes 0, high becomes 1 and what lies beyond stays beyond."""
    pixels = np.array([[5, 10, 20, 30, 40]], np.float32)
    np.testing.assert_allclose(normalise(pixels, 10, 30), [[-0.25, 0, 0.5, 1, 1.5]])


def test_normalise_flat_image_is_zero() -> None:
    """An image of one grey becomes 0, not NaN."""
    pixels = np.full((4, 5), 7, np.float32)
    np.testing.assert_array_equal(normalise(pixels, *intensity_range(pixels)), 0)


@given(gain=st.floats(0.01, 200), offset=st.floats(-1000, 1000))
def test_normalised_images_forget_gain_and_offset(gain: float, offset: float) -> None:
    """Detector gain and offset, hence the bit depth, make no difference."""
    pixels = np.random.default_rng(0).uniform(0, 255, (20, 30)).astype(np.float32)
    other = (pixels * gain + offset).astype(np.float32)
    np.testing.assert_allclose(
        normalise(other, *intensity_range(other)),
        normalise(pixels, *intensity_range(pixels)),
        atol=2e-3,
    )


@given(height=SIDES, width=SIDES, rows=SIDES, columns=SIDES)
def test_resize_keeps_a_flat_image(height: int, width: int, rows: int, columns: int) -> None:
    """Whatever the shapes, a flat image stays flat."""
    flat = resize(np.full((height, width), 60000), (rows, columns))
    assert flat.shape == (rows, columns)
    assert flat.dtype == np.float32
    np.testing.assert_allclose(flat, 60000, rtol=1e-6)


@given(factor=st.integers(2, 6))
def test_shrinking_counts_every_pixel(factor: int) -> None:
    """The finest stripes shrink to their mean: no aliasing."""
    stripes = np.tile(np.array([0.0, 1.0]), (12 * factor, 6 * factor))
    inner = resize(stripes, (12, 12))[2:-2, 2:-2]
    np.testing.assert_allclose(inner, 0.5, atol=0.12)


@pytest.mark.parametrize("factor", [2, 3, 0.5])
def test_resize_keeps_the_field(factor: float) -> None:
    """A ramp stays where it is: both images cover the same field of view."""
    side = 48
    ramp = np.tile((np.arange(side) + 0.5) / side, (side, 1))
    columns = int(side * factor)
    expected = (np.arange(columns) + 0.5) / columns
    margin = max(2, columns // 12)
    resized = resize(ramp, (side, columns))[side // 2]
    np.testing.assert_allclose(resized[margin:-margin], expected[margin:-margin], atol=1e-5)


def test_resize_takes_any_layout() -> None:
    """Views that are not contiguous are resampled like their copies."""
    plane = np.random.default_rng(0).uniform(size=(40, 60))[::-2, ::3].T
    np.testing.assert_array_equal(resize(plane, (7, 9)), resize(plane.copy(), (7, 9)))


@given(
    labels=hnp.arrays(
        np.uint8,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.sampled_from([0, 1, 2, 3, 255]),
    ),
    rows=SIDES,
    columns=SIDES,
)
def test_resized_labels_invent_no_class(labels: np.ndarray, rows: int, columns: int) -> None:
    """Resampled labels hold no class that was not there before."""
    resized = resize_labels(labels, (rows, columns))
    assert resized.shape == (rows, columns)
    assert resized.dtype == np.uint8
    assert set(np.unique(resized)) <= set(np.unique(labels))


def test_enlarged_labels_are_blocks() -> None:
    """Enlarging by a whole number repeats every label."""
    labels = np.array([[0, 1], [2, 255]], np.uint8)
    np.testing.assert_array_equal(resize_labels(labels, (6, 6)), np.kron(labels, np.ones((3, 3))))


@given(height=SIDES, width=SIDES, size=st.floats(0.01, 1), factor=st.integers(1, 5))
def test_shape_at_scales(height: int, width: int, size: float, factor: int) -> None:
    """A pixel size divided by a whole number multiplies rows and columns by it."""
    assert shape_at((height, width), size, size / factor) == (height * factor, width * factor)


def test_shape_at_never_vanishes() -> None:
    """However coarse the wanted pixels, one is left."""
    assert shape_at((3, 500), 0.01, 1.0) == (1, 5)


def test_grey_values_are_known_again_by_their_hash():
    """However they lie in memory and are called; any other grey value is another image."""
    pixels = np.arange(12, dtype=np.float32).reshape(3, 4)
    seen = Micrograph(pixels, pixel_size=0.1)
    assert seen.sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert Micrograph(np.asfortranarray(pixels), 0.2, "other").sha256 == seen.sha256
    assert Micrograph(pixels.T, 0.1).sha256 != seen.sha256
    assert Micrograph(pixels + 1e-6 * (pixels == 1), 0.1).sha256 != seen.sha256
