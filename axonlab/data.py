"""fastai blocks over our own reader: pairs of micrograph and mask become patches for training."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from fastai.data.block import DataBlock, TransformBlock
from fastai.data.transforms import FuncSplitter
from fastai.vision.augment import RandTransform
from fastai.vision.core import TensorImageBW, TensorMask
from fasttransform import Transform
from torch import Tensor

from axonlab.augment import random_grid, random_intensity, sample
from axonlab.autosave import digest
from axonlab.formats import read_extent
from axonlab.micrograph import (
    CLASSES,
    UNLABELLED,
    Micrograph,
    at_model_scale,
    check_scale,
    resize_labels,
    shape_at,
)
from axonlab.pairs import Pair, find_pairs, listed, read_pair
from axonlab.pixelsize import find_pixel_size

__all__ = [
    "Augment",
    "LabelBlock",
    "MicrographBlock",
    "Pair",
    "RandomPatch",
    "ReadClasses",
    "ReadPixels",
    "axon_block",
    "find_pairs",
    "images_need",
    "read_anew",
]

PATCH = 256
"""Side of a training patch in pixels."""

MARGIN = 1.5
"""Side of the square cut from an image over that of the patch warped out of it."""

MAX_DRAWS = 500
"""Squares looked at to find one that holds a label."""

BYTES_KEPT, BYTES_READING = 5, 20
"""Of a pixel at the scale of the network, which stays in memory: a float32 and a class; and of a
pixel of a file while it is read: measured, 14 in grey and 22 in colours."""


def axon_block(
    *,
    classes: Sequence[str] = ("background", "myelin", "axon"),
    pixel_size: float,
    valid_animals: Sequence[str],
    patch: int = PATCH,
    patches_per_image: int = 32,
    valid_patch: int = 768,
    grey_variation: float = 1.0,
) -> DataBlock:
    """Return the DataBlock for training on pairs of micrograph and mask.

    Training sees `patches_per_image` random patches of each image an epoch, warped and varied in
    grey; validation sees the centre of each image, unchanged. Animals are never split.

    Parameters
    ----------
    classes : sequence of str
        What the network tells apart; other classes count as the first one.
    pixel_size : float
        In µm; images are resampled to it.
    valid_animals : sequence of str
        Animals whose images are for validation.
    patch, valid_patch : int
        Sides of the patches in pixels of `pixel_size`.
    grey_variation : float
        How strongly grey values are varied, see `axonlab.augment.random_intensity`.

    Examples
    --------
    ``axon_block(pixel_size=0.1, valid_animals=["sub-rat8"]).dataloaders(find_pairs(folder), bs=8)``
    """

    def is_valid(pair: Pair) -> bool:
        return pair.animal in valid_animals

    def repeat(pairs: Sequence[Pair]) -> list[Pair]:
        _forget()  # masks and sidecars are edited between trainings
        missing = set(valid_animals) - {pair.animal for pair in pairs}
        if missing:
            raise ValueError(
                f"No image of the validation animals {sorted(missing)}; "
                f"found {sorted({pair.animal for pair in pairs})}."
            )
        if all(is_valid(pair) for pair in pairs):
            raise ValueError(
                f"All animals {sorted(set(valid_animals))} are for validation: none is left to "
                "train on."
            )
        return [p for p in pairs for _ in range(1 if is_valid(p) else patches_per_image)]

    return DataBlock(
        blocks=(MicrographBlock(pixel_size), LabelBlock(pixel_size, classes)),
        get_items=repeat,
        splitter=FuncSplitter(is_valid),
        item_tfms=RandomPatch(round(patch * MARGIN), valid_patch, overhang=patch // 2),
        batch_tfms=Augment(patch, grey_variation),
    )


def MicrographBlock(pixel_size: float) -> TransformBlock:
    """Return the block that turns a `Pair` into its normalised image at `pixel_size` (µm)."""
    return TransformBlock(type_tfms=ReadPixels(pixel_size))


def LabelBlock(pixel_size: float, classes: Sequence[str]) -> TransformBlock:
    """Return the block that turns a `Pair` into class numbers at `pixel_size` (µm)."""
    return TransformBlock(type_tfms=ReadClasses(pixel_size, classes))


class ReadPixels(Transform):
    """Read the micrograph of a pair, normalised and at one pixel size."""

    def __init__(self, pixel_size: float) -> None:
        self.pixel_size = pixel_size

    def encodes(self, pair: Pair) -> TensorImageBW:
        return TensorImageBW(torch.from_numpy(_read_pair(pair, self.pixel_size)[0])[None])


class ReadClasses(Transform):
    """Read the masks of a pair as positions in `classes`, at one pixel size."""

    def __init__(self, pixel_size: float, classes: Sequence[str]) -> None:
        self.pixel_size = pixel_size
        self.table = np.zeros(256, np.uint8)
        self.table[UNLABELLED] = UNLABELLED
        for position, name in enumerate(classes):
            self.table[CLASSES[name]] = position

    def encodes(self, pair: Pair) -> TensorMask:
        _, labels = _read_pair(pair, self.pixel_size)
        return TensorMask(torch.from_numpy(self.table[labels]))


def images_need(pairs: Sequence[Pair], pixel_size: float) -> tuple[int, int]:
    """Return how much memory the images of a training take, in bytes.

    Parameters
    ----------
    pairs : sequence of Pair
    pixel_size : float
        In µm, to which they are resampled.

    Returns
    -------
    kept : int
        By all images that are not in memory yet: there they stay.
    reading : int
        By the largest of all files, while it is read.

    Raises
    ------
    OSError, ValueError
        If an image cannot be read; the message names it.
    """
    kept, reading = 0, 0
    for pair in pairs:
        shape, own = _extent(pair.image)
        check_scale(str(pair.image), own, pixel_size)
        if (pair, pixel_size) not in _kept:
            kept += BYTES_KEPT * math.prod(shape_at(shape, own, pixel_size))
        reading = max(reading, BYTES_READING * math.prod(shape))
    return kept, reading


@cache
def _extent(image: Path) -> tuple[tuple[int, int], float]:
    """Return the shape of an image and its pixel size (µm)."""
    shape, tagged = read_extent(image)
    return shape, find_pixel_size(image, tagged)[0]


_kept: dict[tuple[Pair, float], tuple[np.ndarray, np.ndarray]] = {}


def read_anew(pair: Pair, pixel_size: float) -> dict[str, str]:
    """Read a pair from its files, whatever is in memory, and keep it for the training.

    Parameters
    ----------
    pair : Pair
    pixel_size : float
        In µm, to which it is resampled.

    Returns
    -------
    dict
        Digests of all that a training takes from the pair, by the names of files and facts.

    Raises
    ------
    OSError, ValueError
        If a file cannot be read; the message names it.
    """
    micrograph, labels = read_pair(pair)
    _keep(pair, pixel_size, micrograph, labels)
    return {
        str(pair.image): micrograph.sha256,
        f"the pixel size of {pair.image}": str(micrograph.pixel_size),
        listed(pair.masks): digest(labels),
        f"the animal of {pair.image}": pair.animal,
    }


def _read_pair(pair: Pair, pixel_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Read a pair once and keep it: every patch of an epoch is cut from the same arrays."""
    return _kept.get((pair, pixel_size)) or _keep(pair, pixel_size, *read_pair(pair))


