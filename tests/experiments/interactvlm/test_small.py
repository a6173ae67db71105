"""The small network's data and table: further views, mirror images, thresholds, paired differences."""

import pathlib

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import contact_regions, free_body
from hoijax.data.objects import random_object
from hoijax.data.synth.pictures import Drawn
from hoijax.experiments.interactvlm import redraw as redrawing
from hoijax.experiments.interactvlm import small, small_data
from hoijax.experiments.interactvlm.data import Example


def standing(position):
    """A sample as a build stores it: a person with an arm forward, and a ball at a place."""
    pose = np.zeros((21, 3))
    pose[free_body().joint_names.index("left_shoulder") - 1] = [0, -1.4, 0]
    body = {"global_orient": np.array([0, 0.5, 0]), "body_pose": pose.reshape(-1), "left_hand_pose": np.zeros(45),
            "right_hand_pose": np.zeros(45), "betas": np.zeros(10), "transl": np.array([0.1, 0.95, 0.0])}  # fmt: skip
    chair = {"category": "chair", "seed": 3, "rotation": np.zeros(3), "translation": np.array([0.0, 0.45, -1.0])}
    return {"category": "ball", "object_seed": 5, "obj_rot": np.array([0.3, 0, 0]), "obj_trans": np.array(position),
            "body": body, "furniture": [chair]}  # fmt: skip


def test_a_view_shows_the_sample(monkeypatch):
    """Body, object and furniture stand where the sample says, whatever the camera."""
    told = {}

    def picture(config, split, rng, pieces, joints, wanted):
        told.update(config=config, split=split, pieces=pieces, joints=joints, wanted=wanted)
        label = np.array([[0, 1, 2, -1]])
        return (Drawn(image, label, np.ones(label.shape), np.ones(label.shape)),)

    image = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
    monkeypatch.setattr(redrawing, "picture", picture)
    got, mask = redrawing.redraw(standing([0.4, 1.2, 0.3]), np.random.default_rng(0), 96)
    np.testing.assert_array_equal(got, image)
    assert told["config"].image_size == 96 and told["split"] == "train"
    np.testing.assert_array_equal(mask, [[True, False, False, False]])
    body, ball, chair = told["pieces"]
    mesh = random_object("ball", 5).mesh
    want = np.asarray(mesh.vertices) @ Rotation.from_rotvec([0.3, 0, 0]).as_matrix().T + [0.4, 1.2, 0.3]
    np.testing.assert_allclose(ball[0], want, atol=1e-5)
    np.testing.assert_allclose(
        chair[0], np.asarray(random_object("chair", 3).mesh.vertices) + [0, 0.45, -1.0], atol=1e-5
    )
    assert (body[5], ball[5], chair[5]) == (0, 1, 2)
    model = free_body()
    names = model.joint_names
    assert told["joints"].shape[1] == 3 and body[0].shape == (model.num_vertices, 3)
    # The pelvis is moved and turned, the arm is where its rotation brings it.
    left, right = (told["joints"][names.index(f"{side}_wrist")] for side in ("left", "right"))
    turn = Rotation.from_rotvec([0, 0.5, 0])
    local = turn.inv().apply(np.stack([left, right]) - told["joints"][0])
    assert local[0, 2] > 0.3 and abs(local[1, 2]) < 0.15 and local[1, 0] < -0.5
    assert set(map(tuple, np.round(ball[0], 4))) <= set(map(tuple, np.round(told["wanted"], 4)))


def test_the_person_is_under_their_mask():
    """One picture for real: pixels of the mask see the body."""
    sample = standing([0.4, 1.2, 0.3])
    image, mask = redrawing.redraw(sample, np.random.default_rng(1), 96)
    assert image.shape == (96, 96, 3) and image.dtype == np.uint8 and 0.02 < mask.mean() < 0.5
    again, _ = redrawing.redraw(sample, np.random.default_rng(1), 96)
    np.testing.assert_array_equal(image, again)
    other, _ = redrawing.redraw(sample, np.random.default_rng(2), 96)
    assert np.abs(other.astype(int) - image).mean() > 5


def test_mirror_images_change_left_and_right():
    other = redrawing.mirrored_vertices()
    np.testing.assert_array_equal(other[other], np.arange(len(other)))
    regions = contact_regions(free_body())
    left = np.zeros(len(other), bool)
    left[regions["left_hand"]] = True
    assert set(np.flatnonzero(left[other])) == set(regions["right_hand"])


