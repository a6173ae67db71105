"""The dialogue: what is asked, votes, and everything that a language model can get wrong, each by its name."""

import dataclasses
import json

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.language import LanguageError, Recorder, Replay, ServerModel
from hoijax.systems.interactanything.relations import Contact, Relations, reason
from hoijax.systems.interactanything.relations.consistency import consistent
from hoijax.systems.interactanything.relations.dialogue import ASKS, QUESTIONS
from hoijax.systems.interactanything.relations.schema import (
    BANDS,
    BODY_PARTS,
    FACES,
    KINDS,
    MOST_CONTACTS,
    POSES,
    SCALES,
    SIDES,
    is_hand,
)  # fmt: skip

SENTENCE = "A person sits on the chair"
CUBE = trimesh.creation.box((0.5, 0.5, 0.5))
MESH = Mesh(np.asarray(CUBE.vertices), np.asarray(CUBE.faces))
ORDER = [
    "object_action", "movable", "scale", "object_side_of_human", "object_face_to_human", "height_band", "contacts",
    "contact_kind", "pose", "size_m", "prompts",
]  # fmt: skip
GOOD = {
    "object_action": '{"object": "Kitchen Chair", "action": "perch"}',
    "movable": "no",
    "scale": "torso_sized",
    "object_side_of_human": "below",
    "object_face_to_human": "left",
    "height_band": "ground",
    "contacts": json.dumps({"contacts": [
        {"body_part": "buttocks", "object_part": "top", "kind": "support"},
        {"body_part": "left_palm", "object_part": "front edge", "kind": "touch"},
    ]}),
    "contact_kind": "support",
    "pose": "sit",
    "size_m": '{"least": 0.4, "most": 0.6}',
    "prompts": '{"hoi_prompt": "a", "human_prompt": "b", "negative_prompt": "c"}',
}  # fmt: skip
ASKED = {q.key: q for q in QUESTIONS}


def question_of(text):
    """Which question a turn asks: by its own words."""
    return next(key for key, q in ASKED.items() if q.text in text)


@dataclasses.dataclass
class Told:
    """A model that answers as told: by question a text, a list of texts in their order, or an exception."""

    answers: dict
    name: str = "told"
    calls: list = dataclasses.field(default_factory=list)

    def reply(self, messages, *, temperature=0.0, seed=0):
        key = question_of(messages[-1].text)
        self.calls.append((key, temperature, seed, messages))
        given = {**GOOD, **self.answers}[key]
        if isinstance(given, list):
            given = given[min(sum(c[0] == key for c in self.calls) - 1, len(given) - 1)]
        if isinstance(given, Exception):
            raise given
        return given


def kinds(relations):
    return [note.kind for note in relations.notes]


def test_a_model_is_asked_step_by_step_with_every_earlier_answer():
    model = Told({})
    relations = reason(SENTENCE, MESH, model)
    assert [call[0] for call in model.calls] == ORDER
    for number, (key, temperature, seed, messages) in enumerate(model.calls):
        assert [m.role for m in messages] == ["system", "user"] and (temperature, seed) == (0.0, 0)
        text = messages[-1].text
        assert SENTENCE in text and "0.50 x 0.50 x 0.50 m" in text
        assert all((f"- {earlier}: " in text) == (earlier in ORDER[:number]) for earlier in ORDER)
        for option, meaning in (ASKED[key].options or {}).items():
            assert f"- {option}: {meaning}" in text
    assert (relations.object, relations.action, relations.reasoner) == ("kitchen chair", "perch", "told")
    assert (relations.object_face_to_human, relations.scale, relations.size_m) == ("left", "torso_sized", (0.4, 0.6))
    assert [(c.body_part, c.object_part, c.kind) for c in relations.contacts] == [
        ("buttocks", "top", "support"), ("left_palm", "front edge", "touch")]  # fmt: skip
    assert (relations.hoi_prompt, relations.human_prompt, relations.negative_prompt) == ("a", "b", "c")
    assert set(relations.sources.values()) == {"model"} and relations.certain and not relations.notes
    assert [t["question"] for t in relations.transcript] == ORDER
    assert [t["reply"] for t in relations.transcript] == [GOOD[key] for key in ORDER]
    assert Relations.from_json(json.loads(json.dumps(relations.to_json()))) == relations


