"""Trains ScoreHOI's prior for estimates without a picture: the denoiser on states alone.

    python -m hoijax.experiments.scorehoi.prior --out runs/prior --root DIR

What `hoijax refine --prior scorehoi` uses. There is no image; the object's geometry is the only condition, dropped one
time in ten. States come from SynthHOI's scripts, as many as asked for, and, with `--root`, from the solved interactions
of its train split, all seen from before the person (`hoijax.experiments.scorehoi.states`). The refinement never leaves
low noise, so only the lowest `levels` time indices are trained.

The same command goes on with a stopped run, with the same numbers as if it had not been stopped; many devices or
processes may share it (docs/training.md). Writes `config.json`,
`states.npz`, `metrics.jsonl`, checkpoints, and at the end `weights.safetensors`: the averaged parameters as float16.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct
from jaxtyping import Float, Int

from hoijax.data.synth import SynthConfig, open_split
from hoijax.diffusion import Schedule, cosine_schedule, q_sample
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.placement import gather, is_first_process, join_processes
from hoijax.experiments.common.runs import endless_batches, run
from hoijax.experiments.common.trainer import FREE as FREE_RUN
from hoijax.experiments.common.trainer import RunConfig, Trainer, TrainState, Variables, program_settings
from hoijax.experiments.scorehoi.states import StateSet, join_sets, scripted_states, solved_states
from hoijax.geometry import einsum, rotation_from_6d, rotation_from_axis_angle, sixd_from_rotation
from hoijax.io import output_directory, write_npz
from hoijax.nets.scorehoi import Conditions, PooledDenoiser, PooledDenoiserConfig, drop_conditions
from hoijax.nets.scorehoi.state import pack, unpack
from hoijax.nets.weights import save_network

FREE = (*FREE_RUN, "root")
"""Settings that may change when a run goes on."""
ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Every number of the run; written whole next to the results."""

    root: pathlib.Path | None = None
    """Root of a built SynthHOI, whose solved train interactions join in."""
    scripted: int = 20_000
    """States of SynthHOI's scripts."""
    solved_share: float = 0.3
    """Of each batch, where there are solved interactions."""
    levels: int = 250
    """Time indices that are trained, from 0."""
    heading: float = 25.0
    """The camera is turned about the vertical by up to so many degrees: the front of an estimate is off by some."""
    tilt: float = 3.0
    """Standard deviation of the camera's tilt, degrees."""
    width: int = 384
    depth: int = 3
    features: int = 256
    """Numbers of the object's global feature."""
    steps: int = 8_000
    batch: int = 512
    rate: float = 2e-3
    """Of Adam at first; it falls to nothing along a cosine."""
    drop: float = 0.1
    """How often the geometry is left out."""
    save_every: int = 500
    log_every: int = 100

    def __post_init__(self):
        self.check("scripted", "levels")
        if not 0 <= self.solved_share <= 1:
            raise InputError(f"solved_share is a fraction, got {self.solved_share}")

    def network(self) -> PooledDenoiserConfig:
        """Its sizes."""
        return PooledDenoiserConfig(width=self.width, depth=self.depth, image_features=1, object_features=self.features)


def gather_states(config: Config) -> tuple[StateSet, int]:
    """The states of a run, scripted ones first, and how many those are; kept in `states.npz`."""
    path = config.out / "states.npz"
    if path.exists():
        with np.load(path) as data:
            return StateSet(data["states"], data["objects"], data["geometry"]), int(data["scripted"])
    sets = [scripted_states(SynthConfig(seed=config.seed), config.scripted, features=config.features)]
    if config.root is not None:
        sets.append(solved_states(open_split(config.root, "train"), features=config.features))
    whole = join_sets(sets)
    arrays = {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)}
    if is_first_process():
        write_npz(path, arrays | {"scripted": np.asarray(config.scripted)})
    return whole, config.scripted


def turn_states(key: jax.Array, x: jax.Array, heading: float, tilt: float) -> jax.Array:
    """States seen by cameras turned about the vertical and tilted a little at random; degrees."""
    first, second = jax.random.split(key)
    about = jnp.radians(heading) * jax.random.uniform(first, x.shape[:1], x.dtype, -1, 1)
    lean = jnp.radians(tilt) * jax.random.normal(second, (*x.shape[:1], 2), x.dtype)
    turn = rotation_from_axis_angle(jnp.stack([lean[:, 0], about, lean[:, 1]], axis=-1))
    state = unpack(x)
    root = einsum("bij,bjk->bik", turn, rotation_from_6d(state.pose[:, 0]))
    obj = einsum("bij,bjk->bik", turn, rotation_from_6d(state.object_rotation))
    return pack(state.replace(
        pose=jnp.concatenate([sixd_from_rotation(root)[:, None], state.pose[:, 1:]], axis=1),
        object_rotation=sixd_from_rotation(obj),
        object_translation=einsum("bij,bj->bi", turn, state.object_translation),
    ))  # fmt: skip


