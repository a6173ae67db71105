"""Stage A of InteractAnything: what a sentence and a mesh say of who touches what (docs/interactanything.md)."""

from hoijax.systems.interactanything.relations.placement import Placement, place
from hoijax.systems.interactanything.relations.reasoning import reason
from hoijax.systems.interactanything.relations.schema import Contact, Note, Relations
from hoijax.systems.interactanything.relations.shape import Box, Level, Shape, measure

__all__ = ["Box", "Contact", "Level", "Note", "Placement", "Relations", "Shape", "measure", "place", "reason"]
