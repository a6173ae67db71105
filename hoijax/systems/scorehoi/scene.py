"""Between the 331 numbers of a state and what the losses look at: vertices, joints and object in metres.

Everything is relative to the pelvis, in the camera frame.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams, pose_body, pose_joints, subset
from hoijax.body_models.resampling import Resampling, selected_vertices
from hoijax.errors import InputError
from hoijax.geometry import (
    RigidPose,
    SDFGrid,
    axis_angle_from_rotation,
    einsum,
    rotation_from_6d,
    rotation_from_axis_angle,
    sixd_from_rotation,
    transform_points,
)
from hoijax.interaction import GRAVITY_CAMERA, Interaction, ObjectTemplate
from hoijax.nets.scorehoi.state import NUM_BETAS, NUM_JOINTS, BetasRange, HOIState, pack, unpack

ArrayLike = jax.Array | np.ndarray
_FIRST_HAND_JOINT = 22


@struct.dataclass
class GuidedBody:
    """A body as the refinement sees it: K vertices that stand for its surface."""

    model: BodyModel
    """Of the K vertices alone where downsampling picks vertices, else of all."""
    down: Float[ArrayLike, "K V"] | Any | None
    """From all vertices to K; None where the model has the K alone."""
    up: Float[ArrayLike, "V K"] | Any
    """From K vertices to all."""
    betas: BetasRange


@struct.dataclass
class GuidedScene:
    """The objects and floors of a batch of B samples."""

    points: Float[ArrayLike, "B P 3"] | Any
    """Template points in the canonical frame, metres."""
    sdf: SDFGrid | None
    """Signed distances of each object with a leading axis B, or None: no penetration term."""
    gravity: Float[ArrayLike, "B 3"] | Any
    """Direction of gravity in the camera frame."""


@struct.dataclass
class Posed:
    """A batch of states as geometry."""

    vertices: Float[ArrayLike, "B K 3"] | Any
    """K body vertices."""
    joints: Float[ArrayLike, "B J 3"] | Any
    """The body's joints."""
    object: RigidPose
    points: Float[ArrayLike, "B P 3"] | Any
    """Template points in place."""


def guided_body(model: BodyModel, resampled: Resampling | np.ndarray, betas: BetasRange, up: Any = None) -> GuidedBody:
    """Prepares a body. Host function; keep the result.

    Args:
      model: SMPL-H or the free body: 52 joints.
      resampled: of `resample_vertices`, or a downsampling matrix (K, V) of one's own.
      betas: range of the training set's shape coefficients.
      up: the upsampling matrix (V, K) that goes with one's own downsampling matrix.

    Raises:
      InputError: the model has another number of joints, or the matrices do not fit it.
    """
    if model.num_joints != NUM_JOINTS:
        raise InputError(
            f"ScoreHOI's states are bodies of {NUM_JOINTS} joints, the {model.kind} body has {model.num_joints}"
        )
    down, up = (resampled.down, resampled.up) if isinstance(resampled, Resampling) else (np.asarray(resampled), up)
    if up is None or down.shape[1] != model.num_vertices or np.shape(up) != down.shape[::-1]:
        shapes = f"{down.shape} and {None if up is None else np.shape(up)}"
        raise InputError(f"resampling matrices of shapes {shapes} do not fit a body of {model.num_vertices} vertices")
    single = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32 if np.asarray(x).dtype.kind == "f" else None), model)
    ids = selected_vertices(down)
    if ids is not None:
        # The same vertices for a sixteenth of the work.
        return GuidedBody(subset(single, ids), None, jnp.asarray(up, jnp.float32), betas)
    return GuidedBody(single, jnp.asarray(down, jnp.float32), jnp.asarray(up, jnp.float32), betas)


