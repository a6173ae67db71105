"""HOI3DGen from what ships: a sentence, InteractAnything's synthesis, painted surfaces (docs/hoi3dgen.md)."""

from hoijax.systems.hoi3dgen.compose.atlas import Atlas, Texels, make_atlas, rasterize_atlas
from hoijax.systems.hoi3dgen.compose.dressing import Dressed, dress
from hoijax.systems.hoi3dgen.compose.painting import Painted, paint_object
from hoijax.systems.hoi3dgen.compose.people import betas_of
from hoijax.systems.hoi3dgen.compose.prompt import (
    Garment,
    ObjectWords,
    PersonWords,
    PromptWords,
    SeveralPeopleError,
    read_prompt,
)
from hoijax.systems.hoi3dgen.compose.shapes import ChosenShape, choose_shape, known_nouns
from hoijax.systems.hoi3dgen.compose.system import (
    ComposeConfig,
    Composed,
    Made,
    Measured,
    SetUp,
    asked_configuration,
    compose,
    set_up,
)

__all__ = [
    "Atlas",
    "ChosenShape",
    "ComposeConfig",
    "Composed",
    "Dressed",
    "Garment",
    "Made",
    "Measured",
    "ObjectWords",
    "Painted",
    "PersonWords",
    "PromptWords",
    "SetUp",
    "SeveralPeopleError",
    "Texels",
    "asked_configuration",
    "betas_of",
    "choose_shape",
    "compose",
    "dress",
    "known_nouns",
    "make_atlas",
    "paint_object",
    "rasterize_atlas",
    "read_prompt",
    "set_up",
]
