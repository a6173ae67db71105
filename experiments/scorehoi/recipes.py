"""How ScoreHOI's shipped weights were trained: the prior on states, the regressor, and the denoiser under it.

    python -m hoijax.experiments.recipes scorehoi_prior --out runs/prior
    python -m hoijax.experiments.recipes scorehoi_denoiser --out runs/scorehoi     # the regressor before it

On one thread of a busy two-core machine: the prior 41 minutes; pictures ten minutes, regressor 39, denoiser 8; and a
build of SynthHOI for each of the two. Expected on SynthHOI's test split: the prior and then gradients bring the joints
of perturbed interactions within 59 mm, from 105 (docs/results/scorehoi_prior.md); the regressor and denoiser of this
length see little (docs/results/scorehoi_table1.md).
"""

import pathlib

from hoijax.data.synth import SynthConfig
from hoijax.experiments.common.recipes import Expected, Part, Recipe, SynthBuild, build_synth
from hoijax.experiments.scorehoi import prior, views
from hoijax.experiments.scorehoi.train import DenoiserTraining, RegressorTraining, train

HARDWARE = "one thread of a busy two-core machine"
SYNTH = pathlib.Path("synth")
SCRIPTED, SOLVED = pathlib.Path("views/scripted"), pathlib.Path("views/solved")
REGRESSOR, DENOISER, PRIOR = pathlib.Path("regressor"), pathlib.Path("denoiser"), pathlib.Path("prior")
FILE = "weights.safetensors"
TINY_SYNTH = {
    "synth.train": 2, "synth.val": 0, "synth.test": 0, "synth.test_unseen_category": 0, "synth.scenes": 0,
    "synth.image_size": 96, "synth.actions": ("carry_two_hands", "kick"), "synth.instances": 4, "synth.shapes": 4,
    "synth.steps": 60, "synth.workers": 0,
}  # fmt: skip
"""Changes that make a trial of a build."""
TINY_VIEWS = {"crop": 128, "geometry": 8, "image_size": 128}
"""Changes that make a trial of the pictures, with those of how many."""
TINY = {"size": "tiny", "batch": 2, "log_every": 1}
"""Changes that make a trial of a training."""


def _synth(config: SynthConfig) -> Part:
    made = SYNTH / "synth_hoi/1.0.0/dataset_info.json"
    return Part("synth", "", build_synth, SynthBuild(SYNTH, config), made, TINY_SYNTH)


def _views(name: str, config: views.Config, smoke: dict[str, object]) -> Part:
    module = "hoijax.experiments.scorehoi.views"
    return Part(name, module, views.run, config, config.out / "views.json", TINY_VIEWS | smoke, 5)


_PICTURES = {
    "dataset": "views", "views": (SCRIPTED, SOLVED), "size": "small", "cosine": True, "half": True,
}  # fmt: skip
_REGRESSOR = Part(
    "regressor", "hoijax.experiments.scorehoi.train --stage 1", train,
    RegressorTraining(out=REGRESSOR, steps=2800, batch=16, rate=1e-3, share=0.25, **_PICTURES),
    REGRESSOR / FILE, TINY, 39,
)  # fmt: skip
_DENOISER = Part(
    "denoiser", "hoijax.experiments.scorehoi.train --stage 2", train,
    DenoiserTraining(
        out=DENOISER, first=REGRESSOR / FILE, attention="pooled", levels=600, passes=3, rate=2e-3, batch=256,
        steps=4000, **_PICTURES,
    ),
    DENOISER / FILE, TINY | {"passes": 1}, 8,
)  # fmt: skip
_PRIOR = Part(
    "prior", "hoijax.experiments.scorehoi.prior", prior.train,
    prior.Config(out=PRIOR, root=SYNTH, scripted=20_000, steps=6000),
    PRIOR / FILE, {"scripted": 8, "width": 336, "depth": 1, "features": 4, "batch": 8, "log_every": 1}, 41,
)  # fmt: skip
_SEEN = (
    _synth(SynthConfig(train=400, val=50, test=100, test_unseen_category=50, scenes=100)),
    _views("views of scripts", views.Config(out=SCRIPTED, scripted=2000), {"scripted": 2}),
    _views("views of solved", views.Config(out=SOLVED, root=SYNTH, again=3), {"again": 1}),
    _REGRESSOR,
)

_TABLE = "scorehoi_table1.json", ("splits", "test")
RECIPES = (
    Recipe(
        name="scorehoi_prior",
        ships="scorehoi/prior.safetensors",
        weights=PRIOR / FILE,
        hardware=HARDWARE,
        parts=(_synth(SynthConfig(train=140, val=30, test=100, test_unseen_category=30, scenes=60)), _PRIOR),
        expected=tuple(
            Expected(
                f"joints of perturbed interactions, {method}, mm", value, "scorehoi_prior.json",
                ("splits", "test", method, "mpjpe_root_mm", "mean"),
            )
            for method, value in (("as given", 105.3), ("prior, then gradients", 58.9))
        ),
    ),
    Recipe(
        name="scorehoi_regressor",
        ships="scorehoi/regressor.safetensors",
        weights=REGRESSOR / FILE,
        hardware=HARDWARE,
        parts=_SEEN,
        expected=(
            Expected(
                "body Chamfer distance of the estimates, cm", 15.2, _TABLE[0],
                (*_TABLE[1], "regressor's estimate", "metrics", "chamfer_body_cm", "mean"),
            ),
        ),
    ),
    Recipe(
        name="scorehoi_denoiser",
        ships="scorehoi/denoiser.safetensors",
        weights=DENOISER / FILE,
        hardware=HARDWARE,
        parts=(*_SEEN, _DENOISER),
        expected=(
            Expected(
                "body Chamfer distance after the diffusion, cm", 9.4, _TABLE[0],
                (*_TABLE[1], "full", "seeds", 0, "chamfer_body_cm", "mean"),
            ),
            Expected(
                "contact F at 5 cm after the diffusion", 0.45, _TABLE[0],
                (*_TABLE[1], "full", "seeds", 0, "contact_5cm_f1", "mean"),
            ),
        ),
    ),
)  # fmt: skip
"""Of ScoreHOI."""
