"""What a `hoijax` command costs: processor and wall-clock seconds of first and second runs, imports, install sizes.

    python -m hoijax.experiments.benchmarks.commands

Each command runs in a process of its own, with a cache folder of its own that is empty before the first run of a case;
`none` is the same with `--no-cache`. Processor seconds count all threads, user and system; on a machine that does other
things too they grow by a third, so the load is written down. Two cores: about six minutes of processor time. Wanted for
the demo's chair: first run below 45 CPU seconds, second below 12; `--steps 5 --lod test --pictures 0` first below 20;
`hoijax --help` below 0.2 s. Writes `docs/results/commands.{json,md}`, from a checkout; `--only NAME,...` replaces those
rows alone, `--page` writes the page from the JSON.
"""

import dataclasses
import importlib.metadata
import importlib.resources
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import tyro
from packaging.requirements import Requirement

from hoijax.io import check_output_directory, write_json, write_text

RESULTS = pathlib.Path("docs/results")
JAX_SETTINGS = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "JAX_COMPILATION_CACHE_MAX_SIZE")  # fmt: skip
EXTRA = "data"
"""The extra whose packages are weighed."""


@dataclasses.dataclass(frozen=True)
class TimedCommand:
    """One command, run in each of some states of the cache."""

    title: str
    """What the table calls it."""
    command: tuple[str, ...]
    """After `python -m`; {assets} and {out} are folders."""
    runs: tuple[str, ...] = ("first", "second")
    """States of the cache, in order."""
    wanted: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """State to the CPU seconds to stay below."""


_CHAIR = ("hoijax.cli", "refine", "--body={assets}/sit_chair.npz", "--object={assets}/sit_chair.glb", "--out={out}",
          "--redo")  # fmt: skip
