"""Contact of a body with a scene: V2S, D2S and the contact rule of PhySIC (specs/graft.md section 11).

All of them look at the displacement from body vertices to their nearest scene point, in the prediction and in the
truth, over a set of contact vertices weighted by area. One body and one scene; the weighted means take any leading
axes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int, Shaped

from hoijax.geometry import cross, dot, nearest, nearest_host, safe_norm, voronoi_areas
from hoijax.geometry.safe import ArrayLike


def scene_displacement(
    vertices: Float[ArrayLike, "V 3"], scene: Float[ArrayLike, "N 3"], *, tile: int = 2048
) -> Float[jax.Array, "V 3"]:
    """Nearest scene point minus vertex, for each vertex.

    Args:
      vertices: of the body, metres.
      scene: points, metres.
      tile: scene points compared at a time.

    Returns:
      Metres.
    """
    vertices, scene = jnp.asarray(vertices), jnp.asarray(scene)
    return scene[nearest(vertices, scene, tile=tile).index] - vertices


def scene_displacement_host(
    vertices: Float[ArrayLike, "V 3"], scene: Float[ArrayLike, "N 3"]
) -> Float[np.ndarray, "V 3"]:
    """`scene_displacement` with a k-d tree on the host, for scenes of hundreds of thousands of points.

    Args:
      vertices: of the body, metres.
      scene: points, metres.

    Returns:
      Metres.
    """
    vertices, scene = np.asarray(vertices), np.asarray(scene)
    return scene[nearest_host(vertices, scene).index] - vertices


def contact_set_weights(
    vertices: Float[ArrayLike, "V 3"], faces: Int[ArrayLike, "F 3"], contact_set: Int[ArrayLike, "K"]
) -> Float[jax.Array, "K"]:
    """Weights of a contact set: mixed Voronoi areas on the full mesh of the rest template, then picked.

    Args:
      vertices: of the template at rest, metres.
      faces: of the template.
      contact_set: vertex ids.

    Returns:
      Square metres.
    """
    return voronoi_areas(vertices, faces)[jnp.asarray(contact_set)]


def v2s_mm(
    predicted: Float[ArrayLike, "*B V 3"], true: Float[ArrayLike, "*B V 3"], weights: Shaped[ArrayLike, "V"]
) -> Float[jax.Array, "*B"]:
    """Vertex-to-scene error of GRAFT: weighted mean length of the difference of displacements.

    Args:
      predicted: displacements of the predicted body in the predicted scene, metres.
      true: displacements of the true body in the true scene, metres.
      weights: one per vertex, see `contact_set_weights`.

    Returns:
      Millimetres.
    """
    length = safe_norm(jnp.asarray(predicted) - jnp.asarray(true))
    weights = jnp.broadcast_to(jnp.asarray(weights).astype(length.dtype), length.shape)
    total = jnp.sum(weights, axis=-1)
    return 1000.0 * jnp.sum(weights * length, axis=-1) / jnp.where(total > 0, total, 1)


@struct.dataclass
class DirectionError:
    """D2S and how much of the contact set it speaks for."""

    degrees: Float[ArrayLike, "*B"] | Any
    """Weighted mean angle, degrees; 0 if every vertex was dropped."""
    dropped: Float[ArrayLike, "*B"] | Any
    """Share of the weight that was dropped because a displacement was too short to have a direction."""


def d2s_deg(
    predicted: Float[ArrayLike, "*B V 3"],
    true: Float[ArrayLike, "*B V 3"],
    weights: Shaped[ArrayLike, "V"],
    *,
    min_length: float = 1e-3,
) -> DirectionError:
    """Direction-to-scene error of GRAFT: weighted mean angle between the displacements.

    Args:
      predicted: displacements in the prediction, metres.
      true: displacements in the truth, metres.
      weights: one per vertex.
      min_length: vertices with either displacement shorter than this are dropped, metres.

    Returns:
      The error and the share of weight dropped.
    """
    predicted, true = jnp.asarray(predicted), jnp.asarray(true)
    # atan2 keeps its digits at 0 and 180 degrees, where arccos of a normalised product loses half of them.
    angle = jnp.arctan2(safe_norm(cross(predicted, true)), dot(predicted, true))
    kept = (safe_norm(predicted) >= min_length) & (safe_norm(true) >= min_length)
    all_weights = jnp.broadcast_to(jnp.asarray(weights).astype(angle.dtype), angle.shape)
    kept_weights = jnp.where(kept, all_weights, 0)
    total, all_total = jnp.sum(kept_weights, axis=-1), jnp.sum(all_weights, axis=-1)
    mean = jnp.sum(kept_weights * angle, axis=-1) / jnp.where(total > 0, total, 1)
    dropped = 1 - total / jnp.where(all_total > 0, all_total, 1)
    return DirectionError(jnp.degrees(mean), jnp.where(all_total > 0, dropped, 0))


TOUCHES, BEHIND = 0.02, 0.15
"""PhySIC's rule for contact, metres: a vertex this near to the scene touches it, as does one this far behind it."""


