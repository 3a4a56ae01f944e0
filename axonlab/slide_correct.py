"""Corrections of a slide: a crop is painted in the label widget and written back."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonlab.autosave import SavedLabelling, digest, open_labelling
from axonlab.io import write_json
from axonlab.micrograph import Micrograph, check_labels
from axonlab.objects import Box
from axonlab.partition import bounds, ids_in, shift
from axonlab.relabel import Planes, relabel
from axonlab.slide import measure_slide, read_manifest
from axonlab.slide_plan import Plan, finish, locked
from axonlab.slide_tiles import Slide
from axonlab.stages import Tell

MARGIN = 64
"""Pixels around what was corrected that are looked at first; twice as many if that is too few."""

MAX_WINDOW_PIXELS = 1 << 25
"""No more of a slide is looked at for one correction, which bounds memory."""

MAX_CROP_PIXELS = 1 << 24
"""No larger crop is opened: a browser has to paint it."""


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Crop:
    """A part of a slide that is being corrected.

    Parameters
    ----------
    rows, columns : slice
        Where it is in the slide.
    labelling : SavedLabelling
        For `axonlab.widgets.LabelWidget`; every edit is kept on disk.
    """

    rows: slice
    columns: slice
    labelling: SavedLabelling

    @property
    def box(self) -> Box:
        """Rows and columns."""
        return self.rows, self.columns


def open_crop(
    output: str | Path, rows: slice, columns: slice, *, folder: str | Path | None = None
) -> Crop:
    """Open a part of a slide for correction, or go on with the correction that was begun there.

    Parameters
    ----------
    output : path
        From `axonlab.slide.segment_slide`.
    rows, columns : slice
        In pixels of the slide.
    folder : path, optional
        Where every edit is kept until it is written to the slide, as by
        `axonlab.autosave.open_labelling`; by default within the output, one for every place.

    Returns
    -------
    Crop
        Its `labelling` shows the image, or plain grey where the slide was made of labels, and
        begins with the class ids of the slide.

    Raises
    ------
    FileNotFoundError
        If there is no slide, or it is not segmented to its end.
    ValueError
        If rows and columns are no part of the slide, or too large a one.
    BlockingIOError
        If another kernel has the same crop open.

    Warns
    -----
    UserWarning
        If the slide was changed since the folder was begun: what it holds is kept aside.
    """
    read_manifest(output)  # first of all, is there a slide
    with locked(output):
        finish(output)
        manifest = read_manifest(output)
        slide = Slide.of(output, manifest)
        box = _check_box(rows, columns, slide.shape)
        classes = np.asarray(slide.labels("classes")[box])
    has_image = manifest["holds"] == "image"
    micrograph = Micrograph(
        slide.image()[box] if has_image else np.full(classes.shape, 0.5),
        slide.pixel_size,
        f"{manifest['source']}, {_told(box)}",
        manifest["pixel_size_source"],
    )
    place = "-".join(str(n) for side in box for n in (side.start, side.stop))
    folder = Path(output, "run", "crops", place) if folder is None else Path(folder)
    return Crop(*box, _labelling(micrograph, folder, box, classes))


def write_crop(output: str | Path, crop: Crop, *, tell: Tell | None = None) -> dict[str, Any]:
    """Write a corrected crop back to its slide, and measure the tiles that it changes again.

    Parameters
    ----------
    output : path
        The slide that the crop was opened from.
    crop : Crop
        It can be corrected further and be written again.
    tell : callable, optional
        As for `axonlab.slide.measure_slide`.

    Returns
    -------
    dict
        ``number``, ``rows``, ``columns``, ``time`` (ISO, UTC), ``pixels`` that have another class,
        the ids of the fibres that are ``changed``, ``new`` and ``gone``, and the ``last_id`` that
        was ever given. The manifest of the slide lists the same under ``corrections``, unless
        nothing was changed: then ``number`` is that of the last correction.

    Raises
    ------
    FileNotFoundError
        If there is no slide, or it is not segmented to its end.
    ValueError
        If the crop is no part of the slide, or the slide was changed there since the crop was
        opened; if an axon or a fibre that is changed is absurdly large. The slide stays as it is.

    Notes
    -----
    Axons and fibres are those of `axonlab.objects.label_fibres` on the whole corrected slide, up
    to their ids: see `axonlab.relabel.relabel`, which says which fibre keeps which id. What is
    blank stays blank.

    The correction is written down before it is made. If this is cut off, the next call of
    `open_crop`, `write_crop` or `axonlab.slide.measure_slide` makes the rest of it.
    """
    output = Path(output)
    crop.labelling.save()
    with crop.labelling.lock:
        labels = crop.labelling.labels.copy()
    read_manifest(output)  # first of all, is there a slide
    with locked(output):
        finish(output)
        manifest = read_manifest(output)
        slide = Slide.of(output, manifest)
        entry = _correct(slide, crop, labels, manifest)
    measure_slide(output, tell=tell)
    return entry


def _correct(
    slide: Slide, crop: Crop, labels: NDArray[np.uint8], manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a correction and return its entry."""
    box, folder, output = crop.box, crop.labelling.folder, Path(slide.path)
    _check_box(crop.rows, crop.columns, slide.shape)
    check_labels(labels, _told(box))
    classes = np.asarray(slide.labels("classes")[box])
    if labels.shape != classes.shape:
        raise ValueError(
            f"Labels of shape {labels.shape} for {_told(box)}, of shape {classes.shape}: write a "
            "crop as open_crop has opened it."
        )
    known = manifest.get("corrections", [])
    entry: dict[str, Any] = {
        "number": len(known),
        "rows": [crop.rows.start, crop.rows.stop],
        "columns": [crop.columns.start, crop.columns.stop],
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "pixels": int(np.count_nonzero(labels != classes)),
        "changed": [],
        "new": [],
        "gone": [],
        "last_id": known[-1]["last_id"] if known else manifest["fibres"],
    }
    if entry["pixels"]:
        if _read_base(folder, box) != digest(classes):
            raise ValueError(
                f"{_told(box)} of {output}: the slide was changed there since this crop was "
                "opened. Open the crop anew; what was painted is kept aside then."
            )
        plan = _plan(slide, box, labels, manifest, entry | {"number": len(known) + 1})
        plan.write(output)
        finish(output)
        entry = dict(plan.entry)
    _write_base(folder, box, labels)
    return entry


