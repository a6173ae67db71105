"""What a body does when it does a verb, and which parts things of a class have for it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Frame:
    """How an action is done.

    A slot is "body role kind": the body's part is a region's name, or "grip", "palm", "fingers" for the hand or the two
    hands that take part; the role is a key of `Kind.parts`, or a word of its own; a "?" leaves the slot out where the
    mesh does not show the part.
    """

    pose: str
    side: str
    kind: str
    slots: tuple[str, ...]
    moves: bool | None = False
    """Whether the object is moved; None: it is if it is light."""
    band: str = "chest"
    """The height of what is moved or stands raised."""
    face: str = "front"
    hands: str = ""
    """"one" or "both", whatever the object; "": the object says."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A class of things."""

    hands: str
    """"one" or "both": what carries it; "": its size says."""
    light: bool
    """Whether a person moves it in passing."""
    parts: dict[str, str]
    """Role to words in order of preference: the first that the mesh shows, or else the last."""
    worn: tuple[str, ...] = ()
    """Parts of the body that wear it."""
    band: str = ""
    """Where it is carried; "": at the chest in two hands, at the hip in one."""
    raised: str = "ground"
    """Where it stands when nobody moves it."""


FRAMES = {
    "sit": Frame("sit", "below", "support", ("seat seat support", "back backrest touch?")),
    "lie": Frame("lie", "below", "support", ("back lying support", "seat lying support", "head lying support")),
    "pillow": Frame("lie", "below", "support", ("head top support",)),
    "stand_on": Frame("stand", "below", "support", ("left_sole standing support", "right_sole standing support")),
    "foot_on": Frame("stand", "front", "support", ("right_sole standing support",), band="ground"),
    "hop": Frame("jump", "below", "support", ("left_sole standing support", "right_sole standing support")),
    "kneel": Frame("kneel", "below", "support", ("left_knee standing support", "right_knee standing support")),
    "crouch": Frame("crouch", "below", "support", ("left_sole standing support", "right_sole standing support")),
    "crawl": Frame("crawl", "below", "support", ("left_palm standing support", "right_palm standing support",
                   "left_knee standing support", "right_knee standing support")),
    "climb": Frame("climb", "front", "grasp", ("left_hand rung grasp", "right_hand rung grasp",
                   "left_sole rung support", "right_sole rung support")),
    "hang": Frame("hang", "above", "grasp", ("left_hand bar grasp", "right_hand bar grasp"), band="overhead"),
    "lean_on": Frame("lean", "front", "support", ("left_palm leaned support", "right_palm leaned support")),
    "lean_against": Frame("lean", "back", "support", ("back surface support",)),
    "ride": Frame("straddle", "below", "support", ("seat saddle support", "left_hand bars grasp",
                  "right_hand bars grasp", "left_sole pedals support", "right_sole pedals support"), moves=True),
    "skate": Frame("stand", "below", "support", ("left_sole standing support", "right_sole standing support",
                   "left_hand bars grasp?", "right_hand bars grasp?"), moves=True),
    "drive": Frame("sit", "around", "support", ("seat inside support", "left_hand wheel grasp",
                   "right_hand wheel grasp")),
    "inside": Frame("sit", "around", "support", ("seat inside support",)),
    "hold": Frame("stand", "front", "grasp", ("grip grip grasp",), moves=True),
    "lift": Frame("stand", "front", "grasp", ("grip lifted grasp",), moves=True),
    "overhead": Frame("stand", "above", "grasp", ("grip lifted grasp",), moves=True, band="overhead", hands="both"),
    "lower": Frame("crouch", "front", "grasp", ("grip lifted grasp",), moves=True, band="knee"),
    "carry": Frame("walk", "front", "grasp", ("grip grip grasp",), moves=True, band=""),
    "on_back": Frame("stand", "back", "wear", ("back front wear", "left_shoulder straps wear",
                     "right_shoulder straps wear"), moves=True),
    "on_shoulder": Frame("walk", "above", "support", ("right_shoulder bottom support", "right_hand sides grasp"),
                         moves=True, band="overhead"),
    "under_arm": Frame("stand", "right", "grasp", ("right_forearm sides support", "right_hand bottom grasp"),
                       moves=True),
    "on_head": Frame("walk", "above", "support", ("head bottom support",), moves=True, band="overhead"),
    "on_lap": Frame("sit", "front", "support", ("left_thigh_front bottom support", "right_thigh_front bottom support",
                    "grip sides grasp"), moves=True, band="hip", hands="both"),
    "push": Frame("walk", "front", "touch", ("palm pushed touch",), face="back", hands="both"),
    "pull": Frame("walk", "front", "grasp", ("grip pulled grasp",)),
    "open": Frame("stand", "front", "grasp", ("right_hand opened grasp",), hands="one"),
    "open_light": Frame("stand", "front", "grasp", ("left_hand sides grasp", "right_hand opened grasp"), moves=True),
    "turn": Frame("stand", "front", "grasp", ("grip opened grasp",), moves=None),
    "touch": Frame("stand", "front", "touch", ("fingers surface touch",), moves=False, hands="one"),
    "pat": Frame("stand", "front", "touch", ("palm patted touch",), hands="one"),
    "wipe": Frame("stand", "front", "touch", ("palm standing touch",), hands="one"),
    "press": Frame("stand", "front", "touch", ("right_index pressed touch",)),
    "type": Frame("sit", "front", "touch", ("left_finger_pads typed touch", "right_finger_pads typed touch"),
                  band="hip"),
    "hit": Frame("stand", "front", "touch", ("right_fingers surface touch",)),
    "kick": Frame("stand", "front", "touch", ("right_toes back touch",), band="ground"),
    "dribble": Frame("stand", "front", "touch", ("right_palm top touch",), moves=True, band="hip"),
    "throw": Frame("stand", "front", "grasp", ("grip grip grasp",), moves=True, band="head"),
    "swing": Frame("stand", "front", "grasp", ("grip grip grasp",), moves=True),
    "hug": Frame("stand", "front", "touch", ("chest surface touch", "left_forearm sides touch",
                 "right_forearm sides touch", "left_palm back touch", "right_palm back touch"), moves=None),
    "cradle": Frame("stand", "front", "support", ("left_forearm back support", "right_hand bottom support",
                    "chest sides touch"), moves=True),
    "kiss": Frame("lean", "front", "touch", ("face patted touch",), moves=False, band="chest"),
    "kiss_held": Frame("stand", "front", "grasp", ("grip grip grasp", "face patted touch"), moves=True, band="head"),
    "drink": Frame("stand", "front", "grasp", ("grip grip grasp", "face rim touch"), moves=True, band="head"),
    "eat": Frame("stand", "front", "grasp", ("grip grip grasp", "face rim touch"), moves=True, band="head",
                 hands="one"),
    "pour": Frame("stand", "front", "grasp", ("grip grip grasp",), moves=True),
    "read": Frame("stand", "front", "grasp", ("grip sides grasp",), moves=True, hands="both"),
    "write": Frame("stand", "front", "grasp", ("fingers grip grasp",), moves=True, hands="one"),
    "write_on": Frame("sit", "front", "touch", ("right_hand top touch", "left_forearm top touch"), band="hip"),
    "write_up": Frame("stand", "front", "touch", ("right_hand surface touch",)),
    "limb_on": Frame("stand", "front", "support", ("limb standing support",), band="ground"),
    "cut": Frame("stand", "front", "grasp", ("left_hand sides grasp",), band="hip"),
    "sweep": Frame("walk", "front", "grasp", ("grip grip grasp",), moves=True, band="hip", hands="both"),
    "tool": Frame("stand", "front", "grasp", ("grip grip grasp",), moves=True),
    "photograph": Frame("stand", "front", "grasp", ("grip sides grasp",), moves=True, band="head", hands="both"),
    "call": Frame("stand", "front", "grasp", ("grip grip grasp", "head front touch"), moves=True, band="head",
                  hands="one"),
    "text": Frame("stand", "front", "grasp", ("left_hand sides grasp", "right_thumb front touch"), moves=True),
    "wear": Frame("stand", "around", "wear", (), moves=True),
    "shake_hands": Frame("stand", "front", "grasp", ("right_hand hand grasp",), hands="one"),
    "dance": Frame("stand", "front", "grasp", ("left_hand hand grasp", "right_hand hand grasp")),
    "look": Frame("stand", "front", "none", ()),
    "beside": Frame("stand", "right", "none", ()),
    "pianist": Frame("sit", "front", "touch", ("left_finger_pads typed touch", "right_finger_pads typed touch")),
    "guitarist": Frame("stand", "front", "grasp", ("left_hand grip grasp", "right_fingers strings touch",
                       "belly back touch"), moves=True),
    "violinist": Frame("stand", "left", "grasp", ("left_hand grip grasp", "left_shoulder bottom support"),
                       moves=True, band="head"),
    "cellist": Frame("sit", "front", "touch", ("left_fingers neck touch", "right_fingers strings touch",
                     "left_thigh_front sides touch", "right_thigh_front sides touch")),
    "wind": Frame("stand", "front", "grasp", ("left_hand grip grasp", "right_hand grip grasp", "face rim touch"),
                  moves=True, band="head"),
    "drummer": Frame("sit", "front", "touch", ("left_palm top touch", "right_palm top touch"), band="hip"),
}  # fmt: skip
"""By name; what `verbs.txt` calls a frame is one of these or a row of `CHOICES`."""

