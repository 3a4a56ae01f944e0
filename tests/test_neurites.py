"""Phantom volumes of neurites: what their truth promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from axonlab import neurites as module
from axonlab import phantom
from axonlab.volume import check_truth

ISOTROPIC = (0.01, 0.01, 0.01)


@pytest.fixture(scope="module")
def drawn() -> module.Neurites:
    """Return a volume without defects."""
    return phantom.neurites((12, 150, 170), defects=0, seed=3)


def test_the_truth_is_exact(drawn: module.Neurites) -> None:
    """Ids run from 1 to n, each neurite is one piece of touching voxels."""
    ids = drawn.instances
    assert ids.dtype == np.int32 and ids.shape == drawn.volume.pixels.shape
    n = int(ids.max())
    assert set(np.unique(ids)) == set(range(n + 1))
    for i, box in enumerate(ndimage.find_objects(ids), 1):
        assert ndimage.label(ids[box] == i)[1] == 1


@pytest.mark.parametrize("voxel_size", [module.VOXEL_SIZE_UM, ISOTROPIC])
@pytest.mark.parametrize("seed", range(3))
def test_membrane_is_around_neurites(seed: int, voxel_size: tuple[float, float, float]) -> None:
    """In no section do voxels of two neurites touch, and no piece is a speck."""
    found = phantom.neurites((9, 100, 90), voxel_size=voxel_size, seed=seed, defects=0.3)
    ids = found.instances
    for one, other in ((ids[:, 1:], ids[:, :-1]), (ids[:, :, 1:], ids[:, :, :-1])):
        assert not ((one != other) & (one > 0) & (other > 0)).any()
    for plane in ids:
        sizes = np.bincount(ndimage.label(plane)[0].ravel())[1:]
        assert sizes.min() * voxel_size[1] ** 2 > 0.001


def test_it_looks_like_neuropil(drawn: module.Neurites) -> None:
    """Membranes are dark and a tenth to a third of the volume; values are whole greys."""
    pixels, interior = drawn.volume.pixels, drawn.instances > 0
    check_truth(drawn.volume, interior)
    assert 0.1 < (~interior).mean() < 0.35
    assert pixels[interior].mean() > pixels[~interior].mean() + 30
    assert pixels.min() >= 0 and pixels.max() <= 255 and (pixels == np.rint(pixels)).all()
    assert drawn.volume.voxel_size == (0.03, 0.006, 0.006)
    assert 0.002 < ((pixels < 100) & interior).mean() < 0.1  # mitochondria


def test_neurites_run_on_and_branch(drawn: module.Neurites) -> None:
    """They pass through many sections, and some are in more pieces in one of them than one."""
    ids = drawn.instances
    first, last = (set(np.unique(plane)) - {0} for plane in (ids[0], ids[8]))
    assert len(first & last) >= len(first) / 4
    same = (ids[1:] == ids[:-1])[(ids[1:] > 0) & (ids[:-1] > 0)].mean()
    assert 0.8 < same < 0.99
    pieces = [ndimage.label(plane == i)[1] for plane in ids for i in np.unique(plane) if i]
    assert max(pieces) > 1


def test_defects_are_told() -> None:
    """Dark and missing sections are so, misaligned ones lie beside; neurites go on through all."""
    whole, spoilt = (phantom.neurites((24, 90, 90), defects=d, seed=2) for d in (0, 0.4))
    assert whole.defects == {} and set(spoilt.defects.values()) == set(module.DEFECTS)
    usual = whole.volume.pixels.mean()
    for z, (clean, pixels) in enumerate(
        zip(whole.volume.pixels, spoilt.volume.pixels, strict=True)
    ):
        kind = spoilt.defects.get(z)
        if kind == "missing":
            assert not pixels.any()
        elif kind == "dark":
            assert 0 < pixels.mean() < usual / 2 and pixels.std() < clean.std() / 2
        is_same = ((whole.instances[z] > 0) == (spoilt.instances[z] > 0)).mean()
        assert is_same < 0.9 if kind == "misaligned" else is_same == 1
    assert abs(int(spoilt.instances.max()) - int(whole.instances.max())) <= 6


def test_all_sections_can_be_faulty() -> None:
    """A share of 1 is every section."""
    assert set(phantom.neurites((5, 30, 30), defects=1).defects) == set(range(5))


def test_blocks_have_the_candidates_they_need() -> None:
    """Pixels looked at by blocks are of the neurite that a search of their own finds."""
    rng = np.random.default_rng(0)
    shape, step = (5, 50, 61), 5.0
    knots = module._knots(shape, step, 40.0, rng)
    at = module._bent(shape, step, 40.0, rng)
    owner, depth = module._diagram(at, knots, step)
    z = np.broadcast_to(np.arange(5.0)[:, None, None] * step, shape)
    places = np.stack([z, *at, np.zeros(shape)], -1)
    nearest = knots[1][cKDTree(knots[0]).query(places)[1]]
    wrong = owner != nearest
    assert wrong.mean() < 1e-3
    assert depth.min() >= 0 and (depth[wrong] < 1).all()


def test_the_seed_decides() -> None:
    """The same seed gives the same phantom, another one another."""
    one, again = (phantom.neurites((3, 50, 60), seed=1) for _ in range(2))
    assert (one.volume.pixels == again.volume.pixels).all()
    assert (one.instances == again.instances).all() and one.defects == again.defects
    assert (one.instances != phantom.neurites((3, 50, 60), seed=2).instances).any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 300), (30, 9, 9)])
@pytest.mark.parametrize("voxel_size", [module.VOXEL_SIZE_UM, ISOTROPIC, (0.1, 0.003, 0.003)])
def test_any_shape(shape: tuple[int, int, int], voxel_size: tuple[float, float, float]) -> None:
    """Small and lengthy volumes are drawn, too."""
    found = phantom.neurites(shape, voxel_size=voxel_size)
    assert found.instances.shape == shape and found.volume.voxel_size == voxel_size


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shape": (100, 100)}, "three positive numbers"),
        ({"shape": (0, 10, 10)}, "three positive numbers"),
        ({"voxel_size": (0.03, 0.006, 0.005)}, "last two are equal"),
        ({"voxel_size": (0.006, 0.006)}, "expected three numbers in µm"),
        ({"voxel_size": (0.03, 0.02, 0.02)}, r"do not show membranes.*0.015 µm or less"),
        ({"defects": 1.5}, "share of sections from 0 to 1"),
    ],
)
def test_what_cannot_be(wrong: dict[str, object], words: str) -> None:
    """Planes, pixels that are no squares and shares above 1 are refused."""
    with pytest.raises(ValueError, match=words):
        phantom.neurites(**wrong)  # type: ignore[arg-type]