def test_views_become_examples(monkeypatch):
    body = np.arange(4.0) / 4
    own = [Example(f"s{i}", np.zeros((9, 9, 3)), "cup", body + i) for i in range(2)]
    monkeypatch.setattr(small_data, "synth", lambda root, split, task: own)
    monkeypatch.setattr(small_data, "mirrored_vertices", lambda: np.array([1, 0, 3, 2]))
    features = [np.random.default_rng(i).normal(size=(3, 2, 5, 7)).astype(np.float16) for i in range(2)]
    rows = small_data.view_source(pathlib.Path(), "human", features)
    assert len(rows) == 12 and len({row.key for row in rows}) == 12
    np.testing.assert_array_equal(rows[7].image, features[1][0, 1].astype(np.float32))
    np.testing.assert_array_equal(rows[7].contact, own[1].contact[[1, 0, 3, 2]])
    np.testing.assert_array_equal(rows[10].contact, own[1].contact)
    np.testing.assert_array_equal(rows[10].image, features[1][2, 0].astype(np.float32))
    objects = small_data.view_source(pathlib.Path(), "object", features)
    assert len(objects) == 6
    np.testing.assert_array_equal(objects[4].image, features[1][1, 0].astype(np.float32))
    np.testing.assert_array_equal(objects[4].contact, own[1].contact)
    blind = small_data.view_source(pathlib.Path(), "human", features, blind=True)
    assert not blind[7].image.any() and blind[7].image.shape == (5, 7)
    np.testing.assert_array_equal(blind[7].contact, rows[7].contact)


def test_features_are_found_once_and_kept(monkeypatch, tmp_path):
    samples = [{"image": np.full((4, 6, 3), i, np.uint8), "human_mask": np.ones((4, 6), bool)} for i in range(3)]
    monkeypatch.setattr(small_data, "open_split", lambda root, split: samples)
    monkeypatch.setattr(small_data, "_CHUNK", 2)
    calls = []

    def drawn(sample, rng):
        calls.append(rng.integers(1 << 30))
        return sample["image"] + 100, sample["human_mask"]

    monkeypatch.setattr(small_data, "redraw", drawn)
    monkeypatch.setattr(
        small_data, "person_crop", lambda image, mask: image * np.array([1, 0, 0]) + np.arange(6)[:, None]
    )
    monkeypatch.setattr(small_data, "features_of", lambda crop: crop[0, :, :1].astype(float))
    found = small_data.view_features(pathlib.Path(), tmp_path, 2, 7)
    assert len(found) == 3 and found[0].shape == (3, 2, 6, 1) and len(calls) == 6 == len(set(calls))
    np.testing.assert_array_equal(found[2][0, 0, :, 0], 2 + np.arange(6))
    np.testing.assert_array_equal(found[2][1, 0, :, 0], 102 + np.arange(6))
    np.testing.assert_array_equal(found[2][:, 1, :, 0], found[2][:, 0, ::-1, 0])
    again = small_data.view_features(pathlib.Path(), tmp_path, 2, 7)
    assert len(calls) == 6
    np.testing.assert_array_equal(np.stack(again), np.stack(found))
    small_data.view_features(pathlib.Path(), tmp_path, 1, 7)  # of other views there is nothing yet
    assert len(calls) == 9


def test_rows_have_thresholds_of_their_own_and_paired_differences():
    asked = [Example(str(i), np.zeros((1, 1)), "cup", np.array(c, np.float32)) for i, c in enumerate([[1, 0], [1, 1]])]
    good = (asked, [np.array([0.3, 0.1]), np.array([0.3, 0.3])])
    poor = (asked, [np.array([0.9, 0.9]), np.array([0.9, 0.9])])
    said = {
        "whole": {"human": good, "object": good},
        "no gate": {"human": poor, "object": poor},
        "mean map": {"human": good},
    }
    chosen = {
        "whole": {"human": 0.2, "object": 0.5},
        "no gate": {"human": 0.5, "object": 0.5},
        "mean map": {"human": 0.5},
    }
    found = small.score(said, chosen)
    assert found["whole"]["semantic_f1"]["mean"] == 1 and found["whole"]["object_f1"]["mean"] == 0
    assert found["no gate"]["semantic_f1"]["mean"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["no gate"]["gain_semantic_f1"]["mean"] == pytest.approx(1 / 6)
    assert found["no gate"]["gain_object_f1"]["mean"] == pytest.approx(-5 / 6)
    assert found["mean map"]["gain_semantic_f1"]["mean"] == 1 and "gain_object_f1" not in found["mean map"]
    assert "gain_semantic_f1" not in found["whole"]
    config = small.Config(root=pathlib.Path("x"), out=pathlib.Path("y"), steps=100, until=50, views=3)
    text = small.markdown(config, {"val": found})
    assert "| val | no gate | 0.833" in text and "0.167 (" in text and "50 steps of a schedule of 100" in text
    assert "4 cameras" in text and "dev" in text
