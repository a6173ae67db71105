"""InteractAnything: a sentence and any mesh in, interactions out (docs/interactanything.md)."""

from hoijax.systems.interactanything.affordance import blend
from hoijax.systems.interactanything.stages import OptimiseConfig, optimise
from hoijax.systems.interactanything.system import (
    Candidate,
    Prepared,
    Result,
    SynthesisConfig,
    given_starts,
    prepare,
    rank,
    run,
)

__all__ = [
    "Candidate",
    "OptimiseConfig",
    "Prepared",
    "Result",
    "SynthesisConfig",
    "blend",
    "given_starts",
    "optimise",
    "prepare",
    "rank",
    "run",
]