TAKE_HOLD = "hold"
"""The frame of a verb that nobody knows."""

CHOICES = {
    "stand": (("on", "stand_on"), ("in", "stand_on"), ("", "beside")),
    "step": (("on", "foot_on"), ("in", "foot_on"), ("", "beside")),
    "hop": (("on", "hop"), ("", "beside")),
    "lean": (("against", "lean_against"), ("on", "lean_on"), ("", "lean_on")),
    "balance": (("on the head", "on_head"), ("on", "stand_on"), ("", "on_head")),
    "shoulder": (("", "on_shoulder"),),
    "undress": (("", "hold"),),
    "walk": (("on", "stand_on"), ("", "beside")),
    "sit": (("beside", "beside"), ("", "sit")),
    "close": (("", "open"),),
    "use": (("", "hold"),),
    "smoke": (("", "eat"),),
}
"""Frames whose choice the preposition before the object makes; the last row is for all others."""

BESIDE = {"beside": "right", "behind": "front", "before": "back", "under": "above", "around": "front", "at": "front",
          "over": "below", "through": "around", "": "front"}  # fmt: skip
"""Where the object is by where the person is to it, when nothing is touched."""

PLAYERS = {"piano": "pianist", "guitar": "guitarist", "violin": "violinist", "cello": "cellist", "wind": "wind",
           "drum": "drummer", "ball": "hold", "keys": "type", "mouth": "eat", "bigball": "hold"}  # fmt: skip
