"""What one image and its mask show, in numbers that judge them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from axonlab.micrograph import CLASSES, Micrograph, intensity_range

_MIN_LABELLED = 0.95  # share of an image, to hold whole fibres rather than scribbles
_MIN_AXONS, _MIN_AXON_PX, _MIN_PX = 5, 10, 100  # below, too little to judge by
_MIN_CONTRAST = 0.05  # of the range of grey values


@dataclass(frozen=True)
class Facts:
    """What is kept of a pair that has been read."""

    file: str
    animal: str
    is_valid: bool
    shape: tuple[int, int]
    pixel_size: float
    depth: str
    digest: str
    counts: dict[str, int]  # pixels of each class
    contrast: float  # of myelin, NaN if unclear
    diameter: float  # median of the axons in µm, NaN if there are few
    n_axons: int
    n_touching: int


def examine(
    name: str, animal: str, is_valid: bool, micrograph: Micrograph, labels: NDArray[np.uint8]
) -> Facts:
    """Return what is to be known of a pair when its pixels are forgotten."""
    pixels = micrograph.pixels
    areas, n_touching = _axons(labels) if is_whole(labels) else (np.zeros(0), 0)
    diameters = np.sqrt(4 / np.pi * areas) * micrograph.pixel_size
    return Facts(
        file=name,
        animal=animal,
        is_valid=is_valid,
        shape=(pixels.shape[0], pixels.shape[1]),
        pixel_size=micrograph.pixel_size,
        depth=_depth(pixels),
        digest=hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest(),
        counts=class_counts(labels),
        contrast=_contrast(pixels, labels),
        diameter=float(np.median(diameters)) if len(diameters) >= _MIN_AXONS else np.nan,
        n_axons=len(areas),
        n_touching=n_touching,
    )


def class_counts(labels: NDArray[np.uint8]) -> dict[str, int]:
    """Return the number of pixels of each class."""
    numbers = np.bincount(labels.ravel(), minlength=256)
    return {name: int(numbers[i]) for name, i in CLASSES.items()}


def is_whole(labels: NDArray[np.uint8]) -> bool:
    """Tell whether the fibres of an image are labelled, rather than scribbled on."""
    return sum(class_counts(labels).values()) >= _MIN_LABELLED * labels.size


def _depth(pixels: NDArray[np.float32]) -> str:
    if (pixels != np.round(pixels)).any():
        return "fractions"
    return "8 bits" if pixels.max() <= 255 else "more than 8 bits"


def _contrast(pixels: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """Return how much brighter myelin is than axons, or else background; of the grey range."""
    myelin = labels == CLASSES["myelin"]
    other = labels == CLASSES["axon"]
    other = other if other.any() else labels == CLASSES["background"]
    low, high = intensity_range(pixels)
    if not (myelin.any() and other.any() and high > low):
        return np.nan
    contrast = float(np.median(pixels[myelin]) - np.median(pixels[other])) / (high - low)
    return contrast if abs(contrast) >= _MIN_CONTRAST else np.nan


def _axons(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], int]:
    """Return the areas (px) of myelinated axons, and how many share their myelin with another."""
    axons, n_axons = ndimage.label(labels == CLASSES["axon"], output=np.int32)
    pieces, n_pieces = ndimage.label(
        (labels == CLASSES["axon"]) | (labels == CLASSES["myelin"]), output=np.int32
    )
    areas = np.bincount(axons.ravel(), minlength=n_axons + 1)
    is_axon = axons > 0
    piece = np.zeros(n_axons + 1, np.int32)
    piece[axons[is_axon]] = pieces[is_axon]
    large = np.flatnonzero(areas[1:] >= _MIN_AXON_PX) + 1
    n_in_piece = np.bincount(piece[large], minlength=n_pieces + 1)
    return areas[large], int((n_in_piece[piece[large]] > 1).sum())


def inside_out(labels: NDArray[np.uint8]) -> str:
    """Return how axon, myelin and background lie in each other where they should not, or nothing.

    Myelin encloses axons, and more of them than of background; axons do not enclose myelin, and
    border on it rather than on background.
    """
    myelin, axon = labels == CLASSES["myelin"], labels == CLASSES["axon"]
    if not (myelin.any() and axon.any()):
        return ""
    around, within = _enclosed(myelin), _enclosed(axon)
    n_axon = int((around & axon).sum())
    n_background = int((around & (labels == CLASSES["background"])).sum())
    n_myelin = int((within & myelin).sum())
    enough = max(n_axon, _MIN_PX)
    if n_background > enough:
        return (
            f"myelin encloses {n_background} px of background, but only {n_axon} px of axon: "
            "the mask may be inverted."
        )
    if n_myelin > enough:
        return (
            f"axons enclose {n_myelin} px of myelin, and myelin only {n_axon} px of axon: they "
            "may be swapped."
        )
    on_myelin, on_background = (_contact(labels, name) for name in ("myelin", "background"))
    if on_background > max(on_myelin, _MIN_PX):
        return (
            f"axons border on background ({on_background} px) rather than on myelin "
            f"({on_myelin} px): these may be swapped."
        )
    return ""


def _contact(labels: NDArray[np.uint8], name: str) -> int:
    """Return on how many edges of pixels axons and another class meet."""
    axon, other = labels == CLASSES["axon"], labels == CLASSES[name]
    edges = 0
    for a, b in ((axon, other), (axon.T, other.T)):
        edges += int((a[1:] & b[:-1]).sum() + (a[:-1] & b[1:]).sum())
    return edges


def _enclosed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the holes of a mask."""
    pieces, n = ndimage.label(~mask, output=np.int32)
    is_hole = np.ones(n + 1, bool)
    is_hole[0] = False
    for edge in (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]):
        is_hole[edge] = False
    holes: NDArray[np.bool_] = is_hole[pieces]
    return holes
