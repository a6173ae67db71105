"""A tokenizer of whole words, for small language models that know one kind of sentence."""

import re
from collections.abc import Iterable, Sequence

from hoijax.errors import InputError

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
"""The first three ids, as in LLaMA's vocabulary; the unknown word also fills up."""


class WordTokenizer:
    """Words and punctuation marks in lower case, each one id; a text begins with `<s>`.

    Args:
      words: the vocabulary; ids count from behind the special tokens, in this order.
      special: tokens that are found in a text as they are written, such as "[SEG]".

    Raises:
      InputError: a word twice, or one that no text gives.
    """

    def __init__(self, words: Sequence[str], special: Sequence[str] = ()):
        self.words, self.special = tuple(words), tuple(special)
        kept = (UNKNOWN, BEGIN, END, *self.special)
        odd = [word for word in self.words if split_words(word) != [word]]
        if odd:
            raise InputError(f"no words of lower case without spaces: {', '.join(map(repr, odd[:5]))}")
        self._names = (*kept, *self.words)
        self._ids = {name: i for i, name in enumerate(self._names)}
        if len(self._ids) != len(self._names):
            raise InputError("a word, or a special token, is in the vocabulary twice")
        self._found = re.compile(f"({'|'.join(map(re.escape, sorted(kept, key=len, reverse=True)))})")
        self._kept = frozenset(kept)

    @classmethod
    def of_texts(cls, texts: Iterable[str], special: Sequence[str] = ()) -> "WordTokenizer":
        """The words of some texts, in the order of the alphabet; special tokens in them are no words."""
        cut = cls((), special)._found
        return cls(
            sorted({w for text in texts for part in cut.sub(" ", text).split() for w in split_words(part)}), special
        )

    def __len__(self) -> int:
        """Ids."""
        return len(self._names)

    def encode(self, text: str) -> list[int]:
        """Ids, that of `<s>` first; of a word that is not known that of `<unk>`."""
        ids = [self._ids[BEGIN]]
        for part in self._found.split(text):
            found = [part] if part in self._kept else split_words(part)
            ids += [self._ids.get(word, self._ids[UNKNOWN]) for word in found]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Words with spaces between, without special tokens."""
        names = (self._names[int(i)] for i in ids)
        return " ".join(name for name in names if name not in self._kept)

    def id_of(self, token: str) -> int:
        """Id of one token.

        Raises:
          InputError: no such token.
        """
        if token not in self._ids:
            raise InputError(f"the vocabulary of {len(self)} words has no {token!r}")
        return self._ids[token]


def split_words(text: str) -> list[str]:
    """Words and punctuation marks of a text in lower case."""
    return re.findall(r"\w+|[^\w\s]", text.lower())
