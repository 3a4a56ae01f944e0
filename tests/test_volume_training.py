"""Trainings on volumes: what they leave can be read and used, and goes on."""

from __future__ import annotations

import pytest

from axonlab import phantom
from axonlab.affinities import NEAREST, offsets_of
from axonlab.models import describe, load_model
from axonlab.volume import normalise_sections
from axonlab.volume_predict import predict_affinities, predict_boundaries
from axonlab.volume_training import VolumeSettings, volume_fit

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = {"valid": [0, 12, 16], "patches": 2, "epochs": 1, "patch": (4, 16, 16), "features": (2, 3)}
FAR = [*NEAREST, (0, -4, 0)]


@pytest.fixture(scope="module")
def drawn():
    """Return a small volume and its neurites."""
    return phantom.neurites((16, 48, 56), voxel_size=(0.03, 0.006, 0.006), seed=0)


def test_affinities_of_a_model_file(drawn, tmp_path):
    """The card tells offsets and voxel size; the file gives affinities of a volume."""
    settings = VolumeSettings(**TINY, offsets=FAR)
    path = volume_fit(drawn.volume, drawn.instances, settings, tmp_path / "far").go_on().wait()
    model = load_model(path)
    assert offsets_of(model.card.classes) == FAR
    assert (model.card.pixel_size, model.card.section_distance) == (0.006, 0.03)
    assert model.network.steps == [(1, 2, 2)]
    assert "0.03 µm" in describe(model) and "affinity 0 -4 0" in describe(model)
    found = predict_affinities(model, normalise_sections(drawn.volume))
    assert found.shape == (4, 16, 48, 56) and 0 <= found.min() < found.max() <= 1


def test_without_validation(drawn, tmp_path):
    """Everything is trained on, and nothing is told of what was not seen."""
    settings = VolumeSettings(**TINY | {"valid": None})
    fit = volume_fit(drawn.volume, drawn.instances, settings, tmp_path)
    card = load_model(fit.go_on().wait()).card
    assert card.training["curve"]["valid_loss"] == [None] and card.training["valid"] is None


def test_boundaries_of_a_model_file(drawn, tmp_path):
    """Three sections go in, the boundaries of the middle one come out."""
    settings = VolumeSettings(**TINY, sections=3)
    path = volume_fit(drawn.volume, drawn.instances, settings, tmp_path / "thin").go_on().wait()
    model = load_model(path)
    assert model.card.classes == ["boundary"]
    found = predict_boundaries(model, normalise_sections(drawn.volume))
    assert found.shape == drawn.instances.shape


def test_more_epochs_go_on(drawn, tmp_path):
    """A second epoch begins where the first one ended."""
    for epochs in (1, 2):
        settings = VolumeSettings(**TINY | {"epochs": epochs})
        fit = volume_fit(drawn.volume, drawn.instances, settings, tmp_path)
        card = load_model(fit.go_on().wait()).card
        assert card.training["steps"] == len(fit.history) == epochs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs: 0 given"),
        ({"patches": 1, "batch": 2}, "1 patches in an epoch, fewer than a batch of 2"),
        ({"valid": [3, 0, 2]}, r"valid: \[3, 0, 2\] given, expected axis"),
        ({"offsets": [(1, 0, 0)]}, "expected three whole numbers"),
        ({"valid": [0, 0, 16]}, "with some left to train on"),
        ({"patch": (4, 64, 16)}, "leaves no room for patches"),
    ],
)
def test_settings_that_cannot_be(drawn, tmp_path, changes, message):
    """They are told before anything is trained."""
    with pytest.raises(ValueError, match=message):
        volume_fit(
            drawn.volume, drawn.instances, VolumeSettings(**TINY | changes), tmp_path / "wrong"
        )
