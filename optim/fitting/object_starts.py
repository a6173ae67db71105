"""Hypotheses of an object's pose: how it may be turned, and, for each turn, where its mask puts it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.geometry import einsum
from hoijax.geometry.safe import cross, safe_normalize

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class Hypotheses:
    """How many turns are tried; static."""

    yaws: int = 24
    """Turns about the object's own upright axis."""
    tilts: tuple[float, ...] = (0.0, 0.35, -0.35)
    """Each under these errors of the guessed upwards, radians about the camera's x axis."""
    lying: int = 8
    """Turns about the vertical for each of the five other sides that it may stand on."""
    free: int = 144
    """Turns spread evenly over all rotations, for what is held or thrown."""

    def __post_init__(self):
        if min(self.yaws, len(self.tilts)) < 1 or min(self.lying, self.free) < 0:
            raise InputError(f"hypotheses need a yaw and a tilt at least, got {self}")

    @property
    def count(self) -> int:
        """How many there are."""
        return self.yaws * len(self.tilts) + 5 * self.lying + self.free


def even_rotations(count: int) -> Float[np.ndarray, "{count} 3 3"]:
    """Rotations spread evenly, by Alexa 2022, "Super-Fibonacci Spirals: Fast, Low-Discrepancy Sampling of SO(3)"."""
    if count == 0:
        return np.zeros((0, 3, 3), np.float32)
    phi, psi = np.sqrt(2.0), 1.533751168755204288118041
    s = np.arange(count) + 0.5
    r, big = np.sqrt(s / count), np.sqrt(1 - s / count)
    a, b = 2 * np.pi * s / phi, 2 * np.pi * s / psi
    quaternions = np.stack([r * np.sin(a), r * np.cos(a), big * np.sin(b), big * np.cos(b)], axis=1)
    return Rotation.from_quat(quaternions).as_matrix().astype(np.float32)


def _about(axis: int, angles: np.ndarray) -> np.ndarray:
    vectors = np.zeros((len(angles), 3))
    vectors[:, axis] = angles
    if not len(angles):
        return np.zeros((0, 3, 3), np.float32)
    return Rotation.from_rotvec(vectors).as_matrix().astype(np.float32)


def own_turns(config: Hypotheses) -> tuple[np.ndarray, np.ndarray]:
    """Turns in the object's own frame that is then stood on the floor: upright ones (A, 3, 3), and on other sides."""
    upright = _about(1, 2 * np.pi * np.arange(config.yaws) / config.yaws)
    sides = np.concatenate([
        _about(0, np.array([np.pi / 2, np.pi, -np.pi / 2])), _about(2, np.array([np.pi / 2, -np.pi / 2]))
    ])  # fmt: skip
    turns = _about(1, 2 * np.pi * np.arange(config.lying) / config.lying)
    return upright, np.einsum("aij,bjk->abik", turns, sides).reshape(-1, 3, 3)


def standing_frame(up: Float[ArrayLike, "3"]) -> Float[jax.Array, "3 3"]:
    """Rotation that takes y up, z towards the viewer to a camera's frame in which `up` is upwards."""
    y = safe_normalize(jnp.asarray(up))
    x = safe_normalize(cross(y, jnp.asarray([0.0, 0.0, -1.0], y.dtype)))
    return jnp.stack([x, y, cross(x, y)], axis=1)


def hypothesis_rotations(up: Float[ArrayLike, "3"], config: Hypotheses) -> Float[jax.Array, "N 3 3"]:
    """All turns in the camera's frame; pure.

    Args:
      up: upwards, camera frame.
      config: how many.
    """
    frame = standing_frame(up)
    upright, sides = own_turns(config)
    tilts = jnp.asarray(_about(0, np.asarray(config.tilts)))
    standing = einsum("tij,jk,akl->tail", tilts, frame, jnp.asarray(upright)).reshape(-1, 3, 3)
    lying = einsum("ij,ajk->aik", frame, jnp.asarray(sides))
    return jnp.concatenate([standing, lying, jnp.asarray(even_rotations(config.free))])


def choose_apart(
    costs: Float[jax.Array, "N"], rotations: Float[jax.Array, "N 3 3"], count: int, apart: float
) -> Int[jax.Array, "{count}"]:
    """The best hypotheses of different turns: greedily the cheapest, then the cheapest that is not near one chosen.

    Args:
      costs: of each.
      rotations: of each.
      count: how many to choose.
      apart: radians; nearer ones are taken only when nothing else is left.
    """
    limit = float(1 + 2 * np.cos(apart))
    costs = jnp.where(jnp.isfinite(costs), costs, 1e6)

    def pick(penalty, _):
        best = jnp.argmin(costs + penalty)
        trace = einsum("nij,ij->n", rotations, rotations[best])
        near = jnp.where(trace > limit, 1e3, 0.0).astype(costs.dtype)
        return (penalty + near).at[best].add(1e7), best

    return jax.lax.scan(pick, jnp.zeros_like(costs), None, count)[1]
