"""Regions of an object's surface that a part of the body can be asked to touch: an armrest. Host functions."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from hoijax.errors import InputError
from hoijax.geometry import Mesh, farthest_points, nearest_host, stratified_samples

POINTS = 512
"""Points that stand for a region."""
ROUNDING = 1e-4
"""By how much boxes are larger than they say, metres: a seat at 0.45 is within what begins at 0.45."""
_CANDIDATES = 4096
"""Samples of a region among which they are chosen."""
_DENSE, _HALVINGS = 1 << 15, 14
"""Samples of the faces around a box, and how often these are cut in four until enough of them lie in it."""


@dataclasses.dataclass(frozen=True)
class ObjectRegion:
    """A part of an object's surface, as points spread evenly over it."""

    name: str
    """What messages call it."""
    points: Float[np.ndarray, "K 3"]
    """In the object's canonical frame, metres; `POINTS` of them, repeated where the region is smaller."""
    normals: Float[np.ndarray, "K 3"]
    """Unit normals of the faces there, of either side."""
    spacing: float
    """How far the region's surface is from the nearest of the points on average, metres."""

    def rotate(self, rotation: Float[np.ndarray, "3 3"]) -> "ObjectRegion":
        """The region of the object turned about its origin."""
        points, normals = (
            x.astype(np.float64) @ np.asarray(rotation, np.float64).T for x in (self.points, self.normals)
        )
        return dataclasses.replace(self, points=points.astype(np.float32), normals=normals.astype(np.float32))


def region_of_triangles(name: str, triangles: Float[np.ndarray, "F 3 3"]) -> ObjectRegion:
    """The region that some triangles cover.

    Args:
      name: what messages call it.
      triangles: corners in the object's canonical frame, metres.

    Raises:
      InputError: no triangles, or none with an area.
    """
    corners = np.asarray(triangles, np.float64).reshape(-1, 3, 3)
    if not len(corners) or not _areas(corners).sum() > 0:
        raise InputError(f"the region '{name}' has no surface")
    return _spread(name, *_samples(corners, _CANDIDATES))


def region_of_box(
    name: str, mesh: Mesh, lower: Sequence[float] | np.ndarray, upper: Sequence[float] | np.ndarray
) -> ObjectRegion:
    """The region of an object's surface within a box along the axes.

    Args:
      name: what messages call it.
      mesh: the object, canonical frame, metres.
      lower: the box's lower corner, (3,).
      upper: its upper one.

    Raises:
      InputError: the lower corner is not below the upper one, or none of the surface is in the box.
    """
    lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    if not (np.isfinite(lower) & np.isfinite(upper) & (lower < upper)).all():
        raise InputError(
            f"the region '{name}' is a box from {_text(lower)} to {_text(upper)}; wanted a lower corner, "
            "then an upper one, in metres of the object's own frame"
        )
    corners = np.asarray(mesh.vertices, np.float64)[np.asarray(mesh.faces)]
    lower, upper = lower - ROUNDING, upper + ROUNDING
    near, points, normals = _overlapping(corners, lower, upper), np.zeros((0, 3)), np.zeros((0, 3))
    for _ in range(_HALVINGS):
        if not len(near) or not _areas(near).sum() > 0:
            break
        points, normals = _samples(near, _DENSE)
        inside = ((points >= lower) & (points <= upper)).all(axis=1)
        points, normals = points[inside], normals[inside]
        if len(points) >= 4 * POINTS:
            break
        # Little of these faces is in the box: of their quarters fewer are beside it.
        near = _overlapping(_quarters(near), lower, upper)
    if not len(points):
        flat = corners.reshape(-1, 3)
        raise InputError(
            f"the region '{name}', a box from {_text(lower)} to {_text(upper)}, holds none of the object's surface, "
            f"which lies within {_text(flat.min(axis=0))} to {_text(flat.max(axis=0))} (metres, its own frame)"
        )
    return _spread(name, points, normals)


def region_of_vertices(name: str, mesh: Mesh, ids: Int[np.ndarray, "N"]) -> ObjectRegion:
    """The region of an object that some of its vertices mark: the faces between them, or else what is right at them.

    Args:
      name: what messages call it.
      mesh: the object, canonical frame, metres.
      ids: numbers of vertices, from 0.

    Raises:
      InputError: no ids, or ids beyond the mesh's vertices.
    """
    ids, count = np.unique(np.asarray(ids, np.int64)), len(mesh.vertices)
    if not len(ids):
        raise InputError(f"the region '{name}' names no vertices")
    if ids[0] < 0 or ids[-1] >= count:
        wrong = ids[0] if ids[0] < 0 else ids[-1]
        raise InputError(f"the region '{name}' names vertex {wrong}, the mesh has {count:,} (0 to {count - 1:,})")
    marked = np.zeros(count, bool)
    marked[ids] = True
    corners, chosen = np.asarray(mesh.vertices, np.float64)[np.asarray(mesh.faces)], marked[np.asarray(mesh.faces)]
    between = corners[chosen.all(axis=1)]
    if len(between) and _areas(between).sum() > 0:
        return region_of_triangles(name, between)
    around = chosen.any(axis=1)
    if not around.any():
        raise InputError(f"the region '{name}' names vertices that no face uses")
    # Vertices apart from each other: each face at one of them, shrunk to a tenth towards it.
    face, corner = np.nonzero(chosen)
    at = corners[face, corner]
    return region_of_triangles(name, at[:, None] + 0.1 * (corners[face] - at[:, None]))


def _overlapping(corners: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The triangles whose boxes touch a box."""
    return corners[((corners.max(axis=1) >= lower) & (corners.min(axis=1) <= upper)).all(axis=1)]


def _quarters(corners: np.ndarray) -> np.ndarray:
    """Each triangle cut in four at the middles of its edges."""
    a, b, c = np.moveaxis(corners, 1, 0)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    return np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])


def _areas(corners: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1) / 2


def _samples(corners: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Points spread over triangles, and the unit normals there."""
    points, face = stratified_samples(corners, number)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[face]
    return points, normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-30)


def _spread(name: str, points: np.ndarray, normals: np.ndarray) -> ObjectRegion:
    """The region of dense samples."""
    # Always as many candidates, so that one program chooses among them.
    pick = np.linspace(0, len(points) - 1, _CANDIDATES).astype(int)
    some = points[pick].astype(np.float32)
    chosen = np.asarray(farthest_points(some, POINTS))
    gap = np.asarray(nearest_host(some, some[chosen]).distance)
    return ObjectRegion(name, some[chosen], normals[pick][chosen].astype(np.float32), float(gap.mean()))


def _text(point: np.ndarray) -> str:
    return "(" + ", ".join(f"{x:.3g}" for x in point) + ")"
