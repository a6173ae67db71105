"""What the candidates of a result look like, for the live page: before and after, frame by frame."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from hoijax.body_models import BodyModel
from hoijax.body_models.host import host_vertices
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.io import LoadedMesh, read_parameters
from hoijax.jobs.bodies import BodyChoice, RefinerStart, load_body, start_of
from hoijax.jobs.directions import turn_between
from hoijax.jobs.plans import Plan, row_name
from hoijax.jobs.refinement_files import OBJECT_COLOR
from hoijax.jobs.requests import RefineRequest, read_estimates
from hoijax.viz import MovingMesh, NamedMesh, read_scene
from hoijax.viz.results import Candidate, Found
from hoijax.viz.shown import Shown, load_scene, still

SHOWN = 200
"""Most frames of a sequence on the page."""
LODS = ("default", "render", "light", "test")

RequestOf = Callable[[Found], RefineRequest]
"""What a result's command asked for, by its record; an `InputError` says why that is not known."""


def load_candidate(found: Found, candidate: Candidate, request_of: RequestOf) -> Shown:
    """Reads what a candidate looks like.

    Args:
      found: its result.
      candidate: which.
      request_of: tells what the result's command asked for.

    Raises:
      InputError: it cannot be shown.
    """
    if found.kind == "sequence":
        return _sequence(found, candidate, request_of)
    if found.kind == "generate":
        return _generated(found, candidate)
    if found.kind != "refine" or not found.record:
        return load_scene(found, candidate)
    after = read_scene(candidate.scene)
    try:
        request = request_of(found)
        model, mesh, plans = read_estimates(request)
        plan, rows = rows_of(found, plans)
        turn = turn_between(request.up, (0.0, 1.0, 0.0))
        before = moving(model, [plan.starts[rows[0]]], mesh, turn)
    except InputError as error:
        turn = turn_of(found)
        return Shown(still(after, turn), turn=turn, notes=(f"No state before: {error}.",))
    return Shown(still(after, turn), before, turn=turn)


def turn_of(found: Found) -> np.ndarray:
    """`(3, 3)` from a result's coordinates to those with y up, by its record."""
    from hoijax.jobs.directions import parse_direction

    up = found.options.get("up")
    try:
        return turn_between(parse_direction(up, "--up") if isinstance(up, str) else (0.0, 1.0, 0.0), (0.0, 1.0, 0.0))
    except InputError:
        return np.eye(3)


def rows_of(found: Found, plans: Sequence[Plan]) -> tuple[Plan, list[int]]:
    """The plan that a result came from, and its rows: of a sequence all, else the one of its name.

    Raises:
      InputError: no row of the estimates has the result's name.
    """
    name = found.record.get("name")
    if found.kind == "sequence":
        plan = next((p for p in plans if name in (p.name, p.source.path.stem)), plans[0] if len(plans) == 1 else None)
        if plan is not None:
            return plan, sorted(plan.starts)
    for plan in plans:
        for row in plan.starts:
            if row_name(plan.name, plan.source, row) == name:
                return plan, [row]
    # A pair's record has the pair's name, with the row behind it where its file has several.
    if len(plans) == 1 and found.kind != "sequence":
        last = str(name).rpartition("/")[2]
        row = 0 if plans[0].source.count == 1 else int(last) if last.isdecimal() else -1
        if row in plans[0].starts:
            return plans[0], [row]
    raise InputError(f"the estimates have no row named {name}")


def moving(
    model: BodyModel, starts: Sequence[RefinerStart], mesh: LoadedMesh | None, turn: np.ndarray
) -> list[MovingMesh]:
    """A body and its object, frame by frame.

    Args:
      model: the body.
      starts: T frames.
      mesh: the object; None: it is not known.
      turn: `(3, 3)` to the page's coordinates.
    """
    body = np.stack([_vertices(model, start) @ turn.T for start in starts]).astype(np.float32)
    colors = None if model.colors is None else np.asarray(model.colors)
    meshes = [MovingMesh(NamedMesh("body", body[0], np.asarray(model.faces), colors), points=body)]
    if mesh is None:
        return meshes
    rigid = []
    for start in starts:
        scale, rotation = float(start.pose.scale), np.asarray(start.pose.rotation, np.float64)
        place = np.asarray(start.pose.translation, np.float64)
        rigid.append(np.concatenate([turn @ (scale * rotation), (turn @ place)[:, None]], axis=1))
    color = OBJECT_COLOR if mesh.colors is None else mesh.colors
    thing = NamedMesh("object", mesh.vertices, mesh.faces, color)
    return [*meshes, MovingMesh(thing, rigid=np.stack(rigid))]


