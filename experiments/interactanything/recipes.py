"""How InteractAnything's prior of poses was made.

    python -m hoijax.experiments.recipes interactanything_prior --out runs/interactanything_prior

Rows of the bank's scripts, some refined, then the training: a quarter of an hour of one core.
"""

import pathlib

from hoijax.experiments.common.recipes import Expected, Part, Recipe
from hoijax.experiments.interactanything import poses, train_prior

_POSES = poses.Config(work=pathlib.Path("poses"))
_TRAINING = train_prior.Config(data=_POSES.work, out=pathlib.Path("prior"))

RECIPES = (
    Recipe(
        name="interactanything_prior",
        ships="interactanything/pose_prior.safetensors",
        weights=_TRAINING.out / train_prior.FILE,
        hardware="a share of two CPU cores",
        parts=(
            Part(
                "poses", "hoijax.experiments.interactanything.poses", poses.main, _POSES,
                _POSES.work / "train_robot_2.npz", {"last": 1, "refined": 0}, 12,
            ),
            Part(
                "training", "hoijax.experiments.interactanything.train_prior", train_prior.main, _TRAINING,
                _TRAINING.out / train_prior.FILE, {"sizes.width": 16, "sizes.blocks": 1, "batch": 8}, 2,
            ),
        ),
        expected=(
            Expected("starts that can be used, of those kept by score, %", 76.9, "interactanything_prior.json",
                     ("usable", "kept")),
        ),
    ),
)  # fmt: skip
"""Of InteractAnything."""
