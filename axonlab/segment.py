"""A trained model over an image: probabilities, the classes they mean, and how sure that is."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import entr
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from axonlab import estimate, machine
from axonlab.micrograph import (
    Micrograph,
    at_model_scale,
    check_scale,
    classify,
    resize,
    shape_at,
)
from axonlab.models import Ensemble, Model, ModelCard, check_temperature, fast_dtype, load_model

TILE = 768
"""Side of a tile in pixels of the model, where there is memory for it: some 1.2 GB for `sem`."""

ORIENTATIONS = [(mirrored, turns) for mirrored in (False, True) for turns in range(4)]
"""Of a square: tissue has no upper side, so that a network may as well see it in any of them."""

Tell = Callable[[float], None]
"""Called with the share of the work that is done; what it raises ends the work."""


def _nobody(share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Segmentation:
    """What a model saw in a micrograph, on the grid of the micrograph.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Class ids.
    probabilities : (n_classes, H, W) float32 array
        In the order of `classes`; they sum to 1.
    classes : list of str
    provenance : dict
        Image, model and settings that led here; goes into a JSON file.
    """

    labels: NDArray[np.uint8] = field(repr=False)
    probabilities: NDArray[np.float32] = field(repr=False)
    classes: list[str]
    provenance: dict[str, Any]


def segment(
    micrograph: Micrograph,
    model: str | Path | Model = "sem",
    *,
    tile: int | None = None,
    test_time_augmentation: bool = False,
    tell: Tell = _nobody,
) -> Segmentation:
    """Segment a micrograph at the model's pixel size and bring the result back to its own grid.

    Filler around a stitched field is background, whatever the model makes of it.

    Parameters
    ----------
    micrograph : Micrograph
    model : str, path or Model
        Name of a model that comes with axonlab, a model file, or a loaded model.
    tile : int, optional
        Side of a tile in pixels of the model. It bounds memory and has no influence on the
        result. By default it is `TILE`, or less where memory is scarce.
    test_time_augmentation : bool
        Let the model see the micrograph in all eight orientations and take the mean
        (`predict_turned`); takes eight times as long.
    tell : callable, optional
        Called after every tile with the share that is done; what it raises ends the work.

    Returns
    -------
    Segmentation

    Raises
    ------
    ValueError
        If the pixel size is absurdly far from the model's.
    MemoryError
        If the micrograph, as large as it is at the model's pixel size, would not fit.
    """
    if not isinstance(model, Model):
        model = load_model(model)
    card = model.card
    check_scale(micrograph.name, micrograph.pixel_size, card.pixel_size)
    _check_memory(micrograph, card, 3 if test_time_augmentation else 1)
    pixels, grey_range = at_model_scale(micrograph, model.card.pixel_size, model.card.percentiles)
    look = predict_turned if test_time_augmentation else predict
    coarse = look(model.network, pixels, tile=tile, temperature=card.temperature, tell=tell)
    own_shape = micrograph.pixels.shape
    probabilities = np.empty((len(coarse), *own_shape), np.float32)
    for own, plane in zip(probabilities, coarse, strict=True):
        own[:] = resize(plane, own_shape)
    if "background" in card.classes:
        probabilities[:, micrograph.blank] = 0
        probabilities[card.classes.index("background"), micrograph.blank] = 1
    provenance = {
        "image": micrograph.name,
        "pixels_sha256": micrograph.sha256,
        "image_shape": list(own_shape),
        "pixel_size_um": micrograph.pixel_size,
        "pixel_size_source": micrograph.pixel_size_source,
        "grey_values_mapped_to_0_and_1": list(grey_range),
        "blank_share": round(float(micrograph.blank.mean()), 4),
        "model": card.name,
        "model_sha256": model.sha256,
        "model_pixel_size_um": card.pixel_size,
        "temperature": card.temperature,
        "test_time_augmentation": test_time_augmentation,
        "classes": card.classes,
        "versions": {name: version(name) for name in ("axonlab", "torch", "numpy")},
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    labels = classify(probabilities, card.classes)
    return Segmentation(labels, probabilities, list(card.classes), provenance)


def _check_memory(micrograph: Micrograph, card: ModelCard, copies: int) -> None:
    """Raise MemoryError when so many copies of the probabilities do not fit."""
    n = math.prod(shape_at(micrograph.pixels.shape, micrograph.pixel_size, card.pixel_size))
    n_floats = n * (2 + copies * len(card.classes)) + micrograph.pixels.size * len(card.classes)
    need, free = 4 * n_floats / 1e9, machine.memory_free() / 1e9
    if need > free:
        raise MemoryError(
            f"{micrograph.name}: at the {card.pixel_size:g} µm of the model it has {n / 1e6:.0f} "
            f"million pixels, for which {need:.1f} GB of memory are needed and {free:.1f} GB free. "
            f"Check the pixel size ({micrograph.pixel_size:g} µm), or cut the image."
        )


def entropy(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how unsure probabilities are of the class of every pixel.

    Parameters
    ----------
    probabilities : (n_classes, H, W) float32 array
        They sum to 1, as those of a `Segmentation`.

    Returns
    -------
    (H, W) float32 array
        Shannon entropy in bits: 0 where one class is certain, the logarithm to base 2 of the
        number of classes where all are as probable.

    Examples
    --------
    >>> entropy(np.float32([[[0.5, 1]], [[0.5, 0]]]))
    array([[1., 0.]], dtype=float32)
    """
    nats = np.zeros(probabilities.shape[1:], np.float32)
    for plane in probabilities:  # one after another, to save memory
        nats += entr(plane)
    return nats / np.float32(np.log(2))


