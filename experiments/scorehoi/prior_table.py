"""How much ScoreHOI's prior without pictures helps: perturbed interactions of SynthHOI, refined in four ways.

    python -m hoijax.experiments.scorehoi.prior_table --root DIR                 # on the split to choose on
    python -m hoijax.experiments.scorehoi.prior_table --root DIR --split test    # the page

Every interaction of the split is perturbed as in `refine_stats` (body and object each shifted by 10 cm and turned by 15
degrees, every joint by 5 degrees, root mean square) and refined by gradients, by the prior, and by the prior and then
gradients, which is what `hoijax refine --prior scorehoi` does. Which parts touch is not told unless `--given`: it is
proposed from the estimate, or from the prior's answer. Scores are the evaluation harness's, which shares no code with
either refiner, but for the depth of the body in the object, read from a distance grid; intervals are bootstraps over
object instances. A finished split's predictions are kept and not made again. Writes `scorehoi_prior.md` and `.json`.
"""

import dataclasses
import json
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from hoijax.body_models import BodyModel, BodyParams, free_body, pose_body_compiled
from hoijax.data.evaluation import EvaluateConfig, open_truth
from hoijax.data.evaluation.table import rows_of
from hoijax.data.synth import open_split
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, heading, interval, page, settings_of, table, write_page
from hoijax.experiments.common.splits import Split, note_of, synth_splits
from hoijax.experiments.refine_stats import Perturbation, perturb
from hoijax.experiments.scorehoi.predictors import template_of
from hoijax.experiments.scorehoi.score_tables import score_rows
from hoijax.experiments.scorehoi.states import POSES
from hoijax.geometry import RigidPose, query_sdf
from hoijax.io import output_directory, value_digest, write_json, write_npz
from hoijax.optim.fields import body_field
from hoijax.optim.gradient import RefineConfig, refine_batch
from hoijax.systems.scorehoi.score_prior import ScorePrior, polish_config

METHODS = ("as given", "gradients", "prior", "prior, then gradients")
COLUMNS = {
    "mpjpe_root_mm": "joints, mm",
    "chamfer_body_cm": "body Chamfer, cm",
    "chamfer_object_cm": "object Chamfer, cm",
    "contact_5cm_f1": "contact F at 5 cm",
    "body_in_object_mm": "body in object, mm",
}

PLACES = ("root", "work", "out")
"""Settings that say where on this machine, not what; left out of the results."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    root: pathlib.Path
    """Root of a built SynthHOI."""
    split: Split = "dev"
    """Of SynthHOI: "dev" to choose on, "test" for the page (`hoijax.data.synth.config`)."""
    weights: pathlib.Path | None = None
    """Of the prior; those that are shipped."""
    samples: int | None = None
    """Only so many of each split, the first."""
    batch: int = 25
    given: bool = False
    """Tell the refiners which parts touch."""
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)
    seed: int = 0
    metrics: tuple[str, ...] = ("body", "surface", "contact")
    work: pathlib.Path = pathlib.Path("runs/scorehoi_prior_table")
    """Where predictions and scores are kept."""
    out: pathlib.Path = RESULTS


def perturb_estimates(samples: list[dict[str, Any]], config: Config, first: int) -> tuple[BodyParams, RigidPose]:
    """Estimates of some samples, each perturbed by its place in the split."""
    bodies, objects = [], []
    for i, sample in enumerate(samples):
        vectors = np.concatenate([np.asarray(sample["body"][name]).reshape(-1, 3) for name in POSES])
        truth = (
            BodyParams(
                rotations=jnp.asarray(Rotation.from_rotvec(vectors).as_matrix(), jnp.float32),
                betas=jnp.asarray(sample["body"]["betas"], jnp.float32),
                translation=jnp.asarray(sample["body"]["transl"], jnp.float32),
            ),
            RigidPose(
                rotation=jnp.asarray(Rotation.from_rotvec(sample["obj_rot"]).as_matrix(), jnp.float32),
                translation=jnp.asarray(sample["obj_trans"], jnp.float32),
                scale=jnp.ones((), jnp.float32),
            ),
        )
        key = jax.random.fold_in(jax.random.key(config.seed), first + i)
        body, obj = perturb(key, *truth, 1, config.perturbation)
        bodies.append(body)
        objects.append(obj)
    return tuple(jax.tree.map(lambda *x: np.concatenate([np.asarray(v) for v in x]), *s) for s in (bodies, objects))


class Refiners:
    """The ways to refine a batch, each a function of estimates; `seconds` sums up what each took, first call apart."""

    def __init__(self, config: Config):
        self.config, self.model = config, free_body()
        self.prior = ScorePrior(self.model, config.weights, (0.0, 1.0, 0.0))
        self.field = body_field(self.model)
        self.settings, self.polish = RefineConfig(), polish_config()
        self.seconds = dict.fromkeys(METHODS, 0.0)
        self.counted = dict.fromkeys(METHODS, 0)
        self.warm: set[str] = set()

    def __call__(
        self, method: str, samples: list[dict[str, Any]], params: BodyParams, pose: RigidPose
    ) -> tuple[BodyParams, RigidPose]:
        """One method's answer on a batch."""
        run = lambda: jax.tree.map(np.asarray, self._run(method, samples, params, pose))  # noqa: E731
        if method not in self.warm:
            run()
            self.warm.add(method)
        began = time.perf_counter()
        answer = run()
        self.seconds[method] += time.perf_counter() - began
        self.counted[method] += len(samples)
        return answer

    def _run(self, method: str, samples: list[dict[str, Any]], params: Any, pose: Any) -> tuple[Any, Any]:
        if method == "as given":
            return params, pose
        templates = [template_of(s["category"], int(s["object_seed"])) for s in samples]
        parts = [tuple(s["contact_parts"].replace(" ", "").split(",")) for s in samples] if self.config.given else None
        if method != "gradients":
            params, pose, parts = self.prior(templates, params, pose, parts)
        if method != "prior":
            settings = self.settings if method == "gradients" else self.polish
            result = refine_batch(self.model, params, templates, pose, parts, settings, body=self.field)
            params, pose = result.params, result.pose
        return params, pose


