"""Training of a small DC-AE: pictures of people on white to latents of eighth the rows, and back."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct
from jaxtyping import Float, UInt8

from hoijax.data.loading import Loader, LoaderConfig
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
from hoijax.experiments.hoi3dgen.pictures import to_network
from hoijax.nets import sana, weights
from hoijax.nets.blocks import pixel_unshuffle
from hoijax.nets.blocks.streams import describe

ArrayLike = jax.Array | np.ndarray

SMALL = sana.AutoencoderDCConfig(
    channels=(4, 16, 64, 256), encoder_depths=(0, 0, 0, 0), decoder_depths=(0, 0, 0, 0), attention_from=4,
    latent_channels=64, scaling=1.0,
)  # fmt: skip
"""The sizes that are trained here: 32 pixels become 4 x 4 x 64, each stage with four times the channels of the one
before, so that no number is lost before the latent."""
CONSTANT = 30.0
"""The fourth channel beside a colour's three, so large that the last normalisation divides all pixels alike."""


@struct.dataclass
class Pictures:
    """Pictures, or one."""

    picture: UInt8[ArrayLike, "*B H W 3"]
    """8 bits, sRGB."""


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Settings of a training."""

    steps: int = 3000
    batch: int = 8
    average: float = 0.99
    rate: float = 2e-3
    """Largest step size; it falls to nothing by half a cosine."""
    warmup: int = 50
    """Steps over which it rises."""
    ground: float = 0.1
    """Weight of a pixel of the white ground, beside 1 of others: there are four of these for one of the former."""

    def __post_init__(self):
        self.check("warmup")


@struct.dataclass
class Compressing:
    """What a configuration learns (`hoijax.experiments.common.trainer.Task`)."""

    graph: nnx.GraphDef = struct.field(pytree_node=False)
    """The network's structure."""
    sizes: sana.AutoencoderDCConfig = struct.field(pytree_node=False)
    """The network's."""
    config: Config = struct.field(pytree_node=False)
    """The run's, without the settings that change no program."""

    def initial(self, seed: int) -> Variables:
        """Random weights."""

        def make() -> nnx.State:
            return nnx.state(sana.AutoencoderDC(self.sizes, nnx.Rngs(seed)), nnx.Param)

        return Variables(jax.jit(make, compiler_options=COMPILE_FAST)())

    def optimiser(self) -> optax.GradientTransformation:
        """Adam, its rate rising and then falling."""
        steps, warmup = self.config.steps, self.config.warmup
        rate = optax.warmup_cosine_decay_schedule(0.0, self.config.rate, warmup, max(steps, warmup + 1))
        return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate, 0.9, 0.99))

    def examples(self, batch: Pictures, key: jax.Array) -> Float[jax.Array, "B H W 3"]:
        """Pictures in [-1, 1]."""
        return jnp.asarray(batch.picture).astype(jnp.float32) / 127.5 - 1

    def loss(
        self, variables: Variables, examples: jax.Array, key: jax.Array, phase: None
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], None]]:
        """Absolute differences, weighted by what is seen."""
        network = nnx.merge(self.graph, variables.parameters)
        answer = network.decode(network.encode(examples))
        return weighted_difference(answer, examples, self.config.ground), ({}, None)


def weighted_difference(
    answer: Float[ArrayLike, "*B H W 3"], pictures: Float[ArrayLike, "*B H W 3"], ground: float
) -> Float[jax.Array, ""]:
    """Mean absolute difference, pixels of the white ground weighing `ground`."""
    white = jnp.min(pictures, axis=-1, keepdims=True) >= 0.995
    weight = jnp.where(white, ground, 1.0)
    return jnp.sum(weight * jnp.abs(answer - pictures)) / (3 * jnp.sum(weight))