"""Frame of "play" by the object's class; for others it is to hold."""

USED = {"laptop": "type", "keys": "type", "phone": "text", "wheeled": "push", "vehicle": "drive", "piano": "pianist",
        "table": "beside", "control": "turn", "appliance": "press", "camera": "photograph", "cycle": "ride",
        "ladder": "climb", "seat": "sit", "bed": "lie"}  # fmt: skip
"""Frame of "use" by the object's class; for others it is to hold."""

TITLED = {"scooter": "skate", "board": "skate", "vehicle": "drive"}
"""Frame of "ride" by the object's class."""

_ANY = {"seat": "seat", "backrest": "backrest", "armrest": "armrest", "lying": "top", "standing": "top",
        "leaned": "top", "surface": "front", "grip": "handle|sides", "lifted": "sides", "pulled": "handle|front",
        "pushed": "front", "opened": "handle|front", "patted": "top", "pressed": "front", "typed": "top", "rim": "top",
        "rung": "legs", "bar": "handle|top", "saddle": "seat", "bars": "handle|front", "pedals": "bottom",
        "wheel": "steering wheel", "inside": "body", "straps": "front", "strings": "front",
        "hand": "sides"}  # fmt: skip
"""Words for the roles where a class has none of its own."""


def _kind(hands: str, light: bool, worn: tuple[str, ...] = (), band: str = "", raised: str = "ground", **parts: str):
    return Kind(hands, light, {**_ANY, **parts}, worn, band, raised)


