"""The `hoijax` command: `hoijax VERB ...`, one module per verb.

A verb `name` is the module `hoijax.cli.name` (its heavy imports inside `run`, so that `--help` and wrong options
answer at once) with

* `Options`: a frozen dataclass of its options, documented field by field; `tyro` makes the command line from it;
* `run(options) -> int`: does the work and returns the exit code.

What every verb takes besides is `hoijax.cli.manners`. Exit codes, the same for every verb:

| code | meaning |
|---|---|
| 0 | done |
| 1 | a batch ran to its end, but some of its items could not be used, or with `--strict` are not good |
| 2 | bad input or bad options: one message on stderr, nothing written; or the system refused, such as a full disk |
| 130 | stopped by Ctrl-C; what was finished is on disk |
| 141 | whoever reads the output has gone, as `head` does |
"""

import contextlib
import dataclasses
import difflib
import importlib
import json
import os
import pathlib
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from hoijax.cli.manners import NO_CACHE, Manners, report, surroundings

__all__ = ["NO_CACHE", "VERBS", "Verb", "main"]


@dataclasses.dataclass(frozen=True)
class Verb:
    """One row of the verb table."""

    module: str
    """Module imported when the verb is asked for; holds `Options` and `run`."""
    help: str
    """One line for `hoijax --help`."""
    group: str = "files and data"
    """Its heading there."""
    example: str = ""
    """What follows `hoijax NAME` in an example that `hoijax NAME --help` shows."""


