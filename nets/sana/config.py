"""SANA's sizes: those that are published, and any smaller."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class SanaConfig:
    """Sizes of the transformer; the defaults are SANA-1.5's of 1.6 billion parameters, HOI3DGen's."""

    width: int = 2240
    """Channels of a token."""
    depth: int = 20
    """Blocks."""
    head_width: int = 32
    """Channels of a head of the linear attention."""
    cross_heads: int = 20
    """Heads that look at the text."""
    text_channels: int = 2304
    """Of the text encoder's features."""
    hidden: int = 5600
    """Channels inside a block's convolutions, before the gate."""
    latent_channels: int = 32
    """Of a latent's cell, in and out."""
    norm: bool = True
    """Whether queries and keys are normalised, over all heads together."""
    cross_norm_epsilon: float = 1e-5
    """Of the normalisation towards the text: 1e-5 in `diffusers`, 1e-6 in the authors' code."""
    linear_epsilon: float = 1e-15
    """Added to the linear attention's divisor: 1e-15 in `diffusers`, 1e-8 in the authors' code."""
    null_tokens: int = 0
    """Tokens of a stored text of nothing, which the authors' files keep (300) and `diffusers`' do not (0)."""
    remat: bool = False
    """Whether a block's inside is computed again for the gradient instead of being kept."""

    def __post_init__(self):
        if self.width % self.head_width or self.width % self.cross_heads:
            raise ValueError(
                f"width {self.width} is no multiple of the heads' {self.head_width} channels and of {self.cross_heads}"
            )


SIZES = {
    "sana_0.6b": SanaConfig(width=1152, depth=28, cross_heads=16, hidden=2880, norm=False),
    "sana_1.6b": SanaConfig(norm=False),
    "sana_1.5_1.6b": SanaConfig(),
    "sana_1.5_4.8b": SanaConfig(depth=60),
}
"""The published sizes by name (Xie et al. 2024 and 2025), for pictures of 512 and 1024 pixels."""


def authors_layout(config: SanaConfig) -> SanaConfig:
    """The same size as the authors' own code computes it, with their stored text of nothing."""
    return dataclasses.replace(config, cross_norm_epsilon=1e-6, linear_epsilon=1e-8, null_tokens=300)
