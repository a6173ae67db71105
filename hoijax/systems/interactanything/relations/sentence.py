"""An English sentence taken apart as far as relations need it: who, does what, by which preposition, to what."""

import dataclasses
import re

from hoijax.errors import InputError
from hoijax.systems.interactanything.relations.lexicon import Thing, find_thing, guessed_lemma, lemma, singular, verbs
from hoijax.systems.interactanything.relations.places import WORDS

LONGEST = 1000
"""Characters of a sentence."""


def words_of(text: str) -> frozenset[str]:
    """Words written one after the other."""
    return frozenset(text.split())


_PEOPLE = words_of(
    "person people man woman boy girl child kid he she they someone somebody i you we adult human guy lady "
    "player worker teacher student toddler teenager dancer musician cook chef waiter farmer nurse soldier "
    "passenger cleaner gardener tourist customer pianist drummer guitarist officer athlete baby driver rider "
    "everyone anyone"
)
_DETERMINERS = words_of(
    "a an the his her its their my your our this that these those some one two both each another every any three four"
)
_AUXILIARIES = words_of(
    "is are was were be been being am has have had will would can could may might must do does did to about "
    "going not never begins begin starts start tries try wants want"
)
_ADVERBS = words_of(
    "sideways forward forwards backward backwards upright together alone still high low outside inside himself "
    "herself themselves itself then again now just very quite almost there here overhead astride aloft "
    "barefoot aside hard fast"
)
_TO_BE = words_of("is are was were be been being")
_PARTICLES = words_of("up down out off away over back around along")
_LOST_PARTICLES = words_of("back away out off")
"""After a verb they change nothing here."""
_PREPOSITIONS = {
    "on": "on", "onto": "on", "upon": "on", "atop": "on", "in": "in", "into": "in", "inside": "in", "within": "in",
    "against": "against", "beside": "beside", "near": "beside", "alongside": "beside", "behind": "behind",
    "under": "under", "beneath": "under", "underneath": "under", "below": "under", "over": "over", "above": "over",
    "across": "on", "through": "through", "around": "around", "with": "with", "by": "by", "at": "at", "to": "to",
    "toward": "to", "towards": "to", "from": "from", "of": "of", "off": "from", "up": "on", "down": "on",
    "for": "for", "along": "beside", "between": "beside", "past": "beside", "via": "by", "without": "without",
}  # fmt: skip
_GROUPS = {
    "next to": "beside", "close to": "beside", "in front of": "before", "on top of": "on", "out of": "from",
    "by means of": "with", "away from": "from",
}  # fmt: skip
_OWN = "(him|her|them|it)self|(his|her|their) (body|chest|face) "
_AND = {"and", "or", "while", "then", ",", ";", "as", "but"}
_PRONOUNS = {"it", "them", "him", "her", "something", "anything", "thing", "object"}
_MEASURES = {"stack", "pile", "pair", "piece", "bunch", "set", "kind", "sort", "couple", "lot", "number", "bundle"}
"""Of what comes after "of" they say how much."""
_RESULTS = {"open", "shut", "closed", "clean", "dry", "empty", "full"}
"""After a noun they say what becomes of it."""
_TAKEN = {"photo", "picture", "photograph", "selfie", "video"}
_NOWHERE = {"front", "side", "air", "middle", "place", "way", "end", "center", "centre", "order", "time"}
"""Nouns that are no objects: "in front", "in the air"."""
_FLOOR = {"ground", "floor", "earth", "lawn", "grass", "pavement"}
REGIONS = {
    "hand": "hand", "palm": "palm", "finger": "fingers", "fingertip": "finger_pads", "arm": "forearm",
    "forearm": "forearm", "elbow": "elbow", "shoulder": "shoulder", "foot": "sole", "sole": "sole", "toe": "toes",
    "heel": "heel", "knee": "knee", "thigh": "thigh", "lap": "lap", "leg": "thigh", "hip": "hips", "head": "head",
    "face": "face", "neck": "neck", "chest": "chest", "back": "back", "belly": "belly", "stomach": "belly",
    "mouth": "face", "tooth": "face", "lip": "face", "ear": "head", "cheek": "face", "nose": "face", "fist": "fingers",
    "thumb": "thumb", "waist": "belly", "body": "torso", "eye": "face", "buttock": "buttocks",
    "bottom": "buttocks", "wrist": "forearm", "shin": "shin", "torso": "torso",
}  # fmt: skip
"""Parts of the person, and the region or half of a region's name that each is."""


