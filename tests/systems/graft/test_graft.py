"""GRAFT's refinement: invariances of specs/graft.md section 17, on the free body."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.body_models import BodyParams, named_pose
from hoijax.errors import InputError
from hoijax.geometry import RigidPose, rotation_angle, rotation_from_6d, rotation_from_axis_angle, sixd_from_rotation
from hoijax.metrics import pa_mpjpe_mm
from hoijax.nets.graft import Graft, GraftConfig, GraftUpdate
from hoijax.systems.graft import (
    UPDATE_PRESETS,
    GraftState,
    ImageFeatures,
    RolloutOptions,
    UpdateMask,
    align_head,
    apply_similarity,
    apply_update,
    body_spec,
    contact_model,
    fold_scale,
    fold_state,
    make_scene,
    pose_graft_state,
    refine_people,
    rollout,
    similarity_icp,
)
from hoijax.systems.graft.probes import network_inputs

SMALL = dataclasses.replace(
    GraftConfig.small(), width=32, layers=1, heads=2, feedforward=32, head_hidden=16, probe_hidden=16, fourier=16
)
INTRINSICS = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]], np.float32)


def quick_jit(function):
    """Compiled for one call: compiling is most of what these tests take."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def spec(model):
    return body_spec(model)


@pytest.fixture(scope="module")
def floor_points():
    """A floor and a wall before a camera 1.2 m above the floor; y is down."""
    rng = np.random.default_rng(0)
    floor = rng.uniform([-2, 1.2, 1.5], [2, 1.2, 5], (3000, 3))
    wall = rng.uniform([-2, -1, 5], [2, 1.2, 5], (1000, 3))
    return np.concatenate([floor, wall]).astype(np.float32)


@pytest.fixture(scope="module")
def scene(floor_points):
    return make_scene(floor_points)


@pytest.fixture(scope="module")
def person(model):
    """Standing 3 m before the camera, upright in a frame whose y is down."""
    pose = {k: v for k, v in named_pose("stand").items() if k not in ("global_orient", "transl")}
    betas = np.linspace(-1, 1, 10).astype(np.float32)
    params = BodyParams.from_axis_angle(
        model, **pose, global_orient=np.array([np.pi, 0, 0], np.float32), betas=betas,
        transl=np.array([0.1, 0.3, 3.0], np.float32),
    )  # fmt: skip
    return GraftState.of(params)


@pytest.fixture(scope="module")
def fresh():
    return quick_jit(lambda: nnx.state(Graft(SMALL, nnx.Rngs(0))))()


def network(state):
    return nnx.merge(nnx.split(nnx.eval_shape(lambda: Graft(SMALL, nnx.Rngs(0))))[0], state)