CASES: dict[str, TimedCommand] = {
    "help": TimedCommand("`hoijax --help`", ("hoijax.cli", "--help"), ("second",), {"second": 0.2}),
    "verb_help": TimedCommand("`hoijax refine --help`", ("hoijax.cli", "refine", "--help"), ("second",)),
    "chair": TimedCommand("`hoijax refine`, the demo's chair", _CHAIR, wanted={"first": 45.0, "second": 12.0}),
    "small": TimedCommand(
        "the same with `--steps 5 --lod test --pictures 0`", (*_CHAIR, "--steps=5", "--lod=test", "--pictures=0"),
        wanted={"first": 20.0},
    ),
    "render": TimedCommand(
        "`hoijax render`, four views of the chair",
        ("hoijax.cli", "render", "{assets}/sit_chair.glb", "--out={out}/chair.png"),
        ("none", "first", "second"),
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config:
    """Options."""

    only: str = ""
    """Names of cases, separated by commas; without it all, and the sizes."""
    page: bool = False
    """Only write the page from the JSON."""
    results: pathlib.Path = RESULTS
    """Folder of the results."""


def measure_command(case: TimedCommand, folder: pathlib.Path) -> dict[str, dict[str, float]]:
    """Runs a case in each of its states; a cache that is filled by one run serves the next.

    Args:
      case: what to run.
      folder: an empty one for cache and results.

    Returns:
      State to wall-clock and CPU seconds and the load of the machine before.

    Raises:
      RuntimeError: a run failed; its output is in the message.
    """
    environment = {k: v for k, v in os.environ.items() if k not in JAX_SETTINGS}
    environment["HOIJAX_CACHE"] = str(folder / "cache")
    rows = {}
    with importlib.resources.as_file(importlib.resources.files("hoijax.assets") / "demo") as assets:
        places = {"assets": assets, "out": folder / "out"}
        (folder / "out").mkdir(exist_ok=True)
        for state in case.runs:
            command = [sys.executable, "-m", *(part.format(**places) for part in case.command)]
            command += ["--no-cache"] if state == "none" else []
            load, before, began = os.getloadavg()[0], _children(), time.perf_counter()
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            wall = time.perf_counter() - began
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
            rows[state] = {"cpu": round(_children() - before, 2), "wall": round(wall, 2), "load": round(load, 1)}
            print(f"{case.title}, {state}: {rows[state]}", flush=True)
    return rows


def _children() -> float:
    """CPU seconds of all ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_import(module: str) -> float:
    """CPU seconds of a process that imports a module, less those of one that imports nothing."""

    def spend(code: str) -> float:
        before = _children()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        return _children() - before

    return round(min(spend(f"import {module}") for _ in range(3)) - min(spend("") for _ in range(3)), 2)


def install_sizes() -> dict[str, Any]:
    """Megabytes and numbers of the installed packages: of the main job, and what the extra adds to it."""
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    main = [Requirement(text) for text in project["dependencies"]]
    more = [Requirement(text) for text in project["optional-dependencies"][EXTRA]]
    core, whole = _closure(main), _closure([*main, *more])
    added = {name: round(_megabytes(name), 1) for name in whole - core}
    return {
        "main": {"packages": len(core), "megabytes": round(sum(map(_megabytes, core)))},
        "with_data": {"packages": len(whole), "megabytes": round(sum(map(_megabytes, whole)))},
        "largest": dict(sorted(added.items(), key=lambda item: -item[1])[:5]),
        "imports": {
            name: measure_import(module)
            for name, module in (
                ("tensorflow-datasets", "tensorflow_datasets"), ("grain", "grain"),
                ("array-record", "array_record.python.array_record_module"), ("orbax-checkpoint", "orbax.checkpoint"),
                ("jax", "jax"), ("all of `hoijax refine`", "hoijax.jobs.interactions"),
            )
        },
    }  # fmt: skip


def _closure(requirements: Sequence[Requirement]) -> set[str]:
    """Names of the installed packages that some requirements bring with them."""
    seen: dict[str, frozenset[str]] = {}
    waiting = [(r.name, frozenset(r.extras)) for r in requirements]
    while waiting:
        name, extras = waiting.pop()
        name = name.lower().replace("_", "-").replace(".", "-")
        if name in seen and extras <= seen[name]:
            continue
        seen[name] = seen.get(name, frozenset()) | extras
        try:
            needs = importlib.metadata.requires(name) or ()
        except importlib.metadata.PackageNotFoundError:  # of another system
            del seen[name]
            continue
        for need in map(Requirement, needs):
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in ("", *extras)):
                waiting.append((need.name, frozenset(need.extras)))
    return set(seen)


def _megabytes(name: str) -> float:
    files = importlib.metadata.files(name) or ()
    paths = (pathlib.Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def write_page(folder: pathlib.Path) -> pathlib.Path:
    """Writes the page of the JSON file beside it."""
    measured = json.loads((folder / "commands.json").read_text())
    lines = [
        "# What a command costs", "",
        "`python -m hoijax.experiments.benchmarks.commands` prints this page again. Seconds of processor time (all "
        "threads, user and system) / wall clock; `no cache` is `--no-cache`, `first` fills an empty cache folder, "
        f"`second` reads it. {measured['cores']} cores; load of the machine before a run in brackets: other work "
        "on the same cores lengthens both numbers.", "",
        "| command | no cache | first | second | wanted, processor |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, rows in measured["commands"].items():
        cells = [
            "" if state not in rows
            else f"{rows[state]['cpu']:.3g} / {rows[state]['wall']:.3g} ({rows[state]['load']:.0f})"
            for state in ("none", "first", "second")
        ]  # fmt: skip
        wanted = ", ".join(f"{state} < {seconds:g}" for state, seconds in CASES[name].wanted.items())
        lines.append(f"| {CASES[name].title} | {' | '.join(cells)} | {wanted} |")
    sizes = measured["sizes"]
    main, whole = sizes["main"], sizes["with_data"]
    largest = ", ".join(f"{name} {size:g}" for name, size in sizes["largest"].items())
    lines += [
        "", "## Installs", "",
        "| what | packages | megabytes |", "|---|---|---|",
        f"| `pip install .`: refine, reconstruct, render, view | {main['packages']} | {main['megabytes']} |",
        f"| `pip install -r requirements.txt`, with [data] | {whole['packages']} | {whole['megabytes']} |", "",
        f"The largest that [data] adds, megabytes: {largest}. orbax-checkpoint comes with flax in any case.", "",
        "Processor seconds of importing, alone in a process: "
        + ", ".join(f"{name} {seconds:g}" for name, seconds in sizes["imports"].items()) + ".", "",
    ]  # fmt: skip
    write_text(folder / "commands.md", "\n".join(lines))
    return folder / "commands.md"


def main(config: Config) -> None:
    """Measures, writes the JSON and the page."""
    names = [name for name in config.only.split(",") if name] or list(CASES)
    if unknown := sorted(set(names) - set(CASES)):
        raise SystemExit(f"--only {', '.join(unknown)}: wanted names among {', '.join(CASES)}")
    check_output_directory(config.results)
    config.results.mkdir(parents=True, exist_ok=True)
    path = config.results / "commands.json"
    if not config.page:
        measured = json.loads(path.read_text()) if path.is_file() else {"commands": {}}
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                measured["commands"][name] = measure_command(CASES[name], pathlib.Path(folder))
        if not config.only or "sizes" not in measured:
            measured["sizes"] = install_sizes()
        measured["cores"] = os.cpu_count()
        measured["versions"] = {name: importlib.metadata.version(name) for name in ("hoijax", "jax", "numpy")}
        write_json(path, measured)
    print(write_page(config.results).read_text())


if __name__ == "__main__":
    main(tyro.cli(Config))
