"""What a micrograph is: pixels with a physical size, and the classes they can show."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

CLASSES = {"background": 0, "myelin": 1, "axon": 2, "unmyelinated axon": 3}
"""Class names and the ids they have in every label image."""

MEMBRANE_CLASSES = {"membrane": 4, "interior": 5}
"""What networks for the membranes of cells tell apart. No label image of nerves has these ids, so
that none is mistaken for one."""

UNLABELLED = 255
"""Id of the pixels nobody has labelled: training and scores pass over them."""

CLASS_COLOURS = {0: "#000000", 1: "#e69f00", 2: "#56b4e9", 3: "#009e73", UNLABELLED: "#808080"}
"""Colour of each class id, from the colour-blind-safe palette of Okabe & Ito (2008)."""

BACKGROUND_LABELLED = "#cc79a7"
"""Colour of background, of the same palette, where it must be told from what is unlabelled."""

PIXEL_SIZE_RANGE_UM = (1e-3, 100.0)
"""Pixel sizes outside 1 nm to 100 µm are taken for mistakes of the unit."""

MIN_RESAMPLING, MAX_RESAMPLING = 1 / 50, 10
"""Pixel size of an image over that of a network, beyond which one of them must be a mistake."""

PERCENTILES = (1.0, 99.0)
"""Percentiles of the whole image that `normalise` maps to 0 and 1."""

SAMPLED_PIXELS = 250_000
"""Of a regular subset of so many, a percentile is right to well below a grey level."""


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Micrograph:
    """A grey image of nerve tissue whose pixels have a known, square size.

    Parameters
    ----------
    pixels : (H, W) array
        Grey values in the units of the detector, kept as float32.
    pixel_size : float
        Edge length of one pixel in µm.
    name : str
        What to call the image in tables and file names.
    pixel_size_source : str
        Where the pixel size comes from; it is written into the provenance.

    Raises
    ------
    ValueError
        If the pixels are not a finite, non-empty plane or the pixel size is absurd.

    Examples
    --------
    >>> Micrograph(np.zeros((3, 4)), pixel_size=0.1, name="blank").shape_um
    (0.30000000000000004, 0.4)
    """

    pixels: NDArray[np.float32] = field(repr=False)
    pixel_size: float
    name: str = "micrograph"
    pixel_size_source: str = "caller"

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels, dtype=np.float32)
        check_plane(pixels, self.name)
        check_finite(pixels, self.name)
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "pixel_size", check_pixel_size(self.pixel_size, self.name))

    @cached_property
    def blank(self) -> NDArray[np.bool_]:
        """Where nothing was seen, (H, W) bool: see `axonlab.blank.blank_area`."""
        from axonlab.blank import blank_area  # needs SciPy, which reading does without

        return blank_area(self.pixels)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the grey values, by which a file that was made of them knows them again."""
        return hashlib.sha256(np.ascontiguousarray(self.pixels).data).hexdigest()

    @property
    def shape_um(self) -> tuple[float, float]:
        """Height and width of the field in µm."""
        height, width = self.pixels.shape
        return height * self.pixel_size, width * self.pixel_size


def check_plane(array: NDArray[np.generic], name: str) -> None:
    """Raise ValueError unless `array` is two-dimensional and holds at least one pixel."""
    if array.ndim != 2:
        raise ValueError(
            f"{name}: found an array of shape {array.shape}, expected one plane (rows, columns). "
            "Choose a single section or channel first."
        )
    if array.size == 0:
        raise ValueError(
            f"{name}: found no pixels (shape {array.shape}). Check the region asked for, or export "
            "the image again."
        )


def check_labels(labels: NDArray[np.uint8], name: str) -> None:
    """Raise ValueError unless `labels` is one plane of known class ids, or 255 for unlabelled."""
    check_plane(labels, name)
    unknown = set(np.unique(labels).tolist()) - {*CLASSES.values(), UNLABELLED}
    if unknown or labels.dtype != np.uint8:
        raise ValueError(
            f"{name}: labels of type {labels.dtype} with unknown ids {sorted(unknown)}; expected "
            f"uint8 with {CLASSES} and {UNLABELLED} for unlabelled."
        )


def check_objects(objects: NDArray[np.integer], name: str) -> None:
    """Raise ValueError unless `objects` is one plane of whole ids from 0, which is background."""
    check_plane(objects, name)
    if objects.dtype.kind not in "iu" or objects.min() < 0:
        raise ValueError(
            f"{name}: expected whole ids from 0, got {objects.dtype} from {objects.min()}."
        )


def check_fits(labels: NDArray[np.uint8], micrograph: Micrograph) -> None:
    """Raise ValueError unless `labels` are class ids and have the shape of the image."""
    check_labels(labels, micrograph.name)
    if labels.shape != micrograph.pixels.shape:
        raise ValueError(
            f"{micrograph.name}: labels of shape {labels.shape} for an image of shape "
            f"{micrograph.pixels.shape}. Both must have the same size: export the mask again at "
            "full size, or take the mask of this image."
        )


def check_finite(pixels: NDArray[np.float32], name: str) -> None:
    """Raise ValueError when a pixel is NaN or infinite."""
    bad = pixels.size - np.count_nonzero(np.isfinite(pixels))
    if bad:
        raise ValueError(
            f"{name}: {bad} of {pixels.size} pixels are NaN or infinite. "
            "Replace them, for example with numpy.nan_to_num, before you go on."
        )


