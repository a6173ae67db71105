"""Vertices as the rasterizer sees them: homogeneous pixel coordinates about the picture's centre.

A vertex becomes (X, Y, Z) with X / Z and Y / Z its pixel coordinates minus half the picture's size, and Z its depth in
metres. Nothing is divided, so vertices behind the camera need no special case, and taking the centre as origin halves
the rounding error at the picture's rim.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from hoijax.camera import Camera
from hoijax.geometry.safe import ArrayLike


def screen_points(vertices: Float[ArrayLike, "*B 3"], camera: Camera) -> Float[jax.Array, "*B 3"]:
    """Homogeneous pixel coordinates about the picture's centre, in the dtype of the vertices; NaN for those not finite.

    Args:
      vertices: world coordinates, metres.
      camera: one camera (no batch axes; use `vmap`).
    """
    vertices = jnp.asarray(vertices)
    height, width = camera.image_size
    intrinsics = jnp.asarray(camera.intrinsics, vertices.dtype)
    pose = jnp.asarray(camera.T_camera_world, vertices.dtype)
    # A vertex that is not finite must not reach the derivative with respect to the camera, as zero times NaN.
    finite = jnp.isfinite(vertices)
    vertices, broken = jnp.where(finite, vertices, 0), ~jnp.all(finite, axis=-1)
    u, v, w = vertices[..., 0], vertices[..., 1], vertices[..., 2]
    # Written out: equal vertices get equal bits wherever they stand in the array, which a library product may not give.
    x, y, z = (pose[i, 0] * u + pose[i, 1] * v + pose[i, 2] * w + pose[i, 3] for i in range(3))
    points = jnp.stack(
        [
            intrinsics[0, 0] * x + intrinsics[0, 1] * y + (intrinsics[0, 2] - width / 2) * z,
            intrinsics[1, 1] * y + (intrinsics[1, 2] - height / 2) * z,
            z,
        ],
        axis=-1,
    )
    # Else XLA's CPU compiler computes a vertex anew for every corner that gathers it.
    return jax.lax.optimization_barrier(jnp.where(broken[..., None], jnp.nan, points))
