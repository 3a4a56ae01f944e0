"""Phantoms: the truth in the table is the truth in the pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from axonlab.appearance import APPEARANCES
from axonlab.micrograph import CLASSES
from axonlab.phantom import TISSUES, Phantom, nerve

MODALITIES = list(TISSUES)


@pytest.fixture(scope="module", params=MODALITIES)
def phantom(request: pytest.FixtureRequest) -> Phantom:
    """Return one phantom of each modality, of a size that holds some hundred fibres."""
    shape = (1200, 1000) if request.param == "bright field" else (700, 600)
    return nerve(shape, modality=request.param, seed=5)


def pixel_areas(objects: NDArray[np.int32], table: pd.DataFrame) -> NDArray[np.int64]:
    """Count the pixels of every fibre in the table."""
    return np.bincount(objects.ravel(), minlength=len(table) + 1)[1:]


def contacts(fibres: NDArray[np.int32]) -> set[tuple[int, int]]:
    """Return the pairs of fibres with pixels side by side."""
    left, right = fibres[:, :-1], fibres[:, 1:]
    meet = (left > 0) & (right > 0) & (left != right)
    return set(zip(left[meet].tolist(), right[meet].tolist(), strict=True))


def assert_same(first: Phantom, second: Phantom) -> None:
    """Raise unless two phantoms have the same geometry."""
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.axons, second.axons)
    np.testing.assert_array_equal(first.fibres, second.fibres)
    pd.testing.assert_frame_equal(first.table, second.table)


@pytest.mark.parametrize("modality", MODALITIES)
def test_same_seed_same_phantom(modality: str) -> None:
    """The same seed gives the same phantom to the last grey value."""
    first, second = (nerve((150, 200), modality=modality, seed=7) for _ in range(2))
    assert_same(first, second)
    np.testing.assert_array_equal(first.micrograph.pixels, second.micrograph.pixels)


def test_other_seed_other_phantom() -> None:
    """Another seed gives another phantom."""
    first, second = nerve((150, 200), seed=1), nerve((150, 200), seed=2)
    assert not np.array_equal(first.labels, second.labels)


def test_appearance_leaves_geometry() -> None:
    """A changed appearance changes the pixels and nothing else."""
    plain = nerve((150, 200), seed=3)
    blurred = nerve((150, 200), seed=3, appearance=replace(APPEARANCES["sem"], blur_um=0.5))
    assert_same(plain, blurred)
    assert plain.micrograph.pixels.std() > blurred.micrograph.pixels.std()


@settings(max_examples=20)
@given(
    modality=st.sampled_from(MODALITIES),
    shape=st.tuples(st.integers(1, 160), st.integers(1, 160)),
    seed=st.integers(0, 10_000),
    unmyelinated_fraction=st.sampled_from([0.0, 0.3, 1.0]),
    fibre_fraction=st.sampled_from([1e-6, 0.4, 0.85]),
)
def test_arrays_agree(
    modality: str,
    shape: tuple[int, int],
    seed: int,
    unmyelinated_fraction: float,
    fibre_fraction: float,
) -> None:
    """Labels, axons, fibres and table tell the same story for any field."""
    phantom = nerve(
        shape,
        modality=modality,
        seed=seed,
        unmyelinated_fraction=unmyelinated_fraction,
        fibre_fraction=fibre_fraction,
    )
    labels, axons, fibres, table = phantom.labels, phantom.axons, phantom.fibres, phantom.table
    assert {array.shape for array in (labels, axons, fibres, phantom.micrograph.pixels)} == {shape}
    assert [a.dtype.name for a in (labels, axons, fibres)] == ["uint8", "int32", "int32"]
    assert table.fibre_id.tolist() == list(range(1, len(table) + 1))
    np.testing.assert_array_equal(np.unique(fibres[fibres > 0]), table.fibre_id)
    np.testing.assert_array_equal(axons[axons > 0], fibres[axons > 0])
    bare = np.append(False, ~table.is_myelinated)[fibres]
    expected = np.select([bare, axons > 0, fibres > 0], [3, 2, 1], 0)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(axons[bare], fibres[bare])


def test_areas_match_pixels(phantom: Phantom) -> None:
    """Fibres and axons have their true areas in pixels, so that none covers another."""
    whole = ~phantom.table.touches_border
    pixel = phantom.micrograph.pixel_size**2
    for objects, column in ((phantom.fibres, "fibre"), (phantom.axons, "axon")):
        true = phantom.table[f"{column}_area_um2"][whole] / pixel
        counted = pixel_areas(objects, phantom.table)[whole]
        boundary = 2 * np.sqrt(np.pi * true)
        assert (np.abs(counted - true) <= 1.2 * np.sqrt(boundary) + 1).all()
        assert counted.sum() == pytest.approx(true.sum(), rel=2e-3)


def test_diameters_match_pixels(phantom: Phantom) -> None:
    """True diameters are those of the pixel areas to within one pixel."""
    whole = ~phantom.table.touches_border
    counted = np.sqrt(4 / np.pi * pixel_areas(phantom.fibres, phantom.table)[whole])
    true = phantom.table.fibre_diameter_um[whole] / phantom.micrograph.pixel_size
    assert np.abs(counted - true).max() < 1


def test_centroids_match_pixels(phantom: Phantom) -> None:
    """True centroids are the mean pixel coordinates, counted from the first pixel's centre."""
    whole = ~phantom.table.touches_border
    counts = pixel_areas(phantom.fibres, phantom.table)
    for axis, grid in zip("yx", np.indices(phantom.fibres.shape), strict=True):
        sums = np.bincount(phantom.fibres.ravel(), grid.ravel(), len(counts) + 1)[1:]
        true = phantom.table[f"centroid_{axis}_um"] / phantom.micrograph.pixel_size
        error = (sums / counts - true)[whole]
        assert error.abs().max() < 0.5
        assert abs(error.mean()) < 0.05


