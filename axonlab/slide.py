"""Slides of any size: the steps from pixels to a table, tile by tile, with the same numbers."""

from __future__ import annotations

import errno
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import ArrayLike

from axonlab import omezarr, slide_plan, slide_tiles
from axonlab.io import write_json
from axonlab.job import Job
from axonlab.measure import Parts, tabulate
from axonlab.micrograph import CLASS_COLOURS, check_scale
from axonlab.slide_stages import SlideWork, keep_model
from axonlab.slide_tiles import Slide
from axonlab.source import open_source
from axonlab.stages import Progress, Stage, Tell, workers

if TYPE_CHECKING:
    from distributed import Client

    from axonlab.models import Model

BY_HAND = ("regions.json", "crops")
"""What people draw in a slide stays in ``run`` when the slide is begun anew."""

PART_ROWS = 100_000
"""Fibres in a file of the table."""


def segment_slide(
    source: str | Path | ArrayLike,
    output: str | Path,
    *,
    model: str | Path | Model | None,
    pixel_size: float | None = None,
    tile: int = 2048,
    min_axon_diameter: float = 0.0,
    client: Client | None = None,
    resume: bool = True,
    tell: Tell | None = None,
) -> Path:
    """Segment a slide and number its fibres, as if it had been in memory as a whole.

    Parameters
    ----------
    source : path or array
        The image, as `axonlab.source.open_source` reads it; without a model, class ids.
    output : path
        Of the OME-Zarr that is made. It holds the image (with a model), ``labels/classes``,
        ``labels/axons``, ``labels/fibres`` and ``labels/blank``, all with coarser levels.
    model : str, path, Model or None
        Name of a model that comes with axonlab, a model file, or a loaded model; None if the
        source holds class ids.
    pixel_size : float, optional
        In µm; wins over what the source says.
    tile : int
        Side of the squares that are worked on. It bounds memory and has no influence on the
        objects.
    min_axon_diameter : float
        In µm, as for `axonlab.objects.label_fibres`.
    client : distributed.Client, optional
        Of a dask cluster that sees the same files; by default this machine does it alone.
    resume : bool
        Go on with what is there of an earlier call: finished tiles are not done again. What a
        changed model or parameter makes invalid is. A slide that was corrected stays as it is
        (`axonlab.slide_correct`). If false, begin anew; regions and crops that were drawn stay.
    tell : callable, optional
        Called after every tile with the `axonlab.stages.Progress`; what it raises stops the work,
        and the same call goes on later.

    Returns
    -------
    Path
        `output`; `measure_slide` makes the table.

    Raises
    ------
    FileExistsError
        If there is something else at `output`.
    ValueError
        If the output is of another source, pixel size or tile, or has corrections and the model
        or a parameter is another; if the source has no believable pixel size, or the model works
        at an absurdly different one.
    OSError
        If the source cannot be read at all, the disk is full, or another process works on the
        slide (BlockingIOError).

    Notes
    -----
    Parts of the image that cannot be read are taken for blank and told in the manifest
    (`read_manifest`).

    Axons are components that are joined across tiles by union-find and numbered by their first
    pixels. Myelin that several axons share is given to them in windows that are so large that
    what they cut off has no influence, up to `axonlab.slide_tiles.MAX_WAVES` pixels from an axon;
    what lies further is left out, and unmyelinated axons with bounding boxes of more than
    `axonlab.slide_stages.MAX_NECK_PIXELS` are not cut. The manifest counts both.
    """
    output = Path(output).absolute()
    _check_numbers(tile, min_axon_diameter)
    opened = open_source(source, pixel_size=pixel_size, as_labels=model is None)
    about = {
        "source": opened.name,
        "fingerprint": opened.fingerprint,
        "shape": list(opened.shape),
        "pixel_size_um": opened.pixel_size,
        "pixel_size_source": opened.pixel_size_source,
        "tile": tile,
        "holds": "classes" if model is None else "image",
    }
    if model is not None:
        model = _load(model)
        check_scale(opened.name, opened.pixel_size, model.card.pixel_size)
    asked = about | {"min_axon_diameter_um": min_axon_diameter} | _named(model)
    slide = Slide(str(output), opened.shape, opened.pixel_size, tile)
    with _disk_of(output):
        _prepare(output, about, opened.dtype, resume=resume)
    with workers(client) as team, _disk_of(output), slide_plan.locked(output):
        if slide_plan.is_corrected(output, asked):
            slide_plan.finish(output)
            return output
        (output / "run" / "manifest.json").unlink(missing_ok=True)  # until it is right again
        work = SlideWork(slide, team, tell or _nobody)
        read = Stage(work.folder, "read", source=about["fingerprint"])
        if model is None:
            classes, told = work.read(read, opened)
        else:
            classes, told = work.predict(read, opened, model)
        fibres, found = work.objects(classes, min_axon_diameter)
        work.levels()
        told |= {"min_axon_diameter_um": min_axon_diameter, **found, "fibres_key": fibres.key}
        write_json(output / "run" / "manifest.json", about | told, overwrite=True)
    return output