def _vertices(model: BodyModel, start: RefinerStart) -> np.ndarray:
    params = start.params
    return host_vertices(
        model, *(np.asarray(x, np.float64) for x in (params.rotations, params.betas, params.translation))
    )


def _sequence(found: Found, candidate: Candidate, request_of: RequestOf) -> Shown:
    """A sequence by its numbers: its scene's file has the rest pose on a skeleton."""
    file = read_parameters(candidate.parameters, source="hoijax", keep_broken=True)
    rows, notes = [row for row in range(file.count) if row not in file.broken], []
    try:
        request = request_of(found)
        model, mesh, plans = read_estimates(request)
        plan, usable = rows_of(found, plans)
        turn, rows = turn_between(request.up, (0.0, 1.0, 0.0)), [row for row in rows if row in usable]
    except InputError as error:
        notes.append(f"No state before, no object: {error}.")
        model, mesh, plan, turn = _own_body(found, file), None, None, turn_of(found)
    if not rows:
        raise InputError(f"{candidate.parameters} has no frame that can be shown")
    told = found.record["sequence"].get("fps")
    fps = float(told) if isinstance(told, int | float) and told > 0 else file.fps or 30.0
    picked = [rows[k] for k in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), SHOWN)).round().astype(int))]
    if len(picked) < len(rows):
        notes.append(f"{len(picked)} of {len(rows)} frames are shown.")
    frames = file.frames if plan is None else plan.source.frames
    numbers = np.asarray(picked if frames is None else np.asarray(frames)[picked], np.float64)
    after = moving(model, [start_of(model, file.item(row), found.name) for row in picked], mesh, turn)
    before = () if plan is None else moving(model, [plan.starts[row] for row in picked], mesh, turn)
    return Shown(after, before, (numbers - numbers[0]) / fps, turn, tuple(notes))


def _own_body(found: Found, file) -> BodyModel:
    """The free body in the record's level of detail, for results whose command cannot be read again."""
    if found.options.get("body_model") is not None:
        raise InputError(f"{found.name}: its body {found.options['body_model']} cannot be read again")
    return load_body(BodyChoice(lod=_lod(found)), [file])[0]


def _lod(found: Found) -> str:
    lod = found.options.get("lod")
    return lod if lod in LODS else "default"


def _generated(found: Found, candidate: Candidate) -> Shown:
    """A candidate of `generate`: the best dressed, the others as plain bodies with the same object."""
    first = load_scene(found, candidate)
    if candidate.name == "1":
        return first
    best, own = (read_parameters(c.parameters, source="hoijax") for c in (found.candidates[0], candidate))
    model, _ = load_body(BodyChoice(lod=_lod(found)), [own])
    was, now = (start_of(model, file.item(0), found.name) for file in (best, own))
    things = [mesh for mesh in first.scene("after", 0) if mesh.name.startswith("object")]
    moved = [dataclasses.replace(mesh, vertices=carry(mesh.vertices, was.pose, now.pose)) for mesh in things]
    return Shown([*moving(model, [now], None, np.eye(3)), *still(moved)])


def carry(points: np.ndarray, was: RigidPose, now: RigidPose) -> np.ndarray:
    """Points `(N, 3)` of an object in one pose as they are in another, metres."""
    own = (points - np.asarray(was.translation)) @ np.asarray(was.rotation) / float(was.scale)
    return float(now.scale) * own @ np.asarray(now.rotation).T + np.asarray(now.translation)