def test_columns_follow_from_areas(phantom: Phantom) -> None:
    """Diameters, thickness and g-ratio follow from the areas by their definitions."""
    table = phantom.table
    myelinated = table[table.is_myelinated]
    np.testing.assert_allclose(table.axon_area_um2, np.pi / 4 * table.axon_diameter_um**2)
    np.testing.assert_allclose(table.fibre_area_um2, np.pi / 4 * table.fibre_diameter_um**2)
    np.testing.assert_allclose(
        table.axon_diameter_um + 2 * table.myelin_thickness_um, table.fibre_diameter_um
    )
    np.testing.assert_allclose(
        myelinated.g_ratio**2, myelinated.axon_area_um2 / myelinated.fibre_area_um2
    )
    assert myelinated.g_ratio.between(0, 1, inclusive="neither").all()


def test_unmyelinated_have_no_g() -> None:
    """Unmyelinated axons have no g-ratio, no sheath, and are smaller."""
    table = nerve((500, 500), modality="tem", seed=2).table
    bare = table[~table.is_myelinated]
    assert 0.5 < (~table.is_myelinated).mean() < 0.8
    assert bare.g_ratio.isna().all()
    assert (bare.myelin_thickness_um == 0).all()
    assert bare.axon_diameter_um.mean() < 0.7 * table.axon_diameter_um[table.g_ratio > 0].mean()


def test_border_flags(phantom: Phantom) -> None:
    """The fibres in the first and last rows and columns are flagged, and their truth is whole."""
    fibres, table = phantom.fibres, phantom.table
    inner = np.zeros(fibres.shape, dtype=bool)
    inner[1:-1, 1:-1] = True
    touching = np.isin(table.fibre_id, fibres[~inner])
    np.testing.assert_array_equal(table.touches_border, touching)
    seen = pixel_areas(fibres, table)[touching] * phantom.micrograph.pixel_size**2
    assert seen.sum() < 0.8 * table.fibre_area_um2[touching].sum()


