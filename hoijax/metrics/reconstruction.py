"""Reconstruction quality: alignment on the combined mesh, Chamfer distance in centimetres, surface F-score.

The protocol of CHORE, CONTHO and ScoreHOI (specs/datasets.md section 7). Functions run on any device and take one
sample unless they say otherwise; those that end in `_host` use a k-d tree in NumPy and are the faster ones on a CPU.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Key, Shaped

from hoijax.geometry import Mesh, RigidPose, nearest, nearest_host, sample_surface, transform_points, umeyama
from hoijax.geometry.safe import ArrayLike

CHAMFER_SAMPLES = 6000
"""Surface samples per mesh in CONTHO's and ScoreHOI's Chamfer distance; CHORE's is 10,000."""


@struct.dataclass
class AlignedPair:
    """A predicted body and object after alignment, in the frame of the truth."""

    body: Float[ArrayLike, "*B V 3"] | Any
    """Body vertices, metres."""
    object: Float[ArrayLike, "*B N 3"] | Any
    """Object vertices, metres."""
    alignment: RigidPose
    """The similarity that was applied to both."""


def procrustes_align_combined(
    predicted_body: Float[ArrayLike, "*B V 3"],
    predicted_object: Float[ArrayLike, "*B N 3"],
    true_body: Float[ArrayLike, "*B V 3"],
    true_object: Float[ArrayLike, "*B N 3"],
    *,
    with_scale: bool = True,
    object_mask: Shaped[ArrayLike, "*B N"] | None = None,
) -> AlignedPair:
    """One similarity for body and object together, fitted on all vertices with equal weight. Any leading axes.

    A dense object mesh therefore dominates the fit; that is the published protocol. Reflections are excluded.

    Args:
      predicted_body: metres.
      predicted_object: the full template mesh under the predicted pose, metres.
      true_body: metres, vertex by vertex.
      true_object: metres, vertex by vertex.
      with_scale: the protocol estimates the scale.
      object_mask: False for padded object vertices, which then do not count; they must still be finite.

    Returns:
      The aligned prediction and the similarity.
    """
    predicted_body, predicted_object = jnp.asarray(predicted_body), jnp.asarray(predicted_object)
    source = jnp.concatenate([predicted_body, predicted_object], axis=-2)
    target = jnp.concatenate([jnp.asarray(true_body), jnp.asarray(true_object)], axis=-2)
    weights = None
    if object_mask is not None:
        on_object = jnp.asarray(object_mask).astype(source.dtype)
        weights = jnp.concatenate([jnp.ones(predicted_body.shape[:-1], source.dtype), on_object], axis=-1)
    pose = umeyama(source, target, weights, with_scale=with_scale)
    return AlignedPair(transform_points(pose, predicted_body), transform_points(pose, predicted_object), pose)


def chamfer_cm(a: Float[ArrayLike, "N 3"], b: Float[ArrayLike, "M 3"], *, tile: int = 2048) -> Float[jax.Array, ""]:
    """Chamfer distance of two clouds: mean distance a to b plus mean distance b to a, times 100.

    Euclidean, not squared; the sum of the two directions, not their average. On vertices it is the vertex-based
    variant, which has no sampling floor but weighs densely triangulated regions more.

    Args:
      a: metres.
      b: metres.
      tile: points compared at a time.

    Returns:
      Centimetres.
    """
    return 100.0 * (jnp.mean(nearest(a, b, tile=tile).distance) + jnp.mean(nearest(b, a, tile=tile).distance))


def chamfer_cm_host(a: Float[ArrayLike, "N 3"], b: Float[ArrayLike, "M 3"]) -> float:
    """`chamfer_cm` with a k-d tree on the host.

    Args:
      a: metres.
      b: metres.

    Returns:
      Centimetres.
    """
    return 100.0 * float(np.mean(nearest_host(a, b).distance) + np.mean(nearest_host(b, a).distance))


