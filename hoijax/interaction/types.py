"""What travels between reconstruction, refinement and generation: an interaction, its contacts, an object template."""

from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import Float, Shaped

from hoijax.geometry import Mesh, RigidPose, SDFGrid
from hoijax.geometry.safe import ArrayLike

# Fields also take what transformations put there (axes, shapes, None), hence `| Any`.


@struct.dataclass
class Interaction:
    """One body and one rigid object in the same frame, metres. Any leading axes, the same in both parts."""

    body: Any
    """`hoijax.body_models.BodyParams`, or posed arrays where no body model is at hand."""
    object: RigidPose | Any
    """Maps the object's canonical coordinates to the frame of the body."""


@struct.dataclass
class Contacts:
    """Contact probabilities in [0, 1], or masks; any leading axes."""

    body: Shaped[ArrayLike, "*B V"] | Any
    """Per body vertex: touches the object."""
    object: Shaped[ArrayLike, "*B N"] | Any
    """Per object point: touches the body."""
    floor: Shaped[ArrayLike, "*B N"] | Any
    """Per object point: touches the floor."""

    def masks(self, threshold: float = 0.5) -> "Contacts":
        """The contacts as booleans: probability above `threshold` (ScoreHOI, strict inequality).

        Args:
          threshold: probability in [0, 1].

        Returns:
          Contacts of the same shapes with boolean entries.
        """
        return Contacts(*(jnp.asarray(field) > threshold for field in (self.body, self.object, self.floor)))


@struct.dataclass
class ObjectTemplate:
    """One object in its canonical frame, metres. Build it with `make_template`."""

    mesh: Mesh | Any
    """The full mesh."""
    points: Float[ArrayLike, "*B N 3"] | Any
    """Points on the surface that stand for the object; 64 in ScoreHOI."""
    sdf: SDFGrid | Any
    """Signed distance to the mesh, positive outside."""
