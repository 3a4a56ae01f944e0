"""Slides of growing size: cost per megapixel, memory, and what a second worker brings.

The slides are phantoms. Objects and measurements are made from their true classes; the last slide
is also segmented by a model. Run: ``python tests/benchmarks/bench_slide.py [SIDE ...]``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in the workers of a cluster

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from distributed import Client, LocalCluster

from axonlab import phantom, slide

SIDES = [4000, 10_000]
MODEL = "sem"


@contextmanager
def cluster(n_workers: int) -> Iterator[Client]:
    """Start workers with one thread each."""
    local = LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None)
    with local, Client(local) as client:
        yield client


class Watch:
    """Remembers the most memory that any worker took, and the seconds of every stage."""

    def __init__(self, client: Client) -> None:
        self.processes = [psutil.Process(pid) for pid in client.run(os.getpid).values()]
        self.most = 0
        self.seconds: dict[str, float] = {}

    def __call__(self, progress: Any) -> None:
        """Take what a stage tells."""
        self.seconds[progress.stage] = progress.seconds
        self.most = max(self.most, *(p.memory_info().rss for p in self.processes))


def timed(work: Callable[[], Any]) -> float:
    """Return how many seconds something takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def run(folder: Path, side: int, n_workers: int, model: str | None) -> float:
    """Segment and measure a slide, print what it took, and return the seconds."""
    source = folder / f"{side}.ome.zarr"
    if not source.exists():
        seconds = timed(lambda: phantom.write_slide(source, shape=(side, side), seed=0))
        print(f"phantom {side} px: {seconds:.0f} s, {side**2 / 1e6 / seconds:.1f} Mpx/s")
    output = folder / "result.ome.zarr"
    image: Path = source if model else source / "labels" / "classes"
    with cluster(n_workers) as client:
        watch = Watch(client)
        told = {"client": client, "tell": watch}
        both = (
            timed(lambda: slide.segment_slide(image, output, model=model, **told)),
            timed(lambda: slide.measure_slide(output, **told)),
        )
    seconds, mpx = sum(both), side**2 / 1e6
    print(
        f"{side} px, {model or 'classes given'}, {n_workers} workers: {seconds:.0f} s "
        f"(measured in {both[1]:.0f} s), {mpx / seconds:.2f} Mpx/s, "
        f"{1000 * seconds / mpx:.0f} ms/Mpx, {watch.most / 1e9:.2f} GB per worker, "
        f"{len(slide.read_table(output))} fibres",
        flush=True,
    )
    longest = sorted(watch.seconds.items(), key=lambda item: -item[1])[:6]
    print("   " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in longest), flush=True)
    shutil.rmtree(output)
    return seconds


def main() -> None:
    """Print a line per slide, and two ratios."""
    sides = [int(side) for side in sys.argv[1:]] or SIDES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        per_mpx = {side: run(folder, side, 2, None) / side**2 for side in sides}
        growth = per_mpx[sides[-1]] / per_mpx[sides[0]]
        print(f"cost per Mpx, largest over smallest slide: {growth:.2f}")
        one, two = (run(folder, sides[0], n, None) for n in (1, 2))
        print(f"1 worker over 2 workers: {one / two:.2f}")
        one, two = (run(folder, sides[0], n, MODEL) for n in (1, 2))
        print(f"1 worker over 2 workers, {MODEL}: {one / two:.2f}")
        if sides[-1] != sides[0]:
            run(folder, sides[-1], 2, MODEL)


if __name__ == "__main__":
    main()
