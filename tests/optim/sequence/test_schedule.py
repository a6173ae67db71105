import numpy as np
import pytest

from hoijax.body_models import contact_regions
from hoijax.errors import InputError
from hoijax.optim.sequence.schedule import cleaned, hysteresis, runs, schedule_contacts, schedule_feet, schedule_rest

FRAMES = np.arange(60)


def bits(text):
    return np.array([x == "1" for x in text])


def test_runs_are_where_a_mask_holds():
    assert runs(bits("0110111")) == [(1, 3), (4, 7)]
    assert runs(bits("111")) == [(0, 3)]
    assert runs(bits("000")) == []


def test_a_touch_begins_near_and_ends_farther_whichever_way_time_runs():
    value = np.array([9, 5, 3, 1, 3, 5, 9, 3, 9.0])
    held = hysteresis(value, 2, 4)
    assert held.tolist() == [False, False, False, True, False, False, False, False, False]
    calm = np.array([1, 3, 3, 1, 5.0])
    assert hysteresis(calm, 2, 4).tolist() == [True, True, True, True, False]
    np.testing.assert_array_equal(hysteresis(calm[::-1], 2, 4), hysteresis(calm, 2, 4)[::-1])


def test_pauses_and_spells_that_are_too_short_go():
    found = cleaned(bits("1111011110000100001"), np.arange(19), 3)
    assert found.tolist() == bits("1111111110000000000").tolist()
    assert cleaned(bits("11"), np.arange(2), 5).all()  # a track that is shorter than a spell
    gap = np.array([0, 1, 2, 3, 20, 21, 22, 23])  # a pause of two rows that lasted 18 frames
    assert cleaned(bits("11100111"), gap, 3).tolist() == bits("11100111").tolist()


def contacts(model, away, parts, **options):
    ids = {name: np.asarray(v) for name, v in contact_regions(model).items()}
    distance = np.full((60, model.num_vertices), 1.0)
    for name, value in away.items():
        distance[:, ids[name]] = value[:, None]
    cosine = np.full(distance.shape, -1.0)
    return schedule_contacts(model, distance, cosine, FRAMES, 30.0, parts, options.get("slack", 0.0))


def test_parts_touch_while_they_are_near(model):
    near = np.where((FRAMES > 20) & (FRAMES < 50), 0.05, 0.5)
    names, asked = contacts(model, {"right_hand": near}, None)
    assert names == ("right_hand",)
    np.testing.assert_array_equal(asked[:, 0], near < 0.1)
    assert contacts(model, {}, None)[1].shape == (60, 0)


def test_a_part_that_is_asked_for_and_never_near_touches_where_it_is_nearest(model):
    away = np.where(np.abs(FRAMES - 30) < 6, 0.4, 0.9)
    names, asked = contacts(model, {"left_hand": away}, ("left_hand",))
    assert names == ("left_hand",)
    np.testing.assert_array_equal(asked[:, 0], away < 0.5)
    with pytest.raises(InputError, match="no part 'tail'"):
        contacts(model, {}, ("tail",))


def test_noise_makes_a_touch_of_what_is_a_little_farther(model):
    away = np.full(60, 0.13)
    assert contacts(model, {"right_hand": away}, None)[0] == ()
    assert contacts(model, {"right_hand": away}, None, slack=0.02)[0] == ("right_hand",)


def test_feet_stand_while_they_are_low_and_slow(model):
    vertices = np.broadcast_to(np.asarray(model.v_template), (60, model.num_vertices, 3)).copy()
    regions = contact_regions(model)
    level = float(vertices[0, regions["left_sole"], 1].min())
    lifted = np.where((FRAMES >= 20) & (FRAMES < 40), 0.2, 0.0)
    vertices[:, regions["left_sole"], 1] += lifted[:, None]
    vertices[30:, regions["right_sole"], 2] += (np.arange(30) / 30 * 0.9)[:, None]
    none = np.zeros((0, model.num_vertices)), np.zeros((60, 0))
    down = np.array([0.0, -1.0, 0.0])
    feet = schedule_feet(model, vertices, down, level, FRAMES, 30.0, 0.0, none)
    np.testing.assert_array_equal(feet[:, 0], lifted == 0)
    assert feet[:29, 1].all()
    assert not feet[31:, 1].any()
    on = np.zeros((1, model.num_vertices))
    on[0, regions["right_sole"]] = 1.0
    busy = schedule_feet(model, vertices, down, level, FRAMES, 30.0, 0.0, (on, np.ones((60, 1))))
    assert not busy[:, 1].any()
    np.testing.assert_array_equal(busy[:, 0], feet[:, 0])


def test_an_object_rests_until_it_is_lifted():
    height = np.where(FRAMES < 30, 0.01, 0.01 + 0.02 * (FRAMES - 29))
    rests, always = schedule_rest(height, FRAMES, 30.0, 0.0)
    assert not always
    np.testing.assert_array_equal(rests, height < 0.04)
    assert schedule_rest(np.full(60, 0.03), FRAMES, 30.0, 0.0)[1]
    carried, always = schedule_rest(np.full(60, 0.9), FRAMES, 30.0, 0.0)
    assert not always
    assert not carried.any()
