"""Sizes of Stable Diffusion's networks: those that are published, and any smaller."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class UNetConfig:
    """Sizes of the UNet; the defaults are Stable Diffusion 2.1's, MVDream's but for the camera."""

    inputs: int = 4
    """Channels in: 4 of the latent, 9 where a mask and the masked picture's latent follow."""
    outputs: int = 4
    """Channels out."""
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    """Of each level; every level but the last halves rows and columns."""
    depth: int = 2
    """Residual convolutions of a level on the way down; one more on the way up."""
    transformers: tuple[int, ...] = (1, 1, 1, 0)
    """Transformer blocks behind each residual convolution of a level; 0: none."""
    middle: int = 1
    """Transformer blocks at the bottom."""
    heads: tuple[int, ...] = (5, 10, 20, 20)
    """Attention heads of each level; the last also of the bottom."""
    context: int = 1024
    """Channels of the text's features."""
    groups: int = 32
    """Of the group normalisations."""
    convolved: bool = False
    """Whether maps into and out of transformers are kept as 1x1 convolutions, as Stable Diffusion 1 does."""
    numbers: int = 0
    """Numbers of SDXL's second condition beside a pooled text's features: six sizes; 0: no such condition."""
    number_width: int = 256
    """Sines and cosines of each of these numbers."""
    pooled: int = 1280
    """Channels of the pooled text of that condition."""
    camera: int = 0
    """Numbers of a camera: 16 of MVDream's matrix; 0: none."""

    def __post_init__(self):
        if not len(self.channels) == len(self.transformers) == len(self.heads):
            raise ValueError(
                f"{len(self.channels)} levels need as many numbers of transformer blocks and of heads, got "
                f"{len(self.transformers)} and {len(self.heads)}"
            )
        for width, heads in zip(self.channels, self.heads):
            if width % self.groups or width % heads:
                raise ValueError(f"{width} channels are no multiple of {self.groups} groups and of {heads} heads")


@dataclasses.dataclass(frozen=True)
class AutoencoderKLConfig:
    """Sizes of the autoencoder; the defaults are Stable Diffusion's."""

    channels: tuple[int, ...] = (128, 256, 512, 512)
    """Of each level; every level but the last halves rows and columns."""
    depth: int = 2
    """Residual convolutions of a level of the encoder; one more of the decoder."""
    latent_channels: int = 4
    """Of a latent's cell."""
    groups: int = 32
    """Of the group normalisations."""
    scaling: float = 0.18215
    """A latent times this has about unit variance; 0.13025 in SDXL."""

    @property
    def factor(self) -> int:
        """How many times fewer rows a latent has."""
        return 2 ** (len(self.channels) - 1)


_FIRST = UNetConfig(context=768, heads=(8, 8, 8, 8), convolved=True)
_SECOND = UNetConfig()
_XL = UNetConfig(channels=(320, 640, 1280), transformers=(0, 2, 10), middle=10, heads=(5, 10, 20), context=2048,
                 numbers=6)  # fmt: skip

UNETS = {
    "sd_1.5": _FIRST,
    "sd_1.5_inpainting": dataclasses.replace(_FIRST, inputs=9),
    "sd_2.1": _SECOND,
    "sd_2.1_inpainting": dataclasses.replace(_SECOND, inputs=9),
    "sdxl": _XL,
    "sdxl_inpainting": dataclasses.replace(_XL, inputs=9),
    "mvdream": dataclasses.replace(_SECOND, camera=16),
}
"""The published sizes by name (Rombach et al. 2022, Podell et al. 2023, Shi et al. 2023)."""
