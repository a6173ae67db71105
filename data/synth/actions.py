"""The actions of SynthHOI: which categories, which script, which words."""

import dataclasses
from collections.abc import Callable

import numpy as np

from hoijax.data.objects import ProceduralObject
from hoijax.data.synth import handling, moving, resting
from hoijax.data.synth.start import ScriptedStart


def _any(obj: ProceduralObject) -> bool:
    return True


@dataclasses.dataclass(frozen=True)
class Action:
    """One action."""

    name: str
    categories: dict[str, float]
    """Categories and their weights."""
    script: Callable[..., ScriptedStart]
    """Draws a start from a source of chance, a body and an object (and, where `furnished`, from a drawer of
    furniture)."""
    texts: tuple[str, ...]
    """Sentences with {category} and {manner}."""
    suits: Callable[[ProceduralObject], bool] = _any
    """Whether an instance suits the action."""
    furnished: bool = False
    """Whether the script draws furniture."""

    def text(self, rng: np.random.Generator, category: str, manner: str) -> str:
        """One of the sentences."""
        article = "an" if category[0] in "aeiou" else "a"
        return str(rng.choice(self.texts)).format(category=f"{article} {category}", manner=manner)


def _size(**limits: tuple[int, float, float]) -> Callable[[ProceduralObject], bool]:
    """Bounds on one extent, by category: (axis, least, most)."""

    def suits(obj: ProceduralObject) -> bool:
        axis, least, most = limits.get(obj.category, (0, 0.0, 99.0))
        return least <= obj.size[axis] <= most

    return suits


_ACTIONS = (
    Action("sit", {"chair": 3, "bench": 1.5, "sofa": 1.5, "bed": 1, "table": 0.7, "ball": 1, "stool": 1}, resting.sit,
           ("a person sits on {category}{manner}", "someone is sitting on {category}{manner}",
            "sitting on {category}{manner}"),
           _size(ball=(0, 0.54, 9))),
    Action("lean", {"table": 1.5, "desk": 1, "door": 1, "sofa": 0.5, "chair": 0.7}, resting.lean,
           ("a person leans on {category}{manner}", "someone is leaning on {category}{manner}")),
    Action("lie", {"bed": 2, "sofa": 1, "bench": 0.5}, resting.lie,
           ("a person lies on {category}", "someone is lying on the back on {category}", "lying on {category}"),
           _size(sofa=(0, 1.7, 9), bench=(0, 1.45, 9))),
    Action("carry_two_hands", {"box": 2, "ball": 1, "monitor": 1, "chair": 0.7, "keyboard": 0.7, "backpack": 0.7,
                               "suitcase": 1, "stool": 0.6, "laptop": 0.6}, handling.carry_two_hands,
           ("a person carries {category} with both hands{manner}",
            "someone is carrying {category} in both hands{manner}")),
    Action("carry_one_hand", {"backpack": 1, "bottle": 1, "bat": 1, "umbrella": 0.3, "suitcase": 0.7, "racket": 1},
           handling.carry_one_hand,
           ("a person carries {category} in one hand{manner}", "someone is carrying {category} with one hand{manner}")),
    Action("lift", {"box": 2, "ball": 1, "chair": 0.7, "monitor": 0.7, "stool": 1, "suitcase": 1}, handling.lift,
           ("a person lifts {category}{manner}", "someone bends down and lifts {category}{manner}")),
    Action("hold", {"bottle": 1.5, "cup": 1.5, "ball": 1, "bat": 1, "umbrella": 1, "racket": 1.5}, handling.hold,
           ("a person holds {category}{manner}", "someone is holding {category}{manner}")),
    Action("wear", {"backpack": 1}, handling.wear,
           ("a person wears {category}{manner}", "someone with {category} on the back{manner}")),
    Action("push", {"trolley": 2, "door": 1, "sofa": 0.7, "chair": 1, "bicycle": 1}, moving.push,
           ("a person pushes {category}{manner}", "someone is pushing {category}{manner}")),
    Action("pull", {"trolley": 1.5, "door": 1, "chair": 1, "sofa": 0.5, "suitcase": 1.5}, moving.pull,
           ("a person pulls {category}{manner}", "someone is pulling {category}{manner}")),
    Action("kick", {"ball": 2, "box": 0.7}, moving.kick,
           ("a person kicks {category}", "someone is kicking {category} with one foot"), _size(ball=(0, 0.0, 0.34))),
    Action("ride", {"bicycle": 1.3, "skateboard": 1}, moving.ride,
           ("a person rides {category}", "someone is riding {category}")),
    Action("type", {"keyboard": 1, "laptop": 1}, moving.type_,
           ("a person types on {category}", "someone sits at a table and types on {category}"), furnished=True),
)  # fmt: skip

ACTIONS: dict[str, Action] = {action.name: action for action in _ACTIONS}
"""All actions by name."""
