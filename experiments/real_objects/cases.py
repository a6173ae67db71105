"""Which objects are used how: one fixed list, split into what was looked at while the refiner was made, and the rest.

Numbers are those of the furniture catalogue (`hoijax.data.objects.real`). Of the packages' meshes the longest side is
ours, as their files have the scale of a simulation.
"""

import dataclasses
from typing import Literal

Action = Literal["sit", "sit_on", "lie", "lean", "push", "carry", "hold", "stand_on"]

PARTS: dict[str, tuple[str, ...]] = {
    "sit": ("buttocks", "back"), "sit_on": ("buttocks",), "lie": ("buttocks", "back"), "lean": ("right_hand",),
    "push": ("left_hand", "right_hand"), "carry": ("left_hand", "right_hand"), "hold": ("right_hand",),
    "stand_on": ("left_sole", "right_sole"),
}  # fmt: skip
"""Parts that each action asks to touch."""

FURNITURE: dict[str, tuple[int, ...]] = {
    "sit": (1, 26, 31, 79, 86, 93, 95, 99, 101, 108, 112, 114, 125, 132, 139, 140, 143, 171),
    "sit_on": (4, 42, 57, 73, 103, 104, 159, 168, 71),
    "lie": (2, 3, 5, 88, 170),
    "lean": (27, 33, 46, 48, 75, 134, 144, 148, 152, 153),
    "push": (6, 52, 61, 68, 74, 128, 146, 151),
    "carry": (17, 19, 43, 44, 51, 77, 78, 84, 100, 106, 115, 160, 162, 164),
    "hold": (9, 13, 14, 23, 32, 53, 64, 66, 70, 89, 90, 135, 142, 147, 149, 175),
    "stand_on": (29, 71, 105, 163, 170),
}
"""Catalogue numbers by action."""

DEV: frozenset[int] = frozenset({1, 26, 31, 79, 93, 95, 101, 103, 108, 114, 125, 132, 139, 159, 171})
"""Dev (`hoijax.experiments.common.splits`): the seats of issue 13, and of each other action every second object."""

_META, _ROBO = "assets/objects/meshes", "models/assets/objects/meshes"
PACKAGED: tuple[tuple[str, str, float, bool, Action], ...] = (
    ("robosuite", f"{_ROBO}/bottle.obj", 0.22, True, "hold"),
    ("robosuite", f"{_ROBO}/can.obj", 0.12, True, "hold"),
    ("robosuite", f"{_ROBO}/cereal.obj", 0.24, True, "hold"),
    ("robosuite", f"{_ROBO}/milk.obj", 0.2, True, "hold"),
    ("robosuite", f"{_ROBO}/bread.obj", 0.12, True, "hold"),
    ("robosuite", f"{_ROBO}/lemon.obj", 0.08, True, "hold"),
    ("robosuite", f"{_ROBO}/bottle.stl", 0.3, True, "hold"),
    ("robosuite", f"{_ROBO}/milk.stl", 0.3, True, "carry"),
    ("robosuite", f"{_ROBO}/cereal.stl", 0.35, True, "carry"),
    ("robosuite", f"{_ROBO}/sphere8.obj", 0.3, True, "carry"),
    ("robosuite", f"{_ROBO}/cylinder.obj", 0.4, True, "carry"),
    ("robosuite", f"{_ROBO}/cube.obj", 0.4, True, "carry"),
    ("metaworld", f"{_META}/soccer/soccer_white.stl", 0.22, True, "carry"),
    ("metaworld", f"{_META}/thermos/therm_body.stl", 0.25, True, "hold"),
    ("metaworld", f"{_META}/hammer/hammerhandle.stl", 0.3, True, "hold"),
    ("metaworld", f"{_META}/laptop/laptop_base.stl", 0.35, True, "carry"),
    ("metaworld", f"{_META}/block/block.stl", 0.1, True, "hold"),
    ("metaworld", f"{_META}/puck/puck.stl", 0.12, True, "hold"),
    ("metaworld", f"{_META}/box/boxtop.stl", 0.4, True, "carry"),
    ("metaworld", f"{_META}/drawer/drawercase.stl", 0.45, True, "carry"),
    ("metaworld", f"{_META}/coffeemachine/body1.stl", 0.4, True, "carry"),
)
"""Package, file, longest side in metres, whether z is up, action."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One object used one way."""

    name: str
    """Short, for tables and files."""
    action: Action
    """How."""
    number: int | None = None
    """In the furniture catalogue."""
    packaged: tuple[str, str, float, bool] | None = None
    """Package, file, longest side in metres, whether z is up."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts that are asked to touch."""
        return PARTS[self.action]

    @property
    def dev(self) -> bool:
        """Whether choices are made on it; test is all others."""
        if self.action in ("sit", "sit_on"):
            return self.number in DEV
        kin = [case.name for case in CASES if case.action == self.action]
        return kin.index(self.name) % 2 == 0

    @property
    def object(self) -> str:
        """What its object is called; cases of one object share it."""
        return f"cc0_{self.number:03d}" if self.number is not None else self.name.partition("-")[2]


def _stem(package: str, path: str) -> str:
    folder, name = path.split("/")[-2:]
    return f"{package}_{name.replace('.', '_')}" if folder == "meshes" else f"{package}_{folder}"


CASES: tuple[Case, ...] = (
    *(Case(f"{action}-{n:03d}", action, number=n) for action, numbers in FURNITURE.items() for n in numbers),
    *(Case(f"{action}-{_stem(package, path)}", action, packaged=(package, path, size, z))
      for package, path, size, z, action in PACKAGED),
)  # fmt: skip
