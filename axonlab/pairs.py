"""Which mask belongs to which micrograph and to which animal, in the layouts that labs use."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonlab.autosave import check_image
from axonlab.formats import read_plane
from axonlab.io import LABEL_TAG, MAX_STRAY_SHARE, read_image, read_labels
from axonlab.micrograph import Micrograph
from axonlab.pixelsize import image_stem

LAYOUTS = {
    "NAME_mask": "NAME.tif with NAME_mask.tif",
    "AxonDeepSeg": "NAME.png with NAME_seg-axonmyelin.png, or _seg-axon.png and _seg-myelin.png",
    "image + mask": "NAME/image.png with NAME/mask.png",
    "BIDS": "sub-*/micr/NAME.png with derivatives/labels/sub-*/micr/NAME_seg-axonmyelin-manual.png",
    "images + labels": "images/NAME.png with labels/NAME.png or masks/NAME.png",
    "01_label": "NAME.png with, anywhere below the folder, 01_labels/labels.png made of it",
}
"""What `find_pairs` recognises."""

ALL_ANIMALS = "all"
"""Name of the row of all animals in tables of scores: no animal is called so."""

_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".zarr")
_SEG = re.compile(r"(.+)_seg-(axonmyelin|axon|myelin|uaxon)(-manual)?")
_MAX_LISTED = 3


@dataclass(frozen=True)
class Pair:
    """A micrograph with the masks of it, and the animal it comes from."""

    image: Path
    masks: tuple[Path, ...]
    animal: str
    values: Mapping[int, str] | None = field(default=None, hash=False)
    """What the values in the masks mean, for `io.read_labels`; None where the files tell."""

    def __post_init__(self) -> None:
        if self.animal == ALL_ANIMALS:
            raise ValueError(
                f"{self.image}: an animal called {ALL_ANIMALS!r}, which is the name of the row of "
                "all animals in tables of scores. Give it another name, by "
                "find_pairs(folder, animals={...}) or in the path of the image."
            )


@dataclass(frozen=True)
class _Mask:
    """A file that is a mask by its name, and of which image."""

    path: Path
    layout: str
    place: Path
    """Where its image is to be, within the folder and without suffix."""
    part: str = "all"
    is_manual: bool = False


def find_pairs(
    folder: str | Path,
    *,
    animals: Mapping[str, str] | None = None,
    values: Mapping[int, str] | None = None,
) -> list[Pair]:
    """Find micrographs with masks in a folder and below, in any of the `LAYOUTS`.

    Parameters
    ----------
    folder : path
    animals : mapping of str to str, optional
        From which animals the images are, ``{"m1_*": "mouse 1", "left": "mouse 2"}``: by their
        names or paths in `folder`, without suffix, or patterns of these. Otherwise ``sub-NAME`` in
        the path tells, or else every image counts as an animal of its own.
    values : mapping of int to str, optional
        What the values mean in masks whose names do not say so, see `io.read_labels`. Left out, a
        ``NAME_mask`` of nothing but 0 and 255 shows myelin, as in the data of Moiseev, Hu & Li
        (2019).

    Returns
    -------
    list of Pair
        In the order of their paths. An image whose mask is in doubt is left out.

    Raises
    ------
    ValueError
        If nothing can be paired, `animals` contradicts itself or names no image, or an animal is
        called "all", as the row of all animals in tables of scores.

    Warns
    -----
    UserWarning
        If there is something to know before training: what was left out and why, what was
        assumed. One warning lists it all.
    """
    folder, animals = Path(folder), animals or {}
    images, masks, told = _sort(folder)
    _check_patterns(animals, images)
    pairs, used = [], []
    for place, found in sorted(masks.items()):
        chosen = _preferred(found)
        problem = _problem(place, chosen, images.get(place, []))
        if problem:
            told.append(problem)
            continue
        used.append(chosen)
        meaning, animal = _meaning(chosen[0], values), _animal(place, animals)
        pairs.append(Pair(images[place][0], tuple(m.path for m in chosen), animal, meaning))
    told += _left_out(images, masks)
    if not pairs:
        expected = "\n  ".join(f"{text} ({name})" for name, text in LAYOUTS.items())
        raise ValueError(
            f"{folder}: no pair of image and mask found.{_bullets(told, folder)}\n"
            f"Expected one of these layouts:\n  {expected}"
        )
    told += _assumed(pairs, used, values) + _unknown_animals(used, animals)
    layouts = Counter(chosen[0].layout for chosen in used)
    if told or len(layouts) > 1:
        counts = ", ".join(f"{n} as {layout}" for layout, n in layouts.items())
        warnings.warn(
            f"{folder}: {len(pairs)} pairs of image and mask found ({counts})."
            f"{_bullets(told, folder)}",
            stacklevel=2,
        )
    return sorted(pairs, key=lambda pair: pair.image)


def find_images(folder: str | Path) -> list[Path]:
    """Find the micrographs in a folder and below; masks and labellings are left out.

    Returns
    -------
    list of Path
        In their order.

    Raises
    ------
    NotADirectoryError, ValueError
        If there is no such folder, or no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder. Check its name ({folder.absolute()}).")
    images, _, _ = _sort(folder)
    found = sorted(path for paths in images.values() for path in paths)
    if not found:
        raise ValueError(
            f"{folder}: no images found. Expected files ending {', '.join(_SUFFIXES)}."
        )
    return found


