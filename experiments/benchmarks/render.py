"""Rendering: hard pass against Embree ray casting, and the cost of interpolation, antialiasing and soft silhouettes.

    python -m hoijax.experiments.benchmarks.render --out=experiments/benchmarks/results/render.json

Every number is for one machine and float32. The rival, Embree through embreex, casts one ray through each pixel's
centre with rays made beforehand; it runs on one thread and on all cores (rays in interleaved blocks of rows, embreex
leaves the interpreter lock), and the faster counts. It answers face ids alone, the hard pass face ids and depths.
`build` rows include Embree's tree, as they must for meshes that move.

Expected on two cores, in rounds where both were free: the hard pass at 1024 at least twice as fast as Embree; at 256 no
slower than Embree with its tree; interpolated RGB with its gradient within four hard passes at 1024; each first call
below ten seconds. `--rounds=1 --min-seconds=0 --sizes 256 --views 1 --lods test` is the smoke test.
"""

import concurrent.futures
import dataclasses
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
from hoijax.experiments.benchmarks.timing import Compiled, compare, compile_timed, environment, write_results
from hoijax.render import antialias, edge_neighbours, interpolate, rasterize, soft_silhouette

BLUR = 1.28  # pixels at 256: 1e-4 in squared normalised coordinates, as soft rasterizers are usually run
BLOCK = 16  # rows of rays per piece of Embree's work


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    out: pathlib.Path = pathlib.Path("/tmp/hoijax_render.json")
    """Where the results go."""
    lods: tuple[str, ...] = ("default", "render")
    """Levels of detail of the free body: 13.8k and 25k faces."""
    sizes: tuple[int, ...] = (256, 1024)
    """Height and width of the pictures."""
    views: tuple[int, ...] = (1, 4)
    """Pictures per call."""
    rounds: int = 7
    """Interleaved rounds per case."""
    min_seconds: float = 0.3
    """Length of one sample."""


def body(lod: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices, centred, and faces of the free body at rest."""
    model = free_body(lod)
    vertices = np.asarray(model.v_template, np.float32)
    return vertices - (vertices.min(0) + vertices.max(0)) / 2, np.asarray(model.faces, np.int32)


def cameras(size: int, views: int, height: float) -> Camera:
    """Cameras around the body, which fills nine tenths of each picture's height."""
    distance = 2.5
    focal = 0.9 * size / height * distance * 0.93
    yaws = 0.4 + 2 * np.pi * np.arange(views) / max(views, 1)
    eyes = distance * np.stack([np.sin(yaws), np.zeros(views), np.cos(yaws)], axis=1)
    poses = np.stack([np.asarray(look_at(eye, np.zeros(3))) for eye in eyes]).astype(np.float32)
    intrinsics = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]], np.float32)
    return Camera(jnp.asarray(np.broadcast_to(intrinsics, (views, 3, 3))), jnp.asarray(poses), (size, size))


