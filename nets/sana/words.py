"""Whole words as tokens, for text encoders that know few of them."""

import re
from collections.abc import Iterable

from hoijax.errors import InputError

PAD, BEGIN = 0, 1
"""Behind a text, before it."""
_WORD = re.compile(r"[a-z-]+|[^a-z\s]")


def words_of(text: str) -> list[str]:
    """The words and marks of a text, in small letters."""
    return _WORD.findall(text.lower())


class WordTokenizer:
    """A number for each word (`hoijax.nets.sana.Tokenizer`).

    Args:
      words: that are known; the first is token 2.
    """

    def __init__(self, words: Iterable[str]):
        self.words = tuple(words)
        self._ids = {word: i + 2 for i, word in enumerate(self.words)}

    def __len__(self) -> int:
        """Tokens there are."""
        return len(self.words) + 2

    def encode(self, text: str) -> list[int]:
        """Ids with the one that begins a text.

        Raises:
          InputError: a word is not known.
        """
        found = words_of(text)
        unknown = sorted({word for word in found if word not in self._ids})
        if unknown:
            raise InputError(
                f"the text encoder does not know {', '.join(map(repr, unknown))}; its words are "
                f"{' '.join(word for word in self.words if word[0].isalpha())}"
            )
        return [BEGIN, *(self._ids[word] for word in found)]
