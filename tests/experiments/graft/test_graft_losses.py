"""GRAFT's training loss: a perfect head costs nothing, each label raises its own terms alone, options reach the batch.

The network is stood for by a head that knows the way to a true body (specs/graft.md section 17, item 18).
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.spatial.transform import Rotation

from hoijax.body_models import pose_body
from hoijax.experiments.common.trainer import COMPILE_FAST
from hoijax.experiments.graft import train as training
from hoijax.experiments.graft.bodies import TrainingBodies
from hoijax.experiments.graft.losses import OFF, LossWeights, rollout_loss, step_loss, touch_of
from hoijax.experiments.graft.queries import LIMBS, QueryConfig, Spread, draw_query, exchange_sides, imitate_estimate
from hoijax.experiments.graft.samples import GraftSample, sample_points
from hoijax.geometry import sixd_from_rotation
from hoijax.nets.graft import Graft, GraftUpdate
from hoijax.systems.graft import GraftState, pose_graft_state

TERMS = ("orient", "body", "hands", "vertices", "centred", "heights")
PLAIN = LossWeights(orient=1, body=1, hands=1, vertices=1, centred=1, heights=1)
COUNT = 8


quick_jit = functools.partial(jax.jit, compiler_options=COMPILE_FAST)


@pytest.fixture(scope="module")
def terms(spec, model, sample):
    """`(predicted, true) -> terms`, of one step, on every vertex."""
    touch = touch_of(np.asarray(pose_body(model, sample.truth).vertices), *sample_points(sample))
    run = quick_jit(lambda a, b: step_loss(spec, model, GraftState.of(a), b, PLAIN, touch))
    return lambda a, b: {name: float(value) for name, value in vars(run(a, b)).items()}


def turned(params, joint, degrees=10.0, axis=(1.0, 0.0, 0.0)):
    """The body with one of its rotations turned, in NumPy."""
    turn = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis)).as_matrix()
    rotations = np.array(params.rotations)
    rotations[joint] = turn @ rotations[joint]
    return params.replace(rotations=jnp.asarray(rotations, jnp.float32))


def test_a_perfect_estimate_costs_nothing_and_each_label_raises_its_own_terms(terms, spec, sample):
    truth = sample.truth
    assert all(value < 1e-10 for value in terms(truth, truth).values())
    rotation = np.radians(10.0)
    square = 2 * (2 * np.sin(rotation / 2)) ** 2  # of a 6D rotation, at most: both columns turned in full
    knee, finger = spec.rotations[4], spec.rotations[30]
    for name, label, rise in (
        ("moved", truth.replace(translation=truth.translation + jnp.float32([0.1, 0, 0])), {"vertices", "heights"}),
        ("grown", truth.replace(betas=truth.betas.at[0].add(1.0)), {"vertices", "centred", "heights"}),
        ("turned", turned(truth, 0), {"orient", "vertices", "centred", "heights"}),
        ("knee", turned(truth, knee), {"body", "vertices", "centred", "heights"}),
        ("finger", turned(truth, finger), {"hands", "vertices", "centred", "heights"}),
    ):
        for a, b in ((label, truth), (truth, label)):
            got = terms(a, b)
            rose = {t for t in TERMS if got[t] > 1e-9}
            assert rise - {"heights"} == rose - {"heights"}, (name, got)  # a finger may be far from everything
            assert name == "finger" or ("heights" in rose) == ("heights" in rise), (name, got)
            np.testing.assert_allclose(got["total"], sum(got[t] for t in TERMS), rtol=1e-5)
        for term, count in (("orient", 1), ("body", 21), ("hands", 15)):
            if term in rise:
                assert 0.3 * square / count < got[term] <= 1.001 * square / count
    np.testing.assert_allclose(
        terms(truth.replace(translation=truth.translation + jnp.float32([0.1, 0, 0])), truth)["vertices"],
        0.01,
        rtol=1e-4,
    )


def test_fingers_of_both_hands_and_every_joint_of_the_body_count(terms, spec, sample):
    """All 52 rotations, each once: a turn of any raises the one term of its group by the same share."""
    got = [terms(turned(sample.truth, joint), sample.truth) for joint in spec.rotations]
    groups = ["orient"] + 21 * ["body"] + 30 * ["hands"]
    for own, values in zip(groups, got):
        assert {t for t in ("orient", "body", "hands") if values[t] > 1e-9} == {own}


def test_the_gate_learns_whether_the_body_before_its_step_is_off(spec, model, sample):
    """Cross-entropy by hand: off by 2 cm, then by 5 mm; the state before the first step is the start."""
    truth = sample.truth
    at = lambda d: GraftState.of(truth.replace(translation=truth.translation + jnp.float32([d, 0, 0])))  # noqa: E731
    start, first, second = at(2 * OFF), at(0.5 * OFF), at(5 * OFF)
    steps = jax.tree.map(lambda *x: jnp.stack(x), first, second)
    gates = jnp.float32([0.7, -0.4])
    run = quick_jit(
        lambda weights, gates: rollout_loss(spec, model, steps, truth, weights, None, gates, start), static_argnums=0
    )
    with_gate, without = run(LossWeights(gate=3.0), gates), run(LossWeights(), gates)
    by_hand = np.log1p(np.exp(-0.7)) + np.log1p(np.exp(-0.4))
    np.testing.assert_allclose(with_gate.gate, by_hand, rtol=1e-5)
    np.testing.assert_allclose(with_gate.total - without.total, 3 * by_hand, rtol=1e-4)
    assert float(without.gate) == 0.0


class Knowing(Graft):
    """A head that says what is missing to one body."""

    def __init__(self, target):
        self.target = nnx.Dict({k: nnx.Param(jnp.asarray(v)) for k, v in vars(target).items()})

    def __call__(self, inputs, context=None):
        target = {k: v[...] for k, v in self.target.items()}
        return GraftUpdate(
            rotations=sixd_from_rotation(target["rotations"]) - inputs.rotations,
            translation=target["translation"] - inputs.translation,
            betas=target["betas"][:10] - inputs.betas,
            scale=jnp.zeros((), jnp.float32),
        )


@pytest.fixture(scope="module")
def losses(spec, model, sample):
    """`truth of the labels -> mean terms of a batch` of one room under the perfect head, summed over two steps."""
    pair = TrainingBodies(spec=spec, model=model)
    graph, weights = nnx.split(Knowing(sample.truth), nnx.Param)

    config = training.Config(out=pathlib.Path("unused"))

    @quick_jit
    def run(truth, key):
        many = lambda tree: jax.tree.map(lambda x: jnp.broadcast_to(x, (COUNT, *x.shape)), tree)  # noqa: E731
        batch = GraftSample(scene=many(sample.scene), truth=many(truth))
        return training.batch_loss(graph, weights, pair, batch, key, config, 2)[1]

    def terms(truth):
        return vars(run(truth, jax.random.key(0)))

    return terms


def test_a_perfect_head_costs_nothing_from_every_start_and_is_held_to_its_labels(losses, sample):
    truth = sample.truth
    perfect = losses(truth)
    assert float(perfect["total"]) < 1e-6, perfect
    # Weights of the paper; a centimetre of every true vertex costs 7 * 1e-4 in each of two steps.
    aside = losses(truth.replace(translation=truth.translation + jnp.float32([0.01, 0, 0])))
    np.testing.assert_allclose(aside["total"], 2 * 7e-4, rtol=0.02)
    np.testing.assert_allclose(aside["vertices"], 2e-4, rtol=0.02)
    assert float(aside["centred"]) < 1e-7 and float(aside["orient"]) < 1e-7


def test_an_imitated_estimate_is_off_by_what_head_alignment_leaves(spec, sample):
    """Its head is as deep as the truth's but for noise of the size that was asked for: 3 cm by default."""
    nothing = Spread(translation=0.0, betas=0.0, pose=0.0, orient=0.0)
    keys = jax.random.split(jax.random.key(2), 400)

    def head_depths(config):
        @quick_jit
        def run(keys):
            bodies = jax.vmap(lambda k: imitate_estimate(k, spec, sample.truth, config))(keys)
            return pose_graft_state(spec.probe_model, GraftState.of(bodies)).joints[:, spec.head, 2]

        truth = pose_graft_state(spec.probe_model, GraftState.of(sample.truth)).joints[spec.head, 2]
        return np.asarray(run(keys)) - float(truth)

    # Nothing else is wrong: what is left is the noise, folded into the shape nearly without loss.
    gap = head_depths(QueryConfig(estimate=nothing, depth=0.0))
    assert abs(gap.std() - 0.03) < 0.004 and abs(gap.mean()) < 0.005


