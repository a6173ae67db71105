"""Apache Beam as an executor: every batch is an element, every worker makes the job itself, finishes what it is sent.

Only the names of items travel: a worker reads the inputs where the command says they lie, and refuses an item whose key
differs from the one it was sent, so that other files or versions cannot mix. Results go straight to the output folder,
which all workers must see. Beam may try a batch again, here or elsewhere: what was written stays.
"""

import functools
import hashlib
import pathlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hoijax.errors import InputError
from hoijax.io import output_directory, write_json
from hoijax.jobs.engine import Batch, Executor, Job
from hoijax.jobs.record import read_record
from hoijax.jobs.screen import tell
from hoijax.jobs.works import Work, finish_work, load_job, works_of

try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
except ImportError:  # the extra [beam] is not installed; `beam_executor` says so
    beam = None

RUNNERS = {
    # Beam's own name for it would look for the Prism binary on the network first.
    "direct": "apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
    "portable": "PortableRunner",
    "prism": "PrismRunner",
}
"""Beam's runners by short names; any other name goes to Beam as it is."""
_NOTES = ".beam"


def beam_executor(runner: str, options: Sequence[str], prepare: Callable[[], Job], out: pathlib.Path) -> Executor:
    """An executor that runs batches in a pipeline of Beam.

    Args:
      runner: a name of `RUNNERS`, or Beam's own.
      options: `name=value` or `name` options of the pipeline.
      prepare: makes the job on a worker.
      out: the folder of the job.

    Raises:
      InputError: Beam is not installed, or an option that cannot be read.
    """
    if beam is None:
        raise InputError(f"--runner {runner} needs Apache Beam; install it with: pip install 'hoijax[beam]'")
    flags = [f"--runner={RUNNERS.get(runner, runner)}"]
    for option in options:
        name, given, value = option.removeprefix("--").partition("=")
        if not name.isidentifier():
            raise InputError(f"--beam-options {option}: wanted name=value, such as direct_num_workers=2")
        flags.append(f"--{name}={value}" if given else f"--{name}")
    return functools.partial(_run_pipeline, flags, prepare, out)


def _run_pipeline(
    flags: Sequence[str], prepare: Callable[[], Job], out: pathlib.Path, job: Job, batches: Sequence[Batch]
) -> dict[str, str]:
    """Runs the batches in a pipeline and waits for its end; answers name to message of what could not be used."""
    notes = output_directory(out).absolute() / _NOTES
    output_directory(notes)
    for old in notes.iterdir():
        old.unlink()
    works = works_of(batches)
    total = sum(len(batch.items) for batch in batches)
    tell(f"{total} {job.units} in {len(works)} batches on Beam ({flags[0].removeprefix('--runner=')})")
    try:
        with beam.Pipeline(options=PipelineOptions(list(flags))) as pipeline:
            (
                pipeline
                | beam.Create(works)
                # Without it one worker gets all elements of a bundle, one after the other.
                | beam.Reshuffle()
                | beam.ParDo(_FinishBatch(pickle.dumps(prepare), str(notes)))
            )
        failures = {}
        for path in sorted(notes.iterdir()):
            note = read_record(path)
            if "name" in note:
                failures[note["name"]] = note["message"]
    finally:
        for path in notes.iterdir():
            path.unlink()
        notes.rmdir()
    lost = [item.name for b in batches for item in b.items if item.name not in failures and not item.is_finished()]
    if lost:
        raise InputError(
            f"the workers wrote no results of {len(lost)} {job.units}, the first {lost[0]}: do they see the folder "
            f"{out}?"
        )
    tell(f"{len(job.items) - len(failures)} of {len(job.items)} written")
    return failures


_base: Any = object if beam is None else beam.DoFn


class _FinishBatch(_base):
    """Computes and writes the batches that a worker is sent."""

    def __init__(self, prepare: bytes, notes: str):
        self._prepare, self._notes = prepare, notes
        self._job: Job | None = None

    def setup(self) -> None:
        """Makes the job once per worker: files are read, networks and distance grids made."""
        self._job = load_job(self._prepare)

    def process(self, work: Work) -> Iterator[str]:
        """Finishes one batch; yields the names of its items."""
        for item, message in finish_work(self._prepare, work):
            if message is not None:
                name = hashlib.sha256(item.name.encode()).hexdigest()[:32]
                write_json(pathlib.Path(self._notes) / f"{name}.json", {"name": item.name, "message": message})
            yield item.name
