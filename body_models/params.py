"""Parameters of a body: rotations inside, and the field's axis-angle keys at the border."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.body_models.model import ArrayLike, BodyModel
from hoijax.errors import InputError
from hoijax.geometry import axis_angle_from_rotation, rotation_from_axis_angle

_WITH_HANDS = {"global_orient": (0, 1), "body_pose": (1, 22), "left_hand_pose": (22, 37), "right_hand_pose": (37, 52)}

POSE_GROUPS: dict[str, dict[str, tuple[int, int]]] = {
    "smpl": {"global_orient": (0, 1), "body_pose": (1, 24)},
    "smplh": _WITH_HANDS,
    "free": _WITH_HANDS,
    "smplx": {
        "global_orient": (0, 1),
        "body_pose": (1, 22),
        "jaw_pose": (22, 23),
        "leye_pose": (23, 24),
        "reye_pose": (24, 25),
        "left_hand_pose": (25, 40),
        "right_hand_pose": (40, 55),
    },
    "mano": {"global_orient": (0, 1), "hand_pose": (1, 16)},
}
"""First and last (exclusive) joint of each of the field's pose keys, for each kind of model."""
_HAND_KEYS = {"left_hand_pose": 0, "right_hand_pose": 1, "hand_pose": 0}


@struct.dataclass
class BodyParams:
    """State of one body, or of many with leading axes."""

    rotations: Float[ArrayLike, "*B J 3 3"] | Any
    """Rotation of each joint relative to its parent; joint 0 is the global orientation."""
    betas: Float[ArrayLike, "*B S"] | Any
    """Shape coefficients (for SMPL-X followed by expression coefficients), unit variance."""
    translation: Float[ArrayLike, "*B 3"] | Any
    """Translation added to every vertex and joint, metres."""

    @classmethod
    def identity(cls, model: BodyModel, shape: tuple[int, ...] = (), dtype=None) -> "BodyParams":
        """The rest pose of the mean shape, with leading axes `shape`, in the model's dtype unless given."""
        dtype = dtype or model.v_template.dtype
        return cls(
            rotations=jnp.broadcast_to(jnp.eye(3, dtype=dtype), (*shape, model.num_joints, 3, 3)),
            betas=jnp.zeros((*shape, model.num_betas), dtype),
            translation=jnp.zeros((*shape, 3), dtype),
        )

    @classmethod
    def from_axis_angle(
        cls,
        model: BodyModel,
        *,
        global_orient: Float[ArrayLike, "..."] | None = None,
        body_pose: Float[ArrayLike, "..."] | None = None,
        left_hand_pose: Float[ArrayLike, "..."] | None = None,
        right_hand_pose: Float[ArrayLike, "..."] | None = None,
        hand_pose: Float[ArrayLike, "..."] | None = None,
        jaw_pose: Float[ArrayLike, "..."] | None = None,
        leye_pose: Float[ArrayLike, "..."] | None = None,
        reye_pose: Float[ArrayLike, "..."] | None = None,
        betas: Float[ArrayLike, "*#B N"] | None = None,
        expression: Float[ArrayLike, "*#B E"] | None = None,
        transl: Float[ArrayLike, "*#B 3"] | None = None,
    ) -> "BodyParams":
        """Parameters from the field's keys, as smplx understands them. Any leading axes, broadcast against each other.

        A pose key is `(*B, 3 N)` or `(*B, N, 3)`, axis-angle in radians; N joints are 21 for `body_pose` (SMPL: 23)
        and 15 per hand. What is absent is zero: the rest pose, the mean shape.

        Hands: where the model's `hand_pca` is a number, a hand key is `(*B, hand_pca)` principal components instead
        (`(*B, 15, 3)` stays axis-angle). Where `flat_hand_mean` is False, the model's mean hand pose is added to the
        axis-angle vectors, to absent hands too.

        Args:
          model: the model that the parameters are for.
          global_orient: orientation of the root.
          body_pose: joints after the root.
          left_hand_pose: SMPL-H, SMPL-X, free body.
          right_hand_pose: the same.
          hand_pose: MANO.
          jaw_pose: SMPL-X.
          leye_pose: SMPL-X, left eye.
          reye_pose: SMPL-X, right eye.
          betas: shape; fewer than the model's are followed by zeros.
          expression: SMPL-X; fewer than the model's are followed by zeros.
          transl: translation, metres.

        Returns:
          Parameters in the model's dtype.

        Raises:
          InputError: a key that this kind of model does not have, or one of the wrong length.
        """
        groups = _groups(model)
        dtype = model.v_template.dtype
        given = {
            "global_orient": global_orient, "body_pose": body_pose, "left_hand_pose": left_hand_pose,
            "right_hand_pose": right_hand_pose, "hand_pose": hand_pose, "jaw_pose": jaw_pose, "leye_pose": leye_pose,
            "reye_pose": reye_pose,
        }  # fmt: skip
        poses = {}
        for key, value in given.items():
            if value is not None and key not in groups:
                raise InputError(f"a {model.kind} model has no {key}; it has {', '.join(groups)}")
            if value is not None:
                poses[key] = _axis_angle(model, key, jnp.asarray(value, dtype), groups[key])
        num_expression = model.num_expression
        shape = _pad("betas", betas, model.num_betas - num_expression, model, dtype)
        face = _pad("expression", expression, num_expression, model, dtype)
        move = jnp.zeros(3, dtype) if transl is None else jnp.asarray(transl, dtype)
        batch = jnp.broadcast_shapes(
            *(p.shape[:-2] for p in poses.values()), *(x.shape[:-1] for x in (shape, face, move))
        )
        parts = []
        for key, (first, last) in groups.items():
            pose = poses.get(key, jnp.zeros((last - first, 3), dtype))
            if key in _HAND_KEYS and not model.flat_hand_mean:
                pose = pose + jnp.broadcast_to(_hand_mean(model, key), pose.shape)
            parts.append(jnp.broadcast_to(pose, (*batch, last - first, 3)))
        coefficients = [jnp.broadcast_to(x, (*batch, x.shape[-1])) for x in (shape, face)]
        return cls(
            rotations=rotation_from_axis_angle(jnp.concatenate(parts, axis=-2)),
            betas=jnp.concatenate(coefficients, axis=-1),
            translation=jnp.broadcast_to(move, (*batch, 3)),
        )

    def to_axis_angle(self, model: BodyModel) -> dict[str, jax.Array]:
        """The field's keys, flat as `(*B, 3 N)`: the inverse of `from_axis_angle`.

        A rotation's vector is the one of angle at most pi. Where the model's `flat_hand_mean` is False, the mean is
        subtracted from hands; where `hand_pca` is a number, hands are the components that come nearest.
        """
        vectors = axis_angle_from_rotation(self.rotations)
        batch, keys = vectors.shape[:-2], {}
        for key, (first, last) in _groups(model).items():
            pose = vectors[..., first:last, :]
            if key in _HAND_KEYS and not model.flat_hand_mean:
                pose = pose - jnp.broadcast_to(_hand_mean(model, key), pose.shape)
            pose = pose.reshape((*batch, -1))
            if key in _HAND_KEYS and model.hand_pca is not None:
                basis = jnp.linalg.pinv(_components(model, key))
                pose = jnp.matmul(pose, basis, precision=jax.lax.Precision.HIGHEST)
            keys[key] = pose
        split = model.num_betas - model.num_expression
        keys["betas"] = jnp.asarray(self.betas)[..., :split]
        if model.num_expression:
            keys["expression"] = jnp.asarray(self.betas)[..., split:]
        keys["transl"] = jnp.asarray(self.translation)
        return keys


