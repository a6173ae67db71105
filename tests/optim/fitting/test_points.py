"""Named points of every kind of body."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.body_models import BodyParams, keypoints, named_pose, pose_body
from hoijax.errors import InputError
from hoijax.optim.fitting import COCO_WHOLEBODY, MEDIAPIPE_BODY, POINT_NAMES, place_points, point_table, prepare_body

KINDS = ("free", "smpl", "smplh", "smplx")


def posed(model, seed=0):
    rng = np.random.default_rng(seed)
    pose = 0.4 * rng.normal(size=3 * (model.num_joints - 1))
    first = {"smpl": 69}.get(model.kind, 63)
    params = BodyParams.from_axis_angle(
        model,
        global_orient=rng.normal(size=3),
        body_pose=pose[:first],
        betas=rng.normal(size=10),
        transl=np.array([0.1, 0.2, 3]),
    )
    return jax.tree.map(jnp.asarray, params)


@pytest.mark.parametrize("kind", KINDS)
def test_points_are_the_models_own_keypoints(body_of, kind):
    model = body_of(kind)
    params = posed(model)
    known = {*model.joint_names, *(name for name, _ in model.landmarks)}
    names = tuple(name for name in POINT_NAMES if name in known)
    assert len(names) >= 43
    points, joints = place_points(point_table(model, names), params)
    body = pose_body(model, params)
    np.testing.assert_allclose(points, keypoints(model, body, names), atol=2e-6)
    np.testing.assert_allclose(joints, body.joints, atol=2e-6)


def test_mixtures_and_the_knuckles_of_a_hand_of_one_piece(body_of):
    model = body_of("smpl")
    names = (
        "mid_hip",
        "left_hip",
        "right_hip",
        "left_wrist",
        "left_index1",
        "left_index3",
        "left_index",
        "mid_shoulder",
    )
    points = dict(zip(names, np.asarray(place_points(point_table(model, names), posed(model))[0])))
    np.testing.assert_allclose(points["mid_hip"], (points["left_hip"] + points["right_hip"]) / 2, atol=1e-6)
    finger = points["left_index"] - points["left_wrist"]
    for name, share in (("left_index1", 0.585), ("left_index3", 0.853)):
        np.testing.assert_allclose(points[name], points["left_wrist"] + share * finger, atol=1e-6)


def test_knuckles_of_one_piece_lie_where_the_joints_of_the_same_hand_are(body_of):
    names = tuple(name for name in POINT_NAMES if name[-1] in "123" and not name.startswith("spine"))
    free, smpl = body_of("free"), body_of("smpl")
    rest = [place_points(point_table(m, names), BodyParams.identity(m))[0] for m in (free, smpl)]
    distance = np.linalg.norm(np.asarray(rest[0] - rest[1]), axis=1)
    assert distance.max() < 0.025 and distance.mean() < 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", [MEDIAPIPE_BODY, COCO_WHOLEBODY])
def test_every_body_has_every_point_of_the_detectors(body_of, kind, layout):
    names = tuple(name for name in layout if name)
    assert all(point_table(body_of(kind), names).known)


def test_a_point_that_a_body_lacks_is_told_apart(body_of):
    table = point_table(body_of("smplh"), ("head_top", "nose"))  # that mesh has no such landmark
    assert table.known == (False, True)
    assert not np.asarray(table.weights)[0].any()
    with pytest.raises(InputError, match="none of the points head_top"):
        point_table(body_of("smplh"), ("head_top",))


def test_names_of_no_body_are_refused(body_of):
    with pytest.raises(InputError, match="'left_knie' is no point"):
        point_table(body_of("free"), ("left_knie",))
    with pytest.raises(InputError, match="none of the points"):
        point_table(body_of("free"), ())


def test_what_is_fitted_of_each_body(body_of):
    body = tuple(name for name in MEDIAPIPE_BODY if name)
    whole = tuple(name for name in COCO_WHOLEBODY if name)
    sizes = {kind: [len(prepare_body(body_of(kind), names).joints) for names in (body, whole)] for kind in KINDS}
    assert sizes == {"free": [21, 51], "smpl": [23, 23], "smplh": [21, 51], "smplx": [21, 51]}
    assert prepare_body(body_of("smplx"), body).num_betas == 10  # expression is not among them
    assert prepare_body(body_of("free"), body, fingers=True).size == 3 + 3 * 51 + 10 + 4
    hand = body_of("free").replace(kind="mano")
    with pytest.raises(InputError, match="mano model has no pelvis"):
        prepare_body(hand, body)


def test_the_prior_stands_with_hanging_arms(body_of):
    for kind in KINDS:
        model = body_of(kind)
        prepared = prepare_body(model, ("left_wrist", "left_shoulder"))
        mean = dict(zip(model.joint_names, np.asarray(prepared.prior.mean)))
        stand = named_pose("stand")["body_pose"].reshape(21, 3)
        np.testing.assert_allclose(mean["left_shoulder"], stand[15], atol=1e-6)
        std = dict(zip(model.joint_names, np.asarray(prepared.prior.std)))
        assert std["left_knee"][0] > 3 * std["left_knee"][2]  # knees bend one way
        assert (np.asarray(prepared.prior.std) > 0).all()
