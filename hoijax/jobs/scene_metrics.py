"""The part of a scene around a body, and how the body touches and penetrates it. On the host."""

from collections.abc import Sequence

import numpy as np

from hoijax.errors import InputError
from hoijax.geometry import nearest_host
from hoijax.jobs.scene_inputs import SceneGeometry
from hoijax.metrics import touches_scene
from hoijax.metrics.scene import BEHIND
from hoijax.systems.graft import estimate_normals, on_rim

REACH = 2.5
"""Scene points farther than this from a person's pelvis are not looked at, metres."""
FARTHEST = 1.5
"""A person whose body is farther than this from every scene point cannot be meant to touch it, metres."""


def points_around(
    geometry: SceneGeometry, vertices: np.ndarray, joints: np.ndarray, capacity: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scene points near a person with their normals; estimated ones turn to the camera, or to above the head.

    Args:
      geometry: the scene.
      vertices: `(V, 3)` of the person, metres.
      joints: `(J, 3)`.
      capacity: most points; more are thinned out.

    Returns:
      Points and unit normals, `(N, 3)` each.

    Raises:
      InputError: the person is far away from all of the scene; the message begins with the verb.
    """
    nearest = float(np.asarray(nearest_host(vertices, geometry.points).distance).min())
    if nearest > FARTHEST:
        raise InputError(
            f"is {nearest:.1f} m away from the nearest scene point; scene and people must share a frame and be in "
            "metres"
        )
    near = np.linalg.norm(geometry.points - joints[0], axis=1) < REACH + FARTHEST
    chosen = np.flatnonzero(near)
    if len(chosen) > capacity:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, capacity, replace=False))
    points = geometry.points[chosen]
    if geometry.normals is not None:
        return points, geometry.normals[chosen]
    viewpoint = np.zeros(3) if geometry.from_camera else 2 * joints[15] - joints[0]
    return points, estimate_normals(points, viewpoint=viewpoint)


def measure_body(
    vertices: np.ndarray, scene: tuple[np.ndarray, np.ndarray], contact_vertices: np.ndarray | Sequence[int]
) -> dict[str, float]:
    """Contact and penetration of one body, by PhySIC's rule; metres, and a share of the contact set.

    Args:
      vertices: `(V, 3)` metres.
      scene: points and normals, `(N, 3)` each.
      contact_vertices: ids of vertices that may touch.
    """
    points, normals = scene
    nearest = nearest_host(vertices, points)
    index, distance = np.asarray(nearest.index), np.asarray(nearest.distance)
    height = np.sum((vertices - points[index]) * normals[index], axis=1)
    behind = (height < 0) & (distance <= BEHIND)
    # Beside the rim of an open cloud nothing is known: a shin before a seat's front edge is not inside the seat.
    below = np.flatnonzero(behind)
    behind[below] = ~on_rim(points, normals, index[below])
    touching = touches_scene(distance, height)[np.asarray(contact_vertices)]
    return {
        "deepest": float(np.maximum(-height[behind], 0).max(initial=0.0)),
        "touching": float(touching.mean()),
        "nearest": float(distance.min()),
    }
