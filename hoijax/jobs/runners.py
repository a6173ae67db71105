"""Where a job's batches are computed: in this process, in several of this machine, or on any runner of Apache Beam."""

import pathlib
from collections.abc import Callable, Sequence

from hoijax.errors import InputError
from hoijax.jobs.engine import Executor, Job, run_here
from hoijax.jobs.processes import process_executor

LOCAL = "local"


def executor(
    runner: str, options: Sequence[str], prepare: Callable[[], Job], out: pathlib.Path, workers: int = 1
) -> Executor:
    """The executor of a name.

    Args:
      runner: "local", or a runner of Beam: direct, flink, spark, dataflow, portable, prism, or a class's whole name.
      options: `name=value` options of Beam's pipeline.
      prepare: makes the same job on a worker; it and what it holds can be pickled.
      out: the folder of the job; notes of the workers lie there while it runs.
      workers: processes of the runner "local"; 1: this one.

    Raises:
      InputError: options without a runner of Beam, options that cannot be read, or Beam is not installed.
    """
    if runner == LOCAL:
        if options:
            raise InputError(f"--beam-options {options[0]}: they are for --runner direct, flink, spark, dataflow, ...")
        return run_here if workers == 1 else process_executor(workers, prepare)
    if workers != 1:
        raise InputError(f"--workers {workers}: they are for --runner local; say it in --beam-options")
    from hoijax.jobs.beam import beam_executor

    return beam_executor(runner, options, prepare, out)
