"""Widgets: views of the other modules for notebooks. They hold no data and do no arithmetic."""

from typing import Any

from axonlab.widgets.doctor import DoctorWidget
from axonlab.widgets.form import Form
from axonlab.widgets.gallery import Gallery
from axonlab.widgets.job import JobWidget
from axonlab.widgets.label import LabelWidget
from axonlab.widgets.overlay import OverlayView

__all__ = [
    "DoctorWidget",
    "Form",
    "Gallery",
    "JobWidget",
    "LabelWidget",
    "OverlayView",
    "TrainWidget",
]


def __getattr__(name: str) -> Any:
    if name != "TrainWidget":
        raise AttributeError(f"axonlab.widgets has no {name!r}; it has {', '.join(__all__)}.")
    from axonlab.widgets.train import TrainWidget  # imports torch, which the others do not need

    return TrainWidget
