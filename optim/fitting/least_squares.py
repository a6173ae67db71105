"""Levenberg-Marquardt for small dense problems: a fixed number of steps, one program for any batch.

Marquardt 1963, eq. 2-11: the normal equations are damped by their own diagonal, and the damping falls after a step that
helped and rises after one that did not (Madsen, Nielsen and Tingleff 2004, algorithm 3.16: by how well the step's gain
was predicted).

Of the packages that solve least squares in JAX, optimistix is the one that is kept up; jaxopt's authors have ended its
development, and jaxls, made for sparse graphs, is in no registry. optimistix's solver was tried on this problem and
gives the same answers, but it stops when it has converged, so that a batch under `vmap` waits for its slowest member
and a robust scale that changes from step to step needs a solver object of its own for each value; it returns no normal
matrix, which the uncertainties are made of; and its linear algebra (lineax) is released for fewer versions of JAX than
hoijax supports. What is needed is the forty lines below. `tests/optim/fitting` compares them with SciPy's MINPACK.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Float

from hoijax.geometry import einsum

_TINY_DAMPING, _LARGE_DAMPING = 1e-7, 1e7


@struct.dataclass
class Minimum:
    """Where Levenberg-Marquardt came to."""

    unknowns: Float[jax.Array, "N"] | Any
    """The best unknowns met."""
    cost: Float[jax.Array, ""] | Any
    """Sum of the squared residuals there, under the last schedule entry."""
    costs: Float[jax.Array, "T"] | Any
    """That sum after each step, under the step's own schedule entry."""
    normal: Float[jax.Array, "N N"] | Any
    """J^T J of the residuals at `unknowns`; where residuals are in standard deviations, its inverse is the
    covariance of the unknowns."""


def levenberg_marquardt(
    residuals: Callable[[jax.Array, Any], jax.Array],
    start: Float[jax.Array, "N"],
    schedule: Any,
    *,
    damping: float = 1e-2,
) -> Minimum:
    """Minimises the sum of squares of `residuals(unknowns, entry)` from a start; pure, for `jit` and `vmap`.

    A step whose cost is not finite counts as one that did not help. One entry of the schedule is used per step, for the
    cost before and after it, so a robust scale or a weight may change on the way.

    Args:
      residuals: function of the unknowns (N,) and one entry of the schedule, to residuals (M,).
      start: first unknowns.
      schedule: a pytree of arrays with one leading axis T, the number of steps.
      damping: share of the normal matrix's diagonal that is added at the first step.

    Returns:
      The minimum, with the normal matrix for uncertainties.
    """

    def value(unknowns, entry):
        return jnp.sum(jnp.square(residuals(unknowns, entry)))

    def step(carry, entry):
        unknowns, damp, growth = carry
        r, jacobian = _linearise(lambda x: residuals(x, entry), unknowns)
        cost = jnp.sum(jnp.square(r))
        normal, gradient = einsum("mi,mj->ij", jacobian, jacobian), einsum("mi,m->i", jacobian, r)
        scale = jnp.diag(normal)
        move = -_solve(normal + jnp.diag(damp * scale + 1e-6), gradient)
        proposal = unknowns + move
        after = value(proposal, entry)
        # Twice the decrease that the quadratic model predicts.
        predicted = jnp.sum(move * (damp * scale * move - gradient))
        gain = (cost - after) / jnp.maximum(predicted, jnp.finfo(r.dtype).tiny)
        helped = jnp.isfinite(after) & (after < cost) & jnp.all(jnp.isfinite(proposal))
        shrink = jnp.clip(1 - (2 * gain - 1) ** 3, 1 / 3, 2.0)
        damp = jnp.clip(jnp.where(helped, damp * shrink, damp * growth), _TINY_DAMPING, _LARGE_DAMPING)
        growth = jnp.where(helped, jnp.asarray(2.0, r.dtype), jnp.minimum(2 * growth, 64.0))
        return (jnp.where(helped, proposal, unknowns), damp, growth), jnp.where(helped, after, cost)

    dtype = start.dtype
    first = (start, jnp.asarray(damping, dtype), jnp.asarray(2.0, dtype))
    (unknowns, _, _), costs = lax.scan(step, first, schedule)
    last = jax.tree.map(lambda x: x[-1], schedule)
    _, jacobian = _linearise(lambda x: residuals(x, last), unknowns)
    return Minimum(unknowns, costs[-1], costs, einsum("mi,mj->ij", jacobian, jacobian))


def _linearise(function, x):
    """Value (M,) and Jacobian (M, N) by forward mode: there are fewer unknowns than residuals."""
    value, push = jax.linearize(function, x)
    return value, jax.vmap(push, out_axes=1)(jnp.eye(x.shape[0], dtype=x.dtype))


def _solve(matrix, vector):
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix, lower=True), vector)
