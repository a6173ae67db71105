"""Speed of GRAFT: T = 3 steps per person in scenes of two sizes, the probes' share, and the gradient prior beside it.

    python -m hoijax.experiments.benchmarks.graft --out=docs/results

The geometry-only networks, small and the paper's size, with random weights: speed does not depend on them. The scenes
are made-up rooms with as many points as asked for; people stand about their true place. A call is compiled before it
is timed, its inputs are on the device; arranging a scene once, on the host, is a column of its own.

Writes `graft_speed.json` and the table `graft_speed.md`. About four minutes on two cores, most of it compilation, which
JAX_COMPILATION_CACHE_DIR keeps. The smoke test is `--rounds=1 --min-seconds=0 --batches 1 --points 4096 --sizes small`.
"""

import dataclasses
import pathlib
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.experiments.benchmarks.timing import compare, environment, write_results
from hoijax.experiments.command import run_command
from hoijax.experiments.common.pages import page, table
from hoijax.experiments.graft.queries import QueryConfig, imitate_estimate
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import GraftSample, sample_points
from hoijax.io import write_text
from hoijax.nets.graft import Graft, GraftConfig
from hoijax.systems.graft import (
    BodySpec,
    GraftState,
    RolloutOptions,
    ScenePoints,
    body_spec,
    contact_model,
    make_scene,
    pose_graft_state,
    probe,
    probe_points,
    refine_people,
)
from hoijax.systems.graft.gradient import gradient_refine

SIZES = {"small": GraftConfig.small, "paper": GraftConfig.geometry_only}


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    out: pathlib.Path = pathlib.Path("runs/benchmarks")
    """Folder of the results."""
    sizes: tuple[str, ...] = ("small", "paper")
    """Of the network."""
    batches: tuple[int, ...] = (1, 64)
    """People per call, in one scene."""
    points: tuple[int, ...] = (65_536, 300_000)
    """Of the scene."""
    gradient_batches: tuple[int, ...] = (1,)
    """People per call of the gradient prior, in the smallest scene."""
    rounds: int = 5
    """Interleaved rounds per row."""
    min_seconds: float = 0.3
    """Length of one sample."""

    def __post_init__(self):
        unknown = [size for size in self.sizes if size not in SIZES]
        if unknown or not self.sizes:
            raise InputError(f"sizes must be of {', '.join(SIZES)}, got {', '.join(self.sizes) or 'none'}")
        if min(*self.batches, *self.points, self.rounds) < 1:
            raise InputError("batches, points and rounds must be at least 1")


def main(config: Config) -> dict[str, Any]:
    """Measures every row, prints it, and writes all of them after each."""
    result = {
        "config": dataclasses.asdict(config) | {"out": str(config.out)},
        "environment": environment("flax"),
        "rows": [],
    }
    model = free_body()
    spec = body_spec(model)
    for points in config.points:
        sample = Rooms(model, spec, count=1, points=points, seed=7)[0]
        cloud = sample_points(sample)
        began = time.perf_counter()
        scene = make_scene(*cloud)
        arranged = 1e3 * (time.perf_counter() - began)
        scene = jax.device_put(scene)
        for batch in config.batches:
            people = _people(spec, sample, batch)
            with_gradient = points == min(config.points) and batch in config.gradient_batches
            sides = _sides(config, spec, model, scene, people, with_gradient)
            times = compare(sides, rounds=config.rounds, min_seconds=config.min_seconds)
            row: dict[str, Any] = {"points": points, "people": batch, "arranging_ms": round(arranged, 1)}
            row["probe_cores"] = [round(x, 2) for x in times.probe]
            for name, samples in times.samples.items():
                walls = [1e3 * s.wall / batch for s in samples]
                row[name] = {"median_ms": round(statistics.median(walls), 3), "min_ms": round(min(walls), 3)}
            result["rows"].append(row)
            print(row, flush=True)
            write_results(config.out / "graft_speed.json", result)
    write_text(config.out / "graft_speed.md", markdown(result))
    return result


