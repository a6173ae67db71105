"""GRAFT's training groundwork: queries, loss, samples, and a run that resumes bit for bit."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.body_models import pose_body
from hoijax.data.loading import Loader, LoaderConfig
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.trainer import COMPILE_FAST
from hoijax.experiments.graft import train as training
from hoijax.experiments.graft.losses import LossWeights, rollout_loss, touch_of
from hoijax.experiments.graft.queries import QueryConfig, Spread, draw_query, imitate_estimate, perturb, scale_sample
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import Mixed, WithTouch, fields_of, sample_from_synth, sample_of, sample_points
from hoijax.geometry import nearest_host, rotation_angle
from hoijax.nets.graft import GraftConfig, load_graft
from hoijax.systems.graft import GraftState, pose_graft_state, probe

quick_jit = functools.partial(jax.jit, compiler_options=COMPILE_FAST)


def test_rooms_are_functions_of_their_index(rooms, sample):
    again = rooms[0]
    for a, b in zip(jax.tree.leaves(sample), jax.tree.leaves(again)):
        np.testing.assert_array_equal(a, b)
    shapes = [{x.shape for x in jax.tree.leaves(rooms[i].scene)} for i in range(3)]
    assert shapes[0] == shapes[1] == shapes[2]


def test_bodies_in_rooms_touch_and_are_before_the_camera(rooms, model):
    for i in range(4):
        item = jax.tree.map(jnp.asarray, rooms[i])
        vertices = np.asarray(pose_body(model, item.truth).vertices)
        assert vertices[:, 2].min() > 0.5
        cloud = np.asarray(item.scene.blocks.points).reshape(3, -1).T
        lowest = vertices[np.argmax(vertices[:, 1])]  # y is down, the camera hardly tilts
        # The floor is a cloud of random points, 0.2 m apart.
        assert np.linalg.norm(cloud - lowest, axis=1).min() < 0.5


@pytest.mark.parametrize("furniture", ["boxes", "other"])
def test_seats_are_under_bodies_with_normals_of_unit_length(model, spec, furniture):
    """Of a sitting body something is within a few centimetres of the seat's top, whatever the seat is."""
    rooms = Rooms(model, spec, count=64, points=4096, seed=5, furniture=furniture)
    room = rooms[7]
    points, normals = sample_points(room)
    assert len(points) == 4096
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    vertices = np.asarray(pose_body(model, jax.tree.map(jnp.asarray, room.truth)).vertices)
    found = nearest_host(vertices[np.asarray(spec.contact_vertices)], points)
    assert np.asarray(found.distance).min() < 0.05


def test_batches_hold_whole_samples(rooms):
    loader = Loader(rooms, LoaderConfig(batch_size=4, threads=0), transform=fields_of)
    batch = sample_of(loader[1])
    assert batch.truth.betas.shape == (4, 10)
    betas = [np.asarray(rooms[i].truth.betas)[0] for i in range(len(rooms))]
    row = int(np.flatnonzero(np.isclose(betas, batch.truth.betas[2, 0]))[0])
    np.testing.assert_array_equal(batch.scene.normals[2], rooms[row].scene.normals)


