"""How often refinement succeeds on real furniture and things.

    python -m hoijax.experiments.real_objects.run --archive x/usr/share/sweethome3d/furniture/BlendSwap-CC-0.sh3f

Each case (`cases`) starts from a rough placement (`starts`), perturbed like the README's table: body and object each
shifted by 10 cm and turned by 15 degrees, every joint by 5 degrees, root mean square. A result is a success when the
deepest penetration, both ways, is below 1 cm and every asked part within 2 cm, measured by SciPy and trimesh
(`measure`), and it is counted apart whether what stands on the floor was tipped by more than 20 degrees.

Writes `docs/results/real_objects.{json,md}`. Objects and finished cases are kept in `runs/real_objects`, so that a run
that was stopped goes on. Two CPU cores: about an hour, half of it for distance grids.
Expected: docs/results/real_objects.md.
"""

import dataclasses
import json
import pathlib
import pickle
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import trimesh
import tyro

from hoijax.body_models import BodyModel, contact_regions, free_body, pose_body_compiled
from hoijax.data.objects.real import FURNITURE, load_furniture, load_packaged, read_catalogue
from hoijax.experiments.real_objects.cases import CASES, Case
from hoijax.experiments.real_objects.measure import closed_parts, measure, surface_of
from hoijax.experiments.real_objects.starts import body_of, start_of
from hoijax.experiments.real_objects.tables import markdown
from hoijax.experiments.refine_stats import Perturbation, perturb
from hoijax.geometry import Mesh, transform_points
from hoijax.interaction import ObjectTemplate, make_solid_template
from hoijax.io import value_digest, write_json, write_text
from hoijax.optim.gradient import Floor, RefineConfig, Starts, body_field, refine_batch

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETTINGS = RefineConfig(starts=Starts(tries=1), upright=True)
STANDING = ("sit", "sit_on", "lie", "lean", "push", "stand_on")


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    archive: pathlib.Path = FURNITURE
    """The furniture archive."""
    split: str = "all"
    """dev, test or all."""
    only: tuple[str, ...] = ()
    """Names of cases; none: those of the split."""
    samples: int = 2
    """Perturbations of each case."""
    batch: int = 16
    """Interactions at a time."""
    seed: int = 0
    """Of the perturbations."""
    lod: str = "light"
    """Level of detail of the free body."""
    resolution: int = 96
    """Samples of the objects' distance grids along their longest side."""
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)
    """How wrong the starts are."""
    out: pathlib.Path = ROOT / "docs" / "results"
    """Where the tables go."""
    work: pathlib.Path = ROOT / "runs" / "real_objects"
    """Where objects and finished cases are kept."""


def load_mesh(case: Case, config: Config, catalogue: dict[int, Any]) -> Mesh:
    """The object of a case, on the floor above the origin, decimated to what a distance grid takes."""
    if case.number is not None:
        mesh = load_furniture(catalogue[case.number], config.archive)
    else:
        package, path, longest, z_up = case.packaged
        mesh = load_packaged(package, path, longest, z_up=z_up)
    if len(mesh.faces) > 20_000:
        import fast_simplification

        vertices, faces = fast_simplification.simplify(mesh.vertices, mesh.faces, target_count=20_000)
        mesh = Mesh(vertices=np.asarray(vertices, np.float32), faces=np.asarray(faces, np.int32))
    return mesh


def prepare(case: Case, config: Config, catalogue: dict[int, Any]) -> tuple[Mesh, ObjectTemplate, list[str]]:
    """Mesh, template and notes of a case's object, kept on disk."""
    path = config.work / "objects" / f"{case.object}_{config.resolution}.pkl"
    if path.is_file():
        return pickle.loads(path.read_bytes())
    mesh = load_mesh(case, config, catalogue)
    template, report = make_solid_template(mesh, resolution=config.resolution)
    kept = (mesh, jax.tree.map(np.asarray, template), report.notes())
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_bytes(pickle.dumps(kept))
    partial.replace(path)
    return kept


def make_starts(case: Case, mesh: Mesh, model: BodyModel, config: Config) -> tuple[Any, Any]:
    """The perturbed starts of a case, with a leading axis."""
    params = jax.tree.map(jnp.asarray, body_of(model, case))
    params, pose = start_of(model, case, mesh, params, np.asarray(pose_body_compiled(model, params).vertices))
    params, pose = (jax.tree.map(jnp.asarray, x) for x in (params, pose))
    key = jax.random.fold_in(jax.random.key(config.seed), CASES.index(case))
    return perturb(key, params, pose, config.samples, config.perturbation)


