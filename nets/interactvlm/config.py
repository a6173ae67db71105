"""Sizes of InteractVLM's networks: those published, and small ones."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from hoijax.errors import InputError
from hoijax.nets import clip, llama, sam

ANY = 0
HUMAN = 1
OBJECT = 2
"""What a contact token means: whatever it is asked for, contact on the body, contact on the object."""


@dataclasses.dataclass(frozen=True)
class Config:
    """InteractVLM (Dwivedi et al. 2025); the defaults are the published 13 B network of one contact token."""

    language: llama.Config = dataclasses.field(default_factory=lambda: _language("13b"))
    """The decoder, with the special tokens in its vocabulary."""
    vision: clip.VisionConfig | None = dataclasses.field(default_factory=lambda: _vision("l"))
    """The image tower; None: patches come from elsewhere (the published files lack it)."""
    segmenter: sam.Config = dataclasses.field(default_factory=lambda: sam.Config.of_size("h"))
    """What makes masks of renders."""
    image_width: int = 1024
    """Channels of the image tower's patches."""
    projector: Literal["linear", "perceptron"] = "linear"
    """From patches to tokens: LLaVA's first version, or 1.5."""
    gate: Literal["vi_v1", "view_index", "simple", "concat", "none"] = "vi_v1"
    """How a view's camera changes the contact token, see `CameraGate`; "none": not at all."""
    views: int = 4
    """Of a surface."""
    contact: int = 32000
    """Id of the token that means contact of any kind."""
    human: int | None = None
    """Id of the one that means the body, where there is one; the splitter goes with it."""
    object: int | None = None
    """Id of the one that means the object; the same as `human` where both share one."""
    apart: bool = False
    """Whether body and object have mask decoders of their own."""

    def __post_init__(self):
        if (self.human is None) != (self.object is None):
            raise ValueError("contact tokens of body and object come together")
        if self.apart and self.human is None:
            raise ValueError("mask decoders of body and object need tokens of body and object")
        wrong = [number for number in self.tokens if not 0 <= number < self.language.vocabulary]
        if wrong:
            raise ValueError(f"contact tokens {wrong} lie outside the vocabulary of {self.language.vocabulary}")

    @property
    def tokens(self) -> tuple[int, ...]:
        """Ids of all contact tokens, each once."""
        return tuple(dict.fromkeys(t for t in (self.contact, self.human, self.object) if t is not None))

    @classmethod
    def of_size(cls, name: str) -> "Config":
        """A named size: "13b" and "7b" as published, "tiny" for tests.

        Raises:
          InputError: another name.
        """
        if name in ("13b", "7b"):
            return cls(language=_language(name))
        if name == "tiny":
            return cls(
                language=llama.Config.of_size("tiny"), vision=_vision("tiny"), segmenter=sam.Config.of_size("tiny"),
                image_width=32, contact=60, human=61, object=62,
            )  # fmt: skip
        raise InputError(f"InteractVLM has no size {name!r}; known are 13b, 7b, tiny")

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> "Config":
        """The sizes that a file's facts say."""
        said = dict(facts["interactvlm"])
        vision, segmenter = said["vision"], dict(said["segmenter"])
        return cls(**{
            **said, "language": llama.Config(**said["language"]),
            "vision": None if vision is None else clip.VisionConfig(**vision),
            "segmenter": sam.Config(**{**segmenter, "everywhere": tuple(segmenter["everywhere"])}),
        })  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """The sizes as a file of weights says them."""
        said = dataclasses.asdict(self)
        said["segmenter"]["everywhere"] = list(said["segmenter"]["everywhere"])
        return {"interactvlm": said}


def _language(name: str) -> llama.Config:
    """A size of LLaMA with LISA's three special tokens."""
    return dataclasses.replace(llama.Config.of_size(name), vocabulary=32003)


def _vision(name: str) -> clip.VisionConfig:
    return dataclasses.replace(clip.VisionConfig.of_size(name), projection=None)
