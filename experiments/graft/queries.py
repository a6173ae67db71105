"""Where training begins: true bodies, clean or perturbed, and imitations of a method's estimates (section 4.1).

All pure functions of a key, for one body; `vmap` for a batch.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from hoijax.body_models import BodyParams
from hoijax.geometry import einsum, rotation_from_axis_angle, safe_normalize
from hoijax.systems.graft import BodySpec, GraftState, ScenePoints, fold_scale, fold_state, pose_graft_state

FAR = 0.2
"""Standard deviation of the depth of `QueryConfig.far`, metres."""
LIMBS = (("hip", "knee", "ankle", "foot"), ("collar", "shoulder", "elbow", "wrist"))
"""Joints whose sides are exchanged together: legs, arms."""


@dataclasses.dataclass(frozen=True)
class Spread:
    """Standard deviations of a perturbation."""

    translation: float
    """Metres, each axis."""
    betas: float
    """Each of the first ten coefficients."""
    pose: float
    """Angle about a random axis, degrees; every joint but the root."""
    orient: float
    """The same for the root."""


@dataclasses.dataclass(frozen=True)
class QueryConfig:
    """The mixture of training queries."""

    estimated: float = 0.5
    """Share that imitates a method's estimate; the others begin at the truth. The paper does not say."""
    clean: float = 0.2
    """Of those at the truth, the share that is left as it is."""
    truth: Spread = Spread(translation=0.1, betas=0.03, pose=7.0, orient=3.0)
    """Perturbation of the others; stated in the paper."""
    estimate: Spread = Spread(translation=0.02, betas=0.5, pose=10.0, orient=6.0)
    """Errors of an estimate apart from its depth (specs/graft.md section 13)."""
    depth: float = 0.08
    """Standard deviation of the logarithm of an estimate's distance."""
    aligned: float = 0.03
    """Standard deviation of the head's depth after head alignment, metres; the pixel under the head is skin."""
    swapped: float = 0.0
    """Share of the estimates whose left and right legs or arms are exchanged, as estimators do; not in the paper."""
    far: float = 0.0
    """Share of the estimates that lie along their rays off by a normal error of `FAR` besides, as where no head was
    aligned; not in the paper."""
    near: float = 0.0
    """Share of all queries whose errors are shrunk by the square of a uniform number, so that they lead from the
    paper's size of errors to none; not in the paper."""
    scale: tuple[float, float] = (0.85, 1.15)
    """Range of the scale augmentation; (1, 1) is none."""
    scaled: float = 1.0
    """Share of the queries that "query" scales."""
    scale_what: str = "query"
    """"query": the start is scaled and the network must undo it; "sample": scene, truth and start together, which
    changes the size of the body. The paper does not say."""

    def __post_init__(self):
        if self.scale_what not in ("query", "sample"):
            raise ValueError(f'scale_what must be "query" or "sample", got {self.scale_what!r}')


def perturb(
    key: Key[jax.Array, ""],
    spec: BodySpec,
    params: BodyParams,
    spread: Spread,
    level: float | Float[jax.Array, ""] = 1.0,
) -> BodyParams:
    """A body with noise: every rotation turned about a random axis by a normal angle, from the left.

    Args:
      key: random key.
      spec: of the body; joints that GRAFT does not predict stay as they are.
      params: the body.
      spread: how much.
      level: multiplies all noise.
    """
    axis_key, angle_key, move_key, shape_key = jax.random.split(key, 4)
    count, dtype = params.rotations.shape[0], params.rotations.dtype
    axes = safe_normalize(jax.random.normal(axis_key, (count, 3), dtype))
    known = jnp.isin(jnp.arange(count), jnp.asarray(spec.rotations))
    degrees = jnp.where(jnp.arange(count) == 0, spread.orient, jnp.where(known, spread.pose, 0.0)).astype(dtype)
    angles = jax.random.normal(angle_key, (count,), dtype) * jnp.radians(degrees) * level
    turns = rotation_from_axis_angle(axes * angles[:, None])
    noise = jax.random.normal(shape_key, params.betas.shape, dtype) * spread.betas * level
    noise = jnp.where(jnp.arange(params.betas.shape[-1]) < 10, noise, 0.0)
    return BodyParams(
        rotations=einsum("jik,jkl->jil", turns, params.rotations),
        betas=params.betas + noise,
        translation=params.translation + jax.random.normal(move_key, (3,), dtype) * spread.translation * level,
    )


