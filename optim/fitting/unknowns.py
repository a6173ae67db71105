"""The unknowns of a fit, in standard deviations of the prior, so that the prior is their plain square.

z, in order: the root's turn (3) from the start's orientation, in radians; rotation vectors of the fitted joints, 3
each; betas; where the pelvis is: two slopes off the optical axis and the logarithm of its distance; the logarithm of
the focal length. With identity-like curvature of the prior in every direction the normal matrix is well conditioned in
float32, and what nothing was seen of stays at its mean.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams
from hoijax.errors import InputError
from hoijax.geometry import einsum, rotation_from_axis_angle
from hoijax.optim.fitting.intrinsics import Intrinsics
from hoijax.optim.fitting.points import PointTable, point_table
from hoijax.optim.fitting.prior import PosePrior, pose_bank, pose_prior

ArrayLike = jax.Array | np.ndarray

DISTANCE = 3.0
"""Where a person stands of whom nothing is seen: on the optical axis, at this distance in metres."""
_SLOPE_STD, _DISTANCE_STD = 0.6, 0.7  # of x / z and y / z, and of the logarithm of z
MOST_BETAS = 10
"""Shape coefficients that are fitted; models may have hundreds."""
FACING = np.diag([1.0, -1.0, -1.0])
"""Rotation of a person who stands upright and faces the camera: body y up, z forward; camera y down, z away."""


@struct.dataclass
class PreparedBody:
    """A body model made ready for fitting to named points."""

    table: PointTable
    """Where the points lie."""
    prior: PosePrior
    bank: Float[ArrayLike, "P J 3"] | Any
    """Poses that fits start from, rotation vectors."""
    joints: tuple[int, ...] = struct.field(pytree_node=False)
    """Joints that are fitted, without the root; the others keep the prior's mean."""
    num_betas: int = struct.field(pytree_node=False)
    """How many betas are fitted."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the points, the observation's."""
        return self.table.names

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return 3 + 3 * len(self.joints) + self.num_betas + 4


def prepare_body(model: BodyModel, names: tuple[str, ...], *, fingers: bool | None = None) -> PreparedBody:
    """Makes a body ready to be fitted to observations with these points; on the host, once.

    Args:
      model: free body, SMPL, SMPL-H or SMPL-X.
      names: names of an observation's points.
      fingers: whether finger joints are fitted. None: where a finger's last joint is among the points.

    Raises:
      InputError: a MANO hand, a model without the field's joint names, a name that no body has.
    """
    if model.kind == "mano" or not {"pelvis", "left_hip", "left_shoulder"} <= set(model.joint_names):
        raise InputError(
            f"a {model.kind} model has no pelvis, hips and shoulders; fit a free body, SMPL, SMPL-H or SMPL-X"
        )
    table = point_table(model, tuple(names))
    is_finger = [name[-1] in "123" and not name.startswith("spine") for name in model.joint_names]
    if fingers is None:
        fingers = any(name.endswith("3") and name != "spine3" for name in names)
    face = {"jaw", "left_eye_smplhf", "right_eye_smplhf"}
    joints = tuple(
        i for i, name in enumerate(model.joint_names) if i and name not in face and (fingers or not is_finger[i])
    )
    num_betas = min(MOST_BETAS, model.num_betas - model.num_expression)
    return PreparedBody(table, pose_prior(model), pose_bank(model), joints, num_betas)


def pose_unknowns(body: PreparedBody, pose: Float[ArrayLike, "J 3"]) -> Float[jax.Array, "N"]:
    """The unknowns of a pose, rotation vectors, with everything else at its mean."""
    chosen = np.asarray(body.joints)
    z = (jnp.asarray(pose)[chosen] - jnp.asarray(body.prior.mean)[chosen]) / jnp.asarray(body.prior.std)[chosen]
    dtype = z.dtype
    return jnp.concatenate([jnp.zeros(3, dtype), z.reshape(-1), jnp.zeros(body.num_betas + 4, dtype)])


def place_pelvis(z: Float[jax.Array, "N"], position: Float[ArrayLike, "3"]) -> Float[jax.Array, "N"]:
    """The unknowns with the pelvis at a position in front of the camera, metres."""
    position = jnp.asarray(position, z.dtype)
    depth = jnp.maximum(position[2], 0.1)
    slopes = position[:2] / (depth * _SLOPE_STD)
    return z.at[-4:-1].set(jnp.append(slopes, jnp.log(depth / DISTANCE) / _DISTANCE_STD))


def joint_vectors(body: PreparedBody, z: Float[jax.Array, "N"]) -> Float[jax.Array, "J 3"]:
    """Rotation vectors of all joints, radians; the root's entry is the prior's mean and means nothing."""
    chosen = np.asarray(body.joints)
    mean, std = jnp.asarray(body.prior.mean), jnp.asarray(body.prior.std)
    values = mean[chosen] + std[chosen] * z[3 : 3 + 3 * len(chosen)].reshape(-1, 3)
    # A gather instead of a scatter: joints that are not fitted read their mean from behind the fitted ones.
    order = np.full(mean.shape[0], -1)
    order[chosen] = np.arange(len(chosen))
    rest = np.flatnonzero(order < 0)
    order[rest] = len(chosen) + np.arange(len(rest))
    return jnp.concatenate([values, mean[rest]])[order]


def unpack(body: PreparedBody, z: Float[jax.Array, "N"], root: Float[ArrayLike, "3 3"]) -> BodyParams:
    """The body's parameters in the camera's frame.

    Args:
      body: what is fitted.
      z: unknowns.
      root: the start's orientation of the root.
    """
    model = body.table.model
    turn = einsum("ij,jk->ik", rotation_from_axis_angle(z[:3]), root)
    others = rotation_from_axis_angle(joint_vectors(body, z)[1:])
    first = 3 + 3 * len(body.joints)
    betas = jnp.zeros(model.num_betas, z.dtype).at[: body.num_betas].set(z[first : first + body.num_betas])
    depth = DISTANCE * jnp.exp(_DISTANCE_STD * z[-2])
    pelvis = depth * jnp.append(_SLOPE_STD * z[-4:-2], jnp.ones((), z.dtype))
    rest = jnp.asarray(model.joint_template)[0] + einsum("cs,s->c", jnp.asarray(model.joint_shape_dirs)[0], betas)
    return BodyParams(jnp.concatenate([turn[None], others]), betas, pelvis - rest)


def focal_factor(z: Float[jax.Array, "N"], intrinsics: Intrinsics) -> Float[jax.Array, ""]:
    """The fitted focal length over that of `intrinsics`."""
    return jnp.exp(jnp.asarray(intrinsics.focal_std, z.dtype) * z[-1])


def fitted_matrix(z: Float[jax.Array, "N"], intrinsics: Intrinsics) -> Float[jax.Array, "3 3"]:
    """The intrinsics with the fitted focal length."""
    factor, one = focal_factor(z, intrinsics), jnp.ones((), z.dtype)
    matrix = jnp.asarray(intrinsics.matrix)
    columns = jnp.stack([factor, factor, one])  # the principal point and the last row stay
    return matrix * columns[None]
