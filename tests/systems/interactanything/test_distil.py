"""Score distillation of a field: cameras, the embedded object, a score that is known, and the body that comes back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.body_models import BodyParams, free_body, named_pose, pose_joints
from hoijax.camera import project
from hoijax.diffusion import DistillationConfig, scaled_linear_schedule
from hoijax.errors import InputError
from hoijax.nets.interactanything.radiance import FieldConfig, RadianceField
from hoijax.optim.fitting import FitConfig
from hoijax.optim.fitting.points import place_points, point_table
from hoijax.systems.interactanything.distil import (
    DistilConfig,
    Drawn,
    Embedded,
    distil,
    group_cameras,
    mvdream_cameras,
    recover_body,
    ring,
    show,
)

FIELD = FieldConfig(levels=2, entries=256, base=4, hidden=8, bias=6.0)
CONFIG = DistilConfig(field=FIELD, steps=60, views=2, size=6, samples=10,
                      loss=DistillationConfig(strength=1.0, weighting="uniform", views=2),
                      high=(0.4, 0.2), low=(0.1, 0.02), crowded=0.0, rates=(0.05, 0.02))  # fmt: skip
SCHEDULE = scaled_linear_schedule()


def test_cameras_of_a_step_are_at_equal_angles_and_look_at_the_middle():
    config = DistilConfig(elevation=(10.0, 20.0), distance=(3.0, 3.5), fov=(30.0, 50.0))
    camera = group_cameras(jax.random.key(3), config)
    pose = np.asarray(camera.T_camera_world, float)
    eye = -np.einsum("vji,vj->vi", pose[:, :3, :3], pose[:, :3, 3]) - config.centre
    distance, azimuth = np.linalg.norm(eye, axis=1), np.degrees(np.arctan2(eye[:, 0], eye[:, 2]))
    np.testing.assert_allclose(np.diff(azimuth) % 360, 90.0, atol=1e-3)
    assert np.ptp(distance) < 1e-5 and 3.0 <= distance[0] <= 3.5
    elevation = np.degrees(np.arcsin(eye[:, 1] / distance))
    assert np.ptp(elevation) < 1e-3 and 10 <= elevation[0] <= 20
    pixels, depth = project(camera, np.broadcast_to(np.float32(config.centre), (4, 1, 3)))
    np.testing.assert_allclose(pixels[:, 0], 32.0, atol=1e-3)
    assert np.all(np.asarray(depth) > 0)


def test_mvdream_sees_our_front_at_its_front():
    config = DistilConfig()
    azimuth, elevation = np.array([0.0, 90.0, 200.0]), 20.0
    numbers = np.asarray(mvdream_cameras(ring(azimuth, elevation, 3.3, 40.0, config), config)).reshape(3, 4, 4)
    a, e = np.radians(azimuth), np.radians(elevation)
    centre = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e) * np.ones(3)], axis=1)
    np.testing.assert_allclose(numbers[:, :3, 3], centre, atol=1e-5)  # threestudio's camera, on the unit ball
    np.testing.assert_allclose(numbers[:, :3, 2], centre, atol=1e-5)  # OpenGL's cameras look along -z
    np.testing.assert_allclose(numbers[:, 2, 0], 0.0, atol=1e-6)  # and have a level horizon,
    assert np.all(numbers[:, 2, 1] > 0)  # the sky above
    np.testing.assert_allclose(np.linalg.det(numbers[:, :3, :3]), 1.0, atol=1e-5)
    np.testing.assert_allclose(numbers[:, 3], np.broadcast_to([0, 0, 0, 1], (3, 4)), atol=0)


def wall(depth):
    """A red wall at a depth, whose inside is x > 0."""
    return Embedded(
        draw=lambda camera: Drawn(
            jnp.broadcast_to(jnp.asarray([1.0, 0.0, 0.0]), (camera.intrinsics.shape[0], 6, 6, 3)),
            jnp.full((camera.intrinsics.shape[0], 6, 6), depth),
        ),
        inside=lambda points: points[..., 0] > 0,
    )


def test_the_object_hides_what_is_behind_it_and_density_inside_it_counts():
    field, camera = RadianceField(FIELD, nnx.Rngs(0)), ring(np.array([0.0, 90.0]), 10.0, 3.3, 40.0, CONFIG)
    alone, near, far = (
        show(field, camera, CONFIG),
        show(field, camera, CONFIG, wall(1.0)),
        show(field, camera, CONFIG, wall(9.0)),
    )
    np.testing.assert_allclose(near.color, np.broadcast_to([1.0, 0, 0], (2, 6, 6, 3)), atol=1e-6)
    assert np.all(np.asarray(near.opacity) == 0)
    np.testing.assert_allclose(far.opacity, alone.opacity, atol=1e-6)
    np.testing.assert_allclose(
        far.color - alone.color, (1 - np.asarray(alone.opacity))[..., None] * np.array([0.0, -1.0, -1.0]), atol=1e-5
    )
    assert np.asarray(alone.opacity)[:, 2:4, 2:4].min() > 0.8 and np.asarray(alone.opacity)[:, 0, 0].max() < 0.2
    assert float(alone.inside) == 0 and float(far.inside) > 0.03
    empty = Embedded(draw=wall(9.0).draw, inside=lambda points: jnp.zeros(points.shape[:-1], bool))
    assert float(show(field, camera, CONFIG, empty).inside) == pytest.approx(0.0, abs=1e-6)


def test_a_score_that_wants_one_colour_gets_it():
    want = jnp.asarray([0.2, 0.7, 0.4], jnp.float32)

    def denoise(x, t, cameras):
        assert cameras.shape == (2, 16)
        signal, sigma = SCHEDULE.coefficients(t, x.dtype)
        noise = (x - signal * jnp.broadcast_to(2 * want - 1, x.shape)) / sigma
        return noise, noise

    seen = []

    def watch(step, losses, field):
        seen.append((step, losses, field.tables[...]))

    with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and floats
        made = distil(denoise, SCHEDULE, wall(9.0), CONFIG, jax.random.key(0), watch=watch)
    assert [step for step, _, _ in seen] == list(range(60))
    np.testing.assert_array_equal([losses for _, losses, _ in seen], made.losses)
    np.testing.assert_array_equal(seen[-1][2], made.field.tables[...])
    assert not np.array_equal(seen[0][2], seen[1][2])
    camera = ring(np.array([30.0, 210.0]), 10.0, 3.3, 40.0, CONFIG)
    shown = show(made.field, camera, CONFIG, wall(9.0))
    middle = np.asarray(shown.color)[:, 2:4, 2:4].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(middle, want, atol=0.12)
    assert made.losses.shape == (60, 3) and np.all(made.losses[:, 1] > 0)  # the field is in the object, too


def test_views_of_the_loss_and_of_the_cameras_agree_or_are_refused():
    with pytest.raises(InputError, match="4 views"):
        DistilConfig(views=2)


NAMES = ("nose", *(f"{s}_{n}" for s in ("left", "right") for n in (
    "shoulder", "elbow", "wrist", "hip", "knee", "ankle")))  # fmt: skip


def test_a_body_comes_back_from_where_its_landmarks_are_seen():
    model = free_body("test")
    params = BodyParams.from_axis_angle(model, **named_pose("sit"))
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    rotations = np.array(params.rotations)
    rotations[0] = turn @ rotations[0]
    params = BodyParams(rotations, params.betas, np.float32([0.2, 0.1, -0.3]))
    truth = np.asarray(place_points(point_table(model, NAMES), params)[0])
    config = DistilConfig(size=64)
    camera = ring(np.arange(6) * 60.0, 15.0, 3.3, 40.0, config)
    pixels = np.array(project(camera, np.broadcast_to(truth, (6, *truth.shape)))[0])
    pixels[1, 3] += 20.0
    pixels[4, :, :] = pixels[4, :, :] * [-1, 1] + [64, 0]  # a view in the mirror

    def detect(pictures):
        assert pictures.shape == (6, 64, 64, 3)
        return pixels, np.ones(pixels.shape[:2])

    got = recover_body(np.zeros((6, 64, 64, 3)), camera, detect, NAMES, model, threshold=0.02,
                       config=FitConfig(azimuths=4, starts=1, steps=12))  # fmt: skip
    assert got.found.all()
    np.testing.assert_allclose(got.points, truth, atol=1e-3)
    own = np.asarray(place_points(point_table(model, NAMES), got.params)[0])
    assert np.abs(own - truth).max() < 0.04
    joints = [np.asarray(pose_joints(model, p).joints)[:22] for p in (params, got.params)]
    assert np.linalg.norm(joints[0] - joints[1], axis=1).max() < 0.12


def test_too_few_landmarks_are_said():
    camera = ring(np.arange(3) * 120.0, 15.0, 3.3, 40.0, DistilConfig(size=64))
    with pytest.raises(InputError, match="0 of 13 landmarks"):
        recover_body(np.zeros((3, 64, 64, 3)), camera, lambda p: (np.zeros((3, 13, 2)), np.zeros((3, 13))), NAMES,
                     free_body("test"))  # fmt: skip