def _keep(
    pair: Pair, pixel_size: float, micrograph: Micrograph, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    pixels, _ = at_model_scale(micrograph, pixel_size)
    kept = pixels, resize_labels(labels, pixels.shape).copy()
    _kept[pair, pixel_size] = kept
    return kept


def _forget() -> None:
    """Read all files anew when they are needed next."""
    _kept.clear()
    _extent.cache_clear()


class RandomPatch(RandTransform):
    """Cut the same square from image and mask: anywhere for training, the centre otherwise.

    What lies outside of the image is mirrored; the mask is unlabelled there. For training, squares
    without a label, further inside than they may overhang, are passed over: of a few scribbles
    they would teach nothing.

    Parameters
    ----------
    size, valid_size : int
        Sides of the squares in pixels, for training and for validation.
    overhang : int
        How far a square may reach beyond the image for training. A patch warped out of the middle
        of a square rarely holds its corners: without this, those of the image are hardly seen.
    """

    order = 1
    split_idx = None  # for training and validation

    def __init__(self, size: int, valid_size: int, overhang: int = 0) -> None:
        super().__init__()
        self.sizes = (size, valid_size)
        self.overhang = overhang

    def before_call(self, b: tuple[Tensor, Tensor], split_idx: int) -> None:
        self.do = True
        self.size = self.sizes[split_idx or 0]
        spare = [n - self.size for n in b[0].shape[-2:]]
        if split_idx:
            self.corner = [max(0, n) // 2 for n in spare]
            return
        labels, least = np.asarray(b[1]), -self.overhang
        for _ in range(MAX_DRAWS):
            self.corner = [
                int(torch.randint(least, max(least, n + self.overhang) + 1, ())) for n in spare
            ]
            if (labels[self._covered(self.overhang)] != UNLABELLED).any():
                break

    def _covered(self, trim: int = 0) -> tuple[slice, slice]:
        """Return the part of the image that the square covers, or its middle, without its edges."""
        y, x = (slice(max(0, n + trim), n + self.size - trim) for n in self.corner)
        return y, x

    def encodes(self, x: TensorImageBW) -> TensorImageBW:
        return TensorImageBW(self._cut(x, "symmetric"))

    def encodes(self, x: TensorMask) -> TensorMask:  # noqa: F811  (fastai dispatches on the type)
        return TensorMask(self._cut(x, "constant", constant_values=UNLABELLED))

    def _cut(self, x: Tensor, mode: str, **how: int) -> Tensor:
        part = np.asarray(x)[(..., *self._covered())]
        before = [max(0, -start) for start in self.corner]
        missing = [(0, 0)] * (part.ndim - 2)
        missing += [(m, self.size - m - n) for m, n in zip(before, part.shape[-2:], strict=True)]
        return torch.from_numpy(np.pad(part, missing, mode, **how))  # type: ignore[call-overload]


class Augment(RandTransform):
    """Warp batches of squares into smaller patches and vary their grey values, for training."""

    split_idx = 0

    def __init__(self, patch: int, grey_variation: float = 1.0) -> None:
        super().__init__()
        self.patch = patch
        self.grey_variation = grey_variation

    def before_call(self, b: tuple[Tensor, Tensor], split_idx: int) -> None:
        self.do = True
        self.grid = random_grid(len(b[0]), b[0].shape[-1], self.patch, b[0].device)

    def encodes(self, x: TensorImageBW) -> TensorImageBW:
        return TensorImageBW(
            random_intensity(sample(x, self.grid, "bilinear"), self.grey_variation)
        )

    def encodes(self, x: TensorMask) -> TensorMask:  # noqa: F811
        return TensorMask(sample(x[:, None].float(), self.grid, "nearest")[:, 0].long())
