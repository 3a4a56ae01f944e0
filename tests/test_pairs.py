"""Pairs of image and mask: every layout is found, and what is in doubt is told."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from axonlab import data, io
from axonlab.autosave import open_labelling
from axonlab.formats import encode_tiff
from axonlab.micrograph import Micrograph
from axonlab.pairs import LAYOUTS, Pair, find_images, find_pairs

ADS = np.zeros((24, 32), np.uint8)
ADS[4:14, 4:14], ADS[6:12, 6:12] = 127, 255
BINARY = np.where(ADS == 127, 255, 0).astype(np.uint8)


def write(folder: Path, *names: str, pixels: np.ndarray = ADS) -> None:
    """Write the same picture under several names, as PNG or TIFF."""
    for name in names:
        if name.endswith(".tif"):
            io.write_bytes(folder / name, encode_tiff(pixels))
        else:
            io.write_image(folder / name, pixels)


def find(folder: Path, **options: object) -> tuple[list[Pair], str]:
    """Return the pairs, and the warning if there is one; never several."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        pairs = find_pairs(folder, **options)  # type: ignore[arg-type]
    assert len(told) <= 1
    return pairs, str(told[0].message) if told else ""


def relative(folder: Path, pairs: list[Pair]) -> list[list[str]]:
    """Return the files of each pair, image first."""
    return [[f.relative_to(folder).as_posix() for f in (p.image, *p.masks)] for p in pairs]


# --- layouts


def test_pairs_of_a_bids_folder(bids: Path) -> None:
    """Every image with a mask is found once, with its animal; sidecars and strays are not."""
    lonely = bids / "sub-a" / "micr" / "sub-a_sample-9_SEM.png"
    shutil.copy(next((bids / "sub-a" / "micr").glob("*.png")), lonely)
    with pytest.warns(UserWarning, match="1 of 7 images have no mask"):
        found = find_pairs(str(bids))
    assert [pair.animal for pair in found] == ["sub-a"] * 2 + ["sub-b"] * 2 + ["sub-c"] * 2
    assert lonely not in [pair.image for pair in found]
    for pair in found:
        assert pair.image.suffix == ".png"
        assert [mask.name for mask in pair.masks] == [
            f"{pair.image.stem}_seg-axonmyelin-manual.png"
        ]
        assert pair.masks[0].is_file()


def test_a_clean_folder_is_silent(bids: Path) -> None:
    """Where nothing is assumed and nothing left out, nothing is said."""
    assert find(bids)[1] == ""


def test_deep_myelin_segmentation(tmp_path: Path) -> None:
    """x.tif and x_mask.tif, 255 being myelin, which is told."""
    write(tmp_path / "raw" / "train", "5512.tif", "5514.tif")
    write(tmp_path / "raw" / "train", "5512_mask.tif", "5514_mask.tif", pixels=BINARY)
    (tmp_path / "raw" / "train" / "desktop.ini").touch()
    pairs, told = find(tmp_path / "raw" / "train")
    assert relative(tmp_path / "raw" / "train", pairs) == [
        ["5512.tif", "5512_mask.tif"],
        ["5514.tif", "5514_mask.tif"],
    ]
    assert [pair.values for pair in pairs] == [{255: "myelin"}] * 2
    assert [pair.animal for pair in pairs] == ["5512", "5514"]
    assert len({*pairs}) == 2
    labels = io.read_labels(*pairs[0].masks, values=pairs[0].values)
    assert np.array_equal(labels == 1, BINARY > 0)
    assert "2 as NAME_mask" in told
    assert "255 is read as myelin in 5512_mask.tif, 5514_mask.tif" in told


def test_masks_of_other_values_speak_for_themselves(tmp_path: Path) -> None:
    """NAME_mask of 0, 127 and 255, or of class ids, is not taken for myelin alone."""
    write(tmp_path, "a.png", "b.png", "a_mask.png")
    unlabelled = np.full(ADS.shape, 255, np.uint8)
    unlabelled[:2] = 0
    io.write_labels(tmp_path / "b_mask.png", unlabelled)
    pairs, told = find(tmp_path)
    assert [pair.values for pair in pairs] == [None, None]
    assert "myelin" not in told


