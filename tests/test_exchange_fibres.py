"""Measured fibres for QuPath and ImageJ: each is its own object, called by its id in the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
from numpy.typing import NDArray

from axonlab import exchange, phantom
from axonlab.micrograph import CLASSES

MYELIN, AXON, BARE = CLASSES["myelin"], CLASSES["axon"], CLASSES["unmyelinated axon"]

# two fibres whose sheaths touch, one axon without myelin, and a sheath in two pieces
FIBRES = np.zeros((7, 12), np.int32)
FIBRES[0:5, 0:4], FIBRES[0:5, 4:8], FIBRES[0:2, 10:12] = 4, 9, 2
FIBRES[6, 0:5] = 7
AXONS = np.zeros_like(FIBRES)
AXONS[1:4, 1:3], AXONS[1:4, 5:7], AXONS[0:2, 10:12], AXONS[6, 1:4] = 4, 9, 2, 7


def classes_of(axons: NDArray[np.int32], fibres: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the class ids of fibres."""
    labels = np.where(axons > 0, AXON, np.where(fibres > 0, MYELIN, 0)).astype(np.uint8)
    bare = np.setdiff1d(axons, fibres[axons == 0])
    labels[np.isin(axons, bare[bare > 0])] = BARE
    return labels


def written(folder: Path, suffix: str) -> list[tuple[str, str]]:
    """Write the fibres; return classes and ids as the other program sees them."""
    path = exchange.write_fibres(folder / f"fibres{suffix}", AXONS, FIBRES)
    if suffix == ".zip":
        return [tuple(roi.name.split("-", 1)) for roi in roifile.roiread(path)]
    content: dict[str, Any] = json.loads(path.read_text())
    about = [feature["properties"] for feature in content["features"]]
    return [(each["classification"]["name"], each["name"]) for each in about]


@pytest.mark.parametrize("suffix", [".geojson", ".zip"])
def test_fibres_have_their_ids(suffix: str, tmp_path: Path) -> None:
    """Touching sheaths stay apart, a second piece of one says so, and classes are right."""
    assert sorted(written(tmp_path, suffix)) == [
        ("axon", "00004"),
        ("axon", "00007"),
        ("axon", "00009"),
        ("myelin", "00004"),
        ("myelin", "00007"),
        ("myelin", "00007-2"),
        ("myelin", "00009"),
        ("unmyelinated axon", "00002"),
    ]


@pytest.mark.parametrize("suffix", [".geojson", ".zip"])
def test_fibres_come_back_as_labels(suffix: str, tmp_path: Path) -> None:
    """Read as labels, every pixel has the class it had where no axons touch each other."""
    nerve = phantom.nerve((200, 300), modality="sem", seed=2)
    for name, axons, fibres in (("small", AXONS, FIBRES), ("nerve", nerve.axons, nerve.fibres)):
        path = exchange.write_fibres(tmp_path / f"{name}{suffix}", axons, fibres)
        labels = exchange.read(path, fibres.shape)
        assert (labels == classes_of(axons, fibres)).all()


def test_nothing_to_write(tmp_path: Path) -> None:
    """Without fibres there is a file without objects."""
    nothing = np.zeros((3, 4), np.int32)
    path = exchange.write_fibres(tmp_path / "none.geojson", nothing, nothing)
    assert json.loads(path.read_text())["features"] == []


def test_errors(tmp_path: Path) -> None:
    """Other suffixes, other shapes and files that are there are refused."""
    with pytest.raises(ValueError, match=r"written as \.geojson \(QuPath\) or \.zip \(ImageJ\)"):
        exchange.write_fibres(tmp_path / "a.tif", AXONS, FIBRES)
    with pytest.raises(ValueError, match=r"\(7, 12\) and fibres of \(12, 7\)"):
        exchange.write_fibres(tmp_path / "a.zip", AXONS, FIBRES.T)
    exchange.write_fibres(tmp_path / "a.zip", AXONS, FIBRES)
    with pytest.raises(FileExistsError):
        exchange.write_fibres(tmp_path / "a.zip", AXONS, FIBRES)
