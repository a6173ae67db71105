"""Several processes of this machine as an executor: each makes the job itself and finishes the batches it is given."""

import concurrent.futures
import functools
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Sequence

import tqdm

from hoijax.errors import InputError
from hoijax.jobs.engine import Batch, Executor, Job
from hoijax.jobs.interrupts import Interrupts
from hoijax.jobs.screen import tell
from hoijax.jobs.works import Work, finish_work, works_of

MOST = 256
"""Processes."""


def process_executor(workers: int, prepare: Callable[[], Job]) -> Executor:
    """An executor of several processes; Ctrl-C loses at most the batches in work.

    Args:
      workers: how many.
      prepare: makes the job in each; it and what it holds can be pickled.

    Raises:
      InputError: no sensible number.
    """
    if not 1 <= workers <= MOST:
        raise InputError(f"--workers {workers}: wanted 1 to {MOST}")
    return functools.partial(_run_processes, workers, prepare)


def _run_processes(workers: int, prepare: Callable[[], Job], job: Job, batches: Sequence[Batch]) -> dict[str, str]:
    works, failures = works_of(batches), {}
    total = sum(len(batch.items) for batch in batches)
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(works)), mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    stop = Interrupts()
    try:
        with tqdm.tqdm(total=total, desc=job.units, disable=None) as bar, stop, pool:
            futures = [pool.submit(_finish, pickle.dumps(prepare), work) for work in works]
            try:
                for future in concurrent.futures.as_completed(futures):
                    failures |= future.result()
                    stop.check()
                    bar.update(1)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list((pool._processes or {}).values()):
                    process.terminate()
                raise
    except KeyboardInterrupt:
        tell(f"what was finished of {len(job.items)} {job.units} is written; the same command goes on from there")
        raise
    tell(f"{len(job.items) - len(failures)} of {len(job.items)} written")
    return failures


def _finish(prepare: bytes, work: Work) -> dict[str, str]:
    """Name to message of what could not be used."""
    return {item.name: message for item, message in finish_work(prepare, work) if message is not None}


def _end_with_parent() -> None:
    """Lets a worker end when the command is killed, rather than go on by itself."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
