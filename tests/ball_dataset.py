"""A SynthHOI on disk whose interactions are placed by hand: a person in the rest pose, a ball that touches or not."""

import numpy as np

from hoijax.body_models import contact_regions, free_body, joint_limits
from hoijax.data.objects import random_object
from hoijax.data.synth import SynthConfig, building
from hoijax.data.synth.schema import encode_depth, jpeg, pack_labels, serialize
from hoijax.io import write_json
from hoijax.systems.hoi3dgen.annotation.posing import body_vertices

ROWS = (
    # action, region that the ball touches, gap in metres
    ("carry_one_hand", "right_fingers", 0.003),
    ("carry_one_hand", "left_fingers", 0.003),
    ("kick", "right_toes", 0.003),
    ("lean", "back", 0.003),
    ("hold", "right_fingers", 0.6),  # nothing touches
    ("kick", "left_fingers", 0.003),  # a hand kicks
    ("carry_one_hand", "right_fingers", 0.003),  # the first again
    ("hold", "left_fingers", 0.003),
)
DAMAGED = 7
"""Whose object is of no category."""
SIZE = 64
SHIRT, BALL = (200, 30, 40), (40, 60, 190)


def rest_body():
    """The rest pose with the feet on the floor: fields and vertices."""
    model = free_body()
    sizes = {"global_orient": 3, "body_pose": 63, "left_hand_pose": 45, "right_hand_pose": 45, "betas": 10, "transl": 3}
    body = {name: np.zeros(size, np.float32) for name, size in sizes.items()}
    body["transl"][1] = -np.asarray(model.v_template)[:, 1].min()
    return body, body_vertices(model, body)


def outward(name):
    """The direction in which a ball leaves a region of the rest pose."""
    side = {"left": 1.0, "right": -1.0}.get(name.split("_")[0])
    if name == "back":
        return np.array([0.0, 0.0, -1.0])
    return np.array([0.0, 0.0, 1.0]) if "toes" in name else np.array([side, 0.0, 0.0])


def ball_at(vertices, name, gap, seed=0):
    """Centre of a ball whose surface is `gap` before the outermost vertex of a region."""
    ids, way = contact_regions(free_body())[name], outward(name)
    radius = np.ptp(np.asarray(random_object("ball", seed).mesh.vertices)[:, 0]) / 2
    tip = vertices[ids[np.argmax(vertices[ids] @ way)]]
    return tip + way * (radius + gap)


def make_dataset(root, rows=ROWS, split="val", damaged=(DAMAGED,)):
    """Writes the dataset; its samples are `<split>-000000` and so on."""
    config = SynthConfig(
        **{"train": 0, "val": 0, "test": 0, "test_unseen_category": 0} | {split: len(rows)}, scenes=0, image_size=SIZE
    )
    building.start_build(config, root)
    body, vertices = rest_body()
    records = [sample(config, split, i, row, body, vertices, i in damaged) for i, row in enumerate(rows)]
    write_json(building.statistics_path(root, config, split, 0), {"actions": {}, "bytes": sum(map(len, records))})
    building.write_shard(building.record_path(root, config, split, 0), records)
    building.finish_build(config, root, len(rows), 0.0)
    return root


def sample(config, split, index, row, body, vertices, damaged):
    action, region, gap = row
    # A camera before the person, three metres off, that sees all of it.
    camera = np.diag([1.0, -1.0, -1.0, 1.0]).astype(np.float32)
    camera[:3, 3] = (0.0, 0.9, 3.0)
    matrix = np.array([[70.0, 0, SIZE / 2], [0, 70.0, SIZE / 2], [0, 0, 1]], np.float32)
    local = vertices @ camera[:3, :3].T + camera[:3, 3]
    pixels = local[:, :2] / local[:, 2:] * 70 + SIZE / 2
    human = np.zeros((SIZE, SIZE), bool)
    human[pixels[:, 1].astype(int), pixels[:, 0].astype(int)] = True
    image = np.full((SIZE, SIZE, 3), 255, np.uint8)
    image[human] = SHIRT
    thing = np.zeros((SIZE, SIZE), bool)
    thing[:8, :8] = True
    image[thing] = BALL
    places = ball_at(vertices, region, gap)
    model, count = free_body(), len(random_object("ball", 0).mesh.vertices)
    joints = len(joint_limits(model).lower) + len(model.landmarks)
    return serialize(split, SIZE, {
        "key": f"{split}-{index:06d}", "action": action, "text": "", "body": body, "shape_seed": 0, "furniture": [],
        "intrinsics": matrix, "T_camera_world": camera, "image": jpeg(image),
        "category": "nonsense" if damaged else "ball",
        "depth": encode_depth(np.where(human, 9.0, np.inf)),
        "labels": pack_labels({"human_mask": human, "object_mask": thing}),
        "keypoints_3d": np.zeros((joints, 3), np.float32), "keypoints_2d": np.zeros((joints, 2), np.float32),
        "keypoints_visible": np.zeros(joints, bool), "body_contact": np.zeros(len(vertices), bool),
        "body_floor_contact": np.zeros(len(vertices), bool), "max_penetration": np.float32(0),
        "contact_parts": region, "object_seed": 0, "obj_rot": np.zeros(3, np.float32),
        "obj_trans": places.astype(np.float32), "object_contact": np.zeros(count, bool),
        "object_floor_contact": np.zeros(count, bool), "object_points": np.zeros((64, 3), np.float32),
        "object_points_contact": np.zeros(64, bool), "object_points_floor": np.zeros(64, bool),
    })  # fmt: skip
