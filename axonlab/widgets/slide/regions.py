"""Regions of a slide, such as tracts: drawn, named, kept with the slide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import panel as pn
from numpy.typing import NDArray

from axonlab.slide_view import SlideView, regions_path
from axonlab.widgets.explorer.look import CHOSEN, Tell, button
from axonlab.widgets.slide.picture import SlidePicture


class RegionEditor(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Draw a region corner by corner, or freehand with the lasso; remove one.

    Between two corners the slide can be moved and zoomed.

    Parameters
    ----------
    slide : SlideView
    picture : SlidePicture
    tell : callable
        Takes a sentence for the reader, and ``failed=True`` if it is an error.
    """

    def __init__(self, slide: SlideView, picture: SlidePicture, tell: Tell) -> None:
        super().__init__()
        self._slide = slide
        self._picture = picture
        self._tell = tell
        self.title = pn.widgets.TextInput(label="name of the region", value="", width=180)
        self.draw = pn.widgets.Toggle(label="Draw a region", stylesheets=[CHOSEN])
        self.draw.param.watch(lambda event: self._begin(event.new), "value")
        self.back = button("Undo corner", self.undo)
        self.close = button("Close region", self.finish)
        self.which = pn.widgets.Select(label="regions", width=180)
        self.remove = button("Remove region", self._remove)
        picture.on_lasso = self._add
        picture.param.watch(lambda event: self._enable(), "corners")
        slide.param.watch(lambda event: self._list(), "drawn")
        self._list()
        self._enable()

    def _begin(self, is_wanted: bool) -> None:
        self._picture.corners = []
        if is_wanted:
            self._tell("Click on the corners of the region, one after another, then close it.")

    def corner(self, x: float, y: float) -> None:
        """Add a corner to the region that is being drawn."""
        self._picture.corners = [*self._picture.corners, (x, y)]

    def undo(self) -> None:
        """Take the last corner back."""
        self._picture.corners = self._picture.corners[:-1]

    def finish(self) -> None:
        """Close the region that is being drawn."""
        if len(self._picture.corners) > 2:
            self._add(np.array(self._picture.corners))
            self.draw.value = False

    def cancel(self) -> None:
        """Forget the region that is being drawn."""
        self.draw.value = False

    def _add(self, corners: NDArray[np.float64]) -> None:
        name = self.title.value.strip() or self._free_name()
        if name in self._slide.regions:
            self._tell(f"There is a region {name!r}: give another name.", failed=True)
            return
        self._save(f"Region {name!r} saved to", lambda: self._slide.add_region(name, corners))
        self.title.value = ""

    def _free_name(self) -> str:
        taken = self._slide.regions
        return next(n for i in range(1, len(taken) + 2) if (n := f"region {i}") not in taken)

    def _remove(self) -> None:
        name = self.which.value
        self._save(f"Region {name!r} removed from", lambda: self._slide.remove_region(name))

    def _save(self, done: str, change: Callable[[], None]) -> None:
        try:
            change()
        except (OSError, ValueError) as error:
            self._tell(f"Not saved: {error}", failed=True)
            return
        self._tell(f"{done} {regions_path(self._slide.output)}.")

    def _list(self) -> None:
        names = list(self._slide.regions)
        self.which.options = names
        self.which.value = names[-1] if names else None
        self.remove.disabled = self.which.disabled = not names

    def _enable(self) -> None:
        n = len(self._picture.corners)
        self.back.disabled, self.close.disabled = n == 0, n < 3

    def __panel__(self) -> pn.FlexBox:
        controls = [self.draw, self.back, self.close, self.title, self.which, self.remove]
        return pn.FlexBox(*controls, align_items="end")
