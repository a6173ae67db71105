"""Where a body touches an object, frame by frame: as colours of its vertices and as text, part by part."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.body_models import BodyModel, contact_regions, part_names
from hoijax.geometry import Mesh
from hoijax.geometry.closest_host import closest_on_mesh_host
from hoijax.geometry.winding_host import winding_number_host
from hoijax.interaction import THRESHOLDS
from hoijax.io import LoadedMesh
from hoijax.io.reading import shown
from hoijax.io.skinned_glb import Track
from hoijax.metrics import signed_distance_host
from hoijax.viz.contact_paint import REACH

PROBES = 4000
"""Points of the object's surface that are looked for inside the body, besides the mesh's vertices."""
TOGETHER = 32
"""Frames that are measured together."""

Vertices = Callable[[int], np.ndarray]
"""Frame to the body's `(V, 3)`."""


def nearest_to_object(vertices: Vertices, count: int, track: Track, mesh: LoadedMesh) -> np.ndarray:
    """Smallest signed distance of each vertex of a body to the object over the frames, `(V,)` metres, up to `REACH`.

    Args:
      vertices: of the body.
      count: frames.
      track: where the object is.
      mesh: the object.
    """
    shape, nearest = _shape(mesh), None
    low, high = shape.vertices.min(axis=0), shape.vertices.max(axis=0)
    for frames in _batches(count):
        points, scales = _in_object(vertices, track, frames)
        nearest = np.full(points.shape[1], REACH) if nearest is None else nearest
        gap = np.linalg.norm(points - np.clip(points, low, high), axis=2) * scales[:, None]
        near = gap < np.minimum(REACH, np.maximum(nearest, 1e-9))  # what is farther cannot become nearer
        distance = np.full(gap.shape, REACH)
        if near.any():
            scale = np.broadcast_to(scales[:, None], gap.shape)[near]
            distance[near] = scale * signed_distance_host(points[near], shape)
        nearest = np.minimum(nearest, distance.min(axis=0))
    return nearest


def report_lines(
    model: BodyModel,
    vertices: Vertices,
    count: int,
    track: Track,
    mesh: LoadedMesh,
    records: Sequence[Mapping[str, Any]],
    name: str,
) -> list[str]:
    """What touches, part by part, measured on the meshes.

    The distance of a part is that of its vertices to the object's surface, or of the object's surface points to the
    part's, whichever is smaller; its depth that of the deepest of either inside the other.

    Args:
      model: the body.
      vertices: of it.
      count: frames.
      track: where the object is.
      mesh: the object.
      records: what the refinement said, a row each; may be empty.
      name: of the result.
    """
    asked = _asked_parts(records)
    regions = contact_regions(model)
    names = dict.fromkeys(
        (*(part for part in part_names("15") if part in regions), *(a for a in asked if a in regions))
    )
    distance, depth = np.empty((count, len(names))), np.empty((count, len(names)))
    probes, shape = _probes(mesh), _shape(mesh)
    for frames in _batches(count):
        local, scales = _in_object(vertices, track, frames)
        own = signed_distance_host(local.reshape(-1, 3), shape).reshape(local.shape[:2]) * scales[:, None]
        for frame, body, scale, mine in zip(frames, local, scales, own):
            theirs, owner = _in_body(probes, Mesh(vertices=body, faces=np.asarray(model.faces)))
            theirs = scale * theirs
            for k, part in enumerate(names):
                both = np.concatenate([mine[regions[part]], theirs[np.isin(owner, regions[part])]])
                distance[frame, k], depth[frame, k] = max(both.min(), 0.0), max(-both.min(), 0.0)
    return _text(name, list(names), asked, 1000 * distance, 1000 * depth, records)


def _shape(mesh: LoadedMesh) -> Mesh:
    return Mesh(vertices=mesh.vertices.astype(np.float64), faces=mesh.faces)


def _batches(count: int) -> list[list[int]]:
    """Frames that are measured together, since the object's tree of faces is built anew each time."""
    return [list(range(first, min(first + TOGETHER, count))) for first in range(0, count, TOGETHER)]