def made_from(config: Config, refiners: Refiners) -> str:
    """Digest of what predictions depend on."""
    parts = (config.perturbation, refiners.prior.config, refiners.settings, refiners.polish)
    settings = [dataclasses.asdict(x) for x in parts]
    return value_digest([*settings, config.seed, config.given, config.samples, refiners.prior.digest])


def predict(config: Config, split: str, refiners: Refiners, folders: dict[str, pathlib.Path]) -> dict[str, Any]:
    """Writes `predictions.npz` of every method, and `facts.json`, which it returns: ids, depths, speeds."""
    facts = config.work / split / "facts.json"
    made_by = made_from(config, refiners)
    if facts.is_file() and json.loads(facts.read_text())["made_by"] == made_by:
        return json.loads(facts.read_text())
    source = open_split(config.root, split)
    count = len(source) if config.samples is None else min(len(source), config.samples)
    rows: dict[str, list[dict[str, np.ndarray]]] = {method: [] for method in METHODS}
    depths: dict[str, list[float]] = {method: [] for method in METHODS}
    ids = []
    for first in tqdm(range(0, count, config.batch), desc=split, disable=None):
        samples = [source[i] for i in range(first, min(first + config.batch, count))]
        ids += [sample["key"] for sample in samples]
        filled = samples + samples[-1:] * (config.batch - len(samples))
        start = perturb_estimates(filled, config, first)
        for method in METHODS:
            params, pose = refiners(method, filled, *start)
            rows[method] += records(refiners.model, params, pose)[: len(samples)]
            depths[method] += depth(refiners.model, params, pose, samples)
    for method, folder in folders.items():
        stacked = {name: np.stack([row[name] for row in rows[method]]) for name in rows[method][0]}
        write_npz(output_directory(folder) / "predictions.npz", stacked | {"ids": np.asarray(ids)})
    speed = {m: refiners.counted[m] / s for m, s in refiners.seconds.items() if m != "as given" and s}
    write_json(facts, {"made_by": made_by, "ids": ids, "depths": depths, "per_second": speed})
    return json.loads(facts.read_text())


_distance = jax.jit(query_sdf)


