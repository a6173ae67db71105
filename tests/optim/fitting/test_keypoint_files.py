"""Keypoint files of other detectors, written here as their documentation has them."""

import json

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.optim.fitting import BODY_25, COCO_BODY, MHR_70, hand_names, read_keypoints

RNG = np.random.default_rng(0)


def triples(count, seed=0):
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.uniform(50, 350, (count, 2)), rng.uniform(0.3, 1.0, (count, 1))], axis=1)
    return points.round(3)


def write(path, value):
    path.write_text(json.dumps(value))
    return path


def of(observation, name, group=0):
    places = [i for i, n in enumerate(observation.names) if n == name and observation.groups[i] == group]
    assert len(places) == 1
    return observation.pixels[places[0]], observation.weights[places[0]]


def test_openpose_with_hands(tmp_path):
    body, left, right = triples(25), triples(21, 1), triples(21, 2)
    body[4] = 0  # a right wrist that was not found
    right[:, 2] = 0.2  # a hand that the detector does not believe in
    other = {"pose_keypoints_2d": (0.5 * triples(25, 3)).ravel().tolist(), "hand_left_keypoints_2d": []}
    person = {"pose_keypoints_2d": body.ravel().tolist(), "hand_left_keypoints_2d": left.ravel().tolist(),
              "hand_right_keypoints_2d": right.ravel().tolist(), "face_keypoints_2d": [1, 2, 3]}  # fmt: skip
    found = read_keypoints(write(tmp_path / "a.json", {"version": 1.3, "people": [other, person]}))
    assert found[0].score > found[1].score  # the surest first
    seen = found[0].observation
    pixel, weight = of(seen, "left_knee")
    np.testing.assert_allclose((*pixel, weight), body[BODY_25.index("left_knee")], rtol=1e-6)
    assert of(seen, "right_wrist")[1] == 0
    pixel, weight = of(seen, "left_index", group=1)
    np.testing.assert_allclose(pixel, left[8, :2], rtol=1e-6)
    assert weight == pytest.approx(left[:, 2].mean(), rel=1e-5)
    assert of(seen, "right_index", group=2)[1] == 0
    assert seen.names == found[1].observation.names  # one program for both
    assert of(found[1].observation, "left_index", group=1)[1] == 0


def test_coco_results_of_several_pictures(tmp_path):
    entries = [{"image_id": i, "category_id": 1, "keypoints": triples(17, i).ravel().tolist(), "score": 0.5 + i / 10}
               for i in range(3)]  # fmt: skip
    path = write(tmp_path / "results.json", entries)
    assert [person.picture for person in read_keypoints(path)] == ["2", "1", "0"]
    (person,) = read_keypoints(path, picture=1)
    assert person.score == 0.6 and person.observation.names == COCO_BODY
    np.testing.assert_allclose(person.observation.pixels, triples(17, 1)[:, :2], rtol=1e-6)
    with pytest.raises(InputError, match="nobody in it for the picture 7"):
        read_keypoints(path, picture=7)


def test_coco_annotations_count_hidden_points_half_and_skip_unlabelled_people(tmp_path):
    points = triples(17)
    points[:, 2] = [0, 1, 2] * 5 + [2, 2]
    points[points[:, 2] == 0] = 0
    people = [{"keypoints": points.ravel().tolist(), "num_keypoints": 12, "image_id": 9},
              {"keypoints": [0] * 51, "num_keypoints": 0, "image_id": 9}]  # fmt: skip
    (person,) = read_keypoints(write(tmp_path / "a.json", {"images": [], "annotations": people}))
    np.testing.assert_allclose(person.observation.weights, points[:, 2] / 2)


def test_whole_bodies_in_one_list_and_in_parts_agree(tmp_path):
    points = triples(133)
    whole = {"keypoints": points.ravel().tolist(), "score": 0.9}
    parts = {"keypoints": points[:17].ravel().tolist(), "foot_kpts": points[17:23].ravel().tolist(), "score": 0.9,
             "lefthand_kpts": points[91:112].ravel().tolist(), "righthand_kpts": points[112:].ravel().tolist(),
             "face_kpts": points[23:91].ravel().tolist()}  # fmt: skip
    a = read_keypoints(write(tmp_path / "a.json", [whole]))[0].observation
    b = read_keypoints(write(tmp_path / "b.json", [parts]))[0].observation
    assert a.names == b.names == (*COCO_BODY, *BODY_25[19:], *hand_names("left"), *hand_names("right"))
    np.testing.assert_array_equal(a.pixels, b.pixels)
    np.testing.assert_array_equal(a.weights, b.weights)
    np.testing.assert_allclose(of(a, "right_ring", group=2)[0], points[112 + 16, :2], rtol=1e-6)


