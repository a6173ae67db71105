"""Trains ScoreHOI's prior for estimates without a picture: the denoiser on states alone.

    python -m hoijax.experiments.scorehoi.prior --out runs/prior --root DIR

What `hoijax refine --prior scorehoi` uses. There is no image; the object's geometry is the only condition, dropped one
time in ten. States come from SynthHOI's scripts, as many as asked for, and, with `--root`, from the solved interactions
of its train split, all seen from before the person (`hoijax.experiments.scorehoi.states`). The refinement never leaves
low noise, so only the lowest `levels` time indices are trained.

The same command goes on with a stopped run, with the same numbers as if it had not been stopped. Writes `config.json`,
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

from hoijax.data.synth import SynthConfig, open_split
from hoijax.diffusion import Schedule, cosine_schedule, q_sample
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.scorehoi.states import StateSet, joined, scripted_states, solved_states
from hoijax.experiments.training import Advance, check_same_run, run_steps, running_mean
from hoijax.geometry import einsum, rotation_from_6d, rotation_from_axis_angle, sixd_from_rotation
from hoijax.io import output_directory, write_npz
from hoijax.nets.scorehoi import Conditions, PooledDenoiser, PooledDenoiserConfig, drop_conditions
from hoijax.nets.scorehoi.state import pack, unpack
from hoijax.systems.scorehoi.weights import save_network

FREE = ("out", "root", "log_every", "save_every", "until")
"""Settings that may change when a run goes on."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    out: pathlib.Path
    """Folder of the run."""
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
    average: float = 0.999
    """Decay of the running mean of the parameters, which is what is kept."""
    drop: float = 0.1
    """How often the geometry is left out."""
    seed: int = 0
    save_every: int = 500
    log_every: int = 100
    until: int | None = None
    """Stop after this step, to go on another time."""

    def __post_init__(self):
        for name in ("scripted", "levels", "steps", "batch", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.solved_share <= 1:
            raise InputError(f"solved_share is a fraction, got {self.solved_share}")

    def network(self) -> PooledDenoiserConfig:
        """Its sizes."""
        return PooledDenoiserConfig(width=self.width, depth=self.depth, image_features=1, object_features=self.features)


@struct.dataclass
class PriorState:
    """All that a run carries from step to step."""

    step: Any
    parameters: Any
    average: Any
    optimiser: Any


def gather_states(config: Config) -> tuple[StateSet, int]:
    """The states of a run, scripted ones first, and how many those are; kept in `states.npz`."""
    path = config.out / "states.npz"
    if path.exists():
        with np.load(path) as data:
            return StateSet(data["states"], data["objects"], data["geometry"]), int(data["scripted"])
    sets = [scripted_states(SynthConfig(seed=config.seed), config.scripted, features=config.features)]
    if config.root is not None:
        sets.append(solved_states(open_split(config.root, "train"), features=config.features))
    whole = joined(sets)
    arrays = {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)}
    write_npz(path, arrays | {"scripted": np.asarray(config.scripted)})
    return whole, config.scripted


def turned(key: jax.Array, x: jax.Array, heading: float, tilt: float) -> jax.Array:
    """States seen by cameras turned about the vertical and tilted a little at random; degrees."""
    first, second = jax.random.split(key)
    about = jnp.radians(heading) * jax.random.uniform(first, x.shape[:1], x.dtype, -1, 1)
    lean = jnp.radians(tilt) * jax.random.normal(second, (*x.shape[:1], 2), x.dtype)
    turn = rotation_from_axis_angle(jnp.stack([lean[:, 0], about, lean[:, 1]], axis=-1))
    state = unpack(x)
    root = einsum("bij,bjk->bik", turn, rotation_from_6d(state.pose[:, 0]))
    thing = einsum("bij,bjk->bik", turn, rotation_from_6d(state.object_rotation))
    return pack(state.replace(
        pose=jnp.concatenate([sixd_from_rotation(root)[:, None], state.pose[:, 1:]], axis=1),
        object_rotation=sixd_from_rotation(thing),
        object_translation=einsum("bij,bj->bi", turn, state.object_translation),
    ))  # fmt: skip


def noise_errors(
    schedule: Schedule, network: PooledDenoiser, x: jax.Array, conditions: Conditions, t: jax.Array, noise: jax.Array
) -> jax.Array:
    """Squared errors of the noise (B, 331) at given time indices (B,)."""
    noisy = jax.vmap(lambda x, t, e: q_sample(schedule, x, t, e))(x, t, noise)
    return (network(noisy, t.astype(x.dtype), network.encode(conditions)) - noise) ** 2


