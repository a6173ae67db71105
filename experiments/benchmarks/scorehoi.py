"""Speed of ScoreHOI: the denoiser against PyTorch, and images per second from crop to meshes.

    python -m hoijax.experiments.benchmarks.scorehoi --out=docs/results

First the released denoiser at full size, 362 million parameters: written again in PyTorch (`scorehoi_torch`), in hoijax
as it is, and folded; turn by turn in one process, on the same weights, after their answers have been compared. Then
`compile_reconstruction` (regressor, N iterations of guided refinement, mesh refiner) with random weights, N = 2 and 10.

Writes `scorehoi_speed.json` and the table `scorehoi_speed.md`. Rows whose N = 10 would take longer than
`longest` seconds a call are five times their N = 2, and say so. About five minutes on two cores, most of it
compilation, which JAX_COMPILATION_CACHE_DIR keeps. The smoke test is
`--rounds=1 --min-seconds=0 --batches 1 --sizes small --iterations 2`.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import trimesh
import tyro
from flax import nnx

from hoijax.body_models import free_body, resample_vertices
from hoijax.experiments.benchmarks.timing import compare, environment, write_results
from hoijax.experiments.common.pages import page, table
from hoijax.geometry import Mesh
from hoijax.interaction import make_template
from hoijax.io import write_text
from hoijax.nets import weights as convert
from hoijax.nets.scorehoi import (
    Conditions,
    Denoiser,
    ScoreHOIRegressor,
    fold,
    make_denoiser,
)
from hoijax.nets.scorehoi.state import BetasRange
from hoijax.systems.scorehoi import GuidedConfig, compile_reconstruction, guided_body, guided_scene
from hoijax.systems.scorehoi.networks import sizes_of

PUBLISHED = {10: 0.2895, 2: 2.0080}
"""N -> images per second of the paper (table 2, RTX 4090)."""
SIZES = {"small": ("small", "pooled"), "tokens": ("small", "ip_adapter"), "full": ("full", "ip_adapter")}
"""Row -> size and attention of the denoiser: "small" is what is shipped, "tokens" the same regressor with the denoiser
that reads the state as 55 tokens."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    out: pathlib.Path = pathlib.Path("runs/benchmarks")
    """Folder of the results."""
    batches: tuple[int, ...] = (1, 32, 256)
    """Images per call."""
    slow_batches: tuple[int, ...] = (1,)
    """The same of the sizes that are not "small", where 32 images take minutes on two cores."""
    sizes: tuple[str, ...] = ("small", "tokens", "full")
    """Of regressor and denoiser; rows of others that `out` already has are kept."""
    iterations: tuple[int, ...] = (2, 10)
    """N."""
    step: int = 2
    """Time indices between two evaluations of the denoiser."""
    rival: bool = True
    """Whether to measure the released denoiser against PyTorch; if not, the rows that `out` already has are kept."""
    longest: float = 20.0
    """Seconds a call may take."""
    rounds: int = 7
    """Interleaved rounds per row."""
    min_seconds: float = 0.3
    """Length of one sample."""


def random_module(build: Any, seed: int = 0) -> Any:
    """A module in evaluation mode with random weights of a size that keeps its activations of order one."""
    module = convert.abstract(build)
    rng = np.random.default_rng(seed)

    def draw(x):
        noise = rng.standard_normal(x.shape, dtype=np.float32)
        return jnp.asarray(1 + 0.1 * noise if x.ndim < 2 else noise / np.sqrt(np.prod(x.shape[:-1])), x.dtype)

    nnx.update(module, jax.tree.map(draw, nnx.state(module, (nnx.Param, nnx.BatchStat))))
    module.eval()
    return module


def main(config: Config) -> dict[str, Any]:
    """Measures every row, prints it, and writes all of them after each."""
    result = {
        "config": dataclasses.asdict(config) | {"out": str(config.out)},
        "environment": environment("torch"),
        "denoiser": [],
        "images": [],
    }
    path = config.out / "scorehoi_speed.json"
    if path.exists():
        known = json.loads(path.read_text())
        result["images"] = [row for row in known["images"] if row["size"] not in config.sizes]
        if not config.rival:
            result["denoiser"] = known["denoiser"]

    def add(table: str, row: dict[str, Any]) -> None:
        result[table].append(row | {"cpu": result["environment"]["cpu"]})
        print(row, flush=True)
        write_results(path, result)

    if config.rival:
        for row in denoiser_rows(config):
            add("denoiser", row)
    for size in config.sizes:
        for row in image_rows(size, config):
            add("images", row)
    write_text(config.out / "scorehoi_speed.md", markdown(result))
    return result


