"""How InteractAnything's learned affordance and its prior of poses were made.

    python -m hoijax.experiments.recipes interactanything --out runs/affordance
    python -m hoijax.experiments.recipes interactanything_prior --out runs/interactanything_prior

The affordance: a hundred interactions of SynthHOI, made without pictures, and two CPU minutes of training.

The prior: rows of the bank's scripts, some refined, then the training: a quarter of an hour of one core.
"""

import pathlib

from hoijax.experiments.common.recipes import Expected, Part, Recipe
from hoijax.experiments.interactanything import poses, touches, train, train_prior

_POSES = poses.Config(work=pathlib.Path("poses"))
_TRAINING = train_prior.Config(data=_POSES.work, out=pathlib.Path("prior"))
TOUCHES, NETWORK = pathlib.Path("touches"), pathlib.Path("network")
_AFFORDANCE = "interactanything_affordance.json"

RECIPES = (
    Recipe(
        name="interactanything",
        ships="interactanything/affordance.safetensors",
        weights=NETWORK / train.FILE,
        hardware="two busy CPU cores",
        parts=(
            Part(
                "touches", "hoijax.experiments.interactanything.touches", touches.main,
                touches.Config(work=TOUCHES, count=100), TOUCHES / "train.json", {"count": 2}, 20,
            ),
            Part(
                "training", "hoijax.experiments.interactanything.train", train.main,
                train.Config(data=TOUCHES, out=NETWORK), NETWORK / train.FILE, {"batch": 2, "log_every": 1}, 16,
            ),
        ),
        expected=tuple(
            Expected(f"{what}, SynthHOI test", value, _AFFORDANCE, ("test", "scores", "learned", key))
            for what, key, value in (("area under the curve", "auc", 0.91), ("F1", "f1", 0.498))
        ),
    ),
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
