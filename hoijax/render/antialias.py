"""Antialiased silhouettes: the pixels along an outline blend both sides by where the outline crosses between them.

After Laine et al. 2020, "Modular Primitives for High-Performance Differentiable Rendering", section 3.4: for each pair
of neighbouring pixels that see different faces, the silhouette edge of the nearer surface that crosses the segment
between their centres is found; if it lies beyond the middle, the nearer colour spills into the far pixel, else the far
colour into the near one, by the distance from the middle. The crossing point moves with the edge: that is the
gradient.

Where that work looks at the nearer pixel's face alone, here the search walks on from face to face across inner edges,
so that meshes with faces as small as pixels keep their outlines.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int

from hoijax.geometry.safe import ArrayLike
from hoijax.render.batching import fold_vmap
from hoijax.render.contours import Contours
from hoijax.render.fragments import Fragments
from hoijax.render.marked import for_marked, with_marked_chunk


@jax.jit  # an eager `while_loop` would be compiled anew at every call
def antialias(
    image: Float[ArrayLike, "H W C"], fragments: Fragments, neighbours: Int[ArrayLike, "F 3"]
) -> Float[jax.Array, "H W C"]:
    """Blends an image across the silhouettes of the mesh it shows; differentiable in the image, vertices and camera.

    The sharp image's gradient: exact for the pixels along outlines (occluding contours inside the picture too), none
    from farther away. An edge is a silhouette where the surface ends or folds back, as seen on the picture; a crease
    between two visible faces is none. One picture; use `vmap`.

    Args:
      image: any channels made from `fragments`: colours, normals, the mask as 0 and 1.
      fragments: what `rasterize` gave, gradients flow to the vertices and the camera through its `corners`.
      neighbours: of the faces drawn, from `edge_neighbours`.
    """
    corners, ids = fragments.corners, fragments.face_id
    image, neighbours = jnp.asarray(image), jnp.asarray(neighbours)
    if neighbours.shape[0] != corners.shape[0]:
        raise ValueError(f"neighbours of {neighbours.shape[0]} faces given, {corners.shape[0]} were drawn")
    depth = lax.stop_gradient(fragments.depth)
    return _antialias(image, corners, ids, depth, neighbours.astype(jnp.int32))


@jax.custom_vjp
def _antialias(image, corners, face_id, depth, neighbours):
    return fold_vmap(_forward)(image[None], corners[None], face_id[None], depth[None], neighbours[None])[0]


def _forward(*args):
    return with_marked_chunk(_forward_kernel, *args)


def _vjp_forward(*args):
    return _antialias(*args), args


def _vjp_backward(residuals, g):
    g_image, g_corners = fold_vmap(_backward)(*(r[None] for r in residuals), g[None])
    return g_image[0], g_corners[0], None, jnp.zeros_like(residuals[3]), None


_antialias.defvjp(_vjp_forward, _vjp_backward)


def _backward(*args):
    return with_marked_chunk(_backward_kernel, *args)


def _forward_kernel(chunk, image, corners, face_id, depth, neighbours):
    pixels, contours = image.reshape(-1, image.shape[-1]), Contours(corners, face_id, depth, neighbours, chunk)

    def blend(index, live, out):
        near, far, found, rows, crossing = contours.search(index, live)
        amount = jnp.where(found, crossing(*contours.points(rows)) - 0.5, 0)
        change = amount[:, None] * (pixels[near] - pixels[far])
        return out.at[jnp.where(amount > 0, far, near)].add(change)

    return for_marked(contours.marks(), chunk, blend, pixels).reshape(image.shape)


def _backward_kernel(chunk, image, corners, face_id, depth, neighbours, g):
    pixels, contours = image.reshape(-1, image.shape[-1]), Contours(corners, face_id, depth, neighbours, chunk)
    g = g.reshape(pixels.shape)

    def add(index, live, state):
        g_pixels, g_corners = state
        near, far, found, rows, crossing = contours.search(index, live)
        position, pull = jax.vjp(crossing, *contours.points(rows))
        amount = jnp.where(found, position - 0.5, 0)
        g_out = g[jnp.where(amount > 0, far, near)]
        g_amount = jnp.where(found, jnp.sum(g_out * (pixels[near] - pixels[far]), axis=1), 0)
        change = amount[:, None] * g_out
        g_pixels = g_pixels.at[near].add(change).at[far].add(-change)
        for row, g_end in zip(rows, pull(g_amount)):
            g_corners = g_corners.at[row].add(g_end)
        return g_pixels, g_corners

    start = g, jnp.zeros((corners.size // 3, 3), corners.dtype)
    g_pixels, g_corners = for_marked(contours.marks(), chunk, add, start)
    return g_pixels.reshape(image.shape), g_corners.reshape(corners.shape)
