"""Fitting a body to what was seen of a person: starts, Levenberg-Marquardt, and how sure the answer is."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.body_models import BodyParams
from hoijax.errors import InputError
from hoijax.geometry import einsum, rotation_from_axis_angle, safe_norm
from hoijax.optim.fitting.intrinsics import Intrinsics
from hoijax.optim.fitting.least_squares import levenberg_marquardt
from hoijax.optim.fitting.observations import PIXEL_SHARE, Observation
from hoijax.optim.fitting.points import place_points
from hoijax.optim.fitting.residuals import Evidence, num_observed, project_pixels, residuals, robust_loss
from hoijax.optim.fitting.starts import SWAPS, exchange, find_starts, swap_order
from hoijax.optim.fitting.unknowns import PreparedBody, fitted_matrix, unpack
from hoijax.optim.programs import Program


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """How a fit searches; static, so that each configuration is one program."""

    azimuths: int = 8
    """Directions about the body's axis from which every pose of the bank is tried."""
    tilts: tuple[float, ...] = (0.0, 0.7, -0.7)
    """How far above or below the body's horizon they look, radians; people lie and bend."""
    starts: int = 3
    """How many of them Levenberg-Marquardt begins with."""
    swaps: bool = True
    """Whether left and right are also tried exchanged: everywhere, of the legs, of the arms."""
    swap_penalty: tuple[float, float] = (1.5, 12.0)
    """An exchange is believed if its cost, times the first and plus the second (squared standard deviations), is
    still the least."""
    first_steps: int = 12
    """Steps from each start."""
    steps: int = 24
    """Steps of the best one; rounded up to a multiple of `first_steps`."""
    robust: tuple[float, float] = (30.0, 4.0)
    """Scale of the robust loss, standard deviations, at the first and at the last step. A detector that claims to be
    better than `observations.PIXEL_SHARE` is taken at that for this: starts are no nearer than before."""
    damping: float = 1e-2
    """See `levenberg_marquardt`."""

    def __post_init__(self):
        for name in ("azimuths", "starts", "first_steps", "steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not min(self.robust) > 0 or not self.damping > 0 or min(self.swap_penalty) < 0:
            raise InputError(f"robust scales and damping must be above zero, got {self.robust}, {self.damping}")


@struct.dataclass
class BodyFit:
    """A fitted person, or many with a leading axis; metres, in the camera's frame (x right, y down, z forward)."""

    params: BodyParams
    """Of the whole model."""
    intrinsics: Float[jax.Array, "*B 3 3"] | Any
    """With the fitted focal length."""
    focal_std: Float[jax.Array, "*B"] | Any
    """Relative standard deviation of the focal length after the fit; 0 where it was given."""
    joints: Float[jax.Array, "*B J 3"] | Any
    joint_std: Float[jax.Array, "*B J"] | Any
    """Standard deviation of each joint's position (root of the summed variances of x, y, z), from the normal matrix.
    It knows nothing of other solutions, such as a limb bent the other way in depth."""
    joint_std_root: Float[jax.Array, "*B J"] | Any
    """The same relative to the pelvis: without what is unknown of the distance."""
    evidence: Float[jax.Array, "*B J"] | Any
    """Share of each joint's prior variance that the observation took away, 0 (the prior's rest pose) to 1; the
    root's is 1."""
    points: Float[jax.Array, "*B N 3"] | Any
    """The observation's points on the body."""
    pixel_error: Float[jax.Array, "*B N"] | Any
    """Distance of each point from where it was seen, after the exchange of sides; 0 where it was not."""
    cost: Float[jax.Array, "*B"] | Any
    """Robust loss of all residuals, squared standard deviations."""
    swap: Int[jax.Array, "*B"] | Any
    """Which sides of the detection were exchanged, an index into `SWAPS`."""
    start_costs: Float[jax.Array, "*B H"] | Any
    """Cost that each start came to."""
    z: Float[jax.Array, "*B K"] | Any
    """The unknowns, see `unknowns`."""
    root: Float[jax.Array, "*B 3 3"] | Any
    """Orientation that the root's turn is relative to."""
    normal: Float[jax.Array, "*B K K"] | Any
    """Normal matrix of the residuals at `z`."""
    source: str = struct.field(pytree_node=False, default="given")
    """What the focal length comes from: "given", "exif" or "estimated"."""

    @property
    def swapped(self) -> str | tuple[str, ...]:
        """Name of the exchange of sides, or one for each person."""
        swap = np.asarray(self.swap)
        return SWAPS[int(swap)] if swap.ndim == 0 else tuple(SWAPS[int(i)] for i in swap)


def fit_body(
    body: PreparedBody, observation: Observation, intrinsics: Intrinsics, config: FitConfig = FitConfig()
) -> BodyFit:
    """Fits a body to one person. Pure: for `jit` (with `config` static) and `vmap`.

    Args:
      body: from `prepare_body` for the observation's names.
      observation: one person, no leading axis.
      intrinsics: of the picture.
      config: how to search.

    Returns:
      The fit; finite whatever was seen, with the prior's pose, place and uncertainty where nothing was.

    Raises:
      InputError: the body was prepared for other points.
    """
    if observation.names != body.names:
        raise InputError(
            f"the body was prepared for the points {', '.join(body.names)}, the observation has "
            f"{', '.join(observation.names)}; call prepare_body(model, observation.names)"
        )
    observation = jax.tree.map(jnp.asarray, observation)
    dtype = observation.pixels.dtype
    evidence = Evidence(observation, intrinsics.replace(source=""), jnp.eye(3, dtype=dtype))
    wide, narrow = (c * _reach(observation) for c in config.robust)
    starts = find_starts(
        body,
        evidence,
        azimuths=config.azimuths,
        tilts=config.tilts,
        keep=config.starts,
        swaps=config.swaps,
        robust=wide,
    )
    order, count = jnp.asarray(swap_order(body.names)), len(body.names)
    half = jnp.sqrt(wide * narrow)
    more = -(-config.steps // config.first_steps)
    factor, penalty = (jnp.asarray(value, dtype) for value in config.swap_penalty)

    # One after the other, from each start and then on from the best: one compiled descent serves all, and a batch of
    # people fills the device. `jnp.inf` marks that there is no best yet.
    def descend(best, run):
        start, schedule, onward = run
        z, root, swap, cost, _, _ = best
        z, root, swap = (jnp.where(onward, a, b) for a, b in ((z, start.z), (root, start.root), (swap, start.swap)))
        # The turn so far goes into the orientation it is relative to: rotation vectors stay short.
        z, root = z.at[:3].set(0.0), einsum("ij,jk->ik", rotation_from_axis_angle(z[:3]), root)
        seen = evidence.replace(observation=exchange(observation, order[swap]), root=root)
        found = levenberg_marquardt(
            lambda unknowns: residuals(unknowns, body, seen),
            z,
            schedule,
            loss=lambda r, scale: robust_loss(r, count, scale),
            damping=config.damping,
        )
        reached = jnp.where(swap > 0, factor * found.cost + penalty, found.cost)
        reached = jnp.where(jnp.isfinite(reached), reached, jnp.finfo(dtype).max)
        better = onward | (reached < cost)
        new = (found.unknowns, root, swap, jnp.where(onward, found.cost, reached), found.residuals, found.normal)
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), new, best), reached

    runs = starts.swap.shape[0]
    again = jax.tree.map(lambda x: jnp.concatenate([x, jnp.repeat(x[:1], more, axis=0)]), starts)
    schedule = jnp.concatenate(
        [
            jnp.broadcast_to(_fall(wide, half, config.first_steps), (runs, config.first_steps)),
            _fall(half, narrow, more * config.first_steps).reshape(more, config.first_steps),
        ]
    )
    size, rows = body.size, jax.eval_shape(lambda z: residuals(z, body, evidence), starts.z[0]).shape[0]
    nowhere = (starts.z[0], starts.root[0], starts.swap[0], jnp.asarray(jnp.inf, dtype), jnp.zeros(rows, dtype),
               jnp.zeros((size, size), dtype))  # fmt: skip
    (z, root, swap, cost, last, normal), costs = jax.lax.scan(
        descend, nowhere, (again, schedule, jnp.arange(runs + more) >= runs)
    )
    seen = evidence.replace(observation=exchange(observation, order[swap]), root=root)
    described = describe_fit(body, seen, z, last, normal)
    return described.replace(swap=swap, start_costs=costs[:runs], source=intrinsics.source, cost=cost)


