"""Vertex attributes at the pixels: colours, normals, texture coordinates, positions, scores."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from hoijax.geometry.safe import ArrayLike
from hoijax.render.blend import blend
from hoijax.render.fragments import Fragments


@jax.jit  # an eager `while_loop` would be compiled anew at every call
def interpolate(
    fragments: Fragments,
    faces: Int[ArrayLike, "F 3"],
    attributes: Float[ArrayLike, "V C"],
) -> Float[jax.Array, "H W C"]:
    """Attributes of the vertices at the point each pixel sees; zero on the background.

    Perspective-correct; differentiable in the attributes and, through `fragments`, in the vertices and the camera.
    Attributes may belong to corners instead of vertices (texture coordinates with seams): then `faces` holds their
    rows. One picture; use `vmap` for batches of fragments, attributes or both.

    Args:
      fragments: of one picture, from `rasterize`.
      faces: rows of `attributes` for each face, int32.
      attributes: in the dtype of the vertices that were drawn.
    """
    values = jnp.asarray(attributes)[jnp.asarray(faces)]
    if values.shape[0] != fragments.corners.shape[0]:
        raise ValueError(f"{values.shape[0]} faces given, {fragments.corners.shape[0]} were drawn")
    return blend(fragments.corners, fragments.face_id, values)