def depth(model: BodyModel, params: BodyParams, pose: RigidPose, samples: list[dict[str, Any]]) -> list[float]:
    """How deep the deepest body vertex of each interaction lies in the object, millimetres, by its distance grid."""
    vertices, out = np.asarray(pose_body_compiled(model, params).vertices), []
    for i, sample in enumerate(samples):
        template = template_of(sample["category"], int(sample["object_seed"]))
        local = (vertices[i] - np.asarray(pose.translation[i])) @ np.asarray(pose.rotation[i])
        out.append(1000 * float(max(0.0, -np.asarray(_distance(template.sdf, local.astype(np.float32))).min())))
    return out


def records(model: BodyModel, params: BodyParams, pose: RigidPose) -> list[dict[str, np.ndarray]]:
    """The field's keys of each interaction of a batch."""
    keys = {name: np.asarray(value) for name, value in params.to_axis_angle(model).items()}
    keys["obj_rot"] = Rotation.from_matrix(np.asarray(pose.rotation)).as_rotvec().astype(np.float32)
    keys["obj_trans"] = np.asarray(pose.translation)
    return [{name: value[i] for name, value in keys.items()} for i in range(len(keys["transl"]))]


def run(config: Config) -> dict[str, Any]:
    """Refines, scores and writes the table.

    Raises:
      InputError: data or weights are missing; nothing is written then.
    """
    sources = {split: open_truth("synth_hoi", root=config.root, split=split) for split in synth_splits(config.split)}
    refiners = Refiners(config)
    evaluation = EvaluateConfig(metrics=config.metrics)
    splits = {}
    for split, source in sources.items():
        folders = {m: config.work / split / m.replace(", ", "_").replace(" ", "_") for m in METHODS}
        facts = predict(config, split, refiners, folders)
        speed = facts["per_second"]  # of the last split, whose programs were warm
        splits[split] = {}
        for method, folder in folders.items():
            numbers, groups = score_rows(folder, source, facts["ids"], evaluation)
            for key, value in zip(facts["ids"], facts["depths"][method]):
                numbers[key] = numbers[key] | {"body_in_object_mm": value}
            splits[split][method] = rows_of(numbers, groups, evaluation)
    result = {
        "config": settings_of(config, PLACES),
        "weights": {"sha256": refiners.prior.digest, **refiners.prior.facts},
        "guidance": dataclasses.asdict(refiners.prior.config),
        "gradient_steps": {"alone": refiners.settings.steps, "after the prior": refiners.polish.steps},
        "splits": splits,
        "per_second": speed,
        **software(),
    }
    write_page(config.out, "scorehoi_prior", result, markdown(result))
    return result


def markdown(result: dict[str, Any]) -> str:
    """The table with intervals."""
    size, states = result["config"]["perturbation"], result["weights"]["states"]
    told = "told" if result["config"]["given"] else "not told but proposed"
    blocks = [
        f"Interactions perturbed at random (body and object each shifted by {100 * size['shift']:g} cm and turned by "
        f"{size['turn']:g} degrees, every joint by {size['joint']:g} degrees, root mean square), then refined; which "
        f"parts touch is {told}. The prior was trained on {states['scripted']:,} scripted and {states['solved']} "
        "solved interactions of other instances, so it knows what SynthHOI's scripts make people do. Scores are the "
        "evaluation harness's; in brackets 95 % bootstrap intervals over object instances." + note_of(result["config"])
    ]
    for split, rows in result["splits"].items():
        first = next(iter(rows.values()))
        columns = [c for c in COLUMNS if c in first]
        cells = [[method, *(_cell(metrics[c]) for c in columns)] for method, metrics in rows.items()]
        blocks.append(heading(f"{split}, {first['mpjpe_root_mm']['count']} interactions"))
        blocks.append(table(["refined by", *(COLUMNS[c] for c in columns)], cells))
    speeds = ", ".join(f"{method} {rate:.2f}" for method, rate in result["per_second"].items())
    blocks.append(
        f"Interactions per second in batches of {result['config']['batch']} on {result['device']}: {speeds}. Made by "
        "`python -m hoijax.experiments.scorehoi.prior_table --root DIR`."
    )
    return page("ScoreHOI's prior without pictures, on SynthHOI", *blocks)


def _cell(row: dict[str, Any]) -> str:
    return interval(row, 2 if row["mean"] < 20 else 1)


def main() -> None:
    """The command line."""
    result = run_command(run, Config)
    print(markdown(result))


if __name__ == "__main__":
    main()
