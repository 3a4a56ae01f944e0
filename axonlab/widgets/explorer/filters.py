"""Sliders that leave fibres out of all figures and of the table."""

from __future__ import annotations

import math

import numpy as np
import panel as pn
import param

from axonlab.explore import Exploration
from axonlab.plot_fibres import label_of

STEPS = 100
"""Of a slider."""


class FibreFilters(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Show only fibres within a range of diameters, sheaths and g-ratios, or only complete ones.

    A slider at its ends filters nothing: fibres without that measure stay.

    Parameters
    ----------
    exploration : Exploration
    """

    def __init__(self, exploration: Exploration) -> None:
        super().__init__()
        self._exploration = exploration
        self.complete = pn.widgets.Checkbox.from_param(
            exploration.param.complete_only, label="complete fibres only: not cut by the border"
        )
        columns = ["fibre_diameter_um", "axon_diameter_um", "myelin_thickness_um"]
        self.sliders = {column: self._slider(column) for column in columns}
        self.g_ratio = self._slider(exploration.g_ratio, ends=(0.0, 1.0))
        exploration.param.watch(self._rename, "g_ratio")

    def _slider(
        self, column: str, ends: tuple[float, float] | None = None
    ) -> pn.widgets.RangeSlider:
        values = self._exploration.correction.table[column]
        low, high = ends or (0.0, _above(values.max()))
        slider = pn.widgets.RangeSlider(
            label=label_of(column), start=low, end=high, step=(high - low) / STEPS, width=215
        )
        slider.param.watch(self._filter, "value_throttled")
        return slider

    def _rename(self, event: param.parameterized.Event) -> None:
        self.g_ratio.label = label_of(event.new)
        self._filter()

    def _filter(self, *events: param.parameterized.Event) -> None:
        ranges = {
            column: _open_ended(slider)
            for column, slider in [*self.sliders.items(), (self._exploration.g_ratio, self.g_ratio)]
        }
        whole = (-np.inf, np.inf)
        self._exploration.filters = {c: ends for c, ends in ranges.items() if ends != whole}

    def __panel__(self) -> pn.FlexBox:
        return pn.FlexBox(*self.sliders.values(), self.g_ratio, self.complete, align_items="center")


def _open_ended(slider: pn.widgets.RangeSlider) -> tuple[float, float]:
    """Return the range of a slider, which at its ends has none: corrections bring new values."""
    low, high = slider.value
    return (
        -np.inf if low <= slider.start else low,
        np.inf if high >= slider.end else high,
    )


def _above(value: float) -> float:
    """Return the next number of one digit above a value, for the end of a slider."""
    if not value > 0:
        return 1.0
    digit = 10.0 ** math.floor(math.log10(value))
    return math.ceil(value / digit) * digit
