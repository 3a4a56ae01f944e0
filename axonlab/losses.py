"""Losses for class numbers per pixel. Pixels of class 255 (unlabelled) have no influence."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from axonlab.micrograph import UNLABELLED


class CrossEntropyDice(nn.Module):
    """Mean cross-entropy plus one minus the mean soft Dice of the classes.

    Soft Dice is taken over the whole batch; classes that no labelled pixel of the batch has are
    left out of its mean.

    Notes
    -----
    Milletari, Navab & Ahmadi 2016, arXiv:1606.04797.
    """

    false_positive = false_negative = 0.5
    """Weight of pixels found in excess, and of those missed, in the overlap: 0.5 each is Dice."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of (n, classes, …) logits against (n, …) class numbers."""
        logits, target = logits.as_subclass(Tensor).float(), target.as_subclass(Tensor).long()
        labelled = target != UNLABELLED
        if not labelled.any():
            return logits.sum() * 0  # keeps the graph: such a batch teaches nothing
        weights = self.weights(target)[labelled]
        logits, target = logits.movedim(1, -1)[labelled], target[labelled]
        entropy = self.weaken(functional.cross_entropy(logits, target, reduction="none"))
        overlap = _overlap_loss(logits, target, self.false_positive, self.false_negative)
        return (weights * entropy).sum() / weights.sum() + overlap

    def weights(self, target: Tensor) -> Tensor:
        """Return how much each pixel counts in the cross-entropy, in the shape of the target."""
        return torch.ones_like(target, dtype=torch.float)

    def weaken(self, entropy: Tensor) -> Tensor:
        """Return what is left of the cross-entropy of each pixel."""
        return entropy


class BoundaryWeighted(CrossEntropyDice):
    """Cross-entropy with Dice in which pixels near a border between classes count more.

    Parameters
    ----------
    extra : float
        How many times more a pixel at a border counts in the cross-entropy.
    reach : int
        Distance in pixels of the network up to which a pixel is near.

    Notes
    -----
    After the weight map of Ronneberger, Fischer & Brox 2015, arXiv:1505.04597, with one weight for
    every border instead of the distances to two cells. A border to unlabelled pixels is none.
    """

    def __init__(self, extra: float = 4.0, reach: int = 2) -> None:
        super().__init__()
        self.extra = extra
        self.reach = reach

    def weights(self, target: Tensor) -> Tensor:
        """Return 1, and `extra` more where another class lies within `reach`."""
        unlabelled = target == UNLABELLED
        size, values = 2 * self.reach + 1, target.float()
        low = -_maximum(-values, size)
        high = _maximum(values.masked_fill(unlabelled, -1), size)
        return 1 + self.extra * (high != low).float()


class FocalDice(CrossEntropyDice):
    """Focal loss, in which pixels that are already right count little, plus soft Dice.

    Parameters
    ----------
    gamma : float
        0 is cross-entropy.

    Notes
    -----
    Lin et al. 2017, arXiv:1708.02002.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def weaken(self, entropy: Tensor) -> Tensor:
        """Return little of what is little: exp(−entropy) is the probability of the truth."""
        return (1 - torch.exp(-entropy)) ** self.gamma * entropy


class Tversky(CrossEntropyDice):
    """Cross-entropy plus one minus the Tversky index, which can punish misses more than extras.

    Parameters
    ----------
    false_positive, false_negative : float
        Weight of pixels found in excess, and of those missed; 0.5 each is Dice.

    Notes
    -----
    Salehi, Erdogmus & Gholipour 2017, arXiv:1706.05721, with their weights.
    """

    def __init__(self, false_positive: float = 0.3, false_negative: float = 0.7) -> None:
        super().__init__()
        self.false_positive = false_positive
        self.false_negative = false_negative


LOSSES = {
    "cross-entropy + Dice": CrossEntropyDice,
    "boundary-weighted": BoundaryWeighted,
    "focal + Dice": FocalDice,
    "Tversky": Tversky,
}
"""What can be chosen by name, the default first."""


def _overlap_loss(
    logits: Tensor, target: Tensor, false_positive: float, false_negative: float
) -> Tensor:
    """Return one minus the mean Tversky index of the classes that occur in the target."""
    truth = functional.one_hot(target, logits.shape[1]).float()
    present = truth.any(0)
    truth, predicted = truth[:, present], logits.softmax(1)[:, present]
    common, found, true = (predicted * truth).sum(0), predicted.sum(0), truth.sum(0)
    total = common + false_positive * (found - common) + false_negative * (true - common)
    return 1 - (common / total).mean()


def _maximum(values: Tensor, size: int) -> Tensor:
    """Return the maximum over squares of `size` around each pixel of (n, H, W)."""
    return functional.max_pool2d(values[:, None], size, stride=1, padding=size // 2)[:, 0]
