"""Building SynthHOI as a job: an item is a shard, which depends on nothing outside of it."""

import dataclasses
import functools
import importlib.metadata
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from hoijax.data.synth import SynthConfig, building
from hoijax.data.synth.building import BuildReport, finish_build, shard_size, start_build
from hoijax.errors import InputError
from hoijax.io import value_digest
from hoijax.jobs.engine import Executor, Item, Job, Watch, run_job
from hoijax.jobs.screen import Phases

Shard = tuple[list[bytes], dict[str, Any]]
"""Records of a shard, and its statistics."""


@dataclasses.dataclass(frozen=True)
class BuildRequest:
    """What to build where; plain values, so that another machine can be asked."""

    config: SynthConfig
    """What to make; its number of workers counts for nothing here."""
    root: pathlib.Path
    """The folder of TFDS datasets."""


def prepare_job(request: BuildRequest) -> Job:
    """One item per shard; the statistics of a shard are its record. Touches no file."""
    config, root = request.config, request.root
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k != "workers"}
    settings["version"] = importlib.metadata.version("hoijax")
    items = []
    for split, shard in building.shard_tasks(config):
        path = building.record_path(root, config, split, shard)
        items.append(
            Item(
                name=f"{split}-{shard:05d}",
                folder=path.parent,
                key=value_digest(settings | {"split": split, "shard": shard}),
                files=(path.name,),
                inputs=(split, shard),
                record=str(building.statistics_path(root, config, split, shard).relative_to(path.parent)),
            )
        )
    return Job(tuple(items), functools.partial(_compute, config), _write, units="shards")


def build_synth(request: BuildRequest, execute: Executor | None = None) -> BuildReport:
    """Makes the shards that are missing, then what TFDS reads first.

    Args:
      request: what to build.
      execute: where; None: in this process.

    Raises:
      InputError: the folder cannot be written, holds another build, or a shard could not be made.
    """
    began, phases = time.monotonic(), Phases()
    start_build(request.config, request.root)
    job = prepare_job(request)
    with phases("shards"):
        outcome = run_job(job, request.root, execute=execute)
    if outcome.failures:
        raise InputError(next(iter(outcome.failures.values())))
    made = sum(shard_size(request.config, *item.inputs) for item in job.items if item.name in outcome.fresh)
    return finish_build(request.config, request.root, made, time.monotonic() - began)


def _compute(config: SynthConfig, batch: Sequence[Item], watch: Watch) -> list[Shard | InputError]:
    watch(0.0, "shards")
    results: list[Shard | InputError] = []
    for item in batch:
        try:
            results.append(building.shard_records(config, *item.inputs))
        except InputError as error:
            results.append(error)
    return results


def _write(item: Item, shard: Shard) -> dict[str, Any]:
    records, statistics = shard
    building.write_shard(item.folder / item.files[0], records)
    return statistics
