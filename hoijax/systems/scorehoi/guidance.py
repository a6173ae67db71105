"""The physical losses that guide sampling (ScoreHOI eq. 5), and two that look at the image. Sums, not means.

The published scale and weights are tuned to sums over vertices: a mean would silently switch guidance off.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage
from flax import struct
from jaxtyping import Bool, Float

from hoijax.geometry import safe_norm
from hoijax.interaction import Contacts, contact_loss, floor_contact_loss, hinge_loss, object_sdf
from hoijax.nets.blocks.convolutions import bilinear_sample
from hoijax.nets.scorehoi.camera import FOCAL, project_to_crop
from hoijax.systems.scorehoi.config import GuidedConfig
from hoijax.systems.scorehoi.scene import GuidedScene, Posed

ArrayLike = jax.Array | np.ndarray

KEYPOINT_SCALE = 0.1
"""Residual of a keypoint beyond which it counts little, as a fraction of the crop."""


@struct.dataclass
class ImageEvidence:
    """What was seen in the crops of B samples; places are fractions of the crop from its centre, -0.5 to 0.5."""

    camera: Float[ArrayLike, "B 3"] | Any
    """Translation of the root-relative scene before the camera, metres; held."""
    keypoints: Float[ArrayLike, "B J 2"] | Any
    """Places of the body's joints."""
    confidence: Float[ArrayLike, "B J"] | Any
    """Of each keypoint, 0 for those not seen."""
    outside: Float[ArrayLike, "B H W"] | Any
    """Distance of each pixel to where the object may be, see `outside_distance`."""
    focal: float = struct.field(pytree_node=False, default=FOCAL)


@struct.dataclass
class GuidanceTerms:
    """Unweighted losses; (B,) each, or with further leading axes."""

    contact: Float[ArrayLike, "*B"] | Any
    """Square metres."""
    floor: Float[ArrayLike, "*B"] | Any
    """Square metres."""
    penetration: Float[ArrayLike, "*B"] | Any
    """Metres: sum of depths."""
    keypoints: Float[ArrayLike, "*B"] | Any
    """Squares of fractions of the crop."""
    mask: Float[ArrayLike, "*B"] | Any
    """Squares of fractions of the crop."""

    def total(self, config: GuidedConfig) -> jax.Array:
        """The weighted sum."""
        parts = [
            config.contact * self.contact, config.floor * self.floor, config.penetration * self.penetration,
            config.keypoints * self.keypoints, config.mask * self.mask,
        ]  # fmt: skip
        return sum(parts[1:], parts[0])


def guidance_terms(
    config: GuidedConfig, scene: GuidedScene, posed: Posed, masks: Contacts, evidence: ImageEvidence | None = None
) -> GuidanceTerms:
    """The losses of each sample of a batch.

    Contact: squared hinge of nearest distances of the points in contact, both ways (released; the paper's norm of
    differences is not defined between sets of different size). Floor: the same of the heights of the points on it above
    the lowest point, along gravity. Penetration: depths of body vertices in the object's signed distance (the paper's
    definition; the released one counts and has no gradient).
    """

    def one(vertices, points, pose, masks, gravity, sdf):
        zero = jnp.zeros((), vertices.dtype)
        depth = zero
        if sdf is not None and _is_used(config.penetration):
            depth = jnp.sum(jax.nn.relu(-object_sdf(sdf, pose, vertices)))
        if sdf is not None and config.surface:
            distance = jnp.abs(object_sdf(sdf, pose, vertices))
            touch = hinge_loss(masks.body.astype(distance.dtype) * distance, margin=config.margin)
            # The body's side is done: what is left is the object's.
            touch = touch + contact_loss(
                vertices, points, jnp.zeros_like(masks.body), masks.object, margin=config.margin
            )
        else:
            touch = contact_loss(vertices, points, masks.body, masks.object, margin=config.margin)
        return (
            touch,
            floor_contact_loss(points, vertices, masks.floor, gravity=gravity, margin=config.margin),
            depth,
        )

    terms = jax.vmap(one)(posed.vertices, posed.points, posed.object, masks, scene.gravity, scene.sdf)
    none = jnp.zeros_like(terms[0])
    if evidence is None:
        return GuidanceTerms(*terms, keypoints=none, mask=none)
    keypoints = _keypoint_loss(posed, evidence) if config.keypoints else none
    mask = _mask_loss(posed, evidence) if config.mask else none
    return GuidanceTerms(*terms, keypoints=keypoints, mask=mask)


def _is_used(weight: Any) -> bool:
    """Whether a loss counts; one whose weight is known only when the program runs does."""
    return isinstance(weight, jax.Array) or weight != 0


def _keypoint_loss(posed: Posed, evidence: ImageEvidence) -> Float[jax.Array, "B"]:
    """Geman-McClure on the projected joints."""
    place = project_to_crop(posed.joints, evidence.camera, focal=evidence.focal)
    seen = evidence.confidence > 0
    residual = jnp.where(seen[..., None], evidence.keypoints - place, 0.0)
    square = jnp.sum(residual**2, axis=-1)
    scale = KEYPOINT_SCALE**2
    return jnp.sum(evidence.confidence * scale * square / (scale + square), axis=-1)


def _mask_loss(posed: Posed, evidence: ImageEvidence) -> Float[jax.Array, "B"]:
    """Squared distances of the projected object points to where the object may be."""
    place = project_to_crop(posed.points, evidence.camera, focal=evidence.focal)

    def one(place, outside):
        sides = jnp.asarray(outside.shape[1::-1], place.dtype)
        at = (place + 0.5) * jnp.broadcast_to(sides, place.shape) - 0.5
        inside = jnp.clip(at, 0.0, jnp.broadcast_to(sides - 1.0, at.shape))
        beyond = safe_norm((at - inside) / jnp.broadcast_to(sides, at.shape))
        return jnp.sum((bilinear_sample(outside, inside)[..., 0] + beyond) ** 2)

    return jax.vmap(one)(place, evidence.outside[..., None])


def outside_distance(allowed: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Distance of every pixel to the nearest allowed one, as a fraction of the crop's width. Host function.

    Allowed is where the object was seen or may be hidden: its mask together with that of the body in front. Nothing
    allowed says nothing: zero everywhere.
    """
    if not allowed.any():
        return np.zeros(allowed.shape, np.float32)
    return (scipy.ndimage.distance_transform_edt(~allowed) / allowed.shape[1]).astype(np.float32)
