"""Building SynthHOI: shards made one by one or by several processes, each written whole or not at all."""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import naming, splits
from tqdm import tqdm

from hoijax.data.synth.actions import ACTIONS
from hoijax.data.synth.config import SCENE_SPLITS, SPLITS, SynthConfig
from hoijax.data.synth.schema import VERSION, dataset_name, features
from hoijax.errors import InputError
from hoijax.io import output_directory, read_json, remove_partial_files, write_json

SHARD = 50
"""Samples of a shard: what one process makes at a time, and what is lost by a kill."""


@dataclasses.dataclass(frozen=True)
class BuildReport:
    """What a build did; of shards that were there before, too."""

    samples: dict[str, int]
    """Samples per split."""
    attempts: dict[str, int]
    """Solved candidates per action."""
    accepted: dict[str, int]
    """Of these accepted."""
    rejected: dict[str, dict[str, int]]
    """Per action, how many candidates failed which check; one may fail several."""
    seconds: float
    """Of this run, wall clock."""
    made: int
    """Samples made in this run."""
    bytes_per_sample: float

    def rate(self, action: str) -> float:
        """Share of an action's candidates that were accepted."""
        return self.accepted[action] / max(self.attempts[action], 1)


def build(config: SynthConfig, root: str | pathlib.Path, *, progress: bool = True) -> BuildReport:
    """Makes SynthHOI, or goes on where an earlier run was stopped.

    The datasets are `root/synth_hoi/1.0.0` and `root/synth_scene/1.0.0`, in TFDS's array_record layout.

    Args:
      config: what to make.
      root: the folder of TFDS datasets.
      progress: whether a bar is shown.

    Returns:
      Counts, acceptance per action and time.

    Raises:
      InputError: an action that does not exist; the folder cannot be written, or holds a build of another
        configuration.
    """
    began, root = time.monotonic(), pathlib.Path(root)
    tasks = start_build(config, root)
    missing = [task for task in tasks if not record_path(root, config, *task).exists()]
    sizes = {task: shard_size(config, *task) for task in tasks}
    bar = tqdm(total=sum(sizes.values()), initial=sum(n for t, n in sizes.items() if t not in missing),
               unit="sample", disable=not progress, desc="synth_hoi")  # fmt: skip
    with bar:
        for done in _run(config, root, missing):
            bar.update(sizes[done])
    return finish_build(config, root, sum(sizes[t] for t in missing), time.monotonic() - began)


def start_build(config: SynthConfig, root: pathlib.Path) -> list[tuple[str, int]]:
    """Makes the folders of a build.

    Args:
      config: what to make.
      root: the folder of TFDS datasets.

    Returns:
      Split and number of every shard.

    Raises:
      InputError: an action that does not exist; the folder cannot be written, or holds a build of another
        configuration.
    """
    unknown = [name for name in config.actions if name not in ACTIONS]
    if unknown:
        raise InputError(f"no action {', '.join(map(repr, unknown))}; there are {', '.join(ACTIONS)}")
    tasks = list(shard_tasks(config))
    for name in sorted({dataset_name(split) for split, _ in tasks}):
        _prepare(output_directory(root / name / VERSION), config)
    return tasks


def finish_build(config: SynthConfig, root: pathlib.Path, made: int, seconds: float) -> BuildReport:
    """Writes what TFDS reads first, once all shards are there.

    Args:
      config: what was made.
      root: the folder of TFDS datasets.
      made: samples that this run made.
      seconds: that it took.

    Raises:
      InputError: a shard has no statistics.
    """
    tasks = list(shard_tasks(config))
    for split in (*SPLITS, *SCENE_SPLITS):
        if config.count(split):
            _stats_check(root, config, split)
    for name in sorted({dataset_name(split) for split, _ in tasks}):
        _write_info(root, name, config)
    return _report(root, config, tasks, made, seconds)


def record_path(root: pathlib.Path, config: SynthConfig, split: str, shard: int) -> pathlib.Path:
    """The file of a shard, as TFDS names it."""
    name, total = dataset_name(split), _shards(config, split)
    return pathlib.Path(root) / name / VERSION / f"{name}-{split}.array_record-{shard:05d}-of-{total:05d}"


def statistics_path(root: pathlib.Path, config: SynthConfig, split: str, shard: int) -> pathlib.Path:
    """The JSON file with a shard's attempts and rejections."""
    return record_path(root, config, split, shard).parent / "statistics" / f"{split}-{shard:05d}.json"


