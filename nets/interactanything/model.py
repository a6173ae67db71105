"""A point network: a surface as points, a part of the body and a verb in; the probability of touch at each point out.

Each point is described by where it is in the object's box and above its lowest point, by its normal, and by the box's
size. Blocks of a perceptron see the point and the largest and the mean value over all points (Qi et al. 2017), shifted
and scaled by what the part and the verb say. Left parts are right ones of the mirrored object.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from hoijax.errors import InputError
from hoijax.nets.blocks import gelu, linear, look_up

POINTS = 512
"""Of a surface."""
FEATURES = 13
"""Of a point, from `describe`."""
PARTS: tuple[str, ...] = (
    "other", "head", "torso", "hips", "face", "neck", "back", "upper_back", "lower_back", "chest", "belly",
    "buttocks", "seat", "arm", "forearm", "hand", "thigh", "leg", "foot", "shoulder", "elbow", "knee", "thigh_back",
    "thigh_front", "shin", "calf", "sole", "heel", "toes", "palm", "back_of_hand", "fingers", "finger_pads", "thumb",
    "index", "middle", "ring", "pinky",
)  # fmt: skip
"""Parts of the body without their side; the first stands for all others."""
VERBS: tuple[str, ...] = (
    "other", "sit", "lie", "stand", "lean", "ride", "hold", "lift", "carry", "push", "pull", "open", "touch", "type",
    "kick", "hug", "wear", "climb", "pat", "wipe", "drink", "hang", "press", "turn", "throw", "wave",
)  # fmt: skip
"""What is done; the first stands for all others. Files of weights know them by their places."""
ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes."""

    width: int = 64
    blocks: int = 3
    condition: int = 32
    """Of a part's and of a verb's vector."""

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if not isinstance(value, int) or not 1 <= value <= 4096:
                raise InputError(f"{name} is a whole number from 1 to 4096; got {value!r}")


_SAME = {"back_of_head": "head"}
"""Parts that no row of the training names."""


def part_of(name: str) -> tuple[int, bool]:
    """Place of a part of the body in `PARTS`, and whether it is a left one."""
    side, _, rest = name.partition("_")
    plain = rest if side in ("left", "right") else _SAME.get(name, name)
    return PARTS.index(plain) if plain in PARTS else 0, side == "left"


def verb_of(name: str) -> int:
    """Place of a verb in `VERBS`, by its first word."""
    word = name.split()[0] if name.split() else ""
    return VERBS.index(word) if word in VERBS else 0


def describe(
    points: Float[np.ndarray, "*B P 3"], normals: Float[np.ndarray, "*B P 3"], mirrored: bool | np.ndarray = False
) -> Float[np.ndarray, "*B P 13"]:
    """What the network sees of a surface. Host function.

    Args:
      points: metres, y up, front towards +z.
      normals: unit.
      mirrored: whether left and right change places, of each surface.
    """
    flip = np.where(np.asarray(mirrored)[..., None, None], np.float32([-1, 1, 1]), np.float32(1))
    points, normals = np.asarray(points, np.float32) * flip, np.asarray(normals, np.float32) * flip
    low, high = points.min(axis=-2, keepdims=True), points.max(axis=-2, keepdims=True)
    size = np.maximum(high - low, 1e-3)
    middle = (low + high) / 2
    relative = 2 * (points - middle) / size
    metric = (points - np.concatenate([middle[..., :1], low[..., 1:2], middle[..., 2:]], axis=-1)) / 0.5
    spread = np.broadcast_to(np.log(size / 0.5), points.shape)
    edge = 1 - np.abs(relative).max(axis=-1, keepdims=True)
    return np.concatenate([relative, metric, normals, spread, edge], axis=-1).astype(np.float32)


class Block(nnx.Module):
    """One exchange between points: x + MLP(scale * norm([x, max, mean]) + shift)."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        width = config.width
        self.norm = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.condition = linear(2 * config.condition, 2 * width, rngs, zero=True)
        self.own = linear(width, width, rngs)
        self.all = linear(2 * width, width, rngs, bias=False)
        self.out = linear(width, width, rngs, zero=True)

    def __call__(self, x: Float[jax.Array, "*B P W"], c: Float[jax.Array, "*B C"]) -> Float[jax.Array, "*B P W"]:
        """Points after the exchange; `c` is what part and verb say."""
        scale, shift = jnp.split(self.condition(c)[..., None, :], 2, axis=-1)
        h = self.norm(x) * (1 + scale) + shift
        pooled = jnp.concatenate([jnp.max(h, axis=-2), jnp.mean(h, axis=-2)], axis=-1)
        return x + self.out(gelu(self.own(h) + self.all(pooled)[..., None, :]))


class Model(nnx.Module):
    """The network."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.config = config
        self.parts = nnx.Embed(len(PARTS), config.condition, rngs=rngs)
        self.verbs = nnx.Embed(len(VERBS), config.condition, rngs=rngs)
        self.inputs = linear(FEATURES, config.width, rngs)
        self.blocks = nnx.List([Block(config, rngs) for _ in range(config.blocks)])
        self.norm = nnx.LayerNorm(config.width, epsilon=1e-5, rngs=rngs)
        self.head = linear(config.width + 2 * config.condition, config.width, rngs)
        self.logit = linear(config.width, 1, rngs, zero=True)

    def __call__(
        self, features: Float[ArrayLike, "*B P 13"], part: Int[ArrayLike, "*B"], verb: Int[ArrayLike, "*B"]
    ) -> Float[jax.Array, "*B P"]:
        """Logits of touch.

        Args:
          features: from `describe`.
          part: from `part_of`.
          verb: from `verb_of`.
        """
        c = jnp.concatenate([look_up(self.parts, part), look_up(self.verbs, verb)], axis=-1)
        x = self.inputs(jnp.asarray(features))
        for block in self.blocks:
            x = block(x, c)
        x = self.norm(x)
        beside = jnp.broadcast_to(c[..., None, :], (*x.shape[:-1], c.shape[-1]))
        return self.logit(gelu(self.head(jnp.concatenate([x, beside], axis=-1))))[..., 0]
