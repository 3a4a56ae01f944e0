"""What is done to one tile of a slide, by a worker that knows nothing but its files.

Every function reads what it needs from the OME-Zarr, with as much around the tile as can
influence it, and writes the tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from scipy import ndimage

from axonlab import blank, omezarr, stitch
from axonlab.measure import Parts
from axonlab.micrograph import CLASSES, classify, normalise, shape_at
from axonlab.objects import FREE, Box, parts_between_necks, share_myelin
from axonlab.omezarr import open_levels
from axonlab.partition import grow
from axonlab.resample import Resampling, resize_part
from axonlab.runs import Runs
from axonlab.stages import Record

REACH_BLANK = blank.STRAIGHT + 2 * blank.WINDOW
"""Pixels around a tile that can influence whether it is blank."""

MODEL_PIXELS = 2048
"""Largest side, in pixels of the model, of what is predicted at once: it bounds memory."""

WAVES, MAX_WAVES = 128, 1024
"""How far from its axon myelin is looked for: in so many waves at first, then twice as many, and
no further, which bounds memory."""

TABLE = Path("tables", "fibres.parquet")
"""Where in a slide the table of its fibres is."""

SUMS = "sums"


@dataclass(frozen=True)
class Slide:
    """An OME-Zarr that is worked on.

    Parameters
    ----------
    path : str
    shape : pair of int
    pixel_size : float
        In µm.
    tile : int
    """

    path: str
    shape: tuple[int, int]
    pixel_size: float
    tile: int

    @classmethod
    def of(cls, output: str | Path, manifest: Mapping[str, Any]) -> Slide:
        """Return a finished slide, from what its manifest says."""
        height, width = manifest["shape"]
        return cls(str(output), (height, width), manifest["pixel_size_um"], manifest["tile"])

    def image(self) -> Any:
        """Return the grey values."""
        return open_levels(self.path, "r+")[0]

    def labels(self, name: str) -> Any:
        """Return the class ids, the ids of objects or what is blank."""
        return open_levels(self.folder_of(name), "r+")[0]

    def folder_of(self, name: str) -> Path:
        """Return where labels are."""
        return Path(self.path, "labels", name)

    def filler(self) -> Any:
        """Return the filler, without what is between its pieces; it is needed for a while."""
        return zarr.open_array(self._filler, mode="r+")

    def make_filler(self) -> None:
        """Make the array of `filler`."""
        chunks = (self.tile, self.tile)
        zarr.create_array(
            self._filler, shape=self.shape, chunks=chunks, dtype="bool", overwrite=True
        )

    @property
    def _filler(self) -> str:
        return str(Path(self.path, "run", "filler"))

    def around(self, box: Box, margin: int) -> tuple[Box, Box]:
        """Return a box with a margin, and where the box lies in that."""
        window = grow(box, margin, self.shape)
        inner = tuple(
            slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, window, strict=True)
        )
        return window, (inner[0], inner[1])


# --- pixels ---------------------------------------------------------------------------------------


def store_image(slide: Slide, box: Box, source: Any) -> Record:
    """Copy grey values into the slide; the record tells what could not be read."""
    pixels, holes = source.read(box)
    slide.image()[box] = pixels
    return _holes(holes)


def store_labels(slide: Slide, box: Box, source: Any) -> Record:
    """Copy class ids into the slide; the record tells what could not be read."""
    labels, holes = source.read(box)
    slide.labels("classes")[box] = labels
    record = _holes(holes)
    if holes:
        is_blank = np.zeros(labels.shape, bool)
        _mark(is_blank, box, record["places"])
        slide.labels("blank")[box] = is_blank
    return record


def _holes(holes: list[tuple[Box, str]]) -> Record:
    places = [[s for side in box for s in (side.start, side.stop)] for box, _ in holes]
    return {
        "places": np.array(places, np.int64).reshape(-1, 4),
        "reasons": np.array([reason for _, reason in holes], np.str_),
    }


def find_filler(slide: Slide, box: Box) -> Record:
    """Measure the outlines of constant areas, as far as they are in the tile."""
    constant, inner = _constant_squares(slide, box)
    labels, n, sides = stitch.label(constant[inner])
    areas = np.zeros(constant.shape, np.int32)
    areas[inner] = labels
    outline, straight = blank.outlines(constant, areas, n)
    return {"n": np.array(n), "outline": outline, "straight": straight, **sides._asdict()}


def mark_filler(slide: Slide, box: Box, is_filler: NDArray[np.bool_]) -> Record:
    """Mark the constant areas of a tile that are filler."""
    constant, inner = _constant_squares(slide, box)
    labels, _, _ = stitch.label(constant[inner])
    slide.filler()[box] = np.append(False, is_filler)[labels]
    return {}


def mark_blank(slide: Slide, box: Box, holes: NDArray[np.int64]) -> Record:
    """Mark what shows nothing: filler, and the holes of the source."""
    window, inner = slide.around(box, REACH_BLANK)
    ends = tuple((w.start == 0, w.stop == n) for w, n in zip(window, slide.shape, strict=True))
    filler = np.asarray(slide.filler()[window], bool)
    is_blank = blank.spread(filler, (ends[0], ends[1]))[inner]
    _mark(is_blank, box, holes)
    slide.labels("blank")[box] = is_blank
    return {}


def _mark(is_blank: NDArray[np.bool_], box: Box, holes: NDArray[np.int64]) -> None:
    """Mark what holes of the slide take from a tile, in place."""
    (top, bottom), (left, right) = ((side.start, side.stop) for side in box)
    low, high = holes[:, [0, 2]], holes[:, [1, 3]]
    here = ((high > [top, left]) & (low < [bottom, right])).all(1)
    for first_row, last_row, first, last in holes[here].tolist():
        rows = slice(max(first_row - top, 0), last_row - top)
        is_blank[rows, max(first - left, 0) : last - left] = True


def _constant_squares(slide: Slide, box: Box) -> tuple[NDArray[np.bool_], Box]:
    window, inner = slide.around(box, REACH_BLANK)
    pixels = np.asarray(slide.image()[window], np.float32)
    return blank.constant_squares(pixels), inner


# --- classes --------------------------------------------------------------------------------------


def sample_greys(slide: Slide, box: Box, shape: tuple[int, int], step: int) -> Record:
    """Take some pixels of the tile as it is at the model's resolution.

    They are those of the `shape` there that `axonlab.micrograph.intensity_range` takes.
    """
    axes = [Resampling(n, m) for n, m in zip(slide.shape, shape, strict=True)]
    covered = [axis.covered_by(side) for axis, side in zip(axes, box, strict=True)]
    wanted = [slice(-(-c.start // step) * step, c.stop, step) for c in covered]
    places = [np.arange(w.start, w.stop, w.step) for w in wanted]
    if not all(len(along) for along in places):
        return {"greys": np.zeros(0, np.float32), "blank": np.zeros(0, bool)}
    given = _needed(axes, wanted)
    pixels = slide.image()[given]
    greys = resize_part(pixels, given, (wanted[0], wanted[1]), axes[0], axes[1])
    y, x = (axis.nearest(along) for axis, along in zip(axes, places, strict=True))
    part = np.asarray(slide.labels("blank")[y[0] : y[-1] + 1, x[0] : x[-1] + 1], bool)
    return {"greys": greys.ravel(), "blank": part[np.ix_(y - y[0], x - x[0])].ravel()}


def predict_classes(
    slide: Slide, box: Box, model: str, sha256: str, grey_range: tuple[float, float]
) -> Record:
    """Segment a tile."""
    classes = slide.labels("classes")
    for part in _parts(slide, box, kept_model(model, sha256).card.pixel_size):
        classes[part] = _predict(slide, part, kept_model(model, sha256), grey_range)
    return {}


def _parts(slide: Slide, box: Box, pixel_size: float) -> Iterator[Box]:
    """Cut a tile so that its parts are not too large at the pixel size of the model."""
    side = max(1, int(MODEL_PIXELS * pixel_size / slide.pixel_size))
    for top, left in product(*(range(s.start, s.stop, side) for s in box)):
        yield (
            slice(top, min(top + side, box[0].stop)),
            slice(left, min(left + side, box[1].stop)),
        )


def _predict(
    slide: Slide, box: Box, model: Any, grey_range: tuple[float, float]
) -> NDArray[np.uint8]:
    from axonlab.segment import predict  # torch, which the other stages do without

    card, network = model.card, model.network
    shape = shape_at(slide.shape, slide.pixel_size, card.pixel_size)
    there = [Resampling(n, m) for n, m in zip(slide.shape, shape, strict=True)]
    back = [Resampling(m, n) for n, m in zip(slide.shape, shape, strict=True)]
    seen = _needed(back, box)
    # from a multiple of the stride, so that the network sees the tile as it would the whole
    wanted = tuple(
        slice(s.start // step * step, s.stop) for s, step in zip(seen, network.stride, strict=True)
    )
    window = tuple(
        slice(max(w.start - -(-halo // step) * step, 0), min(-(-(w.stop + halo) // step) * step, n))
        for w, halo, step, n in zip(wanted, network.halo, network.stride, shape, strict=True)
    )
    given = _needed(there, window)
    greys = resize_part(slide.image()[given], given, (window[0], window[1]), there[0], there[1])
    inner = [
        slice(w.start - o.start, w.stop - o.start) for w, o in zip(wanted, window, strict=True)
    ]
    coarse = predict(
        network,
        normalise(greys, *grey_range),
        wanted=(inner[0], inner[1]),
        temperature=card.temperature,
    )
    planes = [resize_part(p, (wanted[0], wanted[1]), box, back[0], back[1]) for p in coarse]
    labels = classify(np.stack(planes), card.classes)
    if "background" in card.classes:
        labels[np.asarray(slide.labels("blank")[box], bool)] = CLASSES["background"]
    return labels


def _needed(axes: list[Resampling], wanted: Any) -> Box:
    rows, columns = (axis.needs(part) for axis, part in zip(axes, wanted, strict=True))
    return rows, columns


@lru_cache(maxsize=1)
def kept_model(path: str, sha256: str) -> Any:
    """Load the model once per worker."""
    from axonlab.models import load_model

    model = load_model(path)
    if model.sha256 != sha256:
        raise ValueError(f"{path} has changed since the work was begun. Begin anew.")
    return model


# --- objects --------------------------------------------------------------------------------------


def find_axons(slide: Slide, box: Box, class_name: str) -> Record:
    """Number the axons of a class within a tile, and tell what is needed to join them."""
    labels, n, sides = stitch.label(slide.labels("classes")[box] == CLASSES[class_name])
    y, x = np.unravel_index(stitch.first_pixels(labels, n), labels.shape)
    (top, left), width = (side.start for side in box), slide.shape[1]
    first = (y.astype(np.int64) + top) * width + x + left
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    boxes = np.array(
        [[r.start, r.stop, c.start, c.stop] for r, c in ndimage.find_objects(labels)], np.int64
    ).reshape(-1, 4) + np.array([top, top, left, left])
    return {"n": np.array(n), "first": first, "area": area, "box": boxes, **sides._asdict()}


def find_necks(slide: Slide, objects: NDArray[np.int64]) -> Record:
    """Cut unmyelinated axons at their necks and tell the areas of the parts of those cut.

    `objects` has a row for each: its number, first pixel and bounding box.
    """
    cut, areas = [], []
    for number, first, *sides in objects.tolist():
        parts = _between_necks(slide, first, _box(sides))
        sizes = np.bincount(parts.ravel())[1:]
        if len(sizes) > 1:
            cut += [number] * len(sizes)
            areas += sizes.tolist()
    return {"number": np.array(cut, np.int64), "area": np.array(areas, np.int64)}


def _between_necks(slide: Slide, first: int, box: Box) -> NDArray[np.int32]:
    labels, _, _ = stitch.label(slide.labels("classes")[box] == CLASSES["unmyelinated axon"])
    y, x = divmod(first, slide.shape[1])
    return parts_between_necks(labels == labels[y - box[0].start, x - box[1].start])


def write_axons(
    slide: Slide,
    box: Box,
    ids: Mapping[str, NDArray[np.int32]],
    cut: list[tuple[int, list[int], NDArray[np.int32]]],
) -> Record:
    """Write the final ids of axons, and find the pieces they form with myelin.

    Parameters
    ----------
    slide, box
    ids : mapping of str to array
        Id of each axon in the tile, by class.
    cut : list of tuple
        First pixel, bounding box and ids of the parts of what is cut at necks.
    """
    classes = slide.labels("classes")[box]
    axons = np.zeros(classes.shape, np.int32)
    places = np.zeros(0, np.intp)
    for class_name, known in ids.items():
        labels, n, _ = stitch.label(classes == CLASSES[class_name])
        axons += np.append(np.int32(0), known)[labels]
        if class_name == "axon":  # an axon is in one piece as a whole: one of its pixels tells
            places = stitch.first_pixels(labels, n)[known > 0]
    for first, sides, known in cut:
        whole = _box(sides)
        parts = _between_necks(slide, first, whole)
        theirs, ours = _overlap(whole, box)
        inside = parts[theirs] > 0
        axons[ours][inside] = np.append(np.int32(0), known)[parts[theirs]][inside]
    slide.labels("axons")[box] = axons
    pieces, n, sides_of = _pieces(classes, axons)
    found = {"piece": pieces.ravel()[places], "axon": axons.ravel()[places]}
    return {"n": np.array(n), **found, **sides_of._asdict()}


def write_fibres(slide: Slide, box: Box, owner: NDArray[np.int32]) -> Record:
    """Give the myelin of a tile to axons and write the fibres.

    `owner` has the id of each piece in the tile: 0 where it has no axon, `FREE` where it has
    several. The record tells how many pixels of myelin are too far from any axon to be sure.
    """
    classes, axons = slide.labels("classes")[box], slide.labels("axons")[box]
    pieces, _, _ = _pieces(classes, axons)
    fibres = np.append(np.int32(0), owner)[pieces]
    np.copyto(fibres, axons, where=axons > 0)
    waves = WAVES
    while (fibres == FREE).any() and waves <= MAX_WAVES:
        _share(slide, box, fibres, waves)
        waves *= 2
    unsure = fibres == FREE
    fibres[unsure] = 0
    slide.labels("fibres")[box] = fibres
    return {"unsure": np.array(np.count_nonzero(unsure))}


def _share(slide: Slide, box: Box, fibres: NDArray[np.int32], waves: int) -> None:
    """Give free myelin of a tile to axons as far as waves reach it, in place."""
    is_free = fibres == FREE
    rows, columns = (np.flatnonzero(is_free.any(axis)) for axis in (1, 0))
    cut = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part = tuple(slice(s.start + c.start, s.start + c.stop) for s, c in zip(box, cut, strict=True))
    window, inner = slide.around((part[0], part[1]), 2 * waves)
    is_whole = all(w == slice(0, n) for w, n in zip(window, slide.shape, strict=True))
    classes, axons = slide.labels("classes")[window], slide.labels("axons")[window]
    axons[classes != CLASSES["axon"]] = 0
    limit = None if is_whole else waves
    shared = share_myelin(axons, classes == CLASSES["myelin"], waves=limit)
    fibres[cut][is_free[cut]] = shared[inner][is_free[cut]]


def write_level(path: str, level: int, box: Box) -> Record:
    """Write a tile of a coarser level."""
    omezarr.write_level(path, level, box)
    return {}


def _pieces(
    classes: NDArray[np.uint8], axons: NDArray[np.int32]
) -> tuple[NDArray[np.int32], int, stitch.Sides]:
    """Number what hangs together of myelin and the axons that have some."""
    is_axon = (classes == CLASSES["axon"]) & (axons > 0)
    return stitch.label(is_axon | (classes == CLASSES["myelin"]))


def _box(sides: list[int]) -> Box:
    return slice(sides[0], sides[1]), slice(sides[2], sides[3])


def _overlap(one: Box, other: Box) -> tuple[Box, Box]:
    """Return where two boxes overlap, as seen from each."""
    shared = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)]
    seen = [
        tuple(
            slice(low - o.start, high - o.start) for (low, high), o in zip(shared, box, strict=True)
        )
        for box in (one, other)
    ]
    return (seen[0][0], seen[0][1]), (seen[1][0], seen[1][1])


# --- measurements ---------------------------------------------------------------------------------


def measure_tile(slide: Slide, box: Box) -> Record:
    """Return the parts of the measurements of axons and fibres that are of the tile."""
    record: dict[str, NDArray[Any]] = {}
    shape = (box[0].stop - box[0].start, box[1].stop - box[1].start)
    window = tuple(
        slice(s.start, min(s.stop + 1, n)) for s, n in zip(box, slide.shape, strict=True)
    )
    for name in ("axons", "fibres"):
        objects = slide.labels(name)[window]
        parts = Parts.in_tile(objects, shape, origin=(box[0].start, box[1].start))
        record |= {f"{name}_{field}": values for field, values in parts.corners._asdict().items()}
        record |= {f"{name}_{SUMS}_{c}": v.to_numpy() for c, v in parts.sums.items()}
        record[f"{name}_{SUMS}"] = parts.sums.index.to_numpy()
    return record


def parts_of(record: Record, name: str) -> Parts:
    """Return the parts of axons or fibres from the record of `measure_tile`."""
    import pandas as pd

    columns = {
        key.removeprefix(f"{name}_{SUMS}_"): values
        for key, values in record.items()
        if key.startswith(f"{name}_{SUMS}_")
    }
    sums = pd.DataFrame(columns, index=record[f"{name}_{SUMS}"])
    return Parts(sums, Runs(*(record[f"{name}_{field}"] for field in Runs._fields)))
