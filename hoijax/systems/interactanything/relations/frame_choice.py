"""What a sentence does: the frame of its verb, preposition, limbs and object."""

from hoijax.systems.interactanything.relations.frames import (
    BESIDE,
    CHOICES,
    PLAYERS,
    TAKE_HOLD,
    TITLED,
    USED,
    Kind,
)
from hoijax.systems.interactanything.relations.lexicon import Thing
from hoijax.systems.interactanything.relations.schema import Note
from hoijax.systems.interactanything.relations.sentence import Clause, Phrase
from hoijax.systems.interactanything.relations.shape import Shape

_TAKES = {"hold", "carry", "lift", "lower", "hug", "wear", "cradle", "shoulder", "balance", "show"}
_BY_TOOL = {"hit", "cut", "write", "eat", "wipe", "drink", "touch", "tool", "sweep", "kick", "throw", "press", "open"}


def choose_frame(
    clause: Clause | None, phrase: Phrase | None, thing: Thing | None, kind: Kind, shape: Shape, notes: list[Note]
) -> tuple[str, str, str]:
    """The frame's name, who decided, and why."""
    if clause is None:
        notes.append(Note("unknown verb", "I find no verb; I take hold"))
        return TAKE_HOLD, "fallback", "no verb was found"
    preposition = phrase.preposition if phrase else ""
    name, known = clause.frame, f"to {clause.verb} is known"
    if name is None:
        on_top = preposition == "on" and (thing is None or thing.kind in ("seat", "bed", "bigball", "cycle", "mount"))
        if on_top and (shape.seat is not None or thing is not None):
            what = f"I do not know the verb {clause.verb!r}" if clause.verb else "I find no verb"
            text = f"{what}; it is done on something to sit on: I sit"
            notes.append(Note("unknown verb", text))
            return "sit", "geometry", text
        if not clause.verb and preposition in BESIDE and preposition:
            notes.append(Note("unknown verb", "I find no verb; the person is there"))
            return "beside", "fallback", "no verb was found"
        text = f"I do not know the verb {clause.verb!r}; I take hold" if clause.verb else "I find no verb; I take hold"
        notes.append(Note("unknown verb", text))
        return TAKE_HOLD, "fallback", text
    return _known_frame(name, preposition, clause, phrase, thing, kind), "lexicon", known


def _known_frame(
    name: str, preposition: str, clause: Clause, phrase: Phrase | None, thing: Thing | None, kind: Kind
) -> str:
    """The frame of a known verb with its preposition, the person's parts it names, and the object's class."""
    what = thing.kind if thing else "thing"
    limbs = {limb.split()[-1]: where for where, limb, _ in clause.limbs}
    if name == "lean" and limbs.get("back") == "" and preposition == "against":
        return "lean_against"
    if "" in limbs.values() and preposition in ("on", "in", "against") and name in ("lie", "lower", "lean", "sit"):
        return "limb_on"  # "rests the feet on the stool"
    if preposition == "with" and name in _BY_TOOL:
        return {"hit": "swing", "write": "write", "sweep": "sweep", "eat": "hold"}.get(name, "tool")
    direct = [o for o in clause.objects if o.preposition == ""]
    if name == "lean" and direct:  # "leans the ladder against the wall"
        return "beside" if preposition else "hold"
    if name == "hold" and preposition == "with" and limbs.get("hand") == "":
        return "shake_hands"
    if name == "lower" and kind.worn and "on" in limbs.values():
        return "wear"
    if name == "lie" and thing is not None and thing.name == "pillow":
        return "pillow"
    if name == "lie" and clause.verb in ("rest", "nap", "doze") and what == "seat" and thing.name != "sofa":
        return "sit"
    if name == "sit" and clause.verb in ("lounge", "relax") and what == "bed":
        return "lie"
    if name == "push" and clause.verb in ("wheel", "roll") and what == "case":
        return "pull"
    if name == "balance" and {"hand", "palm", "finger", "fingertip"} & set(limbs):
        return "hold"
    if name == "hug" and kind.hands == "one" and what not in ("pack", "bag", "case"):
        return "hold"
    if name in _TAKES or (name in CHOICES and name in ("shoulder", "balance")):
        held = _way_of_holding(name, clause, limbs, what)
        if held:
            return held
    if name == "stand" and limbs.get("foot") == "with":
        return "foot_on"
    if name == "kiss" and kind.light:
        return "kiss_held"
    if name == "play":
        return PLAYERS.get(what, "hold")
    if name in ("ride", "skate"):
        return TITLED.get(what, name) if what != "wheeled" else "inside"
    if name == "use":
        return USED.get(what, "hold")
    if name == "lean" and what == "seat" and preposition == "in":
        return "sit"
    if name == "swing" and preposition in ("on", "from"):
        return "sit" if what == "seat" else "hang"
    if name in ("sit", "lie", "kneel", "crouch") and preposition in ("beside", "behind", "before", "under", "by", "at"):
        return "beside"
    if name == "sit" and preposition == "in" and what in ("vehicle", "box", "wheeled", "thing"):
        return "inside" if what != "thing" else "sit"
    if name == "sit" and preposition == "" and phrase is not None and what not in ("seat", "bed"):
        return "lower"  # "sits the doll down"
    if name == "drive" and what not in ("vehicle", "thing"):
        return "push" if what == "wheeled" else "ride"
    if name == "open" or name == "close":
        return "open_light" if kind.light and what not in ("case", "pack", "bag") else "open"
    if name == "write":
        return "write" if what == "pen" else "write_up" if what in ("sheet", "fixed", "tall", "screen") else "write_on"
    if name == "cut":
        return "tool" if what in ("utensil", "handled", "small") and preposition == "with" else "cut"
    if name == "sweep":
        return "sweep" if what in ("longtool", "handled", "wheeled", "stick", "thing") else "wipe"
    if name == "tool":
        return "tool" if what in ("handled", "utensil", "longtool", "small", "thing") else "hold"
    if name == "drink" and what not in ("cup", "glass", "bottle", "plate", "thing", "bag"):
        return "hold"
    if name == "read" and what in ("screen", "fixed", "phone", "laptop"):
        return "text" if what == "phone" else "look"
    if name == "dance" and what not in ("figure", "doll"):
        return "hold"
    if name == "crawl" and preposition != "on":
        return "beside"
    if name in CHOICES:
        where = "beside" if preposition == "by" else preposition
        if name == "lean" and phrase is not None and phrase.part and where != "against":
            where = "on"
        return dict(CHOICES[name]).get(where, dict(CHOICES[name])[""])
    return name


def _way_of_holding(name: str, clause: Clause, limbs: dict[str, str], what: str) -> str | None:
    """How something is held by what the sentence says of the person's own parts; None: it says nothing of that."""
    if limbs.get("back") in ("on", "over") or (what == "pack" and name in ("carry", "wear") and not limbs):
        return "on_back"
    if limbs.get("shoulder") in ("on", "over"):
        return "on_shoulder"
    if limbs.get("head") == "on" and name != "wear":
        return "on_head"
    if limbs.get("arm") == "under":
        return "under_arm"
    if limbs.get("arm") == "in" and what != "thing":
        return "cradle"
    if "lap" in limbs or limbs.get("knee") == "on":
        return "on_lap"
    if limbs.get("chest") in ("against", "to"):
        return "hug"
    if clause.overhead and name in ("hold", "carry", "lift"):
        return "overhead"
    return None
