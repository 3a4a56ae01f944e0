"""Widgets: views of the other modules for notebooks. They hold no data and do no arithmetic."""

from importlib import import_module
from typing import Any

from axonlab.widgets.cells import CellWidget
from axonlab.widgets.doctor import DoctorWidget
from axonlab.widgets.explorer import FibreExplorer
from axonlab.widgets.form import Form
from axonlab.widgets.gallery import Gallery
from axonlab.widgets.job import JobWidget
from axonlab.widgets.label import LabelWidget
from axonlab.widgets.measuring import (
    CutExplorer,
    FibreShapeExplorer,
    FrameExplorer,
    PixelExplorer,
    PowerExplorer,
)
from axonlab.widgets.meter import Meter
from axonlab.widgets.neurites import NeuriteExplorer
from axonlab.widgets.overlay import OverlayView
from axonlab.widgets.scene import NeuriteScene
from axonlab.widgets.slide import SlideViewer

__all__ = [
    "CellWidget",
    "CutExplorer",
    "DoctorWidget",
    "FibreExplorer",
    "FibreShapeExplorer",
    "Form",
    "FrameExplorer",
    "Gallery",
    "ImageQualityExplorer",
    "JobWidget",
    "LabelWidget",
    "Meter",
    "NeuriteExplorer",
    "NeuriteScene",
    "OverlayView",
    "PixelExplorer",
    "PowerExplorer",
    "SegmentWidget",
    "SlideViewer",
    "TrainWidget",
]

_WITH_TORCH = {
    "ImageQualityExplorer": "image_quality",
    "SegmentWidget": "segment",
    "TrainWidget": "train",
}
"""What imports torch, which the others do not need, and the modules it is in."""


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"axonlab.widgets has no {name!r}; it has {', '.join(__all__)}.")
    return getattr(import_module(f"axonlab.widgets.{_WITH_TORCH[name]}"), name)
