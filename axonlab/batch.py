"""A folder of micrographs, segmented and measured one by one; can be stopped and resumed."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from axonlab import results
from axonlab.io import read_image
from axonlab.job import Job
from axonlab.micrograph import Micrograph, check_pixel_size
from axonlab.models import load_model
from axonlab.pairs import find_images, listed
from axonlab.pixelsize import image_stem
from axonlab.preview import Crop, Place, Preview
from axonlab.segment import segment

WAITING, AT_WORK, DONE, FAILED = "waiting", "at work", "done", "failed"
"""States of an image."""

# what one image can raise; of missing memory torch tells by RuntimeError
_TROUBLE = (OSError, ValueError, MemoryError, RuntimeError)


@dataclass(frozen=True)
class Settings:
    """How the images of a run are segmented.

    Parameters
    ----------
    model : str or path
        Name of a model that comes with axonlab, or a model file.
    pixel_sizes : mapping of str to float
        In µm, by the names of images; these win over what their files say.
    test_time_augmentation : bool
        See `axonlab.segment.segment`.
    min_axon_diameter : float
        In µm; what is smaller is taken for a speck.

    Raises
    ------
    ValueError
        If a size is absurd.
    """

    model: str | Path = "sem"
    pixel_sizes: Mapping[str, float] = field(default_factory=dict)
    test_time_augmentation: bool = False
    min_axon_diameter: float = 0.0

    def __post_init__(self) -> None:
        sizes = {name: check_pixel_size(size, name) for name, size in self.pixel_sizes.items()}
        object.__setattr__(self, "pixel_sizes", sizes)
        if not 0 <= self.min_axon_diameter < math.inf:
            raise ValueError(
                f"min_axon_diameter: {self.min_axon_diameter} given, expected a length in µm of "
                "at least 0."
            )


@dataclass(frozen=True)
class Row:
    """How far an image is, as a row of `FolderRun.status` tells it."""

    state: str = WAITING
    fibres: int | None = None
    pixel_size_um: float | None = None
    uncertainty_bits: float | None = None
    seconds: float | None = None
    remark: str = ""


class FolderRun:
    """Images that are segmented one after another in a thread, each into a folder of its own.

    An image is finished when its folder holds what the same grey values, pixel size, model and
    settings have left there; it is not done again. An image that cannot be read, or has no pixel
    size, is reported in `status`, and the rest goes on. One image at a time is in memory.

    Parameters
    ----------
    images : path or sequence of path
        A folder, searched by `axonlab.pairs.find_images`, or files.
    settings : Settings
        May be replaced while nothing runs.
    folder : path
        Where the folders of the images are to be, see `axonlab.results.PRODUCTS`.
    only : str
        Pattern of the file names to take, such as ``"*_SEM.*"``.
    overwrite : bool
        Replace what other settings have left there. A folder in which there is more than that,
        such as corrections, is never replaced.

    Attributes
    ----------
    images : dict of str to Path
        By their names, which are those of the files; where these are the same, that of the
        file's folder comes first.
    model : Model
    job : Job
        Start, stop and wait for the run here; `axonlab.widgets.SegmentWidget` shows it.

    Raises
    ------
    OSError, ValueError
        If there are no images, the model cannot be read, or a pixel size is of no image.
    """

    def __init__(
        self,
        images: str | Path | Sequence[str | Path],
        settings: Settings,
        folder: str | Path,
        *,
        only: str = "*",
        overwrite: bool = False,
    ) -> None:
        self.folder = Path(folder)
        found = _paths(images)
        paths = [path for path in found if path.match(only)]
        if found and not paths:
            raise ValueError(f"only: none of {listed(p.name for p in found)} is called {only!r}.")
        self.images = _named(_without(paths, self.folder))
        self.overwrite = overwrite
        self.job: Job[pd.DataFrame] = Job(self._run)
        self._ran: Settings | None = None
        self._seen: tuple[Any, Preview] | None = None
        self.settings = settings

    @property
    def settings(self) -> Settings:
        """What the next run will use."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        if self.job.running:
            raise RuntimeError("Images are being segmented: stop that before you change settings.")
        unknown = sorted({*settings.pixel_sizes} - {*self.images})
        if unknown:
            raise ValueError(
                f"pixel_sizes: no image is called {listed(unknown)}; there are "
                f"{listed(self.images)}."
            )
        self.model = load_model(settings.model)
        self._settings = settings
        self._rows = {name: self._found(name) for name in self.images}

    @property
    def status(self) -> pd.DataFrame:
        """How far the images are, one row each.

        `image`, `state`, `fibres` (their number), `pixel_size_um`, `uncertainty_bits` (mean of
        the image), `seconds`, and as `remark` why it failed or what speaks against its pixel size.
        """
        table = pd.DataFrame([{"image": name, **vars(row)} for name, row in self._rows.items()])
        numbers = dict.fromkeys(["pixel_size_um", "uncertainty_bits", "seconds"], "float64")
        return table.astype({"fibres": "Int64"} | numbers)

    def read(self, name: str) -> Micrograph:
        """Read an image at the pixel size of the settings, or else of its files."""
        size = self.settings.pixel_sizes.get(name)
        return replace(read_image(self.images[name], pixel_size=size), name=name)

    def preview(self, name: str, place: Place | None, job: Job[Any]) -> Crop:
        """Segment a crop of an image as the run would; nothing is written.

        Parameters
        ----------
        name : str
        place : pair of float or None
            Where, see `axonlab.preview`; None: where the image shows most.
        job : Job
            Its `stop` raises InterruptedError.
        """

        def tell(share: float) -> None:
            if job.stopping.is_set():
                raise InterruptedError("The preview was stopped.")
            job.report(share, 1, name)

        job.report(0, 0, f"reading {name}")
        settings, model = self.settings, self.model
        key = (name, settings.pixel_sizes.get(name), model.sha256)
        if self._seen is None or self._seen[0] != key:
            self._seen = None  # its memory is free before the next image is read
            self._seen = key, Preview(self.read(name), model)
        augment = settings.test_time_augmentation
        return self._seen[1].segment(place, tell=tell, test_time_augmentation=augment)

    def check(self) -> None:
        """Find out whether the run could start.

        Raises
        ------
        ValueError
            If there are results that it must not replace.
        """
        unlike = [name for name, row in self._rows.items() if row.state != DONE]
        taken = [name for name in unlike if (self.folder / name).exists()]
        kept = [name for name in taken if results.strangers(self.folder / name)]
        if kept:
            files = listed(results.strangers(self.folder / kept[0]))
            raise ValueError(
                f"{self.folder} holds more than results of other settings, and is left alone: "
                f"{files} in {listed(kept)}. Choose another folder."
            )
        if taken and not self.overwrite:
            raise ValueError(
                f"{self.folder} holds results of another model or of other settings: "
                f"{listed(taken)}. Choose another folder, or overwrite=True."
            )

    def go_on(self) -> Job[pd.DataFrame]:
        """Segment what is not finished; ``await`` what is returned for the `status`.

        A run that is at work goes on, one that was stopped by hand is left as it is.
        """
        if not self.job.running and (self._ran != self.settings or self.job.error):
            self.job.start()
        return self.job

    def complete(self) -> pd.DataFrame:
        """Segment what is not finished, wait for the end, and return the `status`."""
        return self.go_on().wait()

    def _found(self, name: str) -> Row:
        """Return the row of an image: done, if these settings have left its result."""
        known = results.read_provenance(self.folder / name)
        size = self.settings.pixel_sizes.get(name, known.get("pixel_size_um"))
        wanted = self._recipe | {"pixel_size_um": size}
        is_done = bool(known) and wanted.items() <= known.items()
        return _row(known) if is_done else Row()

    @property
    def _recipe(self) -> dict[str, Any]:
        """What the provenance of a finished image says beside the image itself."""
        return {
            "model_sha256": self.model.sha256,
            "test_time_augmentation": self.settings.test_time_augmentation,
            "min_axon_diameter_um": self.settings.min_axon_diameter,
        }

    def _run(self, job: Job[pd.DataFrame]) -> pd.DataFrame:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                self._segment_all(job)
        except Timeout as error:
            raise RuntimeError(
                f"Another run is at work in {self.folder}. Stop it, or restart the kernel where "
                "its Stop button is gone (finished images are kept), or choose another folder."
            ) from error
        return self.status

    def _segment_all(self, job: Job[pd.DataFrame]) -> None:
        job.report(0, 0, "looking for what is finished")
        self._rows = {name: self._found(name) for name in self.images}
        self.check()
        self._ran = self.settings
        for name in self._in_state(DONE):
            if job.stopping.is_set():
                return
            self._check_finished(name)
        waiting = self._in_state(WAITING)
        try:
            for i, name in enumerate(waiting):
                self._segment(name, _Teller(job, i, len(waiting), name))
        except _StoppedError:
            return
        n = len(waiting)
        job.report(n, n, f"image {n} of {n}" if n else "all is finished")

    def _in_state(self, state: str) -> list[str]:
        return [name for name, row in self._rows.items() if row.state == state]

    def _check_finished(self, name: str) -> None:
        """Find out whether a result is of the image as it is now."""
        known = results.read_provenance(self.folder / name)
        try:
            micrograph = self.read(name)
        except _TROUBLE as error:
            self._rows[name] = replace(self._rows[name], remark=f"Finished, but now: {error}")
            return
        now = {"pixels_sha256": micrograph.sha256, "pixel_size_um": micrograph.pixel_size}
        if now.items() <= known.items():
            return
        self._rows[name] = Row()
        try:
            self.check()
        except ValueError as error:
            self._rows[name] = Row(FAILED, remark=f"The image has changed. {error}")

    def _segment(self, name: str, tell: _Teller) -> None:
        self._rows[name] = Row(AT_WORK)
        try:
            tell(0)
            result = self._result(name, tell)
            results.write_result(self.folder / name, result)  # a full disk ends the run
            self._rows[name] = _row(result.provenance)
        except _ImageError as error:
            self._rows[name] = Row(FAILED, remark=str(error))
        finally:
            if self._rows[name].state == AT_WORK:
                self._rows[name] = Row()

    def _result(self, name: str, tell: _Teller) -> results.Result:
        began, settings = time.monotonic(), self.settings
        try:
            micrograph = self.read(name)
            augment = settings.test_time_augmentation
            seen = segment(micrograph, self.model, test_time_augmentation=augment, tell=tell)
            result = results.measure(micrograph, seen, min_axon_diameter=settings.min_axon_diameter)
        except _TROUBLE as error:
            raise _ImageError(str(error) or repr(error)) from error
        seconds = round(time.monotonic() - began, 1)
        about = {"file": self.images[name].name, "seconds": seconds}
        return replace(result, provenance=result.provenance | about)


