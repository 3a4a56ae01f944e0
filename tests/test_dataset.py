"""Every bad data set is found out by its name, and good ones are left in peace."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from axonlab import data, dataset, io, phantom
from axonlab.dataset import KINDS, check_dataset, class_balance, refuse
from axonlab.examine import inside_out
from axonlab.formats import encode_tiff
from axonlab.micrograph import CLASSES, UNLABELLED
from axonlab.overlap import MIN_BLOCKS, Overlaps
from axonlab.pairs import Pair, find_pairs

SHAPE, PIXEL_SIZE = (200, 240), 0.1
VALID = ["sub-c"]


@pytest.fixture(scope="module")
def nerves() -> list[phantom.Phantom]:
    """Draw four pieces of tissue."""
    return [phantom.nerve(SHAPE, pixel_size=PIXEL_SIZE, seed=seed) for seed in range(4)]


@pytest.fixture
def pairs(nerves: list[phantom.Phantom], tmp_path: Path) -> list[Pair]:
    """Write two images of one animal and one each of two others."""
    return [
        write(tmp_path, f"image{n}", animal, nerve.micrograph.pixels, nerve.labels)
        for n, (animal, nerve) in enumerate(
            zip(["sub-a", "sub-a", "sub-b", "sub-c"], nerves, strict=True)
        )
    ]


def write(
    folder: Path,
    name: str,
    animal: str,
    pixels: np.ndarray,
    labels: np.ndarray,
    pixel_size: float = PIXEL_SIZE,
) -> Pair:
    """Write an image and its mask, anew if they are there."""
    image, mask = folder / animal / f"{name}.png", folder / animal / f"{name}_ids.png"
    io.write_image(image, pixels.clip(0, 255).astype(np.uint8), overwrite=True)
    size = {"PixelSize": [pixel_size, pixel_size]}
    io.write_json(image.with_suffix(".json"), size, overwrite=True)
    return Pair(image, (io.write_labels(mask, labels.astype(np.uint8), overwrite=True),), animal)


def relabel(pair: Pair, labels: np.ndarray) -> None:
    """Replace the mask of a pair."""
    io.write_labels(pair.masks[0], labels.astype(np.uint8), overwrite=True)


def check(pairs: list[Pair], **changes: object) -> pd.DataFrame:
    """Check with the settings that fit the pairs."""
    settings: dict[str, object] = {"pixel_size": PIXEL_SIZE, "valid_animals": VALID}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # all is said in the table
        return check_dataset(pairs, **(settings | changes))  # type: ignore[arg-type]


def names(findings: pd.DataFrame, severity: str = "severe") -> list[str]:
    """Return the names of the findings of a severity."""
    return findings.loc[findings["severity"] == severity, "name"].tolist()


def only(findings: pd.DataFrame, name: str) -> pd.Series:
    """Return the one finding of a name."""
    (row,) = [row for _, row in findings[findings["name"] == name].iterrows()]
    return row


def test_a_good_data_set(pairs: list[Pair]) -> None:
    """Nothing severe, no warning, and training is let through."""
    findings = check(pairs)
    assert names(findings) == names(findings, "warning") == []
    assert set(names(findings, "note")) <= {"small", "touching"}
    refuse(findings)


def test_a_corrupted_file_in_the_middle(pairs: list[Pair]) -> None:
    """It is named, and the others are still checked."""
    whole = pairs[1].image.read_bytes()
    pairs[1].image.write_bytes(whole[: len(whole) // 2])
    relabel(pairs[2], np.zeros(SHAPE))
    findings = check(pairs)
    assert names(findings) == ["unreadable", "empty"]
    assert only(findings, "unreadable").file == "sub-a/image1.png"
    assert str(pairs[1].image) in only(findings, "unreadable").finding
    assert len(class_balance(pairs)) == 3


def test_files_that_are_not_there(pairs: list[Pair]) -> None:
    """A mask deleted since, and an image without a pixel size."""
    pairs[0].masks[0].unlink()
    pairs[1].image.with_suffix(".json").unlink()
    findings = check(pairs)
    assert names(findings) == ["unreadable"] * 2
    assert findings["finding"].str.contains("no pixel size found").sum() == 1


def test_nothing_can_be_read(pairs: list[Pair]) -> None:
    """Even then there is a table."""
    for pair in pairs:
        pair.image.write_bytes(b"")
    assert names(check(pairs)) == ["unreadable"] * 4
    assert class_balance(pairs).empty


def test_a_mask_of_another_shape(pairs: list[Pair]) -> None:
    """Both shapes are said."""
    relabel(pairs[1], np.zeros((200, 239)))
    findings = check(pairs)
    assert names(findings) == ["shape"]
    assert "(200, 239) for an image of shape (200, 240)" in only(findings, "shape").finding


def test_an_unlabelled_mask(pairs: list[Pair]) -> None:
    """Nothing can be learned from it."""
    relabel(pairs[0], np.full(SHAPE, UNLABELLED))
    assert names(check(pairs)) == ["unlabelled"]
    assert np.isnan(class_balance(pairs).loc[0, "axon"])


def test_an_empty_mask(pairs: list[Pair]) -> None:
    """All background may be right, and can then be allowed."""
    relabel(pairs[0], np.zeros(SHAPE))
    findings = check(pairs)
    assert names(findings) == ["empty"]
    refuse(findings, allow=["empty"])


@pytest.mark.parametrize("table", [[0, 2, 1], [2, 1, 0], [1, 0, 2]])
def test_an_inverted_mask(
    pairs: list[Pair], nerves: list[phantom.Phantom], table: list[int]
) -> None:
    """Any two of axon, myelin and background taken for each other."""
    relabel(pairs[1], np.array(table)[nerves[1].labels])
    findings = check(pairs)
    assert names(findings) == ["inside out"]
    assert only(findings, "inside out").file == "sub-a/image1.png"


def test_images_of_two_kinds(pairs: list[Pair], nerves: list[phantom.Phantom]) -> None:
    """Myelin bright in some, dark in others."""
    write(pairs[2].image.parents[1], "image2", "sub-b", 255 - nerves[2].micrograph.pixels,
          nerves[2].labels)  # fmt: skip
    findings = check(pairs)
    assert only(findings, "contrast").file == "sub-b/image2.png"
    assert "darker than axons in 1 of 4" in only(findings, "contrast").finding


def test_a_class_that_nobody_labelled(pairs: list[Pair], nerves: list[phantom.Phantom]) -> None:
    """Missing from training it is severe, even if a validation image has it."""
    for pair, nerve in zip(pairs[:3], nerves, strict=False):
        relabel(pair, np.where(nerve.labels == CLASSES["axon"], 0, nerve.labels))
    findings = check(pairs)
    assert names(findings) == ["missing class"]
    assert "no training image holds axon" in only(findings, "missing class").finding


def test_classes_that_are_rare_or_not_asked_for(
    pairs: list[Pair], nerves: list[phantom.Phantom]
) -> None:
    """A few pixels are too few; what is labelled in vain is told."""
    labels = nerves[0].labels.copy()
    labels[:2, :20] = CLASSES["unmyelinated axon"]
    relabel(pairs[0], labels)
    assert only(check(pairs), "other class").file == "sub-a/image0.png"
    assert names(check(pairs, classes=[*CLASSES]), "warning") == ["class in some", "rare class"]


@pytest.mark.parametrize("factor", [100, 0.01])
def test_a_wrong_pixel_size(
    pairs: list[Pair], nerves: list[phantom.Phantom], factor: float
) -> None:
    """A mistaken unit makes axons that no animal has."""
    scale(pairs, nerves, 2, factor)
    findings = check(pairs)
    assert names(findings) == ["axon size"]
    assert only(findings, "axon size").file == "sub-b/image2.png"


def scale(pairs: list[Pair], nerves: list[phantom.Phantom], number: int, factor: float) -> None:
    """Give one image another pixel size."""
    pair, nerve = pairs[number], nerves[number]
    write(pair.image.parents[1], pair.image.stem, pair.animal, nerve.micrograph.pixels,
          nerve.labels, PIXEL_SIZE * factor)  # fmt: skip


def test_pixel_sizes_that_differ(pairs: list[Pair], nerves: list[phantom.Phantom]) -> None:
    """A factor of ten within plausible diameters is a warning, and so is much resampling."""
    scale(pairs, nerves, 2, 8)
    findings = check(pairs)
    assert set(names(findings, "warning")) == {"axon sizes", "resampled"}
    assert "0.1 to 0.8 µm" in only(findings, "pixel sizes").finding
    assert "enlarged up to 8 times" in only(findings, "resampled").finding
    assert "shrunk up to 10 times" in str(check(pairs[:2], pixel_size=1.0)["finding"].tolist())


def test_images_of_8_and_16_bits(pairs: list[Pair], nerves: list[phantom.Phantom]) -> None:
    """They can be mixed, but it is said."""
    pixels = (nerves[0].micrograph.pixels.clip(0, 255) * 200).astype(np.uint16)
    path = io.write_bytes(pairs[0].image.with_suffix(".tif"), encode_tiff(pixels))
    pairs[0] = replace(pairs[0], image=path)
    assert "3 images of 8 bits, 1 images of more" in only(check(pairs), "grey depths").finding


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_copy_in_the_validation_set(pairs: list[Pair], turns: int, mirrored: bool) -> None:
    """The same image under two animals, also turned and mirrored, is a leak."""
    pixels, labels = io.read_image(pairs[0].image).pixels, io.read_labels(*pairs[0].masks)
    turned = [np.rot90(a[:, ::-1] if mirrored else a, turns) for a in (pixels, labels)]
    leak = write(pairs[0].image.parents[1], "copy", "sub-c", *turned)
    findings = check([*pairs, leak])
    assert names(findings) == ["leak"]
    assert only(findings, "leak").file == "sub-c/copy.png"
    assert "sub-a/image0.png, although one is of sub-a" in only(findings, "leak").finding


def test_an_overlapping_crop_in_the_validation_set(pairs: list[Pair]) -> None:
    """Any corner of another image will do, in whichever order they come."""
    pixels, labels = io.read_image(pairs[0].image).pixels, io.read_labels(*pairs[0].masks)
    crop = np.s_[37:187, 51:221]
    leak = write(pairs[0].image.parents[1], "crop", "sub-c", pixels[crop], labels[crop])
    for order in ([*pairs, leak], [leak, *pairs]):
        assert names(check(order)) == ["leak"]


def test_copies_on_one_side(pairs: list[Pair]) -> None:
    """They are no leak, but count twice."""
    pixels, labels = io.read_image(pairs[0].image).pixels, io.read_labels(*pairs[0].masks)
    folder = pairs[0].image.parents[1]
    copy = write(folder, "copy", "sub-b", pixels, labels)
    crop = write(folder, "crop", "sub-a", pixels[:150], labels[:150])
    findings = check([*pairs, copy, crop])
    assert names(findings) == []
    assert names(findings, "warning") == ["copy", "overlap", "overlap"]
    assert "of sub-a, the other of sub-b" in only(findings, "copy").finding


def test_scale_bars_are_no_overlap() -> None:
    """What a microscope burns into every image, and flat ground, is not shared tissue."""
    rng, seen = np.random.default_rng(0), Overlaps()
    bar = rng.integers(0, 255, (20, 60))
    for name in ("a", "b"):
        pixels = rng.integers(0, 255, (300, 300)).astype(np.float32)
        pixels[270:290, 10:70], pixels[:150] = bar, 255
        assert seen.add(name, pixels) == {}


@pytest.mark.parametrize("shape", [(1, 1), (15, 400), (16, 16), (700, 20)])
def test_images_of_any_shape(shape: tuple[int, int]) -> None:
    """Also those in which no block fits."""
    pixels, seen = np.random.default_rng(0).random(shape).astype(np.float32), Overlaps()
    assert seen.add("a", pixels) == {}
    n_blocks = len(range(0, shape[0] - 15, 32)) * len(range(0, shape[1] - 15, 32))
    assert bool(seen.add("b", pixels)) == (n_blocks >= MIN_BLOCKS)


def test_touching_fibres(pairs: list[Pair], nerves: list[phantom.Phantom]) -> None:
    """Axons in one piece of myelin are counted."""
    labels = np.zeros(SHAPE)
    labels[10:40, 10:70] = 1
    labels[15:35, 15:35] = labels[15:35, 45:65] = 2
    labels[100:130, 10:40], labels[105:125, 15:35] = 1, 2
    findings = check([write(pairs[0].image.parents[1], "t", "sub-t", labels * 100, labels)],
                     valid_animals=[])  # fmt: skip
    assert only(findings, "touching").finding == "2 of 3 axons share their myelin with another."


def test_small_images(pairs: list[Pair]) -> None:
    """Said once for all of them, at the pixel size of the network."""
    assert "4 of 4 images" in only(check(pairs), "small").finding
    assert "small" not in set(check(pairs, pixel_size=0.05)["name"])
    assert round(data.PATCH * data.MARGIN) == dataset.SQUARE


def test_few_images_and_animals(pairs: list[Pair]) -> None:
    """A score on the tissue trained on proves little."""
    assert "one image" in names(check(pairs[:1], valid_animals=[]), "warning")
    assert "one animal" in names(check(pairs[:2], valid_animals=[]), "warning")


def test_splits_that_cannot_be(pairs: list[Pair]) -> None:
    """A misspelt animal, and none left."""
    assert names(check(pairs, valid_animals=["sub-x"])) == ["no validation"]
    assert names(check(pairs, valid_animals=["sub-a", "sub-b", "sub-c"])) == ["no training"]


def test_strays_in_a_mask(pairs: list[Pair], nerves: list[phantom.Phantom]) -> None:
    """What the reader warns of is part of the table."""
    mask = np.array([0, 127, 255], np.uint8)[nerves[0].labels]
    mask[0, 0] = 77
    io.write_image(pairs[0].masks[0], mask, overwrite=True)
    assert "meaningless values 77" in only(check(pairs), "doubtful file").finding


def test_scribbles_are_no_fibres(pairs: list[Pair], nerves: list[phantom.Phantom]) -> None:
    """Spots of labels say nothing of sizes, touching, or what is inside what."""
    for pair, nerve in zip(pairs, nerves, strict=True):
        labels = np.array([1, 2, 0])[nerve.labels]
        labels[np.random.default_rng(0).random(SHAPE) > 0.5] = UNLABELLED
        relabel(pair, labels)
    assert set(check(pairs)["name"]) <= {"small"}


def test_masks_that_need_an_explanation(tmp_path: Path) -> None:
    """Myelin alone, 255, is checked as such."""
    nerve = phantom.nerve(SHAPE, pixel_size=PIXEL_SIZE)
    pair = write(tmp_path, "x", "sub-a", nerve.micrograph.pixels, nerve.labels)
    myelin = (nerve.labels == 1).astype(np.uint8) * np.uint8(255)
    io.write_image(tmp_path / "sub-a" / "x_mask.png", myelin)
    pair = replace(pair, masks=(tmp_path / "sub-a" / "x_mask.png",), values={255: "myelin"})
    assert names(check([pair], valid_animals=[])) == ["missing class"]
    assert names(check([pair], valid_animals=[], classes=["background", "myelin"])) == []


def test_refusing(pairs: list[Pair]) -> None:
    """All severe findings are listed; those allowed by name are passed over."""
    relabel(pairs[0], np.zeros(SHAPE))
    relabel(pairs[1], np.zeros((3, 3)))
    findings = check(pairs)
    with pytest.raises(ValueError, match="2 severe findings") as error:
        refuse(findings)
    for text in ("sub-a/image0.png", "(3, 3)", "allow=['empty', 'shape']"):
        assert text in str(error.value)
    with pytest.raises(ValueError, match=r"1 severe findings.*\n- shape"):
        refuse(findings, allow=["empty"])
    refuse(findings, allow=["empty", "shape"])
    with pytest.raises(ValueError, match=r"No findings are called \['emtpy'\]"):
        refuse(findings, allow=["emtpy"])


def test_the_table(pairs: list[Pair]) -> None:
    """Severe ones first, each with its severity and advice; no findings are a table, too."""
    relabel(pairs[0], np.zeros(SHAPE))
    findings = check(pairs)
    order = [dataset.SEVERITIES.index(severity) for severity in findings["severity"]]
    assert order == sorted(order)
    for row in findings.itertuples(index=False):
        assert KINDS[row.name] == (row.severity, row.suggestion)
    assert {severity for severity, _ in KINDS.values()} == set(dataset.SEVERITIES)
    nothing = findings[:0]
    refuse(nothing)


def test_class_balance(pairs: list[Pair], nerves: list[phantom.Phantom]) -> None:
    """Shares of what is labelled, image by image."""
    labels = nerves[0].labels.copy()
    labels[:100] = UNLABELLED
    relabel(pairs[0], labels)
    table = class_balance(pairs)
    assert table["image"].tolist()[0] == "sub-a/image0.png"
    np.testing.assert_allclose(table[[*CLASSES]].sum(axis=1), 1)
    np.testing.assert_allclose(table["labelled"], [0.5, 1, 1, 1])
    assert table.loc[0, "axon"] == (labels[100:] == 2).mean()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"classes": ["axom"]}, "Unknown classes"), ({"pixel_size": 0.0}, "outside 0.001")],
)
def test_mistaken_arguments(pairs: list[Pair], changes: dict[str, object], message: str) -> None:
    """They are errors, not findings."""
    with pytest.raises(ValueError, match=message):
        check(pairs, **changes)
    with pytest.raises(ValueError, match="No pairs"):
        check([])


@pytest.mark.parametrize("table", [[0, 2, 1, 3], [2, 1, 0, 3], [1, 0, 2, 3]])
@pytest.mark.parametrize("dataset", ["rat-sem", "mouse-tem"])
def test_real_masks_inside_out(data_folder: Path, dataset: str, table: list[int]) -> None:
    """Every published mask is right, and would be found out if two classes were exchanged."""
    for pair in find_pairs(data_folder / dataset):
        with warnings.catch_warnings(action="ignore"):
            labels = io.read_labels(*pair.masks)
        exchanged = np.array([*table, *[UNLABELLED] * 252], np.uint8)[labels]
        assert not inside_out(labels)
        assert inside_out(exchanged)


def test_real_data(data_folder: Path) -> None:
    """The public data can be trained on as they are, and a leak among them is found."""
    pairs = find_pairs(data_folder / "rat-sem")
    assert names(check(pairs, valid_animals=["sub-rat8"])) == []
    tem = find_pairs(data_folder / "mouse-tem")
    assert names(check(tem, valid_animals=["sub-372", "sub-373C"], pixel_size=0.01)) == []


def test_a_real_crop_is_found(data_folder: Path, tmp_path: Path) -> None:
    """A part of a published image, as 8-bit PNG, under another animal."""
    pair = find_pairs(data_folder / "rat-sem")[-1]
    pixels, labels = io.read_image(pair.image).pixels, io.read_labels(*pair.masks)
    crop = write(tmp_path, "c", "sub-x", pixels[501:901, 333:733], labels[501:901, 333:733], 0.07)
    assert names(check([pair, crop], valid_animals=["sub-x"])) == ["leak"]
