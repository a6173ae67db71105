"""Silhouettes of many views with their gradient: `outline_mask` under a Gaussian beside the rivals, in one run.

    python -m hoijax.experiments.benchmarks.silhouettes --out=docs/results

The rivals are hoijax's own: `soft_silhouette` (Liu et al. 2019), at the same blur and at the 1/200 of the side that
soft rasterizers are usually run at, and `antialias` of the mask under the same Gaussian. All draw the free body's
coarse level (2,994 faces) from all around and pull half the squared image back to the vertices. Sides run turn by turn
(`timing.compare`); on a crowded machine CPU time is the fairer number, so both are in the table, and ratios are of CPU
seconds.

Writes `silhouette_speed.json` and `.md`. Expected: `outline_mask` at least three times as fast as `soft_silhouette`,
and within four hard passes. Some minutes on two cores.
"""

import dataclasses
import pathlib
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from hoijax.experiments.benchmarks.render import body, cameras
from hoijax.experiments.benchmarks.timing import Comparison, compare, compile_timed, environment
from hoijax.experiments.common.pages import RESULTS, number, page, settings_of, table, write_page
from hoijax.render import antialias, blur_images, edge_neighbours, outline_mask, rasterize, soft_silhouette

NAMES = {
    "hard": "hard pass alone",
    "outline": "outline_mask, Gaussian",
    "antialias": "antialias of the mask, Gaussian",
    "soft": "soft_silhouette, same blur",
    "soft_narrow": "soft_silhouette, 1/200 of the side",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    out: pathlib.Path = RESULTS
    """Folder of silhouette_speed.json and silhouette_speed.md."""
    sizes: tuple[tuple[int, int], ...] = ((64, 128), (1, 256))
    """Views and side of the pictures of each table."""
    blur: float = 1.0
    """Pixels."""
    rounds: int = 5
    """Interleaved rounds."""
    min_seconds: float = 0.3
    """Length of one sample."""


def sides_of(faces: np.ndarray, size: int, blur: float) -> dict[str, Callable[..., Any]]:
    """What is measured, each of (vertices, camera) for one view."""
    neighbours = edge_neighbours(faces)

    def outline(vertices, camera):
        return blur_images(outline_mask(rasterize(vertices, faces, camera), neighbours), blur)

    def blended(vertices, camera):
        fragments = rasterize(vertices, faces, camera)
        mask = fragments.mask.astype(vertices.dtype)[..., None]
        return blur_images(antialias(mask, fragments, neighbours)[..., 0], blur)

    return {
        "hard": lambda v, c: rasterize(v, faces, c).depth,
        "outline": outline,
        "antialias": blended,
        "soft": lambda v, c: soft_silhouette(v, faces, c, blur=blur),
        "soft_narrow": lambda v, c: soft_silhouette(v, faces, c, blur=size / 200),
    }


def with_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Images of all views, and the gradient of half their squared sum with respect to the vertices."""

    def both(vertices, camera):
        images, pull = jax.vjp(lambda v: jax.vmap(function, in_axes=(None, 0))(v, camera), vertices)
        return images, pull(images)[0]

    return both


def measure(views: int, size: int, config: Config) -> dict[str, Any]:
    """One table's numbers."""
    vertices, faces = body("test")
    arguments = jnp.asarray(vertices), cameras(size, views, float(np.ptp(vertices[:, 1])))
    calls, compiling = {}, {}
    for name, function in sides_of(faces, size, config.blur).items():
        whole = jax.vmap(function, in_axes=(None, 0)) if name == "hard" else with_gradient(function)
        compiled = compile_timed(whole, *arguments)
        calls[name] = lambda call=compiled.call: jax.block_until_ready(call(*arguments))
        compiling[name] = round(compiled.trace_seconds + compiled.compile_seconds, 2)
    result = compare(calls, rounds=config.rounds, min_seconds=config.min_seconds)
    return {"views": views, "size": size, "faces": len(faces), "compile_s": compiling, "sides": _sides(result)}


def _sides(result: Comparison) -> dict[str, dict[str, float]]:
    """Median wall and CPU milliseconds, and in how many hard passes of the same round."""
    rows = {}
    for name, samples in result.samples.items():
        cpu = [s.wall * s.cpu_per_wall for s in samples]
        hard = [s.wall * s.cpu_per_wall for s in result.samples["hard"]]
        ours = [s.wall * s.cpu_per_wall for s in result.samples["outline"]]
        rows[name] = {
            "wall_ms": round(1e3 * statistics.median(s.wall for s in samples), 2),
            "cpu_ms": round(1e3 * statistics.median(cpu), 2),
            "hard_passes": round(statistics.median(a / b for a, b in zip(cpu, hard)), 2),
            "over_outline": round(statistics.median(a / b for a, b in zip(cpu, ours)), 2),
        }
    return rows


def markdown(record: dict[str, Any]) -> str:
    """The page of a record."""
    blocks = []
    for row in record["rows"]:
        views, size = f"{row['views']} view{'s' * (row['views'] > 1)}", row["size"]
        blocks.append(f"{views} of {row['faces']:,} faces at {size} x {size}, with the gradient but for the hard pass:")
        cells = [
            [NAMES[name], number(s["wall_ms"], 1), number(s["cpu_ms"], 1), number(s["hard_passes"], 1),
             number(s["over_outline"], 1)]
            for name, s in row["sides"].items()
        ]  # fmt: skip
        blocks.append(table(["", "wall, ms", "CPU, ms", "hard passes", "over outline_mask"], cells))
    made = record["environment"]
    blocks.append(f"{made['cpu']}, {made['cores']} cores shared with other work, jax {made['versions']['jax']}.")
    intro = "Made by `python -m hoijax.experiments.benchmarks.silhouettes`, which says how; ratios are of CPU time."
    return page("Silhouettes of many views", intro, *blocks)


def main(config: Config) -> dict[str, Any]:
    """Measures, prints and writes."""
    rows = [measure(views, size, config) for views, size in config.sizes]
    record = {"config": settings_of(config, ("out",)), "environment": environment(), "rows": rows}
    text = markdown(record)
    print(text)
    write_page(config.out, "silhouette_speed", record, text)
    return record


if __name__ == "__main__":
    main(tyro.cli(Config))
