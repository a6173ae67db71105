"""What is asked of an annotation."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from hoijax.language import LanguageModel
from hoijax.systems.hoi3dgen.annotation import FilterConfig

SHARD = 50
"""Samples of a shard: what a kill loses at most."""


@dataclasses.dataclass(frozen=True)
class AnnotationRequest:
    """What is annotated, by whom; plain values, so that another machine can be asked."""

    dataset: str
    root: pathlib.Path
    out: pathlib.Path
    split: str | None = None
    """Of the dataset; None: all."""
    body_model: pathlib.Path | None = None
    limit: int | None = None
    """At most so many samples, spread over all; None: all."""
    shard: int = SHARD
    rule: str = "auto"
    """Of contact, of `RULES`; "auto": what suits the dataset."""
    model: LanguageModel | None = None
    """Who is asked; None: nobody, or the transcript."""
    transcript: pathlib.Path | None = None
    """A transcript, or a folder of them, that answers instead."""
    votes: int = 1
    config: FilterConfig = dataclasses.field(default_factory=FilterConfig)
    views: int = 512
    """Side of the pictures of what is taken, pixels; 0: none."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
