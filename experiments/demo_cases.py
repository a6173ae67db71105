"""The demo's interactions: how each is meant, how wrong its start is, and the files of `hoijax/assets/demo`.

    python -m hoijax.experiments.demo_cases

writes, for each case, a body (`.npz` in the field's keys, with the object's pose) and an object (`.glb`), and
`cases.json`; a few seconds. `refine_stats` perturbs the meant interactions at random.
"""

import dataclasses
import importlib.resources
import pathlib
import sys

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.body_models import JOINT_NAMES, BodyModel, BodyParams, named_hand_pose, named_pose
from hoijax.data.objects import ProceduralObject, make_object
from hoijax.geometry import RigidPose
from hoijax.io import ScenePart, write_glb, write_json, write_npz

ASSETS = pathlib.Path(str(importlib.resources.files("hoijax.assets"))) / "demo"

COLORS = ((0.72, 0.55, 0.38), (0.36, 0.38, 0.42), (0.2, 0.21, 0.23))
"""Colours of an object's first, second and third part, sRGB."""

Euler = tuple[str, float] | tuple[str, float, float] | tuple[str, float, float, float]


@dataclasses.dataclass(frozen=True)
class Error:
    """How wrong an estimate is: shifts in metres, turns in degrees as (axes, angles...) of intrinsic Euler angles."""

    body_shift: tuple[float, float, float]
    object_shift: tuple[float, float, float]
    body_turn: Euler = ("Y", 0.0)
    object_turn: Euler = ("Y", 0.0)


@dataclasses.dataclass(frozen=True)
class DemoInteraction:
    """One interaction on the floor y = 0; metres, degrees."""

    name: str
    title: str
    pose: str
    """A named pose of the free body, joints that differ from it (`*x`: left as written, right mirrored), hand poses."""
    joints: dict[str, Euler]
    hands: tuple[str, str]
    category: str
    """Category and sizes of a procedural object, and where its centre is; None: standing on the floor."""
    sizes: dict[str, float]
    place: tuple[float, float | None, float]
    contact: tuple[str, ...]
    start: Error
    turn: Euler = ("Y", 0.0)
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the body stands, added to the named pose's translation."""
    rests: bool = True
    """True where the object stands on the floor, False where it is carried."""


CASES: tuple[DemoInteraction, ...] = (
    DemoInteraction(
        name="sit_chair", title="Sitting on a chair",
        pose="sit", joints={}, hands=("relaxed", "relaxed"),
        category="chair", sizes={}, place=(0.0, None, 0.07), contact=("buttocks", "back"),
        start=Error((0.03, 0.14, 0.08), (-0.03, -0.03, -0.05), ("XY", 6.0, -9.0), ("YZ", 5.0, 5.0)),
    ),
    DemoInteraction(
        name="carry_box", title="Carrying a box with both hands",
        pose="carry", joints={}, hands=("flat", "flat"),
        category="box", sizes={}, place=(0.0, 1.2, 0.47), contact=("left_hand", "right_hand"), rests=False,
        start=Error((0.0, 0.05, 0.0), (0.12, -0.08, 0.07), ("X", 5.0), ("YX", 14.0, 8.0)),
    ),
    DemoInteraction(
        name="lean_table", title="Leaning on a table with one hand",
        pose="lean", joints={"left_shoulder": ("XZ", 2, -72), "left_elbow": ("Y", -25), "left_wrist": ("Z", 0)},
        hands=("relaxed", "flat"),
        category="table", sizes={}, place=(0.15, None, 0.78), contact=("right_hand",),
        start=Error((0.0, -0.08, 0.06), (0.03, 0.06, -0.05), ("YX", 8.0, 4.0), ("YX", -7.0, -4.0)),
    ),
    DemoInteraction(
        name="push_trolley", title="Pushing a trolley",
        pose="push", joints={"*shoulder": ("XZ", -44, -80), "*elbow": ("YX", -34, 60), "*wrist": ("XZ", 25, 20)},
        hands=("grasp", "grasp"),
        category="trolley", sizes={"width": 0.6, "height": 1.02}, place=(0.0, None, 0.9),
        contact=("left_hand", "right_hand"),
        start=Error((0.04, 0.07, 0.1), (-0.07, 0.05, 0.03), ("Y", 10.0), ("YX", -8.0, -5.0)),
    ),
    DemoInteraction(
        name="sit_ball", title="Sitting on an exercise ball",
        pose="sit", joints={"*hip": ("XZ", -76, 14), "*knee": ("X", 78)}, hands=("relaxed", "relaxed"),
        category="ball", sizes={"radius": 0.3}, place=(0.0, None, -0.02), contact=("buttocks",), shift=(0.0, 0.15, 0.0),
        start=Error((-0.07, 0.12, 0.02), (0.05, 0.03, -0.03), ("XZ", -5.0, 7.0)),
    ),
    DemoInteraction(
        name="hold_bottle", title="Holding a bottle in the right hand",
        pose="stand", joints={"right_shoulder": ("XZ", -22, 76), "right_elbow": ("Y", 70)}, hands=("relaxed", "grasp"),
        category="bottle", sizes={"radius": 0.032}, place=(-0.19, 1.21, 0.5), contact=("right_hand",), rests=False,
        start=Error((0.0, 0.06, 0.0), (0.07, 0.05, 0.1), ("X", 3.0), ("XZ", 25.0, -15.0)),
    ),
    DemoInteraction(
        name="pull_suitcase", title="Standing with a hand on a suitcase",
        pose="stand", joints={"right_shoulder": ("XZ", -4, 66), "right_elbow": ("Y", 8)}, hands=("relaxed", "grasp"),
        category="suitcase", sizes={"reach": 0.24}, place=(-0.4, None, 0.12), contact=("right_hand",),
        start=Error((0.05, 0.08, -0.04), (-0.05, 0.03, 0.06), ("YZ", 9.0, 3.0), ("YX", -10.0, 6.0)),
    ),
)  # fmt: skip


