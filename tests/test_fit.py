"""A fit in a thread: it is resumed bit for bit, stopped, and leaves a model with its card."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from axonlab import phantom
from axonlab.fit import alone_in
from axonlab.membrane_training import MembraneSettings, membrane_fit, predict_interior
from axonlab.models import load_model
from axonlab.window_net import WindowNet

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = {"patch": 32, "batch": 2, "patches_per_section": 2, "valid": [3], "epochs": 2}


@pytest.fixture(scope="module")
def drawn():
    """Return four small sections and their truth."""
    return phantom.membranes((4, 64, 72), seed=0)


def fit_of(drawn, folder, **changes):
    """Return a fit of tiny patches."""
    return membrane_fit(drawn.volume, drawn.interior, MembraneSettings(**TINY | changes), folder)


def stop_after(job, steps):
    """Stop a job as soon as it has done so many steps."""

    def look():
        if job.done >= steps and not job.stopping.is_set():
            job.stop()

    job.listeners.append(look)


def weights_of(path):
    """Return the weights of a model file."""
    return load_model(path).network.state_dict()


@pytest.mark.parametrize("network", ["U-Net", "N4 65"])
def test_a_fit_goes_on_bit_for_bit(drawn, tmp_path, network):
    """Stopped in its second epoch and begun again, it ends with the same weights."""
    whole = fit_of(drawn, tmp_path / "whole", network=network).go_on().wait()
    halved = fit_of(drawn, tmp_path / "halved", network=network)
    stop_after(halved.job, 4)  # of 3 steps in an epoch
    first = weights_of(halved.go_on().wait())
    assert len(halved.history) == 1
    again = fit_of(drawn, tmp_path / "halved", network=network)
    last = weights_of(again.go_on().wait())
    expected = weights_of(whole)
    assert all(torch.equal(expected[name], last[name]) for name in expected)
    assert any(not torch.equal(expected[name], first[name]) for name in expected)


def test_what_a_fit_leaves(drawn, tmp_path):
    """The card knows classes, pixel size, sections and curve; nothing is trained twice."""
    fit = fit_of(drawn, tmp_path / "mine", border=1.0)
    path = fit.go_on().wait()
    card = load_model(path).card
    assert (card.name, card.classes, card.pixel_size) == ("mine", ["membrane", "interior"], 0.004)
    assert card.training["valid"] == [3] and card.training["steps"] == 6
    assert len(card.training["curve"]["valid_loss"]) == 2
    made = path.stat().st_mtime_ns
    before = weights_of(path)
    fit_of(drawn, tmp_path / "mine", border=1.0).go_on().wait()
    assert path.stat().st_mtime_ns >= made
    assert all(torch.equal(before[name], now) for name, now in weights_of(path).items())


def test_a_fit_that_was_stopped_is_left_alone(drawn, tmp_path):
    """Stopped before its first epoch is over it says that nothing is kept, and is not restarted."""
    fit = fit_of(drawn, tmp_path)
    stop_after(fit.job, 0)
    with pytest.raises(RuntimeError, match="nothing is kept"):
        fit.go_on().wait()
    assert not fit.model_file.exists()
    with pytest.raises(RuntimeError, match="nothing is kept"):
        fit.go_on().wait()


def test_other_settings_do_not_go_on(drawn, tmp_path):
    """A checkpoint of another rate is refused and named; more epochs go on."""
    fit_of(drawn, tmp_path, epochs=1).go_on().wait()
    with pytest.raises(ValueError, match=r"learning_rate: 0.005 there, 0.001 here"):
        fit_of(drawn, tmp_path, learning_rate=1e-3)
    fit = fit_of(drawn, tmp_path, epochs=2)
    fit.go_on().wait()
    assert len(fit.history) == 2


def test_other_data_do_not_go_on(drawn, tmp_path):
    """A truth that was corrected since is named; what was trained is kept."""
    path = fit_of(drawn, tmp_path, epochs=1).go_on().wait()
    corrected = drawn.interior.copy()
    corrected[0, :3] = True
    settings = MembraneSettings(**TINY)
    fit = membrane_fit(drawn.volume, corrected, settings, tmp_path)
    with pytest.raises(ValueError, match=f"changed since then: truth of {drawn.volume.name}"):
        fit.go_on().wait()
    assert path.exists() and len(fit.history) == 1


def test_a_foreign_model_is_not_overwritten(drawn, tmp_path):
    """A model file without a checkpoint belongs to something else."""
    (tmp_path / "model.safetensors").write_bytes(b"somebody's")
    with pytest.raises(ValueError, match="no training to go on with"):
        fit_of(drawn, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == b"somebody's"


def test_stopped_without_validation(drawn, tmp_path):
    """No epoch is called the best where no section is kept for validation."""
    fit = fit_of(drawn, tmp_path, valid=[])
    stop_after(fit.job, 5)  # of 4 steps in an epoch
    card = load_model(fit.go_on().wait()).card
    assert card.training["weights"] == "epoch 1, the last whole one"


def test_two_in_one_folder(drawn, tmp_path):
    """A second training in the same folder is told of the first."""
    with alone_in(tmp_path), pytest.raises(RuntimeError, match="Another training is running"):
        fit_of(drawn, tmp_path).go_on().wait()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "N5"}, "No network 'N5', there are N4, "),
        ({"epochs": 0}, "epochs: 0 given, expected 1 or more"),
        ({"batch": 7}, "6 patches, fewer than a batch of 7"),
        ({"valid": range(4)}, "leave some to train on"),
    ],
)
def test_settings_that_cannot_be(drawn, tmp_path, changes, message):
    """They are told before anything is trained."""
    with pytest.raises(ValueError, match=message):
        fit_of(drawn, tmp_path, **changes)


def test_the_published_network_is_the_default_n4(drawn, tmp_path):
    """N4 has the window of 95 and, as it is trained here, all of it as context."""
    network = fit_of(drawn, tmp_path, network="N4").card.build()
    assert isinstance(network, WindowNet) and network.window == 95


def test_interior_of_sections(drawn, tmp_path):
    """Each section alone gives the same numbers; a model of nerves is refused."""
    model = fit_of(drawn, tmp_path).go_on().wait()
    every = predict_interior(drawn.volume, model)
    assert every.shape == drawn.volume.pixels.shape and every.dtype == np.float32
    np.testing.assert_array_equal(predict_interior(drawn.volume, model, [2])[0], every[2])
    turned = predict_interior(drawn.volume, model, [2], test_time_augmentation=True)[0]
    assert 0 < np.abs(turned - every[2]).max() < 0.5
    with pytest.raises(ValueError, match="expected membrane and interior"):
        predict_interior(drawn.volume, "sem")
