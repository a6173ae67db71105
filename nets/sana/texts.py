"""Texts as SANA's network sees them: tokens behind an instruction, their features, and these kept on disk."""

import hashlib
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from hoijax.errors import InputError
from hoijax.io.files import PathLike
from hoijax.nets.sana.sampling import TextFeatures
from hoijax.nets.weights import open_tensors, write_tensors

LENGTH = 300
"""Tokens of a text."""

VIEWS = {"front": 0.0, "left diagonal": -45.0, "right diagonal": 45.0}
"""HOI3DGen's view tags: azimuth of each view's camera around the person, degrees. At 0 it stands before the person,
positive is towards the person's left, the right of who looks at the person."""


def view_text(text: str, view: str) -> str:
    """What a view of a text is called in training and sampling; the paper's own wording is not known.

    Raises:
      InputError: no such view.
    """
    if view not in VIEWS:
        raise InputError(f"views are {', '.join(VIEWS)}, got {view!r}")
    return f"{text} White Background, Full Body Visible. {view} view."


@runtime_checkable
class Tokenizer(Protocol):
    """What makes ids of a text, such as `hoijax.language.load_tokenizer` of Gemma's `tokenizer.json`."""

    def encode(self, text: str) -> list[int]:
        """Ids with the one that begins a text."""


def text_tokens(
    tokenizer: Tokenizer, text: str, *, instruction: str = "", length: int = LENGTH, fill: int = 0
) -> tuple[Int[np.ndarray, "L"], Bool[np.ndarray, "L"], Int[np.ndarray, "K"]]:
    """A text's tokens behind the instruction, padded to the right, and which places of them are kept.

    Args:
      tokenizer: Gemma's.
      text: what is wanted, taken in small letters and without spaces around it.
      instruction: what stands before it, as SANA's authors ship it with their configurations; "" for none, as for the
        text of nothing.
      length: how many places are kept: the first, and the last length - 1.
      fill: id behind the text.

    Returns:
      Ids and whether each is a text's; the places to keep of what the encoder makes of them.
    """
    text = text.lower().strip()
    total = len(tokenizer.encode(instruction)) + length - 2 if instruction else length
    ids = tokenizer.encode(instruction + text)[:total]
    tokens = np.full(total, fill, np.int32)
    tokens[: len(ids)] = ids
    return tokens, np.arange(total) < len(ids), np.concatenate([[0], np.arange(total - length + 1, total)])


def encode_texts(
    encoder: Callable[..., object], tokenizer: Tokenizer, texts: Sequence[str], **how: object
) -> TextFeatures:
    """Features of texts, (B, length, E).

    Args:
      encoder: `Gemma2`, or its compiled call `(tokens, mask) -> features`.
      tokenizer: its.
      texts: any number.
      **how: `instruction`, `length` and `fill` of `text_tokens`.
    """
    rows = [text_tokens(tokenizer, text, **how) for text in texts]
    kept = rows[0][2]
    tokens, mask = (np.stack([row[i] for row in rows]) for i in (0, 1))
    return TextFeatures(features=jnp.asarray(encoder(tokens, mask))[:, kept], mask=mask[:, kept])


class FeatureCache:
    """Features of texts in a folder, one file each, so that an encoder of gigabytes runs once for a text.

    Args:
      folder: made where it is not there.
      of: what the features depend on beside the text, in JSON's types: the encoder's file and digest, instruction,
        length. Others' features are never found.
    """

    def __init__(self, folder: PathLike, of: object):
        self.folder, self.of = pathlib.Path(folder), json.dumps(of, sort_keys=True)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot keep features in {folder}: {error.strerror}; name a folder") from error

    def path(self, text: str) -> pathlib.Path:
        """The file of a text."""
        digest = hashlib.sha256(json.dumps([self.of, text]).encode()).hexdigest()
        return self.folder / f"{digest[:32]}.safetensors"

    def get(self, texts: Sequence[str], encode: Callable[[list[str]], TextFeatures]) -> TextFeatures:
        """Features of texts, of which only those that are not kept are encoded, all at once.

        Args:
          texts: any number.
          encode: `encode_texts` of an encoder; what it gives is kept in bfloat16.

        Raises:
          InputError: a kept file is damaged.
        """
        missing = [text for text in dict.fromkeys(texts) if not self.path(text).exists()]
        if missing:
            found = encode(missing)
            for i, text in enumerate(missing):
                arrays = {"features": np.asarray(jnp.asarray(found.features[i]).astype(jnp.bfloat16)),
                          "mask": np.asarray(found.mask[i])}  # fmt: skip
                write_tensors(self.path(text), arrays, {})
        kept = [open_tensors(self.path(text), what="kept features of a text") for text in texts]
        features, mask = (np.stack([np.asarray(one[name]) for one in kept]) for name in ("features", "mask"))
        return TextFeatures(features=features, mask=mask)