def test_through_a_server_a_recording_and_its_replay(chat_server, tmp_path):
    pytest.importorskip("openai", reason="asking a server needs the package openai (extra llm)")
    with chat_server(lambda body: GOOD[question_of(body["messages"][-1]["content"])]) as (url, requests):
        recorder = Recorder(ServerModel("small", url))
        asked = reason(SENTENCE, MESH, recorder, votes=2)
    assert len(requests) == 2 * len(ORDER) and {r["temperature"] for r in requests} == {0.7}
    assert {r["seed"] for r in requests} == {0, 1}
    recorder.write(tmp_path / "said.json")
    assert reason(SENTENCE, MESH, Replay.read(tmp_path / "said.json"), votes=2) == asked
    assert asked.reasoner == "small" and asked.certain
    other = reason("A person stands on the chair", MESH, Replay.read(tmp_path / "said.json"), votes=2)
    assert set(kinds(other)) == {"unrecorded", "fallback"} and other.body_parts == ("left_sole", "right_sole")


def test_most_votes_win_and_the_first_of_equals():
    one, two = (json.dumps({"contacts": [{"body_part": b, "object_part": "top", "kind": "support"} for b in parts]})
                for parts in (("buttocks", "back"), ("buttocks", "left_palm")))  # fmt: skip
    model = Told({"scale": ["hand_sized", "half_body", "half_body"], "pose": ["lie", "sit", "kneel"],
                  "contacts": [one, two, two]})  # fmt: skip
    relations = reason(SENTENCE, MESH, model, votes=3)
    assert (relations.scale, relations.pose) == ("half_body", "lie")
    assert relations.body_parts == ("buttocks", "left_palm")  # each in two of three
    assert {call[1] for call in model.calls} == {0.7} and {call[2] for call in model.calls} == {0, 1, 2}
    assert [t["understood"] for t in relations.transcript if t["question"] == "scale"] == [
        "hand_sized", "half_body", "half_body"]  # fmt: skip
    tied = reason(SENTENCE, MESH, Told({"contacts": [one, two]}), votes=2, temperature=0.3)
    assert tied.body_parts == ("buttocks",)
    apart = json.dumps({"contacts": [{"body_part": "hips", "object_part": "top", "kind": "support"}]})
    assert reason(SENTENCE, MESH, Told({"contacts": [one, apart]}), votes=2).body_parts == ("buttocks", "back")


MISREAD = {
    "prose round an option": ("movable", "No, I think the chair stays where it is.", "took 'no'", False),
    "prose round JSON": ("contacts", f"Of course!\n```json\n{GOOD['contacts']}\n```\nEnjoy.", "took the JSON", None),
    "an unknown part among others": (
        "contacts",
        '{"contacts": [{"body_part": "tail", "object_part": "top", "kind": "touch"}, '
        '{"body_part": "buttocks", "object_part": "top", "kind": "support"}]}',
        "dropped the unknown part 'tail'",
        ("buttocks",),
    ),
    "an unknown kind": (
        "contacts",
        '{"contacts": [{"body_part": "buttocks", "object_part": "top", "kind": "glue"}]}',
        "'glue' is no kind of contact",
        ("buttocks",),
    ),
    "no part of an object": (
        "contacts",
        '{"contacts": [{"body_part": "buttocks", "object_part": "<script>", "kind": "support"}]}',
        "'<script>' is no part of an object",
        ("buttocks",),
    ),
    "one part twice": (
        "contacts",
        '{"contacts": [{"body_part": "buttocks", "object_part": "top", "kind": "support"}, '
        '{"body_part": "Buttocks", "object_part": "side", "kind": "touch"}]}',
        "dropped the second contact of buttocks",
        ("buttocks",),
    ),
    "too many parts": (
        "contacts",
        json.dumps({"contacts": [{"body_part": p, "object_part": "top", "kind": "touch"} for p in (
            "buttocks", "arms", "hands", "palms", "thighs", "feet", "knees", "elbows")]}),
        "kept 12 of 15",
        ("buttocks", "left_arm", "right_arm", "left_hand", "right_hand", "left_palm", "right_palm", "left_thigh",
         "right_thigh", "left_foot", "right_foot", "left_knee"),
    ),
    "an item that is none": (
        "contacts",
        '{"contacts": ["buttocks", {"body_part": "buttocks", "object_part": "top", "kind": "support"}]}',
        "dropped 'buttocks'",
        ("buttocks",),
    ),
    "sizes the wrong way round": ("size_m", '{"least": 0.6, "most": 0.4}', "swapped", (0.4, 0.6)),
}  # fmt: skip


