"""The widget of cells: sliders change the cells, their picture and scores at once."""

import base64
import re
from io import BytesIO

import ipywidgets
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from axonlab import phantom, plot_cells, score
from axonlab.cells import label_cells, pieces
from axonlab.widgets import CellWidget


@pytest.fixture(scope="module")
def stack():
    """Return grey values, probabilities and truth of three sections."""
    drawn = phantom.membranes((3, 90, 110), seed=2)
    clouds = ndimage.gaussian_filter(np.random.default_rng(0).random(drawn.interior.shape), 2)
    probability = ndimage.gaussian_filter(drawn.interior.astype(float), (0, 1, 1))
    return drawn.volume.pixels, np.clip(0.8 * probability + clouds - 0.4, 0, 1), drawn.interior


@pytest.fixture
def calls(monkeypatch):
    """Replace the scores by those of a number of calls; return what they were called with."""
    seen = []

    def stub(segmentation, truth):
        seen.append((segmentation, truth))
        return {
            "adapted_rand_error": 0.1 * len(seen),
            "precision": 1.0,
            "recall": 1.0,
            "voi_split": 0.25,
            "voi_merge": 0.5,
        }

    monkeypatch.setattr(score, "partition_scores", stub, raising=False)
    return seen


def shown(widget):
    """Return the pixels of the pictures of a widget."""
    found = re.findall(r'base64,([^"]+)"', widget.picture.value)
    return [np.asarray(Image.open(BytesIO(base64.b64decode(one)))) for one in found]


def test_it_starts_at_an_answer(stack, calls):
    """Before anything is touched there are cells, their scores and their picture."""
    pixels, probability, truth = stack
    widget = CellWidget(pixels, probability, truth)
    assert (widget.threshold, widget.h, widget.section) == (0.5, 0.1, 0)
    assert (widget.cells == label_cells(probability[0])).all()
    assert (calls[0][0] == widget.cells).all() and (calls[0][1] == pieces(truth[0])).all()
    assert widget.scores["voi_merge"] == 0.5
    assert f"{widget.cells.max()} cells" in widget.told.value
    told = re.sub("<[^>]+>", "", widget.told.value)
    for text in ("Rand F 0.900", "VOI split 0.250", "VOI merge 0.500"):
        assert text in told
    assert 'role="status"' in widget.told.value
    assert (shown(widget)[0] == plot_cells.cell_picture(pixels[0], widget.cells)).all()


def test_sliders_are_followed(stack, calls):
    """Threshold, h and section change the cells, scores and picture at once."""
    pixels, probability, truth = stack
    widget = CellWidget(pixels, probability, truth, threshold=0.4, h=0.3)
    widget.threshold_slider.value = 0.6
    widget.h_slider.value = 0.05
    assert (widget.cells == label_cells(probability[0], threshold=0.6, h=0.05)).all()
    widget.section_slider.value = 2
    assert (widget.threshold, widget.h, widget.section) == (0.6, 0.05, 2)
    assert (widget.cells == label_cells(probability[2], threshold=0.6, h=0.05)).all()
    assert (calls[-1][1] == pieces(truth[2])).all() and len(calls) == 4
    assert (shown(widget)[0] == plot_cells.cell_picture(pixels[2], widget.cells)).all()
    sliders = (widget.threshold_slider, widget.h_slider, widget.section_slider)
    assert all(slider.continuous_update for slider in sliders)


def test_a_section_without_truth(stack, calls):
    """A single section has no slider of sections, and without a truth there are no scores."""
    pixels, probability, _ = stack
    widget = CellWidget(pixels[0], probability[0])
    sliders = [w for w in widget.children if isinstance(w, ipywidgets.IntSlider)]
    assert sliders == [] and not calls and widget.scores == {}
    assert "Rand" not in widget.told.value
    widget.threshold_slider.value = 1
    assert widget.cells.max() == 0 and "0 cells" in widget.told.value


def test_a_truth_without_cells(stack, calls):
    """A section of which the truth tells nothing has no scores."""
    pixels, probability, truth = stack
    told = truth & (np.arange(3) != 1)[:, None, None]
    widget = CellWidget(pixels, probability, told)
    widget.section_slider.value = 1
    assert widget.scores == {} and len(calls) == 1 and widget.cells.max() > 0


def test_truth_of_ids(stack, calls):
    """A truth that numbers cells is compared as it is."""
    pixels, probability, truth = stack
    ids = 7 * pieces(truth)
    CellWidget(pixels, probability, ids)
    assert (calls[0][1] == ids[0]).all()


def test_real_scores(stack):
    """The scores of the package are shown, and are good for a good probability."""
    if not hasattr(score, "partition_scores"):
        pytest.skip("partition_scores is not there yet")
    widget = CellWidget(*stack)
    assert widget.scores["adapted_rand_error"] < 0.2


def test_what_does_not_fit(stack):
    """Another shape is told before anything is drawn."""
    pixels, probability, truth = stack
    with pytest.raises(ValueError, match=r"probability of shape \(2, 90, 110\) for pixels of \(3,"):
        CellWidget(pixels, probability[:2])
    with pytest.raises(ValueError, match=r"truth of shape \(90, 110\) for pixels"):
        CellWidget(pixels, probability, truth[0])


def test_the_picture():
    """Membranes stay grey, outlines have the colour of their cell, its inside is tinted."""
    pixels = np.tile(np.linspace(0, 255, 40, dtype=np.float32), (30, 1))
    cells = np.zeros((30, 40), np.int32)
    cells[5:25, 3:20], cells[5:25, 20:36] = 1, 9
    drawn = plot_cells.cell_picture(pixels, cells)
    assert drawn.shape == (30, 40, 3) and drawn.dtype == np.uint8
    assert (np.ptp(drawn[cells == 0].astype(int), axis=1) == 0).all()
    colours = [list(bytes.fromhex(colour[1:])) for colour in plot_cells.COLOURS[:2]]
    assert drawn[10, 19].tolist() == colours[0] and drawn[10, 20].tolist() == colours[1]
    assert np.ptp(drawn[10, 10].astype(int)) > 20 and drawn[10, 10].tolist() != colours[0]
    with pytest.raises(ValueError, match=r"cells of shape \(30, 40\) over a section of \(30, 39\)"):
        plot_cells.cell_picture(pixels[:, 1:], cells)
