"""The engine under every job: items that know whether they are finished, batches of one program, one way to stop.

Letters: a job has items; items that share a compiled program are taken in batches, the last of which is filled up so
that all have one size; an executor (`run_here`, or Apache Beam's in `hoijax.jobs.beam`) computes the batches and writes
each item as its batch ends. Whatever is killed when: an item whose record is there is whole, and the same job goes on
from there.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from typing import Any

import tqdm

from hoijax.errors import InputError
from hoijax.io import output_directory, remove_partial_files, write_json
from hoijax.jobs.interrupts import Interrupts
from hoijax.jobs.record import provenance, read_record
from hoijax.jobs.screen import tell

Watch = Callable[[float, str], None]
"""Called within a batch with the share of it that is done, 0 to 1, and what is going on."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One thing to do, and where its results go."""

    name: str
    """What messages and tables call it; no other item of its job has the name."""
    folder: pathlib.Path
    """Where its results go."""
    key: str
    """Digest of everything that the results depend on."""
    files: tuple[str, ...]
    """Names in `folder` of what is written, the record aside."""
    inputs: Any = None
    """What the job needs to compute it."""
    record: str = "metrics.json"
    """Name in `folder` of the record, which is written last."""

    def is_finished(self) -> bool:
        """Whether the folder holds this item's results, made from the same inputs with the same settings."""
        if not all((self.folder / name).is_file() for name in self.files):
            return False
        return read_record(self.folder / self.record).get("key") == self.key


@dataclasses.dataclass(frozen=True)
class Job:
    """Items, and what is done with them."""

    items: tuple[Item, ...]
    """In the order of their numbers."""
    compute: Callable[[Sequence[Item], Watch], Sequence[Any]]
    """One batch to its results, in order; an `InputError` in the place of a result says why there is none."""
    write: Callable[[Item, Any], dict[str, Any]]
    """Writes an item's files and returns the contents of its record; an `InputError` says why it cannot be used."""
    program: Callable[[Item], Hashable] = lambda item: None
    """Items of unequal programs never share a batch."""
    batch_size: int = 1
    """Most items of a batch."""
    units: str = "items"
    """What messages call several of them."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Items that are computed together."""

    items: tuple[Item, ...]
    """Those that are wanted."""
    size: int
    """How many are computed: the last item is repeated up to this number."""

    @property
    def filled(self) -> tuple[Item, ...]:
        """The items, repeated up to the size."""
        return self.items + (self.items[-1],) * (self.size - len(self.items))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    finished: tuple[Item, ...]
    """Items whose results are on disk, from this run or an earlier one."""
    fresh: frozenset[str]
    """Names of those of this run."""
    failures: dict[str, str]
    """Name to message of the others."""

    def records(self) -> dict[str, dict[str, Any]]:
        """Name to record of what is finished."""
        return {item.name: read_record(item.folder / item.record) for item in self.finished}


Executor = Callable[[Job, Sequence[Batch]], dict[str, str]]
"""Computes and writes batches; answers name to message of what could not be used."""


def make_batches(job: Job, items: Sequence[Item]) -> list[Batch]:
    """Items grouped by program and cut to batches; the last of several is filled up to the size of the others."""
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(job.program(item), []).append(item)
    batches = []
    for group in groups.values():
        for first in range(0, len(group), job.batch_size):
            part = tuple(group[first : first + job.batch_size])
            batches.append(Batch(part, job.batch_size if len(group) > job.batch_size else len(part)))
    return batches


def run_job(job: Job, out: pathlib.Path, *, redo: bool = False, execute: Executor | None = None) -> Outcome:
    """Computes and writes what is not finished yet.

    Args:
      job: what to do.
      out: the folder of the whole job.
      redo: also what is finished.
      execute: where; None: in this process.

    Returns:
      What is finished and what failed.

    Raises:
      InputError: the folder cannot be written to.
      KeyboardInterrupt: stopped; what was told to be written is on disk.
    """
    for folder in {out, *(item.folder for item in job.items)}:
        remove_partial_files(folder)
    waiting = [item for item in job.items if redo or not item.is_finished()]
    if len(waiting) < len(job.items):
        tell(f"{len(job.items) - len(waiting)} of {len(job.items)} are finished already")
    failures = {}
    if waiting:
        failures = (execute or run_here)(job, make_batches(job, waiting))
    fresh = frozenset(item.name for item in waiting if item.name not in failures)
    finished = tuple(item for item in job.items if item.name not in failures and item.is_finished())
    return Outcome(finished, fresh, failures)


def finish_batch(job: Job, batch: Batch, watch: Watch, keep: Collection[str] = ()) -> Iterator[tuple[Item, str | None]]:
    """Computes a batch and writes its items one by one.

    Args:
      job: whose batch it is.
      batch: what to compute.
      watch: called while it is computed.
      keep: names of items whose results stay as they are.

    Yields:
      Each item when it is written, with None, or with the message that says why it cannot be used.
    """
    for item, result in zip(batch.items, job.compute(batch.filled, watch)):
        if item.name in keep:
            continue
        if isinstance(result, InputError):
            yield item, str(result)
            continue
        output_directory(item.folder)
        # While the files are being replaced the old mark must not stand.
        (item.folder / item.record).unlink(missing_ok=True)
        try:
            record = job.write(item, result)
        except InputError as error:
            yield item, str(error)
            continue
        write_json(item.folder / item.record, record | provenance() | {"key": item.key})
        yield item, None


def run_here(job: Job, batches: Sequence[Batch]) -> dict[str, str]:
    """The executor of this process: batch after batch, with a bar; Ctrl-C loses at most the batch in work."""
    total = sum(len(batch.items) for batch in batches)
    before, done, written = len(job.items) - total, 0, 0
    failures: dict[str, str] = {}
    text = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} " + job.units + " [{elapsed}<{remaining}{postfix}]"
    bar = tqdm.tqdm(
        total=total, desc="compiling", disable=None,
        bar_format=text,
    )  # fmt: skip
    stop = Interrupts()

    def show(batch: Batch, share: float, label: str) -> None:
        stop.check()
        bar.set_description(label, refresh=False)
        bar.update(done + share * len(batch.items) - bar.n)

    try:
        with bar, stop:
            for batch in batches:
                for item, message in finish_batch(job, batch, lambda s, t, batch=batch: show(batch, s, t)):
                    if message is not None:
                        failures[item.name] = message
                        continue
                    written += 1
                    stop.check()
                    bar.set_postfix_str(f"{before + written} of {len(job.items)} written", refresh=False)
                done += len(batch.items)
                bar.update(done - bar.n)
                if bar.disable:
                    tell(f"{before + written} of {len(job.items)} written")
                stop.check()
    except KeyboardInterrupt:
        tell(
            f"{before + written} of {len(job.items)} {job.units} are finished and written; the same command goes on "
            "from there"
        )
        raise
    return failures
