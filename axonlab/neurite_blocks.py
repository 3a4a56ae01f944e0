"""Neurites of volumes larger than memory: block by block, and matched across the faces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from axonlab import stitch
from axonlab.autosave import digest
from axonlab.neurite_objects import Objects, Recipe, check_prediction, label_neurites
from axonlab.region_graph import Box, pieces
from axonlab.slide_plan import locked
from axonlab.stages import Progress, Record, Stage, Tell, Tile, begin, workers

if TYPE_CHECKING:
    from distributed import Client

Triple = tuple[int, int, int]

KEY = "axonlab_key"
"""Attribute of a predicted zarr array by which it is told from others."""

FACE = 2
"""Voxels to each side of a face, at most, in which objects are compared: near the face both blocks
have seen enough around them."""


@dataclass(frozen=True)
class Blocks:
    """How a volume is divided.

    Parameters
    ----------
    shape : triple of int
    size : triple of int
        Of a block; those at the end are smaller.
    context : triple of int
        Voxels around a block that are seen with it.

    Raises
    ------
    ValueError
        If a block has no voxels, or an axis that is cut has no context.
    """

    shape: Triple
    size: Triple
    context: Triple

    def __post_init__(self) -> None:
        is_cut = [s < n for s, n in zip(self.size, self.shape, strict=True)]
        if min(self.size) < 1 or min(self.context) < 0:
            raise ValueError(
                f"block is {self.size} and context {self.context}, expected three numbers of "
                "voxels each, of at least 1 and 0."
            )
        if any(c < 1 for c, cut in zip(self.context, is_cut, strict=True) if cut):
            raise ValueError(
                f"context is {self.context}, expected at least 1 along every axis that blocks of "
                f"{self.size} cut: objects are matched where blocks overlap. 16 is usual."
            )

    @property
    def tiles(self) -> list[Tile]:
        """Return the places of blocks among the blocks."""
        counts = (-(-n // s) for n, s in zip(self.shape, self.size, strict=True))
        return list(product(*map(range, counts)))

    def core(self, tile: Tile) -> Box:
        """Return the voxels of a block."""
        z, y, x = (
            slice(i * s, min((i + 1) * s, n))
            for i, s, n in zip(tile, self.size, self.shape, strict=True)
        )
        return z, y, x

    def window(self, tile: Tile) -> Box:
        """Return the voxels of a block and its context."""
        z, y, x = (
            slice(max(side.start - c, 0), min(side.stop + c, n))
            for side, c, n in zip(self.core(tile), self.context, self.shape, strict=True)
        )
        return z, y, x

    def slot(self, tile: Tile, part: Box) -> Box:
        """Return where in the array of all windows a part of a window is kept, a chunk each."""
        z, y, x = (
            slice(i * n + p.start - w.start, i * n + p.stop - w.start)
            for i, n, p, w in zip(tile, self.slot_size, part, self.window(tile), strict=True)
        )
        return z, y, x

    @property
    def slot_size(self) -> Triple:
        """Return the size of the largest window there can be."""
        z, y, x = (
            min(s + 2 * c, n) for s, c, n in zip(self.size, self.context, self.shape, strict=True)
        )
        return z, y, x

    def face(self, tile: Tile, axis: int) -> Box:
        """Return the voxels around the face to the next block along an axis, seen by both."""
        sides = list(self.window(tile))
        at, n = self.core(tile)[axis].stop, min(FACE, self.context[axis])
        sides[axis] = slice(max(at - n, sides[axis].start), min(at + n, self.shape[axis]))
        for other in {0, 1, 2} - {axis}:
            sides[other] = self.core(tile)[other]
        return sides[0], sides[1], sides[2]


def label_blocks(
    prediction: Any,
    output: str | Path,
    recipe: Recipe,
    *,
    block: Triple = (128, 256, 256),
    context: Triple = (16, 32, 32),
    min_voxels: int = 1,
    client: Client | None = None,
    tell: Tell | None = None,
) -> Any:
    """Number the neurites of a volume, block by block.

    Parameters
    ----------
    prediction : array or zarr.Array
        As for `axonlab.neurite_objects.label_neurites`; only a block with its context is read
        at once. A zarr array that `axonlab.volume_predict.predict_blocks` has not made must not
        change between calls that go on with each other.
    output : path
        Of a folder, which an earlier call may have begun: blocks that are finished are not done
        again, unless the prediction, the recipe or a number is another.
    recipe : MutexWatershed, MeanAffinity or BoundaryWatershed
    block : triple of int
        Size of the blocks. It bounds memory.
    context : triple of int
        Voxels around each that are segmented with it: what lies further has no influence.
    min_voxels : int
        As for `label_neurites`, within a block and its context.
    client : distributed.Client, optional
        Of a dask cluster that sees the same files; by default this machine does it alone.
    tell : callable, optional
        Called after every block with the `axonlab.stages.Progress`; what it raises stops the work.

    Returns
    -------
    zarr.Array
        (Z, Y, X) int32 ids from 1 without gaps, 0 is no neurite; ``array[:]`` has all of them.

    Raises
    ------
    ValueError
        If the prediction, the blocks or the output do not fit, or a block holds what is no
        prediction.
    BlockingIOError
        If another process works on the output.

    Notes
    -----
    Two blocks have both seen the voxels at their common face. There, the pieces of their objects
    that hang together are matched: a piece of the one and a piece of the other are one neurite
    when each is what the other overlaps best (intersection over union). Pieces, not objects: of a
    neurite that branches in one block both branches go on in the next. So two neurites are joined
    by a block only if it saw where they meet, and are not on the word of the one block if the other
    saw them apart at the same place. What matches, over all faces, is one (union-find).
    """
    shape = tuple(prediction.shape)
    check_prediction(shape, recipe)
    blocks = Blocks((shape[-3], shape[-2], shape[-1]), _triple(block), _triple(context))
    output = Path(output).absolute()
    _begin(output, blocks)
    tell = tell or _nobody
    with workers(client) as team, locked(output):
        told = json.loads(json.dumps(asdict(recipe), default=str))  # type: ignore[call-overload]
        about = {"recipe": type(recipe).__name__, **told, "min_voxels": min_voxels}
        about["prediction"] = _digest(prediction)
        segmented = Stage(output / "run", "segmented", None, blocks=asdict(blocks), **about)
        tasks = {tile: (prediction, output, blocks, tile) for tile in blocks.tiles}
        of_blocks = segmented.run(
            _segment, {t: (*task, recipe, min_voxels) for t, task in tasks.items()}, team, tell
        )
        matched = Stage(output / "run", "matched", segmented)
        of_faces = matched.run(_match, {t: task[1:] for t, task in tasks.items()}, team, tell)
        ids = _ids(of_blocks, of_faces)
        written = Stage(output / "run", "written", matched)
        written.run(_write, {t: (*task[1:], ids[t]) for t, task in tasks.items()}, team, tell)
    return zarr.open_array(output / "neurites", mode="r")


def match_pieces(one: Objects, other: Objects) -> NDArray[np.int64]:
    """Return which objects of two segmentations of the same voxels are one, see `label_blocks`.

    Parameters
    ----------
    one, other : (z, y, x) int32 array
        Ids, 0 for nothing.

    Returns
    -------
    (2, m) int64 array
        Ids of `one` and of `other`.

    Examples
    --------
    >>> one = np.int32([[[1, 1, 1, 0, 1, 1, 2]]])
    >>> other = np.int32([[[5, 5, 6, 0, 7, 7, 7]]])
    >>> match_pieces(one, other)
    array([[1, 1],
           [5, 7]])
    """
    mine, theirs = (pieces(ids).reshape(-1).astype(np.int64) for ids in (one, other))
    sizes = np.bincount(mine), np.bincount(theirs)
    both = (mine > 0) & (theirs > 0)
    key, overlap = np.unique(mine[both] * len(sizes[1]) + theirs[both], return_counts=True)
    a, b = np.divmod(key, len(sizes[1]))
    share = overlap / (sizes[0][a] + sizes[1][b] - overlap)
    best_a, best_b = np.zeros(len(sizes[0])), np.zeros(len(sizes[1]))
    np.maximum.at(best_a, a, share)
    np.maximum.at(best_b, b, share)
    is_match = (share == best_a[a]) & (share == best_b[b])
    id_a, id_b = np.zeros(len(sizes[0]), np.int64), np.zeros(len(sizes[1]), np.int64)
    id_a[mine], id_b[theirs] = one.reshape(-1), other.reshape(-1)
    pairs = np.stack([id_a[a[is_match]], id_b[b[is_match]]])
    return np.unique(pairs, axis=1)


def _segment(
    prediction: Any, output: Path, blocks: Blocks, tile: Tile, recipe: Recipe, min_voxels: int
) -> Record:
    """Segment a block with its context; the record counts its objects and their own voxels."""
    window, core = blocks.window(tile), blocks.core(tile)
    seen = np.asarray(prediction[(..., *window)], np.float32)
    objects = label_neurites(seen, recipe, min_voxels=min_voxels)
    _windows(output)[blocks.slot(tile, window)] = objects
    inner = tuple(
        slice(c.start - w.start, c.stop - w.start) for c, w in zip(core, window, strict=True)
    )
    n = int(objects.max(initial=0))
    return {"voxels": np.bincount(objects[inner].reshape(-1), minlength=n + 1)[1:]}


def _match(output: Path, blocks: Blocks, tile: Tile) -> Record:
    """Match the objects of a block with those of the next one along each axis."""
    kept, record = _windows(output), {}
    for axis in range(3):
        after = tuple(i + (k == axis) for k, i in enumerate(tile))
        if blocks.core(after)[axis].start < blocks.shape[axis]:
            face = blocks.face(tile, axis)
            record[str(axis)] = match_pieces(
                kept[blocks.slot(tile, face)], kept[blocks.slot(after, face)]
            )
    return record


def _ids(
    of_blocks: Mapping[Tile, Mapping[str, Any]], of_faces: Mapping[Tile, Mapping[str, Any]]
) -> dict[Tile, NDArray[np.int32]]:
    """Return the id of each object of each block from 0, which is nothing."""
    counts = {tile: len(record["voxels"]) for tile, record in of_blocks.items()}
    joined = stitch.join_pairs(
        counts,
        (
            (tile, tuple(i + (k == int(axis)) for k, i in enumerate(tile)), pairs)
            for tile, record in of_faces.items()
            for axis, pairs in record.items()
        ),
    )
    # what lies in the context of a block alone is of the next one
    voxels = np.concatenate([record["voxels"] for record in of_blocks.values()])
    is_kept = np.bincount(joined.whole, voxels, joined.n) > 0
    ids = np.where(is_kept, np.cumsum(is_kept), 0).astype(np.int32)
    return {tile: np.append(np.int32(0), ids[joined.of(tile)]) for tile in counts}


def _write(output: Path, blocks: Blocks, tile: Tile, ids: NDArray[np.int32]) -> Record:
    """Write the voxels of a block by their final ids."""
    core = blocks.core(tile)
    objects = _windows(output)[blocks.slot(tile, core)]
    zarr.open_array(output / "neurites", mode="r+")[core] = ids[objects]
    return {}


def _windows(output: Path) -> Any:
    """Return the array of all blocks with their context, a chunk each."""
    return zarr.open_array(output / "run" / "windows", mode="r+")


def _begin(output: Path, blocks: Blocks) -> None:
    counts = np.max(blocks.tiles, axis=0) + 1
    z, y, x = (int(i * n) for i, n in zip(counts, blocks.slot_size, strict=True))
    chunks = tuple(map(min, blocks.size, blocks.shape))
    arrays = {
        "run/windows": ((z, y, x), blocks.slot_size, "int32"),
        "neurites": (blocks.shape, chunks, "int32"),
    }
    begin(output, asdict(blocks), arrays, "neurites of blocks")


def _digest(prediction: Any) -> str:
    """Return what tells of a prediction whether it is another one than before."""
    if isinstance(prediction, np.ndarray):
        return digest(prediction)
    return str(getattr(prediction, "attrs", {}).get(KEY, ""))


def _triple(numbers: Any) -> Triple:
    z, y, x = (int(number) for number in numbers)
    return z, y, x


def _nobody(progress: Progress) -> None:
    """Tell nobody."""