@pytest.mark.parametrize("case", MISREAD)
def test_what_can_be_mended_is_mended_and_said(case):
    key, reply, words, want = MISREAD[case]
    relations = reason(SENTENCE, MESH, Told({key: reply}))
    note = next(n for n in relations.notes if n.kind == "reading")
    assert note.text.startswith(f"{key}: ") and words in note.text
    said = next(t for t in relations.transcript if t["question"] == key)
    assert any(words in r for r in said["repairs"]) and said["reply"] == reply
    got = {"contacts": relations.body_parts, "movable": relations.movable, "size_m": relations.size_m}[key]
    assert relations.sources[key] == "model" and (want is None or got == want)


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("right hand", ("right_hand",)),
        ("LEFT-PALM", ("left_palm",)),
        ("both hands", ("left_hand", "right_hand")),
        ("palm of the left", ()),
        ("butt", ("buttocks",)),
        ("lower back", ("lower_back",)),
        ("feet", ("left_foot", "right_foot")),
        ("right upper arm", ("right_arm",)),
        ("stomach", ("belly",)),
        ("the person's lips", ("face",)),
        (7, ()),
        (None, ()),
        ("", ()),
    ],
)
def test_other_names_of_body_parts(said, want):
    two = [{"body_part": b, "object_part": "top", "kind": "support"} for b in ("hips", said)]
    relations = reason(SENTENCE, MESH, Told({"contacts": json.dumps({"contacts": two})}))
    assert relations.body_parts == ("hips", *want)