def describe_fit(
    body: PreparedBody,
    evidence: Evidence,
    z: Float[jax.Array, "K"],
    residuals: Float[jax.Array, "M"],
    normal: Float[jax.Array, "K K"],
) -> BodyFit:
    """What unknowns, their residuals and normal matrix say about a person; `source` and `start_costs` are left empty.

    The covariance of the unknowns is the inverse of the normal matrix, times the mean squared observed residual where
    that is above one: observations that fit worse than they claim make a less sure answer.
    """
    size, dtype = z.shape[0], z.dtype
    covariance = jax.scipy.linalg.cho_solve(
        jax.scipy.linalg.cho_factor(normal + 1e-6 * jnp.eye(size, dtype=dtype), lower=True), jnp.eye(size, dtype=dtype)
    )
    observed = residuals[: num_observed(body)]
    weights = jnp.concatenate([evidence.observation.weights] * 2 + [evidence.observation.metric_weights] * 3)
    # As many observed numbers as belief was spread over, less the unknowns that they decided.
    decided = jnp.asarray(size, dtype) - jnp.trace(covariance)
    freedom = jnp.maximum(jnp.sum(weights) - jnp.maximum(decided, 0.0), 1.0)
    robust = jnp.minimum(jnp.square(observed), 25.0)
    inflation = jnp.maximum(jnp.sum(robust) / freedom, 1.0)
    inflation = jnp.where(jnp.sum(weights) > 2 * decided, inflation, 1.0)
    prior_only = jnp.diag(covariance)
    covariance = covariance * inflation

    def place(x):
        return place_points(body.table, unpack(body, x, evidence.root))

    (points, joints), push = jax.linearize(place, z)
    jacobian = jax.vmap(lambda e: push(e)[1], out_axes=2)(jnp.eye(size, dtype=dtype))
    matrix = fitted_matrix(z, evidence.intrinsics)
    error = safe_norm(project_pixels(matrix, points) - evidence.observation.pixels)
    seen = evidence.observation.weights > 0
    share = jnp.ones(joints.shape[0], dtype)
    chosen = np.asarray(body.joints)
    variance = prior_only[3 : 3 + 3 * len(chosen)].reshape(-1, 3)
    share = share.at[1:].set(0.0).at[chosen].set(jnp.clip(1.0 - jnp.mean(variance, axis=1), 0.0, 1.0))
    return BodyFit(
        params=unpack(body, z, evidence.root),
        intrinsics=matrix,
        focal_std=jnp.asarray(evidence.intrinsics.focal_std, dtype) * jnp.sqrt(covariance[-1, -1]),
        joints=joints,
        joint_std=_position_std(jacobian, covariance),
        joint_std_root=_position_std(jacobian - jacobian[:1], covariance),
        evidence=share,
        points=points,
        pixel_error=jnp.where(seen, error, 0.0),
        cost=jnp.sum(jnp.square(residuals)),
        swap=jnp.zeros((), jnp.int32),
        start_costs=jnp.zeros(0, dtype),
        z=z,
        root=evidence.root,
        normal=normal,
    )


