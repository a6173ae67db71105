"""Body and object fitted together to contacts, masks and each other: starts, then stages of Adam, all in one program.

    problem = joint_problem(model, params, mesh, grid, contact, target, picture=(h, w), matrix=matrix, person=mask)
    fit = fit_joint_compiled(problem, JOINT)
    fit.best, fit.params, fit.costs

`fit_joint` is pure: `vmap` it over `stack_problems`.
"""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float

from hoijax.body_models import BodyParams
from hoijax.geometry import RigidPose, einsum
from hoijax.geometry.safe import ArrayLike
from hoijax.optim.fitting import joint_terms as terms
from hoijax.optim.fitting.contact_align import FLIP, align_contacts, contact_clouds, legacy_align
from hoijax.optim.fitting.joint_config import WEIGHTS, JointConfig, Stage
from hoijax.optim.fitting.joint_problem import LEAST_CONTACT, JointProblem
from hoijax.optim.fitting.object_starts import choose_apart, hypothesis_rotations


@struct.dataclass
class JointFit:
    """K answers, the best first; camera frame, metres."""

    pose: RigidPose
    """Of the object, from the mesh's own frame, (K)."""
    params: BodyParams
    """Of the body, (K)."""
    cost: Float[ArrayLike, "K"] | Any
    """The last stage's energy."""
    costs: dict[str, Any]
    """Its terms by name, unweighted, (K)."""
    start: RigidPose
    """Where the best of the starts was, from the mesh's own frame."""
    aligned: Bool[ArrayLike, ""] | Any
    """Whether both sides had contact enough to be aligned by."""
    finite: Bool[ArrayLike, ""] | Any
    """Whether the best answer is made of numbers; otherwise it is the start."""

    @property
    def best(self) -> RigidPose:
        """The first answer's pose."""
        return jax.tree.map(lambda x: x[0], self.pose)

    @property
    def body(self) -> BodyParams:
        """The first answer's body."""
        return jax.tree.map(lambda x: x[0], self.params)


def fit_joint(problem: JointProblem, config: JointConfig, more: RigidPose | None = None) -> JointFit:
    """Fits one picture. Pure: for `jit` (with `config` static) and `vmap`.

    Args:
      problem: of `joint_problem`.
      config: starts and stages.
      more: further poses (M) of the object, from the mesh's own frame, to begin at: those of a mask's fit.

    Returns:
      As many answers as starts are followed; with `config.margin` and `more` one more, the best of these as it was.
    """
    problem = jax.tree.map(jnp.asarray, problem)
    starts, by_picture = _starts(problem, config, more)
    unknowns = jax.vmap(lambda _: _zero(problem))(starts.scale)
    for group in _programs(config.stages):
        unknowns = jax.vmap(functools.partial(_descend, problem, group))(starts, unknowns)
    if by_picture is not None:
        add = lambda many, one: jnp.concatenate([many, one[None]])  # noqa: E731
        starts, unknowns = jax.tree.map(add, (starts, unknowns), (by_picture, _zero(problem)))
    last = config.stages[-1]
    costs = jax.vmap(lambda start, u: _costs(problem, start, u, last, jnp.asarray(last.blur[1], u.move.dtype)))(
        starts, unknowns
    )
    cost = sum(getattr(last, name) * value for name, value in costs.items())
    cost = jnp.where(jnp.isfinite(cost), cost, jnp.inf)
    order = jnp.argsort(cost)
    if by_picture is not None:
        picture = _picture_cost(costs, last)
        order = jnp.lexsort((cost, ~(picture <= picture[-1] + config.margin)))
    starts, unknowns, costs = jax.tree.map(lambda x: x[order], (starts, unknowns, costs))
    finite = jnp.isfinite(cost[order[0]])
    unknowns = jax.tree.map(
        lambda x, zero: jnp.where(finite, x, zero), unknowns, jax.vmap(lambda _: _zero(problem))(cost)
    )
    placed = jax.vmap(lambda s, u: terms.place(problem, s.rotation, s.translation, s.scale, u))(starts, unknowns)
    params = jax.vmap(functools.partial(terms.moved_params, problem))(unknowns)
    return JointFit(
        pose=_from_mesh(problem, RigidPose(placed.rotation, placed.middle, placed.size)),
        params=params,
        cost=cost[order],
        costs=costs,
        start=jax.tree.map(lambda x: x[0], _from_mesh(problem, starts)),
        aligned=(jnp.sum(problem.touching > 0) >= LEAST_CONTACT) & (jnp.sum(problem.likely > 0) >= LEAST_CONTACT),
        finite=finite,
    )  # fmt: skip


fit_joint_compiled = functools.partial(jax.jit, static_argnames="config")(fit_joint)


