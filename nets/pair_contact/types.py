"""What the light contact network takes and gives; B pairs of a person and an object."""

from typing import Any

import jax
import numpy as np
from flax import struct
from jaxtyping import Float, Int

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Pair:
    """What is known of one person and one object of a picture."""

    places: Float[ArrayLike, "B 27 2"] | Any
    """Points of the person in the picture, in a square that holds person and object: -1 to 1, x right, y down."""
    metric: Float[ArrayLike, "B 27 3"] | Any
    """The same points in metres about the middle of the hips, camera's axes (x right, y down, z away)."""
    visible: Float[ArrayLike, "B 27"] | Any
    """Probability that each is seen."""
    mask: Float[ArrayLike, "B 32 32"] | Any
    """Share of each cell of that square in which the object is seen."""
    word: Int[ArrayLike, "B"] | Any
    """Number of the label, see `Config.words`; 0: none of these."""
    points: Float[ArrayLike, "B N 3"] | Any
    """Points of the object's surface in its own frame: metres, y up, front towards +z, box about the origin."""
    normals: Float[ArrayLike, "B N 3"] | Any
    """Unit normals there."""
    known: Float[ArrayLike, "B 3"] | Any
    """Whether the person's points, the mask, the object's points are known: 1 or 0; what is not is not looked at."""


@struct.dataclass
class Points:
    """Points of a surface that are asked about."""

    places: Float[ArrayLike, "B Q 3"] | Any
    """On the body: in the free body's rest pose, metres; on the object: as `Pair.points`."""
    normals: Float[ArrayLike, "B Q 3"] | Any
    """Unit normals there."""
    cell: Int[ArrayLike, "B Q"] | Any
    """Which cell of the surface each is in, see `Config.regions` and `Config.boxes`."""
    near: Float[ArrayLike, "B Q K"] | Any
    """How much each of the pair's K tokens of that surface lies near, along the last axis one in sum: the person's 27
    points for the body, the object's N points for the object."""


@struct.dataclass
class Answer:
    """Logits of contact, and what the tokens themselves say, for training."""

    body: Float[ArrayLike, "B V"] | Any
    """Of the body's points."""
    object: Float[ArrayLike, "B Q"] | Any
    """Of the object's points."""
    joint_distance: Float[ArrayLike, "B 27"] | Any
    """Distance of the person's points to the object, in units of 10 cm."""
    point_distance: Float[ArrayLike, "B N"] | Any
    """Distance of the object's points to the body, likewise."""
