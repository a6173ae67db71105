"""What the picture's terms do for the gradient refiner: overlap with the outlines, contact, penetration.

    hoijax data build synth_hoi --root ROOT --val 50
    python -m hoijax.experiments.refine_pictures --root ROOT

Samples of SynthHOI whose object is more than half seen. The body is fitted to its landmarks with 5 pixels and 30 mm of
noise and to the person's mask, the object to its mask (`object_from_mask`); that is what is refined, once with the
picture's terms as `hoijax reconstruct` does it, once without, by the same stages. Parts that should touch are proposed
from what is near, the same for both.

Overlap is intersection over union of what is drawn and the masks, contact the refiner's own measure (mean distance of
the nearest tenth of each asked part, the farthest part), penetration its deepest point.

Writes `refine_pictures.json` and `.md` to `--out`. Ten minutes on two cores.
"""

import dataclasses
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from tqdm import tqdm

from hoijax.body_models import free_body, pose_body_compiled
from hoijax.data.objects import random_object
from hoijax.data.synth import open_split
from hoijax.experiments.common.environment import machine
from hoijax.experiments.common.pages import RESULTS, number, page, settings_of, table, write_page
from hoijax.experiments.object_from_mask import FULL, NAMES, Bodies, Case, read_case
from hoijax.geometry import Mesh
from hoijax.interaction import make_solid_template
from hoijax.jobs.photo_refine import CONFIG, PhotoRefiner
from hoijax.optim.fields import body_field, object_field
from hoijax.optim.fitting import (
    Intrinsics,
    fit_object_compiled,
    follow_outlines,
    object_scene,
    object_shape,
    object_target,
    outline_target,
    point_table,
)
from hoijax.optim.gradient import (
    body_surfaces,
    outline_overlaps,
    picture_of,
    refine_batch,
)

RESOLUTION = 96
"""Samples of the objects' distance grids along their longest side."""
ROWS = ("as fitted", "refined with the picture", "refined without")


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    root: pathlib.Path
    """Where SynthHOI was built."""
    split: str = "val"
    """Whose samples are looked at."""
    count: int = 12
    """How many."""
    seed: int = 0
    """Of the landmarks' noise."""
    out: pathlib.Path = RESULTS
    """Folder of refine_pictures.json and .md."""


_overlaps = jax.jit(outline_overlaps)


def run_case(case: Case, bodies: Bodies, body: Any, surfaces: Any) -> dict[str, Any]:
    """One sample: each row's numbers, and what the refiner said."""
    light = body.model
    observation, fit = bodies.fit(case)
    intrinsics = Intrinsics(case.matrix, np.float32(0), "given")
    outline = outline_target(case.person, hidden=case.mask & ~case.person)
    fit, _ = follow_outlines(bodies.prepared, bodies.coarse, observation, intrinsics, fit, outline)
    whole = random_object(case.category, case.seed).mesh
    shape = object_shape(whole)
    target = object_target(case.mask, case.matrix, person=case.person, image=case.image)
    posed = np.asarray(pose_body_compiled(bodies.coarse, fit.params).vertices), np.asarray(bodies.coarse.faces)
    pose = fit_object_compiled(shape, target, object_scene(target, posed), FULL).best
    mesh = Mesh(np.asarray(whole.vertices, np.float32), np.asarray(whole.faces, np.int32))
    template, _ = make_solid_template(mesh, resolution=RESOLUTION)
    picture = picture_of(observation, case.matrix, outline, target, shape)
    refiner = PhotoRefiner(body, template, object_field(template, quick=True))
    fit = jax.tree.map(np.asarray, fit)
    began = time.process_time()
    seen = refiner.refine(observation, case.matrix, outline, target, shape, fit, pose)
    seconds = time.process_time() - began
    params, poses = jax.tree.map(lambda x: jnp.asarray(x)[None], (fit.params, pose))
    began = time.process_time()
    blind = refine_batch(light, params, template, poses, [seen.parts], CONFIG, body=body, object=refiner.object)
    blind = jax.tree.map(lambda x: np.asarray(x)[0], blind.replace(parts=()))
    rows: dict[str, Any] = {}
    for name, found, spent in ((ROWS[1], seen, seconds), (ROWS[2], blind, time.process_time() - began)):
        for row, state, metrics in (
            (ROWS[0], (fit.params, pose), found.before),
            (name, (found.params, found.pose), found.after),
        ):
            human, thing = _overlaps(*state, picture, surfaces)
            rows[row] = {
                "body": float(human),
                "object": float(thing),
                "contact": float(np.max(metrics.contact, initial=0.0)),
                "penetration": float(np.max(metrics.max_penetration)),
                "cpu_s": 0.0 if row == ROWS[0] else spent,
            }
    return rows | {"note": seen.note}