def test_a_wrong_depth_becomes_a_wrong_size_along_the_bodys_ray(spec, sample):
    """Distance is off by 8 per cent before the head is aligned; after it the body is as much too small or too large."""
    nothing = Spread(translation=0.0, betas=0.0, pose=0.0, orient=0.0)
    keys = jax.random.split(jax.random.key(4), 300)
    config = QueryConfig(estimate=nothing, depth=0.08, aligned=0.0)

    @quick_jit
    def run(keys):
        bodies = jax.vmap(lambda k: imitate_estimate(k, spec, sample.truth, config))(keys)
        return pose_graft_state(spec.probe_model, GraftState.of(bodies)).joints

    truth = np.asarray(pose_graft_state(spec.probe_model, GraftState.of(sample.truth)).joints, np.float64)
    joints = np.asarray(run(keys), np.float64)
    size = np.linalg.norm(joints[:, spec.head] - joints[:, 0], axis=-1)
    size /= np.linalg.norm(truth[spec.head] - truth[0])
    assert 0.06 < np.log(size).std() < 0.1
    # It is seen where it was: the pelvis on its ray.
    seen, before = joints[:, 0, :2] / joints[:, 0, 2:], truth[0, :2] / truth[0, 2]
    np.testing.assert_allclose(seen, np.broadcast_to(before, seen.shape), atol=0.02)