def disagreement(micrograph: Micrograph, model: str | Path | Model) -> NDArray[np.float32]:
    """Return how much the members of an ensemble disagree about every pixel of a micrograph.

    It is high where the members are sure of different classes, as on tissue none of them has
    seen, and low where all of them are unsure alike, as on the edge between two classes. Such
    images are the ones to label next.

    Parameters
    ----------
    micrograph : Micrograph
    model : str, path or Model
        An ensemble (`axonlab.models.ensemble`).

    Returns
    -------
    (H, W) float32 array
        Mutual information of class and member in bits, on the grid of the micrograph: 0 where all
        agree and in filler, at most the logarithm to base 2 of the number of classes or members.

    Raises
    ------
    ValueError
        If the model is no ensemble, or the pixel size is absurdly far from the model's.

    Notes
    -----
    Entropy of the mean of the members' probabilities minus the mean of their entropies (Houlsby
    et al. 2011, arXiv:1112.5745). The members are taken without a temperature, which belongs to
    their mean.
    """
    if not isinstance(model, Model):
        model = load_model(model)
    if not isinstance(model.network, Ensemble):
        raise ValueError(
            f"The model {model.card.name!r} is one network, and disagreement needs several: join "
            "models of the same classes with axonlab.models.ensemble."
        )
    pixels, _ = at_model_scale(micrograph, model.card.pixel_size, model.card.percentiles)
    members = model.network.members
    mean, mean_entropy = 0.0, 0.0
    for member in members:
        probabilities = predict(member, pixels)
        mean += probabilities / len(members)
        mean_entropy += entropy(probabilities) / len(members)
    bits = entropy(mean) - mean_entropy
    return np.where(micrograph.blank, 0, resize(bits.clip(min=0), micrograph.pixels.shape))


def opinions(micrograph: Micrograph, model: str | Path | Model) -> Iterator[NDArray[np.uint8]]:
    """Segment a micrograph in several ways that are equally good, one after another.

    They are for `axonlab.spread.measure_members`: where they differ, so may a measurement.

    Parameters
    ----------
    micrograph : Micrograph
    model : str, path or Model

    Yields
    ------
    (H, W) uint8 array
        Class ids by each member of an ensemble; by any other model, from each of the eight
        orientations of the micrograph.

    Raises
    ------
    ValueError, MemoryError
        As `segment` does.
    """
    if not isinstance(model, Model):
        model = load_model(model)
    if isinstance(model.network, Ensemble):
        for member in model.network.members:
            yield segment(micrograph, replace(model, network=member)).labels
        return
    for orientation in ORIENTATIONS:
        turned = replace(micrograph, pixels=_turn(micrograph.pixels, *orientation))
        labels = segment(turned, model).labels
        yield np.ascontiguousarray(_turn_back(labels, *orientation))


