"""What is said to a language model, and the one method that it must have."""

import dataclasses
import io
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from hoijax.errors import InputError

ROLES = ("system", "user", "assistant")
"""Who can be speaking."""
FAULTS = ("timeout", "unreachable", "refused", "malformed", "not UTF-8", "enormous", "empty", "unrecorded")
"""What can be wrong with a reply before its words are looked at."""
LONGEST = 100_000
"""Characters of a reply; more are a fault."""
_PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}


class LanguageError(InputError):
    """A model gave no reply that can be read: `fault` is one of `FAULTS`, the message says the rest."""

    def __init__(self, fault: str, message: str):
        super().__init__(message)
        self.fault = fault


@dataclasses.dataclass(frozen=True)
class Message:
    """One turn of a dialogue.

    Raises:
      InputError: another role, or a picture that is neither PNG nor JPEG.
    """

    role: str
    """One of `ROLES`."""
    text: str
    images: tuple[bytes, ...] = ()
    """Pictures shown with the text, each a PNG or JPEG file (`encode_image`)."""

    def __post_init__(self):
        if self.role not in ROLES:
            raise InputError(f"a message's role is one of {', '.join(ROLES)}, got {self.role!r}")
        for number, image in enumerate(self.images):
            if image_type(image) is None:
                raise InputError(f"picture {number} of the message is neither PNG nor JPEG; encode it (encode_image)")


@runtime_checkable
class LanguageModel(Protocol):
    """Anything that answers a dialogue. Calls may come from one thread at a time."""

    @property
    def name(self) -> str:
        """What results call the model."""
        ...

    def reply(self, messages: Sequence[Message], *, temperature: float = 0.0, seed: int = 0) -> str:
        """The next turn of the assistant.

        Args:
          messages: the dialogue so far, its last turn the user's.
          temperature: how freely the model samples; 0: its likeliest answer.
          seed: tells samples of one dialogue apart.

        Raises:
          LanguageError: there is no reply; says why.
        """
        ...


def encode_image(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """The PNG file of a picture, rows from the top, for `Message.images`."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def image_type(image: bytes) -> str | None:
    """The type that a picture file begins like, "png" or "jpeg"; None: another."""
    return next((name for start, name in _PICTURES.items() if image.startswith(start)), None)


def checked_reply(text: object, source: str) -> str:
    """A reply's text, or what is wrong with it.

    Raises:
      LanguageError: it is no text, empty, longer than `LONGEST` characters, or has characters that UTF-8 has not.
    """
    if not isinstance(text, str):
        raise LanguageError("malformed", f"{source} sent a reply without text")
    if not text.strip():
        raise LanguageError("empty", f"{source} sent an empty reply")
    if len(text) > LONGEST:
        raise LanguageError("enormous", f"{source} sent {len(text):,} characters; a reply has at most {LONGEST:,}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LanguageError("not UTF-8", f"{source} sent a character that UTF-8 has not, at {error.start}") from error
    return text
