"""What a photograph says while an interaction is refined: where landmarks are, what the outlines are, what is in front.

Terms without a picture know only what touches what: they close a gap by the shortest way, which in the picture may be
straight across. These hold body and object to what is seen of them, so that gaps close along the line of sight.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams, pose_body
from hoijax.camera import Camera, crop
from hoijax.errors import InputError
from hoijax.geometry import RigidPose, einsum, transform_points
from hoijax.optim.fitting import ObjectShape, ObjectTarget, Observation, OutlineTarget, PointTable, place_points
from hoijax.render import Fragments, blur_images, edge_neighbours, outline_mask, rasterize

ArrayLike = jax.Array | np.ndarray

MISSED, BLUR = 0.01, 1.5
"""Share of a mask's area that is wrong and costs one; standard deviation of the blur under which it is counted, pixels.
"""
OUTLIER = 4.0
"""Standard deviations beyond which a landmark pulls ever less."""
ORDER_SLACK, ORDER_REACH = 0.01, 0.05
"""Metres by which depths may be in the wrong order without a cost; metres beyond that for half the cost of a pixel."""
_NEAREST = 0.05
"""Metres before the camera within which nothing is projected."""


@struct.dataclass
class Picture:
    """What is seen of one interaction, or of many with a leading axis on every array."""

    T_camera_world: Float[ArrayLike, "*B 4 4"] | Any
    """From the frame in which body and object are refined to the camera's."""
    matrix: Float[ArrayLike, "*B 3 3"] | Any
    """Intrinsics of the whole picture."""
    pixels: Float[ArrayLike, "*B N 2"] | Any
    """Where the landmarks are seen."""
    weights: Float[ArrayLike, "*B N"] | Any
    """Belief in each, 0 (not seen) to 1."""
    pixel_std: Float[ArrayLike, "*B N"] | Any
    """Error of each, pixels."""
    spread: Float[ArrayLike, "*B N"] | Any
    """How far a detector's point and the body's differ, metres."""
    body: OutlineTarget
    """Of the person."""
    object: ObjectTarget
    """Of the object."""
    shape: ObjectShape
    """The object as it is drawn."""


@struct.dataclass
class Surfaces:
    """Of the body, what is drawn and what landmarks lie on; the same for all interactions of a batch."""

    model: BodyModel
    """Drawn; it may be coarser than the body that is refined, with the same joints and betas."""
    neighbours: Any
    """Of its faces (`edge_neighbours`), (F, 3)."""
    points: PointTable
    """Places of the landmarks."""


def body_surfaces(model: BodyModel, points: PointTable) -> Surfaces:
    """What of a body is seen; on the host, once.

    Args:
      model: body to draw; "light" serves the free body.
      points: of `point_table`, for the names of the observations.
    """
    return Surfaces(model, edge_neighbours(np.asarray(model.faces)), points)


def picture_of(
    observation: Observation,
    matrix: Float[ArrayLike, "3 3"],
    body: OutlineTarget,
    object: ObjectTarget,
    shape: ObjectShape,
    T_camera_world: Float[ArrayLike, "4 4"] | None = None,
) -> Picture:
    """What is seen of one interaction; on the host.

    Args:
      observation: of one person, left and right as they were fitted.
      matrix: intrinsics of the whole picture.
      body: of `outline_target`, the object's mask hidden.
      object: of `object_target`.
      shape: of `object_shape`.
      T_camera_world: None: body and object are in the camera's frame.

    Raises:
      InputError: an observation of many people, a matrix that is none.
    """
    if np.ndim(observation.pixels) != 2:
        raise InputError(f"landmarks of shape {np.shape(observation.pixels)}; wanted are one person's, (N, 2)")
    pose = np.eye(4) if T_camera_world is None else np.asarray(T_camera_world)
    for name, array, shape_wanted in (("intrinsics", matrix, (3, 3)), ("T_camera_world", pose, (4, 4))):
        if np.shape(array) != shape_wanted or not np.isfinite(np.asarray(array)).all():
            raise InputError(f"{name} of shape {np.shape(array)}; wanted are {shape_wanted} finite numbers")
    seen = observation.pixels, observation.weights, observation.pixel_std, observation.spread
    arrays = (np.asarray(x, np.float32) for x in (pose, matrix, *seen))
    return Picture(*arrays, body=body, object=object, shape=shape)


@struct.dataclass
class _Drawn:
    """What the state looks like in the two squares."""

    body: Fragments
    object: Fragments
    body_behind: Fragments
    """The body in the object's square."""


def landmark_term(points: Float[jax.Array, "N 3"], picture: Picture) -> Float[jax.Array, ""]:
    """Mean squared distance of the landmarks in standard deviations, by Geman-McClure's loss; one picture.

    Args:
      points: of the body, camera frame, metres.
      picture: where they are seen.
    """
    depth = jnp.maximum(points[:, 2:], _NEAREST)
    focal = jnp.stack([picture.matrix[0, 0], picture.matrix[1, 1]])
    place = points[:, :2] / depth * focal[None] + picture.matrix[None, :2, 2]
    spread = jax.lax.stop_gradient(picture.spread * picture.matrix[0, 0] / depth[:, 0])
    square = jnp.sum(jnp.square(place - picture.pixels), axis=1) / (jnp.square(picture.pixel_std) + jnp.square(spread))
    seen = jnp.sum(picture.weights)
    return jnp.sum(picture.weights * square / (1 + square / OUTLIER**2)) / jnp.where(seen > 0, seen, 1)


