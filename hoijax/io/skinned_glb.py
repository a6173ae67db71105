"""Writing GLB with a body on its skeleton and an object beside it, both moving.

References: the Khronos glTF 2.0 specification, sections 3.7.3 (skins) and 3.11 (animations).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from hoijax.io.files import PathLike, write_bytes
from hoijax.io.glb import ARRAY_BUFFER, FLOAT, UINT8, ScenePart, add_accessor, append_part, pack_glb
from hoijax.io.motion import Motion, running_quaternions

INFLUENCES = (4, 8)
"""Joints that may move one vertex: one set of four, or two, of which some viewers read the first alone."""


@dataclasses.dataclass(frozen=True)
class Track:
    """Where a rigid object is, frame by frame: a point p of its mesh is at `scale * rotation p + place`."""

    rotations: np.ndarray
    """`(T, 3, 3)`."""
    places: np.ndarray
    """`(T, 3)` metres."""
    scales: np.ndarray
    """`(T,)`."""

    def rotate(self, turn: np.ndarray) -> "Track":
        """The track in a world that is turned by `(3, 3)`."""
        return dataclasses.replace(self, rotations=turn @ self.rotations, places=self.places @ turn.T)


def strongest(weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The joints that move each vertex most.

    Args:
      weights: `(V, J)`, rows that sum to one.
      count: how many.

    Returns:
      Joints `(V, count)`, 0 where the weight is 0, and their weights, which sum to one; the strongest first.
    """
    weights = np.pad(weights, ((0, 0), (0, max(0, count - weights.shape[1]))))
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    kept = np.take_along_axis(weights, joints, axis=1)
    kept = kept / kept.sum(axis=1, keepdims=True)
    return np.where(kept > 0, joints, 0), kept


