"""Gradient refinement of interactions: `refine` for one, as a pure function; `refine_batch` for many, compiled."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.interaction import Contacts, ObjectRegion, ObjectTemplate, judge
from hoijax.optim.fields import BodyField, ObjectField, body_field, object_field
from hoijax.optim.fields.body import cast_floating
from hoijax.optim.gradient.config import GROUPS, RefineConfig, RefineStage, Sizes, expand_groups
from hoijax.optim.gradient.contacts import (
    ContactTargets,
    part_targets,
    probability_targets,
    propose_parts,
    stand_on_floor,
    touch_softly,
    touch_within,
)
from hoijax.optim.gradient.energy import Terms
from hoijax.optim.gradient.engine import Carry, RefineProblem, Setting, begin, run_round
from hoijax.optim.gradient.equations import EquationTargets
from hoijax.optim.gradient.evaluation import measure, shift
from hoijax.optim.gradient.floor import Floor
from hoijax.optim.gradient.langevin import Chain
from hoijax.optim.gradient.picture import Picture, Surfaces
from hoijax.optim.gradient.result import Progress, RefineResult
from hoijax.optim.gradient.starts import badness, ranked_starts, shortfall
from hoijax.optim.gradient.state import State, keep_frozen, moves_object, rates, spread_over_groups
from hoijax.optim.gradient.upright import freedom, lean, level_shifts, set_upright
from hoijax.optim.programs import Program

DEFAULT = RefineConfig()
FEW_STEPS = 40
"""Steps of all interactions of a batch up to which compiling fast is worth more than running fast."""


def refine(
    body: BodyField,
    object: ObjectField,
    params: BodyParams,
    pose: RigidPose,
    targets: ContactTargets,
    config: RefineConfig = DEFAULT,
    *,
    floor: Floor | None = None,
    picture: Picture | None = None,
    surfaces: Surfaces | None = None,
) -> RefineResult:
    """Refines one interaction: a pure function of arrays, for `jit` and `vmap`.

    The stages of `config` run in order; each ends on a plateau of the energy or after its steps, and hands on its best
    iterate. A step whose energy or gradient is not finite is rejected.

    Args:
      body: from `body_field`.
      object: from `object_field`.
      params: the estimated body.
      pose: the estimated pose of the object.
      targets: what should touch, without leading axes.
      config: stages, weights, frozen groups; static under `jit`.
      floor: the floor, or None.
      picture: what a photograph shows of it (`picture_of`), or None.
      surfaces: `body_surfaces`; with a picture.

    Returns:
      The refined interaction with metrics before and after.
    """
    given = State.of(params, pose)
    problem = _problem(body, object, targets, config, floor, given)
    dtype = given.translation.dtype
    problem = problem.replace(**_with_picture(picture, surfaces, dtype))
    if config.langevin is not None:
        problem = problem.replace(chain=jax.tree.map(lambda x: x[0], _chains(config, 1, dtype)))
    start = problem.start
    settings = [stage_setting(body.model, config, s, start.translation.dtype) for s in config.stages if s.steps > 0]

    def one_stage(done: tuple[State, Any, Any], setting: Setting) -> tuple[tuple[State, Any, Any], None]:
        carry = begin(problem, done[0], done[1], config.sizes)
        one_round = functools.partial(run_round, problem, setting, sizes=config.sizes)
        carry = jax.lax.while_loop(lambda c: ~c.done, one_round, carry)
        return (carry.best, carry.total, carry.converged), None

    state, total, converged = start, jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    if settings:
        # A scan, so that the stages share one program.
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *settings)
        (state, total, converged), _ = jax.lax.scan(one_stage, (state, total, converged), stacked)
    return _result(problem, given, config.freeze, state, total, converged)


def refine_batch(
    model: BodyModel,
    params: BodyParams,
    template: ObjectTemplate | Sequence[ObjectTemplate],
    pose: RigidPose,
    contacts: Contacts | ContactTargets | Sequence[str] | Sequence[Sequence[str]] | None = None,
    config: RefineConfig = DEFAULT,
    *,
    regions: Sequence[Mapping[str, ObjectRegion]] | None = None,
    soft: Sequence[Mapping[str, Any]] | None = None,
    floor: Floor | None = None,
    feet: bool | None = None,
    object_rests: bool | None = None,
    body: BodyField | None = None,
    object: ObjectField | None = None,
    picture: Picture | None = None,
    surfaces: Surfaces | None = None,
    equations: EquationTargets | None = None,
    progress: Callable[[Progress], None] | None = None,
    quick: bool | None = None,
) -> RefineResult:
    """Refines a batch of interactions, compiled and vmapped.

    The loop over rounds of some steps runs on the host, so that progress can be shown and a run be interrupted; an
    interaction that is done early is carried along unchanged.

    Args:
      model: the body.
      params: estimated bodies, leading axis B.
      template: the object of all, or one per interaction.
      pose: estimated object poses, leading axis B.
      contacts: parts that must touch the object: names of `contact_regions(model)` for all or per interaction,
        probabilities, targets, or None to propose parts from proximity.
      config: stages, weights, frozen groups.
      regions: for each interaction, by the name of an asked part, where on the object it is to touch.
      soft: for each interaction, by the name of an asked part, weights of its vertices (`touch_softly`).
      floor: the floor plane, shared or with leading axis B; None for no floor.
      feet: see `stand_on_floor`.
      object_rests: see `stand_on_floor`.
      body: `body_field(model)`, to save its second when many batches are refined.
      object: `object_field(template)` of the one template of all, likewise.
      picture: what photographs show of them (`picture_of`), leading axis B; None: nothing, and nothing is compiled.
      surfaces: `body_surfaces`; with a picture.
      equations: of InteractAnything, leading axis B (`equations`); None: the house's terms alone.
      progress: called on the host after each round.
      quick: compile fast rather than well (`hoijax.optim.programs`); None: where few steps are asked for.

    Returns:
      Refined parameters and poses in the order given, with metrics before and after.

    Raises:
      InputError: unknown part names, leading axes that disagree, or values that are not finite; a region of a part
        that is not asked for.
    """
    params, pose, batch = _check(model, params, pose)
    dtype = params.translation.dtype
    templates = _one_per_sample(template, batch)
    floor = _floor_per_sample(floor, batch, dtype)
    body = body_field(model, dtype) if body is None else body
    vertices = pose_body_compiled(body.model, params).vertices
    names, targets = _targets(model, vertices, templates, pose, contacts)
    if soft is not None:
        targets = touch_softly(targets, names, soft, vertices, templates, pose)
    if floor is not None:
        targets = stand_on_floor(targets, model, vertices, templates, pose, floor, feet=feet, object_rests=object_rests)
    if regions is not None:
        names, targets = _place_regions(names, targets, regions, templates)
    if soft is not None:
        asked = np.asarray(targets.parts).any(axis=2)
        names = tuple(tuple(n if asked[b, r] else "" for r, n in enumerate(row)) for b, row in enumerate(names))
    targets = jax.tree.map(lambda x: x.astype(dtype), targets)
    quick = _is_small(config, batch) if quick is None else quick
    if len({id(t) for t in templates}) == 1:
        fields, over_fields = object_field(templates[0], dtype=dtype, quick=quick) if object is None else object, None
    elif object is not None:
        raise InputError("one field is given for several objects; leave `object` out, or give one template")
    else:
        each = {id(t): object_field(t, dtype=dtype, quick=quick) for t in templates}
        fields, over_fields = jax.tree.map(lambda *x: jnp.stack(x), *(each[id(t)] for t in templates)), 0
    given = State.of(params, pose)
    over = RefineProblem(
        body=None, object=over_fields, targets=0, floor=0, start=0, inverse_width=None, freedom=0, picture=0,
        equations=0, chain=0,
    )  # fmt: skip
    shared = _problems(body, fields, targets, config, floor, given)
    shared = shared.replace(**_with_picture(picture, surfaces, dtype, batch))
    if equations is not None:
        shared = shared.replace(equations=jax.tree.map(lambda x: np.asarray(x, dtype), equations))
    if config.langevin is not None:
        shared = shared.replace(chain=_chains(config, batch, dtype))
    result = _run(shared, given, shared.start, over, config, progress, quick)
    for turn in range(config.starts.tries if config.steps else 0):
        result = _try_others(shared, given, result, over, config, turn, progress, quick)
    return jax.device_put(result).replace(parts=names)


def _run(
    problem: RefineProblem,
    given: State,
    start: State,
    over: RefineProblem,
    config: RefineConfig,
    progress: Callable[[Progress], None] | None,
    quick: bool,
    stay: float = 1.0,
    first: int = 0,
) -> RefineResult:
    """The stages from some start, held to it `stay` times as hard, without the `first`; the loop over rounds runs on
    the host."""
    batch = start.translation.shape[0]
    state, total, converged = start, np.zeros(batch, np.int32), np.zeros(batch, bool)
    steps_before = 0
    for stage in config.stages[first:]:
        if stage.steps == 0:
            continue
        weights = dataclasses.replace(stage.weights, stay=stay * stage.weights.stay)
        setting = stage_setting(
            problem.body.model, config, dataclasses.replace(stage, weights=weights), start.translation.dtype
        )
        carry = _begin(problem, state, total, over, config.sizes, quick=quick)
        for _ in range(-(-stage.steps // config.sizes.steps_per_round)):
            carry = _round(problem, setting, carry, over, config.sizes, quick=quick)
            done = np.asarray(carry.done)
            if progress is not None:
                steps = batch * steps_before + int(np.where(done, stage.steps, np.asarray(carry.step)).sum())
                last = stage is config.stages[-1]
                progress(Progress(stage.name, steps, batch * config.steps, int(done.sum()) if last else 0, batch))
            if done.all():
                break
        steps_before += stage.steps
        state, total, converged = carry.best, carry.total, carry.converged
    return _finish(problem, given, state, total, converged, over, config.freeze, quick=quick)


def _is_small(config: RefineConfig, batch: int) -> bool:
    """Whether a batch asks for so few steps that compiling takes most of its time."""
    return 0 < config.steps * batch <= FEW_STEPS


def _try_others(
    problem: RefineProblem,
    given: State,
    result: RefineResult,
    over: RefineProblem,
    config: RefineConfig,
    turn: int,
    progress: Callable[[Progress], None] | None,
    quick: bool,
) -> RefineResult:
    """The result with the interactions that miss the rule run again from screened starts, and the better ones kept.

    They are run together, as many as the next power of two holds but at least a quarter of the batch, so that few
    programs serve all.
    """
    missed = np.flatnonzero(np.asarray(_shortfall(result.after, config.starts)) > 0)
    batch = given.translation.shape[0]
    if not len(missed):
        return result
    size = min(max(1 << int(len(missed) - 1).bit_length(), batch // 4), batch)
    rows = np.resize(missed, size)
    some = RefineProblem(
        body=problem.body,
        object=problem.object if over.object is None else _rows(problem.object, rows),
        targets=_rows(problem.targets, rows),
        floor=_rows(problem.floor, rows),
        start=_rows(problem.start, rows),
        inverse_width=problem.inverse_width,
        freedom=_rows(problem.freedom, rows),
        picture=_rows(problem.picture, rows),
        surfaces=problem.surfaces,
        equations=_rows(problem.equations, rows),
        chain=None if config.langevin is None else _chains(config, size, given.translation.dtype, 1 + turn),
    )
    ranked = _screen(some, over, config, quick=quick)
    other_start = jax.tree.map(lambda x: np.asarray(x)[:, turn], ranked)
    first = min(config.starts.placed, len(config.stages) - 1)
    # What is far from the given start is far for a reason; the result stays near the one it was run from.
    other = _run(
        some.replace(start=other_start),
        _rows(given, rows),
        other_start,
        over,
        config,
        None,
        quick,
        config.starts.stay,
        first,
    )
    old, new = (np.asarray(_badness(r.after, r.moved, config.starts)) for r in (result, other))
    better = new < old[rows]
    better[len(missed) :] = False
    total = np.array(result.steps)
    total[missed] += np.asarray(other.steps)[: len(missed)]
    return _put_rows(result, rows[better], _rows(other, better)).replace(steps=total)


# On the host: indexed by JAX, each shape would be a program of its own, and compiling it would take longer than a copy.


def _rows(tree: Any, rows: np.ndarray | int) -> Any:
    return jax.tree.map(lambda x: np.asarray(x)[rows], tree)


def _put_rows(tree: Any, rows: np.ndarray, new: Any) -> Any:
    def put(old: Any, row: np.ndarray) -> np.ndarray:
        old = np.array(old)
        old[rows] = row
        return old

    return jax.tree.map(put, tree, new)


def _problem(
    body: BodyField,
    object: ObjectField,
    targets: ContactTargets,
    config: RefineConfig,
    floor: Floor | None,
    given: State,
) -> RefineProblem:
    """The problem of one interaction; what stands on the floor starts upright, unless the object is frozen."""
    dtype = given.translation.dtype
    standing = floor if config.upright and moves_object(config.freeze) else None
    slides = config.upright and standing is None and "object_translation" not in expand_groups(config.freeze)
    return RefineProblem(
        body=body,
        object=object,
        targets=targets,
        floor=floor,
        start=set_upright(given, targets, standing),
        inverse_width=inverse_width(body.model, config, dtype),
        freedom=level_shifts(floor, dtype) if slides and floor is not None else freedom(targets, standing, dtype),
    )


def _chains(config: RefineConfig, batch: int, dtype: Any, turn: int = 0) -> Chain:
    """Chains of a run; other starts have others."""
    chain = config.langevin
    return Chain.many(chain.seed + turn, batch, chain.size, chain.temperature, dtype)


def _with_picture(
    picture: Picture | None, surfaces: Surfaces | None, dtype: Any, batch: int | None = None
) -> dict[str, Any]:
    """Both as arrays of one dtype, checked; `batch` is the picture's leading axis."""
    if (picture is None) != (surfaces is None):
        raise InputError("a picture and the body's surfaces (`body_surfaces`) go together; one of them is missing")
    if picture is not None:
        found = tuple(np.shape(picture.matrix)[:-2])
        if found != (() if batch is None else (batch,)):
            raise InputError(f"the picture has the leading axes {found}, the interactions {batch or 'none'}")
        picture, surfaces = jax.tree.map(lambda x: cast_floating(x, dtype), (picture, surfaces))
    return {"picture": picture, "surfaces": surfaces}


