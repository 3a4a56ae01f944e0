"""Losses: each is what it says, pixel by pixel, and unlabelled pixels teach nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from axonlab.losses import LOSSES, BoundaryWeighted, CrossEntropyDice, FocalDice, Tversky
from axonlab.micrograph import UNLABELLED

RandomBatch = Callable[..., tuple[Any, Any]]

pytestmark = pytest.mark.usefixtures("one_thread")

each_loss = pytest.mark.parametrize("name", LOSSES)
few = settings(max_examples=10)
seeds = st.integers(0, 10**6)


def slow_pixels(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """Return probabilities and truth of the labelled pixels, and where they are."""
    places = [place for place in np.ndindex(target.shape) if target[place] != UNLABELLED]
    odds = [np.exp(logits[n, :, y, x].astype(float)) for n, y, x in places]
    return np.array([o / o.sum() for o in odds]), np.array([target[p] for p in places]), places


def slow_overlap(
    probabilities: np.ndarray, truth: np.ndarray, false_positive: float, false_negative: float
) -> float:
    """Return one minus the mean Tversky index of the classes that occur."""
    indices = []
    for c in set(truth.tolist()):
        hit = sum(p[c] for p, t in zip(probabilities, truth, strict=True) if t == c)
        extra = sum(p[c] for p, t in zip(probabilities, truth, strict=True) if t != c)
        missed = sum(1 - p[c] for p, t in zip(probabilities, truth, strict=True) if t == c)
        indices.append(hit / (hit + false_positive * extra + false_negative * missed))
    return float(1 - np.mean(indices))


def slow_weight(target: np.ndarray, n: int, y: int, x: int, extra: float, reach: int) -> float:
    """Return the weight of a pixel, from a look at all its neighbours."""
    window = target[n, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return 1 + extra * bool((set(window.flat) - {UNLABELLED}) - {target[n, y, x]})


def slow_loss(name: str, logits: np.ndarray, target: np.ndarray) -> float:
    """Compute a loss with its default parameters in loops over pixels."""
    probabilities, truth, places = slow_pixels(logits, target)
    right = np.array([p[t] for p, t in zip(probabilities, truth, strict=True)])
    entropy = -np.log(right)
    if name == "boundary-weighted":
        weights = [slow_weight(target, *place, 4, 2) for place in places]
        return np.average(entropy, weights=weights) + slow_overlap(probabilities, truth, 0.5, 0.5)
    if name == "focal + Dice":
        focal = np.mean((1 - right) ** 2 * entropy)
        return focal + slow_overlap(probabilities, truth, 0.5, 0.5)
    sides = (0.3, 0.7) if name == "Tversky" else (0.5, 0.5)
    return entropy.mean() + slow_overlap(probabilities, truth, *sides)


# --- what they are


@each_loss
@few
@given(seed=seeds, unlabelled=st.sampled_from([0.0, 0.3, 0.9]))
def test_losses_against_a_slow_oracle(
    name: str, random_batch: RandomBatch, seed: int, unlabelled: float
) -> None:
    """Each agrees with loops over pixels."""
    logits, target = random_batch(seed, unlabelled)
    target[0, 0, 0] = 1  # at least one labelled pixel
    found = LOSSES[name]()(logits, target).item()
    assert found == pytest.approx(slow_loss(name, logits.numpy(), target.numpy()), rel=1e-5)


@few
@given(seed=seeds, reach=st.integers(0, 4), unlabelled=st.sampled_from([0.0, 0.5]))
def test_weights_at_borders(
    random_batch: RandomBatch, seed: int, reach: int, unlabelled: float
) -> None:
    """Another class within reach makes a labelled pixel count more; unlabelled ones do not."""
    target = random_batch(seed, unlabelled)[1]
    target[0] = torch.where(target[0] == UNLABELLED, UNLABELLED, 2)  # an image of one class
    found = BoundaryWeighted(extra=3, reach=reach).weights(target).numpy()
    labels = target.numpy()
    for place in zip(*np.nonzero(labels != UNLABELLED), strict=True):
        assert found[place] == slow_weight(labels, *place, 3, reach)


def test_a_border_to_unlabelled_pixels_is_none() -> None:
    """Beside, and across, what nobody labelled."""
    labels = torch.tensor([[[0, 0, UNLABELLED, 0, UNLABELLED, 1, 1, 1, 1]]])
    weights = BoundaryWeighted(extra=4, reach=2).weights(labels)[labels != UNLABELLED]
    assert weights.tolist() == [1, 1, 5, 5, 1, 1, 1]


@few
@given(seed=seeds)
def test_losses_that_are_the_same(random_batch: RandomBatch, seed: int) -> None:
    """Without their special parameter all are cross-entropy with Dice."""
    logits, target = random_batch(seed)
    plain = CrossEntropyDice()(logits, target).item()
    for other in (
        FocalDice(gamma=0),
        Tversky(0.5, 0.5),
        BoundaryWeighted(0),
        BoundaryWeighted(4, 0),
    ):
        assert other(logits, target).item() == pytest.approx(plain, rel=1e-5)


def test_tversky_punishes_misses_more() -> None:
    """Of a rare class, a pixel missed costs more than one in excess."""
    truth, missed, extra = torch.zeros(3, 1, 100, dtype=torch.long)
    truth[0, :6], missed[0, :4], extra[0, :9] = 1, 1, 1

    def cost(loss: torch.nn.Module, found: torch.Tensor) -> float:
        logits = 9 * torch.nn.functional.one_hot(found, 2).movedim(-1, 1).float()
        return float(loss(logits[..., None], truth[..., None]))

    dice, tversky = Tversky(0.5, 0.5), Tversky()
    assert cost(tversky, missed) > cost(dice, missed)
    assert cost(tversky, extra) < cost(dice, extra)


def test_focal_forgets_what_is_right() -> None:
    """Pixels that are nearly right count next to nothing, beside cross-entropy."""
    logits = torch.tensor([2.0, 0.0])[None, :, None, None].expand(1, 2, 3, 3)
    target = torch.zeros(1, 3, 3)
    wrong = 1 / (1 + np.exp(2))
    difference = CrossEntropyDice()(logits, target) - FocalDice()(logits, target)
    assert difference.item() == pytest.approx(-np.log(1 - wrong) * (1 - wrong**2), rel=1e-4)


@each_loss
def test_perfect_predictions(name: str) -> None:
    """The loss of certain, right predictions is 0."""
    target = torch.tensor([[[0, 1, 1, UNLABELLED]]])
    logits = torch.full((1, 3, 1, 4), -30.0)
    for x, truth in enumerate([0, 1, 1, 2]):
        logits[0, truth, 0, x] = 30
    assert LOSSES[name]()(logits, target).item() == pytest.approx(0, abs=1e-5)


def test_hopeless_predictions() -> None:
    """Wrong ones cost the margin of the logits and all Dice."""
    target = torch.tensor([[[0, 1, 1, UNLABELLED]]])
    logits = torch.full((1, 3, 1, 4), -30.0)
    logits[0, [1, 2, 2, 0], 0, range(4)] = 30
    assert CrossEntropyDice()(logits, target).item() == pytest.approx(61, abs=1e-3)


# --- unlabelled pixels


@each_loss
@few
@given(seed=seeds)
def test_unlabelled_pixels_have_no_influence(
    name: str, random_batch: RandomBatch, seed: int
) -> None:
    """Whatever is predicted where nobody labelled, loss and gradient are exactly the same."""
    logits, target = random_batch(seed)
    other = torch.where((target == UNLABELLED)[:, None], 100 * torch.randn_like(logits), logits)
    results = []
    for x in (logits, other):
        x = x.clone().requires_grad_()
        loss = LOSSES[name]()(x, target)
        loss.backward()
        results.append((loss, x.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert (results[0][1].movedim(1, -1)[target == UNLABELLED] == 0).all()
    assert results[0][1].abs().sum() > 0


@each_loss
def test_a_batch_without_labels_teaches_nothing(name: str, random_batch: RandomBatch) -> None:
    """The loss is finite and every gradient zero."""
    logits = random_batch(0)[0].requires_grad_()
    loss = LOSSES[name]()(logits, torch.full((2, 5, 6), UNLABELLED, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


# --- numbers that are far out


@each_loss
@pytest.mark.parametrize("scale", [1e-3, 1e3, 1e6])
def test_gradients_are_finite(name: str, scale: float, random_batch: RandomBatch) -> None:
    """However certain the network is, right or wrong."""
    logits, target = random_batch(3)
    logits = (scale * logits).requires_grad_()
    loss = LOSSES[name]()(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@each_loss
def test_an_absent_class_that_vanishes_gives_no_nan(name: str) -> None:
    """A class that is neither labelled nor predicted, down to underflow, does no harm."""
    logits = torch.zeros(1, 3, 4, 4)
    logits[:, 2] = -200
    logits.requires_grad_()
    loss = LOSSES[name]()(logits, torch.arange(16).reshape(1, 4, 4) % 2)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@each_loss
def test_losses_take_half_precision(name: str, random_batch: RandomBatch) -> None:
    """bfloat16 logits are taken as float32, and the numbers of classes in any type."""
    logits, target = random_batch(1)
    loss = LOSSES[name]()
    exact = loss(logits, target)
    assert loss(logits.bfloat16(), target.to(torch.uint8)).item() == pytest.approx(
        exact.item(), 0.02
    )


def test_volumes_work_as_planes_do(random_batch: RandomBatch) -> None:
    """A volume of one plane costs what the plane does."""
    logits, target = random_batch(1)
    for loss in (CrossEntropyDice(), FocalDice(), Tversky()):
        volume = loss(logits[:, :, None], target[:, None])
        assert volume.item() == pytest.approx(loss(logits, target).item())
