"""Files of every method that estimates bodies or objects: one table, one reader (`docs/sources.md`)."""

from hoijax.io.sources.containers import SUFFIXES
from hoijax.io.sources.estimate import SourceEstimate, find_source, looks_like_a_pose, people_of, read_estimate
from hoijax.io.sources.table import NAMES, SOURCES, VERTICES, Source, source_by_name

__all__ = [
    "NAMES",
    "SOURCES",
    "SUFFIXES",
    "VERTICES",
    "Source",
    "SourceEstimate",
    "find_source",
    "looks_like_a_pose",
    "people_of",
    "read_estimate",
    "source_by_name",
]
