"""Parts, regions and keypoints: the right places on the free body, and the same places on every other model of it."""

import numpy as np
import pytest

from hoijax.body_models import (
    JOINT_NAMES,
    PARENTS,
    BodyModel,
    BodyParams,
    contact_regions,
    find_landmarks,
    free_body,
    free_body_mirror,
    keypoint_names,
    keypoints,
    part_labels,
    part_names,
    pose_body,
    scene_contact_vertices,
    subset,
)

LOD = "light"


@pytest.fixture(scope="module")
def body():
    return free_body(LOD)


@pytest.fixture(scope="module")
def regions(body):
    return contact_regions(body)


@pytest.fixture(scope="module")
def smpl(body):
    """The same surface with SMPL's 24 joints: fingers belong to one joint per hand, at the first middle joint."""
    joints = np.asarray(body.joint_template)
    weights = np.asarray(body.skin_weights)
    hands = np.stack([weights[:, 22:37].sum(axis=1), weights[:, 37:52].sum(axis=1)], axis=1)
    return body.replace(
        joint_template=joints[[*range(22), 25, 40]],
        joint_shape_dirs=np.asarray(body.joint_shape_dirs)[[*range(22), 25, 40]],
        skin_weights=np.concatenate([weights[:, :22], hands], axis=1),
        parents=PARENTS["smpl"],
        joint_names=JOINT_NAMES["smpl"],
        kind="smpl",
    )


@pytest.fixture(scope="module")
def smplx(body):
    """The same surface with SMPL-X's 55 joints: part of the head follows the jaw and the eyes."""
    weights = np.asarray(body.skin_weights)
    face = weights[:, 15:16] * np.array([0.2, 0.1, 0.1])
    head = weights[:, :22].copy()
    head[:, 15] *= 0.6
    order = [*range(22), 15, 15, 15, *range(22, 52)]
    return body.replace(
        joint_template=np.asarray(body.joint_template)[order],
        skin_weights=np.concatenate([head, face, weights[:, 22:]], axis=1),
        parents=PARENTS["smplx"],
        joint_names=JOINT_NAMES["smplx"],
        kind="smplx",
    )


@pytest.mark.parametrize("scheme", ["24", "15"])
def test_labels_are_mirror_symmetric_and_all_there(body, scheme):
    names, labels = part_names(scheme), part_labels(body, scheme)
    assert len(names) == int(scheme)
    assert set(labels) == set(range(len(names)))
    swap = {"left": "right", "right": "left"}
    mirrored = [names.index("_".join(swap.get(word, word) for word in name.split("_"))) for name in names]
    off_middle = np.abs(np.asarray(body.v_template)[:, 0]) > 1e-3  # on the middle two sides may tie
    np.testing.assert_array_equal(labels[free_body_mirror(LOD)][off_middle], np.array(mirrored)[labels][off_middle])


def test_labels_lie_at_their_joints(body):
    """The mean vertex of a part is nearer to the middle of its bone than to that of any other of the large parts."""
    joints = dict(zip(body.joint_names, np.asarray(body.joint_template)))
    ends = {
        "thigh": ("hip", "knee"),
        "leg": ("knee", "ankle"),
        "arm": ("shoulder", "elbow"),
        "forearm": ("elbow", "wrist"),
    }
    bones = {
        f"{s}_{p}": (joints[f"{s}_{a}"] + joints[f"{s}_{b}"]) / 2
        for p, (a, b) in ends.items()
        for s in ("left", "right")
    }
    labels, names = part_labels(body, "15"), part_names("15")
    for name in bones:
        middle = np.asarray(body.v_template)[labels == names.index(name)].mean(axis=0)
        assert min(bones, key=lambda other: np.linalg.norm(bones[other] - middle)) == name


def test_models_with_other_skeletons_have_the_same_parts_and_regions(body, regions, smpl, smplx):
    for other in (smpl, smplx):
        np.testing.assert_array_equal(part_labels(other, "24"), part_labels(body, "24"))
        got = contact_regions(other)
        missing = set(regions) - set(got)
        assert missing == (
            {f"{s}_{f}" for s in ("left", "right") for f in ("index", "middle", "ring", "pinky", "thumb")}
            if other is smpl
            else set()
        )
        for name in set(got) - {n for n in got if "palm" in n or "pads" in n or "back_of_hand" in n}:
            np.testing.assert_array_equal(got[name], regions[name], err_msg=name)
        overlap = np.intersect1d(got["left_palm"], regions["left_palm"])  # without fingers, palms face straight down
        assert len(overlap) > 0.7 * len(regions["left_palm"])


