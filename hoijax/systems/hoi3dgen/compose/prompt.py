"""A prompt taken apart: who, in what clothes, and which object; the plain sentence that is left says what is done."""

import dataclasses
import re

from hoijax.errors import InputError
from hoijax.systems.hoi3dgen.compose.garments import GARMENTS
from hoijax.systems.hoi3dgen.compose.palette import (
    COLORS,
    MATERIAL_COLORS,
    MATERIAL_WORDS,
    MATERIALS,
    PATTERNS,
    SHADES,
    Color,
    Material,
    color_of,
)
from hoijax.systems.hoi3dgen.compose.people import BUILD
from hoijax.systems.interactanything.relations.lexicon import Thing, lemma, things, verbs
from hoijax.systems.interactanything.relations.sentence import Phrase, understand

_FEMALE = {"woman", "lady", "female", "mother", "actress", "waitress", "she", "businesswoman", "grandmother"}
_MALE = {"man", "guy", "gentleman", "male", "father", "waiter", "he", "businessman", "grandfather", "dude", "bloke"}
_NEUTRAL = {
    "person", "someone", "somebody", "adult", "human", "worker", "player", "teacher", "student", "dancer", "musician",
    "cook", "chef", "farmer", "nurse", "doctor", "soldier", "cleaner", "gardener", "tourist", "athlete", "traveller",
    "traveler", "mechanic", "engineer", "carpenter", "builder", "hiker", "runner", "cyclist", "skater", "pensioner",
}  # fmt: skip
_CHILDREN = {"child", "boy", "girl", "kid", "toddler", "baby", "infant", "teenager", "teen", "schoolboy", "schoolgirl"}
_MANY = {
    "people", "men", "women", "children", "kids", "boys", "girls", "persons", "they", "we", "couple", "crowd", "ladies",
    "guys", "workers", "players", "students", "friends", "dancers", "adults", "family", "group", "team", "twins",
}  # fmt: skip
_ARTICLES = {"a", "an", "the", "his", "her", "their", "its", "some", "one"}
_WEARING = {"wearing", "in", "with", "dressed", "wears", "sporting"}
_BETWEEN = {",", "and", "&", "plus"}
_HAIR = {
    "blond": (0.80, 0.66, 0.40), "blonde": (0.80, 0.66, 0.40), "brunette": (0.30, 0.20, 0.13),
    "red-haired": (0.52, 0.22, 0.11), "redheaded": (0.52, 0.22, 0.11), "ginger": (0.58, 0.27, 0.12),
    "grey-haired": (0.62, 0.62, 0.62), "gray-haired": (0.62, 0.62, 0.62), "white-haired": (0.90, 0.90, 0.89),
    "black-haired": (0.07, 0.06, 0.06), "dark-haired": (0.11, 0.08, 0.07), "brown-haired": (0.30, 0.20, 0.13),
    "fair-haired": (0.80, 0.66, 0.40), "blond-haired": (0.80, 0.66, 0.40), "old": (0.66, 0.66, 0.66),
    "elderly": (0.74, 0.74, 0.74), "aged": (0.66, 0.66, 0.66),
}  # fmt: skip
_SKIN = {
    "dark-skinned": (0.36, 0.24, 0.17), "brown-skinned": (0.50, 0.34, 0.24), "light-skinned": (0.92, 0.76, 0.66),
    "fair-skinned": (0.92, 0.76, 0.66), "pale": (0.95, 0.82, 0.74), "tanned": (0.68, 0.47, 0.33),
}  # fmt: skip
_SIZES = {
    "small": 0.8, "little": 0.8, "tiny": 0.65, "short": 0.85, "big": 1.2, "large": 1.2, "huge": 1.4, "giant": 1.5,
    "long": 1.15, "tall": 1.15, "medium": 1.0,
}  # fmt: skip
_SILENT = {
    "very",
    "rather",
    "quite",
    "young",
    "old",
    "new",
    "empty",
    "full",
    "nice",
    "open",
    "closed",
    "heavy",
    "light",
    "shopping",
    "garbage",
    "trash",
}
_DOER = re.compile(r"^[a-z]+(er|or|ist|ian|man|woman)$")
_WORN = {"onhead", "onface", "onfeet", "onhand", "onwrist", "onneck", "ontorso", "onlegs", "onwaist"}
"""Classes of the lexicon's things that are worn."""
LONGEST = 1000
"""Characters of a prompt."""


class SeveralPeopleError(InputError):
    """A prompt names more than one person."""


