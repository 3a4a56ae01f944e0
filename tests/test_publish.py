"""Figures for print: formats, text that is text, and what is drawn."""

import re

import numpy as np
import pytest

from axonlab import measure, objects, phantom, publish
from axonlab.micrograph import Micrograph

STARTS = {".svg": b"<?xml", ".pdf": b"%PDF", ".png": b"\x89PNG"}


def figure_of(labels, *, pixel_size=0.1):
    """Return the figure of what is labelled."""
    axons, fibres = objects.label_fibres(labels, pixel_size=pixel_size)
    table = measure.measure_fibres(axons, fibres, pixel_size=pixel_size)
    grey = Micrograph(labels.astype(np.float32), pixel_size)
    return publish.fibre_figure(grey, fibres, table)


@pytest.fixture(scope="module")
def figure():
    """Return the figure of a small phantom."""
    return figure_of(phantom.nerve((150, 200), seed=3).labels)


@pytest.mark.parametrize("suffix", STARTS)
def test_formats(figure, tmp_path, suffix):
    """Each format is what its suffix says."""
    path = publish.save(tmp_path / f"figure{suffix}", figure)
    assert path.read_bytes().startswith(STARTS[suffix])


def test_text_stays_text(figure, tmp_path):
    """Labels and citations can be searched and edited in SVG and PDF."""
    svg = publish.save(tmp_path / "figure.svg", figure).read_text()
    texts = set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
    assert {"fibre diameter (µm)", "g-ratio (by area)", "axon diameter (µm)"} <= texts
    assert any("Rushton 1951" in text for text in texts)
    assert any(text.endswith("µm") for text in texts)  # of the scale bar
    pdf = publish.save(tmp_path / "figure.pdf", figure).read_bytes()
    assert b"/FontFile2" in pdf or b"TrueType" in pdf  # no Type 3, which journals refuse
    assert b"/Type3" not in pdf


def test_nothing_is_overwritten_unasked(figure, tmp_path):
    """A figure of before stays, unless it is to be replaced."""
    path = publish.save(tmp_path / "figure.png", figure)
    with pytest.raises(FileExistsError):
        publish.save(path, figure)
    publish.save(path, figure, overwrite=True)


def test_unknown_format(figure, tmp_path):
    """A format that is not there is an error that names those that are."""
    with pytest.raises(ValueError, match=r"\.svg, \.pdf, \.png"):
        publish.save(tmp_path / "figure.jpg", figure)


@pytest.mark.parametrize("value", [0, 2])
def test_without_fibres(tmp_path, value):
    """No fibre at all, or an axon without myelin, still gives a figure."""
    labels = np.zeros((20, 20), np.uint8)
    labels[5:9, 5:9] = value
    publish.save(tmp_path / "figure.svg", figure_of(labels))
