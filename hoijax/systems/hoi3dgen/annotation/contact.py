"""Which parts of a body touch an object, and which of the eight configurations that is: geometry alone.

HOI3DGen, section on annotation: a part is in contact if a vertex of it is nearer than 4 cm to the object's surface.
What we add is in `ContactRule`; `RULES["paper"]` is the paper's words.
"""

import dataclasses
import functools
from collections.abc import Collection

import numpy as np
from jaxtyping import Float

from hoijax.body_models import BodyModel, contact_regions, part_labels, part_names
from hoijax.errors import InputError
from hoijax.geometry import Mesh, closest_on_mesh_host

NEAR = 0.1
"""Distances of all vertices are exact below this one, metres."""
FAR = 1.0
"""What is farther counts as this far, metres."""
CONFIGURATIONS: tuple[str, ...] = (
    "right_hand", "left_hand", "both_hands", "back", "right_leg", "left_leg", "no_contact", "others",
)  # fmt: skip
"""The eight configurations of the paper."""
HANDS = {side: frozenset({f"{side}_wrist", f"{side}_hand"}) for side in ("right", "left")}
"""Parts of SMPL's 24 that are a hand: its joint is the wrist."""
LEGS = {side: frozenset(f"{side}_{part}" for part in ("hip", "knee", "ankle", "foot")) for side in ("right", "left")}
"""Parts that are a leg, from the hip to the toes."""
DORSAL = "back"
"""Name that contacts give the rear of the trunk, which is no part of its own among the 24."""
PARTS: tuple[str, ...] = (*part_names("24"), DORSAL)
"""Everything that can be in contact."""


@dataclasses.dataclass(frozen=True)
class ContactRule:
    """When a part is in contact.

    Raises:
      InputError: a number out of range.
    """

    threshold: float = 0.04
    """Distance below which a vertex is in contact, metres: the paper's; BEHAVE and DECO use it too."""
    least: int = 3
    """Vertices that a part needs, and the share of its vertices: one out of place is no contact."""
    share: float = 0.005
    slack: float = float("inf")
    """A part must also be nearer than the nearest part and so much more, metres. In data with exact contact the
    forearm, the belly and the thigh of somebody who carries a box are within 4 cm of it and do not touch it."""
    forearms: bool = True
    """Whether a forearm belongs to a hand that touches, and is no part of its own then."""

    def __post_init__(self):
        if not 0 < self.threshold <= NEAR:
            raise InputError(f"the threshold of contact is {self.threshold:g} m; wanted more than 0, at most {NEAR:g}")
        if self.least < 1 or not 0 <= self.share < 1 or not self.slack > 0:
            raise InputError(f"a rule of contact needs least >= 1, 0 <= share < 1 and slack > 0; got {self}")


RULES: dict[str, ContactRule] = {
    "paper": ContactRule(least=1, share=0.0, forearms=False),
    "loose": ContactRule(),
    "exact": ContactRule(slack=0.01),
}
"""`paper`: any vertex within 4 cm. `loose`: with our least counts, for fits whose contact is not exact (BEHAVE,
ProciGen with its flat hands). `exact`: what also stays within a centimetre of the nearest part, for SynthHOI."""


@dataclasses.dataclass(frozen=True)
class BodyContact:
    """What of a body touches an object."""

    parts: tuple[str, ...]
    """What touches, of `PARTS` in their order."""
    config: str
    """One of `CONFIGURATIONS`."""
    near: tuple[str, ...]
    """Parts with any vertex within the threshold: the paper's rule."""
    min_distance: float
    """Distance of the nearest vertex, metres, at most `FAR`."""


