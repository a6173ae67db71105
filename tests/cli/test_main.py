import dataclasses
import importlib
import os
import re
import subprocess
import sys
import typing

import pytest

from hoijax import cli
from hoijax.errors import InputError


def test_help_lists_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, verb in cli.VERBS.items():
        assert f"  {name} " in out and verb.help in out


@pytest.mark.parametrize("words", [["--help"], ["refine", "--help"]])
def test_a_reader_who_leaves_is_no_fault(words):
    """As `hoijax refine --help | head -1` does."""
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from hoijax.cli import main; sys.exit(main(sys.argv[1:]))"
    held = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # written at the end
    done = subprocess.run(
        [sys.executable, "-c", code, *words], stdout=writer, stderr=subprocess.PIPE, text=True, env=held
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_no_arguments_show_the_help_on_stderr(capsys):
    assert cli.main([]) == 2
    assert "usage: hoijax VERB" in capsys.readouterr().err


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hoijax ")


def test_an_unknown_verb_is_named_with_those_there_are(capsys):
    assert cli.main(["refien"]) == 2
    assert "there is no verb 'refien' (did you mean refine?); the verbs are: refine, " in capsys.readouterr().err


@pytest.mark.parametrize("name", list(cli.VERBS))
def test_every_verb_has_documented_options_and_help(name, capsys):
    module = importlib.import_module(cli.VERBS[name].module)
    assert dataclasses.is_dataclass(module.Options) and module.Options.__dataclass_params__.frozen
    assert cli.main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"hoijax {name}" in out
    for field in dataclasses.fields(module.Options):
        subcommands = [c for c in typing.get_args(field.type) if "_SubcommandConfig" in str(c)]
        renamed = re.search(r"_ArgConfig\(name='([\w-]+)'", str(field.type))
        flag = renamed[1] if renamed else field.name.replace("_", "-")
        words = [re.search(r"name='(\w+)'", str(c))[1] for c in subcommands] or [f"--{flag}"]
        assert "Positional" in str(field.type) or all(word in out for word in words)


@pytest.mark.parametrize(
    "options",
    [["--no-such-option"], ["--steps", "many"], ["--units", "miles"], ["--lod"], ["stray"]],
)
def test_wrong_options_exit_with_2(options, capsys):
    assert cli.main(["refine", "--body", "a", "--object", "b", "--out", "c", *options]) == 2
    assert capsys.readouterr().err


def test_missing_options_exit_with_2(capsys):
    assert cli.main(["refine", "--out", "x"]) == 2
    assert "--body" in capsys.readouterr().err


@pytest.mark.parametrize("error, code, told", [
    (InputError("wanted this"), 2, "hoijax refine: wanted this"),
    (KeyboardInterrupt(), 130, "stopped"),
])  # fmt: skip
def test_errors_become_one_message_and_a_code(monkeypatch, capsys, error, code, told):
    from hoijax.cli import refine

    def fail(options):
        raise error

    monkeypatch.setattr(refine, "run", fail)
    assert cli.main(["refine", "--body", "a", "--object", "b", "--out", "c"]) == code
    err = capsys.readouterr().err.strip()
    assert told in err and "Traceback" not in err and len(err.splitlines()) == 1


def test_help_and_wrong_options_import_nothing_heavy():
    """Importing JAX takes seconds; nobody should wait for them to read the options."""
    script = (
        "import sys; from hoijax.cli import main; main(['refine', '--help']); main(['refine', '--x']); "
        "bad = [m for m in ('jax', 'trimesh', 'scipy') if m in sys.modules]; sys.exit(','.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_refining_and_reconstructing_import_no_dataset_packages():
    """What only training and datasets need costs seconds and hundreds of megabytes; it is the extra [data]."""
    script = (
        "import sys; import hoijax.jobs.interactions, hoijax.jobs.people, hoijax.jobs.pictures, hoijax.jobs.renders; "
        "import hoijax.systems.scorehoi.score_prior, hoijax.viz; "
        "bad = [m for m in ('tensorflow', 'tensorflow_datasets', 'orbax', 'grain', 'array_record', 'apache_beam', "
        "'torch', 'viser') if m in sys.modules]; sys.exit(','.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_verb_takes_no_cache(capsys):
    for name in cli.VERBS:
        assert cli.main([name, "--no-cache", "--help"]) == 0
        assert "--no-cache" in capsys.readouterr().out, name
