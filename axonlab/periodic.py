"""Tissue that repeats without a seam, and is laid out over slides of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage as ndi

from axonlab.appearance import FAR, WHITE, Appearance, Scene, expose
from axonlab.packing import DIRECTIONS, Outlines, Tissue, largest_fibre, pack
from axonlab.raster import rasterise, tabulate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
Objects = NDArray[np.int32]
Region = tuple[slice, slice]

PERIOD = 2000
"""Rows and columns after which the tissue of a large slide repeats."""

BLOCK = 256
"""Side of the squares that a slide is drawn in, whatever its tiles; each has its own noise."""

BELTS = ((0.0, 0.0), (0.2814159265, 0.4017182818), (0.6057721566, 0.7214142136), (1.0, 1.0))
"""Where the borders between tracts meet the first row and the last, as shares of the width:
uneven numbers, so that no pixel's centre lies on a border, where it would be of both tracts."""

BLANK_SHARE = 8
"""The blank corner takes this part of the height and of the width."""


@dataclass(frozen=True)
class Piece:
    """A piece of tissue as large as the period, which goes on at its opposite edges.

    Its planes are larger, so that a block and its surroundings can be cut out at once wherever
    it begins within the period: they start a margin before it and end a block and a margin later.

    Parameters
    ----------
    pixels, classes : (H, W) uint8 array
        Grey values before shading and noise, and class ids.
    copies : (H, W) int32 array
        Row in `fibre` and `shift` of the copy of a fibre that is seen, 0 where there is none.
    fibre : (m + 1,) int64 array
        Row of the fibre in `boxes` and `table`.
    shift : (m + 1, 2) int64 array
        By how many periods (rows, columns) the copy is moved.
    boxes : (n, 2, 2) float64 array
        First and last row and column of the outlines of the fibres, with centres in the period.
    table : DataFrame
        The columns of `axonlab.phantom.Phantom.table`.
    """

    pixels: Pixels
    classes: Pixels
    copies: Objects
    fibre: Ints
    shift: Ints
    boxes: Floats
    table: pd.DataFrame