@pytest.fixture(scope="module")
def stirred(fresh):
    """Weights whose heads do something, about a centimetre and a degree a step."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: x + jnp.asarray(0.03 * rng.normal(size=x.shape), x.dtype), fresh)


@pytest.fixture(scope="module")
def refine(spec):
    """One compiled rollout for every test that can share it."""

    @quick_jit
    def run(state, scene, person):
        return rollout(network(state), spec, scene, person)

    return run


def test_the_spec_of_smplx_and_smplh_has_the_published_indices():
    # The joints' names alone decide; made-up bodies of SMPL-X's and SMPL-H's joints stand for the files.
    from hoijax.body_models import JOINT_NAMES, PARENTS, BodyModel

    for kind, count, head, left in (("smplx", 55, 15, [27, 30, 33, 36, 39]), ("smplh", 52, 15, [24, 27, 30, 33, 36])):
        rng = np.random.default_rng(0)
        names = JOINT_NAMES[kind]
        vertices = rng.normal(size=(60, 3)).astype(np.float32)
        toy = BodyModel(
            v_template=vertices, shape_dirs=rng.normal(size=(60, 3, 12)).astype(np.float32), pose_basis=None,
            joint_template=rng.normal(size=(count, 3)).astype(np.float32),
            joint_shape_dirs=np.zeros((count, 3, 12), np.float32),
            skin_weights=rng.dirichlet(np.ones(count), 60).astype(np.float32),
            faces=rng.integers(0, 60, (100, 3)), parents=PARENTS[kind], joint_names=names, kind=kind,
        )  # fmt: skip
        toy_spec = body_spec(toy)
        assert list(toy_spec.distal) == left + [j + 15 for j in left]
        assert toy_spec.head == head
        assert toy_spec.rotations[:22] == tuple(range(22)) and toy_spec.rotations[-1] == count - 1
        np.testing.assert_array_equal(toy_spec.scale_center[10:], 0.0)


def test_probes_are_spread_over_the_body(model, spec):
    template = np.asarray(model.v_template)
    assert spec.probe_vertices[0] == np.argmax(template[:, 1])
    chosen = template[spec.probe_vertices]
    gaps = np.linalg.norm(chosen[:, None] - chosen[None], axis=-1) + 9 * np.eye(27)
    assert gaps.min() > 0.1
    assert np.linalg.norm(template[:, None] - chosen[None], axis=-1).min(axis=1).max() < gaps.min() + 1e-3


def test_bodies_that_cannot_be_are_refused(model):
    with pytest.raises(InputError, match="27 vertex ids below"):
        body_spec(model, np.arange(27) + 1490)
    with pytest.raises(InputError, match="this free body has 4"):
        short = model.replace(shape_dirs=model.shape_dirs[..., :4], joint_shape_dirs=model.joint_shape_dirs[..., :4])
        body_spec(short)


def test_an_untrained_network_leaves_the_body_alone(refine, fresh, scene, person, spec):
    result = refine(fresh, scene, person)
    chex.assert_trees_all_close(result.final, person, atol=1e-6)
    chex.assert_trees_all_close(result.params, person.params, atol=2e-6)
    assert result.steps.scale.shape == (3,)


def test_scan_is_the_loop_written_out(refine, stirred, scene, person, spec):
    from hoijax.systems.graft import network_inputs

    @quick_jit
    def one(weights, state):
        inputs = network_inputs(spec, state, pose_graft_state(spec.probe_model, state), scene)
        return apply_update(spec, state, network(weights)(inputs, None), UPDATE_PRESETS["all"])

    result, state = refine(stirred, scene, person), person
    for i in range(3):
        state = one(stirred, state)
        chex.assert_trees_all_close(jax.tree.map(lambda x, i=i: x[i], result.steps), state, atol=1e-4)
    chex.assert_trees_all_close(result.final, state, atol=1e-4)
    assert float(jnp.max(jnp.abs(result.final.params.translation - person.params.translation))) > 1e-3


def test_order_of_points_and_far_padding_do_not_matter(refine, stirred, floor_points, scene, person):
    shuffled = floor_points[np.random.default_rng(1).permutation(len(floor_points))]
    normals = np.tile(np.array([[0, -1, 0]], np.float32), (len(shuffled), 1))
    padded = np.concatenate([floor_points[:3900], np.full((100, 3), 1e6, np.float32)])
    same = refine(stirred, make_scene(floor_points, normals), person)
    chex.assert_trees_all_close(refine(stirred, make_scene(shuffled, normals), person), same, atol=1e-6)
    few = refine(stirred, make_scene(floor_points[:3900], normals[:3900], capacity=4000), person)
    chex.assert_trees_all_close(refine(stirred, make_scene(padded, normals), person), few, atol=1e-6)


def test_people_are_refined_as_if_alone(stirred, refine, scene, person, spec):
    other = person.replace(params=person.params.replace(translation=person.params.translation + 0.5))
    people = jax.tree.map(lambda *x: jnp.stack(x), person, other)
    run = quick_jit(lambda w, s, p: refine_people(network(w), spec, s, p))
    together = run(stirred, scene, people)
    alone = refine(stirred, scene, other)
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[1], together.params), alone.params, atol=1e-4)


def test_the_gradient_reaches_the_weights_unless_detached(stirred, scene, person, spec):
    def loss(weights, start, detach):
        result = rollout(network(weights), spec, scene, start, options=RolloutOptions(steps=2, detach=detach))
        return jnp.sum(result.final.params.translation) + jnp.sum(result.final.scale)

    gradients = jax.tree.leaves(quick_jit(lambda w: jax.grad(loss)(w, person, False))(stirred))
    assert all(np.isfinite(np.asarray(x)).all() for x in gradients)
    assert max(float(np.abs(np.asarray(x)).max()) for x in gradients) > 1e-3
    start = quick_jit(lambda p: jax.grad(loss, argnums=1)(stirred, p, True))(person)
    for leaf in jax.tree.leaves(start):
        np.testing.assert_array_equal(leaf, 0.0)


def oracle(target):
    """A head that always says what is missing to the target: specs/graft.md section 17, item 18."""

    def step(inputs, context):
        del context
        return GraftUpdate(
            rotations=sixd_from_rotation(target.rotations) - inputs.rotations,
            translation=target.translation - inputs.translation,
            betas=target.betas - inputs.betas,
            scale=jnp.zeros((), jnp.float32),
        )

    return step


@pytest.mark.parametrize("fold", [False, True])
def test_a_perfect_head_arrives_in_one_step_and_stays(model, spec, scene, person, fold):
    turn = rotation_from_axis_angle(0.2 * jax.random.normal(jax.random.key(0), (52, 3), jnp.float32))
    start = person.replace(
        params=person.params.replace(
            rotations=jnp.matmul(turn, person.params.rotations), translation=person.params.translation + 0.1
        ),
        scale=jnp.float32(1.0 if fold else 1.1),
    )
    options = RolloutOptions(fold=fold)
    result = quick_jit(lambda s: rollout(oracle(person.params), spec, scene, s, options=options))(start)
    for i in range(3):
        step = jax.tree.map(lambda x, i=i: x[i], result.steps)
        reached = fold_scale(spec, step)
        chex.assert_trees_all_close(reached, person.params, atol=3e-5)


def test_folding_composes_and_is_exact_where_the_template_is_a_shape(model):
    rng = np.random.default_rng(0)
    # A body whose template is a shape: T = S c.
    center = rng.normal(size=10)
    template = np.einsum("vcs,s->vc", np.asarray(model.shape_dirs, np.float64), center)
    joints = np.einsum("jcs,s->jc", np.asarray(model.joint_shape_dirs, np.float64), center)
    toy = model.replace(v_template=template.astype(np.float32), joint_template=joints.astype(np.float32))
    toy_spec = body_spec(toy)
    np.testing.assert_allclose(toy_spec.scale_center, center, atol=1e-3)
    rotations = rotation_from_axis_angle(0.3 * rng.normal(size=(52, 3)).astype(np.float32))
    betas, move = (rng.normal(size=n).astype(np.float32) for n in (10, 3))
    state = GraftState.of(BodyParams(rotations=rotations, betas=betas, translation=move))
    scaled = state.replace(scale=jnp.float32(1.15))
    inside = GraftState.of(fold_scale(toy_spec, scaled))
    np.testing.assert_allclose(
        pose_graft_state(toy, inside).vertices, pose_graft_state(toy, scaled).vertices, atol=1e-5
    )
    twice = fold_scale(
        toy_spec, fold_state(toy_spec, state.replace(scale=jnp.float32(1.1))).replace(scale=jnp.float32(0.9))
    )
    chex.assert_trees_all_close(twice, fold_scale(toy_spec, state.replace(scale=jnp.float32(0.99))), atol=1e-5)


def test_folding_on_the_free_body_has_a_known_residual(model, spec, person):
    """Mean distance of V(beta_s, s t) from s V over s in [0.85, 1.15]; docs/graft.md quotes the default body's."""
    errors = []
    for s in (0.85, 0.95, 1.05, 1.15):
        scaled = person.replace(scale=jnp.float32(s))
        inside = GraftState.of(fold_scale(spec, scaled))
        gap = np.asarray(pose_graft_state(model, inside).vertices) - np.asarray(
            pose_graft_state(model, scaled).vertices
        )
        errors.append(1000 * np.linalg.norm(gap, axis=1).mean())
    print("folding residual, mm:", np.round(errors, 2))
    assert max(errors) < 20.0
    # Linear in (1 - s): half the scaling, half the residual at most.
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.5 * errors[3]