def _zero(problem: JointProblem) -> terms.Unknowns:
    dtype = problem.points.dtype
    return terms.Unknowns(
        jnp.asarray([1, 0, 0, 0, 1, 0], dtype), jnp.zeros(3, dtype), jnp.zeros((), dtype),
        jnp.zeros((problem.movable.shape[0], 3), dtype),
    )  # fmt: skip


def _from_mesh(problem: JointProblem, pose: RigidPose) -> RigidPose:
    """Poses of the object's middle as poses of the mesh's own frame."""
    offset = pose.scale[:, None] * einsum("nij,j->ni", pose.rotation, problem.shape.centre)
    return pose.replace(translation=pose.translation - offset)


def _starts(problem: JointProblem, config: JointConfig, more: RigidPose | None) -> tuple[RigidPose, RigidPose | None]:
    """Poses (K) of the object's middle; with a margin also the one of `more` that agrees best with the picture."""
    clouds = contact_clouds(problem)
    if config.start != "contacts":
        middle = clouds.middle
        flip = jnp.asarray(FLIP, middle.dtype)
        pose = RigidPose(flip, middle, jnp.ones((), middle.dtype))
        if config.start == "released":
            pose = legacy_align(clouds)[0]
        return jax.tree.map(lambda x: x[None], pose), None
    poses, left = align_contacts(clouds, hypothesis_rotations(problem.scene.up, config.turns), config.align)
    lost = ~jnp.isfinite(left)
    by_mask = _at_mask(problem, poses)
    poses = poses.replace(translation=jnp.where(lost[:, None], by_mask, poses.translation))
    if more is not None:
        offset = more.scale[:, None] * einsum("nij,j->ni", more.rotation, problem.shape.centre)
        own = RigidPose(more.rotation, more.translation + offset, more.scale)
        poses = jax.tree.map(lambda a, b: jnp.concatenate([a, b.astype(a.dtype)]), poses, own)
    found = jax.lax.map(lambda pose: _start_costs(problem, pose, config.stages[0]), poses, batch_size=32)
    cost = sum(getattr(config.stages[0], name) * value for name, value in found.items())
    by_picture = None
    if more is not None and config.margin is not None:
        # By the last stage's sharper outlines: the first one's are for what is far off.
        own = jax.tree.map(lambda x: x[config.turns.count :], poses)
        last = config.stages[-1]
        seen = jax.lax.map(lambda pose: _picture_cost(_start_costs(problem, pose, last, 1), last), own, batch_size=32)
        best = jnp.argmin(jnp.where(jnp.isfinite(seen), seen, jnp.inf))
        by_picture = jax.tree.map(lambda x: x[best], own)
        cost = cost.at[config.turns.count + best].set(-1e6)
    index = choose_apart(cost, poses.rotation, config.kept, config.apart)
    return jax.tree.map(lambda x: x[index], poses), by_picture


def _at_mask(problem: JointProblem, poses: RigidPose) -> jax.Array:
    """Middles (N, 3) on the ray through the mask's middle, at the body's contact's or the body's distance."""
    clouds = contact_clouds(problem)
    weight = jnp.where(jnp.sum(clouds.body_weight) > 0, clouds.body_weight, 1.0)
    depth = jnp.sum(weight * clouds.body[:, 2]) / jnp.sum(weight)
    mask = terms.seen_mask(problem)
    row, column = terms.mask_middle(mask) + 0.5
    matrix = problem.target.matrix
    ray = jnp.stack([(column - matrix[0, 2]) / matrix[0, 0], (row - matrix[1, 2]) / matrix[1, 1], jnp.ones_like(row)])
    return jnp.broadcast_to(depth * ray, poses.translation.shape)


def _start_costs(problem: JointProblem, pose: RigidPose, stage: Stage, end: int = 0) -> dict[str, jax.Array]:
    """A stage's terms of a pose and the body as it was estimated, at the stage's first blur or its last (1)."""
    return _costs(problem, pose, _zero(problem), stage, jnp.asarray(stage.blur[end], pose.scale.dtype))


def _picture_cost(costs: dict[str, jax.Array], stage: Stage) -> jax.Array:
    """What the picture says of it: mask and order."""
    return sum(getattr(stage, name) * costs[name] for name in ("mask", "order") if name in costs)


