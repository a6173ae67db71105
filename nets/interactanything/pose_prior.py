"""The diffusion prior of poses: a body and an object from noise, told what is done, where it touches and what it is.

A state is numbers without units: 6D rotations of the root and of 21 joints, coefficients of both hands, the root's
height, the object's rotation and the middle of its box from the root, and whether feet stand on the floor. Blocks of a
perceptron are shifted and scaled by the time and by the condition: verb, pose, side and so on by their place in lists,
a token for each place that a part of the body is to touch, and a cloud of the object's surface (Qi et al. 2017).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Bool, Float, Int

from hoijax.errors import InputError
from hoijax.nets.blocks import gelu, linear, look_up, sinusoid

ArrayLike = jax.Array | np.ndarray
JOINTS = 22
"""Root and joints of the trunk and limbs, whose rotations are in the state as they are."""
FINGERS = 30
"""Joints of both hands."""


@dataclasses.dataclass(frozen=True)
class PriorConfig:
    """Sizes."""

    options: tuple[int, ...] = (26, 12, 7, 6, 4, 5, 6)
    """Number of options of each choice of the condition; the first is the verb's."""
    parts: int = 64
    """Of the body that a token may name."""
    hands: int = 24
    """Coefficients of both hands."""
    width: int = 224
    blocks: int = 4
    condition: int = 128
    """Of the vector that the condition becomes."""
    token: int = 48
    """Of a place's and of a point's vector."""
    times: int = 64
    """Sines and cosines of the time."""

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            for each in value if name == "options" else (value,):
                if not isinstance(each, int) or not 1 <= each <= 4096:
                    raise InputError(f"{name} is a whole number from 1 to 4096; got {each!r}")

    @property
    def size(self) -> int:
        """Numbers of a state."""
        return 6 * JOINTS + self.hands + 1 + 6 + 3 + 1


@struct.dataclass
class Condition:
    """What a sample is to be like; C choices, T places, P points. World y up; the object's own frame, front +z."""

    choices: Int[ArrayLike, "*B C"] | Any
    """Place of what is chosen among the options of each choice."""
    size: Float[ArrayLike, "*B 3"] | Any
    """Of the object's box, metres."""
    part: Int[ArrayLike, "*B T"] | Any
    """Part of the body of each place."""
    place: Float[ArrayLike, "*B T 6"] | Any
    """Middle from the middle of the object's box, and half the size, metres."""
    asked: Bool[ArrayLike, "*B T"] | Any
    """Which places are asked for; the others fill the array."""
    points: Float[ArrayLike, "*B P 6"] | Any
    """Of the object's surface from the middle of its box, metres, and unit normals."""
    refined: Float[ArrayLike, "*B"] | Any
    """1: as stages D and E leave it; 0: as a script draws it."""


class Block(nnx.Module):
    """x + MLP(scale * norm(x) + shift)."""

    def __init__(self, config: PriorConfig, rngs: nnx.Rngs):
        width = config.width
        self.norm = nnx.LayerNorm(width, epsilon=1e-5, use_bias=False, use_scale=False, rngs=rngs)
        self.condition = linear(config.condition, 2 * width, rngs, zero=True)
        self.first = linear(width, width, rngs)
        self.second = linear(width, width, rngs, zero=True)

    def __call__(self, x: Float[jax.Array, "*B W"], c: Float[jax.Array, "*B C"]) -> Float[jax.Array, "*B W"]:
        """The state's vector after the block."""
        scale, shift = jnp.split(self.condition(c), 2, axis=-1)
        return x + self.second(gelu(self.first(self.norm(x) * (1 + scale) + shift)))


