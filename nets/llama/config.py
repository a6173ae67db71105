"""Sizes of LLaMA: those that LLaVA, LISA and InteractVLM are built on, and any others."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hoijax.errors import InputError
from hoijax.nets.blocks import AttentionConfig, BlockConfig


@dataclasses.dataclass(frozen=True)
class Config:
    """LLaMA (Touvron et al. 2023); the defaults are LLaMA-2's 7 B."""

    vocabulary: int = 32000
    """Tokens; special ones that were added count."""
    width: int = 4096
    """Channels of a token."""
    hidden: int = 11008
    """Hidden channels of a gated perceptron."""
    layers: int = 32
    """Blocks."""
    heads: int = 32
    """Attention heads of queries."""
    groups: int | None = None
    """Heads of keys and values, each shared by several of the queries'; None: as many."""
    head_width: int | None = None
    """Channels of a head; None: width / heads."""
    epsilon: float = 1e-5
    """Of the normalisations."""
    rope: float = 1e4
    """Base of rotary positions."""
    dtype: str | None = None
    """What layers compute in; None: the type of the parameters."""

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.heads if self.groups is None else self.groups

    @property
    def channels(self) -> int:
        """Of a head."""
        return self.width // self.heads if self.head_width is None else self.head_width

    @classmethod
    def of_size(cls, name: str) -> "Config":
        """A named size: "7b", "13b", "1b" (TinyLlama's), or "tiny" for tests.

        Raises:
          InputError: another name.
        """
        if name not in SIZES:
            raise InputError(f"LLaMA has no size {name!r}; known are {', '.join(SIZES)}")
        return SIZES[name]

    @classmethod
    def published(cls, said: Mapping[str, Any]) -> "Config":
        """The sizes in a `config.json` as `transformers` writes it.

        Raises:
          InputError: a size is missing, or it describes another kind of network.
        """
        said = {**said, **(said.get("text_config") or {})}
        names = {"vocab_size": "vocabulary", "hidden_size": "width", "intermediate_size": "hidden",
                 "num_hidden_layers": "layers", "num_attention_heads": "heads"}  # fmt: skip
        missing = [name for name in names if not isinstance(said.get(name), int)]
        if missing:
            raise InputError(f"the configuration says no {', '.join(missing)}")
        turned = said.get("rope_parameters") or {}
        kind = turned.get("rope_type", "default")
        if said.get("rope_scaling") or kind != "default":
            scaled = said.get("rope_scaling") or kind
            raise InputError(f"rotary positions are scaled by {scaled}; hoijax knows those of LLaMA-2")
        if said.get("hidden_act", "silu") != "silu" or said.get("attention_bias") or said.get("mlp_bias"):
            raise InputError("a LLaMA has no biases and SiLU; the configuration says otherwise")
        sizes = {ours: said[theirs] for theirs, ours in names.items()}
        groups = said.get("num_key_value_heads")
        rope = said.get("rope_theta", turned.get("rope_theta", 1e4))
        return cls(
            **sizes, groups=None if groups in (None, sizes["heads"]) else groups, head_width=said.get("head_dim"),
            epsilon=float(said.get("rms_norm_eps", 1e-6)), rope=float(rope),
        )  # fmt: skip

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> "Config":
        """The sizes that a checkpoint's arrays show (`transformers`' names); heads have LLaMA's 128 channels.

        Raises:
          InputError: no such arrays.
        """
        first = "model.layers.0"
        names = ("model.embed_tokens.weight", f"{first}.mlp.gate_proj.weight", f"{first}.self_attn.k_proj.weight")
        missing = [name for name in names if len(shapes.get(name, ())) != 2]
        if missing:
            raise InputError(f"no LLaMA's checkpoint: it holds no matrix {missing[0]}")
        (vocabulary, width), (hidden, _), (keys, _) = (shapes[name] for name in names)
        layers = sum(name.endswith(".mlp.gate_proj.weight") for name in shapes)
        channels = 128 if width % 128 == 0 and keys % 128 == 0 else min(width, keys)
        heads, groups = width // channels, keys // channels
        return cls(vocabulary, width, hidden, layers, heads, None if groups == heads else groups)


SIZES = {
    "7b": Config(),
    "13b": Config(width=5120, hidden=13824, layers=40, heads=40),
    "1b": Config(width=2048, hidden=5632, layers=22, heads=32, groups=4),
    "tiny": Config(67, 32, 48, 2, 4, groups=2),
}


def block_config(config: Config) -> BlockConfig:
    """A block."""
    attention = AttentionConfig(
        config.width, heads=config.heads, groups=config.groups, head_width=config.head_width, bias=False,
        out_bias=False, rope=config.rope, dtype=config.dtype,
    )  # fmt: skip
    return BlockConfig(attention, config.hidden, activation="silu", gated=True, norm="rms", epsilon=config.epsilon)
