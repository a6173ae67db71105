"""Refines the shipped cases, each from a visibly wrong start, and makes a page of before and after.

The cases lie in hoijax/assets/demo: cases.json, and for each case a body (.npz) and an object (mesh in metres).
"""

import dataclasses
import importlib.resources
import json
import pathlib
from typing import TYPE_CHECKING

from hoijax.cli.cache import grid_folder
from hoijax.errors import InputError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from hoijax.body_models import BodyModel
    from hoijax.jobs.plans import Plan


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax demo`."""

    out: pathlib.Path = pathlib.Path("demo_out")
    """Folder for the results; index.html there shows them all."""
    only: str = ""
    """Names of the cases to run, separated by commas; without it all of them."""
    steps: int | None = None
    """Gradient steps in all; without it the refiner's own number."""
    pictures: bool = True
    """Make pictures and the page."""
    redo: bool = False
    """Refine again what is finished already."""


@dataclasses.dataclass(frozen=True)
class DemoCase:
    """One row of `cases.json`: a start that is visibly wrong and what should come of it."""

    name: str
    """Name of its folder of results."""
    title: str
    """What a person reads."""
    body: str
    """File of the estimate, beside `cases.json`; parameters of the free body with the object's pose."""
    object: str
    """File of the object, beside `cases.json`; metres, y up."""
    contact: tuple[str, ...]
    """Parts that must touch the object."""
    floor: float | None = 0.0
    """Height of the floor, metres; None: no floor."""
    freeze: tuple[str, ...] = ()
    """What must not move, as in `--freeze`."""


def demo_cases(only: str = "") -> list[DemoCase]:
    """The shipped cases.

    Args:
      only: names separated by commas; "" for all.

    Raises:
      InputError: a name that no case has.
    """
    rows = json.loads((_assets() / "cases.json").read_text("utf-8"))
    cases = {
        row["name"]: DemoCase(**row | {key: tuple(row.get(key, ())) for key in ("contact", "freeze")}) for row in rows
    }
    names = [name.strip() for name in only.split(",") if name.strip()]
    wrong = [name for name in names if name not in cases]
    if wrong:
        raise InputError(f"--only: there is no case {', '.join(wrong)}; the cases are {', '.join(cases)}")
    return [cases[name] for name in names or cases]


def _assets() -> "Traversable":
    """The folder of the shipped cases."""
    return importlib.resources.files("hoijax.assets") / "demo"


def run(options: Options) -> int:
    """Refines the cases and writes their results.

    Args:
      options: see `Options`.

    Returns:
      0.

    Raises:
      InputError: an unknown case, or a folder that cannot be written to.
    """
    cases = demo_cases(options.only)
    from hoijax.body_models import free_body
    from hoijax.io import check_output_directory
    from hoijax.jobs.interactions import run_plans
    from hoijax.jobs.requests import refinement_job
    from hoijax.jobs.screen import Phases, tell

    check_output_directory(options.out)
    model, phases = free_body(), Phases()
    tell(f"{len(cases)} cases, free body of {model.num_vertices:,} vertices")
    with phases("reading, distance grids"), importlib.resources.as_file(_assets()) as assets:
        plans = [_plan(case, assets, options, model) for case in cases]
    job = refinement_job(model, plans, {"verb": "demo", "steps": options.steps}, len(plans))
    run_plans(
        model,
        plans,
        job,
        options.out,
        {},
        pictures=len(plans) if options.pictures else 0,
        redo=options.redo,
        phases=phases,
        title="hoijax demo",
        titles={case.name: case.title for case in cases},
        page="index.html",
    )
    if options.pictures:
        tell(f"open {options.out / 'index.html'}")
    return 0


def _plan(case: DemoCase, assets: pathlib.Path, options: Options, model: "BodyModel") -> "Plan":
    """One case as a plan of one item."""
    from hoijax.io import file_digest, read_parameters
    from hoijax.jobs.floors import FloorRule
    from hoijax.jobs.objects import ObjectAsset
    from hoijax.jobs.plans import plan_files
    from hoijax.optim.gradient import RefineConfig

    config = RefineConfig()
    config = dataclasses.replace(config, freeze=tuple(dict.fromkeys((*config.freeze, *case.freeze))))
    config = config if options.steps is None else config.with_steps(options.steps)
    floor = None if case.floor is None else FloorRule(gravity=(0.0, -1.0, 0.0), level=case.floor)
    source = read_parameters(assets / case.body)
    (plan,) = plan_files({case.name: source}, options.out, model, config, case.contact, floor, {})
    mesh = assets / case.object
    return plan.with_object(
        ObjectAsset.read(mesh, "m", grid_folder()), {"object": file_digest(mesh), "model": "free default"}
    )
