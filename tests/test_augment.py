"""Augmentation: what comes out is a patch, finite, repeatable, and from inside the square."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from axonlab import augment
from axonlab.augment import random_grid, random_intensity, sample

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@settings(max_examples=20)
@given(
    n=st.integers(1, 3),
    patch=st.integers(8, 40),
    margin=st.integers(0, 20),
    seed=st.integers(0, 99),
)
def test_shapes_and_ranges(n: int, patch: int, margin: int, seed: int) -> None:
    """Patches have the size that was asked for and hold only what the square holds."""
    torch.manual_seed(seed)
    size = patch + margin
    grid = random_grid(n, size, patch, CPU)
    assert grid.shape == (n, patch, patch, 2)
    assert grid.isfinite().all()
    image, mask = torch.rand(n, 1, size, size), torch.randint(0, 3, (n, 1, size, size)).float()
    warped = sample(image, grid, "bilinear")
    assert warped.shape == (n, 1, patch, patch)
    assert image.min() - 1e-6 <= warped.min() <= warped.max() <= image.max() + 1e-6
    assert set(sample(mask, grid, "nearest").unique().tolist()) <= {0.0, 1.0, 2.0}


def test_grids_lie_in_the_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotated, zoomed and shifted patches stay in a square that has the room."""
    monkeypatch.setattr(augment, "ELASTIC_PX", 0.0)
    torch.manual_seed(0)
    assert random_grid(500, 64, 32, CPU).abs().max() <= 1
    # without any room the centre of the patch is that of the square
    assert random_grid(500, 32, 32, CPU).mean((1, 2)).abs().max() < 0.3


def test_geometry_is_varied_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zoom stays within its limits, half of the patches are mirrored, all angles occur."""
    monkeypatch.setattr(augment, "ELASTIC_PX", 0.0)
    torch.manual_seed(0)
    size, patch = 96, 64
    grid = random_grid(2000, size, patch, CPU) * size / 2  # in pixels of the square
    along_x, along_y = grid[:, 0, 1] - grid[:, 0, 0], grid[:, 1, 0] - grid[:, 0, 0]
    zoom = along_x.norm(dim=1)
    torch.testing.assert_close(along_y.norm(dim=1), zoom)
    torch.testing.assert_close((along_x * along_y).sum(1), torch.zeros(2000), atol=1e-3, rtol=0)
    low, high = augment.SCALES
    assert low - 1e-3 <= zoom.min() < low + 0.02
    assert high - 0.02 < zoom.max() <= high + 1e-3
    turn = along_x[:, 0] * along_y[:, 1] - along_x[:, 1] * along_y[:, 0]
    assert 0.45 < (turn > 0).float().mean() < 0.55
    angle = torch.atan2(along_x[:, 1], along_x[:, 0])
    assert torch.histc(angle, 8, -math.pi, math.pi).min() > 150


def test_elastic_warp_is_as_strong_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The displacement has its standard deviation in pixels, whatever the sizes."""
    for size, patch in ((64, 48), (300, 200)):
        torch.manual_seed(1)
        bent = random_grid(300, size, patch, CPU)
        with monkeypatch.context() as patched:
            patched.setattr(augment, "ELASTIC_PX", 0.0)
            torch.manual_seed(1)
            straight = random_grid(300, size, patch, CPU)
        corners = (bent - straight)[:, [0, 0, -1, -1], [0, -1, 0, -1]] * size / 2  # are knots
        assert corners.std() == pytest.approx(augment.ELASTIC_PX, rel=0.1)


def test_what_lies_outside_is_mirrored() -> None:
    """Beyond the edge the square is continued, in image and mask alike."""
    x = torch.arange(4.0).reshape(1, 1, 1, 4)
    centres = (torch.arange(-4, 8) + 0.5) / 2 - 1
    grid = torch.stack([centres, torch.zeros(12)], 1).reshape(1, 1, 12, 2)
    for mode in ("nearest", "bilinear"):
        found = sample(x, grid, mode).flatten().tolist()
        assert found == pytest.approx([3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0])


@settings(max_examples=20)
@given(seed=st.integers(0, 999), size=st.integers(4, 40), scale=st.sampled_from([0.0, 1.0, 30.0]))
def test_intensity_is_finite(seed: int, size: int, scale: float) -> None:
    """Grey values below 0 and far above 1, as percentiles leave them, give no NaN."""
    torch.manual_seed(seed)
    x = scale * torch.randn(3, 1, size, size)
    kept = x.clone()
    varied = random_intensity(x)
    assert varied.shape == x.shape
    assert varied.dtype == torch.float32
    assert varied.isfinite().all()
    assert torch.equal(x, kept)


def test_intensity_stays_recognisable() -> None:
    """Bright stays brighter than dark, and patches of one batch are varied differently."""
    torch.manual_seed(0)
    x = torch.zeros(64, 1, 32, 32)
    x[..., 16:] = 1
    varied = random_intensity(x)
    dark, bright = varied[..., :12].mean((1, 2, 3)), varied[..., 20:].mean((1, 2, 3))
    assert (bright - dark).min() > 0.5
    assert bright.std() > 0.1
    assert dark.std() > 0.05


def test_strength_scales_the_variation_of_grey() -> None:
    """Without strength only blur is left, so that flat images stay as they are."""
    torch.manual_seed(3)
    x = torch.full((16, 1, 24, 24), 0.6)
    assert random_intensity(x, 0.0).sub(x).abs().max() < 1e-5
    little, much = (random_intensity(x, k).mean((1, 2, 3)).std() for k in (0.3, 1.0))
    assert 0 < little < 0.6 * much


def test_blur_keeps_the_mean() -> None:
    """Blurring spreads a point and neither adds nor removes light."""
    x = torch.zeros(1, 1, 15, 15)
    x[..., 7, 7] = 1
    blurred = augment._blur(x, sigma=1.2)
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(blurred, blurred.mT)
    torch.testing.assert_close(blurred, blurred.flip(2, 3))
    assert blurred.max() < 0.3


def test_the_seed_repeats_everything() -> None:
    """The same seed gives the same patches, another one others."""

    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        x = torch.linspace(0, 1, 400).reshape(1, 1, 20, 20).repeat(3, 1, 1, 1)
        return random_intensity(sample(x, random_grid(3, 20, 16, CPU), "bilinear"))

    assert torch.equal(draw(4), draw(4))
    assert not torch.equal(draw(4), draw(5))
