"""Surfaces of neurites: where they are, how large, closed, and which side is out."""

import numpy as np
import pytest

from axonlab.neurite_mesh import meshes

RADIUS, CENTRE = 0.3, np.array([0.5, 0.45, 0.4])  # x, y, z in µm
SIZES = [(0.05, 0.01, 0.01), (0.02, 0.02, 0.02), (0.01, 0.02, 0.04)]


def ball(voxel_size):
    """Return instances with a ball as the neurite 3, beside another."""
    shape = [round(1 / size) for size in voxel_size]
    z, y, x = (i * s for i, s in zip(np.indices(shape), voxel_size, strict=True))
    distance = np.sqrt((x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 + (z - CENTRE[2]) ** 2)
    instances = np.where(distance < RADIUS, 3, 0)
    instances[-2:, :3] = 1
    return instances


@pytest.mark.parametrize("voxel_size", SIZES)
@pytest.mark.parametrize("side", [80, 20])
def test_a_ball(voxel_size, side):
    """Whatever the voxels and steps, it is where it is, nearly as large, and normals point out."""
    [mesh] = meshes(ball(voxel_size), [3], voxel_size=voxel_size, side=side)
    from_centre = mesh.vertices - CENTRE
    distance = np.linalg.norm(from_centre, axis=1)
    edge = max(*voxel_size, 2 * RADIUS / side)
    assert abs(distance - RADIUS).max() < 1.2 * edge
    assert abs(mesh.vertices.mean(axis=0) - CENTRE).max() < 0.3 * edge
    out = (mesh.normals * from_centre).sum(axis=1) / distance
    assert np.median(out) > 0.9
    a, b, c = mesh.vertices[mesh.faces].astype(float).transpose(1, 0, 2)
    volume = (a * np.cross(b, c)).sum() / 6  # below 0 if triangles are seen from within
    assert volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=4 * edge / RADIUS)
    assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("voxel_size", SIZES)
def test_it_is_closed(voxel_size):
    """Every edge is of two triangles, even of a neurite that fills the volume."""
    for instances, i in ((ball(voxel_size), 3), (np.full((3, 4, 5), 2), 2)):
        [mesh] = meshes(instances, [i], voxel_size=voxel_size)
        edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_a_thin_one_is_seen():
    """A neurite of one voxel, and one that is thin against its length, have surfaces."""
    instances = np.zeros((5, 6, 900), np.int32)
    instances[2, 3, :], instances[0, 0, 0] = 1, 2
    line, dot = meshes(instances, [1, 2], voxel_size=(0.05, 0.01, 0.01))
    assert np.ptp(line.vertices[:, 0]) == pytest.approx(9, rel=0.02)
    assert np.ptp(line.vertices[:, 2]) < 0.3
    assert len(dot.faces) and abs(dot.vertices).max() < 0.06


def test_larger_ones_do_not_take_longer():
    """The number of triangles depends on the steps, not on the voxels."""
    small = np.pad(np.ones((20, 20, 20), int), 2)
    large = np.pad(np.ones((80, 80, 80), int), 2)
    one, other = (meshes(i, [1], voxel_size=(1, 1, 1), side=20)[0] for i in (small, large))
    assert len(one.faces) == pytest.approx(len(other.faces), rel=0.1)


def test_order_and_what_is_not_there():
    """Meshes come in the order of the ids; ids that are not there are told."""
    instances = ball(SIZES[1])
    assert [m.neurite_id for m in meshes(instances, [3, 1], voxel_size=SIZES[1])] == [3, 1]
    for i in (0, 2, 4, -1):
        with pytest.raises(ValueError, match=f"No neurite {i}"):
            meshes(instances, [i], voxel_size=SIZES[1])
