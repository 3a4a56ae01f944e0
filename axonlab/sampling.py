"""Fields of view over tissue that is known: what the rule of counting does at their borders."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from axonlab.phantom import Phantom

RULES = ("all, cut ones too", "complete ones only", "counting frame")
"""Which fibres of a field are counted."""

MARGIN = 6.0
"""µm at the edges of the tissue that no field lies in, so that all fibres of a field are whole
in the tissue."""


class Field(NamedTuple):
    """A field of view: the pixels from `top`, `left` on, a square of `side`."""

    top: int
    left: int
    side: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)


def tile(tissue: Phantom, side: float) -> list[Field]:
    """Lay fields over the tissue, as many as have room, each of `side` µm.

    Neighbours have a row or a column of pixels in common, the first of one and the last of the
    other: the counting frame leaves out what begins in the first, so that the frames fill the area
    without gap or overlap.

    Raises
    ------
    ValueError
        If not one has room, or a field has fewer than 2 pixels.
    """
    size = tissue.micrograph.pixel_size
    margin, n = round(MARGIN / size), round(side / size)
    room = [length - 2 * margin - 1 for length in tissue.fibres.shape]
    rows, columns = (max(r, 0) // max(n - 1, 1) for r in room)
    if n < 2 or not rows or not columns:
        largest = (min(room) + 1) * size
        raise ValueError(
            f"side is {side:g} µm, expected {2 * size:g} to {largest:g} in this tissue, whose "
            f"outer {MARGIN:g} µm are left out. Take smaller fields or a larger tissue."
        )
    return [
        Field(margin + row * (n - 1), margin + column * (n - 1), n)
        for row in range(rows)
        for column in range(columns)
    ]


def counted(tissue: Phantom, field: Field) -> pd.DataFrame:
    """Return the fibres of a field, and which of them each rule counts.

    Parameters
    ----------
    tissue : Phantom
    field : Field

    Returns
    -------
    DataFrame
        One row per myelinated fibre whose axon is seen, indexed by `fibre_id`:
        `axon_diameter_um`, of the circle of the area that is seen of its axon;
        `whole_axon_diameter_um`, of the whole axon; and a column of booleans per rule of `RULES`.

    Notes
    -----
    As in `axonlab.measure.measure_fibres`: complete are fibres that do not touch the border; in
    the frame are those whose axon does not touch the upper and the left one (Gundersen 1977,
    doi:10.1111/j.1365-2818.1977.tb00062.x).
    """
    size = tissue.micrograph.pixel_size
    axons, fibres = tissue.axons[field.window], tissue.fibres[field.window]
    n = len(tissue.table) + 1
    seen = np.bincount(axons.ravel(), minlength=n)
    has_sheath = np.bincount(fibres.ravel(), minlength=n) > seen
    has_sheath[1:] &= tissue.table["is_myelinated"].to_numpy()
    ids = np.flatnonzero((seen > 0) & has_sheath)
    ids = ids[ids > 0]
    edge = np.concatenate([fibres[0], fibres[-1], fibres[:, 0], fibres[:, -1]])
    first = np.concatenate([axons[0], axons[:, 0]])
    whole = tissue.table["axon_diameter_um"].to_numpy()[ids - 1]
    every, complete, in_frame = RULES
    return pd.DataFrame(
        {
            "axon_diameter_um": np.sqrt(4 / np.pi * seen[ids]) * size,
            "whole_axon_diameter_um": whole,
            every: True,
            complete: ~np.isin(ids, edge),
            in_frame: ~np.isin(ids, first),
        },
        index=pd.Index(ids, name="fibre_id"),
    )


def count_fields(tissue: Phantom, fields: list[Field]) -> pd.DataFrame:
    """Return what each rule tells of each field.

    Returns
    -------
    DataFrame
        One row per field and rule: `field`, its number; `rule`; `n_fibres`; `area_mm2`, of the
        frame by that rule, else of the field; `density_per_mm2`; `axon_diameter_um`, the mean of
        what was counted, NaN where there is none. Whoever counts by the frame measures fibres as
        wholes, which takes a look beyond the field; by the other rules, what is seen.
    """
    size = tissue.micrograph.pixel_size
    rows = []
    for number, field in enumerate(fields):
        fibres = counted(tissue, field)
        for rule in RULES:
            in_frame = rule == RULES[2]
            side = field.side - in_frame  # the frame is without the first row and column
            chosen = fibres[fibres[rule]]
            lengths = chosen["whole_axon_diameter_um" if in_frame else "axon_diameter_um"]
            rows.append((number, rule, len(chosen), (side * size) ** 2 / 1e6, lengths.mean()))
    columns = ["field", "rule", "n_fibres", "area_mm2", "axon_diameter_um"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(density_per_mm2=table["n_fibres"] / table["area_mm2"])


def truth(tissue: Phantom, fields: list[Field]) -> pd.Series[float]:
    """Return density and mean axon diameter of the tissue that fields cover.

    A fibre is where its centre is: each counts once, whatever the fields cut.
    """
    size = tissue.micrograph.pixel_size
    top, left = fields[0][:2]
    bottom, right = (max(f[axis] for f in fields) + fields[0].side for axis in (0, 1))
    table = tissue.table
    y, x = table["centroid_y_um"] / size, table["centroid_x_um"] / size
    is_in = (y >= top) & (y < bottom) & (x >= left) & (x < right) & table["is_myelinated"]
    area = (bottom - top) * (right - left) * size**2 / 1e6
    return pd.Series(
        {
            "density_per_mm2": float(is_in.sum() / area),
            "axon_diameter_um": float(table.loc[is_in, "axon_diameter_um"].mean()),
        }
    )


def compare_rules(counts: pd.DataFrame, true: pd.Series[float]) -> pd.DataFrame:
    """Return by how much each rule is wrong, in per cent of the truth.

    Parameters
    ----------
    counts : DataFrame
        From `count_fields`.
    true : Series
        From `truth`.

    Returns
    -------
    DataFrame
        One row per rule: `fibres`, counted in all fields; the errors of `density` and of
        `axon_diameter`, over all fields together, in %.
    """
    sums = counts.assign(sum_um=counts["axon_diameter_um"] * counts["n_fibres"])
    total = sums.groupby("rule", sort=False)[["n_fibres", "area_mm2", "sum_um"]].sum()
    density = total["n_fibres"] / total["area_mm2"]
    diameter = total["sum_um"] / total["n_fibres"]
    return pd.DataFrame(
        {
            "fibres": total["n_fibres"],
            "density": 100 * (density / true["density_per_mm2"] - 1),
            "axon_diameter": 100 * (diameter / true["axon_diameter_um"] - 1),
        }
    )