def read_pair(pair: Pair) -> tuple[Micrograph, NDArray[np.uint8]]:
    """Return a micrograph and its labels.

    Raises
    ------
    OSError, ValueError
        If a file cannot be read, or mask and image differ in shape. The message names it.
    """
    micrograph = read_image(pair.image)
    truth = read_labels(*pair.masks, values=pair.values)
    if truth.shape != micrograph.pixels.shape:
        raise ValueError(
            f"{pair.masks[0]}: a mask of shape {truth.shape} for {pair.image} of shape "
            f"{micrograph.pixels.shape}. A mask must have the shape of its image: export it again "
            "at full size, or leave the pair out."
        )
    return micrograph, truth


def short_names(pairs: Sequence[Pair]) -> list[str]:
    """Return the paths of the images within the folder that they share."""
    if not pairs:
        return []
    paths = [pair.image.absolute() for pair in pairs]
    root = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(root).as_posix() for path in paths]


def _sort(folder: Path) -> tuple[dict[Path, list[Path]], dict[Path, list[_Mask]], list[str]]:
    """Return images and masks by the places of the images, and what cannot be placed."""
    images, masks = defaultdict[Path, list[Path]](list), defaultdict[Path, list[_Mask]](list)
    labellings, told = [], []
    for path in _pictures(folder):
        mask = _named_mask(path, folder)
        if mask:
            masks[mask.place].append(mask)
        elif _labelled(path):
            labellings += [path] if path.name == "labels.png" else []
        elif "derivatives" not in path.relative_to(folder).parts:
            images[_place(path, folder)].append(path)
    for path in labellings:
        place, problem = _find_image(path, images)
        if place:
            masks[place].append(_Mask(path, "01_label", place))
        else:
            told.append(problem)
    return dict(images), dict(masks), told


def _pictures(folder: Path) -> Iterator[Path]:
    """Yield files and OME-Zarr folders that are pictures by their suffix, in order."""
    for root, folders, files in os.walk(folder):
        pictures = [name for name in (*folders, *files) if name.lower().endswith(_SUFFIXES)]
        yield from (Path(root, name) for name in sorted(pictures) if not name.startswith("."))
        folders[:] = sorted({*folders} - {*pictures} - {f for f in folders if f.startswith(".")})


def _place(path: Path, folder: Path) -> Path:
    return path.relative_to(folder).with_name(image_stem(path))


