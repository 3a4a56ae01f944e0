"""Samples by name: phantoms that come with axonlab, and public data sets."""

from __future__ import annotations

import json
import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pooch
from numpy.typing import NDArray

from axonlab.io import read_image, read_labels
from axonlab.micrograph import Micrograph
from axonlab.volume import (
    Volume,
    check_same_sections,
    check_same_shape,
    check_truth,
    number_sections,
    read_interior,
    read_stack,
)
from axonlab.volume_files import read_supervoxels

DATA_VARIABLE = "AXONLAB_DATA"
"""Environment variable naming a folder that already holds data sets: nothing is downloaded."""

_COMPLETE = ".complete"  # file that marks a data set whose download has finished
_PACKAGE = Path(__file__).parent
# beside the modules when installed from a wheel, at the top of the project otherwise
_BUNDLED = next(
    folder
    for folder in (_PACKAGE / "data_samples", _PACKAGE.parent / "data_samples")
    if folder.is_dir()
)


def names() -> list[str]:
    """Return the names of the sample micrographs, real ones first."""
    return list(_catalogue()["samples"])


def at_hand() -> list[str]:
    """Return the names of the samples that need no download, real ones first."""
    return [name for name in names() if _is_at_hand(_sample(name))]


def datasets() -> pd.DataFrame:
    """Return what public data there is: one row per data set, with licence and citation."""
    columns = ["title", "pixel_size_um", "labels", "licence", "citation", "split", "url"]
    table = pd.DataFrame.from_dict(_catalogue()["datasets"], orient="index")
    table["url"] = table["url"].fillna("https://github.com/" + table["repository"])
    return table[columns].rename_axis("name")


def volume_names() -> list[str]:
    """Return the names of the sample volumes, real ones first."""
    return list(_catalogue()["volumes"])


def volumes_at_hand() -> list[str]:
    """Return the names of the volumes that need no download, real ones first."""
    return [name for name in volume_names() if _is_at_hand(_catalogue()["volumes"][name])]


def load(name: str) -> Micrograph | Volume:
    """Return a sample: a micrograph, or a volume where it is one of `volume_names`.

    A real sample that is not at hand is downloaded with its data set. If that fails, a warning
    says so, and a bundled phantom that looks like it is returned instead. A volume has the
    sections whose files lie there.

    Raises
    ------
    ValueError
        If there is no such sample, or its files are not as they should be: sections missing or
        of several shapes.
    FileNotFoundError
        If the folder of a volume holds no sections.
    ConnectionError
        If there is no phantom that looks like it.
    """
    folder, sample = _locate(name)
    if "drawn" in sample:
        return _drawn(sample)[0]
    if "images" in sample:
        paths = folder.glob(sample["images"])
        return read_stack(paths, voxel_size=tuple(sample["voxel_size_um"]), name=name)
    return read_image(folder / sample["image"])


def load_truth(name: str) -> NDArray[np.bool_] | NDArray[np.int32]:
    """Return the truth of a sample volume: where it is interior, or whose voxel it is.

    Sections are those of `load`. It is replaced, like them, by that of a phantom when the data set
    is out of reach.

    Returns
    -------
    (Z, Y, X) array
        Boolean, True in cells and False on membranes, where the data set has masks of membranes,
        whatever their values are; int32 ids of neurons from 1 to n, and 0 for none, where it tells
        neurons apart (``"fib25"``).

    Raises
    ------
    ValueError
        If there is no such volume, or its files are not as they should be: sections without a
        mask, shapes or values that do not fit, masks that are inverted.
    FileNotFoundError, ConnectionError
        As for `load`.
    """
    if name not in volume_names():
        known = ", ".join(volume_names())
        raise ValueError(f"No volume {name!r}, there are {known}. load_labels has the others'.")
    folder, sample = _locate(name)
    if "drawn" in sample:
        return _drawn(sample)[1]
    volume = load(name)
    assert isinstance(volume, Volume)
    if "instances" in sample:
        instances = read_supervoxels(folder / sample["instances"])
        check_same_shape(volume, instances)
        return instances
    images, masks = (number_sections(folder.glob(sample[kind])) for kind in ("images", "masks"))
    check_same_sections(images, masks)
    interior = read_interior(masks.values(), membrane=sample["membrane"])
    check_truth(volume, interior)
    return interior


def load_labels(name: str) -> NDArray[np.uint8]:
    """Return the manual labels of a real sample, the true ones of a phantom, as class ids.

    Replaced, like the image by `load`, by those of a phantom when the data set is out of reach.
    """
    if name in volume_names():
        raise ValueError(f"{name!r} is a volume: load_truth has its truth.")
    folder, sample = _locate(name)
    return read_labels(*(folder / mask for mask in sample["masks"]))


