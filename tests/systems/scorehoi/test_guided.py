"""Guided refinement: what the loop keeps, moves and feeds back; one compiled refiner serves most of the file."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body, resample_vertices
from hoijax.diffusion import cosine_schedule, ddim_invert, ddim_sample, time_grid
from hoijax.errors import InputError
from hoijax.geometry import RigidPose, transform_points
from hoijax.interaction import Contacts, Interaction
from hoijax.nets.scorehoi import project_to_crop
from hoijax.nets.scorehoi.state import BetasRange
from hoijax.systems.scorehoi import (
    GuidedConfig,
    ImageEvidence,
    guidance_terms,
    guided_body,
    guided_scene,
    interaction_from_state,
    outside_distance,
    pose_hoi_state,
    refine_guided,
    state_from_interaction,
)

K, B = 48, 3
SCHEDULE = cosine_schedule()
RANGE = BetasRange(low=np.full(10, -3.0, np.float32), high=np.full(10, 3.0, np.float32))
# The losses are sums: 48 vertices pull a ninth as hard as the 431 that the published weight is for.
CONFIG = GuidedConfig(iterations=3, noise_level=50, step=10, contact=0.5 * 431 / K)


def jit(function):
    """Compiled in a hurry: these programs run for milliseconds."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def gaussian(x, t):
    """The exact noise estimate for data N(0, 1): a prior that hardly moves anything."""
    abar = jnp.asarray(SCHEDULE.alphas_cumprod)[t]
    return jnp.broadcast_to(jnp.sqrt(1 - abar), x.shape) * x


@pytest.fixture(scope="module")
def resampled():
    return resample_vertices(free_body("test"), K)


@pytest.fixture(scope="module")
def body(resampled):
    return guided_body(free_body("test"), resampled, RANGE)


@pytest.fixture(scope="module")
def scene(template):
    return guided_scene([template] * B)


@pytest.fixture(scope="module")
def pose(body, scene):
    """`pose_hoi_state` of these bodies and objects."""
    return jit(lambda x: pose_hoi_state(body, scene, x))


@pytest.fixture(scope="module")
def truth(body):
    """Three bodies that carry a box each, in the camera's frame (y down), the boxes touching the hands."""
    turn = np.diag([1.0, -1.0, -1.0]).astype(np.float32)
    pose = named_pose("carry")
    root = np.tile([np.pi, 0, 0], (B, 1)).astype(np.float32)
    given = pose | {"global_orient": root, "transl": np.tile(np.float32([0.2, 0.1, 3.0]), (B, 1))}
    params = BodyParams.from_axis_angle(free_body("test"), **given, betas=np.zeros((B, 10), np.float32))
    offset = np.float32([0.0, -0.2, -0.47]) @ np.eye(3, dtype=np.float32)
    pose = RigidPose(
        rotation=jnp.broadcast_to(turn, (B, 3, 3)),
        translation=params.translation + jnp.broadcast_to(jnp.asarray(offset), (B, 3)),
        scale=jnp.ones(B, jnp.float32),
    )
    return jit(lambda i: state_from_interaction(body, i))(Interaction(body=params, object=pose)), params, pose


@pytest.fixture(scope="module")
def masks(pose, truth):
    """Contact within eight centimetres at the truth; nothing on the floor."""
    posed = pose(truth[0])
    gap = jnp.linalg.norm(posed.vertices[:, :, None] - posed.points[:, None], axis=-1)
    found = Contacts(
        body=(jnp.min(gap, 2) < 0.08).astype(jnp.float32),
        object=(jnp.min(gap, 1) < 0.08).astype(jnp.float32),
        floor=jnp.zeros(posed.points.shape[:2], jnp.float32),
    )
    assert np.all(jnp.sum(found.body, 1) >= 2)
    return found