@functools.partial(jax.jit, static_argnames="config")
def _fit_people(body, observations, intrinsics, config):
    return jax.vmap(lambda o, k: fit_body(body, o, k, config))(observations, intrinsics)


@functools.partial(Program, static_argnums=(3,))
def _fit_person(body, observation, intrinsics, config):
    return fit_body(body, observation, intrinsics, config)


def fit_people(
    body: PreparedBody,
    observations: Observation,
    intrinsics: Intrinsics,
    config: FitConfig = FitConfig(),
    *,
    quick: bool = False,
) -> BodyFit:
    """`fit_body`, compiled: of one person, or of a batch with a leading axis (`stack_observations`).

    Args:
      body: from `prepare_body`.
      observations: one person, or B.
      intrinsics: one camera for all, or B.
      config: how to search.
      quick: of one person, compile fast rather than well (`hoijax.optim.programs`).

    Raises:
      InputError: as `fit_body`.
    """
    source, intrinsics = intrinsics.source, intrinsics.replace(source="")
    if np.ndim(observations.pixels) == 2:
        return _fit_person(body, observations, intrinsics, config, quick=quick).replace(source=source)
    count = observations.pixels.shape[0]
    if np.ndim(intrinsics.matrix) == 2:
        intrinsics = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *np.shape(x))), intrinsics)
    return _fit_people(body, observations, intrinsics, config).replace(source=source)


def _reach(observation: Observation) -> jax.Array:
    """How much larger than claimed the pixels' standard deviation is taken to be for the robust loss; one or more."""
    weights, pixels = observation.weights, observation.pixels
    seen = (weights > 0)[:, None]
    low = jnp.min(jnp.where(seen, pixels, jnp.inf), axis=0)
    high = jnp.max(jnp.where(seen, pixels, -jnp.inf), axis=0)
    box = jnp.where(high > low, high - low, 0.0)
    claimed = jnp.sum(weights * observation.pixel_std) / jnp.maximum(jnp.sum(weights), 1e-6)
    return jnp.maximum(PIXEL_SHARE * safe_norm(box) / jnp.maximum(claimed, 1e-6), 1.0)


def _position_std(jacobian: jax.Array, covariance: jax.Array) -> jax.Array:
    """Root of the trace of each joint's covariance; Jacobian (J, 3, K)."""
    return jnp.sqrt(jnp.maximum(einsum("jcn,nm,jcm->j", jacobian, covariance, jacobian), 0.0))


def _fall(first: jax.Array, last: jax.Array, steps: int) -> jax.Array:
    """Geometric fall over all but the last third of the steps, which keep the last value."""
    falling = max(1, steps - steps // 3 - 1)
    share = jnp.minimum(jnp.arange(steps).astype(first.dtype) / falling, 1.0)
    return first * (last / first) ** share
