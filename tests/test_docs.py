"""What README and docs show is what hoijax does: commands parse, Python blocks run."""

import importlib
import pathlib
import re
import shlex

import pytest
import tyro

from hoijax import cli

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: pathlib.Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page: pathlib.Path) -> list[list[str]]:
    """The words of each `hoijax ...` of a page's shell blocks."""
    found = []
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for separator in ("&&", "|", ">"):
                words = words[: words.index(separator)] if separator in words else words
            if words[:1] == ["hoijax"] and words[1:2] != ["VERB"]:
                found.append(words[1:])
    return found


LEFT_OUT = {"refine": "--body b.npz --object o.obj --out out", "reconstruct": "--image i.jpg --object o.obj --out out"}
"""What a page's `...` stands for."""
SHOWN = [(page.name, words) for page in PAGES for words in commands(page)]


def test_there_are_commands_to_look_at():
    assert len(SHOWN) > 50
    assert {words[0] for _, words in SHOWN} >= set(cli.VERBS) - {"demo"}


@pytest.mark.parametrize(("page", "words"), SHOWN, ids=[f"{page}:{' '.join(words)[:60]}" for page, words in SHOWN])
def test_a_command_that_is_shown_has_options_that_exist(page, words, capsys):
    module = importlib.import_module(cli.VERBS[words[0]].module)
    rest = [word for word in words[1:] if word not in (cli.NO_CACHE, "...")]
    rest += LEFT_OUT[words[0]].split() if "..." in words else []
    try:
        tyro.cli(module.Options, args=rest, config=(tyro.conf.OmitArgPrefixes,))
    except SystemExit as stop:
        assert stop.code == 0, f"{page}: hoijax {' '.join(words)}\n{capsys.readouterr().err}"
