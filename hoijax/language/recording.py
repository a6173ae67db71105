"""Dialogues kept in a file: what a model said is recorded once and replayed wherever there is no model."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from hoijax.errors import InputError
from hoijax.language.messages import LanguageError, LanguageModel, Message, checked_reply

LARGEST = 256 << 20
"""Bytes of a transcript that is read."""
FORMAT = "hoijax transcript 1"
"""What a transcript's file says it is."""


@dataclasses.dataclass
class Recorder:
    """A model whose dialogues are kept."""

    model: LanguageModel
    exchanges: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """One for each reply: `messages` (role, text, digests of pictures), `temperature`, `seed`, `reply`."""

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    def reply(self, messages: Sequence[Message], *, temperature: float = 0.0, seed: int = 0) -> str:
        """See `LanguageModel.reply`."""
        text = self.model.reply(messages, temperature=temperature, seed=seed)
        asked = {"messages": [_as_json(m) for m in messages], "temperature": float(temperature), "seed": int(seed)}
        self.exchanges.append({**asked, "reply": text})
        return text

    def write(self, path: str | pathlib.Path) -> None:
        """Writes the transcript as JSON that `Replay.read` reads."""
        content = {"format": FORMAT, "model": self.name, "exchanges": self.exchanges}
        pathlib.Path(path).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclasses.dataclass
class Replay:
    """A model that says again what a transcript holds.

    The same dialogue with the same temperature and seed has the same reply; recorded several times, its replies come in
    their order, the last again and again.
    """

    name: str
    """The recorded model's."""
    replies: dict[str, list[str]]
    """By the digest of what was asked."""
    source: str = "the transcript"
    """What messages call it."""
    _next: dict[str, int] = dataclasses.field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, recorder: Recorder) -> "Replay":
        """What a recorder has heard."""
        return cls._build(recorder.name, recorder.exchanges, "the transcript")

    @classmethod
    def read(cls, path: str | pathlib.Path) -> "Replay":
        """Reads a transcript.

        Raises:
          InputError: no such file, larger than `LARGEST`, or not what `Recorder.write` writes; says where.
        """
        path = pathlib.Path(path)
        try:
            if path.stat().st_size > LARGEST:
                raise InputError(f"{path}: {path.stat().st_size:,} bytes; a transcript has at most {LARGEST:,}")
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 at byte {error.start}; wanted a transcript of hoijax") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not JSON: {error}; wanted a transcript of hoijax") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{path}: not a transcript of hoijax; wanted 'format': {FORMAT!r}")
        if not isinstance(content.get("model"), str) or not isinstance(content.get("exchanges"), list):
            raise InputError(f"{path}: a transcript has 'model', a text, and 'exchanges', a list")
        return cls._build(content["model"], content["exchanges"], str(path))

    @classmethod
    def _build(cls, name: str, exchanges: list[Any], source: str) -> "Replay":
        replies: dict[str, list[str]] = {}
        for number, exchange in enumerate(exchanges):
            if not isinstance(exchange, dict) or {"messages", "temperature", "seed", "reply"} - exchange.keys():
                raise InputError(f"{source}: exchange {number} lacks one of messages, temperature, seed, reply")
            try:
                text = checked_reply(exchange["reply"], f"{source}, exchange {number}")
            except LanguageError as error:
                raise InputError(str(error)) from error
            replies.setdefault(_digest(exchange), []).append(text)
        return cls(name, replies, source)

    def reply(self, messages: Sequence[Message], *, temperature: float = 0.0, seed: int = 0) -> str:
        """See `LanguageModel.reply`.

        Raises:
          LanguageError: the transcript does not hold this dialogue.
        """
        asked = {"messages": [_as_json(m) for m in messages], "temperature": float(temperature), "seed": int(seed)}
        key = _digest(asked)
        if key not in self.replies:
            last = messages[-1].text if messages else ""
            raise LanguageError(
                "unrecorded",
                f"{self.source} holds no reply to this dialogue of {len(messages)} turns (temperature {temperature:g}, "
                f"seed {seed}), which ends with: {last[-200:]!r}; record it again",
            )
        number = self._next.get(key, 0)
        self._next[key] = number + 1
        return self.replies[key][min(number, len(self.replies[key]) - 1)]


def _as_json(message: Message) -> dict[str, Any]:
    images = [hashlib.sha256(image).hexdigest() for image in message.images]
    return {"role": message.role, "text": message.text, "images": images}


def _digest(exchange: dict[str, Any]) -> str:
    asked = {key: exchange[key] for key in ("messages", "temperature", "seed")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
