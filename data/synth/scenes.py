"""Human-scene samples: a room with several pieces of furniture and a person who sits, lies, leans or stands in it.

GRAFT's material (specs: scene points of a depth camera, with the person and without). The person's contact is fitted as
in the interactions; other furniture is then put where there is room.
"""

import dataclasses
from typing import Any

import numpy as np

from hoijax.data.synth import checks, samples
from hoijax.data.synth.attempts import find_interactions
from hoijax.data.synth.config import SynthConfig
from hoijax.data.synth.pictures import HUMAN, OBJECT, SUPPORT, draw
from hoijax.data.synth.rig import SIDES, Puppet
from hoijax.data.synth.sampling import body_betas, instance, pool_seed, source
from hoijax.data.synth.schema import CLOUD, encode_depth, pack_labels, serialize
from hoijax.data.synth.start import Placed, hang, stance, stand_on_floor, sway
from hoijax.data.synth.styles import look

ACTIONS = ("sit", "lean", "lie")
"""Actions of the people in scenes; every `_STANDING`th stands instead."""
_STANDING = 4
_FURNITURE = ("bed", "bench", "bicycle", "box", "chair", "chair", "desk", "sofa", "table", "table", "trolley")
"""What else stands in a room."""


@dataclasses.dataclass(frozen=True)
class Person:
    """Someone in a scene: the body, what it touches, and its furniture."""

    action: str
    text: str
    shape_seed: int
    rotations: np.ndarray
    betas: np.ndarray
    translation: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    furniture: list[Placed]
    contact: np.ndarray
    depth: float


def make_scenes(config: SynthConfig, split: str, indices: range) -> tuple[list[bytes], dict[str, Any]]:
    """The scenes of a shard; see `shards.make_shard`."""
    people, statistics = find_people(dataclasses.replace(config, actions=ACTIONS), split, indices, _STANDING)
    records = [serialize(split, config.image_size, _sample(config, split, index, people[index])) for index in indices]
    return records, statistics


def find_people(
    config: SynthConfig, split: str, indices: range, standing: int
) -> tuple[dict[int, Person], dict[str, Any]]:
    """Someone for every scene, and how often what was tried.

    Args:
      config: of the build; its actions are those of the people, in turn.
      split: of scenes.
      indices: numbers of the scenes.
      standing: every how manieth stands or walks instead.
    """
    # Sitters, leaners and liers are drawn as interactions of their own split.
    interactions, statistics = find_interactions(config, split, [i for i in indices if i % standing])
    stand = [i for i in indices if i not in interactions]
    statistics["actions"]["stand"] = {"attempts": len(stand), "accepted": len(stand), "rejected": {}}
    people = {i: _from_interaction(x) for i, x in interactions.items()}
    return people | {i: _stand(config, split, i) for i in stand}, statistics


def _from_interaction(checked: checks.Checked) -> Person:
    fitted = checked.fitted
    candidate, start = fitted.candidate, fitted.candidate.start
    placed = Placed(start.placed.object, fitted.object_rotation, fitted.object_translation, candidate.object_seed)
    return Person(
        candidate.action.name, candidate.text, candidate.shape_seed, fitted.rotations, start.puppet.betas,
        fitted.translation, checked.vertices, checked.joints, [placed], checked.body_contact, checked.depth,
    )  # fmt: skip


def _stand(config: SynthConfig, split: str, index: int) -> Person:
    rng = source(config, split, index, 0, use=2)
    shape_seed = pool_seed(config, split, "shape", int(rng.integers(0, 1 << 30)))
    p = Puppet(body_betas(shape_seed))
    walking = rng.random() < 0.5
    p.pose("walk" if walking else "stand")
    if not walking:
        stance(p, rng, stride=0.15)
        for side in SIDES:
            hang(p, rng, side)
    sway(p, rng)
    vertices, joints = checks.body_mesh(p.rotations, p.betas, p.translation)
    down = np.array([0.0, -vertices[:, 1].min(), 0.0])
    text = "a person walks through a room" if walking else "a person stands in a room"
    none = np.zeros(len(vertices), bool)
    return Person(
        "stand",
        text,
        shape_seed,
        p.rotations,
        p.betas,
        p.translation + down,
        vertices + down,
        joints + down,
        [],
        none,
        0.0,
    )


