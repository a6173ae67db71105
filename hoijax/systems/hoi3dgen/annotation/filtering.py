"""Which records are good enough to train on, why the others are not, and which few of the good ones are taken.

The paper keeps 50 of each contact configuration and removes interpenetration, implausible actions, and contact that
does not fit the action; its thresholds are not published. Ours are in `FilterConfig`.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.metrics import signed_distance_host
from hoijax.systems.hoi3dgen.annotation.actions import ACTIONS
from hoijax.systems.hoi3dgen.annotation.contact import CONFIGURATIONS, body_places
from hoijax.systems.hoi3dgen.annotation.sources import PosedSample
from hoijax.systems.hoi3dgen.annotation.writing import check_text

REASONS: dict[str, str] = {
    "penetration": "body and object are inside each other",
    "floating": "who stands has no foot on the floor",
    "implausible size": "body and object are of sizes that do not go together",
    "no contact": "nothing touches the object, and what is done needs contact",
    "mismatch": "the contact that was measured is none that the action allows",
    "implausible action": "whoever named the action was not sure",
    "truncated text": "the text does not end",
    "long text": "the text is too long",
    "contradictory contact": "the text says that something touches which does not, or does not say what does",
    "duplicate": "an earlier record has the same object, pose and contact",
}
"""Why a record is dropped; the first that holds is the one that counts, a record keeps all of them."""
FEET = ("left_foot", "right_foot", "left_ankle", "right_ankle")
SKIN = 0.005
"""A point is inside the body from this depth, metres: a hand closed round a handle gives a little."""
_SAMPLES = 1024


@dataclasses.dataclass(frozen=True)
class FilterConfig:
    """Where good ends, and how many are taken.

    Raises:
      InputError: a number out of range.
    """

    deepest: float = 0.03
    """Depth of body and object in each other, metres."""
    inside: float = 0.02
    """Share of the object's points that may be deeper than `SKIN` inside the body."""
    sure: float = 0.6
    """Confidence of the action."""
    float_height: float = 0.05
    """Height of the lowest foot above the floor, metres, of who stands."""
    sizes: tuple[float, float] = (0.02, 8.0)
    """Longest side of the object over the body's height: least and most."""
    per_configuration: int = 50
    """Records that are taken of each configuration."""
    per_category: int = 12
    """Of these, of one kind of object."""
    same_pose: float = 0.02
    """Largest difference of two duplicates' rotation vectors, radians, and of their objects' places, metres."""
    seed: int = 0
    """Of where the choice begins."""

    def __post_init__(self):
        if self.per_configuration < 1 or self.per_category < 1:
            raise InputError(
                f"wanted at least one record per configuration and category, got {self.per_configuration} and "
                f"{self.per_category}"
            )
        if min(self.deepest, self.inside, self.float_height, self.same_pose) <= 0 or not 0 <= self.sure <= 1:
            raise InputError(f"a filter's limits are positive and its confidence is from 0 to 1; got {self}")


