"""How detectors order and mean their keypoints, in the names of body points; "" is a point that no body model has.

| layout | points | source |
|---|---|---|
| `MEDIAPIPE_BODY` | 33 | MediaPipe Pose (BlazePose); its "pinky", "index", "thumb" are knuckles |
| `HAND` | 21 | MediaPipe Hands, OpenPose's hands and COCO-WholeBody's: the wrist, then four per finger to the tip |
| `BODY_25` | 25 | OpenPose |
| `COCO_BODY` | 17 | COCO |
| `COCO_WHOLEBODY` | 133 | COCO-WholeBody: body, 6 of the feet, 68 of the face, both hands |
| `MHR_70` | 70 | SAM 3D Body |

A detector's point is not a body's: annotators' hips lie on the skin, a body's hip is the joint inside. `SPREAD` says by
how much, metres, one standard deviation; hoijax's own estimates.
"""

_COCO_FACE_AND_LIMBS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
HAND_SIDES = ("left", "right")
_HAND_ORDER = ("thumb", "index", "middle", "ring", "pinky")


def hand_names(side: str) -> tuple[str, ...]:
    """The 21 points of a hand, "left" or "right", wrist first, thumb to pinky, each from its base to its tip."""
    return (f"{side}_wrist", *(f"{side}_{finger}{k}" for finger in _HAND_ORDER for k in ("1", "2", "3", "")))


def _mhr_hand(side: str) -> tuple[str, ...]:
    return (*(f"{side}_{finger}{k}" for finger in _HAND_ORDER for k in ("", "3", "2", "1")), f"{side}_wrist")


MEDIAPIPE_BODY: tuple[str, ...] = (
    "nose", "", "left_eye", "", "", "right_eye", "", "left_ear", "right_ear", "", "", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky1", "right_pinky1",
    "left_index1", "right_index1", "left_thumb2", "right_thumb2", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle", "left_heel", "right_heel", "left_big_toe", "right_big_toe",
)  # fmt: skip
BODY_25: tuple[str, ...] = (
    "nose", "mid_shoulder", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear", *FEET,
)  # fmt: skip
COCO_BODY: tuple[str, ...] = _COCO_FACE_AND_LIMBS
COCO_WHOLEBODY: tuple[str, ...] = (
    *_COCO_FACE_AND_LIMBS, *FEET, *("",) * 68, *hand_names("left"), *hand_names("right"),
)  # fmt: skip
MHR_70: tuple[str, ...] = (
    *_COCO_FACE_AND_LIMBS[:9], *_COCO_FACE_AND_LIMBS[11:], *FEET, *_mhr_hand("right"), *_mhr_hand("left"),
    *("",) * 6, "neck",
)  # fmt: skip

_SPREAD = {
    "hip": 0.03, "mid_hip": 0.03, "shoulder": 0.025, "mid_shoulder": 0.03, "neck": 0.04, "heel": 0.025, "ear": 0.02,
    "eye": 0.015, "nose": 0.015, "big_toe": 0.02, "small_toe": 0.02, "knee": 0.02, "ankle": 0.02, "elbow": 0.015,
    "wrist": 0.015,
}  # fmt: skip


def spread_of(name: str) -> float:
    """How far a detector's point of that name lies from the body's, metres, one standard deviation."""
    plain = name.removeprefix("left_").removeprefix("right_")
    if plain.rstrip("123") in _HAND_ORDER:
        return 0.01
    return _SPREAD.get(name, _SPREAD.get(plain, 0.03))
