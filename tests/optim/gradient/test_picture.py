"""The terms of a picture: closed forms, brute force, finite differences, and what they do for a refinement."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hoijax.body_models import pose_body
from hoijax.camera import Camera
from hoijax.errors import InputError
from hoijax.geometry import RigidPose, transform_points
from hoijax.optim.fitting import object_shape, object_target, observe, outline_target, place_points, point_table
from hoijax.optim.gradient import RefineConfig, body_surfaces, outline_overlaps, picture_of, picture_terms, refine_batch
from hoijax.optim.gradient.picture import (
    BLUR,
    MISSED,
    ORDER_REACH,
    ORDER_SLACK,
    OUTLIER,
    landmark_term,
    order_term,
    outline_term,
)
from hoijax.render import rasterize

SIZE = (320, 240)
MATRIX = np.array([[300.0, 0, 120], [0, 310, 170], [0, 0, 1]], np.float32)
# A camera before the person, who looks along z: x to the left, y down.
CAMERA = np.array([[-1.0, 0, 0, 0.05], [0, -1, 0, 1.0], [0, 0, -1, 3.0], [0, 0, 0, 1]], np.float32)
NAMES = ("left_wrist", "right_wrist", "left_knee", "right_knee", "head_top", "left_elbow", "mid_hip")


def masks(model, params, pose, mesh):
    """Body and object as one picture shows them: booleans, with the nearer one at each pixel."""
    camera = Camera(MATRIX, CAMERA, SIZE)
    body = rasterize(pose_body(model, params).vertices, model.faces, camera).depth
    thing = rasterize(transform_points(pose, mesh.vertices), mesh.faces, camera).depth
    return np.asarray((body < thing) & (body < np.inf)), np.asarray((thing <= body) & (thing < np.inf))


def project(points):
    seen = points @ CAMERA[:3, :3].T + CAMERA[:3, 3]
    return seen[:, :2] / seen[:, 2:] * MATRIX[[0, 1], [0, 1]] + MATRIX[:2, 2]


def see(model, params, pose, mesh, T_camera_world=CAMERA, **changes):
    human, thing = masks(model, params, pose, mesh)
    points = np.asarray(place_points(point_table(model, NAMES), params)[0])
    seen = observe(NAMES, project(points), pixel_std=3.0, spread=0.0)
    return picture_of(
        dataclasses.replace(seen, **changes), MATRIX, outline_target(human, hidden=thing, size=96),
        object_target(thing, MATRIX, person=human, size=96), object_shape(mesh), T_camera_world,
    )  # fmt: skip


@pytest.fixture(scope="module")
def surfaces(model):
    return body_surfaces(model, point_table(model, NAMES))


@pytest.fixture(scope="module")
def picture(model, carry, make_box):
    return see(model, *carry, make_box())


terms = jax.jit(picture_terms)
overlaps = jax.jit(outline_overlaps)


def test_landmarks_count_deviations_and_let_outliers_go(picture):
    points = jnp.asarray([[0.1, -0.2, 2.0], [0.0, 0.3, 3.0], [0.2, 0.2, 2.5]], jnp.float32)
    place = np.asarray(points[:, :2] / points[:, 2:]) * MATRIX[[0, 1], [0, 1]] + MATRIX[:2, 2]
    off = np.array([[3.0, 4.0], [0, 0], [400, 0]], np.float32)
    std = np.array([2.0, 1, 3], np.float32)
    few = picture.replace(
        pixels=(place + off).astype(np.float32),
        pixel_std=std,
        spread=np.zeros(3, np.float32),
        weights=np.ones(3, np.float32),
    )
    squares = (off**2).sum(axis=1) / std**2
    want = squares / (1 + squares / OUTLIER**2)
    np.testing.assert_allclose(landmark_term(points, few), want.mean(), rtol=1e-4)
    assert want[2] < OUTLIER**2
    half = few.replace(weights=np.array([0.5, 1, 0], np.float32))
    np.testing.assert_allclose(landmark_term(points, half), 0.5 * want[0] / 1.5, rtol=1e-4)
    assert float(landmark_term(points, few.replace(weights=np.zeros(3, np.float32)))) == 0
    # A point that differs from the body's by some metres is off by their pixels.
    loose = few.replace(spread=np.array([0.02, 0, 0], np.float32), weights=np.array([1, 0, 0], np.float32))
    square = 25 / (4 + (0.02 * 300 / 2) ** 2)
    np.testing.assert_allclose(landmark_term(points, loose), square / (1 + square / OUTLIER**2), rtol=1e-4)


def test_outlines_count_wrong_area_under_a_blur(picture):
    half = np.where(np.arange(96)[:, None] < 45, 0.3, 1.0).astype(np.float32)  # of which little is known
    target = picture.object.replace(valid=picture.object.valid * half)
    rng = np.random.default_rng(0)
    mask = (ndimage.gaussian_filter(rng.normal(size=target.covered.shape), 3) > 0).astype(np.float32)
    wrong = ndimage.gaussian_filter(target.valid * (mask - target.covered), BLUR, mode="constant", truncate=6)
    want = (wrong**2).sum() / (target.valid * target.covered).sum() / MISSED
    np.testing.assert_allclose(outline_term(jnp.asarray(mask), target), want, rtol=0.02)
    assert float(outline_term(jnp.asarray(target.covered), target)) == 0


def test_order_counts_what_is_wrongly_in_front(picture):
    covered, hidden, valid = np.zeros((3, 16, 16), np.float32)
    covered[:8, :8], hidden[8:, :8], valid[:8] = 1, 1, 1
    target = picture.object.replace(covered=covered, hidden=hidden, valid=valid)
    body, thing = np.full((2, 16, 16), np.inf, np.float32)
    body[2:10, 2:6] = 2.0
    thing[0:12, 0:6] = 2.0 + 0.07
    share = (0.07 - ORDER_SLACK) ** 2 / ((0.07 - ORDER_SLACK) ** 2 + ORDER_REACH**2)
    want = 6 * 4 * share / 64 / MISSED  # the object is seen there although the body would be before it
    np.testing.assert_allclose(order_term(jnp.asarray(body), jnp.asarray(thing), target), want, rtol=1e-4)
    thing[0:12, 0:6] = 2.0 - 0.07
    want = 2 * 4 * share / 64 / MISSED  # and the person where the object would be before them
    np.testing.assert_allclose(order_term(jnp.asarray(body), jnp.asarray(thing), target), want, rtol=1e-4)
    thing[0:12, 0:6] = 2.0 + 0.5 * ORDER_SLACK
    assert float(order_term(jnp.asarray(body), jnp.asarray(thing), target)) == 0


def test_the_truth_costs_nothing_and_its_frame_does_not_matter(model, carry, picture, surfaces, make_box):
    params, pose = carry
    landmarks, outline, order = terms(params, pose, picture, surfaces)
    assert float(landmarks) < 1e-4 and float(outline) < 0.7 and float(order) < 1.0
    human, thing = overlaps(params, pose, picture, surfaces)
    assert float(human) > 0.85 and float(thing) > 0.93
    # The same scene in another world: a turn about the vertical and a shift, which the camera's pose takes back.
    turn, shift = Rotation.from_euler("y", 0.7).as_matrix().astype(np.float32), np.array([0.3, -0.2, 1.0], np.float32)
    back = np.eye(4, dtype=np.float32)
    back[:3, :3], back[:3, 3] = turn.T, -turn.T @ shift
    rest = np.asarray(pose_body(model, params).joints[0]) - np.asarray(params.translation)
    moved = params.replace(
        rotations=params.rotations.at[0].set(turn @ params.rotations[0]),
        translation=jnp.asarray(turn @ (rest + params.translation) + shift - rest),
    )
    other = RigidPose(turn @ pose.rotation, turn @ pose.translation + shift, pose.scale)
    again = terms(moved, other, picture.replace(T_camera_world=CAMERA @ back), surfaces)
    np.testing.assert_allclose(again[0], landmarks, atol=1e-3)
    np.testing.assert_allclose(again[1], outline, atol=0.1)


def test_terms_grow_with_what_each_is_about(carry, picture, surfaces):
    params, pose = carry
    base = np.asarray(terms(params, pose, picture, surfaces))

    def now(params=params, pose=pose):
        return np.asarray(terms(params, pose, picture, surfaces)) - base

    aside = now(pose=pose.replace(translation=pose.translation + jnp.asarray([0.1, 0, 0], jnp.float32)))
    assert aside[0] == 0 and aside[1] > 3
    behind = now(pose=pose.replace(translation=pose.translation + jnp.asarray([0, 0, -0.6], jnp.float32)))
    assert behind[2] > 3
    lower = now(params=params.replace(translation=params.translation + jnp.asarray([0, -0.05, 0], jnp.float32)))
    assert lower[0] == pytest.approx((0.05 / 3 * 310 / 3) ** 2, rel=0.35) and lower[1] > 1


@pytest.mark.parametrize("axis", [0, 1])
def test_gradients_are_finite_differences(carry, picture, surfaces, axis):
    """Of a state that is off; outlines by steps of about a pixel, and to what pixels of limbs allow."""
    params, pose = carry
    off = jnp.asarray([0.06, 0.04, 0.0], jnp.float32)

    def value(body, thing, which):
        moved = params.replace(translation=params.translation + off + body)
        found = terms(moved, pose.replace(translation=pose.translation - 0.5 * off + thing), picture, surfaces)
        return found[which]

    zero = jnp.zeros(3, jnp.float32)
    for which, argument, step, tolerance in ((0, 0, 1e-3, 0.02), (1, 0, 0.02, 0.5), (1, 1, 0.015, 0.15)):
        slope = jax.grad(value, argnums=argument)(zero, zero, which)
        assert np.isfinite(np.asarray(slope)).all()
        ends = [[zero, zero], [zero, zero]]
        for end, sign in zip(ends, (1, -1)):
            end[argument] = zero.at[axis].set(sign * step)
        difference = (value(*ends[0], which) - value(*ends[1], which)) / (2 * step)
        assert float(slope[axis]) == pytest.approx(float(difference), rel=tolerance), which


def test_order_has_a_gradient_along_the_line_of_sight(carry, picture, surfaces):
    params, pose = carry

    def value(z):
        back = pose.replace(translation=pose.translation + jnp.stack([0 * z, 0 * z, z]))
        return terms(params, back, picture, surfaces)[2]

    at = jnp.asarray(-0.5, jnp.float32)
    slope = jax.grad(value)(at)
    assert float(slope) < 0 and np.isfinite(float(slope))  # forwards, towards the camera, it gets better


def test_refining_with_a_picture_keeps_the_outlines(model, body, template, carry, picture, surfaces, quick):
    """The box is fitted a fifth too far and too large, as a picture cannot tell; the hands ask for it."""
    params, pose = carry
    origin = np.linalg.inv(CAMERA)[:3, 3]
    far = RigidPose(
        pose.rotation, jnp.asarray(origin + 0.95 * (np.asarray(pose.translation) - origin)), pose.scale * 0.95
    )
    one = [jax.tree.map(lambda x: jnp.asarray(x)[None], tree) for tree in (params, far, picture)]
    results = {}
    for weight in (1.0, 0.0):
        stages = tuple(
            dataclasses.replace(
                s, weights=dataclasses.replace(s.weights, landmarks=weight, outline=weight, order=weight)
            )
            for s in quick.stages
        )
        config = dataclasses.replace(quick, stages=stages, freeze=())
        found = refine_batch(
            model,
            one[0],
            template,
            one[1],
            ("left_hand", "right_hand"),
            config,
            body=body,
            picture=one[2],
            surfaces=surfaces,
        )
        rows = jax.tree.map(lambda x: x[0], (found.params, found.pose))
        results[weight] = found, np.asarray(overlaps(*rows, picture, surfaces))
    start = np.asarray(overlaps(params, far, picture, surfaces))
    assert (results[1.0][1] > start - 0.03).all() and (results[0.0][1] < results[1.0][1]).any()
    assert float(results[1.0][0].after.contact.max()) < 0.02


def test_pictures_refuse(model, body, template, carry, picture, surfaces, make_box, quick):
    params, pose = jax.tree.map(lambda x: x[None], carry)
    with pytest.raises(InputError, match="one of them is missing"):
        refine_batch(model, params, template, pose, None, quick, body=body, picture=picture)
    with pytest.raises(InputError, match="leading axes"):
        refine_batch(model, params, template, pose, None, quick, body=body, picture=picture, surfaces=surfaces)
    with pytest.raises(InputError, match="one person's"):
        see(model, *carry, make_box(), pixels=np.zeros((2, 7, 2), np.float32))
    with pytest.raises(InputError, match="T_camera_world"):
        see(model, *carry, make_box(), T_camera_world=np.full((4, 4), np.nan))


def test_a_config_without_a_picture_ignores_its_weights():
    assert RefineConfig().stages[0].weights.outline > 0
