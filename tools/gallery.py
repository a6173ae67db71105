"""Runs the examples at full size and writes their page: `python -m tools.gallery`; seven minutes on two cores.

`docs/examples.md` gets, for each, the first line of its docstring, what it printed last, how long it took and a picture
if it made one (`docs/images/examples/`).
"""

import ast
import pathlib
import subprocess
import sys
import textwrap
import time

import tyro
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
WIDTH = 560
"""Of a picture, pixels."""


def main(out: pathlib.Path = pathlib.Path("examples_out"), only: str = "") -> None:
    """Runs them and writes the page.

    Args:
      out: where the examples write.
      only: numbers of the examples to run again, separated by commas; the page keeps what it says of the others.
    """
    page, pictures = ROOT / "docs" / "examples.md", ROOT / "docs" / "images" / "examples"
    pictures.mkdir(parents=True, exist_ok=True)
    sections = read_sections(page.read_text(encoding="utf-8")) if page.exists() else {}
    for path in sorted((ROOT / "examples").glob("[0-9]*.py")):
        number = path.name[:2]
        if only and number not in only.split(","):
            sections.setdefault(number, section(path))
            continue
        began = time.perf_counter()
        folder = out / number
        run = subprocess.run([sys.executable, path, "--out", folder], capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - began
        drawn = shrink(newest_picture(folder), pictures / f"{number}.jpg")
        printed = run.stdout.replace(str(folder), f"examples_out/{number}")
        sections[number] = section(path, printed, seconds, drawn)
        page.write_text(join(sections), encoding="utf-8")
    page.write_text(join(sections), encoding="utf-8")


def section(path: pathlib.Path, said: str = "", seconds: float | None = None, drawn: bool = False) -> str:
    """What the page says of one example; without its time where it has not been run."""
    title = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]
    lines = [line for line in said.splitlines() if line.strip()]
    picture = f"![{title}](images/examples/{path.name[:2]}.jpg)\n\n" if drawn else ""
    last = f"```text\n{textwrap.shorten(lines[-1], 160, placeholder=' ...')}\n```\n\n" if lines else ""
    took = "" if seconds is None else f", {seconds:.0f} s"
    return f"## {path.stem}\n\n{title}\n\n{picture}{last}`python examples/{path.name}`{took}.\n"


def join(sections: dict[str, str]) -> str:
    """The page."""
    head = (
        "# Examples\n\nOne file each, run by `python examples/NAME.py`, with nothing but what ships; the tests run\n"
        "them smaller (`--small`). Times are wall-clock on two cores beside other work, compilation included.\n"
        "`python -m tools.gallery` makes this page.\n\n"
    )
    return head + "\n".join(sections[number] for number in sorted(sections))


def read_sections(text: str) -> dict[str, str]:
    """The sections of a page by their example's number."""
    parts = text.split("\n## ")[1:]
    return {part[:2]: f"## {part.rstrip()}\n" for part in parts}


def newest_picture(folder: pathlib.Path) -> pathlib.Path | None:
    """The picture that was written last, of a result its comparison."""
    found = [path for path in folder.rglob("*.png") if "mask" not in path.name and path.name != "picture.png"]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def shrink(path: pathlib.Path | None, target: pathlib.Path) -> bool:
    """Writes a small JPEG; whether there was a picture."""
    if path is None:
        return False
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((WIDTH, WIDTH))
    picture.save(target, quality=80)
    return True


if __name__ == "__main__":
    tyro.cli(main)
