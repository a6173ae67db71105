"""Numbers that are finite and yet of no body: named before any work, and never at the cost of the other files."""

import json

import numpy as np
import pytest

from hoijax.data.evaluation import harness
from hoijax.data.evaluation.predictions import read_predictions
from hoijax.errors import InputError
from hoijax.io import read_parameters, write_parameters
from hoijax.systems.graft.estimates import read_scene_estimate


def body(**more):
    return {"body_pose": np.zeros(63), "global_orient": np.zeros(3), "betas": np.zeros(10)} | more


ABSURD = {
    "degrees": (dict(global_orient=np.array([90.0, 0, 0])), "'global_orient' has a rotation by 90 radians.*degrees"),
    "millimetres": (dict(transl=np.array([100.0, 900, 2500])), "2,500 metres away, it looks like millimetres"),
    "beyond float32": (dict(transl=np.array([1e300, 0, 0])), "'transl' has a position"),
    "beyond the moon": (dict(obj_trans=np.array([0, 0, -1e30])), "'obj_trans' has a position"),
    "a thing of no size": (dict(obj_scale=np.float64(1e-30)), "obj_scale is 1e-30, wanted 0.001 to 1000"),
    "a thing of all sizes": (dict(obj_scale=np.float64(1e30)), "obj_scale is 1e"),
    "inside out": (dict(obj_scale=np.float64(-1)), "obj_scale must be positive, got -1"),
    "a shape of nobody": (dict(betas=np.full(10, 60.0)), "'betas' has a coefficient of 60"),
    "spinning": (dict(body_pose=np.r_[np.zeros(60), 0, 20, 0]), "'body_pose' has a rotation by 20 radians"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_numbers_are_named(tmp_path, name):
    more, message = ABSURD[name]
    np.savez(tmp_path / "a.npz", **body(**more))
    with pytest.raises(InputError, match=message):
        read_parameters(tmp_path / "a.npz")
    with pytest.raises(InputError, match=message):
        read_parameters(tmp_path / "a.npz", keep_broken=True)


def test_one_absurd_row_leaves_the_others(tmp_path):
    transl = np.zeros((3, 3))
    transl[1, 2] = 5000.0
    scale = np.array([1.0, 1.0, 1e9])
    np.savez(tmp_path / "a.npz", **body(body_pose=np.zeros((3, 63)), transl=transl, obj_scale=scale))
    found = read_parameters(tmp_path / "a.npz", keep_broken=True)
    assert sorted(found.broken) == [1, 2]
    assert "millimetres" in found.broken[1] and "obj_scale" in found.broken[2]
    with pytest.raises(InputError, match="millimetres"):
        read_parameters(tmp_path / "a.npz")


def test_two_turns_and_a_long_walk_are_believed(tmp_path):
    np.savez(tmp_path / "a.npz", **body(global_orient=np.array([0, 4 * np.pi, 0]), transl=np.array([-99.0, 0, 99.0])))
    assert read_parameters(tmp_path / "a.npz").values["transl"][0, 2] == 99.0
    pca = np.full(6, 20.0)  # components of a hand are no angles
    np.savez(tmp_path / "b.npz", **body(left_hand_pose=pca))
    assert read_parameters(tmp_path / "b.npz").values["left_hand_pose"].shape == (1, 6)


def camera(**more):
    return {"depth_z": np.ones((4, 5)), "intrinsics": np.array([[5.0, 0, 2], [0, 5, 2], [0, 0, 1]])} | more


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (dict(intrinsics=np.zeros((3, 3))), "are no camera's"),
        (dict(intrinsics=np.diag([-5.0, 5, 1])), "are no camera's"),
        (dict(intrinsics=np.eye(4)), "wanted \\(3, 3\\)"),
        (dict(intrinsics=np.full((3, 3), np.nan)), "finite"),
        (dict(intrinsics=np.array(["a", "b"])), "has dtype"),
        (dict(depth_z=np.ones((2, 4, 5, 3))), "the depth has the shape"),
        (dict(depth_z=np.ones((4, 5), complex)), "has dtype complex128"),
        (dict(depth_z=np.zeros((0, 5))), "is empty"),
    ],
)
def test_scenes_of_no_camera_are_named(tmp_path, more, message):
    np.savez(tmp_path / "a.npz", **camera(**more))
    with pytest.raises(InputError, match=message):
        read_scene_estimate(tmp_path / "a.npz")


def test_clouds_with_normals_of_text_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", points=np.zeros((2, 3)), normals=np.array([["a"] * 3] * 2))
    with pytest.raises(InputError, match="'normals' has dtype"):
        read_scene_estimate(tmp_path / "a.npz")


def test_ids_that_are_no_text_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", ids=np.array([b"\xff\xfe", b"b"]), transl=np.zeros((2, 3)))
    with pytest.raises(InputError, match="text that is not UTF-8"):
        read_predictions(tmp_path / "a.npz")


def test_a_log_of_an_evaluation_that_is_damaged_is_passed_over(tmp_path):
    good = {"id": "a", "digest": "d", "group": "g", "metrics": {"x": 1.0, "y": None}}
    lines = [json.dumps(good | more).encode() for more in ({}, {"id": ["a"]}, {"id": "b", "metrics": [1]})]
    lines += [b"\xff\xfe", b"[" * 100_000, b'{"id": 3}', b"null"]
    (tmp_path / "samples.partial.jsonl").write_bytes(b"\n".join(lines))
    assert harness._read_lines(tmp_path) == {"a": good}


@pytest.mark.parametrize(
    ("more", "name"),
    [
        (dict(obj_quat=np.zeros(4)), "'obj_quat' (4,)"),
        (dict(cam_rotation=np.eye(3)), "'cam_rotation' (3, 3)"),
        (dict(body_translation_2=np.zeros((1, 3))), "'body_translation_2' (1, 3)"),
    ],
)
def test_a_pose_that_is_not_understood_is_never_dropped(tmp_path, more, name):
    np.savez(tmp_path / "a.npz", **body(**more))
    for source in (None, "hoijax"):
        with pytest.raises(InputError, match="look like a pose and are no") as error:
            read_parameters(tmp_path / "a.npz", source=source)
        assert next(iter(more)) in str(error.value)
    assert read_parameters(tmp_path / "a.npz", ignore=list(more)).count == 1


def test_other_keys_are_no_poses(tmp_path):
    more = dict(
        gender=np.array("female"), pose_confidence=np.ones(24), keypoints=np.ones((25, 3)), trans_note=np.array("x")
    )
    np.savez(tmp_path / "a.npz", **body(**more))
    assert len(read_parameters(tmp_path / "a.npz").extras) == len(more)


def test_rotation_and_place_of_an_object_by_their_short_names(tmp_path):
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    np.savez(tmp_path / "a.npz", **body(obj_R=turn, obj_t=np.ones(3)))
    found = read_parameters(tmp_path / "a.npz")
    np.testing.assert_allclose(found.values["obj_rot"], [[0, 0, np.pi / 2]], atol=1e-12)
    np.testing.assert_array_equal(found.values["obj_trans"], np.ones((1, 3)))
    moved = {"obj_trans": np.array([[1.0, 2, 3]]), "obj_rot": np.zeros((1, 3))}
    write_parameters(tmp_path / "b.npz", found, moved)
    with np.load(tmp_path / "b.npz") as again:
        np.testing.assert_allclose(again["obj_R"], np.eye(3), atol=1e-12)
        np.testing.assert_array_equal(again["obj_t"], [1, 2, 3])
