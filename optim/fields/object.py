"""An object as refiners see it: points spread over its surface with their normals, and its distance grid."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float

from hoijax.geometry import (
    Mesh,
    SDFGrid,
    face_normals,
    farthest_points,
    nearest,
    query_sdf,
    sample_surface,
)
from hoijax.interaction import ObjectTemplate
from hoijax.optim.fields.body import cast_floating
from hoijax.optim.programs import Program

ArrayLike = jax.Array | np.ndarray

SDF_RESOLUTION = 112
"""Samples of an object's distance grid along its longest side that the refiner's numbers are for: bars of two
centimetres that hands hold are lost between the samples of a coarser one."""
SPREAD_POINTS, SURFACE_POINTS = 1024, 8192
"""Surface points of an object that are spread over it, and those from which the nearest to a body are taken."""


@struct.dataclass
class ObjectField:
    """An object in its canonical frame, with array shapes that do not depend on its mesh."""

    sdf: SDFGrid
    points: Float[ArrayLike, "P 3"] | Any
    """Surface points, (P, 3): the template's own and others, `SPREAD_POINTS` in all, such that any first of them are
    spread evenly; then `SURFACE_POINTS` random ones."""
    normals: Float[ArrayLike, "P 3"] | Any
    """Outward unit normals there, (P, 3)."""
    spacing: Float[ArrayLike, ""] | Any
    """How far the surface is from the nearest spread point on average, ()."""


def object_field(template: ObjectTemplate, dtype: Any = jnp.float32, *, quick: bool = False) -> ObjectField:
    """Prepares an object. Host function; keep the result.

    Args:
      template: mesh, template points and SDF of the object.
      dtype: of every floating array of the result.
      quick: compile fast rather than well (`hoijax.optim.programs`).

    Raises:
      ValueError: there are as many template points as points that are to be spread over the object.
    """
    own = jnp.asarray(template.points, dtype)
    if len(own) >= SPREAD_POINTS:
        raise ValueError(f"an object has at most {SPREAD_POINTS - 1} template points here, got {len(own)}")
    sdf = jax.tree.map(lambda x: cast_floating(x, dtype), template.sdf)
    return _object_field(sdf, _pad_mesh(template.mesh, dtype), own, quick=quick)


def facing_air(
    sdf: SDFGrid, points: Float[jax.Array, "N 3"], normals: Float[jax.Array, "N 3"]
) -> tuple[Float[jax.Array, "N 3"], Bool[jax.Array, "N"]]:
    """Normals of surface points turned to where the distance grid says outside is, and which points can be touched."""
    step = sdf.spacing * normals
    ahead, behind = query_sdf(sdf, points + step), query_sdf(sdf, points - step)
    # Meshes whose faces wind the wrong way: the distance grid knows outside.
    normals = jnp.where((ahead < behind)[:, None], -normals, normals)
    # Sheets can be touched from both sides: every other sample is of the other one.
    sheet = (jnp.minimum(ahead, behind) > 0) & (jnp.arange(len(points)) % 2 == 1)
    return jnp.where(sheet[:, None], -normals, normals), jnp.maximum(ahead, behind) > 0


def _pad_mesh(mesh: Mesh, dtype: Any) -> Mesh:
    """The mesh with faces of no area, which nobody samples, up to a power of two: objects then share a program."""
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    more = [(1 << max(10, int(n - 1).bit_length())) - n for n in (len(vertices), len(faces))]
    vertices = np.concatenate([vertices, np.zeros((more[0], 3), vertices.dtype)])
    faces = np.concatenate([faces, np.zeros((more[1], 3), faces.dtype)])
    return Mesh(vertices=vertices.astype(dtype), faces=faces)


@Program
def _object_field(sdf: SDFGrid, mesh: Mesh, own: jax.Array) -> ObjectField:
    samples = sample_surface(jax.random.key(0), mesh, SURFACE_POINTS)
    normals = face_normals(mesh.vertices, mesh.faces)[samples.face_ids]
    normals, reachable = facing_air(sdf, samples.points, normals)
    # Faces buried in the object cannot be touched: their samples become copies of one that can.
    index = jnp.where(reachable, jnp.arange(SURFACE_POINTS), jnp.argmax(reachable))
    surface, normals = samples.points[index], normals[index]
    chosen = farthest_points(surface, SPREAD_POINTS - len(own), start=0)
    spread = jnp.concatenate([own, surface[chosen]])
    facing = jnp.concatenate([normals[nearest(own, surface).index], normals[chosen]])
    return ObjectField(
        sdf=sdf,
        points=jnp.concatenate([spread, surface]),
        normals=jnp.concatenate([facing, normals]),
        spacing=jnp.mean(nearest(surface, spread).distance),
    )
