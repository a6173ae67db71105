"""How often refinement succeeds on real furniture and things.

    python -m hoijax.experiments.real_objects.run --split all --out docs/results \\
        --archive x/usr/share/sweethome3d/furniture/BlendSwap-CC-0.sh3f

Each case (`cases`) starts from a rough placement (`starts`), perturbed as in docs/measured.md: body and object each
shifted by 10 cm and turned by 15 degrees, every joint by 5 degrees, root mean square. A result is a success when the
deepest penetration, both ways, is below 1 cm and every asked part within 2 cm, measured by SciPy and trimesh
(`measure`), and it is counted apart whether what stands on the floor was tipped by more than 20 degrees.

Writes `real_objects.{json,md}`, and with `--pictures` a sheet of all results. Objects and finished starts are kept in
`runs/real_objects`, so that a run that was stopped goes on. Two CPU cores: half an hour.
Expected: docs/results/real_objects.md.
"""

import dataclasses
import itertools
import json
import pathlib
import pickle
import time
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import trimesh
import tyro

from hoijax.body_models import BodyModel, contact_regions, free_body, pose_body_compiled
from hoijax.data.objects.real import FURNITURE, load_furniture, load_packaged, read_catalogue
from hoijax.errors import InputError
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, plain, write_page
from hoijax.experiments.real_objects.cases import CASES, Case
from hoijax.experiments.real_objects.measure import closed_parts, measure, surface_of
from hoijax.experiments.real_objects.pictures import sheet
from hoijax.experiments.real_objects.starts import body_of, start_of
from hoijax.experiments.real_objects.tables import markdown, short_table
from hoijax.experiments.refine_stats import Perturbation, perturb
from hoijax.geometry import Mesh, transform_points
from hoijax.interaction import ObjectTemplate, make_solid_template
from hoijax.io import value_digest, write_bytes, write_json, write_text
from hoijax.optim.fields import body_field
from hoijax.optim.gradient import Floor, RefineConfig, Starts, refine_batch

SETTINGS = RefineConfig(starts=Starts(tries=2), upright=True)
MARKERS = ("<!-- real_objects: begin -->", "<!-- real_objects: end -->")
STANDING = ("sit", "sit_on", "lie", "lean", "push", "stand_on")


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    archive: pathlib.Path = FURNITURE
    """The furniture archive."""
    split: Literal["dev", "test", "all"] = "dev"
    """Which half, or all (`hoijax.experiments.common.splits`)."""
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
    out: pathlib.Path | None = None
    """Where the tables go; without it the pages of results (`docs/results`), or with `only`, whose tables are of a few
    cases, the folder `work`."""
    work: pathlib.Path = pathlib.Path("runs/real_objects")
    """Where objects and finished starts are kept."""
    page: bool = False
    """Put the short table into docs/measured.md; not with `only`."""
    pictures: pathlib.Path | None = None
    """Where a sheet of all results goes, .jpg; none without it."""


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


def make_start(case: Case, sample: int, mesh: Mesh, model: BodyModel, config: Config) -> tuple[Any, Any]:
    """A perturbed start of a case."""
    params = jax.tree.map(jnp.asarray, body_of(model, case))
    params, pose = start_of(model, case, mesh, params, np.asarray(pose_body_compiled(model, params).vertices))
    params, pose = (jax.tree.map(jnp.asarray, x) for x in (params, pose))
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(config.seed), CASES.index(case)), sample)
    return jax.tree.map(lambda x: x[0], perturb(key, params, pose, 1, config.perturbation))


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
            "body": np.round(after[b], 4).tolist(),
            "pose": [found.rotation.tolist(), found.translation.tolist()],
        })  # fmt: skip
    return out


