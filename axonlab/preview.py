"""A crop of a micrograph as a model sees it, before a whole folder is segmented at this scale."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axonlab.measure import measure_fibres
from axonlab.micrograph import (
    CLASSES,
    Micrograph,
    at_model_scale,
    check_scale,
    classify,
    resize,
    resize_labels,
    shape_at,
)
from axonlab.models import Model
from axonlab.objects import label_fibres
from axonlab.scale import (
    FACTORS,
    LEARNT_DIAMETER_UM,
    doubt_pixel_size,
    liveliest,
    plausible_fibres,
    suggest_scale,
    try_scales,
)
from axonlab.segment import Tell, predict, predict_turned

SIDE = 384
"""Of a crop, in pixels of the model."""

FROM_AFAR = 1_000_000
"""Pixels in which it is looked for the place that shows most: fibres of a larger image need not be
seen one by one."""

Place = tuple[float, float]
"""Where a crop lies, down and across: 0 at the first edge of the image, 1 at the other."""


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Crop:
    """What a model makes of a part of a micrograph, at its own resolution.

    Parameters
    ----------
    micrograph : Micrograph
        (h, w) pixels that the network sees, at most `SIDE` a side, normalised as in the whole.
    labels : (h, w) uint8 array
        Class ids.
    fibres : DataFrame
        From `axonlab.measure.measure_fibres`.
    place : pair of float
    pixel_size, pixel_size_source : float, str
        Of the image as it is, in µm, and where it comes from.
    doubt : str
        What speaks against the pixel size, see `axonlab.scale.doubt_pixel_size`.
    """

    micrograph: Micrograph
    labels: NDArray[np.uint8] = field(repr=False)
    fibres: pd.DataFrame = field(repr=False)
    place: Place
    pixel_size: float
    pixel_size_source: str
    doubt: str

    @property
    def fibre_diameter(self) -> float:
        """Median in µm of the complete fibres, NaN if there are none."""
        return float(plausible_fibres(self.fibres)["fibre_diameter_um"].median())


class Preview:
    """A micrograph of which crops are segmented at the resolution of a model.

    Parameters
    ----------
    micrograph : Micrograph
    model : Model

    Raises
    ------
    ValueError
        If the pixel size is absurdly far from the model's.

    Notes
    -----
    A micrograph is shrunk to the model's pixel size as a whole, as it is for
    `axonlab.segment.segment`; of one with larger pixels only crops are enlarged, since as a whole
    it may take all memory there is, and often its pixel size is wrong.
    """

    def __init__(self, micrograph: Micrograph, model: Model) -> None:
        card = model.card
        check_scale(micrograph.name, micrograph.pixel_size, card.pixel_size)
        self.micrograph, self.model = micrograph, model
        self._size = max(card.pixel_size, micrograph.pixel_size)
        self._pixels, _ = at_model_scale(micrograph, self._size, card.percentiles)
        blank = resize_labels(micrograph.blank.view(np.uint8), self._pixels.shape)
        self._blank = blank.view(bool)
        self._side = max(1, round(SIDE * card.pixel_size / self._size))

    def segment(
        self, place: Place | None, *, tell: Tell, test_time_augmentation: bool = False
    ) -> Crop:
        """Segment a crop.

        Parameters
        ----------
        place : pair of float or None
            None: where the image shows most. If there is a doubt even there, other scales are
            tried, and the doubt tells of the one that fits best.
        tell, test_time_augmentation
            As for `axonlab.segment.segment`.
        """
        cut = self._liveliest() if place is None else self._cut(place)
        card = self.model.card
        shape = shape_at(self._pixels[cut].shape, self._size, card.pixel_size)
        pixels = resize(self._pixels[cut], shape)
        look = predict_turned if test_time_augmentation else predict
        seen = look(self.model.network, pixels, temperature=card.temperature, tell=tell)
        labels = classify(seen, card.classes)
        blank = resize_labels(self._blank[cut].view(np.uint8), shape)
        labels[blank.view(bool)] = CLASSES["background"]
        objects = label_fibres(labels, pixel_size=card.pixel_size)
        fibres = measure_fibres(*objects, pixel_size=card.pixel_size)
        return Crop(
            Micrograph(pixels, card.pixel_size, self.micrograph.name),
            labels,
            fibres,
            self._place(cut),
            self.micrograph.pixel_size,
            self.micrograph.pixel_size_source,
            self._doubt(fibres, search=place is None),
        )

    def _liveliest(self) -> tuple[slice, slice]:
        """Return the crop that shows most, as seen from afar where the image is large."""
        shrink = max(1.0, math.sqrt(self._pixels.size / FROM_AFAR))
        coarse = resize(self._pixels, shape_at(self._pixels.shape, 1.0, shrink))
        rows, columns = liveliest(coarse, max(1, round(self._side / shrink)))
        return self._from(round(rows.start * shrink), round(columns.start * shrink))

    def _cut(self, place: Place) -> tuple[slice, slice]:
        return self._from(*(round(p * room) for p, room in zip(place, self._room, strict=True)))

    def _from(self, top: int, left: int) -> tuple[slice, slice]:
        top, left = (min(start, room) for start, room in zip((top, left), self._room, strict=True))
        return slice(top, top + self._side), slice(left, left + self._side)

    @property
    def _room(self) -> tuple[int, int]:
        """How far a crop can be moved down and across."""
        height, width = self._pixels.shape
        return max(0, height - self._side), max(0, width - self._side)

    def _place(self, cut: tuple[slice, slice]) -> Place:
        down, across = (c.start / max(1, room) for c, room in zip(cut, self._room, strict=True))
        return down, across

    def _doubt(self, fibres: pd.DataFrame, *, search: bool) -> str:
        learnt = LEARNT_DIAMETER_UM.get(self.model.card.name)
        size = self.micrograph.pixel_size
        doubt = doubt_pixel_size(fibres, pixel_size=size, learnt_diameter=learnt)
        if not (doubt and search and learnt):
            return doubt
        try:
            scales = try_scales(self.micrograph.pixels, self.model, factors=FACTORS[::2])
            found = suggest_scale(scales, learnt_diameter=learnt)
        except ValueError:  # there are none at any scale
            return doubt
        return (
            f"{doubt} Tried at other scales, it finds most at about "
            f"{found['pixel_size_um']:.2g} µm per pixel."
        )
