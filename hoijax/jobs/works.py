"""Batches that travel to another process or machine: names and keys of items go, inputs are read where they arrive."""

import dataclasses
import functools
import pickle
from collections.abc import Iterator, Sequence

from hoijax.errors import InputError
from hoijax.jobs.engine import Batch, Item, Job, finish_batch


@dataclasses.dataclass(frozen=True)
class Work:
    """A batch as it travels."""

    keys: tuple[tuple[str, str], ...]
    """Name and key of each item that is wanted."""
    size: int
    """How many are computed; see `hoijax.jobs.engine.Batch`."""
    redo: bool
    """Also what is finished."""


def works_of(batches: Sequence[Batch]) -> list[Work]:
    """The batches as they travel; what is asked for and finished is asked for again."""
    return [
        Work(tuple((i.name, i.key) for i in batch.items), batch.size, any(i.is_finished() for i in batch.items))
        for batch in batches
    ]


def finish_work(prepare: bytes, work: Work) -> Iterator[tuple[Item, str | None]]:
    """Computes and writes what arrives, where it arrives.

    Args:
      prepare: the pickled function that makes the job; it runs once in a process.
      work: what is wanted.

    Yields:
      Each item that is written now, see `hoijax.jobs.engine.finish_batch`.

    Raises:
      InputError: this process sees other files or versions than the command.
    """
    job = load_job(prepare)
    items = {item.name: item for item in job.items}
    wanted = tuple(_same_item(items, name, key) for name, key in work.keys)
    # What an earlier attempt wrote stays.
    kept = () if work.redo else {item.name for item in wanted if item.is_finished()}
    if len(kept) == len(wanted):
        return
    # The whole batch, so that the program and its sums are those of every other run.
    yield from finish_batch(job, Batch(wanted, work.size), lambda share, label: None, kept)


@functools.lru_cache(maxsize=1)
def load_job(prepare: bytes) -> Job:
    """The job of a pickled function; threads of one worker process share it."""
    return pickle.loads(prepare)()


def _same_item(items: dict[str, Item], name: str, key: str) -> Item:
    """The worker's own item.

    Raises:
      InputError: there is none, or it would be computed from something else.
    """
    if name not in items:
        raise InputError(f"this worker finds no {name}: does it see the same files as the command?")
    if items[name].key != key:
        raise InputError(f"{name} is something else on this worker: are its files and its hoijax the command's?")
    return items[name]
