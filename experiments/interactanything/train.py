"""Trains the learned affordance on the rows of `touches`.

    python -m hoijax.experiments.interactanything.train --data FOLDER --out FOLDER

Some minutes on two CPU cores. A row that is turned about the vertical would be another object: faces and fronts matter.
So rows are mirrored (left parts become right ones, which the network does by itself), stretched along the axes and
thinned out by leaving points of the cloud out of the loss, and verbs and parts are forgotten now and then.
"""

import dataclasses
import json
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx

from hoijax.errors import InputError
from hoijax.experiments.interactanything.touches import read_touches
from hoijax.nets.interactanything import PARTS, VERBS, Model, describe, part_of, save, verb_of
from hoijax.nets.interactanything import Config as Sizes

FILE = "interactanything.safetensors"


@dataclasses.dataclass(frozen=True)
class Config:
    """One training."""

    data: pathlib.Path
    """Folder of `touches`."""
    out: pathlib.Path
    """Folder of the weights."""
    sizes: Sizes = dataclasses.field(default_factory=Sizes)
    steps: int = 700
    batch: int = 24
    rate: float = 3e-3
    decay: float = 0.02
    stretch: float = 0.2
    """Standard deviation of the logarithm of an axis' stretch."""
    forget: float = 0.1
    """Share of rows whose verb, and of others whose part, is not said."""
    seed: int = 0
    log_every: int = 100


def main(config: Config) -> None:
    """Trains and writes the weights.

    Raises:
      InputError: no rows.
    """
    rows = read_touches(config.data, "train")
    if not rows:
        raise InputError(f"{config.data} has no rows for training; make them with {__package__}.touches")
    network = Model(config.sizes, nnx.Rngs(config.seed))
    graph, state = nnx.split(network)
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.rate, config.steps // 20 + 1, config.steps)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=config.decay))

    @jax.jit
    def step(state: Any, moments: Any, batch: dict[str, Any]):
        def loss_of(state: Any) -> jax.Array:
            logits = nnx.merge(graph, state)(batch["features"], batch["part"], batch["verb"])
            return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, batch["touched"]))

        loss, slope = jax.value_and_grad(loss_of)(state)
        update, moments = optimiser.update(slope, moments, state)
        return optax.apply_updates(state, update), moments, loss

    moments, losses, began = optimiser.init(state), [], time.process_time()
    mean = jax.tree.map(jnp.asarray, state)
    for k in range(config.steps):
        state, moments, loss = step(state, moments, draw(rows, config, k))
        share = min(0.99, (k + 1) / (k + 10))
        mean = jax.tree.map(lambda m, s, share=share: share * m + (1 - share) * s, mean, state)
        losses.append(float(loss))
        if (k + 1) % config.log_every == 0 or k + 1 == config.steps:
            told = {"step": k + 1, "loss": float(np.mean(losses[-config.log_every :]))}
            print(json.dumps(told | {"cpu_seconds": round(time.process_time() - began)}), flush=True)
    config.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "rows": len(rows["part"]), "training": {k: v for k, v in dataclasses.asdict(config).items() if k in (
            "steps", "batch", "rate", "decay", "stretch", "forget", "seed")}, "loss": float(np.mean(losses[-50:])),
        "parts": list(PARTS), "verbs": list(VERBS),
    }  # fmt: skip
    save(config.out / FILE, nnx.merge(graph, mean), facts)


def draw(rows: dict[str, Any], config: Config, step: int) -> dict[str, Any]:
    """The batch of a step."""
    rng = np.random.default_rng([config.seed, step])
    index = rng.integers(len(rows["part"]), size=config.batch)
    stretch = np.exp(config.stretch * rng.normal(size=(config.batch, 1, 3))).astype(np.float32)
    normals = rows["normals"][index].astype(np.float32) / stretch
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    known = [part_of(str(p)) for p in rows["part"][index]]
    lost = rng.random(config.batch)
    part = np.where(lost < 0.5 * config.forget, 0, [k for k, _ in known])
    verb = np.where(lost > 1 - config.forget, 0, [verb_of(str(v)) for v in rows["verb"][index]])
    return {
        "features": describe(rows["points"][index] * stretch, normals, np.array([left for _, left in known])),
        "part": part.astype(np.int32),
        "verb": verb.astype(np.int32),
        "touched": rows["touched"][index].astype(np.float32),
    }


if __name__ == "__main__":
    main(tyro.cli(Config))
