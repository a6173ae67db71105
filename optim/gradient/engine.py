"""The refiner's machinery for one sample: choose points, match, step, watch for plateaus. Batch it with `vmap`."""

from collections.abc import Callable
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Bool, Float, Int

from hoijax.body_models import BodyModel, pose_body
from hoijax.geometry import einsum, safe_normalize, transform_points
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction import object_sdf
from hoijax.optim.fields import BodyField, ObjectField
from hoijax.optim.gradient.config import Sizes
from hoijax.optim.gradient.contacts import ContactTargets
from hoijax.optim.gradient.energy import Cloud, Terms, evaluate, find_matches, squared_distances
from hoijax.optim.gradient.equations import EquationTargets, equation_energy
from hoijax.optim.gradient.floor import Floor
from hoijax.optim.gradient.langevin import Chain, langevin_step
from hoijax.optim.gradient.picture import Picture, Surfaces, picture_terms
from hoijax.optim.gradient.state import State, retract, tangent
from hoijax.optim.gradient.upright import within_freedom

ADAM = (0.9, 0.95, 0.3)
"""Adam's decay rates, and its floor in units of the energy per unit of a variable: gradients far below it are noise and
move nothing, where plain Adam would take full steps."""
SCOUTS = 1024
"""Body vertices, spread over the whole body, among which the nearest to each object point is sought."""


# Exempt from run-time checks: `vmap` wants one of axes instead of arrays.
@no_type_check
@struct.dataclass
class RefineProblem:
    """What stays the same through a run: the fields, the targets, the estimate."""

    body: BodyField
    object: ObjectField
    targets: ContactTargets
    floor: Floor | None
    start: State
    inverse_width: Float[ArrayLike, "D"] | Any
    """1 / width of each tangent coordinate."""
    freedom: Float[ArrayLike, "2 3 3"] | Any
    """Projections of the object's turns (canonical frame) and shifts (world) on what is free."""
    picture: Picture | None = None
    """What is seen; None: nothing, and the terms of a picture are not compiled."""
    surfaces: Surfaces | None = None
    """Of the body, what is seen; of a problem with a picture."""
    equations: EquationTargets | None = None
    """Of InteractAnything's equations; None: they are not compiled."""
    chain: Chain | None = None
    """Chance of a Langevin chain in the place of Adam; None: Adam."""


@struct.dataclass
class Setting:
    """The numbers of one stage, as arrays, so that all stages of one kind share a compiled program."""

    weights: Terms
    rates: Float[ArrayLike, "D"] | Any
    """Learning rate of each tangent coordinate."""
    steps: Int[ArrayLike, ""] | Any
    """Largest number of steps."""
    final_rate: Float[ArrayLike, ""] | Any
    """Where the falling rate ends, as a fraction of the first one."""
    spread: Float[ArrayLike, ""] | Any
    """See `RefineConfig.contact_spread`."""
    facing: Float[ArrayLike, ""] | Any
    """See `RefineStage.facing`."""
    let_go: Float[ArrayLike, ""] | Any
    """See `RefineStage.let_go`."""
    tolerance: Float[ArrayLike, ""] | Any
    """See `RefineConfig.tolerance`."""


@struct.dataclass
class Carry:
    """The state of a run within a stage."""

    state: State
    cloud: Cloud
    first: Float[ArrayLike, "D"] | Any
    """Adam's running mean of the gradient."""
    second: Float[ArrayLike, "D"] | Any
    """Adam's running mean of its square."""
    updates: Float[ArrayLike, ""] | Any
    """Of these means, since they were last forgotten."""
    step: Int[ArrayLike, ""] | Any
    """Steps taken in this stage."""
    total: Int[ArrayLike, ""] | Any
    """Steps taken in all."""
    rate: Float[ArrayLike, ""] | Any
    """Plateaus multiply this by less than one."""
    best: State
    """The best state of this stage."""
    lowest: Float[ArrayLike, ""] | Any
    """Its energy."""
    before: Float[ArrayLike, ""] | Any
    """The best energy before this round."""
    done: Bool[ArrayLike, ""] | Any
    """True where the stage has ended."""
    converged: Bool[ArrayLike, ""] | Any
    """True where the stage ended on a plateau."""


def begin(problem: RefineProblem, state: State, total: Any, sizes: Sizes) -> Carry:
    """Starts a stage: chooses the points that it looks at, forgets Adam's moments."""
    dtype, size = state.translation.dtype, problem.inverse_width.shape[0]
    zero, no = jnp.zeros((), dtype), jnp.zeros((), bool)
    return Carry(
        state=state,
        cloud=choose_points(problem, state, sizes),
        first=jnp.zeros(size, dtype),
        second=jnp.zeros(size, dtype),
        updates=zero,
        step=jnp.zeros((), jnp.int32),
        total=total,
        rate=jnp.ones((), dtype),
        best=state,
        lowest=zero + jnp.inf,
        before=zero + jnp.inf,
        done=no,
        converged=no,
    )


