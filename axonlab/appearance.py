"""How tissue looks: grey values, textures and faults of a microscope over a known geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from axonlab.micrograph import CLASSES

Plane = NDArray[np.float32]
Steps = NDArray[np.int64]

FAR = 1e3
"""Depth in pixels, with a minus sign, given to pixels that are near no fibre."""

WHITE = 255.0
"""Grey value at which the detector is full."""

LAMELLA_UM = 0.011
"""Repeat of the myelin lamellae in fixed tissue."""

MITOCHONDRION_UM = 0.11
"""Typical half width of a mitochondrion."""

STREAK = 100
"""Length in pixels over which charging changes along a scan line."""


@dataclass(frozen=True)
class Scene:
    """What there is to see in a field of `pixel_size` µm.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Class ids.
    axons, fibres : (H, W) int32 array
        Ids of axons and of fibres.
    depth, axon_depth : (H, W) float32 array
        Distance in pixels into the nearest fibre and the nearest axon, negative outside.
    pixel_size : float
        In µm.
    wraps : bool
        Whether the field goes on at its opposite edges.
    """

    labels: NDArray[np.uint8]
    axons: NDArray[np.int32]
    fibres: NDArray[np.int32]
    depth: Plane
    axon_depth: Plane
    pixel_size: float
    wraps: bool = False


@dataclass(frozen=True)
class Appearance:
    """Grey values (0 black, 255 white) of tissues, and faults of the image.

    Parameters
    ----------
    background, myelin, axon, unmyelinated, mitochondrion : float
        Mean grey values of the tissues.
    fibre_spread : float
        SD of the grey values of axons and of sheaths from fibre to fibre.
    membrane : float
        Relative change of brightness at cell membranes and seams between sheaths.
    membrane_um : float
        Half width of a membrane.
    rings : float
        SD of the grey value between the lamellae of a sheath.
    grain, grain_um : float
        SD and size of the fine texture.
    speckle : float
        Strength of sparse dots in axons (microtubules and neurofilaments), dark when negative.
    mottle, mottle_um : float
        SD and size of the coarse texture.
    web : float
        Strength of the web of thin processes in the background.
    mitochondria_per_um2 : float
        Mean number of mitochondria per area of axon.
    blur_um : float
        Standard deviation of the point spread function.
    counts : float
        Quanta that make a pixel white: Poisson noise.
    read_noise : float
        SD of the noise of the detector, in grey values.
    shading : float
        Relative change of brightness over the field.
    stripes : float
        SD of the offset of scan lines (charging), in grey values.
    """

    background: float
    myelin: float
    axon: float
    unmyelinated: float
    mitochondrion: float
    fibre_spread: float
    membrane: float
    membrane_um: float
    rings: float
    grain: float
    grain_um: float
    speckle: float
    mottle: float
    mottle_um: float
    web: float
    mitochondria_per_um2: float
    blur_um: float
    counts: float
    read_noise: float
    shading: float
    stripes: float


APPEARANCES = {
    "sem": Appearance(
        background=92,
        myelin=200,
        axon=48,
        unmyelinated=75,
        mitochondrion=100,
        fibre_spread=9,
        membrane=-0.15,
        membrane_um=0.09,
        rings=10,
        grain=9,
        grain_um=0.1,
        speckle=8,
        mottle=12,
        mottle_um=0.4,
        web=35,
        mitochondria_per_um2=0.12,
        blur_um=0.12,
        counts=700,
        read_noise=4,
        shading=0.15,
        stripes=3,
    ),
    "tem": Appearance(
        background=140,
        myelin=50,
        axon=190,
        unmyelinated=180,
        mitochondrion=95,
        fibre_spread=8,
        membrane=-0.6,
        membrane_um=0.007,
        rings=16,
        grain=20,
        grain_um=0.006,
        speckle=-65,
        mottle=12,
        mottle_um=0.06,
        web=-75,
        mitochondria_per_um2=1.2,
        blur_um=0.004,
        counts=350,
        read_noise=6,
        shading=0.08,
        stripes=0,
    ),
    "bright field": Appearance(
        background=203,
        myelin=42,
        axon=222,
        unmyelinated=190,
        mitochondrion=150,
        fibre_spread=9,
        membrane=0.12,
        membrane_um=0.15,
        rings=0,
        grain=5,
        grain_um=0.2,
        speckle=-10,
        mottle=6,
        mottle_um=1.0,
        web=-30,
        mitochondria_per_um2=0.05,
        blur_um=0.16,
        counts=2500,
        read_noise=2,
        shading=0.15,
        stripes=0,
    ),
}
"""Appearance of each modality; change one with ``dataclasses.replace``."""


def render(scene: Scene, look: Appearance, rng: np.random.Generator) -> Plane:
    """Return the micrograph of a scene.

    Parameters
    ----------
    scene : Scene
    look : Appearance
    rng : numpy.random.Generator

    Returns
    -------
    (H, W) float32 array
        Whole grey values from 0 to 255, as an 8-bit detector gives them.
    """
    return _detect(expose(scene, look, rng), look, rng)


def expose(scene: Scene, look: Appearance, rng: np.random.Generator) -> Plane:
    """Return the sharpest and evenest image that the microscope makes of a scene: no noise yet."""
    image = _paint(scene, look, rng)
    mode = "wrap" if scene.wraps else "reflect"
    return np.asarray(ndi.gaussian_filter(image, look.blur_um / scene.pixel_size, mode=mode))


def _paint(scene: Scene, look: Appearance, rng: np.random.Generator) -> Plane:
    """Return the tissue as an ideal microscope would see it."""
    size, shape = scene.pixel_size, scene.labels.shape
    fine = _noise(shape, look.grain_um / size, rng, scene.wraps)
    coarse = _noise(shape, look.mottle_um / size, rng, scene.wraps)
    web = look.web * _ridges(_noise(shape, look.mottle_um / size, rng, scene.wraps))
    image = look.background + 1.5 * look.mottle * coarse + web
    sheath = look.myelin + _between_fibres(scene, look, rng) + look.rings * _rings(scene, rng)
    # An unmyelinated axon is its own fibre: both outlines are equally far, and no sheath between.
    has_sheath = scene.depth > scene.axon_depth
    image += has_sheath * _coverage(scene.depth) * (sheath - image)
    axoplasm = _axoplasm(scene, look, fine, rng) + look.mottle * coarse
    image += _coverage(scene.axon_depth) * (axoplasm - image)
    width = look.membrane_um / size
    outlines = np.maximum(_line(scene.depth, width), _line(scene.axon_depth, width) / 3)
    return np.asarray(image * (1 + look.membrane * outlines) + look.grain * fine)


def _axoplasm(scene: Scene, look: Appearance, fine: Plane, rng: np.random.Generator) -> Plane:
    """Return grey values for the inside of axons: fibre to fibre, speckled, mitochondria."""
    is_bare = scene.labels == CLASSES["unmyelinated axon"]
    image = np.where(is_bare, np.float32(look.unmyelinated), np.float32(look.axon))
    image += _between_fibres(scene, look, rng)
    image += look.speckle * np.maximum(0, np.sign(look.speckle) * fine - 1)
    depth = _mitochondria(scene, look.mitochondria_per_um2, rng)
    size = MITOCHONDRION_UM / 6 / scene.pixel_size
    cristae = _ridges(_noise(image.shape, size, rng, scene.wraps))
    inside = look.mitochondrion * (1 + look.membrane / 2 * cristae)
    image += _coverage(depth) * (inside - image)
    outlines = _line(depth, look.membrane_um / scene.pixel_size)
    return np.asarray(image * (1 + look.membrane * outlines))


def _between_fibres(scene: Scene, look: Appearance, rng: np.random.Generator) -> Plane:
    """Return for every pixel by how much its fibre is brighter than the mean fibre."""
    spread = look.fibre_spread * rng.standard_normal(scene.fibres.max() + 1)
    return np.asarray(spread.astype(np.float32)[scene.fibres])


def _mitochondria(scene: Scene, per_um2: float, rng: np.random.Generator) -> Plane:
    """Draw ellipses in the axons; return the depth of pixels inside them."""
    size, shape = scene.pixel_size, scene.labels.shape
    depth = np.full(shape, -FAR, dtype=np.float32)
    places = np.flatnonzero(scene.axon_depth > MITOCHONDRION_UM / size)
    for place in rng.choice(places, rng.poisson(per_um2 * len(places) * size**2)):
        row, column = divmod(int(place), shape[1])
        short = MITOCHONDRION_UM / size * rng.uniform(0.7, 1.3)
        long = short * rng.uniform(1, 2.5)
        reach = int(long) + 3
        (rows, y), (columns, x) = (
            _around(middle, reach, length, scene.wraps)
            for middle, length in zip((row, column), shape, strict=True)
        )
        window, y = np.ix_(rows, columns), y[:, None]
        turn = rng.uniform(0, np.pi)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        ellipse = short * (1 - np.hypot(along / long, across / short))
        own = scene.axons[window] == scene.axons[row, column]
        depth[window] = np.where(own, np.maximum(depth[window], ellipse), depth[window])
    return depth


def _around(middle: int, reach: int, length: int, wraps: bool) -> tuple[Steps, Steps]:
    """Return the places within `reach` of one on an axis, and how far from it they are."""
    steps = np.arange(-reach, reach + 1)
    places = middle + steps
    if wraps:
        return places % length, steps
    inside = (places >= 0) & (places < length)
    return places[inside], steps[inside]


def _rings(scene: Scene, rng: np.random.Generator) -> Plane:
    """Return noise of unit variance that is constant along each lamella of a sheath."""
    # Lamellae finer than the pixels are seen as broader bands.
    width = max(LAMELLA_UM / scene.pixel_size, 1.5)
    bands = rng.standard_normal(4096, dtype=np.float32)
    lamella = np.maximum(scene.depth / np.float32(width), 0).astype(np.int32)
    # A number coprime to the table's length gives every sheath bands of its own.
    return np.asarray(bands[(lamella + 61 * scene.fibres) % len(bands)])


def _noise(
    shape: tuple[int, ...], size: float, rng: np.random.Generator, wraps: bool = False
) -> Plane:
    """Return Gaussian noise of unit variance, smooth over `size` pixels (standard deviation)."""
    # Smooth noise needs no full grid; three nodes per standard deviation hide the facets.
    step = max(1, int(size / 3))
    spare = 0 if wraps else 3
    nodes = rng.standard_normal([n // step + spare for n in shape], dtype=np.float32)
    impulse = np.zeros(61)
    impulse[30] = 1
    kernel = ndi.gaussian_filter1d(impulse, size / step)
    nodes = ndi.gaussian_filter(nodes, size / step, mode="wrap") / np.float32(np.sum(kernel**2))
    if wraps:
        zoom = [length / n for length, n in zip(shape, nodes.shape, strict=True)]
        nodes = ndi.zoom(nodes, zoom, order=1, mode="grid-wrap", grid_mode=True)
    elif step > 1:
        nodes = ndi.zoom(nodes, step, order=1)
    return np.asarray(nodes[: shape[0], : shape[1]], dtype=np.float32)


def _ridges(noise: Plane) -> Plane:
    """Return 1 along the zero lines of noise, falling to 0 beside them: a web of thin lines."""
    return np.asarray(np.exp(-np.square(noise / np.float32(0.25))))


def _coverage(depth: Plane) -> Plane:
    """Return how much of each pixel lies inside an outline."""
    return np.asarray(np.clip(depth + np.float32(0.5), 0, 1))


def _line(depth: Plane, width: float) -> Plane:
    """Return 1 on an outline, falling to 0 over `width` pixels; fainter when under a pixel."""
    drawn = max(width, 0.7)
    return np.asarray(np.float32(width / drawn) * np.exp(-np.square(depth / np.float32(drawn))))


def _detect(image: Plane, look: Appearance, rng: np.random.Generator) -> Plane:
    """Shade, and add the noise and the limits of a detector."""
    height, width = image.shape
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    slope = (y * np.sin(turn) + x * np.cos(turn)).astype(np.float32)
    image *= 1 + np.float32(look.shading / 2) * (slope - (y**2 + x**2).astype(np.float32) / 2)
    charge = _noise((height, width // STREAK + 1), 0.5, rng).repeat(STREAK, axis=1)[:, :width]
    image += look.stripes * ndi.uniform_filter1d(charge, STREAK, axis=1)
    quanta = np.maximum(image, 0) * (look.counts / WHITE)
    image = rng.poisson(quanta).astype(np.float32) * np.float32(WHITE / look.counts)
    image += look.read_noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.rint(np.clip(image, 0, WHITE)), dtype=np.float32)
