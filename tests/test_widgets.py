"""Widgets without a browser: what they start with, and what they change."""

import base64
import re
from io import BytesIO
from types import SimpleNamespace

import holoviews as hv
import numpy as np
from bokeh.models import GlyphRenderer, ImageRGBA
from PIL import Image

from axonlab import io, phantom, plot, widgets
from axonlab.widgets.picture import contact_sheet

hv.extension("bokeh")


def test_form_writes_to_plain_settings():
    """A choice in the form reaches the settings; the start comes from them."""
    settings = SimpleNamespace(sample="b")
    form = widgets.Form(settings, sample=["a", "b"])
    assert form.children[0].value == "b"
    form.children[0].value = "a"
    assert settings.sample == "a"


def test_form_keeps_a_setting_that_is_no_option():
    """A model of one's own, given by path, can be chosen beside the listed ones."""
    settings = SimpleNamespace(model="mine.safetensors")
    form = widgets.Form(settings, model=["sem"])
    assert form.children[0].options == ("mine.safetensors", "sem")


def test_overlay_switches_classes():
    """A class switched off becomes transparent; the others follow the slider."""
    nerve = phantom.nerve((60, 80), seed=1)
    view = widgets.OverlayView(nerve.micrograph, nerve.labels)
    figure = view.__panel__().get_root()
    renderers = figure.select({"type": GlyphRenderer})
    layers = [r.glyph for r in renderers if isinstance(r.glyph, ImageRGBA)]

    def opacities():
        return sorted(layer.global_alpha for layer in layers)

    assert opacities() == [plot.OPACITY, plot.OPACITY]
    view.opacity.value = 0.7
    view.shown.value = ["axon"]
    assert opacities() == [0, 0.7]


def test_overlay_of_background_only():
    """Labels without any class show the image alone."""
    nerve = phantom.nerve((60, 80), seed=1)
    view = widgets.OverlayView(nerve.micrograph, np.zeros((60, 80), np.uint8))
    assert view.shown.options == []


def test_a_contact_sheet(tmp_path):
    """Small copies in their true shape, with captions that cannot do harm."""
    pixels = np.zeros((300, 600, 3), np.uint8)
    path = io.write_image(tmp_path / "a.png", pixels)
    sheet = contact_sheet({"a": path, "<b>": path}, side=50)
    pictures = re.findall(r'base64,([^"]+)" alt="([^"]+)"', sheet)
    assert [alt for _, alt in pictures] == ["a", "&lt;b&gt;"]
    for content, _ in pictures:
        assert Image.open(BytesIO(base64.b64decode(content))).size == (50, 25)
    assert "<figcaption" in sheet and "<b>" not in sheet
    assert "figure" not in contact_sheet({})
