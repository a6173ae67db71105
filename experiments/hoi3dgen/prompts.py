"""Sixty prompts over the eight contact configurations through `hoijax generate --backend compose`, measured.

    python -m hoijax.experiments.hoi3dgen.prompts --work FOLDER [--split dev]

Finished prompts are kept in the folder and not made again, so that it can be stopped; --finished reports them alone.
Some 15 s of one core a prompt, and a minute for each of the optimiser's eight or so programs when it is first compiled.
Of the split "test" the page docs/results/hoi3dgen_compose.md, its numbers as JSON and a sheet of pictures are made.
Words, scripts and settings were mended on the split "dev"; "test" is for the numbers.
"""

import dataclasses
import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import tyro
from PIL import Image

from hoijax.data.sheet import contact_sheet
from hoijax.errors import InputError
from hoijax.io import read_json, write_bytes, write_json
from hoijax.io.files import write_text
from hoijax.jobs.generation import GenerationRequest, generate
from hoijax.jobs.generation_files import RUN
from hoijax.metrics.summary import wilson
from hoijax.systems.hoi3dgen.compose import ComposeConfig
from hoijax.systems.hoi3dgen.layout import VIEW_TAGS, RunFolder, read_picture
from hoijax.systems.interactanything import OptimiseConfig

PROMPTS = pathlib.Path(__file__).with_name("prompts.json")
"""By split: configuration and prompt."""
COLUMNS, CELL = 10, 176
DEEP = 0.01


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run, and where it is written."""

    work: pathlib.Path
    """Folder that keeps finished prompts."""
    split: Literal["dev", "test"] = "test"
    only: str = ""
    """Numbers of prompts, from 0, separated by commas; without it all."""
    finished: bool = False
    """Only report what is finished."""
    out: pathlib.Path = pathlib.Path("docs/results")
    picture: pathlib.Path = pathlib.Path("docs/images/hoi3dgen_compose.jpg")
    count: int = 8
    draws: int = 2
    rounds: int = 2
    steps: float = 1.0
    """Share of the optimiser's steps."""
    lod: str = "light"
    size: int = 256
    views: int = 1
    """Pictures of each, of three."""
    physics: bool = True


def main(config: Config) -> None:
    """Makes what is not finished and writes the page."""
    rows = json.loads(PROMPTS.read_text())[config.split]
    chosen = [int(k) for k in config.only.split(",") if k.strip()] or _order(rows)
    if config.finished:
        chosen = [k for k in chosen if (_folder(config, k) / "metrics.json").is_file()]
    made = {}
    for number in chosen:
        made[number] = _one(config, number, *rows[number])
        row = made[number]
        print(f"{number:2d} {row['asked']:11s} {row.get('measured', '-'):11s} {1000 * row.get('depth', 0):5.1f} mm "
              f"{row['prompt']}{'; ' + row['failed'] if row.get('failed') else ''}", flush=True)  # fmt: skip
    made = dict(sorted(made.items()))
    print(json.dumps(summary(made), indent=1))
    write_json(config.work / f"{config.split}.json", {"summary": summary(made), "rows": made})
    if config.split == "test" and not config.only:
        record = {"settings": _settings(config), "summary": summary(made), "rows": made}
        write_json(config.out / "hoi3dgen_compose.json", record)
        write_text(config.out / "hoi3dgen_compose.md", markdown(record))
    data = io.BytesIO()
    Image.fromarray(sheet(config, made)).save(data, "JPEG", quality=80)
    picture = config.picture if config.split == "test" and not config.only else config.work / f"{config.split}.jpg"
    write_bytes(picture, data.getvalue())


def _order(rows: list) -> list[int]:
    """The first of each configuration, then the second of each, ...: stopped early, all of them are there."""
    seen: dict[str, int] = {}
    rank = []
    for asked, _ in rows:
        rank.append(seen.setdefault(asked, 0))
        seen[asked] += 1
    return sorted(range(len(rows)), key=lambda k: (rank[k], k))


def _settings(config: Config) -> dict[str, Any]:
    return {k: getattr(config, k) for k in ("count", "draws", "rounds", "steps", "lod", "physics")}


def _folder(config: Config, number: int) -> pathlib.Path:
    return config.work / config.split / f"{number:02d}"


