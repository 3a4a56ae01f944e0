"""Membranes: patches with their labels, what counts how much, and a loss that falls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fastai.data.core import DataLoaders
from scipy import ndimage
from torch.nn import functional

from axonlab.membranes import MembraneLoss, median, membrane_block, membrane_learner
from axonlab.micrograph import UNLABELLED
from axonlab.networks import UNet
from axonlab.volume import Volume
from axonlab.window_net import WindowNet

Source = tuple[Volume, np.ndarray]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def stack() -> Source:
    """Return six sections through cells whose membranes are dark."""
    rng = np.random.default_rng(0)
    interior = []
    for _ in range(6):
        seeds = np.ones((70, 80), bool)
        seeds[tuple(rng.integers(0, 70, (2, 12)))] = False
        nearest = ndimage.distance_transform_edt(seeds, return_indices=True)[1]
        cell = nearest[0] * 80 + nearest[1]
        interior.append(ndimage.maximum_filter(cell, 3) == ndimage.minimum_filter(cell, 3))
    truth = np.array(interior)
    grey = np.where(truth, 180, 60) + rng.normal(0, 10, truth.shape)
    return Volume(grey, (0.05, 0.004, 0.004), "cells"), truth


def loaders(stack: Source, **changes: object) -> DataLoaders:
    """Return small batches of small patches."""
    settings = {"valid": [4, 5], "patch": 24, "patches_per_section": 3, "valid_patch": 64}
    return membrane_block(**(settings | changes)).dataloaders(stack, bs=4, num_workers=0)


@pytest.mark.parametrize("elastic", [False, True])
@pytest.mark.parametrize("context", [0, 9])
def test_patches_keep_their_labels(stack: Source, elastic: bool, context: int) -> None:
    """However patches are turned or warped, membrane is dark in them; labels have no context."""
    dls = loaders(stack, elastic=elastic, context=context, grey_variation=0)
    assert len(dls.train_ds) == 12 and len(dls.valid_ds) == 2
    for batch, side in ((dls.train.one_batch(), 24), (dls.valid.one_batch(), 64)):
        x, y = (part.as_subclass(torch.Tensor) for part in batch)
        assert x.shape[-2:] == (side + 2 * context, side + 2 * context)
        assert y.shape[-2:] == (side, side)
        inner = x[:, 0, context : context + side, context : context + side]
        assert inner[y == 0].mean() < 0.35 and inner[y == 1].mean() > 0.75
        if not elastic:
            assert ((inner > 0.5).long() == y)[y != UNLABELLED].float().mean() > 0.999


def test_validation_is_the_section_with_its_mirror(stack: Source) -> None:
    """What a network sees around a validation section is its mirror image, as in `predict`."""
    dls = loaders(stack, context=5, valid_patch=70)
    x, y = dls.valid.one_batch()
    assert x.shape[-2:] == (80, 80)
    whole = np.asarray(dls.valid_ds[0][0])[0]
    np.testing.assert_array_equal(whole[:, :5], whole[:, 10:5:-1])
    assert (y != UNLABELLED).all()


def test_sections_are_never_shared(stack: Source) -> None:
    """Validation sections are not trained on; a split that leaves nothing is an error."""
    dls = loaders(stack, valid=[0])
    assert not {id(s.pixels) for s in dls.train_ds.items} & {
        id(s.pixels) for s in dls.valid_ds.items
    }
    for wrong in ([6], [-1], range(6)):
        with pytest.raises(ValueError, match=r"of 6 in all, which are 0 to 5"):
            loaders(stack, valid=wrong)


def test_truth_that_does_not_fit(stack: Source) -> None:
    """Labels of another depth, and inverted ones, are told before anything is trained."""
    volume, interior = stack
    with pytest.raises(ValueError, match="same sections"):
        loaders((volume, interior[1:]))
    with pytest.raises(ValueError, match="probably inverted"):
        loaders((volume, ~interior))


def test_loss_against_a_loop() -> None:
    """Balanced, the mean of the classes' means; otherwise that of the pixels; borders count."""
    torch.manual_seed(0)
    logits, target = torch.randn(2, 2, 6, 7), (torch.rand(2, 6, 7) < 0.8).long()
    target[:, 0] = UNLABELLED
    each = functional.cross_entropy(logits, target, ignore_index=UNLABELLED, reduction="none")
    classes = torch.stack([each[target == c].mean() for c in (0, 1)])
    torch.testing.assert_close(MembraneLoss(balanced=True)(logits, target), classes.mean())
    labelled = each[target != UNLABELLED]
    torch.testing.assert_close(MembraneLoss(balanced=False)(logits, target), labelled.mean())
    bordered = MembraneLoss(balanced=False, border=3)
    weights = bordered.weights(target)[target != UNLABELLED]
    assert set(weights.tolist()) <= {1.0, 4.0} and 4 in weights
    expected = (weights * labelled).sum() / weights.sum()
    torch.testing.assert_close(bordered(logits, target), expected)


@pytest.mark.parametrize("target", [0, 1, UNLABELLED])
def test_loss_of_one_class_or_none(target: int) -> None:
    """Patches of one class teach it; without a label nothing, and nothing breaks."""
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    loss = MembraneLoss()(logits, torch.full((1, 3, 3), target))
    loss.backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert (loss > 0) == (target != UNLABELLED)


@pytest.mark.parametrize("kind", ["WindowNet", "UNet"])
def test_loss_falls(stack: Source, kind: str) -> None:
    """Both networks learn dark membranes from a few patches, in their own block."""
    torch.manual_seed(0)
    if kind == "UNet":
        network: torch.nn.Module = UNet(2, features=(8, 12))
        dls = loaders(stack, elastic=True, patches_per_section=12)
    else:
        network = WindowNet(2, window=65, maps=8, hidden=16)
        dls = loaders(stack, context=32, patches_per_section=24)
    learn = membrane_learner(dls, network, border=1.0)
    with learn.no_bar(), learn.no_logging():
        before = learn.validate()[0]
        learn.fit(3, 5e-3)
        after, *dice = learn.validate()
    assert after < 0.8 * before
    assert dice[1] > 0.6


def test_context_needs_a_window(stack: Source) -> None:
    """A U-Net on patches with context is told to do without."""
    learn = membrane_learner(loaders(stack, context=4), UNet(2, features=(2, 3)))
    with pytest.raises(ValueError, match=r"context of 4 pixels for a UNet.*context=0"):
        learn.validate()


@pytest.mark.parametrize("shape", [(9, 11), (3, 9, 11)])
def test_median_against_a_loop(shape: tuple[int, ...]) -> None:
    """The median of the 13 pixels within 2, in each section alone."""
    probability = np.random.default_rng(1).random(shape, dtype=np.float32)
    found = median(probability).reshape(-1, 9, 11)
    for plane, smooth in zip(probability.reshape(-1, 9, 11), found, strict=True):
        padded = np.pad(plane, 2, mode="symmetric")
        for y, x in np.ndindex(plane.shape):
            near = [
                padded[y + 2 + i, x + 2 + j]
                for i in range(-2, 3)
                for j in range(-2, 3)
                if i * i + j * j <= 4
            ]
            assert smooth[y, x] == np.median(near)
