"""Figures: what is drawn where, and how it is labelled."""

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from bokeh.models import ColorBar, LegendItem, LinearColorMapper

from axonlab import phantom, plot
from axonlab.micrograph import UNLABELLED, Micrograph

hv.extension("bokeh")


@pytest.fixture(scope="module")
def nerve():
    """Return a small phantom."""
    return phantom.nerve((150, 200), seed=3)


def test_image_shows_the_first_row_on_top():
    """A bright pixel in row 1, column 2 is drawn at y = 1, x = 2 pixels, y pointing down."""
    pixels = np.zeros((4, 6), np.float32)
    pixels[1, 2] = 1
    image = plot.image(Micrograph(pixels, pixel_size=0.5))
    frame = image.dframe()
    bright = frame.loc[frame.iloc[:, 2].idxmax()]
    assert (bright["x"], bright["y"]) == (1.0, 0.5)
    assert hv.renderer("bokeh").get_plot(image).state.y_range.start > 1


def test_image_is_called_by_its_name():
    """Braces in the name of a file are no fields that HoloViews could fill in."""
    image = plot.image(Micrograph(np.zeros((4, 6)), 0.5, name="a{0}{b}.tif"))
    assert hv.renderer("bokeh").get_plot(image).state.title.text == "a{0}{b}.tif"


def test_large_images_are_thinned(monkeypatch, nerve):
    """What is sent to the browser is bounded, and covers the same field."""
    monkeypatch.setattr(plot, "DISPLAY_PIXELS", 1000)
    image = plot.image(nerve.micrograph)
    assert image.dimension_values(2, flat=False).size <= 1000
    assert image.bounds.lbrt() == pytest.approx((-0.05, -0.05, 19.95, 14.95))


def test_overlay_colours_classes_and_leaves_background_grey(nerve):
    """The picture for the folder is RGB: grey where there is background."""
    picture = plot.overlay(nerve.micrograph, nerve.labels)
    assert picture.shape == (150, 200, 3) and picture.dtype == np.uint8
    background = picture[nerve.labels == 0]
    assert (background == background[:, :1]).all()
    axon = picture[nerve.labels == 2].mean(0)
    assert axon[2] > axon[0]


def disagreement_of(pairs, shape):
    """Return the plot of labels that are `pairs` at some pixels and background elsewhere."""
    first, second = np.zeros((2, *shape), np.uint8)
    for place, (one, other) in pairs.items():
        first[place], second[place] = one, other
    return plot.disagreement(Micrograph(np.zeros(shape), 0.5), first, second)


def test_disagreement_says_who_sees_what():
    """Each kind has its colour, agreement is faint, and nothing is drawn over what is unknown."""
    pairs = [(2, 0), (0, 1), (1, 2), (3, 2), (1, 1), (0, 0), (2, UNLABELLED), (UNLABELLED, 0)]
    row = disagreement_of({(0, i): pair for i, pair in enumerate(pairs)}, (1, len(pairs))).RGB.I
    drawn = np.dstack([row.dimension_values(i, flat=False) for i in range(2, 6)])[0]
    mine, theirs, other = (list(bytes.fromhex(c[1:])) for c in plot.DISAGREEMENTS.values())
    assert drawn[:4, :3].tolist() == [mine, theirs, other, other]
    assert len(set(drawn[:4, 3])) == 1
    assert 0 < drawn[4, 3] < drawn[0, 3] / 2
    assert (drawn[5:, 3] == 0).all()


def test_disagreement_lies_over_its_pixel():
    """A difference in row 1, column 2 is drawn at y = 1, x = 2 pixels, over the micrograph."""
    figure = disagreement_of({(1, 2): (2, 0)}, (4, 6))
    frame = figure.RGB.I.dframe()
    drawn = frame[frame["A"] > 0]
    assert drawn[["x", "y"]].to_numpy().tolist() == [[1.0, 0.5]]
    assert figure.RGB.I.bounds.lbrt() == figure.Image.I.bounds.lbrt()


