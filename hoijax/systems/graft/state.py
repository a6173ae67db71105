"""A body in refinement: its parameters and its scale, how updates change them (specs/graft.md section 7).

A state stands for the surface V = scale * Body(parameters), scaled about the camera's centre, which leaves the image
as it is. The paper folds each step's scale into the parameters, beta <- s (beta + c) - c and t <- s t, exact only as
far as the template lies in the shape space. Here the scale is a number of its own, so that the surface is exact; the
network sees the folded parameters either way.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams, PosedBody, pose_body
from hoijax.geometry import RigidPose, einsum, rotation_from_6d, sixd_from_rotation
from hoijax.nets.graft import NUM_BETAS, GraftUpdate
from hoijax.systems.graft.body import BodySpec

ArrayLike = jax.Array | np.ndarray

SCALE_RANGE = (0.7, 1.4)
"""One step scales a body by no less and no more than this."""


@struct.dataclass
class GraftState:
    """One body, or many with leading axes; metres, camera frame."""

    params: BodyParams
    """Parameters before scaling."""
    scale: Float[ArrayLike, "*B"] | Any
    """The body is scaled by this about the camera's centre."""

    @classmethod
    def of(cls, params: BodyParams) -> "GraftState":
        """An estimate, not scaled."""
        params = jax.tree.map(jnp.asarray, params)
        return cls(params=params, scale=jnp.ones(params.betas.shape[:-1], params.betas.dtype))


@dataclasses.dataclass(frozen=True)
class UpdateMask:
    """What a refinement may change."""

    orient: bool = True
    """Global orientation."""
    pose: bool = True
    """The 21 body joints."""
    hands: bool = True
    """The fingers."""
    translation: bool = True
    betas: bool = True
    scale: bool = True


UPDATE_PRESETS: dict[str, UpdateMask] = {
    "all": UpdateMask(),
    "similarity": UpdateMask(pose=False, hands=False, betas=False),
}
"""`similarity` moves, turns and scales the body as a whole: PA-MPJPE cannot change. The paper's plug-in results on
Human3R have exactly Human3R's PA-MPJPE, so they must have been made like this (specs/graft.md section 10)."""


def pose_graft_state(model: BodyModel, state: GraftState) -> PosedBody:
    """The scaled surface and joints of a state, with any model whose parameters these are (all or some vertices)."""
    posed = pose_body(model, state.params)
    scale = jnp.asarray(state.scale)[..., None, None]
    return jax.tree.map(lambda x: x * jnp.broadcast_to(scale, x.shape), posed)


def fold_scale(spec: BodySpec, state: GraftState) -> BodyParams:
    """Parameters with the scale inside: beta_s = s (beta + c) - c, t_s = s t (GRAFT eq. S5).

    Args:
      spec: of the body.
      state: the body.

    Returns:
      Parameters of nearly the same surface; exactly the same where the template lies in the span of the shapes.
    """
    params, center = state.params, jnp.asarray(spec.scale_center)
    return params.replace(
        betas=_scaled_betas(params.betas, center, state.scale),
        translation=params.translation * state.scale[..., None],
    )


def fold_state(spec: BodySpec, state: GraftState) -> GraftState:
    """The state with its scale folded into the parameters, as the paper carries it from step to step."""
    return GraftState(params=fold_scale(spec, state), scale=jnp.ones_like(state.scale))


def _scaled_betas(betas: jax.Array, center: jax.Array, scale: jax.Array) -> jax.Array:
    center = jnp.broadcast_to(center, betas.shape)
    return scale[..., None] * (betas + center) - center


def apply_update(spec: BodySpec, state: GraftState, update: GraftUpdate, mask: UpdateMask) -> GraftState:
    """One step: 6D rotations are added to and made orthonormal again, translation and shape added to, scale multiplied.

    The update speaks of the folded parameters, which the network saw; so with the explicit scale s a change of them
    by d is a change by d / s before scaling.

    Args:
      spec: of the body.
      state: before the step.
      update: what the network says.
      mask: which of it to use.

    Returns:
      The state after it; joints that GRAFT does not predict (jaw, eyes) as before.
    """
    params, scale = state.params, state.scale
    order = np.asarray(spec.rotations)
    allowed = np.repeat([mask.orient, mask.pose, mask.hands], [1, 21, 30])
    before = params.rotations[..., order, :, :]
    changed = np.flatnonzero(allowed)
    rotations = params.rotations
    if changed.size:
        six = sixd_from_rotation(before[..., changed, :, :]) + update.rotations[..., changed, :]
        source = np.arange(rotations.shape[-3])
        source[order[changed]] = rotations.shape[-3] + np.arange(changed.size)
        rotations = jnp.concatenate([rotations, rotation_from_6d(six)], axis=-3)[..., source, :, :]
    inverse = (1.0 / scale)[..., None]
    translation, betas = params.translation, params.betas
    if mask.translation:
        translation = translation + inverse * update.translation
    if mask.betas:
        step = inverse * update.betas
        rest = jnp.zeros((*step.shape[:-1], betas.shape[-1] - NUM_BETAS), step.dtype)
        betas = betas + jnp.concatenate([step, rest], axis=-1)
    if mask.scale:
        factor = jnp.clip(1.0 + update.scale, *SCALE_RANGE)
        if update.pivot == "pelvis":
            # scale * factor * (translation' + J) = scale * (translation + J): the pelvis stays.
            pelvis = _pelvis(spec, betas)
            translation = (translation + pelvis) / factor[..., None] - pelvis
        scale = scale * factor
    return GraftState(params=BodyParams(rotations=rotations, betas=betas, translation=translation), scale=scale)


def _pelvis(spec: BodySpec, betas: jax.Array) -> jax.Array:
    """Where the pelvis is before the body is moved, which shape alone places; betas with leading axes or not."""
    model = spec.probe_model
    return jnp.asarray(model.joint_template)[0] + einsum("cs,...s->...c", jnp.asarray(model.joint_shape_dirs)[0], betas)


def apply_similarity(spec: BodySpec, state: GraftState, pose: RigidPose) -> GraftState:
    """The body moved as a whole: its surface becomes `pose.scale * pose.rotation V + pose.translation`. One body.

    A body turns about its pelvis J, which shape alone places: t' = R (t + J) - J + T / (scale * s).
    """
    params = state.params
    pelvis = _pelvis(spec, params.betas)
    scale = state.scale * pose.scale
    turned = einsum("ij,j->i", pose.rotation, params.translation + pelvis)
    root = einsum("ij,jk->ik", pose.rotation, params.rotations[0])
    return GraftState(
        params=params.replace(
            rotations=jnp.concatenate([root[None], params.rotations[1:]]),
            translation=turned - pelvis + pose.translation / scale,
        ),
        scale=scale,
    )
