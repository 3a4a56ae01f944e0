"""What a reader of the results needs: a paragraph for the methods section, a page to pass on."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from axonlab.io import write_bytes

if TYPE_CHECKING:
    import holoviews as hv

Provenance = Mapping[str, Any]

MAX_ROWS = 500
"""Of a table in a report; the whole one belongs into a file."""

MAX_PICTURE_PX = 1600
"""Longer side of a picture in a report."""

DIGITS_OF_HASH = 12

_SAME = (
    "model",
    "model_sha256",
    "model_pixel_size_um",
    "classes",
    "temperature",
    "test_time_augmentation",
    "min_axon_diameter_um",
    "versions",
)
_NEEDED = ("model", "model_sha256", "model_pixel_size_um", "classes", "pixel_size_um", "versions")

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
       background: Canvas; color: CanvasText; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
figure { margin: 1.5rem 0; overflow-x: auto; }
figcaption { font-weight: 600; margin-bottom: .5rem; }
img { max-width: 100%; height: auto; }
.plot { background: #fff; color: #000; padding: .5rem; width: max-content; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .875rem; }
th, td { border: 1px solid GrayText; padding: .2rem .6rem; text-align: right; }
th, td:first-child { text-align: left; }
.table { max-height: 32rem; overflow: auto; }
pre { overflow-x: auto; font-size: .8rem; }
"""

# The browser itself keeps the page from asking for anything: all there is lies in the file.
_POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; font-src data:"
)


def methods_paragraph(
    provenance: Provenance | Sequence[Provenance],
    summary: pd.DataFrame,
    exclusions: Mapping[str, int],
) -> str:
    """Return what a methods section has to say about the measurements, as plain English.

    Parameters
    ----------
    provenance : mapping or sequence of mapping
        That of the segmentation, or those of several images segmented alike.
    summary : DataFrame
        From `axonlab.measure.summarise`; those of several images one below the other.
    exclusions : mapping of str to int
        How many fibres were left out for which reason, ``{"shares its sheath": 3}``; each fibre
        under one reason.

    Returns
    -------
    str
        Every number in it is from what was passed, and what is not known is not said.

    Raises
    ------
    ValueError
        If the provenance lacks what cannot be left out, or the images were not segmented alike.

    Examples
    --------
    >>> from textwrap import fill
    >>> provenance = {
    ...     "image": "a", "pixel_size_um": 0.1, "pixel_size_source": "caller", "model": "sem",
    ...     "model_sha256": "0123456789abcdef", "model_pixel_size_um": 0.1,
    ...     "classes": ["background", "myelin", "axon"], "versions": {"axonlab": "0.1.0"},
    ... }
    >>> summary = pd.DataFrame({"quantity": ["myelinated fibres"], "unit": [""], "value": [9.0]})
    >>> print(fill(methods_paragraph(provenance, summary, {"has a hole": 2}), 76))
    One micrograph (0.1 µm per pixel, as given by the user) was segmented into
    background, myelin and axon by the model “sem” (SHA-256 0123456789ab…) at
    0.1 µm per pixel. Axon and fibre diameters are those of the circle of the
    same area, myelin thickness is half of their difference and the g-ratio
    their ratio. 9 myelinated fibres were found. 2 fibres were excluded: 2 (has
    a hole). Software: axonlab 0.1.0.
    """
    images = [provenance] if isinstance(provenance, Mapping) else list(provenance)
    _check_provenance(images)
    sentences = [
        _segmentation(images),
        _probabilities(images[0]),
        _definitions(images[0], set(summary["quantity"])),
        _counts(summary),
        _exclusions(exclusions),
        "Software: " + _listed(f"{n} {v}" for n, v in images[0]["versions"].items()) + ".",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def html_report(
    path: str | Path,
    *,
    title: str,
    methods: str,
    provenance: Any,
    tables: Mapping[str, pd.DataFrame],
    pictures: Mapping[str, NDArray[np.uint8]],
    figures: Mapping[str, hv.Dimensioned],
    overwrite: bool = False,
) -> Path:
    """Write one HTML file with everything in it: it opens without a kernel and without a network.

    Parameters
    ----------
    path : path
    title, methods : str
        Plain text, as all captions and all that is in tables.
    provenance : mapping, or sequence of mapping
        Shown as JSON on request.
    tables : mapping of str to DataFrame
        By their captions. Long ones are cut, and say so.
    pictures : mapping of str to (H, W) or (H, W, 3) uint8 array
        By their captions, such as `axonlab.plot.overlay` gives. Large ones are shrunk.
    figures : mapping of str to HoloViews element
        By their captions. They can be zoomed and hovered over.
    overwrite : bool

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    ValueError
        If the suffix is not .html.
    """
    if Path(path).suffix.lower() != ".html":
        raise ValueError(f"{path}: a report is written as .html. Change the suffix.")
    script, plots = _plots(figures)
    facts = json.dumps(provenance, indent=2, ensure_ascii=False, default=str)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{script}</head>",
        f"<body><h1>{escape(title)}</h1>",
        f"<h2>Methods</h2><p>{escape(methods)}</p>",
        _section("Pictures", {c: _picture(pixels, c) for c, pixels in pictures.items()}),
        _section("Figures", plots),
        _section("Tables", {c: _table(table) for c, table in tables.items()}),
        f"<h2>Provenance</h2><details><summary>All that is known of how the numbers came about"
        f"</summary><pre>{escape(facts)}</pre></details>",
        "</body></html>\n",
    ]
    return write_bytes(path, "\n".join(filter(None, parts)).encode(), overwrite=overwrite)


