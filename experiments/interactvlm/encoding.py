"""Examples to batches: pictures, conversations drawn from templates, surfaces."""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import BodyModel
from hoijax.errors import InputError
from hoijax.experiments.interactvlm.data import Example, Mixture, Task
from hoijax.experiments.interactvlm.settings import Config
from hoijax.experiments.interactvlm.surfaces import Canvas, Surfaces
from hoijax.language import Tokenizer
from hoijax.nets import clip
from hoijax.nets import interactvlm as nets
from hoijax.nets.interactvlm import Prompts
from hoijax.systems.interactvlm import OWN, Questions, parts_in_words
from hoijax.systems.interactvlm.questions import draw_numbers

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class ContactBatch:
    """Samples of one task."""

    images: Float[ArrayLike, "B H W 3"] | Float[ArrayLike, "B P C"]
    """As `Model.see` takes them."""
    prompts: Prompts
    """Conversations with their answers."""
    contact: Float[ArrayLike, "B V"] | None = None
    """Of vertices or points; None: text alone."""
    canvas: Canvas | None = None
    """Of the objects; bodies have one for all."""


class Encoder:
    """Examples to batches; on the host.

    Args:
      tokenizer: of the language model, with the contact tokens.
      network: sizes of the network.
      config: of the run.
      surfaces: of bodies and objects.
      body: whose parts are named.
      questions: templates.
    """

    def __init__(
        self, tokenizer: Tokenizer, network: nets.Config, config: Config, surfaces: Surfaces,
        body: BodyModel | None = None, questions: Questions = OWN,
    ):  # fmt: skip
        self.tokenizer, self.network, self.config, self.surfaces = tokenizer, network, config, surfaces
        self.body, self.questions = body, questions

    def images(self, examples: Sequence[Example]) -> np.ndarray:
        """Pictures as the image tower takes them, or features as they are.

        Raises:
          InputError: pictures, but the network has no image tower, or features of another width.
        """
        first = examples[0].image
        if first.ndim == 2:
            if first.shape[1] != self.network.image_width:
                raise InputError(f"features have {first.shape[1]} channels, the network {self.network.image_width}")
            return np.stack([example.image for example in examples]).astype(np.float32)
        if self.network.vision is None:
            raise InputError("the network has no image tower: give it one (--vision), or features of patches")
        side = self.network.vision.image
        return np.stack([np.asarray(clip.normalise(clip.crop(example.image, side))) for example in examples])

    def prompts(self, task: Task, examples: Sequence[Example], rngs: Sequence[np.random.Generator] | None) -> Prompts:
        """Conversations; without `rngs` the first question of each kind and no answer."""
        if task == "vqa":
            return nets.make_dialogues(self.tokenizer, [e.turns for e in examples], length=self.config.length)
        asked, answers = [], []
        for number, example in enumerate(examples):
            rng = None if rngs is None else rngs[number]
            kind = self._kind(task, rng)
            question, answer = (0, 0) if rng is None else draw_numbers(rng)
            label = example.label if self.config.label else "object"
            asked.append(self.questions.ask(kind, label, question))
            if rng is not None:
                parts = self._parts(example) if kind == "human_parts" else ()
                answers.append(
                    self.questions.answer(
                        kind, label, self._token(task), parts=parts, affordance=example.affordance, number=answer
                    )
                )
        return nets.make_prompts(self.tokenizer, asked, answers or None, length=self.config.length)

    def _kind(self, task: Task, rng: np.random.Generator | None) -> str:
        if self.config.without == "question":
            return "image"
        if task == "human":
            plain = self.config.parts == "none" or self.body is None
            dropped = rng is not None and rng.random() < self.config.part_dropout
            return "human_simple" if plain or dropped else "human_parts"
        return "object_afford" if task == "affordance" and self.config.affordances else "object_simple"

    def _parts(self, example: Example) -> tuple[str, ...]:
        return parts_in_words(self.body, example.contact, coarse=self.config.parts == "coarse")

    def _token(self, task: Task) -> str:
        config = self.network
        number = config.contact if config.human is None else (config.human if task == "human" else config.object)
        names = [name for name in ("[SEG]", "[HSEG]", "[OSEG]", "[ISEG]") if self._id(name) == number]
        if not names:
            raise InputError(f"the tokenizer calls no contact token {number}, which the network has for {task}")
        return names[0]

    def _id(self, name: str) -> int | None:
        try:
            return self.tokenizer.id_of(name)
        except InputError:
            return None

    def batch(
        self, task: Task, examples: Sequence[Example], rngs: Sequence[np.random.Generator] | None = None
    ) -> ContactBatch:
        """A batch of one task.

        Args:
          task: which.
          examples: of it.
          rngs: sources of chance for templates, one for each; None: questions without answers, to be evaluated.

        Raises:
          InputError: labels that do not fit the surface.
        """
        images, prompts = self.images(examples), self.prompts(task, examples, rngs)
        if task == "vqa":
            return ContactBatch(images, prompts)
        if task == "human":
            if self.surfaces.body is None:
                raise InputError("contact on a body wants a body model")
            count = len(self.surfaces.body.surface.lift.visible)
            for example in examples:
                if example.contact is None or len(example.contact) != count:
                    given = "no" if example.contact is None else len(example.contact)
                    raise InputError(
                        f"{example.key}: {given} labels, the body has {count} vertices; give its body model"
                    )
            return ContactBatch(images, prompts, np.stack([e.contact for e in examples]).astype(np.float32))
        canvas, contact = self.surfaces.objects(examples)
        return ContactBatch(images, prompts, contact, canvas)


def batches(mixture: Mixture, encoder: Encoder, batch: int) -> Callable[[int], Iterator[ContactBatch]]:
    """Batches of this process from a step on."""
    count = batch // jax.process_count()
    first = count * jax.process_index()

    def from_step(step: int) -> Iterator[ContactBatch]:
        while True:
            examples = mixture.examples(step, batch, first, count)
            rngs = [mixture.random(step, first + row, use=3) for row in range(count)]
            yield encoder.batch(mixture.group(step).task, examples, rngs)
            step += 1

    return from_step
