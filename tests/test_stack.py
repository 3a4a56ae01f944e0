"""Stacks: sections in their order, and labels that do not belong to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from axonlab import io
from axonlab.stack import Stack, as_interior, read_stack

RNG = np.random.default_rng(0)


@pytest.fixture
def interior() -> NDArray[np.bool_]:
    """Return twelve sections with a grid of membranes."""
    rows, columns = np.indices((20, 24))
    return np.stack([(rows % 8 != z % 8) & (columns % 6 != 0) for z in range(12)])


def write(folder: Path, planes: NDArray[np.uint8], digits: int = 1) -> Path:
    """Write sections, by default with names that sort badly."""
    for z, plane in enumerate(planes):
        io.write_image(folder / f"s2_{z:0{digits}}.png", plane)
    return folder


@pytest.fixture
def folders(tmp_path: Path, interior: NDArray[np.bool_]) -> tuple[Path, Path]:
    """Write dark membranes and labels, under names with and without leading zeros."""
    grey = np.where(interior, 180, 60) + np.arange(12)[:, None, None]
    labels = np.where(interior, 255, 0).astype(np.uint8)
    return write(tmp_path / "image", grey.astype(np.uint8)), write(tmp_path / "label", labels, 3)


def test_sections_come_in_the_order_of_their_numbers(
    folders: tuple[Path, Path], interior: NDArray[np.bool_]
) -> None:
    """2 comes before 10, and each section has its own label."""
    stack = read_stack(*folders, pixel_size=0.004)
    np.testing.assert_array_equal(stack.interior, interior)
    np.testing.assert_array_equal(stack.pixels.max((1, 2)), 180 + np.arange(12))
    assert stack.pixels.dtype == np.float32
    assert stack.pixel_size == 0.004


def test_real_sections(data_folder: Path) -> None:
    """The public stack is read as it is described: a fifth to a quarter is membrane."""
    folder = data_folder / "isbi2012" / "data" / "membrane" / "train"
    stack = read_stack(folder / "image", folder / "label", pixel_size=0.004)
    assert stack.pixels.shape == (24, 512, 512)
    assert 0.7 < stack.interior.mean() < 0.85
    assert stack.pixels[stack.interior].mean() > stack.pixels[~stack.interior].mean() + 30


def test_real_sections_with_inverted_labels(data_folder: Path) -> None:
    """The other public stack has 255 on membranes: that is told, and read when it is said."""
    folder = data_folder / "drosophila-vnc" / "stack1"
    with pytest.raises(ValueError, match="look inverted"):
        read_stack(folder / "raw", folder / "membranes", pixel_size=0.0046)
    stack = read_stack(folder / "raw", folder / "membranes", pixel_size=0.0046, membrane=255)
    assert stack.pixels.shape[1:] == (1024, 1024)
    assert 0.7 < stack.interior.mean() < 0.85


def test_missing_labels_are_named(folders: tuple[Path, Path]) -> None:
    """A stack deeper than its labels says which are missing."""
    (folders[1] / "s2_007.png").unlink()
    with pytest.raises(ValueError, match=r"12 sections, but 11 labels.*\[7\]"):
        read_stack(*folders, pixel_size=0.004)


def test_labels_of_another_shape_are_named(folders: tuple[Path, Path]) -> None:
    """The file that does not fit is named."""
    io.write_image(folders[1] / "s2_003.png", np.zeros((20, 23), np.uint8), overwrite=True)
    with pytest.raises(ValueError, match=r"s2_003.png: a label of shape \(20, 23\).*\(20, 24\)"):
        read_stack(*folders, pixel_size=0.004)


def test_inverted_labels_are_explained(folders: tuple[Path, Path]) -> None:
    """Labels with 255 on membranes are an error that says so, and can be read."""
    for path in folders[1].iterdir():
        io.write_image(path, (255 - io.read_objects(path)).astype(np.uint8), overwrite=True)
    with pytest.raises(ValueError, match=r"7\d% of the pixels are called membrane.*inverted"):
        read_stack(*folders, pixel_size=0.004)
    stack = read_stack(*folders, pixel_size=0.004, membrane=255)
    assert stack.interior.mean() > 0.7


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 127, 255], r"3 values, 0 \(1 px\), 127 \(1 px\), 255 \(1 px\); expected two"),
        ([255, 255], r"1 values, 255 \(2 px\)"),
        ([1, 2], "expected two, 0 on membranes"),
        (list(range(40)), "40 values.*…; expected"),
    ],
)
def test_labels_of_other_values_are_refused(values: list[int], message: str) -> None:
    """Neither numbers of cells nor grey edges nor empty masks are taken for membranes."""
    with pytest.raises(ValueError, match=message):
        as_interior(np.array(values))


def test_arrays_that_make_no_stack() -> None:
    """Shape, depth, type and finite values are checked where a stack is made."""
    pixels, interior = RNG.random((3, 5, 6)), np.ones((3, 5, 6), bool)
    for wrong in (interior[:2], interior[:, :4], interior[0]):
        with pytest.raises(ValueError, match="same number of sections of the same size"):
            Stack(pixels, wrong, 0.004)
    with pytest.raises(ValueError, match="as_interior"):
        Stack(pixels, interior.astype(np.uint8), 0.004)
    with pytest.raises(ValueError, match="expected sections"):
        Stack(pixels[0], interior[0], 0.004)
    with pytest.raises(ValueError, match="finite"):
        Stack(pixels * np.nan, interior, 0.004)


def test_folders_that_hold_no_stack(tmp_path: Path) -> None:
    """A missing folder, one without sections, and two sections of one number are told."""
    with pytest.raises(NotADirectoryError, match="no such folder"):
        read_stack(tmp_path / "image", tmp_path, pixel_size=1)
    with pytest.raises(ValueError, match="no sections found"):
        read_stack(tmp_path, tmp_path, pixel_size=1)
    for name in ("1.png", "01.png"):
        io.write_image(tmp_path / name, np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match=r"01.png and 1.png have the same number"):
        read_stack(tmp_path, tmp_path, pixel_size=1)