def _check_provenance(images: Sequence[Provenance]) -> None:
    if not images:
        raise ValueError("No provenance: expected that of at least one image.")
    for about in images:
        missing = [key for key in _NEEDED if key not in about]
        if missing:
            raise ValueError(
                f"The provenance of {about.get('image', 'an image')} lacks {', '.join(missing)}. "
                "Pass that of a segmentation (segment(…).provenance), or its provenance.json."
            )
        differing = [key for key in _SAME if about.get(key) != images[0].get(key)]
        if differing:
            raise ValueError(
                f"{images[0].get('image')} and {about.get('image')} were not segmented alike: "
                f"{', '.join(differing)} differ. Segment them alike, or write a paragraph for each."
            )


def _segmentation(images: Sequence[Provenance]) -> str:
    about = images[0]
    sizes = sorted({float(image["pixel_size_um"]) for image in images})
    size = f"{sizes[0]:g}" + (f" to {sizes[-1]:g}" if len(sizes) > 1 else "")
    told = dict.fromkeys(str(image.get("pixel_size_source", "")) for image in images)
    sources = ["given by the user" if t == "caller" else f"read from {t}" for t in told if t]
    source = f", as {_listed(sources)}" if sources else ""
    n = "One micrograph" if len(images) == 1 else f"{len(images)} micrographs"
    was = "was" if len(images) == 1 else "were"
    return (
        f"{n} ({size} µm per pixel{source}) {was} segmented into {_listed(about['classes'])} by "
        f"the model “{about['model']}” (SHA-256 {about['model_sha256'][:DIGITS_OF_HASH]}…) at "
        f"{about['model_pixel_size_um']:g} µm per pixel."
    )


def _probabilities(about: Provenance) -> str:
    parts = []
    if about.get("temperature", 1) != 1:
        parts.append(
            f"calibrated by a temperature of {about['temperature']:.3g} (Guo et al. 2017, "
            "arXiv:1706.04599)"
        )
    if about.get("test_time_augmentation"):
        parts.append("averaged over the eight orientations of the image")
    return f"Its class probabilities were {_listed(parts)}." if parts else ""


