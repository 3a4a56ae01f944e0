"""Volumes: sections in their order, masks whatever their values, and what does not fit."""

import numpy as np
import pytest
from PIL import Image

from axonlab import io, volume
from axonlab.volume import Volume

SIZE = (0.05, 0.004, 0.004)


@pytest.fixture
def stack(tmp_path):
    """Write a stack of 12 sections, 0.png to 11.png, whose grey value is their number."""
    for i in range(12):
        io.write_image(tmp_path / "image" / f"{i}.png", np.full((4, 5), i, np.uint8))
    return tmp_path / "image"


def write_masks(folder, interior, colours, suffix="png"):
    """Write masks with two values: of membrane and of interior."""
    folder.mkdir()
    for i, section in enumerate(interior):
        values = np.where(section, colours[1], colours[0]).astype(np.uint8)
        Image.fromarray(values).save(folder / f"labels{i:08d}.{suffix}")
    return sorted(folder.iterdir(), reverse=True)


def cube(seed=0):
    """Return a volume and its truth: bright interior, dark membranes."""
    truth = np.random.default_rng(seed).random((3, 6, 7)) < 0.8
    return Volume(np.where(truth, 150, 50), SIZE, "cube"), truth


def test_sections_in_the_order_of_their_numbers(stack):
    """Section 10 is after section 9, whatever the order of the files."""
    read = volume.read_stack(sorted(stack.iterdir()), voxel_size=SIZE, name="twelve")
    assert read.pixels.shape == (12, 4, 5) and read.pixels.dtype == np.float32
    assert read.pixels[:, 0, 0].tolist() == list(range(12))
    assert (read.voxel_size, read.name) == (SIZE, "twelve")


def test_a_section_is_a_micrograph():
    """A section keeps its size and tells which it is; there is no section -1."""
    read, _ = cube()
    section = read.section(2)
    assert (section.pixel_size, section.name) == (0.004, "cube section 2")
    assert (section.pixels == read.pixels[2]).all()
    for number in (-1, 3):
        with pytest.raises(ValueError, match=f"no section {number}, there are 0 to 2"):
            read.section(number)
    with pytest.raises(ValueError, match=r"0.004 µm high and 0.005 µm wide"):
        Volume(read.pixels, (0.05, 0.004, 0.005)).section(0)


@pytest.mark.parametrize(
    ("pixels", "size", "message"),
    [
        (np.zeros((3, 4)), SIZE, r"shape \(3, 4\), expected a volume.*pixels\[None\]"),
        (np.zeros((0, 3, 4)), SIZE, r"shape \(0, 3, 4\)"),
        (np.full((1, 2, 2), np.nan), SIZE, "4 of 4 pixels are NaN"),
        (np.zeros((1, 2, 2)), (50, 4, 4000), "4000 µm is outside"),
        (np.zeros((1, 2, 2)), (0.004, 0.004), "expected three numbers in µm"),
    ],
)
def test_what_is_no_volume(pixels, size, message):
    """What cannot be a volume is refused."""
    with pytest.raises(ValueError, match=message):
        Volume(pixels, size)


def test_stack_with_a_gap(stack):
    """Without a section those after it would be in a wrong place."""
    (stack / "5.png").unlink()
    with pytest.raises(ValueError, match="sections 5 are missing between 0 and 11"):
        volume.read_stack(stack.iterdir(), voxel_size=SIZE)


def test_stack_without_its_first_sections(stack):
    """A stack can begin at any section, for some are kept from it."""
    for i in range(4):
        (stack / f"{i}.png").unlink()
    assert volume.read_stack(stack.iterdir(), voxel_size=SIZE).pixels[0, 0, 0] == 4


def test_stack_of_several_shapes(stack):
    """The first section of another shape is named."""
    io.write_image(stack / "7.png", np.zeros((4, 6), np.uint8), overwrite=True)
    with pytest.raises(ValueError, match=r"7\.png: a section of shape \(4, 6\), but 0.png is of"):
        volume.read_stack(stack.iterdir(), voxel_size=SIZE)