def _shards(config: SynthConfig, split: str) -> int:
    return -(-config.count(split) // SHARD)


def shard_size(config: SynthConfig, split: str, shard: int) -> int:
    """Samples of a shard."""
    return min(SHARD, config.count(split) - shard * SHARD)


def shard_tasks(config: SynthConfig) -> Iterator[tuple[str, int]]:
    """Split and number of every shard."""
    for split in (*SPLITS, *SCENE_SPLITS):
        for shard in range(_shards(config, split)):
            yield split, shard


def _prepare(folder: pathlib.Path, config: SynthConfig) -> None:
    """Refuses a folder with another build; removes what a killed run left."""
    wanted = config.stored()
    path = folder / "config.json"
    if path.exists():
        settings = read_json(path)
        differing = [k for k in wanted | settings if settings.get(k) != wanted.get(k)]
        if differing:
            shown = ", ".join(f"{k} {settings.get(k)} there, {wanted.get(k)} asked for" for k in differing)
            raise InputError(f"{folder} holds a build of another configuration ({shown}); choose another root")
    else:
        write_json(path, wanted)
    output_directory(folder / "statistics")
    remove_partial_files(folder)
    remove_partial_files(folder / "statistics")


def _run(config: SynthConfig, root: pathlib.Path, missing: list[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    if config.workers == 0:
        for task in missing:
            yield _make(config, root, task)
        return
    if not missing:
        return
    context = multiprocessing.get_context("spawn")
    # One thread each: shards are the parallelism, and the order of sums does not depend on the number of cores.
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    kept = {name: os.environ.get(name) for name in ("XLA_FLAGS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    os.environ |= {
        "XLA_FLAGS": f"{kept['XLA_FLAGS'] or ''} {flags}",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        with concurrent.futures.ProcessPoolExecutor(
            min(config.workers, len(missing)), mp_context=context, initializer=_end_with_parent
        ) as pool:
            futures = [pool.submit(_make, config, root, task) for task in missing]
            try:
                for future in concurrent.futures.as_completed(futures):
                    yield future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list((pool._processes or {}).values()):
                    process.terminate()
                raise
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """Lets a worker end at once when the build is killed, rather than go on by itself and get in the next one's way."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def shard_records(config: SynthConfig, split: str, shard: int) -> tuple[list[bytes], dict[str, Any]]:
    """The records of a shard and its statistics."""
    from hoijax.data.synth.shards import make_shard

    first = shard * SHARD
    records, statistics = make_shard(config, split, range(first, first + shard_size(config, split, shard)))
    statistics["bytes"] = sum(map(len, records))
    return records, statistics


def _make(config: SynthConfig, root: pathlib.Path, task: tuple[str, int]) -> tuple[str, int]:
    """One shard: its statistics first, so that a record file is never without them."""
    records, statistics = shard_records(config, *task)
    write_json(statistics_path(root, config, *task), statistics)
    write_shard(record_path(root, config, *task), records)
    return task


def write_shard(path: pathlib.Path, records: list[bytes]) -> None:
    """Writes the record file of a shard, whole or not at all."""
    part = path.parent / f".{path.name}.{os.getpid()}.part"
    write_records(part, records)
    os.replace(part, path)


def write_records(path: pathlib.Path, records: list[bytes]) -> None:
    """An array_record file of those records, in their order, one per group: random access reads one."""
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


def _statistics(root: pathlib.Path, config: SynthConfig, split: str) -> list[dict[str, Any]]:
    return [read_json(statistics_path(root, config, split, s)) for s in range(_shards(config, split))]


def _stats_check(root: pathlib.Path, config: SynthConfig, split: str) -> None:
    for shard in range(_shards(config, split)):
        if not statistics_path(root, config, split, shard).exists():
            raise InputError(f"{record_path(root, config, split, shard)} has no statistics; remove it and build again")


def _write_info(root: pathlib.Path, name: str, config: SynthConfig) -> None:
    """What TFDS reads first; written last, so that a dataset that can be opened is whole."""
    folder = root / name / VERSION
    mine = [s for s in (*SPLITS, *SCENE_SPLITS) if dataset_name(s) == name and config.count(s)]
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=name, version=tfds.core.Version(VERSION), data_dir=str(folder), module_name="hoijax.data.synth"
    )
    text = "Generated human-object interactions (hoijax). Free of licensed data."
    info = tfds.core.DatasetInfo(builder=identity, features=features(mine[0], config.image_size), description=text)
    info.set_file_format("array_record")
    infos = []
    for split in mine:
        template = naming.ShardedFileTemplate(
            data_dir=folder, dataset_name=name, split=split, filetype_suffix="array_record"
        )
        lengths = [shard_size(config, split, s) for s in range(_shards(config, split))]
        size = sum(s["bytes"] for s in _statistics(root, config, split))
        infos.append(splits.SplitInfo(name=split, shard_lengths=lengths, num_bytes=size, filename_template=template))
    info.set_splits(splits.SplitDict(infos))
    info.write_to_directory(folder)


def _report(
    root: pathlib.Path, config: SynthConfig, tasks: list[tuple[str, int]], made: int, seconds: float
) -> BuildReport:
    attempts: dict[str, int] = {}
    accepted: dict[str, int] = {}
    rejected: dict[str, dict[str, int]] = {}
    size, number = 0, 0
    for split, shard in tasks:
        statistics = read_json(statistics_path(root, config, split, shard))
        size, number = size + statistics["bytes"], number + shard_size(config, split, shard)
        for action, row in statistics["actions"].items():
            attempts[action] = attempts.get(action, 0) + row["attempts"]
            accepted[action] = accepted.get(action, 0) + row["accepted"]
            reasons = rejected.setdefault(action, {})
            for reason, count in row["rejected"].items():
                reasons[reason] = reasons.get(reason, 0) + count
    samples = {s: config.count(s) for s in (*SPLITS, *SCENE_SPLITS)}
    return BuildReport(samples, attempts, accepted, rejected, seconds, made, size / max(number, 1))