UNREADABLE = {
    "no option": ("pose", "I do not know", "names none of the options"),
    "no JSON": ("contacts", "the buttocks", "there is no JSON object"),
    "a missing key": ("prompts", '{"hoi_prompt": "a"}', "lacks human_prompt, negative_prompt"),
    "a number for a text": ("object_action", '{"object": 5, "action": "sit"}', "object is no text"),
    "an endless text": ("prompts", json.dumps({"hoi_prompt": "x" * 1001, "human_prompt": "b", "negative_prompt": "c"}),
                        "1,001 characters"),
    "only unknown parts": ("contacts", '{"contacts": [{"body_part": "tail", "object_part": "top", "kind": "touch"}]}',
                           "none of its contacts"),
    "contacts that are no list": ("contacts", '{"contacts": "none"}', "contacts is no list"),
    "a size that is no number": ("size_m", '{"least": "small", "most": true}', "not both numbers"),
    "a size that is true": ("size_m", '{"least": true, "most": 2}', "not both numbers"),
    "a size beyond the world": ("size_m", '{"least": 0, "most": 1e9}', "not between"),
    "a size beyond all floats": ("size_m", f'{{"least": 1, "most": 1{"0" * 400}}}', "not between"),
    "a size that is no finite number": ("size_m", '{"least": NaN, "most": 1}', "there is no JSON object"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_asked_again_and_then_answered_by_the_house(case):
    key, reply, words = UNREADABLE[case]
    again = Told({key: [reply, GOOD[key]]})
    relations = reason(SENTENCE, MESH, again)
    assert relations.sources[key] == "model" and kinds(relations) == ["unreadable"]
    assert words in relations.notes[0].text
    calls = [messages[-1].text for k, _, _, messages in again.calls if k == key]
    assert len(calls) == 2 and "could not be read" not in calls[0]
    assert f"could not be read: {next(n.text for n in relations.notes).split(': ', 1)[1]}" in calls[1]
    never = Told({key: reply})
    relations = reason(SENTENCE, MESH, never)
    assert sum(k == key for k, *_ in never.calls) == ASKS == 3
    assert relations.sources[key] != "model" and not relations.certain
    assert [n for n in kinds(relations) if n not in ("repair",)] == ["unreadable"] * 3 + ["fallback"]
    assert key in next(n.text for n in relations.notes if n.kind == "fallback")
    assert {k for k, s in relations.sources.items() if s != "model"} == {key}


@pytest.mark.parametrize("fault", ["enormous", "not UTF-8", "malformed", "empty"])
def test_a_reply_that_is_broken_is_asked_for_again(fault):
    model = Told({"scale": [LanguageError(fault, "made up"), "torso_sized"]})
    relations = reason(SENTENCE, MESH, model)
    assert relations.sources["scale"] == "model" and kinds(relations) == [fault]
    assert next(t["fault"] for t in relations.transcript if "fault" in t) == f"{fault}: made up"


@pytest.mark.parametrize("fault", ["timeout", "unreachable", "refused"])
def test_a_server_that_fails_is_left_alone_and_the_house_answers_the_rest(fault):
    model = Told({"object_face_to_human": LanguageError(fault, "made up")})
    relations = reason(SENTENCE, MESH, model, votes=3)
    assert [call[0] for call in model.calls][-1] == "object_face_to_human"
    assert len(model.calls) == 3 * 4 + 1
    assert kinds(relations) == [fault, "fallback"] and not relations.certain
    answered = [k for k in ORDER if relations.sources[k] == "model"]
    assert answered == ORDER[:4] and relations.body_parts == ("seat",) and relations.object == "kitchen chair"


def test_a_server_that_is_down_from_the_start_is_the_offline_reasoner(chat_server):
    pytest.importorskip("openai", reason="asking a server needs the package openai (extra llm)")
    with chat_server(lambda body: 500) as (url, requests):
        relations = reason(SENTENCE, MESH, ServerModel("small", url, retries=0))
    alone = reason(SENTENCE, MESH)
    assert len(requests) == 1 and kinds(relations) == ["refused", "fallback"]
    assert "answered all" in relations.notes[-1].text and "status 500" in relations.notes[0].text
    same = {f.name for f in dataclasses.fields(Relations)} - {"notes", "reasoner", "transcript"}
    assert all(getattr(relations, name) == getattr(alone, name) for name in same)


def test_what_the_lexicon_does_not_know_is_no_doubt_where_a_model_answered():
    relations = reason("Une personne s'assoit sur le truc", MESH, Told({}))
    assert relations.known_verb and relations.known_object and relations.certain
    relations = reason("A boy zorbles the chair", MESH, Told({"contacts": "?"}))
    assert not relations.known_verb and "unknown verb" in kinds(relations)


def test_a_size_that_a_model_gives_sizes_the_mesh():
    relations = reason(SENTENCE, MESH, Told({"size_m": '{"least": 2, "most": 8}'}))
    assert relations.mesh_scale == pytest.approx(8) and "size" in kinds(relations)
    (box,) = relations.contacts[0].places
    assert np.max(np.abs([box.lower, box.upper])) < 0.26  # in the mesh's own units


CONTRADICTIONS = {
    "grasp without a hand": (
        {"contacts": '{"contacts": [{"body_part": "buttocks", "object_part": "top", "kind": "support"}]}',
         "contact_kind": "grasp"},
        {"contact_kind": "support"},
        "no hand touches",
    ),
    "grasp by the back": (
        {"contacts": '{"contacts": [{"body_part": "back", "object_part": "top", "kind": "grasp"}]}'},
        {"contacts": [("back", "touch")]},
        "only hands grasp",
    ),
    "a grasp that only touches": (
        {"contacts": '{"contacts": [{"body_part": "left hand", "object_part": "top", "kind": "touch"}]}',
         "contact_kind": "grasp", "object_side_of_human": "front", "pose": "stand"},
        {"contacts": [("left_hand", "grasp")], "contact_kind": "grasp"},
        "the hands are there to grasp",
    ),
    "below and moved": ({"movable": "yes"}, {"movable": False}, "weight rests on it"),
    "below and high": ({"height_band": "chest"}, {"height_band": "ground"}, "weight rests on it"),
    "overhead and still": (
        {"object_side_of_human": "above", "pose": "stand"},
        {"movable": True, "height_band": "overhead"},
        "above the head",
    ),
    "inside something small": (
        {"object_side_of_human": "around"}, {"object_side_of_human": "front"}, "neither worn nor large enough"),
    "sits without a seat": (
        {"contacts": '{"contacts": [{"body_part": "left palm", "object_part": "top", "kind": "touch"}]}'},
        {"contacts": [("seat", "support"), ("left_palm", "touch")], "contact_kind": "support"},
        "the seat was added",
    ),
    "touches nothing to support": (
        {"contacts": '{"contacts": []}'}, {"contact_kind": "none", "contacts": []}, "nothing is touched"),
    "touches although it does not": ({"contact_kind": "none"}, {"contact_kind": "support"}, "something is touched"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_answers_that_contradict_each_other_are_mended_and_said(case):
    told, want, words = CONTRADICTIONS[case]
    relations = reason(SENTENCE, MESH, Told(told))
    for name, value in want.items():
        got = getattr(relations, name)
        assert ([(c.body_part, c.kind) for c in got] if name == "contacts" else got) == value
    assert any(n.kind == "repair" and words in n.text for n in relations.notes) and not relations.certain


@pytest.mark.parametrize(
    "told",
    [
        {"movable": "yes", "object_action": '{"object": "horse", "action": "ride"}'},
        {"movable": "yes", "scale": "hand_sized"},
        {"object_side_of_human": "around", "scale": "half_body"},
        {"object_side_of_human": "around", "contact_kind": "wear"},
        {"object_side_of_human": "above", "pose": "hang", "contact_kind": "touch"},
    ],
)
def test_answers_that_agree_are_left_alone(told):
    assert reason(SENTENCE, MESH, Told(told)).certain


def test_impossible_requests_are_refused_before_anybody_is_asked():
    model = Told({})
    for words, options in (("votes are 1 to 32; got 0", {"votes": 0}), ("temperature is 0 to 2", {"temperature": -1}),
                           ("front is one of", {"front": "-y"})):  # fmt: skip
        with pytest.raises(InputError, match=words):
            reason(SENTENCE, MESH, model, **options)
    with pytest.raises(InputError, match="no faces.*point cloud"):
        reason(SENTENCE, Mesh(np.zeros((5, 3)), np.zeros((0, 3), int)), model)
    said = {
        "": "is empty",
        " \n": "is empty",
        "?!": "has no word",
        "x" * 1001: "1,001 char",
        "a\ud800": "half a char",
    }
    for text, words in said.items():
        with pytest.raises(InputError, match=words):
            reason(text, MESH, model)
    assert not model.calls


def test_whatever_is_answered_can_be_mended_and_then_agrees():
    rng, base, mended = np.random.default_rng(0), reason(SENTENCE, MESH), 0
    for _ in range(400):
        parts = rng.choice(BODY_PARTS, rng.integers(0, MOST_CONTACTS + 1), replace=False)
        contacts = [
            {"body_part": str(b), "object_part": "top", "kind": str(rng.choice([k for k in KINDS if k != "none"]))}
            for b in parts
        ]
        options = {"scale": SCALES, "object_side_of_human": SIDES, "object_face_to_human": FACES, "pose": POSES,
                   "height_band": BANDS, "contact_kind": KINDS}  # fmt: skip
        answers = {key: str(rng.choice(list(values))) for key, values in options.items()}
        answers |= {"contacts": contacts, "movable": bool(rng.integers(2))}
        answers |= {"object_action": {"object": "box", "action": str(rng.choice(["ride", "sit"]))}}
        good, log = consistent(answers)
        mended += bool(log)
        assert consistent(good) == (good, []), answers
        fields = {key: good[key] for key in (*options, "movable")}
        found = tuple(Contact(**c) for c in good["contacts"])
        r = dataclasses.replace(base, contacts=found, action=good["object_action"]["action"], **fields)
        assert r.contact_kind != "grasp" or r.hands != "none"
        assert all(is_hand(c.body_part) for c in r.contacts if c.kind == "grasp")
    assert mended > 200


def test_a_seat_that_is_added_to_many_contacts_takes_the_place_of_the_last():
    pairs = ("arm", "forearm", "hand", "elbow", "knee", "foot")
    told = [{"body_part": f"both {p}s".replace("foots", "feet"), "object_part": "top", "kind": "touch"} for p in pairs]
    relations = reason(SENTENCE, MESH, Told({"contacts": json.dumps({"contacts": told})}))
    assert len(relations.contacts) == MOST_CONTACTS and relations.contacts[0].body_part == "seat"
    assert "right_foot" not in relations.body_parts and "left_foot" in relations.body_parts
