"""A part of a resampled plane, from the part of the plane that it needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Plane = NDArray[np.float32]

BAND_PIXELS = 1 << 22
"""So many pixels are resampled at once, which bounds memory."""


class Resampling:
    """How one axis of a plane is resampled, as `axonlab.micrograph.resize` does it.

    Parameters
    ----------
    n_in, n_out : int
        Pixels along the axis before and after.

    Notes
    -----
    Linear interpolation, with a triangle as wide as an output pixel when shrinking: the weights
    of Pillow's bilinear filter, counted from the first pixel of the whole axis, so that parts fit
    together.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        self.n_in, self.n_out = n_in, n_out
        self._scale = n_in / n_out
        self._reach = max(self._scale, 1.0)

    def needs(self, wanted: slice) -> slice:
        """Return which pixels a part of the result is made of."""
        first, _ = self._bounds(np.array([wanted.start]))
        _, last = self._bounds(np.array([wanted.stop - 1]))
        return slice(int(first[0]), int(last[0]))

    def covered_by(self, part: slice) -> slice:
        """Return the pixels of the result whose centres lie in a part of the axis.

        Of parts that lie side by side, each pixel of the result is in one.
        """
        if self.n_in == self.n_out:
            return part
        centres = (np.arange(self.n_out) + 0.5) * self._scale
        first, last = np.searchsorted(centres, [part.start, part.stop])
        return slice(int(first), int(last))

    def nearest(self, places: NDArray[np.integer]) -> NDArray[np.intp]:
        """Return which pixels `axonlab.micrograph.resize_labels` takes for some places."""
        steps = np.full(self.n_out, self._scale)
        steps[0] /= 2
        all_places: NDArray[np.intp] = np.add.accumulate(steps).astype(np.intp)  # as Pillow does
        return np.take(all_places, places)

    def weights(self, wanted: slice, given: slice) -> csr_array:
        """Return the matrix that makes a part of the result of the pixels it needs."""
        places = np.arange(wanted.start, wanted.stop, wanted.step)
        first, last = self._bounds(places)
        n = last - first
        row = np.repeat(np.arange(len(places)), n)
        column = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first, n)
        centre = (places[row] + 0.5) * self._scale
        weight = np.maximum(0, 1 - np.abs((column - centre + 0.5) * (1 / self._reach)))
        total = np.bincount(row, weight, minlength=len(places))
        weight *= (1 / total)[row]
        shape = (len(places), given.stop - given.start)
        return csr_array((weight, (row, column - given.start)), shape=shape)

    def _bounds(self, places: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the first pixels that places are made of, and those behind the last."""
        centre = (places + 0.5) * self._scale
        first = np.maximum((centre - self._reach + 0.5).astype(np.intp), 0)
        last = np.minimum((centre + self._reach + 0.5).astype(np.intp), self.n_in)
        return first, last


def resize_part(
    plane: NDArray[np.generic],
    given: tuple[slice, slice],
    wanted: tuple[slice, slice],
    rows: Resampling,
    columns: Resampling,
) -> Plane:
    """Return a part of a resampled plane.

    Parameters
    ----------
    plane : (h, w) array
        The part of the whole plane that is needed, or more.
    given : pair of slice
        Where `plane` lies in the whole.
    wanted : pair of slice
        Part of the result.
    rows, columns : Resampling
        Of the whole.

    Examples
    --------
    >>> from axonlab.micrograph import resize
    >>> whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    >>> rows, columns = Resampling(4, 2), Resampling(6, 9)
    >>> part = resize_part(whole, np.s_[0:4, 0:6], np.s_[1:2, 3:6], rows, columns)
    >>> bool(np.allclose(part, resize(whole, (2, 9))[1:2, 3:6]))
    True
    """
    if rows.n_in == rows.n_out and columns.n_in == columns.n_out:
        top, left = (part.start for part in given)
        cut = tuple(
            slice(w.start - o, w.stop - o, w.step) for w, o in zip(wanted, (top, left), strict=True)
        )
        return np.asarray(plane[cut], np.float32)
    # across first and kept as float32, like Pillow
    weights = columns.weights(wanted[1], given[1])
    step = max(1, BAND_PIXELS // plane.shape[1])
    bands = (plane[top : top + step].astype(np.float64) for top in range(0, len(plane), step))
    across = np.concatenate([(weights @ band.T).T.astype(np.float32) for band in bands])
    return np.asarray(rows.weights(wanted[0], given[0]) @ across.astype(np.float64), np.float32)
