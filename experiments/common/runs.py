"""A run in its folder: settings, log and checkpoints, so that it goes on where it was stopped."""

import contextlib
import dataclasses
import errno
import json
import pathlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from tqdm import tqdm

from hoijax.errors import InputError
from hoijax.experiments.common.placement import is_first_process, wait_for_all
from hoijax.experiments.common.trainer import RunConfig, Trainer, TrainState
from hoijax.io import output_directory, write_json, write_text


def check_same_run(out: pathlib.Path, config: Any, free: Collection[str]) -> None:
    """Writes `config.json`, unless the folder holds a run with other settings.

    Args:
      out: folder of the run.
      config: a dataclass.
      free: settings that may change when a run goes on.

    Raises:
      InputError: another setting differs.
    """
    wanted = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    path = out / "config.json"
    if path.exists():
        got = json.loads(path.read_text())
        other = [name for name in wanted if got.get(name) != wanted[name] and name not in free]
        if other:
            raise InputError(f"{out} holds a run with another {', '.join(other)}; choose another --out or remove it")
    wait_for_all("settings were compared")
    if is_first_process():
        write_json(path, wanted)


def run(
    trainer: Trainer,
    config: RunConfig,
    batches: Callable[[int], Iterator[Any]],
    *,
    free: Collection[str],
    title: str,
    phase: Callable[[int], Any] = lambda _: None,
    more: Callable[[int], dict[str, Any]] = lambda _: {},
) -> TrainState:
    """Runs a training, from its last checkpoint where there is one.

    `config.json`, `metrics.jsonl` and `checkpoints` go to its folder; of several processes, which must share the
    folder, the first one writes the former two.

    Args:
      trainer: task and step.
      config: of the run.
      batches: first step -> batches of this process from there on.
      free: settings that may change when a run goes on.
      title: of the progress bar.
      phase: number of steps taken -> phase of the next one.
      more: number of steps taken -> further numbers for the log.

    Returns:
      The last state.

    Raises:
      InputError: the folder holds a run with other settings, or the disk is full.
      FloatingPointError: the loss is not finite.
    """
    out, first_process = output_directory(config.out), is_first_process()
    check_same_run(out, config, free)
    state = trainer.start()
    options = ocp.CheckpointManagerOptions(max_to_keep=2, create=True)
    with (
        _full_disk_is_told(out),
        ocp.CheckpointManager((out / "checkpoints").resolve(), options=options) as manager,
    ):
        latest = manager.latest_step()
        if latest is not None:
            shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
            state = manager.restore(latest, args=ocp.args.StandardRestore(shapes))
        first = int(state.step)
        stream = batches(first)
        log = _log_before(out / "metrics.jsonl", first)
        with tqdm(total=config.steps, initial=first, desc=title, disable=None if first_process else True) as progress:
            for number in range(first + 1, config.last + 1):
                state, numbers = trainer.step(state, next(stream), phase(number - 1))
                progress.update()
                if number % config.log_every == 0 or number == config.last:
                    numbers = {k: float(v) for k, v in numbers.items()}
                    row = {"step": number} | more(number - 1) | numbers
                    if not np.isfinite(row["total"]):
                        raise FloatingPointError(f"the loss is {row['total']} at step {number}; see {out}")
                    log.append(json.dumps(row))
                    if first_process:
                        write_text(out / "metrics.jsonl", "\n".join(log) + "\n")
                if number % config.save_every == 0 or number == config.last:
                    manager.save(number, args=ocp.args.StandardSave(state))
        manager.wait_until_finished()
    return state


@contextlib.contextmanager
def _full_disk_is_told(out: pathlib.Path) -> Iterator[None]:
    """Turns what Orbax, its threads and TensorStore make of a full disk into one message."""
    try:
        yield
    except Exception as error:
        if _is_full_disk(error):
            raise InputError(
                f"the disk of {out} is full: no checkpoint could be written. Those before it are whole: make room, and "
                "the same command goes on from the last one"
            ) from error
        raise


def _is_full_disk(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error; what writes in other threads and languages keeps the words alone."""
    for _ in range(20):
        if error is None:
            return False
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left on device" in str(error) or "Disk quota exceeded" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _log_before(path: pathlib.Path, step: int) -> list[str]:
    """Lines of a log up to a step: what a stopped run wrote after its last checkpoint will be written again."""
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= step]


def endless_batches(batch: Any = None) -> Callable[[int], Iterator[Any]]:
    """Batches for tasks that draw their samples on the device: the number of steps taken, or `batch`, for ever."""

    def batches(first: int) -> Iterator[Any]:
        number = first
        while True:
            yield {"step": np.int32(number)} if batch is None else batch
            number += 1

    return batches
