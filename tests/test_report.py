"""Methods paragraphs say what was passed and nothing else; reports are one file, safe to open."""

from __future__ import annotations

import base64
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from axonlab import phantom
from axonlab.measure import measure_fibres, summarise
from axonlab.objects import label_fibres
from axonlab.report import MAX_PICTURE_PX, MAX_ROWS, html_report, methods_paragraph

hv.extension("bokeh")

PROVENANCE = {
    "image": "nerve-1",
    "pixel_size_um": 0.07,
    "pixel_size_source": "nerve-1.json",
    "model": "sem",
    "model_sha256": "0123456789abcdef" * 4,
    "model_pixel_size_um": 0.1,
    "temperature": 1.25,
    "classes": ["background", "myelin", "axon"],
    "versions": {"axonlab": "0.1.0", "torch": "2.6.0"},
}
EVIL = "</script><script>document.title = 'gone'</script><img src=x onerror=\"alert('&')\">"


@pytest.fixture(scope="module")
def summary() -> pd.DataFrame:
    """Return the summary of a phantom."""
    nerve = phantom.nerve((200, 300), modality="sem", seed=3)
    size = nerve.micrograph.pixel_size
    table = measure_fibres(*label_fibres(nerve.labels, pixel_size=size), pixel_size=size)
    return summarise(table, nerve.labels, pixel_size=size)


def value(summary: pd.DataFrame, quantity: str) -> float:
    """Return one value of a summary."""
    return float(summary.set_index("quantity").loc[quantity, "value"])


# --- methods


def test_paragraph_tells_what_was_done(summary: pd.DataFrame) -> None:
    """Model, pixel size and its source, definitions, counts, exclusions and versions are there."""
    text = methods_paragraph(PROVENANCE, summary, {"has a hole": 2, "fragment": 1, "none": 0})
    n, border = (
        f"{value(summary, quantity):.0f}"
        for quantity in ("myelinated fibres", "of these touching the border")
    )
    for told in (
        "One micrograph (0.07 µm per pixel, as read from nerve-1.json) was segmented into",
        "background, myelin and axon by the model “sem” (SHA-256 0123456789ab…) at 0.1 µm",
        "a temperature of 1.25",
        "circle of the same area",
        "Gundersen 1977",
        "Stikov et al. 2015",
        f"{n} myelinated fibres were found in {value(summary, 'field area'):,.0f} µm², {border} of",
        "3 fibres were excluded: 2 (has a hole); 1 (fragment).",
        "axonlab 0.1.0 and torch 2.6.0.",
    ):
        assert told in text
    assert "none" not in text
    assert "\n" not in text


def test_every_number_is_from_the_inputs(summary: pd.DataFrame) -> None:
    """Without the sentences of definitions no number is left that was not passed."""
    text = methods_paragraph(PROVENANCE, summary, {"fragment": 7})
    known = (
        r"\w+ (et al\. )?\d{4}, (doi|arXiv):[\w./-]+|1/√\(1 \+|SHA-256 \w+|nerve-1|2\.6\.0|0\.1\.0"
    )
    found = re.findall(r"\d[\d.,]*\d|\d", re.sub(known, "", text))
    counts = [value(summary, q) for q in ("myelinated fibres", "field area")]
    counts += [value(summary, q) for q in ("of these touching the border", "axons without myelin")]
    passed = {0.07, 0.1, 1.25, 7.0} | {float(f"{count:.0f}") for count in counts}
    assert {float(n.replace(",", "")) for n in found} <= passed


def test_what_is_not_known_is_not_said(summary: pd.DataFrame) -> None:
    """Nothing is said of an unknown source, of temperature 1, of quantities that are not there."""
    about = {k: v for k, v in PROVENANCE.items() if k != "pixel_size_source"} | {"temperature": 1}
    text = methods_paragraph(about, summary[:1], {})
    for word in ("as given", "as read", "temperature", "Gundersen", "Stikov", "found", "specks"):
        assert word not in text
    assert "No other fibre was excluded." in text


def test_settings_of_a_run_are_told(summary: pd.DataFrame) -> None:
    """Averaging over orientations and the least diameter are told where they were used."""
    about = PROVENANCE | {"test_time_augmentation": True, "min_axon_diameter_um": 0.3}
    text = methods_paragraph(about, summary, {"fragment": 1})
    assert "temperature of 1.25 (Guo et al. 2017, arXiv:1706.04599) and averaged over" in text
    assert "Axons with a diameter below 0.3 µm were taken for specks." in text
    assert "1 fibre was excluded" in text


def test_several_images(summary: pd.DataFrame) -> None:
    """Pixel sizes become a range, counts a sum; sources are listed."""
    other = PROVENANCE | {"image": "b", "pixel_size_um": 0.18, "pixel_size_source": "caller"}
    text = methods_paragraph([PROVENANCE, other], pd.concat([summary, summary]), {})
    assert text.startswith(
        "2 micrographs (0.07 to 0.18 µm per pixel, as read from nerve-1.json and given by the "
        "user) were segmented"
    )
    assert f"{2 * value(summary, 'myelinated fibres'):.0f} myelinated fibres were found" in text


