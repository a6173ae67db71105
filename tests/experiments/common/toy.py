"""A small regression for the tests of the trainer, and the same as a program of one or several processes.

python toy.py --out DIR --steps 8 [--die-at 5] [--devices.coordinator localhost:PORT ...]
"""

import dataclasses
import os
import signal
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Float

from hoijax.data.loading import Loader, LoaderConfig
from hoijax.experiments.common.placement import join_processes
from hoijax.experiments.common.runs import run
from hoijax.experiments.common.trainer import FREE, RunConfig, Trainer, Variables


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """A network of two layers on 64 numbers."""

    batch: int = 8
    rate: float = 3e-3
    log_every: int = 1
    save_every: int = 2
    noise: float = 0.1
    die_at: int | None = None


@struct.dataclass
class Regression:
    """tanh(x w) v against a teacher; inputs get noise of the step's key."""

    teacher: Float[jax.Array, "64 3"] | Any
    rate: float = struct.field(pytree_node=False, default=3e-3)
    noise: float = struct.field(pytree_node=False, default=0.1)

    def initial(self, seed):
        first, second = jax.random.split(jax.random.key(seed))
        parameters = {
            "inner": {"kernel": jax.random.normal(first, (64, 512), jnp.float32) / 8, "bias": jnp.zeros(512, "f4")},
            "outer": {"kernel": jax.random.normal(second, (512, 3), jnp.float32) / 20},
        }
        return Variables(parameters, {"mean": jnp.zeros(64, jnp.float32)})

    def optimiser(self):
        return optax.adam(self.rate)

    def examples(self, batch, key):
        noise = jax.random.normal(key, batch["x"].shape, batch["x"].dtype)
        return batch | {"noisy": batch["x"] + self.noise * noise}

    def loss(self, variables, examples, key, phase):
        p = variables.parameters
        inner = jnp.tanh(jnp.dot(examples["noisy"], p["inner"]["kernel"]) + p["inner"]["bias"][None])
        error = jnp.dot(inner, p["outer"]["kernel"]) - jnp.dot(examples["x"], self.teacher)
        squares = jnp.mean(error**2) * (2.0 if phase == "late" else 1.0)
        mean = 0.9 * variables.statistics["mean"] + 0.1 * jnp.mean(examples["x"], axis=0)
        return squares, ({"largest": jnp.max(jnp.abs(error))}, {"mean": mean})


def task(config):
    teacher = np.random.default_rng(1).normal(size=(64, 3)).astype(np.float32) / 8
    return Regression(jnp.asarray(teacher), config.rate, config.noise)


def samples():
    return [{"x": x} for x in np.random.default_rng(2).normal(size=(24, 64)).astype(np.float32)]


def train(config, trainer=None):
    loader = Loader(samples(), LoaderConfig(batch_size=config.batch, seed=config.seed, threads=0))

    def batches(first):
        for number, batch in enumerate(loader.batches(first), first):
            if number == config.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield {"x": batch["x"]}

    trainer = trainer or Trainer(task(config), config)
    return run(trainer, config, batches, free=(*FREE, "die_at"), title="toy")


if __name__ == "__main__":
    import tyro

    settings = tyro.cli(Config)
    join_processes(settings.devices)
    train(settings)
