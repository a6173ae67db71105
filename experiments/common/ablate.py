"""Ablations: equally long runs that differ in one thing each, told beside what a paper says the thing is worth."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hoijax.errors import InputError
from hoijax.experiments.common.pages import table
from hoijax.io import output_directory, write_json


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of a table."""

    name: str
    """Of the row; the first of a table is the whole method."""
    what: str = ""
    """How it differs, for the page."""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Of the run's config, by dotted names."""
    paper: tuple[float, ...] = ()
    """The paper's numbers in the order of the page's columns; none where the paper has no such row."""

    @property
    def folder(self) -> str:
        """A folder's name."""
        return "".join(c for c in self.name.replace(" ", "_") if c.isalnum() or c in "_-.")


def select_variants(variants: Sequence[Variant], names: Sequence[str]) -> list[Variant]:
    """Rows by name, in the table's order.

    Raises:
      InputError: a name is unknown, or the whole method, which the others are compared with, is not among them.
    """
    known = [variant.name for variant in variants]
    if not set(names) <= set(known) or known[0] not in names:
        raise InputError(f"rows must be {known[0]!r} and others of {', '.join(known)}; got {', '.join(names)}")
    return [variant for variant in variants if variant.name in names]


def scores_of(
    variants: Sequence[Variant], folder: pathlib.Path, run: Callable[[Variant], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Each row's scores; rows that were scored before are read, so that a stopped table goes on.

    Args:
      variants: rows.
      folder: of the runs; each row's `scores.json` is in its own folder there.
      run: trains and scores a row.
    """
    scores = {}
    for variant in variants:
        path = output_directory(folder / variant.folder) / "scores.json"
        if not path.is_file():
            write_json(path, run(variant))
        scores[variant.name] = json.loads(path.read_text())
    return scores


def changes_table(
    variants: Sequence[Variant], scores: Mapping[str, Mapping[str, float]], columns: Sequence[tuple[str, str, int]]
) -> str:
    """Each row's change against the whole method, here and in the paper.

    Args:
      variants: rows, the whole method first.
      scores: of each row, by metric.
      columns: metric, its title, and digits after the point, in the order of `Variant.paper`.
    """
    whole, rows = variants[0], []
    for variant in variants[1:]:
        cells = []
        for k, (metric, _, digits) in enumerate(columns):
            change = scores[variant.name][metric] - scores[whole.name][metric]
            theirs = f"{variant.paper[k] - whole.paper[k]:+.{digits}f}" if variant.paper and whole.paper else ""
            cells += [f"{change:+.{digits}f}", theirs]
        rows.append([variant.name, *cells])
    return table(["", *(cell for _, title, _ in columns for cell in (title, "paper"))], rows)