def _plan(
    slide: Slide,
    box: Box,
    labels: NDArray[np.uint8],
    manifest: Mapping[str, Any],
    entry: dict[str, Any],
) -> Plan:
    """Return what a correction changes, in the crop and around it."""
    diameter = manifest["min_axon_diameter_um"] / slide.pixel_size
    window, before, after = _relabel(
        slide, box, labels, min_pixels=np.pi / 4 * diameter**2, next_id=entry["last_id"] + 1
    )
    differs = before.differ(after)
    is_other = differs[1] | differs[2]
    was, now = ids_in(before.fibres), ids_in(after.fibres)
    moved = ids_in(before.fibres[is_other]) | ids_in(after.fibres[is_other])
    entry |= {
        "changed": sorted(moved & was & now),
        "new": sorted(now - was),
        "gone": sorted(was - now),
        "last_id": max(entry["last_id"], *now, 0),
    }
    spot = bounds(differs[0] | is_other)
    return Plan(
        shift(spot, window),
        before.cut(spot),
        after.cut(spot),
        entry,
        manifest["fibres"] + len(now - was) - len(was - now),
    )


def _relabel(
    slide: Slide, box: Box, labels: NDArray[np.uint8], *, min_pixels: float, next_id: int
) -> tuple[Box, Planes, Planes]:
    """Return a window that shows all that a correction changes, as it is and as it will be."""
    arrays = [slide.labels(name) for name in Planes._fields]
    changed = bounds(labels != arrays[0][box])
    spot = shift(changed, box)
    margin = MARGIN
    while True:
        window, inner = slide.around(spot, margin)
        if np.prod([side.stop - side.start for side in window]) > MAX_WINDOW_PIXELS:
            raise ValueError(
                f"{_told(box)}: an axon or a fibre that this correction changes is not within "
                f"{margin // 2} pixels of it. Things of this size are no fibres: leave them out "
                "of the correction, or segment the slide anew with a model that does not see them."
            )
        before = Planes(*(np.asarray(array[window]) for array in arrays))
        corrected = before.classes.copy()
        corrected[inner] = labels[changed]
        ends = tuple((s.start == 0, s.stop == n) for s, n in zip(window, slide.shape, strict=True))
        after = relabel(
            before, corrected, (ends[0], ends[1]), min_pixels=min_pixels, next_id=next_id
        )
        if after:
            return window, before, after
        margin *= 2


