"""The words that are known without a language model: names of things and verbs, and English endings."""

import dataclasses
import functools
import importlib.resources
import re

from hoijax.systems.interactanything.relations.frames import CHOICES, FRAMES, KINDS

IRREGULAR = {
    "sat": "sit", "sitting": "sit", "lay": "lie", "lain": "lie", "lying": "lie", "slept": "sleep", "stood": "stand",
    "knelt": "kneel", "crept": "creep", "hung": "hang", "leant": "lean", "rode": "ride", "ridden": "ride",
    "riding": "ride", "drove": "drive", "driven": "drive", "held": "hold", "took": "take", "taken": "take",
    "kept": "keep", "gave": "give", "given": "give", "brought": "bring", "caught": "catch", "drew": "draw",
    "drawn": "draw", "shut": "shut", "felt": "feel", "rang": "ring", "beat": "beat", "struck": "strike",
    "threw": "throw", "thrown": "throw", "flung": "fling", "shot": "shoot", "swung": "swing", "shook": "shake",
    "shaken": "shake", "drank": "drink", "drunk": "drink", "ate": "eat", "eaten": "eat", "bit": "bite", "blew": "blow",
    "wrote": "write", "written": "write", "swept": "sweep", "dug": "dig", "wore": "wear", "worn": "wear",
    "saw": "saw", "seen": "see", "went": "go", "gone": "go", "ran": "run", "spoke": "speak", "put": "put",
    "set": "set", "cut": "cut", "read": "read", "laid": "lay", "dried": "dry", "tried": "try", "skis": "ski",
    "skiing": "ski", "spun": "spin", "hit": "hit", "hidden": "hide", "hid": "hide",
}  # fmt: skip
PLURALS = {"knives": "knife", "shelves": "shelf", "leaves": "leaf", "loaves": "loaf", "men": "man", "women": "woman",
           "children": "child", "people": "person", "feet": "foot", "teeth": "tooth", "mice": "mouse"}  # fmt: skip
SHORT_HEADS = {"box", "bag", "bed", "cup", "mug", "hat", "jar"}
"""Names of three letters that are the heads of compounds; others end unrelated words too often."""
LONGEST_NAME = 4
"""Words of a thing's name at most."""


@dataclasses.dataclass(frozen=True)
class Thing:
    """A thing that has a name."""

    name: str
    """The first of its names."""
    kind: str
    """A key of `frames.KINDS`."""
    size: tuple[float, float]
    """Usual longest side, least and most, metres."""
    parts: dict[str, str]
    """Words by role, those of its class included."""


@functools.cache
def things() -> dict[str, Thing]:
    """Things by each of their names."""
    found: dict[str, Thing] = {}
    for number, fields in _rows("objects.txt"):
        names, kind, size, own = ([*fields, "", ""])[:4]
        if kind not in KINDS or len(fields) < 3:
            raise ValueError(f"objects.txt, line {number}: unknown class {kind!r}")
        low, high = (float(x) for x in size.split())
        parts = dict(pair.split("=") for pair in own.split())
        if unknown := set(parts) - set(KINDS["thing"].parts):
            raise ValueError(f"objects.txt, line {number}: unknown roles {sorted(unknown)}")
        aliases = [name.strip() for name in names.split(",")]
        thing = Thing(aliases[0], kind, (low, high), {**KINDS[kind].parts, **parts})
        for alias in aliases:
            if alias in found or len(alias.split()) > LONGEST_NAME:
                raise ValueError(f"objects.txt, line {number}: {alias!r} is given twice or has too many words")
            found[alias] = thing
    return found


@functools.cache
def verbs() -> dict[str, str]:
    """The frame of each verb, or of a verb with its particle."""
    found: dict[str, str] = {}
    for number, (frame, words) in _rows("verbs.txt"):
        if frame not in FRAMES and frame not in CHOICES and frame != "play":
            raise ValueError(f"verbs.txt, line {number}: unknown frame {frame!r}")
        for word in words.split(","):
            if word.strip() in found:
                raise ValueError(f"verbs.txt, line {number}: {word.strip()!r} is given twice")
            found[word.strip()] = frame
    return found


def lemma(word: str) -> str | None:
    """The known verb of which a word is a form; None: of none."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    return next((w for w in _stems(word) if w in _first_words()), None)


@functools.cache
def _first_words() -> frozenset[str]:
    return frozenset(verb.split()[0] for verb in verbs())


def guessed_lemma(word: str) -> str:
    """A verb's base form by its endings alone."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith(("ies", "ied")) and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(s|x|z|ch|sh)es$", word):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    bare = re.sub(r"(ing|ed)$", "", word)
    if bare == word or not re.search("[aeiouy]", bare):
        return word
    if len(bare) > 3 and bare[-1] == bare[-2] and bare[-1] not in "lsz":
        return bare[:-1]
    return bare + "e" if re.search(r"([^aeioul]l|[vcu]|[^e]at|[^aeiou]iz)$", bare) else bare


def singular(word: str) -> str:
    """A noun's singular, of known things alone where the ending does not tell."""
    if word in PLURALS:
        return PLURALS[word]
    if word in things() or len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if re.search(r"(ss|x|z|ch|sh)es$", word) and word[:-1] not in things():
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def find_thing(words: list[str]) -> tuple[Thing | None, str, bool]:
    """The thing that a noun phrase names.

    Args:
      words: the phrase without its article, lower case.

    Returns:
      The thing or None; the noun, as many words as were understood; and whether only the head of a compound was known.
    """
    table = things()
    for start in range(max(0, len(words) - LONGEST_NAME), len(words)):
        for last in (words[-1], singular(words[-1])):
            name = " ".join([*words[start:-1], last])
            if name in table:
                return table[name], name, False
    head = singular(words[-1])
    # "cheesebox" and "cheese-box" are boxes: the longest known name that ends the word.
    for cut in range(1, len(head) - 2):
        tail, start = head[cut:].lstrip("-"), head[:cut].rstrip("-")
        if tail in table and (len(tail) > 3 or tail in SHORT_HEADS) and (len(start) > 2 or "-" in head):
            return table[tail], head, True
    return None, head, False


def _stems(word: str) -> list[str]:
    """What a word may be a form of, the likeliest first."""
    found = [word]
    if word.endswith("ies"):
        found.append(word[:-3] + "y")
    if word.endswith("ied"):
        found.append(word[:-3] + "y")
    for ending in ("ing", "es", "ed", "s", "d"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            bare = word[: -len(ending)]
            found += [bare, bare + "e"]
            if len(bare) > 2 and bare[-1] == bare[-2]:
                found.append(bare[:-1])
            if bare.endswith("y") and ending == "ing":
                found.append(bare[:-1] + "ie")
    return found


def _rows(name: str):
    """Fields of a table's lines, with the lines' numbers."""
    text = importlib.resources.files("hoijax.assets").joinpath("interactanything", name).read_text("utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, [field.strip() for field in line.split("|")]