def stage_setting(model: BodyModel, config: RefineConfig, stage: RefineStage, dtype: Any) -> Setting:
    """The numbers of a stage as arrays."""
    w = stage.weights
    weights = Terms(w.contact, w.penetration, w.interior, w.floor, w.limits, w.stay, w.landmarks, w.outline, w.order)
    return Setting(
        weights=jax.tree.map(lambda x: np.asarray(x, dtype), weights),
        rates=np.asarray(stage.rate * rates(model, config, stage.groups), dtype),
        steps=np.asarray(stage.steps, np.int32),
        final_rate=np.asarray(stage.final_rate, dtype),
        spread=np.asarray(config.contact_spread, dtype),
        facing=np.asarray(stage.facing, dtype),
        let_go=np.asarray(stage.let_go, dtype),
        tolerance=np.asarray(config.tolerance, dtype),
    )


def _result(
    problem: RefineProblem, given: State, freeze: tuple[str, ...], state: State, total: Any, converged: Any
) -> RefineResult:
    state = keep_frozen(problem.body.model, freeze, state, given)
    both = jax.tree.map(lambda *x: jnp.stack(x), given, state)
    metrics = jax.vmap(functools.partial(measure, problem))(both)
    before, after = (jax.tree.map(lambda x, i=i: x[i], metrics) for i in (0, 1))
    moved, leaning = shift(problem, given, state), lean(problem.targets, problem.floor, given, state)
    return RefineResult(
        params=state.params,
        pose=state.pose,
        before=before,
        after=after,
        steps=total,
        converged=converged,
        moved=moved,
        tilt=leaning,
        verdict=judge(after.max_penetration, after.contact, moved, leaning),
    )


