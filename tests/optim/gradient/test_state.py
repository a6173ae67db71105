import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import JOINT_NAMES, BodyParams
from hoijax.geometry import RigidPose, random_rotation
from hoijax.optim.gradient import RefineConfig
from hoijax.optim.gradient.state import State, joint_groups, keep_frozen, orthonormal, rates, retract, tangent


def random_state(seed, joints=5, betas=3) -> State:
    keys = jax.random.split(jax.random.key(seed), 6)
    return State(
        rotations=random_rotation(keys[0], (joints,)).astype(float),
        betas=jax.random.normal(keys[1], (betas,)),
        translation=jax.random.normal(keys[2], (3,)),
        object_rotation=random_rotation(keys[3]).astype(float),
        object_translation=jax.random.normal(keys[4], (3,)),
        object_scale=1.0 + jax.random.uniform(keys[5]),
    )


def test_the_tangent_is_the_derivative_along_a_retraction():
    state, weights = random_state(0), random_state(1)

    def energy(s):
        return sum(
            jnp.sum(a * b + 0.3 * a**3) for a, b in zip(jax.tree.leaves(s), jax.tree.leaves(weights), strict=True)
        )

    got = jax.jit(lambda s: tangent(s, jax.grad(energy)(s)))(state)
    steps = 1e-6 * jnp.eye(got.shape[0])
    moved = jax.jit(jax.vmap(lambda step: energy(retract(state, step))))
    want = (moved(steps) - moved(-steps)) / 2e-6
    np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-8)


def test_a_retraction_turns_on_the_right_and_stays_on_the_manifold():
    state = random_state(2)
    step = 0.4 * jax.random.normal(jax.random.key(3), (5 * 3 + 3 + 3 + 3 + 3 + 1,))
    move = jax.jit(retract)
    moved = move(state, step)
    for j in range(5):
        turn = Rotation.from_rotvec(np.array(step[3 * j : 3 * j + 3])).as_matrix()
        np.testing.assert_allclose(moved.rotations[j], np.asarray(state.rotations[j]) @ turn, atol=1e-12)
    np.testing.assert_allclose(moved.object_scale, state.object_scale * np.exp(step[-1]), rtol=1e-12)
    for _ in range(200):
        moved = move(moved, step)
    for r in (*moved.rotations, moved.object_rotation):
        np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-12)


def test_orthonormal_approaches_the_polar_factor():
    rotation = random_rotation(jax.random.key(4), (7,)).astype(float)
    noisy = np.asarray(rotation + 1e-4 * jax.random.normal(jax.random.key(5), (7, 3, 3)))
    u, _, vt = np.linalg.svd(noisy)
    np.testing.assert_allclose(orthonormal(jnp.asarray(noisy)), u @ vt, atol=1e-6)


def test_states_and_parameters_are_two_views_of_the_same():
    state = random_state(6)
    chex.assert_trees_all_equal(State.of(state.params, state.pose), state)
    assert isinstance(state.params, BodyParams)
    assert isinstance(state.pose, RigidPose)


@pytest.mark.parametrize("kind", ["smpl", "smplh", "smplx", "free"])
def test_every_joint_belongs_to_the_group_of_its_name(kind):
    groups = dict(zip(JOINT_NAMES[kind], joint_groups(JOINT_NAMES[kind]), strict=True))
    assert groups["pelvis"] == "root"
    assert groups["spine2"] == groups["head"] == "torso"
    assert groups["left_wrist"] == groups["right_collar"] == "arms"
    assert groups["left_foot"] == "legs"
    assert set(groups.values()) <= {"root", "torso", "arms", "legs", "left_hand", "right_hand", ""}
    assert [name for name, group in groups.items() if not group] == [
        name for name in groups if name == "jaw" or "eye" in name
    ]
    fingers = [group for name, group in groups.items() if name.endswith(("1", "2", "3")) and "spine" not in name]
    assert len(fingers) == (0 if kind == "smpl" else 30)
    if kind == "smpl":
        assert groups["left_hand"] == "left_hand"


def test_rates_are_zero_for_what_is_frozen_or_not_named(model):
    config = RefineConfig(freeze=("betas", "left_hand", "object_scale"))
    rate = rates(model, config, ("arms", "betas", "hands", "object"))
    by_joint = rate[: 3 * model.num_joints].reshape(-1, 3)
    for name, row in zip(model.joint_names, by_joint, strict=True):
        arm = name.split("_")[-1] in ("collar", "shoulder", "elbow", "wrist")
        finger = name.startswith("right_") and name[-1].isdigit()
        assert np.all(row == (config.rate.arms if arm else config.rate.right_hand if finger else 0.0))
    rest = rate[3 * model.num_joints :]
    want = (
        [0.0] * (model.num_betas + 3) + [config.rate.object_rotation] * 3 + [config.rate.object_translation] * 3 + [0.0]
    )
    np.testing.assert_array_equal(rest, want)


def test_frozen_groups_come_back_bit_for_bit(model, carry):
    start = State.of(*carry)
    size = 3 * model.num_joints + model.num_betas + 10
    moved = retract(start, jnp.full(size, 0.01, jnp.float32))
    kept = keep_frozen(model, ("torso", "hands", "betas", "object_rotation", "object_scale"), moved, start)
    groups = np.array(joint_groups(model.joint_names))
    still = np.isin(groups, ("torso", "left_hand", "right_hand", ""))
    np.testing.assert_array_equal(kept.rotations[still], start.rotations[still])
    assert np.all(np.any(np.asarray(kept.rotations != start.rotations), axis=(1, 2))[~still])
    for name in ("betas", "object_rotation", "object_scale"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(start, name))
    np.testing.assert_array_equal(kept.translation, moved.translation)
