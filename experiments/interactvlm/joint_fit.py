"""The joint fit of body and object (`hoijax.optim.fitting.fit_joint`) on SynthHOI, beside the published ways.

    hoijax data build synth_hoi --root ROOT --set train=0 val=64 test=64
    python -m hoijax.experiments.interactvlm.joint_fit --root ROOT --split dev

The body is fitted to its landmarks with 5 pixels and 30 mm of noise; camera, masks and mesh are true. Contacts:

- true: surfaces within 2 cm of each other;
- perturbed: a random third of each set is dropped, a patch of 8 cm that does not touch is added beside it, and pairs
  are off by 3 cm;
- flipped: of 30 % of the body's vertices and of the object's points the label is the wrong one;
- predicted: the light contact network's, from the picture (`hoijax.nets.pair_contact`).

PICO is given pairs, the others are not: with flipped and predicted contacts, which have none, each touching vertex with
the nearest touching point after the fit by the mask, as in `hoijax fit`.

Chamfer: between 4,000 points of the object's surface a side, there plus back, after the similarity that brings the
fitted body to the true one. Contact F: body vertices within 5 cm of the object, against the truth's. Penetration:
deepest body vertex in the object.

"Mask alone" is `fit_object`, whose answers join the starts of `joint`, as in `hoijax fit`; the "start of joint" is the
one of these that its answer began at. Writes `joint_fit.json` and `.md` to `--out`, anew after each sample; a run that
was stopped, or of fewer samples (`--count`), goes on after its last one.
"""

import dataclasses
import functools
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import trimesh
import tyro
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from hoijax.body_models import BodyModel, BodyParams, free_body, pose_body_compiled
from hoijax.data.objects import random_object
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.common.environment import machine
from hoijax.experiments.common.pages import RESULTS, number, page, settings_of, table, write_page
from hoijax.experiments.common.splits import Split, note_of, synth_splits
from hoijax.experiments.interactvlm.light_scores import points_asked
from hoijax.geometry import RigidPose, query_sdf, umeyama
from hoijax.interaction import ObjectTemplate, make_solid_template
from hoijax.io import read_json
from hoijax.jobs.joint_fit import paired
from hoijax.jobs.photo_people import find_person
from hoijax.jobs.photographs import Photograph
from hoijax.metrics import bootstrap_mean, vertex_scores_host
from hoijax.nets.blaze import load as load_blaze
from hoijax.nets.pair_contact import load_pair_contact
from hoijax.optim.fitting import (
    MEDIAPIPE_BODY,
    PRESETS,
    ContactEvidence,
    Intrinsics,
    JointConfig,
    ObjectFit,
    ObjectFitConfig,
    fit_joint_compiled,
    fit_object_compiled,
    fit_people,
    joint_problem,
    object_scene,
    object_shape,
    object_target,
    observe,
    place_points,
    point_table,
    prepare_body,
)
from hoijax.systems.interactvlm.pairs import body_points, label_number, make_pair, object_surface, pair_contact

