"""Persons through frames: numbers stay with whom they were given to."""

import jax
import jax.numpy as jnp
import numpy as np

from hoijax.nets.blaze import Region, start_tracks, track_people
from hoijax.nets.blaze.tracking import Tracks, admit, drop_doubles


def squares(*rows):
    """Regions of rows (x, y, size)."""
    rows = np.float32(rows)
    return Region(
        centre=jnp.asarray(rows[:, :2]), size=jnp.asarray(rows[:, 2]), angle=jnp.zeros(len(rows), jnp.float32)
    )


def tracks(active, ids, next_id, *rows):
    return Tracks(regions=squares(*rows), ids=jnp.int32(ids), active=jnp.asarray(active), next_id=jnp.int32(next_id))


def test_newcomers_take_free_places_and_new_numbers():
    state = tracks([False, True, False], [9, 4, 9], 5, (0, 0, 1), (100, 100, 40), (0, 0, 1))
    found = squares((104, 100, 40), (300, 100, 50), (500, 100, 60), (700, 100, 60), (900, 100, 60))
    got = admit(state, found, jnp.asarray([True, True, False, True, True]))
    np.testing.assert_array_equal(got.active, [True, True, True])
    np.testing.assert_array_equal(got.ids, [5, 4, 6])  # the first is known, the third none, the fifth finds no place
    np.testing.assert_allclose(got.regions.centre[:, 0], [300, 100, 700])
    assert got.next_id == 7


def test_two_detections_of_one_newcomer_are_one():
    got = admit(start_tracks(3), squares((100, 100, 40), (103, 100, 40)), jnp.asarray([True, True]))
    np.testing.assert_array_equal(got.active, [True, False, False])


def test_of_two_on_one_person_the_older_stays():
    regions = squares((100, 100, 40), (102, 100, 40), (300, 100, 40), (101, 100, 40))
    stays = drop_doubles(regions, jnp.int32([7, 3, 1, 0]), jnp.asarray([True, True, True, False]))
    np.testing.assert_array_equal(stays, [False, True, True, False])


def test_a_person_who_walks_leaves_and_returns(weights, photograph):
    """Three frames of her moving right, one of an empty room, one with her back: numbers 0, 0, 0, none, 1."""
    networks = {name: weights(name) for name in ("detector", "landmarks")}
    empty = np.full_like(photograph, 0.5)
    moved = [np.concatenate([empty[:, :shift], photograph[:, : 320 - shift]], 1) for shift in (0, 8, 16)]
    state, numbers, noses = start_tracks(2), [], []
    for picture in [*moved, empty, photograph]:
        state, people = track_people(networks, picture, state)
        np.testing.assert_array_equal(people.score > 0, state.active)
        numbers.append([int(i) for i, there in zip(state.ids, state.active) if there])
        noses.append(float(people.landmarks[0, 0, 0]))
    assert numbers == [[0], [0], [0], [], [1]]
    np.testing.assert_allclose(np.diff(noses[:3]), 8, atol=5)


def test_without_the_detector_nobody_new_is_seen(weights, photograph):
    networks = {name: weights(name) for name in ("detector", "landmarks")}
    state, people = track_people(networks, photograph, start_tracks(2), detect=False)
    assert not state.active.any() and (people.score == 0).all()
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(people))
