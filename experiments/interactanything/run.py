"""One command for the fifty prompts: `python -m hoijax.experiments.interactanything.run --work FOLDER`.

Finished prompts are kept in the folder and not run again, so that it can be stopped. Then the page
`docs/results/interactanything.md`, its numbers as JSON, and the sheet of the best pictures are written.
"""

import dataclasses
import functools
import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tyro
from PIL import Image

from hoijax.body_models import free_body
from hoijax.data.sheet import contact_sheet
from hoijax.errors import InputError
from hoijax.experiments.interactanything.evaluate import Case, evaluate, prompt_cases, summary
from hoijax.experiments.interactanything.others import other_cases
from hoijax.io import read_json, read_npz, write_bytes, write_json, write_npz
from hoijax.io.files import write_text
from hoijax.render import Studio
from hoijax.render.framing import frame_points
from hoijax.systems.interactanything import OptimiseConfig, SynthesisConfig, physics
from hoijax.viz import NamedMesh, render_views

SIZE, COLUMNS, AZIMUTH, ELEVATION = 176, 10, 45.0, 12.0
"""Side of a picture, pixels; pictures in a row; direction of view, degrees."""
NEAR = 1.3
"""Of an object larger than `LARGE` metres only what is so near to the person is framed, metres."""
LARGE = 2.5
SHEET = pathlib.Path("docs/images/interactanything.jpg")
OTHERS_SHEET = SHEET.with_name("interactanything_others.jpg")


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run, and where it is written."""

    work: pathlib.Path
    """Folder that keeps finished prompts."""
    out: pathlib.Path = pathlib.Path("docs/results")
    """Folder of the page and its numbers."""
    picture: pathlib.Path | None = SHEET
    """The sheet."""
    cases: Literal["prompts", "others"] = "prompts"
    """"others": thirty meshes that nobody here made (`others`); their page and sheet are `interactanything_others`."""
    only: str = ""
    """Numbers of prompts, from 0, separated by commas; without it all."""
    count: int = 8
    draws: int = 1
    tries: int = 0
    """See `SynthesisConfig` and `OptimiseConfig`."""
    affordance: str = SynthesisConfig.affordance
    """See `SynthesisConfig`."""
    lod: str = "light"


def main(config: Config) -> None:
    """Runs what is not finished and writes the page.

    Raises:
      InputError: MuJoCo, the judge, is not installed.
    """
    if not physics.available():
        raise InputError("the prompts are judged in physics: pip install 'hoijax[physics]'")
    others = config.cases == "others"
    cases = other_cases() if others else prompt_cases()
    chosen = [int(k) for k in config.only.split(",") if k.strip()] or list(range(len(cases)))
    folder = config.work / ("others" if others else "full")
    for each in (folder, config.out):
        each.mkdir(parents=True, exist_ok=True)
    settings = SynthesisConfig(
        count=config.count,
        draws=config.draws,
        optimise=OptimiseConfig(tries=config.tries),
        affordance=config.affordance,
    )
    made_with = {name: getattr(config, name) for name in ("count", "draws", "tries", "affordance", "lod")}
    kept: dict[Any, Any] = {}
    rows = {k: _finished(folder, k, made_with) or _run(cases[k], k, settings, made_with, folder, kept) for k in chosen}
    print(json.dumps(summary(list(rows.values())), indent=1))
    record = {"settings": made_with, "summary": summary(list(rows.values())), "rows": rows}
    name = "interactanything_others" if others else "interactanything"
    write_json(config.out / f"{name}.json", record)
    picture = OTHERS_SHEET if others and config.picture == SHEET else config.picture
    text = others_markdown(record, picture is not None) if others else markdown(record)
    write_text(config.out / f"{name}.md", text)
    if picture is not None:
        out = io.BytesIO()
        Image.fromarray(sheet(rows, folder, config.lod)).save(out, "JPEG", quality=80)
        write_bytes(picture, out.getvalue())


def _finished(folder: pathlib.Path, number: int, made_with: Mapping[str, Any]) -> dict[str, Any] | None:
    """A prompt's row, if it was made with these settings."""
    path = folder / f"{number:02d}.json"
    row = read_json(path) if path.is_file() else {}
    return row if row.get("settings") == made_with else None


def _run(
    case: Case,
    number: int,
    settings: SynthesisConfig,
    made_with: Mapping[str, Any],
    folder: pathlib.Path,
    kept: dict[Any, Any],
) -> dict[str, Any]:
    def keep(row: Mapping[str, Any], prepared: Any, candidates: Sequence[Any]) -> None:
        best, mesh = candidates[0], prepared.template.mesh
        place = np.asarray(mesh.vertices) @ np.asarray(best.pose.rotation).T + np.asarray(best.pose.translation)
        scene = {
            "body": np.asarray(best.body, np.float32),
            "object": place.astype(np.float32),
            "faces": np.asarray(mesh.faces),
        }
        write_npz(folder / f"{number:02d}.npz", scene)

    lod, tell = made_with["lod"], functools.partial(print, flush=True)
    row = evaluate([case], settings, lod=lod, picture=keep, tell=tell, kept=kept)[0] | {"settings": dict(made_with)}
    write_json(folder / f"{number:02d}.json", row)
    return read_json(folder / f"{number:02d}.json")


