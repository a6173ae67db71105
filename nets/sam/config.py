"""Sizes of SAM: ViT-B, L and H as published, and any others."""

import dataclasses

from hoijax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Config:
    """SAM (Kirillov et al. 2023); the defaults are ViT-H's."""

    image: int = 1024
    """Pixels of a side."""
    patch: int = 16
    """Pixels of a cell."""
    width: int = 1280
    """Channels of a token of the image encoder."""
    layers: int = 32
    """Its blocks."""
    heads: int = 16
    """Its attention heads."""
    hidden: int = 5120
    """Hidden channels of its perceptrons."""
    window: int = 14
    """Cells of a side within which its tokens look at each other."""
    everywhere: tuple[int, ...] = (7, 15, 23, 31)
    """Blocks whose tokens look at the whole image."""
    rows: int = 8
    """Rows of cells of those blocks that are answered at a time: memory only. All 64 of ViT-H's need 1.1 GB an image
    in float32, eight an eighth of that; 0 for all."""
    dtype: str | None = None
    """What the encoder computes in; None: what comes in."""
    channels: int = 256
    """Of an image's embedding and of prompts."""
    mask_channels: int = 16
    """Of a mask that is given as a prompt."""
    decoder_layers: int = 2
    """Blocks of the mask decoder."""
    decoder_heads: int = 8
    """Its attention heads."""
    decoder_hidden: int = 2048
    """Hidden channels of its perceptrons."""
    decoder_epsilon: float = 1e-5
    """Of its normalisations: 1e-5 in the published code, 1e-6 in that of `transformers`."""
    masks: int = 4
    """Masks that it answers with: the first for prompts that say one thing, the others for those that may say three."""

    @property
    def cells(self) -> int:
        """Of a side of the embedding."""
        return self.image // self.patch

    @classmethod
    def of_size(cls, name: str) -> "Config":
        """A published size, "b", "l" or "h", or "tiny" for tests.

        Raises:
          InputError: another name.
        """
        if name not in SIZES:
            raise InputError(f"SAM has no size {name!r}; known are {', '.join(SIZES)}")
        return SIZES[name]


SIZES = {
    "b": Config(width=768, layers=12, heads=12, hidden=3072, everywhere=(2, 5, 8, 11)),
    "l": Config(width=1024, layers=24, heads=16, hidden=4096, everywhere=(5, 11, 17, 23)),
    "h": Config(),
    "tiny": Config(128, 16, 32, 3, 4, 64, 3, (1,), rows=2, channels=32, decoder_hidden=64, decoder_heads=4),
}
