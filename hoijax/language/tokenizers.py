"""Texts to ids and back, by the user's own file: Hugging Face's `tokenizer.json` or sentencepiece's `tokenizer.model`.

Needs the packages `tokenizers` or `sentencepiece` (extra [vlm]).
"""

import importlib
import pathlib
import re
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from hoijax.errors import InputError
from hoijax.io.files import PathLike
from hoijax.io.reading import existing_file, read_json

LARGEST_ADDED = 4 << 20
"""Bytes of an `added_tokens.json` that are read."""


@runtime_checkable
class Tokenizer(Protocol):
    """What makes ids of a text."""

    def encode(self, text: str) -> list[int]:
        """Ids, with those that begin and end a text where the file says so."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""

    def id_of(self, token: str) -> int:
        """Id of one token.

        Raises:
          InputError: no such token.
        """


class HuggingFaceTokenizer:
    """Of a `tokenizer.json`.

    Args:
      path: the file.
      added: special tokens to add behind those there are, in this order; those that are known stay.

    Raises:
      InputError: no such file, or a damaged one.
    """

    def __init__(self, path: PathLike, added: Sequence[str] = ()):
        library = _package("tokenizers")
        try:
            self._tokenizer = library.Tokenizer.from_file(str(existing_file(path, "tokenizer")))
        except InputError:
            raise
        except Exception as error:  # the library raises Exception itself
            raise InputError(f"cannot read a tokenizer from {path}: {error}") from error
        self.path = pathlib.Path(path)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.add_special_tokens(list(added))

    def encode(self, text: str) -> list[int]:
        """Ids, with those that begin and end a text where the file says so."""
        return self._tokenizer.encode(text).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        return self._tokenizer.decode([int(i) for i in ids])

    def id_of(self, token: str) -> int:
        """Id of one token.

        Raises:
          InputError: no such token.
        """
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise _unknown(token, self.path)
        return number


class SentencePieceTokenizer:
    """Of a `tokenizer.model`, as LLaMA's first tokenizer reads it: `<s>` begins a text, and so does what follows a
    special token.

    Args:
      path: the file.
      added: special tokens to add behind its own, in this order.

    Raises:
      InputError: no such file, or a damaged one.
    """

    def __init__(self, path: PathLike, added: Sequence[str] = ()):
        library = _package("sentencepiece")
        self.path = existing_file(path, "tokenizer")
        try:
            self._model = library.SentencePieceProcessor(model_file=str(self.path))
        except (RuntimeError, OSError) as error:
            raise InputError(f"cannot read a tokenizer from {path}: {error}") from error
        self.size = self._model.get_piece_size()
        self._added = {token: self.size + i for i, token in enumerate(dict.fromkeys(added))}
        kept = [self._model.id_to_piece(i) for i in (self._model.bos_id(), self._model.eos_id()) if i >= 0]
        self._special = {token: self._model.piece_to_id(token) for token in kept} | self._added

    def encode(self, text: str) -> list[int]:
        """Ids that begin with that of a text's beginning."""
        ids = [self._model.bos_id()]
        names = sorted(self._special, key=len, reverse=True)
        for part in re.split(f"({'|'.join(map(re.escape, names))})", text):
            if part in self._special:
                ids.append(self._special[part])
            elif part:
                ids += self._model.encode(part)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        special = set(self._special.values())
        return self._model.decode([int(i) for i in ids if int(i) not in special])

    def id_of(self, token: str) -> int:
        """Id of one token.

        Raises:
          InputError: no such token.
        """
        if token in self._special:
            return self._special[token]
        number = self._model.piece_to_id(token)
        if number == self._model.unk_id() and token != self._model.id_to_piece(number):
            raise _unknown(token, self.path)
        return number


def load_tokenizer(path: PathLike, added: Sequence[str] = ()) -> Tokenizer:
    """The tokenizer of a file, or of a folder with `tokenizer.json` or `tokenizer.model`.

    Args:
      path: which.
      added: special tokens that the file lacks, in the order of their ids; `added_tokens.json` beside it is read too.

    Raises:
      InputError: nothing there, a damaged file, or a package is missing.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        found = [path / name for name in ("tokenizer.json", "tokenizer.model") if (path / name).is_file()]
        if not found:
            raise InputError(f"the folder {path} holds neither tokenizer.json nor tokenizer.model")
        path = found[0]
    if path.suffix == ".json":
        return HuggingFaceTokenizer(path, added)
    if path.suffix == ".model":
        return SentencePieceTokenizer(path, [*_added_beside(path), *added])
    raise InputError(f"a tokenizer is a tokenizer.json or a tokenizer.model, got {path}")


def _added_beside(path: pathlib.Path) -> list[str]:
    """Tokens of the `added_tokens.json` beside a `tokenizer.model`, by their ids, which follow those of the model.

    Raises:
      InputError: ids that are no numbers, or that leave some out.
    """
    beside = path.parent / "added_tokens.json"
    if not beside.is_file():
        return []
    numbers, own = read_json(beside, limit=LARGEST_ADDED), SentencePieceTokenizer(path).size
    if not all(isinstance(number, int) for number in numbers.values()):
        raise InputError(f"{beside} gives tokens ids that are no whole numbers")
    names = sorted((name for name, number in numbers.items() if number >= own), key=numbers.get)
    if [numbers[name] for name in names] != list(range(own, own + len(names))):
        given = ", ".join(str(numbers[name]) for name in names[:8])
        raise InputError(f"{beside} gives the ids {given}; wanted each from {own} on, where {path.name} ends")
    return names


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"reading a tokenizer needs the package {name}: pip install hoijax[vlm]") from error


def _unknown(token: str, path: pathlib.Path) -> InputError:
    return InputError(f"the tokenizer {path} has no token {token!r}")
