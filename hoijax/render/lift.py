"""Scores between pixels and vertices: InteractVLM's lift, its published variants, and the way back.

A pixel that sees face (a, b, c) with barycentrics (u, v, w) belongs to those three vertices with those weights. The
lift is the weighted mean of a vertex's pixels, so it is linear in the masks and differentiable; `project_scores` is
barycentric interpolation. Both are exact on constants: all-one masks lift to one on every visible vertex.

`N` is the number of views; all fragments of one call have one image size.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int

from hoijax.render.fragments import Fragments

ArrayLike = jax.Array | np.ndarray

__all__ = [
    "Lifted",
    "PixelMap",
    "lift",
    "lift_points",
    "pixel_map",
    "project_labels",
    "project_scores",
    "vertex_visibility",
]


KEPT_PROBABILITY = 0.3
"""Pixels above it take part in "kept_mean"."""
LEGACY_PROBABILITY = 1.0 / (1.0 + math.exp(-0.3))
"""Pixels above it take part in "legacy": logit 0.3."""

_PULL = 1e-3
"""Weight of the soft lift in the least squares, relative to that of a vertex's own pixels and one more."""


@struct.dataclass
class PixelMap:
    """What each pixel shows: three vertices and their weights."""

    vertices: Int[ArrayLike, "*B H W 3"]
    """Vertex indices of the face seen, -1 for background."""
    bary: Float[ArrayLike, "*B H W 3"]
    """Perspective-correct barycentrics, 0 for background."""


@struct.dataclass
class Lifted:
    """Scores carried to vertices or points."""

    scores: Float[ArrayLike, "*B V"]
    """Mean score; 0 where no pixel speaks for the vertex."""
    visible: Bool[ArrayLike, "*B V"]
    """True where some pixel of some view sees the vertex with positive weight."""


def pixel_map(fragments: Fragments, faces: Int[ArrayLike, "F 3"]) -> PixelMap:
    """Per pixel the vertices of the face it sees, any leading axes of views.

    Args:
      fragments: of `rasterize`.
      faces: the faces that were rasterized.
    """
    face_id, bary, faces = jnp.asarray(fragments.face_id), jnp.asarray(fragments.bary), jnp.asarray(faces)
    seen = (face_id >= 0)[..., None]
    corners = faces[jnp.where(face_id >= 0, face_id, 0)]
    return PixelMap(jnp.where(seen, corners, -1), jnp.where(seen, bary, 0.0))


def _splat(values: Float[jax.Array, "H W"], pixels: PixelMap, num_vertices: int) -> Float[jax.Array, "V"]:
    """Sum over pixels of value times barycentric weight, per vertex; the transpose of `project_scores`."""
    weighted = values[..., None] * pixels.bary
    ids = jnp.where(pixels.vertices >= 0, pixels.vertices, num_vertices)  # the bin past the end takes the background
    return jax.ops.segment_sum(weighted.reshape(-1), ids.reshape(-1), num_vertices + 1)[:num_vertices]


def vertex_visibility(fragments: Fragments, faces: Int[ArrayLike, "F 3"], num_vertices: int) -> Bool[jax.Array, "V"]:
    """True for the vertices that at least one pixel of this one view sees with positive weight.

    This is what the lift can reach, not a ray test: a vertex of a face seen only in a far corner counts.
    """
    pixels = pixel_map(fragments, faces)
    ones = jnp.ones(pixels.bary.shape[:2], pixels.bary.dtype)
    return _splat(ones, pixels, num_vertices) > 0


