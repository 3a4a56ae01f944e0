"""The gallery without a browser: what is on show, and what a click changes."""

import base64
import io
import re

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from axonlab import plot, score
from axonlab.evaluate import Evaluation
from axonlab.micrograph import CLASSES
from axonlab.pairs import find_pairs, read_pair
from axonlab.widgets import Gallery
from axonlab.widgets.gallery import THUMBNAIL_PX

hv.extension("bokeh")

NAMES = ["background", "myelin", "axon"]


def evaluation_of(pairs):
    """Return an evaluation in which the model misses more and more rows of each image."""
    rows, labels = [], []
    for i, pair in enumerate(pairs):
        found = read_pair(pair)[1].copy()
        found[: 8 * i] = CLASSES["background"]
        labels.append(found)
        dice = {f"dice_{name}": 1 - 0.1 * i for name in NAMES}
        rows.append(
            {"image": f"image {i}", "animal": pair.animal, **dice, "mean_dice": 1 - 0.1 * i}
        )
    empty = pd.DataFrame()
    return Evaluation("made up", NAMES, pairs, pd.DataFrame(rows), [], labels, empty, empty)


@pytest.fixture
def pairs(bids):
    """Return six pairs of three animals."""
    return find_pairs(bids)


def test_the_worst_image_is_first_and_open(pairs):
    """Small images come from worst to best; captions name image, animal and Dice."""
    gallery = Gallery(evaluation_of(pairs))
    assert gallery.order == [5, 4, 3, 2, 1, 0]
    assert gallery.selected == 5
    captions = [button.label for button in gallery.thumbnails.values()]
    wanted = "image 5\nsub-c\nDice background 0.500 · myelin 0.500 · axon 0.500"
    assert captions[0].replace("\xa0", " ") == wanted  # a class and its Dice stay together
    assert gallery.__panel__().get_root()


def test_a_click_shows_another_image(pairs):
    """The views are those of the chosen image, its small one is marked, and no other."""
    evaluation = evaluation_of(pairs)
    gallery = Gallery(evaluation)
    gallery.thumbnails[2].clicks += 1
    assert gallery.selected == 2
    marked = [i for i, button in gallery.thumbnails.items() if len(button.stylesheets) == 2]
    assert marked == [2]
    title = gallery.__panel__()[1].object.replace("\xa0", " ")
    assert "image 2 · sub-b · Dice background 0.800" in title
    shown = list(gallery.__panel__()[2].object)
    assert len(shown) == 3
    micrograph, truth = read_pair(pairs[2])
    for view, labels in zip(shown, (truth, evaluation.labels[2]), strict=False):
        wanted = plot.classes(micrograph, labels)
        assert np.array_equal(view.RGB.I.dimension_values(2), wanted.dimension_values(2))


def test_what_the_model_does_not_know_is_not_shown_as_missed(pairs):
    """The truth is merged into the classes of the model, as in its scores."""
    evaluation = evaluation_of(pairs[:1])
    gallery = Gallery(
        Evaluation("m", NAMES[::2], pairs[:1], evaluation.images, [], evaluation.labels, None, None)
    )
    micrograph, truth = read_pair(pairs[0])
    wanted = plot.classes(micrograph, score.merge_classes(truth, NAMES[::2]))
    shown = next(iter(gallery.__panel__()[2].object)).RGB.I
    assert np.array_equal(shown.dimension_values(5), wanted.dimension_values(5))


def test_small_images_are_small(pairs):
    """A small image keeps the shape of the large one and shows where the two differ."""
    gallery = Gallery(evaluation_of(pairs))
    content = re.search(r"base64,([^)]*)\)", gallery.thumbnails[5].stylesheets[0])[1]
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert picture.size == (THUMBNAIL_PX, round(THUMBNAIL_PX * 60 / 72))
    missed = list(bytes.fromhex(plot.DISAGREEMENTS["fibre only in the second"][1:]))
    blueish = np.asarray(picture.convert("RGB")).astype(int)
    assert (blueish[..., 2] - blueish[..., 0] > (missed[2] - missed[0]) / 2).mean() > 0.05


@pytest.mark.parametrize("number", [1, 40])
def test_any_number_of_images(pairs, number):
    """One image will do, and forty; images without Dice come last."""
    evaluation = evaluation_of((pairs * 7)[:number])
    evaluation.images.loc[0, "mean_dice"] = np.nan
    gallery = Gallery(evaluation)
    assert len(gallery.thumbnails) == number
    assert gallery.order[-1] == 0
    assert gallery.__panel__().get_root()