def check_pixel_size(pixel_size: float, name: str) -> float:
    """Return a pixel size in µm as float, or raise ValueError when it is absurd."""
    low, high = PIXEL_SIZE_RANGE_UM
    value = float(pixel_size)
    if not low <= value <= high:
        raise ValueError(
            f"{name}: a pixel size of {value:g} µm is outside {low:g} to {high:g} µm. "
            "Sizes are given in µm (100 nm is 0.1): pass the right one as pixel_size=..."
        )
    return value


def check_scale(name: str, own: float, pixel_size: float) -> None:
    """Raise ValueError when pixels are absurdly far from those (µm) at which a network works."""
    if not MIN_RESAMPLING <= own / pixel_size <= MAX_RESAMPLING:
        raise ValueError(
            f"{name}: pixels of {own:g} µm are too far from the {pixel_size:g} µm at which the "
            "network works. Check the pixel size (µm, not nm), or take a model for this "
            "magnification."
        )


def sample_step(shape: tuple[int, int]) -> int:
    """Return of how many rows and columns of an image one is looked at for percentiles."""
    height, width = shape
    return max(1, int(np.sqrt(height * width / SAMPLED_PIXELS)))


def intensity_range(
    pixels: NDArray[np.float32],
    percentiles: tuple[float, float] = PERCENTILES,
    blank: NDArray[np.bool_] | None = None,
) -> tuple[float, float]:
    """Return the grey values at two percentiles of a whole image.

    Compute it once per image and hand it to every tile of that image, so that a tile is
    normalised like its image.

    Parameters
    ----------
    pixels : (H, W) float32 array
    percentiles : pair of float
        Lower and upper percentile, 0 to 100.
    blank : (H, W) bool array, optional
        Pixels that show nothing and do not count, unless all do.

    Returns
    -------
    low, high : float
        In grey values of the image.
    """
    step = sample_step(pixels.shape)
    shown = pixels[::step, ::step]
    if blank is not None and not blank[::step, ::step].all():
        shown = shown[~blank[::step, ::step]]
    low, high = np.percentile(shown, percentiles)
    return float(low), float(high)


def normalise(pixels: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Map grey values `low` to 0 and `high` to 1, linearly and without clipping.

    A flat image (``low == high``) becomes 0 everywhere.

    Examples
    --------
    >>> normalise(np.array([[10, 20, 40]], np.float32), 10, 30)
    array([[0. , 0.5, 1.5]], dtype=float32)
    """
    if high <= low:
        return np.zeros_like(pixels)
    return (pixels - np.float32(low)) * np.float32(1 / (high - low))


def resize(plane: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample a plane to another shape over the same field of view.

    Linear interpolation; when shrinking, every input pixel under an output pixel counts
    (no aliasing).

    Parameters
    ----------
    plane : (H, W) array
    shape : pair of int
        Rows and columns wanted.
    """
    array = np.ascontiguousarray(plane, dtype=np.float32)
    if array.shape == shape:
        return array
    image = Image.fromarray(array)
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR))


def resize_labels(labels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample a label image to another shape by nearest neighbour: no class is invented."""
    if labels.shape == shape:
        return labels
    return np.asarray(Image.fromarray(labels).resize(shape[::-1], Image.Resampling.NEAREST))


def shape_at(shape: tuple[int, int], pixel_size: float, wanted: float) -> tuple[int, int]:
    """Return the shape an image of `pixel_size` takes at the `wanted` pixel size, both in µm.

    Examples
    --------
    >>> shape_at((1000, 500), 0.05, 0.1)
    (500, 250)
    """
    height, width = (max(1, round(n * pixel_size / wanted)) for n in shape)
    return height, width


def at_model_scale(
    micrograph: Micrograph,
    pixel_size: float,
    percentiles: tuple[float, float] = PERCENTILES,
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Return what a network sees of a micrograph: resampled, then normalised as a whole.

    In this order, because noise, which resampling removes, would widen the range: the same tissue
    looks the same to the network however finely it was scanned. Filler around a stitched field
    does not count for the range.

    Parameters
    ----------
    micrograph : Micrograph
    pixel_size : float
        In µm, at which the network works.
    percentiles : pair of float

    Returns
    -------
    pixels : (h, w) float32 array
    grey_range : pair of float
        The grey values that became 0 and 1.

    Raises
    ------
    ValueError
        If the pixel size is absurdly far from that of the network.
    """
    check_scale(micrograph.name, micrograph.pixel_size, pixel_size)
    shape = shape_at(micrograph.pixels.shape, micrograph.pixel_size, pixel_size)
    pixels = resize(micrograph.pixels, shape)
    blank = resize_labels(micrograph.blank.view(np.uint8), shape).view(bool)
    low, high = intensity_range(pixels, percentiles, blank)
    return normalise(pixels, low, high), (low, high)


def classify(probabilities: NDArray[np.float32], classes: list[str]) -> NDArray[np.uint8]:
    """Return the id of the most probable class of every pixel.

    Parameters
    ----------
    probabilities : (n_classes, H, W) array
    classes : list of str
        Class names in the order of the first axis.
    """
    known = CLASSES | MEMBRANE_CLASSES
    ids = np.array([known[name] for name in classes], np.uint8)
    labels: NDArray[np.uint8] = ids[probabilities.argmax(0)]
    return labels