def lift(
    masks: Float[ArrayLike, "N H W"],
    fragments: Fragments,
    faces: Int[ArrayLike, "F 3"],
    num_vertices: int,
    *,
    mode: str = "soft",
) -> Lifted:
    """Carries probabilities of pixels in N views to vertices.

    With `p` the mask and `b` a vertex's barycentric weight in a pixel (Dwivedi et al. 2025, supplement and code):

    * "soft": `sum b p / sum b` per view, then the mean over the views that see the vertex. Linear in the masks.
    * "kept_mean": as "soft", over pixels with p > 0.3 only, then the mean over the views that kept any: a vertex
      that one view affirms and three deny keeps its score. The published rule for objects.
    * "legacy": `sum b / count` over all pixels of all views with logit > 0.3, where a pixel counts once for each of
      its three vertices; a vertex is in contact above 0.3. The published rule for bodies before April 2026; it has
      no gradient.
    * "least_squares": the scores whose interpolation (`project_scores`) comes nearest to the masks. The lifts above
      blur a mask by about one vertex; this one takes an interpolated mask back to its vertices, however ragged. Not
      bounded to [0, 1]. Conjugate gradients; about thirty times the work of "soft". Linear in the masks.

    Args:
      masks: probabilities in [0, 1]; `jax.nn.sigmoid(jnp.clip(logits, -20, 20))` makes them of logits.
      fragments: of the same views, arrays with a leading axis N.
      faces: the faces that were rasterized.
      num_vertices: V.
      mode: the rule.

    Returns:
      Scores and visibility. Visibility is the same in all modes.

    Raises:
      ValueError: an unknown mode, or masks and fragments of different sizes.
    """
    masks = jnp.asarray(masks)
    if mode not in ("soft", "kept_mean", "legacy", "least_squares"):
        raise ValueError(f"mode must be 'soft', 'kept_mean', 'legacy' or 'least_squares', got '{mode}'")
    if masks.shape != fragments.face_id.shape:
        raise ValueError(f"masks have shape {masks.shape}, the fragments {fragments.face_id.shape}")
    pixels = pixel_map(fragments, faces)
    pixels = pixels.replace(bary=pixels.bary.astype(masks.dtype))

    def splat(values: Float[jax.Array, "N H W"], pixels: PixelMap = pixels) -> Float[jax.Array, "N V"]:
        """`_splat` per view."""
        return jax.vmap(lambda v, p: _splat(v, p, num_vertices))(values, pixels)

    seen = splat(jnp.ones_like(masks))
    visible = jnp.any(seen > 0, axis=0)
    if mode in ("soft", "least_squares"):
        per_view = splat(masks) / jnp.where(seen > 0, seen, 1.0)
        scores = _mean_where(per_view, seen > 0)
        if mode == "least_squares":
            scores = _least_squares(masks, pixels, scores)
        return Lifted(scores, visible)
    kept = (masks > (KEPT_PROBABILITY if mode == "kept_mean" else LEGACY_PROBABILITY)).astype(masks.dtype)
    weight = splat(kept)
    if mode == "kept_mean":
        per_view = splat(kept * masks) / jnp.where(weight > 0, weight, 1.0)
        return Lifted(_mean_where(per_view, weight > 0), visible)
    hits = pixels.replace(bary=(pixels.vertices >= 0).astype(masks.dtype))
    count = jnp.sum(splat(kept, hits), axis=0)
    return Lifted(jnp.sum(weight, axis=0) / jnp.where(count > 0, count, 1.0), visible)


def _least_squares(
    masks: Float[jax.Array, "N H W"], pixels: PixelMap, start: Float[jax.Array, "V"]
) -> Float[jax.Array, "V"]:
    """Minimises the squared distance of the interpolated scores from the masks, close to `start` if in doubt."""
    count = start.shape[0]
    ids = jnp.where(pixels.vertices >= 0, pixels.vertices, count).reshape(-1)
    weights = pixels.bary.reshape(-1)

    def gather(scores: Float[jax.Array, "V"]) -> Float[jax.Array, "P"]:
        """Interpolates: one value per pixel of all views."""
        padded = jnp.concatenate([scores, jnp.zeros((1,), scores.dtype)])
        return jnp.sum((padded[ids] * weights).reshape(-1, 3), axis=1)

    def scatter(values: Float[jax.Array, "P"]) -> Float[jax.Array, "V"]:
        """The transpose of `gather`."""
        return jax.ops.segment_sum(jnp.repeat(values, 3) * weights, ids, count + 1)[:count]

    diagonal = jax.ops.segment_sum(weights * weights, ids, count + 1)[:count]
    pull = _PULL * (diagonal + 1.0)  # vertices that hardly any pixel sees keep their start
    seen = (pixels.vertices[..., 0] >= 0).reshape(-1).astype(masks.dtype)
    right = scatter(masks.reshape(-1) * seen - gather(start))
    change, _ = jax.scipy.sparse.linalg.cg(
        lambda s: scatter(gather(s)) + pull * s, right, M=lambda s: s / (diagonal + pull), tol=1e-4, maxiter=60
    )
    return start + change