def sheet(rows: Mapping[int, Mapping[str, Any]], folder: pathlib.Path, lod: str) -> np.ndarray:
    """One picture of the best candidate of each prompt."""
    faces, cells = np.asarray(free_body(lod).faces), []
    for number, row in rows.items():
        scene = read_npz(folder / f"{number:02d}.npz")
        body, thing = scene["body"], scene["object"]
        seen = thing
        if np.ptp(thing, axis=0).max() > LARGE:
            seen = thing[np.linalg.norm(thing - body.mean(axis=0), axis=1) < NEAR]
        azimuth, elevation = np.radians(np.array([[AZIMUTH], [ELEVATION]], np.float32))
        rig = frame_points(np.concatenate([body, seen]), azimuth=azimuth, elevation=elevation, image_size=(SIZE, SIZE))
        meshes = [NamedMesh("body", body, faces), NamedMesh("object", thing, scene["faces"])]
        picture = render_views(meshes, rig, floor=0.0, studio=Studio(samples=2))[0]
        wrong = ", ".join(k for k, v in row["checks"].items() if not v)
        cells.append((picture, f"{number + 1}. {row['sentence'][9:]}{': FAILS ' + wrong if wrong else ''}"))
    return contact_sheet(cells, cell=SIZE, columns=COLUMNS)


def markdown(record: Mapping[str, Any]) -> str:
    """The page."""
    total, rows, settings = record["summary"], record["rows"], record["settings"]
    lines = [
        "# The fifty prompts",
        "",
        "`python -m hoijax.experiments.interactanything.run`: the prompts of our benchmark,",
        f"{settings['count']} candidates each, on procedural shapes, with nothing but what ships (offline reasoner,",
        "bank of poses, no diffusion). A candidate is valid if every asked part is within 2 cm of its place, nothing",
        "is deeper than 1 cm, the object is where the relations say, and support or grasp hold in the physics judge",
        "for two seconds; a prompt counts by its best candidate. Prompts and shapes were at hand while the scripts",
        "were written.",
        "",
        f"**{total['valid']} of {total['prompts']} prompts valid**; parts {total['parts']}, depth {total['depth']},",
        f"place {total['place']}, physics {total['physics']}; of all candidates "
        f"{100 * total['candidates_valid']:.0f} %.",
        "",
        "![the best candidate of each prompt](../images/interactanything.jpg)",
        "",
        *table(rows),
        "",
        "– : nothing rests, so nothing is judged: what is worn by straps, a ball that is dribbled.",
        "",
    ]
    return "\n".join(lines)


def others_markdown(record: Mapping[str, Any], shown: bool = True) -> str:
    """The page of meshes that nobody here made; `shown`: with its sheet."""
    total, rows, settings = record["summary"], record["rows"], record["settings"]
    lines = [
        "# Meshes that nobody here made",
        "",
        "`python -m hoijax.experiments.interactanything.run --cases others`: twenty CC0 shapes of the test split and",
        f"ten meshes of robosuite and metaworld, {settings['count']} candidates each, by the rule of",
        "[the fifty prompts](interactanything.md). A mesh in an unknown unit is brought to its noun's usual size.",
        "",
        f"**{total['valid']} of {total['prompts']} valid**; parts {total['parts']}, depth {total['depth']},",
        f"place {total['place']}, physics {total['physics']}; of all candidates "
        f"{100 * total['candidates_valid']:.0f} %."
        + ("" if len(rows) == len(other_cases()) else f" The other {len(other_cases()) - len(rows)} were not run."),
        "",
        *([f"![the best candidate of each](../images/{OTHERS_SHEET.name})", ""] if shown else []),
        *table(rows, named=True),
        "",
    ]
    return "\n".join(lines)


def table(rows: Mapping[Any, Mapping[str, Any]], named: bool = False) -> list[str]:
    """A line for each row."""
    lines = [
        "| | prompt | valid candidates | farthest part, mm | deepest, mm | moves in physics, cm | fails |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, row in rows.items():
        far = max(row["contact"].values(), default=0.0)
        moves = "–" if row["physics"] is None else f"{100 * row['physics']['displacement']:.1f}"
        wrong = ", ".join(k for k, v in row["checks"].items() if not v)
        valid = f"{sum(c['valid'] for c in row['candidates'])} of {len(row['candidates'])}"
        numbers = f"{1000 * far:.0f} | {1000 * row['depth']:.0f} | {moves}"
        told = f"{row['name']}: {row['sentence']}" if named else row["sentence"]
        lines.append(f"| {int(number) + 1} | {told} | {valid} | {numbers} | {wrong} |")
    return lines


if __name__ == "__main__":
    main(tyro.cli(Config))
