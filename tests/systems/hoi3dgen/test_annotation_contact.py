"""The 4 cm rule and the eight configurations, against plates whose distance to the body is known."""

import numpy as np
import pytest
import trimesh

from hoijax.body_models import contact_regions, free_body, free_body_mirror
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.systems.hoi3dgen.annotation import CONFIGURATIONS, RULES, ContactRule, configuration, measure_contact
from hoijax.systems.hoi3dgen.annotation.contact import FAR, PARTS, body_distances, contact_from_distances

MODEL = free_body("test")
REST = np.asarray(MODEL.v_template, np.float64)
REGIONS = contact_regions(MODEL)


def box(low, high):
    made = trimesh.creation.box(bounds=(low, high))
    return Mesh(np.asarray(made.vertices, float), np.asarray(made.faces, np.int32))


def joined(*meshes):
    offsets = np.cumsum([0] + [len(m.vertices) for m in meshes])
    faces = [m.faces + offset for m, offset in zip(meshes, offsets)]
    return Mesh(np.concatenate([m.vertices for m in meshes]), np.concatenate(faces).astype(np.int32))


def plate(region, axis, sign, gap, width=0.06, rank=0):
    """A thick plate across an axis, its face `gap` before the vertex of a region that is the `rank`-th outermost."""
    ids = REGIONS[region]
    order = ids[np.argsort(-sign * REST[ids, axis])]
    face = REST[order[rank], axis] + sign * gap
    low, high = REST[order[0]] - width, REST[order[0]] + width
    low[axis], high[axis] = sorted((face, face + sign * 0.1))
    return box(low, high)


TOUCHING = {
    "right_hand": plate("right_fingers", 0, -1, 0.005),
    "left_hand": plate("left_fingers", 0, 1, 0.005),
    "back": plate("upper_back", 2, -1, 0.005),
    "right_leg": plate("right_toes", 2, 1, 0.005),
    "left_leg": plate("left_toes", 2, 1, 0.005),
    "no_contact": plate("face", 2, 1, 0.5),
    "others": plate("face", 2, 1, 0.005),
}
TOUCHING["both_hands"] = joined(TOUCHING["right_hand"], TOUCHING["left_hand"])


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("rule", RULES)
def test_eight_things_placed_give_eight_configurations_and_a_mirrored_body_swaps_sides(name, rule):
    got = measure_contact(REST, MODEL, TOUCHING[name], RULES[rule])
    assert got.config == name
    assert got.min_distance == pytest.approx(0.5 if name == "no_contact" else 0.005, abs=1e-4)
    mirrored = Mesh(TOUCHING[name].vertices * [-1, 1, 1], TOUCHING[name].faces[:, ::-1])
    swapped = {"right": "left", "left": "right"}.get(name.split("_")[0])
    want = name if swapped is None else f"{swapped}_{name.split('_')[1]}"
    flipped = REST[free_body_mirror("test")] * [-1, 1, 1]
    assert measure_contact(flipped, MODEL, mirrored, RULES[rule]).config == want


@pytest.mark.parametrize(("gap", "touches"), [(0.039, True), (0.041, False)])
def test_four_centimetres_are_the_limit(gap, touches):
    want = "right_hand" if touches else "no_contact"
    assert measure_contact(REST, MODEL, plate("right_fingers", 0, -1, gap), RULES["paper"]).config == want
    third = plate("right_fingers", 0, -1, gap, rank=2)
    for rule in ("loose", "exact"):
        assert measure_contact(REST, MODEL, third, RULES[rule]).config == want
    # The paper's rule needs one vertex, ours three.
    second = plate("right_fingers", 0, -1, 0.039, rank=1)
    second = Mesh(second.vertices - [0.0015, 0, 0], second.faces)
    assert measure_contact(REST, MODEL, second, RULES["paper"]).config == "right_hand"


def test_a_part_needs_its_least_number_and_share_of_vertices():
    distance = np.full(len(REST), 0.5)
    hand = REGIONS["right_fingers"]
    for count, least, share, touches in ((2, 3, 0, False), (3, 3, 0, True), (1, 1, 0, True), (6, 1, 0.5, False)):
        near = distance.copy()
        near[hand[:count]] = 0.01
        got = contact_from_distances(near, MODEL, ContactRule(least=least, share=share))
        assert bool(got.parts) == touches and got.near  # what is near does not ask for numbers


