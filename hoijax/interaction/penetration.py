"""Penetration of a body and an object, both ways.

Body in object: the object's signed distance (`object_sdf`) at the body's vertices. Object in body: signed depth of
object points below the body's surface, from nearest vertices and normals (`nearest_vertex_depth`, cheap, right near a
smooth closed surface) or from the mesh itself (`signed_distance`, exact, slower). Functions take one sample unless
they say otherwise; batch them with `vmap`. Metres.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Shaped

from hoijax.geometry import (
    Mesh,
    RigidPose,
    SDFGrid,
    closest_on_mesh,
    cross,
    inverse,
    nearest,
    query_sdf,
    safe_normalize,
    transform_points,
    winding_number,
)
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction._arrays import Reduction, reduce_masked


def object_sdf(sdf: SDFGrid, pose: RigidPose, points: Float[ArrayLike, "*B N 3"]) -> Float[jax.Array, "*B N"]:
    """Signed distance of points to a posed object. Any leading axes of `pose` and `points`, one grid.

    Args:
      sdf: grid in the object's canonical frame.
      pose: maps canonical coordinates to the frame of the points.
      points: body vertices, metres.

    Returns:
      Metres, positive outside. Differentiable in the pose and in the points.
    """
    points = jnp.asarray(points)
    return jnp.asarray(pose.scale)[..., None] * query_sdf(sdf, transform_points(inverse(pose), points))


def depth_loss(
    depth: Float[ArrayLike, "*N"],
    *,
    mask: Shaped[ArrayLike, "*N"] | None = None,
    margin: float = 0.0,
    power: int = 1,
    reduction: Reduction = "mean",
) -> Float[jax.Array, ""]:
    """Cost of depth inside something: relu(depth - margin)^power.

    With `depth = -object_sdf(...)`, reduction "mean" and power 1 this is the penetration term of the ScoreHOI paper:
    the mean of the negative part of the object's signed distance at the human vertices.

    Args:
      depth: metres, positive inside.
      mask: boolean or float weights.
      margin: depth that costs nothing, metres (soft tissue, mesh error).
      power: 1 (push of constant strength) or 2.
      reduction: "mean" or "sum" over the mask.

    Returns:
      A scalar, metres^power.
    """
    excess = jax.nn.relu(jnp.asarray(depth) - margin)
    return reduce_masked(excess if power == 1 else excess**power, mask, reduction)


def nearest_vertex_depth(
    points: Float[ArrayLike, "N 3"],
    vertices: Float[ArrayLike, "V 3"],
    normals: Float[ArrayLike, "V 3"],
    *,
    valid: Bool[ArrayLike, "V"] | None = None,
    tile: int = 2048,
) -> Float[jax.Array, "N"]:
    """Signed depth of points below a surface, by the tangent plane of the nearest vertex: (v - p) . n.

    Right to first order near a smooth, evenly sampled, closed surface. The sign can be wrong where the nearest vertex
    is at a sharp edge or on the other side of a fold: on the free body a few points that are really up to 4.4 cm deep
    come out as outside. What it calls deep is deep; that nothing is deep, only `signed_distance` can say.

    Args:
      points: metres.
      vertices: of the surface, metres.
      normals: outward unit normals of the vertices. Gradients pass through them; wrap them in `stop_gradient` to
        move points and vertices only.
      valid: False for padded vertices.
      tile: vertices compared at a time.

    Returns:
      Metres, positive inside.
    """
    points, vertices, normals = jnp.asarray(points), jnp.asarray(vertices), jnp.asarray(normals)
    index = nearest(jax.lax.stop_gradient(points), jax.lax.stop_gradient(vertices), tile=tile, valid=valid).index
    return jnp.sum((vertices[index] - points) * normals[index], axis=-1)


def soft_penetration_loss(
    object_points: Float[ArrayLike, "N 3"],
    body_vertices: Float[ArrayLike, "V 3"],
    body_normals: Float[ArrayLike, "V 3"],
    *,
    object_mask: Shaped[ArrayLike, "N"] | None = None,
    body_valid: Bool[ArrayLike, "V"] | None = None,
    margin: float = 0.0,
    power: int = 1,
    reduction: Reduction = "sum",
    tile: int = 2048,
) -> Float[jax.Array, ""]:
    """L_pt, hoijax's default for ScoreHOI guidance: sum_j relu(depth_j), depth by the nearest body vertex's normal.

    The sum of depths, not of their squares, keeps the published weight 0.1 meaningful: ten points inside pull the
    object out with a gradient of 10 x 0.1, the order of the contact loss (0.5 times a sum of 2 (d - 2 cm) over the
    vertices in contact); squares of centimetres would be fifty times weaker.

    Args:
      object_points: template points, metres.
      body_vertices: metres, same frame.
      body_normals: outward unit normals.
      object_mask: boolean or float weights of the object points.
      body_valid: False for padded body vertices.
      margin: depth that costs nothing, metres.
      power: 1 or 2.
      reduction: "sum" or "mean".
      tile: body vertices compared at a time.

    Returns:
      A scalar, metres^power.
    """
    depth = nearest_vertex_depth(object_points, body_vertices, body_normals, valid=body_valid, tile=tile)
    return depth_loss(depth, mask=object_mask, margin=margin, power=power, reduction=reduction)


def released_penetration(
    object_points: Float[ArrayLike, "N 3"],
    body_vertices: Float[ArrayLike, "V 3"],
    body_normals: Float[ArrayLike, "V 3"],
    *,
    object_mask: Shaped[ArrayLike, "N"] | None = None,
    tile: int = 2048,
) -> Float[jax.Array, ""]:
    """L_pt as released by ScoreHOI, for parity only: the share of object points whose sign test is not positive.

    It has two defects, kept here: it counts a comparison, so its gradient is zero everywhere and it moves nothing; and
    with outward normals the test is passed inside, so it counts the points that do not penetrate.

    Args:
      object_points: template points, metres.
      body_vertices: metres.
      body_normals: outward unit normals.
      object_mask: boolean or float weights of the object points.
      tile: body vertices compared at a time.

    Returns:
      A scalar in [0, 1].
    """
    depth = nearest_vertex_depth(object_points, body_vertices, body_normals, tile=tile)
    return reduce_masked((depth <= 0).astype(depth.dtype), object_mask, "mean")


def signed_distance(
    points: Float[ArrayLike, "N 3"], mesh: Mesh, *, threshold: float = 0.5, tile: int = 2048
) -> Float[jax.Array, "N"]:
    """Exact signed distance of points to a mesh, positive outside; jittable, one point-triangle test per pair.

    The sign is that of the generalised winding number against `threshold`, so open meshes have a sensible inside; on a
    single sheet there is none and the result is the plain distance.

    Differentiable in the points and the mesh's vertices, at the surface too: there the derivative is the face's
    normal, where the distance itself has none.

    Args:
      points: metres.
      mesh: metres, faces counter-clockwise seen from outside.
      threshold: winding number from which a point is inside.
      tile: size of the blocks; bounds the memory.

    Returns:
      Metres.
    """
    points = jnp.asarray(points)
    frozen_points, frozen = jax.lax.stop_gradient((points, mesh))
    inside = winding_number(frozen_points, frozen, tile=tile) > threshold
    closest = closest_on_mesh(frozen_points, frozen, tile=tile)
    corners = jnp.asarray(mesh.vertices)[jnp.asarray(mesh.faces)[closest.face]]
    surface = jnp.sum(closest.bary[..., None] * corners, axis=-2)
    # By the envelope theorem the distance changes with the offset along its own direction only. So that direction is a
    # constant, no square root is differentiated, and the face's normal takes over where the direction is rounding.
    a, b, c = jnp.moveaxis(jax.lax.stop_gradient(corners), 1, 0)
    outward = frozen_points - jax.lax.stop_gradient(surface)
    outward = jnp.where(inside[:, None], -outward, outward)
    rounding = 16 * jnp.finfo(points.dtype).eps * jnp.max(jnp.abs(a), axis=-1, keepdims=True)
    at_surface = jnp.all(jnp.abs(outward) <= rounding, axis=-1, keepdims=True)
    direction = safe_normalize(jnp.where(at_surface, cross(b - a, c - a), outward))
    return jnp.sum(direction * (points - surface), axis=-1)
