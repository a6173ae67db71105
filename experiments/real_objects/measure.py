"""Penetration and contact by SciPy and trimesh alone: nothing of the refiner, its grid or its points.

A point is inside the object if rays from it say so of one of the object's closed parts; parts that are open have no
inside, but their surface is asked whether it is inside the body, which is closed. Where penetration is looked for on
the object are its vertices and dense samples of it; depths and distances are exact to the triangles, which the nearest
samples of a surface name.
"""

import dataclasses

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from hoijax.geometry import Mesh

OBJECT_SAMPLES, PART_SAMPLES, BODY_SAMPLES = 60_000, 8_000, 20_000
"""Surface samples of the object, of each closed part of it, and of the body."""
DEEPEST, NAMED = 256, 8
"""Of how many points the depth is made exact: the deepest by samples. How many samples name triangles."""


class SampledSurface:
    """A triangle mesh that is asked for distances."""

    def __init__(self, mesh: trimesh.Trimesh, count: int):
        points, face = trimesh.sample.sample_surface(mesh, count, seed=0)
        corners = np.asarray(mesh.faces)
        # Corners too, or small triangles would be nobody's.
        used, first = np.unique(corners, return_index=True)
        self.points = np.concatenate([np.asarray(mesh.vertices)[used], points])
        self._face = np.concatenate([first // 3, face])
        self._tree, self._triangles = cKDTree(self.points), np.asarray(mesh.vertices)[corners]

    def near(self, places: np.ndarray) -> np.ndarray:
        """Distances to the samples, (N,): never less than the true ones."""
        return self._tree.query(places)[0]

    def distance(self, places: np.ndarray) -> np.ndarray:
        """Distances to the triangles that the nearest samples lie on, (N,)."""
        index = self._tree.query(places, NAMED)[1]
        triangles = self._triangles[self._face[index]].reshape(-1, 3, 3)
        closest = trimesh.triangles.closest_point(triangles, np.repeat(places, NAMED, axis=0))
        away = np.linalg.norm(closest.reshape(*index.shape, 3) - places[:, None], axis=2)
        return away.min(axis=1)

    def deepest(self, places: np.ndarray) -> float:
        """The largest distance of places that are all inside; 0 for none."""
        if not len(places):
            return 0.0
        rough = self.near(places)
        return float(self.distance(places[np.argsort(-rough)[:DEEPEST]]).max())


@dataclasses.dataclass(frozen=True)
class Measured:
    """One interaction, metres."""

    body_in_object: float
    """Deepest body vertex in a closed part of the object."""
    object_in_body: float
    """Deepest object point in the body."""
    contact: dict[str, float]
    """Mean distance of each part's nearest tenth to the object."""

    @property
    def penetration(self) -> float:
        """The deeper of both."""
        return max(self.body_in_object, self.object_in_body)


def closed_parts(mesh: Mesh) -> list[trimesh.Trimesh]:
    """The closed parts of an object, wound outward, in its own frame."""
    whole = trimesh.Trimesh(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces), process=True)
    parts = whole.split(only_watertight=True)
    for part in parts:
        trimesh.repair.fix_normals(part)
    return list(parts)


def surface_of(mesh: Mesh, count: int = OBJECT_SAMPLES) -> SampledSurface:
    """The surface of an object: its vertices that are used, and points even by area."""
    return SampledSurface(
        trimesh.Trimesh(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces), process=False), count
    )


def measure(
    body: trimesh.Trimesh,
    object: SampledSurface,
    parts: list[trimesh.Trimesh],
    regions: dict[str, np.ndarray],
    asked: tuple[str, ...],
) -> Measured:
    """Measures one interaction.

    Args:
      body: closed, in the object's frame.
      object: from `surface_of` the object.
      parts: from `closed_parts` of the object.
      regions: vertex ids of the body's parts.
      asked: names of the parts that should touch.
    """
    vertices = np.asarray(body.vertices)
    deepest = 0.0
    for part in parts:
        near = np.flatnonzero(((vertices > part.bounds[0]) & (vertices < part.bounds[1])).all(axis=1))
        inside = near[part.contains(vertices[near])] if len(near) else near
        if len(inside):
            deepest = max(deepest, SampledSurface(part, PART_SAMPLES).deepest(vertices[inside]))
    points = object.points
    near = points[((points > body.bounds[0]) & (points < body.bounds[1])).all(axis=1)]
    sunk = SampledSurface(body, BODY_SAMPLES).deepest(near[body.contains(near)]) if len(near) else 0.0
    contact = {}
    for name in asked:
        own = vertices[regions[name]]
        count = -(-len(own) // 10)
        nearest = own[np.argsort(object.near(own))[: 2 * count]]
        contact[name] = float(np.sort(object.distance(nearest))[:count].mean())
    return Measured(deepest, sunk, contact)
