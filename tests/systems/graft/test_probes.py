"""What GRAFT's network is shown of a body in a scene, written out in NumPy from the whole body and the whole cloud."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, named_pose, pose_body
from hoijax.systems.graft import GraftState, anchors, body_spec, make_scene, network_inputs, pose_graft_state

BODY = (
    "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle", "spine3",
    "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
FINGERS = ("index", "middle", "pinky", "ring", "thumb")
SIDES = ("left", "right")
INTRINSICS = np.array([[500.0, 0, 300], [0, 510, 200], [0, 0, 1]], np.float32)


@pytest.fixture(scope="module")
def spec(model):
    return body_spec(model)


@pytest.fixture(scope="module")
def cloud():
    """Points all about, each with a normal of its own."""
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(800, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return rng.uniform([-1, -1, 2], [1, 1, 4], (800, 3)).astype(np.float32), normals.astype(np.float32)


def person(model, turn, move):
    """Carrying, turned about all axes at once, a tenth too large."""
    pose = {k: v for k, v in named_pose("carry").items() if k not in ("global_orient", "transl")}
    params = BodyParams.from_axis_angle(
        model, **pose, global_orient=np.float32(turn), betas=np.linspace(-1, 1, 10).astype(np.float32),
        transl=np.float32(move),
    )  # fmt: skip
    return GraftState.of(params).replace(scale=jnp.float32(1.1))


@pytest.fixture(scope="module")
def shown(spec, cloud):
    """`(state, points, normals) -> inputs and anchors`, compiled once."""

    def run(state, scene):
        posed = pose_graft_state(spec.probe_model, state)
        return network_inputs(spec, state, posed, scene), anchors(spec, posed, INTRINSICS)

    compiled = jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})
    return lambda state, points, normals: compiled(state, make_scene(points, normals))


def test_probes_are_in_the_frame_of_the_body_and_what_they_find_in_the_cameras(model, spec, shown, cloud):
    state = person(model, [2.0, 0.5, -0.8], [0.1, 0.2, 3.0])
    inputs, seen = shown(state, *cloud)
    posed = pose_body(model, state.params)
    row = {name: i for i, name in enumerate(model.joint_names)}
    joints, vertices = (1.1 * np.asarray(x, np.float64) for x in (posed.joints, posed.vertices))
    tips = [[joints[row[f"{side}_{finger}3"]] for finger in FINGERS] for side in SIDES]
    surface = vertices[np.asarray(spec.probe_vertices)]
    points = np.concatenate([[joints[row[name]] for name in BODY], *tips, surface])
    assert points.shape == (58, 3)
    root = np.asarray(state.params.rotations[0], np.float64)
    want = np.stack([root.T @ (p - joints[0]) for p in points])
    np.testing.assert_allclose(inputs.points, want, atol=1e-5)
    _, nearest = cKDTree(cloud[0]).query(points)
    np.testing.assert_allclose(inputs.offsets, cloud[0][nearest] - points, atol=1e-5)
    np.testing.assert_allclose(inputs.normals, cloud[1][nearest], atol=1e-6)
    order = ["pelvis", *BODY, *(f"{s}_{f}{i}" for s in SIDES for f in FINGERS for i in (1, 2, 3))]
    sixd = [np.asarray(state.params.rotations[row[name]])[:, :2].ravel() for name in order]
    np.testing.assert_allclose(inputs.rotations, sixd, atol=1e-6)
    # The scale is folded into what the network reads.
    np.testing.assert_allclose(inputs.translation, 1.1 * np.array([0.1, 0.2, 3.0]), rtol=1e-6)
    center = np.asarray(spec.scale_center)
    np.testing.assert_allclose(inputs.betas, 1.1 * (np.linspace(-1, 1, 10) + center) - center, atol=1e-5)
    # Where the image is looked at: joints, the middle of each hand's tips, surface points.
    places = np.concatenate([points[:21], np.mean(tips, axis=1), surface])
    pixels = places @ INTRINSICS.astype(np.float64).T
    np.testing.assert_allclose(seen.pixels, pixels[:, :2] / pixels[:, 2:], atol=2e-2)
    assert bool(np.all(seen.seen))


def test_turning_body_and_scene_together_turns_what_is_found_and_nothing_else(model, shown, cloud):
    """Points of the body stay as they are in its own frame; offsets and normals turn with the world."""
    turn = Rotation.from_rotvec([0.3, -0.5, 0.7])
    state = person(model, [2.0, 0.5, -0.8], [0.1, 0.2, 3.0])
    rest = np.asarray(model.joint_template)[0] + np.asarray(model.joint_shape_dirs)[0] @ np.linspace(-1, 1, 10)
    move = turn.apply([0.1, 0.2, 3.0] + rest) - rest
    other = person(model, (turn * Rotation.from_rotvec([2.0, 0.5, -0.8])).as_rotvec(), move)
    before, _ = shown(state, *cloud)
    after, _ = shown(other, *(turn.apply(x).astype(np.float32) for x in cloud))
    np.testing.assert_allclose(after.points, before.points, atol=1e-5)
    np.testing.assert_allclose(after.offsets, turn.apply(before.offsets), atol=2e-5)
    np.testing.assert_allclose(after.normals, turn.apply(before.normals), atol=1e-5)
