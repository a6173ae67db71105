"""States of interactions without pictures, seen from before the person: what a prior without images learns from.

Everything is in the frame of a camera that stands before the person and looks horizontally (x right, y down along
gravity, z forward), so that heading and tilt, which a body estimate with a known vertical has no doubt about, need not
be learnt. Two sources: SynthHOI's scripts, which draw a pose and a placed object in milliseconds and leave contact to
be fitted, centimetres off; and its solved interactions.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from hoijax.data.synth import SynthConfig
from hoijax.data.synth.samples import object_points
from hoijax.data.synth.sampling import draw
from hoijax.experiments.scorehoi.samples import sixd
from hoijax.nets.scorehoi.state import NUM_BETAS
from hoijax.systems.scorehoi.frames import facing_rotation
from hoijax.systems.scorehoi.inputs import BETAS_LIMIT, geometry_feature

UP = np.array([0.0, 1.0, 0.0])
POSES = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")


@dataclasses.dataclass(frozen=True)
class StateSet:
    """N states of M objects."""

    states: Float[np.ndarray, "N 331"]
    """As `hoijax.diffusion.HOIState` packs them, float32."""
    objects: Int[np.ndarray, "N"]
    """Row of `geometry` of each state's object."""
    geometry: Float[np.ndarray, "M E"]
    """Template points and `geometry_feature`, float32."""

    def __len__(self) -> int:
        return len(self.states)


def facing_state(
    rotations: Float[np.ndarray, "52 3 3"],
    betas: Float[np.ndarray, "S"],
    pelvis: Float[np.ndarray, "3"],
    object_rotation: Float[np.ndarray, "3 3"],
    object_translation: Float[np.ndarray, "3"],
    up: Float[np.ndarray, "3"] = UP,
) -> Float[np.ndarray, "331"]:
    """One interaction as the state that a camera before the person sees.

    Args:
      rotations: relative to the parents, the root's in the world.
      betas: of the free body; the first ten count.
      pelvis: where it is, metres.
      object_rotation: in the world.
      object_translation: metres.
      up: against gravity, a unit vector.
    """
    turn = facing_rotation(rotations[0], up)
    body = np.concatenate([(turn @ rotations[0])[None], rotations[1:]])
    parts = [sixd(body).ravel(), sixd(turn @ object_rotation), turn @ (object_translation - pelvis)]
    return np.concatenate([*parts, betas[:NUM_BETAS] / BETAS_LIMIT]).astype(np.float32)


def scripted_states(config: SynthConfig, count: int, *, features: int, split: str = "train") -> StateSet:
    """Starts of SynthHOI's scripts: the pools of instances and shapes of a split, contact not fitted.

    Args:
      config: seed, pools and actions.
      count: N.
      features: numbers of the object's global feature.
      split: whose pools are drawn from.
    """

    def rows() -> Iterable[tuple[np.ndarray, tuple[str, int]]]:
        for index in tqdm(range(count), desc="scripted states", disable=None):
            drawn = draw(config, split, index, 0)
            puppet, placed = drawn.start.puppet, drawn.start.placed
            pelvis = puppet.rest[0] + puppet.translation
            state = facing_state(puppet.rotations, puppet.betas, pelvis, placed.rotation, placed.translation)
            yield state, (drawn.category, drawn.object_seed)

    return _gather(rows(), features)


def solved_states(split: Sequence[Mapping[str, Any]], *, features: int) -> StateSet:
    """The interactions of a split of SynthHOI (`open_split`)."""

    def rows() -> Iterable[tuple[np.ndarray, tuple[str, int]]]:
        for i in tqdm(range(len(split)), desc="solved states", disable=None):
            sample = split[i]
            body = sample["body"]
            vectors = np.concatenate([np.asarray(body[name], np.float64).reshape(-1, 3) for name in POSES])
            turn, place, pelvis = (
                np.asarray(x, np.float64) for x in (sample["obj_rot"], sample["obj_trans"], sample["keypoints_3d"][0])
            )
            rotations, turn = (Rotation.from_rotvec(v).as_matrix() for v in (vectors, turn))
            state = facing_state(rotations, np.asarray(body["betas"]), pelvis, turn, place)
            yield state, (sample["category"], int(sample["object_seed"]))

    return _gather(rows(), features)


@functools.lru_cache(maxsize=4096)
def object_numbers(category: str, seed: int, features: int) -> Float[np.ndarray, "E"]:
    """Template points and global feature of one of SynthHOI's objects."""
    points = object_points(category, seed)
    return np.concatenate([points.ravel(), geometry_feature(points, features)]).astype(np.float32)


def _gather(rows: Iterable[tuple[np.ndarray, tuple[str, int]]], features: int) -> StateSet:
    states, objects, known = [], [], {}
    for state, obj in rows:
        states.append(state)
        objects.append(known.setdefault(obj, len(known)))
    geometry = [object_numbers(*obj, features) for obj in tqdm(known, desc="objects", disable=None)]
    return StateSet(np.stack(states), np.asarray(objects, np.int32), np.stack(geometry))


def join_sets(sets: Sequence[StateSet]) -> StateSet:
    """Several sets as one."""
    offsets = np.cumsum([0] + [len(s.geometry) for s in sets])
    return StateSet(
        np.concatenate([s.states for s in sets]),
        np.concatenate([s.objects + offset for s, offset in zip(sets, offsets)]).astype(np.int32),
        np.concatenate([s.geometry for s in sets]),
    )
