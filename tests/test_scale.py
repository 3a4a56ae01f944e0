"""Working scales: found by fibre size where it is known, proposed and never applied."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from axonlab import io, models, phantom, scale

pytestmark = pytest.mark.usefixtures("one_thread")


def table(*rows):
    """Return scales from rows of claim, number of fibres, their diameter (px) and their share."""
    columns = ["pixel_size_um", "fibres", "fibre_diameter_px", "fibre_share"]
    scales = pd.DataFrame(rows, columns=columns)
    scales["fibre_diameter_um"] = scales["fibre_diameter_px"] * scales["pixel_size_um"]
    workable = scales["fibre_share"] >= scale.WORKABLE * scales["fibre_share"].max()
    return scales.assign(is_workable=workable)


@pytest.mark.parametrize(("true", "side"), [(0.05, 320), (0.1, 200), (0.15, 160)])
def test_the_scale_of_phantoms_is_found(true, side):
    """Told how large fibres are, the suggestion is within 25 % of a pixel size nobody told."""
    drawn = phantom.nerve((side, side), pixel_size=true, seed=3)
    complete = drawn.table[~drawn.table["touches_border"]]
    scales = scale.try_scales(drawn.micrograph.pixels)
    diameter = complete["fibre_diameter_um"].median()
    suggestion = scale.suggest_scale(scales, learnt_diameter=diameter)
    assert suggestion["pixel_size_um"] == pytest.approx(true, rel=0.25)
    assert suggestion["axon_diameter_px"] * true == pytest.approx(
        complete["axon_diameter_um"].median(), rel=0.15
    )


def test_every_claim_is_a_row_of_the_table():
    """Claims are factors of the model's pixel size; nothing is chosen."""
    model = models.load_model("sem")
    drawn = phantom.nerve((160, 160), seed=1)
    scales = scale.try_scales(drawn.micrograph.pixels, model, factors=(0.5, 1.0))
    assert scales["pixel_size_um"].tolist() == [0.05, 0.1]
    assert scales["fibre_share"].between(0, 1).all() and scales["confidence"].between(0.3, 1).all()
    product = scales["fibre_diameter_px"] * scales["pixel_size_um"]
    assert scales["fibre_diameter_um"].tolist() == pytest.approx(product.tolist())


def test_the_workable_scale_nearest_in_fibre_size_is_suggested():
    """A scale that misses fibres is passed over, even if those it finds have the right size."""
    scales = table((0.05, 20, 60, 0.1), (0.1, 90, 40, 0.5), (0.2, 95, 39, 0.49))
    assert scale.suggest_scale(scales, learnt_diameter=3)["pixel_size_um"] == 0.1
    assert scale.suggest_scale(scales, learnt_diameter=9)["pixel_size_um"] == 0.2


def test_nothing_found_is_an_error():
    """Without a fibre there is no suggestion."""
    with pytest.raises(ValueError, match=r"0\.05 to 0\.1 µm.*other factors"):
        scale.suggest_scale(table((0.05, 0, np.nan, 0), (0.1, 0, np.nan, 0)), learnt_diameter=3)


def test_an_image_of_nothing():
    """Filler alone gives a table without fibres."""
    scales = scale.try_scales(np.zeros((60, 70), np.float32), factors=(1.0,))
    assert scales["fibres"].tolist() == [0] and np.isnan(scales["fibre_diameter_px"]).all()


def test_nerve_is_tried_rather_than_its_surround():
    """The square lies on the fibres of a mosaic that is blank, or dark, elsewhere."""
    field = np.random.default_rng(0).normal(9, 2, (300, 400)).astype(np.float32)
    field[:, 300:] = 0
    field[150:270, 20:150] = phantom.nerve((120, 130), seed=2).micrograph.pixels
    rows, columns = scale.liveliest(field, 100)
    assert rows.stop - rows.start == columns.stop - columns.start == 100
    is_nerve = np.zeros(field.shape, bool)
    is_nerve[150:270, 20:150] = True
    assert is_nerve[rows, columns].mean() > 0.9


def test_a_claim_is_never_called_a_pixel_size(tmp_path):
    """What is read at a working scale says so, whatever the file says."""
    path = io.write_image(tmp_path / "a.png", np.zeros((4, 5), np.uint8))
    seen = scale.read_at_scale(path, pixel_size=0.07)
    assert (seen.pixel_size, seen.pixel_size_source) == (0.07, scale.SOURCE)
    assert "not a physical size" in scale.SOURCE
    assert dataclasses.replace(seen, name="b").pixel_size_source == scale.SOURCE


# --- a pixel size in doubt


def fibres(*diameters, g=0.7):
    """Return complete fibres of these diameters in µm."""
    n = len(diameters)
    columns = {"fibre_diameter_um": diameters, "g_ratio": [g] * n, "touches_border": [False] * n}
    return pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("diameter", "learnt", "right"),
    [
        (3.0, 3.0, ""),
        (1.8, 3.0, ""),
        (5.0, 3.0, ""),
        (1.5, 3.0, "about 0.2 µm"),
        (30.0, 3.0, "about 0.01 µm"),
        (0.2, None, ""),
        (19.0, None, ""),
        (0.05, None, "0.4 to 40 µm"),
        (50.0, None, "0.0004 to 0.04 µm"),
    ],
)
def test_doubt_of_a_pixel_size(diameter, learnt, right):
    """Fibres unlike those the model knows, or that no nerve has, tell which size would fit."""
    found = fibres(diameter / 2, diameter, 9 * diameter)
    told = scale.doubt_pixel_size(found, pixel_size=0.1, learnt_diameter=learnt)
    if not right:
        assert told == ""
        return
    assert f"0.1 µm per pixel (3) have a median diameter of {diameter:.2g} µm" in told
    assert f"They would measure that at {right} per pixel; if" in told


def test_doubt_scales_with_the_pixel_size():
    """What would be plausible is a size of the image, whatever was claimed."""
    for claim in (0.02, 0.1, 3.0):
        told = scale.doubt_pixel_size(fibres(300 * claim), pixel_size=claim, learnt_diameter=3.0)
        assert "about 0.01 µm" in told


def test_only_complete_fibres_of_a_plausible_g_are_judged():
    """Specks, holes and what the border cuts are none; without any there is a question."""
    doubtful = fibres(0.1, 0.1, g=0.2)
    cut = fibres(0.1, 0.1).assign(touches_border=True)
    assert scale.doubt_pixel_size(pd.concat([doubtful, cut, fibres(3.0)]), pixel_size=0.1) == ""
    told = scale.doubt_pixel_size(pd.concat([doubtful, cut]), pixel_size=0.1)
    assert told.startswith("No complete fibre was found at 0.1 µm per pixel: is this")


def test_models_that_come_with_axonlab_are_known():
    """Each has a diameter it learnt from, at which about 20 to 80 of its pixels lie."""
    for name in models.names():
        diameter = scale.LEARNT_DIAMETER_UM[name] / models.load_model(name).card.pixel_size
        assert 20 < diameter < 80
