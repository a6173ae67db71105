"""Sizes of the light contact network."""

import dataclasses

NUM_JOINTS = 27
"""Points of a person that the network is told: those of MediaPipe's 33 that a body model has."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes; the defaults are those of the shipped weights."""

    words: tuple[str, ...] = ()
    """Labels that the network has been taught, in the order of their numbers, from 1; 0 is any other label."""
    width: int = 64
    """Channels of a token."""
    heads: int = 4
    """Attention heads."""
    layers: int = 2
    """Blocks in which the tokens of a pair see each other."""
    depth: int = 1
    """Blocks in which a point of a surface looks at them."""
    mask: int = 32
    """Cells of a side of the object's mask."""
    patch: int = 8
    """Cells of a side of one of its tokens."""
    window: int = 5
    """Cells of a side of what is cut out of the mask about each point of the person, odd."""
    frequencies: int = 6
    """Octaves of the sines and cosines of places, from a wave of 4 m on."""
    regions: int = 1499
    """Cells of the body's surface, for each of which every label has a bias: the coarsest free body's vertices."""
    boxes: int = 6
    """Cells of a side of an object's box, likewise."""
    reach: float = 0.1
    """Metres of a surface over which a point's query takes up the tokens near it."""

    def __post_init__(self):
        if self.mask % self.patch:
            raise ValueError(f"a mask of {self.mask} cells is not divisible into patches of {self.patch}")
        if self.window % 2 != 1:
            raise ValueError(f"window must be odd, got {self.window}")
