"""Speed of the photograph networks: against LiteRT on the published files, and by batch size.

    python -m hoijax.experiments.benchmarks.blaze --out=docs/results [--packages=/tmp/packages]

Every network on one picture, LiteRT with as many threads as cores beside it, turn by turn (`timing.compare`); then
batches of 1, 8 and 32 in one device program; then the work of one core (`one_core`), which other work does not touch.
LiteRT needs ai-edge-litert (extra `parity`) and the packages that
`tools/blaze/convert.py` fetches; without `--packages` only the batches are timed.

Writes `blaze_speed.json` and the table `blaze_speed.md`. About five minutes on two cores.
"""

import dataclasses
import json
import pathlib
import statistics
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from hoijax.experiments.benchmarks import one_core, timing
from hoijax.io.files import write_text
from hoijax.nets.blaze import load, run_box_network, run_detector, run_hand_network, run_landmarker

NETWORKS: dict[str, tuple[Callable[..., Any], int]] = {
    "detector": (run_detector, 224),
    "landmarks": (run_landmarker, 256),
    "hand": (run_hand_network, 224),
    "chair": (run_box_network, 224),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is timed."""

    out: pathlib.Path = pathlib.Path("docs/results")
    """Folder of the result files."""

    packages: pathlib.Path | None = None
    """Folder of the npm packages; None leaves LiteRT out."""

    networks: tuple[str, ...] = tuple(NETWORKS)
    """Networks to time."""

    batches: tuple[int, ...] = (1, 8, 32)
    """Pictures in one program; the first also stands against LiteRT."""

    rounds: int = 7
    """Interleaved rounds."""

    min_seconds: float = 0.3
    """Least length of a sample, seconds."""

    calls: int = 60
    """Calls of each side on one core; 0 leaves this part out."""

    renew: bool = False
    """Measure the work of one core alone; the rest stays as the files in `out` have it."""

    duels: int = 60
    """Interleaved single calls against LiteRT; on a busy machine the fastest of many calls is the fairest."""


def measure(name: str, config: Config) -> dict[str, Any]:
    """One network's row: compilation, milliseconds per picture by batch, and the comparison with LiteRT."""
    function, side = NETWORKS[name]
    params = load(name)
    rng = np.random.default_rng(0)
    row: dict[str, Any] = {"name": name, "compile_s": {}, "peak_mb": {}}
    sides: dict[str, Callable[[], object]] = {}
    for batch in config.batches:
        pictures = jnp.asarray(rng.random((batch, side, side, 3)), jnp.float32)
        compiled = timing.compile_timed(function, params, pictures)
        row["compile_s"][batch] = round(compiled.trace_seconds + compiled.compile_seconds, 1)
        row["peak_mb"][batch] = None if compiled.temp_bytes is None else round(compiled.temp_bytes / 1e6)
        sides[f"jax {batch}"] = lambda call=compiled.call, x=pictures: jax.block_until_ready(call(params, x))
    result = timing.compare(sides, rounds=config.rounds, min_seconds=config.min_seconds)
    first = f"jax {config.batches[0]}"
    row["probe_cores"] = [round(p, 2) for p in result.probe]
    row["ms_per_picture"] = {b: _median_ms(result, f"jax {b}") / b for b in config.batches}
    row["batch_gain"] = {
        b: statistics.median(result.ratios(first, f"jax {b}")) * b / config.batches[0] for b in config.batches
    }
    if config.packages is not None:
        rival = _litert(name, config.packages, rng.random((side, side, 3)).astype(np.float32))
        duel = {"litert": rival, first: sides[first]}
        result = timing.compare(duel, rounds=config.duels, min_seconds=0.0, settle=0.02)
        row["litert"] = result.summary("litert", first)
        row["litert"]["first"] = first
    if config.calls:
        row["one_core"] = _measure_one_core(name, config)
    return row


def _measure_one_core(name: str, config: Config) -> dict[str, float] | None:
    function, side = NETWORKS[name]
    return one_core.measure_one_core(name, function.__name__, side, config.packages, config.calls)


def _median_ms(result: timing.Comparison, name: str) -> float:
    return statistics.median(s.wall for s in result.samples[name]) * 1e3


def _litert(name: str, packages: pathlib.Path, picture: np.ndarray) -> Callable[[], object]:
    """LiteRT on the published file; the tools are no part of the package and are found from the repository's root."""
    sys.path.insert(0, str(pathlib.Path.cwd()))
    from tools.blaze.answers import litert
    from tools.blaze.sources import fetch

    run, _ = litert(fetch(name, packages))
    return lambda: run(picture)


def markdown(rows: list[dict[str, Any]], environment: dict[str, Any]) -> str:
    """The table of all networks."""
    batches = list(rows[0]["ms_per_picture"])
    head = ["network", *(f"ms a picture, batch {b}" for b in batches), f"gain of batch {batches[-1]}"]
    head += ["fastest call, LiteRT / ours ms", "ratio of the fastest", "median ratio of neighbours", "compile s"]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for row in rows:
        lite = row.get("litert")
        cells = [
            row["name"],
            *(f"{row['ms_per_picture'][b]:.1f}" for b in batches),
            f"{row['batch_gain'][batches[-1]]:.2f}",
        ]
        cells += _against(lite) if lite else ["", "", ""]
        cells.append(str(row["compile_s"][batches[0]]))
        lines.append(" | ".join(cells))
    table = "\n".join(f"| {line} |" for line in lines)
    where = f"{environment['cores']} cores ({environment['cpu']}), jax {environment['versions']['jax']}"
    return (
        "# Speed of the photograph networks\n\n"
        f"{where}, {environment['device']}, {environment['date']}; `python -m hoijax.experiments.benchmarks.blaze`. "
        "Interleaved rounds, medians where nothing else is said; ratios are LiteRT's time over ours, above one ours is "
        f"faster. Cores that two plain threads got meanwhile: {_probe(rows)} (median).\n\n"
        + table
        + "\n"
        + _one_core(rows, environment)
    )


def _one_core(rows: list[dict[str, Any]], environment: dict[str, Any]) -> str:
    known = {row["name"]: row["one_core"] for row in rows if row.get("one_core")}
    machine = environment.get("one_core", environment)
    return "\n" + one_core.markdown(known, f"{machine['cpu']}, {machine['date']}") if known else ""


def _probe(rows: list[dict[str, Any]]) -> str:
    cores = [core for row in rows for core in row["probe_cores"]]
    return f"{statistics.median(cores):.1f}"


def _against(row: dict[str, Any]) -> list[str]:
    ours = row[row["first"]]
    fastest = f"{row['litert']['min_ms']:.1f} / {ours['min_ms']:.1f}"
    return [fastest, f"{row['ratio_of_minima']:.2f}", f"{row['ratio_all']['median']:.2f}"]


def main(config: Config) -> list[dict[str, Any]]:
    """Times every network and writes the files."""
    rows, environment = [], timing.environment("ai-edge-litert")
    if config.renew:
        kept = json.loads((config.out / "blaze_speed.json").read_text())
        rows, environment = kept["rows"], kept["environment"] | {"one_core": environment}
    for name in config.networks:
        if config.renew:
            row = next(row for row in rows if row["name"] == name)
            row["one_core"] = _measure_one_core(name, config)
        else:
            rows.append(row := measure(name, config))
        print(row, flush=True)
    config.out.mkdir(parents=True, exist_ok=True)
    timing.write_results(config.out / "blaze_speed.json", {"environment": environment, "rows": rows})
    write_text(config.out / "blaze_speed.md", markdown(rows, environment))
    return rows


if __name__ == "__main__":
    main(tyro.cli(Config))