def wanted_cases(config: Config) -> tuple[Case, ...]:
    """The cases of a run.

    Raises:
      InputError: a name that no case has.
    """
    if wrong := sorted(set(config.only) - {case.name for case in CASES}):
        raise InputError(f"--only {' '.join(wrong)}: no such case; wanted names such as {CASES[0].name}")
    if config.only:
        return tuple(case for case in CASES if case.name in config.only)
    return tuple(case for case in CASES if config.split in ("all", "dev" if case.dev else "test"))


def settings_of(config: Config) -> dict[str, Any]:
    """What the numbers depend on, besides the code."""
    kept = {name: getattr(config, name) for name in ("split", "samples", "seed", "lod", "resolution")}
    return kept | {name: plain(dataclasses.asdict(x)) for name, x in
                   (("refiner", SETTINGS), ("perturbation", config.perturbation))}  # fmt: skip


def run_cases(config: Config, cases: Sequence[Case]) -> list[dict[str, Any]]:
    """A row for each start of the cases: kept from before, or new."""
    catalogue = read_catalogue(config.archive)
    model = free_body(config.lod)
    field = body_field(model)
    common = {key: value for key, value in settings_of(config).items() if key not in ("split", "samples")}
    waiting: list[dict[str, Any]] = []
    results: dict[tuple[str, int], dict[str, Any]] = {}

    def finish(rows: list[dict[str, Any]]) -> None:
        for row, got in zip(rows, run_batch(rows, model, field, config), strict=True):
            results[got["case"], got["sample"]] = got
            write_json(row["path"], {"key": row["key"], "row": got})
            print({key: value for key, value in got.items() if key not in ("body", "pose")}, flush=True)

    for sample, case in itertools.product(range(config.samples), cases):
        path, key = config.work / f"{case.name}_{sample}.json", value_digest(common | dataclasses.asdict(case))
        if path.is_file() and (kept := json.loads(path.read_text("utf-8")))["key"] == key:
            results[case.name, sample] = kept["row"]
            continue
        mesh, template, _ = prepare(case, config, catalogue)
        params, pose = make_start(case, sample, mesh, model, config)
        waiting.append({
            "case": case, "sample": sample, "params": params, "pose": pose, "template": template, "mesh": mesh,
            "points": surface_of(mesh), "parts": closed_parts(mesh), "path": path, "key": key,
        })  # fmt: skip
        if len(waiting) == config.batch:
            finish(waiting)
            waiting = []
    if waiting:
        finish(waiting)
    return [results[case.name, sample] for case in cases for sample in range(config.samples)]


def folder_of(config: Config) -> pathlib.Path:
    """Where the tables go.

    Raises:
      InputError: the table of a few cases is to take the place of all in docs/measured.md.
    """
    if config.only and config.page:
        raise InputError("--only with --page: docs/measured.md shows all cases of a split; leave out one of the two")
    return config.out or (config.work if config.only else RESULTS)


def main(config: Config) -> None:
    """Runs what is not finished and writes the tables."""
    cases, out = wanted_cases(config), folder_of(config)
    rows = run_cases(config, cases)
    shown = [{key: value for key, value in row.items() if key not in ("body", "pose")} for row in rows]
    record = {"settings": settings_of(config), **software(), "rows": shown}
    write_page(out, "real_objects", record, markdown(record))
    if config.page:
        page = pathlib.Path("docs/measured.md")
        write_text(page, between(page.read_text("utf-8"), MARKERS, short_table(record)))
    if config.pictures is not None:
        catalogue, faces = read_catalogue(config.archive), np.asarray(free_body(config.lod).faces)
        meshes = {case.name: prepare(case, config, catalogue)[0] for case in cases}
        write_bytes(config.pictures, sheet([row for row in rows if row["sample"] == 0], meshes, faces))


def between(text: str, markers: tuple[str, str], table: str) -> str:
    """The text with what is between two markers, which it has once each, replaced."""
    begin, rest = text.split(markers[0])
    return f"{begin}{markers[0]}\n{table}\n{markers[1]}{rest.split(markers[1])[1]}"


if __name__ == "__main__":
    main(tyro.cli(Config))