class Trainer:
    """The compiled programs of a run."""

    def __init__(self, config: Config):
        self.config = config
        self.schedule = cosine_schedule()
        self.optimiser = optax.adam(optax.cosine_decay_schedule(config.rate, config.steps))
        network = nnx.eval_shape(lambda: PooledDenoiser(config.network(), nnx.Rngs(0)))
        self.graph = nnx.split(network)[0]
        self.start = jax.jit(self._start)
        self.step = jax.jit(self._step, donate_argnums=0, static_argnums=4)

    def _start(self) -> PriorState:
        parameters = nnx.split(PooledDenoiser(self.config.network(), nnx.Rngs(self.config.seed)))[1]
        average = jax.tree.map(jnp.copy, parameters)
        return PriorState(jnp.zeros((), jnp.int32), parameters, average, self.optimiser.init(parameters))

    def network(self, parameters: Any) -> PooledDenoiser:
        """The network with these numbers."""
        return nnx.merge(self.graph, parameters)

    def _step(
        self, state: PriorState, states: jax.Array, objects: jax.Array, geometry: jax.Array, scripted: int
    ) -> tuple[PriorState, dict[str, jax.Array]]:
        """One step; which states it sees is a function of seed and step."""
        config = self.config
        keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), state.step), 6)
        few = round(config.solved_share * config.batch) if len(states) > scripted else 0
        chosen = jnp.concatenate([
            jax.random.randint(keys[0], (config.batch - few,), 0, scripted),
            jax.random.randint(keys[1], (few,), scripted, max(len(states), scripted + 1)),
        ])  # fmt: skip
        x = turned(keys[2], states[chosen], config.heading, config.tilt)
        conditions = Conditions(image=None, geometry=geometry[objects[chosen]])
        conditions = drop_conditions(keys[3], conditions, rate=config.drop)
        t = jax.random.randint(keys[4], (config.batch,), 0, config.levels)
        noise = jax.random.normal(keys[5], x.shape, x.dtype)

        def loss(parameters: Any) -> jax.Array:
            return jnp.mean(noise_errors(self.schedule, self.network(parameters), x, conditions, t, noise))

        value, gradient = jax.value_and_grad(loss)(state.parameters)
        updates, optimiser = self.optimiser.update(gradient, state.optimiser, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        average = running_mean(state.average, parameters, state.step, config.average)
        return PriorState(state.step + 1, parameters, average, optimiser), {"total": value}


def train(config: Config, *, trainer: Trainer | None = None) -> PriorState:
    """Runs or goes on with a training run.

    Args:
      config: the run.
      trainer: of another run with the same settings, to save the compilation.

    Raises:
      InputError: the folder holds a run with another configuration, or SynthHOI is missing.
    """
    out = output_directory(config.out)
    check_same_run(out, config, FREE)
    whole, scripted = gather_states(config)
    arrays = jax.tree.map(jnp.asarray, (whole.states, whole.objects, whole.geometry))
    trainer = Trainer(config) if trainer is None else trainer

    def begin(_: int) -> Advance:
        return lambda state, number: trainer.step(state, *arrays, scripted)

    state = run_steps(
        out, trainer.start(), begin, steps=config.steps, last=min(config.steps, config.until or config.steps),
        log_every=config.log_every, save_every=config.save_every, title="ScoreHOI prior",
    )  # fmt: skip
    if int(state.step) == config.steps:
        half = jax.tree.map(lambda a: a.astype(jnp.float16), state.average)
        save_network(out / "weights.safetensors", trainer.network(half), facts(config, whole, scripted))
    return state


def facts(config: Config, whole: StateSet, scripted: int) -> dict[str, Any]:
    """What is kept beside the weights: what builds the network, what it was trained on."""
    kept = ("levels", "heading", "tilt", "steps", "batch", "rate", "seed")
    sizes = {name: getattr(config, name) for name in ("width", "depth", "features")}
    return {name: getattr(config, name) for name in kept} | {
        "kind": "scorehoi_prior",
        "network": sizes,
        "states": {"scripted": scripted, "solved": len(whole) - scripted, "objects": len(whole.geometry)},
        "body": "free",
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }


def main() -> None:
    """The command line."""
    run_command(train, Config)


if __name__ == "__main__":
    main()