def surface_chamfer_cm(
    key: Key[jax.Array, ""], predicted: Mesh, true: Mesh, *, count: int = CHAMFER_SAMPLES, tile: int = 2048
) -> Float[jax.Array, ""]:
    """Chamfer distance of two surfaces, each sampled with `count` points uniform in area.

    The samples of the two are independent, so identical meshes do not score zero: see `chamfer_floor_cm`.

    Args:
      key: randomness of the sampling; the same key for every method compared.
      predicted: one mesh, metres.
      true: one mesh, metres.
      count: samples per mesh. Numbers with different counts are not comparable.
      tile: points compared at a time.

    Returns:
      Centimetres.
    """
    return chamfer_cm(*_sample_both(key, predicted, true, count), tile=tile)


def surface_chamfer_cm_host(predicted: Mesh, true: Mesh, *, count: int = CHAMFER_SAMPLES, seed: int = 0) -> float:
    """`surface_chamfer_cm` with a k-d tree on the host, on the samples of `jax.random.key(seed)`.

    Args:
      predicted: one mesh, metres.
      true: one mesh, metres.
      count: samples per mesh.
      seed: of the sampling; fixed, so that a number can be reprinted.

    Returns:
      Centimetres.
    """
    return surface_scores_host(predicted, true, count=count, seed=seed).chamfer_cm


@struct.dataclass
class SurfaceScores:
    """Chamfer distance and F-score on the same samples. Host numbers."""

    chamfer_cm: float
    f_score: float
    """Percent."""


def surface_scores_host(
    predicted: Mesh, true: Mesh, *, count: int = CHAMFER_SAMPLES, seed: int = 0, threshold: float = 0.01
) -> SurfaceScores:
    """`surface_chamfer_cm_host` and `surface_f_score` at the price of one.

    Args:
      predicted: one mesh, metres.
      true: one mesh, metres.
      count: samples per mesh.
      seed: of the sampling.
      threshold: of the F-score, metres.

    Returns:
      Both scores.
    """
    a, b = (np.asarray(x) for x in _sample_both_jit(jax.random.key(seed), predicted, true, count))
    there, back = (np.asarray(nearest_host(*pair).distance) for pair in ((a, b), (b, a)))
    precision, recall = float(np.mean(there < threshold)), float(np.mean(back < threshold))
    total = precision + recall
    f_score = 200 * precision * recall / total if total > 0 else 0.0
    return SurfaceScores(100.0 * float(np.mean(there) + np.mean(back)), f_score)


def chamfer_floor_cm(area: Float[ArrayLike, "*B"] | float, *, count: int = CHAMFER_SAMPLES) -> Float[jax.Array, "*B"]:
    """What two independent samplings of the same surface score: 100 sqrt(area / count), to report beside a result.

    The mean distance to the nearest of n uniform points on an area A is sqrt(A / n) / 2 (a planar Poisson process);
    Chamfer adds two of them. 1.8 cm for a person of 1.9 square metres and 6000 samples.

    Args:
      area: of the surface, square metres.
      count: samples per mesh.

    Returns:
      Centimetres.
    """
    return 100.0 * jnp.sqrt(jnp.asarray(area) / count)


def surface_f_score(
    predicted: Float[ArrayLike, "N 3"], true: Float[ArrayLike, "M 3"], *, threshold: float = 0.01, tile: int = 2048
) -> Float[jax.Array, ""]:
    """F-score of two sampled surfaces in percent: harmonic mean of the shares of points within `threshold`.

    Tatarchenko et al. 2019; at 1 cm it is an optional metric of CONTHO's code.

    Args:
      predicted: surface samples, metres.
      true: surface samples, metres.
      threshold: metres.
      tile: points compared at a time.

    Returns:
      Percent; 0 when no point is within the threshold.
    """
    distance = nearest(predicted, true, tile=tile).distance
    precision = jnp.mean((distance < threshold).astype(distance.dtype))
    recall = jnp.mean((nearest(true, predicted, tile=tile).distance < threshold).astype(distance.dtype))
    total = precision + recall
    return jnp.where(total > 0, 200.0 * precision * recall / jnp.where(total > 0, total, 1), 0.0)


def _sample_both(key: jax.Array, a: Mesh, b: Mesh, count: int) -> tuple[jax.Array, jax.Array]:
    first, second = jax.random.split(key)
    return sample_surface(first, a, count).points, sample_surface(second, b, count).points


_sample_both_jit = jax.jit(_sample_both, static_argnums=3)
