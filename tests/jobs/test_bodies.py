"""Parameter files of every layout on models of every kind: SciPy poses the same joints independently."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import JOINT_NAMES, PARENTS, BodyModel, named_hand_pose
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.jobs.bodies import joint_ranges, quantities_of, start_of, with_coefficients

RNG = np.random.default_rng(0)


def made_up(kind, betas=10, expression=0, mean=False):
    """A model of ten vertices with the joints of its kind."""
    joints = len(JOINT_NAMES[kind])
    return BodyModel(
        v_template=RNG.normal(size=(10, 3)).astype(np.float32),
        shape_dirs=RNG.normal(size=(10, 3, betas + expression)).astype(np.float32),
        pose_basis=None,
        joint_template=np.zeros((joints, 3), np.float32),
        joint_shape_dirs=np.zeros((joints, 3, betas + expression), np.float32),
        skin_weights=np.full((10, joints), 1 / joints, np.float32),
        faces=np.array([[0, 1, 2]], np.int32),
        parents=PARENTS[kind],
        joint_names=JOINT_NAMES[kind],
        kind=kind,
        hand_mean=RNG.normal(0, 0.3, (2, 45)).astype(np.float32) if mean else None,
        hand_components=np.linalg.qr(RNG.normal(size=(2, 45, 45)))[0].astype(np.float32) if mean else None,
        num_expression=expression,
        flat_hand_mean=not mean,
    )


def beyond_half_a_turn():
    axis = RNG.normal(size=3)
    return 4.0 * axis / np.linalg.norm(axis)


def values(kind, hands=45, betas=10, **extra):
    """Quantities of one interaction in the layout of `kind`."""
    out = {
        "global_orient": beyond_half_a_turn(),
        "body_pose": RNG.normal(0, 0.4, 69 if kind == "smpl" else 63),
        "betas": RNG.normal(size=betas),
        "transl": RNG.normal(size=3),
        "obj_rot": beyond_half_a_turn(),
        "obj_trans": RNG.normal(size=3),
        "obj_scale": np.array([1.3]),
    }
    if kind != "smpl":
        out |= {"left_hand_pose": RNG.normal(0, 0.3, hands), "right_hand_pose": RNG.normal(0, 0.3, hands)}
    if kind == "smplx":
        out |= {name: RNG.normal(0, 0.1, 3) for name in ("jaw_pose", "leye_pose", "reye_pose")}
    return out | extra


@pytest.mark.parametrize("kind", ["smpl", "smplh", "smplx", "free"])
@pytest.mark.parametrize("mean", [False, True])
def test_every_joint_gets_its_rotation(kind, mean):
    model, given = made_up(kind, mean=mean and kind in ("smplh", "smplx")), values(kind)
    got = start_of(model, given, "a.npz")
    order = {
        "smpl": ["global_orient", "body_pose"],
        "smplh": ["global_orient", "body_pose", "left_hand_pose", "right_hand_pose"],
        "smplx": ["global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose",
                  "right_hand_pose"],
    }["smplh" if kind == "free" else kind]  # fmt: skip
    full = np.concatenate([given[name] for name in order])
    if not model.flat_hand_mean:
        full[-90:] += np.asarray(model.hand_mean).ravel()
    want = Rotation.from_rotvec(full.reshape(-1, 3)).as_matrix()
    np.testing.assert_allclose(got.params.rotations, want, atol=1e-6)
    np.testing.assert_allclose(got.params.betas, given["betas"], rtol=1e-6)
    np.testing.assert_allclose(got.pose.rotation, Rotation.from_rotvec(given["obj_rot"]).as_matrix(), atol=1e-6)
    assert float(got.pose.scale) == np.float32(1.3)
    assert got.params.rotations.dtype == np.float32 and got.freeze == () and got.notes == ()


@pytest.mark.parametrize("kind", ["smpl", "smplh", "smplx", "free"])
@pytest.mark.parametrize("mean", [False, True])
def test_refined_bodies_come_back_through_the_file(kind, mean):
    model = made_up(kind, mean=mean and kind in ("smplh", "smplx"), expression=4 * (kind == "smplx"))
    given = values(kind)
    given |= {"expression": RNG.normal(size=4)} if kind == "smplx" else {}
    start = start_of(model, given, "a.npz")
    joints = len(start.params.rotations)
    turns = Rotation.from_rotvec(RNG.normal(0, 0.1, (joints, 3))).as_matrix().astype(np.float32)
    turns[3] = np.eye(3)  # one joint stays
    params = start.params.replace(
        rotations=np.where((np.arange(joints) == 3)[:, None, None], start.params.rotations,
                           start.params.rotations @ turns),
        betas=start.params.betas + np.float32(0.1),
        translation=start.params.translation + np.float32(0.2),
    )  # fmt: skip
    pose = RigidPose(start.pose.rotation @ turns[0], start.pose.translation + np.float32(0.1), start.pose.scale)
    rows = quantities_of(model, start, params, pose, given)
    assert set(rows) == set(given) - {"obj_scale"}
    for name, row in rows.items():
        assert row.shape == given[name].shape, name
    np.testing.assert_array_equal(rows["body_pose"][6:9], given["body_pose"][6:9])
    for name in ("global_orient", "obj_rot"):  # beyond half a turn the file's branch is kept
        assert np.linalg.norm(rows[name] - given[name]) < 0.6, name
    again = start_of(model, given | rows, "a.npz")
    np.testing.assert_allclose(again.params.rotations, params.rotations, atol=1e-5)
    np.testing.assert_allclose(again.params.betas, params.betas, atol=1e-6)
    np.testing.assert_allclose(again.params.translation, params.translation, atol=1e-6)
    np.testing.assert_allclose(again.pose.rotation, pose.rotation, atol=1e-5)


def test_what_did_not_move_is_left_out():
    model, given = made_up("free"), values("free")
    start = start_of(model, given, "a.npz")
    assert quantities_of(model, start, start.params, start.pose, given) == {}


def test_smpl_bodies_on_models_with_fingers_and_back():
    given = values("smpl")
    start = start_of(made_up("free"), given, "a.npz")
    want = Rotation.from_rotvec(given["body_pose"].reshape(-1, 3)[:21]).as_matrix()
    np.testing.assert_allclose(start.params.rotations[1:22], want, atol=1e-6)
    assert any("SMPL's" in note for note in start.notes)
    turn = Rotation.from_rotvec([0, 0, 0.1]).as_matrix().astype(np.float32)
    moved = start.params.replace(rotations=start.params.rotations @ turn)
    rows = quantities_of(made_up("free"), start, moved, start.pose, given)
    assert rows["body_pose"].shape == (69,) and rows["left_hand_pose"].shape == (45,)
    np.testing.assert_array_equal(rows["body_pose"][63:], given["body_pose"][63:])
    given = {name: value for name, value in values("free").items() if "hand" not in name}
    assert set(start_of(made_up("smpl"), given, "a.npz").freeze) == {"left_hand", "right_hand"}


def test_hand_components_pose_the_hand_and_hold_it():
    model, given = made_up("smplh", mean=True), values("smplh", hands=12)
    start = start_of(model, given, "a.npz")
    flat = given["right_hand_pose"] @ np.asarray(model.hand_components)[1, :12] + np.asarray(model.hand_mean)[1]
    np.testing.assert_allclose(start.params.rotations[37:], Rotation.from_rotvec(flat.reshape(15, 3)).as_matrix(),
                               atol=1e-5)  # fmt: skip
    assert set(start.freeze) == {"left_hand", "right_hand"}
    with pytest.raises(InputError, match=r"a.npz: left_hand_pose has 12 numbers, which would be principal components"):
        start_of(made_up("free"), given, "a.npz")


def test_shape_coefficients_of_other_lengths():
    start = start_of(made_up("free"), values("free", betas=4), "a.npz")
    assert start.freeze == ("betas",) and (start.params.betas[4:] == 0).all() and start.params.betas.shape == (10,)
    with pytest.raises(InputError, match=r"betas has 16 numbers, the free model has 10; they belong to another body"):
        start_of(made_up("free"), values("free", betas=16), "a.npz")
    with pytest.raises(InputError, match=r"betas has 16 numbers, the smplh model has 10; load a model with more"):
        start_of(made_up("smplh"), values("smplh", betas=16), "a.npz")


def test_defaults_of_what_a_file_may_leave_out():
    start = start_of(made_up("free"), {"body_pose": np.zeros(63)}, "a.npz")
    np.testing.assert_array_equal(start.params.rotations[:22], np.tile(np.eye(3, dtype=np.float32), (22, 1, 1)))
    for side, first in (("left", 22), ("right", 37)):
        hand = Rotation.from_rotvec(named_hand_pose("relaxed", side)).as_matrix()
        np.testing.assert_allclose(start.params.rotations[first : first + 15], hand, atol=1e-6)
    np.testing.assert_array_equal(start.pose.rotation, np.eye(3))
    assert float(start.pose.scale) == 1 and not start.pose.translation.any() and not start.params.translation.any()
    assert len(start.notes) == 2


@pytest.mark.parametrize("kind", ["free", "smplh"])
def test_a_hand_that_was_absent_is_added_whole(kind):
    """One finger joint moves: the others must be written as they started, not as zeros."""
    model, given = made_up(kind, mean=kind == "smplh"), {"body_pose": np.zeros(63)}
    start = start_of(model, given, "a.npz")
    rotations = start.params.rotations.copy()
    rotations[25] = rotations[25] @ Rotation.from_rotvec([0, 0, 0.3]).as_matrix().astype(np.float32)
    moved = start.params.replace(rotations=rotations)
    rows = quantities_of(model, start, moved, start.pose, given)
    assert rows.keys() == {"left_hand_pose"}
    again = start_of(model, given | rows, "a.npz")
    np.testing.assert_allclose(again.params.rotations, moved.rotations, atol=1e-5)


def test_coefficients_that_files_have_no_place_for_are_cut():
    model = made_up("smplx", betas=30, expression=8)
    cut = with_coefficients(model, 10, 3)
    assert (cut.num_betas, cut.num_expression) == (13, 3)
    np.testing.assert_array_equal(cut.shape_dirs[..., :10], model.shape_dirs[..., :10])
    np.testing.assert_array_equal(cut.shape_dirs[..., 10:], model.shape_dirs[..., 30:33])
    assert cut.joint_shape_dirs.shape == (55, 3, 13)
    assert with_coefficients(model, 300, 100) is model


def test_a_hand_is_no_body():
    model = made_up("free").replace(kind="mano")
    with pytest.raises(InputError, match="the body model is MANO, wanted a whole body"):
        joint_ranges(model)
