"""Language models: what is sent, what comes back, and every way in which nothing does."""

import base64
import io
import json
import socket

import numpy as np
import pytest
from PIL import Image

from hoijax.errors import InputError
from hoijax.language import LanguageError, LanguageModel, Message, Recorder, Replay, ServerModel, encode_image
from hoijax.language.messages import LONGEST

ASKED = [Message("system", "Answer shortly."), Message("user", "Which way?")]


class Echo:
    """A model that counts its calls."""

    name = "echo"

    def __init__(self):
        self.calls = 0

    def reply(self, messages, *, temperature=0.0, seed=0):
        self.calls += 1
        return f"{self.calls}: {messages[-1].text}"


@pytest.fixture
def server(chat_server):
    pytest.importorskip("openai", reason="asking a server needs the package openai (extra llm)")
    return chat_server


def test_a_server_gets_the_dialogue_with_its_pictures_and_its_answer_comes_back(server):
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    turns = [*ASKED[:1], Message("user", "What is this?", (encode_image(picture),))]
    with server(lambda body: " Héllo ") as (url, requests):
        model = ServerModel("tiny", url, api_key="sesame", timeout=20)
        assert isinstance(model, LanguageModel) and model.name == "tiny"
        assert "sesame" not in repr(model)
        assert model.reply(turns, temperature=0.25, seed=7) == " Héllo "
        assert ServerModel("tiny", url).reply(ASKED) == " Héllo "
    first, second = requests
    assert first["path"] == "/v1/chat/completions" and first["key"] == "Bearer sesame"
    assert (first["model"], first["temperature"], first["seed"], first["max_tokens"]) == ("tiny", 0.25, 7, 2000)
    assert first["messages"][0] == {"role": "system", "content": "Answer shortly."}
    words, image = first["messages"][1]["content"]
    assert words == {"type": "text", "text": "What is this?"}
    start, _, data = image["image_url"]["url"].partition(",")
    assert start == "data:image/png;base64"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), picture)
    assert second["messages"] == [{"role": m.role, "content": m.text} for m in ASKED]


