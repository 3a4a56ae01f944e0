"""Learners of volumes: the loss, what is refused, and that the loss falls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fastai.data.core import DataLoaders
from torch import Tensor
from torch.nn import functional

from axonlab import phantom
from axonlab.affinities import NEAREST
from axonlab.micrograph import UNLABELLED
from axonlab.networks import UNet, anisotropic_strides
from axonlab.volume import Volume
from axonlab.volume_blocks import section_block, volume_block
from axonlab.volume_learn import BalancedEntropy, volume_learner

Source = tuple[Volume, np.ndarray]
OFFSETS = [*NEAREST, (0, -4, 0)]

pytestmark = pytest.mark.usefixtures("one_thread")


def answers(seed: int) -> tuple[Tensor, Tensor]:
    """Return random logits and targets of two channels, some of them unknown."""
    generator = torch.Generator().manual_seed(seed)
    target = (torch.rand(2, 2, 3, 4, 5, generator=generator) < 0.3).to(torch.uint8)
    target[torch.rand(target.shape, generator=generator) < 0.3] = UNLABELLED
    return torch.randn(target.shape, generator=generator), target


def test_loss_of_known_voxels_alone() -> None:
    """Without balance it is the mean cross-entropy of what is known."""
    logits, target = answers(0)
    known = target != UNLABELLED
    expected = functional.binary_cross_entropy_with_logits(logits[known], target[known].float())
    torch.testing.assert_close(BalancedEntropy(balanced=False)(logits, target), expected)
    changed = torch.where(known, logits, 100.0)
    for loss in (BalancedEntropy(), BalancedEntropy(balanced=False)):
        torch.testing.assert_close(loss(changed, target), loss(logits, target))


def test_balanced_loss() -> None:
    """It is the mean over channels and answers of the mean cross-entropy of that answer."""
    logits, target = answers(1)
    means = [
        functional.binary_cross_entropy_with_logits(
            logits[:, channel][target[:, channel] == answer],
            target[:, channel][target[:, channel] == answer].float(),
        )
        for channel in (0, 1)
        for answer in (0, 1)
    ]
    torch.testing.assert_close(BalancedEntropy()(logits, target), torch.stack(means).mean())


def test_loss_of_what_is_rare_or_unknown() -> None:
    """One voxel does not count like all others; a batch that teaches nothing has no gradient."""
    target = torch.zeros(1, 1, 10, 10, 10, dtype=torch.uint8)
    target[0, 0, 0, 0, 0] = 1
    logits = torch.full(target.shape, -5.0, requires_grad=True)
    assert BalancedEntropy()(logits, target) < 5.0 * 0.06
    nothing = BalancedEntropy()(logits, torch.full_like(target, UNLABELLED))
    nothing.backward()
    assert nothing == 0 and logits.grad is not None and not logits.grad.any()


@pytest.fixture(scope="module")
def neurites() -> Source:
    """Return a small phantom of coarse voxels."""
    drawn = phantom.neurites((16, 64, 64), voxel_size=(0.03, 0.012, 0.012), seed=1, defects=0)
    return drawn.volume, drawn.instances


def learned(dls: DataLoaders, network: torch.nn.Module) -> tuple[float, float, list[float]]:
    """Return losses before and after a short training, and the Dice of both answers."""
    learn = volume_learner(dls, network)
    with learn.no_bar(), learn.no_logging():
        before = learn.validate()[0]
        learn.fit(4, 1e-2)
        after, *dice = learn.validate()
    return before, after, dice


@pytest.mark.parametrize("residual", [False, True])
def test_affinities_are_learned(neurites: Source, residual: bool) -> None:
    """The loss falls on a tiny phantom, and what is apart is found."""
    torch.manual_seed(0)
    block = volume_block(valid=np.s_[10:], patch=(6, 32, 32), patches=40, offsets=OFFSETS)
    dls = block.dataloaders(neurites, bs=2, num_workers=0)
    strides = anisotropic_strides(neurites[0].voxel_size, 3)
    network = UNet(4, features=(8, 12, 16), strides=strides, residual=residual)
    before, after, dice = learned(dls, network)
    assert after < 0.9 * before
    assert min(dice) > 0.5


def test_boundaries_are_learned(neurites: Source) -> None:
    """So do networks that see three sections."""
    torch.manual_seed(0)
    block = section_block(valid=np.s_[11:], patch=48, patches=60)
    dls = block.dataloaders(neurites, bs=4, num_workers=0)
    before, after, dice = learned(dls, UNet(1, in_channels=3, features=(8, 12)))
    assert after < 0.9 * before
    assert min(dice) > 0.5


def test_names_of_the_scores(neurites: Source) -> None:
    """What the log calls them; the second decides which epoch is the best."""
    block = volume_block(valid=np.s_[12:], patch=(4, 32, 32), patches=2)
    dls = block.dataloaders(neurites, bs=1, num_workers=0)
    learn = volume_learner(dls, UNet(3, features=(2, 3), strides=((1, 2, 2),)))
    assert [metric.name for metric in learn.metrics] == ["dice_together", "dice_apart"]


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (UNet(3, features=(2, 3), strides=((2, 2, 2),)), r"strides are \(2, 2, 2\)"),
        (UNet(3, features=(2, 3)), "as many dimensions"),
        (UNet(3, features=(2, 3), strides=((3, 2, 2),)), "3 times the stride"),
        (UNet(4, features=(2, 3), strides=((1, 2, 2),)), "an output for every offset"),
    ],
)
def test_networks_that_do_not_fit(network: torch.nn.Module, words: str) -> None:
    """Strides, dimensions and outputs of a network are compared with the patches."""
    source = Volume(np.zeros((12, 8, 8)), (0.03, 0.01, 0.01)), np.ones((12, 8, 8), int)
    block = volume_block(valid=np.s_[6:], patch=(3, 4, 4))
    learn = volume_learner(block.dataloaders(source, bs=2, num_workers=0), network)
    with pytest.raises(ValueError, match=words):
        learn.validate()
