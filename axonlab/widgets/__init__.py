"""Widgets: views of the other modules for notebooks. They hold no data and do no arithmetic."""

from axonlab.widgets.doctor import DoctorWidget
from axonlab.widgets.form import Form
from axonlab.widgets.gallery import Gallery
from axonlab.widgets.job import JobWidget
from axonlab.widgets.label import LabelWidget
from axonlab.widgets.overlay import OverlayView
from axonlab.widgets.train import TrainWidget

__all__ = [
    "DoctorWidget",
    "Form",
    "Gallery",
    "JobWidget",
    "LabelWidget",
    "OverlayView",
    "TrainWidget",
]
