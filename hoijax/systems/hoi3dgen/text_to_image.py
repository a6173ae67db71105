"""From a text to its pictures: SANA with its autoencoder and text encoder, the user's or the small ones that ship."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import UInt8

from hoijax.errors import InputError
from hoijax.io import read_json
from hoijax.io.reading import PathLike, shown
from hoijax.language import load_tokenizer
from hoijax.nets import sana
from hoijax.nets.sana.small import load_small
from hoijax.nets.sana.words import WordTokenizer

FILES = ("sana.safetensors", "autoencoder.safetensors", "text_encoder.safetensors")
"""In a folder of weights; beside them Gemma's tokenizer and, where there are such, `instruction.txt` and
`SETTINGS`."""
SETTINGS = "draw.json"
"""Fields of `DrawConfig` that differ from HOI3DGen's."""


@dataclasses.dataclass(frozen=True)
class DrawConfig:
    """How pictures are drawn; the defaults are HOI3DGen's."""

    size: int = 1024
    """Side of a picture, pixels."""
    steps: int = 50
    """Calls of the network."""
    strength: float = 4.5
    """Of guidance."""
    shift: float = 3.0
    """Of the flow's times, as the network was trained."""
    length: int = 300
    """Places of a text."""


@dataclasses.dataclass(frozen=True)
class TextToImage:
    """Networks that draw."""

    transformer: sana.Sana
    autoencoder: sana.AutoencoderDC
    text_encoder: sana.Gemma2
    tokenizer: sana.Tokenizer
    config: DrawConfig = dataclasses.field(default_factory=DrawConfig)
    instruction: str = ""
    """What stands before a text."""

    def __post_init__(self):
        if self.config.size % self.autoencoder.config.factor:
            raise InputError(
                f"pictures of {self.config.size} pixels cannot be drawn: wanted a multiple of "
                f"{self.autoencoder.config.factor}"
            )

    def texts(self, texts: Sequence[str], instruction: str = "") -> sana.TextFeatures:
        """Features of texts.

        Raises:
          InputError: a word is not known, where the tokenizer knows whole words.
        """
        graph, state = nnx.split(self.text_encoder)
        return sana.encode_texts(
            lambda tokens, mask: _encode(graph, state, tokens, mask), self.tokenizer, texts, instruction=instruction,
            length=self.config.length,
        )  # fmt: skip

    def draw(self, texts: Sequence[str], seed: int = 0) -> UInt8[np.ndarray, "N S S 3"]:
        """Pictures of texts, all from the same noise, as HOI3DGen draws the views of a prompt.

        Args:
          texts: with their views (`hoijax.nets.sana.view_text`).
          seed: of the noise.

        Raises:
          InputError: a word is not known, where the tokenizer knows whole words.
        """
        told, null = self.texts(texts, self.instruction), self.texts([""])
        side = self.config.size // self.autoencoder.config.factor
        one = (side, side, self.autoencoder.config.latent_channels)
        noise = jax.random.normal(jax.random.key(seed), one, jnp.float32)
        graphs, states = zip(*(nnx.split(network) for network in (self.transformer, self.autoencoder)))
        how = (self.config.steps, self.config.strength, self.config.shift)
        pictures = np.asarray(_draw(graphs, how, states, told, null, noise), np.float32)
        return np.round((np.clip(pictures, -1, 1) + 1) * 127.5).astype(np.uint8)


@functools.partial(jax.jit, static_argnums=0)
def _encode(graph: nnx.GraphDef, state: nnx.State, tokens: jax.Array, mask: jax.Array) -> jax.Array:
    return nnx.merge(graph, state)(tokens, mask)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _draw(
    graphs: tuple[nnx.GraphDef, nnx.GraphDef], how: tuple[int, float, float], states: tuple[nnx.State, nnx.State],
    told: sana.TextFeatures, null: sana.TextFeatures, noise: jax.Array,
) -> jax.Array:  # fmt: skip
    network, autoencoder = (nnx.merge(graph, state) for graph, state in zip(graphs, states))
    count = told.features.shape[0]
    nothing = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape[1:])), null)
    steps, strength, shift = how
    latents = sana.sample(
        network, told, nothing, jnp.broadcast_to(noise, (count, *noise.shape)), steps=steps, strength=strength,
        shift=shift,
    )  # fmt: skip
    return autoencoder.decode(latents)


def check_weights(folder: PathLike | None, **changes: Any) -> DrawConfig | None:
    """Whether all files of a folder's networks are there, and how they draw, without reading the networks.

    Returns:
      How they draw; None for small networks, whose file says it.

    Raises:
      InputError: nothing is there, a file is missing, or tokenizer or settings cannot be read.
    """
    path = None if folder is None else pathlib.Path(folder)
    if path is None or path.is_file():
        return None
    wanted = f"wanted {', '.join(FILES)} and tokenizer.json"
    if not path.is_dir():
        raise InputError(f"there are no weights at {shown(path)}; {wanted}")
    missing = [name for name in FILES if not (path / name).is_file()]
    if missing:
        raise InputError(f"{shown(path)} has no {', '.join(missing)}; {wanted}")
    load_tokenizer(path)
    settings = path / SETTINGS
    given = read_json(settings) if settings.is_file() else {}
    known = {field.name for field in dataclasses.fields(DrawConfig)}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise InputError(f"{shown(settings)} has {', '.join(unknown)}; wanted some of {', '.join(sorted(known))}")
    return DrawConfig(**given | changes)


def load_text_to_image(folder: PathLike | None = None, **changes: Any) -> TextToImage:
    """Networks of a folder, or the small ones that ship.

    Args:
      folder: with the files of `FILES`, which `hoijax convert` wrote; or one file of small networks
        (`hoijax.nets.sana.small`); None: those that ship.
      **changes: fields of `DrawConfig` that differ from HOI3DGen's, or from what the files say.

    Raises:
      InputError: a file is missing or of another network, or networks that do not fit each other.
    """
    path = None if folder is None else pathlib.Path(folder)
    config = check_weights(path, **changes)
    if path is None or config is None:
        network, facts = load_small(path)
        return TextToImage(
            network.transformer, network.autoencoder, network.text_encoder, WordTokenizer(facts["words"]),
            DrawConfig(**facts["draw"] | changes),
        )  # fmt: skip
    loaders = (sana.load, sana.load_autoencoder, sana.load_text_encoder)
    transformer, autoencoder, text_encoder = (load(path / name) for load, name in zip(loaders, FILES))
    pairs = (
        (transformer.config.latent_channels, autoencoder.config.latent_channels, "channels of a latent"),
        (transformer.config.text_channels, text_encoder.config.width, "channels of a text"),
    )
    for ours, theirs, what in pairs:
        if ours != theirs:
            raise InputError(f"{shown(path / FILES[0])} wants {ours} {what}, the file beside it has {theirs}")
    instruction = path / "instruction.txt"
    text = instruction.read_text(encoding="utf-8") if instruction.is_file() else ""
    return TextToImage(transformer, autoencoder, text_encoder, load_tokenizer(path), config, text)