class Embree:
    """Ray casting of one mesh from all cameras."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> None:
        self.vertices, self.faces = np.ascontiguousarray(vertices), np.ascontiguousarray(faces)
        height, width = camera.image_size
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        pixels = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
        self.views = []
        for intrinsics, pose in zip(np.asarray(camera.intrinsics, float), np.asarray(camera.T_camera_world, float)):
            rotation, translation = pose[:3, :3], pose[:3, 3]
            directions = pixels @ np.linalg.inv(intrinsics).T @ rotation
            origin = np.broadcast_to(-rotation.T @ translation, directions.shape)
            blocks = [slice(r * width, (r + BLOCK) * width) for r in range(0, height, BLOCK)]
            self.views.append(
                [tuple(np.ascontiguousarray(a[b], dtype=np.float32) for a in (origin, directions)) for b in blocks]
            )
        self.pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        self.scene = self.build()

    def build(self) -> Any:
        """The scene; its tree is built at the first ray."""
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh

        scene = rtcore_scene.EmbreeScene()
        TriangleMesh(scene, self.vertices, self.faces)
        scene.run(*(a[:1] for a in self.views[0][0]), query="INTERSECT")
        return scene

    def cast(self, scene: Any, threads: int) -> list[np.ndarray]:
        """Face ids of all views, -1 where nothing is hit."""
        blocks = [block for view in self.views for block in view]

        def run(block):
            return scene.run(*block, query="INTERSECT")

        ids = [run(b) for b in blocks] if threads == 1 else list(self.pool.map(run, blocks))
        per_view = len(self.views[0])
        return [np.concatenate(ids[i : i + per_view]) for i in range(0, len(ids), per_view)]


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


def ready(compiled: Compiled, *arguments: Any) -> Callable[[], Any]:
    """A call that waits for its result."""
    return lambda: jax.block_until_ready(compiled.call(*arguments))


def case(lod: str, size: int, views: int, config: Config) -> dict[str, Any]:
    """All measurements at one size."""
    vertices, faces = body(lod)
    camera = cameras(size, views, float(np.ptp(vertices[:, 1])))
    colours = jnp.asarray(vertices - vertices.min(0))
    arguments = jnp.asarray(vertices), colours, camera
    sides, row = {}, {"faces": len(faces), "size": size, "views": views, "operations": {}}
    for name, function in operations(faces, size).items():
        batched = over_views(function)
        variants = {name: batched} if name == "hard" else {name: batched, f"{name}+gradient": with_gradient(batched)}
        for label, variant in variants.items():
            compiled = compile_timed(variant, *arguments)
            sides[label] = ready(compiled, *arguments)
            row["operations"][label] = {
                "trace_s": round(compiled.trace_seconds, 3),
                "compile_s": round(compiled.compile_seconds, 3),
                "temp_mb": _megabytes(compiled.temp_bytes),
                "output_mb": _megabytes(compiled.output_bytes),
            }
    embree = Embree(vertices, faces, camera)
    ids = np.asarray(sides["hard"]()[0]).reshape(views, -1)
    rival = np.stack(embree.cast(embree.scene, 1))
    row["covered"] = round(float((ids >= 0).mean()), 4)
    row["ids_different_from_embree"] = round(float((ids != rival).mean()), 6)
    cores = os.cpu_count() or 1
    sides |= {
        "embree_1": lambda: embree.cast(embree.scene, 1),
        "embree_all": lambda: embree.cast(embree.scene, cores),
        "embree_1+build": lambda: embree.cast(embree.build(), 1),
        "embree_all+build": lambda: embree.cast(embree.build(), cores),
    }
    measured = compare(sides, rounds=config.rounds, min_seconds=config.min_seconds)
    row["probe_cores"] = [round(p, 2) for p in measured.probe]
    for name, samples in measured.samples.items():
        row["operations"].setdefault(name, {}).update(
            min_ms=round(min(s.wall for s in samples) * 1e3, 3),
            median_ms=round(statistics.median(s.wall for s in samples) * 1e3, 3),
            cpu_per_wall=[round(s.cpu_per_wall, 2) for s in samples],
        )
    row["ratios"] = {
        "embree / hard": _ratio(measured, ("embree_1", "embree_all"), "hard"),
        "embree with build / hard": _ratio(measured, ("embree_1+build", "embree_all+build"), "hard"),
        "interpolate+gradient / hard": _ratio(measured, ("interpolate+gradient",), "hard"),
        "antialias+gradient / hard": _ratio(measured, ("antialias+gradient",), "hard"),
        "soft+gradient / hard": _ratio(measured, ("soft+gradient",), "hard"),
    }
    return row


def _ratio(measured, numerators: tuple[str, ...], denominator: str) -> dict[str, float]:
    """Time over time, round by round; of several numerators the faster."""
    values = [min(r) for r in zip(*(measured.ratios(name, denominator) for name in numerators))]
    return {key: round(f(values), 3) for key, f in (("median", statistics.median), ("min", min), ("max", max))}


def _megabytes(count: int | None) -> float | None:
    return None if count is None else round(count / 1e6, 2)


def main(config: Config) -> dict[str, Any]:
    """Runs every case, prints it, and writes all of them after each."""
    results = {
        "config": dataclasses.asdict(config) | {"out": str(config.out)},
        "environment": environment("embreex"),
        "rows": [],
    }
    for lod in config.lods:
        for size in config.sizes:
            for views in config.views:
                results["rows"].append(case(lod, size, views, config))
                print(report(results["rows"][-1]), flush=True)
                write_results(config.out, results)
    return results


def report(row: dict[str, Any]) -> str:
    """A case as text."""
    lines = [f"{row['faces']} faces, {row['size']}^2, {row['views']} view(s), {row['covered']:.1%} covered"]
    for name, values in row["operations"].items():
        compile_s = f"{values['compile_s']:6.2f} s" if "compile_s" in values else " " * 8
        memory = f"{values['temp_mb']:8.1f} MB" if values.get("temp_mb") is not None else ""
        lines.append(
            f"  {name:22s} median {values['median_ms']:9.2f} ms  min {values['min_ms']:9.2f} ms  {compile_s} {memory}"
        )
    lines += [f"  {k:28s} {v['median']:.2f} [{v['min']:.2f}..{v['max']:.2f}]" for k, v in row["ratios"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Config))
