import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.body_models import pose_body
from hoijax.errors import InputError
from hoijax.geometry import rotation_from_axis_angle, transform_points
from hoijax.interaction import Contacts
from hoijax.interaction import judge as judge_interaction
from hoijax.metrics import signed_distance_host
from hoijax.optim.gradient import Floor, Starts, part_targets, refine, refine_batch, stand_on_floor
from hoijax.optim.gradient.engine import Setting, begin, judge, step
from hoijax.optim.gradient.evaluation import part_distance
from hoijax.optim.gradient.refiner import _problem, stage_setting
from hoijax.optim.gradient.starts import badness, shortfall
from hoijax.optim.gradient.state import State


def stack(rows):
    """Many of the same tree as one with a leading axis."""
    return jax.tree.map(lambda *x: jnp.stack(x), *rows)


def shifted(pose, offset):
    return pose.replace(translation=pose.translation + jnp.asarray(offset, pose.translation.dtype))


HANDS = ("left_hand", "right_hand")


def turned(pose, axis_angle):
    turn = rotation_from_axis_angle(jnp.asarray(axis_angle, jnp.float32))
    return pose.replace(rotation=turn @ pose.rotation)


@pytest.fixture(scope="module")
def starts(carry):
    """The box in place, off by centimetres (twice), in the chest, far off, upside down, on the pelvis; body afloat."""
    params, pose = carry
    away = params.replace(translation=params.translation + jnp.asarray([0.0, 0.1, 0.0], jnp.float32))
    still = params.replace(rotations=jnp.broadcast_to(jnp.eye(3, dtype=jnp.float32), params.rotations.shape))
    poses = [
        pose, shifted(pose, [0.06, -0.04, 0.05]), shifted(turned(pose, [0.0, 0.2, 0.1]), [-0.1, 0.08, 0.0]),
        shifted(pose, [0.0, 0.0, -0.45]), shifted(pose, [4.0, 3.0, -5.0]), turned(pose, [np.pi, 0.0, 0.0]),
        pose.replace(translation=params.translation), shifted(pose, [0.0, 0.1, 0.0]),
    ]  # fmt: skip
    bodies = [params] * 5 + [still, params, away]
    return stack(list(zip(bodies, poses, strict=True)))


@pytest.fixture(scope="module")
def result(model, template, body, starts, quick):
    return refine_batch(model, starts[0], template, starts[1], HANDS, quick, floor=Floor.at(0.0), body=body)


def test_every_start_ends_finite_and_rotations_stay_rotations(result):
    chex.assert_tree_all_finite(jax.tree.map(lambda x: x.astype(jnp.float32), result))
    rotations = jnp.concatenate([result.params.rotations, result.pose.rotation[:, None]], axis=1)
    gram = np.einsum("bjki,bjkl->bjil", rotations, rotations)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(3), gram.shape), atol=1e-5)


def test_ordinary_starts_end_touching_without_penetration(result):
    before, after = result.before, result.after
    assert np.all(np.asarray(after.contact)[[0, 1, 2, 7]].max(axis=1) < 0.02)
    assert np.all(np.asarray(after.max_penetration)[[0, 1, 2, 7]] < 0.015)
    assert np.all(np.asarray(before.contact)[[1, 2]].max(axis=1) > 0.02)
    assert np.all(np.abs(np.asarray(after.floor)[[0, 1, 2, 7]]) < 0.01)
    assert result.parts == (HANDS,) * 8


