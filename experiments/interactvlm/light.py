"""Trains the light contact network on scripted pairs; goes on where it was stopped.

python -m hoijax.experiments.interactvlm.light_data --out pairs.npz --count 3000
python -m hoijax.experiments.interactvlm.light --out runs/light --pairs pairs.npz
python -m hoijax.experiments.interactvlm.light_scores --weights runs/light/weights.safetensors --synth DIR --split val
"""

import dataclasses
import functools
import importlib.metadata
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.runs import run
from hoijax.experiments.common.trainer import FREE, RunConfig, Trainer, Variables, program_settings
from hoijax.experiments.interactvlm.light_data import LEVEL, WORDS
from hoijax.experiments.interactvlm.light_views import Example, ViewConfig, draw_views
from hoijax.nets.pair_contact import Config as Sizes
from hoijax.nets.pair_contact import Model, Points, save_pair_contact
from hoijax.systems.interactvlm.pairs import body_points, box_cells

UNIT = 0.1
"""Metres: the unit of the tokens' distances; beyond three of them nothing is asked."""


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Every number of the run."""

    pairs: tuple[pathlib.Path, ...] = ()
    """Files of `light_data`."""
    steps: int = 1500
    batch: int = 64
    average: float = 0.99
    rate: float = 2e-3
    """Largest step size of Adam."""
    warmup: float = 0.05
    """Share of the run in which it rises."""
    decay: float = 0.02
    """Of weights, per step and rate."""
    asked: int = 192
    """Vertices of the body that a step asks about."""
    dice: float = 0.5
    """Weight of 1 - Dice beside the cross-entropy."""
    distances: float = 0.2
    """Weight of the tokens' distances."""
    width: int = 64
    layers: int = 2
    depth: int = 1
    views: ViewConfig = dataclasses.field(default_factory=ViewConfig)

    def __post_init__(self):
        self.check("asked", "width", "layers", "depth")
        if not self.pairs:
            raise InputError("give --pairs, files of hoijax.experiments.interactvlm.light_data")

    def sizes(self) -> Sizes:
        """Of the network."""
        return Sizes(words=WORDS, width=self.width, layers=self.layers, depth=self.depth)


@struct.dataclass
class LightTask:
    """What a configuration learns (`hoijax.experiments.common.trainer.Task`)."""

    body: Points
    """The labelled vertices, with a leading axis of 1."""
    graph: nnx.GraphDef = struct.field(pytree_node=False)
    config: Config = struct.field(pytree_node=False)

    def initial(self, seed: int) -> Variables:
        """Random weights."""
        return Variables(nnx.split(Model(self.config.sizes(), nnx.Rngs(seed)))[1])

    def optimiser(self) -> optax.GradientTransformation:
        """Adam with decay; the rate rises, then falls along a cosine."""
        config = self.config
        warmup = max(1, round(config.warmup * config.steps))
        rate = optax.warmup_cosine_decay_schedule(0.0, config.rate, warmup, max(config.steps, warmup + 1), 0.0)
        return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=config.decay))

    def examples(self, batch: dict[str, jax.Array], key: jax.Array) -> Example:
        """Views of the pairs by some of their cameras."""
        config, sizes = self.config, self.config.sizes()
        pick, view = jax.random.split(key)
        count = self.body.places.shape[1]
        chosen = jax.random.choice(pick, count, (min(config.asked, count),), replace=False)
        body = jax.tree.map(lambda x: jnp.asarray(x)[:, chosen], self.body)
        near = functools.partial(near_tokens, reach=sizes.reach)
        return draw_views(batch, body, chosen, view, config.views, sizes.mask, near)

    def loss(
        self, variables: Variables, examples: Example, key: jax.Array, phase: Any
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], None]]:
        """See `light_loss`."""
        answer = nnx.merge(self.graph, variables.parameters)(examples.pair, examples.body, examples.object)
        terms = light_loss(answer, examples)
        weights = {"dice": self.config.dice, "distances": self.config.distances}
        total = terms["contact"] + sum(weights[name] * terms[name] for name in weights)
        return total, (terms, None)


def light_loss(answer: Any, examples: Example) -> dict[str, jax.Array]:
    """Terms of the loss: "contact", cross-entropy on both surfaces; "dice" of both; "distances" of the tokens, robust.

    Args:
      answer: of the network.
      examples: what it was asked, and the truth.
    """
    has_points = jnp.asarray(examples.pair.known)[:, 2]
    body, obj = (x.astype(jnp.float32) for x in (examples.touches, examples.asked_touches))
    entropy_body = optax.sigmoid_binary_cross_entropy(answer.body, body).mean()
    entropy_object = optax.sigmoid_binary_cross_entropy(answer.object, obj).mean(axis=1)

    def one_minus_dice(logits: jax.Array, truth: jax.Array) -> jax.Array:
        share = jax.nn.sigmoid(logits)
        return 1 - (2 * (share * truth).sum(axis=1) + 1) / (share.sum(axis=1) + truth.sum(axis=1) + 1)

    def of_known(values: jax.Array) -> jax.Array:
        return (values * has_points).sum() / jnp.maximum(has_points.sum(), 1)

    def apart(said: jax.Array, gap: jax.Array) -> jax.Array:
        return optax.huber_loss(said, jnp.minimum(gap / UNIT, 3.0), delta=0.5).mean(axis=1)

    return {
        "contact": entropy_body + of_known(entropy_object),
        "dice": one_minus_dice(answer.body, body).mean() + of_known(one_minus_dice(answer.object, obj)),
        "distances": apart(answer.joint_distance, examples.joint_gap).mean()
        + of_known(apart(answer.point_distance, examples.point_gap)),
    }