def choose_points(problem: RefineProblem, state: State, sizes: Sizes) -> Cloud:
    """The points of a stage: of body and object each half spread, half near the other; and those of parts and feet."""
    body, object, targets = problem.body, problem.object, problem.targets
    count = body.rank.shape[0]
    near = min(sizes.body_points // 2, count)
    spread = min(sizes.body_points - near, count)
    vertices = pose_body(body.model, state.params).vertices
    distance = object_sdf(object.sdf, state.pose, vertices)
    # Those spread over the body are there already.
    closest = jax.lax.top_k(jnp.where(body.rank < spread, -jnp.inf, -distance), near)[1]
    index, weights = [body.order[:spread], closest], []
    for rows in (targets.parts, targets.feet):
        # Vertices that are meant come before those that only belong, each kind in the order of the spread.
        meant = rows > 0.5 * jnp.max(rows, axis=1, keepdims=True, initial=0.0)
        key = jnp.where(meant, 2.0 * count, 1.0 * count) - body.rank[None].astype(rows.dtype)
        key = jnp.where(rows > 0, key, -1.0)  # of floats: the CPU has no fast choice among integers
        chosen = jax.lax.top_k(key, min(sizes.contact_points, count))[1]
        index.append(chosen.reshape(-1))
        weights.append(jnp.take_along_axis(rows, chosen, axis=1))
    pool, template = object.points.shape[0], targets.object.shape[0]
    near = min(sizes.object_points // 2, pool)
    spread = min(max(sizes.object_points - near, template), pool)
    place = transform_points(state.pose, object.points)
    gap = jnp.min(squared_distances(place, jnp.concatenate([vertices[closest], vertices[index[2]]])), axis=1)
    gap = jnp.where(jnp.arange(pool) < spread, jnp.inf, gap)
    first = jnp.arange(spread, dtype=closest.dtype)
    return Cloud(
        index=jnp.concatenate(index),
        part_weight=weights[0],
        foot_weight=weights[1],
        object_index=jnp.concatenate([first, jax.lax.top_k(-gap, min(near, pool - spread))[1]]),
    )


def run_round(problem: RefineProblem, setting: Setting, carry: Carry, sizes: Sizes) -> Carry:
    """Matches, then `sizes.steps_per_round` gradient steps on the matched energy, then the test for a plateau.

    A sample that is done stays as it is.
    """
    cloud, start = carry.cloud, carry.state
    scouts = jnp.concatenate([cloud.index, problem.body.order[:SCOUTS]])
    points, normals = surface(problem.body, scouts, start)
    matches = find_matches(
        points,
        normals,
        start.pose,
        problem.object,
        cloud,
        problem.targets,
        setting.spread,
        setting.facing,
        problem.body.area,
        setting.let_go,
    )
    place = cloud_of(problem.body, start, jnp.concatenate([cloud.index, scouts[matches.scout]]))

    def energy(state: State) -> Float[jax.Array, ""]:
        terms = evaluate(
            place(state), state, problem.start, problem.object, cloud, problem.targets, matches, problem.floor,
            problem.inverse_width, problem.body.limits, setting.let_go,
        )  # fmt: skip
        if problem.picture is not None:
            landmarks, outline, order = picture_terms(state.params, state.pose, problem.picture, problem.surfaces)
            terms = terms.replace(landmarks=landmarks, outline=outline, order=order)
        products = jax.tree.map(jnp.multiply, setting.weights, terms)
        total = sum(jax.tree.leaves(products))
        if problem.equations is not None:
            parts, raised = cloud.index[cloud.parts], 0.01 * problem.body.normals
            lifted = cloud_of(problem.body, start, parts, raised)

            def look() -> Float[jax.Array, "P 3"]:
                return safe_normalize(lifted(state) - place(state)[cloud.parts])

            total = total + equation_energy(
                place(state), look, state, problem.start, problem.object, cloud, problem.equations, problem.floor
            )
        return total

    def one(carry: Carry, _: None) -> tuple[Carry, None]:
        if problem.chain is not None:
            return langevin_step(carry, setting, problem.chain, energy, problem.freedom), None
        return step(carry, setting, *jax.value_and_grad(energy)(carry.state), problem.freedom), None

    after = jax.lax.scan(one, carry, None, length=sizes.steps_per_round)[0]
    # A chain goes its way to its last step: cutting its rate would cool it.
    after = judge(after, setting) if problem.chain is None else after.replace(done=after.step >= setting.steps)
    return jax.tree.map(lambda new, old: jnp.where(carry.done, old, new), after, carry)


def surface(
    body: BodyField, index: Int[jax.Array, "M"], state: State
) -> tuple[Float[jax.Array, "M 3"], Float[jax.Array, "M 3"]]:
    """Vertices of a state and the outward normals there; these turn with the skin, which is right to a few degrees."""
    small = some_vertices(body, index, state)
    points = pose_body(small, state.params).vertices
    raised = small.replace(v_template=small.v_template + 0.01 * body.normals[index])
    return points, safe_normalize(pose_body(raised, state.params).vertices - points)


def cloud_of(
    body: BodyField, now: State, index: Int[jax.Array, "M"], raised: Float[jax.Array, "V 3"] | None = None
) -> Callable[[State], Float[jax.Array, "M 3"]]:
    """Vertices as a function of the state; pose correctives stay as they are `now`.

    They change by fractions of a millimetre in the few steps of a round. `raised` is added to the template.
    """
    small = some_vertices(body, index, now)
    if raised is not None:
        small = small.replace(v_template=small.v_template + raised[index])
    return lambda state: pose_body(small, state.params).vertices


def some_vertices(body: BodyField, index: Int[jax.Array, "M"], now: State) -> BodyModel:
    """The model of some vertices, which may repeat, with its pose correctives put into the template."""
    model = body.model
    template = jnp.asarray(model.v_template)[index]
    if model.pose_basis is not None:
        eye = jnp.broadcast_to(jnp.eye(3, dtype=template.dtype), (model.num_joints - 1, 3, 3))
        feature = (now.rotations[1:] - eye).reshape(-1)
        template = template + einsum("pcv,p->vc", jnp.asarray(model.pose_basis)[..., index], feature)
    return model.replace(
        v_template=template,
        shape_dirs=jnp.asarray(model.shape_dirs)[index],
        pose_basis=None,
        skin_weights=jnp.asarray(model.skin_weights)[index],
        colors=None,
        landmarks=(),
    )


def step(
    carry: Carry,
    setting: Setting,
    energy: Float[jax.Array, ""],
    gradient: State,
    freedom: Float[jax.Array, "2 3 3"] | None = None,
) -> Carry:
    """One step of Adam on the manifold; a step that is not finite is rejected and the best state taken up again."""
    g = tangent(carry.state, gradient)
    better = energy < carry.lowest
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), carry.state, carry.best)
    finite = jnp.isfinite(energy) & jnp.all(jnp.isfinite(g))
    running = finite & (carry.step < setting.steps)
    g = jnp.where(finite, g, 0)
    decay1, decay2, floor = ADAM
    updates = carry.updates + 1
    first = decay1 * carry.first + (1 - decay1) * g
    second = decay2 * carry.second + (1 - decay2) * g * g
    direction = first / (1 - decay1**updates)
    size = jnp.sqrt(second / (1 - decay2**updates)) + floor
    progress = carry.step.astype(g.dtype) / jnp.maximum(setting.steps, 1).astype(g.dtype)
    cosine = setting.final_rate + (1 - setting.final_rate) * 0.5 * (1 + jnp.cos(jnp.pi * progress))
    rate = jnp.minimum(carry.rate, cosine)
    move = -rate * setting.rates * direction / size
    moved = retract(carry.state, move if freedom is None else within_freedom(move, freedom))
    state = jax.tree.map(
        lambda new, kept, old: jnp.where(running, new, jnp.where(finite, old, kept)), moved, best, carry.state
    )
    return carry.replace(
        state=state,
        first=jnp.where(finite, first, 0),
        second=jnp.where(finite, second, 0),
        updates=jnp.where(finite, updates, 0),
        step=carry.step + running.astype(carry.step.dtype),
        total=carry.total + running.astype(carry.total.dtype),
        best=best,
        lowest=jnp.where(better, energy, carry.lowest),
    )


def judge(carry: Carry, setting: Setting) -> Carry:
    """After a round: on a plateau the rate is cut and the run goes back to its best state, its momentum forgotten.

    With the rate at its end, or no step left, the stage is done.
    """
    plateau = ~(carry.before - carry.lowest > setting.tolerance * carry.lowest)
    rate = jnp.where(plateau, 0.4 * carry.rate, carry.rate)
    converged = plateau & (rate < setting.final_rate)
    return carry.replace(
        state=jax.tree.map(lambda best, now: jnp.where(plateau, best, now), carry.best, carry.state),
        first=jnp.where(plateau, 0, carry.first),
        second=jnp.where(plateau, 0, carry.second),
        updates=jnp.where(plateau, 0, carry.updates),
        rate=jnp.maximum(rate, setting.final_rate),
        before=carry.lowest,
        converged=converged,
        done=converged | (carry.step >= setting.steps),
    )
