"""What every training run does between its steps: go on from the last checkpoint, log, save, refuse other folders."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from tqdm import tqdm

from hoijax.errors import InputError
from hoijax.io import write_json, write_text

#: One step of training: `(state, number of steps taken) -> (next state, numbers for the log)`.
Advance = Callable[[Any, int], tuple[Any, dict[str, Any]]]


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
    write_json(path, wanted)


def run_steps(
    out: pathlib.Path,
    state: Any,
    begin: Callable[[int], Advance],
    *,
    steps: int,
    last: int,
    log_every: int,
    save_every: int,
    title: str,
) -> Any:
    """Runs a training, from its last checkpoint where there is one; `metrics.jsonl` and checkpoints go to its folder.

    Args:
      out: folder of the run.
      state: before the first step; its `step` counts those taken.
      begin: `first step -> advance`, called once; the log's numbers have one named `total`.
      steps: of the whole run, for the progress bar.
      last: after how many steps to stop.
      log_every: steps between two rows of the log.
      save_every: steps between two checkpoints.
      title: of the progress bar.

    Returns:
      The last state.

    Raises:
      FloatingPointError: the loss is not finite.
    """
    options = ocp.CheckpointManagerOptions(max_to_keep=2, create=True)
    with ocp.CheckpointManager((out / "checkpoints").resolve(), options=options) as manager:
        latest = manager.latest_step()
        if latest is not None:
            shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
            state = manager.restore(latest, args=ocp.args.StandardRestore(shapes))
        first = int(state.step)
        advance = begin(first)
        log = _log_before(out / "metrics.jsonl", first)
        with tqdm(total=steps, initial=first, desc=title, disable=None) as progress:
            for number in range(first + 1, last + 1):
                state, numbers = advance(state, number - 1)
                progress.update()
                if number % log_every == 0 or number == last:
                    row = {"step": number} | {k: v if isinstance(v, int) else float(v) for k, v in numbers.items()}
                    if not np.isfinite(row["total"]):
                        raise FloatingPointError(f"the loss is {row['total']} at step {number}; see {out}")
                    log.append(json.dumps(row))
                    write_text(out / "metrics.jsonl", "\n".join(log) + "\n")
                if number % save_every == 0 or number == last:
                    manager.save(number, args=ocp.args.StandardSave(state))
        manager.wait_until_finished()
    return state


def _log_before(path: pathlib.Path, step: int) -> list[str]:
    """Lines of a log up to a step: what a stopped run wrote after its last checkpoint will be written again."""
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= step]


def running_mean(average: Any, weights: Any, step: jax.Array, decay: float) -> Any:
    """The mean after one more step; that of the first steps must not remember the random start."""
    seen = step.astype(jnp.float32)
    kept = jnp.minimum(decay, (1.0 + seen) / (10.0 + seen))
    return jax.tree.map(lambda a, w: kept * a + (1.0 - kept) * w, average, weights)
