"""How good a built SynthHOI is, measured with trimesh and SciPy: no code of the generator's losses or checks.

    python -m hoijax.experiments.synth_quality ROOT --split test --out docs/results/synth_hoi.md

Meshes are rebuilt from a sample's parameters and seeds. A point is inside a closed part by trimesh's ray test, its
depth is the distance to that part's surface; a body part touches where its nearest vertex is within a centimetre. The
straps of a worn backpack are soft in truth and left out.
"""

import dataclasses
import json
import pathlib
from collections import Counter
from typing import Annotated, Any

import numpy as np
import trimesh
import tyro
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from hoijax.body_models import BodyParams, contact_regions, free_body, pose_body
from hoijax.data.objects import random_object
from hoijax.data.synth import open_split
from hoijax.io import write_text

TOUCH, FLOOR = 0.01, 0.015
"""Metres within which things touch, and within which something stands on the floor."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One sample; metres."""

    action: str
    category: str
    depth: float
    parts: dict[str, float]
    supported: str
    floor: float


def main(
    root: Annotated[pathlib.Path, tyro.conf.Positional],
    split: str = "test",
    out: pathlib.Path | None = None,
    most: int = 1_000_000,
) -> None:
    """Measures a split and writes a table.

    Args:
      root: where SynthHOI was built.
      split: which split.
      out: Markdown file to write; printed otherwise.
      most: how many samples at most.
    """
    data = open_split(root, split)
    rows = [measure(data[i]) for i in tqdm(range(min(most, len(data))))]
    text = report(split, rows) + "\n" + acceptance(root)
    print(text)
    if out is not None:
        write_text(out, text)


def closed_parts(
    category: str, seed: int, rotation: np.ndarray, translation: np.ndarray, without: str = ""
) -> list[trimesh.Trimesh]:
    """The closed surfaces that an object is made of, in the world, without a part of that name."""
    made = random_object(category, seed)
    mesh, kept = made.mesh, np.array([made.part_names[k] != without for k in made.part_labels])
    turn = Rotation.from_rotvec(rotation).as_matrix()
    whole = trimesh.Trimesh(
        np.asarray(mesh.vertices) @ turn.T + translation, np.asarray(mesh.faces)[kept], process=False
    )
    return list(whole.split(only_watertight=False))


def deepest(points: np.ndarray, parts: list[trimesh.Trimesh]) -> float:
    """Depth of the deepest point in the closed parts."""
    worst = 0.0
    for part in parts:
        low, high = part.bounds
        near = points[np.all((points > low) & (points < high), axis=1)]
        if len(near):
            inside = near[part.contains(near)]
            if len(inside):
                worst = max(worst, float(trimesh.proximity.closest_point(part, inside)[1].max()))
    return worst


def measure(sample: dict[str, Any]) -> Row:
    """Penetration both ways, distances of the asked-for parts, and what bears the object."""
    model = free_body("default")
    body = {k: np.asarray(v, np.float32) for k, v in sample["body"].items()}
    vertices = np.asarray(pose_body(model, BodyParams.from_axis_angle(model, **body)).vertices, float)
    person = trimesh.Trimesh(vertices, np.asarray(model.faces), process=False)
    soft = "strap" if sample["action"] == "wear" else ""
    obj = closed_parts(sample["category"], sample["object_seed"], sample["obj_rot"], sample["obj_trans"], soft)
    furniture = [
        p for f in sample["furniture"] for p in closed_parts(f["category"], f["seed"], f["rotation"], f["translation"])
    ]
    probes = np.concatenate([np.concatenate([p.vertices, _spread(p)]) for p in obj + furniture])
    depth = max(deepest(vertices, obj + furniture), deepest(probes, [person]))
    surface = cKDTree(np.concatenate([np.concatenate([p.vertices, _spread(p, 4e-5)]) for p in obj]))
    regions = contact_regions(model)
    parts = {}
    for name in sample["contact_parts"].split(","):
        near, _ = surface.query(vertices[regions[name]])
        few = vertices[regions[name]][np.argsort(near)[:12]]
        parts[name] = min(float(np.abs(trimesh.proximity.closest_point(p, few)[1]).min()) for p in obj)
    lowest = min(p.bounds[0][1] for p in obj)
    under = min([p.bounds[0][1] for p in furniture], default=np.inf)
    carriers = {n: surface.query(vertices[regions[n]])[0].min() for n in ("left_hand", "right_hand", "back")}
    held = [name for name, distance in carriers.items() if distance < TOUCH]
    if abs(lowest) < FLOOR:
        supported = "floor"
    elif abs(under) < FLOOR:
        supported = "furniture"
    else:
        supported = held[0] if held else "nothing"
    return Row(sample["action"], sample["category"], depth, parts, supported, float(vertices[:, 1].min()))


def _spread(part: trimesh.Trimesh, per_point: float = 4e-4) -> np.ndarray:
    """Surface samples, one for so many square metres."""
    count = int(np.clip(part.area / per_point, 32, 40_000))
    return np.asarray(trimesh.sample.sample_surface(part, count, seed=0)[0])


def report(split: str, rows: list[Row]) -> str:
    """The table in Markdown."""
    lines = [
        f"# SynthHOI, split `{split}`: {len(rows)} samples, measured with trimesh and SciPy", "",
        f"`python -m hoijax.experiments.synth_quality ROOT --split {split}`; "
        f"contact is a distance below {100 * TOUCH:.0f} cm.", "",
        "| action | samples | median depth (mm) | 90 % (mm) | largest (mm) | parts in contact | without support |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for action in [*sorted({r.action for r in rows}), "all"]:
        mine = [r for r in rows if action in (r.action, "all")]
        depth = 1000 * np.array([r.depth for r in mine])
        parts = [d < TOUCH for r in mine for d in r.parts.values()]
        floating = sum(r.supported == "nothing" for r in mine)
        lines.append(
            f"| {action} | {len(mine)} | {np.median(depth):.1f} | {np.percentile(depth, 90):.1f} | {depth.max():.1f} | "
            f"{100 * np.mean(parts):.1f} % | {floating} |"
        )
    return "\n".join(lines) + "\n"


def acceptance(root: pathlib.Path) -> str:
    """Markdown table of a whole build's attempts: how many passed the generator's checks, why the others did not."""
    attempts: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {}
    for path in sorted(root.glob("synth_*/*/statistics/*.json")):
        for action, row in json.loads(path.read_text())["actions"].items():
            attempts[action] += row["attempts"]
            accepted[action] += row["accepted"]
            reasons.setdefault(action, Counter()).update(row["rejected"])
    lines = [
        "Attempts of the whole build, all splits and scenes; one attempt may fail several checks.", "",
        "| action | attempts | accepted | failed |", "|---|---|---|---|",
    ]  # fmt: skip
    for action in sorted(a for a in attempts if attempts[a]):
        failed = ", ".join(f"{name} {count}" for name, count in reasons[action].most_common())
        share = 100 * accepted[action] / attempts[action]
        lines.append(f"| {action} | {attempts[action]} | {share:.0f} % | {failed} |")
    total, passed = attempts.total(), accepted.total()
    lines.append(f"| all | {total} | {100 * passed / max(total, 1):.0f} % | |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    tyro.cli(main)
