"""The first stage from landmarks and masks: its numbers are those of the closed form, its page says what it holds."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body_compiled
from hoijax.experiments.scorehoi import photo_start
from hoijax.geometry import RigidPose
from hoijax.metrics import bootstrap_mean

TURN = Rotation.from_rotvec([0.3, -0.8, 0.4]).as_matrix()
SHIFT = np.array([0.2, -0.1, 3.0])


def sample():
    """Somebody who stands in the world's middle, as SynthHOI keeps it."""
    camera = np.eye(4)
    camera[:3, :3], camera[:3, 3] = TURN, SHIFT
    mask = np.zeros((8, 8), bool)
    mask[2:5, 3:6] = True
    body = {key: np.asarray(value, np.float32) for key, value in named_pose("sit").items()}
    return {
        "key": "a", "category": "chair", "object_seed": 3, "T_camera_world": camera, "obj_rot": np.zeros(3),
        "obj_trans": np.zeros(3), "body": body, "object_mask": mask, "object_full_mask": mask, "human_mask": ~mask,
        "image": np.zeros((8, 8, 3), np.uint8), "intrinsics": np.eye(3),
    }  # fmt: skip


def answer(turn):
    """The truth in the camera's frame, turned about the pelvis."""
    params = BodyParams.from_axis_angle(free_body(), **named_pose("sit"))
    rotations = np.array(params.rotations, np.float32)
    rotations[0] = turn @ TURN @ rotations[0]
    params = BodyParams(rotations, np.asarray(params.betas, np.float32), np.float32([0.5, 0.0, 2.0]))
    return photo_start.as_arrays((params, RigidPose(TURN.astype(np.float32), np.float32([1, 2, 3]), np.float32(1))))


def test_the_truth_is_off_by_nothing_and_a_turn_by_its_angle():
    truth = photo_start.truth_of(sample())
    same = photo_start.own_numbers(answer(np.eye(3)), truth)
    assert same["root"] == pytest.approx(0, abs=0.05) and same["joints"] == pytest.approx(0, abs=0.05)
    turn = Rotation.from_rotvec(np.radians(30) * np.array([0.0, 0.0, 1.0])).as_matrix()
    off = photo_start.own_numbers(answer(turn), truth)
    assert off["root"] == pytest.approx(30, abs=0.05)
    rest = (truth["joints"][:22] - truth["joints"][0]) @ (turn - np.eye(3)).T
    assert off["joints"] == pytest.approx(1000 * np.linalg.norm(rest, axis=1).mean(), rel=1e-3)


def test_what_the_harness_reads_is_the_posed_body_and_the_objects_pose():
    made = answer(np.eye(3))
    params = BodyParams.from_axis_angle(free_body(), **named_pose("sit"))
    vertices = np.asarray(pose_body_compiled(free_body(), params).vertices)
    pelvis = np.asarray(pose_body_compiled(free_body(), params).joints)[0]
    np.testing.assert_allclose(made["vertices"] - made["joints"][0], (vertices - pelvis) @ TURN.T, atol=1e-4)
    np.testing.assert_allclose(Rotation.from_rotvec(made["obj_rot"]).as_matrix(), TURN, atol=1e-6)
    np.testing.assert_array_equal(made["obj_trans"], [1, 2, 3])


def test_intervals_hold_the_mean_and_shrink_with_samples():
    rng = np.random.default_rng(0)
    few, many = (dataclasses.asdict(bootstrap_mean(rng.normal(5, 1, n), resamples=500)) for n in (10, 1000))
    assert few["low"] < few["mean"] < few["high"] and many["mean"] == pytest.approx(5, abs=0.1)
    assert many["high"] - many["low"] == pytest.approx(2 * 1.96 / np.sqrt(1000), rel=0.15)


def test_the_page_has_every_row_and_a_dash_where_nothing_is_defined():
    row = {name: {"mean": 1.25, "low": 1.0, "high": 1.5} for name in photo_start.NUMBERS}
    rows = {name: dict(row) for name in photo_start.ROWS}
    rows[photo_start.ROWS[0]]["contact_5cm_f1"] = {"mean": float("nan"), "low": 0.0, "high": 0.0}
    splits = {"test": {"samples": 7, "lost": 2, "cpu_s": 12.3, "rows": rows}}
    page = photo_start.markdown({"config": {"split": "test"}, "splits": splits})
    lines = [line for line in page.splitlines() if line.startswith(f"| {photo_start.ROWS[0]}")]
    assert lines[0].rstrip(" |").endswith("–") and "1.2 (1.0 to 1.5)" in lines[0]
    assert "7 samples; of 2 nobody was found" in page and all(f"| {name} |" in page for name in photo_start.ROWS)
