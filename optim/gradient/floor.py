"""The floor a refiner keeps things on: gravity and a height, as arrays that may have leading axes."""

from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.geometry.safe import ArrayLike
from hoijax.interaction import GRAVITY_WORLD


@struct.dataclass
class Floor:
    """A plane: the points whose height, their coordinate against gravity, is `level`."""

    gravity: Float[ArrayLike, "*B 3"] | Any
    """Unit direction of gravity in the frame of body and object."""
    level: Float[ArrayLike, "*B"] | Any
    """Height of the plane, metres."""

    @classmethod
    def at(cls, level: float = 0.0, gravity: tuple[float, float, float] = GRAVITY_WORLD) -> "Floor":
        """One floor at a height; `gravity` of any length but zero, by default down in a world with y up."""
        down = jnp.asarray(gravity, float)
        return cls(gravity=down / jnp.linalg.norm(down), level=jnp.asarray(level, float))
