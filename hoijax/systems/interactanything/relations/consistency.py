"""Answers that contradict each other, and which of them gives way."""

from typing import Any

from hoijax.systems.interactanything.relations.schema import MOST_CONTACTS, is_hand

_RIDDEN = {"ride", "skate", "surf", "ski", "skateboard", "cycle", "pedal", "row", "sail", "scoot", "bike", "mount",
           "straddle", "sled", "snowboard"}  # fmt: skip
_LARGE = ("half_body", "body_or_larger")


def consistent(answers: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Answers without contradictions.

    What touches what is believed first, then where the object is, then whether it moves and how high it is.

    Args:
      answers: a value for every question of `dialogue.QUESTIONS`.

    Returns:
      The answers, and what was changed: the question and why.
    """
    a = {**answers, "contacts": [dict(c) for c in answers["contacts"]]}
    log: list[tuple[str, str]] = []

    def change(key: str, value: Any, why: str) -> None:
        if a[key] != value:
            log.append((key, f"{why}: {key} {a[key]!r} became {value!r}"))
            a[key] = value

    for contact in a["contacts"]:
        if contact["kind"] == "grasp" and not is_hand(contact["body_part"]):
            log.append(("contacts", f"only hands grasp: {contact['body_part']} touches"))
            contact["kind"] = "touch"
    parts = [c["body_part"] for c in a["contacts"]]
    kinds = {c["kind"] for c in a["contacts"]}
    if not parts:
        change("contact_kind", "none", "nothing is touched")
    elif a["contact_kind"] == "none":
        change("contact_kind", a["contacts"][0]["kind"], "something is touched")
    if a["contact_kind"] == "grasp" and not any(map(is_hand, parts)):
        rests = a["object_side_of_human"] == "below"
        change("contact_kind", "support" if rests else "touch", "no hand touches the object")
    elif a["contact_kind"] == "grasp" and "grasp" not in kinds:
        log.append(("contacts", "the hands are there to grasp: they do"))
        for contact in a["contacts"]:
            if is_hand(contact["body_part"]):
                contact["kind"] = "grasp"
    if a["pose"] in ("sit", "straddle", "lie") and a["object_side_of_human"] == "below" and parts:
        resting = {"head", "seat", "buttocks", "hips", "back", "lower_back", "belly", "torso", "chest"}
        if not resting & set(parts):
            log.append(("contacts", f"to {a['pose']} on something is to rest on it: the seat was added"))
            seat = {"body_part": "seat", "object_part": "seat", "kind": "support"}
            a["contacts"] = [seat, *a["contacts"][: MOST_CONTACTS - 1]]
            change("contact_kind", "support", "the person's weight rests on the object")
    if a["object_side_of_human"] == "around" and a["contact_kind"] != "wear" and a["scale"] not in _LARGE:
        change("object_side_of_human", "front", "it is neither worn nor large enough to be inside")
    ridden = a["object_action"]["action"].split()[0] in _RIDDEN or a["pose"] == "straddle"
    if a["object_side_of_human"] == "below" and a["scale"] != "hand_sized" and not ridden:
        change("movable", False, "weight rests on it")
    if a["object_side_of_human"] == "above" and a["pose"] != "hang" and parts:
        change("movable", True, "it is held above the head")
        change("height_band", "overhead", "it is held above the head")
    if a["object_side_of_human"] == "below":
        change("height_band", "ground", "weight rests on it")
    return a, log
