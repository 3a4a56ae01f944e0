"""Stacks of sections through cells, with what is membrane in them and what interior."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonlab.io import read_image, read_objects
from axonlab.micrograph import check_pixel_size

SUFFIXES = (".png", ".tif", ".tiff")

MOST_MEMBRANE = 0.5
"""Share of the pixels beyond which what is called membrane must be the interior: in thin sections
membranes take a fifth to a third."""


@dataclass(frozen=True, eq=False)  # comparing arrays by == has no one answer
class Stack:
    """Sections and where the interior of cells is in them.

    Parameters
    ----------
    pixels : (Z, H, W) array
        Grey values, kept as float32.
    interior : (Z, H, W) bool array
        False on membranes.
    pixel_size : float
        Within sections, in µm.
    name : str

    Raises
    ------
    ValueError
        If the shapes differ, `interior` is not boolean, or it looks inverted.
    """

    pixels: NDArray[np.float32] = field(repr=False)
    interior: NDArray[np.bool_] = field(repr=False)
    pixel_size: float
    name: str = "stack"

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels, np.float32)
        if pixels.ndim != 3 or pixels.size == 0 or not np.isfinite(pixels).all():
            raise ValueError(
                f"{self.name}: found grey values of shape {pixels.shape}, expected sections "
                "(Z, H, W) of finite numbers. A single section is `section[None]`."
            )
        if self.interior.shape != pixels.shape:
            raise ValueError(
                f"{self.name}: labels of shape {self.interior.shape} for sections of "
                f"{pixels.shape}. Both must have the same number of sections of the same size: "
                "take the labels of these sections, at full size."
            )
        if self.interior.dtype != bool:
            raise ValueError(
                f"{self.name}: interior of type {self.interior.dtype}, expected bool. Make it so "
                "with `as_interior(labels)`."
            )
        _check_not_inverted(pixels, self.interior, self.name)
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "pixel_size", check_pixel_size(self.pixel_size, self.name))


def read_stack(
    images: str | Path, labels: str | Path, *, pixel_size: float, membrane: int = 0
) -> Stack:
    """Read the sections in a folder and their labels in another one.

    Sections come in the order of the last number in their file names, 2 before 10.

    Parameters
    ----------
    images, labels : path
        Folders of PNG or TIFF files, one for each section, with the same numbers.
    pixel_size : float
        Within sections, in µm.
    membrane : int
        The one of the two values in the labels that is membrane.

    Returns
    -------
    Stack

    Raises
    ------
    NotADirectoryError, ValueError
        If a folder is missing or empty, the sections do not fit together, or the labels are not of
        two values, or look inverted.
    """
    seen, labelled = _numbered(Path(images)), _numbered(Path(labels))
    if list(seen) != list(labelled):
        raise ValueError(
            f"{images}: {len(seen)} sections, but {len(labelled)} labels in {labels}; of one but "
            f"not of the other are the numbers {sorted(seen.keys() ^ labelled.keys())}. Expected "
            "one label image for every section, with the same number in its name."
        )
    sections = [read_image(path, pixel_size=pixel_size).pixels for path in seen.values()]
    masks = [read_objects(path) for path in labelled.values()]
    for kind, planes, paths in (("section", sections, seen), ("label", masks, labelled)):
        for plane, path in zip(planes, paths.values(), strict=True):
            if plane.shape != sections[0].shape:
                raise ValueError(
                    f"{path}: a {kind} of shape {plane.shape}, but the first section has "
                    f"{sections[0].shape}. All must have the same size."
                )
    interior = as_interior(np.stack(masks), membrane=membrane, name=str(labels))
    return Stack(np.stack(sections), interior, pixel_size, Path(images).parent.name)


def as_interior(
    labels: NDArray[np.integer], *, membrane: int = 0, name: str = "labels"
) -> NDArray[np.bool_]:
    """Return where labels of two values are not membrane.

    Raises
    ------
    ValueError
        If there are not exactly two values, or none is `membrane`.

    Examples
    --------
    >>> as_interior(np.array([[[0, 255]]]))
    array([[[False,  True]]])
    """
    values, counts = np.unique(labels, return_counts=True)
    if len(values) != 2 or membrane not in values:
        listed = ", ".join(f"{v} ({n:,} px)" for v, n in zip(values[:8], counts[:8], strict=True))
        more = ", …" if len(values) > 8 else ""
        raise ValueError(
            f"{name}: {len(values)} values, {listed}{more}; expected two, {membrane} on membranes "
            "and another one in the interior of cells. Numbers of cells, grey edges of a resized "
            "mask and unlabelled areas cannot be told apart here: export the plain mask, or say "
            "with `membrane` which value is membrane."
        )
    interior: NDArray[np.bool_] = labels != membrane
    return interior


def _check_not_inverted(
    pixels: NDArray[np.float32], interior: NDArray[np.bool_], name: str
) -> None:
    share = 1 - interior.mean()
    if share <= MOST_MEMBRANE:
        return
    grey = [f"{pixels[where].mean():.4g}" for where in (~interior, interior) if where.any()]
    raise ValueError(
        f"{name}: {share:.0%} of the pixels are called membrane (mean grey value of membrane"
        f"{' and interior' if len(grey) > 1 else ''} {' and '.join(grey)}). Membranes are the "
        "smaller part of a section, so the labels look inverted: expected False on membranes, "
        "True in the interior. Read them with the other value as `membrane`, or invert them with "
        "`~interior`."
    )


def _numbered(folder: Path) -> dict[int, Path]:
    """Return the sections in a folder by their numbers, in their order."""
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder. Check its name ({folder.absolute()}).")
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        numbers = re.findall(r"\d+", path.stem)
        if path.suffix.lower() not in SUFFIXES or not numbers:
            continue
        other = found.setdefault(int(numbers[-1]), path)
        if other != path:
            raise ValueError(
                f"{folder}: {other.name} and {path.name} have the same number, expected one file "
                "for each section."
            )
    if not found:
        raise ValueError(
            f"{folder}: no sections found. Expected files ending {', '.join(SUFFIXES)} with a "
            "number in their names."
        )
    return dict(sorted(found.items()))
