"""Training samples of ScoreHOI: one layout for every source, and SynthHOI in it (specs/datasets.md 6.1).

A sample is a dictionary of arrays, a function of the source and an index alone:

    image          (S, S, 5)   crop: RGB in [0, 1], human mask, object mask; wider by `Layout.margin`
    object_numbers (3 P + E,)  template points, then `geometry_feature`
    points         (P, 3)      template points in the canonical frame, metres
    state          (331,)      the truth as `hoijax.diffusion.HOIState` packs it, camera frame, pelvis at the origin
    joints_2d      (52, 2)     fractions of the crop from its centre
    positional     (65, 3)     the same of 25 body and 2 x 20 hand points, and depth from the pelvis or wrist / DEPTH
    hand_boxes     (2, 2, 2)   left and right, lower and upper corner, fractions of the crop
    body_contact   (K,)        of the K vertices with the object
    object_contact, object_floor (P,)  of the template points with the body and the floor
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from hoijax.body_models import keypoint_names
from hoijax.errors import InputError
from hoijax.nets.scorehoi.state import NUM_BETAS, NUM_JOINTS
from hoijax.systems.scorehoi.inputs import BETAS_LIMIT, Layout, crop, crop_box, geometry_feature

DEPTH = 4.4
"""Metres of depth that the positional joints' unit stands for."""
HAND_BOX = 4.0
"""Side of a hand's box over that of its keypoints' box."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """One interaction in the camera's frame (x right, y down, z forward), metres and pixels of the whole image."""

    image: np.ndarray
    """(H, W, 3) uint8."""
    human: Bool[np.ndarray, "H W"]
    object: Bool[np.ndarray, "H W"]
    """Masks of what is seen of body and object."""
    rotations: Float[np.ndarray, "52 3 3"]
    """Relative to the parents, the root's in the camera; before the hands' mean is added."""
    betas: np.ndarray
    object_rotation: Float[np.ndarray, "3 3"]
    object_translation: Float[np.ndarray, "3"]
    keypoints: Float[np.ndarray, "J 3"]
    """In the camera, in the order of `keypoint_names`."""
    pixels: Float[np.ndarray, "J 2"]
    points: Float[np.ndarray, "P 3"]
    """Template points in the canonical frame."""
    body_contact: Bool[np.ndarray, "V"]
    object_contact: Bool[np.ndarray, "P"]
    object_floor: Bool[np.ndarray, "P"]


def training_sample(truth: Truth, layout: Layout) -> dict[str, np.ndarray]:
    """The fields of a sample."""
    low, side = crop_box(truth.human | truth.object, truth.pixels)
    size = round(layout.margin * layout.crop)
    wide, corner = side * size / layout.crop, low - side * (size / layout.crop - 1) / 2
    layers = [crop(truth.image[..., i], corner, wide, size) for i in range(3)]
    layers += [(crop(255 * m.astype(np.uint8), corner, wide, size) > 0.5) * 1.0 for m in (truth.human, truth.object)]
    place = (truth.pixels - low) / side - 0.5
    betas = truth.betas[:NUM_BETAS]
    betas = np.where(np.any(np.abs(betas) > BETAS_LIMIT), 0.0, betas)
    pelvis = truth.keypoints[0]
    state = [
        sixd(truth.rotations).ravel(), sixd(truth.object_rotation), truth.object_translation - pelvis,
        betas / BETAS_LIMIT,
    ]  # fmt: skip
    fields = {
        "image": np.stack(layers, axis=-1),
        "object_numbers": np.concatenate([truth.points.ravel(), geometry_feature(truth.points, layout.geometry)]),
        "points": truth.points,
        "state": np.concatenate(state),
        "joints_2d": place[:NUM_JOINTS],
        "positional": _positional(truth.keypoints, place, layout),
        "hand_boxes": np.stack([_hand_box(place, layout, hand) for hand in ("left", "right")]),
        "body_contact": truth.body_contact[layout.ids],
        "object_contact": truth.object_contact,
        "object_floor": truth.object_floor,
    }
    return {name: np.asarray(value, np.float32) for name, value in fields.items()}


def random_surface(vertices: np.ndarray, faces: np.ndarray, count: int, seed: int) -> Float[np.ndarray, "count 3"]:
    """Random points of a surface, to measure distances to it by."""
    return trimesh.sample.sample_surface(trimesh.Trimesh(vertices, faces, process=False), count, seed=seed)[0]


def sixd(rotation: Float[np.ndarray, "*B 3 3"]) -> Float[np.ndarray, "*B 6"]:
    """The first two columns, row-major."""
    return rotation[..., :2].reshape(*rotation.shape[:-2], 6)


def _positional(keypoints: np.ndarray, place: np.ndarray, layout: Layout) -> np.ndarray:
    names, rows = keypoint_names(layout.model), layout.positional
    depth = keypoints[rows, 2] - keypoints[0, 2]
    # A hand's depth counts from its wrist; the released code takes ears for wrists.
    for start, wrist in ((25, "left_wrist"), (45, "right_wrist")):
        depth[start : start + 20] -= keypoints[names.index(wrist), 2] - keypoints[0, 2]
    return np.concatenate([place[rows], depth[:, None] / DEPTH], axis=1)


def _hand_box(place: np.ndarray, layout: Layout, side: str) -> np.ndarray:
    start = 25 if side == "left" else 45
    points = place[layout.positional[start : start + 20]]
    low, high = points.min(axis=0), points.max(axis=0)
    half = HAND_BOX * (high - low).max() / 2
    return np.stack([(low + high) / 2 - half, (low + high) / 2 + half])


@dataclasses.dataclass(frozen=True)
class SynthInteractions:
    """SynthHOI's interactions (`hoijax.data.synth.open_split`) as training samples."""

    split: Sequence[Mapping[str, Any]]
    layout: Layout

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return training_sample(truth_from_synth(self.split[index]), self.layout)


def truth_from_synth(sample: Mapping[str, Any]) -> Truth:
    """One of SynthHOI's interactions in the camera's frame.

    Raises:
      InputError: no interaction, such as one of the scene splits.
    """
    missing = [name for name in ("obj_rot", "object_points", "human_mask", "T_camera_world") if name not in sample]
    if missing:
        raise InputError(f"a SynthHOI sample without {', '.join(missing)}; ScoreHOI wants the interaction splits")
    body = sample["body"]
    pose = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")
    vectors = np.concatenate([np.asarray(body[name], np.float64).reshape(-1, 3) for name in pose])
    rotations = Rotation.from_rotvec(vectors).as_matrix()
    camera = np.asarray(sample["T_camera_world"], np.float64)
    rotations[0] = camera[:3, :3] @ rotations[0]
    return Truth(
        image=np.asarray(sample["image"]),
        human=np.asarray(sample["human_mask"], bool),
        object=np.asarray(sample["object_mask"], bool),
        rotations=rotations,
        betas=np.asarray(body["betas"], np.float64),
        object_rotation=camera[:3, :3] @ Rotation.from_rotvec(np.asarray(sample["obj_rot"], np.float64)).as_matrix(),
        object_translation=camera[:3, :3] @ np.asarray(sample["obj_trans"], np.float64) + camera[:3, 3],
        keypoints=np.asarray(sample["keypoints_3d"], np.float64) @ camera[:3, :3].T + camera[:3, 3],
        pixels=np.asarray(sample["keypoints_2d"], np.float64),
        points=np.asarray(sample["object_points"], np.float64),
        body_contact=np.asarray(sample["body_contact"], bool),
        object_contact=np.asarray(sample["object_points_contact"], bool),
        object_floor=np.asarray(sample["object_points_floor"], bool),
    )