def test_another_server_is_never_sent_the_key_of_the_environment(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-of-the-company")
    with server(lambda body: "yes") as (url, requests):
        ServerModel("tiny", url).reply(ASKED)
    assert requests[0]["key"] == "Bearer none"


def test_openai_itself_gets_its_key_and_the_names_of_today(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-company")
    with server(lambda body: "yes") as (url, requests):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        ServerModel("tiny", sampling=False, max_tokens=77).reply(ASKED, temperature=0.5)
    assert requests[0]["key"] == "Bearer of-the-company" and requests[0]["max_completion_tokens"] == 77
    assert not {"temperature", "seed", "max_tokens"} & set(requests[0])


COMPLETION = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
HOSTILE = {
    "status 500": (500, "refused", "status 500"),
    "status 404": (404, "refused", "status 404"),
    "too slow": (1.5, "timeout", "within 0.4 s, 1 times"),
    "empty": ("  \n", "empty", "empty reply"),
    "enormous": ("x" * (LONGEST + 1), "enormous", "100,001 characters"),
    "lone surrogate": (
        b'{"choices": [{"message": {"role": "assistant", "content": "a\\ud800"}}]}',
        "not UTF-8",
        "at 1",
    ),
    "latin-1": (b'{"choices": [{"message": {"role": "assistant", "content": "caf\xe9"}}]}', "not UTF-8", "not UTF-8"),
    "no JSON": (b"<html>busy</html>", "malformed", "no chat completion"),
    "a list": (b"[1, 2]", "malformed", "no chat completion"),
    "no choices": (json.dumps({**COMPLETION, "choices": []}).encode(), "malformed", "no chat completion"),
    "null choices": (json.dumps({**COMPLETION, "choices": None}).encode(), "malformed", "no chat completion"),
    "null text": (b'{"choices": [{"message": {"role": "assistant", "content": null}}]}', "malformed", "without text"),
    "deep": (b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "malformed", "no chat completion"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_wrong_with_a_server_is_named(case, server):
    given, fault, words = HOSTILE[case]
    with server(lambda body: given) as (url, requests):
        with pytest.raises(LanguageError, match=words) as caught:
            ServerModel("tiny", url, timeout=0.4 if case == "too slow" else 20.0, retries=0).reply(ASKED)
        assert caught.value.fault == fault and "tiny at http://127.0.0.1" in str(caught.value)
        assert len(requests) == 1 and len(str(caught.value)) < 500


def test_a_server_that_is_busy_is_asked_again(server):
    answers = iter([503, "now"])
    with server(lambda body: next(answers)) as (url, requests):
        assert ServerModel("tiny", url, retries=1).reply(ASKED) == "now"
    assert len(requests) == 2


def test_a_server_that_is_down_is_named(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(LanguageError, match=f"{port}.*cannot be reached") as caught:
        ServerModel("tiny", f"http://127.0.0.1:{port}/v1", retries=0).reply(ASKED)
    assert caught.value.fault == "unreachable"


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(InputError, match=r"pip install 'hoijax\[llm\]'"):
        ServerModel("tiny", "http://127.0.0.1:9/v1").reply(ASKED)


def test_openai_without_a_key_says_so(monkeypatch):
    pytest.importorskip("openai", reason="asking a server needs the package openai (extra llm)")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        ServerModel("gpt-of-nobody").reply(ASKED)


def test_what_was_recorded_is_said_again(tmp_path):
    recorder = Recorder(Echo())
    first, second = recorder.reply(ASKED), recorder.reply(ASKED)
    warm = recorder.reply(ASKED, temperature=0.7, seed=1)
    seen = recorder.reply([Message("user", "Which way?", (encode_image(np.zeros((2, 2, 3), np.uint8)),))])
    recorder.write(tmp_path / "said.json")
    replay = Replay.read(tmp_path / "said.json")
    assert replay.name == "echo" and isinstance(replay, LanguageModel)
    assert replay.reply(ASKED, temperature=0.7, seed=1) == warm
    assert [replay.reply(ASKED) for _ in range(3)] == [first, second, second]
    assert replay.reply([Message("user", "Which way?", (encode_image(np.zeros((2, 2, 3), np.uint8)),))]) == seen
    assert Replay.of(recorder).reply(ASKED) == first
    other = [Message("user", "Which way?", (encode_image(np.ones((2, 2, 3), np.uint8)),))]
    for asked, settings in ((other, {}), (ASKED[1:], {}), (ASKED, {"seed": 5}), (ASKED, {"temperature": 0.7})):
        with pytest.raises(LanguageError, match=r"said.json holds no reply.*Which way\?.*record it again") as caught:
            replay.reply(asked, **settings)
        assert caught.value.fault == "unrecorded"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a transcript"),
        (b'{"format": "other"}', "not a transcript"),
        (b'{"format": "hoijax transcript 1", "model": 3, "exchanges": []}', "'model', a text"),
        (b'{"format": "hoijax transcript 1", "model": "m", "exchanges": [{"reply": "x"}]}', "exchange 0 lacks"),
        (
            b'{"format": "hoijax transcript 1", "model": "m", "exchanges": '
            b'[{"messages": [], "temperature": 0, "seed": 0, "reply": 3}]}',
            "exchange 0 sent a reply without text",
        ),
    ],
)
def test_a_broken_transcript_says_where(content, words, tmp_path):
    path = tmp_path / "said.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"said.json.*{words}"):
        Replay.read(path)


def test_messages_that_nobody_could_send_are_refused(tmp_path):
    with pytest.raises(InputError, match="got 'robot'"):
        Message("robot", "hello")
    with pytest.raises(InputError, match="picture 0 .* neither PNG nor JPEG"):
        Message("user", "look", (b"GIF89a",))
    with pytest.raises(InputError, match="cannot be read"):
        Replay.read(tmp_path / "none.json")
