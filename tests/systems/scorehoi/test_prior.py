"""ScoreHOI's refinement without a picture: frames there and back, asked-for parts as contact, the noisy entry."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, pose_body
from hoijax.diffusion import cosine_schedule, ddim_sample, time_grid
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.interaction import Contacts
from hoijax.nets.scorehoi.state import BetasRange, unpack
from hoijax.systems.scorehoi import guided_scene, prior_body, prior_config, refine_guided
from hoijax.systems.scorehoi.frames import facing_rotation
from hoijax.systems.scorehoi.guidance import guidance_terms
from hoijax.systems.scorehoi.prior import facing_states, from_facing_states, part_contacts, part_regions
from hoijax.systems.scorehoi.scene import Posed

B, UP = 3, np.array([0.0, 0.0, 1.0])  # a world with z up
RANGE = BetasRange(low=np.full(10, -3.0, np.float32), high=np.full(10, 3.0, np.float32))
SCHEDULE = cosine_schedule()


def jit(function):
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def body():
    return prior_body(free_body("test"), RANGE)


@pytest.fixture(scope="module")
def estimate():
    """Three people with one object each, any which way."""
    rng = np.random.default_rng(0)
    stand = Rotation.from_euler("x", 90, degrees=True)  # y up to z up
    root = (Rotation.from_rotvec(rng.normal(size=(B, 3))) * stand).as_matrix()
    rotations = Rotation.from_rotvec(0.3 * rng.normal(size=(B * 51, 3))).as_matrix().reshape(B, 51, 3, 3)
    params = BodyParams(
        rotations=np.concatenate([root[:, None], rotations], axis=1).astype(np.float32),
        betas=rng.normal(size=(B, 10)).astype(np.float32),
        translation=rng.normal(size=(B, 3)).astype(np.float32),
    )
    pose = RigidPose(
        rotation=Rotation.from_rotvec(rng.normal(size=(B, 3))).as_matrix().astype(np.float32),
        translation=(params.translation + 0.5 * rng.normal(size=(B, 3))).astype(np.float32),
        scale=np.float32([1.0, 1.2, 0.8]),
    )
    return params, pose


def test_the_camera_stands_before_the_person_and_turns_with_them():
    for heading in (-100, 0, 40):
        for lean in range(-120, 121, 20):
            root = Rotation.from_euler("YX", [heading, lean], degrees=True).as_matrix()
            turn = facing_rotation(root, np.array([0.0, 1.0, 0.0]))
            np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
            np.testing.assert_allclose(turn[1], [0, -1, 0], atol=1e-12)
            # The camera looks against the heading however far the person leans: no jump when they lie down.
            front = Rotation.from_euler("Y", heading, degrees=True).apply([0, 0, 1])
            np.testing.assert_allclose(turn[2], -front, atol=1e-9)


def test_states_seen_from_before_the_person_lead_back_to_the_world(body, estimate):
    params, pose = estimate
    x, turns = facing_states(body[0], params, pose, UP, shape=True)
    there = unpack(x)
    root = np.einsum("bij,bjk->bik", turns, params.rotations[:, 0])
    np.testing.assert_allclose(there.pose[:, 0].reshape(B, 3, 2), root[..., :2], atol=1e-5)
    np.testing.assert_allclose(turns @ UP, np.tile([0.0, -1.0, 0.0], (B, 1)), atol=1e-6)
    back, obj = from_facing_states(free_body("test"), body[0], x, turns, params, pose, [()] * B)
    for got, want in zip(jax.tree.leaves((back, obj)), jax.tree.leaves((params, pose)), strict=True):
        np.testing.assert_allclose(got, want, atol=2e-5)
    # Of a body with other shape coefficients the states have the mean shape, and the result keeps the estimate's.
    plain, _ = facing_states(body[0], params, pose, UP, shape=False)
    np.testing.assert_array_equal(plain[:, 321:], 0)


def test_what_is_frozen_stays_and_the_interaction_is_the_same(body, estimate):
    """With the object held the person moves instead, rigidly with it; held hands keep their pose."""
    params, pose = estimate
    model = free_body("test")
    x, turns = facing_states(body[0], params, pose, UP, shape=True)
    moved = x.at[:, 318:321].add(jnp.asarray([0.1, -0.05, 0.2], jnp.float32))
    moved = moved.at[:, 312:318].set(jnp.asarray([1.0, 0, 0, 0, 0, -1.0], jnp.float32))
    moved = moved.at[:, 6 * 30 : 6 * 31].set(jnp.asarray([0.0, -1.0, 1.0, 0.0, 0.0, 0.0], jnp.float32))
    free = from_facing_states(model, body[0], moved, turns, params, pose, [()] * B)
    held = from_facing_states(model, body[0], moved, turns, params, pose, [("object", "hands")] * B)
    np.testing.assert_array_equal(held[1].rotation, pose.rotation)
    np.testing.assert_array_equal(held[1].translation, pose.translation)
    np.testing.assert_array_equal(held[0].rotations[:, 22:], params.rotations[:, 22:])
    assert np.abs(free[0].rotations[:, 30] - params.rotations[:, 30]).max() > 0.1

    def in_object(params, pose):
        joints = np.asarray(jit(lambda p: pose_body(model, p).joints)(params))[:, :22]
        return np.einsum("bji,bkj->bki", pose.rotation, joints - pose.translation[:, None])

    np.testing.assert_allclose(in_object(*held), in_object(*free), atol=2e-5)


def test_of_each_asked_for_part_the_nearest_vertices_touch(body):
    model, ids = free_body("test"), body[1]
    regions = part_regions(model, ids, [("right_hand",), ("buttocks", "back"), ()])
    assert regions.shape == (3, 2, len(ids)) and not regions[2].any() and not regions[0, 1].any()
    vertices = np.tile(np.asarray(model.v_template, np.float32)[ids], (3, 1, 1))
    target = np.asarray(model.v_template, np.float32)[ids][np.flatnonzero(regions[0, 0])[0]]
    points = np.tile(target, (3, 64, 1)).astype(np.float32)
    found = np.asarray(jit(lambda v, p: part_contacts(regions, share=0.2)(v, p).body)(vertices, points)) > 0.5
    assert not found[2].any() and np.all(found[0] <= regions[0].any(axis=0))
    for row, part in ((0, 0), (1, 0), (1, 1)):
        region = regions[row, part]
        distance = np.linalg.norm(vertices[row] - target, axis=1)
        count = int(np.ceil(0.2 * region.sum()))
        nearest = np.flatnonzero(region)[np.argsort(distance[region], kind="stable")[:count]]
        assert set(nearest) == set(np.flatnonzero(found[row] & region))


def test_the_noisy_entry_takes_the_estimate_for_a_noisy_state(body, template):
    """With the exact denoiser of N(0, 1): sampling from the shrunk estimate, whose errors shrink too."""

    def gaussian(x, t):
        abar = jnp.asarray(SCHEDULE.alphas_cumprod)[t]
        return jnp.broadcast_to(jnp.sqrt(1 - abar), x.shape) * x

    x = jnp.asarray(np.random.default_rng(2).normal(size=(2, 331)), jnp.float32)
    config = prior_config(iterations=1, noise_level=60, step=20, contact=0.0, penetration=0.0)
    scene = guided_scene([template] * 2)
    none = Contacts(*(jnp.zeros((2, n), jnp.float32) for n in (len(body[1]), 64, 64)))

    @jit
    def run(x):
        noisy = jnp.sqrt(jnp.asarray(SCHEDULE.alphas_cumprod[60], x.dtype)) * x
        plain = ddim_sample(gaussian, noisy, SCHEDULE, time_grid(60, 20)).x0
        return refine_guided(x, gaussian, body[0], scene, none, config=config).x, plain

    got, plain = run(x)
    np.testing.assert_allclose(got, plain, rtol=1e-5, atol=1e-6)
    assert dataclasses.replace(config, entry="inverted").evaluations == 2 * config.evaluations


def test_contact_with_the_surface_counts_where_no_template_point_is(template):
    """A vertex on the face of a box, between its 64 points, touches."""
    points = np.asarray(template.points)
    on_face = np.asarray(template.mesh.vertices).max(axis=0) * np.float32([1.0, 0.37, -0.23])
    assert np.linalg.norm(points - on_face, axis=1).min() > 0.01
    one = jnp.ones((1,), jnp.float32)
    posed = Posed(
        vertices=jnp.asarray(on_face, jnp.float32)[None, None], joints=jnp.zeros((1, 1, 3), jnp.float32),
        object=RigidPose(jnp.eye(3, dtype=jnp.float32)[None], jnp.zeros((1, 3), jnp.float32), one),
        points=jnp.asarray(points, jnp.float32)[None],
    )  # fmt: skip
    masks = Contacts(jnp.ones((1, 1), bool), jnp.zeros((1, 64), bool), jnp.zeros((1, 64), bool))
    scene = guided_scene([template])
    settings = [prior_config(surface=on) for on in (True, False)]
    surface, cloud = jit(lambda p: [guidance_terms(c, scene, p, masks).contact for c in settings])(posed)
    assert float(surface[0]) < 0.003**2 < float(cloud[0])


def test_bodies_with_other_joints_are_refused():
    model = free_body("test")
    with pytest.raises(InputError, match="52 joints"):
        prior_body(model.replace(parents=model.parents[:24]), RANGE)
    with pytest.raises(InputError, match="10 shape coefficients"):
        prior_body(model.replace(shape_dirs=model.shape_dirs[..., :8]), RANGE)