def predict(
    network: nn.Module,
    pixels: NDArray[np.float32],
    *,
    wanted: tuple[slice, slice] | None = None,
    tile: int | None = None,
    temperature: float = 1.0,
    tell: Tell = _nobody,
) -> NDArray[np.float32]:
    """Return the class probabilities of normalised pixels at the network's resolution.

    Parameters
    ----------
    network : Module
        One of `axonlab.networks`: it knows its stride and its halo.
    pixels : (H, W) float32 array
    wanted : pair of slice, optional
        Of which pixels, all by default; must begin at multiples of the network's stride.
    tile : int, optional
        Side of a tile, rounded up to a multiple of the network's stride. By default it is `TILE`,
        or less where memory is scarce (`axonlab.estimate.choose_tile`). A warning tells when one
        that is given, or the smallest, will probably not fit.
    temperature : float
        Logits are divided by it.
    tell : callable, optional
        Called after every tile with the share that is done; what it raises ends the work.

    Returns
    -------
    (n_classes, H, W) float32 array

    Notes
    -----
    Tiling is exact: tiles start at multiples of the total stride and are seen with all
    the context that can influence them, so the result is that of the whole image at once, to the
    rounding of the convolutions. On CPU and GPU alike batch norm is folded into the convolutions,
    and arithmetic is bfloat16 where the machine computes it fast.
    """
    check_temperature(temperature, "Prediction")
    if tile is not None and tile < 1:
        raise ValueError(f"A tile of {tile} pixels: expected at least 1.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = fast_dtype(device)
    ready = fold_batch_norm(network).to(device, dtype, memory_format=torch.channels_last)
    padding = [(0, -n % step) for n, step in zip(pixels.shape, network.stride, strict=True)]
    padded = torch.from_numpy(np.pad(pixels, padding, mode="symmetric"))[None, None]
    whole = (slice(0, n) for n in pixels.shape)
    (top, bottom), (left, right) = ((s.start, s.stop) for s in wanted or whole)
    area = (bottom - top, right - left)
    if tile is None:
        tile = estimate.choose_tile(ready, area, (TILE, TILE))[0]
    else:
        estimate.check_prediction(ready, area, (tile, tile))
    tile_height, tile_width = (-(-tile // step) * step for step in network.stride)
    result: NDArray[np.float32] | None = None
    corners = list(product(range(top, bottom, tile_height), range(left, right, tile_width)))
    for done, (y, x) in enumerate(corners, start=1):
        rows, inner_rows = window(y, tile_height, network.halo[0], padded.shape[2])
        columns, inner_columns = window(x, tile_width, network.halo[1], padded.shape[3])
        with torch.inference_mode():
            view = padded[..., rows, columns].to(device, dtype, memory_format=torch.channels_last)
            logits = ready(view)[0, :, inner_rows, inner_columns].float() / temperature
            part = logits.softmax(0).cpu().numpy()[:, : bottom - y, : right - x]
        if result is None:
            result = np.empty((len(part), bottom - top, right - left), np.float32)
        here = np.s_[:, y - top : y - top + tile_height, x - left : x - left + tile_width]
        result[here] = part
        tell(done / len(corners))
    assert result is not None
    return result


def predict_turned(
    network: nn.Module,
    pixels: NDArray[np.float32],
    *,
    tile: int | None = None,
    temperature: float = 1.0,
    tell: Tell = _nobody,
) -> NDArray[np.float32]:
    """Return the mean of the class probabilities of pixels in all eight orientations.

    Parameters
    ----------
    network, pixels, tile, temperature, tell
        As for `predict`.

    Returns
    -------
    (n_classes, H, W) float32 array
        Every prediction is turned back pixel by pixel; nothing is resampled. That of a mirrored
        or turned image is the mirrored or turned one.

    Notes
    -----
    Turning by right angles and mirroring by the diagonal give all of them. What the network
    answers differently when it is asked again is unsure, and the mean says so.
    """
    total: NDArray[np.float32] | None = None
    n = len(ORIENTATIONS)
    for done, (mirrored, turns) in enumerate(ORIENTATIONS):

        def tell_part(share: float, done: int = done) -> None:
            tell((done + share) / n)

        turned = _turn(pixels, mirrored, turns)
        seen = predict(network, turned, tile=tile, temperature=temperature, tell=tell_part)
        part = _turn_back(seen, mirrored, turns) / np.float32(n)
        if total is None:
            total = part
        else:
            total += part
    assert total is not None
    return total


def _turn(planes: NDArray[Any], mirrored: bool, turns: int) -> NDArray[Any]:
    """Mirror (…, H, W) by the diagonal, then turn it by so many right angles."""
    return np.rot90(planes.swapaxes(-1, -2) if mirrored else planes, turns, axes=(-2, -1))


def _turn_back(planes: NDArray[Any], mirrored: bool, turns: int) -> NDArray[Any]:
    back = np.rot90(planes, -turns, axes=(-2, -1))
    return back.swapaxes(-1, -2) if mirrored else back


def window(start: int, tile: int, halo: int, length: int) -> tuple[slice, slice]:
    """Return what a tile sees along one axis, and where the tile lies in that."""
    stop = min(start + tile, length)
    first = max(start - halo, 0)
    return slice(first, min(stop + halo, length)), slice(start - first, stop - first)


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy for inference in which every batch norm is part of the convolution before."""
    folded = copy.deepcopy(network).eval()
    kinds, norms = (nn.Conv2d, nn.Conv3d), (nn.BatchNorm2d, nn.BatchNorm3d)
    for block in [m for m in folded.modules() if isinstance(m, nn.Sequential)]:
        for i in range(len(block) - 1):
            if isinstance(block[i], kinds) and isinstance(block[i + 1], norms):
                block[i] = fuse_conv_bn_eval(block[i], block[i + 1])
                block[i + 1] = nn.Identity()
    return folded