def _definitions(about: Provenance, quantities: set[str]) -> str:
    sentences = [
        "Axon and fibre diameters are those of the circle of the same area, myelin thickness is "
        "half of their difference and the g-ratio their ratio."
    ]
    least = about.get("min_axon_diameter_um", 0)
    if least:
        sentences.insert(0, f"Axons with a diameter below {least:g} µm were taken for specks.")
    if "density of myelinated fibres, counting frame" in quantities:
        sentences.append(
            "Densities rest on an unbiased counting frame (Gundersen 1977, "
            "doi:10.1111/j.1365-2818.1977.tb00062.x), distributions on myelinated fibres that do "
            "not touch the border."
        )
    if "aggregate g-ratio" in quantities:
        sentences.append(
            "The aggregate g-ratio is 1/√(1 + MVF/AVF) of the areas of myelin and axons (Stikov et "
            "al. 2015, doi:10.1016/j.neuroimage.2015.05.023)."
        )
    return " ".join(sentences)


def _counts(summary: pd.DataFrame) -> str:
    total = summary.groupby("quantity")["value"].sum()
    if "myelinated fibres" not in total:
        return ""
    text = f"{_were(total['myelinated fibres'], 'myelinated fibre')} found"
    if "field area" in total:
        text += f" in {total['field area']:,.0f} µm²"
    if "of these touching the border" in total:
        text += f", {total['of these touching the border']:,.0f} of them touching the border"
    bare = total.get("axons without myelin", 0)
    return f"{text}." + (f" {_were(bare, 'axon')} found without myelin." if bare else "")


def _exclusions(exclusions: Mapping[str, int]) -> str:
    told = {reason: int(n) for reason, n in exclusions.items() if n}
    if not told:
        return "No other fibre was excluded."
    reasons = "; ".join(f"{n:,} ({reason})" for reason, n in told.items())
    return f"{_were(sum(told.values()), 'fibre')} excluded: {reasons}."


def _were(n: float, noun: str) -> str:
    return f"{n:,.0f} {noun} was" if round(n) == 1 else f"{n:,.0f} {noun}s were"


def _listed(items: Iterable[str]) -> str:
    """Return "a, b and c"."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def _section(heading: str, shown: Mapping[str, str]) -> str:
    """Return what has a caption each, nothing if there is nothing."""
    figures = [
        f"<figure><figcaption>{escape(caption)}</figcaption>{html}</figure>"
        for caption, html in shown.items()
    ]
    return "\n".join([f"<h2>{heading}</h2>", *figures]) if figures else ""


def _picture(pixels: NDArray[np.uint8], caption: str) -> str:
    picture, content = Image.fromarray(pixels), BytesIO()
    picture.thumbnail((MAX_PICTURE_PX, MAX_PICTURE_PX))
    picture.save(content, "PNG", optimize=True)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">'


def _table(table: pd.DataFrame) -> str:
    has_names = table.index.name is not None or not isinstance(table.index, pd.RangeIndex)
    shown = table.head(MAX_ROWS).astype(object).map(_cell)
    html = shown.to_html(index=has_names, border=0, index_names=False)
    cut = len(table) - MAX_ROWS
    return f'<div class="table">{html}</div>' + (f"<p>… and {cut:,} rows more.</p>" * (cut > 0))


def _cell(value: Any) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _plots(figures: Mapping[str, hv.Dimensioned]) -> tuple[str, dict[str, str]]:
    """Return the scripts of figures, and the places in which these draw them."""
    if not figures:
        return "", {}
    import holoviews as hv  # a report of tables and pictures does without
    import holoviews.plotting.bokeh
    from bokeh.core.validation.warnings import FIXED_SIZING_MODE
    from bokeh.embed import components
    from bokeh.resources import Resources
    from holoviews.plotting.bokeh.util import silence_warnings

    models = [hv.renderer("bokeh").get_plot(figure).state for figure in figures.values()]
    with silence_warnings(FIXED_SIZING_MODE):  # HoloViews fixes the frame, not the figure
        script, places = components(models)
    # by hand: Panel has Resources.render add scripts that are not in the file
    library = Resources("inline", components=["bokeh", "bokeh-widgets"]).js_raw
    shown = [f'<div class="plot">{place}</div>' for place in places]
    scripts = "".join(f"<script>{text}</script>" for text in library) + script
    return scripts, dict(zip(figures, shown, strict=True))
