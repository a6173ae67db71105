"""Runs what pages show, as a reader would, in a process of its own: `python tests/run_pages.py PLAN.json OUT`.

The plan is a list of pages: {"name", "setup": Python that makes the files the page speaks of, "steps": [[kind, text],
...]} with the kinds "python" (a block) and "hoijax" (the words of a command as JSON, and the path of a `jq` behind it).
A page's steps share one folder and one namespace. `OUT/said.json` gets, for each page, the tracebacks by step.
"""

import contextlib
import io
import json
import pathlib
import shutil
import sys
import time
import traceback
from importlib.resources import files

DEMO = files("hoijax.assets") / "demo"


def command(words: list[str], path: str) -> None:
    """One `hoijax ...`; what `jq` would be asked for must be in the JSON that it prints."""
    from hoijax import cli

    printed, sys.argv = io.StringIO(), ["hoijax", *words]
    with contextlib.redirect_stdout(printed):
        code = cli.main()  # keeps what it makes, as in a reader's own process
    if code != 0:
        raise AssertionError(f"exit code {code}\n{printed.getvalue()}")
    if path:
        value = json.loads(printed.getvalue())
        for key in path.strip(".").split("."):
            value = value[key]
        if value is None:
            raise AssertionError(f"{path} is null")


def run(page: dict, folder: pathlib.Path) -> dict[str, str]:
    """The steps of one page; the traceback of each that failed, and what took how long."""
    folder.mkdir(parents=True)
    names, said = {"shutil": shutil, "demo": DEMO, "pathlib": pathlib, "page": page["name"]}, {}
    with contextlib.chdir(folder):
        for number, (kind, text) in enumerate([["python", page["setup"]], *page["steps"]]):
            began = time.process_time()
            try:
                if kind == "python":
                    exec(compile(text, f"{page['name']}, step {number}", "exec"), names)
                else:
                    command(*json.loads(text))
            except BaseException:
                said[f"{number}: {text[:200]}"] = traceback.format_exc()
            print(f"{time.process_time() - began:6.1f} s  {page['name']} {number}: {text[:90]!r}", file=sys.stderr)
    return said


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[2])
    plan = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    said = {page["name"]: run(page, out / page["name"].replace("/", "_")) for page in plan}
    (out / "said.json").write_text(json.dumps(said), encoding="utf-8")
