"""Options to numbers: where the object stands at first (spec 4.3). Pure host function, no randomness."""

import dataclasses

import numpy as np
from jaxtyping import Float

from hoijax.errors import InputError
from hoijax.systems.interactanything.relations.reasoning import FRONTS
from hoijax.systems.interactanything.relations.schema import BANDS, SCALES, Relations
from hoijax.systems.interactanything.relations.shape import Box

GAP = 0.012
"""Between person and object, over the person's height."""
DIRECTIONS = {"front": (0, 0, 1), "back": (0, 0, -1), "left": (1, 0, 0), "right": (-1, 0, 0)}
"""From the person to the object: y up, the person looks along +z, its left is +x."""


@dataclasses.dataclass(frozen=True)
class Placement:
    """The object's first pose, and how far the body is lifted."""

    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]
    """Metres; a point of the mesh goes to scale * rotation @ point + translation."""
    scale: float
    lift: float
    """What the body rises so that it rests on what does not move, metres."""
    on_ground: bool


def place(
    relations: Relations,
    body: tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]],
    vertices: Float[np.ndarray, "V 3"],
    *,
    front: str = "+z",
    parts_low: float | None = None,
    parts_centre: Float[np.ndarray, "3"] | None = None,
) -> Placement:
    """Places the object round a body in its rest pose.

    Args:
      relations: of the sentence.
      body: the body's bounding box, lower and upper corner, metres; y up, feet at the floor, facing +z.
      vertices: the mesh's, its own frame.
      front: as given to `reason`.
      parts_low: the lowest height of the parts that touch, metres; None: the body's middle where it sits or lies on
        the object, its lowest point where it stands.
      parts_centre: their centre, (3,), metres, for what is worn or surrounds; None: the body's.

    Raises:
      InputError: a body without height, a mesh without extent, an unknown front.
    """
    lower, upper = (np.asarray(x, np.float64) for x in body)
    height = float(upper[1] - lower[1])
    vertices = np.asarray(vertices, np.float64)
    extent = float(np.ptp(vertices, axis=0).max()) if len(vertices) else 0.0
    if front not in FRONTS:
        raise InputError(f"front is one of {', '.join(FRONTS)}; got {front!r}")
    if not (np.isfinite(height) and height > 0):
        raise InputError(f"the body's box is {height:.3g} m high; wanted its lower corner, then its upper one")
    if not (np.isfinite(extent) and extent > 0):
        raise InputError("the mesh has no extent")
    scale = (
        relations.mesh_scale
        if relations.size_m or relations.reasoner == "offline"
        else (SCALES[relations.scale] * height / extent)
    )
    side, gap = relations.object_side_of_human, GAP * height
    direction = np.array(DIRECTIONS.get(side, (0, 0, 0)), float)
    towards = -direction if side in DIRECTIONS else np.array([0.0, 0.0, 1.0])
    rotation = facing(relations.object_face_to_human, towards, front)
    turned = scale * vertices @ rotation.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    half, middle = (high - low) / 2, (high + low) / 2
    body_half, body_middle = (upper - lower) / 2, (upper + lower) / 2
    lift, centre = 0.0, body_middle.copy()
    if side in DIRECTIONS:
        centre += direction * (body_half + half + gap)
    if side == "around" and parts_centre is not None:
        centre = np.asarray(parts_centre, np.float64).copy()
    ground = relations.height_band == "ground"
    if ground:
        centre[1] = lower[1] + half[1]
    elif side == "above":
        centre[1] = upper[1] + gap + half[1]
    elif side != "around" or not relations.movable:
        centre[1] = lower[1] + BANDS[relations.height_band] * height
    if side == "below":
        lies = relations.pose in ("sit", "straddle", "lie")
        rest = _support(relations, scale, rotation, middle, half, lies) + centre[1] - half[1]
        at = parts_low if parts_low is not None else float(body_middle[1] if lies else lower[1])
        lift = float(rest - at)
    return Placement(rotation, centre - middle, float(scale), lift, ground)


def facing(face: str, towards: np.ndarray, front: str = "+z") -> Float[np.ndarray, "3 3"]:
    """The rotation after which a side of the object looks in a horizontal direction.

    Args:
      face: one of `schema.FACES`.
      towards: unit vector, horizontal.
      front: where the object's front looks before.
    """
    yaw = {"front": 0.0, "left": 0.5, "back": 1.0, "right": 1.5}.get(face, 0.0) * np.pi
    begin = 0.0 if front == "+x" else -np.pi / 2  # R_y(a) turns +x to (cos a, 0, -sin a)
    angle = np.arctan2(-towards[2], towards[0])
    if face in ("top", "bottom"):
        axis = np.cross([0.0, 1.0, 0.0], towards)
        quarter = _about(axis, np.pi / 2 if face == "top" else -np.pi / 2)
        return quarter @ _yaw(angle - begin)
    return _yaw(angle - begin - yaw)


def _support(relations: Relations, scale, rotation, middle, half, lies: bool) -> float:
    """Height of what bears the weight above the object's lowest point."""
    boxes = [box for c in relations.contacts if c.kind == "support" for box in c.places[:1]]
    if boxes:
        return float(np.mean([_top_of(box, scale, rotation) for box in boxes[:1]]) - (middle - half)[1])
    return float(half[1] if lies else 2 * half[1])


def _top_of(box: Box, scale: float, rotation: np.ndarray) -> float:
    corners = np.stack(np.meshgrid(*zip(box.lower, box.upper), indexing="ij"), axis=-1).reshape(-1, 3)
    return float((scale * corners @ rotation.T)[:, 1].max())


def _yaw(angle: float) -> np.ndarray:
    return _about(np.array([0.0, 1.0, 0.0]), angle)


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues' rotation about a unit axis."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
