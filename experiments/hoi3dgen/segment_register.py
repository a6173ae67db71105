"""HOI3DGen's segmentation and registration on SynthHOI: person and object meshed into one surface, and taken apart.

    hoijax data build synth_hoi --root ROOT --set train=0 val=50 test=70 test_unseen_category=0 scenes=0
    python -m hoijax.experiments.hoi3dgen.segment_register --root ROOT --split val test

Each sample's body and object become one closed surface: the union of their distance grids, by marching tetrahedra. What
each of its vertices belongs to is known: to the surface that is nearer by those grids. Eight level views of 512 pixels
are masked as the two meshes are seen by the same cameras; once as they are, once with a fifth of the pixels given to
the other part, once with two views' masks swapped. Labels are voted, the surface is cut, and the free body is fitted to
the person from nothing but the bank's poses.

Writes `segment_register.json` and `.md` to `--out` after each sample; `--go-on` makes what is missing there. About 12 s
of one idle core each.
"""

import collections
import dataclasses
import pathlib
import time
from typing import Any

import jax
import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from hoijax.body_models import BodyModel, BodyParams, free_body, pose_body_compiled
from hoijax.data.objects import random_object
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import machine
from hoijax.experiments.common.pages import RESULTS, number, page, settings_of, table, write_page
from hoijax.geometry import Mesh
from hoijax.io import read_json
from hoijax.optim.fitting.surface import SurfaceBody, prepare_surface_body
from hoijax.render import rasterize
from hoijax.systems.hoi3dgen.fusing import FuseConfig, fuse_meshes
from hoijax.systems.hoi3dgen.registration import register
from hoijax.systems.hoi3dgen.segmentation import Segmentation, segment
from hoijax.systems.hoi3dgen.views import SurfaceViews, camera_at, padded, render_surface
from hoijax.viz import write_views
from hoijax.viz.scene import NamedMesh

