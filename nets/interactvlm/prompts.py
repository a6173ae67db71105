"""What a vision-language model reads: a conversation about an image as ids, and ids and patches as one sequence."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int

from hoijax.errors import InputError
from hoijax.language import Tokenizer

ArrayLike = jax.Array | np.ndarray

IMAGE = -200
"""Stands for an image among ids."""
IGNORED = -100
"""Label of what is not to be predicted."""
PLACE = "<image>"
SYSTEM = "A person asks an assistant about a picture. The assistant looks at it and answers helpfully and exactly."
"""Our first sentence of a conversation. Published weights were trained with another one (docs/interactvlm.md)."""


def conversation(question: str, answer: str | None = None, system: str = SYSTEM) -> str:
    """A question about an image and, where it is known, the answer, as LLaVA's first version was trained."""
    text = f"{system} USER: <im_start>{PLACE}<im_end>\n{question} ASSISTANT:"
    return text if answer is None else f"{text} {answer}</s>"


def dialogue(turns: Sequence[tuple[str, str]], system: str = SYSTEM) -> list[tuple[str, str]]:
    """A conversation of several questions and answers: for each turn the text up to its answer, and with it."""
    found, text = [], ""
    for number, (question, answer) in enumerate(turns):
        asked = conversation(question, system=system) if not number else f"{text}USER: {question} ASSISTANT:"
        text = f"{asked} {answer}</s>"
        found.append((asked, text))
    return found


def prompt_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a text with one `<image>`, which becomes `IMAGE`.

    Raises:
      InputError: none, or several.
    """
    parts = text.split(PLACE)
    if len(parts) != 2:
        raise InputError(f"a prompt holds {PLACE} once, this one {len(parts) - 1} times: {text[:60]!r}")
    first, second = (tokenizer.encode(part) for part in parts)
    start = len(tokenizer.encode(""))  # what begins every text
    return [*first, IMAGE, *second[start:]]


@struct.dataclass
class Prompts:
    """Conversations, filled up behind their ends."""

    ids: Int[ArrayLike, "B L"]
    """With `IMAGE` once each."""
    lengths: Int[ArrayLike, "B"]
    """Tokens of each, the image counted as one."""
    labels: Int[ArrayLike, "B L"]
    """Ids of the answer, `IGNORED` elsewhere."""


def make_prompts(
    tokenizer: Tokenizer,
    questions: Sequence[str],
    answers: Sequence[str | None] | None = None,
    *,
    length: int = 257,
    system: str = SYSTEM,
) -> Prompts:
    """Conversations as ids.

    Args:
      tokenizer: of the language model, with its special tokens.
      questions: one for each image.
      answers: what is to be said; None: to be found.
      length: of the arrays; the published networks were trained with 257.
      system: the sentence that begins a conversation.

    Raises:
      InputError: a conversation is longer, or holds `<image>` itself.
    """
    answers = [None] * len(questions) if answers is None else list(answers)
    rows = [
        [(conversation(question, system=system), conversation(question, answer, system))]
        for question, answer in zip(questions, answers, strict=True)
    ]
    return _prompts(tokenizer, rows, length, [answer is not None for answer in answers])


def make_dialogues(
    tokenizer: Tokenizer, dialogues: Sequence[Sequence[tuple[str, str]]], *, length: int = 257, system: str = SYSTEM
) -> Prompts:
    """Conversations of several turns as ids; every answer is labelled, and the last turns that do not fit are left out.

    Args:
      tokenizer: of the language model.
      dialogues: questions and answers about one image each.
      length: of the arrays.
      system: the sentence that begins a conversation.

    Raises:
      InputError: not even the first turn fits, or there is none.
    """
    if not all(dialogues):
        raise InputError("a conversation has one question and answer at least")
    rows = []
    for turns in dialogues:
        texts = dialogue(turns, system)
        fit = [len(prompt_ids(tokenizer, whole)) <= length for _, whole in texts]
        rows.append(texts[: max(sum(fit), 1)])
    return _prompts(tokenizer, rows, length, [True] * len(rows))


def _prompts(
    tokenizer: Tokenizer, rows: Sequence[Sequence[tuple[str, str]]], length: int, labelled: Sequence[bool]
) -> Prompts:
    """Texts up to each answer and with it as ids."""
    ids, labels = np.zeros((len(rows), length), np.int32), np.full((len(rows), length), IGNORED, np.int32)
    lengths = np.zeros(len(rows), np.int32)
    for i, (turns, labels_it) in enumerate(zip(rows, labelled, strict=True)):
        whole = prompt_ids(tokenizer, turns[-1][1])
        if len(whole) > length:
            raise InputError(
                f"a conversation has {len(whole)} tokens, at most {length} are read: {turns[0][0][-60:]!r}"
            )
        ids[i, : len(whole)], lengths[i] = whole, len(whole)
        for asked, answered in turns if labels_it else ():
            first, last = (len(prompt_ids(tokenizer, text)) for text in (asked, answered))
            labels[i, first:last] = whole[first:last]
    return Prompts(ids, lengths, labels)


@struct.dataclass
class Merged:
    """Texts and images as one sequence of P - 1 more tokens."""

    embeddings: Float[ArrayLike, "B T W"]
    """Of what stands at each place."""
    lengths: Int[ArrayLike, "B"]
    """Places of each sequence."""
    labels: Int[ArrayLike, "B T"]
    """`IGNORED` at the image's places."""
    contact: Int[ArrayLike, "B"]
    """Place whose state the first contact token behind the image is read off: the one before it."""
    found: Bool[ArrayLike, "B"]
    """Whether there is one."""
    token: Int[ArrayLike, "B"]
    """Its id; 0 where there is none."""


