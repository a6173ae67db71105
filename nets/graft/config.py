"""Sizes of GRAFT's network, and the fixed layout of its tokens and probes (specs/graft.md sections 3 to 6)."""

import dataclasses

NUM_ROTATIONS = 52
"""GRAFT's rotations, in SMPL-H's order: the root, 21 body joints, 15 joints of the left hand, 15 of the right."""
NUM_BODY = 21
NUM_HAND = 15
NUM_DISTAL = 5
NUM_SURFACE = 27
NUM_TOKENS = NUM_BODY + 2 + 1
"""Tokens: one per body joint, the left hand, the right hand, the whole body."""
NUM_PROBES = NUM_BODY + 2 * NUM_DISTAL + NUM_SURFACE
"""Probes in the order of the tokens: body joints, distal joints of the left and the right hand, surface points."""
NUM_BETAS = 10
NUM_ANCHORS = NUM_BODY + 2 + NUM_SURFACE
"""Points at which the image is looked at: body joints, the middle of each hand, surface points."""
NUM_STREAMS = 2
CONTEXT = NUM_STREAMS * NUM_SURFACE
"""Places of a token's visual context: two streams of 27 surface points for the whole body; 2 x 9 for the others."""


@dataclasses.dataclass(frozen=True)
class GraftConfig:
    """Sizes; the defaults are those of specs/graft.md section 6, 16,192,942 parameters beside the fusion stem."""

    width: int = 512
    """Channels of a token."""
    layers: int = 5
    """Blocks of the transformer."""
    heads: int = 8
    """Attention heads."""
    feedforward: int = 512
    """Hidden channels of a block's perceptron."""
    fourier: int = 64
    """Outputs of a Fourier encoder; as many sines and cosines and hidden channels."""
    bandwidth: tuple[float, float] = (1.0, 1.0)
    """gamma of the Fourier encoders, metres: frequencies start as N(0, gamma^-2); the first frequency has the first
    gamma, the last the second, those between go evenly by their logarithms. That of normals has the first."""
    heights: bool = False
    """Also encode each probe's height above the tangent plane of its nearest point; the paper does not. It is what
    contact is about, and it does not depend on where on a surface the points of a cloud lie."""
    probe_hidden: int = 128
    """Hidden channels of the perceptron that shortens a probe's features."""
    probe_features: int = 64
    """Channels of a shortened probe."""
    head_hidden: int = 256
    """Hidden channels of the heads."""
    gate: bool = False
    """One more head whose sigmoid multiplies the whole update; the paper has none. To leave a good body alone then
    is one decision instead of three hundred zeros."""
    units: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """What an output of one changes: 6D rotations, translation (metres), shape coefficients, scale."""
    pivot: str = "camera"
    """About what the scale acts: "camera", as in the paper, or "pelvis". A scale that is off by 2 % moves a body 4 m
    away by 8 cm about the camera, and not at all about its pelvis."""
    held: bool = False
    """One more learned vector, added to the body's token where pose and shape are held (the preset "similarity"): the
    best way to move a body as a whole is another one if its limbs cannot follow. The paper has none."""
    visual: bool = True
    """Cross-attention to image features; False builds the geometry-only network without it."""
    feature_widths: tuple[int, ...] = (1024, 768, 768, 768)
    """Channels of each level of the image features (MapAnything's ViT-L encoder and three of its later levels)."""
    level_width: int = 128
    """Channels that each level is brought to before the levels are joined."""
    dtype: str = "float32"
    """What the network computes in; parameters are float32 always."""

    def __post_init__(self):
        if self.pivot not in ("camera", "pelvis"):
            raise ValueError(f'pivot must be "camera" or "pelvis", got {self.pivot!r}')

    @classmethod
    def geometry_only(cls) -> "GraftConfig":
        """The default without image features: 10,934,702 parameters."""
        return cls(visual=False)

    @classmethod
    def small(cls, *, visual: bool = False) -> "GraftConfig":
        """The sizes of the weights that hoijax ships and of tests: 0.9 M parameters without image features.

        Short training needs help that the paper's 150,000 steps may do without: heights, the gate, and

        - frequencies down to centimetres: with gamma = 1 m the features of a sole on the floor and of one 5 mm above
          it are the same to half a per cent;
        - units: a scale off by a hundredth puts a body off by centimetres, so that a step of Adam that is right for
          rotations would throw the body about.
        """
        return cls(
            width=128,
            layers=4,
            heads=4,
            feedforward=256,
            fourier=32,
            probe_hidden=64,
            probe_features=32,
            head_hidden=128,
            bandwidth=(1.0, 0.02),
            heights=True,
            gate=True,
            units=(0.2, 0.1, 0.5, 0.02),
            visual=visual,
            feature_widths=(32, 32),
            level_width=32,
        )
