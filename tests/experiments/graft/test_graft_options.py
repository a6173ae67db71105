"""Settings of GRAFT's training: each one's effect is seen in the data, the program or the step that it makes."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.body_models import free_body
from hoijax.data.synth.reviews import ReviewConfig, _stack
from hoijax.errors import InputError
from hoijax.experiments.common.parameters import running_mean
from hoijax.experiments.common.trainer import COMPILE_FAST
from hoijax.experiments.graft import train as training
from hoijax.experiments.graft.bodies import training_bodies
from hoijax.experiments.graft.losses import LossTerms, LossWeights
from hoijax.experiments.graft.networks import random_weights, sizes_of, start_weights
from hoijax.experiments.graft.queries import QueryConfig
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import GraftSample, Thinned, sample_points
from hoijax.io import write_json, write_npz
from hoijax.nets.graft import Graft, GraftInputs, GraftUpdate, load_graft, save_graft
from hoijax.systems.graft import GraftState, Rollout, body_spec


def config(**settings):
    return training.Config(out=pathlib.Path("unused"), body="test", **settings)


class Telling(Graft):
    """A head that moves the body by as much as it sees: a decimetre if the scene is there, a tenth larger always."""

    def __init__(self):
        self.nothing = nnx.Param(jnp.zeros((), jnp.float32))

    def __call__(self, inputs, context=None):
        sees = jnp.any(inputs.offsets != 0) & jnp.any(inputs.normals != 0)
        return GraftUpdate(
            rotations=jnp.zeros((52, 6), jnp.float32),
            translation=jnp.where(sees, 0.1, 0.0).astype(jnp.float32) * jnp.asarray([1.0, 0, 0], jnp.float32),
            betas=jnp.zeros(10, jnp.float32),
            scale=jnp.asarray(0.1, jnp.float32),
        )


@pytest.fixture(scope="module")
def room():
    model = free_body("test")
    return jax.tree.map(jnp.asarray, Rooms(model, body_spec(model), count=2, points=256)[0])


def test_the_rollout_is_run_as_its_settings_say(room, monkeypatch):
    """Traced, not compiled: what reaches `rollout` is what its own tests are about. A part left out is neither seen
    nor changed."""
    bodies, seen = training_bodies(config()), {}
    graph, weights = nnx.split(Telling(), nnx.Param)

    def spy(step, spec, scene, state, *, options, image, context_mask):
        seen["options"], seen["step"] = options, step
        many = jax.tree.map(lambda x: jnp.broadcast_to(x, (options.steps, *x.shape)), state)
        return Rollout(final=state, steps=many, params=state.params)

    monkeypatch.setattr(training, "rollout", spy)
    monkeypatch.setattr(training, "draw_query", lambda key, spec, truth, queries: GraftState.of(truth))
    monkeypatch.setattr(training, "rollout_loss", lambda *_: LossTerms(*8 * [jnp.zeros(())]))
    batch = jax.tree.map(lambda x: x[None], GraftSample(scene=room.scene, truth=room.truth))
    probes = jnp.ones((58, 3), jnp.float32)
    inputs = GraftInputs(*3 * [probes], *(jnp.ones(n, jnp.float32) for n in ((52, 6), (3,), (10,))))
    for settings, steps in (
        ({}, 3), ({"fold": False}, 1), ({"detach": True}, 2), ({"without": "scale"}, 2), ({"without": "probes"}, 2),
    ):  # fmt: skip
        run = config(**settings)
        jax.eval_shape(lambda b, run=run, n=steps: training.batch_loss(
            graph, weights, bodies, b, jax.random.key(0), run, n)[0], batch)  # fmt: skip
        options = seen["options"]
        assert options.steps == steps and options.fold is run.fold and options.detach is run.detach
        assert options.mask.scale is (run.without != "scale") and options.mask.betas
        aside = float(seen["step"](inputs, None).translation[0])
        np.testing.assert_allclose(aside, 0.0 if run.without == "probes" else 0.1, atol=1e-6)


def test_a_scaled_sample_is_scaled_for_the_rollout_and_for_the_loss(room, monkeypatch):
    """Scene, start and truth: of the same larger world; of "query" the truth stays."""
    bodies, seen = training_bodies(config()), {}
    graph, weights = nnx.split(Telling(), nnx.Param)
    real = training.scale_sample

    def scaled(spec, scene, truth, factor):
        seen["scaled"] = real(spec, scene, truth, factor)
        return seen["scaled"]

    def rolled(step, spec, scene, state, *, options, image, context_mask):
        seen["scene"] = scene
        many = jax.tree.map(lambda x: jnp.broadcast_to(x, (options.steps, *x.shape)), state)
        seen["before"], seen["odds"] = state, jnp.full(options.steps, 0.3)
        return Rollout(final=state, steps=many, params=state.params, gates=seen["odds"])

    def drawn(key, spec, truth, queries):
        seen["start"] = truth
        return GraftState.of(truth)

    def lost(spec, model, steps, truth, weights, touch, gates, start):
        seen["truth"] = truth
        assert gates is seen["odds"] and start is seen["before"] and weights is seen["run"].weights
        return LossTerms(*8 * [jnp.zeros(())])

    for name, spy in (("scale_sample", scaled), ("rollout", rolled), ("draw_query", drawn), ("rollout_loss", lost)):
        monkeypatch.setattr(training, name, spy)
    batch = jax.tree.map(lambda x: x[None], GraftSample(scene=room.scene, truth=room.truth))
    for what in ("query", "sample"):
        seen.clear()
        run = seen["run"] = config(queries=QueryConfig(scale_what=what))
        jax.eval_shape(
            lambda b, run=run: training.batch_loss(graph, weights, bodies, b, jax.random.key(0), run, 1)[0], batch
        )
        assert ("scaled" in seen) == (what == "sample") and seen["start"] is seen["truth"]
        if what == "sample":
            assert seen["scene"] is seen["scaled"][0] and seen["truth"] is seen["scaled"][1]


def test_the_loss_looks_at_as_many_vertices_as_asked_for_and_at_those_that_may_touch():
    whole = free_body("test")
    assert training_bodies(config(loss_vertices=0)).model.num_vertices == whole.num_vertices
    contact = np.asarray(whole.v_template)[np.asarray(body_spec(whole).contact_vertices)]
    shares = []
    for share in (0.0, 0.5):
        model = training_bodies(config(loss_vertices=120, contact_share=share)).model
        assert model.num_vertices == 120
        gaps = np.linalg.norm(np.asarray(model.v_template)[:, None] - contact[None], axis=-1)
        shares.append(np.mean(gaps.min(axis=1) < 1e-7))
    assert shares[1] >= 0.5 > shares[0]
    first, other = (np.asarray(training_bodies(config(loss_vertices=120, seed=s)).model.v_template) for s in (0, 1))
    assert not np.array_equal(first, other)


def rates(settings, gradients):
    """By how much Adam moves one number at each step; of a constant gradient by the rate itself."""
    optimiser, moves = training.make_optimiser(settings), []
    with jax.numpy_dtype_promotion("standard"):
        state = optimiser.init(jnp.zeros((), jnp.float32))
        step = jax.jit(optimiser.update)
        for gradient in gradients:
            move, state = step(jnp.float32(gradient), state)
            moves.append(-float(move))
    return np.array(moves)


def test_the_rate_rises_over_the_warm_up_and_falls_to_the_last_along_a_cosine():
    steps, rate, last = 40, 1e-3, 1e-4
    got = rates(config(steps=steps, rate=rate, last_rate=last, warmup=0.25), [0.5] * steps)
    want = [rate * k / 10 for k in range(10)]
    want += [last + (rate - last) * 0.5 * (1 + np.cos(np.pi * k / 30)) for k in range(30)]
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-8)


def test_gradients_are_clipped_where_asked_for():
    """Five times the largest norm counts as the largest; far below it nothing changes."""
    settings = dict(steps=100, rate=1e-3, warmup=0.01)
    clipped = rates(config(clip=1.0, **settings), [1.0, 0.5, 5.0])
    np.testing.assert_allclose(clipped, rates(config(clip=100.0, **settings), [1.0, 0.5, 1.0]), rtol=1e-5)
    assert abs(rates(config(clip=100.0, **settings), [1.0, 0.5, 5.0])[2] / clipped[2] - 1) > 0.1


def test_sources_are_as_large_and_as_seen_as_their_settings_say():
    bodies = training_bodies(config())
    whole = training.make_source(config(rooms=3, points=256), bodies)
    assert len(whole) == 3 and len(sample_points(whole[0])[0]) == 256
    other = training.make_source(config(rooms=3, points=256, seed=1), bodies)
    assert not np.array_equal(whole[0].truth.translation, other[0].truth.translation)
    assert whole[0].touch is None
    heights = training.make_source(config(rooms=3, points=256, weights=LossWeights(heights=1.0)), bodies)
    assert heights[0].touch.normals.shape == (bodies.model.num_vertices, 3)
    # Of a whole room there are points behind the body; of a view only what a camera sees.
    seen = training.make_source(config(rooms=3, points=256, views=1.0), bodies)
    assert not np.array_equal(sample_points(whole[1])[0], sample_points(seen[1])[0])
    assert whole[1] is whole[1]  # made once


def test_a_split_is_mixed_with_rooms_by_the_share_asked_for(monkeypatch):
    asked = {}

    def opened(root, split):
        asked["split"] = (root, split)
        return list(range(6))

    monkeypatch.setattr(training, "open_split", opened)
    root = pathlib.Path("somewhere")
    bodies = training_bodies(config())
    alone = training.make_source(config(synth=root, split="scenes_dev"), bodies)
    assert len(alone) == 6 and asked["split"] == (root, "scenes_dev")
    mixed = training.make_source(config(synth=root, rooms=12, mixed=0.5), bodies)
    assert len(mixed) == 24


def test_the_mean_of_the_weights_remembers_as_long_as_its_decay_says():
    """The recursion written out; 0 keeps the last weights, and the first steps forget the random start."""
    for decay in (0.0, 0.5, 0.999):
        mean = want = 7.0
        for step in range(30):
            weights = float(step)
            share = min(decay, (1 + step) / (10 + step))
            want = share * want + (1 - share) * weights
            mean = running_mean(jnp.float32(mean), jnp.float32(weights), jnp.asarray(step), decay)
        np.testing.assert_allclose(mean, want, rtol=1e-5)


def test_a_held_sample_is_told_and_keeps_pose_and_shape(room, monkeypatch):
    """As the preset "similarity", but drawn for each sample."""
    bodies, seen = training_bodies(config()), {}

    def rolled(step, spec, scene, state, *, options, image, context_mask):
        seen["step"] = step
        many = jax.tree.map(lambda x: jnp.broadcast_to(x, (options.steps, *x.shape)), state)
        return Rollout(final=state, steps=many, params=state.params)

    monkeypatch.setattr(training, "rollout", rolled)
    asked = []

    class All(Telling):
        def __call__(self, inputs, context=None):
            asked.append(inputs.held)
            ones = (jnp.ones(s, jnp.float32) for s in ((52, 6), (3,), (10,), ()))
            return GraftUpdate(*ones)

    graph, weights = nnx.split(All(), nnx.Param)
    probes = jnp.ones((58, 3), jnp.float32)
    inputs = GraftInputs(*3 * [probes], *(jnp.ones(n, jnp.float32) for n in ((52, 6), (3,), (10,))))
    batch = jax.tree.map(lambda x: x[None], GraftSample(scene=room.scene, truth=room.truth))
    with jax.disable_jit():
        for share in (0.0, 1.0):
            run = config(held=share)
            monkeypatch.setattr(jax, "vmap", lambda f: lambda *a: jax.tree.map(
                lambda x: x[None], f(*jax.tree.map(lambda x: x[0], a))))  # fmt: skip
            monkeypatch.setattr(training, "rollout_loss", lambda *_: LossTerms(*8 * [jnp.zeros(())]))
            training.batch_loss(graph, weights, bodies, batch, jax.random.key(0), run, 1)
            update = seen["step"](inputs, None)
            assert asked[-1] is None if share == 0 else float(asked[-1]) == 1.0
            assert float(update.rotations[0, 0]) == 1.0 and float(update.translation[0]) == 1.0
            assert float(update.rotations[5, 0]) == 1.0 - share and float(update.betas[3]) == 1.0 - share


def test_as_many_samples_are_held_as_asked_for(room, monkeypatch):
    """Each drawn by itself, whatever its start is."""
    bodies, seen = training_bodies(config()), {}
    probes = jnp.ones((58, 3), jnp.float32)
    inputs = GraftInputs(*3 * [probes], *(jnp.ones(n, jnp.float32) for n in ((52, 6), (3,), (10,))))

    class All(Telling):
        def __call__(self, inputs, context=None):
            return GraftUpdate(*(jnp.ones(s, jnp.float32) for s in ((52, 6), (3,), (10,), ())))

    def rolled(step, spec, scene, state, **_):
        seen["held"] = 1.0 - step(inputs, None).betas[0]
        return Rollout(final=state, steps=state, params=state.params)

    monkeypatch.setattr(training, "rollout", rolled)
    monkeypatch.setattr(training, "rollout_loss", lambda *_: LossTerms(*8 * [seen["held"]]))
    graph, weights = nnx.split(All(), nnx.Param)
    many = GraftSample(scene=room.scene, truth=room.truth)
    batch = jax.tree.map(lambda x: jnp.broadcast_to(x, (300, *x.shape)), many)
    run = config(held=0.25)
    share = jax.jit(
        lambda b: training.batch_loss(graph, weights, bodies, b, jax.random.key(0), run, 1)[0],
        compiler_options=COMPILE_FAST,
    )(batch)
    assert 0.17 < float(share) < 0.33


def test_clouds_are_thinned_to_a_random_share(room):
    class One:
        def __len__(self):
            return 40

        def __getitem__(self, index):
            return room

    every, _ = sample_points(room)
    source = Thinned(One(), 0.1, seed=3)
    counts = []
    for index in range(40):
        points, normals = sample_points(source[index])
        assert len(points) == len(every) and len(normals) == len(every)  # the program sees one size
        real = points[np.abs(points).max(axis=1) < 100]
        distinct = np.unique(real, axis=0)
        assert {tuple(p) for p in distinct} <= {tuple(p) for p in every}
        counts.append(len(distinct))
    shares = np.array(counts) / len(np.unique(every, axis=0))
    assert shares.min() < 0.2 and shares.max() > 0.7 and 0.25 < np.exp(np.log(shares).mean()) < 0.42
    np.testing.assert_array_equal(sample_points(source[7])[0], sample_points(Thinned(One(), 0.1, seed=3)[7])[0])


def test_made_up_rooms_get_their_furniture_and_cameras_from_the_settings():
    bodies = training_bodies(config())
    plain = training.make_source(config(rooms=2, points=256), bodies)[0]
    meshes = training.make_source(config(rooms=2, points=256, furniture="meshes"), bodies)[0]
    far = training.make_source(config(rooms=2, points=256, distances=(7.0, 8.0)), bodies)[0]
    assert not np.array_equal(sample_points(plain)[0], sample_points(meshes)[0])
    assert 6.0 < np.linalg.norm(far.truth.translation) < 9.0 > np.linalg.norm(plain.truth.translation) + 2
    thin = training.make_source(config(rooms=2, points=256, density=0.1), bodies)
    assert len(np.unique(sample_points(thin[1])[0], axis=0)) < 250


def test_earlier_weights_begin_a_network_that_scales_about_the_pelvis(tmp_path):
    small, later = sizes_of("tiny", False), dataclasses.replace(sizes_of("tiny", False), pivot="pelvis", held=True)
    earlier = Graft(small, nnx.Rngs(3))
    save_graft(tmp_path / "a.safetensors", earlier)
    begun = start_weights(random_weights(later, 0), tmp_path / "a.safetensors", later)
    flat = dict(nnx.to_flat_state(begun))
    old = dict(nnx.to_flat_state(nnx.state(earlier, nnx.Param)))
    assert set(flat) - set(old) == {("tokenizer", "held")} and not np.asarray(flat["tokenizer", "held"][...]).any()
    for key, leaf in old.items():
        np.testing.assert_array_equal(flat[key][...], leaf[...])
    save_graft(tmp_path / "b.safetensors", nnx.merge(nnx.split(Graft(later, nnx.Rngs(0)))[0], begun))
    assert load_graft(tmp_path / "b.safetensors")[0].config == later
    with pytest.raises(InputError, match="other sizes"):
        start_weights(random_weights(small, 0), tmp_path / "b.safetensors", small)


@pytest.fixture
def reviews(tmp_path):
    """Files of views as a build leaves them: two people, two views each, a wall at other distances."""
    build = ReviewConfig(scenes=2, views=2, image_size=64)
    intrinsics = np.float32([[60, 0, 32], [0, 60, 32], [0, 0, 1]])
    body = {
        name: np.zeros(width, np.float32)
        for name, width in (
            ("global_orient", 3),
            ("body_pose", 63),
            ("left_hand_pose", 45),
            ("right_hand_pose", 45),
            ("betas", 10),
        )
    }
    for scene in range(2):
        rows = [
            {
                "depth_empty": np.full((64, 64), 3.0 + scene + 0.1 * view, np.float32), "intrinsics": intrinsics,
                "T_camera_world": np.eye(4, dtype=np.float32), "action": "lie", "mirrored": False,
                "body": body | {"transl": np.float32([0, 0, 2 + scene])},
            }
            for view in range(2)
        ]  # fmt: skip
        write_npz(tmp_path / f"scene-{scene:06d}.npz", _stack(rows))
    write_json(tmp_path / "config.json", dataclasses.asdict(build))
    return tmp_path


def test_views_are_trained_on_beside_rooms(reviews):
    """Depth and body of each view reach a sample; the mixture is of both; the weights' facts say what it was."""
    settings = config(reviews=reviews, rooms=2, points=256, mixed=0.5)
    bodies = training_bodies(settings)
    alone = training.make_source(config(reviews=reviews, points=256), bodies)
    assert len(alone) == 4
    for index, depth in enumerate((3.0, 3.1, 4.0, 4.1)):
        points, normals = sample_points(alone[index])
        np.testing.assert_allclose(points[:, 2], depth, atol=1e-3)
        np.testing.assert_allclose(normals, np.broadcast_to([0, 0, -1], normals.shape), atol=1e-3)
        assert alone[index].truth.translation[2] == pytest.approx(2 + index // 2, abs=1e-5)
    both = training.make_source(settings, bodies)
    flat = [np.ptp(sample_points(both[i])[0][:, 2]) < 0.01 for i in range(len(both))]
    assert flat == [False] * 4 + [True] * 4
    # A fifth: two rooms once, four views twice.
    fifth = training.make_source(dataclasses.replace(settings, mixed=0.2), bodies)
    assert len(fifth) == 10 and [np.ptp(sample_points(fifth[i])[0][:, 2]) < 0.01 for i in (1, 2, 9)] == [
        False, True, True,
    ]  # fmt: skip
    thin = training.make_source(dataclasses.replace(settings, density=0.1), bodies)
    assert all(len(np.unique(sample_points(thin[i])[0], axis=0)) < 250 for i in (0, 5))
    facts = training.facts_of(settings, bodies)
    assert facts["data"] == "50 % made-up rooms, else 2 x 2 views of SynthHOI's people (scenes_train)"
    assert training.facts_of(config(reviews=reviews), bodies)["views"] == 1.0
    with pytest.raises(InputError, match="leave out --synth and --scans"):
        config(reviews=reviews, synth=reviews)
    # Where samples come from is none of the program's business.
    tasks = [training.make_task(one, bodies).config for one in (settings, config(rooms=2, points=256))]
    assert tasks[0] == tasks[1]
