"""ScoreHOI's contact predictor (ContactFormer) and mesh refiner (CRFormer), after CONTHO (spec section 4).

Tokens are 256 image features next to 3 coordinates. There is no positional encoding and no mask on the attention:
tokens outside the contact area are zeroed in the refiner, and still act as queries and keys.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks.attention import Attention, AttentionConfig
from hoijax.nets.blocks.norms import layer_norm
from hoijax.nets.blocks.perceptrons import gelu

ArrayLike = jax.Array | np.ndarray

# Parameters that the released layers own and never use.
UNUSED = (
    "*Transformer*.linear.weight",
    "*Transformer*.linear.bias",
    "*Transformer*.norm1.weight",
    "*Transformer*.norm1.bias",
)


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """Sizes shared by both transformers; the defaults are the released ones."""

    features: int = 2048
    """Channels of the image features sampled at the vertices."""
    token: int = 256
    """Channels of a token before its three coordinates join it."""
    depth: int = 4
    """Layers in each stage."""

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.token + 3


class Layer(nnx.Module):
    """Post-norm attention with one head and a two-layer perceptron as wide as its input (spec 4.2)."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.cross_attn = Attention(AttentionConfig(width, projections="packed"), rngs)
        self.linear1 = nnx.Linear(width, width, rngs=rngs)
        self.linear2 = nnx.Linear(width, width, rngs=rngs)
        self.norm = layer_norm(width, rngs)
        self.norm2 = layer_norm(width, rngs)

    def __call__(self, x: ArrayLike, context: ArrayLike) -> jax.Array:
        """Tokens (B, N, width) that have looked at the context (B, M, width)."""
        h = self.norm(x + self.cross_attn(x, context))
        return self.norm2(h + self.linear2(gelu(self.linear1(h))))


def _stack(config: TransformerConfig, rngs: nnx.Rngs) -> nnx.List:
    return nnx.List([Layer(config.width, rngs) for _ in range(config.depth)])


def _cross(human_layers, object_layers, human: ArrayLike, object_: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Symmetric cross-attention: both sides are updated from the previous level's values."""
    for human_layer, object_layer in zip(human_layers, object_layers):
        human, object_ = human_layer(human, object_), object_layer(object_, human)
    return human, object_


def _self(layers, x: ArrayLike) -> jax.Array:
    for layer in layers:
        x = layer(x, x)
    return x


class ContactFormer(nnx.Module):
    """Contact probabilities of human vertices, object points, and of object points with the floor (spec 4.3)."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        self.human_fc_in = nnx.Linear(config.features, config.token, rngs=rngs)
        self.object_fc_in = nnx.Linear(config.features, config.token, rngs=rngs)
        self.CA_Transformer_human = _stack(config, rngs)
        self.CA_Transformer_object = _stack(config, rngs)
        self.fc_out_human = nnx.Linear(config.width, 1, rngs=rngs)
        self.fc_out_object = nnx.Linear(config.width, 1, rngs=rngs)
        self.fc_out_object_floor = nnx.Linear(config.width, 1, rngs=rngs)

    def tokens(
        self,
        human_vertices: Float[ArrayLike, "B V 3"],
        object_points: Float[ArrayLike, "B P 3"],
        human_features: Float[ArrayLike, "B V F"],
        object_features: Float[ArrayLike, "B P F"],
    ) -> tuple[jax.Array, jax.Array]:
        """Human (B, V, width) and object (B, P, width) tokens; no gradient reaches the coordinates."""
        human_vertices, object_points = jax.lax.stop_gradient((human_vertices, object_points))
        return (
            jnp.concatenate([self.human_fc_in(human_features), human_vertices], axis=-1),
            jnp.concatenate([self.object_fc_in(object_features), object_points], axis=-1),
        )

    def __call__(
        self, human_tokens: Float[ArrayLike, "B V W"], object_tokens: Float[ArrayLike, "B P W"]
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Contact logits: human (B, V), object (B, P), object with floor (B, P)."""
        human, object_ = _cross(self.CA_Transformer_human, self.CA_Transformer_object, human_tokens, object_tokens)
        return (
            self.fc_out_human(human)[..., 0],
            self.fc_out_object(object_)[..., 0],
            self.fc_out_object_floor(object_)[..., 0],
        )


class CRFormer(nnx.Module):
    """Refined human vertices and object points, root-relative metres, from tokens and contact (spec 4.4)."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        for stage in ("SA_Transformer", "CA_Transformer", "Transformer"):
            for side in ("human", "object"):
                setattr(self, f"{stage}_{side}", _stack(config, rngs))
        self.fc_out_human = nnx.Linear(config.width, 3, rngs=rngs)
        self.fc_out_object = nnx.Linear(config.width, 3, rngs=rngs)

    def __call__(
        self,
        human_tokens: Float[ArrayLike, "B V W"],
        object_tokens: Float[ArrayLike, "B P W"],
        human_contact: Float[ArrayLike, "B V"],
        object_contact: Float[ArrayLike, "B P"],
        *,
        threshold: float = 0.5,
    ) -> tuple[jax.Array, jax.Array]:
        """Vertices (B, V, 3) and points (B, P, 3); contact probabilities are thresholded and carry no gradient."""
        masked = [
            jnp.where((contact > threshold)[..., None], tokens, 0.0)
            for tokens, contact in ((human_tokens, human_contact), (object_tokens, object_contact))
        ]
        crossed = _cross(self.CA_Transformer_human, self.CA_Transformer_object, *masked)
        human = _self(self.SA_Transformer_human, human_tokens) + crossed[0]
        object_ = _self(self.SA_Transformer_object, object_tokens) + crossed[1]
        return (
            self.fc_out_human(_self(self.Transformer_human, human)),
            self.fc_out_object(_self(self.Transformer_object, object_)),
        )
