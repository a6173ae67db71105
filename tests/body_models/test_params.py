"""Parameters from and to the field's axis-angle keys."""

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import JOINT_NAMES, PARENTS, POSE_GROUPS, BodyModel, BodyParams
from hoijax.errors import InputError


def bare(kind, **options):
    """A model of one vertex: parameters look at nothing but sizes and hands."""
    joints, rng = len(PARENTS[kind]), np.random.default_rng(5)
    shapes = 7 if kind == "smplx" else 4
    hands = 1 if kind == "mano" else 2
    return BodyModel(
        v_template=np.zeros((1, 3)),
        shape_dirs=np.zeros((1, 3, shapes)),
        pose_basis=None,
        joint_template=np.zeros((joints, 3)),
        joint_shape_dirs=np.zeros((joints, 3, shapes)),
        skin_weights=np.full((1, joints), 1 / joints),
        faces=np.zeros((0, 3), np.int32),
        parents=PARENTS[kind],
        joint_names=JOINT_NAMES.get(kind, ("",) * joints),
        kind=kind,
        hand_mean=None if kind == "smpl" else rng.normal(scale=0.3, size=(hands, 45)),
        hand_components=None if kind == "smpl" else np.linalg.qr(rng.normal(size=(hands, 45, 45)))[0],
        num_expression=3 if kind == "smplx" else 0,
        **options,
    )


def matrices(vectors):
    return Rotation.from_rotvec(np.reshape(vectors, (-1, 3))).as_matrix()


@pytest.mark.parametrize("kind", ["smpl", "smplh", "smplx", "mano", "free"])
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_every_key_lands_on_its_joints(kind, batch):
    model, rng = bare(kind), np.random.default_rng(0)
    groups = POSE_GROUPS[kind]
    assert sorted(j for first, last in groups.values() for j in range(first, last)) == list(range(model.num_joints))
    keys = {key: rng.normal(size=(*batch, 3 * (last - first))) for key, (first, last) in groups.items()}
    got = BodyParams.from_axis_angle(model, **keys, transl=rng.normal(size=(*batch, 3)))
    for i in np.ndindex(*batch):
        for key, (first, last) in groups.items():
            np.testing.assert_allclose(got.rotations[i][first:last], matrices(keys[key][i]), atol=1e-12)


@pytest.mark.parametrize("kind", ["smpl", "smplh", "smplx", "mano", "free"])
@pytest.mark.parametrize("flat", [True, False])
def test_there_and_back(kind, flat):
    if kind == "smpl" and not flat:
        pytest.skip("SMPL has no hands")
    model, rng = bare(kind, flat_hand_mean=flat), np.random.default_rng(1)
    keys = {k: rng.uniform(-0.7, 0.7, size=(2, 3 * (last - first))) for k, (first, last) in POSE_GROUPS[kind].items()}
    keys |= {"betas": rng.normal(size=(2, 4)), "transl": rng.normal(size=(2, 3))}
    if kind == "smplx":
        keys["expression"] = rng.normal(size=(2, 3))
    back = BodyParams.from_axis_angle(model, **keys).to_axis_angle(model)
    assert back.keys() == keys.keys()
    for key, value in keys.items():
        np.testing.assert_allclose(back[key], value, atol=1e-9)


def test_the_mean_hand_is_added_to_the_vectors():
    model, rng = bare("smplh", flat_hand_mean=False), np.random.default_rng(2)
    left = rng.normal(scale=0.4, size=45)
    got = BodyParams.from_axis_angle(model, left_hand_pose=left).rotations
    np.testing.assert_allclose(got[22:37], matrices(left + model.hand_mean[0]), atol=1e-12)
    np.testing.assert_allclose(got[37:52], matrices(model.hand_mean[1]), atol=1e-12)  # absent is zero, plus the mean
    flat = BodyParams.from_axis_angle(model.replace(flat_hand_mean=True), left_hand_pose=left).rotations
    np.testing.assert_allclose(flat[22:37], matrices(left), atol=1e-12)


@pytest.mark.parametrize("flat", [True, False])
def test_principal_components(flat):
    model, rng = bare("smplh", flat_hand_mean=flat, hand_pca=6), np.random.default_rng(3)
    keys = {"left_hand_pose": rng.normal(size=(2, 6)), "right_hand_pose": rng.normal(size=(2, 6))}
    got = BodyParams.from_axis_angle(model, **keys)
    for hand, (first, key) in enumerate(((22, "left_hand_pose"), (37, "right_hand_pose"))):
        want = keys[key] @ model.hand_components[hand, :6] + (0 if flat else model.hand_mean[hand])
        for b in range(2):
            np.testing.assert_allclose(got.rotations[b, first : first + 15], matrices(want[b]), atol=1e-12)
        np.testing.assert_allclose(got.to_axis_angle(model)[key], keys[key], atol=1e-9)
    explicit = BodyParams.from_axis_angle(model.replace(flat_hand_mean=True), left_hand_pose=np.full((15, 3), 0.1))
    np.testing.assert_allclose(explicit.rotations[22:37], matrices(np.full((15, 3), 0.1)), atol=1e-12)


def test_absent_is_rest_and_leading_axes_broadcast():
    model = bare("free")
    rest, identity = BodyParams.from_axis_angle(model), BodyParams.identity(model)
    jax.tree.map(np.testing.assert_array_equal, rest, identity)
    got = BodyParams.from_axis_angle(model, body_pose=np.zeros((5, 21, 3)), betas=np.ones((1, 2)), transl=np.ones(3))
    assert got.rotations.shape == (5, 52, 3, 3)
    np.testing.assert_array_equal(got.betas, np.tile([1.0, 1.0, 0.0, 0.0], (5, 1)))  # fewer betas: zeros follow
    np.testing.assert_array_equal(got.translation, np.ones((5, 3)))


def test_parameters_take_the_model_s_dtype():
    model = bare("smplh").astype(np.float32)
    got = BodyParams.from_axis_angle(model, body_pose=np.zeros(63, np.float64))
    assert {x.dtype for x in jax.tree.leaves(got)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("kind", "options", "keys", "message"),
    [
        ("smpl", {}, {"left_hand_pose": np.zeros(45)}, "smpl model has no left_hand_pose; it has global_orient"),
        ("smplh", {}, {"body_pose": np.zeros(69)}, r"body_pose has the shape \(69,\); a smplh model wants .* 63"),
        ("smplh", {}, {"global_orient": np.zeros((2, 4))}, r"global_orient has the shape \(2, 4\)"),
        ("smplh", {}, {"betas": np.zeros(10)}, "10 betas for a smplh model with 4"),
        ("smplx", {}, {"betas": np.zeros(5)}, "5 betas for a smplx model with 4"),
        ("smplh", {"hand_pca": 6}, {"left_hand_pose": np.zeros(45)}, "6.* principal components"),
        ("free", {}, {"expression": np.zeros(2)}, "2 expression for a free model with 0"),
    ],
)
def test_wrong_keys_are_named(kind, options, keys, message):
    with pytest.raises(InputError, match=message):
        BodyParams.from_axis_angle(bare(kind, **options), **keys)


def test_a_mean_hand_that_is_not_there_is_named():
    model = bare("smplh", flat_hand_mean=False).replace(hand_mean=None)
    with pytest.raises(InputError, match="no mean hand pose"):
        BodyParams.from_axis_angle(model, body_pose=np.zeros(63))