def measure_slide(
    output: str | Path, *, client: Client | None = None, tell: Tell | None = None
) -> pd.DataFrame:
    """Measure the fibres of a slide.

    Parameters
    ----------
    output : path
        From `segment_slide`.
    client, tell
        As for `segment_slide`.

    Returns
    -------
    DataFrame
        The columns of `axonlab.measure.measure_fibres`. It is also in
        ``tables/fibres.parquet``, and `read_table` reads it from there.

    Raises
    ------
    FileNotFoundError
        If there is no slide, or it is not segmented to its end.
    """
    output = Path(output).absolute()
    slide = Slide.of(output, read_manifest(output))
    with workers(client) as team, _disk_of(output), slide_plan.locked(output):
        slide_plan.finish(output)
        manifest = read_manifest(output)
        work = SlideWork(slide, team, tell or _nobody)
        stage = Stage(work.folder, "measure", fibres=manifest["fibres_key"])
        records = work.run(stage, slide_tiles.measure_tile)
        axons, fibres = (
            Parts.join(slide_tiles.parts_of(record, name) for record in records.values())
            for name in ("axons", "fibres")
        )
        table = tabulate(axons, fibres, slide.shape, pixel_size=slide.pixel_size)
        _write_table(Path(output, slide_tiles.TABLE), table)
    return table


def slide_job(
    source: str | Path | ArrayLike, output: str | Path, **settings: Any
) -> Job[pd.DataFrame]:
    """Return the job of segmenting and measuring a slide, for notebooks.

    Parameters
    ----------
    source, output, **settings
        As for `segment_slide`.

    Returns
    -------
    Job
        `axonlab.widgets.JobWidget` shows how far it is. Its result is the table; stopped, it
        raises InterruptedError, and goes on from there when it is started again.
    """

    def work(job: Job[pd.DataFrame]) -> pd.DataFrame:
        def tell(progress: Progress) -> None:
            if job.stopping.is_set():
                raise InterruptedError("Stopped. What is finished is kept: start again to go on.")
            job.report(progress.done, progress.total, str(progress))

        segment_slide(source, output, **settings, tell=tell)
        return measure_slide(output, client=settings.get("client"), tell=tell)

    return Job(work)


def read_table(output: str | Path) -> pd.DataFrame:
    """Return the table that `measure_slide` has left."""
    folder = Path(output, slide_tiles.TABLE)
    if not folder.is_dir():
        raise FileNotFoundError(f"{output} is not measured yet. Call measure_slide first.")
    return pd.concat(map(pd.read_parquet, sorted(folder.iterdir())), ignore_index=True)


def read_manifest(output: str | Path) -> dict[str, Any]:
    """Return what a slide was made of and how, and the holes of its source.

    Raises
    ------
    FileNotFoundError
        If there is no slide, or it is not segmented to its end.
    """
    path = Path(output, "run", "manifest.json")
    if not path.is_file():
        raise FileNotFoundError(
            f"{output} is no slide that was segmented to its end. Call segment_slide first; what "
            "it has finished before is not done again."
        )
    manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return manifest