def near_tokens(places: jax.Array, tokens: jax.Array, reach: float) -> jax.Array:
    """Which tokens lie near points of a surface, (B, Q, N), one in sum (`pairs.surface_points_asked`)."""
    square = jnp.sum((places[:, :, None] - tokens[:, None]) ** 2, axis=-1)
    return jax.nn.softmax(-square / (2 * reach**2), axis=-1)


def read_pairs(files: tuple[pathlib.Path, ...]) -> dict[str, np.ndarray]:
    """All pairs of some files.

    Raises:
      InputError: one is missing or no file of pairs.
    """
    parts = []
    for path in files:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                parts.append(dict(arrays))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no file of pairs: {error}") from error
        if "asked_touches" not in parts[-1]:
            raise InputError(f"{path} is no file of pairs; light_data makes one")
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    half = np.abs(arrays["asked"]).max(axis=1, keepdims=True)
    return arrays | {"asked_cell": box_cells(arrays["asked"], half, Sizes().boxes).astype(np.int32)}


def mean_maps(arrays: dict[str, np.ndarray], words: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each cell of body and object touched, by label, 0: all; few pairs lean on what all together say.

    Args:
      arrays: pairs.
      words: labels beside 0.

    Returns:
      (words + 1, regions) and (words + 1, boxes^3).
    """
    spots = arrays["asked_cell"]

    def shares(mine: np.ndarray, body: np.ndarray, obj: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
        touched, seen = (np.bincount(spots[mine].reshape(-1), w, len(obj)) for w in
                         (arrays["asked_touches"][mine].reshape(-1), None))  # fmt: skip
        on_body = (arrays["touches"][mine].sum(axis=0) + weight * body) / (mine.sum() + weight)
        return on_body, (touched + 3 * weight * obj) / (seen + 3 * weight)

    every = np.ones(len(arrays["word"]), bool)
    flat = (np.full(arrays["touches"].shape[1], arrays["touches"].mean()),
            np.full(Sizes().boxes ** 3, arrays["asked_touches"].mean()))  # fmt: skip
    whole = shares(every, *flat, 1.0)
    rows = [whole] + [shares(arrays["word"] == word, *whole, 1.0) for word in range(1, words + 1)]
    return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])


def make_task(config: Config) -> LightTask:
    """The task of a configuration."""
    asked = body_points(free_body(LEVEL), config.sizes().reach)
    graph = nnx.graphdef(Model(config.sizes(), nnx.Rngs(0)))
    plain = dataclasses.replace(program_settings(config), pairs=(pathlib.Path(),))
    return LightTask(asked, graph, plain)


def batches(arrays: dict[str, np.ndarray], config: Config, first: int) -> Iterator[dict[str, np.ndarray]]:
    """Batches from a step on, functions of the step alone; every pair once before any comes again."""
    count = len(arrays["word"])
    number = first
    while True:
        spots = np.arange(number * config.batch, (number + 1) * config.batch)
        rounds = {r: np.random.default_rng([config.seed, int(r)]).permutation(count) for r in np.unique(spots // count)}
        chosen = np.array([rounds[s // count][s % count] for s in spots])
        yield {name: values[chosen] for name, values in arrays.items()}
        number += 1


def train(config: Config) -> pathlib.Path:
    """Trains, or goes on.

    Returns:
      The weights, `weights.safetensors` in the run's folder.

    Raises:
      InputError: no pairs, or the folder holds a run with other settings.
    """
    arrays = read_pairs(config.pairs)
    task = make_task(config)
    maps = [np.clip(np.log(m / (1 - m)), -7, 3) for m in mean_maps(arrays, len(WORDS))]

    def initial(seed: int) -> Variables:
        parameters = task.initial(seed).parameters
        for name, values in zip(("body_bias", "object_bias"), maps):
            parameters[name] = parameters[name].replace(jnp.asarray(values, jnp.float32))
        return Variables(parameters)

    trainer = Trainer(task, config, initial=initial)
    state = run(trainer, config, functools.partial(batches, arrays, config), free=FREE, title="light")
    network = nnx.merge(task.graph, state.mean_variables().parameters)
    path = config.out / "weights.safetensors"
    facts = {"threshold": [0.5, 0.5], "pairs": len(arrays["word"]), "steps": int(state.step), "seed": config.seed,
             "versions": {name: importlib.metadata.version(name) for name in ("hoijax", "jax", "flax")}}  # fmt: skip
    save_pair_contact(path, network, facts)
    return path


if __name__ == "__main__":
    print(run_command(train, Config))