def test_stack_of_nothing(tmp_path):
    """A folder without sections, or with names that tell no number, is no stack."""
    with pytest.raises(FileNotFoundError, match="no file was given or found"):
        volume.read_stack(tmp_path.glob("*.png"), voxel_size=SIZE)
    with pytest.raises(ValueError, match=r"a.png: the name holds no number"):
        volume.read_stack(["a.png"], voxel_size=SIZE)
    with pytest.raises(ValueError, match=r"01.png: section 1 is 1.png, too"):
        volume.read_stack(["1.png", "01.png"], voxel_size=SIZE)


@pytest.mark.parametrize("colours", [(0, 255), (255, 0), (0, 1), (1, 0)])
def test_interior_whatever_the_values(tmp_path, colours):
    """Masks of either convention say the same when the value of membranes is given."""
    _, truth = cube()
    masks = write_masks(tmp_path / "masks", truth, colours)
    read = volume.read_interior(masks, membrane=colours[0])
    assert read.dtype == bool and (read == truth).all()


def test_masks_of_one_bit_and_of_colours(tmp_path):
    """Masks saved as one bit, or in RGB although they are grey, are read alike."""
    _, truth = cube()
    for i, section in enumerate(truth):
        grey = Image.fromarray((section * 255).astype(np.uint8))
        grey.convert(["1", "RGB", "LA"][i]).save(tmp_path / f"{i}.png")
    assert (volume.read_interior(tmp_path.iterdir(), membrane=0) == truth).all()


@pytest.mark.parametrize(
    ("value", "message"), [(7, "hold the values 0, 7, 255, expected two"), (0, "membrane=3")]
)
def test_masks_of_other_values(tmp_path, value, message):
    """More than two values, or none that is membrane, are no masks of membranes."""
    _, truth = cube()
    masks = write_masks(tmp_path / "masks", truth, (0, 255))
    odd = np.where(truth[0], 255, 0).astype(np.uint8)
    odd[0, 0] = value
    Image.fromarray(odd).save(masks[-1])
    membrane = 3 if message == "membrane=3" else 0
    expected = "expected two: 3 for membrane" if membrane else message
    with pytest.raises(ValueError, match=expected):
        volume.read_interior(masks, membrane=membrane)


def test_sections_without_masks(stack):
    """Labels that are missing, or left over, are told by the numbers of their sections."""
    images = volume.number_sections(stack.iterdir())
    masks = {i: path for i, path in images.items() if i < 10}
    with pytest.raises(ValueError, match="12 sections and 10 masks; sections 10, 11 have no mask"):
        volume.check_same_sections(images, masks)
    with pytest.raises(ValueError, match="sections 10, 11 have no image"):
        volume.check_same_sections(masks, images)
    volume.check_same_sections(images, dict(images))


def test_truth_that_fits():
    """Bright interior, or a truth with more membrane than interior, is no inverted one."""
    seen, truth = cube()
    volume.check_truth(seen, truth)
    volume.check_truth(seen, truth & (np.arange(7) < 2))
    volume.check_truth(seen, np.zeros_like(truth))


def test_truth_that_does_not_fit():
    """Another depth, grey values, or an inverted mask are told."""
    seen, truth = cube()
    with pytest.raises(ValueError, match=r"truth of shape \(2, 6, 7\) for a volume of \(3, 6, 7\)"):
        volume.check_truth(seen, truth[:2])
    with pytest.raises(ValueError, match="truth of type uint8, expected boolean"):
        volume.check_truth(seen, truth.astype(np.uint8))
    with pytest.raises(ValueError, match=r"darker than the rest.*probably inverted. Pass ~truth"):
        volume.check_truth(seen, ~truth)


def test_sections_are_normalised_one_by_one():
    """A darker section is like the others, a blank one is 0 everywhere."""
    rng = np.random.default_rng(0)
    plane = rng.uniform(0, 200, (40, 50))
    pixels = np.stack([plane, 0.3 * plane + 5, np.zeros_like(plane)])
    found = volume.normalise_sections(Volume(pixels, (0.05, 0.004, 0.004)))
    assert found.dtype == np.float32 and not found[2].any()
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert abs(np.median(found[0]) - 0.5) < 0.1
