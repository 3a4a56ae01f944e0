"""Widgets without a browser: what they start with, and what they change."""

from types import SimpleNamespace

import holoviews as hv
import numpy as np
import pytest

from axonlab import phantom, widgets

hv.extension("bokeh")


def test_form_writes_to_plain_settings():
    """A choice in the form reaches the settings; the start comes from them."""
    settings = SimpleNamespace(sample="b")
    form = widgets.Form(settings, sample=["a", "b"])
    assert form.children[0].value == "b"
    form.children[0].value = "a"
    assert settings.sample == "a"


def test_form_refuses_a_setting_that_cannot_be_chosen():
    """A setting outside its options is an error that lists them."""
    with pytest.raises(ValueError, match=r"sample = 'c': choose one of a, b\."):
        widgets.Form(SimpleNamespace(sample="c"), sample=["a", "b"])


def test_overlay_switches_classes():
    """A class switched off becomes transparent; the others follow the slider."""
    nerve = phantom.nerve((60, 80), seed=1)
    view = widgets.OverlayView(nerve.micrograph, nerve.labels)
    assert view.shown.options == ["myelin", "axon"]
    assert view._alpha("axon", 0.7, ["axon"]) == 0.7
    assert view._alpha("myelin", 0.7, ["axon"]) == 0


def test_overlay_of_background_only():
    """Labels without any class show the image alone."""
    nerve = phantom.nerve((60, 80), seed=1)
    view = widgets.OverlayView(nerve.micrograph, np.zeros((60, 80), np.uint8))
    assert view.shown.options == []
