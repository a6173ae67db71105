"""Pinhole cameras against loops, and the conventions one by one."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from hoijax.camera import Camera, crop, intrinsics_from_fov, look_at, project, unproject

SIZE = (48, 64)  # H, W


def random_camera(batch=(), seed=0):
    rng = np.random.default_rng(seed)
    eye, target = rng.normal(size=(*batch, 3)) + [0, 0, 5.0], 0.3 * rng.normal(size=(*batch, 3))
    intrinsics = np.zeros((*batch, 3, 3))
    intrinsics[..., 0, 0], intrinsics[..., 1, 1] = rng.uniform(50, 80, size=(2, *batch))
    intrinsics[..., 0, 1] = 1.5  # skew
    intrinsics[..., 0, 2], intrinsics[..., 1, 2], intrinsics[..., 2, 2] = 30, 25, 1
    return Camera(intrinsics, np.asarray(look_at(eye, target)), SIZE)


def front_camera():
    """Ten metres in front of the origin, y up in the world, looking at it."""
    return Camera(intrinsics_from_fov(1.0, SIZE), look_at(np.array([0, 0, 10.0]), np.zeros(3)), SIZE)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_projection_is_that_of_the_textbook(batch):
    camera, points = random_camera(batch), np.random.default_rng(1).normal(size=(*batch, 5, 3))
    pixels, depth = jax.jit(project)(camera, points)
    for i in np.ndindex(*batch, 5):
        pose, k = camera.T_camera_world[i[:-1]], camera.intrinsics[i[:-1]]
        x, y, z = (pose @ [*points[i], 1.0])[:3]
        np.testing.assert_allclose(depth[i], z, atol=1e-13)
        np.testing.assert_allclose(pixels[i], (k @ [x / z, y / z, 1.0])[:2], rtol=1e-12)
    np.testing.assert_allclose(jax.jit(unproject)(camera, pixels, depth), points, atol=1e-12)


def test_right_is_right_up_is_up_and_nearer_is_less_deep():
    pixels, depth = project(front_camera(), np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float))
    np.testing.assert_allclose(pixels[0], [32, 24], atol=1e-12)  # the middle of the image, not of a pixel
    assert pixels[1, 0] > 32 and abs(pixels[1, 1] - 24) < 1e-9
    assert pixels[2, 1] < 24 and abs(pixels[2, 0] - 32) < 1e-9
    np.testing.assert_allclose(depth, [10, 10, 10, 9], atol=1e-12)


def test_field_of_view_reaches_from_the_top_edge_to_the_bottom_edge():
    half = 10 * np.tan(0.5)
    pixels, _ = project(front_camera(), np.array([[0, half, 0], [0, -half, 0]]))
    np.testing.assert_allclose(pixels[:, 1], [0, 48], atol=1e-10)
    chex.assert_shape(intrinsics_from_fov(jnp.array([0.5, 1.0]), SIZE), (2, 3, 3))
    chex.assert_type(intrinsics_from_fov(jnp.float32(0.5), SIZE), jnp.float32)


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_look_at_is_a_rigid_motion_that_centres_the_target(batch):
    rng = np.random.default_rng(0)
    eye, target = rng.normal(size=(2, *batch, 3))
    pose = np.asarray(look_at(eye, target, up=(0, 0, 1)))
    for i in np.ndindex(*batch):
        rotation = pose[i][:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-12)
        np.testing.assert_allclose(pose[i] @ [*eye[i], 1], [0, 0, 0, 1], atol=1e-12)
        np.testing.assert_allclose(pose[i] @ [*target[i], 1], [0, 0, np.linalg.norm(target[i] - eye[i]), 1], atol=1e-12)
        up = rotation @ [0, 0, 1]
        assert abs(up[0]) < 1e-12 and up[1] < 0  # upwards in the image, no roll


@pytest.mark.parametrize("eye", [[0, 5, 0], [0, -5, 0], [5, 0, 0]])
@pytest.mark.parametrize("up", [(0, 1, 0), (1, 0, 0)])
def test_looking_straight_up_or_down_is_still_a_rigid_motion(eye, up):
    eye = np.array(eye, float)
    rotation = np.asarray(look_at(eye, np.zeros(3), up=up))[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-12)
    np.testing.assert_allclose(rotation[2], -eye / 5, atol=1e-12)
    chex.assert_tree_all_finite(jax.jit(jax.jacrev(look_at))(eye, np.zeros(3), np.array(up, float)))


def test_a_crop_shifts_and_scales_the_pixels():
    camera, points = random_camera(), np.random.default_rng(1).normal(size=(6, 3))
    whole, depth = project(camera, points)
    part = crop(camera, (10, -5, 32, 20), (40, 128))
    assert part.image_size == (40, 128)
    pixels, same = project(part, points)
    np.testing.assert_allclose(pixels, (np.asarray(whole) - [10, -5]) * [128 / 32, 40 / 20], atol=1e-10)
    np.testing.assert_array_equal(same, depth)


def test_crops_batch_over_cameras_and_over_boxes():
    boxes = np.array([[0, 0, 64, 48], [10, 5, 20, 20]], float)
    several = crop(random_camera(), boxes, (24, 24))
    chex.assert_shape(several.intrinsics, (2, 3, 3))
    np.testing.assert_allclose(several.intrinsics[1], crop(random_camera(), boxes[1], (24, 24)).intrinsics)
    chex.assert_shape(crop(random_camera((2, 3)), boxes[0], (24, 24)).intrinsics, (2, 3, 3, 3))


def test_one_camera_sees_many_clouds_and_many_cameras_one_cloud():
    points = np.random.default_rng(1).normal(size=(4, 5, 3))
    pixels, _ = project(random_camera(), points)
    np.testing.assert_allclose(pixels[2], project(random_camera(), points[2])[0], atol=1e-12)
    cameras = random_camera((3,))
    pixels, _ = project(cameras, points[0])
    chex.assert_shape(pixels, (3, 5, 2))
    np.testing.assert_allclose(unproject(random_camera(), *project(random_camera(), points)), points, atol=1e-12)


def test_points_in_the_plane_of_the_camera_and_behind_it_stay_finite():
    camera = front_camera()
    points = np.array([[0, 0, 10], [1, 2, 10], [1, 2, 15], [0, 0, 10 - 1e-9]], float)
    pixels, depth = project(camera, points)
    assert np.all(np.asarray(depth) < 1e-6)
    chex.assert_tree_all_finite((pixels, jax.jit(jax.jacrev(project, 1))(camera, points)))
    assert np.max(np.abs(pixels)) < 1e3


def test_gradients_match_finite_differences():
    camera, points = random_camera(), np.random.default_rng(1).normal(size=(3, 3))
    flat, unravel = ravel_pytree((camera, points))
    value = jax.jit(lambda x: jnp.concatenate([part.reshape(-1) for part in project(*unravel(x))]))
    numeric = [(value(flat + e) - value(flat - e)) / 2e-6 for e in 1e-6 * np.eye(len(flat))]
    np.testing.assert_allclose(jax.jit(jax.jacfwd(value))(flat), np.stack(numeric, axis=-1), atol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.jacrev(value))(flat), jax.jit(jax.jacfwd(value))(flat), atol=1e-9)


def test_eager_jit_and_vmap_agree_and_float32_stays():
    camera, points = random_camera((2,)), np.random.default_rng(1).normal(size=(2, 5, 3))
    mapped = jax.jit(jax.vmap(project))(camera, points)  # the image size is static and passes through
    chex.assert_trees_all_close(project(camera, points), jax.jit(project)(camera, points), mapped, atol=1e-11)
    single = jax.jit(project)(jax.tree.map(lambda x: x.astype(np.float32), camera), points.astype(np.float32))
    chex.assert_type(list(single), jnp.float32)
    np.testing.assert_allclose(single[0], mapped[0], rtol=1e-4)