def test_values_that_are_given(tmp_path: Path) -> None:
    """They hold for masks that say nothing, not for those that do."""
    write(tmp_path, "a.png", "a_mask.png", pixels=BINARY)
    write(tmp_path, "b.png", "b_seg-axon.png", "b_seg-myelin.png", pixels=BINARY)
    pairs, told = find(tmp_path, values={255: "axon"})
    assert [pair.values for pair in pairs] == [{255: "axon"}, None]
    assert "255" not in told


@pytest.mark.parametrize("manual", ["", "-manual"])
def test_axondeepseg(tmp_path: Path, manual: str) -> None:
    """One joint mask is preferred; of two, axons win; unmyelinated axons come last."""
    parts = ("axonmyelin", "axon", "myelin", "uaxon")
    write(tmp_path, "a.png", *(f"a_seg-{part}{manual}.png" for part in parts))
    write(tmp_path, "b.tif", *(f"b_seg-{part}{manual}.png" for part in parts[1:3]))
    pairs, told = find(tmp_path)
    assert relative(tmp_path, pairs) == [
        ["a.png", f"a_seg-axonmyelin{manual}.png", f"a_seg-uaxon{manual}.png"],
        ["b.tif", f"b_seg-myelin{manual}.png", f"b_seg-axon{manual}.png"],
    ]
    assert "2 as AxonDeepSeg" in told


def test_manual_masks_are_preferred(tmp_path: Path) -> None:
    """AxonDeepSeg leaves its prediction beside the mask that was corrected."""
    write(tmp_path, "a.png", "a_seg-axonmyelin.png", "a_seg-uaxon.png")
    write(tmp_path, "a_seg-axon-manual.png", "a_seg-myelin-manual.png")
    pairs, _ = find(tmp_path)
    assert relative(tmp_path, pairs) == [
        ["a.png", "a_seg-myelin-manual.png", "a_seg-axon-manual.png"]
    ]


def test_predictions_do_not_replace_the_masks_of_a_data_set(bids: Path) -> None:
    """Nor do they make them ambiguous."""
    before = find_pairs(bids)
    for pair in before:
        write(pair.image.parent, f"{pair.image.stem}_seg-axonmyelin.png")
    assert find(bids) == (before, "")


def test_older_axondeepseg(tmp_path: Path) -> None:
    """A folder for each sample is an animal for each."""
    for sample in ("sample1", "sample2"):
        write(tmp_path / sample, "image.png", "mask.png")
    pairs, told = find(tmp_path)
    assert relative(tmp_path, pairs) == [
        ["sample1/image.png", "sample1/mask.png"],
        ["sample2/image.png", "sample2/mask.png"],
    ]
    assert [pair.animal for pair in pairs] == ["sample1", "sample2"]
    assert "same name" not in told


@pytest.mark.parametrize(
    ("images", "masks"), [("images", "labels"), ("images", "masks"), ("Images", "Labels")]
)
def test_folders_of_images_and_labels(tmp_path: Path, images: str, masks: str) -> None:
    """Equal names, whatever the suffix, also in folders below."""
    write(tmp_path / images, "a.tif", "m2/b.png")
    write(tmp_path / masks, "a.png", "m2/b.png")
    pairs, told = find(tmp_path)
    assert relative(tmp_path, pairs) == [
        [f"{images}/a.tif", f"{masks}/a.png"],
        [f"{images}/m2/b.png", f"{masks}/m2/b.png"],
    ]
    assert [pair.animal for pair in pairs] == ["a", "m2/b"]
    assert "2 as images + labels" in told


