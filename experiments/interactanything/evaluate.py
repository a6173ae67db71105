"""The fifty prompts, or other sentences and meshes, end to end with nothing but what ships.

A candidate is valid when every asked part is within 2 cm of its place, nothing is deeper than 1 cm, the object is where
the relations say, and the support or the grasp holds in the physics judge. A prompt counts by its best candidate.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.body_models import free_body
from hoijax.geometry import Mesh
from hoijax.interaction import THRESHOLDS, make_solid_template
from hoijax.systems.interactanything import Candidate, Prepared, SynthesisConfig, physics, prepare, rank, run
from hoijax.systems.interactanything.relations import Relations, reason
from hoijax.systems.interactanything.starts import Start

PROMPTS = pathlib.Path(__file__).with_name("prompts.json")
"""Noun, sentence."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One sentence and its mesh."""

    name: str
    sentence: str
    mesh: Callable[[], Mesh]


def prompt_cases() -> list[Case]:
    """The fifty prompts on procedural shapes."""
    from hoijax.experiments.interactanything.shapes import SHAPES

    rows = json.loads(PROMPTS.read_text())
    return [Case(noun, sentence, lambda noun=noun: SHAPES[noun]().mesh) for noun, sentence in rows]


def in_place(relations: Relations, candidate: Candidate, vertices: np.ndarray) -> bool:
    """Whether the object is where the relations say: on its side of the person, on the floor if it stands there.

    Args:
      relations: of the sentence.
      candidate: an interaction.
      vertices: of the object, world.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    frame = np.asarray(candidate.params.rotations)[0]
    ahead = frame[:, 2] * [1, 0, 1] if abs(frame[1, 2]) < 0.8 else np.array([0.0, 0.0, 1.0])
    ahead = ahead / max(np.linalg.norm(ahead), 1e-9)
    left = np.cross([0.0, 1.0, 0.0], ahead)
    from_body = (low + high) / 2 - candidate.joints[0]
    side = relations.object_side_of_human
    near = vertices[np.argmin(np.linalg.norm(vertices - candidate.joints[0], axis=1))] - candidate.joints[0]
    fits = {
        "front": max(from_body @ ahead, near @ ahead) > 0,
        "back": min(from_body @ ahead, near @ ahead) < 0,
        "left": max(from_body @ left, near @ left) > 0,
        "right": min(from_body @ left, near @ left) < 0,
        "below": low[1] < candidate.joints[0][1],
        "above": high[1] > candidate.joints[12][1],
    }.get(side, True)
    return bool(fits and (relations.standing != "floor" or abs(low[1]) < 0.03))


def evaluate_case(
    case: Case,
    model: Any,
    config: SynthesisConfig,
    *,
    kept: dict[Any, Any],
    judged: bool = True,
    relations: Callable[[str, Mesh], Relations] = reason,
    starts: list[Start] | None = None,
) -> tuple[dict[str, Any], Prepared, list[Candidate]]:
    """Runs one case.

    Args:
      case: what to run.
      model: the body.
      config: of the synthesis.
      kept: templates and convex pieces of the cases' meshes, so that those of one name are made once.
      judged: whether physics judges.
      relations: who says what a sentence and a mesh mean.
      starts: given ones instead of the bank's.

    Returns:
      Its row, what was prepared, the candidates, best first.
    """
    mesh = case.mesh()
    began = time.perf_counter()
    found = relations(case.sentence, mesh)
    sized = Mesh((np.asarray(mesh.vertices) * found.mesh_scale).astype(np.float32), np.asarray(mesh.faces))
    shape = (case.name, found.mesh_scale)
    if shape not in kept:
        kept[shape] = make_solid_template(sized)[0]
    prepared = prepare(model, kept[shape], found)
    result = run(prepared, config, starts)
    verdicts: list[Any] = [None] * len(result.candidates)
    if judged and physics.available():
        if ("pieces", *shape) not in kept:
            kept[("pieces", *shape)] = physics.convex_pieces(prepared.template.mesh, prepared.template.sdf)
        verdicts = [physics.judge_candidate(prepared, c, kept[("pieces", *shape)]) for c in result.candidates]
    ranked = rank(result.candidates, verdicts)
    rows = []
    for candidate, verdict in ranked:
        place = np.asarray(sized.vertices) @ np.asarray(candidate.pose.rotation).T + np.asarray(
            candidate.pose.translation
        )
        checks = {
            "parts": max(candidate.contact.values(), default=0.0) < THRESHOLDS.far,
            "depth": candidate.max_penetration < THRESHOLDS.deep,
            "place": in_place(found, candidate, place),
            "physics": verdict is None or verdict.holds,
        }
        judged_as = None if verdict is None else dataclasses.asdict(verdict)
        measures = {"contact": candidate.contact, "depth": candidate.max_penetration, "physics": judged_as}
        rows.append({"checks": checks, "valid": all(checks.values()), **measures})
    row = {
        "name": case.name, "sentence": case.sentence, "script": ranked[0][0].start.script,
        "seconds": round(time.perf_counter() - began, 2), "candidates": rows, **rows[0],
    }  # fmt: skip
    return row, prepared, [c for c, _ in ranked]


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Shares of prompts whose best candidate is valid and passes each check."""
    count = max(len(rows), 1)
    return {
        "prompts": len(rows),
        "valid": sum(r["valid"] for r in rows),
        **{k: sum(r["checks"][k] for r in rows) for k in ("parts", "depth", "place", "physics")},
        "candidates_valid": sum(c["valid"] for r in rows for c in r["candidates"])
        / max(sum(len(r["candidates"]) for r in rows), 1),
        "share": sum(r["valid"] for r in rows) / count,
        "median_seconds": float(np.median([r["seconds"] for r in rows])) if rows else None,
    }


def evaluate(
    cases: Sequence[Case],
    config: SynthesisConfig,
    *,
    lod: str = "light",
    picture: Callable | None = None,
    tell: Callable[[str], None] = print,
    kept: dict[Any, Any] | None = None,
    **how: Any,
) -> list[dict[str, Any]]:
    """Runs cases one after the other.

    Args:
      cases: what to run.
      config: of the synthesis.
      lod: of the body.
      picture: called with the row, what was prepared and the candidates of each.
      tell: told one line a case.
      kept: see `evaluate_case`; None: of this call alone.
      **how: to `evaluate_case`.
    """
    model, rows, kept = free_body(lod), [], {} if kept is None else kept
    for case in cases:
        row, prepared, candidates = evaluate_case(case, model, config, kept=kept, **how)
        rows.append(row)
        tell(line_of(row))
        if picture is not None:
            picture(row, prepared, candidates)
    return rows


def line_of(row: Mapping[str, Any]) -> str:
    """One case in a line."""
    wrong = ", ".join(k for k, v in row["checks"].items() if not v)
    parts = ", ".join(f"{k} {1000 * v:.0f}" for k, v in row["contact"].items())
    valid = f"{sum(c['valid'] for c in row['candidates'])} of {len(row['candidates'])} valid"
    moves = "" if row["physics"] is None else f"; moves {100 * row['physics']['displacement']:.1f} cm"
    told = f"{row['sentence']} ({row['script']}, {row['seconds']:.0f} s, {valid}): {parts or 'no parts'} mm away; "
    told += f"{1000 * row['depth']:.0f} mm deep{moves}{'; wrong: ' + wrong if wrong else ''}"
    return f"{'ok ' if row['valid'] else 'BAD'} {told}"