_HAVE = "by what you have"
VERBS: dict[str, Verb] = {
    "refine": Verb(
        "hoijax.cli.refine",
        "body estimate + object mesh -> plausible interaction, one or a whole batch",
        _HAVE,
        "--body estimate.npz --object chair.obj --out out/ --contact buttocks,back --floor auto",
    ),
    "reconstruct": Verb(
        "hoijax.cli.reconstruct",
        "picture + masks + object mesh -> body and object",
        _HAVE,
        "--image photo.jpg --object chair.obj --object-mask mask.png --out out/",
    ),
    "contact": Verb(
        "hoijax.cli.contact",
        "picture + object mesh -> which vertices of body and object touch",
        _HAVE,
        "--image photo.jpg --object chair.obj --object-mask mask.png --label chair --out out/",
    ),
    "fit": Verb(
        "hoijax.cli.fit",
        "picture + object mesh or folder + contacts -> body and object, fitted together",
        _HAVE,
        "--image photo.jpg --object meshes/ --object-mask mask.png --label chair --out out/",
    ),
    "synthesize": Verb(
        "hoijax.cli.synthesize",
        "a sentence + object mesh -> interactions, ranked",
        _HAVE,
        '"A person sits on the chair" --object chair.glb --out out/',
    ),
    "generate": Verb(
        "hoijax.cli.generate",
        "a sentence -> a textured person with an object, on a skeleton, its contact measured",
        _HAVE,
        '"A woman in a red jacket carries a blue box with both hands" --out out/',
    ),
    "annotate": Verb(
        "hoijax.cli.annotate",
        "a dataset of interactions -> texts, contacts, the few to train on, a page",
        _HAVE,
        "--dataset synth_hoi --root tfds/ --out out/",
    ),
    "demo": Verb(
        "hoijax.cli.demo",
        "one case of each system on what ships, and a page that shows them",
        _HAVE,
        "--out demo_out",
    ),
    "inspect": Verb(
        "hoijax.cli.inspect",
        "what a file of any method is, what of it will be used, and what not",
        example="hmr4d_results.pt",
    ),
    "render": Verb(
        "hoijax.cli.render",
        "picture of a scene: PNG views, or a turntable as GIF or MP4",
        example="out/interaction.glb --out views.png",
    ),
    "view": Verb(
        "hoijax.cli.view", "show the scenes of a folder in the browser, live (extra [viewer])", example="out/"
    ),
    "export": Verb(
        "hoijax.cli.export",
        "result -> animated GLB, BVH, another method's keys, or a report by parts",
        example="out/ --out motion.bvh",
    ),
    "evaluate": Verb(
        "hoijax.cli.evaluate",
        "predictions of any method + dataset -> every metric, with intervals",
        example="--dataset synth_hoi --root tfds/ --split test --predictions predictions/ --out scores/",
    ),
    "data": Verb("hoijax.cli.data", "show, check or build a dataset", example="build synth_hoi --root tfds/"),
    "convert": Verb(
        "hoijax.cli.convert",
        "published PyTorch checkpoint -> safetensors, checked key by key",
        example="hoi3dgen_sana epoch_1050_step_25201.pth --out sana.safetensors --dtype bfloat16",
    ),
}

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
_EVERY = (
    "Every verb takes -q (errors and warnings only), -v (versions, device, tracebacks of errors) and --json (one JSON "
    "object on standard output at the end, all else on standard error)."
)
_SHELLS = ("bash", "zsh", "tcsh")
_OK, _BAD_INPUT, _INTERRUPTED, _UNREAD = 0, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
      argv: the arguments after the program's name; default: those of this process, which then keeps what it compiles
        for the next one (`hoijax.cli.cache`).

    Returns:
      The exit code (see the module's table).
    """
    try:
        code = _main(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Python writes what is left when it ends, and would tell of the same error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNREAD


def _main(argv: Sequence[str] | None) -> int:
    """`main`, to a reader who stays."""
    manners, args = Manners.take(sys.argv[1:] if argv is None else argv)
    if argv is None and manners.cache and args[:1] != ["view"]:
        from hoijax.cli.cache import keep_all

        keep_all()
    if not args or args[0] in ("-h", "--help"):
        print(_overview(), file=sys.stdout if args else sys.stderr)
        return _OK if args else _BAD_INPUT
    if args[0] in ("-V", "--version"):
        import importlib.metadata

        print(f"hoijax {importlib.metadata.version('hoijax')}")
        return _OK
    if args[0] == "--completion":
        return _completion(args[1:])
    name, rest = args[0], args[1:]
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, 1, 0.6)
        meant = f" (did you mean {close[0]}?)" if close else ""
        print(f"hoijax: there is no verb '{name}'{meant}; the verbs are: {', '.join(VERBS)}", file=sys.stderr)
        return _BAD_INPUT
    try:
        with manners.screen() as out:
            return _run_verb(name, rest, manners, out)
    except KeyboardInterrupt:
        print(f"\nhoijax {name}: stopped", file=sys.stderr)
        return _INTERRUPTED


def _run_verb(name: str, args: list[str], manners: Manners, out: Any) -> int:
    """Parses the options of one verb and runs it; `out` is the real standard output."""
    import tyro

    from hoijax.errors import InputError

    module = importlib.import_module(VERBS[name].module)
    example = f"For example:\n\n  hoijax {name} {VERBS[name].example}\n\n" if VERBS[name].example else ""
    try:
        with contextlib.redirect_stdout(out):
            options = tyro.cli(
                module.Options,
                args=args,
                prog=f"hoijax {name}",
                description=f"{module.__doc__}\n\n{example}{_EVERY}\n\n{_KEPT}",
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as stop:  # tyro has already printed the help or what was wrong
        return stop.code if isinstance(stop.code, int) else _BAD_INPUT
    try:
        _check_names(options)
        if manners.verbose:
            print(surroundings(), file=sys.stderr)
        return report(lambda: module.run(options), options, name, out) if manners.json else module.run(options)
    except InputError as error:
        if manners.verbose:
            traceback.print_exc()
        told = str(error)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        told = f"needs {error.name}; install it with: pip install 'hoijax[{extra}]'"
    except MemoryError:
        told = "there is not enough memory for this; what was finished is whole"
    except Exception as error:
        failed = _system_error(error)
        if failed is None:
            raise  # a fault of hoijax, whose place the traceback names
        where = f" {failed.filename}" if failed.filename else ""
        told = f"{failed.strerror or failed}{where}; what was finished is whole, the same command goes on from there"
    print(f"hoijax {name}: {told}", file=sys.stderr)
    if manners.json:
        print(json.dumps({"verb": name, "exit_code": _BAD_INPUT, "error": told}, ensure_ascii=False), file=out)
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


def _completion(args: list[str]) -> int:
    """Prints the completion of all verbs and their options for one shell."""
    import functools
    import operator
    from typing import Annotated

    import tyro

    if len(args) != 1 or args[0] not in _SHELLS:
        print(f"hoijax --completion: give one of {', '.join(_SHELLS)}", file=sys.stderr)
        return _BAD_INPUT
    parts = [
        Annotated[importlib.import_module(verb.module).Options, tyro.conf.subcommand(name, description=verb.help)]
        for name, verb in VERBS.items()
    ]
    try:
        tyro.cli(
            functools.reduce(operator.or_, parts[1:], parts[0]),
            args=["--tyro-print-completion", args[0]],
            prog="hoijax",
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except SystemExit as stop:  # how tyro ends when it has printed
        return stop.code if isinstance(stop.code, int) else _OK
    return _OK


def _overview() -> str:
    """The text of `hoijax --help`."""
    width = max(map(len, VERBS)) + 2
    groups = {}
    for name, verb in VERBS.items():
        groups.setdefault(verb.group, []).append(f"  {name:<{width}}{verb.help}")
    rows = "\n\n".join("\n".join([f"{group}:", *lines]) for group, lines in groups.items())
    return (
        "hoijax: 3D human-object interaction in JAX\n\n"
        "usage: hoijax VERB [options]\n\n"
        f"{rows}\n\n"
        f"{_EVERY}\n"
        f"{_KEPT}\n"
        "`hoijax VERB --help` shows a verb's options and an example; `hoijax --version` the version; "
        f"`hoijax --completion SHELL` prints what {', '.join(_SHELLS[:-1])} or {_SHELLS[-1]} completes with."
    )