def denoiser_rows(config: Config):
    """The released denoiser in PyTorch, whole and folded, on the same weights and inputs."""
    import torch

    from hoijax.experiments.benchmarks import scorehoi_torch

    torch.manual_seed(0)
    rival = scorehoi_torch.Denoiser().eval()
    weights = {key: value.numpy() for key, value in rival.state_dict().items()}
    whole = convert.from_torch("scorehoi_denoiser", weights)
    calls = {"hoijax": _compile(whole), "hoijax_folded": _compile(fold(whole))}
    for batch in config.batches:
        rng = np.random.default_rng(batch)
        x, image, obj = (rng.standard_normal((batch, n), np.float32) for n in (331, 2048, 1216))
        t = np.linspace(2, 50, batch, dtype=np.float32)
        tensors = [torch.tensor(v) for v in (x, t, image, obj)]
        sides = {
            f"torch_{n}": lambda n=n, tensors=tensors: (torch.set_num_threads(n), rival(*tensors))
            for n in sorted({1, os.cpu_count() or 1})
        }
        rivals = list(sides)
        for name, call in calls.items():
            sides[name] = lambda call=call, x=x, t=t: jax.block_until_ready(call(x, t))
        want = rival(*tensors).numpy()
        error = max(float(np.abs(np.asarray(call(x, t)) - want).max()) for call in calls.values())
        if error > 1e-3 * np.abs(want).max():
            raise AssertionError(f"the sides disagree by {error:.2e}: they do not measure the same thing")
        times = compare(sides, rounds=config.rounds, min_seconds=config.min_seconds)
        # With more threads than there are free cores PyTorch is many times slower: the better number is its own.
        best = min(rivals, key=lambda name: statistics.median(s.wall for s in times.samples[name]))
        for name in calls:
            yield {"batch": batch, "side": name, "rival": best, "max_difference": error} | times.summary(best, name)


def _compile(net: nnx.Module):
    graph, state = nnx.split(net)
    run = jax.jit(lambda state, x, t: nnx.merge(graph, state)(x, t))
    return lambda x, t: run(state, x, t)


def image_rows(size: str, config: Config):
    """Images per second of one size, for every batch and N."""
    regressor_config, denoiser_config = sizes_of(*SIZES[size])
    regressor = random_module(lambda rngs: ScoreHOIRegressor(regressor_config, rngs))
    denoiser = random_module(lambda rngs: make_denoiser(denoiser_config, rngs), 1)
    limits = np.full(10, 3.0, np.float32)
    body = guided_body(free_body(), resample_vertices(free_body()), BetasRange(low=-limits, high=limits))
    box = trimesh.creation.box((0.4, 0.3, 0.3))
    template = make_template(Mesh(np.asarray(box.vertices, np.float32), np.asarray(box.faces, np.int32)))
    crop, numbers = regressor_config.hand4whole.crop, regressor_config.hand4whole.object_features
    for batch in config.batches if size == "small" else config.slow_batches:
        rng = np.random.default_rng(batch)
        scene = guided_scene([template] * batch)
        given = (
            body,
            scene,
            rng.random((batch, crop, crop, 5), np.float32),
            rng.random((batch, numbers), np.float32),
        )
        evaluation = _evaluation_seconds(denoiser, given[-1], batch, config)
        first = None
        for count in config.iterations:
            row = {"size": size, "batch": batch, "iterations": count, "denoiser_ms": evaluation * 1e3}
            scaled = count / config.iterations[0]
            if first is not None and first * scaled > config.longest:
                yield row | {"seconds": first * scaled, "images_per_second": batch / (first * scaled), "derived": True}
                continue
            guided = GuidedConfig(iterations=count, step=config.step)
            run = compile_reconstruction(regressor, denoiser, config=guided)
            start = time.perf_counter()
            jax.block_until_ready(run(*given))
            compiled = time.perf_counter() - start
            seconds = _best(lambda run=run, given=given: run(*given), 2 if compiled < config.longest else 1)
            first = seconds if first is None else first
            yield row | {"seconds": seconds, "images_per_second": batch / seconds, "first_call_s": compiled}


