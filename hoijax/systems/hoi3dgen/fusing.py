"""A person and an object made one closed surface, of which it is known what belongs to whom."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Int

from hoijax.errors import InputError
from hoijax.geometry import Mesh, SDFGrid, build_sdf, build_solid_sdf, query_sdf
from hoijax.geometry.isosurface import isosurface, union_grid
from hoijax.io.simplify import simplify_closed

_CHUNK = 1 << 17
_MOST = 1 << 25  # samples of a grid


@dataclasses.dataclass(frozen=True)
class FuseConfig:
    """How fine a fused surface is."""

    spacing: float = 0.014
    """Of the grid that it comes from, metres."""
    resolution: int = 72
    """Of each mesh's own distance grid, samples along its longest side."""
    faces: int = 40_000
    """Most faces."""


@dataclasses.dataclass(frozen=True)
class FusedSurface:
    """One closed surface of two meshes."""

    mesh: Mesh
    labels: Int[np.ndarray, "V"]
    """The part of each vertex, by whose surface is nearer: 0 person, 1 object."""


_query = jax.jit(query_sdf)


def fuse_meshes(person: Mesh, thing: Mesh, config: FuseConfig | None = None) -> FusedSurface:
    """The union of a person's and an object's distance grids, by marching tetrahedra.

    Args:
      person: closed, metres.
      thing: metres; sheets without an inside are given one.
      config: how fine.

    Raises:
      InputError: the two lie so far apart that a grid around both would be too large, or a mesh cannot be used.
    """
    config = FuseConfig() if config is None else config
    points = np.concatenate([np.asarray(mesh.vertices) for mesh in (person, thing)])
    low, high = points.min(axis=0) - 2 * config.spacing, points.max(axis=0) + 2 * config.spacing
    cells = np.ceil((high - low) / config.spacing)
    if not np.isfinite(points).all() or np.prod(cells + 1) > _MOST:
        raise InputError(
            f"person and object together measure {np.round(high - low, 2).tolist()} m; at {config.spacing:g} m a "
            "sample no grid is made of that: are both in metres, and near each other?"
        )
    grids = (
        build_sdf(person, resolution=config.resolution, padding=0.05),
        build_solid_sdf(thing, resolution=config.resolution, padding=0.05)[0],
    )
    shape = cells.astype(int) + 1
    axes = [low[k] + config.spacing * np.arange(shape[k]) for k in range(3)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    fields = [_at(grid, places).reshape(shape) for grid in grids]
    mesh = isosurface(union_grid(fields, low, config.spacing))
    vertices, faces = simplify_closed(np.asarray(mesh.vertices), np.asarray(mesh.faces), config.faces)
    own, other = (_at(grid, vertices) for grid in grids)
    return FusedSurface(Mesh(vertices, faces), (other < own).astype(int))


def _at(grid: SDFGrid, points: np.ndarray) -> np.ndarray:
    rows = np.pad(points, ((0, -len(points) % _CHUNK), (0, 0)), mode="edge").reshape(-1, _CHUNK, 3)
    return np.concatenate([np.asarray(_query(grid, part)) for part in rows])[: len(points)]