def test_scaling_leaves_the_image_as_it_is(model, spec, person):
    def pixels(state):
        joints = np.asarray(pose_graft_state(spec.probe_model, state).joints, np.float64)
        return (joints @ INTRINSICS.T.astype(np.float64))[:, :2] / joints[:, 2:]

    scaled = pixels(person.replace(scale=jnp.float32(1.3)))
    np.testing.assert_allclose(scaled, pixels(person), atol=1e-3)  # float32 joints at 3 m: 4e-5 px a rounding


def test_updates_keep_rotations_and_what_they_may_not_touch(spec, person):
    rng = np.random.default_rng(0)
    update = GraftUpdate(*(rng.normal(size=s).astype(np.float32) for s in ((52, 6), (3,), (10,), ())))
    state = person.replace(scale=jnp.float32(1.2))
    after = apply_update(spec, state, update, UPDATE_PRESETS["all"])
    eye = np.einsum("jki,jkl->jil", after.params.rotations, after.params.rotations)
    np.testing.assert_allclose(eye, np.broadcast_to(np.eye(3), eye.shape), atol=3e-6)
    np.testing.assert_allclose(np.linalg.det(after.params.rotations), 1.0, atol=1e-5)
    # The update is of the folded parameters: they change by exactly what it says, then scale.
    scale = 1.0 + float(np.clip(update.scale, -0.3, 0.4))
    before = fold_scale(spec, state)
    moved = (before.translation + update.translation) * scale
    np.testing.assert_allclose(fold_scale(spec, after).translation, moved, rtol=1e-4, atol=1e-5)
    partial = apply_update(spec, state, update, UPDATE_PRESETS["similarity"])
    np.testing.assert_array_equal(partial.params.rotations[1:], state.params.rotations[1:])
    np.testing.assert_array_equal(partial.params.betas, state.params.betas)
    np.testing.assert_allclose(partial.params.rotations[0], after.params.rotations[0], atol=1e-6)


