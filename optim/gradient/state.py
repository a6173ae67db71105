"""The refiner's variables: what moves, steps along the manifold, and how far things are from where they started."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams
from hoijax.geometry import RigidPose, einsum, rotation_from_axis_angle
from hoijax.geometry.safe import ArrayLike
from hoijax.optim.gradient.config import GROUPS, RefineConfig, expand_groups


@struct.dataclass
class State:
    """One interaction as variables, or many with leading axes."""

    rotations: Float[ArrayLike, "*B J 3 3"] | Any
    """Of the joints, relative to their parents."""
    betas: Float[ArrayLike, "*B S"] | Any
    """Shape coefficients."""
    translation: Float[ArrayLike, "*B 3"] | Any
    """Of the body, metres."""
    object_rotation: Float[ArrayLike, "*B 3 3"] | Any
    """From the object's canonical frame to the body's."""
    object_translation: Float[ArrayLike, "*B 3"] | Any
    """Of the object, metres."""
    object_scale: Float[ArrayLike, "*B"] | Any
    """Of the object."""

    @classmethod
    def of(cls, params: BodyParams, pose: RigidPose) -> "State":
        """The variables of an estimate."""
        return cls(
            rotations=jnp.asarray(params.rotations),
            betas=jnp.asarray(params.betas),
            translation=jnp.asarray(params.translation),
            object_rotation=jnp.asarray(pose.rotation),
            object_translation=jnp.asarray(pose.translation),
            object_scale=jnp.asarray(pose.scale),
        )

    @property
    def params(self) -> BodyParams:
        """The body."""
        return BodyParams(rotations=self.rotations, betas=self.betas, translation=self.translation)

    @property
    def pose(self) -> RigidPose:
        """The object."""
        return RigidPose(self.object_rotation, self.object_translation, self.object_scale)


def tangent(state: State, cotangent: State) -> Float[jax.Array, "D"]:
    """Gradient in tangent coordinates from the gradient in ambient ones.

    A rotation moves as R exp([w]x); at w = 0 the derivative along w_k is <dE/dR, R [e_k]x>. The result holds the w of
    the joints, then betas, translation, the object's w, translation and log scale.
    """
    return jnp.concatenate([
        _rotation_tangent(state.rotations, cotangent.rotations).reshape(-1),
        cotangent.betas,
        cotangent.translation,
        _rotation_tangent(state.object_rotation, cotangent.object_rotation),
        cotangent.object_translation,
        (state.object_scale * cotangent.object_scale)[None],
    ])  # fmt: skip


def _rotation_tangent(rotation: jax.Array, cotangent: jax.Array) -> jax.Array:
    m = einsum("...ji,...jk->...ik", rotation, cotangent)
    return jnp.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], axis=-1)


def retract(state: State, step: Float[jax.Array, "D"]) -> State:
    """The state moved by a step in tangent coordinates; rotations stay rotations."""
    joints, betas = state.rotations.shape[0], state.betas.shape[0]
    w, b, t, ow, ot, os = jnp.split(step, np.cumsum([3 * joints, betas, 3, 3, 3]))
    turns = rotation_from_axis_angle(jnp.concatenate([w.reshape(joints, 3), ow[None]]))
    rotations = jnp.concatenate([state.rotations, state.object_rotation[None]])
    turned = orthonormal(einsum("jik,jkl->jil", rotations, turns))
    return State(
        rotations=turned[:-1],
        betas=state.betas + b,
        translation=state.translation + t,
        object_rotation=turned[-1],
        object_translation=state.object_translation + ot,
        object_scale=state.object_scale * jnp.exp(os[0]),
    )


def orthonormal(matrix: Float[jax.Array, "*B 3 3"]) -> Float[jax.Array, "*B 3 3"]:
    """One Newton step towards the nearest rotation: removes the rounding of products, second order in the error."""
    gram = einsum("...ji,...jk->...ik", matrix, matrix)
    return 1.5 * matrix - 0.5 * einsum("...ij,...jk->...ik", matrix, gram)


_GROUP_OF = {
    "pelvis": "root", "spine": "torso", "neck": "torso", "head": "torso", "collar": "arms", "shoulder": "arms",
    "elbow": "arms", "wrist": "arms", "hip": "legs", "knee": "legs", "ankle": "legs", "foot": "legs",
}  # fmt: skip
"""Group of each body joint, by its name without side or number."""
_FINGERS = ("hand", "index", "middle", "pinky", "ring", "thumb")


def joint_groups(joint_names: Sequence[str]) -> tuple[str, ...]:
    """Group of each joint; "" for jaw and eyes, which never move. A lone hand's wrist is its root."""
    groups = []
    for index, name in enumerate(joint_names):
        side, _, rest = name.partition("_") if name.startswith(("left_", "right_")) else ("", "", name)
        rest = rest.rstrip("0123456789")
        groups.append("root" if index == 0 else f"{side}_hand" if rest in _FINGERS else _GROUP_OF.get(rest, ""))
    return tuple(groups)


def spread_over_groups(model: BodyModel, values: dict[str, float]) -> Float[np.ndarray, "D"]:
    """One value per tangent coordinate from one value per group of `GROUPS`; 0 where nothing moves. Host function."""
    by_joint = np.array([values.get(group, 0.0) for group in joint_groups(model.joint_names)])
    return np.concatenate([
        np.repeat(by_joint, 3),
        np.full(model.num_betas, values["betas"]),
        np.full(3, values["translation"]),
        np.full(3, values["object_rotation"]),
        np.full(3, values["object_translation"]),
        np.full(1, values["object_scale"]),
    ])  # fmt: skip


def rates(model: BodyModel, config: RefineConfig, groups: tuple[str, ...]) -> Float[np.ndarray, "D"]:
    """Learning rate of each tangent coordinate: zero for groups that are not named or are frozen. Host function."""
    moving = set(expand_groups(groups)) - set(expand_groups(config.freeze))
    return spread_over_groups(model, {g: getattr(config.rate, g) if g in moving else 0.0 for g in GROUPS})


def moves_object(freeze: tuple[str, ...]) -> bool:
    """Whether the object may both turn and shift."""
    return not {"object_rotation", "object_translation"} & set(expand_groups(freeze))


def keep_frozen(model: BodyModel, freeze: tuple[str, ...], moved: State, start: State) -> State:
    """`moved`, with every frozen group exactly as in `start`."""
    frozen = set(expand_groups(freeze))
    joints = np.array([group in frozen or not group for group in joint_groups(model.joint_names)])

    def pick(name: str) -> jax.Array:
        return getattr(start if name in frozen else moved, name)

    return State(
        rotations=jnp.where(joints[:, None, None], start.rotations, moved.rotations),
        betas=pick("betas"),
        translation=pick("translation"),
        object_rotation=pick("object_rotation"),
        object_translation=pick("object_translation"),
        object_scale=pick("object_scale"),
    )