def _evaluation_seconds(denoiser: Denoiser, obj: np.ndarray, batch: int, config: Config) -> float:
    """Seconds of one evaluation, the conditions encoded before."""
    sizes = denoiser.config
    graph, state = nnx.split(denoiser)
    cells = np.ones((batch, getattr(sizes, "image_tokens", 1), sizes.image_features), np.float32)
    conditions = Conditions(image=cells, geometry=obj)
    context = jax.jit(lambda state, c: nnx.merge(graph, state).encode(c))(state, conditions)
    run = jax.jit(lambda state, x, t, context: nnx.merge(graph, state)(x, t, context))
    x, t = np.ones((batch, 331), np.float32), np.full(batch, 10.0, np.float32)
    jax.block_until_ready(run(state, x, t, context))
    return _best(lambda: run(state, x, t, context), max(3, config.rounds))


def _best(call: Any, times: int) -> float:
    """Seconds of the fastest of some calls."""
    walls = []
    for _ in range(times):
        start = time.perf_counter()
        jax.block_until_ready(call())
        walls.append(time.perf_counter() - start)
    return min(walls)


def markdown(result: dict[str, Any]) -> str:
    """The rows as a page."""
    env = result["environment"]
    probes = [probe for row in result["denoiser"] for probe in row["probe_cores"]]
    cores = f"Two plain threads got {statistics.median(probes):.1f} cores." if probes else ""
    names = {"hoijax": "as released, less what cannot matter", "hoijax_folded": "folded"}

    def evaluation(row: dict[str, Any]) -> list[str]:
        ratio, mark = (row["ratio_clean"], "") if row["ratio_clean"] else (row["ratio_all"], "*")
        faster = f"**{ratio['median']:.1f}**{mark} ({ratio['min']:.1f}, {ratio['max']:.1f})"
        theirs = f"{row[row['rival']]['median_ms']:.1f} ({row['rival'].removeprefix('torch_')})"
        ours, clean = f"{row[row['side']]['median_ms']:.1f}", f"{row['clean_rounds']} of {row['rounds']}"
        return [str(row["batch"]), names[row["side"]], theirs, ours, faster, clean, row["cpu"]]

    single: dict[tuple[str, int], float] = {}

    def images(row: dict[str, Any]) -> list[str]:
        base = single.setdefault((row["size"], row["iterations"]), row["images_per_second"])
        derived = " (x5)" if row.get("derived") else ""
        return [
            row["size"], str(row["batch"]), str(row["iterations"]), f"{row['seconds']:.2f}{derived}",
            f"{row['images_per_second']:.3f}", f"{row['images_per_second'] / base:.1f}", f"{row['denoiser_ms']:.1f}",
            row["cpu"],
        ]  # fmt: skip

    return page(
        "Speed of ScoreHOI",
        "`python -m hoijax.experiments.benchmarks.scorehoi --out=docs/results`, "
        f"{env['cores']} cores; jax {env['versions']['jax']}, torch {env['versions']['torch']}. {cores}\n"
        "Rows of different processors are of different runs and do not compare.",
        "One evaluation of the released denoiser (362 million parameters), turn by turn in one process, medians in\n"
        "milliseconds; the ratio is that of clean rounds (both sides had the cores to themselves), of all rounds "
        "where\nmarked with *. PyTorch runs with one thread and with all; the better counts.",
        table(
            ["batch", "", "PyTorch (threads)", "hoijax", "ratio: median (min, max)", "clean rounds", "processor"],
            map(evaluation, result["denoiser"]),
        ),
        "As released, but without the queries and keys that cannot matter; folded, all that is linear is one matrix.",
        "From crops to meshes by `compile_reconstruction`: regressor, N iterations of\n"
        f"inversion and guided sampling (tau = 50, step {result['config']['step']}), mesh refiner; the fastest of two"
        " calls, compilation apart. (x5) is five\ntimes the measured N = 2. The paper's own, on an RTX 4090: "
        + ", ".join(f"{fps:.2f} images/s at N = {n}" for n, fps in PUBLISHED.items())
        + ".",
        "Small is what hoijax ships (a denoiser with one token per condition), tokens the same regressor with the "
        "denoiser that reads the state as 55 tokens, full the published regressor with such a denoiser.",
        table(
            ["size", "batch", "N", "seconds per call", "images/s", "per image, against the smallest batch",
             "denoiser, ms", "processor"],
            map(images, result["images"]),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main(tyro.cli(Config))
