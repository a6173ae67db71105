"""Small networks with weights and inputs that NumPy alone rebuilds: the two sides of each comparison start here.

`CASES` has hoijax's network of each name; `references.py` has what `diffusers` and `transformers` make of the same
weights, under their names; `answers.npz` holds what they answered (`python tests/nets/generative/references.py`).
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from flax import nnx

from hoijax.nets import sana, stable_diffusion, weights
from hoijax.nets.sana import checkpoints as sana_files
from hoijax.nets.stable_diffusion import checkpoints as sd_files

SANA = sana.SanaConfig(width=64, depth=2, head_width=32, cross_heads=4, text_channels=48, hidden=160,
                       latent_channels=8, norm=False)  # fmt: skip
SANA_NORMED = dataclasses.replace(SANA, norm=True, depth=1)
DC_AE = sana.AutoencoderDCConfig(channels=(32, 32, 64, 64, 64, 64), encoder_depths=(1,) * 6, decoder_depths=(1,) * 6,
                                 latent_channels=16, scaling=1.0)  # fmt: skip
GEMMA = sana.Gemma2Config(vocabulary=128, width=64, depth=2, heads=4, groups=2, head_width=16, hidden=128,
                          query_width=16, window=4, cap=0.5)  # fmt: skip
UNET = stable_diffusion.UNetConfig(channels=(8, 16), depth=1, transformers=(1, 0), heads=(2, 4), context=12, groups=4,
                                   convolved=True)  # fmt: skip
UNET_XL = stable_diffusion.UNetConfig(inputs=9, channels=(8, 12, 16), depth=2, transformers=(0, 1, 2), middle=2,
                                      heads=(2, 2, 4), context=24, groups=4, numbers=6, number_width=8,
                                      pooled=10)  # fmt: skip
UNET_VIEWS = stable_diffusion.UNetConfig(channels=(8, 16), depth=1, transformers=(1, 0), heads=(2, 4), context=12,
                                         groups=4, camera=16)  # fmt: skip
VAE = stable_diffusion.AutoencoderKLConfig(channels=(4, 8, 8), depth=1, groups=2, scaling=1.0)


def draw(name: str, *shape: int) -> np.ndarray:
    """Normal numbers of a name, float32."""
    rng = np.random.Generator(np.random.PCG64([7, zlib.crc32(name.encode())]))
    return rng.standard_normal(shape, np.float32)


def weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Near one for scales, near zero for biases, else of a variance that keeps that of what comes in."""
    noise = draw(key, *shape)
    if len(shape) < 2:
        return 0.1 * noise + np.float32(key.endswith("weight"))
    return noise * np.float32(np.prod(shape[1:]) ** -0.5)


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One network and one call of it."""

    build: Callable[[nnx.Rngs], nnx.Module]
    inputs: dict[str, np.ndarray]
    rules: tuple[weights.Rule, ...] = ()
    method: str = "__call__"
    more: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Options that are no arrays."""

    @functools.cached_property
    def network(self) -> nnx.Module:
        """Ours with the checkpoint's weights, strictly."""
        module = weights.abstract(self.build)
        state = {key: weight(key, shape) for key, shape in weights.published_keys(module, self.rules).items()}
        weights.load_state_dict(module, state, rules=self.rules)
        return module

    def state_dict(self) -> dict[str, np.ndarray]:
        """The checkpoint."""
        return {key: weight(key, shape) for key, shape in weights.published_keys(self.network, self.rules).items()}


def mask(*lengths: int, size: int) -> np.ndarray:
    """Texts of these lengths, padded to the right."""
    return np.arange(size)[None] < np.array(lengths)[:, None]


def _sana(config: sana.SanaConfig, batch: int, height: int, width: int) -> Case:
    inputs = {
        "latent": draw("latent", batch, height, width, config.latent_channels),
        "time": np.array([999.0, 37.0, 500.0], np.float32)[:batch],
        "text": draw("text", batch, 7, config.text_channels),
        "mask": mask(7, 4, 1, size=7)[:batch],
    }
    return Case(lambda rngs: sana.Sana(config, rngs), inputs, sana_files.DIFFUSERS)


def _unet(config: stable_diffusion.UNetConfig, batch: int = 2, views: int = 1, **inputs: Any) -> Case:
    inputs |= {
        "latent": draw("unet latent", batch, 9, 7, config.inputs),
        "time": np.array([981.0, 20.0] * (batch // 2), np.float32),
        "text": draw("unet text", batch, 5, config.context),
    }
    return Case(lambda rngs: stable_diffusion.UNet(config, rngs), inputs, sd_files.UNET_RULES, more={"views": views})


def _vae(rngs: nnx.Rngs) -> nnx.Module:
    return stable_diffusion.AutoencoderKL(VAE, rngs)


def _dc_ae(rngs: nnx.Rngs) -> nnx.Module:
    return sana.AutoencoderDC(DC_AE, rngs)


CASES = {
    "sana": _sana(SANA, 2, 6, 10),
    "sana_normed": _sana(SANA_NORMED, 3, 4, 4),
    "dc_ae_encode": Case(_dc_ae, {"pictures": draw("pictures", 1, 64, 96, 3)}, method="encode"),
    "dc_ae_decode": Case(_dc_ae, {"latents": draw("latents", 1, 2, 3, 16)}, method="decode"),
    "gemma": Case(
        lambda rngs: sana.Gemma2(GEMMA, rngs),
        {"tokens": np.arange(24).reshape(2, 12) * 5 % 128, "mask": mask(12, 7, size=12)},
        sana_files.GEMMA,
    ),
    "unet": _unet(UNET),
    "unet_xl": _unet(UNET_XL, added=stable_diffusion.Added(
        pooled=draw("pooled", 2, 10), numbers=np.array([[512, 640, 0, 16, 512, 512]] * 2, np.float32))),
    "unet_views": _unet(UNET_VIEWS, 4, 2, camera=draw("camera", 4, 16)),
    "vae_encode": Case(_vae, {"pictures": draw("vae pictures", 1, 12, 20, 3)}, sd_files.AUTOENCODER_RULES, "encode"),
    "vae_decode": Case(_vae, {"latents": draw("vae latents", 1, 5, 4, 4)}, sd_files.AUTOENCODER_RULES, "decode"),
}  # fmt: skip
