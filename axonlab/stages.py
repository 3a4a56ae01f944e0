"""Work on many tiles, by many workers: it can be stopped, and goes on where it was."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from axonlab.io import write_bytes, write_json

if TYPE_CHECKING:
    from distributed import Client

Tile = tuple[int, ...]
"""Row and column of a tile among the tiles; of a block of a volume, its section before them."""

Record = Mapping[str, NDArray[Any]]
"""What is known of a tile after a stage."""

KEY = "key.txt"
"""In the folder of a stage: what its records depend on, as a digest."""

LOG_SECONDS = 10
"""How often the log tells how far a stage is."""

log = logging.getLogger("axonlab.slide")


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Parameters
    ----------
    stage : str
    done, total : int
        Tiles.
    new : int
        Those of `done` that were done now, not found from before.
    seconds : float
        Since it began.
    """

    stage: str
    done: int
    total: int
    new: int
    seconds: float

    @property
    def tiles_per_second(self) -> float:
        """The pace so far, 0 before that can be said."""
        return self.new / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float:
        """At the pace so far, infinite before that can be said."""
        left = self.total - self.done
        return left / self.tiles_per_second if self.tiles_per_second else float("inf") * bool(left)

    def __str__(self) -> str:
        pace = f"{self.tiles_per_second:.2g} tiles/s, {self.seconds_left:.0f} s left"
        return f"{self.stage}: {self.done} of {self.total} tiles" + f", {pace}" * bool(self.new)


Tell = Callable[[Progress], None]
"""Called after every tile; what it raises ends the work, and the tiles that are done are kept."""


@dataclass(frozen=True)
class Workers:
    """Where tiles are worked on.

    Parameters
    ----------
    executor : Executor
    count : callable
        Tells how many there are at present; those of a cluster come and go.
    are_threads : bool
        Of this process, which share what a library does in parallel by itself.
    """

    executor: Executor
    count: Callable[[], int]
    are_threads: bool


@contextmanager
def workers(client: Client | None) -> Iterator[Workers]:
    """Take the workers of a dask cluster, or without one the processors of this machine."""
    if client is None:
        n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        with ThreadPoolExecutor(n) as executor:
            yield Workers(executor, lambda: n or 1, are_threads=True)
        return
    cluster: Any = client  # its methods have no types
    with cluster.get_executor(pure=False) as executor:
        yield Workers(executor, lambda: sum(cluster.nthreads().values()) or 1, are_threads=False)


def begin(
    output: Path, about: Mapping[str, Any], arrays: Mapping[str, tuple[Any, Any, str]], what: str
) -> None:
    """Make the arrays of a work in blocks, unless they are there of an earlier call.

    Parameters
    ----------
    output : Path
        Of the folder.
    about : mapping
        What nothing that is finished can be used without, as JSON.
    arrays : mapping of str to (shape, chunks, type)
        By their names in the folder.
    what : str
        The arrays hold.

    Raises
    ------
    ValueError
        If those of another work are there, or something else.
    """
    told = json.loads(json.dumps(about))
    path = output / "run" / "about.json"
    if path.is_file():
        before = json.loads(path.read_text("utf-8"))
        if before != told:
            raise ValueError(
                f"{output} was begun with {before}, and {told} is given now. Choose another "
                "output, or move it away."
            )
        return
    if output.exists() and any(path.name != "run" for path in output.iterdir()):
        raise ValueError(f"{output} is there, and holds no {what}. Choose another output.")
    for name, (shape, chunks, dtype) in arrays.items():
        zarr.create_array(output / name, shape=shape, chunks=chunks, dtype=dtype, overwrite=True)
    write_json(path, told)


