"""Strokes: painted as the widget's brush would, and the bundled ones are what they claim to be."""

import json

import numpy as np
import pytest

from axonlab import data, io, samples, strokes
from axonlab.micrograph import CLASSES, UNLABELLED, Micrograph

BUNDLED = samples.bundled("strokes/mouse-nerve.json")


def scribbles(*drawn, crop=(0, 0, 40, 50)):
    """Return strokes on a crop given as row, column, height and width."""
    row, column, height, width = crop
    return strokes.Scribbles(
        "any.tif", np.s_[row : row + height], np.s_[column : column + width], drawn
    )


@pytest.fixture
def content():
    """Return what a valid file holds."""
    one = {"class": "axon", "for": "train", "radius_px": 2, "points": [[3, 4], [10, 4]]}
    crop = {"row": 5, "column": 6, "height": 20, "width": 30}
    return {"image": "a.tif", "crop": crop, "strokes": [one]}


def test_a_pixel_belongs_when_its_centre_is_near():
    """Against the distance to closely spaced points of the line, anywhere in the crop."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :50] + 0.5
    for _ in range(40):
        ends, radius = rng.uniform(0, 40, (2, 2)), rng.uniform(0.3, 8)
        stroke = strokes.Stroke("axon", "train", radius, tuple(map(tuple, ends)))
        painted = strokes.paint(scribbles(stroke), (40, 50)) == CLASSES["axon"]
        along = np.linspace(0, 1, 500)[:, None] * (ends[1] - ends[0]) + ends[0]
        gap = np.hypot(x[..., None] - along[:, 0], y[..., None] - along[:, 1]).min(-1) - radius
        clear = np.abs(gap) > 0.01
        assert (painted == (gap <= 0))[clear].all()


def test_the_rim_belongs_to_the_stroke():
    """From centre to centre, as the widget's brush goes, pixels exactly on the rim are painted."""
    stroke = strokes.Stroke("myelin", "train", 1.0, ((2.5, 2.5), (4.5, 2.5)))
    painted = strokes.paint(scribbles(stroke), (40, 50)) == CLASSES["myelin"]
    wanted = np.zeros((40, 50), bool)
    wanted[2, 1:6] = wanted[1:4, 2:5] = True
    assert (painted == wanted).all()


def test_crop_order_and_purpose():
    """Strokes lie where the crop is, later ones above, and those for checking stay apart."""
    dot = ((3.5, 3.5),)
    drawn = (
        strokes.Stroke("axon", "train", 3, dot),
        strokes.Stroke("myelin", "train", 1, dot),
        strokes.Stroke("background", "check", 2, dot),
    )
    train, check = (
        strokes.paint(scribbles(*drawn, crop=(10, 20, 8, 9)), (40, 50), purpose=purpose)
        for purpose in strokes.PURPOSES
    )
    assert train[13, 23] == CLASSES["myelin"] and train[13, 25] == CLASSES["axon"]
    assert set(np.unique(check)) == {CLASSES["background"], UNLABELLED}
    rows, columns = np.nonzero(train != UNLABELLED)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 16, 20, 26)


def test_read(tmp_path, content):
    """What is written is read."""
    path = io.write_json(tmp_path / "strokes.json", content)
    read = strokes.read_strokes(path)
    assert (read.image, read.rows, read.columns) == ("a.tif", slice(5, 25), slice(6, 36))
    assert read.strokes == (strokes.Stroke("axon", "train", 2.0, ((3.0, 4.0), (10.0, 4.0))),)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"class": "glia"}, "stroke 1: class 'glia'"),
        ({"for": "fun"}, "for 'fun'"),
        ({"radius_px": 0}, "radius 0"),
        ({"points": []}, "0 points"),
        ({"points": [[31, 2]]}, "outside the crop of 20×30"),
        ({"points": [[1, 2, 3]]}, "no strokes"),
        ({"radius_px": "wide"}, "no strokes"),
        ({"radius_px": 1e999}, "radius inf"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, content, change, told):
    """The error names the file, the stroke and what was expected."""
    content["strokes"][0] |= change
    path = io.write_json(tmp_path / "strokes.json", content)
    with pytest.raises(ValueError, match=rf"strokes\.json.*{told}"):
        strokes.read_strokes(path)


