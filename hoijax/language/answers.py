"""Answers out of what models say around them."""

import json
import re
from collections.abc import Sequence
from typing import Any

TRIES = 50
"""Braces at which a JSON object may begin; beyond them a reply has none."""


def option_in(reply: str, options: Sequence[str]) -> str | None:
    """The option that a reply names: the reply itself, or else the first that stands in it as a word of its own.

    Case, punctuation, and the difference between spaces, hyphens and underscores do not count. Of options that begin at
    the same place the longest is meant. None: the reply names no option.
    """
    spoken = {_plain(option): option for option in options}
    text = _plain(reply)
    if text in spoken:
        return spoken[text]
    found = [(m.start(), -len(key)) for key in spoken if (m := re.search(rf"(?<!\w){re.escape(key)}(?!\w)", text))]
    if not found:
        return None
    start, length = min(found)
    return spoken[text[start : start - length]]


def first_json(reply: str) -> dict[str, Any] | None:
    """The first JSON object in a reply, whatever prose or code fence is round it; None: there is none.

    NaN and infinities are no JSON here, a key given twice neither.
    """
    decoder = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_unique)
    start = -1
    for _ in range(TRIES):
        start = reply.find("{", start + 1)
        if start < 0:
            return None
        try:
            value, _ = decoder.raw_decode(reply, start)
        except (ValueError, RecursionError):
            continue
        return value
    return None


def _plain(text: str) -> str:
    """Words alone: lower case, single spaces, no punctuation but what is inside a word."""
    return " ".join(re.sub(r"[^\w']|_", " ", text.lower()).split())


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)
