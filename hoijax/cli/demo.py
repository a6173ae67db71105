"""Shows what hoijax does on what ships: estimates refined, each from a visibly wrong start, a case of each system.

The estimates lie in hoijax/assets/demo: cases.json, and for each a body (.npz) and an object (mesh in metres). The
systems' cases are hoijax/cli/demo_systems.py.
"""

import dataclasses
import importlib.resources
import json
import pathlib
import sys
from typing import TYPE_CHECKING

from hoijax.cli.cache import grid_folder
from hoijax.errors import InputError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from hoijax.body_models import BodyModel
    from hoijax.jobs.plans import Plan
    from hoijax.viz import Case


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax demo`."""

    out: pathlib.Path = pathlib.Path("demo_out")
    """Folder for the results; index.html there shows them, refined.html every refined case."""
    only: str = ""
    """Names of the cases to run, separated by commas: of estimates, or scorehoi, graft, interactvlm, interactanything,
    hoi3dgen; without it each system and the first estimate. "estimates" stands for all seven."""
    steps: int | None = None
    """Gradient steps of the estimates, in all; without it the refiner's own number. The systems' cases, such as
    scorehoi, always take their own."""
    pictures: bool = True
    """Make pictures and the page."""
    redo: bool = False
    """Make again what is finished already."""


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


FIRST = 1
"""Estimates that are refined where nothing else is asked for: the systems take the rest of the time."""
ALL = "estimates"


def demo_cases(only: str = "") -> list[DemoCase]:
    """The shipped estimates.

    Args:
      only: names separated by commas, those of systems are left out; "" for all.

    Raises:
      InputError: a name that no case has.
    """
    from hoijax.cli.demo_systems import SYSTEMS

    rows = json.loads((_assets() / "cases.json").read_text("utf-8"))
    cases = {
        row["name"]: DemoCase(**row | {key: tuple(row.get(key, ())) for key in ("contact", "freeze")}) for row in rows
    }
    names, systems = _names(only), [case.name for case in SYSTEMS]
    wrong = [name for name in names if name not in (*cases, *systems, ALL)]
    if wrong:
        raise InputError(f"--only: there is no case {', '.join(wrong)}; the cases are {', '.join((*cases, *systems))}")
    return [cases[name] for name in cases if not names or name in names or ALL in names]


def _names(only: str) -> list[str]:
    return [name.strip() for name in only.split(",") if name.strip()]


def _assets() -> "Traversable":
    """The folder of the shipped cases."""
    return importlib.resources.files("hoijax.assets") / "demo"


def run(options: Options) -> int:
    """Runs the cases and writes their results.

    Args:
      options: see `Options`.

    Returns:
      0; 1 if the case of a system could not be run, which is told.

    Raises:
      InputError: an unknown case, or a folder that cannot be written to.
    """
    from hoijax.cli.demo_systems import SYSTEMS, run_system, section

    cases, names = demo_cases(options.only), _names(options.only)
    cases = cases if names else cases[:FIRST]
    systems = [case for case in SYSTEMS if not names or case.name in names]
    from hoijax.io import check_output_directory
    from hoijax.jobs.screen import tell

    check_output_directory(options.out)
    if cases:
        # Beside the systems' cases the body is theirs: they share its compiled programs.
        page, lod = ("refined.html", "light") if systems else ("index.html", "default")
        _refine(cases, options, page, lod)
    code, sections = 0, []
    for case in systems:
        tell(f"\n{case.title}")
        try:
            with importlib.resources.as_file(_assets()) as assets:
                seconds = run_system(case, assets, options.out, redo=options.redo)
            if options.pictures:
                sections.append(section(case, options.out, seconds))
        except InputError as error:
            code = 1
            print(f"hoijax demo: {case.name}: {error}", file=sys.stderr)
    if sections:
        _write_page(options.out, cases, sections)
    if options.pictures:
        tell(f"open {options.out / 'index.html'}")
    return code


def _refine(cases: list[DemoCase], options: Options, page: str, lod: str) -> None:
    """Refines estimates, all in one batch."""
    from hoijax.body_models import free_body
    from hoijax.jobs.interactions import run_plans
    from hoijax.jobs.requests import refinement_job
    from hoijax.jobs.screen import Phases, tell

    model, phases = free_body(lod), Phases()
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
        page=page,
    )


def _write_page(out: pathlib.Path, cases: list[DemoCase], sections: "list[Case]") -> None:
    """index.html: the first estimate, then the systems."""
    from hoijax.viz import Case, read_scene, write_page

    if cases:
        first, folder = cases[0], out / cases[0].name
        picture = folder / "before_after.png"
        text = "An estimate and a mesh, refined by gradients.\nhoijax refine\n"
        text += f"All {len(cases)}: refined.html." if len(cases) > 1 else "`hoijax demo --only estimates` shows seven."
        pictures = [("before, after", picture)] if picture.is_file() else []
        refined = Case(first.title, None, read_scene(folder / "interaction.glb"), pictures=pictures, text=text)
        sections = [refined, *sections]
    write_page(out / "index.html", "hoijax demo", sections, text="One case of each system, from what ships.")


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
