"""Shadow maps: what a distant light sees, and how much of it reaches a point."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.camera import Camera
from hoijax.geometry.safe import cross, einsum, safe_normalize
from hoijax.render.rasterize import rasterize

ArrayLike = jax.Array | np.ndarray

__all__ = ["ShadowMap", "light_reaching", "shadow_map"]

_FAR = 30.0
"""Distance of the light's camera in radii of the scene: nearly parallel rays, and float32 depth to 1e-5 radii."""


@struct.dataclass
class ShadowMap:
    """The scene's depth as one distant light sees it."""

    rotation: Float[ArrayLike, "*B 3 3"]
    """World to light axes: x right, y down, z away from the light."""
    translation: Float[ArrayLike, "*B 3"]
    """World to light axes, metres."""
    depth: Float[ArrayLike, "*B S S"]
    """Depth of the nearest surface, metres, infinite where there is none."""
    focal: Float[ArrayLike, "*B"]
    """Focal length of the light's camera, pixels."""
    texel: Float[ArrayLike, "*B"]
    """Side of a pixel of the map at the scene, metres."""


def shadow_map(
    vertices: Float[ArrayLike, "V 3"],
    faces: Int[ArrayLike, "F 3"],
    direction: Float[ArrayLike, "3"],
    center: Float[ArrayLike, "3"],
    radius: float | Float[ArrayLike, ""],
    size: int = 512,
) -> ShadowMap:
    """Renders the scene from a light far away in `direction`.

    Args:
      vertices: world, metres.
      faces: of everything that throws shadows.
      direction: unit vector from the scene to the light.
      center: centre of a ball that holds the scene.
      radius: its radius, metres.
      size: side of the map, pixels; a shadow's edge is about `2 radius / size` wide.
    """
    vertices, direction, center = jnp.asarray(vertices), jnp.asarray(direction), jnp.asarray(center)
    dtype = vertices.dtype
    radius = jnp.asarray(radius).astype(dtype)
    helper = jnp.where(
        jnp.abs(direction[1]) < 0.9, jnp.asarray([0.0, 1.0, 0.0], dtype), jnp.asarray([1.0, 0.0, 0.0], dtype)
    )
    right = safe_normalize(cross(helper, direction))
    rotation = jnp.stack([right, cross(right, direction), -direction])
    eye = center + _FAR * radius * direction
    translation = -einsum("ij,j->i", rotation, eye)
    focal = jnp.asarray(0.5 * size * _FAR * 0.98, dtype)  # the ball fills the map but for a small border
    zero, one, half = jnp.zeros((), dtype), jnp.ones((), dtype), jnp.asarray(0.5 * size, dtype)
    intrinsics = jnp.stack([focal, zero, half, zero, focal, half, zero, zero, one]).reshape(3, 3)
    last = jnp.asarray([[0.0, 0.0, 0.0, 1.0]], dtype)
    transform = jnp.concatenate([jnp.concatenate([rotation, translation[:, None]], axis=1), last])
    fragments = rasterize(vertices, faces, Camera(intrinsics, transform, (size, size)))
    return ShadowMap(rotation, translation, fragments.depth, focal, _FAR * radius / focal)


def light_reaching(
    shadow: ShadowMap,
    points: Float[ArrayLike, "*B 3"],
    normals: Float[ArrayLike, "*B 3"],
    *,
    bias: float = 1.5,
    smooth: bool = True,
) -> Float[jax.Array, "*B"]:
    """The share of the light that reaches points on the surface, 0 to 1.

    The point is first moved off the surface along its normal, so that a surface does not shadow itself where the map
    is coarser than it is.

    Args:
      shadow: the light's map.
      points: world, metres.
      normals: unit normals on the lit side.
      bias: distance to move, in texels.
      smooth: the four texels around a point vote (percentage-closer filtering, Reeves et al. 1987), so that edges
        are a texel wide; False takes the nearest texel alone, enough where many lights are added up.
    """
    points, normals = jnp.asarray(points), jnp.asarray(normals)
    size = shadow.depth.shape[0]
    offset = bias * shadow.texel
    px, py, pz = (points[..., k] + offset * normals[..., k] for k in range(3))
    rotation, translation = shadow.rotation, shadow.translation
    x, y, z = (rotation[k, 0] * px + rotation[k, 1] * py + rotation[k, 2] * pz + translation[k] for k in range(3))
    flat = shadow.depth.reshape(-1)

    def lit(row: jax.Array, column: jax.Array) -> jax.Array:
        """1 where the texel's surface is not nearer to the light than the point, or outside of the map."""
        inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
        index = jnp.clip(row, 0, size - 1) * size + jnp.clip(column, 0, size - 1)
        return jnp.where(inside & (flat[index] < z), 0.0, 1.0).astype(z.dtype)

    u = shadow.focal * x / z + 0.5 * size
    v = shadow.focal * y / z + 0.5 * size
    if not smooth:
        return lit(jnp.floor(v).astype(jnp.int32), jnp.floor(u).astype(jnp.int32))
    u, v = u - 0.5, v - 0.5
    left, top = jnp.floor(u), jnp.floor(v)
    fx, fy = u - left, v - top
    column, row = left.astype(jnp.int32), top.astype(jnp.int32)
    above = (1.0 - fx) * lit(row, column) + fx * lit(row, column + 1)
    below = (1.0 - fx) * lit(row + 1, column) + fx * lit(row + 1, column + 1)
    return (1.0 - fy) * above + fy * below
