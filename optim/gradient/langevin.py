"""Langevin dynamics with Metropolis' test on the refiner's variables, in the place of Adam's steps.

A chain visits states with a density proportional to exp(-energy / temperature) (times the chart's, which the rotations'
small steps leave as it is), so that many chains of one start spread over what is plausible. Steps are scaled by
the learning rates of the groups. Liu et al. (2021) accept without the proposal's density; here it counts.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float, Key

from hoijax.geometry.safe import ArrayLike
from hoijax.optim.gradient.state import State, retract, tangent
from hoijax.optim.gradient.upright import within_freedom


@struct.dataclass
class Chain:
    """Of one interaction, or with leading axes."""

    key: Key[ArrayLike, "*B"] | Any
    """Source of chance."""
    size: Float[ArrayLike, "*B"] | Any
    """A step's standard deviation over the learning rate of each coordinate."""
    temperature: Float[ArrayLike, "*B"] | Any
    """In units of the energy."""

    @classmethod
    def many(cls, seed: int, batch: int, size: float, temperature: float, dtype: Any) -> "Chain":
        """One chain for each of some interactions."""
        keys = jax.random.split(jax.random.key(seed), batch)
        return cls(keys, jnp.full(batch, size, dtype), jnp.full(batch, temperature, dtype))


def langevin_step(
    carry: Any,
    setting: Any,
    chain: Chain,
    energy: Callable[[State], Float[jax.Array, ""]],
    freedom: Float[ArrayLike, "2 3 3"] | None = None,
) -> Any:
    """One proposal, accepted or not; a proposal that is not finite is not accepted.

    Args:
      carry: `engine.Carry` of the stage; its state is the chain's, its best the best that was visited.
      setting: `engine.Setting` of the stage.
      chain: chance, step and temperature.
      energy: of a state.
      freedom: see `RefineProblem.freedom`.
    """
    heat, width = chain.temperature, chain.size * setting.rates
    freedom = None if freedom is None else jnp.asarray(freedom)
    propose, accept = jax.random.split(jax.random.fold_in(chain.key, carry.total))
    value, slope = jax.value_and_grad(energy)(carry.state)

    def drift_at(state: State, gradient: State) -> jax.Array:
        g = tangent(state, gradient)
        return -0.5 * width**2 * (g if freedom is None else within_freedom(g, freedom)) / heat

    drift = drift_at(carry.state, slope)
    noise = width * jax.random.normal(propose, width.shape, width.dtype)
    move = drift + (noise if freedom is None else within_freedom(noise, freedom))
    after = retract(carry.state, move)
    value_after, slope_after = jax.value_and_grad(energy)(after)
    back = drift_at(after, slope_after)
    # The way back is -move. Only what moves has a density; one width serves all axes of a group, so that of what is
    # projected on the free ones is the same.
    inverse = jnp.where(width > 0, 1.0 / jnp.where(width > 0, width, 1.0), 0.0)
    forth_square = jnp.sum(((move - drift) * inverse) ** 2)
    back_square = jnp.sum(((-move - back) * inverse) ** 2)
    log_ratio = (value - value_after) / heat + 0.5 * (forth_square - back_square)
    running = carry.step < setting.steps
    taken = running & jnp.isfinite(log_ratio) & (jnp.log(jax.random.uniform(accept, (), width.dtype)) < log_ratio)
    state = jax.tree.map(lambda new, old: jnp.where(taken, new, old), after, carry.state)
    here = jnp.where(taken, value_after, value)
    better = here < carry.lowest
    return carry.replace(
        state=state,
        step=carry.step + running.astype(carry.step.dtype),
        total=carry.total + running.astype(carry.total.dtype),
        best=jax.tree.map(lambda new, old: jnp.where(better, new, old), state, carry.best),
        lowest=jnp.where(better, here, carry.lowest),
    )
