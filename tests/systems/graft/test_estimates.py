"""Reading what NLF, MapAnything and Human3R write."""

import jax
import numpy as np
import pytest

from hoijax.body_models import BodyParams, pose_joints
from hoijax.errors import InputError
from hoijax.systems.graft import read_people, read_scene_estimate

INTRINSICS = np.array([[50.0, 0, 16], [0, 50, 12], [0, 0, 1]], np.float32)


def vectors(seed, *shape):
    return (0.3 * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def test_nlf_on_smplh(model, tmp_path):
    pose, betas, move = vectors(0, 3, 156), vectors(1, 3, 10), vectors(2, 3, 3) + np.float32(3)
    np.savez(tmp_path / "nlf.npz", pose=pose, betas=betas, trans=move)
    people = read_people(tmp_path / "nlf.npz", model)
    want = BodyParams.from_axis_angle(
        model, global_orient=pose[:, :3], body_pose=pose[:, 3:66], left_hand_pose=pose[:, 66:111],
        right_hand_pose=pose[:, 111:], betas=betas, transl=move,
    )  # fmt: skip
    assert people.method == "parameters"
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), people.params, want)


@pytest.mark.parametrize("prefix", ["", "smpl_"])
def test_human3r_places_people_by_their_heads(model, tmp_path, prefix):
    own = {"rotvec": vectors(0, 2, 53, 3), "shape": vectors(1, 2, 10), "transl": vectors(2, 2, 3) + np.float32(3)}
    own["expression"] = vectors(3, 2, 10)
    np.savez(tmp_path / "h.npz", **{prefix + k: v for k, v in own.items()})
    people = read_people(tmp_path / "h.npz", model)
    joints = pose_joints(model, people.params).joints
    np.testing.assert_allclose(joints[:, 15], own["transl"], atol=1e-5)
    plain = read_people(tmp_path / "h.npz", model, transl="smplx").params
    np.testing.assert_allclose(plain.translation, own["transl"], atol=1e-6)


def test_people_that_cannot_be_are_named(model, tmp_path):
    np.savez(tmp_path / "mm.npz", pose=vectors(0, 1, 156), betas=vectors(1, 1, 10), trans=np.full((1, 3), 3000.0))
    with pytest.raises(InputError, match="millimetres"):
        read_people(tmp_path / "mm.npz", model)
    np.savez(tmp_path / "odd.npz", rotvec=vectors(0, 1, 24, 3), shape=vectors(1, 1, 10), transl=vectors(2, 1, 3))
    with pytest.raises(InputError, match=r"\(1, 24, 3\), wanted \(people, 53, 3\)"):
        read_people(tmp_path / "odd.npz", model)
    with pytest.raises(InputError, match="there is no file"):
        read_people(tmp_path / "absent.npz", model)
    np.savez(tmp_path / "objects.npz", rotvec=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="Python objects"):
        read_people(tmp_path / "objects.npz", model)


def test_mapanything_point_maps(tmp_path):
    points = np.random.default_rng(0).normal(size=(1, 24, 32, 3)).astype(np.float32)
    mask = np.ones((1, 24, 32, 1), bool)
    mask[0, 3, 4] = False
    np.savez(tmp_path / "m.npz", pts3d_cam=points, mask=mask, intrinsics=INTRINSICS[None], conf=np.ones((1, 24, 32)))
    scene = read_scene_estimate(tmp_path / "m.npz")
    assert scene.is_map and scene.points.shape == (24, 32, 3) and scene.confidence.shape == (24, 32)
    assert np.isnan(scene.points[3, 4]).all() and np.isfinite(scene.points).sum() == 3 * (24 * 32 - 1)
    np.testing.assert_array_equal(scene.intrinsics, INTRINSICS)


def test_depth_with_intrinsics_is_a_point_map(tmp_path):
    depth = np.full((24, 32), 2.0, np.float32)
    depth[0, 0] = 0.0
    np.savez(tmp_path / "d.npz", depth_z=depth[None, ..., None], intrinsics=INTRINSICS)
    points = read_scene_estimate(tmp_path / "d.npz").points
    assert np.isnan(points[0, 0]).all()
    np.testing.assert_allclose(points[12, 16], [2 * 0.5 / 50, 2 * 0.5 / 50, 2.0], atol=1e-6)


def test_scenes_that_cannot_be_are_named(tmp_path):
    np.savez(tmp_path / "none.npz", depth=np.ones((4, 4)))
    with pytest.raises(InputError, match="no scene in it.*it has depth"):
        read_scene_estimate(tmp_path / "none.npz")
    np.savez(tmp_path / "odd.npz", points=np.ones((5, 3)), normals=np.ones((4, 3)))
    with pytest.raises(InputError, match=r"normals have the shape \(4, 3\)"):
        read_scene_estimate(tmp_path / "odd.npz")
