"""pose_body against the textbook, its derivatives, its paths for joints, subsets and large batches."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from hoijax.body_models import (
    PARENTS,
    BodyParams,
    forward_kinematics,
    kinematic_levels,
    pose_body,
    pose_joints,
    posing,
    subset,
)

BATCHES = [(), (1,), (2, 3)]


POSE, JOINTS = jax.jit(pose_body), jax.jit(pose_joints)


@pytest.mark.parametrize("batch", BATCHES)
def test_matches_the_textbook_definition(toy, params, reference, batch):
    model, given = toy(), params(toy(), batch)
    got, skeleton = POSE(model, given), JOINTS(model, given)
    for i in np.ndindex(*batch):
        vertices, joints, turns = reference(model, given.rotations[i], given.betas[i], given.translation[i])
        np.testing.assert_allclose(got.vertices[i], vertices, atol=1e-12)
        np.testing.assert_allclose(got.joints[i], joints, atol=1e-12)
        np.testing.assert_allclose(skeleton.joints[i], joints, atol=1e-12)
        np.testing.assert_allclose(skeleton.rotations[i], turns, atol=1e-12)


def test_without_pose_correctives(toy, params, reference):
    model = toy(correctives=False)
    given = params(model)
    want = reference(model, given.rotations, given.betas, given.translation)[0]
    np.testing.assert_allclose(POSE(model, given).vertices, want, atol=1e-12)


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_eager_jit_and_vmap_agree(toy, params, batch):
    model, given = toy(), params(toy(), batch)
    mapped = functools.partial(pose_body, model)
    for _ in batch:
        mapped = jax.vmap(mapped)
    chex.assert_trees_all_close(pose_body(model, given), POSE(model, given), jax.jit(mapped)(given), atol=1e-12)


def test_float32_stays_float32(toy, params):
    model = toy(dtype=np.float32)
    exact = POSE(toy(), params(toy()))
    got = POSE(model, params(model, dtype=np.float32))
    assert got.vertices.dtype == got.joints.dtype == jnp.float32
    np.testing.assert_allclose(got.vertices, exact.vertices, atol=2e-6)


@pytest.fixture(scope="module")
def vertices_of_vectors(toy):
    model = toy()

    @jax.jit
    def vertices(vectors, betas, translation):
        body = BodyParams.from_axis_angle(
            model, global_orient=vectors[0], body_pose=vectors[1:], betas=betas, transl=translation
        )
        return pose_body(model, body).vertices

    return vertices


@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.7, np.pi])  # the rest pose and half a turn are where it could break
def test_gradients_match_finite_differences(toy, params, vertices_of_vectors, scale):
    vectors = np.random.default_rng(0).normal(size=(toy().num_joints, 3))
    vectors *= scale / np.linalg.norm(vectors, axis=-1, keepdims=True)
    given = params(toy())
    inputs = (vectors, given.betas, given.translation)
    check_grads(vertices_of_vectors, inputs, order=1, modes=("fwd", "rev"), atol=1e-5, rtol=1e-5)


def test_one_compilation_serves_every_call_of_one_shape(toy, params):
    model, call = toy(), jax.jit(chex.assert_max_traces(pose_body, n=1))
    for seed in range(3):
        call(model, params(model, (2,), seed=seed))


def test_blocks_of_bodies_change_nothing(toy, params, monkeypatch):
    model, given = toy(), params(toy(), (5,))

    def everything(given):
        def value(given):
            return jnp.sum(jnp.sin(pose_body(model, given).vertices))

        pose = functools.partial(pose_body, model)
        return pose(given), jax.grad(value)(given), jax.jvp(pose, (given,), (given,))[1]

    whole = jax.jit(everything)(given)
    monkeypatch.setattr(posing, "_BLOCK_ABOVE", 0)
    monkeypatch.setattr(posing, "_BLOCK_BYTES", 2 * 12 * model.num_vertices * 8)  # two, two, and one that is left
    assert "scan" in str(jax.make_jaxpr(pose_body)(model, given))
    chex.assert_trees_all_close(jax.jit(lambda p: everything(p))(given), whole, atol=1e-12)


def test_large_batches_do_not_keep_blended_transforms(toy, params):
    """Memory of the gradient stays below what the transforms of all bodies would take."""
    model = toy(num_vertices=2000, correctives=False, parents=(-1, 0), dtype=np.float32)
    given = params(model, (256,), dtype=np.float32)
    compiled = jax.jit(jax.grad(lambda p: jnp.sum(pose_body(model, p).vertices ** 2))).lower(given).compile()
    transforms = 256 * 2000 * 12 * 4
    assert compiled.memory_analysis().temp_size_in_bytes < 1.5 * transforms  # three times without the blocks


def test_a_subset_is_those_rows(toy, params):
    model, given, chosen = toy(), params(toy(), (2, 3)), np.array([7, 3, 30])
    small = subset(model, chosen)
    got, want = POSE(small, given), POSE(model, given)
    chex.assert_trees_all_close(got.vertices, want.vertices[..., chosen, :], atol=1e-12)
    chex.assert_trees_all_close(got.joints, want.joints, atol=1e-12)
    assert small.landmarks == (("tip", 0), ("nose", 1))
    assert small.num_vertices == 3


def test_a_subset_keeps_whole_faces(toy):
    model = toy()
    chosen = np.unique(np.asarray(model.faces)[[4, 11]])
    small = subset(model, chosen)
    kept = [f for f in np.asarray(model.faces) if np.isin(f, chosen).all()]
    np.testing.assert_array_equal(chosen[np.asarray(small.faces)], kept)


def test_a_subset_may_be_traced(toy, params):
    model, given = toy(), params(toy())
    got = jax.jit(lambda ids: pose_body(subset(model, ids), given).vertices)(np.array([5, 1]))
    np.testing.assert_allclose(got, POSE(model, given).vertices[np.array([5, 1])], atol=1e-12)


@pytest.mark.parametrize("ids", [[0, 40], [-1, 2], [3, 3]])
def test_a_subset_of_other_vertices_is_refused(toy, ids):
    with pytest.raises(ValueError, match=r"the model has 40|different ones"):
        subset(toy(), np.array(ids))


def test_wrong_inputs_are_named(toy, params):
    model, given = toy(), params(toy())
    with pytest.raises(ValueError, match="5 joints, the toy model has 6"):
        pose_body(model, given.replace(rotations=given.rotations[:5]))
    with pytest.raises(ValueError, match="3 shape coefficients, the toy model has 4"):
        pose_joints(model, given.replace(betas=given.betas[:3]))
    with pytest.raises(ValueError, match=r"leading axes .* differ"):
        pose_body(model, given.replace(translation=np.zeros((2, 3))))
    with pytest.raises(ValueError, match="params are .*float64.*, the model is float32"):
        pose_body(toy(dtype=np.float32), given)


def test_nested_vmap_compiles_with_its_derivative():
    """XLA:CPU fails on products of joints gathered under two mapped axes, which only jit shows, on a wide tree."""
    rng, parents = np.random.default_rng(0), PARENTS["smplh"]
    rotations, rest = rng.normal(size=(2, 3, 52, 3, 3)), rng.normal(size=(2, 3, 52, 3))
    walk = functools.partial(forward_kinematics, parents=parents)
    mapped = jax.jit(jax.vmap(jax.vmap(walk)))
    chex.assert_trees_all_close(mapped(rotations, rest), jax.jit(walk)(rotations, rest), atol=1e-9)
    jax.jit(jax.grad(lambda r: jnp.sum(jax.vmap(jax.vmap(walk))(r, rest)[1])))(rotations)


def test_levels():
    assert [len(kinematic_levels(PARENTS[kind])) for kind in ("smpl", "smplh", "smplx", "mano")] == [9, 11, 11, 4]
    with pytest.raises(ValueError, match="precede"):
        kinematic_levels((-1, 2, 0))


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_accelerators_skin_large_batches_at_once(toy, params, monkeypatch, platform):
    """The blocks are for CPU caches: what is lowered for accelerators has no loop."""
    monkeypatch.setattr(posing, "_BLOCK_ABOVE", 0)
    model, given = toy(dtype=np.float32), params(toy(), (4,), dtype=np.float32)

    def cost(given):
        return jnp.sum(pose_body(model, given).vertices ** 2)

    text = jax.export.export(jax.jit(jax.grad(cost)), platforms=[platform])(given).mlir_module()
    assert "stablehlo.while" not in text
    text = jax.export.export(jax.jit(jax.grad(cost)), platforms=["cpu"])(given).mlir_module()
    assert "stablehlo.while" in text
