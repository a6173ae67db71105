"""Files of every method that estimates bodies or objects: one table, one reader (`docs/sources.md`)."""

from hoijax.io.sources.containers import SUFFIXES
from hoijax.io.sources.estimate import Estimate, find_source, looks_like_a_pose, people_of, read_estimate
from hoijax.io.sources.table import NAMES, SOURCES, VERTICES, Source, named

__all__ = [
    "NAMES",
    "SOURCES",
    "SUFFIXES",
    "VERTICES",
    "Estimate",
    "Source",
    "find_source",
    "looks_like_a_pose",
    "named",
    "people_of",
    "read_estimate",
]
