"""The light contact network: one query for each pair of a person and an object, contact on both surfaces in one pass.

It reads what networks that have seen real pictures say of the person (landmarks), the object's mask, its label and
points of its surface, and answers at any points of either surface. It knows no body model: places of a body's vertices
come in as arrays (`hoijax.systems.interactvlm.pairs`).
"""

from hoijax.nets.pair_contact.checkpoints import load, load_pair_contact, save_pair_contact
from hoijax.nets.pair_contact.config import NUM_JOINTS, Config
from hoijax.nets.pair_contact.model import Model
from hoijax.nets.pair_contact.types import Answer, Pair, Points

__all__ = [
    "NUM_JOINTS",
    "Answer",
    "Config",
    "Model",
    "Pair",
    "Points",
    "load",
    "load_pair_contact",
    "save_pair_contact",
]
