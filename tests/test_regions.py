"""Regions: what is drawn where, and that windows of a field show what the whole shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from axonlab import regions
from axonlab.omezarr import tiles
from axonlab.regions import Grid, Mask, Polygons, Regions

SHAPE = (47, 61)


def whole(drawn: Regions, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return the numbers over a whole field."""
    return drawn.window(*(slice(0, n) for n in shape))


@given(st.integers(0, 10**6), st.integers(3, 9))
@settings(max_examples=60)
def test_polygons_hold_the_pixels_whose_centres_they_hold(seed: int, n: int) -> None:
    """Whatever their shape, and where they reach out of the field."""
    corners = np.random.default_rng(seed).uniform(-15, 75, (n, 2))
    wanted = polygon2mask(SHAPE, corners[:, ::-1])  # no centre is on an outline by chance
    if wanted.any():
        drawn = Polygons({"a": corners * 0.3}, SHAPE, 0.3)
        assert (whole(drawn) == wanted).all()


def test_polygons_side_by_side_share_no_pixel() -> None:
    """A fan of triangles with corners on centres of pixels covers each pixel once."""
    right, low = 60.0, 46.0
    rim = [(x, 0.0) for x in range(0, 61, 12)] + [(right, y) for y in (13.0, low)]
    rim += [(30.0, low), (0.0, low), (0.0, 20.0)]
    after = [*rim[1:], rim[0]]
    fan = {str(i): [(25, 21), a, b] for i, (a, b) in enumerate(zip(rim, after, strict=True))}
    drawn = whole(Polygons(fan, SHAPE, 1.0))
    assert (drawn[:46, :60] > 0).all()  # what is on the last side is on no side
    assert (drawn[46:] == 0).all() and (drawn[:, 60:] == 0).all()
    assert len(np.unique(drawn)) == len(fan) + 1


def drawings() -> list[Regions]:
    """Return regions of each kind."""
    rng = np.random.default_rng(1)
    star = 20 + rng.uniform(5, 18, 40)[:, None] * np.stack(
        [np.cos(np.arange(40) / 6.3), np.sin(np.arange(40) / 6.3)], axis=1
    )
    return [
        Polygons({"star": star, "box": [(45, 2), (70, 2), (70, 45), (45, 45)]}, SHAPE, 1.0),
        Mask(rng.integers(0, 4, SHAPE), SHAPE),
        Mask(rng.integers(0, 4, (24, 31)), SHAPE),
        Mask(rng.integers(0, 4, (10, 13)), SHAPE),
        Grid(SHAPE, 0.1, 0.73),
    ]


@pytest.mark.parametrize("drawn", drawings())
@pytest.mark.parametrize("tile", [7, 16, 100])
def test_windows_show_what_the_whole_shows(drawn: Regions, tile: int) -> None:
    """In pieces of any size."""
    wanted = whole(drawn)
    for box in tiles(SHAPE, tile):
        assert (drawn.window(*box) == wanted[box]).all()
    assert wanted.max() == len(drawn.names) > 1


@pytest.mark.parametrize("step", [2, 4, 8])
def test_a_mask_of_a_coarser_level_is_where_it_was_drawn(step: int) -> None:
    """Its pixels are those that the level was made of, also where the end of it is cut."""
    coarse = np.random.default_rng(0).integers(0, 3, [-(-n // step) for n in SHAPE])
    coarse[0, :3] = 0, 1, 2
    wanted = np.kron(coarse, np.ones((step, step), int))[: SHAPE[0], : SHAPE[1]]
    assert (whole(Mask(coarse, SHAPE)) == wanted).all()


def test_a_mask_of_another_shape_is_stretched() -> None:
    """A pixel has the region of the mask's pixel over its centre."""
    coarse = np.array([[1, 0, 2], [1, 1, 2]])
    drawn = whole(Mask(coarse, (20, 30)), (20, 30))
    assert (drawn == np.kron(coarse, np.ones((10, 10), int))).all()


def test_names_of_a_mask() -> None:
    """Ids without a name are no regions, and ids of one name are one."""
    mask = Mask(np.array([[9, 255], [0, 4]], np.uint8), (2, 2), {9: "left", 4: "left"})
    assert mask.names == ["left"]
    assert whole(mask, (2, 2)).tolist() == [[1, 0], [0, 1]]
    assert Mask(mask.ids, (2, 2)).names == [4, 9, 255]


BOX = [(0, 0), (9, 0), (9, 9), (0, 9)]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: Mask(np.ones((30, 30), int), SHAPE), r"\(30, 30\) do not fit a field of \(47"),
        (lambda: Mask(np.ones((94, 122), int), SHAPE), "do not fit"),
        (lambda: Mask(np.ones(SHAPE), SHAPE), "type float64"),
        (lambda: Mask(-np.ones(SHAPE, int), SHAPE), "from -1"),
        (lambda: Mask(np.zeros((0, 3), int), SHAPE), "from none"),
        (lambda: Mask(np.ones(SHAPE, int), SHAPE, {2: "a"}), r"no pixel of the ids \[2\]"),
        (lambda: whole(Polygons({"a": BOX, "b": BOX}, SHAPE, 1.0)), "'a' and 'b' overlap"),
        (lambda: Polygons({"a": np.add(BOX, 70)}, SHAPE, 1.0), "'a' holds no pixel of a field"),
        (lambda: Polygons({"a": []}, SHAPE, 1.0), "'a' holds no pixel"),
        (lambda: Polygons({"a": [(0, 0), (1, np.nan), (3, 3)]}, SHAPE, 1.0), "no numbers"),
        (lambda: regions.drawn_regions({"a": BOX}, SHAPE, 1.0, {1: "a"}), "have names"),
        (lambda: Grid(SHAPE, 0.1, 0.05), "smaller|of many pixels"),
        (lambda: Grid(SHAPE, 0.1, np.nan), "of many pixels"),
        (lambda: Grid((10**4, 10**4), 0.1, 0.5), "2000 × 2000 on this field, more than 1,000,000"),
    ],
)
def test_bad_regions(draw: Any, message: str) -> None:
    """Regions of another field, overlapping, empty and countless ones are refused."""
    with pytest.raises(ValueError, match=message):
        draw()