@dataclasses.dataclass(frozen=True)
class Garment:
    """One piece of clothing."""

    name: str
    color: Color | None = None
    """None: the sentence names none."""
    pattern: str | None = None
    """"stripes", "checks" or "dots"."""
    material: str | None = None
    """A key of `MATERIALS`."""
    known: bool = True
    """Whether it is one of `GARMENTS`; otherwise its colour goes to the shirt."""


@dataclasses.dataclass(frozen=True)
class PersonWords:
    """What a prompt says of the person."""

    noun: str
    gender: str
    """"female", "male" or "neutral"."""
    build: tuple[str, ...] = ()
    """Words of `people.BUILD`."""
    hair: Color | None = None
    bald: bool = False
    skin: Color | None = None
    garments: tuple[Garment, ...] = ()


@dataclasses.dataclass(frozen=True)
class ObjectWords:
    """What a prompt says of the object."""

    noun: str
    thing: Thing | None
    """What the lexicon knows of it."""
    color: Color | None = None
    color_word: str | None = None
    pattern: str | None = None
    material: Material | None = None
    size: float = 1.0
    """Times its usual size."""
    words: tuple[str, ...] = ()
    """All words of its phrase."""


@dataclasses.dataclass(frozen=True)
class PromptWords:
    """A prompt taken apart."""

    text: str
    sentence: str
    """The plain sentence of what is done, for `interactanything.relations.reason`."""
    person: PersonWords
    thing: ObjectWords
    notes: tuple[str, ...] = ()
    """What was not understood or cannot be shown."""


def read_prompt(text: str) -> PromptWords:
    """Takes a prompt apart.

    Args:
      text: English, one person and one object, such as "A woman in a red jacket carries a blue box with both hands".

    Raises:
      InputError: empty or too long; no person, a child or more than one person; no object; no English.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("the prompt is empty; wanted one like 'A woman in a red jacket carries a blue box'")
    if len(text) > LONGEST:
        raise InputError(f"the prompt has {len(text):,} characters; at most {LONGEST:,} are read")
    plain = text.strip().rstrip(".!? ")
    words = re.findall(r"[^\W\d_](?:[\w'’-]*\w)?|[,;&]|\d+", plain.lower().replace("’", "'"))
    if not words:
        raise InputError(f"the prompt {text.strip()[:60]!r} has no word")
    notes: list[str] = []
    at = _subject(words, text)
    adjectives = [w for w in words[:at] if w not in _ARTICLES]
    person = _person(words[at], adjectives, notes)
    rest, garments, looks = _clothes(words[at + 1 :], notes)
    person = dataclasses.replace(person, garments=garments, **{k: v for k, v in looks.items() if v is not None})
    _one_person(rest, text)
    sentence = _plain(rest)
    thing = _thing(sentence, text, notes)
    return PromptWords(text.strip(), sentence, person, thing, tuple(notes))


def _subject(words: list[str], text: str) -> int:
    """Where the person's noun is."""
    for k, word in enumerate(words):
        if word in _MANY or (word.isdigit() and int(word) > 1) or word in ("two", "three", "four", "several", "many"):
            raise SeveralPeopleError(
                f"{text.strip()[:80]!r} names more than one person ({word}); wanted one person and one object"
            )
        if word in _CHILDREN:
            raise InputError(
                f"{text.strip()[:80]!r} asks for a {word}; the body that ships has the shapes of adults alone: say "
                "woman, man or person"
            )
        if word in _FEMALE | _MALE | _NEUTRAL:
            return k
        after = words[k + 1] if k + 1 < len(words) else ""
        does = lemma(after) is not None and (after.endswith("s") or after.endswith("ing") or after == "in")
        if 0 < k < 5 and _DOER.match(word) and word not in things() and (does or after in _WEARING):
            return k  # "a plumber in blue overalls": whoever is no thing and does something
        if k > 6:
            break
    known = sum(w in verbs() or lemma(w) is not None or w in things() or w in _ARTICLES for w in words)
    if known < 0.4 * len(words):
        raise InputError(f"the prompt is no English that is read here: {text.strip()[:80]!r}")
    raise InputError(
        f"the prompt names no person: {text.strip()[:80]!r}; wanted one like 'A woman in a red coat carries a box'"
    )