def _labelling(
    micrograph: Micrograph, folder: Path, box: Box, classes: NDArray[np.uint8]
) -> SavedLabelling:
    """Return the labelling in a folder; it follows the slide where nobody has painted."""
    base, now = _read_base(folder, box), digest(classes)
    if not base:
        _write_base(folder, box, classes)
    labelling = open_labelling(micrograph, folder, labels=classes)
    if base in ("", now):
        return labelling
    if digest(labelling.labels) in (base, now):
        labelling.replace(classes)
    else:
        labelling.close()
        time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        aside = folder.rename(folder.with_name(f"{folder.name}.{time}"))
        warnings.warn(
            f"{_told(box)}: the slide was changed there since its correction was begun. That "
            f"correction is kept as {aside}, and a new one begins with what the slide shows now.",
            stacklevel=3,
        )
        labelling = open_labelling(micrograph, folder, labels=classes)
    _write_base(folder, box, classes)
    return labelling


def _read_base(folder: Path, box: Box) -> str:
    """Return the digest of the class ids that a correction began with, "" where none was begun.

    Raises
    ------
    ValueError
        If the folder is of another crop.
    """
    path = folder / "crop.json"
    if not path.is_file():
        if (folder / "labels.png").exists():
            raise ValueError(f"{folder} holds labels of no crop. Choose another folder.")
        return ""
    there = json.loads(path.read_text("utf-8"))
    if there["crop"] != _told(box):
        raise ValueError(
            f"{folder} is of {there['crop']}, not of {_told(box)}. Choose another folder."
        )
    return str(there["classes_sha256"])


def _write_base(folder: Path, box: Box, classes: NDArray[np.uint8]) -> None:
    about = {"crop": _told(box), "classes_sha256": digest(classes)}
    write_json(folder / "crop.json", about, overwrite=True)


def _check_box(rows: slice, columns: slice, shape: tuple[int, int]) -> Box:
    """Return slices with both ends, or raise ValueError if they are no crop of a slide."""
    (top, bottom, y), (left, right, x) = rows.indices(shape[0]), columns.indices(shape[1])
    box = slice(top, bottom), slice(left, right)
    is_beyond = (rows.stop or 0) > bottom or (columns.stop or 0) > right
    if (y, x) != (1, 1) or top >= bottom or left >= right or is_beyond:
        raise ValueError(
            f"{rows} and {columns} are no part of a slide of shape {shape}: give slices without a "
            "step that hold some of its pixels, and none beyond."
        )
    if (bottom - top) * (right - left) > MAX_CROP_PIXELS:
        raise ValueError(
            f"{_told(box)}: more than {MAX_CROP_PIXELS} pixels. Open a smaller crop, of some "
            "thousand pixels a side at most."
        )
    return box


def _told(box: Box) -> str:
    rows, columns = box
    return f"rows {rows.start}–{rows.stop}, columns {columns.start}–{columns.stop}"
