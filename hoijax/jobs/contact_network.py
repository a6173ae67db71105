"""`hoijax contact --method network`: the light contact network on a photograph's landmarks, mask, label and mesh."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.jobs.photo_people import find_person
from hoijax.jobs.photographs import Photograph
from hoijax.nets.blaze.layers import Params
from hoijax.nets.pair_contact import Config, Points, load_pair_contact
from hoijax.systems.interactvlm.pairs import (
    ObjectSurface,
    PairContact,
    body_points,
    label_notes,
    label_number,
    make_pair,
    object_surface,
    pair_contact,
)


@dataclasses.dataclass(frozen=True)
class ContactNetwork:
    """The network and what does not depend on the pictures."""

    sizes: Config
    """Of the network."""
    word: int
    """Number of the label."""
    body: Points
    """The body's vertices."""
    surface: ObjectSurface
    """The object's."""
    ask: Callable[..., PairContact]
    """The network on a pair, compiled."""
    notes: tuple[str, ...]
    """What a person should know about the label."""

    @classmethod
    def of(cls, weights: pathlib.Path | None, label: str, model: BodyModel, mesh: Mesh) -> "ContactNetwork":
        """Reads weights and prepares both surfaces.

        Args:
          weights: the network's file; None: the shipped one.
          label: what the object is.
          model: the body that is answered about.
          mesh: the object's, metres, y up, front towards +z.

        Raises:
          InputError: no such file, another network's, or a mesh without faces.
        """
        network, facts = load_pair_contact(weights)
        sizes = network.config
        word = label_number(label, sizes.words)
        notes = label_notes(label, sizes.words, "goes by the picture and the object's shape")
        thresholds = tuple(float(t) for t in facts.get("threshold", (0.5, 0.5)))
        if len(thresholds) != 2 or not all(0 < t < 1 for t in thresholds):
            raise InputError(f"the facts of the network's weights have no two thresholds between 0 and 1: {thresholds}")
        ask = jax.jit(functools.partial(pair_contact, network, thresholds=thresholds))
        surface = object_surface(mesh, sizes.reach, boxes=sizes.boxes)
        return cls(sizes, word, body_points(model, sizes.reach), surface, ask, notes)

    def find(self, networks: dict[str, Params], photograph: Photograph) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities on the body's and on the mesh's vertices.

        Args:
          networks: weights of `nets.blaze` under "detector" and "landmarks".
          photograph: picture and masks; with a mask of the person the one it holds is asked about.

        Raises:
          InputError: nobody is found.
        """
        person, _ = find_person(networks, photograph)
        pair = make_pair(
            *(np.asarray(x) for x in (person.landmarks, person.metric, person.visibility)), photograph.object,
            self.word, self.surface, self.sizes.mask,
        )  # fmt: skip
        found: Any = jax.tree.map(np.asarray, self.ask(pair, self.body, self.surface.asked))
        return found.body[0], found.object[0]