def test_sheaths_touch_in_dense_tissue(phantom: Phantom) -> None:
    """Over half of the field is fibre, and many fibres touch."""
    assert 0.55 < (phantom.fibres > 0).mean() < 0.9
    assert len(contacts(phantom.fibres)) > len(phantom.table) / 4


def test_diameters_are_log_normal() -> None:
    """The distribution of diameters asked for is the one in the table."""
    table = nerve((1500, 1500), mean_diameter=2.0, diameter_sd=0.9, fibre_fraction=0.5).table
    inside = table.centroid_y_um.between(0, 150) & table.centroid_x_um.between(0, 150)
    logs = np.log(table.axon_diameter_um[inside])
    sigma = np.sqrt(np.log1p((0.9 / 2.0) ** 2))
    mu = np.log(2.0) - sigma**2 / 2
    assert logs.mean() == pytest.approx(mu, abs=0.05)
    assert logs.std() == pytest.approx(sigma, rel=0.1)
    assert stats.kstest(logs, stats.norm(mu, sigma).cdf).statistic < 0.05


def test_g_rises_with_diameter() -> None:
    """An axon of the mean diameter has the g-ratio asked for, a larger one a higher g-ratio."""
    table = nerve((1200, 1200), mean_diameter=2.0, g_ratio=0.65, fibre_fraction=0.5).table
    slope, at_mean = np.polyfit(np.log(table.axon_diameter_um / 2.0), table.g_ratio, 1)
    assert at_mean == pytest.approx(0.65, abs=0.02)
    assert 0.04 < slope < 0.12
    assert 0.03 < table.g_ratio.std() < 0.1


@settings(max_examples=8)
@given(scale=st.floats(0.3, 3))
def test_scale_is_free(scale: float) -> None:
    """Tissue and pixels enlarged together give the same fibres, with sizes scaled."""
    plain = nerve((100, 120), pixel_size=0.1, mean_diameter=2)
    large = nerve((100, 120), pixel_size=0.1 * scale, mean_diameter=2 * scale)
    np.testing.assert_allclose(
        large.table.axon_diameter_um, plain.table.axon_diameter_um * scale, rtol=1e-6
    )
    np.testing.assert_allclose(large.table.g_ratio, plain.table.g_ratio, rtol=1e-6)


def test_contrast_of_modalities(phantom: Phantom) -> None:
    """Myelin is brighter than axons in SEM, and darker in TEM and bright field."""
    pixels, labels = phantom.micrograph.pixels, phantom.labels
    myelin, axon = (pixels[labels == CLASSES[name]].mean() for name in ("myelin", "axon"))
    assert abs(myelin - axon) > 50
    assert (myelin > axon) == ("sem" in phantom.micrograph.name)


def test_pixels_are_grey_values(phantom: Phantom) -> None:
    """Pixels are whole grey values of an 8-bit detector, few of them at its ends."""
    pixels = phantom.micrograph.pixels
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, np.rint(pixels))
    assert pixels.min() >= 0
    assert pixels.max() <= 255
    assert np.isin(pixels, (0, 255)).mean() < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modality": "confocal"}, "modality 'confocal' is unknown, expected one of 'sem'"),
        ({"shape": (0, 5)}, r"shape is \(0, 5\), expected two positive"),
        ({"shape": (5,)}, "expected two positive"),
        ({"pixel_size": 1000}, "outside"),
        ({"mean_diameter": -1}, "mean_diameter is -1, expected"),
        ({"mean_diameter": 0.3}, "fewer than 5 pixels"),
        ({"diameter_sd": 0}, "diameter_sd is 0, expected"),
        ({"diameter_sd": 4}, "between 0 and two means, 3.6"),
        ({"g_ratio": 1.2}, "g_ratio is 1.2, expected"),
        ({"fibre_fraction": 0.95}, "fibre_fraction is 0.95, expected"),
        ({"unmyelinated_fraction": np.nan}, "unmyelinated_fraction is nan, expected"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    """A bad argument is named with what was expected."""
    with pytest.raises(ValueError, match=message):
        nerve(**arguments)  # type: ignore[arg-type]
