"""Blank areas: filler is found to the pixel, and nothing that was seen is taken for it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axonlab import io, phantom, samples
from axonlab.blank import STRAIGHT, blank_area


@pytest.fixture(scope="module")
def pixels():
    """Return a phantom whose grey values are clipped at neither end."""
    return phantom.nerve((200, 260), seed=1).micrograph.pixels.clip(10, 240)


@pytest.mark.parametrize("value", [0, 127.5, 255])
def test_filler_is_found_to_the_pixel(pixels, value):
    """Corners, strips and holes of any one value, whether or not the image border cuts them."""
    for place in (np.s_[:50, 200:], np.s_[:12], np.s_[:, :9], np.s_[60:120, 70:150]):
        stitched, filler = pixels.copy(), np.zeros(pixels.shape, bool)
        stitched[place], filler[place] = value, True
        assert (blank_area(stitched) == filler).all()


def test_steps_between_tiles(pixels):
    """Filler of several rectangles is one area."""
    filler = np.zeros(pixels.shape, bool)
    filler[:40], filler[:110, 180:] = True, True
    assert (blank_area(np.where(filler, np.float32(0), pixels)) == filler).all()


def test_seams_are_blank(pixels):
    """Lines that a stitching program leaves at the border of filler, or in it, go with it."""
    filler = np.zeros(pixels.shape, bool)
    filler[:80, 100:] = True
    stitched = np.where(filler, np.float32(0), pixels)
    stitched[:4, 120:] = pixels[:4, 120:]
    stitched[30:37, 150:] = pixels[30:37, 150:]
    assert (blank_area(stitched) == filler).all()


def test_round_is_not_blank(pixels, disc):
    """Clipped lumens and saturated myelin stay, however large, also where the border cuts them."""
    for centre in ((100, 130), (0, 130), (20, 250)):
        for radius in (6, 15, 30, 70):
            for value in (0, 255):
                seen = np.where(disc(pixels.shape, centre, radius), np.float32(value), pixels)
                assert not blank_area(seen).any(), (centre, radius)


def test_nothing_blank_in_noise_or_small_squares(pixels):
    """Squares too small for a tile are no filler."""
    assert not blank_area(pixels).any()
    spotted = pixels.copy()
    spotted[50 : 50 + STRAIGHT - 1, 50 : 50 + STRAIGHT - 1] = 0
    assert not blank_area(spotted).any()


def test_all_of_one_grey_value_is_blank():
    """Where nothing was seen there is nothing but blank."""
    assert blank_area(np.full((40, 50), 7, np.float32)).all()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.booleans())
def test_turned_and_mirrored(seed, turns, mirrored):
    """The blank area turns with the image."""
    rng = np.random.default_rng(seed)
    seen = rng.normal(100, 9, (90, 110)).astype(np.float32)
    for _ in range(3):
        (y, x), (height, width) = rng.integers(0, 80, 2), rng.integers(5, 70, 2)
        seen[y : y + height, x : x + width] = 0

    def turn(plane):
        turned = np.rot90(plane, turns)
        return turned[:, ::-1] if mirrored else turned

    assert (blank_area(turn(seen)) == turn(blank_area(seen))).all()


def test_bundled_phantoms_have_none():
    """The samples of every modality are seen all over."""
    for name in samples.names():
        if name.startswith("phantom"):
            assert not blank_area(samples.load(name).pixels).any()


def test_real_images(data_folder):
    """The mosaics of the light microscope have filler; clipped lumens of SEM and TEM are none."""
    nerve = data_folder / "mouse-nerve" / "raw" / "test"
    shares = {
        name: blank_area(io.read_image(nerve / f"{name}.tif", pixel_size=1).pixels).mean()
        for name in ("5559", "5532")
    }
    assert shares == pytest.approx({"5559": 0.194, "5532": 0}, abs=1e-3)
    for path in [*data_folder.glob("rat-sem/sub-*/micr/*.png")][:4]:
        assert not blank_area(io.read_image(path).pixels).any()
    rat8 = data_folder / "rat-sem/sub-rat8/micr/sub-rat8_sample-V915_SEM.png"
    assert not blank_area(io.read_image(rat8).pixels).any()