def test_a_scale_about_the_pelvis_leaves_it_where_it_is(spec, person):
    """And every joint goes from it by the factor; about the camera the pelvis goes as far as all else."""
    zeros = GraftUpdate(*(np.zeros(s, np.float32) for s in ((52, 6), (3,), (10,))), scale=np.float32(0.2))
    state = person.replace(scale=jnp.float32(1.1))
    joints = lambda x: np.asarray(pose_graft_state(spec.probe_model, x).joints)  # noqa: E731
    before = joints(state)
    after = joints(apply_update(spec, state, zeros.replace(pivot="pelvis"), UPDATE_PRESETS["all"]))
    np.testing.assert_allclose(after[0], before[0], atol=2e-6)
    np.testing.assert_allclose(after - after[:1], 1.2 * (before - before[:1]), atol=1e-5)
    about_camera = joints(apply_update(spec, state, zeros, UPDATE_PRESETS["all"]))
    np.testing.assert_allclose(about_camera, 1.2 * before, rtol=1e-5, atol=1e-5)
    # Translation and shape move the pelvis as without the scale.
    moving = zeros.replace(
        translation=np.float32([0.05, -0.02, 0.1]), betas=np.eye(10, dtype=np.float32)[0], pivot="pelvis"
    )
    both = joints(apply_update(spec, state, moving, UPDATE_PRESETS["all"]))
    alone = joints(apply_update(spec, state, moving.replace(scale=np.float32(0.0)), UPDATE_PRESETS["all"]))
    np.testing.assert_allclose(both[0], alone[0], atol=3e-6)
    assert np.abs(alone[0] - before[0]).max() > 0.05


