"""From images to animals to groups: the animal is what is counted."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from scipy import stats

from axonlab.bootstrap import MIN_ANIMALS, difference_interval
from axonlab.summary import MEASURES, SUMS, check_columns, quantities

QUANTITIES = [
    "density_per_mm2",
    "unmyelinated_density_per_mm2",
    "axon_volume_fraction",
    "unmyelinated_axon_volume_fraction",
    "myelin_volume_fraction",
    "aggregate_g_ratio",
    *MEASURES,
]
"""What groups are compared in: columns of `axonlab.summary.quantities`."""


def by_image(images: pd.DataFrame) -> pd.DataFrame:
    """Return densities, fractions and means of each image.

    Parameters
    ----------
    images : DataFrame
        One row per image, or per image and `region`: `image`, `animal`, `group` and the sums of
        `axonlab.summary.field_sums` or `axonlab.summary.region_sums`.

    Returns
    -------
    DataFrame
        The names, and the columns of `axonlab.summary.quantities`.

    Raises
    ------
    ValueError
        If a column lacks, an image is there twice, or an animal has no name.
    """
    _check(images)
    return quantities(images)


def by_animal(images: pd.DataFrame) -> pd.DataFrame:
    """Return densities, fractions and means of each animal, its images pooled.

    Parameters
    ----------
    images : DataFrame
        As for `by_image`.

    Returns
    -------
    DataFrame
        One row per animal, or per animal and `region`: `group`, `animal`, number of `images` and
        the columns of `axonlab.summary.quantities`.

    Raises
    ------
    ValueError
        As for `by_image`.

    Notes
    -----
    Counts and areas are added, and divided then: a large image counts for more than a small one,
    and every fibre of an animal for the same.

    Examples
    --------
    >>> from axonlab.phantom import nerve
    >>> from axonlab.measure import measure_fibres
    >>> from axonlab.summary import field_sums
    >>> rows = []
    >>> for seed, animal in enumerate(("a", "a", "b")):
    ...     one = nerve((300, 300), seed=seed)
    ...     size = one.micrograph.pixel_size
    ...     fibres = measure_fibres(one.axons, one.fibres, pixel_size=size)
    ...     sums = field_sums(fibres, one.labels, pixel_size=size)
    ...     rows.append({"image": seed, "animal": animal, "group": "naive", **sums})
    >>> by_animal(pd.DataFrame(rows))[["group", "animal", "images"]]
       group animal  images
    0  naive      a       2
    1  naive      b       1
    """
    _check(images)
    keys = _keys(images, "animal")
    grouped = images.groupby(keys, sort=False)
    sums = grouped[SUMS].sum()
    sums.insert(0, "images", grouped["image"].nunique())
    return quantities(sums.reset_index())


def by_group(animals: pd.DataFrame) -> pd.DataFrame:
    r"""Return mean and spread over the animals of each group.

    Parameters
    ----------
    animals : DataFrame
        From `by_animal`.

    Returns
    -------
    DataFrame
        One row per group (and `region`) and `quantity` of `QUANTITIES`: number of `animals`,
        `mean`, `sd`, `sem`, and the 95 % interval of the mean from `low` to `high`.

    Notes
    -----
    Every animal counts for the same. The interval is :math:`\bar x \pm t_{n-1}\,s/\sqrt n`; there
    is none of fewer than `axonlab.bootstrap.MIN_ANIMALS`.
    """
    check_columns(animals, ["group", "animal", *QUANTITIES], "the table of by_animal")
    keys = _keys(animals)
    rows = []
    for name, table in animals.groupby(keys, sort=False):
        for quantity in QUANTITIES:
            values = table[quantity].dropna()
            n, mean, sd = len(values), values.mean(), values.std()
            sem = sd / np.sqrt(n) if n else np.nan
            half = stats.t.ppf(0.975, n - 1) * sem if n >= MIN_ANIMALS else np.nan
            rows.append((*name, quantity, n, mean, sd, sem, mean - half, mean + half))
    columns = [*keys, "quantity", "animals", "mean", "sd", "sem", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def compare_groups(animals: pd.DataFrame, *, reference: str, seed: int = 0) -> pd.DataFrame:
    """Return how the other groups differ from one of them.

    Parameters
    ----------
    animals : DataFrame
        From `by_animal`.
    reference : str
        The group that the others are compared with.
    seed : int
        Of the resampling.

    Returns
    -------
    DataFrame
        One row per other `group` (and `region`) and `quantity`: numbers of `animals` and of
        `reference_animals`, `mean` and `reference_mean`, their `difference` and its 95 % interval
        from `low` to `high`.

    Raises
    ------
    ValueError
        If there is no such group, or an animal is in two groups: sides of one animal are not two
        animals, compare their differences instead.

    Warns
    -----
    UserWarning
        If a group has fewer than `axonlab.bootstrap.MIN_ANIMALS`: its differences have no
        interval.

    Notes
    -----
    By `axonlab.bootstrap.difference_interval`. The intervals are of one quantity each: of twenty,
    one is expected to leave out 0 by chance.
    """
    check_columns(animals, ["group", "animal", *QUANTITIES], "the table of by_animal")
    _check_groups(animals, reference)
    regions = _keys(animals)[1:]
    rows = []
    for name, table in animals.groupby(regions, sort=False) if regions else [((), animals)]:
        base = table[table["group"] == reference]
        for group, others in table[table["group"] != reference].groupby("group", sort=False):
            for quantity in QUANTITIES:
                ours = others[quantity].dropna().to_numpy(float)
                theirs = base[quantity].dropna().to_numpy(float)
                row = {**dict(zip(regions, name, strict=True)), "group": group}
                rows.append(row | {"quantity": quantity} | _difference(ours, theirs, seed))
    return pd.DataFrame(rows)


def _difference(ours: np.ndarray, theirs: np.ndarray, seed: int) -> dict[str, float]:
    mean, reference_mean = (a.mean() if len(a) else np.nan for a in (ours, theirs))
    low, high = difference_interval(ours, theirs, seed=seed)
    return {
        "animals": len(ours),
        "reference_animals": len(theirs),
        "mean": mean,
        "reference_mean": reference_mean,
        "difference": mean - reference_mean,
        "low": low,
        "high": high,
    }


def _keys(table: pd.DataFrame, *more: str) -> list[str]:
    """Return what tells the rows of the result apart."""
    return ["group", *(["region"] if "region" in table else []), *more]


def _check(images: pd.DataFrame) -> None:
    needed = ["image", "animal", "group", *SUMS]
    check_columns(images, needed, "image, animal and group beside what field_sums returns")
    nameless = images[["image", "animal", "group"]].isna().any(axis=1)
    if nameless.any():
        raise ValueError(
            f"{nameless.sum()} of {len(images)} images have no name, animal or group: say of which "
            "animal each is, or leave it out."
        )
    keys = _keys(images, "animal", "image")
    if images.duplicated(keys).any():
        twice = images.loc[images.duplicated(keys), "image"].unique()[:5].tolist()
        raise ValueError(f"Images are in the table twice: {twice} …. Each counts once.")


def _check_groups(animals: pd.DataFrame, reference: str) -> None:
    groups = animals["group"].unique().tolist()
    if reference not in groups or len(groups) < 2:
        raise ValueError(f"Found the groups {groups}: expected {reference!r} and another one.")
    several = animals.groupby("animal")["group"].nunique()
    if (several > 1).any():
        raise ValueError(
            f"Animals {several.index[several > 1][:5].tolist()} … are in more than one group. Give "
            "animals names of their own; two sides of one animal are not two animals."
        )
    counts = animals.groupby("group")["animal"].nunique()
    few = counts[counts < MIN_ANIMALS]
    if len(few):
        warnings.warn(
            f"Fewer than {MIN_ANIMALS} animals in {few.to_dict()}: their differences have no "
            "interval, for so few say nothing about animals in general.",
            stacklevel=3,
        )