def write_skinned_glb(
    path: PathLike,
    body: ScenePart,
    weights: np.ndarray,
    motion: Motion,
    *,
    times: np.ndarray,
    influences: int = 4,
    object: tuple[ScenePart, Track] | None = None,
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Writes a scene as GLB, whole or not at all.

    Nodes are the body's mesh, the object, and the joints as a tree below the first of them. They stand as in the first
    frame; with more than one, an animation turns every joint and moves the first one and the object.

    Args:
      path: the file to write.
      body: its mesh in the rest pose of `motion`.
      weights: `(V, J)` of its vertices, rows that sum to one.
      motion: metres, y up.
      times: `(T,)` of the frames, seconds, rising.
      influences: of `INFLUENCES`, how many joints move a vertex; weaker ones are left out.
      object: its mesh in its own coordinates, and where it is in each of the motion's frames.
      extras: JSON values kept in the scene's `extras`.

    Raises:
      ValueError: a mesh without vertices or faces, or weights of other vertices or joints.
    """
    joints = len(motion.parents)
    if weights.shape != (len(body.vertices), joints):
        raise ValueError(f"weights have the shape {weights.shape}, wanted ({len(body.vertices)}, {joints})")
    tree: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "hoijax"}, "scene": 0, "nodes": [], "meshes": [], "materials": [],
        "skins": [], "accessors": [], "bufferViews": [],
    }  # fmt: skip
    chunks: list[bytes] = []
    append_part(body, tree, chunks)
    tree["meshes"][0]["primitives"][0]["attributes"] |= skin_attributes(tree, chunks, weights, influences)
    quaternions = running_quaternions(motion.rotations)
    first = 1 if object is None else 2
    tree["nodes"].append({"name": body.name, "mesh": 0, "skin": 0})
    if object is not None:
        append_part(object[0], tree, chunks)
        turns = running_quaternions(object[1].rotations)
        node = {"translation": object[1].places[0].tolist(), "rotation": turns[0].tolist()}
        tree["nodes"].append({"name": object[0].name, "mesh": 1, **node, "scale": [float(object[1].scales[0])] * 3})
    tree["skins"].append(append_joints(body.name, motion, quaternions[0], tree, chunks))
    tree["scenes"] = [{"nodes": list(range(first + 1))} | ({"extras": dict(extras)} if extras else {})]
    if motion.count > 1:
        animation = _Animation(tree, chunks, times)
        for i in range(joints):
            animation.channel(first + i, "rotation", quaternions[:, i])
        animation.channel(first, "translation", motion.places)
        if object is not None:
            animation.channel(1, "rotation", turns)
            animation.channel(1, "translation", object[1].places)
            if np.ptp(object[1].scales) > 0:
                animation.channel(1, "scale", np.repeat(object[1].scales[:, None], 3, axis=1))
        tree["animations"] = [animation.tree]
    write_bytes(path, pack_glb(tree, chunks))


def append_joints(
    name: str, motion: Motion, quaternions: np.ndarray, tree: dict[str, Any], chunks: list[bytes]
) -> dict[str, Any]:
    """Adds a node for each joint, as it stands in the first frame.

    Args:
      name: of the skin.
      motion: metres, y up.
      quaternions: `(J, 4)` of that frame, x, y, z, w.
      tree: the file's JSON.
      chunks: its binary parts.

    Returns:
      The skin, for `tree["skins"]`; its first joint's node is its "skeleton".
    """
    first, joints, offsets = len(tree["nodes"]), len(motion.parents), motion.offsets()
    for i, joint in enumerate(motion.names):
        place = motion.places[0] if motion.parents[i] < 0 else offsets[i]
        children = [first + k for k, parent in enumerate(motion.parents) if parent == i]
        node = {"name": joint, "translation": place.tolist(), "rotation": quaternions[i].tolist()}
        tree["nodes"].append(node | ({"children": children} if children else {}))
    inverse = np.tile(np.eye(4), (joints, 1, 1))
    inverse[:, :3, 3] = -motion.rest
    columns = inverse.transpose(0, 2, 1).reshape(joints, 16).astype(np.float32)
    bind = add_accessor(tree, chunks, columns, FLOAT, "MAT4", None)
    skin = {"name": name, "joints": list(range(first, first + joints)), "skeleton": first}
    return skin | {"inverseBindMatrices": bind}


def skin_attributes(tree: dict[str, Any], chunks: list[bytes], weights: np.ndarray, influences: int) -> dict[str, int]:
    """Adds the attributes that hang a mesh on its joints.

    Args:
      tree: that is being made.
      chunks: pieces of its buffer.
      weights: `(V, J)`, rows that sum to one.
      influences: of `INFLUENCES`.

    Returns:
      The accessors' numbers by attribute.
    """
    joints, kept = strongest(weights, influences)
    attributes = {}
    for k in range(influences // 4):
        four = slice(4 * k, 4 * k + 4)
        attributes |= {
            f"JOINTS_{k}": add_accessor(tree, chunks, joints[:, four].astype(np.uint8), UINT8, "VEC4", ARRAY_BUFFER),
            f"WEIGHTS_{k}": add_accessor(tree, chunks, kept[:, four].astype(np.float32), FLOAT, "VEC4", ARRAY_BUFFER),
        }
    return attributes


class _Animation:
    """One animation, whose channels share their times."""

    def __init__(self, tree: dict[str, Any], chunks: list[bytes], times: np.ndarray):
        self._file, self._chunks = tree, chunks
        times = times.astype(np.float32)
        ends = {"min": [float(times[0])], "max": [float(times[-1])]}  # which glTF requires of times
        self._times = add_accessor(tree, chunks, times, FLOAT, "SCALAR", None, **ends)
        self.tree: dict[str, Any] = {"name": "motion", "channels": [], "samplers": []}

    def channel(self, node: int, path: str, values: np.ndarray) -> None:
        kind = f"VEC{values.shape[1]}"
        output = add_accessor(self._file, self._chunks, values.astype(np.float32), FLOAT, kind, None)
        self.tree["channels"].append({"sampler": len(self.tree["samplers"]), "target": {"node": node, "path": path}})
        self.tree["samplers"].append({"input": self._times, "output": output, "interpolation": "LINEAR"})
