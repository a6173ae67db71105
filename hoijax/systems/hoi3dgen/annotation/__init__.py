"""Annotation of interactions: appearance, action and contact apart, one text from them, and what is good enough."""

from hoijax.systems.hoi3dgen.annotation.actions import ACTIONS
from hoijax.systems.hoi3dgen.annotation.annotators import ModelAnnotator, OfflineAnnotator
from hoijax.systems.hoi3dgen.annotation.contact import (
    CONFIGURATIONS,
    RULES,
    BodyContact,
    ContactRule,
    configuration,
    measure_contact,
)
from hoijax.systems.hoi3dgen.annotation.filtering import REASONS, FilterConfig, geometry_of, reasons_against, select
from hoijax.systems.hoi3dgen.annotation.records import annotate_sample, parse_record
from hoijax.systems.hoi3dgen.annotation.sources import DATASETS, PosedSample, SampleSource, open_samples
from hoijax.systems.hoi3dgen.annotation.views import person_rig, render_sample, ring_rig
from hoijax.systems.hoi3dgen.annotation.writing import check_text, write_text

__all__ = [
    "ACTIONS",
    "CONFIGURATIONS",
    "DATASETS",
    "REASONS",
    "RULES",
    "BodyContact",
    "ContactRule",
    "FilterConfig",
    "ModelAnnotator",
    "OfflineAnnotator",
    "PosedSample",
    "SampleSource",
    "annotate_sample",
    "check_text",
    "configuration",
    "geometry_of",
    "measure_contact",
    "open_samples",
    "parse_record",
    "person_rig",
    "reasons_against",
    "render_sample",
    "ring_rig",
    "select",
    "write_text",
]
