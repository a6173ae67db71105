"""The lexicon and the grammar: every entry holds together, endings are undone, sentences are taken apart."""

import dataclasses
import functools
import json
import pathlib

import numpy as np
import pytest
import trimesh

from hoijax.body_models import contact_regions, free_body
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.systems.interactanything.relations import Contact, Relations, offline, reason
from hoijax.systems.interactanything.relations.frames import CHOICES, FRAMES, KINDS, PLAYERS, TITLED, USED
from hoijax.systems.interactanything.relations.lexicon import find_thing, guessed_lemma, lemma, singular, things, verbs
from hoijax.systems.interactanything.relations.schema import BANDS, BODY_PARTS, FACES, POSES, SIDES
from hoijax.systems.interactanything.relations.schema import KINDS as CONTACT_KINDS
from hoijax.systems.interactanything.relations.sentence import understand


def block(*size):
    mesh = trimesh.creation.box(size)
    return Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def test_the_lexicon_is_as_large_as_the_docs_say_and_holds_together():
    assert len(things()) > 900 and len({id(t) for t in things().values()}) > 150 and len(verbs()) > 300
    for name, thing in things().items():
        assert name == name.lower().strip() and 0 < thing.size[0] < thing.size[1] <= 100, name
        assert find_thing(name.split())[0] is thing, name
    assert {t.kind for t in things().values()} | {"thing"} == set(KINDS)


def test_frames_use_words_that_exist():
    for frame in FRAMES.values():
        assert frame.pose in POSES and frame.side in SIDES and frame.kind in CONTACT_KINDS
        assert frame.face in FACES and (frame.band in BANDS or frame.band == "") and frame.hands in ("", "one", "both")
        for slot in frame.slots:
            body, _, kind = slot.split()
            assert body in (*BODY_PARTS, "grip", "palm", "fingers", "limb") and kind.rstrip("?") in CONTACT_KINDS
    for kind in KINDS.values():
        assert set(kind.worn) <= set(BODY_PARTS) and kind.raised in BANDS and (kind.band in BANDS or not kind.band)
    named = {f for rows in CHOICES.values() for _, f in rows} | {*PLAYERS.values(), *TITLED.values(), *USED.values()}
    assert named <= set(FRAMES)
    assert all(rows[-1][0] == "" for rows in CHOICES.values())


def test_parts_of_the_body_are_regions_of_the_free_body():
    assert set(BODY_PARTS) <= set(contact_regions(free_body()))


def test_every_verb_with_every_class_has_relations(reason_of_block):
    """No pair of words that the lexicon knows fails, or contradicts itself so that it must be repaired."""
    count = 0
    one_of = {thing.kind: name for name, thing in things().items()}
    one_verb = {frame: verb for verb, frame in verbs().items() if " " not in verb}
    for noun in one_of.values():
        for verb in one_verb.values():
            # Of a sentence for each class and frame every eleventh: a second.
            if (count := count + 1) % 11:
                continue
            relations = reason_of_block(f"A person will {verb} {'on ' * (count % 2)}the {noun}")
            assert relations.known_verb, (verb, noun)
            assert "repair" not in {n.kind for n in relations.notes}, (verb, noun, relations.notes)


BLOCK = block(0.3, 0.4, 0.35)


@functools.cache
def block_shape():
    return offline.measure(BLOCK)


@pytest.fixture
def reason_of_block(monkeypatch):
    """`reason` about a block that is measured once: the words are what is tested."""
    shape = block_shape()
    scaled = lambda mesh, scale=1.0: dataclasses.replace(shape, box=shape.box.scaled(scale))  # noqa: E731
    monkeypatch.setattr(offline, "measure", scaled)
    return lambda sentence: reason(sentence, BLOCK)


@pytest.mark.parametrize(
    ("word", "want"),
    [("sits", "sit"), ("sitting", "sit"), ("sat", "sit"), ("carries", "carry"), ("carried", "carry"), ("lies", "lie"),
     ("lying", "lie"), ("hugging", "hug"), ("dribbles", "dribble"), ("pushes", "push"), ("typed", "type"),
     ("zorbles", None), ("quibbling", None)],
)  # fmt: skip
def test_endings_of_verbs(word, want):
    assert lemma(word) == want


@pytest.mark.parametrize(
    ("word", "want"),
    [("zorbles", "zorble"), ("frobnicates", "frobnicate"), ("gorps", "gorp"), ("glimming", "glim"), ("tidies", "tidy"),
     ("quibbled", "quibble"), ("miss", "miss")],
)  # fmt: skip
def test_endings_of_unknown_verbs(word, want):
    assert guessed_lemma(word) == want


