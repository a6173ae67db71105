"""Models on a server that speaks OpenAI's chat completions: the company's, vLLM, llama.cpp, Ollama, a proxy."""

import base64
import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import Any

from hoijax.errors import InputError
from hoijax.language.messages import LanguageError, Message, checked_reply, image_type


@dataclasses.dataclass(frozen=True)
class ServerModel:
    """A model behind an OpenAI-compatible server, through the package `openai` (extra `[llm]`).

    That package repeats calls that met a broken connection, a time-out, status 408, 409, 429 or 5xx, waiting longer
    each time.
    """

    model: str
    """The model's name on the server."""
    base_url: str | None = None
    """Such as "http://localhost:8000/v1"; None: OpenAI's own, or what the variable OPENAI_BASE_URL names."""
    api_key: str | None = dataclasses.field(default=None, repr=False)
    """None: the variable OPENAI_API_KEY for OpenAI's own server; for another none is sent that was not given here."""
    timeout: float = 60.0
    """Seconds that one try may take."""
    retries: int = 2
    """Tries after the first."""
    max_tokens: int = 2000
    """Tokens of one reply."""
    sampling: bool = True
    """Whether temperature and seed are sent; models that choose their own refuse them."""

    @property
    def name(self) -> str:
        """The model's name on the server."""
        return self.model

    def reply(self, messages: Sequence[Message], *, temperature: float = 0.0, seed: int = 0) -> str:
        """See `LanguageModel.reply`.

        Raises:
          InputError: the package `openai` is not installed.
          LanguageError: the server cannot be reached, is too slow, refuses, or sends no text.
        """
        openai, client = _client(self)
        where = f"the language model {self.model} at {client.base_url}"
        try:
            answer = client.chat.completions.create(
                model=self.model,
                messages=[_as_chat(message) for message in messages],
                # OpenAI has renamed the limit; other servers know the old name.
                **{"max_completion_tokens" if self.base_url is None else "max_tokens": self.max_tokens},
                **({"temperature": temperature, "seed": seed} if self.sampling else {}),
            )
            return checked_reply(answer.choices[0].message.content, where)
        except openai.APITimeoutError as error:
            raise LanguageError(
                "timeout", f"{where} did not answer within {self.timeout:g} s, {self.retries + 1} times"
            ) from error
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise LanguageError("unreachable", f"{where} cannot be reached: {_short(cause)}") from error
        except openai.APIStatusError as error:
            raise LanguageError(
                "refused", f"{where} answered with status {error.status_code}: {_short(error)}"
            ) from error
        except UnicodeDecodeError as error:
            raise LanguageError("not UTF-8", f"{where} sent bytes that are not UTF-8: {_short(error)}") from error
        except (openai.APIError, json.JSONDecodeError, AttributeError, IndexError, TypeError, RecursionError) as error:
            raise LanguageError(
                "malformed", f"{where} sent what is no chat completion: {type(error).__name__}: {_short(error)}"
            ) from error


@functools.lru_cache(maxsize=8)
def _client(server: ServerModel) -> tuple[Any, Any]:
    """The package and its client, one for each server so that connections are kept."""
    try:
        import openai
    except ImportError as error:
        raise InputError(
            f"the language model {server.model} is asked through the package openai, which is not installed; "
            "pip install 'hoijax[llm]'"
        ) from error
    key = server.api_key or (None if server.base_url is None else "none")
    try:
        return openai, openai.OpenAI(
            api_key=key, base_url=server.base_url, timeout=server.timeout, max_retries=server.retries
        )
    except openai.OpenAIError as error:
        raise InputError(f"no client for the language model {server.model}: {_short(error)}") from error


def _as_chat(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    pictures = [
        {
            "type": "image_url",
            "image_url": {"url": f"data:image/{image_type(image)};base64,{base64.b64encode(image).decode()}"},
        }
        for image in message.images
    ]
    return {"role": message.role, "content": [{"type": "text", "text": message.text}, *pictures]}


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:200] + "..."