def _in_object(vertices: Vertices, track: Track, frames: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The body's vertices `(N, V, 3)` in the coordinates of the object's mesh, and the metres of its unit `(N,)`."""
    scales = track.scales[frames]
    points = [(vertices(t) - track.places[t]) @ track.rotations[t] / s for t, s in zip(frames, scales)]
    return np.stack(points), scales


def _probes(mesh: LoadedMesh) -> np.ndarray:
    """Points of the object's surface: used vertices, and points drawn evenly by area, the same in every run."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    rng = np.random.default_rng(0)
    face = rng.choice(len(corners), PROBES, p=area / area.sum())
    u, v = rng.random((2, PROBES))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    drawn = corners[face, 0] + u[:, None] * (corners[face, 1] - corners[face, 0]) + v[:, None] * (
        corners[face, 2] - corners[face, 0])  # fmt: skip
    used = np.unique(mesh.faces)
    if len(used) > PROBES:
        used = rng.choice(used, PROBES, replace=False)
    return np.concatenate([mesh.vertices[used].astype(np.float64), drawn])


def _in_body(points: np.ndarray, body: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Signed distances of points to a body, `(P,)`, and the vertex that is nearest along its surface to each."""
    found = closest_on_mesh_host(points, body)
    near = ((points > body.vertices.min(axis=0)) & (points < body.vertices.max(axis=0))).all(axis=1)
    inside = np.zeros(len(points), bool)
    inside[near] = winding_number_host(points[near], body) > 0.5
    corner = np.asarray(found.bary).argmax(axis=1)
    return np.where(inside, -found.distance, found.distance), np.asarray(body.faces)[found.face, corner]


def _asked_parts(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Parts that the refinement was asked to bring into contact."""
    names: dict[str, None] = {}
    for record in records:
        after = record.get("after")
        contact = after.get("contact") if isinstance(after, Mapping) else None
        names |= dict.fromkeys(contact if isinstance(contact, Mapping) else ())
    return list(names)


def _text(
    name: str, parts: list[str], asked: list[str], distance: np.ndarray, depth: np.ndarray, records: Sequence[Mapping]
) -> list[str]:
    """The report; distances and depths `(T, R)` in millimetres."""
    count = len(distance)
    far, deep = 1000 * THRESHOLDS.far, 1000 * THRESHOLDS.deep
    lines = [f"{name}: {count} frame{'s' * (count != 1)}", ""]
    lines.append(
        f"millimetres, measured on the meshes; touches: nearer than {far:g}, penetrates: {deep:g} deep or more"
    )
    lines.append("* asked of the refinement")
    if count > 1:
        lines.append("distance: the smallest and the mean over the frames; depth: the largest; frames that touch")
    heads = ("distance", "mean", "depth", "frames") if count > 1 else ("distance", "depth")
    width = max(map(len, parts)) + 2
    lines += ["", f"{'part':<{width}}" + "".join(f"{head:>10}" for head in heads) + "  verdict"]
    for k, part in enumerate(parts):
        near, inside = distance[:, k].min(), depth[:, k].max()
        touches = distance[:, k] < far
        numbers = [f"{near:.1f}", f"{inside:.1f}"]
        if count > 1:
            numbers = [f"{near:.1f}", f"{distance[:, k].mean():.1f}", f"{inside:.1f}", f"{touches.sum()}"]
        words = ["touches"] if touches.all() else [f"touches in {touches.sum()} of {count}"] if touches.any() else []
        words = words or (["missed"] if part in asked else ["apart"])
        words += ["penetrates"] * bool(inside >= deep)
        label = part.replace("_", " ") + "*" * (part in asked)
        lines.append(f"{label:<{width}}" + "".join(f"{text:>10}" for text in numbers) + f"  {', '.join(words)}")
    worst = np.unravel_index(depth.argmax(), depth.shape)
    lines += ["", f"deepest: {depth[worst]:.1f} mm, {parts[worst[1]].replace('_', ' ')}, frame {worst[0]}"]
    for row, record in enumerate(records):
        verdict = record.get("verdict")
        if isinstance(verdict, list):
            words = "; ".join(shown(str(word)) for word in verdict)
            lines.append(f"the refinement's verdict on {shown(str(record.get('name', row)))}: {words}")
    return lines
