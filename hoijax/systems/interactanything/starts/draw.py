"""Which script draws a start for which relations, and many draws of it."""

from collections.abc import Callable

import numpy as np

from hoijax.data.synth.rig import Puppet
from hoijax.systems.interactanything.relations.placement import DIRECTIONS, facing
from hoijax.systems.interactanything.relations.schema import Relations
from hoijax.systems.interactanything.starts import holding, standing, weight
from hoijax.systems.interactanything.starts.setting import Setting, Start, Thing

Script = Callable[[Setting], None]


def script_for(relations: Relations) -> Script:
    """The script that suits relations, whatever the words were."""
    parts = set(relations.body_parts)
    side, pose = relations.object_side_of_human, relations.pose
    ends = {part.split("_", 1)[-1] for part in parts}
    if not parts:
        return standing.beside
    if side == "below":
        return {"lie": weight.lie, "straddle": weight.straddle, "sit": weight.sit}.get(
            pose, weight.sit if parts & set(weight.SEATS) else weight.stand_on
        )
    if side == "around":
        return weight.inside if pose == "sit" or not relations.movable else holding.worn
    if pose == "climb":
        return standing.climb
    if relations.standing == "worn":
        return holding.on_back if side == "back" else holding.worn
    if "shoulder" in ends and side in ("above", "left", "right"):
        return holding.on_shoulder
    if parts & {"head"} and side == "above":
        return holding.on_head
    if parts & {"face", "head"} and relations.movable:
        return holding.at_face
    if "chest" in parts and {"left_forearm", "right_forearm"} <= parts:
        return holding.hug
    if any(p.endswith("forearm") for p in parts) and "chest" in parts:
        return holding.cradle
    if any(p.endswith("forearm") for p in parts) and side in ("left", "right"):
        return holding.under_arm
    if parts & {"back", "upper_back", "lower_back", "buttocks"} and side in ("back", "left", "right"):
        return standing.lean_back
    if ends & {"sole", "foot", "toes", "heel", "knee", "shin"}:
        return standing.foot_on
    if pose == "lean" and ends & {"palm", "hand"} and relations.contact_kind == "support":
        return standing.lean_on_hands
    return holding.hold


def draw_starts(
    relations: Relations, thing: Thing, count: int, seed: int, betas: np.ndarray | None = None
) -> list[Start]:
    """Draws starts, each from its own number, so that more of them begin with the same ones.

    Args:
      relations: of the sentence; places in the thing's own frame.
      thing: the object at its size.
      count: how many.
      seed: of the first.
      betas: of the person, (10,); None: the mean.

    Returns:
      World y up, floor y = 0, the person about the origin and looking along +z.
    """
    script = script_for(relations)
    starts = []
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        puppet = Puppet(np.zeros(10) if betas is None else betas)
        s = Setting(rng, puppet, thing, relations)
        s.rotation = facing(relations.object_face_to_human, _towards(relations))
        s.choose_sides()
        script(s)
        s.choose_sides()
        places = {c.body_part: s.chosen.get(c.body_part, c.places) for c in relations.contacts}
        starts.append(
            Start(
                rotations=puppet.rotations.astype(np.float32),
                translation=puppet.translation.astype(np.float32),
                betas=puppet.betas.astype(np.float32),
                object_rotation=s.rotation.astype(np.float32),
                object_translation=s.translation.astype(np.float32),
                places=places,
                feet=s.floor,
                script=script.__name__,
                notes=tuple(s.notes),
                gripped=s.gripped,
            )
        )
    return starts


def _towards(relations: Relations) -> np.ndarray:
    """From the object to the person, or where the person looks whose weight it bears."""
    side = relations.object_side_of_human
    return -np.array(DIRECTIONS[side], float) if side in DIRECTIONS else np.array([0.0, 0.0, 1.0])
