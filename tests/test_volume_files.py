"""Volumes and their neurons from files: what a file tells, and what it must be told."""

import gzip

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from axonlab import io
from axonlab.neurite_correct import NeuriteCorrection
from axonlab.volume_files import bodies_of, read_instances, read_volume

SIZE = (0.03, 0.006, 0.006)
RNG = np.random.default_rng(0)
IDS = st.sampled_from([0, 1, 5, 2**20, 2**40])


def test_a_stack_tells_how_large_its_voxels_are(tmp_path):
    """OME and ImageJ tell it in their units; what the caller says comes first."""
    pixels = RNG.integers(0, 4000, (5, 7, 9)).astype(np.uint16)
    ome = {f"PhysicalSize{axis}": 1000 * n for axis, n in zip("ZYX", SIZE, strict=True)}
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "ZYX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata={"axes": "ZYX"} | ome | units)
    tifffile.imwrite(
        tmp_path / "b.tif",
        pixels,
        imagej=True,
        resolution=(1 / 6, 1 / 6),
        metadata={"axes": "ZYX", "spacing": 30, "unit": "nm"},
    )
    for name in ("a.ome.tif", "b.tif"):
        volume = read_volume(tmp_path / name)
        np.testing.assert_allclose(volume.voxel_size, SIZE)
        np.testing.assert_array_equal(volume.pixels, pixels)
    assert read_volume(tmp_path / "b.tif", voxel_size=(0.05, 0.004, 0.004)).voxel_size[0] == 0.05


def test_voxels_of_unknown_size(tmp_path):
    """Stacks and folders that tell nothing are named, with what to do."""
    tifffile.imwrite(
        tmp_path / "plain.tif", np.zeros((3, 4, 5), np.uint8), photometric="minisblack"
    )
    for i in range(3):
        io.write_image(tmp_path / "sections" / f"z{i:02}.png", np.full((4, 5), i, np.uint8))
    for name in ("plain.tif", "sections"):
        with pytest.raises(
            ValueError, match=rf"{name}: how large a voxel .*\(0.03, 0.006, 0.006\)"
        ):
            read_volume(tmp_path / name)
        assert read_volume(tmp_path / name, voxel_size=SIZE).pixels.shape == (3, 4, 5)
    assert read_volume(tmp_path / "sections", voxel_size=SIZE).pixels[:, 0, 0].tolist() == [0, 1, 2]


def test_what_is_no_volume(tmp_path):
    """Colours, several channels, an empty folder and a damaged file."""
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((6, 7, 3), np.uint8), photometric="rgb")
    four = np.zeros((2, 3, 4, 5), np.uint8)
    tifffile.imwrite(tmp_path / "four.ome.tif", four, metadata={"axes": "CZYX"})
    for name in ("rgb.tif", "four.ome.tif"):
        with pytest.raises(ValueError, match="expected a stack of grey sections"):
            read_volume(tmp_path / name, voxel_size=SIZE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="No sections"):
        read_volume(tmp_path / "empty", voxel_size=SIZE)
    (tmp_path / "torn.tif").write_bytes((tmp_path / "rgb.tif").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"torn\.tif"):
        read_volume(tmp_path / "torn.tif", voxel_size=SIZE)


def test_ids_as_they_were_saved(tmp_path):
    """Stacks, folders and what a correction has saved; huge ids become small ones."""
    ids = RNG.integers(0, 50, (3, 4, 5)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "ids.tif", ids, photometric="minisblack")
    (tmp_path / "sections").mkdir()
    for i, plane in enumerate(ids):
        tifffile.imwrite(tmp_path / "sections" / f"{i}.tif", plane)
    correction = NeuriteCorrection(ids.astype(np.int32), voxel_size=SIZE)
    saved = correction.save(tmp_path / "saved") / "neurites.ome.tif"
    for path in (tmp_path / "ids.tif", tmp_path / "sections", saved):
        found = read_instances(path)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, ids)
    assert read_volume(saved).voxel_size == SIZE
    huge = ids.astype(np.uint64) * np.uint64(2**40)
    tifffile.imwrite(tmp_path / "huge.tif", huge, photometric="minisblack")
    expected = np.unique(ids, return_inverse=True)[1].reshape(ids.shape) + (0 not in ids)
    np.testing.assert_array_equal(read_instances(tmp_path / "huge.tif"), expected)
    tifffile.imwrite(tmp_path / "half.tif", ids / 2, photometric="minisblack")
    with pytest.raises(ValueError, match="expected whole ids"):
        read_instances(tmp_path / "half.tif")


@given(st.lists(IDS, min_size=1, max_size=12), st.dictionaries(IDS, IDS, min_size=5, max_size=5))
def test_bodies_of_supervoxels(supervoxels, body):
    """Two voxels are of one neuron when the table says so, and ids follow the bodies."""
    stack = np.array(supervoxels).reshape(1, 1, -1)
    found = bodies_of(stack, np.array(list(body.items())))[0, 0].tolist()
    bodies = [body[s] for s in supervoxels]
    order = sorted(set(bodies) - {0})
    assert found == [order.index(b) + 1 if b else 0 for b in bodies]


def test_bodies_that_are_not_told():
    """A supervoxel of no body or of two is an error."""
    table = np.array([[1, 10], [2, 20]])
    with pytest.raises(ValueError, match="1 supervoxels, such as 3, are of no body"):
        bodies_of(np.array([[[1, 3]]]), table)
    with pytest.raises(ValueError, match="Supervoxel 2 is of two bodies"):
        bodies_of(np.array([[[1]]]), np.array([[1, 10], [2, 20], [2, 21]]))


def test_instances_of_a_file(tmp_path):
    """Compressed or not, the file gives the neurons; a damaged one is named."""
    path = tmp_path / "truth.h5"
    with h5py.File(path, "w") as file:
        file["stack"] = np.array([[[0, 1], [2, 3]]], np.int32)
        file["transforms"] = np.array([[0, 0], [1, 115], [2, 182], [3, 115]])
    packed = tmp_path / "truth.h5.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for each in (path, packed):
        assert read_instances(each).tolist() == [[[0, 1], [2, 1]]]
    packed.write_bytes(packed.read_bytes()[:99])
    with pytest.raises(ValueError, match=r"truth.h5.gz: could not be read"):
        read_instances(packed)
    with h5py.File(path, "w") as file:
        file["main"] = 1
    with pytest.raises(ValueError, match="Expected HDF5 with the data sets stack and transforms"):
        read_instances(path)
    with pytest.raises(FileNotFoundError):
        read_instances(tmp_path / "none.h5")
