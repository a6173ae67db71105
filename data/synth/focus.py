"""Which part of an object an action is about: where its distance grid has to be fine."""

import numpy as np

from hoijax.data.objects import ProceduralObject
from hoijax.geometry import Mesh

Box = tuple[np.ndarray, np.ndarray]
"""Lowest and highest corner in the object's frame, metres."""


def _part(obj: ProceduralObject, name: str) -> Box:
    points = np.asarray(obj.mesh.vertices)[obj.vertex_labels == obj.part_names.index(name)]
    return points.min(axis=0), points.max(axis=0)


def _within(obj: ProceduralObject, low: tuple[float, float, float], high: tuple[float, float, float]) -> Box:
    """A box in the object's frame, no larger than the object; heights count from its bottom."""
    half = np.array(obj.size) / 2
    shift = np.array([0.0, obj.bottom, 0.0])
    return np.maximum(np.array(low) + shift, -half), np.minimum(np.array(high) + shift, half)


def solid(obj: ProceduralObject, action: str, side: float) -> Mesh:
    """The mesh that penetration is driven out of while fitting.

    Thin panels that are touched from one side are made thick on the other, since the grid is coarser than they are; the
    straps of a worn backpack, which are soft in truth, are left out.

    Args:
      obj: the object.
      action: name of the action.
      side: sign of the z at which the person is in the object's frame.
    """
    vertices, faces = np.array(obj.mesh.vertices, float), np.asarray(obj.mesh.faces)
    if not obj.drawn:  # nobody knows where its panels' far sides are
        return Mesh(vertices, faces)
    if obj.category == "backpack" and action == "wear":
        return Mesh(vertices, faces[np.asarray(obj.part_labels) != obj.part_names.index("strap")])
    if obj.category == "door" and action != "pull":
        vertices[:, 2] -= np.where(vertices[:, 2] * side < 0, 0.3 * side, 0.0)
    if obj.category in ("table", "desk") and action == "lean":
        low, high = _part(obj, "top")
        under = (obj.vertex_labels == obj.part_names.index("top")) & (vertices[:, 1] < (low[1] + high[1]) / 2)
        vertices[under, 1] -= 0.12
    if obj.category == "chair" and action == "sit":
        labels = obj.vertex_labels
        back, seat = (labels == obj.part_names.index(name) for name in ("back", "seat"))
        slope, offset = np.polyfit(vertices[back, 1], vertices[back, 2], 1)  # the middle of the leaning plate
        vertices[back & (vertices[:, 2] < offset + slope * vertices[:, 1]), 2] -= 0.12
        low, high = _part(obj, "seat")
        vertices[seat & (vertices[:, 1] < (low[1] + high[1]) / 2), 1] -= 0.08
    return Mesh(vertices, faces)


def focus(obj: ProceduralObject, action: str) -> Box | None:
    """The box that an action needs to see finely; None: all of the object."""
    category, far = obj.category, 9.0
    if category == "door":
        if action == "pull":
            low, high = _part(obj, "handle")
            return low - [0.1, 0.15, 0.0], high + [0.1, 0.15, 0.0]
        return np.array([-0.36, obj.bottom + 0.6, -far]), np.array([0.36, obj.bottom + 1.85, far])
    if category in ("table", "desk"):
        top = obj.size[1]
        return _within(obj, (-0.55, top - 0.25, -far), (0.55, far, far))
    if category in ("trolley", "suitcase") and action in ("push", "pull", "carry_one_hand"):
        low, high = _part(obj, "handle")
        return np.array([low[0], high[1] - 0.3, low[2]]), high
    if category == "chair" and action in ("push", "pull", "lean"):
        low, high = _part(obj, "back")
        return np.array([low[0], high[1] - 0.3, low[2]]), high
    if category == "sofa" and action in ("push", "pull", "lean"):
        low, high = _part(obj, "back")
        return np.array([-0.5, high[1] - 0.3, low[2]]), np.array([0.5, high[1], high[2]])
    if category in ("bat", "racket", "umbrella"):
        low, high = _part(obj, "grip")
        return low - [0.05, 0.05, 0.05], np.array([high[0] + 0.05, low[1] + 0.38, high[2] + 0.05])
    if category == "backpack" and action == "carry_one_hand":
        low, high = _part(obj, "handle")
        return low - [0.1, 0.08, 0.1], high + [0.1, 0.02, 0.1]
    if category == "chair" and action == "sit":
        return _within(obj, (-far, 0.25, -far), (far, far, far))
    if category == "bicycle":
        return _within(obj, (-far, 0.66, -0.5), (far, far, 0.45))
    return None
