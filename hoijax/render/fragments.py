"""What the rasterizer answers: one face, one place on it and one depth per pixel."""

from typing import Any

import jax
from flax import struct
from jaxtyping import Bool, Float, Int

from hoijax.geometry.safe import ArrayLike
from hoijax.render.blend import barycentrics


@struct.dataclass
class Fragments:
    """The nearest surface at each pixel; row 0 is the top of the picture, pixel (i, j) is centred on (j+0.5, i+0.5).

    `vmap` over `rasterize` adds leading axes to every field.
    """

    face_id: Int[ArrayLike, "*B H W"] | Any
    """Row of `faces` that the pixel's centre sees, int32; -1 where it sees none."""

    depth: Float[ArrayLike, "*B H W"] | Any
    """Camera z of the point seen, metres; +inf where `face_id` is -1, NaN everywhere after an overflow.
    Differentiable."""

    corners: Float[ArrayLike, "*B F 3 3"] | Any
    """Corners of the faces as drawn, (X, Y, Z): X / Z and Y / Z are pixel coordinates from the picture's centre, Z the
    camera z. `bary` and `interpolate` are differentiable through them."""

    overflow: Bool[ArrayLike, "*B"] | Any
    """True if there was more work than an int32 counts (2^31 tiles), in which case nothing was drawn."""

    @property
    def bary(self) -> Float[jax.Array, "*B H W 3"]:
        """Perspective-correct barycentric coordinates `w`: the point seen is `sum_k w_k vertices[faces[id, k]]`.

        Non-negative and summing to one up to rounding; zero where `face_id` is -1. Differentiable. Computed at each
        access from `corners` and `face_id`.
        """
        return _barycentrics(self.corners, self.face_id)

    @property
    def mask(self) -> Bool[jax.Array, "*B H W"]:
        """True at pixels that see a face."""
        return self.face_id >= 0


@jax.jit  # an eager `while_loop` would be compiled anew at every call
def _barycentrics(corners, face_id):
    function = barycentrics
    for _ in range(face_id.ndim - 2):
        function = jax.vmap(function)
    return function(corners, face_id)
