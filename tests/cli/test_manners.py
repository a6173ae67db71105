"""What every verb takes: -q, -v, --json, --no-cache; completion."""

import json
import os
import subprocess
import sys

import pytest

from hoijax import cli
from hoijax.cli.manners import Manners
from hoijax.errors import InputError

REFINE = ["refine", "--body", "a", "--object", "b"]


@pytest.fixture
def verb(monkeypatch):
    """Puts a function in the place of `refine`'s work."""
    from hoijax.cli import refine

    monkeypatch.setenv("TQDM_DISABLE", os.environ.get("TQDM_DISABLE", ""))  # restored afterwards
    return lambda run: monkeypatch.setattr(refine, "run", run)


def say(text, code=0, results=None):
    """A verb that tells one line, warns, and may leave results."""

    def run(options):
        from hoijax.jobs.screen import tell

        tell(text)
        print("careful", file=sys.stderr)
        if results is not None:
            options.out.mkdir()
            (options.out / "metrics.json").write_text(json.dumps(results))
        return code

    return run


def test_options_of_every_verb_are_taken_wherever_they_stand_and_others_stay():
    manners, rest = Manners.take(["-q", "refine", "--json", "--body", "a", "--no-cache", "-v"])
    assert manners == Manners(quiet=True, verbose=True, json=True, cache=False)
    assert rest == ["refine", "--body", "a"]


def test_what_follows_two_dashes_is_left_alone():
    manners, rest = Manners.take(["synthesize", "--", "-q"])
    assert manners == Manners() and rest == ["synthesize", "--", "-q"]


def test_without_them_a_line_goes_to_standard_output(verb, capsys, tmp_path):
    verb(say("hello"))
    assert cli.main([*REFINE, "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert captured.out == "hello\n" and captured.err == "careful\n"


def test_quiet_leaves_warnings(verb, capsys, tmp_path):
    verb(say("hello", code=1))
    assert cli.main(["-q", *REFINE, "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "careful\n"


@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_json_is_the_only_thing_on_standard_output(verb, capsys, tmp_path, quiet):
    out = tmp_path / "out"
    verb(say("hello", code=1, results={"verdict": "reached", "name": "Sessel ä"}))
    assert cli.main([*quiet, *REFINE, "--out", str(out), "--json"]) == 1
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert record.pop("seconds") >= 0
    assert record == {
        "verb": "refine",
        "exit_code": 1,
        "out": str(out),
        "results": {"verdict": "reached", "name": "Sessel ä"},
    }
    assert ("hello" in captured.err) == (not quiet)


def test_json_of_a_verb_without_results_says_null(verb, capsys, tmp_path):
    verb(say("hello"))
    cli.main([*REFINE, "--out", str(tmp_path / "nowhere"), "--json"])
    assert json.loads(capsys.readouterr().out)["results"] is None


def test_json_tells_an_error_too(verb, capsys, tmp_path):
    def fail(options):
        raise InputError("wanted this")

    verb(fail)
    assert cli.main([*REFINE, "--out", str(tmp_path / "out"), "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"verb": "refine", "exit_code": 2, "error": "wanted this"}
    assert captured.err == "hoijax refine: wanted this\n"


def test_verbose_tells_versions_and_where_an_error_arose(verb, capsys, tmp_path):
    import jax

    def fail(options):
        raise InputError("wanted this")

    verb(fail)
    assert cli.main([*REFINE, "--out", str(tmp_path / "out"), "-v"]) == 2
    err = capsys.readouterr().err
    assert f"jax {jax.__version__}" in err and "Traceback" in err and err.endswith("hoijax refine: wanted this\n")


@pytest.mark.parametrize("shell, word", [("bash", "complete"), ("zsh", "#compdef hoijax")])
def test_completion_knows_verbs_and_options(shell, word, capsys):
    assert cli.main(["--completion", shell]) == 0
    script = capsys.readouterr().out
    assert word in script and all(name in script for name in cli.VERBS) and "--object-mask" in script


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="needs bash")
def test_bash_reads_its_completion(tmp_path):
    code = "from hoijax import cli; cli.main(['--completion', 'bash'])"
    script = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    (tmp_path / "hoijax.sh").write_text(script)
    read = subprocess.run(
        ["/bin/bash", "-c", f". {tmp_path}/hoijax.sh; complete -p hoijax"], capture_output=True, text=True
    )
    assert read.returncode == 0 and read.stdout.startswith("complete")


@pytest.mark.parametrize("words", [[], ["fish"], ["bash", "zsh"]])
def test_completion_of_another_shell_is_refused(words, capsys):
    assert cli.main(["--completion", *words]) == 2
    assert "bash, zsh, tcsh" in capsys.readouterr().err


def test_every_verb_has_an_example_in_its_help(capsys):
    for name, verb in cli.VERBS.items():
        assert verb.example, name
    assert cli.main(["refine", "--help"]) == 0
    assert f"hoijax refine {cli.VERBS['refine'].example}"[:60] in capsys.readouterr().out
