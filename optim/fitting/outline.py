"""The outline of a fitted person brought onto a mask: soft silhouettes, with the landmarks still pulling.

The mask says what landmarks cannot: how wide a person is, where a hidden leg stands. Soft silhouettes have reverse
derivatives alone, so this stage is Adam; it moves in the coordinates in which the landmarks' normal matrix is the
identity, where a step of one is one standard deviation in every direction.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Bool, Float
from PIL import Image

from hoijax.body_models import BodyModel, pose_body
from hoijax.camera import Camera, crop
from hoijax.errors import InputError
from hoijax.optim.fitting.intrinsics import Intrinsics
from hoijax.optim.fitting.observations import Observation
from hoijax.optim.fitting.people import BodyFit, describe_fit
from hoijax.optim.fitting.residuals import Evidence, residuals, robust_loss
from hoijax.optim.fitting.starts import exchange, swap_order
from hoijax.optim.fitting.unknowns import PreparedBody, fitted_matrix, unpack
from hoijax.optim.programs import Program
from hoijax.render import soft_silhouette

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class OutlineConfig:
    """How the outline is followed; static."""

    steps: int = 60
    """Steps of Adam."""
    rate: float = 0.25
    """Size of the first steps, standard deviations of the landmark fit; it falls along a cosine."""
    blur: tuple[float, float] = (0.9, 0.15)
    """Of the soft silhouette at the first and at the last step, pixels of the target."""
    weight: float = 900.0
    """Cost, in squared standard deviations, of a mask that is missed altogether."""
    landmarks: float = 0.25
    """Share of the landmarks' cost that still pulls."""
    robust: float = 4.0
    """Scale of their robust loss, standard deviations."""

    def __post_init__(self):
        if self.steps < 1 or not self.rate > 0 or not min(self.blur) > 0 or self.weight < 0 or self.landmarks < 0:
            raise InputError(f"steps, rate and blur must be above zero, weights not negative, got {self}")


@struct.dataclass
class OutlineTarget:
    """A mask about a person, cut to a square of S pixels, or many with a leading axis."""

    covered: Float[ArrayLike, "*B S S"] | Any
    """Share of each pixel that is the person."""
    valid: Float[ArrayLike, "*B S S"] | Any
    """Share of each pixel of which that is known: 0 outside of the picture and where something hides the person."""
    box: Float[ArrayLike, "*B 4"] | Any
    """Left, top, width and height of the square, pixels of the picture."""


def outline_target(
    mask: Bool[np.ndarray, "H W"] | Float[np.ndarray, "H W"],
    *,
    hidden: np.ndarray | None = None,
    size: int = 96,
    margin: float = 0.12,
) -> OutlineTarget:
    """Cuts a mask to the square that a fit looks at; on the host.

    Args:
      mask: which pixels are the person: booleans, or probabilities.
      hidden: booleans (H, W), pixels of which that is not known, such as those of an object before the person.
      size: S.
      margin: share of the person's longer side left free on each side.

    Raises:
      InputError: an empty mask, a mask of another size, values out of range.
    """
    mask = np.asarray(mask, np.float32)
    if not (np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1):
        raise InputError("a mask is booleans, or probabilities from 0 to 1")
    if hidden is not None and np.shape(hidden) != mask.shape:
        raise InputError(
            f"the mask is {mask.shape}, what is hidden {np.shape(hidden)}; wanted is one size, the picture's"
        )
    if size < 16:
        raise InputError(f"a target of {size} pixels; wanted are at least 16")
    rows, columns = np.flatnonzero((mask > 0.5).any(axis=1)), np.flatnonzero((mask > 0.5).any(axis=0))
    if len(rows) == 0:
        raise InputError("the person's mask is empty; wanted is at least one pixel above 0.5")
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    side = (1 + 2 * margin) * max(bottom - top, right - left, 2)
    box = (0.5 * (left + right - side), 0.5 * (top + bottom - side), side, side)
    known = np.ones_like(mask) if hidden is None else 1.0 - np.asarray(hidden, np.float32)
    covered, valid = cut_square(mask * known, box, size), cut_square(known, box, size)
    covered = np.where(valid > 1e-3, covered / np.maximum(valid, 1e-3), 0.0)
    return OutlineTarget(covered.astype(np.float32), valid, np.asarray(box, np.float32))


