"""The gradient baseline and the camera for bodies that have none."""

import jax
import numpy as np
import pytest

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body
from hoijax.geometry import inverse
from hoijax.systems.graft import (
    GraftState,
    UpdateMask,
    body_spec,
    contact_model,
    make_scene,
    pose_graft_state,
    straight_ahead,
)
from hoijax.systems.graft.frames import DISTANCE, facing_camera
from hoijax.systems.graft.gradient import gradient_refine


@pytest.mark.slow
def test_gradients_bring_a_body_to_the_floor_from_both_sides():
    model = free_body("test")
    spec = body_spec(model)
    params = BodyParams.from_axis_angle(model, **named_pose("stand"), betas=np.zeros(10, np.float32))
    lowest = float(np.asarray(pose_body(model, params).vertices)[:, 1].min())
    x, z = np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60))
    floor = np.stack([x.ravel(), np.zeros(x.size), z.ravel()], axis=1).astype(np.float32)
    scene = make_scene(floor, np.broadcast_to(np.float32([0, 1, 0]), floor.shape))
    contacts = contact_model(spec, model)
    held = UpdateMask(orient=False)
    refine = jax.jit(lambda state: gradient_refine(spec, contacts, scene, state, steps=80, update=held))
    for height in (0.07, -0.07):
        move = np.array([0, height - lowest, 0], np.float32)
        state = GraftState.of(params.replace(translation=params.translation + move))
        end = refine(state)
        after = np.asarray(pose_graft_state(model, end).vertices)[:, 1].min()
        assert abs(after) < 0.02, height
        np.testing.assert_allclose(end.params.rotations[0], params.rotations[0], atol=1e-6)


def test_behind_a_surface_is_straight_ahead_and_beside_its_rim_is_not():
    """A seat's open cloud: 6 cm under its middle is inside, 6 cm under it and as far before its rim is not."""
    for height in (0.06, -0.06, -0.13):
        assert straight_ahead(np.hypot(0.0, height), height)
        assert straight_ahead(np.hypot(0.02, height), height)  # between two points of the cloud
        assert straight_ahead(np.hypot(0.17 * abs(height), height), height)  # a normal 10 degrees off
        assert not straight_ahead(np.hypot(0.06, height), height)


@pytest.mark.parametrize("up", [(0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)])
def test_a_made_up_camera_looks_at_the_person_upright(up):
    pelvis, up = np.array([3.0, 1.0, -2.0]), np.array(up)
    for forward in (None, np.array([1.0, 0.3, 0.2]), up):
        pose = facing_camera(pelvis, up, forward)
        rotation = np.asarray(pose.rotation, np.float64)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(rotation) > 0
        seen = rotation @ pelvis + pose.translation
        np.testing.assert_allclose(seen, [0, 0.4, DISTANCE], atol=1e-5)
        np.testing.assert_allclose(rotation @ up, [0, -1, 0], atol=1e-6)
        back = jax.tree.map(np.asarray, inverse(pose))
        np.testing.assert_allclose(back.rotation @ seen + back.translation, pelvis, atol=1e-5)


def test_the_made_up_camera_stands_where_the_person_looks():
    pose = facing_camera(np.zeros(3), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    eye = inverse(pose).translation
    np.testing.assert_allclose(eye, [0, 0.4, DISTANCE], atol=1e-6)
