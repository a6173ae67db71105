"""Two closed meshes made one surface whose parts are known: what a generated mesh looks like, with the answer."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Float, Int

from hoijax.errors import InputError
from hoijax.geometry import Mesh, SDFGrid, build_sdf, build_solid_sdf, query_sdf
from hoijax.geometry.isosurface import isosurface, union_grid
from hoijax.io.simplify import simplify_closed

_CHUNK = 1 << 17
_query = jax.jit(query_sdf)


@dataclasses.dataclass(frozen=True)
class FusedSurface:
    """One closed surface around a person and an object."""

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    labels: Int[np.ndarray, "V"]
    """The part of each vertex: 0 person, 1 object, whichever is nearer."""


def fuse_surfaces(
    person: Mesh, thing: Mesh, *, spacing: float = 0.014, resolution: int = 72, most_faces: int = 40_000
) -> FusedSurface:
    """The surface of the union of two meshes' distance grids, by marching tetrahedra.

    Args:
      person: closed, metres.
      thing: where it is not closed, what a ray cannot leave counts as inside.
      spacing: of the grid that the surface comes from, metres; what is thinner is lost.
      resolution: of each mesh's own distance grid.
      most_faces: faces to which it is simplified, where it stays closed.

    Raises:
      InputError: nothing to enclose.
    """
    if not len(person.faces) or not len(thing.faces):
        raise InputError(f"meshes of {len(person.faces)} and {len(thing.faces)} faces cannot be made one surface")
    grids = (
        build_sdf(person, resolution=resolution, padding=0.05),
        build_solid_sdf(thing, resolution=resolution, padding=0.05)[0],
    )
    points = np.concatenate([np.asarray(mesh.vertices) for mesh in (person, thing)])
    low, high = points.min(axis=0) - 2 * spacing, points.max(axis=0) + 2 * spacing
    shape = np.ceil((high - low) / spacing).astype(int) + 1
    axes = [low[k] + spacing * np.arange(shape[k]) for k in range(3)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    fields = [_at(grid, places).reshape(shape) for grid in grids]
    mesh = isosurface(union_grid(fields, low, spacing))
    vertices, faces = simplify_closed(np.asarray(mesh.vertices), np.asarray(mesh.faces), most_faces)
    of_person, of_thing = (_at(grid, vertices) for grid in grids)
    return FusedSurface(vertices, faces, (of_thing < of_person).astype(int))


def _at(grid: SDFGrid, points: np.ndarray) -> np.ndarray:
    rows = np.pad(points, ((0, -len(points) % _CHUNK), (0, 0)), mode="edge").reshape(-1, _CHUNK, 3)
    return np.concatenate([np.asarray(_query(grid, part)) for part in rows])[: len(points)]
