"""The stages of a slide: what is done to all its tiles, and what their records decide together."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from axonlab import omezarr, slide_tiles, stitch
from axonlab.blank import is_filler
from axonlab.micrograph import sample_step, shape_at
from axonlab.objects import FREE, MIN_PART_RADIUS, Box
from axonlab.slide_tiles import Slide
from axonlab.source import Hole, Source, as_records, join_holes
from axonlab.stages import Stage, Tell, Tile, Workers, workers

if TYPE_CHECKING:
    from axonlab.models import Model

Records = dict[Tile, dict[str, NDArray[Any]]]

MAX_NECK_PIXELS = 1 << 23
"""Bounding boxes of unmyelinated axons that are cut at necks are no larger, which bounds memory."""


class SlideWork:
    """The stages of a slide."""

    def __init__(self, slide: Slide, team: Workers, tell: Tell) -> None:
        self.slide, self.team, self.tell = slide, team, tell
        self.folder = Path(slide.path, "run")
        self.boxes = self._grid(slide.shape)
        self.made: dict[str, Stage] = {}  # what is finished, and by which stage

    def _grid(self, shape: tuple[int, int]) -> dict[Tile, Box]:
        size = self.slide.tile
        boxes = omezarr.tiles(shape, size)
        return {
            (rows.start // size, columns.start // size): (rows, columns) for rows, columns in boxes
        }

    def run(
        self,
        stage: Stage,
        work: Any,
        arguments: Mapping[Tile, tuple[Any, ...]] | None = None,
        *more: Any,
        at_once: int | None = None,
        team: Workers | None = None,
    ) -> Records:
        """Do something to every tile, with arguments of its own and such that are for all."""
        tasks = {
            tile: (self.slide, box, *(arguments[tile] if arguments else ()), *more)
            for tile, box in self.boxes.items()
        }
        return stage.run(work, tasks, team or self.team, self.tell, at_once=at_once)

    def _store(self, stage: Stage, work: Any, source: Source) -> Records:
        """Copy what a source holds into the slide.

        An array would travel with every tile, and what is not in tiles be decoded by every worker:
        such sources are read by this process.
        """
        is_in_tiles = isinstance(source.origin, Path) and source.block[1] < source.shape[1]
        if self.team.are_threads or is_in_tiles:
            return self.run(stage, work, None, source)
        with workers(None) as threads:
            return self.run(stage, work, None, source, team=threads)

    def read(self, read: Stage, source: Source) -> tuple[Stage, dict[str, Any]]:
        """Copy class ids into the slide."""
        records = self._store(read, slide_tiles.store_labels, source)
        self.made |= {"classes": read, "blank": read}
        return read, {"model": None, "holes": _told(records)}

    def predict(self, read: Stage, source: Source, model: Model) -> tuple[Stage, dict[str, Any]]:
        """Copy the image into the slide, find what is blank, and segment the rest."""
        records = self._store(read, slide_tiles.store_image, source)
        blank = self._blank(read, np.concatenate([r["places"] for r in records.values()]))
        card = model.card
        shape = shape_at(self.slide.shape, self.slide.pixel_size, card.pixel_size)
        step = sample_step(shape)
        greys = Stage(self.folder, "greys", blank, shape=shape, step=step)
        samples = self.run(greys, slide_tiles.sample_greys, None, shape, step)
        shown = np.concatenate([r["greys"] for r in samples.values()])
        is_blank = np.concatenate([r["blank"] for r in samples.values()])
        low, high = np.percentile(shown if is_blank.all() else shown[~is_blank], card.percentiles)
        grey_range = float(low), float(high)
        path, sha256 = keep_model(Path(self.slide.path), model)
        classes = Stage(self.folder, "classes", greys, model=sha256, greys=grey_range)
        self.run(
            classes,
            slide_tiles.predict_classes,
            None,
            *(path, sha256, grey_range),
            at_once=1 if self.team.are_threads else None,  # torch takes all processors by itself
        )
        told = {
            "model": card.name,
            "model_sha256": model.sha256 or sha256,
            "model_pixel_size_um": card.pixel_size,
            "grey_values_mapped_to_0_and_1": grey_range,
            "holes": _told(records),
        }
        self.made |= {"image": read, "blank": blank, "classes": classes}
        return classes, told

    def _blank(self, read: Stage, holes: NDArray[np.int64]) -> Stage:
        """Find the filler of a mosaic, and mark it and the holes as blank."""
        find = Stage(self.folder, "filler", read)
        records = self.run(find, slide_tiles.find_filler)
        joined = _join(records)
        outline, straight = (
            _gather(np.add, joined, records, what, 0) for what in ("outline", "straight")
        )
        filler = is_filler(outline, straight)
        mark = Stage(self.folder, "mark", find)
        blank = Stage(self.folder, "blank", mark)
        if filler.any() or len(holes):
            if not mark.finished(self.boxes):
                self.slide.make_filler()
            self.run(
                mark,
                slide_tiles.mark_filler,
                {tile: (filler[joined.of(tile)],) for tile in self.boxes},
            )
            self.run(blank, slide_tiles.mark_blank, None, holes)
        return blank

    def objects(self, classes: Stage, min_axon_diameter: float) -> tuple[Stage, dict[str, Any]]:
        """Number the axons and give each its myelin."""
        min_pixels = np.pi / 4 * (min_axon_diameter / self.slide.pixel_size) ** 2
        axon = Stage(self.folder, "axons", classes)
        found = _Components.of(self.run(axon, slide_tiles.find_axons, None, "axon"))
        rank = found.rank
        in_order = np.empty_like(found.area)
        in_order[rank] = found.area
        ids = _numbered(in_order, min_pixels)
        of_axons = {tile: ids[rank[found.joined.of(tile)]] for tile in self.boxes}
        bare = self._unmyelinated(axon, min_pixels, int(ids.max(initial=0)))

        numbered = Stage(self.folder, "numbered", bare.stage, min_axon_diameter=min_axon_diameter)
        arguments = {
            tile: (
                {"axon": of_axons[tile], "unmyelinated axon": bare.ids[tile]},
                bare.cut.get(tile, []),
            )
            for tile in self.boxes
        }
        owners = _owners(self.run(numbered, slide_tiles.write_axons, arguments))
        fibres = Stage(self.folder, "fibres", numbered)
        if len(fibres.finished(self.boxes)) < len(self.boxes):  # a table would be of other fibres
            shutil.rmtree(Path(self.slide.path, slide_tiles.TABLE), ignore_errors=True)
        records = self.run(
            fibres, slide_tiles.write_fibres, {tile: (owners[tile],) for tile in self.boxes}
        )
        self.made |= {"axons": numbered, "fibres": fibres}
        unsure = sum(int(record["unsure"]) for record in records.values())
        told = {
            "fibres": bare.n,
            "myelin_pixels_too_far_from_axons": unsure,
            "unmyelinated_axons_too_large_to_cut": bare.n_too_large,
        }
        return fibres, told

    def _unmyelinated(self, after: Stage, min_pixels: float, n_before: int) -> _Bare:
        """Number the unmyelinated axons, cut at their necks, from `n_before` on."""
        bare = Stage(self.folder, "unmyelinated", after)
        found = _Components.of(self.run(bare, slide_tiles.find_axons, None, "unmyelinated axon"))
        necks = Stage(self.folder, "necks", bare)
        tasks = self._with_necks(found)
        records = necks.run(slide_tiles.find_necks, tasks, self.team, self.tell)
        none = np.zeros(0, np.int64)
        owner = np.concatenate([none, *(r["number"] for r in records.values())])
        parts = np.concatenate([none, *(r["area"] for r in records.values())])
        order = np.argsort(owner, kind="stable")
        owner, parts = owner[order], parts[order]
        is_first = np.append(True, owner[1:] != owner[:-1])[: len(owner)]
        # what is cut off comes after the others
        rank = found.rank
        area = np.empty(found.joined.n, np.int64)
        area[rank] = found.area
        area[owner[is_first]] = parts[is_first]
        ids = _numbered(np.append(area, parts[~is_first]), min_pixels, n_before)
        of_parts = np.empty(len(owner), np.int32)
        of_parts[is_first] = ids[owner[is_first]]
        of_parts[~is_first] = ids[found.joined.n :]
        n = int(ids.max(initial=n_before))
        ids = ids[: found.joined.n]
        ids[owner] = 0  # it is drawn in parts
        cut: dict[Tile, list[Any]] = {}
        at = np.argsort(found.first)
        begin = np.flatnonzero(is_first)
        for i, known in zip(begin, np.split(of_parts, begin[1:]), strict=False):
            place = at[owner[i]]
            entry = (int(found.first[place]), found.box[place].tolist(), known)
            for tile in self._touched(found.box[place]):
                cut.setdefault(tile, []).append(entry)
        of_tile = {tile: ids[rank[found.joined.of(tile)]] for tile in self.boxes}
        box = found.box
        sides = (box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2])
        return _Bare(necks, of_tile, cut, n, int((sides > MAX_NECK_PIXELS).sum()))

    def _with_necks(self, found: _Components) -> dict[Tile, tuple[Any, ...]]:
        """Return the objects that may have necks, by the tile of their first pixels."""
        height, width = found.box[:, 1] - found.box[:, 0], found.box[:, 3] - found.box[:, 2]
        may = np.minimum(height, width) > 2 * MIN_PART_RADIUS
        may &= height * width <= MAX_NECK_PIXELS
        objects = np.column_stack([found.rank, found.first, found.box])[may]
        tiles = np.column_stack(np.divmod(objects[:, 1], self.slide.shape[1])) // self.slide.tile
        return {
            (row, column): (self.slide, objects[(tiles == [row, column]).all(1)])
            for row, column in np.unique(tiles, axis=0).tolist()
        }

    def _touched(self, sides: NDArray[np.int64]) -> list[Tile]:
        """Return the tiles that a bounding box reaches into."""
        top, bottom, left, right = sides.tolist()
        size = self.slide.tile
        rows = range(top // size, (bottom - 1) // size + 1)
        return [(r, c) for r in rows for c in range(left // size, (right - 1) // size + 1)]

    def levels(self) -> None:
        """Write the coarser levels of all that was made."""
        for name, made in self.made.items():
            path = self.slide.path if name == "image" else str(self.slide.folder_of(name))
            for level, shape in enumerate(omezarr.level_shapes(self.slide.shape)[1:], start=1):
                made = Stage(self.folder, f"{name} level {level}", made)
                tasks = {tile: (path, level, box) for tile, box in self._grid(shape).items()}
                made.run(slide_tiles.write_level, tasks, self.team, self.tell)


@dataclass(frozen=True)
class _Bare:
    """Unmyelinated axons: ids of whole ones and parts of cut ones by tile, the last id."""

    stage: Stage
    ids: dict[Tile, NDArray[np.int32]]
    cut: dict[Tile, list[Any]]
    n: int
    n_too_large: int


def keep_model(output: Path, model: Model) -> tuple[str, str]:
    """Put the model beside the records, where all workers find it; return path and SHA-256."""
    from axonlab.models import load_model, save_model

    path = output / "run" / "model.safetensors"
    save_model(path, model.network, model.card, overwrite=True)
    return str(path), load_model(path).sha256


def _told(records: Records) -> list[dict[str, Any]]:
    """Return the holes in all records, for the manifest."""
    holes = [
        Hole((slice(top, bottom), slice(left, right)), str(reason))
        for record in records.values()
        for (top, bottom, left, right), reason in zip(
            record["places"].tolist(), record["reasons"], strict=True
        )
    ]
    return as_records(join_holes(holes))


def _join(records: Records) -> stitch.Join:
    counts = {tile: int(record["n"]) for tile, record in records.items()}
    sides = {
        tile: stitch.Sides(*(record[side] for side in stitch.Sides._fields))
        for tile, record in records.items()
    }
    return stitch.join(counts, sides)


def _gather(
    ufunc: np.ufunc, joined: stitch.Join, records: Records, what: str, start: int
) -> NDArray[np.int64]:
    """Return something of whole components from what the records know of their parts."""
    values = [record[what] for record in records.values()]
    whole = np.full((joined.n, *values[0].shape[1:]), start, np.int64)
    ufunc.at(whole, joined.whole, np.concatenate(values))
    return whole


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class _Components:
    """Whole components: their first pixels in the flat slide, numbers of pixels and boxes."""

    joined: stitch.Join
    first: NDArray[np.int64]
    area: NDArray[np.int64]
    box: NDArray[np.int64]

    @classmethod
    def of(cls, records: Records) -> _Components:
        joined = _join(records)
        most = np.iinfo(np.int64).max
        low = _gather(np.minimum, joined, records, "box", most)
        high = _gather(np.maximum, joined, records, "box", 0)
        return cls(
            joined,
            _gather(np.minimum, joined, records, "first", most),
            _gather(np.add, joined, records, "area", 0),
            np.where([True, False, True, False], low, high),
        )

    @property
    def rank(self) -> NDArray[np.int64]:
        """Place of each in the order of their first pixels."""
        rank = np.empty(self.joined.n, np.int64)
        rank[np.argsort(self.first)] = np.arange(self.joined.n)
        return rank


def _numbered(area: NDArray[np.int64], min_pixels: float, after: int = 0) -> NDArray[np.int32]:
    """Return ids of what is large enough, in the order it is given; 0 for the rest."""
    kept = area >= min_pixels if min_pixels > 1 else np.ones(len(area), bool)
    return np.where(kept, np.cumsum(kept) + after, 0).astype(np.int32)


def _owners(records: Records) -> dict[Tile, NDArray[np.int32]]:
    """Return whose each piece of axons and myelin is: an id, 0 for nobody's, `FREE` for several's.

    The records know which axons a piece holds in their tiles.
    """
    joined = _join(records)
    piece = [joined.of(tile)[record["piece"] - 1] for tile, record in records.items()]
    axon = [record["axon"] for record in records.values()]
    pairs = np.unique(np.stack([np.concatenate(piece), np.concatenate(axon)]), axis=1)
    owner = np.zeros(joined.n, np.int32)
    owner[pairs[0]] = pairs[1]
    owner[np.bincount(pairs[0], minlength=joined.n) > 1] = FREE
    return {tile: owner[joined.of(tile)] for tile in records}