def _named_mask(path: Path, folder: Path) -> _Mask | None:
    """Return what the name and the folders of a file say of it as a mask."""
    place = _place(path, folder)
    seg = _SEG.fullmatch(place.name)
    *parents, stem = place.parts
    layout = ""
    if ("derivatives", "labels") in pairwise(parents):
        cut = parents.index("derivatives")
        parents[cut : cut + 2] = []
        if not seg:
            return None
        layout = "BIDS"
    else:
        parents, layout = _images_beside(folder, parents)
    if seg:
        image = Path(*parents, seg[1])
        return _Mask(path, layout or "AxonDeepSeg", image, seg[2], bool(seg[3]))
    if stem.endswith("_mask"):
        return _Mask(path, layout or "NAME_mask", Path(*parents, stem.removesuffix("_mask")))
    if stem == "mask" and any(path.parent.glob("image.*")):
        return _Mask(path, layout or "image + mask", Path(*parents, "image"))
    return _Mask(path, layout, Path(*parents, stem)) if layout else None


def _images_beside(folder: Path, parents: list[str]) -> tuple[list[str], str]:
    """Return the folders of an image whose mask is in ``labels``, if there is ``images`` beside."""
    for n, name in enumerate(parents):
        root = folder.joinpath(*parents[:n])
        if name.lower() in ("labels", "masks"):
            beside = [p.name for p in root.iterdir() if p.name.lower() == "images" and p.is_dir()]
            if beside:
                return [*parents[:n], beside[0], *parents[n + 1 :]], "images + labels"
    return parents, ""


def _labelled(path: Path) -> str:
    """Return the name of the image that a labelling kept in this folder is of, or nothing."""
    sidecar = path.with_name("image.json")
    if not path.name.startswith("labels.") or not sidecar.is_file():
        return ""
    try:
        content = json.loads(sidecar.read_text("utf-8"))
        return str(content["image"]) if "pixels_sha256" in content else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _find_image(labels: Path, images: Mapping[Path, list[Path]]) -> tuple[Path | None, str]:
    """Return the place of the image that a labelling was made of, or why there is none."""
    name = _labelled(labels)
    named = [(place, path) for place in images if place.name == name for path in images[place]]
    for place, path in named:
        try:
            check_image(labels, read_image(path, pixel_size=1))  # only pixels are compared
            return place, ""
        except (OSError, ValueError):
            continue
    if named:
        others = listed(path for _, path in named)
        return None, f"{labels}: made of other pixels than those of {others}; left out"
    return None, (
        f"{labels}: its image {name!r} is not in the folder; copy it there, or use the data set "
        "in runs/labelled that 01_label leaves"
    )


def _preferred(masks: Sequence[_Mask]) -> list[_Mask]:
    """Return the masks to read, in order: manual ones, and one for axon and myelin if there is."""
    is_manual = any(mask.is_manual for mask in masks)
    masks = [mask for mask in masks if mask.is_manual == is_manual or mask.part == "all"]
    is_joint = any(mask.part == "axonmyelin" for mask in masks)
    parts = ["all", *(["axonmyelin"] if is_joint else ["myelin", "axon"]), "uaxon"]
    return [mask for part in parts for mask in masks if mask.part == part]


def _problem(place: Path, masks: Sequence[_Mask], images: Sequence[Path]) -> str:
    """Return why an image and its masks are no pair."""
    files = listed(mask.path for mask in masks)
    if not images:
        return f"{files}: a mask without its image, expected {place} with .png, .tif or .jpg"
    if len(images) > 1:
        return f"{files}: a mask of several images, {listed(images)}; keep one of them"
    parts = [mask.part for mask in masks]
    if len(set(parts)) < len(parts) or ("all" in parts and len(parts) > 1):
        return f"{images[0]}: several masks, {files}; keep one of them"
    if len({mask.layout for mask in masks}) > 1:
        return f"{images[0]}: masks in several layouts, {files}; keep one of them"
    return ""


def _meaning(mask: _Mask, values: Mapping[int, str] | None) -> Mapping[int, str] | None:
    """Return what the values of a mask mean where the file does not tell."""
    if mask.part != "all" or mask.layout == "01_label":
        return None
    if values is not None or mask.layout != "NAME_mask":
        return values
    try:
        stored = read_plane(mask.path, as_stored=True)
    except (OSError, ValueError):
        return None  # told when it is read
    is_binary = np.isin(stored.array, (0, 255)).mean() >= 1 - MAX_STRAY_SHARE
    return {255: "myelin"} if is_binary and stored.comment != LABEL_TAG else None


