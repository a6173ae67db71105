"""Sizes of CLIP's towers: the published ones by name, and any others."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hoijax.errors import InputError
from hoijax.nets.blocks import AttentionConfig, BlockConfig


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """A text tower; the defaults are ViT-L/14's."""

    width: int = 768
    """Channels of a token."""
    hidden: int = 3072
    """Hidden channels of a block's perceptron."""
    layers: int = 12
    """Blocks."""
    heads: int = 12
    """Attention heads."""
    activation: str = "quick_gelu"
    """Of the perceptrons: OpenAI's models have "quick_gelu", OpenCLIP's "gelu"."""
    projection: int | None = 768
    """Channels of the joint space of texts and images; None: the checkpoint has no projection."""
    vocabulary: int = 49408
    """Tokens; the last one ends a text, the one before it begins it."""
    positions: int = 77
    """Longest text, with both."""
    epsilon: float = 1e-5
    """Of the normalisations."""

    @classmethod
    def of_size(cls, name: str) -> "TextConfig":
        """A published size: "l" (ViT-L/14), "h" (ViT-H/14), "bigg" (ViT-bigG/14), or "tiny" for tests.

        Raises:
          InputError: another name.
        """
        return _named(TEXT, name)


@dataclasses.dataclass(frozen=True)
class VisionConfig:
    """An image tower; the defaults are ViT-L/14's at 224 pixels."""

    image: int = 224
    """Pixels of a side."""
    patch: int = 14
    """Pixels of a patch."""
    width: int = 1024
    """Channels of a token."""
    hidden: int = 4096
    """Hidden channels of a block's perceptron."""
    layers: int = 24
    """Blocks."""
    heads: int = 16
    """Attention heads."""
    activation: str = "quick_gelu"
    """Of the perceptrons, as in `TextConfig`."""
    projection: int | None = 768
    """Channels of the joint space; None: no projection."""
    epsilon: float = 1e-5
    """Of the normalisations."""

    @property
    def patches(self) -> int:
        """Tokens of an image, without the one that stands for all of it."""
        return (self.image // self.patch) ** 2

    @classmethod
    def of_size(cls, name: str) -> "VisionConfig":
        """A published size: "l", "l_336", "h", "bigg", or "tiny" for tests.

        Raises:
          InputError: another name.
        """
        return _named(VISION, name)


@dataclasses.dataclass(frozen=True)
class Config:
    """Both towers."""

    text: TextConfig = TextConfig()
    """Of texts."""
    vision: VisionConfig = VisionConfig()
    """Of images."""

    @classmethod
    def of_size(cls, name: str) -> "Config":
        """A published size that both towers have.

        Raises:
          InputError: another name.
        """
        return cls(TextConfig.of_size("l" if name == "l_336" else name), VisionConfig.of_size(name))


TEXT = {
    "l": TextConfig(),
    "h": TextConfig(1024, 4096, 24, 16, "gelu", 1024),
    "bigg": TextConfig(1280, 5120, 32, 20, "gelu", 1280),
    "tiny": TextConfig(32, 64, 3, 4, "quick_gelu", 16, vocabulary=99, positions=12),
}
VISION = {
    "l": VisionConfig(),
    "l_336": VisionConfig(image=336),
    "h": VisionConfig(224, 14, 1280, 5120, 32, 16, "gelu", 1024),
    "bigg": VisionConfig(224, 14, 1664, 8192, 48, 16, "gelu", 1280),
    "tiny": VisionConfig(32, 8, 32, 64, 3, 4, "quick_gelu", 16),
}


def _named(sizes: Mapping[str, Any], name: str) -> Any:
    if name not in sizes:
        raise InputError(f"CLIP has no size {name!r}; known are {', '.join(sizes)}")
    return sizes[name]


def block_config(config: TextConfig | VisionConfig) -> BlockConfig:
    """A tower's block."""
    attention = AttentionConfig(config.width, heads=config.heads)
    return BlockConfig(attention, config.hidden, activation=config.activation, epsilon=config.epsilon)
