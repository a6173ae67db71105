"""Speed and accuracy of nearest points, distances to meshes, winding numbers and distance grids, on the free body.

    python -m hoijax.experiments.benchmarks.geometry --out=experiments/benchmarks/results/geometry.json

Reprints the tables of docs/geometry.md. Searches are compared in interleaved rounds with their host counterparts;
accuracy is against exact distances in float64 and exact winding numbers, at points scattered 3 cm (one standard
deviation) around the surface. About five minutes on two CPU cores; `--rounds=1 --min-seconds=0 --queries=200
--resolutions 24` is the smoke test.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from hoijax.body_models import free_body
from hoijax.experiments.benchmarks.timing import compare, compile_timed, environment, time_calls, write_results
from hoijax.geometry import (
    Mesh,
    build_sdf,
    closest_on_mesh,
    closest_on_mesh_host,
    nearest,
    nearest_host,
    query_sdf,
    sample_surface,
    winding_number,
    winding_number_host,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    out: pathlib.Path = pathlib.Path("/tmp/hoijax_geometry.json")
    """Where the results go."""
    queries: int = 10_000
    """Points to look up."""
    points: tuple[int, ...] = (10_000, 50_000)
    """Sizes of the clouds searched by `nearest`."""
    resolutions: tuple[int, ...] = (64, 128)
    """Of the distance grids."""
    rounds: int = 5
    """Interleaved rounds per row."""
    min_seconds: float = 0.2
    """Length of one sample."""
    seed: int = 0
    """Of the points."""


def main(config: Config) -> dict[str, Any]:
    """Measures every row, prints it, and writes all of them at the end."""
    body = free_body()
    mesh = Mesh(np.asarray(body.v_template, np.float32), np.asarray(body.faces))
    rng = np.random.default_rng(config.seed)
    queries = np.asarray(sample_surface(jax.random.key(config.seed), mesh, config.queries).points)
    queries = (queries + 0.03 * rng.normal(size=queries.shape)).astype(np.float32)
    rows = []

    def add(**row: Any) -> None:
        rows.append(row)
        print({key: value for key, value in row.items() if not isinstance(value, (dict, list))}, flush=True)

    for count in config.points:
        cloud = np.asarray(sample_surface(jax.random.key(config.seed + 1), mesh, count).points)
        add(name="nearest", size=count, **_search(config, nearest, nearest_host, queries, cloud))
    add(
        name="closest_on_mesh",
        size=len(mesh.faces),
        **_search(config, closest_on_mesh, closest_on_mesh_host, queries, mesh),
    )
    exact, row = _winding(config, queries, mesh)
    add(name="winding_number", size=len(mesh.faces), **row)
    for resolution in config.resolutions:
        add(name="sdf", size=resolution, **_grid(config, resolution, queries, mesh, exact))
    result = {
        "config": dataclasses.asdict(config) | {"out": str(config.out)},
        "environment": environment("scipy"),
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "rows": rows,
    }
    write_results(config.out, result)
    return result


def _search(config: Config, tiled: Callable, host: Callable, queries: np.ndarray, target: Any) -> dict[str, Any]:
    """The tiled search against the host's tree, which is built anew in every call."""
    compiled = compile_timed(tiled, queries, target)
    far = np.abs(np.asarray(compiled.call(queries, target).distance) - host(queries, target).distance)
    sides = {
        "tiled": lambda: jax.block_until_ready(compiled.call(queries, target)),
        "host": lambda: host(queries, target),
    }
    return _timings(config, sides, "host", "tiled") | {
        "compile_s": round(compiled.compile_seconds, 2),
        "temp_mb": None if compiled.temp_bytes is None else round(compiled.temp_bytes / 1e6, 2),
        "largest_difference_m": float(far.max()),
    }


def _winding(config: Config, queries: np.ndarray, mesh: Mesh) -> tuple[np.ndarray, dict[str, Any]]:
    compiled = compile_timed(winding_number, queries, mesh)
    exact = np.asarray(compiled.call(queries, mesh))
    row: dict[str, Any] = {"compile_s": round(compiled.compile_seconds, 2)}
    for accuracy in (2.0, 3.0):
        error = np.abs(winding_number_host(queries, mesh, accuracy=accuracy) - exact)
        row[f"error_at_{accuracy:g}"] = {"mean": float(error.mean()), "max": float(error.max())}
        print(f"winding_number_host accuracy={accuracy:g}: mean error {error.mean():.1e}, max {error.max():.1e}")
    sides = {
        "tiled": lambda: jax.block_until_ready(compiled.call(queries, mesh)),
        "host": lambda: winding_number_host(queries, mesh),
    }
    return exact, row | _timings(config, sides, "tiled", "host")


def _grid(config: Config, resolution: int, queries: np.ndarray, mesh: Mesh, winding: np.ndarray) -> dict[str, Any]:
    build_sdf(mesh, resolution=resolution)  # compiles the evaluation of winding numbers
    start, cpu = time.perf_counter(), time.process_time()
    grid = build_sdf(mesh, resolution=resolution)
    row: dict[str, Any] = {
        "build_s": round(time.perf_counter() - start, 2),
        "build_cpu_s": round(time.process_time() - cpu, 2),
        "spacing_mm": round(1e3 * float(grid.spacing), 1),
    }
    doubled = Mesh(np.asarray(mesh.vertices, np.float64), mesh.faces)
    row |= _errors(np.asarray(query_sdf(grid, queries), np.float64), queries, doubled, winding, "query")
    rng = np.random.default_rng(config.seed)
    chosen = np.stack([rng.integers(0, resolution, 3 * config.queries // 10) for _ in range(3)], axis=-1)
    samples = np.asarray(grid.origin, np.float64) + float(grid.spacing) * chosen
    row |= _errors(np.asarray(grid.values, np.float64)[tuple(chosen.T)], samples, doubled, None, "sample")
    forward = compile_timed(query_sdf, grid, queries)
    gradient = compile_timed(jax.value_and_grad(lambda p, g: jnp.sum(query_sdf(g, p))), queries, grid)
    for name, call in (
        ("query_ms", lambda: jax.block_until_ready(forward.call(grid, queries))),
        ("gradient_ms", lambda: jax.block_until_ready(gradient.call(queries, grid))),
    ):
        call()
        row[name] = round(
            min(time_calls(call, min_seconds=config.min_seconds).wall for _ in range(config.rounds)) * 1e3, 3
        )
    return row


def _errors(values, points, mesh: Mesh, winding: np.ndarray | None, name: str) -> dict[str, Any]:
    exact = closest_on_mesh_host(np.asarray(points, np.float64), mesh).distance
    if winding is None:
        error, row = np.abs(np.abs(values) - exact), {}
    else:
        inside = winding > 0.5
        error = np.abs(values - np.where(inside, -exact, exact))
        row = {f"{name}_wrong_sign_percent": round(100 * float(np.mean((values < 0) != inside)), 2)}
    quantiles = {"mean": error.mean(), "p99": np.quantile(error, 0.99), "max": error.max()}
    return row | {f"{name}_{key}_mm": round(1e3 * float(value), 3) for key, value in quantiles.items()}


def _timings(config: Config, sides: Mapping[str, Callable], rival: str, ours: str) -> dict[str, Any]:
    times = compare(sides, rounds=config.rounds, min_seconds=config.min_seconds).summary(rival, ours)
    return {f"{side}_ms": times[side]["min_ms"] for side in sides} | {"rounds": times}


if __name__ == "__main__":
    main(tyro.cli(Config))