def cut_square(image: np.ndarray, box: tuple[float, float, float, float], size: int) -> np.ndarray:
    """A square of an image, zero outside of it, each pixel the mean of what it covers."""
    left, top, side, _ = box
    low = np.floor([top, left]).astype(int) - 1
    high = np.ceil([top + side, left + side]).astype(int) + 1
    inside = np.zeros(high - low, np.float32)
    (y0, x0), (y1, x1) = np.maximum(low, 0), np.minimum(high, image.shape)
    inside[y0 - low[0] : y1 - low[0], x0 - low[1] : x1 - low[1]] = image[y0:y1, x0:x1]
    corner = (left - low[1], top - low[0])
    window = (corner[0], corner[1], corner[0] + side, corner[1] + side)
    cut = Image.fromarray(inside).resize((size, size), Image.Resampling.BOX, box=window)
    return np.clip(np.asarray(cut, np.float32), 0.0, 1.0)


def draw_outline(
    surface: BodyModel,
    body: PreparedBody,
    z: jax.Array,
    root: jax.Array,
    matrix: jax.Array,
    target: OutlineTarget,
    blur: float | ArrayLike,
) -> Float[jax.Array, "S S"]:
    """Soft silhouette of a body in a target's square.

    Args:
      surface: the body with all its vertices; it may be coarser than what was fitted, with the same joints and betas.
      body: what was fitted.
      z: its unknowns.
      root: orientation that they start from.
      matrix: intrinsics of the picture.
      target: whose square is drawn.
      blur: pixels of the square.
    """
    vertices = jnp.asarray(pose_body(surface, unpack(body, z, root)).vertices)
    size = target.covered.shape[-2:]
    whole = Camera(matrix, jnp.eye(4, dtype=z.dtype), (int(size[0]), int(size[1])))
    return soft_silhouette(vertices, surface.faces, crop(whole, target.box, tuple(size)), blur=blur)


def follow_outline(
    body: PreparedBody,
    surface: BodyModel,
    observation: Observation,
    intrinsics: Intrinsics,
    fit: BodyFit,
    target: OutlineTarget,
    config: OutlineConfig = OutlineConfig(),
) -> tuple[BodyFit, Float[jax.Array, "T"]]:
    """Moves a fitted person onto a mask. Pure: for `jit` (with `config` static) and `vmap`.

    Uncertainties stay those of the landmarks: what the outline adds is not counted.

    Args:
      body: what was fitted.
      surface: the body with all its vertices; the "light" free body serves the free body.
      observation: what it was fitted to.
      intrinsics: what it was fitted with.
      fit: result of `fit_body`.
      target: the mask.
      config: how to follow it.

    Returns:
      The fit, and the share of the mask that is missed or covered in excess (squared), before each step.
    """
    z, missed = _descend(body, surface, observation, intrinsics, fit, target, config)
    return _describe(body, observation, intrinsics, fit, z), missed


def _evidence(body: PreparedBody, observation: Observation, intrinsics: Intrinsics, fit: BodyFit) -> Evidence:
    order = jnp.asarray(swap_order(body.names))
    seen = exchange(jax.tree.map(jnp.asarray, observation), order[fit.swap])
    return Evidence(seen, intrinsics.replace(source=""), fit.root)