_HANDY = {"raised": "hip"}
KINDS = {
    "thing": _kind("", False),
    "seat": _kind("both", False, lying="seat", standing="seat", leaned="backrest|seat", grip="sides",
                  pushed="backrest|back", pulled="backrest|sides", surface="back", patted="backrest|seat"),
    "bed": _kind("both", False, seat="top", backrest="none"),
    "table": _kind("both", False, seat="top", backrest="none", grip="sides", pushed="edge", pulled="edge",
                   surface="edge", patted="top", typed="top"),
    "tall": _kind("both", False, grip="sides", opened="door", surface="front", pulled="sides"),
    "fixed": _kind("both", False, seat="top", backrest="none", opened="handle|front", surface="front"),
    "platform": _kind("both", False, seat="top", backrest="none", surface="top"),
    "ladder": _kind("both", False, rung="body", standing="rungs", grip="sides"),
    "long": _kind("both", True, grip="body", lifted="body"),
    "hanging": _kind("both", False, bar="body"),
    "cycle": _kind("both", False, seat="saddle", backrest="none", grip="handlebar", pushed="handlebar",
                   bars="handlebar", pulled="handlebar", saddle="saddle", pedals="pedals", surface="saddle",
                   lifted="body", leaned="saddle"),
    "mount": _kind("both", False, seat="top", saddle="top", backrest="none", bars="neck", pedals="sides",
                   grip="neck", patted="head", surface="sides", pulled="neck"),
    "board": _kind("", True, grip="sides", backrest="none", seat="top", bars="none"),
    "scooter": _kind("both", False, grip="handlebar", bars="handlebar", standing="deck", seat="deck", backrest="none",
                     pushed="handlebar", pulled="handlebar"),
    "vehicle": _kind("both", False, seat="top", backrest="none", pushed="rear", opened="door", surface="sides",
                     grip="bottom", lifted="bottom", leaned="hood", pulled="front"),
    "wheeled": _kind("both", False, grip="handle|back", pushed="handle|back", pulled="handle|back", seat="top",
                     backrest="none", surface="handle|top"),
    "case": _kind("one", True, band="knee", grip="handle|top", pulled="handle|top", pushed="handle|top", seat="top",
                  backrest="none", opened="front", standing="top"),
    "pack": _kind("one", True, ("back", "left_shoulder", "right_shoulder"), grip="handle|top", lifted="handle|top",
                  seat="top", backrest="none", opened="top",
                  straps="straps"),
    "bag": _kind("one", True, band="knee", grip="handle|top", lifted="handle|top", opened="top", seat="top",
                 backrest="none", pulled="handle|top"),
    "box": _kind("both", True, grip="sides", opened="top", seat="top", backrest="none", pulled="sides"),
    "soft": _kind("both", True, seat="top", backrest="none", grip="sides"),
    "doll": _kind("both", True, grip="body", lifted="body", patted="head", hand="hand", surface="front", seat="top",
                  backrest="none"),
    "figure": _kind("both", False, grip="body", lifted="body", patted="head", hand="hand", surface="front",
                    pushed="front", pulled="hand", seat="top", backrest="none"),
    "ball": _kind("both", True, seat="top", backrest="none", grip="sides"),
    "bigball": _kind("both", True, seat="top", backrest="none", grip="sides"),
    "plate": _kind("both", True, grip="sides", **_HANDY),
    "ring": _kind("both", True, ("belly", "lower_back"), grip="sides", pushed="top"),
    "sheet": _kind("both", True, grip="sides", surface="front", raised="chest"),
    "book": _kind("both", True, grip="sides", opened="front", **_HANDY),
    "small": _kind("one", True, grip="body", opened="body", patted="top", pressed="top", surface="top", **_HANDY),
    "tiny": _kind("one", True, grip="body", lifted="body", **_HANDY),
    "laptop": _kind("both", True, grip="sides", typed="keys", opened="screen", raised="hip"),
    "keys": _kind("both", True, grip="sides", typed="keys", pressed="keys", surface="keys", raised="hip"),
    "piano": _kind("both", False, typed="keys", pressed="keys", surface="keys", seat="top", backrest="none"),
    "screen": _kind("both", True, grip="sides", surface="screen", pressed="screen", leaned="top", raised="chest"),
    "phone": _kind("one", True, grip="sides", surface="screen", pressed="screen", **_HANDY),
    "camera": _kind("both", True, grip="sides", raised="hip"),
    "handled": _kind("one", True, grip="handle|bottom", lifted="handle|bottom", **_HANDY),
    "stick": _kind("one", True, grip="handle|body", lifted="handle|body", pulled="handle|body"),
    "longtool": _kind("both", True, grip="handle|body", lifted="handle|body"),
    "onhead": _kind("both", True, ("head",), grip="sides", **_HANDY),
    "onface": _kind("both", True, ("face",), grip="sides", **_HANDY),
    "onfeet": _kind("one", True, ("left_foot", "right_foot"), grip="top", **_HANDY),
    "onhand": _kind("one", True, ("left_hand", "right_hand"), grip="sides", **_HANDY),
    "onwrist": _kind("one", True, ("left_forearm",), grip="sides", **_HANDY),
    "onneck": _kind("both", True, ("neck", "chest"), grip="sides", **_HANDY),
    "ontorso": _kind("both", True, ("torso", "left_arm", "right_arm"), grip="sides", **_HANDY),
    "onlegs": _kind("both", True, ("hips", "left_thigh", "right_thigh"), grip="sides", **_HANDY),
    "onwaist": _kind("both", True, ("belly", "lower_back"), grip="sides", **_HANDY),
    "cup": _kind("one", True, grip="handle|sides", lifted="handle|sides", opened="top", **_HANDY),
    "glass": _kind("one", True, grip="sides", opened="top", **_HANDY),
    "bottle": _kind("one", True, grip="body", lifted="body", opened="cap", rim="mouth", **_HANDY),
    "pot": _kind("both", True, grip="sides", opened="lid", **_HANDY),
    "utensil": _kind("one", True, grip="handle|body", lifted="handle|body", **_HANDY),
    "food": _kind("one", True, grip="body", lifted="body", rim="top", **_HANDY),
    "mouth": _kind("one", True, grip="body", lifted="body", rim="body", **_HANDY),
    "pen": _kind("one", True, grip="body", lifted="body", **_HANDY),
    "guitar": _kind("one", True, grip="neck", strings="strings", lifted="neck"),
    "violin": _kind("one", True, grip="neck", strings="strings", lifted="neck"),
    "cello": _kind("one", False, grip="neck", strings="strings", lifted="neck"),
    "wind": _kind("both", True, grip="body", lifted="body"),
    "drum": _kind("both", True, grip="sides", raised="hip"),
    "appliance": _kind("both", True, grip="sides", pressed="front", opened="top", raised="hip"),
    "control": _kind("one", False, grip="handle|body", pressed="front", surface="front", opened="handle|body",
                     raised="chest"),
}  # fmt: skip
"""Classes of `objects.txt`; "thing" is what nobody knows."""
