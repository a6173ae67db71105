"""How hoijax measures speed: interleaved pairs, compilation apart, CPU time beside wall time.

A busy or badly scheduled machine hits both sides of a comparison, but not at the same moment. So the sides run turn by
turn, the ratio is taken within each round, and every sample records CPU time per wall time: a round in which a side had
fewer cores than the machine owns is marked as not clean and reported apart. A probe of two plain threads tells, before
each round, whether two cores were there to be had at all; it is what remains to judge work that one core does anyway.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from hoijax.experiments.common.environment import environment as environment

CLEAN_SHARE = 0.8
"""A round is clean when both sides used at least this share of the cores (1.6 of 2, rasterizer.md section 0)."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One timed stretch: seconds per call, and the CPU seconds the process spent per wall second meanwhile."""

    wall: float
    cpu_per_wall: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Samples of every side, round by round; `probe` is the cores two plain threads got before each round."""

    samples: Mapping[str, tuple[Sample, ...]]
    probe: tuple[float, ...]
    cores: int

    def clean_rounds(self, *sides: str) -> list[int]:
        """Rounds in which each of `sides` (default: all) used at least `CLEAN_SHARE` of the cores."""
        names = sides or tuple(self.samples)
        need = CLEAN_SHARE * self.cores
        return [i for i in range(len(self.probe)) if all(self.samples[n][i].cpu_per_wall >= need for n in names)]

    def ratios(self, rival: str, ours: str, rounds: list[int] | None = None) -> list[float]:
        """Time of `rival` over time of `ours` in each round (of `rounds`, default all): above one, ours is faster."""
        rounds = list(range(len(self.probe))) if rounds is None else rounds
        return [self.samples[rival][i].wall / self.samples[ours][i].wall for i in rounds]

    def summary(self, rival: str, ours: str) -> dict[str, Any]:
        """A row for a result file: times in ms, ratios of all rounds and of the clean ones."""
        clean = self.clean_rounds(rival, ours)
        row: dict[str, Any] = {"rounds": len(self.probe), "clean_rounds": len(clean), "cores": self.cores}
        row["probe_cores"] = [round(p, 2) for p in self.probe]
        for name in (rival, ours):
            walls = [s.wall * 1e3 for s in self.samples[name]]
            row[name] = {
                "min_ms": round(min(walls), 4),
                "median_ms": round(statistics.median(walls), 4),
                "all_ms": [round(w, 4) for w in walls],
                "cpu_per_wall": [round(s.cpu_per_wall, 2) for s in self.samples[name]],
            }
        row["ratio_all"] = _spread(self.ratios(rival, ours))
        row["ratio_clean"] = _spread(self.ratios(rival, ours, clean))
        row["ratio_of_minima"] = round(row[rival]["min_ms"] / row[ours]["min_ms"], 3)
        return row


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {key: round(f(values), 3) for key, f in (("median", statistics.median), ("min", min), ("max", max))}


def time_calls(call: Callable[[], object], *, min_seconds: float = 0.2) -> Sample:
    """Calls `call` (which must wait for its own result) for at least `min_seconds`; the mean of those calls."""
    count, cpu, start = 0, time.process_time(), time.perf_counter()
    while True:
        call()
        count += 1
        wall = time.perf_counter() - start
        if wall >= min_seconds:
            return Sample(wall / count, (time.process_time() - cpu) / wall)


def probe_cores(seconds: float = 0.05) -> float:
    """CPU seconds per wall second that two threads of plain work get now: near 2, or near 1 when they share a core."""
    data = bytes(1 << 20)

    def work() -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            hashlib.sha256(data).digest()  # leaves the interpreter lock while it runs

    threads = [threading.Thread(target=work) for _ in range(2)]
    cpu, start = time.process_time(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.process_time() - cpu) / (time.perf_counter() - start)


def compare(
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 7,
    min_seconds: float = 0.2,
    settle: float = 0.1,
) -> Comparison:
    """Times every side in every round, in an order that turns about, after one warm-up call each.

    Args:
      sides: name -> a call without arguments that returns when its result is there.
      rounds: number of interleaved rounds.
      min_seconds: each sample lasts at least that long.
      settle: pause before each sample, seconds; thread pools that spin after their work must not bill the next side.

    Returns:
      All samples; nothing is thrown away.
    """
    for call in sides.values():
        call()
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    probe = []
    for i in range(rounds):
        probe.append(probe_cores())
        order = list(sides) if i % 2 == 0 else list(reversed(sides))
        for name in order:
            time.sleep(settle)
            samples[name].append(time_calls(sides[name], min_seconds=min_seconds))
    return Comparison({name: tuple(rows) for name, rows in samples.items()}, tuple(probe), os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled JAX function, what it took to compile, and the memory it plans for, in bytes."""

    call: Callable[..., Any]
    trace_seconds: float
    compile_seconds: float
    temp_bytes: int | None
    output_bytes: int | None


def compile_timed(function: Callable[..., Any], *args: Any) -> Compiled:
    """Lowers and compiles `function` for `args` ahead of time, so that no timing holds a compilation."""
    start = time.perf_counter()
    lowered = jax.jit(function).lower(*args)
    traced = time.perf_counter()
    compiled = lowered.compile()
    done = time.perf_counter()
    memory = compiled.memory_analysis()
    temp, output = (getattr(memory, f"{kind}_size_in_bytes", None) for kind in ("temp", "output"))
    return Compiled(compiled, traced - start, done - traced, temp, output)


def write_results(path: str | os.PathLike, results: Mapping[str, Any]) -> None:
    """Writes `results` as JSON under a temporary name, then renames, so that a reader never meets half a file."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    part.replace(path)