def test_disagreement_has_a_legend():
    """All kinds are named, also those that do not occur; the plot shows no more than the image."""
    state = hv.renderer("bokeh").get_plot(disagreement_of({}, (4, 6))).state
    shown = {item.label.value for item in state.select({"type": LegendItem})}
    assert shown == set(plot.DISAGREEMENTS)
    assert (state.x_range.start, state.x_range.end) == (-0.25, 2.75)
    assert (state.y_range.start, state.y_range.end) == (1.75, -0.25)


def test_disagreement_calls_them_by_name():
    """A model and the truth are named in the legend."""
    micrograph, labels = Micrograph(np.zeros((4, 6)), 0.5), np.zeros((4, 6), np.uint8)
    figure = plot.disagreement(micrograph, labels, labels, names=("the model", "the truth"))
    state = hv.renderer("bokeh").get_plot(figure).state
    shown = {item.label.value for item in state.select({"type": LegendItem})}
    assert {"fibre only in the model", "fibre only in the truth"} < shown


def test_disagreement_as_a_picture():
    """The picture for a thumbnail has the colours of the map over the grey values."""
    micrograph = Micrograph(np.tile([0.0, 255.0], (2, 3)), 0.5)
    first, second = np.zeros((2, 2, 6), np.uint8)
    first[0, 1], second[1, 4] = 2, 1
    picture = plot.disagreement_picture(micrograph, first, second)
    assert picture.shape == (2, 6, 3) and picture.dtype == np.uint8
    share = round(255 * plot.OPACITY_DIFFERENT) / 255
    for place, colour in zip(((0, 1), (1, 4)), plot.DISAGREEMENTS.values(), strict=False):
        grey = plot.grey(micrograph.pixels)[place]
        wanted = [share * c + (1 - share) * grey for c in bytes.fromhex(colour[1:])]
        assert picture[place].tolist() == pytest.approx(wanted, abs=1)
    assert (picture[0, 2:] == plot.grey(micrograph.pixels)[0, 2:, None]).all()
    with pytest.raises(ValueError, match="same image"):
        plot.disagreement_picture(micrograph, first.T, second)


def test_disagreement_refuses_other_shapes():
    """Labels of another image are an error, not a stretched map."""
    micrograph, labels = Micrograph(np.zeros((4, 6)), 0.5), np.zeros((4, 6), np.uint8)
    for first, second in ((labels[:2], labels), (labels, labels.T)):
        with pytest.raises(ValueError, match="same image"):
            plot.disagreement(micrograph, first, second)


def test_learning_curve_shows_every_column():
    """Losses and Dice are drawn apart, each under its name."""
    names = ["train_loss", "valid_loss", "dice_background", "dice_unmyelinated_axon"]
    history = pd.DataFrame({"epoch": [0, 1]} | {name: [1.0, 0.5] for name in names})
    losses, dice = plot.learning_curve(history)
    state = hv.renderer("bokeh").get_plot(losses + dice).state
    shown = {item.label.value for item in state.select({"type": LegendItem})}
    assert shown == {"training", "validation", "background", "unmyelinated axon"}
    assert {tuple(curve.dimension_values("epoch")) for curve in [*losses, *dice]} == {(1, 2)}


def test_a_map_of_doubt_has_its_own_range():
    """Beside a micrograph, whose grey values go up to 255, it is not all dark."""
    micrograph = Micrograph(np.arange(400.0).reshape(20, 20), 0.1)
    doubt = np.linspace(0, 0.5, 400, dtype=np.float32).reshape(20, 20)
    figure = plot.image(micrograph) + plot.uncertainty(micrograph, doubt, "disagreement (bits)")
    state = hv.renderer("bokeh").get_plot(figure).state
    assert {mapper.high for mapper in state.select({"type": LinearColorMapper})} == {255, 0.5}
    assert not any(bar.title for bar in state.select({"type": ColorBar}))


def test_learning_curve_without_validation():
    """What nobody measured is not drawn, and nothing fails."""
    history = pd.DataFrame(
        {"epoch": [0, 1], "train_loss": [1.0, 0.5], "valid_loss": None, "dice_axon": None}
    )
    assert hv.renderer("bokeh").get_plot(plot.learning_curve(history))
