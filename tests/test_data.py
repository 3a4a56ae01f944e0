"""Data blocks: the right pairs, no leak, image and mask stay one."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from fastai.data.core import DataLoaders
from fastai.vision.core import TensorImageBW, TensorMask
from hypothesis import given, settings
from hypothesis import strategies as st

from axonlab import augment, data, io
from axonlab.data import Augment, Pair, RandomPatch, ReadClasses, ReadPixels, axon_block, find_pairs
from axonlab.micrograph import UNLABELLED, intensity_range, normalise, resize, resize_labels

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def pairs(bids: Path) -> list[Pair]:
    """Return the pairs of the small data set."""
    return find_pairs(bids)


def loaders(pairs: list[Pair], **changes: object) -> DataLoaders:
    """Return small batches of small patches."""
    settings = {
        "pixel_size": 0.2,
        "valid_animals": ["sub-b"],
        "patch": 32,
        "patches_per_image": 3,
        "valid_patch": 48,
    }
    return axon_block(**(settings | changes)).dataloaders(pairs, bs=4, num_workers=0)


# --- pairs


def test_masks_of_unmyelinated_axons_are_added(bids: Path, pairs: list[Pair]) -> None:
    """A second mask beside the first one is read too, and wins."""
    first = pairs[0].masks[0]
    second = first.with_name(first.name.replace("axonmyelin", "uaxon"))
    mask = np.zeros((60, 72), np.uint8)
    mask[:4] = 255
    io.write_image(second, mask)
    pair = find_pairs(bids)[0]
    assert pair.masks == (first, second)
    classes = ReadClasses(0.2, ["background", "unmyelinated axon"]).encodes(pair)
    assert classes[:4].eq(1).all()
    assert classes[4:].eq(0).all()


def test_real_data_are_paired(data_folder: Path) -> None:
    """The public rat data set gives its pairs, read at the shape of their images."""
    pairs = find_pairs(data_folder / "rat-sem")
    assert len({pair.animal for pair in pairs}) == 7
    smallest = min(pairs, key=lambda pair: pair.image.stat().st_size)
    pixels, labels = data._read_pair(smallest, 0.2)
    assert pixels.shape == labels.shape
    assert set(np.unique(labels)) <= {0, 1, 2, UNLABELLED}


def test_masks_are_read_as_their_pair_says(tmp_path: Path) -> None:
    """What 255 means in a mask is part of the pair, whose hash it leaves alone."""
    io.write_image(tmp_path / "x.png", np.arange(192, dtype=np.uint8).reshape(12, 16))
    io.write_json(tmp_path / "x.json", {"PixelSize": [0.2, 0.2]})
    mask = np.zeros((12, 16), np.uint8)
    mask[:4] = 255
    io.write_image(tmp_path / "x_mask.png", mask)
    with pytest.warns(UserWarning, match="255 is read as myelin"):
        (pair,) = find_pairs(tmp_path)
    classes = ReadClasses(0.2, ["background", "axon", "myelin"]).encodes(pair)
    assert classes[:4].eq(2).all()
    assert classes[4:].eq(0).all()


def test_mask_of_another_shape_is_an_error(pairs: list[Pair]) -> None:
    """A mask that does not fit names both files."""
    io.write_image(pairs[0].masks[0], np.zeros((60, 71), np.uint8), overwrite=True)
    with pytest.raises(ValueError, match=r"\(60, 71\).*\(60, 72\)") as error:
        ReadClasses(0.2, ["background", "axon"]).encodes(pairs[0])
    assert str(pairs[0].image) in str(error.value)
    assert str(pairs[0].masks[0]) in str(error.value)


def test_corrected_masks_are_read_again(pairs: list[Pair]) -> None:
    """A mask that was edited since the last training is not taken from memory."""
    assert loaders(pairs).valid_ds[0][1].any()
    for pair in pairs:
        io.write_image(pair.masks[0], np.zeros((60, 72), np.uint8), overwrite=True)
    assert not loaders(pairs).valid_ds[0][1].any()


# --- memory


@pytest.mark.parametrize("pixel_size", [0.1, 0.2, 0.33])
def test_what_images_need_is_what_is_kept(pairs: list[Pair], pixel_size: float) -> None:
    """To the byte, and told without reading them; what is in memory is not needed again."""
    data._forget()
    kept, reading = data.images_need(pairs, pixel_size)
    assert not data._kept
    found = [array for pair in pairs for array in data._read_pair(pair, pixel_size)]
    assert kept == sum(array.nbytes for array in found)
    assert data.images_need(pairs, pixel_size) == (0, reading)


def test_reading_an_image_takes_what_is_told(tmp_path: Path) -> None:
    """At its peak, in grey and in colours, with its mask."""
    labels = np.zeros((900, 1000), np.uint8)
    labels[300:600] = 2
    io.write_labels(tmp_path / "x_mask.png", labels)
    io.write_json(tmp_path / "x.json", {"PixelSize": [0.2, 0.2]})
    grey = np.random.default_rng(0).integers(0, 255, labels.shape, np.uint8)
    pair = Pair(tmp_path / "x.png", (tmp_path / "x_mask.png",), "x")
    for pixels, least in ((grey, 0.3), (np.dstack([grey] * 3), 0.6)):
        io.write_image(tmp_path / "x.png", pixels, overwrite=True)
        for pixel_size in (0.1, 0.2, 0.5):
            data._forget()
            kept, reading = data.images_need([pair], pixel_size)
            tracemalloc.start()
            data._read_pair(pair, pixel_size)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert least * reading < peak - kept < 1.2 * reading


def test_an_image_whose_size_cannot_be_told_is_named(pairs: list[Pair]) -> None:
    """It is damaged, or far from the scale of the network."""
    with pytest.raises(ValueError, match=rf"{pairs[0].image.name}: pixels of 0.2 µm are too far"):
        data.images_need(pairs, 20)
    data._forget()
    pairs[1].image.write_bytes(b"no image")
    with pytest.raises(ValueError, match=rf"{pairs[1].image.name}: not an image"):
        data.images_need(pairs, 0.2)


# --- blocks


def test_validation_animal_that_is_missing(pairs: list[Pair]) -> None:
    """A misspelt animal is an error, not an empty validation set."""
    with pytest.raises(ValueError, match=r"\['sub-z'\].*sub-a"):
        loaders(pairs, valid_animals=["sub-b", "sub-z"])


def test_nothing_left_to_train_on(pairs: list[Pair]) -> None:
    """Leaving out every animal is an error."""
    with pytest.raises(ValueError, match="none is left to train on"):
        loaders(pairs, valid_animals=["sub-a", "sub-b", "sub-c"])


@pytest.mark.parametrize("valid_animals", [["sub-b"], ["sub-a", "sub-c"]])
def test_animals_are_never_split(pairs: list[Pair], valid_animals: list[str]) -> None:
    """No image of a validation animal is trained on, and every image has its patches."""
    dls = loaders(pairs, valid_animals=valid_animals)
    train, valid = dls.train_ds.items, dls.valid_ds.items
    assert {pair.animal for pair in valid} == set(valid_animals)
    assert not {pair.animal for pair in train} & set(valid_animals)
    assert {pair.image for pair in train} | {pair.image for pair in valid} == {
        pair.image for pair in pairs
    }
    assert len(train) == 3 * len(set(train))
    assert len(valid) == len(set(valid))


def test_batches(pairs: list[Pair]) -> None:
    """Training gives warped patches, validation the untouched centre at its own size."""
    dls = loaders(pairs, classes=["background", "axon"])
    x, y = dls.train.one_batch()
    assert x.shape == (4, 1, 32, 32)
    assert y.shape == (4, 32, 32)
    assert x.dtype == torch.float32
    assert set(y.unique().tolist()) <= {0, 1, UNLABELLED}
    x, y = dls.valid.one_batch()
    pixels, labels = data._read_pair(dls.valid_ds.items[0], 0.2)
    assert np.array_equal(x[0, 0], pixels[6:54, 12:60])
    assert np.array_equal(y[0], labels[6:54, 12:60] == 2)


def test_classes_become_positions(pairs: list[Pair]) -> None:
    """Classes are numbered as listed, others are the first one, 255 stays."""
    mask = np.zeros((60, 72), np.uint8)
    mask[0], mask[1], mask[2], mask[3] = 1, 2, 3, UNLABELLED
    io.write_labels(pairs[0].masks[0], mask, overwrite=True)
    found = ReadClasses(0.2, ["background", "axon", "myelin"]).encodes(pairs[0])
    assert found[:5, 0].tolist() == [2, 1, 0, UNLABELLED, 0]


@pytest.mark.parametrize(
    ("pixel_size", "shape"), [(0.1, (120, 144)), (0.2, (60, 72)), (0.5, (24, 29))]
)
def test_pairs_are_brought_to_one_pixel_size(
    pairs: list[Pair], pixel_size: float, shape: tuple[int, int]
) -> None:
    """Image and mask are resampled together, then the image is normalised as a whole."""
    micrograph, labels = io.read_image(pairs[0].image), io.read_labels(*pairs[0].masks)
    image = ReadPixels(pixel_size).encodes(pairs[0])
    classes = ReadClasses(pixel_size, ["background", "myelin", "axon"]).encodes(pairs[0])
    assert image.shape == (1, *shape)
    assert classes.shape == shape
    resampled = resize(micrograph.pixels, shape)
    wanted = normalise(resampled, *intensity_range(resampled))
    np.testing.assert_allclose(image[0], wanted, atol=1e-6)
    assert np.array_equal(classes, resize_labels(labels, shape))


def test_a_patch_has_the_grey_values_of_its_image(pairs: list[Pair]) -> None:
    """A patch is normalised with its image, not by itself."""
    pair, cut = pairs[0], RandomPatch(20, 20)
    whole = ReadPixels(0.2).encodes(pair)
    mask = ReadClasses(0.2, ["background", "axon"]).encodes(pair)
    patch, _ = cut((whole, mask), split_idx=0)
    y, x = cut.corner
    assert np.array_equal(patch, whole[:, y : y + 20, x : x + 20])


# --- transforms


@settings(max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.integers(1, 50),
    split=st.sampled_from([0, 1]),
)
def test_patches_of_small_images_are_mirrored_and_unlabelled(
    shape: tuple[int, int], size: int, split: int
) -> None:
    """Image and mask are cut alike; what the image does not cover is 255 in the mask."""
    values = torch.arange(shape[0] * shape[1]).reshape(shape)
    mask = values % 3
    x, y = RandomPatch(size, size)((TensorImageBW(values[None]), TensorMask(mask)), split_idx=split)
    assert x.shape == (1, size, size)
    assert y.shape == (size, size)
    height, width = (min(size, n) for n in shape)
    assert (y[height:] == UNLABELLED).all()
    assert (y[:, width:] == UNLABELLED).all()
    assert np.array_equal(x[0, :height, :width] % 3, y[:height, :width])
    assert set(x.unique().tolist()) <= set(values.unique().tolist())
    if split:  # the centre
        top, left = ((n - size) // 2 if n > size else 0 for n in shape)
        assert int(x[0, 0, 0]) == int(values[top, left])


@settings(max_examples=50)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.integers(1, 50),
    data=st.data(),
)
def test_squares_reach_beyond_the_image(
    shape: tuple[int, int], size: int, data: st.DataObject
) -> None:
    """What lies there is the mirrored image, and has no label."""
    overhang = data.draw(st.integers(0, size // 2))
    values = torch.arange(shape[0] * shape[1]).reshape(shape)
    mask = (values % 3).to(torch.uint8)
    cut = RandomPatch(size, size, overhang)
    x, y = cut((TensorImageBW(values[None]), TensorMask(mask)), split_idx=0)
    rows, columns = (slice(size + start, 2 * size + start) for start in cut.corner)
    assert np.array_equal(x[0], np.pad(values, size, "symmetric")[rows, columns])
    assert np.array_equal(y, np.pad(mask, size, constant_values=UNLABELLED)[rows, columns])
    for start, n in zip(cut.corner, shape, strict=True):
        assert -overhang <= start <= max(-overhang, n - size + overhang)


def test_corners_are_trained_on(tmp_path: Path) -> None:
    """Of an image little larger than a patch, the patches hold more than the middle."""
    mask = np.zeros((92, 92), np.uint8)
    for corner in ((0, 0), (0, 83), (83, 0), (83, 83)):
        mask[corner[0] :, corner[1] :][:9, :9] = 127
    mask[37:55, 37:55] = 255  # as many pixels as in the corners
    io.write_image(tmp_path / "x.png", np.arange(92 * 92).astype(np.uint8).reshape(92, 92))
    io.write_json(tmp_path / "x.json", {"PixelSize": [0.2, 0.2]})
    io.write_image(tmp_path / "x_mask.png", mask)
    torch.manual_seed(0)
    dls = loaders(find_pairs(tmp_path), valid_animals=[], patch=64, patches_per_image=200)
    corners, middle = (sum(int((y == n).sum()) for _, y in dls.train) for n in (1, 2))
    assert corners > middle / 20


def test_random_patches_reach_every_corner() -> None:
    """Each place of an image can be trained on."""
    values = torch.arange(9).reshape(3, 3)
    torch.manual_seed(0)
    cut, found = RandomPatch(2, 2), set()
    for _ in range(60):
        x, _ = cut((TensorImageBW(values[None]), TensorMask(values)), split_idx=0)
        found.add(int(x[0, 0, 0]))
    assert found == {0, 1, 3, 4}


def test_random_patches_hold_a_label() -> None:
    """Of an image with few scribbles, training sees the squares with some of them."""
    image = TensorImageBW(torch.zeros(1, 60, 60))
    mask = torch.full((60, 60), UNLABELLED, dtype=torch.uint8)
    mask[5:15, 40:50] = 1
    for overhang in (0, 6):
        patch = RandomPatch(20, 20, overhang)
        for _ in range(100):
            _, labels = patch((image, TensorMask(mask)), split_idx=0)
            assert (labels[overhang : 20 - overhang, overhang : 20 - overhang] == 1).any()


def test_image_and_mask_stay_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is its own mask still is, after all the cutting and warping."""
    monkeypatch.setattr(data, "random_intensity", lambda x, strength: x)
    coarse = np.random.default_rng(0).random((6, 7), np.float32)
    mask = torch.tensor(resize(coarse, (90, 105)) > 0.5)
    for seed in range(5):
        torch.manual_seed(seed)
        cut, vary = RandomPatch(48, 48), Augment(32)
        squares = [cut((TensorImageBW(mask[None].float()), TensorMask(mask)), 0) for _ in range(4)]
        batch = tuple(torch.stack(parts) for parts in zip(*squares, strict=True))
        x, y = vary((TensorImageBW(batch[0]), TensorMask(batch[1])), split_idx=0)
        image, labels = x.numpy()[:, 0], y.numpy()
        clear = (image < 0.02) | (image > 0.98)  # within a pixel of an edge it lies in between
        assert clear.mean() > 0.7
        assert np.array_equal((image > 0.5)[clear], labels[clear] == 1)
        assert set(np.unique(labels)) == {0, 1}


