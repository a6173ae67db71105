"""InteractVLM (Dwivedi et al. 2025): canonical views of bodies and objects, the lift from their pixels to contact."""

from hoijax.systems.interactvlm.lifting import LiftOperator, apply_lift, lift_operator
from hoijax.systems.interactvlm.parts import parts_in_words
from hoijax.systems.interactvlm.questions import OWN, Questions, read_questions
from hoijax.systems.interactvlm.retrieval import (
    Candidate,
    find_meshes,
    label_words,
    rank_by_likeness,
    rank_by_silhouette,
)
from hoijax.systems.interactvlm.system import (
    Inputs,
    Prepared,
    Result,
    RunConfig,
    Stages,
    Surface,
    ask,
    lift_masks,
    prepare,
    run,
)
from hoijax.systems.interactvlm.views import Views, body_views, cached_embedding, object_views

__all__ = [
    "OWN",
    "Candidate",
    "Inputs",
    "LiftOperator",
    "Prepared",
    "Questions",
    "Result",
    "RunConfig",
    "Stages",
    "Surface",
    "Views",
    "apply_lift",
    "ask",
    "body_views",
    "cached_embedding",
    "find_meshes",
    "label_words",
    "lift_masks",
    "lift_operator",
    "object_views",
    "parts_in_words",
    "prepare",
    "rank_by_likeness",
    "rank_by_silhouette",
    "read_questions",
    "run",
]
