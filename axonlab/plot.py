"""HoloViews elements of micrographs and their classes: returned, never shown. Axes in µm."""

from __future__ import annotations

import math

import holoviews as hv
import holoviews.plotting.bokeh
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.micrograph import (
    BACKGROUND_LABELLED,
    CLASS_COLOURS,
    CLASSES,
    UNLABELLED,
    Micrograph,
    intensity_range,
    normalise,
    resize,
    resize_labels,
)

OPACITY = 0.4
"""Of the classes over the image."""

OPACITY_DIFFERENT, OPACITY_AGREED = 0.75, 0.15
"""Of what two label images do not, and do, agree on."""

DISPLAY_PIXELS = 4_000_000
"""Larger images are shrunk before they are sent to the browser."""


def _rgb(colour: str) -> list[int]:
    return list(bytes.fromhex(colour[1:]))


_COLOURS = np.zeros((256, 3), np.uint8)
for _id, _colour in CLASS_COLOURS.items():
    _COLOURS[_id] = _rgb(_colour)

DISAGREEMENTS = {
    "fibre only in the first": "#d55e00",
    "fibre only in the second": "#0072b2",
    "fibre in both, classes differ": "#f0e442",
}
"""How two label images differ, and the colours of it: Okabe & Ito's that no class has."""

LOSSES = {"train_loss": "training", "valid_loss": "validation"}
LOSS_COLOURS = ("#000000", "#d55e00")
"""Of the training and the validation, as `axonlab.widgets.TrainWidget` draws them."""


def image(micrograph: Micrograph) -> hv.Image:
    """Return the micrograph in grey, its darkest and brightest per cent clipped."""
    shown = grey(resize(micrograph.pixels, _shown_shape(micrograph)))
    # HoloViews counts rows from the bottom
    return hv.Image(shown[::-1], bounds=bounds(micrograph), kdims=["x", "y"]).opts(
        cmap="gray",
        clim=(0, 255),
        aspect="equal",
        invert_yaxis=True,
        xlabel="x (µm)",
        ylabel="y (µm)",
        title=micrograph.name.replace("{", "{{").replace("}", "}}"),  # HoloViews fills in fields
    )


def classes(micrograph: Micrograph, labels: NDArray[np.uint8]) -> hv.RGB:
    """Return the classes of a micrograph in colour, nothing where there is background."""
    shown = resize_labels(labels, _shown_shape(micrograph))[::-1]
    alpha = np.where(shown == CLASSES["background"], 0, 255).astype(np.uint8)
    coloured = np.dstack([_COLOURS[shown], alpha])
    return hv.RGB(coloured, bounds=bounds(micrograph), kdims=["x", "y"]).opts(
        alpha=OPACITY, invert_yaxis=True
    )


def disagreement(
    micrograph: Micrograph,
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    *,
    names: tuple[str, str] = ("the first", "the second"),
) -> hv.Overlay:
    """Return the micrograph under a map of where two label images differ, and how.

    Fibres that both see are lightened; myelin and all axons are fibre. Where either left pixels
    unlabelled nothing is drawn.

    Parameters
    ----------
    micrograph : Micrograph
    first, second : (H, W) uint8 array
        Class ids.
    names : pair of str
        What to call them in the legend.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    _check_shapes(micrograph, first, second)
    drawn = _differences(
        *(resize_labels(labels, _shown_shape(micrograph)) for labels in (first, second))
    )
    coloured = hv.RGB(drawn[::-1], bounds=bounds(micrograph), kdims=["x", "y"])
    # points without a place, since the pixels of an image have no legend
    legend = [
        hv.Points([(np.nan, np.nan)], ["x", "y"], label=_named(label, names)).opts(
            color=colour, marker="square", size=10
        )
        for label, colour in DISAGREEMENTS.items()
    ]
    return hv.Overlay([image(micrograph), coloured.opts(invert_yaxis=True), *legend]).opts(
        legend_position="bottom"
    )


def disagreement_picture(
    micrograph: Micrograph, first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return what `disagreement` draws as (H, W, 3) uint8, for a PNG."""
    _check_shapes(micrograph, first, second)
    drawn = _differences(first, second)
    share = drawn[..., 3:].astype(np.float32) / 255
    mixed = (1 - share) * grey(micrograph.pixels)[..., None] + share * drawn[..., :3]
    return mixed.round().astype(np.uint8)


