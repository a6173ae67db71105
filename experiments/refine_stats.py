"""How often refinement succeeds: the demo's cases, and random perturbations of each.

    python -m hoijax.experiments.refine_stats --page

The reference of a case is its meant interaction (`demo_cases`), refined. It is perturbed at random and refined again; a
result is a success when no body vertex is deeper than 1 cm in the object and no object point deeper than 1 cm in the
body, and when every asked-for part is within 2 cm of the object. Everything is measured by exact distances and winding
numbers on all vertices (`hoijax.metrics`), never by the optimiser's own grid or points.

Writes `refine.json` and the table `refine.md` to `--out`; with `--page` the short table between the markers of
docs/measured.md too. Finished cases are kept in `runs/refine_stats` and not run again, so that a
stopped run goes on and the tables can be printed again at once. Two CPU cores: about half an hour.
Expected: at least 95 % success in every case, the mean move of the body below the mean size of its perturbation.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from scipy.spatial import cKDTree

from hoijax.body_models import BodyModel, BodyParams, contact_regions, free_body, pose_body_compiled
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, page, table, write_page
from hoijax.experiments.demo_cases import (
    CASES,
    DemoInteraction,
    as_arrays,
    build_object,
    find,
    intended_parameters,
    wrong,
)
from hoijax.geometry import Mesh, RigidPose, einsum, rotation_from_axis_angle, transform_points
from hoijax.interaction import make_template
from hoijax.io import value_digest, write_json, write_text
from hoijax.metrics import signed_distance_host
from hoijax.optim.fields import SDF_RESOLUTION, body_field
from hoijax.optim.gradient import Floor, RefineConfig, RefineResult, refine_batch

MARKERS = ("<!-- refine_stats: begin -->", "<!-- refine_stats: end -->")
DEEP, FAR = 0.01, 0.02  # metres: what a success may not exceed


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """Root-mean-square lengths of the vectors added to a reference, normally distributed in all directions."""

    shift: float = 0.1
    """Body and object are each shifted by this, metres."""
    turn: float = 15.0
    """Body (about its pelvis) and object (about its centre) are each turned by this, degrees."""
    joint: float = 5.0
    """Every joint of body and fingers is turned by this, degrees."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    cases: tuple[str, ...] = tuple(case.name for case in CASES)
    samples: int = 100
    batch: int = 50
    seed: int = 0
    steps: int | None = None
    perturbation: Perturbation = Perturbation()
    resolution: int = SDF_RESOLUTION
    """Samples of the objects' distance grids along their longest side."""
    out: pathlib.Path = RESULTS
    work: pathlib.Path = pathlib.Path("runs/refine_stats")
    """Where finished cases are kept."""
    redo: bool = False
    """Run finished cases again."""
    page: bool = False
    """Put the short table into docs/measured.md of the folder one works in."""


def perturb(
    key: jax.Array, params: BodyParams, pose: RigidPose, count: int, size: Perturbation
) -> tuple[BodyParams, RigidPose]:
    """`count` perturbed copies of one interaction."""
    keys = jax.random.split(key, 5)

    def vectors(key: jax.Array, shape: tuple[int, ...], size: float) -> jax.Array:
        return size / 3**0.5 * jax.random.normal(key, (*shape, 3))

    joints = params.rotations.shape[0]
    turn, joint = np.radians(size.turn), np.radians(size.joint)
    noise = rotation_from_axis_angle(vectors(keys[0], (count, joints - 1), joint))
    rotations = einsum("jik,bjkl->bjil", params.rotations[1:], noise)
    root = einsum("bij,jk->bik", rotation_from_axis_angle(vectors(keys[1], (count,), turn)), params.rotations[0])
    many = lambda x: jnp.broadcast_to(x, (count, *x.shape))  # noqa: E731
    return BodyParams(
        rotations=jnp.concatenate([root[:, None], rotations], axis=1),
        betas=many(params.betas),
        translation=many(params.translation) + vectors(keys[2], (count,), size.shift),
    ), RigidPose(
        rotation=einsum("bij,jk->bik", rotation_from_axis_angle(vectors(keys[3], (count,), turn)), pose.rotation),
        translation=many(pose.translation) + vectors(keys[4], (count,), size.shift),
        scale=many(pose.scale),
    )


