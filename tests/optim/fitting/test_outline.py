"""Outlines: cutting masks, and following one whose body is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.body_models import free_body, pose_body
from hoijax.camera import Camera
from hoijax.errors import InputError
from hoijax.geometry import axis_angle_from_rotation, rotation_from_axis_angle
from hoijax.optim.fitting import (
    BodyFit,
    OutlineConfig,
    follow_outlines,
    given_intrinsics,
    outline_target,
)
from hoijax.optim.fitting.residuals import Evidence
from hoijax.optim.fitting.unknowns import place_pelvis, pose_unknowns, unpack
from hoijax.render import rasterize


def body_mask(params, scenes):
    model = free_body("test")
    camera = Camera(scenes.MATRIX, np.eye(4, dtype=np.float32), scenes.SIZE)
    return np.asarray(rasterize(pose_body(model, params).vertices, model.faces, camera).mask)


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_target_is_the_mask_about_its_middle():
    mask = np.zeros((300, 400), bool)
    mask[100:200, 150:190] = True
    target = outline_target(mask, size=31, margin=0.12)
    np.testing.assert_allclose(target.box, [170 - 62, 150 - 62, 124, 124])
    assert target.covered.shape == (31, 31)
    np.testing.assert_allclose(target.valid, 1, atol=1e-5)
    np.testing.assert_allclose(target.covered.sum() * 16, mask.sum(), rtol=1e-3)
    y, x = np.mgrid[:31, :31] + 0.5
    weight = target.covered / target.covered.sum()
    np.testing.assert_allclose([(weight * x).sum() * 4 + 108, (weight * y).sum() * 4 + 88], [170, 150], atol=0.1)


def test_outside_of_the_picture_and_behind_things_nothing_is_known():
    mask = np.zeros((100, 100), bool)
    mask[40:, 30:60] = True  # cut off below
    hidden = np.zeros((100, 100), bool)
    hidden[50:60] = True
    target = outline_target(mask, hidden=hidden, size=32)
    _left, top, side, _ = target.box
    rows = top + (np.arange(32) + 0.5) * side / 32
    assert (target.valid[rows > 101] == 0).all() and target.valid[(rows > 62) & (rows < 98), 16].min() == 1
    assert (target.valid[(rows > 52) & (rows < 58)] == 0).all()
    assert target.covered[np.searchsorted(rows, 80), 16] == 1  # not diluted by what is hidden beside it


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"mask": np.zeros((40, 40), bool)}, "empty"),
        ({"mask": np.full((40, 40), 255.0)}, "probabilities"),
        ({"mask": np.ones((40, 40), bool), "hidden": np.zeros((40, 41), bool)}, r"\(40, 41\)"),
        ({"mask": np.ones((40, 40), bool), "size": 4}, "at least 16"),
    ],
)
def test_no_mask(arguments, told):
    with pytest.raises(InputError, match=told):
        outline_target(**arguments)
    with pytest.raises(InputError):
        OutlineConfig(steps=0)


@pytest.mark.slow
def test_the_outline_brings_width_and_a_lower_leg_that_no_landmark_shows(scenes, prepared):
    """From the true pose of a person of mean width whose left knee is straight; the true one is wide and bends it."""
    model = free_body("test")
    scene = scenes.stand_before_camera(model, "stand", seed=11, yaw=0.9, jitter=0.05)
    vectors = np.array(axis_angle_from_rotation(scene.params.rotations))
    z = place_pelvis(pose_unknowns(prepared, vectors), scene.joints[0])
    bent = np.array(vectors)
    bent[model.joint_names.index("left_knee")] += [0.5, 0, 0]
    rotations = scene.params.rotations.at[1:].set(rotation_from_axis_angle(bent[1:]))
    betas = np.zeros(10, np.float32)
    betas[1] = 2.0
    truth = body_mask(scene.params.replace(rotations=rotations, betas=jnp.asarray(betas)), scenes)
    leg = ("left_ankle", "left_heel", "left_big_toe")
    weights = np.array([0.0 if name in leg else 1.0 for name in scenes.NAMES])
    seen, camera = scene.observe(weights=weights, noise=4.0), given_intrinsics(scenes.MATRIX, scenes.SIZE)
    start = Evidence(jax.tree.map(jnp.asarray, seen), camera.replace(source=""), scene.params.rotations[0])
    size = prepared.size
    before = BodyFit(
        params=None, intrinsics=scenes.MATRIX, focal_std=None, joints=None, joint_std=None, joint_std_root=None,
        evidence=None, points=None, pixel_error=None, cost=None, swap=jnp.int32(0), start_costs=None, z=z,
        root=start.root, normal=jnp.eye(size, dtype=jnp.float32),
    )  # fmt: skip
    hidden = np.zeros_like(truth)  # something before the chest, which its mask does not show
    chest = (scene.pixels[5] + scene.pixels[6]) / 2
    hidden[int(chest[1]) : int(chest[1]) + 60, int(chest[0]) - 40 : int(chest[0]) + 40] = True
    target = outline_target(truth & ~hidden, hidden=hidden, size=48)
    after, missed = follow_outlines(prepared, model, seen, camera, before, target, OutlineConfig(steps=50))
    first = overlap(body_mask(unpack(prepared, z, start.root), scenes), truth)
    last = overlap(body_mask(after.params, scenes), truth)
    assert last > first + 0.05 and last > 0.9
    assert missed[-1] < 0.4 * missed[0]
    assert after.params.betas[1] > 0.7
    knee = np.asarray(axis_angle_from_rotation(after.params.rotations[model.joint_names.index("left_knee")]))
    assert knee[0] > vectors[model.joint_names.index("left_knee"), 0] + 0.25
    assert np.median(np.asarray(after.pixel_error)) < 8
    for leaf in jax.tree.leaves(after.replace(start_costs=0.0)):
        assert np.isfinite(np.asarray(leaf)).all()
