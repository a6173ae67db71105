"""The protocol of win shares on two folders of results, against a server that sees their pictures."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from hoijax.experiments.command import run_command
from hoijax.experiments.hoi3dgen import judge, tables
from hoijax.systems.hoi3dgen.layout import Prompt, RunFolder, picture_index, write_picture, write_prompts

PROMPTS = ("A man holds a box.", "A woman kicks a ball.", "A man sits.", "A woman waves.")


def fill(run, number, value):
    for view in range(3):
        write_picture(run.place("images", picture_index(number, view)), np.full((4, 4, 3), value + view, np.uint8))


@pytest.fixture
def folders(tmp_path):
    """Ours as `generate` writes it, a folder for each prompt, and brighter; theirs in one run, with one prompt more."""
    for i, prompt in enumerate(PROMPTS[:3]):
        run = RunFolder(tmp_path / f"ours/{i}/run")
        fill(run, 0, 200)
        write_prompts(run.root / "prompts.csv", [Prompt(prompt)])
    theirs = RunFolder(tmp_path / "theirs")
    for number in range(4):
        fill(theirs, number, 100)
    write_prompts(theirs.root / "prompts.csv", [Prompt(prompt) for prompt in reversed(PROMPTS)])
    # Renders of the mesh stand for the pictures that it was made of: of eight, those before the person.
    for view in range(8):
        write_picture(theirs.place("render", 9) / f"{view:03d}.png", np.full((4, 4, 3), 10 * view, np.uint8))
        write_picture(theirs.place("render", 9) / f"{view:03d}_depth.png", np.zeros((4, 4, 3), np.uint8))
    return tmp_path


def shown(body):
    """The text of a question and the red of its pictures."""
    text, *images = body["messages"][-1]["content"]
    data = [base64.b64decode(image["image_url"]["url"].partition(",")[2]) for image in images]
    return text["text"], [Image.open(io.BytesIO(file)).getpixel((0, 0))[0] for file in data]


def run(root, *options):
    methods = [f"{name}={root / name}" for name in ("ours", "theirs")]
    return run_command(judge.main, judge.Config, ["--folders", *methods, "--out", str(root / "judge.json"), *options])


def brighter(body):
    text, values = shown(body)
    if "looks best" in text:
        return "Neither; I cannot compare pictures of people." if "kicks" in text else "C"
    return f"The answer is {'AB'[int(np.mean(values[:3]) < np.mean(values[3:]))]}."


def test_two_folders_of_results_are_compared_and_kept_answers_say_the_same(folders, chat_server, capsys):
    with chat_server(brighter) as (url, requests):
        found = run(folders, "--llm", "eyes", "--llm-url", url, "--transcript", str(folders / "said.json"))
    assert found == json.loads((folders / "judge.json").read_text()) | {"shares": found["shares"]}
    assert found["prompts"] == list(PROMPTS[:3]) and found["judge"] == "eyes"
    assert found["votes"]["ours"] == {"text": 6, "quality": 0} and found["votes"]["theirs"]["text"] == 0
    assert found["undecided"] == {"text": 0, "quality": 6}  # refused in words, or a letter that nobody has
    # Each question stands for both orders; answers that name nobody are asked for three times.
    assert len(requests) == 3 * 2 + 3 * 2 * 3
    seen = [shown(body) for body in requests[:6]]
    assert [text.splitlines()[0] for text, _ in seen[::2]] == [f"Description: {prompt}" for prompt in PROMPTS[:3]]
    assert sorted(values for text, values in seen if "kicks" in text) == [
        [100, 101, 102, 200, 201, 202], [200, 201, 202, 100, 101, 102],
    ]  # fmt: skip
    assert sorted(values for text, values in seen if "holds" in text)[0] == [0, 70, 10, 200, 201, 202]
    assert "ours: text 1.00, quality nan (3 prompts)" in capsys.readouterr().out
    again = run(folders, "--transcript", str(folders / "said.json"))
    assert again["votes"] == found["votes"] and again["undecided"] == found["undecided"]


def test_the_tables_take_the_shares(tmp_path):
    shares = {"compose": {"text": 2 / 3, "quality": None}, "theirs": {"text": 1 / 3, "quality": None}}
    (tmp_path / "hoi3dgen_judge.json").write_text(json.dumps({"shares": shares}))
    tables.main(tables.Config(results=tmp_path, out=tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    assert f"shapes that ship | 0.67 | {tables.ABSENT} | {tables.ABSENT} |" in page


def test_a_server_that_is_gone_ends_with_a_message_and_keeps_what_was_said(folders, chat_server, capsys):
    left = [3]

    def goes(body):
        left[0] -= 1
        return brighter(body) if left[0] >= 0 else 401

    with chat_server(goes) as (url, _), pytest.raises(SystemExit) as stopped:
        run(folders, "--llm", "eyes", "--llm-url", url, "--transcript", str(folders / "said.json"))
    assert stopped.value.code == 2 and "status 401" in capsys.readouterr().err
    assert not (folders / "judge.json").exists() and "The answer is" in (folders / "said.json").read_text()


@pytest.mark.parametrize(("options", "said"), [
    (["--folders", "a=x"], "wanted --folders NAME=FOLDER"), (["--folders", "a=x", "y", "--llm", "m"], "NAME=FOLDER"),
    (["--folders", "a=x", "a=y", "--llm", "m"], "one name"), (["--folders", "a=x", "b=y"], "somebody must judge"),
    (["--folders", "a=x", "b=y", "--llm", "m"], "x holds no results"),
])  # fmt: skip
def test_what_cannot_be_compared_is_told(options, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_command(judge.main, judge.Config, options)
    assert stopped.value.code == 2 and said in capsys.readouterr().err


def test_results_that_do_not_fit_are_refused(folders, chat_server, capsys):
    write_prompts(folders / "theirs/prompts.csv", [Prompt("Something else.")])
    with pytest.raises(SystemExit):
        run(folders, "--llm", "eyes", "--llm-url", "http://127.0.0.1:9/v1")
    assert "no prompt in common" in capsys.readouterr().err
    (folders / "ours/1/run/images/0001.png").unlink()
    with pytest.raises(SystemExit):
        run(folders, "--llm", "eyes", "--llm-url", "http://127.0.0.1:9/v1")
    assert "0001.png" in capsys.readouterr().err
