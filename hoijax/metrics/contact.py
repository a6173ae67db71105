"""Contact quality: precision, recall and F from sets of vertices, with the empty sets counted.

The protocol of CONTHO and ScoreHOI (specs/datasets.md 7.4, 7.5): precision and recall are averaged over the images
where they are defined, which are not the same images, and F is taken of the two means. Thresholds differ between
papers (2, 4, 5 cm), so none is a default here.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int, Shaped

from hoijax.geometry import einsum, nearest, nearest_host
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction import region_distances


def contact_from_reconstruction(
    body_vertices: Float[ArrayLike, "V 3"],
    object_vertices: Float[ArrayLike, "N 3"],
    *,
    threshold: float,
    tile: int = 2048,
) -> Bool[jax.Array, "V"]:
    """Body vertices in contact: nearest object vertex closer than `threshold`, without any alignment before.

    Vertices, not the surface, are what CONTHO and ScoreHOI measure to: a coarse object mesh under-counts.

    Args:
      body_vertices: metres.
      object_vertices: metres, same frame.
      threshold: metres; 0.05 in CONTHO and ScoreHOI, 0.04 in DECO.
      tile: vertices compared at a time.

    Returns:
      One boolean per body vertex.
    """
    return nearest(body_vertices, object_vertices, tile=tile).distance < threshold


def contact_from_reconstruction_host(
    body_vertices: Float[ArrayLike, "V 3"], object_vertices: Float[ArrayLike, "N 3"], *, threshold: float
) -> Bool[np.ndarray, "V"]:
    """`contact_from_reconstruction` with a k-d tree on the host.

    Args:
      body_vertices: metres.
      object_vertices: metres.
      threshold: metres.

    Returns:
      One boolean per body vertex.
    """
    return np.asarray(nearest_host(body_vertices, object_vertices).distance < threshold)


def contact_from_probabilities(
    probabilities: Float[ArrayLike, "*B N"],
    *,
    upsample: Float[ArrayLike, "V N"] | None = None,
    threshold: float = 0.5,
) -> Bool[jax.Array, "*B V"]:
    """Contact from a network's output: probability above the threshold, on the full mesh if a matrix leads there.

    Args:
      probabilities: in [0, 1], any leading axes.
      upsample: linear map to the vertices of the full mesh (431 to 6890 in ScoreHOI); None keeps the points.
      threshold: probability.

    Returns:
      Booleans.
    """
    probabilities = jnp.asarray(probabilities)
    if upsample is not None:
        probabilities = einsum("vn,...n->...v", jnp.asarray(upsample).astype(probabilities.dtype), probabilities)
    return probabilities > threshold


def parts_in_contact(
    distance: Float[ArrayLike, "V"], regions: Bool[ArrayLike, "R V"], *, threshold: float
) -> Bool[jax.Array, "R"]:
    """Asked-for parts that touch: the nearest vertex of the part is within `threshold` of the object.

    Args:
      distance: of each body vertex to the object, metres; negative inside counts as touching.
      regions: membership of the vertices, one row per part.
      threshold: metres; 0.02 in hoijax's refinement tables.

    Returns:
      One boolean per part; False for an empty part.
    """
    regions = jnp.asarray(regions)
    return (region_distances(distance, regions, count=1) < threshold) & jnp.any(regions, axis=-1)


@struct.dataclass
class ContactCounts:
    """Sizes of one image's contact sets, or of many images' along leading axes."""

    true_positive: Int[ArrayLike, "*B"] | Any
    """Vertices in contact in prediction and truth."""
    predicted: Int[ArrayLike, "*B"] | Any
    """Vertices in contact in the prediction."""
    actual: Int[ArrayLike, "*B"] | Any
    """Vertices in contact in the truth."""


def contact_counts(
    predicted: Bool[ArrayLike, "*B V"],
    actual: Bool[ArrayLike, "*B V"],
    *,
    mask: Shaped[ArrayLike, "*B V"] | None = None,
) -> ContactCounts:
    """Sizes of the predicted set, the true set and their intersection. Any leading axes.

    Args:
      predicted: booleans.
      actual: booleans.
      mask: vertices that take part (a contact set, unpadded points).

    Returns:
      The counts.
    """
    predicted, actual = jnp.asarray(predicted), jnp.asarray(actual)
    if mask is not None:
        mask = jnp.asarray(mask).astype(bool)
        predicted, actual = predicted & mask, actual & mask

    def size(x: jax.Array) -> jax.Array:
        return jnp.sum(x, axis=-1, dtype=jnp.int32)

    return ContactCounts(size(predicted & actual), size(predicted), size(actual))


@struct.dataclass
class ContactSummary:
    """Contact scores of a data set. Host numbers."""

    precision: float
    """Mean over the images with a predicted contact; NaN if there is none."""
    recall: float
    """Mean over the images with a true contact; NaN if there is none."""
    f1: float
    """2 p r / (p + r) of the two means; NaN if one of them is."""
    precision_count: int
    """Images that precision is a mean of."""
    recall_count: int
    """Images that recall is a mean of."""
    count: int
    """Images in all."""


def summarize_contact(counts: ContactCounts) -> ContactSummary:
    """Scores of many images from their counts. Host function.

    An image without predicted contact says nothing about precision and is left out of it, one without true contact is
    left out of recall. Nothing turns into a silent zero: without any image left a score is NaN, and the numbers of
    images are returned with it.

    Args:
      counts: arrays with one entry per image.

    Returns:
      The scores.
    """
    hit, predicted, actual = (
        np.atleast_1d(np.asarray(x)).reshape(-1) for x in (counts.true_positive, counts.predicted, counts.actual)
    )
    precision = hit[predicted > 0] / predicted[predicted > 0]
    recall = hit[actual > 0] / actual[actual > 0]
    p = float(precision.mean()) if precision.size else math.nan
    r = float(recall.mean()) if recall.size else math.nan
    return ContactSummary(p, r, f1_of_means(p, r), int(precision.size), int(recall.size), int(hit.size))


def f1_of_means(precision: float, recall: float) -> float:
    """F of averaged precision and recall, as the tables of CONTHO, ScoreHOI, PhySIC and GRAFT have it.

    Args:
      precision: in [0, 1] or NaN.
      recall: in [0, 1] or NaN.

    Returns:
      2 p r / (p + r); 0 if both are 0, NaN if one is NaN.
    """
    if math.isnan(precision) or math.isnan(recall):
        return math.nan
    total = precision + recall
    return 2 * precision * recall / total if total > 0 else 0.0
