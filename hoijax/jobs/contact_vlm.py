"""`hoijax contact --method interactvlm`: the small InteractVLM on a photograph's crop and on views of both surfaces."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.jobs.photographs import Photograph
from hoijax.language import WordTokenizer
from hoijax.nets import interactvlm as nets
from hoijax.nets.blaze.layers import Params
from hoijax.nets.weights import read_facts, shipped_file
from hoijax.systems.interactvlm import OWN, Inputs, RunConfig, prepare, run
from hoijax.systems.interactvlm.crops import CHANNELS, Scale, features_of, person_crop, spread
from hoijax.systems.interactvlm.pairs import label_notes, label_number

STEPS = 48
"""Most tokens of an answer."""


@dataclasses.dataclass(frozen=True)
class ContactDialogue:
    """The network with its questions, and what does not depend on the pictures."""

    ask: Callable[[np.ndarray], Any]
    """From tokens (1, P, C) of a crop to a `Result`, compiled."""
    scale: Scale
    """Of the crops' numbers."""
    thresholds: tuple[float, float]
    """Probabilities on body and object that count as one half."""
    notes: tuple[str, ...]
    """What a person should know about the label."""

    @classmethod
    def of(cls, weights: pathlib.Path | None, label: str, model: BodyModel, mesh: Mesh) -> "ContactDialogue":
        """Reads weights and prepares both surfaces.

        Args:
          weights: the network's file, of `hoijax.experiments.interactvlm.small`; None: the shipped one.
          label: what the object is.
          model: the body that is answered about.
          mesh: the object's, metres, y up, front towards +z.

        Raises:
          InputError: no file, another network's, or a mesh without faces.
        """
        path = shipped_file("interactvlm_small") if weights is None else weights
        facts = read_facts(path)
        missing = [name for name in ("words", "special", "scale", "labels") if name not in facts]
        if missing:
            raise InputError(
                f"{path} does not say its {', '.join(missing)}; wanted are weights of "
                "hoijax.experiments.interactvlm.small, which reads crops by hoijax's own landmark network"
            )
        network = nets.load(path)
        if network.config.vision is not None or network.config.image_width != CHANNELS:
            raise InputError(f"{path} reads other features than crops' ({CHANNELS} channels)")
        said = facts.get("thresholds", {})
        thresholds = tuple(float(said.get(name, 0.5)) for name in ("human", "object"))
        if not all(0 < t < 1 for t in thresholds):
            raise InputError(f"{path}: thresholds must lie between 0 and 1, got {thresholds}")
        word, notes = named(label, facts["labels"])
        tokenizer = WordTokenizer(facts["words"], facts["special"])
        questions = [nets.make_prompts(tokenizer, [OWN.ask(k, word)]) for k in ("human_parts", "object_simple")]
        prepared = prepare(network, model, mesh)
        config = RunConfig(stop=tokenizer.id_of("</s>"), steps=STEPS)

        @jax.jit
        def ask(prepared: Any, tokens: jax.Array) -> Any:
            return run(network, prepared, Inputs(tokens, *questions), config=config)

        return cls(functools.partial(ask, prepared), Scale.of_facts(facts), thresholds, notes)

    def find(self, networks: dict[str, Params], photograph: Photograph) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities on the body's and on the mesh's vertices.

        Args:
          networks: not used; crops have their own.
          photograph: picture and the person's mask.
        """
        del networks
        crop = person_crop(photograph.image, photograph.human)
        tokens = spread(features_of(np.ascontiguousarray(crop)), self.scale)
        found = self.ask(jnp.asarray(tokens)[None]).interaction
        body, obj = (np.asarray(values, np.float64)[0] for values in (found.body, found.object))
        return tuple(at_half(p, t).astype(np.float32) for p, t in zip((body, obj), self.thresholds))


def named(label: str, known: list[str]) -> tuple[str, tuple[str, ...]]:
    """The label as the network knows it, and what a person should know where it does not."""
    number = label_number(label, known)
    word = known[number - 1] if number else "object"
    return word, label_notes(label, known, "is asked about an object")


def at_half(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Probabilities moved along the log odds, so that the threshold becomes one half; 0 and 1 stay."""
    odds = probabilities * (1 - threshold)
    return odds / np.maximum(odds + (1 - probabilities) * threshold, 1e-12)
