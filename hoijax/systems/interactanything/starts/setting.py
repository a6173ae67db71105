"""A puppet beside a thing: what the scripts of the bank move, and where on the thing its contacts are."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from hoijax.data.synth.rig import Puppet, turn
from hoijax.geometry import Mesh, stratified_samples
from hoijax.systems.interactanything.relations.schema import BANDS, Contact, Relations
from hoijax.systems.interactanything.relations.shape import Box

STATURE = 1.72
"""Of the mean free body, metres."""
SAMPLES = 6000
"""Of the surface."""
THICK = 0.07
"""What a hand can close round, metres."""
WIDE = 0.09
"""What a hand still holds between fingers and thumb, metres."""
LEVEL = 0.015
"""Points of a face that are so much deeper than others are on another level, metres."""
ROUNDING = 1e-4
"""By how much boxes are larger than they say, metres."""


@dataclasses.dataclass(frozen=True)
class Thing:
    """An object at its size: y up, front towards +z, metres."""

    mesh: Mesh
    points: Float[np.ndarray, "S 3"]
    """Samples of its surface."""
    normals: Float[np.ndarray, "S 3"]
    """Unit normals there, outward where the mesh's faces wind outward."""
    thickness: Float[np.ndarray, "S"]
    """How thick the object is behind each sample, metres; infinite beyond `WIDE`, or where it was not measured."""
    area: float = 1.0
    """Of the surface that the samples are spread over, square metres."""
    signed_distance: Callable[[np.ndarray], Any] | None = None
    """Of points (N, 3), positive outside, metres."""

    @classmethod
    def of(cls, mesh: Mesh, signed_distance: Callable[[np.ndarray], Any] | None = None) -> "Thing":
        """The thing of a mesh.

        Args:
          mesh: metres.
          signed_distance: of points (N, 3), positive outside; where given, normals look outward whichever way faces
            wind, and samples within the object are left out.
        """
        thickness = np.full(SAMPLES, np.inf)
        corners = np.asarray(mesh.vertices, np.float64)[np.asarray(mesh.faces)]
        points, face = stratified_samples(corners, SAMPLES)
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[face]
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
        sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = float(np.linalg.norm(sides, axis=1).sum() / 2)
        if signed_distance is not None:
            step = 0.01
            ahead, behind = (
                np.asarray(signed_distance((points + s * step * normal).astype(np.float32))) for s in (1, -1)
            )
            normal = np.where((ahead < behind)[:, None], -normal, normal)
            free = np.maximum(ahead, behind) > 0
            if free.sum() > 100:
                points, normal = points[free], normal[free]
            thickness = np.full(len(points), np.inf)
            for depth in step * np.arange(round(WIDE / step), 0, -1):
                outside = np.asarray(signed_distance((points - depth * normal).astype(np.float32))) > 0
                thickness[outside] = depth
        return cls(mesh, points, normal, thickness, area * len(points) / SAMPLES, signed_distance)

    @functools.cached_property
    def tree(self) -> cKDTree:
        """Of the samples."""
        return cKDTree(self.points)

    def inside(self, boxes: tuple[Box, ...]) -> np.ndarray:
        """Which samples lie in one of some boxes of the thing's own frame, (S,); all where none does."""
        if not boxes:
            return np.ones(len(self.points), bool)
        masks = [
            np.all((self.points >= np.subtract(b.lower, ROUNDING)) & (self.points <= np.add(b.upper, ROUNDING)), axis=1)
            for b in boxes
        ]
        mask = np.logical_or.reduce(masks)
        return mask if mask.any() else np.ones(len(self.points), bool)


