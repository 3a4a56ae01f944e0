"""Widgets: views of the other modules for notebooks. They hold no data and do no arithmetic."""

from axonlab.widgets.form import Form
from axonlab.widgets.label import LabelWidget
from axonlab.widgets.overlay import OverlayView

__all__ = ["Form", "LabelWidget", "OverlayView"]
