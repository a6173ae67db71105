"""A job of numbers: each item's result is its square, and a note of every batch that was computed lies in a folder.

As a script it runs the job on a runner of Beam, so that a test can kill it: toy_job.py OUT COUNT RUNNER [SECONDS].
"""

import functools
import os
import pathlib
import sys
import time

from hoijax.errors import InputError
from hoijax.io import write_text
from hoijax.jobs.engine import Item, Job, run_job
from hoijax.jobs.runners import executor


def make_job(out, count, seconds=0.0, version="1", batch_size=2, die=""):
    """The numbers below `count`, in batches of two of the same parity.

    Args:
      out: folder of the results; `OUT.batches` beside it gets a file per batch.
      count: how many.
      seconds: waited in every batch.
      version: goes into the keys.
      batch_size: most numbers at a time.
      die: name of a number whose writing kills the process, the first time.
    """
    out = pathlib.Path(out)
    batches = out.with_suffix(".batches")

    def compute(batch, watch):
        watch(0.5, "squaring")
        batches.mkdir(parents=True, exist_ok=True)
        numbers = [item.inputs for item in batch]
        (batches / f"{time.monotonic_ns()}-{'-'.join(map(str, numbers))}").touch()
        time.sleep(seconds)
        return [InputError(f"{n} is unlucky") if n % 13 == 0 < n else n * n for n in numbers]

    def write(item, result):
        mark = out.with_suffix(".died")
        if item.name == die and not mark.exists():
            mark.touch()
            os._exit(9)
        write_text(item.folder / "square.txt", str(result))
        return {"name": item.name, "square": result}

    items = tuple(Item(str(i), out / str(i), f"{version}:{i}", ("square.txt",), i) for i in range(count))
    return Job(items, compute, write, lambda item: item.inputs % 2, batch_size, "numbers")


def batches_of(out):
    """The numbers of each batch that was computed, in order of time."""
    folder = pathlib.Path(out).with_suffix(".batches")
    return [tuple(map(int, p.name.split("-")[1:])) for p in sorted(folder.iterdir())] if folder.exists() else []


if __name__ == "__main__":
    out, count, runner, *rest = sys.argv[1:]
    seconds = float(rest[0]) if rest else 0.0
    prepare = functools.partial(make_job, out, int(count), seconds)
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    import toy_job  # workers unpickle functions of a module, not of a script

    prepare = functools.partial(toy_job.make_job, out, int(count), seconds)
    outcome = run_job(prepare(), pathlib.Path(out), execute=executor(runner, (), prepare, pathlib.Path(out)))
    sys.exit(1 if outcome.failures else 0)