def test_regions_lie_where_their_names_say(body, regions):
    position = np.asarray(body.v_template)
    joints = dict(zip(body.joint_names, np.asarray(body.joint_template)))

    def mean(name):
        return position[regions[name]].mean(axis=0)

    ground = position[:, 1].min()
    assert position[regions["soles"], 1].max() < ground + 0.05
    assert mean("left_heel")[2] < joints["left_ankle"][2] < mean("left_toes")[2]
    assert mean("back")[2] < mean("chest")[2] and mean("buttocks")[2] < mean("belly")[2]
    assert mean("lower_back")[1] < mean("upper_back")[1] and mean("belly")[1] < mean("chest")[1]
    assert abs(mean("buttocks")[1] - joints["left_hip"][1]) < 0.1
    assert mean("left_thigh_back")[2] < joints["left_hip"][2] < mean("left_thigh_front")[2]
    assert np.linalg.norm(mean("left_knee") - joints["left_knee"]) < 0.09
    assert np.linalg.norm(mean("right_elbow") - joints["right_elbow"]) < 0.07
    assert mean("left_palm")[1] < mean("left_back_of_hand")[1]  # palms are down in the rest pose
    assert mean("left_finger_pads")[0] > mean("left_palm")[0] > 0 > mean("right_palm")[0]
    assert mean("face")[2] > position[regions["head"], 2].mean()
    assert mean("back_of_head")[2] < position[regions["head"], 2].mean()
    assert mean("back_of_head")[1] > position[regions["neck"], 1].mean()
    for finger in ("thumb", "index", "middle", "ring", "pinky"):
        tip = position[dict(body.landmarks)[f"left_{finger}"]]
        assert np.linalg.norm(position[regions[f"left_{finger}"]] - tip, axis=1).min() < 1e-6


def test_unions_and_parts(body, regions):
    labels, names = part_labels(body, "15"), part_names("15")
    for i, name in enumerate(names):
        np.testing.assert_array_equal(regions[name], np.flatnonzero(labels == i))
    both = {"feet": "foot", "hands": "hand", "soles": "sole", "knees": "knee", "thigh_backs": "thigh_back"}
    for plural, name in both.items():
        np.testing.assert_array_equal(regions[plural], np.union1d(regions[f"left_{name}"], regions[f"right_{name}"]))
    np.testing.assert_array_equal(regions["seat"], np.union1d(regions["buttocks"], regions["thigh_backs"]))


def test_scene_contact_is_a_share_of_the_body(body, regions):
    chosen = scene_contact_vertices(body)
    assert 0.1 < len(chosen) / body.num_vertices < 0.35
    assert np.isin(regions["soles"], chosen).all() and not np.isin(regions["face"], chosen).any()


def test_a_single_hand_has_the_regions_of_a_hand(body, regions):
    ids = np.flatnonzero(np.asarray(body.skin_weights)[:, [21, *range(37, 52)]].sum(axis=1) > 0.5)
    cut = subset(body, ids)
    columns = [21, *range(37, 52)]
    weights = np.asarray(cut.skin_weights)[:, columns]
    hand = BodyModel(
        v_template=cut.v_template,
        shape_dirs=cut.shape_dirs,
        pose_basis=None,
        joint_template=np.asarray(body.joint_template)[columns],
        joint_shape_dirs=np.asarray(body.joint_shape_dirs)[columns],
        skin_weights=weights / weights.sum(axis=1, keepdims=True),
        faces=cut.faces,
        parents=PARENTS["mano"],
        joint_names=tuple(body.joint_names[j] for j in columns),
        kind="mano",
    )
    got = contact_regions(hand)
    assert {name for name in got if "left" in name} == set()
    np.testing.assert_array_equal(got["right_hand"], np.arange(len(ids)))
    np.testing.assert_array_equal(ids[got["right_index"]], regions["right_index"])
    assert {name for name, _ in find_landmarks(hand)} == {
        f"right_{f}" for f in ("thumb", "index", "middle", "ring", "pinky")
    }


def test_unknown_schemes_and_joints_are_named(body, toy):
    with pytest.raises(ValueError, match="parts scheme '16'"):
        part_labels(body, "16")
    with pytest.raises(ValueError, match="joint 'joint0' belongs to no known part"):
        part_labels(toy())


def test_landmarks_found_from_geometry_are_near_the_chosen_ones(body):
    position, chosen = np.asarray(body.v_template), dict(body.landmarks)
    found = dict(find_landmarks(body))
    assert len(found) == 21
    for name, vertex in found.items():
        assert np.linalg.norm(position[vertex] - position[chosen[name]]) < 0.03, name


def test_keypoints_are_joints_and_vertices_by_name(body):
    params = BodyParams.identity(body, (2,)).replace(translation=np.float32([[0, 0, 0], [1, 2, 3]]))
    posed = pose_body(body, params)
    got = keypoints(body, posed, ["nose", "left_wrist", "left_index"])
    assert got.shape == (2, 3, 3)
    landmark = dict(body.landmarks)
    np.testing.assert_array_equal(got[:, 0], posed.vertices[:, landmark["nose"]])
    np.testing.assert_array_equal(got[:, 1], posed.joints[:, 20])
    np.testing.assert_array_equal(got[:, 2], posed.vertices[:, landmark["left_index"]])
    assert keypoints(body, posed).shape == (2, len(keypoint_names(body)), 3)
    with pytest.raises(ValueError, match=r"no keypoint \['tail'\]; it has pelvis"):
        keypoints(body, posed, ["tail"])