NAME = "segment_register"
ROWS = {"clean": "masks as seen", "noisy": "a fifth of the pixels swapped", "swapped": "two of eight views swapped"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    root: tuple[pathlib.Path, ...]
    """Where SynthHOI was built: one folder, or one for each split."""
    split: tuple[str, ...] = ("val", "test")
    """Whose samples are looked at, one split after the other."""
    count: int = 100
    """Samples of all splits together."""
    views: int = 8
    """Around each surface."""
    size: int = 512
    """Side of the views, pixels."""
    spacing: float = 0.014
    """Of the grid that the fused surface comes from, metres."""
    resolution: int = 72
    """Of each mesh's own distance grid."""
    faces: int = 40_000
    """Most faces of the fused surface."""
    noise: float = 0.2
    """Share of pixels that are swapped."""
    seed: int = 0
    """Of the noise."""
    go_on: bool = False
    """Keep what is in `out`."""
    pictures: pathlib.Path | None = None
    """Folder for a picture of each sample."""
    out: pathlib.Path = RESULTS
    """Folder of segment_register.json and .md."""


@dataclasses.dataclass(frozen=True)
class FusedScene:
    """One surface of two meshes."""

    surface: NamedMesh
    truth: np.ndarray
    """The part of each vertex: 0 person, 1 object."""
    meshes: tuple[Mesh, Mesh]
    """Person and object."""


def sample_meshes(sample: dict[str, Any], model: BodyModel) -> tuple[Mesh, Mesh]:
    """The person and the object of a sample, world, metres."""
    params = BodyParams.from_axis_angle(model, **{key: np.float32(value) for key, value in sample["body"].items()})
    body = np.asarray(pose_body_compiled(model, params).vertices)
    mesh = random_object(sample["category"], int(sample["object_seed"])).mesh
    turn = Rotation.from_rotvec(sample["obj_rot"]).as_matrix()
    placed = np.asarray(mesh.vertices) @ turn.T + sample["obj_trans"]
    return Mesh(body, np.asarray(model.faces)), Mesh(placed.astype(np.float32), np.asarray(mesh.faces))


def fuse(meshes: tuple[Mesh, Mesh], config: Config) -> FusedScene:
    """One closed surface around both."""
    fused = fuse_meshes(*meshes, FuseConfig(config.spacing, config.resolution, config.faces))
    return FusedScene(NamedMesh("surface", fused.mesh.vertices, fused.mesh.faces), fused.labels, meshes)


@jax.jit
def _face_ids(vertices: jax.Array, faces: jax.Array, camera: Any) -> jax.Array:
    return rasterize(vertices, faces, camera).face_id


def true_masks(meshes: tuple[Mesh, Mesh], views: SurfaceViews) -> np.ndarray:
    """What the views' cameras see of the two meshes (2, N, H, W)."""
    person, thing = meshes
    vertices = views.frame.apply(np.concatenate([person.vertices, thing.vertices]))
    faces = np.concatenate([person.faces, thing.faces + len(person.vertices)])
    vertices, faces, _ = padded(vertices, faces, vertices)
    seen = np.stack([_face_ids(vertices, faces, camera_at(views.cameras, i)) for i in range(len(views.depth))])
    first = len(person.faces)
    return np.stack([(seen >= 0) & (seen < first), seen >= first])


def run_sample(
    sample: dict[str, Any], model: BodyModel, body: SurfaceBody, config: Config, rng: np.random.Generator
) -> dict[str, Any]:
    """One sample's numbers.

    Raises:
      InputError: it cannot be fused, cut or registered.
    """
    began = time.process_time()
    scene = fuse(sample_meshes(sample, model), config)
    views = render_surface(scene.surface, count=config.views, size=config.size)
    masks = true_masks(scene.meshes, views)
    prepared = time.process_time()
    flipped = np.where(rng.random(masks.shape[1:]) < config.noise, masks[::-1], masks)
    swapped = masks.copy()
    some = rng.choice(config.views, config.views // 4, replace=False)
    swapped[:, some] = masks[::-1, some]
    row: dict[str, Any] = {"key": sample["key"], "text": sample["text"], "faces": len(scene.surface.faces)}
    found: Segmentation | None = None
    for name, given in (("clean", masks), ("noisy", flipped), ("swapped", swapped)):
        result = segment(scene.surface, views, given)
        found = result if found is None else found
        row[name] = {
            "accuracy": float((result.labels == scene.truth).mean()),
            "closed": all(part.closed for part in result.parts),
        }
    assert found is not None
    row["seen"] = float(found.seen.mean())
    segmented = time.process_time()
    done = register(found.parts[0], model, body=body)
    row |= {
        "chamfer_cm": done.distances.points, "surface_cm": done.distances.surface, "scale": float(done.fit.scale),
        "cpu_s": [round(prepared - began, 1), round(segmented - prepared, 1),
                  round(time.process_time() - segmented, 1)],
    }  # fmt: skip
    if config.pictures is not None:
        config.pictures.mkdir(parents=True, exist_ok=True)
        shift = np.float32([1.2 * np.ptp(scene.surface.vertices[:, 0]) + 0.3, 0, 0])
        apart = [NamedMesh(m.name, m.vertices, m.faces) for m in found.named()]
        apart.append(NamedMesh("fused", scene.surface.vertices - shift, scene.surface.faces, (0.7, 0.7, 0.7)))
        apart.append(NamedMesh("fitted", done.vertices + shift, np.asarray(model.faces), (0.5, 0.75, 0.55)))
        path = config.pictures / f"{sample['key']}.png"
        write_views(path, apart, views=[(0.5, 0.25), (2.6, 0.25)], size=448)
    return row


def score(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over samples, and shares."""
    whole = {
        name: {
            "accuracy": float(np.mean([row[name]["accuracy"] for row in rows])),
            "worst": float(np.min([row[name]["accuracy"] for row in rows])),
            "closed": float(np.mean([row[name]["closed"] for row in rows])),
        }
        for name in ROWS
    }
    chamfer = np.array([row["chamfer_cm"] for row in rows])
    surface = np.array([row["surface_cm"] for row in rows])
    return whole | {
        "chamfer_cm": float(chamfer.mean()), "chamfer_median_cm": float(np.median(chamfer)),
        "chamfer_worst_cm": float(chamfer.max()), "below": float((chamfer < 1.6).mean()),
        "surface_cm": float(surface.mean()), "cpu_s": np.mean([row["cpu_s"] for row in rows], axis=0).tolist(),
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """The page of a record."""
    s = record["scores"]
    head = ["masks", "vertex accuracy, %", "worst sample, %", "both parts closed, %"]
    cells = [
        [text, *(number(100 * s[name][key], 1) for key in ("accuracy", "worst", "closed"))]
        for name, text in ROWS.items()
    ]
    failed, each = record["failures"], record["each"]
    counts = collections.Counter(row["key"].rpartition("-")[0] for row in each)
    asked = record["config"]["count"]
    return page(
        "Segmentation and registration of fused surfaces",
        "Made by `python -m hoijax.experiments.hoi3dgen.segment_register`, whose docstring says how.",
        f"{len(each)} samples of SynthHOI ({', '.join(f'{count} of {name}' for name, count in counts.items())}"
        f"{f'; {asked} were asked for' if asked > len(each) + len(failed) else ''}); {len(failed)} failed"
        + "".join(f"; {key}: {text}" for key, text in failed.items()) + ".",
        table(head, cells),
        f"Registration of the free body: Chamfer distance {number(s['chamfer_cm'], 2)} cm on average (median "
        f"{number(s['chamfer_median_cm'], 2)}, worst {number(s['chamfer_worst_cm'], 2)}; {100 * s['below']:.0f} % "
        "below the paper's 1.60), between the body's vertices and 5,000 points of the person at 1.7 m, which is about "
        f"0.9 for equal surfaces; from points to faces {number(s['surface_cm'], 2)} cm.",
        f"{record['machine']}, shared with other work. Processor seconds of a sample: fusing and rendering "
        f"{s['cpu_s'][0]:.0f}, three segmentations {s['cpu_s'][1]:.0f}, registration {s['cpu_s'][2]:.0f}.",
    )  # fmt: skip


def main(config: Config) -> dict[str, Any]:
    """Segments, registers, scores and writes.

    Raises:
      InputError: SynthHOI is not there, or no sample worked.
    """
    roots = config.root * len(config.split) if len(config.root) == 1 else config.root
    if len(roots) != len(config.split):
        raise InputError(f"wanted one root, or one for each of {len(config.split)} splits, got {len(config.root)}")
    splits = [open_split(root, split) for root, split in zip(roots, config.split, strict=True)]
    places = [(data, index) for data in splits for index in range(len(data))][: config.count]
    model = free_body("default")
    body = prepare_surface_body(model)
    rows: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    old = config.out / f"{NAME}.json"
    if config.go_on and old.is_file():
        kept = read_json(old)
        rows, failures = kept["each"], kept["failures"]
    known = {row["key"] for row in rows} | set(failures)
    for place, (data, index) in enumerate(tqdm(places, disable=None)):
        sample = data[index]
        if sample["key"] in known:
            continue
        try:
            rows.append(run_sample(sample, model, body, config, np.random.default_rng([config.seed, place])))
        except InputError as error:
            failures[sample["key"]] = str(error)
        if rows:
            _write(config, rows, failures)
    if not rows:
        raise InputError(f"no sample worked: {failures}")
    record = _write(config, rows, failures)
    print(markdown(record))
    return record


def _write(config: Config, rows: list[dict[str, Any]], failures: dict[str, str]) -> dict[str, Any]:
    rows.sort(key=lambda row: row["key"])
    record = {
        "config": settings_of(config, ("out", "root", "pictures", "go_on")), "machine": machine(),
        "scores": score(rows), "each": rows, "failures": failures,
    }  # fmt: skip
    write_page(config.out, NAME, record, markdown(record))
    return record


if __name__ == "__main__":
    run_command(main, Config)
