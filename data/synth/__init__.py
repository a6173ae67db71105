"""SynthHOI: a generated dataset of human-object interactions that anyone may use for anything (docs/synth_hoi.md)."""

from typing import TYPE_CHECKING

import lazy_loader

from hoijax.data.synth.config import DEV_SPLITS, SCENE_SPLITS, SPLITS, UNSEEN, SynthConfig

if TYPE_CHECKING:
    from hoijax.data.synth.building import BuildReport, build
    from hoijax.data.synth.reading import SynthSplit, open_split, read_config

# Building and reading need the extra [data]; systems use this package's poses and hands without it.
__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={"building": ["BuildReport", "build"], "reading": ["SynthSplit", "open_split", "read_config"]},
)

__all__ = [
    "DEV_SPLITS",
    "SCENE_SPLITS",
    "SPLITS",
    "UNSEEN",
    "BuildReport",
    "SynthConfig",
    "SynthSplit",
    "build",
    "open_split",
    "read_config",
]