def _animal(place: Path, animals: Mapping[str, str]) -> str:
    """Return the animal that is given for an image, or that its path names, or its path."""
    given = {animal for pattern, animal in animals.items() if _fits(place, pattern)}
    if len(given) > 1:
        raise ValueError(
            f"animals gives {sorted(given)} for the image {place}. Write the patterns so that "
            "each image has one animal."
        )
    return given.pop() if given else _named_animal(place) or _own_animal(place)


def _fits(place: Path, pattern: str) -> bool:
    return fnmatchcase(place.name, pattern) or fnmatchcase(place.as_posix(), pattern)


def _named_animal(place: Path) -> str:
    """Return the BIDS entity ``sub-NAME`` of a path, of its folders first."""
    named = (re.match(r"sub-[A-Za-z0-9]+", part) for part in place.parts)
    return next((match[0] for match in named if match), "")


def _own_animal(place: Path) -> str:
    """Return a name for an image that tells it from all others."""
    parts = [part for part in place.parts[:-1] if part.lower() != "images"]
    return "/".join(parts if parts and place.name == "image" else [*parts, place.name])


def _check_patterns(animals: Mapping[str, str], images: Iterable[Path]) -> None:
    places = list(images)
    idle = [pattern for pattern in animals if not any(_fits(p, pattern) for p in places)]
    if idle:
        names = listed(place.as_posix() for place in sorted(places))
        raise ValueError(
            f"animals names {idle}, but no image is called so; there are {names or 'no images'}. "
            "Give names without suffix, or patterns such as 'm1_*'."
        )


def _unknown_animals(used: Sequence[Sequence[_Mask]], animals: Mapping[str, str]) -> list[str]:
    """Tell which images neither their paths nor the caller assign to an animal."""
    places = [chosen[0].place for chosen in used]
    given = [place for place in places if any(_fits(place, pattern) for pattern in animals)]
    unknown = [p for p in places if p not in given and not _named_animal(p)]
    if not unknown:
        return []
    names = Counter(place.name for place in unknown if _own_animal(place).endswith(place.name))
    twice = [place for place in unknown if names[place.name] > 1]
    told = [f"the same name in several folders, taken for several animals: {listed(twice)}"]
    return [
        *(told if twice else []),
        f"the animal is unknown of {len(unknown)} of {len(places)} images, which count as one "
        f"animal each: {listed(unknown)}. Images of one animal in training and validation make "
        "scores too good; if there are such, say animals={'m1_*': 'mouse 1', ...}",
    ]


def _assumed(
    pairs: Sequence[Pair], used: Sequence[Sequence[_Mask]], values: Mapping[int, str] | None
) -> list[str]:
    """Tell what masks were taken to mean beyond what they say."""
    told = []
    binary = [pair.masks[0] for pair in pairs if pair.values and values is None]
    if binary:
        told.append(f"255 is read as myelin in {listed(binary)}; otherwise say values={{255: ...}}")
    for other, part in (("myelin", "axon"), ("axons", "myelin")):
        alone = [c[0].path for c in used if {mask.part for mask in c} - {"uaxon"} == {part}]
        if alone:
            told.append(f"no mask of {other}, which count as background, beside {listed(alone)}")
    return told


def _left_out(
    images: Mapping[Path, Sequence[Path]], masks: Mapping[Path, Sequence[_Mask]]
) -> list[str]:
    """Tell which images nobody has labelled."""
    lonely = [path for place in images if place not in masks for path in images[place]]
    total = sum(map(len, images.values()))
    if not lonely:
        return []
    return [f"{len(lonely)} of {total} images have no mask and are left out: {listed(lonely)}"]


def _bullets(lines: Sequence[str], folder: Path) -> str:
    """Return lines as a list; their paths are within the folder, which its heading names."""
    return "".join(f"\n- {line.replace(f'{folder}{os.sep}', '')}." for line in lines)


def listed(things: Iterable[object]) -> str:
    """Return the first few of some things, and how many more there are."""
    names = [str(thing) for thing in things]
    rest = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")
