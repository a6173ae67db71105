"""What each stage is good for, on some of the prompts.

    python -m hoijax.experiments.interactanything.ablations --work FOLDER

Variants: all; without relations (everything is held before the chest in both palms, the answers of a dialogue that
fails); without refinement (stage E); without affordance (parts may touch anywhere); with the learned affordance;
with poses of the diffusion prior; the paper's terms of equations 6 to 8 with equation 9 as written, and the same with
force closure by the residual wrench. What a variant makes is measured by the sentence's own relations and the same
judge. Finished prompts are kept in the folder.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tyro
from jaxtyping import Float

from hoijax.body_models import BodyModel, free_body
from hoijax.data.objects import make_object
from hoijax.errors import InputError
from hoijax.experiments.interactanything.evaluate import Case, evaluate_case, prompt_cases
from hoijax.geometry import Mesh
from hoijax.geometry.safe import ArrayLike
from hoijax.io import read_json, write_json
from hoijax.io.files import write_text
from hoijax.metrics import bootstrap_mean
from hoijax.systems.interactanything import OptimiseConfig, SynthesisConfig, physics
from hoijax.systems.interactanything.learned import GEOMETRIC, LEARNED
from hoijax.systems.interactanything.prior import BANK, PRIOR
from hoijax.systems.interactanything.relations import Contact, Relations, reason
from hoijax.systems.interactanything.relations.places import places
from hoijax.systems.interactanything.relations.shape import measure
from hoijax.systems.interactanything.system import at_size, on_the_back

PROMPTS = (1, 11, 13, 23, 29, 31, 48, 51)
"""Numbers of the prompts, from 1: those of a list of twelve, made before any ablation was run, whose verb is carry,
sit, lean, hold or push, and `LYING`."""
LYING = Case("bed", "A person lies on the bed", lambda: make_object("bed").mesh)
"""Number 51: nobody lies in the fifty."""
VARIANTS: Mapping[str, str] = {
    "full": "all",
    "no_relations": "without relations",
    "no_refine": "without refinement (stage E)",
    "no_affordance": "without affordance",
    "learned": "the learned affordance",
    "prior": "poses of the diffusion prior",
    "literal": "the paper's terms, equation 9 as written",
    "wrench": "the paper's terms, force closure by the residual wrench",
}
"""What is compared."""
DRAWS = 4000
"""Of the bootstrap."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run, and where it is written."""

    work: pathlib.Path
    """Folder that keeps finished prompts."""
    out: pathlib.Path = pathlib.Path("docs/results")
    """Folder of the page and its numbers."""
    prompts: tuple[int, ...] = PROMPTS
    """From 1."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    count: int = 4
    lod: str = "light"


def variant_config(name: str, count: int) -> SynthesisConfig:
    """The synthesis of a variant.

    Raises:
      InputError: no such variant.
    """
    if name not in VARIANTS:
        raise InputError(f"no variant {name!r}; there are {', '.join(VARIANTS)}")
    optimise = OptimiseConfig(tries=0)
    if name == "no_refine":
        optimise = dataclasses.replace(
            optimise, fine_stages=tuple(dataclasses.replace(s, steps=0) for s in optimise.fine_stages)
        )
    if name in ("literal", "wrench"):
        optimise = dataclasses.replace(optimise, terms="paper", closure=name)
    return SynthesisConfig(
        count=count,
        draws=1,
        optimise=optimise,
        use_affordance=name != "no_affordance",
        affordance=LEARNED if name == "learned" else GEOMETRIC,
        poses=PRIOR if name == "prior" else BANK,
    )


def no_relations(sentence: str, mesh: Mesh) -> Relations:
    """Relations of a dialogue that fails (spec 4.2): held before the chest in both palms, whatever is said."""
    known = reason(sentence, mesh)
    own = places(measure(mesh, known.mesh_scale), "sides")
    own = tuple(box.scaled(1 / known.mesh_scale) for box in own)
    contacts = tuple(Contact(f"{side}_palm", "sides", "grasp", own) for side in ("left", "right"))
    return dataclasses.replace(
        known, object_side_of_human="front", object_face_to_human="front", movable=True, height_band="chest",
        pose="stand", contacts=contacts, contact_kind="grasp", action="hold", notes=(), transcript=(),
    )  # fmt: skip


def run_variant(
    case: Case, name: str, model: BodyModel, config: SynthesisConfig, kept: dict[Any, Any]
) -> dict[str, Any]:
    """The row of one prompt under a variant, measured by the sentence's own relations."""
    if name not in ("no_relations", "no_affordance"):
        return evaluate_case(case, model, config, kept=kept)[0]
    how: dict[str, Any] = {"relations": no_relations} if name == "no_relations" else {}
    made = evaluate_case(case, model, config, kept=kept, judged=False, **how)[2]
    known = on_the_back(at_size(reason(case.sentence, case.mesh())))
    every = {c.body_part: c.places for c in known.contacts}
    starts = [
        dataclasses.replace(
            c.start, rotations=np.asarray(c.params.rotations), translation=np.asarray(c.params.translation),
            object_rotation=np.asarray(c.pose.rotation), object_translation=np.asarray(c.pose.translation),
            places=every if how else c.start.places, script=VARIANTS[name].partition(" (")[0],
        )
        for c in made
    ]  # fmt: skip
    measure = dataclasses.replace(config, refine=False, use_affordance=True)
    return evaluate_case(case, model, measure, kept=kept, starts=starts)[0]


