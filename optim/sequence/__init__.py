"""Refiner of sequences: frames of one person with one object, tied in time."""

from hoijax.optim.sequence.config import Natural, SequenceConfig, Temporal, Windows
from hoijax.optim.sequence.refiner import Kept, RefinedTrack, refine_tracks
from hoijax.optim.sequence.track import PreparedTrack, EstimatedTrack, prepare_track

__all__ = [
    "Kept",
    "Natural",
    "PreparedTrack",
    "SequenceConfig",
    "Temporal",
    "EstimatedTrack",
    "RefinedTrack",
    "Windows",
    "prepare_track",
    "refine_tracks",
]
