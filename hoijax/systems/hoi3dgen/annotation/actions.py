"""What people do with objects: the list from which an action is chosen, and the contacts that each allows.

The paper chooses from a list that is not published; this one is ours.
"""

import dataclasses

from hoijax.systems.hoi3dgen.annotation.contact import CONFIGURATIONS

_HANDS = ("right_hand", "left_hand", "both_hands")
_HELD = (*_HANDS, "others")  # what is carried may lean on the trunk
_LEGS = ("right_leg", "left_leg")


@dataclasses.dataclass(frozen=True)
class Action:
    """One action."""

    name: str
    verb: str
    """Present tense, third person, as it stands before the object."""
    configurations: tuple[str, ...]
    """Contacts that it allows, of `CONFIGURATIONS`."""
    standing: bool = True
    """Whether a foot is on the floor while doing it."""


_ACTIONS = (
    Action("hold", "holds", _HELD),
    Action("carry", "carries", _HELD),
    Action("lift", "lifts", _HELD),
    Action("drag", "drags", _HELD),
    Action("push", "pushes", (*_HELD, *_LEGS, "back")),
    Action("pull", "pulls", _HELD),
    Action("swing", "swings", _HANDS),
    Action("shoot", "shoots", _HANDS),
    Action("drink", "drinks from", _HANDS),
    Action("type", "types on", _HANDS, standing=False),
    Action("wear", "wears", ("back", "others")),
    Action("lean", "leans on", ("back", "others", *_HANDS)),
    Action("sit", "sits on", ("others", "back", *_LEGS), standing=False),
    Action("ride", "rides", ("others", *_LEGS, "both_hands"), standing=False),
    Action("lie", "lies on", ("others", "back"), standing=False),
    Action("kick", "kicks", _LEGS),
    Action("step", "steps on", (*_LEGS, "others"), standing=False),
    Action("stand_next_to", "stands next to", ("no_contact",)),
    Action("look_at", "looks at", ("no_contact",)),
)

ACTIONS: dict[str, Action] = {action.name: action for action in _ACTIONS}
"""All actions by name."""
OF_SYNTH = {"carry_two_hands": "carry", "carry_one_hand": "carry"}
"""SynthHOI's actions that are called otherwise here."""
OF_SEQUENCE = {
    "back": "wear", "wear": "wear", "hand": "hold", "hold": "hold", "hug": "hold", "lift": "lift", "move": "carry",
    "carry": "carry", "sit": "sit", "sitstand": "sit", "lean": "lean", "typing": "type", "type": "type",
    "push": "push", "pull": "pull", "drag": "drag", "kick": "kick", "swing": "swing",
}  # fmt: skip
"""Words in the names of BEHAVE's sequences (`Date01_Sub01_backpack_back`) that say what is done."""
_BY_CONFIGURATION = {
    "right_hand": "hold", "left_hand": "hold", "both_hands": "hold", "back": "lean", "right_leg": "step",
    "left_leg": "step", "no_contact": "stand_next_to", "others": "hold",
}  # fmt: skip
_SEATS = ("chair", "stool", "bench", "sofa", "bed", "yogaball", "chairwood", "chairblack")
_WORN = ("backpack",)
assert set(_BY_CONFIGURATION) == set(CONFIGURATIONS)


def guess_action(object_name: str, config: str, parts: tuple[str, ...]) -> tuple[str, float]:
    """The usual action with an object that touches so, and how sure that is, in [0, 1]: geometry and name alone."""
    if config in ("back", "others"):
        if object_name in _WORN:
            return ("wear", 0.8) if "back" in parts else ("hold", 0.5)
        if object_name in _SEATS and {"pelvis", "left_hip", "right_hip"} & set(parts):
            return "sit", 0.8
    return _BY_CONFIGURATION[config], 0.7 if config != "others" else 0.5