def test_what_is_merely_near_is_no_contact_of_exact_data():
    both = joined(plate("right_fingers", 0, -1, 0.002), plate("face", 2, 1, 0.03))
    assert measure_contact(REST, MODEL, both, RULES["loose"]).config == "others"
    got = measure_contact(REST, MODEL, both, RULES["exact"])
    assert got.config == "right_hand" and "head" in got.near and "head" not in got.parts
    # Alone it is the nearest, and counts.
    assert measure_contact(REST, MODEL, plate("face", 2, 1, 0.03), RULES["exact"]).parts == ("head",)


def test_a_forearm_belongs_to_its_own_hand_that_touches():
    distance = np.full(len(REST), 0.5)
    distance[REGIONS["left_forearm"]] = distance[REGIONS["left_fingers"]] = 0.01
    assert contact_from_distances(distance, MODEL, RULES["loose"]).config == "left_hand"
    assert contact_from_distances(distance, MODEL, RULES["paper"]).config == "others"
    distance[:] = 0.5
    distance[REGIONS["left_forearm"]] = distance[REGIONS["right_fingers"]] = 0.01
    assert contact_from_distances(distance, MODEL, RULES["loose"]).config == "others"
    distance[REGIONS["right_fingers"]] = 0.5
    assert contact_from_distances(distance, MODEL, RULES["loose"]).parts == ("left_elbow",)


@pytest.mark.parametrize(
    ("parts", "want"),
    [
        ((), "no_contact"),
        (("right_wrist",), "right_hand"), (("left_hand", "left_wrist"), "left_hand"),
        (("left_hand", "right_wrist"), "both_hands"), (("left_hand", "right_hand", "left_elbow"), "others"),
        (("back", "spine2"), "back"),
        (("back", "pelvis", "left_hip", "head"), "back"), (("back", "left_hand"), "others"),
        (("spine1",), "others"), (("left_hip", "left_knee", "left_ankle", "left_foot"), "left_leg"),
        (("right_foot",), "right_leg"), (("left_foot", "right_foot"), "others"), (("right_hip", "pelvis"), "others"),
    ],
)  # fmt: skip
def test_the_table_of_configurations(parts, want):
    assert configuration(parts) == want


def test_distances_are_those_of_the_surface():
    thing = joined(box((0.2, 1.0, 0.3), (0.5, 1.3, 0.4)), box((-0.3, 0.2, -0.5), (-0.1, 0.4, 0.2)))
    got = body_distances(REST, thing)
    want = np.abs(trimesh.proximity.signed_distance(trimesh.Trimesh(thing.vertices, thing.faces), REST))
    near = want < 0.1
    assert near.any()
    np.testing.assert_allclose(got[near], want[near], atol=1e-6)
    assert got.min() == pytest.approx(want.min(), abs=1e-6) and (got <= want + 1e-6).all()
    # Two balls far apart: the box between them says nothing, the nearest vertex is exact all the same.
    far = joined(box((1.5, 0, 0), (1.6, 0.1, 0.1)), box((-1.6, 1.8, 0), (-1.5, 1.9, 0.1)))
    exact = np.abs(trimesh.proximity.signed_distance(trimesh.Trimesh(far.vertices, far.faces), REST)).min()
    assert body_distances(REST, far).min() == pytest.approx(min(exact, FAR), abs=1e-6)


def test_bad_input_is_told():
    with pytest.raises(InputError, match="no body part tail; there are pelvis"):
        configuration(["tail"])
    with pytest.raises(InputError, match="threshold of contact is 0.5 m"):
        ContactRule(threshold=0.5)
    with pytest.raises(InputError, match="slack > 0"):
        ContactRule(slack=0.0)
    with pytest.raises(InputError, match=f"5 vertices of a body that has {len(REST)}"):
        measure_contact(REST[:5], MODEL, TOUCHING["back"])
    assert PARTS[-1] == "back" and len(PARTS) == 25