def _person(noun: str, adjectives: list[str], notes: list[str]) -> PersonWords:
    gender = "female" if noun in _FEMALE else "male" if noun in _MALE else "neutral"
    build, hair, skin, bald, lost = [], None, None, False, []
    for word in adjectives:
        if word in ("female", "male"):
            gender = word
        elif word in BUILD:
            build.append(word)
        elif word in _HAIR:
            hair = _HAIR[word]
        elif word in _SKIN:
            skin = _SKIN[word]
        elif word == "bald":
            bald = True
        elif word == "young" or word not in {*_SILENT, ",", "and", *COLORS}:
            lost.append(word)
    if lost:
        notes.append(f"not shown, since no shape or colour of the body says it: {', '.join(lost)}")
    return PersonWords(noun, gender, tuple(build), hair, bald, skin)


def _clothes(words: list[str], notes: list[str]) -> tuple[list[str], tuple[Garment, ...], dict]:
    """What is left without the clothes and hair, the clothes, and colours of hair and skin."""
    kept: list[str] = []
    garments: list[Garment] = []
    looks: dict = {"hair": None, "bald": None, "skin": None}
    k = 0
    while k < len(words):
        end = _taken(words, k, garments, looks, notes, before="verb" not in map(_kind, kept))
        if end is None:
            kept.append(words[k])
            k += 1
            continue
        while kept and kept[-1] in (*_BETWEEN, "who", "is", "that", "and"):
            kept.pop()
        if end < len(words) and words[end] in _BETWEEN and any(_kind(w) == "verb" for w in kept) is False:
            end += 1
        if kept and end < len(words) and words[end] in ("while",):
            kept.append("while")
            end += 1
        k = end
    while kept and kept[0] in (*_BETWEEN, "who", "that", "is"):
        kept.pop(0)
    while kept and kept[-1] in (*_BETWEEN, "while"):
        kept.pop()
    return kept, tuple(garments), looks


def _kind(word: str) -> str:
    found = lemma(word)
    return (
        "verb" if found is not None and (word.endswith(("s", "ing", "ed")) or word in ("sat", "held", "stood")) else ""
    )


def _taken(words, k, garments, looks, notes, before) -> int | None:
    """Where clothes that begin at `k` end; None: none begin there. What they are is added to `garments` and `looks`."""
    word = words[k]
    if word not in _WEARING:
        return None
    start = k + 1
    if word == "dressed":
        if start >= len(words) or words[start] not in ("in", "as"):
            return None
        start += 1
    found, end = [], start
    while True:
        phrase, stop = _noun_phrase(words, end)
        garment = _garment(phrase, looks) or _small_wear(phrase, notes)
        if garment is None:
            # After "wearing", or before anything is done, whatever is worn is a garment, known or not.
            unknown = (
                phrase and phrase[-1] not in things() and (word in ("wearing", "dressed") or (before and word == "in"))
            )
            if not (unknown and not found and _plausible(phrase)):
                break
            garment = _unknown(phrase, notes)
        found.append(garment)
        end = stop
        if not (end < len(words) and words[end] in _BETWEEN):
            break
        ahead = end + 1 + (words[end + 1 : end + 2] == ["and"])
        following, _ = _noun_phrase(words, ahead)
        if _garment(following, dict(looks)) is None:
            break
        end = ahead
    if not found:
        return None
    garments += [g for g in found if g.name != ""]
    return end


def _plausible(phrase: list[str]) -> bool:
    return (
        phrase[-1] not in ("hand", "hands", "front", "arms", "arm", "middle", "air", "foot", "feet") and len(phrase) < 6
    )


def _noun_phrase(words: list[str], start: int) -> tuple[list[str], int]:
    """Words of a noun phrase without its article, and where it ends: before a verb, a preposition, a comma or "and"."""
    k = start
    while k < len(words) and words[k] in (*_ARTICLES, "pair", "of"):
        k += 1
    phrase: list[str] = []
    while k < len(words):
        word = words[k]
        joins = word == "and" and phrase and phrase[-1] in COLORS and k + 1 < len(words) and words[k + 1] in COLORS
        if joins:  # "black and white"
            k += 1
            continue
        if word in (*_BETWEEN, ";", "who", "that", "while", "with", "on", "in", "to", "at", "by", "is", "from", "over"):
            break
        ends = bool(phrase) and _kind(word) == "verb" and " ".join([phrase[-1], word]) not in GARMENTS
        if ends and (word not in GARMENTS or phrase[-1] in GARMENTS):
            break
        if word in _ARTICLES:
            break
        phrase.append(word)
        k += 1
    return phrase, k