@dataclasses.dataclass
class Setting:
    """One draw: a person, a thing and its place, and what of the relations has been settled."""

    rng: np.random.Generator
    puppet: Puppet
    thing: Thing
    relations: Relations
    rotation: Float[np.ndarray, "3 3"] = dataclasses.field(default_factory=lambda: np.eye(3))
    translation: Float[np.ndarray, "3"] = dataclasses.field(default_factory=lambda: np.zeros(3))
    chosen: dict[str, tuple[Box, ...]] = dataclasses.field(default_factory=dict)
    """Part of the body to the boxes of the thing, of those that the relations name, that it goes for."""
    floor: bool = True
    """Whether the person's feet stand on the floor."""
    gripped: bool = False
    """Whether one hand has closed on the thing."""
    notes: list[str] = dataclasses.field(default_factory=list)

    def contact(self, *parts: str) -> Contact | None:
        """The first contact of one of some parts of the body."""
        return next((c for c in self.relations.contacts if c.body_part in parts), None)

    def world(self, points: np.ndarray) -> np.ndarray:
        """Points of the thing in the world, where a person looks along +z with the left to +x."""
        return np.asarray(points) @ self.rotation.T + self.translation

    def samples(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """World points and normals of the surface that a part of the body is to touch."""
        contact = self.contact(part)
        boxes = self.chosen.get(part, contact.places if contact else ())
        mask = self.thing.inside(boxes)
        return self.world(self.thing.points[mask]), self.thing.normals[mask] @ self.rotation.T

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance of world points (N, 3) to the thing, positive outside, metres; its mesh must be solid."""
        return np.asarray(self.thing.signed_distance(((points - self.translation) @ self.rotation).astype(np.float32)))

    def normals_at(self, points: np.ndarray) -> np.ndarray:
        """Outward unit normals of the surface nearest to world points, world."""
        nearest = self.thing.tree.query((points - self.translation) @ self.rotation)[1]
        return self.thing.normals[nearest] @ self.rotation.T

    @property
    def flat(self) -> bool:
        """Whether the thing is carried level and is low enough to lie on the fingers of two hands."""
        wide, tall, deep = np.subtract(*self.box()[::-1])
        return bool(self.relations.standing == "carried" and tall < THICK < min(wide, deep))

    def thin(self, part: str, thick: float = THICK) -> np.ndarray:
        """Which of a part's `samples` are on something that a hand can close round, at most so thick, metres."""
        contact = self.contact(part)
        mask = self.thing.inside(self.chosen.get(part, contact.places if contact else ()))
        return self.thing.thickness[mask] <= thick

    def box(self, part: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Corners, along the world's axes, of what a part is to touch, or of the whole thing."""
        points = self.world(self.thing.points) if part is None else self.samples(part)[0]
        return points.min(axis=0), points.max(axis=0)

    def choose_sides(self) -> None:
        """Of several places, left parts of the body take the one farther left, right ones the one farther right."""
        for contact in self.relations.contacts:
            side = contact.body_part.partition("_")[0]
            if len(contact.places) < 2 or side not in ("left", "right"):
                continue
            middles = [self.world((np.add(b.lower, b.upper) / 2)[None])[0, 0] for b in contact.places]
            if np.ptp(middles) < 0.02:
                continue
            self.chosen[contact.body_part] = (
                contact.places[int(np.argmax(middles) if side == "left" else np.argmin(middles))],
            )

    def face(self, direction: np.ndarray, part: str | None = None) -> tuple[Box, ...]:
        """The level of the thing, as it is held now, that has most of the surface that looks along a direction: a box
        of its own frame, along its axes.

        Words such as "bottom" and "sides" are about a thing that stands; one that is laid flat, or under an arm, is
        held by what is below and beside it then.

        Args:
          direction: unit vector of the world.
          part: only within the places of this part of the body.
        """
        mask = np.ones(len(self.thing.points), bool)
        contact = None if part is None else self.contact(part)
        if contact is not None and self.thing.inside(contact.places).any():
            mask = self.thing.inside(contact.places)
        way = self.rotation.T @ np.asarray(direction, float)
        along = self.thing.points @ way
        looks = mask & (self.thing.normals @ way > 0.7)
        looks = looks if looks.sum() > 8 else mask
        bins = np.round(along[looks] / LEVEL).astype(int)
        # Of levels that are about as large the outermost.
        names, counts = np.unique(bins, return_counts=True)
        level = names[counts >= 0.7 * counts.max()].max() * LEVEL
        chosen = self.thing.points[looks & (np.abs(along - level) <= LEVEL)]
        low, high = chosen.min(axis=0) - ROUNDING, chosen.max(axis=0) + ROUNDING
        return (Box(tuple(map(float, low)), tuple(map(float, high))),)

    def turn_thing(self, degrees: float) -> None:
        """Turns the thing about the vertical through its own origin."""
        self.rotation = turn("Y", degrees) @ self.rotation

    def move(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        """Shifts the thing."""
        self.translation = self.translation + np.array([x, y, z], float)

    def stand_thing(self, height: float = 0.0) -> None:
        """Puts the thing's lowest point at a height."""
        self.move(y=height - self.world(np.asarray(self.thing.mesh.vertices))[:, 1].min())

    def centre_thing(self, x: float | None = None, y: float | None = None, z: float | None = None) -> None:
        """Puts the middle of the thing's box at coordinates."""
        low, high = self.box()
        middle = (low + high) / 2
        self.move(*(0.0 if v is None else v - m for v, m in zip((x, y, z), middle)))

    def band(self) -> float:
        """Height that the relations give the thing's middle, metres."""
        return BANDS[self.relations.height_band] * STATURE * self.puppet.size

    def clear_of_trunk(self, direction: np.ndarray, gap: float = 0.03) -> None:
        """Moves the thing along a horizontal direction until it is beside head, trunk and thighs."""
        p = self.puppet
        names = ("head", "neck", "spine3", "spine2", "pelvis", "left_knee", "right_knee", "left_hip", "right_hip")
        spots = np.array([p.position(n) for n in names])
        radii = np.array([0.11, 0.07, 0.15, 0.14, 0.15, 0.075, 0.075, 0.1, 0.1]) * p.size + gap
        points = self.world(self.thing.points)
        for _ in range(80):
            gaps = np.linalg.norm(points[:, None] - spots[None], axis=2) - radii
            if gaps.min() >= 0 and not self._within(points, spots, radii):
                return
            points = points + 0.02 * direction
            self.translation = self.translation + 0.02 * direction

    @staticmethod
    def _within(points: np.ndarray, spots: np.ndarray, radii: np.ndarray) -> bool:
        """Whether a spot is enclosed by the thing on both sides along x and z at its height."""
        for spot, radius in zip(spots, radii):
            slab = points[np.abs(points[:, 1] - spot[1]) < 0.5 * radius]
            if len(slab) < 8:
                continue
            column = slab[np.abs(slab[:, 0] - spot[0]) < radius]
            if len(column) and column[:, 2].min() < spot[2] - 1e-3 < column[:, 2].max():
                row = slab[np.abs(slab[:, 2] - spot[2]) < radius]
                if len(row) and row[:, 0].min() < spot[0] < row[:, 0].max():
                    return True
        return False


@dataclasses.dataclass(frozen=True)
class Start:
    """One start: a person and a thing, and what is to touch where."""

    rotations: Float[np.ndarray, "52 3 3"]
    translation: Float[np.ndarray, "3"]
    betas: Float[np.ndarray, "S"]
    object_rotation: Float[np.ndarray, "3 3"]
    object_translation: Float[np.ndarray, "3"]
    places: dict[str, tuple[Box, ...]]
    """Part of the body to boxes in the thing's own frame; none: anywhere."""
    feet: bool
    """Whether feet near the floor are drawn to it."""
    script: str
    """Which script drew it."""
    notes: tuple[str, ...] = ()
    gripped: bool = False
    """Whether one hand has closed on the thing."""