def noise_errors(
    schedule: Schedule, network: PooledDenoiser, x: jax.Array, conditions: Conditions, t: jax.Array, noise: jax.Array
) -> jax.Array:
    """Squared errors of the noise (B, 331) at given time indices (B,)."""
    noisy = jax.vmap(lambda x, t, e: q_sample(schedule, x, t, e))(x, t, noise)
    return (network(noisy, t.astype(x.dtype), network.encode(conditions)) - noise) ** 2


@struct.dataclass
class PriorTask:
    """The denoiser on states, drawn on the device (`hoijax.experiments.common.trainer.Task`)."""

    states: Float[ArrayLike, "N 331"] | Any
    """Scripted ones first."""
    objects: Int[ArrayLike, "N"] | Any
    """Row of `geometry` of each state's object."""
    geometry: Float[ArrayLike, "M E"] | Any
    """Template points and global feature."""
    schedule: Schedule
    """Of the noise."""
    scripted: int = struct.field(pytree_node=False)
    """How many states are of scripts."""
    graph: nnx.GraphDef = struct.field(pytree_node=False)
    """The network's structure."""
    config: Config = struct.field(pytree_node=False)
    """The run's, without the settings that change no program."""

    def initial(self, seed: int) -> Variables:
        """The network's random weights."""

        def make() -> Any:
            return nnx.split(PooledDenoiser(self.config.network(), nnx.Rngs(seed)))[1]

        return Variables(jax.jit(make)())

    def optimiser(self) -> optax.GradientTransformation:
        """Adam; the rate falls to nothing along a cosine."""
        return optax.adam(optax.cosine_decay_schedule(self.config.rate, self.config.steps))

    def network(self, parameters: Any) -> PooledDenoiser:
        """The network with these numbers."""
        return nnx.merge(self.graph, parameters)

    def examples(self, batch: Any, key: jax.Array) -> dict[str, Any]:
        """Turned states, their conditions, time indices and noise; which states is a function of the key."""
        config, states = self.config, self.states
        keys = jax.random.split(key, 6)
        few = round(config.solved_share * config.batch) if len(states) > self.scripted else 0
        chosen = jnp.concatenate([
            jax.random.randint(keys[0], (config.batch - few,), 0, self.scripted),
            jax.random.randint(keys[1], (few,), self.scripted, max(len(states), self.scripted + 1)),
        ])  # fmt: skip
        x = turn_states(keys[2], states[chosen], config.heading, config.tilt)
        conditions = Conditions(image=None, geometry=self.geometry[self.objects[chosen]])
        return {
            "x": x,
            "conditions": drop_conditions(keys[3], conditions, rate=config.drop),
            "t": jax.random.randint(keys[4], (config.batch,), 0, config.levels),
            "noise": jax.random.normal(keys[5], x.shape, x.dtype),
        }

    def loss(
        self, variables: Variables, examples: dict[str, Any], key: jax.Array, phase: None
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], None]]:
        """Mean squared error of the noise."""
        return jnp.mean(noise_errors(self.schedule, self.network(variables.parameters), **examples)), ({}, None)


def make_trainer(config: Config) -> Trainer:
    """The task of a configuration and its compiled step; states are made, or read where they are kept.

    Raises:
      InputError: SynthHOI is missing.
    """
    whole, scripted = gather_states(config)
    graph = nnx.split(nnx.eval_shape(lambda: PooledDenoiser(config.network(), nnx.Rngs(0))))[0]
    task = PriorTask(
        whole.states, whole.objects, whole.geometry, cosine_schedule(), scripted, graph, program_settings(config)
    )  # fmt: skip
    return Trainer(task, config)


def train(config: Config, *, trainer: Trainer | None = None) -> TrainState:
    """Runs or goes on with a training run.

    Args:
      config: the run.
      trainer: of another run with the same settings, to save the compilation.

    Raises:
      InputError: the folder holds a run with another configuration, or SynthHOI is missing.
    """
    join_processes(config.devices)
    output_directory(config.out)
    trainer = make_trainer(config) if trainer is None else trainer
    state = run(trainer, config, endless_batches({}), free=FREE, title="ScoreHOI prior")
    if int(state.step) == config.steps:
        half = jax.tree.map(lambda a: a.astype(np.float16), gather(state.mean_variables().parameters))
        if is_first_process():
            save_network(config.out / "weights.safetensors", trainer.task.network(half), facts(config, trainer.task))
    return state


def facts(config: Config, task: PriorTask) -> dict[str, Any]:
    """What is kept beside the weights: what builds the network, what it was trained on."""
    kept = ("levels", "heading", "tilt", "steps", "batch", "rate", "seed")
    sizes = {name: getattr(config, name) for name in ("width", "depth", "features")}
    solved = len(task.states) - task.scripted
    return {name: getattr(config, name) for name in kept} | {
        "kind": "scorehoi_prior",
        "network": sizes,
        "states": {"scripted": task.scripted, "solved": solved, "objects": len(task.geometry)},
        "body": "free",
        **software(),
    }


def main() -> None:
    """The command line."""
    run_command(train, Config)


if __name__ == "__main__":
    main()