def score(each: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Means of each row, and the largest fall of either overlap."""
    scores = {}
    for name in ROWS:
        rows = [sample[name] for sample in each]
        falls = [max(s["as fitted"][k] - s[name][k] for k in ("body", "object")) for s in each]
        scores[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]} | {
            "worst_fall": float(max(falls)), "kept": float(np.mean([fall < 0.03 for fall in falls])),
            "touching": float(np.mean([row["contact"] < 0.02 for row in rows])),
            "clear": float(np.mean([row["penetration"] < 0.01 for row in rows])),
        }  # fmt: skip
    return scores


def markdown(record: dict[str, Any]) -> str:
    """The page of a record."""
    head = ["", "overlap, body", "overlap, object", "fell by less than .03", "worst fall", "contact, cm", "within 2 cm",
            "penetration, cm", "below 1 cm", "CPU, s"]  # fmt: skip
    cells = [
        [name, number(s["body"], 3), number(s["object"], 3), f"{100 * s['kept']:.0f} %", number(s["worst_fall"], 3),
         number(100 * s["contact"], 1), f"{100 * s['touching']:.0f} %", number(100 * s["penetration"], 1),
         f"{100 * s['clear']:.0f} %", number(s["cpu_s"], 1)]
        for name, s in record["scores"].items()
    ]  # fmt: skip
    return page(
        "Refining with a picture",
        "Made by `python -m hoijax.experiments.refine_pictures`, whose docstring says how.",
        f"{len(record['each'])} samples of SynthHOI's {record['config']['split']} split: means, and shares of samples.",
        table(head, cells),
        "Left as fitted: "
        + ("; ".join(f"{s['category']} ({s['note']})" for s in record["each"] if "not refined" in s["note"]) or "none")
        + ".",
        f"{record['machine']}, shared with other work; the first sample's seconds include compilation; "
        f"{record['seconds']:.0f} s.",
    )


def main(config: Config) -> dict[str, Any]:
    """Refines, scores, prints and writes."""
    began = time.perf_counter()
    data, bodies = open_split(config.root, config.split), Bodies(config.seed)
    body = body_field(free_body("light"))
    surfaces = body_surfaces(bodies.coarse, point_table(free_body("light"), NAMES))
    each: list[dict[str, Any]] = []
    record: dict[str, Any] = {}
    for index in tqdm(range(len(data)), disable=None):
        case = read_case(data[index])
        if case.share <= 0.5 or len(each) == config.count:
            continue
        each.append(run_case(case, bodies, body, surfaces) | {"key": case.key, "category": case.category})
        record = {
            "config": settings_of(config, ("out", "root")),
            "machine": machine(),
            "scores": score(each),
            "each": each,
            "seconds": round(time.perf_counter() - began, 1),
        }
        # After each sample, so that a run that is stopped has its page.
        write_page(config.out, "refine_pictures", record, markdown(record))
    print(markdown(record))
    return record


if __name__ == "__main__":
    main(tyro.cli(Config))
