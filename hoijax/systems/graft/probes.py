"""From a state and a scene to what the network sees: 58 probes, and where the body is in the image."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float

from hoijax.body_models import PosedBody
from hoijax.geometry import einsum, sixd_from_rotation
from hoijax.nets.graft import NUM_BETAS, NUM_BODY, NUM_DISTAL, GraftInputs, VisualContext, gather_context
from hoijax.optim.fields.scene import ScenePoints, probe
from hoijax.systems.graft.body import BodySpec
from hoijax.systems.graft.state import GraftState, fold_scale

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class ImageFeatures:
    """Fused features of one image pair and the camera they were seen with."""

    fused: Float[ArrayLike, "2 H W D"] | Any
    """Maps of the two streams (erased, original) from `hoijax.nets.graft.Fusion`."""
    intrinsics: Float[ArrayLike, "3 3"] | Any
    """Intrinsics of the image that the patches are counted in, pixels."""
    patch: float = struct.field(pytree_node=False, default=14.0)
    """Pixels per cell of the maps."""


@struct.dataclass
class Anchors:
    """Where the network looks at the image."""

    pixels: Float[ArrayLike, "50 2"] | Any
    """Pixels (x, y)."""
    seen: Bool[ArrayLike, "50"] | Any
    """In front of the camera."""


def probe_points(spec: BodySpec, posed: PosedBody) -> Float[jax.Array, "58 3"]:
    """The probes: 21 body joints, the last joints of the fingers (left, right), 27 surface points. One body.

    Args:
      spec: of the body.
      posed: `pose_state` of the spec's probe model.
    """
    joints = jnp.asarray(posed.joints)
    return jnp.concatenate([joints[1 : 1 + NUM_BODY], joints[np.asarray(spec.distal)], jnp.asarray(posed.vertices)])


def network_inputs(spec: BodySpec, state: GraftState, posed: PosedBody, scene: ScenePoints) -> GraftInputs:
    """What the network sees of one body in one scene.

    Args:
      spec: of the body.
      state: the body.
      posed: `pose_state` of the spec's probe model.
      scene: camera frame.
    """
    points = probe_points(spec, posed)
    nearest = probe(scene, points)
    params = fold_scale(spec, state)
    rotations = params.rotations[np.asarray(spec.rotations)]
    pelvis = jnp.broadcast_to(posed.joints[:1], points.shape)
    return GraftInputs(
        points=einsum("ji,pj->pi", rotations[0], points - pelvis),
        offsets=nearest.offset,
        normals=nearest.normal,
        rotations=sixd_from_rotation(rotations),
        translation=params.translation,
        betas=params.betas[:NUM_BETAS],
    )


def anchors(spec: BodySpec, posed: PosedBody, intrinsics: Float[ArrayLike, "3 3"]) -> Anchors:
    """The image points of the 21 body joints, of the middle of each hand's last joints and of the surface probes.

    Args:
      spec: of the body.
      posed: one body in the camera frame.
      intrinsics: pixels.
    """
    points = probe_points(spec, posed)
    joints, fingers, surface = jnp.split(points, [NUM_BODY, NUM_BODY + 2 * NUM_DISTAL])
    points = jnp.concatenate([joints, fingers.reshape(2, NUM_DISTAL, 3).mean(axis=1), surface])
    depth = points[:, 2:]
    seen = depth > 1e-3
    rays = points / jnp.broadcast_to(jnp.where(seen, depth, 1.0), points.shape)
    pixels = einsum("ij,nj->ni", jnp.asarray(intrinsics), jnp.where(seen, rays, 0.0))[:, :2]
    return Anchors(pixels=pixels, seen=seen[:, 0])


def visual_context(spec: BodySpec, posed: PosedBody, image: ImageFeatures) -> VisualContext:
    """What each token sees of the image about one body."""
    at = anchors(spec, posed, image.intrinsics)
    return gather_context(image.fused, at.pixels, at.seen, image.patch)