def test_the_network_is_told_where_the_pose_is_held(spec, scene, person):
    told = []

    def step(inputs, context):
        told.append(float(inputs.held))
        zeros = (jnp.zeros(s, jnp.float32) for s in ((52, 6), (3,), (10,), ()))
        return GraftUpdate(*zeros)

    with jax.disable_jit():
        for update in ("all", "similarity", UpdateMask(hands=False)):
            rollout(step, spec, scene, person, options=RolloutOptions(steps=1, update=update))
    assert told == [0.0, 1.0, 0.0]


def test_what_is_told_of_a_held_pose_and_the_gate_reach_the_update(spec, scene, person):
    config = dataclasses.replace(SMALL, held=True, pivot="pelvis")
    graft = Graft(config, nnx.Rngs(0))
    rng = np.random.default_rng(1)
    for parameter in (graft.heads.translation.second.kernel, graft.heads.gate.second.kernel, graft.tokenizer.held):
        parameter[...] = jnp.asarray(rng.normal(size=parameter[...].shape), jnp.float32)
    inputs = network_inputs(spec, person, pose_graft_state(spec.probe_model, person), scene)
    run = quick_jit(lambda held: graft(inputs.replace(held=held)))
    free, held, half = (run(jnp.float32(x)) for x in (0.0, 1.0, 0.5))
    assert held.pivot == "pelvis" and np.abs(held.translation - free.translation).max() > 1e-3
    assert np.abs(half.translation - free.translation).max() > 1e-3
    # The gate has multiplied the update: without it the first is the second over its share.
    open_gate = run(jnp.float32(0.0)).translation / jax.nn.sigmoid(free.gate)
    graft.heads.gate = None
    np.testing.assert_allclose(quick_jit(graft)(inputs).translation, open_gate, rtol=1e-4)


def test_the_similarity_preset_leaves_pa_mpjpe(stirred, scene, person, spec, model):
    run = quick_jit(lambda w, s, p: rollout(network(w), spec, s, p, options=RolloutOptions(update="similarity")))
    final = run(stirred, scene, person).final
    truth = jnp.asarray(model.joint_template)[:22]
    joints = [pose_graft_state(spec.probe_model, s).joints[:22] for s in (person, final)]
    before, after = (float(pa_mpjpe_mm(x, truth)) for x in joints)
    assert float(jnp.max(jnp.abs(joints[0] - joints[1]))) > 1e-3
    np.testing.assert_allclose(after, before, atol=3e-3)


def test_sixd_survives_the_round_trip_and_parallel_columns():
    rotations = rotation_from_axis_angle(jax.random.normal(jax.random.key(0), (50, 3), jnp.float32))
    again = rotation_from_6d(sixd_from_rotation(rotations))
    np.testing.assert_allclose(again, rotations, atol=1e-6)
    parallel = jnp.array([1.0, 1.0, 0.0, 1e-7, 0.0, 0.0], jnp.float32)
    gradient = quick_jit(jax.grad(lambda x: jnp.sum(rotation_from_6d(x)[:, 1])))(parallel)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("mode", ["scale", "translation"])
def test_the_head_is_as_deep_as_the_scene_after_alignment(spec, person, mode):
    point_map = np.full((480, 640, 3), 3.4, np.float32)
    state = person.replace(scale=jnp.float32(1.05))
    aligned = align_head(spec, state, point_map, INTRINSICS, mode=mode)
    head, before = (np.asarray(pose_graft_state(spec.probe_model, s).joints)[spec.head] for s in (aligned, state))
    np.testing.assert_allclose(head[2], 3.4, rtol=1e-6)
    np.testing.assert_allclose(head / head[2], before / before[2], atol=1e-5)
    if mode == "translation":
        assert float(aligned.scale) == float(state.scale)


def test_heads_that_cannot_be_aligned_are_named(spec, person):
    empty = np.full((480, 640, 3), np.nan, np.float32)
    with pytest.raises(InputError, match="holds no depth within 2 pixels"):
        align_head(spec, person, empty, INTRINSICS)
    aside = person.replace(params=person.params.replace(translation=jnp.array([9.0, 0, 3], jnp.float32)))
    with pytest.raises(InputError, match="outside the image of 640 x 480"):
        align_head(spec, aside, empty, INTRINSICS)
    behind = person.replace(params=person.params.replace(translation=jnp.array([0.0, 0, -3], jnp.float32)))
    with pytest.raises(InputError, match="behind the camera"):
        align_head(spec, behind, empty, INTRINSICS)


