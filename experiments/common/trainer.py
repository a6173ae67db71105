"""One training loop for all systems: a task says what is learned, the trainer steps, averages, shards and resumes.

    task      a pytree with `initial`, `optimiser`, `examples` and `loss` (see `Task`)
    config    a frozen dataclass, child of `RunConfig`
    batches   from a step on, of this process (`hoijax.data.loading.Loader.batches`)

`run` goes on where the last checkpoint was. Batches and noise are functions of the step alone, so that a run that was
stopped, on whatever number of devices or processes, sees the same batches; on the same devices it ends with the same
weights, bit for bit.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import Mesh
from jaxtyping import Int, PyTree

from hoijax.errors import InputError
from hoijax.experiments.common.parameters import Trainable, merge, running_mean
from hoijax.experiments.common.placement import (
    Devices,
    batch_sharding,
    constrain,
    make_mesh,
    place_batch,
    place_constants,
    place_state,
    state_sharding,
)

COMPILE_FAST = {"xla_backend_optimization_level": 0}
"""Compiler options for programs that run once."""


@struct.dataclass
class Variables:
    """A network's numbers."""

    parameters: PyTree
    """Those that a gradient may move."""
    statistics: PyTree = None
    """Running statistics of its layers, which a step replaces; or nothing."""


@runtime_checkable
class Task(Protocol):
    """What is learned. A pytree: its arrays are data of the program, everything else is static and hashable."""

    def initial(self, seed: int) -> Variables:
        """Before the first step."""
        ...

    def optimiser(self) -> optax.GradientTransformation:
        """Of the parameters that learn; the same one at every call."""
        ...

    def examples(self, batch: Any, key: jax.Array) -> Any:
        """What the loss sees of a batch, made on the device: augmented or drawn there. Leading axes are samples."""
        ...

    def loss(
        self, variables: Variables, examples: Any, key: jax.Array, phase: Any
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        """The mean loss of a batch, numbers for the log, and the statistics after it.

        `phase` is static: a curriculum's stage, each of which is a program of its own."""
        ...


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Settings that every training has; a system's config adds its own and replaces defaults."""

    out: pathlib.Path
    """Folder of the run."""
    steps: int = 1000
    """Training steps; schedules shrink along."""
    batch: int = 32
    """Samples per step, of all devices together."""
    average: float = 0.999
    """Decay of the running mean of the parameters, which is what is kept; not in the papers."""
    seed: int = 0
    """Of first parameters, order of samples, and noise."""
    trainable: Trainable = dataclasses.field(default_factory=Trainable)
    """Which parameters learn."""
    devices: Devices = dataclasses.field(default_factory=Devices)
    """What the run is spread over; not part of what it learns."""
    save_every: int = 1000
    """Steps between two checkpoints."""
    log_every: int = 50
    """Steps between two rows of the log."""
    until: int | None = None
    """Stop after this step, to go on another time."""

    def check(self, *positive: str) -> None:
        """Refuses settings of a run that cannot be, and those named that are below 1.

        Raises:
          InputError: one of these.
        """
        for name in ("steps", "batch", "save_every", "log_every", *positive):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.average < 1:
            raise InputError(f"average is a decay from 0 to below 1, got {self.average}")

    @property
    def last(self) -> int:
        """After how many steps this run stops."""
        return min(self.steps, self.until or self.steps)


def program_settings(config: RunConfig) -> Any:
    """The settings of a run that decide about its program: two runs that lie elsewhere or log otherwise share it."""
    plain = {f.name: f.default for f in dataclasses.fields(RunConfig) if f.name in ("log_every", "save_every", "until")}
    return dataclasses.replace(config, out=pathlib.Path(), devices=Devices(), **plain)


FREE = ("out", "log_every", "save_every", "until", "devices")
"""Settings of `RunConfig` that may change when a run goes on."""


@struct.dataclass
class TrainState:
    """All that a run carries from step to step."""

    step: Int[jax.Array, ""] | Any
    """How many were taken."""
    variables: Variables
    """Of the network."""
    average: PyTree
    """Running mean of the parameters that learn; None in the others' places."""
    optimiser: PyTree
    """Its moments and counts."""

    def mean_variables(self) -> Variables:
        """The network to be kept: means where there are any, frozen parameters as they are."""
        return self.variables.replace(parameters=merge(self.average, self.variables.parameters))


@dataclasses.dataclass(frozen=True)
class Program:
    """What a compiled step depends on beside its task and the shapes."""

    seed: int
    """Of the noise."""
    average: float
    """Decay of the running mean."""
    trainable: Trainable
    """Which parameters learn."""
    mesh: Mesh
    """The devices."""


def train_step(
    task: Task, state: TrainState, batch: Any, *, program: Program, phase: Any = None
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One step: the next state; the loss before it (`total`), its parts and the norm of its gradient (`gradient`)."""
    mesh = program.mesh
    key = jax.random.fold_in(jax.random.key(program.seed), state.step)
    examples = constrain(task.examples(batch, key), mesh, batch_sharding)
    trained, frozen = program.trainable.split(state.variables.parameters)

    def loss(trained: Any) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        variables = state.variables.replace(parameters=merge(trained, frozen))
        return task.loss(variables, examples, key, phase)

    (total, (parts, statistics)), gradient = jax.value_and_grad(loss, has_aux=True)(trained)
    # Optax raises a float to an integer power, which strict promotion forbids.
    with jax.numpy_dtype_promotion("standard"):
        updates, optimiser = task.optimiser().update(gradient, state.optimiser, trained)
    trained = optax.apply_updates(trained, updates)
    average = running_mean(state.average, trained, state.step, program.average)
    new = TrainState(state.step + 1, Variables(merge(trained, frozen), statistics), average, optimiser)
    numbers = {"gradient": optax.global_norm(gradient), "total": total} | parts
    return constrain(new, mesh, state_sharding), numbers


@functools.cache
def _compile_step(options: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    """The jitted step: programs are shared by all runs of a process that differ in nothing that matters."""
    return jax.jit(
        train_step, static_argnames=("program", "phase"), donate_argnames="state",
        compiler_options=dict(options) or None,
    )  # fmt: skip


class Trainer:
    """A task and its compiled step.

    Args:
      task: what is learned.
      config: of the run.
      compiler_options: of XLA, for the step.
      initial: numbers to begin with, by the seed, instead of the task's: those of an earlier run.

    Raises:
      InputError: the batch cannot be divided among the devices, or no parameter would learn.
    """

    def __init__(
        self,
        task: Task,
        config: RunConfig,
        compiler_options: dict[str, Any] | None = None,
        initial: Callable[[int], Variables] | None = None,
    ):
        mesh = make_mesh(config.devices, config.batch)
        self.task = place_constants(task, mesh)
        self.program = Program(config.seed, config.average, config.trainable, mesh)
        self._options = tuple((compiler_options or {}).items())
        self._initial = task.initial if initial is None else initial

    def start(self) -> TrainState:
        """Before the first step, on the devices."""
        variables = self._initial(self.program.seed)
        trained, _ = self.program.trainable.split(variables.parameters)
        optimiser = jax.jit(self.task.optimiser().init, compiler_options=COMPILE_FAST)(trained)
        state = TrainState(jnp.zeros((), jnp.int32), variables, trained, optimiser)
        return place_state(state, self.program.mesh)

    def step(self, state: TrainState, batch: Any, phase: Any = None) -> tuple[TrainState, dict[str, jax.Array]]:
        """One step on this process's samples; `state` is used up. Numbers: see `train_step`."""
        batch = place_batch(batch, self.program.mesh)
        return _compile_step(self._options)(self.task, state, batch, program=self.program, phase=phase)


def take_steps(trainer: Trainer, batches: Iterator[Any], count: int) -> tuple[TrainState, list[dict[str, jax.Array]]]:
    """A training in memory, without folder and checkpoints.

    Returns:
      The last state, and the numbers of every step.
    """
    state, rows = trainer.start(), []
    for _ in range(count):
        state, numbers = trainer.step(state, next(batches))
        rows.append(numbers)
    return state, rows
