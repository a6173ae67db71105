"""From the names of body points to places on any body model: joints, surface vertices, and mixtures of both.

The names are those of `hoijax.body_models.keypoint_names`: joints (`left_knee`, `left_index1`), finger tips without a
number (`left_index`), `nose`, `left_eye`, `left_ear`, `left_big_toe`, `left_heel`, ... and two mixtures, `mid_hip` and
`mid_shoulder`. A body without finger joints (SMPL) has its knuckles on the lines from the wrist to the finger tips, at
the proportions of the free body; a body without finger tips either has them at its hand joint.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams, PosedBody, pose_body, subset
from hoijax.errors import InputError
from hoijax.geometry import einsum

ArrayLike = jax.Array | np.ndarray

KNUCKLES: dict[str, tuple[float, float, float]] = {
    "index": (0.585, 0.727, 0.853),
    "middle": (0.541, 0.720, 0.865),
    "ring": (0.548, 0.713, 0.851),
    "pinky": (0.624, 0.764, 0.866),
    "thumb": (0.317, 0.519, 0.788),
}
"""Share of the way from the wrist to the tip at which each joint of a finger lies, of the free body at rest."""
_MEANS = {"mid_hip": ("left_hip", "right_hip"), "mid_shoulder": ("left_shoulder", "right_shoulder")}
_BODY = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "nose", "head_top",
    *(f"{side}_{name}" for side in ("left", "right") for name in ("eye", "ear", "big_toe", "small_toe", "heel")),
    *_MEANS,
)  # fmt: skip
_FINGERS = tuple(
    f"{side}_{finger}{k}" for side in ("left", "right") for finger in KNUCKLES for k in ("1", "2", "3", "")
)
POINT_NAMES: tuple[str, ...] = _BODY + _FINGERS
"""Every name that an observation may use."""


@struct.dataclass
class PointTable:
    """Named points as fixed mixtures of a body's joints and of a few of its vertices."""

    model: BodyModel
    """The body reduced to the vertices that are looked at (`body_models.subset`)."""
    weights: Float[ArrayLike, "N K"] | Any
    """Share of each of the J joints, then of each of the reduced body's vertices, in each point; rows sum to one,
    or are zero where the body has no such point."""
    names: tuple[str, ...] = struct.field(pytree_node=False)
    """Names of the N points."""
    known: tuple[bool, ...] = struct.field(pytree_node=False)
    """Whether the body has each point."""


def point_table(model: BodyModel, names: tuple[str, ...]) -> PointTable:
    """Where the named points lie on a body.

    Args:
      model: free body, SMPL, SMPL-H, SMPL-X or another with their joint names.
      names: from `POINT_NAMES`.

    Raises:
      InputError: a name that is none of a body's, or the body has none of the points.
    """
    wrong = [name for name in names if name not in POINT_NAMES]
    if wrong:
        raise InputError(
            f"{wrong[0]!r} is no point of a body; points are {', '.join(_BODY)}, and fingers: left_index1 to "
            "left_index3 from the knuckle on, left_index for the tip"
        )
    mixtures = [_mixture(model, name) for name in names]
    if not any(mixtures):
        raise InputError(f"the {model.kind} body has none of the points {', '.join(names) or '(no names)'}")
    landmarks, joints = dict(model.landmarks), model.joint_names
    # A body of joints alone still has a vertex: skinning none is not defined.
    vertices = sorted({landmarks[part] for mix in mixtures for part in mix if part not in joints}) or [0]
    weights = np.zeros((len(names), len(joints) + len(vertices)), np.asarray(model.v_template).dtype)
    for row, mix in enumerate(mixtures):
        for part, share in mix.items():
            column = joints.index(part) if part in joints else len(joints) + vertices.index(landmarks[part])
            weights[row, column] += share
    small = subset(model, np.asarray(vertices, np.int32)).replace(faces=np.zeros((0, 3), np.int32), colors=None)
    return PointTable(small, weights, tuple(names), tuple(bool(mix) for mix in mixtures))


def _mixture(model: BodyModel, name: str) -> dict[str, float]:
    """Parts (joints or landmarks) of a point and their shares; empty where the body has no such point."""
    known = {*model.joint_names, *(landmark for landmark, _ in model.landmarks)}
    if name in known:
        return {name: 1.0}
    if name in _MEANS:
        return {part: 0.5 for part in _MEANS[name]} if known.issuperset(_MEANS[name]) else {}
    if name in _FINGERS:
        side, finger = name.split("_")
        number = finger[-1] if finger[-1].isdigit() else ""
        wrist, tip, hand = f"{side}_wrist", f"{side}_{finger.removesuffix(number)}", f"{side}_hand"
        if number and {wrist, tip} <= known:
            share = KNUCKLES[finger[:-1]][int(number) - 1]
            return {wrist: 1.0 - share, tip: share}
        if number == "1" and not finger.startswith("thumb") and hand in known:
            return {hand: 1.0}
    return {}


def place_points(table: PointTable, params: BodyParams) -> tuple[Float[jax.Array, "N 3"], Float[jax.Array, "J 3"]]:
    """The named points and the joints of a posed body, metres, in the frame of the parameters. One body; `vmap`."""
    body: PosedBody = pose_body(table.model, params)
    parts = jnp.concatenate([jnp.asarray(body.joints), jnp.asarray(body.vertices)])
    return einsum("nk,kc->nc", table.weights, parts), jnp.asarray(body.joints)
