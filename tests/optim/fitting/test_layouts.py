"""The detectors' orders, against the numbers that their documentation gives."""

import pytest

from hoijax.optim.fitting import (
    BODY_25,
    COCO_BODY,
    COCO_WHOLEBODY,
    MEDIAPIPE_BODY,
    MHR_70,
    POINT_NAMES,
    hand_names,
    spread_of,
)

LAYOUTS = {
    "mediapipe": (MEDIAPIPE_BODY, 33, {0: "nose", 7: "left_ear", 11: "left_shoulder", 16: "right_wrist",
                                       19: "left_index1", 24: "right_hip", 29: "left_heel", 32: "right_big_toe"}),
    "body_25": (BODY_25, 25, {1: "mid_shoulder", 2: "right_shoulder", 7: "left_wrist", 8: "mid_hip", 11: "right_ankle",
                              14: "left_ankle", 16: "left_eye", 19: "left_big_toe", 24: "right_heel"}),
    "coco": (COCO_BODY, 17, {1: "left_eye", 4: "right_ear", 9: "left_wrist", 12: "right_hip", 15: "left_ankle"}),
    "wholebody": (COCO_WHOLEBODY, 133, {16: "right_ankle", 17: "left_big_toe", 22: "right_heel", 23: "", 90: "",
                                        91: "left_wrist", 95: "left_thumb", 99: "left_index", 112: "right_wrist",
                                        132: "right_pinky"}),
    "mhr": (MHR_70, 70, {5: "left_shoulder", 9: "left_hip", 14: "right_ankle", 15: "left_big_toe", 20: "right_heel",
                         21: "right_thumb", 28: "right_index1", 41: "right_wrist", 42: "left_thumb", 62: "left_wrist",
                         63: "", 69: "neck"}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_points_stand_where_the_detector_puts_them(name):
    layout, count, places = LAYOUTS[name]
    assert len(layout) == count
    assert {i: layout[i] for i in places} == places
    assert set(layout) - {""} <= set(POINT_NAMES)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_left_point_has_its_right_one(name):
    layout = LAYOUTS[name][0]
    left = sorted(point[5:] for point in layout if point.startswith("left_"))
    assert left == sorted(point[6:] for point in layout if point.startswith("right_"))


def test_a_hand_runs_from_the_wrist_to_the_tip_of_the_pinky():
    names = hand_names("left")
    assert len(names) == 21
    assert (names[0], names[1], names[4], names[8], names[17]) == (
        "left_wrist", "left_thumb1", "left_thumb", "left_index", "left_pinky1",
    )  # fmt: skip


def test_hips_are_less_certain_than_fingers():
    assert spread_of("left_hip") == spread_of("right_hip") > spread_of("left_index3") == spread_of("right_ring") == 0.01
    assert spread_of("left_ring2") == 0.01
