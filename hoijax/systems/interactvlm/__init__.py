"""InteractVLM (Dwivedi et al. 2025): canonical views of bodies and objects, the lift from their pixels to contact."""

from hoijax.systems.interactvlm.lifting import LiftOperator, apply_lift, lift_operator
from hoijax.systems.interactvlm.views import Views, body_views, cached_embedding, object_views

__all__ = [
    "LiftOperator",
    "Views",
    "apply_lift",
    "body_views",
    "cached_embedding",
    "lift_operator",
    "object_views",
]
