"""Refiner of sequences: frames of one person with one object, tied in time."""

from hoijax.optim.sequence.config import Natural, SequenceConfig, Temporal, Windows
from hoijax.optim.sequence.refiner import Kept, RefinedTrack, refine_tracks
from hoijax.optim.sequence.track import EstimatedTrack, PreparedTrack, prepare_track

__all__ = [
    "EstimatedTrack",
    "Kept",
    "Natural",
    "PreparedTrack",
    "RefinedTrack",
    "SequenceConfig",
    "Temporal",
    "Windows",
    "prepare_track",
    "refine_tracks",
]
