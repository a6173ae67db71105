"""From probes and parameters to 24 tokens (GRAFT section 3.2.1; sizes: specs/graft.md section 3)."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks.perceptrons import Perceptron
from hoijax.nets.graft.config import NUM_BETAS, NUM_BODY, NUM_DISTAL, NUM_HAND, NUM_SURFACE, NUM_TOKENS, GraftConfig
from hoijax.nets.graft.layers import FourierEncoder
from hoijax.nets.graft.types import GraftInputs

TRANSLATION_UNIT = 3.0
"""Metres; brings a person a few metres away to numbers about one."""


class Tokenizer(nnx.Module):
    """Encodes the probes and joins them with the parameters that each token is about.

    The Fourier encoders are shared by all probes, the joints' perceptron by the 21 joints, the hands' by both: one
    per joint would cost 7.75 M parameters and not fit the paper's count. A learned vector tells the tokens apart.
    """

    def __init__(self, config: GraftConfig, rngs: nnx.Rngs):
        width, probe, dtype = config.width, 3 * (config.fourier + 3), config.dtype
        coarse = (config.bandwidth[0],) * 2
        self.encode_point, self.encode_offset, self.encode_normal = (
            FourierEncoder(config.fourier, bandwidth, rngs, dtype=dtype)
            for bandwidth in (config.bandwidth, config.bandwidth, coarse)
        )
        self.heights = config.heights
        if config.heights:
            self.encode_height = FourierEncoder(config.fourier, config.bandwidth, rngs, dtype=dtype, inputs=1)
            probe += config.fourier + 1
        short = config.probe_features
        self.shorten = Perceptron(probe, config.probe_hidden, short, rngs, dtype=dtype)
        self.joint = Perceptron(probe + 6, width, width, rngs, dtype=dtype)
        self.hand = Perceptron(NUM_DISTAL * short + 6 * NUM_HAND, width, width, rngs, dtype=dtype)
        self.body = Perceptron(NUM_SURFACE * short + 6 + 3 + NUM_BETAS, width, width, rngs, dtype=dtype)
        self.held = nnx.Param(jnp.zeros((width,), jnp.float32)) if config.held else None
        self.names = nnx.Param(0.02 * jax.random.normal(rngs.params(), (NUM_TOKENS, width), jnp.float32))

    def __call__(self, inputs: GraftInputs) -> Float[jax.Array, "*B 24 D"]:
        """Tokens: 21 body joints, left hand, right hand, the whole body."""
        parts = [
            self.encode_point(inputs.points),
            self.encode_offset(inputs.offsets),
            self.encode_normal(inputs.normals),
        ]
        if self.heights:
            height = -jnp.sum(jnp.asarray(inputs.offsets) * inputs.normals, axis=-1, keepdims=True)
            parts.append(self.encode_height(height))
        probes = jnp.concatenate(parts, axis=-1)
        dtype, batch = probes.dtype, probes.shape[:-2]
        rotations = jnp.asarray(inputs.rotations).astype(dtype)
        joints, fingers, surface = jnp.split(probes, [NUM_BODY, NUM_BODY + 2 * NUM_DISTAL], axis=-2)
        root, pose, hands = jnp.split(rotations, [1, 1 + NUM_BODY], axis=-2)
        joints = self.joint(jnp.concatenate([joints, pose], axis=-1))
        fingers = self.shorten(fingers).reshape((*batch, 2, -1))
        hands = self.hand(jnp.concatenate([fingers, hands.reshape((*batch, 2, -1))], axis=-1))
        whole = [
            self.shorten(surface).reshape((*batch, -1)),
            root[..., 0, :],
            (jnp.asarray(inputs.translation) / TRANSLATION_UNIT).astype(dtype),
            jnp.asarray(inputs.betas).astype(dtype),
        ]
        body = self.body(jnp.concatenate(whole, axis=-1))[..., None, :]
        if self.held is not None and inputs.held is not None:
            share = jnp.asarray(inputs.held).astype(dtype)[..., None, None]
            body = body + share * jnp.broadcast_to(self.held[...].astype(dtype), body.shape)
        tokens = jnp.concatenate([joints, hands, body], axis=-2)
        return tokens + jnp.broadcast_to(self.names[...].astype(dtype), tokens.shape)
