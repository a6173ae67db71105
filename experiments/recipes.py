"""Makes shipped weights anew, or says how.

    python -m hoijax.experiments.recipes                                   # which there are
    python -m hoijax.experiments.recipes graft --show                      # its commands
    python -m hoijax.experiments.recipes graft --out runs/graft            # runs them; goes on where it was stopped
    python -m hoijax.experiments.recipes graft --out runs/try --steps 2    # does it run
    python -m hoijax.experiments.recipes graft --out runs/graft --have synth=data/synth   # SynthHOI is built already

A recipe writes below `--out` alone; shipping its weights means copying the file that it names at the end.
"""

import dataclasses
import pathlib
from typing import Annotated

import tyro

from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.recipes import Recipe, command_of, run_recipe
from hoijax.experiments.graft.recipes import RECIPES as GRAFT
from hoijax.experiments.hoi3dgen.recipes import RECIPES as HOI3DGEN
from hoijax.experiments.interactanything.recipes import RECIPES as INTERACTANYTHING
from hoijax.experiments.scorehoi.recipes import RECIPES as SCOREHOI

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*SCOREHOI, *GRAFT, *HOI3DGEN, *INTERACTANYTHING)}
"""By name."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What is made, and where."""

    name: Annotated[str | None, tyro.conf.Positional] = None
    """Of the recipe; without one all are told."""
    out: pathlib.Path | None = None
    """Folder of its parts; `runs/recipes/NAME` where None."""
    steps: int | None = None
    """Only so many steps of every training, on little data with tiny networks."""
    have: tuple[str, ...] = ()
    """Parts that lie elsewhere already, NAME=FOLDER."""
    show: bool = False
    """Print the commands instead."""

    def __post_init__(self):
        if self.name is not None and self.name not in RECIPES:
            raise InputError(f"no recipe {self.name!r}; there are {', '.join(RECIPES)}")
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps must be at least 1, got {self.steps}")
        for pair in self.have:
            if "=" not in pair or not pathlib.Path(pair.partition("=")[2]).is_dir():
                raise InputError(f"--have wants NAME=FOLDER with a folder that is there, got {pair!r}")


def told(recipe: Recipe) -> str:
    """What a recipe makes, costs and gives."""
    lines = [
        f"{recipe.name}: {recipe.ships}, {recipe.hours:.1f} hours on {recipe.hardware}",
        *(f"  expect {e.what}: {e.value:g} ({e.page})" for e in recipe.expected),
        "  " + recipe.command.format(name=recipe.name),
    ]
    return "\n".join(lines)


def run(config: Config) -> pathlib.Path | None:
    """Tells, shows or makes."""
    if config.name is None:
        print("\n".join(told(recipe) for recipe in RECIPES.values()))
        return None
    recipe = RECIPES[config.name]
    if config.show:
        print("\n".join([told(recipe), *("  " + command_of(part) for part in recipe.parts)]))
        return None
    out = config.out or pathlib.Path("runs/recipes") / recipe.name
    have = dict(pair.split("=", 1) for pair in config.have)
    weights = run_recipe(recipe, out, steps=config.steps, have={k: pathlib.Path(v) for k, v in have.items()})
    print(weights)
    return weights


if __name__ == "__main__":
    run_command(run, Config)
