"""Masks whose outlines have a gradient, for little more than the hard pass: silhouettes of many views and hypotheses.

A mask changes where its outline moves: d mask / dt is the integral over the outline of the speed along its normal
(Reynolds' transport theorem; Li et al. 2018, "Differentiable Monte Carlo Ray Tracing through Edge Sampling", section
3.1). The outline is sampled where it crosses the segments between a covered pixel's centre and an uncovered
neighbour's: there the silhouette edge is found as `antialias` finds it, and its crossing point moves with the edge.
Nothing but these pixels is visited, and the mask itself costs nothing beyond the hard pass.

The gradient reaches one pixel. `blur_images` makes it reach farther: drawn mask and target under one Gaussian.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int

from hoijax.geometry.safe import ArrayLike, einsum
from hoijax.render.batching import fold_vmap
from hoijax.render.contours import Contours
from hoijax.render.fragments import Fragments
from hoijax.render.marked import for_marked, with_marked_chunk


@jax.jit  # an eager `while_loop` would be compiled anew at every call
def outline_mask(fragments: Fragments, neighbours: Int[ArrayLike, "F 3"]) -> Float[jax.Array, "H W"]:
    """1 where something is seen, else 0, with the gradient of the outline; one picture, use `vmap`.

    The gradient is that of the area covered, and right to a few per cent if what comes after the mask changes little
    from pixel to pixel (`blur_images` from about a pixel on). Outlines inside of what is covered, and the picture's
    rim, have none. `antialias` blends the pixels and sees inner outlines, at several times the cost; `soft_silhouette`
    sums over all faces and costs more yet.

    Args:
      fragments: what `rasterize` gave; gradients flow to the vertices and the camera through its `corners`.
      neighbours: of the faces drawn, from `edge_neighbours`.

    Raises:
      ValueError: neighbours of another number of faces.
    """
    corners, neighbours = fragments.corners, jnp.asarray(neighbours)
    if neighbours.shape[0] != corners.shape[0]:
        raise ValueError(f"neighbours of {neighbours.shape[0]} faces given, {corners.shape[0]} were drawn")
    depth = lax.stop_gradient(fragments.depth)
    return _mask(corners, fragments.face_id, depth, neighbours.astype(jnp.int32))


def blur_images(images: Float[ArrayLike, "*B H W"], blur: float | ArrayLike) -> Float[jax.Array, "*B H W"]:
    """Images under a Gaussian; differentiable in the images. What lies outside of a picture counts as zero.

    Two products with matrices: for pictures of some hundred pixels, and a blur that may be traced.

    Args:
      images: any.
      blur: standard deviation, pixels, above zero.
    """
    images = jnp.asarray(images)
    rows, columns = (_gaussian(size, jnp.asarray(blur, images.dtype)) for size in images.shape[-2:])
    return einsum("ij,...jk,lk->...il", rows, images, columns)


def _gaussian(size: int, blur: jax.Array) -> jax.Array:
    """(size, size): each pixel's share of each other one; rows far from the rim sum to one at any blur."""
    place = jnp.arange(size, dtype=blur.dtype)
    edges = 0.5 + jnp.concatenate([jnp.full(1, -1.0, blur.dtype), place])
    # The Gaussian's mass over each pixel: a blur far below a pixel leaves the image as it is.
    mass = jax.scipy.stats.norm.cdf((edges[None] - place[:, None]) / blur)
    return mass[:, 1:] - mass[:, :-1]


@jax.custom_vjp
def _mask(corners, face_id, depth, neighbours):
    del depth, neighbours
    return (face_id >= 0).astype(corners.dtype)


def _vjp_forward(*args):
    return _mask(*args), args


def _vjp_backward(residuals, g):
    g_corners = fold_vmap(_backward)(*(r[None] for r in residuals), g[None])[0]
    return g_corners, None, jnp.zeros_like(residuals[2]), None


_mask.defvjp(_vjp_forward, _vjp_backward)


def _backward(*args):
    return with_marked_chunk(_backward_kernel, *args)


def _backward_kernel(chunk, corners, face_id, depth, neighbours, g):
    contours, g = Contours(corners, face_id, depth, neighbours, chunk), g.reshape(-1)

    def add(index, live, grad):
        near, far, found, rows, crossing = contours.search(index, live)
        place, pull = jax.vjp(crossing, *contours.points(rows))
        # A pixel's worth of area for each pixel that the crossing moves.
        here = jnp.where(found, (1 - place) * g[near] + place * g[far], 0)
        for row, g_end in zip(rows, pull(here)):
            grad = grad.at[row].add(g_end)
        return grad

    start = jnp.zeros((corners.size // 3, 3), corners.dtype)
    return for_marked(contours.transitions(), chunk, add, start).reshape(corners.shape)