def exact(body: Mesh, object: Mesh, regions: dict[str, np.ndarray], parts: tuple[str, ...]) -> dict[str, Any]:
    """Penetration both ways, and contact distances of parts, metres, from the meshes themselves."""
    into_object = signed_distance_host(body.vertices, object)
    # Object points: its vertices and 4,000 spread by area; those far from every body vertex are outside the body.
    rng = np.random.default_rng(0)
    corners = object.vertices[object.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    face = rng.choice(len(areas), 4000, p=areas / areas.sum())
    bary = rng.dirichlet(np.ones(3), 4000).astype(np.float32)
    points = np.concatenate([object.vertices, np.einsum("nk,nkc->nc", bary, corners[face])])
    points = points[cKDTree(body.vertices).query(points)[0] < 0.2]
    into_body = signed_distance_host(points, body) if len(points) else np.zeros(1)
    contact = {}
    for name in parts:
        distance = np.sort(np.abs(into_object[regions[name]]))
        contact[name] = float(distance[: -(-len(distance) // 10)].mean())
    return {
        "body_in_object": float(max(0.0, -into_object.min())),
        "object_in_body": float(max(0.0, -into_body.min())),
        "contact": contact,
        "floor": float(body.vertices[:, 1].min()),
    }


def run_case(
    case: DemoInteraction, config: Config, model: BodyModel, field: Any, regions: dict[str, np.ndarray]
) -> dict[str, Any]:
    """The demo's start and the perturbations of one case: one row per result."""
    obj = build_object(case)
    mesh = Mesh(vertices=obj.mesh.vertices.astype(np.float32), faces=obj.mesh.faces)
    template = make_template(mesh, resolution=config.resolution)
    settings = RefineConfig() if config.steps is None else RefineConfig().with_steps(config.steps)

    def refine(params: BodyParams, pose: RigidPose) -> RefineResult:
        return refine_batch(
            model, params, template, pose, case.contact, settings, floor=Floor.at(0.0), object_rests=case.rests,
            body=field,
        )  # fmt: skip

    def rows(params: BodyParams, pose: RigidPose, result: RefineResult) -> list[dict[str, Any]]:
        before, after = (np.asarray(pose_body_compiled(model, p).vertices) for p in (params, result.params))
        place = np.asarray(transform_points(result.pose, mesh.vertices[None]))
        was = np.asarray(transform_points(pose, mesh.vertices[None]))
        faces = np.asarray(model.faces)
        return [
            exact(Mesh(after[b], faces), Mesh(place[b], mesh.faces), regions, case.contact)
            | {
                "body_move": float(np.linalg.norm(after[b] - before[b], axis=-1).mean()),
                "object_move": float(np.linalg.norm(place[b] - was[b], axis=-1).mean()),
                "steps": int(result.steps[b]),
                "converged": bool(result.converged[b]),
            }
            for b in range(len(after))
        ]

    one = [
        jax.tree.map(lambda x: jnp.asarray(x)[None], as_arrays(model, v))
        for v in (intended_parameters(case), wrong(intended_parameters(case), case.start))
    ]
    reference = refine(*one[0])
    demo = rows(*one[1], refine(*one[1]))[0]
    params, pose = (jax.tree.map(lambda x: x[0], x) for x in (reference.params, reference.pose))
    key = jax.random.fold_in(jax.random.key(config.seed), CASES.index(case))
    starts = perturb(key, params, pose, config.samples, config.perturbation)
    meant_body = np.asarray(pose_body_compiled(model, reference.params).vertices)
    meant_object = np.asarray(transform_points(reference.pose, mesh.vertices[None]))
    results, seconds = [], 0.0
    for first in range(0, config.samples, config.batch):
        some = jax.tree.map(lambda x, i=first: x[i : i + config.batch], starts)
        began = time.perf_counter()
        result = jax.block_until_ready(refine(*some))
        seconds += time.perf_counter() - began
        new = rows(*some, result)
        body_size = np.linalg.norm(np.asarray(pose_body_compiled(model, some[0]).vertices) - meant_body, axis=-1).mean(
            axis=-1
        )
        placed = np.asarray(transform_points(some[1], mesh.vertices[None]))
        object_size = np.linalg.norm(placed - meant_object, axis=-1).mean(axis=-1)
        results += [
            r | {"body_size": float(b), "object_size": float(o)} for r, b, o in zip(new, body_size, object_size)
        ]
    return {"case": case.name, "title": case.title, "demo": demo, "seconds": seconds, "rows": results}


def is_success(row: dict[str, Any]) -> bool:
    """Whether a result has no deep penetration and every asked-for contact."""
    deepest = max(row["body_in_object"], row["object_in_body"])
    return deepest < DEEP and max(row["contact"].values()) < FAR


def summary(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per case, centimetres where not said otherwise."""
    table = []
    for case in cases:
        rows = case["rows"]
        deep = np.array([max(r["body_in_object"], r["object_in_body"]) for r in rows])
        far = np.array([max(r["contact"].values()) for r in rows])
        table.append({
            "case": case["title"],
            "demo": is_success(case["demo"]),
            "success": float(np.mean([is_success(r) for r in rows])),
            "shallow": float(np.mean(deep < DEEP)),
            "touching": float(np.mean(far < FAR)),
            "penetration_median": 100 * float(np.median(deep)),
            "penetration_95": 100 * float(np.quantile(deep, 0.95)),
            "contact_median": 100 * float(np.median(far)),
            "contact_95": 100 * float(np.quantile(far, 0.95)),
            **{
                key: 100 * float(np.mean([r[key] for r in rows]))
                for key in ("body_move", "body_size", "object_move", "object_size")
            },
            "steps": float(np.mean([r["steps"] for r in rows])),
        })  # fmt: skip
    return table


def markdown(result: dict[str, Any]) -> str:
    """The long table, a page of its own."""
    config, rows = result["config"], result["summary"]
    size = config["perturbation"]

    def cells(r: dict[str, Any]) -> list[str]:
        return [
            r["case"], "yes" if r["demo"] else "no", f"{100 * r['success']:.0f} %",
            f"{r['penetration_median']:.2f}, {r['penetration_95']:.2f}",
            f"{r['contact_median']:.2f}, {r['contact_95']:.2f}",
            f"{r['body_move']:.1f}", f"{r['body_size']:.1f}", f"{r['steps']:.0f}",
        ]  # fmt: skip

    total = float(np.mean([r["success"] for r in rows]))
    return page(
        "Refinement of perturbed interactions",
        f"Made by `python -m hoijax.experiments.refine_stats`: {config['samples']} random perturbations of each "
        "case,\nnormally distributed: body and object are each shifted by "
        f"{100 * size['shift']:.0f} cm and turned by {size['turn']:.0f}\n"
        f"degrees, every joint by {size['joint']:.0f} degrees (root mean square). Success: deepest penetration, both "
        "ways,\nbelow 1 cm and every asked-for part within 2 cm (mean over its nearest tenth), by exact distances on "
        "all\nvertices. Lengths in centimetres.",
        table(
            ["case", "demo", "success", "deepest penetration: median, 95 %", "contact distance: median, 95 %",
             "body moved", "body was moved", "steps"],
            [*map(cells, rows), ["**all**", "", f"**{100 * total:.1f} %**", "", "", "", "", ""]],
        ),
    )  # fmt: skip


def settings_of(config: Config) -> dict[str, Any]:
    """What the numbers depend on, besides the code."""
    kept = ("samples", "batch", "seed", "steps", "resolution")
    settings = {name: getattr(config, name) for name in kept}
    more = {"perturbation": config.perturbation, "refiner": RefineConfig()}
    return settings | {name: dataclasses.asdict(value) for name, value in more.items()}


def short_table(rows: list[dict[str, Any]], config: Config) -> str:
    """The table of docs/measured.md, with its markers and the command that prints it again."""
    p = config.perturbation
    cells = [
        [r["case"], f"{100 * r['success']:.0f} %", f"{r['penetration_95']:.2f}", f"{r['contact_95']:.2f}",
         f"{r['body_move']:.1f}", f"{r['body_size']:.1f}"]
        for r in rows
    ]  # fmt: skip
    head = ["case", "success", "deepest penetration (95 %)", "contact distance (95 %)", "body moved"]
    lines = [
        MARKERS[0],
        f"{config.samples} random perturbations of each case of the demo (body and object each shifted by",
        f"{100 * p.shift:.0f} cm and turned by {p.turn:.0f} degrees, every joint by {p.joint:.0f} degrees; root mean",
        "square), refined. Success: deepest penetration, both ways, below 1 cm and every asked-for part within 2 cm.",
        "Centimetres; exact distances on all vertices, not the refiner's own.",
        "",
        table([*head, "body was moved by"], cells),
        "",
        "`python -m hoijax.experiments.refine_stats --page` makes it again.",
        MARKERS[1],
    ]
    return "\n".join(lines)


def into_page(page: str, table: str) -> str:
    """The page with the text between the markers replaced.

    Raises:
      ValueError: the markers are not there, once each and in order.
    """
    begin, rest = page.split(MARKERS[0])
    old, end = rest.split(MARKERS[1])
    del old
    return begin + table + end


def load_or_refine(
    case: DemoInteraction, config: Config, run: Callable[[DemoInteraction], dict[str, Any]]
) -> dict[str, Any]:
    """The result of a case: kept from an earlier run with the same settings, or new."""
    path, key = config.work / f"{case.name}.json", value_digest(settings_of(config) | dataclasses.asdict(case))
    if path.is_file() and not config.redo:
        kept = json.loads(path.read_text("utf-8"))
        if kept["key"] == key:
            return kept["result"]
    result = run(case)
    config.work.mkdir(parents=True, exist_ok=True)
    write_json(path, {"key": key, "result": result})
    return result


def main(config: Config) -> dict[str, Any]:
    """Runs the cases and writes the results."""
    model = free_body()
    field, regions = body_field(model), contact_regions(model)
    cases = []
    for name in config.cases:
        cases.append(load_or_refine(find(name), config, lambda case: run_case(case, config, model, field, regions)))
        row = summary(cases[-1:])[0]
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}, flush=True)
    summary_table = summary(cases)
    result = {
        "config": settings_of(config), **software(), "summary": summary_table,
    }  # fmt: skip
    write_page(config.out, "refine", result, markdown(result))
    if config.page:
        page = pathlib.Path("docs/measured.md")
        write_text(page, into_page(page.read_text("utf-8"), short_table(summary_table, config)))
    return result


if __name__ == "__main__":
    main(tyro.cli(Config))