def test_a_crop_outside_the_image(tmp_path, content):
    """Negative rows would be counted from the other end."""
    content["crop"]["row"] = -3
    path = io.write_json(tmp_path / "strokes.json", content)
    with pytest.raises(ValueError, match=r"crop begins at row -3"):
        strokes.read_strokes(path)


def test_another_image_or_purpose():
    """A crop beyond the image and a purpose nobody knows are refused."""
    one = scribbles(strokes.Stroke("axon", "train", 1, ((1, 1),)))
    with pytest.raises(ValueError, match=r"shape \(30, 50\).*any\.tif"):
        strokes.paint(one, (30, 50))
    with pytest.raises(ValueError, match="'test' is unknown"):
        strokes.paint(one, (40, 50), purpose="test")


def test_pairs_keep_what_is_checked_apart(tmp_path):
    """Training finds one image twice, with the strokes for each purpose, at its working scale."""
    drawn = [strokes.Stroke("axon", purpose, 2, ((9, 9),)) for purpose in strokes.PURPOSES]
    seen = Micrograph(np.arange(2000).reshape(40, 50) % 251, 0.07, "a", "guess")
    for _ in range(2):  # the second time replaces the first
        folder = strokes.write_pairs(tmp_path / "pairs", seen, scribbles(*drawn))
    pairs = {pair.animal: pair for pair in data.find_pairs(folder)}
    assert set(pairs) == {"sub-train", "sub-check"}
    for purpose in strokes.PURPOSES:
        pair = pairs[f"sub-{purpose}"]
        assert (io.read_labels(*pair.masks) == strokes.paint(scribbles(*drawn), (40, 50))).all()
        assert io.read_image(pair.image).pixel_size == 0.07
        sidecar = json.loads(pair.image.with_suffix(".json").read_text("utf-8"))
        assert sidecar["PixelSizeSource"] == "guess"


def test_bundled_strokes_are_sane():
    """There are enough of every class for training and for checking, and the two do not overlap."""
    read = strokes.read_strokes(BUNDLED)
    assert read.rows.stop - read.rows.start == read.columns.stop - read.columns.start == 512
    train, check = (strokes.paint(read, (1040, 1392), purpose=p) for p in strokes.PURPOSES)
    for name in ("background", "myelin", "axon"):
        for labels in (train, check):
            assert 1000 < (labels == CLASSES[name]).sum() < 20_000
    assert not ((train != UNLABELLED) & (check != UNLABELLED)).any()
    for one in read.strokes:  # no stroke paints over another
        alone = strokes.Scribbles(read.image, read.rows, read.columns, (one,))
        painted = strokes.paint(alone, (1040, 1392), purpose=one.purpose)
        drawn = train if one.purpose == "train" else check
        assert (drawn == painted)[painted != UNLABELLED].all()


def test_strokes_on_the_phantom_are_true():
    """Where there are no real images, strokes on a phantom stand in, and agree with its truth."""
    read = strokes.read_strokes(samples.bundled("strokes/phantoms.json"))
    truth = samples.load_labels("phantom-sem")
    assert samples.bundled(f"phantoms/{read.image}").is_file()
    for purpose in strokes.PURPOSES:
        painted = strokes.paint(read, truth.shape, purpose=purpose)
        drawn = painted != UNLABELLED
        assert drawn.sum() > 1000 and (painted == truth)[drawn].all()


def test_bundled_strokes_lie_on_what_they_claim(data_folder):
    """On the image they were drawn on, every sheath is brighter than every axon."""
    read = strokes.read_strokes(BUNDLED)
    path = data_folder / "mouse-nerve" / read.image
    pixels = io.read_image(path, pixel_size=1).pixels
    medians = {"background": [], "myelin": [], "axon": []}
    for one in read.strokes:
        alone = strokes.Scribbles(read.image, read.rows, read.columns, (one,))
        painted = strokes.paint(alone, pixels.shape, purpose=one.purpose) != UNLABELLED
        medians[one.class_name].append(np.median(pixels[painted]))
    assert min(medians["myelin"]) > 150 > 80 > max(medians["axon"])
    assert max(medians["background"]) < 180
