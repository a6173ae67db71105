"""Win shares of methods by a judge that sees their pictures: the paper's GPT scores, which add up to one in each pool.

The paper's own protocol is not published. Here every prompt is judged in rotated orders: with as many trials as methods
each stands once in every place, so that a judge who prefers a place gives every method the same.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from hoijax.errors import InputError
from hoijax.language import LanguageError, LanguageModel, Message, option_in

ASKS = 3
"""Times that a question is put before it stays without an answer."""
MOST = 26
"""Candidates of a question, which are called A to Z."""
CRITERIA: dict[str, str] = {
    "text": "Which of them shows best what the description says: the person, the object, what is done, and which parts "
    "of the body touch the object?",
    "quality": "Which of them looks best: whole, natural bodies and objects, clean surfaces, no part inside another?",
}
"""What is judged."""


@runtime_checkable
class Judge(Protocol):
    """Chooses the best of some candidates."""

    def choose(self, prompt: str, renders: Sequence[Sequence[bytes]], *, seed: int = 0) -> int | None:
        """Index of the best candidate; None: no answer.

        Args:
          prompt: what all of them should show.
          renders: of each candidate its pictures, PNG or JPEG files.
          seed: tells trials apart.
        """
        ...


@dataclasses.dataclass(frozen=True)
class ModelJudge:
    """A language model that sees pictures."""

    model: LanguageModel
    criterion: Literal["text", "quality"] = "text"
    """Of `CRITERIA`."""

    def choose(self, prompt: str, renders: Sequence[Sequence[bytes]], *, seed: int = 0) -> int | None:
        """See `Judge.choose`.

        Raises:
          InputError: no candidates, or more than `MOST`; the model cannot be asked.
        """
        if not 1 <= len(renders) <= MOST or not all(renders):
            raise InputError(f"a judge compares 1 to {MOST} candidates with pictures, got {[len(r) for r in renders]}")
        names = [chr(ord("A") + k) for k in range(len(renders))]
        shown = "; ".join(f"{name}: {len(pictures)} pictures" for name, pictures in zip(names, renders))
        question = (
            f"Description: {prompt}\nCandidates in the order of their pictures: {shown}. {CRITERIA[self.criterion]} "
            f"Answer with one letter: {', '.join(names)}."
        )
        images = tuple(picture for pictures in renders for picture in pictures)
        fault = ""
        for _ in range(ASKS):
            try:
                reply = self.model.reply([Message("user", question + fault, images)], seed=seed)
            except LanguageError as error:
                if error.fault in ("timeout", "unreachable", "refused", "unrecorded"):
                    raise
                continue
            found = option_in(reply, names) if len(reply.split()) < 30 else None
            if found is not None:
                return names.index(found)
            fault = "\nYour last answer named no candidate. Answer with the letter alone."
        return None


@dataclasses.dataclass(frozen=True)
class WinShares:
    """Who won how often."""

    shares: dict[str, float]
    """Method to share of the answers; they add up to one, or are all NaN without any answer."""
    votes: dict[str, int]
    undecided: int
    """Questions without an answer, which count for nobody."""


def win_shares(
    prompts: Sequence[str],
    candidates: Mapping[str, Sequence[Sequence[bytes]]],
    judge: Judge,
    *,
    trials: int | None = None,
    seed: int = 0,
) -> WinShares:
    """Shares of forced choices among methods; with two methods a comparison of pairs, once in each order.

    Args:
      prompts: what was asked of every method.
      candidates: method to its pictures of each prompt, in the prompts' order.
      judge: who chooses.
      trials: questions per prompt, each in another order; None: as many as methods.
      seed: of the orders and the judge.

    Raises:
      InputError: fewer than two methods, no prompts, or a method without pictures of each.
    """
    names = list(candidates)
    if len(names) < 2 or not prompts:
        raise InputError(f"win shares need two methods and a prompt, got {len(names)} and {len(prompts)}")
    for name, own in candidates.items():
        if len(own) != len(prompts):
            raise InputError(f"{name} has pictures of {len(own)} prompts, there are {len(prompts)}")
    trials = len(names) if trials is None else trials
    if trials < 1:
        raise InputError(f"wanted at least one trial, got {trials}")
    votes, undecided = dict.fromkeys(names, 0), 0
    for number, prompt in enumerate(prompts):
        # By name, so that the order in which methods are given changes nothing.
        first = np.random.default_rng([seed, number]).permutation(sorted(names)).tolist()
        for trial in range(trials):
            order = first[trial % len(first) :] + first[: trial % len(first)]
            best = judge.choose(prompt, [candidates[name][number] for name in order], seed=seed + trial)
            if best is None:
                undecided += 1
            else:
                votes[order[best]] += 1
    total = sum(votes.values())
    return WinShares({name: n / total if total else float("nan") for name, n in votes.items()}, votes, undecided)
