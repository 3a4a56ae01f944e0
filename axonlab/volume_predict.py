"""A trained network over a volume: affinities, or boundaries of sections with their neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor, nn

from axonlab import estimate, machine
from axonlab.affinities import BOUNDARY, Offset, offsets_of, pair_slices
from axonlab.autosave import digest
from axonlab.micrograph import intensity_range, normalise
from axonlab.models import Model, fast_dtype
from axonlab.neurite_blocks import KEY
from axonlab.segment import ORIENTATIONS, Tell, fold_batch_norm
from axonlab.slide_plan import locked
from axonlab.slide_stages import keep_model
from axonlab.slide_tiles import kept_model
from axonlab.stages import Progress, Record, Stage, Tile, begin, workers

if TYPE_CHECKING:
    from distributed import Client

Triple = tuple[int, int, int]

TILE = (96, 192, 192)
"""Sections, rows and columns of a tile, where there is memory for it: with what a network of four
levels sees around it, some 3 GB."""


def predict_affinities(
    model: Model,
    pixels: NDArray[np.float32],
    *,
    tile: Triple | None = None,
    test_time_augmentation: bool = False,
    tell: Tell = lambda share: None,
) -> NDArray[np.float32]:
    """Return the affinities that a model gives to the voxels of a volume.

    Parameters
    ----------
    model : Model
        Of affinities, from `axonlab.models.load_model`.
    pixels : (Z, Y, X) float32 array
        From `axonlab.volume.normalise_sections`, as in training.
    tile : triple of int, optional
        Sections, rows and columns of what is predicted at once, rounded up to multiples of the
        network's strides. It bounds memory and has no influence on the result. By default it is
        `TILE`, or less where memory is scarce; a warning tells when one that is given, or the
        smallest, will probably not fit.
    test_time_augmentation : bool
        Take the mean over the eight mirror images of the volume. Takes 8 times as long.
    tell : callable, optional
        Called after every tile with the share that is done; what it raises ends the work.

    Returns
    -------
    (n_offsets, Z, Y, X) float32 array
        From 0 to 1, in the order of the offsets that the network was trained on.

    Raises
    ------
    ValueError
        If the pixels are no volume, or the model tells no affinities.

    Notes
    -----
    Tiles are seen with all the context that can influence them, see `axonlab.segment.predict`.
    """
    if pixels.ndim != 3 or pixels.size == 0:
        raise ValueError(
            f"Pixels of shape {pixels.shape}: expected a volume (sections, rows, columns)."
        )
    offsets = offsets_of(model.card.classes)
    see, stride, halo = _ready(model.network)
    if tile is None:
        tile = estimate.choose_tile(model.network, pixels.shape, TILE)
    else:
        estimate.check_prediction(model.network, pixels.shape, tile)
    tiles = Tiles(pixels.shape, tile, stride, halo)
    if not test_time_augmentation:
        return _see_all(see, tiles, pixels, len(offsets), tell)
    ways = [way for n in range(4) for way in combinations(range(3), n)]
    total = np.zeros((len(offsets), *pixels.shape), np.float32)
    counts = np.zeros(total.shape, np.uint8)
    for done, way in enumerate(ways):
        view = np.flip(pixels, way)
        seen = _see_all(
            see,
            tiles,
            view,
            len(offsets),
            lambda share, done=done: tell((done + share) / len(ways)),
        )
        _add_mirrored(total, counts, seen, way, offsets)
    total /= counts
    return total


def _see_all(
    see: Callable[[NDArray[Any]], NDArray[np.float32]],
    tiles: Tiles,
    pixels: NDArray[np.float32],
    n_channels: int,
    tell: Tell,
) -> NDArray[np.float32]:
    """Return what a network says of a volume, tile by tile."""
    result = np.empty((n_channels, *pixels.shape), np.float32)
    for done, place in enumerate(tiles.places, start=1):
        part = see(tiles.padded(pixels[tiles.seen(place)])[None])
        result[(slice(None), *tiles.core(place))] = part[(slice(None), *tiles.inner(place))]
        tell(done / len(tiles.places))
    return result


def _add_mirrored(
    total: NDArray[np.float32],
    counts: NDArray[np.uint8],
    seen: NDArray[np.float32],
    way: tuple[int, ...],
    offsets: list[Offset],
) -> None:
    """Add what a network says of a volume that was mirrored along some axes, in place.

    There, the partner of a voxel lies where it lies here, or on the other side; one that lies
    elsewhere tells nothing of the affinities here.
    """
    here = np.flip(seen, [1 + axis for axis in way])
    for channel, offset in enumerate(offsets):
        mirrored = tuple(-n if axis in way else n for axis, n in enumerate(offset))
        voxels = partners = (slice(None),) * 3
        if mirrored != offset:
            voxels, partners = pair_slices(offset)
        if mirrored in (offset, tuple(-n for n in offset)):
            total[(channel, *voxels)] += here[(channel, *partners)]
            counts[(channel, *voxels)] += 1


def predict_blocks(
    model: Model,
    source: Any,
    output: str | Path,
    *,
    tile: Triple = TILE,
    client: Client | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Any:
    """Predict the affinities of a volume of any size, tile by tile; it can be stopped and goes on.

    Parameters
    ----------
    model : Model
        Of affinities, from `axonlab.models.load_model`.
    source : (Z, Y, X) array or zarr.Array
        Grey values as they were recorded, at the voxel size of the model; of them, one section or
        one tile with its context is in memory at once. With a client it must be a zarr array.
    output : path
        Of a folder, which an earlier call may have begun: tiles that are finished are not done
        again, unless model or grey values are others.
    tile : triple of int
        As for `predict_affinities`, but it is not chosen anew: a work that goes on needs the same.
    client : distributed.Client, optional
        Of a dask cluster that sees the same files; by default this machine does it alone.
    tell : callable, optional
        Called after every section and tile; what it raises stops the work.

    Returns
    -------
    zarr.Array
        (n_offsets, Z, Y, X) float16, for `axonlab.neurite_blocks.label_blocks`.

    Raises
    ------
    ValueError
        If the source is no volume, the model tells no affinities, or the output holds another work.
    BlockingIOError
        If another process works on the output.

    Notes
    -----
    What is predicted is what `predict_affinities` gives of the whole, but for float16.
    """
    shape = tuple(source.shape)
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"A source of shape {shape}: expected a volume (sections, rows, columns).")
    offsets = offsets_of(model.card.classes)
    network = model.network
    tiles = Tiles(shape, tile, network.stride, network.halo)
    # the result is on disk: what is in memory is a tile, and what is seen around it
    around = [min(n, t + 2 * h) for n, t, h in zip(shape, tile, network.halo, strict=True)]
    estimate.check_prediction(network, around, tile)
    output = Path(output).absolute()
    arrays = {"affinities": ((len(offsets), *shape), (1, *tiles.size), "float16")}
    begin(output, {"shape": shape, "tile": tiles.size, "offsets": offsets}, arrays, "affinities")
    with workers(client) as team, locked(output):
        path, sha256 = keep_model(output, model)
        sections = {(z,): (source, z) for z in range(shape[0])}
        looked = Stage(output / "run", "greys")
        looked.forget(sections)  # they tell whether the source is another one
        greys = looked.run(_look, sections, team, tell)
        ranges = np.array([greys[section]["range"] for section in sections])
        hashes = "".join(str(greys[section]["sha256"]) for section in sections)
        predicted = Stage(output / "run", "predicted", model=sha256, greys=hashes)
        tasks = {at: (source, output, tiles, at, path, sha256, ranges) for at in tiles.places}
        # torch takes all processors by itself
        predicted.run(_predict, tasks, team, tell, at_once=1 if team.are_threads else None)
        zarr.open_array(output / "affinities", mode="r+").attrs[KEY] = predicted.key
    return zarr.open_array(output / "affinities", mode="r")


@dataclass(frozen=True)
class Tiles:
    """How a volume is divided for prediction.

    Parameters
    ----------
    shape : triple of int
        Of the volume.
    tile : triple of int
        What is predicted at once, rounded up to multiples of the strides.
    stride, halo : triple of int
        Of the network.
    """

    shape: Triple
    tile: Triple
    stride: Triple
    halo: Triple

    @property
    def size(self) -> Triple:
        """Return the size of a tile that is not cut by the end of the volume."""
        z, y, x = (-(-side // n) * n for side, n in zip(self.tile, self.stride, strict=True))
        return z, y, x

    @property
    def places(self) -> list[Tile]:
        """Return the places of tiles among the tiles."""
        counts = (-(-n // side) for n, side in zip(self.shape, self.size, strict=True))
        return list(product(*map(range, counts)))

    def core(self, place: Tile) -> tuple[slice, ...]:
        """Return the voxels of a tile."""
        return tuple(
            slice(i * side, min((i + 1) * side, n))
            for i, side, n in zip(place, self.size, self.shape, strict=True)
        )

    def seen(self, place: Tile) -> tuple[slice, ...]:
        """Return the voxels that can influence a tile, from a multiple of the strides on."""
        return tuple(
            slice(max(side.start - halo, 0), min(side.start + full + halo, n))
            for side, full, halo, n in zip(
                self.core(place), self.size, self.halo, self.shape, strict=True
            )
        )

    def inner(self, place: Tile) -> tuple[slice, ...]:
        """Return where a tile lies in what is seen with it."""
        return tuple(
            slice(side.start - seen.start, side.stop - seen.start)
            for side, seen in zip(self.core(place), self.seen(place), strict=True)
        )

    def padded(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill what is seen up to multiples of the strides, where the volume ends."""
        missing = [(0, -n % step) for n, step in zip(seen.shape, self.stride, strict=True)]
        return np.pad(seen, missing, mode="symmetric")


