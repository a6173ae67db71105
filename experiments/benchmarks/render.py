"""Rendering: hard pass against Embree ray casting, and the cost of interpolation, antialiasing and soft silhouettes.

    python -m hoijax.experiments.benchmarks.render --bodies 13.8k --sizes 1024 --views 1

Writes `render.json` and the tables `render.md` to `--out`; a call replaces the rows that it measured and
keeps the others, so that the whole can be measured in pieces of a few minutes. All rows: about fifteen minutes on two
cores.

Every number is for one machine and float32. The rival, Embree through embreex, casts one ray through each pixel's
centre with rays made beforehand; it runs on one thread and on all cores (rays in interleaved blocks of rows, embreex
leaves the interpreter lock), and the faster counts. It answers face ids alone, the hard pass face ids and depths.
"with build" includes Embree's tree, as it must for meshes that move. Ratios are taken within a round, both sides one
after the other, and only in clean rounds: two plain threads got two cores before it, and the hard pass and Embree
on all cores had 1.6 of 2 cores or more while they ran.

Expected on two cores: the hard pass at 1024 at least twice as fast as Embree; at 256 no slower than Embree with its
tree; interpolated RGB with its gradient within four hard passes at 1024; each first call below ten seconds. Smoke test:
`--rounds=1 --min-seconds=0 --sizes 64 --views 1 --bodies test --out /tmp/render`.
"""

import dataclasses
import json
import os
import pathlib
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from hoijax.body_models import free_body
from hoijax.camera import Camera, look_at
from hoijax.experiments.benchmarks.embree import Embree
from hoijax.experiments.benchmarks.render_tables import markdown, report
from hoijax.experiments.benchmarks.timing import (
    CLEAN_SHARE,
    Comparison,
    compare,
    compile_timed,
    environment,
    write_results,
)
from hoijax.experiments.common.pages import RESULTS
from hoijax.io import write_text
from hoijax.render import antialias, edge_neighbours, interpolate, rasterize, soft_silhouette

BLUR = 1.28  # pixels at 256: 1e-4 in squared normalised coordinates, as soft rasterizers are usually run


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    out: pathlib.Path = RESULTS
    """Folder of render.json and render.md."""
    bodies: tuple[str, ...] = ("13.8k", "27k")
    """Meshes by their number of faces; "test" is a small one."""
    sizes: tuple[int, ...] = (256, 1024)
    """Height and width of the pictures."""
    views: tuple[int, ...] = (1, 4)
    """Pictures per call."""
    rounds: int = 7
    """Interleaved rounds per case."""
    min_seconds: float = 0.3
    """Length of one sample."""


def body(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices, centred, and faces of the free body at rest; "27k" is its subdivision, simplified."""
    model = free_body("test" if name == "test" else "default")
    vertices, faces = np.asarray(model.v_template, np.float32), np.asarray(model.faces, np.int32)
    if name == "27k":
        import fast_simplification
        import trimesh

        fine, four = trimesh.remesh.subdivide(vertices, faces)
        vertices, faces = fast_simplification.simplify(
            fine.astype(np.float32), four.astype(np.int32), target_count=27_420
        )
    vertices = vertices.astype(np.float32)
    return vertices - (vertices.min(0) + vertices.max(0)) / 2, faces.astype(np.int32)


def cameras(size: int, views: int, height: float) -> Camera:
    """Cameras around the body, which fills nine tenths of each picture's height."""
    distance = 2.5
    focal = 0.9 * size / height * distance * 0.93
    yaws = 0.4 + 2 * np.pi * np.arange(views) / max(views, 1)
    eyes = distance * np.stack([np.sin(yaws), np.zeros(views), np.cos(yaws)], axis=1)
    poses = np.stack([np.asarray(look_at(eye, np.zeros(3))) for eye in eyes]).astype(np.float32)
    intrinsics = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]], np.float32)
    return Camera(jnp.asarray(np.broadcast_to(intrinsics, (views, 3, 3))), jnp.asarray(poses), (size, size))


def operations(faces: np.ndarray, size: int) -> dict[str, Callable[..., Any]]:
    """What is measured, each of (vertices, colours, camera) for one view."""
    neighbours = edge_neighbours(faces)

    def hard(vertices, colours, camera):
        del colours
        fragments = rasterize(vertices, faces, camera)
        return fragments.face_id, fragments.depth

    def rgb(vertices, colours, camera):
        return interpolate(rasterize(vertices, faces, camera), faces, colours)

    def edges(vertices, colours, camera):
        fragments = rasterize(vertices, faces, camera)
        return antialias(interpolate(fragments, faces, colours), fragments, neighbours)

    def soft(vertices, colours, camera):
        del colours
        return soft_silhouette(vertices, faces, camera, blur=BLUR * size / 256)

    return {"hard": hard, "interpolate": rgb, "antialias": edges, "soft": soft}