@functools.partial(jax.jit, static_argnums=3)
def _problems(
    body: BodyField,
    object: ObjectField,
    targets: ContactTargets,
    config: RefineConfig,
    floor: Floor | None,
    given: State,
) -> RefineProblem:
    """`_problem` of a batch; the body and the object, one or stacked, are put in as they are."""
    each = jax.vmap(
        lambda t, f, g: _problem(body, object, t, config, f, g).replace(body=None, object=None, inverse_width=None)
    )
    width = inverse_width(body.model, config, given.translation.dtype)
    return each(targets, floor, given).replace(body=body, object=object, inverse_width=width)


def inverse_width(model: BodyModel, config: RefineConfig, dtype: Any) -> jax.Array:
    """1 / width of each tangent coordinate, (D,)."""
    width = {g: 1.0 / getattr(config.width, g) for g in GROUPS}
    return jnp.asarray(spread_over_groups(model, width), dtype)


# The programs below take every number as an array: they compile once per batch size and kind of stage.


@functools.partial(Program, static_argnums=(3, 4))
def _begin(problem: RefineProblem, state: State, total: Any, over: RefineProblem, sizes: Sizes) -> Carry:
    return jax.vmap(functools.partial(begin, sizes=sizes), in_axes=(over, 0, 0))(problem, state, total)


