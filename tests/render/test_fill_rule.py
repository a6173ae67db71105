"""Every pixel of a closed surface is covered exactly once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.camera import Camera
from hoijax.render import rasterize

SIZE = (24, 24)


def lattice(rng, step, origin):
    """A square grid of vertices, `step` pixels apart, each cell cut by a random diagonal, faces wound at random."""
    count = int(16 / step)
    columns, rows = np.meshgrid(np.arange(count + 1), np.arange(count + 1))
    vertices = np.stack([origin + step * columns, origin + step * rows, np.ones_like(columns)], -1).reshape(-1, 3)
    faces = []
    for r in range(count):
        for c in range(count):
            a = r * (count + 1) + c
            b, d, e = a + 1, a + count + 1, a + count + 2
            faces += [[a, b, e], [a, e, d]] if rng.uniform() < 0.5 else [[a, b, d], [b, e, d]]
    faces = np.array(faces, np.int32)
    flip = rng.uniform(size=len(faces)) < 0.5
    faces[flip] = faces[flip][:, ::-1]
    return vertices.astype(np.float32), faces


def layers(vertices, faces, camera, **options):
    """(F, H, W) coverage of each face drawn alone."""
    draw = jax.jit(jax.vmap(lambda face: rasterize(vertices, face[None], camera, **options).mask))
    return np.asarray(draw(jnp.asarray(faces)))


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("origin", [3.0, 3.25, 3.5])
@pytest.mark.parametrize("depth", [1.0, 2.0])
def test_vertices_on_centres_corners_and_quarters_of_pixels(make_pixel_camera, step, origin, depth):
    rng = np.random.default_rng(int(step * 8 + origin * 4))
    vertices, faces = lattice(rng, step, origin)
    covered = layers(vertices * depth, faces, make_pixel_camera(SIZE)).sum(0)
    # A half-open square: left and top rims in, right and bottom rims out.
    centre = np.arange(24) + 0.5
    line = (centre >= origin) & (centre < origin + 16)
    np.testing.assert_array_equal(covered, np.outer(line, line).astype(int))
    assert covered.sum() == 16 * 16


def test_top_left_rule_on_one_square(make_pixel_camera):
    """Centres exactly on the rim: those on the left and top edges are in, those on the right and bottom are out."""
    vertices = np.array([[2.5, 2.5, 1], [6.5, 2.5, 1], [6.5, 6.5, 1], [2.5, 6.5, 1]], np.float32)
    mask = np.asarray(rasterize(vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32), make_pixel_camera((9, 9))).mask)
    want = np.zeros((9, 9), bool)
    want[2:6, 2:6] = True
    np.testing.assert_array_equal(mask, want)


def test_as_many_front_as_back_layers(make_blob, make_camera):
    vertices, faces = make_blob(1, roughness=1.2)
    camera = make_camera((40, 40))
    front = layers(vertices, faces, camera, cull="back").sum(0)
    back = layers(vertices, faces, camera, cull="front").sum(0)
    assert front.max() >= 1
    np.testing.assert_array_equal(front, back)


def test_no_crack_from_a_thousand_cameras(make_blob):
    """From outside a closed mesh a ray that enters also leaves, and what it meets first faces the camera."""
    vertices, faces = make_blob(3, roughness=0.6, centre=(0, 0, 0))

    @jax.jit
    @jax.vmap
    def draw(pose, focal):
        intrinsics = jnp.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], jnp.float32) * focal
        intrinsics += jnp.array([[0, 0, 16], [0, 0, 16], [0, 0, 1]], jnp.float32)
        camera = Camera(intrinsics, pose, (32, 32))
        both, front, back = (rasterize(vertices, faces, camera, cull=cull) for cull in ("none", "back", "front"))
        return both.face_id, front.face_id, back.face_id

    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(20):
        quaternion = rng.normal(size=(50, 4))
        w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
        pose = np.broadcast_to(np.eye(4), (50, 4, 4)).copy()
        pose[:, 0, :3] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1)
        pose[:, 1, :3] = np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1)
        pose[:, 2, :3] = np.cross(pose[:, 0, :3], pose[:, 1, :3])
        pose[:, :3, 3] = rng.normal(size=(50, 3)) * 0.3 + [0, 0, 5]
        focal = rng.uniform(30, 400, size=50)  # from the whole mesh in view to a part of it
        both, front, back = (np.asarray(a) for a in draw(pose.astype(np.float32), focal.astype(np.float32)))
        np.testing.assert_array_equal(both, front)
        np.testing.assert_array_equal(front >= 0, back >= 0)
        hits += (both >= 0).sum()
    assert hits > 400_000
