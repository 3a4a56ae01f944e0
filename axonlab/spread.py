"""How sure a measurement is: what several segmentations of one image make of each fibre."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from axonlab.micrograph import CLASSES, check_pixel_size, check_plane
from axonlab.runs import find_runs
from axonlab.summary import MEASURES, check_columns

MARGIN = 0.25
"""How far around a fibre it is looked for in other segmentations, in diameters of the fibre: an
outline that is off by more belongs to another object."""


def measure_members(
    fibres: NDArray[np.int32], members: Iterable[NDArray[np.uint8]], *, pixel_size: float
) -> pd.DataFrame:
    """Measure each fibre in several segmentations of its image.

    Parameters
    ----------
    fibres : (H, W) integer array
        Object ids, from `axonlab.objects.label_fibres`: the segmentation that is reported.
    members : iterable of (H, W) uint8 array
        Class ids, one array per member of an ensemble or per view of test-time augmentation.
        They are gone through once, so they need not be in memory together.
    pixel_size : float
        In µm.

    Returns
    -------
    DataFrame
        One row per fibre and member: `fibre_id`, `member` (from 0), `axon_diameter_um`,
        `fibre_diameter_um`, `myelin_thickness_um` and `g_ratio`. They are NaN where a member
        finds no axon, and g also where it finds no myelin.

    Raises
    ------
    ValueError
        If a member has another shape than the fibres, or the pixel size is absurd.

    Notes
    -----
    Fibres are not matched, for members merge and split them. Instead each has a territory, the
    same for all members: the pixels that are nearer to it than to any other fibre, and no further
    away than `MARGIN` of its diameter. The axon and the myelin that a member sees there are
    measured, as circles of the same area. A member that equals the reported segmentation measures
    the same, but for myelin nearby that belongs to no fibre.
    """
    pixel_size = check_pixel_size(pixel_size, "fibres")
    check_plane(fibres, "fibres")
    ids, territories = _territories(fibres)
    tables = []
    for number, labels in enumerate(members):
        if labels.shape != fibres.shape:
            raise ValueError(
                f"Member {number} has shape {labels.shape}, the fibres have {fibres.shape}: "
                "expected segmentations of one image, at its size."
            )
        is_axon = (labels == CLASSES["axon"]) | (labels == CLASSES["unmyelinated axon"])
        axon, myelin = (
            np.bincount(territories[mask], minlength=len(ids) + 1)[1:] * pixel_size**2
            for mask in (is_axon, labels == CLASSES["myelin"])
        )
        inner, outer = (np.sqrt(4 / np.pi * area) for area in (axon, axon + myelin))
        found = axon > 0
        columns = {
            "axon_diameter_um": inner,
            "fibre_diameter_um": outer,
            "myelin_thickness_um": (outer - inner) / 2,
            "g_ratio": np.divide(inner, outer, out=np.full(len(ids), np.nan), where=myelin > 0),
        }
        columns = {name: np.where(found, values, np.nan) for name, values in columns.items()}
        tables.append(pd.DataFrame({"fibre_id": ids, "member": number, **columns}))
    return pd.concat(tables, ignore_index=True)


def spread_by_fibre(members: pd.DataFrame) -> pd.DataFrame:
    """Return how far the members differ on each fibre.

    Parameters
    ----------
    members : DataFrame
        From `measure_members`.

    Returns
    -------
    DataFrame
        Indexed by `fibre_id`: standard deviations `axon_diameter_sd_um`, `fibre_diameter_sd_um`,
        `myelin_thickness_sd_um` and `g_ratio_sd` over the members that found the fibre, and their
        share, `found`. Join it to the table of `axonlab.measure.measure_fibres`.

    Raises
    ------
    ValueError
        If a column lacks.
    """
    check_columns(members, ["fibre_id", "member", *MEASURES], "the table of measure_members")
    fibres = members.groupby("fibre_id")
    spread = fibres[list(MEASURES)].std()
    spread.columns = [_sd_column(name) for name in MEASURES]
    return spread.assign(found=fibres["axon_diameter_um"].count() / fibres.size())


def spread_by_group(members: pd.DataFrame) -> pd.DataFrame:
    r"""Carry the differences between members into the means of groups.

    Parameters
    ----------
    members : DataFrame
        Tables of `measure_members`, one below the other, with the columns `animal` and `group`,
        and of the fibres that the means are to be made of: those that are myelinated and do not
        touch the border.

    Returns
    -------
    DataFrame
        One row per `group` and `quantity`: numbers of `animals` and `members`, `mean`,
        `sem_animals`, `sd_members` and `standard_error`, of both together.

    Raises
    ------
    ValueError
        If a column lacks.

    Notes
    -----
    Each member gives each group a mean :math:`m_k`, that of its animals' means. A member that
    sees all sheaths too thick is off for every fibre alike, so the errors of fibres do not average
    out: :math:`s_m`, the deviation of the :math:`m_k`, is added whole to the error that comes from
    the :math:`n` animals, :math:`s = \sqrt{s_a^2/n + s_m^2}`, where :math:`s_a` is the deviation
    between animals, of their means over all members. What all members do wrong is not in it.
    """
    needed = ["animal", "group", "member", *MEASURES]
    check_columns(members, needed, "the table of measure_members with animal and group")
    by_animal = members.groupby(["group", "animal", "member"], sort=False)[list(MEASURES)].mean()
    by_member = by_animal.groupby(level=["group", "member"], sort=False).mean()
    animals = by_animal.groupby(level=["group", "animal"], sort=False).mean()
    rows = []
    for group in animals.index.unique("group"):
        own, means = animals.loc[group], by_member.loc[group]
        for quantity in MEASURES:
            sem, sd = own[quantity].sem(), means[quantity].std()
            row = {"group": group, "quantity": quantity}
            row |= {"animals": own[quantity].count(), "members": means[quantity].count()}
            row |= {"mean": own[quantity].mean(), "sem_animals": sem, "sd_members": sd}
            rows.append(row | {"standard_error": np.hypot(sem, sd)})
    return pd.DataFrame(rows)


def _territories(fibres: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.intp]]:
    """Return the ids of fibres, and whose territory each pixel is in: 0, or place of the id + 1."""
    ids = find_runs(fibres).ids
    territories = np.zeros(fibres.shape, np.intp)
    if not len(ids):
        return ids, territories
    inside = fibres > 0
    territories[inside] = np.searchsorted(ids, fibres[inside]) + 1
    diameters = np.sqrt(4 / np.pi * np.bincount(territories.ravel()))
    distance, (y, x) = ndimage.distance_transform_edt(~inside, return_indices=True)
    nearest = territories[y, x]
    return ids, np.where(distance <= MARGIN * diameters[nearest], nearest, 0)


def _sd_column(name: str) -> str:
    return f"{name.removesuffix('_um')}_sd" + "_um" * name.endswith("_um")