@functools.partial(Program, static_argnums=(3, 4))
def _round(problem: RefineProblem, setting: Setting, carry: Carry, over: RefineProblem, sizes: Sizes) -> Carry:
    one = functools.partial(run_round, sizes=sizes)
    return jax.vmap(one, in_axes=(over, None, 0))(problem, setting, carry)


@functools.partial(Program, static_argnums=(5, 6))
def _finish(
    problem: RefineProblem,
    given: State,
    state: State,
    total: Any,
    converged: Any,
    over: RefineProblem,
    freeze: tuple[str, ...],
) -> RefineResult:
    one = functools.partial(_result, freeze=freeze)
    return jax.vmap(lambda p, g, s, t, c: one(p, g, state=s, total=t, converged=c), in_axes=(over, 0, 0, 0, 0))(
        problem, given, state, total, converged
    )


_shortfall = jax.jit(shortfall, static_argnums=1)
_badness = jax.jit(badness, static_argnums=2)


@functools.partial(Program, static_argnums=(1, 2))
def _screen(problem: RefineProblem, over: RefineProblem, config: RefineConfig) -> State:
    return jax.vmap(functools.partial(ranked_starts, config=config), in_axes=(over,))(problem)


def _check(model: BodyModel, params: BodyParams, pose: RigidPose) -> tuple[BodyParams, RigidPose, int]:
    """Both as arrays of one dtype, with one leading axis each."""
    dtype = jnp.result_type(float) if jnp.asarray(params.translation).dtype == jnp.float64 else jnp.float32
    params, pose = jax.tree.map(lambda x: jnp.asarray(x, dtype), (params, pose))
    batch = params.translation.shape[0] if params.translation.ndim == 2 else -1
    wanted = {
        "rotations": (params.rotations, (batch, model.num_joints, 3, 3)),
        "betas": (params.betas, (batch, model.num_betas)),
        "translation": (params.translation, (batch, 3)),
        "object rotation": (pose.rotation, (batch, 3, 3)),
        "object translation": (pose.translation, (batch, 3)),
        "object scale": (pose.scale, (batch,)),
    }
    for name, (array, shape) in wanted.items():
        if array.shape != shape:
            raise InputError(
                f"{name} has shape {array.shape}, wanted {shape if batch >= 0 else 'one leading axis'}; body and "
                "object need the same leading axis, of length 1 for a single interaction"
            )
        if not np.isfinite(np.asarray(array)).all():
            raise InputError(f"{name} holds values that are not finite; leave out or mend the broken estimate")
    if batch == 0:
        raise InputError("the batch is empty; give at least one interaction")
    return params, pose, batch