def _look(source: Any, z: int) -> Record:
    """Return the range of the greys of a section, and what tells it from another one."""
    section = np.asarray(source[z], np.float32)
    return {"range": np.array(intensity_range(section)), "sha256": np.array(digest(section))}


def _predict(
    source: Any,
    output: Path,
    tiles: Tiles,
    place: Tile,
    path: str,
    sha256: str,
    ranges: NDArray[np.float64],
) -> Record:
    """Predict a tile, each of whose sections is normalised by its own range."""
    box = tiles.seen(place)
    pixels = np.stack(
        [
            normalise(section, *limits)
            for section, limits in zip(
                np.asarray(source[box], np.float32), ranges[box[0]], strict=True
            )
        ]
    )
    see, _, _ = _ready(kept_model(path, sha256).network)
    part = see(tiles.padded(pixels)[None])[(slice(None), *tiles.inner(place))]
    zarr.open_array(output / "affinities", mode="r+")[(slice(None), *tiles.core(place))] = part
    return {}


def predict_boundaries(
    model: Model,
    pixels: NDArray[np.float32],
    *,
    test_time_augmentation: bool = False,
    tell: Tell = lambda share: None,
) -> NDArray[np.float32]:
    """Return how probable boundaries are, section by section, each seen with its neighbours.

    Parameters
    ----------
    model : Model
        Of boundaries, from `axonlab.models.load_model`, whatever number of sections it sees.
    pixels : (Z, Y, X) float32 array
        From `axonlab.volume.normalise_sections`, as in training.
    test_time_augmentation : bool
        Take the mean over 16 variants: the eight orientations of sections, seen from above and
        from below. Takes 16 times as long.
    tell : callable, optional
        Called after every section with the share that is done; what it raises ends the work.

    Returns
    -------
    (Z, Y, X) float32 array
        From 0 to 1. Beyond the first and the last section the volume is mirrored.

    Raises
    ------
    ValueError
        If the model tells something else.

    Notes
    -----
    The variants are those of Zeng, Wu & Ji 2017, doi:10.1093/bioinformatics/btx188.
    """
    if model.card.classes != [BOUNDARY]:
        raise ValueError(f"The model {model.card.name!r} tells no boundaries.")
    see, stride, _ = _ready(model.network)
    n_sections = next(model.network.parameters()).shape[1]
    variants = [(*way, flip) for way in ORIENTATIONS for flip in (1, -1)]
    if not test_time_augmentation:
        variants = variants[:1]
    reach = n_sections // 2
    margins = [(reach, reach), *((0, 0) for _ in range(2))]
    mirrored = np.pad(pixels, margins, mode="reflect" if len(pixels) > reach else "symmetric")
    result = np.zeros(pixels.shape, np.float32)
    for z, section in enumerate(result):
        for transposed, turns, flip in variants:
            view = mirrored[z : z + n_sections][::flip]
            view = view.swapaxes(1, 2) if transposed else view
            seen = _whole(see, np.rot90(view, turns, (1, 2)), stride)[0]
            seen = np.rot90(seen, -turns)
            section += (seen.T if transposed else seen) / len(variants)
        tell((z + 1) / len(pixels))
    return result


def _whole(
    see: Callable[[NDArray[Any]], NDArray[np.float32]],
    view: NDArray[np.float32],
    stride: tuple[int, ...],
) -> NDArray[np.float32]:
    """Predict a section as a whole, filled up to multiples of the strides."""
    _, height, width = view.shape
    fill = [(0, 0), (0, -height % stride[0]), (0, -width % stride[1])]
    return see(np.pad(view, fill, mode="symmetric"))[:, :height, :width]


def _ready(
    network: nn.Module,
) -> tuple[Callable[[NDArray[Any]], NDArray[np.float32]], tuple[int, ...], tuple[int, ...]]:
    """Return a function from channels to probabilities, and stride and halo of a network."""
    device = machine.device()
    dtype = fast_dtype(device)
    layout = torch.channels_last if len(network.stride) == 2 else torch.channels_last_3d
    folded = fold_batch_norm(network).to(device, dtype, memory_format=layout)

    def see(channels: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            x: Tensor = torch.from_numpy(np.ascontiguousarray(channels))[None].to(device, dtype)
            probabilities: NDArray[np.float32] = folded(x)[0].float().sigmoid().cpu().numpy()
        return probabilities

    return see, network.stride, network.halo
