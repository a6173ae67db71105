"""Penetration and contact by SciPy and trimesh alone: nothing of the refiner, its grid or its points.

A point is inside the object if rays from it say so of one of the object's closed parts; parts that are open have no
inside, but their surface is asked whether it is inside the body, which is closed. Depths and distances are to dense
samples of the surfaces, some millimetres apart.
"""

import dataclasses

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from hoijax.geometry import Mesh

#: Surface samples of the object, and of the body.
OBJECT_SAMPLES, BODY_SAMPLES = 60_000, 40_000


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


def surface_samples(mesh: Mesh, count: int) -> np.ndarray:
    """Vertices that are used and points even by area, (N, 3)."""
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    points = trimesh.sample.sample_surface(trimesh.Trimesh(vertices, faces, process=False), count, seed=0)[0]
    return np.concatenate([vertices[np.unique(faces)], points])


def measure(
    body: trimesh.Trimesh,
    object_points: np.ndarray,
    parts: list[trimesh.Trimesh],
    regions: dict[str, np.ndarray],
    asked: tuple[str, ...],
) -> Measured:
    """Measures one interaction.

    Args:
      body: closed, in the object's frame.
      object_points: from `surface_samples` of the object.
      parts: from `closed_parts` of the object.
      regions: vertex ids of the body's parts.
      asked: names of the parts that should touch.
    """
    vertices = np.asarray(body.vertices)
    tree = cKDTree(object_points)
    distance = tree.query(vertices)[0]
    deepest = 0.0
    for part in parts:
        near = np.flatnonzero(((vertices > part.bounds[0]) & (vertices < part.bounds[1])).all(axis=1))
        if len(near):
            inside = near[part.contains(vertices[near])]
            if len(inside):
                own = cKDTree(trimesh.sample.sample_surface(part, 8000, seed=0)[0])
                deepest = max(deepest, float(own.query(vertices[inside])[0].max()))
    near = object_points[((object_points > body.bounds[0]) & (object_points < body.bounds[1])).all(axis=1)]
    sunk = 0.0
    if len(near):
        inside = near[body.contains(near)]
        if len(inside):
            samples = trimesh.sample.sample_surface(body, BODY_SAMPLES, seed=0)[0]
            sunk = float(cKDTree(samples).query(inside)[0].max())
    contact = {}
    for name in asked:
        ranked = np.sort(distance[regions[name]])
        contact[name] = float(ranked[: -(-len(ranked) // 10)].mean())
    return Measured(deepest, sunk, contact)
