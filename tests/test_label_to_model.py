"""The loop closes: a few strokes, a training on them, a prediction better than chance."""

from pathlib import Path

import numpy as np
import pytest
from fastai.torch_core import set_seed

from axonlab import data, io, learn, phantom, score, segment
from axonlab.autosave import open_labelling
from axonlab.labelling import KEEP, Patch
from axonlab.micrograph import CLASSES, UNLABELLED
from axonlab.models import Model, ModelCard, UNet

SHAPE, PIXEL_SIZE = (256, 320), 0.1
STROKES, STROKE_PX = 20, 7


def scribble(truth: phantom.Phantom, folder: Path) -> data.Pair:
    """Label small spots of each class, as a person would, and return image and mask as a pair."""
    labelling = open_labelling(truth.micrograph, folder / "01_labels")
    rng = np.random.default_rng(0)
    for class_id in (CLASSES["background"], CLASSES["myelin"], CLASSES["axon"]):
        places = np.argwhere(truth.labels[:-STROKE_PX, :-STROKE_PX] == class_id)
        for row, column in places[rng.choice(len(places), STROKES, replace=False)].tolist():
            spot = truth.labels[row : row + STROKE_PX, column : column + STROKE_PX]
            values = np.where(spot == class_id, spot, np.uint8(KEEP))
            labelling.apply(Patch(row, column, values))
    labelling.close()
    return pair(truth, labelling.path, folder)


def pair(truth: phantom.Phantom, mask: Path, folder: Path) -> data.Pair:
    """Write the image of a phantom beside its mask."""
    image = folder / "image.png"
    io.write_image(image, truth.micrograph.pixels.clip(0, 255).astype(np.uint8))
    io.write_json(folder / "image.json", {"PixelSize": [PIXEL_SIZE, PIXEL_SIZE]})
    return data.Pair(image, (mask,), animal=folder.name)


@pytest.mark.usefixtures("one_thread")
def test_scribbles_train_a_network(tmp_path: Path) -> None:
    """Less than 5 % of one phantom's pixels teach a network what another phantom shows."""
    seen, unseen = (phantom.nerve(SHAPE, pixel_size=PIXEL_SIZE, seed=seed) for seed in (1, 2))
    labelled = scribble(seen, tmp_path / "seen")
    assert (io.read_labels(*labelled.masks) != UNLABELLED).mean() < 0.05
    mask = io.write_labels(tmp_path / "unseen" / "labels.png", unseen.labels)
    pairs = [labelled, pair(unseen, mask, tmp_path / "unseen")]

    set_seed(0, reproducible=True)
    block = data.axon_block(
        pixel_size=PIXEL_SIZE,
        valid_animals=["unseen"],
        patch=96,
        patches_per_image=80,
        valid_patch=128,
    )
    dls = block.dataloaders(pairs, bs=4, val_bs=1, num_workers=0)
    learner = learn.axon_learner(dls, UNet(3, features=(8, 16, 32)), path=tmp_path)
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(4, 5e-3)

    architecture = {"class": "UNet", "n_classes": 3, "features": [8, 16, 32]}
    card = ModelCard("loop", ["background", "myelin", "axon"], PIXEL_SIZE, architecture)
    result = segment.segment(unseen.micrograph, Model(learner.model.cpu().eval(), card, sha256=""))
    dice = score.class_scores(result.labels, unseen.labels)["dice"]
    by_chance = score.class_scores(np.random.default_rng(0).permuted(result.labels), unseen.labels)
    assert (dice[["myelin", "axon"]] > by_chance["dice"][["myelin", "axon"]] + 0.3).all()