def _costs(
    problem: JointProblem, start: RigidPose, unknowns: terms.Unknowns, stage: Stage, blur: jax.Array
) -> dict[str, jax.Array]:
    """The stage's terms by the names of their weights."""
    at = terms.place(problem, start.rotation, start.translation, start.scale, unknowns)
    nearest = functools.partial(terms.nearest_contact, bound=stage.bound)
    contact = {"nearest": nearest, "mean": terms.mean_contact, "pairs": terms.paired_contact}
    found = {}
    if stage.contact > 0:
        found["contact"] = contact[stage.contact_form](problem, at)
    if stage.normals > 0:
        found["normals"] = terms.contact_normals(problem, at)
    if stage.penetration > 0:
        found["penetration"] = terms.penetration(problem, at)
    drawn = (
        terms.draw_object(problem, at) if stage.order > 0 or (stage.mask > 0 and stage.mask_form == "dice") else None
    )
    if stage.mask > 0 and stage.mask_form == "dice":
        found["mask"] = terms.dice(problem, drawn, blur)
    elif stage.mask > 0 or stage.centroid > 0:
        soft = terms.soft_object(problem, at)
        form = terms.half_dice if stage.mask_form == "half_dice" else terms.overlap_and_middle
        found["mask"] = form(problem, soft)
        if stage.centroid > 0:
            found["centroid"] = terms.box_centroid(problem, soft)
    if stage.order > 0:
        found["order"] = terms.depth_order(problem, drawn)
    if stage.scale_prior > 0:
        found["scale_prior"] = jnp.square(at.size - 1 if stage.mask_form == "iou" else jnp.log(at.size))
    if stage.pose_prior > 0:
        free = problem.movable[:, None]
        found["pose_prior"] = jnp.sum(free * jnp.square(unknowns.joints)) / jnp.maximum(3 * jnp.sum(free), 1.0)
    if stage.person > 0:
        found["person"] = terms.person_outline(problem, unknowns)
    return found


def _programs(stages: tuple[Stage, ...]) -> list[tuple[Stage, ...]]:
    """Stages that follow each other and draw and match alike: one loop each, which halves what is compiled."""

    def kind(stage: Stage) -> tuple:
        return (stage.contact_form, stage.bound, stage.mask_form, stage.mask > 0, stage.centroid > 0, stage.person > 0)

    return [tuple(group) for _, group in itertools.groupby(stages, kind)]


def _descend(
    problem: JointProblem, group: tuple[Stage, ...], start: RigidPose, unknowns: terms.Unknowns
) -> terms.Unknowns:
    """Adam from one start, begun anew with each stage; a step whose gradient is not finite is not taken."""
    dtype = unknowns.move.dtype
    names = [name for name in WEIGHTS if any(getattr(stage, name) > 0 for stage in group)]
    every = dataclasses.replace(group[0], **{name: 1.0 for name in names})
    rows = [_schedule(stage, names) for stage in group]
    schedule = tuple(jnp.asarray(np.concatenate(column), dtype) for column in zip(*rows))

    def energy(u: terms.Unknowns, blur: jax.Array, weights: jax.Array) -> jax.Array:
        costs = _costs(problem, start, u, every, blur)
        return sum(weights[i] * costs[name] for i, name in enumerate(names))

    def step(carry: tuple, now: tuple) -> tuple[tuple, None]:
        u, mean, square = carry
        count, blur, weights, rates = now
        mean, square = jax.tree.map(lambda x: jnp.where(count == 1, jnp.zeros_like(x), x), (mean, square))
        slope = jax.grad(energy)(u, blur, weights)
        usable = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(slope)]))
        slope = jax.tree.map(lambda g: jnp.where(usable, g, 0.0), slope)
        mean = jax.tree.map(lambda m, g: _FIRST * m + (1 - _FIRST) * g, mean, slope)
        square = jax.tree.map(lambda v, g: _SECOND * v + (1 - _SECOND) * g * g, square, slope)
        one, two = 1 / (1 - _FIRST**count), 1 / (1 - _SECOND**count)
        speed = terms.Unknowns(*(rates[i] for i in range(4)))

        def moved(x: jax.Array, m: jax.Array, v: jax.Array, rate: jax.Array) -> jax.Array:
            return x - rate * one * m / (jnp.sqrt(two * v) + 1e-8)

        return (jax.tree.map(moved, u, mean, square, speed), mean, square), None

    zero = jax.tree.map(jnp.zeros_like, unknowns)
    return jax.lax.scan(step, (unknowns, zero, zero), schedule)[0][0]


_FIRST, _SECOND = 0.9, 0.999  # Adam's decays (Kingma and Ba 2015)


def _schedule(stage: Stage, names: list[str]) -> tuple[np.ndarray, ...]:
    """Per step: its number from 1, blur (share of the side), weights by name, rates."""
    share = np.linspace(0.0, 1.0, stage.steps)
    first, last = stage.blur
    pace = stage.decay + (1 - stage.decay) * 0.5 * (1 + np.cos(np.pi * share))
    weights = np.broadcast_to([getattr(stage, name) for name in names], (stage.steps, len(names)))
    rates = pace[:, None] * np.asarray(dataclasses.astuple(stage.rates))
    return np.arange(stage.steps) + 1.0, first * (last / first) ** share, weights, rates