@pytest.mark.parametrize(("word", "want"), [("knives", "knife"), ("boxes", "box"), ("chairs", "chair"),
                                            ("glasses", "glasses"), ("bus", "bus"),
                                            ("suitcases", "suitcase"), ("zorgles", "zorgle")])  # fmt: skip
def test_singulars(word, want):
    assert singular(word) == want


@pytest.mark.parametrize(
    ("words", "name", "noun", "by_head"),
    [("big red suitcase", "suitcase", "suitcase", False), ("baby doll", "baby doll", "baby doll", False),
     ("kitchen table", "table", "kitchen table", False), ("cheesebox", "box", "cheesebox", True),
     ("work-table", "table", "work-table", True), ("glorbin", None, "glorbin", False),
     ("trident", None, "trident", False)],
)  # fmt: skip
def test_nouns(words, name, noun, by_head):
    thing, got, head = find_thing(words.split())
    assert (thing.name if thing else None, got, head) == (name, noun, by_head)


SENTENCES = {
    "The man with a red hat sits down on an old wooden stool": ("sit", "on", "stool", ""),
    "She picks the box up": ("pick", "", "box", ""),
    "The chair is sat on by a person": ("sit", "on", "chair", ""),
    "A person's hand holds the cup": ("hold", "", "cup", ""),
    "A person stands in front of the mirror": ("stand", "before", "mirror", ""),
    "A person holds a glass of water": ("hold", "", "glass", ""),
    "A person carries a stack of books": ("carry", "", "book", ""),
    "A person kisses the head of the baby doll": ("kiss", "", "baby doll", "head"),
    "She's holding a mug by its handle": ("hold", "", "mug", "handle"),
    "A man leaning on a cane walks slowly": ("lean", "on", "cane", ""),
    "a person with an umbrella": ("", "with", "umbrella", ""),
    "Sit on the chair!": ("sit", "on", "chair", ""),
    "A woman in a red dress holds a large umbrella": ("hold", "", "umbrella", ""),
    "A person is carrying two suitcases": ("carry", "", "suitcase", ""),
    "A person holds the left side of the box": ("hold", "", "box", "left side"),
    "A person gives the robot a hug": ("hug", "", "robot", ""),
    "A person bounces on the trampoline": ("bounce", "on", "trampoline", ""),
}


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences_are_taken_apart(text):
    verb, preposition, noun, part = SENTENCES[text]
    clause = understand(text).clauses[0]
    (phrase,) = clause.objects
    assert (clause.verb, phrase.preposition, phrase.noun, phrase.part) == (verb, preposition, noun, part)


PLACES = {  # what the sentence says of the person's own body
    "A person holds a cup in the left hand": {"left_hand"},
    "A person lifts the box with one hand": {"right_hand"},
    "A person carries the box on the head": {"head"},
    "A person carries the box on the left shoulder": {"left_shoulder", "left_hand"},
    "A person pushes the box with the right foot": {"right_sole"},
    "A person holds the mug with the teeth": {"face"},
    "A person holds the ball between the knees": {"left_knee", "right_knee"},
    "A person put the hat on her head": {"head"},
    "A grandmother rests in her rocking chair": {"seat"},
    "He leans his back against the fridge": {"back"},
    "The waiter balances a tray on one hand": {"right_hand"},
    "A traveller wheels his luggage": {"right_hand"},
    "A person lounges in a hammock": {"back", "seat", "head"},
    "A person lies face down on the bed": {"back", "seat", "head"},
    "A person sleeps on a pillow": {"head"},
    "A person leans the box on the wall": {"left_hand", "right_hand"},
    "A person holds hands with the robot": {"right_hand"},
    "A person rests her feet on the stool": {"left_sole", "right_sole"},
    "A person holds the doll in his arms": {"left_forearm", "right_hand", "chest"},
    "A person holds the box on the lap": {"left_thigh_front", "right_thigh_front", "left_hand", "right_hand"},
    "A person holds a cup in the left hand and a box in the right hand": {"right_hand"},
}


@pytest.mark.parametrize("text", PLACES)
def test_parts_of_the_person_that_a_sentence_names(text, reason_of_block):
    relations = reason_of_block(text)
    assert set(relations.body_parts) == PLACES[text] and "no person" not in {n.kind for n in relations.notes}


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("the chair is pushed", "no person", "names nobody"),
        ("the chair rolls", "no person", "names nobody"),
        ("A person holds", "unknown object", "names no object"),
        ("A person", "unknown verb", "no verb"),
        ("A person puts the cup on the table", "chosen object", "table"),
        ("A person carries the box and the basket", "two objects", "basket"),
        ("Two people carry the box", "several people", "several people"),
        ("Ein Mensch sitzt auf dem Stuhl", "language", "English"),
        ("A person does not sit on the chair", "negation", "not so"),
        ("A person holds the coin", "size", "is made"),
        ("A person wears the table", "fallback", "how a table is worn"),
    ],
)
def test_what_is_odd_about_a_sentence_is_said(text, kind, words):
    notes = [n for n in reason(text, BLOCK).notes if n.kind == kind]
    assert notes and words in notes[0].text