def _people(spec: BodySpec, sample: GraftSample, batch: int) -> GraftState:
    """Imitated estimates of one true body."""
    keys = jax.random.split(jax.random.key(0), batch)
    draw = jax.jit(jax.vmap(lambda key: imitate_estimate(key, spec, sample.truth, QueryConfig())))
    return GraftState.of(draw(keys))


def _sides(
    config: Config, spec: BodySpec, model: Any, scene: ScenePoints, people: GraftState, with_gradient: bool
) -> dict[str, Any]:
    """Calls to be timed: each network's whole refinement, its probes alone, and the gradient prior."""
    options = RolloutOptions(steps=3)
    sides = {}
    for size in config.sizes:
        graph, weights = nnx.split(_network(SIZES[size]()))

        @jax.jit
        def refine(weights, scene, people, graph=graph):
            return refine_people(nnx.merge(graph, weights), spec, scene, people, options=options).params

        sides[size] = lambda run=refine, weights=weights: jax.block_until_ready(run(weights, scene, people))

    @jax.jit
    def probes(scene, people):
        """Three searches that depend on each other, as in a rollout."""

        def once(state, _):
            points = probe_points(spec, pose_graft_state(spec.probe_model, state))
            nearest = probe(scene, points)
            move = 1e-3 * jnp.mean(nearest.offset, axis=0)
            return state.replace(params=state.params.replace(translation=state.params.translation + move)), None

        return jax.vmap(lambda state: jax.lax.scan(once, state, None, length=3)[0].params.translation)(people)

    sides["probes"] = lambda: jax.block_until_ready(probes(scene, people))
    if with_gradient:
        contacts = contact_model(spec, model)
        by_gradient = jax.jit(
            lambda scene, people: jax.vmap(lambda x: gradient_refine(spec, contacts, scene, x))(people)
        )
        sides["gradient"] = lambda: jax.block_until_ready(by_gradient(scene, people))
    return sides


def _network(config: GraftConfig) -> Graft:
    """Random weights of a usual size, filled on the host; heads small, so that nobody flies away."""
    graph, state = nnx.split(nnx.eval_shape(lambda: Graft(config, nnx.Rngs(0))))
    rng = np.random.default_rng(0)
    scale = 0.02
    return nnx.merge(graph, jax.tree.map(lambda x: jnp.asarray(scale * rng.normal(size=x.shape), x.dtype), state))


def markdown(result: dict[str, Any]) -> str:
    """The rows as a page."""
    env, sizes = result["environment"], result["config"]["sizes"]
    probes = statistics.median(probe for row in result["rows"] for probe in row["probe_cores"])

    def cells(row: dict[str, Any]) -> list[str]:
        first, gradient = row[sizes[0]]["median_ms"], row.get("gradient")
        share = f"{100 * row['probes']['median_ms'] / first:.0f} %"
        times = "" if gradient is None else f"{gradient['median_ms']:.0f} ({gradient['median_ms'] / first:.0f} x)"
        of_sizes = [f"{row[size]['median_ms']:.1f}" for size in sizes]
        probe_ms = f"{row['probes']['median_ms']:.1f}"
        return [
            f"{row['points']:,}",
            str(row["people"]),
            *of_sizes,
            probe_ms,
            share,
            times,
            f"{row['arranging_ms']:.0f}",
        ]

    return page(
        "Speed of GRAFT",
        "`python -m hoijax.experiments.benchmarks.graft --out=docs/results` on "
        f"{env['cores']} cores of {env['cpu']} ({env['device']});\n"
        f"jax {env['versions']['jax']}. Two plain threads got {probes:.1f} cores. Milliseconds per person for T = 3\n"
        "steps, the median of interleaved rounds, compilation apart. Geometry-only networks: small (the one that\n"
        "hoijax trains) and the paper's size, 10.9 million parameters. The probes' share is posing the 27 probe\n"
        "vertices and three exact searches of the 58 nearest points, over the small network's time. Arranging a scene\n"
        "for the search happens once, on the host, and is per scene.",
        table(
            ["scene points", "people", *sizes, "probes", "probes' share", "gradient prior, 100 steps", "arranging"],
            map(cells, result["rows"]),
        ),
    )


if __name__ == "__main__":
    run_command(main, Config)
