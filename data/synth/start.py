"""How an interaction starts before its contact is fitted: a posed puppet, a placed object, and what shall touch."""

import dataclasses

import numpy as np

from hoijax.data.objects import ProceduralObject
from hoijax.data.synth.rig import Puppet, Vector, turn, unit


@dataclasses.dataclass(frozen=True)
class Placed:
    """An object in the world: `rotation @ p + translation`."""

    object: ProceduralObject
    rotation: np.ndarray
    translation: np.ndarray
    seed: int = 0

    def vertices(self) -> np.ndarray:
        """World vertices."""
        return np.asarray(self.object.mesh.vertices) @ self.rotation.T + self.translation

    def box(self, part: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner of a part, or of everything, along the world's axes."""
        points = self.vertices()
        if part is not None:
            points = points[self.object.vertex_labels == self.object.part_names.index(part)]
        return points.min(axis=0), points.max(axis=0)

    def at(self, x: float | None = None, y: float | None = None, z: float | None = None) -> "Placed":
        """The object with its centre at the given coordinates."""
        given = [old if new is None else new for old, new in zip(self.translation, (x, y, z))]
        return dataclasses.replace(self, translation=np.array(given, float))

    def move(self, *offset: float) -> "Placed":
        """The object shifted."""
        return dataclasses.replace(self, translation=self.translation + np.asarray(offset, float))


def stand_on_floor(obj: ProceduralObject, yaw: float = 0.0, seed: int = 0) -> Placed:
    """The object standing on the floor at the origin, turned about the vertical by degrees."""
    return Placed(obj, turn("Y", yaw), np.array([0.0, -obj.bottom, 0.0]), seed)


@dataclasses.dataclass
class ScriptedStart:
    """One interaction before fitting: world y up, floor y = 0, the person roughly at the origin."""

    puppet: Puppet
    placed: Placed
    contact: tuple[str, ...]
    """At most four regions of the body that must touch the object."""
    furniture: tuple[Placed, ...] = ()
    """What else stands there and belongs to the object while fitting: the table under a keyboard."""
    support: tuple[str, ...] = ()
    """Regions that must touch the furniture."""
    floor: bool = True
    """Whether feet and object near the floor are drawn to it; False for feet on an object."""
    manner: str = ""
    """What the text says beyond the action's own words."""


def grasp(puppet: Puppet, side: str, at: Vector, thumb: Vector, palm: Vector, radius: float,
          elbow: Vector | None = None) -> None:  # fmt: skip
    """A hand round a rod.

    Args:
      puppet: whose hand.
      side: "left" or "right".
      at: the point of the rod's axis that the palm holds.
      thumb: direction of the rod on the thumb's side.
      palm: where the palm faces, from the hand to the rod.
      radius: of the rod.
      elbow: where the elbow points.
    """
    thumb = unit(thumb)
    palm = unit(np.asarray(palm, float) - (np.asarray(palm, float) @ thumb) * thumb)
    fingers = np.cross(-palm, thumb) if side == "left" else np.cross(palm, thumb)
    puppet.curl(side, float(np.clip(1.0 + (0.025 - radius) / 0.02, 0.3, 1.8)))
    puppet.reach(side, np.asarray(at, float) - (radius + 0.002) * palm, fingers, palm, elbow)


def stance(puppet: Puppet, rng: np.random.Generator, *, width: float = 0.1, stride: float = 0.08, drop: float = 0.985,
           yaw: float = 8.0) -> None:  # fmt: skip
    """Both feet on the floor under a pelvis at the height of the nearly straight legs.

    Args:
      puppet: whose legs.
      rng: source of the variation.
      width: half the distance of the ankles, metres.
      stride: largest distance of a foot before or behind the pelvis.
      drop: height of the pelvis, as a fraction of standing straight.
      yaw: degrees that the toes turn outwards.
    """
    ahead = rng.uniform(-stride, stride)
    puppet.move_pelvis(0.0, drop * puppet.hip_height - 0.35 * ahead**2, 0.0)
    across = width * rng.uniform(0.8, 1.4)
    puppet.step("left", across, ahead, yaw=rng.uniform(0, 2 * yaw))
    puppet.step("right", -across, -ahead, yaw=rng.uniform(0, 2 * yaw))


def sway(puppet: Puppet, rng: np.random.Generator, amount: float = 1.0) -> None:
    """Small turns of trunk and head, so that no two people stand alike."""
    for name, x, y, z in (
        ("spine1", 3, 3, 2),
        ("spine2", 3, 4, 2),
        ("spine3", 3, 4, 2),
        ("neck", 7, 10, 4),
        ("head", 7, 10, 4),
    ):
        puppet.add(name, "XYZ", *(amount * rng.normal(0, s) for s in (x, y, z)))


def hang(puppet: Puppet, rng: np.random.Generator, side: str) -> None:
    """An arm that hangs, the hand at rest."""
    sign = 1 if side == "left" else -1
    puppet.relax(side)
    puppet.set(f"{side}_shoulder", "XZ", rng.uniform(-14, 10), -sign * rng.uniform(64, 74))
    puppet.set(f"{side}_elbow", "Y", -sign * rng.uniform(8, 32))
    puppet.set(f"{side}_wrist", "X", 0.0)
