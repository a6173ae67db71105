"""What became of an interaction, as data: reached, missed, penetrates, moved far, tipped."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Where good ends; everywhere the same."""

    deep: float = 0.01
    """Deepest penetration, either way, metres."""
    far: float = 0.02
    """Distance of an asked part, metres."""
    moved: float = 0.5
    """Mean shift of the body's or the object's points from the estimate, metres."""
    tilt: float = float(np.radians(20.0))
    """Angle of the object from the vertical beyond that of the estimate, or of its base if it stands, radians."""

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")


THRESHOLDS = Thresholds()


@struct.dataclass
class Verdict:
    """The verdict on one interaction, or on many with leading axes."""

    missed: Bool[ArrayLike, "*B R"] | Any
    """Which asked parts are farther from the object than they may."""
    penetrates: Bool[ArrayLike, "*B"] | Any
    """Whether something is deeper inside something else than it may."""
    moved_far: Bool[ArrayLike, "*B"] | Any
    """Whether the result is another interaction than the estimate's."""
    tipped: Bool[ArrayLike, "*B"] | Any
    """Whether the object fell over."""

    @property
    def reached(self) -> jax.Array:
        """All asked parts touch and nothing penetrates, (*B): the rule that tables count."""
        return ~jnp.any(jnp.asarray(self.missed), axis=-1) & ~jnp.asarray(self.penetrates)

    @property
    def good(self) -> jax.Array:
        """Reached, and neither moved far nor tipped, (*B)."""
        return self.reached & ~jnp.asarray(self.moved_far) & ~jnp.asarray(self.tipped)

    def words(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """What a person is told of one interaction, without leading axes.

        Args:
          parts: names of the asked parts, R of them.
        """
        missed = [name for name, miss in zip(parts, np.asarray(self.missed), strict=True) if miss]
        words = [f"missed: {', '.join(missed)}"] if missed else []
        flags = {"penetrates": self.penetrates, "moved far": self.moved_far, "tipped": self.tipped}
        words += [word for word, flag in flags.items() if bool(flag)]
        return ("reached", *words) if bool(self.reached) else tuple(words)


def judge(
    penetration: Float[ArrayLike, "*B"],
    contact: Float[ArrayLike, "*B R"],
    moved: Float[ArrayLike, "*B"],
    tilt: Float[ArrayLike, "*B"],
    thresholds: Thresholds = THRESHOLDS,
) -> Verdict:
    """The verdict from measures, whoever took them. A measure that is not finite fails.

    Args:
      penetration: deepest, either way, metres.
      contact: distance of each asked part to the object, metres; 0 for unused rows.
      moved: the larger of how far body and object moved, metres.
      tilt: radians.
      thresholds: where good ends.
    """
    penetration, contact, moved, tilt = (jnp.asarray(x) for x in (penetration, contact, moved, tilt))
    return Verdict(
        missed=~(contact < thresholds.far),
        penetrates=~(penetration < thresholds.deep),
        moved_far=~(moved < thresholds.moved),
        tipped=~(tilt < thresholds.tilt),
    )
