"""Networks of the demonstration of score distillation: one paints four views of a text, one finds landmarks."""

import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from hoijax.diffusion import q_sample, scaled_linear_schedule
from hoijax.errors import InputError
from hoijax.experiments.interactanything.sds_scenes import LANDMARKS, PROMPTS, SIDE, VIEWS
from hoijax.nets.stable_diffusion import UNet, UNetConfig
from hoijax.nets.weights import load_network, save_network

ArrayLike = jax.Array | np.ndarray
WORDS = ("", *sorted({word for text in PROMPTS for word in text.lower().split()}))
"""The first fills texts up."""
LENGTH = 8
"""Words of a text."""
SCHEDULE = scaled_linear_schedule()
RATE = 2e-3
SPREAD = 0.5
"""Of the pictures' values in [-1, 1]."""
UNET = UNetConfig(inputs=12, outputs=12, channels=(48, 96), depth=1, transformers=(0, 1), middle=1, heads=(4, 4),
                  context=32, groups=8, camera=16)  # fmt: skip
FINDER = UNetConfig(inputs=3, outputs=len(LANDMARKS), channels=(16, 32), depth=1, transformers=(0, 0), middle=1,
                    heads=(4, 4), context=8, groups=8)  # fmt: skip


def tokens(text: str) -> np.ndarray:
    """Numbers of a text's words.

    Raises:
      InputError: a word that none of the prompts has, or too many.
    """
    words = text.lower().split()
    if len(words) > LENGTH or any(word not in WORDS for word in words):
        raise InputError(f'the painter of the demonstration knows {", ".join(PROMPTS)}; got "{text}"')
    found = [WORDS.index(word) for word in words]
    return np.array(found + [0] * (LENGTH - len(found)), np.int32)


class Painter(nnx.Module):
    """The UNet and the vectors of its words.

    The UNet sees blocks of 2 x 2 pixels as channels, says the clean picture, and is scaled for each time (Karras et al.
    2022, table 1): from pure noise it then learns the mean of what the text may mean, which a network that says the
    noise cannot tell from its own small errors.
    """

    def __init__(self, rngs: nnx.Rngs, config: UNetConfig = UNET):
        # Of unit size, as encoders of texts say them: smaller ones are not heard for hundreds of steps.
        init = nnx.initializers.normal(1.0)
        self.words = nnx.Embed(len(WORDS), config.context, embedding_init=init, rngs=rngs)
        self.places = nnx.Param(0.1 * jax.random.normal(rngs.params(), (LENGTH, config.context)))
        self.unet = UNet(config, rngs)

    def clean(self, x: ArrayLike, t: ArrayLike, text: ArrayLike, camera: ArrayLike) -> jax.Array:
        """Clean pictures (B, H, W, 3) in [-1, 1], four views of a scene in a row."""
        signal, sigma = (each[:, None, None, None] for each in SCHEDULE.coefficients(jnp.asarray(t), jnp.float32))
        size = jnp.sqrt(signal**2 * SPREAD**2 + sigma**2)
        said = self.unet(
            fold(x / size),
            jnp.asarray(t, jnp.float32),
            self.words(text) + self.places[...][None],
            camera=camera,
            views=VIEWS,
        )
        return signal * SPREAD**2 / size**2 * x + sigma * SPREAD / size * unfold(said)

    def __call__(self, x: ArrayLike, t: ArrayLike, text: ArrayLike, camera: ArrayLike) -> jax.Array:
        """Noise of the same pictures."""
        signal, sigma = (each[:, None, None, None] for each in SCHEDULE.coefficients(jnp.asarray(t), jnp.float32))
        return (x - signal * self.clean(x, t, text, camera)) / sigma


def fold(x: ArrayLike) -> jax.Array:
    """Pictures (B, H, W, 3) with each block of 2 x 2 pixels as twelve channels."""
    b, h, w, c = x.shape
    return jnp.asarray(x).reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, -1)


def unfold(x: jax.Array) -> jax.Array:
    """`fold` back."""
    b, h, w, _ = x.shape
    return x.reshape(b, h, w, 2, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, 3)


class Finder(nnx.Module):
    """Where landmarks are: a map of each, and its middle."""

    def __init__(self, rngs: nnx.Rngs, config: UNetConfig = FINDER):
        self.unet = UNet(config, rngs)

    def __call__(self, x: ArrayLike) -> tuple[jax.Array, jax.Array]:
        """Pixels (B, J, 2) and how sharp each map is (B, J), of pictures in [0, 1]."""
        batch = x.shape[0]
        maps = self.unet(2 * jnp.asarray(x) - 1, jnp.zeros(batch), jnp.zeros((batch, 1, self.unet.config.context)))
        share = jax.nn.softmax(maps.reshape(batch, -1, len(LANDMARKS)), axis=1)
        rows, columns = jnp.meshgrid(jnp.arange(x.shape[1]) + 0.5, jnp.arange(x.shape[2]) + 0.5, indexing="ij")
        grid = jnp.stack([columns, rows], axis=-1).reshape(-1, 2)
        middle = jnp.einsum("bpj,pc->bjc", share, grid)
        spread = jnp.einsum("bpj,bpj->bj", share, jnp.sum((grid[None, :, None] - middle[:, None]) ** 2, axis=-1))
        return middle, jnp.exp(-jnp.sqrt(spread + 1e-6) / (0.1 * x.shape[1]))