def test_sam_3d_body_with_and_without_a_focal_length(tmp_path):
    points = RNG.normal(0, 0.4, (70, 3))
    shift, focal, centre = np.array([0.2, -0.1, 4.0]), 812.0, np.array([310.0, 240.0])
    placed = points + shift
    pixels = placed[:, :2] / placed[:, 2:] * focal + centre
    arrays = {"pred_keypoints_2d": pixels, "pred_keypoints_3d": points, "pred_cam_t": shift}
    np.savez(tmp_path / "a.npz", **arrays, mask=np.zeros((4, 4), bool))
    (person,) = read_keypoints(tmp_path / "a.npz")
    np.testing.assert_allclose(person.intrinsics.matrix, [[focal, 0, 310], [0, focal, 240], [0, 0, 1]], atol=1e-2)
    assert person.observation.metric_frame == "camera" and (person.observation.metric_weights == 1).all()
    kept = [i for i, name in enumerate(MHR_70) if name]
    np.testing.assert_allclose(person.observation.metric, points[kept], rtol=1e-6)
    np.savez(tmp_path / "b.npz", **arrays, focal_length=np.float64(900.0))
    (person,) = read_keypoints(tmp_path / "b.npz", image_size=(240, 620))
    np.testing.assert_allclose(person.intrinsics.matrix[0], [900, 0, 310])
    assert (person.observation.weights == 0).any()  # outside of the picture


GOOD = triples(17).ravel().tolist()
BAD = {
    "absent.json": None,
    "text.json": "{not json",
    "deep.json": "[" * 200_000,
    "empty_people.json": {"people": []},
    "no_people.json": [],
    "other.json": {"foo": 1, "bar": 2},
    "number.json": 5,
    "wrong_count.json": [{"keypoints": GOOD[:30]}],
    "not_triples.json": [{"keypoints": GOOD[:-1]}],
    "words.json": [{"keypoints": ["a", *GOOD[1:]]}],
    "nested.json": [{"keypoints": [GOOD]}],
    "null.json": [{"keypoints": None}],
    "mixed.json": [{"keypoints": GOOD}, 7],
    "coco18.json": {"people": [{"pose_keypoints_2d": triples(18).ravel().tolist()}]},
    "short_hand.json": {"people": [{"pose_keypoints_2d": triples(25).ravel().tolist(),
                                    "hand_left_keypoints_2d": [1, 2, 3]}]},
    "shares.json": [{"keypoints": (triples(17) * [1e-3, 1e-3, 1]).ravel().tolist()}],
    "short_foot.json": [{"keypoints": GOOD, "foot_kpts": [1, 2, 3]}],
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_json_is_refused_by_name(tmp_path, name):
    path = tmp_path / name
    if BAD[name] is not None:
        path.write_text(BAD[name] if isinstance(BAD[name], str) else json.dumps(BAD[name]))
    with pytest.raises(InputError, match=name):
        read_keypoints(path)


def test_numbers_that_are_none_count_as_not_seen(tmp_path):
    values = list(GOOD)
    values[0], values[4] = float("nan"), 1e30
    path = tmp_path / "nan.json"
    path.write_text(json.dumps([{"keypoints": values, "score": 1.0}]))
    seen = read_keypoints(path)[0].observation
    assert seen.weights[0] == seen.weights[1] == 0 and np.isfinite(seen.pixels).all() and seen.weights[2] > 0


@pytest.mark.parametrize(
    "arrays, told",
    [
        ({"vertices": np.zeros((4, 3))}, "pred_keypoints_2d"),
        ({"pred_keypoints_2d": np.zeros((17, 2))}, r"\(17, 2\)"),
        ({"pred_keypoints_2d": np.full((70, 2), np.nan)}, "not finite"),
        ({"pred_keypoints_2d": np.array([{"a": 1}], object)}, "npz|objects"),
        ({"pred_keypoints_2d": np.zeros((70, 2)), "focal_length": np.zeros(3)}, "focal_length"),
    ],
)
def test_bad_npz_is_refused(tmp_path, arrays, told):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=told):
        read_keypoints(tmp_path / "a.npz")


def test_a_broken_archive_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, pred_keypoints_2d=np.zeros((70, 2)))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="a.npz"):
        read_keypoints(path)
