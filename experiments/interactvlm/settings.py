"""Settings of InteractVLM's training; the defaults are those of the released one where it states them."""

import dataclasses
from typing import Literal

from hoijax.errors import InputError
from hoijax.experiments.common.trainer import RunConfig
from hoijax.experiments.interactvlm.variants import PARTS
from hoijax.nets.interactvlm.training import WHERE

LIFTS = {"human": "soft", "object": "kept_mean", "affordance": "soft"}
"""Rule of the lift by task; that of clouds is the mean of a point's pixels."""


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Of the terms (specs/interactvlm.md 8)."""

    text: float = 1.0
    """Cross-entropy of the answer's words, contact token included."""
    focal: float = 2.0
    """Of the masks."""
    dice: float = 1.0
    """Of the masks."""
    heat: float = 2.0
    """Squared difference of affordance's masks."""
    surface: float = 3.0
    """On vertices or points, through the lift."""
    flat: float = 0.0
    """On the body's vertices, straight from the contact token by a perceptron that is dropped after training: a dense
    target for small networks, whose token else learns what it is about slowly, through the masks alone."""


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Settings of a training; the defaults are those of the released one where it states them."""

    steps: int = 15_000
    batch: int = 8
    rank: int = 8
    """Of the low-rank products."""
    alpha: float = 16.0
    """They count alpha / rank."""
    dropout: float = 0.05
    """Share of a layer's inputs that its product does not see."""
    adapted: str = WHERE
    """Layers of the decoder with products, by regular expression; empty: none (the decoder stays as it is)."""
    more: tuple[str, ...] = ()
    """Names of further parameters that learn, by regular expression, beside those of the paper."""
    rate: float = 3e-4
    """Largest step size of AdamW, which has no decay."""
    warmup: int = 100
    """Steps over which it rises; then it falls to nothing in a line."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    length: int = 257
    """Tokens of a conversation, the image counted as one."""
    compute: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the networks' arithmetic, and of the parameters that stay; losses are float32."""
    remat: bool = True
    """Whether gradients find the inside of the decoder's layers again."""
    loss_at: Literal["pixels", "masks"] = "pixels"
    """Where masks are compared: at the views' pixels, as released, or at the masks' own (a sixteenth), with true masks
    averaged; masks equal to those then still have a Dice loss at their edges."""
    min_vertices: int = 2
    """Touching vertices from which a face is in a true mask."""
    parts: Literal["none", "fine", "coarse"] = "fine"
    """Body parts in the answer: 15, 6, or the contact token alone."""
    part_dropout: float = 0.5
    """Share of samples asked without parts all the same, so that masks do not lean on words of the true answer."""
    affordances: bool = True
    """Whether an affordance's answer names it."""
    label: bool = True
    """Whether questions name the object."""
    valid: bool = True
    """Whether losses look at the pixels that show the surface alone."""
    without: str | None = None
    """What an ablation leaves out: "views" (a perceptron from token to vertices), "language" (the mean patch is the
    token), "question" (no word about what is asked)."""
    weights: LossWeights = dataclasses.field(default_factory=LossWeights)

    def __post_init__(self):
        self.check("rank", "warmup", "length")
        for name in ("dropout", "part_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is a share from 0 to 1, got {getattr(self, name)}")
        if self.without not in (None, *PARTS):
            raise InputError(f"without must be one of {', '.join(PARTS)}, got {self.without!r}")
