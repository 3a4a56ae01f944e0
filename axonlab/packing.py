"""Fibres packed into a field without overlap: outlines whose areas are known exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.spatial import cKDTree
from scipy.special import expit, logit, ndtr, ndtri

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_CORNERS = 128
"""Corners of the polygon that is a fibre's outline, at equal angles around its centre."""

SHARPNESS = 16
"""Exponent of the smooth minimum that flattens a fibre against its neighbours; a power of 2."""

REACH = 1.6
"""Largest distance of an outline from its centre, in radii of the disc of the same area."""

G_SLOPE, G_SCATTER = 0.35, 0.25
"""Rise of logit(g) per e-fold of the axon diameter, and its SD between fibres."""

UNMYELINATED_SIZE = 0.5
"""Diameter of unmyelinated axons over that of myelinated ones."""

BUNDLE = 12
"""Unmyelinated axons in a bundle, on average."""

VOID_FRACTION, VOIDS_IN_ROW = 0.04, 5
"""Share of the tissue left to glial cells, vessels and clefts, and discs that make one cleft."""

LARGEST = 2.5
"""Where the log-normal distribution is cut, on both sides, in its standard deviations."""

PUSHES, PRESS = 300, 0.96
"""Rounds of pushing discs apart, and the share of its radius that a disc defends: what is
missing to 1 presses fibres flat against each other."""

ANGLES = 2 * np.pi * np.arange(N_CORNERS) / N_CORNERS
DIRECTIONS = np.stack([np.sin(ANGLES), np.cos(ANGLES)])
"""Unit vectors (y, x) from a fibre's centre to its corners, as columns."""


def _check(name: str, value: float, low: float, high: float, expected: str) -> None:
    """Raise ValueError unless ``low < value < high``."""
    if not low < value < high:
        raise ValueError(f"{name} is {value:g}, expected {expected}. Pass another {name}=...")


@dataclass(frozen=True)
class Tissue:
    """Sizes and densities of the fibres in a nerve; lengths in µm."""

    mean_diameter: float
    diameter_sd: float
    g_ratio: float
    fibre_fraction: float
    unmyelinated_fraction: float

    def __post_init__(self) -> None:
        _check("mean_diameter", self.mean_diameter, 0, np.inf, "a positive length in µm")
        limit = 2 * self.mean_diameter
        _check("diameter_sd", self.diameter_sd, 0, limit, f"µm between 0 and two means, {limit:g}")
        _check("g_ratio", self.g_ratio, 0.3, 0.9, "a ratio between 0.3 and 0.9")
        _check("fibre_fraction", self.fibre_fraction, 0, 0.9, "a share between 0 and 0.9")
        share = self.unmyelinated_fraction
        _check("unmyelinated_fraction", share, -1e-9, 1 + 1e-9, "a share between 0 and 1")


@dataclass(frozen=True)
class Outlines:
    """Polygons around `n` fibres and their axons, in pixels.

    Corner k of fibre i lies at angle ``2 pi k / N_CORNERS`` from the x axis towards y, at
    distance ``outer[i, k]`` from ``centres[i]`` (y, x); its axon's at ``inner[i, k]``.
    """

    centres: Floats
    outer: Floats
    inner: Floats
    is_unmyelinated: NDArray[np.bool_]

    def take(self, rows: Ints) -> Outlines:
        """Return some of the fibres."""
        sides = self.outer[rows], self.inner[rows]
        return Outlines(self.centres[rows], *sides, self.is_unmyelinated[rows])


def grow(
    shape: tuple[int, int], pixel_size: float, tissue: Tissue, rng: np.random.Generator
) -> Outlines:
    """Pack fibres over the field and beyond its edges, and shape them."""
    margin = largest_fibre(tissue, pixel_size)
    box = np.array(shape, dtype=np.float64) + 2 * margin
    outlines = pack(box, pixel_size, tissue, rng)
    return replace(outlines, centres=outlines.centres - margin - 0.5)


def largest_fibre(tissue: Tissue, pixel_size: float) -> float:
    """Return the diameter in pixels of a fibre with the largest axon and the mean g-ratio."""
    mean = tissue.mean_diameter / pixel_size
    return float(np.exp(LARGEST * _sigma(tissue)) * mean / tissue.g_ratio)


def _sigma(tissue: Tissue) -> float:
    """Return the standard deviation of the logarithm of the axon diameters."""
    return float(np.sqrt(np.log1p((tissue.diameter_sd / tissue.mean_diameter) ** 2)))


