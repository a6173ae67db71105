"""Parameter files: every layout in, the same layout out; SciPy is the reference for rotations."""

import zipfile

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.io import nearest_axis_angle, read_parameters, single, write_parameters

RNG = np.random.default_rng(0)


def body(lead=(), joints=21, dtype=np.float32, **extra):
    def normal(*shape):
        return RNG.normal(0, 0.3, (*lead, *shape)).astype(dtype)

    return {
        "global_orient": normal(3),
        "body_pose": normal(3 * joints),
        "left_hand_pose": normal(45),
        "right_hand_pose": normal(45),
        "betas": normal(10),
        "transl": normal(3),
        "obj_rot": normal(3),
        "obj_trans": normal(3),
        "obj_scale": np.full(lead, 1.1, dtype),
    } | extra


def save(path, arrays):
    np.savez(path, **arrays)
    return path


def load(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def changed(source, amount=0.01):
    """Every quantity moved a little; new object quantities where the file has none."""
    new = {name: value + amount for name, value in source.values.items()}
    return new


@pytest.mark.parametrize("lead", [(), (1,), (3,), (5,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keys_shapes_and_dtypes_survive(tmp_path, lead, dtype):
    arrays = body(lead, dtype=dtype)
    source = read_parameters(save(tmp_path / "a.npz", arrays))
    assert source.count == (lead or (1,))[0] and source.leading == bool(lead) and not source.shared
    for name, value in source.values.items():
        np.testing.assert_array_equal(value, np.asarray(arrays[name], np.float64).reshape(source.count, -1))
    assert write_parameters(tmp_path / "b.npz", source, changed(source)) == ()
    got = load(tmp_path / "b.npz")
    assert got.keys() == arrays.keys()
    for name in arrays:
        assert got[name].dtype == dtype and got[name].shape == arrays[name].shape, name
        np.testing.assert_allclose(got[name], arrays[name] + 0.01, atol=1e-6)


def test_nothing_changed_is_bit_for_bit_the_same(tmp_path):
    arrays = body((2,), dtype=np.float16, gender=np.array("male"))
    source = read_parameters(save(tmp_path / "a.npz", arrays))
    write_parameters(tmp_path / "b.npz", source, source.values)
    write_parameters(tmp_path / "c.npz", source, {})
    for name in "b.npz", "c.npz":
        got = load(tmp_path / name)
        for key in arrays:
            assert got[key].tobytes() == arrays[key].tobytes() and got[key].dtype == arrays[key].dtype


@pytest.mark.parametrize("joints, parts", [
    (52, {"global_orient": 1, "body_pose": 21, "left_hand_pose": 15, "right_hand_pose": 15}),
    (55, {"global_orient": 1, "body_pose": 21, "jaw_pose": 1, "leye_pose": 1, "reye_pose": 1, "left_hand_pose": 15,
          "right_hand_pose": 15}),
    (24, {"global_orient": 1, "body_pose": 23}),
    (22, {"global_orient": 1, "body_pose": 21}),
])  # fmt: skip
@pytest.mark.parametrize("form", ["flat", "joints", "matrices"])
@pytest.mark.parametrize("key", ["poses", "pose", "fullpose"])
def test_one_vector_for_all_joints(tmp_path, joints, parts, form, key):
    angles = RNG.normal(0, 0.3, (4, joints, 3))
    matrices = Rotation.from_rotvec(angles.reshape(-1, 3)).as_matrix().reshape(4, joints, 3, 3)
    array = {"flat": angles.reshape(4, -1), "joints": angles, "matrices": matrices}[form]
    source = read_parameters(save(tmp_path / "a.npz", {key: array, "trans": np.zeros((4, 3))}))
    start = 0
    for name, count in parts.items():
        want = angles[:, start : start + count].reshape(4, -1)
        np.testing.assert_allclose(source.values[name], want, atol=1e-5)
        start += count
    moved = {name: value + 0.02 for name, value in source.values.items() if name != "transl"}
    write_parameters(tmp_path / "b.npz", source, moved)
    got = load(tmp_path / "b.npz")[key]
    assert got.shape == array.shape
    if form == "matrices":
        got = Rotation.from_matrix(got.reshape(-1, 3, 3)).as_rotvec()
    np.testing.assert_allclose(got.reshape(angles.shape), angles + 0.02, atol=1e-5)


def test_amass_layout(tmp_path):
    arrays = {
        "poses": RNG.normal(0, 0.2, (6, 156)),
        "trans": RNG.normal(size=(6, 3)),
        "betas": RNG.normal(size=16),
        "gender": np.array("female"),
        "mocap_framerate": np.array(120.0),
        "dmpls": np.asfortranarray(RNG.normal(size=(6, 8))),
    }
    source = read_parameters(save(tmp_path / "a.npz", arrays))
    assert source.count == 6 and source.shared == {"betas"} and source.values["betas"].shape == (6, 16)
    rows = {"transl": source.values["transl"] + 1, "obj_rot": np.zeros((6, 3)), "obj_trans": np.ones((6, 3))}
    added = write_parameters(tmp_path / "b.npz", source, rows | {"obj_scale": np.ones((6, 1))})
    assert set(added) == {"obj_rot", "obj_trans", "obj_scale"}
    got = load(tmp_path / "b.npz")
    assert got["betas"].tobytes() == arrays["betas"].tobytes() and str(got["gender"]) == "female"
    np.testing.assert_array_equal(got["dmpls"], arrays["dmpls"])
    np.testing.assert_allclose(got["trans"], arrays["trans"] + 1)
    assert got["obj_scale"].shape == (6,) and got["obj_trans"].shape == (6, 3)
    assert got["obj_rot"].dtype == np.float32


def test_a_shared_quantity_gets_a_leading_axis_when_its_rows_differ(tmp_path):
    source = read_parameters(save(tmp_path / "a.npz", body((4,)) | {"obj_trans": np.zeros(3, np.float32)}))
    assert source.shared == {"obj_trans"}
    write_parameters(tmp_path / "b.npz", source, {"obj_trans": np.arange(12.0).reshape(4, 3)})
    assert load(tmp_path / "b.npz")["obj_trans"].shape == (4, 3)
    write_parameters(tmp_path / "c.npz", source, {"obj_trans": np.ones((4, 3))})
    np.testing.assert_array_equal(load(tmp_path / "c.npz")["obj_trans"], np.ones(3, np.float32))


@pytest.mark.parametrize("lead", [(), (3,), (4,)])
@pytest.mark.parametrize("joint_axis", [(), (1,)])
def test_matrices_of_single_joints(tmp_path, lead, joint_axis):
    turns = Rotation.from_rotvec(RNG.normal(size=(*(lead or (1,)), 3)))
    matrices = turns.as_matrix().reshape((*lead, *joint_axis, 3, 3)).astype(np.float32)
    source = read_parameters(save(tmp_path / "a.npz", body(lead) | {"obj_rot": matrices, "global_orient": matrices}))
    np.testing.assert_allclose(source.values["obj_rot"], turns.as_rotvec(), atol=1e-5)
    write_parameters(tmp_path / "b.npz", source, {"obj_rot": source.values["obj_rot"] * 0.9})
    got = load(tmp_path / "b.npz")
    np.testing.assert_allclose(Rotation.from_matrix(got["obj_rot"].reshape(-1, 3, 3)).as_rotvec(),
                               0.9 * turns.as_rotvec(), atol=1e-5)  # fmt: skip
    assert got["global_orient"].tobytes() == matrices.tobytes()


def test_three_by_three_is_three_axis_angles_in_a_file_of_three(tmp_path):
    source = read_parameters(save(tmp_path / "a.npz", body((3,)) | {"obj_rot": np.eye(3)}))
    np.testing.assert_array_equal(source.values["obj_rot"], np.eye(3))
    source = read_parameters(save(tmp_path / "b.npz", body((2,)) | {"obj_rot": np.eye(3)}))
    np.testing.assert_array_equal(source.values["obj_rot"], np.zeros((2, 3)))
    assert source.shared == {"obj_rot"}


def test_aliases_and_joined_hands(tmp_path):
    arrays = {
        "root_orient": RNG.normal(size=(2, 3)),
        "pose_body": RNG.normal(size=(2, 63)),
        "pose_hand": RNG.normal(size=(2, 90)),
        "pose_eye": RNG.normal(size=(2, 6)),
        "obj_angles": RNG.normal(size=(2, 3)),
        "obj_transl": RNG.normal(size=(2, 3)),
    }
    source = read_parameters(save(tmp_path / "a.npz", arrays))
    np.testing.assert_array_equal(source.values["right_hand_pose"], arrays["pose_hand"][:, 45:])
    np.testing.assert_array_equal(source.values["leye_pose"], arrays["pose_eye"][:, :3])
    assert write_parameters(tmp_path / "b.npz", source, changed(source)) == ()
    assert load(tmp_path / "b.npz").keys() == arrays.keys()


def test_a_quantity_under_two_keys_is_written_to_both(tmp_path):
    poses = RNG.normal(0, 0.3, (2, 156))
    arrays = {"poses": poses, "root_orient": poses[:, :3], "trans": np.zeros((2, 3))}
    source = read_parameters(save(tmp_path / "a.npz", arrays))
    write_parameters(tmp_path / "b.npz", source, {"global_orient": source.values["global_orient"] + 0.1})
    got = load(tmp_path / "b.npz")
    np.testing.assert_allclose(got["poses"][:, :3], got["root_orient"])
    np.testing.assert_allclose(got["root_orient"], poses[:, :3] + 0.1, atol=1e-9)
    arrays["root_orient"] = poses[:, :3] + 0.2
    with pytest.raises(InputError, match="'poses' and 'root_orient' both give global_orient and disagree"):
        read_parameters(save(tmp_path / "c.npz", arrays))


def test_hand_components_are_kept_as_they_are(tmp_path):
    source = read_parameters(save(tmp_path / "a.npz", body() | {"left_hand_pose": np.zeros(12, np.float32)}))
    assert source.values["left_hand_pose"].shape == (1, 12)


def test_one_item_of_a_batch_is_a_file_of_its_own(tmp_path):
    arrays = body((3,)) | {"betas": np.zeros(10, np.float32), "note": np.array("x")}
    source = read_parameters(save(tmp_path / "a.npz", arrays))
    one = single(source, 2)
    write_parameters(tmp_path / "b.npz", one, {})
    got = load(tmp_path / "b.npz")
    assert set(got) == set(arrays) - {"note"}
    for name in got:
        want = arrays[name] if name == "betas" else arrays[name][2]
        assert got[name].shape == want.shape
        np.testing.assert_array_equal(got[name], want)
    again = read_parameters(tmp_path / "b.npz")
    for name, value in again.values.items():
        np.testing.assert_array_equal(value[0], source.item(2)[name])


def test_extras_pass_byte_for_byte_even_those_nobody_should_load(tmp_path):
    """An object array is a pickle: carried along as bytes, never loaded."""

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    np.savez(tmp_path / "a.npz", **body(), trap=np.array([Payload()], dtype=object))
    (tmp_path / "executed").unlink(missing_ok=True)
    source = read_parameters(tmp_path / "a.npz")
    write_parameters(tmp_path / "b.npz", source, changed(source))
    with zipfile.ZipFile(tmp_path / "a.npz") as a, zipfile.ZipFile(tmp_path / "b.npz") as b:
        assert a.read("trap.npy") == b.read("trap.npy")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("seed", range(3))
def test_the_nearest_axis_angle_is_the_same_rotation_and_nearest(seed):
    rng = np.random.default_rng(seed)
    near = rng.normal(0, 4, (50, 3))
    rotation = (Rotation.from_rotvec(near) * Rotation.from_rotvec(rng.normal(0, 0.05, (50, 3)))).as_rotvec()
    got = nearest_axis_angle(rotation, near)
    np.testing.assert_allclose(Rotation.from_rotvec(got).as_matrix(), Rotation.from_rotvec(rotation).as_matrix(),
                               atol=1e-9)  # fmt: skip
    assert (np.linalg.norm(got - near, axis=1) <= np.linalg.norm(rotation - near, axis=1) + 1e-9).all()
    angle = np.linalg.norm(rotation, axis=1, keepdims=True)
    for k in range(-3, 4):
        other = rotation / angle * (angle + 2 * np.pi * k)
        assert (np.linalg.norm(got - near, axis=1) <= np.linalg.norm(other - near, axis=1) + 1e-9).all()


def test_the_nearest_axis_angle_at_the_identity_and_half_a_turn():
    zero, near = np.zeros(3), np.array([0.1, 2 * np.pi, 0])
    np.testing.assert_array_equal(nearest_axis_angle(zero, zero), zero)
    np.testing.assert_allclose(nearest_axis_angle(zero, near), near / np.linalg.norm(near) * 2 * np.pi)
    half = np.array([np.pi, 0, 0])
    np.testing.assert_allclose(nearest_axis_angle(half, -half), -half)


def bad_arrays():
    nan = body((2,))
    nan["body_pose"][1, 7] = np.nan
    yield nan, "'body_pose'[1, 7] is nan (1 numbers that are not finite); estimate it again"
    inf = body()
    inf["transl"][2] = np.inf
    yield inf, "'transl'[2] is inf (1 numbers that are not finite)"
    yield {"pos": np.zeros(3), "rot": np.zeros(3)}, "has no body pose: wanted 'body_pose' with 'global_orient', or"
    yield {"v_template": np.zeros((5, 3)), "weights": np.zeros((5, 2))}, "is a body model"
    yield (
        body() | {"body_pose": np.zeros(60)},
        "'body_pose' has shape (60,), wanted (63,), (21, 3) or (21, 3, 3) or (69,)",
    )
    yield {"poses": np.zeros((4, 100))}, "'poses' has shape (4, 100), wanted (156,)"
    yield body() | {"transl": np.zeros((2, 4))}, "'transl' has shape (2, 4), wanted (3,) or (T, 3)"
    yield body() | {"global_orient": np.zeros(4)}, "'global_orient' has shape (4,), wanted (3,) or (3, 3)"
    yield body() | {"left_hand_pose": np.zeros(60)}, "'left_hand_pose' has shape (60,), wanted (45,)"
    yield body((2,)) | {"transl": np.zeros((3, 3))}, "the leading axes disagree"
    yield body() | {"betas": np.array(["a"] * 10)}, "'betas' has dtype <U1, wanted float32 or float64"
    yield body() | {"betas": np.zeros(0)}, "'betas' is empty"
    yield body() | {"obj_rot": 2 * np.eye(3)}, "'obj_rot' is no rotation matrix"
    yield body() | {"obj_rot": np.diag([1.0, 1, -1])}, "determinant -1"
    yield body() | {"obj_scale": np.array(0.0)}, "obj_scale must be positive, got 0"
    yield body() | {"obj_scale": np.ones((2, 2))}, "'obj_scale' has shape (2, 2), wanted () or (T,)"


def test_each_unusable_content_is_named(tmp_path):
    for arrays, message in bad_arrays():
        with pytest.raises(InputError) as error:
            read_parameters(save(tmp_path / "a.npz", arrays))
        assert message in str(error.value)
        assert str(tmp_path / "a.npz") in str(error.value)


def test_broken_rows_can_be_kept_apart(tmp_path):
    arrays = body((4,))
    arrays["body_pose"][1, 7:9] = np.nan
    arrays["obj_trans"][2] = np.inf
    arrays["obj_rot"] = np.tile(np.eye(3, dtype=np.float32), (4, 1, 1))
    arrays["obj_rot"][2, 0, 0] = np.nan
    source = read_parameters(save(tmp_path / "a.npz", arrays), keep_broken=True)
    assert source.broken.keys() == {1, 2}
    assert source.broken[1].endswith("'body_pose'[1, 7] is nan (2 numbers that are not finite); estimate it again or "
                                     "leave it out")  # fmt: skip
    moved = {name: np.where(np.isin(range(4), [1, 2])[:, None], value, value + 0.1)
             for name, value in source.values.items()}  # fmt: skip
    write_parameters(tmp_path / "b.npz", source, moved)
    got = load(tmp_path / "b.npz")
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name][1:3], array[1:3])
        assert not np.array_equal(got[name][[0, 3]], array[[0, 3]])
        assert np.isfinite(got[name][[0, 3]]).all()
    arrays["transl"][:] = np.nan
    for broken in (arrays, body() | {"transl": np.full(3, np.nan)}, body((4,)) | {"betas": np.full(10, np.nan)}):
        with pytest.raises(InputError, match="not finite"):
            read_parameters(save(tmp_path / "c.npz", broken), keep_broken=True)


def test_object_arrays_are_refused_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", **body() | {"betas": np.array([None, {}], dtype=object)})
    with pytest.raises(InputError, match="'betas' holds Python objects, which are not loaded"):
        read_parameters(tmp_path / "a.npz")


def test_unusable_files(tmp_path):
    with pytest.raises(InputError, match="there is no parameter file"):
        read_parameters(tmp_path / "a.npz")
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04N.")
    with pytest.raises(InputError, match="is of no method that is known: it holds a NoneType"):
        read_parameters(tmp_path / "a.pkl")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(InputError, match="it holds an array of"):
        read_parameters(tmp_path / "a.npy")
    save(tmp_path / "whole.npz", body())
    data = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cut.npz"):
        read_parameters(tmp_path / "cut.npz")
    start = data.index(b"NUMPY")
    (tmp_path / "bent.npz").write_bytes(data[:start] + b"XXXXX" + data[start + 5 :])
    with pytest.raises(InputError, match=r"bent.npz"):
        read_parameters(tmp_path / "bent.npz")


def test_refined_shapes_must_fit(tmp_path):
    source = read_parameters(save(tmp_path / "a.npz", body((2,))))
    with pytest.raises(ValueError, match=r"transl has shape \(3, 3\), the file's is \(2, 3\)"):
        write_parameters(tmp_path / "b.npz", source, {"transl": np.zeros((3, 3))})
    assert not (tmp_path / "b.npz").exists()


def test_integers_are_read_and_written_as_floats(tmp_path):
    source = read_parameters(save(tmp_path / "a.npz", body() | {"betas": np.zeros(10, int), "obj_scale": np.array(1)}))
    write_parameters(tmp_path / "b.npz", source, {"betas": source.values["betas"] + 0.5})
    got = load(tmp_path / "b.npz")
    assert got["betas"].dtype == np.float64 and got["betas"][0] == 0.5
    assert got["obj_scale"].dtype == np.int64
