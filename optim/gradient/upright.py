"""What stands on the floor: set upright at first, and then free to slide and to turn about the vertical only."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hoijax.geometry import einsum, safe_norm, transform_points
from hoijax.geometry.safe import ArrayLike
from hoijax.optim.gradient.contacts import ContactTargets
from hoijax.optim.gradient.floor import Floor
from hoijax.optim.gradient.state import State


def stands(targets: ContactTargets, floor: Floor | None) -> jax.Array | bool:
    """Whether the object stands on the floor on a base, (), of one interaction."""
    if floor is None or targets.base is None:
        return False
    return jnp.sum(jnp.asarray(targets.base) ** 2) > 0.5


def set_upright(state: State, targets: ContactTargets, floor: Floor | None) -> State:
    """The state with an object that stands on the floor turned by the least angle that levels its base, and put on it.

    The object turns about the middle of its base; one that is free stays as it is.
    """
    if floor is None or targets.base is None:
        return state
    on = stands(targets, floor)
    base, weight = targets.base, targets.rest_weight
    turn = least_rotation(einsum("ij,j->i", state.object_rotation, base), floor.gravity)
    middle = jnp.sum(weight[:, None] * targets.rest_points, axis=0) / jnp.maximum(jnp.sum(weight), 1)
    here = transform_points(state.pose, middle[None])[0]
    height = -jnp.sum(here * floor.gravity) - floor.level
    rotation = einsum("ij,jk->ik", turn, state.object_rotation)
    translation = here + height * floor.gravity - state.object_scale * einsum("ij,j->i", rotation, middle)
    return state.replace(
        object_rotation=jnp.where(on, rotation, state.object_rotation),
        object_translation=jnp.where(on, translation, state.object_translation),
    )


def freedom(targets: ContactTargets, floor: Floor | None, dtype: Any) -> Float[jax.Array, "2 3 3"]:
    """`RefineProblem.freedom` of one interaction: everything, or of an object that stands turns about its base's normal
    and level shifts."""
    eye = jnp.eye(3, dtype=dtype)
    if floor is None or targets.base is None:
        return jnp.stack([eye, eye])
    base, down = targets.base.astype(dtype), floor.gravity.astype(dtype)
    tied = jnp.stack([base[:, None] * base[None], eye - down[:, None] * down[None]])
    return jnp.where(stands(targets, floor), tied, jnp.stack([eye, eye]))


def level_shifts(floor: Floor, dtype: Any) -> Float[jax.Array, "2 3 3"]:
    """`RefineProblem.freedom` of an object whose turn is frozen and that slides on the floor, whatever it stands on."""
    eye, down = jnp.eye(3, dtype=dtype), floor.gravity.astype(dtype)
    return jnp.stack([eye, eye - down[:, None] * down[None]])


def within_freedom(step: Float[jax.Array, "D"], freedom: Float[jax.Array, "2 3 3"]) -> Float[jax.Array, "D"]:
    """A step in tangent coordinates with the object's turn and shift projected on what is free."""
    rest, turn, shift, scale = jnp.split(step, np.array([-7, -4, -1]) + step.shape[0])
    return jnp.concatenate([rest, einsum("ij,j->i", freedom[0], turn), einsum("ij,j->i", freedom[1], shift), scale])


def lean(targets: ContactTargets, floor: Floor | None, given: State, state: State) -> jax.Array:
    """How far the object leans, radians, (): of one that stands its base, of another from how it was given."""
    if floor is None:
        return jnp.zeros((), state.translation.dtype)
    from_given = tilt(given.object_rotation, state.object_rotation, -floor.gravity)
    if targets.base is None:
        return from_given
    base = einsum("ij,j->i", state.object_rotation, targets.base.astype(state.object_rotation.dtype))
    own = jnp.arctan2(safe_norm(jnp.cross(base, floor.gravity)), jnp.sum(base * floor.gravity))
    return jnp.where(stands(targets, floor), own, from_given)


def least_rotation(a: Float[ArrayLike, "3"], b: Float[ArrayLike, "3"]) -> Float[jax.Array, "3 3"]:
    """The rotation by the least angle that takes one unit vector to another, which must not be opposite.

    R = I + [v]x + [v]x^2 / (1 + a . b) with v = a x b.
    """
    v, c = jnp.cross(a, b), jnp.sum(a * b)
    zero = jnp.zeros((), v.dtype)
    k = jnp.stack([zero, -v[2], v[1], v[2], zero, -v[0], -v[1], v[0], zero]).reshape(3, 3)
    return jnp.eye(3, dtype=v.dtype) + k + einsum("ij,jk->ik", k, k) / jnp.maximum(1 + c, 1e-3)


def tilt(before: Float[jax.Array, "3 3"], after: Float[jax.Array, "3 3"], up: Float[jax.Array, "3"]) -> jax.Array:
    """Angle in radians by which a turn from one orientation to another takes a thing from the vertical, ().

    That of the world's up carried along with the object; turns about the vertical are none.
    """
    carried = einsum("ij,kj,k->i", after, before, up)
    cross = safe_norm(jnp.cross(carried, up))
    return jnp.arctan2(cross, jnp.sum(carried * up))