NAMES = tuple(name for name in MEDIAPIPE_BODY if name)
PIXELS, METRES = 5.0, 0.03
TOUCH, NEAR = 0.02, 0.05
SAMPLES = 4000
KINDS = ("true", "perturbed", "flipped", "predicted")
FLIPPED = 0.3
METRICS = {"chamfer_cm": "lower", "contact_f": "higher", "penetration_cm": "lower"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    root: pathlib.Path
    """Where SynthHOI was built."""
    split: Split = "dev"
    """Whose samples are fitted."""
    count: int = 30
    """Samples."""
    rows: tuple[str, ...] = ("joint", "released", "pico")
    """Which presets; the initialisation is that of "joint"."""
    kinds: tuple[str, ...] = KINDS
    """Which contacts."""
    start: int = 0
    """Number of the split's sample to begin at."""
    seed: int = 0
    """Of the noise."""
    out: pathlib.Path = RESULTS
    """Folder of the page."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A sample, its fitted body, and what the fits are told."""

    key: str
    category: str
    action: str
    body: np.ndarray
    """(V, 3), true, camera frame."""
    params: BodyParams
    """Fitted."""
    matrix: np.ndarray
    masks: tuple[np.ndarray, np.ndarray]
    """Object, person."""
    template: ObjectTemplate
    surface: np.ndarray
    """(N, 3) samples of the object, its own frame."""
    pose: RigidPose
    """True."""
    image: np.ndarray
    """(H, W, 3) uint8."""

    @functools.cached_property
    def placed(self) -> np.ndarray:
        """The true object's samples."""
        return place(self.pose, self.surface)


def place(pose: RigidPose, points: np.ndarray) -> np.ndarray:
    """Points under a pose."""
    return float(pose.scale) * points @ np.asarray(pose.rotation, np.float64).T + np.asarray(pose.translation)


class Reader:
    """Samples to cases."""

    def __init__(self, seed: int):
        self.model, self.coarse = free_body(), free_body("test")
        self._body = prepare_body(self.coarse, NAMES)
        self._table = point_table(self.model, NAMES)
        self._seed = seed
        self._template = functools.lru_cache(maxsize=64)(self._make)
        self._network: Network | None = None

    def _make(self, category: str, seed: int) -> tuple[ObjectTemplate, np.ndarray]:
        mesh = random_object(category, seed).mesh
        whole = trimesh.Trimesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), process=False)
        return make_solid_template(mesh)[0], trimesh.sample.sample_surface(whole, SAMPLES, seed=0)[0]

    def read(self, sample: dict[str, Any], index: int) -> Case:
        """A sample of SynthHOI and its number, which the noise belongs to."""
        self._rng = np.random.default_rng([self._seed, index])
        turn = np.asarray(sample["T_camera_world"], np.float64)
        params = BodyParams.from_axis_angle(
            self.model, **{k: jnp.asarray(v, jnp.float32) for k, v in sample["body"].items()}
        )
        body = np.asarray(pose_body_compiled(self.model, params).vertices) @ turn[:3, :3].T + turn[:3, 3]
        matrix = np.asarray(sample["intrinsics"], np.float32)
        template, surface = self._template(sample["category"], int(sample["object_seed"]))
        pose = RigidPose(
            turn[:3, :3] @ Rotation.from_rotvec(np.asarray(sample["obj_rot"], np.float64)).as_matrix(),
            turn[:3, :3] @ np.asarray(sample["obj_trans"], np.float64) + turn[:3, 3],
            np.float64(1),
        )
        return Case(
            str(sample["key"]), sample["category"], sample["action"], body, self._fit(params, turn, matrix), matrix,
            (np.asarray(sample["object_mask"], bool), np.asarray(sample["human_mask"], bool)), template, surface, pose,
            np.asarray(sample["image"]),
        )  # fmt: skip

    def _fit(self, params: BodyParams, turn: np.ndarray, matrix: np.ndarray) -> BodyParams:
        points = np.asarray(place_points(self._table, params)[0], np.float64) @ turn[:3, :3].T + turn[:3, 3]
        pixels = points[:, :2] / points[:, 2:] * matrix[[0, 1], [0, 1]] + matrix[:2, 2]
        seen = observe(
            NAMES, pixels + PIXELS * self._rng.normal(size=pixels.shape),
            metric=points + METRES * self._rng.normal(size=points.shape), pixel_std=PIXELS, metric_std=METRES,
            spread=0.0,
        )  # fmt: skip
        fit = fit_people(self._body, seen, Intrinsics(matrix, np.float32(0), "given"))
        return jax.tree.map(np.asarray, fit.params)

    def evidence(self, case: Case, kind: str) -> ContactEvidence:
        """Who touches what."""
        if kind == "predicted":
            self._network = self._network or Network(self.model)
            return self._network.evidence(case)
        to_object, pair = cKDTree(case.placed).query(case.body)
        to_body = cKDTree(case.body).query(case.placed)[0]
        body, obj = to_object < TOUCH, to_body < TOUCH
        pair_body, pair_object = np.flatnonzero(body), case.surface[pair[body]]
        if kind == "perturbed":
            body, obj = (self._perturb(points, mask) for points, mask in ((case.body, body), (case.placed, obj)))
            noise = METRES / np.sqrt(3) * self._rng.normal(size=pair_object.shape)
            pair_object = case.surface[cKDTree(case.surface).query(pair_object + noise)[1]]
        pairs: tuple | None = (pair_body, pair_object.astype(np.float32))
        if kind == "flipped":
            body, obj = (mask ^ (self._rng.random(len(mask)) < FLIPPED) for mask in (body, obj))
            pairs = None
        return ContactEvidence(body.astype(np.float32), obj.astype(np.float32), case.surface, pairs)

    def _perturb(self, points: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """A third of a set dropped, about one of its points; a patch beside it added."""
        ids = np.flatnonzero(mask)
        if not len(ids):
            return mask
        out = mask.copy()
        centre = points[self._rng.choice(ids)]
        out[ids[np.argsort(np.linalg.norm(points[ids] - centre, axis=1))[: len(ids) // 3]]] = False
        beside = np.linalg.norm(points - centre, axis=1)
        near = np.flatnonzero((beside > 0.08) & (beside < 0.25) & ~mask)
        if len(near):
            patch = np.linalg.norm(points - points[self._rng.choice(near)], axis=1) < 0.08
            out |= patch & (cKDTree(points).query(points)[0] == 0)
        return out


class Network:
    """The shipped light contact network on a case's picture; a person whom nobody finds is hidden from it."""

    def __init__(self, model: BodyModel):
        network, facts = load_pair_contact()
        self._sizes = network.config
        self._landmarks = {name: load_blaze(name) for name in ("detector", "landmarks")}
        self._body = body_points(model, network.config.reach)
        self._ask = jax.jit(functools.partial(pair_contact, network, thresholds=tuple(facts["threshold"])))

    def evidence(self, case: Case) -> ContactEvidence:
        """Probabilities on the body's vertices and at the object's samples."""
        obj = case.masks[0]
        picture = Photograph(case.key, pathlib.Path(), case.image, np.zeros_like(obj), obj)
        try:
            person, _ = find_person(self._landmarks, picture)
            told = [np.asarray(x) for x in (person.landmarks, person.metric, person.visibility)]
        except InputError:
            told = [None] * 3
        mesh, sizes = case.template.mesh, self._sizes
        surface = object_surface(mesh, sizes.reach, boxes=sizes.boxes)
        asked = points_asked(mesh, surface.points, case.surface, sizes)
        pair = make_pair(*told, obj, label_number(case.category, sizes.words), surface, sizes.mask)
        found = jax.tree.map(np.asarray, self._ask(pair, self._body, asked))
        return ContactEvidence(found.body[0], found.object[0], case.surface)


def measure(model: Any, case: Case, params: BodyParams, pose: RigidPose) -> dict[str, float]:
    """The numbers of the page."""
    body = np.asarray(pose_body_compiled(model, params).vertices, np.float64)
    obj = place(pose, case.surface)
    to_true = umeyama(body, case.body)
    chamfer = _chamfer(place(to_true, obj), case.placed)
    touching, truth = (cKDTree(o).query(b)[0] < NEAR for o, b in ((obj, body), (case.placed, case.body)))
    local = (body - np.asarray(pose.translation)) @ np.asarray(pose.rotation, np.float64) / float(pose.scale)
    depth = -float(pose.scale) * float(np.asarray(_distance(case.template.sdf, local.astype(np.float32))).min())
    return {
        "chamfer_cm": 100 * chamfer,
        "contact_f": vertex_scores_host(touching, truth).f1,
        "penetration_cm": 100 * max(depth, 0.0),
    }


_distance = jax.jit(query_sdf)


def _chamfer(a: np.ndarray, b: np.ndarray) -> float:
    return float(cKDTree(a).query(b)[0].mean() + cKDTree(b).query(a)[0].mean())


def fit_mask(reader: Reader, case: Case) -> ObjectFit:
    """The object over its mask."""
    obj, person = case.masks
    shape, target = object_shape(case.template.mesh), object_target(obj, case.matrix, person=person)
    surface = np.asarray(pose_body_compiled(reader.coarse, case.params).vertices), np.asarray(reader.coarse.faces)
    found = fit_object_compiled(shape, target, object_scene(target, surface), ObjectFitConfig())
    return jax.tree.map(np.asarray, found)


def fit_case(
    reader: Reader, case: Case, contact: ContactEvidence, configs: dict[str, JointConfig], mask: ObjectFit
) -> dict[str, dict[str, float]]:
    """Every row's numbers on one case."""
    obj, person = case.masks
    target = object_target(obj, case.matrix, person=person, size=64)
    found: dict[str, dict[str, float]] = {}
    if contact.pairs is None:
        contact = paired(contact, np.asarray(pose_body_compiled(reader.model, case.params).vertices), mask.best)
    problem = joint_problem(
        reader.model, case.params, case.template.mesh, case.template.sdf, contact, target, picture=obj.shape,
        matrix=case.matrix, person=person, hidden=obj & ~person, surface=reader.coarse,
    )  # fmt: skip
    found["mask"] = measure(reader.model, case, case.params, mask.best)
    for name, config in configs.items():
        began = time.process_time()
        more = mask.pose if config.start == "contacts" else None
        fit = jax.tree.map(np.asarray, fit_joint_compiled(problem, config, more))
        if name == "joint":
            found["start"] = measure(reader.model, case, case.params, fit.start)
        found[name] = measure(reader.model, case, fit.body, fit.best) | {"cpu_s": time.process_time() - began}
    return found


def main(config: Config, configs: dict[str, JointConfig] = PRESETS) -> dict[str, Any]:
    """Fits, scores, prints and writes.

    Raises:
      InputError: no sample can be used.
    """
    began = time.perf_counter()
    data, reader = open_split(config.root, synth_splits(config.split)[0]), Reader(config.seed)
    configs = {name: configs[name] for name in config.rows}
    record = begin(config)
    each, cases, spent = record["each"], record["cases"], record["seconds"]
    first = cases[-1]["index"] + 1 if cases else config.start
    for index in tqdm(range(first, len(data)), disable=None):
        if len(cases) >= config.count:
            break
        sample = data[index]
        if not usable(sample):
            continue
        case = reader.read(sample, index)
        mask = fit_mask(reader, case)
        found = {kind: fit_case(reader, case, reader.evidence(case, kind), configs, mask) for kind in config.kinds}
        for kind, rows in found.items():
            for name, row in rows.items():
                each[kind].setdefault(name, []).append(row)
        cases.append({"index": index, "key": case.key, "category": case.category, "action": case.action})
        record = {
            "config": settings_of(config, ("out", "root")), "machine": machine(), "cases": cases, "each": each,
            "scores": {kind: score(rows) for kind, rows in each.items()},
            "seconds": round(spent + time.perf_counter() - began, 1),
        }  # fmt: skip
        write_page(config.out, "joint_fit", record, markdown(record))  # of what there is so far
    if not cases:
        raise InputError(f"no sample of {config.split} in {config.root} shows enough of an object that is touched")
    print(markdown(record))
    return record


def begin(config: Config) -> dict[str, Any]:
    """What an earlier run of the same settings found, or nothing yet.

    Raises:
      InputError: the folder holds a run of other settings.
    """
    path = config.out / "joint_fit.json"
    if not path.exists():
        return {"each": {kind: {} for kind in config.kinds}, "cases": [], "seconds": 0.0}
    record = read_json(path)
    wanted = settings_of(config, ("out", "root"))
    differing = [name for name, value in wanted.items() if name != "count" and record["config"].get(name) != value]
    if differing:
        raise InputError(
            f"{path} is of a run with other {', '.join(differing)}; give another --out, or remove it to begin anew"
        )
    return record


def usable(sample: dict[str, Any]) -> bool:
    """Whether at least a fifth of the object is seen and something touches."""
    share = sample["object_mask"].sum() / max(sample["object_full_mask"].sum(), 1)
    return bool(share > 0.2 and sample["object_mask"].sum() > 200 and sample["body_contact"].any())


def score(rows: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Means, and of "joint" the mean differences from the others with 95 % intervals over the same samples."""
    out: dict[str, dict[str, Any]] = {}
    for name, found in rows.items():
        out[name] = {metric: float(np.mean([row[metric] for row in found])) for metric in METRICS}
        out[name] |= {"cpu_s": float(np.median([row.get("cpu_s", np.nan) for row in found])), "samples": len(found)}
        if name != "joint" and "joint" in rows:
            for metric in METRICS:
                gain = [a[metric] - b[metric] for a, b in zip(rows["joint"], found)]
                interval = bootstrap_mean(np.asarray(gain))
                out[name][f"gain_{metric}"] = [interval.mean, interval.low, interval.high]
    return out


def markdown(record: dict[str, Any]) -> str:
    """The page of a record."""
    blocks = []
    titles = {
        "mask": "mask alone",
        "start": "start of joint",
        "joint": "joint",
        "released": "InteractVLM, released",
        "pico": "PICO",
    }
    for kind, scores in record["scores"].items():
        cells = []
        for name, s in scores.items():
            row = [titles.get(name, name)]
            for metric in METRICS:
                value = number(s[metric], 2)
                if f"gain_{metric}" in s:
                    mean, low, high = s[f"gain_{metric}"]
                    value += f" ({mean:+.2f}; {low:+.2f} to {high:+.2f})"
                row.append(value)
            cells.append([*row, str(s["samples"]), number(s["cpu_s"], 1)])
        head = ["", "Chamfer, cm", "contact F", "deepest penetration, cm", "samples", "CPU, s"]
        blocks += [f"## Contacts: {kind}", table(head, cells)]
    return page(
        "Body and object fitted together",
        "Made by `python -m hoijax.experiments.interactvlm.joint_fit`, whose docstring says how.",
        f"{len(record['cases'])} samples of SynthHOI's {record['config']['split']} split, means; in parentheses what "
        "`joint` has more, over the same samples, with a 95 % interval." + note_of(record["config"]),
        *blocks,
        f"{record['machine']}, shared with other work; {record['seconds']:.0f} s.",
    )


if __name__ == "__main__":
    main(tyro.cli(Config))