def merge(
    prompts: Prompts,
    words: Float[ArrayLike, "B L W"],
    patches: Float[ArrayLike, "B P W"],
    tokens: tuple[int, ...],
) -> Merged:
    """Puts the patches of its image in the place of each prompt's `IMAGE`; shapes do not depend on where that is.

    Args:
      prompts: ids and their number.
      words: embeddings of the ids; anything at `IMAGE`.
      patches: embeddings of the images.
      tokens: ids of contact tokens.
    """
    ids, words, patches = (jnp.asarray(x) for x in (prompts.ids, words, patches))
    lengths, labels = jnp.asarray(prompts.lengths), jnp.asarray(prompts.labels)
    more = patches.shape[1] - 1
    place = jnp.arange(ids.shape[1] + more, dtype=ids.dtype)[None]
    at = jnp.argmax(ids == IMAGE, axis=1).astype(ids.dtype)[:, None]
    of_image = (place >= at) & (place <= at + more)
    behind = jnp.clip(jnp.where(place < at, place, place - more), 0, ids.shape[1] - 1)
    among = jnp.clip(place - at, 0, more)
    text = jnp.take_along_axis(words, behind[..., None], axis=1)
    image = jnp.take_along_axis(patches, among[..., None], axis=1).astype(words.dtype)
    embeddings = jnp.where(jnp.broadcast_to(of_image[..., None], text.shape), image, text)
    spread = jnp.where(of_image, IGNORED, jnp.take_along_axis(labels, behind, axis=1))
    index = jnp.arange(ids.shape[1], dtype=ids.dtype)[None]
    is_contact = jnp.isin(ids, jnp.asarray(tokens, ids.dtype)) & (index > at) & (index < lengths[:, None])
    first = jnp.argmax(is_contact, axis=1)
    found = jnp.any(is_contact, axis=1)
    token = jnp.where(found, jnp.take_along_axis(ids, first[:, None], axis=1)[:, 0], 0)
    return Merged(embeddings, lengths + more, spread, first + more - 1, found, token)


def next_token_loss(logits: Float[ArrayLike, "B T V"], labels: Int[ArrayLike, "B T"]) -> Float[jax.Array, ""]:
    """Mean cross-entropy of what comes next, over the places whose next label is not `IGNORED`; zero without any."""
    logits, labels = jnp.asarray(logits)[:, :-1], jnp.asarray(labels)[:, 1:]
    logits = logits.astype(np.promote_types(logits.dtype, np.float32))
    counts = labels != IGNORED
    chosen = jnp.take_along_axis(logits, jnp.where(counts, labels, 0)[..., None], axis=-1)[..., 0]
    loss = jnp.where(counts, jax.nn.logsumexp(logits, axis=-1) - chosen, 0)
    return jnp.sum(loss) / jnp.maximum(jnp.sum(counts), 1).astype(loss.dtype)
