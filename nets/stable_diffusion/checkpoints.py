"""Where the weights of Stable Diffusion's, SDXL's and MVDream's networks lie in published files."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from flax import nnx

from hoijax.nets.stable_diffusion.autoencoder import AutoencoderKL
from hoijax.nets.stable_diffusion.config import UNETS, AutoencoderKLConfig, UNetConfig
from hoijax.nets.stable_diffusion.latent_diffusion import prepare_autoencoder, prepare_unet
from hoijax.nets.stable_diffusion.unet import UNet
from hoijax.nets.weights import Entry, Rule
from hoijax.nets.weights import load as load_entry

_GATED = (r"\g<1>.ff.up.\g<3>", r"\g<1>.ff.gate.\g<3>")

UNET_RULES = (
    Rule(r"(time|add|camera)_embedding\.first\.(.*)", r"\1_embedding.linear_1.\2"),
    Rule(r"(time|add|camera)_embedding\.second\.(.*)", r"\1_embedding.linear_2.\2"),
    Rule(r"(.*)\.(attn[12])\.query\.(.*)", r"\1.\2.to_q.\3"),
    Rule(r"(.*)\.(attn[12])\.key\.(.*)", r"\1.\2.to_k.\3"),
    Rule(r"(.*)\.(attn[12])\.value\.(.*)", r"\1.\2.to_v.\3"),
    Rule(r"(.*)\.(attn[12])\.out\.(.*)", r"\1.\2.to_out.0.\3"),
    Rule(r"(.*)\.ff\.(up|gate)\.(weight|bias)", r"\1.ff.net.0.proj.\3", _GATED),
    Rule(r"(.*)\.ff\.down\.(.*)", r"\1.ff.net.2.\2"),
)
"""Names of `diffusers`' UNet2DConditionModel."""

AUTOENCODER_RULES = (
    Rule(r"(.*)\.attention\.query\.(.*)", r"\1.to_q.\2"),
    Rule(r"(.*)\.attention\.key\.(.*)", r"\1.to_k.\2"),
    Rule(r"(.*)\.attention\.value\.(.*)", r"\1.to_v.\2"),
    Rule(r"(.*)\.attention\.out\.(.*)", r"\1.to_out.0.\2"),
)
"""Names of `diffusers`' AutoencoderKL."""

TITLES = {
    "sd_1.5": "Stable Diffusion 1.5's UNet",
    "sd_1.5_inpainting": "Stable Diffusion 1.5's UNet for inpainting",
    "sd_2.1": "Stable Diffusion 2.1's UNet",
    "sd_2.1_inpainting": "Stable Diffusion 2's UNet for inpainting",
    "sdxl": "SDXL's UNet",
    "sdxl_inpainting": "SDXL's UNet for inpainting",
    "mvdream": "MVDream's UNet, which sees four views",
}

AUTOENCODERS = {"sd_autoencoder": AutoencoderKLConfig(), "sdxl_autoencoder": AutoencoderKLConfig(scaling=0.13025)}


def _sizes(kind: type, facts: Mapping[str, Any]) -> Any:
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in facts["config"].items()})


def _unet(facts: Mapping[str, Any], rngs: nnx.Rngs) -> UNet:
    return UNet(_sizes(UNetConfig, facts), rngs)


def _autoencoder(facts: Mapping[str, Any], rngs: nnx.Rngs) -> AutoencoderKL:
    return AutoencoderKL(_sizes(AutoencoderKLConfig, facts), rngs)


WEIGHTS = {
    **{
        f"{name}_unet": Entry(TITLES[name], _unet, {"config": dataclasses.asdict(config)}, rules=UNET_RULES,
                              prepare=prepare_unet(config))
        for name, config in UNETS.items()
    },
    **{
        name: Entry(f"{'SDXL' if name.startswith('sdxl') else 'Stable Diffusion'}'s autoencoder", _autoencoder,
                    {"config": dataclasses.asdict(config)}, rules=AUTOENCODER_RULES,
                    prepare=prepare_autoencoder(config))
        for name, config in AUTOENCODERS.items()
    },
}  # fmt: skip


def load(path: pathlib.Path, **how: Any) -> UNet:
    """The UNet of a file that `hoijax convert` wrote, of any size.

    Args:
      path: the `.safetensors` file.
      **how: `dtype` and `place` of `hoijax.nets.weights.fill`.

    Raises:
      InputError: no such file, or not a UNet's weights.
    """
    return load_entry("sd_2.1_unet", path, **how)[0]


def load_autoencoder(path: pathlib.Path, **how: Any) -> AutoencoderKL:
    """The autoencoder of a file; arguments and errors as of `load`."""
    return load_entry("sd_autoencoder", path, **how)[0]
