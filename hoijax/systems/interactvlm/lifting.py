"""The lift as a linear operator: the pixels of fixed views to the vertices of a fixed surface, made once on the host.

`hoijax.render.lift` says what is computed and computes it from fragments. Where the same views are lifted again and
again, a body's in every step of a training, its weights are constants; here they are gathered once, pixels that show
nothing left out and rows in order, so that a lift is one gather and one sum of segments.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int

from hoijax.errors import InputError
from hoijax.geometry.safe import ArrayLike
from hoijax.render import Fragments, Lifted
from hoijax.render.lift import KEPT_PROBABILITY, LEGACY_PROBABILITY

MODES: tuple[str, ...] = ("soft", "kept_mean", "legacy")


@struct.dataclass
class LiftOperator:
    """Entries of a sparse matrix from the pixels of N views of S x S to V vertices; E entries, zeros fill up. Several
    surfaces have leading axes."""

    pixel: Int[ArrayLike, "*B E"] | Any
    """Index into the flattened views."""
    row: Int[ArrayLike, "*B E"] | Any
    """View times V plus vertex, in order; N V for what fills up."""
    bary: Float[ArrayLike, "*B E"] | Any
    """Barycentric weight of the vertex in the pixel."""
    soft: Float[ArrayLike, "*B E"] | Any
    """`bary` over its sum in the view and over the number of views that see the vertex."""
    visible: Bool[ArrayLike, "*B V"] | Any
    """Vertices that some pixel sees with positive weight."""
    views: tuple[int, int, int] = struct.field(pytree_node=False)
    """N, S, S."""


def lift_operator(
    fragments: Fragments, faces: Int[ArrayLike, "F 3"], num_vertices: int, *, capacity: int | None = None
) -> LiftOperator:
    """Gathers the weights of a surface's views; on the host.

    Args:
      fragments: of `rasterize`, arrays with a leading axis of views.
      faces: the faces that were rasterized.
      num_vertices: V.
      capacity: E, so that surfaces of unequal size share a program; None: as many as there are.

    Raises:
      InputError: more entries than the capacity holds.
    """
    face_id, bary = np.asarray(fragments.face_id), np.asarray(fragments.bary)
    faces, count = np.asarray(faces), num_vertices
    pixel = np.flatnonzero(face_id.reshape(-1) >= 0)
    vertex = faces[face_id.reshape(-1)[pixel]].reshape(-1)
    weight = bary.reshape(-1, 3)[pixel].reshape(-1).astype(np.float32)
    pixel = np.repeat(pixel, 3)
    row = pixel // (face_id.shape[1] * face_id.shape[2]) * count + vertex
    order = np.argsort(row, kind="stable")
    pixel, vertex, weight, row = (x[order] for x in (pixel, vertex, weight, row))
    seen = np.bincount(row, weight.astype(np.float64), minlength=len(face_id) * count)
    views = (seen.reshape(len(face_id), count) > 0).sum(axis=0)
    share = weight / np.maximum(seen[row], 1e-30) / np.maximum(views[vertex], 1)
    share = np.where(seen[row] > 0, share, 0.0).astype(np.float32)
    size = len(row) if capacity is None else capacity
    if len(row) > size:
        raise InputError(f"the views have {len(row)} weights, the operator was to hold {size}; give it more capacity")
    fill = size - len(row)
    return LiftOperator(
        pixel=np.pad(pixel, (0, fill)).astype(np.int32),
        row=np.pad(row, (0, fill), constant_values=len(face_id) * count).astype(np.int32),
        bary=np.pad(weight, (0, fill)),
        soft=np.pad(share, (0, fill)),
        visible=views > 0,
        views=tuple(int(x) for x in face_id.shape),
    )


def apply_lift(operator: LiftOperator, masks: Float[ArrayLike, "N H W"], mode: str = "soft") -> Lifted:
    """Carries probabilities of pixels to vertices; pure, and linear in the masks for "soft".

    Args:
      operator: of the views.
      masks: probabilities in [0, 1].
      mode: a rule of `hoijax.render.lift`: "soft" and "legacy" for bodies (read at 0.5, at 0.3), "kept_mean" for
        objects.

    Raises:
      ValueError: another mode, or masks of another size.
    """
    masks = jnp.asarray(masks)
    if mode not in MODES:
        raise ValueError(f"the lift is one of {', '.join(MODES)}, got {mode!r}")
    if masks.shape != operator.views:
        raise ValueError(f"masks have the shape {masks.shape}, the views {operator.views}")
    visible = jnp.asarray(operator.visible)
    count, views = visible.shape[0], operator.views[0]
    row, values = jnp.asarray(operator.row), masks.reshape(-1)[jnp.asarray(operator.pixel)]

    def total(weights: jax.Array) -> jax.Array:
        """Sums per view and vertex."""
        return jax.ops.segment_sum(weights, row, views * count, indices_are_sorted=True).reshape(views, count)

    if mode == "soft":
        return Lifted(jnp.sum(total(jnp.asarray(operator.soft).astype(masks.dtype) * values), axis=0), visible)
    kept = (values > (KEPT_PROBABILITY if mode == "kept_mean" else LEGACY_PROBABILITY)).astype(masks.dtype)
    bary = jnp.asarray(operator.bary).astype(masks.dtype)
    weight = total(kept * bary)
    if mode == "legacy":
        hits = jnp.sum(total(kept), axis=0)
        return Lifted(jnp.sum(weight, axis=0) / jnp.maximum(hits, 1.0), visible)
    per_view = total(kept * bary * values) / jnp.where(weight > 0, weight, 1.0)
    spoke = jnp.sum(weight > 0, axis=0).astype(masks.dtype)
    return Lifted(jnp.sum(jnp.where(weight > 0, per_view, 0.0), axis=0) / jnp.maximum(spoke, 1.0), visible)