def test_starts_are_scaled_about_the_camera_by_the_range_asked_for(spec, sample):
    """A scaled start is seen as large as before: its distance grows by the factor."""
    keys = jax.random.split(jax.random.key(5), 400)
    config = QueryConfig(estimated=0.0, truth=Spread(0.0, 0.0, 0.0, 0.0), clean=0.0, scale=(0.9, 1.3), scaled=0.5)
    starts = quick_jit(jax.vmap(lambda k: draw_query(k, spec, sample.truth, config).params.translation))(keys)
    truth = np.asarray(sample.truth.translation)
    factor = np.asarray(starts) @ truth / (truth @ truth)
    np.testing.assert_allclose(starts, factor[:, None] * truth, atol=1e-5)
    same = np.abs(factor - 1) < 1e-6
    assert abs(same.mean() - 0.5) < 0.08
    rest = factor[~same]
    assert 0.9 <= rest.min() < 0.93 and 1.27 < rest.max() <= 1.3 and abs(rest.mean() - 1.1) < 0.03


def test_heavy_tailed_starts_exchange_limbs_and_lie_along_their_rays(spec, model, sample):
    """Exchanged legs of a body that looks straight ahead are its mirror image's; a far estimate goes along its ray."""
    rest = sample.truth.replace(rotations=jnp.broadcast_to(jnp.eye(3, dtype=jnp.float32), sample.truth.rotations.shape))
    names = spec.probe_model.joint_names
    bent = turned(turned(rest, names.index("left_hip"), 40.0, (0.6, 0.0, 0.8)), names.index("left_knee"), 30.0)
    other = exchange_sides(spec, bent, LIMBS[0])
    joints = [np.asarray(pose_graft_state(spec.probe_model, GraftState.of(x)).joints) for x in (bent, other)]
    joints = [x - x[:1] for x in joints]
    for side, opposite in (("left", "right"), ("right", "left")):
        a, b = (names.index(f"{s}_ankle") for s in (side, opposite))
        np.testing.assert_allclose(joints[1][a], joints[0][b] * [-1, 1, 1], atol=0.02)
    wrist = names.index("left_wrist")
    np.testing.assert_allclose(joints[1][wrist], joints[0][wrist], atol=1e-6)
    key, tame = jax.random.key(4), Spread(0.0, 0.0, 0.0, 0.0)
    still = QueryConfig(estimate=tame, depth=0.0, aligned=0.0)
    run = quick_jit(lambda k, config: imitate_estimate(k, spec, sample.truth, config), static_argnums=1)
    np.testing.assert_allclose(run(key, still).translation, sample.truth.translation, atol=1e-4)
    far = [run(jax.random.key(k), QueryConfig(estimate=tame, depth=0.0, aligned=0.0, far=1.0)) for k in range(20)]
    moves = np.stack([np.asarray(x.translation) - np.asarray(sample.truth.translation) for x in far])
    pelvis = np.asarray(pose_graft_state(spec.probe_model, GraftState.of(sample.truth)).joints)[0]
    along = moves @ (pelvis / np.linalg.norm(pelvis))
    np.testing.assert_allclose(np.linalg.norm(moves, axis=1), np.abs(along), atol=1e-3)
    assert 0.1 < along.std() < 0.32
    heavy = dataclasses.replace(still, swapped=0.3, far=0.3)
    keys = jax.random.split(jax.random.key(5), 300)
    drawn = quick_jit(jax.vmap(lambda k: imitate_estimate(k, spec, sample.truth, heavy)))(keys)
    away = np.linalg.norm(np.asarray(drawn.translation) - np.asarray(sample.truth.translation), axis=1) > 1e-3
    assert 0.2 < away.mean() < 0.4
    turns = np.abs(np.asarray(drawn.rotations) - np.asarray(sample.truth.rotations)).max(axis=(2, 3)) > 1e-3
    legs, arms = (turns[:, [names.index(f"{s}_{j}") for s in ("left", "right") for j in limb]].any(1) for limb in LIMBS)
    assert 0.08 < legs.mean() < 0.24 and 0.08 < arms.mean() < 0.24 and not (legs & arms).any()
    assert 0 < (away & (legs | arms)).mean() < 0.2  # one error does not ask for the other