class Stage:
    """One thing that is done to every tile, and the records of the tiles it was done to.

    A record is written when its tile is finished, and says by what: where a parameter, or a stage
    before, is not the same any more, all records of the stage are gone.

    Parameters
    ----------
    folder : Path
        Of all stages.
    name : str
    after : Stage, optional
        The one whose results it needs.
    **parameters
        What its results depend on, as JSON.
    """

    def __init__(
        self, folder: Path, name: str, after: Stage | None = None, **parameters: Any
    ) -> None:
        self.name = name
        self.folder = folder / name
        said = json.dumps([name, after.key if after else "", parameters], sort_keys=True)
        self.key: str = hashlib.sha256(said.encode()).hexdigest()
        made_by = self.folder / KEY
        if not made_by.is_file() or made_by.read_text("ascii") != self.key:
            self.forget()
            self.folder.mkdir(parents=True)
            write_bytes(made_by, self.key.encode())

    def forget(self, tiles: Iterable[Tile] | None = None) -> None:
        """Take some tiles for not done, by default all."""
        if tiles is not None:
            for tile in tiles:
                self._record(tile).unlink(missing_ok=True)
        elif self.folder.exists():
            # first the key: should this be interrupted, no record is believed
            (self.folder / KEY).unlink(missing_ok=True)
            shutil.rmtree(self.folder)

    def read(self, tile: Tile) -> dict[str, NDArray[Any]]:
        """Return the record of a finished tile."""
        with np.load(self._record(tile), allow_pickle=False) as record:
            return dict(record)

    def run(
        self,
        work: Callable[..., Record],
        tasks: Mapping[Tile, tuple[Any, ...]],
        workers: Workers,
        tell: Tell,
        *,
        at_once: int | None = None,
    ) -> dict[Tile, dict[str, NDArray[Any]]]:
        """Do the tiles that are not finished yet, and return the records of all.

        Parameters
        ----------
        work : callable
            Makes the record of a tile; such as can be sent to a worker.
        tasks : mapping of tile to tuple
            Arguments of `work`.
        workers : Workers
        tell : callable
        at_once : int, optional
            So many tiles at a time, as many as there are workers by default.

        """
        begun = time.monotonic()
        todo = [tile for tile in tasks if not self._record(tile).is_file()]
        found = len(tasks) - len(todo)
        logged = begun

        def say(new: int) -> None:
            nonlocal logged
            now = time.monotonic()
            progress = Progress(self.name, found + new, len(tasks), new, now - begun)
            if now - logged > LOG_SECONDS or new == len(todo):
                logged = now
                log.info("%s", progress)
            tell(progress)

        say(0)
        calls = ((_finish, self._record(tile), self.key, work, tasks[tile]) for tile in todo)
        for new, _ in enumerate(_results(workers, calls, at_once), start=1):
            say(new)
        return {tile: self.read(tile) for tile in tasks}

    def finished(self, tiles: Mapping[Tile, Any]) -> list[Tile]:
        """Return those tiles that are done."""
        return [tile for tile in tiles if self._record(tile).is_file()]

    def _record(self, tile: Tile) -> Path:
        return self.folder / f"{'_'.join(map(str, tile))}-{self.key[:12]}.npz"


def _results(
    workers: Workers, calls: Iterator[tuple[Any, ...]], at_once: int | None
) -> Iterator[Future[None]]:
    """Yield calls that are done; never more of them wait than keep the workers busy.

    Whatever ends this, it waits for what is at work: a tile that was written later would be
    written into what comes next.
    """
    running: set[Future[None]] = set()
    try:
        while True:
            n = at_once or workers.count()
            # the next tile is on its way to a worker of a cluster before it has finished the last
            n = n if workers.are_threads else 2 * n
            for call in islice(calls, max(n - len(running), 0)):
                running.add(workers.executor.submit(*call))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                yield future
    finally:
        wait(running)


def _finish(
    record: Path, key: str, work: Callable[..., Record], arguments: tuple[Any, ...]
) -> None:
    """Work on a tile and write its record, by a worker.

    Raises
    ------
    RuntimeError
        If the stage was begun with other parameters meanwhile, by another process.
    """
    _check_key(record.parent, key)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict[str, Any](work(*arguments)))
    _check_key(record.parent, key)
    write_bytes(record, buffer.getvalue(), overwrite=True)


def _check_key(folder: Path, key: str) -> None:
    made_by = folder / KEY
    if not made_by.is_file() or made_by.read_text("ascii") != key:
        raise RuntimeError(f"{folder} was begun anew by another process: this one ends.")