def principal(pictures: UInt8[np.ndarray, "N H W 3"], sizes: sana.AutoencoderDCConfig = SMALL) -> sana.AutoencoderDC:
    """The linear autoencoder of the least square error, written into a network that training then improves.

    All stages sort pixels into channels and back; the last convolution of the encoder and the first of the decoder are
    the principal components of blocks of pixels. A latent has unit variance on the whole.

    Args:
      pictures: whose blocks are analysed.
      sizes: stages without blocks, of 4, 16, 64, ... channels.
    """
    side, count = sizes.factor, sizes.latent_channels
    network = sana.AutoencoderDC(sizes, nnx.Rngs(0))
    nnx.update(network, jax.tree.map(jnp.zeros_like, nnx.state(network, nnx.Param)))
    shape = (len(pictures), pictures.shape[1], pictures.shape[2], 1)
    full = np.concatenate([to_network(pictures), np.full(shape, CONSTANT, np.float32)], axis=-1)
    cells = jnp.asarray(full)
    for _ in range(len(sizes.channels) - 1):
        cells = pixel_unshuffle(cells)
    rows = np.asarray(cells, np.float64).reshape(-1, 4 * side * side)
    mean = rows.mean(axis=0)
    axes = np.linalg.eigh(np.cov(rows.T))[1][:, ::-1][:, :count]
    # Halfway to equal variances: small components are neither lost beside the first nor as loud as it.
    spread = np.maximum(np.std((rows - mean) @ axes, axis=0), 1e-4) ** 0.5
    spread = spread * np.sqrt(np.mean(spread**2))

    eye = np.zeros((3, 3, 3, 4))
    eye[1, 1, np.arange(3), np.arange(3)] = 1
    network.encoder.conv_in.kernel[...], network.encoder.conv_in.bias[...] = eye, [0, 0, 0, CONSTANT]
    # The shortcuts of the two convolutions add means and copies, which the convolutions take away again.
    means = np.kron(np.eye(count), np.ones((len(mean) // count, 1))) * count / len(mean)
    middle = np.zeros((3, 3, len(mean), count))
    middle[1, 1] = axes / spread - means
    network.encoder.conv_out.kernel[...], network.encoder.conv_out.bias[...] = middle, -mean @ axes / spread
    middle = np.zeros((3, 3, count, len(mean)))
    middle[1, 1] = axes.T * spread[:, None] - np.kron(np.eye(count), np.ones((1, len(mean) // count)))
    network.decoder.conv_in.kernel[...], network.decoder.conv_in.bias[...] = middle, mean
    # Above zero for the ReLU, then back; a pixel's root mean square is half the constant.
    network.decoder.norm_out.weight[...], network.decoder.norm_out.bias[...] = np.full(4, CONSTANT / 2), np.full(4, 2.0)
    network.decoder.conv_out.kernel[...], network.decoder.conv_out.bias[...] = (
        eye.transpose(0, 1, 3, 2),
        np.full(3, -2.0),
    )
    return network


def make_trainer(config: Config, sizes: sana.AutoencoderDCConfig = SMALL, **how: Any) -> Trainer:
    """The task of a configuration and its compiled step."""
    graph = nnx.split(describe(lambda rngs: sana.AutoencoderDC(sizes, rngs)))[0]
    return Trainer(Compressing(graph, sizes, program_settings(config)), config, **how)


def train(
    config: Config, pictures: UInt8[np.ndarray, "N H W 3"], sizes: sana.AutoencoderDCConfig = SMALL
) -> TrainState:
    """Runs a training in its folder, from its last checkpoint where there is one.

    Raises:
      InputError: the folder holds another run, or the pictures do not fill a batch.
    """
    loader = Loader(
        [{"picture": picture} for picture in pictures], LoaderConfig(config.batch, seed=config.seed, threads=0)
    )

    def batches(step: int) -> Iterator[Pictures]:
        for batch in loader.batches(step):
            yield Pictures(batch["picture"])

    return run(make_trainer(config, sizes), config, batches, free=FREE, title="autoencoder")


def finished(
    state: TrainState, pictures: UInt8[np.ndarray, "N H W 3"], sizes: sana.AutoencoderDCConfig = SMALL
) -> sana.AutoencoderDC:
    """The network of a run, scaled so that latents of these pictures have unit variance."""
    network = _network(sizes, state)
    spread = float(np.std(encode(network, pictures)))
    return _network(dataclasses.replace(sizes, scaling=sizes.scaling / spread), state)


def _network(sizes: sana.AutoencoderDCConfig, state: TrainState) -> sana.AutoencoderDC:
    network = describe(lambda rngs: sana.AutoencoderDC(sizes, rngs))
    nnx.update(network, state.mean_variables().parameters)
    network.eval()
    return network


def encode(
    network: sana.AutoencoderDC, pictures: UInt8[np.ndarray, "N H W 3"], batch: int = 64
) -> Float[np.ndarray, "N h w C"]:
    """Latents of many pictures."""
    graph, state = nnx.split(network)
    call = jax.jit(lambda state, x: nnx.merge(graph, state).encode(x))
    latents = []
    for first in range(0, len(pictures), batch):
        some = to_network(pictures[first : first + batch])
        full = np.concatenate([some, np.ones((batch - len(some), *some.shape[1:]), np.float32)])
        latents.append(np.asarray(call(state, full))[: len(some)])
    return np.concatenate(latents)


def save(path: pathlib.Path, network: sana.AutoencoderDC, facts: dict[str, Any]) -> None:
    """Writes weights that `hoijax.nets.sana.load_autoencoder` reads."""
    weights.save_network(path, network, {**facts, "config": dataclasses.asdict(network.config)})
