"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from axonlab import io
from axonlab.micrograph import CLASSES, UNLABELLED

Disc = Callable[[tuple[int, int], tuple[float, float], float], NDArray[np.bool_]]
RandomBatch = Callable[..., tuple[Any, Any]]  # of torch, which only some tests need

settings.register_profile("busy machine", deadline=None)  # no test fails for being slow
settings.load_profile("busy machine")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real micrographs, which a checkout does not hold."""
    folder = os.environ.get("AXONLAB_DATA")
    if not folder:
        pytest.skip("AXONLAB_DATA is not set: it names the folder of real micrographs")
    return Path(folder)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: on tiny networks several threads mostly wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def random_models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write two quick models with random weights, for images like those of `bids`."""
    import torch

    from axonlab.models import ModelCard, UNet, save_model

    classes, folder = list(CLASSES)[:3], tmp_path_factory.mktemp("models")
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = UNet(3, features=(3, 4, 5))
        torch.nn.init.normal_(network.head.weight, std=2)
        architecture = {"class": "UNet", "n_classes": 3, "features": (3, 4, 5)}
        card = ModelCard(f"random {seed}", classes, 0.2, architecture)
        paths.append(save_model(folder / f"{seed}.safetensors", network, card))
    return paths


@pytest.fixture(scope="session")
def disc() -> Disc:
    """Return a function that rasterises a disc: a pixel belongs to it when its centre does."""

    def draw(
        shape: tuple[int, int], centre: tuple[float, float], radius: float
    ) -> NDArray[np.bool_]:
        y, x = np.ogrid[: shape[0], : shape[1]]
        return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2

    return draw


@pytest.fixture(scope="session")
def random_batch() -> RandomBatch:
    """Return a function that draws logits and targets, of which a share is 255."""
    import torch

    def draw(seed: int, unlabelled: float = 0.3) -> tuple[Any, Any]:
        generator = torch.Generator().manual_seed(seed)
        logits = 2 * torch.randn(2, 3, 5, 6, generator=generator)
        target = torch.randint(0, 3, (2, 5, 6), generator=generator)
        target[torch.rand(2, 5, 6, generator=generator) < unlabelled] = UNLABELLED
        return logits, target

    return draw


@pytest.fixture
def bids(tmp_path: Path, disc: Disc) -> Path:
    """Write a data set of three animals: rings of myelin (dark) about axons (bright)."""
    rng = np.random.default_rng(0)
    masks = tmp_path / "derivatives" / "labels"
    for animal in ("sub-a", "sub-b", "sub-c"):
        for sample in (1, 2):
            labels = np.zeros((60, 72), np.uint8)
            for _ in range(4):
                centre, radius = tuple(rng.uniform(8, 56, 2)), rng.uniform(5, 10)
                labels[disc(labels.shape, centre, radius)] = CLASSES["myelin"]
                labels[disc(labels.shape, centre, 0.6 * radius)] = CLASSES["axon"]
            grey = np.array([120, 40, 200])[labels] + rng.normal(0, 5, labels.shape)
            name = f"{animal}_sample-{sample}_SEM"
            image = tmp_path / animal / "micr" / f"{name}.png"
            io.write_image(image, grey.clip(0, 255).astype(np.uint8))
            io.write_json(image.with_suffix(".json"), {"PixelSize": [0.2, 0.2]})
            name = f"{animal}/micr/{name}_seg-axonmyelin-manual.png"
            io.write_image(masks / name, np.array([0, 127, 255], np.uint8)[labels])
    return tmp_path