def geometry_of(sample: PosedSample) -> dict[str, float]:
    """What the filter measures of a sample: metres and shares.

    Returns:
      `depth`: of the deepest point of either in the other; `inside`: share of the object's surface deeper than `SKIN`
      in the body;
      `foot_height`: lowest foot above the floor, or above the lowest point of all where the floor is not known;
      `size`: longest side of the object over the body's height at rest.
    """
    faces = np.asarray(sample.object.faces)
    thing = Mesh(np.asarray(sample.object.vertices, np.float64), faces)
    solid = Mesh(np.asarray(sample.solid.vertices, np.float64), np.asarray(sample.solid.faces))
    used = solid.vertices[np.unique(solid.faces)]
    probes = np.concatenate([_surface(solid), used[:: max(1, len(used) // _SAMPLES)]])  # edges go deepest
    of_object = _signed(probes, Mesh(sample.vertices, np.asarray(sample.model.faces)))
    of_body = _signed(sample.vertices, solid)
    lowest = min(sample.vertices[:, 1].min(), thing.vertices[:, 1].min()) if sample.floor is None else sample.floor
    rest = np.asarray(sample.model.v_template, float)
    feet = _feet(sample)
    return {
        "depth": float(max(-of_object.min(), -of_body.min(), 0.0)),
        "inside": float((of_object[:_SAMPLES] < -SKIN).mean()),
        "foot_height": float(sample.vertices[feet, 1].min() - lowest),
        "size": float(np.ptp(thing.vertices[np.unique(faces)], axis=0).max() / np.ptp(rest[:, 1])),
    }


def reasons_against(record: Mapping[str, Any], config: FilterConfig | None = None) -> list[str]:
    """Why one record is dropped, of `REASONS` in their order, duplicates apart; empty if it is good.

    Args:
      record: with `action`, `contact`, `geometry` (of `geometry_of`) and `text`.
      config: where good ends.
    """
    config = config or FilterConfig()
    action, contact, geometry = ACTIONS[record["action"]["name"]], record["contact"], record["geometry"]
    found = set(check_text(record["text"], contact["parts"]))
    if contact["config"] not in action.configurations:
        found.add("no contact" if contact["config"] == "no_contact" else "mismatch")
    if geometry["depth"] > config.deepest or geometry["inside"] > config.inside:
        found.add("penetration")
    if action.standing and geometry["foot_height"] > config.float_height:
        found.add("floating")
    if not config.sizes[0] <= geometry["size"] <= config.sizes[1]:
        found.add("implausible size")
    if record["action"]["confidence"] < config.sure:
        found.add("implausible action")
    return [name for name in REASONS if name in found]


def select(records: Sequence[Mapping[str, Any]], config: FilterConfig | None = None) -> tuple[list[int], list[int]]:
    """Which records are taken, and which are duplicates of an earlier one.

    Within a configuration the records are taken one by one, each the farthest from those taken (kind of object, pose,
    words), at most `per_category` of one kind. The answer does not depend on the order of the records.

    Args:
      records: with `flags`, the reasons against them; those with any are not taken.
      config: how many.

    Returns:
      Indices of those taken, by configuration and in the order of their ids, and of duplicates.
    """
    config = config or FilterConfig()
    order = sorted(range(len(records)), key=lambda i: str(records[i]["id"]))
    good = [i for i in order if not set(records[i]["flags"]) - {"duplicate"}]
    doubles = _duplicates(records, good, config.same_pose)
    good = [i for i in good if i not in doubles]
    taken: list[int] = []
    for name in CONFIGURATIONS:
        group = [i for i in good if records[i]["contact"]["config"] == name]
        chosen = _spread([records[i] for i in group], config)
        taken += sorted((group[k] for k in chosen), key=order.index)
    return taken, sorted(doubles)


def _surface(mesh: Mesh) -> np.ndarray:
    """Points spread over a surface."""
    corners = np.asarray(mesh.vertices)[np.asarray(mesh.faces)]
    a, b, c = np.moveaxis(corners, 1, 0)
    area = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1))
    face = np.searchsorted(area, (np.arange(_SAMPLES) + 0.5) / _SAMPLES * area[-1]).clip(0, len(a) - 1)
    # A low-discrepancy sequence: the same points whenever it is asked.
    u, v = ((np.arange(_SAMPLES)[:, None] * np.array([0.7548776662, 0.5698402910]) + 0.5) % 1).T[:, :, None]
    root = np.sqrt(u)
    return (1 - root) * a[face] + root * (1 - v) * b[face] + root * v * c[face]


def _signed(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    """Signed distances, positive outside; what is outside of the mesh's box counts as a metre off."""
    corners = np.asarray(mesh.vertices)[np.unique(np.asarray(mesh.faces))]
    out = np.ones(len(points))
    near = np.all((points > corners.min(axis=0)) & (points < corners.max(axis=0)), axis=1)
    if near.any():
        out[near] = signed_distance_host(points[near], mesh)
    return out


def _feet(sample: PosedSample) -> np.ndarray:
    places = body_places(sample.model)
    return np.logical_or.reduce([places[name] for name in FEET])


def _duplicates(records: Sequence[Mapping[str, Any]], order: Sequence[int], near: float) -> set[int]:
    groups: dict[tuple[str, ...], list[int]] = {}
    for i in order:
        record = records[i]
        key = (record["object"]["source"], record["object"]["uid"], record["contact"]["config"])
        groups.setdefault(key, []).append(i)
    doubles = set()
    for group in groups.values():
        features = np.array([_placed(records[i]) for i in group])
        kept: list[int] = []
        for k, i in enumerate(group):
            if kept and np.abs(features[kept] - features[k]).max(axis=1).min() < near:
                doubles.add(i)
            else:
                kept.append(k)
    return doubles


def _placed(record: Mapping[str, Any]) -> np.ndarray:
    """The pose, and the object's place beside the body: where in the world both are does not count."""
    pose = np.asarray(record["smpl"]["pose"], float)
    move = np.asarray(record["object"]["t"], float) - np.asarray(record["smpl"]["trans"], float)
    return np.concatenate([pose, move])


def _spread(records: Sequence[Mapping[str, Any]], config: FilterConfig) -> list[int]:
    """Farthest-point selection."""
    if not records:
        return []
    features = _features(records)
    kinds = [_kind(record) for record in records]
    start = min(
        range(len(records)),
        key=lambda i: hashlib.sha256(f"{config.seed} {records[i]['id']}".encode()).digest(),
    )
    chosen, used = [start], {kinds[start]: 1}
    distance = np.linalg.norm(features - features[start], axis=1)
    distance[start] = -1.0
    while len(chosen) < config.per_configuration:
        full = np.array([used.get(kind, 0) >= config.per_category for kind in kinds])
        left = np.where(full, -1.0, distance)
        best = int(left.argmax())
        if left[best] < 0:
            break
        chosen.append(best)
        used[kinds[best]] = used.get(kinds[best], 0) + 1
        distance = np.minimum(distance, np.linalg.norm(features - features[best], axis=1))
        distance[chosen] = -1.0
    return chosen


def _kind(record: Mapping[str, Any]) -> str:
    return str(record["appearance"]["object"]["category"])


def _features(records: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Kind of object, the pose's main components, and words, each of about unit spread."""
    kinds = sorted({_kind(record) for record in records})
    kind = np.eye(len(kinds))[[kinds.index(_kind(record)) for record in records]]
    pose = np.array([np.asarray(r["smpl"]["pose"], float)[3:66] for r in records])
    pose = pose - pose.mean(axis=0)
    u, s, _ = np.linalg.svd(pose, full_matrices=False)
    main = (u * s)[:, :8]
    main = main / max(np.sqrt((main**2).sum(axis=1).mean()), 1e-9)
    words = np.zeros((len(records), 32))
    for row, record in zip(words, records):
        for word in record["text"].lower().split():
            row[hashlib.sha256(word.encode()).digest()[0] % 32] += 1.0
    words /= np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-9)
    return np.concatenate([kind, main, words], axis=1)
