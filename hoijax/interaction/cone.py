"""The conical distance field of triangle meshes (Tzionas et al. 2016), which InteractAnything's penetration cites.

Every triangle is the base of a cone along its normal; a point in the cone is pushed out of it. Which triangles a point
collides with is found in the field by a tree of boxes. Here a point has its nearest triangles, and whoever calls says
which points collide at all.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.geometry.safe import ArrayLike, safe_norm

PAIRS = 8
"""Triangles that a point is compared with."""
HEIGHT = 0.5
"""Of a cone over its base's radius one, metres; SMPLify-X's configurations have 1e-4."""


@struct.dataclass
class Cones:
    """Cones of the triangles of a mesh, or of any leading axes."""

    apex: Float[ArrayLike, "*T 3"]
    """Middle of the circle through a triangle's corners, metres."""
    axis: Float[ArrayLike, "*T 3"]
    """Its unit normal."""
    radius: Float[ArrayLike, "*T"]
    """Of that circle, metres."""
    centroid: Float[ArrayLike, "*T 3"]
    """Of the triangle, metres."""


def cones_of(triangles: Float[ArrayLike, "T 3 3"]) -> Cones:
    """The cones of triangles whose corners run anticlockwise seen from outside; none may be degenerate."""
    a, b, c = jnp.moveaxis(jnp.asarray(triangles), -2, 0)
    u, v = b - a, c - a
    normal = jnp.cross(u, v)
    square = jnp.sum(normal**2, axis=-1, keepdims=True)
    uu, vv = jnp.sum(u * u, axis=-1, keepdims=True), jnp.sum(v * v, axis=-1, keepdims=True)
    to_centre = (vv * jnp.cross(normal, u) - uu * jnp.cross(normal, v)) / (2.0 * square)
    return Cones(a + to_centre, normal / jnp.sqrt(square), jnp.linalg.norm(to_centre, axis=-1), (a + b + c) / 3.0)


def cone_intensity(x: Float[ArrayLike, "*B"], height: float = HEIGHT) -> Float[jax.Array, "*B"]:
    """How strongly a point at height x over a base is pushed: 0 from `height` up, 1 at `-height`, linear below."""
    x = jnp.asarray(x)
    inner = -(1 - 2 * height) / (4 * height**2) * x**2 - x / (2 * height) + (3 - 2 * height) / 4
    return jnp.where(x <= -height, -x + 1 - height, jnp.where(x < height, inner, 0.0))


def cone_field(points: Float[ArrayLike, "*P 3"], cones: Cones, height: float = HEIGHT) -> Float[jax.Array, "*B"]:
    """The squared field of a cone at a point, for leading axes that broadcast: `((1 - rho) intensity)^2` where rho, the
    distance from the axis over the cone's radius at that height, is below one; else 0."""
    offset = jnp.asarray(points) - cones.apex
    x = jnp.sum(offset * cones.axis, axis=-1)
    aside = safe_norm(offset - x[..., None] * cones.axis)
    wide = cones.radius * (1 - x / height)
    inside = (wide > 0) & (aside < wide)
    rho = aside / jnp.where(inside, wide, 1.0)
    return jnp.where(inside, ((1 - rho) * cone_intensity(x, height)) ** 2, 0.0)


def cone_penetration(
    points: Float[ArrayLike, "N 3"],
    cones: Cones,
    colliding: Float[ArrayLike, "N"] | None = None,
    *,
    height: float = HEIGHT,
    pairs: int = PAIRS,
) -> Float[jax.Array, ""]:
    """The mean over points of the field of their nearest triangles, by centroid; which they are is not differentiated.

    For both directions call it twice, with the points of either mesh and the cones of the other.

    Args:
      points: of the intruder, metres.
      cones: of the receiver.
      colliding: weight of each point, 0 where it does not collide; None: all do.
      height: of the cones, metres.
      pairs: triangles for a point.
    """
    points = jnp.asarray(points)
    far = sum((points[:, None, k] - cones.centroid[None, :, k]) ** 2 for k in range(3))
    near = jax.lax.top_k(-jax.lax.stop_gradient(far), min(pairs, far.shape[1]))[1]
    field = jnp.sum(cone_field(points[:, None], jax.tree.map(lambda t: jnp.asarray(t)[near], cones), height), axis=-1)
    return jnp.mean(field if colliding is None else field * colliding)