def touches_scene(distance: Any, height: Any, *, threshold: float = TOUCHES, behind: float = BEHIND) -> Any:
    """The rule of PhySIC's code from distance to the nearest scene point and height above its tangent plane, metres.

    Args:
      distance: NumPy's or JAX's, any shape.
      height: likewise, negative behind the surface.
      threshold: see `scene_contact`.
      behind: see `scene_contact`.

    Returns:
      Booleans.
    """
    return (distance <= threshold) | ((height < 0) & (distance <= behind))


def scene_contact(
    vertices: Float[ArrayLike, "V 3"],
    scene: Float[ArrayLike, "N 3"],
    scene_normals: Float[ArrayLike, "N 3"],
    *,
    threshold: float = TOUCHES,
    behind: float = BEHIND,
    tile: int = 2048,
) -> Bool[jax.Array, "V"]:
    """Contact by the rule of PhySIC's code: near the scene, or behind its surface and not far.

    Args:
      vertices: of the body, metres.
      scene: points, metres.
      scene_normals: unit normals of the points, pointing to free space.
      threshold: a vertex at most this far from its nearest scene point touches, metres.
      behind: a vertex behind the tangent plane of its nearest scene point and at most this far touches, metres.
      tile: scene points compared at a time.

    Returns:
      One boolean per vertex.
    """
    vertices, scene = jnp.asarray(vertices), jnp.asarray(scene)
    closest = nearest(vertices, scene, tile=tile)
    side = dot(vertices - scene[closest.index], jnp.asarray(scene_normals)[closest.index])
    return touches_scene(closest.distance, side, threshold=threshold, behind=behind)


def scene_contact_host(
    vertices: Float[ArrayLike, "V 3"],
    scene: Float[ArrayLike, "N 3"],
    scene_normals: Float[ArrayLike, "N 3"],
    *,
    threshold: float = TOUCHES,
    behind: float = BEHIND,
) -> Bool[np.ndarray, "V"]:
    """`scene_contact` with a k-d tree on the host, for scenes of hundreds of thousands of points.

    Args:
      vertices: of the body, metres.
      scene: points, metres.
      scene_normals: unit normals of the points, pointing to free space.
      threshold: as in `scene_contact`, metres.
      behind: as in `scene_contact`, metres.

    Returns:
      One boolean per vertex.
    """
    vertices, scene = np.asarray(vertices), np.asarray(scene)
    closest = nearest_host(vertices, scene)
    index, distance = np.asarray(closest.index), np.asarray(closest.distance)
    side = np.sum((vertices - scene[index]) * np.asarray(scene_normals)[index], axis=-1)
    return touches_scene(distance, side, threshold=threshold, behind=behind)
