"""Bad data sets as people meet them: from a folder to pairs, findings and a training."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axonlab import io, networks
from axonlab.dataset import check_dataset, refuse
from axonlab.micrograph import UNLABELLED
from axonlab.models import load_model
from axonlab.pairs import Pair, find_pairs
from axonlab.training import Settings, Training

pytestmark = pytest.mark.usefixtures("one_thread", "tiny")

SIZE = 0.2
SETTINGS: dict[str, Any] = {
    "pixel_size": SIZE,
    "valid_animals": ["sub-b"],
    "size": "tiny",
    "epochs": 1,
    "patches_per_image": 2,
    "batch": 2,
    "patch": 32,
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer a tiny network."""
    monkeypatch.setitem(networks.SIZES, "tiny", (4, 8))


def find(folder: Path) -> list[Pair]:
    """Return the pairs of a folder, of which nothing is to be told."""
    with warnings.catch_warnings(action="error"):
        return find_pairs(folder)


def severe(pairs: list[Pair], **changes: Any) -> list[str]:
    """Return the names of the severe findings, for which training is refused."""
    settings = {"pixel_size": SIZE, "valid_animals": ["sub-b"]} | changes
    findings = check_dataset(pairs, **settings)
    names = findings.loc[findings["severity"] == "severe", "name"].tolist()
    if names:
        with pytest.raises(ValueError, match=f"{len(names)} severe findings in the data set"):
            refuse(findings)
        refuse(findings, allow=names)
    else:
        refuse(findings)
    return names


def train(pairs: list[Pair], folder: Path, **changes: Any) -> Training:
    """Train for an epoch in spite of everything."""
    made = Training(pairs, Settings(**(SETTINGS | changes)), folder / "run")
    made.complete()
    return made


def relabel(pair: Pair, ids: np.ndarray) -> None:
    """Replace a mask by another one, of class ids."""
    io.write_labels(pair.masks[0], ids.astype(np.uint8), overwrite=True)


def test_no_pairs(bids: Path, tmp_path: Path) -> None:
    """An empty folder, and no pairs handed on in spite of it: every step says what is missing."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no pair of image and mask found.*\n.*Expected one of"):
        find(tmp_path / "empty")
    with pytest.raises(ValueError, match="No pairs of image and mask to check"):
        severe([])
    with pytest.raises(ValueError, match="No image to train on"):
        train([], tmp_path)


def test_one_image(bids: Path, tmp_path: Path) -> None:
    """It is found out that nothing is left to train on; without validation it can be trained."""
    pairs = find(bids)[2:3]
    assert severe(pairs) == ["no training"]
    with pytest.raises(ValueError, match=r"No image to train on: .*'sub-b'.* Choose fewer"):
        train(pairs, tmp_path)
    assert severe(pairs, valid_animals=[]) == []
    made = train(pairs, tmp_path, valid_animals=[])
    assert load_model(made.model_file).card.training["images"] == 1


def test_a_class_missing_everywhere(bids: Path, tmp_path: Path) -> None:
    """It is severe; a training in spite of it has no Dice for the class, and no other harm."""
    pairs = find(bids)
    for pair in pairs:
        labels = io.read_labels(*pair.masks)
        relabel(pair, np.where(labels == 2, 1, labels))
    assert severe(pairs) == ["missing class"]
    made = train(pairs, tmp_path, epochs=2, patience=1)
    assert made.history["dice_axon"].fillna(0).eq(0).all()
    assert np.isfinite(made.history["valid_loss"].astype(float)).all()
    assert made.model_file.is_file()


def test_a_class_missing_from_validation(bids: Path, tmp_path: Path) -> None:
    """Its Dice is unknown as long as nobody sees it there, and the curve is still written."""
    pairs = find(bids)
    for pair in pairs[2:4]:
        relabel(pair, np.zeros_like(io.read_labels(*pair.masks)))
    assert severe(pairs) == ["empty", "empty"]
    made = train(pairs, tmp_path)
    card = load_model(made.model_file).card
    assert card.training["curve"]["epoch"] == [0]
    assert (made.folder / "curve.csv").is_file()


def test_images_smaller_than_the_patch(bids: Path, tmp_path: Path) -> None:
    """They are mirrored, which is a note, and can be trained on."""
    pairs = find(bids)
    assert severe(pairs) == []
    made = train(pairs, tmp_path, patch=128)
    pixels, labels = made.preview()
    assert pixels.shape == labels.shape == (2, 128, 128)
    assert (labels == UNLABELLED).any()
    assert (labels != UNLABELLED).any()
    assert np.isfinite(made.losses).all()


def test_a_mask_of_nothing_but_255(bids: Path, tmp_path: Path) -> None:
    """An unlabelled image among others is severe, and teaches nothing; so do they all."""
    pairs = find(bids)
    relabel(pairs[0], np.full((60, 72), UNLABELLED))
    assert severe(pairs) == ["unlabelled"]
    assert np.isfinite(train(pairs, tmp_path / "one").losses).all()
    for pair in pairs:
        relabel(pair, np.full((60, 72), UNLABELLED))
    assert severe(pairs)[:6] == ["unlabelled"] * 6
    assert train(pairs, tmp_path / "all").losses == [0, 0, 0, 0]


def test_a_corrupted_file_in_the_middle(bids: Path, tmp_path: Path) -> None:
    """It is named before a training, and by one that meets it; made whole, it is trained on."""
    pairs = find(bids)
    whole = pairs[4].image.read_bytes()
    pairs[4].image.write_bytes(whole[: len(whole) // 2])
    assert severe(pairs) == ["unreadable"]
    made = Training(pairs, Settings(**SETTINGS), tmp_path / "run")
    with pytest.raises((OSError, ValueError), match=pairs[4].image.name):
        made.complete()
    pairs[4].image.write_bytes(whole)
    assert made.complete().is_file()


@pytest.mark.parametrize("absurd", [200.0, 0.0002])
def test_an_absurd_pixel_size(bids: Path, tmp_path: Path, absurd: float) -> None:
    """Nanometres taken for micrometres, or metres, are refused with the file they are in."""
    pairs = find(bids)
    sidecar = pairs[0].image.with_suffix(".json")
    io.write_json(sidecar, {"PixelSize": [absurd] * 2}, overwrite=True)
    assert severe(pairs) == ["unreadable"]
    with pytest.raises(ValueError, match=rf"{pairs[0].image.name}.*pixel size of {absurd:g} µm"):
        train(pairs, tmp_path)


def test_a_network_at_an_absurd_pixel_size(bids: Path, tmp_path: Path) -> None:
    """It is refused at once, by whoever is told."""
    for absurd in (0.0, -0.1, 200.0, float("nan")):
        with pytest.raises(ValueError, match="pixel size"):
            severe(find(bids), pixel_size=absurd)
        with pytest.raises(ValueError, match="pixel size"):
            train(find(bids), tmp_path, pixel_size=absurd)