def test_mixed_sources_have_the_share_that_was_asked_for():
    mixed = Mixed(list(range(60)), ["a", "b", "c"], 0.5)
    kinds = [isinstance(mixed[i], int) for i in range(len(mixed))]
    assert len(mixed) == 120 and sum(kinds) == 60 and mixed[119] == "c" and mixed[60] == "a"
    # More rooms than there are come again as often.
    mixed = Mixed([0], ["a", "b"], 0.9)
    assert [mixed[i] for i in range(len(mixed))] == [0] * 18 + ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visual": True}, "made-up rooms have no images"),
        ({"mixed": 0.5}, "for --scans, --reviews or --synth without --visual"),
        ({"size": "huge"}, "size must be one of small, full, pelvis, plain"),
        ({"without": "hands"}, "without must be one of probes, scale"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        training.Config(out=tmp_path, **changes)


def test_bad_input_ends_with_exit_code_two(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["train", f"--out={tmp_path}", "--batch=0"])
    with pytest.raises(SystemExit) as ended:
        run_command(training.train, training.Config)
    assert ended.value.code == 2 and "batch must be at least 1" in capsys.readouterr().err


def test_noise_has_the_size_that_was_asked_for(spec, sample):
    spread = Spread(translation=0.1, betas=0.03, pose=7.0, orient=3.0)
    keys = jax.random.split(jax.random.key(0), 400)
    noisy = quick_jit(jax.vmap(lambda k: perturb(k, spec, sample.truth, spread)))(keys)
    move = np.asarray(noisy.translation) - np.asarray(sample.truth.translation)
    assert 0.09 < move.std() < 0.11
    assert 0.027 < (np.asarray(noisy.betas) - np.asarray(sample.truth.betas)).std() < 0.033
    turn = np.einsum("njik,jlk->njil", noisy.rotations, sample.truth.rotations)
    degrees = np.degrees(np.asarray(quick_jit(rotation_angle)(turn)))
    # The angle is the absolute value of a normal number: its root mean square is the standard deviation.
    assert 2.6 < np.sqrt((degrees[:, 0] ** 2).mean()) < 3.4
    assert 6.7 < np.sqrt((degrees[:, 1:] ** 2).mean()) < 7.3


def test_queries_mix_as_configured(spec, sample):
    keys = jax.random.split(jax.random.key(1), 300)

    def far(config):
        draw = quick_jit(jax.vmap(lambda k: draw_query(k, spec, sample.truth, config).params))
        gap = np.asarray(draw(keys).betas) - np.asarray(sample.truth.betas)
        return np.abs(gap).max(axis=1)

    gap = far(QueryConfig(scale=(1.0, 1.0)))
    assert 0.05 < (gap == 0).mean() < 0.16  # half at the truth, a fifth of them clean
    assert 0.4 < (gap > 0.2).mean() < 0.6  # estimates
    scaled = far(QueryConfig(estimated=0.0, clean=0.3))
    assert 0.2 < (scaled == 0).mean() < 0.4
    # Noise of the shape is tenths, scaling changes it by more; half of the queries are nearer to the truth.
    near = far(QueryConfig(estimated=0.0, clean=0.0, near=0.5, scaled=0.25))
    assert 0.15 < (near > 0.2).mean() < 0.3 and (near == 0).sum() == 0
    assert (near < 0.005).mean() > 0.1


def test_an_imitated_estimate_has_its_head_at_the_scenes_depth(spec, sample):
    config = QueryConfig(aligned=0.0)
    keys = jax.random.split(jax.random.key(2), 16)

    @quick_jit
    def depths(keys):
        bodies = jax.vmap(lambda k: imitate_estimate(k, spec, sample.truth, config))(keys)
        return pose_graft_state(spec.probe_model, GraftState.of(bodies)).joints[:, spec.head, 2]

    truth = pose_graft_state(spec.probe_model, GraftState.of(sample.truth)).joints[spec.head, 2]
    # Folding the scale into the shape is not exact: centimetres at most.
    np.testing.assert_allclose(depths(keys), truth, atol=0.06)


def test_scaling_a_sample_scales_what_the_probes_find(spec, sample):
    queries = np.array([[0.1, 0.2, 2.0], [0.5, 0.9, 3.0]], np.float32)
    scene, truth = scale_sample(spec, sample.scene, sample.truth, jnp.float32(1.1))
    before, after = probe(sample.scene, queries), probe(scene, 1.1 * queries)
    np.testing.assert_allclose(after.offset, 1.1 * before.offset, atol=1e-5)
    np.testing.assert_allclose(truth.translation, 1.1 * sample.truth.translation, rtol=1e-6)


def test_the_loss_is_the_papers(spec, model, sample):
    """Against the formula written out in NumPy."""
    weights = LossWeights()
    wrong = quick_jit(lambda k: perturb(k, spec, sample.truth, Spread(0.1, 0.5, 7.0, 3.0)))(jax.random.key(3))
    states = [GraftState.of(wrong).replace(scale=jnp.float32(1.1)), GraftState.of(sample.truth)]
    steps = jax.tree.map(lambda *x: jnp.stack(x), *states)
    terms = quick_jit(lambda s: rollout_loss(spec, model, s, sample.truth, weights))(steps)
    a, b = (np.asarray(x.rotations, np.float64)[:, :, :2] for x in (wrong, sample.truth))
    squares = ((a - b) ** 2).sum(axis=(1, 2))
    v = 1.1 * np.asarray(pose_body(model, wrong).vertices, np.float64) - np.asarray(
        pose_body(model, sample.truth).vertices
    )
    want = 5 * squares[0] + 2 * squares[1:22].mean() + 0.5 * (squares[22:37].mean() + squares[37:].mean())
    want += 7 * (v**2).sum(axis=1).mean() + 5 * ((v - v.mean(axis=0)) ** 2).sum(axis=1).mean()
    np.testing.assert_allclose(terms.total, want, rtol=1e-4)


def test_rounded_lengths_and_heights_against_their_formulas(spec, model, sample, rooms):
    weights = LossWeights(orient=0, body=0, hands=0, centred=0, vertices=1, heights=10, rounding=0.01)
    touch = WithTouch(rooms, model)[0].touch
    assert touch.normals.shape == (model.num_vertices, 3) and 0 <= touch.closeness.min() < touch.closeness.max() <= 1
    moved = sample.truth.replace(translation=sample.truth.translation + jnp.float32([0.0, 0.05, 0.0]))
    states = GraftState.of(jax.tree.map(lambda a, b: jnp.stack([a, b]), moved, sample.truth))
    terms = quick_jit(lambda s: rollout_loss(spec, model, s, sample.truth, weights, touch))(states)
    cost = np.sqrt(0.05**2 + 0.01**2) - 0.01
    np.testing.assert_allclose(terms.vertices, cost, rtol=1e-3)
    along = np.sqrt((0.05 * touch.normals[:, 1]) ** 2 + 0.01**2) - 0.01
    height = (touch.closeness * along).sum() / (touch.closeness.sum() + 0.02 * len(along))
    np.testing.assert_allclose(terms.heights, height, rtol=1e-3)
    np.testing.assert_allclose(terms.total, cost + 10 * height, rtol=1e-3)
    all_count = dataclasses.replace(weights, far=1.0)
    terms = quick_jit(lambda s: rollout_loss(spec, model, s, sample.truth, all_count, touch))(states)
    np.testing.assert_allclose(terms.heights, along.mean() / 1.02, rtol=1e-3)


def test_closeness_falls_with_the_distance_to_the_scene():
    points, normals = np.zeros((1, 3), np.float32), np.float32([[0, 1, 0]])
    touch = touch_of(np.float32([[0, 0, 0], [0.05, 0, 0], [0, 1, 0]]), points, normals)
    np.testing.assert_allclose(touch.closeness, [1, np.exp(-1), 0], atol=1e-5)
    np.testing.assert_array_equal(touch.normals, np.tile(normals, (3, 1)))


def test_samples_of_synthhoi_become_camera_frame_scenes(spec, model):
    """A floor seen from above: the point map, the normals, and the body carried into the camera's frame."""
    height, width, focal = 24, 32, 30.0
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    pose = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 3.0], [0, 0, 0, 1]], np.float32)
    body = {"global_orient": np.zeros(3), "body_pose": np.zeros(63), "left_hand_pose": np.zeros(45)}
    body |= {"right_hand_pose": np.zeros(45), "betas": np.zeros(10), "transl": np.array([0.2, 0.1, 0.3])}
    item = {"body": {k: v.astype(np.float32) for k, v in body.items()}, "intrinsics": intrinsics}
    item |= {"depth_empty": np.full((height, width), 2.5, np.float32), "T_camera_world": pose}
    made = sample_from_synth(item, model, spec, points=500, rng=np.random.default_rng(0))
    np.testing.assert_allclose(np.asarray(made.scene.blocks.points)[2], 2.5, atol=1e-5)
    np.testing.assert_allclose(made.scene.normals, np.broadcast_to([0, 0, -1], made.scene.normals.shape), atol=1e-5)
    world = np.asarray(pose_body(model, model_params(model, body)).vertices)
    got = np.asarray(pose_body(model, jax.tree.map(jnp.asarray, made.truth)).vertices)
    np.testing.assert_allclose(got, world @ pose[:3, :3].T + pose[:3, 3], atol=1e-5)
    with pytest.raises(InputError, match="without depth_empty"):
        item.pop("depth_empty")
        sample_from_synth(item, model, spec, points=5, rng=np.random.default_rng(0))


