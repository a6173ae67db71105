"""What a refiner returns and reports."""

from typing import Any

import jax
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int

from hoijax.body_models import BodyParams
from hoijax.geometry import RigidPose
from hoijax.interaction import Verdict

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class RefineMetrics:
    """State of one interaction, or of many with leading axes; metres.

    Measured on all body vertices against the object's SDF grid: `hoijax.metrics` has the exact versions.
    """

    contact: Float[ArrayLike, "*B R"] | Any
    """Distance of each asked-for part to the object: mean over the nearest tenth of its vertices; 0 if unused."""
    max_penetration: Float[ArrayLike, "*B"] | Any
    """Largest depth of a body vertex inside the object or of an object point inside the body."""
    mean_penetration: Float[ArrayLike, "*B"] | Any
    """Mean depth over the body vertices inside the object; 0 where none is."""
    floor: Float[ArrayLike, "*B"] | Any
    """Height of the lowest body vertex above the floor, negative below it; 0 without a floor."""


@struct.dataclass
class RefineResult:
    """A refined interaction, or a batch of them."""

    params: BodyParams
    pose: RigidPose
    before: RefineMetrics
    after: RefineMetrics
    steps: Int[ArrayLike, "*B"] | Any
    """Gradient steps taken, all stages together."""
    converged: Bool[ArrayLike, "*B"] | Any
    """True where the last stage ended by its convergence test, not by its number of steps."""
    moved: Float[ArrayLike, "*B"] | Any = None
    """Mean shift of the body's or of the object's points from the estimate, the larger, metres."""
    tilt: Float[ArrayLike, "*B"] | Any = None
    """Angle by which the object leans, radians: if it stands on the floor its base, else from its estimate."""
    verdict: Verdict | Any = None
    """What became of it, by the refiner's own measures."""
    parts: tuple[tuple[str, ...], ...] = struct.field(pytree_node=False, default=())
    """Names of the rows of `RefineMetrics.contact`; "" for unused rows."""


@struct.dataclass
class Progress:
    """State of a running batch, given to the progress callback on the host."""

    stage: str = struct.field(pytree_node=False)
    """Name of the stage that just ran a round."""
    steps: int = struct.field(pytree_node=False)
    """Steps taken, summed over the batch."""
    total: int = struct.field(pytree_node=False)
    """The largest number there can be."""
    finished: int = struct.field(pytree_node=False)
    """Interactions finished so far."""
    batch: int = struct.field(pytree_node=False)
    """Interactions in all."""