def find(name: str) -> DemoInteraction:
    """The case of a name.

    Raises:
      ValueError: no such case.
    """
    for case in CASES:
        if case.name == name:
            return case
    raise ValueError(f"no case {name!r}; there are {[case.name for case in CASES]}")


def matrix(turn: Euler) -> np.ndarray:
    """Rotation matrix of intrinsic Euler angles in degrees, written (axes, angles...)."""
    return Rotation.from_euler(turn[0], np.asarray(turn[1:]), degrees=True).as_matrix().reshape(3, 3)


def build_object(case: DemoInteraction) -> ProceduralObject:
    """The case's object in its canonical frame."""
    return make_object(case.category, **case.sizes)


def intended_parameters(case: DemoInteraction) -> dict[str, np.ndarray]:
    """The interaction as it is meant, in the field's keys; roughly right, not solved."""
    values = {key: np.array(value, np.float64) for key, value in named_pose(case.pose).items()}
    body = values["body_pose"].reshape(21, 3)
    for joint, turn in case.joints.items():
        vector = Rotation.from_matrix(matrix(turn)).as_rotvec()
        for side, mirror in (("left", (1, 1, 1)), ("right", (1, -1, -1))) if joint[0] == "*" else ((None, (1, 1, 1)),):
            name = joint if side is None else f"{side}_{joint[1:]}"
            body[JOINT_NAMES["free"].index(name) - 1] = vector * mirror
    values["body_pose"] = body.reshape(-1)
    for side, hand in zip(("left", "right"), case.hands):
        values[f"{side}_hand_pose"] = np.array(named_hand_pose(hand, side), np.float64).reshape(-1)
    values["betas"] = np.zeros(10)
    values["transl"] = values["transl"] + case.shift
    x, y, z = case.place
    values["obj_rot"] = Rotation.from_matrix(matrix(case.turn)).as_rotvec()
    values["obj_trans"] = np.array([x, -build_object(case).bottom if y is None else y, z])
    values["obj_scale"] = np.array(1.0)
    return values


def wrong(values: dict[str, np.ndarray], error: Error) -> dict[str, np.ndarray]:
    """An estimate with an error; the body turns about its pelvis, the object about its centre."""
    turned = dict(values)
    for key, turn in (("global_orient", error.body_turn), ("obj_rot", error.object_turn)):
        turned[key] = (Rotation.from_matrix(matrix(turn)) * Rotation.from_rotvec(values[key])).as_rotvec()
    turned["transl"] = values["transl"] + error.body_shift
    turned["obj_trans"] = values["obj_trans"] + error.object_shift
    return turned


def as_arrays(model: BodyModel, values: dict[str, np.ndarray]) -> tuple[BodyParams, RigidPose]:
    """Parameters and pose, float32, from the field's keys."""
    body = {key: values[key].astype(np.float32) for key in values if not key.startswith("obj_")}
    pose = RigidPose(
        rotation=Rotation.from_rotvec(values["obj_rot"]).as_matrix().astype(np.float32),
        translation=values["obj_trans"].astype(np.float32),
        scale=values["obj_scale"].astype(np.float32),
    )
    return BodyParams.from_axis_angle(model, **body), pose


def main(out: pathlib.Path = ASSETS) -> None:
    """Writes the demo's files."""
    rows = []
    for case in CASES:
        obj = build_object(case)
        vertices, colors = obj.mesh.vertices.astype(np.float32), np.asarray(COLORS)[obj.vertex_labels]
        part = ScenePart("object", vertices, obj.mesh.faces, colors, smooth=case.category in ("ball", "bottle"))
        write_glb(out / f"{case.name}.glb", [part])
        start = wrong(intended_parameters(case), case.start)
        write_npz(out / f"{case.name}.npz", {key: value.astype(np.float32) for key, value in start.items()})
        rows.append({
            "name": case.name, "title": case.title, "body": f"{case.name}.npz", "object": f"{case.name}.glb",
            "contact": case.contact, "floor": 0.0,
        })  # fmt: skip
    write_json(out / "cases.json", rows)


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))