def configuration(parts: Collection[str]) -> str:
    """The configuration of parts in contact; the first that fits of a hand, both hands, back, a leg, none.

    Args:
      parts: of `PARTS`.

    Returns:
      One of `CONFIGURATIONS`. The back counts whatever else touches, hands apart: who leans against a backrest or lies
      has it; a leg counts if nothing else touches.

    Raises:
      InputError: a name that is no part.
    """
    parts = frozenset(parts)
    unknown = sorted(parts - set(PARTS))
    if unknown:
        raise InputError(f"no body part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    hands = HANDS["right"] | HANDS["left"]
    if not parts:
        return "no_contact"
    for side in ("right", "left"):
        if parts <= HANDS[side]:
            return f"{side}_hand"
    if parts <= hands:
        return "both_hands"
    if DORSAL in parts and not parts & hands:
        return "back"
    for side in ("right", "left"):
        if parts <= LEGS[side]:
            return f"{side}_leg"
    return "others"


def measure_contact(
    vertices: Float[np.ndarray, "V 3"], model: BodyModel, object: Mesh, rule: ContactRule = RULES["loose"]
) -> BodyContact:
    """Parts of a posed body that touch an object.

    Args:
      vertices: of the posed body, metres.
      model: whose body it is; its skinning weights say which vertex belongs to which part.
      object: the object where it is, same frame, metres.
      rule: when a part is in contact.

    Raises:
      InputError: the vertices are not the model's.
    """
    if len(vertices) != model.num_vertices:
        raise InputError(f"got {len(vertices)} vertices of a body that has {model.num_vertices}")
    return contact_from_distances(body_distances(vertices, object), model, rule)


def contact_from_distances(
    distance: Float[np.ndarray, "V"], model: BodyModel, rule: ContactRule = RULES["loose"]
) -> BodyContact:
    """Parts in contact from the distance of every vertex, metres; see `measure_contact`."""
    masks = body_places(model)
    reach: dict[str, float] = {}
    for name, mask in masks.items():
        own = np.sort(distance[mask])
        count = max(rule.least, int(np.ceil(rule.share * len(own))))
        # The distance within which the part has enough vertices.
        reach[name] = float(own[count - 1]) if count <= len(own) else np.inf
    limit = min(rule.threshold, min(reach.values()) + rule.slack)
    parts = {name for name, value in reach.items() if value < limit}
    if rule.forearms:
        parts = without_forearms(parts)
    near = tuple(name for name, mask in masks.items() if mask.any() and distance[mask].min() < rule.threshold)
    touching = tuple(name for name in PARTS if name in parts)
    return BodyContact(touching, configuration(touching), near, float(distance.min()))


def without_forearms(parts: Collection[str]) -> set[str]:
    """Parts in contact without the forearms of hands that touch."""
    return set(parts) - {f"{side}_elbow" for side, hand in HANDS.items() if hand & set(parts)}


def body_distances(vertices: Float[np.ndarray, "V 3"], object: Mesh) -> Float[np.ndarray, "V"]:
    """Distance of every vertex to the object's surface, metres, at most `FAR`.

    Exact for the nearest vertex and for all within `NEAR`; the others' is that to the object's box, a lower bound.
    """
    vertices = np.asarray(vertices, np.float64)
    corners = np.asarray(object.vertices)[np.unique(np.asarray(object.faces))]
    outside = np.maximum(np.maximum(corners.min(axis=0) - vertices, vertices - corners.max(axis=0)), 0)
    distance = np.minimum(np.linalg.norm(outside, axis=1), FAR)
    exact = distance <= max(NEAR, float(distance.min()))
    distance[exact] = np.minimum(closest_on_mesh_host(vertices[exact], object).distance, FAR)
    more = ~exact & (distance < distance[exact].min())
    if more.any():
        distance[more] = np.minimum(closest_on_mesh_host(vertices[more], object).distance, FAR)
    return distance


def body_places(model: BodyModel) -> dict[str, np.ndarray]:
    """Which vertices belong to each of `PARTS`, (V,) bool; remembered for the last few models."""
    return _places(_Same(model))


class _Same:
    """A model as the key of a cache: by identity, since arrays have no hash."""

    def __init__(self, model: BodyModel):
        self.model = model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.model is other.model

    def __hash__(self) -> int:
        return id(self.model)


@functools.lru_cache(maxsize=8)
def _places(key: _Same) -> dict[str, np.ndarray]:
    labels = part_labels(key.model, "24")
    dorsal = np.zeros(key.model.num_vertices, bool)
    dorsal[contact_regions(key.model)["back"]] = True
    return {name: labels == i for i, name in enumerate(part_names("24"))} | {DORSAL: dorsal}
