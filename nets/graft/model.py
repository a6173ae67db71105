"""GRAFT's network: tokens, a transformer with local cross-attention, heads (specs/graft.md sections 3 to 7)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks.norms import Norm
from hoijax.nets.blocks.perceptrons import Perceptron
from hoijax.nets.graft.config import NUM_BETAS, NUM_BODY, NUM_HAND, GraftConfig
from hoijax.nets.graft.layers import attention
from hoijax.nets.graft.tokens import Tokenizer
from hoijax.nets.graft.types import GraftInputs, GraftUpdate, VisualContext
from hoijax.nets.graft.visual import Fusion


class Block(nnx.Module):
    """Self-attention over the tokens, cross-attention of each token to its own context, a perceptron; pre-norm.

    Algorithm S1 of the paper: every layer does both attentions. The norms' place is our choice.
    """

    def __init__(self, config: GraftConfig, rngs: nnx.Rngs):
        width, dtype = config.width, config.dtype
        self.self_norm = Norm(width, rngs)
        self.self_attention = attention(width, config.heads, rngs, dtype=dtype)
        if config.visual:
            self.cross_norm = Norm(width, rngs)
            self.cross_attention = attention(width, config.heads, rngs, dtype=dtype)
        self.feedforward_norm = Norm(width, rngs)
        self.feedforward = Perceptron(width, config.feedforward, width, rngs, dtype=dtype)
        self.visual = config.visual

    def __call__(
        self, tokens: Float[jax.Array, "*B 24 D"], context: jax.Array | None, mask: jax.Array | None
    ) -> Float[jax.Array, "*B 24 D"]:
        """The tokens after the block; `context` (*B, 24, C, D) and `mask` (*B, 24, C) in the full mode."""
        normed = self.self_norm(tokens)
        tokens = tokens + self.self_attention(normed)
        if self.visual:
            query = self.cross_norm(tokens)[..., None, :]
            tokens = tokens + self.cross_attention(query, context, mask=mask)[..., 0, :]
        return tokens + self.feedforward(self.feedforward_norm(tokens))


class Heads(nnx.Module):
    """Two-layer perceptrons whose last layers start at zero: an untrained network changes nothing."""

    def __init__(self, config: GraftConfig, rngs: nnx.Rngs):
        def head(outputs: int) -> Perceptron:
            return Perceptron(config.width, config.head_hidden, outputs, rngs, dtype=config.dtype, zero=True)

        self.joint = head(6)
        self.left_hand, self.right_hand = head(6 * NUM_HAND), head(6 * NUM_HAND)
        self.root, self.translation, self.betas, self.scale = head(6), head(3), head(NUM_BETAS), head(1)
        self.gate = head(1) if config.gate else None
        self.units, self.pivot = config.units, config.pivot

    def __call__(self, tokens: Float[jax.Array, "*B 24 D"]) -> GraftUpdate:
        """Updates, float32."""
        body, left, right = tokens[..., -1, :], tokens[..., NUM_BODY, :], tokens[..., NUM_BODY + 1, :]
        hands = [
            head(x).reshape((*x.shape[:-1], NUM_HAND, 6))
            for head, x in ((self.left_hand, left), (self.right_hand, right))
        ]
        rotations = [self.root(body)[..., None, :], self.joint(tokens[..., :NUM_BODY, :]), *hands]
        turn, move, shape, grow = self.units
        update = GraftUpdate(
            rotations=turn * jnp.concatenate(rotations, axis=-2).astype(jnp.float32),
            translation=move * self.translation(body).astype(jnp.float32),
            betas=shape * self.betas(body).astype(jnp.float32),
            scale=grow * self.scale(body)[..., 0].astype(jnp.float32),
            pivot=self.pivot,
        )
        if self.gate is None:
            return update
        gate = self.gate(body)[..., 0].astype(jnp.float32)
        share = jax.nn.sigmoid(gate)
        update = jax.tree.map(lambda x: x * jnp.reshape(share, share.shape + (1,) * (x.ndim - share.ndim)), update)
        return update.replace(gate=gate)


class Graft(nnx.Module):
    """One refinement step: from a body's parameters and probes to an update of the parameters. Any leading axes.

    Args:
      config: sizes; `config.visual` decides between the full and the geometry-only network.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: GraftConfig, rngs: nnx.Rngs):
        self.config = config
        self.tokenizer = Tokenizer(config, rngs)
        if config.visual:
            self.fusion = Fusion(config, rngs)
            # Never masked: a token that sees nothing of the image attends to this alone.
            self.nothing = nnx.Param(0.02 * jax.random.normal(rngs.params(), (config.width,), jnp.float32))
        self.blocks = nnx.List([Block(config, rngs) for _ in range(config.layers)])
        self.norm = Norm(config.width, rngs)
        self.heads = Heads(config, rngs)

    def __call__(self, inputs: GraftInputs, context: VisualContext | None = None) -> GraftUpdate:
        """The update of one step.

        Args:
          inputs: parameters and probes.
          context: what each token sees of the image; None: nothing, which a network with cross-attention takes as
            everything masked.

        Raises:
          ValueError: image features for a geometry-only network.
        """
        if context is not None and not self.config.visual:
            raise ValueError("this network was built without image features (visual=False) and was given a context")
        tokens = self.tokenizer(inputs)
        features, mask = self._context(context, tokens) if self.config.visual else (None, None)
        for block in self.blocks:
            tokens = block(tokens, features, mask)
        return self.heads(self.norm(tokens))

    def _context(self, context: VisualContext | None, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        nothing = jnp.broadcast_to(self.nothing[...].astype(tokens.dtype), tokens.shape)[..., None, :]
        always = jnp.ones(nothing.shape[:-1], bool)
        if context is None:
            return nothing, always
        features = jnp.concatenate([nothing, jnp.asarray(context.features).astype(tokens.dtype)], axis=-2)
        return features, jnp.concatenate([always, jnp.asarray(context.mask)], axis=-1)


def parameter_counts(config: GraftConfig) -> dict[str, int]:
    """Parameters of each part of the network, without building it.

    "network" is what the paper's 16.2 M is taken to cover: tokenizer, transformer, heads. The fusion stem and the
    vector that stands for no image ("visual") come on top.
    """

    def sizes(model: nnx.Module) -> int:
        leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
        return sum(int(np.prod(leaf.shape)) for leaf in leaves)

    model = nnx.eval_shape(lambda: Graft(config, nnx.Rngs(0)))
    counts = {"tokenizer": sizes(model.tokenizer), "heads": sizes(model.heads)}
    counts["transformer"] = sizes(model.norm) + sum(sizes(block) for block in model.blocks)
    counts["network"] = sum(counts.values())
    counts["visual"] = sizes(model) - counts["network"]
    return counts
