"""Sixty sentences with what a person would answer, written by hand."""

import json
import pathlib

import numpy as np
import pytest
import trimesh

from hoijax.data.objects import make_object
from hoijax.geometry import Mesh, stratified_samples
from hoijax.systems.interactanything.relations import Relations, reason

ROWS = json.loads(pathlib.Path(__file__).with_name("sentences.json").read_text())
KEYS = {"body_parts", "parts", "has", "parts_of", "head_noun", "language"}


def made(*boxes):
    """A mesh of boxes: size and centre each."""
    parts = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(at)) for size, at in boxes]
    mesh = trimesh.util.concatenate(parts)
    return Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def mesh_of(name):
    if name == "car":
        return made(((1.8, 0.7, 4.3), (0, 0.55, 0)), ((1.6, 0.6, 2.2), (0, 1.2, -0.4)))
    if name == "doll":
        return made(
            ((0.14, 0.3, 0.1), (0, 0.25, 0)), ((0.12, 0.12, 0.12), (0, 0.46, 0)), ((0.3, 0.05, 0.05), (0, 0.36, 0))
        )
    if name == "figure":
        return made(((0.4, 1.3, 0.3), (0, 0.65, 0)), ((0.2, 0.25, 0.2), (0, 1.45, 0)), ((1.0, 0.1, 0.1), (0, 1.2, 0)))
    if name == "hat":
        return made(((0.3, 0.01, 0.3), (0, 0, 0)), ((0.18, 0.12, 0.2), (0, 0.06, 0)))
    if name == "chair_turned":
        mesh = make_object("chair").mesh
        return Mesh(mesh.vertices * np.array([-1.0, 1.0, -1.0]), mesh.faces)
    return make_object(name).mesh


def wrong(relations, expect):
    """What of an expectation is not so."""
    found = {c.body_part: c.object_part for c in relations.contacts}
    kinds = {n.kind for n in relations.notes}
    bad = {k: getattr(relations, k) for k in set(expect) - KEYS if getattr(relations, k) != expect[k]}
    if "body_parts" in expect and set(found) != set(expect["body_parts"]):
        bad["body_parts"] = sorted(found)
    if any(
        part not in option.split("|")
        for part, option in expect.get("parts_of", {}).items()
        for part in [found.get(part)]
    ):
        bad["parts_of"] = found
    if any(not set(option.split("|")) & set(found.values()) for option in expect.get("parts", [])):
        bad["parts"] = sorted(found.values())
    if not set(expect.get("has", [])) <= set(found):
        bad["has"] = sorted(found)
    if expect.get("head_noun", False) != ("head noun" in kinds):
        bad["head noun"] = sorted(kinds)
    if expect.get("language", False) != ("language" in kinds):
        bad["language"] = sorted(kinds)
    return bad


@pytest.fixture(scope="module")
def answered():
    meshes = {name: mesh_of(name) for name in {row["mesh"] for row in ROWS}}
    return [(row, meshes[row["mesh"]], reason(row["sentence"], meshes[row["mesh"]])) for row in ROWS]


def test_there_are_sixty_and_a_third_of_them_has_unknown_words():
    assert len(ROWS) == 60 and sum(not row["known"] for row in ROWS) == 20
    assert all(len(row["expect"]) >= 2 for row in ROWS)


def test_known_words_are_all_right(answered):
    bad = {row["sentence"]: wrong(r, row["expect"]) for row, _, r in answered if row["known"]}
    assert not {sentence: w for sentence, w in bad.items() if w}
    doubtful = {row["sentence"]: r.notes for row, _, r in answered if row["known"] and not r.certain}
    assert not doubtful


def test_unknown_words_are_right_by_the_mesh_or_said_to_be_unknown(answered):
    bad = {row["sentence"]: wrong(r, row["expect"]) for row, _, r in answered if not row["known"]}
    assert not {sentence: w for sentence, w in bad.items() if w}
    for row, _, relations in answered:
        if not row["known"]:
            assert not relations.certain, row["sentence"]
            said = " ".join(note.text for note in relations.notes)
            assert (
                relations.known_verb or ("I do not know the verb" in said and "I take hold" in said) or "I sit" in said
            )
            assert relations.known_object or "I do not know what a" in said


def test_every_place_holds_some_of_the_surface(answered):
    for row, mesh, relations in answered:
        corners = mesh.vertices[mesh.faces]
        points, _ = stratified_samples(corners, 20_000)
        for contact in relations.contacts:
            assert contact.places, (row["sentence"], contact)
            for box in contact.places:
                inside = ((points >= np.array(box.lower) - 0.02) & (points <= np.array(box.upper) + 0.02)).all(axis=1)
                assert inside.any(), (row["sentence"], contact)


def test_the_same_again_and_through_json(answered):
    for row, mesh, relations in answered[::9]:
        assert reason(row["sentence"], mesh) == relations
    for _, _, relations in answered:
        assert Relations.from_json(json.loads(json.dumps(relations.to_json()))) == relations