def _check_shapes(
    micrograph: Micrograph, first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> None:
    if not micrograph.pixels.shape == first.shape == second.shape:
        raise ValueError(
            f"{micrograph.name} of shape {micrograph.pixels.shape}, labels of {first.shape} and "
            f"{second.shape}: all must show the same image at the same size."
        )


def _differences(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return where and how two label images differ, as (H, W, 4)."""
    in_one, in_other = one != CLASSES["background"], other != CLASSES["background"]
    differences = [in_one & ~in_other, in_other & ~in_one, in_one & in_other & (one != other)]
    drawn = np.zeros((*one.shape, 4), np.uint8)
    drawn[in_one & in_other] = 255, 255, 255, round(255 * OPACITY_AGREED)
    for where, colour in zip(differences, DISAGREEMENTS.values(), strict=True):
        drawn[where] = *_rgb(colour), round(255 * OPACITY_DIFFERENT)
    drawn[(one == UNLABELLED) | (other == UNLABELLED)] = 0
    return drawn


def _named(label: str, names: tuple[str, str]) -> str:
    return label.replace("the first", names[0]).replace("the second", names[1])


def overlay(micrograph: Micrograph, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the micrograph with its classes in colour, as (H, W, 3) uint8 for a PNG.

    Where some pixels are unlabelled, these stay grey and the background is coloured; otherwise
    the background stays grey.
    """
    unlabelled = labels == UNLABELLED
    bare = unlabelled if unlabelled.any() else labels == CLASSES["background"]
    share = np.where(bare, 0, OPACITY).astype(np.float32)[..., None]
    colours = _COLOURS.copy()
    colours[CLASSES["background"]] = _rgb(BACKGROUND_LABELLED)
    mixed = (1 - share) * grey(micrograph.pixels)[..., None] + share * colours[labels]
    return mixed.round().astype(np.uint8)


def uncertainty(micrograph: Micrograph, values: NDArray[np.float32], label: str) -> hv.Image:
    """Return a map of how unsure something is, bright where it is most.

    Parameters
    ----------
    micrograph : Micrograph
    values : (H, W) float32 array
    label : str
        What they are, with their unit.
    """
    shown = resize(values, _shown_shape(micrograph))[::-1]
    # a dimension of its own: beside an image, HoloViews gives those of one name one range
    vdims = [("uncertainty", label)]
    return hv.Image(shown, bounds=bounds(micrograph), kdims=["x", "y"], vdims=vdims).opts(
        cmap="cividis",
        colorbar=True,
        clabel="",  # the title tells it; beside the bar it would be over the figures
        aspect="equal",
        invert_yaxis=True,
        xlabel="x (µm)",
        ylabel="y (µm)",
        title=label,
    )


def learning_curve(history: pd.DataFrame) -> hv.Layout:
    """Return losses and Dice of a training by epoch, as `axonlab.learn.Checkpoint` keeps them."""
    history = history.assign(epoch=history["epoch"] + 1)  # they are counted from 1
    dice = [name for name in history if name.startswith("dice")]
    names = [name.removeprefix("dice_").replace("_", " ") for name in dice]
    colours = [CLASS_COLOURS[CLASSES[name]] for name in names]
    losses = _curves(history, list(LOSSES), list(LOSSES.values()), list(LOSS_COLOURS), "loss")
    return (losses + _curves(history, dice, names, colours, "Dice").opts(ylim=(0, 1))).opts(
        shared_axes=False
    )


def _curves(
    history: pd.DataFrame, columns: list[str], names: list[str], colours: list[str], label: str
) -> hv.Overlay:
    curves = []
    for column, name, colour in zip(columns, names, colours, strict=True):
        line = hv.Curve(history, "epoch", (column, label), label=name).opts(color=colour)
        dots = hv.Points(history, ["epoch", (column, label)]).opts(color=colour, size=5)
        curves += [line, dots]  # dots, since a single epoch makes no line
    return hv.Overlay(curves).opts(
        xlabel="epochs",
        ylabel=label,
        xticks=_whole_ticks(len(history)),
        xlim=(0.5, len(history) + 0.5),
        frame_width=330,
        frame_height=220,
        legend_position="right",
    )


def _whole_ticks(n: int) -> list[int]:
    """Return at most ten of the numbers from 1 to n."""
    step = max(1, math.ceil(n / 10))
    return list(range(step, n + 1, step))


def grey(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return pixels as 8 bits for the eye, their darkest and brightest per cent clipped."""
    return (normalise(pixels, *intensity_range(pixels)).clip(0, 1) * 255).astype(np.uint8)


def _shown_shape(micrograph: Micrograph) -> tuple[int, int]:
    shrink = max(1, math.sqrt(micrograph.pixels.size / DISPLAY_PIXELS))
    height, width = (max(1, int(n / shrink)) for n in micrograph.pixels.shape)
    return height, width


def bounds(micrograph: Micrograph) -> tuple[float, float, float, float]:
    """Return left, bottom, right, top in µm: 0 is the centre of the first pixel, y points down."""
    height, width = micrograph.shape_um
    half = micrograph.pixel_size / 2
    return -half, -half, width - half, height - half
