"""From one contact token to one for each view (FeatLift), and from those to body's and object's (the splitter)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks import attend

ArrayLike = jax.Array | np.ndarray

KINDS = ("vi_v1", "view_index", "simple", "concat", "none")
CAMERA = 5
"""Numbers that describe a view: `hoijax.render.CameraRig.network_vector`."""


class CameraGate(nnx.Module):
    """What a view's camera makes of the contact token; A, B, W_v linear, k the camera:

    - "vi_v1", as released: e sigmoid(W_v relu(B relu(A k)));
    - "view_index": e W_v sigmoid(B relu(A k));
    - "simple": e + relu(A k);
    - "concat": A [e, k], as the paper's ablation says; no code of it was released;
    - "none": e.

    Args:
      kind: which.
      width: channels of the token.
      views: how many there are, each with a W of its own.
      rngs: where the initial weights come from.
    """

    def __init__(self, kind: str, width: int, views: int, rngs: nnx.Rngs):
        if kind not in KINDS:
            raise ValueError(f"no camera gate is called {kind!r}; known are {', '.join(KINDS)}")
        self.kind = kind
        hidden = width // 2 if kind == "vi_v1" else width
        init = nnx.initializers.xavier_uniform()

        def linear(inputs: int, outputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, kernel_init=init, rngs=rngs)

        several = kind in ("vi_v1", "view_index")
        first = {} if kind == "none" else {"0": linear(CAMERA + (width if kind == "concat" else 0), hidden)}
        self.spatial_encoder = nnx.Dict(first | ({"2": linear(hidden, hidden)} if several else {}))
        self.view_transforms = nnx.List([linear(hidden, width) for _ in range(views if several else 0)])

    def gate(self, cameras: Float[ArrayLike, "*B V 5"]) -> Float[jax.Array, "*B V C"]:
        """What the token is multiplied by, or what is added to it ("simple").

        Raises:
          ValueError: other views than the gate was built for.
        """
        count = len(self.view_transforms)
        if self.kind in ("vi_v1", "view_index") and cameras.shape[-2] != count:
            raise ValueError(f"the camera gate knows {count} views, got {cameras.shape[-2]}")
        layers = self.spatial_encoder
        hidden = jax.nn.relu(layers["0"](cameras))
        if self.kind == "simple":
            return hidden
        hidden = layers["2"](hidden)
        hidden = jax.nn.relu(hidden) if self.kind == "vi_v1" else jax.nn.sigmoid(hidden)
        found = jnp.stack([layer(hidden[..., v, :]) for v, layer in enumerate(self.view_transforms)], axis=-2)
        return jax.nn.sigmoid(found) if self.kind == "vi_v1" else found

    def __call__(
        self, token: Float[ArrayLike, "*B C"], cameras: Float[ArrayLike, "*B V 5"]
    ) -> Float[jax.Array, "*B V C"]:
        """The token of each view."""
        token = jnp.asarray(token)
        each = jnp.broadcast_to(token[..., None, :], (*cameras.shape[:-1], token.shape[-1]))
        if self.kind == "none":
            return each
        if self.kind == "concat":
            return self.spatial_encoder["0"](jnp.concatenate([each, jnp.asarray(cameras).astype(each.dtype)], axis=-1))
        gate = self.gate(cameras).astype(each.dtype)
        return each + gate if self.kind == "simple" else each * gate


class Splitter(nnx.Module):
    """The tokens of a surface's views look at each other, once for the body and once for the object; no residual.

    Args:
      width: channels of a token.
      rngs: where the initial weights come from.
    """

    def __init__(self, width: int, rngs: nnx.Rngs):
        hidden = width // 2
        init = nnx.initializers.variance_scaling(0.1**2, "fan_avg", "uniform")

        def linear(inputs: int, outputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, kernel_init=init, rngs=rngs)

        self.input_proj, self.output_proj = linear(width, hidden), linear(hidden, width)
        self.query_human, self.query_object, self.key, self.value = (linear(hidden, hidden) for _ in range(4))

    def __call__(
        self, tokens: Float[ArrayLike, "*B V C"]
    ) -> tuple[Float[jax.Array, "*B V C"], Float[jax.Array, "*B V C"]]:
        """Tokens of the body and of the object."""
        seen = self.input_proj(tokens)
        key, value = (layer(seen)[..., None, :] for layer in (self.key, self.value))
        human, object_ = (
            self.output_proj(attend(layer(seen)[..., None, :], key, value)[..., 0, :])
            for layer in (self.query_human, self.query_object)
        )
        return human, object_
