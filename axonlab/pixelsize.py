"""How large a pixel is, according to the files: nothing is guessed, contradictions are told."""

from __future__ import annotations

import glob
import json
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tifffile

from axonlab.micrograph import check_pixel_size

_UM_PER_UNIT = {
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "m": 1e6,
}
_TEXT_FILE = "pixel_size_in_micrometer.txt"
_LARGEST_PER_CM_UM = 10.0  # 300 dots per inch are 84.7 µm
_CENTIMETRE = 3  # value of the TIFF tag ResolutionUnit


def find_pixel_size(path: Path, tagged: Sequence[float]) -> tuple[float, str]:
    """Return the pixel size (µm) of an image and where it is written.

    Parameters
    ----------
    path : Path
        Of the image.
    tagged : sequence of float
        Height and width (µm) of a pixel according to the image file itself, empty where it says
        nothing. Believed least, because microscopes and converters often leave a default there.

    Raises
    ------
    ValueError
        If there is none, or it is absurd or not square.
    """
    sizes, source = _read_beside(path)
    if not sizes and not tagged:
        raise ValueError(
            f"{path}: no pixel size found. Pass pixel_size=... (µm per pixel), or put it beside "
            f"the image as {image_stem(path)}.json "
            '({"PixelSize": [0.1, 0.1], "PixelSizeUnits": "um"}) '
            f"or {_TEXT_FILE}."
        )
    if not sizes:
        return _square(tagged, path), "tags of the image file"
    size = _square(sizes, path)
    if tagged and abs(max(tagged) / size - 1) > 0.01:
        warnings.warn(
            f"{path}: {source} says {size:g} µm per pixel, the image file {max(tagged):g} µm; "
            f"{source} is used. Pass pixel_size=... to decide.",
            stacklevel=3,
        )
    return size, source


def tiff_voxel_sizes(tif: tifffile.TiffFile) -> list[float]:
    """Return the distance of sections, height and width (µm) of a voxel from OME or ImageJ tags."""
    if tif.is_ome and tif.ome_metadata:
        return _ome_sizes(tif.ome_metadata, "ZYX")
    spacing = (tif.imagej_metadata or {}).get("spacing")
    sizes = tiff_pixel_sizes(tif)
    return [float(spacing) * _um(_imagej_unit(tif)), *sizes] if spacing and sizes else []


def tiff_pixel_sizes(tif: tifffile.TiffFile) -> list[float]:
    """Return height and width (µm) of a pixel from OME, ImageJ or per-centimetre tags."""
    if tif.is_ome and tif.ome_metadata:
        return _ome_sizes(tif.ome_metadata, "YX")
    tags = tif.pages.first.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return []
    pixels_per_unit = [tags[f"{axis}Resolution"].value for axis in "YX"]
    if any(0 in fraction for fraction in pixels_per_unit):
        return []
    unit = _imagej_unit(tif)
    # Dots per inch speak of printing, whatever program wrote them.
    if not unit and "ResolutionUnit" in tags and tags["ResolutionUnit"].value == _CENTIMETRE:
        unit = "cm"
        # ... and a coarse resolution per centimetre is one per inch in disguise
        if any(d / n * _um(unit) > _LARGEST_PER_CM_UM for n, d in pixels_per_unit):
            return []
    return [d / n * _um(unit) for n, d in pixels_per_unit] if _is_length(unit) else []


def _ome_sizes(metadata: str, axes: str) -> list[float]:
    images = tifffile.xml2dict(metadata)["OME"]["Image"]
    pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
    lengths = {
        f"PhysicalSize{axis}": str(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in axes
        if f"PhysicalSize{axis}" in pixels
    }
    # OME knows units that are no lengths, "pixel" and "reference frame"
    return [float(pixels[k]) * _um(unit) for k, unit in lengths.items() if _is_length(unit)]


def _imagej_unit(tif: tifffile.TiffFile) -> str:
    return str((tif.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ")


def ome_zarr_pixel_sizes(multiscale: dict[str, Any]) -> list[float]:
    """Return height and width (µm) of a pixel at the finest level of an OME-Zarr image."""
    transforms = [
        *multiscale["datasets"][0].get("coordinateTransformations", []),
        *multiscale.get("coordinateTransformations", []),  # these hold for every level
    ]
    scales = [t["scale"] for t in transforms if t["type"] == "scale"]
    if not scales:
        return []
    return [
        math.prod(float(s) for s in lengths) * _um(axis["unit"])
        for axis, *lengths in zip(multiscale["axes"], *scales, strict=True)
        if axis["name"] in ("y", "x") and _is_length(axis.get("unit", ""))
    ]


def _read_beside(path: Path) -> tuple[list[float], str]:
    """Return pixel height and width (µm) and file name of a BIDS sidecar or a text file."""
    source = _TEXT_FILE
    try:
        for sidecar in _sidecars(path):
            source = sidecar.name
            content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
            if "PixelSize" in content:
                sizes = content["PixelSize"]
                sizes = sizes if isinstance(sizes, list) else [sizes]
                unit = _um(content.get("PixelSizeUnits", "um"))
                # BIDS lists two sizes, and a third one, z, for volumes
                return [float(s) * unit for s in sizes[:2]], source
        source = _TEXT_FILE
        if path.with_name(source).is_file():
            return [float(path.with_name(source).read_text(encoding="utf-8-sig"))], source
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: the pixel size in {source} cannot be used ({error}). Expected JSON with "
            f'"PixelSize" and "PixelSizeUnits" or a number in {_TEXT_FILE}; '
            "or pass pixel_size=... (µm)."
        ) from error
    return [], ""


def _sidecars(path: Path) -> Iterator[Path]:
    """Yield the JSON files that speak of an image, the most specific one first.

    BIDS lets ``sub-1_SEM.json`` stand for every ``sub-1_*_SEM`` in and below its folder.
    """
    path = path.absolute()
    *entities, suffix = image_stem(path).split("_")
    roots = [p for p in path.parents if (p / "dataset_description.json").is_file()]
    for folder in path.parents:
        fitting = []
        for sidecar in folder.glob(f"*{glob.escape(suffix)}.json"):
            *named, ending = sidecar.stem.split("_")
            if ending == suffix and set(named) <= set(entities):
                fitting.append((-len(named), sidecar))
        yield from (sidecar for _, sidecar in sorted(fitting))
        if not roots or folder == roots[0]:
            return


def image_stem(path: Path) -> str:
    """Return the file name of an image without ``.tif``, ``.ome.zarr`` and the like."""
    return re.sub(r"(\.ome)?\.[^.]+$", "", path.name)


def _square(sizes: Sequence[float], path: Path) -> float:
    if max(sizes) > 1.01 * min(sizes) > 0:
        raise ValueError(
            f"{path}: its pixels of {' × '.join(f'{s:g}' for s in sizes)} µm are not square. "
            "Resample the image to square pixels, or pass pixel_size=... (µm)."
        )
    return check_pixel_size(sum(sizes) / len(sizes), str(path))


def _is_length(unit: str) -> bool:
    return _normal(unit) in _UM_PER_UNIT


def _um(unit: str) -> float:
    if not _is_length(unit):
        raise ValueError(f"unknown unit of length {unit!r}, known are {list(_UM_PER_UNIT)}")
    return _UM_PER_UNIT[_normal(unit)]


def _normal(unit: str) -> str:
    # Greek mu (U+03BC) and the micro sign (U+00B5) look alike and both occur
    return unit.strip().lower().replace("\u03bc", "\u00b5")