def test_unlabelled_pixels_survive() -> None:
    """255 stays 255: no interpolation makes a class of it."""
    torch.manual_seed(0)
    mask = torch.zeros(4, 48, 48, dtype=torch.uint8)
    mask[:, :, 24:] = UNLABELLED
    image = (mask == UNLABELLED)[:, None].float()
    for _ in range(5):
        _, y = Augment(32)((TensorImageBW(image), TensorMask(mask)), split_idx=0)
        assert set(y.unique().tolist()) == {0, UNLABELLED}
        assert y.dtype == torch.int64


def test_validation_is_not_varied() -> None:
    """`Augment` is for training."""
    x, y = TensorImageBW(torch.rand(2, 1, 48, 48)), TensorMask(torch.zeros(2, 48, 48))
    after = Augment(32)((x, y), split_idx=1)
    assert torch.equal(after[0], x)
    assert after[1].shape == y.shape


def test_augment_is_what_training_sees(pairs: list[Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    """Grey values are varied in training batches and nowhere else."""
    monkeypatch.setattr(data, "random_intensity", lambda x, strength: x * 0 + 7)
    dls = loaders(pairs)
    assert (dls.train.one_batch()[0] == 7).all()
    assert not (dls.valid.one_batch()[0] == 7).any()
    assert augment.random_intensity is not data.random_intensity