@dataclasses.dataclass(frozen=True)
class Phrase:
    """A noun phrase with the preposition before it."""

    preposition: str
    """"" before a direct object; one of on, in, against, beside, behind, before, under, over, with, by, ..."""
    words: tuple[str, ...]
    """Without article."""
    noun: str
    thing: Thing | None
    by_head: bool
    """Only the head of a compound was known."""
    part: str = ""
    """The part of it that the sentence names: "handle"."""


@dataclasses.dataclass(frozen=True)
class Clause:
    """A verb with what belongs to it."""

    verb: str
    """Base form."""
    frame: str | None
    """Of `lexicon.verbs`; None: the verb is not known."""
    objects: tuple[Phrase, ...]
    limbs: tuple[tuple[str, str, int], ...]
    """Parts of the person: preposition, part, and the number of the object before it, -1 where there is none:
    ("with", "right hand", 0), ("on", "back", 0)."""
    overhead: bool = False
    on_floor: bool = False


@dataclasses.dataclass(frozen=True)
class Sentence:
    """What was understood of a sentence."""

    text: str
    person: bool
    """Whether somebody does it."""
    clauses: tuple[Clause, ...]
    known_words: int
    """Words that the lexicon or the grammar knows."""
    several: bool = False
    """Whether more than one person acts."""
    negated: bool = False
    """Whether it says that something is not done."""