def model_params(model, body):
    from hoijax.body_models import BodyParams

    return BodyParams.from_axis_angle(model, **{k: v.astype(np.float32) for k, v in body.items()})


TINY = GraftConfig(
    width=16, layers=1, heads=2, feedforward=16, fourier=8, probe_hidden=8, probe_features=8, head_hidden=8,
    visual=False,
)  # fmt: skip


def tiny(out, **changes):
    config = training.Config(
        out=out, steps=4, batch=2, points=256, rooms=4, body="test", loss_vertices=64, rate=1e-3, log_every=1,
        save_every=2, horizon=2, single=0.0,
    )  # fmt: skip
    return dataclasses.replace(config, **changes)


def test_the_curriculum_supervises_one_step_first(tmp_path):
    config = training.Config(out=tmp_path)
    assert [training.rollout_steps(config, k) for k in (0, 9_999, 10_000, 149_999)] == [1, 1, 3, 3]
    short = dataclasses.replace(config, steps=300, horizon=4)
    assert [training.rollout_steps(short, k) for k in (0, 19, 20, 299)] == [1, 1, 4, 4]


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setitem(training.SIZES, "small", lambda: TINY)
    # Compiling, not training, is what this test's time goes to.
    settings = tiny(tmp_path / "whole")
    trainer = training.make_trainer(settings, {"xla_backend_optimization_level": 0})
    whole = training.train(settings, trainer=trainer)
    genuine, stop = trainer.step, {"at": 3}

    def interrupted(state, *args):
        if int(state.step) == stop["at"]:
            raise KeyboardInterrupt
        return genuine(state, *args)

    monkeypatch.setattr(trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.train(tiny(tmp_path / "cut"), trainer=trainer)
    stop["at"] = -1
    again = training.train(tiny(tmp_path / "cut"), trainer=trainer)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(again)):
        np.testing.assert_array_equal(a, b)
    logs = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "cut")]
    assert logs[0] == logs[1] and [json.loads(x)["rollout"] for x in logs[0].splitlines()] == [2] * 4
    network, facts = load_graft(tmp_path / "cut" / "graft.safetensors")
    assert network.config == TINY and len(facts["probe_vertices"]) == 27
    with pytest.raises(InputError, match="another rate"):
        training.train(tiny(tmp_path / "cut", rate=1e-4))
