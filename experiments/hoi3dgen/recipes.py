"""How HOI3DGen's shipped weights, the small SANA's, were made.

    python -m hoijax.experiments.recipes sana_small --out runs/sana_small

Three minutes of one core. Expected: a classifier that was trained on renders sees in its pictures the view of their
tags (docs/results/hoi3dgen_sana.md).
"""

import pathlib

from hoijax.experiments.common.recipes import Expected, Part, Recipe
from hoijax.experiments.hoi3dgen.small_sana import WEIGHTS, Config, make

_CONFIG = Config(out=pathlib.Path("sana_small"))

RECIPES = (
    Recipe(
        name="sana_small",
        ships="hoi3dgen/sana_small.safetensors",
        weights=_CONFIG.out / WEIGHTS,
        hardware="a share of two CPU cores",
        parts=(
            Part(
                "training", "hoijax.experiments.hoi3dgen.small_sana", make, _CONFIG, _CONFIG.out / WEIGHTS,
                {"colourings": 2}, 3,
            ),
        ),
        expected=(
            Expected("drawn pictures whose view is told as their tag", 0.952, "hoi3dgen_sana.json", ("drawn_told",)),
        ),
    ),
)  # fmt: skip
"""Of HOI3DGen."""