def understand(text: str) -> Sentence:
    """Takes a sentence apart.

    Raises:
      InputError: empty, longer than `LONGEST`, not text, or without a word.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("the sentence is empty; wanted one such as 'A person sits on the chair'")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise InputError("the sentence has half a character (a lone surrogate); read it as UTF-8")
    if len(text) > LONGEST:
        raise InputError(f"the sentence has {len(text):,} characters; at most {LONGEST:,} are read")
    words = re.findall(r"[^\W\d_](?:[\w'’-]*\w)?|[,;]", text.lower().replace("’s ", " ").replace("'s ", " "))
    if not any(w not in (",", ";") for w in words):
        raise InputError(
            f"the sentence {text.strip()[:60]!r} has no word; wanted one such as 'A person sits on the chair'"
        )
    words = _join(words)
    person, start = _subject(words)
    marks = _marks(words, start)
    clauses = tuple(_clauses(words, marks, start))
    known = sum(_is_known(w) for w in words)
    several = any(w in ("people", "they", "men", "women", "children", "kids", "we") for w in words[: max(start, 0)])
    negated = any(w in ("not", "never", "nobody", "without") or w.endswith(("n't", "n’t")) for w in words)
    return Sentence(text.strip(), person, clauses, known, several, negated)


def _join(words: list[str]) -> list[str]:
    """Prepositions of several words as one, under the name of their group."""
    text = re.sub(" face (down|up) ", " ", " " + " ".join(words) + " ")
    for group in sorted(_GROUPS, key=len, reverse=True):
        # "in front of her chest" is about the person: the object is held there.
        text = re.sub(rf" {group} (?!{_OWN})", f" @{_GROUPS[group]} ", text)
    return text.split()


def _is_known(word: str) -> bool:
    single = singular(word)
    if word in _DETERMINERS | _PEOPLE | _AUXILIARIES and word not in ("a", "an", "i", "his", "do", "am", "die"):
        return True
    return len(word) > 2 and (
        lemma(word) is not None or find_thing([word])[0] is not None or word in _PREPOSITIONS or single in REGIONS
    )


def _subject(words: list[str]) -> tuple[bool, int]:
    """Whether a person acts, and where what he or she does begins."""
    for k, word in enumerate(words):
        if singular(word) in _PEOPLE or word in _PEOPLE:
            return True, k + 1
        does = k > 1 and words[0] in ("a", "an", "the") and word.endswith("s") and lemma(word) not in (None, word)
        if does and not set(words[1:k]) & (_PREPOSITIONS.keys() | _AND | _TO_BE) and not find_thing(words[1:k])[0]:
            return True, k  # "a traveller wheels": whoever is no known thing and does something
        if k and lemma(word) and words[k - 1] not in _DETERMINERS and not word.endswith("ing"):
            # In the passive whoever acts comes last: "is pushed by a man".
            after = words[k + 1 :]
            return any(w == "by" and {*after[i + 1 : i + 3]} & _PEOPLE for i, w in enumerate(after)), 0
    return False, 0


def _marks(words: list[str], start: int) -> list[str]:
    """What each word is: "verb", "prep", "det", "and", "skip" or "noun"."""
    marks = ["skip"] * start
    for k in range(start, len(words)):
        marks.append(_mark(words, k, marks[k - 1] if k > start else "skip", "verb" in marks))
    return marks


def _mark(words: list[str], k: int, before: str, seen_verb: bool) -> str:
    word, after = words[k], words[k + 1] if k + 1 < len(words) else ""
    if word in _AND:
        return "and"
    if word in _TO_BE or (word == "has" and lemma(after)):
        return "skip"
    if word.startswith("@"):
        return "prep"
    if word in _DETERMINERS and not (word in ("one", "another") and after in _PREPOSITIONS):
        return "det"
    begins = _new_verb(words, k, seen_verb)
    if before in ("det", "noun") and not begins:
        # Within a noun phrase only a preposition ends it.
        if before == "noun" and (word in _ADVERBS | _RESULTS or word.endswith("ly")):
            return "skip"
        return "prep" if word in _PREPOSITIONS and before == "noun" else "noun"
    if word in _AUXILIARIES and not (word == "to" and seen_verb and not lemma(after)):
        return "skip"
    if word in _PREPOSITIONS:
        return "prep"
    if not seen_verb and word in REGIONS and lemma(after):  # "a person's hand holds"
        return "skip"
    if word in _ADVERBS or (word.endswith("ly") and lemma(word) is None and find_thing([word])[0] is None):
        return "skip"
    return "verb" if begins or (not seen_verb and before in ("skip", "and")) else "noun"


def _new_verb(words: list[str], k: int, seen_verb: bool) -> bool:
    """Whether a word after a noun begins another clause: "..., holding it", "... and reads a book"."""
    word, before = words[k], words[k - 1]
    if lemma(word) is None or before in _DETERMINERS:
        return False
    if word.endswith("ing") and find_thing([word])[0] is None:
        return True
    if not seen_verb or ("ing" in {w[-3:] for w in words[:k] if lemma(w)} and find_thing([word])[0] is None):
        # "the man with a hat sits", "a man leaning on a cane walks"
        return (word.endswith(("s", "ed")) and word != lemma(word)) or word in ("sat", "stood", "held")
    return before in _AND and word != lemma(word) and word.endswith(("s", "ed"))


def _clauses(words: list[str], marks: list[str], start: int):
    at = [k for k in range(start, len(words)) if marks[k] == "verb"]
    if not at and start < len(words):  # "a person with an umbrella", "the ball"
        yield _clause(["", *words[start:]], ["verb", *marks[start:]], 0, len(words) - start + 1)
    for number, k in enumerate(at):
        end = at[number + 1] if number + 1 < len(at) else len(words)
        clause = _clause(words, marks, k, end)
        if number == 0 and start == 0 and not clause.objects:  # "the chair is sat on by a person"
            nouns = [words[i] for i in range(k) if marks[i] == "noun"]
            last = next((_PREPOSITIONS[w] for w in words[k + 1 : end] if w in _PREPOSITIONS and w != "by"), "")
            if nouns:
                thing, noun, by_head = find_thing(nouns)
                clause = dataclasses.replace(clause, objects=(Phrase(last, tuple(nouns), noun, thing, by_head),))
        yield clause


def _clause(words: list[str], marks: list[str], k: int, end: int) -> Clause:
    base = lemma(words[k]) if words[k] else ""
    known = verbs()
    phrases, preposition, k0 = [], "", k + 1
    overhead = "overhead" in words[k:end] or "aloft" in words[k:end]
    frame = known.get(base) if base else None
    # A particle, at once ("puts on the hat") or after the object ("picks the box up").
    following = words[k + 1] if k + 1 < end else ""
    if base and f"{base} {following}" in known and (following in _PARTICLES or following in _PREPOSITIONS):
        frame = known[f"{base} {following}"]
        k0 += 1
        preposition = "" if following in _PARTICLES else _PREPOSITIONS[following]
    elif following in _PARTICLES and (marks[k + 1] == "prep" or following in _LOST_PARTICLES):
        after = marks[k + 2] if k + 2 < end else "skip"
        if (
            following in ("back", "away", "out", "off")
            or after in ("prep", "skip", "and")
            or base not in ("climb", "walk")
        ):
            k0 += 1
    elif base:
        last = max((i for i in range(k + 1, end) if words[i] not in _AND), default=k)
        if last > k and f"{base} {words[last]}" in known and words[last] in _PARTICLES | {"on"}:
            frame, end = known[f"{base} {words[last]}"], last
    noun: list[str] = []

    def close():
        nonlocal preposition
        if noun:
            phrases.append((preposition, tuple(noun)))
            noun.clear()
        preposition = ""

    for i in range(k0, end):
        if marks[i] == "prep":
            if noun:
                close()
            preposition = words[i][1:] if words[i].startswith("@") else _PREPOSITIONS[words[i]]
        elif marks[i] == "det":
            if noun:
                close()
            if words[i] in ("both", "two", "one", "his", "her", "their"):
                noun.append(words[i])
        elif marks[i] == "noun":
            noun.append(words[i])
        elif noun:
            close()
    close()
    if base and f"{base} hands" in known and any("hands" in p[1] for p in phrases):
        frame = known[f"{base} hands"]
        phrases = [p for p in phrases if "hands" not in p[1]]
    if base == "take" and any(singular(p[1][-1]) in _TAKEN for p in phrases):
        frame = known["photograph"]
        phrases = [p for p in phrases if singular(p[1][-1]) not in _TAKEN]
    if base in ("give", "take"):  # "gives the robot a hug", "takes a sip from the mug"
        done = next((p for p in phrases if known.get(p[1][-1]) and find_thing(list(p[1]))[0] is None), None)
        if done is not None:
            base, frame = done[1][-1], known[done[1][-1]]
            phrases.remove(done)
    return _sort(base or (guessed_lemma(words[k]) if words[k] else ""), frame, phrases, overhead)


def _sort(verb: str, frame: str | None, phrases: list, overhead: bool) -> Clause:
    """Phrases as objects, the person's own parts, the floor, and parts of objects."""
    objects, limbs, on_floor, part, outer, measured = [], [], False, "", "", False
    for number, (preposition, words) in enumerate(phrases):
        counted = [w for w in words if w not in ("both", "two", "one", "his", "her", "their")]
        if not counted:
            continue
        head = singular(counted[-1])
        follows_of = number + 1 < len(phrases) and phrases[number + 1][0] == "of"
        if follows_of and head in _MEASURES:
            outer = preposition or outer
            measured = True
            continue
        if follows_of and (head in REGIONS or counted[-1] in WORDS or head in WORDS):
            part, outer = head if head in WORDS or head in REGIONS else counted[-1], preposition
            if counted[0] in ("left", "right") and head == "side":
                part = f"{counted[0]} side"
            continue
        if preposition == "by" and (head in WORDS or head in REGIONS) and objects:
            objects[-1] = dataclasses.replace(objects[-1], part=head)
            continue
        if head in REGIONS and (preposition or not objects) and (len(counted) == 1 or counted[0] in ("right", "left")):
            if head == "head" and preposition == "over":
                overhead = True
            both = {"both", "two"} & set(words) or (counted[-1] != head and "one" not in words)
            side = next(
                (w for w in counted if w in ("left", "right")), "both" if both else "one" if "one" in words else ""
            )
            limbs.append((preposition, f"{side} {head}".strip(), len(objects) - 1))
            continue
        if head in _FLOOR:
            on_floor = True
            continue
        thing, noun, by_head = find_thing(counted)
        if preposition == "of":
            if objects and not part and not measured:  # "a glass of water"
                continue
            preposition = outer
        if preposition == "by" and (noun in _PEOPLE or (thing is None and counted[-1] in _PEOPLE)):
            continue  # who does it, in the passive
        if thing is None and noun in _NOWHERE | _PRONOUNS:
            continue
        objects.append(Phrase(preposition, tuple(counted), noun, thing, by_head, part))
        part, outer, measured = "", "", False
    return Clause(verb, frame, tuple(objects), tuple(limbs), overhead, on_floor)