def paired_interval(
    a: Float[ArrayLike, "N"], b: Float[ArrayLike, "N"], draws: int = DRAWS, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of b - a over pairs, with the 95 % interval of a bootstrap over the pairs."""
    found = bootstrap_mean(np.asarray(b, float) - np.asarray(a, float), resamples=draws, seed=seed)
    return found.mean, found.low, found.high


def scores_of(row: Mapping[str, Any]) -> dict[str, float]:
    """What is compared of a prompt: whether its best candidate is valid, the share of valid candidates, distances."""
    each = row["candidates"]
    return {
        "valid": float(row["valid"]),
        "share": float(np.mean([c["valid"] for c in each])),
        "farthest": float(np.median([1000 * max(c["contact"].values(), default=0.0) for c in each])),
        "deepest": float(np.median([1000 * c["depth"] for c in each])),
        "holds": float(np.mean([c["checks"]["physics"] for c in each])),
    }


def main(config: Config) -> None:
    """Runs what is not finished and writes the page.

    Raises:
      InputError: MuJoCo, the judge, is not installed; an unknown prompt or variant.
    """
    if not physics.available():
        raise InputError("the prompts are judged in physics: pip install 'hoijax[physics]'")
    cases = [*prompt_cases(), LYING]
    if wrong := [k for k in config.prompts if not 1 <= k <= len(cases)]:
        raise InputError(f"there are prompts 1 to {len(cases)}; got {wrong}")
    config.out.mkdir(parents=True, exist_ok=True)
    model, kept = free_body(config.lod), {}
    rows: dict[str, dict[int, Any]] = {name: {} for name in config.variants}
    for number in config.prompts:  # prompt by prompt, so that a stopped run has whole pairs
        for name in config.variants:
            path = config.work / name / f"{number:02d}.json"
            wanted = {"count": config.count, "lod": config.lod}
            row = read_json(path) if path.is_file() else {}
            if row.get("settings") != wanted:
                made = run_variant(cases[number - 1], name, model, variant_config(name, config.count), kept)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, made | {"settings": wanted})
                row = read_json(path)
                print(number, name, json.dumps(scores_of(row)), flush=True)
            rows[name][number] = scores_of(row)
    record = {"count": config.count, "rows": rows}
    write_json(config.out / "interactanything_ablations.json", record)
    write_text(config.out / "interactanything_ablations.md", markdown(record))


def markdown(record: Mapping[str, Any]) -> str:
    """The page."""
    rows, count = record["rows"], record["count"]
    first = next(iter(rows))
    numbers = list(rows[first])
    lines = [
        "# Ablations of the fifty prompts",
        "",
        f"`python -m hoijax.experiments.interactanything.ablations`: {len(numbers)} sentences, numbers",
        f"{', '.join(map(str, numbers))} of the [fifty prompts](interactanything.md) (51: a person lies on a bed,",
        "which is none of them); by default those of a list of twelve, made before any ablation was run, whose verb is",
        f"carry, sit, lean, hold or push. {count} candidates each, the same starts for all.",
        "Measured by the sentence's own relations. In brackets the difference to the first row, with the 95 % interval",
        "of a bootstrap over the sentences.",
        "",
        "| | valid prompts | valid candidates, % | holds in physics, % | farthest part, mm | deepest, mm |",
        "|---|---|---|---|---|---|",
    ]
    worse: dict[bool, list[str]] = {True: [], False: []}
    for name, own in rows.items():
        cells = [f"{sum(own[k]['valid'] for k in numbers):.0f} of {len(numbers)}"]
        for key, unit in (("share", 100), ("holds", 100), ("farthest", 1), ("deepest", 1)):
            values = [unit * own[k][key] for k in numbers]
            told = f"{np.mean(values):.0f}"
            if name != first:
                mean, low, high = paired_interval(
                    np.array([unit * rows[first][k][key] for k in numbers], float), np.array(values, float)
                )
                told += f" ({mean:+.0f}, {low:+.0f} to {high:+.0f})"
                if key == "share":
                    worse[high < 0].append(VARIANTS[name])
            cells.append(told)
        lines.append(f"| {VARIANTS[name]} | {' | '.join(cells)} |")
    lines += [
        "",
        "Farthest and deepest: the median over the candidates of a sentence, the mean over the sentences.",
        "",
        *(
            f"{told}: {'; '.join(names)}."
            for told, names in (
                ("Fewer valid candidates, the interval below zero", worse[True]),
                ("Not shown to be worse", worse[False]),
            )
            if names
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Config))