def _one_per_sample(template: ObjectTemplate | Sequence[ObjectTemplate], batch: int) -> list[ObjectTemplate]:
    if isinstance(template, ObjectTemplate):
        return [template] * batch
    templates = list(template)
    if len(templates) != batch:
        raise InputError(f"got {len(templates)} templates for {batch} interactions; give one, or one for each")
    return templates


def _floor_per_sample(floor: Floor | None, batch: int, dtype: Any) -> Floor | None:
    if floor is None:
        return None
    gravity, level = np.asarray(floor.gravity, dtype), np.asarray(floor.level, dtype)
    return Floor(gravity=np.broadcast_to(gravity, (batch, 3)), level=np.broadcast_to(level, (batch,)))


def _targets(
    model: BodyModel, vertices: jax.Array, templates: list[ObjectTemplate], pose: RigidPose, contacts: Any
) -> tuple[tuple[tuple[str, ...], ...], ContactTargets]:
    """Names of the parts, and targets without a floor, for each interaction."""
    batch = len(templates)
    if isinstance(contacts, ContactTargets):
        return tuple(("",) * contacts.parts.shape[1] for _ in range(batch)), contacts
    points = np.stack([np.asarray(t.points, vertices.dtype) for t in templates])
    if isinstance(contacts, Contacts):
        return (("contact",),) * batch, probability_targets(contacts, points, model)
    if contacts is None:
        one, vertices = [_rows(pose, b) for b in range(batch)], np.asarray(vertices)
        parts = [propose_parts(model, vertices[b], templates[b], one[b]) for b in range(batch)]
    elif all(isinstance(name, str) for name in contacts):
        parts = [tuple(contacts)] * batch
    else:
        parts = [tuple(p) for p in contacts]
        if len(parts) != batch:
            raise InputError(f"got contact parts for {len(parts)} interactions, the batch has {batch}")
    rows = max([len(p) for p in parts] + [1])
    names = tuple(p + ("",) * (rows - len(p)) for p in parts)
    return names, part_targets(model, parts, points.shape[1])


def _place_regions(
    names: tuple[tuple[str, ...], ...],
    targets: ContactTargets,
    regions: Sequence[Mapping[str, ObjectRegion]],
    templates: list[ObjectTemplate],
) -> tuple[tuple[tuple[str, ...], ...], ContactTargets]:
    """Names that tell the regions, and targets with them."""
    if len(regions) != len(names):
        raise InputError(f"got regions for {len(regions)} interactions, the batch has {len(names)}")
    for parts, own in zip(names, regions):
        lost = [part for part in own if part not in parts]
        if lost:
            asked = ", ".join(part for part in parts if part) or "none"
            raise InputError(
                f"a region is given for {', '.join(lost)}, which is not asked to touch; asked are: {asked}"
            )
    rows = [[own.get(part) for part in parts] for parts, own in zip(names, regions)]
    targets = touch_within(targets, rows, [template.sdf for template in templates])
    told = tuple(
        tuple(part if region is None else f"{part}: {region.name}" for part, region in zip(parts, row))
        for parts, row in zip(names, rows)
    )
    return told, targets