@struct.dataclass
class Script:
    """Contacts that a predictor answers: `far` while the object's mean depth is below `until`, then none."""

    far: Contacts
    until: float

    def __call__(self, vertices, points):
        still = jnp.mean(points[..., 2], axis=1) < self.until
        return jax.tree.map(lambda m: jnp.where(still[:, None], m, 0.0), self.far)


def compiled(body, scene, config):
    """A refiner whose contacts are arguments of the program, so that tests share it."""
    run = jit(lambda x, script: refine_guided(x, gaussian, body, scene, script, config=config, schedule=SCHEDULE))
    return lambda x, contacts, until=jnp.inf: run(x, Script(contacts, jnp.asarray(until, x.dtype)))


@pytest.fixture(scope="module")
def refine(body, scene):
    return compiled(body, scene, CONFIG)


@pytest.fixture(scope="module")
def refine_frozen(body, scene):
    """Masks of the start throughout, and stopping where the loss no longer falls."""
    return compiled(body, scene, dataclasses.replace(CONFIG, feedback="released", tolerance=0.0))


def none_of(masks):
    return jax.tree.map(jnp.zeros_like, masks)


def displaced(x, offset):
    return x.at[:, 318:321].add(jnp.asarray(offset, x.dtype))


def test_states_and_interactions_translate_into_each_other(body, truth, scene, pose, resampled):
    x, params, obj = truth

    @jit
    def way_back(x):
        back = interaction_from_state(body, x)
        return back.body.rotations, pose_body(body.model, back.body).joints[:, 0]

    rotations, root = way_back(x)
    np.testing.assert_allclose(rotations, params.rotations, atol=1e-5)
    np.testing.assert_allclose(root, 0, atol=1e-5)
    posed = pose(x)
    whole = jit(lambda p: pose_body(free_body("test"), p))(params)
    pelvis = np.asarray(whole.joints[:, :1])
    np.testing.assert_allclose(posed.vertices, np.asarray(whole.vertices)[:, resampled.ids] - pelvis, atol=1e-5)
    np.testing.assert_allclose(posed.points, transform_points(obj, scene.points) - pelvis, atol=1e-5)


def test_a_matrix_of_ones_own_answers_as_the_chosen_vertices(body, truth, scene, pose, resampled):
    # A dense matrix that is no selection, by a hair: the whole body is posed and mixed.
    mixed = resampled.down * (1 - 1e-6)
    other = guided_body(free_body("test"), mixed, RANGE, up=resampled.up)
    assert other.down is not None and body.down is None
    got = jit(lambda x: pose_hoi_state(other, scene, x))(truth[0])
    np.testing.assert_allclose(got.vertices, pose(truth[0]).vertices, atol=2e-5)
    with pytest.raises(InputError, match="do not fit"):
        guided_body(free_body("test"), mixed[:, 1:], RANGE, up=resampled.up)


def test_without_contact_the_loop_is_the_plain_round_trip(refine, truth, masks):
    far = displaced(truth[0], [5.0, 0.0, 0.0])  # nothing penetrates
    got = refine(far, none_of(masks))

    @jit
    def plain(x):
        times = time_grid(50, 10)

        def once(x, _):
            return ddim_sample(gaussian, ddim_invert(gaussian, x, SCHEDULE, times), SCHEDULE, times).xt, None

        return jax.lax.scan(once, x, None, length=CONFIG.iterations)[0]

    # Two programs may round differently.
    np.testing.assert_allclose(got.x, plain(far), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got.iterations, CONFIG.iterations)
    # The linear-Gaussian table, s = 1 and dt = 10, over three rounds.
    a, b = (np.asarray(v, np.float64).ravel() for v in (got.x, far))
    np.testing.assert_allclose(a @ b / (b @ b) - 1, (1 - 1.45e-3) ** 3 - 1, rtol=0.02)