def _groups(model: BodyModel) -> dict[str, tuple[int, int]]:
    plain = {"global_orient": (0, 1), "body_pose": (1, model.num_joints)}
    return POSE_GROUPS.get(model.kind, plain)


def _axis_angle(model: BodyModel, key: str, value: jax.Array, joints: tuple[int, int]) -> jax.Array:
    """(*B, N, 3) from any of the forms of a pose key."""
    count = joints[1] - joints[0]
    # (N, 3) with N joints is one body; (3,) and (1, 3) of a single joint are told apart by reading the last axis first.
    if value.ndim and value.shape[-1] == 3 * count and not (key in _HAND_KEYS and model.hand_pca is not None):
        return value.reshape((*value.shape[:-1], count, 3))
    if count > 1 and value.ndim >= 2 and value.shape[-2:] == (count, 3):
        return value
    if key in _HAND_KEYS and model.hand_pca is not None and value.ndim and value.shape[-1] == model.hand_pca:
        vectors = jnp.matmul(value, _components(model, key), precision=jax.lax.Precision.HIGHEST)
        return vectors.reshape((*value.shape[:-1], count, 3))
    wanted = f"(..., {3 * count})"
    if key in _HAND_KEYS and model.hand_pca is not None:
        wanted = f"(..., {model.hand_pca}) principal components, as the model's hand_pca says"
    raise InputError(f"{key} has the shape {value.shape}; a {model.kind} model wants {wanted} or (..., {count}, 3)")


def _components(model: BodyModel, key: str) -> jax.Array:
    if model.hand_components is None:
        raise InputError(f"this {model.kind} model has no hand components, so hand_pca cannot be used; see load()")
    return jnp.asarray(model.hand_components)[_HAND_KEYS[key], : model.hand_pca]


def _hand_mean(model: BodyModel, key: str) -> jax.Array:
    if model.hand_mean is None:
        raise InputError(f"this {model.kind} model has no mean hand pose; set flat_hand_mean=True, see load()")
    return jnp.asarray(model.hand_mean)[_HAND_KEYS[key]].reshape(-1, 3)


def _pad(key: str, value: ArrayLike | None, count: int, model: BodyModel, dtype: Any) -> jax.Array:
    if value is None:
        return jnp.zeros(count, dtype)
    value = jnp.asarray(value, dtype)
    if value.shape[-1] > count:
        raise InputError(
            f"{value.shape[-1]} {key} for a {model.kind} model with {count}; load it with more, or cut them yourself"
        )
    return jnp.pad(value, [(0, 0)] * (value.ndim - 1) + [(0, count - value.shape[-1])])