def imitate_estimate(
    key: Key[jax.Array, ""],
    spec: BodySpec,
    truth: BodyParams,
    config: QueryConfig,
    level: float | Float[jax.Array, ""] = 1.0,
) -> BodyParams:
    """What a body estimator and the head alignment after it might give (specs/graft.md sections 10.4 and 13.6).

    A wrong depth scales the body's distance alone: an estimator knows the size of people. Head alignment then scales
    body and distance together, so that the head is where the scene's depth says, and the size takes up the error.

    Args:
      key: random key.
      spec: of the body.
      truth: the true body, camera frame.
      config: how wrong.
      level: multiplies all errors.
    """
    noise_key, depth_key, head_key = jax.random.split(key, 3)
    params = perturb(noise_key, spec, truth, config.estimate, level)
    swap_key, limb_key, far_key, ray_key = jax.random.split(jax.random.fold_in(key, 1), 4)
    if config.swapped:
        others = [exchange_sides(spec, params, limb) for limb in LIMBS]
        other = jax.tree.map(lambda *x: jnp.stack(x)[jax.random.randint(limb_key, (), 0, len(LIMBS))], *others)
        swap = jax.random.bernoulli(swap_key, config.swapped)
        params = jax.tree.map(lambda a, b: jnp.where(swap, a, b), other, params)
    dtype = params.translation.dtype
    state = GraftState.of(params)
    pelvis = pose_graft_state(spec.probe_model, state).joints[0]
    distance = jnp.exp(level * config.depth * jax.random.normal(depth_key, (), dtype))
    # The pelvis goes along its ray; the body keeps its size.
    moved = params.replace(translation=params.translation + (distance - 1.0) * pelvis)
    heads = [pose_graft_state(spec.probe_model, GraftState.of(x)).joints[spec.head, 2] for x in (moved, truth)]
    wanted = heads[1] + level * config.aligned * jax.random.normal(head_key, (), dtype)
    aligned = fold_scale(spec, GraftState(params=moved, scale=wanted / heads[0]))
    if not config.far:
        return aligned
    away = level * FAR * jax.random.normal(ray_key, (), dtype) * jax.random.bernoulli(far_key, config.far).astype(dtype)
    return aligned.replace(translation=aligned.translation + away * safe_normalize(pelvis))


def exchange_sides(spec: BodySpec, params: BodyParams, limb: tuple[str, ...]) -> BodyParams:
    """A body whose left joints of a limb are turned as the right ones' mirror images, and the other way round.

    Args:
      spec: of the body.
      params: the body.
      limb: names of the joints without their sides, such as those of `LIMBS`.
    """
    names = spec.probe_model.joint_names
    order = np.arange(params.rotations.shape[0])
    for name in limb:
        left, right = names.index(f"left_{name}"), names.index(f"right_{name}")
        order[left], order[right] = right, left
    moved = jnp.asarray(order != np.arange(len(order)))[:, None, None]
    # Across the plane x = 0, in frames that are the world's at rest: M R M with M = diag(-1, 1, 1).
    signs = jnp.asarray(np.outer([-1, 1, 1], [-1, 1, 1]), params.rotations.dtype)[None]
    return params.replace(rotations=jnp.where(moved, signs * params.rotations[order], params.rotations))


def draw_query(key: Key[jax.Array, ""], spec: BodySpec, truth: BodyParams, config: QueryConfig) -> GraftState:
    """The start of one training rollout: an estimate, the truth, or the truth perturbed; scaled if `scale_what` says.

    Args:
      key: random key.
      spec: of the body.
      truth: the true body, camera frame.
      config: the mixture.
    """
    kind_key, clean_key, noise_key, estimate_key, scale_key, near_key = jax.random.split(key, 6)
    choose_near, choose_scaled, size_key = jax.random.split(near_key, 3)
    near = jax.random.bernoulli(choose_near, config.near)
    level = jnp.where(near, jax.random.uniform(size_key, (), truth.translation.dtype) ** 2, 1.0)
    perturbed = perturb(noise_key, spec, truth, config.truth, level)
    estimated = imitate_estimate(estimate_key, spec, truth, config, level)
    clean = jax.random.bernoulli(clean_key, config.clean)
    at_truth = jax.tree.map(lambda a, b: jnp.where(clean, a, b), truth, perturbed)
    use_estimate = jax.random.bernoulli(kind_key, config.estimated)
    state = GraftState.of(jax.tree.map(lambda a, b: jnp.where(use_estimate, a, b), estimated, at_truth))
    if config.scale_what != "query" or config.scale == (1.0, 1.0):
        return state
    factor = 1.0 + level * (jax.random.uniform(scale_key, (), state.scale.dtype, *config.scale) - 1.0)
    # A clean start stays clean: there the network must learn to do nothing.
    untouched = (clean & ~use_estimate) | ~jax.random.bernoulli(choose_scaled, config.scaled)
    scaled = fold_state(spec, state.replace(scale=factor))
    return jax.tree.map(lambda a, b: jnp.where(untouched, a, b), state, scaled)


def scale_sample(
    spec: BodySpec, scene: ScenePoints, truth: BodyParams, factor: Float[jax.Array, ""]
) -> tuple[ScenePoints, BodyParams]:
    """Scene and body scaled together about the camera: the same image of a larger or smaller world.

    Args:
      spec: of the body.
      scene: camera frame.
      truth: the body in it.
      factor: what everything is multiplied by.
    """
    blocks = scene.blocks
    blocks = blocks.replace(points=blocks.points * factor, lower=blocks.lower * factor, upper=blocks.upper * factor)
    state = GraftState.of(truth).replace(scale=factor)
    return scene.replace(blocks=blocks), fold_scale(spec, state)
