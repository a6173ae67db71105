"""A person into a picture of an object: inpainting whose mask shrinks to the person as that one appears (ComA's idea).

Steps are compiled; between them a segmenter, any function of a picture, says where the person is.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Bool, Float
from scipy import ndimage

from hoijax.diffusion import leading_grid, q_sample, scaled_linear_schedule, split_state
from hoijax.diffusion.schedule import Schedule
from hoijax.nets.stable_diffusion.autoencoder import AutoencoderKL
from hoijax.nets.stable_diffusion.unet import UNet

ArrayLike = jax.Array | np.ndarray
Segmenter = Callable[[np.ndarray], np.ndarray]
"""Picture (H, W, 3) in [0, 1] to where the person is, (H, W) of booleans."""

LOOKS = (*range(2, 11, 2), *range(12, 41, 2), 45)
"""After which steps the person is looked for."""
MARGINS = tuple(pixels for pixels in (20, 10, 5, 4, 3, 2, 1) for _ in range(5)) + (0,) * 15
"""Pixels around the person that stay free, at each of 50 steps."""


@dataclasses.dataclass(frozen=True)
class InpaintingConfig:
    """How a picture is filled."""

    steps: int = 50
    """Of the noise schedule."""
    share: float = 0.98
    """Of the steps that are taken, the last ones."""
    strength: float = 11.0
    """Of classifier-free guidance."""
    looks: tuple[int, ...] = LOOKS
    """After which steps, counted from 1, the mask is made anew; none: it stays."""
    margins: tuple[int, ...] = MARGINS
    """Pixels around the person at each step; the last one goes on."""
    least: float = 0.015
    """Share of the picture below which a person is none, and the first mask is taken."""


@struct.dataclass
class Filled:
    """A picture with what was put into it."""

    picture: Float[np.ndarray, "H W 3"]
    """In [-1, 1]."""
    masks: Bool[np.ndarray, "N H W"] = struct.field(default=None)
    """The mask of each step."""


def shrink(
    person: Bool[np.ndarray, "H W"], first: Bool[np.ndarray, "H W"], margin: int, least: float
) -> Bool[np.ndarray, "H W"]:
    """The mask around a person, within the first one; that one itself where there is hardly a person."""
    if person.mean() < least:
        return first
    around = ndimage.binary_dilation(person, np.ones((3, 3), bool), iterations=margin) if margin else person
    return around & first


def inpaint(
    unet: UNet,
    autoencoder: AutoencoderKL,
    picture: Float[ArrayLike, "H W 3"],
    mask: Bool[np.ndarray, "h w"],
    text: Float[ArrayLike, "L E"],
    null: Float[ArrayLike, "L E"],
    segment: Segmenter,
    *,
    key: jax.Array,
    config: InpaintingConfig = InpaintingConfig(),
    schedule: Schedule | None = None,
) -> Filled:
    """Fills a picture by DDIM, without random numbers but the first.

    Args:
      unet: with nine channels: latent, mask, latent of what stays.
      autoencoder: its.
      picture: in [-1, 1], sides divisible by the autoencoder's factor.
      mask: what is filled.
      text: features of what is wanted.
      null: of what is not.
      segment: where the person is.
      key: of the noise.
      config: how.
      schedule: the noise schedule; None: Stable Diffusion's.

    Returns:
      The picture and the masks.

    Raises:
      ValueError: the UNet is not one for inpainting, or the mask is of another size.
    """
    if unet.config.inputs != 2 * autoencoder.config.latent_channels + 1:
        raise ValueError(f"inpainting takes a UNet of 9 channels for latents of 4, got {unet.config.inputs}")
    if mask.shape != tuple(picture.shape[:2]):
        raise ValueError(f"the mask is {mask.shape}, the picture {tuple(picture.shape[:2])}")
    schedule = scaled_linear_schedule() if schedule is None else schedule
    times = leading_grid(config.steps, total=schedule.num_steps)
    times = times[: 1 + min(config.steps, int(config.steps * config.share))]
    programs, factor = _programs(unet, autoencoder, schedule, config.strength), autoencoder.config.factor
    picture, first, texts = jnp.asarray(picture), np.asarray(mask, bool), jnp.stack([null, text])

    def condition(mask: np.ndarray) -> jax.Array:
        free = jnp.asarray(mask)[..., None].astype(picture.dtype)
        stays = programs.encode((picture * jnp.broadcast_to(1 - free, picture.shape))[None])
        return jnp.concatenate([free[::factor, ::factor][None], stays], axis=-1)

    start = programs.encode(picture[None])
    x = q_sample(schedule, start, int(times[-1]), jax.random.normal(key, start.shape, start.dtype))
    beside, masks, now = condition(first), [], first
    for i, (low, high) in enumerate(zip(times[-2::-1], times[:0:-1]), start=1):
        masks.append(now)
        x, clean = programs.step(x, beside, texts, jnp.asarray(high), jnp.asarray(low))
        if i in config.looks:
            seen = np.clip(np.asarray(programs.decode(clean))[0] * 0.5 + 0.5, 0.0, 1.0)
            margin = config.margins[min(i, len(config.margins)) - 1]
            now = shrink(np.asarray(segment(seen), bool), first, margin, config.least)
            beside = condition(now)
    return Filled(picture=np.asarray(programs.decode(x))[0], masks=np.stack(masks))


@dataclasses.dataclass(frozen=True)
class _Programs:
    """What is compiled, once for a network, schedule and strength."""

    encode: Callable[[jax.Array], jax.Array]
    decode: Callable[[jax.Array], jax.Array]
    step: Callable[..., tuple[jax.Array, jax.Array]]


def _programs(unet: UNet, autoencoder: AutoencoderKL, schedule: Schedule, strength: float) -> _Programs:
    network, numbers = nnx.split(unet)
    coder, weights = nnx.split(autoencoder)

    @jax.jit
    def encode(weights: nnx.State, picture: jax.Array) -> jax.Array:
        return nnx.merge(coder, weights).encode(picture).mean

    @jax.jit
    def decode(weights: nnx.State, latent: jax.Array) -> jax.Array:
        return nnx.merge(coder, weights).decode(latent)

    @jax.jit
    def step(numbers: nnx.State, x: jax.Array, beside: jax.Array, texts: jax.Array, high: jax.Array, low: jax.Array):
        given = jnp.concatenate([x, beside.astype(x.dtype)], axis=-1)
        both = nnx.merge(network, numbers)(jnp.concatenate([given, given]), jnp.broadcast_to(high, (2,)), texts)
        noise = both[:1] + jnp.asarray(strength, x.dtype) * (both[1:] - both[:1])
        parts = split_state(schedule, x, high, noise)
        return q_sample(schedule, parts.x0, low, parts.noise), parts.x0

    return _Programs(lambda x: encode(weights, x), lambda x: decode(weights, x),
                     lambda *inputs: step(numbers, *inputs))  # fmt: skip