Loss = Callable[[Any, Any, jax.Array], jax.Array]
"""`(network, batch, key) -> loss`."""


def train(
    network: nnx.Module, loss_of: Loss, batch_of: Callable[[int], Any], steps: int, name: str, path: pathlib.Path
):
    """Trains a network and writes the running mean of its weights; the facts beside them have the losses."""
    graph, weights = nnx.split(network)
    plan = optax.warmup_cosine_decay_schedule(0.0, RATE, steps // 20 + 1, steps)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(plan, weight_decay=1e-4))

    @jax.jit
    def step(weights: Any, moments: Any, batch: Any, key: jax.Array):
        loss, slope = jax.value_and_grad(lambda w: loss_of(nnx.merge(graph, w), batch, key))(weights)
        update, moments = optimiser.update(slope, moments, weights)
        return optax.apply_updates(weights, update), moments, loss

    moments, mean, losses, began = optimiser.init(weights), weights, [], time.process_time()
    for k in range(steps):
        weights, moments, loss = step(weights, moments, batch_of(k), jax.random.fold_in(jax.random.key(1), k))
        share = min(0.995, (k + 1) / (k + 10))
        mean = jax.tree.map(lambda m, s, share=share: share * m + (1 - share) * s, mean, weights)
        losses.append(float(loss))
        if (k + 1) % 50 == 0 or k + 1 == steps:
            told = {"part": name, "step": k + 1, "loss": round(float(np.mean(losses[-50:])), 5)}
            print(json.dumps(told | {"cpu_seconds": round(time.process_time() - began)}), flush=True)
    share = max(1, steps // 8)
    facts = {"steps": steps, "loss_first": float(np.mean(losses[:share])), "loss": float(np.mean(losses[-share:])),
             "seconds": round(time.process_time() - began)}  # fmt: skip
    trained = nnx.merge(graph, mean)
    save_network(path, trained, facts)
    return trained


def picture_loss(network: Any, batch: Any, key: jax.Array) -> jax.Array:
    """Squared error of clean pictures in units of what the UNet says; 1 and less at every time is no worse than none.

    The network is a `Painter`. A batch has pictures in [-1, 1], texts, cameras and times, a view a row.
    """
    pictures, text, camera, times = batch
    noise = jax.random.normal(key, pictures.shape)
    noisy = jax.vmap(lambda x, t, n: q_sample(SCHEDULE, x, t, n))(pictures, times, noise)
    signal, sigma = SCHEDULE.coefficients(jnp.asarray(times), jnp.float32)
    unit = sigma * SPREAD / jnp.sqrt(signal**2 * SPREAD**2 + sigma**2)
    off = jnp.mean((network.clean(noisy, times, text, camera) - pictures) ** 2, axis=(1, 2, 3))
    return jnp.mean(off / unit**2)


def landmark_loss(network: Finder, batch: Any, key: jax.Array) -> jax.Array:
    """Distance in pixels along each axis, and how blurred the maps are."""
    middle, sharp = network(batch[0])
    return jnp.mean(jnp.abs(middle - batch[1])) - 0.05 * jnp.mean(jnp.log(sharp))


def painter(work: pathlib.Path, rows: dict[str, np.ndarray], steps: int, seed: int) -> Painter:
    """The UNet, trained on `renders` if it is not in the folder."""
    path = work / "painter.safetensors"
    if path.is_file():
        return load_network(path, Painter)
    texts = np.stack([tokens(text) for text in PROMPTS])

    def batch_of(k: int) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng([seed, 1, k])
        index = rng.integers(len(rows["text"]), size=4)
        text = texts[rows["text"][index]] * (rng.random((4, 1)) > 0.15)
        pictures = rows["pictures"][index].reshape(-1, SIDE, SIDE, 3).astype(np.float32) / 127.5 - 1
        cameras = rows["cameras"][index].reshape(-1, 16)
        times = np.repeat(rng.integers(0, SCHEDULE.num_steps, 4), VIEWS)
        return pictures, np.repeat(text, VIEWS, axis=0), cameras, times

    return train(Painter(nnx.Rngs(seed)), picture_loss, batch_of, steps, "painter", path)


def finder(work: pathlib.Path, rows: dict[str, np.ndarray], steps: int, seed: int) -> Finder:
    """The network of landmarks, trained on `renders` if it is not in the folder."""
    path = work / "finder.safetensors"
    if path.is_file():
        return load_network(path, Finder)

    def batch_of(k: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, 2, k])
        index = rng.integers(len(rows["text"]), size=3)
        pictures = rows["alone"][index].reshape(-1, SIDE, SIDE, 3).astype(np.float32) / 255
        # A distilled field is softer and noisier than a render.
        around = [np.roll(pictures, s, (1, 2)) for s in ((0, 1), (0, -1), (1, 0), (-1, 0))]
        soft = rng.uniform(0, 0.6)
        pictures = (pictures + soft * np.mean(around, axis=0)) / (1 + soft)
        pictures = pictures + rng.uniform(0, 0.08) * rng.normal(size=pictures.shape)
        return pictures.astype(np.float32), rows["landmarks"][index].reshape(-1, len(LANDMARKS), 2)

    return train(Finder(nnx.Rngs(seed + 1)), landmark_loss, batch_of, steps, "finder", path)