def pack(box: Floats, pixel_size: float, tissue: Tissue, rng: np.random.Generator) -> Outlines:
    """Pack fibres in a box whose opposite edges are joined, and shape them.

    Centres lie between 0 and `box`, rows and columns in pixels; outlines may reach out of it.
    """
    mean = tissue.mean_diameter / pixel_size
    radii, g = _draw_fibres(mean, _sigma(tissue), tissue, float(box.prod()), rng)
    void_radii, void_centres = _draw_voids(radii[g < 1], box, rng)
    centres = np.concatenate([_scatter(g, mean, box, rng), void_centres])
    radii, g = np.concatenate([radii, void_radii]), np.append(g, np.full(len(void_radii), np.nan))
    centres = _push_apart(centres % box, PRESS * radii, box)
    cells, has_room = _cells(centres, radii, box)
    keep = has_room & ~np.isnan(g)
    radii, g = radii[keep], g[keep]
    outer = _outer(radii, cells[keep], rng)
    return Outlines(centres[keep], outer, _inner(outer, radii, g, rng), g == 1)


def _draw_fibres(
    mean: float, sigma: float, tissue: Tissue, area: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw radii in pixels, and g-ratios (1 for unmyelinated axons), to fill a share of `area`."""
    wanted = tissue.fibre_fraction * area
    n = int(2 * wanted / (np.pi / 4 * (UNMYELINATED_SIZE * mean) ** 2)) + 10
    z = ndtri(rng.uniform(ndtr(-LARGEST), ndtr(LARGEST), n))
    g = expit(logit(tissue.g_ratio) + G_SLOPE * sigma * z + G_SCATTER * rng.standard_normal(n))
    diameters = mean * np.exp(sigma * z - sigma**2 / 2)
    bare = rng.random(n) < tissue.unmyelinated_fraction
    diameters[bare] *= UNMYELINATED_SIZE
    g[bare] = 1
    radii = diameters / g / 2
    n = max(1, int(np.searchsorted(np.cumsum(np.pi * radii**2), wanted)))
    return radii[:n], g[:n]


def _draw_voids(radii: Floats, box: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw the radii and centres of empty discs, in rows that make clefts."""
    typical = np.sqrt(np.mean(radii**2)) if len(radii) else box.min() / 20
    n = int(VOID_FRACTION * box.prod() / (np.pi * typical**2 * VOIDS_IN_ROW))
    start, angle = rng.random((n, 1, 2)) * box, rng.uniform(0, np.pi, (n, 1))
    steps = np.arange(VOIDS_IN_ROW) * 1.6 * typical
    rows = start + np.stack([steps * np.sin(angle), steps * np.cos(angle)], axis=-1)
    void_radii = typical * rng.uniform(0.5, 1.4, n * VOIDS_IN_ROW)
    return void_radii, rows.reshape(-1, 2)


def _scatter(g: Floats, mean: float, box: Floats, rng: np.random.Generator) -> Floats:
    """Draw first places: uniform for myelinated fibres, bundles for unmyelinated axons."""
    centres = rng.random((len(g), 2)) * box
    bare = np.flatnonzero(g == 1)
    bundle = bare[rng.integers(0, max(1, len(bare) // BUNDLE), len(bare))]
    centres[bare] = centres[bundle] + rng.normal(0, mean, (len(bare), 2))
    return centres


def _near(centres: Floats, radii: Floats, box: Floats, reach: float) -> tuple[Ints, Ints]:
    """Return the pairs of discs nearer than `reach` times the sum of their radii, larger first."""
    # A centre just below 0 can be rounded onto the far side of the box, which the tree refuses.
    tree = cKDTree(np.minimum(centres, np.nextafter(box, 0)), boxsize=box)
    hits = tree.query_ball_point(centres, 2 * reach * radii)
    counts = np.fromiter(map(len, hits), np.int64, len(hits))
    large = np.repeat(np.arange(len(radii)), counts)
    small = np.fromiter(chain.from_iterable(hits), np.int64, counts.sum())
    ranks = np.argsort(np.argsort(-radii, kind="stable"))
    first = ranks[large] < ranks[small]
    return large[first], small[first]


def _between(centres: Floats, i: Ints, j: Ints, box: Floats) -> tuple[Floats, Floats]:
    """Return unit vectors from discs i to discs j in the periodic box, and the distances."""
    delta = centres[j] - centres[i]
    delta -= box * np.round(delta / box)
    distance = np.maximum(np.hypot(delta[:, 0], delta[:, 1]), 1e-6)
    return delta / distance[:, None], distance


def _push_apart(centres: Floats, radii: Floats, box: Floats) -> Floats:
    """Move overlapping discs apart, the smaller one further, in a periodic box."""
    for step in range(PUSHES):
        if step % 8 == 0:
            i, j = _near(centres, radii, box, 1.2)
            share = radii[i] ** 2 / (radii[i] ** 2 + radii[j] ** 2)
        unit, distance = _between(centres, i, j, box)
        overlap = np.maximum(0, radii[i] + radii[j] - distance)
        for axis in (0, 1):
            push = 0.6 * overlap * unit[:, axis]
            move = np.bincount(j, push * share, len(radii))
            move -= np.bincount(i, push * (1 - share), len(radii))
            centres[:, axis] += move
        centres %= box
    return centres


def _cells(centres: Floats, radii: Floats, box: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return ``sum_j (max(0, n_ij . u) / d_ij) ** p`` for every disc and direction.

    The second array tells the discs whose cell holds their centre well inside.
    """
    large, small = _near(centres, radii, box, REACH)
    i, j = np.concatenate([large, small]), np.concatenate([small, large])
    unit, distance = _between(centres, i, j, box)
    border = (distance**2 + radii[i] ** 2 - radii[j] ** 2) / (2 * distance)
    has_room = np.ones(len(radii), dtype=bool)
    has_room[i[border < 0.3 * radii[i]]] = False
    cells = np.repeat((1 / (REACH * radii[:, None])) ** SHARPNESS, N_CORNERS, axis=1)
    slopes = unit / border[:, None]
    for chosen in np.array_split(np.argsort(i, kind="stable"), 1 + len(i) // 10_000):
        terms = _power(np.maximum(0, slopes[chosen] @ DIRECTIONS))
        rows, starts = np.unique(i[chosen], return_index=True)
        cells[rows] += np.add.reduceat(terms, starts, axis=0)
    return cells, has_room


def _power(values: Floats) -> Floats:
    """Raise to `SHARPNESS` by squaring, which is many times faster than ``**``."""
    for _ in range(SHARPNESS.bit_length() - 1):
        values = values * values
    return values


def _bumps(n: int, sizes: dict[int, float], rng: np.random.Generator) -> Floats:
    """Draw `n` random periodic functions around 1 with waves of the given sizes."""
    waves = np.zeros((n, N_CORNERS))
    for wave, size in sizes.items():
        phase = rng.uniform(0, 2 * np.pi, (n, 1))
        waves += size * rng.rayleigh(0.8, (n, 1)) * np.cos(wave * ANGLES + phase)
    return np.exp(waves)


def area(corners: Floats) -> Floats:
    """Return the area of polygons given by the distances of their corners (shoelace)."""
    twice = np.sin(2 * np.pi / N_CORNERS) * (corners * np.roll(corners, -1, axis=-1)).sum(-1)
    return np.asarray(twice / 2)


def _outer(radii: Floats, cells: Floats, rng: np.random.Generator) -> Floats:
    """Shape fibres of the area of their discs, where their cells have room for it."""
    shapes = _bumps(len(radii), {2: 0.2, 3: 0.04, 4: 0.02, 5: 0.015}, rng)
    power = _power(1 / shapes)
    scale = radii.copy()
    for _ in range(10):
        outer = (power * _power(1 / scale)[:, None] + cells) ** (-1 / SHARPNESS)
        # Corners stand out over the mean around them: what exceeds it is taken off.
        outer = np.minimum(outer, uniform_filter1d(outer, N_CORNERS // 5, mode="wrap"))
        scale = np.minimum(scale * np.sqrt(np.pi * radii**2 / area(outer)), 1.15 * radii)
    return np.asarray(outer)


def _inner(outer: Floats, radii: Floats, g: Floats, rng: np.random.Generator) -> Floats:
    """Shape axons inside sheaths that are about as thick on all sides, with given g-ratios."""
    slope = (np.roll(outer, -1, axis=1) - np.roll(outer, 1, axis=1)) / (2 * ANGLES[1] * outer)
    bumps = _bumps(len(outer), {1: 0.12, 2: 0.1, 3: 0.07, 5: 0.04}, rng)
    weight = bumps * np.sqrt((1 + slope**2) * radii[:, None] / outer)
    both = weight + np.roll(weight, -1, axis=1)
    products = outer * np.roll(outer, -1, axis=1)
    thickness = np.zeros((len(outer), 1))
    wanted = g**2 * products.sum(axis=1)
    # Newton from below on a convex, falling function: it converges for every g.
    for _ in range(12):
        terms = products * np.exp(-thickness * both)
        thickness += ((terms.sum(1) - wanted) / (terms * both).sum(1))[:, None]
    return np.asarray(outer * np.exp(-thickness * weight))


def centroids(corners: Floats) -> Floats:
    """Return the centroids (y, x) of polygons, from their centres."""
    start = corners[:, None, :] * DIRECTIONS
    end = np.roll(start, -1, axis=2)
    weight = corners * np.roll(corners, -1, axis=1)
    moment = ((start + end) * weight[:, None, :]).sum(axis=2)
    return np.asarray(moment / (3 * weight.sum(axis=1)[:, None]))