class PosePrior(nnx.Module):
    """The denoiser; it answers the clean state."""

    def __init__(self, config: PriorConfig, rngs: nnx.Rngs):
        self.config = config
        size, token = config.size, config.token
        self.mean, self.spread = (nnx.BatchStat(f(size, jnp.float32)) for f in (jnp.zeros, jnp.ones))
        self.hand_mean = nnx.BatchStat(jnp.zeros(6 * FINGERS, jnp.float32))
        self.hand_basis = nnx.BatchStat(jnp.zeros((config.hands, 6 * FINGERS), jnp.float32))
        self.choices = nnx.List([nnx.Embed(n, 16, rngs=rngs) for n in config.options])
        self.parts = nnx.Embed(config.parts, 16, rngs=rngs)
        self.place = linear(16 + 6, token, rngs)
        self.place_out = linear(token, token, rngs)
        self.point = linear(6, token, rngs)
        self.point_out = linear(token, token, rngs)
        self.told = linear(16 * len(config.options) + 3 + 1 + 2 * token, config.condition, rngs)
        self.told_out = linear(config.condition, config.condition, rngs)
        self.nothing = nnx.Param(jnp.zeros(config.condition, jnp.float32))
        self.time = linear(config.times, config.condition, rngs)
        self.inputs = linear(size, config.width, rngs)
        self.blocks = nnx.List([Block(config, rngs) for _ in range(config.blocks)])
        self.norm = nnx.LayerNorm(config.width, epsilon=1e-5, rngs=rngs)
        self.outputs = linear(config.width, size, rngs, zero=True)

    def encode(self, condition: Condition) -> Float[jax.Array, "*B C"]:
        """The condition's vector."""
        choices = jnp.asarray(condition.choices)
        chosen = [look_up(table, choices[..., k]) for k, table in enumerate(self.choices)]
        tokens = jnp.concatenate([look_up(self.parts, condition.part), jnp.asarray(condition.place)], axis=-1)
        tokens = gelu(self.place_out(gelu(self.place(tokens))))
        places = jnp.sum(jnp.where(jnp.asarray(condition.asked)[..., None], tokens, 0.0), axis=-2)
        surface = jnp.max(self.point_out(gelu(self.point(2.0 * jnp.asarray(condition.points)))), axis=-2)
        size, refined = jnp.log(jnp.asarray(condition.size) + 0.05), jnp.asarray(condition.refined)[..., None]
        told = jnp.concatenate([*chosen, size, refined, places, surface], axis=-1)
        return self.told_out(gelu(self.told(told)))

    def unconditional(self, *batch: int) -> Float[jax.Array, "*B C"]:
        """The vector that says nothing."""
        return jnp.broadcast_to(self.nothing[...], (*batch, self.config.condition))

    def __call__(
        self, x: Float[ArrayLike, "*B S"], time: Float[ArrayLike, "*B"], c: Float[ArrayLike, "*B C"]
    ) -> Float[jax.Array, "*B S"]:
        """The clean state.

        Args:
          x: noisy, normalised.
          time: in [0, 1].
          c: of `encode` or `unconditional`.
        """
        time = sinusoid(1000.0 * jnp.asarray(time), self.config.times)
        c = gelu(jnp.asarray(c) + self.time(time))
        h = self.inputs(jnp.asarray(x))
        for block in self.blocks:
            h = block(h, c)
        return self.outputs(gelu(self.norm(h)))

    def normalised(self, state: Float[ArrayLike, "*B S"]) -> Float[jax.Array, "*B S"]:
        """A state as the network sees it."""
        state = jnp.asarray(state)
        mean, spread = (jnp.broadcast_to(x[...], state.shape) for x in (self.mean, self.spread))
        return (state - mean) / spread

    def unnormalised(self, x: Float[ArrayLike, "*B S"]) -> Float[jax.Array, "*B S"]:
        """The way back."""
        x = jnp.asarray(x)
        mean, spread = (jnp.broadcast_to(v[...], x.shape) for v in (self.mean, self.spread))
        return x * spread + mean


@struct.dataclass
class State:
    """What the numbers of a state mean; world y up, floor y = 0, metres."""

    joints: Float[ArrayLike, "*B 22 6"] | Any
    """6D rotations relative to the parents, the root's first."""
    fingers: Float[ArrayLike, "*B 30 6"] | Any
    """The same of both hands."""
    height: Float[ArrayLike, "*B 1"] | Any
    """Of the body's translation."""
    turn: Float[ArrayLike, "*B 6"] | Any
    """6D rotation of the object."""
    middle: Float[ArrayLike, "*B 3"] | Any
    """Of the object's box, from the body's translation."""
    feet: Float[ArrayLike, "*B 1"] | Any
    """1: they stand on the floor; -1: they do not."""


def pack(prior: PosePrior, state: State) -> Float[jax.Array, "*B S"]:
    """The numbers of a state; the hands as the nearest that their basis has."""
    fingers = jnp.asarray(state.fingers)
    lead = fingers.shape[:-2]
    flat = fingers.reshape(*lead, 6 * FINGERS)
    hands = (flat - jnp.broadcast_to(prior.hand_mean[...], flat.shape)) @ prior.hand_basis[...].T
    joints = jnp.asarray(state.joints).reshape(*lead, 6 * JOINTS)
    return jnp.concatenate([joints, hands, state.height, state.turn, state.middle, state.feet], axis=-1)


def unpack(prior: PosePrior, numbers: Float[ArrayLike, "*B S"]) -> State:
    """What numbers mean."""
    ends = np.cumsum([6 * JOINTS, prior.config.hands, 1, 6, 3])
    joints, hands, height, turn, middle, feet = jnp.split(jnp.asarray(numbers), ends, axis=-1)
    lead = joints.shape[:-1]
    flat = hands @ prior.hand_basis[...]
    fingers = (flat + jnp.broadcast_to(prior.hand_mean[...], flat.shape)).reshape(*lead, FINGERS, 6)
    return State(joints.reshape(*lead, JOINTS, 6), fingers, height, turn, middle, feet)
