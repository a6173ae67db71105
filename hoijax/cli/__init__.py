"""The `hoijax` command: `hoijax VERB ...`, one module per verb.

A verb `name` is the module `hoijax.cli.name` (its heavy imports inside `run`, so that `--help` and wrong options
answer at once) with

* `Options`: a frozen dataclass of its options, documented field by field; `tyro` makes the command line from it;
* `run(options) -> int`: does the work and returns the exit code.

Exit codes, the same for every verb:

| code | meaning |
|---|---|
| 0 | done |
| 1 | a batch ran to its end, but some of its items could not be used; each is named |
| 2 | bad input or bad options: one message on stderr, nothing written; or the system refused, such as a full disk |
| 130 | stopped by Ctrl-C; what was finished is on disk |
"""

import dataclasses
import importlib
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["VERBS", "Verb", "main"]


@dataclasses.dataclass(frozen=True)
class Verb:
    """One row of the verb table."""

    module: str
    """Module imported when the verb is asked for; holds `Options` and `run`."""
    help: str
    """One line for `hoijax --help`."""


VERBS: dict[str, Verb] = {
    "refine": Verb("hoijax.cli.refine", "body estimate + object mesh -> plausible interaction, one or a whole batch"),
    "inspect": Verb("hoijax.cli.inspect", "what a file of any method is, what of it will be used, and what not"),
    "reconstruct": Verb("hoijax.cli.reconstruct", "picture + masks + object mesh -> body and object"),
    "synthesize": Verb("hoijax.cli.synthesize", "a sentence + object mesh -> interactions, ranked"),
    "contact": Verb("hoijax.cli.contact", "picture + object mesh -> which vertices of body and object touch"),
    "fit": Verb("hoijax.cli.fit", "picture + object mesh or folder + contacts -> body and object, fitted together"),
    "demo": Verb("hoijax.cli.demo", "run `refine` on the shipped cases and make a page of before and after"),
    "render": Verb("hoijax.cli.render", "picture of a scene: PNG views, or a turntable as GIF or MP4"),
    "export": Verb("hoijax.cli.export", "result -> animated GLB, BVH, another method's keys, or a report by parts"),
    "convert": Verb("hoijax.cli.convert", "published PyTorch checkpoint -> safetensors, checked key by key"),
    "evaluate": Verb("hoijax.cli.evaluate", "predictions of any method + dataset -> every metric, with intervals"),
    "data": Verb("hoijax.cli.data", "show, check or build a dataset"),
    "view": Verb("hoijax.cli.view", "show the scenes of a folder in the browser, live (extra [viewer])"),
}

NO_CACHE = "--no-cache"
"""Switches off what `hoijax.cli.cache` keeps; every verb takes it."""
EXTRAS = {
    "tensorflow_datasets": "data",
    "array_record": "data",
    "grain": "data",
    "orbax": "data",
    "apache_beam": "beam",
    "mujoco": "physics",
}
"""Package to the extra that installs it."""
_KEPT = (
    "Compiled programs and distance grids are kept in your cache folder for the next run; --no-cache keeps nothing, "
    "HOIJAX_CACHE=FOLDER (or off) in the environment chooses another place."
)
_OK, _BAD_INPUT, _INTERRUPTED = 0, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
      argv: the arguments after the program's name; default: those of this process, which then keeps what it compiles
        for the next one (`hoijax.cli.cache`).

    Returns:
      The exit code (see the module's table).
    """
    args = list(sys.argv[1:] if argv is None else argv)
    keeps = NO_CACHE not in args
    args = [arg for arg in args if arg != NO_CACHE]
    if argv is None and keeps and args[:1] != ["view"]:
        from hoijax.cli.cache import keep_all

        keep_all()
    if not args or args[0] in ("-h", "--help"):
        print(_overview(), file=sys.stdout if args else sys.stderr)
        return _OK if args else _BAD_INPUT
    if args[0] in ("-V", "--version"):
        import importlib.metadata

        print(f"hoijax {importlib.metadata.version('hoijax')}")
        return _OK
    name, rest = args[0], args[1:]
    if name not in VERBS:
        print(f"hoijax: there is no verb '{name}'; the verbs are: {', '.join(VERBS)}", file=sys.stderr)
        return _BAD_INPUT
    try:
        return _run_verb(name, rest)
    except KeyboardInterrupt:
        print(f"\nhoijax {name}: stopped", file=sys.stderr)
        return _INTERRUPTED


def _run_verb(name: str, args: list[str]) -> int:
    """Parses the options of one verb and runs it."""
    import tyro

    from hoijax.errors import InputError

    module = importlib.import_module(VERBS[name].module)
    try:
        options = tyro.cli(
            module.Options,
            args=args,
            prog=f"hoijax {name}",
            description=f"{module.__doc__}\n\n{_KEPT}",
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except SystemExit as stop:  # tyro has already printed the help or what was wrong
        return stop.code if isinstance(stop.code, int) else _BAD_INPUT
    try:
        _check_names(options)
        return module.run(options)
    except InputError as error:
        print(f"hoijax {name}: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(f"hoijax {name}: needs {error.name}; install it with: pip install 'hoijax[{extra}]'", file=sys.stderr)
    except MemoryError:
        print(f"hoijax {name}: there is not enough memory for this; what was finished is whole", file=sys.stderr)
    except Exception as error:
        failed = _system_error(error)
        if failed is None:
            raise  # a fault of hoijax, whose place the traceback names
        where = f" {failed.filename}" if failed.filename else ""
        print(
            f"hoijax {name}: {failed.strerror or failed}{where}; what was finished is whole, the same command goes on "
            "from there",
            file=sys.stderr,
        )
    return _BAD_INPUT


def _check_names(options: Any) -> None:
    """Refuses file names among the options that no file can have, before anything looks at them."""
    from hoijax.io.files import check_name

    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, pathlib.PurePath):
            check_name(value)
        elif dataclasses.is_dataclass(value):
            _check_names(value)


def _system_error(error: BaseException | None) -> OSError | None:
    """The error of the operating system behind a failure: writers below wrap a full disk in errors of their own."""
    for _ in range(20):
        if error is None or isinstance(error, OSError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _overview() -> str:
    """The text of `hoijax --help`."""
    width = max(map(len, VERBS)) + 2
    rows = "\n".join(f"  {name:<{width}}{verb.help}" for name, verb in VERBS.items())
    return (
        "hoijax: 3D human-object interaction in JAX\n\n"
        "usage: hoijax VERB [options]\n\n"
        f"{rows}\n\n"
        f"{_KEPT}\n"
        "`hoijax VERB --help` shows a verb's options; `hoijax --version` the version."
    )
