"""Texts and their checks, reasons one by one, the choice."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import trimesh

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.systems.hoi3dgen.annotation import (
    ACTIONS,
    CONFIGURATIONS,
    REASONS,
    FilterConfig,
    PosedSample,
    check_text,
    geometry_of,
    parse_record,
    reasons_against,
    select,
    write_text,
)
from hoijax.systems.hoi3dgen.annotation.contact import PARTS
from hoijax.systems.hoi3dgen.annotation.writing import MOST_WORDS, contact_words

NOBODY = dict.fromkeys(("top", "bottom", "hair", "shoes"))


def a_record(number=0, **changes):
    """A good record: somebody holds a ball in the right hand."""
    rng = np.random.default_rng(number)
    record = {
        "id": f"r{number:03d}", "seq": "s", "frame": "0", "gender": "neutral",
        "smpl": {"pose": rng.normal(size=156).tolist(), "betas": [0.0] * 10, "trans": [0.0] * 3},
        "object": {"source": "made up", "uid": "ball", "R": np.eye(3).tolist(), "t": [0.0] * 3},
        "appearance": {"person": NOBODY | {"top": "red shirt"}, "object": {"category": "ball", "colour": "blue"}},
        "action": {"name": "hold", "confidence": 1.0, "posture": None},
        "contact": {"parts": ["right_hand"], "config": "right_hand", "near": [], "min_dist_cm": 0.2},
        "geometry": {"depth": 0.0, "inside": 0.0, "foot_height": 0.0, "size": 0.2},
        "text": "A person in a red shirt holds a blue ball with the right hand.", "flags": [], "provenance": {},
        "views": [],
    }  # fmt: skip
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = record
        for name in parents:
            inner = inner[name]
        inner[last] = value
    return record


def test_the_template_says_what_is_known():
    record = a_record()
    assert write_text(record) == record["text"]
    record["appearance"]["person"] |= {"bottom": "black trousers", "hair": "brown hair", "shoes": "white shoes"}
    record["appearance"]["object"] |= {"colour": "orange", "material": "leather"}
    record["contact"]["parts"] = ["left_hand", "right_wrist"]
    want = (
        "A person with brown hair in a red shirt, black trousers and white shoes holds an orange leather ball with both"
    )
    assert write_text(record) == f"{want} hands."
    record["appearance"]["person"] = NOBODY
    record["action"]["name"], record["contact"]["parts"] = "sit", ["pelvis", "left_hip", "right_hip", "spine2", "back"]
    assert write_text(record).startswith("A person sits on an orange leather ball, both thighs, the hips and the back")
    record["action"]["name"], record["contact"]["parts"] = "wear", ["back"]
    assert write_text(record).endswith("wears an orange leather ball on the back.")
    record["action"]["name"], record["contact"]["parts"] = "look_at", []
    assert write_text(record).endswith("looks at an orange leather ball without touching it.")


def test_every_template_text_of_any_contact_passes_its_own_checks():
    rng = np.random.default_rng(0)
    sets = [(), PARTS, *((p,) for p in PARTS), *itertools.combinations(PARTS[18:], 2)]
    sets += [tuple(rng.permutation(PARTS)[: rng.integers(1, 12)].tolist()) for _ in range(200)]
    names = list(ACTIONS)
    for number, parts in enumerate(sets):
        text = write_text(a_record(action__name=names[number % len(names)], contact__parts=list(parts)))
        assert check_text(text, parts) == {}, (parts, text)
        if parts:
            assert "contradictory contact" in check_text(text, ()) or not any("_" in p for p in parts), (parts, text)


@pytest.mark.parametrize(
    ("text", "parts", "wrong"),
    [
        ("She holds it in her left palm.", ["left_hand"], set()),
        ("She holds it in her left palm.", ["right_hand"], {"contradictory contact"}),
        ("Both of it is in her left and right hand there.", ["left_hand", "right_hand"], set()),
        ("He grips it with his left hand and his right fist.", ["left_hand", "right_wrist"], set()),
        ("He holds it with both hands.", ["left_hand"], {"contradictory contact"}),
        ("His left hand holds it, both hands are strong.", ["left_hand"], {"contradictory contact"}),
        ("He holds it with the left hand.", ["left_hand", "right_hand"], {"contradictory contact"}),
        ("He sits there on the chair.", ["pelvis"], {"contradictory contact"}),
        ("He sits on it with his buttocks.", ["pelvis"], set()),
        ("He stands on it, the left leg on it.", ["left_knee"], set()),
        ("He stands by it without touching it.", ["left_knee"], {"contradictory contact"}),
        ("He stands by it without touching it.", [], set()),
        ("A person in a red shirt holds a blue", ["right_hand"], {"truncated text", "contradictory contact"}),
        ("No.", [], {"truncated text"}), ("", [], {"truncated text"}),
        ("He looks " + "very " * (MOST_WORDS - 4) + "far away.", [], set()),
        ("He looks " + "very " * (MOST_WORDS - 3) + "far away.", [], {"long text"}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_text(text, parts, wrong):
    assert set(check_text(text, parts)) == wrong


def test_contact_in_words():
    assert contact_words(["left_wrist", "right_hand", "left_elbow", "spine1"]) == [
        "both hands",
        "left forearm",
        "torso",
    ]
    assert contact_words(["spine1", "back"]) == ["back"] and contact_words([]) == []


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"geometry__depth": 0.029}, []), ({"geometry__depth": 0.031}, ["penetration"]),
        ({"geometry__inside": 0.019}, []), ({"geometry__inside": 0.021}, ["penetration"]),
        ({"geometry__foot_height": 0.049}, []), ({"geometry__foot_height": 0.051}, ["floating"]),
        ({"geometry__foot_height": 0.5, "action__name": "type"}, []),  # who sits may dangle
        ({"geometry__size": 9.0}, ["implausible size"]), ({"geometry__size": 0.01}, ["implausible size"]),
        ({"action__confidence": 0.6}, []), ({"action__confidence": 0.59}, ["implausible action"]),
        ({"action__name": "kick"}, ["mismatch"]), ({"action__name": "stand_next_to"}, ["mismatch"]),
        ({"contact__parts": [], "contact__config": "no_contact"}, ["no contact", "contradictory contact"]),
        ({"text": "A person holds a ball with the left hand."}, ["contradictory contact"]),
        ({"text": "A person holds a ball with the right hand and"}, ["truncated text"]),
        ({"text": "A person with the right hand on it holds a ball" + " and another" * 30 + "."}, ["long text"]),
    ],
)  # fmt: skip
def test_every_reason_alone(changes, reasons):
    assert reasons_against(a_record(**changes)) == reasons


def test_actions_and_configurations_agree():
    for action in ACTIONS.values():
        assert action.configurations and set(action.configurations) <= set(CONFIGURATIONS)
    assert {c for a in ACTIONS.values() for c in a.configurations} == set(CONFIGURATIONS)


def test_fifty_of_each_and_twelve_of_a_kind_whatever_the_order():
    records = [
        a_record(i, appearance__object__category=f"kind{i % 7}", contact__config=("back", "others")[i % 2])
        for i in range(180)
    ]
    for i in range(0, 180, 9):
        records[i]["flags"] = ["floating"]
    taken, doubles = select(records)
    assert doubles == [] and not any(records[i]["flags"] for i in taken)
    for name in ("back", "others"):
        mine = [records[i] for i in taken if records[i]["contact"]["config"] == name]
        kinds = [r["appearance"]["object"]["category"] for r in mine]
        assert len(mine) == 50 and max(kinds.count(k) for k in kinds) <= 12
    ids = {records[i]["id"] for i in taken}
    order = np.random.default_rng(1).permutation(180)
    again, _ = select([records[i] for i in order])
    assert {records[order[i]]["id"] for i in again} == ids
    few, _ = select(records, FilterConfig(per_configuration=3, per_category=1))
    assert len(few) == 6 and {records[i]["id"] for i in few} != {records[i]["id"] for i in taken[:6]}
    assert (
        select(records, FilterConfig(per_configuration=3, seed=5))[0]
        != select(records, FilterConfig(per_configuration=3))[0]
    )
    assert select([]) == ([], [])


def test_the_choice_is_spread():
    records = [a_record(i) for i in range(6)]
    pose = np.zeros(156)
    for i, record in enumerate(records):
        # Five all but alike, one far off.
        record["smpl"]["pose"] = (pose + 0.03 * i + (i == 4) * np.linspace(-1, 1, 156)).tolist()
    for seed in range(4):
        assert 4 in select(records, FilterConfig(per_configuration=2, seed=seed))[0]


def test_the_same_again_is_a_duplicate_wherever_it_stands():
    records = [a_record(0), a_record(1), a_record(0), a_record(0), a_record(0)]
    for number, record in enumerate(records):
        record["id"] = f"{number}"
    # Carried along: body and object moved alike.
    for part, key in (("smpl", "trans"), ("object", "t")):
        records[2][part][key] = [1.0, 0.0, 0.0]
    records[3]["object"]["t"] = [0.05, 0.0, 0.0]
    records[4]["object"]["uid"] = "another"
    assert select(records)[1] == [2]
    assert len(select(records)[0]) == 4


def scene(low, high, lift=0.0, floor=0.0):
    model = free_body("test")
    body = np.asarray(model.v_template, np.float64)
    body = body + [0, lift - body[:, 1].min(), 0]
    made = trimesh.creation.box(bounds=(low, high))
    thing = Mesh(np.asarray(made.vertices, float), np.asarray(made.faces, np.int32))
    return PosedSample(
        key="k", sequence="s", frame="f", gender="neutral", model=model, body={}, vertices=body, object_name="box",
        object_source="", object_uid="", object=thing, solid=thing, obj_rot=np.eye(3), obj_trans=np.zeros(3),
        facing=np.array([0.0, 0, 1]), floor=floor,
    )  # fmt: skip


def test_geometry_of_a_box_beside_within_and_below():
    beside = geometry_of(scene((1.5, 0, 0), (1.7, 0.2, 0.2)))
    assert beside["depth"] == 0 == beside["inside"] and beside["foot_height"] == pytest.approx(0, abs=1e-9)
    model = free_body("test")
    height = np.ptp(np.asarray(model.v_template)[:, 1])
    assert beside["size"] == pytest.approx(0.2 / height)
    chest = scene((-0.02, 1.15, -0.02), (0.02, 1.19, 0.02))
    within = geometry_of(chest)
    assert within["inside"] == 1.0 and within["depth"] > 0.03
    body = trimesh.Trimesh(chest.vertices, np.asarray(model.faces), process=False)
    corners = trimesh.proximity.signed_distance(body, chest.object.vertices)
    assert corners.max() - 1e-4 <= within["depth"] < corners.max() + 0.03  # between a corner's and the middle's
    # A block over the feet, so deep that none of its surface is in the body: the body is in it.
    swallowed = geometry_of(scene((-0.6, -0.5, -0.6), (0.6, 0.04, 0.6)))
    assert swallowed["depth"] == pytest.approx(0.04, abs=0.005)
    # Who hangs in the air, above a floor that is known and above the lowest point of one that is not.
    assert geometry_of(scene((1.5, 0.1, 0), (1.7, 0.2, 0.2), lift=0.3))["foot_height"] == pytest.approx(0.3)
    free = geometry_of(scene((1.5, 0.1, 0), (1.7, 0.2, 0.2), lift=0.3, floor=None))
    assert free["foot_height"] == pytest.approx(0.2)
    # What is soft may be entered.
    soft = scene((-0.02, 1.15, -0.02), (0.02, 1.19, 0.02))
    solid = scene((1.5, 0, 0), (1.7, 0.2, 0.2)).object
    assert geometry_of(dataclasses.replace(soft, solid=solid))["depth"] == 0


def test_records_are_read_again_or_refused():
    import json

    record = a_record()
    assert parse_record(json.dumps(record)) == record
    for change, message in (
        (lambda r: r.pop("text"), "it lacks text"),
        (lambda r: r["contact"].update(config="feet"), "none of right_hand"),
        (lambda r: r["action"].update(name="fly"), "action.name is none of hold"),
        (lambda r: r["contact"].update(parts=["tail"]), "no list of parts"),
        (lambda r: r.update(text=3), "wanted a text"),
    ):  # fmt: skip
        broken = copy.deepcopy(record)
        change(broken)
        with pytest.raises(InputError, match=message):
            parse_record(json.dumps(broken), "line 3")
    for line in ("{", "[]", ""):
        with pytest.raises(InputError, match="line 3 is n"):
            parse_record(line, "line 3")
    assert all(REASONS.values())


@pytest.mark.parametrize("wrong", [{"per_configuration": 0}, {"per_category": 0}, {"deepest": 0.0}, {"sure": 1.5}])
def test_limits_out_of_range(wrong):
    with pytest.raises(InputError, match="wanted at least one|limits are positive"):
        FilterConfig(**wrong)