def test_a_mesh_in_other_units_is_brought_to_size():
    relations = reason("A person holds the box", block(300, 400, 350))
    assert 0.1 <= relations.mesh_scale * 400 <= 1.2 and not relations.certain
    unknown = reason("A person holds the whatsit", block(300, 400, 350))
    assert unknown.mesh_scale * 400 == pytest.approx(0.35 * 1.7)
    room = reason("A person holds the whatsit", block(7, 3, 5))
    assert room.mesh_scale == 1 and any("a room" in n.text for n in room.notes)
    assert reason("A person holds the box", block(0.3, 0.4, 0.35)).mesh_scale == 1


def test_the_schema_refuses_what_it_does_not_know():
    good = reason("A person holds the box", BLOCK)
    value = good.to_json()
    for key, bad, words in (
        ("scale", "huge", "scale is one of"), ("pose", 3, "pose is a text"), ("movable", "yes", "true or false"),
        ("contact_kind", "none", "contradict"), ("size_m", [3, 1], "a size is two numbers"),
        ("mesh_scale", -1, "positive"),
        ("contacts", [{"body_part": "tail", "object_part": "a", "kind": "touch", "places": []}], "unknown body part"),
        ("contacts", [{"body_part": "head"}], "not as written"), ("version", 2, "version 1"),
        ("notes", [{"a": 1}], "not as written"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            Relations.from_json({**value, key: bad})
    for broken in ({k: v for k, v in value.items() if k != "pose"}, {**value, "extra": 1}, [], None):
        with pytest.raises(InputError, match="lack|wanted relations"):
            Relations.from_json(broken)
    with pytest.raises(InputError, match="word or a few"):
        Relations(**{**good.__dict__, "contacts": (Contact("head", "Übel!", "touch"),)})


def test_relations_are_saved_as_json(tmp_path):
    good = reason("A person holds the box", BLOCK)
    good.save(tmp_path / "relations.json")
    saved = json.loads((tmp_path / "relations.json").read_text("utf-8"))
    assert (
        saved["hands"] == "both"
        and saved["standing"] == "carried"
        and saved["body_parts"] == ["left_hand", "right_hand"]
    )
    assert Relations.from_json(saved) == good and len(saved["transcript"]) == 11


def test_the_fifty_prompts_of_the_benchmark_are_answered_as_looked_at(reason_of_block):
    """Spec, appendix B. The answers in the file were read one by one; a change to them must be read too."""
    rows = json.loads(pathlib.Path(__file__).with_name("benchmark.json").read_text())
    assert len(rows) == 50
    for noun, sentence, side, kind, contacts in rows:
        r = reason_of_block(sentence)
        got = [[c.body_part, c.object_part] for c in r.contacts]
        # Of a block there is nothing that rises, so that what the mesh decides may differ; who touches it does not.
        assert (r.object, r.object_side_of_human, r.contact_kind) == (noun, side, kind), sentence
        assert [body for body, _ in got] == [body for body, _ in contacts], sentence
        assert r.known_verb and r.known_object and not {"repair", "fallback"} & {n.kind for n in r.notes}, sentence


def test_any_words_in_any_order_have_relations(reason_of_block):
    rng = np.random.default_rng(3)
    text = "a the his both one of on in with by and , to next front not left right up back it is who's ’ über zorble"
    words = [*text.split(" "), *text.split(" "), "hands", "person"]
    words += [*rng.choice(sorted(things()), 40), *rng.choice(sorted(verbs()), 40)]
    for _ in range(150):
        sentence = " ".join(rng.choice(words, rng.integers(1, 14)))
        if not any(c.isalpha() for c in sentence):
            continue
        relations = reason_of_block(sentence)
        assert Relations.from_json(relations.to_json()) == relations, sentence


def test_what_outweighs_a_person_stays_on_the_ground():
    long = block(1.7, 1.3, 3.6)
    car = reason("A person lifts the car", long)
    assert car.standing == "floor" and not car.movable and car.hands == "both"
    chair = reason("A person lifts the chair", block(0.5, 0.9, 0.5))
    assert chair.standing == "carried" and chair.movable
    assert reason("A person rides the motorcycle", block(0.7, 1.0, 2.0)).object_side_of_human == "below"


def test_sideways_is_across():
    mesh = block(0.7, 1.0, 2.0)
    assert reason("A person sits sideways on the motorcycle", mesh).object_face_to_human == "left"
    assert reason("A person sits on the motorcycle", mesh).object_face_to_human == "front"
