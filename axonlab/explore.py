"""Which fibres of an image are looked at: filters, the selection, and a queue of doubtful ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import param
from numpy.typing import NDArray
from skimage.measure import points_in_poly

if TYPE_CHECKING:
    from axonlab.correct import Correction

MODES = ("select", "add", "remove")
"""What picking fibres does to the selection: replaces it, adds to it, takes from it."""


CENTRES = ("centroid_x_um", "centroid_y_um")
"""Columns along x and y of the image."""


class Exploration(param.Parameterized):
    """The fibres of a correction, those that pass the filters, and those that are selected.

    Figures, table and buttons read and write this one object; a cell that goes on with what was
    selected reads it too.

    Parameters
    ----------
    correction : Correction
    doubtful : DataFrame, optional
        Fibres to look at first, from `axonlab.validity.review_queue`: ``fibre_id``, ``reason``.

    Attributes
    ----------
    selection : list of int
        Ids of the selected fibres, ascending.
    shown : DataFrame
        Rows of the fibres that pass the filters.
    revision : int
        Changes whenever `shown` does, and is soon compared.
    filters : dict of str to pair of float
        Lowest and highest value of columns; fibres without a value do not pass.
    complete_only : bool
        Whether fibres that the border cuts are left out.
    mode : {"select", "add", "remove"}
        What `pick` does.
    g_ratio : str
        Column of the definition in use.

    Examples
    --------
    >>> from axonlab import phantom
    >>> from axonlab.correct import Correction
    >>> nerve = phantom.nerve((150, 200), seed=3)
    >>> exploration = Exploration(Correction(nerve.labels, pixel_size=0.1))
    >>> exploration.filters = {"fibre_diameter_um": (3, np.inf)}
    >>> exploration.pick(exploration.shown["fibre_id"])
    >>> bool((exploration.selected["fibre_diameter_um"] >= 3).all())
    True
    """

    selection = param.List([], item_type=int)
    shown = param.DataFrame(pd.DataFrame())
    filters = param.Dict({})
    complete_only = param.Boolean(False)
    revision = param.Integer(0)
    mode = param.Selector(objects=list(MODES))
    g_ratio = param.String("g_ratio")

    def __init__(self, correction: Correction, *, doubtful: pd.DataFrame | None = None) -> None:
        super().__init__(shown=correction.table)
        self.correction = correction
        nothing = pd.DataFrame({"fibre_id": [], "reason": []})
        self.doubtful = nothing if doubtful is None else doubtful
        self._seen: set[int] = set()
        correction.listeners.append(self._follow)
        self.param.watch(lambda *events: self._follow(), ["filters", "complete_only"])

    @property
    def selected(self) -> pd.DataFrame:
        """Rows of the selected fibres, whether or not they pass the filters."""
        return self._rows(self.selection)

    @property
    def shown_and_selected(self) -> pd.DataFrame:
        """Rows of the selected fibres that pass the filters."""
        return self.shown[self.shown["fibre_id"].isin(self.selection)]

    def _rows(self, ids: Iterable[int]) -> pd.DataFrame:
        table = self.correction.table
        return table[table["fibre_id"].isin(list(ids))]

    def _follow(self) -> None:
        """Bring what is shown and selected in step with the correction and the filters."""
        table = self.correction.table
        passes = np.ones(len(table), bool)
        for column, (low, high) in self.filters.items():
            passes &= table[column].between(low, high).to_numpy()
        if self.complete_only:
            passes &= ~table["touches_border"].to_numpy()
        self.param.update(
            shown=table[passes],
            revision=self.revision + 1,
            selection=self.selected["fibre_id"].tolist(),
        )

    def pick(self, ids: Iterable[int]) -> None:
        """Select fibres, or add them to the selection, or take them from it, as `mode` says."""
        picked = set(map(int, ids))
        if self.mode == "add":
            picked |= set(self.selection)
        elif self.mode == "remove":
            picked = set(self.selection) - picked
        self.select(picked)

    def select(self, ids: Iterable[int]) -> None:
        """Select those of some fibres that exist, and no others."""
        self.selection = self._rows(ids)["fibre_id"].tolist()

    def at(self, x: float, y: float) -> list[int]:
        """Return the fibre over a point of the image, in µm, if it is shown: one id or none."""
        row, column = self.pixel(x, y)
        fibres = self.correction.fibres
        if not (0 <= row < fibres.shape[0] and 0 <= column < fibres.shape[1]):
            return []
        return [i for i in [int(fibres[row, column])] if (self.shown["fibre_id"] == i).any()]

    def pixel(self, x: float, y: float) -> tuple[int, int]:
        """Return row and column of a point in µm."""
        size = self.correction.pixel_size
        return round(y / size), round(x / size)

    def in_box(self, columns: tuple[str, str], box: tuple[float, float, float, float]) -> list[int]:
        """Return the shown fibres whose values of two columns lie in a box.

        Parameters
        ----------
        columns : pair of str
            Along x and y.
        box : (4,) tuple of float
            Lowest x and y, highest x and y.
        """
        (x0, x1), (y0, y1) = sorted(box[::2]), sorted(box[1::2])
        x, y = (self.shown[column] for column in columns)
        return self.shown.loc[x.between(x0, x1) & y.between(y0, y1), "fibre_id"].tolist()

    def in_lasso(self, columns: tuple[str, str], corners: NDArray[np.float64]) -> list[int]:
        """Return the shown fibres whose values of two columns lie in a polygon, (n, 2) of x, y."""
        points = self.shown[list(columns)].to_numpy(float)
        inside = points_in_poly(points, np.asarray(corners, float))
        return self.shown.loc[inside, "fibre_id"].tolist()

    def nearest(
        self, columns: tuple[str, str], point: tuple[float, float], reach: tuple[float, float]
    ) -> list[int]:
        """Return the shown fibre whose values of two columns are nearest: one id, or none in reach.

        Parameters
        ----------
        columns : pair of str
            Along x and y.
        point, reach : pair of float
            Where, and how far away it may be along x and y.
        """
        known = self.shown.dropna(subset=list(columns))
        x, y = ((known[c] - p) / r for c, p, r in zip(columns, point, reach, strict=True))
        distance = np.hypot(x, y).to_numpy()
        near = [] if known.empty or distance.min() > 1 else [int(distance.argmin())]
        return known["fibre_id"].iloc[near].tolist()

    def select_next_doubtful(self) -> str:
        """Select the next fibre of the queue that still exists; return why it is doubtful.

        After the last one it begins again; with an empty queue the selection stays and the reason
        is empty.
        """
        queue = self.doubtful[self.doubtful["fibre_id"].isin(self.correction.table["fibre_id"])]
        if queue.empty:
            return ""
        waiting = queue[~queue["fibre_id"].isin(self._seen)]
        if waiting.empty:
            self._seen.clear()
            waiting = queue
        fibre_id, reason = waiting[["fibre_id", "reason"]].iloc[0]
        self._seen.add(int(fibre_id))
        self.selection = [int(fibre_id)]
        return str(reason)