def test_metrics_agree_with_exact_distances(model, template, result):
    vertices = np.asarray(pose_body(model, result.params).vertices)
    mask = np.asarray(part_targets(model, [HANDS]).parts[0] > 0)
    for b in (1, 3):
        mesh = template.mesh.replace(
            vertices=np.asarray(
                transform_points(jax.tree.map(lambda x, b=b: x[b], result.pose), template.mesh.vertices)
            )
        )
        signed = signed_distance_host(vertices[b], mesh)
        cell = float(template.sdf.spacing)
        for row, got in zip(mask, np.asarray(result.after.contact[b]), strict=True):
            near = np.sort(np.abs(signed[row]))[: -(-row.sum() // 10)]
            assert abs(got - near.mean()) < 0.3 * cell
        deepest = max(0.0, -signed.min())
        assert float(result.after.max_penetration[b]) >= deepest - 0.3 * cell
        assert float(result.after.floor[b]) == pytest.approx(vertices[b, :, 1].min(), abs=1e-6)


def test_a_run_is_deterministic(model, template, body, starts, result, quick):
    again = refine_batch(model, starts[0], template, starts[1], HANDS, quick, floor=Floor.at(0.0), body=body)
    chex.assert_trees_all_equal(again, result)


def test_frozen_groups_are_bit_identical_and_the_others_move(model, template, body, starts, quick):
    config = dataclasses.replace(quick, freeze=("object", "betas", "hands", "legs"))
    got = refine_batch(model, starts[0], template, starts[1], HANDS, config, floor=Floor.at(0.0), body=body)
    chex.assert_trees_all_equal(got.pose, starts[1])
    np.testing.assert_array_equal(got.params.betas, starts[0].betas)
    names = np.array(model.joint_names)
    still = np.char.find(names, "knee") + np.char.find(names, "index") > -2
    np.testing.assert_array_equal(got.params.rotations[:, still], starts[0].rotations[:, still])
    elbow = model.joint_names.index("left_elbow")
    assert np.all(np.any(np.asarray(got.params.rotations[:3, elbow] != starts[0].rotations[:3, elbow]), axis=(1, 2)))


def test_the_pure_function_mapped_and_not_equals_the_batch(model, template, body, thing, starts, result, quick):
    params, pose = jax.tree.map(lambda x: x[:3], starts)
    floor = Floor(gravity=jnp.tile(jnp.asarray([0.0, -1.0, 0.0], jnp.float32), (3, 1)), level=jnp.zeros(3, jnp.float32))
    targets = part_targets(model, [HANDS] * 3)
    vertices = pose_body(model, params).vertices
    targets = stand_on_floor(targets, model, vertices, [template] * 3, pose, floor)

    def one(body, thing, params, pose, targets, floor):
        return refine(body, thing, params, pose, targets, quick, floor=floor)

    rows = (params, pose, targets, floor)
    many = jax.jit(jax.vmap(one, in_axes=(None, None, 0, 0, 0, 0)))(body, thing, *rows)
    want = jax.tree.map(lambda x: x[:3], result.replace(parts=()))
    np.testing.assert_array_equal(many.steps, want.steps)
    chex.assert_trees_all_close(many.pose, want.pose, atol=2e-3)
    chex.assert_trees_all_close(many.after, want.after, atol=2e-3)
    single = jax.jit(one)(body, thing, *(jax.tree.map(lambda x: x[1], row) for row in rows))
    chex.assert_trees_all_close(single.pose, jax.tree.map(lambda x: x[1], many.pose), atol=2e-3)


def test_targets_contacts_and_several_templates_are_accepted(model, template, body, starts, quick):
    params, pose = jax.tree.map(lambda x: x[:2], starts)
    short, two = quick.with_steps(20), [template, template]
    on_body = np.zeros((2, model.num_vertices), np.float32)
    on_body[:, np.asarray(part_targets(model, [["right_hand"]]).parts[0, 0]) > 0] = 1.0
    contacts = Contacts(on_body, np.zeros((2, 64), np.float32), np.zeros((2, 64), np.float32))
    got = refine_batch(model, params, two, pose, contacts, short, body=body)
    assert got.parts == (("contact",),) * 2
    got = refine_batch(model, params, two, pose, part_targets(model, [["right_hand"]] * 2), short, body=body)
    assert np.all(np.asarray(got.steps) == 20)
    got = refine_batch(model, params, two, pose, None, short, body=body)
    assert set(got.parts[0]) == set(HANDS)
    got = refine_batch(model, params, two, pose, [["left_hand"], []], short, body=body)
    assert got.parts == (("left_hand",), ("",))
    assert float(got.after.contact[1, 0]) == 0.0
    np.testing.assert_array_equal(got.after.floor, 0.0)


def test_no_steps_change_nothing(model, template, body, starts, quick):
    none, floor = quick.with_steps(0), Floor.at(0.0)
    got = refine_batch(model, starts[0], template, starts[1], HANDS, none, floor=floor, body=body)
    chex.assert_trees_all_equal((got.params, got.pose), starts)
    chex.assert_trees_all_equal(got.before, got.after)
    assert not np.asarray(got.steps).any()


def test_progress_counts_up_to_the_end(model, template, body, starts, quick):
    seen = []
    short = quick.with_steps(40)
    refine_batch(
        model, starts[0], template, starts[1], HANDS, short, floor=Floor.at(0.0), body=body, progress=seen.append
    )
    steps = [p.steps for p in seen]
    assert steps == sorted(steps)
    assert steps[-1] == seen[-1].total == 8 * 40
    assert seen[-1].finished == seen[-1].batch == 8
    assert seen[0].stage == "align"
    assert seen[-1].stage == "clear"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, q: (p, jax.tree.map(lambda x: x[:3], q)), r"object rotation.*\(3, 3, 3\)"),
        (lambda p, q: (p.replace(translation=p.translation.at[2, 1].set(jnp.nan)), q), "translation.*not finite"),
        (lambda p, q: (p.replace(betas=p.betas[:, :4]), q), "betas"),
        (lambda p, q: (jax.tree.map(lambda x: x[0], p), jax.tree.map(lambda x: x[0], q)), "one leading axis"),
        (lambda p, q: jax.tree.map(lambda x: x[:0], (p, q)), "empty"),
    ],
)
def test_bad_batches_are_refused(model, template, starts, change, message, quick):
    params, pose = change(*starts)
    with pytest.raises(InputError, match=message):
        refine_batch(model, params, template, pose, HANDS, quick)