def run_batch(rows: list[dict[str, Any]], model: BodyModel, field: Any, config: Config) -> list[dict[str, Any]]:
    """Refines and measures some starts; the batch is filled up, so that all share one compilation."""
    regions, faces = contact_regions(model), np.asarray(model.faces)
    filled = rows + [rows[-1]] * (config.batch - len(rows))
    params, pose = (jax.tree.map(lambda *x: jnp.stack(x), *(r[key] for r in filled)) for key in ("params", "pose"))
    began = time.perf_counter()
    result = refine_batch(
        model, params, [r["template"] for r in filled], pose, [r["case"].parts for r in filled], SETTINGS,
        floor=Floor.at(0.0), body=field,
    )  # fmt: skip
    after, before = (
        np.asarray(pose_body_compiled(model, result.params).vertices),
        np.asarray(pose_body_compiled(model, params).vertices),
    )
    seconds = (time.perf_counter() - began) / len(rows)
    out = []
    for b, row in enumerate(rows):
        mesh, found = row["mesh"], jax.tree.map(lambda x, b=b: np.asarray(x[b], np.float64), result.pose)
        local = (after[b] - found.translation) @ found.rotation / found.scale
        body = trimesh.Trimesh(local, faces, process=False)
        got = measure(body, row["points"], row["parts"], regions, row["case"].parts)
        places = [
            np.asarray(transform_points(jax.tree.map(lambda x, b=b: x[b], p), mesh.vertices))
            for p in (pose, result.pose)
        ]
        tilt = float(np.degrees(np.arccos(np.clip(found.rotation[1, 1], -1, 1))))
        out.append({
            "case": row["case"].name, "sample": row["sample"], "penetration": got.penetration,
            "body_in_object": got.body_in_object, "object_in_body": got.object_in_body, "contact": got.contact,
            "refiner_penetration": float(result.after.max_penetration[b]),
            "body_moved": float(np.linalg.norm(after[b] - before[b], axis=-1).mean()),
            "object_moved": float(np.linalg.norm(places[1] - places[0], axis=-1).mean()),
            "tilt": tilt if row["case"].action in STANDING else 0.0,
            "steps": int(result.steps[b]), "seconds": seconds,
            "body": after[b].astype(np.float16).tolist() if row["sample"] == 0 else None,
            "pose": [found.rotation.tolist(), found.translation.tolist()],
        })  # fmt: skip
    return out


def main(config: Config) -> None:
    """Runs what is not finished and writes the tables."""
    catalogue = read_catalogue(config.archive)
    model = free_body(config.lod)
    field = body_field(model)
    wanted = [
        c
        for c in CASES
        if (c.name in config.only if config.only else config.split in ("all", "dev" if c.dev else "test"))
    ]
    settings = {"seed": config.seed, "lod": config.lod, "resolution": config.resolution, "samples": config.samples}
    settings |= {"refiner": dataclasses.asdict(SETTINGS), "perturbation": dataclasses.asdict(config.perturbation)}
    waiting: list[dict[str, Any]] = []
    results: dict[str, list[dict[str, Any]]] = {}

    def finish(rows: list[dict[str, Any]]) -> None:
        for got in run_batch(rows, model, field, config):
            kept = results.setdefault(got["case"], [])
            kept.append(got)
            print({k: v for k, v in got.items() if k not in ("body", "pose")}, flush=True)
            if len(kept) == config.samples:
                write_json(config.work / f"{got['case']}.json", {"key": keys[got["case"]], "rows": kept})

    keys = {case.name: value_digest(settings | dataclasses.asdict(case)) for case in wanted}
    for case in wanted:
        path = config.work / f"{case.name}.json"
        if path.is_file() and (kept := json.loads(path.read_text()))["key"] == keys[case.name]:
            results[case.name] = kept["rows"]
            continue
        mesh, template, _ = prepare(case, config, catalogue)
        params, pose = make_starts(case, mesh, model, config)
        points, parts = surface_of(mesh), closed_parts(mesh)
        for i in range(config.samples):
            one = jax.tree.map(lambda x, i=i: x[i], (params, pose))
            waiting.append({
                "case": case, "sample": i, "params": one[0], "pose": one[1], "template": template, "mesh": mesh,
                "points": points, "parts": parts,
            })  # fmt: skip
        while len(waiting) >= config.batch:
            finish(waiting[: config.batch])
            waiting = waiting[config.batch :]
    if waiting:
        finish(waiting)
    rows = [{k: v for k, v in r.items() if k != "body"} for c in wanted for r in results[c.name]]
    write_json(config.out / "real_objects.json", {"settings": settings, "jax": jax.__version__, "rows": rows})
    write_text(config.out / "real_objects.md", markdown(rows, config.samples))


if __name__ == "__main__":
    main(tyro.cli(Config))