def _descend(
    body: PreparedBody,
    surface: BodyModel,
    observation: Observation,
    intrinsics: Intrinsics,
    fit: BodyFit,
    target: OutlineTarget,
    config: OutlineConfig,
) -> tuple[Float[jax.Array, "K"], Float[jax.Array, "T"]]:
    """The unknowns (K,) on the mask, and what was missed before each step."""
    evidence, dtype = _evidence(body, observation, intrinsics, fit), fit.z.dtype
    factor = jnp.linalg.cholesky(fit.normal + 1e-3 * jnp.eye(fit.z.shape[0], dtype=dtype))
    area = jnp.maximum(jnp.sum(target.valid * target.covered), 1.0)

    def unknowns(u):
        return fit.z + jax.scipy.linalg.solve_triangular(factor, u, lower=True, trans=1)

    def loss(u, blur):
        z = unknowns(u)
        alpha = draw_outline(surface, body, z, fit.root, fitted_matrix(z, evidence.intrinsics), target, blur)
        missed = jnp.sum(target.valid * jnp.square(alpha - target.covered)) / area
        seen = residuals(z, body, evidence)
        landmark, _ = robust_loss(seen, len(body.names), jnp.asarray(config.robust, dtype))
        return config.weight * missed + config.landmarks * landmark, missed

    optimiser = optax.adam(optax.cosine_decay_schedule(config.rate, config.steps, alpha=0.05))
    first, last = config.blur
    blurs = jnp.asarray(np.geomspace(first, last, config.steps), dtype)

    def step(carry, blur):
        u, state = carry
        (_, missed), gradient = jax.value_and_grad(loss, has_aux=True)(u, blur)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and floats
            update, state = optimiser.update(gradient, state)
            return (optax.apply_updates(u, update), state), missed

    start = jnp.zeros_like(fit.z)
    (u, _), missed = jax.lax.scan(step, (start, optimiser.init(start)), blurs)
    return unknowns(u), missed


def _describe(
    body: PreparedBody, observation: Observation, intrinsics: Intrinsics, fit: BodyFit, z: Float[ArrayLike, "K"]
) -> BodyFit:
    """The fit at other unknowns."""
    evidence = _evidence(body, observation, intrinsics, fit)
    described = describe_fit(body, evidence, z, residuals(z, body, evidence), fit.normal)
    return described.replace(swap=fit.swap, start_costs=fit.start_costs, source=fit.source)


# Of one person in two programs: what is run once is compiled fast.
_descend_one = Program(_descend, static_argnums=(6,), plain=True)
_describe_one = Program(_describe)


@functools.partial(jax.jit, static_argnames="config")
def _follow_many(body, surface, observations, intrinsics, fits, targets, config):
    return jax.vmap(lambda o, k, f, t: follow_outline(body, surface, o, k, f, t, config))(
        observations, intrinsics, fits, targets
    )


def follow_outlines(
    body: PreparedBody,
    surface: BodyModel,
    observations: Observation,
    intrinsics: Intrinsics,
    fits: BodyFit,
    targets: OutlineTarget,
    config: OutlineConfig = OutlineConfig(),
    *,
    quick: bool = False,
) -> tuple[BodyFit, Float[jax.Array, "*B T"]]:
    """`follow_outline`, compiled: of one person, or of a batch with a leading axis on everything but the bodies.

    Args:
      body: see `follow_outline`.
      surface: likewise.
      observations: one person, or B.
      intrinsics: one camera for all, or B.
      fits: of `fit_people`.
      targets: one, or B.
      config: how to follow them.
      quick: of one person, compile fast rather than well (`hoijax.optim.programs`).
    """
    source = fits.source
    intrinsics, fits = intrinsics.replace(source=""), fits.replace(source="")
    if np.ndim(observations.pixels) == 2:
        z, missed = _descend_one(body, surface, observations, intrinsics, fits, targets, config, quick=quick)
        fit = _describe_one(body, observations, intrinsics, fits, z, quick=True)
        return fit.replace(source=source), missed
    if np.ndim(intrinsics.matrix) == 2:
        count = observations.pixels.shape[0]
        intrinsics = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *np.shape(x))), intrinsics)
    fit, missed = _follow_many(body, surface, observations, intrinsics, fits, targets, config)
    return fit.replace(source=source), missed