def outline_term(mask: Float[jax.Array, "S S"], target: OutlineTarget | ObjectTarget) -> Float[jax.Array, ""]:
    """Squared difference of a drawn mask and the one seen under a blur, in shares of the seen one's area / `MISSED`."""
    wrong = blur_images(target.valid * (mask - target.covered), BLUR)
    return jnp.sum(jnp.square(wrong)) / _area(target) / MISSED


def order_term(
    body: Float[jax.Array, "S S"], object: Float[jax.Array, "S S"], target: ObjectTarget
) -> Float[jax.Array, ""]:
    """Where both would be seen and the wrong one is in front, in shares of the object's area / `MISSED`.

    Args:
      body: depth of it in the object's square, infinite where it is not.
      object: likewise.
      target: which of the two is seen where.
    """
    both = jnp.isfinite(body) & jnp.isfinite(object)
    behind = jnp.where(both, object, 0.0) - jnp.where(both, body, 0.0)  # how far the object is behind the body

    def wrong(depth):
        square = jnp.square(jax.nn.relu(depth - ORDER_SLACK))
        return square / (square + ORDER_REACH**2)

    # On the border between both a pixel shows one and is drawn as the other.
    of_object, of_body = (jnp.clip(4 * x - 3, 0.0, 1.0) for x in (target.valid * target.covered, target.hidden))
    cost = of_object * wrong(behind) + of_body * wrong(-behind)
    return jnp.sum(jnp.where(both, cost, 0.0)) / _area(target) / MISSED


def _area(target: OutlineTarget | ObjectTarget) -> jax.Array:
    return jnp.maximum(jnp.sum(target.valid * target.covered), 1.0)


def picture_terms(
    params: BodyParams, pose: RigidPose, picture: Picture, surfaces: Surfaces
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The terms of landmarks, outlines and order of one interaction; differentiable in body and object.

    Args:
      params: the body.
      pose: the object.
      picture: what is seen, without a leading axis.
      surfaces: of `body_surfaces`.
    """
    drawn = _draw(params, pose, picture, surfaces)
    points = _to_camera(place_points(surfaces.points, params)[0], picture)
    outline = outline_term(outline_mask(drawn.body, surfaces.neighbours), picture.body)
    outline += outline_term(outline_mask(drawn.object, picture.shape.neighbours), picture.object)
    return (
        landmark_term(points, picture),
        outline,
        order_term(drawn.body_behind.depth, drawn.object.depth, picture.object),
    )


def outline_overlaps(
    params: BodyParams, pose: RigidPose, picture: Picture, surfaces: Surfaces
) -> tuple[Float[jax.Array, ""], Float[jax.Array, ""]]:
    """Intersection over union of what is drawn with the masks of body and object, where something is known.

    Args:
      params: the body.
      pose: the object.
      picture: what is seen, without a leading axis.
      surfaces: of `body_surfaces`.
    """
    drawn = _draw(params, pose, picture, surfaces)

    def overlap(fragments: Fragments, target: OutlineTarget | ObjectTarget) -> jax.Array:
        mask = fragments.mask.astype(jnp.float32)
        both, either = jnp.minimum(mask, target.covered), jnp.maximum(mask, target.covered)
        return jnp.sum(target.valid * both) / jnp.maximum(jnp.sum(target.valid * either), 1.0)

    return overlap(drawn.body, picture.body), overlap(drawn.object, picture.object)


def _to_camera(points: jax.Array, picture: Picture) -> jax.Array:
    turned = einsum("ij,nj->ni", picture.T_camera_world[:3, :3], points)
    return turned + picture.T_camera_world[None, :3, 3]


def _draw(params: BodyParams, pose: RigidPose, picture: Picture, surfaces: Surfaces) -> _Drawn:
    picture = jax.tree.map(jnp.asarray, picture)
    shape, dtype = picture.shape, picture.matrix.dtype

    def square(target: OutlineTarget | ObjectTarget) -> Camera:
        size = (int(target.covered.shape[0]), int(target.covered.shape[1]))
        return crop(Camera(picture.matrix, jnp.eye(4, dtype=dtype), size), target.box, size)

    body = _to_camera(jnp.asarray(pose_body(surfaces.model, params).vertices), picture)
    thing = _to_camera(transform_points(pose, shape.vertices + shape.centre[None]), picture)
    of_object = square(picture.object)
    return _Drawn(
        rasterize(body, surfaces.model.faces, square(picture.body)),
        rasterize(thing, shape.faces, of_object),
        rasterize(body, surfaces.model.faces, of_object),
    )
