"""Buttons that correct the selected fibres, and take it back."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn

from axonlab.explore import Exploration
from axonlab.micrograph import CLASSES
from axonlab.widgets.explorer.look import CHOSEN, Tell, button, named
from axonlab.widgets.explorer.picture import FibrePicture


class FibreEditor(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Delete, merge, split or reclassify the selected fibres; undo and redo.

    Parameters
    ----------
    exploration : Exploration
    picture : FibrePicture
        Where the line that splits a fibre is clicked.
    tell : callable
        Takes a sentence for the reader, and ``failed=True`` if it is an error.
    """

    def __init__(self, exploration: Exploration, picture: FibrePicture, tell: Tell) -> None:
        super().__init__()
        self._exploration = exploration
        self._correction = exploration.correction
        self._picture = picture
        self._tell = tell
        self.delete = button("Delete", self._delete)
        self.merge = button("Merge", self._merge)
        self.split = pn.widgets.Toggle(label="Split by a line", stylesheets=[CHOSEN])
        self.split.param.watch(lambda event: self._ask_line(event.new), "value")
        names = [name for name in CLASSES if name != "background"]
        self.to = pn.widgets.Select(
            label="class of the axon", options=names, value="axon", width=150
        )
        self.change = button("Change class", self._change)
        self.undo = button("↶ Undo", self._undo)
        self.redo = button("↷ Redo", self._redo)
        self._correction.listeners.append(self._enable)
        exploration.param.watch(lambda event: self._enable(), "selection")
        self._enable()

    def _enable(self) -> None:
        """Let only those buttons be pressed that can do something."""
        n = len(self._exploration.selection)
        for control in (self.delete, self.change, self.to):
            control.disabled = n == 0
        self.merge.disabled = n < 2
        self.split.disabled = n != 1
        self.undo.disabled = not self._correction.can_undo
        self.redo.disabled = not self._correction.can_redo

    def _edit(self, edit: Callable[[], list[int]], done: str) -> None:
        """Do an edit, select what it leads to, and tell what became of it."""
        ids = self._exploration.selection
        try:
            self._exploration.select(edit())
        except (OSError, ValueError) as error:
            self._tell(str(error), failed=True)
            return
        self._tell(f"{named(ids).capitalize()} {done}.")

    def _delete(self) -> None:
        self._edit(lambda: self._correction.delete(self._exploration.selection), "deleted")

    def _merge(self) -> None:
        self._edit(lambda: self._correction.merge(self._exploration.selection), "merged")

    def _change(self) -> None:
        name = self.to.value
        self._edit(
            lambda: self._correction.change_class(self._exploration.selection, name),
            f"changed to {name}",
        )

    def _ask_line(self, is_wanted: bool) -> None:
        self._picture.ask_line(self._split if is_wanted else None)
        if is_wanted:
            self._tell("Click in the image on both ends of the line, across the axon.")

    def _split(self, line: list[tuple[float, float]]) -> None:
        self.split.value = False
        start, end = (self._exploration.pixel(x, y) for x, y in line)
        [fibre_id] = self._exploration.selection
        self._edit(lambda: self._correction.split(fibre_id, start, end), "split")

    def _undo(self) -> None:
        self._step(self._correction.undo, "Undone: {} as before.")

    def _redo(self) -> None:
        self._step(self._correction.redo, "Done again: {}.")

    def _step(self, step: Callable[[], bool], done: str) -> None:
        try:
            if step():
                self._tell(done.format(self._select_edited()))
        except OSError as error:
            self._tell(str(error), failed=True)

    def _select_edited(self) -> str:
        """Select the fibres of the last edit, as far as they are there; return their name."""
        ids = self._correction.trail[-1]["fibre_ids"]
        self._exploration.select(ids)
        return named(ids)

    def __panel__(self) -> pn.FlexBox:
        controls = [self.delete, self.merge, self.split, self.to, self.change, self.undo, self.redo]
        return pn.FlexBox(*controls, align_items="end")
