"""View-conditioned fine-tuning of SANA, as HOI3DGen does it: latents, kept text features, flow matching.

The paper's: SANA-1.5 of 1.6 billion parameters, 1024 pixels, 400 pictures, batches of 16, some 25,000 steps, four H100
for a day; here any size, from kept latents and features, so that neither autoencoder nor text encoder is in memory.
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct
from jaxtyping import Bool, Float

from hoijax.data.loading import Loader, LoaderConfig
from hoijax.diffusion import Flow, flow_training_times, q_sample, training_target
from hoijax.errors import InputError
from hoijax.experiments.common.parameters import LORA, Trainable
from hoijax.experiments.common.runs import run
from hoijax.experiments.common.trainer import (
    COMPILE_FAST,
    FREE,
    RunConfig,
    Trainer,
    TrainState,
    Variables,
    program_settings,
)
from hoijax.nets import sana, weights
from hoijax.nets.blocks import add_lora, merge_lora
from hoijax.nets.blocks.streams import describe

ArrayLike = jax.Array | np.ndarray

ADAPTED = r"blocks\.block\.(attention|cross)\.(query|key|value|out)"
"""Layers that low-rank adaptation changes."""


@struct.dataclass
class PictureSample:
    """A picture as the network sees it, or a batch of them."""

    latent: Float[ArrayLike, "*B H W C"]
    """Of `AutoencoderDC.encode`."""
    features: Float[ArrayLike, "*B L E"]
    """Of its text with the view."""
    mask: Bool[ArrayLike, "*B L"]
    """Which places are a text."""


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Settings of a fine-tuning; the rates are those of SANA's own."""

    steps: int = 25200
    batch: int = 16
    mode: Literal["full", "lora"] = "full"
    """Whether all parameters learn, or low-rank products beside attention's layers."""
    rank: int = 32
    """Of these products."""
    alpha: float = 32.0
    """They count alpha / rank."""
    rate: float = 2e-5
    """Step size; adaptation wants some ten times as much."""
    warmup: int = 2000
    """Steps over which it rises."""
    clip: float = 0.1
    """Largest norm of a gradient."""
    dropout: float = 0.1
    """Share of samples whose text is replaced by that of nothing."""
    shift: float = 3.0
    """Of the flow's times."""
    compute: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the network's arithmetic; parameters, their means and the loss are float32."""

    def __post_init__(self):
        if not 0 <= self.dropout <= 1:
            raise InputError(f"dropout is a share from 0 to 1, got {self.dropout}")
        self.check("rank", "warmup")


def learning(config: Config) -> Config:
    """The settings with what learns in their mode."""
    if config.mode == "full":
        return config
    return dataclasses.replace(config, trainable=Trainable(only=(LORA,)))


def make_network(sizes: sana.SanaConfig, config: Config, rngs: nnx.Rngs) -> sana.Sana:
    """The network that learns: with products where the mode has some."""
    network = sana.Sana(sizes, rngs)
    if config.mode == "lora":
        add_lora(network, ADAPTED, rank=config.rank, alpha=config.alpha, rngs=rngs)
    return network


