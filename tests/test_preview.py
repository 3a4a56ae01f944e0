"""Crops at the resolution of a model: what a run will make of them, and what is doubtful."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axonlab import io, models, pairs, phantom, preview, segment
from axonlab.micrograph import Micrograph
from axonlab.preview import SIDE, Crop, Preview

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def nerve() -> Micrograph:
    """Return a nerve of 50 by 60 µm."""
    return phantom.nerve((500, 600), seed=3).micrograph


@pytest.fixture(scope="module")
def sem() -> models.Model:
    """Return the model for such nerves."""
    return models.load_model("sem")


def look(micrograph: Micrograph, model: models.Model, place: preview.Place | None = None) -> Crop:
    """Return a crop."""
    return Preview(micrograph, model).segment(place, tell=lambda share: None)


def test_a_crop_is_as_the_run_will_see_it(nerve: Micrograph, sem: models.Model) -> None:
    """Away from its edges it is the same as in the whole image."""
    crop = look(nerve, sem, (0.0, 1.0))
    whole = segment.segment(nerve, sem).labels[:SIDE, -SIDE:]
    inner = slice(60, -60)
    assert (crop.labels[inner, inner] == whole[inner, inner]).mean() > 0.998
    assert crop.labels.shape == crop.micrograph.pixels.shape == (SIDE, SIDE)
    assert crop.micrograph.pixel_size == 0.1 and crop.place == (0.0, 1.0)
    assert crop.doubt == ""
    assert crop.fibre_diameter == pytest.approx(2.4, rel=0.2)


def test_the_first_crop_is_where_the_image_shows_most(nerve: Micrograph, sem: models.Model) -> None:
    """Nerve in a corner of a large dark field, seen from afar, is found."""
    field = np.random.default_rng(0).normal(9, 2, (1500, 1400)).astype(np.float32)
    field[1000:, 800:] = nerve.pixels
    crop = look(Micrograph(field, 0.1), sem)
    assert crop.place[0] > 0.85 and crop.place[1] > 0.75
    assert len(crop.fibres) > 100


@pytest.mark.parametrize("claimed", [0.005, 0.02, 0.5])
def test_a_wrong_pixel_size_is_doubted(
    nerve: Micrograph, sem: models.Model, claimed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The doubt tells what was found, and in the first crop which size fits; the claim stays."""
    wrong = replace(nerve, pixel_size=claimed)
    first = look(wrong, sem)
    assert f"{claimed:g} µm per pixel" in first.doubt
    assert first.doubt.endswith("finds most at about 0.1 µm per pixel.")
    assert (first.pixel_size, first.pixel_size_source) == (claimed, "caller")
    monkeypatch.setattr(preview, "try_scales", None)  # it takes seconds
    moved = look(wrong, sem, (0.5, 0.5))
    assert moved.doubt and "Tried at other scales" not in moved.doubt


def test_real_images_are_not_doubted(data_folder: Path) -> None:
    """At their true pixel sizes, those of the models' own data; at a quarter of it they are."""
    for name, dataset in (("sem", "rat-sem"), ("tem", "mouse-tem")):
        model = models.load_model(name)
        path = pairs.find_pairs(data_folder / dataset)[-1].image
        micrograph = io.read_image(path)
        assert look(micrograph, model).doubt == ""
        small = replace(micrograph, pixel_size=micrograph.pixel_size / 4)
        assert look(small, model, (0.5, 0.5)).doubt


def test_an_image_of_nothing(sem: models.Model) -> None:
    """Filler has no fibres at any scale; nothing breaks."""
    crop = look(Micrograph(np.zeros((60, 70)), 0.1), sem)
    assert crop.fibres.empty and not crop.labels.any()
    assert crop.doubt.endswith("is this the pixel size of the image?")


def test_large_pixels_are_not_enlarged_as_a_whole(
    nerve: Micrograph, sem: models.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pixel size ten times too large takes no more memory than the image."""
    shapes = []
    resize = preview.resize
    monkeypatch.setattr(preview, "resize", lambda p, s: shapes.append(s) or resize(p, s))
    look(replace(nerve, pixel_size=1.0), sem, (0.2, 0.2))
    assert max(map(max, shapes)) <= SIDE


@pytest.mark.parametrize("pixel_size", [0.001, 5])
def test_absurd_pixel_sizes_are_refused(
    nerve: Micrograph, sem: models.Model, pixel_size: float
) -> None:
    """As they are by a segmentation."""
    with pytest.raises(ValueError, match=r"too far from the 0\.1 µm"):
        Preview(replace(nerve, pixel_size=pixel_size), sem)


def test_all_orientations_in_a_preview(nerve: Micrograph, sem: models.Model) -> None:
    """The option is used, and told as one work."""
    shares: list[float] = []
    seen = Preview(nerve, sem)
    turned = seen.segment((0.5, 0.5), tell=shares.append, test_time_augmentation=True)
    assert shares == pytest.approx(np.arange(1, 9) / 8)
    assert 0 < (turned.labels != look(nerve, sem, (0.5, 0.5)).labels).mean() < 0.05