def test_guidance_brings_a_displaced_object_back(refine, truth, masks):
    x = truth[0]
    offset = np.array([0.0, 0.0, -0.12])
    start = displaced(x, offset)
    guided, unguided = refine(start, masks), refine(start, none_of(masks))
    lost = np.linalg.norm(np.asarray(start - x)[:, 318:321], axis=1)
    left = np.linalg.norm(np.asarray(guided.x - x)[:, 318:321], axis=1)
    alone = np.linalg.norm(np.asarray(unguided.x - x)[:, 318:321], axis=1)
    assert np.all(left < 0.8 * lost)
    assert np.all(alone > left + 0.2 * lost)
    history = np.asarray(guided.history.contact)
    assert np.all(np.diff(history, axis=0) < 0)


def test_samples_are_refined_apart_and_broken_ones_keep_their_state(refine, truth, masks):
    start = displaced(truth[0], [0.0, 0.0, -0.1])
    start = start.at[1, 318:321].add(jnp.asarray([0.05, 0.0, 0.0], start.dtype))
    got = refine(start, masks)
    turned = refine(jnp.roll(start, 1, axis=0), jax.tree.map(lambda m: jnp.roll(m, 1, axis=0), masks))
    np.testing.assert_allclose(jnp.roll(got.x, 1, axis=0), turned.x, atol=1e-5)
    broken = refine(start.at[2, 7].set(jnp.nan), masks)
    np.testing.assert_array_equal(broken.x[2], start.at[2, 7].set(jnp.nan)[2])
    np.testing.assert_allclose(broken.x[:2], got.x[:2], atol=1e-6)
    assert broken.iterations[2] == 0


def test_all_masks_full_stays_finite(refine, truth, masks):
    chex.assert_tree_all_finite(refine(truth[0], jax.tree.map(jnp.ones_like, masks)))


def test_contact_is_fed_back_or_frozen(refine, refine_frozen, pose, truth, masks):
    """Contact is predicted only until the object has come five millimetres nearer."""
    start = displaced(truth[0], [0.0, 0.0, -0.12])
    until = pose(start).points[0, :, 2].mean() + 0.005
    paper, frozen = refine(start, masks, until), refine_frozen(start, masks, until)
    # Fed back, the loss ends with the prediction and the object stays; frozen, it goes on.
    np.testing.assert_array_equal(paper.history.contact[-1], 0)
    assert np.all(frozen.history.contact[-1] > 0)
    assert np.all(frozen.x[:, 320] > paper.x[:, 320] + 0.002)


def test_a_sample_stops_when_its_loss_no_longer_falls(refine_frozen, truth, masks):
    start = displaced(truth[0], [0.0, 0.0, -0.12])
    start = start.at[0].set(displaced(truth[0], [5.0, 0.0, 0.0])[0])
    none = jax.tree.map(lambda m: m.at[0].set(0.0), masks)
    got = refine_frozen(start, none)
    # The first has nothing to gain, 0 of 0; the others go on.
    assert got.history.contact[0, 0] == 0
    np.testing.assert_array_equal(got.iterations[1:], 3)
    assert np.all(np.diff(got.history.contact[:, 1:], axis=0) < 0)
    full = refine_frozen(got.x, jax.tree.map(jnp.ones_like, masks))
    assert np.all(full.iterations <= 3)


def test_one_guided_step_moves_the_clean_estimate_by_the_stated_gradient(body, scene, truth, masks):
    start = displaced(truth[0], [0.0, 0.0, -0.12])
    config = GuidedConfig(iterations=1, noise_level=10, step=10, restart="x0", penetration=0.0)
    gradient = jax.grad(
        lambda x: jnp.sum(guidance_terms(config, scene, pose_hoi_state(body, scene, x), masks.masks()).total(config))
    )

    @jit
    def measure(x, masks):
        got = refine_guided(x, gaussian, body, scene, masks, config=config, schedule=SCHEDULE).x
        return got, gradient(got)

    (plain, slope), (guided, _) = measure(start, none_of(masks)), measure(start, masks)
    abar = float(SCHEDULE.alphas_cumprod[10])
    np.testing.assert_allclose(guided - plain, -(1 - abar) / abar * slope, rtol=2e-2, atol=2e-6)