def fetch(dataset: str) -> Path:
    """Return the folder of a data set, downloading it to the user's cache where necessary.

    Files are checked by their SHA-256 and are not downloaded twice. The cache can be moved with
    the environment variable AXONLAB_CACHE.

    Parameters
    ----------
    dataset : str
        A name from `datasets`, or ``"phantoms"``: the bundled ones.

    Raises
    ------
    ValueError
        If there is no such data set, or it can only be downloaded by hand.
    ConnectionError
        If the download failed.
    """
    local = local_folder(dataset)
    if local is not None:
        return local
    entry = _catalogue()["datasets"][dataset]
    if "files" not in entry:
        raise ValueError(f"{dataset!r} must be downloaded by hand, from {entry['url']}.")
    store = pooch.create(
        path=cache_folder() / dataset,
        base_url=entry["base_url"],
        registry=entry["files"],
        retry_if_failed=1,
    )
    try:
        for file in entry["files"]:
            store.fetch(file)
    except (OSError, ValueError) as error:  # no network, no space, a file that is not the one
        raise ConnectionError(
            f"{dataset!r} could not be downloaded from {entry['base_url']} ({error}). Try again "
            f"with a network, or set {DATA_VARIABLE} to a folder that holds {dataset}/."
        ) from error
    (store.abspath / _COMPLETE).touch()
    return Path(store.abspath)


def local_folder(dataset: str) -> Path | None:
    """Return the folder of a data set that already lies on this machine, None if none does.

    Parameters
    ----------
    dataset : str
        A name from `datasets`, or ``"phantoms"``.

    Raises
    ------
    ValueError
        If there is no such data set.
    """
    if dataset == "phantoms":
        return _BUNDLED / dataset
    if dataset not in _catalogue()["datasets"]:
        known = ", ".join(_catalogue()["datasets"])
        raise ValueError(f"No data set {dataset!r}, there are phantoms, {known}.")
    given = os.environ.get(DATA_VARIABLE)
    if given:
        if not Path(given).is_dir():
            raise ValueError(f"{DATA_VARIABLE} is {given!r}, which is not a folder. Correct it.")
        if (Path(given) / dataset).is_dir():
            return Path(given).resolve() / dataset
    downloaded = cache_folder() / dataset
    return downloaded if (downloaded / _COMPLETE).exists() else None


def bundled(name: str) -> Path:
    """Return the path of a file that comes with axonlab, ``"strokes/mouse-nerve.json"``."""
    return _BUNDLED / name


def _locate(name: str) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a sample's data set, and the sample or its stand-in."""
    sample = _sample(name)
    try:
        return fetch(sample["dataset"]), sample
    except ConnectionError as error:
        bundled = _catalogue()["datasets"][sample["dataset"]].get("bundled")
        if bundled is None:
            raise
        warnings.warn(f"{error} The bundled sample {bundled!r} is used instead.", stacklevel=3)
        return fetch("phantoms"), _sample(bundled)


def _drawn(sample: dict[str, Any]) -> tuple[Volume, NDArray[np.bool_] | NDArray[np.int32]]:
    from axonlab import neurites, neuropil  # need SciPy, which reading does without

    shape, seed = tuple(sample["shape"]), sample["seed"]
    if sample["drawn"] == "membranes":
        sections = neuropil.membranes(shape, seed=seed)
        return sections.volume, sections.interior
    tissue = neurites.neurites(shape, seed=seed)
    return tissue.volume, tissue.instances


def _is_at_hand(sample: dict[str, Any]) -> bool:
    folder = local_folder(sample["dataset"])
    if folder is None:
        return False
    pattern: str | None = sample.get("images")
    if pattern is not None:
        return any(folder.glob(pattern))
    return "drawn" in sample or (folder / sample["image"]).is_file()


def _sample(name: str) -> dict[str, Any]:
    samples: dict[str, dict[str, Any]] = _catalogue()["samples"] | _catalogue()["volumes"]
    if name not in samples:
        raise ValueError(f"No sample {name!r}, there are {', '.join(samples)}.")
    return samples[name]


def cache_folder() -> Path:
    """Return the folder of downloaded data sets, which AXONLAB_CACHE moves."""
    return Path(os.environ.get("AXONLAB_CACHE") or pooch.os_cache("axonlab"))


@cache
def _catalogue() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_BUNDLED / "catalogue.json").read_text(encoding="utf-8"))
    return content