def _one(config: Config, number: int, asked: str, prompt: str) -> dict[str, Any]:
    """Makes a prompt, where that is not done, and its row."""
    compose = ComposeConfig(
        draws=config.draws, rounds=config.rounds, optimise=OptimiseConfig(tries=0).scaled(config.steps)
    )
    request = GenerationRequest(
        prompt, _folder(config, number), count=config.count, seed=number, compose=compose, lod=config.lod,
        physics=config.physics, size=config.size, views=VIEW_TAGS[-config.views :], cache=config.work / "grids",
    )  # fmt: skip
    row: dict[str, Any] = {"prompt": prompt, "asked": asked}
    try:
        generate(request)
    except InputError as error:
        return row | {"failed": str(error), "right": False}
    record = read_json(request.out / "metrics.json")
    best = record["candidates"][0]
    return row | {
        "understood": record["asked"], "measured": best["measured"],
        "any_vertex": best["any_vertex"], "parts": best["parts"], "depth": best["depth_m"],
        "right": best["measured"] == asked, "physics": best["physics"], "shape": record["shape"],
        "notes": record["notes"], "candidates": len(record["candidates"]),
    }  # fmt: skip


def summary(rows: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Contact accuracy with its interval, by configuration, and penetration."""
    right = np.array([row["right"] for row in rows.values()], float)
    depth = np.array([row["depth"] for row in rows.values() if "depth" in row])
    by: dict[str, list[int]] = {}
    for row in rows.values():
        got, all_ = by.setdefault(row["asked"], [0, 0])
        by[row["asked"]] = [got + int(row["right"]), all_ + 1]
    return {
        "prompts": len(rows),
        "right": int(right.sum()),
        "any_vertex": sum(row.get("any_vertex") == row["asked"] for row in rows.values()),
        "accuracy": float(right.mean()),
        "interval": list(wilson(int(right.sum()), len(right))),
        "by_configuration": by,
        "below_1cm": int((depth < DEEP).sum()),
        "deepest_m": float(depth.max(initial=0.0)),
        "median_depth_m": float(np.median(depth)) if len(depth) else None,
    }


def sheet(config: Config, rows: Mapping[int, Mapping[str, Any]]) -> np.ndarray:
    """One picture of each result."""
    cells = []
    for number, row in rows.items():
        run = RunFolder(_folder(config, number) / RUN)
        found = run.indices("images")
        picture = read_picture(run.path("images", found[-1])) if found else np.full((CELL, CELL, 3), 230, np.uint8)
        wrong = "" if row["right"] else f": {row.get('measured', 'refused')}"
        deep = ", deep" if row.get("depth", 0) >= DEEP else ""
        cells.append((picture, f"{number + 1}. {row['prompt']} [{row['asked']}{wrong}{deep}]"))
    return contact_sheet(cells, cell=CELL, columns=COLUMNS)


def markdown(record: Mapping[str, Any]) -> str:
    """The page."""
    total, settings = record["summary"], record["settings"]
    low, high = (100 * x for x in total["interval"])
    lines = [
        "# HOI3DGen from what ships: sixty prompts",
        *(["", f"**{total['prompts']} of the sixty were made so far.**"] if total["prompts"] < 60 else []),
        "",
        "`python -m hoijax.experiments.hoi3dgen.prompts`: `hoijax generate --backend compose`, one result a prompt,",
        f"chosen from {settings['count']} candidates a round, at most {settings['rounds']} rounds, by the contact that",
        f"is measured; {100 * settings['steps']:g} % of the optimiser's steps, body {settings['lod']!r}, "
        f"{'judged' if settings['physics'] else 'not judged'} in physics.",
        "A part of SMPL's 24 touches where three of its vertices, and half a percent, are within 4 cm of the object;",
        "a forearm belongs to the hand that touches. The set of parts is one of the paper's eight configurations.",
        "'Any vertex' is the paper's rule, which counts forearms and every single vertex. Words and settings were",
        "mended on twenty other prompts (`--split dev`). Shapes are procedural and CC0, not the paper's generated",
        "meshes: the numbers are not comparable one to one with its 90 %.",
        "",
        f"**Contact as asked: {total['right']} of {total['prompts']} ({100 * total['accuracy']:.0f} %, 95 % interval "
        f"{low:.0f} to {high:.0f})**; penetration below 1 cm in {total['below_1cm']}, deepest "
        f"{1000 * total['deepest_m']:.0f} mm. By any vertex: {total['any_vertex']} of {total['prompts']}.",
        "",
        "![one picture of each prompt](../images/hoi3dgen_compose.jpg)",
        "",
        "| configuration | as asked |",
        "|---|---|",
        *(f"| {name} | {got} of {all_} |" for name, (got, all_) in total["by_configuration"].items()),
        "",
        "| | prompt | asked | measured | deepest, mm | shape |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for number, row in record["rows"].items():
        if row.get("failed"):
            lines.append(f"| {int(number) + 1} | {row['prompt']} | {row['asked']} | refused: {row['failed']} | | |")
            continue
        measured = row["measured"] if row["right"] else f"**{row['measured']}** ({', '.join(row['parts']) or 'none'})"
        numbers = f"{1000 * row['depth']:.0f} | {row['shape']}"
        lines.append(f"| {int(number) + 1} | {row['prompt']} | {row['asked']} | {measured} | {numbers} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main(tyro.cli(Config))
