"""Result pages: a table for readers (`NAME.md`) beside the numbers it is made of (`NAME.json`).

An experiment gives sentences and cells; how they become a page is here. A page is a function of its record alone, so
that it can be made again, and is tested, without running the experiment.
"""

import dataclasses
import math
import pathlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from hoijax.io import output_directory, write_json, write_text

RESULTS = pathlib.Path("runs/results")
"""Where tables go without `--out`: below the folder one works in. The pages that hoijax shows are in `docs/results`."""
NOTHING = "–"
"""A cell without a number."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown.

    Args:
      head: of the columns.
      rows: cells.
    """
    first = "|" + "|".join(f" {title} " if title else " " for title in head) + "|"
    return "\n".join([first, "|---" * len(head) + "|", *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def bullets(items: Mapping[str, str]) -> str:
    """A list of questions and answers."""
    return "\n".join(f"- {name}: {value}" for name, value in items.items())


def page(title: str, *blocks: str) -> str:
    """A page: its title, then paragraphs, tables and headings with a blank line between."""
    return "\n\n".join([f"# {title}", *(block for block in blocks if block)]) + "\n"


def heading(text: str) -> str:
    """Of a part of a page."""
    return f"## {text}"


def number(value: float | None, digits: int) -> str:
    """A number, or `NOTHING` where there is none."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def interval(row: Mapping[str, Any] | None, digits: int) -> str:
    """A mean and, where it has one, its interval: "4.20 (4.00 to 4.50)".

    Args:
      row: `mean`, `low`, `high`; None where the metric is not there.
      digits: after the point.
    """
    if row is None or not math.isfinite(row["mean"]):
        return NOTHING
    known = math.isfinite(row["low"])
    return number(row["mean"], digits) + (f" ({row['low']:.{digits}f} to {row['high']:.{digits}f})" if known else "")


def spread(ratio: Mapping[str, float] | None) -> str:
    """Median, least and greatest of a ratio of times."""
    return "no clean round" if ratio is None else f"{ratio['median']:.2f} [{ratio['min']:.2f}, {ratio['max']:.2f}]"


def settings_of(config: Any, places: Collection[str] = ()) -> dict[str, Any]:
    """A config in JSON's types, without the settings that say where on this machine; of absolute paths the name.

    Args:
      config: a dataclass.
      places: names that are left out.
    """
    return plain({name: value for name, value in dataclasses.asdict(config).items() if name not in places})


def plain(value: Any) -> Any:
    """Settings in JSON's types; of absolute paths the name alone."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, pathlib.Path):
        return value.name if value.is_absolute() else str(value)
    return value


def write_page(out: pathlib.Path, name: str, record: Any, text: str) -> None:
    """Writes `NAME.json` and `NAME.md`.

    Args:
      out: folder.
      name: of both files.
      record: in JSON's types.
      text: of `page`.

    Raises:
      InputError: the folder cannot be written.
    """
    output_directory(out)
    write_json(out / f"{name}.json", record)
    write_text(out / f"{name}.md", text)
