"""What every job on photographs does alike: one item per picture, run with its phases told."""

import pathlib
from collections.abc import Callable, Sequence

from hoijax.errors import InputError
from hoijax.jobs.engine import Executor, Item, Job, Outcome, run_job
from hoijax.jobs.photograph_files import PhotographFile
from hoijax.jobs.screen import Phases, tell


def photograph_items(
    files: Sequence[tuple[PhotographFile, str]], image: pathlib.Path, out: pathlib.Path, written: tuple[str, ...]
) -> tuple[Item, ...]:
    """One item per picture; a picture that was given by itself is written to `out` and not to a folder in it.

    Args:
      files: the inputs, each with the digest of what its result depends on.
      image: what was given: a picture, a folder, or a video.
      out: folder for the results.
      written: names of files that a finished item has.
    """
    alone = len(files) == 1 and not image.is_dir() and files[0][0].video is None
    return tuple(
        Item(name=file.name, folder=out if alone else out / file.name, key=key, files=written, inputs=file)
        for file, key in files
    )


def run_photographs(
    prepare: Callable[[], tuple[Job, dict[str, str], tuple[str, ...]]],
    out: pathlib.Path,
    *,
    verb: str,
    phase: str,
    redo: bool,
    execute: Executor | None,
) -> tuple[Job, Outcome, dict[str, str]]:
    """Prepares and runs a job, and tells what is done and how long it took.

    Args:
      prepare: the job, name to message of pictures that cannot be used, and notes.
      out: folder for the results.
      verb: what is done to pictures.
      phase: what the doing is called.
      redo: also what is finished.
      execute: where; None: in this process.

    Returns:
      The job, its outcome, and name to message of every picture that could not be used.

    Raises:
      InputError: none could be used.
    """
    phases = Phases()
    with phases("reading, networks, distance grid"):
        job, failures, notes = prepare()
    for note in notes:
        tell(note)
    waiting = sum(redo or not item.is_finished() for item in job.items)
    tell(f"{len(job.items)} picture{'s' * (len(job.items) != 1)}, {waiting} to {verb}")
    with phases(phase):
        outcome = run_job(job, out, redo=redo, execute=execute)
    failures |= outcome.failures
    if not outcome.finished:
        raise InputError(next(iter(failures.values())))
    return job, outcome, failures