def test_terms_answer_to_what_they_are_named_for(body, scene, pose, truth, masks):
    config = GuidedConfig(keypoints=1.0, mask=1.0)
    x = truth[0]
    posed = pose(x)
    camera = jnp.tile(jnp.asarray([0.0, 0.0, 9.0], jnp.float32), (B, 1))
    keypoints = project_to_crop(posed.joints, camera)
    allowed = np.zeros((32, 32), bool)
    allowed[:, 12:] = True  # the right of the crop and a little more
    evidence = ImageEvidence(
        camera=camera,
        keypoints=keypoints,
        confidence=jnp.ones(keypoints.shape[:2], jnp.float32),
        outside=jnp.asarray(np.tile(outside_distance(allowed), (B, 1, 1))),
    )

    @jit
    def terms(x):
        return guidance_terms(config, scene, pose_hoi_state(body, scene, x), masks.masks(), evidence)

    at_truth = terms(x)
    np.testing.assert_allclose(at_truth.keypoints, 0, atol=1e-9)
    bent = terms(x.at[:, 6 * 16 : 6 * 17].set(jnp.asarray([0.0, -1.0, 1.0, 0.0, 0.0, 0.0], x.dtype)))
    assert np.all(bent.keypoints > 1e-4)
    right, left = terms(displaced(x, [0.2, 0.0, 0.0])), terms(displaced(x, [-0.3, 0.0, 0.0]))
    assert np.all(right.mask < 1e-6) and np.all(left.mask > 1.0)
    deep = terms(x.at[:, 318:321].set(0.0))  # the box around the pelvis
    assert np.all(deep.penetration > 0.1) and np.all(at_truth.penetration < 0.1)


def test_penetration_and_floor_follow_their_gradients(body, scene, truth, masks):
    """The penetration that guides is differentiable, unlike the released count; gravity need not be the camera's y."""
    config = GuidedConfig()
    tilted = scene.replace(gravity=jnp.tile(jnp.asarray([0.6, 0.8, 0.0], jnp.float32), (B, 1)))
    floor = masks.replace(floor=jnp.ones_like(masks.floor)).masks()

    @jit
    def run(x):
        def value(x, name):
            terms = guidance_terms(config, tilted, pose_hoi_state(body, tilted, x), floor)
            return jnp.sum(getattr(terms, name))

        return {
            name: jax.value_and_grad(lambda x, name=name: value(x, name))(x)[1][:, 318:321]
            for name in ("penetration", "floor")
        }

    inside = truth[0].at[:, 318:321].set(jnp.asarray([0.0, 0.0, -0.12], jnp.float32))
    slopes = run(inside)
    assert np.all(np.linalg.norm(slopes["penetration"], axis=1) > 0.1)
    down = np.array([0.6, 0.8, 0.0])
    pull = -np.asarray(slopes["floor"], np.float64)
    assert np.all(pull @ down > 0)  # towards the lowest point
    np.testing.assert_allclose(pull - (pull @ down)[:, None] * down, 0, atol=1e-4 * np.abs(pull).max())


def test_no_allowed_pixel_says_nothing():
    assert not outside_distance(np.zeros((4, 4), bool)).any()


def test_settings():
    assert GuidedConfig().evaluations == 500  # the paper's main result
    assert GuidedConfig.faster().evaluations == 100
    assert GuidedConfig.released().feedback == "released"
    with pytest.raises(ValueError, match="feedback must be one of"):
        GuidedConfig(feedback="always")
    with pytest.raises(ValueError, match="need 0 < step <= noise_level"):
        GuidedConfig(step=60)


def test_objects_of_different_grids_are_refused(template):
    other = template.replace(points=np.asarray(template.points)[:32])
    with pytest.raises(InputError, match="of one shape"):
        guided_scene([template, other])