def furnish(rng: np.random.Generator, config: SynthConfig, split: str, person: Person) -> list[Placed]:
    """The person's own furniture, and two to four more pieces that overlap nothing."""
    boxes = [(person.vertices.min(axis=0), person.vertices.max(axis=0))] + [f.box() for f in person.furniture]
    out = list(person.furniture)
    for _ in range(int(rng.integers(2, 5))):
        category = str(rng.choice(_FURNITURE))
        seed = pool_seed(config, split, "object", int(rng.integers(0, 1 << 30)))
        yaw = float(rng.choice([0.0, 90.0, 180.0, 270.0])) + rng.normal(0, 4)
        for _ in range(12):
            at = rng.uniform(-2.4, 2.4, 2)
            placed = stand_on_floor(instance(category, seed), yaw, seed).at(at[0], None, at[1])
            low, high = placed.box()
            if not any((low < h + 0.1).all() and (high > l - 0.1).all() for l, h in boxes):
                boxes.append((low, high))
                out.append(placed)
                break
    return out


def _sample(config: SynthConfig, split: str, index: int, person: Person) -> dict[str, Any]:
    rng = source(config, split, index, 0, use=3)
    furniture = furnish(rng, config, split, person)
    pieces = [samples.body_piece(rng, person.vertices)]
    for i, piece in enumerate(furniture):
        pieces.append(samples.object_piece(rng, piece, OBJECT if i < len(person.furniture) else SUPPORT))
    drawn, meshes, camera, room = samples.picture(
        config, split, rng, pieces, person.joints, person.vertices[::7], occluded=False
    )
    erased = meshes.replace(faces=np.where((meshes.labels == HUMAN)[:, None], 0, meshes.faces))
    empty = draw(erased, camera, look(rng, room), config.image_size)
    masks = {
        "human_mask": drawn.label == HUMAN, "object_mask": drawn.label == OBJECT,
        "support_mask": drawn.label == SUPPORT,
        "human_full_mask": samples.alone(meshes, HUMAN, camera, config.image_size),
    }  # fmt: skip
    depth_empty = np.asarray(empty.depth)
    return {
        "key": f"{split}-{index:06d}", "action": person.action, "text": person.text, "shape_seed": person.shape_seed,
        "body": samples.body_fields(person.rotations, person.betas, person.translation),
        "furniture": samples.furniture_rows(furniture),
        **samples.common_fields(config, drawn, camera, person.vertices, person.joints),
        "labels": pack_labels(masks), "depth_empty": encode_depth(depth_empty), "room": room.astype(np.float32),
        "points": cloud(rng, drawn.depth, camera), "points_empty": cloud(rng, depth_empty, camera),
        "body_contact": person.contact, "body_floor_contact": person.vertices[:, 1] < checks.TOUCHES,
        "max_penetration": np.float32(person.depth),
    }  # fmt: skip


def cloud(rng: np.random.Generator, depth: np.ndarray, camera: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """What a depth camera would measure: `CLOUD` random pixels in the world, with noise of 0.3 % of the depth.

    Args:
      rng: source of chance.
      depth: along the viewing axis, (H, W), metres.
      camera: intrinsics and T_camera_world.
    """
    intrinsics, transform = (np.asarray(x, float) for x in camera)
    rows, columns = np.nonzero(np.isfinite(depth) & (depth < 30))
    chosen = rng.choice(len(rows), CLOUD, replace=len(rows) < CLOUD)
    rows, columns = rows[chosen], columns[chosen]
    z = depth[rows, columns] * (1 + rng.normal(0, 0.003, CLOUD))
    x = (columns + 0.5 - intrinsics[0, 2]) / intrinsics[0, 0] * z
    y = (rows + 0.5 - intrinsics[1, 2]) / intrinsics[1, 1] * z
    local = np.stack([x, y, z], axis=1)
    return ((local - transform[:3, 3]) @ transform[:3, :3]).astype(np.float16)