@contextmanager
def _disk_of(output: str | Path) -> Iterator[None]:
    """Tell what to do when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno,
            f"The disk that holds {output} is full. Make room and call again: what is finished is "
            "kept, and it goes on from there.",
        ) from error


def _nobody(progress: Progress) -> None:
    """Tell nobody."""


def _prepare(output: Path, about: Mapping[str, Any], dtype: np.dtype[Any], *, resume: bool) -> None:
    """Make the arrays of a slide, unless they are there of an earlier call.

    Raises
    ------
    FileExistsError, ValueError
        If something else is there.
    """
    part, former = (output.with_name(f".{output.name}.{what}") for what in ("part", "former"))
    if former.exists() and not output.exists():  # cut off between two renames
        former.rename(output)
    is_slide = (output / "run" / "about.json").is_file()
    if is_slide and resume:
        _check_same(output, about)
        return
    if not is_slide and output.exists() and any(output.iterdir() if output.is_dir() else [output]):
        raise FileExistsError(
            f"{output} is there, and is no slide that segment_slide has made. Choose another "
            "output, or move it away."
        )
    for left in (part, former):
        shutil.rmtree(left, ignore_errors=True)
    _create(part, about, dtype)
    with slide_plan.locked(output) if is_slide else nullcontext():
        for name in BY_HAND:
            drawn = output / "run" / name
            if drawn.is_dir():
                shutil.copytree(drawn, part / "run" / name)
            elif drawn.exists():
                shutil.copy2(drawn, part / "run" / name)
        if output.exists():
            output.rename(former)
        part.rename(output)
    shutil.rmtree(former, ignore_errors=True)


def _check_same(output: Path, about: Mapping[str, Any]) -> None:
    """Raise ValueError if a slide was begun in another way."""
    before = json.loads((output / "run" / "about.json").read_text("utf-8"))
    told = [
        "grey values or class ids that have changed since"
        if name == "fingerprint"
        else f"{name} {before.get(name)}, and {value} is given now"
        for name, value in about.items()
        if before.get(name) != value
    ]
    if told:
        raise ValueError(
            f"{output} was begun with {'; '.join(told)}. Choose another output, or begin anew "
            "with resume=False."
        )


def _create(output: Path, about: Mapping[str, Any], dtype: np.dtype[Any]) -> None:
    """Make the arrays of a slide, empty, and say what they are of."""
    shape, size, tile = tuple(about["shape"]), about["pixel_size_um"], about["tile"]
    kwargs = {"shape": shape, "pixel_size": size, "tile": tile}
    if about["holds"] == "image":
        omezarr.create_image(output, dtype=dtype, name=about["source"], **kwargs)
    colours = {i: colour for i, colour in CLASS_COLOURS.items() if i}
    omezarr.create_labels(output, "classes", dtype=np.uint8, colours=colours, **kwargs)
    omezarr.create_labels(output, "blank", dtype=np.uint8, **kwargs)
    for name in ("axons", "fibres"):
        omezarr.create_labels(output, name, dtype=np.int32, **kwargs)
    group = zarr.open_group(output, mode="r+")
    for name in ("run", "tables"):  # for programs that wonder what these folders are
        group.require_group(name)
    write_json(output / "run" / "about.json", about)


def _check_numbers(tile: int, min_axon_diameter: float) -> None:
    if not (isinstance(tile, int) and tile > 0):
        raise ValueError(f"tile is {tile}, expected a whole number of pixels, such as 2048.")
    if not 0 <= min_axon_diameter < math.inf:
        raise ValueError(
            f"min_axon_diameter: {min_axon_diameter} given, expected a length in µm of at least 0."
        )


def _load(model: str | Path | Model) -> Model:
    from axonlab.models import Model, load_model  # torch, which objects and tables do without

    return model if isinstance(model, Model) else load_model(model)


def _named(model: Model | None) -> dict[str, str | None]:
    """Return what the manifest says of a model, by which it is known again."""
    if model is None or model.sha256:
        return {"model_sha256": model.sha256 if model else None}
    with TemporaryDirectory() as folder:
        (Path(folder) / "run").mkdir()
        return {"model_sha256": keep_model(Path(folder), model)[1]}


def _write_table(folder: Path, table: pd.DataFrame) -> None:
    """Write a table in parts of `PART_ROWS` fibres; the folder is there whole or not at all."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for number, start in enumerate(range(0, max(len(table), 1), PART_ROWS)):
        rows = table.iloc[start : start + PART_ROWS]
        rows.to_parquet(part / f"part-{number:05d}.parquet", index=False)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