def lift_points(values: Float[ArrayLike, "N H W"], point_id: Int[ArrayLike, "N H W"], num_points: int) -> Lifted:
    """The same for point clouds: the mean of a point's pixels per view, then over the views where it has any.

    Args:
      values: probabilities.
      point_id: the point nearest to the camera in each pixel, -1 for none.
      num_points: number of points.
    """
    values, point_id = jnp.asarray(values), jnp.asarray(point_id)
    ids = jnp.where(point_id >= 0, point_id, num_points)

    def one(value: Float[jax.Array, "H W"], index: Int[jax.Array, "H W"]) -> tuple[jax.Array, jax.Array]:
        """Sum and count per point of one view."""
        total = jax.ops.segment_sum(value.reshape(-1), index.reshape(-1), num_points + 1)
        count = jax.ops.segment_sum(jnp.ones_like(value).reshape(-1), index.reshape(-1), num_points + 1)
        return total[:num_points], count[:num_points]

    total, count = jax.vmap(one)(values, ids)
    seen = count > 0
    return Lifted(_mean_where(total / jnp.where(seen, count, 1.0), seen), jnp.any(seen, axis=0))


def _mean_where(values: Float[jax.Array, "N V"], valid: Bool[jax.Array, "N V"]) -> Float[jax.Array, "V"]:
    """Mean over the first axis of the valid entries; 0 where there is none."""
    count = jnp.sum(valid, axis=0).astype(values.dtype)
    return jnp.sum(jnp.where(valid, values, 0.0), axis=0) / jnp.where(count > 0, count, 1.0)


def project_scores(
    scores: Float[ArrayLike, "V"], fragments: Fragments, faces: Int[ArrayLike, "F 3"], background: float = 0.0
) -> Float[jax.Array, "*B H W"]:
    """Vertex scores as images: barycentric interpolation, any leading axes of views.

    Linear in the scores; up to the lift's normalisation the two are each other's transpose.

    Args:
      scores: one number per vertex.
      fragments: of `rasterize`.
      faces: the faces that were rasterized.
      background: value where nothing is seen; -1 marks pixels that a loss must leave out.
    """
    pixels, scores = pixel_map(fragments, faces), jnp.asarray(scores)
    corner = scores[jnp.where(pixels.vertices >= 0, pixels.vertices, 0)]
    image = jnp.sum(corner * pixels.bary.astype(scores.dtype), axis=-1)
    return jnp.where(jnp.asarray(fragments.face_id) >= 0, image, background)


def project_labels(
    labels: Bool[ArrayLike, "V"], fragments: Fragments, faces: Int[ArrayLike, "F 3"], *, min_vertices: int = 2
) -> Bool[jax.Array, "*B H W"]:
    """Hard masks of a vertex set, face by face: the training targets of InteractVLM.

    Args:
      labels: True for the vertices in the set.
      fragments: of `rasterize`, any leading axes of views.
      faces: the faces that were rasterized.
      min_vertices: a face belongs to the mask if at least so many of its vertices are in the set. 3 in the paper,
        2 in the later data: with the soft lift read at 0.5, 3 loses the boundary vertices of the set.

    Raises:
      ValueError: `min_vertices` is not 1, 2 or 3.
    """
    if min_vertices not in (1, 2, 3):
        raise ValueError(f"min_vertices must be 1, 2 or 3, got {min_vertices}")
    face_id = jnp.asarray(fragments.face_id)
    positive = jnp.sum(jnp.asarray(labels)[jnp.asarray(faces)], axis=1) >= min_vertices
    return positive[jnp.where(face_id >= 0, face_id, 0)] & (face_id >= 0)
