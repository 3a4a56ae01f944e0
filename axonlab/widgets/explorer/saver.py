"""Buttons that save the selection, figures and corrections to a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import panel as pn

from axonlab import publish
from axonlab.explore import Exploration
from axonlab.io import run_folder, write_table
from axonlab.micrograph import Micrograph
from axonlab.widgets.explorer.look import Tell, button

FIGURES = (".svg", ".pdf", ".png")


class FibreSaver(pn.viewable.Viewer):  # type: ignore[misc]  # panel has no types
    """Save the selected fibres, figures of those that are shown, and the corrections.

    Parameters
    ----------
    micrograph : Micrograph
    exploration : Exploration
    run : str
        Name of the folder in ``runs/``.
    tell : callable
        Takes a sentence for the reader, and ``failed=True`` if it is an error.
    """

    def __init__(
        self, micrograph: Micrograph, exploration: Exploration, run: str, tell: Tell
    ) -> None:
        super().__init__()
        self._micrograph = micrograph
        self._exploration = exploration
        self._tell = tell
        self.folder = pn.widgets.TextInput(label="folder", value=str(run_folder(run)), width=380)
        self.replace = pn.widgets.Checkbox(label="replace files of the same name")
        self.selection = button("Save selection (CSV)", lambda: self._save(self._save_selection))
        self.figures = button(
            "Save figures (SVG, PDF, PNG)", lambda: self._save(self._save_figures)
        )
        self.corrections = button("Save corrections", lambda: self._save(self._save_corrections))

    def _save(self, save: Callable[[Path], str]) -> None:
        try:
            self._tell(save(Path(self.folder.value).expanduser()))
        except (OSError, ValueError) as error:
            self._tell(str(error), failed=True)

    def _save_selection(self, folder: Path) -> str:
        rows = self._exploration.selected
        if rows.empty:
            raise ValueError("Nothing is selected: click on fibres, or draw a box around some.")
        path = folder / "selection.csv"
        write_table(path, rows, overwrite=self.replace.value)
        return f"{len(rows)} fibres saved to {path}."

    def _save_figures(self, folder: Path) -> str:
        figure = publish.fibre_figure(
            self._micrograph,
            self._exploration.correction.fibres,
            self._exploration.shown,
            g_ratio=self._exploration.g_ratio,
        )
        paths = [folder / f"figure{suffix}" for suffix in FIGURES]
        for path in paths:
            publish.save(path, figure, overwrite=self.replace.value)
        return (
            f"Figures of {len(self._exploration.shown)} fibres saved to {paths[0]}, .pdf and .png."
        )

    def _save_corrections(self, folder: Path) -> str:
        self._exploration.correction.save(folder / "corrected", overwrite=self.replace.value)
        return f"Masks, table and the trail of corrections saved to {folder / 'corrected'}."

    def __panel__(self) -> pn.FlexBox:
        controls = [self.folder, self.selection, self.figures, self.corrections, self.replace]
        return pn.FlexBox(*controls, align_items="end")