def labelled(folder: Path, name: str = "nerve") -> Path:
    """Leave a labelling as the notebook does, and return its mask."""
    micrograph = Micrograph(ADS, 0.1, name)
    labelling = open_labelling(micrograph, folder, labels=(ADS // 127).astype(np.uint8))
    labelling.close()
    return labelling.path


def test_labellings(tmp_path: Path) -> None:
    """The image is found by its name and its pixels, wherever it lies in the folder."""
    labelled(tmp_path / "runs" / "mine" / "01_labels")
    write(tmp_path, "nerve.png", pixels=ADS.T.copy())
    write(tmp_path / "deep", "nerve.png")
    write(tmp_path / "runs" / "mine" / "01_labels", "labels.theirs-20260101-000000.png")
    pairs, told = find(tmp_path)
    assert relative(tmp_path, pairs) == [["deep/nerve.png", "runs/mine/01_labels/labels.png"]]
    assert pairs[0].values is None
    assert "1 of 2 images have no mask and are left out: nerve.png" in told


def test_labellings_whose_image_is_missing_or_changed(tmp_path: Path) -> None:
    """The message says which image, and what to do."""
    labelled(tmp_path / "01_labels")
    with pytest.raises(ValueError, match=r"its image 'nerve' is not in the folder; copy it"):
        find_pairs(tmp_path)
    write(tmp_path, "nerve.png", pixels=ADS + 1)
    with pytest.raises(ValueError, match=r"made of other pixels than those of nerve\.png"):
        find_pairs(tmp_path)


# --- animals


def test_animals_by_name_and_pattern(tmp_path: Path) -> None:
    """Names, patterns and paths; what is left over is told."""
    for folder, name in (("", "m1_a"), ("", "m1_b"), ("left", "x"), ("", "lone"), ("sub-3", "y")):
        write(tmp_path / folder, f"{name}.png", f"{name}_seg-axonmyelin.png")
    pairs, told = find(tmp_path, animals={"m1_*": "mouse 1", "left/*": "mouse 2"})
    assert {pair.image.stem: pair.animal for pair in pairs} == {
        "m1_a": "mouse 1",
        "m1_b": "mouse 1",
        "x": "mouse 2",
        "lone": "lone",
        "y": "sub-3",
    }
    assert "the animal is unknown of 1 of 5 images, which count as one animal each: lone." in told


def test_no_animal_is_called_as_the_row_of_all(tmp_path: Path) -> None:
    """One by the name of its image, or given, is refused, and can be called otherwise."""
    write(tmp_path, "all.png", "all_seg-axonmyelin.png", "b.png", "b_seg-axonmyelin.png")
    with pytest.raises(ValueError, match=r"all\.png: an animal called 'all'.*animals=\{"):
        find_pairs(tmp_path)
    pairs, _ = find(tmp_path, animals={"all": "mouse 1"})
    assert [pair.animal for pair in pairs] == ["mouse 1", "b"]
    with pytest.raises(ValueError, match=r"b\.png: an animal called 'all'"):
        find_pairs(tmp_path, animals={"all": "mouse 1", "b": "all"})


def test_animals_that_contradict(tmp_path: Path) -> None:
    """No pattern wins by chance, and a misspelt one is no silent leak."""
    write(tmp_path, "a_1.png", "a_1_mask.png")
    with pytest.raises(ValueError, match=r"\['x', 'y'\] for the image a_1"):
        find_pairs(tmp_path, animals={"a*": "x", "*1": "y"})
    with pytest.raises(ValueError, match=r"\['b\*'\], but no image is called so; there are a_1"):
        find_pairs(tmp_path, animals={"b*": "x"})


# --- doubts


def test_masks_in_doubt_are_left_out_and_told(tmp_path: Path) -> None:
    """Two masks, two layouts, two images, no image: each is named, the rest is paired."""
    write(tmp_path, "good.png", "good_mask.png")
    write(tmp_path, "two.png", "two_mask.png", "two_mask.tif")
    write(tmp_path, "both.png", "both_mask.png", "both_seg-axonmyelin.png")
    write(tmp_path, "twin.png", "twin.tif", "twin_mask.png")
    write(tmp_path, "orphan_mask.png", "bare.png")
    pairs, told = find(tmp_path)
    assert relative(tmp_path, pairs) == [["good.png", "good_mask.png"]]
    for text in (
        "two.png: several masks, two_mask.png, two_mask.tif; keep one",
        "both.png: several masks, both_mask.png, both_seg-axonmyelin.png; keep one",
        "twin_mask.png: a mask of several images, twin.png, twin.tif; keep one",
        "orphan_mask.png: a mask without its image, expected orphan with .png",
        "1 of 6 images have no mask and are left out: bare.png",
    ):
        assert f"- {text}" in told


def test_masks_of_parts_in_two_layouts(bids: Path) -> None:
    """A mask beside the image and one in the derivatives, both manual: nobody guesses."""
    write(bids / "sub-a" / "micr", "sub-a_sample-1_SEM_seg-uaxon-manual.png", pixels=BINARY)
    pairs, told = find(bids)
    assert len(pairs) == 5
    assert "sub-a_sample-1_SEM.png: masks in several layouts" in told


def test_several_layouts_are_told(bids: Path) -> None:
    """All are found, and counted."""
    write(bids, "sub-z_x.png", "sub-z_x_seg-axonmyelin.png")
    pairs, told = find(bids)
    assert (len(pairs), pairs[-1].animal) == (7, "sub-z")
    assert "7 pairs of image and mask found (6 as BIDS, 1 as AxonDeepSeg)" in told


def test_one_name_in_two_folders(tmp_path: Path) -> None:
    """They may be one animal: both are found, and it is told."""
    for folder in ("day1", "day2"):
        write(tmp_path / folder, "a.png", "a_seg-axonmyelin.png")
    pairs, told = find(tmp_path)
    assert [pair.animal for pair in pairs] == ["day1/a", "day2/a"]
    assert "same name in several folders, taken for several animals: day1/a, day2/a" in told


@pytest.mark.parametrize(("part", "other"), [("axon", "myelin"), ("myelin", "axons")])
def test_a_mask_of_one_class_is_told(tmp_path: Path, part: str, other: str) -> None:
    """What it does not show counts as background."""
    write(tmp_path, "a.png", f"a_seg-{part}.png", pixels=BINARY)
    assert f"no mask of {other}, which count as background" in find(tmp_path)[1]


def test_what_is_not_a_picture_of_the_data_set(bids: Path) -> None:
    """Hidden files, other derivatives and strange JSON are passed over."""
    before = find_pairs(bids)
    write(bids, ".a.png", ".hidden/b.png", "derivatives/preview/c.png", "derivatives/labels/d.png")
    for content in ("{", "[]", json.dumps({"PixelSize": 1})):
        (bids / "image.json").write_text(content)
        assert find(bids) == (before, "")


@pytest.mark.parametrize("folder", ["", "nowhere", "sub-a"])
def test_nothing_to_pair_is_an_error(folder: str, bids: Path) -> None:
    """The error names the folder and the layouts that were expected."""
    shutil.rmtree(bids / "derivatives")
    with pytest.raises(ValueError, match="no pair of image and mask found") as error:
        find_pairs(bids / folder)
    assert str(bids / folder) in str(error.value)
    assert all(text in str(error.value) for text in LAYOUTS.values())


def test_data_offers_them_too() -> None:
    """Older code finds pairs where it did."""
    assert (data.find_pairs, data.Pair) == (find_pairs, Pair)


# --- images


def test_images_are_found_without_their_masks(bids: Path, tmp_path: Path) -> None:
    """Also those that nobody has labelled; masks, overlays of labellings and notes are none."""
    write(bids / "more", "a.png", "a_seg-axonmyelin.png", "b.tif", "b_mask.tif")
    io.write_bytes(bids / "more" / "notes.txt", b"")
    found = find_images(bids)
    assert found == sorted(found) and len(found) == 8
    assert [path.name for path in found if path.parent.name == "more"] == ["a.png", "b.tif"]
    assert {pair.image for pair in find(bids)[0]} <= set(found)


def test_no_images(tmp_path: Path) -> None:
    """A folder without any, and none at all, are told apart."""
    with pytest.raises(ValueError, match=r"no images found.*\.png"):
        find_images(tmp_path)
    with pytest.raises(NotADirectoryError, match="no such folder"):
        find_images(tmp_path / "none")
