"""A cube, settings of a training of seconds, and a sample of SynthHOI."""

import pathlib

import numpy as np

from hoijax.body_models import free_body
from hoijax.experiments.interactvlm.settings import Config
from hoijax.geometry import Mesh

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
FACES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6],
                  [0, 6, 4], [1, 5, 7], [1, 7, 3]], np.int32)  # fmt: skip
CUBE = Mesh(vertices=CORNERS, faces=FACES)


def settings(**changes):
    plain = {"out": pathlib.Path("nowhere"), "steps": 4, "batch": 4, "rate": 4e-3, "warmup": 2, "dropout": 0.0,
             "compute": "float32", "remat": False, "length": 96, "average": 0.0, "loss_at": "masks", "rank": 2,
             "parts": "none"}  # fmt: skip
    return Config(**plain | changes)


def standing(position, category="ball"):
    """A sample as a build stores it: a person with an arm forward, and a thing at a place."""
    pose = np.zeros((21, 3))
    pose[free_body().joint_names.index("left_shoulder") - 1] = [0, -1.4, 0]
    body = {"global_orient": np.array([0, 0.5, 0]), "body_pose": pose.reshape(-1), "left_hand_pose": np.zeros(45),
            "right_hand_pose": np.zeros(45), "betas": np.zeros(10), "transl": np.array([0.1, 0.95, 0.0])}  # fmt: skip
    chair = {"category": "chair", "seed": 3, "rotation": np.zeros(3), "translation": np.array([0.0, 0.45, -1.0])}
    return {"category": category, "object_seed": 5, "obj_rot": np.array([0.3, 0, 0]), "obj_trans": np.array(position),
            "body": body, "furniture": [chair]}  # fmt: skip