ERRORS: dict[str, tuple[Any, str]] = {
    "none": ([], "No provenance"),
    "no model": ({"image": "a", "pixel_size_um": 1}, "of a lacks model, model_sha256"),
    "no pixel size": (
        {k: v for k, v in PROVENANCE.items() if k != "pixel_size_um"},
        "of nerve-1 lacks pixel_size_um",
    ),
    "two models": (
        [PROVENANCE, PROVENANCE | {"image": "b", "model": "tem"}],
        "nerve-1 and b were not segmented alike: model differ",
    ),
}


@pytest.mark.parametrize(("about", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_errors(about: Any, message: str, summary: pd.DataFrame) -> None:
    """What a paragraph cannot do without is asked for."""
    with pytest.raises(ValueError, match=message):
        methods_paragraph(about, summary, {})


# --- the page


class Page(HTMLParser):
    """What a browser makes of a file: its elements, and its text outside of scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an element."""
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        """Remember text."""
        if self._open not in ("script", "style"):
            self.text += data


@pytest.fixture
def parts() -> dict[str, Any]:
    """Return what a report can hold, with hostile text wherever there may be text."""
    return {
        "title": f"nerve {EVIL}",
        "methods": f"We measured. {EVIL}",
        "provenance": PROVENANCE | {"image": EVIL},
        "tables": {EVIL: pd.DataFrame({EVIL: [EVIL, None], "g_ratio": [0.61234, np.nan]})},
        "pictures": {EVIL: np.zeros((4, 6, 3), np.uint8)},
        "figures": {EVIL: hv.Points([(1, 2)], label="dots").opts(xlabel=EVIL)},
    }


def test_report_holds_everything(parts: dict[str, Any], tmp_path: Path) -> None:
    """Title, methods, table, picture, figure and provenance are shown as they were passed."""
    page = Page(html_report(tmp_path / "report.html", **parts))
    for told in (parts["title"], parts["methods"], "0.6123", "–", '"model": "sem"'):
        assert told in page.text
    tags = [tag for tag, _ in page.elements]
    assert (tags.count("table"), tags.count("img"), tags.count("details")) == (1, 1, 1)
    (image,) = (attributes for tag, attributes in page.elements if tag == "img")
    assert image["alt"] == EVIL
    data = base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,"))
    assert Image.open(BytesIO(data)).size == (6, 4)


def test_nothing_in_a_report_acts_or_calls(parts: dict[str, Any], tmp_path: Path) -> None:
    """Hostile text makes no element; nothing is loaded, and the browser is told to keep it so."""
    page = Page(html_report(tmp_path / "report.html", **parts))
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "link"
        source = attributes.get("src") or "data:"
        assert source.startswith("data:")
    policies = [a["content"] for _, a in page.elements if a.get("http-equiv")]
    assert str(policies[0]).startswith("default-src 'none'")
    empty = {name: {} for name in ("tables", "pictures", "figures")}
    plain = Page(html_report(tmp_path / "plain.html", **parts | empty))
    assert not any(tag == "script" for tag, _ in plain.elements)


def test_much_is_made_little(parts: dict[str, Any], tmp_path: Path) -> None:
    """Long tables are cut and say so; large pictures are shrunk in proportion."""
    parts["tables"] = {"fibres": pd.DataFrame({"fibre_id": range(MAX_ROWS + 1234)})}
    parts["pictures"] = {"large": np.zeros((MAX_PICTURE_PX, 2 * MAX_PICTURE_PX), np.uint8)}
    path = html_report(tmp_path / "report.html", **parts)
    page = Page(path)
    assert "… and 1,234 rows more." in page.text
    (image,) = (attributes for tag, attributes in page.elements if tag == "img")
    data = base64.b64decode(str(image["src"]).partition(",")[2])
    assert Image.open(BytesIO(data)).size == (MAX_PICTURE_PX, MAX_PICTURE_PX // 2)
    assert path.stat().st_size < 3_000_000


def test_report_is_not_replaced_unasked(parts: dict[str, Any], tmp_path: Path) -> None:
    """A report that is there stays; another suffix is refused."""
    path = html_report(tmp_path / "report.html", **parts)
    with pytest.raises(FileExistsError):
        html_report(path, **parts)
    html_report(path, **parts, overwrite=True)
    with pytest.raises(ValueError, match=r"report\.pdf: a report is written as \.html"):
        html_report(tmp_path / "report.pdf", **parts)


def test_figures_are_drawn_offline(parts: dict[str, Any], tmp_path: Path) -> None:
    """Chromium without a network draws the figure, reports no error and keeps the title."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no chromium: it opens the report as a reader would")
    path = html_report(tmp_path / "report.html", **parts)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(offline=True).new_page()
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("requestfailed", lambda request: trouble.append(request.url))
        page.on("console", lambda m: trouble.append(m.text) if m.type == "error" else None)
        page.goto(path.as_uri())
        page.locator(".plot canvas").first.wait_for(timeout=30_000)
        assert page.title() == parts["title"]
        browser.close()
    assert trouble == []