def test_a_similarity_moves_every_vertex(model, spec, person):
    pose = RigidPose(
        rotation=rotation_from_axis_angle(jnp.array([0.1, -0.2, 0.3], jnp.float32)),
        translation=jnp.array([0.3, 0.1, -0.4], jnp.float32),
        scale=jnp.float32(1.1),
    )
    state = person.replace(scale=jnp.float32(0.9))
    before = np.asarray(pose_graft_state(model, state).vertices)
    after = pose_graft_state(model, apply_similarity(spec, state, pose)).vertices
    np.testing.assert_allclose(
        after, 1.1 * before @ np.asarray(pose.rotation).T + np.asarray(pose.translation), atol=1e-5
    )


def test_icp_puts_a_hovering_body_on_the_floor(model, spec, scene, person):
    run = quick_jit(lambda s: similarity_icp(spec, contact_model(spec, model), scene, s, with_scale=False))
    lowest = float(pose_graft_state(model, person).vertices[:, 1].max())
    start = person.replace(
        params=person.params.replace(
            translation=person.params.translation + jnp.array([0, 1.2 - lowest - 0.08, 0.0], jnp.float32)
        )
    )
    final = run(start)
    assert abs(float(pose_graft_state(model, final).vertices[:, 1].max()) - 1.2) < 0.03
    assert float(rotation_angle(final.params.rotations[0].T @ start.params.rotations[0])) < 0.2
    far = person.replace(params=person.params.replace(translation=jnp.array([0.0, -50.0, 3.0], jnp.float32)))
    chex.assert_trees_all_close(run(far), far, atol=1e-5)


def test_the_image_reaches_the_tokens_near_it(spec, person):
    from hoijax.systems.graft import visual_context

    fused = np.zeros((2, 48, 64, 2), np.float32)
    fused[0, ..., 0] = np.arange(64)
    fused[1, ..., 1] = np.arange(48)[:, None]
    posed = pose_graft_state(spec.probe_model, person)
    context = jax.jit(visual_context)(spec, posed, ImageFeatures(fused=fused, intrinsics=INTRINSICS, patch=10.0))
    joint = np.asarray(posed.joints)[15] @ INTRINSICS.T
    column, row = (joint[:2] / joint[2]) // 10
    np.testing.assert_array_equal(np.asarray(context.features)[14, :9, 0], np.tile([column - 1, column, column + 1], 3))
    np.testing.assert_array_equal(np.asarray(context.features)[14, 9:18, 1], np.repeat([row - 1, row, row + 1], 3))


def test_estimated_normals_of_a_floor_point_up(floor_points):
    from hoijax.systems.graft import estimate_normals

    normals = estimate_normals(floor_points)
    inner = (floor_points[:, 2] < 4.5) & (floor_points[:, 1] > 1.19)
    np.testing.assert_allclose(normals[inner], np.broadcast_to([0, -1, 0], (inner.sum(), 3)), atol=1e-3)


def test_scenes_that_cannot_be_are_named(floor_points):
    with pytest.raises(InputError, match="no points to touch: 5 were given"):
        make_scene(np.full((5, 3), np.nan, np.float32))
    with pytest.raises(InputError, match="millimetres"):
        make_scene(1000 * floor_points)
    with pytest.raises(InputError, match="more than the capacity 10"):
        make_scene(floor_points, capacity=10)
    broken = floor_points.copy()
    broken[::7] = np.nan
    assert np.isfinite(make_scene(broken).blocks.points).all()


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="folding the scale changes the shape"):
        RolloutOptions(update="similarity", fold=True)
    with pytest.raises(ValueError, match="unknown update preset 'some'"):
        RolloutOptions(update="some")
