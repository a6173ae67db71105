"""Two tracks of one box: one that is carried along, one that stands; windows overlap, and each holds its start."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import pose_body_compiled
from hoijax.errors import InputError
from hoijax.optim.gradient import RefineConfig, refine_batch
from hoijax.optim.sequence import EstimatedTrack, Kept, SequenceConfig, Windows, prepare_track, refine_tracks

HANDS = ("left_hand", "right_hand")
COUNT = 22


def repeat(tree, count=COUNT):
    return jax.tree.map(lambda x: np.repeat(np.asarray(x)[None], count, axis=0), tree)


def shaken(params, pose, seed):
    """Both with white noise: 2 cm, 3 degrees, joints 2 degrees."""
    rng = np.random.default_rng(seed)

    def turned(rotations, degrees):
        shape = rotations.shape[:-2]
        turns = Rotation.from_rotvec(np.radians(degrees) * rng.normal(size=(int(np.prod(shape)), 3))).as_matrix()
        return (rotations @ turns.reshape(*shape, 3, 3)).astype(np.float32)

    def moved(x):
        return x + 0.02 * rng.normal(size=x.shape).astype(np.float32)

    return (
        params.replace(rotations=turned(params.rotations, 2.0), translation=moved(params.translation)),
        pose.replace(rotation=turned(pose.rotation, 3.0), translation=moved(pose.translation)),
    )


@pytest.fixture(scope="module")
def truths(carry):
    """Carried along a curve, 22 frames; standing, of which frames 8 to 10 are missing."""
    still = repeat(carry)
    time = np.arange(COUNT) / 30
    path = np.stack([0.2 * np.sin(2 * time), 0 * time, 0.8 * time], axis=1).astype(np.float32)
    along = (
        still[0].replace(translation=still[0].translation + path),
        still[1].replace(translation=still[1].translation + path),
    )
    seen = np.r_[0:8, 11:COUNT]
    return [along, jax.tree.map(lambda x: x[seen], still)], [np.arange(COUNT), seen]


@pytest.fixture(scope="module")
def tracks(truths, template):
    return [
        EstimatedTrack(*shaken(*truth, seed), frames, template, 30.0, HANDS, (0.0, -1.0, 0.0), 0.0)
        for seed, (truth, frames) in enumerate(zip(*truths))
    ]


@pytest.fixture(scope="module")
def config(quick):
    sizes = dataclasses.replace(quick.sizes, steps_per_round=10)
    frame = RefineConfig(sizes=sizes, freeze=("object_scale", "betas"))
    return SequenceConfig(frame=frame.with_steps(50), windows=Windows(frames=16, overlap=6))


@pytest.fixture(scope="module")
def run(model, body, tracks, config):
    windows, seen = [], []
    kept = Kept(finished=lambda k, states: windows.append(states))
    return refine_tracks(model, tracks, config, body=body, kept=kept, progress=seen.append), windows, seen


def corners(result_pose, template):
    points = np.asarray(template.mesh.vertices)
    return (
        np.einsum("tij,nj->tni", np.asarray(result_pose.rotation), points)
        + np.asarray(result_pose.translation)[:, None]
    )


def jitter(points):
    return np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).mean()


def joints(model, params):
    return np.asarray(pose_body_compiled(model, params).joints)[:, :22]


def test_frames_jitter_five_times_less_than_one_by_one_and_are_no_farther_from_the_truth(
    model, body, template, truths, tracks, run, quick
):
    one, (true_body, true_pose) = tracks[0], truths[0][0]
    eight = jax.tree.map(lambda x: x[:8], (one.params, one.pose))
    alone = refine_batch(model, eight[0], template, eight[1], HANDS, quick, body=body)
    result = run[0][0]
    for found, single, true in (
        (joints(model, result.params), joints(model, alone.params), joints(model, true_body)),
        (corners(result.pose, template), corners(alone.pose, template), corners(true_pose, template)),
    ):
        assert jitter(found) < jitter(single) / 5
        off = [np.linalg.norm(x[:8] - true[:8], axis=-1).mean() for x in (found, single)]
        assert off[0] < off[1]


def test_an_object_that_stands_still_does_not_move_through_all_windows(template, run, tracks):
    result = run[0][1]
    assert result.still == ((0, len(tracks[1].frames)),)
    places = corners(result.pose, template)
    assert np.linalg.norm(places - places[:1], axis=-1).max() < 1e-4
    assert run[0][0].still == ()


def test_what_is_asked_touches_and_nothing_is_deep(run):
    for result in run[0]:
        assert result.parts == HANDS
        asked = np.asarray(result.asked) > 0
        assert asked.mean() > 0.9
        assert np.asarray(result.after.contact)[:, :2][asked].mean() < 0.015
        assert np.asarray(result.after.max_penetration).mean() < 0.012
        assert np.isfinite(np.asarray(result.params.rotations)).all()
        gram = np.einsum("tjik,tjil->tjkl", result.params.rotations, result.params.rotations)
        np.testing.assert_allclose(gram, np.broadcast_to(np.eye(3), gram.shape), atol=1e-5)


def test_shape_and_scale_are_one_for_a_track(run, tracks):
    for result in run[0]:
        assert np.ptp(np.asarray(result.params.betas), axis=0).max() == 0
        assert np.ptp(np.asarray(result.pose.scale)) == 0


def test_a_window_holds_what_the_one_before_has_finished(run):
    result, windows, _ = run
    assert len(windows) == 2
    for name in ("rotations", "translation"):
        first, second = (np.asarray(getattr(w, name)) for w in windows)
        np.testing.assert_array_equal(first[0, 6:], second[0, :10])  # the last window begins at 6 and holds up to 16
        np.testing.assert_array_equal(getattr(result[0].params, name), np.concatenate([first[0], second[0, 10:]]))


def test_a_stopped_run_goes_on_to_the_same_bits(model, body, tracks, config, run):
    fresh = []
    known = Kept(known=run[1][:1], finished=lambda k, states: fresh.append(k))
    again = refine_tracks(model, tracks, config, body=body, kept=known)
    assert fresh == [1]
    for a, b in zip(again, run[0]):
        jax.tree.map(np.testing.assert_array_equal, (a.params, a.pose, a.after), (b.params, b.pose, b.after))


def test_progress_runs_to_its_end(run):
    steps = [progress.steps for progress in run[2]]
    assert steps == sorted(steps)
    assert steps[-1] == run[2][-1].total == 100


def test_preparation_finds_noise_contacts_feet_and_rest(model, tracks, config):
    carried, standing = (prepare_track(model, track, config) for track in tracks)
    for track in (carried, standing):
        assert 0.012 < track.noise["body"] < 0.032
        assert 0.012 < track.noise["object"] < 0.032
        assert np.radians(1.2) < track.noise["turns"] < np.radians(4)
        assert not track.rests.any()
    assert standing.feet.mean() > 0.8
    assert standing.still == [(0, 19)]
    assert carried.still == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": np.arange(COUNT)[::-1]}, "must rise"),
        ({"frames": np.arange(5)}, "numbers of frames"),
        ({"contacts": ("tail",)}, "no part 'tail'"),
    ],
)
def test_what_is_no_track_is_named(model, tracks, config, change, message):
    with pytest.raises(InputError, match=message):
        prepare_track(model, dataclasses.replace(tracks[0], **change), config)


def test_numbers_that_are_not_finite_are_named(model, tracks, config):
    bad = tracks[0].pose.replace(translation=np.full((COUNT, 3), np.nan, np.float32))
    with pytest.raises(InputError, match="object holds values that are not finite"):
        prepare_track(model, dataclasses.replace(tracks[0], pose=bad), config)
    with pytest.raises(InputError, match="no tracks"):
        refine_tracks(model, [])


def test_windows_overlap_and_cover_the_track():
    windows = Windows(frames=16, overlap=6)
    assert windows.starts(16, 16) == (0,)
    assert windows.starts(22, 16) == (0, 6)
    assert windows.starts(40, 16) == (0, 10, 20, 24)
    assert [windows.size(n) for n in (1, 8, 9, 16, 500)] == [8, 8, 16, 16, 16]
    for count in range(17, 80):
        starts = windows.starts(count, 16)
        assert starts[-1] + 16 == count
        assert all(a + 16 - b >= 6 for a, b in itertools.pairwise(starts))
    with pytest.raises(ValueError, match="overlap"):
        Windows(frames=8, overlap=8)
