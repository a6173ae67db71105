"""SynthHOI: a generated dataset of human-object interactions that anyone may use for anything (docs/synth_hoi.md)."""

from hoijax.data.synth.building import BuildReport, build
from hoijax.data.synth.config import DEV_SPLITS, SCENE_SPLITS, SPLITS, UNSEEN, SynthConfig
from hoijax.data.synth.reading import SynthSplit, open_split, read_config

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