def over_views(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of all views at once."""
    return jax.vmap(function, in_axes=(None, None, 0))


def with_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """The image and the gradient of half its squared sum with respect to vertices and colours."""

    def both(vertices, colours, camera):
        image, pull = jax.vjp(lambda v, c: function(v, c, camera), vertices, colours)
        return image, pull(image)

    return both


def case(name: str, size: int, views: int, config: Config) -> dict[str, Any]:
    """All measurements at one size."""
    vertices, faces = body(name)
    camera = cameras(size, views, float(np.ptp(vertices[:, 1])))
    colours = jnp.asarray(vertices - vertices.min(0))
    arguments = jnp.asarray(vertices), colours, camera
    sides, row = {}, {"faces": len(faces), "size": size, "views": views, "operations": {}}
    for label, function in operations(faces, size).items():
        batched = over_views(function)
        variants = (
            {label: batched} if label == "hard" else {label: batched, f"{label}+gradient": with_gradient(batched)}
        )
        for variant, call in variants.items():
            compiled = compile_timed(call, *arguments)
            sides[variant] = lambda call=compiled.call: jax.block_until_ready(call(*arguments))
            row["operations"][variant] = {
                "first_call_s": round(compiled.trace_seconds + compiled.compile_seconds, 3),
                "temp_mb": _megabytes(compiled.temp_bytes),
                "output_mb": _megabytes(compiled.output_bytes),
            }
    embree = Embree(vertices, faces, camera)
    ids = np.asarray(sides["hard"]()[0]).reshape(views, -1)
    rival = np.stack(embree.cast(embree.scene, 1))
    row["covered"] = round(float((ids >= 0).mean()), 4)
    row["ids_different_from_embree"] = int((ids != rival).sum())
    cores = os.cpu_count() or 1
    sides |= {
        "Embree": lambda: embree.cast(embree.scene, cores),
        "Embree, one thread": lambda: embree.cast(embree.scene, 1),
        "Embree with build": lambda: embree.cast(embree.build(), cores),
        "Embree with build, one thread": lambda: embree.cast(embree.build(), 1),
    }
    measured = compare(sides, rounds=config.rounds, min_seconds=config.min_seconds)
    clean = clean_rounds(measured)
    row |= {"rounds": config.rounds, "clean_rounds": len(clean), "probe_cores": [round(p, 2) for p in measured.probe]}
    for side, samples in measured.samples.items():
        row["operations"].setdefault(side, {}).update(
            min_ms=round(min(s.wall for s in samples) * 1e3, 3),
            median_ms=round(statistics.median(s.wall for s in samples) * 1e3, 3),
            all_ms=[round(s.wall * 1e3, 3) for s in samples],
            cpu_per_wall=[round(s.cpu_per_wall, 2) for s in samples],
        )
    row["ratios"] = {
        "Embree / hard": _ratio(measured, ("Embree", "Embree, one thread"), clean),
        "Embree with build / hard": _ratio(measured, ("Embree with build", "Embree with build, one thread"), clean),
        **{f"{side} / hard": _ratio(measured, (side,), clean) for side in sides if side.endswith("+gradient")},
    }
    return row


def clean_rounds(measured: Comparison) -> list[int]:
    """Rounds in which two cores were there to be had, and those sides that can use them had them."""
    need = CLEAN_SHARE * measured.cores
    return [i for i in measured.clean_rounds("hard", "Embree") if measured.probe[i] >= need]


def _ratio(measured: Comparison, numerators: tuple[str, ...], rounds: list[int]) -> dict[str, float] | None:
    """Time over that of the hard pass, round by round; of several numerators the faster. None without a clean round."""
    values = [min(r) for r in zip(*(measured.ratios(name, "hard", rounds) for name in numerators))]
    if not values:
        return None
    return {key: round(f(values), 3) for key, f in (("median", statistics.median), ("min", min), ("max", max))}


def _megabytes(count: int | None) -> float | None:
    return None if count is None else round(count / 1e6, 2)


def main(config: Config) -> list[dict[str, Any]]:
    """Runs the cases, prints them, and writes all rows after each."""
    path, made_in = config.out / "render.json", environment("embreex")
    settings = dataclasses.asdict(config) | {"out": config.out.name}
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    for name in config.bodies:
        for size in config.sizes:
            for views in config.views:
                row = case(name, size, views, config) | {"body": name, "environment": made_in, "config": settings}
                print(report(row), flush=True)
                key = lambda r: (r["faces"], r["size"], r["views"])  # noqa: E731
                rows = sorted([r for r in rows if key(r) != key(row)] + [row], key=key)
                write_results(path, {"rows": rows})
                write_text(config.out / "render.md", markdown(rows))
    return rows


if __name__ == "__main__":
    main(tyro.cli(Config))
