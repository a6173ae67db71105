"""The names of the original Latent Diffusion code, in which Stable Diffusion's and MVDream's own files are published.

One file holds several networks: `model.diffusion_model.` the UNet, `first_stage_model.` the autoencoder,
`cond_stage_model.` the text encoder. What is done here is renaming, to the names of `diffusers`; no array is read.
"""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from hoijax.nets.stable_diffusion.config import AutoencoderKLConfig, UNetConfig
from hoijax.nets.weights import StateDict, Tensors
from hoijax.nets.weights.files import TensorInfo, table_of

UNET, AUTOENCODER = "model.diffusion_model.", "first_stage_model."

RESIDUAL = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
    "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}  # fmt: skip
"""Inside a UNet's residual convolution, theirs to those of `diffusers`."""

OUTSIDE = {
    "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "camera_embed.0": "camera_embedding.linear_1", "camera_embed.2": "camera_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out",
}  # fmt: skip
"""Around a UNet's blocks."""

ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
"""Inside an autoencoder's attention."""

FORMERLY = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""What `diffusers` called the same at first."""


def unet_places(config: UNetConfig) -> dict[str, str]:
    """Where each block of the UNet is: their prefix to that of `diffusers`."""
    places, levels, depth = {}, len(config.channels), config.depth
    for level in range(levels):
        for i in range(depth):
            at = f"input_blocks.{level * (depth + 1) + i + 1}"
            places[f"{at}.0"] = f"down_blocks.{level}.resnets.{i}"
            places[f"{at}.1"] = f"down_blocks.{level}.attentions.{i}"
        if level + 1 < levels:
            places[f"input_blocks.{(level + 1) * (depth + 1)}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
    places |= {"middle_block.0": "mid_block.resnets.0", "middle_block.1": "mid_block.attentions.0",
               "middle_block.2": "mid_block.resnets.1"}  # fmt: skip
    for up in range(levels):
        attends = config.transformers[levels - 1 - up] > 0
        for i in range(depth + 1):
            at = f"output_blocks.{up * (depth + 1) + i}"
            places[f"{at}.0"] = f"up_blocks.{up}.resnets.{i}"
            if attends:
                places[f"{at}.1"] = f"up_blocks.{up}.attentions.{i}"
        if up + 1 < levels:
            places[f"{at}.{2 if attends else 1}.conv"] = f"up_blocks.{up}.upsamplers.0.conv"
    return places


def _replace(key: str, names: Mapping[str, str]) -> str | None:
    """The key with its longest known start exchanged; None: no start is known."""
    parts = key.split(".")
    for count in range(len(parts), 0, -1):
        start = ".".join(parts[:count])
        if start in names:
            return ".".join([names[start], *parts[count:]])
    return None


def unet_names(keys: Iterable[str], config: UNetConfig) -> dict[str, str]:
    """Name in `diffusers` -> theirs; a key that is not known keeps its name."""
    places, out = OUTSIDE | unet_places(config), {}
    for key in keys:
        name = _replace(key, places) or key
        block = re.fullmatch(r"(.*\.resnets\.\d+)\.(.*)", name)
        if block is not None:
            name = f"{block[1]}.{_replace(block[2], RESIDUAL) or block[2]}"
        out[name] = key
    return out


def autoencoder_names(keys: Iterable[str], config: AutoencoderKLConfig) -> dict[str, str]:
    """Name in `diffusers` -> theirs; a key that is not known keeps its name."""
    out, last = {}, len(config.channels) - 1
    for key in keys:
        name = re.sub(r"\.mid\.block_([12])\.", lambda m: f".mid_block.resnets.{int(m[1]) - 1}.", key)
        attention = re.fullmatch(r"(.*)\.mid\.attn_1\.(\w+)\.(\w+)", name)
        if attention is not None:
            name = f"{attention[1]}.mid_block.attentions.0.{ATTENTION.get(attention[2], attention[2])}.{attention[3]}"
        name = re.sub(r"\.down\.(\d+)\.block\.", r".down_blocks.\1.resnets.", name)
        name = re.sub(r"\.down\.(\d+)\.downsample\.", r".down_blocks.\1.downsamplers.0.", name)
        name = re.sub(r"\.up\.(\d+)\.block\.", lambda m: f".up_blocks.{last - int(m[1])}.resnets.", name)
        name = re.sub(r"\.up\.(\d+)\.upsample\.", lambda m: f".up_blocks.{last - int(m[1])}.upsamplers.0.", name)
        name = name.replace(".nin_shortcut.", ".conv_shortcut.").replace(".norm_out.", ".conv_norm_out.")
        former = re.fullmatch(r"(.*\.mid_block\.attentions\.0)\.(query|key|value|proj_attn)\.(\w+)", name)
        if former is not None:
            name = f"{former[1]}.{FORMERLY[former[2]]}.{former[3]}"
        out[name] = key
    return out


def _renamed(state: StateDict, names: Mapping[str, str]) -> Tensors:
    """Arrays under other names; the 1x1 convolutions of an autoencoder's attention as matrices."""
    table = table_of(state)

    def shape(name: str) -> tuple[int, ...]:
        size = table[names[name]].shape
        return size[:2] if ".mid_block.attentions.0.to_" in name and size[2:] == (1, 1) else size

    def read(name: str) -> np.ndarray:
        return np.asarray(state[names[name]]).reshape(shape(name))

    infos = {name: TensorInfo(shape(name), table[old].dtype) for name, old in names.items()}
    return Tensors(infos, read, where="the checkpoint")


def _part(state: StateDict, start: str) -> dict[str, str]:
    """Key without the network's own prefix -> key; all of them where none has it."""
    chosen = {key.removeprefix(start): key for key in state if key.startswith(start)}
    return chosen or {key: key for key in state}


def prepare_unet(config: UNetConfig):
    """What brings a file in either layout to the names of `diffusers`."""

    def prepare(state: StateDict) -> StateDict:
        part = _part(state, UNET)
        if not any(key.startswith("input_blocks.") for key in part):
            return state
        return _renamed(state, {name: part[key] for name, key in unet_names(part, config).items()})

    return prepare


def prepare_autoencoder(config: AutoencoderKLConfig):
    """What brings a file in either layout, or with the first names of `diffusers`, to those of today."""

    def prepare(state: StateDict) -> StateDict:
        part = _part(state, AUTOENCODER)
        return _renamed(state, {name: part[key] for name, key in autoencoder_names(part, config).items()})

    return prepare