class _StoppedError(Exception):
    """The run is to end."""


class _ImageError(Exception):
    """One image cannot be segmented."""


@dataclass(frozen=True)
class _Teller:
    """Tell a job how much of an image is done, and end the work when it is stopped."""

    job: Job[pd.DataFrame]
    before: int
    n: int
    name: str

    def __call__(self, share: float) -> None:
        if self.job.stopping.is_set():
            raise _StoppedError
        text = f"image {self.before + 1} of {self.n}, {self.name}"
        self.job.report(self.before + share, self.n, text)


def _row(provenance: dict[str, Any]) -> Row:
    """Return the row of a finished image."""
    known = {name: provenance.get(name) for name in vars(Row()) if name not in ("state", "remark")}
    return Row(DONE, **known, remark=str(provenance.get("pixel_size_doubt", "")))


def _paths(images: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(images, str | Path):
        return [Path(path) for path in images]
    path = Path(images)
    is_folder = path.is_dir() and path.suffix.lower() != ".zarr"
    return find_images(path) if is_folder else [path]


def _without(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return the paths that are not in a folder."""
    return [path for path in paths if folder.resolve() not in path.resolve().parents]


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Return images by names that tell them apart, also where case does not count."""
    n_called = Counter(image_stem(path).casefold() for path in paths)

    def name(path: Path) -> str:
        stem = image_stem(path)
        return stem if n_called[stem.casefold()] == 1 else f"{path.parent.name}_{stem}"

    names = [name(path) for path in paths]
    if not names:
        raise ValueError("No images given: expected a folder of micrographs, or their files.")
    n_named = Counter(each.casefold() for each in names)
    twice = [p for p, each in zip(paths, names, strict=True) if n_named[each.casefold()] > 1]
    if twice:
        raise ValueError(
            f"Several images have one name, by which results are kept: {listed(twice)}. Rename "
            "them, or give one of them only."
        )
    return dict(zip(names, paths, strict=True))
