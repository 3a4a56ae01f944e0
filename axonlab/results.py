"""What segmenting a micrograph leaves in a folder: all of it at once, or nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from axonlab import plot
from axonlab.formats import encode_tiff
from axonlab.io import (
    read_labels,
    read_objects,
    write_bytes,
    write_image,
    write_json,
    write_labels,
    write_objects,
    write_table,
)
from axonlab.measure import measure_fibres
from axonlab.micrograph import Micrograph
from axonlab.objects import label_fibres
from axonlab.scale import LEARNT_DIAMETER_UM, doubt_pixel_size
from axonlab.segment import Segmentation, entropy
from axonlab.validity import check_fibres, review_queue

PRODUCTS = (
    "labels.png",
    "axons.tif",
    "fibres.tif",
    "fibres.csv",
    "overlay.png",
    "uncertainty.tif",
    "provenance.json",
)
"""The files of a result."""

BITS_STEP = 1 / 256
"""To which the uncertainty in a file is rounded: finer differences are noise, and do not shrink."""


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Result:
    """A segmented and measured micrograph.

    Parameters
    ----------
    micrograph : Micrograph
    labels : (H, W) uint8 array
        Class ids.
    axons, fibres : (H, W) int32 array
        From `axonlab.objects.label_fibres`.
    uncertainty : (H, W) float32 array
        `axonlab.segment.entropy` in bits.
    table : DataFrame
        From `axonlab.measure.measure_fibres`, and the mean ``uncertainty_bits`` of every fibre.
    provenance : dict
    """

    micrograph: Micrograph
    labels: NDArray[np.uint8] = field(repr=False)
    axons: NDArray[np.int32] = field(repr=False)
    fibres: NDArray[np.int32] = field(repr=False)
    uncertainty: NDArray[np.float32] = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    provenance: dict[str, Any] = field(repr=False)


def measure(
    micrograph: Micrograph, segmentation: Segmentation, *, min_axon_diameter: float = 0.0
) -> Result:
    """Number and measure the fibres of a segmentation, with what the model is unsure of.

    Parameters
    ----------
    micrograph : Micrograph
    segmentation : Segmentation
        Of this micrograph.
    min_axon_diameter : float
        In µm; what is smaller is taken for a speck.
    """
    size, labels = micrograph.pixel_size, segmentation.labels
    axons, fibres = label_fibres(labels, pixel_size=size, min_axon_diameter=min_axon_diameter)
    table = measure_fibres(axons, fibres, pixel_size=size)
    uncertainty = entropy(segmentation.probabilities)
    table["uncertainty_bits"] = ndimage.mean(uncertainty, fibres, table["fibre_id"])
    learnt = LEARNT_DIAMETER_UM.get(segmentation.provenance["model"])
    provenance = segmentation.provenance | {
        "min_axon_diameter_um": min_axon_diameter,
        "fibres": len(table),
        "uncertainty_bits": round(float(uncertainty.mean()), 4),
        "pixel_size_doubt": doubt_pixel_size(table, pixel_size=size, learnt_diameter=learnt),
    }
    return Result(micrograph, labels, axons, fibres, uncertainty, table, provenance)


def write_result(folder: str | Path, result: Result) -> None:
    """Write the `PRODUCTS` of a micrograph; a result that is there is replaced.

    They are written to a folder beside, which then takes the name: a crash leaves either nothing
    or all.

    Raises
    ------
    FileExistsError
        If the folder holds anything else, such as corrections.
    """
    folder = Path(folder)
    kept = strangers(folder)
    if kept:
        raise FileExistsError(
            f"{folder} holds {kept[0]}, which is not of a segmentation, and is left alone. Choose "
            "another folder, or move it away."
        )
    part, before = (folder.with_name(f".{folder.name}.{what}") for what in ("part", "before"))
    for left in (part, before):  # by a crash
        shutil.rmtree(left, ignore_errors=True)
    try:
        _write_products(part, result)
        if folder.exists():
            folder.rename(before)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)


def review(folder: str | Path) -> pd.DataFrame:
    """Return which fibres of a result to look at first, and why.

    Parameters
    ----------
    folder : path
        Of a result, also one with corrections.

    Returns
    -------
    DataFrame
        From `axonlab.validity.review_queue`, with the rows of the fibres in the table.
    """
    folder = Path(folder)
    labels = read_labels(folder / "labels.png")
    axons, fibres = (read_objects(folder / f"{what}.tif") for what in ("axons", "fibres"))
    table = pd.read_csv(folder / "fibres.csv")
    queue = review_queue(table, check_fibres(labels, axons, fibres, table))
    return queue.merge(table, on="fibre_id", how="left")


def read_provenance(folder: str | Path) -> dict[str, Any]:
    """Return the provenance in the folder of a result, empty where there is no whole result."""
    folder = Path(folder)
    if not all((folder / name).is_file() for name in PRODUCTS):
        return {}
    try:
        content = json.loads((folder / "provenance.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def strangers(folder: str | Path) -> list[str]:
    """Return the names of what is in a folder beside `PRODUCTS`."""
    folder = Path(folder)
    if not folder.is_dir():
        return [folder.name] if folder.exists() else []
    return sorted(path.name for path in folder.iterdir() if path.name not in PRODUCTS)


def _write_products(folder: Path, result: Result) -> None:
    size = result.micrograph.pixel_size
    rounded = np.round(result.uncertainty / BITS_STEP) * np.float32(BITS_STEP)
    write_labels(folder / "labels.png", result.labels)
    write_objects(folder / "axons.tif", result.axons, pixel_size=size)
    write_objects(folder / "fibres.tif", result.fibres, pixel_size=size)
    write_table(folder / "fibres.csv", result.table)
    write_image(folder / "overlay.png", plot.overlay(result.micrograph, result.labels))
    write_bytes(folder / "uncertainty.tif", encode_tiff(rounded, pixel_size=size))
    write_json(folder / "provenance.json", result.provenance)