@dataclass(frozen=True)
class Layout:
    """A slide: which tissue lies where, and how its parts are drawn.

    Parameters
    ----------
    shape : pair of int
        Rows and columns of the slide.
    period : (2,) int64 array
        Rows and columns of the pieces.
    pieces : sequence of Piece
        One for each tract, from left to right.
    empty : (H, W) uint8 array
        Grey values of the pieces where they hold no fibres: their background is the same.
    blank : pair of int
        Rows and columns of the corner at the lower right in which nothing was seen.
    largest : float
        Rows or columns that the largest fibre takes.
    """

    shape: tuple[int, int]
    pixel_size: float
    period: Ints
    pieces: Sequence[Piece]
    empty: Pixels
    blank: tuple[int, int]
    largest: float
    look: Appearance
    seed: int

    def draw(self, region: Region) -> tuple[Pixels, Pixels, Objects]:
        """Return the image, the classes and the ids of the fibres of a part of the slide."""
        sides = [span.stop - span.start for span in region]
        pixels, classes = np.empty(sides, np.uint8), np.empty(sides, np.uint8)
        fibres = np.empty(sides, np.int32)
        rows, columns = (range(span.start // BLOCK, -(-span.stop // BLOCK)) for span in region)
        for row, column in product(rows, columns):
            (below, of_rows), (right, of_columns) = map(_overlap, region, (row, column))
            to, of = (below, right), (of_rows, of_columns)
            block = self._block(row, column)
            pixels[to], classes[to], fibres[to] = block[0][of], block[1][of], block[2][of]
        return pixels, classes, fibres

    def tables(self) -> Iterator[pd.DataFrame]:
        """Yield the fibres that are seen, with their `tract`: those of a row of periods at once."""
        edge = self._ids_at_edge()
        for row in range(self._repeats[0]):
            parts = [
                self._rows(tract, row - 1, column - 1, edge)
                for tract in range(len(self.pieces))
                for column in range(self._repeats[1])
            ]
            yield pd.concat(parts, ignore_index=True).sort_values("fibre_id", ignore_index=True)

    def tracts(self) -> list[Floats]:
        """Return the corners of the tracts as rows and columns in pixels, from left to right."""
        top, bottom = self._belts
        first, last = -0.5, self.shape[0] - 0.5
        return [
            np.array(
                [[first, top[i]], [first, top[i + 1]], [last, bottom[i + 1]], [last, bottom[i]]]
            )
            for i in range(len(self.pieces))
        ]

    @property
    def n_ids(self) -> int:
        """Return the largest id that a fibre could have."""
        return int(self._first_ids()[-1])

    @property
    def _repeats(self) -> Ints:
        """Return how many rows and columns of periods hold centres of fibres that may be seen."""
        return -(-np.array(self.shape) // self.period) + 2

    @property
    def _belts(self) -> Floats:
        """Return the columns of the borders of tracts in the first row, and in the last."""
        return np.array(BELTS).T * self.shape[1] - 0.5

    def _first_ids(self) -> Ints:
        """Return what the ids of each tract follow, and at last the number of all."""
        counts = [len(piece.boxes) * int(self._repeats.prod()) for piece in self.pieces]
        return np.cumsum([0, *counts])

    def _ids(self, tract: int, fibre: Ints, copy: Ints) -> Ints:
        """Return the ids of copies of fibres in periods (rows, columns), counted from -1."""
        rows, columns = np.moveaxis(copy + 1, -1, 0)
        number = rows * self._repeats[1] + columns
        return np.asarray(
            self._first_ids()[tract] + number * len(self.pieces[tract].boxes) + fibre + 1
        )

    def _holds(self, tract: int, boxes: Floats) -> Bools:
        """Tell the boxes that lie within a tract and out of the blank corner."""
        (top, left), (bottom, right) = np.moveaxis(boxes, (-2, -1), (0, 1))
        slope = np.diff(self._belts, axis=0)[0] / self.shape[0]
        start, rise = self._belts[0, tract : tract + 2], slope[tract : tract + 2]
        # The outer tracts go on beyond the edges of the slide.
        start = start + np.where([tract == 0, tract + 2 == len(BELTS)], [-np.inf, np.inf], 0)
        beyond = [start[:, None] + rise[:, None] * (y.ravel() + 0.5) for y in (top, bottom)]
        low, high = np.maximum(*beyond)[0], np.minimum(*beyond)[1]
        inside = (left > low.reshape(left.shape)) & (right < high.reshape(right.shape))
        clear = [
            last < length - side
            for last, length, side in zip((bottom, right), self.shape, self.blank, strict=True)
        ]
        return np.asarray(inside & (clear[0] | clear[1] | (min(self.blank) == 0)))

    def _block(self, row: int, column: int) -> tuple[Pixels, Pixels, Objects]:
        """Draw a block of the slide."""
        start = np.array([row, column]) * BLOCK
        sides = np.minimum(BLOCK, self.shape - start)
        around = _cut(start % self.period, sides + 2 * self._margin)
        block = np.array([start - self._margin, start + sides + self._margin])
        image = self.empty[around].astype(np.float32)
        classes, fibres = np.zeros(sides, np.uint8), np.zeros(sides, np.int32)
        inner = _cut(np.array([self._margin] * 2), sides)
        reach = np.array([[-self.largest], [self.largest]])
        whole = [tract for tract in range(len(self.pieces)) if self._holds(tract, block + reach)]
        tracts = whole or range(len(self.pieces))
        for tract in tracts:
            piece = self.pieces[tract]
            copies = piece.copies[around]
            copy = start // self.period + piece.shift
            if whole:
                stays = copies > 0
                image = piece.pixels[around].astype(np.float32)
            else:
                kept = self._holds(tract, piece.boxes[piece.fibre] + copy[:, None] * self.period)
                kept[0] = False
                stays = kept[copies]
                if not stays.any():
                    continue
                weight = self._weight(stays, gone=(copies > 0) & ~stays)
                image += weight * (piece.pixels[around] - self.empty[around].astype(np.float32))
            seen = stays[inner]
            ids = self._ids(tract, piece.fibre, copy).astype(np.int32)
            np.copyto(classes, piece.classes[around][inner], where=seen)
            np.copyto(fibres, ids[copies[inner]], where=seen)
        pixels = self._detect(image[inner], row, column)
        rows, columns = np.maximum(0, np.array(self.shape) - self.blank - start)
        if min(self.blank):
            pixels[rows:, columns:] = 0
        return pixels, classes, fibres

    @property
    def _margin(self) -> int:
        return _margin(self.look, self.pixel_size)

    def _weight(self, stays: Bools, gone: Bools) -> NDArray[np.float32]:
        """Return 0 where fibres that are left out show, 1 elsewhere, and the blur between."""
        sigma = self.look.blur_um / self.pixel_size
        shown = ndi.maximum_filter(gone, 2 * _glow(sigma) + 1) & ~stays
        return np.asarray(1 - ndi.gaussian_filter(shown.astype(np.float32), sigma))

    def _detect(self, image: NDArray[np.float32], row: int, column: int) -> Pixels:
        """Shade a block, and add the noise of the detector, all by its place on the slide."""
        height, width = image.shape
        y, x = (
            ((2 * (n * BLOCK + np.arange(side)) + 1) / length - 1).astype(np.float32)
            for n, side, length in zip((row, column), image.shape, self.shape, strict=True)
        )
        turn = _stream(self.seed).uniform(0, 2 * np.pi)
        slope = np.float32(np.sin(turn)) * y[:, None] + np.float32(np.cos(turn)) * x
        bend = (y * y)[:, None] + x * x
        shading = np.float32(self.look.shading / 2) * (slope - bend / 2)
        rng, beside = (_stream(self.seed, row + 1, column + step) for step in (1, 2))
        # Charging changes along a line from what a block draws to what its neighbour does.
        start, end = (r.standard_normal((BLOCK, 1), np.float32)[:height] for r in (rng, beside))
        way = np.arange(width, dtype=np.float32) / np.float32(BLOCK)
        charge = np.float32(self.look.stripes) * (start + (end - start) * way)
        seen = np.asarray(image + image * shading + charge, np.float32)
        shot = np.maximum(seen, 0) * np.float32(WHITE / self.look.counts)
        spread = np.sqrt(shot + np.float32(self.look.read_noise**2))
        seen += spread * rng.standard_normal(seen.shape, np.float32)
        return np.rint(np.clip(seen, 0, WHITE)).astype(np.uint8)

    def _ids_at_edge(self) -> Ints:
        """Return the ids of the fibres in the first and last rows and columns of the slide."""
        height, width = self.shape
        strips = [(slice(y, y + 1), slice(0, width)) for y in (0, height - 1)]
        strips += [(slice(0, height), slice(x, x + 1)) for x in (0, width - 1)]
        found = [np.unique(self.draw(strip)[2]) for strip in strips]
        return np.unique(np.concatenate(found)).astype(np.int64)

    def _rows(self, tract: int, row: int, column: int, edge: Ints) -> pd.DataFrame:
        """Return the truth of the fibres of a tract with centres in one period."""
        piece, copy = self.pieces[tract], np.array([row, column])
        moved = copy * self.period
        boxes = piece.boxes + moved
        kept = self._holds(tract, boxes)
        ids = self._ids(tract, np.arange(len(boxes)), copy)
        touches = np.isin(ids, edge)
        # A fibre lies within the slide, out of it, or in its first or last row or column.
        within = ((boxes[:, 0] > -1) & (boxes[:, 1] < self.shape)).all(axis=1)
        seen = kept & (within | touches)
        table = piece.table[seen]
        return table.assign(
            fibre_id=ids[seen].astype(np.int32),
            centroid_y_um=table.centroid_y_um + moved[0] * self.pixel_size,
            centroid_x_um=table.centroid_x_um + moved[1] * self.pixel_size,
            touches_border=touches[seen],
            tract=tract,
        )


def lay_out(
    shape: tuple[int, int],
    tissues: Sequence[Tissue],
    look: Appearance,
    *,
    pixel_size: float,
    has_blank: bool,
    seed: int,
) -> Layout:
    """Draw a piece of each tissue, and lay them out side by side over a slide.

    Raises
    ------
    ValueError
        If the largest fibres do not find room in the period.
    """
    period = _period(shape, tissues, pixel_size)
    geometry = np.random.default_rng(seed).spawn(len(tissues))
    pieces = [
        _piece(period, pixel_size, tissue, look, rng, seed)
        for tissue, rng in zip(tissues, geometry, strict=True)
    ]
    nothing, far = np.zeros(period, np.int32), np.full(period, -FAR, np.float32)
    scene = Scene(nothing.astype(np.uint8), nothing, nothing, far, far, pixel_size, wraps=True)
    empty = _extend(_exposed(scene, look, seed), _margin(look, pixel_size))
    blank = (shape[0] // BLANK_SHARE, shape[1] // BLANK_SHARE) if has_blank else (0, 0)
    largest = max(np.diff(piece.boxes, axis=1).max(initial=0) for piece in pieces)
    return Layout(shape, pixel_size, period, pieces, empty, blank, float(largest), look, seed)


def _period(shape: tuple[int, int], tissues: Sequence[Tissue], pixel_size: float) -> Ints:
    """Return the rows and columns of the pieces: no more than the slide, but room for fibres."""
    largest = 3 * max(largest_fibre(tissue, pixel_size) for tissue in tissues)
    if largest > PERIOD:
        raise ValueError(
            f"pixel_size is {pixel_size:g} µm, at which the largest fibres are {largest / 3:.0f} "
            f"pixels across, expected at most {PERIOD // 3}. Take a pixel_size of "
            f"{1.01 * pixel_size * largest / PERIOD:.3g} µm or more."
        )
    return np.clip(shape, int(np.ceil(largest)), PERIOD).astype(np.int64)


def _piece(
    period: Ints,
    pixel_size: float,
    tissue: Tissue,
    look: Appearance,
    rng: np.random.Generator,
    seed: int,
) -> Piece:
    """Pack, draw and expose a piece of tissue."""
    margin = _margin(look, pixel_size)
    outlines = pack(period.astype(np.float64), pixel_size, tissue, rng)
    fibre, shift = _copies(_boxes(outlines), period, margin)
    moved = outlines.take(fibre)
    moved = replace(moved, centres=moved.centres + shift * period + margin)
    height, width = period + BLOCK + 2 * margin
    scene, seen = rasterise(moved, (int(height), int(width)), pixel_size)
    # Fibres too small for a single pixel are none.
    drawn, fibre = np.unique(fibre[seen], return_inverse=True)
    fibre, shift = np.append(0, fibre), np.concatenate([[[0, 0]], shift[seen]])
    middle = _cut(np.array([margin, margin]), period)
    one = Scene(
        scene.labels[middle],
        _merged(scene.axons[middle], fibre),
        _merged(scene.fibres[middle], fibre),
        scene.depth[middle],
        scene.axon_depth[middle],
        pixel_size,
        wraps=True,
    )
    outlines = outlines.take(drawn)
    pixels = _extend(_exposed(one, look, seed), margin)
    boxes, table = _boxes(outlines), tabulate(outlines, pixel_size)
    return Piece(pixels, scene.labels, scene.fibres, fibre, shift, boxes, table)


def _copies(boxes: Floats, period: Ints, margin: int) -> tuple[Ints, Ints]:
    """Return the fibres and shifts of all copies that reach into the planes of a piece."""
    fibres, shifts = [], []
    for shift in product(range(-1, 3), repeat=2):
        moved = boxes + np.array(shift) * period
        near = (moved[:, 1] > -margin - 3) & (moved[:, 0] < period + BLOCK + margin + 3)
        fibre = np.flatnonzero(near.all(axis=1))
        fibres.append(fibre)
        shifts.append(np.tile(shift, (len(fibre), 1)))
    return np.concatenate(fibres), np.concatenate(shifts)


def _boxes(outlines: Outlines) -> Floats:
    """Return the first and last row and column that outlines reach, (n, 2, 2)."""
    corners = outlines.outer[:, None, :] * DIRECTIONS
    ends = np.stack([corners.min(axis=2), corners.max(axis=2)], axis=1)
    return np.asarray(outlines.centres[:, None] + ends)


def _merged(copies: Objects, fibre: Ints) -> Objects:
    """Return the numbers from 1 of the fibres that copies are of."""
    number = fibre.astype(np.int32) + np.int32(1)
    number[0] = 0
    return np.asarray(number[copies])


def _exposed(scene: Scene, look: Appearance, seed: int) -> Pixels:
    """Return the image before shading and noise; every scene has the same background."""
    # Whole grey values: the noise that is added hides the steps.
    return np.rint(np.clip(expose(scene, look, _stream(seed)), 0, WHITE)).astype(np.uint8)


def _extend(plane: Pixels, margin: int) -> Pixels:
    """Repeat a plane of one period over the planes of a piece."""
    return np.pad(plane, (margin, BLOCK + margin), mode="wrap")


def _margin(look: Appearance, pixel_size: float) -> int:
    """Return over how many pixels fibres that are left out act on what is around them."""
    sigma = look.blur_um / pixel_size
    return _glow(sigma) + int(4 * sigma) + 2


def _glow(sigma: float) -> int:
    """Return over how many pixels the blur carries an outline."""
    return int(np.ceil(3 * sigma)) + 3


def _stream(seed: int, *place: int) -> np.random.Generator:
    """Return random numbers that belong to a place of the slide."""
    return np.random.default_rng([seed, *place])


def _cut(start: Ints, sides: Ints) -> Region:
    """Return the part of a plane that starts at a row and column."""
    rows, columns = (slice(int(a), int(a + n)) for a, n in zip(start, sides, strict=True))
    return rows, columns


def _overlap(span: slice, number: int) -> tuple[slice, slice]:
    """Return the part of a span that a block fills, and the part of the block that fills it."""
    first, start = number * BLOCK, span.start
    low, high = max(start, first), min(span.stop, first + BLOCK)
    return slice(low - start, high - start), slice(low - first, high - first)