def _look(words: list[str]) -> tuple[Color | None, str | None, str | None, str | None, list[str]]:
    """Colour, its word, pattern, material and the words that say none of them."""
    color = color_word = pattern = material = None
    lost = []
    for k, word in enumerate(words):
        before = words[k - 1] if k and words[k - 1] in SHADES else None
        found = color_of(word, before)
        if found is not None:
            color, color_word = (color, color_word) if color is not None else (found, word)
        elif word in PATTERNS:
            pattern = PATTERNS[word]
        elif word in MATERIAL_WORDS:
            material = MATERIAL_WORDS[word]
            if color is None and word in MATERIAL_COLORS:
                color = MATERIAL_COLORS[word]
        elif word not in SHADES:
            lost.append(word)
    return color, color_word, pattern, material, lost


def _garment(phrase: list[str], looks: dict) -> Garment | None:
    if not phrase:
        return None
    if phrase[-1] == "hair":
        color = _look(phrase[:-1])[0]
        named = next((_HAIR[w] for w in phrase if w in _HAIR), _HAIR["ginger"] if "red" in phrase else None)
        looks["hair"] = named or color or looks.get("hair")
        return Garment("")
    if phrase[-1] == "skin":
        color = _look(phrase[:-1])[0]
        looks["skin"] = {"dark": _SKIN["dark-skinned"], "light": _SKIN["light-skinned"], "pale": _SKIN["pale"]}.get(
            phrase[0], color
        )
        return Garment("")
    for length in (2, 1):
        name = " ".join(phrase[-length:])
        if len(phrase) >= length and name in GARMENTS:
            color, _, pattern, material, _ = _look(phrase[:-length])
            return Garment(name, color, pattern, material)
    return None


def _small_wear(phrase: list[str], notes: list[str]) -> Garment | None:
    """Glasses, watches and the like, which are known as things and are not shown; clothes that are a colour alone."""
    if phrase and phrase[-1] in COLORS:
        return Garment("shirt", _look(phrase)[0])
    if phrase and phrase[-1] in things() and things()[phrase[-1]].kind in _WORN:
        notes.append(f"worn, but not shown: {phrase[-1]}")
        return Garment("")
    return None


def _unknown(phrase: list[str], notes: list[str]) -> Garment:
    color, _, pattern, material, _ = _look(phrase[:-1])
    what = "its colour goes to the shirt" if color else "it is left out"
    notes.append(f"nobody here knows how a {phrase[-1]} is cut; {what}. Known: {', '.join(sorted(GARMENTS))}")
    return Garment(phrase[-1], color, pattern, material, known=False)


def _one_person(words: list[str], text: str) -> None:
    for k, word in enumerate(words):
        people = _FEMALE | _MALE | _NEUTRAL | _MANY | _CHILDREN
        if word in people and word not in ("he", "she") and words[k + 1 : k + 2] != ["doll"] and word != "baby":
            raise SeveralPeopleError(
                f"{text.strip()[:80]!r} names a second person ({word}); wanted one person and one object"
            )


def _plain(words: list[str]) -> str:
    """The sentence of somebody who does what the words say."""
    text = " ".join(words).replace(" ,", ",").replace(" ;", ";")
    return f"A person {text}".strip()


def _thing(sentence: str, text: str, notes: list[str]) -> ObjectWords:
    understood = understand(sentence)
    phrases = [p for clause in understood.clauses for p in clause.objects]
    if not phrases:
        raise InputError(f"the prompt names no object: {text.strip()[:80]!r}; wanted one like '... carries a blue box'")
    chosen: Phrase = next((p for p in phrases if p.thing is not None), phrases[0])
    others = [p.noun for p in phrases if p is not chosen and p.thing is not None and p.noun != chosen.noun]
    if others:
        notes.append(f"one object is made, the {chosen.noun}; left out: {', '.join(others)}")
    noun = chosen.noun
    length = len(noun.split())
    before = list(chosen.words[: max(0, len(chosen.words) - length)])
    # A name that holds its material ("wooden chair") says it too.
    said = [*before, *(w for w in noun.split()[:-1] if w in MATERIAL_WORDS)]
    color, word, pattern, material, lost = _look(said)
    size = 1.0
    for other in lost:
        if other in _SIZES:
            size *= _SIZES[other]
        elif other not in {*_SILENT, *_ARTICLES}:
            notes.append(f"of the {noun} not shown: {other}")
    found = None if material is None else MATERIALS[material]
    return ObjectWords(noun, chosen.thing, color, word, pattern, found, size, tuple(chosen.words))