def test_the_verdict_is_that_of_the_measures_and_the_shift_that_of_all_vertices(result, model, starts):
    want = judge_interaction(result.after.max_penetration, result.after.contact, result.moved, result.tilt)
    chex.assert_trees_all_equal(result.verdict, want)
    before, after = (
        np.asarray(jax.vmap(lambda p: pose_body(model, p).vertices)(x)) for x in (starts[0], result.params)
    )
    body = np.linalg.norm(after - before, axis=-1).mean(axis=1)
    assert (np.asarray(result.moved) > 0.8 * body).all()


@pytest.mark.slow
def test_other_starts_are_kept_only_where_they_are_better(model, template, body, starts, quick, result):
    config = dataclasses.replace(quick, starts=Starts(tries=1))
    got = refine_batch(model, starts[0], template, starts[1], HANDS, config, floor=Floor.at(0.0), body=body)
    was, now = (np.asarray(badness(x.after, x.moved, config.starts)) for x in (result, got))
    missed = np.asarray(shortfall(result.after, config.starts)) > 0
    assert missed.any()
    assert (now <= was + 1e-3).all()
    assert (np.asarray(got.steps) > np.asarray(result.steps))[missed].all()
    np.testing.assert_array_equal(np.asarray(got.steps)[~missed], np.asarray(result.steps)[~missed])
    moved = np.abs(np.asarray(got.params.translation - result.params.translation)).max(axis=-1)
    assert moved[~missed].max(initial=0) < 1e-3


def test_wrong_counts_of_templates_and_parts_are_refused(model, template, body, starts, quick):
    with pytest.raises(InputError, match="2 templates for 8"):
        refine_batch(model, starts[0], [template] * 2, starts[1], HANDS, quick, body=body)
    with pytest.raises(InputError, match="3 interactions, the batch has 8"):
        refine_batch(model, starts[0], template, starts[1], [["back"]] * 3, quick, body=body)


@pytest.fixture(scope="module")
def running(model, template, body, thing, carry, quick):
    """A problem, a stage's setting, and the stage just begun."""
    params, pose = carry
    targets = jax.tree.map(lambda x: x[0], part_targets(model, [HANDS]))
    problem = _problem(body, thing, targets, quick, None, State.of(params, pose))
    setting = stage_setting(model, quick, quick.stages[1], jnp.float32)
    return problem, setting, begin(problem, problem.start, jnp.zeros((), jnp.int32), quick.sizes)


def gradient_of(state, value):
    return jax.tree.map(lambda x: jnp.full_like(x, value), state)


def test_steps_that_are_not_finite_are_rejected_and_the_best_state_is_kept(running):
    _, setting, carry = running
    energy = lambda value: jnp.asarray(value, jnp.float32)  # noqa: E731
    first = step(carry, setting, energy(5.0), gradient_of(carry.state, 1.0))
    assert float(first.lowest) == 5.0
    assert np.any(np.asarray(first.state.rotations != carry.state.rotations))
    for value, slope in ((jnp.nan, 1.0), (3.0, jnp.nan), (jnp.inf, 1.0)):
        hurt = step(first, setting, energy(value), gradient_of(carry.state, slope))
        chex.assert_tree_all_finite((hurt.state, hurt.first, hurt.second))
        if not np.isfinite(value):
            chex.assert_trees_all_equal(hurt.state, carry.state)
            chex.assert_trees_all_equal(hurt.best, carry.state)
        assert int(hurt.step) == int(first.step)
    worse = step(first, setting, energy(9.0), gradient_of(carry.state, 1.0))
    chex.assert_trees_all_equal(worse.best, first.best)


def test_a_plateau_cuts_the_rate_and_in_the_end_converges(running):
    _, setting, carry = running
    carry = carry.replace(lowest=jnp.asarray(10.0, jnp.float32))
    carry = judge(carry, setting)
    assert float(carry.rate) == 1.0  # the first round has nothing to compare with
    seen = []
    for _ in range(4):
        carry = judge(carry, setting)
        seen.append((round(float(carry.rate), 3), bool(carry.converged), bool(carry.done)))
    assert seen == [(0.4, False, False), (0.16, False, False), (0.1, True, True), (0.1, True, True)]
    falling = judge(carry.replace(lowest=jnp.asarray(9.0, jnp.float32), rate=jnp.ones((), jnp.float32)), setting)
    assert not bool(falling.converged)
    assert float(falling.rate) == 1.0
    spent = judge(falling.replace(lowest=jnp.asarray(1.0, jnp.float32), step=setting.steps), setting)
    assert bool(spent.done)
    assert not bool(spent.converged)
    assert isinstance(setting, Setting)


def test_part_distance_is_the_mean_of_the_nearest_tenth():
    distance = np.random.default_rng(0).uniform(size=57)
    mask = np.arange(57) % 3 == 0
    want = np.sort(distance[mask])[:2].mean()  # a tenth of 19, rounded up
    np.testing.assert_allclose(part_distance(jnp.asarray(distance), jnp.asarray(mask)), want, rtol=1e-12)
    assert float(part_distance(jnp.asarray(distance), jnp.zeros(57, bool))) == 0.0