@struct.dataclass
class FineTuning:
    """What a configuration learns (`hoijax.experiments.common.trainer.Task`)."""

    null: sana.TextFeatures
    """A text of nothing, (1, L, E)."""
    graph: nnx.GraphDef = struct.field(pytree_node=False)
    """The network's structure."""
    sizes: sana.SanaConfig = struct.field(pytree_node=False)
    """The network's."""
    config: Config = struct.field(pytree_node=False)
    """The run's, without the settings that change no program."""

    def initial(self, seed: int) -> Variables:
        """Random weights."""

        def make() -> nnx.State:
            return nnx.state(make_network(self.sizes, self.config, nnx.Rngs(seed)), nnx.Param)

        return Variables(jax.jit(make, compiler_options=COMPILE_FAST)())

    def optimiser(self) -> optax.GradientTransformation:
        """AdamW without decay; the rate rises, then stays. SANA's own is CAME, which Optax lacks."""
        rate = optax.linear_schedule(0.0, self.config.rate, self.config.warmup)
        return optax.chain(optax.clip_by_global_norm(self.config.clip), optax.adamw(rate, 0.9, 0.999, weight_decay=0.0))

    def examples(self, batch: PictureSample, key: jax.Array) -> PictureSample:
        """The batch with some texts replaced by that of nothing."""
        count = batch.latent.shape[0]
        gone = jax.random.bernoulli(jax.random.fold_in(key, 1), self.config.dropout, (count,))

        def choose(of_nothing: ArrayLike, given: ArrayLike) -> jax.Array:
            where = gone.reshape(-1, *(1,) * (given.ndim - 1))
            return jnp.where(where, jnp.asarray(of_nothing).astype(given.dtype), jnp.asarray(given))

        features, mask = choose(self.null.features, batch.features), choose(self.null.mask, batch.mask)
        return batch.replace(features=features, mask=mask)

    def loss(
        self, variables: Variables, examples: PictureSample, key: jax.Array, phase: None
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], None]]:
        """Mean square of what the velocity is off."""
        first, second = jax.random.split(key)
        latent = jnp.asarray(examples.latent, jnp.float32)
        times = flow_training_times(first, latent.shape[0], shift=self.config.shift)
        noise = jax.random.normal(second, latent.shape, jnp.float32)
        noisy = q_sample(Flow(), latent, times, noise)
        kind = jnp.dtype(self.config.compute)
        parameters = jax.tree.map(lambda w: w.astype(kind), variables.parameters)
        network = nnx.merge(self.graph, parameters)
        told = jnp.floor(1000 * times)
        answer = network(noisy, told, jnp.asarray(examples.features).astype(kind), examples.mask)
        return jnp.mean((answer - training_target(Flow(), latent, noise, times, "flow")) ** 2), ({}, None)


def make_trainer(
    config: Config, sizes: sana.SanaConfig, null: sana.TextFeatures, start: sana.Sana | None = None, **how: Any
) -> Trainer:
    """The task of a configuration and its compiled step.

    Args:
      config: of the run.
      sizes: of the network; `remat=True` where its inside does not fit the memory.
      null: a text of nothing, (1, L, E).
      start: the network to begin with; None: random weights.
      **how: `compiler_options` of the step.

    Raises:
      InputError: the network to begin with is of another size.
    """
    config = learning(config)
    graph = nnx.split(describe(lambda rngs: make_network(sizes, config, rngs)))[0]
    task = FineTuning(null, graph, sizes, program_settings(config))

    def begin(seed: int) -> Variables:
        if start is None:
            return task.initial(seed)
        if dataclasses.replace(start.config, remat=sizes.remat) != sizes:
            raise InputError(f"the network to begin with has the sizes {start.config}, wanted {sizes}")
        network = nnx.clone(start)
        if config.mode == "lora":
            add_lora(network, ADAPTED, rank=config.rank, alpha=config.alpha, rngs=nnx.Rngs(seed))
        return Variables(nnx.state(network, nnx.Param))

    return Trainer(task, config, initial=begin, **how)


def train(
    config: Config, sizes: sana.SanaConfig, samples: Any, null: sana.TextFeatures, start: sana.Sana | None = None
) -> TrainState:
    """Runs a fine-tuning in its folder, from its last checkpoint where there is one.

    Args:
      config: of the run.
      sizes: of the network.
      samples: by index, each a mapping of a `PictureSample`'s fields.
      null: a text of nothing, (1, L, E).
      start: the network to begin with.

    Returns:
      The last state; `finished` makes a network of it.

    Raises:
      InputError: the folder holds another run, or the samples do not fill a batch.
    """
    trainer = make_trainer(config, sizes, null, start)
    loader = Loader(samples, LoaderConfig(config.batch, seed=config.seed, threads=0))

    def batches(step: int) -> Iterator[PictureSample]:
        for batch in loader.batches(step):
            yield PictureSample(latent=batch["latent"], features=batch["features"], mask=batch["mask"])

    return run(trainer, learning(config), batches, free=FREE, title="fine-tuning")


def finished(state: TrainState, sizes: sana.SanaConfig, config: Config) -> sana.Sana:
    """The network of a run, its products in its matrices."""
    network = describe(lambda rngs: make_network(sizes, config, rngs))
    nnx.update(network, state.mean_variables().parameters)
    if config.mode == "lora":
        merge_lora(network)
    network.eval()
    return network


def save(path: pathlib.Path, network: sana.Sana, facts: dict[str, Any]) -> None:
    """Writes weights that `hoijax.nets.sana.load` reads."""
    weights.save_network(path, network, {**facts, "config": dataclasses.asdict(network.config)})
