"""64 interactions refined as one vmapped batch against the same 64 one by one, on this machine.

    python -m hoijax.experiments.benchmarks.refine

The 64 are perturbed copies of one demo case on the free body's `light` level, compilation apart, two ways: `function`,
the same compiled `refine`, mapped and not, with fields and targets at hand; and `refine_batch` as it is called, with
all 64 or 64 times with one, each preparing its object's field and its targets.
Two CPU cores: about four minutes.
Wanted: at least 3x less time per interaction in the batch. Not reached on two cores: a single interaction keeps both of
them at work too, so the batch saves only what is prepared and started once. Writes `refine_batch.json` to `--out`.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from hoijax.body_models import free_body, pose_body
from hoijax.experiments.benchmarks.timing import compare
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS
from hoijax.experiments.demo_cases import as_arrays, build_object, find, intended_parameters
from hoijax.experiments.refine_stats import Perturbation, perturb
from hoijax.geometry import Mesh
from hoijax.interaction import make_template
from hoijax.io import write_json
from hoijax.optim.fields import BodyField, ObjectField, body_field, object_field
from hoijax.optim.gradient import Floor, RefineConfig, part_targets, refine, refine_batch, stand_on_floor


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    case: str = "sit_chair"
    lod: str = "light"
    batch: int = 64
    rounds: int = 3
    steps: int | None = None
    out: pathlib.Path = RESULTS


def main(config: Config) -> dict[str, Any]:
    """Times both and writes the result."""
    case, model = find(config.case), free_body(config.lod)
    obj = build_object(case)
    template = make_template(Mesh(vertices=obj.mesh.vertices.astype(np.float32), faces=obj.mesh.faces))
    start = jax.tree.map(jnp.asarray, as_arrays(model, intended_parameters(case)))
    params, pose = perturb(jax.random.key(0), *start, config.batch, Perturbation())
    floor = Floor(gravity=jnp.tile(jnp.array([0.0, -1.0, 0.0]), (config.batch, 1)), level=jnp.zeros(config.batch))
    vertices = pose_body(model, params).vertices
    targets = stand_on_floor(
        part_targets(model, [case.contact] * config.batch), model, vertices, [template] * config.batch, pose, floor,
        object_rests=case.rests,
    )  # fmt: skip
    rows = (params, pose, targets, floor)
    singles = [jax.tree.map(lambda x, i=i: x[i], rows) for i in range(config.batch)]
    settings = RefineConfig() if config.steps is None else RefineConfig().with_steps(config.steps)

    def one(body: BodyField, object: ObjectField, row: Any) -> tuple[jax.Array, jax.Array]:
        params, pose, targets, floor = row
        result = refine(body, object, params, pose, targets, settings, floor=floor)
        return result.steps, result.after.max_penetration

    fields = body_field(model), object_field(template)
    single, many = jax.jit(one), jax.jit(jax.vmap(one, in_axes=(None, None, 0)))
    steps = {}

    def run_batch() -> None:
        steps["batch"] = jax.block_until_ready(many(*fields, rows))[0]

    def one_by_one() -> None:
        steps["one by one"] = jnp.stack([jax.block_until_ready(single(*fields, row))[0] for row in singles])

    def run_one(params: Any, pose: Any) -> None:
        jax.block_until_ready(
            refine_batch(
                model, params, template, pose, case.contact, settings, floor=Floor.at(0.0), object_rests=case.rests,
                body=fields[0],
            ).steps
        )  # fmt: skip

    def calls() -> None:
        for i in range(config.batch):
            run_one(*jax.tree.map(lambda x, i=i: x[i : i + 1], (params, pose)))

    pairs = {
        "function": {"one by one": one_by_one, "batch": run_batch},
        "refine_batch": {"one by one": calls, "batch": lambda: run_one(params, pose)},
    }
    results = {name: compare(sides, rounds=config.rounds, min_seconds=0.0) for name, sides in pairs.items()}
    row = {
        name: result.summary("one by one", "batch")
        | {
            "per_interaction_ms": {
                side: [round(1e3 * s.wall / config.batch, 2) for s in samples]
                for side, samples in result.samples.items()
            }
        }
        for name, result in results.items()
    } | {
        "mean_steps": {name: float(jnp.mean(value.astype(float))) for name, value in steps.items()},
        "config": dataclasses.asdict(config) | {"out": config.out.name},
        **software(),
    }
    write_json(config.out / "refine_batch.json", row)
    for name in pairs:
        print(name, {key: row[name][key] for key in ("per_interaction_ms", "ratio_all", "ratio_clean")})
    return row


if __name__ == "__main__":
    main(tyro.cli(Config))
