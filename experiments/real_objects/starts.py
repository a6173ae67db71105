"""A rough start of each case, from the action and the object's box alone; then perturbed as `refine_stats` does it."""

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.body_models import JOINT_NAMES, BodyModel, BodyParams, contact_regions, named_hand_pose, named_pose
from hoijax.experiments.real_objects.cases import Case
from hoijax.geometry import Mesh, RigidPose

_POSES: dict[str, tuple[str, dict[str, tuple], tuple[str, str]]] = {
    "sit": ("sit", {}, ("relaxed", "relaxed")),
    "sit_on": ("sit", {}, ("relaxed", "relaxed")),
    "lie": ("lie", {}, ("relaxed", "relaxed")),
    "lean": (
        "lean",
        {"left_shoulder": ("XZ", 2, -72), "left_elbow": ("Y", -25), "left_wrist": ("Z", 0)},
        ("relaxed", "flat"),
    ),
    "push": ("push", {}, ("flat", "flat")),
    "carry": ("carry", {}, ("flat", "flat")),
    "hold": (
        "stand",
        {"right_shoulder": ("XZ", -22, 76), "right_elbow": ("Y", 70)},
        ("relaxed", "relaxed"),
    ),
    "stand_on": ("stand", {}, ("relaxed", "relaxed")),
}
"""Named pose, joints that differ from it as (axes, degrees...), and the two hands."""


def body_of(model: BodyModel, case: Case) -> BodyParams:
    """The body in the action's pose at its own place, mean shape."""
    name, joints, hands = _POSES[case.action]
    values = {key: np.array(value, np.float64) for key, value in named_pose(name).items()}
    pose = values["body_pose"].reshape(21, 3)
    for joint, (axes, *angles) in joints.items():
        turn = Rotation.from_euler(axes, np.reshape(angles, -1) if len(axes) > 1 else angles[0], degrees=True)
        pose[JOINT_NAMES["free"].index(joint) - 1] = turn.as_rotvec()
    values["body_pose"] = pose.reshape(-1)
    for side, hand in zip(("left", "right"), hands):
        values[f"{side}_hand_pose"] = np.array(named_hand_pose(hand, side), np.float64).reshape(-1)
    values["betas"] = np.zeros(model.num_betas)
    return BodyParams.from_axis_angle(model, **{key: value.astype(np.float32) for key, value in values.items()})


def start_of(
    model: BodyModel, case: Case, mesh: Mesh, params: BodyParams, vertices: np.ndarray
) -> tuple[BodyParams, RigidPose]:
    """Body and object where the action has them, to some centimetres.

    Args:
      model: the body.
      case: the action.
      mesh: the object, on the floor y = 0 above the origin.
      params: from `body_of`.
      vertices: its posed vertices, metres.
    """
    box = np.stack([np.min(mesh.vertices, axis=0), np.max(mesh.vertices, axis=0)])
    lift, place = np.zeros(3), np.zeros(3)
    palms = {side: vertices[contact_regions(model)[f"{side}_palm"]] for side in ("left", "right")}
    if case.action in ("sit", "sit_on"):
        # As in issue 13 the seat is at the origin, and only one that is higher than the pose's lifts the body.
        lift[1] = max(0.0, _top(mesh, 0.0) - 0.45)
    elif case.action in ("lie", "stand_on"):
        lift[1] = _top(mesh, 0.0)
    elif case.action == "lean":
        middle = palms["right"].mean(axis=0)
        place = np.array([middle[0], 0.0, middle[2] - box[0, 2] - 0.1])
    elif case.action == "push":
        place = np.array([0.0, 0.0, max(p[:, 2].max() for p in palms.values()) - box[0, 2]])
    elif case.action == "carry":
        place = (palms["left"].mean(axis=0) + palms["right"].mean(axis=0)) / 2 - box.mean(axis=0)
        place[2] += max(0.0, 0.18 - (place[2] + box[0, 2]))  # not in the chest
    else:
        palm = palms["right"]
        faces = np.asarray(model.faces)
        normals = trimesh.Trimesh(vertices, faces, process=False).vertex_normals
        out = normals[contact_regions(model)["right_palm"]].mean(axis=0)
        out /= np.linalg.norm(out)
        middle = box.mean(axis=0)
        reach = np.max((np.asarray(mesh.vertices) - middle) @ -out)
        place = palm.mean(axis=0) + (reach + 0.01) * out - middle
    pose = RigidPose(
        rotation=np.eye(3, dtype=np.float32), translation=place.astype(np.float32), scale=np.ones((), np.float32)
    )
    return params.replace(translation=np.asarray(params.translation) + lift.astype(np.float32)), pose


def _top(mesh: Mesh, along: float) -> float:
    """Height of the object's upper surface near its middle: the median of rays from above that hit."""
    shape = trimesh.Trimesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), process=False)
    x, z = np.meshgrid(np.linspace(-0.1, 0.1, 5), np.linspace(-0.1, 0.1, 5) + along)
    above = np.stack([x.ravel(), np.full(x.size, shape.bounds[1, 1] + 1.0), z.ravel()], axis=1)
    hits, ray, _ = shape.ray.intersects_location(above, np.tile([0.0, -1.0, 0.0], (len(above), 1)))
    if not len(hits):
        return float(shape.bounds[1, 1])
    tops = np.full(len(above), -np.inf)
    np.maximum.at(tops, ray, hits[:, 1])
    return float(np.median(tops[np.isfinite(tops)]))
