"""What ablations put in the place of a part: views, language, question; and a dense target beside the masks."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Float

from hoijax.nets import interactvlm as nets
from hoijax.nets.blocks import Perceptron

PARTS = ("views", "language", "question")
"""What `Config.without` may name."""


class Whole(nets.Model):
    """The network with a perceptron of two layers from the contact token to all vertices.

    Args:
      config: sizes.
      vertices: of the body.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: nets.Config, vertices: int, rngs: nnx.Rngs):
        super().__init__(config, rngs)
        self.flat = _flat(config, vertices, rngs)

    @classmethod
    def of(cls, network: nets.Model, vertices: int, rngs: nnx.Rngs) -> "Whole":
        """A network with such a perceptron beside its parts."""
        network.__class__ = cls
        network.flat = _flat(network.config, vertices, rngs)
        return network


def _flat(config: nets.Config, vertices: int, rngs: nnx.Rngs) -> Perceptron:
    channels = config.segmenter.channels
    return Perceptron(channels, channels, vertices, rngs, activation="relu")


def plain(network: nets.Model) -> nets.Model:
    """The network without such a perceptron."""
    if isinstance(network, Whole):
        del network.flat
        network.__class__ = nets.Model
    return network


def flat_logits(network: Whole, contact: nets.Contact) -> Float[jax.Array, "B V"]:
    """Logits of vertices without views, in float32."""
    return network.flat(network.text_hidden_fcs(contact.state)).astype(jnp.float32)


def predict_flat(network: Whole, contact: nets.Contact) -> Float[jax.Array, "B V"]:
    """Probabilities of vertices without views, in float32."""
    return jax.nn.sigmoid(flat_logits(network, contact))


def flat_loss(logits: Float[jax.Array, "B V"], target: Float[jax.Array, "B V"]) -> Float[jax.Array, "B"]:
    """Of each sample: mean cross-entropy of its vertices, and 1 - Dice."""
    entropy = optax.sigmoid_binary_cross_entropy(logits, target).mean(axis=1)
    share = jax.nn.sigmoid(logits)
    both = (2 * (share * target).sum(axis=1) + 1) / (share.sum(axis=1) + target.sum(axis=1) + 1)
    return entropy + 1 - both


def images_alone(network: nets.Model, patches: Float[jax.Array, "B P W"], task: str) -> nets.Contact:
    """The mean patch in the place of the state that a contact token is read off."""
    state = jnp.mean(patches, axis=1)
    config, count = network.config, len(patches)
    kind = 0 if config.human is None else (nets.HUMAN if task == "human" else nets.OBJECT)
    return nets.Contact(state, jnp.ones((count,), bool), jnp.full((count,), kind, jnp.int32))