def guided_scene(
    templates: list[ObjectTemplate], *, gravity: Float[ArrayLike, "B 3"] | tuple[float, float, float] = GRAVITY_CAMERA
) -> GuidedScene:
    """The objects of a batch, one template per sample. Host function.

    Args:
      templates: all with as many points and with distance grids of one size.
      gravity: down in the camera frame, of each sample or of all. The default is ScoreHOI's assumption, a camera that
        is not tilted.

    Raises:
      InputError: the templates differ in shape.
    """
    shapes = {(np.shape(t.points), np.shape(t.sdf.values)) for t in templates}
    if len(shapes) != 1:
        raise InputError(f"objects of one batch need point sets and distance grids of one shape, got {sorted(shapes)}")
    points, sdf = jax.tree.map(
        lambda *x: jnp.stack([jnp.asarray(v, jnp.float32) for v in x]), *[(t.points, t.sdf) for t in templates]
    )
    gravity = jnp.broadcast_to(jnp.asarray(gravity, jnp.float32), (len(templates), 3))
    return GuidedScene(points=points, sdf=sdf, gravity=gravity)


def pose_hoi_state(body: GuidedBody, scene: GuidedScene, x: Float[ArrayLike, "B D"]) -> Posed:
    """The geometry of states; differentiable."""
    params, pose = _decode(body, x)
    posed = pose_body(body.model, params)
    vertices = posed.vertices
    if body.down is not None:
        vertices = einsum("kv,bvc->bkc", body.down.astype(vertices.dtype), vertices)
    root = posed.joints[:, :1]
    return Posed(
        vertices=vertices - jnp.broadcast_to(root, vertices.shape),
        joints=posed.joints - jnp.broadcast_to(root, posed.joints.shape),
        object=pose,
        points=transform_points(pose, scene.points),
    )


def state_from_interaction(body: GuidedBody, interaction: Interaction) -> Float[jax.Array, "B D"]:
    """States of bodies and objects in the camera frame, by whatever method they were found; the scale is left out."""
    params, obj = interaction.body, interaction.object
    pelvis = pose_joints(body.model, params).joints[:, 0]
    rotations = _hand_mean(body.model, params.rotations, -1.0)
    state = HOIState(
        pose=sixd_from_rotation(rotations),
        object_rotation=sixd_from_rotation(obj.rotation),
        object_translation=jnp.asarray(obj.translation) - pelvis,
        betas=body.betas.normalise(jnp.asarray(params.betas)[:, :NUM_BETAS]),
    )
    return pack(state)


def interaction_from_state(body: GuidedBody, x: Float[ArrayLike, "B D"]) -> Interaction:
    """Bodies and objects of states, the pelvis at the origin."""
    params, pose = _decode(body, x)
    pelvis = pose_joints(body.model, params).joints[:, 0]
    return Interaction(body=params.replace(translation=-pelvis), object=pose)


def _decode(body: GuidedBody, x: ArrayLike) -> tuple[BodyParams, RigidPose]:
    state = unpack(x)
    rotations = _hand_mean(body.model, rotation_from_6d(state.pose), 1.0)
    betas = body.betas.restore(state.betas)
    more = jnp.zeros((betas.shape[0], body.model.num_betas - NUM_BETAS), betas.dtype)
    params = BodyParams(
        rotations=rotations,
        betas=jnp.concatenate([betas, more], axis=-1),
        translation=jnp.zeros_like(state.object_translation),
    )
    pose = RigidPose(
        rotation=rotation_from_6d(state.object_rotation),
        translation=state.object_translation,
        scale=jnp.ones(betas.shape[:1], betas.dtype),
    )
    return params, pose


def _hand_mean(model: BodyModel, rotations: ArrayLike, sign: float) -> jax.Array:
    """Adds the model's mean hand pose to the hands' axis-angle vectors, as smplx does where it is not flat."""
    rotations = jnp.asarray(rotations)
    if model.flat_hand_mean or model.hand_mean is None:
        return rotations
    mean = jnp.asarray(model.hand_mean, rotations.dtype).reshape(-1, 3)
    hands = axis_angle_from_rotation(rotations[:, _FIRST_HAND_JOINT:])
    hands = rotation_from_axis_angle(hands + sign * jnp.broadcast_to(mean, hands.shape))
    return jnp.concatenate([rotations[:, :_FIRST_HAND_JOINT], hands], axis=1)
