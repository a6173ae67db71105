"""Names of the points that the networks find, in their order; left and right are the person's own."""

LANDMARK_NAMES = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)
"""A person's 33 points."""

HAND_NAMES = (
    "wrist",
    "thumb_cmc",
    "thumb_mcp",
    "thumb_ip",
    "thumb_tip",
    "index_mcp",
    "index_pip",
    "index_dip",
    "index_tip",
    "middle_mcp",
    "middle_pip",
    "middle_dip",
    "middle_tip",
    "ring_mcp",
    "ring_pip",
    "ring_dip",
    "ring_tip",
    "pinky_mcp",
    "pinky_pip",
    "pinky_dip",
    "pinky_tip",
)
"""A hand's 21 points, from the wrist to the tip of each finger."""

LANDMARK_EDGES = (
    (11, 12),
    (11, 13),
    (13, 15),
    (15, 17),
    (15, 19),
    (15, 21),
    (17, 19),
    (12, 14),
    (14, 16),
    (16, 18),
    (16, 20),
    (16, 22),
    (18, 20),
    (11, 23),
    (12, 24),
    (23, 24),
    (23, 25),
    (25, 27),
    (27, 29),
    (27, 31),
    (29, 31),
    (24, 26),
    (26, 28),
    (28, 30),
    (28, 32),
    (30, 32),
    (0, 2),
    (2, 7),
    (0, 5),
    (5, 8),
    (9, 10),
)
"""Pairs of a person's points to draw a line between."""

HAND_EDGES = (
    *((0, 1), (0, 5), (5, 9), (9, 13), (13, 17), (0, 17)),
    *((i, i + 1) for start in (1, 5, 9, 13, 17) for i in range(start, start + 3)),
)
"""Pairs of a hand's points to draw a line between."""

MIRRORED_LANDMARKS = tuple(
    LANDMARK_NAMES.index(name.replace("left", "*").replace("right", "left").replace("*", "right"))
    for name in LANDMARK_NAMES
)
"""Index of each point's mirror image."""

BOX_CORNERS = tuple((x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5))
"""Corners of an object's box about its centre, in the order of its network after the centre: x, then y, then z vary."""
