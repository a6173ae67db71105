"""What `generate` is asked for."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from hoijax.systems.hoi3dgen.compose import ComposeConfig
from hoijax.systems.hoi3dgen.layout import VIEW_TAGS


@dataclasses.dataclass(frozen=True)
class GenerationRequest:
    """What is to be made; plain values, so that another machine can be asked."""

    prompt: str
    """One person and one object, such as "A woman in a red jacket carries a blue box with both hands"."""
    out: pathlib.Path
    """Folder for the results."""
    backend: str = "compose"
    """A key of `BACKENDS`."""
    count: int = 4
    """Candidates that are made; the best is the result."""
    seed: int = 0
    compose: ComposeConfig = dataclasses.field(default_factory=ComposeConfig)
    """Of the backend "compose"; count, seed, lod and physics are the request's."""
    lod: str = "default"
    """Level of detail of the body."""
    physics: bool = True
    """Whether candidates are judged in physics."""
    size: int = 512
    """Side of the pictures, pixels."""
    views: tuple[str, ...] = VIEW_TAGS
    """Views of which pictures are made."""
    cache: pathlib.Path | None = None
    """Folder that keeps distance grids."""
    weights: pathlib.Path | None = None
    """Of the backend "sana": the networks' folder or file; None: the small ones that ship."""
    mesh_server: str | None = None
    """Of the backend "sana": who makes a mesh of the pictures; None: `mesh` does."""
    mesh: str = "hull"
    """Of the backend "sana" without a server: "hull" or "template"."""
    thing: pathlib.Path | None = None
    """With the mesh "template", a file of the object's; None: a shape that ships, chosen by the prompt's noun."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the command was, for the record."""
